/* wait.c: how a thread waits for the stack.
 *
 * Theory of operation.
 * 1. Spin. Nobody but the callers polls the devices, so a thread that would block first polls them itself:
 * for as long as it usually pays, learned per thread from how long its waits took (EWMA). A turn polls, and
 * tries what the call is about in the same visit to the engine (wait.turn), by the descriptor's number:
 * should another thread close it meanwhile, then it did so before this call began, as far as anybody can
 * tell. A call that goes on for longer than that (HOLD_NS), or sleeps, holds its file, as in Linux. On a
 * machine where others want the processor it yields to them: a sched_yield that took long says so, and the
 * thread sleeps sooner.
 * 2. Sleep. With a waiter that watches the files it sleeps in ppoll on what the engine says (its wake
 * descriptor, Rx interrupts) and on the call's own kernel descriptors, until the deadline or the stack's next
 * timer; then it polls, looks, and sleeps again.
 *
 * Signals. A handler interrupts a call when it runs between the call's begin and its result, as in Linux,
 * where a signal is noticed when the call is about to sleep. The guard counts the handlers. From the last
 * look at the counters to ppoll all signals are blocked, and ppoll takes the caller's mask, so none is lost
 * in between. ppoll runs outside of the guard: handlers may run there, call the library again, and even leave
 * by siglongjmp. What the call held then (pin, waiter) is kept in `held` and dropped by the thread's next
 * wait. A cancelled thread unwinds through the cleanups instead.
 */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "libc.h"
#include "signals.h"

#define KERNEL_NS 20000 /* how often a spinning call looks at its kernel descriptors */
#define YIELD_NS  5000  /* a spinning call lets others run this often */
#define BUSY_NS   20000 /* a yield this long: others had work */
#define HOLD_NS   20000 /* a call that spins so long holds on to its file */
#define HELD_MAX  8
#define PARK_NS   2000000000u

/* What a sleeping call holds, until it ends; a nested one is a handler's. */
static __thread struct held {
    struct ref pin;
    struct waiter *waiter;
    uintptr_t frame; /* an address in the call's frame; 0: free */
} held[HELD_MAX] __attribute__((tls_model("initial-exec")));

static __thread struct {
    uint64_t ewma_ns; /* how long waits took lately */
    uint32_t waits;
    uint32_t busy; /* 0-16: how often others wanted the processor */
} learned __attribute__((tls_model("initial-exec")));

uint64_t wait_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The clock as the last visit to the engine found it, by whichever thread: never ahead of the time. */
uint64_t wait_shard_ns(void)
{
    return __atomic_load_n(api->now_ns, __ATOMIC_RELAXED);
}

uint64_t wait_deadline_us(int64_t us)
{
    if (us < 0 || us > INT64_MAX / 2000)
        return NEVER;
    return wait_now_ns() + (uint64_t)us * 1000;
}

uint64_t wait_deadline(const struct timespec *t)
{
    if (!t || t->tv_sec > 1000000000)
        return NEVER;
    return wait_now_ns() + (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

/* --- what calls left by siglongjmp held --- */

static bool abandoned(const struct held *h, uintptr_t here)
{
    stack_t alt;
    if (!h->frame)
        return false;
    if (sigaltstack(NULL, &alt) < 0 || (alt.ss_flags & SS_DISABLE))
        return h->frame <= here; /* the stack grows down: its frame is gone */
    if (alt.ss_flags & SS_ONSTACK)
        return false; /* in a handler on the other stack: can't tell, later */
    uintptr_t lo = (uintptr_t)alt.ss_sp;
    return h->frame <= here || (h->frame >= lo && h->frame < lo + alt.ss_size);
}

static void held_sweep(uintptr_t here)
{
    for (int i = 0; i < HELD_MAX; i++) {
        struct held *h = &held[i];
        if (!abandoned(h, here))
            continue;
        h->frame = 0;
        if (h->waiter)
            API_VOID(waiter_put(h->waiter));
        if (h->pin.pin)
            API_VOID(unpin(&h->pin));
        *h = (struct held){0};
    }
}

/* Handlers nested more than HELD_MAX deep may leak. */
static void held_take(uintptr_t frame, const struct ref *pin, struct waiter *w)
{
    held_sweep(frame);
    for (int i = 0; i < HELD_MAX; i++) {
        if (held[i].frame == 0) {
            held[i] = (struct held){.waiter = w, .frame = frame};
            if (pin)
                held[i].pin = *pin;
            break;
        }
    }
}

static void held_drop(uintptr_t frame)
{
    for (int i = 0; i < HELD_MAX; i++)
        if (held[i].frame == frame)
            held[i].frame = 0;
}

/* How many forks this process is away from the one that started the stack. */
static unsigned forks;

void wait_child(void)
{
    forks++;
    memset(held, 0, sizeof(held));
}

/* --- interruption --- */

/* -EINTR, or 0: go on waiting (none ran, or all of them want the call restarted). */
static int interrupted(struct wait *w)
{
    if (__builtin_expect(guard.handlers == w->handlers, 1))
        return 0;
    if (w->never_restart || guard.interrupting != w->interrupting)
        return -EINTR;
    w->handlers = guard.handlers;
    return 0;
}

static struct timespec until(uint64_t deadline_ns)
{
    uint64_t now = wait_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    return (struct timespec){.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
}

/* --- spinning --- */

static void learn(uint64_t took_ns)
{
    uint64_t cap = (uint64_t)api->spin_us * 4000;
    if (took_ns > cap)
        took_ns = cap;
    learned.ewma_ns += (took_ns >> 3) - (learned.ewma_ns >> 3);
}

/* How long it is worth to spin. Every 32nd wait tries the full time, so that a change is noticed. */
static uint64_t spin_limit_ns(void)
{
    if (api->spin_us == UINT32_MAX)
        return NEVER;
    uint64_t full = (uint64_t)api->spin_us * 1000;
    if (learned.waits++ % 32 == 0)
        return full;
    if (learned.busy >= 8)
        return full / 16;
    return learned.ewma_ns <= full ? full : 0;
}

static bool confined;

void wait_confine(void)
{
    confined = true;
    if (api && guard.depth == 0)
        API_VOID(confine());
}

static void yield(void)
{
    uint64_t t = wait_now_ns();
    if (confined) { /* lists for servers leave sched_yield out: rather sleep soon */
        learned.busy += learned.busy < 16;
        return;
    }
    sched_yield();
    if (wait_now_ns() - t > BUSY_NS)
        learned.busy += learned.busy < 16;
    else
        learned.busy -= learned.busy > 0;
}

static int look(struct wait *w, bool poll_devices)
{
    guard_enter();
    if (poll_devices)
        api->poll_devices();
    int r = w->check(w);
    guard_leave();
    return r;
}

/* The call's kernel descriptors, without sleeping, with its signal mask: as wait_run. */
static int look_kernel(struct wait *w)
{
    struct timespec zero = {0};
    if (w->n == 0 && !w->sigmask)
        return 0;
    int r = libc.ppoll(w->p, w->n, &zero, w->sigmask);
    if (r < 0 && errno == EINTR)
        return interrupted(w);
    return r > 0;
}

static int hold(struct wait *w)
{
    int (*fn)(struct wait *) = w->hold;
    w->hold = NULL;
    return fn ? fn(w) : 0;
}

static int turn(struct wait *w)
{
    return w->turn ? w->turn(w) : look(w, true);
}

/* 1, 0 (the time to spin is over), -EINTR, or -ETIME: the deadline passed. The time is what the engine's
 * clock was at the turn's poll: the vDSO's takes about as long as an empty poll. */
static int spin(struct wait *w, uint64_t start)
{
    uint64_t limit = spin_limit_ns(), kernel_ns = start, yield_ns = start;
    for (;;) {
        int r = turn(w);
        if (r || (r = interrupted(w)))
            return r;
        uint64_t now = wait_shard_ns();
        if (now >= w->deadline_ns)
            return -ETIME;
        if (limit != NEVER && now - start >= limit)
            return 0;
        if (now - start >= HOLD_NS && (r = hold(w)))
            return r;
        if (now - kernel_ns >= KERNEL_NS) {
            r = look_kernel(w);
            if (r)
                return r;
            kernel_ns = now;
        }
        if (now - yield_ns > YIELD_NS && limit != NEVER) {
            yield_ns = now;
            yield();
        }
    }
}

/* --- sleeping --- */

struct sleeper {
    struct waiter *waiter;
    unsigned forks; /* as they were when it got its waiter */
    uint64_t mask;  /* the caller's signals */
    uintptr_t frame;
    struct ref *pin; /* the call's, or NULL */
};

static void sleep_end(struct sleeper *s)
{
    if (s->waiter)
        API_VOID(waiter_put(s->waiter));
    held_drop(s->frame);
    signals_restore(s->mask);
}

/* All waiters are taken: sleep in short slices. */
static int slice(struct wait *w, const sigset_t *mask)
{
    struct timespec ms = {.tv_nsec = 1000000};
    return libc.ppoll(w->p, w->n, &ms, mask);
}

/* One sleep. *ready: as check, or a kernel descriptor. The result of ppoll, errno kept. */
static int doze(struct wait *w, struct sleeper *s, const sigset_t *mask, int *ready)
{
    uint64_t deadline = w->deadline_ns;
    nfds_t n = w->n;
    int r = 0;
    if (!s->waiter) {
        r = slice(w, mask);
        int err = errno;
        *ready = look(w, true) || r > 0;
        errno = err;
        return r;
    }
    int woken = API(sleep_prepare(s->waiter, w->p, &n, &deadline));
    if (!woken) {
        struct timespec t = until(deadline);
        r = libc.ppoll(w->p, n, deadline == NEVER ? NULL : &t, mask);
    }
    int err = errno;
    if (s->forks != forks) { /* a handler forked, and this is the child: the waiter is the parent's */
        s->waiter = NULL;
        *ready = look(w, true);
        errno = err;
        return r;
    }
    guard_enter();
    api->sleep_finish(s->waiter, w->p, n);
    *ready = w->check(w);
    guard_leave();
    for (nfds_t i = 0; r > 0 && i < w->n; i++)
        *ready |= w->p[i].revents != 0;
    errno = err;
    return r;
}

static int sleep_rounds(struct wait *w, struct sleeper *s, const sigset_t *mask)
{
    for (;;) {
        int ready = 0, r = interrupted(w);
        if (r)
            return r;
        r = doze(w, s, mask, &ready);
        /* Before the look: what the handler itself brought about is the next call's, as in Linux. */
        if (r < 0 && errno == EINTR && (r = interrupted(w)))
            return r;
        if (ready)
            return 1;
        if (wait_now_ns() >= w->deadline_ns)
            return 0;
    }
}

/* The thread was cancelled in ppoll: the call that waited does not come back to let go of its file. */
static void sleep_cancelled(void *arg)
{
    struct sleeper *s = arg;
    struct ref *pin = s->pin;
    sleep_end(s);
    if (pin && pin->pin)
        API_VOID(unpin(pin));
}

static int sleep_loop(struct wait *w)
{
    struct sleeper s = {.frame = (uintptr_t)__builtin_frame_address(0), .pin = w->pin, .forks = forks};
    sigset_t mask;
    int r = hold(w);
    if (r)
        return r;
    s.mask = signals_block();
    sigemptyset(&mask);
    *(uint64_t *)&mask = s.mask;
    guard_enter();
    s.waiter = api->waiter_get();
    int ready = s.waiter ? w->watch(w, s.waiter) : 0;
    guard_leave();
    if (ready > 0) {
        sleep_end(&s);
        return 1;
    }
    if (ready < 0 && s.waiter) { /* no memory for a watch */
        API_VOID(waiter_put(s.waiter));
        s.waiter = NULL;
    }
    held_take(s.frame, w->pin, s.waiter);
    pthread_cleanup_push(sleep_cancelled, &s);
    r = sleep_rounds(w, &s, w->sigmask ? w->sigmask : &mask);
    pthread_cleanup_pop(0);
    sleep_end(&s);
    return r;
}

/* --- the end of the process --- */

static bool leaving; /* a thread is in exit: what the process holds in the stack is released */
static __thread bool leaver __attribute__((tls_model("initial-exec")));

void wait_leaving(void)
{
    leaver = true;
    __atomic_store_n(&leaving, true, __ATOMIC_RELEASE);
}

/* The call's file is gone because the process ends: in Linux the thread would end inside the call. Not for
 * ever: the thread that ends may wait for this one, which on Linux goes on. */
static void park(void)
{
    uint64_t end = wait_now_ns() + PARK_NS;
    while (wait_now_ns() < end) {
        struct timespec t = until(end);
        libc.ppoll(NULL, 0, &t, NULL);
    }
}

int wait_run(struct wait *w)
{
    uint64_t start = wait_shard_ns();
    int r = spin(w, start);
    if (r == 0)
        r = sleep_loop(w);
    if (__builtin_expect(__atomic_load_n(&leaving, __ATOMIC_RELAXED), 0) && !leaver)
        park();
    if (r == -ETIME)
        return 0;
    if (r >= 0)
        learn(wait_shard_ns() - start);
    return r;
}

/* --- one socket --- */

struct one {
    struct wait w; /* first */
    struct block *b;
};

static int one_check(struct wait *w)
{
    struct block *b = ((struct one *)w)->b;
    int bits = api->poll(b->ref);
    return bits < 0 || (bits & (b->events | EPOLLERR | EPOLLHUP));
}

static int one_watch(struct wait *w, struct waiter *by)
{
    struct block *b = ((struct one *)w)->b;
    return api->watch(by, b->ref, b->events);
}

static int one_turn(struct wait *w)
{
    struct block *b = ((struct one *)w)->b;
    return b->done = b->try(b);
}

static int one_hold(struct wait *w)
{
    struct block *b = ((struct one *)w)->b;
    int r = API(pin(&b->ref));
    b->pinned = r == 0;
    return r;
}

static int block_prepare(struct block *b)
{
    int flags = API(get_flags(b->ref));
    if (flags < 0)
        return flags;
    if (b->dontwait || (flags & O_NONBLOCK))
        return -EAGAIN;
    int64_t rcv = 0, snd = 0;
    API(timeo_us(b->ref, &rcv, &snd));
    int64_t us = b->events & EPOLLIN ? rcv : snd;
    b->deadline_ns = us > 0 ? wait_deadline_us(us) : NEVER;
    b->restart_ok = us <= 0;
    b->begun = true;
    return 0;
}

int block_wait(struct block *b)
{
    struct pollfd p[1 + SLEEP_FDS];
    struct one o = {.w = {.check = one_check, .watch = one_watch, .p = p, .pin = &b->ref}, .b = b};
    if (!b->begun) {
        int r = block_prepare(b);
        if (r < 0)
            return r;
    }
    if (fd_has(b->ref.fd, FD_TWIN))
        p[o.w.n++] = (struct pollfd){.fd = b->ref.fd, .events = b->events & EPOLLIN ? POLLIN : POLLOUT};
    if (b->try)
        o.w.turn = one_turn;
    if (!b->pinned)
        o.w.hold = one_hold;
    b->done = false;
    o.w.deadline_ns = b->deadline_ns;
    o.w.never_restart = !b->restart_ok;
    o.w.handlers = b->handlers;
    o.w.interrupting = b->interrupting;
    int r = wait_run(&o.w);
    b->handlers = o.w.handlers;
    return r > 0 ? 0 : r == 0 ? -EAGAIN : r;
}

void block_end(struct block *b)
{
    if (b->pinned)
        API_VOID(unpin(&b->ref));
    b->pinned = false;
}
