/* libc.h: the C library's own functions behind the ones that libshunt.so interposes.
 *
 * `libc.read(fd, buf, n)` calls the next `read` in the link order. A pointer first leads to a resolver that
 * looks the symbol up (RTLD_NEXT), stores it and goes on, so a call that a program never makes costs nothing
 * and a call that it makes costs one load. Any thread, any time, also before constructors ran: when the
 * look-up itself comes back here (a malloc that reads a file), or the library lacks the function, the
 * resolver makes the system call itself. No other file calls dlsym.
 */
#ifndef SHUNT_PRELOAD_LIBC_H
#define SHUNT_PRELOAD_LIBC_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "../dpdk/sys.h"

#define EXPORT __attribute__((visibility("default")))
/* A second exported name of the function `target`; the other form where the headers declare it __THROW. */
#define ALIAS(target)         __attribute__((visibility("default"), alias(#target)))
#define ALIAS_NOTHROW(target) __attribute__((visibility("default"), alias(#target), nothrow, leaf))

/* System calls that newer machines do without. */
#ifdef SYS_open
#define CALL_OPEN     SYS_open
#define CALL_READLINK SYS_readlink
#define CALL_STAT     SYS_stat
#else
#define CALL_OPEN     -1
#define CALL_READLINK -1
#define CALL_STAT     -1
#endif
#ifdef SYS_newfstatat
#define CALL_FSTATAT SYS_newfstatat
#else
#define CALL_FSTATAT SYS_fstatat64
#endif

/* X(result, name, system call or -1, parameters, arguments). Variadic functions are called with all the
 * arguments that they can have. */
#define LIBC_CALLS(X)                                                                                        \
    X(int, socket, SYS_socket, (int a, int b, int c), (a, b, c))                                             \
    X(int, bind, SYS_bind, (int fd, const struct sockaddr *a, socklen_t l), (fd, a, l))                      \
    X(int, listen, SYS_listen, (int fd, int n), (fd, n))                                                     \
    X(int, accept4, SYS_accept4, (int fd, struct sockaddr *a, socklen_t *l, int f), (fd, a, l, f))           \
    X(int, accept, -1, (int fd, struct sockaddr *a, socklen_t *l), (fd, a, l))                               \
    X(int, connect, SYS_connect, (int fd, const struct sockaddr *a, socklen_t l), (fd, a, l))                \
    X(int, shutdown, SYS_shutdown, (int fd, int how), (fd, how))                                             \
    X(int, getsockname, SYS_getsockname, (int fd, struct sockaddr *a, socklen_t *l), (fd, a, l))             \
    X(int, getpeername, SYS_getpeername, (int fd, struct sockaddr *a, socklen_t *l), (fd, a, l))             \
    X(int, getsockopt, SYS_getsockopt, (int fd, int lv, int nm, void *v, socklen_t *l), (fd, lv, nm, v, l))  \
    X(int, setsockopt, SYS_setsockopt, (int fd, int lv, int nm, const void *v, socklen_t l),                 \
      (fd, lv, nm, v, l))                                                                                    \
    X(int, close, SYS_close, (int fd), (fd))                                                                 \
    X(int, close_range, SYS_close_range, (unsigned lo, unsigned hi, int flags), (lo, hi, flags))             \
    X(int, dup, SYS_dup, (int fd), (fd))                                                                     \
    X(int, dup2, -1, (int fd, int to), (fd, to))                                                             \
    X(int, dup3, SYS_dup3, (int fd, int to, int flags), (fd, to, flags))                                     \
    X(int, fcntl, SYS_fcntl, (int fd, int cmd, void *arg), (fd, cmd, arg))                                   \
    X(int, fcntl64, SYS_fcntl, (int fd, int cmd, void *arg), (fd, cmd, arg))                                 \
    X(int, ioctl, SYS_ioctl, (int fd, unsigned long req, void *arg), (fd, req, arg))                         \
    X(ssize_t, read, SYS_read, (int fd, void *b, size_t n), (fd, b, n))                                      \
    X(ssize_t, write, SYS_write, (int fd, const void *b, size_t n), (fd, b, n))                              \
    X(ssize_t, readv, SYS_readv, (int fd, const struct iovec *v, int n), (fd, v, n))                         \
    X(ssize_t, writev, SYS_writev, (int fd, const struct iovec *v, int n), (fd, v, n))                       \
    X(ssize_t, preadv2, -1, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))        \
    X(ssize_t, pwritev2, -1, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))       \
    X(ssize_t, recv, -1, (int fd, void *b, size_t n, int f), (fd, b, n, f))                                  \
    X(ssize_t, recvfrom, SYS_recvfrom, (int fd, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l), \
      (fd, b, n, f, a, l))                                                                                   \
    X(ssize_t, recvmsg, SYS_recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))                          \
    X(int, recvmmsg, SYS_recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t),       \
      (fd, m, n, f, t))                                                                                      \
    X(ssize_t, send, -1, (int fd, const void *b, size_t n, int f), (fd, b, n, f))                            \
    X(ssize_t, sendto, SYS_sendto,                                                                           \
      (int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l), (fd, b, n, f, a, l))  \
    X(ssize_t, sendmsg, SYS_sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))                    \
    X(int, sendmmsg, SYS_sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int f), (fd, m, n, f))            \
    X(ssize_t, __read_chk, -1, (int fd, void *b, size_t n, size_t s), (fd, b, n, s))                         \
    X(ssize_t, __recv_chk, -1, (int fd, void *b, size_t n, size_t s, int f), (fd, b, n, s, f))               \
    X(ssize_t, __recvfrom_chk, -1,                                                                           \
      (int fd, void *b, size_t n, size_t s, int f, struct sockaddr *a, socklen_t *l),                        \
      (fd, b, n, s, f, a, l))                                                                                \
    X(ssize_t, sendfile, SYS_sendfile, (int out, int in, off_t *o, size_t n), (out, in, o, n))               \
    X(ssize_t, splice, SYS_splice, (int in, off_t *io, int out, off_t *oo, size_t n, unsigned f),            \
      (in, io, out, oo, n, f))                                                                               \
    X(ssize_t, tee, SYS_tee, (int in, int out, size_t n, unsigned f), (in, out, n, f))                       \
    X(void *, mmap, SYS_mmap, (void *a, size_t n, int p, int f, int fd, off_t o), (a, n, p, f, fd, o))       \
    X(int, poll, -1, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))                                      \
    X(int, ppoll, -1, (struct pollfd * p, nfds_t n, const struct timespec *t, const sigset_t *s),            \
      (p, n, t, s))                                                                                          \
    X(int, select, -1, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), (n, r, w, e, t))         \
    X(int, pselect, -1,                                                                                      \
      (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t, const sigset_t *s),                 \
      (n, r, w, e, t, s))                                                                                    \
    X(int, epoll_create, -1, (int n), (n))                                                                   \
    X(int, epoll_create1, SYS_epoll_create1, (int f), (f))                                                   \
    X(int, epoll_ctl, SYS_epoll_ctl, (int e, int op, int fd, struct epoll_event *v), (e, op, fd, v))         \
    X(int, epoll_wait, -1, (int e, struct epoll_event *v, int n, int ms), (e, v, n, ms))                     \
    X(int, epoll_pwait, -1, (int e, struct epoll_event *v, int n, int ms, const sigset_t *s),                \
      (e, v, n, ms, s))                                                                                      \
    X(int, epoll_pwait2, -1,                                                                                 \
      (int e, struct epoll_event *v, int n, const struct timespec *t, const sigset_t *s), (e, v, n, t, s))   \
    X(int, sigaction, -1, (int sig, const struct sigaction *a, struct sigaction *o), (sig, a, o))            \
    X(pid_t, fork, -1, (void), ())                                                                           \
    X(pid_t, _Fork, -1, (void), ())                                                                          \
    X(int, clone, -1,                                                                                        \
      (int (*f)(void *), void *stack, int flags, void *arg, void *ptid, void *tls, void *ctid),              \
      (f, stack, flags, arg, ptid, tls, ctid))                                                               \
    X(int, pthread_create, -1, (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg),      \
      (t, a, f, arg))                                                                                        \
    X(int, pthread_sigmask, -1, (int how, const sigset_t *s, sigset_t *o), (how, s, o))                      \
    X(int, aio_read, -1, (struct aiocb * cb), (cb))                                                          \
    X(int, aio_write, -1, (struct aiocb * cb), (cb))                                                         \
    X(int, aio_cancel, -1, (int fd, struct aiocb *cb), (fd, cb))                                             \
    X(int, aio_suspend, -1, (const struct aiocb *const l[], int n, const struct timespec *t), (l, n, t))     \
    X(int, lio_listio, -1, (int m, struct aiocb *const l[], int n, struct sigevent *e), (m, l, n, e))        \
    X(int, sigtimedwait, -1, (const sigset_t *s, siginfo_t *i, const struct timespec *t), (s, i, t))         \
    X(int, sigwaitinfo, -1, (const sigset_t *s, siginfo_t *i), (s, i))                                       \
    X(int, sigprocmask, -1, (int how, const sigset_t *s, sigset_t *o), (how, s, o))                          \
    X(int, execve, SYS_execve, (const char *p, char *const *a, char *const *e), (p, a, e))                   \
    X(int, execvpe, -1, (const char *p, char *const *a, char *const *e), (p, a, e))                          \
    X(int, fexecve, -1, (int fd, char *const *a, char *const *e), (fd, a, e))                                \
    X(int, execveat, SYS_execveat, (int d, const char *p, char *const *a, char *const *e, int f),            \
      (d, p, a, e, f))                                                                                       \
    X(int, pidfd_getfd, SYS_pidfd_getfd, (int p, int fd, unsigned f), (p, fd, f))                            \
    X(int, posix_spawn, -1,                                                                                  \
      (pid_t * p, const char *f, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at,          \
       char *const *a, char *const *e),                                                                      \
      (p, f, fa, at, a, e))                                                                                  \
    X(int, posix_spawnp, -1,                                                                                 \
      (pid_t * p, const char *f, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at,          \
       char *const *a, char *const *e),                                                                      \
      (p, f, fa, at, a, e))                                                                                  \
    X(int, prctl, -1, (int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d),          \
      (op, a, b, c, d))                                                                                      \
    X(int, capset, SYS_capset, (void *h, const void *d), (h, d))                                             \
    X(int, open, CALL_OPEN, (const char *p, int f, mode_t m), (p, f, m))                                     \
    X(int, openat, SYS_openat, (int d, const char *p, int f, mode_t m), (d, p, f, m))                        \
    X(FILE *, fopen, -1, (const char *p, const char *m), (p, m))                                             \
    X(ssize_t, readlink, CALL_READLINK, (const char *p, char *b, size_t n), (p, b, n))                       \
    X(ssize_t, readlinkat, SYS_readlinkat, (int d, const char *p, char *b, size_t n), (d, p, b, n))          \
    X(ssize_t, __readlink_chk, -1, (const char *p, char *b, size_t n, size_t r), (p, b, n, r))               \
    X(ssize_t, __readlinkat_chk, -1, (int d, const char *p, char *b, size_t n, size_t r), (d, p, b, n, r))   \
    X(int, stat, CALL_STAT, (const char *p, struct stat *s), (p, s))                                         \
    X(int, fstat, SYS_fstat, (int fd, struct stat *s), (fd, s))                                              \
    X(int, __fxstat, -1, (int v, int fd, struct stat *s), (v, fd, s))                                        \
    X(int, fstatat, CALL_FSTATAT, (int d, const char *p, struct stat *s, int f), (d, p, s, f))               \
    X(int, statx, SYS_statx, (int d, const char *p, int f, unsigned m, struct statx *s), (d, p, f, m, s))    \
    X(int, shm_open, -1, (const char *p, int f, mode_t m), (p, f, m))                                        \
    X(int, open_by_handle_at, SYS_open_by_handle_at, (int d, struct file_handle *h, int f), (d, h, f))       \
    X(int, chdir, SYS_chdir, (const char *p), (p))                                                           \
    X(int, fchdir, SYS_fchdir, (int fd), (fd))                                                               \
    X(struct __dirstream *, opendir, -1, (const char *p), (p))                                               \
    X(struct __dirstream *, fdopendir, -1, (int fd), (fd))                                                   \
    X(int, closedir, -1, (struct __dirstream * d), (d))                                                      \
    X(struct dirent *, readdir, -1, (struct __dirstream * d), (d))                                           \
    X(int, scandir, -1,                                                                                      \
      (const char *p, struct dirent ***l, int (*f)(const struct dirent *),                                   \
       int (*c)(const struct dirent **, const struct dirent **)),                                            \
      (p, l, f, c))                                                                                          \
    X(void *, dlopen, -1, (const char *f, int m), (f, m))                                                    \
    X(int, system, -1, (const char *c), (c))                                                                 \
    X(FILE *, popen, -1, (const char *c, const char *m), (c, m))                                             \
    X(int, pclose, -1, (FILE * f), (f))                                                                      \
    X(int, chroot, SYS_chroot, (const char *p), (p))                                                         \
    X(int, setuid, -1, (uid_t u), (u))                                                                       \
    X(int, seteuid, -1, (uid_t e), (e))                                                                      \
    X(int, setreuid, -1, (uid_t r, uid_t e), (r, e))                                                         \
    X(int, setresuid, -1, (uid_t r, uid_t e, uid_t s), (r, e, s))                                            \
    X(unsigned, if_nametoindex, -1, (const char *n), (n))                                                    \
    X(char *, if_indextoname, -1, (unsigned i, char *n), (i, n))                                             \
    X(struct if_nameindex *, if_nameindex, -1, (void), ())                                                   \
    X(int, getifaddrs, -1, (struct ifaddrs * *p), (p))                                                       \
    X(void, freeifaddrs, -1, (struct ifaddrs * p), (p))                                                      \
    X(FILE *, fdopen, -1, (int fd, const char *mode), (fd, mode))                                            \
    X(int, getaddrinfo, -1, (const char *n, const char *s, const struct addrinfo *h, struct addrinfo **o),   \
      (n, s, h, o))                                                                                          \
    X(int, getnameinfo, -1,                                                                                  \
      (const struct sockaddr *a, socklen_t l, char *h, socklen_t hl, char *s, socklen_t sl, int f),          \
      (a, l, h, hl, s, sl, f))                                                                               \
    X(struct hostent *, gethostbyname, -1, (const char *n), (n))                                             \
    X(struct hostent *, gethostbyname2, -1, (const char *n, int f), (n, f))                                  \
    X(struct hostent *, gethostbyaddr, -1, (const void *a, socklen_t l, int f), (a, l, f))                   \
    X(int, gethostbyname_r, -1,                                                                              \
      (const char *n, struct hostent *h, char *b, size_t l, struct hostent **o, int *e), (n, h, b, l, o, e)) \
    X(int, gethostbyname2_r, -1,                                                                             \
      (const char *n, int f, struct hostent *h, char *b, size_t l, struct hostent **o, int *e),              \
      (n, f, h, b, l, o, e))                                                                                 \
    X(int, gethostbyaddr_r, -1,                                                                              \
      (const void *a, socklen_t al, int f, struct hostent *h, char *b, size_t l, struct hostent **o,         \
       int *e),                                                                                              \
      (a, al, f, h, b, l, o, e))                                                                             \
    X(int, res_query, -1, (const char *n, int c, int t, unsigned char *a, int l), (n, c, t, a, l))           \
    X(int, res_search, -1, (const char *n, int c, int t, unsigned char *a, int l), (n, c, t, a, l))          \
    X(int, res_send, -1, (const unsigned char *m, int n, unsigned char *a, int l), (m, n, a, l))             \
    X(int, res_nquery, -1, (struct __res_state * s, const char *n, int c, int t, unsigned char *a, int l),   \
      (s, n, c, t, a, l))                                                                                    \
    X(int, res_nsearch, -1, (struct __res_state * s, const char *n, int c, int t, unsigned char *a, int l),  \
      (s, n, c, t, a, l))                                                                                    \
    X(int, res_nsend, -1, (struct __res_state * s, const unsigned char *m, int n, unsigned char *a, int l),  \
      (s, m, n, a, l))                                                                                       \
    X(int, rresvport_af, -1, (int *p, sa_family_t f), (p, f))                                                \
    X(int, bindresvport, -1, (int fd, struct sockaddr_in *a), (fd, a))                                       \
    X(FILE *, freopen, -1, (const char *p, const char *m, FILE *f), (p, m, f))                               \
    X(int, fclose, -1, (FILE * f), (f))                                                                      \
    X(int, vdprintf, -1, (int fd, const char *fmt, va_list ap), (fd, fmt, ap))                               \
    X(long, syscall, -1, (long nr, long a, long b, long c, long d, long e, long f), (nr, a, b, c, d, e, f))

struct __dirstream;
struct aiocb;
struct dirent;
struct file_handle;
struct addrinfo;
struct hostent;
struct ifaddrs;
struct if_nameindex;
struct stat;
struct statx;
struct sockaddr_in;
struct __res_state;

struct libc {
#define X(ret, name, nr, params, args) ret(*name) params;
    LIBC_CALLS(X)
#undef X
};

extern struct libc libc;

/* One system call, without errno: >= 0 or -errno. */
#define raw_syscall sys6

/* From now on the functions that are not NULL in `with` are called in place of the C library's own, which
 * come to *real (all of them). Once a process. */
void libc_count(struct libc *real, const struct libc *with);

/* Loads the engine: the path of a library beside libshunt.so, and its entry point. NULL: *why says what
 * failed. */
void *libc_load(const char *library, const char *symbol, const char **why);

#endif
