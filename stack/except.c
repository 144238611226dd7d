/* except.c: the exception path (except.h). */
#include "except.h"

#include <errno.h>

#include "ip.h"
#include "netdev.h"
#include "pkt.h"
#include "shard.h"
#include "wire_arp.h"
#include "wire_eth.h"
#include "wire_ip4.h"
#include "wire_ip6.h"

enum { STACKS = 1, KERNELS = 2, BOTH = STACKS | KERNELS };

int except_add(struct stack *st, unsigned card, unsigned tap)
{
    struct ifnet *c, *t;

    if (card >= st->nif || tap >= st->nif || card == tap)
        return -EINVAL;
    if (st->nshard > 1)
        return -EOPNOTSUPP;
    c = &st->ifn[card];
    t = &st->ifn[tap];
    if (c->tx_odd || c->rx_odd || t->tx_odd || t->rx_odd || t->naddr ||
        ((c->caps | t->caps) & NETDEV_LOOPBACK))
        return -EINVAL;
    c->except_if = (uint8_t)tap;
    t->except_of = (uint8_t)card;
    c->tx_odd = c->rx_odd = t->rx_odd = 1;
    return 0;
}

static int whose_address(const struct stack *st, const struct ipaddr *a)
{
    return ip_is_local(st, a) ? STACKS : KERNELS;
}

static int whose_arp(const struct stack *st, const struct rte_mbuf *m)
{
    struct ipaddr target;
    struct arp_pkt a;

    if (wire_arp_parse(rte_pktmbuf_mtod_offset(m, const uint8_t *, ETH_HDR_LEN), m->data_len - ETH_HDR_LEN,
                       &a))
        return STACKS; /* which counts it */
    target = ipaddr_v4(a.tpa_be);
    return whose_address(st, &target);
}

/* A frame's, by its destination. The first bytes of m are in one piece. */
static int whose(const struct stack *st, const struct ifnet *card, const struct rte_mbuf *m)
{
    const struct eth_hdr *eth = rte_pktmbuf_mtod(m, const struct eth_hdr *);
    const uint8_t *l3 = (const uint8_t *)(eth + 1);
    uint32_t left = m->data_len - ETH_HDR_LEN, dst_be;
    struct ipaddr a;

    if (eth_addr_is_multicast(eth->dst) || eth->type_be == htons(ETH_TYPE_VLAN))
        return BOTH;
    if (!eth_addr_eq(eth->dst, card->mac))
        return STACKS; /* which counts it */
    if (eth->type_be == htons(ETH_TYPE_IP4) && left >= sizeof(struct ip4_hdr)) {
        memcpy(&dst_be, l3 + offsetof(struct ip4_hdr, dst_be), sizeof dst_be);
        a = ipaddr_v4(dst_be);
        return whose_address(st, &a);
    }
    if (eth->type_be == htons(ETH_TYPE_IP6) && left >= IP6_HDR_LEN) {
        memcpy(a.b, l3 + 24, sizeof a.b); /* RFC 8200 section 3 */
        ipaddr_set_zone(&a, card->index + 1u);
        return whose_address(st, &a);
    }
    return eth->type_be == htons(ETH_TYPE_ARP) ? whose_arp(st, m) : KERNELS;
}

/* Out by one of the two, unless that is down. */
static void send_by(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (sh->st->ifn[ifindex].up)
        shard_tx_bare(sh, ifindex, m);
    else
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
}

/* A received frame on its way out: it needs nothing more done. */
static void pass_on(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (!m)
        return;
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    m->l2_len = m->l3_len = m->l4_len = 0;
    m->packet_type = 0;
    send_by(sh, ifindex, m);
}

bool except_rx(struct shard *sh, unsigned *ifindex, struct rte_mbuf *m)
{
    struct stack *st = sh->st;
    struct ifnet *from = &st->ifn[*ifindex];
    unsigned card = from->except_of ? from->except_of : *ifindex;
    unsigned other = from->except_of ? card : from->except_if;
    int to;

    if (!other)
        return true;
    if (m->pkt_len < ETH_HDR_LEN || !pkt_pull(m, RTE_MIN(m->pkt_len, 64u))) {
        pkt_drop(sh, m, COUNT_ETH_RUNT);
        return false;
    }
    to = whose(st, &st->ifn[card], m);
    /* What the kernel sends to others on the wire. */
    if (from->except_of && to == STACKS &&
        !eth_addr_eq(rte_pktmbuf_mtod(m, const struct eth_hdr *)->dst, st->ifn[card].mac))
        to = KERNELS;
    *ifindex = card;
    if (to == STACKS)
        return true;
    if (to == KERNELS || from->except_of) { /* what the card got for both eth_input counts */
        from->rx_packets++;
        from->rx_bytes += m->pkt_len;
    }
    pass_on(sh, other, to == BOTH ? rte_pktmbuf_clone(m, sh->pool) : m);
    return to == BOTH;
}

bool except_tx(struct shard *sh, const struct ifnet *card, struct rte_mbuf *m)
{
    const struct eth_hdr *eth = rte_pktmbuf_mtod(m, const struct eth_hdr *);
    struct rte_mbuf *copy;

    if (eth_addr_eq(eth->dst, card->mac)) {
        send_by(sh, card->except_if, m);
        return false;
    }
    if (!eth_addr_is_multicast(eth->dst))
        return true;
    /* A whole one: whoever finishes checksums in a copy writes into the bytes of both. */
    copy = rte_pktmbuf_copy(m, sh->pool, 0, UINT32_MAX);
    if (copy)
        send_by(sh, card->except_if, copy);
    return true;
}
