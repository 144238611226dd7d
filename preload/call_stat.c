/* call_stat.c: fstat and its kin: the engine's descriptors and the tree's are not there for the program, and
 * each socket of the stack has a number of its own, which the placeholder below all of them has not. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fdtab.h"
#include "libc.h"
#include "procfs.h"

static int own_inode(int fd, int r, struct stat *st)
{
    uint32_t ino = r == 0 && fd_is_stack(fd) ? API(proc_inode(0, fd)) : 0;
    if (ino)
        st->st_ino = ino;
    return r;
}

EXPORT int fstat(int fd, struct stat *st)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    return own_inode(fd, libc.fstat(fd, st), st);
}

/* struct stat64 is struct stat where long has 64 bits. */
EXPORT int fstat64(int fd, struct stat64 *st)
{
    return fstat(fd, (struct stat *)st);
}

/* As lsof looks at the descriptors of others. */
EXPORT int stat(const char *restrict path, struct stat *restrict st)
{
    int r = libc.stat(path, st);
    uint32_t ino =
        r == 0 && S_ISSOCK(st->st_mode) && procfs_is_below(path) ? procfs_inode(AT_FDCWD, path) : 0;
    if (ino)
        st->st_ino = ino;
    return r;
}

EXPORT int stat64(const char *restrict path, struct stat64 *restrict st)
{
    return stat(path, (struct stat *)st);
}

/* The number of its own that the socket has which path leads to, relative to dir; 0: it is none of the
 * stack's.
 */
static uint32_t inode_at(int dir, const char *path, int flags)
{
    if ((flags & AT_EMPTY_PATH) && (!path || !path[0]))
        return fd_is_stack(dir) ? API(proc_inode(0, dir)) : 0;
    return flags & AT_SYMLINK_NOFOLLOW ? 0 : procfs_inode(dir, path);
}

EXPORT int fstatat(int dir, const char *restrict path, struct stat *restrict st, int flags)
{
    if ((flags & AT_EMPTY_PATH) && fd_is_private(dir))
        return (int)to_errno(-EBADF);
    int r = libc.fstatat(dir, path, st, flags);
    uint32_t ino = r == 0 && S_ISSOCK(st->st_mode) ? inode_at(dir, path, flags) : 0;
    if (ino)
        st->st_ino = ino;
    return r;
}

EXPORT int fstatat64(int dir, const char *restrict path, struct stat64 *restrict st, int flags)
{
    return fstatat(dir, path, (struct stat *)st, flags);
}

EXPORT int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict st)
{
    if ((flags & AT_EMPTY_PATH) && fd_is_private(dir))
        return (int)to_errno(-EBADF);
    int r = libc.statx(dir, path, flags, mask, st);
    uint32_t ino = r == 0 && S_ISSOCK(st->stx_mode) ? inode_at(dir, path, flags) : 0;
    if (ino)
        st->stx_ino = ino;
    return r;
}

/* What programs call that were linked with a libc before 2.33. */
int __fxstat(int version, int fd, struct stat *st);
EXPORT int __fxstat(int version, int fd, struct stat *st)
{
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    return own_inode(fd, libc.__fxstat(version, fd, st), st);
}

int __fxstat64(int version, int fd, struct stat64 *st);
EXPORT int __fxstat64(int version, int fd, struct stat64 *st)
{
    return __fxstat(version, fd, (struct stat *)st);
}
