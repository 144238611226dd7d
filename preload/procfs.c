/* procfs.c: see procfs.h. */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"

/* What a relative path may end in; longer than most names of other files are not. */
bool procfs_may_end(const char *path)
{
    static const char *const names[] = {
        "tcp",        "tcp6",      "udp",   "udp6",      "udplite",   "udplite6", "raw",
        "raw6",       "icmp",      "icmp6", "packet",    "snmp",      "snmp6",    "netstat",
        "sockstat",   "sockstat6", "dev",   "dev_mcast", "if_inet6",  "arp",      "route",
        "ipv6_route", "igmp",      "igmp6", "mcfilter",  "mcfilter6", "rt_cache", "fib_trie"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!name[0] || !strchr("turipsndfam", name[0]) || memchr(name, 0, 11) == NULL)
        return false;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
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
    if (!boot() || (pid != getpid() && !API(proc_has(pid))))
        return 0;
    int file = API(proc_find(name));
    if (file < 0)
        return file == -ENOENT ? ENOENT : 0;
    char *buf = malloc(PROC_PIECE);
    int err = buf ? replace(fd, file, buf, 0) : ENOMEM;
    free(buf);
    return err;
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
    free(buf);
    return err;
}

int procfs_opened(int fd, const char *path)
{
    static const char sys[] = "/proc/sys/net/";
    char link[32], real[256];
    int saved = errno, pid;
    int err = 0;
    if (guard.depth > 0 || guard.vforked)
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = libc.readlink(link, real, sizeof(real) - 1);
    real[n > 0 ? n : 0] = 0;
    const char *name = net_name(real, &pid);
    if (name)
        err = net_opened(fd, name, pid);
    else if (strncmp(real, sys, sizeof(sys) - 1) == 0)
        err = sysctl_opened(fd, real + sizeof(sys) - 1);
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
