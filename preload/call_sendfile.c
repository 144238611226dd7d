/* call_sendfile.c: sendfile, splice, tee.
 *
 * Theory of operation. sendfile from a file goes to the engine, which sends the file's pages (api->sendfile).
 * splice between a pipe and a socket copies through a buffer of one pipe's default size: towards the socket
 * the data is first duplicated with tee, so that what the socket does not take stays in the pipe; from the
 * socket it is peeked at, and taken once the pipe has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"
#include "fdtab.h"
#include "io.h"
#include "libc.h"
#include "many.h"
#include "signals.h"
#include "wait.h"

#define SENDFILE_MAX 0x7ffff000u /* Linux transfers at most this at once */
#define CHUNK        65536u
#define SPLICE_ALL   (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

static ssize_t send_pages(int out, int in, off_t *off, size_t n)
{
    struct block b __attribute__((cleanup(block_end))) = block_begin(out, EPOLLOUT, false);
    size_t sent = 0;
    while (sent < n) {
        ssize_t r = API(sendfile(b.ref, in, off, n - sent));
        if (r > 0) {
            sent += (size_t)r;
            continue;
        }
        if (r == 0) /* the end of the file */
            break;
        if (r == -EAGAIN && (r = block_wait(&b)) == 0)
            continue;
        return sent ? (ssize_t)sent : r;
    }
    return (ssize_t)sent;
}

/* To a datagram socket: what is read at once is one datagram; what has more to come waits for it (Linux:
 * splice_to_socket, by way of a pipe of 16 pages). */
static ssize_t send_datagram(int out, int in, off_t *off, size_t n)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *buf = scratch_get(&mem, n < CHUNK ? n : CHUNK);
    size_t sent = 0;
    if (!buf)
        return -ENOMEM;
    while (sent < n) {
        size_t want = n - sent < CHUNK ? n - sent : CHUNK;
        ssize_t got = pread(in, buf, want, *off);
        if (got <= 0)
            return sent ? (ssize_t)sent : got < 0 ? -errno : 0;
        ssize_t r = io_send_buf(out, buf, (size_t)got, (size_t)got == want && sent + want < n ? MSG_MORE : 0);
        if (r < 0)
            return sent ? (ssize_t)sent : r;
        sent += (size_t)r;
        *off += r;
    }
    return (ssize_t)sent;
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return API(getsockopt(by_fd(fd), SOL_SOCKET, SO_TYPE, &type, &len)) < 0 || type == SOCK_STREAM;
}

/* Directories and the files behind eventfds, timers and the like can't be sent. Asked after the socket has
 * refused: a call that works pays nothing. */
static bool has_pages(int fd)
{
    struct stat sb;
    return fstat(fd, &sb) < 0 || (!S_ISDIR(sb.st_mode) && (sb.st_mode & S_IFMT) != 0);
}

/* May the kernel's fd be read, or written, as far as it goes? */
static bool may(int fd, int not_mode)
{
    int flags = libc.fcntl(fd, F_GETFL, NULL);
    return flags >= 0 && (flags & O_ACCMODE) != not_mode && !(flags & O_PATH);
}

static ssize_t stack_sendfile(int out, int in, off_t *off, size_t n)
{
    if (fd_is_stack(in) || fd_has(out, FD_EPSET))
        return -EINVAL;
    int flags = libc.fcntl(in, F_GETFL, NULL);
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH))
        return -EBADF;
    if (off && !USER_WRITABLE(off, sizeof(*off)))
        return -EFAULT;
    off_t at = off ? *off : lseek(in, 0, SEEK_CUR);
    if (at < 0)
        return -EINVAL; /* a pipe, a socket; or a negative offset */
    if (n > SENDFILE_MAX)
        n = SENDFILE_MAX;
    ssize_t r = is_stream(out) ? send_pages(out, in, &at, n) : send_datagram(out, in, &at, n);
    if (off)
        *off = at;
    else if (r > 0)
        lseek(in, at, SEEK_SET);
    if (r < 0 && !has_pages(in))
        return -EINVAL;
    if (r == -EPIPE && is_stream(out))
        signals_sigpipe();
    return r;
}

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
    if (!fd_is_stack(out)) {
        if (fd_is_stack(in)) /* Linux: a socket is no source of sendfile */
            return to_errno(may(out, O_RDONLY) ? -EINVAL : -EBADF);
        return libc.sendfile(out, in, off, n);
    }
    return to_errno(stack_sendfile(out, in, off, n));
}

ssize_t sendfile64(int out, int in, off64_t *off, size_t n) ALIAS_NOTHROW(sendfile);

/* --- splice --- */

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

/* At most CHUNK bytes of the pipe into buf, left in the pipe. */
static ssize_t peek_pipe(int pipefd, char *buf, size_t n, unsigned flags)
{
    int own[2];
    if (pipe2(own, O_CLOEXEC) < 0)
        return -errno;
    ssize_t r = libc.tee(pipefd, own[1], n < CHUNK ? n : CHUNK, flags & SPLICE_F_NONBLOCK);
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
    ssize_t r = peek_pipe(in, buf, n, flags);
    if (r <= 0)
        return r;
    int msg = (flags & SPLICE_F_MORE ? MSG_MORE : 0) | (flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);
    ssize_t sent = io_send_buf(out, buf, (size_t)r, msg);
    return sent > 0 ? read_all(in, buf, (size_t)sent) : sent;
}

static bool at_mark(int fd)
{
    int mark = 0;

    return API(ioctl(by_fd(fd), SIOCATMARK, &mark)) == 0 && mark;
}

static ssize_t socket_to_pipe(int in, int out, size_t n, unsigned flags)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *buf = scratch_get(&mem, n < CHUNK ? n : CHUNK);
    int msg = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
    if (!buf)
        return -ENOMEM;
    if (at_mark(
            in)) /* it ends at urgent data that is not in the stream, and does not wait (tcp_splice_read) */
        return API(get_flags(by_fd(in))) & O_NONBLOCK ? -EAGAIN : 0;
    ssize_t r = io_recv_buf(in, buf, n < CHUNK ? n : CHUNK, MSG_PEEK | msg);
    if (r <= 0)
        return r;
    struct pollfd p = {.fd = out, .events = POLLOUT};
    if (libc.poll(&p, 1, flags & SPLICE_F_NONBLOCK ? 0 : -1) <= 0)
        return -EAGAIN;
    /* A pipe that is ready has a page of room at least: a blocking write of more could stay in there. */
    if (r > PIPE_BUF)
        r = PIPE_BUF;
    ssize_t w = libc.write(out, buf, (size_t)r);
    if (w < 0)
        return -errno;
    return io_recv_buf(in, buf, (size_t)w, MSG_DONTWAIT);
}

static bool is_pipe(int fd)
{
    return !fd_is_stack(fd) && libc.fcntl(fd, F_GETPIPE_SZ, NULL) > 0;
}

static ssize_t stack_splice(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
    if (n == 0)
        return 0;
    if (flags & ~(unsigned)SPLICE_ALL)
        return -EINVAL;
    if ((!fd_is_stack(in) && !may(in, O_WRONLY)) || (!fd_is_stack(out) && !may(out, O_RDONLY)))
        return -EBADF;
    if (in_off || out_off)
        return -ESPIPE;
    if (is_pipe(in))
        return pipe_to_socket(in, out, n, flags);
    if (is_pipe(out))
        return socket_to_pipe(in, out, n, flags);
    return -EINVAL; /* one end has to be a pipe */
}

EXPORT ssize_t splice(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
    if (!fd_is_stack(in) && !fd_is_stack(out))
        return libc.splice(in, in_off, out, out_off, n, flags);
    return to_errno(stack_splice(in, in_off, out, out_off, n, flags));
}

/* tee and vmsplice want pipes; the placeholder is a socket, and the kernel says what it says of one: EINVAL,
 * EBADF. They are not interposed. */
