/* udplite.c: UDP-Lite (RFC 3828): sockets, ports beside UDP's, coverage of checksums, IPv6. */
#include "check.h"

#define LITE     136
#define SEND_COV 10
#define RECV_COV 11

static int lite(struct sockaddr_in *a)
{
    int s = socket(AF_INET, SOCK_DGRAM, LITE);

    *a = lo4(0);
    NEED(s >= 0 && bind(s, SA(*a)) == 0);
    a->sin_port = htons(port_of(s));
    return s;
}

static int set(int s, int name, int v)
{
    return setsockopt(s, LITE, name, &v, sizeof(v));
}

static void take(int s)
{
    char b[64];
    struct sockaddr_in a;
    socklen_t len = sizeof(a);

    if (poll_for(s, POLLIN, QUIET_MS) & POLLIN)
        show("got", "%zd", recvfrom(s, b, sizeof(b), 0, (struct sockaddr *)&a, &len));
    else
        show("got", "nothing");
}

CHECK(creation)
{
    int s = FD(socket(AF_INET, SOCK_DGRAM, LITE)), v = 0;
    socklen_t len = sizeof(v);

    FD(socket(AF_INET6, SOCK_DGRAM, LITE));
    FD(socket(AF_INET, SOCK_STREAM, LITE));
    R(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_NO_CHECK, &v, &len));
    V(v);
}

CHECK(talk)
{
    struct sockaddr_in a, b;
    int s = lite(&a), r = lite(&b), udp = udp4(), raw = socket(AF_INET, SOCK_RAW, LITE);
    uint8_t p[64] = {0};

    R(bind(udp, SA(b))); /* the same port is free for UDP */
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
    take(udp);
    R(recv(raw, p, sizeof(p), MSG_DONTWAIT));
    show("header", "length %u", p[24] << 8 | p[25]);
    R(set(s, SEND_COV, 8));
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
    R(recv(raw, p, sizeof(p), MSG_DONTWAIT));
    show("header", "coverage %u", p[24] << 8 | p[25]);
    R(connect(s, SA(b)));
    R(send(s, "connected", 9, 0));
    take(r);
    close(r);
    R(send(s, "x", 1, 0));
    nap(QUIET_MS);
    R(send(s, "x", 1, 0));
}

CHECK(coverage)
{
    struct sockaddr_in a, b;
    int s = lite(&a), r = lite(&b);

    R(set(r, RECV_COV, 10));
    R(set(s, SEND_COV, 8));
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
    R(set(s, SEND_COV, 10));
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
    R(set(s, SEND_COV, 0));
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
    R(sendto(s, "", 0, 0, SA(b)));
    take(r);
    R(set(r, RECV_COV, 0));
    R(set(s, SEND_COV, 9));
    R(sendto(s, "hello", 5, 0, SA(b)));
    take(r);
}

CHECK(options)
{
    struct sockaddr_in a;
    int s = lite(&a), v;
    static const int values[] = {0, 1, 8, 1000, 65535, 70000, -1};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        socklen_t len = sizeof(v);

        R(set(s, SEND_COV, values[i]));
        R(getsockopt(s, LITE, SEND_COV, &v, &len));
        V(v);
        R(set(s, RECV_COV, values[i]));
        R(getsockopt(s, LITE, RECV_COV, &v, &len));
        V(v);
    }
    R(setsockopt(s, IPPROTO_UDP, SEND_COV, &v, sizeof(v)));
    R(setsockopt(udp4(), IPPROTO_UDP, SEND_COV, &v, sizeof(v)));
}

CHECK(ipv6)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int s = socket(AF_INET6, SOCK_DGRAM, LITE), r = socket(AF_INET6, SOCK_DGRAM, LITE);

    R(bind(r, SA(a)));
    a.sin6_port = htons(port_of(r));
    R(set(s, SEND_COV, 12));
    R(sendto(s, "hello there", 11, 0, SA(a)));
    take(r);
}
