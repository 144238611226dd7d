/* tcp_output.c: what to send and when (RFC 9293 section 3.8.6.2, Nagle with Minshall's change, the cork). */
#include "tcp_output.h"

#include <errno.h>

#include "shard.h"

#include "mark.h"
#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_mss.h"
#include "tcp_mtup.h"
#include "tcp_pace.h"
#include "tcp_rack.h"
#include "tcp_info.h"
#include "tcp_recover.h"
#include "tcp_segment.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_tlp.h"
#include "tcp_urg.h"

#define PMTU_AGE_MS 600000u       /* Linux: mtu_expires */
#define LONG_FRAME  16384         /* payload of a frame from which on few in a link's queue are enough */
#define TSO_MAX     TCP_CHUNK_MAX /* payload: an IPv4 packet holds it with all headers */

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

/* Sends len bytes of whole units as one packet and advances snd_nxt, over the FIN too when it comes along. */
static int send_new(struct shard *sh, struct tcb *t, uint32_t len, bool push)
{
    struct tcp_tx *x = t->tx;
    struct tcp_segment s = {.seq = t->snd_nxt, .len = len, .first = x->snd_next};
    bool ends = t->snd_nxt + len == t->write_seq;
    uint32_t now_ms = tcp_now_ms(sh);
    bool first = !tcp_flight(t);
    int err;

    if (push || (len && (pkt_meta(tcp_last_unit(s.first, len))->flags & UNIT_PSH)))
        s.flags |= TCP_PSH;
    if (ends && (t->flags & TF_FIN_QUEUED))
        s.flags |= TCP_FIN;
    err = tcp_send_segment(sh, t, &s);
    if (err)
        return err;
    if (len) {
        x->snd_next = tcp_stamp_units(sh, t, x->snd_next, len);
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
        pkt_meta(tcp_last_unit(t->tx->snd_next, len))->flags |= UNIT_PSH;
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

enum stop { STOP_NOTHING, STOP_CWND, STOP_WND, STOP_SHORT, STOP_NOMEM, STOP_PACE, STOP_LINK };

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
    uint32_t most = t->io->flow.tso_max;

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

/* Does a cork alone hold back all that is unsent? Then nothing else needs a look: the usual state of a
 * connection between the pieces of an answer. */
static bool is_corked(const struct tcb *t)
{
    uint32_t unsent = t->write_seq - t->snd_nxt;

    return (t->flags & (TF_CORK | TF_CORK_DUE | TF_FIN_QUEUED | TF_NOSPACE | TF_PROBING)) == TF_CORK &&
           unsent < t->mss && t->ca_state == CA_OPEN && !t->tx->frto_new && !tcp_urg_sending(t) &&
           seq_leq(t->write_seq, t->snd_una + t->snd_wnd);
}

/* Sends the next burst: len bytes. A burst of many segments ends in PSH, as Linux's do, so that the
 * receiver's GRO hands it up. */
static int send_burst(struct shard *sh, struct tcb *t, uint32_t len)
{
    bool cut = t->io->flow.tso_max <= t->mss, many = len > t->mss;

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

/* Has the link's queue room for a burst of len bytes? At first it is empty. */
static bool link_takes(struct shard *sh, const struct tcb *t, uint32_t len)
{
    bool tso = t->io->flow.tso_max > t->mss;

    if (sh->tx[t->io->flow.ifindex].n == 0)
        return true;
    return shard_tx_room(sh, t->io->flow.ifindex, tso || len <= t->mss ? 1 : len / t->mss + 1,
                         len > LONG_FRAME);
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
        if (!link_takes(sh, t, len))
            return STOP_LINK;
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
        t->io->flow.gen = 0;
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
static void note_limit(struct shard *sh, struct tcb *t, enum stop why)
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
    if (!tcp_fin_waits(t))
        return false;
    if (tcp_tx_get(sh, t))
        return true;
    t->flags |= TF_OUTPUT;
    tcp_deadline_set(sh, t, DL_KEEP, (uint32_t)sh->st->set.tcp_delack_min);
    return false;
}

static void output(struct shard *sh, struct tcb *t, bool one)
{
    uint32_t before;
    enum stop why;

    MARK(TCP_OUT);
    t->flags &= ~(uint32_t)TF_OUTPUT;
    if (!state_in(t,
                  TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT) | TCPF(FIN_WAIT_1) | TCPF(CLOSING) | TCPF(LAST_ACK)) &&
        !tcp_tfo_passive(t))
        return;
    if (!t->tx && !fin_can_begin(sh, t))
        return;
    if (is_corked(t)) {
        note_limit(sh, t, STOP_SHORT);
        if (t->tx->snd_next)
            cork_hold(sh, t);
        return;
    }
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
    case STOP_LINK: /* what is in its queue will be acknowledged; if it isn't ours, time tells */
        if (!tcp_deadline_isset(t, DL_PACE))
            tcp_deadline_set(sh, t, DL_PACE, 1);
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

/* --- the end of a burst --- */

void tcp_at_burst_end(struct shard *sh, struct tcb *t, uint32_t flags)
{
    struct tcp_io *x = tcp_io_get(sh, t);

    t->flags |= flags;
    if (x && list_empty(&x->acks))
        list_add_tail(&sh->acks, &x->acks);
}

void tcp_burst_end(struct shard *sh)
{
    MARK(TCP_OUT);
    while (!list_empty(&sh->acks)) {
        struct tcp_io *x = container_of(sh->acks.next, struct tcp_io, acks);
        struct tcb *t = tcp_io_tcb(sh, x);

        sh->work = &t->pcb;
        list_step();
        list_del(&x->acks);
        if (t->flags & TF_OUTPUT) {
            t->flags &= ~(uint32_t)TF_MORE; /* MSG_MORE holds back its own call's push alone, as in Linux */
            tcp_output(sh, t);
        }
        if (t->flags & TF_ACK_NOW)
            tcp_send_ack(sh, t);
    }
}
