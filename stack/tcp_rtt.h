/* tcp_rtt.h: round-trip time and retransmission timeout (RFC 6298). */
#ifndef SHUNT_TCP_RTT_H
#define SHUNT_TCP_RTT_H

#include "tcp_cb.h"

void tcp_rtt_init(struct shard *sh, struct tcb *t);
/* Takes in a sample of a segment that was sent once (Karn), in microseconds. Ends the back-off (RFC 6298
 * section 5, last paragraph). */
void tcp_rtt_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us);
/* A sample for the least RTT of the last five minutes (Linux: tcp_min_rtt_wlen). */
void tcp_rtt_min_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us);
/* rto_ms with the back-off, bounded. */
uint32_t tcp_rto_backed_off(const struct tcb *t);
/* Milliseconds that a connection is retransmitted that gives up after n timeouts, the first after base_ms,
 * each twice the one before (Linux: tcp_model_timeout). */
uint64_t tcp_rto_model_ms(unsigned n, uint32_t base_ms);

#endif
