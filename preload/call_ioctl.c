/* call_ioctl.c: ioctl. FIONBIO and FIOASYNC are status flags; FIOCLEX is the number's and the kernel's; the
 * rest is the stack's own interface (SIOCGIF*) and queues. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "fdtab.h"
#include "libc.h"
#include "owner.h"

static int set_flag(int fd, int flag, const void *arg)
{
    int on;
    if (!USER_COPY(&on, arg, sizeof(on)))
        return -EFAULT;
    int flags = API(get_flags(by_fd(fd)));
    if (flags < 0)
        return flags;
    return API(set_flags(by_fd(fd), on ? flags | flag : flags & ~flag));
}

static int stack_ioctl(int fd, unsigned long req, void *arg)
{
    int r, who;
    switch ((unsigned)req) { /* the kernel looks at 32 bits */
    case FIOSETOWN:
    case SIOCSPGRP:
        return USER_COPY(&who, arg, sizeof(who)) ? owner_set(fd, who) : -EFAULT;
    case FIOGETOWN:
    case SIOCGPGRP:
        r = owner_get(fd, &who);
        return r < 0 ? r : USER_COPY(arg, &who, sizeof(who)) ? 0 : -EFAULT;
    case FIONBIO:
        return set_flag(fd, O_NONBLOCK, arg);
    case FIOASYNC:
        return set_flag(fd, O_ASYNC, arg);
    case FIOCLEX:
    case FIONCLEX:
    case TCGETS: /* isatty: the placeholder says ENOTTY */
        r = libc.ioctl(fd, req, arg);
        return r < 0 ? -errno : r;
    default:
        r = API(ioctl(by_fd(fd), (unsigned)req, arg));
        /* An interface of the host's: the placeholder can ask for it. */
        if (r == -ENODEV && !api->isolate)
            r = libc.ioctl(fd, req, arg) < 0 ? -errno : 0;
        return r;
    }
}

EXPORT int ioctl(int fd, unsigned long req, ...)
{
    va_list ap;
    va_start(ap, req);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (!fd_is_stack(fd) || fd_has(fd, FD_EPSET))
        return libc.ioctl(fd, req, arg);
    return (int)to_errno(stack_ioctl(fd, req, arg));
}

/* libc's calls its own ioctl. */
EXPORT int sockatmark(int fd)
{
    int mark = 0;
    return ioctl(fd, 0x8905 /* SIOCATMARK */, &mark) < 0 ? -1 : mark;
}
