/* call_process.c: fork, _Fork, vfork, clone, daemon, threads, and the ways to end: _exit, _Exit, quick_exit.
 * Theory of operation: fork.c. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dispatch.h"
#include "fdtab.h"
#include "fork.h"
#include "forking.h"
#include "libc.h"
#include "vfork.h"

EXPORT pid_t fork(void)
{
    if (!forking_room())
        return -1;
    forking_interposed(true);
    pid_t pid = libc.fork();
    int err = errno;
    if (pid != 0)
        forking_parent(pid > 0, pid);
    forking_interposed(false);
    errno = err;
    return pid;
}

pid_t __fork(void) ALIAS_NOTHROW(fork);

EXPORT pid_t _Fork(void)
{
    if (!forking_room())
        return -1;
    forking_prepare();
    pid_t pid = libc._Fork();
    int err = errno;
    if (pid == 0)
        forking_child();
    else
        forking_parent(pid > 0, pid);
    errno = err;
    return pid;
}

/* vfork returns twice on one stack, so it can't be a C function. As libc's: the return address waits in a
 * register over the system call. */
#if defined(__x86_64__)
int vfork_failed(int r);

__attribute__((used)) int vfork_failed(int r)
{
    errno = -r;
    return -1;
}

__asm__(".pushsection .text\n"
        ".globl vfork\n"
        ".globl __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        "vfork:\n"
        "__vfork:\n"
        "    .cfi_startproc\n"
        "    popq %rdi\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_register %rip, %rdi\n"
        "    movl $58, %eax\n" /* SYS_vfork */
        "    syscall\n"
        "    pushq %rdi\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    movq guard@gottpoff(%rip), %rcx\n"
        "    testl %eax, %eax\n"
        "    sete %fs:VFORKED(%rcx)\n" /* the parent goes on when the child is gone, and clears it */
        "    movq vfork_view@gottpoff(%rip), %rcx\n"
        "    movw $0, %fs:(%rcx)\n"
        "    jns 1f\n"
        "    movl %eax, %edi\n"
        "    jmp vfork_failed\n"
        "1:  ret\n"
        "    .cfi_endproc\n"
        ".size vfork, . - vfork\n"
        ".size __vfork, . - __vfork\n"
        ".set VFORKED, 5\n"
        ".popsection\n");
_Static_assert(offsetof(struct guard, vforked) == 5, "VFORKED above");
_Static_assert(offsetof(struct view, n) == 0, "vfork_view above");
#else
/* Differs: the child has a copy of the memory, and the parent does not wait. */
EXPORT pid_t vfork(void)
{
    return fork();
}
#endif

/* --- clone --- */

struct start {
    int (*fn)(void *);
    void *arg;
};

static int copied_start(void *arg)
{
    struct start s = *(struct start *)arg;
    forking_child();
    return s.fn(s.arg);
}

static int sharing_start(void *arg)
{
    struct start s = *(struct start *)arg;
    guard.vforked = true;
    vfork_view.n = 0;
    return s.fn(s.arg);
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    void *ptid = va_arg(ap, void *), *tls = va_arg(ap, void *), *ctid = va_arg(ap, void *);
    va_end(ap);
    struct start s = {.fn = fn, .arg = arg};
    if (!fdtab || guard.depth > 0 || (flags & CLONE_THREAD) || (flags & CLONE_FILES))
        return libc.clone(fn, stack, flags, arg, ptid, tls, ctid);
    if (!(flags & CLONE_VM)) {
        if (!forking_room())
            return -1;
        forking_prepare();
        int pid = libc.clone(copied_start, stack, flags, &s, ptid, tls, ctid);
        int err = errno;
        forking_parent(pid > 0, pid);
        errno = err;
        return pid;
    }
    if ((flags & CLONE_VFORK) && !(flags & CLONE_SETTLS)) {
        int pid = libc.clone(sharing_start, stack, flags, &s, ptid, tls, ctid);
        guard.vforked = false;
        return pid;
    }
    return libc.clone(fn, stack, flags, arg, ptid, tls, ctid);
}

/* --- daemon --- */

/* libc's daemon ends the parent with an _exit of its own: here the parent's descriptors are released at once.
 */
static int to_null(void)
{
    struct stat st;
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
        libc.close(fd);
        errno = ENODEV;
        return -1;
    }
    for (int i = 0; i <= 2; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    return 0;
}

EXPORT int daemon(int nochdir, int noclose)
{
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    if (setsid() < 0)
        return -1;
    if (!nochdir && chdir("/") < 0)
        return -1;
    return noclose ? 0 : to_null();
}

/* --- threads --- */

/* A thread that the engine makes (EAL's interrupt thread, vhost's) is the engine's: its calls go to libc, and
 * the program's signals are not for it. */
struct engine_thread {
    void *(*fn)(void *);
    void *arg;
};

static void *engine_thread(void *arg)
{
    struct engine_thread t = *(struct engine_thread *)arg;
    free(arg);
    guard_enter();
    return t.fn(t.arg);
}

static int engine_thread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    struct engine_thread *e = malloc(sizeof(*e));
    if (!e)
        return EAGAIN;
    *e = (struct engine_thread){.fn = fn, .arg = arg};
    sigfillset(&all);
    libc.pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = libc.pthread_create(t, attr, engine_thread, e);
    libc.pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        free(e);
    return r;
}

EXPORT int pthread_create(pthread_t *restrict t, const pthread_attr_t *restrict attr, void *(*fn)(void *),
                          void *restrict arg)
{
    if (guard.depth > 0)
        return engine_thread_create(t, attr, fn, arg);
    fork_threaded();
    return dispatch_on ? dispatch_thread(t, attr, fn, arg) : libc.pthread_create(t, attr, fn, arg);
}

/* --- ends --- */

EXPORT void _exit(int status)
{
    fork_exit();
    for (;;)
        raw_syscall(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

void _Exit(int status) ALIAS_NOTHROW(_exit) __attribute__((noreturn));
