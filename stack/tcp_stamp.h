/* tcp_stamp.h: time stamps (stamp.h) and control messages of TCP: when received bytes came, when sent bytes
 * left and were acknowledged, how many more bytes there are (TCP_INQ).
 *
 * Theory of operation. A stamp of what is sent is about one byte, the last of a send call (Linux: the last of
 * the skb): a struct txstamp remembers its number until it has been handed to the link (SCM_TSTAMP_SCHED,
 * then SCM_TSTAMP_SND: there is no queue in between here) and until it is acknowledged (SCM_TSTAMP_ACK). The
 * stamps go to the error queue (errq.h), with the number of the byte, counted as SOF_TIMESTAMPING_OPT_ID
 * wants it. Without SOF_TIMESTAMPING_OPT_TSONLY the data comes back with them; Differs: that of the last send
 * unit alone, and without headers.
 *
 * TF_TXSTAMP: sends are to be stamped, or stamps are awaited. TF_CTL: recvmsg gives control messages, so that
 * arrivals are stamped. All else lies in tcp_ext.
 */
#ifndef SHUNT_TCP_STAMP_H
#define SHUNT_TCP_STAMP_H

#include "tcp_cb.h"
#include "tcp_ext.h"

/* A byte whose stamps are awaited; in tcp_ext.txstamps, by number. */
struct txstamp {
    struct list node;
    struct rte_mbuf *m; /* a reference to the data, or NULL */
    uint32_t seq;
    uint8_t sched, snd, ack; /* which are still to come */
};

#define TXSTAMPS_MAX 65536 /* of all connections */

/* setsockopt of SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, TCP_INQ has changed: sets the two flags. */
void tcp_stamp_flags(struct tcb *t);
/* SO_TIMESTAMP and its like. -ENOPROTOOPT: another option. */
int tcp_stamp_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len);
int tcp_stamp_getopt(const struct tcb *t, int name, void *val, uint32_t *len);
/* A child takes over its listener's. */
void tcp_stamp_inherit(struct shard *sh, struct tcb *child, const struct tcb *listener);

/* With TF_TXSTAMP: a send call ended at write_seq; [from, to) left; snd_una advanced. */
void tcp_stamp_request(struct shard *sh, struct tcb *t);
void tcp_stamp_sent(struct shard *sh, struct tcb *t, uint32_t from, uint32_t to);
void tcp_stamp_acked(struct shard *sh, struct tcb *t);
/* The connection ends, or the socket goes: what is awaited won't come. */
void tcp_stamp_drop(struct shard *sh, struct tcb *t);
/* tcp_ext goes. */
void tcp_stamp_close(struct shard *sh, struct tcb *t);

#endif
