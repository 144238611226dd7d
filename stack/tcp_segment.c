/* tcp_segment.c: how a segment is built, and the segments that carry no data of the queue.
 *
 * A packet is a header mbuf with the payload behind it: copied when it is short or the link takes no chains,
 * else by reference. The first time a unit's own mbuf is chained, with a reference of its own: mbuf->next is
 * the packet's from then on (and stale after it), pkt_meta.link stays the send queue's. Again, when the first
 * packet may still wait somewhere, it is an indirect mbuf of the unit. With TSO the payload is many segments
 * long and the link cuts it.
 */
#include "tcp_segment.h"

#include <errno.h>

#include "ip.h"
#include "tcp_ecn.h"
#include "tcp_md5.h"
#include "tcp_mss.h"
#include "tcp_pace.h"
#include "tcp_rate.h"
#include "tcp_rcvq.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_urg.h"

static bool want_copy(const struct tcb *t, uint32_t len)
{
    return len <= TCP_COPY_MAX || (!(t->io->flow.caps & NETDEV_SCATTER) && len <= PKT_DATA_ROOM - 60);
}

/* May u's own mbuf be chained? Only where no other packet's chain goes through it, and where who gets the
 * packet won't keep it: loopback's receiver would. */
static bool unit_chainable(const struct tcb *t, struct rte_mbuf *u)
{
    const struct pkt_meta *pm = pkt_meta(u);

    return rte_mbuf_refcnt_read(u) == 1 && pm->time_us == 0 && pm->off == 0 && pm->len == u->data_len &&
           !(t->io->flow.caps & NETDEV_LOOPBACK);
}

/* u's bytes as an mbuf to chain: a second reference to u itself, or an indirect one. NULL: out of memory. */
static struct rte_mbuf *unit_ref(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    const struct pkt_meta *pm = pkt_meta(u);
    struct rte_mbuf *ref;

    if (unit_chainable(t, u)) {
        rte_mbuf_refcnt_update(u, 1);
        u->next = NULL; /* of a packet that could not be finished */
        return u;
    }
    ref = rte_pktmbuf_alloc(sh->pool);
    if (!ref) {
        tcp_count(sh, COUNT_NOMEM_PKT);
        return NULL;
    }
    rte_pktmbuf_attach(ref, u);
    ref->data_off = (uint16_t)(ref->data_off + pm->off);
    ref->data_len = (uint16_t)pm->len;
    return ref;
}

/* Puts len bytes of whole units, from u on, behind the header in h. */
static int attach_payload(struct shard *sh, struct tcb *t, struct rte_mbuf *h, struct rte_mbuf *u,
                          uint32_t len)
{
    struct rte_mbuf *last = h;

    if (want_copy(t, len)) {
        for (; len; u = pkt_meta(u)->link) {
            uint16_t n = (uint16_t)pkt_meta(u)->len;

            memcpy(rte_pktmbuf_append(h, n), rte_pktmbuf_mtod_offset(u, void *, pkt_meta(u)->off), n);
            len -= n;
        }
        return 0;
    }
    for (; len; u = pkt_meta(u)->link) {
        struct rte_mbuf *ref = unit_ref(sh, t, u);

        if (!ref)
            return -ENOBUFS;
        last->next = ref;
        last = ref;
        h->nb_segs++;
        h->pkt_len += ref->data_len;
        len -= ref->data_len;
    }
    return 0;
}

/* Options of a segment after the handshake. SACK blocks only where the segment stays within the path's MTU.
 */
static void data_opts(struct shard *sh, struct tcb *t, const struct tcp_segment *s, struct tcp_opts *o)
{
    unsigned room = TCP_OPTS_MAX_LEN, max;

    o->fastopen_len = -1;
    if (t->flags & TF_MD5) {
        o->md5 = tcp_md5_blank;
        room -= TCP_MD5_OPT_LEN;
    }
    if (t->flags & TF_TS) {
        o->has_ts = 1;
        o->tsval = tcp_tsval(sh, t);
        o->tsecr = t->ts_recent;
        room -= TCP_TS_OPT_LEN;
    }
    if (t->io->ofo) {
        unsigned spare = s->len < t->mss ? t->mss - s->len : 0;

        if (s->len && spare < room)
            room = spare;
        max = room >= 12 ? (room - 4) / 8 : 0;
        if (max)
            tcp_reass_blocks(sh, t, o, max < TCP_SACK_MAX ? max : TCP_SACK_MAX);
    }
}

/* The ACK field of the segment about to leave settles what was owed. */
static void ack_is_sent(struct tcb *t)
{
    t->flags &= ~(uint32_t)(TF_ACK_NOW | TF_ACK_DELAYED);
    tcp_deadline_clear(t, DL_DELACK);
    if (t->quick)
        t->quick--;
}

/* Segments as they will be on the wire. */
static void count_out(struct shard *sh, struct tcb *t, uint32_t len)
{
    uint32_t n = len > t->mss ? (len + t->mss - 1) / t->mss : 1;

    t->segs_out += n;
    if (len)
        t->data_segs_out += n;
    sh->count[COUNT_TCP_OUT] += n;
}

/* Builds and sends one segment (several with TSO). 0, or -ENOBUFS: nothing was sent. What lower layers refuse
 * counts as lost on the way. */
static int tcp_emit(struct shard *sh, struct tcb *t, const struct tcp_segment *s, struct tcp_opts *o)
{
    struct tcp_hdr_in th = {
        .sport_be = t->pcb.local.port_be, .dport_be = t->pcb.remote.port_be, .seq = s->seq};
    uint8_t opts[TCP_OPTS_MAX_LEN];
    size_t olen = wire_tcp_emit_opts(opts, o);
    struct rte_mbuf *m = pkt_alloc(sh);
    struct flow *fl = &t->io->flow;
    char *p;

    if (!m)
        return -ENOBUFS;
    fl->tos &= (uint8_t)~3u; /* ECN's two bits are the segment's */
    th.flags = s->flags;
    if ((t->flags & TF_ECN) && !(s->flags & (TCP_SYN | TCP_RST)))
        th.flags |= tcp_ecn_out(t, s->len && seq_geq(s->seq, t->snd_nxt));
    else if ((t->ecn & ECN_NEEDED) && !(s->flags & TCP_RST))
        fl->tos |= ECT0;
    th.hlen = (uint8_t)(TCP_HDR_LEN + olen);
    th.window = (uint16_t)(s->flags & TCP_SYN ? (t->rcv_wnd < 65535 ? t->rcv_wnd : 65535)
                                              : t->rcv_wnd >> t->rcv_wscale);
    if (s->flags & TCP_ACK)
        th.ack = t->rcv_nxt;
    if (t->flags & TF_URG)
        tcp_urg_mark(t, &th);
    p = rte_pktmbuf_append(m, th.hlen);
    wire_tcp_emit((uint8_t *)p, &th);
    memcpy(p + TCP_HDR_LEN, opts, olen);
    if (s->len && attach_payload(sh, t, m, s->first, s->len)) {
        rte_pktmbuf_free(m);
        return -ENOBUFS;
    }
    if (t->flags & TF_MD5)
        tcp_md5_sign(tcp_md5_find(t, &t->pcb.remote.addr), m, &t->pcb.local.addr, &t->pcb.remote.addr);
    m->l4_len = th.hlen;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    if (s->len > t->mss) {
        m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
        m->tso_segsz = t->mss;
    }
    count_out(sh, t, s->len);
    if ((t->flags & TF_PACED) && s->len)
        tcp_pace_sent(sh, t, s->len);
    ip_output(sh, fl, m);
    if ((uint16_t)fl->mtu != t->mss_mtu) /* another route, or the path's MTU became known */
        tcp_mss_update(sh, t);
    return 0;
}

int tcp_send_segment(struct shard *sh, struct tcb *t, struct tcp_segment *s)
{
    struct tcp_opts o = {0};
    int err;

    t->rcv_wnd = tcp_rcv_window(t);
    t->rcv_wup = t->rcv_nxt;
    s->flags |= TCP_ACK;
    data_opts(sh, t, s, &o);
    err = tcp_emit(sh, t, s, &o);
    if (!err)
        ack_is_sent(t);
    return err;
}

void tcp_send_ack(struct shard *sh, struct tcb *t)
{
    struct tcp_segment s = {.seq = t->snd_nxt};

    /* Out of buffers: the ACK stays owed, and the delayed-ACK deadline brings it up again. */
    if (tcp_send_segment(sh, t, &s))
        tcp_deadline_set(sh, t, DL_DELACK, (uint32_t)sh->st->set.tcp_delack_min);
}

void tcp_send_probe(struct shard *sh, struct tcb *t)
{
    struct tcp_segment s = {.seq = t->snd_una - 1}, urgent = {.seq = t->snd_una};

    if (!tcp_io_get(sh, t))
        return;
    tcp_count(sh, COUNT_TCP_PROBE);
    if (tcp_urg_sending(t)) /* the pointer gets through where data does not (Linux: tcp_write_wakeup) */
        tcp_send_segment(sh, t, &urgent);
    tcp_send_segment(sh, t, &s);
}

void tcp_send_reset(struct shard *sh, struct tcb *t)
{
    struct tcp_segment s = {.seq = t->snd_nxt, .flags = TCP_RST | TCP_ACK};
    struct tcp_opts o = {0};

    if (!tcp_io_get(sh, t))
        return;
    tcp_count(sh, COUNT_TCP_OUT_RST);
    t->rcv_wnd = 0;
    data_opts(sh, t, &s, &o); /* RFC 7323 section 3.2: a RST may have timestamps; Linux's does */
    tcp_emit(sh, t, &s, &o);
}

void tcp_send_syn(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    struct tcp_segment s = {.seq = x->iss, .flags = TCP_SYN};
    struct tcp_opts o;

    s.flags |= tcp_ecn_syn_flags(sh, t);
    tcp_syn_opts(sh, &t->io->flow, t->user_mss, &o);
    o.wscale = t->rcv_wscale;
    if (t->flags & TF_MD5) {
        o.md5 = tcp_md5_blank;
        o.has_ts = 0;
    }
    if (t->state == TCPS_SYN_RECEIVED) { /* simultaneous open: only what the peer's SYN offered */
        s.flags |= TCP_ACK;
        o.has_ts = o.has_ts && (t->flags & TF_TS);
        o.sack_permitted = o.sack_permitted && (t->flags & TF_SACK);
        o.has_wscale = o.has_wscale && (t->flags & TF_WSCALE);
        o.tsecr = t->ts_recent;
        ack_is_sent(t);
    }
    if (o.has_ts)
        o.tsval = tcp_tsval(sh, t);
    if (t->flags & TF_TFO)
        tcp_tfo_syn_opt(t, &o);
    if (t->state == TCPS_SYN_SENT && x->snd_next) { /* Fast Open: its data with the first SYN */
        s.first = x->snd_next;
        s.len = t->write_seq - t->snd_nxt;
    }
    if (tcp_emit(sh, t, &s, &o) == 0 && s.len) {
        x->snd_next = tcp_stamp_units(sh, t, x->snd_next, s.len);
        t->snd_nxt += s.len;
        t->last_snd_ms = tcp_now_ms(sh);
    }
    tcp_rtx_arm(sh, t);
}
struct rte_mbuf *tcp_last_unit(struct rte_mbuf *u, uint32_t len)
{
    while (len > pkt_meta(u)->len) {
        len -= pkt_meta(u)->len;
        u = pkt_meta(u)->link;
    }
    return u;
}

struct rte_mbuf *tcp_stamp_units(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len)
{
    uint64_t now_us = shard_us(sh);
    uint8_t start = UNIT_START;

    if (!tcp_flight(t))
        tcp_rate_flight_starts(t, (uint32_t)now_us);

    for (; len; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        tcp_rate_sent(t, pm);
        pm->time_us = now_us;
        pm->flags = (uint8_t)((pm->flags & ~UNIT_START) | start);
        start = 0;
        len -= pm->len;
    }
    return u;
}
