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
 */
#ifndef SHUNT_FAMILY_H
#define SHUNT_FAMILY_H

#include "api.h"
#include "ready.h"

#define FAMILY_MAX  512
#define PIN_BUCKETS 32

enum proc_state {
    PROC_FREE,
    PROC_FORKING, /* of a child that is about to be made: pid is -1 */
    PROC_LIVE,
};

struct proc {
    int32_t pid;
    uint8_t state;       /* enum proc_state */
    int32_t forker;      /* FORKING: the parent's pid */
    uint64_t start_time; /* of the process, as in /proc/PID/stat, so that a reused pid is found out; 0: not
                            known */
    uint64_t since_ns;   /* FORKING: when it began */
    uint32_t nfds;       /* entries that are not NULL */
    uint32_t fd_end;     /* one past the highest of them */
    struct file **fds;   /* [SHUNT_FD_MAX] */
    struct list pins[PIN_BUCKETS]; /* struct pin, by file */
};

int family_init(struct stack *st); /* 0 or -ENOMEM */
/* A place for a process without a parent in the family. NULL: FAMILY_MAX are there. */
struct proc *family_enter(struct stack *st, int pid, uint64_t start_time);
/* A place with all the parent's references, before fork. NULL: no place or no memory. The child names itself
 * by family_child, or the parent takes the place back with family_reap when fork failed. */
struct proc *family_fork(struct stack *st, struct proc *parent);
/* The child is pid; parent and child may both say so. */
void family_child(struct proc *child, int pid, uint64_t start_time);
/* Drops what a process held (descriptors, pins, waiters) and frees its place. The process is dead, or ends by
 * this. */
void family_reap(struct stack *st, struct proc *p);
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
/* One more reference by p, kept until proc_unpin. -ENOMEM. */
int proc_pin(struct stack *st, struct proc *p, struct file *f);
void proc_unpin(struct stack *st, struct proc *p, struct file *f);

#endif
