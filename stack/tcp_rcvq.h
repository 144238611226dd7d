/* tcp_rcvq.h: the receive queue, the out-of-order queue, and the window offered from them.
 *
 * Theory of operation. Received packets wait as they came, linked by pkt_meta.link; nothing is trimmed from
 * the mbufs: pkt_meta.off is where the first byte not yet taken stands (counted from the mbuf's data), seq
 * its number, len how many there are. recv copies from there, once. rcv_head..rcv_tail holds [copied_seq,
 * rcv_nxt) less the FIN; struct tcp_ofo what came beyond rcv_nxt, sorted, without overlap.
 *
 * Memory. rcv_mem counts about what Linux's truesize would be (chain_cost). The window promised is
 * rcv_ratio/256 of what rcvbuf leaves, where rcv_ratio is measured on the peer's full segments, and at most
 * rcv_ssthresh, which begins with the first window and grows as segments show that they fill their buffers;
 * so a peer that sends little in large buffers is not promised what would not fit. Small segments are copied
 * into the last buffer's free end, so that a peer sending single bytes costs what it sends. Beyond twice
 * rcvbuf nothing is taken, and what is out of order goes first.
 */
#ifndef SHUNT_TCP_RCVQ_H
#define SHUNT_TCP_RCVQ_H

#include "tcp_io.h"

#define TCP_RCVBUF_MIN 2304u /* Linux: SOCK_MIN_RCVBUF */
#define RCV_FIN        1u    /* pkt_meta.flags of a packet out of order: FIN follows its last byte */

#define TCP_GROW_MIN 128u /* payload of a packet that says something about the peer's (Linux) */

/* Exists while something is out of order or a duplicate is to be reported. */
struct tcp_ofo {
    struct rte_mbuf *head, *tail;
    struct tcp_sack_block sack[TCP_SACK_MAX]; /* most recent first (RFC 2018 section 4) */
    struct tcp_sack_block dsack;              /* RFC 2883; left == right: none */
    uint32_t nsack;
};

/* --- in order (tcp_rcvq.c) --- */

void tcp_rcvq_init(struct shard *sh, struct tcb *t);
/* Appends a packet whose pkt_meta says that it starts at rcv_nxt; takes ownership, advances rcv_nxt. */
void tcp_rcvq_append(struct shard *sh, struct tcb *t, struct rte_mbuf *m);
/* Copies out up to the iovecs' length and max bytes. MSG_PEEK: from peek_off on, leaves it; MSG_TRUNC:
 * without copying. */
size_t tcp_rcvq_read(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, int flags,
                     size_t peek_off, size_t max);
/* Steps over the next byte unread: an urgent one. */
void tcp_rcvq_skip(struct tcb *t);
void tcp_rcvq_free(struct shard *sh, struct tcb *t);
/* Sets truesize; false when the memory limit forbids keeping m (in order: after having thrown away what is
 * out of order). */
bool tcp_rcvq_admit(struct shard *sh, struct tcb *t, struct rte_mbuf *m, bool in_order);
/* Is there as much as SO_RCVLOWAT wants, or as much as there can be (poll's POLLIN)? tcp_user.c's. */
bool tcp_readable(const struct tcb *t);
/* Learns rcv_mss, rcv_unit and rcv_ratio from a packet of len payload bytes. */
void tcp_rcvq_measure(struct tcb *t, const struct rte_mbuf *m, uint32_t len);

/* The window that there is room for (Linux: __tcp_select_window); takes back quick ACKs when that is little.
 * rcv_ssthresh limits it, which grows as segments come that use their memory well. */
uint32_t tcp_select_window(struct tcb *t);
/* Window to offer now in bytes: that, or what is offered already, whichever is more (RFC 9293 section 3.8.6),
 * a multiple of the scale. */
uint32_t tcp_rcv_window(struct tcb *t);
/* What the peer may still send by the last offer. */
static inline uint32_t tcp_rcv_offered(const struct tcb *t)
{
    uint32_t used = t->rcv_nxt - t->rcv_wup;

    return used < t->rcv_wnd ? t->rcv_wnd - used : 0;
}
/* Payload bytes that a receive buffer of so many bytes stands for. */
static inline uint32_t tcp_win_from_space(const struct tcb *t, uint32_t space)
{
    return (uint32_t)(((uint64_t)space * t->rcv_ratio) >> 8);
}
/* The window that memory has room for. This and what follows to tcp_grow_window: tcb.io is there. */
static inline uint32_t tcp_rcv_space(const struct tcb *t)
{
    uint32_t held = t->io->rcv_mem;

    return held < t->rcvbuf ? tcp_win_from_space(t, t->rcvbuf - held) : 0;
}
/* A packet of len payload bytes came that holds so much memory: lets rcv_ssthresh grow (Linux:
 * tcp_grow_window). */
void tcp_grow_window(struct shard *sh, struct tcb *t, uint32_t truesize, uint32_t len);
/* TCP_WINDOW_CLAMP, and when rcv_ratio changes (Linux: tcp_set_window_clamp). */
void tcp_set_window_clamp(struct tcb *t, uint32_t clamp);
/* The user took space bytes in a round trip: lets the buffer grow so that the window never limits a user who
 * keeps up (Linux: tcp_rcvbuf_grow), and for what waits out of order. */
void tcp_rcvbuf_grow(struct shard *sh, struct tcb *t, uint32_t space);
/* Receiver's own estimate of the round-trip time, for auto-tuning. tsecr_ms: age of the echoed timestamp, or
 * -1. */
void tcp_rcv_rtt_measure(struct shard *sh, struct tcb *t, int32_t tsecr_ms);

/* --- out of order (tcp_reass.c) --- */

/* Queues m (pkt_meta filled in) beyond rcv_nxt, without what is there already. COUNT_OK: m was taken;
 * otherwise the reason to drop it. */
enum count tcp_reass_insert(struct shard *sh, struct tcb *t, struct rte_mbuf *m);
/* Moves to the receive queue what has become in order. True when a FIN came up. */
bool tcp_reass_take(struct shard *sh, struct tcb *t);
/* Notes that [left, right) came twice, to be said in the next ACK (RFC 2883). */
void tcp_reass_dsack(struct shard *sh, struct tcb *t, uint32_t left, uint32_t right);
/* Fills in the SACK blocks of the ACK that is about to leave, at most max, and forgets the D-SACK. */
void tcp_reass_blocks(struct shard *sh, struct tcb *t, struct tcp_opts *o, unsigned max);
void tcp_reass_free(struct shard *sh, struct tcb *t);

#endif
