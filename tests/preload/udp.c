/* udp.c: datagrams: sendto and recvfrom, connected, truncation, errors, zero length, broadcast, IP_PKTINFO,
 * queues. */
#include "check.h"

#include <sys/mman.h>

CHECK(simple)
{
    struct sockaddr_in a, from = {0};
    socklen_t len = sizeof(from);
    int r = bound4(SOCK_DGRAM, &a), s = udp4();
    char b[16];

    V(port_of(s));
    R(sendto(s, "hello", 5, 0, SA(a)));
    V(port_of(s) != 0);
    R(recvfrom(r, b, sizeof(b), 0, (struct sockaddr *)&from, &len));
    TEXT(b, 5);
    V(len);
    V(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && ntohs(from.sin_port) == port_of(s));
    R(sendto(r, "back", 4, 0, SA(from)));
    R(recv(s, b, sizeof(b), 0));
    R(recv(s, b, sizeof(b), MSG_DONTWAIT));
    len = 5;
    R(sendto(s, "x", 1, 0, SA(a)));
    R(recvfrom(r, b, sizeof(b), 0, (struct sockaddr *)&from, &len));
    V(len);
}

CHECK(boundaries)
{
    int sv[2];
    char b[64];

    udp_pair(sv);
    R(send(sv[0], "first", 5, 0));
    R(send(sv[0], "", 0, 0));
    R(write(sv[0], "third one", 9));
    R(writev(sv[0], (struct iovec[]){{"fo", 2}, {"urth", 4}}, 2));
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), 0));
    R(read(sv[1], b, sizeof(b)));
    R(readv(sv[1], (struct iovec[]){{b, 3}, {b + 3, 10}}, 2));
    TEXT(b, 6);
    R(write(sv[0], "", 0));
    EV(poll_for(sv[1], POLLIN, SETTLE_MS));
    R(recv(sv[1], b, sizeof(b), MSG_DONTWAIT));
}

CHECK(truncation)
{
    int sv[2];
    char b[16] = "----------------";

    udp_pair(sv);
    NEED(send(sv[0], "0123456789", 10, 0) == 10 && send(sv[0], "abcdefghij", 10, 0) == 10);
    NEED(send(sv[0], "ABCDEFGHIJ", 10, 0) == 10);
    R(recv(sv[1], b, 4, 0));
    TEXT(b, 5);
    R(recv(sv[1], b, 4, MSG_TRUNC));
    TEXT(b, 5);
    R(recv(sv[1], b, 3, MSG_PEEK));
    R(recv(sv[1], b, 3, MSG_PEEK | MSG_TRUNC));
    R(recv(sv[1], NULL, 0, 0));
    R(recv(sv[1], b, 16, MSG_DONTWAIT));
}

CHECK(waitall_is_one_datagram)
{
    int sv[2];
    char b[16];

    udp_pair(sv);
    NEED(send(sv[0], "abc", 3, 0) == 3 && send(sv[0], "def", 3, 0) == 3);
    R(recv(sv[1], b, 6, MSG_WAITALL));
}

CHECK(connected_filters)
{
    struct sockaddr_in a, b, c;
    int sa = bound4(SOCK_DGRAM, &a), sb = bound4(SOCK_DGRAM, &b), sc = bound4(SOCK_DGRAM, &c);
    char buf[8];

    R(connect(sa, SA(b)));
    R(sendto(sc, "stranger", 8, 0, SA(a)));
    R(sendto(sb, "friend", 6, 0, SA(a)));
    NEED(settle(sa, POLLIN));
    nap(QUIET_MS);
    R(recv(sa, buf, 8, MSG_DONTWAIT));
    R(recv(sa, buf, 8, MSG_DONTWAIT));
    R(sendto(sa, "to c", 4, 0, SA(c)));
    R(recv(sc, buf, 8, 0));
    R(send(sa, "to b", 4, 0));
    R(recv(sb, buf, 8, 0));
    R(connect(sa, SA(c)));
    R(send(sa, "now c", 5, 0));
    R(recv(sc, buf, 8, 0));
}

CHECK(more_specific_wins)
{
    struct sockaddr_in a, any, to;
    int w = udp4(), s, on = 1, from = udp4();
    char b[8];

    any = at4(INADDR_ANY, 0);
    setsockopt(w, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    NEED(bind(w, SA(any)) == 0);
    a = lo4(port_of(w));
    s = udp4();
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    R(bind(s, SA(a)));
    R(sendto(from, "x", 1, 0, SA(a)));
    NEED(settle(s, POLLIN));
    R(recv(s, b, 8, MSG_DONTWAIT));
    R(recv(w, b, 8, MSG_DONTWAIT));
    to = at4(0x7f000009, port_of(w));
    R(sendto(from, "y", 1, 0, SA(to)));
    NEED(settle(w, POLLIN));
    R(recv(w, b, 8, MSG_DONTWAIT));
    R(recv(s, b, 8, MSG_DONTWAIT));
}

static struct sockaddr_in nobody(void)
{
    struct sockaddr_in a;

    close(bound4(SOCK_DGRAM, &a));
    return a;
}

CHECK(port_unreachable)
{
    struct sockaddr_in a = nobody();
    int s = udp4(), u = udp4();
    char b;

    R(connect(s, SA(a)));
    R(send(s, "x", 1, 0));
    NEED(settle(s, POLLERR));
    EV(poll_for(s, POLLIN | POLLOUT, 0));
    R(recv(s, &b, 1, MSG_DONTWAIT));
    R(recv(s, &b, 1, MSG_DONTWAIT));
    R(send(s, "x", 1, 0));
    NEED(settle(s, POLLERR));
    R(send(s, "x", 1, 0));
    R(send(s, "x", 1, 0));
    NEED(settle(s, POLLERR));
    SOERR(s);
    SOERR(s);
    R(sendto(u, "x", 1, 0, SA(a))); /* an unconnected socket hears nothing of it */
    nap(QUIET_MS);
    SOERR(u);
    R(recv(u, &b, 1, MSG_DONTWAIT));
}

CHECK(arguments)
{
    struct sockaddr_in a, bad = lo4(9), zero = lo4(0);
    int r = bound4(SOCK_DGRAM, &a), s = udp4();
    static char big[70000];

    (void)r;
    R(send(s, "x", 1, 0));
    R(write(s, "x", 1));
    R(sendto(s, "x", 1, 0, NULL, 0));
    R(sendto(s, "x", 1, 0, (struct sockaddr *)&a, 4));
    bad.sin_family = AF_INET6;
    R(sendto(s, "x", 1, 0, SA(bad)));
    bad.sin_family = AF_UNSPEC;
    R(sendto(s, "x", 1, 0, SA(bad)));
    R(sendto(s, "x", 1, 0, SA(zero)));
    R(sendto(s, big, 65507, 0, SA(a)));
    R(recv(r, big, sizeof(big), 0));
    R(sendto(s, big, 65508, 0, SA(a)));
    R(sendto(s, big, 70000, 0, SA(a)));
    R(sendto(s, "x", 1, MSG_OOB, SA(a)));
    R(listen(s, 1));
    R(recv(s, big, 1, MSG_OOB | MSG_DONTWAIT));
}

CHECK(broadcast)
{
    struct sockaddr_in a = at4(INADDR_BROADCAST, 9), l = at4(0x7fffffff, 9);
    int s = udp4(), on = 1;

    R(sendto(s, "x", 1, 0, SA(l)));
    R(connect(s, SA(l)));
    R(setsockopt(s, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)));
    R(sendto(s, "x", 1, 0, SA(l)));
    R(connect(s, SA(l)));
    s = udp4();
    R(sendto(s, "x", 1, 0, SA(a)));
}

static void show_pktinfo(int s)
{
    char b[8];
    union {
        struct cmsghdr h;
        char room[256];
    } c;
    struct iovec v = {b, sizeof(b)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    R(recvmsg(s, &m, 0));
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        show("control", "level %d type %d length %zu", h->cmsg_level, h->cmsg_type, h->cmsg_len);
        if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo pi;

            memcpy(&pi, CMSG_DATA(h), sizeof(pi));
            show("to", "%x local %x interface %s", ntohl(pi.ipi_addr.s_addr), ntohl(pi.ipi_spec_dst.s_addr),
                 pi.ipi_ifindex > 0 ? "given" : "0");
        } else {
            int val = 0;

            memcpy(&val, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0) > 4 ? 4 : h->cmsg_len - CMSG_LEN(0));
            show("value", "%d", val);
        }
    }
    V(m.msg_flags);
}

CHECK(pktinfo)
{
    struct sockaddr_in any = at4(INADDR_ANY, 0), to;
    int r = udp4(), s = udp4(), on = 1;

    NEED(bind(r, SA(any)) == 0);
    R(setsockopt(r, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)));
    to = at4(0x7f000203, port_of(r));
    R(sendto(s, "x", 1, 0, SA(to)));
    show_pktinfo(r);
    R(setsockopt(r, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)));
    R(sendto(s, "x", 1, 0, SA(to)));
    show_pktinfo(r);
    on = 0;
    R(setsockopt(r, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)));
    R(sendto(s, "x", 1, 0, SA(to)));
    show_pktinfo(r);
}

/* A control message that is longer than the control buffer, behind which nothing is mapped. */
CHECK(control_cut_short)
{
    struct sockaddr_in to = lo4(9);
    struct iovec v = {"x", 1};
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct cmsghdr *c = (struct cmsghdr *)(p + 4096 - sizeof(*c));
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = sizeof(to),
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = c,
                       .msg_controllen = sizeof(*c)};
    int s = udp4();

    NEED(p != MAP_FAILED && munmap(p + 4096, 4096) == 0);
    *c = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
    R(sendmsg(s, &m, 0));
    c->cmsg_len = 0;
    R(sendmsg(s, &m, 0));
    c->cmsg_len = SIZE_MAX;
    R(sendmsg(s, &m, 0));
}

/* The control buffer may be too small: MSG_CTRUNC, the data are whole. */
CHECK(control_truncated)
{
    int sv[2], on = 1;
    char b[8], ctl[8];
    struct iovec v = {b, sizeof(b)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};

    udp_pair(sv);
    NEED(setsockopt(sv[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) == 0);
    NEED(send(sv[0], "data", 4, 0) == 4);
    R(recvmsg(sv[1], &m, 0));
    V(m.msg_flags == MSG_CTRUNC);
}

CHECK(pktinfo_chooses_source)
{
    struct sockaddr_in a, from = {0};
    socklen_t len = sizeof(from);
    int r = bound4(SOCK_DGRAM, &a), s = udp4();
    char b[8];
    struct in_pktinfo pi = {.ipi_spec_dst = {htonl(0x7f000077)}};
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } c = {0};
    struct iovec v = {"x", 1};
    struct msghdr m = {&a, sizeof(a), &v, 1, &c, sizeof(c), 0};

    c.h.cmsg_level = IPPROTO_IP;
    c.h.cmsg_type = IP_PKTINFO;
    c.h.cmsg_len = CMSG_LEN(sizeof(pi));
    memcpy(CMSG_DATA(&c.h), &pi, sizeof(pi));
    R(sendmsg(s, &m, 0));
    R(recvfrom(r, b, sizeof(b), 0, (struct sockaddr *)&from, &len));
    show("from", "%x", ntohl(from.sin_addr.s_addr));
}

CHECK(queue_drops_the_newest)
{
    int sv[2], small = 4608;
    char b[1024];
    int got = 0;

    udp_pair(sv);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    for (int i = 0; i < 100; i++) {
        memset(b, i, sizeof(b));
        NEED(send(sv[0], b, sizeof(b), 0) == sizeof(b));
    }
    nap(QUIET_MS);
    while (recv(sv[1], b, sizeof(b), MSG_DONTWAIT) == sizeof(b)) {
        NEED(b[0] == got);
        got++;
    }
    V(got > 0 && got < 100);
}

CHECK(fionread)
{
    int sv[2], n = -1;

    udp_pair(sv);
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    NEED(send(sv[0], "12345", 5, 0) == 5 && send(sv[0], "123", 3, 0) == 3 && settle(sv[1], POLLIN));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    NEED(recv(sv[1], &n, 4, 0) == 4);
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
}

CHECK(blocking)
{
    int sv[2];
    char b;
    long start = now_ms();
    pid_t p;

    udp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        nap(30);
        _exit(send(sv[0], "x", 1, 0) == 1 ? 0 : 1);
    }
    R(recv(sv[1], &b, 1, 0));
    took("waited", start, 30);
    V(child_status(p));
}

CHECK(to_itself)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_DGRAM, &a);
    char b[4];

    R(sendto(s, "me", 2, 0, SA(a)));
    R(recv(s, b, 4, 0));
    R(connect(s, SA(a)));
    R(send(s, "me2", 3, 0));
    R(recv(s, b, 4, 0));
}

CHECK(large_and_fragmented)
{
    int sv[2];
    static char out[60000], in[60000];

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 13 + (i >> 9));
    udp_pair(sv);
    R(send(sv[0], out, sizeof(out), 0));
    R(recv(sv[1], in, sizeof(in), 0));
    V(memcmp(in, out, sizeof(in)));
}
