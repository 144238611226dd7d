/* dgram6.c: datagram sockets over IPv6: the error queue, control messages both ways, groups. */
#include "check.h"

#include "cmsgs.h"

#include <net/if.h>

static struct sockaddr_in6 lo6(uint16_t port)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    return a;
}

static int bound6(struct sockaddr_in6 *a)
{
    int s = socket(AF_INET6, SOCK_DGRAM, 0);

    *a = lo6(0);
    NEED(s >= 0 && bind(s, SA(*a)) == 0);
    a->sin6_port = htons(port_of(s));
    return s;
}

CHECK(recverr)
{
    struct sockaddr_in6 a;
    int s = socket(AF_INET6, SOCK_DGRAM, 0);
    char b[8];

    close(bound6(&a));
    R(sendto(s, "x", 1, 0, SA(a)));
    nap(QUIET_MS);
    R(recv(s, b, 8, MSG_DONTWAIT));
    on(s, IPPROTO_IPV6, IPV6_RECVERR, 1);
    R(sendto(s, "hello", 5, 0, SA(a)));
    nap(QUIET_MS);
    EV(poll_for(s, POLLIN, 0));
    ERRQ(s);
    ERRQ(s);
    SOERR(s);
    R(connect(s, SA(a)));
    R(send(s, "x", 1, 0));
    nap(QUIET_MS);
    R(send(s, "x", 1, 0));
    ERRQ(s);
}

CHECK(control)
{
    struct sockaddr_in6 a;
    int r = bound6(&a), s = socket(AF_INET6, SOCK_DGRAM, 0);

    on(r, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    on(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    on(r, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    R(sendto(s, "x", 1, 0, SA(a)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
    on(s, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
    on(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
    R(sendto(s, "x", 1, 0, SA(a)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
}

CHECK(groups)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, to = {.sin6_family = AF_INET6};
    struct ipv6_mreq m = {.ipv6mr_interface = if_nametoindex("lo")};
    int r = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0),
        lo = (int)if_nametoindex("lo");

    NEED(bind(r, SA(any)) == 0);
    inet_pton(AF_INET6, "ff15::77", &m.ipv6mr_multiaddr);
    to.sin6_addr = m.ipv6mr_multiaddr;
    to.sin6_port = htons(port_of(r));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &lo, sizeof(lo)));
    R(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)));
    R(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)));
    on(r, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    R(sendto(s, "x", 1, 0, SA(to)));
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
    R(setsockopt(r, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof(m)));
    R(setsockopt(r, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof(m)));
    m.ipv6mr_interface = 99;
    R(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)));
    m.ipv6mr_multiaddr = in6addr_loopback;
    R(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)));
}
