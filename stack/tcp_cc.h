/* tcp_cc.h: congestion control: the interface, the table of algorithms, and what they share.
 *
 * A tcb holds an index into tcp_cc_table (no function pointer may live in the segment); an algorithm keeps
 * its state in tcb.cc_priv. All windows are in bytes. Loss detection and recovery are not an algorithm's
 * business (tcp_recover.h).
 */
#ifndef SHUNT_TCP_CC_H
#define SHUNT_TCP_CC_H

#include "tcp_cb.h"

struct tcp_cc {
    const char *name; /* as TCP_CONGESTION shows it */
    void (*init)(struct shard *sh, struct tcb *t);
    /* cwnd was not reached by congestion so far and acked bytes were acknowledged: grow (slow start is the
     * caller's). */
    void (*avoid)(struct shard *sh, struct tcb *t, uint32_t acked);
    /* Congestion: the new ssthresh (at least 2 segments). */
    uint32_t (*ssthresh)(struct shard *sh, struct tcb *t);
};

#define TCP_CC_COUNT 2
extern const struct tcp_cc
    *const tcp_cc_table[TCP_CC_COUNT]; /* order of the tunable tcp_congestion_control */
extern const struct tcp_cc tcp_cc_cubic, tcp_cc_reno;

/* Initial window and the algorithm's state; when the handshake is through. */
void tcp_cc_start(struct shard *sh, struct tcb *t);
/* bytes were newly acknowledged outside of fast recovery. */
void tcp_cc_acked(struct shard *sh, struct tcb *t, uint32_t acked, uint32_t prior_flight);
/* Index by name, or -1. len: of the name, without its end. */
int tcp_cc_find(const char *name, size_t len);

#endif
