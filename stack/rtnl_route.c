/* rtnl_route.c: routes by rtnetlink, asked for: lists, and the way to one destination (RTM_GETROUTE; Linux:
 * fib_dump_info, rt6_fill_node, inet_rtm_getroute). Changes: rtnl_route_set.c. */
#include <errno.h>
#include <linux/if_link.h>
#include <unistd.h>

#include "ifnet.h"
#include "neigh.h"
#include "rtnl_route.h"
#include "rule.h"
#include "tcp_cc.h"
#include "wire_ip6.h"

/* Beyond so many slots a list is not sorted: each round of a sorted dump looks at all of them. */
#define SORTED_MOST 4096
#define ROUND       128 /* routes that a round of a sorted dump finds */

#define CLOCK_HZ     100         /* of rta_expires: USER_HZ */
#define ROUTED_LOCAL 0x80000000u /* RTCF_LOCAL */
#define ROUTED_BCAST 0x10000000u /* RTCF_BROADCAST */
#define ROUTED_GROUP 0x20000000u /* RTCF_MULTICAST */
#define ATTR_UID     25          /* RTA_UID */

/* A dump's cursor. What was told last stands for its place: a route may come or go before the next piece. */
struct cursor {
    struct route_place at;
    uint32_t oif, asked_table;
    uint8_t started, sorted, family, proto, type, filtered;
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
    for (uint16_t i = 1; i < ROUTE_METRICS; i++) {
        if (e->metric[i] && i == RTAX_CC_ALGO)
            nla_put_str(o, i, tcp_cc_table[e->metric[i] - 1]->name);
        else if (e->metric[i])
            nla_put_u32(o, i, e->metric[i]);
    }
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
        for (const struct route *x = route_like(st, &v->r, NULL); x; x = route_like(st, &v->r, x))
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

/* A table's number in the message's head. */
static uint8_t table_byte(uint32_t table)
{
    return table < 256 ? (uint8_t)table : RT_TABLE_COMPAT;
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
    m->rtm_table = table_byte(v->table);
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
    for (const struct route *x = v->r.group ? route_like(st, &v->r, NULL) : NULL; x;
         x = route_like(st, &v->r, x))
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

/* Slot i, if it is there and wanted. */
static bool take_view(const struct shard *sh, const struct cursor *c, uint32_t i, struct route_view *v)
{
    return route_view(sh, i, v) && wanted(sh->st, c, v);
}

/* The slot after i: what is between those of the table and the others has never been used. */
static uint32_t slot_after(const struct stack *st, uint32_t i)
{
    return ++i >= route_slots(st) && i < ROUTE_MAX ? ROUTE_MAX : i;
}

/* A heap of the first places of a listing, the last of them on top. */
struct heap {
    struct route_place p[ROUND];
    unsigned n;
};

static void sift_down(struct heap *h, unsigned i)
{
    for (unsigned k; (k = 2 * i + 1) < h->n; i = k) {
        struct route_place x = h->p[i];

        if (k + 1 < h->n && route_place_before(&h->p[k], &h->p[k + 1]))
            k++;
        if (!route_place_before(&x, &h->p[k]))
            return;
        h->p[i] = h->p[k];
        h->p[k] = x;
    }
}

static void heap_add(struct heap *h, const struct route_place *x)
{
    unsigned i;

    if (h->n == ROUND) {
        if (route_place_before(x, &h->p[0])) {
            h->p[0] = *x;
            sift_down(h, 0);
        }
        return;
    }
    for (i = h->n++; i && route_place_before(&h->p[(i - 1) / 2], x); i = (i - 1) / 2)
        h->p[i] = h->p[(i - 1) / 2];
    h->p[i] = *x;
}

/* In order, first ones first. */
static void heap_sort(struct heap *h)
{
    unsigned n = h->n;

    while (h->n > 1) {
        struct route_place last = h->p[0];

        h->p[0] = h->p[--h->n];
        h->p[h->n] = last;
        sift_down(h, 0);
    }
    h->n = n;
}

/* The next places behind the one that c stands at, from one look at all slots. */
static void next_places(const struct shard *sh, const struct cursor *c, struct heap *h)
{
    uint32_t n = route_views(sh->st);
    struct route_view v;

    h->n = 0;
    for (uint32_t i = route_slots(sh->st) ? 0 : ROUTE_MAX; i < n; i = slot_after(sh->st, i)) {
        struct route_place x;

        if (!take_view(sh, c, i, &v))
            continue;
        x = route_place_of(&v);
        if (!c->started || route_place_before(&c->at, &x))
            heap_add(h, &x);
    }
    heap_sort(h);
}

/* Slot i into o, and c moved on. False: no room. */
static bool put_slot(const struct shard *sh, struct nl_out *o, struct cursor *c, uint32_t i,
                     const struct nlmsghdr *as)
{
    struct route_view v;

    if (take_view(sh, c, i, &v)) {
        if (!rtnl_route_put(sh, o, &v, as))
            return false;
        c->at = route_place_of(&v);
    }
    c->at.slot = i;
    c->started = 1;
    return true;
}

static int dump_sorted(const struct shard *sh, struct nl_out *o, struct cursor *c, const struct nlmsghdr *as)
{
    struct heap h;

    do {
        next_places(sh, c, &h);
        for (unsigned i = 0; i < h.n; i++)
            if (!put_slot(sh, o, c, h.p[i].slot, as))
                return 1;
    } while (h.n == ROUND);
    return 0;
}

static int dump_as_they_lie(const struct shard *sh, struct nl_out *o, struct cursor *c,
                            const struct nlmsghdr *as)
{
    uint32_t n = route_views(sh->st), i = c->started ? slot_after(sh->st, c->at.slot) : 0;

    for (; i < n; i = slot_after(sh->st, i))
        if (!put_slot(sh, o, c, i, as))
            return 1;
    return 0;
}

/* Table local is there always; others once a route or rule has named them. */
static bool table_there(const struct stack *st, const struct cursor *c)
{
    return rule_table_known(st, c->family == AF_INET, c->asked_table);
}

int rtnl_route_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    struct cursor *c = (struct cursor *)d->cursor;
    struct nlmsghdr as = {.nlmsg_type = RTM_NEWROUTE, .nlmsg_seq = d->seq, .nlmsg_pid = d->portid};

    as.nlmsg_flags = (uint16_t)(nl_dump_flags(d) | (c->filtered ? NLM_F_DUMP_FILTERED : 0));
    if (c->filtered && c->asked_table && c->family && !table_there(sh->st, c)) {
        d->why = c->family == AF_INET ? "ipv4: FIB table does not exist" : "ipv6: FIB table does not exist";
        return -ENOENT;
    }
    return c->sorted ? dump_sorted(sh, o, c, &as) : dump_as_they_lie(sh, o, c, &as);
}

/* ---- the way to one destination ---- */

/* What is asked for. */
struct ask {
    struct flow fl;
    struct ipaddr src; /* from which; any: not said */
    bool v4, whole;    /* whole: the route itself (RTM_F_FIB_MATCH) */
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
    a->fl = (struct flow){
        .dst = a->v4 ? ipaddr_v4(0) : IPADDR_ANY, .src = IPADDR_ANY, .allow_bcast = 1 | FLOW_ONE_LOOK};
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
    a->src = a->fl.src;
    a->fl.bound_if = (uint8_t)i;
    a->fl.tos = m->rtm_tos;
    a->fl.proto = tb[RTA_IP_PROTO] ? *(const uint8_t *)nla_data(tb[RTA_IP_PROTO]) : 0;
    if (tb[RTA_MARK])
        a->fl.mark = rule_mark_class(rq->sh->st, nla_u32(tb[RTA_MARK]));
    return !ipaddr_is_any(&a->fl.src) && !ip_is_local(rq->sh->st, &a->fl.src) ? -EINVAL : 0;
}

/* The view of what the flow goes by: the longest prefix that covers its destination. */
static bool covering(const struct shard *sh, const struct ask *a, bool local, struct route_view *out)
{
    struct flow as_asked = a->fl, *fl = &as_asked;
    struct route_view v;
    bool found = false;
    const struct route *r;
    int err;

    as_asked.src = a->src;
    r = local ? NULL : rule_route(sh->st, fl, &err);
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

/* The table that a route is said to be in. Of IPv4 local and main are one to Linux while no rule says
 * otherwise (fib_trie_unmerge). */
static uint32_t table_of(const struct stack *st, bool v4, uint32_t table)
{
    bool one = v4 && !st->routes->rules->unmerged && table == RT_TABLE_LOCAL;

    return table && !one ? table : RT_TABLE_MAIN;
}

/* rt_fill_info, rt6_fill_node of a flow that was resolved. */
static bool put_way(const struct shard *sh, struct nl_out *o, const struct ask *a, const struct nlmsghdr *ask)
{
    const struct neigh *hop = a->fl.neigh;
    struct rtmsg *m = nlmsg_begin(o, RTM_NEWROUTE, 0, ask->nlmsg_seq, ask->nlmsg_pid, sizeof *m);
    struct rta_cacheinfo ci = {.rta_clntref = 1};
    struct route_view v = {.r = {.proto = 0}};
    bool from = !ipaddr_is_any(&a->src);
    uint32_t flags, table;

    if (!m)
        return false;
    m->rtm_family = a->v4 ? AF_INET : AF_INET6;
    m->rtm_dst_len = a->v4 ? 32 : 128;
    m->rtm_type = type_to(sh, &a->fl.dst, &flags);
    m->rtm_flags = a->v4 ? RTM_F_CLONED | flags : 0;
    covering(sh, a, m->rtm_type == RTN_LOCAL || m->rtm_type == RTN_BROADCAST, &v);
    m->rtm_protocol = a->v4 ? RTPROT_UNSPEC : v.r.proto;
    table = table_of(sh->st, a->v4, v.table);
    m->rtm_table = table_byte(table);
    m->rtm_src_len = !a->v4 ? 128 : from ? 32 : 0;
    nla_put_u32(o, RTA_TABLE, table);
    rtnl_addr_put(o, RTA_DST, &a->fl.dst);
    if (from || !a->v4)
        rtnl_addr_put(o, RTA_SRC, &a->src);
    nla_put_u32(o, RTA_OIF, (uint32_t)out_if(sh->st, &a->fl));
    if (!from || !a->v4)
        rtnl_addr_put(o, RTA_PREFSRC, &a->fl.src);
    if (m->rtm_type == RTN_UNICAST && !ipaddr_eq(&hop->addr, &a->fl.dst))
        rtnl_addr_put(o, RTA_GATEWAY, &hop->addr);
    if (!a->v4)
        nla_put_u32(o, RTA_PRIORITY, v.r.metric);
    if (!v.extra.metric[RTAX_MTU])
        v.extra.metric[RTAX_MTU] = route_pmtu(sh, &a->fl.dst);
    put_metrics(o, &v.extra);
    if (a->fl.mark)
        nla_put_u32(o, RTA_MARK, sh->st->routes->rules->mark[a->fl.mark]);
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
    if (!covering(rq->sh, &a, type == RTN_LOCAL || type == RTN_BROADCAST, &v))
        return -EHOSTUNREACH;
    v.table = table_of(rq->sh->st, a.v4, v.table);
    return rtnl_route_put(rq->sh, &o, &v, &as) ? nl_reply(rq, &o) : -EMSGSIZE;
}
