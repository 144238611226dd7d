/* pd_clock.c: the packetdrill object's virtual time, and who waits for what. See packetdrill.c for threads
 * and time. */
#include "pd.h"

#include <errno.h>
#include <unistd.h>

#define IDLE_NS (3600ULL * 1000000000) /* how long a call on the tool's own thread waits */
#define TICK_NS 1000                   /* what looking at the clock costs */
#define NEVER   UINT64_MAX

struct pd_state pd = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};

void pd_enter(void)
{
    pthread_mutex_lock(&pd.lock);
    shard_lock(pd.env->sh);
    pd.env->sh->now_ns = pd.env->now_ns;
}

void pd_leave(void)
{
    shard_flush(pd.env->sh);
    shard_unlock(pd.env->sh);
    pthread_mutex_unlock(&pd.lock);
}

ssize_t pd_done(ssize_t r)
{
    pd_leave();
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

static bool wait_over(const struct wait *w)
{
    bool ready = pd.env->now_ns >= w->until_ns;

    for (nfds_t i = 0; i < w->n; i++) {
        struct pollfd *p = &w->fds[i];
        struct file *f = p->fd >= 0 && p->fd < FILES_MAX ? pd.file[p->fd] : NULL;

        p->revents = 0;
        if (p->fd >= 0)
            p->revents =
                f ? (short)(file_poll(pd.env->st, f) & (uint16_t)(p->events | POLLERR | POLLHUP)) : POLLNVAL;
        ready |= p->revents != 0;
    }
    return ready;
}

/* With both locks held: drops them until the second thread has got along. */
void pd_stand_still(void)
{
    if (pd.waiting && wait_over(pd.waiting)) {
        pd.waiting = NULL;
        pd.returning = true;
        pthread_cond_signal(&pd.wake);
    }
    while (pd.returning && pthread_equal(pthread_self(), pd.tool)) {
        shard_unlock(pd.env->sh);
        pthread_cond_wait(&pd.idle, &pd.lock);
        shard_lock(pd.env->sh);
    }
}

/* One step of the clock, to the next timer but at most to until_ns. */
void pd_step(uint64_t until_ns)
{
    struct env *e = pd.env;
    uint64_t next = shard_next_timer_ns(e->sh);

    if (next <= e->now_ns) /* the wheel is never late, but may be early */
        next = e->now_ns + 1000000;
    if (pd.waiting && pd.waiting->until_ns < next)
        next = pd.waiting->until_ns;
    if (next > until_ns)
        next = until_ns;
    if (next > e->now_ns)
        e->now_ns = next;
    env_poll(e);
    pd_stand_still();
}

static void advance(uint64_t ns)
{
    uint64_t until = pd.env->now_ns + ns;

    while (pd.env->now_ns < until)
        pd_step(until);
}

uint64_t pd_deadline(int64_t us)
{
    return us <= 0 ? NEVER : pd.env->now_ns + (uint64_t)us * 1000;
}

/* Waits within a call, both locks held. False: the time was up. */
bool pd_wait_for(struct wait *w)
{
    shard_flush(pd.env->sh);
    if (pthread_equal(pthread_self(), pd.tool)) {
        uint64_t end = pd.env->now_ns + IDLE_NS;

        while (!wait_over(w) && pd.env->now_ns < end)
            pd_step(w->until_ns < end ? w->until_ns : end);
    } else if (!wait_over(w)) {
        pd.waiting = w;
        pd.returning = false;
        pthread_cond_signal(&pd.idle);
        shard_unlock(pd.env->sh);
        while (pd.waiting == w)
            pthread_cond_wait(&pd.wake, &pd.lock);
        shard_lock(pd.env->sh);
    }
    pd.env->sh->now_ns = pd.env->now_ns;
    wait_over(w);
    for (nfds_t i = 0; i < w->n; i++)
        if (w->fds[i].revents)
            return true;
    return false;
}

bool pd_wait_fd(int fd, short events, uint64_t until_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    struct wait w = {.fds = &p, .n = 1, .until_ns = until_ns};

    return pd_wait_for(&w);
}

#define SETTLE_US 3000

/* The second thread notes what its call gave when it gets the tool's own lock, which the first one drops only
 * here: the first time after a call that blocked it is given some real time for that. */
int pd_usleep(void *u, useconds_t us)
{
    if (__atomic_exchange_n(&pd.settle, false, __ATOMIC_RELAXED))
        usleep(SETTLE_US);
    pd_enter();
    advance((uint64_t)us * 1000);
    return (int)pd_done(0);
}

int pd_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
    pd_enter();
    if (!pthread_equal(pthread_self(), pd.tool) && pd.returning) {
        pd.returning = false;
        pd.settle = true;
        pthread_cond_signal(&pd.idle);
    } else {
        advance(TICK_NS);
    }
    tv->tv_sec = (time_t)(pd.env->now_ns / 1000000000);
    tv->tv_usec = (suseconds_t)(pd.env->now_ns / 1000 % 1000000);
    return (int)pd_done(0);
}
