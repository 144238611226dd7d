/* rtnl_tell.c: notifications of rtnetlink: what `ip monitor` shows (Linux: rtmsg_ifinfo, rtmsg_ifa,
 * rtmsg_fib, __neigh_notify).
 *
 * Theory of operation. Routes and neighbours were noted when they changed (notes.h). Interfaces and addresses
 * are compared with what was told last, when if_gen says that something may have changed: so nothing below
 * needs to know which of its changes matter. An address is told of once it is probed, as of Linux's.
 */
#include <errno.h>
#include <linux/if_addr.h>

#include "netlink_table.h"
#include "notes.h"
#include "rtnl_neigh.h"
#include "rtnl_route.h"
#include "sock_if.h"

/* An interface as it was told. */
struct told_if {
    char name[16];
    unsigned flags;
    uint32_t mtu, naddr;
    struct ifaddr addr[IFADDR_MAX];
};

struct rtnl_told {
    uint32_t gen; /* if_gen of then; 0: nothing was told */
    uint32_t nif;
    struct told_if ifs[NETDEV_MAX];
};

int rtnl_told_init(struct shard *sh)
{
    sh->netlink->told = seg_alloc(sh->st->seg, sizeof *sh->netlink->told, 64);
    return sh->netlink->told ? 0 : -ENOMEM;
}

static bool listens(const struct shard *sh, unsigned group)
{
    return nl_has_members(sh, NETLINK_ROUTE, group);
}

static void remember(struct told_if *t, const struct ifnet *ifn)
{
    t->flags = sock_if_flags(ifn);
    memcpy(t->name, ifn->name, sizeof t->name);
    t->mtu = ifn->mtu;
    t->naddr = 0;
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ifn->addr[i].state != IFADDR_TENTATIVE)
            t->addr[t->naddr++] = ifn->addr[i];
}

static void remember_all(struct shard *sh)
{
    struct rtnl_told *t = sh->netlink->told;

    for (unsigned i = 0; i < sh->st->nif; i++)
        remember(&t->ifs[i], &sh->st->ifn[i]);
    t->nif = sh->st->nif;
    t->gen = sh->st->if_gen;
}

void rtnl_members_changed(struct shard *sh)
{
    uint32_t listened = 0;

    if (listens(sh, RTNLGRP_LINK) || listens(sh, RTNLGRP_IPV4_IFADDR) || listens(sh, RTNLGRP_IPV6_IFADDR))
        listened |= LISTEN_IF;
    if (listens(sh, RTNLGRP_IPV4_ROUTE) || listens(sh, RTNLGRP_IPV6_ROUTE))
        listened |= LISTEN_ROUTE;
    if (listens(sh, RTNLGRP_NEIGH))
        listened |= LISTEN_NEIGH;
    if (listened && !sh->st->listened)
        remember_all(sh);
    if (!listened) {
        sh->st->notes->n = 0;
        sh->st->notes->lost = false;
    }
    sh->st->listened = listened;
}

/* ---- interfaces and addresses ---- */

static void tell_link(struct shard *sh, const struct ifnet *ifn, unsigned change, struct nlmsghdr as)
{
    struct nl_out o = nl_answer(sh);

    as.nlmsg_type = RTM_NEWLINK;
    if (rtnl_link_put(sh->st, &o, ifn, &as, change))
        nl_publish(sh, NETLINK_ROUTE, RTNLGRP_LINK, &o);
}

static void tell_addr(struct shard *sh, const struct ifnet *ifn, const struct ifaddr *a, uint16_t type,
                      struct nlmsghdr as)
{
    struct nl_out o = nl_answer(sh);

    as.nlmsg_type = type;
    if (rtnl_addr_put_msg(sh, &o, ifn, a, &as))
        nl_publish(sh, NETLINK_ROUTE, ipaddr_is_v4(&a->addr) ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR, &o);
}

/* a's like in the list; NULL: it is not there. */
static const struct ifaddr *find(const struct ifaddr *list, uint32_t n, const struct ifaddr *a)
{
    for (uint32_t i = 0; i < n; i++)
        if (ipaddr_eq(&list[i].addr, &a->addr) && list[i].prefix_len == a->prefix_len)
            return &list[i];
    return NULL;
}

static void tell_addrs(struct shard *sh, const struct ifnet *ifn, const struct told_if *t,
                       const struct nlmsghdr *as)
{
    for (uint32_t i = 0; i < t->naddr; i++)
        if (!find(ifn->addr, ifn->naddr, &t->addr[i]))
            tell_addr(sh, ifn, &t->addr[i], RTM_DELADDR, *as);
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *a = &ifn->addr[i], *was = find(t->addr, t->naddr, a);

        if (a->state != IFADDR_TENTATIVE && (!was || was->state != a->state || was->valid_ms != a->valid_ms ||
                                             was->preferred_ms != a->preferred_ms))
            tell_addr(sh, ifn, a, RTM_NEWADDR, *as);
    }
}

static void tell_ifs(struct shard *sh, const struct nlmsghdr *as)
{
    struct rtnl_told *t = sh->netlink->told;

    for (unsigned i = rtnl_first_if(sh->st); i < sh->st->nif; i++) {
        const struct ifnet *ifn = &sh->st->ifn[i];
        unsigned change;

        if (i >= t->nif)
            t->ifs[i] = (struct told_if){.naddr = 0};
        change = sock_if_flags(ifn) ^ t->ifs[i].flags;
        if (i >= t->nif || change || ifn->mtu != t->ifs[i].mtu || strcmp(ifn->name, t->ifs[i].name) != 0)
            tell_link(sh, ifn, i >= t->nif ? ~0u : change, *as);
        tell_addrs(sh, ifn, &t->ifs[i], as);
    }
    remember_all(sh);
}

/* ---- routes and neighbours ---- */

/* The address that made a route which went with it: known from what was told before. */
static struct ipaddr maker_of(const struct rtnl_told *told, const struct route *r)
{
    const struct told_if *t = &told->ifs[r->ifindex];

    for (uint32_t i = 0; i < t->naddr; i++)
        if (ipaddr_plen128(&t->addr[i].addr, t->addr[i].prefix_len) == r->plen &&
            ipaddr_prefix_eq(&t->addr[i].addr, &r->net, r->plen))
            return t->addr[i].addr;
    return IPADDR_ANY;
}

static void tell_route(struct shard *sh, const struct note *x, struct nlmsghdr as)
{
    struct nl_out o = nl_answer(sh);
    struct route_view v;

    as.nlmsg_type = x->gone ? RTM_DELROUTE : RTM_NEWROUTE;
    if (!route_view_of(sh, &x->r, x->extra.used ? &x->extra : NULL, &v))
        return;
    if (x->gone && x->r.proto == ROUTE_BY_KERNEL && ipaddr_is_v4(&x->r.net) && ipaddr_is_any(&v.extra.src))
        v.extra.src = maker_of(sh->netlink->told, &x->r);
    v.r.group = 0; /* Differs: each of several next hops is told by itself */
    if (rtnl_route_put(sh, &o, &v, &as))
        nl_publish(sh, NETLINK_ROUTE, ipaddr_is_v4(&x->r.net) ? RTNLGRP_IPV4_ROUTE : RTNLGRP_IPV6_ROUTE, &o);
}

static void tell_neigh(struct shard *sh, const struct note *x, struct nlmsghdr as)
{
    struct nl_out o = nl_answer(sh);

    as.nlmsg_type = x->gone ? RTM_DELNEIGH : RTM_NEWNEIGH;
    if (x->neigh.ifindex >= rtnl_first_if(sh->st) && rtnl_neigh_put(sh, &o, &x->neigh, &as))
        nl_publish(sh, NETLINK_ROUTE, RTNLGRP_NEIGH, &o);
}

void rtnl_tell(struct shard *sh, uint32_t portid, uint32_t seq)
{
    const struct nlmsghdr as = {.nlmsg_seq = seq, .nlmsg_pid = portid};
    struct notes *all = sh->st->notes;

    for (uint32_t i = 0; i < all->n; i++) {
        if (all->note[i].kind == NOTE_ROUTE)
            tell_route(sh, &all->note[i], as);
        else
            tell_neigh(sh, &all->note[i], as);
    }
    if (sh->netlink->told->gen != sh->st->if_gen) /* after the routes, which may name what went */
        tell_ifs(sh, &as);
    all->n = 0;
    if (all->lost) {
        all->lost = false;
        netlink_lost(sh, NETLINK_ROUTE);
    }
}
