/* nd.h: neighbour discovery for IPv6 (RFC 4861) and duplicate address detection (RFC 4862 section 5.4). The
 * states of a neighbour are neigh.c's, for both families; routers are ra.c's.
 */
#ifndef SHUNT_ND_H
#define SHUNT_ND_H

#include "neigh.h"

/* Differs: RFC 4862 waits RETRANS_TIMER, a second, for an objection. Those who object do so at once, and no
 * program waits a second for its start (as arp.h has it for IPv4). */
#define ND_DAD_INTERVAL_MS 100

/* A message of neighbour discovery, m at the ICMPv6 header, checksum verified. Takes ownership. */
void nd_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri);
/* Asks who has n's address: its solicited-node group, or n itself when unicast. Counted as sent even if no
 * packet buffer was free. */
void nd_solicit(struct shard *sh, const struct neigh *n, bool unicast);
/* Probes every tentative IPv6 address from now on; to be called again when one was added. */
void nd_dad_start(struct shard *sh);
/* TIMER_ND fired. */
void nd_timer(struct shard *sh, struct timer *t);
/* Gives every link that carries IPv6 (MTU of 1280 or more, disable_ipv6 off) its link-local address,
 * tentative where there are link addresses and dad_transmits is not 0. 0 or -errno of stack_add_addr. */
int nd_add_linklocals(struct stack *st);

/* Counts a message by its type; first: COUNT_ICMP6_IN_DESTUNREACHS or ..._OUT_... */
void icmp6_count_type(struct shard *sh, enum count first, uint8_t type);

#endif
