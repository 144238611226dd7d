/* call_aio.c: aio_read, aio_write, aio_suspend, aio_cancel, lio_listio on sockets of the stack (aio(7)).
 *
 * Theory of operation. libc's requests are worked off by threads that make their calls inside libc, where no
 * preload sees them. Requests on the stack's descriptors are therefore worked off here, in the same way: a
 * thread for each descriptor that has requests takes them one after the other and ends with the last. The
 * result lies in the control block, where libc's aio_error and aio_return find it. A list with requests of
 * both kinds is waited for in slices. A request holds its file by a pin: the number may be closed meanwhile.
 * Differs: aio_reqprio is not looked at.
 */
#include <aio.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "wait.h"

#define SLICE_NS    1000000 /* how often a list with requests of libc's is looked at */
#define STACK_BYTES (256u * 1024)

struct request {
    struct request *next;
    struct aiocb *cb;
    struct ref ref;
    bool out, running;
};

static struct request *queue; /* in the order of their making */
static unsigned finished;     /* counts ends; what aio_suspend sleeps on */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;

static void in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&ended, NULL);
    queue = NULL;
}

static void hook(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

static int start_thread(void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_t t;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&t, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

/* --- telling --- */

static void *call_function(void *arg)
{
    struct sigevent *ev = arg, e = *ev;
    free(ev);
    e.sigev_notify_function(e.sigev_value);
    return NULL;
}

static void notify(const struct sigevent *ev)
{
    siginfo_t si = {0};
    struct sigevent *copy;
    if (ev->sigev_notify == SIGEV_SIGNAL) {
        si.si_signo = ev->sigev_signo;
        si.si_code = SI_ASYNCIO;
        si.si_pid = getpid();
        si.si_uid = getuid();
        si.si_value = ev->sigev_value;
        raw_syscall(SYS_rt_sigqueueinfo, getpid(), ev->sigev_signo, (long)&si, 0, 0, 0);
    } else if (ev->sigev_notify == SIGEV_THREAD && (copy = malloc(sizeof(*copy)))) {
        *copy = *ev;
        if (start_thread(call_function, copy) < 0)
            free(copy);
    }
}

/* --- the work --- */

static ssize_t transfer(const struct request *q)
{
    struct iovec iov = {.iov_base = (void *)q->cb->aio_buf, .iov_len = q->cb->aio_nbytes};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct block b __attribute__((cleanup(block_end))) =
        block_begin(q->ref.fd, q->out ? EPOLLOUT : EPOLLIN, false);
    size_t done = 0;
    ssize_t n;
    b.ref = q->ref;
    do {
        n = q->out ? API(sendmsg(b.ref, &msg, MSG_NOSIGNAL, done)) : API(recvmsg(b.ref, &msg, 0, 0));
        if (n > 0)
            done += (size_t)n;
        if (n == -EAGAIN)
            n = block_wait(&b);
        else if (n <= 0 || !q->out || done >= iov.iov_len)
            break;
    } while (n >= 0);
    return done ? (ssize_t)done : n;
}

/* Context: the lock. */
static void unlink_request(struct request *q)
{
    struct request **at = &queue;
    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
}

/* Context: the lock; lets go of it to tell. q is gone after it. */
static void end_request(struct request *q, ssize_t r)
{
    struct aiocb *cb = q->cb;
    struct sigevent ev = cb->aio_sigevent;
    struct ref ref = q->ref;
    unlink_request(q);
    cb->__return_value = r < 0 ? -1 : r;
    __atomic_store_n(&cb->__error_code, r < 0 ? (int)-r : 0, __ATOMIC_RELEASE);
    finished++;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
    free(q);
    API_VOID(unpin(&ref));
    notify(&ev);
    pthread_mutex_lock(&lock);
}

static struct request *next_of(const struct file *f)
{
    struct request *q = queue;
    while (q && q->ref.pin != f)
        q = q->next;
    return q;
}

static void *worker(void *arg)
{
    struct file *f = arg;
    struct request *q;
    pthread_mutex_lock(&lock);
    while ((q = next_of(f))) {
        q->running = true;
        pthread_mutex_unlock(&lock);
        ssize_t r = transfer(q);
        pthread_mutex_lock(&lock);
        end_request(q, r);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int submit(struct aiocb *cb, bool out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct request *q = malloc(sizeof(*q)), **at = &queue;
    int r;
    if (!q)
        return -EAGAIN;
    *q = (struct request){.cb = cb, .ref = by_fd(cb->aio_fildes), .out = out};
    r = API(pin(&q->ref));
    if (r < 0) {
        free(q);
        return r;
    }
    struct file *f = q->ref.pin;
    pthread_once(&once, hook);
    pthread_mutex_lock(&lock);
    bool first = !next_of(f);
    while (*at)
        at = &(*at)->next;
    *at = q;
    cb->__error_code = EINPROGRESS;
    cb->__return_value = 0;
    r = first ? start_thread(worker, f) : 0;
    if (r < 0)
        unlink_request(q);
    pthread_mutex_unlock(&lock);
    if (r < 0) {
        API_VOID(unpin(&q->ref));
        free(q);
    }
    return r < 0 ? -EAGAIN : 0;
}

EXPORT int aio_read(struct aiocb *cb)
{
    if (!fd_is_stack(cb->aio_fildes) || fd_has(cb->aio_fildes, FD_EPSET))
        return libc.aio_read(cb);
    return (int)to_errno(submit(cb, false));
}

EXPORT int aio_write(struct aiocb *cb)
{
    if (!fd_is_stack(cb->aio_fildes) || fd_has(cb->aio_fildes, FD_EPSET))
        return libc.aio_write(cb);
    return (int)to_errno(submit(cb, true));
}

/* --- waiting --- */

/* Context: the lock. */
static bool is_ours(const struct aiocb *cb)
{
    for (const struct request *q = queue; q; q = q->next)
        if (q->cb == cb)
            return true;
    return false;
}

static bool is_pending(const struct aiocb *cb)
{
    return __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) == EINPROGRESS;
}

/* How many of the list are ours and pending, libc's and pending; -1: one has ended (or there is none). */
static int count(const struct aiocb *const list[], int n, int *theirs)
{
    int ours = 0, all = 0;
    *theirs = 0;
    for (int i = 0; i < n; i++) {
        if (!list[i])
            continue;
        if (!is_pending(list[i]))
            return -1;
        all++;
        if (is_ours(list[i]))
            ours++;
    }
    *theirs = all - ours;
    return all ? ours : -1;
}

static struct timespec at_ns(uint64_t left_ns)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + left_ns % 1000000000u;
    t.tv_sec += (time_t)(left_ns / 1000000000u + ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    return t;
}

EXPORT int aio_suspend(const struct aiocb *const list[], int n, const struct timespec *timeout)
{
    uint64_t deadline = timeout ? wait_deadline(timeout) : NEVER;
    int theirs, r = 0;
    pthread_mutex_lock(&lock);
    uint32_t handlers = guard.handlers;
    int ours = count(list, n, &theirs);
    if (ours == 0) {
        pthread_mutex_unlock(&lock);
        return libc.aio_suspend(list, n, timeout);
    }
    while (ours > 0) {
        uint64_t now = wait_now_ns(), left = deadline == NEVER ? SLICE_NS * 20 : deadline - now;
        if (now >= deadline) {
            r = -EAGAIN;
            break;
        }
        if (guard.handlers != handlers) {
            r = -EINTR;
            break;
        }
        /* A handler that ran does not end the wait for a condition: it is looked for. */
        struct timespec until = at_ns(theirs || left > SLICE_NS * 20 ? SLICE_NS * (theirs ? 1 : 20) : left);
        pthread_cond_timedwait(&ended, &lock, &until);
        ours = count(list, n, &theirs);
    }
    pthread_mutex_unlock(&lock);
    return (int)to_errno(r);
}

/* --- cancelling --- */

EXPORT int aio_cancel(int fd, struct aiocb *cb)
{
    int result = AIO_ALLDONE;
    if (!fd_is_stack(fd) || fd_has(fd, FD_EPSET))
        return libc.aio_cancel(fd, cb);
    if (cb && cb->aio_fildes != fd)
        return (int)to_errno(-EINVAL);
    pthread_mutex_lock(&lock);
    for (struct request *q = queue, *next; q; q = next) {
        next = q->next;
        if (q->cb->aio_fildes != fd || (cb && q->cb != cb))
            continue;
        if (q->running) {
            result = AIO_NOTCANCELED;
        } else {
            end_request(q, -ECANCELED);
            next = queue; /* the lock was let go */
            if (result == AIO_ALLDONE)
                result = AIO_CANCELED;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- lists --- */

struct whole {
    struct sigevent ev;
    int n;
    struct aiocb *cb[];
};

static int wait_for_all(struct aiocb *const list[], int n)
{
    for (int i = 0; i < n; i++) {
        const struct aiocb *one[1] = {list[i]};
        while (list[i] && list[i]->aio_lio_opcode != LIO_NOP && is_pending(list[i]))
            if (aio_suspend(one, 1, NULL) < 0 && errno == EINTR)
                return -EINTR;
    }
    return 0;
}

static void *watch_whole(void *arg)
{
    struct whole *w = arg;
    wait_for_all(w->cb, w->n);
    notify(&w->ev);
    free(w);
    return NULL;
}

static bool has_stack(struct aiocb *const list[], int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && fd_is_stack(list[i]->aio_fildes))
            return true;
    return false;
}

/* Tells of the whole list's end, later. */
static int tell_whole(struct aiocb *const list[], int n, const struct sigevent *ev)
{
    struct whole *w = malloc(sizeof(*w) + (size_t)n * sizeof(list[0]));
    if (!w)
        return -EAGAIN;
    w->ev = *ev;
    w->n = n;
    memcpy(w->cb, list, (size_t)n * sizeof(list[0]));
    int r = start_thread(watch_whole, w);
    if (r < 0)
        free(w);
    return r < 0 ? -EAGAIN : 0;
}

EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *ev)
{
    bool failed = false;
    if (!fdtab || (mode != LIO_WAIT && mode != LIO_NOWAIT) || !has_stack(list, n))
        return libc.lio_listio(mode, list, n, ev);
    for (int i = 0; i < n; i++) {
        if (!list[i] || list[i]->aio_lio_opcode == LIO_NOP)
            continue;
        /* As libc: with LIO_WAIT there is no telling of the single ones. */
        if (mode == LIO_WAIT)
            list[i]->aio_sigevent.sigev_notify = SIGEV_NONE;
        if ((list[i]->aio_lio_opcode == LIO_READ ? aio_read(list[i]) : aio_write(list[i])) < 0)
            failed = true;
    }
    if (mode == LIO_NOWAIT && ev && ev->sigev_notify != SIGEV_NONE) {
        int r = tell_whole(list, n, ev);
        return r < 0 ? (int)to_errno(r) : failed ? (int)to_errno(-EIO) : 0;
    }
    if (mode == LIO_WAIT) {
        int r = wait_for_all(list, n);
        if (r < 0)
            return (int)to_errno(r);
        for (int i = 0; i < n; i++)
            failed |= list[i] && list[i]->aio_lio_opcode != LIO_NOP && aio_error(list[i]) != 0;
    }
    return failed ? (int)to_errno(-EIO) : 0;
}

/* The control blocks are alike. */
int aio_read64(struct aiocb64 *cb) __attribute__((visibility("default"), alias("aio_read"), nothrow, leaf));
int aio_write64(struct aiocb64 *cb) __attribute__((visibility("default"), alias("aio_write"), nothrow, leaf));
int aio_cancel64(int fd, struct aiocb64 *cb)
    __attribute__((visibility("default"), alias("aio_cancel"), nothrow, leaf));
int aio_suspend64(const struct aiocb64 *const list[], int n, const struct timespec *timeout)
    __attribute__((visibility("default"), alias("aio_suspend")));
int lio_listio64(int mode, struct aiocb64 *const list[], int n, struct sigevent *ev)
    __attribute__((visibility("default"), alias("lio_listio"), nothrow, leaf));
