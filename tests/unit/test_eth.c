/* test_eth.c: Ethernet input and output: which frames are taken, counters, headers. */
#include <criterion/criterion.h>

#include "../../stack/eth.h"
#include "../../stack/ifnet.h"
#include "env.h"

static struct env_seen s;

Test(eth, input_too_short)
{
    struct env *e = env_net(NULL);
    uint8_t frame[ETH_HDR_LEN] = {0};

    for (size_t n = 0; n < ETH_HDR_LEN; n++)
        cr_assert_eq(env_input(e, env_frame(e, frame, n)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_ETH_RUNT], ETH_HDR_LEN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(eth, input_unknown_types)
{
    static const uint16_t types[] = {0, 46, 0x0805, 0x88cc, 0xffff};
    struct env *e = env_net(NULL);
    uint8_t frame[60] = {0};

    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        wire_eth_emit(frame, ENV_MAC, ENV_PEER_MAC, types[i]);
        cr_assert_eq(env_input(e, env_frame(e, frame, sizeof frame)), IP_DONE);
        cr_assert_eq(e->sh->count[COUNT_ETH_TYPE], i + 1);
    }
    cr_assert_eq(e->st->ifn[ENV_IF].rx_packets, sizeof types / sizeof types[0]);
    cr_assert_eq(e->st->ifn[ENV_IF].rx_bytes, sizeof types / sizeof types[0] * sizeof frame);
}

Test(eth, input_another_stations_frame_only_without_link_addresses)
{
    static const uint8_t other[6] = {0x02, 0, 0, 0, 0, 0x55};
    struct env_config noarp = {.caps = NETDEV_NOARP};
    struct env_ip ip = {.proto = 99, .dmac = other};
    struct env *e = env_net(NULL);

    cr_assert_eq(env_input(e, env_ip4(e, &ip, "x", 1)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_ETH_NOT_US], 1);
    e = env_net(&noarp);
    cr_assert_eq(env_input(e, env_ip4(e, &ip, "x", 1)), IP_TRANSPORT);
    env_done(e);
    /* ... and ARP means nothing there. */
    env_input(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP));
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(eth, output_loopback_comes_back)
{
    struct env_config cfg = {.isolate = true, .no_if = true};
    struct env *e = env_net(&cfg);
    struct flow fl = {.dst = ipaddr_v4(IP4(127, 0, 0, 1)), .proto = IPPROTO_UDP, .df = 1};
    struct rte_mbuf *m = pkt_alloc(e->sh);

    memset(rte_pktmbuf_append(m, 20), 7, 20);
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert_eq(e->sh->lo_len, 1);
    m = e->sh->lo_head;
    e->sh->lo_head = e->sh->lo_tail = NULL;
    cr_assert_eq(env_input_if(e, IFNET_LOOPBACK, m), IP_TRANSPORT);
    cr_assert_eq(e->ri.l4_good, 1);
    cr_assert_eq(ipaddr_get_v4(&e->ri.src), IP4(127, 0, 0, 1));
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(eth, output_link_without_addresses)
{
    struct env_config noarp = {.caps = NETDEV_NOARP, .no_peer = true};
    struct env *e = env_net(&noarp);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP), .proto = IPPROTO_UDP};

    cr_assert_eq(ip_output(e->sh, &fl, pkt_alloc(e->sh)), 0);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.type, ETH_TYPE_IP4);
}
