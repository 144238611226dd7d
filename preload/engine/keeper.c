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
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "../../dpdk/dpdk.h"
#include "../../dpdk/fds.h"
#include "../../stack/dhcp.h"
#include "../../stack/log.h"
#include "../../stack/parcel.h"
#include "../../stack/tcp.h"
#include "control.h"
#include "engine.h"
#include "leak.h"

#define TICK_NS       (1ull * NS_IN_MS)
#define TICK_MAX      4  /* ticks when the program has polled all along */
#define TICK_STRETCH  32 /* ticks after which the next one is longer by one */
#define POLL_AFTER_NS (16ull * NS_IN_MS)
#define DOZE_NS       (20ull * NS_IN_MS)
#define DOZES         8
#define CHECK_NS      (250ull * NS_IN_MS) /* how often a dozing keeper looks at the leader */
#define STALE_NS      (50ull * NS_IN_MS)  /* how late a leader may be */
#define LOCK_TRIES    64
#define LEAVE_TICK_NS                                                                                        \
    (20ull * NS_IN_MS) /* how often a keeper without a program looks whether all is done                     \
                        */
#define HURRY_NS         (500ull * NS_IN_MS) /* what data of orphans gets when another stack wants the place */
#define DRAIN_NS         (50ull * NS_IN_MS) /* for the other end to take the last frames while there is a link */
#define POLL_ROUNDS      64
#define CONTROL_FDS      80         /* about 4 a link */
#define REMAINS_MAX      (1u << 20) /* connections that a leaving keeper resets at most */
#define CONTROL_GRACE_NS (60ull * NS_IN_S)
#define PROCESS_EVENT    (2ull << 40)
#define SIGNAL_EVENT     (3ull << 40)
#define TREE_EVENT       (5ull << 40)
#define TREES            256
#define EXEC_NS          (1ull * NS_IN_MS) /* how often an exec that was begun is looked at, at first */
#define EXEC_MAX_NS      (64ull * NS_IN_MS)

struct keeper {
    struct waiter *w;
    int epfd; /* control socket, processes, signals */
    int sigfd;
    uint64_t seen_poll_ns; /* sh->last_poll_ns at the keeper's last look */
    uint64_t others_ns;    /* when somebody else had polled */
    unsigned dozes;        /* tokens for DOZE */
    uint64_t dozes_ns;     /* when the last one came in */
    unsigned streak;       /* ticks in a row at which others had polled */
    bool suspect;          /* a port was readable at the last check */
    bool look_at_processes;
    bool unwatched;                     /* a process has no pidfd: it is looked after from time to time */
    uint64_t look_ns;                   /* when next */
    bool control_due;                   /* one of control's descriptors is ready */
    struct pollfd control[CONTROL_FDS]; /* what the drivers' control sleeps on (dpdk.h), and until when */
    int ncontrol;
    uint64_t control_ns;
    uint64_t gone_ns;       /* when the last process went; 0: there are some */
    uint64_t hurry_ns;      /* when the keeper was asked to leave; 0: not */
    uint64_t sent, sent_ns; /* frames sent by all links, and when that last changed */
    int pidfd[FAMILY_MAX];  /* by slot of the family's table; 0: none */
    int pid[FAMILY_MAX];
    bool portless;    /* a process of the family has no ports */
    uint64_t exec_ns; /* until the next look at who executes; 0: nobody does */
    struct {
        int fd; /* end 1 of a pair (preload/tree.c); 0: free place */
        uint64_t ino;
    } tree[TREES];
    unsigned ntrees;
};

static struct keeper keeper;

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

/* Takes the lock unless it stays taken for a while: its owner may have been stopped. */
static struct shard *try_enter(void)
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

/* --- processes --- */

static void watch_process(unsigned slot, int pid)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = PROCESS_EVENT + slot};
    int fd = (int)sys2(SYS_pidfd_open, pid, 0);

    if (keeper.pidfd[slot] > 0)
        fds_close(keeper.pidfd[slot]);
    keeper.pidfd[slot] = 0;
    keeper.pid[slot] = pid;
    if (fd < 0) {
        /* Gone already, or without descriptors to spare, or the call is not there (a sandbox, valgrind). */
        keeper.pid[slot] = 0;
        if (fd == -ESRCH || sys2(SYS_kill, pid, 0) == -ESRCH)
            process_reap(slot);
        else
            keeper.unwatched = true;
        return;
    }
    keeper.pidfd[slot] = fd;
    sys4(SYS_epoll_ctl, keeper.epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* A tracer (strace -f) waits for all that it follows, this process too, and may be of the tree itself:
 * neither would ever leave for the other's sake. */
static bool is_traced(void)
{
    char text[1024], *p;
    int fd = (int)sys4(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY, 0);
    long n = fd < 0 ? 0 : sys3(SYS_read, fd, text, sizeof text - 1);

    if (fd >= 0)
        sys1(SYS_close, fd);
    text[n > 0 ? n : 0] = '\0';
    p = strstr(text, "\nTracerPid:");
    return p && strtol(p + 11, NULL, 10) != 0;
}

/* Somebody holds an end of a pair who may become a member. A start that failed is nobody's to join. */
static bool may_be_joined(void)
{
    return keeper.ntrees && __atomic_load_n(&engine.shared->published, __ATOMIC_ACQUIRE) && !is_traced();
}

/* Compares the family's table with who is watched. Context: the lock. */
static void look_at_processes(void)
{
    unsigned alive = 0;

    bool execs = false;

    keeper.unwatched = keeper.portless = false;
    keeper.look_ns = now_ns() + CHECK_NS;
    for (unsigned i = 0; i < process_slots(); i++) {
        int pid;

        execs |= process_execs(i);
        pid = process_pid(i);
        keeper.portless |= process_portless(i);

        if (pid > 0 && pid != keeper.pid[i])
            watch_process(i, pid);
        if (pid <= 0 && keeper.pid[i]) {
            if (keeper.pidfd[i] > 0)
                fds_close(keeper.pidfd[i]);
            keeper.pidfd[i] = keeper.pid[i] = 0;
        }
        if (process_pid(i) != 0)
            alive++;
        if (process_pid(i) < 0) /* a fork: both sides may be killed before either names the child */
            keeper.unwatched = true;
    }
    if (!execs)
        keeper.exec_ns = 0;
    else
        keeper.exec_ns = !keeper.exec_ns                ? EXEC_NS
                         : keeper.exec_ns < EXEC_MAX_NS ? 2 * keeper.exec_ns
                                                        : EXEC_MAX_NS;
    if (alive || may_be_joined())
        keeper.gone_ns = 0;
    else if (!keeper.gone_ns)
        keeper.gone_ns = now_ns();
    if (!alive)
        parcel_drop_all(engine.st);
    keeper.look_at_processes = false;
}

/* The process in slot died. Context: the lock. */
static void process_died(unsigned slot)
{
    if (keeper.pidfd[slot] <= 0)
        return;
    if (process_pid(slot) == keeper.pid[slot])
        process_reap(slot);
    keeper.look_at_processes = true;
}

/* --- trees --- */

bool keeper_watch_tree(int fd, uint64_t ino)
{
    struct epoll_event ev = {.events = EPOLLRDHUP};

    for (unsigned i = 0; i < TREES; i++) {
        if (keeper.tree[i].fd)
            continue;
        ev.data.u64 = TREE_EVENT + i;
        if (sys4(SYS_epoll_ctl, keeper.epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
            return false;
        keeper.tree[i].fd = fd;
        keeper.tree[i].ino = ino;
        keeper.ntrees++;
        return true;
    }
    return false;
}

bool keeper_has_tree(uint64_t ino)
{
    for (unsigned i = 0; i < TREES; i++)
        if (keeper.tree[i].fd && keeper.tree[i].ino == ino)
            return true;
    return false;
}

/* The last process that had end 0 is gone. */
static void tree_gone(unsigned i)
{
    if (!keeper.tree[i].fd)
        return;
    fds_close(keeper.tree[i].fd);
    keeper.tree[i].fd = 0;
    keeper.ntrees--;
    keeper.look_at_processes = true;
}

/* The same looked for, by who can't wait for the event. */
static void look_at_trees(void)
{
    struct timespec zero = {0, 0};

    for (unsigned i = 0; i < TREES; i++) {
        struct pollfd p = {.fd = keeper.tree[i].fd, .events = POLLRDHUP};

        if (p.fd > 0 && sys5(SYS_ppoll, &p, 1, &zero, NULL, 8) > 0)
            tree_gone(i);
    }
}

/* --- modes. Context: the lock. Each returns until when to sleep. --- */

static void poll_some(struct shard *sh)
{
    for (int i = 0; i < POLL_ROUNDS && shard_poll(sh, now_ns()) > 0; i++)
        ;
}

/* True if anybody else polled since the last call. */
static bool others_polled(struct shard *sh, uint64_t now)
{
    if (sh->last_poll_ns == keeper.seen_poll_ns)
        return false;
    keeper.seen_poll_ns = sh->last_poll_ns;
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
    bool others = others_polled(sh, now);

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
        keeper.seen_poll_ns = sh->last_poll_ns;
    }
    return next_tick(now, others);
}

/* True if a frame waits at a port that has a descriptor. */
static bool port_is_readable(void)
{
    struct pollfd p[SLEEP_FDS];
    struct timespec zero = {0, 0};
    int n = 0;

    for (unsigned i = 0; i < engine.ndev; i++) {
        int k = dpdk_rx_fds(engine.dev[i], p + n, SLEEP_FDS - n);

        n += k > 0 ? k : 0;
    }
    return n && sys5(SYS_ppoll, p, n, &zero, NULL, 8) > 0;
}

static uint64_t do_doze(struct shard *sh, uint64_t now)
{
    bool late = sh->leader && (shard_next_timer_ns(sh) < now - STALE_NS ||
                               (sh->leader_until_ns && sh->leader_until_ns < now - STALE_NS));
    bool others = others_polled(sh, now), readable = sh->leader && port_is_readable();

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
    bool others = others_polled(sh, now);

    if (!others && (!sh->leader || sh->leader == keeper.w))
        return;
    engine.shared->keeper_mode = KEEPER_WATCH;
    keeper.others_ns = now;
    keeper.streak = 0;
}

/* --- the end --- */

static uint64_t frames_sent(void)
{
    uint64_t n = 0;

    for (unsigned i = 1; i < engine.st->nif; i++)
        n += engine.st->ifn[i].tx_packets;
    return n;
}

static bool anything_queued(const struct shard *sh)
{
    for (unsigned i = 0; i < engine.st->nif; i++)
        if (sh->tx[i].n | sh->tx[i].nrelay)
            return true;
    return sh->lo_head != NULL;
}

/* What the dead program's connections still are. */
struct remains {
    unsigned talking; /* have data or a FIN to get across */
    unsigned waiting; /* FIN_WAIT_2: all is across; only the peer's end is missing */
    struct tcb *some[64];
    unsigned nsome;
};

static void count_remains(void *arg, const struct tcp_view *v)
{
    struct remains *r = arg;

    if (!v->pcb || v->pcb->user || v->state == SS_LISTEN || v->state == SS_TIME_WAIT ||
        v->state == SS_SYN_RECV)
        return;
    if (v->state == SS_FIN_WAIT_2)
        r->waiting++;
    else
        r->talking++;
    if (r->nsome < sizeof r->some / sizeof r->some[0])
        r->some[r->nsome++] = (struct tcb *)(uintptr_t)v->pcb; /* a tcb starts with its pcb */
}

static struct remains remains(struct shard *sh)
{
    struct remains r = {0};

    if (tcp_orphans(sh))
        tcp_walk(sh, count_remains, &r);
    return r;
}

/* True when a stack without processes has nothing left to do. Context: the lock. */
static bool all_done(struct shard *sh, uint64_t now)
{
    uint64_t sent = frames_sent(), linger_ns = (uint64_t)engine.st->set.keeper_linger * NS_IN_S;
    struct remains r;

    if (sent != keeper.sent) {
        keeper.sent = sent;
        keeper.sent_ns = now;
    }
    if (keeper.hurry_ns && now >= keeper.hurry_ns + HURRY_NS)
        return true;
    if (control_busy() && now < keeper.gone_ns + CONTROL_GRACE_NS)
        return false;
    r = remains(sh);
    if (r.talking || anything_queued(sh) || now < keeper.sent_ns + DRAIN_NS)
        return false;
    return keeper.hurry_ns || !(r.waiting || tcp_timewaits(sh)) || now >= keeper.gone_ns + linger_ns;
}

/* A peer that is still connected would wait for a host that is no more: RST. True: there was one. */
static bool reset_remains(struct shard *sh)
{
    struct remains r = remains(sh);
    bool any = r.nsome;

    for (unsigned round = 0; r.nsome && round < REMAINS_MAX / 64; round++) {
        for (unsigned i = 0; i < r.nsome; i++)
            tcp_abort(sh, r.some[i]);
        shard_flush(sh);
        r = remains(sh);
    }
    return any;
}

static _Noreturn void leave(struct shard *sh)
{
    struct timespec drain = {0, DRAIN_NS};
    bool said;

    engine.shared->keeper = NULL;
    said = reset_remains(sh);
    said |= dhcp_release(sh);
    shard_flush(sh);
    if (said) /* whoever hears it may look at the link it came by, which goes with us */
        sys2(SYS_nanosleep, &drain, NULL);
    leak_report(sh);
    shard_unlock(sh);
    dpdk_remove_traces();
    control_unclaim();
    sys1(SYS_exit_group, 0);
    __builtin_unreachable();
}

/* Who asks may have waited for the last process to end before it did: so that it is not told that this one
 * runs, the processes are looked at now and not when the epoll set comes to them. */
bool keeper_is_leaving(void)
{
    struct timespec zero = {0, 0};
    struct shard *sh = keeper.gone_ns ? NULL : try_enter();

    if (!sh)
        return keeper.gone_ns != 0;
    for (unsigned i = 0; i < process_slots(); i++) {
        struct pollfd p = {.fd = keeper.pidfd[i], .events = POLLIN};

        if (p.fd > 0 && sys5(SYS_ppoll, &p, 1, &zero, NULL, 8) > 0)
            process_died(i);
    }
    look_at_trees();
    look_at_processes();
    shard_unlock(sh);
    return keeper.gone_ns != 0;
}

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
        keeper.look_at_processes || keeper.unwatched || keeper.exec_ns || keeper.gone_ns ||
        __atomic_load_n(&sh->last_poll_ns, __ATOMIC_RELAXED) == keeper.seen_poll_ns)
        return false;
    keeper.seen_poll_ns = __atomic_load_n(&sh->last_poll_ns, __ATOMIC_RELAXED);
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
        look_at_processes();
    if (keeper.control_due || now >= keeper.control_ns)
        control_links(sh, now);
    if (keeper.gone_ns && all_done(sh, now))
        leave(sh);
    add_control(p, n);
    if (s->keeper_mode == KEEPER_DOZE)
        *deadline_ns = do_doze(sh, now);
    if (s->keeper_mode == KEEPER_WATCH)
        *deadline_ns = do_watch(sh, now);
    if (s->keeper_mode == KEEPER_POLL) {
        *deadline_ns = keeper.gone_ns ? now + LEAVE_TICK_NS : now + CHECK_NS;
        woken = sleep_prepare_locked(sh, keeper.w, p, n, deadline_ns);
        keeper.seen_poll_ns = sh->last_poll_ns;
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
    } else if ((sh = try_enter())) {
        sleep = prepare_locked(sh, p, n, deadline_ns);
        shard_unlock(sh);
    } else {
        /* Somebody is at work, or was stopped at it. What is ready would not let the keeper sleep, and can't
         * be dealt with. */
        stopped_look(&engine.st->shard[0], now);
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
    sh = try_enter();
    if (!sh)
        return; /* still the leader, if it was: the next round comes at once */
    leave_poll(sh, now_ns());
    sleep_finish_locked(sh, keeper.w, p, n);
    keeper.seen_poll_ns = sh->last_poll_ns;
    shard_unlock(sh);
}

static void handle_event(uint64_t what, uint64_t now)
{
    if (what >= TREE_EVENT) {
        tree_gone((unsigned)(what - TREE_EVENT));
    } else if (what > TICKET_EVENT) {
        struct shard *sh = try_enter();

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
        struct shard *sh = try_enter();

        if (!sh)
            return; /* level-triggered: comes again */
        process_died((unsigned)(what - PROCESS_EVENT));
        look_at_processes();
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

static _Noreturn void run(void)
{
    struct pollfd p[1 + CONTROL_FDS + SLEEP_FDS];

    for (;;) {
        uint64_t deadline_ns, now, expire_ns;
        struct timespec ts;
        nfds_t n;
        bool sleep = prepare(p, &n, &deadline_ns);

        stopped_pass_on(&engine.st->shard[0]);
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

/* --- birth --- */

/* Every signal to its default or ignored; none of the program's handlers may ever run here. */
static void forget_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGKILL, SIGSTOP};
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;
    uint64_t mask = 1ull << (SIGTERM - 1);

    for (int sig = 1; sig <= 64; sig++) {
        memset(&action, 0, sizeof action);
        action.handler = (void *)SIG_IGN;
        for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
            if (faults[i] == sig)
                action.handler = (void *)SIG_DFL;
        sys4(SYS_rt_sigaction, sig, &action, NULL, 8);
    }
    /* SIGTERM is read from a descriptor. */
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
    keeper.sigfd = (int)sys4(SYS_signalfd4, -1, &mask, 8, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void close_between(unsigned lo, unsigned hi)
{
    struct rlimit lim;

    if (lo > hi || sys3(SYS_close_range, lo, hi, 0) == 0)
        return;
    /* Before Linux 5.9. */
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim);
    for (unsigned fd = lo; fd <= hi && fd < lim.rlim_max; fd++)
        sys1(SYS_close, fd);
}

/* Only the engine's descriptors stay; 0, 1 and 2 become /dev/null. */
static void forget_descriptors(void)
{
    struct rlimit lim;
    unsigned from = 0;
    int lo, hi;

    fds_range(&lo, &hi);
    if (leak_wants_stderr())
        leak_keep_stderr();
    for (int fd = lo; fd < hi; fd++)
        if (fds_is_mine(fd)) {
            close_between(from, (unsigned)fd - 1);
            from = (unsigned)fd + 1;
        }
    close_between(from, ~0u);
    sys4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
    sys3(SYS_dup3, 0, 1, 0);
    sys3(SYS_dup3, 0, 2, 0);
    /* One descriptor a process of the family. */
    if (sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
    }
}

/* What ps shows: the process's name and, over the program's arguments, "shunt-keeper NAME". */
static void rename_process(void)
{
    char stat[1024], *p;
    unsigned long start, end;
    long n;
    int fd = (int)sys4(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY, 0);

    prctl(PR_SET_NAME, KEEPER_COMM);
    if (fd < 0)
        return;
    n = sys3(SYS_read, fd, stat, sizeof stat - 1);
    fds_close(fd);
    if (n <= 0)
        return;
    stat[n] = '\0';
    /* Fields 48 and 49 of proc(5), arg_start and arg_end; the second, comm, may hold spaces and ends with the
     * last ')'. */
    p = strrchr(stat, ')');
    for (int field = 2; p && field < 48; field++)
        p = strchr(p + 1, ' ');
    if (!p || sscanf(p, " %lu %lu", &start, &end) != 2 || !start || end <= start)
        return;
    memset((char *)start, 0, end - start);
    snprintf((char *)start, end - start, "shunt-keeper %s", engine.st->name);
}

static _Noreturn void keeper_main(int ready_fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = SIGNAL_EVENT};
    struct engine_shared *s = engine.shared;
    struct shard *sh = &engine.st->shard[0];

    sys0(SYS_setsid);
    sys1(SYS_chdir, "/");
    forget_descriptors();
    forget_signals();
    rename_process();
    keeper.epfd = (int)sys1(SYS_epoll_create1, EPOLL_CLOEXEC);
    sys4(SYS_epoll_ctl, keeper.epfd, EPOLL_CTL_ADD, keeper.sigfd, &ev);
    control_open(keeper.epfd);
    ticket_serve(keeper.epfd);
    if (engine.tree_end >= 0)
        fds_close(engine.tree_end);
    if (engine.tree_fd >= 0)
        keeper_watch_tree(engine.tree_fd, engine.tree_ino);
    shard_lock(sh);
    keeper.w = waiter_new(engine.st, (int)sys0(SYS_getpid), (int)sys0(SYS_gettid));
    if (keeper.w) {
        wake_assign(keeper.w);
        s->keeper = keeper.w;
        s->keeper_pid = keeper.w->pid;
        s->keeper_mode = KEEPER_WATCH;
        keeper.others_ns = keeper.dozes_ns = now_ns();
        keeper.seen_poll_ns = sh->last_poll_ns;
        keeper.look_at_processes = true;
    }
    shard_unlock(sh);
    if (!keeper.w || keeper.epfd < 0)
        sys1(SYS_exit_group, 1);
    sys3(SYS_write, ready_fd, "k", 1);
    fds_close(ready_fd);
    run();
}

/* In the process between: makes the keeper and is gone. */
static _Noreturn void between(int ready_fd)
{
    pid_t pid = _Fork();

    if (pid == 0)
        keeper_main(ready_fd);
    sys1(SYS_exit_group, pid < 0);
    __builtin_unreachable();
}

int keeper_start(void)
{
    uint64_t all = ~0ull, old;
    int ready[2];
    char c;
    long pid, got;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return -errno;
    sys4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, 8);
    /* No exit signal: nobody is told of its end but who asks for it with __WALL. */
    pid = sys5(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        between(ready[1]);
    fds_close(ready[1]);
    if (pid > 0)
        while (sys4(SYS_wait4, pid, NULL, __WALL, NULL) == -EINTR)
            ;
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
    while (pid > 0 && (got = sys3(SYS_read, ready[0], &c, 1)) == -EINTR)
        ;
    fds_close(ready[0]);
    if (pid < 0)
        return (int)pid;
    return got == 1 ? 0 : -ECHILD;
}
