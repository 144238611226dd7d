/* probe.c: see probe.h. Each question is asked in a child of its own: what it answers must not change the
 * asker, and a sandbox may kill who asks. */
#include "probe.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sched.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_ON 1 /* PR_SYS_DISPATCH_ON */
#define RESERVE     (64ull << 30)

static bool has_pidfd(void)
{
    return syscall(SYS_pidfd_open, getpid(), 0) >= 0;
}

static bool has_dispatch(void)
{
    static volatile char selector; /* 0: calls are let through */

    return prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, &selector) == 0;
}

static bool has_xdp(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        (void)!unshare(CLONE_NEWUSER | CLONE_NEWNET);
    return socket(AF_XDP, SOCK_RAW, 0) >= 0;
}

static bool has_memfd(void)
{
    return memfd_create("probe", MFD_CLOEXEC) >= 0;
}

static bool can_reserve(void)
{
    return mmap(NULL, RESERVE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool may_trace(void)
{
    FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;

    if (f && fscanf(f, "%d", &scope) != 1)
        scope = 0;
    if (f)
        fclose(f);
    return scope < 2;
}

static bool ask(bool (*question)(void))
{
    int st = 0;
    pid_t p = fork();

    if (p == 0)
        _exit(question() ? 0 : 1);
    return p > 0 && waitpid(p, &st, 0) == p && WIFEXITED(st) && WEXITSTATUS(st) == 0;
}

int probe(void)
{
    static const struct {
        const char *name;
        bool (*question)(void);
    } all[] = {
        {"pidfd", has_pidfd}, {"dispatch", has_dispatch}, {"xdp", has_xdp},
        {"memfd", has_memfd}, {"reserve", can_reserve},   {"tracing", may_trace},
    };

    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        fflush(stdout);
        printf("%s %s\n", all[i].name, ask(all[i].question) ? "yes" : "no");
    }
    return 0;
}
