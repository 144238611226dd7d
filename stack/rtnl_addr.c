/* rtnl_addr.c: addresses by rtnetlink: RTM_GETADDR (Linux: inet_fill_ifaddr, inet6_fill_ifaddr). */
#include <errno.h>
#include <linux/if_addr.h>

#include "ifnet.h"
#include "route.h"
#include "rtnl.h"

#define FOR_EVER   UINT32_MAX                      /* seconds of a lifetime */
#define ATTR_PROTO 11                              /* IFA_PROTO, since Linux 5.18 */
enum { PROTO_LO = 1, PROTO_RA = 2, PROTO_LL = 3 }; /* IFAPROT_KERNEL_* */

/* Of a dump: family that is listed now, and the one that was asked for; interface; address; the one interface
 * that was asked for and 1. */
enum { CURSOR_FAMILY, CURSOR_ASKED, CURSOR_IF, CURSOR_ADDR, CURSOR_ONLY };

static const struct nla_policy policy[IFA_MAX + 1] = {
    [IFA_ADDRESS] = NLA_BYTES(4),
    [IFA_LOCAL] = NLA_BYTES(4),
    [IFA_TARGET_NETNSID] = NLA_U32,
};

static bool is_family(const struct ifaddr *a, int family)
{
    return ipaddr_is_v4(&a->addr) == (family == AF_INET);
}

/* Linux: a later address of a prefix that another one has already. a need not be ifn's any more. */
static bool is_secondary(const struct ifnet *ifn, const struct ifaddr *a)
{
    bool another = false;

    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *x = &ifn->addr[i];

        if (ipaddr_eq(&x->addr, &a->addr))
            return another;
        if (is_family(x, AF_INET) && x->prefix_len == a->prefix_len &&
            ipaddr_prefix_eq(&x->addr, &a->addr, ipaddr_plen128(&a->addr, a->prefix_len)))
            another = true;
    }
    return false;
}

static uint32_t flags_of(const struct shard *sh, const struct ifnet *ifn, const struct ifaddr *a)
{
    uint32_t f = a->valid_ms ? 0 : IFA_F_PERMANENT;

    if (a->state == IFADDR_TENTATIVE)
        f |= IFA_F_TENTATIVE;
    if (a->state == IFADDR_CONFLICT)
        f |= IFA_F_TENTATIVE | IFA_F_DADFAILED;
    if (a->preferred_ms && a->preferred_ms <= shard_ms(sh))
        f |= IFA_F_DEPRECATED;
    if (ipaddr_is_v4(&a->addr) && is_secondary(ifn, a))
        f |= IFA_F_SECONDARY;
    return f;
}

static uint8_t scope_of(const struct ipaddr *a)
{
    if (ipaddr_is_loopback(a))
        return RT_SCOPE_HOST;
    return !ipaddr_is_v4(a) && ipaddr_is_linklocal(a) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/* Seconds from now until at_ms; 0 stands for never. */
static uint32_t seconds_left(const struct shard *sh, uint64_t at_ms)
{
    if (!at_ms)
        return FOR_EVER;
    return at_ms <= shard_ms(sh) ? 0
                                 : (uint32_t)RTE_MIN((at_ms - shard_ms(sh)) / 1000, (uint64_t)FOR_EVER - 1);
}

/* Who made the address; 0: not said. */
static uint8_t origin(const struct ifaddr *a)
{
    if (ipaddr_is_v4(&a->addr))
        return 0;
    if (ipaddr_is_loopback(&a->addr))
        return PROTO_LO;
    if (!(a->flags & IFADDR_AUTO))
        return 0;
    return ipaddr_is_linklocal(&a->addr) ? PROTO_LL : PROTO_RA;
}

bool rtnl_addr_put_msg(const struct shard *sh, struct nl_out *o, const struct ifnet *ifn,
                       const struct ifaddr *a, const struct nlmsghdr *as)
{
    struct ifa_cacheinfo ci = {.ifa_prefered = seconds_left(sh, a->preferred_ms),
                               .ifa_valid = seconds_left(sh, a->valid_ms)};
    struct ifaddrmsg *m =
        nlmsg_begin(o, as->nlmsg_type, as->nlmsg_flags, as->nlmsg_seq, as->nlmsg_pid, sizeof *m);
    bool v4 = ipaddr_is_v4(&a->addr);

    if (!m)
        return false;
    m->ifa_family = v4 ? AF_INET : AF_INET6;
    m->ifa_prefixlen = a->prefix_len;
    m->ifa_flags = (uint8_t)flags_of(sh, ifn, a);
    m->ifa_scope = scope_of(&a->addr);
    m->ifa_index = (uint32_t)stack_if_shown(sh->st, ifn->index);
    rtnl_addr_put(o, IFA_ADDRESS, &a->addr);
    if (v4) {
        rtnl_addr_put(o, IFA_LOCAL, &a->addr);
        if (!(ifn->caps & NETDEV_LOOPBACK) && ifaddr_broadcast(a))
            nla_put_u32(o, IFA_BROADCAST, ifaddr_broadcast(a));
        nla_put_str(o, IFA_LABEL, ifn->name);
    }
    nla_put_u32(o, IFA_FLAGS, flags_of(sh, ifn, a));
    nla_put(o, IFA_CACHEINFO, &ci, sizeof ci);
    if (origin(a))
        nla_put_u8(o, ATTR_PROTO, origin(a));
    return nlmsg_end(o, m);
}

/* inet_valid_dump_ifaddr_req, inet6_valid_dump_ifaddr_req. */
int rtnl_addr_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct ifaddrmsg *m = rtnl_header(rq, sizeof *m);
    const struct rtgenmsg *g = rtnl_header(rq, sizeof *g);
    const struct nlattr *tb[IFA_MAX + 1];
    int err, i;

    d->cursor[CURSOR_ASKED] = g->rtgen_family == AF_INET || g->rtgen_family == AF_INET6 ? g->rtgen_family : 0;
    d->cursor[CURSOR_FAMILY] = g->rtgen_family == AF_INET6 ? AF_INET6 : AF_INET;
    d->cursor[CURSOR_IF] = rtnl_first_if(rq->sh->st);
    if (!rq->strict || !d->cursor[CURSOR_ASKED])
        return 0;
    if (!m)
        return nl_refuse(rq, -EINVAL, "ipv4: Invalid header for address dump request", NULL);
    if (m->ifa_prefixlen || m->ifa_flags || m->ifa_scope)
        return nl_refuse(rq, -EINVAL, "ipv4: Invalid values in header for address dump request", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, IFA_MAX, policy, true);
    if (err)
        return err;
    for (i = 1; i <= IFA_MAX; i++)
        if (tb[i])
            return nl_refuse(rq, -EINVAL, "ipv4: Unsupported attribute in dump request", tb[i]);
    if (m->ifa_index) {
        i = rtnl_if(rq->sh->st, (int)m->ifa_index);
        if (i < 0)
            return -ENODEV;
        d->cursor[CURSOR_IF] = (uint64_t)i;
        d->cursor[CURSOR_ONLY] = (uint64_t)i + 1;
    }
    return 0;
}

/* The rest of interface i, of the dump's present family. False: o is full. */
static bool dump_if(struct shard *sh, struct nl_dump *d, struct nl_out *o, const struct ifnet *ifn)
{
    struct nlmsghdr as = {.nlmsg_type = RTM_NEWADDR, .nlmsg_seq = d->seq, .nlmsg_pid = d->portid};

    as.nlmsg_flags = (uint16_t)(nl_dump_flags(d) | (d->cursor[CURSOR_ONLY] ? NLM_F_DUMP_FILTERED : 0));

    for (; d->cursor[CURSOR_ADDR] < ifn->naddr; d->cursor[CURSOR_ADDR]++) {
        const struct ifaddr *a = &ifn->addr[d->cursor[CURSOR_ADDR]];

        if (is_family(a, (int)d->cursor[CURSOR_FAMILY]) && !rtnl_addr_put_msg(sh, o, ifn, a, &as))
            return false;
    }
    d->cursor[CURSOR_ADDR] = 0;
    return true;
}

int rtnl_addr_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    const struct stack *st = sh->st;

    d->gen = st->if_gen;
    for (;;) {
        for (; d->cursor[CURSOR_IF] < st->nif; d->cursor[CURSOR_IF]++) {
            if (d->cursor[CURSOR_ONLY] && d->cursor[CURSOR_ONLY] != d->cursor[CURSOR_IF] + 1)
                return 0;
            if (!dump_if(sh, d, o, &st->ifn[d->cursor[CURSOR_IF]]))
                return 1;
        }
        if (d->cursor[CURSOR_ASKED] || d->cursor[CURSOR_FAMILY] == AF_INET6)
            return 0;
        d->cursor[CURSOR_FAMILY] = AF_INET6;
        d->cursor[CURSOR_IF] = rtnl_first_if(st);
    }
}

/* inet6_rtm_getaddr; of IPv4 Linux has dumps alone. */
int rtnl_addr_one(struct nl_req *rq)
{
    const struct ifaddrmsg *m = rtnl_header(rq, sizeof *m);
    const struct stack *st = rq->sh->st;
    struct nlmsghdr as = {
        .nlmsg_type = RTM_NEWADDR, .nlmsg_seq = rq->nlh->nlmsg_seq, .nlmsg_pid = rq->nl->portid};
    struct nl_out o = nl_answer(rq->sh);
    const struct nlattr *tb[IFA_MAX + 1], *at;
    struct ipaddr a;
    int err;

    if (((const struct rtgenmsg *)rtnl_header(rq, sizeof(struct rtgenmsg)))->rtgen_family != AF_INET6)
        return -EOPNOTSUPP;
    if (!m)
        return -EINVAL;
    err = rtnl_attrs(rq, sizeof *m, tb, IFA_MAX, policy, false);
    if (err)
        return err;
    at = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
    if (!at || rtnl_addr_get(at, AF_INET6, &a))
        return -EINVAL;
    for (unsigned i = rtnl_first_if(st); i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        if (m->ifa_index && rtnl_if(st, (int)m->ifa_index) != (int)i)
            continue;
        ipaddr_set_zone(&a, i + 1);
        for (uint32_t k = 0; k < ifn->naddr; k++)
            if (ipaddr_eq(&ifn->addr[k].addr, &a))
                return rtnl_addr_put_msg(rq->sh, &o, ifn, &ifn->addr[k], &as) ? nl_reply(rq, &o) : -EMSGSIZE;
    }
    return -EADDRNOTAVAIL;
}
