/* rtnl_view.h: routes as rtnetlink tells of them: those of the table (route.h), and those of table local,
 * which this stack has as addresses alone and makes up when asked, as Linux would have them.
 */
#ifndef SHUNT_RTNL_VIEW_H
#define SHUNT_RTNL_VIEW_H

#include "route.h"
#include "rtnl.h"

struct route_view {
    struct route r;
    struct route_extra extra;
    uint8_t type, scope; /* RTN_*, RT_SCOPE_* */
    uint32_t table;      /* RT_TABLE_* */
    uint32_t slot;       /* which: a number below route_views() */
    uint64_t expires_ms; /* shard's clock; 0: never */
};

/* How many slots there are; each holds a route or nothing, and keeps its number while it is there. */
uint32_t route_views(const struct stack *st);
/* Slot i. False: nothing is there, or nothing that programs see. */
bool route_view(const struct shard *sh, uint32_t i, struct route_view *v);
/* The same for a route of the table, which may be gone from there. e: NULL: it has none. */
bool route_view_of(const struct shard *sh, const struct route *r, const struct route_extra *e,
                   struct route_view *v);
/* A view's place in a listing. */
struct route_place {
    struct ipaddr net;
    uint32_t table, metric, slot;
    uint8_t plen;
};

static inline struct route_place route_place_of(const struct route_view *v)
{
    return (struct route_place){v->r.net, v->table, v->r.metric, v->slot, v->r.plen};
}

/* Is a before b in a listing? Linux's order: by family, table, then IPv4 by prefix, IPv6 longer prefixes
 * before those that cover them. */
bool route_place_before(const struct route_place *a, const struct route_place *b);

#endif
