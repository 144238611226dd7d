/* tcp_rack.h: loss detection by time (RACK, RFC 8985).
 *
 * Theory of operation. A unit is lost when another one, sent later, has been delivered, and a round trip plus
 * a reordering window has passed since it was sent. RACK.xmit_ts, RACK.end_seq and RACK.rtt (tcp_tx.rack_us,
 * rack_end_seq, rack_rtt_us) are of the latest unit delivered. While the path has shown no reordering the
 * window is 0 once DupThresh packets are SACKed or recovery is under way; then, or when it has, it is a
 * quarter of the least RTT, and a quarter more for each round trip in which a D-SACK says that this was too
 * small, up to SRTT, for 16 recoveries.
 *
 * What is to be judged is found without looking at the rest of the queue. Units sent once were sent in the
 * order of their numbers: tcp_tx.rack_next is the first of them that is neither SACKed nor lost, all before
 * it are done with; the look goes from there up to the first one sent after RACK.xmit_ts, and jumps over runs
 * of SACKed units (tcp_sack.h). Each unit is passed once, but for those inside the reordering window, which
 * are looked at again. Units sent again are on a list of their own (rtx_first, rtx_last: UNIT_LISTED), in the
 * order of their last sending, until they are delivered or lost again.
 */
#ifndef SHUNT_TCP_RACK_H
#define SHUNT_TCP_RACK_H

#include "tcp_cb.h"

#define RACK_PERSIST 16 /* RFC 8985 section 6.2 step 4: recoveries that a widened window holds */

struct tcp_ack_info;

/* Unit pm was delivered: step 2, "update the state for measuring". */
void tcp_rack_advance(struct shard *sh, struct tcb *t, const struct pkt_meta *pm);
/* Adapts the reordering window by the D-SACKs of the last round trip. */
void tcp_rack_window(struct tcb *t, const struct tcp_ack_info *a);
/* Step 5: marks what is lost, and sets the reordering timer when something must wait. True: it was set. */
bool tcp_rack_mark(struct shard *sh, struct tcb *t);
/* The reordering timer (RTX_REO) expired. */
void tcp_rack_timeout(struct shard *sh, struct tcb *t);
/* Microseconds until u would be taken as lost with a window of wnd_us; not above 0: now. */
int64_t tcp_rack_left_us(const struct shard *sh, const struct tcb *t, const struct pkt_meta *pm,
                         uint32_t wnd_us);

/* The list of what was sent again. tcp_rack_list puts u at its end, wherever it was before. */
void tcp_rack_list(struct tcb *t, struct rte_mbuf *u);
void tcp_rack_unlist(struct tcb *t, struct rte_mbuf *u);
/* Puts q, the second half of u, behind it. */
void tcp_rack_list_after(struct tcb *t, struct rte_mbuf *u, struct rte_mbuf *q);

#endif
