/* rawcalls.c: system calls that never pass libc, as a Go program makes them. Under shunt with
 * SHUNT_SYSCALL_DISPATCH=1 (meson.build). */
#include "check.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "../../dpdk/sys.h"

#define RESTORER 0x04000000 /* SA_RESTORER */

#define A(x)                       ((long)(x))
#define RAW(nr, a, b, c)           sys6(nr, A(a), A(b), A(c), 0, 0, 0)
#define RAW6(nr, a, b, c, d, e, f) sys6(nr, A(a), A(b), A(c), A(d), A(e), A(f))

/* Prints -errno by name. */
static long told(const char *what, long r)
{
    if (r < 0 && r > -4096)
        show(what, "-%s", errname((int)-r));
    else
        show(what, "%ld", r);
    return r;
}
#define T(expr) told(#expr, expr)
#define TFD(expr)                                                                                            \
    ({                                                                                                       \
        long fd_ = (expr);                                                                                   \
        show(#expr, "%s", fd_ >= 0 ? "a descriptor" : errname((int)-fd_));                                   \
        (int)fd_;                                                                                            \
    })

static void raw_pair(int sv[2], struct sockaddr_in *a)
{
    socklen_t len = sizeof(*a);
    int l = (int)RAW(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *a = lo4(0);
    NEED(l >= 0 && RAW(SYS_bind, l, a, sizeof(*a)) == 0 && RAW(SYS_listen, l, 16, 0) == 0);
    NEED(RAW(SYS_getsockname, l, a, &len) == 0);
    sv[0] = (int)RAW(SYS_socket, AF_INET, SOCK_STREAM, 0);
    NEED(RAW(SYS_connect, sv[0], a, sizeof(*a)) == 0);
    sv[1] = (int)RAW6(SYS_accept4, l, 0, 0, SOCK_CLOEXEC, 0, 0);
    NEED(sv[1] >= 0 && RAW(SYS_close, l, 0, 0) == 0);
}

CHECK(a_connection)
{
    struct sockaddr_in a;
    int l = TFD(RAW(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), c, s, one = 1;
    socklen_t len = sizeof(a);
    char b[16];

    a = lo4(0);
    T(RAW6(SYS_setsockopt, l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one), 0));
    T(RAW(SYS_bind, l, &a, sizeof(a)));
    T(RAW(SYS_listen, l, 16, 0));
    T(RAW(SYS_getsockname, l, &a, &len));
    c = TFD(RAW(SYS_socket, AF_INET, SOCK_STREAM, 0));
    T(RAW(SYS_connect, c, &a, sizeof(a)));
    s = TFD(RAW6(SYS_accept4, l, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0));
    T(RAW(SYS_fcntl, s, F_GETFD, 0));
    T(RAW(SYS_fcntl, s, F_GETFL, 0));
    T(RAW(SYS_read, s, b, sizeof(b)));
    T(RAW(SYS_write, c, "hello", 5));
    NEED(settle(s, POLLIN));
    T(RAW(SYS_read, s, b, sizeof(b)));
    TEXT(b, 5);
    T(RAW6(SYS_sendto, s, "back", 4, 0, 0, 0));
    T(RAW6(SYS_recvfrom, c, b, sizeof(b), 0, 0, 0));
    T(RAW(SYS_shutdown, s, SHUT_WR, 0));
    T(RAW(SYS_read, c, b, sizeof(b)));
    T(RAW(SYS_close, c, 0, 0));
    T(RAW(SYS_close, s, 0, 0));
    T(RAW(SYS_close, s, 0, 0));
    T(RAW(SYS_getpeername, c, &a, &len));
    T(RAW6(SYS_accept4, l, 0, 0, 1, 0, 0));
}

CHECK(an_epoll_set)
{
    struct sockaddr_in a;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5}, out[4];
    int sv[2], p[2], ep = TFD(RAW(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0));

    raw_pair(sv, &a);
    T(RAW(SYS_pipe2, p, O_CLOEXEC, 0));
    T(RAW6(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, sv[1], &ev, 0, 0));
    ev.data.u32 = 6;
    T(RAW6(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[0], &ev, 0, 0));
    T(RAW6(SYS_epoll_pwait, ep, out, 4, 0, 0, 8));
    T(RAW(SYS_write, sv[0], "x", 1));
    T(RAW6(SYS_epoll_pwait, ep, out, 4, 1000, 0, 8));
    V(out[0].data.u32);
    T(RAW(SYS_read, sv[1], (char[4]){0}, 4));
    T(RAW(SYS_write, p[1], "x", 1));
    T(RAW6(SYS_epoll_pwait, ep, out, 4, 1000, 0, 8));
    V(out[0].data.u32);
}

CHECK(others_are_left_alone)
{
    char b[8] = "";
    int p[2];
    struct timespec ms = {0, 1000000};

    V(RAW(SYS_getpid, 0, 0, 0) == getpid());
    T(RAW(9999, 0, 0, 0));
    T(RAW(SYS_read, 200, b, 1));
    T(RAW(SYS_nanosleep, &ms, 0, 0));
    T(RAW(SYS_pipe2, p, 0, 0));
    T(RAW(SYS_write, p[1], "pipe", 4));
    T(RAW(SYS_read, p[0], b, 8));
    TEXT(b, 4);
    errno = 77;
    T(RAW(SYS_socket, AF_INET, 9, 0));
    T(RAW(SYS_read, 200, b, 1));
    V(errno);
}

/* All registers that a call keeps, over one that the stack serves. */
CHECK(registers)
{
    struct {
        unsigned long in[8], out[8];
        double x[2], y[2];
    } m = {.in = {1, 2, 3, 4, 5, 6, 7}, .x = {1.5, -2.25}};
    struct sockaddr_in a;
    int sv[2];
    long r;

    raw_pair(sv, &a);
    __asm__ volatile("mov 0(%%rbx), %%r12\n\tmov 8(%%rbx), %%r13\n\tmov 16(%%rbx), %%r14\n\t"
                     "mov 24(%%rbx), %%r15\n\tmov 32(%%rbx), %%r8\n\tmov 40(%%rbx), %%r9\n\t"
                     "mov 48(%%rbx), %%r10\n\tmovups 128(%%rbx), %%xmm15\n\tstd\n\t"
                     "syscall\n\t"
                     "pushfq\n\tcld\n\tpopq 120(%%rbx)\n\t"
                     "mov %%r12, 64(%%rbx)\n\tmov %%r13, 72(%%rbx)\n\tmov %%r14, 80(%%rbx)\n\t"
                     "mov %%r15, 88(%%rbx)\n\tmov %%r8, 96(%%rbx)\n\tmov %%r9, 104(%%rbx)\n\t"
                     "mov %%r10, 112(%%rbx)\n\tmovups %%xmm15, 144(%%rbx)"
                     : "=a"(r)
                     : "a"(SYS_write), "D"((long)sv[0]), "S"("abc"), "d"(3L), "b"(&m)
                     : "rcx", "r11", "r12", "r13", "r14", "r15", "r8", "r9", "r10", "xmm15", "memory", "cc");
    T(r);
    for (int i = 0; i < 7; i++)
        V(m.out[i] == m.in[i]);
    V(m.out[7] & 0x400); /* the direction flag */
    V(m.y[0] == m.x[0] && m.y[1] == m.x[1]);
}

struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

__asm__(".pushsection .text\nown_restorer:\n\tmov $15, %eax\n\tsyscall\n.popsection\n");
extern char own_restorer[];

static int handler_sv[2];
static volatile long handler_read;

static void reads_a_socket(int sig)
{
    char b[4];

    check_signals++;
    handler_read = RAW(SYS_read, handler_sv[1], b, 1);
}

/* A handler set by number, with a restorer of its own, that makes calls over one that blocks. */
CHECK(in_a_handler)
{
    struct sockaddr_in a;
    struct kernel_action k = {.handler = (void *)reads_a_socket,
                              .flags = RESTORER, /* no SA_RESTART */
                              .restorer = own_restorer,
                              .mask = UINT64_MAX},
                         old = {0};
    int sv[2];

    raw_pair(sv, &a);
    raw_pair(handler_sv, &a);
    NEED(RAW(SYS_write, handler_sv[0], "abcdef", 6) == 6);
    check_signals = 0;
    T(RAW6(SYS_rt_sigaction, SIGALRM, &k, &old, 8, 0, 0));
    V(old.handler == SIG_DFL);
    T(RAW6(SYS_rt_sigaction, SIGALRM, 0, &old, 8, 0, 0));
    V(old.handler == (void *)reads_a_socket);
    T(RAW6(SYS_rt_sigaction, SIGALRM, 0, &old, 4, 0, 0));
    T(RAW6(SYS_rt_sigaction, SIGKILL, &k, 0, 8, 0, 0));
    alarm_ms(30, 0);
    T(RAW(SYS_read, sv[0], (char[4]){0}, 4));
    V(check_signals);
    V(handler_read);
    k.flags |= SA_RESTART;
    T(RAW6(SYS_rt_sigaction, SIGALRM, &k, 0, 8, 0, 0));
    set_timeo(sv[0], SO_RCVTIMEO, 0);
    alarm_ms(30, 30);
    if (fork_tied() == 0) {
        nap(150);
        _exit(RAW(SYS_write, sv[1], "late", 4) == 4 ? 0 : 1);
    }
    T(RAW(SYS_read, sv[0], (char[4]){0}, 4));
    alarm_ms(0, 0);
    V(check_signals > 2);
}

CHECK(masks)
{
    uint64_t all = UINT64_MAX, none = 0, usr1 = 1ull << (SIGUSR1 - 1), got = 0;

    on_signal(SIGUSR1, 0);
    T(RAW6(SYS_rt_sigprocmask, SIG_SETMASK, &usr1, 0, 8, 0, 0));
    T(RAW6(SYS_rt_sigprocmask, 0, 0, &got, 8, 0, 0));
    V(got == usr1);
    T(RAW(SYS_tgkill, getpid(), RAW(SYS_gettid, 0, 0, 0), SIGUSR1));
    V(check_signals);
    T(RAW6(SYS_rt_sigprocmask, SIG_UNBLOCK, &usr1, &got, 8, 0, 0));
    V(check_signals);
    T(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, &all, 0, 8, 0, 0));
    T(RAW(SYS_getppid, 0, 0, 0) == getppid()); /* with all of them blocked */
    T(RAW6(SYS_rt_sigprocmask, SIG_SETMASK, &none, &got, 8, 0, 0));
    T(RAW6(SYS_rt_sigprocmask, 7, &none, 0, 8, 0, 0));
    T(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, &none, 0, 4, 0, 0));
}

static uintptr_t handler_at;

static void notes_its_stack(int sig)
{
    char here;

    check_signals++;
    handler_at = (uintptr_t)&here;
}

CHECK(alternate_stack)
{
    static char stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, old = {0};
    struct sigaction sa = {.sa_handler = notes_its_stack, .sa_flags = SA_ONSTACK};

    T(RAW(SYS_sigaltstack, 0, &old, 0));
    V(old.ss_flags);
    T(RAW(SYS_sigaltstack, &ss, &old, 0));
    NEED(sigaction(SIGUSR1, &sa, NULL) == 0);
    T(RAW(SYS_tgkill, getpid(), RAW(SYS_gettid, 0, 0, 0), SIGUSR1));
    V(handler_at - (uintptr_t)stack < sizeof(stack));
    T(RAW(SYS_sigaltstack, 0, &old, 0));
    V(old.ss_sp == stack && old.ss_size == sizeof(stack));
    V(old.ss_flags);
    ss.ss_size = 100;
    T(RAW(SYS_sigaltstack, &ss, 0, 0));
    ss.ss_flags = SS_DISABLE;
    T(RAW(SYS_sigaltstack, &ss, &old, 0));
    T(RAW(SYS_sigaltstack, 0, &old, 0));
    V(old.ss_flags);
}

static void *echoes(void *arg)
{
    int *sv = arg;
    char b[64];
    long n, total = 0;

    while ((n = RAW(SYS_read, sv[1], b, sizeof(b))) > 0) {
        if (RAW(SYS_write, sv[1], b, n) != n)
            break;
        total += n;
    }
    return (void *)total;
}

CHECK(threads)
{
    struct sockaddr_in a;
    pthread_t t[4];
    int sv[4][2];
    void *total;

    for (int i = 0; i < 4; i++) {
        raw_pair(sv[i], &a);
        NEED(pthread_create(&t[i], NULL, echoes, sv[i]) == 0);
    }
    for (int k = 0; k < 200; k++) {
        for (int i = 0; i < 4; i++)
            NEED(RAW(SYS_write, sv[i][0], "ping", 4) == 4);
        for (int i = 0; i < 4; i++)
            NEED(read_all(sv[i][0], (char[4]){0}, 4) == 4);
    }
    for (int i = 0; i < 4; i++) {
        T(RAW(SYS_shutdown, sv[i][0], SHUT_WR, 0));
        pthread_join(t[i], &total);
        V(total);
    }
}

CHECK(a_child)
{
    struct sockaddr_in a;
    int sv[2];
    long p;

    raw_pair(sv, &a);
    fflush(stdout);
    p = RAW6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (p == 0) {
        RAW(SYS_write, sv[1], "child", 5);
        RAW(SYS_exit_group, 3, 0, 0);
    }
    V(child_status((pid_t)p));
    RAW(SYS_close, sv[1], 0, 0);
    T(RAW(SYS_read, sv[0], (char[8]){0}, 8));
    T(RAW(SYS_read, sv[0], (char[8]){0}, 8));
    p = fork_tied();
    if (p == 0) {
        raw_pair(sv, &a);
        _exit(RAW(SYS_write, sv[1], "x", 1) == 1 && RAW(SYS_read, sv[0], (char[2]){0}, 2) == 1 ? 4 : 5);
    }
    V(child_status((pid_t)p));
}

/* In the caller's frame: the child goes on in it first. */
static inline __attribute__((always_inline)) long raw_vfork(void)
{
    long ret;

    __asm__ volatile("xor %%r10d, %%r10d\n\txor %%r8d, %%r8d\n\tsyscall"
                     : "=a"(ret)
                     : "a"(SYS_clone), "D"(0x4000 | 0x100 | SIGCHLD), "S"(0),
                       "d"(0) /* CLONE_VFORK | CLONE_VM */
                     : "rcx", "r11", "r8", "r10", "memory");
    return ret;
}

CHECK(a_child_that_executes)
{
    char *argv[] = {"sh", "-c", "echo via >&9", NULL};
    struct sockaddr_in a;
    int sv[2];
    long p;

    raw_pair(sv, &a);
    fflush(stdout);
    p = raw_vfork();
    if (p == 0) {
        RAW(SYS_dup3, sv[1], 9, 0);
        RAW(SYS_execve, "/bin/sh", argv, environ);
        RAW(SYS_exit_group, 9, 0, 0);
    }
    V(child_status((pid_t)p));
    T(RAW(SYS_read, sv[0], (char[8]){0}, 8));
    RAW(SYS_close, sv[1], 0, 0);
    T(RAW(SYS_read, sv[0], (char[8]){0}, 8));
    p = raw_vfork();
    if (p == 0) {
        RAW(SYS_execve, "/nowhere", argv, environ);
        RAW(SYS_exit_group, 7, 0, 0);
    }
    V(child_status((pid_t)p));
    T(RAW(SYS_socket, AF_INET, 9, 0));
}

static void on_sys(int sig)
{
    check_signals++;
}

CHECK(sigsys_of_its_own)
{
    struct sigaction sa = {.sa_handler = on_sys}, old;

    check_signals = 0;
    R(sigaction(SIGSYS, &sa, NULL));
    R(sigaction(SIGSYS, NULL, &old));
    V(old.sa_handler == on_sys);
    R(raise(SIGSYS));
    V(check_signals);
    V(RAW(SYS_getpid, 0, 0, 0) == getpid());
    signal(SIGSYS, SIG_IGN);
    R(raise(SIGSYS));
    V(RAW(SYS_getpid, 0, 0, 0) == getpid());
}

/* What fd, of a table of sockets, has of the socket of this inode. */
static bool tells_of(long fd, ino_t ino)
{
    static char text[65536];
    char key[32];
    long n, len = 0;

    NEED(fd >= 0);
    while ((n = RAW(SYS_read, fd, text + len, sizeof text - 1 - (size_t)len)) > 0)
        len += n;
    text[len] = 0;
    RAW(SYS_close, fd, 0, 0);
    snprintf(key, sizeof key, " %lu ", (unsigned long)ino);
    return strstr(text, key) != NULL;
}

/* The tables of sockets and what names one, by number. */
CHECK(below_proc)
{
    struct sockaddr_in a = lo4(0);
    int l = (int)RAW(SYS_socket, AF_INET, SOCK_STREAM, 0), dir;
    struct stat st, same;
    char path[64], link[64], want[64], b[8] = "";
    long n;

    NEED(RAW(SYS_bind, l, &a, sizeof(a)) == 0 && RAW(SYS_listen, l, 16, 0) == 0);
    T(RAW(SYS_fstat, l, &st, 0));
    V(S_ISSOCK(st.st_mode));
    T(RAW6(SYS_newfstatat, l, "", &same, AT_EMPTY_PATH, 0, 0));
    V(st.st_ino == same.st_ino);
    V(tells_of(RAW6(SYS_openat, AT_FDCWD, "/proc/net/tcp", O_RDONLY, 0, 0, 0), st.st_ino));
    V(tells_of(RAW(SYS_open, "/proc/self/net/tcp", O_RDONLY, 0), st.st_ino));
    dir = (int)RAW6(SYS_openat, AT_FDCWD, "/proc/self/net", O_RDONLY | O_DIRECTORY, 0, 0, 0);
    V(tells_of(RAW6(SYS_openat, dir, "tcp", O_RDONLY, 0, 0, 0), st.st_ino));
    T(RAW6(SYS_openat, dir, "nothing", O_RDONLY, 0, 0, 0));
    T(RAW(SYS_chdir, "/tmp", 0, 0));
    T(RAW(SYS_open, "tcp", O_RDONLY, 0));
    T(RAW(SYS_fchdir, dir, 0, 0));
    V(tells_of(RAW(SYS_open, "tcp", O_RDONLY, 0), st.st_ino));
    T(RAW(SYS_chdir, "/", 0, 0));
    V(tells_of(RAW(SYS_open, "proc/net/tcp", O_RDONLY, 0), st.st_ino));
    T(RAW6(SYS_openat, AT_FDCWD, 8, O_RDONLY, 0, 0, 0));
    n = RAW(SYS_open, "/proc/sys/net/ipv4/tcp_fin_timeout", O_RDONLY, 0);
    T(RAW(SYS_read, n, b, sizeof b));
    TEXT(b, 3);
    snprintf(path, sizeof path, "/proc/self/fd/%d", l);
    snprintf(want, sizeof want, "socket:[%lu]", (unsigned long)st.st_ino);
    n = RAW6(SYS_readlinkat, AT_FDCWD, path, link, sizeof link, 0, 0);
    V(n == (long)strlen(want) && memcmp(link, want, (size_t)n) == 0);
    n = RAW(SYS_readlink, path, link, sizeof link);
    V(n == (long)strlen(want) && memcmp(link, want, (size_t)n) == 0);
}
