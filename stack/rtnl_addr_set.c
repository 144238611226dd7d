/* rtnl_addr_set.c: addresses by rtnetlink, changed: RTM_NEWADDR, RTM_DELADDR (Linux: inet_rtm_newaddr,
 * inet6_rtm_newaddr and their like). */
#include <errno.h>
#include <linux/if_addr.h>

#include "arp.h"
#include "ifnet.h"
#include "ip.h"
#include "rtnl.h"

static const struct nla_policy policy[IFA_MAX + 1] = {
    [IFA_ADDRESS] = NLA_BYTES(4),
    [IFA_LOCAL] = NLA_BYTES(4),
    [IFA_BROADCAST] = NLA_BYTES(4),
    [IFA_LABEL] = NLA_STR(15),
    [IFA_CACHEINFO] = NLA_BYTES(sizeof(struct ifa_cacheinfo)),
    [IFA_FLAGS] = NLA_U32,
};

/* An address that a request is about. */
struct about {
    struct ipaddr addr;
    unsigned ifindex;
    uint8_t prefix_len;
    uint32_t flags;                /* IFA_F_* */
    uint32_t preferred_s, valid_s; /* UINT32_MAX: for ever */
    bool v4;
};

static const char *words(const struct about *a, const char *v4, const char *v6)
{
    return a->v4 ? v4 : v6;
}

static int take_addr(struct nl_req *rq, const struct ifaddrmsg *m, const struct nlattr *tb[], struct about *a)
{
    const struct nlattr *own = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : a->v4 ? NULL : tb[IFA_ADDRESS];
    struct ipaddr peer;

    if (!own)
        return nl_refuse(rq, -EINVAL, words(a, "ipv4: Local address is not supplied", NULL), NULL);
    if (m->ifa_prefixlen > (a->v4 ? 32 : 128))
        return nl_refuse(rq, -EINVAL, words(a, "ipv4: Invalid prefix length", "ipv6: Invalid prefix length"),
                         NULL);
    if (rtnl_addr_get(own, m->ifa_family, &a->addr))
        return nl_refuse(rq, -EINVAL, "address of another length", own);
    if (tb[IFA_ADDRESS] && tb[IFA_LOCAL] &&
        (rtnl_addr_get(tb[IFA_ADDRESS], m->ifa_family, &peer) || !ipaddr_eq(&peer, &a->addr)))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: no addresses with a peer", tb[IFA_ADDRESS]);
    return 0;
}

static int take_lifetime(struct nl_req *rq, const struct nlattr *at, struct about *a)
{
    struct ifa_cacheinfo ci;

    a->preferred_s = a->valid_s = UINT32_MAX;
    if (!at)
        return 0;
    memcpy(&ci, nla_data(at), sizeof ci);
    if (!ci.ifa_valid || ci.ifa_prefered > ci.ifa_valid)
        return nl_refuse(rq, -EINVAL,
                         words(a, "ipv4: address lifetime invalid", "ipv6: address lifetime invalid"), at);
    a->preferred_s = ci.ifa_prefered;
    a->valid_s = ci.ifa_valid;
    return 0;
}

static int take(struct nl_req *rq, struct about *a)
{
    const struct ifaddrmsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[IFA_MAX + 1];
    int err, i;

    if (!m)
        return -EINVAL;
    if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: addresses are of IPv4 and IPv6 alone", NULL);
    memset(a, 0, sizeof *a);
    a->v4 = m->ifa_family == AF_INET;
    err = rtnl_attrs(rq, sizeof *m, tb, IFA_MAX, policy, false);
    if (!err)
        err = take_addr(rq, m, tb, a);
    if (!err)
        err = take_lifetime(rq, tb[IFA_CACHEINFO], a);
    if (err)
        return err;
    i = rtnl_if(rq->sh->st, (int)m->ifa_index);
    if (i < 0)
        return nl_refuse(rq, -ENODEV,
                         words(a, "ipv4: Device not found", "ipv6: Unable to find the interface"), NULL);
    ipaddr_set_zone(&a->addr, (unsigned)i + 1);
    a->ifindex = (unsigned)i;
    a->prefix_len = m->ifa_prefixlen;
    a->flags = tb[IFA_FLAGS] ? nla_u32(tb[IFA_FLAGS]) : m->ifa_flags;
    return 0;
}

static struct ifaddr *find(struct stack *st, const struct about *a)
{
    struct ifnet *ifn = &st->ifn[a->ifindex];

    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, &a->addr))
            return &ifn->addr[i];
    return NULL;
}

static uint64_t until(const struct shard *sh, uint32_t seconds)
{
    return seconds == UINT32_MAX ? 0 : RTE_MAX(shard_ms(sh) + (uint64_t)seconds * 1000, (uint64_t)1);
}

static void set_lifetime(struct shard *sh, const struct about *a, struct ifaddr *ia)
{
    ia->preferred_ms = until(sh, a->preferred_s);
    ia->valid_ms = until(sh, a->valid_s);
}

int rtnl_addr_new(struct nl_req *rq)
{
    uint16_t flags = rq->nlh->nlmsg_flags;
    struct shard *sh = rq->sh;
    struct ifaddr *ia;
    struct about a;
    int err = take(rq, &a);

    if (err)
        return err;
    ia = find(sh->st, &a);
    if (ia && ((flags & NLM_F_EXCL) || !(flags & NLM_F_REPLACE)))
        return nl_refuse(rq, -EEXIST,
                         words(&a, "ipv4: Address already assigned", "ipv6: address already assigned"), NULL);
    if (!ia) {
        err = stack_add_addr(sh->st, a.ifindex, &a.addr, a.prefix_len);
        if (err == -ENOBUFS)
            return nl_refuse(rq, err, "shunt: the interface has no room for more addresses", NULL);
        if (err)
            return err;
        ia = find(sh->st, &a);
        if (a.v4 || (a.flags & IFA_F_NODAD)) /* Linux does not probe IPv4's; it is announced */
            ia->state = IFADDR_VALID;
    }
    set_lifetime(sh, &a, ia);
    ifnet_changed(sh->st, a.ifindex);
    arp_announce_start(sh);
    return 0;
}

int rtnl_addr_del(struct nl_req *rq)
{
    const struct ifaddr *ia;
    struct about a;
    int err = take(rq, &a);

    if (err)
        return err;
    ia = find(rq->sh->st, &a);
    if (!ia || (ia->prefix_len != a.prefix_len && a.prefix_len))
        return nl_refuse(rq, -EADDRNOTAVAIL, words(&a, "ipv4: Address not found", "ipv6: address not found"),
                         NULL);
    return stack_del_addr(rq->sh->st, a.ifindex, &a.addr);
}
