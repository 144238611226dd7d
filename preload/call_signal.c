/* call_signal.c: sigaction and the older ways to install a handler, over signals_action. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "dispatch.h"
#include "libc.h"
#include "signals.h"

#ifndef SIG_HOLD
#define SIG_HOLD ((__sighandler_t)2)
#endif

/* Signals that siginterrupt(3) asked to interrupt calls: signal(3) then installs without SA_RESTART. */
static sigset_t interrupting;

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    return signals_action(sig, act, old);
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old) ALIAS_NOTHROW(sigaction);

static __sighandler_t install(int sig, __sighandler_t handler, int flags, const sigset_t *mask)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags}, old;
    if (handler == SIG_ERR || sig < 1 || sig >= _NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (mask)
        act.sa_mask = *mask;
    if (signals_action(sig, &act, &old) < 0)
        return SIG_ERR;
    return old.sa_handler;
}

EXPORT __sighandler_t signal(int sig, __sighandler_t handler)
{
    sigset_t self;
    sigemptyset(&self);
    sigaddset(&self, sig);
    return install(sig, handler, sigismember(&interrupting, sig) == 1 ? 0 : SA_RESTART, &self);
}

__sighandler_t bsd_signal(int sig, __sighandler_t handler) ALIAS_NOTHROW(signal);
__sighandler_t ssignal(int sig, __sighandler_t handler) ALIAS_NOTHROW(signal);

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t handler)
{
    return install(sig, handler, SA_RESETHAND | SA_NODEFER, NULL);
}

__sighandler_t __sysv_signal(int sig, __sighandler_t handler) ALIAS_NOTHROW(sysv_signal);

EXPORT int siginterrupt(int sig, int interrupt)
{
    struct sigaction act;
    if (signals_action(sig, NULL, &act) < 0)
        return -1;
    if (interrupt) {
        sigaddset(&interrupting, sig);
        act.sa_flags &= ~SA_RESTART;
    } else {
        sigdelset(&interrupting, sig);
        act.sa_flags |= SA_RESTART;
    }
    return signals_action(sig, &act, NULL);
}

EXPORT __sighandler_t sigset(int sig, __sighandler_t disp)
{
    sigset_t set, before;
    struct sigaction old;
    if (disp == SIG_ERR || sig < 1 || sig >= _NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&set);
    sigaddset(&set, sig);
    if (libc.pthread_sigmask(disp == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &set, &before) != 0)
        return SIG_ERR;
    if (disp == SIG_HOLD) {
        if (signals_action(sig, NULL, &old) < 0)
            return SIG_ERR;
    } else {
        struct sigaction act = {.sa_handler = disp};
        if (signals_action(sig, &act, &old) < 0)
            return SIG_ERR;
    }
    return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
}

EXPORT int sigignore(int sig)
{
    struct sigaction act = {.sa_handler = SIG_IGN};
    return signals_action(sig, &act, NULL);
}

/* --- masks: SIGSYS stays open while system calls are handed over by it (dispatch.c) --- */

static const sigset_t *without_sigsys(const sigset_t *set, int how, sigset_t *own)
{
    if (!set || !dispatch_on || how == SIG_UNBLOCK)
        return set;
    *own = *set;
    sigdelset(own, SIGSYS);
    return own;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t own;
    return libc.pthread_sigmask(how, without_sigsys(set, how, &own), old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t own;
    return libc.sigprocmask(how, without_sigsys(set, how, &own), old);
}

/* --- waiting for a signal --- */

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    int sig = libc.sigtimedwait(set, info, timeout);
    if (sig > 0 && info)
        signals_told(info);
    return sig;
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    int sig = libc.sigwaitinfo(set, info);
    if (sig > 0 && info)
        signals_told(info);
    return sig;
}
