/* call_pidfd.c: pidfd_getfd(2). The kernel, which knows who may, duplicates what stands on the number; when
 * that was a descriptor of the stack in another process of the family, the stack follows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "fdtab.h"
#include "libc.h"

/* The process that a pidfd is of; -1: not to be had. */
static int pid_of(int pidfd)
{
    char path[48], text[512], *line;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    long fd = raw_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return -1;
    long n = raw_syscall(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    line = strstr(text, "\nPid:");
    return line ? atoi(line + 5) : -1;
}

EXPORT int pidfd_getfd(int pidfd, int target, unsigned flags)
{
    if (fd_is_private(target))
        return (int)to_errno(-EBADF);
    int fd = libc.pidfd_getfd(pidfd, target, flags);
    fd_note_opened();
    if (fd < 0 || !fdtab || guard.vforked)
        return fd;
    int saved = errno;
    fdtab_forget(fd);
    if (API(fd_of(pid_of(pidfd), target, fd)) == 0) {
        bool set = API(file_type(by_fd(fd))) == FILE_EPOLL;
        bool both = !set && API(placement(by_fd(fd))) == PLACE_BOTH;
        fdtab_set(fd, set ? FD_EPSET | FD_KERNEL : both ? FD_TWIN : 0);
    }
    errno = saved;
    return fd;
}
