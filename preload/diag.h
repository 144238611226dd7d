/* diag.h: what the interposers say to the user: one line each on standard error, starting `shunt: `. */
#ifndef SHUNT_PRELOAD_DIAG_H
#define SHUNT_PRELOAD_DIAG_H

#include <stdbool.h>

/* Level is error, warn, info or debug; written when SHUNT_LOG admits it (default warn). Keeps errno. */
void diag_line(const char *level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* SHUNT_LOG admits level. */
bool diag_wants(const char *level);

/* What the stack can't do, each counted, and logged once. */
enum unsupported {
    UNSUP_IO_URING,  /* io_uring_setup after a stack was started: ENOSYS */
    UNSUP_RAW_CLONE, /* fork by a raw clone: the child has no stack */
    UNSUP_SYSCALL,   /* io_submit on a socket of the stack */
    UNSUP_MAX
};
/* Once, before the first fork of a process with a stack. */
void diag_share(void);
void diag_unsupported(enum unsupported what);

#endif
