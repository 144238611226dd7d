/* neigh.c: the neighbour table and its state machine (neigh.h). */
#include "neigh.h"

#include <errno.h>

#include "arp.h"
#include "hash.h"
#include "nd.h"
#include "notes.h"
#include "pkt.h"
#include "route.h"
#include "shard.h"
#include "wire_icmp.h"
#include "wire_ip4.h"
#include "wire_ip6.h"

int neigh_table_init(struct stack *st)
{
    struct neigh_table *t = seg_alloc(st->seg, sizeof *t, 64);
    int err;

    if (!t)
        return -ENOMEM;
    err = slab_init(&t->slab, st->seg, sizeof(struct neigh), (uint32_t)st->set.neigh_gc_thresh);
    if (err)
        return err;
    timer_init(&t->arp.timer, TIMER_STACK);
    timer_init(&t->nd.timer, TIMER_ND);
    list_init(&t->lru);
    for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
        list_init(&t->bucket[i]);
    st->neigh = t;
    return 0;
}

static struct list *bucket_of(const struct stack *st, unsigned ifindex, const struct ipaddr *addr)
{
    return &st->neigh->bucket[hash_addr(st->secret, addr, ifindex) % NEIGH_BUCKETS];
}

struct neigh *neigh_find(const struct stack *st, unsigned ifindex, const struct ipaddr *addr)
{
    list_for_each(n, bucket_of(st, ifindex, addr))
    {
        struct neigh *e = container_of(n, struct neigh, hash);

        if (e->ifindex == ifindex && ipaddr_eq(&e->addr, addr))
            return e;
    }
    return NULL;
}

static void set_mac(struct shard *sh, struct neigh *n, const uint8_t mac[6])
{
    wire_eth_emit(n->hdr, mac, sh->st->ifn[n->ifindex].mac,
                  ipaddr_is_v4(&n->addr) ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
}

static void set_state(struct shard *sh, struct neigh *n, enum neigh_state state)
{
    bool news = n->state != state;

    n->state = (uint8_t)state;
    n->updated_ms = shard_ms(sh);
    n->fresh_until_ns = 0;
    if (news && state != NEIGH_NOARP)
        note_neigh(sh->st, n, false);
    if (state >= NEIGH_NOARP)
        n->fresh_until_ns = UINT64_MAX;
    else if (state == NEIGH_REACHABLE)
        n->fresh_until_ns = sh->now_ns + (uint64_t)sh->st->set.neigh_base_reachable * 1000000000;
}

/* Link addresses that follow from the IP address (RFC 1112 section 6.4, RFC 2464 section 7 for multicast).
 * False: it must be asked for. */
static bool mac_is_known(const struct stack *st, const struct ifnet *ifn, const struct ipaddr *addr,
                         uint8_t mac[6])
{
    if (ifn->caps & (NETDEV_LOOPBACK | NETDEV_NOARP)) {
        memcpy(mac, ifn->mac, 6); /* loopback's is zero; arp_constructor */
        return true;
    }
    if (ip_is_broadcast(st, addr)) {
        memset(mac, 0xff, 6);
        return true;
    }
    if (!ipaddr_is_multicast(addr))
        return false;
    if (ipaddr_is_v4(addr)) {
        mac[0] = 0x01;
        mac[1] = 0x00;
        mac[2] = 0x5e;
        mac[3] = addr->b[13] & 0x7f;
        mac[4] = addr->b[14];
        mac[5] = addr->b[15];
    } else {
        mac[0] = mac[1] = 0x33;
        memcpy(mac + 2, addr->b + 12, 4);
    }
    return true;
}

static void drop_queue(struct shard *sh, struct neigh *n)
{
    struct rte_mbuf *m = n->q_head;

    n->q_head = n->q_tail = NULL;
    n->q_len = 0;
    for (struct rte_mbuf *next; m; m = next) {
        next = pkt_meta(m)->link;
        pkt_drop(sh, m, COUNT_NEIGH_FAILED);
    }
}

static void entry_free(struct shard *sh, struct neigh *n)
{
    note_neigh(sh->st, n, true);
    drop_queue(sh, n);
    timer_cancel(&sh->wheel, &n->timer);
    n->timer.kind = TIMER_NONE; /* neigh_mend takes it for free from here on */
    list_step();
    list_del(&n->hash);
    list_del(&n->lru);
    slab_free(&sh->st->neigh->slab, n);
    route_flush_flows(sh->st); /* flows may point here */
}

/* Makes room: what nobody looked up for a while; failing that, the one unused for longest. Entries under
 * resolution stay. */
static void collect(struct shard *sh, bool must)
{
    struct neigh_table *t = sh->st->neigh;
    struct list *at = t->lru.prev;

    while (at != &t->lru) {
        struct neigh *n = container_of(at, struct neigh, lru);

        at = at->prev;
        if (n->state == NEIGH_INCOMPLETE || n->state == NEIGH_PERMANENT)
            continue;
        if (!must && shard_ms(sh) - n->used_ms < NEIGH_GC_STALE_MS)
            return;
        entry_free(sh, n);
        must = false;
    }
}

struct neigh *neigh_get(struct shard *sh, unsigned ifindex, const struct ipaddr *addr)
{
    struct neigh_table *t = sh->st->neigh;
    struct neigh *n = neigh_find(sh->st, ifindex, addr);
    uint8_t mac[6];

    if (n) {
        n->used_ms = shard_ms(sh);
        list_del(&n->lru);
        list_add_head(&t->lru, &n->lru);
        return n;
    }
    if (t->slab.in_use > t->slab.max / 2)
        collect(sh, t->slab.in_use == t->slab.max);
    n = slab_alloc(&t->slab);
    if (!n)
        return NULL;
    n->addr = *addr;
    n->ifindex = (uint8_t)ifindex;
    n->used_ms = shard_ms(sh);
    list_step();
    timer_init(&n->timer, TIMER_NEIGH); /* from here on it is live to neigh_mend */
    list_add_head(bucket_of(sh->st, ifindex, addr), &n->hash);
    list_add_head(&t->lru, &n->lru);
    if (mac_is_known(sh->st, &sh->st->ifn[ifindex], addr, mac)) {
        set_mac(sh, n, mac);
        set_state(sh, n, NEIGH_NOARP);
    }
    return n;
}

static void transmit(struct shard *sh, const struct neigh *n, struct rte_mbuf *m)
{
    memcpy(rte_pktmbuf_prepend(m, ETH_HDR_LEN), n->hdr, ETH_HDR_LEN);
    shard_tx(sh, n->ifindex, m);
}

/* The queue of an unresolved neighbour keeps the latest packets (RFC 1122 section 2.3.2.2 asks for at least
 * one). */
static void enqueue(struct shard *sh, struct neigh *n, struct rte_mbuf *m)
{
    if (n->q_len >= (uint32_t)sh->st->set.neigh_unres_qlen) {
        struct rte_mbuf *oldest = n->q_head;

        n->q_head = pkt_meta(oldest)->link;
        n->q_len--;
        pkt_drop(sh, oldest, COUNT_NEIGH_FULL);
    }
    pkt_meta(m)->link = NULL;
    list_step();
    if (n->q_head)
        pkt_meta(n->q_tail)->link = m;
    else
        n->q_head = m;
    n->q_tail = m;
    n->q_len++;
}

static void send_queue(struct shard *sh, struct neigh *n)
{
    struct rte_mbuf *m = n->q_head;

    n->q_head = n->q_tail = NULL;
    n->q_len = 0;
    for (struct rte_mbuf *next; m; m = next) {
        next = pkt_meta(m)->link;
        pkt_meta(m)->link = NULL;
        transmit(sh, n, m);
    }
}

static bool read_head4(const struct rte_mbuf *m, struct rxinfo *ri)
{
    const struct ip4_hdr *ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);

    ri->src = ri->dst = ipaddr_v4(ip->src_be);
    ri->proto = ip->proto;
    ri->l3_len = (uint16_t)ip4_hlen(ip);
    return true;
}

static bool read_head6(const struct neigh *n, const struct rte_mbuf *m, struct rxinfo *ri)
{
    const struct ip6_head *ip = rte_pktmbuf_mtod(m, const struct ip6_head *);
    struct ip6_walk w;

    if (wire_ip6_walk((const uint8_t *)ip, m->data_len, true, &w) != IP6_WALK_OK)
        return false;
    memcpy(ri->src.b, ip->src, 16);
    ipaddr_set_zone(&ri->src, n->ifindex + 1u);
    ri->dst = ri->src;
    ri->proto = w.proto;
    ri->l3_len = w.off;
    return true;
}

/* Tells the sender of m, this stack itself, that its destination n can't be reached (neigh.h, the failure
 * report). */
static void report_failure(struct shard *sh, const struct neigh *n, struct rte_mbuf *m)
{
    struct rxinfo ri = {.ifindex = 0};

    if (!(ipaddr_is_v4(&n->addr) ? read_head4(m, &ri) : read_head6(n, m, &ri)))
        return;
    ri.len = m->pkt_len - ri.l3_len;
    rte_pktmbuf_adj(m, ri.l3_len);
    icmp_send_error(sh, &ri, m, ICMP_T_UNREACH, ICMP_C_HOST);
}

static void fail(struct shard *sh, struct neigh *n)
{
    struct rte_mbuf *m = n->q_head;

    n->q_head = n->q_tail = NULL;
    n->q_len = 0;
    set_state(sh, n, NEIGH_FAILED);
    for (struct rte_mbuf *next; m; m = next) {
        next = pkt_meta(m)->link;
        report_failure(sh, n, m);
        pkt_drop(sh, m, COUNT_NEIGH_FAILED);
    }
}

/* Sends the next solicitation of this state and waits for the answer. */
static void solicit(struct shard *sh, struct neigh *n)
{
    n->probes++;
    if (ipaddr_is_v4(&n->addr))
        arp_solicit(sh, n, n->state == NEIGH_PROBE);
    else
        nd_solicit(sh, n, n->state == NEIGH_PROBE);
    timer_arm(&sh->wheel, &n->timer, shard_ms(sh) + (uint64_t)sh->st->set.neigh_retrans);
}

void neigh_output_slow(struct shard *sh, struct neigh *n, struct rte_mbuf *m)
{
    n->used_ms = shard_ms(sh);
    switch ((enum neigh_state)n->state) {
    case NEIGH_NONE:
    case NEIGH_FAILED:
        set_state(sh, n, NEIGH_INCOMPLETE);
        n->probes = 0;
        enqueue(sh, n, m);
        solicit(sh, n);
        return;
    case NEIGH_INCOMPLETE:
        enqueue(sh, n, m);
        return;
    case NEIGH_REACHABLE: /* the confirmation is too old */
    case NEIGH_STALE:
        set_state(sh, n, NEIGH_DELAY);
        timer_arm(&sh->wheel, &n->timer, shard_ms(sh) + NEIGH_DELAY_MS);
        break;
    case NEIGH_DELAY:
    case NEIGH_PROBE:
    case NEIGH_NOARP:
    case NEIGH_PERMANENT:
        break;
    }
    transmit(sh, n, m);
}

void neigh_update(struct shard *sh, struct neigh *n, const uint8_t mac[6], bool solicited)
{
    bool had = neigh_has_mac(n);
    bool news = !had || !eth_addr_eq(n->hdr, mac);
    uint8_t was = n->state;

    if (neigh_is_fixed(n))
        return;
    if (!solicited && !news)
        return;
    set_mac(sh, n, mac);
    timer_cancel(&sh->wheel, &n->timer);
    if (solicited)
        n->confirmed_ms = shard_ms(sh);
    set_state(sh, n, solicited ? NEIGH_REACHABLE : NEIGH_STALE);
    if (news && was == n->state)
        note_neigh(sh->st, n, false);
    send_queue(sh, n);
}

void neigh_set(struct shard *sh, struct neigh *n, const uint8_t *mac, enum neigh_state state)
{
    timer_cancel(&sh->wheel, &n->timer);
    if (state == NEIGH_FAILED) {
        fail(sh, n);
        return;
    }
    if (mac)
        set_mac(sh, n, mac);
    n->probes = 0;
    n->used_ms = shard_ms(sh);
    if (state == NEIGH_REACHABLE || state == NEIGH_PERMANENT)
        n->confirmed_ms = shard_ms(sh);
    n->state = NEIGH_NONE; /* told, whatever it was */
    set_state(sh, n, state);
    if (state == NEIGH_DELAY)
        timer_arm(&sh->wheel, &n->timer, shard_ms(sh) + NEIGH_DELAY_MS);
    else if (state == NEIGH_PROBE || state == NEIGH_INCOMPLETE)
        solicit(sh, n);
    if (neigh_has_mac(n))
        send_queue(sh, n);
}

void neigh_forget(struct shard *sh, struct neigh *n)
{
    entry_free(sh, n);
}

void neigh_advert(struct shard *sh, struct neigh *n, const uint8_t *mac, bool solicited, bool override)
{
    bool other = mac && (!neigh_has_mac(n) || !eth_addr_eq(n->hdr, mac));

    if (neigh_is_fixed(n))
        return;
    if (!neigh_has_mac(n)) { /* nothing to override; without an address nothing is learnt */
        if (mac)
            neigh_update(sh, n, mac, solicited);
        return;
    }
    if (other && !override) { /* two answer for one address: doubt, and ask again when it is used */
        if (n->state == NEIGH_REACHABLE)
            set_state(sh, n, NEIGH_STALE);
        return;
    }
    if (solicited)
        neigh_update(sh, n, mac ? mac : n->hdr, true);
    else if (other)
        neigh_update(sh, n, mac, false);
}

void neigh_confirm(struct shard *sh, struct neigh *n)
{
    if (!n || neigh_is_fixed(n) || !neigh_has_mac(n))
        return;
    n->confirmed_ms = shard_ms(sh);
    if (n->state != NEIGH_REACHABLE)
        timer_cancel(&sh->wheel, &n->timer);
    set_state(sh, n, NEIGH_REACHABLE);
}

void neigh_timer(struct shard *sh, struct timer *t)
{
    struct neigh *n = container_of(t, struct neigh, timer);

    switch ((enum neigh_state)n->state) {
    case NEIGH_DELAY:
        set_state(sh, n, NEIGH_PROBE);
        n->probes = 0;
        solicit(sh, n);
        break;
    case NEIGH_INCOMPLETE:
    case NEIGH_PROBE:
        if (n->probes < sh->st->set.neigh_probes)
            solicit(sh, n);
        else
            fail(sh, n);
        break;
    case NEIGH_NONE:
    case NEIGH_REACHABLE:
    case NEIGH_STALE:
    case NEIGH_FAILED:
    case NEIGH_NOARP:
    case NEIGH_PERMANENT:
        break;
    }
}

void neigh_flush(struct shard *sh, unsigned ifindex)
{
    list_for_each_safe(at, &sh->st->neigh->lru)
    {
        struct neigh *n = container_of(at, struct neigh, lru);

        if (n->ifindex == ifindex)
            entry_free(sh, n);
    }
}

static bool is_live(const void *obj)
{
    return ((const struct neigh *)obj)->timer.kind == TIMER_NEIGH;
}

/* Which link address it has is not certain: it is asked for again at the next packet. What is being asked for
 * goes on being asked for. */
static void mend_entry(struct shard *sh, struct neigh *n)
{
    struct neigh_table *t = sh->st->neigh;

    n->q_tail = NULL;
    n->q_len = 0;
    for (struct rte_mbuf *m = n->q_head; m; m = pkt_meta(m)->link) {
        n->q_tail = m;
        n->q_len++;
    }
    list_add_tail(bucket_of(sh->st, n->ifindex, &n->addr), &n->hash);
    list_add_tail(&t->lru, &n->lru);
    switch ((enum neigh_state)n->state) {
    case NEIGH_INCOMPLETE:
        if (!n->timer.armed)
            timer_arm(&sh->wheel, &n->timer, shard_ms(sh));
        break;
    case NEIGH_REACHABLE:
    case NEIGH_STALE:
    case NEIGH_DELAY:
    case NEIGH_PROBE:
        timer_cancel(&sh->wheel, &n->timer);
        set_state(sh, n, NEIGH_NONE);
        break;
    case NEIGH_NONE: /* what was queued has no timer: it was about to be asked for, or given up */
    case NEIGH_FAILED:
        drop_queue(sh, n);
        break;
    case NEIGH_NOARP:
    case NEIGH_PERMANENT:
        break;
    }
}

void neigh_mend(struct shard *sh)
{
    struct neigh_table *t = sh->st->neigh;
    uint8_t mac[6];

    list_init(&t->lru);
    for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
        list_init(&t->bucket[i]);
    slab_mend(&t->slab, is_live);
    for (uint32_t i = 0; i < t->slab.fresh; i++) {
        struct neigh *n = slab_at(&t->slab, i);

        if (!is_live(n))
            continue;
        mend_entry(sh, n);
        if (mac_is_known(sh->st, &sh->st->ifn[n->ifindex], &n->addr, mac)) {
            set_mac(sh, n, mac);
            set_state(sh, n, NEIGH_NOARP);
        }
    }
    if (!t->arp.timer.armed)
        timer_arm(&sh->wheel, &t->arp.timer, shard_ms(sh));
    if (!t->nd.timer.armed)
        timer_arm(&sh->wheel, &t->nd.timer, shard_ms(sh));
    route_flush_flows(sh->st);
}
