/* keeper.c: the process that keeps the stack going when no thread of the program does, and ends what a dead
 * program left.
 *
 * Theory of operation.
 *
 * Birth. A grandchild of the process that starts the stack, made before the program has its first socket. The
 * process between is made by clone without an exit signal, so that neither SIGCHLD nor a plain wait() tells
 * the program of it, and is awaited with __WALL; the keeper itself then belongs to init. It is made by _Fork,
 * not fork: the program's atfork handlers are not the keeper's business, and _Fork sets up what robust
 * mutexes need of a process (thread id, robust list), which a bare clone does not. It leaves the program's
 * session, directory and descriptors, ignores its signals and never returns. What it cannot leave is the
 * program's memory as it was: it must not use the C library's heap, whose locks another thread of the program
 * may have held at the fork.
 *
 * Work. Three modes, in engine_shared.keeper_mode under the lock:
 *
 * - WATCH: some thread of the program is at work. Every tick (1 to 4 ms) the keeper looks whether anybody has
 * polled since its last look; if nobody has and nobody sleeps on the devices, it polls once itself: the
 * program computes.
 *
 * - POLL: that has been so for POLL_AFTER_NS. The keeper becomes the leader (sleep.c) and sleeps on the
 * devices and timers instead of ticking. A thread of the program that goes to sleep takes that place over,
 * and the keeper goes to WATCH.
 *
 * - DOZE: a thread of the program sleeps as leader, and the keeper sleeps too. A leader that leaves wakes it
 * by one write, which costs the program something: a bucket of DOZES tokens, refilled by one every DOZE_NS,
 * bounds how often. With the bucket empty the keeper stays in WATCH, at the longest tick.
 *
 * An idle stack is in DOZE or POLL; both wake 4 times a second to see whether the leader is alive.
 *
 * Who dies how. A leader that is stopped (SIGSTOP) or went away without a word lets a due timer or a readable
 * port lie: the keeper deposes it. A process that dies with the lock held leaves it to the next owner (robust
 * mutex). One that is stopped with the lock held is let out of the stack first (stopped.c); the keeper only
 * ever tries the lock, so that its socket answers.
 *
 * Processes. Each process of the family is watched by a pidfd; when it becomes readable the process's
 * descriptors in the segment are released, as the kernel does for its own. One that said that it is about to
 * execute another image is looked at until it has, or has failed to (family.h). When the last one is gone,
 * and nobody holds the other end of a tree's pair (preload/tree.c: who could still join), what its
 * connections still have to send is sent (orphans), TIME_WAIT and FIN_WAIT_2 are kept for keeper_linger
 * seconds, what is left then is reset, and the keeper leaves and takes with it what would stay behind.
 */
#include "keeper.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "../../dpdk/dpdk.h"
#include "../../stack/log.h"
#include "control.h"

#define TICK_NS       (1ull * NS_IN_MS)
#define TICK_MAX      4  /* ticks when the program has polled all along */
#define TICK_STRETCH  32 /* ticks after which the next one is longer by one */
#define POLL_AFTER_NS (16ull * NS_IN_MS)
#define DOZE_NS       (20ull * NS_IN_MS)
#define DOZES         8
#define STALE_NS      (50ull * NS_IN_MS) /* how late a leader may be */
#define LOCK_TRIES    64
#define LEAVE_TICK_NS (20ull * NS_IN_MS) /* a keeper without a program looks whether all is done */
#define POLL_ROUNDS   64

struct keeper keeper;

/* --- told by others --- */

void keeper_take_over(void)
{
    struct engine_shared *s = engine.shared;

    if (!s->keeper || s->keeper_mode != KEEPER_DOZE)
        return;
    s->keeper_mode = KEEPER_WATCH;
    waiter_wake(engine.st, s->keeper);
}

void keeper_appoint(void)
{
    struct engine_shared *s = engine.shared;

    if (!s->keeper || engine.st->shard[0].leader)
        return;
    s->keeper_mode = KEEPER_POLL;
    waiter_wake(engine.st, s->keeper);
}

void keeper_kick(void)
{
    struct waiter *w = engine.shared->keeper;

    __atomic_store_n(&engine.shared->kicked, 1, __ATOMIC_RELEASE);
    if (w)
        wake_write(w->wake);
}

/* --- the lock --- */

struct shard *keeper_try_enter(void)
{
    struct shard *sh = &engine.st->shard[0];

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (shard_trylock(sh)) {
            uint64_t now = now_ns();

            if (now > sh->now_ns)
                sh->now_ns = now;
            return sh;
        }
        sys0(SYS_sched_yield);
    }
    return NULL;
}

/* --- the drivers' control: it runs here, and nowhere else in the family (dpdk.h) --- */

static unsigned links_up(void)
{
    unsigned up = 0;

    for (unsigned i = 0; i < engine.ndev; i++)
        up |= (unsigned)dpdk_link_up(engine.dev[i]) << i;
    return up;
}

/* Does what is due. A peer that came or went has changed what a leader must sleep on: it is woken, to look
 * again. Context: the lock. */
static void control_links(struct shard *sh, uint64_t now)
{
    unsigned up = links_up();

    dpdk_control_poll(now);
    if ((keeper.control_due || links_up() != up) && sh->leader)
        waiter_wake(engine.st, sh->leader);
    keeper.control_due = false;
    keeper.control_ns = UINT64_MAX;
    keeper.ncontrol = dpdk_control_fds(keeper.control, CONTROL_FDS, &keeper.control_ns);
}

/* --- modes. Context: the lock. Each returns until when to sleep. --- */

static void poll_some(struct shard *sh)
{
    for (int i = 0; i < POLL_ROUNDS && shard_poll(sh, now_ns()) > 0; i++)
        ;
}

/* When all of the stack had been polled last. */
static uint64_t last_poll_ns(void)
{
    uint64_t ns = UINT64_MAX;

    for (uint32_t i = 0; i < engine.st->nshard; i++) {
        uint64_t at_ns = __atomic_load_n(&engine.st->shard[i].last_poll_ns, __ATOMIC_RELAXED);

        ns = at_ns < ns ? at_ns : ns;
    }
    return ns;
}

/* True if anybody else polled since the last call. */
static bool others_polled(uint64_t now)
{
    if (last_poll_ns() == keeper.seen_poll_ns)
        return false;
    keeper.seen_poll_ns = last_poll_ns();
    keeper.others_ns = now;
    return true;
}

/* Takes a token for a doze; false: there is none. */
static bool may_doze(uint64_t now)
{
    uint64_t more = (now - keeper.dozes_ns) / DOZE_NS;

    keeper.dozes_ns += more * DOZE_NS;
    keeper.dozes = more >= DOZES - keeper.dozes ? DOZES : keeper.dozes + (unsigned)more;
    if (!keeper.dozes)
        return false;
    keeper.dozes--;
    return true;
}

/* The time of the next tick: the longer the program has been polling, the later. */
static uint64_t next_tick(uint64_t now, bool others)
{
    unsigned ticks;

    keeper.streak = others ? keeper.streak + 1 : 0;
    ticks = 1 + keeper.streak / TICK_STRETCH;
    return now + (ticks < TICK_MAX ? ticks : TICK_MAX) * TICK_NS;
}

static uint64_t do_watch(struct shard *sh, uint64_t now)
{
    bool others = others_polled(now);

    if (sh->leader && sh->leader != keeper.w) {
        if (!may_doze(now))
            return now + TICK_MAX * TICK_NS;
        engine.shared->keeper_mode = KEEPER_DOZE;
        keeper.suspect = false;
        return now + CHECK_NS;
    }
    if (!others) {
        if (keeper.portless || now - keeper.others_ns >= POLL_AFTER_NS)
            engine.shared->keeper_mode = KEEPER_POLL;
        poll_some(sh);
        keeper.seen_poll_ns = last_poll_ns();
    }
    return next_tick(now, others);
}

/* True if a frame waits at a port that has a descriptor. */
static bool port_is_readable(void)
{
    struct pollfd p[SLEEP_FDS];
    struct timespec zero = {0, 0};
    int n = 0;

    for (unsigned i = 0; i < engine.ndev; i++)
        n += sleep_port_fds(i, p + n, SLEEP_FDS - n);
    return n && sys5(SYS_ppoll, p, n, &zero, NULL, 8) > 0;
}

static uint64_t do_doze(struct shard *sh, uint64_t now)
{
    bool late = sh->leader && (shard_next_timer_ns(sh) < now - STALE_NS ||
                               (sh->leader_until_ns && sh->leader_until_ns < now - STALE_NS));
    bool others = others_polled(now), readable = sh->leader && port_is_readable();

    if (sh->leader && !late && !(readable && keeper.suspect && !others)) {
        keeper.suspect = readable;
        return now + (readable ? STALE_NS : CHECK_NS);
    }
    if (sh->leader) {
        log_debug("the sleeper on the devices does not move: the keeper takes its place");
        sh->leader = NULL;
        sh->leader_until_ns = 0;
        engine.shared->keeper_mode = KEEPER_POLL;
        return now;
    }
    engine.shared->keeper_mode = KEEPER_WATCH;
    keeper.others_ns = now;
    keeper.streak = 0;
    return now + TICK_NS;
}

/* After a sleep in mode POLL. */
static void leave_poll(struct shard *sh, uint64_t now)
{
    bool others = others_polled(now);

    if (!others && (!sh->leader || sh->leader == keeper.w))
        return;
    engine.shared->keeper_mode = KEEPER_WATCH;
    keeper.others_ns = now;
    keeper.streak = 0;
}

/* --- asked to leave --- */

bool keeper_hurry(void)
{
    if (!keeper_is_leaving())
        return false;
    if (!keeper.hurry_ns)
        keeper.hurry_ns = now_ns();
    return true;
}

/* --- the loop --- */

/* p is laid out so: the keeper's own epoll set, the control's descriptors, then what the mode sleeps on with
 * the wake descriptor last. */
static void add_control(struct pollfd *p, nfds_t *n)
{
    for (int i = 0; i < keeper.ncontrol; i++)
        p[(*n)++] = (struct pollfd){.fd = keeper.control[i].fd, .events = keeper.control[i].events};
}

static void add_wake(struct pollfd *p, nfds_t *n)
{
    p[(*n)++] = (struct pollfd){.fd = engine.wake_fd[keeper.w->wake], .events = POLLIN};
}

/* A look in mode WATCH that needs no lock: somebody polled since the last one, and there is nothing else to
 * do. The values may be old by a moment; the next tick sees the new ones. */
static bool all_is_well(uint64_t now, uint64_t *deadline_ns)
{
    const struct shard *sh = &engine.st->shard[0];

    if (__atomic_load_n(&engine.shared->keeper_mode, __ATOMIC_RELAXED) != KEEPER_WATCH ||
        keeper.look_at_processes || keeper.unwatched || keeper.exec_ns || keeper.gone_ns || sh->sweep_ns ||
        last_poll_ns() == keeper.seen_poll_ns)
        return false;
    keeper.seen_poll_ns = last_poll_ns();
    keeper.others_ns = now;
    *deadline_ns = next_tick(now, true);
    return true;
}

/* prepare, with the lock. Sets *deadline_ns; false: don't sleep. */
static bool prepare_locked(struct shard *sh, struct pollfd *p, nfds_t *n, uint64_t *deadline_ns)
{
    struct engine_shared *s = engine.shared;
    uint64_t now = now_ns();
    bool woken = false;

    if (keeper.look_at_processes || keeper.exec_ns || (keeper.unwatched && now >= keeper.look_ns))
        watched_look();
    if (keeper.control_due || now >= keeper.control_ns)
        control_links(sh, now);
    if (sh->sweep_ns && now >= sh->sweep_ns)
        lost_sweep(sh);
    if (keeper.gone_ns && remains_done(sh, now))
        remains_leave(sh);
    add_control(p, n);
    if (s->keeper_mode == KEEPER_DOZE)
        *deadline_ns = do_doze(sh, now);
    if (s->keeper_mode == KEEPER_WATCH)
        *deadline_ns = do_watch(sh, now);
    if (s->keeper_mode == KEEPER_POLL) {
        *deadline_ns = keeper.gone_ns ? now + LEAVE_TICK_NS : now + CHECK_NS;
        woken = sleep_prepare_locked(sh, keeper.w, p, n, deadline_ns);
        keeper.seen_poll_ns = last_poll_ns();
    } else {
        add_wake(p, n);
        keeper.w->woken = 0;
        keeper.w->armed = 1;
    }
    return !woken;
}

/* Prepares the sleep: the descriptors in p, until when in *deadline_ns. False: don't sleep. */
static bool prepare(struct pollfd *p, nfds_t *n, uint64_t *deadline_ns)
{
    uint64_t now = now_ns();
    struct shard *sh;
    bool sleep;

    *n = 0;
    p[(*n)++] = (struct pollfd){.fd = keeper.epfd, .events = POLLIN};
    if (all_is_well(now, deadline_ns)) {
        add_control(p, n);
        add_wake(p, n);
        sleep = true;
    } else if ((sh = keeper_try_enter())) {
        sleep = prepare_locked(sh, p, n, deadline_ns);
        shard_unlock(sh);
    } else {
        /* Somebody is at work, or was stopped at it. What is ready would not let the keeper sleep, and can't
         * be dealt with. */
        stopped_look(engine.st, now);
        *deadline_ns = now + 2 * TICK_NS;
        *n = 0;
        return true;
    }
    if (keeper.control_ns < *deadline_ns)
        *deadline_ns = keeper.control_ns;
    if (keeper.unwatched && keeper.look_ns < *deadline_ns)
        *deadline_ns = keeper.look_ns;
    if (keeper.exec_ns && now + keeper.exec_ns < *deadline_ns)
        *deadline_ns = now + keeper.exec_ns;
    return sleep;
}

/* After the sleep: takes note of what woke it, and steps down from leading. */
static void finish(struct pollfd *p, nfds_t n)
{
    struct shard *sh;

    if (n == 0)
        return;
    for (int i = 0; i < keeper.ncontrol; i++)
        keeper.control_due |= p[1 + i].revents != 0;
    if (p[n - 1].fd == engine.wake_fd[keeper.w->wake] && p[n - 1].revents) {
        wake_drain(keeper.w->wake);
        if (__atomic_exchange_n(&engine.shared->kicked, 0, __ATOMIC_ACQUIRE))
            keeper.look_at_processes = true;
    }
    if (__atomic_load_n(&engine.shared->keeper_mode, __ATOMIC_RELAXED) != KEEPER_POLL)
        return;
    sh = keeper_try_enter();
    if (!sh)
        return; /* still the leader, if it was: the next round comes at once */
    leave_poll(sh, now_ns());
    sleep_finish_locked(sh, keeper.w, p, n);
    keeper.seen_poll_ns = last_poll_ns();
    shard_unlock(sh);
}

static void handle_event(uint64_t what, uint64_t now)
{
    if (what >= TREE_EVENT) {
        watched_tree_gone((unsigned)(what - TREE_EVENT));
    } else if (what > TICKET_EVENT) {
        struct shard *sh = keeper_try_enter();

        if (!sh)
            return; /* level-triggered: comes again */
        ticket_gone(sh, what);
        shard_unlock(sh);
    } else if (what == TICKET_EVENT) {
        ticket_receive();
    } else if (what >= SIGNAL_EVENT) {
        struct signalfd_siginfo si;

        /* Somebody wants this machine or container to end: don't stay for TIME_WAIT. A program that runs is
         * served on. */
        sys3(SYS_read, keeper.sigfd, &si, sizeof si);
        keeper_hurry();
    } else if (what >= PROCESS_EVENT) {
        struct shard *sh = keeper_try_enter();

        if (!sh)
            return; /* level-triggered: comes again */
        watched_died((unsigned)(what - PROCESS_EVENT));
        watched_look();
        shard_unlock(sh);
    } else {
        control_event(what, now);
    }
}

static void handle_events(void)
{
    struct epoll_event ev[16];
    uint64_t now = now_ns();
    long n = sys6(SYS_epoll_pwait, keeper.epfd, SYS_ARG(ev), 16, 0, 0, 8);

    for (long i = 0; i < n; i++)
        handle_event(ev[i].data.u64, now);
}

_Noreturn void keeper_run(void)
{
    struct pollfd p[1 + CONTROL_FDS + SLEEP_FDS];

    for (;;) {
        uint64_t deadline_ns, now, expire_ns;
        struct timespec ts;
        nfds_t n;
        bool sleep = prepare(p, &n, &deadline_ns);

        stopped_pass_on(engine.st);
        now = now_ns();
        expire_ns = control_expire(now);
        if (expire_ns < deadline_ns)
            deadline_ns = expire_ns;
        if (sleep && deadline_ns > now) {
            ts.tv_sec = (time_t)((deadline_ns - now) / NS_IN_S);
            ts.tv_nsec = (long)((deadline_ns - now) % NS_IN_S);
            if (sys5(SYS_ppoll, p, n, &ts, NULL, 8) < 0) { /* no memory: not again at once */
                ts = (struct timespec){0, TICK_NS};
                sys2(SYS_nanosleep, &ts, NULL);
            }
        }
        finish(p, n);
        if (!sleep || n == 0 || p[0].revents)
            handle_events();
    }
}
