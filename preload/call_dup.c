/* call_dup.c: dup, dup2, dup3. The kernel duplicates the number, then the stack follows; in the child of a
 * vfork, which has no table, it is noted (vfork.h). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "vfork.h"

/* After a dup that worked: to names what fd names. */
static int follow(int fd, int to)
{
    if (guard.vforked) {
        vfork_dup(fd, to);
        return to;
    }
    int r = fdtab_dup(fd, to);
    if (r < 0) {
        libc.close(to);
        return (int)to_errno(r);
    }
    return to;
}

/* The engine's descriptors: not there as a source, beyond the limit as a target. */
static bool forbidden(int fd, int to)
{
    return fd_is_private(fd) || fd_is_private(to);
}

/* Asked after the call. */
static bool concerns_us(int fd, int to)
{
    fd_note_opened();
    return fd_is_stack(fd) || fd_is_stack(to) || guard.vforked;
}

EXPORT int dup(int fd)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    int to = libc.dup(fd);
    fd_note_opened();
    return to >= 0 && (fd_is_stack(fd) || guard.vforked) ? follow(fd, to) : to;
}

EXPORT int dup2(int fd, int to)
{
    if (forbidden(fd, to))
        return (int)to_errno(-EBADF);
    int r = libc.dup2(fd, to);
    return r >= 0 && fd != to && concerns_us(fd, to) ? follow(fd, to) : r;
}

EXPORT int dup3(int fd, int to, int flags)
{
    if (forbidden(fd, to))
        return (int)to_errno(-EBADF);
    int r = libc.dup3(fd, to, flags);
    return r >= 0 && concerns_us(fd, to) ? follow(fd, to) : r;
}

int __dup2(int fd, int to) ALIAS_NOTHROW(dup2);
