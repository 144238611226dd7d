/* api_ready.c: readiness, epoll sets and watches. */
#include <errno.h>

#include "api_int.h"
#include "lane.h"
#include "user.h"

static int do_poll(struct ref r)
{
    int err = 0;
    struct file *f = api_enter_lane_look(r);

    if (f) {
        err = (int)file_poll(api_self.st, f);
        shard_unlock(file_sock(f)->sh);
        return err;
    }
    f = api_enter_look(r, &err);
    if (!f)
        return err;
    err = (int)file_poll(api_self.st, f);
    shard_unlock(&api_self.st->shard[0]);
    return err;
}

static int do_eset_create(int epfd)
{
    struct shard *sh = api_enter();
    struct file *f = eset_new(api_self.st);
    int r = f ? proc_install(api_self.st, api_self.proc, epfd, f) : -ENOMEM;

    if (f && r)
        file_put(api_self.st, f);
    api_leave(sh);
    return r;
}

static int do_eset_ctl(struct ref set, int op, int fd, struct epoll_event *ev)
{
    int err = 0;
    struct epoll_event in = {0};
    struct file *f, *target;

    if (op != EPOLL_CTL_DEL && !user_copy(&in, ev, sizeof in))
        return -EFAULT;
    f = api_enter_look(set, &err);
    if (!f)
        return err;
    target = proc_file(api_self.proc, fd);
    err = target ? eset_ctl(api_self.st, f, op, fd, target, &in) : -EBADF;
    api_leave(&api_self.st->shard[0]);
    return err;
}

/* Without the lock: the memory of a set stays a set's (slab.h), and what it says may be old anyway. */
static bool do_eset_is_empty(int epfd)
{
    const struct file *f = proc_file(api_self.proc, epfd);

    return f && f->type == FILE_EPOLL && eset_items(f) == 0;
}

/* With several shards: what is ready of sh's files, n events are there already. Context: sh's lane. */
static int collect_here(struct ref set, struct epoll_event *ev, int n, int max)
{
    struct file *f = api_file(set); /* another thread may have closed it since */

    if (!f || f->type != FILE_EPOLL || api_self.st->cold)
        return n;
    return eset_collect_more(api_self.st, f, ev, n, max);
}

/* First of the thread's home, which is polled on the way, then of those that say that they have something.
 * When there is more than fits, who filled the room is not first the next time: all get their turn (eset.c).
 */
static int wait_lanes(struct ref set, const struct file *f, struct epoll_event *ev, int max)
{
    static __thread unsigned turn; /* shards from home on */
    static __thread uint64_t looked_ns;
    struct stack *st = api_self.st;
    struct shard *home = api_enter_lane(api_home(), false);
    unsigned first = turn, last = 0;
    uint64_t now_ns = home->now_ns;
    int n = 0;

    shard_poll(home, home->now_ns);
    if (!first)
        n = collect_here(set, ev, 0, max);
    shard_unlock(home);
    /* Also when home alone keeps the thread busy: it may be the only one. */
    if (!n || now_ns - looked_ns >= API_STALE_NS) {
        looked_ns = now_ns;
        api_poll_others(home);
    }
    for (unsigned i = first; i < first + st->nshard && n >= 0 && n < max; i++) {
        struct shard *sh = &st->shard[(home->id + i) % st->nshard];

        /* home's too: what was left for all locks may have brought something */
        if ((!i && n) || !eset_has_news(f, sh->id))
            continue;
        lane_lock(sh, false);
        n = collect_here(set, ev, n, max);
        shard_unlock(sh);
        last = i;
    }
    turn = n == max ? (last + 1) % st->nshard : 0;
    return n;
}

static int do_eset_wait(struct ref set, struct epoll_event *ev, int max)
{
    int err = 0;
    struct shard *sh = &api_self.st->shard[0];
    struct file *f = api_has_lanes() && api_lanes_open() ? api_file(set) : NULL;

    if (f && __atomic_load_n(&f->type, __ATOMIC_RELAXED) == FILE_EPOLL && max > 0)
        return wait_lanes(set, f, ev, max);
    f = api_enter_file(set, &err);
    if (!f)
        return err;
    if (f->type == FILE_EPOLL && max > 0) {
        shard_poll(sh, sh->now_ns);
        err = eset_collect(api_self.st, f, ev, max);
    } else {
        err = -EINVAL;
    }
    shard_unlock(sh);
    return err;
}

static int do_watch(struct waiter *w, struct ref r, uint32_t mask)
{
    int err = 0;
    struct file *f = api_enter_look(r, &err);

    if (!f)
        return err;
    err = waiter_watch(api_self.st, w, f, mask);
    shard_unlock(&api_self.st->shard[0]);
    return err;
}

static void do_unwatch(struct waiter *w)
{
    struct shard *sh = api_enter();

    waiter_unwatch(api_self.st, w);
    shard_unlock(sh);
}

void api_fill_ready(struct shunt_api *t)
{
    t->poll = do_poll;
    t->poll_devices = t->poll_begin = api_poll_devices;
    t->eset_create = do_eset_create;
    t->eset_ctl = do_eset_ctl;
    t->eset_is_empty = do_eset_is_empty;
    t->eset_wait = do_eset_wait;
    t->watch = do_watch;
    t->unwatch = do_unwatch;
}
