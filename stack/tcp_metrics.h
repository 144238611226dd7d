/* tcp_metrics.h: what a route says of the connections that go by it (`ip route ... initcwnd 20`): Linux's
 * RTAX_* metrics. Asked where a connection begins; changes of a route are for later ones. mtu and hoplimit
 * are the flow's (flow.c). rtt, rttvar, ssthresh, cwnd and reordering are kept and shown without effect: in
 * Linux, too, they count for a destination that was talked to before, not by themselves (tcp_init_metrics).
 *
 * Context: shard lock; fl is resolved.
 */
#ifndef SHUNT_TCP_METRICS_H
#define SHUNT_TCP_METRICS_H

#include <linux/rtnetlink.h>

#include "route.h"
#include "tcp_cb.h"

/* A metric of fl's route, by RTAX_*; 0: it says nothing. No route has any: cheap. */
static inline uint32_t tcp_metric(const struct shard *sh, const struct flow *fl, unsigned which)
{
    return __builtin_expect(sh->st->routes->nextra == 0, 1) ? 0 : flow_metric(sh, fl, which);
}

/* What t itself keeps: window clamp, least RTO, algorithm, quick ACKs. At the start of a connection. */
void tcp_take_metrics(struct shard *sh, struct tcb *t);

#endif
