/* call_open.c: open, openat, fopen and their like, readlink: where the path is one below /proc that tells
 * about the network, the stack answers (procfs.h). The kernel is asked first in any case, so that a path that
 * can't be read is EFAULT and a call on another one costs the comparison of a few characters. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "procfs.h"
#include "route.h"

int open_seen(int fd, int dir, const char *path, int flags)
{
    if (__builtin_expect(flags & (O_WRONLY | O_PATH), 0))
        fd_note_opened();
    if (fd < 0 || __builtin_expect(!procfs_may_be(fd, dir, path), 1))
        return fd;
    int err = procfs_opened(fd);
    if (!err)
        return fd;
    libc.close(fd);
    errno = err;
    return -1;
}

#define TAKE_MODE(flags)                                                                                     \
    ({                                                                                                       \
        mode_t mode_ = 0;                                                                                    \
        if ((flags) & (O_CREAT | O_TMPFILE)) {                                                               \
            va_list ap;                                                                                      \
            va_start(ap, flags);                                                                             \
            mode_ = va_arg(ap, mode_t);                                                                      \
            va_end(ap);                                                                                      \
        }                                                                                                    \
        mode_;                                                                                               \
    })

EXPORT int open(const char *path, int flags, ...)
{
    return open_seen(libc.open(path, flags, TAKE_MODE(flags)), AT_FDCWD, path, flags);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    return open_seen(libc.openat(dir, path, flags, TAKE_MODE(flags)), dir, path, flags);
}

/* off_t has 64 bits in each. */
int open64(const char *path, int flags, ...) ALIAS(open);
int openat64(int dir, const char *path, int flags, ...) ALIAS(openat);

EXPORT int creat(const char *path, mode_t mode)
{
    return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) ALIAS(creat);

EXPORT int shm_open(const char *name, int flags, mode_t mode)
{
    int fd = libc.shm_open(name, flags, mode);
    fd_note_opened();
    return fd;
}

EXPORT int open_by_handle_at(int mount, struct file_handle *handle, int flags)
{
    int fd = libc.open_by_handle_at(mount, handle, flags);
    fd_note_opened();
    return fd;
}

/* Fortified: without a mode, so without O_CREAT. */
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
    return open_seen(libc.open(path, flags, 0), AT_FDCWD, path, flags);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
    return open_seen(libc.openat(dir, path, flags, 0), dir, path, flags);
}

int __open64_2(const char *path, int flags) ALIAS(__open_2);
int __openat64_2(int dir, const char *path, int flags) ALIAS(__openat_2);

/* f's number became the stack's (a setting that is to be written): a stream of ours in its place. libc's goes
 * without the number, which thereby is never another thread's to take. */
static FILE *stream_again(FILE *f, const char *mode)
{
    int fd = fileno(f);
    f->_fileno = -1;
    libc.fclose(f);
    f = fdopen(fd, mode);
    if (!f) {
        int err = errno;
        close(fd);
        errno = err;
    }
    return f;
}

EXPORT int chdir(const char *path)
{
    int r = libc.chdir(path);
    procfs_moved();
    return r;
}

EXPORT int fchdir(int fd)
{
    int r = libc.fchdir(fd);
    procfs_moved();
    return r;
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
    FILE *f = libc.fopen(path, mode);
    fd_note_opened();
    if (!f || __builtin_expect(!procfs_may_be(fileno(f), AT_FDCWD, path), 1))
        return f;
    int err = procfs_opened(fileno(f));
    if (!err)
        return fd_is_stack(fileno(f)) ? stream_again(f, mode) : f;
    libc.fclose(f);
    errno = err;
    return NULL;
}

FILE *fopen64(const char *restrict path, const char *restrict mode) ALIAS(fopen);

EXPORT ssize_t readlink(const char *restrict path, char *restrict buf, size_t size)
{
    return procfs_link(AT_FDCWD, path, buf, libc.readlink(path, buf, size), size);
}

EXPORT ssize_t readlinkat(int dir, const char *restrict path, char *restrict buf, size_t size)
{
    return procfs_link(dir, path, buf, libc.readlinkat(dir, path, buf, size), size);
}

/* Fortified: libc's ends the program when size is above what buf has. */
ssize_t __readlink_chk(const char *path, char *buf, size_t size, size_t room);
ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t size, size_t room);

EXPORT ssize_t __readlink_chk(const char *path, char *buf, size_t size, size_t room)
{
    return procfs_link(AT_FDCWD, path, buf, libc.__readlink_chk(path, buf, size, room), size);
}

EXPORT ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t size, size_t room)
{
    return procfs_link(dir, path, buf, libc.__readlinkat_chk(dir, path, buf, size, room), size);
}
