/* procnet_if.c: the files of /proc/net about interfaces, neighbours, routes and groups (procnet.h). Linux:
 * net-procfs.c, arp.c, fib_trie.c, ip6_fib.c, addrconf.c, igmp.c, mcast.c.
 *
 * Where to go on is at->step: 0 before the header, then 1 + an interface or a bucket; at->at.skip counts what
 * of it was written. */
#include <linux/if_addr.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "eth.h"
#include "ifnet.h"
#include "mcast.h"
#include "mcast_int.h"
#include "neigh.h"
#include "procnet.h"
#include "route.h"
#include "sock_if.h"

/* Of <linux/ipv6_route.h>, which does not go together with <net/route.h>. */
#define RTF6_NONEXTHOP 0x00200000u
#define RTF6_LOCAL     0x80000000u
#define RTF6_ADDRCONF  0x00040000u
#define RTF6_EXPIRES   0x00400000u

/* The first interface that is shown: loopback is the host's in profile default (sock_if.h). */
static unsigned first_if(const struct stack *st)
{
    return st->isolate ? 0 : 1;
}

static void add_hex(struct lines *o, const uint8_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        lines_add(o, "%02x", b[i]);
}

bool procnet_dev(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    const struct stack *st = sh->st;

    lines_add(o, "Inter-|   Receive                                                |  Transmit\n"
                 " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
                 "drop fifo colls carrier compressed\n");
    for (unsigned i = first_if(st); i < st->nif; i++) {
        const struct ifnet *f = &st->ifn[i];

        lines_add(o, "%6s: %7llu %7llu %4d %4llu %4d %5d %10d %9d %8llu %7llu %4d %4llu %4d %5d %7d %10d\n",
                  f->name, (unsigned long long)f->rx_bytes, (unsigned long long)f->rx_packets, 0,
                  (unsigned long long)f->rx_dropped, 0, 0, 0, 0, (unsigned long long)f->tx_bytes,
                  (unsigned long long)f->tx_packets, 0, (unsigned long long)f->tx_dropped, 0, 0, 0, 0);
    }
    return false;
}

/* IFA_F_* of an address. */
static unsigned addr_flags(const struct ifaddr *a)
{
    return (a->valid_ms ? 0 : IFA_F_PERMANENT) | (a->state == IFADDR_TENTATIVE ? IFA_F_TENTATIVE : 0) |
           (a->state == IFADDR_CONFLICT ? IFA_F_TENTATIVE | IFA_F_DADFAILED : 0);
}

bool procnet_if_inet6(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    const struct stack *st = sh->st;

    for (unsigned i = first_if(st); i < st->nif; i++) {
        for (uint32_t k = 0; k < st->ifn[i].naddr; k++) {
            const struct ifaddr *a = &st->ifn[i].addr[k];
            struct ipaddr w = ipaddr_unzoned(&a->addr);
            unsigned scope = ipaddr_is_loopback(&w) ? 0x10 : ipaddr_is_linklocal(&w) ? 0x20 : 0;

            if (ipaddr_is_v4(&w) || a->state == IFADDR_FREE)
                continue;
            add_hex(o, w.b, 16);
            lines_add(o, " %02x %02x %02x %02x %8s\n", (unsigned)stack_if_shown(st, i), a->prefix_len, scope,
                      addr_flags(a), st->ifn[i].name);
        }
    }
    return false;
}

/* ---- neighbours ---- */

static void arp_line(struct lines *o, const struct stack *st, const struct neigh *n)
{
    static const uint8_t none[ETH_ADDR_LEN];
    const uint8_t *mac = neigh_has_mac(n) ? n->hdr : none, *ip = n->addr.b + 12;
    char addr[16];

    snprintf(addr, sizeof addr, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    lines_add(o, "%-16s 0x%-10x0x%-10x%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", addr, 1,
              neigh_has_mac(n) ? 2 : 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
              st->ifn[n->ifindex].name);
}

bool procnet_arp(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    const struct neigh_table *t = sh->st->neigh;
    unsigned left = PROCNET_LINES;

    if (at->step == 0) {
        lines_add(o, "IP address       HW type     Flags       HW address            Mask     Device\n");
        at->step = 1;
    }
    for (; at->step <= NEIGH_BUCKETS; at->step++, at->at.skip = 0) {
        uint32_t i = 0;

        list_for_each(e, &t->bucket[at->step - 1])
        {
            const struct neigh *n = container_of(e, struct neigh, hash);

            if (i++ < at->at.skip)
                continue;
            if (!left)
                return true;
            at->at.skip = i;
            left--;
            if (ipaddr_is_v4(&n->addr) && n->state != NEIGH_NOARP && n->state != NEIGH_NONE)
                arp_line(o, sh->st, n);
        }
    }
    return false;
}

/* ---- routes ---- */

static unsigned route_flags(const struct route *r)
{
    return RTF_UP | (ipaddr_is_any(&r->via) ? 0 : RTF_GATEWAY) | (r->kind != ROUTE_UNICAST ? RTF_REJECT : 0);
}

static void route_line(struct lines *o, const struct stack *st, const struct route *r)
{
    size_t start = o->len;
    unsigned len = r->plen - 96u;
    bool host = len == 32;

    lines_add(o, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%d\t%08X\t%d\t%u\t%u",
              r->kind == ROUTE_UNICAST ? st->ifn[r->ifindex].name : "*", ipaddr_get_v4(&r->net),
              ipaddr_is_any(&r->via) ? 0 : ipaddr_get_v4(&r->via), route_flags(r) | (host ? RTF_HOST : 0u), 0,
              0u, 0, len ? htonl(0xffffffffu << (32 - len)) : 0, 0, 0u, 0u);
    lines_pad(o, start, 127);
}

static void route6_line(struct lines *o, const struct stack *st, const struct route *r)
{
    struct ipaddr net = ipaddr_unzoned(&r->net), via = ipaddr_unzoned(&r->via);

    add_hex(o, net.b, 16);
    lines_add(o, " %02x %032x %02x ", r->plen, 0, 0);
    add_hex(o, via.b, 16);
    lines_add(o, " %08x %08x %08x %08x %8s\n", ipaddr_is_any(&r->via) ? 256 : 1024, 1, 0,
              route_flags(r) | (r->kind != ROUTE_UNICAST ? RTF6_NONEXTHOP : 0u), st->ifn[r->ifindex].name);
}

/* Routes of one family, by length (step: 1 + how many lengths are done); bucket and skip say where in the
 * table. The table is gone through once a length that there is. */
static bool routes(struct shard *sh, struct procnet_at *at, struct lines *o, bool v4)
{
    const struct route_table *t = sh->st->routes;
    unsigned left = PROCNET_LINES, looked = 0;

    for (; at->step <= 129; at->step++, at->at.bucket = 0) {
        unsigned plen = v4 ? at->step - 1 : 129 - at->step; /* IPv4 as in the trie; IPv6: longest first */

        if (!t->count[!v4][plen])
            continue;
        for (; at->at.bucket < ROUTE_MAX; at->at.bucket++, at->at.skip = 0) {
            uint32_t i = 0;

            if (!left || looked++ > 8192)
                return true;
            for (uint32_t x = t->bucket[at->at.bucket]; x; i++) {
                const struct route *r = slab_at(&t->routes, x - 1);

                x = r->next;
                if (i < at->at.skip)
                    continue;
                if (!left)
                    return true;
                at->at.skip = i + 1;
                if (r->plen != plen || ipaddr_is_v4(&r->net) != v4 ||
                    (r->ifindex == 0 && r->kind == ROUTE_UNICAST))
                    continue;
                left--;
                (v4 ? route_line : route6_line)(o, sh->st, r);
            }
        }
    }
    return false;
}

bool procnet_route(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->step == 0) {
        lines_add(o, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
        lines_pad(o, 0, 127);
        at->step = 1;
    }
    return routes(sh, at, o, true);
}

static void local6_line(struct lines *o, const char *dev, const struct ipaddr *a, unsigned plen,
                        unsigned metric, unsigned flags)
{
    add_hex(o, a->b, 16);
    lines_add(o, " %02x %032x %02x %032x %08x %08x %08x %08x %8s\n", plen, 0, 0, 0, metric, 1, 0, flags, dev);
}

/* What hosts have without being told: their own addresses, multicasts, and no way to the rest. */
static void local_routes(struct lines *o, const struct stack *st)
{
    struct ipaddr any = IPADDR_ANY, mc = {.b = {0xff}};

    local6_line(o, "lo", &any, 0, 0xffffffffu, RTF6_NONEXTHOP | RTF_REJECT);
    for (unsigned i = first_if(st); i < st->nif; i++) {
        for (uint32_t k = 0; k < st->ifn[i].naddr; k++) {
            struct ipaddr a = ipaddr_unzoned(&st->ifn[i].addr[k].addr);

            if (!ipaddr_is_v4(&a) && st->ifn[i].addr[k].state == IFADDR_VALID)
                local6_line(o, st->ifn[i].name, &a, 128, 0, RTF6_LOCAL | RTF6_NONEXTHOP | RTF_UP);
        }
        if (i != IFNET_LOOPBACK && !st->set.disable_ipv6)
            local6_line(o, st->ifn[i].name, &mc, 8, 256, RTF_UP);
    }
    local6_line(o, "lo", &any, 0, 0xffffffffu, RTF6_NONEXTHOP | RTF_REJECT);
}

bool procnet_ipv6_route(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->step == 0)
        at->step = 1;
    if (routes(sh, at, o, false))
        return true;
    local_routes(o, sh->st);
    return false;
}

bool procnet_rt_cache(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    lines_add(o,
              "Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\t"
              "HHRef\tHHUptod\tSpecDst");
    lines_pad(o, 0, 127); /* Linux has had no such cache since 3.6 */
    return false;
}

/* ---- groups ---- */

#define GROUP_ROOM 8192 /* bytes for one group with its sources */

/* Calls fn for the groups of the version, in pieces. True: there is more. begin and end: before an
 * interface's first and behind its last.
 */
typedef void group_fn(struct lines *o, const struct stack *st, const struct mc_group *g);
typedef void group_if_fn(struct lines *o, const struct stack *st, unsigned i);

static bool groups(struct shard *sh, struct procnet_at *at, struct lines *o, bool v4, group_if_fn *begin,
                   group_fn *fn, group_if_fn *end)
{
    const struct stack *st = sh->st;
    unsigned left = PROCNET_LINES;

    if (at->step == 0)
        at->step = 1 + first_if(st);
    for (; at->step - 1 < st->nif; at->step++, at->at.skip = at->at.bucket = 0) {
        const struct list *all;
        uint32_t k = 0;

        if (begin && !at->at.bucket) {
            begin(o, st, at->step - 1);
            at->at.bucket = 1;
        }
        all = &st->mcast->ifs[at->step - 1][v4].groups;
        for (const struct list *e = all->prev; e != all; e = e->prev) { /* the newest first, as in Linux */
            if (k++ < at->at.skip)
                continue;
            if (!left || o->room - o->len < GROUP_ROOM)
                return true;
            at->at.skip = k;
            left--;
            fn(o, st, container_of(e, struct mc_group, of_if));
        }
        if (end)
            end(o, st, at->step - 1);
    }
    return false;
}

/* Of hosts' own groups the interfaces' lists say nothing. */
static const struct ipaddr all_hosts6 = {.b = {0xff, 0x02, [15] = 1}},
                           node_hosts6 = {.b = {0xff, 0x01, [15] = 1}};

static void igmp_begin(struct lines *o, const struct stack *st, unsigned i)
{
    unsigned n = 1;

    list_for_each(e, &st->mcast->ifs[i][1].groups) n++;
    lines_add(o, "%d\t%-10s: %5u %7s\n", stack_if_shown(st, i), st->ifn[i].name, n, "V3");
}

static void igmp_end(struct lines *o, const struct stack *st, unsigned i)
{
    lines_add(o, "\t\t\t\t%08X %5d %d:%08X\t\t%d\n", htonl(INADDR_ALLHOSTS_GROUP), 1, 0, 0, 0);
}

static void igmp_line(struct lines *o, const struct stack *st, const struct mc_group *g)
{
    lines_add(o, "\t\t\t\t%08X %5u %d:%08X\t\t%d\n", ipaddr_get_v4(&g->addr), g->users, g->timer.armed, 0,
              g->reporter);
}

bool procnet_igmp(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->step == 0)
        lines_add(o, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    return groups(sh, at, o, true, igmp_begin, igmp_line, igmp_end);
}

static void group6(struct lines *o, const struct stack *st, unsigned i, const struct ipaddr *a,
                   uint32_t users, unsigned flags)
{
    lines_add(o, "%-4d %-15s ", stack_if_shown(st, i), st->ifn[i].name);
    add_hex(o, a->b, 16);
    lines_add(o, " %5u %08X %d\n", users, flags, 0);
}

static void igmp6_end(struct lines *o, const struct stack *st, unsigned i)
{
    if (st->set.disable_ipv6)
        return;
    group6(o, st, i, &all_hosts6, 1, 0xc); /* MAF_LOADED, MAF_NOREPORT */
    group6(o, st, i, &node_hosts6, 1, 0x8);
}

static void igmp6_line(struct lines *o, const struct stack *st, const struct mc_group *g)
{
    struct ipaddr a = ipaddr_unzoned(&g->addr);

    group6(o, st, g->ifindex, &a, g->users, 4);
}

bool procnet_igmp6(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    return groups(sh, at, o, false, NULL, igmp6_line, igmp6_end);
}

static void mcfilter_lines(struct lines *o, const struct stack *st, const struct mc_group *g)
{
    list_for_each(e, &g->sources)
    {
        const struct mc_source *s = container_of(e, struct mc_source, node);

        lines_add(o, "%3d %6.6s 0x%08x 0x%08x %6u %6u\n", stack_if_shown(st, g->ifindex),
                  st->ifn[g->ifindex].name, ntohl(ipaddr_get_v4(&g->addr)), ntohl(ipaddr_get_v4(&s->addr)),
                  s->n[MC_INCLUDE], s->n[MC_EXCLUDE]);
    }
}

bool procnet_mcfilter(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->step == 0)
        lines_add(o, "%3s %6s %10s %10s %6s %6s\n", "Idx", "Device", "MCA", "SRC", "INC", "EXC");
    return groups(sh, at, o, true, NULL, mcfilter_lines, NULL);
}

static void mcfilter6_lines(struct lines *o, const struct stack *st, const struct mc_group *g)
{
    struct ipaddr a = ipaddr_unzoned(&g->addr);

    list_for_each(e, &g->sources)
    {
        const struct mc_source *s = container_of(e, struct mc_source, node);

        lines_add(o, "%3d %6.6s ", stack_if_shown(st, g->ifindex), st->ifn[g->ifindex].name);
        add_hex(o, a.b, 16);
        lines_add(o, " ");
        add_hex(o, s->addr.b, 16);
        lines_add(o, " %6u %6u\n", s->n[MC_INCLUDE], s->n[MC_EXCLUDE]);
    }
}

bool procnet_mcfilter6(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->step == 0)
        lines_add(o, "%3s %6s %32s %32s %6s %6s\n", "Idx", "Device", "Multicast Address", "Source Address",
                  "INC", "EXC");
    return groups(sh, at, o, false, NULL, mcfilter6_lines, NULL);
}

/* ---- what the link listens to ---- */

static void link_group(struct lines *o, const struct stack *st, unsigned i, const struct ipaddr *a)
{
    const uint8_t *b = a->b;

    lines_add(o, "%-4d %-15s %-5d %-5d ", stack_if_shown(st, i), st->ifn[i].name, 1, 0);
    if (ipaddr_is_v4(a))
        lines_add(o, "01005e%02x%02x%02x\n", b[13] & 0x7f, b[14], b[15]);
    else
        lines_add(o, "3333%02x%02x%02x%02x\n", b[12], b[13], b[14], b[15]);
}

static void link_end(struct lines *o, const struct stack *st, unsigned i)
{
    struct ipaddr all = ipaddr_v4(htonl(INADDR_ALLHOSTS_GROUP));

    if (i == IFNET_LOOPBACK)
        return;
    link_group(o, st, i, &all);
    if (!st->set.disable_ipv6)
        link_group(o, st, i, &all_hosts6);
}

static void link_line(struct lines *o, const struct stack *st, const struct mc_group *g)
{
    if (g->ifindex != IFNET_LOOPBACK)
        link_group(o, st, g->ifindex, &g->addr);
}

/* The versions one after the other: at->line says which. */
bool procnet_dev_mcast(struct shard *sh, struct procnet_at *at, struct lines *o)
{
    if (at->line == 0) {
        if (groups(sh, at, o, true, NULL, link_line, link_end))
            return true;
        *at = (struct procnet_at){.line = 1};
    }
    return groups(sh, at, o, false, NULL, link_line, NULL);
}
