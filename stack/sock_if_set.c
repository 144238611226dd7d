/* sock_if_set.c: the ioctls of man 7 netdevice, route(8), ifconfig(8) and arp(8) that change something: what
 * rtnetlink changes (rtnl.h), asked for in the old way. For the stack's owner and root (Linux: devinet_ioctl,
 * ip_rt_ioctl, arp_ioctl, dev_ifsioc, ipv6_route_ioctl, addrconf_add_ifaddr).
 */
#include <errno.h>
#include <linux/if.h>
#include <linux/ipv6.h>
#include <linux/ipv6_route.h>
#include <linux/route.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>

#include "arp.h"
#include "ifnet.h"
#include "neigh.h"
#include "netlink.h"
#include "route.h"
#include "rtnl.h"
#include "sock_if.h"
#include "user.h"

/* The prefix length of a mask; -1: it has holes. */
static int mask_len(uint32_t mask_be)
{
    uint32_t m = ntohl(mask_be);

    return (~m & (~m + 1)) ? -1 : __builtin_popcount(m);
}

/* The one that an address had before CIDR (inet_abc_len). */
static uint8_t class_len(uint32_t addr_be)
{
    uint32_t top = ntohl(addr_be) >> 24;

    return top < 128 ? 8 : top < 192 ? 16 : 24;
}

static struct sockaddr_in as_in(const struct sockaddr *sa)
{
    struct sockaddr_in in;

    memcpy(&in, sa, sizeof in);
    return in;
}

/* ---- routes ---- */

/* rtentry_to_fib_config. */
static int take_route4(const struct stack *st, const struct rtentry *rt, bool del, struct route *r)
{
    struct sockaddr_in dst = as_in(&rt->rt_dst), gw = as_in(&rt->rt_gateway), mask = as_in(&rt->rt_genmask);
    struct ipaddr via = IPADDR_ANY;
    char name[IFNAMSIZ] = "";
    int plen = 32, i = -1;

    if (dst.sin_family != AF_INET)
        return -EAFNOSUPPORT;
    if (!(rt->rt_flags & RTF_HOST)) {
        if (mask.sin_family != AF_INET && (mask.sin_addr.s_addr || mask.sin_family))
            return -EAFNOSUPPORT;
        plen = mask_len(mask.sin_addr.s_addr);
        if (plen < 0 || (dst.sin_addr.s_addr & ~mask.sin_addr.s_addr))
            return -EINVAL;
    }
    if (rt->rt_dev) {
        if (!user_copy(name, rt->rt_dev, sizeof name - 1))
            return -EFAULT;
        i = rtnl_if_by_name(st, name);
        if (i < 0)
            return -ENODEV;
    }
    if (gw.sin_family == AF_INET && gw.sin_addr.s_addr && (rt->rt_flags & RTF_GATEWAY || del))
        via = ipaddr_v4(gw.sin_addr.s_addr);
    if (!del && (rt->rt_flags & RTF_GATEWAY) && ipaddr_is_any(&via))
        return -EINVAL;
    *r = (struct route){.net = ipaddr_v4(dst.sin_addr.s_addr),
                        .via = via,
                        .plen = (uint8_t)(96 + plen),
                        .kind = rt->rt_flags & RTF_REJECT ? ROUTE_UNREACHABLE : ROUTE_UNICAST,
                        .proto = ROUTE_BY_USER,
                        .metric = rt->rt_metric > 0 ? (uint32_t)rt->rt_metric - 1 : 0};
    r->ifindex = i < 0 ? UINT8_MAX : (uint8_t)i;
    return 0;
}

static int take_route6(const struct stack *st, const struct in6_rtmsg *rt, struct route *r)
{
    int i = rt->rtmsg_ifindex ? rtnl_if(st, rt->rtmsg_ifindex) : -1;

    if (rt->rtmsg_dst_len > 128 || rt->rtmsg_src_len)
        return -EINVAL;
    if (rt->rtmsg_ifindex && i < 0)
        return -ENODEV;
    *r = (struct route){.plen = (uint8_t)rt->rtmsg_dst_len,
                        .kind = rt->rtmsg_flags & RTF_REJECT ? ROUTE_UNREACHABLE : ROUTE_UNICAST,
                        .proto = ROUTE_BY_USER,
                        .metric = rt->rtmsg_metric ? rt->rtmsg_metric : ROUTE_METRIC6_USER};
    memcpy(r->net.b, &rt->rtmsg_dst, 16);
    memcpy(r->via.b, &rt->rtmsg_gateway, 16);
    ipaddr_set_zone(&r->net, i < 0 ? 0 : (unsigned)i + 1);
    ipaddr_set_zone(&r->via, i < 0 ? 0 : (unsigned)i + 1);
    r->ifindex = i < 0 ? UINT8_MAX : (uint8_t)i;
    return 0;
}

static int add_route(struct stack *st, struct route *r, uint32_t mtu)
{
    struct route_extra e = {.metric[RTAX_MTU] = mtu};
    const struct route *by;

    if (r->kind != ROUTE_UNICAST) {
        r->ifindex = 0;
        r->via = IPADDR_ANY;
    } else if (r->ifindex == UINT8_MAX) {
        by = ipaddr_is_any(&r->via) ? NULL : route_lookup(st, &r->via, 0);
        if (!by)
            return ipaddr_is_any(&r->via) ? -ENODEV : -ENETUNREACH;
        r->ifindex = by->ifindex;
    }
    if (r->kind == ROUTE_UNICAST && !st->ifn[r->ifindex].up)
        return -ENETDOWN;
    return route_insert(st, r, mtu ? &e : NULL, ipaddr_is_v4(&r->net));
}

static int del_route(struct stack *st, const struct route *like)
{
    const struct route *r = NULL;

    while ((r = route_exact(st, RT_TABLE_MAIN, &like->net, like->plen, r)))
        if ((like->ifindex == UINT8_MAX || r->ifindex == like->ifindex) &&
            (ipaddr_is_any(&like->via) || ipaddr_eq(&r->via, &like->via))) {
            route_remove(st, r);
            return 0;
        }
    return -ESRCH;
}

static int set_route(struct stack *st, int domain, unsigned long req, void *arg)
{
    bool del = req == SIOCDELRT;
    struct in6_rtmsg rt6;
    struct rtentry rt;
    struct route r;
    int err;

    if (domain == AF_INET6) {
        if (!user_copy(&rt6, arg, sizeof rt6))
            return -EFAULT;
        err = take_route6(st, &rt6, &r);
    } else {
        if (!user_copy(&rt, arg, sizeof rt))
            return -EFAULT;
        err = take_route4(st, &rt, del, &r);
    }
    if (err)
        return err;
    if (del)
        return del_route(st, &r);
    return add_route(st, &r, domain != AF_INET6 && (rt.rt_flags & RTF_MTU) ? (uint32_t)rt.rt_mtu : 0);
}

/* ---- addresses ---- */

static struct ifaddr *first4(struct ifnet *ifn)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_is_v4(&ifn->addr[i].addr))
            return &ifn->addr[i];
    return NULL;
}

/* The interface's first address becomes this one; 0.0.0.0: it goes. */
static int set_addr4(struct shard *sh, unsigned ifindex, uint32_t addr_be, uint8_t plen)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct ifaddr *old = first4(ifn);
    struct ipaddr a = ipaddr_v4(addr_be), was;
    int err;

    if (old && ipaddr_eq(&old->addr, &a) && old->prefix_len == plen)
        return 0;
    if (old) {
        was = old->addr;
        stack_del_addr(sh->st, ifindex, &was);
    }
    if (!addr_be)
        return 0;
    err = stack_add_addr(sh->st, ifindex, &a, plen);
    if (!err) {
        ifn->addr[ifn->naddr - 1].state = IFADDR_VALID; /* Linux does not probe it; it is announced */
        ifnet_changed(sh->st, ifindex);
        arp_announce_start(sh);
    }
    return err;
}

static int set_addr6(struct shard *sh, unsigned long req, void *arg)
{
    struct in6_ifreq r;
    struct ipaddr a;
    int i, err;

    if (!user_copy(&r, arg, sizeof r))
        return -EFAULT;
    i = rtnl_if(sh->st, r.ifr6_ifindex);
    if (i < 0)
        return -ENODEV;
    memcpy(a.b, &r.ifr6_addr, 16);
    ipaddr_set_zone(&a, (unsigned)i + 1);
    if (req == SIOCDIFADDR)
        return stack_del_addr(sh->st, (unsigned)i, &a);
    err =
        r.ifr6_prefixlen > 128 ? -EINVAL : stack_add_addr(sh->st, (unsigned)i, &a, (uint8_t)r.ifr6_prefixlen);
    arp_announce_start(sh);
    return err;
}

/* ---- interfaces ---- */

static int set_if(struct shard *sh, unsigned long req, void *arg)
{
    struct ifaddr *first;
    struct sockaddr_in in;
    struct ifreq r;
    int i, plen;

    if (!user_copy(&r, arg, sizeof r))
        return -EFAULT;
    r.ifr_name[IFNAMSIZ - 1] = 0;
    i = rtnl_if_by_name(sh->st, r.ifr_name);
    if (i < 0)
        return -ENODEV;
    first = first4(&sh->st->ifn[i]);
    in = as_in(&r.ifr_addr);
    switch (req) {
    case SIOCSIFFLAGS:
        return rtnl_link_flags(sh, (unsigned)i, (unsigned short)r.ifr_flags, UINT16_MAX);
    case SIOCSIFNAME:
        r.ifr_newname[IFNAMSIZ - 1] = 0;
        return rtnl_link_rename(sh, (unsigned)i, r.ifr_newname);
    case SIOCSIFTXQLEN:
        if (r.ifr_qlen < 0)
            return -EINVAL;
        sh->st->ifn[i].txqlen = (uint32_t)r.ifr_qlen;
        ifnet_changed(sh->st, (unsigned)i);
        return 0;
    case SIOCSIFMTU:
        return rtnl_link_mtu(sh, (unsigned)i, r.ifr_mtu < 0 ? 0 : (uint32_t)r.ifr_mtu);
    case SIOCSIFADDR:
        if (in.sin_family != AF_INET)
            return -EINVAL;
        return set_addr4(sh, (unsigned)i, in.sin_addr.s_addr, class_len(in.sin_addr.s_addr));
    default: /* SIOCSIFNETMASK */
        plen = mask_len(in.sin_addr.s_addr);
        if (!first)
            return -EADDRNOTAVAIL;
        return plen < 0 ? -EINVAL : set_addr4(sh, (unsigned)i, ipaddr_get_v4(&first->addr), (uint8_t)plen);
    }
}

/* ---- neighbours ---- */

static int set_arp(struct shard *sh, unsigned long req, void *arg)
{
    struct sockaddr_in in;
    const struct route *by;
    struct neigh *n;
    struct arpreq r;
    struct ipaddr a;
    int i;

    if (!user_copy(&r, arg, sizeof r))
        return -EFAULT;
    memcpy(&in, &r.arp_pa, sizeof in);
    if (in.sin_family != AF_INET)
        return -EPFNOSUPPORT;
    if (r.arp_flags & ATF_PUBL)
        return -EOPNOTSUPP; /* no proxies */
    a = ipaddr_v4(in.sin_addr.s_addr);
    r.arp_dev[sizeof r.arp_dev - 1] = 0;
    by = r.arp_dev[0] ? NULL : route_lookup(sh->st, &a, 0);
    i = r.arp_dev[0] ? rtnl_if_by_name(sh->st, r.arp_dev) : by && !by->kind ? by->ifindex : -1;
    if (i < 0)
        return r.arp_dev[0] ? -ENODEV : -ENETUNREACH;
    n = neigh_find(sh->st, (unsigned)i, &a);
    if (req == SIOCDARP) {
        if (!n || n->state == NEIGH_NONE)
            return -ENXIO;
        neigh_forget(sh, n);
        return 0;
    }
    if (r.arp_ha.sa_family != ARPHRD_ETHER)
        return -EINVAL;
    n = neigh_get(sh, (unsigned)i, &a);
    if (!n)
        return -ENOBUFS;
    neigh_set(sh, n, (const uint8_t *)r.arp_ha.sa_data,
              r.arp_flags & ATF_PERM ? NEIGH_PERMANENT : NEIGH_STALE);
    return 0;
}

int sock_if_set(struct shard *sh, int domain, unsigned long req, void *arg)
{
    bool v4 = domain == AF_INET || domain == AF_PACKET;

    switch (req) {
    case SIOCADDRT:
    case SIOCDELRT:
        if (!v4 && domain != AF_INET6)
            return 1;
        return nl_may_change(sh) ? set_route(sh->st, domain, req, arg) : -EPERM;
    case SIOCSARP:
    case SIOCDARP:
        if (!v4)
            return 1;
        return nl_may_change(sh) ? set_arp(sh, req, arg) : -EPERM;
    case SIOCSIFADDR:
    case SIOCDIFADDR:
        if (domain == AF_INET6)
            return nl_may_change(sh) ? set_addr6(sh, req, arg) : -EPERM;
        if (req == SIOCDIFADDR)
            return 1;
        /* fall through */
    case SIOCSIFNETMASK:
        if (!v4)
            return 1;
        /* fall through */
    case SIOCSIFFLAGS:
    case SIOCSIFMTU:
    case SIOCSIFNAME:
    case SIOCSIFTXQLEN:
        return nl_may_change(sh) ? set_if(sh, req, arg) : -EPERM;
    default:
        return 1;
    }
}
