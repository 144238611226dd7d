/* gso.c: UDP_SEGMENT and UDP_GRO: rows of datagrams in one call, both ways; corks with them. */
#include "check.h"

#include "cmsgs.h"

#include <netinet/udp.h>

static char big[70000];

/* Prints what arrives until nothing does. */
static void drain(int fd)
{
    long sum = 0, n = 0, last = 0;

    for (ssize_t r; (r = recv(fd, big, sizeof(big), MSG_DONTWAIT)) >= 0; n++) {
        sum += r;
        last = r;
    }
    V(n);
    V(sum);
    V(last);
}

static ssize_t send_cmsg(int s, struct sockaddr_in *to, size_t len, const void *val, size_t vlen, int type)
{
    char ctl[CMSG_SPACE(8)] __attribute__((aligned(8))) = {0};
    struct iovec v = {big, len};
    struct msghdr m = {.msg_name = to,
                       .msg_namelen = sizeof(*to),
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = ctl,
                       .msg_controllen = CMSG_SPACE(vlen)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_UDP;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(vlen);
    memcpy(CMSG_DATA(c), val, vlen);
    return sendmsg(s, &m, 0);
}

CHECK(options)
{
    int s = udp4(), v;
    socklen_t len = sizeof(v);

    for (int i = -1; i <= 65536; i = i < 1 ? i + 1 : i == 1 ? 65535 : i + 1) {
        R(setsockopt(s, SOL_UDP, UDP_SEGMENT, &i, sizeof(i)));
        R(getsockopt(s, SOL_UDP, UDP_SEGMENT, &v, &len));
        V(v);
    }
    R(setsockopt(s, SOL_UDP, UDP_SEGMENT, &v, 2));
    v = 1;
    R(setsockopt(s, SOL_UDP, UDP_GRO, &v, sizeof(v)));
    v = 0;
    R(getsockopt(s, SOL_UDP, UDP_GRO, &v, &len));
    V(v);
}

CHECK(row_is_cut)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4();

    on(s, SOL_UDP, UDP_SEGMENT, 100);
    R(sendto(s, big, 0, 0, SA(a)));
    R(sendto(s, big, 99, 0, SA(a)));
    R(sendto(s, big, 100, 0, SA(a)));
    R(sendto(s, big, 101, 0, SA(a)));
    R(sendto(s, big, 1000, 0, SA(a)));
    nap(QUIET_MS);
    drain(r);
    R(sendto(s, big, 12800, 0, SA(a)));
    nap(QUIET_MS);
    drain(r);
    R(sendto(s, big, 12801, 0, SA(a)));
    drain(r);
}

CHECK(content)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4();
    struct iovec v[3] = {{"abc", 3}, {"", 0}, {"defghijk", 8}};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = v, .msg_iovlen = 3};

    on(s, SOL_UDP, UDP_SEGMENT, 4);
    R(sendmsg(s, &m, 0));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
}

CHECK(by_cmsg)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4(), wide = 100;
    uint16_t size = 100, none = 0;

    R(send_cmsg(s, &a, 250, &size, sizeof(size), UDP_SEGMENT));
    nap(QUIET_MS);
    drain(r);
    R(send_cmsg(s, &a, 250, &wide, sizeof(wide), UDP_SEGMENT));
    R(send_cmsg(s, &a, 250, &wide, sizeof(wide), UDP_GRO));
    on(s, SOL_UDP, UDP_SEGMENT, 50);
    R(send_cmsg(s, &a, 250, &none, sizeof(none), UDP_SEGMENT));
    nap(QUIET_MS);
    drain(r);
}

CHECK(too_long)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4();

    on(s, SOL_UDP, UDP_SEGMENT, 1000);
    R(sendto(s, big, 65507, 0, SA(a)));
    nap(QUIET_MS);
    drain(r);
    R(sendto(s, big, 65508, 0, SA(a)));
    R(sendto(s, big, 65536, 0, SA(a)));
    on(s, SOL_SOCKET, SO_NO_CHECK, 1);
    R(sendto(s, big, 3000, 0, SA(a)));
    R(sendto(s, big, 300, 0, SA(a)));
    nap(QUIET_MS);
    drain(r);
}

CHECK(gro)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4(), t = udp4();

    on(r, SOL_UDP, UDP_GRO, 1);
    on(s, SOL_UDP, UDP_SEGMENT, 100);
    R(sendto(s, big, 1050, 0, SA(a)));
    R(sendto(s, big, 100, 0, SA(a)));
    R(sendto(s, big, 200, 0, SA(a)));
    R(sendto(t, big, 500, 0, SA(a)));
    R(sendto(t, big, 500, 0, SA(a)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT | MSG_PEEK);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    RECV(r, MSG_DONTWAIT);
    R(sendto(s, big, 1050, 0, SA(a)));
    nap(QUIET_MS);
    show_recv("short", r, 150, 1024, MSG_DONTWAIT);
    R(sendto(s, big, 12800, 0, SA(a)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
}

CHECK(corked)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4();

    on(s, SOL_UDP, UDP_SEGMENT, 100);
    NEED(connect(s, SA(a)) == 0);
    R(send(s, big, 150, MSG_MORE));
    R(send(s, big, 150, 0));
    nap(QUIET_MS);
    drain(r);
    on(s, SOL_UDP, UDP_CORK, 1);
    R(send(s, big, 60, 0));
    R(send(s, big, 60, 0));
    nap(QUIET_MS);
    drain(r);
    on(s, SOL_UDP, UDP_CORK, 0);
    nap(QUIET_MS);
    drain(r);
}

CHECK(cork_keeps_its_destination)
{
    struct sockaddr_in a, b, none = lo4(0);
    int r = bound4(SOCK_DGRAM, &a), q = bound4(SOCK_DGRAM, &b), s = udp4();

    R(sendto(s, "one", 3, MSG_MORE, SA(a)));
    R(sendto(s, "two", 3, MSG_MORE, SA(b)));
    R(sendto(s, "", 0, 0, SA(none)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
    RECV(q, MSG_DONTWAIT);
    R(sendto(s, "x", 1, MSG_CONFIRM, SA(a)));
    R(sendto(s, "x", 0, MSG_CONFIRM | 0x10, SA(a)));
    R(sendto(s, "x", 1, MSG_CONFIRM | 0x10, SA(a)));
    nap(QUIET_MS);
    drain(r);
}
