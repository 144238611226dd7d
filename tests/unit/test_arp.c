/* test_arp.c: asking, answering, learning, conflicts (RFC 826, RFC 5227), with neigh.c below. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/arp.h"
#include "../../stack/ifnet.h"
#include "env.h"

static struct env_seen s;

static struct neigh *peer_entry(struct env *e)
{
    struct ipaddr a = ipaddr_v4(ENV_PEER_IP);

    return neigh_find(e->st, ENV_IF, &a);
}

static const struct env_config no_peer = {.no_peer = true};

Test(arp, request_for_us_is_answered_and_learnt)
{
    struct env *e = env_net(&no_peer);

    cr_assert_eq(env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP)), IP_DONE);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.op, ARP_REPLY);
    cr_assert_eq(s.arp.spa_be, ENV_IP);
    cr_assert_eq(s.arp.tpa_be, ENV_PEER_IP);
    cr_assert_arr_eq(s.arp.sha, ENV_MAC, 6);
    cr_assert_arr_eq(s.arp.tha, ENV_PEER_MAC, 6);
    cr_assert_arr_eq(s.eth->dst, ENV_PEER_MAC, 6);
    cr_assert_eq(peer_entry(e)->state, NEIGH_STALE);
    cr_assert_eq(env_leaks(e), 0);
}

Test(arp, request_for_another_teaches_nothing_new)
{
    struct env *e = env_net(&no_peer);

    env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, IP4(198, 18, 0, 77)));
    cr_assert_not(env_seen(e, &s));
    cr_assert_null(peer_entry(e));
}

Test(arp, unasked_reply_makes_no_entry)
{
    struct env *e = env_net(&no_peer);

    env_input(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, ENV_PEER_IP, ENV_MAC, ENV_IP));
    cr_assert_null(peer_entry(e));
}

Test(arp, gratuitous_request_corrects_a_known_entry)
{
    static const uint8_t moved[6] = {0x02, 0, 0, 0, 9, 9};
    struct env *e = env_net(NULL);

    env_input(e, env_arp(e, ARP_REQUEST, moved, ENV_PEER_IP, NULL, ENV_PEER_IP));
    cr_assert_eq(peer_entry(e)->state, NEIGH_STALE);
    cr_assert_arr_eq(peer_entry(e)->hdr, moved, 6);
}

Test(arp, malformed_is_counted)
{
    struct env *e = env_net(NULL);
    uint8_t frame[ETH_HDR_LEN + ARP_LEN] = {0};
    struct arp_pkt a = {.op = 3, .spa_be = ENV_PEER_IP, .tpa_be = ENV_IP};

    memcpy(a.sha, ENV_PEER_MAC, 6);
    wire_eth_emit(frame, ENV_BCAST_MAC, ENV_PEER_MAC, ETH_TYPE_ARP);
    wire_arp_emit(frame + ETH_HDR_LEN, &a);
    env_input(e, env_frame(e, frame, sizeof frame)); /* unknown operation */
    for (size_t len = ETH_HDR_LEN; len < sizeof frame; len++)
        env_input(e, env_frame(e, frame, len)); /* cut short */
    a.op = ARP_REQUEST;
    memset(a.sha, 0xff, 6);
    wire_arp_emit(frame + ETH_HDR_LEN, &a);
    env_input(e, env_frame(e, frame, sizeof frame)); /* multicast sender */
    cr_assert_eq(e->sh->count[COUNT_ARP_BAD], 2 + ARP_LEN);
    cr_assert_not(env_seen(e, &s));
    cr_assert_eq(env_leaks(e), 0);
}

Test(arp, request_in_a_chain_is_understood)
{
    struct env *e = env_net(&no_peer);
    uint8_t frame[ETH_HDR_LEN + ARP_LEN];
    struct arp_pkt a = {.op = ARP_REQUEST, .spa_be = ENV_PEER_IP, .tpa_be = ENV_IP};

    memcpy(a.sha, ENV_PEER_MAC, 6);
    wire_eth_emit(frame, ENV_BCAST_MAC, ENV_PEER_MAC, ETH_TYPE_ARP);
    wire_arp_emit(frame + ETH_HDR_LEN, &a);
    env_input(e, env_frame_chain(e, frame, sizeof frame, 5));
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.op, ARP_REPLY);
    cr_assert_eq(env_leaks(e), 0);
}

Test(arp, own_frame_reflected_is_no_conflict)
{
    struct env *e = env_net(NULL);

    env_input(e, env_arp(e, ARP_REQUEST, ENV_MAC, ENV_IP, NULL, ENV_IP));
    cr_assert_eq(e->sh->count[COUNT_ARP_CONFLICT], 0);
}

Test(arp, probe_for_our_address_is_answered)
{
    struct env *e = env_net(NULL);

    env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, 0, NULL, ENV_IP));
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.op, ARP_REPLY);
    cr_assert_eq(s.arp.tpa_be, 0);
}

static const struct env_config probing = {.arp_probe = true, .no_peer = true};

Test(arp, address_is_probed_then_announced)
{
    struct env *e = env_net(&probing);
    uint8_t mac[6];

    arp_announce_start(e->sh);
    cr_assert_eq(arp_announce_state(e->st, mac), 1);
    cr_assert_not(ip_is_local(e->st, &(struct ipaddr){.w = {0, 0, htonl(0xffff), ENV_IP}}));
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.op, ARP_REQUEST);
    cr_assert_eq(s.arp.spa_be, 0); /* a probe names no sender (RFC 5227 section 2.1.1) */
    cr_assert_eq(s.arp.tpa_be, ENV_IP);
    env_advance_ms(e, 50);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.spa_be, 0);
    env_advance_ms(e, 50);
    cr_assert_eq(arp_announce_state(e->st, mac), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.spa_be, ENV_IP);
    cr_assert_eq(s.arp.tpa_be, ENV_IP);
    cr_assert_not(env_seen(e, &s));
    env_advance_ms(e, ARP_ANNOUNCE_INTERVAL_MS);
    cr_assert(env_seen(e, &s));
    env_advance_ms(e, 60000);
    cr_assert_not(env_seen(e, &s));
    cr_assert_eq(e->sh->wheel.armed, 0, "an idle stack has no timer");
}

Test(arp, conflict_while_probing_reports_who)
{
    static const struct {
        uint16_t op;
        uint32_t spa;
    } shows[] = {{ARP_REPLY, ENV_IP}, {ARP_REQUEST, ENV_IP}, {ARP_REQUEST, 0}};

    for (unsigned i = 0; i < 3; i++) {
        struct env *e = env_net(&probing);
        uint8_t mac[6] = {0};

        arp_announce_start(e->sh);
        env_input(e, env_arp(e, shows[i].op, ENV_PEER_MAC, shows[i].spa, ENV_MAC, ENV_IP));
        cr_assert_eq(arp_announce_state(e->st, mac), -EADDRINUSE);
        cr_assert_arr_eq(mac, ENV_PEER_MAC, 6);
        env_advance_ms(e, 500);
        cr_assert_eq(arp_announce_state(e->st, mac), -EADDRINUSE);
    }
}

Test(arp, conflict_later_is_defended_at_most_every_ten_seconds)
{
    struct env *e = env_net(NULL);

    for (unsigned i = 0; i < 3; i++)
        env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_IP, NULL, ENV_IP));
    cr_assert_eq(e->sh->count[COUNT_ARP_CONFLICT], 3);
    cr_assert_eq(env_tx_count(e), 1);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.arp.spa_be, ENV_IP);
    cr_assert_eq(s.arp.tpa_be, ENV_IP);
    env_advance_ms(e, ARP_DEFEND_INTERVAL_MS);
    env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_IP, NULL, ENV_IP));
    cr_assert_eq(env_tx_count(e), 1);
}
