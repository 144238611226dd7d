/* tcp_io.h: what a connection needs while segments come or go: tcb.io.
 *
 * Theory of operation. A connection that is silent keeps its names, its sequence numbers and what it has
 * learnt of path and peer, and those are the tcb. Its way out (the route that flow_resolve found), the queues
 * of what was received, the delayed ACK and the place on the shard's list of ACKs are nothing then, or can be
 * had again: they are here, and tcb.io is NULL. It is made (tcp_io_get) by a segment that arrives for the
 * connection, by an open of either kind, and by whatever is about to be sent; so whoever comes from there, or
 * has a tcb.tx in his hand, finds it. Who asks of a connection in any state looks first, or asks the
 * functions below.
 *
 * DL_IDLE looks now and then whether anything happened, gives tcb.tx back (tcp_tx_idle), and when that is
 * gone, nothing is queued, nothing owed, and TX_IDLE_MS have passed without a segment, the io as well. A
 * connection that ended keeps it as long as its user may still read.
 *
 * Out of memory: a segment is dropped as if lost on the way, an open or a send fails with ENOBUFS, what is to
 * be sent without being asked for (keepalive, window update) is left out.
 */
#ifndef SHUNT_TCP_IO_H
#define SHUNT_TCP_IO_H

#include "ip.h"
#include "tcp_cb.h"

#define TX_IDLE_MS 1000

struct tcp_io {
    struct list acks;                     /* on shard->acks: something to do at the end of the burst */
    struct rte_mbuf *rcv_head, *rcv_tail; /* tcp_rcvq.h */
    struct tcp_ofo *ofo;                  /* NULL: nothing out of order */
    uint32_t rcv_mem;                     /* bytes of memory that both queues hold */
    uint32_t tcb;                         /* whose: its number in the slab */
    uint32_t deadline_ms[DL_TX - DL_IO];
    struct flow flow;
    uint32_t drs_us, drs_seq; /* receive buffer auto-tuning (tcp_rcvq.c): when this measurement began,
                                 copied_seq then. Until ESTABLISHED: when our SYN was sent */
};
_Static_assert(sizeof(struct tcb) % 64 == 0, "tcp_io_tcb");
_Static_assert(sizeof(struct tcp_io) <= 128, "two cache lines");

/* t's, made when there is none: as of a connection that is open and silent. NULL: out of memory (counted).
 * Context: the shard's lock. */
struct tcp_io *tcp_io_new(struct shard *sh, struct tcb *t);
static inline struct tcp_io *tcp_io_get(struct shard *sh, struct tcb *t)
{
    return __builtin_expect(t->io != NULL, 1) ? t->io : tcp_io_new(sh, t);
}
static inline struct tcb *tcp_io_tcb(const struct shard *sh, const struct tcp_io *x)
{
    return (struct tcb *)(void *)sh->tcp->tcb.base + x->tcb; /* the slab rounds up to what a tcb has */
}
/* The way to a connection's peer, by its names and options; not resolved yet. */
struct flow tcp_flow(const struct tcb *t);
/* DL_IDLE: gives tx and io back when they are not needed, else looks again later. */
void tcp_io_idle(struct shard *sh, struct tcb *t);
/* The tcb begins anew, or ends. The queues are empty. */
void tcp_io_free(struct shard *sh, struct tcb *t);

/* Of a connection in any state. */
static inline bool tcp_has_unread(const struct tcb *t)
{
    return t->io && t->io->rcv_head;
}

static inline uint32_t tcp_rcv_mem(const struct tcb *t)
{
    return t->io ? t->io->rcv_mem : 0;
}

/* The MTU of the way to the peer. A silent connection has the one that mss was reckoned from; loopback's, of
 * which no bits are left there, is the only one of 64 KiB. */
static inline uint32_t tcp_mtu(const struct tcb *t)
{
    return t->io ? t->io->flow.mtu : t->mss_mtu ? t->mss_mtu : 65536u;
}

#endif
