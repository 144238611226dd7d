/* tcp_recover.c: see tcp_recover.h. */
#include "tcp_recover.h"

#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_ext.h"
#include "tcp_mtup.h"
#include "tcp_output.h"
#include "tcp_pace.h"
#include "tcp_prr.h"
#include "tcp_rack.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_timer.h"
#include "tcp_undo.h"

static bool has_sack(const struct tcb *t)
{
    return t->flags & TF_SACK;
}

void tcp_set_ca_state(struct shard *sh, struct tcb *t, enum tcp_ca state)
{
    if (tcp_cc_table[t->cc]->set_state)
        tcp_cc_table[t->cc]->set_state(sh, t, (uint8_t)state);
    t->ca_state = (uint8_t)state;
}

void tcp_recover_init(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    t->ca_state = CA_OPEN;
    t->reordering = (uint16_t)sh->st->set.tcp_reordering;
    t->rack_steps = 1;
    t->rack_persist = 0;
    t->reord_seen = t->dsack_ever = false;
    t->rate_delivered = t->rate_interval_us = 0;
    if (!x)
        return;
    x->rack_us = 0;
    x->rack_rtt_us = x->rack_last_delivered = 0;
    x->dupacks = x->retries = t->backoff = 0;
    x->retrans_stamp_ms = x->rtx_first_ms = 0;
    x->delivered = x->lost_total = x->app_limited = 0;
    tcp_deadline_set(sh, t, DL_IDLE, TX_IDLE_MS);
}

void tcp_recover_reset(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    x->sacked = x->lost = x->retrans = x->sacked_pkts = 0;
    x->rtx_hint = x->rack_next = x->rtx_first = x->rtx_last = NULL;
    x->undo_on = x->tlp_out = x->frto = x->frto_new = x->sack_reneg = false;
    x->rack_advanced = x->dsack_seen = false;
    x->rtx_kind = RTX_RTO;
    if (x->sack_cache)
        tcp_sack_cache_free(sh, t);
}

void tcp_recover_keep_open(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    enum tcp_ca state = x->sacked || x->lost || tcp_any_retrans(t) ? CA_DISORDER : CA_OPEN;

    if (t->ca_state == state)
        return;
    tcp_set_ca_state(sh, t, state);
    x->recover = t->snd_nxt;
    tcp_ecn_queue_cwr(t);
}

/* --- without SACK: what duplicate ACKs tell (RFC 6582) --- */

/* More segments can't have left the network than were sent, less those that must be missing. */
static bool reno_limit(struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t holes = x->lost > t->mss ? x->lost : t->mss, flight = tcp_flight(t);

    holes = holes < flight ? holes : flight;
    if (x->sacked + holes <= flight)
        return false;
    x->sacked = flight - holes;
    return true;
}

static void reno_add(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;
    uint32_t most = (uint32_t)sh->st->set.tcp_max_reordering, before = x->sacked, out;
    bool limited;

    if (!a->dup)
        return;
    if (x->dupacks < UINT8_MAX)
        x->dupacks++;
    x->sacked += t->mss;
    limited = reno_limit(t);
    if (x->sacked > before)
        a->sacked += x->sacked - before;
    if (!limited)
        return;
    out = tcp_flight(t) / t->mss + 1;
    t->reordering = (uint16_t)(out < most ? out : most);
    tcp_note_reordering(sh, t);
    tcp_count(sh, COUNT_TCP_RENO_REORDER);
}

/* One ACK closed the hole, and with it what duplicate ACKs had told of. */
void tcp_reno_acked(struct tcb *t, uint32_t acked)
{
    struct tcp_tx *x = t->tx;
    uint32_t gone = acked > t->mss ? acked - t->mss : 0;

    x->sacked = x->sacked > gone ? x->sacked - gone : 0;
    reno_limit(t);
}

/* RFC 6582: the head is lost at DupThresh, and again at each partial ACK. */
static void newreno_mark(struct shard *sh, struct tcb *t, bool advanced)
{
    if ((t->ca_state < CA_RECOVERY && tcp_sacked_packets(t) >= t->reordering) ||
        (t->ca_state == CA_RECOVERY && advanced)) {
        struct rte_mbuf *u = t->tx->snd_head;

        if (pkt_meta(u)->flags & UNIT_LOST)
            return;
        if (pkt_meta(u)->len > t->mss && tcp_sndq_split(sh, t, u, t->mss))
            return;
        tcp_mark_lost(sh, t, u);
    }
}

/* --- states --- */

static void identify_loss(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    uint32_t retrans = t->tx->retrans;

    if (!t->tx->snd_head || t->tx->snd_head == t->tx->snd_next)
        return;
    if (!has_sack(t)) {
        newreno_mark(sh, t, a->flags & A_ADVANCED);
        return;
    }
    if (tcp_rack_mark(sh, t))
        a->flags = (a->flags & ~(uint32_t)A_SET_TIMER) | A_REO_TIMER;
    if (retrans > t->tx->retrans)
        a->flags |= A_LOST_RETRANS;
}

void tcp_recover_enter(struct shard *sh, struct tcb *t, bool ece)
{
    struct tcp_tx *x = t->tx;

    if (!tcp_any_retrans(t))
        x->retrans_stamp_ms = 0;
    tcp_count(sh, has_sack(t) ? COUNT_TCP_SACK_RECOVERY : COUNT_TCP_RENO_RECOVERY);
    x->prior_ssthresh = 0;
    tcp_undo_begin(t);
    if (!tcp_in_reduction(t)) {
        if (!ece)
            x->prior_ssthresh = tcp_undo_ssthresh(t);
        tcp_prr_start(sh, t);
    }
    tcp_set_ca_state(sh, t, CA_RECOVERY);
}

static void try_open(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (!tcp_any_retrans(t))
        t->tx->retrans_stamp_ms = 0;
    if (a->flags & A_ECE)
        tcp_enter_cwr(sh, t);
    if (t->ca_state != CA_CWR)
        tcp_recover_keep_open(sh, t);
}

/* OPEN, DISORDER, CWR, and what came back to them: is something lost? */
static void look_for_loss(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    if (!has_sack(t)) {
        if (a->flags & A_ADVANCED)
            t->tx->sacked = 0;
        reno_add(sh, t, a);
    }
    if (t->ca_state <= CA_DISORDER)
        tcp_undo_dsack(sh, t);
    identify_loss(sh, t, a);
    if (!t->tx->lost) {
        try_open(sh, t, a);
        return;
    }
    if (t->ca_state < CA_CWR && tcp_mtup_lost(sh, t))
        return;
    tcp_recover_enter(sh, t, a->flags & A_ECE);
}

static void in_recovery(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    if (!(a->flags & A_ADVANCED)) {
        if (!has_sack(t))
            reno_add(sh, t, a);
    } else if (tcp_undo_partial(sh, t, a)) {
        return;
    }
    if (tcp_undo_dsack(sh, t))
        try_open(sh, t, a);
    identify_loss(sh, t, a);
    /* Undone, and yet something is lost: another episode. */
    if (t->ca_state != CA_RECOVERY && t->tx->lost)
        tcp_recover_enter(sh, t, a->flags & A_ECE);
}

/* F-RTO (RFC 5682 section 3.1). True: nothing more is to be done about this ACK. */
static bool frto(struct shard *sh, struct tcb *t, struct tcp_ack_info *a, bool recovered)
{
    struct tcp_tx *x = t->tx;

    /* Step 3.b: an original arrives after the timeout: it was spurious. */
    if ((a->flags & A_ORIG_ACKED) && tcp_undo_loss(sh, t, a, true))
        return true;
    if (seq_gt(t->snd_nxt, x->recover)) {
        if ((a->flags & A_SACKED) || a->dup)
            x->frto = false; /* step 3.a: the loss was real */
    } else if ((a->flags & A_ADVANCED) && !recovered) {
        x->recover = t->snd_nxt;
        /* Step 2.b: new data, instead of what is lost perhaps. */
        if (x->snd_next && seq_gt(t->snd_una + t->snd_wnd, t->snd_nxt)) {
            x->frto_new = true;
            return true;
        }
        x->frto = false;
    }
    return false;
}

static void in_loss(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;
    bool recovered = seq_geq(t->snd_una, x->recover);

    if ((a->flags & A_ADVANCED) && tcp_undo_loss(sh, t, a, false))
        return;
    if (x->frto && frto(sh, t, a, recovered))
        return;
    if (recovered) { /* steps 2.a and 3.a as well */
        tcp_undo_recovery(sh, t, a);
        return;
    }
    if (has_sack(t))
        return;
    if (seq_gt(t->snd_nxt, x->recover) && a->dup)
        reno_add(sh, t, a);
    else if (a->flags & A_ADVANCED)
        x->sacked = 0;
}

/* Is the episode over? True: nothing more is to be done. */
static bool check_exit(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    if (t->ca_state == CA_OPEN) {
        x->retrans_stamp_ms = 0;
        return false;
    }
    if (seq_lt(t->snd_una, x->recover))
        return false;
    if (t->ca_state == CA_CWR && t->snd_una != x->recover) {
        /* Held until something above recover is acknowledged, so that CWR has reached the receiver. */
        tcp_prr_end(t);
        tcp_set_ca_state(sh, t, CA_OPEN);
    } else if (t->ca_state == CA_RECOVERY) {
        if (!has_sack(t))
            x->sacked = 0;
        if (tcp_undo_recovery(sh, t, a))
            return true;
        tcp_prr_end(t);
    }
    return false;
}

/* RFC 2018 section 8: the receiver has thrown away what it had SACKed. It may be in the middle of delivering
 * it: a short wait, then a timeout sorts it out (Linux: tcp_check_sack_reneging). */
static bool check_reneging(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    uint32_t ms;

    if (!(a->flags & A_ADVANCED) || !t->tx->snd_head || t->tx->snd_head == t->tx->snd_next ||
        !(pkt_meta(t->tx->snd_head)->flags & UNIT_SACKED))
        return false;
    ms = t->srtt_us8 >> 4; /* half a round trip, in microseconds */
    ms = ms / 1000 > 10 ? ms / 1000 : 10;
    t->tx->rtx_kind = RTX_RTO;
    tcp_deadline_set(sh, t, DL_RTX, ms);
    a->flags = (a->flags & ~(uint32_t)A_SET_TIMER) | A_REO_TIMER;
    return true;
}

void tcp_recover_ack(struct shard *sh, struct tcb *t, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    if (!tcp_flight(t) && !has_sack(t))
        x->sacked = 0;
    if (a->flags & A_ADVANCED)
        x->dupacks = 0;
    if (a->flags & A_ECE)
        x->prior_ssthresh = 0;
    if (check_reneging(sh, t, a) || check_exit(sh, t, a))
        return;
    switch (t->ca_state) {
    case CA_RECOVERY:
        in_recovery(sh, t, a);
        return;
    case CA_LOSS:
        in_loss(sh, t, a);
        identify_loss(sh, t, a);
        if (t->ca_state != CA_OPEN && !(a->flags & A_LOST_RETRANS))
            return;
        break;
    default:
        break;
    }
    look_for_loss(sh, t, a);
}

/* --- timeout --- */

/* What is lost by a timeout: all, but what was sent less than a round trip ago. */
static void mark_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    bool renege = x->snd_head && x->snd_head != x->snd_next && (pkt_meta(x->snd_head)->flags & UNIT_SACKED);

    if (renege) {
        tcp_count(sh, COUNT_TCP_SACK_RENEGING);
        x->sacked = x->sacked_pkts = 0;
        x->sack_reneg = true;
        if (x->sack_cache)
            tcp_sack_cache_free(sh, t);
    } else if (!has_sack(t)) {
        x->sacked = 0;
    }
    for (struct rte_mbuf *u = x->snd_head; u && u != x->snd_next; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (renege && (pm->flags & UNIT_SACKED)) {
            pm->flags &= (uint8_t)~UNIT_SACKED;
            pm->rtx_prev = NULL;
        } else if (!renege && u != x->snd_head && has_sack(t) && tcp_rack_left_us(sh, t, pm, 0) > 0) {
            continue;
        }
        tcp_mark_lost(sh, t, u);
    }
    x->rtx_hint = NULL;
}

void tcp_recover_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    bool fresh = t->ca_state < CA_RECOVERY;
    uint32_t thresh = (uint32_t)sh->st->set.tcp_reordering;

    mark_timeout(sh, t);
    /* RFC 5681 section 3.1 equation 4; once a window of data. */
    if (t->ca_state <= CA_DISORDER || seq_geq(t->snd_una, x->recover) ||
        (t->ca_state == CA_LOSS && x->retries == 0)) {
        x->prior_ssthresh = tcp_undo_ssthresh(t);
        x->prior_cwnd = t->cwnd;
        t->ssthresh = tcp_cc_table[t->cc]->ssthresh(sh, t);
        tcp_undo_begin(t);
    }
    t->cwnd = tcp_pipe(t) + t->mss;
    /* A timeout although much was SACKed: the path reorders less than was thought. */
    if (t->ca_state <= CA_DISORDER && tcp_sacked_packets(t) >= thresh && t->reordering > thresh)
        t->reordering = (uint16_t)thresh;
    tcp_set_ca_state(sh, t, CA_LOSS);
    x->recover = t->snd_nxt;
    x->tlp_out = false;
    x->dupacks = 0;
    tcp_ecn_queue_cwr(t);
    x->frto_new = false;
    x->frto = sh->st->set.tcp_frto && (fresh || x->retries) && !tcp_mtup_probing(t);
}

void tcp_recover_no_congestion(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    /* What follows until all of it is acknowledged counts as recovery. */
    if (t->ca_state == CA_LOSS)
        return;
    x->recover = t->snd_nxt;
    t->ssthresh = tcp_undo_ssthresh(t);
    x->prior_ssthresh = 0;
    x->undo_on = false;
    tcp_set_ca_state(sh, t, CA_LOSS);
}

void tcp_recover_too_long(struct shard *sh, struct tcb *t)
{
    uint32_t lost;

    if (!t->tx)
        return;
    lost = t->tx->lost;
    for (struct rte_mbuf *u = tcp_oldest_sent(t); u && u != t->tx->snd_next; u = pkt_meta(u)->link)
        if (pkt_meta(u)->len > t->mss)
            tcp_mark_lost(sh, t, u);
    t->tx->rtx_hint = NULL;
    if (t->tx->lost == lost)
        return;
    if (!has_sack(t))
        reno_limit(t);
    tcp_recover_no_congestion(sh, t);
}

/* --- sending again --- */

/* Does a unit begin a burst, as it was sent first (tcp_chunk_cut)? */
static bool begins_burst(const struct rte_mbuf *u)
{
    const struct pkt_meta *pm = pkt_meta((struct rte_mbuf *)(uintptr_t)u);

    return pm->truesize != pm->len;
}

/* Where a whole burst is sent again, it ends in PSH, as it did first: u does, when what is before it in its
 * burst has just gone and nothing of it is left. */
static void push_burst(const struct tcb *t, struct rte_mbuf *u, const struct rte_mbuf *expected)
{
    const struct rte_mbuf *n = pkt_meta(u)->link;

    if (u == expected && !begins_burst(u) && (!n || n == t->tx->snd_next || begins_burst(n)))
        pkt_meta(u)->flags |= UNIT_PSH;
}

void tcp_recover_output(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t wnd_end = t->snd_una + t->snd_wnd;
    struct rte_mbuf *u = x->rtx_hint ? x->rtx_hint : x->snd_head, *next, *expected = NULL;
    bool head_sent = false;

    while (u && u != x->snd_next && x->lost > x->retrans) {
        struct pkt_meta *pm = pkt_meta(u);
        uint32_t pipe = tcp_pipe(t);

        next = (pm->flags & UNIT_SACKED) ? pkt_meta(tcp_sack_run_end(t, u))->link : pm->link;
        if ((pm->flags & (UNIT_LOST | UNIT_RETRANS)) != UNIT_LOST) {
            u = next;
            continue;
        }
        x->rtx_hint = u;
        if (pipe && pipe + (pm->len < t->mss ? pm->len : t->mss) > t->cwnd)
            break;
        if (u != x->snd_head && seq_gt(pm->seq + pm->len, wnd_end)) /* it shrank: the head alone probes */
            break;
        if ((t->flags & TF_PACED) && tcp_pace_blocked(sh, t))
            break;
        push_burst(t, u, expected);
        if (tcp_retransmit(sh, t, u))
            break;
        expected = next;
        if (tcp_in_reduction(t))
            x->prr_out += tcp_pipe(t) - pipe;
        tcp_count(sh, t->ca_state == CA_LOSS ? COUNT_TCP_SLOW_START_RETRANS : COUNT_TCP_FAST_RETRANS);
        head_sent |= u == x->snd_head;
    }
    if (head_sent && x->rtx_kind != RTX_REO)
        tcp_rtx_arm(sh, t);
}
