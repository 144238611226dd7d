/* procfs.c: see procfs.h. */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"
#include "tree.h"

/* Where the working directory is: found out at the first open that wants to know, and after each change.
 * Above the two bits for it, how often it changed: what was found out before the last time is not kept. */
enum { CWD_UNKNOWN, CWD_ELSEWHERE, CWD_PROC, CWD_BITS };
static unsigned cwd;

void procfs_moved(void)
{
    unsigned now = __atomic_load_n(&cwd, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&cwd, &now, (now | CWD_BITS) + 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
        ;
}

static __attribute__((noinline)) int look_at_cwd(void)
{
    char path[PATH_MAX];
    unsigned before = __atomic_load_n(&cwd, __ATOMIC_ACQUIRE) & ~(unsigned)CWD_BITS;
    long n = raw_syscall(SYS_getcwd, (long)path, sizeof(path), 0, 0, 0, 0);
    int is = n > 0 && strncmp(path, "/proc", 5) != 0 ? CWD_ELSEWHERE : CWD_PROC;
    /* A child of vfork shares the variable, and not the directory. */
    if (!guard.vforked)
        __atomic_compare_exchange_n(&cwd, &before, before | (unsigned)is, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
    return is;
}

/* System calls are made past libc here, as route_again's caller may be in the middle of a call of libc's.
 * From a directory elsewhere a path leads below /proc by its name, or by a link, which is not looked for. */
bool procfs_may_lead(int fd, int dir, const char *path)
{
    struct stat st;
    int is = dir == AT_FDCWD ? (int)(__atomic_load_n(&cwd, __ATOMIC_ACQUIRE) & CWD_BITS) : CWD_PROC;
    if ((is ? is : look_at_cwd()) == CWD_ELSEWHERE && !strstr(path, "proc"))
        return false;
    return raw_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 && major(st.st_dev) == 0 &&
           S_ISREG(st.st_mode) && st.st_size == 0;
}

/* The number that a path goes on with, behind *p; -1: none. */
static int number(const char **p)
{
    char *end;
    if (**p < '0' || **p > '9')
        return -1;
    long n = strtol(*p, &end, 10);
    *p = end;
    return n <= 0x7fffffff ? (int)n : -1;
}

/* "/proc/PID/net/NAME" or "/proc/PID/task/TID/net/NAME": NAME, and whose; NULL: another path. */
static const char *net_name(const char *path, int *pid)
{
    if (strncmp(path, "/proc/", 6) != 0)
        return NULL;
    path += 6;
    *pid = number(&path);
    if (*pid < 0)
        return NULL;
    if (strncmp(path, "/task/", 6) == 0) {
        path += 6;
        if (number(&path) < 0)
            return NULL;
    }
    return strncmp(path, "/net/", 5) == 0 ? path + 5 : NULL;
}

/* A file that can be written, and is nobody's but this process's. */
static int anonymous(void)
{
    return memfd_create("net", MFD_CLOEXEC);
}

static bool write_all(int fd, const char *buf, size_t n)
{
    while (n) {
        ssize_t r = libc.write(fd, buf, n);
        if (r <= 0)
            return false;
        buf += r;
        n -= (size_t)r;
    }
    return true;
}

static bool fill_net(int to, int file, char *buf)
{
    struct proc_at at = {0};
    bool more = true;
    while (more) {
        size_t n = API(proc_read(file, &at, buf, &more));
        if (!write_all(to, buf, n))
            return false;
    }
    return true;
}

/* memfd's contents, to be read from the start, take over number fd. */
static bool take_over(int fd, int memfd)
{
    char path[32];
    int flags = libc.fcntl(fd, F_GETFD, NULL);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
    int again = libc.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (again < 0) /* memfd is as good, but for what F_GETFL says */
        lseek(memfd, 0, SEEK_SET);
    int r = libc.dup3(again >= 0 ? again : memfd, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
    if (again >= 0)
        libc.close(again);
    return r >= 0;
}

/* file: of the stack's /proc/net, made piece by piece in buf; -1: buf's n bytes. 0, or the errno of what
 * there is no room for: the host's text is not shown instead of the stack's. */
static int replace(int fd, int file, char *buf, int n)
{
    int memfd = anonymous();
    if (memfd < 0)
        return errno;
    bool done =
        (file >= 0 ? fill_net(memfd, file, buf) : write_all(memfd, buf, (size_t)n)) && take_over(fd, memfd);
    libc.close(memfd);
    return done ? 0 : ENOMEM;
}

static int net_opened(int fd, const char *name, int pid)
{
    if (!boot() || (pid != getpid() && !API(proc_has(pid)) && !tree_has_process(pid)))
        return 0;
    int file = API(proc_find(name));
    if (file < 0)
        return file == -ENOENT ? ENOENT : 0;
    char *buf = malloc(PROC_PIECE);
    int err = buf ? replace(fd, file, buf, 0) : ENOMEM;
    free(buf);
    return err;
}

/* What is written to fd sets the stack's. 0 or an errno. */
static int sysctl_to_write(int fd, const char *path)
{
    int cloexec = libc.fcntl(fd, F_GETFD, NULL) & FD_CLOEXEC ? O_CLOEXEC : 0;
    int place = fdtab_number(true);
    if (place < 0)
        return -place;
    int r = libc.dup3(place, fd, cloexec) < 0 ? -errno : API(proc_sysctl_write(fd, path));
    libc.close(place);
    if (r == 0)
        fdtab_set(fd, 0);
    return -r;
}

static int sysctl_opened(int fd, const char *path)
{
    int flags = libc.fcntl(fd, F_GETFL, NULL);
    if (!boot())
        return 0;
    char *buf = malloc(PROC_PIECE);
    int n = buf ? API(proc_sysctl(path, buf)) : 0;
    int err = !buf ? ENOMEM : n <= 0 ? 0 : EROFS;
    if (n > 0 && flags >= 0 && (flags & O_ACCMODE) == O_RDONLY)
        err = replace(fd, -1, buf, n);
    else if (n > 0 && flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
        err = sysctl_to_write(fd, path);
    free(buf);
    return err;
}

static const char sys_net[] = "/proc/sys/net/";

/* What fd was opened to, in real; "": a descriptor that is only a name (O_PATH), or nothing of /proc. */
static void opened_as(int fd, char *real, size_t size)
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    long n = raw_syscall(SYS_readlinkat, AT_FDCWD, (long)link, (long)real, (long)size - 1, 0, 0);
    real[n > 0 ? n : 0] = 0;
    if (strncmp(real, "/proc/", 6) == 0 && (raw_syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0) & O_PATH))
        real[0] = 0;
}

bool procfs_is_ours(int fd)
{
    char real[256];
    int pid;
    opened_as(fd, real, sizeof(real));
    return net_name(real, &pid) || strncmp(real, sys_net, sizeof(sys_net) - 1) == 0;
}

int procfs_opened(int fd)
{
    char real[256];
    int saved = errno, pid;
    int err = 0;
    if (guard.depth > 0 || guard.vforked)
        return 0;
    opened_as(fd, real, sizeof(real));
    const char *name = net_name(real, &pid);
    if (name)
        err = net_opened(fd, name, pid);
    else if (strncmp(real, sys_net, sizeof(sys_net) - 1) == 0)
        err = sysctl_opened(fd, real + sizeof(sys_net) - 1);
    errno = saved;
    return err;
}

/* --- links of /proc/PID/fd --- */

/* The path of directory dir with name behind it, in buf. */
static bool join(int dir, const char *name, char *buf, size_t size)
{
    char link[32];
    if (name[0] == '/')
        return (size_t)snprintf(buf, size, "%s", name) < size;
    if (dir == AT_FDCWD)
        snprintf(link, sizeof(link), "/proc/self/cwd");
    else
        snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    ssize_t n = libc.readlink(link, buf, size - 1);
    if (n <= 0)
        return false;
    return (size_t)snprintf(buf + n, size - (size_t)n, "/%s", name) < size - (size_t)n;
}

/* "/proc/PID/fd/N": PID, 0: of this process, and N; false: another path. */
static bool fd_name(const char *p, int *pid, int *fd)
{
    if (strncmp(p, "/proc/", 6) != 0)
        return false;
    p += 6;
    if (strncmp(p, "self", 4) == 0) {
        *pid = 0;
        p += 4;
    } else if (strncmp(p, "thread-self", 11) == 0) {
        *pid = 0;
        p += 11;
    } else if ((*pid = number(&p)) < 0) {
        return false;
    }
    if (strncmp(p, "/task/", 6) == 0) {
        p += 6;
        if (number(&p) < 0)
            return false;
    }
    if (strncmp(p, "/fd/", 4) != 0)
        return false;
    p += 4;
    *fd = number(&p);
    return *fd >= 0 && *p == 0;
}

uint32_t procfs_inode(int dir, const char *path)
{
    char full[128];
    int pid, fd, saved = errno;
    uint32_t ino = 0;
    if (guard.depth > 0 || guard.vforked)
        return 0;
    if (join(dir, path, full, sizeof(full)) && fd_name(full, &pid, &fd) && boot())
        ino = API(proc_inode(pid, fd));
    errno = saved;
    return ino;
}

ssize_t procfs_link(int dir, const char *path, char *buf, ssize_t n, size_t size)
{
    char text[32];
    if (n < 9 || memcmp(buf, "socket:[", 8) != 0)
        return n;
    uint32_t ino = procfs_inode(dir, path);
    if (ino) {
        n = snprintf(text, sizeof(text), "socket:[%u]", ino);
        n = (size_t)n < size ? n : (ssize_t)size;
        memcpy(buf, text, (size_t)n);
    }
    return n;
}
