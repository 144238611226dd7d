/* rtnl_link_set.c: interfaces by rtnetlink, changed: up, down, MTU (Linux: do_setlink). */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>

#include "arp.h"
#include "ifnet.h"
#include "neigh.h"
#include "route.h"
#include "rtnl.h"
#include "sock_if.h"
#include "wire_ip6.h"

#define MTU_LEAST 68 /* RFC 791 */

static const struct nla_policy policy[IFLA_MAX + 1] = {
    [IFLA_IFNAME] = NLA_STR(IFNAMSIZ - 1),
    [IFLA_ALT_IFNAME] = NLA_STR(127),
    [IFLA_MTU] = NLA_U32,
    [IFLA_EXT_MASK] = NLA_U32,
};

static void forget_routers(struct stack *st, unsigned ifindex)
{
    struct nd_state *s = &st->neigh->nd;

    for (unsigned i = 0; i < RA_ROUTES; i++)
        if (s->route[i].ifindex == ifindex)
            s->route[i].used = 0;
}

/* Routes by an interface go with it (fib_disable_ip), and what was learnt of neighbours. Differs: its
 * addresses of IPv6 stay. */
static void set_down(struct shard *sh, unsigned ifindex)
{
    struct stack *st = sh->st;

    for (uint32_t i = 0; i < route_slots(st); i++) {
        const struct route *r = route_slot(st, i);

        if (r && r->ifindex == ifindex && r->kind == ROUTE_UNICAST)
            route_remove(st, r);
    }
    forget_routers(st, ifindex);
    neigh_flush(sh, ifindex);
    st->ifn[ifindex].up = 0;
    st->ifn[ifindex].rx_odd = st->ifn[ifindex].tx_odd = 1; /* nothing comes and goes any more */
    ifnet_changed(st, ifindex);
}

static void set_up(struct shard *sh, unsigned ifindex)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];

    ifn->up = 1;
    ifn->rx_odd = ifn->except_if || ifn->except_of;
    ifn->tx_odd = ifn->vlan_id || ifn->except_if;
    for (uint32_t i = 0; i < ifn->naddr; i++)
        route_add_by(sh->st, &ifn->addr[i].addr, ifn->addr[i].prefix_len, NULL, ifindex, ROUTE_BY_KERNEL);
    ifnet_changed(sh->st, ifindex);
    arp_announce_start(sh);
}

int rtnl_link_up(struct shard *sh, unsigned ifindex, bool up)
{
    if (sh->st->ifn[ifindex].up == up)
        return 0;
    if (up)
        set_up(sh, ifindex);
    else
        set_down(sh, ifindex);
    return 0;
}

int rtnl_link_mtu(struct shard *sh, unsigned ifindex, uint32_t mtu)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];

    if (mtu < MTU_LEAST || mtu > ifn->mtu_max)
        return -EINVAL;
    ifn->mtu = mtu;
    for (uint32_t i = 0; mtu < IP6_MIN_MTU && i < ifn->naddr;) { /* RFC 8200 section 5 */
        struct ipaddr a = ifn->addr[i].addr;

        if (ipaddr_is_v4(&a))
            i++;
        else
            stack_del_addr(sh->st, ifindex, &a);
    }
    ifnet_changed(sh->st, ifindex);
    return 0;
}

/* What is asked for besides is refused, before anything is done. */
static int refuse_rest(struct nl_req *rq, const struct ifinfomsg *m, const struct nlattr *all[],
                       const struct ifnet *ifn)
{
    char name[IFNAMSIZ];

    for (unsigned i = 1; i <= IFLA_MAX; i++)
        if (all[i] && i != IFLA_MTU && i != IFLA_IFNAME && i != IFLA_ALT_IFNAME && i != IFLA_EXT_MASK)
            return nl_refuse(rq, -EOPNOTSUPP, "shunt: of a link only up, down and the mtu can be set",
                             all[i]);
    if (all[IFLA_IFNAME] && m->ifi_index > 0 && /* with a number it is a new name */
        (!nla_str(all[IFLA_IFNAME], name, sizeof name) || strcmp(name, ifn->name)))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: a link keeps its name", all[IFLA_IFNAME]);
    if ((m->ifi_flags ^ sock_if_flags(ifn)) & m->ifi_change & ~(unsigned)IFF_UP)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: of a link's flags only up can be set", NULL);
    return 0;
}

static int find(struct nl_req *rq, const struct ifinfomsg *m, const struct nlattr *tb[])
{
    const struct nlattr *name = tb[IFLA_IFNAME] ? tb[IFLA_IFNAME] : tb[IFLA_ALT_IFNAME];
    char text[128];

    if (m->ifi_index > 0)
        return rtnl_if(rq->sh->st, m->ifi_index);
    return name && nla_str(name, text, sizeof text) ? rtnl_if_by_name(rq->sh->st, text) : -1;
}

int rtnl_link_set(struct nl_req *rq)
{
    const struct ifinfomsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[IFLA_MAX + 1], *all[IFLA_MAX + 1];
    unsigned change;
    int err, i;

    if (!m)
        return -EINVAL;
    err = rtnl_attrs(rq, sizeof *m, tb, IFLA_MAX, policy, false);
    if (!err)
        err = rtnl_attrs(rq, sizeof *m, all, IFLA_MAX, NULL, false);
    if (err)
        return err;
    i = find(rq, m, tb);
    if (i < 0 && (rq->nlh->nlmsg_flags & NLM_F_CREATE) && m->ifi_index <= 0)
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: links are given when the stack starts (--link)", NULL);
    if (i < 0)
        return -ENODEV;
    if ((rq->nlh->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL)) == (NLM_F_CREATE | NLM_F_EXCL))
        return -EEXIST;
    change = m->ifi_change ? m->ifi_change : ~0u;
    if (m->ifi_flags == 0 && m->ifi_change == 0)
        change = 0; /* rtnl_setlink: nothing of the flags is meant */
    err = refuse_rest(rq, m, all, &rq->sh->st->ifn[i]);
    if (err)
        return err;
    if (tb[IFLA_MTU] && nla_u32(tb[IFLA_MTU]) > rq->sh->st->ifn[i].mtu_max)
        return nl_refuse(rq, -EINVAL, "mtu greater than device maximum", NULL);
    if (tb[IFLA_MTU] && rtnl_link_mtu(rq->sh, (unsigned)i, nla_u32(tb[IFLA_MTU])))
        return nl_refuse(rq, -EINVAL, "mtu less than device minimum", NULL);
    return change & IFF_UP ? rtnl_link_up(rq->sh, (unsigned)i, m->ifi_flags & IFF_UP) : 0;
}
