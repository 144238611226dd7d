/* io.h: receiving and sending on a descriptor of the stack; what read, recv, write, send and all their kin
 * come down to. */
#ifndef SHUNT_PRELOAD_IO_H
#define SHUNT_PRELOAD_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* recvmsg(2), sendmsg(2) on fd, which is the stack's; block as the socket says. Bytes or -errno. io_send
 * raises SIGPIPE as Linux does. */
ssize_t io_recv(int fd, struct msghdr *msg, int flags);
ssize_t io_send(int fd, const struct msghdr *msg, int flags);
/* Linux's access_ok: can [p, p + n) be memory of a program at all? What is there is found out by touching. */
static inline bool io_in_reach(const void *p, size_t n)
{
    return (intptr_t)((uintptr_t)p | n | ((uintptr_t)p + n)) >= 0;
}
/* With one buffer. */
ssize_t io_recv_buf(int fd, void *buf, size_t n, int flags);
ssize_t io_send_buf(int fd, const void *buf, size_t n, int flags);

#endif
