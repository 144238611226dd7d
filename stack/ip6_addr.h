/* ip6_addr.h: IPv6 addresses as a host has them: link-local ones made of a MAC, solicited-node groups,
 * scopes, and which of its addresses it sends from (RFC 6724).
 */
#ifndef SHUNT_IP6_ADDR_H
#define SHUNT_IP6_ADDR_H

#include "ip.h"

#define IP6_LOOPBACK ((struct ipaddr){.w = {0, 0, 0, htonl(1)}})

/* fe80::/64 with the modified EUI-64 of mac (RFC 4291 appendix A) and the zone of interface ifindex. */
struct ipaddr ip6_linklocal(const uint8_t mac[6], unsigned ifindex);
/* The interface identifier alone, into the lower half of a. */
void ip6_set_eui64(struct ipaddr *a, const uint8_t mac[6]);
/* ff02::1:ffXX:XXXX of a (RFC 4291 section 2.7.1), with the zone of interface ifindex. */
struct ipaddr ip6_solicited_node(const struct ipaddr *a, unsigned ifindex);
/* ff02::1 or ff02::2 and their like: group number n of link-local scope, with the zone of interface ifindex.
 */
struct ipaddr ip6_group(uint8_t n, unsigned ifindex);
/* The scope of any address, as multicast has it (RFC 4007 section 4): 1 interface, 2 link, 5 site, 14 global.
 */
unsigned ip6_scope(const struct ipaddr *a);
/* The source address for dst by interface ifindex (RFC 6724 section 5): one of that interface when dst is
 * link-local or multicast, of any interface else. NULL: none will do. now_ms: the shard's clock. */
const struct ifaddr *ip6_source(const struct stack *st, unsigned ifindex, const struct ipaddr *dst,
                                uint64_t now_ms);

#endif
