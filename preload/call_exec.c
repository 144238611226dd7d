/* call_exec.c: the exec family. What an exec passes on: passing.c; the environment: tree.c. */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libc.h"
#include "passing.h"
#include "tree.h"

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
    struct passing p;
    passing_begin(&p, access(path, X_OK) == 0 ? path : NULL);
    int r = libc.execve(path, argv, TREE_ENV(envp, p.place));
    passing_failed(&p);
    return r;
}

EXPORT int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
    char found[PATH_MAX];
    struct passing p;
    passing_begin(&p, passing_find(file, found));
    int r = libc.execvpe(file, argv, TREE_ENV(envp, p.place));
    passing_failed(&p);
    return r;
}

EXPORT int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
    char path[32];
    struct passing p;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    passing_begin(&p, fd >= 0 ? path : NULL);
    int r = libc.fexecve(fd, argv, TREE_ENV(envp, p.place));
    passing_failed(&p);
    return r;
}

/* The file for a look into it; buf of PATH_MAX. */
static const char *at_path(int dir, const char *path, int flags, char *buf)
{
    if (flags & AT_EMPTY_PATH && !*path) {
        snprintf(buf, PATH_MAX, "/proc/self/fd/%d", dir);
        return buf;
    }
    if (faccessat(dir, path, X_OK, 0) != 0)
        return NULL;
    if (*path == '/' || dir == AT_FDCWD)
        return path;
    snprintf(buf, PATH_MAX, "/proc/self/fd/%d/%s", dir, path);
    return buf;
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    char buf[PATH_MAX];
    struct passing p;
    passing_begin(&p, at_path(dir, path, flags, buf));
    int r = libc.execveat(dir, path, argv, TREE_ENV(envp, p.place), flags);
    passing_failed(&p);
    return r;
}

static size_t count(const char *first, va_list ap)
{
    size_t n = 0;
    for (const char *a = first; a; a = va_arg(ap, const char *))
        n++;
    return n;
}

/* The list forms: their arguments as an array on the stack, with argv and, for execle, envp after it. */
#define LIST(first, last)                                                                                    \
    va_list ap;                                                                                              \
    va_start(ap, last);                                                                                      \
    size_t n = count(first, ap);                                                                             \
    va_end(ap);                                                                                              \
    char **argv = alloca((n + 1) * sizeof(*argv));                                                           \
    va_start(ap, last);                                                                                      \
    argv[0] = (char *)first;                                                                                 \
    for (size_t i = 1; i <= n; i++)                                                                          \
    argv[i] = va_arg(ap, char *)

EXPORT int execl(const char *path, const char *arg, ...)
{
    LIST(arg, arg);
    va_end(ap);
    return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
    LIST(arg, arg);
    va_end(ap);
    return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
    LIST(arg, arg);
    char *const *envp = va_arg(ap, char *const *);
    va_end(ap);
    return execve(path, argv, envp);
}
