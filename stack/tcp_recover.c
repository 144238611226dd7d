/* tcp_recover.c: see tcp_recover.h.
 *
 * Theory of operation. The sender keeps pipe (RFC 6675), the bytes it believes to be in the network, and
 * sends while pipe < cwnd: lost units first, then new data. Units that were SACKed or are marked lost are not
 * in the pipe, so limited transmit needs no code of its own. Without SACK each duplicate ACK stands for one
 * segment that has left the network: tcb.sacked counts it, and RFC 6582's inflating and deflating of cwnd
 * follows from that.
 */
#include "tcp_recover.h"

#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_output.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"

static bool has_sack(const struct tcb *t)
{
    return t->flags & TF_SACK;
}

static void start_reduction(struct shard *sh, struct tcb *t)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];

    t->prior_cwnd = t->cwnd;
    t->ssthresh = cc->ssthresh(sh, t);
    if (!cc->cong_control)
        t->cwnd = t->ssthresh;
    t->recover = t->snd_nxt;
    tcp_ecn_queue_cwr(t);
}

void tcp_enter_cwr(struct shard *sh, struct tcb *t)
{
    if (t->ca_state >= CA_CWR)
        return;
    start_reduction(sh, t);
    t->ca_state = CA_CWR;
}

static void enter_recovery(struct shard *sh, struct tcb *t)
{
    start_reduction(sh, t);
    t->ca_state = CA_RECOVERY;
    t->rtx_hint = NULL;
    tcp_count(sh, has_sack(t) ? COUNT_TCP_SACK_RECOVERY : COUNT_TCP_RENO_RECOVERY);
    tcp_mark_lost(t, t->snd_head);
    /* RFC 6675 section 5 step 4.3: the first retransmission does not wait for the pipe to drain. */
    if (tcp_retransmit(sh, t, t->snd_head) == 0)
        tcp_count(sh, COUNT_TCP_FAST_RETRANS);
}

static void leave_recovery(struct tcb *t)
{
    uint32_t pipe = tcp_pipe(t), room = (pipe > t->mss ? pipe : t->mss) + t->mss;

    /* RFC 6582 section 3.2 step 3: no burst after the end. */
    if (t->ca_state == CA_RECOVERY)
        t->cwnd = t->ssthresh < room ? t->ssthresh : room;
    t->ca_state = CA_OPEN;
    t->dupacks = 0;
    if (!has_sack(t))
        t->sacked = 0;
}

/* Without SACK: what duplicate ACKs told, adjusted to an ACK that advanced (Linux: tcp_remove_reno_sacks). */
static void reno_sacks_ack(struct tcb *t, uint32_t acked)
{
    uint32_t gone = acked > t->mss ? acked - t->mss : 0;

    t->sacked = t->sacked > gone ? t->sacked - gone : 0;
}

static void reno_sacks_add(struct tcb *t)
{
    uint32_t most = tcp_flight(t) - t->lost;

    t->sacked += t->mss;
    if (t->sacked > most)
        t->sacked = most;
}

/* In OPEN or DISORDER: is something lost? */
static void look_for_loss(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (!a->dup && !a->sacked) {
        if (t->sacked == 0 && t->ca_state != CA_CWR)
            t->ca_state = CA_OPEN;
        return;
    }
    if (t->ca_state != CA_CWR)
        t->ca_state = CA_DISORDER;
    if (has_sack(t) && a->sacked)
        tcp_sack_mark_lost(t);
    if (t->lost || t->dupacks >= TCP_DUPTHRESH)
        enter_recovery(sh, t);
}

static void in_recovery(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    struct rte_mbuf *u = t->snd_head;

    if (has_sack(t) && a->sacked)
        tcp_sack_mark_lost(t);
    if (!a->acked || u == t->snd_next || (pkt_meta(u)->flags & (UNIT_SACKED | UNIT_RETRANS)))
        return;
    /* RFC 6582 section 3.2 step 3: a partial ACK says that the unit after it is lost too, and it is sent at
     * once, whatever the pipe holds. */
    tcp_mark_lost(t, u);
    tcp_retransmit(sh, t, u);
}

void tcp_recover_ack(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (a->acked) {
        t->dupacks = 0;
        if (!has_sack(t))
            reno_sacks_ack(t, a->acked);
    } else if (a->dup) {
        if (t->dupacks < UINT8_MAX)
            t->dupacks++;
        if (!has_sack(t))
            reno_sacks_add(t);
    }
    if (t->ca_state >= CA_RECOVERY && seq_geq(t->snd_una, t->recover))
        leave_recovery(t);
    /* Held until something above recover is acknowledged, so that the CWR bit has reached the receiver. */
    if (t->ca_state == CA_CWR && seq_gt(t->snd_una, t->recover))
        t->ca_state = CA_OPEN;
    switch (t->ca_state) {
    case CA_RECOVERY:
        in_recovery(sh, t, a);
        break;
    case CA_LOSS: /* everything is marked already: slow start over it */
        if (a->acked)
            tcp_cc_acked(sh, t, a->acked, t->cwnd);
        break;
    default:
        if (t->snd_head && t->snd_head != t->snd_next)
            look_for_loss(sh, t, a);
        else if (t->sacked == 0 && t->ca_state != CA_CWR)
            t->ca_state = CA_OPEN;
        if (a->acked && t->ca_state <= CA_DISORDER)
            tcp_cc_acked(sh, t, a->acked, a->prior_flight);
    }
}

void tcp_recover_timeout(struct shard *sh, struct tcb *t)
{
    bool renege = t->snd_head && (pkt_meta(t->snd_head)->flags & UNIT_SACKED);

    /* RFC 5681 section 3.1 equation 4; a second timeout of the same data doesn't halve again. */
    if (t->ca_state < CA_RECOVERY || (t->ca_state == CA_LOSS && t->retries == 0))
        t->ssthresh = tcp_cc_table[t->cc]->ssthresh(sh, t);
    t->cwnd = t->mss;
    t->recover = t->snd_nxt;
    t->ca_state = CA_LOSS;
    t->dupacks = 0;
    t->rtx_hint = NULL;
    t->retrans = t->lost = 0;
    t->sacked = 0;
    for (struct rte_mbuf *u = t->snd_head; u && u != t->snd_next; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (renege) /* RFC 2018 section 8: the receiver has thrown away what it had SACKed */
            pm->flags &= (uint8_t)~UNIT_SACKED;
        pm->flags &= (uint8_t) ~(UNIT_RETRANS | UNIT_LOST);
        if (pm->flags & UNIT_SACKED) {
            t->sacked += pm->len;
        } else {
            pm->flags |= UNIT_LOST;
            t->lost += pm->len;
        }
    }
}

void tcp_recover_output(struct shard *sh, struct tcb *t)
{
    uint32_t wnd_end = t->snd_una + t->snd_wnd;
    struct rte_mbuf *u = t->rtx_hint ? t->rtx_hint : t->snd_head;

    while (u && u != t->snd_next && t->lost > t->retrans) {
        struct pkt_meta *pm = pkt_meta(u);

        if ((pm->flags & (UNIT_LOST | UNIT_RETRANS)) != UNIT_LOST) {
            u = pm->link;
            continue;
        }
        t->rtx_hint = u;
        if (tcp_pipe(t) && tcp_pipe(t) + (pm->len < t->mss ? pm->len : t->mss) > t->cwnd)
            return;
        if (u != t->snd_head &&
            seq_gt(pm->seq + pm->len, wnd_end)) /* the window shrank: the head alone probes */
            return;
        if (tcp_retransmit(sh, t, u))
            return;
        if (t->ca_state == CA_LOSS)
            tcp_count(sh, COUNT_TCP_SLOW_START_RETRANS);
    }
}
