/* fds.c: see fds.h.
 *
 * Theory of operation. The engine is linked with --wrap for each of the names below, so a call from EAL, a
 * driver, a statically linked library or our own code ends here. Two things are done: calls that make a
 * descriptor move it to the private range; calls that only use one go straight to the kernel, past
 * libshunt.so's interposers (whose names the dynamic linker would otherwise find first). The fortified twins
 * (__read_chk ...) are here because Debian builds DPDK with them; their check is on a buffer size the
 * compiler knew, and is kept.
 *
 * The private range is no fence: a program that uses up all numbers below it, or names one (dup2), gets those
 * that the engine does not hold. So each number of the range has a bit that says whether it is the engine's.
 * It is set before the number comes to be and cleared before it goes, so that the interposers never take an
 * engine's descriptor for the program's. A forked child has its own copy, as of the descriptors.
 *
 * A move is fcntl(F_DUPFD_CLOEXEC) to a free number of the range. It needs RLIMIT_NOFILE above lo: the soft
 * limit is raised and put back around it, under a lock, since the program may look at its limit at any time.
 * An already open descriptor above the soft limit keeps working.
 */
#include "fds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "control.h"
#include "share.h"
#include "sys.h"
#include "xdp.h"

/* A fork copies the table of descriptors up to the highest one, in powers of two: 9 bytes a number, 40 us for
 * 16384. So the engine's begin where all of them, and the tree's (preload/tree.c), are below 2048: a program
 * with more descriptors than these leaves those out, and goes on above. */
#define FDS_FIRST  1272
#define FDS_LOWEST 512 /* where the range starts at worst, ... */
#define FDS_LEAST  768 /* ... to have so many numbers */
/* The last of them are the family's (share.h): the same descriptor in every process. Only links that need
 * such a one pay for the longer table. */
#define FDS_SHARED 256

static int range_lo, range_hi;
static uint64_t mine[FDS_WORDS]; /* a bit a number of the range: the engine's */
static const char *divert_name;  /* fds_divert_memfd */
static int divert_fd;
static int last_xdp = -1;
static _Thread_local bool never_wait;
static _Thread_local int accept_gives = -1; /* fds_divert_accept */
static pthread_mutex_t move_lock = PTHREAD_MUTEX_INITIALIZER;

static void range_init(void)
{
    struct rlimit lim;
    long hi = FDS_HIGHEST;
    if (sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) == 0 && lim.rlim_max < (rlim_t)hi)
        hi = (long)lim.rlim_max;
    long lo = hi - FDS_LEAST;
    if (lo < FDS_LOWEST)
        lo = hi > FDS_LOWEST ? FDS_LOWEST : hi / 2;
    if (lo > FDS_FIRST)
        lo = FDS_FIRST;
    range_lo = (int)lo;
    range_hi = (int)hi;
}

void fds_range(int *lo, int *hi)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, range_init);
    *lo = range_lo;
    *hi = range_hi;
}

void fds_shared_range(int *lo, int *hi)
{
    fds_range(lo, hi);
    int third = (*hi - *lo) / (FDS_LEAST / FDS_SHARED);
    *lo = *hi - (third < FDS_SHARED ? third : FDS_SHARED);
}

/* A system call that makes a descriptor of a high number, or has none below the soft limit: made again with
 * the soft limit raised for the moment when that stood in the way. */
static long sys_high(long nr, long a, long b, long c, long d)
{
    long up = sys6(nr, a, b, c, d, 0, 0);
    if (up != -EINVAL && up != -EMFILE && up != -EBADF)
        return up;
    struct rlimit old, lim;
    pthread_mutex_lock(&move_lock);
    up = sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old);
    if (up == 0) {
        lim = old;
        lim.rlim_cur = lim.rlim_max;
        sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
        up = sys6(nr, a, b, c, d, 0, 0);
        sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &old, NULL);
    }
    pthread_mutex_unlock(&move_lock);
    return up;
}

void fds_after_fork(void)
{
    pthread_mutex_init(&move_lock, NULL);
    share_after_fork();
}

static bool in_range(int fd)
{
    int lo, hi;
    fds_range(&lo, &hi);
    return fd >= lo && fd < hi;
}

/* The word and the bit of fd, of the range, in mine[]. */
static uint64_t *word_of(int fd, uint64_t *bit)
{
    unsigned i = (unsigned)(fd - range_lo);
    *bit = 1ULL << i % 64;
    return &mine[i / 64];
}

const uint64_t *fds_mine(void)
{
    return mine;
}

bool fds_is_mine(int fd)
{
    if (!in_range(fd))
        return false;
    uint64_t bit, *word = word_of(fd, &bit);
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) & bit;
}

/* fd of the range becomes the engine's; false: it was. */
static bool mark(int fd)
{
    uint64_t bit, *word = word_of(fd, &bit);
    return !(__atomic_fetch_or(word, bit, __ATOMIC_ACQ_REL) & bit);
}

/* fd, of any number, is the engine's no more. */
static void unmark(int fd)
{
    if (in_range(fd)) {
        uint64_t bit, *word = word_of(fd, &bit);
        __atomic_fetch_and(word, ~bit, __ATOMIC_ACQ_REL);
    }
}

int fds_close(int fd)
{
    unmark(fd);
    return (int)sys1(SYS_close, fd);
}

static bool is_open(int fd)
{
    return sys3(SYS_fcntl, fd, F_GETFD, 0) >= 0;
}

/* A duplicate of fd on a free number of [lo, hi), or -errno. */
static int dup_between(int fd, int lo, int hi)
{
    for (int n = lo; n < hi; n++) {
        if (!mark(n))
            continue;
        long up = sys_high(SYS_fcntl, fd, F_DUPFD_CLOEXEC, n, 0);
        if (up == n)
            return n;
        unmark(n); /* the program's */
        if (up < 0)
            return (int)up;
        sys1(SYS_close, up);
        n = (int)up - 1; /* a free one, if nobody takes it meanwhile */
    }
    return -EMFILE; /* a number past hi would be the program's, or the family's */
}

int fds_dup_shared(int fd)
{
    int lo, hi;
    fds_shared_range(&lo, &hi);
    return dup_between(fd, lo, hi);
}

int fds_dup_to(int fd, int number)
{
    bool fresh = mark(number);
    long r = fresh && is_open(number) ? -EBUSY : sys_high(SYS_dup3, fd, number, O_CLOEXEC, 0);
    if (r < 0 && fresh)
        unmark(number);
    return (int)r;
}

static int dup_private(int fd)
{
    int lo, hi, shared_lo;
    fds_range(&lo, &hi);
    fds_shared_range(&shared_lo, &hi);
    return dup_between(fd, lo, shared_lo);
}

int fds_dup(int fd)
{
    return dup_private(fd);
}

int fds_move(int fd)
{
    if (in_range(fd)) { /* all below it are taken */
        mark(fd);
        return fd;
    }
    int up = dup_private(fd);
    if (up >= 0)
        sys1(SYS_close, fd);
    return up;
}

/* A system call's result as libc gives it. */
static long ret_errno(long r)
{
    if (r < 0) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* The same for a new descriptor: moved up; closed when that fails. */
static int ret_fd(long fd)
{
    if (fd >= 0) {
        int up = fds_move((int)fd);
        if (up < 0)
            sys1(SYS_close, fd);
        fd = up;
    }
    return (int)ret_errno(fd);
}

/* A descriptor that a peer and the data path share: when control makes it, every process of the family gets
 * it. */
static int ret_shared_fd(long fd)
{
    return fd >= 0 && control_is_running() ? share_fd_add((int)fd) : ret_fd(fd);
}

/* --- calls that make descriptors --- */

static bool is_runtime_path(const char *path)
{
    return strncmp(path, FDS_RUNTIME_DIR, sizeof(FDS_RUNTIME_DIR) - 1) == 0;
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    if (is_runtime_path(path))
        return ret_fd(sys2(SYS_memfd_create, "shunt:eal", MFD_CLOEXEC));
    return ret_fd(sys4(SYS_openat, dirfd, path, flags | O_CLOEXEC, mode));
}

#define OPEN_MODE(mode, flags, last)                                                                         \
    mode_t mode = 0;                                                                                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                 \
        va_list ap;                                                                                          \
        va_start(ap, last);                                                                                  \
        mode = (mode_t)va_arg(ap, int);                                                                      \
        va_end(ap);                                                                                          \
    }

/* The linker makes these names; nobody calls them by a prototype. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __real_fclose(FILE *f);
int __real_closedir(DIR *d);

int __wrap_open(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags, flags)
    return open_at(dirfd, path, flags, mode);
}

int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags, flags)
    return open_at(dirfd, path, flags, mode);
}

static FILE *file_open(const char *path, const char *mode)
{
    int flags = mode[0] == 'r' ? O_RDONLY : O_CREAT | (mode[0] == 'w' ? O_TRUNC : O_APPEND) | O_WRONLY;
    if (strchr(mode, '+'))
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    int fd = open_at(AT_FDCWD, path, flags, 0666);
    if (fd < 0)
        return NULL;
    FILE *f = fdopen(fd, mode);
    if (!f)
        fds_close(fd);
    return f;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return file_open(path, mode);
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
    return file_open(path, mode);
}

DIR *__wrap_opendir(const char *path)
{
    /* EAL wants to read its runtime directory through once; a small directory that always exists does as
     * well. */
    int fd = open_at(AT_FDCWD, is_runtime_path(path) ? "/proc/self/task" : path, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? NULL : fdopendir(fd);
}

int fds_last_xdp(void)
{
    return last_xdp;
}

int __wrap_socket(int domain, int type, int protocol)
{
    int fd = ret_fd(sys3(SYS_socket, domain, type | SOCK_CLOEXEC, protocol));
    if (domain == AF_XDP)
        last_xdp = fd;
    return fd;
}

/* Both ends of a pair, or neither. */
static int ret_pair(long r, int fd[2])
{
    if (r < 0)
        return (int)ret_errno(r);
    for (int i = 0; i < 2; i++) {
        int up = fds_move(fd[i]);
        if (up < 0) {
            fds_close(fd[0]);
            fds_close(fd[1]);
            return (int)ret_errno(up);
        }
        fd[i] = up;
    }
    return 0;
}

int __wrap_socketpair(int domain, int type, int protocol, int fd[2])
{
    /* Also for a program that has used up its numbers (SCM_RIGHTS). */
    return ret_pair(sys_high(SYS_socketpair, domain, type | SOCK_CLOEXEC, protocol, SYS_ARG(fd)), fd);
}

int __wrap_pipe(int fd[2])
{
    return ret_pair(sys2(SYS_pipe2, fd, O_CLOEXEC), fd);
}

int __wrap_pipe2(int fd[2], int flags)
{
    return ret_pair(sys2(SYS_pipe2, fd, flags | O_CLOEXEC), fd);
}

int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    return ret_fd(sys4(SYS_accept4, fd, sa, len, flags | SOCK_CLOEXEC));
}

void fds_divert_accept(int fd)
{
    accept_gives = fd;
}

int __wrap_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    if (accept_gives >= 0) {
        fd = accept_gives;
        accept_gives = -1;
        return fd;
    }
    return ret_fd(sys4(SYS_accept4, fd, sa, len, SOCK_CLOEXEC));
}

int __wrap_eventfd(unsigned count, int flags)
{
    return ret_shared_fd(sys2(SYS_eventfd2, count, flags | O_CLOEXEC));
}

int __wrap_epoll_create1(int flags)
{
    return ret_fd(sys1(SYS_epoll_create1, flags | EPOLL_CLOEXEC));
}

int __wrap_epoll_create(int size)
{
    return ret_fd(sys1(SYS_epoll_create1, EPOLL_CLOEXEC));
}

void fds_divert_memfd(const char *name, int fd)
{
    divert_name = name;
    divert_fd = fd;
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    if (divert_name && strcmp(name, divert_name) == 0) {
        divert_name = NULL;
        return divert_fd;
    }
    return ret_shared_fd(sys2(SYS_memfd_create, name, flags | MFD_CLOEXEC));
}

int __wrap_timerfd_create(int clock, int flags)
{
    return ret_fd(sys2(SYS_timerfd_create, clock, flags | O_CLOEXEC));
}

/* The commands of bpf(2) that return a new descriptor. */
static bool bpf_makes_fd(long cmd)
{
    switch (cmd) {
    case BPF_MAP_CREATE:
    case BPF_PROG_LOAD:
    case BPF_OBJ_GET:
    case BPF_RAW_TRACEPOINT_OPEN:
    case BPF_BTF_LOAD:
    case BPF_PROG_GET_FD_BY_ID:
    case BPF_MAP_GET_FD_BY_ID:
    case BPF_BTF_GET_FD_BY_ID:
    case BPF_LINK_CREATE:
    case BPF_LINK_GET_FD_BY_ID:
    case BPF_ITER_CREATE:
        return true;
    }
    return false;
}

/* libbpf calls bpf(2) this way, whose results are descriptors for some commands. */
long __wrap_syscall(long nr, ...)
{
    va_list ap;
    long a[6];
    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    long r = sys6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (nr == SYS_bpf && bpf_makes_fd(a[0]))
        return ret_fd(r);
    if (nr == SYS_memfd_create || nr == SYS_openat || nr == SYS_userfaultfd || nr == SYS_perf_event_open)
        return ret_fd(r);
    return ret_errno(r);
}

int __wrap_dup(int fd)
{
    return (int)ret_errno(dup_private(fd));
}

/* Descriptors that arrive with a message (memif's and vhost's memory regions). */
static void move_passed(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        int *fd = (int *)CMSG_DATA(c);
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int up = control_is_running() ? share_fd_add(fd[i]) : fds_move(fd[i]);
            if (up >= 0)
                fd[i] = up;
        }
    }
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    long r = sys3(SYS_recvmsg, fd, msg, flags | MSG_CMSG_CLOEXEC);
    if (r >= 0 && msg->msg_controllen)
        move_passed(msg);
    return ret_errno(r);
}

/* --- calls that use them --- */

int __wrap_close(int fd)
{
    if (control_is_running())
        share_fd_del(fd);
    return (int)ret_errno(fds_close(fd));
}

/* libc's own close comes to nobody's ears. */
int __wrap_fclose(FILE *f)
{
    unmark(fileno(f));
    return __real_fclose(f);
}

int __wrap_closedir(DIR *d)
{
    unmark(dirfd(d));
    return __real_closedir(d);
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
    return ret_errno(sys3(SYS_read, fd, buf, n));
}

ssize_t __wrap___read_chk(int fd, void *buf, size_t n, size_t room)
{
    if (n > room)
        abort();
    return ret_errno(sys3(SYS_read, fd, buf, n));
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
    return ret_errno(sys3(SYS_write, fd, buf, n));
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n)
{
    return ret_errno(sys3(SYS_readv, fd, iov, n));
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
    return ret_errno(sys3(SYS_writev, fd, iov, n));
}

void fds_never_wait(bool on)
{
    never_wait = on;
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
    if (control_in_task() && timeout_ms)
        return (int)ret_errno(control_wait_poll(p, n, timeout_ms));
    if (never_wait)
        timeout_ms = 0;
#ifdef SYS_poll
    return (int)ret_errno(sys3(SYS_poll, p, n, timeout_ms));
#else
    struct timespec ts = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    return (int)ret_errno(sys5(SYS_ppoll, p, n, timeout_ms < 0 ? NULL : &ts, NULL, 8));
#endif
}

int __wrap___poll_chk(struct pollfd *p, nfds_t n, int timeout_ms, size_t room)
{
    if (n > room / sizeof(*p))
        abort();
    return __wrap_poll(p, n, timeout_ms);
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    return (int)ret_errno(sys4(SYS_epoll_ctl, epfd, op, fd, ev));
}

int __wrap_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    if (control_in_task() && timeout_ms)
        return (int)ret_errno(control_wait_epoll(epfd, ev, max, timeout_ms));
    return (int)ret_errno(sys6(SYS_epoll_pwait, epfd, SYS_ARG(ev), max, timeout_ms, 0, 8));
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    if (control_is_running() && fd >= 0 && !addr && flags & MAP_SHARED)
        return share_map(len, prot, fd, off);
    long r = sys6(SYS_mmap, SYS_ARG(addr), SYS_ARG(len), prot, flags, fd, off);
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return MAP_FAILED;
    }
    return (void *)r;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return map(addr, len, prot, flags, fd, off);
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return map(addr, len, prot, flags, fd, off);
}

int __wrap_munmap(void *addr, size_t len)
{
    if (control_is_running() && share_unmap(addr) == 0)
        return 0;
    return (int)ret_errno(sys2(SYS_munmap, addr, len));
}

int __wrap_ioctl(int fd, unsigned long req, ...)
{
    va_list ap;
    va_start(ap, req);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (req == SIOCETHTOOL)
        return (int)ret_errno(xdp_ethtool(fd, arg));
    return (int)ret_errno(sys3(SYS_ioctl, fd, req, arg));
}

static int fd_control(int fd, int cmd, long arg)
{
    long r = sys3(SYS_fcntl, fd, cmd, arg);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        return ret_fd(r);
    return (int)ret_errno(r);
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    long arg = va_arg(ap, long);
    va_end(ap);
    return fd_control(fd, cmd, arg);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    long arg = va_arg(ap, long);
    va_end(ap);
    return fd_control(fd, cmd, arg);
}

int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    return (int)ret_errno(sa->sa_family == AF_XDP ? xdp_bind(fd, sa, len) : sys3(SYS_bind, fd, sa, len));
}

int __wrap_listen(int fd, int backlog)
{
    return (int)ret_errno(sys2(SYS_listen, fd, backlog));
}

int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    return (int)ret_errno(sys3(SYS_connect, fd, sa, len));
}

int __wrap_shutdown(int fd, int how)
{
    return (int)ret_errno(sys2(SYS_shutdown, fd, how));
}

int __wrap_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    return (int)ret_errno(sys5(SYS_setsockopt, fd, level, name, val, len));
}

int __wrap_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    return (int)ret_errno(sys5(SYS_getsockopt, fd, level, name, val, len));
}

int __wrap_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    return (int)ret_errno(sys3(SYS_getsockname, fd, sa, len));
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
    return ret_errno(sys6(SYS_sendto, fd, SYS_ARG(buf), SYS_ARG(n), flags, 0, 0));
}

ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    return ret_errno(sys6(SYS_sendto, fd, SYS_ARG(buf), SYS_ARG(n), flags, SYS_ARG(sa), len));
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return ret_errno(sys3(SYS_sendmsg, fd, msg, flags));
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
    return ret_errno(sys6(SYS_recvfrom, fd, SYS_ARG(buf), SYS_ARG(n), flags, 0, 0));
}

ssize_t __wrap_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    return ret_errno(sys6(SYS_recvfrom, fd, SYS_ARG(buf), SYS_ARG(n), flags, SYS_ARG(sa), SYS_ARG(len)));
}
