/* reuse.c: SO_REUSEPORT groups with a classic BPF program (SO_ATTACH_REUSEPORT_CBPF), and options of
 * SOL_SOCKET beside: SO_INCOMING_CPU, SO_INCOMING_NAPI_ID, SO_TXTIME. */
#include "check.h"

#include <linux/filter.h>

#define DETACH 68 /* SO_DETACH_REUSEPORT_BPF */

static int shared(int type, struct sockaddr_in *a)
{
    int s = socket(AF_INET, type, 0), v = 1;

    NEED(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &v, sizeof(v)) == 0);
    NEED(bind(s, (struct sockaddr *)a, sizeof(*a)) == 0);
    a->sin_port = htons(port_of(s));
    return s;
}

/* The group's member whose number is the payload's first byte. */
static struct sock_filter by_byte[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_A, 0)};
static struct sock_filter last[] = {BPF_STMT(BPF_RET | BPF_K, 2)};
static struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0)};

static int attach(int s, struct sock_filter *f, unsigned n)
{
    struct sock_fprog fp = {.len = (unsigned short)n, .filter = f};

    return setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &fp, sizeof(fp));
}

static int who(int *s, int n)
{
    char b[8];

    for (int i = 0; i < n; i++)
        if (recv(s[i], b, sizeof(b), MSG_DONTWAIT) > 0)
            return i;
    return -1;
}

CHECK(udp)
{
    struct sockaddr_in a = lo4(0);
    int s[3], c = udp4();

    for (int i = 0; i < 3; i++)
        s[i] = shared(SOCK_DGRAM, &a);
    R(attach(s[1], by_byte, 2));
    for (int i = 0; i < 3; i++) {
        char b = (char)i;

        R(sendto(c, &b, 1, 0, SA(a)));
        V(who(s, 3));
    }
    R(sendto(c, "\7", 1, 0, SA(a))); /* no such member: somebody gets it */
    V(who(s, 3) >= 0);
    R(attach(s[0], last, 1));
    R(sendto(c, "\0", 1, 0, SA(a)));
    V(who(s, 3));
    close(s[1]); /* the program stays with the others: two of them, so that number 2 is nobody */
    s[1] = s[2];
    R(attach(s[0], by_byte, 2));
    R(sendto(c, "\1", 1, 0, SA(a)));
    V(who(s, 2));
    R(setsockopt(s[0], SOL_SOCKET, DETACH, &(int){0}, sizeof(int)));
    R(setsockopt(s[0], SOL_SOCKET, DETACH, &(int){0}, sizeof(int)));
}

CHECK(tcp)
{
    struct sockaddr_in a = lo4(0);
    int s[3];

    for (int i = 0; i < 3; i++) {
        s[i] = shared(SOCK_STREAM, &a);
        NEED(listen(s[i], 8) == 0);
        NEED(fcntl(s[i], F_SETFL, O_NONBLOCK) == 0);
    }
    R(attach(s[0], last, 1));
    for (int k = 0; k < 5; k++) {
        R(connect(tcp4(), SA(a)));
        for (int i = 0; i < 3; i++)
            if (accept(s[i], NULL, NULL) >= 0)
                V(i);
    }
}

CHECK(errors)
{
    struct sockaddr_in a = lo4(0);
    int plain = udp4(), s = shared(SOCK_DGRAM, &a), early = udp4(), v = 1;

    R(attach(plain, by_byte, 2));
    R(attach(s, bad, 1));
    R(attach(s, by_byte, 0));
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &v, sizeof(v)));
    R(setsockopt(plain, SOL_SOCKET, DETACH, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, DETACH, &v, sizeof(v)));
    R(setsockopt(early, SOL_SOCKET, SO_REUSEPORT, &v, sizeof(v)));
    R(attach(early, by_byte, 2)); /* before bind; Differs: it may then share a port that is taken */
    a.sin_port = 0;
    R(bind(early, SA(a)));
}

CHECK(others)
{
    struct {
        uint32_t clock, flags;
    } tx = {CLOCK_MONOTONIC, 0};
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(8)];
    } c = {0};
    struct sockaddr_in a;
    int s = udp4(), r = bound4(SOCK_DGRAM, &a), v = -5;
    socklen_t len = sizeof(v);
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_name = &a,
                       .msg_namelen = sizeof(a),
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = sizeof(c)};
    char b[4];

    R(getsockopt(s, SOL_SOCKET, SO_INCOMING_CPU, &v, &len));
    V(v);
    v = 0;
    R(setsockopt(s, SOL_SOCKET, SO_INCOMING_CPU, &v, sizeof(v)));
    R(getsockopt(s, SOL_SOCKET, SO_INCOMING_CPU, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_INCOMING_NAPI_ID, &v, &len));
    V(v);
    R(setsockopt(s, SOL_SOCKET, SO_INCOMING_NAPI_ID, &v, sizeof(v)));
    c.h.cmsg_level = SOL_SOCKET;
    c.h.cmsg_type = SO_TXTIME;
    c.h.cmsg_len = CMSG_LEN(8);
    R(sendmsg(s, &m, 0));
    R(setsockopt(s, SOL_SOCKET, SO_TXTIME, &tx, sizeof(tx)));
    R(sendmsg(s, &m, 0));
    R(recv(r, b, sizeof(b), 0));
    c.h.cmsg_len = CMSG_LEN(4);
    R(sendmsg(s, &m, 0));
}
