/* fork.h: the family's processes as the interposers see them. Theory of operation: fork.c. */
#ifndef SHUNT_PRELOAD_FORK_H
#define SHUNT_PRELOAD_FORK_H

/* From the stack's start on every fork of this process tells the engine. */
void fork_hooks(void);
/* The program makes a thread: another than the forking one may change descriptors between the copy of the
 * stack's table and that of the kernel's, so that a child compares them. */
void fork_threaded(void);
/* The process is about to end: what it holds in the stack is released at once. Later calls on its sockets
 * find the placeholder. */
void fork_exit(void);

#endif
