/* older.c: see older.h.
 *
 * Theory of operation. A program may make an epoll set and put a thread to sleep in it before it opens its
 * first socket; the thread sleeps in the kernel, with nothing of the stack in between, as there is none yet.
 * When another thread then adds a socket of the stack to the set, the sleeper has to come out and lie down
 * where both halves are watched. So such sleepers are counted by set, and who adds the first socket puts a
 * readable eventfd into the kernel's half (EPOLLONESHOT: who is woken arms it for the next). The last of the
 * sleepers takes it out again. It bears a mark of ours as its data, by which it is kept from the program. A
 * process with a single thread needs none of this: nobody sleeps while it adds.
 *
 * The count is raised before the sleeper looks whether the set is the stack's, and the set is the stack's
 * before the count is looked at: one of the two sees the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include "fdtab.h"
#include "libc.h"
#include "older.h"

#define CALLS_MAX                                                                                            \
    64 /* sets being woken at a time; beyond, a set's sleepers stay until the kernel's half wakes them */

static uint16_t sleepers[SHUNT_FD_MAX];
static int highest; /* that ever had one */
static struct {
    int epfd, fd, times;
} calls[CALLS_MAX];
int older_ncalls;
static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t mark(void)
{
    return (uint64_t)(uintptr_t)calls;
}

void older_enter(int epfd)
{
    int seen = __atomic_load_n(&highest, __ATOMIC_RELAXED);

    if ((unsigned)epfd >= SHUNT_FD_MAX)
        return;
    while (epfd > seen &&
           !__atomic_compare_exchange_n(&highest, &seen, epfd, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    __atomic_add_fetch(&sleepers[epfd], 1, __ATOMIC_SEQ_CST);
}

/* Somebody saw the eventfd of epfd's set, or the last sleeper left: once more if one sleeps there still, else
 * it goes. A sleeper that is cancelled, or left by siglongjmp, stays counted: so the times are bounded. */
static void seen(int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = mark()};

    guard_enter();
    pthread_mutex_lock(&calls_lock);
    for (int i = 0; i < older_ncalls; i++) {
        if (calls[i].epfd != epfd)
            continue;
        if (__atomic_load_n(&sleepers[epfd], __ATOMIC_SEQ_CST) && calls[i].times-- > 0 &&
            libc.epoll_ctl(epfd, EPOLL_CTL_MOD, calls[i].fd, &ev) == 0)
            continue;
        libc.epoll_ctl(epfd, EPOLL_CTL_DEL, calls[i].fd, NULL);
        api->hidden_close(calls[i].fd);
        calls[i] = calls[older_ncalls - 1];
        __atomic_store_n(&older_ncalls, older_ncalls - 1, __ATOMIC_SEQ_CST);
        i--;
    }
    pthread_mutex_unlock(&calls_lock);
    guard_leave();
}

int older_filter(int epfd, struct epoll_event *ev, int n)
{
    int kept = 0;

    if (__builtin_expect(!older_calling(), 1) || n <= 0)
        return n;
    for (int i = 0; i < n; i++)
        if (ev[i].data.u64 != mark())
            ev[kept++] = ev[i];
    if (kept < n)
        seen(epfd);
    return kept;
}

int older_leave(int epfd, struct epoll_event *ev, int n)
{
    int e = errno;

    if ((unsigned)epfd >= SHUNT_FD_MAX)
        return n;
    bool last = __atomic_sub_fetch(&sleepers[epfd], 1, __ATOMIC_SEQ_CST) == 0;
    n = older_filter(epfd, ev, n);
    if (last && __atomic_load_n(&older_ncalls, __ATOMIC_SEQ_CST))
        seen(epfd);
    errno = e;
    return n;
}

/* One that is not there for the program, as the engine's. */
static int new_number(void)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), hidden;

    if (fd < 0)
        return fd;
    hidden = API(hide(fd));
    if (hidden < 0)
        libc.close(fd);
    return hidden;
}

void older_wake(int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = mark()};
    int fd, n;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    n = __atomic_load_n(&sleepers[epfd], __ATOMIC_SEQ_CST);
    if (!older_matters() || n == 0)
        return;
    guard_enter();
    pthread_mutex_lock(&calls_lock);
    if (older_ncalls < CALLS_MAX && (fd = new_number()) >= 0) {
        calls[older_ncalls].epfd = epfd;
        calls[older_ncalls].fd = fd;
        calls[older_ncalls].times = 2 * n + 8;
        __atomic_store_n(&older_ncalls, older_ncalls + 1, __ATOMIC_SEQ_CST);
        libc.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
    }
    pthread_mutex_unlock(&calls_lock);
    guard_leave();
    if (__atomic_load_n(&sleepers[epfd], __ATOMIC_SEQ_CST) == 0) /* they left before they could be called */
        seen(epfd);
}

/* What the child has of its parent's calls is a copy of their numbers: the sets are the parent's too, which
 * ends them. */
void older_child(void)
{
    pthread_mutex_init(&calls_lock, NULL);
    memset(sleepers, 0, ((size_t)highest + 1) * sizeof sleepers[0]);
    for (int i = 0; i < older_ncalls; i++)
        api->hidden_close(calls[i].fd);
    older_ncalls = 0;
}
