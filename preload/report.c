/* report.c: see report.h. */
#include "report.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "libc.h"
#include "stack/api.h"

static const struct shunt_api *real; /* the engine's; NULL: no report */
static struct shunt_api counted;
static struct libc libc_real;
static struct report *rep;

#define SPIN_GAP_NS 5000 /* looks that far apart are one spin */

/* What this thread is about. */
static __thread struct {
    bool asleep;      /* between sleep_prepare and sleep_finish: the ppoll there is ours */
    uint8_t idle;     /* 1 + the kind of its last call, if there was nothing for that; else 0 */
    uint64_t spun_ns; /* when its last look that found nothing ended; 0: it did something since */
} thread __attribute__((tls_model("initial-exec")));

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add(uint64_t *n, uint64_t more)
{
    __atomic_fetch_add(n, more, __ATOMIC_RELAXED);
}

/* --- the stack's side --- */

/* Time from start to now. A look that finds nothing after another one that did is spinning, and so is what
 * is between them. */
static void add_time(uint64_t start, bool idle)
{
    uint64_t over = now_ns(), spun = thread.spun_ns;
    bool spinning = idle && spun && start - spun < SPIN_GAP_NS;

    add(&rep->ns[spinning ? REPORT_SPINNING : REPORT_WORKING], over - (spinning ? spun : start));
    thread.spun_ns = idle ? over : 0;
}

/* A call that waits comes here again and again until there is something: that is one call. */
static ssize_t end(enum report_call what, uint64_t start, ssize_t r)
{
    bool idle = r == -EAGAIN || (r == 0 && what == REPORT_EPOLL_WAIT), again = thread.idle == 1 + what;

    add_time(start, idle);
    if (!again)
        add(&rep->calls[REPORT_STACK][what], 1);
    if (idle != again)
        add(&rep->again[what], idle ? 1 : (uint64_t)-1);
    thread.idle = idle ? (uint8_t)(1 + what) : 0;
    return r;
}

#define COUNT(what, call)                                                                                    \
    ({                                                                                                       \
        uint64_t start_ = now_ns();                                                                          \
        end(REPORT_##what, start_, real->call);                                                              \
    })

static int n_socket(int fd, int domain, int type, int protocol)
{
    return (int)COUNT(SOCKET, socket(fd, domain, type, protocol));
}

static int n_dup(struct ref r, int newfd)
{
    return (int)COUNT(DUP, dup(r, newfd));
}

static int n_close(int fd)
{
    return (int)COUNT(CLOSE, close(fd));
}

static int n_close_linger(int fd, struct ref *r)
{
    return (int)COUNT(CLOSE, close_linger(fd, r));
}

static int n_bind(struct ref r, const struct sockaddr *sa, socklen_t len)
{
    return (int)COUNT(BIND, bind(r, sa, len));
}

static int n_listen(struct ref r, int backlog)
{
    return (int)COUNT(LISTEN, listen(r, backlog));
}

static int n_connect(struct ref r, const struct sockaddr *sa, socklen_t len)
{
    return (int)COUNT(CONNECT, connect(r, sa, len));
}

static int n_accept(struct ref r, int newfd, struct sockaddr *sa, socklen_t *len)
{
    return (int)COUNT(ACCEPT, accept(r, newfd, sa, len));
}

static int n_shutdown(struct ref r, int how)
{
    return (int)COUNT(SHUTDOWN, shutdown(r, how));
}

static int n_getsockname(struct ref r, struct sockaddr *sa, socklen_t *len)
{
    return (int)COUNT(NAME, getsockname(r, sa, len));
}

static int n_getpeername(struct ref r, struct sockaddr *sa, socklen_t *len)
{
    return (int)COUNT(NAME, getpeername(r, sa, len));
}

static int n_ioctl(struct ref r, unsigned long req, void *arg)
{
    return (int)COUNT(IOCTL, ioctl(r, req, arg));
}

static struct report_option *option(int level, int name)
{
    uint64_t key = ((uint64_t)(uint32_t)level << 32 | (uint32_t)name) + 1;
    for (unsigned i = 0; i < REPORT_OPTIONS; i++) {
        uint64_t there = 0;
        if (__atomic_compare_exchange_n(&rep->option[i].key, &there, key, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED) ||
            there == key)
            return &rep->option[i];
    }
    return NULL;
}

static void note_option(int level, int name, bool set, int r)
{
    struct report_option *o = option(level, name);
    if (!o)
        return;
    add(set ? &o->set : &o->got, 1);
    if (r == -ENOPROTOOPT || r == -EOPNOTSUPP)
        add(&o->refused, 1);
}

static int n_getsockopt(struct ref r, int level, int name, void *val, socklen_t *len)
{
    int rc = (int)COUNT(GETSOCKOPT, getsockopt(r, level, name, val, len));
    note_option(level, name, false, rc);
    return rc;
}

static int n_setsockopt(struct ref r, int level, int name, const void *val, socklen_t len)
{
    int rc = (int)COUNT(SETSOCKOPT, setsockopt(r, level, name, val, len));
    note_option(level, name, true, rc);
    return rc;
}

static ssize_t n_sendmsg(struct ref r, const struct msghdr *msg, int flags, size_t skip)
{
    ssize_t n = COUNT(SEND, sendmsg(r, msg, flags, skip));
    if (n > 0)
        add(&rep->sent, (uint64_t)n);
    return n;
}

static ssize_t n_recvmsg(struct ref r, struct msghdr *msg, int flags, size_t skip)
{
    ssize_t n = COUNT(RECEIVE, recvmsg(r, msg, flags, skip));
    if (n > 0)
        add(&rep->received, (uint64_t)n);
    return n;
}

static ssize_t n_sendfile(struct ref r, int in_fd, off_t *off, size_t count)
{
    ssize_t n = COUNT(SENDFILE, sendfile(r, in_fd, off, count));
    if (n > 0)
        add(&rep->sendfile, (uint64_t)n);
    return n;
}

static int n_eset_ctl(struct ref set, int op, int fd, struct epoll_event *ev)
{
    return (int)COUNT(EPOLL_CTL, eset_ctl(set, op, fd, ev));
}

static int n_eset_wait(struct ref set, struct epoll_event *ev, int max)
{
    return (int)COUNT(EPOLL_WAIT, eset_wait(set, ev, max));
}

/* A look at the devices by who waits. */
static unsigned n_poll_devices(void)
{
    uint64_t start = now_ns();
    unsigned n = real->poll_devices();
    add_time(start, n == 0);
    return n;
}

static unsigned n_poll_begin(void)
{
    return (unsigned)COUNT(POLL, poll_begin());
}

static int n_sleep_prepare(struct waiter *w, struct pollfd *p, nfds_t *n, uint64_t *deadline_ns)
{
    uint64_t start = now_ns();
    int r = real->sleep_prepare(w, p, n, deadline_ns);
    add_time(start, false);
    thread.asleep = true;
    return r;
}

static void n_sleep_finish(struct waiter *w, struct pollfd *p, nfds_t n)
{
    uint64_t start = now_ns();
    thread.asleep = false;
    real->sleep_finish(w, p, n);
    add_time(start, false);
}

static void count_stack(void)
{
    counted.socket = n_socket;
    counted.dup = n_dup;
    counted.close = n_close;
    counted.close_linger = n_close_linger;
    counted.bind = n_bind;
    counted.listen = n_listen;
    counted.connect = n_connect;
    counted.accept = n_accept;
    counted.shutdown = n_shutdown;
    counted.getsockname = n_getsockname;
    counted.getpeername = n_getpeername;
    counted.getsockopt = n_getsockopt;
    counted.setsockopt = n_setsockopt;
    counted.ioctl = n_ioctl;
    counted.sendmsg = n_sendmsg;
    counted.recvmsg = n_recvmsg;
    counted.sendfile = n_sendfile;
    counted.eset_ctl = n_eset_ctl;
    counted.eset_wait = n_eset_wait;
    counted.poll_devices = n_poll_devices;
    counted.poll_begin = n_poll_begin;
    counted.sleep_prepare = n_sleep_prepare;
    counted.sleep_finish = n_sleep_finish;
}

/* --- the kernel's side --- */

/* Y(kind, function of struct libc): calls of the program's on descriptors that the stack has no say in, files
 * and pipes too. Not close, dup and fcntl: we make those ourselves for each socket. */
#define KERNEL_CALLS(Y)                                                                                      \
    Y(SOCKET, socket)                                                                                        \
    Y(BIND, bind)                                                                                            \
    Y(LISTEN, listen)                                                                                        \
    Y(ACCEPT, accept)                                                                                        \
    Y(ACCEPT, accept4)                                                                                       \
    Y(CONNECT, connect)                                                                                      \
    Y(RECEIVE, read)                                                                                         \
    Y(RECEIVE, readv)                                                                                        \
    Y(RECEIVE, recv)                                                                                         \
    Y(RECEIVE, recvfrom)                                                                                     \
    Y(RECEIVE, recvmsg)                                                                                      \
    Y(RECEIVE, recvmmsg)                                                                                     \
    Y(SEND, write)                                                                                           \
    Y(SEND, writev)                                                                                          \
    Y(SEND, send)                                                                                            \
    Y(SEND, sendto)                                                                                          \
    Y(SEND, sendmsg)                                                                                         \
    Y(SEND, sendmmsg)                                                                                        \
    Y(SENDFILE, sendfile)                                                                                    \
    Y(SENDFILE, splice)                                                                                      \
    Y(POLL, poll)                                                                                            \
    Y(POLL, ppoll)                                                                                           \
    Y(POLL, select)                                                                                          \
    Y(POLL, pselect)                                                                                         \
    Y(EPOLL_CTL, epoll_ctl)                                                                                  \
    Y(EPOLL_WAIT, epoll_wait)                                                                                \
    Y(EPOLL_WAIT, epoll_pwait)                                                                               \
    Y(EPOLL_WAIT, epoll_pwait2)                                                                              \
    Y(GETSOCKOPT, getsockopt)                                                                                \
    Y(SETSOCKOPT, setsockopt)                                                                                \
    Y(IOCTL, ioctl)                                                                                          \
    Y(NAME, getsockname)                                                                                     \
    Y(NAME, getpeername)                                                                                     \
    Y(SHUTDOWN, shutdown)

/* kind_of.read is the kind of read(2). */
static const struct {
#define X(ret, name, nr, params, args) unsigned char name;
    LIBC_CALLS(X)
#undef X
} kind_of = {
#define Y(kind, name) .name = 1 + REPORT_##kind,
    KERNEL_CALLS(Y)
#undef Y
};

static bool waits(unsigned char kind)
{
    return kind == 1 + REPORT_POLL || kind == 1 + REPORT_EPOLL_WAIT;
}

static uint64_t kernel_begin(unsigned char kind)
{
    if (!thread.asleep)
        add(&rep->calls[REPORT_KERNEL][kind - 1], 1);
    return waits(kind) ? now_ns() : 0;
}

static void kernel_end(const uint64_t *start)
{
    int saved = errno;
    if (*start)
        add(&rep->ns[REPORT_SLEEPING], now_ns() - *start);
    errno = saved;
}

/* A result of any type: the end comes by the cleanup, also for a thread that is cancelled in the call. */
#define X(ret, name, nr, params, args)                                                                       \
    __attribute__((unused)) static ret k_##name params                                                       \
    {                                                                                                        \
        uint64_t start __attribute__((cleanup(kernel_end), unused)) = kernel_begin(kind_of.name);            \
        return libc_real.name args;                                                                          \
    }
LIBC_CALLS(X)
#undef X

static void count_kernel(void)
{
    static const struct libc with = {
#define Y(kind, name) .name = k_##name,
        KERNEL_CALLS(Y)
#undef Y
    };
    libc_count(&libc_real, &with);
}

const struct shunt_api *report_follow(const struct shunt_api *a)
{
    bool first = !rep;
    if (a == &counted)
        a = real;
    if (!a || !a->report)
        return a;
    rep = a->report;
    real = a;
    counted = *a;
    count_stack();
    if (first)
        count_kernel();
    return &counted;
}

uint32_t *report_unsupported(void)
{
    return rep ? rep->unsupported : NULL;
}
