/* route.c: the routing table (route.h).
 *
 * A stack has a handful of routes, and a flow looks one up once in its life: an array sorted by prefix
 * length, searched in order, is longest prefix match, and it is shared by the family without a pointer in it.
 */
#include "route.h"

#include <errno.h>

#include "hash.h"
#include "wire_ip6.h"

#define PMTU_EXPIRES_MS     (600 * 1000) /* RFC 1191 section 6.3; Linux: mtu_expires */
#define REDIRECT_EXPIRES_MS (300 * 1000) /* Linux: ip_rt_gc_timeout */
#define PMTU_MIN            552          /* Linux: min_pmtu */

int route_table_init(struct stack *st)
{
    st->routes = seg_alloc(st->seg, sizeof *st->routes, 64);
    if (!st->routes)
        return -ENOMEM;
    st->routes->gen = 1;
    return 0;
}

void route_flush_flows(struct stack *st)
{
    if (++st->routes->gen == 0) /* 0 is a flow's "not resolved yet" */
        st->routes->gen = 1;
}

static bool route_same(const struct route *r, const struct ipaddr *net, unsigned plen,
                       const struct ipaddr *via, unsigned ifindex)
{
    return r->plen == plen && r->ifindex == ifindex && ipaddr_prefix_eq(&r->net, net, plen) &&
           ipaddr_eq(&r->via, via);
}

int route_add(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
              unsigned ifindex)
{
    struct route_table *t = st->routes;
    struct ipaddr none = IPADDR_ANY;
    unsigned plen = ipaddr_plen128(net, prefix_len), at = 0;

    if (prefix_len > (ipaddr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    if (ifindex >= st->nif)
        return -ENODEV;
    /* The gateway must be a neighbour, as rtnetlink has it. */
    if (via && !ipaddr_is_any(via)) {
        const struct route *r = route_lookup(st, via, ifindex);

        if (ipaddr_is_v4(via) != ipaddr_is_v4(net))
            return -EINVAL;
        if (!r || !ipaddr_is_any(&r->via))
            return -ENETUNREACH;
    } else {
        via = &none;
    }
    for (unsigned i = 0; i < t->n; i++)
        if (route_same(&t->r[i], net, plen, via, ifindex))
            return -EEXIST;
    if (t->n == ROUTE_MAX)
        return -ENOBUFS;
    while (at < t->n && t->r[at].plen >= plen)
        at++;
    memmove(&t->r[at + 1], &t->r[at], (t->n - at) * sizeof t->r[0]);
    t->r[at] = (struct route){.net = *net, .via = *via, .plen = (uint8_t)plen, .ifindex = (uint8_t)ifindex};
    t->n++;
    route_flush_flows(st);
    return 0;
}

int route_del(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
              unsigned ifindex)
{
    struct route_table *t = st->routes;
    struct ipaddr none = IPADDR_ANY;
    unsigned plen = ipaddr_plen128(net, prefix_len);

    if (prefix_len > (ipaddr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    for (unsigned i = 0; i < t->n; i++) {
        if (!route_same(&t->r[i], net, plen, via ? via : &none, ifindex))
            continue;
        t->n--;
        memmove(&t->r[i], &t->r[i + 1], (t->n - i) * sizeof t->r[0]);
        route_flush_flows(st);
        return 0;
    }
    return -ESRCH;
}

const struct route *route_lookup(const struct stack *st, const struct ipaddr *dst, unsigned bound_if)
{
    const struct route_table *t = st->routes;
    bool v4 = ipaddr_is_v4(dst);

    for (unsigned i = 0; i < t->n; i++) {
        const struct route *r = &t->r[i];

        /* ::/0 is no route for IPv4, whose addresses it would cover in their mapped form. */
        if ((bound_if && r->ifindex != bound_if) || ipaddr_is_v4(&r->net) != v4)
            continue;
        if (ipaddr_prefix_eq(&r->net, dst, r->plen) && st->ifn[r->ifindex].up)
            return r;
    }
    return NULL;
}

static struct pmtu *pmtu_slot(const struct stack *st, const struct ipaddr *dst)
{
    return &st->routes->pmtu[hash_addr(st->secret, dst, 0) % PMTU_MAX];
}

uint32_t route_pmtu(const struct shard *sh, const struct ipaddr *dst)
{
    const struct pmtu *p = pmtu_slot(sh->st, dst);

    return p->mtu && ipaddr_eq(&p->dst, dst) && shard_ms(sh) < p->expires_ms ? p->mtu : 0;
}

static struct redirect *redirect_slot(const struct stack *st, const struct ipaddr *dst)
{
    return &st->routes->redirect[hash_addr(st->secret, dst, 1) % PMTU_MAX];
}

const struct ipaddr *route_redirect(const struct shard *sh, const struct ipaddr *dst, unsigned ifindex)
{
    const struct redirect *x = redirect_slot(sh->st, dst);

    return x->expires_ms > shard_ms(sh) && x->ifindex == ifindex && ipaddr_eq(&x->dst, dst) ? &x->via : NULL;
}

bool route_redirect_learn(struct shard *sh, const struct ipaddr *dst, const struct ipaddr *via,
                          const struct ipaddr *from, unsigned ifindex)
{
    const struct route *r = route_lookup(sh->st, dst, 0), *on_link;
    struct redirect *x = redirect_slot(sh->st, dst);
    const struct ipaddr *now_is;

    if (!r || r->ifindex != ifindex || ipaddr_is_any(&r->via))
        return false;
    now_is = route_redirect(sh, dst, ifindex);
    if (!ipaddr_eq(from, now_is ? now_is : &r->via) || ip_is_local(sh->st, via) || ipaddr_is_multicast(via))
        return false;
    /* IPv4's gateway must be a neighbour; of IPv6 the router says that it is (RFC 4861 section 8.1). */
    on_link = route_lookup(sh->st, via, ifindex);
    if (ipaddr_is_v4(via) && (!on_link || !ipaddr_is_any(&on_link->via) || ip_is_broadcast(sh->st, via)))
        return false;
    *x = (struct redirect){.dst = *dst,
                           .via = *via,
                           .expires_ms = shard_ms(sh) + REDIRECT_EXPIRES_MS,
                           .ifindex = (uint8_t)ifindex};
    route_flush_flows(sh->st);
    return true;
}

/* The plateau below mtu (RFC 1191 section 7, table 7-1), for routers that don't name theirs. */
static uint32_t plateau_below(uint32_t mtu)
{
    static const uint16_t plateau[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508};

    for (unsigned i = 0; i < sizeof plateau / sizeof plateau[0]; i++)
        if (plateau[i] < mtu)
            return plateau[i];
    return PMTU_MIN;
}

void ip_learn_mtu(struct shard *sh, const struct ipaddr *dst, uint32_t mtu)
{
    const struct route *r = route_lookup(sh->st, dst, 0);
    struct pmtu *p = pmtu_slot(sh->st, dst);
    uint32_t now_is = route_pmtu(sh, dst), least = ipaddr_is_v4(dst) ? PMTU_MIN : IP6_MIN_MTU;

    if (!now_is && r)
        now_is = sh->st->ifn[r->ifindex].mtu;
    if (mtu == 0 && ipaddr_is_v4(dst))
        mtu = plateau_below(now_is);
    if (mtu < least)
        mtu = least;
    if (!r || mtu >= now_is)
        return;
    p->dst = *dst;
    p->mtu = mtu;
    p->expires_ms = shard_ms(sh) + PMTU_EXPIRES_MS;
    route_flush_flows(sh->st);
}
