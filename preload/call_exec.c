/* call_exec.c: the exec family.
 *
 * Theory of operation. An exec'ed program has none of this memory: what the process holds in the stack is
 * released before the exec, as the kernel closes what has FD_CLOEXEC, so that a child which execs does not
 * keep its parent's connections open. That can't be undone where the exec fails after all, so it is done only
 * when the file is there and may be executed. posix_spawn, system and popen need nothing: their child shares
 * the parent's place and execs at once (fork.c). Differs: a socket without FD_CLOEXEC is released as well;
 * the new program finds an unconnected socket on the number. Said once.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diag.h"
#include "fdtab.h"
#include "fork.h"
#include "libc.h"

static bool inherits(void)
{
    int end = fdtab_end();
    for (int fd = 0; fd < end; fd++)
        if (fd_is_stack(fd) && !fd_has(fd, FD_EPSET) && libc.fcntl(fd, F_GETFD, NULL) == 0)
            return true;
    return false;
}

static void release(bool executable)
{
    if (!executable || !fdtab || guard.depth > 0 || guard.vforked)
        return;
    if (inherits())
        diag_unsupported(UNSUP_EXEC);
    fork_exit();
}

/* Whether execvp would find file: in itself or on PATH. */
static bool on_path(const char *file)
{
    char full[PATH_MAX];
    const char *path = getenv("PATH");
    if (strchr(file, '/'))
        return access(file, X_OK) == 0;
    for (const char *p = path ? path : "/bin:/usr/bin", *end; p; p = *end ? end + 1 : NULL) {
        end = strchrnul(p, ':');
        int n = snprintf(full, sizeof(full), "%.*s%s%s", (int)(end - p), p, end > p ? "/" : "", file);
        if (n < (int)sizeof(full) && access(full, X_OK) == 0)
            return true;
    }
    return false;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
    release(access(path, X_OK) == 0);
    return libc.execve(path, argv, envp);
}

EXPORT int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
    release(on_path(file));
    return libc.execvpe(file, argv, envp);
}

EXPORT int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
    release(fd >= 0);
    return libc.fexecve(fd, argv, envp);
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    release((flags & AT_EMPTY_PATH && !*path) || faccessat(dir, path, X_OK, 0) == 0);
    return libc.execveat(dir, path, argv, envp, flags);
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
