/* call_confine.c: prctl. A program that confines itself to a list of system calls (seccomp) lists what its C
 * library makes, not what this library does beside: from then on it is used sparingly (wait.h). */
#include <stdarg.h>
#include <sys/prctl.h>

#include "libc.h"
#include "wait.h"

EXPORT int prctl(int op, ...)
{
    unsigned long a[4];
    va_list ap;
    va_start(ap, op);
    for (int i = 0; i < 4; i++) /* what was not passed is garbage that the kernel does not look at */
        a[i] = va_arg(ap, unsigned long);
    va_end(ap);
    if (op == PR_SET_SECCOMP)
        wait_confine();
    return libc.prctl(op, a[0], a[1], a[2], a[3]);
}
