/* test_rx.c: frames to the protocols they belong to. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "../../stack/shard.h"
#include "env.h"

static struct env_seen seen;

Test(rx, unknown_protocol_is_answered)
{
    struct env *e = env_stack(NULL);
    struct env_ip ip = {.proto = 253};

    env_inject(e, env_ip4(e, &ip, "payload!", 8));
    env_poll(e);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.l4[0], ICMP_DEST_UNREACH);
    cr_assert_eq(seen.l4[1], ICMP_PROT_UNREACH);
    cr_assert_eq(e->sh->count[COUNT_IP_PROTO], 1);
    cr_assert_eq(env_leaks(e), 0);
}

Test(rx, unknown_protocol_by_broadcast_is_not)
{
    struct env *e = env_stack(NULL);
    struct env_ip ip = {.proto = 253, .dst = IP4(198, 18, 0, 255), .dmac = ENV_BCAST_MAC};

    env_tx_clear(e);
    env_inject(e, env_ip4(e, &ip, "payload!", 8));
    env_poll(e);
    cr_assert_not(env_seen(e, &seen));
    cr_assert_eq(env_leaks(e), 0);
}

Test(rx, echo_is_answered_in_the_same_poll_and_counted)
{
    struct env *e = env_stack(NULL);
    struct ifnet *ifn = &e->st->ifn[ENV_IF];
    uint64_t rx = ifn->rx_packets, tx = ifn->tx_packets;

    env_tx_clear(e);
    env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHO, 0, 0, "ping", 4));
    cr_assert_eq(shard_poll(e->sh, e->now_ns), 1);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.l4[0], ICMP_ECHOREPLY);
    cr_assert_eq(ifn->rx_packets, rx + 1);
    cr_assert_eq(ifn->tx_packets, tx + 1);
}

Test(rx, bursts_are_bounded_and_nothing_is_lost)
{
    struct env *e = env_stack(NULL);

    for (int i = 0; i < 100; i++)
        env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHO, 0, 0, "ping", 4));
    env_tx_clear(e);
    cr_assert_eq(shard_poll(e->sh, e->now_ns), RX_BATCH);
    env_poll(e);
    cr_assert_eq(env_tx_count(e), 100);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}
