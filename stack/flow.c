/* flow.c: choosing a flow's way out: interface, source address, next hop, path MTU (flow_resolve, ip.h). Both
 * families; the result is cached in the flow until route_table.gen moves.
 */
#include <errno.h>
#include <linux/rtnetlink.h>

#include "ifnet.h"
#include "ip.h"
#include "ip6_addr.h"
#include "neigh.h"
#include "route.h"
#include "rule.h"
#include "wire_ip6.h"

#define IP4_MAX_BYTES 65535 /* of a whole packet */
#define MTU_LEAST     68u   /* RFC 791 section 3.2: of either family a fragment of it carries something */
#define IP6_MAX_BYTES (IP6_MAX_PLEN + IP6_HDR_LEN)

/* Sends a flow to this host itself: by loopback, whatever interface the address belongs to. */
static int resolve_local(struct shard *sh, struct flow *fl)
{
    bool v4 = ipaddr_is_v4(&fl->dst);
    struct ipaddr localhost = v4 ? ipaddr_v4(htonl(INADDR_LOOPBACK)) : IP6_LOOPBACK;

    if (v4 && ipaddr_get_v4(&fl->dst) == htonl(0x7fffffff) && !fl->allow_bcast) /* lo's own broadcast */
        return -EACCES;
    if (ipaddr_is_any(&fl->src))
        fl->src = ipaddr_is_loopback(&fl->dst) ? localhost : fl->dst;
    fl->ifindex = IFNET_LOOPBACK;
    fl->neigh = neigh_get(sh, IFNET_LOOPBACK, &localhost); /* one entry for all: it has no link address */
    return 0;
}

/* The interface for a broadcast or multicast that no route names: the bound one, else the first that is no
 * loopback. */
static int default_if(const struct stack *st, unsigned bound_if)
{
    if (bound_if)
        return bound_if < st->nif ? (int)bound_if : -ENODEV;
    return st->nif > 1 ? 1 : -ENETUNREACH;
}

/* A multicast's zone says by which interface; other destinations ask the routes. The interface, *next_hop
 * set, or -errno. */
static int choose_if(const struct shard *sh, const struct flow *fl, bool bcast,
                     const struct ipaddr **next_hop, const struct route **by)
{
    const struct stack *st = sh->st;
    bool group = ipaddr_is_multicast(&fl->dst);
    unsigned zone = ipaddr_zone(&fl->dst);
    const struct route *r;
    int err;

    *next_hop = &fl->dst;
    *by = NULL;
    if (group && zone)
        return zone <= st->nif && (!fl->bound_if || fl->bound_if == zone - 1) ? (int)zone - 1 : -ENODEV;
    r = rule_route(st, fl, &err);
    if (!r && err != -ENETUNREACH)
        return err;
    if (r) {
        if (r->kind)
            return route_error(r);
        r = route_of_group(st, r, &fl->dst);
        *by = r;
        if (!ipaddr_is_any(&r->via) && !bcast && !group) {
            const struct ipaddr *better = route_redirect(sh, &fl->dst, r->ifindex);

            *next_hop = better ? better : &r->via;
        }
        return r->ifindex;
    }
    /* Bound to an interface, and no route says otherwise: on that link (ip_route_output_key_hash_rcu). */
    return bcast || group || (fl->bound_if && ipaddr_is_v4(&fl->dst)) ? default_if(st, fl->bound_if)
                                                                      : -ENETUNREACH;
}

/* What the header and the MTU have of the route; NULL: there is none. */
static void take_metrics(const struct stack *st, const struct route *r, struct flow *fl)
{
    const struct route_extra *e = r ? route_extra(st, r) : NULL;

    fl->mtu = e && e->metric[RTAX_MTU] ? RTE_MAX(e->metric[RTAX_MTU], MTU_LEAST) : 0;
    fl->hops = e ? (uint8_t)e->metric[RTAX_HOPLIMIT] : 0;
}

/* by: the route taken, which may suggest a source; NULL: none. */
static const struct ifaddr *choose_source(const struct shard *sh, const struct flow *fl, unsigned ifindex,
                                          const struct ipaddr *next_hop, const struct route *by)
{
    const struct route_extra *e = by ? route_extra(sh->st, by) : NULL;

    for (unsigned i = 0; e && !ipaddr_is_any(&e->src) && i < sh->st->nif; i++) {
        const struct ifaddr *a = ifnet_find_addr(&sh->st->ifn[i], &e->src);

        if (a)
            return a;
    }
    if (ipaddr_is_v4(&fl->dst))
        return ifnet_source(&sh->st->ifn[ifindex], next_hop);
    return ip6_source(sh->st, ifindex, &fl->dst, shard_ms(sh));
}

/* The interface that owns address a; -1: none. */
static int if_of_addr(const struct stack *st, const struct ipaddr *a)
{
    for (unsigned i = 0; i < st->nif; i++)
        if (ifnet_find_addr(&st->ifn[i], a))
            return (int)i;
    return st->isolate && ipaddr_is_loopback(a) ? IFNET_LOOPBACK : -1;
}

/* A group of IPv4 or 255.255.255.255 from an address of one interface and no other said: that interface's
 * (ip_route_output_key_hash_rcu), loopback among them. False: the usual way. */
static bool resolve_by_source(struct shard *sh, struct flow *fl)
{
    bool limited = ipaddr_is_v4(&fl->dst) && ipaddr_get_v4(&fl->dst) == INADDR_BROADCAST;
    int i;

    if (fl->bound_if || ipaddr_is_any(&fl->src) ||
        !((ipaddr_is_v4(&fl->dst) && ipaddr_is_multicast(&fl->dst)) || limited))
        return false;
    i = if_of_addr(sh->st, &fl->src);
    if (i < 0 || (limited && !fl->allow_bcast))
        return false;
    fl->ifindex = (uint8_t)i;
    fl->neigh = neigh_get(sh, (unsigned)i, &fl->dst);
    return true;
}

static int resolve_remote(struct shard *sh, struct flow *fl)
{
    struct stack *st = sh->st;
    bool bcast = ip_is_broadcast(st, &fl->dst);
    const struct ipaddr *next_hop;
    const struct route *by;
    const struct ifaddr *src;
    int ifindex = choose_if(sh, fl, bcast, &next_hop, &by);

    if (ifindex < 0)
        return ifindex;
    if (bcast && !fl->allow_bcast)
        return -EACCES;
    if (ifindex == IFNET_LOOPBACK)
        return -ENETUNREACH; /* 127/8 routed to lo, but not this host's: profile default */
    if (ipaddr_is_any(&fl->src)) {
        src = choose_source(sh, fl, (unsigned)ifindex, next_hop, by);
        if (!src)
            return ipaddr_is_v4(&fl->dst) ? -ENETUNREACH : -EADDRNOTAVAIL; /* as ip6_dst_lookup_tail */
        fl->src = src->addr;
    } else if (ipaddr_is_loopback(&fl->src)) {
        return -EINVAL; /* as Linux: 127/8 doesn't leave the host */
    }
    fl->ifindex = (uint8_t)ifindex;
    fl->neigh = neigh_get(sh, (unsigned)ifindex, next_hop);
    take_metrics(sh->st, by, fl);
    return 0;
}

/* The way of a connection of IPv4 is looked for again once its source is known, which rules may ask for
 * (ip_route_connect). */
static int resolve_again(struct shard *sh, struct flow *fl)
{
    bool again = fl->proto == IPPROTO_TCP && ipaddr_is_v4(&fl->dst) && !(fl->allow_bcast & FLOW_ONE_LOOK);

    return again ? resolve_remote(sh, fl) : 0;
}

/* A destination that means nothing without its link, and doesn't say which: the bound one's, the source's,
 * or the first one's. */
static int complete_zone(const struct stack *st, struct flow *fl)
{
    int ifindex;

    if (!ipaddr_needs_zone(&fl->dst) || ipaddr_zone(&fl->dst))
        return 0;
    if (ipaddr_zone(&fl->src)) {
        ipaddr_set_zone(&fl->dst, ipaddr_zone(&fl->src));
        return 0;
    }
    ifindex = default_if(st, fl->bound_if);
    if (ifindex < 0)
        return ifindex;
    ipaddr_set_zone(&fl->dst, (unsigned)ifindex + 1);
    return 0;
}

/* What can be said against the two addresses together. */
static int check_families(const struct flow *fl)
{
    bool v4 = ipaddr_is_v4(&fl->dst);

    if (ipaddr_is_any(&fl->src) || ipaddr_is_v4(&fl->src) == v4)
        return 0;
    return v4 ? -ENETUNREACH : -EAFNOSUPPORT;
}

static void take_mtu(struct shard *sh, struct flow *fl)
{
    const struct ifnet *ifn = &sh->st->ifn[fl->ifindex];
    bool v4 = ipaddr_is_v4(&fl->dst);
    uint32_t most = v4 ? IP4_MAX_BYTES : ifn->mtu6 ? ifn->mtu6 : IP6_MAX_BYTES;
    uint32_t pmtu = route_pmtu(sh, &fl->dst);

    if (!fl->mtu || fl->mtu > ifn->mtu) /* else the route's (ip route ... mtu) */
        fl->mtu = ifn->mtu;
    fl->mtu = RTE_MIN(fl->mtu, most);
    if (pmtu && pmtu < fl->mtu)
        fl->mtu = pmtu;
    fl->tso_max = ifn->caps & NETDEV_TSO ? (uint16_t)RTE_MIN(ifn->tso_max, (uint32_t)UINT16_MAX) : 0;
    fl->caps = (uint8_t)ifn->caps;
    if (ipaddr_is_multicast(&fl->dst) || ip_is_broadcast(sh->st, &fl->dst))
        fl->caps |= FLOW_GROUP;
}

int flow_resolve(struct shard *sh, struct flow *fl)
{
    struct stack *st = sh->st;
    bool any;
    int err;

    if (__builtin_expect(fl->gen == st->routes->gen, 1))
        return 0;
    fl->gen = 0;
    fl->mtu = 0;
    fl->hops = 0;
    any = ipaddr_is_any(&fl->src);
    if (ipaddr_is_any(&fl->dst))
        fl->dst = any ? ipaddr_v4(htonl(INADDR_LOOPBACK)) : fl->src;
    err = check_families(fl);
    if (!err)
        err = complete_zone(st, fl);
    if (!err && !resolve_by_source(sh, fl)) {
        bool local = ip_is_local(st, &fl->dst);

        err = local ? resolve_local(sh, fl) : resolve_remote(sh, fl);
        if (!err && !local && any && st->routes->rules->custom)
            err = resolve_again(sh, fl);
    }
    if (err) {
        if (err == -ENETUNREACH)
            sh->count[ipaddr_is_v4(&fl->dst) ? COUNT_IP_NOROUTE : COUNT_IP6_NOROUTE]++;
        return err;
    }
    if (!fl->neigh)
        return -ENOBUFS;
    take_mtu(sh, fl);
    fl->gen = st->routes->gen; /* last: neigh_get may have moved it */
    return 0;
}

uint32_t flow_metric(const struct shard *sh, const struct flow *fl, unsigned which)
{
    const struct route_extra *e = NULL;
    const struct route *r;
    int err;

    if (!sh->st->routes->nextra || fl->ifindex == IFNET_LOOPBACK)
        return 0;
    r = rule_route(sh->st, fl, &err);
    if (r && !r->kind)
        e = route_extra(sh->st, route_of_group(sh->st, r, &fl->dst));
    return e ? e->metric[which] : 0;
}

void ip_confirm(struct shard *sh, const struct flow *fl)
{
    /* Only when it saves a probe soon: a fresh entry is left alone. */
    if (fl->gen == sh->st->routes->gen && fl->neigh) {
        struct neigh *n = fl->neigh;

        if (n->fresh_until_ns < sh->now_ns + (uint64_t)sh->st->set.neigh_base_reachable * 500000000)
            neigh_confirm(sh, n);
    }
}
