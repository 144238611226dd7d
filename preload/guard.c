/* guard.c: see guard.h. */
#include "guard.h"

#include "libc.h"

__thread struct guard guard __attribute__((tls_model("initial-exec"))) = {.mask = UINT64_MAX};

void guard_flush(void)
{
    uint64_t mask = guard.mask;
    /* All is blocked, so nothing comes between these; the handlers run before rt_sigprocmask returns. */
    guard.mask = UINT64_MAX;
    guard.deferred = false;
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
}
