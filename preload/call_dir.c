/* call_dir.c: opendir, readdir and their like over /proc/self/fd and fdinfo: the engine's descriptors and the
 * tree's, which are not there for the program (fdtab.h), are not listed either.
 *
 * Theory of operation. The few directories that are such are remembered from opendir to closedir; while there
 * is none a readdir costs a load and a branch. Others' listings (/proc/PID/fd of another process) are the
 * kernel's: what is private there is known in that process alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "procfs.h"

#define DIRS 16 /* beyond, a listing shows all */

static DIR *dirs[DIRS];
static unsigned ndirs;

/* "/proc/PID/fd" or "/proc/PID/task/TID/fd" of this process, or fdinfo. */
static bool is_own_list(int fd)
{
    char link[32], path[64], *end;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    long n = raw_syscall(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, sizeof(path) - 1, 0, 0);
    if (n <= 6 || memcmp(path, "/proc/", 6) != 0)
        return false;
    path[n] = 0;
    if (strtol(path + 6, &end, 10) != getpid())
        return false;
    if (strncmp(end, "/task/", 6) == 0)
        strtol(end + 6, &end, 10);
    return strcmp(end, "/fd") == 0 || strcmp(end, "/fdinfo") == 0;
}

static bool is_listed(DIR *d)
{
    for (unsigned i = 0; i < DIRS; i++)
        if (__atomic_load_n(&dirs[i], __ATOMIC_RELAXED) == d)
            return true;
    return false;
}

static inline bool hides(DIR *d)
{
    return __builtin_expect(__atomic_load_n(&ndirs, __ATOMIC_RELAXED) != 0, 0) && is_listed(d);
}

/* d in place of old. False: there is none. */
static bool swap(DIR *old, DIR *d)
{
    for (unsigned i = 0; i < DIRS; i++) {
        DIR *want = old;
        if (__atomic_compare_exchange_n(&dirs[i], &want, d, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

static DIR *opened(DIR *d, bool look)
{
    int saved = errno;
    if (d && look && !guard.vforked && fdtab_private_lo != INT_MAX && is_own_list(dirfd(d)) && swap(NULL, d))
        __atomic_fetch_add(&ndirs, 1, __ATOMIC_RELEASE);
    errno = saved;
    return d;
}

/* The name of a number that is not there for the program? */
static bool is_hidden(const char *name)
{
    char *end;
    if (name[0] < '0' || name[0] > '9')
        return false;
    long fd = strtol(name, &end, 10);
    return !*end && fd <= INT_MAX && fd_is_private((int)fd);
}

/* May path, which the kernel has read, lead to such a directory? */
static bool may_lead(const char *path)
{
    return path[0] != '/' || procfs_is_below(path) || strncmp(path, "/dev/fd", 7) == 0;
}

EXPORT DIR *opendir(const char *path)
{
    DIR *d = libc.opendir(path);
    return opened(d, d && may_lead(path));
}

EXPORT DIR *fdopendir(int fd)
{
    return opened(libc.fdopendir(fd), true);
}

EXPORT int closedir(DIR *d)
{
    if (hides(d) && swap(d, NULL))
        __atomic_fetch_sub(&ndirs, 1, __ATOMIC_RELEASE);
    return libc.closedir(d);
}

EXPORT struct dirent *readdir(DIR *d)
{
    struct dirent *e = libc.readdir(d);
    if (__builtin_expect(hides(d), 0))
        while (e && is_hidden(e->d_name))
            e = libc.readdir(d);
    return e;
}

/* struct dirent64 is struct dirent where off_t has 64 bits. */
EXPORT struct dirent64 *readdir64(DIR *d)
{
    return (struct dirent64 *)readdir(d);
}

/* libc's own reads the directory by itself. */
EXPORT int scandir(const char *restrict path, struct dirent ***restrict list,
                   int (*filter)(const struct dirent *),
                   int (*compare)(const struct dirent **, const struct dirent **))
{
    int n = libc.scandir(path, list, filter, compare), kept = 0;
    if (n <= 0 || fdtab_private_lo == INT_MAX || !may_lead(path))
        return n;
    int saved = errno, dir = libc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    bool own = dir >= 0 && is_own_list(dir);
    if (dir >= 0)
        libc.close(dir);
    for (int i = 0; own && i < n; i++) {
        if (is_hidden((*list)[i]->d_name))
            free((*list)[i]);
        else
            (*list)[kept++] = (*list)[i];
    }
    errno = saved;
    return own ? kept : n;
}

EXPORT int scandir64(const char *restrict path, struct dirent64 ***restrict list,
                     int (*filter)(const struct dirent64 *),
                     int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
    return scandir(path, (struct dirent ***)list, (int (*)(const struct dirent *))filter,
                   (int (*)(const struct dirent **, const struct dirent **))compare);
}
