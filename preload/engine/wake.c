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
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "engine.h"
#include "record.h"

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
    if (engine.st->shard[0].cap && engine.st->shard[0].cap->wake == index)
        record_pace();
}

/* poll(2)'s bits for POLL_IN (1) to POLL_HUP, as Linux has them in si_band. */
static const short bands[] = {0,
                              POLLIN | POLLRDNORM,
                              POLLOUT | POLLWRNORM | POLLWRBAND,
                              POLLIN | POLLRDNORM | POLLMSG,
                              POLLERR,
                              POLLPRI | POLLRDBAND,
                              POLLHUP | POLLERR};

/* To thread tid of whichever process of the family has it. */
static long queue_to_thread(int tid, int sig, siginfo_t *si)
{
    long r = sys4(SYS_rt_tgsigqueueinfo, sys0(SYS_getpid), tid, sig, si);

    for (unsigned i = 0; r == -ESRCH && i < process_slots(); i++) {
        int pid = family_at(engine.st, i)->pid;

        if (pid > 0)
            r = sys4(SYS_rt_tgsigqueueinfo, pid, tid, sig, si);
    }
    return r;
}

/* What the kernel says in a siginfo of its own may be said by nobody else; by SI_SIGIO the program's side
 * knows that it is to be put right (preload/signals.c). */
void wake_signal(const struct sig_due *s)
{
    siginfo_t si;
    long r;

    memset(&si, 0, sizeof si);
    si.si_signo = s->sig;
    si.si_code = SI_SIGIO;
    si.si_band = bands[s->code < sizeof bands / sizeof bands[0] ? s->code : 0];
    si.si_fd = s->fd;
    if (s->type == OWNER_PGRP) { /* Differs: without the siginfo, which cannot be queued to a group */
        sys2(SYS_kill, -s->who, s->sig);
        return;
    }
    r = s->type == OWNER_TID ? queue_to_thread(s->who, s->sig, &si)
                             : sys3(SYS_rt_sigqueueinfo, s->who, s->sig, &si);
    if (r == -EAGAIN) /* the queue is full (send_sigio_to_task) */
        sys2(s->type == OWNER_TID ? SYS_tkill : SYS_kill, s->who, SIGIO);
}
