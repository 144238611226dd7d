/* tcp_output.c: what to send and when (RFC 9293 section 3.8.6.2, Nagle with Minshall's change, the cork), and
 * how a segment is built.
 *
 * Building. A packet is a header mbuf with the payload behind it: copied when it is short or the link takes
 * no chains, else by reference. The first time a unit's own mbuf is chained, with a reference of its own:
 * mbuf->next is the packet's from then on (and stale after it), pkt_meta.link stays the send queue's. Again,
 * when the first packet may still wait somewhere, it is an indirect mbuf of the unit. With TSO the payload is
 * many segments long and the link cuts it.
 */
#include "tcp_output.h"

#include <errno.h>

#include "ip.h"
#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_mtup.h"
#include "tcp_pace.h"
#include "tcp_rack.h"
#include "tcp_rate.h"
#include "tcp_info.h"
#include "tcp_md5.h"
#include "tcp_rcvq.h"
#include "tcp_recover.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_tlp.h"
#include "tcp_urg.h"

#define PMTU_AGE_MS 600000u       /* Linux: mtu_expires */
#define TSO_MAX     TCP_CHUNK_MAX /* payload: an IPv4 packet holds it with all headers */

/* --- sizes --- */

static uint32_t ip_hdr_len(const struct ipaddr *dst)
{
    return ipaddr_is_v4(dst) ? 20 : 40;
}

uint16_t tcp_advertised_mss(const struct flow *fl, uint16_t user_mss)
{
    uint32_t mss = fl->mtu - ip_hdr_len(&fl->dst) - TCP_HDR_LEN;

    if (mss > 65495)
        mss = 65495;
    return (uint16_t)(user_mss && user_mss < mss ? user_mss : mss);
}

void tcp_mss_update(struct shard *sh, struct tcb *t)
{
    uint32_t mtu = t->flow.mtu, mss, parts;

    (void)sh;
    t->mss_mtu = (uint16_t)mtu;
    if (t->pmtu && t->pmtu < mtu)
        mtu = t->pmtu;
    if (t->flags & TF_MTUP)
        mtu = tcp_mtup_cap(t, mtu);
    mss = mtu - ip_hdr_len(&t->flow.dst) - TCP_HDR_LEN;
    if (t->peer_mss < mss)
        mss = t->peer_mss;
    if (t->user_mss && t->user_mss < mss)
        mss = t->user_mss;
    if (mss < TCP_MSS_MIN) /* a peer that asks for less gets this (Linux: tcp_min_snd_mss) */
        mss = TCP_MSS_MIN;
    if (t->flags & TF_TS)
        mss -= TCP_TS_OPT_LEN;
    if (t->flags & TF_MD5)
        mss -= TCP_MD5_OPT_LEN;
    /* A peer with a window of few segments gets smaller ones, so that two can be on the way (Linux:
     * tcp_bound_to_half_wnd). */
    if (t->max_wnd && mss > (t->max_wnd > TCP_MSS_DEFAULT ? t->max_wnd / 2 : t->max_wnd))
        mss = t->max_wnd > TCP_MSS_DEFAULT ? t->max_wnd / 2 : t->max_wnd;
    if (mss < TCP_MSS_MIN - TCP_TS_OPT_LEN)
        mss = TCP_MSS_MIN - TCP_TS_OPT_LEN;
    /* Units that fill a segment evenly: none has to be split to make a full one. */
    parts = (mss + TCP_UNIT_MAX - 1) / TCP_UNIT_MAX;
    t->unit = (uint16_t)(mss / parts);
    t->mss = (uint16_t)(t->unit * parts);
}

uint8_t tcp_pick_wscale(const struct shard *sh, const struct tcb *t)
{
    uint64_t space = (uint64_t)sh->st->set.tcp_rmem_max;
    uint8_t scale = 0;

    if (t->rcvbuf > space)
        space = t->rcvbuf;
    if ((t->opts & TO_RCVBUF_LOCK) && space > t->rcvbuf / 2) /* it will not grow */
        space = t->rcvbuf / 2;
    if (t->window_clamp && space > t->window_clamp)
        space = t->window_clamp;
    while (space > 65535 && scale < TCP_WSCALE_MAX) {
        space >>= 1;
        scale++;
    }
    return scale;
}

uint16_t tcp_first_window(const struct tcb *t, uint32_t mss)
{
    uint32_t wnd = t->rcvbuf / 2;

    if (t->window_clamp && wnd > t->window_clamp)
        wnd = t->window_clamp;
    if (wnd > mss)
        wnd -= wnd % mss;
    return (uint16_t)(wnd < 65535 ? wnd : 65535);
}

void tcp_syn_opts(struct shard *sh, const struct flow *fl, uint16_t user_mss, struct tcp_opts *o)
{
    const struct tunables *set = &sh->st->set;

    *o = (struct tcp_opts){.fastopen_len = -1};
    o->mss = tcp_advertised_mss(fl, user_mss);
    o->has_ts = set->tcp_timestamps != 0;
    o->sack_permitted = set->tcp_sack != 0;
    o->has_wscale = set->tcp_window_scaling != 0;
}

/* --- one segment --- */

struct segment {
    uint32_t seq;
    uint32_t len;           /* payload */
    struct rte_mbuf *first; /* its first unit, when len */
    uint8_t flags;          /* enum tcp_ctl */
};

static struct rte_mbuf *stamp(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len);

static bool want_copy(const struct tcb *t, uint32_t len)
{
    return len <= TCP_COPY_MAX || (!(t->flow.caps & NETDEV_SCATTER) && len <= PKT_DATA_ROOM - 60);
}

/* May u's own mbuf be chained? Only where no other packet's chain goes through it, and where who gets the
 * packet won't keep it: loopback's receiver would. */
static bool unit_chainable(const struct tcb *t, struct rte_mbuf *u)
{
    const struct pkt_meta *pm = pkt_meta(u);

    return rte_mbuf_refcnt_read(u) == 1 && pm->time_us == 0 && pm->off == 0 && pm->len == u->data_len &&
           !(t->flow.caps & NETDEV_LOOPBACK);
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
static void data_opts(struct shard *sh, struct tcb *t, const struct segment *s, struct tcp_opts *o)
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
    if (t->ofo) {
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
static int tcp_emit(struct shard *sh, struct tcb *t, const struct segment *s, struct tcp_opts *o)
{
    struct tcp_hdr_in th = {
        .sport_be = t->pcb.local.port_be, .dport_be = t->pcb.remote.port_be, .seq = s->seq};
    uint8_t opts[TCP_OPTS_MAX_LEN];
    size_t olen = wire_tcp_emit_opts(opts, o);
    struct rte_mbuf *m = pkt_alloc(sh);
    char *p;

    if (!m)
        return -ENOBUFS;
    t->flow.tos = t->pcb.tos;
    th.flags = s->flags;
    if ((t->flags & TF_ECN) && !(s->flags & (TCP_SYN | TCP_RST)))
        th.flags |= tcp_ecn_out(t, s->len && seq_geq(s->seq, t->snd_nxt));
    else if ((t->ecn & ECN_NEEDED) && !(s->flags & TCP_RST))
        t->flow.tos |= ECT0;
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
    ip_output(sh, &t->flow, m);
    if ((uint16_t)t->flow.mtu != t->mss_mtu) /* another route, or the path's MTU became known */
        tcp_mss_update(sh, t);
    return 0;
}

/* A segment of a synchronized state: with ACK, our window, options. */
static int send_segment(struct shard *sh, struct tcb *t, struct segment *s)
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
    struct segment s = {.seq = t->snd_nxt};

    /* Out of buffers: the ACK stays owed, and the delayed-ACK deadline brings it up again. */
    if (send_segment(sh, t, &s))
        tcp_deadline_set(sh, t, DL_DELACK, (uint32_t)sh->st->set.tcp_delack_min);
}

void tcp_send_probe(struct shard *sh, struct tcb *t)
{
    struct segment s = {.seq = t->snd_una - 1}, urgent = {.seq = t->snd_una};

    tcp_count(sh, COUNT_TCP_PROBE);
    if (tcp_urg_sending(t)) /* the pointer gets through where data does not (Linux: tcp_write_wakeup) */
        send_segment(sh, t, &urgent);
    send_segment(sh, t, &s);
}

void tcp_send_reset(struct shard *sh, struct tcb *t)
{
    struct segment s = {.seq = t->snd_nxt, .flags = TCP_RST | TCP_ACK};
    struct tcp_opts o = {0};

    tcp_count(sh, COUNT_TCP_OUT_RST);
    t->rcv_wnd = 0;
    data_opts(sh, t, &s, &o); /* RFC 7323 section 3.2: a RST may have timestamps; Linux's does */
    tcp_emit(sh, t, &s, &o);
}

void tcp_send_syn(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    struct segment s = {.seq = x->iss, .flags = TCP_SYN};
    struct tcp_opts o;

    s.flags |= tcp_ecn_syn_flags(sh, t);
    tcp_syn_opts(sh, &t->flow, t->user_mss, &o);
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
        x->snd_next = stamp(sh, t, x->snd_next, s.len);
        t->snd_nxt += s.len;
        t->last_snd_ms = tcp_now_ms(sh);
    }
    tcp_rtx_arm(sh, t);
}

/* --- new data --- */

/* RFC 5681 section 4.1: after an idle time the old cwnd says nothing; halved for each RTO gone by, as Linux
 * does. */
static void restart_after_idle(struct shard *sh, struct tcb *t)
{
    uint32_t idle = tcp_now_ms(sh) - t->last_snd_ms;
    uint32_t iw = (uint32_t)sh->st->set.tcp_init_cwnd * t->mss;
    const struct tcp_cc *cc = tcp_cc_table[t->cc];

    if (t->last_snd_ms == 0 || idle == 0 || tcp_flight(t))
        return;
    if (cc->restart)
        cc->restart(sh, t, idle);
    if (!sh->st->set.tcp_slow_start_after_idle || cc->cong_control || idle <= t->rto_ms)
        return;
    if (t->ssthresh < t->cwnd / 4 * 3)
        t->ssthresh = t->cwnd / 4 * 3;
    for (; idle > t->rto_ms && t->cwnd > iw; idle -= t->rto_ms)
        t->cwnd = t->cwnd / 2 > iw ? t->cwnd / 2 : iw;
}

/* May a segment of len bytes that ends the queue leave, being short (len < mss)? */
static bool short_may_go(const struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    if (t->flags & TF_FIN_QUEUED || tcp_urg_sending(t))
        return true;
    if ((t->flags & (TF_CORK | TF_MORE)) && !(t->flags & TF_CORK_DUE))
        return false;
    if ((t->flags & TF_NODELAY) || x->frto_new)
        return true;
    /* Minshall: hold only while an earlier short segment is unacknowledged. */
    return tcp_flight(t) == 0 || seq_leq(x->snd_sml, t->snd_una) || seq_gt(x->snd_sml, t->snd_nxt);
}

/* Whole units from snd_next on that fit into limit bytes; the unit that would not fit is cut when a segment
 * would be left short by it. */
static uint32_t gather(struct shard *sh, struct tcb *t, uint32_t limit)
{
    uint32_t len = 0;

    for (struct rte_mbuf *u = t->tx->snd_next; u && len < limit; u = pkt_meta(u)->link) {
        uint32_t n = pkt_meta(u)->len;
        bool ends = pkt_meta(u)->flags & UNIT_EOR;

        if (len + n > limit) {
            if ((len == 0 || len < t->mss) && tcp_sndq_split(sh, t, u, limit - len) == 0)
                len = limit;
            break;
        }
        len += n;
        if (ends)
            break;
    }
    return len;
}

/* The last unit of len bytes of whole units from u on. */
static struct rte_mbuf *last_unit(struct rte_mbuf *u, uint32_t len)
{
    while (len > pkt_meta(u)->len) {
        len -= pkt_meta(u)->len;
        u = pkt_meta(u)->link;
    }
    return u;
}

/* Stamps the units of a packet just sent. */
static struct rte_mbuf *stamp(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len)
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

/* Sends len bytes of whole units as one packet and advances snd_nxt, over the FIN too when it comes along. */
static int send_new(struct shard *sh, struct tcb *t, uint32_t len, bool push)
{
    struct tcp_tx *x = t->tx;
    struct segment s = {.seq = t->snd_nxt, .len = len, .first = x->snd_next};
    bool ends = t->snd_nxt + len == t->write_seq;
    uint32_t now_ms = tcp_now_ms(sh);
    bool first = !tcp_flight(t);
    int err;

    if (push || (len && (pkt_meta(last_unit(s.first, len))->flags & UNIT_PSH)))
        s.flags |= TCP_PSH;
    if (ends && (t->flags & TF_FIN_QUEUED))
        s.flags |= TCP_FIN;
    err = send_segment(sh, t, &s);
    if (err)
        return err;
    if (len) {
        x->snd_next = stamp(sh, t, x->snd_next, len);
        if (t->flags & TF_TXSTAMP)
            tcp_stamp_sent(sh, t, t->snd_nxt, t->snd_nxt + len);
        if (len < t->mss)
            x->snd_sml = t->snd_nxt + len;
        if (t->data_segs_in && now_ms - t->last_rcv_ms < (uint32_t)sh->st->set.tcp_delack_min)
            t->flags |= TF_PINGPONG;
        t->last_snd_ms = now_ms;
    }
    t->snd_nxt += len + (s.flags & TCP_FIN ? 1 : 0);
    if (t->flags & TF_PROBING) {
        t->flags &= ~(uint32_t)TF_PROBING;
        x->retries = t->backoff = 0;
        tcp_rtx_arm(sh, t);
    } else if (first || !tcp_deadline_isset(t, DL_RTX)) {
        tcp_rtx_arm(sh, t);
    }
    return 0;
}

int tcp_output_forced(struct shard *sh, struct tcb *t, uint32_t max, bool push)
{
    uint32_t len;

    if (!t->tx->snd_next)
        return -EAGAIN;
    if (max > t->mss)
        max = t->mss;
    len = gather(sh, t, max);
    if (!len)
        return -ENOBUFS;
    if (push)
        pkt_meta(last_unit(t->tx->snd_next, len))->flags |= UNIT_PSH;
    return send_new(sh, t, len, false);
}

/* The window allows nothing and nothing is in flight whose ACK would tell more: the persist timer (RFC 9293
 * section 3.8.6.1). */
static void persist(struct shard *sh, struct tcb *t)
{
    if (tcp_flight(t) || tcp_deadline_isset(t, DL_RTX))
        return;
    t->flags |= TF_PROBING;
    tcp_rtx_arm(sh, t);
}

enum stop { STOP_NOTHING, STOP_CWND, STOP_WND, STOP_SHORT, STOP_NOMEM, STOP_PACE };

/* Without TSO, or paced: how many bytes Linux would hand to its device at once, to be segmented there
 * (tcp_tso_autosize): a millisecond at the pacing rate, more for near peers. */
static uint32_t autosize(const struct shard *sh, const struct tcb *t)
{
    uint32_t min = (uint32_t)sh->st->set.tcp_min_tso_segs * t->mss, half = t->cwnd / t->mss / 2 * t->mss;
    uint32_t r = t->min_rtt_us >> 9;
    uint64_t rate = tcp_pace_rate(t), bytes = rate == PACE_UNLIMITED ? TSO_MAX : rate >> 10;

    if (t->srtt_us8 && r < 32)
        bytes += 65536u >> r;
    if (bytes < min)
        bytes = min;
    if (bytes > half) /* so that at least two bursts are under way (tcp_cwnd_test) */
        bytes = half;
    return bytes < TSO_MAX ? (uint32_t)bytes : TSO_MAX;
}

/* The most that leaves as one packet, or as one burst where we segment ourselves: whole segments. */
static uint32_t burst_max(const struct shard *sh, const struct tcb *t)
{
    uint32_t most = t->flow.tso_max;

    if (tcp_urg_sending(t) || (t->flags & TF_MD5) ||
        (t->ecn & ECN_QUEUE_CWR)) /* a pointer of its own; CWR in one segment alone */
        return t->mss;
    if (most <= t->mss || (t->flags & TF_PACED)) {
        uint32_t n = autosize(sh, t);

        most = most <= t->mss || n < most ? n : most;
    }
    if (most > TSO_MAX)
        most = TSO_MAX;
    return most > t->mss ? most - most % t->mss : t->mss;
}

/* How much of the unsent may leave as the next burst; 0: see *why. */
static uint32_t next_len(const struct shard *sh, const struct tcb *t, enum stop *why)
{
    uint32_t unsent = t->write_seq - t->snd_nxt, wnd_end = t->snd_una + t->snd_wnd, pipe = tcp_pipe(t);
    uint32_t wnd = seq_gt(wnd_end, t->snd_nxt) ? wnd_end - t->snd_nxt : 0;
    uint32_t cwnd = t->cwnd > pipe ? t->cwnd - pipe : 0;
    uint32_t want = unsent < t->mss ? unsent : t->mss, len = unsent, most;

    if (cwnd < want && pipe) {
        *why = STOP_CWND;
        return 0;
    }
    if (cwnd < want)
        cwnd = want;
    /* RFC 9293 section 3.8.6.2.1: the sender's side of silly window avoidance. */
    if (wnd < want && (tcp_flight(t) || wnd == 0 || wnd < t->max_wnd / 2)) {
        *why = STOP_WND;
        return 0;
    }
    most = burst_max(sh, t);
    len = len < most ? len : most;
    len = len < wnd ? len : wnd;
    len = len < cwnd ? len : cwnd;
    if (len > t->mss && len < unsent)
        len -= len % t->mss;
    if (len == unsent && len % t->mss && !short_may_go(t)) {
        len -= len % t->mss;
        *why = STOP_SHORT;
    }
    return len;
}

/* A partial segment is held back by a cork: 200 ms at most, as Linux. */
static void cork_hold(struct shard *sh, struct tcb *t)
{
    if ((t->flags & (TF_CORK | TF_MORE)) && !tcp_flight(t) && !tcp_deadline_isset(t, DL_CORK))
        tcp_deadline_set(sh, t, DL_CORK, TCP_CORK_MS);
}

/* Sends the next burst: len bytes. A burst of many segments ends in PSH, as Linux's do, so that the
 * receiver's GRO hands it up. */
static int send_burst(struct shard *sh, struct tcb *t, uint32_t len)
{
    bool cut = t->flow.tso_max <= t->mss, many = len > t->mss;

    tcp_chunk_cut(t, pkt_meta(t->tx->snd_next));
    while (len) {
        uint32_t want = cut && len > t->mss ? t->mss : len, n = gather(sh, t, want);

        if (n == 0)
            return -ENOBUFS;
        if (send_new(sh, t, n, many && (n == len || !cut)))
            return -ENOBUFS;
        if (!cut || n < want) /* the end of a record (MSG_EOR): what comes behind it is another burst */
            break;
        len -= n;
    }
    return 0;
}

/* size bytes from snd_next on as one packet, longer than the MSS. False: it can't be made of what there is.
 */
static bool send_mtu_probe(struct shard *sh, struct tcb *t, uint32_t size)
{
    uint32_t len = 0, seq = t->snd_nxt;
    bool sent;

    for (struct rte_mbuf *u = t->tx->snd_next; u && len < size; u = pkt_meta(u)->link) {
        uint32_t n = pkt_meta(u)->len;

        if ((pkt_meta(u)->flags & UNIT_EOR) || (len + n > size && tcp_sndq_split(sh, t, u, size - len)))
            return false;
        len += pkt_meta(u)->len;
    }
    t->mss = (uint16_t)size; /* for this once: one segment, not to be cut */
    sent = len == size && send_new(sh, t, size, false) == 0;
    tcp_mss_update(sh, t);
    if (sent)
        tcp_mtup_sent(t, seq, size);
    return sent;
}

/* one: no more than a burst. */
static enum stop send_unsent(struct shard *sh, struct tcb *t, bool one)
{
    uint32_t probe = t->flags & TF_MTUP ? tcp_mtup_wanted(sh, t) : 0;

    if (probe)
        send_mtu_probe(sh, t, probe);
    while (t->tx->snd_next) {
        enum stop why = STOP_NOTHING;
        uint32_t len = next_len(sh, t, &why);

        if (len == 0)
            return why;
        if ((t->flags & TF_PACED) && tcp_pace_blocked(sh, t))
            return STOP_PACE;
        if (send_burst(sh, t, len))
            return STOP_NOMEM;
        if (one)
            return STOP_NOTHING;
    }
    /* The FIN alone: it needs no window (a receiver takes it at the edge) and no cwnd. */
    if ((t->flags & TF_FIN_QUEUED) && t->snd_nxt == t->write_seq && send_new(sh, t, 0, false))
        return STOP_NOMEM;
    return STOP_NOTHING;
}

/* How well the window is used, once a flight: whether it was the limit, and the most that was out (RFC 7661,
 * as Linux's tcp_cwnd_validate). */
static void note_cwnd_use(struct shard *sh, struct tcb *t, bool limited)
{
    struct tcp_tx *x = t->tx;
    bool was = t->flags & TF_CWND_LIMITED;

    if (!limited && seq_lt(t->snd_una, x->cwnd_use_seq) && (was || tcp_flight(t) <= x->max_out))
        return;
    if (t->pmtu && t->ext &&
        tcp_now_ms(sh) - t->ext->pmtu_ms > PMTU_AGE_MS) { /* RFC 1191 section 6.3: try more again */
        t->pmtu = 0;
        t->flow.gen = 0;
        tcp_mss_update(sh, t);
    }
    t->flags = limited ? t->flags | TF_CWND_LIMITED : t->flags & ~(uint32_t)TF_CWND_LIMITED;
    x->max_out = tcp_flight(t);
    x->cwnd_use_seq = t->snd_nxt;
}

/* bytes of new data have left: accounts, and a loss probe watches over them. */
static void sent_new(struct shard *sh, struct tcb *t, uint32_t bytes, bool limited)
{
    note_cwnd_use(sh, t, limited);
    if (tcp_in_reduction(t))
        t->tx->prr_out += bytes;
    if (!tcp_tlp_schedule(sh, t, false) && t->tx->rtx_kind == RTX_TLP)
        tcp_rtx_rearm(sh, t);
}

/* What keeps the connection from sending more, for TCP_INFO. */
static void note_limit(const struct shard *sh, struct tcb *t, enum stop why)
{
    enum tcp_chrono c = CHRONO_BUSY;

    if (why == STOP_WND)
        c = CHRONO_RWND;
    else if (why != STOP_CWND && !t->tx->snd_next && (t->flags & TF_NOSPACE) &&
             state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)))
        c = CHRONO_SNDBUF;
    tcp_chrono_set(sh, t, t->tx->snd_head ? c : CHRONO_NONE);
}

/* There is no tx, so no data: is a FIN to be sent? Without memory for it (tcp_tx.h) it is tried again. */
static bool fin_can_begin(struct shard *sh, struct tcb *t)
{
    if (!(t->flags & TF_FIN_QUEUED) || t->snd_nxt != t->write_seq)
        return false;
    if (tcp_tx_get(sh, t))
        return true;
    t->flags |= TF_OUTPUT;
    tcp_deadline_set(sh, t, DL_DELACK, (uint32_t)sh->st->set.tcp_delack_min);
    return false;
}

static void output(struct shard *sh, struct tcb *t, bool one)
{
    uint32_t before;
    enum stop why;

    t->flags &= ~(uint32_t)TF_OUTPUT;
    if (!state_in(t,
                  TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT) | TCPF(FIN_WAIT_1) | TCPF(CLOSING) | TCPF(LAST_ACK)) &&
        !tcp_tfo_passive(t))
        return;
    if (!t->tx && !fin_can_begin(sh, t))
        return;
    if (t->tx->lost > t->tx->retrans && !t->tx->frto_new)
        tcp_recover_output(sh, t);
    if (!t->tx->snd_next && !t->tx->frto_new && !((t->flags & TF_FIN_QUEUED) && t->snd_nxt == t->write_seq))
        return;
    if (t->ca_state == CA_OPEN)
        restart_after_idle(sh, t);
    before = t->snd_nxt;
    why = send_unsent(sh, t, one);
    t->flags &= ~(uint32_t)TF_CORK_DUE;
    note_limit(sh, t, why);
    if (t->snd_nxt != before)
        sent_new(sh, t, t->snd_nxt - before, why == STOP_CWND);
    if ((t->flags & TF_NOSPACE) && t->notsent_lowat)
        tcp_wake_writer(sh, t);
    if (t->tx->frto_new) { /* RFC 5682 step 2.b: nothing new could go: conventional recovery */
        t->tx->frto_new = false;
        if (seq_leq(t->snd_nxt, t->tx->recover)) {
            t->tx->frto = false;
            tcp_recover_output(sh, t);
        }
    }
    switch (why) {
    case STOP_CWND:
    case STOP_PACE:
        break;
    case STOP_WND:
        persist(sh, t);
        break;
    case STOP_SHORT:
        cork_hold(sh, t);
        break;
    case STOP_NOMEM: /* try again when buffers may have come back */
        if (!tcp_deadline_isset(t, DL_RTX))
            tcp_rtx_arm(sh, t);
        break;
    case STOP_NOTHING:
        break;
    }
}

void tcp_output(struct shard *sh, struct tcb *t)
{
    output(sh, t, false);
}

void tcp_output_one(struct shard *sh, struct tcb *t)
{
    output(sh, t, true);
}

/* --- again --- */

/* Sends u and what follows it with the same marks again; *end is the unit behind it. */
static int send_again(struct shard *sh, struct tcb *t, struct rte_mbuf *u, struct rte_mbuf **end)
{
    struct segment s = {.seq = pkt_meta(u)->seq, .first = u};
    uint8_t lost = pkt_meta(u)->flags & UNIT_LOST;
    struct rte_mbuf *n;
    int err;

    if (pkt_meta(u)->len > t->mss && tcp_sndq_split(sh, t, u, t->mss))
        return -ENOBUFS;
    for (n = u; n && n != t->tx->snd_next && s.len + pkt_meta(n)->len <= t->mss; n = pkt_meta(n)->link) {
        if (n != u && (pkt_meta(n)->flags & (UNIT_LOST | UNIT_SACKED | UNIT_RETRANS)) != lost)
            break;
        s.len += pkt_meta(n)->len;
        if (pkt_meta(n)->flags & UNIT_EOR) {
            n = pkt_meta(n)->link;
            break;
        }
    }
    if (pkt_meta(last_unit(u, s.len))->flags & UNIT_PSH)
        s.flags |= TCP_PSH;
    if (s.seq + s.len == t->write_seq && tcp_fin_sent(t))
        s.flags |= TCP_FIN;
    err = send_segment(sh, t, &s);
    if (err)
        return err;
    stamp(sh, t, u, s.len);
    for (; u != n; u = pkt_meta(u)->link) {
        if (pkt_meta(u)->retrans < UINT8_MAX)
            pkt_meta(u)->retrans++;
        tcp_rack_list(t, u);
    }
    *end = n;
    tcp_note_retrans(sh, t, 1, s.len);
    t->last_snd_ms = tcp_now_ms(sh);
    tcp_count(sh, COUNT_TCP_RETRANS);
    return 0;
}

int tcp_retransmit(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    struct rte_mbuf *end;
    int err = send_again(sh, t, u, &end);

    if (err)
        return err;
    for (; u != end; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (!(pm->flags & UNIT_RETRANS)) {
            pm->flags |= UNIT_RETRANS;
            t->tx->retrans += pm->len;
        }
    }
    if (!t->tx->retrans_stamp_ms)
        t->tx->retrans_stamp_ms = tcp_now_ms(sh);
    t->tx->undo_retrans = t->tx->undo_retrans < 0 ? 1 : t->tx->undo_retrans + 1;
    return 0;
}

int tcp_retransmit_probe(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    struct rte_mbuf *end;

    return send_again(sh, t, u, &end);
}

struct rte_mbuf *tcp_last_sent(const struct tcb *t)
{
    struct rte_mbuf *last = NULL;

    for (struct rte_mbuf *u = tcp_oldest_sent(t); u && u != t->tx->snd_next; u = pkt_meta(u)->link) {
        const struct pkt_meta *pm = pkt_meta(u);

        if (!last || (pm->flags & UNIT_START) || pm->seq + pm->len - pkt_meta(last)->seq > t->mss)
            last = u;
    }
    return last;
}

void tcp_retransmit_fin(struct shard *sh, struct tcb *t)
{
    struct segment s = {.seq = t->write_seq, .flags = TCP_FIN};

    send_segment(sh, t, &s);
    tcp_note_retrans(sh, t, 1, 0);
    tcp_count(sh, COUNT_TCP_RETRANS);
}

/* --- the end of a burst --- */

void tcp_at_burst_end(struct shard *sh, struct tcb *t, uint32_t flags)
{
    t->flags |= flags;
    if (list_empty(&t->acks))
        list_add_tail(&sh->acks, &t->acks);
}

void tcp_burst_end(struct shard *sh)
{
    while (!list_empty(&sh->acks)) {
        struct tcb *t = container_of(sh->acks.next, struct tcb, acks);

        sh->work = &t->pcb;
        list_step();
        list_del(&t->acks);
        if (t->flags & TF_OUTPUT) {
            t->flags &= ~(uint32_t)TF_MORE; /* MSG_MORE holds back its own call's push alone, as in Linux */
            tcp_output(sh, t);
        }
        if (t->flags & TF_ACK_NOW)
            tcp_send_ack(sh, t);
    }
}
