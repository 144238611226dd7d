/* ip6.h: IPv6 (RFC 8200); ip6_input is in ip.h, choosing the way (flow_resolve) in flow.c.
 */
#ifndef SHUNT_IP6_H
#define SHUNT_IP6_H

#include "ip.h"

/* The IPv6 half of ip_output: fl is resolved. Contract as ip_output. */
int ip6_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m);
/* Does the stack listen to a multicast group on this interface? All-nodes and the solicited-node groups of
 * its addresses, always. group has its zone. */
bool ip6_joined(const struct stack *st, unsigned ifindex, const struct ipaddr *group);
/* The flow label for a packet of fl that starts at its transport header in m: the socket's, else a hash that
 * is the same for all packets of a flow (RFC 6437), else 0. Network order, 20 bits. */
uint32_t ip6_label_be(const struct shard *sh, const struct flow *fl, const struct rte_mbuf *m);

/* --- ip4.c's, for both families --- */
/* The transport's checksum must be in the packet before it is cut: no port can compute it over pieces. m
 * starts at the transport header. False: m is too short to have one. */
bool ip_finish_l4_cksum(const struct flow *fl, struct rte_mbuf *m);
/* ip_output's rest for IPv4 with options (ip_ext.h): m starts with opts_len bytes of them, the transport's
 * checksum behind them is done. */
int ip4_output_opts(struct shard *sh, struct flow *fl, struct rte_mbuf *m, uint32_t opts_len);
/* Makes the transport header of m contiguous for who reads it. False: it can't be. */
bool ip_pull_l4(struct rte_mbuf *m, uint8_t proto);
/* True if the transport's checksum was verified, or need not be. */
bool ip_l4_is_good(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m);

#endif
