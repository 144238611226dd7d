/* call_poll.c: poll, ppoll.
 *
 * Theory of operation. The engine tells a stack descriptor's bits, the kernel is asked about its own in one
 * ppoll over a compact copy. A twin and an epoll set have both sides: their bits are joined. Descriptors of
 * the kernel alone go straight to libc.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fdtab.h"
#include "libc.h"
#include "many.h"
#include "wait.h"

/* <poll.h> declares the array as one that poll only writes. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define ENOUGH_NS    20000
#define POLL_UNASKED 64 /* entries for which the limit on descriptors is not looked at */

void *scratch_get(struct scratch *s, size_t size)
{
    s->mapped = 0;
    s->at = s->small;
    if (size > sizeof(s->small)) {
        s->at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        s->mapped = size;
    }
    return s->at == MAP_FAILED ? NULL : s->at;
}

void scratch_free(struct scratch *s)
{
    if (s->mapped && s->at != MAP_FAILED)
        munmap(s->at, s->mapped);
    s->mapped = 0;
}

struct many {
    struct wait w; /* first; w.p: the kernel's entries */
    struct pollfd *p;
    nfds_t n;
    int *index; /* of w.p's entries in p */
};

bool many_has_stack(const struct pollfd *p, nfds_t n)
{
    if (!fdtab)
        return false;
    if (!(n < 256 && is_on_stack(p, n * sizeof(*p))) && !USER_WRITABLE((void *)p, n * sizeof(*p)))
        return false; /* the kernel says EFAULT, or EINVAL */
    for (nfds_t i = 0; i < n; i++)
        if (fd_is_stack(p[i].fd))
            return true;
    return false;
}

/* Whether the kernel has a say in a stack's number. */
static bool two_sided(int fd)
{
    return fd_has(fd, FD_TWIN) || fd_has(fd, FD_EPSET);
}

static void split(struct many *m)
{
    for (nfds_t i = 0; i < m->n; i++) {
        int fd = m->p[i].fd;
        if (fd < 0 || (fd_is_stack(fd) && !two_sided(fd)))
            continue;
        m->index[m->w.n] = (int)i;
        m->w.p[m->w.n++] = (struct pollfd){.fd = fd, .events = m->p[i].events};
    }
}

/* The engine's bits as poll(2) names them: data that can be read is normal data. */
static short poll_bits(int bits)
{
    if (bits < 0)
        return POLLNVAL;
    if (bits & EPOLLIN)
        bits |= POLLRDNORM;
    if (bits & EPOLLOUT)
        bits |= POLLWRNORM;
    return (short)bits;
}

static int many_check(struct wait *w)
{
    struct many *m = (struct many *)w;
    int ready = 0;
    for (nfds_t i = 0; i < m->n; i++) {
        struct pollfd *p = &m->p[i];
        p->revents = 0;
        if (p->fd >= 0 && fd_is_stack(p->fd))
            p->revents = poll_bits(api->poll(by_fd(p->fd))) & (p->events | POLLERR | POLLHUP | POLLNVAL);
        ready += p->revents != 0;
    }
    return ready;
}

static int many_watch(struct wait *w, struct waiter *by)
{
    struct many *m = (struct many *)w;
    for (nfds_t i = 0; i < m->n; i++) {
        struct pollfd *p = &m->p[i];
        if (p->fd < 0 || !fd_is_stack(p->fd))
            continue;
        uint32_t mask = (uint32_t)(unsigned short)p->events;
        if (mask & POLLRDNORM)
            mask |= EPOLLIN;
        if (mask & POLLWRNORM)
            mask |= EPOLLOUT;
        int r = api->watch(by, by_fd(p->fd), mask);
        if (r)
            return r;
    }
    return 0;
}

static int count(const struct many *m)
{
    int n = 0;
    for (nfds_t i = 0; i < m->n; i++)
        n += m->p[i].revents != 0;
    return n;
}

/* When this thread polled the devices last. */
static __thread uint64_t polled_ns __attribute__((tls_model("initial-exec")));

/* Is there something to read, and were the devices polled just now? Then they may wait: what they hold would
 * only be queued behind it, and be out of the cache when its turn comes. */
static bool enough(struct many *m)
{
    if (many_check(&m->w) == 0 || wait_now_ns() - polled_ns >= ENOUGH_NS)
        return false;
    for (nfds_t i = 0; i < m->n; i++)
        if (m->p[i].revents & POLLIN)
            return true;
    return false;
}

/* One look at all. Entries that have something, or -errno. */
static int look(struct many *m)
{
    guard_enter();
    if (!enough(m)) {
        api->poll_begin();
        many_check(&m->w);
        polled_ns = wait_now_ns();
    }
    guard_leave();
    if (m->w.n > 0) {
        int r = libc.poll(m->w.p, m->w.n, 0);
        if (r < 0 && errno != EINTR)
            return -errno;
        for (nfds_t k = 0; r > 0 && k < m->w.n; k++)
            m->p[m->index[k]].revents |= m->w.p[k].revents;
    }
    return count(m);
}

/* Linux: ppoll that finds nothing notices the signals that its mask lets in, also when it does not wait. */
static int let_signals(const struct many *m)
{
    struct timespec zero = {0};
    return libc.ppoll(NULL, 0, &zero, m->w.sigmask) < 0 ? -errno : 0;
}

static int loop(struct many *m)
{
    wait_begin(&m->w);
    for (;;) {
        int r = look(m);
        if (r == 0 && m->w.deadline_ns == 0 && m->w.sigmask)
            return let_signals(m);
        if (r != 0 || m->w.deadline_ns == 0)
            return r;
        r = wait_run(&m->w);
        if (r < 0)
            return r;
        if (r == 0)
            return look(m);
    }
}

int many_poll(struct pollfd *p, nfds_t n, uint64_t deadline_ns, const sigset_t *sigmask)
{
    struct scratch s __attribute__((cleanup(scratch_free)));
    struct rlimit lim;
    s.mapped = 0;
    if (sigmask && !USER_READABLE(sigmask, sizeof(uint64_t)))
        return -EFAULT;
    if (n > POLL_UNASKED && getrlimit(RLIMIT_NOFILE, &lim) == 0 && n > lim.rlim_cur)
        return -EINVAL;
    struct pollfd *kernel = scratch_get(&s, (n + SLEEP_FDS) * sizeof(*kernel) + n * sizeof(int));
    if (!kernel)
        return -ENOMEM;
    struct many m = {.w = {.check = many_check,
                           .watch = many_watch,
                           .p = kernel,
                           .deadline_ns = deadline_ns,
                           .sigmask = sigmask,
                           .never_restart = true},
                     .p = p,
                     .n = n,
                     .index = (int *)(kernel + n + SLEEP_FDS)};
    split(&m);
    return loop(&m);
}

EXPORT int poll(struct pollfd *p, nfds_t n, int ms)
{
    if (!many_has_stack(p, n))
        return libc.poll(p, n, ms);
    return (int)to_errno(
        many_poll(p, n, ms == 0 ? 0 : wait_deadline_us(ms < 0 ? -1 : (int64_t)ms * 1000), NULL));
}

int __poll(struct pollfd *p, nfds_t n, int ms) ALIAS(poll);

EXPORT int ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *sigmask)
{
    if (!many_has_stack(p, n))
        return libc.ppoll(p, n, t, sigmask);
    if (t && !USER_READABLE(t, sizeof(*t)))
        return (int)to_errno(-EFAULT);
    if (t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec > 999999999))
        return (int)to_errno(-EINVAL);
    bool now = t && t->tv_sec == 0 && t->tv_nsec == 0;
    return (int)to_errno(many_poll(p, n, now ? 0 : wait_deadline(t), sigmask));
}
