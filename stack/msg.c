/* msg.c: into the program's msghdr (msg.h). */
#include "msg.h"

#include <errno.h>
#include <rte_mbuf.h>

#include "user.h"

void msg_put_ctl(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len)
{
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    size_t left = msg->msg_control ? msg->msg_controllen - *used : 0;
    uint8_t *p = (uint8_t *)msg->msg_control + *used;

    if (left < sizeof c) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (left < c.cmsg_len) {
        msg->msg_flags |= MSG_CTRUNC;
        c.cmsg_len = left;
    }
    if (!user_copy(p, &c, sizeof c) || !user_copy(p + CMSG_LEN(0), data, c.cmsg_len - CMSG_LEN(0)))
        return;
    *used += CMSG_SPACE(len) < left ? CMSG_SPACE(len) : left;
}

int msg_next_ctl_slow(const struct msghdr *msg, struct cmsghdr **c)
{
    size_t left;

    if (!*c && !user_readable(msg->msg_control, msg->msg_controllen))
        return -EFAULT;
    *c = *c ? CMSG_NXTHDR((struct msghdr *)msg, *c) : CMSG_FIRSTHDR(msg);
    if (!*c)
        return 0;
    left = msg->msg_controllen - (size_t)((char *)*c - (char *)msg->msg_control);
    return (*c)->cmsg_len < CMSG_LEN(0) || (*c)->cmsg_len > left ? -EINVAL : 1;
}

ssize_t msg_scatter(const struct rte_mbuf *m, uint32_t off, const struct msghdr *msg)
{
    uint32_t at = off, left = m->pkt_len - off;
    size_t done = 0;

    for (size_t i = 0; i < msg->msg_iovlen && left; i++) {
        uint8_t *to = msg->msg_iov[i].iov_base;
        size_t room = msg->msg_iov[i].iov_len;

        while (room && left) {
            while (at >= m->data_len) {
                at -= m->data_len;
                m = m->next;
            }
            size_t n = m->data_len - at < room ? m->data_len - at : room;
            if (!user_copy(to, rte_pktmbuf_mtod_offset(m, uint8_t *, at), n))
                return -EFAULT;
            at += (uint32_t)n;
            left -= (uint32_t)n;
            to += n;
            room -= n;
            done += n;
        }
    }
    return (ssize_t)done;
}
