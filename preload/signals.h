/* signals.h: the program's signal handlers, wrapped so that none runs inside the engine. Theory of operation:
 * signals.c. */
#ifndef SHUNT_PRELOAD_SIGNALS_H
#define SHUNT_PRELOAD_SIGNALS_H

#include <signal.h>
#include <stdint.h>

/* sigaction(2) for the program: installs the wrapper in place of its handler, reports its handler and flags
 * in *old. Returns -1 and errno as libc's. */
int signals_action(int sig, const struct sigaction *act, struct sigaction *old);

/* From the stack's start on: faults in the program's memory that the engine copies are the engine's (EFAULT),
 * all others the program's as ever. */
void signals_faults(void);

/* SIGIO and its like, as the stack queued it (engine/wake.c): the siginfo becomes what the kernel's own is.
 */
void signals_told(siginfo_t *info);

/* A SIGSYS that is no system call handed over (dispatch.c): the program's. */
void signals_sigsys(siginfo_t *info, void *context);

/* Blocks every signal that can wait; the mask before. Signals of faults are left alone. */
uint64_t signals_block(void);
void signals_restore(uint64_t mask);

/* Sends SIGPIPE to this thread, as the kernel does for EPIPE. */
void signals_sigpipe(void);

#endif
