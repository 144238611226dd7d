/* tcp_timer.h: a connection's deadlines behind one wheel node.
 *
 * Theory of operation. Each enum tcp_deadline has a time or 0. The wheel node is armed for the earliest
 * deadline it was ever told; a deadline that is moved later or cleared leaves it alone, and the node, firing
 * early, re-arms itself for what is then the earliest. So the retransmission deadline, which moves with every
 * ACK, costs a store.
 */
#ifndef SHUNT_TCP_TIMER_H
#define SHUNT_TCP_TIMER_H

#include "tcp_cb.h"

/* Sets deadline d to now + in_ms (at least 1). */
void tcp_deadline_set(struct shard *sh, struct tcb *t, enum tcp_deadline d, uint32_t in_ms);

static inline void tcp_deadline_clear(struct tcb *t, enum tcp_deadline d)
{
    t->deadline_ms[d] = 0;
}

static inline bool tcp_deadline_isset(const struct tcb *t, enum tcp_deadline d)
{
    return t->deadline_ms[d] != 0;
}

/* Until the SYN or SYN,ACK sent for the nth time (from 0) is sent again: doubling, bounded. */
static inline uint32_t tcp_syn_rto_ms(unsigned n)
{
    return n < 7 ? TCP_RTO_INIT_MS << n : TCP_RTO_MAX_MS;
}

/* Clears all deadlines and cancels the node. */
void tcp_timer_stop(struct shard *sh, struct tcb *t);
/* Sets the retransmission deadline from rto_ms and the back-off. */
void tcp_rtx_arm(struct shard *sh, struct tcb *t);
/* (Re)starts the keepalive deadline when SO_KEEPALIVE is on. */
void tcp_keep_arm(struct shard *sh, struct tcb *t);

#endif
