/* ra.c: see ra.h. Differs: reachable time and retransmission timer of an advertisement are passed over, the
 * settings neigh_base_reachable and neigh_retrans rule; of several routers the first heard is used until it
 * fails to advertise.
 */
#include "ra.h"

#include <errno.h>

#include "ifnet.h"
#include "ip6_addr.h"
#include "route.h"
#include "wire_icmp6.h"
#include "wire_ip6.h"

#define TWO_HOURS_S 7200u
#define FOREVER_S   0xffffffffu

bool ra_accepts(const struct stack *st, unsigned ifindex)
{
    const struct ifnet *ifn = &st->ifn[ifindex];

    if (st->set.accept_ra == 0 || st->set.disable_ipv6 || (ifn->caps & (NETDEV_LOOPBACK | NETDEV_NOARP)) ||
        ifn->mtu < IP6_MIN_MTU)
        return false;
    if (st->set.accept_ra == 2)
        return true;
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        const struct ifaddr *a = &ifn->addr[i];

        if (!ipaddr_is_v4(&a->addr) && !ipaddr_is_linklocal(&a->addr) && !(a->flags & IFADDR_AUTO))
            return false;
    }
    return true;
}

/* Until when something lives that lives seconds from now; 0: for ever. */
static uint64_t until(const struct shard *sh, uint32_t seconds)
{
    return seconds == FOREVER_S ? 0 : shard_ms(sh) + (uint64_t)seconds * 1000;
}

/* ---- routes that routers told of ---- */

static struct ra_route *find_route(struct nd_state *s, const struct ipaddr *net, uint8_t plen,
                                   const struct ipaddr *via, unsigned ifindex)
{
    for (unsigned i = 0; i < RA_ROUTES; i++) {
        struct ra_route *r = &s->route[i];

        if (r->used && r->plen == plen && r->ifindex == ifindex && ipaddr_eq(&r->net, net) &&
            ipaddr_eq(&r->via, via))
            return r;
    }
    return NULL;
}

static void forget_route(struct shard *sh, struct ra_route *r)
{
    route_del(sh->st, &r->net, r->plen, ipaddr_is_any(&r->via) ? NULL : &r->via, r->ifindex);
    r->used = 0;
}

/* A route that lives for seconds; 0: no more. */
static void learn_route(struct shard *sh, const struct ipaddr *net, uint8_t plen, const struct ipaddr *via,
                        unsigned ifindex, uint32_t seconds)
{
    struct nd_state *s = &sh->st->neigh->nd;
    struct ra_route *r = find_route(s, net, plen, via, ifindex);

    if (seconds == 0) {
        if (r)
            forget_route(sh, r);
        return;
    }
    for (unsigned i = 0; !r && i < RA_ROUTES; i++) {
        /* One that was configured stays the user's. */
        if (s->route[i].used)
            continue;
        if (route_add_by(sh->st, net, plen, ipaddr_is_any(via) ? NULL : via, ifindex,
                         ipaddr_is_any(via) ? ROUTE_BY_KERNEL : ROUTE_BY_RA))
            return;
        r = &s->route[i];
        *r =
            (struct ra_route){.net = *net, .via = *via, .plen = plen, .ifindex = (uint8_t)ifindex, .used = 1};
    }
    if (r)
        r->expires_ms = until(sh, seconds);
}

/* ---- addresses made of prefixes (RFC 4862 section 5.5.3) ---- */

static struct ifaddr *find_addr(struct ifnet *ifn, const struct ipaddr *a)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, a))
            return &ifn->addr[i];
    return NULL;
}

static void set_lifetimes(const struct shard *sh, struct ifaddr *a, const struct nd_prefix *p)
{
    uint64_t now = shard_ms(sh), left_s = a->valid_ms > now ? (a->valid_ms - now) / 1000 : 0;

    a->preferred_ms = until(sh, p->preferred_s);
    /* (e): nobody shortens a lifetime to less than two hours by one forged message. */
    if (a->valid_ms == 0 || p->valid_s > TWO_HOURS_S || p->valid_s > left_s)
        a->valid_ms = until(sh, p->valid_s);
    else if (left_s > TWO_HOURS_S)
        a->valid_ms = until(sh, TWO_HOURS_S);
}

static void make_addr(struct shard *sh, unsigned ifindex, const struct nd_prefix *p)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    uint8_t plen = p->flags & ND_PREFIX_ONLINK ? 64 : 128;
    struct ipaddr a;
    struct ifaddr *ia;

    memcpy(a.b, p->prefix, 16);
    ip6_set_eui64(&a, ifn->mac);
    ia = find_addr(ifn, &a);
    if (ia) {
        if (ia->flags & IFADDR_AUTO)
            set_lifetimes(sh, ia, p);
        return;
    }
    if (p->valid_s == 0 || stack_add_addr(sh->st, ifindex, &a, plen))
        return;
    ia = find_addr(ifn, &a);
    ia->flags |= IFADDR_AUTO;
    ia->preferred_ms = until(sh, p->preferred_s);
    ia->valid_ms = until(sh, p->valid_s);
}

static void take_prefix(struct shard *sh, unsigned ifindex, const struct nd_prefix *p)
{
    struct ipaddr net = {.d = {0, 0}}, none = IPADDR_ANY;

    memcpy(net.b, p->prefix, 16);
    if (ipaddr_is_linklocal(&net) || ipaddr_is_multicast(&net) || ipaddr_is_v4(&net) ||
        p->preferred_s > p->valid_s || p->len == 0)
        return;
    /* The bits behind the prefix mean nothing. */
    for (unsigned bit = p->len; bit < 128; bit++)
        net.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    if ((p->flags & ND_PREFIX_AUTO) && p->len == 64 && sh->st->set.autoconf)
        make_addr(sh, ifindex, p);
    if (p->flags & ND_PREFIX_ONLINK)
        learn_route(sh, &net, p->len, &none, ifindex, p->valid_s);
}

bool ra_input(struct shard *sh, unsigned ifindex, const struct rxinfo *ri, const uint8_t *msg,
              const struct nd_opts *o)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct ipaddr all = IPADDR_ANY;
    uint16_t lifetime_be;

    if (!ipaddr_is_linklocal(&ri->src))
        return false;
    if (!ra_accepts(sh->st, ifindex))
        return true;
    sh->st->neigh->nd.rs_sent[ifindex] = RA_RS_NUM; /* there is a router: no more questions */
    if (msg[4])
        ifn->hop_limit = msg[4];
    if (o->mtu >= IP6_MIN_MTU && o->mtu <= ifn->mtu && o->mtu != ifn->mtu6) {
        ifn->mtu6 = o->mtu;
        route_flush_flows(sh->st);
    }
    memcpy(&lifetime_be, msg + 6, 2);
    learn_route(sh, &all, 0, &ri->src, ifindex, ntohs(lifetime_be));
    for (unsigned i = 0; i < o->nprefix; i++)
        take_prefix(sh, ifindex, &o->prefix[i]);
    return true;
}

bool ra_redirect(struct shard *sh, unsigned ifindex, const struct rxinfo *ri, const uint8_t *msg,
                 const struct nd_opts *o)
{
    struct ipaddr target, dst;
    struct neigh *n;

    memcpy(target.b, msg + 8, 16);
    memcpy(dst.b, msg + 24, 16);
    if (!ipaddr_is_linklocal(&ri->src) || ipaddr_is_multicast(&dst) || ipaddr_needs_zone(&dst) ||
        ipaddr_is_v4(&dst))
        return false;
    if (ipaddr_is_linklocal(&target)) {
        if (target.b[2] | target.b[3])
            return false;
        ipaddr_set_zone(&target, ifindex + 1);
    } else if (!ipaddr_eq(&target, &dst)) {
        return false;
    }
    if (!sh->st->set.accept_redirects || !route_redirect_learn(sh, &dst, &target, &ri->src, ifindex))
        return true;
    if (!o->tlla || eth_addr_is_multicast(o->tlla) || eth_addr_is_zero(o->tlla))
        return true;
    n = neigh_get(sh, ifindex, &target);
    if (n)
        neigh_update(sh, n, o->tlla, false);
    return true;
}

/* ---- time ---- */

static void earliest(uint64_t *next_ms, uint64_t at_ms)
{
    if (at_ms && at_ms < *next_ms)
        *next_ms = at_ms;
}

static void expire_addrs(struct shard *sh, uint64_t *next_ms)
{
    uint64_t now = shard_ms(sh);

    for (unsigned i = 0; i < sh->st->nif; i++) {
        struct ifnet *ifn = &sh->st->ifn[i];

        for (uint32_t k = 0; k < ifn->naddr;) {
            struct ifaddr *a = &ifn->addr[k];

            if (a->valid_ms && a->valid_ms <= now) {
                struct ipaddr gone = a->addr;

                stack_del_addr(sh->st, i, &gone);
                continue;
            }
            if (a->preferred_ms && a->preferred_ms > now)
                earliest(next_ms, a->preferred_ms);
            earliest(next_ms, a->valid_ms);
            k++;
        }
    }
}

static bool has_linklocal(const struct ifnet *ifn)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_is_linklocal(&ifn->addr[i].addr) && ifn->addr[i].state == IFADDR_VALID)
            return true;
    return false;
}

unsigned ra_step(struct shard *sh, uint64_t *next_ms)
{
    struct nd_state *s = &sh->st->neigh->nd;
    uint64_t now = shard_ms(sh);
    unsigned due = 0;

    *next_ms = UINT64_MAX;
    for (unsigned i = 0; i < RA_ROUTES; i++) {
        struct ra_route *r = &s->route[i];

        if (r->used && r->expires_ms && r->expires_ms <= now)
            forget_route(sh, r);
        else if (r->used)
            earliest(next_ms, r->expires_ms);
    }
    expire_addrs(sh, next_ms);
    for (unsigned i = 1; i < sh->st->nif; i++) {
        if (s->rs_sent[i] >= RA_RS_NUM || !has_linklocal(&sh->st->ifn[i]) || !ra_accepts(sh->st, i))
            continue;
        if (s->rs_at_ms[i] > now) {
            earliest(next_ms, s->rs_at_ms[i]);
        } else if (!due) {
            due = i;
            s->rs_at_ms[i] = now + RA_RS_INTERVAL_MS;
            if (++s->rs_sent[i] < RA_RS_NUM)
                earliest(next_ms, s->rs_at_ms[i]);
        } else { /* one a call */
            earliest(next_ms, now + 1);
        }
    }
    if (*next_ms != UINT64_MAX && *next_ms > now + RA_TICK_MS)
        *next_ms = now + RA_TICK_MS;
    return due;
}
