/* test_neigh.c: the neighbour state machine: resolution, queue, failure, reachability, eviction. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/eth.h"
#include "../../stack/ifnet.h"
#include "../../stack/route.h"
#include "env.h"

static struct env_seen s;
static const struct env_config no_peer = {.no_peer = true};

static struct neigh *peer_entry(struct env *e)
{
    struct ipaddr a = ipaddr_v4(ENV_PEER_IP);

    return neigh_find(e->st, ENV_IF, &a);
}

/* Sends a UDP datagram with one payload byte to dst. */
static int send_byte(struct env *e, uint32_t dst, uint8_t byte)
{
    struct flow fl = {.dst = ipaddr_v4(dst), .proto = IPPROTO_UDP, .df = 1};
    struct rte_mbuf *m = pkt_alloc(e->sh);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, UDP_HDR_LEN + 1);

    wire_udp_emit(p, htons(7), htons(9), 1);
    p[UDP_HDR_LEN] = byte;
    m->l4_len = UDP_HDR_LEN;
    m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
    return ip_output(e->sh, &fl, m);
}

static void answer(struct env *e)
{
    env_input(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, ENV_PEER_IP, ENV_MAC, ENV_IP));
}

/* The link address of the next frame, which must be a datagram. */
static void see_datagram(struct env *e, uint8_t byte)
{
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.type, ETH_TYPE_IP4);
    cr_assert_eq(s.data[0], byte);
    cr_assert_arr_eq(s.eth->dst, ENV_PEER_MAC, 6);
    cr_assert_arr_eq(s.eth->src, ENV_MAC, 6);
}

static void see_request(struct env *e, bool unicast)
{
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.type, ETH_TYPE_ARP);
    cr_assert_eq(s.arp.op, ARP_REQUEST);
    cr_assert_eq(s.arp.spa_be, ENV_IP);
    cr_assert_eq(s.arp.tpa_be, ENV_PEER_IP);
    cr_assert_arr_eq(s.eth->dst, unicast ? ENV_PEER_MAC : ENV_BCAST_MAC, 6);
}

Test(neigh, none_output_queues_asks_and_sends_in_order)
{
    struct env *e = env_net(&no_peer);

    for (uint8_t i = 0; i < 5; i++)
        cr_assert_eq(send_byte(e, ENV_PEER_IP, i), 0);
    see_request(e, false);
    cr_assert_eq(env_tx_count(e), 0);
    answer(e);
    for (uint8_t i = 0; i < 5; i++)
        see_datagram(e, i);
    cr_assert_eq(peer_entry(e)->state, NEIGH_REACHABLE);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(env_leaks(e), 0);
}

static void short_queue(struct tunables *set)
{
    set->neigh_unres_qlen = 3;
}

Test(neigh, incomplete_queue_keeps_the_latest)
{
    struct env_config cfg = {.no_peer = true, .tune = short_queue};
    struct env *e = env_net(&cfg);

    for (uint8_t i = 0; i < 5; i++)
        send_byte(e, ENV_PEER_IP, i);
    cr_assert_eq(e->sh->count[COUNT_NEIGH_FULL], 2);
    env_tx_clear(e);
    answer(e);
    for (uint8_t i = 2; i < 5; i++)
        see_datagram(e, i);
    cr_assert_eq(env_leaks(e), 0);
}

Test(neigh, incomplete_hearsay_is_enough)
{
    struct env *e = env_net(&no_peer);

    send_byte(e, ENV_PEER_IP, 1);
    env_tx_clear(e);
    env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_PEER_IP));
    see_datagram(e, 1);
    cr_assert_eq(peer_entry(e)->state, NEIGH_STALE);
}

Test(neigh, incomplete_fails_and_tells_the_senders)
{
    struct env *e = env_net(&no_peer);
    struct rte_mbuf *m;

    send_byte(e, ENV_PEER_IP, 1);
    send_byte(e, ENV_PEER_IP, 2);
    env_advance_ms(e, 2999);
    for (unsigned i = 0; i < 3; i++)
        see_request(e, false);
    cr_assert_eq(peer_entry(e)->state, NEIGH_INCOMPLETE);
    env_advance_ms(e, 1);
    cr_assert_eq(peer_entry(e)->state, NEIGH_FAILED);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(e->sh->count[COUNT_NEIGH_FAILED], 2);
    /* Both reports wait on loopback and come back as errors about our own packets. */
    cr_assert_eq(e->sh->lo_len, 2);
    m = e->sh->lo_head;
    while (m) {
        struct rte_mbuf *next = pkt_meta(m)->link;

        cr_assert_eq(env_input_if(e, IFNET_LOOPBACK, m), IP_ICMP_ERROR);
        cr_assert_eq(e->err.err, EHOSTUNREACH);
        cr_assert_eq(ipaddr_get_v4(&e->err.dst), ENV_PEER_IP);
        cr_assert_eq(ipaddr_get_v4(&e->err.src), ENV_IP);
        cr_assert_eq(e->err.proto, IPPROTO_UDP);
        cr_assert_eq(e->err.sport_be, htons(7));
        cr_assert_eq(e->err.dport_be, htons(9));
        env_done(e);
        m = next;
    }
    e->sh->lo_head = e->sh->lo_tail = NULL;
    cr_assert_eq(env_leaks(e), 0);
    /* The next packet starts anew. */
    send_byte(e, ENV_PEER_IP, 3);
    see_request(e, false);
}

Test(neigh, reachable_goes_stale_delay_probe_and_back)
{
    struct env *e = env_net(NULL);

    env_advance_ms(e, 30000);
    send_byte(e, ENV_PEER_IP, 1);
    see_datagram(e, 1);
    cr_assert_eq(peer_entry(e)->state, NEIGH_DELAY);
    env_advance_ms(e, NEIGH_DELAY_MS);
    cr_assert_eq(peer_entry(e)->state, NEIGH_PROBE);
    see_request(e, true);
    send_byte(e, ENV_PEER_IP, 2); /* traffic goes on meanwhile */
    see_datagram(e, 2);
    answer(e);
    cr_assert_eq(peer_entry(e)->state, NEIGH_REACHABLE);
    cr_assert_eq(e->sh->wheel.armed, 0);
}

Test(neigh, delay_confirmed_from_above_asks_nothing)
{
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_TCP};

    env_advance_ms(e, 30000);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    send_byte(e, ENV_PEER_IP, 1);
    cr_assert_eq(peer_entry(e)->state, NEIGH_DELAY);
    ip_confirm(e->sh, &fl);
    cr_assert_eq(peer_entry(e)->state, NEIGH_REACHABLE);
    env_tx_clear(e);
    env_advance_ms(e, 10000);
    cr_assert_eq(env_tx_count(e), 0);
}

Test(neigh, probe_unanswered_fails)
{
    struct env *e = env_net(NULL);

    env_advance_ms(e, 30000);
    send_byte(e, ENV_PEER_IP, 1);
    see_datagram(e, 1);
    env_advance_ms(e, NEIGH_DELAY_MS + 3000);
    for (unsigned i = 0; i < 3; i++)
        see_request(e, true);
    cr_assert_eq(peer_entry(e)->state, NEIGH_FAILED);
    send_byte(e, ENV_PEER_IP, 2);
    see_request(e, false);
}

Test(neigh, link_address_change_is_seen_by_cached_flows)
{
    static const uint8_t moved[6] = {0x02, 0, 0, 0, 9, 9};
    struct env *e = env_net(NULL);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP};
    struct rte_mbuf *m = pkt_alloc(e->sh);

    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    neigh_update(e->sh, peer_entry(e), moved, true);
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_arr_eq(s.eth->dst, moved, 6);
}

Test(neigh, broadcast_and_multicast_need_no_question)
{
    struct env *e = env_net(NULL);
    struct flow b = {.dst = ipaddr_v4(IP4(198, 18, 0, 255)), .proto = IPPROTO_UDP, .allow_bcast = 1};
    struct flow g = {.dst = ipaddr_v4(IP4(239, 255, 129, 7)), .proto = IPPROTO_UDP};
    static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x7f, 0x81, 0x07};

    cr_assert_eq(ip_output(e->sh, &b, pkt_alloc(e->sh)), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_arr_eq(s.eth->dst, ENV_BCAST_MAC, 6);
    cr_assert_eq(ip_output(e->sh, &g, pkt_alloc(e->sh)), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_arr_eq(s.eth->dst, group, 6); /* RFC 1112 section 6.4 */
}

static void small_table(struct tunables *set)
{
    set->neigh_gc_thresh = 16;
}

Test(neigh, full_table_evicts_the_oldest_and_flows_look_again)
{
    struct env_config cfg = {.tune = small_table};
    struct env *e = env_net(&cfg);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP};
    uint32_t gen;

    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    gen = fl.gen;
    for (uint8_t i = 10; i < 40; i++) {
        struct ipaddr a = ipaddr_v4(IP4(198, 18, 0, i));
        struct neigh *n = neigh_get(e->sh, ENV_IF, &a);

        cr_assert_not_null(n);
        neigh_update(e->sh, n, ENV_PEER_MAC, true);
    }
    cr_assert_null(peer_entry(e));
    cr_assert_leq(e->st->neigh->slab.in_use, 16);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_neq(fl.gen, gen);
    cr_assert_eq(fl.neigh, peer_entry(e));
}

Test(neigh, table_full_of_unresolved_says_no)
{
    struct env_config cfg = {.tune = small_table, .no_peer = true};
    struct env *e = env_net(&cfg);
    int last = 0;

    for (uint8_t i = 10; i < 40; i++)
        last = send_byte(e, IP4(198, 18, 0, i), i);
    cr_assert_eq(last, -ENOBUFS);
    env_advance_ms(e, 5000); /* all fail, and can be evicted */
    cr_assert_eq(send_byte(e, IP4(198, 18, 0, 99), 1), 0);
}

Test(neigh, flush_drops_queue_and_timers)
{
    struct env *e = env_net(&no_peer);

    send_byte(e, ENV_PEER_IP, 1);
    neigh_flush(e->sh, ENV_IF);
    cr_assert_null(peer_entry(e));
    cr_assert_eq(e->sh->wheel.armed, 0);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(neigh, mended_entries_are_asked_for_again)
{
    struct env *e = env_net(NULL);
    struct neigh *n;

    send_byte(e, ENV_PEER_IP, 1);
    see_datagram(e, 1);
    n = peer_entry(e);
    /* Killed half-way out of the list, with half of another link address in place. */
    n->lru.prev->next = n->lru.next;
    memset(n->hdr, 0x55, 3);
    neigh_mend(e->sh);
    cr_assert_eq(peer_entry(e), n);
    send_byte(e, ENV_PEER_IP, 2);
    see_request(e, false);
    answer(e);
    see_datagram(e, 2);
    neigh_flush(e->sh, ENV_IF);
    cr_assert_eq(e->st->neigh->slab.in_use, 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(neigh, mended_queue_leaves_with_the_answer)
{
    struct env *e = env_net(&no_peer);
    struct neigh *n;

    for (uint8_t i = 1; i < 4; i++)
        send_byte(e, ENV_PEER_IP, i);
    see_request(e, false);
    n = peer_entry(e);
    n->q_tail = NULL; /* killed between the link and the tail, before the timer was armed */
    timer_cancel(&e->sh->wheel, &n->timer);
    neigh_mend(e->sh);
    cr_assert_eq(n->q_len, 3);
    env_advance_ms(e, 2);
    see_request(e, false);
    answer(e);
    for (uint8_t i = 1; i < 4; i++)
        see_datagram(e, i);
    cr_assert_eq(env_leaks(e), 0);
}
