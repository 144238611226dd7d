/* tcp_sack.h: the sender's scoreboard: what SACK blocks say about the send queue (RFC 2018, 2883, 6675). */
#ifndef SHUNT_TCP_SACK_H
#define SHUNT_TCP_SACK_H

#include "tcp_cb.h"
#include "tcp_rate.h"

/* Marks what the ACK's blocks cover. ack: SEG.ACK. Returns the bytes newly SACKed; bad blocks are counted and
 * ignored. */
uint32_t tcp_sack_take(struct shard *sh, struct tcb *t, uint32_t ack, const struct tcp_opts *o,
                       struct tcp_rate_sample *rs);
/* RFC 6675 IsLost() for every unit: marks as lost what has DupThresh SACKed segments, or more than DupThresh
 * - 1 segments' bytes, above it. */
void tcp_sack_mark_lost(struct tcb *t);
/* Marks one unit; for a head known to be missing by other means. */
void tcp_mark_lost(struct tcb *t, struct rte_mbuf *u);

#endif
