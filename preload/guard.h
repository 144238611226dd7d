/* guard.h: what a thread is doing inside the library: whether it is in a call of the engine, and which of the
 * program's signal handlers ran meanwhile.
 *
 * A call of the engine holds shard locks, and a signal handler may call any socket function, so no handler of
 * the program may run inside: API() raises `depth`, and signals.c puts a handler off while it is raised. The
 * last guard_leave lets it run. Context: any thread; the fields are touched by their own thread and by signal
 * handlers on that thread alone.
 */
#ifndef SHUNT_PRELOAD_GUARD_H
#define SHUNT_PRELOAD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct guard {
    int depth;         /* > 0: inside the engine; a thread of the engine stays so */
    bool deferred;     /* a handler was put off: all signals are blocked until guard_flush */
    bool vforked;      /* in the child of a vfork: the parent's memory, another descriptor table */
    uint64_t mask;     /* signals to block again once the handlers may run; all ones while none is deferred */
    uint32_t handlers; /* handlers of the program that ran on this thread */
    void *landing;     /* the engine's (user.h): where it goes on when memory of the program is not there */
    uint32_t interrupting; /* those of them without SA_RESTART */
};

extern __thread struct guard guard __attribute__((tls_model("initial-exec")));

/* Lets the deferred handlers run: restores the signal mask. */
void guard_flush(void);

static inline void guard_enter(void)
{
    guard.depth++;
    __asm__ volatile("" ::: "memory");
}

static inline void guard_leave(void)
{
    __asm__ volatile("" ::: "memory");
    guard.depth--;
    __asm__ volatile("" ::: "memory");
    if (__builtin_expect(guard.deferred, 0) && guard.depth == 0)
        guard_flush();
}

#endif
