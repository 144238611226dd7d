/* ifnet.c: interfaces and their addresses (ifnet.h, ip.h).
 *
 * A stack is a host with the weak end system model (RFC 1122 section 3.3.4.2, and Linux's default): a packet
 * for any of its addresses is its own, whichever interface it came in by.
 */
#include "ifnet.h"

#include <errno.h>
#include <stdio.h>

#include "route.h"
#include "rule.h"
#include "wire_ip6.h"

/* Who lists interfaces or addresses piece by piece sees by this that they are not the same any more. */
static void moved(struct stack *st)
{
    if (++st->if_gen == 0)
        st->if_gen = 1;
}

static int add_if(struct stack *st, const char *name, uint32_t caps, uint32_t mtu, uint32_t tso_max,
                  const uint8_t mac[6])
{
    struct ifnet *ifn;

    if (st->nif == NETDEV_MAX)
        return -ENOSPC;
    ifn = &st->ifn[st->nif];
    memset(ifn, 0, sizeof *ifn);
    snprintf(ifn->name, sizeof ifn->name, "%s", name);
    memcpy(ifn->mac, mac, sizeof ifn->mac);
    ifn->index = (uint8_t)st->nif;
    ifn->caps = caps;
    ifn->mtu = ifn->mtu_max = mtu;
    ifn->tso_max = tso_max;
    ifn->up = 1;
    ifn->txqlen = 1000; /* as Linux shows it */
    moved(st);
    return (int)st->nif++;
}

int stack_add_if(struct stack *st, const struct netdev *dev)
{
    return add_if(st, dev->name, dev->caps, dev->mtu, dev->caps & NETDEV_TSO ? dev->tso_max : 0, dev->mac);
}

int ifnet_add_loopback(struct stack *st)
{
    static const uint8_t no_mac[6];
    struct ipaddr localhost = ipaddr_v4(htonl(INADDR_LOOPBACK)), localhost6 = {.b = {[15] = 1}};
    int index, err;

    if (st->nif != IFNET_LOOPBACK)
        return -EEXIST;
    index = add_if(st, "lo", NETDEV_LOOPBACK | NETDEV_SCATTER | NETDEV_NOARP, IFNET_LOOPBACK_MTU, 0, no_mac);
    if (index < 0 || !st->isolate)
        return index < 0 ? index : 0;
    err = stack_add_addr(st, IFNET_LOOPBACK, &localhost, 8);
    if (!err && !st->set.disable_ipv6)
        err = stack_add_addr(st, IFNET_LOOPBACK, &localhost6, 128);
    return err;
}

void ifnet_changed(struct stack *st, unsigned ifindex)
{
    struct ifnet *ifn = &st->ifn[ifindex];

    moved(st);
    ifn->n4 = ifn->addr4_be = ifn->bcast4_be = 0;
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *a = &ifn->addr[i];

        if (!ipaddr_is_v4(&a->addr))
            continue;
        ifn->n4++;
        if (!ifn->addr4_be && a->state == IFADDR_VALID) {
            ifn->addr4_be = ipaddr_get_v4(&a->addr);
            ifn->bcast4_be = ifaddr_broadcast(a);
        }
    }
    route_flush_flows(st);
}

/* Whether an address must be probed before its use. */
static bool is_probed(const struct stack *st, const struct ifnet *ifn, const struct ipaddr *a)
{
    if (ifn->caps & (NETDEV_NOARP | NETDEV_LOOPBACK))
        return false;
    return ipaddr_is_v4(a) ? st->set.arp_probe : st->set.dad_transmits > 0;
}

int stack_add_addr(struct stack *st, unsigned ifindex, const struct ipaddr *a, uint8_t prefix_len)
{
    struct ifnet *ifn;
    struct ifaddr *ia;
    int err;

    if (ifindex >= st->nif)
        return -ENODEV;
    if (ipaddr_is_any(a) || ipaddr_is_multicast(a) || prefix_len > (ipaddr_is_v4(a) ? 32 : 128) ||
        (ipaddr_is_v4(a) && a->w[3] == INADDR_BROADCAST))
        return -EINVAL;
    ifn = &st->ifn[ifindex];
    if (!ipaddr_is_v4(a) && (st->set.disable_ipv6 || ifn->mtu < IP6_MIN_MTU)) /* RFC 8200 section 5 */
        return st->set.disable_ipv6 ? -EACCES : -EINVAL;
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, a))
            return -EEXIST;
    if (ifn->naddr == IFADDR_MAX)
        return -ENOBUFS;
    err = route_add_by(st, a, prefix_len, NULL, ifindex, ROUTE_BY_KERNEL);
    if (err && err != -EEXIST) /* a second address of one subnet finds the route there */
        return err;
    ia = &ifn->addr[ifn->naddr];
    *ia = (struct ifaddr){.addr = *a, .prefix_len = prefix_len};
    ia->state = is_probed(st, ifn, a) ? IFADDR_TENTATIVE : IFADDR_VALID;
    ifn->naddr++;
    ifnet_changed(st, ifindex);
    return 0;
}

/* True if another address of ifn holds the same prefix. */
static bool prefix_shared(const struct ifnet *ifn, const struct ifaddr *a)
{
    unsigned plen = ipaddr_plen128(&a->addr, a->prefix_len);

    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (&ifn->addr[i] != a && ifn->addr[i].prefix_len == a->prefix_len &&
            ipaddr_prefix_eq(&ifn->addr[i].addr, &a->addr, plen))
            return true;
    return false;
}

int stack_del_addr(struct stack *st, unsigned ifindex, const struct ipaddr *a)
{
    struct ifnet *ifn;

    if (ifindex >= st->nif)
        return -ENODEV;
    ifn = &st->ifn[ifindex];
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        struct ifaddr *ia = &ifn->addr[i];

        if (!ipaddr_eq(&ia->addr, a))
            continue;
        if (!prefix_shared(ifn, ia))
            route_del(st, &ia->addr, ia->prefix_len, NULL, ifindex);
        ifn->naddr--;
        memmove(ia, ia + 1, (ifn->naddr - i) * sizeof *ia);
        ifnet_changed(st, ifindex);
        return 0;
    }
    return -EADDRNOTAVAIL;
}

const struct ifaddr *ifnet_find_addr(const struct ifnet *ifn, const struct ipaddr *a)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, a) && ifn->addr[i].state == IFADDR_VALID)
            return &ifn->addr[i];
    return NULL;
}

const struct ifaddr *ifnet_source(const struct ifnet *ifn, const struct ipaddr *next_hop)
{
    const struct ifaddr *first = NULL;

    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *a = &ifn->addr[i];

        if (a->state != IFADDR_VALID || ipaddr_is_v4(&a->addr) != ipaddr_is_v4(next_hop))
            continue;
        if (ipaddr_prefix_eq(&a->addr, next_hop, ipaddr_plen128(&a->addr, a->prefix_len)))
            return a;
        if (!first)
            first = a;
    }
    return first;
}

bool ip_is_local(const struct stack *st, const struct ipaddr *a)
{
    for (uint32_t i = 0; i < st->nif; i++)
        if (ifnet_find_addr(&st->ifn[i], a))
            return true;
    /* All of 127.0.0.0/8 is this host; in profile default that is the kernel's business. */
    return st->isolate && ipaddr_is_loopback(a);
}

bool ip_is_broadcast(const struct stack *st, const struct ipaddr *a)
{
    if (!ipaddr_is_v4(a))
        return false;
    if (a->w[3] == INADDR_BROADCAST)
        return true;
    if (a->w[3] == htonl(0x7fffffff)) /* lo's, when it is ours */
        return st->isolate;
    for (uint32_t i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        if (ifn->caps & NETDEV_LOOPBACK)
            continue;
        for (uint32_t k = 0; k < ifn->naddr; k++)
            if (ifaddr_broadcast(&ifn->addr[k]) == a->w[3])
                return true;
    }
    return false;
}

bool ip_covers(const struct stack *st, const struct ipaddr *a)
{
    if (st->isolate)
        return true;
    /* "Any" as a destination means this host over loopback: the kernel's. */
    if (ipaddr_is_any(a) || ipaddr_is_loopback(a))
        return false;
    return ip_is_local(st, a) || rule_any(st, a) != NULL;
}
