/* test_mcast.c: membership of interfaces and sockets, and what is told to routers: IGMPv3 (RFC 3376) with its
 * older queriers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/cksum.h"
#include "../../stack/dgram_mc.h"
#include "../../stack/mcast.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../../stack/wire_igmp.h"
#include "env.h"

#define GROUP    IP4(239, 1, 2, 3)
#define SRC1     IP4(198, 18, 0, 77)
#define SRC2     IP4(198, 18, 0, 78)
#define ALL_V3   IP4(224, 0, 0, 22)
#define ALL_HOST IP4(224, 0, 0, 1)

static struct env_seen seen;

static struct sock *member(struct env *e, uint32_t group)
{
    struct ip_mreq mr = {{group}, {ENV_IP}};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sock *s;
    int on = 1;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    if (group)
        cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof mr), 0);
    return s;
}

static int source_opt(struct env *e, struct sock *s, int name, uint32_t group, uint32_t src)
{
    struct ip_mreq_source m = {.imr_multiaddr = {group}, .imr_interface = {ENV_IP}, .imr_sourceaddr = {src}};

    return sock_setsockopt(e->st, s, IPPROTO_IP, name, &m, sizeof m);
}

static ssize_t got(struct env *e, struct sock *s)
{
    char b[64];
    struct iovec iov = {b, sizeof b};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return sock_recvmsg(e->st, s, &m, MSG_DONTWAIT, 0);
}

static void from(struct env *e, uint32_t src, uint32_t group)
{
    env_inject(e, env_udp(e, src, 9, group, 7, "x", 1));
    env_poll(e);
}

/* The next frame is an IGMPv3 report with one record of this type about GROUP and n sources. */
static void expect_report(struct env *e, unsigned type, unsigned n)
{
    cr_assert(env_seen(e, &seen), "no report");
    cr_assert_eq(seen.ip->proto, IPPROTO_IGMP);
    cr_assert_eq(seen.ip->dst_be, ALL_V3);
    cr_assert_eq(seen.ip->ttl, 1);
    cr_assert_eq(ip4_hlen(seen.ip), 24);
    cr_assert_eq(((const uint8_t *)seen.ip)[20], IP4_OPT_RA);
    cr_assert_eq(seen.eth->dst[0], 1);
    cr_assert_eq(seen.eth->dst[5], 22);
    cr_assert_eq(seen.l4[0], IGMP_T_REPORT_V3);
    cr_assert_eq(cksum(seen.l4, 8 + 8 + n * 4), 0);
    cr_assert_eq(seen.l4[7], 1, "%u records", seen.l4[7]);
    cr_assert_eq(seen.l4[8], type, "type %u, not %u", seen.l4[8], type);
    cr_assert_eq(seen.l4[11], n, "%u sources, not %u", seen.l4[11], n);
    cr_assert_arr_eq(seen.l4 + 12, &(uint32_t){GROUP}, 4);
}

static void expect_old(struct env *e, unsigned type, uint32_t dst)
{
    cr_assert(env_seen(e, &seen), "no message");
    cr_assert_eq(seen.l4[0], type, "type %x", seen.l4[0]);
    cr_assert_eq(seen.ip->dst_be, dst);
    cr_assert_eq(cksum(seen.l4, 8), 0);
}

/* A query from the peer; len 8 (code 0: v1) or 12 and up. */
static void query(struct env *e, uint32_t group, uint8_t code, unsigned nsrc, uint32_t src, unsigned len)
{
    uint8_t q[16] = {IGMP_T_QUERY, code};
    struct env_ip ip = {.proto = IPPROTO_IGMP, .ttl = 1, .dst = group ? group : ALL_HOST};
    static const uint8_t mac[6] = {1, 0, 0x5e, 0, 0, 1};
    uint16_t sum;

    ip.dmac = mac;
    memcpy(q + 4, &group, 4);
    q[8] = 2;
    q[11] = (uint8_t)nsrc;
    memcpy(q + 12, &src, 4);
    sum = cksum(q, len);
    memcpy(q + 2, &sum, 2);
    env_inject(e, env_ip4(e, &ip, q, len));
    env_poll(e);
}

Test(mcast, only_members_receive)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, GROUP), *all = member(e, 0), *none = member(e, 0);
    int off = 0;

    cr_assert_eq(sock_setsockopt(e->st, none, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off), 0);
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, s), 1);
    cr_assert_eq(got(e, all), 1); /* IP_MULTICAST_ALL */
    cr_assert_eq(got(e, none), -EAGAIN);
    from(e, SRC1, IP4(239, 9, 9, 9));
    cr_assert_eq(got(e, all), -EAGAIN);
    cr_assert_eq(e->sh->count[COUNT_IP_NOT_MEMBER], 1);
    file_put(e->st, &s->file);
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, all), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(mcast, join_and_leave_are_reported_twice)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, GROUP), *t;

    env_advance_ms(e, 5);
    expect_report(e, MC_TO_EX, 0);
    env_advance_ms(e, 1100);
    expect_report(e, MC_TO_EX, 0);
    env_advance_ms(e, 5000);
    cr_assert_eq(env_tx_count(e), 0);
    t = member(e, GROUP); /* nothing new to a router */
    env_advance_ms(e, 2000);
    cr_assert_eq(env_tx_count(e), 0);
    file_put(e->st, &t->file);
    env_advance_ms(e, 2000);
    cr_assert_eq(env_tx_count(e), 0);
    file_put(e->st, &s->file);
    env_advance_ms(e, 5);
    expect_report(e, MC_TO_IN, 0);
    env_advance_ms(e, 1100);
    expect_report(e, MC_TO_IN, 0);
    env_advance_ms(e, 5000);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(mcast, source_filters)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, 0);

    cr_assert_eq(source_opt(e, s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, SRC1), 0);
    cr_assert_eq(source_opt(e, s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, SRC1), -EADDRNOTAVAIL);
    cr_assert_eq(source_opt(e, s, IP_BLOCK_SOURCE, GROUP, SRC1), -EINVAL);
    env_advance_ms(e, 5);
    expect_report(e, MC_ALLOW, 1);
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, s), 1);
    from(e, SRC2, GROUP);
    cr_assert_eq(got(e, s), -EAGAIN);
    env_advance_ms(e, 1100);
    expect_report(e, MC_ALLOW, 1);
    cr_assert_eq(source_opt(e, s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, SRC2), 0);
    env_advance_ms(e, 5);
    expect_report(e, MC_ALLOW, 1);
    env_advance_ms(e, 2100);
    env_tx_clear(e);
    cr_assert_eq(source_opt(e, s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, SRC1), 0);
    env_advance_ms(e, 5);
    expect_report(e, MC_BLOCK, 1);
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, s), -EAGAIN);
    cr_assert_eq(source_opt(e, s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, SRC2), 0); /* of nothing: left */
    cr_assert_eq(source_opt(e, s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, SRC2), -EINVAL);
    from(e, SRC2, GROUP);
    cr_assert_eq(got(e, s), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(mcast, excluded_source_and_two_sockets)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, GROUP), *t = member(e, GROUP);

    env_advance_ms(e, 3000);
    env_tx_clear(e);
    cr_assert_eq(source_opt(e, s, IP_BLOCK_SOURCE, GROUP, SRC1), 0);
    env_advance_ms(e, 2000);
    cr_assert_eq(env_tx_count(e), 0); /* the other still wants it */
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, s), -EAGAIN);
    cr_assert_eq(got(e, t), 1);
    cr_assert_eq(source_opt(e, t, IP_BLOCK_SOURCE, GROUP, SRC1), 0);
    env_advance_ms(e, 5);
    expect_report(e, MC_BLOCK, 1);
    from(e, SRC1, GROUP);
    cr_assert_eq(got(e, t), -EAGAIN);
    cr_assert_eq(source_opt(e, t, IP_UNBLOCK_SOURCE, GROUP, SRC1), 0);
    env_advance_ms(e, 5);
    expect_report(e, MC_ALLOW, 1);
}

Test(mcast, queries_are_answered)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, GROUP);

    env_advance_ms(e, 3000);
    env_tx_clear(e);
    query(e, 0, 20, 0, 0, 12); /* general: within 2 s */
    cr_assert_eq(env_tx_count(e), 0);
    env_advance_ms(e, 2100);
    expect_report(e, MC_IS_EX, 0);
    query(e, GROUP, 10, 0, 0, 12);
    env_advance_ms(e, 1100);
    expect_report(e, MC_IS_EX, 0);
    query(e, GROUP, 10, 1, SRC1, 16);
    env_advance_ms(e, 1100);
    expect_report(e, MC_IS_IN, 1);
    cr_assert_eq(source_opt(e, s, IP_BLOCK_SOURCE, GROUP, SRC1), 0);
    env_advance_ms(e, 3000);
    env_tx_clear(e);
    query(e, GROUP, 10, 1, SRC1, 16); /* not wanted: no answer */
    query(e, IP4(239, 7, 7, 7), 10, 0, 0, 12);
    env_advance_ms(e, 2000);
    cr_assert_eq(env_tx_count(e), 0);
    query(e, GROUP, 10, 200, SRC1, 16); /* says that it is longer than it is */
    env_advance_ms(e, 2000);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(mcast, version_2_querier)
{
    struct env *e = env_stack(NULL);
    uint8_t r[8];
    struct env_ip ip = {.proto = IPPROTO_IGMP, .ttl = 1, .dst = GROUP};
    struct sock *s = member(e, GROUP), *t;

    env_advance_ms(e, 3000);
    env_tx_clear(e);
    query(e, 0, 10, 0, 0, 8);
    env_advance_ms(e, 1100);
    expect_old(e, IGMP_T_REPORT_V2, GROUP);
    t = member(e, IP4(239, 5, 5, 5));
    env_advance_ms(e, 5);
    expect_old(e, IGMP_T_REPORT_V2, IP4(239, 5, 5, 5));
    env_advance_ms(e, 10100);
    expect_old(e, IGMP_T_REPORT_V2, IP4(239, 5, 5, 5));
    file_put(e->st, &t->file);
    env_advance_ms(e, 5);
    expect_old(e, IGMP_T_LEAVE, IP4(224, 0, 0, 2));
    query(e, 0, 10, 0, 0, 8); /* somebody else is first */
    wire_igmp_emit(r, IGMP_T_REPORT_V2, GROUP);
    env_inject(e, env_ip4(e, &ip, r, sizeof r));
    env_poll(e);
    env_advance_ms(e, 1100);
    cr_assert_eq(env_tx_count(e), 0);
    file_put(e->st, &s->file); /* whose leaving is not ours to tell */
    env_advance_ms(e, 1100);
    cr_assert_eq(env_tx_count(e), 0);
    member(e, GROUP);
    env_advance_ms(e, 300000); /* that querier is gone (RFC 3376 section 8.12) */
    env_tx_clear(e);
    query(e, 0, 10, 0, 0, 12);
    env_advance_ms(e, 1100);
    expect_report(e, MC_IS_EX, 0);
}

Test(mcast, own_datagrams_are_heard_when_asked)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, GROUP);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = GROUP};
    struct iovec iov = {"hi", 2};
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1};
    int off = 0;

    env_advance_ms(e, 3000);
    env_tx_clear(e);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 2);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->ttl, 1);
    cr_assert_eq(seen.ip->dst_be, GROUP);
    cr_assert_eq(got(e, s), 2);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off), 0);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 2);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(got(e, s), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(mcast, limits)
{
    struct env *e = env_stack(NULL);
    struct sock *s = member(e, 0);
    struct ip_mreq mr = {{0}, {ENV_IP}};

    for (uint32_t i = 0; i < 21; i++) {
        mr.imr_multiaddr.s_addr = IP4(239, 1, 1, i);
        cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof mr),
                     i < 20 ? 0 : -ENOBUFS);
    }
    for (uint32_t i = 1; i <= 11; i++)
        cr_assert_eq(source_opt(e, s, IP_BLOCK_SOURCE, IP4(239, 1, 1, 0), IP4(198, 18, 1, i)),
                     i <= 10 ? 0 : -ENOBUFS);
    file_put(e->st, &s->file);
    env_advance_ms(e, 3000);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

/* The next frame is MLD's: its ICMPv6 message; *src: where the IPv6 header begins. */
static const uint8_t *mld_seen(struct env *e, const uint8_t **ip)
{
    struct ipaddr src, dst;

    cr_assert(env_seen(e, &seen), "no message");
    *ip = seen.raw + 14;
    cr_assert_eq(seen.type, 0x86dd);
    cr_assert_eq(seen.eth->dst[0], 0x33);
    cr_assert_eq((*ip)[6], 0, "hop-by-hop options first");
    cr_assert_eq((*ip)[7], 1);
    cr_assert_arr_eq(*ip + 40, ((const uint8_t[]){58, 0, 5, 2, 0, 0, 1, 0}), 8);
    memcpy(src.b, *ip + 8, 16);
    memcpy(dst.b, *ip + 24, 16);
    uint32_t len = seen.len - 14 - 48;
    uint64_t sum = cksum_add_pseudo(0, &src, &dst, 58, len);
    cr_assert_eq(cksum_fold(cksum_add(sum, *ip + 48, len)), 0xffff);
    return *ip + 48;
}

Test(mcast, listener_reports_of_ipv6)
{
    struct env *e = env_stack(NULL);
    struct ipv6_mreq m = {.ipv6mr_interface = (unsigned)stack_if_shown(e->st, ENV_IF)};
    static const uint8_t group[16] = {0xff, 0x15, [15] = 0x77}, routers[16] = {0xff, 2, [15] = 0x16};
    const uint8_t *ip, *p;
    struct sock *s;

    memcpy(&m.ipv6mr_multiaddr, group, 16);
    cr_assert_eq(sock_new(e->st, AF_INET6, SOCK_DGRAM, 0, &s), 0);
    env_advance_ms(e, 5000);
    env_tx_clear(e);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m), 0);
    env_advance_ms(e, 5);
    p = mld_seen(e, &ip);
    cr_assert_arr_eq(ip + 24, routers, 16);
    cr_assert_eq(p[0], 143);
    cr_assert_eq(p[7], 1);
    cr_assert_eq(p[8], MC_TO_EX);
    cr_assert_arr_eq(p + 12, group, 16);
    env_advance_ms(e, 1100);
    mld_seen(e, &ip);
    file_put(e->st, &s->file);
    env_advance_ms(e, 5);
    p = mld_seen(e, &ip);
    cr_assert_eq(p[8], MC_TO_IN);
    env_advance_ms(e, 2000);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}
