/* pool.c: see pool.h.
 *
 * Theory of operation. A mempool needs a store for its free objects; DPDK's own are rings, which pass every
 * buffer of the pool through the processor's cache in turn, and whose producers and consumers leave the ring
 * unusable when they are killed half-way. Ours is an array used as a stack: the buffer freed last, and so
 * still in the cache, is taken first, and whoever is killed loses a few buffers at worst. It needs no lock of
 * its own, because a shard's pool is used under the shard's lock only.
 *
 * The pool is created with its full size, but the range of memory for its buffers is populated chunk by
 * chunk: when a request finds too few free objects, the store itself populates the next chunk. So a stack
 * that carries little uses little memory, and a start takes no time for buffers that nobody needs. Range,
 * store and pool lie in DPDK's shared memory: any member of the family may be the one that grows it.
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
#define UNSURE     16 /* buffers that the stack or a driver gives back in one go at most */

static bool joined; /* EAL does not run in this process */

void pool_joined(void)
{
    joined = true;
}

struct store {
    uint32_t len; /* free objects */
    char *next;   /* of the range: not yet populated */
    char *end;
    void *obj[];
};

static int store_alloc(struct rte_mempool *mp)
{
    const struct rte_memzone *range = mp->pool_config;
    struct store *s = rte_zmalloc("shunt_store", sizeof(*s) + mp->size * sizeof(void *), RTE_CACHE_LINE_SIZE);
    if (!s)
        return -ENOMEM;
    s->next = range->addr;
    s->end = s->next + range->len;
    mp->pool_data = s;
    return 0;
}

static void store_free(struct rte_mempool *mp)
{
    rte_free(mp->pool_data);
}

static int store_put(struct rte_mempool *mp, void *const *obj, unsigned n)
{
    struct store *s = mp->pool_data;
    memcpy(&s->obj[s->len], obj, n * sizeof(*obj));
    __asm__ volatile("" ::: "memory"); /* none counts before it is there */
    s->len += n;
    return 0;
}

/* Makes packet buffers of the chunk. As rte_mempool_populate_iova, which wants EAL's heap and tables: a
 * process that joined the family has none. The list of chunks that it keeps is for drivers that register a
 * pool's memory with a device; those take pools that are whole. */
static void store_add(struct rte_mempool *mp, char *chunk)
{
    struct store *s = mp->pool_data;
    size_t elt = mp->header_size + mp->elt_size + mp->trailer_size;
    rte_iova_t iova = joined ? (rte_iova_t)(uintptr_t)chunk : rte_mem_virt2iova(chunk);
    for (size_t off = 0; off + elt <= POOL_CHUNK && mp->populated_size < mp->size; off += elt) {
        void *obj = chunk + off + mp->header_size;
        struct rte_mempool_objhdr *hdr = rte_mempool_get_header(obj);
        hdr->mp = mp;
        hdr->iova = iova + off + mp->header_size;
        STAILQ_INSERT_TAIL(&mp->elt_list, hdr, next);
        mp->populated_size++;
        rte_pktmbuf_init(mp, NULL, obj, 0);
        s->obj[s->len++] = obj;
    }
}

/* Populates the next chunk of the range. False when there is none. */
static bool store_grow(struct rte_mempool *mp)
{
    struct store *s = mp->pool_data;
    char *chunk = s->next;
    if (s->end - chunk < POOL_CHUNK || mp->populated_size >= mp->size)
        return false;
    s->next += POOL_CHUNK;
#ifdef MADV_POPULATE_WRITE
    sys3(SYS_madvise, chunk, POOL_CHUNK, MADV_POPULATE_WRITE); /* all page faults in one; only faster */
#endif
    store_add(mp, chunk);
    return true;
}

static int store_get(struct rte_mempool *mp, void **obj, unsigned n)
{
    struct store *s = mp->pool_data;
    while (s->len < n)
        if (!store_grow(mp))
            return -ENOBUFS;
    s->len -= n;
    __asm__ volatile("" ::: "memory");
    memcpy(obj, &s->obj[s->len], n * sizeof(*obj));
    return 0;
}

static unsigned store_count(const struct rte_mempool *mp)
{
    return ((const struct store *)mp->pool_data)->len;
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

struct rte_mempool *pool_create(const char *name, uint64_t bytes, bool whole)
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
    if (rte_mempool_set_ops_byname(mp, POOL_OPS, (void *)(uintptr_t)range) != 0)
        return NULL;
    /* The first chunk, by hand: the store exists from then on. */
    size_t first = whole ? bytes : POOL_CHUNK;
    if (rte_mempool_populate_iova(mp, range->addr, rte_malloc_virt2iova(range->addr), first, NULL, NULL) <= 0)
        return NULL;
    ((struct store *)mp->pool_data)->next += first;
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
    const struct store *s = mp->pool_data;
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

void pool_each_free(struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg)
{
    const struct store *s = mp->pool_data;
    for (uint32_t i = 0; i < s->len; i++)
        fn(arg, s->obj[i]);
    for (unsigned lcore = 0; mp->cache_size && lcore < RTE_MAX_LCORE; lcore++)
        for (uint32_t i = 0; i < mp->local_cache[lcore].len; i++)
            fn(arg, mp->local_cache[lcore].objs[i]);
}

bool pool_range(const struct rte_mempool *mp, unsigned i, const void **from, const void **to)
{
    const struct rte_memzone *range = mp->pool_config;
    const struct store *s = mp->pool_data;
    switch (i) {
    case 0:
        *from = range->addr;
        *to = (const char *)range->addr + range->len;
        return true;
    case 1:
        *from = s;
        *to = &s->obj[mp->size];
        return true;
    case 2:
        *from = mp->local_cache;
        *to = &mp->local_cache[RTE_MAX_LCORE];
        return true;
    default:
        return false;
    }
}
