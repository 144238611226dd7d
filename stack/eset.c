/* eset.c: epoll sets (ready.h; man 7 epoll).
 *
 * Theory of operation. An item is on its set's ready list when news came for it or when it was ready at the
 * last look and is level-triggered. eset_collect takes items from the head, asks the file what is true now,
 * reports it, and puts level-triggered items back at the tail: many ready descriptors get their turn in a
 * circle, as in Linux (ep_send_events). Edge-triggered items come back with the next news alone; a one-shot
 * that has fired keeps only its mode bits, so that no news matches it until EPOLL_CTL_MOD.
 *
 * The list is worked on in place, never spliced to a private head: a process killed in between leaves a list
 * that still holds together.
 *
 * With several shards the list is one for each: the items of a file are on that of the file's shard, whose
 * lock alone is needed to put them there and to collect them (lane.h). All else of sets and items changes
 * under all locks.
 *
 * Items of all sets share one hash table. The bucket is the set's own offset plus the number, so that the
 * items of a set with dense numbers lie side by side.
 */
#include <errno.h>
#include <sys/mman.h>

#include "file.h"
#include "hash.h"
#include "mark.h"
#include "user.h"

#define MODE_BITS      (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK   (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define EP_MAX_NESTS   4 /* Linux's bound on sets in sets */
#define SET_READY_BITS (EPOLLIN | EPOLLRDNORM)

static struct eset *file_eset(struct file *f)
{
    return (struct eset *)f;
}

/* Read without the lock (eset_items). */
static void items_add(struct eset *e, int n)
{
    __atomic_store_n(&e->nitems, e->nitems + (uint32_t)n, __ATOMIC_RELAXED);
}

static struct eset_item **item_bucket(struct stack *st, const struct eset *e, int fd)
{
    struct ready_state *r = st->ready;
    uint32_t h = (uint32_t)hash_mix(e->file.id, 0x9e3779b97f4a7c15ULL) + (uint32_t)fd;

    return &r->bucket[h & r->bucket_mask];
}

static struct eset_item *item_find(struct stack *st, const struct eset *e, int fd, const struct file *f)
{
    struct eset_item *it = *item_bucket(st, e, fd);

    while (it && !(it->set == e && it->fd == fd && it->w.file == f))
        it = it->hnext;
    return it;
}

struct file *eset_new(struct stack *st)
{
    struct eset *e = slab_alloc(&st->ready->esets);

    if (!e)
        return NULL;
    file_init(st, &e->file, FILE_EPOLL);
    for (unsigned i = 0; i < SHARD_MAX; i++)
        list_init(&e->ready[i]);
    list_init(&e->items);
    return &e->file;
}

/* Read without the lock (eset_has_news). */
static void ready_add(struct eset_item *it, uint8_t part, int n)
{
    __atomic_store_n(&it->set->nready[part], it->set->nready[part] + (uint32_t)n, __ATOMIC_RELAXED);
}

static void unready_of(struct eset_item *it, uint8_t part)
{
    if (list_empty(&it->rdy))
        return;
    list_del(&it->rdy);
    ready_add(it, part, -1);
}

static void unready(struct eset_item *it)
{
    unready_of(it, it->w.file->shard);
}

static void make_ready_of(struct eset_item *it, uint8_t part)
{
    if (!list_empty(&it->rdy))
        return;
    list_add_tail(&it->set->ready[part], &it->rdy);
    ready_add(it, part, 1);
}

static void make_ready(struct eset_item *it)
{
    make_ready_of(it, it->w.file->shard);
}

void eset_item_move(struct eset_item *it, uint8_t from, uint8_t to)
{
    if (list_empty(&it->rdy))
        return;
    unready_of(it, from);
    make_ready_of(it, to);
}

void eset_item_free(struct stack *st, struct eset_item *it)
{
    struct eset_item **p = item_bucket(st, it->set, it->fd);

    while (*p != it)
        p = &(*p)->hnext;
    *p = it->hnext;
    unready(it);
    list_del(&it->w.node);
    list_del(&it->all);
    items_add(it->set, -1);
    if (it->w.file->type == FILE_EPOLL) {
        it->set->nested--;
        st->nested--;
    }
    it->w.kind = WATCH_FREE;
    list_step();
    slab_free(&st->ready->items, it);
}

void eset_close(struct stack *st, struct eset *e)
{
    list_for_each_safe(n, &e->items) eset_item_free(st, container_of(n, struct eset_item, all));
    e->file.type = FILE_FREE;
    list_step();
    slab_free(&st->ready->esets, e);
}

bool eset_item_event(struct stack *st, struct eset_item *it)
{
    /* Also when it is on the list already: a waiter may have come since. */
    make_ready(it);
    return ready_notify(st, &it->set->file, SET_READY_BITS);
}

/* How many sets lie below e, at most; more than EP_MAX_NESTS when `avoid` is among them (a loop). */
static int depth_below(const struct eset *e, const struct eset *avoid, int level)
{
    int deepest = 0;

    if (e == avoid || level > EP_MAX_NESTS)
        return EP_MAX_NESTS + 1;
    if (!e->nested)
        return 0;
    list_for_each(n, &e->items)
    {
        struct file *f = container_of(n, struct eset_item, all)->w.file;

        if (f->type == FILE_EPOLL) {
            int d = 1 + depth_below(file_eset(f), avoid, level + 1);

            deepest = d > deepest ? d : deepest;
        }
    }
    return deepest;
}

static int depth_above(const struct eset *e, int level)
{
    int highest = 0;

    if (level > EP_MAX_NESTS)
        return level;
    list_for_each(n, &e->file.watches)
    {
        struct watch *x = container_of(n, struct watch, node);

        if (x->kind == WATCH_ITEM) {
            int d = 1 + depth_above(((struct eset_item *)x)->set, level + 1);

            highest = d > highest ? d : highest;
        }
    }
    return highest;
}

/* After ADD and MOD: what is true already counts as news (edge-triggered sets rely on it). */
static void look_now(struct stack *st, struct eset_item *it)
{
    if (file_poll(st, it->w.file) & it->w.mask)
        eset_item_event(st, it);
}

static int item_add(struct stack *st, struct eset *e, int fd, struct file *f, uint32_t events, uint64_t data)
{
    struct eset_item *it, **bucket;

    if (f->type == FILE_EPOLL) {
        if (events & EPOLLEXCLUSIVE)
            return -EINVAL;
        if (depth_below(file_eset(f), e, 0) + 1 + depth_above(e, 0) > EP_MAX_NESTS)
            return -ELOOP;
    }
    it = slab_alloc(&st->ready->items);
    if (!it)
        return -ENOMEM;
    it->w.file = f;
    it->w.mask = events | EPOLLERR | EPOLLHUP;
    it->set = e;
    it->fd = fd;
    it->data = data;
    list_init(&it->rdy);
    list_step(); /* eset_mend believes all of a live item but its links */
    it->w.kind = WATCH_ITEM;
    list_add_tail(&e->items, &it->all);
    list_add_tail(&f->watches, &it->w.node);
    bucket = item_bucket(st, e, fd);
    it->hnext = *bucket;
    *bucket = it;
    items_add(e, 1);
    if (f->type == FILE_EPOLL) {
        e->nested++;
        st->nested++;
    }
    look_now(st, it);
    return 0;
}

static int item_modify(struct stack *st, struct eset_item *it, uint32_t events, uint64_t data)
{
    if (it->w.mask & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->w.mask = events | EPOLLERR | EPOLLHUP;
    it->data = data;
    look_now(st, it);
    return 0;
}

int eset_ctl(struct stack *st, struct file *set, int op, int fd, struct file *target,
             const struct epoll_event *ev)
{
    struct eset *e = file_eset(set);
    struct eset_item *it;

    if (op != EPOLL_CTL_DEL && !ev)
        return -EFAULT;
    if (set->type != FILE_EPOLL || set == target)
        return -EINVAL;
    if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE)) {
        if (op == EPOLL_CTL_MOD || (ev->events & ~(uint32_t)EXCLUSIVE_OK))
            return -EINVAL;
    }
    it = item_find(st, e, fd, target);
    switch (op) {
    case EPOLL_CTL_ADD:
        return it ? -EEXIST : item_add(st, e, fd, target, ev->events, ev->data.u64);
    case EPOLL_CTL_MOD:
        return it ? item_modify(st, it, ev->events, ev->data.u64) : -ENOENT;
    case EPOLL_CTL_DEL:
        if (!it)
            return -ENOENT;
        eset_item_free(st, it);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Of one part, up to max events; those that are there were had already. */
static int collect_part(struct stack *st, struct eset *e, unsigned part, struct epoll_event *ev, int n,
                        int max)
{
    for (uint32_t look = e->nready[part]; look && n < max; look--) {
        struct eset_item *it = container_of(e->ready[part].next, struct eset_item, rdy);
        uint32_t events = file_poll(st, it->w.file) & it->w.mask;

        unready(it);
        if (!events)
            continue;
        struct epoll_event out = {.events = events, .data.u64 = it->data};
        if (!user_copy(&ev[n], &out, sizeof out)) {
            make_ready(it);
            return n ? n : -EFAULT;
        }
        n++;
        if (it->w.mask & EPOLLONESHOT)
            it->w.mask &= MODE_BITS;
        else if (!(it->w.mask & EPOLLET))
            make_ready(it);
    }
    return n;
}

/* The parts that may be looked at with what is held: [from, to). */
static void parts(const struct stack *st, unsigned *from, unsigned *to)
{
    *from = 0;
    *to = st->nshard;
    if (__builtin_expect(st->nshard > 1, 0) && !st->all) {
        *from = stack_here((struct stack *)st)->id;
        *to = *from + 1;
    }
}

int eset_collect_more(struct stack *st, struct file *set, struct epoll_event *ev, int n, int max)
{
    struct eset *e = file_eset(set);
    unsigned from, to;
    bool more = false;

    MARK(READY);
    parts(st, &from, &to);
    for (unsigned i = from; i < to && n >= 0; i++) {
        unsigned part = to - from == 1 ? i : (e->turn + i) % to;

        n = collect_part(st, e, part, ev, n, max);
        more |= e->nready[part] != 0;
    }
    if (to - from > 1 && n == max)
        e->turn++;
    if (more && !list_empty(&e->file.watches))
        ready_pass_on(st, set, SET_READY_BITS);
    return n;
}

bool eset_has_ready(struct stack *st, struct file *set)
{
    struct eset *e = file_eset(set);
    unsigned from, to;

    parts(st, &from, &to);
    for (unsigned i = from; i < to; i++)
        while (!list_empty(&e->ready[i])) {
            struct eset_item *it = container_of(e->ready[i].next, struct eset_item, rdy);

            if (file_poll(st, it->w.file) & it->w.mask)
                return true;
            unready(it);
        }
    return false;
}

bool eset_has_news(const struct file *set, unsigned shard)
{
    return __atomic_load_n(&((const struct eset *)set)->nready[shard], __ATOMIC_RELAXED) != 0;
}

uint32_t eset_items(const struct file *set)
{
    return __atomic_load_n(&((const struct eset *)set)->nitems, __ATOMIC_RELAXED);
}

/* Links a live item anew, as item_add. */
static void mend_item(struct stack *st, struct eset_item *it)
{
    struct eset_item **bucket = item_bucket(st, it->set, it->fd);

    list_add_tail(&it->set->items, &it->all);
    list_add_tail(&it->w.file->watches, &it->w.node);
    it->hnext = *bucket;
    *bucket = it;
    items_add(it->set, 1);
    it->set->nested += it->w.file->type == FILE_EPOLL;
    st->nested += it->w.file->type == FILE_EPOLL;
}

void eset_mend(struct stack *st)
{
    struct ready_state *r = st->ready;

    st->nested = 0;
    for (uint32_t i = 0; i < r->esets.fresh; i++) {
        struct eset *e = slab_at(&r->esets, i);

        if (e->file.type != FILE_EPOLL)
            continue;
        list_init(&e->file.watches);
        list_init(&e->items);
        for (unsigned k = 0; k < SHARD_MAX; k++)
            list_init(&e->ready[k]);
        memset(e->nready, 0, sizeof e->nready);
        e->nitems = e->nested = 0;
    }
    madvise(r->bucket, sizeof r->bucket[0] * (r->bucket_mask + 1), MADV_REMOVE); /* all zero */
    for (uint32_t i = 0; i < r->items.fresh; i++) {
        struct eset_item *it = slab_at(&r->items, i);

        if (it->w.kind != WATCH_ITEM)
            continue;
        list_init(&it->rdy);
        if (it->set->file.type == FILE_EPOLL && it->w.file->type != FILE_FREE)
            mend_item(st, it);
        else
            it->w.kind = WATCH_FREE;
    }
    for (uint32_t i = 0; i < r->items.fresh; i++) {
        struct eset_item *it = slab_at(&r->items, i);

        if (it->w.kind == WATCH_ITEM)
            eset_item_event(st, it);
    }
}
