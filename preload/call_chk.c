/* call_chk.c: the entry points of _FORTIFY_SOURCE. A buffer that is too small is libc's to abort about; so is
 * what is not the stack's. */
#include <poll.h>
#include <unistd.h>
#include <sys/socket.h>

#include "fdtab.h"
#include "io.h"
#include "libc.h"

void __chk_fail(void) __attribute__((noreturn)); /* libc's: says so and aborts */
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t size, int flags, __SOCKADDR_ARG sa,
                       socklen_t *restrict len);
int __poll_chk(struct pollfd *p, nfds_t n, int ms, size_t size);
int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s, size_t size);

/* libc's own function aborts with its message when n exceeds the size. */
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
    if (!fd_is_stack(fd) || n > size)
        return libc.__read_chk(fd, buf, n, size);
    return read(fd, buf, n);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
    if (!fd_is_stack(fd) || n > size)
        return libc.__recv_chk(fd, buf, n, size, flags);
    return to_errno(io_recv_buf(fd, buf, n, flags));
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t size, int flags, __SOCKADDR_ARG sa,
                              socklen_t *restrict len)
{
    if (!fd_is_stack(fd) || n > size)
        return libc.__recvfrom_chk(fd, buf, n, size, flags, sa.__sockaddr__, len);
    return recvfrom(fd, buf, n, flags, sa, len);
}

EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int ms, size_t size)
{
    if (size / sizeof(*p) < n)
        __chk_fail();
    return poll(p, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s, size_t size)
{
    if (size / sizeof(*p) < n)
        __chk_fail();
    return ppoll(p, n, t, s);
}
