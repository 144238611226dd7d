/* rtnl.c: NETLINK_ROUTE: which handler a message goes to, and what the handlers share (rtnl.h; Linux:
 * net/core/rtnetlink.c). */
#include "rtnl.h"

#include <errno.h>
#include <linux/net_namespace.h>

#define RTM_LAST     123 /* RTM_MAX of Linux 6.18: beyond is unknown, whoever asks */
#define RTNL_NGROUPS 38  /* RTNLGRP_MAX of Linux 6.18 */

enum { KIND_NEW, KIND_DEL, KIND_GET, KIND_SET }; /* the two low bits of a type */

/* Numbers of other network namespaces: a stack knows none (rtnl_net_getid of one that has none). */
static int get_nsid(struct nl_req *rq)
{
    struct nl_out o = nl_answer(rq->sh);
    struct rtgenmsg *g = nlmsg_begin(&o, RTM_NEWNSID, 0, rq->nlh->nlmsg_seq, rq->nl->portid, sizeof *g);

    nla_put_u32(&o, NETNSA_NSID, (uint32_t)NETNSA_NSID_NOT_ASSIGNED);
    return nlmsg_end(&o, g) ? nl_reply(rq, &o) : -EMSGSIZE;
}

static const struct nl_handler handlers[] = {
    {RTM_GETNSID, 0, get_nsid, NULL, NULL},
    {RTM_NEWLINK, NLH_CHANGES, rtnl_link_set, NULL, NULL},
    {RTM_SETLINK, NLH_CHANGES, rtnl_link_set, NULL, NULL},
    {RTM_NEWADDR, NLH_CHANGES, rtnl_addr_new, NULL, NULL},
    {RTM_DELADDR, NLH_CHANGES, rtnl_addr_del, NULL, NULL},
    {RTM_NEWROUTE, NLH_CHANGES, rtnl_route_new, NULL, NULL},
    {RTM_DELROUTE, NLH_CHANGES, rtnl_route_del, NULL, NULL},
    {RTM_GETLINK, NLH_OWN_DONE | NLH_DONE_TELLS, rtnl_link_get, rtnl_link_dump_start, rtnl_link_dump},
    {RTM_GETADDR, NLH_OWN_DONE | NLH_DONE_TELLS, rtnl_addr_one, rtnl_addr_dump_start, rtnl_addr_dump},
    {RTM_GETROUTE, NLH_OWN_DONE | NLH_DONE_TELLS, rtnl_route_get, rtnl_route_dump_start, rtnl_route_dump},
    {RTM_GETNEIGH, NLH_DONE_TELLS, rtnl_neigh_get, rtnl_neigh_dump_start, rtnl_neigh_dump},
    {RTM_NEWNEIGH, NLH_CHANGES, rtnl_neigh_new, NULL, NULL},
    {RTM_DELNEIGH, NLH_CHANGES, rtnl_neigh_del, NULL, NULL},
    {RTM_GETNEIGHTBL, NLH_DONE_TELLS, NULL, rtnl_neightbl_dump_start, rtnl_neightbl_dump},
    {RTM_NEWRULE, NLH_CHANGES, rtnl_rule_new, NULL, NULL},
    {RTM_DELRULE, NLH_CHANGES, rtnl_rule_del, NULL, NULL},
    {RTM_GETRULE, NLH_DONE_TELLS, NULL, rtnl_rule_dump_start, rtnl_rule_dump},
};

/* rtnetlink_rcv_msg. */
static int find(struct nl_req *rq, const struct nl_protocol *p)
{
    uint16_t type = rq->nlh->nlmsg_type;
    int i;

    if (type > RTM_LAST)
        return -EOPNOTSUPP;
    if (rq->nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct rtgenmsg))
        return NL_IGNORE;
    if ((type & 3) != KIND_GET && !nl_may_change(rq->sh))
        return -EPERM;
    i = nl_handler_of(p, type);
    if (i < 0 || ((type & 3) == KIND_GET && (rq->nlh->nlmsg_flags & NLM_F_DUMP) && !p->handlers[i].dump))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: not supported by this stack", NULL);
    return i;
}

const struct nl_protocol rtnl_protocol = {
    .protocol = NETLINK_ROUTE,
    .ngroups = RTNL_NGROUPS,
    .handlers = handlers,
    .n = sizeof handlers / sizeof handlers[0],
    .find = find,
};

int rtnl_if(const struct stack *st, int shown)
{
    int i = stack_if_of(st, shown);

    return i >= (int)rtnl_first_if(st) ? i : -1;
}

int rtnl_if_by_name(const struct stack *st, const char *name)
{
    for (unsigned i = rtnl_first_if(st); i < st->nif; i++)
        if (!strncmp(st->ifn[i].name, name, sizeof st->ifn[i].name))
            return (int)i;
    return -1;
}

const void *rtnl_header(const struct nl_req *rq, uint32_t size)
{
    return rq->nlh->nlmsg_len < NLMSG_HDRLEN + size ? NULL : (const char *)rq->nlh + NLMSG_HDRLEN;
}

int rtnl_attrs(struct nl_req *rq, uint32_t hdr, const struct nlattr *tb[], unsigned max,
               const struct nla_policy *policy, bool strict)
{
    uint32_t at = NLMSG_HDRLEN + NLMSG_ALIGN(hdr), len = rq->nlh->nlmsg_len;

    return nla_parse(tb, max, (const char *)rq->nlh + RTE_MIN(at, len), len > at ? len - at : 0, policy,
                     strict, &rq->why);
}

int rtnl_addr_get(const struct nlattr *a, int family, struct ipaddr *out)
{
    uint32_t v4_be;

    if (nla_len(a) != (family == AF_INET ? 4 : 16))
        return -EINVAL;
    if (family == AF_INET) {
        memcpy(&v4_be, nla_data(a), sizeof v4_be);
        *out = ipaddr_v4(v4_be);
    } else {
        memcpy(out->b, nla_data(a), 16);
        ipaddr_set_zone(out, 0);
    }
    return 0;
}

void rtnl_addr_put(struct nl_out *o, uint16_t type, const struct ipaddr *a)
{
    struct ipaddr wire = ipaddr_unzoned(a);

    if (ipaddr_is_v4(a))
        nla_put(o, type, wire.b + 12, 4);
    else
        nla_put(o, type, wire.b, 16);
}
