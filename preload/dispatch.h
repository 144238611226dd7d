/* dispatch.h: programs that make their own system calls. Theory of operation: dispatch.c. */
#ifndef SHUNT_PRELOAD_DISPATCH_H
#define SHUNT_PRELOAD_DISPATCH_H

#include <pthread.h>
#include <stdbool.h>

/* The kernel hands this program's own system calls to the library (SIGSYS). Set before main, if at all. */
extern bool dispatch_on;

/* SIGSYS is dispatch.c's, for this program or for a function of libc: its own action is kept aside. */
extern bool dispatch_sigsys;

/* While a function of libc runs that makes sockets of its own (call_resolve.c): the thread's system calls
 * from anywhere but libshunt.so are handed over too. begin: false, and nothing is to be ended, where this
 * kernel or machine has no such thing. Nest. Context: a stack runs; not under the guard. */
struct dispatch_scope {
    bool on;
    char before;   /* the selector */
    bool unmasked; /* SIGSYS was blocked */
};
struct dispatch_scope dispatch_begin(void);
void dispatch_end(struct dispatch_scope *s);
/* Is this thread between the two? */
bool dispatch_resolving(void);

/* pthread_create, whose thread's system calls are handed over too. */
int dispatch_thread(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
/* In a forked child: the kernel has forgotten. */
void dispatch_child(void);

#endif
