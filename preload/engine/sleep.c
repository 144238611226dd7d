/* sleep.c: how a thread sleeps until something happens on the stack.
 *
 * Theory of operation. The stack has no thread of its own, so that the threads that wait for it must also do
 * its work when a frame comes or a timer is due. One of the sleepers of a shard, the leader, sleeps on the
 * ports' Rx descriptors and the next timer as well as on its own wake descriptor; when it wakes it polls, and
 * the poll wakes whoever got something. The others sleep on their wake descriptors alone. When the leader
 * goes back to its program, its place is empty until the next thread goes to sleep (very soon in a busy
 * program, and meanwhile every call polls inline); the keeper looks after the time between (keeper.c).
 *
 * What could get lost, and why it does not:
 * - An event between the caller's look and its sleep: its watches are on the files already (api.h: watch
 * comes first, and it looks after putting the watch), and waiter_wake under the lock marks woken, which
 * sleep_prepare finds, or, armed by then (before the lock is dropped), writes the wake descriptor, which
 * ppoll finds.
 * - A frame between the leader's last poll and its ppoll: interrupts are armed before that poll, so that the
 * frame makes the Rx descriptor readable. The poll goes on until a round finds nothing: what was there before
 * the arming may not raise an interrupt again.
 * - A timer armed by another thread, due before the leader would wake: shard_unlock compares the next timer
 * with leader_until_ns and writes the leader's wake descriptor (stack.h). leader_until_ns is set under the
 * lock after the last poll, so that no timer slips in between.
 * - The leader's death or an unclean leave (cancelled, longjmp out of a handler): the keeper reaps a dead
 * process's waiters and deposes a leader that lets a due timer or a readable port lie (keeper.c).
 *
 * A process that joined by exec has no ports (join.c): its threads never lead where there are any, but see to
 * it that the keeper does.
 *
 * A thread may sleep twice at a time: a signal handler that runs inside ppoll may block in a socket call
 * itself. So a waiter is per sleep, not per thread; each thread keeps one at hand, and a nested sleep takes a
 * fresh one.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../../dpdk/dpdk.h"
#include "../../stack/rx.h"
#include "engine.h"

#define SLICE_NO_WAKE_NS (1 * NS_IN_MS) /* a sleeper without a wake descriptor looks again after this */
#define ROUNDS_AFTER_ARM 16 /* polls until the ports are empty; with more to do the sleep is off */

_Static_assert(SLEEP_FDS >= NETDEV_MAX * NETDEV_QUEUE_MAX + 2, "all queues of all links have room");
_Static_assert(SLEEP_FDS <= UINT8_MAX, "struct waiter counts them in nfds");

/* The waiter that this thread keeps at hand; NULL while it is in use. */
static __thread struct waiter *spare;

/* The end of a thread that used the stack. It may end inside a sleep too (cancellation): what it held goes
 * with it. Context: the C library calls this, so that no interposer keeps the program's handlers off. The
 * program's own destructors may still come, and sleep: with a new waiter. */
static void thread_gone(void *arg)
{
    uint64_t all = ~0ull, old;
    struct waiter *w = arg;
    struct shard *sh;

    sys4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, 8);
    if (spare == w)
        spare = NULL;
    sh = engine_enter();
    if (w->pid == process_number()) {
        if (sh->leader == w) {
            sh->leader = NULL;
            sh->leader_until_ns = 0;
            keeper_take_over();
        }
        wake_release(w);
        waiter_free(engine.st, w);
    }
    shard_unlock(sh);
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
}

int sleep_init(void)
{
    return -pthread_key_create(&engine.thread_key, thread_gone);
}

void sleep_after_fork(void)
{
    spare = NULL;
    /* The value is the parent's waiter: the child's thread must not free that one at its end. */
    pthread_setspecific(engine.thread_key, NULL);
}

/* The leader steps down: disarms the ports (p: its descriptors of them, n of them) and does what it was woken
 * for. */
static void finish_leader(struct shard *sh, const struct pollfd *p, int n)
{
    int at = 0;

    for (unsigned i = 0; i < engine.ndev; i++) {
        for (unsigned q = 0; q < engine.dev[i]->nqueue; q++) {
            struct pollfd mine[SLEEP_FDS];
            int k = n ? dpdk_rx_fds(engine.dev[i], q, mine, SLEEP_FDS - 2 - at) : 0;

            /* A peer may have come or gone meanwhile. */
            k = k > n - at ? n - at : k;
            dpdk_rx_disarm(engine.dev[i], q, p + at, k);
            at += k;
        }
    }
    sh->leader = NULL;
    sh->leader_until_ns = 0;
    shard_poll(sh, now_ns());
    keeper_take_over();
}

struct waiter *sleep_waiter_get(void)
{
    struct waiter *w = spare;
    struct shard *sh;

    if (w) {
        spare = NULL;
        return w;
    }
    sh = engine_enter();
    w = waiter_new(engine.st, process_number(), (int)sys0(SYS_gettid));
    shard_unlock(sh);
    if (w && !pthread_getspecific(engine.thread_key))
        pthread_setspecific(engine.thread_key, w);
    return w;
}

void sleep_waiter_put(struct waiter *w)
{
    struct shard *sh = engine_enter();

    waiter_unwatch(engine.st, w);
    w->armed = 0;
    /* Its sleep was left by siglongjmp: sleep_finish never came. */
    if (sh->leader == w)
        finish_leader(sh, NULL, 0);
    wake_release(w);
    if (pthread_getspecific(engine.thread_key) != w) {
        waiter_free(engine.st, w);
        w = NULL;
    }
    shard_unlock(sh);
    if (w)
        spare = w;
}

void sleep_relayed(struct shard *sh)
{
    if (!sh->leader) /* else it is woken as for a timer */
        keeper_appoint();
}

/* Makes w the leader when there is none, or only the keeper: a thread of the program that sleeps there itself
 * saves the detour over the keeper. */
static bool lead(struct shard *sh, struct waiter *w)
{
    struct waiter *keeper = engine.shared->keeper;

    if (engine.portless) {
        keeper_appoint();
        return false;
    }
    if (sh->leader && sh->leader != w) {
        if (sh->leader != keeper)
            return false;
        waiter_wake(engine.st, keeper);
    }
    sh->leader = w;
    return true;
}

/* Polls until nothing comes any more. False when that takes too long or w was woken by it. */
static bool poll_dry(struct shard *sh, struct waiter *w)
{
    for (int i = 0; i < ROUNDS_AFTER_ARM; i++) {
        unsigned n = shard_poll(sh, now_ns());

        if (w->woken)
            return false;
        if (n == 0)
            return true;
    }
    return false;
}

/* For how long no frame has come, as far as leaders saw. */
static uint64_t idle_time(const struct shard *sh)
{
    struct engine_shared *s = engine.shared;
    uint64_t packets = 0;

    for (unsigned i = 1; i < sh->st->nif; i++)
        packets += sh->st->ifn[i].rx_packets;
    if (packets != s->rx_packets) {
        s->rx_packets = packets;
        s->last_rx_ns = sh->now_ns;
    }
    return sh->now_ns - s->last_rx_ns;
}

int sleep_port_fds(unsigned i, struct pollfd *p, int room)
{
    int n = 0;

    for (unsigned q = 0; q < engine.dev[i]->nqueue; q++)
        n += dpdk_rx_fds(engine.dev[i], q, p + n, room - n);
    return n;
}

/* The Rx descriptors of all ports, and until when a port without may be left alone. Returns how many
 * descriptors. */
static int add_ports(struct shard *sh, struct pollfd *p, uint64_t *deadline_ns)
{
    uint64_t idle_ns = idle_time(sh);
    int n = 0;

    for (unsigned i = 0; i < engine.ndev; i++) {
        int k = sleep_port_fds(i, p + n, SLEEP_FDS - 2 - n);

        if (!k) {
            uint64_t until = sh->now_ns + dpdk_rx_slice_ns(engine.dev[i], idle_ns);

            if (until < *deadline_ns)
                *deadline_ns = until;
        } else {
            n += k;
        }
    }
    return n;
}

/* The leader's part of sleep_prepare. False: don't sleep. */
static bool prepare_leader(struct shard *sh, struct waiter *w, struct pollfd *p, int *n,
                           uint64_t *deadline_ns)
{
    uint64_t timer_ns;

    for (unsigned i = 0; i < engine.ndev; i++)
        for (unsigned q = 0; q < engine.dev[i]->nqueue; q++)
            dpdk_rx_arm(engine.dev[i], q);
    w->leader = 1;
    if (!poll_dry(sh, w))
        return false;
    timer_ns = shard_next_timer_ns(sh);
    if (timer_ns <= sh->now_ns)
        return false;
    if (timer_ns < *deadline_ns)
        *deadline_ns = timer_ns;
    *n = add_ports(sh, p, deadline_ns);
    sh->leader_until_ns = *deadline_ns;
    return true;
}

int sleep_prepare_locked(struct shard *sh, struct waiter *w, struct pollfd *p, nfds_t *n,
                         uint64_t *deadline_ns)
{
    int added = 0;

    w->nfds = 0;
    if (w->woken) {
        /* Told since the last time: the caller looks before it comes back. Marked again by what comes after
         * that. */
        __atomic_store_n(&w->woken, 0, __ATOMIC_RELEASE);
        return 1;
    }
    wake_assign(w);
    if (lead(sh, w) && !prepare_leader(sh, w, p + *n, &added, deadline_ns))
        return 1;
    /* Not before: what the leader's own polls wake it for needs no write, nor the read of it. */
    w->armed = ARM_SLEEPS;
    if (w->wake != WAKE_NONE) {
        p[*n + (nfds_t)added++] = (struct pollfd){.fd = engine.wake_fd[w->wake], .events = POLLIN};
    } else if (sh->now_ns + SLICE_NO_WAKE_NS < *deadline_ns) {
        *deadline_ns = sh->now_ns + SLICE_NO_WAKE_NS;
    }
    w->nfds = (uint8_t)added;
    *n += (nfds_t)added;
    return 0;
}

int sleep_prepare(struct waiter *w, struct pollfd *p, nfds_t *n, uint64_t *deadline_ns)
{
    struct shard *sh = engine_enter();
    int woken = sleep_prepare_locked(sh, w, p, n, deadline_ns);

    shard_unlock(sh);
    return woken;
}

void sleep_finish_locked(struct shard *sh, struct waiter *w, struct pollfd *p, nfds_t n)
{
    struct pollfd *mine = p + n - w->nfds;
    int nrx = w->nfds;

    if (w->nfds && w->wake != WAKE_NONE) {
        nrx--;
        if (mine[nrx].revents)
            wake_drain(w->wake);
    }
    w->armed = 0;
    if (sh->leader == w)
        finish_leader(sh, mine, nrx);
    w->leader = 0;
    w->nfds = 0;
    if (w != engine.shared->keeper)
        wake_release(w);
}

void sleep_finish(struct waiter *w, struct pollfd *p, nfds_t n)
{
    struct shard *sh = engine_enter();

    sleep_finish_locked(sh, w, p, n);
    shard_unlock(sh);
}
