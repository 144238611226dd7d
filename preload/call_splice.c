/* call_splice.c: splice between pipes and sockets of the stack.
 *
 * Theory of operation. splice copies through a buffer of one pipe's default size: towards the socket the data
 * is first duplicated with tee, so that what the socket does not take stays in the pipe; from the socket it
 * is peeked at, and taken once the pipe has it. As in Linux (fs/splice.c), SPLICE_F_NONBLOCK is about the
 * pipe alone and O_NONBLOCK of the socket about the socket; towards a pipe its room is waited for before the
 * data, and its O_NONBLOCK counts too.
 *
 * tee and vmsplice want pipes; the placeholder is a socket, and the kernel says what it says of one: EINVAL,
 * EBADF. They are not interposed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fdtab.h"
#include "io.h"
#include "libc.h"
#include "many.h"
#include "signals.h"
#include "splice.h"

#define CHUNK      65536u
#define SPLICE_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

static ssize_t read_all(int fd, char *buf, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = libc.read(fd, buf + got, n - got);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

/* Waits for events on a pipe: what it shows, -EAGAIN, or -EINTR when a handler without SA_RESTART ran. */
static int wait_pipe(int fd, short events, bool nonblock)
{
    uint32_t interrupting = guard.interrupting;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int r = libc.poll(&p, 1, nonblock ? 0 : -1);
        if (r > 0)
            return p.revents;
        if (r == 0)
            return -EAGAIN;
        if (errno != EINTR || guard.interrupting != interrupting)
            return -errno;
    }
}

/* At most CHUNK bytes of the pipe into buf, left in the pipe. */
static ssize_t peek_pipe(int pipefd, char *buf, size_t n, bool nonblock)
{
    int own[2], ready = wait_pipe(pipefd, POLLIN, nonblock);
    if (ready < 0)
        return ready;
    if (pipe2(own, O_CLOEXEC) < 0)
        return -errno;
    ssize_t r = libc.tee(pipefd, own[1], n < CHUNK ? n : CHUNK, SPLICE_F_NONBLOCK);
    if (r < 0)
        r = -errno;
    else
        r = read_all(own[0], buf, (size_t)r);
    libc.close(own[0]);
    libc.close(own[1]);
    return r;
}

static ssize_t pipe_to_socket(int in, int out, size_t n, unsigned flags)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *buf = scratch_get(&mem, n < CHUNK ? n : CHUNK); /* not on the stack: a thread's may be small */
    if (!buf)
        return -ENOMEM;
    ssize_t r = peek_pipe(in, buf, n, flags & SPLICE_F_NONBLOCK);
    if (r <= 0)
        return r;
    ssize_t sent = io_send_buf(out, buf, (size_t)r, flags & SPLICE_F_MORE ? MSG_MORE : 0);
    return sent > 0 ? read_all(in, buf, (size_t)sent) : sent;
}

static bool at_mark(int fd)
{
    int mark = 0;
    return API(ioctl(by_fd(fd), SIOCATMARK, &mark)) == 0 && mark;
}

/* Without waiting, whatever the pipe's flags; the caller knows that there is a page of room. */
static ssize_t write_pipe(int out, const char *buf, size_t n)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = n};
    ssize_t w = libc.pwritev2(out, &iov, 1, -1, RWF_NOWAIT);
    if (w < 0 && errno == EOPNOTSUPP) /* before Linux 6.5: more than a page could stay in there */
        w = libc.write(out, buf, n < PIPE_BUF ? n : PIPE_BUF);
    return w < 0 ? -errno : w;
}

ssize_t splice_to_pipe(int in, int out, size_t n, bool nonblock)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *buf = scratch_get(&mem, n < CHUNK ? n : CHUNK);
    if (!buf)
        return -ENOMEM;
    nonblock |= libc.fcntl(out, F_GETFL, NULL) & O_NONBLOCK;
    int room = wait_pipe(out, POLLOUT, nonblock);
    if (room < 0)
        return room;
    if (room & POLLERR) { /* nobody reads it */
        signals_sigpipe();
        return -EPIPE;
    }
    if (at_mark(
            in)) /* it ends at urgent data that is not in the stream, and does not wait (tcp_splice_read) */
        return API(get_flags(by_fd(in))) & O_NONBLOCK ? -EAGAIN : 0;
    ssize_t r = io_recv_buf(in, buf, n < CHUNK ? n : CHUNK, MSG_PEEK);
    if (r <= 0)
        return r;
    ssize_t w = write_pipe(out, buf, (size_t)r);
    return w < 0 ? w : io_recv_buf(in, buf, (size_t)w, MSG_DONTWAIT);
}

bool splice_is_pipe(int fd)
{
    return !fd_is_stack(fd) && libc.fcntl(fd, F_GETPIPE_SZ, NULL) > 0;
}

/* May the kernel's fd be read, or written, as far as it goes? */
static bool may(int fd, int not_mode)
{
    int flags = libc.fcntl(fd, F_GETFL, NULL);
    return flags >= 0 && (flags & O_ACCMODE) != not_mode && !(flags & O_PATH);
}

/* A position: no pipe has one, and no socket takes one. */
static int check_offset(int fd, const off_t *off)
{
    off_t at;
    if (!off)
        return 0;
    if (splice_is_pipe(fd))
        return -ESPIPE;
    return USER_COPY(&at, off, sizeof(at)) ? -EINVAL : -EFAULT;
}

static ssize_t stack_splice(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
    int r;
    if (n == 0)
        return 0;
    if (flags & ~(unsigned)SPLICE_ALL)
        return -EINVAL;
    if ((!fd_is_stack(in) && !may(in, O_WRONLY)) || (!fd_is_stack(out) && !may(out, O_RDONLY)))
        return -EBADF;
    if ((r = check_offset(in, in_off)) || (r = check_offset(out, out_off)))
        return r;
    if (fd_has(in, FD_EPSET) || fd_has(out, FD_EPSET))
        return -EINVAL; /* an epoll set has nothing to splice */
    if (splice_is_pipe(in))
        return pipe_to_socket(in, out, n, flags);
    if (splice_is_pipe(out))
        return splice_to_pipe(in, out, n, flags & SPLICE_F_NONBLOCK);
    return -EINVAL; /* one end has to be a pipe */
}

EXPORT ssize_t splice(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
    if (!fd_is_stack(in) && !fd_is_stack(out))
        return libc.splice(in, in_off, out, out_off, n, flags);
    return to_errno(stack_splice(in, in_off, out, out_off, n, flags));
}
