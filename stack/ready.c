/* ready.c: readiness and waiters (ready.h).
 *
 * Theory of operation. Readiness itself is never stored: it is what file_poll says now. What travels here is
 * the news that it may have changed. A thread that wants to sleep first puts its watches, then looks
 * (waiter_watch returns the bits), then arms itself, all under the lock: news that come later find the watch,
 * so none is lost.
 *
 * Exclusive watches. Of the watches marked EPOLLEXCLUSIVE one is told, the others only when it could not wake
 * anybody (its owner is not waiting). The told one goes to the end of the list, so that the work goes round.
 * Differs: Linux keeps the order, which loads the first process most.
 */
#include <errno.h>

#include "family.h"
#include "file.h"
#include "parcel.h"
#include "shard.h"
#include "sock.h"

#define ALWAYS (EPOLLERR | EPOLLHUP)

int ready_init(struct stack *st, uint32_t max_files)
{
    struct ready_state *r = seg_alloc(st->seg, sizeof *r, 64);
    uint32_t buckets = 1024;

    if (!r)
        return -ENOMEM;
    st->ready = r;
    while (buckets < max_files)
        buckets *= 2;
    r->bucket_mask = buckets - 1;
    r->bucket = seg_alloc(st->seg, sizeof r->bucket[0] * buckets, 4096);
    if (!r->bucket || slab_init_packed(&r->socks, st->seg, sizeof(struct sock), max_files) ||
        slab_init(&r->mores, st->seg, sizeof(struct sock_more), max_files) ||
        slab_init(&r->opts, st->seg, sizeof(struct sock_opt), max_files) ||
        slab_init(&r->esets, st->seg, sizeof(struct eset), max_files / 16 + 1024) ||
        slab_init_packed(&r->items, st->seg, sizeof(struct eset_item), max_files) ||
        slab_init(&r->watches, st->seg, sizeof(struct waiter_watch), max_files) ||
        slab_init(&r->waiters, st->seg, sizeof(struct waiter), WAITERS_MAX))
        return -ENOMEM;
    return family_init(st) || parcel_init(st) ? -ENOMEM : 0;
}

struct waiter *waiter_new(struct stack *st, int pid, int tid)
{
    struct waiter *w = slab_alloc(&st->ready->waiters);

    if (!w)
        return NULL;
    list_init(&w->watches);
    list_init(&w->free);
    w->wake = WAKE_NONE;
    w->pid = pid;
    w->tid = tid;
    return w;
}

void waiter_free(struct stack *st, struct waiter *w)
{
    waiter_unwatch(st, w);
    list_del(&w->free);
    /* A leader that died or left without a word. */
    if (st->shard[0].leader == w) {
        st->shard[0].leader = NULL;
        st->shard[0].leader_until_ns = 0;
    }
    w->pid = 0;
    w->armed = 0;
    w->leader = 0;
    list_step();
    slab_free(&st->ready->waiters, w);
}

int waiter_watch(struct stack *st, struct waiter *w, struct file *f, uint32_t mask)
{
    struct waiter_watch *x = slab_alloc(&st->ready->watches);

    if (!x)
        return -ENOMEM;
    x->w.mask = mask | ALWAYS;
    x->w.file = f;
    x->waiter = w;
    list_step();
    x->w.kind = WATCH_WAITER;
    list_add_tail(&f->watches, &x->w.node);
    list_add_tail(&w->watches, &x->wnode);
    return (int)(file_poll(st, f) & x->w.mask);
}

static struct waiter *watch_waiter(const struct watch *x)
{
    return ((const struct waiter_watch *)x)->waiter;
}

static void watch_free(struct stack *st, struct watch *x)
{
    list_del(&x->node);
    list_del(&((struct waiter_watch *)x)->wnode);
    x->kind = WATCH_FREE;
    list_step();
    slab_free(&st->ready->watches, x);
}

void waiter_unwatch(struct stack *st, struct waiter *w)
{
    uint32_t woken = w->woken;

    list_for_each_safe(n, &w->watches)
    {
        struct watch *x = &container_of(n, struct waiter_watch, wnode)->w;
        struct file *f = x->file;
        uint32_t mask = x->mask;

        watch_free(st, x);
        if (woken && (mask & EPOLLEXCLUSIVE))
            ready_pass_on(st, f, mask);
    }
    __atomic_store_n(&w->woken, 0, __ATOMIC_RELEASE);
}

bool waiter_wake(struct stack *st, struct waiter *w)
{
    struct shard *sh = stack_here(st);

    /* One of several shards may be first. */
    if (__atomic_load_n(&w->woken, __ATOMIC_RELAXED) || __atomic_exchange_n(&w->woken, 1, __ATOMIC_ACQ_REL))
        return false;
    if (w->armed == ARM_SLEEPS) {
        w->armed = ARM_WAKING;
        if (w->wake != WAKE_NONE && sh->nwake < WAKE_MAX)
            sh->wake[sh->nwake++] = w->wake;
    }
    return true;
}

static void write_again(struct shard *sh, const struct waiter *w)
{
    if (w->wake != WAKE_NONE && sh->nwake < WAKE_MAX)
        sh->wake[sh->nwake++] = w->wake;
}

/* The dead process may have been about to write to waiters that it woke, or to the leader. One write too many
 * costs a look. */
void waiter_reap(struct stack *st, int pid)
{
    struct shard *sh = &st->shard[0];
    struct slab *s = &st->ready->waiters;

    for (uint32_t i = 0; i < s->fresh; i++) {
        struct waiter *w = slab_at(s, i);

        if (w->pid == pid)
            waiter_free(st, w);
        else if (w->pid && w->armed == ARM_WAKING)
            write_again(sh, w);
    }
    if (sh->leader)
        write_again(sh, sh->leader);
}

/* --- after a process was killed inside the stack --- */

static bool sock_is_live(const void *obj)
{
    return ((const struct file *)obj)->type == FILE_SOCK;
}

static bool eset_is_live(const void *obj)
{
    return ((const struct file *)obj)->type == FILE_EPOLL;
}

static bool item_is_live(const void *obj)
{
    return ((const struct watch *)obj)->kind == WATCH_ITEM;
}

static bool watch_is_live(const void *obj)
{
    return ((const struct watch *)obj)->kind == WATCH_WAITER;
}

static bool waiter_is_live(const void *obj)
{
    return ((const struct waiter *)obj)->pid != 0;
}

static void unlink_all(struct stack *st)
{
    struct ready_state *r = st->ready;

    for (uint32_t i = 0; i < r->socks.fresh; i++)
        if (sock_is_live(slab_at(&r->socks, i)))
            list_init(&((struct file *)slab_at(&r->socks, i))->watches);
    for (uint32_t i = 0; i < r->waiters.fresh; i++) {
        struct waiter *w = slab_at(&r->waiters, i);

        if (!waiter_is_live(w))
            continue;
        list_init(&w->watches);
        list_init(&w->free);
    }
}

static void link_watches(struct stack *st)
{
    struct slab *s = &st->ready->watches;

    for (uint32_t i = 0; i < s->fresh; i++) {
        struct waiter_watch *x = slab_at(s, i);

        if (!watch_is_live(x))
            continue;
        if (!waiter_is_live(x->waiter) || x->w.file->type == FILE_FREE) {
            x->w.kind = WATCH_FREE;
            continue;
        }
        list_add_tail(&x->w.file->watches, &x->w.node);
        list_add_tail(&x->waiter->watches, &x->wnode);
    }
}

/* The lists say nothing that the objects on them don't know themselves: they are made anew. */
void ready_mend(struct stack *st)
{
    struct ready_state *r = st->ready;
    struct shard *sh = &st->shard[0];

    slab_mend(&r->waiters, waiter_is_live);
    slab_mend(&r->socks, sock_is_live);
    sock_more_mend(st);
    slab_mend(&r->esets, eset_is_live);
    unlink_all(st);
    eset_mend(st);
    link_watches(st);
    slab_mend(&r->items, item_is_live);
    slab_mend(&r->watches, watch_is_live);
    if (sh->leader && !waiter_is_live(sh->leader))
        sh->leader = NULL;
    for (uint32_t i = 0; i < r->waiters.fresh; i++) {
        struct waiter *w = slab_at(&r->waiters, i);

        if (waiter_is_live(w))
            __atomic_store_n(&w->woken, 1, __ATOMIC_RELEASE);
    }
    /* There are as many descriptors as wake-ups fit. */
    _Static_assert(WAKE_MAX >= WAKE_FDS, "all at once");
    for (sh->nwake = 0; sh->nwake < WAKE_FDS; sh->nwake++)
        sh->wake[sh->nwake] = (uint16_t)sh->nwake;
}

bool ready_notify(struct stack *st, struct file *f, uint32_t mask)
{
    struct watch *told = NULL;
    bool woke = false;

    list_for_each_safe(n, &f->watches)
    {
        struct watch *x = container_of(n, struct watch, node);
        bool exclusive = x->mask & EPOLLEXCLUSIVE, w;

        if (!(x->mask & mask) || (exclusive && told))
            continue;
        w = x->kind == WATCH_ITEM ? eset_item_event(st, (struct eset_item *)x)
                                  : waiter_wake(st, watch_waiter(x));
        woke |= w;
        if (w && exclusive)
            told = x;
    }
    /* The watches of a set change under all locks only. */
    if (told && (f->type != FILE_EPOLL || st->nshard == 1 || st->all)) {
        list_del(&told->node);
        list_add_tail(&f->watches, &told->node);
    }
    return woke;
}

void ready_pass_on(struct stack *st, struct file *f, uint32_t mask)
{
    if (!(file_poll(st, f) & mask))
        return;
    list_for_each(n, &f->watches)
    {
        struct watch *x = container_of(n, struct watch, node);

        if (x->kind == WATCH_WAITER && (x->mask & EPOLLEXCLUSIVE) && (x->mask & mask & ~EPOLLEXCLUSIVE) &&
            waiter_wake(st, watch_waiter(x)))
            return;
    }
}

void ready_move(struct file *f, uint8_t to)
{
    uint8_t from = f->shard;

    f->shard = to;
    list_for_each(n, &f->watches)
    {
        struct watch *x = container_of(n, struct watch, node);

        if (x->kind == WATCH_ITEM)
            eset_item_move((struct eset_item *)x, from, to);
    }
}

void ready_lanes_mend(struct stack *st)
{
    struct slab *s = &st->ready->socks;

    for (uint32_t i = 0; i < s->fresh; i++) {
        struct sock *x = slab_at(s, i);

        if (slab_is_hole(s, i))
            continue;
        x->file.shard = 0;
        x->sh = &st->shard[0];
    }
}

void ready_forget(struct stack *st, struct file *f)
{
    list_for_each_safe(n, &f->watches)
    {
        struct watch *x = container_of(n, struct watch, node);

        if (x->kind == WATCH_ITEM) {
            eset_item_free(st, (struct eset_item *)x);
        } else {
            waiter_wake(st, watch_waiter(x));
            watch_free(st, x);
        }
    }
}
