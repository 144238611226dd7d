/* rtnl_neigh.h: what rtnl_neigh.c gives to others than the table of handlers. */
#ifndef SHUNT_RTNL_NEIGH_H
#define SHUNT_RTNL_NEIGH_H

#include "neigh.h"
#include "rtnl.h"

/* The neighbour as a message with this type, flags, seq and pid; of n its lists and timers are not looked at.
 * False: no room. */
bool rtnl_neigh_put(const struct shard *sh, struct nl_out *o, const struct neigh *n,
                    const struct nlmsghdr *as);

#endif
