/* boot.h: starts the stack at the first socket that needs it. */
#ifndef SHUNT_PRELOAD_BOOT_H
#define SHUNT_PRELOAD_BOOT_H

#include <stdbool.h>

/* True: a stack runs. False: sockets are the kernel's (SHUNT_FALLBACK=kernel and the stack could not start,
 * or the caller is the engine). Starts the stack on the first call; other threads wait for it. Where it can't
 * start and there is no fallback the process ends with status 1, after one line on standard error. */
bool boot(void);
/* Loads the engine, but starts nothing: a later boot needs no file. */
void boot_load(void);

#endif
