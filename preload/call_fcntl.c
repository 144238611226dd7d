/* call_fcntl.c: fcntl, fcntl64. FD_CLOEXEC belongs to the number and stays with the kernel; the status flags
 * belong to the file, which is the stack's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>

#include "diag.h"
#include "fdtab.h"
#include "owner.h"
#include "libc.h"
#include "vfork.h"

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

/* Nobody there: the kernel takes only who exists. */
static bool owner_gone(int type, int who)
{
    return raw_syscall(SYS_kill, type == F_OWNER_PGRP ? -who : who, 0, 0, 0, 0, 0) == -ESRCH;
}

static int owner_put(int fd, int type, int who)
{
    if (who && owner_gone(type, who))
        return -ESRCH;
    return API(set_owner(by_fd(fd), type, who));
}

int owner_set(int fd, int who)
{
    if (who == INT_MIN)
        return -EINVAL;
    return who < 0 ? owner_put(fd, F_OWNER_PGRP, -who) : owner_put(fd, F_OWNER_PID, who);
}

/* As F_GETOWN shows it; an owner that is no more is none. */
int owner_get(int fd, int *who)
{
    int type, r = API(get_owner(by_fd(fd), &type, who));
    if (r < 0)
        return r;
    if (*who && owner_gone(type, *who))
        *who = 0;
    if (type == F_OWNER_PGRP)
        *who = -*who;
    return 0;
}

static int owner_ex(int fd, int cmd, void *arg)
{
    struct f_owner_ex ex = {0};
    int type, r;
    if (cmd == F_SETOWN_EX) {
        if (!USER_COPY(&ex, arg, sizeof(ex)))
            return -EFAULT;
        if (ex.type != F_OWNER_TID && ex.type != F_OWNER_PID && ex.type != F_OWNER_PGRP)
            return -EINVAL;
        return ex.pid < 0 ? -ESRCH : owner_put(fd, (int)ex.type, ex.pid);
    }
    r = API(get_owner(by_fd(fd), &type, &ex.pid));
    if (r < 0)
        return r;
    ex.type = (__typeof__(ex.type))type;
    return USER_COPY(arg, &ex, sizeof(ex)) ? 0 : -EFAULT;
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
        if ((int)(long)arg & O_DIRECT)
            return -EINVAL;
        return API(set_flags(by_fd(fd), (int)(long)arg & (O_NONBLOCK | O_ASYNC | O_APPEND | O_NOATIME)));
    case F_SETOWN:
        return owner_set(fd, (int)(long)arg);
    case F_SETOWN_EX:
    case F_GETOWN_EX:
        return owner_ex(fd, cmd, arg);
    case F_SETSIG: /* on the placeholder it would be all sockets' */
        return (unsigned long)arg > (unsigned long)SIGRTMAX ? -EINVAL
                                                            : API(set_sig(by_fd(fd), (int)(long)arg));
    case F_GETSIG:
        return API(get_sig(by_fd(fd)));
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
    if (cmd == F_GETOWN) { /* whose result may be negative */
        int who, r = owner_get(fd, &who);
        return r < 0 ? (int)to_errno(r) : who;
    }
    return (int)to_errno(stack_fcntl(fd, cmd, arg));
}

static inline bool makes_number(int cmd)
{
    return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC;
}

static __attribute__((noinline)) int other_fcntl(int fd, int cmd, void *arg)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    if (fd_is_stack(fd))
        return any_fcntl(fd, cmd, arg);
    int r = libc.fcntl(fd, cmd, arg);
    if (makes_number(cmd))
        fd_note_opened();
    if (guard.vforked && makes_number(cmd))
        vfork_dup(fd, r);
    return r;
}

/* Not variadic, as the caller sees it: the argument is where a third one would be, and nothing is saved. */
#define FCNTL(name)                                                                                          \
    EXPORT int call_##name(int fd, int cmd, void *arg) __asm__(#name);                                       \
    int call_##name(int fd, int cmd, void *arg)                                                              \
    {                                                                                                        \
        if (fd_is_private(fd) || fd_is_stack(fd) || guard.vforked || makes_number(cmd))                      \
            return other_fcntl(fd, cmd, arg);                                                                \
        return libc.name(fd, cmd, arg);                                                                      \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

EXPORT int call___fcntl(int fd, int cmd, void *arg) __asm__("__fcntl") __attribute__((alias("fcntl")));
