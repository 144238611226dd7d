/* popened.h: streams that popen made here and not in libc (call_system.c). */
#ifndef SHUNT_PRELOAD_POPENED_H
#define SHUNT_PRELOAD_POPENED_H

#include <stdio.h>

/* f is about to be closed by fclose: nobody waits for its child. */
void popened_forget(FILE *f);

#endif
