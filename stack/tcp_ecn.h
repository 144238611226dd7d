/* tcp_ecn.h: explicit congestion notification (RFC 3168), both halves of it.
 *
 * Theory of operation. TF_ECN says that both ends agreed. The receiver half answers CE marks with ECE in
 * every ACK until it sees CWR (ECN_DEMAND_CWR); the sender half marks new data ECT(0), takes ECE for
 * congestion (tcp_recover.h: tcp_enter_cwr) and says CWR in the next new data (ECN_QUEUE_CWR).
 * Retransmissions and segments without data are not ECT (section 6.1.4, 6.1.5), unless the algorithm needs to
 * know of each mark (ECN_NEEDED, DCTCP: RFC 8257), which then also changes how the receiver echoes: see
 * tcp_ecn_data.
 *
 * AccECN (draft-ietf-tcpm-accurate-ecn). Its SYN has AE, CWR and ECE set. We are an RFC 3168 end: as a server
 * we see CWR and ECE, ignore AE and answer with ECE alone, which the client takes as RFC 3168 (section 3.1.1,
 * table 2); as a client we never send AE, and a SYN,ACK with CWR is not an answer to us: no ECN then.
 */
#ifndef SHUNT_TCP_ECN_H
#define SHUNT_TCP_ECN_H

#include "tcp_cb.h"

#define ECT0       2u /* in the IP header's two bits */
#define ECN_CE     3u
#define ECN_IPMASK 3u

/* tcb.ecn */
enum tcp_ecn_bit {
    ECN_SEEN = 1u << 0,       /* the peer has sent ECT */
    ECN_DEMAND_CWR = 1u << 1, /* our ACKs carry ECE */
    ECN_QUEUE_CWR = 1u << 2,  /* our next new data carries CWR */
    ECN_NEEDED = 1u << 3,     /* the congestion control needs ECN (RFC 8257) */
    ECN_WAS_CE = 1u << 4,     /* ECN_NEEDED: the data that came last was marked */
};

struct tcp_seg;

/* Flags of our SYN: ECE and CWR when the tunable tcp_ecn is 1 or the algorithm needs ECN; not in one that is
 * sent again (tcp_ecn_fallback, RFC 3168 section 6.1.1.1). */
uint8_t tcp_ecn_syn_flags(struct shard *sh, struct tcb *t);
/* SYN_SENT: the answer came, or (no ACK) a SYN of a simultaneous open: sets TF_ECN when both agree. */
void tcp_ecn_take_syn(struct shard *sh, struct tcb *t, const struct tcp_seg *s);
/* A SYN for listener l: is ECN agreed on? */
bool tcp_ecn_request(const struct shard *sh, const struct tcb *l, const struct tcp_seg *s);
/* Data came in a packet with this TOS byte, rcv_nxt not advanced yet; t has TF_ECN. */
void tcp_ecn_data(struct shard *sh, struct tcb *t, uint8_t tos);
/* Data came with CWR: the sender has reduced. */
void tcp_ecn_take_cwr(struct shard *sh, struct tcb *t);
/* TF_ECN and a segment leaves: its TCP flags; new_data: never sent before. Sets the flow's TOS. */
uint8_t tcp_ecn_out(struct tcb *t, bool new_data);
/* bytes were delivered by an ACK with ECE (TCP_INFO). */
void tcp_ecn_delivered(struct shard *sh, struct tcb *t, uint32_t bytes);

/* The window was reduced: the peer is to know. */
static inline void tcp_ecn_queue_cwr(struct tcb *t)
{
    if (t->flags & TF_ECN)
        t->ecn |= ECN_QUEUE_CWR;
}

/* It was a mistake, and is undone. */
static inline void tcp_ecn_withdraw_cwr(struct tcb *t)
{
    t->ecn &= (uint8_t)~ECN_QUEUE_CWR;
}

#endif
