/* tcp_cc.h: congestion control: the interface, the table of algorithms, and what they share.
 *
 * cubic and reno keep their state in tcp_tx.cc_priv, which long idle times void; one that needs more has it
 * in tcp_pace.cc (tcp_pace.h).
 *
 * A tcb holds an index into tcp_cc_table (no function pointer may live in the segment); an algorithm keeps
 * its state in tcp_tx.cc_priv. All windows are in bytes. Loss detection and recovery are not an algorithm's
 * business (tcp_recover.h).
 */
#ifndef SHUNT_TCP_CC_H
#define SHUNT_TCP_CC_H

#include <linux/inet_diag.h> /* union tcp_cc_info */

#include "tcp_tx.h"
#include "tcp_rate.h"

struct tcp_cc {
    const char *name; /* as TCP_CONGESTION shows it */
    bool keeps;       /* its state must outlast idle times: tcb.tx stays (tcp_tx.h) */
    bool needs_ecn;   /* asks for ECN, and to be told of each mark (tcp_ecn.h) */
    void (*init)(struct shard *sh, struct tcb *t);
    /* cwnd was not reached by congestion so far and acked bytes were acknowledged: grow (slow start is the
     * caller's). */
    void (*avoid)(struct shard *sh, struct tcb *t, uint32_t acked);
    /* Congestion: the new ssthresh (at least 2 segments). */
    uint32_t (*ssthresh)(struct shard *sh, struct tcb *t);
    /* The hooks below may be NULL. */
    /* Slow start: how much of acked bytes cwnd may grow by. */
    uint32_t (*slow_start)(struct tcb *t, uint32_t acked);
    /* Data is about to be sent after nothing was in flight for idle_ms. */
    void (*restart)(struct shard *sh, struct tcb *t, uint32_t idle_ms);
    /* An ACK that is news (data acknowledged or SACKed, or losses marked) was worked through: rs says what it
     * brought. Before cwnd changes; for RTT samples, ECN, delivery rates. */
    void (*on_ack)(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs);
    /* The algorithm sets cwnd itself after each such ACK, in all congestion states: neither slow start and
     * avoid, nor the reduction by PRR in recovery are done then. ssthresh is asked all the same. */
    void (*cong_control)(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs);
    /* The reduction was a mistake: the cwnd to go back to. NULL: the larger of cwnd and tcp_tx.prior_cwnd. */
    uint32_t (*undo_cwnd)(struct shard *sh, struct tcb *t);
    /* TCP_CC_INFO: fills in its member, returns its length (linux/inet_diag.h). */
    uint32_t (*get_info)(const struct tcb *t, union tcp_cc_info *info);
    /* tcb.ca_state is about to become state (enum tcp_ca); CA_LOSS: a timeout. */
    void (*set_state)(struct shard *sh, struct tcb *t, uint8_t state);
};

#define TCP_CC_COUNT 5
extern const struct tcp_cc
    *const tcp_cc_table[TCP_CC_COUNT]; /* order of the tunable tcp_congestion_control */
extern const struct tcp_cc tcp_cc_cubic, tcp_cc_reno, tcp_cc_bbr, tcp_cc_dctcp;
/* DCTCP without ECN: Reno by another name, as on Linux; cannot be asked for. */
extern const struct tcp_cc tcp_cc_dctcp_reno;
enum { TCP_CC_CUBIC, TCP_CC_RENO, TCP_CC_BBR, TCP_CC_DCTCP, TCP_CC_DCTCP_RENO };

/* Initial window and the algorithm's state; when the handshake is through. */
void tcp_cc_start(struct shard *sh, struct tcb *t);
/* Changes the algorithm, in any state; a connection goes on with its cwnd. 0 or -ENOBUFS. */
int tcp_cc_set(struct shard *sh, struct tcb *t, uint8_t cc);
/* The algorithm's state is not needed any more. */
void tcp_cc_release(struct tcb *t);
/* bytes were newly acknowledged outside of fast recovery. */
void tcp_cc_acked(struct shard *sh, struct tcb *t, uint32_t acked, uint32_t prior_flight);
/* Hands rs to the algorithm's on_ack and cong_control. */
static inline void tcp_cc_news(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];

    if (cc->on_ack)
        cc->on_ack(sh, t, rs);
    if (cc->cong_control)
        cc->cong_control(sh, t, rs);
}

/* Index by name, or -1. len: of the name, without its end. */
int tcp_cc_find(const char *name, size_t len);

#endif
