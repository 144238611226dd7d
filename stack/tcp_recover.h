/* tcp_recover.h: the congestion state machine: what an ACK or a timeout means for loss recovery.
 *
 * Theory of operation. An ACK is worked through in this order (tcp_ack.c): tcp_sack.c marks what its blocks
 * cover, tcp_sndq.c takes away what it acknowledges, both leaving in struct tcp_ack_info what they saw. If
 * anything about it is out of the ordinary, tcp_recover_ack moves the state on:
 *
 *   OPEN -> DISORDER     something was SACKed, or a duplicate ACK came: no loss is evident yet
 *   any -> RECOVERY      a unit was marked lost (tcp_rack.c; without SACK by RFC 6582)
 *   any -> LOSS          the retransmission timer expired
 *   RECOVERY, LOSS -> OPEN    all that was out at the beginning is acknowledged, or the loss was none
 * (tcp_undo.c) CWR -> OPEN          something above it is acknowledged
 *
 * Then cwnd is set: in CWR and RECOVERY by tcp_prr.c, else by tcp_cc.c. Sending is left to tcp_output, which
 * keeps RFC 6675's pipe below cwnd: lost units first, then new data. Units that were SACKed or are lost are
 * not in the pipe, so limited transmit (RFC 3042) needs no code of its own. Without SACK each duplicate ACK
 * stands for one segment that has left the network: tcp_tx.sacked counts it, and RFC 6582's inflating and
 * deflating of cwnd follows from that.
 *
 * The decisions are Linux's, so that its packet scripts see the same segments; numbers are bytes where
 * Linux's are packets.
 */
#ifndef SHUNT_TCP_RECOVER_H
#define SHUNT_TCP_RECOVER_H

#include "tcp_tx.h"
#include "tcp_rate.h"

enum tcp_ack_flag {
    A_ADVANCED = 1u << 0,      /* snd_una moves */
    A_TEXT = 1u << 1,          /* the segment has text, SYN or FIN */
    A_WINDOW = 1u << 2,        /* it changed the send window */
    A_SACKED = 1u << 3,        /* units were SACKed by it */
    A_DSACK = 1u << 4,         /* it has a D-SACK */
    A_DSACK_TLP = 1u << 5,     /* that answers the loss probe */
    A_ORIG_ACKED = 1u << 6,    /* data never sent again, from before recovery, was (S)ACKed */
    A_RETRANS_ACKED = 1u << 7, /* data sent again was acknowledged */
    A_LOST_RETRANS = 1u << 8,  /* a retransmission was found lost */
    A_SET_TIMER = 1u << 9,     /* the retransmission timer starts anew */
    A_ECE = 1u << 10,          /* ECN-Echo */
    A_REO_TIMER = 1u << 11,    /* RACK's timer was set: no other one */
};

/* What an ACK brought, collected on its way. */
struct tcp_ack_info {
    uint32_t flags;               /* enum tcp_ack_flag */
    uint32_t ack, una, prior_una; /* SEG.ACK, snd_una with it and before it */
    uint32_t prior_fack, prior_flight, prior_sacked;
    uint32_t sacked;    /* bytes newly SACKed, and those of needless retransmissions that arrived */
    uint32_t delivered; /* bytes newly acknowledged that were not SACKed before */
    uint32_t reord;     /* the lowest number found to have been overtaken */
    uint64_t first_ack_us, last_ack_us, first_sack_us, last_sack_us; /* sending times; 0: none */
    uint32_t echo_ms; /* the timestamp echoed, on our millisecond clock, when has_echo */
    bool has_echo;
    bool dup; /* a duplicate ACK by RFC 5681 section 2 */
    struct tcp_rate_sample rs;
};

/* Is the ACK more than the next one of an undisturbed connection? */
static inline bool tcp_ack_dubious(const struct tcb *t, const struct tcp_ack_info *a)
{
    return !(a->flags & (A_ADVANCED | A_TEXT | A_WINDOW)) || (a->flags & (A_SACKED | A_ECE | A_DSACK)) ||
           t->ca_state != CA_OPEN;
}

/* Moves the congestion state on and marks losses. Sending is left to tcp_output. */
void tcp_recover_ack(struct shard *sh, struct tcb *t, struct tcp_ack_info *a);
/* The retransmission timer expired: what is not SACKed is taken as lost, cwnd is one segment. */
void tcp_recover_timeout(struct shard *sh, struct tcb *t);
/* Something is marked lost that no ACK told of (RACK's timer): RECOVERY, unless it is there already. */
void tcp_recover_enter(struct shard *sh, struct tcb *t, bool ece);
/* Sends lost units again as far as cwnd goes. */
void tcp_recover_output(struct shard *sh, struct tcb *t);
/* The MSS fell: what is longer than it is lost, without being a sign of congestion (Linux:
 * tcp_simple_retransmit). Sending is left to tcp_output. */
void tcp_recover_too_long(struct shard *sh, struct tcb *t);
/* What is marked lost is no sign of congestion: sent again without a reduction. */
void tcp_recover_no_congestion(struct shard *sh, struct tcb *t);
/* OPEN or DISORDER, by what is outstanding; for who ends another state. */
void tcp_recover_keep_open(struct shard *sh, struct tcb *t);
/* All state of a new connection, nothing in flight. */
void tcp_recover_init(struct shard *sh, struct tcb *t);
/* The send queue is gone: forgets its scoreboard. */
void tcp_recover_reset(struct shard *sh, struct tcb *t);
/* Without SACK: acked bytes are acknowledged, and duplicate ACKs told of some of them. */
void tcp_reno_acked(struct tcb *t, uint32_t acked);
/* The one place where ca_state changes. */
void tcp_set_ca_state(struct shard *sh, struct tcb *t, enum tcp_ca state);

/* Is cwnd being reduced (PRR)? */
static inline bool tcp_in_reduction(const struct tcb *t)
{
    return t->ca_state == CA_CWR || t->ca_state == CA_RECOVERY;
}

/* Was anything that is outstanding sent again? */
static inline bool tcp_any_retrans(const struct tcb *t)
{
    return t->tx->retrans || (tcp_oldest_sent(t) && pkt_meta(t->tx->snd_head)->retrans);
}

#endif
