/* icmp.h: ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2); icmp_send_error is in ip.h.
 *
 * Redirects are believed of the gateway in use alone (accept_redirects, as a Linux host). Differs: source
 * quench is ignored as RFC 6633 asks; timestamp and address mask requests are not answered (RFC 1122
 * section 3.2.2.8 MAY; RFC 6918).
 */
#ifndef SHUNT_ICMP_H
#define SHUNT_ICMP_H

#include "ip.h"

#define ICMP_ERROR_MAX 576 /* bytes of an error message with its IP header (RFC 1812 section 4.3.2.3) */
#define ICMP_BURST     50  /* errors that may leave at once (Linux: icmp_msgs_burst) */

/* A message for this stack, m at the ICMP header. Verdict and ownership as eth_input (never IP_TRANSPORT). */
enum ip_verdict icmp_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                           struct icmp_error *err);

/* One token an error, of ICMP or ICMPv6 (set.icmp_ratelimit). False: not now. */
bool icmp_take_token(struct shard *sh);

/* A message about m (at the transport header, its l3_len bytes of IP headers before it), of ICMP or ICMPv6,
 * whose first 8 bytes are alike (RFC 792, RFC 4443 section 2.1): they, then the first head bytes of the IP
 * headers and quote of the rest. No checksum. NULL: no buffer. */
struct rte_mbuf *icmp_about(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                            uint8_t code, uint32_t rest, uint32_t head, uint32_t quote);

/* icmp_send_error with what the type puts in bytes 4 to 7 (host order). */
void icmp_send(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type, uint8_t code,
               uint32_t rest);

#endif
