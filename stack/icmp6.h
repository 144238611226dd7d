/* icmp6.h: ICMPv6 (RFC 4443). Errors on behalf of transports: icmp_send_error of ip.h, which comes here for
 * IPv6 packets. Messages of neighbour discovery go on to nd.c.
 */
#ifndef SHUNT_ICMP6_H
#define SHUNT_ICMP6_H

#include "ip.h"

/* A message for this stack, m at the ICMPv6 header. Verdict and ownership as eth_input. */
enum ip_verdict icmp6_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                            struct icmp_error *err);
/* Sends an error about m (as the transport got it; not freed). rest: bytes 4 to 7, host order.
 * even_multicast: also when m came by multicast (RFC 4443 section 2.4 (e.3): packet too big, and unknown
 * options that ask for it). Rate-limited. */
void icmp6_send(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type, uint8_t code,
                uint32_t rest, bool even_multicast);
/* icmp_send_error for an IPv6 packet: type and code are ICMP's. */
void icmp6_send_like(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                     uint8_t code);
/* Writes the checksum into m, an ICMPv6 message from src to dst, from its header on. */
void icmp6_checksum(struct rte_mbuf *m, const struct ipaddr *src, const struct ipaddr *dst);

#endif
