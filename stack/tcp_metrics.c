/* tcp_metrics.c: see tcp_metrics.h. Linux: tcp_connect_init, tcp_rto_min, tcp_ca_dst_init,
 * tcp_in_quickack_mode. */
#include "tcp_metrics.h"

#include "tcp_ext.h"
#include "tcp_io.h"

void tcp_take_metrics(struct shard *sh, struct tcb *t)
{
    const struct flow *fl = &t->io->flow;
    uint32_t window, rto_min_ms, cc;

    t->opts &= (uint8_t)~TO_QUICKACK;
    if (__builtin_expect(sh->st->routes->nextra == 0, 1))
        return;
    window = flow_metric(sh, fl, RTAX_WINDOW);
    if (window && !t->window_clamp)
        t->window_clamp = window;
    /* Locked, or Linux doesn't look at it; ip locks it always. */
    rto_min_ms = flow_metric(sh, fl, RTAX_LOCK) & 1u << RTAX_RTO_MIN ? flow_metric(sh, fl, RTAX_RTO_MIN) : 0;
    if (rto_min_ms && tcp_ext_get(sh, t))
        t->ext->rto_min_us = RTE_MIN(rto_min_ms, (uint32_t)TCP_RTO_MAX_MS) * 1000;
    cc = flow_metric(sh, fl, RTAX_CC_ALGO);
    if (cc)
        t->cc = (uint8_t)(cc - 1);
    if (flow_metric(sh, fl, RTAX_QUICKACK))
        t->opts |= TO_QUICKACK;
}
