/* tcp_tlp.h: tail loss probes (RFC 8985 section 7).
 *
 * Theory of operation. When the end of a flight is lost, no ACK tells of it. Two round trips after the last
 * ACK or sending, long before the retransmission timeout, a probe goes out: new data, or the last segment
 * again. Its ACK brings the SACK that RACK needs. tcp_tx.tlp_high_seq is the snd_nxt of the probe: once that
 * is acknowledged without a sign that both copies arrived, the probe has repaired a loss, and cwnd pays for
 * it.
 */
#ifndef SHUNT_TCP_TLP_H
#define SHUNT_TCP_TLP_H

#include "tcp_recover.h"

/* Sets the timer for a probe, if one may be sent. anew: the retransmission timer starts now, too; else it
 * runs since the head was sent. False: none; the timer is as it was. */
bool tcp_tlp_schedule(struct shard *sh, struct tcb *t, bool anew);
/* The timer (RTX_TLP) expired. */
void tcp_tlp_timeout(struct shard *sh, struct tcb *t);
/* An ACK while a probe is out. */
void tcp_tlp_ack(struct shard *sh, struct tcb *t, const struct tcp_ack_info *a);

#endif
