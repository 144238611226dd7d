/* arp.c: ARP: asking, answering, learning, and detecting that an address is taken (arp.h).
 *
 * Whom we believe. An answer to a question of ours makes its sender reachable. A request for our address
 * makes an entry for its asker, because we are about to answer and to be answered (RFC 826). All else only
 * corrects an entry that is there already: nobody can fill the table by talking.
 */
#include "arp.h"

#include <errno.h>

#include "ifnet.h"
#include "log.h"
#include "nd.h"
#include "pkt.h"
#include "route.h"
#include "shard.h"
#include "wire_arp.h"

static const uint8_t broadcast_mac[ETH_ADDR_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t no_mac[ETH_ADDR_LEN];

static void send_arp(struct shard *sh, unsigned ifindex, const struct arp_pkt *a, const uint8_t to[6])
{
    struct rte_mbuf *m = pkt_alloc(sh);
    uint8_t *p;

    if (!m)
        return;
    /* No padding to the Ethernet minimum: that is the device's work, as Linux sees it too. */
    p = (uint8_t *)rte_pktmbuf_append(m, ETH_HDR_LEN + ARP_LEN);
    if (!p) {
        pkt_drop(sh, m, COUNT_NOMEM_PKT);
        return;
    }
    wire_eth_emit(p, to, sh->st->ifn[ifindex].mac, ETH_TYPE_ARP);
    wire_arp_emit(p + ETH_HDR_LEN, a);
    m->l2_len = ETH_HDR_LEN;
    shard_tx(sh, ifindex, m);
}

static void send_request(struct shard *sh, unsigned ifindex, uint32_t spa_be, uint32_t tpa_be,
                         const uint8_t to[6])
{
    struct arp_pkt a = {.op = ARP_REQUEST, .spa_be = spa_be, .tpa_be = tpa_be};

    memcpy(a.sha, sh->st->ifn[ifindex].mac, sizeof a.sha);
    send_arp(sh, ifindex, &a, to);
}

static void send_reply(struct shard *sh, unsigned ifindex, const struct arp_pkt *to)
{
    struct arp_pkt a = {.op = ARP_REPLY, .spa_be = to->tpa_be, .tpa_be = to->spa_be};

    memcpy(a.sha, sh->st->ifn[ifindex].mac, sizeof a.sha);
    memcpy(a.tha, to->sha, sizeof a.tha);
    send_arp(sh, ifindex, &a, to->sha);
}

void arp_solicit(struct shard *sh, const struct neigh *n, bool unicast)
{
    const struct ifaddr *src = ifnet_source(&sh->st->ifn[n->ifindex], &n->addr);

    send_request(sh, n->ifindex, src ? src->addr.w[3] : 0, n->addr.w[3], unicast ? n->hdr : broadcast_mac);
}

/* Another host uses our address a. Context: RFC 5227 section 2.1.1 (probing) and 2.4 (later). */
static void conflict(struct shard *sh, unsigned ifindex, struct ifaddr *a, const uint8_t mac[6])
{
    struct arp_state *s = &sh->st->neigh->arp;
    const uint8_t *ip = a->addr.b + 12;

    sh->count[COUNT_ARP_CONFLICT]++;
    memcpy(s->conflict_mac, mac, ETH_ADDR_LEN);
    if (a->state == IFADDR_TENTATIVE) {
        a->state = IFADDR_CONFLICT;
        ifnet_changed(sh->st, ifindex);
        return;
    }
    if (a->state != IFADDR_VALID)
        return;
    /* Section 2.4 (c): keep the address and defend it, at most every DEFEND_INTERVAL. */
    if (s->defended_ms && shard_ms(sh) - s->defended_ms < ARP_DEFEND_INTERVAL_MS)
        return;
    s->defended_ms = shard_ms(sh);
    log_warn("%u.%u.%u.%u is also used by %02x:%02x:%02x:%02x:%02x:%02x", ip[0], ip[1], ip[2], ip[3], mac[0],
             mac[1], mac[2], mac[3], mac[4], mac[5]);
    send_request(sh, ifindex, a->addr.w[3], a->addr.w[3], broadcast_mac);
}

/* True if the packet shows that its sender has, or wants, an address of ours. */
static bool check_conflict(struct shard *sh, unsigned ifindex, const struct arp_pkt *a)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    bool hit = false;

    for (uint32_t i = 0; i < ifn->naddr; i++) {
        struct ifaddr *ia = &ifn->addr[i];

        if (!ipaddr_is_v4(&ia->addr))
            continue;
        /* A probe for an address that we are probing: neither may have it. */
        if (ia->addr.w[3] == a->spa_be ||
            (a->spa_be == 0 && ia->state == IFADDR_TENTATIVE && ia->addr.w[3] == a->tpa_be)) {
            conflict(sh, ifindex, ia, a->sha);
            hit = true;
        }
    }
    return hit;
}

static void learn(struct shard *sh, unsigned ifindex, const struct arp_pkt *a, bool for_us)
{
    const struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct ipaddr spa = ipaddr_v4(a->spa_be);
    struct neigh *n = neigh_find(sh->st, ifindex, &spa);

    if (!n && for_us && a->op == ARP_REQUEST && route_lookup(sh->st, &spa, ifindex))
        n = neigh_get(sh, ifindex, &spa);
    if (n)
        neigh_update(sh, n, a->sha, a->op == ARP_REPLY && eth_addr_eq(a->tha, ifn->mac));
}

void arp_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    const struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct ipaddr spa, tpa;
    struct arp_pkt a;
    bool for_us;

    if (wire_arp_parse(rte_pktmbuf_mtod_offset(m, const uint8_t *, ETH_HDR_LEN), m->data_len - ETH_HDR_LEN,
                       &a) ||
        (a.op != ARP_REQUEST && a.op != ARP_REPLY) || eth_addr_is_multicast(a.sha) ||
        eth_addr_is_zero(a.sha)) {
        pkt_drop(sh, m, COUNT_ARP_BAD);
        return;
    }
    rte_pktmbuf_free(m);
    spa = ipaddr_v4(a.spa_be);
    tpa = ipaddr_v4(a.tpa_be);
    if (eth_addr_eq(a.sha, ifn->mac) && !ifn->except_if) /* our own, reflected by the link */
        return;
    if (ipaddr_is_loopback(&spa) || ipaddr_is_multicast(&spa) || a.spa_be == INADDR_BROADCAST) {
        sh->count[COUNT_ARP_BAD]++;
        return;
    }
    if (check_conflict(sh, ifindex, &a))
        return;
    for_us = ifnet_find_addr(ifn, &tpa) != NULL;
    if (a.spa_be != 0)
        learn(sh, ifindex, &a, for_us);
    /* A probe (no sender address) for our address is answered like a request: that is our defence. */
    if (for_us && a.op == ARP_REQUEST)
        send_reply(sh, ifindex, &a);
}

/* Calls fn for each IPv4 address in the given state on links that have ARP. True if there was one. */
static bool each_addr(struct shard *sh, uint8_t state,
                      void (*fn)(struct shard *sh, unsigned ifindex, struct ifaddr *a))
{
    bool any = false;

    for (uint32_t i = 0; i < sh->st->nif; i++) {
        struct ifnet *ifn = &sh->st->ifn[i];

        if (ifn->caps & (NETDEV_LOOPBACK | NETDEV_NOARP))
            continue;
        for (uint32_t k = 0; k < ifn->naddr; k++) {
            if (ifn->addr[k].state != state || !ipaddr_is_v4(&ifn->addr[k].addr))
                continue;
            any = true;
            fn(sh, i, &ifn->addr[k]);
        }
    }
    return any;
}

static void probe(struct shard *sh, unsigned ifindex, struct ifaddr *a)
{
    struct arp_pkt p = {.op = ARP_REQUEST, .tpa_be = a->addr.w[3]};

    memcpy(p.sha, sh->st->ifn[ifindex].mac, sizeof p.sha);
    memcpy(p.tha, no_mac, sizeof p.tha);
    send_arp(sh, ifindex, &p, broadcast_mac);
}

static void announce(struct shard *sh, unsigned ifindex, struct ifaddr *a)
{
    send_request(sh, ifindex, a->addr.w[3], a->addr.w[3], broadcast_mac);
}

static void make_valid(struct shard *sh, unsigned ifindex, struct ifaddr *a)
{
    a->state = IFADDR_VALID;
    ifnet_changed(sh->st, ifindex); /* a source address more to choose from */
}

/* One step: a round of probes, or the end of probing, or an announcement. */
static void step(struct shard *sh)
{
    struct arp_state *s = &sh->st->neigh->arp;

    if (s->probes_left > 0 && each_addr(sh, IFADDR_TENTATIVE, probe)) {
        s->probes_left--;
        timer_arm(&sh->wheel, &s->timer, shard_ms(sh) + ARP_PROBE_INTERVAL_MS);
        return;
    }
    s->probes_left = 0;
    if (each_addr(sh, IFADDR_TENTATIVE, make_valid))
        s->announces_left = ARP_ANNOUNCE_NUM;
    if (s->announces_left == 0 || !each_addr(sh, IFADDR_VALID, announce))
        return;
    if (--s->announces_left > 0)
        timer_arm(&sh->wheel, &s->timer, shard_ms(sh) + ARP_ANNOUNCE_INTERVAL_MS);
}

void arp_timer(struct shard *sh, struct timer *t)
{
    (void)t;
    step(sh);
}

void arp_probe_start(struct shard *sh)
{
    struct arp_state *s = &sh->st->neigh->arp;

    s->probes_left = ARP_PROBE_NUM;
    s->announces_left = ARP_ANNOUNCE_NUM;
    step(sh);
}

void arp_announce_start(struct shard *sh)
{
    arp_probe_start(sh);
    nd_dad_start(sh);
}

int arp_announce_state(const struct stack *st, uint8_t mac[6])
{
    int state = 0;

    for (uint32_t i = 0; i < st->nif; i++) {
        for (uint32_t k = 0; k < st->ifn[i].naddr; k++) {
            if (st->ifn[i].addr[k].state == IFADDR_CONFLICT && !(st->ifn[i].addr[k].flags & IFADDR_AUTO)) {
                memcpy(mac, st->neigh->arp.conflict_mac, ETH_ADDR_LEN);
                return -EADDRINUSE;
            }
            if (st->ifn[i].addr[k].state == IFADDR_TENTATIVE)
                state = 1;
        }
    }
    return state;
}
