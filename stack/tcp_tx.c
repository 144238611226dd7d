/* tcp_tx.c: see tcp_tx.h. */
#include "tcp_tx.h"

#include "tcp_cc.h"
#include "tcp_output.h"
#include "tcp_prr.h"
#include "tcp_sack.h"
#include "tcp_timer.h"

struct tcp_tx *tcp_tx_new(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = tcp_io_get(sh, t) ? slab_alloc(&sh->tcp->tx) : NULL;

    if (!x) {
        tcp_count(sh, COUNT_NOMEM_PCB);
        return NULL;
    }
    /* As if all that was sent so far had been acknowledged in order. */
    x->snd_sml = x->cwnd_use_seq = x->recover = t->snd_una;
    x->rtt_seq = t->snd_nxt;
    x->pushed_seq = t->write_seq;
    x->mdev_max_us4 = t->rttvar_us4;
    t->tx = x;
    if (state_in(t, ~(TCPF(CLOSE) | TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)))) {
        if (!tcp_cc_table[t->cc]->keeps) /* else tcp_cc_start does, or tcp_cc_set */
            tcp_cc_table[t->cc]->init(sh, t);
        if (!tcp_deadline_isset(t, DL_IDLE))
            tcp_deadline_set(sh, t, DL_IDLE, TX_IDLE_MS);
    }
    return x;
}

/* How long nothing must have been sent before tx says nothing that the tcb does not. */
static uint32_t stale_ms(const struct tcb *t)
{
    return t->ssthresh == UINT32_MAX ? TX_IDLE_MS : TX_STALE_MS;
}

/* Will it never be given back before the end? */
static bool stays(const struct tcb *t)
{
    return tcp_cc_table[t->cc]->keeps || (t->flags & TF_FIN_QUEUED) ||
           !state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT));
}

uint32_t tcp_tx_idle(struct shard *sh, struct tcb *t)
{
    bool busy = t->tx->snd_head || tcp_flight(t) || (t->flags & TF_PROBING);
    uint32_t idle_ms = tcp_now_ms(sh) - t->last_snd_ms;

    if (stays(t))
        return 0;
    if (busy || idle_ms < stale_ms(t))
        return busy ? stale_ms(t) : stale_ms(t) - idle_ms;
    if (t->ca_state != CA_OPEN) { /* held for the next ACK, which may never come (tcp_undo.c) */
        if (tcp_in_reduction(t))
            tcp_prr_end(t);
        tcp_set_ca_state(sh, t, CA_OPEN);
    }
    tcp_tx_free(sh, t);
    return TX_IDLE_MS;
}

void tcp_tx_free(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    if (!x)
        return;
    if (x->sack_cache)
        tcp_sack_cache_free(sh, t);
    t->tx = NULL;
    list_step(); /* a process killed from here on loses it; it is never freed twice */
    slab_free(&sh->tcp->tx, x);
    t->backoff = 0;
}
