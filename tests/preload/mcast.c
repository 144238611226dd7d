/* mcast.c: multicast sockets: joining and leaving, source filters, who hears what over loopback, broadcast,
 * the settings of what is sent. Loopback is said by its address or number each time: the host has no other
 * interface. */
#include "check.h"

#include "cmsgs.h"

#include <net/if.h>

#define GROUP  0xef010203 /* 239.1.2.3 */
#define GROUP2 0xef010204

static int join_by(int s, uint32_t group, uint32_t ifaddr, int name)
{
    struct ip_mreq m = {{htonl(group)}, {htonl(ifaddr)}};

    return setsockopt(s, IPPROTO_IP, name, &m, sizeof(m));
}
#define JOIN(s, g)  R(join_by(s, g, INADDR_LOOPBACK, IP_ADD_MEMBERSHIP))
#define LEAVE(s, g) R(join_by(s, g, INADDR_LOOPBACK, IP_DROP_MEMBERSHIP))

static int by_source(int s, int name, uint32_t group, uint32_t src)
{
    struct ip_mreq_source m = {.imr_multiaddr = {htonl(group)},
                               .imr_interface = {htonl(INADDR_LOOPBACK)},
                               .imr_sourceaddr = {htonl(src)}};

    return setsockopt(s, IPPROTO_IP, name, &m, sizeof(m));
}

/* A socket bound to the wildcard and a port, that shares it. */
static int sharing(uint32_t addr, uint16_t *port)
{
    struct sockaddr_in a = at4(addr, *port);
    int s = udp4();

    on(s, SOL_SOCKET, SO_REUSEADDR, 1);
    NEED(bind(s, SA(a)) == 0);
    *port = port_of(s);
    return s;
}

static int sender(void)
{
    struct in_addr lo = {htonl(INADDR_LOOPBACK)};
    int s = udp4();

    NEED(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)) == 0);
    return s;
}

static void heard(const char *what, int s)
{
    char b[8];
    int n = 0;

    nap(QUIET_MS);
    while (recv(s, b, sizeof(b), MSG_DONTWAIT) >= 0)
        n++;
    show(what, "%d heard", n);
}

CHECK(join_results)
{
    int s = udp4(), t = tcp4();
    struct ip_mreqn n = {{htonl(GROUP2)}, {0}, (int)if_nametoindex("lo")};

    R(join_by(s, 0x7f000001, INADDR_LOOPBACK, IP_ADD_MEMBERSHIP));
    R(join_by(s, GROUP, 0xc6120001, IP_ADD_MEMBERSHIP));
    R(join_by(s, GROUP, INADDR_ANY, IP_ADD_MEMBERSHIP));
    JOIN(s, GROUP);
    JOIN(s, GROUP);
    R(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
    R(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
    R(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
    R(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)));
    R(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, 4));
    LEAVE(s, GROUP);
    LEAVE(s, GROUP);
    n.imr_ifindex = 77;
    R(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)));
    JOIN(t, GROUP);
    for (uint32_t i = 0; i < 22; i++)
        if (join_by(s, GROUP + 10 + i, INADDR_LOOPBACK, IP_ADD_MEMBERSHIP) < 0) {
            V(i);
            show("errno", "%s", errname(errno));
        }
}

CHECK(who_hears)
{
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port), b = sharing(INADDR_ANY, &port), c = sharing(GROUP, &port);
    int d = sharing(INADDR_ANY, &port), e = sharing(INADDR_LOOPBACK, &port), s = sender();
    struct sockaddr_in to = at4(GROUP, port), other = at4(GROUP2, port);

    on(d, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("nobody is a member: a", a);
    JOIN(a, GROUP);
    R(sendto(s, "x", 1, 0, SA(to)));
    R(sendto(s, "x", 1, 0, SA(other)));
    heard("a, member", a);
    heard("b, by IP_MULTICAST_ALL", b);
    heard("c, bound to the group", c);
    heard("d, not IP_MULTICAST_ALL", d);
    heard("e, bound to an address", e);
    JOIN(d, GROUP2);
    R(sendto(s, "x", 1, 0, SA(other)));
    heard("a", a);
    heard("c", c);
    heard("d", d);
    close(a);
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("b after a closed", b);
}

CHECK(names_and_pktinfo)
{
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port), s = sender();
    struct sockaddr_in to = at4(GROUP, port);

    JOIN(a, GROUP);
    on(a, IPPROTO_IP, IP_PKTINFO, 1);
    on(a, IPPROTO_IP, IP_RECVTTL, 1);
    R(sendto(s, "x", 1, 0, SA(to)));
    nap(QUIET_MS);
    RECV(a, MSG_DONTWAIT);
    on(s, IPPROTO_IP, IP_MULTICAST_TTL, 7);
    R(sendto(s, "x", 1, 0, SA(to)));
    nap(QUIET_MS);
    RECV(a, MSG_DONTWAIT);
    R(connect(s, SA(to)));
    R(send(s, "y", 1, 0));
    nap(QUIET_MS);
    RECV(a, MSG_DONTWAIT);
}

CHECK(sources)
{
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port), s = sender(), t = sender();
    struct sockaddr_in to = at4(GROUP, port), f1 = at4(0x7f000001, 0), f2 = at4(0x7f000002, 0);

    NEED(bind(s, SA(f1)) == 0 && bind(t, SA(f2)) == 0);
    on(a, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    R(by_source(a, IP_BLOCK_SOURCE, GROUP, 0x7f000001));
    R(by_source(a, IP_ADD_SOURCE_MEMBERSHIP, GROUP, 0x7f000001));
    R(by_source(a, IP_ADD_SOURCE_MEMBERSHIP, GROUP, 0x7f000001));
    R(by_source(a, IP_BLOCK_SOURCE, GROUP, 0x7f000002));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("the source", a);
    R(sendto(t, "x", 1, 0, SA(to)));
    heard("the other", a);
    R(by_source(a, IP_ADD_SOURCE_MEMBERSHIP, GROUP, 0x7f000002));
    R(sendto(t, "x", 1, 0, SA(to)));
    heard("the other, added", a);
    R(by_source(a, IP_DROP_SOURCE_MEMBERSHIP, GROUP, 0x7f000001));
    R(by_source(a, IP_DROP_SOURCE_MEMBERSHIP, GROUP, 0x7f000001));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("the source, dropped", a);
    R(by_source(a, IP_DROP_SOURCE_MEMBERSHIP, GROUP, 0x7f000002));
    LEAVE(a, GROUP);
    JOIN(a, GROUP);
    R(by_source(a, IP_BLOCK_SOURCE, GROUP, 0x7f000001));
    R(by_source(a, IP_UNBLOCK_SOURCE, GROUP, 0x7f000009));
    R(by_source(a, IP_ADD_SOURCE_MEMBERSHIP, GROUP, 0x7f000009));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("blocked", a);
    R(sendto(t, "x", 1, 0, SA(to)));
    heard("not blocked", a);
    R(by_source(a, IP_UNBLOCK_SOURCE, GROUP, 0x7f000001));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("unblocked", a);
}

CHECK(protocol_independent)
{
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port), s = sender();
    struct sockaddr_in to = at4(GROUP, port);
    struct group_req g = {.gr_interface = if_nametoindex("lo")};
    struct group_source_req q = {.gsr_interface = if_nametoindex("lo")};
    struct sockaddr_in grp = at4(GROUP, 0), src = at4(0x7f000001, 0);

    memcpy(&g.gr_group, &grp, sizeof(grp));
    memcpy(&q.gsr_group, &grp, sizeof(grp));
    memcpy(&q.gsr_source, &src, sizeof(src));
    on(a, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    R(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
    R(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
    R(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, 8));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("joined", a);
    R(setsockopt(a, IPPROTO_IP, MCAST_BLOCK_SOURCE, &q, sizeof(q)));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("blocked", a);
    R(setsockopt(a, IPPROTO_IP, MCAST_UNBLOCK_SOURCE, &q, sizeof(q)));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("unblocked", a);
    R(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
    R(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
    R(setsockopt(a, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &q, sizeof(q)));
    R(sendto(s, "x", 1, 0, SA(to)));
    heard("by source", a);
    R(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &q, sizeof(q)));
    R(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &q, sizeof(q)));
    q.gsr_source.ss_family = AF_INET6;
    R(setsockopt(a, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &q, sizeof(q)));
}

CHECK(whole_filters)
{
    char room[IP_MSFILTER_SIZE(12)] __attribute__((aligned(8)));
    struct ip_msfilter *f = (struct ip_msfilter *)(void *)room;
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port);
    socklen_t len = sizeof(room);

    memset(room, 0, sizeof(room));
    f->imsf_multiaddr.s_addr = htonl(GROUP);
    f->imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
    f->imsf_fmode = MCAST_EXCLUDE;
    f->imsf_numsrc = 1;
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
    JOIN(a, GROUP);
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
    R(getsockopt(a, IPPROTO_IP, IP_MSFILTER, f, &len));
    V(len);
    V(f->imsf_fmode);
    V(f->imsf_numsrc);
    f->imsf_numsrc = 11;
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(11)));
    f->imsf_numsrc = 3;
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(2)));
    f->imsf_fmode = 5;
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(3)));
    f->imsf_fmode = MCAST_INCLUDE;
    f->imsf_numsrc = 0;
    R(setsockopt(a, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(0)));
    len = sizeof(room);
    R(getsockopt(a, IPPROTO_IP, IP_MSFILTER, f, &len));
    LEAVE(a, GROUP);
}

CHECK(sending_options)
{
    struct in_addr ia = {htonl(INADDR_LOOPBACK)}, none = {htonl(0xc6120009)}, any = {0};
    struct ip_mreqn n = {{0}, {0}, (int)if_nametoindex("lo")};
    struct sockaddr_in to = at4(GROUP, 9);
    int s = udp4(), v = -1;
    socklen_t len = sizeof(v);

    R(sendto(s, "x", 1, 0, SA(to)));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &none, sizeof(none)));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &ia, 1));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &ia, sizeof(ia)));
    R(getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &ia, &len));
    V(ntohl(ia.s_addr));
    R(sendto(s, "x", 1, 0, SA(to)));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &any, sizeof(any)));
    R(sendto(s, "x", 1, 0, SA(to)));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &n, sizeof(n)));
    R(sendto(s, "x", 1, 0, SA(to)));
    R(getsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &v, &len));
    V(v);
    for (int i = -2; i <= 256; i = i < 1 ? i + 1 : i == 1 ? 255 : i + 1)
        R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &i, sizeof(i)));
    R(getsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &v, &len));
    V(v);
    R(getsockopt(s, IPPROTO_IP, IP_MULTICAST_ALL, &v, &len));
    V(v);
    v = 2;
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_ALL, &v, sizeof(v)));
    R(setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &v, sizeof(v)));
    R(connect(s, SA(to)));
    R(send(s, "x", 1, 0));
}

CHECK(broadcast)
{
    uint16_t port = 0;
    int a = sharing(INADDR_ANY, &port), b = sharing(INADDR_ANY, &port), c = sharing(INADDR_LOOPBACK, &port);
    int d = sharing(0x7fffffff, &port), s = udp4();
    struct sockaddr_in to = at4(0x7fffffff, port);

    on(a, IPPROTO_IP, IP_PKTINFO, 1);
    R(sendto(s, "x", 1, 0, SA(to)));
    R(connect(s, SA(to)));
    on(s, SOL_SOCKET, SO_BROADCAST, 1);
    R(sendto(s, "x", 1, 0, SA(to)));
    nap(QUIET_MS);
    RECV(a, MSG_DONTWAIT);
    heard("another wildcard", b);
    heard("bound to an address", c);
    heard("bound to the broadcast address", d);
}
