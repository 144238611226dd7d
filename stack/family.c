/* family.c: see family.h. */
#include <errno.h>
#include <sys/mman.h>

#include "extent.h"
#include "family.h"
#include "file.h"
#include "parcel.h"
#include "sweep.h"

#define PINS_MAX      65536
#define FORK_STALE_NS (10ULL * 1000000000) /* a fork that neither side finished is given up after this */

struct pin {
    struct list node;
    struct file *file;
};

struct family {
    struct slab pins;
    uint64_t next_token;
    uint32_t top; /* places from here on were never taken, and are all zero */
    struct file **tables;
    uint8_t *marks;
    struct proc proc[FAMILY_MAX];
};

static void exec_lock_init(struct proc *p)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&p->exec, &a);
    pthread_mutexattr_destroy(&a);
}

int family_init(struct stack *st)
{
    struct family *fam = seg_alloc(st->seg, sizeof *fam, 4096);
    size_t bytes = (size_t)SHUNT_FD_MAX * sizeof(struct file *);
    struct file **tables = seg_alloc(st->seg, bytes * FAMILY_MAX, 4096);
    uint8_t *marks = seg_alloc(st->seg, (size_t)SHUNT_FD_MAX * FAMILY_MAX, 4096);

    if (!fam || !tables || !marks || slab_init(&fam->pins, st->seg, sizeof(struct pin), PINS_MAX))
        return -ENOMEM;
    fam->tables = tables;
    fam->marks = marks;
    st->ready->family = fam;
    return 0;
}

struct proc *family_at(struct stack *st, unsigned slot)
{
    return &st->ready->family->proc[slot];
}

/* The first place that nobody had yet. */
static struct proc *new_place(struct family *fam)
{
    struct proc *p = &fam->proc[fam->top];

    if (fam->top == FAMILY_MAX)
        return NULL;
    p->fds = fam->tables + (size_t)SHUNT_FD_MAX * fam->top;
    p->marks = fam->marks + (size_t)SHUNT_FD_MAX * fam->top;
    exec_lock_init(p);
    list_step();
    fam->top++;
    return p;
}

static struct proc *free_place(struct stack *st)
{
    struct family *fam = st->ready->family;

    for (unsigned i = 0; i < fam->top; i++) {
        struct proc *p = &fam->proc[i];

        /* Parent and child were killed in the middle of their fork. */
        if (p->state == PROC_FORKING && st->shard[0].now_ns - p->since_ns > FORK_STALE_NS)
            family_reap(st, p);
        if (p->state == PROC_FREE)
            return p;
    }
    return new_place(fam);
}

static struct proc *take_place(struct stack *st)
{
    struct proc *p = free_place(st);

    if (!p)
        return NULL;
    p->nfds = p->fd_end = p->holds = 0;
    p->exec_begun = p->fresh = p->joined = p->portless = p->ended = 0;
    p->token = ++st->ready->family->next_token;
    for (unsigned b = 0; b < PIN_BUCKETS; b++)
        list_init(&p->pins[b]);
    return p;
}

unsigned family_slots(const struct stack *st)
{
    return st->ready->family->top;
}

bool family_lives(struct stack *st, const void *owner)
{
    const struct proc *first = family_at(st, 0), *p = owner;

    return p >= first && p < first + st->ready->family->top && p->state != PROC_FREE && p->holds;
}

bool family_room(struct stack *st)
{
    const struct family *fam = st->ready->family;

    if (fam->top < FAMILY_MAX)
        return true;
    for (unsigned i = 0; i < FAMILY_MAX; i++)
        if (fam->proc[i].state == PROC_FREE)
            return true;
    return false;
}

struct proc *family_enter(struct stack *st, int pid, uint64_t start_time)
{
    struct proc *p = take_place(st);

    if (p)
        family_child(p, pid, start_time);
    return p;
}

void family_child(struct proc *child, int pid, uint64_t start_time)
{
    child->pid = pid;
    if (start_time)
        child->start_time = start_time;
    child->state = PROC_LIVE;
}

void family_unborn(struct proc *p, int parent, uint64_t now_ns)
{
    p->pid = -1;
    p->forker = parent;
    p->since_ns = now_ns;
    p->state = PROC_FORKING;
}

struct proc *family_fork(struct stack *st, struct proc *parent)
{
    struct proc *c = take_place(st);

    if (!c)
        return NULL;
    c->pid = -1;
    c->forker = parent->pid;
    c->start_time = 0;
    c->since_ns = st->shard[0].now_ns;
    c->joined = parent->joined;
    c->portless = parent->portless;
    c->state = PROC_FORKING;
    for (uint32_t fd = 0; fd < parent->fd_end; fd++) {
        if (parent->fds[fd]) {
            file_hold(parent->fds[fd]);
            proc_install(st, c, (int)fd, parent->fds[fd]);
        }
    }
    /* A signal handler may fork inside of a sleeping call, and the child return into that call. */
    for (unsigned b = 0; b < PIN_BUCKETS; b++) {
        list_for_each(n, &parent->pins[b])
        {
            if (proc_pin(st, c, container_of(n, struct pin, node)->file)) {
                family_reap(st, c);
                return NULL;
            }
        }
    }
    return c;
}

static void pin_free(struct stack *st, struct pin *pin)
{
    struct file *f = pin->file;

    list_del(&pin->node);
    pin->file = NULL;
    list_step();
    slab_free(&st->ready->family->pins, pin);
    file_put(st, f);
}

void family_reap(struct stack *st, struct proc *p)
{
    size_t bytes = (size_t)SHUNT_FD_MAX * sizeof(struct file *);
    int pid = p->pid;

    if (p->state == PROC_FREE)
        return;
    /* The place is given free last: a process killed in here leaves it to the next one to go on. */
    for (int fd = (int)p->fd_end - 1; fd >= 0; fd--)
        proc_close(st, p, fd);
    for (unsigned b = 0; b < PIN_BUCKETS; b++)
        list_for_each_safe(n, &p->pins[b]) pin_free(st, container_of(n, struct pin, node));
    if (pid > 0) {
        waiter_reap(st, pid);
        extent_owner_gone(st, pid);
    }
    madvise(p->fds, bytes, MADV_REMOVE);
    if (p->marked)
        madvise(p->marks, SHUNT_FD_MAX, MADV_REMOVE);
    p->marked = 0;
    if (p->exec_begun)
        exec_lock_init(p); /* its owner died executing */
    p->exec_begun = p->fresh = 0;
    if (p->holds && !st->shard[0].sweep_ns)
        st->shard[0].sweep_ns = st->shard[0].now_ns + SWEEP_AFTER_NS;
    p->pid = 0;
    p->start_time = 0;
    p->state = PROC_FREE;
}

int proc_install(struct stack *st, struct proc *p, int fd, struct file *f)
{
    struct file *old;

    if ((unsigned)fd >= SHUNT_FD_MAX)
        return -EBADF;
    old = p->fds[fd];
    if ((uint32_t)fd >= p->fd_end)
        p->fd_end = (uint32_t)fd + 1;
    __atomic_store_n(&p->fds[fd], f, __ATOMIC_RELEASE);
    if (old)
        file_put(st, old);
    else
        p->nfds++;
    return 0;
}

int proc_close(struct stack *st, struct proc *p, int fd)
{
    struct file *f = proc_file(p, fd);

    if (!f)
        return -EBADF;
    __atomic_store_n(&p->fds[fd], NULL, __ATOMIC_RELEASE);
    p->nfds--;
    while (p->fd_end && !p->fds[p->fd_end - 1])
        p->fd_end--;
    file_put(st, f);
    return 0;
}

static struct list *pin_bucket(struct proc *p, const struct file *f)
{
    return &p->pins[f->id % PIN_BUCKETS];
}

int proc_pin(struct stack *st, struct proc *p, struct file *f)
{
    struct pin *pin = slab_alloc(&st->ready->family->pins);

    if (!pin)
        return -ENOMEM;
    file_hold(f);
    list_add_head(pin_bucket(p, f), &pin->node);
    list_step();
    pin->file = f;
    return 0;
}

void proc_unpin(struct stack *st, struct proc *p, struct file *f)
{
    list_for_each(n, pin_bucket(p, f))
    {
        struct pin *pin = container_of(n, struct pin, node);

        if (pin->file == f) {
            pin_free(st, pin);
            return;
        }
    }
}

void proc_mark(struct proc *p, int fd, uint8_t mark)
{
    if (!proc_file(p, fd))
        return;
    p->marks[fd] = mark;
    p->marked = 1;
}

struct proc *family_find(struct stack *st, int pid)
{
    struct family *fam = st->ready->family;

    for (unsigned i = 0; i < fam->top; i++)
        if (fam->proc[i].state == PROC_LIVE && fam->proc[i].pid == pid)
            return &fam->proc[i];
    return NULL;
}

int family_exec_begin(struct stack *st, struct proc *p, int tid)
{
    if (p->exec_begun)
        return -EBUSY;
    pthread_mutex_lock(&p->exec); /* free: whoever has it has exec_begun set */
    p->exec_begun = 1;
    p->exec_tid = tid;
    for (uint32_t fd = 0; fd < p->fd_end; fd++)
        proc_mark(p, (int)fd, PROC_MARK_CLOSE);
    return 0;
}

void family_exec_failed(struct stack *st, struct proc *p)
{
    p->exec_begun = 0;
    pthread_mutex_unlock(&p->exec);
}

/* Releases what the marks say, and what threads of the old image held. exec_begun goes last: a process killed
 * in here leaves it to the next one to go on. */
static void exec_sweep(struct stack *st, struct proc *p)
{
    for (int fd = (int)p->fd_end - 1; fd >= 0; fd--)
        if (proc_file(p, fd) && p->marks[fd] & PROC_MARK_CLOSE)
            proc_close(st, p, fd);
    for (unsigned b = 0; b < PIN_BUCKETS; b++)
        list_for_each_safe(n, &p->pins[b]) pin_free(st, container_of(n, struct pin, node));
    waiter_reap(st, p->pid);
    p->fresh = 1;
    p->exec_begun = 0;
}

bool family_exec_done(struct stack *st, struct proc *p, bool gone)
{
    if (p->state != PROC_LIVE || !p->exec_begun)
        return true;
    switch (pthread_mutex_trylock(&p->exec)) {
    case EBUSY:
        if (!gone)
            return false;
        break;
    case EOWNERDEAD:
        pthread_mutex_consistent(&p->exec);
        pthread_mutex_unlock(&p->exec);
        break;
    default:
        pthread_mutex_unlock(&p->exec);
    }
    exec_lock_init(p); /* nobody waits for it */
    exec_sweep(st, p);
    if (!p->nfds)
        family_reap(st, p);
    return true;
}

void family_exec_join(struct stack *st, struct proc *p)
{
    if (p->fresh)
        return;
    if (!p->exec_begun)
        for (uint32_t fd = 0; fd < p->fd_end; fd++)
            proc_mark(p, (int)fd, 0);
    exec_lock_init(p);
    exec_sweep(st, p);
}

/* --- after a process was killed inside the stack --- */

static bool pin_is_live(const void *obj)
{
    return ((const struct pin *)obj)->file != NULL;
}

/* A pin that was being added or removed has no file, and goes. */
static void mend_pins(struct list *bucket)
{
    list_repair(bucket);
    list_for_each_safe(n, bucket)
    {
        struct pin *pin = container_of(n, struct pin, node);

        if (pin->file)
            file_hold(pin->file);
        else
            list_del(n);
    }
}

static void mend_place(struct proc *p)
{
    while (p->fd_end && !p->fds[p->fd_end - 1])
        p->fd_end--;
    p->nfds = 0;
    for (uint32_t fd = 0; fd < p->fd_end; fd++) {
        if (!p->fds[fd])
            continue;
        file_hold(p->fds[fd]);
        p->nfds++;
    }
    for (unsigned b = 0; b < PIN_BUCKETS; b++)
        mend_pins(&p->pins[b]);
}

void family_mend(struct stack *st)
{
    struct family *fam = st->ready->family;

    file_mend_begin(st);
    for (unsigned i = 0; i < fam->top; i++)
        if (fam->proc[i].state != PROC_FREE)
            mend_place(&fam->proc[i]);
    parcel_mend(st);
    slab_mend(&fam->pins, pin_is_live);
    file_mend_end(st);
}
