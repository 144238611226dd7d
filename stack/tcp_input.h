/* tcp_input.h: segment arrives (RFC 9293 section 3.10.7), as steps.
 *
 * Each step looks at one thing, in the RFC's order, and returns a verdict: COUNT_OK, go on; TCP_DONE, the
 * segment is dealt with; any other enum count, it is dropped for that reason. tcp_input alone counts and
 * frees. A step that keeps the packet sets seg->m to NULL.
 */
#ifndef SHUNT_TCP_INPUT_H
#define SHUNT_TCP_INPUT_H

#include "tcp_cb.h"

#define TCP_DONE ((enum count)COUNT_MAX)

/* A received segment. Host order. */
struct tcp_seg {
    struct rte_mbuf *m; /* from the TCP header on; NULL once a queue has it */
    const struct rxinfo *ri;
    struct tcp_hdr_in h; /* SEG.SEQ, SEG.ACK, SEG.WND (not scaled), flags */
    const uint8_t *opts; /* the options' bytes */
    uint32_t len;        /* payload */
    uint32_t skip;       /* bytes of it cut off in front: had already */
    uint32_t isn;        /* of our SYN,ACK where TIME_WAIT went before (RFC 6191), else 0 */
    uint32_t end;        /* SEG.SEQ + SEG.LEN, SYN and FIN counted */
    struct endpoint local, remote;
    struct tcp_opts o; /* set by tcp_seg_opts */
};

/* Parses the options into s->o. */
void tcp_seg_opts(struct tcp_seg *s);
/* True if t's filter (SO_ATTACH_FILTER), when it has one, lets the segment through; payload that it cuts off
 * is gone then. */
bool tcp_filter_run(struct shard *sh, const struct tcb *t, struct tcp_seg *s);
static inline bool tcp_filter_ok(struct shard *sh, const struct tcb *t, struct tcp_seg *s)
{
    return __builtin_expect(t->pcb.filter == 0, 1) || tcp_filter_run(sh, t, s);
}
/* A segment for a connection, in any state but LISTEN and TIME_WAIT. */
enum count tcp_segment_arrives(struct shard *sh, struct tcb *t, struct tcp_seg *s);

/* tcp_fast.c: the same steps merged, for the next expected segment of an undisturbed connection. COUNT_OK:
 * not such a segment, nothing was done. */
enum count tcp_fast_path(struct shard *sh, struct tcb *t, struct tcp_seg *s);
/* For tests: takes the fast path out. */
extern bool tcp_fast_off;

/* tcp_open.c: SYN_SENT (section 3.10.7.3). */
enum count tcp_syn_sent_input(struct shard *sh, struct tcb *t, struct tcp_seg *s);
/* The connection becomes ESTABLISHED: timers, windows, events. s: the segment that did it. */
void tcp_established(struct shard *sh, struct tcb *t, const struct tcp_seg *s);

/* tcp_listen.c: LISTEN (section 3.10.7.2). */
enum count tcp_listen_input(struct shard *sh, struct tcb *listener, struct tcp_seg *s);

/* tcp_ack.c: fifth, check the ACK field. */
enum count tcp_step_ack(struct shard *sh, struct tcb *t, struct tcp_seg *s);
/* Acknowledged data leaves the queue, RTT, cwnd, timers; for an acceptable ACK. len: the segment's payload;
 * wnd_changed: it changed snd_wnd. */
void tcp_take_ack(struct shard *sh, struct tcb *t, const struct tcp_seg *s, bool wnd_changed);
/* Send buffer auto-tuning (Linux's function of this name): room for two windows. */
void tcp_sndbuf_expand(struct shard *sh, struct tcb *t);
/* RFC 9293's window update rule. True when snd_wnd changed. */
bool tcp_take_window(struct tcb *t, const struct tcp_seg *s);

/* tcp_text.c: seventh, process the segment text; eighth, check the FIN bit. */
enum count tcp_step_text(struct shard *sh, struct tcb *t, struct tcp_seg *s);
enum count tcp_step_fin(struct shard *sh, struct tcb *t, struct tcp_seg *s);
/* Queues the segment's text, which starts at rcv_nxt and is wholly in the window; decides about the ACK.
 * COUNT_OK or a reason to drop. */
enum count tcp_take_text(struct shard *sh, struct tcb *t, struct tcp_seg *s);
/* RFC 7323 section 4.3: TS.Recent. */
void tcp_take_ts(struct shard *sh, struct tcb *t, const struct tcp_seg *s);

/* Is an answer to s, which has no place, too early after the one at *last_ms (0: none; set when not)? Keeps
 * two ends that disagree from answering each other for ever (Linux: tcp_oow_rate_limited). Text is always
 * answered. Counts skip when so. */
bool tcp_oow_limited(struct shard *sh, const struct tcp_seg *s, uint32_t *last_ms, enum count skip);
/* An ACK in answer to something suspicious, limited in rate (RFC 5961 section 7). */
void tcp_challenge_ack(struct shard *sh, struct tcb *t);

/* An ACK is due, but may wait for data to go with: the delayed-ACK timer. */
void tcp_owe_ack(struct shard *sh, struct tcb *t);

#endif
