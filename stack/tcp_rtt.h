/* tcp_rtt.h: round-trip time and retransmission timeout (RFC 6298). */
#ifndef SHUNT_TCP_RTT_H
#define SHUNT_TCP_RTT_H

#include "tcp_cb.h"

void tcp_rtt_init(struct shard *sh, struct tcb *t);
/* Takes in a sample of a segment that was sent once (Karn), in microseconds. */
void tcp_rtt_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us);
/* rto_ms with the back-off of t->retries, bounded. */
uint32_t tcp_rto_backed_off(const struct tcb *t);

#endif
