/* tcp_ack.c: "fifth, check the ACK field" (RFC 9293 section 3.10.7.4): windows, the retransmission queue,
 * RTT, recovery, and the transitions that an acknowledged FIN makes. */
#include "ip.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ecn.h"
#include "tcp_info.h"
#include "tcp_input.h"
#include "tcp_mtup.h"
#include "tcp_output.h"
#include "tcp_prr.h"
#include "tcp_rack.h"
#include "tcp_recover.h"
#include "tcp_rst.h"
#include "tcp_rtt.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_table.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_tlp.h"
#include "tcp_tw.h"

bool tcp_take_window(struct tcb *t, const struct tcp_seg *s)
{
    uint32_t wnd = (uint32_t)s->h.window << t->snd_wscale;
    bool changed;

    /* Differs: a segment that is no newer by its numbers may open the window or close it, not shrink it: it
     * may as well be an older one (as Linux: tcp_may_update_window). */
    if (!seq_gt(s->h.ack, t->snd_wl2) && !seq_gt(s->h.seq, t->snd_wl1) &&
        (s->h.seq != t->snd_wl1 || s->h.ack != t->snd_wl2 || (wnd <= t->snd_wnd && wnd)))
        return false;
    changed = wnd != t->snd_wnd;
    t->snd_wnd = wnd;
    t->snd_wl1 = s->h.seq;
    t->snd_wl2 = s->h.ack;
    if (wnd > t->max_wnd)
        t->max_wnd = wnd;
    return changed;
}

/* The best sample this ACK gives (Linux: tcp_ack_update_rtt): a unit's own time, of data acknowledged or,
 * failing that, SACKed, that was sent once; else the echoed timestamp, which is safe with retransmissions,
 * too (RFC 7323 section 4). True when there was one. */
static bool sample_rtt(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    uint64_t now_us = shard_us(sh), seq_us = 0, ca_us = 0;
    bool acked = a->first_ack_us && !(a->flags & A_RETRANS_ACKED);

    if (acked) {
        seq_us = now_us - a->first_ack_us;
        ca_us = now_us - a->last_ack_us;
        /* A lone short segment, nothing else under way: its ACK was likely delayed. */
        a->rs.is_ack_delayed = t->snd_una - a->prior_una < t->mss && !a->prior_sacked && !a->sacked;
    }
    if (a->first_sack_us) {
        ca_us = now_us - a->last_sack_us;
        if (!acked)
            seq_us = now_us - a->first_sack_us;
    } else if (!acked) {
        if (!(a->flags & A_ADVANCED) || !a->has_echo || tcp_now_ms(sh) - a->echo_ms >= TCP_RTO_MAX_MS)
            return false;
        seq_us = ca_us = 1000ULL * (tcp_now_ms(sh) - a->echo_ms ? tcp_now_ms(sh) - a->echo_ms : 1);
    }
    a->rs.rtt_us = ca_us < INT32_MAX ? (int32_t)ca_us : INT32_MAX;
    if (!(a->rs.is_ack_delayed && ca_us > t->min_rtt_us))
        tcp_rtt_min_sample(sh, t, (uint32_t)a->rs.rtt_us);
    tcp_rtt_sample(sh, t, seq_us < INT32_MAX ? (uint32_t)seq_us : INT32_MAX);
    return true;
}

/* What tcp_sndbuf_expand takes for a segment: as much as a buffer of its own would, rounded up. */
static uint32_t segment_cost(const struct tcb *t)
{
    uint32_t mss = t->peer_mss > t->mss ? t->peer_mss : t->mss;

    return rte_align32pow2(mss + 320 + 320) + 256; /* MAX_TCP_HEADER, skb_shared_info; sk_buff */
}

void tcp_sndbuf_expand(struct shard *sh, struct tcb *t)
{
    uint32_t n = t->cwnd / t->mss, init = (uint32_t)sh->st->set.tcp_init_cwnd;
    uint64_t want, max = (uint64_t)sh->st->set.tcp_wmem_max;

    if (t->opts & TO_SNDBUF_LOCK)
        return;
    n = n > init ? n : init;
    n = n > t->reordering ? n : t->reordering + 1u;
    want = 2ULL * n * segment_cost(t);
    if (want > max)
        want = max;
    if (want > t->sndbuf && !tcp_memory_tight(sh))
        t->sndbuf = (uint32_t)want;
}

void tcp_wake_writer(struct shard *sh, struct tcb *t)
{
    if ((t->flags & TF_NOSPACE) && tcp_writeable(t)) {
        t->flags &= ~(uint32_t)TF_NOSPACE;
        pcb_event(sh, &t->pcb, EV_OUT);
    }
}

/* Nothing is in flight any more: the retransmission timer stops (RFC 6298 section 5.2), and so does the
 * persist timer once the window has opened. What silly window avoidance still holds back goes by the next
 * probe, and that must not be as far off as the probes of the closed window were (RFC 1122 section 4.2.3.4:
 * the override timeout is 0.1 to 1.0 seconds). */
static void stop_timer(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    if (t->flags & TF_PROBING) {
        if (!t->snd_wnd || (x->snd_next && t->snd_wnd < t->max_wnd / 2 && t->snd_wnd < t->mss)) {
            if (t->snd_wnd && t->backoff) {
                t->backoff = 0;
                tcp_rtx_arm(sh, t);
            }
            return;
        }
        t->flags &= ~(uint32_t)TF_PROBING;
        x->retries = t->backoff = 0;
    }
    tcp_deadline_clear(t, DL_RTX);
}

/* The SACK information is of data sent after the head was last: its time-out may go on from now without being
 * put off for ever (Linux: tcp_clean_rtx_queue). */
static bool sack_postpones(const struct tcb *t, const struct tcp_ack_info *a)
{
    struct rte_mbuf *u = t->tx->snd_head;

    return a->first_sack_us && u && u != t->tx->snd_next && a->first_sack_us < pkt_meta(u)->time_us;
}

/* What is acknowledged leaves the queue; RTT, order, and whether the timer starts anew. */
static void clean_queue(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    bool sampled;

    a->reord = t->snd_nxt;
    if (a->flags & A_ADVANCED)
        tcp_sndq_ack(sh, t, a->ack, a);
    sampled = sample_rtt(sh, t, a);
    if (a->flags & A_ADVANCED) {
        a->flags |= A_SET_TIMER;
        if (t->flags & TF_MTUP)
            tcp_mtup_acked(sh, t);
        if (!(t->flags & TF_SACK)) {
            tcp_reno_acked(t, a->ack - a->prior_una);
            if (a->flags & A_RETRANS_ACKED) /* which copy it was is not known */
                a->flags &= ~(uint32_t)A_ORIG_ACKED;
        } else if (seq_lt(a->reord, a->prior_fack)) {
            tcp_sack_reordered(sh, t, a->reord, false); /* a hole was filled without our doing */
        }
    } else if (sampled && sack_postpones(t, a)) {
        a->flags |= A_SET_TIMER;
    }
}

/* cwnd, after everything else is known about the ACK. */
static void set_cwnd(struct shard *sh, struct tcb *t, struct tcp_ack_info *a, uint32_t lost)
{
    struct tcp_tx *x = t->tx;
    uint32_t news = a->delivered + a->sacked;
    bool may_grow = a->flags & A_ADVANCED;

    x->delivered += news;
    if (a->flags & A_ECE)
        tcp_ecn_delivered(sh, t, news);
    tcp_rate_gen(sh, t, news, x->lost_total - lost, &a->rs);
    tcp_cc_news(sh, t, &a->rs);
    if (tcp_cc_table[t->cc]->cong_control)
        return;
    if (tcp_in_reduction(t)) {
        tcp_prr_ack(t, news, x->lost_total - lost, a->flags & A_ADVANCED);
        return;
    }
    /* In order only, unless the path is known to reorder much. */
    if (t->reordering > sh->st->set.tcp_reordering)
        may_grow |= (a->flags & A_SACKED) != 0;
    if (may_grow && news)
        tcp_cc_acked(sh, t, news, t->ca_state == CA_LOSS ? t->cwnd : a->prior_flight);
}

static void info_begin(struct shard *sh, struct tcb *t, const struct tcp_seg *s, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    a->ack = s->h.ack;
    a->prior_una = t->snd_una;
    a->una = seq_max(s->h.ack, t->snd_una);
    a->prior_flight = tcp_flight(t);
    a->prior_sacked = x->sacked;
    a->prior_fack = x->sacked && (t->flags & TF_SACK) ? x->fack : t->snd_una;
    a->reord = t->snd_nxt;
    a->rs.rtt_us = -1;
    a->rs.prior_in_flight = tcp_pipe(t);
    if ((t->flags & TF_TS) && s->o.has_ts && s->o.tsecr) {
        a->has_echo = true;
        a->echo_ms = s->o.tsecr - t->ts_off;
    }
    if (s->end != s->h.seq)
        a->flags |= A_TEXT;
    if ((t->flags & TF_ECN) && (s->h.flags & TCP_ECE)) {
        a->flags |= A_ECE;
        a->rs.is_ece = true;
    }
}

void tcp_take_ack(struct shard *sh, struct tcb *t, const struct tcp_seg *s, bool wnd_changed)
{
    struct tcp_ack_info a = {0};
    uint32_t lost;

    t->keep_probes = 0;
    t->last_ack_ms = tcp_now_ms(sh);
    if (!t->tx) { /* nothing it could be about */
        if (t->flags & (TF_FIN_QUEUED | TF_OUTPUT))
            tcp_at_burst_end(sh, t, TF_OUTPUT);
        return;
    }
    lost = t->tx->lost_total;
    info_begin(sh, t, s, &a);
    if (wnd_changed)
        a.flags |= A_WINDOW;
    if (s->o.nsack && (t->flags & TF_SACK))
        tcp_sack_take(sh, t, &s->o, &a);
    if (seq_gt(s->h.ack, t->snd_una)) {
        a.flags |= A_ADVANCED;
        t->snd_una = s->h.ack;
        if (t->tx->retries)
            tcp_info_timeouts_end(sh, t);
        t->tx->retries = 0;
        t->tx->rtx_first_ms = 0;
    }
    a.rs.acked = s->h.ack - a.prior_una;
    if (!a.prior_flight) {
        if (a.flags & A_DSACK)
            tcp_recover_ack(sh, t, &a);
        if (t->tx->tlp_out)
            tcp_tlp_ack(sh, t, &a);
        stop_timer(sh, t);
    } else {
        clean_queue(sh, t, &a);
        t->bytes_acked += a.rs.acked - (tcp_fin_sent(t) && t->snd_una == t->snd_nxt && a.rs.acked);
        tcp_rack_window(t, &a);
        if (t->tx->tlp_out)
            tcp_tlp_ack(sh, t, &a);
        /* RFC 5681 section 2: (a) data outstanding, (b) no data, (c) no SYN or FIN, (d) the same ACK, (e) the
         * same window. */
        a.dup = !(a.flags & (A_ADVANCED | A_TEXT | A_WINDOW | A_DSACK));
        if (tcp_ack_dubious(t, &a))
            tcp_recover_ack(sh, t, &a);
        if (!tcp_flight(t))
            stop_timer(sh, t);
        else if ((a.flags & A_SET_TIMER) && !tcp_tlp_schedule(sh, t, true))
            tcp_rtx_rearm(sh, t);
        set_cwnd(sh, t, &a, lost);
    }
    if (t->tx->sack_cache && !t->tx->sacked)
        tcp_sack_cache_free(sh, t);
    if (a.flags & A_ADVANCED) {
        ip_confirm(sh, &t->io->flow);
        tcp_sndbuf_expand(sh, t);
        if (t->flags & TF_TXSTAMP)
            tcp_stamp_acked(sh, t);
        tcp_wake_writer(sh, t);
        if (t->chrono && (!t->tx->snd_head || t->chrono == CHRONO_SNDBUF))
            tcp_chrono_set(sh, t, t->tx->snd_head ? CHRONO_BUSY : CHRONO_NONE);
    }
    /* MSG_MORE holds a short segment back until the next send or the next ACK, as Linux has it. */
    t->flags &= ~(uint32_t)TF_MORE;
    if (t->tx->snd_next || t->tx->lost > t->tx->retrans || (t->flags & (TF_FIN_QUEUED | TF_OUTPUT)))
        tcp_at_burst_end(sh, t, TF_OUTPUT);
}

/* Our FIN is acknowledged. */
static enum count fin_acked(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    switch (t->state) {
    case TCPS_FIN_WAIT_1:
        t->state = TCPS_FIN_WAIT_2;
        return tcp_fin_wait_2(sh, t, s->len || (s->h.flags & TCP_FIN)) ? TCP_DONE : COUNT_OK;
    case TCPS_CLOSING:
        tcp_time_wait(sh, t);
        return TCP_DONE;
    case TCPS_LAST_ACK:
        tcp_done(sh, t);
        return TCP_DONE;
    default:
        return COUNT_OK;
    }
}

/* SYN_RECEIVED of a simultaneous open. */
static enum count syn_received_ack(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    if (seq_leq(s->h.ack, t->snd_una) || seq_gt(s->h.ack, t->snd_nxt)) {
        tcp_reset_segment(sh, s);
        return COUNT_TCP_ACK_UNSENT;
    }
    t->snd_una = t->tx->iss + 1; /* the rest of it is data's, below */
    if (t->flags & TF_TFO)
        tcp_tfo_child_open(sh, t, s);
    else
        tcp_established(sh, t, s);
    pcb_event(sh, &t->pcb, EV_OUT);
    return COUNT_OK;
}

/* An ACK that others overtook: what it SACKs may still be news to recovery. */
static void late_sack(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    struct tcp_ack_info a = {0};

    if (!s->o.nsack || !(t->flags & TF_SACK) || !t->tx)
        return;
    info_begin(sh, t, s, &a);
    tcp_sack_take(sh, t, &s->o, &a);
    tcp_recover_ack(sh, t, &a);
    t->tx->delivered += a.sacked;
    tcp_at_burst_end(sh, t, TF_OUTPUT);
}

enum count tcp_step_ack(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    enum count v = COUNT_OK;
    bool wnd_changed;

    if (!(s->h.flags & TCP_ACK))
        return COUNT_TCP_NOACK;
    if (t->state == TCPS_SYN_RECEIVED)
        v = syn_received_ack(sh, t, s);
    if (v != COUNT_OK)
        return v;
    if (seq_gt(s->h.ack, t->snd_nxt)) {
        tcp_challenge_ack(sh, t);
        return COUNT_TCP_ACK_UNSENT;
    }
    /* RFC 5961 section 5.2: an ACK older than the largest window was never valid. */
    if (seq_lt(s->h.ack, t->snd_una - t->max_wnd)) {
        tcp_challenge_ack(sh, t);
        return COUNT_TCP_ACK_OLD;
    }
    tcp_take_ts(sh, t, s);
    if (seq_lt(s->h.ack, t->snd_una)) {
        late_sack(sh, t, s);
        return COUNT_OK; /* a late duplicate: its text may still be news */
    }
    wnd_changed = tcp_take_window(t, s);
    tcp_take_ack(sh, t, s, wnd_changed);
    if (tcp_fin_sent(t) && t->snd_una == t->snd_nxt)
        v = fin_acked(sh, t, s);
    return v;
}
