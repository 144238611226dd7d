/* api.c: the way in and out of the stack for the interposers (api.h, api_int.h).
 *
 * A call is: lock, clock, look up the file, work, hand up events, transmit, unlock, wake. Nothing here waits
 * but for the lock. */
#include <errno.h>
#include <rte_cycles.h>
#include <time.h>

#include "api_int.h"
#include "lane.h"
#include "tcp_lane.h"
#include "user.h"

struct api_self api_self;

void api_bind(struct stack *st, struct proc *p)
{
    api_self.st = st;
    api_self.proc = p;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* CLOCK_MONOTONIC, by the ticks since it was read last where that is not long ago: the counter takes a third
 * of the time. What the two differ by in so short a time is below the clock's own grain here (timers have
 * milliseconds, RTT samples microseconds). A counter that is another processor's and runs elsewhere only
 * shows as ticks that are too many. */
#define TICKS_NS       250000u
#define CLOCK_GRAIN_NS 500u

static uint64_t now_by_ticks(struct shard *sh)
{
    struct ticks *k = &sh->ticks;
    uint64_t at = k->mult ? rte_rdtsc() : 0, gone = at - k->at;

    if (k->mult && gone < UINT32_MAX) {
        uint64_t ns = gone * k->mult >> 32; /* both below 2^32 */

        if (ns < TICKS_NS)
            return k->ns + ns;
    }
    k->ns = clock_ns(CLOCK_MONOTONIC);
    k->at = at;
    return k->ns;
}

/* For all shards' callers (api.now_ns). Not more often than is of use: the line is everybody's. */
static void tell_clock(struct shard *sh)
{
    uint64_t *told = &sh->st->clock_ns;

    if (sh->now_ns > __atomic_load_n(told, __ATOMIC_RELAXED) + CLOCK_GRAIN_NS)
        __atomic_store_n(told, sh->now_ns, __ATOMIC_RELAXED);
}

static void wall_clock(struct shard *sh)
{
    sh->st->wall_off_ns = (int64_t)(clock_ns(CLOCK_REALTIME) - sh->now_ns);
}

static inline void clock_up(struct shard *sh)
{
    uint64_t now_ns = now_by_ticks(sh);

    if (now_ns > sh->now_ns) /* read without the lock (api.h) */
        __atomic_store_n(&sh->now_ns, now_ns, __ATOMIC_RELAXED);
    if (__builtin_expect(sh->many, 0))
        tell_clock(sh);
}

struct shard *api_enter(void)
{
    struct shard *sh = &api_self.st->shard[0];

    shard_lock(sh);
    clock_up(sh);
    if (__builtin_expect(sh->st->stamps != 0, 0))
        wall_clock(sh);
    return sh;
}

void api_leave(struct shard *sh)
{
    shard_flush(sh);
    shard_unlock(sh);
}

static struct file *file_or_leave(struct shard *sh, struct ref r, int *err)
{
    struct file *f = api_file(r);

    if (f)
        return f;
    shard_unlock(sh);
    *err = -EBADF;
    return NULL;
}

struct file *api_enter_file(struct ref r, int *err)
{
    return file_or_leave(api_enter(), r, err);
}

struct file *api_enter_look(struct ref r, int *err)
{
    struct shard *sh = &api_self.st->shard[0];

    shard_lock(sh);
    return file_or_leave(sh, r, err);
}

/* plain: the connection may stay on its lane, where it is plain. */
static __rte_always_inline struct sock *enter_sock(struct ref r, bool plain, int *err)
{
    struct file *f = api_enter_file(r, err);

    if (!f)
        return NULL;
    if (f->type == FILE_SOCK) {
        if (!plain || !api_has_lanes() || api_self.st->cold || !sock_is_plain(file_sock(f)))
            shard_recall(api_self.st, file_sock(f)->pcb);
        api_self.st->shard[0].work = file_sock(f)->pcb;
        list_step();
        return file_sock(f);
    }
    shard_unlock(&api_self.st->shard[0]);
    *err = -ENOTSOCK;
    return NULL;
}

struct sock *api_enter_sock(struct ref r, int *err)
{
    return enter_sock(r, false, err);
}

struct sock *api_enter_sock_here(struct ref r, int *err)
{
    return enter_sock(r, true, err);
}

/* --- lanes (lane.h) --- */

/* By first use, in turn: neighbours in a program's threads and in a server's processes get different ones. */
struct shard *api_home(void)
{
    static __thread const struct proc *of; /* a fork's child chooses anew */
    static __thread unsigned home;
    static unsigned threads;
    struct stack *st = api_self.st;

    if (__builtin_expect(of != api_self.proc || !of, 0)) {
        of = api_self.proc;
        home = ((unsigned)(of - family_at(st, 0)) + __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED)) %
               st->nshard;
    }
    return &st->shard[home];
}

struct shard *api_enter_lane(struct shard *sh, bool try)
{
    if (!lane_lock(sh, try))
        return NULL;
    clock_up(sh);
    return sh;
}

/* A process without devices leaves its frames to others, and must tell them: that takes all locks. */
bool api_lanes_open(void)
{
    return api_has_lanes() && !__atomic_load_n(&api_self.st->cold, __ATOMIC_RELAXED) && !shard_relays();
}

unsigned api_poll_others(const struct shard *home)
{
    struct stack *st = api_self.st;
    uint64_t now_ns = __atomic_load_n(&home->now_ns, __ATOMIC_RELAXED);
    unsigned n = 0;

    for (uint32_t i = 0; i < st->nshard; i++) {
        struct shard *sh = &st->shard[i];

        if (now_ns < __atomic_load_n(&sh->last_poll_ns, __ATOMIC_RELAXED) + API_STALE_NS ||
            !api_enter_lane(sh, true))
            continue;
        n += shard_poll(sh, sh->now_ns);
        shard_unlock(sh);
    }
    return n;
}

unsigned api_poll_devices(void)
{
    struct shard *sh;
    unsigned n;

    if (!api_lanes_open()) {
        sh = api_enter();
        n = shard_poll(sh, sh->now_ns);
        shard_unlock(sh);
        return n;
    }
    sh = api_enter_lane(api_home(), false);
    n = shard_poll(sh, sh->now_ns);
    shard_unlock(sh);
    return n + api_poll_others(sh);
}

/* f's lane, when it is still where it was found without the lock; else NULL, and no lock. */
static struct shard *enter_lane_of(struct ref r, struct file *f)
{
    struct shard *sh = __atomic_load_n(&file_sock(f)->sh, __ATOMIC_RELAXED);

    if (!sh)
        return NULL;
    lane_lock(sh, false);
    if (api_file(r) == f && f->type == FILE_SOCK && file_sock(f)->sh == sh)
        return sh;
    shard_unlock(sh);
    return NULL;
}

static struct file *socket_file(struct ref r)
{
    struct file *f = api_file(r);

    return f && __atomic_load_n(&f->type, __ATOMIC_RELAXED) == FILE_SOCK ? f : NULL;
}

static struct sock *enter_plain(struct ref r)
{
    struct file *f = socket_file(r);
    struct shard *sh = f ? enter_lane_of(r, f) : NULL;
    struct sock *s = (struct sock *)f;

    if (!sh)
        return NULL;
    clock_up(sh);
    if (!sh->st->cold && sock_is_plain(s)) {
        sh->work = s->pcb;
        list_step();
        return s;
    }
    shard_unlock(sh);
    return NULL;
}

/* Puts a connection that its lane has not chosen itself on the thread's own (tcp_wants_home). */
static struct sock *enter_home(struct ref r, struct shard *home)
{
    int err;
    struct sock *s = enter_sock(r, true, &err);

    if (s && !s->sh->st->cold && sock_is_plain(s) && !s->pcb->shard && tcp_wants_home(sock_tcb(s), home))
        lane_move(s->sh->st, s->pcb, home);
    if (s)
        api_leave(&home->st->shard[0]);
    return enter_plain(r);
}

static __rte_noinline struct sock *enter_one_of_many(struct ref r, bool lane, int *err)
{
    struct sock *s = lane && api_lanes_open() ? enter_plain(r) : NULL;

    if (s && !s->sh->id && api_home()->id && tcp_wants_home(sock_tcb(s), api_home())) {
        shard_unlock(s->sh);
        s = enter_home(r, api_home());
    }
    return s ? s : api_enter_sock(r, err);
}

struct sock *api_enter_plain(struct ref r, bool lane, int *err)
{
    return api_has_lanes() ? enter_one_of_many(r, lane, err) : enter_sock(r, false, err);
}

struct file *api_enter_lane_look(struct ref r)
{
    struct file *f = api_has_lanes() ? socket_file(r) : NULL;

    return f && enter_lane_of(r, f) ? f : NULL;
}

void api_fill(struct shunt_api *t)
{
    t->version = SHUNT_API_VERSION;
    t->fdt = api_self.proc ? api_self.proc->fds : NULL;
    t->isolate = api_self.st && api_self.st->isolate;
    t->now_ns = !api_self.st      ? NULL
                : api_has_lanes() ? &api_self.st->clock_ns
                                  : &api_self.st->shard[0].now_ns;
    t->user_init = user_init;
    t->user_copy = user_copy;
    t->user_readable = user_readable;
    t->user_writable = user_writable;
    t->user_fault = user_fault;
    api_fill_fd(t);
    api_fill_sock(t);
    api_fill_io(t);
    api_fill_ready(t);
    api_fill_proc(t);
}
