/* wait.h: blocking. One loop for all calls that wait: it polls the devices a while, then sleeps in the
 * kernel. Theory of operation: wait.c.
 *
 * Two users. A call on one socket (recv, send, accept, connect, sendfile) keeps a struct block over its
 * tries:
 *
 *     struct block b __attribute__((cleanup(block_end))) = block_begin(fd, EPOLLIN, flags & MSG_DONTWAIT);
 *     while ((r = API(recvmsg(b.ref, msg, flags, 0))) == -EAGAIN && (r = block_wait(&b)) == 0)
 *         ;
 *
 * A call on many (poll, select, epoll_wait) fills in a struct wait itself and calls wait_run.
 */
#ifndef SHUNT_PRELOAD_WAIT_H
#define SHUNT_PRELOAD_WAIT_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "fdtab.h"

#define NEVER UINT64_MAX /* a deadline */

struct wait {
    int (*check)(struct wait *w); /* under the guard: nonzero when the caller should look again */
    /* A turn of spinning: polls the devices and does the call's own work, all in one visit to the engine;
     * nonzero when it is done, which the caller learns from what it left. Not under the guard. NULL: the
     * devices are polled, then check. */
    int (*turn)(struct wait *w);
    /* Before the first sleep, and when it has spun for long: holds on to what the call is about. 0 or -errno.
     * Or NULL */
    int (*hold)(struct wait *w);
    int (*watch)(struct wait *w, struct waiter *by); /* under the guard: api->watch all; > 0: ready already */
    struct pollfd *p; /* kernel descriptors, n of them, and room for SLEEP_FDS more */
    nfds_t n;
    uint64_t deadline_ns;            /* CLOCK_MONOTONIC, or NEVER */
    const sigset_t *sigmask;         /* of ppoll, pselect, epoll_pwait; or NULL */
    struct ref *pin;                 /* what to unpin if a handler leaves by siglongjmp; or NULL */
    bool never_restart;              /* EINTR whatever SA_RESTART says: signal(7) */
    uint32_t handlers, interrupting; /* the guard's counters when the call began */
};

struct block {
    struct ref ref;  /* by number, pinned once the call had to wait for long (wait.c) */
    uint32_t events; /* EPOLLIN or EPOLLOUT: what to wait for */
    /* The call's own try, or NULL. Nonzero: it is done; then block_wait says 0, and `done` that there is no
     * need to try again. */
    bool (*try)(struct block *b);
    bool done;
    bool dontwait;
    bool pinned;
    bool begun; /* flags and timeout are known */
    uint64_t deadline_ns;
    uint32_t handlers, interrupting;
    bool restart_ok; /* no timeout: SA_RESTART applies */
};

uint64_t wait_now_ns(void);
/* The same as of the engine's last poll or call that works, by any thread: for nothing. */
uint64_t wait_shard_ns(void);
/* This process, and what is forked from it, confines its system calls: waiting uses no other than any program
 * that waits for a socket makes. */
void wait_confine(void);
/* In a forked child: what the parent's sleeping calls hold is not the child's. */
void wait_child(void);
/* This thread ends the process: the others do not come back from their waits. */
void wait_leaving(void);
/* now + us, ms or a timespec; NULL or negative: NEVER */
uint64_t wait_deadline_us(int64_t us);
uint64_t wait_deadline(const struct timespec *t);

/* Marks the begin of a call: handlers that run from here on interrupt it. */
static inline void wait_begin(struct wait *w)
{
    w->handlers = guard.handlers;
    w->interrupting = guard.interrupting;
}

/* 1: look again; 0: the deadline passed; -EINTR. Not under the guard. A cancellation point. */
int wait_run(struct wait *w);

static inline struct block block_begin(int fd, uint32_t events, bool dontwait)
{
    return (struct block){.ref = {.fd = fd},
                          .events = events,
                          .dontwait = dontwait,
                          .handlers = guard.handlers,
                          .interrupting = guard.interrupting};
}

/* After -EAGAIN. 0: try again; -EAGAIN: non-blocking, or SO_RCVTIMEO/SO_SNDTIMEO passed; -EINTR (or a
 * restart, silently); -EBADF: closed before it was pinned. */
int block_wait(struct block *b);
void block_end(struct block *b);

#endif
