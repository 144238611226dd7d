/* tcp_tlp.c: see tcp_tlp.h. Section numbers are RFC 8985's. */
#include "tcp_tlp.h"

#include "tcp_output.h"
#include "tcp_prr.h"
#include "tcp_rtt.h"
#include "tcp_sndq.h"
#include "tcp_timer.h"

/* Is a single packet outstanding? Its ACK may then be delayed. */
static bool one_packet_out(const struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    struct rte_mbuf *u = x->snd_head;

    if (tcp_flight(t) > t->mss)
        return false;
    if (!u || u == x->snd_next)
        return true;
    for (u = pkt_meta(u)->link; u && u != x->snd_next; u = pkt_meta(u)->link)
        if (pkt_meta(u)->flags & UNIT_START)
            return false;
    return true;
}

bool tcp_tlp_schedule(struct shard *sh, struct tcb *t, bool anew)
{
    int64_t us, rto_us = (int64_t)tcp_rto_backed_off(t) * 1000;

    if (!tcp_flight(t) || !(t->flags & TF_SACK) || (t->ca_state != CA_OPEN && t->ca_state != CA_CWR) ||
        (t->flags & TF_PROBING) || !sh->st->set.tcp_early_retrans)
        return false;
    /* Section 7.2. */
    if (t->srtt_us8)
        us = (t->srtt_us8 >> 2) +
             (one_packet_out(t) ? (uint32_t)sh->st->set.tcp_rto_min * 1000 : TCP_TIMEOUT_MIN_US);
    else
        us = TCP_RTO_INIT_MS * 1000;
    if (!anew)
        rto_us = tcp_rto_left_us(sh, t);
    if (rto_us > 0 && rto_us < us)
        us = rto_us;
    t->tx->rtx_kind = RTX_TLP;
    tcp_deadline_set_us(sh, t, DL_RTX, (uint64_t)us);
    return true;
}

/* The last segment again: its units, up to an MSS from the end. True: it went out. */
static bool repeat_last(struct shard *sh, struct tcb *t)
{
    struct rte_mbuf *u = tcp_last_sent(t);

    if (tcp_fin_sent(t) && (!u || t->snd_una == t->snd_nxt - 1)) {
        tcp_retransmit_fin(sh, t);
        return true;
    }
    return u && tcp_retransmit_probe(sh, t, u) == 0;
}

void tcp_tlp_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t nxt = t->snd_nxt;
    bool sent;

    if (x->tlp_out) { /* one at a time */
        tcp_rtx_rearm(sh, t);
        return;
    }
    x->tlp_retrans = false;
    /* Section 7.3: new data if there is any and the window takes it, whatever cwnd says. */
    if (x->snd_next &&
        seq_leq(t->snd_nxt + (t->write_seq - t->snd_nxt < t->mss ? t->write_seq - t->snd_nxt : t->mss),
                t->snd_una + t->snd_wnd)) {
        tcp_output_forced(sh, t, t->mss, false);
        sent = t->snd_nxt != nxt;
    } else {
        sent = repeat_last(sh, t);
        x->tlp_retrans = sent;
    }
    if (sent) {
        x->tlp_out = true;
        x->tlp_high_seq = t->snd_nxt;
        tcp_count(sh, COUNT_TCP_LOSS_PROBES);
        x->rtx_kind = RTX_RTO; /* from now on */
    }
    tcp_rtx_rearm(sh, t);
}

void tcp_tlp_ack(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a)
{
    if (seq_lt(a->ack, t->tx->tlp_high_seq))
        return;
    if (!t->tx->tlp_retrans || (a->flags & A_DSACK_TLP)) { /* new data arrived, or both copies did */
        t->tx->tlp_out = false;
    } else if (seq_gt(a->ack, t->tx->tlp_high_seq)) { /* section 7.4.2: only one did, the other was lost */
        tcp_prr_start(sh, t);
        tcp_set_ca_state(sh, t, CA_CWR);
        tcp_prr_end(t);
        tcp_recover_keep_open(sh, t);
        tcp_count(sh, COUNT_TCP_LOSS_PROBE_RECOVERY);
    } else if (!(a->flags & (A_ADVANCED | A_TEXT | A_WINDOW | A_SACKED))) {
        t->tx->tlp_out = false; /* a pure duplicate ACK: both copies arrived */
    }
}
