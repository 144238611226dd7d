/* call_epoll.c: epoll sets of kernel and stack descriptors.
 *
 * Theory of operation. The number of a set is a kernel epoll descriptor; the set's stack half is a file of
 * the engine (api->eset_create) installed at the same number, from the set's creation when a stack runs, else
 * from the first stack descriptor that is added. Kernel descriptors go into the kernel's half, stack
 * descriptors into the engine's, a listener with a twin and a nested set into both: then each side reports
 * what it has, and both reports are true. epoll_wait asks the engine's half at every call, and the kernel's
 * when it may have items (FD_KERNEL): before sleeping and when it must not wait and the stack has nothing
 * always, in a busy loop every KERNEL_NS, so that a system call is not the price of every turn. Events that
 * the kernel hands out are handed on, never dropped (edge-triggered ones would be lost): it is only asked for
 * what fits. When both have more than fits they take turns. A socket that is added while undecided and then
 * goes to the kernel (or gets a twin) has to be in the kernel's half from then on: such registrations are
 * remembered.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"
#include "older.h"
#include "place.h"
#include "wait.h"

#define KERNEL_NS     20000
#define KERNEL_EMPTY  8
#define PENDING_FIRST 1024 /* registrations remembered at first; the room doubles */

/* --- registrations of undecided sockets --- */

/* In memory of our own: the program's heap is not ours to use. first[fd] leads to fd's, 0: none; entry 0 is
 * not used. Free ones hang together by next. */
static struct pending {
    int epfd, fd;
    uint32_t next;
    struct epoll_event ev;
} * pending;
static uint32_t pending_room, pending_fresh = 1, pending_free;
static uint32_t first[SHUNT_FD_MAX];
static uint32_t npending;
static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;

static bool pending_grow(void)
{
    uint32_t room = pending_room ? 2 * pending_room : PENDING_FIRST;
    void *p = pending
                  ? mremap(pending, pending_room * sizeof(*pending), room * sizeof(*pending), MREMAP_MAYMOVE)
                  : libc.mmap(NULL, room * sizeof(*pending), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    pending = p;
    pending_room = room;
    return true;
}

/* 0: no memory; the registration is not remembered then. */
static uint32_t pending_new(void)
{
    uint32_t i = pending_free;
    if (i) {
        pending_free = pending[i].next;
        return i;
    }
    if (pending_fresh >= pending_room && !pending_grow())
        return 0;
    return pending_fresh++;
}

/* Forgets fd's registrations: with epfd, < 0: all. */
static void pending_drop(int epfd, int fd)
{
    uint32_t *at = &first[fd], i;
    while ((i = *at)) {
        if (epfd >= 0 && pending[i].epfd != epfd) {
            at = &pending[i].next;
            continue;
        }
        *at = pending[i].next;
        pending[i].epfd = -1;
        pending[i].next = pending_free;
        pending_free = i;
        __atomic_store_n(&npending, npending - 1, __ATOMIC_RELAXED);
    }
}

static void pending_note(int epfd, int op, int fd, const struct epoll_event *ev)
{
    guard_enter(); /* a handler may come here as well */
    pthread_mutex_lock(&pending_lock);
    pending_drop(epfd, fd);
    uint32_t i = op == EPOLL_CTL_DEL ? 0 : pending_new();
    if (i) {
        pending[i] = (struct pending){.epfd = epfd, .fd = fd, .next = first[fd], .ev = *ev};
        first[fd] = i;
        __atomic_store_n(&npending, npending + 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&pending_lock);
    guard_leave();
}

void epoll_moved(int fd)
{
    if (__atomic_load_n(&npending, __ATOMIC_RELAXED) == 0)
        return;
    guard_enter();
    pthread_mutex_lock(&pending_lock);
    for (uint32_t i = first[fd]; i; i = pending[i].next) {
        struct pending *e = &pending[i];
        if (libc.epoll_ctl(e->epfd, EPOLL_CTL_ADD, fd, &e->ev) == 0)
            fd_mark(e->epfd, FD_KERNEL);
    }
    pending_drop(-1, fd);
    pthread_mutex_unlock(&pending_lock);
    guard_leave();
}

void epoll_closed(int fd)
{
    if (__atomic_load_n(&npending, __ATOMIC_RELAXED) == 0)
        return;
    guard_enter();
    pthread_mutex_lock(&pending_lock);
    for (uint32_t i = 1; fd_has(fd, FD_EPSET) && i < pending_fresh; i++)
        if (pending[i].epfd == fd)
            pending_drop(fd, pending[i].fd);
    pending_drop(-1, fd);
    pthread_mutex_unlock(&pending_lock);
    guard_leave();
}

void epoll_child(void)
{
    pthread_mutex_init(&pending_lock, NULL);
    older_child();
}

/* --- sets --- */

/* Gives the kernel set epfd a stack half. */
static int attach(int epfd, unsigned char bits)
{
    if ((unsigned)epfd >= SHUNT_FD_MAX)
        return -EINVAL;
    int r = API(eset_create(epfd));
    if (r == 0)
        fdtab_set(epfd, bits | FD_EPSET);
    return r;
}

static int created(int epfd)
{
    if (epfd >= 0 && api && fdtab && guard.depth == 0) {
        int r = attach(epfd, 0);
        if (r < 0) {
            libc.close(epfd);
            return (int)to_errno(r);
        }
    }
    return epfd;
}

EXPORT int epoll_create(int size)
{
    return created(libc.epoll_create(size));
}

EXPORT int epoll_create1(int flags)
{
    return created(libc.epoll_create1(flags));
}

/* --- epoll_ctl --- */

/* Is epfd an epoll set at all? The kernel says so without changing anything: the placeholder on fd's number
 * is in no set. */
static int check_set(int epfd, int fd)
{
    if (libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

static int kernel_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    if (op != EPOLL_CTL_DEL && fd_is_stack(epfd))
        fd_mark(epfd, FD_KERNEL);
    return libc.epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
}

static int stack_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    if (!fd_is_stack(epfd)) {
        int r = check_set(epfd, fd);
        if (r < 0)
            return r;
        if (op != EPOLL_CTL_ADD)
            return op == EPOLL_CTL_MOD || op == EPOLL_CTL_DEL ? -ENOENT : -EINVAL;
        r = attach(epfd, FD_KERNEL); /* older than the stack: what it has is not known here */
        if (r < 0)
            return r;
        older_wake(epfd);
    }
    int r = API(eset_ctl(by_fd(epfd), op, fd, ev));
    if (r < 0)
        return r;
    if (fd_has(fd, FD_TWIN) || fd_has(fd, FD_EPSET)) {
        kernel_ctl(epfd, op, fd, ev);
        return 0;
    }
    if (op == EPOLL_CTL_DEL ? npending > 0 : API(placement(by_fd(fd))) == PLACE_UNDECIDED)
        pending_note(epfd, op, fd, ev);
    return 0;
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    if (!fd_is_stack(fd)) {
        if (!fd_is_stack(epfd))
            return libc.epoll_ctl(epfd, op, fd, ev);
        return (int)to_errno(kernel_ctl(epfd, op, fd, ev));
    }
    if (op != EPOLL_CTL_DEL && !USER_READABLE(ev, sizeof(*ev)))
        return (int)to_errno(-EFAULT);
    if (epfd == fd)
        return (int)to_errno(-EINVAL);
    return (int)to_errno(stack_ctl(epfd, op, fd, ev));
}

/* --- epoll_wait --- */

/* How long a call may wait. The clock is read when there is something to wait for. */
struct patience {
    int64_t us;     /* < 0: for ever; 0: not at all, unless at_ns says otherwise */
    uint64_t at_ns; /* CLOCK_MONOTONIC, or NEVER */
};

struct set {
    struct wait w; /* first */
    int epfd;
    struct epoll_event *ev;
    int max, got; /* got: what a turn of spinning found */
    struct pollfd p[1 + SLEEP_FDS];
};

/* This thread's looks at kernel halves, while stack halves keep it busy: of the sets it waits in, so that
 * none is passed over because another one was just looked at. */
#define LOOKS 4 /* sets whose numbers fall on one place share it, the last comer's */
static __thread struct looks {
    uint64_t last_ns;
    unsigned empty; /* looks in a row that found nothing */
    int epfd;
} kernel_looks[LOOKS] __attribute__((tls_model("initial-exec")));

static inline struct looks *looks_of(int epfd)
{
    struct looks *l = &kernel_looks[(unsigned)epfd % LOOKS];
    if (__builtin_expect(l->epfd != epfd, 0))
        *l = (struct looks){.epfd = epfd};
    return l;
}

static int kernel_events(int epfd, struct epoll_event *ev, int max)
{
    int n = max > 0 ? older_filter(epfd, ev, libc.epoll_wait(epfd, ev, max, 0)) : 0;
    struct looks *l = looks_of(epfd);
    l->empty = n > 0 ? 0 : l->empty + 1;
    return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

static int stack_events(int epfd, struct epoll_event *ev, int max)
{
    return max > 0 ? API(eset_wait(by_fd(epfd), ev, max)) : 0;
}

/* Whether to ask the kernel's half although the stack's may have something: as long as that pays, then every
 * KERNEL_NS. The time is the stack's, which the look at its half has just brought up to date. */
static bool kernel_due(int epfd)
{
    struct looks *l = looks_of(epfd);
    uint64_t now = wait_shard_ns();
    if (l->empty >= KERNEL_EMPTY && now - l->last_ns < KERNEL_NS)
        return false;
    l->last_ns = now;
    return true;
}

/* Both halves into one array: the stack's first, unless it left no room for the kernel's the last time that
 * this one was due. all: the kernel's is asked even so when the stack's has nothing. */
static int look(struct set *s, bool all)
{
    int epfd = s->epfd, a = 0, b;
    if (!fd_has(epfd, FD_KERNEL))
        return stack_events(epfd, s->ev, s->max);
    if (fd_has(epfd, FD_TURN)) {
        fd_unmark(epfd, FD_TURN);
        a = kernel_events(epfd, s->ev, s->max);
        if (a < 0)
            return a;
        b = stack_events(epfd, s->ev + a, s->max - a);
    } else {
        a = stack_events(epfd, s->ev, s->max);
        if (a < 0 || (!(all && a == 0) && !kernel_due(epfd)))
            return a;
        if (a == s->max)
            fd_mark(epfd, FD_TURN);
        b = kernel_events(epfd, s->ev + a, s->max - a);
    }
    return b < 0 ? (a ? a : b) : a + b;
}

static int set_check(struct wait *w)
{
    struct set *s = (struct set *)w;
    return api->poll(by_fd(s->epfd)) != 0;
}

/* Spinning: the stack's half. At the kernel's wait_run looks every KERNEL_NS, and each call that finds it
 * due: so it is never left alone for longer than that and a turn of the program's loop. */
static int set_turn(struct wait *w)
{
    struct set *s = (struct set *)w;
    s->got = stack_events(s->epfd, s->ev, s->max);
    return s->got != 0;
}

static int set_watch(struct wait *w, struct waiter *by)
{
    struct set *s = (struct set *)w;
    return api->watch(by, by_fd(s->epfd), EPOLLIN | EPOLLEXCLUSIVE);
}

/* The kernel's half is always slept on: another process of the family may have put something there. */
static int set_wait(struct set *s, const struct patience *t, const sigset_t *sigmask)
{
    wait_begin(&s->w);
    bool waits = t->us || t->at_ns;
    int n = look(s, !waits);
    if (n != 0 || !waits)
        return n;
    s->w = (struct wait){.check = set_check,
                         .watch = set_watch,
                         .turn = set_turn,
                         .p = s->p,
                         .n = 1,
                         .deadline_ns = t->at_ns ? t->at_ns : wait_deadline_us(t->us),
                         .sigmask = sigmask,
                         .never_restart = true,
                         .handlers = s->w.handlers,
                         .interrupting = s->w.interrupting};
    s->p[0] = (struct pollfd){.fd = s->epfd, .events = POLLIN};
    for (;;) {
        s->got = 0;
        int r = wait_run(&s->w);
        if (r < 0)
            return r;
        if (s->p[0].revents)
            fd_mark(s->epfd, FD_KERNEL);
        n = s->got ? s->got : look(s, true);
        if (n != 0 || r == 0)
            return n;
    }
}

/* Apart, because of its frame. */
__attribute__((noinline)) static int both_wait(int epfd, struct epoll_event *ev, int max,
                                               const struct patience *t, const sigset_t *mask)
{
    struct set s;
    s.epfd = epfd;
    s.ev = ev;
    s.max = max;
    return set_wait(&s, t, mask);
}

static int stack_epoll_wait(int epfd, struct epoll_event *ev, int max, struct patience t,
                            const sigset_t *mask)
{
    if (mask && !USER_READABLE(mask, sizeof(uint64_t)))
        return -EFAULT;
    if (!fd_has(epfd, FD_EPSET))
        return -EINVAL;
    if (max <= 0 || max > (int)(INT_MAX / sizeof(*ev)))
        return -EINVAL;
    return both_wait(epfd, ev, max, &t, mask);
}

static struct patience of_ms(int ms)
{
    return (struct patience){.us = ms < 0 ? -1 : (int64_t)ms * 1000};
}

/* Has the set kernel descriptors alone? Then a wait is the kernel's, unless it has to sleep: the stack's half
 * may get its first socket meanwhile. So those that don't sleep cost what they cost on the kernel: nothing is
 * to be returned to behind the system call, where returns are dear on processors that forget them there. */
static inline bool kernel_only(int epfd)
{
    return fd_has(epfd, FD_EPSET) && api->eset_is_empty(epfd);
}

/* A wait that may sleep on a set that is the kernel's alone, so far (older.h). t: epoll_pwait2's, else ms
 * counts. Apart, because of its frame. */
__attribute__((noinline)) static int older_wait(int epfd, struct epoll_event *ev, int max, int ms,
                                                const struct timespec *t, const sigset_t *mask)
{
    uint64_t begun_ns = t || ms > 0 ? wait_now_ns() : 0;
    struct patience p = {.at_ns = NEVER};
    int n = 0;

    older_enter(epfd);
    if (!fd_is_stack(epfd))
        n = t ? libc.epoll_pwait2(epfd, ev, max, t, mask) : libc.epoll_pwait(epfd, ev, max, ms, mask);
    n = older_leave(epfd, ev, n);
    if (n != 0 || !fd_is_stack(epfd))
        return n;
    if (t && !USER_READABLE(t, sizeof(*t)))
        return (int)to_errno(-EFAULT);
    if (t || ms > 0)
        p.at_ns = t ? wait_deadline(t) : wait_deadline_us((int64_t)ms * 1000);
    if (p.at_ns != NEVER)
        p.at_ns -= wait_now_ns() - begun_ns;
    return (int)to_errno(stack_epoll_wait(epfd, ev, max, p, mask));
}

EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int ms)
{
    if (!fd_is_stack(epfd) && ms != 0 && older_matters())
        return older_wait(epfd, ev, max, ms, NULL, NULL);
    if (!fd_is_stack(epfd) || (ms == 0 && kernel_only(epfd)))
        return older_calling() ? older_filter(epfd, ev, libc.epoll_wait(epfd, ev, max, ms))
                               : libc.epoll_wait(epfd, ev, max, ms);
    if (kernel_only(epfd)) {
        int n = older_filter(epfd, ev, libc.epoll_wait(epfd, ev, max, 0));
        if (n != 0)
            return n;
    }
    return (int)to_errno(stack_epoll_wait(epfd, ev, max, of_ms(ms), NULL));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int ms, const sigset_t *mask)
{
    if (!fd_is_stack(epfd) && ms != 0 && older_matters())
        return older_wait(epfd, ev, max, ms, NULL, mask);
    if (!fd_is_stack(epfd) || (ms == 0 && kernel_only(epfd)))
        return older_calling() ? older_filter(epfd, ev, libc.epoll_pwait(epfd, ev, max, ms, mask))
                               : libc.epoll_pwait(epfd, ev, max, ms, mask);
    return (int)to_errno(stack_epoll_wait(epfd, ev, max, of_ms(ms), mask));
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *t,
                        const sigset_t *mask)
{
    if (!fd_is_stack(epfd) && older_matters())
        return older_wait(epfd, ev, max, -1, t, mask);
    if (!fd_is_stack(epfd))
        return libc.epoll_pwait2(epfd, ev, max, t, mask);
    if (t && !USER_READABLE(t, sizeof(*t)))
        return (int)to_errno(-EFAULT);
    if (t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec > 999999999))
        return (int)to_errno(-EINVAL);
    bool now = t && t->tv_sec == 0 && t->tv_nsec == 0;
    struct patience p = {.at_ns = now ? 0 : wait_deadline(t)};
    return (int)to_errno(stack_epoll_wait(epfd, ev, max, p, mask));
}
