/* tcp_segment.h: one segment, from the units of the send queue to the network layer. For the files that
 * decide what is sent: tcp_output.c and tcp_retrans.c; others ask by tcp_output.h. */
#ifndef SHUNT_TCP_SEGMENT_H
#define SHUNT_TCP_SEGMENT_H

#include "tcp_output.h"

struct tcp_segment {
    uint32_t seq;
    uint32_t len;           /* payload */
    struct rte_mbuf *first; /* its first unit, when len */
    uint8_t flags;          /* enum tcp_ctl */
};

/* Sends a segment of a synchronized state: with ACK, our window, options. 0, or -ENOBUFS: nothing was sent.
 */
int tcp_send_segment(struct shard *sh, struct tcb *t, struct tcp_segment *s);
/* The last unit of len bytes of whole units from u on. */
struct rte_mbuf *tcp_last_unit(struct rte_mbuf *u, uint32_t len);
/* Stamps the units of a packet just sent: len bytes from u on. Returns the unit behind them. */
struct rte_mbuf *tcp_stamp_units(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len);

#endif
