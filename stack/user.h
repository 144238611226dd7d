/* user.h: memory of the program, which may not be there.
 *
 * Linux answers a bad pointer with EFAULT, a library would crash. All that the program points at is touched
 * by these functions alone; each puts out a landing pad for its thread first, and the handler of SIGSEGV and
 * SIGBUS (preload/signals.c) takes a fault in there to the pad. That costs a few stores a call, and nothing
 * is asked of the kernel. A program that blocks SIGSEGV gets no EFAULT: the kernel ends it. Context: any,
 * also under a lock; they never wait but for page faults.
 */
#ifndef SHUNT_USER_H
#define SHUNT_USER_H

#include <stdbool.h>
#include <stddef.h>

/* Once, before others: the distance from the thread pointer of a pointer-sized variable of each thread, NULL
 * at first, in the static block of a library that was there at the start. Without this a fault is a crash. */
void user_init(ptrdiff_t offset);

/* memcpy. False: a part of one side is not there; how much was copied is not known. */
bool user_copy(void *to, const void *from, size_t n);
/* Whether all of it can be read, or written; a byte of each page is touched, its value stays. For structures
 * that are then used in place. */
bool user_readable(const void *p, size_t n);
bool user_writable(void *p, size_t n);

/* For the signal handler, with its third argument: true when the fault was in one of these functions. The
 * return from the handler then goes on there. */
bool user_fault(void *ucontext);

#endif
