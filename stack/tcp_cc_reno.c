/* tcp_cc_reno.c: NewReno's congestion avoidance (RFC 5681 section 3.1), bytes counted (RFC 3465). */
#include "tcp_cc.h"

enum { PRIV_ACKED }; /* bytes acknowledged since cwnd last grew */

static void reno_init(struct shard *sh, struct tcb *t)
{
    (void)sh;
    t->tx->cc_priv[PRIV_ACKED] = 0;
}

static void reno_avoid(struct shard *sh, struct tcb *t, uint32_t acked)
{
    struct tcp_tx *x = t->tx;

    (void)sh;
    x->cc_priv[PRIV_ACKED] += acked;
    while (x->cc_priv[PRIV_ACKED] >= t->cwnd) { /* a segment a window */
        x->cc_priv[PRIV_ACKED] -= t->cwnd;
        t->cwnd += t->mss;
    }
}

static uint32_t reno_ssthresh(struct shard *sh, struct tcb *t)
{
    uint32_t half = t->cwnd / 2;

    (void)sh;
    t->tx->cc_priv[PRIV_ACKED] = 0;
    return half > 2u * t->mss ? half : 2u * t->mss;
}

const struct tcp_cc tcp_cc_reno = {
    .name = "reno", .init = reno_init, .avoid = reno_avoid, .ssthresh = reno_ssthresh};
