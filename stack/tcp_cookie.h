/* tcp_cookie.h: SYN cookies (Bernstein 1996), laid out as Linux's.
 *
 * Theory of operation. When a listener has no room for another half-open connection, the request goes into
 * the SYN,ACK itself: its sequence number says, under the stack's secret, for which end points, which SYN,
 * which minute and which of four MSS values it was made; the low six bits of its timestamp say what the SYN
 * offered (window scale, SACK, ECN). The handshake's last ACK brings both back, and a connection is made from
 * them alone. A cookie is good for two minutes, and only for a listener that sent some in the last two: at
 * any other time an ACK to a listener costs no hash.
 *
 *     seq = hash(points, 0) + SEG.SEQ + (minute << 24) + ((hash(points, minute) + mss index) mod 2^24)
 *
 * An attacker has to guess 24 - 2 bits for each connection; the flood itself takes no memory.
 */
#ifndef SHUNT_TCP_COOKIE_H
#define SHUNT_TCP_COOKIE_H

#include "tcp_cb.h"

#define TCP_COOKIE_VALID_MS 120000u /* since the listener last sent one */

/* The SYN,ACK's sequence number. irs: the SYN's; *mss: the peer's MSS, lowered to one that can be told. */
uint32_t tcp_cookie_make(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                         uint32_t irs, uint16_t *mss);
/* The MSS of a cookie that came back, 0: it is none of ours, or too old. irs: SEG.SEQ - 1 of the ACK. */
uint16_t tcp_cookie_check(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                          uint32_t irs, uint32_t cookie);

/* What the timestamp carries. */
struct tcp_cookie_opts {
    bool wscale_ok, sack, ecn;
    uint8_t wscale; /* the peer's */
};
/* The latest millisecond not after now that says o; ts_off is yet to be added. */
uint32_t tcp_cookie_ts(uint32_t now_ms, const struct tcp_cookie_opts *o);
/* ts: the echoed timestamp less ts_off. False: it asks for what this stack doesn't offer, so that it is
 * forged. */
bool tcp_cookie_ts_read(const struct tunables *set, uint32_t ts, struct tcp_cookie_opts *o);

#endif
