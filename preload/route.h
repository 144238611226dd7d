/* route.h: system calls by number: which interposer serves them (call_syscall.c). */
#ifndef SHUNT_PRELOAD_ROUTE_H
#define SHUNT_PRELOAD_ROUTE_H

#include <stdbool.h>

/* Makes the call as the interposer of its name does, which passes on to the kernel what is not the stack's:
 * true and *r as libc's functions return it (-1 and errno). False: nobody's, nothing was done. */
bool route_call(long nr, const long a[6], long *r);
/* May this call be anybody's but the kernel's? Cheap; reads nothing but descriptors. */
bool route_wants(long nr, const long a[6]);
/* The kernel has made the call, with result r (>= 0 or -errno). Is the answer the stack's to give? Then the
 * call is one to be made again, by the interposer: what it made is undone. Makes system calls of its own
 * alone. */
bool route_again(long nr, const long a[6], long r);
/* open and its like gave fd (< 0: an error) for path, relative to dir, with flags: where that is a file of
 * the stack's it stands there now. What the call is to return, as libc's. */
int open_seen(int fd, int dir, const char *path, int flags);
/* The program's setting SHUNT_<NAME>, a number; otherwise when there is none. */
int route_setting(const char *variable, int otherwise);

#endif
