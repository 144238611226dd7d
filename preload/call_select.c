/* call_select.c: select, pselect, as a poll over the descriptors of the three sets. Like the kernel it looks
 * at the first nfds bits, however large the sets are. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/select.h>

#include "fdtab.h"
#include "libc.h"
#include "many.h"
#include "wait.h"

/* What makes a descriptor ready in each set: Linux's POLLIN_SET, POLLOUT_SET, POLLEX_SET. */
#define IN_SET  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define OUT_SET (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define EX_SET  POLLPRI

#define WORD (8 * sizeof(unsigned long))

struct sets {
    unsigned long *in, *out, *ex; /* any may be NULL */
    int n;
};

static unsigned long word(const unsigned long *set, size_t i)
{
    return set ? set[i] : 0;
}

static bool is_set(const unsigned long *set, int fd)
{
    return set && (set[(size_t)fd / WORD] >> ((size_t)fd % WORD) & 1);
}

/* Next descriptor in any set, from fd on, or -1. */
static int next_fd(const struct sets *s, int fd)
{
    while (fd < s->n) {
        size_t i = (size_t)fd / WORD;
        unsigned long any = (word(s->in, i) | word(s->out, i) | word(s->ex, i)) >> ((size_t)fd % WORD);
        if (any) {
            fd += __builtin_ctzl(any);
            return fd < s->n ? fd : -1;
        }
        fd = (int)((i + 1) * WORD);
    }
    return -1;
}

static inline __attribute__((always_inline)) bool is_there(unsigned long *set, size_t bytes)
{
    return !set || is_on_stack(set, bytes) || USER_WRITABLE(set, bytes);
}

/* Is a stack's descriptor in a set? Sets that aren't there are the kernel's to refuse. */
static bool has_stack(const struct sets *s)
{
    size_t bytes = ((size_t)s->n + WORD - 1) / WORD * sizeof(unsigned long);
    if (!fdtab || !is_there(s->in, bytes) || !is_there(s->out, bytes) || !is_there(s->ex, bytes))
        return false;
    for (int fd = -1; (fd = next_fd(s, fd + 1)) >= 0;)
        if (fd_is_stack(fd))
            return true;
    return false;
}

static void clear(const struct sets *s)
{
    size_t bytes = ((size_t)s->n + WORD - 1) / WORD * sizeof(unsigned long);
    unsigned long *set[] = {s->in, s->out, s->ex};
    for (int i = 0; i < 3; i++)
        if (set[i])
            memset(set[i], 0, bytes);
}

static int mark(unsigned long *set, int fd)
{
    set[(size_t)fd / WORD] |= 1ul << ((size_t)fd % WORD);
    return 1;
}

/* Bits set in all three, from the polled entries; the entries' events say in which sets they were. */
static int fill(const struct sets *s, const struct pollfd *p, int n)
{
    int ready = 0;
    clear(s);
    for (int i = 0; i < n; i++) {
        if ((p[i].events & POLLIN) && (p[i].revents & IN_SET))
            ready += mark(s->in, p[i].fd);
        if ((p[i].events & POLLOUT) && (p[i].revents & OUT_SET))
            ready += mark(s->out, p[i].fd);
        if ((p[i].events & EX_SET) && (p[i].revents & EX_SET))
            ready += mark(s->ex, p[i].fd);
    }
    return ready;
}

static int stack_select(const struct sets *s, uint64_t deadline_ns, const sigset_t *sigmask)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    int n = 0;
    mem.mapped = 0;
    for (int fd = -1; (fd = next_fd(s, fd + 1)) >= 0;)
        n++;
    struct pollfd *p = scratch_get(&mem, (size_t)n * sizeof(*p));
    if (!p)
        return -ENOMEM;
    n = 0;
    for (int fd = -1; (fd = next_fd(s, fd + 1)) >= 0; n++) {
        p[n] = (struct pollfd){.fd = fd};
        if (is_set(s->in, fd))
            p[n].events |= POLLIN | POLLRDNORM | POLLRDBAND;
        if (is_set(s->out, fd))
            p[n].events |= POLLOUT | POLLWRNORM | POLLWRBAND;
        if (is_set(s->ex, fd))
            p[n].events |= EX_SET;
    }
    int r = many_poll(p, (nfds_t)n, deadline_ns, sigmask);
    for (int i = 0; r > 0 && i < n; i++)
        if (p[i].revents & POLLNVAL)
            return -EBADF;
    return r < 0 ? r : fill(s, p, n);
}

static struct sets sets_of(int n, fd_set *in, fd_set *out, fd_set *ex)
{
    return (struct sets){
        .in = (unsigned long *)in, .out = (unsigned long *)out, .ex = (unsigned long *)ex, .n = n};
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *t)
{
    struct sets s = sets_of(n, in, out, ex);
    if (n < 0 || !has_stack(&s))
        return libc.select(n, in, out, ex, t);
    if (t && !USER_WRITABLE(t, sizeof(*t)))
        return (int)to_errno(-EFAULT);
    if (t && (t->tv_sec < 0 || t->tv_usec < 0))
        return (int)to_errno(-EINVAL);
    uint64_t deadline = NEVER;
    if (t && t->tv_sec < 1000000000)
        deadline = t->tv_sec || t->tv_usec ? wait_deadline_us((int64_t)t->tv_sec * 1000000 + t->tv_usec) : 0;
    int r = stack_select(&s, deadline, NULL);
    if (t && deadline != NEVER) { /* Linux leaves the time not slept */
        uint64_t now = deadline ? wait_now_ns() : 0, left = deadline > now ? deadline - now : 0;
        t->tv_sec = (time_t)(left / 1000000000u);
        t->tv_usec = (suseconds_t)(left % 1000000000u / 1000);
    }
    return (int)to_errno(r);
}

int __select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *t) ALIAS(select);

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *t,
                   const sigset_t *sigmask)
{
    struct sets s = sets_of(n, in, out, ex);
    if (n < 0 || !has_stack(&s))
        return libc.pselect(n, in, out, ex, t, sigmask);
    if (t && !USER_READABLE(t, sizeof(*t)))
        return (int)to_errno(-EFAULT);
    if (t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec > 999999999))
        return (int)to_errno(-EINVAL);
    bool now = t && t->tv_sec == 0 && t->tv_nsec == 0;
    return (int)to_errno(stack_select(&s, now ? 0 : wait_deadline(t), sigmask));
}
