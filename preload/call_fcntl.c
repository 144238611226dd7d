/* call_fcntl.c: fcntl, fcntl64. FD_CLOEXEC belongs to the number and stays with the kernel; the status flags
 * belong to the file, which is the stack's. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "diag.h"
#include "fdtab.h"
#include "libc.h"

static int dup_from(int fd, int cmd, void *arg)
{
    int to = libc.fcntl(fd, cmd, arg);
    if (to < 0)
        return -errno;
    int r = fdtab_dup(fd, to);
    if (r < 0) {
        libc.close(to);
        return r;
    }
    return to;
}

static int owner(int fd, int cmd, void *arg)
{
    int pid = (int)(long)arg;
    int r = API(ioctl(by_fd(fd), cmd == F_SETOWN ? FIOSETOWN : FIOGETOWN, &pid));
    return r < 0 ? r : cmd == F_SETOWN ? 0 : pid;
}

static int stack_fcntl(int fd, int cmd, void *arg)
{
    int r;
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return dup_from(fd, cmd, arg);
    case F_GETFL:
        r = API(get_flags(by_fd(fd)));
        return r < 0 ? r : O_RDWR | r;
    case F_SETFL:
        return API(set_flags(by_fd(fd), (int)(long)arg & (O_NONBLOCK | O_ASYNC | O_APPEND)));
    case F_SETOWN:
    case F_GETOWN:
        return owner(fd, cmd, arg);
    case F_SETSIG:
    case F_SETOWN_EX:
        diag_unsupported(UNSUP_SIGIO); /* on the placeholder it would be all sockets' */
        return -EINVAL;
    default: /* FD_CLOEXEC, and what no socket takes: locks, leases, seals, pipe sizes */
        r = libc.fcntl(fd, cmd, arg);
        return r < 0 ? -errno : r;
    }
}

static int any_fcntl(int fd, int cmd, void *arg)
{
    if (fd_has(fd, FD_EPSET) && cmd != F_DUPFD &&
        cmd != F_DUPFD_CLOEXEC) /* an epoll set has its flags in the kernel */
        return libc.fcntl(fd, cmd, arg);
    return (int)to_errno(stack_fcntl(fd, cmd, arg));
}

#define FCNTL(name)                                                                                          \
    EXPORT int name(int fd, int cmd, ...)                                                                    \
    {                                                                                                        \
        va_list ap;                                                                                          \
        va_start(ap, cmd);                                                                                   \
        void *arg = va_arg(ap, void *);                                                                      \
        va_end(ap);                                                                                          \
        if (fd_is_private(fd))                                                                               \
            return (int)to_errno(-EBADF);                                                                    \
        return fd_is_stack(fd) ? any_fcntl(fd, cmd, arg) : libc.name(fd, cmd, arg);                          \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

int __fcntl(int fd, int cmd, ...) ALIAS(fcntl);
