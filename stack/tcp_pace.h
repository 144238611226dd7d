/* tcp_pace.h: pacing: data leaves at a rate instead of in bursts, for algorithms that ask for it (BBR) and
 * for sockets with SO_MAX_PACING_RATE.
 *
 * Theory of operation. TF_PACED is set on such connections, and stays (as Linux's SK_PACING_NEEDED). Each
 * packet of data moves tcp_pace.next_ns on by its length over the rate; before that time nothing may leave.
 * Timers have milliseconds (timer.h), which does not make the rate coarse: who sends late may be late by up
 * to PACE_CREDIT_NS and catches up, so that the average is the rate, and what a timer lets out at once is at
 * most what the rate carries in two milliseconds; in between, each ACK is an occasion to go on too. At 10
 * Mbit/s that is two packets, at 1 Gbit/s 250 kB in the worst case; Linux's bursts are as long as a
 * millisecond at the pacing rate for their own reasons (tcp_tso_autosize), so that receivers' and
 * bottlenecks' buffers meet nothing new. Connections that are not paced do not come here: they test a flag.
 */
#ifndef SHUNT_TCP_PACE_H
#define SHUNT_TCP_PACE_H

#include "tcp_cb.h"

#define PACE_CREDIT_NS 1000000u
#define PACE_UNLIMITED UINT64_MAX

/* Of a paced connection: tcp_ext.pace. */
struct tcp_pace {
    uint64_t rate;     /* bytes/s, set by the algorithm; 0: it does not (cwnd and RTT say) */
    uint64_t max_rate; /* SO_MAX_PACING_RATE, bytes/s; PACE_UNLIMITED */
    uint64_t next_ns;  /* nothing leaves before */
    uint64_t cc[28];   /* the algorithm's own state, where cc_priv is too small */
};

/* t's, made when there is none. NULL: out of memory. */
struct tcp_pace *tcp_pace_get(struct shard *sh, struct tcb *t);
void tcp_pace_free(struct shard *sh, struct tcb *t);
/* SO_MAX_PACING_RATE, bytes/s. 0 or -ENOMEM. */
int tcp_pace_set_max(struct shard *sh, struct tcb *t, uint64_t rate);
uint64_t tcp_pace_max(const struct tcb *t);
/* The rate by which t is, or would be, paced (Linux: sk_pacing_rate): the algorithm's, or 200 % of cwnd per
 * RTT in the first half of slow start, else 120 %. PACE_UNLIMITED when nothing is known. */
uint64_t tcp_pace_rate(const struct tcb *t);
/* TF_PACED: must data wait? Then the deadline is set. */
bool tcp_pace_blocked(struct shard *sh, struct tcb *t);
/* TF_PACED: len bytes of data leave. */
void tcp_pace_sent(struct shard *sh, struct tcb *t, uint32_t len);

#endif
