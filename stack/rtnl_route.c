/* rtnl_route.c: routes by rtnetlink, asked for: lists, and the way to one destination (RTM_GETROUTE; Linux:
 * fib_dump_info, rt6_fill_node, inet_rtm_getroute). Changes: rtnl_route_set.c. */
#include <errno.h>
#include <linux/if_link.h>
#include <unistd.h>

#include "ifnet.h"
#include "neigh.h"
#include "rtnl_route.h"
#include "wire_ip6.h"

/* Beyond so many slots a list is not sorted: finding the next one looks at all of them. */
#define SORTED_MOST 1024

#define CLOCK_HZ     100         /* of rta_expires: USER_HZ */
#define ROUTED_LOCAL 0x80000000u /* RTCF_LOCAL */
#define ROUTED_BCAST 0x10000000u /* RTCF_BROADCAST */
#define ROUTED_GROUP 0x20000000u /* RTCF_MULTICAST */
#define ATTR_UID     25          /* RTA_UID */

/* A dump's cursor. What was told last stands for its place: a route may come or go before the next piece. */
struct cursor {
    struct ipaddr net;
    uint32_t metric, slot, oif, asked_table;
    uint8_t started, sorted, family, table, plen, proto, type, filtered;
};
_Static_assert(sizeof(struct cursor) <= sizeof((struct nl_dump){0}.cursor), "nl_dump.cursor is too short");

static const struct nla_policy policy[RTA_MAX + 1] = {
    [RTA_DST] = NLA_BYTES(4), [RTA_SRC] = NLA_BYTES(4), [RTA_IIF] = NLA_U32, [RTA_OIF] = NLA_U32,
    [RTA_TABLE] = NLA_U32,    [RTA_MARK] = NLA_U32,     [RTA_UID] = NLA_U32, [RTA_IP_PROTO] = NLA_U8,
    [RTA_SPORT] = NLA_U16,    [RTA_DPORT] = NLA_U16,
};

/* ---- messages ---- */

static void put_metrics(struct nl_out *o, const struct route_extra *e)
{
    uint32_t nest, any = 0;

    for (unsigned i = 1; i < ROUTE_METRICS; i++)
        any |= e->metric[i];
    if (!any)
        return;
    nest = nla_nest(o, RTA_METRICS);
    for (uint16_t i = 1; i < ROUTE_METRICS; i++)
        if (e->metric[i])
            nla_put_u32(o, i, e->metric[i]);
    nla_nest_end(o, nest);
}

/* fib_add_nexthop. */
static void put_hop(const struct stack *st, struct nl_out *o, const struct route *r)
{
    struct rtnexthop h = {.rtnh_hops = r->weight,
                          .rtnh_ifindex = stack_if_shown(st, r->ifindex),
                          .rtnh_flags = r->onlink ? RTNH_F_ONLINK : 0};
    uint32_t at = o->len;
    struct rtnexthop *to = nlmsg_reserve(o, sizeof h);

    if (!to)
        return;
    if (!ipaddr_is_any(&r->via))
        rtnl_addr_put(o, RTA_GATEWAY, &r->via);
    h.rtnh_len = (unsigned short)(o->len - at);
    memcpy(to, &h, sizeof h);
}

static void put_hops(const struct stack *st, struct nl_out *o, const struct route_view *v)
{
    uint32_t nest;

    if (v->r.group) {
        nest = nla_nest(o, RTA_MULTIPATH);
        for (const struct route *x = route_exact(st, &v->r.net, v->r.plen, NULL); x;
             x = route_exact(st, &v->r.net, v->r.plen, x))
            if (x->group == v->r.group)
                put_hop(st, o, x);
        nla_nest_end(o, nest);
        return;
    }
    if (v->type == RTN_UNREACHABLE || v->type == RTN_BLACKHOLE || v->type == RTN_PROHIBIT) {
        if (!ipaddr_is_v4(&v->r.net) && st->isolate) /* IPv6 has these on loopback */
            nla_put_u32(o, RTA_OIF, (uint32_t)stack_if_shown(st, IFNET_LOOPBACK));
        return;
    }
    if (!ipaddr_is_any(&v->r.via))
        rtnl_addr_put(o, RTA_GATEWAY, &v->r.via);
    nla_put_u32(o, RTA_OIF, (uint32_t)stack_if_shown(st, v->r.ifindex));
}

/* What IPv6 says besides. */
static void put_v6(const struct shard *sh, struct nl_out *o, const struct route_view *v)
{
    struct rta_cacheinfo ci = {.rta_error = (uint32_t)route_error(&v->r)};

    if (v->expires_ms > shard_ms(sh))
        ci.rta_expires =
            (int32_t)RTE_MIN((v->expires_ms - shard_ms(sh)) * CLOCK_HZ / 1000, (uint64_t)INT32_MAX);
    nla_put(o, RTA_CACHEINFO, &ci, sizeof ci);
    nla_put_u8(o, RTA_PREF, 0); /* medium (RFC 4191) */
}

bool rtnl_route_put(const struct shard *sh, struct nl_out *o, const struct route_view *v,
                    const struct nlmsghdr *as)
{
    bool v4 = ipaddr_is_v4(&v->r.net);
    struct rtmsg *m =
        nlmsg_begin(o, as->nlmsg_type, as->nlmsg_flags, as->nlmsg_seq, as->nlmsg_pid, sizeof *m);

    if (!m)
        return false;
    m->rtm_family = v4 ? AF_INET : AF_INET6;
    m->rtm_dst_len = (uint8_t)(v->r.plen - (v4 ? 96 : 0));
    m->rtm_table = v->table;
    m->rtm_protocol = v->r.proto;
    m->rtm_scope = v->scope;
    m->rtm_type = v->type;
    m->rtm_flags = v->r.onlink && !v->r.group ? RTNH_F_ONLINK : 0;
    nla_put_u32(o, RTA_TABLE, v->table);
    if (m->rtm_dst_len)
        rtnl_addr_put(o, RTA_DST, &v->r.net);
    if (v->r.metric || !v4)
        nla_put_u32(o, RTA_PRIORITY, v->r.metric);
    put_metrics(o, &v->extra);
    if (!ipaddr_is_any(&v->extra.src))
        rtnl_addr_put(o, RTA_PREFSRC, &v->extra.src);
    put_hops(sh->st, o, v);
    if (!v4)
        put_v6(sh, o, v);
    return nlmsg_end(o, m);
}

/* ---- lists ---- */

static bool wanted(const struct stack *st, const struct cursor *c, const struct route_view *v)
{
    int family = ipaddr_is_v4(&v->r.net) ? AF_INET : AF_INET6;

    if ((c->family && c->family != family) || (c->asked_table && c->asked_table != v->table) ||
        (c->proto && c->proto != v->r.proto) || (c->type && c->type != v->type) ||
        (c->oif && c->oif != (uint32_t)stack_if_shown(st, v->r.ifindex)))
        return false;
    /* Of one of several next hops the first stands for all. */
    for (const struct route *x = v->r.group ? route_exact(st, &v->r.net, v->r.plen, NULL) : NULL; x;
         x = route_exact(st, &v->r.net, v->r.plen, x))
        if (x->group == v->r.group)
            return ipaddr_eq(&x->via, &v->r.via) && x->ifindex == v->r.ifindex;
    return true;
}

static bool check_dump_header(const struct rtmsg *m)
{
    return !m->rtm_dst_len && !m->rtm_src_len && !m->rtm_tos && !m->rtm_scope &&
           !(m->rtm_flags & ~(unsigned)(RTM_F_CLONED | RTM_F_PREFIX));
}

/* ip_valid_fib_dump_req. */
static int take_filter(struct nl_req *rq, const struct rtmsg *m, struct cursor *c)
{
    const struct nlattr *tb[RTA_MAX + 1];
    int err;

    if (!m)
        return nl_refuse(rq, -EINVAL, "Invalid header for FIB dump request", NULL);
    if (!check_dump_header(m))
        return nl_refuse(rq, -EINVAL, "Invalid values in header for FIB dump request", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, RTA_MAX, policy, true);
    if (err)
        return err;
    for (int i = 1; i <= RTA_MAX; i++)
        if (tb[i] && i != RTA_TABLE && i != RTA_OIF)
            return nl_refuse(rq, -EINVAL, "Unsupported attribute in dump request", tb[i]);
    c->proto = m->rtm_protocol;
    c->type = m->rtm_type;
    c->asked_table = tb[RTA_TABLE] ? nla_u32(tb[RTA_TABLE]) : m->rtm_table;
    if (tb[RTA_OIF]) {
        c->oif = nla_u32(tb[RTA_OIF]);
        if (rtnl_if(rq->sh->st, (int)c->oif) < 0)
            return -ENODEV;
    }
    c->filtered = c->proto || c->type || c->asked_table || c->oif;
    return 0;
}

int rtnl_route_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct rtgenmsg *g = rtnl_header(rq, sizeof *g);
    const struct rtmsg *m = rtnl_header(rq, sizeof *m);
    struct cursor *c = (struct cursor *)d->cursor;
    int err = 0;

    c->family = g->rtgen_family == AF_INET || g->rtgen_family == AF_INET6 ? g->rtgen_family : 0;
    c->sorted = route_slots(rq->sh->st) <= SORTED_MOST;
    if (rq->strict)
        err = take_filter(rq, m, c);
    if (!err && m &&
        (m->rtm_flags & RTM_F_CLONED)) /* `ip route show cache`: no route is kept a destination */
        c->asked_table = UINT32_MAX;
    return err;
}

/* The route after the one that c stands at. */
static bool next(const struct shard *sh, const struct cursor *c, struct route_view *out)
{
    struct route_view at = {.r = {.net = c->net, .plen = c->plen, .metric = c->metric},
                            .table = c->table,
                            .slot = c->slot},
                      v;
    uint32_t n = route_views(sh->st), i = c->started && !c->sorted ? c->slot + 1 : 0;
    bool found = false;

    for (; i < n; i++) {
        if (i == route_slots(sh->st) && i < ROUTE_MAX)
            i = ROUTE_MAX; /* what is between has never been used */
        if (!route_view(sh, i, &v) || !wanted(sh->st, c, &v) ||
            (c->sorted && c->started && !route_view_before(&at, &v)))
            continue;
        if (!found || route_view_before(&v, out))
            *out = v;
        found = true;
        if (!c->sorted)
            break;
    }
    return found;
}

int rtnl_route_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    struct cursor *c = (struct cursor *)d->cursor;
    struct nlmsghdr as = {.nlmsg_type = RTM_NEWROUTE, .nlmsg_seq = d->seq, .nlmsg_pid = d->portid};
    struct route_view v;

    as.nlmsg_flags = (uint16_t)(nl_dump_flags(d) | (c->filtered ? NLM_F_DUMP_FILTERED : 0));
    if (c->filtered && c->asked_table && c->asked_table != RT_TABLE_MAIN &&
        c->asked_table != RT_TABLE_LOCAL && c->family) {
        d->why = c->family == AF_INET ? "ipv4: FIB table does not exist" : "ipv6: FIB table does not exist";
        return -ENOENT;
    }
    while (next(sh, c, &v)) {
        if (!rtnl_route_put(sh, o, &v, &as))
            return 1;
        c->started = 1;
        c->net = v.r.net;
        c->plen = v.r.plen;
        c->metric = v.r.metric;
        c->table = v.table;
        c->slot = v.slot;
    }
    return 0;
}

/* ---- the way to one destination ---- */

/* What is asked for. */
struct ask {
    struct flow fl;
    bool v4, whole; /* whole: the route itself (RTM_F_FIB_MATCH) */
    uint32_t uid;
};

static int take_ask(struct nl_req *rq, struct ask *a)
{
    const struct rtmsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[RTA_MAX + 1];
    int err, i = 0;

    if (!m)
        return nl_refuse(rq, -EINVAL, "Invalid header for route get request", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, RTA_MAX, policy, rq->strict);
    if (err)
        return err;
    a->v4 = m->rtm_family == AF_INET;
    a->fl = (struct flow){.dst = a->v4 ? ipaddr_v4(0) : IPADDR_ANY, .src = IPADDR_ANY, .allow_bcast = 1};
    a->whole = m->rtm_flags & RTM_F_FIB_MATCH;
    a->uid = tb[RTA_UID] ? nla_u32(tb[RTA_UID]) : (uint32_t)geteuid();
    if (!a->v4 && m->rtm_family != AF_INET6)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: routes are of IPv4 and IPv6 alone", NULL);
    if (tb[RTA_IIF] && nla_u32(tb[RTA_IIF]))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: a stack does not forward", tb[RTA_IIF]);
    if ((tb[RTA_DST] && rtnl_addr_get(tb[RTA_DST], m->rtm_family, &a->fl.dst)) ||
        (tb[RTA_SRC] && rtnl_addr_get(tb[RTA_SRC], m->rtm_family, &a->fl.src)))
        return nl_refuse(rq, -EINVAL, "address of another length", tb[RTA_DST]);
    if (tb[RTA_OIF] && nla_u32(tb[RTA_OIF])) {
        i = rtnl_if(rq->sh->st, (int)nla_u32(tb[RTA_OIF]));
        if (i < 0)
            return -ENODEV;
    }
    a->fl.bound_if = (uint8_t)i;
    return !ipaddr_is_any(&a->fl.src) && !ip_is_local(rq->sh->st, &a->fl.src) ? -EINVAL : 0;
}

/* The view of what the flow goes by: the longest prefix that covers its destination. */
static bool covering(const struct shard *sh, const struct flow *fl, bool local, struct route_view *out)
{
    const struct route *r = route_lookup(sh->st, &fl->dst, fl->bound_if);
    struct route_view v;
    bool found = false;

    if (!local)
        return r && route_view_of(sh, route_of_group(sh->st, r, &fl->dst), route_extra(sh->st, r), out);
    for (uint32_t i = ROUTE_MAX; i < route_views(sh->st); i++)
        if (route_view(sh, i, &v) && ipaddr_is_v4(&v.r.net) == ipaddr_is_v4(&fl->dst) &&
            ipaddr_prefix_eq(&v.r.net, &fl->dst, v.r.plen) && (!found || v.r.plen > out->r.plen)) {
            *out = v;
            found = true;
        }
    return found;
}

static uint8_t type_to(const struct shard *sh, const struct ipaddr *dst, uint32_t *flags)
{
    *flags = 0;
    if (ip_is_local(sh->st, dst)) {
        *flags = ROUTED_LOCAL;
        return RTN_LOCAL;
    }
    if (ip_is_broadcast(sh->st, dst)) {
        *flags = ROUTED_LOCAL | ROUTED_BCAST;
        return RTN_BROADCAST;
    }
    if (ipaddr_is_multicast(dst)) {
        *flags = ROUTED_GROUP;
        return RTN_MULTICAST;
    }
    return RTN_UNICAST;
}

/* Where the flow goes out, as programs know it: where loopback is not the stack's, the address's own. */
static int out_if(const struct stack *st, const struct flow *fl)
{
    for (unsigned i = 1; fl->ifindex == IFNET_LOOPBACK && !st->isolate && i < st->nif; i++)
        if (ifnet_find_addr(&st->ifn[i], &fl->dst))
            return stack_if_shown(st, i);
    return stack_if_shown(st, fl->ifindex);
}

/* rt_fill_info, rt6_fill_node of a flow that was resolved. */
static bool put_way(const struct shard *sh, struct nl_out *o, const struct ask *a, const struct nlmsghdr *ask)
{
    const struct neigh *hop = a->fl.neigh;
    struct rtmsg *m = nlmsg_begin(o, RTM_NEWROUTE, 0, ask->nlmsg_seq, ask->nlmsg_pid, sizeof *m);
    struct rta_cacheinfo ci = {.rta_clntref = 1};
    struct route_view v = {.r = {.proto = 0}};
    uint32_t flags;

    if (!m)
        return false;
    m->rtm_family = a->v4 ? AF_INET : AF_INET6;
    m->rtm_dst_len = a->v4 ? 32 : 128;
    m->rtm_type = type_to(sh, &a->fl.dst, &flags);
    m->rtm_flags = a->v4 ? RTM_F_CLONED | flags : 0;
    covering(sh, &a->fl, m->rtm_type == RTN_LOCAL || m->rtm_type == RTN_BROADCAST, &v);
    m->rtm_protocol = a->v4 ? RTPROT_UNSPEC : v.r.proto;
    /* Of IPv4 both tables are one to Linux while no rule says otherwise (fib_trie_unmerge). */
    m->rtm_table = v.table && !a->v4 ? v.table : RT_TABLE_MAIN;
    m->rtm_src_len = a->v4 ? 0 : 128;
    nla_put_u32(o, RTA_TABLE, m->rtm_table);
    rtnl_addr_put(o, RTA_DST, &a->fl.dst);
    if (!a->v4)
        rtnl_addr_put(o, RTA_SRC, &IPADDR_ANY);
    nla_put_u32(o, RTA_OIF, (uint32_t)out_if(sh->st, &a->fl));
    rtnl_addr_put(o, RTA_PREFSRC, &a->fl.src);
    if (m->rtm_type == RTN_UNICAST && !ipaddr_eq(&hop->addr, &a->fl.dst))
        rtnl_addr_put(o, RTA_GATEWAY, &hop->addr);
    if (!a->v4)
        nla_put_u32(o, RTA_PRIORITY, v.r.metric);
    if (!v.extra.metric[RTAX_MTU])
        v.extra.metric[RTAX_MTU] = route_pmtu(sh, &a->fl.dst);
    put_metrics(o, &v.extra);
    if (a->v4)
        nla_put_u32(o, ATTR_UID, a->uid);
    nla_put(o, RTA_CACHEINFO, &ci, sizeof ci);
    if (!a->v4)
        nla_put_u8(o, RTA_PREF, 0);
    return nlmsg_end(o, m);
}

int rtnl_route_get(struct nl_req *rq)
{
    struct nl_out o = nl_answer(rq->sh);
    struct nlmsghdr as = {
        .nlmsg_type = RTM_NEWROUTE, .nlmsg_seq = rq->nlh->nlmsg_seq, .nlmsg_pid = rq->nl->portid};
    struct route_view v;
    struct ask a;
    int err = take_ask(rq, &a);
    uint32_t flags;
    uint8_t type;

    if (!err)
        err = flow_resolve(rq->sh, &a.fl);
    if (err)
        return err;
    if (!a.whole)
        return put_way(rq->sh, &o, &a, &as) ? nl_reply(rq, &o) : -EMSGSIZE;
    type = type_to(rq->sh, &a.fl.dst, &flags);
    if (!covering(rq->sh, &a.fl, type == RTN_LOCAL || type == RTN_BROADCAST, &v))
        return -EHOSTUNREACH;
    if (a.v4)
        v.table = RT_TABLE_MAIN;
    return rtnl_route_put(rq->sh, &o, &v, &as) ? nl_reply(rq, &o) : -EMSGSIZE;
}
