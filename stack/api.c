/* api.c: the way in and out of the stack for the interposers (api.h, api_int.h).
 *
 * A call is: lock, clock, look up the file, work, hand up events, transmit, unlock, wake. Nothing here waits
 * but for the lock. */
#include <errno.h>
#include <rte_cycles.h>
#include <time.h>

#include "api_int.h"
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
#define TICKS_NS 250000u

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

static void wall_clock(struct shard *sh)
{
    sh->st->wall_off_ns = (int64_t)(clock_ns(CLOCK_REALTIME) - sh->now_ns);
}

struct shard *api_enter(void)
{
    struct shard *sh = &api_self.st->shard[0];
    uint64_t now_ns;

    shard_lock(sh);
    now_ns = now_by_ticks(sh);
    if (now_ns > sh->now_ns) /* read without the lock (api.h) */
        __atomic_store_n(&sh->now_ns, now_ns, __ATOMIC_RELAXED);
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

struct sock *api_enter_sock(struct ref r, int *err)
{
    struct file *f = api_enter_file(r, err);

    if (!f)
        return NULL;
    if (f->type == FILE_SOCK) {
        api_self.st->shard[0].work = file_sock(f)->pcb;
        list_step();
        return file_sock(f);
    }
    shard_unlock(&api_self.st->shard[0]);
    *err = -ENOTSOCK;
    return NULL;
}

void api_fill(struct shunt_api *t)
{
    t->version = SHUNT_API_VERSION;
    t->fdt = api_self.proc ? api_self.proc->fds : NULL;
    t->isolate = api_self.st && api_self.st->isolate;
    t->now_ns = api_self.st ? &api_self.st->shard[0].now_ns : NULL;
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
