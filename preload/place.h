/* place.h: which side serves a socket, the stack or the kernel, and getting it there (design section 2).
 * decide.c asks and moves; twin.c makes kernel halves. */
#ifndef SHUNT_PRELOAD_PLACE_H
#define SHUNT_PRELOAD_PLACE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "fdtab.h"

/* The longest socket address that Linux takes; a longer one, or a negative length, is EINVAL. */
static inline bool sockaddr_len_ok(socklen_t len)
{
    return len <= sizeof(struct sockaddr_storage);
}

/* Where a call that names sa on fd, a descriptor of the stack, has to go; what the engine answers, or the
 * socket's own placement where it has one for good. -errno */
int decide_ask(int fd, enum decide_op op, const struct sockaddr *sa, socklen_t len);

/* fd's socket leaves the stack: a kernel socket with its options and flags takes each of its numbers in this
 * process; a twin is used where there is one. 0 or -errno. */
int decide_to_kernel(int fd);
/* fd's socket is the stack's alone: a twin goes away. */
void decide_to_stack(int fd);

/* A fresh kernel socket of fd's domain, type and protocol with its recorded options, non-blocking,
 * close-on-exec; not on fd's number. -errno */
int twin_new(int fd);
/* Puts twin on every number of fd's file; the file stays and is BOTH's. Closes twin's own number. 0 or
 * -errno. */
int twin_attach(int fd, int twin);
/* bind, listen and the first datagram to a kernel destination of a socket that both sides serve. 0 or -errno
 */
int twin_bind(int fd, const struct sockaddr *sa, socklen_t len);
int twin_listen(int fd, int backlog);
int twin_for_send(int fd);
/* fd's socket, which both sides serve, gave up its address: where that was not of the program's choice it has
 * none, and is undecided again. */
void twin_release(int fd);

/* call_epoll.c remembers the epoll sets that an undecided socket was added to. fd is a kernel socket now: it
 * joins the kernel's half of those sets. */
void epoll_moved(int fd);
/* fd is closed: forgets it. */
void epoll_closed(int fd);
/* In a forked child, whose other threads are gone. */
void epoll_child(void);

#endif
