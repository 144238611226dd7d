/* tcp_mtup.h: packetisation layer path MTU discovery (RFC 4821), as Linux's tcp_mtu_probing does it.
 *
 * Theory of operation. Where ICMP does not come back, a path's MTU is found by trying. Once enabled
 * (TF_MTUP) the connection sends segments for an MTU of search_low, which is known to pass, and now and then
 * one for half way between it and search_high, the most that the route promises. Its acknowledgement raises
 * search_low, its loss, which is no sign of congestion, lowers search_high. The search ends when they are
 * PROBE_THRESHOLD apart, and starts anew after PROBE_INTERVAL_S.
 *
 * tcp_mtu_probing 0: never. 1: a connection whose retransmissions go unanswered for tcp_retries1 takes that
 * for a black hole: it enables the search, from tcp_base_mss, and halves that at each further timeout.
 * 2: every connection searches from the start.
 */
#ifndef SHUNT_TCP_MTUP_H
#define SHUNT_TCP_MTUP_H

#include "tcp_cb.h"
#include "tcp_ext.h"

/* The connection is established. */
void tcp_mtup_init(struct shard *sh, struct tcb *t);
/* mtu, or what is known to pass where that is less. */
uint32_t tcp_mtup_cap(const struct tcb *t, uint32_t mtu);
/* The size of the probe that may be sent now as a payload, 0: none. */
uint32_t tcp_mtup_wanted(struct shard *sh, struct tcb *t);
/* A probe of len bytes left: [seq, seq + len). */
void tcp_mtup_sent(struct tcb *t, uint32_t seq, uint32_t len);
/* snd_una has moved: over the probe? */
void tcp_mtup_acked(struct shard *sh, struct tcb *t);
/* Something was lost, and no recovery is under way. True: it was the probe. It goes again in segments that
 * pass, without a reduction. */
bool tcp_mtup_lost(struct shard *sh, struct tcb *t);
/* Retransmissions have gone unanswered for long. */
void tcp_mtup_black_hole(struct shard *sh, struct tcb *t);

static inline bool tcp_mtup_probing(const struct tcb *t)
{
    return (t->flags & TF_MTUP) && t->ext->mtup.probe_mtu;
}

#endif
