/* raw6.c: raw and ping sockets of AF_INET6. */
#include "check.h"

#include <netinet/icmp6.h>

static const struct sockaddr_in6 self = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

static int raw6(int proto)
{
    int fd = socket(AF_INET6, SOCK_RAW, proto);

    NEED(fd >= 0);
    return fd;
}

static void got(int fd)
{
    struct sockaddr_in6 from;
    socklen_t len = sizeof(from);
    uint8_t b[2048] = {0};
    ssize_t n;

    if (!(poll_for(fd, POLLIN, QUIET_MS) & POLLIN)) {
        show("packet", "none");
        return;
    }
    n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len);
    show("packet", "%zd bytes, first %d %d, from itself %d, port %d, namelen %u", n, b[0], b[1],
         IN6_IS_ADDR_LOOPBACK(&from.sin6_addr), ntohs(from.sin6_port), len);
}

static size_t echo(uint8_t *b)
{
    struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST};

    h.icmp6_id = htons(5);
    memset(b, 'x', 24);
    memcpy(b, &h, sizeof(h));
    return 24;
}

CHECK(creation)
{
    FD(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    FD(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW));
    FD(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    FD(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMP));
    FD(socket(AF_INET6, SOCK_RAW, 0));
}

CHECK(ping_oneself)
{
    int a = raw6(IPPROTO_ICMPV6), b = raw6(IPPROTO_ICMPV6), other = raw6(253);
    uint8_t m[64];

    R(sendto(a, m, echo(m), 0, SA(self)));
    got(a);
    got(a);
    got(a);
    got(b);
    got(b);
    got(other);
    R(connect(a, SA(self)));
    R(send(a, m, echo(m), 0));
    got(a);
}

CHECK(icmp6_filter)
{
    int s = raw6(IPPROTO_ICMPV6), o = raw6(253);
    struct icmp6_filter f, g;
    socklen_t len = sizeof(g);
    uint8_t m[64];

    ICMP6_FILTER_SETBLOCKALL(&f);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
    R(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)));
    R(getsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &g, &len));
    V(len);
    V(memcmp(&f, &g, sizeof(f)));
    R(sendto(s, m, echo(m), 0, SA(self)));
    got(s);
    got(s);
    R(setsockopt(o, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)));
    R(setsockopt(s, IPPROTO_ICMPV6, 77, &f, sizeof(f)));
}

CHECK(checksum)
{
    int s = raw6(253), r = raw6(253), i = raw6(IPPROTO_ICMPV6), v = 2;
    socklen_t len = sizeof(v);
    uint8_t m[8] = {1, 2, 0, 0, 5, 6, 7, 8}, b[64];

    R(getsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &v, &len));
    V(v);
    R(getsockopt(i, IPPROTO_IPV6, IPV6_CHECKSUM, &v, &len));
    V(v);
    v = 2;
    R(setsockopt(i, IPPROTO_IPV6, IPV6_CHECKSUM, &v, sizeof(v)));
    v = 3;
    R(setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &v, sizeof(v)));
    v = 2;
    R(setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &v, sizeof(v)));
    R(sendto(s, m, 8, 0, SA(self)));
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    V(b[2] | b[3]);
    show("sum", "%02x%02x", b[2], b[3]);
    R(sendto(s, m, 3, 0, SA(self)));
    v = -1;
    R(setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &v, sizeof(v)));
    R(getsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &v, &len));
    V(v);
}

CHECK(names)
{
    int s = raw6(IPPROTO_ICMPV6);
    struct sockaddr_in6 a = self, g = {0};
    struct sockaddr_in v4 = lo4(0);
    socklen_t len = sizeof(g);
    uint8_t m[64];

    R(getsockname(s, (struct sockaddr *)&g, &len));
    V(ntohs(g.sin6_port));
    R(bind(s, SA(a)));
    R(bind(s, (struct sockaddr *)&a, 8));
    R(bind(s, SA(v4)));
    a.sin6_port = htons(9);
    R(sendto(s, m, echo(m), 0, SA(a)));
    a.sin6_port = htons(IPPROTO_ICMPV6);
    R(sendto(s, m, echo(m), 0, SA(a)));
    R(sendto(s, m, echo(m), 0, SA(v4)));
    R(send(s, m, echo(m), 0));
    a.sin6_addr.s6_addr[0] = 0x20;
    R(bind(s, SA(a)));
}

CHECK(ping_socket)
{
    int s = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6), o = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
    uint8_t m[64];

    R(sendto(s, m, echo(m), 0, SA(self)));
    got(s);
    got(s);
    got(o);
    m[0] = ICMP6_ECHO_REPLY;
    R(sendto(s, m, 24, 0, SA(self)));
    R(sendto(s, m, 7, 0, SA(self)));
    R(send(s, m, echo(m), 0));
    R(connect(s, SA(self)));
    R(send(s, m, echo(m), 0));
    got(s);
}
