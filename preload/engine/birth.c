/* birth.c: how the keeper becomes a process of its own, without the program's signals, descriptors and name.
 * Why so, is in keeper.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../dpdk/fds.h"
#include "control.h"
#include "keeper.h"
#include "leak.h"
#include "record.h"

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

void keeper_close_between(unsigned lo, unsigned hi)
{
    struct rlimit lim;

    if (lo > hi || sys3(SYS_close_range, lo, hi, 0) == 0)
        return;
    /* Before Linux 5.9. */
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim);
    for (unsigned fd = lo; fd <= hi && fd < lim.rlim_max; fd++)
        sys1(SYS_close, fd);
}

void keeper_keep_only(int *keep, unsigned n)
{
    int from = 3;

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = i + 1; k < n; k++)
            if (keep[k] < keep[i]) {
                int t = keep[i];

                keep[i] = keep[k];
                keep[k] = t;
            }
    for (unsigned i = 0; i < n; i++) {
        if (keep[i] < from)
            continue;
        if (keep[i] > from)
            keeper_close_between((unsigned)from, (unsigned)keep[i] - 1);
        from = keep[i] + 1;
    }
    keeper_close_between((unsigned)from, ~0u);
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
            keeper_close_between(from, (unsigned)fd - 1);
            from = (unsigned)fd + 1;
        }
    keeper_close_between(from, ~0u);
    sys4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
    sys3(SYS_dup3, 0, 1, 0);
    sys3(SYS_dup3, 0, 2, 0);
    /* One descriptor a process of the family. */
    if (sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
    }
}

void keeper_rename(const char *comm)
{
    char stat[1024], *p;
    unsigned long start, end;
    long n;
    int fd = (int)sys4(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY, 0);

    prctl(PR_SET_NAME, comm);
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
    snprintf((char *)start, end - start, "%s %s", comm, engine.st->name);
}

static _Noreturn void keeper_main(int ready_fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = SIGNAL_EVENT};
    struct engine_shared *s = engine.shared;
    struct shard *sh = &engine.st->shard[0];

    tell_open();
    sys0(SYS_setsid);
    sys1(SYS_chdir, "/");
    forget_descriptors();
    forget_signals();
    keeper_rename(KEEPER_COMM);
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
    record_start();
    keeper_telemetry();
    sys3(SYS_write, ready_fd, "k", 1);
    fds_close(ready_fd);
    keeper_run();
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
