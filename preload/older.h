/* older.h: waits on epoll sets that are older than the stack, in which a thread may sleep when a set gets its
 * first socket of the stack. Theory of operation: older.c. */
#ifndef SHUNT_PRELOAD_OLDER_H
#define SHUNT_PRELOAD_OLDER_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/single_threaded.h>

/* Could another thread give epfd a socket of the stack while this one sleeps in it? */
static inline bool older_matters(void)
{
    return !__libc_single_threaded;
}

/* Around the kernel's wait: older_enter; if the set is the kernel's alone still, the wait; older_leave. That
 * returns how many of the n events are the program's. errno is kept. */
void older_enter(int epfd);
int older_leave(int epfd, struct epoll_event *ev, int n);
/* epfd, whose number is in the table of files by now, has its first socket of the stack: who sleeps in it
 * comes back. */
void older_wake(int epfd);
/* Takes what older_wake put into the set from n events of epfd (n < 0: an error); the new n. */
int older_filter(int epfd, struct epoll_event *ev, int n);
/* Might a set hold what older_wake puts in? Then older_filter sees what any wait on it gives. */
extern int older_ncalls;
static inline bool older_calling(void)
{
    return __atomic_load_n(&older_ncalls, __ATOMIC_RELAXED) != 0;
}
/* In a forked child: no other thread sleeps. */
void older_child(void);

#endif
