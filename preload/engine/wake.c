/* wake.c: a fixed set of eventfds that every process of the family holds, because they were made before the
 * first fork.
 *
 * Theory of operation. Who wants to sleep is given one for the length of its sleep, under the lock; who wakes
 * it (any process) finds its index in the segment and writes to its own copy of the descriptor, after the
 * lock is dropped.
 *
 * No wake-up is lost: the index is assigned and the waiter armed under the lock before the sleep, and a waker
 * reads both under the lock. Wake-ups can be late: a write may come after the sleeper was gone and the
 * descriptor was given to the next one, who then wakes once for nothing. Every sleeper looks again after
 * waking, so that is harmless; a sleeper that finds a counter left over from before only returns at once.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "engine.h"

int wake_init(void)
{
    for (unsigned i = 0; i < WAKE_FDS; i++) {
        engine.wake_fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (engine.wake_fd[i] < 0)
            return -errno;
    }
    return 0;
}

/* A waiter that was freed since (its process died) leaves its place here: the slab's memory stays, pid is 0
 * then, or its next user has no descriptor or another one. */
static bool wake_is_free(const struct engine_shared *s, unsigned i)
{
    const struct waiter *w = s->wake_owner[i];

    return !w || w->pid == 0 || w->wake != i;
}

void wake_assign(struct waiter *w)
{
    struct engine_shared *s = engine.shared;

    if (w->wake != WAKE_NONE)
        return;
    for (unsigned k = 0; k < WAKE_FDS; k++) {
        unsigned i = (s->wake_next + k) % WAKE_FDS;

        if (!wake_is_free(s, i))
            continue;
        s->wake_owner[i] = w;
        /* The same one again next time: it is warm, and the others' leftovers stay where they are. */
        s->wake_next = i;
        w->wake = (uint16_t)i;
        return;
    }
}

void wake_release(struct waiter *w)
{
    if (w->wake == WAKE_NONE)
        return;
    engine.shared->wake_owner[w->wake] = NULL;
    w->wake = WAKE_NONE;
}

void wake_drain(unsigned index)
{
    uint64_t n;

    sys3(SYS_read, engine.wake_fd[index], &n, sizeof n);
}

void wake_write(unsigned index)
{
    uint64_t one = 1;

    if (index < WAKE_FDS)
        sys3(SYS_write, engine.wake_fd[index], &one, sizeof one);
}

void wake_signal(const struct sig_due *s)
{
    if (s->type == OWNER_TID)
        sys3(SYS_tkill, s->who, s->sig, 0);
    else
        sys3(SYS_kill, s->type == OWNER_PGRP ? -s->who : s->who, s->sig, 0);
}
