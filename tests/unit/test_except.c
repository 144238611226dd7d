/* test_except.c: the exception path: whose a frame is that a shared card receives, what the kernel sends, and
 * how the two reach each other. (tests/system/shared.test has a kernel on the other side.) */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/except.h"
#include "../../stack/netdev.h"
#include "../../stack/shard.h"
#include "../../stack/wire_arp.h"
#include "../../stack/wire_eth.h"
#include "env.h"

#define TAP     2
#define HOST_IP IP4(198, 18, 0, 8)

static struct rte_mbuf *to_kernel[16], *from_kernel;
static unsigned nto;

static uint16_t tap_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    *m = from_kernel;
    from_kernel = NULL;
    return *m != NULL;
}

static uint16_t tap_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        cr_assert_lt(nto, 16);
        to_kernel[nto++] = m[i];
    }
    return n;
}

static const struct netdev_ops ops = {.rx = tap_rx, .tx = tap_tx};
static struct netdev tap = {.ops = &ops, .caps = NETDEV_SCATTER, .mtu = 1500, .mac = {2, 9}, .name = "tap1"};

static struct env *shared(void)
{
    struct env *e = env_stack(NULL);

    cr_assert_eq(stack_add_if(e->st, &tap), TAP);
    netdev_register(TAP, &tap);
    cr_assert_eq(except_add(e->st, ENV_IF, TAP), 0);
    return e;
}

static void card_gets(struct env *e, struct rte_mbuf *m)
{
    env_inject(e, m);
    env_poll(e);
}

static void kernel_sends(struct env *e, struct rte_mbuf *m)
{
    from_kernel = m;
    env_poll(e);
}

static const struct eth_hdr *eth(const struct rte_mbuf *m)
{
    return rte_pktmbuf_mtod(m, const struct eth_hdr *);
}

Test(except, by_destination)
{
    struct env *e = shared();

    card_gets(e, env_udp(e, ENV_PEER_IP, 7, ENV_IP, 9, "x", 1)); /* nobody's port: an ICMP error */
    cr_assert_eq(nto, 0);
    cr_assert_eq(env_tx_count(e), 1);
    env_tx_clear(e);
    card_gets(e, env_udp(e, ENV_PEER_IP, 7, HOST_IP, 9, "x", 1));
    cr_assert_eq(nto, 1);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(to_kernel[0]->ol_flags, 0);
    card_gets(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, ENV_PEER_IP, ENV_MAC, HOST_IP));
    cr_assert_eq(nto, 2);
}

Test(except, broadcasts_are_for_both)
{
    struct env *e = shared();

    card_gets(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, (const uint8_t[6]){0}, ENV_IP));
    cr_assert_eq(nto, 1);
    cr_assert_eq(env_tx_count(e), 1, "the stack answers what is asked of it");
    cr_assert_eq(e->st->ifn[ENV_IF].rx_packets, 1);
    card_gets(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, (const uint8_t[6]){0}, HOST_IP));
    cr_assert_eq(nto, 2);
    cr_assert_eq(env_tx_count(e), 1);
}

Test(except, frames_for_others_are_nobody_s)
{
    struct env *e = shared();
    struct env_ip ip = {.dst = HOST_IP, .proto = IPPROTO_UDP, .dmac = (const uint8_t[6]){2, 7, 7, 7, 7, 7}};

    card_gets(e, env_ip4(e, &ip, "12345678", 8));
    cr_assert_eq(nto, 0);
}

Test(except, the_kernel_sends_by_the_card)
{
    struct env *e = shared();
    struct env_ip ip = {.src = HOST_IP, .dst = ENV_PEER_IP, .proto = IPPROTO_UDP, .dmac = ENV_PEER_MAC};
    struct env_seen s;

    kernel_sends(e, env_ip4(e, &ip, "12345678", 8));
    cr_assert(env_seen(e, &s));
    cr_assert(eth_addr_eq(s.eth->dst, ENV_PEER_MAC));
    kernel_sends(e, env_arp(e, ARP_REQUEST, ENV_MAC, HOST_IP, (const uint8_t[6]){0}, ENV_PEER_IP));
    cr_assert(env_seen(e, &s), "the wire hears what it asks");
    cr_assert_eq(nto, 0);
}

/* Both have the card's link address: what goes there never reaches the wire. */
Test(except, the_kernel_and_the_stack)
{
    struct env *e = shared();

    kernel_sends(e, env_arp(e, ARP_REQUEST, ENV_MAC, HOST_IP, (const uint8_t[6]){0}, ENV_IP));
    cr_assert_eq(env_tx_count(e), 1, "the question is a broadcast, on the wire as well");
    cr_assert_eq(nto, 1);
    cr_assert(eth_addr_eq(eth(to_kernel[0])->dst, ENV_MAC), "the answer is not");
    env_tx_clear(e);
    kernel_sends(e, env_udp(e, HOST_IP, 7, ENV_IP, 9, "x", 1));
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(nto, 2);
    cr_assert_eq(eth(to_kernel[1])->type_be, htons(ETH_TYPE_IP4));
}

Test(except, refusals)
{
    struct env *e = shared();

    cr_assert_eq(except_add(e->st, ENV_IF, TAP), -EINVAL, "it is shared already");
    cr_assert_eq(except_add(e->st, ENV_IF, ENV_IF), -EINVAL);
    cr_assert_eq(except_add(e->st, ENV_IF, 9), -EINVAL);
    card_gets(e, env_frame(e, "short", 5));
    cr_assert_eq(nto, 0);
}

Test(except, nothing_comes_or_goes_while_it_is_down)
{
    struct env_ip ip = {.src = HOST_IP, .dst = ENV_PEER_IP, .proto = IPPROTO_UDP, .dmac = ENV_PEER_MAC};
    struct env *e = shared();

    e->st->ifn[ENV_IF].up = 0;
    card_gets(e, env_udp(e, ENV_PEER_IP, 7, HOST_IP, 9, "x", 1));
    card_gets(e, env_udp(e, ENV_PEER_IP, 7, ENV_IP, 9, "x", 1));
    cr_assert_eq(nto, 0);
    kernel_sends(e, env_ip4(e, &ip, "12345678", 8));
    cr_assert_eq(env_tx_count(e), 0);
    e->st->ifn[ENV_IF].up = 1;
    e->st->ifn[TAP].up = 0;
    card_gets(e, env_udp(e, ENV_PEER_IP, 7, HOST_IP, 9, "x", 1));
    cr_assert_eq(nto, 0);
}
