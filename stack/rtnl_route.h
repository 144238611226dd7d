/* rtnl_route.h: what the files of rtnl_route*.c share. */
#ifndef SHUNT_RTNL_ROUTE_H
#define SHUNT_RTNL_ROUTE_H

#include "rtnl_view.h"

/* The route as a message with this type, flags, seq and pid. False: no room. */
bool rtnl_route_put(const struct shard *sh, struct nl_out *o, const struct route_view *v,
                    const struct nlmsghdr *as);

#endif
