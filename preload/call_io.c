/* call_io.c: read, write and their vector and positional kin.
 * A file of the stack may also be an epoll set, which can be neither read nor written: EINVAL, as in Linux.
 */
#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fdtab.h"
#include "io.h"
#include "libc.h"
#include "vector.h"

/* The engine says what a socket call on an epoll set gets. */
static ssize_t io_result(ssize_t r)
{
    return to_errno(r == -ENOTSOCK ? -EINVAL : r);
}

/* Linux: a read of nothing ends before the socket looks at it; a datagram can be empty. */
EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    if (!fd_is_stack(fd))
        return libc.read(fd, buf, n);
    if (__builtin_expect(n == 0, 0) && !fd_has(fd, FD_EPSET))
        return 0;
    if (__builtin_expect(!io_in_reach(buf, n), 0))
        return to_errno(fd_has(fd, FD_EPSET) ? -EINVAL : -EFAULT);
    return io_result(io_recv_buf(fd, buf, n, 0));
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    if (!fd_is_stack(fd))
        return libc.write(fd, buf, n);
    if (__builtin_expect(!io_in_reach(buf, n), 0))
        return to_errno(fd_has(fd, FD_EPSET) ? -EINVAL : -EFAULT);
    return io_result(io_send_buf(fd, buf, n, 0));
}

ssize_t __read(int fd, void *buf, size_t n) ALIAS(read);
ssize_t __write(int fd, const void *buf, size_t n) ALIAS(write);

/* rwf: the flags of preadv2 and pwritev2, known (kiocb_set_rw_flags) and such as a socket takes. */
#define RWF_KNOWN                                                                                            \
    (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | 0x20 /* RWF_NOAPPEND */ | RWF_QUIET)
#define RWF_QUIET 0x100 /* RWF_NOSIGNAL, newer than the headers */

static int v2_flags(int rwf)
{
    return (rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0) | (rwf & RWF_QUIET ? MSG_NOSIGNAL : 0);
}

/* A vector of nothing moves nothing, not even an empty datagram (vfs_writev). */
static ssize_t vec(int fd, const struct iovec *iov, int n, int rwf, bool out)
{
    struct vector k __attribute__((cleanup(vector_end)));
    size_t sum = 0;
    k.mapped = 0;
    if (fd_has(fd, FD_EPSET))
        return -EINVAL;
    if (n < 0 || n > IOV_MAX)
        return -EINVAL;
    int r = vector_take(&k, iov, (size_t)n);
    if (r < 0)
        return r;
    for (int i = 0; i < n; i++)
        sum |= k.v[i].iov_len;
    if (sum == 0)
        return 0;
    if (__builtin_expect(rwf & ~RWF_KNOWN, 0))
        return -EOPNOTSUPP;
    struct msghdr msg = {.msg_iov = k.v, .msg_iovlen = (size_t)n};
    return out ? io_send(fd, &msg, v2_flags(rwf)) : io_recv(fd, &msg, v2_flags(rwf));
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
    if (!fd_is_stack(fd))
        return libc.readv(fd, iov, n);
    return io_result(vec(fd, iov, n, 0, false));
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
    if (!fd_is_stack(fd))
        return libc.writev(fd, iov, n);
    return io_result(vec(fd, iov, n, 0, true));
}

/* pread, pwrite and their kin are not interposed: a socket has no position, and the placeholder tells so
 * (ESPIPE). The v2 calls take offset -1: no position. */
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    if (!fd_is_stack(fd) || off != -1)
        return libc.preadv2(fd, iov, n, off, flags);
    return io_result(vec(fd, iov, n, flags, false));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    if (!fd_is_stack(fd) || off != -1)
        return libc.pwritev2(fd, iov, n, off, flags);
    return io_result(vec(fd, iov, n, flags, true));
}

/* libc's read and write with calls of its own. */
EXPORT int eventfd_read(int fd, eventfd_t *value)
{
    return read(fd, value, sizeof(*value)) != sizeof(*value) ? -1 : 0;
}

EXPORT int eventfd_write(int fd, eventfd_t value)
{
    return write(fd, &value, sizeof(value)) != sizeof(value) ? -1 : 0;
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags) ALIAS(preadv2);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags) ALIAS(pwritev2);
