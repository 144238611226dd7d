/* ra.h: what a host believes routers (RFC 4861 section 6.3, RFC 4862 section 5.5): default routers, prefixes
 * on the link, addresses made of them, hop limit and MTU.
 *
 * Whom we believe. Nobody on a link where the user gave the stack an IPv6 address (accept_ra 1): any host on
 * a link can call itself a router, and a stack that was told all needs none. Where it has but its link-local
 * address, routers are asked and heard, as on a Linux host.
 */
#ifndef SHUNT_RA_H
#define SHUNT_RA_H

#include "neigh.h"

struct nd_opts;

#define RA_RS_NUM         3 /* RFC 4861 section 10 */
#define RA_RS_INTERVAL_MS 4000
#define RA_TICK_MS        3600000 /* at the latest the lifetimes are looked at again */

/* A checked router advertisement: msg at its ICMPv6 header, o: its options. False: malformed. */
bool ra_input(struct shard *sh, unsigned ifindex, const struct rxinfo *ri, const uint8_t *msg,
              const struct nd_opts *o);
/* A redirect: false: malformed, or from who is not the router in use (RFC 4861 section 8.1). */
bool ra_redirect(struct shard *sh, unsigned ifindex, const struct rxinfo *ri, const uint8_t *msg,
                 const struct nd_opts *o);
/* True if advertisements are believed on interface ifindex. */
bool ra_accepts(const struct stack *st, unsigned ifindex);
/* Takes away what is over, and says on which interface a solicitation is due (0: on none). *next_ms: when to
 * be called again, UINT64_MAX: no need. */
unsigned ra_step(struct shard *sh, uint64_t *next_ms);

#endif
