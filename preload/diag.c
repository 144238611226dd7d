/* diag.c: see diag.h. Writes with the bare system call: no buffer of stdio, no interposer, safe in any
 * context. */
#include "diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libc.h"
#include "report.h"
#include "tree.h"

_Static_assert(UNSUP_MAX <= sizeof((struct report){0}.unsupported) / sizeof(unsigned), "room in the report");

static const char *const levels[] = {"error", "warn", "info", "debug"};

static int level_of(const char *name, int otherwise)
{
    for (int i = 0; name && i < 4; i++)
        if (strcmp(name, levels[i]) == 0)
            return i;
    return otherwise;
}

bool diag_wants(const char *level)
{
    return level_of(level, 0) <= level_of(tree_setting("SHUNT_LOG"), 1);
}

void diag_line(const char *level, const char *fmt, ...)
{
    int saved = errno;
    if (diag_wants(level)) {
        char line[512];
        va_list ap;
        int n = snprintf(line, sizeof(line), "shunt: %s: ", level);
        va_start(ap, fmt);
        n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
        va_end(ap);
        if (n > (int)sizeof(line) - 2)
            n = sizeof(line) - 2;
        line[n++] = '\n';
        /* Standard error may be a socket that stands for nothing any more: no SIGPIPE. */
        if (raw_syscall(SYS_sendto, 2, (long)line, n, MSG_NOSIGNAL, 0, 0) == -ENOTSOCK)
            raw_syscall(SYS_write, 2, (long)line, n, 0, 0, 0);
    }
    errno = saved;
}

static const char *const texts[UNSUP_MAX] = {
    [UNSUP_IO_URING] = "io_uring is not served by the stack: io_uring_setup fails with ENOSYS",
    [UNSUP_RAW_CLONE] = "a process made by a raw clone() has no stack: its sockets are not connected",
    [UNSUP_SYSCALL] = "io_submit does not take a socket of the stack: EINVAL",
};
/* Shared with the processes forked from here on, so that once is once. */
static unsigned own[UNSUP_MAX], *counts = own;

void diag_share(void)
{
    void *p = report_unsupported();
    if (!p)
        p = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return;
    counts = p;
    for (unsigned n = own[UNSUP_IO_URING]; n > 0; n--)
        diag_unsupported(UNSUP_IO_URING);
}

void diag_unsupported(enum unsupported what)
{
    /* A ring before there is a stack is no matter yet: runtimes make one whatever they are about to do. */
    const char *level = what == UNSUP_IO_URING && counts == own ? "info" : "warn";
    if (__atomic_fetch_add(&counts[what], 1, __ATOMIC_RELAXED) == 0)
        diag_line(level, "%s", texts[what]);
}
