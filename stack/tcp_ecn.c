/* tcp_ecn.c: see tcp_ecn.h. */
#include "tcp_ecn.h"

#include "tcp_cc.h"
#include "tcp_ext.h"
#include "tcp_input.h"
#include "tcp_metrics.h"
#include "tcp_output.h"

static bool cc_needs(const struct tcb *t)
{
    return tcp_cc_table[t->cc]->needs_ecn;
}

uint8_t tcp_ecn_syn_flags(struct shard *sh, struct tcb *t)
{
    const struct tunables *set = &sh->st->set;

    t->ecn = cc_needs(t) ? ECN_NEEDED : 0;
    if (t->state == TCPS_SYN_RECEIVED) /* simultaneous open: as a SYN,ACK (section 6.1.1) */
        return t->flags & TF_ECN ? TCP_ECE : 0;
    if (set->tcp_ecn != 1 && !t->ecn && !(tcp_metric(sh, &t->io->flow, RTAX_FEATURES) & RTAX_FEATURE_ECN))
        return 0;
    /* Something on the way may drop such SYNs: without, from the second one on. */
    if ((t->flags & TF_SYN_RETRANS) && set->tcp_ecn_fallback)
        return 0;
    t->flags |= TF_ECN; /* asked for; tcp_ecn_take_syn keeps it or takes it away */
    return TCP_ECE | TCP_CWR;
}

void tcp_ecn_take_syn(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    uint8_t want = s->h.flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR;

    (void)sh;
    if ((s->h.flags & (TCP_ECE | TCP_CWR)) != want)
        t->flags &= ~(uint32_t)TF_ECN;
}

bool tcp_ecn_request(const struct shard *sh, const struct tcb *l, const struct tcp_seg *s)
{
    bool asked = (s->h.flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
    bool ect = s->ri->tos & ECN_IPMASK;

    if (!asked)
        return false;
    /* A SYN must not be ECT (section 6.1.1): one that is has been tampered with on the way, or comes from a
     * DCTCP or AccECN sender (as Linux tells them apart). */
    return cc_needs(l) || (sh->st->set.tcp_ecn && (!ect || s->h.ae));
}

/* At once and without the delay that answers to a program's data may take (Linux: tcp_enter_quickack_mode).
 */
static void quick_acks(struct tcb *t)
{
    if (t->quick < 2)
        t->quick = 2;
    t->flags &= ~(uint32_t)TF_PINGPONG;
}

/* RFC 8257 section 3.2: ECE says whether the last data was marked. Where that changes, what is owed for the
 * data before leaves first, with the old ECE, and the ACK for this data does not wait. */
static void echo_each(struct shard *sh, struct tcb *t, bool ce)
{
    if (ce != !!(t->ecn & ECN_WAS_CE)) {
        if (t->flags & (TF_ACK_DELAYED | TF_ACK_NOW))
            tcp_send_ack(sh, t);
        t->ecn ^= ECN_WAS_CE;
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    }
    t->ecn = (uint8_t)(ce ? t->ecn | ECN_DEMAND_CWR : t->ecn & ~ECN_DEMAND_CWR);
}

void tcp_ecn_data(struct shard *sh, struct tcb *t, uint8_t tos)
{
    uint8_t ip = tos & ECN_IPMASK;

    if (ip == 0) { /* most likely a retransmission: the sender waits for the ACK */
        if (t->ecn & ECN_SEEN)
            quick_acks(t);
        return;
    }
    if (t->ecn & ECN_NEEDED) {
        echo_each(sh, t, ip == ECN_CE);
    } else if (ip == ECN_CE && !(t->ecn & ECN_DEMAND_CWR)) {
        quick_acks(t);
        t->ecn |= ECN_DEMAND_CWR;
    }
    t->ecn |= ECN_SEEN;
}

void tcp_ecn_take_cwr(struct shard *sh, struct tcb *t)
{
    t->ecn &= (uint8_t)~ECN_DEMAND_CWR;
    /* Its window may be a single segment now (Linux: ICSK_ACK_NOW). */
    tcp_at_burst_end(sh, t, TF_ACK_NOW);
}

uint8_t tcp_ecn_out(struct tcb *t, bool new_data)
{
    uint8_t flags = t->ecn & ECN_DEMAND_CWR ? TCP_ECE : 0;

    if (new_data && (t->ecn & ECN_QUEUE_CWR)) {
        t->ecn &= (uint8_t)~ECN_QUEUE_CWR;
        flags |= TCP_CWR;
    }
    if (new_data || (t->ecn & ECN_NEEDED))
        t->io->flow.tos |= ECT0;
    return flags;
}

void tcp_ecn_delivered(struct shard *sh, struct tcb *t, uint32_t bytes)
{
    struct tcp_ext *x = tcp_ext_get(sh, t);

    sh->count[COUNT_TCP_DELIVERED_CE] += (bytes + t->mss - 1) / t->mss;
    if (x)
        x->delivered_ce += bytes;
}
