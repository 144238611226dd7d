/* ready.h: open file descriptions, readiness, waiters and epoll sets; all in the segment, all under the lock.
 * With several shards who has one's lock alone may tell the watches of that one's files, and collect what is
 * ready of them.
 *
 * Theory of operation. A struct file is what Linux calls an open file description: it is shared by dup'ed and
 * inherited descriptors, holds O_NONBLOCK and counts its references (descriptors of all processes, and pins
 * of calls that sleep). It is a socket (sock.h) or an epoll set. A struct watch joins a file to someone
 * interested: an epoll item or a waiter (a thread that is about to sleep). When a protocol raised events,
 * ready_notify walks the file's watches once: epoll items go on their set's ready list (and notify the set's
 * own watches: nested sets, poll on a set), waiters are marked woken. A waiter that is armed (really
 * sleeping) is put on the shard's wake list, and its wake descriptor is written after the lock is dropped.
 */
#ifndef SHUNT_READY_H
#define SHUNT_READY_H

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "kinds.h"
#include "stack.h"

struct file {
    struct list watches; /* struct watch.node */
    uint64_t id;         /* unique, never reused: SO_COOKIE; see file_ino */
    uint32_t refs;       /* descriptors + pins */
    uint8_t type;        /* enum file_type */
    uint8_t shard;       /* the one its connection lives on (lane.h), else 0 */
    uint8_t placement;   /* sock.h: undecided, stack, kernel twin... */
    uint8_t oflags_byte; /* file_oflags */
};
_Static_assert(sizeof(struct file) == 32, "a connection pays for it");

/* O_NONBLOCK, O_ASYNC, O_APPEND, O_NOATIME. Read without the lock, too. */
static inline int file_oflags(const struct file *f)
{
    uint8_t b = __atomic_load_n(&f->oflags_byte, __ATOMIC_RELAXED);

    return (b & 0xfe) << 8 | (b & 1 ? O_NOATIME : 0);
}

static inline void file_set_oflags(struct file *f, int flags)
{
    _Static_assert(!((O_NONBLOCK | O_ASYNC | O_APPEND) & ~0xfe00),
                   "they are in the second byte, and one is free");
    __atomic_store_n(&f->oflags_byte, (uint8_t)(((flags >> 8) & 0xfe) | !!(flags & O_NOATIME)),
                     __ATOMIC_RELAXED);
}

/* The number of the inode that f is shown with. Linux counts its own from 1 on and takes billions of sockets
 * to come as far. */
static inline uint32_t file_ino(const struct file *f)
{
    return 0x80000000u | (uint32_t)f->id;
}

enum watch_kind { WATCH_FREE, WATCH_ITEM, WATCH_WAITER };

struct watch {
    struct list node; /* in file->watches */
    struct file *file;
    uint32_t mask; /* EPOLL* bits of interest; EPOLLERR and EPOLLHUP are always added. EPOLLEXCLUSIVE: one of
                      those so marked is enough */
    uint8_t kind;
};

/* That of a waiter. */
struct waiter_watch {
    struct watch w; /* first; kind WATCH_WAITER */
    struct waiter *waiter;
    struct list wnode; /* in waiter->watches */
};

#define WAKE_FDS                                                                                             \
    128 /* wake descriptors (eventfds) every family member holds; waiters beyond sleep in short slices */
#define WAKE_NONE 0xffff

enum waiter_armed {
    ARM_AWAKE,
    ARM_SLEEPS, /* or is about to: must be written to */
    ARM_WAKING, /* whoever woke it writes to it once it dropped the lock, unless it is killed before */
};

struct waiter {
    struct list watches;
    struct list free; /* of the process's idle waiters */
    uint32_t woken;   /* set under the lock; read without it while spinning */
    uint32_t armed;   /* enum waiter_armed */
    uint16_t wake;    /* index of its wake descriptor, or WAKE_NONE */
    int32_t pid;      /* owner; the keeper frees a dead one's */
    int32_t tid;
    uint8_t leader; /* sleeps on the ports' Rx descriptors too */
    uint8_t nfds;   /* entries of the pollfd array that its sleep_prepare added */
};

int ready_init(struct stack *st, uint32_t max_files);

/* Waiters. */
struct waiter *waiter_new(struct stack *st, int pid, int tid); /* NULL: too many */
void waiter_free(struct stack *st, struct waiter *w);          /* drops its watches */
/* Watches file for mask; returns the bits that are ready at once (then need not sleep), or -ENOMEM. With
 * EPOLLEXCLUSIVE in mask (epoll_wait on a set, accept) an event wakes one such waiter instead of all; a woken
 * one that leaves while the file is still ready passes the wake-up on. */
int waiter_watch(struct stack *st, struct waiter *w, struct file *f, uint32_t mask);
void waiter_unwatch(struct stack *st, struct waiter *w); /* all */
bool waiter_wake(
    struct stack *st,
    struct waiter *w); /* marks and, when armed, queues the wake-up; false: it was marked already */
void waiter_reap(struct stack *st, int pid); /* a process died */

/* After a process was killed inside the stack: makes the lists of layer 6 anew and lets everybody look again.
 * What the dead one was about to tell is not known. */
void ready_mend(struct stack *st);

/* f goes to another shard. Context: all locks. */
void ready_move(struct file *f, uint8_t to);
/* All files belong to shard 0. */
void ready_lanes_mend(struct stack *st);

/* Tells all watches of f that bits of mask came. True when a waiter was woken. */
bool ready_notify(struct stack *st, struct file *f, uint32_t mask);

/* Epoll sets; man 7 epoll. */
struct file *eset_new(struct stack *st); /* refs 1 */
int eset_ctl(struct stack *st, struct file *set, int op, int fd, struct file *target,
             const struct epoll_event *ev); /* -EEXIST, -ENOENT, -ELOOP, -EINVAL, -ENOMEM */
/* Adds to the n events that were had already, up to max; their number then, or -EFAULT. Never sleeps. Level,
 * edge and one-shot as Linux. Under a lane: of that shard's files alone. */
int eset_collect_more(struct stack *st, struct file *set, struct epoll_event *ev, int n, int max);
static inline int eset_collect(struct stack *st, struct file *set, struct epoll_event *ev, int max)
{
    return eset_collect_more(st, set, ev, 0, max);
}
bool eset_has_ready(struct stack *st, struct file *set);
/* May a file of that shard be ready? Without the lock. */
bool eset_has_news(const struct file *set, unsigned shard);
uint32_t eset_items(const struct file *set); /* stack files registered */

/* Current EPOLL* bits of any file. */
uint32_t file_poll(struct stack *st, struct file *f);
void file_hold(struct file *f);
void file_put(struct stack *st, struct file *f); /* the last one closes */

#endif
