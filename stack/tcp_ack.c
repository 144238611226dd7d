/* tcp_ack.c: "fifth, check the ACK field" (RFC 9293 section 3.10.7.4): windows, the retransmission queue,
 * RTT, recovery, and the transitions that an acknowledged FIN makes. */
#include "ip.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ecn.h"
#include "tcp_input.h"
#include "tcp_output.h"
#include "tcp_recover.h"
#include "tcp_rst.h"
#include "tcp_rtt.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

bool tcp_take_window(struct tcb *t, const struct tcp_seg *s)
{
    uint32_t wnd = (uint32_t)s->h.window << t->snd_wscale;
    bool changed;

    if (seq_lt(s->h.seq, t->snd_wl1) || (t->snd_wl1 == s->h.seq && seq_lt(s->h.ack, t->snd_wl2)))
        return false;
    changed = wnd != t->snd_wnd;
    t->snd_wnd = wnd;
    t->snd_wl1 = s->h.seq;
    t->snd_wl2 = s->h.ack;
    if (wnd > t->max_wnd)
        t->max_wnd = wnd;
    return changed;
}

/* The best sample this ACK gives: a unit's own time stamp (microseconds), else the echoed one (milliseconds),
 * which is safe with retransmissions too (RFC 7323 section 4). -1: none. */
static int32_t sample_rtt(struct shard *sh, struct tcb *t, const struct tcp_seg *s, const struct tcp_acked *a)
{
    uint32_t ms;

    if (a->rtt_us != UINT64_MAX) {
        uint32_t us = a->rtt_us < INT32_MAX ? (uint32_t)a->rtt_us : INT32_MAX;

        tcp_rtt_sample(sh, t, us);
        return (int32_t)us;
    }
    if (!a->bytes || !(t->flags & TF_TS) || !s->o.has_ts || s->o.tsecr == 0)
        return -1;
    ms = tcp_tsval(sh, t) - s->o.tsecr;
    if (ms >= TCP_RTO_MAX_MS)
        return -1;
    tcp_rtt_sample(sh, t, ms ? ms * 1000 : 1000);
    return (int32_t)(ms ? ms * 1000 : 1000);
}

/* Send buffer auto-tuning (Linux: tcp_sndbuf_expand): room for two windows, buffers counted whole. */
static void expand_sndbuf(struct shard *sh, struct tcb *t)
{
    uint64_t want = 2ULL * (t->cwnd / t->unit + 1) * TCP_UNIT_COST, max = (uint64_t)sh->st->set.tcp_wmem_max;

    if (t->flags & TF_SNDBUF_LOCK)
        return;
    if (want > max)
        want = max;
    if (want > t->sndbuf && !tcp_memory_tight(sh))
        t->sndbuf = (uint32_t)want;
}

/* Wakes a writer that met a full buffer once a third of it is free (Linux: sk_stream_is_writeable). */
static void wake_writer(struct shard *sh, struct tcb *t)
{
    if ((t->flags & TF_NOSPACE) && tcp_writeable(t)) {
        t->flags &= ~(uint32_t)TF_NOSPACE;
        pcb_event(sh, &t->pcb, EV_OUT);
    }
}

/* The retransmission timer (RFC 6298 section 5.2, 5.3). */
static void adjust_timer(struct shard *sh, struct tcb *t, bool advanced)
{
    if (tcp_flight(t) == 0) {
        if (!(t->flags & TF_PROBING)) {
            tcp_deadline_clear(t, DL_RTX);
        } else if (t->snd_wnd && !(t->snd_next && t->snd_wnd < t->max_wnd / 2 && t->snd_wnd < t->mss)) {
            t->flags &= ~(uint32_t)TF_PROBING;
            t->retries = 0;
            tcp_deadline_clear(t, DL_RTX);
        }
    } else if (advanced) {
        tcp_rtx_arm(sh, t);
    }
}

void tcp_take_ack(struct shard *sh, struct tcb *t, const struct tcp_seg *s, bool wnd_changed)
{
    struct tcp_ack_info info = {.prior_flight = tcp_flight(t)};
    struct tcp_rate_sample rs = {.rtt_us = -1, .prior_in_flight = tcp_pipe(t)};
    bool advanced = seq_gt(s->h.ack, t->snd_una);
    struct tcp_acked a = {.rtt_us = UINT64_MAX};
    uint32_t lost = t->lost_total;

    t->keep_probes = 0;
    t->last_ack_ms = tcp_now_ms(sh);
    if (s->o.nsack && (t->flags & TF_SACK) && info.prior_flight)
        info.sacked = tcp_sack_take(sh, t, s->h.ack, &s->o, &rs);
    if (advanced) {
        tcp_sndq_ack(sh, t, s->h.ack, &a, &rs);
        info.acked = s->h.ack - t->snd_una;
        t->snd_una = s->h.ack;
        t->bytes_acked += a.bytes;
        t->retries = 0;
        t->rtx_first_ms = 0;
        rs.acked = info.acked;
        rs.rtt_us = sample_rtt(sh, t, s, &a);
    } else {
        /* RFC 5681 section 2: (a) data outstanding, (b) no data, (c) no SYN or FIN, (d) the same ACK, (e) the
         * same window. */
        info.dup = info.prior_flight && s->end == s->h.seq && s->h.ack == t->snd_una && !wnd_changed;
    }
    t->delivered += a.delivered + info.sacked;
    if ((s->h.flags & TCP_ECE) && (t->flags & TF_ECN) && info.prior_flight) {
        rs.is_ece = true;
        tcp_ecn_delivered(sh, t, a.delivered + info.sacked);
        tcp_enter_cwr(sh, t); /* RFC 3168 section 6.1.2: once a round trip */
    }
    if (advanced || info.dup || info.sacked || rs.is_ece) {
        tcp_recover_ack(sh, t, &info);
        tcp_rate_gen(sh, t, a.delivered + info.sacked, t->lost_total - lost, &rs);
        tcp_cc_news(sh, t, &rs);
    }
    adjust_timer(sh, t, advanced);
    if (advanced) {
        ip_confirm(sh, &t->flow);
        expand_sndbuf(sh, t);
        wake_writer(sh, t);
    }
    if (t->snd_next || t->lost > t->retrans || (t->flags & (TF_FIN_QUEUED | TF_OUTPUT)))
        tcp_at_burst_end(sh, t, TF_OUTPUT);
}

/* Our FIN is acknowledged. */
static enum count fin_acked(struct shard *sh, struct tcb *t)
{
    switch (t->state) {
    case TCPS_FIN_WAIT_1:
        t->state = TCPS_FIN_WAIT_2;
        tcp_fin_wait_2(sh, t);
        return COUNT_OK;
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
    t->snd_una = s->h.ack;
    tcp_established(sh, t, s);
    pcb_event(sh, &t->pcb, EV_OUT);
    return COUNT_OK;
}

/* An ACK that others overtook: what it SACKs may still be news to recovery. */
static void late_sack(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    struct tcp_ack_info info = {.prior_flight = tcp_flight(t)};
    struct tcp_rate_sample rs = {.rtt_us = -1, .prior_in_flight = tcp_pipe(t)};

    if (!s->o.nsack || !(t->flags & TF_SACK) || !info.prior_flight)
        return;
    info.sacked = tcp_sack_take(sh, t, s->h.ack, &s->o, &rs);
    if (!info.sacked)
        return;
    t->delivered += info.sacked;
    tcp_recover_ack(sh, t, &info);
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
        v = fin_acked(sh, t);
    return v;
}
