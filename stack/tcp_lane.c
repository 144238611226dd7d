/* tcp_lane.c: see tcp_lane.h. */
#include "tcp_lane.h"

#include <errno.h>

#include "neigh.h"
#include "route.h"
#include "tcp_cb.h"
#include "tcp_ext.h"
#include "tcp_io.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_sack.h"
#include "tcp_stamp.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "wire_eth.h"
#include "wire_ip4.h"
#include "wire_ip6.h"

#define YOUNG_SEGS 8   /* segments in: a connection for one request has fewer */
#define HOME_EVERY 256 /* segments in, of which in the first HOME_TRIES it may be taken home */
#define HOME_TRIES 8
#define CERTAIN_NS                                                                                           \
    100000000 /* how long a neighbour must be certain beyond what is asked at each segment: longer than a    \
                 call takes */

/* What keeps a connection from being plain. */
#define SPECIAL                                                                                              \
    (TF_FIN_QUEUED | TF_CLOSED | TF_ACCEPTQ | TF_URG | TF_CTL | TF_TXSTAMP | TF_MD5 | TF_TFO | TF_PACED |    \
     TF_MTUP | TF_FIN_RCVD | TF_MINTTL)

int tcp_lane_init(struct shard *sh, uint32_t max_tcb)
{
    struct tcp_table *of = sh->st->shard[0].tcp, *tt = seg_alloc(sh->st->seg, sizeof *tt, 128);

    if (!tt)
        return -ENOMEM;
    slab_init_branch(&tt->ofo, &of->ofo);
    slab_init_branch(&tt->tx, &of->tx);
    slab_init_branch(&tt->ext, &of->ext);
    slab_init_branch(&tt->io, &of->io);
    slab_init_branch(&tt->sack_cache, &of->sack_cache);
    tt->tcb = (struct slab){.base = of->tcb.base, .size = of->tcb.size}; /* to find one by its number alone */
    sh->tcp = tt;
    return tcp_hash_init(&tt->conn, sh->st->seg, max_tcb);
}

static bool neighbour_is_certain(const struct shard *sh, const struct neigh *n)
{
    uint64_t half_ns = (uint64_t)sh->st->set.neigh_base_reachable * 500000000; /* as ip_confirm */

    return n && n->fresh_until_ns >= sh->now_ns + half_ns + CERTAIN_NS;
}

bool tcp_is_plain(const struct shard *sh, const struct tcb *t)
{
    const struct stack *st = sh->st;
    const struct flow *fl;

    if (!t->io || t->state != TCPS_ESTABLISHED || (t->flags & SPECIAL) || t->shut || !t->pcb.user ||
        t->pcb.so_error || t->pcb.filter || (t->pcb.flags & PCB_ERRQ))
        return false;
    fl = &t->io->flow;
    if (fl->gen != st->routes->gen || !fl->df ||
        (fl->caps & (NETDEV_LOOPBACK | FLOW_GROUP | FLOW_WITH_EXT)) || st->ifn[fl->ifindex].tx_odd)
        return false;
    if (t->ext && !(list_empty(&t->ext->txstamps) && list_empty(&t->ext->zcopies)))
        return false;
    return neighbour_is_certain(sh, fl->neigh);
}

bool tcp_is_settled(const struct shard *sh, const struct tcb *t)
{
    return t->segs_in >= YOUNG_SEGS && tcp_is_plain(sh, t);
}

bool tcp_wants_home(const struct tcb *t, const struct shard *home)
{
    const struct netdev *dev;

    if ((t->flags & TF_PASSIVE) || ((t->segs_in - YOUNG_SEGS) & (HOME_EVERY - 1)) >= HOME_TRIES ||
        !(t->io->flow.caps & NETDEV_FOLLOWS))
        return false;
    dev = netdev_get(t->io->flow.ifindex);
    return dev && home->id < dev->nqueue;
}

/* Ports and flags of the segment at p, of which avail bytes are there. */
static bool name_ports(const uint8_t *p, size_t avail, struct tcp_lane_name *n)
{
    if (avail < TCP_HDR_LEN)
        return false;
    memcpy(&n->remote.port_be, p, 2);
    memcpy(&n->local.port_be, p + 2, 2);
    n->plain = (p[13] & (TCP_ACK | TCP_SYN | TCP_FIN | TCP_RST | TCP_URG)) == TCP_ACK;
    return true;
}

bool tcp_lane_name(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m,
                   struct tcp_lane_name *n)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    const struct ip4_hdr *ip4 = (const struct ip4_hdr *)(p + ETH_HDR_LEN);
    const struct ip6_head *ip6 = (const struct ip6_head *)(p + ETH_HDR_LEN);
    uint16_t type_be;

    if (m->data_len < ETH_HDR_LEN + IP4_HDR_LEN || !eth_addr_eq(p, sh->st->ifn[ifindex].mac))
        return false;
    memcpy(&type_be, p + 12, 2);
    if (type_be == htons(ETH_TYPE_IP4)) {
        if (ip4->ver_ihl != 0x45 || ip4->proto != IPPROTO_TCP ||
            (ip4->off_be & htons(IP4_MF | IP4_OFFSET_MASK)))
            return false;
        n->remote.addr = ipaddr_v4(ip4->src_be);
        n->local.addr = ipaddr_v4(ip4->dst_be);
        return name_ports(p + ETH_HDR_LEN + IP4_HDR_LEN, m->data_len - ETH_HDR_LEN - IP4_HDR_LEN, n);
    }
    if (type_be != htons(ETH_TYPE_IP6) || m->data_len < ETH_HDR_LEN + IP6_HDR_LEN || ip6->next != IPPROTO_TCP)
        return false;
    memcpy(n->remote.addr.b, ip6->src, 16);
    memcpy(n->local.addr.b, ip6->dst, 16);
    /* Link-local ones go by their zone as well: seldom enough. */
    return !ipaddr_needs_zone(&n->local.addr) && !ipaddr_needs_zone(&n->remote.addr) &&
           name_ports(p + ETH_HDR_LEN + IP6_HDR_LEN, m->data_len - ETH_HDR_LEN - IP6_HDR_LEN, n);
}

bool tcp_lane_takes(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m)
{
    struct tcp_lane_name n;
    const struct tcb *t;

    if (!tcp_lane_name(sh, ifindex, m, &n) || !n.plain)
        return false;
    t = tcp_find(sh, &n.local, &n.remote);
    return t && tcp_is_plain(sh, t);
}

struct tcb *tcp_lane_after(struct shard *first, const struct tcp_lane_name *n)
{
    struct tcb *t = tcp_find(first, &n->local, &n->remote);

    if (!t || t->state != TCPS_ESTABLISHED || !t->io)
        return NULL;
    /* A segment was good just now, so the neighbour is there: data that arrives says so too (RFC 4861
     * section 7.3.1). Without this a connection that only receives would never be plain for long. */
    if (t->last_ack_ms == tcp_now_ms(first))
        ip_confirm(first, &t->io->flow);
    return tcp_is_settled(first, t) ? t : NULL;
}

struct tcb *tcp_lane_not_plain(struct shard *sh)
{
    list_for_each(n, &sh->acks)
    {
        struct tcb *t = tcp_io_tcb(sh, container_of(n, struct tcp_io, acks));

        if (!tcp_is_plain(sh, t))
            return t;
    }
    return NULL;
}

bool tcp_lane_burst_end(struct shard *sh)
{
    if (list_empty(&sh->acks))
        return true;
    if (tcp_lane_not_plain(sh))
        return false;
    tcp_burst_end(sh);
    return true;
}

struct tcb *tcp_timer_tcb(struct timer *t)
{
    return container_of(t, struct tcb, timer);
}

void tcp_move(struct shard *from, struct shard *to, struct tcb *t)
{
    struct list *acks = t->io && !list_empty(&t->io->acks) ? &t->io->acks : NULL;
    bool armed = t->timer.armed;
    uint64_t expires_ms = t->timer.expires_ms;

    tcp_conn_remove(from, t);
    timer_cancel(&from->wheel, &t->timer);
    if (acks)
        list_del(acks);
    list_del(&t->pcb.dirty);
    list_step();
    t->pcb.shard = (uint8_t)to->id;
    tcp_conn_insert(to, t);
    if (acks)
        list_add_tail(&to->acks, acks);
    if (t->pcb.events)
        list_add_tail(&to->dirty, &t->pcb.dirty);
    if (armed)
        timer_arm(&to->wheel, &t->timer, expires_ms);
}

static void mend_one(struct shard *first, struct tcb *t)
{
    /* Without a timer: perhaps it was on its way (tcp_move). */
    if (t->pcb.proto != IPPROTO_TCP || (!t->pcb.shard && (t->timer.armed || t->state != TCPS_ESTABLISHED)))
        return;
    t->pcb.shard = 0;
    timer_init(&t->timer, TIMER_TCB);
    timer_arm(&first->wheel, &t->timer, shard_ms(first) + 1);
}

void tcp_lanes_mend(struct stack *st)
{
    struct shard *first = &st->shard[0];
    struct slab *s = &first->tcp->tcb;

    for (uint32_t i = 1; i < st->nshard; i++) {
        struct shard *sh = &st->shard[i];
        struct tcp_hash *h = &sh->tcp->conn;

        /* All in use, and the one that was perhaps about to be. */
        memset(h->bucket, 0, RTE_MIN(h->mask + 2 + h->split, h->max_buckets) * sizeof *h->bucket);
        h->count = 0;
        list_init(&sh->acks);
        list_init(&sh->dirty);
        wheel_init(&sh->wheel, shard_ms(sh));
    }
    for (uint32_t i = 0; i < s->fresh; i++)
        mend_one(first, slab_at(s, i));
}
