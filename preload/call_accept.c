/* call_accept.c: accept, accept4.
 *
 * Theory of operation. A descriptor is made before the connection is taken off the queue (EMFILE must leave
 * it there), and only when there is one to take: readiness is asked first. With nothing there a free number
 * is looked for all the same, as Linux takes one before it looks at the queue: EMFILE is told at once. With
 * several processes at one queue another may be faster; then the descriptor is closed again and the call
 * waits on. A listener with a twin looks at both queues, in turns; a connection of the kernel's is an
 * ordinary kernel descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "fdtab.h"
#include "libc.h"
#include "wait.h"

/* What a try that gets nothing ends with: -EMFILE when no number is free, else e. */
static int nothing(int e)
{
    if (e == -EBADF)
        return e;
    int fd = fdtab_number(true);
    if (fd < 0)
        return fd;
    libc.close(fd);
    return e;
}

static int from_stack(struct ref r, struct sockaddr *sa, socklen_t *len, int flags)
{
    int e = API(accept(r, -1, NULL, NULL));
    if (e < 0)
        return nothing(e);
    int fd = fdtab_number(flags & SOCK_CLOEXEC);
    if (fd < 0)
        return fd;
    e = API(accept(r, fd, sa, len));
    if (e < 0) {
        libc.close(fd);
        return e;
    }
    fdtab_set(fd, 0);
    if (flags & SOCK_NONBLOCK)
        API(set_flags(by_fd(fd), O_NONBLOCK));
    return fd;
}

static int from_kernel(int listener, struct sockaddr *sa, socklen_t *len, int flags)
{
    int fd = libc.accept4(listener, sa, len, flags);
    return fd < 0 ? -errno : fd;
}

static int from_both(struct ref r, struct sockaddr *sa, socklen_t *len, int flags)
{
    static __thread unsigned turn __attribute__((tls_model("initial-exec")));
    bool kernel_first = ++turn & 1;
    int fd = kernel_first ? from_kernel(r.fd, sa, len, flags) : from_stack(r, sa, len, flags);
    if (fd == -EAGAIN)
        fd = kernel_first ? from_stack(r, sa, len, flags) : from_kernel(r.fd, sa, len, flags);
    return fd;
}

static int stack_accept(int listener, struct sockaddr *sa, socklen_t *len, int flags)
{
    struct block b __attribute__((cleanup(block_end))) =
        block_begin(listener, EPOLLIN | EPOLLEXCLUSIVE, false);
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    for (;;) {
        int fd =
            fd_has(listener, FD_TWIN) ? from_both(b.ref, sa, len, flags) : from_stack(b.ref, sa, len, flags);
        if (fd != -EAGAIN)
            return fd;
        int r = block_wait(&b);
        if (r < 0)
            return r;
    }
}

EXPORT int accept(int fd, __SOCKADDR_ARG sa, socklen_t *restrict len)
{
    if (!fd_is_stack(fd))
        return libc.accept(fd, sa.__sockaddr__, len);
    return (int)to_errno(stack_accept(fd, sa.__sockaddr__, len, 0));
}

EXPORT int accept4(int fd, __SOCKADDR_ARG sa, socklen_t *restrict len, int flags)
{
    if (!fd_is_stack(fd))
        return libc.accept4(fd, sa.__sockaddr__, len, flags);
    return (int)to_errno(stack_accept(fd, sa.__sockaddr__, len, flags));
}
