/* rtnl_rule.c: rules by rtnetlink: the stack has those that Linux starts with, and no others (fib_rules.c).
 */
#include <errno.h>
#include <linux/fib_rules.h>

#include "rtnl.h"

#define NO_LIMIT      UINT32_MAX /* FRA_SUPPRESS_PREFIXLEN */
#define ATTR_PROTOCOL 21         /* FRA_PROTOCOL */

static const struct {
    uint8_t family, table;
    uint32_t priority;
} rules[] = {
    {AF_INET, RT_TABLE_LOCAL, 0},  {AF_INET, RT_TABLE_MAIN, 32766},  {AF_INET, RT_TABLE_DEFAULT, 32767},
    {AF_INET6, RT_TABLE_LOCAL, 0}, {AF_INET6, RT_TABLE_MAIN, 32766},
};
#define NRULES (sizeof rules / sizeof rules[0])

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
    for (; d->cursor[0] < NRULES; d->cursor[0]++) {
        uint64_t i = d->cursor[0];
        struct fib_rule_hdr *m;

        if ((d->cursor[1] == AF_INET || d->cursor[1] == AF_INET6) && d->cursor[1] != rules[i].family)
            continue;
        m = nlmsg_begin(o, RTM_NEWRULE, NLM_F_MULTI, d->seq, d->portid, sizeof *m);
        if (!m)
            return 1;
        m->family = rules[i].family;
        m->table = rules[i].table;
        m->action = FR_ACT_TO_TBL;
        nla_put_u32(o, FRA_TABLE, rules[i].table);
        nla_put_u32(o, FRA_SUPPRESS_PREFIXLEN, NO_LIMIT);
        nla_put_u8(o, ATTR_PROTOCOL, RTPROT_KERNEL);
        if (rules[i].priority)
            nla_put_u32(o, FRA_PRIORITY, rules[i].priority);
        if (!nlmsg_end(o, m))
            return 1;
    }
    return 0;
}
