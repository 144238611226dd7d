/* rtnl.h: NETLINK_ROUTE (man 7 rtnetlink) on the stack's own interfaces, addresses, routes, rules and
 * neighbours: the table of handlers and what they share. One file a kind of object: rtnl_link.c, rtnl_addr.c,
 * rtnl_route.c, rtnl_rule.c, rtnl_neigh.c.
 *
 * Interfaces have the numbers by which programs know them (stack_if_shown). In profile default loopback is
 * the host's, and not there.
 *
 * What the stack cannot do is refused with EOPNOTSUPP and a line that says what (extended acknowledgement).
 */
#ifndef SHUNT_RTNL_H
#define SHUNT_RTNL_H

#include <linux/rtnetlink.h>

#include "netlink.h"

extern const struct nl_protocol rtnl_protocol;

/* The first interface that programs see. */
static inline unsigned rtnl_first_if(const struct stack *st)
{
    return st->isolate ? 0 : 1;
}

/* The index inside of interface number `shown`; -1: there is none that programs see. */
int rtnl_if(const struct stack *st, int shown);
/* The same by name. */
int rtnl_if_by_name(const struct stack *st, const char *name);

/* The family header of rq's message, size bytes; NULL: the message is shorter. */
const void *rtnl_header(const struct nl_req *rq, uint32_t size);
/* The attributes behind a family header of hdr bytes: nla_parse's results. */
int rtnl_attrs(struct nl_req *rq, uint32_t hdr, const struct nlattr *tb[], unsigned max,
               const struct nla_policy *policy, bool strict);

/* An address of the family in `a`, zone 0. -EINVAL: not as long as the family's. */
int rtnl_addr_get(const struct nlattr *a, int family, struct ipaddr *out);
/* Puts an address as its family has it. */
void rtnl_addr_put(struct nl_out *o, uint16_t type, const struct ipaddr *a);

/* Messages about one object, with the type, flags, seq and pid of `as`. False: no room. */
bool rtnl_link_put(const struct stack *st, struct nl_out *o, const struct ifnet *ifn,
                   const struct nlmsghdr *as, uint32_t change);
bool rtnl_addr_put_msg(const struct shard *sh, struct nl_out *o, const struct ifnet *ifn,
                       const struct ifaddr *a, const struct nlmsghdr *as);

/* Interface ifindex goes up or down, or has another MTU (bytes): -EINVAL for one that it cannot have. For
 * rtnetlink and for the ioctls that ask the same. */
int rtnl_link_up(struct shard *sh, unsigned ifindex, bool up);
int rtnl_link_mtu(struct shard *sh, unsigned ifindex, uint32_t mtu);
/* Its IFF_* of `change` become those of flags, as far as they can be set; what can't is passed over, as in
 * Linux
 * (__dev_change_flags). */
int rtnl_link_flags(struct shard *sh, unsigned ifindex, unsigned flags, unsigned change);
/* Another name, 15 bytes at most. -EINVAL: no name; -EEXIST. */
int rtnl_link_rename(struct shard *sh, unsigned ifindex, const char *name);

/* What is listened to (stack.listened), after somebody joined or left a group. */
void rtnl_members_changed(struct shard *sh);
/* Tells the members of the groups what changed since last told, by the request seq of portid, or of itself
 * (0, 0). To be called where stack.listened is not 0. */
void rtnl_tell(struct shard *sh, uint32_t portid, uint32_t seq);
int rtnl_told_init(struct shard *sh); /* 0, -ENOMEM */

/* --- the handlers (struct nl_handler) --- */
int rtnl_link_get(struct nl_req *rq);
int rtnl_link_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_link_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);
int rtnl_addr_one(struct nl_req *rq);
int rtnl_addr_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_addr_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);
int rtnl_addr_new(struct nl_req *rq);
int rtnl_addr_del(struct nl_req *rq);
int rtnl_link_set(struct nl_req *rq);
int rtnl_route_new(struct nl_req *rq);
int rtnl_route_del(struct nl_req *rq);
int rtnl_route_get(struct nl_req *rq);
int rtnl_route_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_route_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);
int rtnl_neigh_get(struct nl_req *rq);
int rtnl_neigh_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_neigh_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);
int rtnl_neigh_new(struct nl_req *rq);
int rtnl_neigh_del(struct nl_req *rq);
int rtnl_neightbl_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_neightbl_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);
int rtnl_rule_new(struct nl_req *rq);
int rtnl_rule_del(struct nl_req *rq);
int rtnl_rule_dump_start(struct nl_req *rq, struct nl_dump *d);
int rtnl_rule_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o);

#endif
