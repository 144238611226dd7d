/* family.h: the processes of a family (the one that started the stack, its forks, and who joined) and their
 * descriptor tables.
 *
 * Theory of operation. Each process has a place in a table in the segment, and with it an array of files by
 * descriptor number: which of its numbers are the stack's. An entry holds a reference on its file; so does
 * each pin, a file that a sleeping call goes on with after its number may have been closed. A fork copies
 * both, before the child exists, so that parent and child never race for the last reference. All that a
 * process holds stands in its place, and so whoever finds it dead can give it back for it (family_reap).
 *
 * The array is a sparse range of SHUNT_FD_MAX entries: pages come with the numbers used, and go with the
 * process. Context of all functions: shard 0's lock. Reading an entry (is this number the stack's?) needs
 * none.
 *
 * Exec. The place belongs to the pid and so outlives the program's image: what has no FD_CLOEXEC goes on, the
 * rest must be released, but only once the exec has succeeded, for a failed one must leave everything as it
 * was. Nobody of the old image is there then, and the new one may know nothing of us. So the thread that
 * executes first marks each number (proc_mark: is it closed, else what the preload wants to know of it) and
 * locks proc.exec, a robust mutex. At a successful exec the kernel treats the locks of the old image as those
 * of a dead thread: whoever tries the lock next (the keeper, which was told to look, or the new image when it
 * joins) gets EOWNERDEAD and does the rest (family_exec_done). After a failed one its owner unlocks it. A
 * thread that is not its process's first gets another number by the exec before the kernel looks at its
 * locks, and finds none of its own: there it shows by exec_tid, which is no more.
 *
 * A child of vfork or posix_spawn shares its parent's memory and has no place until it executes. It, or its
 * parent for it, then makes one with what goes on alone (family_enter with pid -1, proc_install, proc_mark).
 *
 * A new image finds its place by its pid, or by number and token, which it is told in its environment.
 */
#ifndef SHUNT_FAMILY_H
#define SHUNT_FAMILY_H

#include <pthread.h>

#include "api.h"
#include "ready.h"

#define FAMILY_MAX  4096
#define PIN_BUCKETS 32

enum proc_state {
    PROC_FREE,
    PROC_FORKING, /* of a child that is about to be made: pid is -1 */
    PROC_LIVE,
};

struct proc {
    int32_t pid;
    uint8_t state;        /* enum proc_state */
    int32_t forker;       /* FORKING: the parent's pid */
    uint64_t start_time;  /* of the process, as in /proc/PID/stat, so that a reused pid is found out; 0: not
                             known */
    uint64_t since_ns;    /* FORKING: when it began */
    uint32_t nfds;        /* entries that are not NULL */
    uint32_t fd_end;      /* one past the highest of them */
    struct file **fds;    /* [SHUNT_FD_MAX] */
    uint8_t *marks;       /* [SHUNT_FD_MAX]: proc_mark's; valid while exec_begun or fresh */
    uint64_t token;       /* of this use of the place; never reused */
    uint8_t exec_begun;   /* marks are set, exec is locked or its owner is gone */
    int32_t exec_tid;     /* who executes; 0: not known to the keeper */
    uint8_t fresh;        /* made for an image that has not joined yet: marks are valid */
    uint8_t marked;       /* marks has pages */
    uint8_t joined;       /* by exec, not by fork */
    uint32_t holds;       /* packet buffers that it keeps in its own memory (pkt_hold) */
    uint8_t portless;     /* it has none of the stack's devices */
    uint8_t ended;        /* it has said that it ends: nothing killed it */
    pthread_mutex_t exec; /* robust, process-shared: who holds it executes. Taken and given under the lock */
    struct list pins[PIN_BUCKETS]; /* struct pin, by file */
};

int family_init(struct stack *st); /* 0 or -ENOMEM */
/* For sweep.h: is owner the place of a process that lives? */
bool family_lives(struct stack *st, const void *owner);
/* Is a place free? */
bool family_room(struct stack *st);
/* Places from this number on were never taken. */
unsigned family_slots(const struct stack *st);
/* A place for a process without a parent in the family. NULL: FAMILY_MAX are there. */
struct proc *family_enter(struct stack *st, int pid, uint64_t start_time);
/* A place with all the parent's references, before fork. NULL: no place or no memory. The child names itself
 * by family_child, or the parent takes the place back with family_reap when fork failed. */
struct proc *family_fork(struct stack *st, struct proc *parent);
/* A place that family_enter made is of a child that parent is about to make: its pid is not known. */
void family_unborn(struct proc *p, int parent, uint64_t now_ns);
/* The child is pid; parent and child may both say so. */
void family_child(struct proc *child, int pid, uint64_t start_time);
/* Drops what a process held (descriptors, pins, waiters) and frees its place. The process is dead, or ends by
 * this. */
void family_reap(struct stack *st, struct proc *p);
/* The process begins to execute another image: its numbers are marked from here on (PROC_MARK_CLOSE each),
 * and p->exec is the calling thread's (tid). 0, or -EBUSY: another thread is at it. */
int family_exec_begin(struct stack *st, struct proc *p, int tid);
/* It failed. Context: the thread that began. */
void family_exec_failed(struct stack *st, struct proc *p);
/* Releases what an exec that succeeded closed; a place that holds nothing then is freed. True: nothing is to
 * be waited for any more. gone: the thread that began is known to be no more. */
bool family_exec_done(struct stack *st, struct proc *p, bool gone);
/* The same in the new image, which takes p over; also after an exec that nobody announced: then all numbers
 * are marked 0. */
void family_exec_join(struct stack *st, struct proc *p);
/* The place of process pid that is alive, NULL: none. */
struct proc *family_find(struct stack *st, int pid);
/* After a process was killed inside the stack: counts the references of all files again, by who holds them
 * (descriptors, pins, parcels), and ends those that nobody holds. */
void family_mend(struct stack *st);
/* The place number slot, whatever is in it. */
struct proc *family_at(struct stack *st, unsigned slot);

/* Makes fd p's descriptor of f, taking over the caller's reference; what stood there is released. -EBADF: no
 * such number. */
int proc_install(struct stack *st, struct proc *p, int fd, struct file *f);
/* Forgets fd and releases its file. -EBADF. */
int proc_close(struct stack *st, struct proc *p, int fd);
static inline struct file *proc_file(const struct proc *p, int fd)
{
    return (unsigned)fd < SHUNT_FD_MAX ? p->fds[fd] : NULL;
}
/* What the image after this one is to know of fd (PROC_MARK_CLOSE: exec closes it; else the preload's own
 * bits). */
#define PROC_MARK_CLOSE 0x80
void proc_mark(struct proc *p, int fd, uint8_t mark);
/* One more reference by p, kept until proc_unpin. -ENOMEM. */
int proc_pin(struct stack *st, struct proc *p, struct file *f);
void proc_unpin(struct stack *st, struct proc *p, struct file *f);

#endif
