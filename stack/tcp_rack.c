/* tcp_rack.c: see tcp_rack.h. Section numbers are RFC 8985's. */
#include "tcp_rack.h"

#include "tcp_cc.h"
#include "tcp_output.h"
#include "tcp_prr.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_timer.h"

/* --- the list of what was sent again --- */

void tcp_rack_unlist(struct tcb *t, struct rte_mbuf *u)
{
    struct pkt_meta *pm = pkt_meta(u);

    if (!(pm->flags & UNIT_LISTED))
        return;
    pm->flags &= (uint8_t)~UNIT_LISTED;
    if (pm->rtx_prev)
        pkt_meta(pm->rtx_prev)->rtx_next = pm->rtx_next;
    else
        t->tx->rtx_first = pm->rtx_next;
    if (pm->rtx_next)
        pkt_meta(pm->rtx_next)->rtx_prev = pm->rtx_prev;
    else
        t->tx->rtx_last = pm->rtx_prev;
}

void tcp_rack_list(struct tcb *t, struct rte_mbuf *u)
{
    struct tcp_tx *x = t->tx;
    struct pkt_meta *pm = pkt_meta(u);

    tcp_rack_unlist(t, u);
    pm->flags |= UNIT_LISTED;
    pm->rtx_prev = x->rtx_last;
    pm->rtx_next = NULL;
    if (x->rtx_last)
        pkt_meta(x->rtx_last)->rtx_next = u;
    else
        x->rtx_first = u;
    x->rtx_last = u;
}

void tcp_rack_list_after(struct tcb *t, struct rte_mbuf *u, struct rte_mbuf *q)
{
    struct pkt_meta *pm = pkt_meta(u), *qm = pkt_meta(q);

    qm->flags |= UNIT_LISTED;
    qm->rtx_prev = u;
    qm->rtx_next = pm->rtx_next;
    if (pm->rtx_next)
        pkt_meta(pm->rtx_next)->rtx_prev = q;
    else
        t->tx->rtx_last = q;
    pm->rtx_next = q;
}

/* --- sections 6.2 and 6.3 --- */

void tcp_rack_advance(struct shard *sh, struct tcb *t, const struct pkt_meta *pm)
{
    struct tcp_tx *x = t->tx;
    uint32_t rtt_us = (uint32_t)(shard_us(sh) - pm->time_us), end = pm->seq + pm->len;

    /* Step 2: faster than the path can be: the first copy was delivered, not this one. */
    if (pm->retrans && rtt_us < t->min_rtt_us)
        return;
    x->rack_advanced = true;
    x->rack_rtt_us = rtt_us;
    if (pm->time_us > x->rack_us || (pm->time_us == x->rack_us && seq_gt(end, x->rack_end_seq))) {
        x->rack_us = pm->time_us;
        x->rack_end_seq = end;
    }
}

void tcp_rack_window(struct tcb *t, const struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    if (!a->rs.valid)
        return;
    /* Once a round trip: what was sent before the last change says nothing about it. */
    if (seq_lt(a->rs.prior_delivered, x->rack_last_delivered))
        x->dsack_seen = false;
    if (x->dsack_seen) {
        if (t->rack_steps < UINT8_MAX)
            t->rack_steps++;
        x->dsack_seen = false;
        x->rack_last_delivered = x->delivered;
        t->rack_persist = RACK_PERSIST;
    } else if (!t->rack_persist) {
        t->rack_steps = 1;
    }
}

/* Step 4. */
static uint32_t window_us(const struct tcb *t)
{
    uint64_t us;

    if (!t->reord_seen && (t->ca_state >= CA_RECOVERY || tcp_sacked_packets(t) >= t->reordering))
        return 0;
    us = (uint64_t)(t->min_rtt_us >> 2) * t->rack_steps;
    return us < t->srtt_us8 >> 3 ? (uint32_t)us : t->srtt_us8 >> 3;
}

int64_t tcp_rack_left_us(const struct shard *sh, const struct tcb *t, const struct pkt_meta *pm,
                         uint32_t wnd_us)
{
    return (int64_t)t->tx->rack_rtt_us + wnd_us - (int64_t)(shard_us(sh) - pm->time_us);
}

static bool sent_before(const struct tcb *t, const struct pkt_meta *pm)
{
    struct tcp_tx *x = t->tx;

    return pm->time_us < x->rack_us ||
           (pm->time_us == x->rack_us && seq_lt(pm->seq + pm->len, x->rack_end_seq));
}

/* Judges u: marks it, or makes *wait_us the longest wait. True: it must wait. */
static bool judge(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t wnd_us, uint32_t *wait_us)
{
    int64_t left = tcp_rack_left_us(sh, t, pkt_meta(u), wnd_us);

    if (left <= 0) {
        tcp_mark_lost(sh, t, u);
        return false;
    }
    if (left > *wait_us)
        *wait_us = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
    return true;
}

static void judge_first_sendings(struct shard *sh, struct tcb *t, uint32_t wnd_us, uint32_t *wait_us)
{
    struct tcp_tx *x = t->tx;
    struct rte_mbuf *u = x->rack_next ? x->rack_next : x->snd_head, *waits = NULL, *last = u;

    while (u && u != x->snd_next) {
        struct pkt_meta *pm = pkt_meta(u);

        last = u;
        if (pm->flags & UNIT_SACKED) {
            u = pkt_meta(tcp_sack_run_end(t, u))->link;
            continue;
        }
        if (!pm->retrans && !(pm->flags & UNIT_LOST)) {
            if (!sent_before(t, pm))
                break;
            if (judge(sh, t, u, wnd_us, wait_us) && !waits)
                waits = u;
        }
        u = pm->link;
    }
    x->rack_next = waits ? waits : last;
}

/* Step 5. The wait in microseconds, 0: none. */
static uint32_t detect_loss(struct shard *sh, struct tcb *t)
{
    uint32_t wait_us = 0, wnd_us = window_us(t);
    struct rte_mbuf *next;

    judge_first_sendings(sh, t, wnd_us, &wait_us);
    for (struct rte_mbuf *u = t->tx->rtx_first; u && sent_before(t, pkt_meta(u)); u = next) {
        next = pkt_meta(u)->rtx_next;
        judge(sh, t, u, wnd_us, &wait_us);
    }
    return wait_us;
}

bool tcp_rack_mark(struct shard *sh, struct tcb *t)
{
    uint32_t wait_us;

    if (!t->tx->rack_advanced)
        return false;
    t->tx->rack_advanced = false;
    wait_us = detect_loss(sh, t);
    if (!wait_us)
        return false;
    t->tx->rtx_kind = RTX_REO;
    tcp_deadline_set_us(sh, t, DL_RTX, (uint64_t)wait_us + TCP_TIMEOUT_MIN_US);
    return true;
}

void tcp_rack_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t before = tcp_pipe(t), lost = x->lost_total;

    detect_loss(sh, t);
    if (before != tcp_pipe(t)) {
        if (t->ca_state != CA_RECOVERY) {
            tcp_recover_enter(sh, t, false);
            if (!tcp_cc_table[t->cc]->cong_control)
                tcp_prr_ack(t, t->mss, x->lost_total - lost, false);
        }
        tcp_recover_output(sh, t);
    }
    if (x->rtx_kind != RTX_RTO || !tcp_deadline_isset(t, DL_RTX))
        tcp_rtx_rearm(sh, t);
}
