/* report.h: what `shunt run --report` counts: the calls of all processes of a stack, by kind and by side.
 *
 * Off, it costs nothing: nobody counts. On, the interposers' two tables, the engine's (struct shunt_api) and
 * the C library's (struct libc), are replaced by ones whose functions count, look at the clock and go on to
 * the real ones (report.c). The numbers lie in the segment, so that they are the whole tree's, and the keeper
 * prints them when the last process is gone (engine/tell.c).
 */
#ifndef SHUNT_PRELOAD_REPORT_H
#define SHUNT_PRELOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct shunt_api;

/* X(identifier, "as it is called"): kinds of calls. Receiving is read, readv, recv, recvfrom, recvmsg and all
 * their kin; sending likewise. */
#define REPORT_CALLS(X)                                                                                      \
    X(SOCKET, "socket")                                                                                      \
    X(BIND, "bind")                                                                                          \
    X(LISTEN, "listen")                                                                                      \
    X(ACCEPT, "accept")                                                                                      \
    X(CONNECT, "connect")                                                                                    \
    X(RECEIVE, "read, recv ...")                                                                             \
    X(SEND, "write, send ...")                                                                               \
    X(SENDFILE, "sendfile, splice")                                                                          \
    X(POLL, "poll, select")                                                                                  \
    X(EPOLL_CTL, "epoll_ctl")                                                                                \
    X(EPOLL_WAIT, "epoll_wait")                                                                              \
    X(GETSOCKOPT, "getsockopt")                                                                              \
    X(SETSOCKOPT, "setsockopt")                                                                              \
    X(IOCTL, "ioctl")                                                                                        \
    X(NAME, "getsockname, getpeername")                                                                      \
    X(SHUTDOWN, "shutdown")                                                                                  \
    X(DUP, "dup")                                                                                            \
    X(CLOSE, "close")

enum report_call {
#define X(id, text) REPORT_##id,
    REPORT_CALLS(X)
#undef X
        REPORT_CALLS_MAX
};

enum report_side { REPORT_STACK, REPORT_KERNEL, REPORT_SIDES };
enum report_time { REPORT_WORKING, REPORT_SPINNING, REPORT_SLEEPING, REPORT_TIMES };

#define REPORT_OPTIONS 128 /* kinds of socket options that are told apart */

/* All are added to atomically, by any process. */
struct report {
    uint64_t calls[REPORT_SIDES][REPORT_CALLS_MAX];
    uint64_t again[REPORT_CALLS_MAX];  /* of the stack's: EAGAIN, nothing was there or no room */
    uint32_t unsupported[8];           /* enum unsupported of diag.h */
    uint64_t received, sent, sendfile; /* bytes, by the stack */
    uint64_t ns[REPORT_TIMES];         /* of all threads, in calls for the stack */
    struct report_option {
        uint64_t key;               /* level << 32 | name, plus 1; 0: free */
        uint64_t set, got, refused; /* refused: ENOPROTOOPT and EOPNOTSUPP */
    } option[REPORT_OPTIONS];
};

/* The table to be used for the engine's table a: a itself unless a report is wanted. Again with what it
 * returned when the engine changed its table. */
const struct shunt_api *report_follow(const struct shunt_api *a);
/* Where diag.h's counts go then; NULL: no report is wanted. */
uint32_t *report_unsupported(void);

#endif
