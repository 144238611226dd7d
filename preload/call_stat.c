/* call_stat.c: fstat: the engine's descriptors and the tree's are not there for the program. */
#include <errno.h>
#include <sys/stat.h>

#include "fdtab.h"
#include "libc.h"

EXPORT int fstat(int fd, struct stat *st)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    return libc.fstat(fd, st);
}

/* struct stat64 is struct stat where long has 64 bits. */
EXPORT int fstat64(int fd, struct stat64 *st)
{
    return fstat(fd, (struct stat *)st);
}

/* What programs call that were linked with a libc before 2.33. */
int __fxstat(int version, int fd, struct stat *st);
EXPORT int __fxstat(int version, int fd, struct stat *st)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    return libc.__fxstat(version, fd, st);
}

int __fxstat64(int version, int fd, struct stat64 *st);
EXPORT int __fxstat64(int version, int fd, struct stat64 *st)
{
    return __fxstat(version, fd, (struct stat *)st);
}
