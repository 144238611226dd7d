/* tcp_table.c: tables of connections and listeners; the life of a tcb's memory. See tcp_cb.h for who frees
 * when. */
#include "tcp_table.h"

#include <errno.h>

#include "filter.h"
#include "hash.h"
#include "port.h"
#include "port_reuse.h"
#include "shard.h"
#include "tcp_ext.h"
#include "tcp_md5.h"
#include "tcp_pace.h"
#include "tcp_rcvq.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_tfo.h"
#include "tcp_synq.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

#define HASH_FIRST 64u /* buckets at start */

int tcp_hash_init(struct tcp_hash *h, struct seg *seg, uint32_t max)
{
    h->max_buckets = HASH_FIRST;
    while (h->max_buckets < max)
        h->max_buckets <<= 1;
    h->bucket = seg_alloc(seg, (size_t)h->max_buckets * sizeof *h->bucket, 64);
    if (!h->bucket)
        return -ENOMEM;
    h->mask = HASH_FIRST - 1;
    h->split = 0;
    h->count = 0;
    return 0;
}

static uint32_t hash_slot(const struct tcp_hash *h, uint32_t hash)
{
    uint32_t i = hash & h->mask;

    return i < h->split ? hash & (2 * h->mask + 1) : i;
}

struct list *tcp_hash_chain(const struct tcp_hash *h, uint32_t hash)
{
    return h->bucket[hash_slot(h, hash)];
}

/* Splits the next bucket of this round in two. An entry at a time goes over: a process killed in here leaves
 * chains that hold together, and loses one entry at most (tcp_hash_mend goes on with the rest). */
static void hash_grow(struct tcp_hash *h, const struct stack *st, tcp_hash_fn *fn)
{
    struct list **low = &h->bucket[h->split], **high, *n;
    uint32_t half = h->mask + 1;

    if (2 * half > h->max_buckets)
        return;
    high = &h->bucket[h->split + half];
    while ((n = *low)) {
        if (!(fn(st, n) & half)) {
            low = &n->next;
            continue;
        }
        *low = n->next;
        list_step();
        n->next = *high;
        list_step();
        *high = n;
    }
    if (++h->split == half) {
        h->mask = 2 * half - 1;
        h->split = 0;
    }
}

void tcp_hash_insert(struct tcp_hash *h, const struct stack *st, struct list *obj, uint32_t hash,
                     tcp_hash_fn *fn)
{
    struct list **b;

    if (++h->count > h->mask + h->split)
        hash_grow(h, st, fn);
    b = &h->bucket[hash_slot(h, hash)];
    obj->next = *b;
    list_step();
    *b = obj;
}

void tcp_hash_remove(struct tcp_hash *h, struct list *obj, uint32_t hash)
{
    struct list **p = &h->bucket[hash_slot(h, hash)];

    while (*p && *p != obj)
        p = &(*p)->next;
    if (!*p)
        return;
    *p = obj->next;
    list_step();
    obj->next = NULL;
    h->count--;
}

void tcp_hash_mend(struct tcp_hash *h, const struct stack *st, tcp_hash_fn *fn)
{
    uint32_t half = h->mask + 1;

    if (2 * half <= h->max_buckets && h->split < half && h->bucket[h->split + half])
        hash_grow(h, st, fn);
    h->count = 0;
    for (uint32_t i = 0; i < h->mask + 1 + h->split; i++)
        for (struct list *n = h->bucket[i]; n; n = n->next)
            h->count++;
}

static uint32_t conn_hash(const struct stack *st, const struct list *obj)
{
    const struct pcb *p = container_of(obj, struct pcb, hash);

    return hash_flow(st->secret, &p->local, &p->remote);
}

int tcp_init(struct shard *sh, uint32_t max_tcb)
{
    struct tcp_table *tt = seg_alloc(sh->st->seg, sizeof *tt, 64);
    uint32_t max_tw = (uint32_t)sh->st->set.tcp_max_tw_buckets;
    uint32_t max_half = max_tcb / 4 + 1024;

    if (!tt)
        return -ENOMEM;
    if (slab_init(&tt->tcb, sh->st->seg, sizeof(struct tcb), max_tcb) ||
        slab_init(&tt->ofo, sh->st->seg, sizeof(struct tcp_ofo), max_tcb) ||
        slab_init(&tt->io, sh->st->seg, sizeof(struct tcp_io), max_tcb) ||
        slab_init(&tt->tx, sh->st->seg, sizeof(struct tcp_tx), max_tcb) ||
        slab_init(&tt->sack_cache, sh->st->seg, sizeof(struct tcp_sack_cache), max_tcb) ||
        slab_init(&tt->txstamp, sh->st->seg, sizeof(struct txstamp), TXSTAMPS_MAX) ||
        slab_init(&tt->pace, sh->st->seg, sizeof(struct tcp_pace), max_tcb) ||
        slab_init(&tt->ext, sh->st->seg, sizeof(struct tcp_ext), max_tcb) ||
        slab_init_packed(&tt->synreq, sh->st->seg, sizeof(struct synreq), max_half) ||
        slab_init(&tt->saved_syn, sh->st->seg, sizeof(struct tcp_saved_syn), max_half) ||
        slab_init_packed(&tt->tw, sh->st->seg, sizeof(struct tw), max_tw ? max_tw : 1) ||
        tcp_hash_init(&tt->conn, sh->st->seg, max_tcb) || tcp_hash_init(&tt->half, sh->st->seg, max_half) ||
        tcp_hash_init(&tt->timewait, sh->st->seg, max_tw))
        return -ENOMEM;
    for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++)
        list_init(&tt->listen[i]);
    if (slab_init_packed(&tt->md5, sh->st->seg, sizeof(struct tcp_md5_key), TCP_MD5_KEYS))
        return -ENOMEM;
    list_init(&tt->tw_fifo);
    list_init(&tt->fw2_fifo);
    timer_init(&tt->tw_timer, TIMER_TW);
    sh->tcp = tt;
    return tcp_tfo_init(sh);
}

bool tcp_memory_tight(const struct shard *sh)
{
    const struct rte_mempool *pool = sh->pool;
    /* A pool may be populated little by little: what isn't yet counts as free. Buffers in caches count as
     * used. */
    uint32_t out = pool->populated_size - rte_mempool_ops_get_count(pool);

    return out > pool->size - pool->size / 8;
}

struct tcb *tcb_alloc(struct shard *sh)
{
    struct tcb *t = slab_alloc(&sh->tcp->tcb);

    if (!t) {
        tcp_count(sh, COUNT_NOMEM_PCB);
        return NULL;
    }
    t->pcb.proto = IPPROTO_TCP;
    t->pcb.shard = (uint8_t)sh->id;
    list_init(&t->pcb.port_node);
    list_init(&t->pcb.dirty);
    timer_init(&t->timer, TIMER_TCB);
    t->state = TCPS_CLOSE;
    return t;
}

void tcb_free(struct shard *sh, struct tcb *t)
{
    tcp_timer_stop(sh, t);
    if (t->state == TCPS_LISTEN) {
        tcp_listen_remove(sh, t);
    } else {
        tcp_conn_remove(sh, t);
        tcp_sndq_free(sh, t);
        tcp_rcvq_free(sh, t);
    }
    port_release(sh->st, &t->pcb);
    if (tcp_tfo_passive(t))
        tcp_tfo_child_ends(sh, t, false);
    tcp_tx_free(sh, t);
    tcp_io_free(sh, t);
    tcp_ext_free(sh, t);
    filter_put(sh, t->pcb.filter);
    list_del(&t->pcb.dirty);
    t->state = TCPS_CLOSE;
    t->pcb.proto = 0; /* tcp_mend looks at freed ones, too */
    list_step();
    slab_free(&sh->tcp->tcb, t);
}

void tcp_conn_insert(struct shard *sh, struct tcb *t)
{
    tcp_hash_insert(&sh->tcp->conn, sh->st, &t->pcb.hash, conn_hash(sh->st, &t->pcb.hash), conn_hash);
}

void tcp_conn_remove(struct shard *sh, struct tcb *t)
{
    tcp_hash_remove(&sh->tcp->conn, &t->pcb.hash, conn_hash(sh->st, &t->pcb.hash));
}

void tcp_conn_mend(struct shard *sh)
{
    tcp_hash_mend(&sh->tcp->conn, sh->st, conn_hash);
}

static inline struct tcb *find(const struct shard *sh, const struct endpoint *local,
                               const struct endpoint *remote)
{
    struct list *n = tcp_hash_chain(&sh->tcp->conn, hash_flow(sh->st->secret, local, remote));

    for (; n; n = n->next) {
        struct pcb *p = container_of(n, struct pcb, hash);

        if (p->local.port_be == local->port_be && p->remote.port_be == remote->port_be &&
            ipaddr_eq(&p->remote.addr, &remote->addr) && ipaddr_eq(&p->local.addr, &local->addr))
            return pcb_tcb(p);
    }
    return NULL;
}

struct tcb *tcp_find(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    return find(sh, local, remote);
}

/* On one of the other shards; it comes to this one, which is shard 0. */
static struct tcb *elsewhere(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct stack *st = sh->st;

    if (sh->id || !st->all)
        return NULL;
    for (uint32_t i = 1; i < st->nshard; i++) {
        struct tcb *t = tcp_find(&st->shard[i], local, remote);

        if (t) {
            shard_recall(st, &t->pcb);
            return t;
        }
    }
    return NULL;
}

struct tcb *tcp_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct tcb *t = find(sh, local, remote);

    return __builtin_expect(t || !sh->many, 1) ? t : elsewhere(sh, local, remote);
}

bool tcp_tuple_in_use(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct tw *w;

    if (tcp_lookup(sh, local, remote))
        return true;
    w = tcp_tw_lookup(sh, local, remote);
    return w && !tcp_tw_reusable(sh, w);
}

static struct list *listen_bucket(struct shard *sh, uint16_t port_be)
{
    return &sh->tcp->listen[ntohs(port_be) % TCP_LISTEN_BUCKETS];
}

void tcp_listen_insert(struct shard *sh, struct tcb *t)
{
    list_add_tail(listen_bucket(sh, t->pcb.local.port_be), &t->pcb.hash);
}

void tcp_listen_remove(struct shard *sh, struct tcb *t)
{
    list_del(&t->pcb.hash);
}

/* How well a listener fits, -1: not at all. */
static int listen_score(const struct tcb *t, const struct endpoint *local, unsigned ifindex)
{
    const struct pcb *p = &t->pcb;
    int score = 0;

    if (p->local.port_be != local->port_be)
        return -1;
    if (p->ifindex) {
        if (p->ifindex != ifindex)
            return -1;
        score += 2;
    }
    if (!ipaddr_is_any(&p->local.addr))
        return ipaddr_eq(&p->local.addr, &local->addr) ? score + 4 : -1;
    if (ipaddr_is_v4(&local->addr)) /* an IPv4 wildcard before a dual-stack one */
        return p->flags & PCB_V6 ? (p->flags & PCB_V6ONLY ? -1 : score) : score + 1;
    return p->flags & PCB_V6 ? score + 1 : -1;
}

struct tcb *tcp_lookup_listen(struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                              unsigned ifindex)
{
    struct tcb *best = NULL;
    int best_score = -1;
    uint32_t group = 0, hash = 0;

    list_for_each(n, listen_bucket(sh, local->port_be))
    {
        struct tcb *t = pcb_tcb(container_of(n, struct pcb, hash));
        int score = listen_score(t, local, ifindex);

        if (score < 0 || score < best_score)
            continue;
        if (score > best_score) {
            best = t;
            best_score = score;
            group = 1;
            hash = hash_flow(sh->st->secret, local, remote);
        } else if (t->pcb.flags & PCB_REUSEPORT) {
            /* Reservoir choice by the flow's hash: the same flow finds the same member. */
            hash = (uint32_t)hash_mix(hash + 0x9e3779b97f4a7c15ULL, 0xe7037ed1a0b428dbULL);
            if ((uint32_t)(((uint64_t)hash * ++group) >> 32) == 0)
                best = t;
        }
    }
    return best;
}

struct tcb *tcp_listen_nth(struct shard *sh, struct tcb *t, uint32_t i)
{
    list_for_each(n, listen_bucket(sh, t->pcb.local.port_be))
    {
        struct pcb *p = container_of(n, struct pcb, hash);

        if (reuse_same_group(p, &t->pcb) && !i--)
            return pcb_tcb(p);
    }
    return t;
}
