/* test_icmp.c: ICMP in and out: echo, errors about our packets, errors about theirs and when none may be
 * sent. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/cksum.h"
#include "../../stack/ifnet.h"
#include "env.h"

static struct env_seen s;
static uint8_t data[2000];

/* ---- echo ---- */

Test(icmp, echo_is_answered)
{
    struct env *e = env_net(NULL);

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    cr_assert_eq(env_input(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_T_ECHO, 0, 0x12340001, data, 1000)),
                 IP_DONE);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.ip->src_be, ENV_IP);
    cr_assert_eq(s.ip->dst_be, ENV_PEER_IP);
    cr_assert_eq(s.l4[0], ICMP_T_ECHO_REPLY);
    cr_assert_eq(s.l4[4], 0x12);
    cr_assert_eq(s.l4[7], 0x01);
    cr_assert_eq(s.data_len, 1000);
    cr_assert_arr_eq(s.data, data, 1000);
    cr_assert_eq(cksum(s.l4, 1008), 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, echo_larger_than_the_mtu)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_ICMP, .id = 77, .off = IP4_MF};
    static uint8_t msg[8 + 2992];
    uint16_t sum;
    unsigned n = 0;

    msg[0] = ICMP_T_ECHO;
    sum = cksum(msg, sizeof msg);
    memcpy(msg + 2, &sum, 2);
    cr_assert_eq(env_input(e, env_ip4(e, &ip, msg, 1480)), IP_DONE);
    ip.off = 1480 / 8 | IP4_MF;
    cr_assert_eq(env_input(e, env_ip4(e, &ip, msg + 1480, 1480)), IP_DONE);
    ip.off = 2960 / 8;
    cr_assert_eq(env_input(e, env_ip4(e, &ip, msg + 2960, 40)), IP_DONE);
    for (; env_seen(e, &s); n++)
        ;
    cr_assert_eq(n, 3, "the reply leaves in fragments too");
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, echo_to_broadcast_is_not_answered)
{
    struct env *e = env_net(NULL);

    env_input(e, env_icmp(e, ENV_PEER_IP, IP4(198, 18, 0, 255), ICMP_T_ECHO, 0, 0, data, 10));
    cr_assert_not(env_seen(e, &s));
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, echo_in_a_shared_buffer_is_copied)
{
    struct env *e = env_net(NULL);
    struct rte_mbuf *m = env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_T_ECHO, 0, 0, data, 10);

    rte_mbuf_refcnt_update(m, 1);
    env_input(e, m);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.l4[0], ICMP_T_ECHO_REPLY);
    cr_assert_eq(*rte_pktmbuf_mtod(m, uint8_t *), ICMP_T_ECHO, "the other holder's data is as it was");
    rte_pktmbuf_free(m);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, bad_checksum_and_cut_short)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_ICMP};
    uint8_t msg[16] = {ICMP_T_ECHO, 0, 0x12, 0x34};

    env_input(e, env_ip4(e, &ip, msg, sizeof msg));
    cr_assert_eq(e->sh->count[COUNT_ICMP_CSUM], 1);
    for (size_t n = 0; n < ICMP_HDR_LEN; n++)
        env_input(e, env_ip4(e, &ip, msg, n));
    cr_assert_eq(e->sh->count[COUNT_ICMP_ERR], ICMP_HDR_LEN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, replies_redirects_and_the_unknown_are_swallowed)
{
    static const uint8_t types[] = {ICMP_T_ECHO_REPLY, ICMP_T_REDIRECT, 9, 10, ICMP_T_TIMESTAMP, 17, 200};
    struct env *e = env_net(NULL);

    for (unsigned i = 0; i < sizeof types; i++)
        cr_assert_eq(env_input(e, env_icmp(e, ENV_PEER_IP, ENV_IP, types[i], 0, 0, data, 40)), IP_DONE);
    cr_assert_not(env_seen(e, &s));
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- errors about our packets ---- */

/* An IP packet of ours as a router quotes it: header and n bytes of TCP. */
static size_t quote(uint8_t *p, uint32_t src, uint8_t ihl, uint16_t off, size_t n)
{
    struct ip4_hdr *ip = (struct ip4_hdr *)p;
    struct tcp_hdr_in h = {.sport_be = htons(40000), .dport_be = htons(80), .seq = 0x01020304, .hlen = 20};
    uint8_t tcp[20];

    memset(p, 0, 60);
    ip->ver_ihl = ihl;
    ip->len_be = htons(1500);
    ip->off_be = htons(off);
    ip->proto = IPPROTO_TCP;
    ip->src_be = src;
    ip->dst_be = ENV_OTHER_IP;
    wire_tcp_emit(tcp, &h);
    memcpy(p + ip4_hlen(ip), tcp, n);
    return ip4_hlen(ip) + n;
}

static enum ip_verdict error_in(struct env *e, uint8_t type, uint8_t code, uint32_t rest, const void *q,
                                size_t n)
{
    return env_input(e, env_icmp(e, ENV_PEER_IP, ENV_IP, type, code, rest, q, n));
}

Test(icmp, error_names_our_packet)
{
    struct env *e = env_net(NULL);
    uint8_t q[100];
    size_t n = quote(q, ENV_IP, 0x45, IP4_DF, 8);

    cr_assert_eq(error_in(e, ICMP_T_UNREACH, ICMP_C_FRAG_NEEDED, 1280, q, n), IP_ICMP_ERROR);
    cr_assert_eq(e->err.err, EMSGSIZE);
    cr_assert_eq(e->err.mtu, 1280);
    cr_assert_eq(e->err.fatal, 0);
    cr_assert_eq(ipaddr_get_v4(&e->err.src), ENV_IP);
    cr_assert_eq(ipaddr_get_v4(&e->err.dst), ENV_OTHER_IP);
    cr_assert_eq(ipaddr_get_v4(&e->err.from), ENV_PEER_IP);
    cr_assert_eq(e->err.proto, IPPROTO_TCP);
    cr_assert_eq(e->err.sport_be, htons(40000));
    cr_assert_eq(e->err.dport_be, htons(80));
    cr_assert_eq(e->err.seq, 0x01020304);
    cr_assert_eq(e->err.data_len, 28);
    cr_assert_arr_eq(e->err.data, q, 28);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, error_meaning_is_linuxs)
{
    static const struct {
        uint8_t type, code;
        int err;
        uint8_t fatal;
    } want[] = {{3, 0, ENETUNREACH, 0},   {3, 1, EHOSTUNREACH, 0},  {3, 2, ENOPROTOOPT, 1},
                {3, 3, ECONNREFUSED, 1},  {3, 5, EOPNOTSUPP, 0},    {3, 6, ENETUNREACH, 1},
                {3, 7, EHOSTDOWN, 1},     {3, 8, ENONET, 1},        {3, 13, EHOSTUNREACH, 1},
                {11, 0, EHOSTUNREACH, 0}, {11, 1, EHOSTUNREACH, 0}, {12, 0, EPROTO, 1}};
    struct env *e = env_net(NULL);
    uint8_t q[100];
    size_t n = quote(q, ENV_IP, 0x45, 0, 8);

    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++) {
        cr_assert_eq(error_in(e, want[i].type, want[i].code, 0, q, n), IP_ICMP_ERROR);
        cr_assert_eq(e->err.err, want[i].err, "type %u code %u", want[i].type, want[i].code);
        cr_assert_eq(e->err.fatal, want[i].fatal);
        env_done(e);
    }
    cr_assert_eq(error_in(e, ICMP_T_SOURCE_QUENCH, 0, 0, q, n), IP_DONE); /* RFC 6633 */
    cr_assert_eq(error_in(e, ICMP_T_UNREACH, 16, 0, q, n), IP_DONE);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, error_with_a_quote_that_can_not_be_ours)
{
    struct env *e = env_net(NULL);
    uint8_t q[100];
    size_t n = quote(q, ENV_OTHER_IP, 0x45, 0, 8);

    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_DONE); /* another's */
    n = quote(q, ENV_IP, 0x45, 100, 8);
    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_DONE); /* a later fragment */
    n = quote(q, ENV_IP, 0x65, 0, 8);
    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_DONE); /* version 6 */
    n = quote(q, ENV_IP, 0x45, 0, 8);
    q[0] = 0x44;
    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_DONE); /* header length 16 */
    q[0] = 0x4f;
    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_DONE); /* header longer than the quote */
    n = quote(q, ENV_IP, 0x45, 0, 8);
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_eq(error_in(e, 3, 1, 0, q, cut), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_ICMP_ERR], 5 + n);
    n = quote(q, ENV_IP, 0x4f, 0, 8); /* with 40 bytes of options it is fine */
    cr_assert_eq(error_in(e, 3, 1, 0, q, n), IP_ICMP_ERROR);
    cr_assert_eq(e->err.sport_be, htons(40000));
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, error_in_a_chain)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_ICMP};
    uint8_t msg[128] = {ICMP_T_UNREACH, ICMP_C_PORT}, frame[256];
    size_t n = 8 + quote(msg + 8, ENV_IP, 0x45, 0, 20), len;
    uint16_t sum = cksum(msg, n);

    memcpy(msg + 2, &sum, 2);
    len = env_ip4_bytes(frame, &ip, msg, n);
    for (size_t piece = 1; piece <= len; piece++) {
        cr_assert_eq(env_input(e, env_frame_chain(e, frame, len, piece)), IP_ICMP_ERROR);
        cr_assert_eq(e->err.seq, 0x01020304);
        env_done(e);
    }
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- errors about theirs ---- */

/* Receives a datagram and reports it. */
static void report(struct env *e, struct rte_mbuf *frame, uint8_t type, uint8_t code)
{
    cr_assert_eq(env_input(e, frame), IP_TRANSPORT);
    icmp_send_error(e->sh, &e->ri, e->m, type, code);
    env_done(e);
}

Test(icmp, port_unreachable_quotes_the_packet)
{
    struct env *e = env_net(NULL);

    report(e, env_udp(e, ENV_PEER_IP, 1000, ENV_IP, 2000, data, 100), ICMP_T_UNREACH, ICMP_C_PORT);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.ip->dst_be, ENV_PEER_IP);
    cr_assert_eq(s.ip->src_be, ENV_IP);
    cr_assert_eq(s.ip->tos, 0xc0);
    cr_assert_eq(s.l4[0], ICMP_T_UNREACH);
    cr_assert_eq(s.l4[1], ICMP_C_PORT);
    cr_assert_eq(s.data_len, 128);
    cr_assert_eq(((const struct ip4_hdr *)s.data)->src_be, ENV_PEER_IP);
    cr_assert_eq(s.data[20], 1000 >> 8);
    cr_assert_eq(cksum(s.l4, s.data_len + 8), 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(icmp, quote_is_bounded)
{
    struct env *e = env_net(NULL);

    report(e, env_udp(e, ENV_PEER_IP, 1000, ENV_IP, 2000, data, 1400), ICMP_T_UNREACH, ICMP_C_PORT);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(ntohs(s.ip->len_be), ICMP_ERROR_MAX);
}

/* RFC 1122 section 3.2.2 */
Test(icmp, no_error_about_broadcasts_and_errors)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_ICMP};
    uint8_t msg[64] = {ICMP_T_UNREACH};
    struct rxinfo ri;
    struct rte_mbuf *m;

    report(e, env_udp(e, ENV_PEER_IP, 1, IP4(198, 18, 0, 255), 2, data, 8), ICMP_T_UNREACH, ICMP_C_PORT);
    cr_assert_not(env_seen(e, &s));

    m = env_ip4(e, &ip, msg, sizeof msg);
    rte_pktmbuf_adj(m, 34);
    ri = (struct rxinfo){.src = env_addr(ENV_PEER_IP),
                         .dst = env_addr(ENV_IP),
                         .proto = IPPROTO_ICMP,
                         .l3_len = 20,
                         .len = sizeof msg};
    icmp_send_error(e->sh, &ri, m, ICMP_T_PARAM, 0);
    cr_assert_not(env_seen(e, &s));
    *rte_pktmbuf_mtod(m, uint8_t *) = ICMP_T_ECHO; /* no error: may be reported */
    icmp_send_error(e->sh, &ri, m, ICMP_T_PARAM, 0);
    cr_assert(env_seen(e, &s));
    ri.src = env_addr(0);
    icmp_send_error(e->sh, &ri, m, ICMP_T_PARAM, 0);
    ri.src = env_addr(IP4(224, 0, 0, 1));
    icmp_send_error(e->sh, &ri, m, ICMP_T_PARAM, 0);
    cr_assert_not(env_seen(e, &s));
    rte_pktmbuf_free(m);
}

static void slow(struct tunables *set)
{
    set->icmp_ratelimit = 10;
}

Test(icmp, errors_are_rate_limited)
{
    struct env_config cfg = {.tune = slow};
    struct env *e = env_net(&cfg);

    for (unsigned i = 0; i < 200; i++)
        report(e, env_udp(e, ENV_PEER_IP, 1, ENV_IP, 2, data, 8), ICMP_T_UNREACH, ICMP_C_PORT);
    cr_assert_eq(env_tx_count(e), ICMP_BURST);
    cr_assert_eq(e->sh->count[COUNT_ICMP_RATELIMIT], 200 - ICMP_BURST);
    env_tx_clear(e);
    env_advance_ms(e, 1000);
    for (unsigned i = 0; i < 200; i++)
        report(e, env_udp(e, ENV_PEER_IP, 1, ENV_IP, 2, data, 8), ICMP_T_UNREACH, ICMP_C_PORT);
    cr_assert_eq(env_tx_count(e), 10);
}
