/* process.c: the processes of the family, seen from inside one of them: its first entry, fork and exit.
 *
 * Theory of operation. A process has a place in the family's table (stack/family.h), and this process's own
 * is known to the api functions (api_bind). Before a fork the child's place is made, with references to
 * everything the parent has; after it both say which pid it became, so that it does not matter which of them
 * is killed first. The keeper is told, to watch it.
 *
 * At exit the descriptors are released but the place stays: other threads may still be at work on the number
 * table, and the keeper frees it once the process is dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dpdk/fds.h"
#include "../../stack/api_int.h"
#include "../../stack/family.h"
#include "../../stack/log.h"
#include "engine.h"

#define FORK_STALE_NS                                                                                        \
    (10ull * NS_IN_S) /* a fork that neither side finished: both were killed in the middle */

static struct proc *self; /* this process's place; NULL: it has none */

/* The fork that this thread is at: between fork_prepare and fork_parent or fork_child. */
static __thread struct proc *child;
static __thread uint64_t child_since_ns;

static void leave(struct shard *sh)
{
    shard_flush(sh);
    shard_unlock(sh);
}

static int my_pid(void)
{
    return (int)sys0(SYS_getpid);
}

static void set_self(struct proc *p)
{
    self = p;
    api_bind(engine.st, p);
    engine.api.fdt = p ? p->fds : NULL;
}

int process_first(void)
{
    struct shard *sh = engine_enter();
    struct proc *p = family_enter(engine.st, my_pid(), 0);

    leave(sh);
    if (!p) {
        log_error("out of memory for the table of processes");
        return -ENOMEM;
    }
    self = p;
    return 0;
}

struct proc *process_self(void)
{
    return self;
}

int process_fork_prepare(void)
{
    struct shard *sh;

    child = NULL;
    if (!self)
        return -ESRCH;
    sh = engine_enter();
    child = family_fork(engine.st, self);
    if (child)
        child_since_ns = child->since_ns;
    leave(sh);
    return child ? 0 : -EAGAIN;
}

void process_fork_parent(bool ok, int child_pid)
{
    struct shard *sh;

    if (!child)
        return;
    sh = engine_enter();
    /* The child may have named itself, died and been reaped by now, and its place be another's. */
    if (child->state == PROC_FORKING && child->forker == my_pid() && child->since_ns == child_since_ns) {
        if (ok)
            family_child(child, child_pid, 0);
        else
            family_reap(engine.st, child);
    }
    leave(sh);
    child = NULL;
    if (ok)
        keeper_kick();
}

void process_fork_child(void)
{
    struct shard *sh;
    struct proc *p = child;

    child = NULL;
    fds_after_fork();
    sleep_after_fork();
    ticket_child();
    if (p) {
        sh = engine_enter();
        /* Stopped for so long that its place was given to another: it has none, and no stack. */
        if ((p->state == PROC_FORKING && p->since_ns == child_since_ns) ||
            (p->state == PROC_LIVE && p->pid == my_pid()))
            family_child(p, my_pid(), 0);
        else
            p = NULL;
        leave(sh);
    }
    set_self(p);
}

void process_exit(void)
{
    struct proc *p = self;
    struct shard *sh;

    if (!p || p->pid != my_pid())
        return;
    sh = engine_enter();
    for (int fd = (int)p->fd_end - 1; fd >= 0; fd--)
        proc_close(engine.st, p, fd);
    leave(sh);
}

void process_leave(void)
{
    struct shard *sh = engine_enter();

    family_reap(engine.st, self);
    leave(sh);
    self = NULL;
    keeper_kick();
}

unsigned process_slots(void)
{
    return FAMILY_MAX;
}

int process_pid(unsigned slot)
{
    struct proc *p = family_at(engine.st, slot);

    if (p->state == PROC_FORKING && engine.st->shard[0].now_ns - p->since_ns > FORK_STALE_NS)
        family_reap(engine.st, p);
    return p->state == PROC_FREE ? 0 : p->pid;
}

void process_reap(unsigned slot)
{
    family_reap(engine.st, family_at(engine.st, slot));
}
