/* ipv6.c: IPv6 itself over ::1. */
#include "check.h"

static struct sockaddr_in6 lo6(uint16_t port)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    return a;
}

CHECK(stream)
{
    struct sockaddr_in6 a = lo6(0), p = {0};
    socklen_t len = sizeof(p);
    int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0), s;
    char b[8];

    R(bind(l, SA(a)));
    R(listen(l, 1));
    a = lo6(port_of(l));
    R(connect(c, SA(a)));
    s = FD(accept(l, (struct sockaddr *)&p, &len));
    V(len);
    V(memcmp(&p.sin6_addr, &in6addr_loopback, 16));
    R(send(c, "six", 3, 0));
    R(recv(s, b, 8, 0));
    close(c);
    R(recv(s, b, 8, 0));
}

CHECK(datagram)
{
    struct sockaddr_in6 a = lo6(0), from = {0};
    socklen_t len = sizeof(from);
    int r = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0);
    char b[8];

    R(bind(r, SA(a)));
    a = lo6(port_of(r));
    R(sendto(s, "six", 3, 0, SA(a)));
    R(recvfrom(r, b, 8, 0, (struct sockaddr *)&from, &len));
    V(memcmp(&from.sin6_addr, &in6addr_loopback, 16));
}

CHECK(refused)
{
    struct sockaddr_in6 a = lo6(1);

    R(connect(socket(AF_INET6, SOCK_STREAM, 0), SA(a)));
}

CHECK(dual_listener_both_ways)
{
    struct sockaddr_in6 w = {.sin6_family = AF_INET6}, a;
    struct sockaddr_in a4;
    int l = socket(AF_INET6, SOCK_STREAM, 0);

    R(bind(l, SA(w)));
    R(listen(l, 4));
    a = lo6(port_of(l));
    a4 = lo4(port_of(l));
    R(connect(socket(AF_INET6, SOCK_STREAM, 0), SA(a)));
    R(connect(tcp4(), SA(a4)));
    FD(accept(l, NULL, NULL));
    FD(accept(l, NULL, NULL));
}
