/* signals.c: keeps the program's handlers out of the engine, and knows which ran.
 *
 * Theory of operation. Every handler that the program installs is replaced by one wrapper; the program's own
 * is kept in a table. The wrapper calls it at once unless the thread is inside the engine (guard.depth). Then
 * it re-queues the signal to the thread (rt_tgsigqueueinfo, siginfo unchanged) and fills the mask that the
 * return from the wrapper restores, so that the interrupted section ends undisturbed with the signal pending;
 * guard_flush puts the mask back and the kernel delivers it. Several signals may be delivered in one go, as
 * nested frames. The mask of the outermost frame is what has to come back; every inner frame's mask is a
 * superset of it (what the outer ones block was added), so the intersection is right in whatever order the
 * wrappers get to run. Faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS that the thread itself
 * caused) can't wait and go to the program's handler at once. SA_RESETHAND and SA_NODEFER are the wrapper's
 * business: the kernel would reset the disposition, or let the signal in again, when the handler is merely
 * put off.
 *
 * SIGSEGV and SIGBUS have the wrapper from the stack's start on, whatever the program wants done with them
 * but SIG_IGN: a fault while the engine copies the program's memory is EFAULT there (user.h). With SIG_DFL
 * any other is left to the kernel, which then ends the process at the instruction that did it.
 */
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "dispatch.h"
#include "fdtab.h"
#include "guard.h"
#include "libc.h"

#define SIGNALS 65
#define OURS    (SA_RESETHAND | SA_NODEFER) /* flags that the kernel is not told */

/* What the program asked for. Written with all signals blocked under the lock; read by the wrapper without
 * it: each field is a word, and a handler that comes while its own signal's action changes may see either
 * action on the kernel too. */
static struct action {
    void *handler;
    int flags;
    uint64_t mask;
} actions[SIGNALS];
static int lock; /* its owner's pid: a child may have been forked while a thread of the parent's held it */
static bool keep_faults; /* signals_faults was called */

static uint64_t bit(int sig)
{
    return 1ull << (sig - 1);
}

static uint64_t faults(void)
{
    return bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGSYS);
}

static uint64_t set_mask(int how, uint64_t mask)
{
    uint64_t old = 0;
    raw_syscall(SYS_rt_sigprocmask, how, (long)&mask, (long)&old, sizeof(mask), 0, 0);
    return old;
}

uint64_t signals_block(void)
{
    return set_mask(SIG_BLOCK, ~faults());
}

void signals_restore(uint64_t mask)
{
    set_mask(SIG_SETMASK, mask);
}

void signals_sigpipe(void)
{
    raw_syscall(SYS_tgkill, getpid(), raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGPIPE, 0, 0, 0);
}

/* The signal mask in a ucontext: the kernel writes 64 bits there, whatever sigset_t's size is. */
static uint64_t *context_mask(void *context)
{
    return (uint64_t *)&((ucontext_t *)context)->uc_sigmask;
}

static bool self_inflicted(int sig, const siginfo_t *info)
{
    return (faults() & bit(sig)) && info->si_code > 0;
}

static void put_off(int sig, siginfo_t *info, void *context)
{
    uint64_t *mask = context_mask(context);
    guard.mask &= *mask;
    guard.deferred = true;
    *mask |= ~faults();
    raw_syscall(SYS_rt_tgsigqueueinfo, getpid(), raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0), sig, (long)info,
                0, 0);
}

static bool is_kept(int sig)
{
    return keep_faults && (sig == SIGSEGV || sig == SIGBUS);
}

/* SIG_DFL, where the wrapper stands in for it: a fault happens again, a signal that was sent is sent again.
 */
static void by_default(int sig, siginfo_t *info)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    libc.sigaction(sig, &dfl, NULL);
    if (!self_inflicted(sig, info))
        raw_syscall(SYS_rt_tgsigqueueinfo, getpid(), raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0), sig,
                    (long)info, 0, 0);
}

void signals_told(siginfo_t *info)
{
    static const uint64_t own_codes = 1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1) | 1ull << (SIGBUS - 1) |
                                      1ull << (SIGFPE - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGCHLD - 1) |
                                      1ull << (SIGSYS - 1);
    if (info->si_code != SI_SIGIO)
        return;
    if (info->si_band == 0) {
        int sig = info->si_signo;
        memset(info, 0, sizeof(*info));
        info->si_signo = sig;
        info->si_code = SI_KERNEL;
    } else if (!(own_codes & bit(info->si_signo))) {
        long band = info->si_band;
        info->si_code = band & POLLHUP   ? POLL_HUP
                        : band & POLLERR ? POLL_ERR
                        : band & POLLPRI ? POLL_PRI
                        : band & POLLOUT ? POLL_OUT
                                         : POLL_IN;
    }
}

static void wrapper(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    if (is_kept(sig)) {
        if (self_inflicted(sig, info) && api->user_fault(context))
            return;
        if (actions[sig].handler == SIG_DFL) {
            by_default(sig, info);
            return;
        }
    }
    if (__builtin_expect(guard.depth > 0, 0) && !self_inflicted(sig, info)) {
        put_off(sig, info, context);
        errno = saved;
        return;
    }
    struct action a = actions[sig];
    if ((a.flags & SA_RESETHAND) && is_kept(sig)) {
        actions[sig].handler = SIG_DFL;
    } else if (a.flags & SA_RESETHAND) {
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        libc.sigaction(sig, &dfl, NULL);
    }
    if (a.flags & SA_NODEFER) {
        if (!(a.mask & bit(sig)) && !(*context_mask(context) & bit(sig)))
            set_mask(SIG_UNBLOCK, bit(sig));
    }
    signals_told(info);
    guard.handlers++;
    if (!(a.flags & SA_RESTART))
        guard.interrupting++;
    errno = saved;
    /* Three arguments whether SA_SIGINFO was given or not, as the kernel passes them. */
    ((void (*)(int, siginfo_t *, void *))a.handler)(sig, info, context);
}

static uint64_t acquire(void)
{
    uint64_t mask = set_mask(SIG_BLOCK, UINT64_MAX);
    int self = (int)raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), owner = 0;
    while (!__atomic_compare_exchange_n(&lock, &owner, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        if (owner == self) {
            raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
            owner = 0;
        }
    }
    return mask;
}

static void release(uint64_t mask)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    set_mask(SIG_SETMASK, mask);
}

/* The kernel's action as the program would have it. */
static void unwrap(struct sigaction *old, const struct action *a)
{
    if (old->sa_sigaction != wrapper)
        return;
    old->sa_sigaction = (void (*)(int, siginfo_t *, void *))a->handler;
    old->sa_flags = (old->sa_flags & ~(SA_SIGINFO | OURS)) | (a->flags & (SA_SIGINFO | OURS));
    if (a->handler == SIG_DFL)
        old->sa_flags = a->flags;
}

/* SIGSYS while the kernel hands over system calls by it: the program's action is noted, the kernel keeps
 * dispatch.c's. */
static int keep_aside(const struct sigaction *act, struct sigaction *old)
{
    uint64_t mask = acquire();
    struct action *a = &actions[SIGSYS], before = *a;
    if (act) {
        a->flags = act->sa_flags;
        memcpy(&a->mask, &act->sa_mask, sizeof(a->mask));
        a->handler = (void *)act->sa_sigaction;
    }
    release(mask);
    if (old) {
        memset(old, 0, sizeof(*old));
        old->sa_sigaction = (void (*)(int, siginfo_t *, void *))before.handler;
        old->sa_flags = before.flags;
        memcpy(&old->sa_mask, &before.mask, sizeof(before.mask));
    }
    return 0;
}

void signals_sigsys(siginfo_t *info, void *context)
{
    if (actions[SIGSYS].handler == SIG_DFL)
        by_default(SIGSYS, info);
    else if (actions[SIGSYS].handler != SIG_IGN)
        wrapper(SIGSYS, info, context);
}

int signals_action(int sig, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction kern, was;
    if (sig < 1 || sig >= SIGNALS || guard.depth > 0)
        return libc.sigaction(sig, act, old);
    if (sig == SIGSYS && (dispatch_on || dispatch_sigsys))
        return keep_aside(act, old);
    uint64_t mask = acquire();
    struct action before = actions[sig];
    if (act) {
        kern = *act;
        if (dispatch_on)
            sigdelset(&kern.sa_mask, SIGSYS);
        if ((act->sa_handler != SIG_DFL || is_kept(sig)) && act->sa_handler != SIG_IGN &&
            act->sa_sigaction != wrapper) {
            memcpy(&actions[sig].mask, &act->sa_mask, sizeof(actions[sig].mask));
            actions[sig].flags = act->sa_flags;
            actions[sig].handler = (void *)act->sa_sigaction;
            kern.sa_sigaction = wrapper;
            kern.sa_flags = (act->sa_flags & ~OURS) | SA_SIGINFO;
            if (act->sa_handler == SIG_DFL) /* a deep stack's overflow still ends the process */
                kern.sa_flags |= SA_ONSTACK;
        }
    }
    int r = libc.sigaction(sig, act ? &kern : NULL, &was);
    if (r < 0)
        actions[sig] = before;
    int err = errno;
    release(mask);
    if (r == 0 && old) {
        unwrap(&was, &before);
        *old = was;
    }
    errno = err;
    return r;
}

void signals_faults(void)
{
    static const int sig[] = {SIGSEGV, SIGBUS};
    int depth = guard.depth;
    char *thread_pointer;
    __asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
    api->user_init((char *)&guard.landing - thread_pointer);
    keep_faults = true;
    guard.depth = 0; /* as if the program did it: it keeps what it has, under the wrapper */
    for (int i = 0; i < 2; i++) {
        struct sigaction now;
        if (libc.sigaction(sig[i], NULL, &now) == 0 && now.sa_sigaction != wrapper)
            signals_action(sig[i], &now, NULL);
    }
    guard.depth = depth;
}
