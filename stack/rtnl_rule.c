/* rtnl_rule.c: rules by rtnetlink (rule.h; Linux: fib_newrule, fib_delrule, fib_nl_dumprule of
 * net/core/fib_rules.c, fib4_rule_configure, fib6_rule_configure). What a rule can't look at here (a uid,
 * ports, tunnels, realms) is refused. */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>

#include "rtnl.h"
#include "rule.h"

#define ECN_BITS 3

static const struct nla_policy policy[FRA_MAX + 1] = {
    [FRA_DST] = NLA_BYTES(4),
    [FRA_SRC] = NLA_BYTES(4),
    [FRA_IIFNAME] = NLA_STR(IFNAMSIZ - 1),
    [FRA_OIFNAME] = NLA_STR(IFNAMSIZ - 1),
    [FRA_PRIORITY] = NLA_U32,
    [FRA_FWMARK] = NLA_U32,
    [FRA_FWMASK] = NLA_U32,
    [FRA_TABLE] = NLA_U32,
    [FRA_SUPPRESS_PREFIXLEN] = NLA_U32,
    [FRA_SUPPRESS_IFGROUP] = NLA_U32,
    [FRA_GOTO] = NLA_U32,
    [FRA_PROTOCOL] = NLA_U8,
    [FRA_IP_PROTO] = NLA_U8,
};

/* ---- messages ---- */

static void put_selectors(struct nl_out *o, const struct rule *r)
{
    if (r->iif[0])
        nla_put_str(o, FRA_IIFNAME, r->iif);
    if (r->oif[0])
        nla_put_str(o, FRA_OIFNAME, r->oif);
    if (r->priority)
        nla_put_u32(o, FRA_PRIORITY, r->priority);
    if (r->mark)
        nla_put_u32(o, FRA_FWMARK, r->mark);
    if (r->mask || r->mark)
        nla_put_u32(o, FRA_FWMASK, r->mask);
    if (r->ip_proto)
        nla_put_u8(o, FRA_IP_PROTO, r->ip_proto);
    if (r->dlen)
        rtnl_addr_put(o, FRA_DST, &r->dst);
    if (r->slen)
        rtnl_addr_put(o, FRA_SRC, &r->src);
}

/* Is a goto's target there, and are the interfaces that it names? */
static uint32_t shown_flags(const struct stack *st, const struct rule *r)
{
    const struct rule_table *t = st->routes->rules;
    uint32_t flags = r->invert ? FIB_RULE_INVERT : 0;
    bool target = r->action != FR_ACT_GOTO;

    for (uint32_t i = 0; i < t->n; i++)
        target |= t->rule[i].family == r->family && t->rule[i].priority == r->target;
    if (!target)
        flags |= FIB_RULE_UNRESOLVED;
    if (r->iif[0] && rtnl_if_by_name(st, r->iif) < 0)
        flags |= FIB_RULE_IIF_DETACHED;
    if (r->oif[0] && rtnl_if_by_name(st, r->oif) < 0)
        flags |= FIB_RULE_OIF_DETACHED;
    return flags;
}

/* fib_nl_fill_rule. */
static bool put_rule(const struct stack *st, struct nl_out *o, const struct rule *r,
                     const struct nlmsghdr *as)
{
    struct fib_rule_hdr *m =
        nlmsg_begin(o, as->nlmsg_type, as->nlmsg_flags, as->nlmsg_seq, as->nlmsg_pid, sizeof *m);
    uint8_t head = r->family == AF_INET ? 96 : 0;

    if (!m)
        return false;
    m->family = r->family;
    m->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_COMPAT;
    m->action = r->action;
    m->tos = r->tos;
    m->flags = shown_flags(st, r);
    m->dst_len = r->dlen ? r->dlen - head : 0;
    m->src_len = r->slen ? r->slen - head : 0;
    nla_put_u32(o, FRA_TABLE, r->table);
    nla_put_u32(o, FRA_SUPPRESS_PREFIXLEN, (uint32_t)r->suppress);
    nla_put_u8(o, FRA_PROTOCOL, r->proto);
    if (r->action == FR_ACT_GOTO)
        nla_put_u32(o, FRA_GOTO, r->target);
    put_selectors(o, r);
    return nlmsg_end(o, m);
}

/* ---- lists ---- */

/* cursor[0]: the next rule; cursor[1]: the family that was asked for. */
int rtnl_rule_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct rtgenmsg *g = rtnl_header(rq, sizeof *g);
    const struct fib_rule_hdr *m = rtnl_header(rq, sizeof *m);

    d->cursor[1] = g->rtgen_family;
    if (!rq->strict)
        return 0;
    if (!m)
        return nl_refuse(rq, -EINVAL, "Invalid header for fib rule dump request", NULL);
    if (m->dst_len || m->src_len || m->tos || m->table || m->res1 || m->res2 || m->action || m->flags)
        return nl_refuse(rq, -EINVAL, "Invalid values in header for fib rule dump request", NULL);
    if (rq->nlh->nlmsg_len > NLMSG_LENGTH(sizeof *m))
        return nl_refuse(rq, -EINVAL, "Invalid data after header in fib rule dump request", NULL);
    return 0;
}

int rtnl_rule_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    const struct rule_table *t = sh->st->routes->rules;
    const struct nlmsghdr as = {.nlmsg_type = RTM_NEWRULE,
                                .nlmsg_flags = nl_dump_flags(d),
                                .nlmsg_seq = d->seq,
                                .nlmsg_pid = d->portid};

    for (; d->cursor[0] < t->n; d->cursor[0]++) {
        const struct rule *r = &t->rule[d->cursor[0]];

        if ((d->cursor[1] == AF_INET || d->cursor[1] == AF_INET6) && d->cursor[1] != r->family)
            continue;
        if (!put_rule(sh->st, o, r, &as))
            return 1;
    }
    return 0;
}

/* ---- changes ---- */

/* What a message says of a rule. */
struct ask {
    struct rule r;
    const struct nlattr *tb[FRA_MAX + 1];
    bool priority; /* it names one */
};

/* A prefix of len bits, of the family's width. */
static int take_prefix(struct nl_req *rq, int family, const struct nlattr *a, uint8_t len, const char *why,
                       struct ipaddr *to, uint8_t *plen)
{
    *plen = 0;
    if (!len)
        return 0;
    if (!a || len > (family == AF_INET ? 32 : 128) || rtnl_addr_get(a, family, to))
        return nl_refuse(rq, -EINVAL, why, NULL);
    *plen = (uint8_t)(len + (family == AF_INET ? 96 : 0));
    return 0;
}

static int refuse_unknown(struct nl_req *rq, const struct nlattr *tb[])
{
    static const uint8_t not_here[] = {FRA_FLOW,      FRA_TUN_ID,      FRA_L3MDEV,
                                       FRA_UID_RANGE, FRA_SPORT_RANGE, FRA_DPORT_RANGE};

    for (unsigned i = 0; i < sizeof not_here; i++)
        if (tb[not_here[i]])
            return nl_refuse(rq, -EOPNOTSUPP, "shunt: a rule of this stack can't look at this",
                             tb[not_here[i]]);
    if (tb[FRA_SUPPRESS_IFGROUP] && nla_u32(tb[FRA_SUPPRESS_IFGROUP]) != UINT32_MAX)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: interfaces of a stack are in no groups",
                         tb[FRA_SUPPRESS_IFGROUP]);
    return 0;
}

static void take_selectors(struct ask *a)
{
    const struct nlattr **tb = a->tb;
    struct rule *r = &a->r;

    if (tb[FRA_IIFNAME])
        nla_str(tb[FRA_IIFNAME], r->iif, sizeof r->iif);
    if (tb[FRA_OIFNAME])
        nla_str(tb[FRA_OIFNAME], r->oif, sizeof r->oif);
    if (tb[FRA_FWMARK]) {
        r->mark = nla_u32(tb[FRA_FWMARK]);
        r->mask = r->mark ? UINT32_MAX : 0; /* all bits, where no mask is named */
    }
    if (tb[FRA_FWMASK])
        r->mask = nla_u32(tb[FRA_FWMASK]);
    if (tb[FRA_IP_PROTO])
        r->ip_proto = *(const uint8_t *)nla_data(tb[FRA_IP_PROTO]);
    if (tb[FRA_PROTOCOL])
        r->proto = *(const uint8_t *)nla_data(tb[FRA_PROTOCOL]);
    r->suppress = tb[FRA_SUPPRESS_PREFIXLEN] ? (int32_t)nla_u32(tb[FRA_SUPPRESS_PREFIXLEN]) : -1;
}

static int take_goto(struct nl_req *rq, struct ask *a)
{
    bool is_goto = a->r.action == FR_ACT_GOTO;

    if (!a->tb[FRA_GOTO])
        return is_goto ? nl_refuse(rq, -EINVAL, "Missing goto target for action goto", NULL) : 0;
    if (!is_goto)
        return nl_refuse(rq, -EINVAL, "Unexpected goto", NULL);
    a->r.target = nla_u32(a->tb[FRA_GOTO]);
    if (a->r.target <= a->r.priority)
        return nl_refuse(rq, -EINVAL, "Backward goto not supported", NULL);
    return 0;
}

/* fib_nl2rule. */
static int take(struct nl_req *rq, struct ask *a)
{
    const struct fib_rule_hdr *m = rtnl_header(rq, sizeof *m);
    int err;

    memset(a, 0, sizeof *a);
    if (!m)
        return nl_refuse(rq, -EINVAL, "Invalid msg length", NULL);
    if (m->family != AF_INET && m->family != AF_INET6)
        return nl_refuse(rq, -EAFNOSUPPORT, "Rule family not supported", NULL);
    err = rtnl_attrs(rq, sizeof *m, a->tb, FRA_MAX, policy, false);
    if (!err)
        err = take_prefix(rq, m->family, a->tb[FRA_SRC], m->src_len, "Invalid source address", &a->r.src,
                          &a->r.slen);
    if (!err)
        err = take_prefix(rq, m->family, a->tb[FRA_DST], m->dst_len, "Invalid dst address", &a->r.dst,
                          &a->r.dlen);
    if (!err)
        err = refuse_unknown(rq, a->tb);
    if (err)
        return err;
    a->r.family = m->family;
    a->r.action = m->action;
    a->r.tos = m->tos;
    a->r.invert = m->flags & FIB_RULE_INVERT;
    a->r.table = a->tb[FRA_TABLE] ? nla_u32(a->tb[FRA_TABLE]) : m->table;
    a->priority = a->tb[FRA_PRIORITY] != NULL;
    a->r.priority = a->priority ? nla_u32(a->tb[FRA_PRIORITY]) : rule_default_priority(rq->sh->st, m->family);
    take_selectors(a);
    return take_goto(rq, a);
}

/* Network and selectors, where like names them; strict: whether it does or not. */
static bool alike(const struct rule *r, const struct rule *like, bool strict)
{
#define SAME(field, unset) ((!strict && like->field == (unset)) || r->field == like->field)
    return SAME(mark, 0) && SAME(mask, 0) && SAME(ip_proto, 0) && SAME(proto, 0) && SAME(suppress, -1) &&
           (!like->tos || r->tos == like->tos) && /* fib4_rule_compare */
           (!like->slen || (r->slen == like->slen && ipaddr_eq(&r->src, &like->src))) &&
           (!like->dlen || (r->dlen == like->dlen && ipaddr_eq(&r->dst, &like->dst))) &&
           ((!strict && !like->iif[0]) || strcmp(r->iif, like->iif) == 0) &&
           ((!strict && !like->oif[0]) || strcmp(r->oif, like->oif) == 0);
#undef SAME
}

static bool exists(const struct stack *st, const struct rule *like)
{
    const struct rule_table *t = st->routes->rules;

    for (uint32_t i = 0; i < t->n; i++)
        if (t->rule[i].family == like->family && t->rule[i].action == like->action &&
            t->rule[i].table == like->table && t->rule[i].priority == like->priority &&
            alike(&t->rule[i], like, true))
            return true;
    return false;
}

static void tell(struct nl_req *rq, const struct rule *r, uint16_t type)
{
    unsigned group = r->family == AF_INET ? RTNLGRP_IPV4_RULE : RTNLGRP_IPV6_RULE;
    const struct nlmsghdr as = {
        .nlmsg_type = type, .nlmsg_seq = rq->nlh->nlmsg_seq, .nlmsg_pid = rq->nl->portid};
    struct nl_out o = nl_answer(rq->sh);

    if (nl_has_members(rq->sh, NETLINK_ROUTE, group) && put_rule(rq->sh->st, &o, r, &as))
        nl_publish(rq->sh, NETLINK_ROUTE, group, &o);
}

/* The first table of IPv4 that nobody uses (fib_empty_table); 0: none. */
static uint32_t empty_table(const struct stack *st)
{
    for (uint32_t id = 1; id < RT_TABLE_DEFAULT; id++)
        if (!rule_table_known(st, true, id))
            return id;
    return 0;
}

/* fib4_rule_configure, fib6_rule_configure. */
static int configure(struct nl_req *rq, struct rule *r)
{
    struct stack *st = rq->sh->st;

    if (r->tos & ECN_BITS)
        return nl_refuse(rq, -EINVAL, "Invalid dsfield (tos): ECN bits must be 0", NULL);
    if (r->action != FR_ACT_TO_TBL)
        return 0;
    if (!r->table && r->family == AF_INET6)
        return nl_refuse(rq, -EINVAL, "Invalid table", NULL);
    if (!r->table)
        r->table = empty_table(st);
    if (!r->table)
        return -ENOBUFS;
    return r->family == AF_INET6 ? rule_table_make(st, false, r->table) : 0;
}

int rtnl_rule_new(struct nl_req *rq)
{
    struct ask a;
    int err = take(rq, &a);

    if (err)
        return err;
    if ((rq->nlh->nlmsg_flags & NLM_F_EXCL) && exists(rq->sh->st, &a.r))
        return -EEXIST;
    err = configure(rq, &a.r);
    if (!err)
        err = rule_add(rq->sh->st, &a.r);
    if (!err)
        tell(rq, &a.r, RTM_NEWRULE);
    return err;
}

int rtnl_rule_del(struct nl_req *rq)
{
    const struct rule_table *t = rq->sh->st->routes->rules;
    struct ask a;
    int err = take(rq, &a);

    for (uint32_t i = 0; !err && i < t->n; i++) {
        struct rule r = t->rule[i];

        if (r.family != a.r.family || (a.r.action && r.action != a.r.action) ||
            (a.r.table && r.table != a.r.table) || (a.priority && r.priority != a.r.priority) ||
            !alike(&r, &a.r, false))
            continue;
        if (r.table == RT_TABLE_LOCAL && !r.priority)
            return nl_refuse(rq, -EOPNOTSUPP, "shunt: the stack's own addresses always come first", NULL);
        rule_del(rq->sh->st, i);
        tell(rq, &r, RTM_DELRULE);
        return 0;
    }
    return err ? err : -ENOENT;
}
