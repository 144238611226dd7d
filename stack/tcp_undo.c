/* tcp_undo.c: see tcp_undo.h. */
#include "tcp_undo.h"

#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_output.h"
#include "tcp_rack.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"

void tcp_undo_begin(struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    x->undo_on = true;
    x->undo_marker = t->snd_una;
    /* What is under way already may bring D-SACKs, too: retransmissions, and a probe. 0 would mean "all were
     * needless". */
    x->undo_retrans = (int32_t)((x->retrans + t->mss - 1) / t->mss);
    if (x->tlp_out && x->tlp_retrans)
        x->undo_retrans++;
    if (x->undo_retrans == 0)
        x->undo_retrans = -1;
}

uint32_t tcp_undo_ssthresh(const struct tcb *t)
{
    uint32_t most = (uint32_t)((uint64_t)t->cwnd * 3 / 4);

    if (tcp_in_reduction(t))
        return t->ssthresh;
    return t->ssthresh > most ? t->ssthresh : most;
}

/* Was the data of the ACK sent before the first retransmission (RFC 3522 section 3.2 step 4)? So it was, too,
 * when nothing was sent again at all; but hold_without_sack forgets the time. */
static bool originals_arrive(const struct tcb *t, const struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    if (x->retrans_stamp_ms)
        return tcp_echo_before(a, x->retrans_stamp_ms);
    return (t->flags & TF_SACK) || seq_lt(t->snd_una, x->recover);
}

static bool may_undo(const struct tcb *t, const struct tcp_ack_info *a)
{
    return t->tx->undo_on && (t->tx->undo_retrans == 0 || originals_arrive(t, a));
}

/* What is marked lost was not. */
static void unmark(struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    for (struct rte_mbuf *u = x->snd_head; u && u != x->snd_next && x->lost; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (pm->flags & UNIT_LOST)
            x->lost -= pm->len;
        pm->flags &= (uint8_t)~UNIT_LOST;
    }
    x->lost = 0;
    x->rtx_hint = x->rack_next = NULL;
}

static void undo(struct shard *sh, struct tcb *t, bool unmark_loss)
{
    struct tcp_tx *x = t->tx;
    const struct tcp_cc *cc = tcp_cc_table[t->cc];

    if (unmark_loss)
        unmark(t);
    if (x->prior_ssthresh) {
        if (cc->undo_cwnd)
            t->cwnd = cc->undo_cwnd(sh, t);
        else if (t->cwnd < x->prior_cwnd)
            t->cwnd = x->prior_cwnd;
        if (x->prior_ssthresh > t->ssthresh) {
            t->ssthresh = x->prior_ssthresh;
            tcp_ecn_withdraw_cwr(t);
        }
    }
    x->undo_on = false;
    x->rack_advanced = true; /* losses are judged anew */
}

/* RFC 6582 section 3.2 step 1: see tcp_undo_recovery. */
static bool hold_without_sack(struct tcb *t)
{
    if ((t->flags & TF_SACK) || t->snd_una != t->tx->recover)
        return false;
    if (!tcp_any_retrans(t))
        t->tx->retrans_stamp_ms = 0;
    return true;
}

bool tcp_undo_recovery(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (may_undo(t, a)) {
        tcp_count(sh, t->ca_state == CA_LOSS ? COUNT_TCP_LOSS_UNDO : COUNT_TCP_FULL_UNDO);
        undo(sh, t, false);
    } else if (t->rack_persist) {
        t->rack_persist--;
    }
    if (hold_without_sack(t))
        return true;
    tcp_set_ca_state(sh, t, CA_OPEN);
    t->tx->sack_reneg = false;
    return false;
}

bool tcp_undo_dsack(struct shard *sh, struct tcb *t)
{
    if (!t->tx->undo_on || t->tx->undo_retrans != 0)
        return false;
    if (t->rack_persist < RACK_PERSIST)
        t->rack_persist++;
    undo(sh, t, false);
    tcp_count(sh, COUNT_TCP_DSACK_UNDO);
    return true;
}

bool tcp_undo_loss(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a, bool frto)
{
    if (!frto && !may_undo(t, a))
        return false;
    undo(sh, t, true);
    tcp_count(sh, COUNT_TCP_LOSS_UNDO);
    if (frto)
        tcp_count(sh, COUNT_TCP_SPURIOUS_RTOS);
    t->tx->retries = 0;
    if (hold_without_sack(t))
        return true;
    if (frto || (t->flags & TF_SACK)) {
        tcp_set_ca_state(sh, t, CA_OPEN);
        t->tx->sack_reneg = false;
    }
    return true;
}

bool tcp_undo_partial(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (!t->tx->undo_on || !originals_arrive(t, a))
        return false;
    /* The hole was filled by a late packet: the path reorders more than was known. */
    tcp_sack_reordered(sh, t, a->prior_una, true);
    if (t->tx->retrans) /* the episode goes on as long as a retransmission is under way: new data alone */
        return true;
    if (!tcp_any_retrans(t))
        t->tx->retrans_stamp_ms = 0;
    undo(sh, t, true);
    tcp_count(sh, COUNT_TCP_PARTIAL_UNDO);
    tcp_recover_keep_open(sh, t);
    return false;
}
