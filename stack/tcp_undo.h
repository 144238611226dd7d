/* tcp_undo.h: was the reduction of cwnd a mistake?
 *
 * Theory of operation. From tcp_undo_begin on (recovery or a timeout) undo_marker is the snd_una of the time,
 * retrans_stamp_ms the time of the first retransmission, undo_retrans the number of retransmissions. The
 * reduction was a mistake when
 *  - an ACK that advances echoes a timestamp older than the first retransmission: what it acknowledges is the
 *    original (Eifel detection, RFC 3522);
 *  - D-SACKs say of every retransmission that it arrived as a duplicate (RFC 3708): undo_retrans comes to 0;
 *  - after a timeout originals are acknowledged (F-RTO, RFC 5682; tcp_recover.c).
 * Then cwnd and ssthresh go back to what they were.
 */
#ifndef SHUNT_TCP_UNDO_H
#define SHUNT_TCP_UNDO_H

#include "tcp_recover.h"

void tcp_undo_begin(struct tcb *t);
/* The ssthresh that undoing goes back to (Linux: tcp_current_ssthresh). */
uint32_t tcp_undo_ssthresh(const struct tcb *t);
/* All of the episode is acknowledged. True: the state is held until something above it is (RFC 6582: without
 * SACK a duplicate ACK could not be told from one of the episode). */
bool tcp_undo_recovery(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a);
/* By D-SACK alone. */
bool tcp_undo_dsack(struct shard *sh, struct tcb *t);
/* After a timeout; frto: F-RTO found it spurious. True: undone. */
bool tcp_undo_loss(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a, bool frto);
/* A partial ACK in recovery by the original, not the retransmission. True: wait for what is under way. */
bool tcp_undo_partial(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a);

/* Did the ACK echo a timestamp from before at_ms? */
static inline bool tcp_echo_before(const struct tcp_ack_info *a, uint32_t at_ms)
{
    return a->has_echo && seq_lt(a->echo_ms, at_ms);
}

/* Was unit pm, sent again, acknowledged by its first copy? */
static inline bool tcp_unit_spurious(const struct tcb *t, const struct pkt_meta *pm,
                                     const struct tcp_ack_info *a)
{
    (void)t;
    return pm->retrans && tcp_echo_before(a, (uint32_t)(pm->time_us / 1000));
}

#endif
