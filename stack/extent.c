/* extent.c: see extent.h. */
#include "extent.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hash.h"

#define BUCKETS    16384
#define SEEN       4096 /* files whose times are remembered */
#define LOOK_LOOSE 8    /* extents looked at for one without references */
#define LOOK_KEPT  32

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef OVERLAYFS_SUPER_MAGIC
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#endif

enum { CLASSES = 3 };
static const uint32_t class_bytes[CLASSES] = {4096, 16384, EXTENT_BYTES};

struct class
{
    struct list free, kept, loose; /* oldest first */
};

/* References of an extent that nobody uses. Not one: DPDK takes who finds a count of one for the only owner,
 * and changes it without care for others, but several shards send the same file at once. It never comes to
 * zero, and so to a callback. */
#define UNUSED_REFS 2

/* A file as it was seen first with these times. */
struct seen {
    struct extent_id id;
    uint64_t since_ns;
};

struct extent_cache {
    char *mem;
    uint64_t bytes, used; /* of mem, given to classes so far */
    struct slab slab;
    uint32_t loading; /* extents in that state */
    struct class class[CLASSES];
    struct extent *bucket[BUCKETS];
    struct seen seen[SEEN];
};

static void lists_init(struct extent_cache *c)
{
    for (int i = 0; i < CLASSES; i++) {
        list_init(&c->class[i].free);
        list_init(&c->class[i].kept);
        list_init(&c->class[i].loose);
    }
}

int extent_init(struct stack *st, void *mem, uint64_t bytes)
{
    struct extent_cache *c;

    bytes -= bytes % EXTENT_BYTES;
    if (!bytes)
        return 0;
    c = seg_alloc(st->seg, sizeof *c, 4096);
    if (!c || slab_init(&c->slab, st->seg, sizeof(struct extent), (uint32_t)(bytes / class_bytes[0])))
        return -ENOMEM;
    c->mem = mem;
    c->bytes = bytes;
    lists_init(c);
    st->extents = c;
    return 0;
}

/* --- the file; system calls themselves: neither errno of the program's nor an interposer is in the way ---
 */

static int stat_fd(int fd, struct stat *sb)
{
    int saved = errno, r = syscall(SYS_fstat, fd, sb) == 0 ? 0 : -errno;

    errno = saved;
    return r;
}

static void id_of(const struct stat *sb, struct extent_id *id)
{
    *id = (struct extent_id){.dev = sb->st_dev,
                             .ino = sb->st_ino,
                             .size = (uint64_t)sb->st_size,
                             .mtime_ns = sb->st_mtim.tv_sec * 1000000000 + sb->st_mtim.tv_nsec,
                             .ctime_ns = sb->st_ctim.tv_sec * 1000000000 + sb->st_ctim.tv_nsec};
}

int extent_identify(int fd, struct extent_id *id)
{
    struct stat sb;
    int err = stat_fd(fd, &sb);

    if (err)
        return err == -EBADF ? err : -EOPNOTSUPP;
    if (!S_ISREG(sb.st_mode) || sb.st_size <= 0)
        return -EOPNOTSUPP;
    id_of(&sb, id);
    return 0;
}

/* Is the file's times' keeper this machine's kernel, at every write? */
static bool is_trusted(int fd)
{
    int saved = errno;
    struct statfs fs;
    bool ok =
        syscall(SYS_fstatfs, fd, &fs) == 0 &&
        (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC ||
         fs.f_type == F2FS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC);

    errno = saved;
    return ok;
}

static bool same(const struct extent_id *a, const struct extent_id *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

int extent_load(struct extent *e, int fd, const struct extent_id *id, uint64_t off, uint32_t len)
{
    int saved = errno, err;
    struct extent_id now;
    long n;

    e->len = 0;
    if (!is_trusted(fd))
        return -EOPNOTSUPP;
    n = syscall(SYS_pread64, fd, e->data, (size_t)len, (off_t)off);
    err = errno;
    errno = saved;
    if (n < 0)
        return -err;
    e->len = (uint32_t)n;
    return (uint32_t)n == len && extent_identify(fd, &now) == 0 && same(&now, id) ? 0 : -ESTALE;
}

/* --- the index --- */

static struct extent **bucket_of(struct extent_cache *c, const struct extent_id *id, uint32_t index)
{
    return &c->bucket[hash_mix(id->ino ^ id->dev << 40, index ^ 0x9e3779b97f4a7c15ULL) % BUCKETS];
}

static void unindex(struct extent_cache *c, struct extent *e)
{
    struct extent **at = bucket_of(c, &e->id, e->index);

    while (*at && *at != e)
        at = &(*at)->next;
    if (*at)
        *at = e->next;
}

void extent_forget(struct stack *st, struct extent *e)
{
    struct extent_cache *c = st->extents;

    if (e->state != EXTENT_KEPT)
        return;
    e->state = EXTENT_LOOSE;
    list_step();
    unindex(c, e);
    list_del(&e->node);
    list_add_tail(&c->class[e->class].loose, &e->node);
}

struct extent *extent_find(struct stack *st, const struct extent_id *id, uint32_t index)
{
    struct extent_cache *c = st->extents;

    for (struct extent *e = *bucket_of(c, id, index); e; e = e->next) {
        if (e->id.ino != id->ino || e->index != index || e->id.dev != id->dev)
            continue;
        if (!same(&e->id, id) || st->shard[0].now_ns >= e->until_ns) { /* of the past, or perhaps so */
            extent_forget(st, e);
            return NULL;
        }
        list_del(&e->node);
        list_add_tail(&c->class[e->class].kept, &e->node);
        return e;
    }
    return NULL;
}

bool extent_settled(struct stack *st, const struct extent_id *id, uint64_t now_ns)
{
    struct extent_cache *c = st->extents;
    struct seen *s = &c->seen[hash_mix(id->ino ^ id->dev << 40, 0x9e3779b97f4a7c15ULL) % SEEN];

    if (id->size > c->bytes / 2) /* it would drive out all others, and itself */
        return false;
    if (!same(&s->id, id)) {
        s->id = *id;
        s->since_ns = now_ns;
    }
    return now_ns - s->since_ns >= EXTENT_SETTLE_NS;
}

/* --- room --- */

static bool is_idle(const struct extent *e)
{
    return rte_mbuf_ext_refcnt_read(&e->info) == UNUSED_REFS;
}

/* The first of at most `look` extents of the list that nobody refers to, off it. Others go to its end, so
 * that the next one who asks looks at others. */
static struct extent *idle_of(struct list *l, int look)
{
    while (look-- && !list_empty(l)) {
        struct extent *e = container_of(l->next, struct extent, node);

        list_del(&e->node);
        if (is_idle(e))
            return e;
        list_add_tail(l, &e->node);
    }
    return NULL;
}

/* A block for the class. The last eighth of all is for those of small files. */
static void grow(struct extent_cache *c, uint8_t class)
{
    uint64_t room = c->bytes - (class_bytes[class] == EXTENT_BYTES ? c->bytes / 8 : 0);
    char *block = c->mem + c->used;

    if (c->used + EXTENT_BYTES > room)
        return;
    c->used += EXTENT_BYTES;
    for (uint32_t off = 0; off < EXTENT_BYTES; off += class_bytes[class]) {
        struct extent *e = slab_alloc(&c->slab);

        if (!e)
            return;
        e->class = class;
        e->data = block + off;
        rte_mbuf_ext_refcnt_set(&e->info, UNUSED_REFS);
        list_add_tail(&c->class[class].free, &e->node);
    }
}

struct extent *extent_take(struct stack *st, uint32_t bytes, int32_t owner)
{
    struct extent_cache *c = st->extents;
    struct extent *e;
    struct class *k;
    uint8_t class = 0;

    while (class_bytes[class] < bytes)
        class ++;
    k = &c->class[class];
    e = idle_of(&k->loose, LOOK_LOOSE); /* whose memory is likely in the cache still */
    if (!e && list_empty(&k->free))
        grow(c, class);
    if (!e)
        e = idle_of(&k->free, 1);
    if (!e && (e = idle_of(&k->kept, LOOK_KEPT)))
        unindex(c, e);
    if (!e)
        return NULL;
    e->owner = owner;
    e->state = EXTENT_LOADING;
    c->loading++;
    return e;
}

void extent_put(struct stack *st, struct extent *e, const struct extent_id *id, uint32_t index)
{
    struct extent_cache *c = st->extents;
    struct class *k = &c->class[e->class];
    struct extent **at;

    c->loading -= e->state == EXTENT_LOADING;
    if (!id || extent_find(st, id, index)) {
        e->state = EXTENT_LOOSE;
        list_add_tail(&k->loose, &e->node);
        return;
    }
    e->id = *id;
    e->index = index;
    e->until_ns = st->shard[0].now_ns + EXTENT_FRESH_NS;
    at = bucket_of(c, id, index);
    e->next = *at;
    e->state = EXTENT_KEPT;
    list_step();
    *at = e;
    list_add_tail(&k->kept, &e->node);
}

bool extent_attach(struct extent *e, struct rte_mbuf *m, uint32_t off, uint16_t len)
{
    char *at = e->data + off;

    if (rte_mbuf_ext_refcnt_read(&e->info) >= EXTENT_REFS_MAX + UNUSED_REFS)
        return false;
    rte_mbuf_ext_refcnt_update(&e->info, 1);
    list_step(); /* a process killed here leaves an extent that is never used again */
    rte_pktmbuf_attach_extbuf(m, at, (rte_iova_t)(uintptr_t)at, len, &e->info);
    m->data_off = 0;
    m->data_len = len;
    m->pkt_len = len;
    return true;
}

/* --- after a death --- */

void extent_mend(struct stack *st)
{
    struct extent_cache *c = st->extents;

    if (!c)
        return;
    lists_init(c);
    memset(c->bucket, 0, sizeof c->bucket);
    c->loading = 0;
    for (uint32_t i = 0; i < c->slab.fresh; i++) {
        struct extent *e = slab_at(&c->slab, i);
        struct extent_id id = e->id;

        list_init(&e->node);
        c->loading += e->data && e->state == EXTENT_LOADING;
        if (!e->data || e->state == EXTENT_LOADING)
            continue;
        extent_put(st, e, e->state == EXTENT_KEPT ? &id : NULL, e->index);
    }
}

void extent_recount(struct stack *st)
{
    struct extent_cache *c = st->extents;

    for (uint32_t i = 0; c && i < c->slab.fresh; i++)
        rte_mbuf_ext_refcnt_set(&((struct extent *)slab_at(&c->slab, i))->info, UNUSED_REFS);
}

void extent_recounted(struct stack *st, const struct rte_mbuf *m)
{
    const struct extent_cache *c = st->extents;

    if (c && RTE_MBUF_HAS_EXTBUF(m) && m->buf_addr >= (void *)c->mem &&
        m->buf_addr < (void *)(c->mem + c->bytes))
        rte_mbuf_ext_refcnt_update(m->shinfo, 1);
}

void extent_owner_gone(struct stack *st, int32_t owner)
{
    struct extent_cache *c = st->extents;

    for (uint32_t i = 0; c && c->loading && i < c->slab.fresh; i++) {
        struct extent *e = slab_at(&c->slab, i);

        if (e->data && e->state == EXTENT_LOADING && e->owner == owner)
            extent_put(st, e, NULL, 0);
    }
}
