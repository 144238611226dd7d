/* rtnl_view.c: routes as rtnetlink tells of them (rtnl_view.h). */
#include "rtnl_view.h"

#include "ifnet.h"
#include "neigh.h"
#include "wire_ip6.h"

/* What an address has in table local: itself, its net (of loopback), its broadcast; and of the interface's
 * first one the groups of IPv6. */
enum { OWN, NET, BROADCAST, GROUPS, KINDS };

#define DERIVED_FROM ROUTE_MAX /* slots below: the table's */

uint32_t route_views(const struct stack *st)
{
    return DERIVED_FROM + st->nif * IFADDR_MAX * KINDS;
}

static uint8_t type_of(const struct route *r)
{
    static const uint8_t types[] = {[ROUTE_UNICAST] = RTN_UNICAST,
                                    [ROUTE_UNREACHABLE] = RTN_UNREACHABLE,
                                    [ROUTE_BLACKHOLE] = RTN_BLACKHOLE,
                                    [ROUTE_PROHIBIT] = RTN_PROHIBIT};

    return types[r->kind];
}

/* The address of interface ifn that made the route to net, the first of that prefix; any: none. */
static struct ipaddr maker(const struct ifnet *ifn, const struct ipaddr *net, unsigned plen)
{
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *a = &ifn->addr[i];

        if (ipaddr_is_v4(&a->addr) == ipaddr_is_v4(net) && ipaddr_plen128(&a->addr, a->prefix_len) == plen &&
            ipaddr_prefix_eq(&a->addr, net, plen))
            return a->addr;
    }
    return IPADDR_ANY;
}

/* When a router's word for r ends. */
static uint64_t expiry(const struct stack *st, const struct route *r)
{
    const struct nd_state *s = &st->neigh->nd;

    for (unsigned i = 0; i < RA_ROUTES; i++)
        if (s->route[i].used && s->route[i].plen == r->plen && s->route[i].ifindex == r->ifindex &&
            ipaddr_eq(&s->route[i].net, &r->net) && ipaddr_eq(&s->route[i].via, &r->via))
            return s->route[i].expires_ms;
    return 0;
}

bool route_view_of(const struct shard *sh, const struct route *r, const struct route_extra *e,
                   struct route_view *v)
{
    const struct stack *st = sh->st;
    bool v4 = ipaddr_is_v4(&r->net), direct = ipaddr_is_any(&r->via);
    bool kernels = r->proto == ROUTE_BY_KERNEL && direct && r->kind == ROUTE_UNICAST;

    /* What these addresses make is in table local alone (fib_add_ifaddr). */
    if (kernels && (r->ifindex == IFNET_LOOPBACK || (v4 && r->plen == 128)))
        return false;
    *v = (struct route_view){.r = *r, .type = type_of(r), .table = r->table};
    if (e)
        v->extra = *e;
    if (v4 && direct && r->kind == ROUTE_UNICAST)
        v->scope = RT_SCOPE_LINK;
    if (kernels && v4 && ipaddr_is_any(&v->extra.src))
        v->extra.src = maker(&st->ifn[r->ifindex], &r->net, r->plen);
    if (!v4)
        v->expires_ms = expiry(st, r);
    return true;
}

/* A later address of a prefix that another one has already: the first is the source of what both have. */
static bool derive(const struct ifnet *ifn, const struct ifaddr *a, unsigned kind, struct route_view *v)
{
    bool v4 = ipaddr_is_v4(&a->addr), lo = ifn->caps & NETDEV_LOOPBACK;
    unsigned plen = ipaddr_plen128(&a->addr, a->prefix_len);
    struct ipaddr first = maker(ifn, &a->addr, plen);
    bool secondary = !ipaddr_eq(&first, &a->addr);

    v->r.net = a->addr;
    v->r.plen = 128;
    if (v4)
        v->extra.src = first;
    switch (kind) {
    case OWN:
        v->type = RTN_LOCAL;
        v->scope = v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
        return true;
    case NET:
        if (!v4 || !lo || a->prefix_len >= 32 || secondary)
            return false;
        v->type = RTN_LOCAL;
        v->scope = RT_SCOPE_HOST;
        v->r.plen = (uint8_t)plen;
        v->r.net.w[3] &= a->prefix_len ? htonl(~0u << (32 - a->prefix_len)) : 0;
        return true;
    case BROADCAST:
        v->type = RTN_BROADCAST;
        v->scope = RT_SCOPE_LINK;
        v->r.net = ipaddr_v4(ifaddr_broadcast(a));
        return v4 && ifaddr_broadcast(a) && !secondary;
    default:
        return false;
    }
}

/* ff00::/8 of an interface that speaks IPv6. */
static bool derive_groups(const struct ifnet *ifn, struct route_view *v)
{
    bool any = false;

    for (uint32_t i = 0; i < ifn->naddr; i++)
        any |= !ipaddr_is_v4(&ifn->addr[i].addr);
    v->r.net = (struct ipaddr){.b = {0xff}};
    v->r.plen = 8;
    v->r.metric = ROUTE_METRIC6_PREFIX;
    v->type = RTN_MULTICAST;
    return any && !(ifn->caps & NETDEV_LOOPBACK);
}

bool route_view(const struct shard *sh, uint32_t i, struct route_view *v)
{
    const struct stack *st = sh->st;
    uint32_t k = i - DERIVED_FROM, ifindex, n;
    const struct route *r;
    const struct ifnet *ifn;
    bool there;

    if (i < DERIVED_FROM) {
        r = i < route_slots(st) ? route_slot(st, i) : NULL;
        there = r && route_view_of(sh, r, route_extra(st, r), v);
        v->slot = i;
        return there;
    }
    ifindex = k / (IFADDR_MAX * KINDS);
    n = k / KINDS % IFADDR_MAX;
    if (ifindex < rtnl_first_if(st) || ifindex >= st->nif || !st->ifn[ifindex].up)
        return false;
    ifn = &st->ifn[ifindex];
    *v = (struct route_view){
        .r = {.ifindex = (uint8_t)ifindex, .proto = ROUTE_BY_KERNEL}, .table = RT_TABLE_LOCAL, .slot = i};
    if (k % KINDS == GROUPS)
        return n == 0 && derive_groups(ifn, v);
    return n < ifn->naddr && ifn->addr[n].state == IFADDR_VALID && derive(ifn, &ifn->addr[n], k % KINDS, v);
}

/* The addresses' order; 0: equal. */
static int compare(const struct ipaddr *a, const struct ipaddr *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

/* Tables are listed by the low bits of their numbers, by which Linux hashes them, the one made last first
 * (here: the greatest). */
static bool table_before(uint32_t a, uint32_t b)
{
    return (a & 255) != (b & 255) ? (a & 255) < (b & 255) : a > b;
}

bool route_place_before(const struct route_place *a, const struct route_place *b)
{
    bool v4 = ipaddr_is_v4(&a->net);
    unsigned least = RTE_MIN(a->plen, b->plen);
    int c;

    if (v4 != ipaddr_is_v4(&b->net))
        return v4;
    if (a->table != b->table)
        return table_before(a->table, b->table);
    if (!v4 && a->plen != b->plen && ipaddr_prefix_eq(&a->net, &b->net, least))
        return a->plen > b->plen;
    c = compare(&a->net, &b->net);
    if (c)
        return c < 0;
    if (a->plen != b->plen)
        return a->plen > b->plen;
    if (a->metric != b->metric)
        return a->metric < b->metric;
    return a->slot < b->slot;
}
