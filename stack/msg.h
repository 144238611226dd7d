/* msg.h: the program's msghdr: control messages (cmsg(3)) and bytes into its memory. */
#ifndef SHUNT_MSG_H
#define SHUNT_MSG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct rte_mbuf;

/* Adds a control message while there is room, and says so in msg_flags when there isn't (put_cmsg of Linux).
 * *used: bytes of msg_control that are taken, 0 at first; the caller makes it msg_controllen at the end. */
void msg_put_ctl(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len);
/* The control messages of a send, one after the other: *c is NULL at first, then each in turn. 1, 0: no more;
 * -EFAULT: they are not the program's memory; -EINVAL: one has a length that it cannot have (CMSG_OK). */
int msg_next_ctl_slow(const struct msghdr *msg, struct cmsghdr **c);
static inline int msg_next_ctl(const struct msghdr *msg, struct cmsghdr **c)
{
    return !msg->msg_control || !msg->msg_controllen ? 0 : msg_next_ctl_slow(msg, c);
}
/* Copies from packet m, its first off bytes passed over, to the iovecs until either ends. Bytes, or
 * -EFAULT. */
ssize_t msg_scatter(const struct rte_mbuf *m, uint32_t off, const struct msghdr *msg);

#endif
