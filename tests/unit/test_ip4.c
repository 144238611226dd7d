/* test_ip4.c: IPv4 input checks one by one, choosing the way, output. With eth.c. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/cksum.h"
#include "../../stack/ifnet.h"
#include "../../stack/route.h"
#include "env.h"

static struct env_seen s;
static const char text[] = "twenty-two bytes here.";

static struct rte_mbuf *good_udp(struct env *e)
{
    return env_udp(e, ENV_PEER_IP, 1000, ENV_IP, 2000, text, sizeof text);
}

/* ---- input ---- */

Test(ip4, input_plain_udp)
{
    struct env *e = env_net(NULL);

    cr_assert_eq(env_input(e, good_udp(e)), IP_TRANSPORT);
    cr_assert_eq(ipaddr_get_v4(&e->ri.src), ENV_PEER_IP);
    cr_assert_eq(ipaddr_get_v4(&e->ri.dst), ENV_IP);
    cr_assert_eq(e->ri.proto, IPPROTO_UDP);
    cr_assert_eq(e->ri.ttl, 64);
    cr_assert_eq(e->ri.ifindex, ENV_IF);
    cr_assert_eq(e->ri.l3_len, 20);
    cr_assert_eq(e->ri.len, UDP_HDR_LEN + sizeof text);
    cr_assert_eq(e->ri.l4_good, 0);
    cr_assert_eq(e->ri.bcast, 0);
    cr_assert_eq(e->m->pkt_len, UDP_HDR_LEN + sizeof text);
    cr_assert_eq(ip_l4_cksum(e->m, &e->ri.src, &e->ri.dst, IPPROTO_UDP, e->ri.len), 0);
    cr_assert_eq(e->st->ifn[ENV_IF].rx_packets, 1);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip4, input_link_padding_is_trimmed)
{
    struct env *e = env_net(NULL);
    struct rte_mbuf *m = env_udp(e, ENV_PEER_IP, 1, ENV_IP, 2, "x", 1);

    memset(rte_pktmbuf_append(m, 17), 0xee, 17);
    cr_assert_eq(env_input(e, m), IP_TRANSPORT);
    cr_assert_eq(e->m->pkt_len, UDP_HDR_LEN + 1);
}

Test(ip4, input_any_chain_gives_the_same)
{
    struct env *e = env_net(NULL);
    uint8_t frame[256], out[64];
    struct env_ip ip = {.proto = IPPROTO_TCP};
    struct tcp_hdr_in h = {.seq = 1, .flags = TCP_ACK, .hlen = 32};
    uint8_t seg[32 + sizeof text];
    size_t len;

    wire_tcp_emit(seg, &h);
    memset(seg + 20, TCP_OPT_NOP, 12);
    memcpy(seg + 32, text, sizeof text);
    len = env_ip4_bytes(frame, &ip, seg, sizeof seg);
    for (size_t piece = 1; piece <= len; piece++) {
        cr_assert_eq(env_input(e, env_frame_chain(e, frame, len, piece)), IP_TRANSPORT, "pieces of %zu",
                     piece);
        cr_assert_geq(e->m->data_len, 32, "the TCP header with its options is contiguous");
        cr_assert_eq(e->m->pkt_len, sizeof seg);
        cr_assert(pkt_read(e->m, 0, sizeof seg, out));
        cr_assert_arr_eq(out, seg, sizeof seg);
        cr_assert_eq(rte_mbuf_check(e->m, 1, &(const char *){NULL}), 0);
        env_done(e);
    }
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip4, input_port_verdicts_about_checksums)
{
    struct env *e = env_net(NULL);
    struct env_ip bad = {.proto = IPPROTO_UDP, .bad_cksum = true};
    struct rte_mbuf *m;

    cr_assert_eq(env_input(e, env_ip4(e, &bad, text, sizeof text)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_CSUM], 1);

    m = env_ip4(e, &bad, text, sizeof text);
    m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    cr_assert_eq(env_input(e, m), IP_TRANSPORT);
    cr_assert_eq(e->ri.l4_good, 1);
    env_done(e);

    m = good_udp(e);
    m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
    cr_assert_eq(env_input(e, m), IP_DONE);

    m = good_udp(e);
    m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
    cr_assert_eq(env_input(e, m), IP_TRANSPORT);
    cr_assert_eq(e->ri.l4_good, 0);
    env_done(e);

    m = good_udp(e); /* NONE: the data may be unfinished, but is known to be whole */
    m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    cr_assert_eq(env_input(e, m), IP_TRANSPORT);
    cr_assert_eq(e->ri.l4_good, 1);
    env_done(e);
}

/* Every cut of a frame is either dropped with a count or (beyond the IP header, with the length made to fit)
 * delivered. */
Test(ip4, input_truncated_at_each_byte)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_UDP};
    uint8_t frame[128];
    size_t len = env_ip4_bytes(frame, &ip, text, sizeof text);

    for (size_t cut = 0; cut < len; cut++)
        cr_assert_eq(env_input(e, env_frame(e, frame, cut)), IP_DONE, "cut at %zu", cut);
    cr_assert_eq(e->sh->count[COUNT_ETH_RUNT], ETH_HDR_LEN);
    cr_assert_eq(e->sh->count[COUNT_IP_TRUNC], len - ETH_HDR_LEN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip4, input_bad_headers)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_UDP};
    uint8_t frame[128];
    size_t len = env_ip4_bytes(frame, &ip, text, sizeof text);

    frame[ETH_HDR_LEN] = 0x65; /* version 6 */
    env_input(e, env_frame(e, frame, len));
    frame[ETH_HDR_LEN] = 0x44; /* header of 16 bytes */
    env_input(e, env_frame(e, frame, len));
    frame[ETH_HDR_LEN] = 0x45;
    frame[ETH_HDR_LEN + 2] = 0; /* total length below the header's */
    frame[ETH_HDR_LEN + 3] = 19;
    env_input(e, env_frame(e, frame, len));
    cr_assert_eq(e->sh->count[COUNT_IP_HDR], 3);
}

static enum ip_verdict from_to(struct env *e, uint32_t src, uint32_t dst)
{
    struct env_ip ip = {.src = src, .dst = dst, .proto = IPPROTO_UDP};
    enum ip_verdict v = env_input(e, env_ip4(e, &ip, text, sizeof text));

    if (v == IP_TRANSPORT)
        env_done(e);
    return v;
}

Test(ip4, input_martian_sources)
{
    static const uint32_t martian[] = {
        IP4(127, 0, 0, 1),   IP4(224, 0, 0, 1), IP4(240, 0, 0, 1), IP4(255, 255, 255, 255), ENV_IP,
        IP4(198, 18, 0, 255)};
    struct env *e = env_net(NULL);
    struct ipaddr second = ipaddr_v4(IP4(192, 0, 2, 2));

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < sizeof martian / sizeof martian[0]; i++)
            cr_assert_eq(from_to(e, martian[i], ENV_IP), IP_DONE, "source %u", i);
        cr_assert_eq(from_to(e, ENV_OTHER_IP, ENV_IP), IP_TRANSPORT);
        /* Once more with two addresses: the general path. */
        stack_add_addr(e->st, ENV_IF, &second, 24);
    }
    cr_assert_eq(from_to(e, IP4(192, 0, 2, 255), ENV_IP), IP_DONE);
    cr_assert_eq(from_to(e, ENV_PEER_IP, IP4(192, 0, 2, 2)), IP_TRANSPORT);
}

Test(ip4, input_unknown_source_only_to_all)
{
    struct env *e = env_net(NULL);
    uint8_t frame[128];
    struct env_ip ip = {.proto = IPPROTO_UDP, .dmac = ENV_BCAST_MAC, .dst = IP4(255, 255, 255, 255)};
    size_t len = env_ip4_bytes(frame, &ip, text, sizeof text);
    struct ip4_hdr *h = (struct ip4_hdr *)(frame + ETH_HDR_LEN);

    h->src_be = 0;
    h->cksum = 0;
    h->cksum = cksum(h, 20);
    cr_assert_eq(env_input(e, env_frame(e, frame, len)), IP_TRANSPORT);
    cr_assert_eq(e->ri.bcast, 1);
    env_done(e);
    h->dst_be = ENV_IP;
    h->cksum = 0;
    h->cksum = cksum(h, 20);
    memcpy(frame, ENV_MAC, 6);
    cr_assert_eq(env_input(e, env_frame(e, frame, len)), IP_DONE);
}

Test(ip4, input_destinations)
{
    struct env *e = env_net(NULL);

    cr_assert_eq(from_to(e, ENV_PEER_IP, IP4(198, 18, 0, 9)), IP_DONE); /* not ours: no forwarding */
    cr_assert_eq(from_to(e, ENV_PEER_IP, IP4(127, 0, 0, 1)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_ADDR], 2);
    cr_assert_eq(from_to(e, ENV_PEER_IP, IP4(198, 18, 0, 255)), IP_TRANSPORT);
    cr_assert_eq(e->ri.bcast, 1);
}

Test(ip4, input_loopback_net_never_comes_over_a_wire)
{
    struct env_config cfg = {.isolate = true};
    struct env *e = env_net(&cfg);

    cr_assert_eq(from_to(e, ENV_PEER_IP, IP4(127, 0, 0, 1)), IP_DONE);
    cr_assert_eq(from_to(e, IP4(127, 0, 0, 1), ENV_IP), IP_DONE);
}

/* RFC 1122 section 3.3.6 */
Test(ip4, input_unicast_in_a_link_broadcast_is_dropped)
{
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_UDP, .dmac = ENV_BCAST_MAC};

    cr_assert_eq(env_input(e, env_ip4(e, &ip, text, sizeof text)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_ADDR], 1);
}

Test(ip4, input_options_pass_source_routes_do_not)
{
    static const uint8_t rr[8] = {IP4_OPT_NOP, IP4_OPT_RR, 7, 4, 0, 0, 0, 0};
    static const uint8_t lsrr[8] = {IP4_OPT_LSRR, 7, 4, 198, 18, 0, 9, IP4_OPT_EOL};
    static const uint8_t bad[4] = {IP4_OPT_RR, 40, 4, 0};
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_UDP, .opts = rr, .opts_len = 8};

    cr_assert_eq(env_input(e, env_ip4(e, &ip, text, sizeof text)), IP_TRANSPORT);
    cr_assert_eq(e->ri.l3_len, 28);
    cr_assert_eq(e->m->pkt_len, sizeof text);
    env_done(e);
    ip.opts = lsrr;
    cr_assert_eq(env_input(e, env_ip4(e, &ip, text, sizeof text)), IP_DONE);
    cr_assert_eq(env_tx_count(e), 0);
    ip.opts = bad;
    ip.opts_len = 4;
    cr_assert_eq(env_input(e, env_ip4(e, &ip, text, sizeof text)), IP_DONE);
    /* The sender of a malformed one is told where (RFC 1122 section 3.2.2.5). */
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.l4[0], ICMP_T_PARAM);
    cr_assert_eq(s.l4[4], 20);
    cr_assert_eq(e->sh->count[COUNT_IP_HDR], 2);
}

Test(ip4, input_frames_for_others)
{
    static const uint8_t other[6] = {0x02, 0, 0, 0, 0, 0x55};
    struct env *e = env_net(NULL);
    struct env_ip ip = {.proto = IPPROTO_UDP, .dmac = other};
    uint8_t v6[64] = {0};

    env_input(e, env_ip4(e, &ip, text, sizeof text));
    cr_assert_eq(e->sh->count[COUNT_ETH_NOT_US], 1);
    wire_eth_emit(v6, ENV_MAC, ENV_PEER_MAC, 0x88cc); /* LLDP */
    env_input(e, env_frame(e, v6, sizeof v6));
    cr_assert_eq(e->sh->count[COUNT_ETH_TYPE], 1);
}

/* ---- choosing the way ---- */

static int resolve(struct env *e, struct flow *fl, uint32_t dst)
{
    memset(fl, 0, sizeof *fl);
    fl->dst = ipaddr_v4(dst);
    return flow_resolve(e->sh, fl);
}

Test(ip4, flow_on_link_by_gateway_and_nowhere)
{
    struct env *e = env_net(NULL);
    struct ipaddr net = ipaddr_v4(0), via = ipaddr_v4(ENV_PEER_IP);
    struct flow fl;

    cr_assert_eq(resolve(e, &fl, ENV_PEER_IP), 0);
    cr_assert_eq(fl.ifindex, ENV_IF);
    cr_assert_eq(fl.mtu, 1500);
    cr_assert_eq(ipaddr_get_v4(&fl.src), ENV_IP);
    cr_assert_eq(resolve(e, &fl, ENV_OTHER_IP), -ENETUNREACH);
    cr_assert_eq(e->sh->count[COUNT_IP_NOROUTE], 1);
    route_add(e->st, &net, 0, &via, ENV_IF);
    cr_assert_eq(resolve(e, &fl, ENV_OTHER_IP), 0);
    cr_assert_eq(ipaddr_get_v4(&((struct neigh *)fl.neigh)->addr), ENV_PEER_IP);
}

Test(ip4, flow_cache_holds_until_something_changes)
{
    struct env *e = env_net(NULL);
    struct ipaddr net = ipaddr_v4(IP4(10, 0, 0, 0)), via = ipaddr_v4(ENV_PEER_IP);
    struct flow fl;
    uint32_t gen;

    cr_assert_eq(resolve(e, &fl, ENV_PEER_IP), 0);
    gen = fl.gen;
    cr_assert_neq(gen, 0);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.gen, gen);
    route_add(e->st, &net, 8, &via, ENV_IF);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_neq(fl.gen, gen);
}

Test(ip4, flow_broadcast_needs_permission)
{
    struct env *e = env_net(NULL);
    struct flow fl;

    cr_assert_eq(resolve(e, &fl, IP4(198, 18, 0, 255)), -EACCES);
    cr_assert_eq(resolve(e, &fl, IP4(255, 255, 255, 255)), -EACCES);
    fl.allow_bcast = 1;
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.ifindex, ENV_IF);
}

Test(ip4, flow_to_ourselves_takes_loopback)
{
    struct env_config cfg = {.isolate = true};
    struct env *e = env_net(&cfg);
    struct flow fl;

    cr_assert_eq(resolve(e, &fl, ENV_IP), 0);
    cr_assert_eq(fl.ifindex, IFNET_LOOPBACK);
    cr_assert_eq(ipaddr_get_v4(&fl.src), ENV_IP);
    cr_assert_eq(fl.mtu, 65535);
    cr_assert_eq(resolve(e, &fl, IP4(127, 9, 9, 9)), 0);
    cr_assert_eq(ipaddr_get_v4(&fl.src), IP4(127, 0, 0, 1)); /* as Linux */
    cr_assert_eq(resolve(e, &fl, 0), 0);                     /* "any" is this host */
    cr_assert_eq(ipaddr_get_v4(&fl.dst), IP4(127, 0, 0, 1));
}

Test(ip4, flow_loopback_without_isolate_goes_nowhere)
{
    struct env *e = env_net(NULL);
    struct flow fl;

    cr_assert_eq(resolve(e, &fl, IP4(127, 0, 0, 1)), -ENETUNREACH);
}

Test(ip4, flow_from_loopback_does_not_leave)
{
    struct env_config cfg = {.isolate = true};
    struct env *e = env_net(&cfg);
    struct flow fl = {.src = ipaddr_v4(IP4(127, 0, 0, 1)), .dst = ipaddr_v4(ENV_PEER_IP)};

    cr_assert_eq(flow_resolve(e->sh, &fl), -EINVAL);
}

Test(ip4, flow_bound_to_an_interface_stays_there)
{
    struct env *e = env_net(NULL);
    struct netdev dev = {.name = "eth1", .mtu = 9000, .mac = {2, 0, 0, 0, 1, 1}};
    struct ipaddr a = ipaddr_v4(IP4(192, 0, 2, 1));
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .bound_if = 2};

    cr_assert_eq(stack_add_if(e->st, &dev), 2);
    cr_assert_eq(stack_add_addr(e->st, 2, &a, 24), 0);
    /* No route there by eth1: it is taken as on that link (ip_route_output_key_hash_rcu). */
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.ifindex, 2);
    cr_assert_eq(fl.mtu, 9000);
    fl.gen = 0;
    fl.src = IPADDR_ANY;
    fl.dst = ipaddr_v4(IP4(192, 0, 2, 7));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.mtu, 9000);
}

/* ---- output ---- */

static struct rte_mbuf *payload(struct env *e, size_t len)
{
    static uint8_t bytes[65536];
    struct rte_mbuf *m;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7);
    m = env_frame(e, bytes, len);
    pkt_meta(m)->link = NULL;
    return m;
}

Test(ip4, output_header_fields)
{
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_TCP, .df = 1, .tos = 0x10};
    struct rte_mbuf *m = payload(e, 100);

    m->l4_len = 20;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.len, 134);
    cr_assert_eq(s.ip->ver_ihl, 0x45);
    cr_assert_eq(s.ip->tos, 0x10);
    cr_assert_eq(ntohs(s.ip->len_be), 120);
    cr_assert_eq(s.ip->id_be, 0); /* RFC 6864: an atomic datagram's means nothing */
    cr_assert_eq(s.ip->off_be, htons(IP4_DF));
    cr_assert_eq(s.ip->ttl, 64);
    cr_assert_eq(s.ip->proto, IPPROTO_TCP);
    cr_assert_eq(s.ip->cksum, 0);
    cr_assert_eq(s.ip->src_be, ENV_IP);
    cr_assert_eq(s.ip->dst_be, ENV_PEER_IP);
    cr_assert_eq(s.ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM),
                 RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
    cr_assert_eq(s.l2_len, 14);
    cr_assert_eq(s.l3_len, 20);
    cr_assert_eq(s.l4_len, 20);
    cr_assert_eq(e->sh->count[COUNT_IP_OUT], 1);
}

Test(ip4, output_ttl_and_identification_of_a_flow)
{
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP, .ttl = 3};
    uint16_t first;

    cr_assert_eq(ip_output(e->sh, &fl, payload(e, 10)), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.ip->ttl, 3);
    cr_assert_eq(s.ip->off_be, 0);
    first = s.ip->id_be;
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(ip_output(e->sh, &fl, payload(e, 10)), 0);
        cr_assert(env_seen(e, &s));
        cr_assert_neq(s.ip->id_be, first, "an identification came back after %u packets", i);
    }
}

Test(ip4, output_too_large_with_df)
{
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP, .df = 1};

    cr_assert_eq(ip_output(e->sh, &fl, payload(e, 1481)), -EMSGSIZE);
    cr_assert_eq(ip_output(e->sh, &fl, payload(e, 1480)), 0);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip4, output_large_segment_is_the_ports_to_cut)
{
    struct env_config cfg = {.tso_max = 65000};
    struct env *e = env_net(&cfg);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_TCP, .df = 1};
    struct rte_mbuf *m = payload(e, 20000);

    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    m->tso_segsz = 1448;
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert_eq(fl.tso_max, 65000);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(ntohs(s.ip->len_be), 20020);
}

Test(ip4, output_fragments_are_put_together_again)
{
    struct env *e = env_net(NULL);
    static uint8_t dgram[8 + 5000];
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP};
    static uint8_t frags[8][2000];
    size_t len[8];
    unsigned n = 0;
    struct rte_mbuf *m;

    wire_udp_emit(dgram, htons(5), htons(6), 5000);
    for (unsigned i = 0; i < 5000; i++)
        dgram[8 + i] = (uint8_t)(i * 31);
    m = env_frame(e, dgram, sizeof dgram);
    m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
    m->l4_len = 8;
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert_eq(e->sh->count[COUNT_IP_FRAG_CREATE], 4);
    for (; env_seen(e, &s); n++) {
        struct ip4_hdr *ip;

        cr_assert_leq(ntohs(s.ip->len_be), 1500);
        cr_assert_eq(s.ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
        memcpy(frags[n], s.raw, len[n] = s.len);
        /* Send it back: swap the addresses and do the port's work. */
        ip = (struct ip4_hdr *)(frags[n] + 14);
        ip->src_be = ENV_PEER_IP;
        ip->dst_be = ENV_IP;
        ip->cksum = cksum(ip, 20);
        wire_eth_emit(frags[n], ENV_MAC, ENV_PEER_MAC, ETH_TYPE_IP4);
    }
    cr_assert_eq(n, 4);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(env_input(e, env_frame(e, frags[i], len[i])), IP_DONE);
    cr_assert_eq(env_input(e, env_frame(e, frags[3], len[3])), IP_TRANSPORT);
    cr_assert_eq(e->ri.len, sizeof dgram);
    /* The checksum was finished before the cut, and is symmetrical in the addresses. */
    cr_assert_eq(ip_l4_cksum(e->m, &e->ri.src, &e->ri.dst, IPPROTO_UDP, e->ri.len), 0);
    cr_assert(pkt_read(e->m, 8, 5000, s.raw));
    cr_assert_arr_eq(s.raw, dgram + 8, 5000);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip4, output_without_headroom_or_route_frees)
{
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP};
    struct flow lost = {.dst = ipaddr_v4(ENV_OTHER_IP), .proto = IPPROTO_UDP};
    struct rte_mbuf *m = payload(e, 10);

    rte_pktmbuf_prepend(m, rte_pktmbuf_headroom(m) - 33);
    cr_assert_eq(ip_output(e->sh, &fl, m), -ENOBUFS);
    cr_assert_eq(ip_output(e->sh, &lost, payload(e, 10)), -ENETUNREACH);
    cr_assert_eq(ip_output(e->sh, &fl, payload(e, 65516)), -EMSGSIZE);
    cr_assert_eq(env_leaks(e), 0);
}
