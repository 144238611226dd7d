/* dispatch.h: programs that make their own system calls. Theory of operation: dispatch.c. */
#ifndef SHUNT_PRELOAD_DISPATCH_H
#define SHUNT_PRELOAD_DISPATCH_H

#include <pthread.h>
#include <stdbool.h>

/* The kernel hands this program's own system calls to the library (SIGSYS). Set before main, if at all. */
extern bool dispatch_on;

/* pthread_create, whose thread's system calls are handed over too. */
int dispatch_thread(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
/* In a forked child: the kernel has forgotten. */
void dispatch_child(void);

#endif
