/* tcp_isn.h: numbers an attacker off the path must not guess: initial sequence numbers and timestamp offsets.
 */
#ifndef SHUNT_TCP_ISN_H
#define SHUNT_TCP_ISN_H

#include "stack.h"

/* ISN of RFC 6528: M + F(local, remote, secret), M ticking every 4 us (RFC 9293 section 3.4.1). */
uint32_t tcp_isn(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* Offset of our timestamps to this peer, the same for all its ports, so that RFC 6191's comparison works (RFC
 * 7323 section 5.4). */
uint32_t tcp_ts_offset(const struct shard *sh, const struct ipaddr *local, const struct ipaddr *remote);

#endif
