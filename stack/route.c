/* route.c: the routing table (route.h). */
#include "route.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#include "hash.h"
#include "notes.h"
#include "rule.h"
#include "wire_ip6.h"

#define PMTU_EXPIRES_MS     (600 * 1000) /* RFC 1191 section 6.3; Linux: mtu_expires */
#define REDIRECT_EXPIRES_MS (300 * 1000) /* Linux: ip_rt_gc_timeout */
#define PMTU_MIN            552          /* Linux: min_pmtu */
#define NO_MORE             0xff         /* ends route_table.lengths */

int route_table_init(struct stack *st)
{
    struct route_table *t = seg_alloc(st->seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    st->routes = t;
    t->gen = 1;
    t->lengths[0][0] = t->lengths[1][0] = NO_MORE;
    t->bucket = seg_alloc(st->seg, sizeof t->bucket[0] * ROUTE_MAX, 4096);
    if (!t->bucket || slab_init_packed(&t->extras, st->seg, sizeof(struct route_extra), ROUTE_MAX))
        return -ENOMEM;
    if (slab_init_packed(&t->routes, st->seg, sizeof(struct route), ROUTE_MAX))
        return -ENOMEM;
    return rule_table_init(st);
}

void route_flush_flows(struct stack *st)
{
    if (++st->routes->gen == 0) /* 0 is a flow's "not resolved yet" */
        st->routes->gen = 1;
}

/* a's first plen bits. */
static struct ipaddr masked(const struct ipaddr *a, unsigned plen)
{
    struct ipaddr m = *a;

    if (plen <= 64) {
        m.d[0] = plen ? m.d[0] & __builtin_bswap64(~0ULL << (64 - plen)) : 0;
        m.d[1] = 0;
    } else {
        m.d[1] &= __builtin_bswap64(~0ULL << (128 - plen));
    }
    return m;
}

static uint32_t *bucket_of(const struct stack *st, uint32_t table, const struct ipaddr *net, unsigned plen)
{
    uint32_t n = plen ^ table << 8;

    return &st->routes->bucket[hash_addr(st->secret, net, n) % ROUTE_MAX];
}

static struct route *route_at(const struct route_table *t, uint32_t i)
{
    return i ? slab_at(&t->routes, i - 1) : NULL;
}

/* The family's lengths anew, longest first. */
static void list_lengths(struct route_table *t, int family)
{
    uint8_t *to = t->lengths[family];

    for (int plen = 128; plen >= 0; plen--)
        if (t->count[family][plen])
            *to++ = (uint8_t)plen;
    *to = NO_MORE;
}

static void count_length(struct route_table *t, const struct route *r, int by)
{
    int family = ipaddr_is_v4(&r->net) ? 0 : 1;
    uint32_t was = t->count[family][r->plen];

    t->count[family][r->plen] = was + (uint32_t)by;
    if (was == 0 || was + (uint32_t)by == 0)
        list_lengths(t, family);
}

static bool route_same(const struct route *r, const struct route *x)
{
    return r->table == x->table && r->plen == x->plen && r->ifindex == x->ifindex && r->kind == x->kind &&
           ipaddr_eq(&r->net, &x->net) && ipaddr_eq(&r->via, &x->via);
}

static bool same_prefix(const struct route *r, uint32_t table, const struct ipaddr *net, unsigned plen)
{
    return r->plen == plen && r->table == table && ipaddr_eq(&r->net, net);
}

static bool is_direct(const struct route *r)
{
    return r && ipaddr_is_any(&r->via) && !r->kind;
}

/* The gateway must be a neighbour, as rtnetlink has it (fib_check_nh_v4_gw). */
int route_check_gateway(const struct stack *st, const struct route *r)
{
    if (ipaddr_is_v4(&r->via) != ipaddr_is_v4(&r->net))
        return -EINVAL;
    return is_direct(route_lookup_in(st, r->table ? r->table : RT_TABLE_MAIN, &r->via, r->ifindex)) ||
                   is_direct(route_lookup(st, &r->via, r->ifindex))
               ? 0
               : -ENETUNREACH;
}

/* Where x belongs in its bucket: by metric, and behind its equals or before them. */
static uint32_t *place_of(const struct stack *st, const struct route *x, bool first)
{
    uint32_t *at = bucket_of(st, x->table, &x->net, x->plen);
    struct route *r;

    for (; (r = route_at(st->routes, *at)); at = &r->next)
        if (same_prefix(r, x->table, &x->net, x->plen) &&
            (r->metric > x->metric || (first && r->metric == x->metric)))
            break;
    return at;
}

static uint32_t keep_extra(struct route_table *t, const struct route_extra *e)
{
    struct route_extra *to = slab_alloc(&t->extras);

    if (!to)
        return 0;
    *to = *e;
    to->used = 1;
    t->nextra++;
    return slab_index(&t->extras, to) + 1;
}

static int add(struct stack *st, const struct route *x, const struct route_extra *e, bool first)
{
    struct route_table *t = st->routes;
    uint32_t *at = bucket_of(st, x->table, &x->net, x->plen);
    struct route *r;

    for (; (r = route_at(t, *at)); at = &r->next)
        if (route_same(r, x) && r->metric == x->metric && r->group == x->group)
            return -EEXIST;
    if (rule_table_make(st, ipaddr_is_v4(&x->net), x->table))
        return -ENOBUFS;
    r = slab_alloc(&t->routes);
    if (!r)
        return -ENOBUFS;
    at = place_of(st, x, first);
    *r = *x;
    r->extra = e ? keep_extra(t, e) : 0;
    r->next = *at;
    list_step();
    *at = slab_index(&t->routes, r) + 1;
    t->n++;
    count_length(t, r, 1);
    route_flush_flows(st);
    note_route(st, r, route_extra(st, r), false);
    return 0;
}

static int describe(const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via, unsigned ifindex,
                    struct route *x)
{
    unsigned plen = ipaddr_plen128(net, prefix_len);

    if (prefix_len > (ipaddr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    *x = (struct route){.net = masked(net, plen),
                        .plen = (uint8_t)plen,
                        .ifindex = (uint8_t)ifindex,
                        .proto = ROUTE_BY_USER,
                        .table = RT_TABLE_MAIN};
    x->via = via ? *via : IPADDR_ANY;
    return 0;
}

/* What Linux gives a route that names no metric. */
static uint32_t default_metric(const struct route *x)
{
    if (ipaddr_is_v4(&x->net))
        return 0;
    return x->proto == ROUTE_BY_KERNEL ? ROUTE_METRIC6_PREFIX : ROUTE_METRIC6_USER;
}

int route_add_by(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
                 unsigned ifindex, enum route_proto proto)
{
    struct route x;
    int err = describe(net, prefix_len, via, ifindex, &x);

    if (!err && ifindex >= st->nif)
        err = -ENODEV;
    if (!err && !ipaddr_is_any(&x.via))
        err = route_check_gateway(st, &x);
    if (err)
        return err;
    x.proto = (uint8_t)proto;
    x.metric = default_metric(&x);
    return add(st, &x, NULL, false);
}

int route_add(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
              unsigned ifindex)
{
    return route_add_by(st, net, prefix_len, via, ifindex, ROUTE_BY_USER);
}

int route_insert(struct stack *st, const struct route *x, const struct route_extra *e, bool first)
{
    struct route y = *x;
    int err = 0;

    if (x->ifindex >= st->nif)
        return -ENODEV;
    if (!y.table)
        y.table = RT_TABLE_MAIN;
    y.net = masked(&x->net, x->plen);
    if (ipaddr_is_v4(&x->net) && !ipaddr_eq(&y.net, &x->net)) /* fib_valid_key_len */
        return -EINVAL;
    if (!ipaddr_is_any(&y.via) && !y.onlink)
        err = route_check_gateway(st, &y);
    if (!err && y.group > st->routes->groups)
        st->routes->groups = y.group;
    return err ? err : add(st, &y, e, first);
}

int route_add_kind(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, enum route_kind kind)
{
    struct route x;
    int err = describe(net, prefix_len, NULL, 0, &x);

    if (err)
        return err;
    x.kind = (uint8_t)kind;
    x.metric = default_metric(&x);
    return add(st, &x, NULL, false);
}

int route_error(const struct route *r)
{
    switch (r->kind) {
    case ROUTE_UNREACHABLE:
        return -EHOSTUNREACH;
    case ROUTE_BLACKHOLE:
        return -EINVAL;
    case ROUTE_PROHIBIT:
        return -EACCES;
    default:
        return 0;
    }
}

/* Frees r, to which *at leads. */
static void take_out(struct stack *st, uint32_t *at, struct route *r)
{
    struct route_table *t = st->routes;
    struct route_extra *e = r->extra ? slab_at(&t->extras, r->extra - 1) : NULL;

    note_route(st, r, e, true);
    *at = r->next;
    list_step();
    count_length(t, r, -1);
    t->n--;
    r->proto = 0;
    if (e) {
        e->used = 0;
        t->nextra--;
        slab_free(&t->extras, e);
    }
    slab_free(&t->routes, r);
    route_flush_flows(st);
}

int route_del(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
              unsigned ifindex)
{
    struct route_table *t = st->routes;
    struct route x, *r;
    int err = describe(net, prefix_len, via, ifindex, &x);
    uint32_t *at;

    if (err)
        return err;
    for (at = bucket_of(st, x.table, &x.net, x.plen); (r = route_at(t, *at)); at = &r->next) {
        if (!route_same(r, &x))
            continue;
        take_out(st, at, r);
        return 0;
    }
    return -ESRCH;
}

void route_remove(struct stack *st, const struct route *gone)
{
    uint32_t *at = bucket_of(st, gone->table, &gone->net, gone->plen);
    struct route *r;

    for (; (r = route_at(st->routes, *at)); at = &r->next)
        if (r == gone) {
            take_out(st, at, r);
            return;
        }
}

const struct route *route_exact(const struct stack *st, uint32_t table, const struct ipaddr *net,
                                unsigned plen, const struct route *r)
{
    struct ipaddr key = masked(net, plen);

    r = route_at(st->routes, r ? r->next : *bucket_of(st, table, &key, plen));
    while (r && !same_prefix(r, table, &key, plen))
        r = route_at(st->routes, r->next);
    return r;
}

const struct route *route_slot(const struct stack *st, uint32_t i)
{
    const struct route *r = slab_at(&st->routes->routes, i);

    return r->proto ? r : NULL;
}

uint32_t route_slots(const struct stack *st)
{
    return st->routes->routes.fresh;
}

const struct route_extra *route_extra(const struct stack *st, const struct route *r)
{
    return r->extra ? slab_at(&st->routes->extras, r->extra - 1) : NULL;
}

/* Differs: by the destination alone. Linux adds the source (fib_multipath_hash, policy 0), which a flow may
 * get only here. */
const struct route *route_of_group(const struct stack *st, const struct route *r, const struct ipaddr *dst)
{
    uint32_t sum = 0, at;

    if (!r->group)
        return r;
    for (const struct route *x = r; x; x = route_like(st, r, x))
        if (x->group == r->group && st->ifn[x->ifindex].up)
            sum += x->weight + 1u;
    if (!sum)
        return r;
    at = (uint32_t)(hash_addr(st->secret, dst, 2) % sum);
    for (const struct route *x = r; x; x = route_like(st, r, x)) {
        if (x->group != r->group || !st->ifn[x->ifindex].up)
            continue;
        if (at <= x->weight)
            return x;
        at -= x->weight + 1u;
    }
    return r;
}

const struct route *route_lookup_in(const struct stack *st, uint32_t table, const struct ipaddr *dst,
                                    unsigned bound_if)
{
    const struct route_table *t = st->routes;

    /* ::/0 is no route for IPv4, whose addresses it would cover in their mapped form: lengths by family. */
    for (const uint8_t *plen = t->lengths[ipaddr_is_v4(dst) ? 0 : 1]; *plen != NO_MORE; plen++) {
        struct ipaddr net = masked(dst, *plen);

        for (const struct route *r = route_at(t, *bucket_of(st, table, &net, *plen)); r;
             r = route_at(t, r->next)) {
            if (!same_prefix(r, table, &net, *plen))
                continue;
            if (r->kind || ((!bound_if || r->ifindex == bound_if) && st->ifn[r->ifindex].up))
                return r;
        }
    }
    return NULL;
}

const struct route *route_lookup(const struct stack *st, const struct ipaddr *dst, unsigned bound_if)
{
    return route_lookup_in(st, RT_TABLE_MAIN, dst, bound_if);
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
    const struct route *r = rule_any(sh->st, dst), *on_link;
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
    const struct route *r = rule_any(sh->st, dst);
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

/* The chains are whole, as whoever adds or removes writes one link; the counts are taken again. */
void route_mend(struct stack *st)
{
    struct route_table *t = st->routes;

    t->n = t->nextra = 0;
    memset(t->count, 0, sizeof t->count);
    for (uint32_t i = 0; i < ROUTE_MAX; i++)
        for (const struct route *r = route_at(t, t->bucket[i]); r; r = route_at(t, r->next)) {
            t->count[ipaddr_is_v4(&r->net) ? 0 : 1][r->plen]++;
            t->n++;
            t->nextra += r->extra != 0;
        }
    list_lengths(t, 0);
    list_lengths(t, 1);
    rule_mend(st);
    route_flush_flows(st);
}
