/* tcp_prr.c: see tcp_prr.h. */
#include "tcp_prr.h"

#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_output.h"

void tcp_prr_start(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    x->recover = t->snd_nxt;
    x->tlp_out = false;
    x->prior_cwnd = t->cwnd;
    x->prr_delivered = x->prr_out = 0;
    t->ssthresh = tcp_cc_table[t->cc]->ssthresh(sh, t);
    tcp_ecn_queue_cwr(t);
}

void tcp_prr_ack(struct tcb *t, uint32_t delivered, uint32_t lost, bool advanced)
{
    uint32_t pipe = tcp_pipe(t);
    int64_t room = (int64_t)t->ssthresh - pipe, out;

    if (!delivered || !t->tx->prior_cwnd)
        return;
    t->tx->prr_delivered += delivered;
    if (room < 0) { /* proportional; whole segments, rounded up */
        uint64_t share = (uint64_t)t->ssthresh * t->tx->prr_delivered / t->tx->prior_cwnd;

        if ((uint64_t)t->ssthresh * t->tx->prr_delivered % t->tx->prior_cwnd)
            share++;
        share = (share + t->mss - 1) / t->mss * t->mss;
        out = (int64_t)share - t->tx->prr_out;
    } else {
        out = (int64_t)t->tx->prr_delivered - t->tx->prr_out;
        out = out > delivered ? out : delivered;
        if (advanced && !lost)
            out += t->mss;
        out = out < room ? out : room;
    }
    /* The first retransmission does not wait. */
    if (!t->tx->prr_out && out < t->mss)
        out = t->mss;
    t->cwnd = pipe + (uint32_t)(out > 0 ? out : 0);
}

void tcp_prr_end(struct tcb *t)
{
    if (tcp_cc_table[t->cc]->cong_control)
        return;
    if (t->ssthresh != UINT32_MAX && (t->ca_state == CA_CWR || t->tx->undo_on))
        t->cwnd = t->ssthresh;
}

void tcp_enter_cwr(struct shard *sh, struct tcb *t)
{
    t->tx->prior_ssthresh = 0;
    if (t->ca_state >= CA_CWR)
        return;
    t->tx->undo_on = false;
    tcp_prr_start(sh, t);
    tcp_set_ca_state(sh, t, CA_CWR);
}
