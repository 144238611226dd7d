/* tcp_recover.h: fast retransmit and recovery (RFC 5681, 6582, 6675), limited transmit (RFC 3042), and
 * recovery after a timeout. */
#ifndef SHUNT_TCP_RECOVER_H
#define SHUNT_TCP_RECOVER_H

#include "tcp_cb.h"

/* What an ACK brought, as far as recovery and congestion control care. */
struct tcp_ack_info {
    uint32_t acked;        /* bytes by which snd_una advanced */
    uint32_t sacked;       /* bytes newly SACKed */
    uint32_t prior_flight; /* before it */
    bool dup;              /* a duplicate ACK by RFC 5681 section 2 */
};

/* Moves the congestion state on, marks losses, sets cwnd. Sending is left to tcp_output. */
void tcp_recover_ack(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a);
/* Congestion without loss (ECN-Echo, a full local queue): the window is reduced once a round trip. No effect
 * while a reduction is under way. */
void tcp_enter_cwr(struct shard *sh, struct tcb *t);
/* The retransmission timer expired: everything not SACKed is taken as lost, cwnd is one segment. */
void tcp_recover_timeout(struct shard *sh, struct tcb *t);
/* Sends lost units again as far as cwnd goes. */
void tcp_recover_output(struct shard *sh, struct tcb *t);

#endif
