/* stopped.c: a process that is stopped while it holds the stack's lock.
 *
 * Theory of operation. SIGSTOP, and SIGTSTP, SIGTTIN and SIGTTOU where the program does not catch them, stop
 * a process at any instruction, so also at one where it holds the lock that all its siblings need. The
 * kernel's own stack has no such moment: a process stops on its way back to user space. The keeper gives ours
 * the same shape. When it finds the lock taken for STUCK_NS by a thread that /proc says is stopped, it
 * attaches to it with PTRACE_SEIZE, which leaves the stop as it is, and lets this one thread go on
 * (PTRACE_CONT) until the lock has another owner or none; then it interrupts it and detaches, and the kernel
 * puts the thread back into the stop that its process never left: neither the process nor its parent is told
 * anything.
 *
 * A process may also be stopped when it was woken for the lock and before it took it: then the lock is free,
 * and who else sleeps for it is not told. So the keeper wakes one whenever it comes by (stopped_pass_on);
 * that one takes the lock as one for which others wait, and wakes the next.
 *
 * Out of reach, so that the stack waits as long as they do: a process that a debugger has stopped (there is
 * one tracer a process), a frozen cgroup, and one that may not be traced (Yama's ptrace_scope of 2 or 3; for
 * 1 each process allows the keeper, stopped_allow). The keeper says so once.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../../dpdk/fds.h"
#include "../../stack/log.h"
#include "engine.h"

#define STUCK_NS (20ull * NS_IN_MS)  /* one owner so long: is it stopped? */
#define RUN_NS   (500ull * NS_IN_MS) /* what the owner gets to come out of the stack */
#define PAUSE_NS 20000u

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

/* The owner of each shard's lock when it was looked at last, and since when. */
static int stuck_owner[SHARD_MAX];
static uint64_t stuck_ns[SHARD_MAX];

/* Which thread holds the lock; 0: none. The word that the kernel looks at, too, when a thread dies: it alone
 * says so at every instruction. */
static int owner(const struct shard *sh)
{
    return (int)((unsigned)__atomic_load_n(&sh->lock.__data.__lock, __ATOMIC_RELAXED) & FUTEX_TID_MASK);
}

/* A file of /proc/TID. Bytes, or < 0. */
static long read_proc(int tid, const char *name, char *buf, size_t room)
{
    char path[64];
    long fd, n;

    snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    fd = sys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    n = sys3(SYS_read, fd, buf, room - 1);
    sys1(SYS_close, fd);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

/* Is it stopped, and one of ours (the number is of a thread, which may be another namespace's)? 't' is a
 * debugger's stop. */
static char stopped(int tid)
{
    char buf[1024], *p;

    if (read_proc(tid, "stat", buf, sizeof buf) <= 0 || !(p = strrchr(buf, ')')) || p[1] != ' ' ||
        (p[2] != 'T' && p[2] != 't'))
        return 0;
    char state = p[2];
    if (read_proc(tid, "status", buf, sizeof buf) <= 0 || !(p = strstr(buf, "\nTgid:")) ||
        !family_find(engine.st, atoi(p + 6)))
        return 0;
    return state;
}

static void nap(void)
{
    struct timespec t = {0, PAUSE_NS};

    sys2(SYS_nanosleep, &t, NULL);
}

/* Waits for the tracee to stop. Its status, -1: it is gone, or does not in time. */
static int await_stop(int tid, uint64_t until_ns)
{
    int status;
    long r;

    while ((r = sys4(SYS_wait4, tid, &status, __WALL | WNOHANG, NULL)) == 0 && now_ns() < until_ns)
        nap();
    return r == tid && WIFSTOPPED(status) ? status : -1;
}

/* The signal that a stop of the tracee is about, which it is to get; 0: none, the stop is the tracer's or its
 * process's. */
static int signal_of(int status)
{
    return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
}

/* As one who waits for the lock does before it sleeps: the owner then makes a system call when it has given
 * the lock back. */
static void ask_for_wake(struct shard *sh, int tid)
{
    int held = tid;

    __atomic_compare_exchange_n(&sh->lock.__data.__lock, &held, (int)((unsigned)tid | FUTEX_WAITERS), false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Lets the thread run from system call to system call until it gave the lock back: it stands still then, with
 * the status that this returns. -1: it is gone, or takes too long. */
static int run_out(struct shard *sh, int tid)
{
    uint64_t until_ns = now_ns() + RUN_NS;
    int status = await_stop(tid, until_ns);

    ask_for_wake(sh, tid);
    while (status >= 0 && owner(sh) == tid && now_ns() < until_ns) {
        sys4(SYS_ptrace, PTRACE_SYSCALL, tid, 0, signal_of(status));
        status = await_stop(tid, until_ns);
    }
    return status;
}

/* Attaches to the thread, lets it out of the stack, detaches. */
static void let_out(struct shard *sh, int tid)
{
    static bool told;
    long r = sys4(SYS_ptrace, PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD);
    int status;

    if (r < 0) {
        if (!told)
            log_warn(
                "process %d is stopped inside the stack and can't be let out (%s): the others wait for it",
                tid, strerror((int)-r));
        told = true;
        return;
    }
    status = run_out(sh, tid);
    if (status < 0) {
        sys4(SYS_ptrace, PTRACE_INTERRUPT, tid, 0, 0);
        status = await_stop(tid, now_ns() + RUN_NS);
    }
    if (status >= 0)
        sys4(SYS_ptrace, PTRACE_DETACH, tid, 0, signal_of(status));
    log_debug("process %d was stopped inside the stack; it has left it", tid);
}

static void look_at(struct shard *sh, uint64_t now)
{
    int tid = owner(sh);

    if (!tid || tid != stuck_owner[sh->id]) {
        stuck_owner[sh->id] = tid;
        stuck_ns[sh->id] = now;
        return;
    }
    if (now - stuck_ns[sh->id] < STUCK_NS)
        return;
    stuck_ns[sh->id] = now; /* the next look is as far off */
    if (stopped(tid))
        let_out(sh, tid);
}

void stopped_look(struct stack *st, uint64_t now)
{
    for (uint32_t i = 0; i < st->nshard; i++)
        look_at(&st->shard[i], now);
}

void stopped_pass_on(struct stack *st)
{
    for (uint32_t i = 0; i < st->nshard; i++) {
        int *word = &st->shard[i].lock.__data.__lock;

        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0)
            sys3(SYS_futex, word, FUTEX_WAKE, 1);
    }
}

void stopped_allow(void)
{
    static int yama = -1; /* a file that says whether it is in force */

    if (yama < 0)
        yama = sys4(SYS_faccessat, AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", F_OK, 0) == 0;
    if (yama)
        sys5(SYS_prctl, PR_SET_PTRACER, engine.shared->keeper_pid, 0, 0, 0);
}
