/* fork.c: a process is made, a process ends.
 *
 * Theory of operation. The engine keeps a slot for each process of the family in the segment, with its table
 * of files. fork_prepare makes the child's in the parent, so that no file can go in between; the child takes
 * it over in fork_child. The calls come from pthread_atfork's hooks, so that libc's own forks (daemon,
 * forkpty) are seen too; fork() itself is interposed only to know the child's pid. _Fork and a clone without
 * CLONE_VM run no hooks: they are interposed (call_process.c) and call the same three functions. A child that
 * shares the memory (vfork, CLONE_VM | CLONE_VFORK) has a descriptor table of its own but no place in the
 * segment: until it execs, guard.vforked makes every number the kernel's. From prepare to the end of the
 * hooks the thread is under the guard: no handler of the program sees the half-made child.
 */
#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/single_threaded.h>

#include "dispatch.h"
#include "fdtab.h"
#include "libc.h"
#include "forking.h"
#include "place.h"
#include "stream.h"
#include "wait.h"

static __thread struct {
    bool interposed; /* fork() will report the pid */
    bool prepared;
    bool hooked; /* the hooks entered the guard */
    bool alone;  /* no thread was made, by whatever function of libc: no lock is another's */
} state __attribute__((tls_model("initial-exec")));

/* The program has, or had, more than one thread. */
static bool threaded;

void fork_threaded(void)
{
    if (!threaded)
        threaded = true;
}

bool forking_room(void)
{
    if (!fdtab || guard.depth > 0 || API(fork_room()))
        return true;
    errno = EAGAIN;
    return false;
}

void forking_prepare(void)
{
    state.hooked = fdtab && guard.depth == 0;
    if (!state.hooked)
        return;
    guard_enter();
    state.alone = __libc_single_threaded; /* in the child it may be set anew */
    state.prepared = api->fork_prepare() == 0;
}

/* A fork of libc's own, whose pid is not known here: the child tells it. */
static void hook_parent(void)
{
    if (state.hooked && !state.interposed) {
        state.hooked = false;
        guard_leave();
    }
}

void forking_parent(bool ok, int pid)
{
    if (!state.hooked)
        return;
    if (state.prepared)
        api->fork_parent(ok, pid);
    state.hooked = false;
    guard_leave();
}

void forking_child(void)
{
    dispatch_child();
    if (!state.hooked)
        return;
    if (state.prepared)
        api->fork_child();
    fdtab_follow(state.prepared ? api : NULL);
    wait_child();
    if (!state.alone) {
        epoll_child();
        stream_child();
    }
    if (threaded)
        fdtab_recheck();
    state.hooked = false;
    guard_leave();
}

void forking_interposed(bool yes)
{
    state.interposed = yes;
}

void fork_hooks(void)
{
    pthread_atfork(forking_prepare, hook_parent, forking_child);
    at_quick_exit(fork_exit); /* functions registered from now on run before it */
}

void fork_exit(void)
{
    if (!fdtab || guard.depth > 0 || guard.vforked)
        return;
    wait_leaving();
    API_VOID(exit_process());
    fdtab_follow(NULL);
}

__attribute__((destructor)) static void at_exit(void)
{
    if (!fdtab || guard.depth > 0)
        return;
    stream_flush_all();
    fork_exit();
}
