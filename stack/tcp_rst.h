/* tcp_rst.h: segments that no tcb sends: resets, and the handshake's and TIME_WAIT's own. */
#ifndef SHUNT_TCP_RST_H
#define SHUNT_TCP_RST_H

#include "tcp_input.h"

struct tcp_md5_key;

/* Sends a segment without payload, signed with k (tcp_md5.h) unless that is NULL. fl: resolved when need be;
 * h: ports, numbers, flags, window (hlen is set here). 0 or -errno. */
int tcp_bare_send(struct shard *sh, struct flow *fl, struct tcp_hdr_in *h, const struct tcp_opts *o,
                  const struct tcp_md5_key *k);
/* The way back to where a segment came from. */
struct flow tcp_reply_flow(const struct tcp_seg *s);
/* A reset in answer to a segment that is not for us (RFC 9293 section 3.10.7.1); nothing when it is a reset
 * itself. */
void tcp_reset_segment(struct shard *sh, const struct tcp_seg *s);
/* CLOSED state. */
enum count tcp_closed_input(struct shard *sh, struct tcp_seg *s);

#endif
