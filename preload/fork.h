/* fork.h: the family's processes as the interposers see them. Theory of operation: fork.c. */
#ifndef SHUNT_PRELOAD_FORK_H
#define SHUNT_PRELOAD_FORK_H

/* From the stack's start on every fork of this process tells the engine. */
void fork_hooks(void);
/* The process is about to end: what it holds in the stack is released at once. Later calls on its sockets
 * find the placeholder. */
void fork_exit(void);

#endif
