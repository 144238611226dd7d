/* forking.h: the three steps of a fork (fork.c), for the interposers that make a process without libc's hooks
 * (call_process.c). */
#ifndef SHUNT_PRELOAD_FORKING_H
#define SHUNT_PRELOAD_FORKING_H

#include <stdbool.h>

/* False, with errno EAGAIN: the family has as many processes as there is room for. */
bool forking_room(void);
/* Around a fork, on the forking thread: prepare, then parent (ok: the child was made, with this pid; 0: not
 * known) or child. No stack, or inside the engine: nothing. */
void forking_prepare(void);
void forking_parent(bool ok, int pid);
void forking_child(void);
/* fork() is libc's with its hooks: the parent's hook leaves the pid to the caller, who calls forking_parent.
 */
void forking_interposed(bool yes);

#endif
