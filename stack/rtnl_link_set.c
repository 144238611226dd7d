/* rtnl_link_set.c: interfaces by rtnetlink, changed: up, down, flags, MTU, name, alias (Linux: do_setlink).
 */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <stdio.h>

#include "arp.h"
#include "ifnet.h"
#include "neigh.h"
#include "route.h"
#include "rtnl.h"
#include "sock_if.h"
#include "wire_eth.h"
#include "wire_ip6.h"

#define MTU_LEAST 68 /* RFC 791 */

/* Of IFF_*, beside IFF_UP (__dev_change_flags). All but IFF_NOARP and IFF_UP are shown alone: ports take
 * every frame as it is, and groups are not filtered. */
#define CAN_SET                                                                                              \
    (IFF_DEBUG | IFF_NOTRAILERS | IFF_NOARP | IFF_DYNAMIC | IFF_MULTICAST | IFF_PORTSEL | IFF_AUTOMEDIA |    \
     IFF_PROMISC | IFF_ALLMULTI)

static const struct nla_policy policy[IFLA_MAX + 1] = {
    [IFLA_IFNAME] = NLA_STR(IFNAMSIZ - 1),
    [IFLA_ALT_IFNAME] = NLA_STR(127),
    [IFLA_MTU] = NLA_U32,
    [IFLA_TXQLEN] = NLA_U32,
    [IFLA_IFALIAS] = NLA_STR(255),
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

int rtnl_link_flags(struct shard *sh, unsigned ifindex, unsigned flags, unsigned change)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    unsigned news = (flags ^ sock_if_flags(ifn)) & change & CAN_SET;

    ifn->flipped ^= news;
    if (news & IFF_NOARP && !(ifn->caps & NETDEV_LOOPBACK)) {
        ifn->caps = ifn->flipped & IFF_NOARP ? ifn->caps | NETDEV_NOARP : ifn->caps & ~(uint32_t)NETDEV_NOARP;
        neigh_flush(sh, ifindex);
    }
    if (news)
        ifnet_changed(sh->st, ifindex);
    return change & IFF_UP ? rtnl_link_up(sh, ifindex, flags & IFF_UP) : 0;
}

/* dev_valid_name. */
static bool is_name(const char *s)
{
    if (!*s || strlen(s) >= IFNAMSIZ || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return false;
    return !strpbrk(s, "/:% \t\n\v\f\r"); /* Differs: no numbers are made of "%d" */
}

int rtnl_link_rename(struct shard *sh, unsigned ifindex, const char *name)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    int other;

    if (!is_name(name))
        return -EINVAL;
    other = rtnl_if_by_name(sh->st, name);
    if (other >= 0)
        return (unsigned)other == ifindex ? 0 : -EEXIST;
    snprintf(ifn->name, sizeof ifn->name, "%s", name);
    ifnet_changed(sh->st, ifindex);
    return 0;
}

/* What is asked for besides is refused, before anything is done. */
static int refuse_rest(struct nl_req *rq, const struct nlattr *all[], const struct ifnet *ifn)
{
    static const uint8_t can[] = {IFLA_MTU,    IFLA_IFNAME,  IFLA_ALT_IFNAME, IFLA_EXT_MASK,
                                  IFLA_TXQLEN, IFLA_IFALIAS, IFLA_ADDRESS};
    const struct nlattr *mac = all[IFLA_ADDRESS];

    for (unsigned i = 1; i <= IFLA_MAX; i++)
        if (all[i] && !memchr(can, (int)i, sizeof can))
            return nl_refuse(rq, -EOPNOTSUPP, "shunt: this can't be set of a link of a stack", all[i]);
    if (mac && (nla_len(mac) < ETH_ADDR_LEN || memcmp(nla_data(mac), ifn->mac, ETH_ADDR_LEN) != 0))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: a link keeps its address (--mac)", mac);
    if (all[IFLA_IFALIAS] && nla_len(all[IFLA_IFALIAS]) >= sizeof ifn->alias)
        return nl_refuse(rq, -ERANGE, "Attribute failed policy validation", all[IFLA_IFALIAS]);
    return 0;
}

/* Name, alias, length of the queue. */
static int set_names(struct nl_req *rq, unsigned i, const struct ifinfomsg *m, const struct nlattr *tb[])
{
    struct ifnet *ifn = &rq->sh->st->ifn[i];
    char name[IFNAMSIZ];
    int err = 0;

    if (tb[IFLA_IFNAME] && m->ifi_index > 0) /* with a number it is a new name */
        err = nla_str(tb[IFLA_IFNAME], name, sizeof name) ? rtnl_link_rename(rq->sh, i, name) : -EINVAL;
    if (!err && tb[IFLA_IFALIAS] && !nla_str(tb[IFLA_IFALIAS], ifn->alias, sizeof ifn->alias))
        err = -EINVAL;
    if (!err && tb[IFLA_TXQLEN])
        ifn->txqlen = nla_u32(tb[IFLA_TXQLEN]);
    if (!err && (tb[IFLA_IFALIAS] || tb[IFLA_TXQLEN]))
        ifnet_changed(rq->sh->st, i);
    return err;
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
    err = refuse_rest(rq, all, &rq->sh->st->ifn[i]);
    if (err)
        return err;
    if (tb[IFLA_MTU] && nla_u32(tb[IFLA_MTU]) > rq->sh->st->ifn[i].mtu_max)
        return nl_refuse(rq, -EINVAL, "mtu greater than device maximum", NULL);
    if (tb[IFLA_MTU] && rtnl_link_mtu(rq->sh, (unsigned)i, nla_u32(tb[IFLA_MTU])))
        return nl_refuse(rq, -EINVAL, "mtu less than device minimum", NULL);
    err = set_names(rq, (unsigned)i, m, tb);
    return err ? err : rtnl_link_flags(rq->sh, (unsigned)i, m->ifi_flags, change);
}
