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
    if (!r->bucket || slab_init(&r->socks, st->seg, sizeof(struct sock), max_files) ||
        slab_init(&r->opts, st->seg, sizeof(struct sock_opt), max_files) ||
        slab_init(&r->esets, st->seg, sizeof(struct eset), max_files / 16 + 1024) ||
        slab_init(&r->items, st->seg, sizeof(struct eset_item), max_files) ||
        slab_init(&r->watches, st->seg, sizeof(struct watch), max_files) ||
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
    slab_free(&st->ready->waiters, w);
}

int waiter_watch(struct stack *st, struct waiter *w, struct file *f, uint32_t mask)
{
    struct watch *x = slab_alloc(&st->ready->watches);

    if (!x)
        return -ENOMEM;
    x->kind = WATCH_WAITER;
    x->mask = mask | ALWAYS;
    x->file = f;
    x->waiter = w;
    list_add_tail(&f->watches, &x->node);
    list_add_tail(&w->watches, &x->wnode);
    return (int)(file_poll(st, f) & x->mask);
}

static void watch_free(struct stack *st, struct watch *x)
{
    list_del(&x->node);
    list_del(&x->wnode);
    x->kind = WATCH_FREE;
    slab_free(&st->ready->watches, x);
}

void waiter_unwatch(struct stack *st, struct waiter *w)
{
    uint32_t woken = w->woken;

    list_for_each_safe(n, &w->watches)
    {
        struct watch *x = container_of(n, struct watch, wnode);
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
    struct shard *sh = &st->shard[0];

    if (w->woken)
        return false;
    __atomic_store_n(&w->woken, 1, __ATOMIC_RELEASE);
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

static void recover_sets(struct stack *st)
{
    struct slab *esets = &st->ready->esets, *items = &st->ready->items;

    for (uint32_t i = 0; i < esets->fresh; i++) {
        struct eset *e = slab_at(esets, i);

        if (e->file.type != FILE_EPOLL)
            continue;
        list_repair(&e->file.watches);
        list_repair(&e->items);
        list_init(&e->ready);
        e->nready = 0;
    }
    for (uint32_t i = 0; i < items->fresh; i++) {
        struct eset_item *it = slab_at(items, i);

        if (it->w.kind != WATCH_ITEM)
            continue;
        list_init(&it->rdy);
        eset_item_event(st, it);
    }
}

void ready_recover(struct stack *st)
{
    struct shard *sh = &st->shard[0];
    struct slab *socks = &st->ready->socks, *waiters = &st->ready->waiters;

    for (uint32_t i = 0; i < socks->fresh; i++) {
        struct file *f = slab_at(socks, i);

        if (f->type == FILE_SOCK)
            list_repair(&f->watches);
    }
    recover_sets(st);
    for (uint32_t i = 0; i < waiters->fresh; i++) {
        struct waiter *w = slab_at(waiters, i);

        if (!w->pid)
            continue;
        list_repair(&w->watches);
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
        w = x->kind == WATCH_ITEM ? eset_item_event(st, (struct eset_item *)x) : waiter_wake(st, x->waiter);
        woke |= w;
        if (w && exclusive)
            told = x;
    }
    if (told) {
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
            waiter_wake(st, x->waiter))
            return;
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
            waiter_wake(st, x->waiter);
            watch_free(st, x);
        }
    }
}
