/* tcp_output.h: segments out. What may be sent is decided in tcp_output.c; each segment goes through one
 * place, tcp_emit in tcp_segment.c; what was lost is sent again by tcp_retrans.c. */
#ifndef SHUNT_TCP_OUTPUT_H
#define SHUNT_TCP_OUTPUT_H

#include "tcp_tx.h"

/* Sends what RFC 9293's windows, cwnd, Nagle and the cork allow: lost units first, then new data, then the
 * FIN. */
void tcp_output(struct shard *sh, struct tcb *t);
/* The same, but one burst of new data at most (Linux: tcp_push_one). */
void tcp_output_one(struct shard *sh, struct tcb *t);
/* Wakes a writer that met a full buffer once a third of it is free, and less than half of TCP_NOTSENT_LOWAT
 * unsent (Linux: sk_stream_write_space). */
void tcp_wake_writer(struct shard *sh, struct tcb *t);
/* A segment without payload: flags as given, ACK and our window. Consumes the ACK owed. */
void tcp_send_ack(struct shard *sh, struct tcb *t);
/* Asks for tcp_output and what flags say (TF_ACK_NOW ...) at the end of the burst. */
void tcp_at_burst_end(struct shard *sh, struct tcb *t, uint32_t flags);
/* SYN (SYN_SENT) or SYN,ACK (SYN_RECEIVED of a simultaneous open). */
void tcp_send_syn(struct shard *sh, struct tcb *t);
/* RST, with sequence number snd_nxt (RFC 9293 section 3.10.5). */
void tcp_send_reset(struct shard *sh, struct tcb *t);
/* Zero-window or keepalive probe: an empty segment just below the window (seq snd_una - 1), which must be
 * answered. Differs: RFC 9293 section 3.8.6.1 has a byte of data; the answer is the same, and nothing need be
 * split off (as Linux). */
void tcp_send_probe(struct shard *sh, struct tcb *t);
/* Sends units again, from u on, up to one full segment of consecutive ones that are lost. 0 or -ENOBUFS. */
int tcp_retransmit(struct shard *sh, struct tcb *t, struct rte_mbuf *u);
/* The same for a loss probe: the first copy is still taken to be under way, and this one not counted. */
int tcp_retransmit_probe(struct shard *sh, struct tcb *t, struct rte_mbuf *u);
/* The first unit of the last segment sent that is still queued, NULL: none. Walks the queue. */
struct rte_mbuf *tcp_last_sent(const struct tcb *t);
/* The FIN again, alone. */
void tcp_retransmit_fin(struct shard *sh, struct tcb *t);
/* Sends up to max bytes of new data whatever Nagle and cwnd say (loss probes, window probes with room); push:
 * with PSH. 0, or -ENOBUFS, -EAGAIN nothing there. */
int tcp_output_forced(struct shard *sh, struct tcb *t, uint32_t max, bool push);

static inline uint32_t tcp_flight(const struct tcb *t)
{
    return t->snd_nxt - t->snd_una;
}

/* RFC 6675's pipe: bytes taken to be in the network. */
static inline uint32_t tcp_pipe(const struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t out = tcp_flight(t) + x->retrans, gone = x->sacked + x->lost;

    return out > gone ? out - gone : 0;
}

/* The FIN has been sent. */
static inline bool tcp_fin_sent(const struct tcb *t)
{
    return (t->flags & TF_FIN_QUEUED) && t->snd_nxt == t->write_seq + 1;
}

#endif
