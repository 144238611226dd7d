/* tcp_timer.h: a connection's deadlines behind one wheel node.
 *
 * Theory of operation. Each enum tcp_deadline has a time or 0. The wheel node is armed for the earliest
 * deadline it was ever told; a deadline that is moved later or cleared leaves it alone, and the node, firing
 * early, re-arms itself for what is then the earliest. So the retransmission deadline, which moves with every
 * ACK, costs a store.
 */
#ifndef SHUNT_TCP_TIMER_H
#define SHUNT_TCP_TIMER_H

#include "tcp_tx.h"

/* Shortest wait of RACK's and the probe's timer (Linux: 2 jiffies). */
#define TCP_TIMEOUT_MIN_US 2000u

/* Where deadline d stands. Those from DL_IO on need tcb.io, from DL_TX on tcb.tx. */
static inline uint32_t *tcp_deadline_slot(struct tcb *t, enum tcp_deadline d)
{
    if (d < DL_IO)
        return &t->keep_ms;
    return d < DL_TX ? &t->io->deadline_ms[d - DL_IO] : &t->tx->deadline_ms[d - DL_TX];
}

/* Sets the deadline in slot to now + in_ms (at least 1), or + in_us, rounded up. */
void tcp_deadline_at(struct shard *sh, struct tcb *t, uint32_t *slot, uint32_t in_ms);
void tcp_deadline_at_us(struct shard *sh, struct tcb *t, uint32_t *slot, uint64_t in_us);
static inline void tcp_deadline_set(struct shard *sh, struct tcb *t, enum tcp_deadline d, uint32_t in_ms)
{
    tcp_deadline_at(sh, t, tcp_deadline_slot(t, d), in_ms);
}
static inline void tcp_deadline_set_us(struct shard *sh, struct tcb *t, enum tcp_deadline d, uint64_t in_us)
{
    tcp_deadline_at_us(sh, t, tcp_deadline_slot(t, d), in_us);
}

static inline void tcp_deadline_clear(struct tcb *t, enum tcp_deadline d)
{
    if (d < DL_IO)
        t->keep_ms = 0;
    else if (d < DL_TX && t->io)
        t->io->deadline_ms[d - DL_IO] = 0;
    else if (d >= DL_TX && t->tx)
        t->tx->deadline_ms[d - DL_TX] = 0;
}

/* When it is due, on the millisecond clock; 0: not set. */
static inline uint32_t tcp_deadline_ms(const struct tcb *t, enum tcp_deadline d)
{
    if (d < DL_IO)
        return t->keep_ms;
    if (d < DL_TX)
        return t->io ? t->io->deadline_ms[d - DL_IO] : 0;
    return t->tx ? t->tx->deadline_ms[d - DL_TX] : 0;
}

static inline bool tcp_deadline_isset(const struct tcb *t, enum tcp_deadline d)
{
    return tcp_deadline_ms(t, d) != 0;
}

/* Until the SYN or SYN,ACK sent for the nth time (from 0) is sent again: doubling, bounded. */
static inline uint32_t tcp_syn_rto_ms(unsigned n)
{
    return n < 7 ? TCP_RTO_INIT_MS << n : TCP_RTO_MAX_MS;
}

/* Clears all deadlines and cancels the node. */
void tcp_timer_stop(struct shard *sh, struct tcb *t);
/* Sets the retransmission deadline from now: rto_ms with the back-off. */
void tcp_rtx_arm(struct shard *sh, struct tcb *t);
/* The same after the deadline stood for something else (RTX_REO, RTX_TLP): then from when the head was sent.
 * Nothing in flight: clears it (RFC 6298 section 5.2). */
void tcp_rtx_rearm(struct shard *sh, struct tcb *t);
/* ICMP says that the way to the peer is broken, about the head: silence is not congestion then, one back-off
 * is taken back (RFC 6069). */
void tcp_rtx_revert(struct shard *sh, struct tcb *t);
/* Microseconds until the RTO of what is oldest; may be below 0. */
int64_t tcp_rto_left_us(const struct shard *sh, const struct tcb *t);
/* (Re)starts the keepalive deadline when SO_KEEPALIVE is on. */
void tcp_keep_arm(struct shard *sh, struct tcb *t);

#endif
