/* rtnl_route_set.c: routes by rtnetlink, changed: RTM_NEWROUTE, RTM_DELROUTE (Linux: fib_table_insert,
 * fib_table_delete, ip6_route_add, ip6_route_del). In all tables but local, which is made of the addresses.
 */
#include <errno.h>

#include "ifnet.h"
#include "rtnl_route.h"
#include "rule.h"
#include "tcp_cc.h"

#define HOPS_MOST 32 /* of one route */
#define FEATURES                                                                                             \
    (RTAX_FEATURE_ECN | RTAX_FEATURE_SACK | RTAX_FEATURE_TIMESTAMP | RTAX_FEATURE_ALLFRAG | 1u << 4)
#define MTU_MOST 65520 /* 65535 - 15 */
#define MSS_MOST 65495 /* 65535 - 40 */

static const struct nla_policy policy[RTA_MAX + 1] = {
    [RTA_DST] = NLA_BYTES(4),
    [RTA_OIF] = NLA_U32,
    [RTA_GATEWAY] = NLA_BYTES(4),
    [RTA_PRIORITY] = NLA_U32,
    [RTA_PREFSRC] = NLA_BYTES(4),
    [RTA_METRICS] = NLA_ATTRS,
    [RTA_MULTIPATH] = NLA_BYTES(sizeof(struct rtnexthop)),
    [RTA_TABLE] = NLA_U32,
    [RTA_PREF] = NLA_U8,
    [RTA_VIA] = NLA_BYTES(2),
    [RTA_ENCAP] = NLA_BYTES(0),
    [RTA_ENCAP_TYPE] = NLA_U16,
    [RTA_EXPIRES] = NLA_U32,
    [RTA_NH_ID] = NLA_U32,
    [RTA_SRC] = NLA_BYTES(4),
    [RTA_FLOW] = NLA_U32,
};

/* A route that is asked for, and its next hops. */
struct ask {
    const struct rtmsg *m;
    const struct nlattr *tb[RTA_MAX + 1];
    int family;
    struct route r; /* without next hops */
    struct route_extra extra;
    bool has_extra;
    unsigned nhops;
    struct route hop[HOPS_MOST];
};

/* Attributes that would change what a route does, and are not known here. */
static int refuse_unknown(struct nl_req *rq, const struct ask *a)
{
    static const uint8_t not_here[] = {RTA_VIA, RTA_ENCAP, RTA_EXPIRES, RTA_NH_ID, RTA_SRC, RTA_FLOW};

    for (unsigned i = 0; i < sizeof not_here; i++)
        if (a->tb[not_here[i]])
            return nl_refuse(rq, -EOPNOTSUPP, "shunt: not supported for a route of this stack",
                             a->tb[not_here[i]]);
    if (a->m->rtm_tos || a->m->rtm_src_len)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: routes go by destination alone", NULL);
    return 0;
}

static int kind_of(uint8_t type)
{
    switch (type) {
    case RTN_UNSPEC: /* of a deletion: any */
    case RTN_UNICAST:
        return ROUTE_UNICAST;
    case RTN_UNREACHABLE:
        return ROUTE_UNREACHABLE;
    case RTN_BLACKHOLE:
        return ROUTE_BLACKHOLE;
    case RTN_PROHIBIT:
        return ROUTE_PROHIBIT;
    default:
        return -EOPNOTSUPP;
    }
}

/* ip_metrics_convert, a metric at a time. */
static int take_metric(struct nl_req *rq, struct ask *a, const struct nlattr *x)
{
    uint16_t type = nla_type(x);
    uint32_t v;
    int cc;

    if (type >= ROUTE_METRICS)
        return nl_refuse(rq, -EINVAL, "Invalid metric type", x);
    if (type == RTAX_CC_ALGO) {
        cc = tcp_cc_find(nla_data(x), strnlen(nla_data(x), nla_len(x)));
        if (cc < 0) /* Linux: ENOENT where a module might have it */
            return nl_refuse(rq, -EINVAL, "Unknown tcp congestion algorithm", x);
        v = (uint32_t)cc + 1;
    } else if (nla_len(x) != sizeof v) {
        return nl_refuse(rq, -EINVAL, "Invalid attribute in metrics", x);
    } else {
        v = nla_u32(x);
    }
    if (type == RTAX_FEATURES && (v & ~FEATURES))
        return nl_refuse(rq, -EINVAL, "Unknown flag set in feature mask in metrics attribute", x);
    if (type == RTAX_MTU)
        v = RTE_MIN(v, (uint32_t)MTU_MOST);
    else if (type == RTAX_ADVMSS)
        v = RTE_MIN(v, (uint32_t)MSS_MOST);
    else if (type == RTAX_HOPLIMIT)
        v = RTE_MIN(v, 255u);
    a->extra.metric[type] = v;
    a->has_extra = true;
    return 0;
}

static int take_metrics(struct nl_req *rq, struct ask *a)
{
    const struct nlattr *nest = a->tb[RTA_METRICS], *x;
    const void *at = nest ? nla_data(nest) : NULL;
    const void *end = nest ? (const char *)at + nla_len(nest) : NULL;

    while (nest && (x = nla_next(&at, end))) {
        int err = nla_type(x) ? take_metric(rq, a, x) : 0;

        if (err)
            return err;
    }
    return 0;
}

/* One next hop's gateway and interface; where no interface is named the gateway's. */
static int take_hop(struct nl_req *rq, const struct ask *a, const struct nlattr *gateway, int shown,
                    struct route *r)
{
    const struct stack *st = rq->sh->st;
    const struct route *by;
    int i = shown ? rtnl_if(st, shown) : -1;

    *r = a->r;
    if (shown && i < 0)
        return -ENODEV;
    if (gateway && rtnl_addr_get(gateway, a->family, &r->via))
        return nl_refuse(rq, -EINVAL, "Invalid gateway", gateway);
    if (i < 0 && !ipaddr_is_any(&r->via)) {
        if (ipaddr_needs_zone(&r->via))
            return nl_refuse(rq, -EINVAL, "Nexthop device required for a link-local gateway", gateway);
        by = route_lookup_in(st, r->table, &r->via, 0);
        if (!by)
            by = route_lookup(st, &r->via, 0);
        i = by && !by->kind ? by->ifindex : -1;
        if (i < 0)
            return a->family == AF_INET ? nl_refuse(rq, -ENETUNREACH, "Nexthop has invalid gateway", NULL)
                                        : -EHOSTUNREACH;
    }
    if (i < 0)
        return -ENODEV;
    r->ifindex = (uint8_t)i;
    ipaddr_set_zone(&r->via, (unsigned)i + 1);
    ipaddr_set_zone(&r->net, (unsigned)i + 1);
    return 0;
}

/* RTA_MULTIPATH. */
static int take_hops(struct nl_req *rq, struct ask *a)
{
    const struct nlattr *multi = a->tb[RTA_MULTIPATH], *tb[RTA_MAX + 1];
    const char *p = nla_data(multi), *end = p + nla_len(multi);
    int err;

    while ((size_t)(end - p) >= sizeof(struct rtnexthop)) {
        const struct rtnexthop *h = (const struct rtnexthop *)(const void *)p;

        if (h->rtnh_len < sizeof *h || h->rtnh_len > end - p)
            return nl_refuse(rq, -EINVAL, "Invalid nexthop configuration - extra data after nexthop", NULL);
        if (a->nhops == HOPS_MOST)
            return nl_refuse(rq, -ENOBUFS, "shunt: too many next hops", NULL);
        err = nla_parse(tb, RTA_MAX, h + 1, h->rtnh_len - (uint32_t)sizeof *h, policy, false, &rq->why);
        if (err)
            return err;
        err = take_hop(rq, a, tb[RTA_GATEWAY], h->rtnh_ifindex, &a->hop[a->nhops]);
        if (err)
            return err;
        a->hop[a->nhops].weight = h->rtnh_hops;
        a->hop[a->nhops++].onlink = !!(h->rtnh_flags & RTNH_F_ONLINK);
        p += RTE_MIN(RTNH_ALIGN(h->rtnh_len), end - p);
    }
    return a->nhops ? 0 : nl_refuse(rq, -EINVAL, "Invalid nexthop configuration", NULL);
}

/* What both requests have in common: destination, table, metric. */
static int take(struct nl_req *rq, struct ask *a)
{
    uint32_t table;
    int err, kind;

    memset(a, 0, sizeof *a);
    a->m = rtnl_header(rq, sizeof *a->m);
    if (!a->m)
        return -EINVAL;
    a->family = a->m->rtm_family;
    if (a->family != AF_INET && a->family != AF_INET6)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: routes are of IPv4 and IPv6 alone", NULL);
    err = rtnl_attrs(rq, sizeof *a->m, a->tb, RTA_MAX, policy, false);
    if (!err)
        err = refuse_unknown(rq, a);
    if (err)
        return err;
    table = a->tb[RTA_TABLE] ? nla_u32(a->tb[RTA_TABLE]) : a->m->rtm_table;
    if (table == RT_TABLE_LOCAL)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: table local is made of the addresses", a->tb[RTA_TABLE]);
    kind = kind_of(a->m->rtm_type);
    if (kind < 0)
        return nl_refuse(rq, kind, "shunt: not a type of route that this stack has", NULL);
    if (a->m->rtm_dst_len > (a->family == AF_INET ? 32 : 128))
        return nl_refuse(rq, -EINVAL, "Invalid prefix length", NULL);
    a->r.net = a->family == AF_INET ? ipaddr_v4(0) : IPADDR_ANY;
    if (a->tb[RTA_DST] && rtnl_addr_get(a->tb[RTA_DST], a->family, &a->r.net))
        return nl_refuse(rq, -EINVAL, "Invalid destination", a->tb[RTA_DST]);
    if (a->family == AF_INET && a->m->rtm_dst_len < 32 &&
        ntohl(ipaddr_get_v4(&a->r.net)) << a->m->rtm_dst_len) /* fib_valid_key_len */
        return nl_refuse(rq, -EINVAL, "Invalid prefix for given prefix length", NULL);
    a->r.plen = (uint8_t)(a->m->rtm_dst_len + (a->family == AF_INET ? 96 : 0));
    a->r.kind = (uint8_t)kind;
    a->r.proto = a->m->rtm_protocol;
    a->r.table = table ? table : RT_TABLE_MAIN;
    if (a->tb[RTA_PRIORITY])
        a->r.metric = nla_u32(a->tb[RTA_PRIORITY]);
    return 0;
}

/* The rest of a new route. */
static int take_new(struct nl_req *rq, struct ask *a)
{
    int err;

    if (!a->r.proto)
        a->r.proto = RTPROT_BOOT;
    if (a->family == AF_INET6 && !a->r.metric)
        a->r.metric = ROUTE_METRIC6_USER;
    if (a->tb[RTA_PREFSRC]) {
        if (rtnl_addr_get(a->tb[RTA_PREFSRC], a->family, &a->extra.src) ||
            !ip_is_local(rq->sh->st, &a->extra.src))
            return nl_refuse(rq, -EINVAL, "Invalid prefsrc address", a->tb[RTA_PREFSRC]);
        a->has_extra = true;
    }
    err = take_metrics(rq, a);
    if (err)
        return err;
    if (a->r.kind != ROUTE_UNICAST) {
        a->hop[a->nhops++] = a->r;
        return 0;
    }
    if (a->tb[RTA_MULTIPATH])
        return take_hops(rq, a);
    a->hop[0].onlink = 0;
    err = take_hop(rq, a, a->tb[RTA_GATEWAY], a->tb[RTA_OIF] ? (int)nla_u32(a->tb[RTA_OIF]) : 0, &a->hop[0]);
    a->hop[0].onlink = !!(a->m->rtm_flags & RTNH_F_ONLINK);
    a->nhops = 1;
    return err;
}

/* What can be said against the next hops. */
static int check_hops(struct nl_req *rq, const struct ask *a)
{
    const struct stack *st = rq->sh->st;

    for (unsigned i = 0; i < a->nhops; i++) {
        const struct route *h = &a->hop[i];

        if (h->kind == ROUTE_UNICAST && !st->ifn[h->ifindex].up)
            return nl_refuse(rq, -ENETDOWN, "Nexthop device is not up", NULL);
        if (ipaddr_is_any(&h->via))
            continue;
        if (ip_is_local(st, &h->via))
            return nl_refuse(rq, -EINVAL, "Nexthop has invalid gateway", NULL);
        if (!h->onlink && route_check_gateway(st, h))
            return a->family == AF_INET ? nl_refuse(rq, -ENETUNREACH, "Nexthop has invalid gateway", NULL)
                                        : -EHOSTUNREACH;
    }
    return 0;
}

static void remove_all(struct stack *st, const struct route *r)
{
    uint32_t group = r->group;
    struct route key = *r;

    if (!group) {
        route_remove(st, r);
        return;
    }
    for (r = route_like(st, &key, NULL); r;) {
        const struct route *after = route_like(st, &key, r);

        if (r->group == group)
            route_remove(st, r);
        r = after;
    }
}

static int insert_all(struct stack *st, struct ask *a, bool first)
{
    uint32_t group = a->nhops > 1 ? st->routes->groups + 1 : 0;
    int err = 0;

    for (unsigned k = 0; k < a->nhops && !err; k++) {
        /* Put before others, they come in turned order. */
        struct route *h = &a->hop[first ? a->nhops - 1 - k : k];

        h->group = group;
        err = route_insert(st, h, a->has_extra ? &a->extra : NULL, first);
    }
    for (const struct route *r = err && group ? route_like(st, &a->r, NULL) : NULL; r;
         r = route_like(st, &a->r, r))
        if (r->group == group) {
            remove_all(st, r);
            break;
        }
    return err;
}

int rtnl_route_new(struct nl_req *rq)
{
    uint16_t flags = rq->nlh->nlmsg_flags;
    struct stack *st = rq->sh->st;
    const struct route *old;
    struct ask a;
    int err = take(rq, &a);

    if (!err)
        err = take_new(rq, &a);
    if (!err)
        err = check_hops(rq, &a);
    if (err)
        return err;
    for (old = route_like(st, &a.hop[0], NULL); old && old->metric != a.r.metric;)
        old = route_like(st, &a.hop[0], old);
    if (old && (flags & NLM_F_EXCL))
        return -EEXIST;
    if (!old && !(flags & NLM_F_CREATE))
        return -ENOENT;
    if (old && (flags & NLM_F_REPLACE))
        remove_all(st, old);
    return insert_all(st, &a, !(flags & NLM_F_APPEND) && a.family == AF_INET);
}

/* Is r what a deletion means? What it does not name matches anything. */
static bool matches(const struct nl_req *rq, const struct ask *a, const struct route *r)
{
    const struct stack *st = rq->sh->st;
    struct ipaddr via;

    if ((a->m->rtm_type != RTN_UNSPEC && r->kind != a->r.kind) || (a->r.proto && r->proto != a->r.proto) ||
        (a->tb[RTA_PRIORITY] && r->metric != a->r.metric && a->r.metric))
        return false;
    if (a->tb[RTA_OIF] && r->kind == ROUTE_UNICAST &&
        (uint32_t)stack_if_shown(st, r->ifindex) != nla_u32(a->tb[RTA_OIF]))
        return false;
    if (!a->tb[RTA_GATEWAY])
        return true;
    if (rtnl_addr_get(a->tb[RTA_GATEWAY], a->family, &via))
        return false;
    ipaddr_set_zone(&via, r->ifindex + 1u);
    return ipaddr_eq(&via, &r->via);
}

int rtnl_route_del(struct nl_req *rq)
{
    const struct route *r = NULL;
    struct ask a;
    int err = take(rq, &a);

    if (err)
        return err;
    if (a.tb[RTA_OIF]) {
        int i = rtnl_if(rq->sh->st, (int)nla_u32(a.tb[RTA_OIF]));

        if (i < 0)
            return -ENODEV;
        ipaddr_set_zone(&a.r.net, (unsigned)i + 1);
    }
    while ((r = route_like(rq->sh->st, &a.r, r)))
        if (matches(rq, &a, r)) {
            remove_all(rq->sh->st, r);
            return 0;
        }
    return -ESRCH;
}
