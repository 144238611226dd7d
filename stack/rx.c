/* rx.c: the demultiplexer. The one place that knows all protocols: frames to eth_input, transport packets to
 * TCP and UDP, ICMP errors to the transport whose packet they quote, timers to whoever armed them.
 *
 * A transport registers here by name, not by pointer: function pointers don't belong in the segment, and a
 * switch is what the branch predictor likes.
 */
#include <netinet/ip_icmp.h>
#include <rte_prefetch.h>

#include "arp.h"
#include "dhcp.h"
#include "except.h"
#include "frag.h"
#include "igmp.h"
#include "ip.h"
#include "lane.h"
#include "mark.h"
#include "mcast.h"
#include "nd.h"
#include "neigh.h"
#include "packet.h"
#include "ping.h"
#include "pkt.h"
#include "raw.h"
#include "rx.h"
#include "shard.h"
#include "tcp.h"
#include "tcp_lane.h"
#include "udp.h"
#include "vlan.h"

static void rx_icmp_error(struct shard *sh, const struct icmp_error *err)
{
    if (raw_wanted(sh))
        raw_icmp(sh, err);
    if (err->proto == IPPROTO_TCP)
        tcp_icmp(sh, err);
    else if (err->proto == IPPROTO_UDP || err->proto == IPPROTO_UDPLITE)
        udp_icmp(sh, err);
    else if (err->proto == IPPROTO_ICMP || err->proto == IPPROTO_ICMPV6)
        ping_icmp(sh, err);
}

static void rx_transport(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    bool raw = __builtin_expect(raw_wanted(sh), 0) && raw_input(sh, m, ri);

    if (ri->proto == IPPROTO_TCP) {
        tcp_input(sh, m, ri);
    } else if (ri->proto == IPPROTO_UDP) {
        udp_input(sh, m, ri);
    } else if (ri->proto == IPPROTO_UDPLITE) {
        udplite_input(sh, m, ri);
    } else if (ri->proto == IPPROTO_IGMP) {
        igmp_input(sh, m, ri);
        rte_pktmbuf_free(m);
    } else if (raw) {
        rte_pktmbuf_free(m);
    } else { /* RFC 1122 section 3.2.2.1: code 2 SHOULD be sent for an unknown protocol */
        icmp_send_error(sh, ri, m, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH);
        pkt_drop(sh, m, ipaddr_is_v4(&ri->src) ? COUNT_IP_PROTO : COUNT_IP6_PROTO);
    }
}

/* What ICMP dealt with below, to the sockets that want to see it. */
static void rx_icmp_copy(struct shard *sh)
{
    struct icmp_copy *c = sh->icmp_copy;
    struct rte_mbuf *m = c->m;

    c->m = NULL;
    if (raw_wanted(sh))
        raw_input(sh, m, &c->ri);
    ping_input(sh, m, &c->ri);
    rte_pktmbuf_free(m);
}

static void rx_eth(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);

/* A frame with an 802.1Q tag is another interface's, and seen there again; with a tag of id 0 it is the
 * port's own after all. */
static void rx_vlan(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    unsigned port = ifindex;
    enum count bad = vlan_untag(sh->st, &ifindex, m);

    if (bad != COUNT_OK) {
        ifn->rx_dropped++;
        pkt_drop(sh, m, bad);
        return;
    }
    if (ifindex == port) {
        ifn->rx_packets--; /* eth_input counts it again */
        ifn->rx_bytes -= m->pkt_len;
    } else if (packet_wanted(sh)) {
        packet_tap(sh, ifindex, m, false);
    }
    rx_eth(sh, ifindex, m);
}

static void rx_eth(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    struct icmp_error err;
    struct rxinfo ri;

    switch (eth_input(sh, ifindex, &m, &ri, &err)) {
    case IP_DONE:
        break;
    case IP_TRANSPORT:
        rx_transport(sh, m, &ri);
        break;
    case IP_ICMP_ERROR:
        rx_icmp_error(sh, &err);
        rte_pktmbuf_free(m);
        break;
    case IP_VLAN:
        rx_vlan(sh, ifindex, m);
        break;
    }
    if (__builtin_expect(sh->icmp_copy->m != NULL, 0))
        rx_icmp_copy(sh);
}

/* A frame of an interface that is down, or has a part in the exception path. False: it is gone. */
static bool rx_odd(struct shard *sh, unsigned *ifindex, struct rte_mbuf *m)
{
    struct ifnet *ifn = &sh->st->ifn[*ifindex];

    if (ifn->up)
        return except_rx(sh, ifindex, m);
    ifn->rx_dropped++;
    rte_pktmbuf_free(m);
    return false;
}

static void rx_frame(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (__builtin_expect(sh->st->ifn[ifindex].rx_odd, 0) && !rx_odd(sh, &ifindex, m))
        return;
    if (__builtin_expect(packet_wanted(sh), 0))
        packet_tap(sh, ifindex, m, false);
    rx_eth(sh, ifindex, m);
}

/* Frames that the link lost on this side of the wire. */
static void rx_lost(struct shard *sh, unsigned ifindex, struct netdev *dev)
{
    uint64_t *dropped = sh->id ? &sh->ifc[ifindex].rx_dropped : &sh->st->ifn[ifindex].rx_dropped;

    *dropped += dev->rx_lost[sh->id];
    sh->count[COUNT_RX_LOST] += dev->rx_lost[sh->id];
    dev->rx_lost[sh->id] = 0;
}

static unsigned rx_netdev(struct shard *sh, unsigned ifindex, struct netdev *dev)
{
    struct rte_mbuf *m[RX_BATCH];
    uint16_t n;

    MARK(RX);
    n = dev->ops->rx(dev, (uint16_t)sh->id, m, RX_BATCH);
    if (n)
        MARK_GO(DEMUX);
    else
        MARK_IDLE();
    if (__builtin_expect(dev->rx_lost[sh->id] != 0, 0))
        rx_lost(sh, ifindex, dev);
    for (uint16_t i = 0; i < n && i < 2; i++)
        rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
    for (uint16_t i = 0; i < n; i++) {
        if (i + 2 < n)
            rte_prefetch0(rte_pktmbuf_mtod(m[i + 2], void *));
        rx_frame(sh, ifindex, m[i]);
    }
    return n;
}

unsigned rx_devices(struct shard *sh)
{
    unsigned total = 0;

    for (unsigned i = 1; i < sh->st->nif; i++) {
        struct netdev *dev = netdev_get(i);

        if (dev)
            total += rx_netdev(sh, i, dev);
    }
    return total;
}

unsigned rx_loopback(struct shard *sh)
{
    unsigned n = sh->lo_len;

    /* Those that are there now. Each is taken by itself, so that a process killed in here loses one. */
    for (unsigned i = 0; i < n && sh->lo_head; i++) {
        struct rte_mbuf *m = sh->lo_head;

        sh->lo_head = pkt_meta(m)->link;
        if (!sh->lo_head)
            sh->lo_tail = NULL;
        sh->lo_len--;
        pkt_meta(m)->link = NULL;
        rx_frame(sh, m->port, m);
    }
    return n;
}

static void fire(void *arg, struct timer *t)
{
    struct shard *sh = arg;

    switch ((enum timer_kind)t->kind) {
    case TIMER_TCB:
    case TIMER_SYNREQ:
    case TIMER_TW:
        tcp_timer(sh, t);
        break;
    case TIMER_NEIGH:
        neigh_timer(sh, t);
        break;
    case TIMER_FRAG:
        frag_timer(sh, t);
        break;
    case TIMER_MC_CHANGE:
    case TIMER_MC_QUERY:
    case TIMER_MC_GROUP:
        mc_timer(sh, t);
        break;
    case TIMER_STACK:
        arp_timer(sh, t);
        break;
    case TIMER_ND:
        nd_timer(sh, t);
        break;
    case TIMER_DHCP:
        dhcp_timer(sh, t);
        break;
    case TIMER_PACKET:
        packet_ring_timer(sh, t);
        break;
    case TIMER_NONE:
        break;
    }
}

/* --- lanes (lane.h) --- */

#define SLOW_MAX                                                                                             \
    4096 /* frames that wait for all locks; as many as a backlog of Linux's is long, and more                \
          */

static void keep(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (sh->slow_len == SLOW_MAX) {
        pkt_drop(sh, m, COUNT_SHARD_FULL);
        return;
    }
    m->port = (uint16_t)ifindex;
    pkt_meta(m)->link = NULL;
    list_step();
    if (sh->slow_tail)
        pkt_meta(sh->slow_tail)->link = m;
    else
        sh->slow_head = m;
    sh->slow_tail = m;
    sh->slow_len++;
    sh->slow = true;
}

/* Of a plain connection of sh? */
static bool lane_takes(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m)
{
    return !sh->st->cold && !sh->st->ifn[ifindex].rx_odd && tcp_lane_takes(sh, ifindex, m);
}

static unsigned rx_lane_netdev(struct shard *sh, unsigned ifindex, struct netdev *dev)
{
    struct rte_mbuf *m[RX_BATCH];
    uint16_t n = dev->ops->rx(dev, sh->id, m, RX_BATCH);

    if (__builtin_expect(dev->rx_lost[sh->id] != 0, 0))
        rx_lost(sh, ifindex, dev);
    for (uint16_t i = 0; i < n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
    for (uint16_t i = 0; i < n; i++) {
        /* Behind one that waits all wait: they may be of the same connection. */
        if (!sh->slow_head && lane_takes(sh, ifindex, m[i]))
            rx_eth(sh, ifindex, m[i]);
        else
            keep(sh, ifindex, m[i]);
    }
    return n;
}

unsigned rx_lane(struct shard *sh)
{
    unsigned total = 0;

    for (unsigned i = 1; i < sh->st->nif; i++) {
        struct netdev *dev = netdev_get(i);

        if (dev && (sh->id == 0 || sh->id < dev->nqueue))
            total += rx_lane_netdev(sh, i, dev);
    }
    return total;
}

void rx_slow(struct shard *sh)
{
    struct shard *first = &sh->st->shard[0];
    struct tcp_lane_name name;

    /* Each is taken by itself, so that a process killed in here loses one. */
    while (sh->slow_head) {
        struct rte_mbuf *m = sh->slow_head;
        struct tcb *t;
        bool named;

        sh->slow_head = pkt_meta(m)->link;
        if (!sh->slow_head)
            sh->slow_tail = NULL;
        sh->slow_len--;
        pkt_meta(m)->link = NULL;
        first->count[COUNT_SHARD_SLOW]++;
        /* It waited behind another: no need to bring its connection to shard 0 and back. */
        if (sh != first && lane_takes(sh, m->port, m)) {
            rx_eth(sh, m->port, m);
            continue;
        }
        named = tcp_lane_name(first, m->port, m, &name) && name.plain;
        rx_frame(first, m->port, m);
        if (named && (t = tcp_lane_after(first, &name)) && sh != first && !first->st->cold)
            lane_move(first->st, (struct pcb *)t, sh);
    }
}

/* Only connections have a timer here. They go to shard 0 for it, and back when that is all there was. */
static void fire_lane(void *arg, struct timer *t)
{
    struct shard *sh = arg, *first = &sh->st->shard[0];
    struct tcb *tcb = tcp_timer_tcb(t);

    shard_recall(sh->st, (struct pcb *)tcb);
    fire(first, t);
    /* Where it is none any more, its memory says so: slabs are type-stable. */
    if (!sh->st->cold && tcp_is_settled(first, tcb))
        lane_move(sh->st, (struct pcb *)tcb, sh);
}

void rx_lane_timers(struct shard *sh)
{
    uint64_t now_ms = shard_ms(sh);

    if (now_ms > sh->wheel.now_ms)
        wheel_run(&sh->wheel, now_ms, fire_lane, sh);
}

void rx_timers(struct shard *sh)
{
    uint64_t now_ms = shard_ms(sh);

    MARK(TIMERS);
    if (now_ms > sh->wheel.now_ms)
        wheel_run(&sh->wheel, now_ms, fire, sh);
}
