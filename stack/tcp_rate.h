/* tcp_rate.h: how fast data is delivered (draft-cheng-iccrg-delivery-rate-estimation), measured on each ACK
 * for congestion control and TCP_INFO.
 *
 * Theory of operation. tcp_tx.delivered counts the bytes that the peer is known to have, cumulatively
 * acknowledged or SACKed. A unit remembers, when it is sent, what that count and its time were (pkt_meta's
 * delivered, delivered_us) and when the unit was sent whose delivery was the last known then (first_us). When
 * it is delivered itself, the difference of the counts over the longer of the two intervals, that of sending
 * and that of acknowledging, is a sample of the rate. Of all units that one ACK delivers the one sent last is
 * taken. Where the application had nothing to send, the sample says little: it is marked.
 *
 * All counts are bytes modulo 2^32, all times the low 32 bits of the microsecond clock.
 */
#ifndef SHUNT_TCP_RATE_H
#define SHUNT_TCP_RATE_H

#include "tcp_tx.h"

/* What one ACK tells congestion control (Linux: struct rate_sample). It is filled in while the ACK is worked
 * on; whole when tcp_cc's on_ack and cong_control get it. */
struct tcp_rate_sample {
    uint32_t prior_delivered; /* tcp_tx.delivered when the unit measured was sent */
    uint32_t prior_us;        /* and its time */
    uint32_t last_end_seq;    /* the end of that unit */
    int32_t delivered;        /* bytes delivered over the interval, -1: no sample */
    int32_t interval_us;      /* -1: no sample */
    uint32_t snd_interval_us, rcv_interval_us;
    int32_t rtt_us;           /* of the last unit (S)ACKed, -1: none may be taken (Karn) */
    uint32_t acked_sacked;    /* bytes this ACK delivered, SACKed or cumulatively */
    uint32_t acked;           /* bytes by which snd_una advanced */
    uint32_t losses;          /* bytes newly marked as lost */
    uint32_t prior_in_flight; /* the pipe before the ACK */
    bool valid;               /* a unit was measured: prior_delivered and prior_us count */
    bool is_app_limited;      /* the application had no more to send at the time */
    bool is_retrans;          /* the unit measured was a retransmission */
    bool is_ack_delayed; /* likely a delayed ACK of a lone short segment: the RTT is no good for a minimum */
    bool is_ece;         /* the ACK has ECE */
};

/* A unit leaves: called before snd_nxt, retrans and such change. */
static inline void tcp_rate_sent(const struct tcb *t, struct pkt_meta *pm)
{
    struct tcp_tx *x = t->tx;

    pm->delivered = x->delivered;
    pm->delivered_us = x->delivered_us;
    pm->first_us = x->first_sent_us;
    pm->rate_flags = PKT_RATE_SENT | (x->app_limited ? PKT_RATE_APP_LIMITED : 0);
}

/* The first of a flight leaves after silence: intervals start here. */
static inline void tcp_rate_flight_starts(struct tcb *t, uint32_t now_us)
{
    t->tx->first_sent_us = t->tx->delivered_us = now_us;
}

/* Unit pm is delivered (SACKed or acknowledged): takes it as the sample if it was sent later than the last
 * one. */
void tcp_rate_delivered(struct tcb *t, struct pkt_meta *pm, struct tcp_rate_sample *rs);
/* The ACK has been worked through: completes rs. delivered, lost: bytes of this ACK. */
void tcp_rate_gen(struct shard *sh, struct tcb *t, uint32_t delivered, uint32_t lost,
                  struct tcp_rate_sample *rs);
/* The program is about to send: is it what limits the rate? */
void tcp_rate_check_app_limited(struct tcb *t);

#endif
