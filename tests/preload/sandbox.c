/* sandbox.c: what servers do to shut themselves in: forks by system call number, namespaces of processes,
 * limits of memory. Sockets work as before.
 */
#include "check.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static pid_t clone_by_number(unsigned long flags)
{
    pid_t p;

    fflush(stdout);
    p = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0L, 0L, 0L, 0L);
    NEED(p >= 0);
    if (p == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return p;
}

/* Answers n bytes, each with the next one. */
static void answer(int fd, int n)
{
    unsigned char b;

    while (n-- > 0 && recv(fd, &b, 1, 0) == 1) {
        b++;
        if (send(fd, &b, 1, 0) != 1)
            _exit(2);
    }
}

static int ask(int fd, int n)
{
    unsigned char b = 0;

    for (int i = 0; i < n; i++)
        if (send(fd, &b, 1, 0) != 1 || recv(fd, &b, 1, 0) != 1)
            return i;
    return b;
}

CHECK(clone_by_number_shares_sockets)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = clone_by_number(0);
    if (p == 0) {
        answer(sv[1], 200);
        _exit(7);
    }
    V(ask(sv[0], 200));
    V(child_status(p));
    /* The child's end has not closed the parent's. */
    R(send(sv[1], "x", 1, 0));
    R(recv(sv[0], (char[1]){0}, 1, 0));
}

CHECK(clone3_and_fork_by_number)
{
    struct clone_args a = {.exit_signal = SIGCHLD};
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    fflush(stdout);
    p = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
    if (p == 0) {
        answer(sv[1], 10);
        _exit(7);
    }
    V(ask(sv[0], 10));
    V(child_status(p));
#ifdef SYS_fork
    p = (pid_t)syscall(SYS_fork);
    if (p == 0) {
        answer(sv[1], 10);
        _exit(7);
    }
    V(ask(sv[0], 10));
    V(child_status(p));
#endif
    R(syscall(SYS_clone3, NULL, sizeof(a)));
    R(syscall(SYS_clone3, &a, 1));
}

/* Two processes with the number 1, one within the other's namespace, and their parent: each talks to each. */
CHECK(namespaces_of_processes)
{
    int one[2], two[2];
    pid_t p;

    tcp_pair(one);
    tcp_pair(two);
    p = clone_by_number(CLONE_NEWPID);
    if (p == 0) {
        pid_t q = clone_by_number(CLONE_NEWPID);

        if (q == 0) {
            close(two[0]);
            answer(two[1], 300);
            _exit(getpid() == 1 ? 5 : 6);
        }
        if (ask(two[0], 300) != 300 % 256 || child_status(q) != 5)
            _exit(4);
        answer(one[1], 300);
        _exit(getpid() == 1 ? 7 : 8);
    }
    V(ask(one[0], 300));
    V(child_status(p));
    R(send(two[1], "x", 1, 0));
    R(recv(two[0], (char[1]){0}, 1, 0));
}

/* A killed process's connections end, whatever it called itself. */
CHECK(killed_in_its_namespace)
{
    struct pollfd f = {.events = POLLIN};
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = clone_by_number(CLONE_NEWPID);
    if (p == 0) {
        pid_t q;

        close(sv[0]);
        q = fork();
        for (;;)
            recv(sv[1], (char[1]){0}, q ? 0 : 1, 0);
    }
    close(sv[1]);
    R(send(sv[0], "x", 1, 0));
    nap(100);
    f.fd = sv[0];
    V(poll(&f, 1, 0));
    kill(p, SIGKILL);
    V(child_status(p));
    f.events = POLLRDHUP;
    V(poll(&f, 1, 2000));
}

CHECK(unshared_then_forked)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        pid_t q;

        if (unshare(CLONE_NEWPID) < 0)
            _exit(3);
        q = fork();
        if (q == 0) {
            answer(sv[1], 50);
            _exit(getpid());
        }
        _exit(child_status(q) == 1 ? 7 : 8);
    }
    V(ask(sv[0], 50));
    V(child_status(p));
}

/* --- limits --- */

#define MIB (1024ul * 1024)

static int maps(size_t n)
{
    void *m = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (m == MAP_FAILED)
        return -errno;
    munmap(m, n);
    return 0;
}

CHECK(limit_of_addresses)
{
    struct rlimit l = {1024 * MIB, RLIM_INFINITY}, got;
    int sv[2];

    tcp_pair(sv);
    R(setrlimit(RLIMIT_AS, &l));
    R(getrlimit(RLIMIT_AS, &got));
    V(got.rlim_cur);
    V(got.rlim_max == RLIM_INFINITY);
    V(maps(512 * MIB));
    V(maps(1024 * MIB));
    R(send(sv[0], "x", 1, 0));
    R(recv(sv[1], (char[1]){0}, 1, 0));
    l.rlim_cur = RLIM_INFINITY;
    R(prlimit(0, RLIMIT_AS, &l, &got));
    V(got.rlim_cur);
    V(maps(1024 * MIB));
}

CHECK(limit_calls)
{
    struct rlimit l = {2 * MIB, MIB}, got;
    int sv[2];

    tcp_pair(sv);
    R(setrlimit(RLIMIT_AS, &l));
    R(setrlimit(RLIMIT_AS, (void *)8));
    R(getrlimit(RLIMIT_AS, (void *)8));
    R(setrlimit(999, &l));
    R(getrlimit(RLIMIT_AS, &got));
    V(got.rlim_cur == RLIM_INFINITY);
    R(getrlimit(RLIMIT_CORE, &got));
    R(prlimit(-1, RLIMIT_AS, NULL, &got));
    R(prlimit(getpid(), RLIMIT_AS, NULL, &got));
    V(got.rlim_max == RLIM_INFINITY);
}

CHECK(limit_before_the_first_socket)
{
    pid_t p = fork_tied();
    struct rlimit l = {4096 * MIB, 8192 * MIB}, got;

    if (p == 0) {
        int sv[2];

        setrlimit(RLIMIT_AS, &l);
        tcp_pair(sv);
        getrlimit(RLIMIT_AS, &got);
        _exit((got.rlim_cur == l.rlim_cur && got.rlim_max == l.rlim_max) + 2 * (maps(1024 * MIB) == 0) +
              4 * (maps(4096 * MIB) == -ENOMEM));
    }
    V(child_status(p));
}
