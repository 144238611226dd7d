/* tcp_close.h: how connections end: CLOSE and ABORT calls, resets, time-outs, orphans. */
#ifndef SHUNT_TCP_CLOSE_H
#define SHUNT_TCP_CLOSE_H

#include "tcp_cb.h"

/* The connection is over, in good order: CLOSED, off the tables; freed when no socket holds it. The receive
 * queue stays readable. */
void tcp_done(struct shard *sh, struct tcb *t);
/* The same with an error for the user (0: none). The send queue is dropped. */
void tcp_end(struct shard *sh, struct tcb *t, int err);
/* The peer's reset is valid (RFC 9293 section 3.10.7.4, second check). */
void tcp_peer_reset(struct shard *sh, struct tcb *t);
/* RST to the peer where there is one; t itself is not touched further. */
void tcp_abort_quietly(struct shard *sh, struct tcb *t);
/* FIN_WAIT_2 was entered: an orphan doesn't stay in it for ever. True: t is gone (an entry of tcp_tw.h took
 * its place). more: the segment that did it has text or a FIN to be looked at. */
bool tcp_fin_wait_2(struct shard *sh, struct tcb *t, bool more);
/* Makes a TCPS_CLOSE tcb as new, options and binding aside. */
void tcp_reset_state(struct shard *sh, struct tcb *t);

#endif
