/* tcp_pace.c: see tcp_pace.h. */
#include "tcp_pace.h"

#include <errno.h>

#include "tcp_ext.h"
#include "tcp_output.h"
#include "tcp_timer.h"

#define FREE_SEGMENTS                                                                                        \
    10 /* the first ones of a connection are not paced (Linux: tcp_update_skb_after_send)                    \
        */

struct tcp_pace *tcp_pace_get(struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = tcp_ext_get(sh, t);

    if (!x)
        return NULL;
    if (!x->pace) {
        x->pace = slab_alloc(&sh->tcp->pace);
        if (x->pace)
            x->pace->max_rate = PACE_UNLIMITED;
        else
            tcp_count(sh, COUNT_NOMEM_PCB);
    }
    return x->pace;
}

void tcp_pace_free(struct shard *sh, struct tcb *t)
{
    struct tcp_pace *p = t->ext ? t->ext->pace : NULL;

    if (!p)
        return;
    t->flags &= ~(uint32_t)TF_PACED;
    t->ext->pace = NULL;
    list_step();
    slab_free(&sh->tcp->pace, p);
}

int tcp_pace_set_max(struct shard *sh, struct tcb *t, uint64_t rate)
{
    struct tcp_pace *p;

    if (rate == PACE_UNLIMITED && !(t->flags & TF_PACED))
        return 0;
    p = tcp_pace_get(sh, t);
    if (!p)
        return -ENOMEM;
    p->max_rate = rate;
    t->flags |= TF_PACED;
    return 0;
}

uint64_t tcp_pace_max(const struct tcb *t)
{
    return t->ext && t->ext->pace ? t->ext->pace->max_rate : PACE_UNLIMITED;
}

uint64_t tcp_pace_rate(const struct tcb *t)
{
    const struct tcp_pace *p = t->ext ? t->ext->pace : NULL;
    uint64_t rate = PACE_UNLIMITED, window = t->cwnd;

    if (p && p->rate) {
        rate = p->rate;
    } else if (t->srtt_us8) {
        if (tcp_flight(t) > window)
            window = tcp_flight(t);
        rate = window * 8 * 10000 * (t->cwnd < t->ssthresh / 2 ? 200 : 120) / t->srtt_us8;
    }
    return p && p->max_rate < rate ? p->max_rate : rate;
}

bool tcp_pace_blocked(struct shard *sh, struct tcb *t)
{
    const struct tcp_pace *p = t->ext->pace;
    uint64_t at_ms;

    if (p->next_ns <= sh->now_ns)
        return false;
    at_ms = (p->next_ns + 999999) / 1000000;
    tcp_deadline_set(sh, t, DL_PACE, (uint32_t)(at_ms - shard_ms(sh)));
    return true;
}

void tcp_pace_sent(struct shard *sh, struct tcb *t, uint32_t len)
{
    struct tcp_pace *p = t->ext->pace;
    uint64_t rate = tcp_pace_rate(t), from = sh->now_ns - PACE_CREDIT_NS;

    if (rate == PACE_UNLIMITED || rate == 0 || t->data_segs_out < FREE_SEGMENTS)
        return;
    if (p->next_ns > from)
        from = p->next_ns;
    p->next_ns = from + (uint64_t)len * 1000000000 / rate;
}
