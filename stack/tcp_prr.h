/* tcp_prr.h: reducing cwnd over a round trip: proportional rate reduction (RFC 6937bis).
 *
 * Theory of operation. From the beginning of a reduction on each ACK lets out as many bytes as keep what was
 * sent since (prr_out) in proportion ssthresh / prior_cwnd to what was delivered since (prr_delivered). When
 * the pipe has fallen below ssthresh, it is refilled: by no more than was delivered (the conservative bound),
 * or a segment more where an ACK advanced and found no new loss (the slow start bound). At the end cwnd is
 * ssthresh.
 */
#ifndef SHUNT_TCP_PRR_H
#define SHUNT_TCP_PRR_H

#include "tcp_recover.h"

/* A reduction begins: ssthresh is asked of the algorithm. */
void tcp_prr_start(struct shard *sh, struct tcb *t);
/* An ACK: delivered bytes, of which lost ones were found missing by it; sets cwnd. */
void tcp_prr_ack(struct tcb *t, uint32_t delivered, uint32_t lost, bool advanced);
void tcp_prr_end(struct tcb *t);
/* Congestion without loss (ECN-Echo, a full local queue): the window is reduced once a round trip. No effect
 * while a reduction is under way. */
void tcp_enter_cwr(struct shard *sh, struct tcb *t);

#endif
