/* pool.c: see pool.h.
 *
 * Theory of operation. A mempool needs a store for its free objects; DPDK's own are rings, which pass every
 * buffer of the pool through the processor's cache in turn, and whose producers and consumers leave the ring
 * unusable when they are killed half-way. Ours is an array used as a stack: the buffer freed last, and so
 * still in the cache, is taken first, and whoever is killed loses a few buffers at worst. There is one a
 * shard, found by the lcore id that the holder of the shard's lock goes by: it needs no lock of its own.
 *
 * Where there are several shards, a buffer may be taken on one and given back on another, for ever. So a
 * store is bounded: what it has too much goes in bundles to a list that all shards take from before the pool
 * grows. A bundle is a free buffer whose data are the addresses of others; the list is a stack linked through
 * the bundles and changed by compare-and-swap of its head (R. K. Treiber, "Systems Programming: Coping with
 * Parallelism", 1986), which a count beside the address keeps apart from what it was before. Nobody can be
 * killed in the middle of that; a bundle on its way is lost like other buffers.
 *
 * The pool is created with its full size, but the range of memory for its buffers is populated chunk by
 * chunk: when a request finds too few free objects, the store itself populates the next chunk. So a stack
 * that carries little uses little memory, and a start takes no time for buffers that nobody needs. Range,
 * stores and pool lie in DPDK's shared memory: any member of the family may be the one that grows it.
 *
 * In front of the store is DPDK's cache of the shard, an array too, which counts what is put in before it
 * writes it, and forgets what it handed on to the store after it did. So when a process was killed inside the
 * stack its topmost entries may be old ones, of buffers that are in use, and others may be in the store as
 * well: pool_mend drops the former, which costs as many buffers, and the latter.
 */
#include "pool.h"

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../stack/pkt.h"
#include "sys.h"

#define POOL_OPS "shunt_lifo"
#define POOL_CHUNK                                                                                           \
    (512u << 10) /* bytes populated at a time; divides a huge page, so a chunk has one IOVA                  \
                  */
#define POOL_CACHE 256
#define POOL_BURST 1024 /* objects that a store passes in one go at most */
#define BUNDLE_MAX 255
#define STORE_SHARE                                                                                          \
    4             /* of several stores, each keeps so much less than its part of the pool                    \
                   */
#define UNSURE 16 /* buffers that the stack or a driver gives back in one go at most */

static bool joined; /* EAL does not run in this process */

void pool_joined(void)
{
    joined = true;
}

/* What pool_create tells store_alloc. */
struct pool_setup {
    const struct rte_memzone *range;
    unsigned nshard;
};

/* Free objects of a shard. */
struct store {
    uint32_t len;
    uint32_t max; /* more than that go to the bundles */
    void **obj;   /* room for max and POOL_BURST */
} __rte_cache_aligned;

struct stores {
    char *range;
    uint64_t range_bytes;
    uint64_t next;                        /* of the range, from its start: not yet populated */
    uint64_t listed;                      /* the mempool's own list has the objects below that */
    uint32_t nstore;                      /* shards */
    uint64_t bundles __rte_cache_aligned; /* the first: count << 32 | place (bundle_place); 0 place: none */
    uint64_t bytes;                       /* of all this */
    struct store store[];
};

/* A free buffer's data. */
struct bundle {
    uint32_t next; /* place of the next bundle, 0: none */
    uint32_t n;
    void *obj[BUNDLE_MAX];
};
_Static_assert(sizeof(struct bundle) <= PKT_HEADROOM + PKT_DATA_ROOM, "a bundle is in a buffer");

static struct store *my_store(const struct rte_mempool *mp)
{
    struct stores *all = mp->pool_data;
    unsigned lcore = rte_lcore_id();
    return &all->store[lcore < all->nstore ? lcore : 0];
}

/* Where a buffer is, from the start of the range, in 32 bits; never 0: a header is before it. */
static uint32_t bundle_place(const struct stores *all, const struct rte_mbuf *m)
{
    return (uint32_t)(((uintptr_t)m - (uintptr_t)all->range) / RTE_CACHE_LINE_SIZE);
}

static struct rte_mbuf *bundle_at(const struct stores *all, uint32_t place)
{
    return (struct rte_mbuf *)((uintptr_t)all->range + (uintptr_t)place * RTE_CACHE_LINE_SIZE);
}

/* Not by what the buffer says: each_stored may come to one that is somebody's, or to no buffer at all. */
static struct bundle *bundle_of(const struct rte_mbuf *m)
{
    return (struct bundle *)((uintptr_t)m + sizeof(*m) + PKT_PRIV_SIZE);
}

/* Takes up to BUNDLE_MAX + 1 objects off s, and puts them on the list. */
static void bundle_put(struct stores *all, struct store *s)
{
    struct rte_mbuf *m = s->obj[s->len - 1];
    struct bundle *b = bundle_of(m);
    b->n = RTE_MIN(s->len - 1, (uint32_t)BUNDLE_MAX);
    s->len -= b->n + 1;
    __asm__ volatile("" ::: "memory"); /* they are nobody's before they are the list's */
    memcpy(b->obj, &s->obj[s->len], b->n * sizeof(b->obj[0]));
    uint64_t head = __atomic_load_n(&all->bundles, __ATOMIC_RELAXED), mine;
    do {
        b->next = (uint32_t)head;
        mine = ((head >> 32) + 1) << 32 | bundle_place(all, m);
    } while (
        !__atomic_compare_exchange_n(&all->bundles, &head, mine, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* The objects of the first bundle to s. False: there is none. */
static bool bundle_get(struct stores *all, struct store *s)
{
    uint64_t head = __atomic_load_n(&all->bundles, __ATOMIC_ACQUIRE), rest;
    struct rte_mbuf *m;
    do {
        if (!(uint32_t)head)
            return false;
        m = bundle_at(all, (uint32_t)head);
        /* Another may have taken it, and write there: then what was read is thrown away, the count differs.
         */
        rest = ((head >> 32) + 1) << 32 | __atomic_load_n(&bundle_of(m)->next, __ATOMIC_RELAXED);
    } while (
        !__atomic_compare_exchange_n(&all->bundles, &head, rest, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
    const struct bundle *b = bundle_of(m);
    memcpy(&s->obj[s->len], b->obj, b->n * sizeof(b->obj[0]));
    s->obj[s->len + b->n] = m;
    __asm__ volatile("" ::: "memory");
    s->len += b->n + 1;
    return true;
}

static int store_alloc(struct rte_mempool *mp)
{
    const struct pool_setup *setup = mp->pool_config;
    uint32_t n = setup->nshard,
             max = n > 1 ? RTE_MAX(mp->size / (STORE_SHARE * n), (uint32_t)POOL_BURST) : mp->size;
    size_t head = sizeof(struct stores) + n * sizeof(struct store),
           each = RTE_CACHE_LINE_ROUNDUP((max + (n > 1 ? POOL_BURST : 0)) * sizeof(void *));
    struct stores *all = rte_zmalloc("shunt_store", head + n * each, RTE_CACHE_LINE_SIZE);
    if (!all)
        return -ENOMEM;
    all->range = setup->range->addr;
    all->range_bytes = setup->range->len;
    all->nstore = n;
    all->bytes = head + n * each;
    for (uint32_t i = 0; i < n; i++)
        all->store[i] = (struct store){.max = max, .obj = (void **)(void *)((char *)all + head + i * each)};
    mp->pool_data = all;
    return 0;
}

static void store_free(struct rte_mempool *mp)
{
    rte_free(mp->pool_data);
}

static int store_put(struct rte_mempool *mp, void *const *obj, unsigned n)
{
    struct store *s = my_store(mp);
    while (n) {
        unsigned k = RTE_MIN(n, (unsigned)POOL_BURST);
        /* What is given back now may be in the shard's cache as well until the call is over (pool_mend): it
         * stays here. */
        while (__builtin_expect(s->len + k > s->max + POOL_BURST, 0))
            bundle_put(mp->pool_data, s);
        memcpy(&s->obj[s->len], obj, k * sizeof(*obj));
        __asm__ volatile("" ::: "memory"); /* none counts before it is there */
        s->len += k;
        obj += k;
        n -= k;
    }
    return 0;
}

/* Makes packet buffers of the chunk. As rte_mempool_populate_iova, which wants EAL's heap and tables: a
 * process that joined the family has none. They are on none of the lists that it keeps: that of objects,
 * which two shards could not grow at once, is for walks (pool_each does without); that of chunks is for
 * drivers that register a pool's memory with a device, and those take pools that are whole. */
static void store_add(struct rte_mempool *mp, struct store *s, char *chunk)
{
    size_t elt = mp->header_size + mp->elt_size + mp->trailer_size;
    rte_iova_t iova = joined ? (rte_iova_t)(uintptr_t)chunk : rte_mem_virt2iova(chunk);
    for (size_t off = 0; off + elt <= POOL_CHUNK; off += elt) {
        void *obj = chunk + off + mp->header_size;
        struct rte_mempool_objhdr *hdr = rte_mempool_get_header(obj);
        if (__atomic_fetch_add(&mp->populated_size, 1, __ATOMIC_RELAXED) >= mp->size) {
            __atomic_fetch_sub(&mp->populated_size, 1, __ATOMIC_RELAXED);
            return;
        }
        hdr->mp = mp;
        hdr->iova = iova + off + mp->header_size;
        rte_pktmbuf_init(mp, NULL, obj, 0);
        s->obj[s->len++] = obj;
    }
}

/* Populates the next chunk of the range. False when there is none. */
static bool store_grow(struct rte_mempool *mp, struct store *s)
{
    struct stores *all = mp->pool_data;
    uint64_t at = __atomic_load_n(&all->next, __ATOMIC_RELAXED);
    do {
        if (at + POOL_CHUNK > all->range_bytes || mp->populated_size >= mp->size)
            return false;
    } while (!__atomic_compare_exchange_n(&all->next, &at, at + POOL_CHUNK, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    char *chunk = all->range + at;
#ifdef MADV_POPULATE_WRITE
    sys3(SYS_madvise, chunk, POOL_CHUNK, MADV_POPULATE_WRITE); /* all page faults in one; only faster */
#endif
    store_add(mp, s, chunk);
    return true;
}

/* Makes sure of n objects in s. False: there are too few. */
static bool store_fill(struct rte_mempool *mp, struct store *s, unsigned n)
{
    while (s->len < n)
        if (!bundle_get(mp->pool_data, s) && !store_grow(mp, s))
            return false;
    return true;
}

static int store_get(struct rte_mempool *mp, void **obj, unsigned n)
{
    struct store *s = my_store(mp);
    for (unsigned done = 0, k; done < n; done += k) {
        k = RTE_MIN(n - done, (unsigned)POOL_BURST);
        if (!store_fill(mp, s, k)) {
            store_put(mp, obj, done);
            return -ENOBUFS;
        }
        s->len -= k;
        __asm__ volatile("" ::: "memory");
        memcpy(obj + done, &s->obj[s->len], k * sizeof(*obj));
    }
    return 0;
}

/* Calls fn, if there is one, for each object that waits in a store or bundle. Their number. Context: nobody
 * changes the pool, or for a figure alone. */
static unsigned each_stored(const struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg)
{
    const struct stores *all = mp->pool_data;
    unsigned n = 0;
    for (uint32_t i = 0; i < all->nstore; i++) {
        const struct store *s = &all->store[i];
        n += s->len;
        for (uint32_t k = 0; fn && k < s->len; k++)
            fn(arg, s->obj[k]);
    }
    for (uint32_t at = (uint32_t)all->bundles; at && n < mp->size;) {
        struct rte_mbuf *m = bundle_at(all, at);
        /* For a figure it may be somebody's data by now. */
        const struct bundle *b = bundle_of(m);
        if ((uintptr_t)(b + 1) > (uintptr_t)all->range + all->range_bytes || b->n > BUNDLE_MAX)
            break;
        n += b->n + 1;
        for (uint32_t k = 0; fn && k < b->n; k++)
            fn(arg, b->obj[k]);
        at = b->next;
        if (fn)
            fn(arg, m);
    }
    return n;
}

static unsigned store_count(const struct rte_mempool *mp)
{
    return each_stored(mp, NULL, NULL);
}

/* Populating also makes a packet buffer of each object. */
static void store_add_object(struct rte_mempool *mp, void *obj_cb, void *obj, rte_iova_t iova)
{
    (*(rte_mempool_populate_obj_cb_t **)obj_cb)(mp, NULL, obj, iova);
    rte_pktmbuf_init(mp, NULL, obj, 0);
}

static int store_populate(struct rte_mempool *mp, unsigned max, void *va, rte_iova_t iova, size_t len,
                          rte_mempool_populate_obj_cb_t *obj_cb, void *arg)
{
    return rte_mempool_op_populate_default(mp, max, va, iova, len, store_add_object, &obj_cb);
}

static const struct rte_mempool_ops store_ops = {
    .name = POOL_OPS,
    .alloc = store_alloc,
    .free = store_free,
    .enqueue = store_put,
    .dequeue = store_get,
    .get_count = store_count,
    .populate = store_populate,
};
RTE_MEMPOOL_REGISTER_OPS(store_ops)

struct rte_mempool *pool_create(const char *name, uint64_t bytes, unsigned nshard, bool whole)
{
    struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = PKT_HEADROOM + PKT_DATA_ROOM,
                                            .mbuf_priv_size = PKT_PRIV_SIZE};
    unsigned elt = (unsigned)(sizeof(struct rte_mbuf) + PKT_PRIV_SIZE + PKT_HEADROOM + PKT_DATA_ROOM);
    char zone[RTE_MEMZONE_NAMESIZE];
    bytes = RTE_ALIGN_FLOOR(bytes, POOL_CHUNK);
    snprintf(zone, sizeof(zone), "%s_range", name);
    const struct rte_memzone *range = rte_memzone_reserve_aligned(
        zone, bytes, SOCKET_ID_ANY, RTE_MEMZONE_2MB | RTE_MEMZONE_SIZE_HINT_ONLY, POOL_CHUNK);
    if (!range)
        return NULL;
    unsigned n = (unsigned)(bytes / elt);
    struct rte_mempool *mp = rte_mempool_create_empty(name, n, elt, POOL_CACHE, sizeof(priv), SOCKET_ID_ANY,
                                                      RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (!mp)
        return NULL;
    /* A chunk is contiguous to devices as a whole; without that flag no buffer would cross a 4 KiB page, and
     * a third of the memory would be lost. */
    mp->flags &= ~RTE_MEMPOOL_F_NON_IO;
    rte_pktmbuf_pool_init(mp, &priv);
    struct pool_setup setup = {range, nshard};
    if (rte_mempool_set_ops_byname(mp, POOL_OPS, &setup) != 0)
        return NULL;
    /* The first chunk, by hand: the store exists from then on. */
    size_t first = whole ? bytes : POOL_CHUNK;
    if (rte_mempool_populate_iova(mp, range->addr, rte_malloc_virt2iova(range->addr), first, NULL, NULL) <= 0)
        return NULL;
    mp->pool_config = NULL;
    ((struct stores *)mp->pool_data)->next = first;
    ((struct stores *)mp->pool_data)->listed = first;
    return mp;
}

/* Is obj among the n objects at at? */
static bool is_among(void *const *at, unsigned n, const void *obj)
{
    for (unsigned i = 0; i < n; i++)
        if (at[i] == obj)
            return true;
    return false;
}

void pool_mend(struct rte_mempool *mp, unsigned lcore)
{
    const struct stores *all = mp->pool_data;
    const struct store *s = &all->store[lcore < all->nstore ? lcore : 0];
    struct rte_mempool_cache *c = rte_mempool_default_cache(mp, lcore);
    unsigned near = s->len < 2 * RTE_MEMPOOL_CACHE_MAX_SIZE ? s->len : 2 * RTE_MEMPOOL_CACHE_MAX_SIZE, n = 0;

    if (!c)
        return;
    if (c->len > RTE_DIM(c->objs))
        c->len = RTE_DIM(c->objs);
    c->len = c->len > UNSURE ? c->len - UNSURE : 0;
    for (unsigned i = 0; i < c->len; i++)
        if (!is_among(&s->obj[s->len - near], near, c->objs[i]) && !is_among(c->objs, n, c->objs[i]))
            c->objs[n++] = c->objs[i];
    c->len = n;
}

struct each {
    void (*fn)(void *arg, void *obj);
    void *arg;
};

/* rte_mempool_obj_iter's. */
static void each_listed(struct rte_mempool *mp, void *arg, void *obj, unsigned idx)
{
    const struct each *e = arg;
    e->fn(e->arg, obj);
}

void pool_each(struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg)
{
    const struct stores *all = mp->pool_data;
    size_t elt = mp->header_size + mp->elt_size + mp->trailer_size;
    struct each e = {fn, arg};
    rte_mempool_obj_iter(mp, each_listed, &e);
    for (uint64_t at = all->listed; at < all->next; at += POOL_CHUNK)
        for (size_t off = 0; off + elt <= POOL_CHUNK; off += elt) {
            void *obj = all->range + at + off + mp->header_size;
            if (rte_mempool_get_header(obj)->mp == mp) /* else it is beyond the pool's size */
                fn(arg, obj);
        }
}

void pool_each_free(struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg)
{
    each_stored(mp, fn, arg);
    for (unsigned lcore = 0; mp->cache_size && lcore < RTE_MAX_LCORE; lcore++)
        for (uint32_t i = 0; i < mp->local_cache[lcore].len; i++)
            fn(arg, mp->local_cache[lcore].objs[i]);
}

bool pool_range(const struct rte_mempool *mp, unsigned i, const void **from, const void **to)
{
    const struct stores *all = mp->pool_data;
    switch (i) {
    case 0:
        *from = all->range;
        *to = all->range + all->range_bytes;
        return true;
    case 1:
        *from = all;
        *to = (const char *)all + all->bytes;
        return true;
    case 2:
        *from = mp->local_cache;
        *to = &mp->local_cache[RTE_MAX_LCORE];
        return true;
    default:
        return false;
    }
}
