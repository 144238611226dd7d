/* pass.h: descriptors of the stack in messages over kernel sockets (SCM_RIGHTS). Theory of operation: pass.c.
 */
#ifndef SHUNT_PRELOAD_PASS_H
#define SHUNT_PRELOAD_PASS_H

#include <sys/socket.h>
#include <sys/types.h>

/* sendmsg(2), sendmmsg(2) on a kernel descriptor, for a process with a stack. As libc's: -1 and errno. */
ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags);
int pass_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags);
/* msg was received from a kernel descriptor, with these flags, and has control messages. Keeps errno. */
void pass_received(const struct msghdr *msg, int flags);

#endif
