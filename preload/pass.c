/* pass.c: see pass.h.
 *
 * Theory of operation. In the message that goes to the kernel each descriptor of the stack is replaced by a
 * ticket of the engine's (api->parcel_make); a message that comes from the kernel is searched for tickets,
 * and each one's number becomes a descriptor of what it stands for (api->parcel_open). The program's buffers
 * are left alone when sending. What the message is sent on is not looked at: only Unix sockets take
 * descriptors, and the kernel refuses the rest.
 *
 * A process of the tree that has no socket yet joins the stack when a ticket comes.
 *
 * The engine's own descriptors are not the program's to send: EBADF, as for a number that is not open.
 */
#include "pass.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"
#include "many.h"
#include "tree.h"

#define RIGHTS_MAX  253           /* the kernel's SCM_MAX_FD */
#define CONTROL_MAX (128u * 1024) /* longer is ENOBUFS (net.core.optmem_max) */

struct tickets {
    int n;
    int fd[RIGHTS_MAX];
};

static void give_back(void *arg)
{
    struct tickets *t = arg;
    int saved = errno;
    while (t->n > 0)
        API_VOID(parcel_sent(t->fd[--t->n]));
    errno = saved;
}

/* The next control message of SCM_RIGHTS in [*at, len) of control: its numbers, how many in *n. NULL: none.
 */
static char *next_rights(char *control, size_t len, size_t *at, size_t *n)
{
    struct cmsghdr c;
    while (len - *at >= sizeof(c)) {
        char *data = control + *at + CMSG_LEN(0);
        memcpy(&c, control + *at, sizeof(c));
        if (c.cmsg_len < sizeof(c) || c.cmsg_len > len - *at)
            return NULL; /* malformed: the kernel says EINVAL */
        *at += CMSG_ALIGN(c.cmsg_len) < len - *at ? CMSG_ALIGN(c.cmsg_len) : len - *at;
        if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS) {
            *n = (c.cmsg_len - CMSG_LEN(0)) / sizeof(int);
            return data;
        }
    }
    return NULL;
}

static int one_ticket(struct tickets *t, int *fd)
{
    if (fd_is_private(*fd))
        return -EBADF;
    if (t->n == RIGHTS_MAX)
        return -EINVAL;
    unsigned char bits = fd_bits(*fd) & (FD_TWIN | FD_EPSET);
    bool half = bits != 0;
    int r = API(parcel_make(*fd, bits & FD_EPSET ? bits | FD_KERNEL : bits, half));
    if (r < 0)
        return r;
    *fd = t->fd[t->n++] = r;
    return 0;
}

static bool is_ours(int fd)
{
    return fd_is_stack(fd) || fd_is_private(fd);
}

/* Replaces what is ours in a copy of the program's control messages. 0 or -errno; t->n: how many. */
static int replace(char *control, size_t len, struct tickets *t)
{
    size_t at = 0, n;
    char *data;
    while ((data = next_rights(control, len, &at, &n))) {
        for (size_t i = 0; i < n; i++) {
            int fd, r;
            memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
            if (!is_ours(fd))
                continue;
            r = one_ticket(t, &fd);
            if (r < 0)
                return r;
            memcpy(data + i * sizeof(fd), &fd, sizeof(fd));
        }
    }
    return 0;
}

static bool has_ours(char *control, size_t len)
{
    size_t at = 0, n;
    char *data;
    while ((data = next_rights(control, len, &at, &n))) {
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
            if (is_ours(fd))
                return true;
        }
    }
    return false;
}

/* Linux bounds the descriptors that a user has in messages by the sender's soft RLIMIT_NOFILE (unix(7),
 * ETOOMANYREFS). Those of the stack itself (preload/engine/join.c) are not the program's: with them the bound
 * is the hard limit. */
static ssize_t send_bounded(int fd, const struct msghdr *m, int flags)
{
    struct rlimit old, lim;
    ssize_t r = libc.sendmsg(fd, m, flags);
    if (r >= 0 || errno != ETOOMANYREFS ||
        raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&old, 0, 0) < 0)
        return r;
    lim = old;
    lim.rlim_cur = lim.rlim_max;
    raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&lim, 0, 0, 0);
    r = libc.sendmsg(fd, m, flags | MSG_DONTWAIT);
    int err = errno;
    raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&old, 0, 0, 0);
    errno = err;
    return r;
}

/* m: the program's message, its control messages copied to control. */
static ssize_t send_with_tickets(int fd, struct msghdr *m, char *control, int flags)
{
    struct tickets t = {.n = 0};
    ssize_t r;
    pthread_cleanup_push(give_back, &t);
    r = replace(control, m->msg_controllen, &t);
    m->msg_control = control;
    r = r < 0 ? to_errno(r) : send_bounded(fd, m, flags);
    pthread_cleanup_pop(1);
    return r;
}

static __attribute__((noinline)) ssize_t send_looked_at(int fd, const struct msghdr *msg, int flags)
{
    struct msghdr m;
    if (!USER_COPY(&m, msg, sizeof(m)) || m.msg_controllen < CMSG_LEN(sizeof(int)) ||
        m.msg_controllen > CONTROL_MAX)
        return libc.sendmsg(fd, msg, flags);
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *control = scratch_get(&mem, m.msg_controllen);
    if (!control)
        return to_errno(-ENOMEM);
    if (!USER_COPY(control, m.msg_control, m.msg_controllen) || !has_ours(control, m.msg_controllen))
        return send_bounded(fd, msg, flags);
    return send_with_tickets(fd, &m, control, flags);
}

ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    size_t n;
    /* The frame of the rest is large: most messages do not need it. */
    if (is_on_stack(msg, sizeof(*msg)))
        n = msg->msg_controllen;
    else if (!USER_COPY(&n, &msg->msg_controllen, sizeof(n)))
        n = 0;
    if (n < CMSG_LEN(sizeof(int)))
        return libc.sendmsg(fd, msg, flags);
    return send_looked_at(fd, msg, flags);
}

static bool wants_tickets(const struct mmsghdr *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct msghdr m;
        if (!USER_COPY(&m, &v[i].msg_hdr, sizeof(m)))
            return false;
        if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
            return true;
    }
    return false;
}

int pass_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    unsigned sent = 0;
    if (n > UIO_MAXIOV)
        n = UIO_MAXIOV;
    if (!wants_tickets(v, n))
        return libc.sendmmsg(fd, v, n, flags);
    while (sent < n) {
        ssize_t r = pass_sendmsg(fd, &v[sent].msg_hdr, flags);
        unsigned len = (unsigned)r;
        if (r >= 0 && !USER_COPY(&v[sent].msg_len, &len, sizeof(len)))
            r = to_errno(-EFAULT);
        if (r < 0)
            return sent ? (int)sent : -1;
        sent++;
    }
    return (int)sent;
}

/* A program of the tree that has not needed the stack yet joins it for a ticket. */
static bool joined_for(int fd)
{
    int mark = 0;
    socklen_t len = sizeof(mark);
    return fdtab || (tree_has_stack() && libc.getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, &len) == 0 &&
                     mark == TICKET_MARK && boot());
}

static void one_received(int fd, int flags)
{
    unsigned char bits;
    if ((unsigned)fd >= SHUNT_FD_MAX || !joined_for(fd))
        return;
    fdtab_forget(fd); /* closed behind the library's back, and now another's */
    if (__atomic_load_n(api->parcels, __ATOMIC_ACQUIRE) &&
        API(parcel_open(fd, flags & MSG_CMSG_CLOEXEC, flags & MSG_PEEK, &bits)) == 0)
        fdtab_set(fd, bits);
}

void pass_received(const struct msghdr *msg, int flags)
{
    size_t at = 0, n, len = msg->msg_controllen;
    int saved = errno;
    char *data;
    fd_note_opened();
    if (guard.vforked || guard.depth > 0)
        return;
    while ((data = next_rights(msg->msg_control, len, &at, &n))) {
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
            one_received(fd, flags);
        }
    }
    errno = saved;
}
