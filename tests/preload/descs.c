/* descs.c: what else a program can do with a descriptor: every call of libc that takes one, on a socket; and
 * every call for sockets, on what is none. */
#include "check.h"

#include <aio.h>
#include <dirent.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>
#include <termios.h>

static const char *const kinds[] = {"tcp", "udp", "listener", "connected", "tcp6"};
#define KINDS 5

static int make(int kind)
{
    struct sockaddr_in a;
    int sv[2], s;

    switch (kind) {
    case 0:
        return tcp4();
    case 1:
        return udp4();
    case 2:
        return listen4(&a);
    case 3:
        tcp_pair(sv);
        return sv[0];
    default:
        s = socket(AF_INET6, SOCK_STREAM, 0);
        NEED(s >= 0);
        return s;
    }
}

/* One call on a socket of each kind. */
#define EACH(expr)                                                                                           \
    for (int kind = 0; kind < KINDS; kind++) {                                                               \
        int s = make(kind);                                                                                  \
        errno = 0;                                                                                           \
        show_call(kinds[kind], #expr, (long)(expr));                                                         \
        close(s);                                                                                            \
    }

CHECK(positions)
{
    char b[8];
    struct iovec v = {b, sizeof(b)};

    EACH(lseek(s, 0, SEEK_SET));
    EACH(lseek(s, 0, SEEK_CUR));
    EACH(lseek(s, 0, 77));
    EACH(pread(s, b, 1, 0));
    EACH(pread(s, b, 0, 0));
    EACH(pread(s, b, 1, -1));
    EACH(pread(s, (void *)1, 1, 0));
    EACH(pwrite(s, b, 1, 0));
    EACH(pwrite(s, b, 1, -1));
    EACH(preadv(s, &v, 1, 0));
    EACH(preadv(s, &v, 1, -1));
    EACH(preadv(s, &v, -1, 0));
    EACH(preadv(s, &v, 2000, 0));
    EACH(pwritev(s, &v, 1, 0));
    EACH(pwritev(s, &v, 1, -1));
    EACH(preadv2(s, &v, 1, 0, 0));
    EACH(preadv2(s, &v, 1, -2, 0));
    EACH(pwritev2(s, &v, 1, 5, RWF_APPEND));
}

CHECK(files_only)
{
    struct timespec ts[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    char b[64];

    EACH(fsync(s));
    EACH(fdatasync(s));
    EACH(syncfs(s));
    EACH(ftruncate(s, 0));
    EACH(ftruncate(s, -1));
    EACH(fallocate(s, 0, 0, 10));
    EACH(posix_fallocate(s, 0, 10));
    EACH(posix_fadvise(s, 0, 0, POSIX_FADV_NORMAL));
    EACH(posix_fadvise(s, 0, 0, 99));
    EACH(readahead(s, 0, 10));
    EACH(sync_file_range(s, 0, 10, 0));
    EACH(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, s, 0) == MAP_FAILED ? -1 : 0);
    EACH(flock(s, LOCK_EX | LOCK_NB));
    EACH(flock(s, 99));
    EACH(lockf(s, F_TEST, 0));
    EACH(lockf(s, F_TLOCK, 0));
    EACH(futimens(s, ts));
    EACH(fchdir(s));
    EACH(fdopendir(s) == NULL ? -1 : 0);
    EACH(getdents64(s, b, sizeof(b)));
    EACH(openat(s, "x", O_RDONLY));
    EACH(faccessat(s, "x", F_OK, 0));
    EACH(unlinkat(s, "x", 0));
    EACH(mkdirat(s, "x", 0700));
    EACH(readlinkat(s, "x", b, sizeof(b)));
    EACH(readlinkat(s, "", b, sizeof(b)));
    EACH(fgetxattr(s, "user.x", b, sizeof(b)));
    EACH(fsetxattr(s, "user.x", b, 1, 0));
    EACH(fremovexattr(s, "user.x"));
    EACH(copy_file_range(s, NULL, s, NULL, 10, 0));
}

CHECK(terminals)
{
    struct termios t;
    struct winsize w;
    char b[64];

    EACH(isatty(s));
    EACH((isatty(s), -1));
    EACH(ttyname(s) == NULL ? -1 : 0);
    EACH(ttyname_r(s, b, sizeof(b)));
    EACH(tcgetattr(s, &t));
    EACH(tcsetattr(s, TCSANOW, &t));
    EACH(tcsendbreak(s, 0));
    EACH(tcdrain(s));
    EACH(tcflush(s, TCIFLUSH));
    EACH(tcflow(s, TCOON));
    EACH(tcgetpgrp(s));
    EACH(tcsetpgrp(s, getpgrp()));
    EACH(tcgetsid(s));
    EACH(ioctl(s, TIOCGWINSZ, &w));
    EACH(ioctl(s, TIOCSTI, b));
    EACH(ptsname_r(s, b, sizeof(b)));
    EACH(grantpt(s));
    EACH(unlockpt(s));
}

CHECK(other_files)
{
    struct itimerspec it = {0};
    sigset_t m;
    uint64_t v = 1;
    struct epoll_event ev = {.events = EPOLLIN};

    sigemptyset(&m);
    EACH(signalfd(s, &m, 0));
    EACH(timerfd_settime(s, 0, &it, NULL));
    EACH(timerfd_gettime(s, &it));
    EACH(inotify_add_watch(s, "/tmp", IN_CREATE));
    EACH(inotify_rm_watch(s, 1));
    EACH(epoll_ctl(s, EPOLL_CTL_ADD, s, &ev));
    EACH(epoll_ctl(s, EPOLL_CTL_ADD, 0, &ev));
    EACH(epoll_wait(s, &ev, 1, 0));
    EACH(epoll_pwait(s, &ev, 1, 0, NULL));
    EACH(epoll_wait(s, &ev, 0, 0));
    EACH((fcntl(s, F_SETFL, O_NONBLOCK), eventfd_read(s, &v)));
    EACH(fcntl(s, F_SETPIPE_SZ, 4096));
    EACH(fcntl(s, F_GETPIPE_SZ));
}

CHECK(stat_fields)
{
    struct stat st;
    struct statx sx;
    struct statfs fs;
    struct statvfs vfs;
    ino_t ino = 0;

    EACH(fstat(s, &st));
    EACH((fstat(s, &st), st.st_mode));
    EACH((fstat(s, &st), st.st_nlink));
    EACH((fstat(s, &st), st.st_size));
    EACH((fstat(s, &st), st.st_blksize));
    EACH((fstat(s, &st), st.st_blocks));
    EACH((fstat(s, &st), st.st_uid == getuid()));
    EACH((fstat(s, &st), st.st_gid == getgid()));
    EACH((fstat(s, &st), st.st_rdev));
    EACH((fstat(s, &st), major(st.st_dev)));
    EACH((fstat(s, &st), st.st_ino != 0));
    EACH((fstat(s, &st), S_ISSOCK(st.st_mode)));
    EACH(fstatat(s, "", &st, AT_EMPTY_PATH));
    EACH(fstatat(s, "", &st, 0));
    EACH(statx(s, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
    EACH((statx(s, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx), sx.stx_mode));
    EACH((statx(s, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx), sx.stx_blksize));
    EACH(fstatfs(s, &fs));
    EACH((fstatfs(s, &fs), fs.f_type));
    EACH(fstatvfs(s, &vfs));
    EACH(fpathconf(s, _PC_PIPE_BUF));
    EACH(fstat(s, (void *)1));
    EACH((fstat(s, &st), ino = st.st_ino, fstat(dup(s), &st), st.st_ino == ino));
}

CHECK(owners)
{
    struct stat st;

    EACH(fchmod(s, 0600));
    EACH(fchown(s, (uid_t)-1, (gid_t)-1));
    EACH((fchmod(s, 0600), fstat(s, &st), st.st_mode & 07777));
    EACH(fchmodat(s, "x", 0600, 0));
    EACH(fchownat(s, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH));
}

CHECK(proc_links)
{
    for (int kind = 0; kind < KINDS; kind++) {
        int s = make(kind);
        char path[64], to[128] = "";
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", s);
        n = readlink(path, to, sizeof(to) - 1);
        show(kinds[kind], "%.8s, ends in ]: %d", to, n > 0 && to[n - 1] == ']');
        show("digits", "%d", strspn(to + 8, "0123456789") > 0);
        errno = 0;
        show_call(kinds[kind], "open of the link", open(path, O_RDWR) < 0 ? -1 : 0);
        show_call(kinds[kind], "access of the link", access(path, R_OK));
        close(s);
    }
}

CHECK(commands)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    struct f_owner_ex ex = {0};
    uint64_t hint = 0;

    EACH(fcntl(s, F_GETFD));
    EACH(fcntl(s, F_SETFD, FD_CLOEXEC));
    EACH((fcntl(s, F_SETFD, 3), fcntl(s, F_GETFD)));
    EACH((fcntl(s, F_SETFD, 2), fcntl(s, F_GETFD)));
    EACH(fcntl(s, F_GETFL));
    EACH((fcntl(s, F_SETFL, O_NONBLOCK | O_APPEND), fcntl(s, F_GETFL)));
    EACH((fcntl(s, F_SETFL, -1), fcntl(s, F_GETFL)));
    EACH(fcntl(s, F_SETFL, O_DIRECT));
    EACH(fcntl(s, F_SETFL, O_NOATIME));
    EACH((fcntl(s, F_SETFL, O_NOATIME), fcntl(s, F_GETFL)));
    EACH((fcntl(s, F_SETFL, O_ASYNC), fcntl(s, F_GETFL)));
    EACH((fcntl(s, F_SETFL, O_RDONLY), fcntl(s, F_GETFL)));
    EACH((fcntl(s, F_SETFL, O_CLOEXEC), fcntl(s, F_GETFL)));
    EACH(fcntl(s, F_GETLK, &fl));
    EACH(fcntl(s, F_SETLK, &fl));
    EACH(fcntl(s, F_OFD_GETLK, &fl));
    EACH(fcntl(s, F_OFD_SETLK, &fl));
    EACH(fcntl(s, F_GETLEASE));
    EACH(fcntl(s, F_SETLEASE, F_RDLCK));
    EACH(fcntl(s, F_NOTIFY, 0));
    EACH(fcntl(s, F_ADD_SEALS, 0));
    EACH(fcntl(s, F_GET_SEALS));
    EACH(fcntl(s, F_GET_RW_HINT, &hint));
    EACH(fcntl(s, F_SET_RW_HINT, &hint));
    EACH(fcntl(s, 1040, &hint));
    EACH(fcntl(s, F_GETOWN));
    EACH((fcntl(s, F_SETOWN, getpid()), fcntl(s, F_GETOWN) == getpid()));
    EACH((fcntl(s, F_SETOWN, -getpgrp()), fcntl(s, F_GETOWN) == -getpgrp()));
    EACH(fcntl(s, F_SETOWN, 0x7ffffff0));
    EACH(fcntl(s, F_GETOWN_EX, &ex));
    EACH((fcntl(s, F_GETOWN_EX, &ex), ex.type));
    EACH((ex.type = 7, fcntl(s, F_SETOWN_EX, &ex)));
    EACH(fcntl(s, F_GETOWN_EX, (void *)1));
    EACH(fcntl(s, F_GETSIG));
    EACH(fcntl(s, F_SETSIG, 0));
    EACH(fcntl(s, F_SETSIG, 65));
    EACH(fcntl(s, F_SETSIG, -1));
    EACH(fcntl(s, 1029, 0));
    EACH(fcntl(s, 1030 + 7, 0));
    EACH(fcntl(s, 99, 0));
    EACH(fcntl(s, -1, 0));
    EACH(fcntl(s, F_DUPFD_CLOEXEC, -1));
}

CHECK(commands_on_no_descriptor)
{
    R(fcntl(-1, F_GETFL));
    R(fcntl(200, F_GETFL));
    R(fcntl(1 << 30, F_GETFL));
    R(fcntl(-1, 99, 0));
    R(fcntl(200, F_DUPFD, -1));
}

CHECK(copies)
{
    int s = tcp4(), to;
    struct rlimit lim, low = {64, 64};

    NEED(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    low.rlim_max = lim.rlim_max;
    NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
    R(fcntl(s, F_DUPFD, -1));
    R(fcntl(s, F_DUPFD, 64));
    R(fcntl(s, F_DUPFD, 63));
    R(fcntl(s, F_DUPFD, 63));
    R(fcntl(s, F_DUPFD_CLOEXEC, 40));
    R(fcntl(40, F_GETFD));
    R(dup2(s, 64));
    R(dup2(s, -1));
    R(dup2(s, 1 << 30));
    R(dup2(-1, 5));
    R(dup2(200, 5));
    R(dup2(s, s));
    R(dup2(200, 200));
    R(dup3(s, s, 0));
    R(dup3(s, 50, 1));
    R(dup3(s, 50, O_CLOEXEC | O_NONBLOCK));
    R(dup3(s, 50, O_CLOEXEC));
    R(fcntl(50, F_GETFD));
    R(dup3(200, 200, 0));
    R(dup3(s, 64, 0));
    R(dup3(-1, 64, 0));
    R(dup(-1));
    R(dup(200));
    while ((to = dup(s)) >= 0)
        ;
    R(dup(s));
    R(socket(AF_INET, SOCK_STREAM, 0));
    R(dup2(s, 50));
    R(fcntl(s, F_DUPFD, 0));
    R(epoll_create1(0));
    NEED(close(50) == 0);
    R(socket(AF_INET, SOCK_STREAM, 0));
    NEED(setrlimit(RLIMIT_NOFILE, &lim) == 0);
}

/* A full table leaves the connection in the queue. */
CHECK(accept_without_a_number)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), last = -1, to;
    struct rlimit lim, low = {64, 64};

    NEED(connect(c, SA(a)) == 0 && settle(l, POLLIN));
    NEED(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    low.rlim_max = lim.rlim_max;
    NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
    while ((to = dup(c)) >= 0)
        last = to;
    R(accept(l, NULL, NULL));
    EV(poll_for(l, POLLIN, 0));
    NEED(close(last) == 0);
    FD(accept(l, NULL, NULL));
    NEED(setrlimit(RLIMIT_NOFILE, &lim) == 0);
}

CHECK(ranges)
{
    int s = tcp4(), i;

    for (i = 20; i < 30; i++)
        NEED(dup2(s, i) == i);
    R(close_range(25, 20, 0));
    R(close_range(20, 25, 1));
    R(close_range(20, 25, 8));
    R(close_range(20, 21, CLOSE_RANGE_CLOEXEC));
    R(fcntl(20, F_GETFD));
    R(fcntl(22, F_GETFD));
    R(close_range(20, 21, 0));
    R(fcntl(20, F_GETFD));
    R(getsockopt(21, SOL_SOCKET, SO_TYPE, &i, &(socklen_t){sizeof(i)}));
    R(getsockopt(22, SOL_SOCKET, SO_TYPE, &i, &(socklen_t){sizeof(i)}));
    R(close_range(22, 23, CLOSE_RANGE_UNSHARE));
    R(fcntl(23, F_GETFD));
    R(getsockopt(22, SOL_SOCKET, SO_TYPE, &i, &(socklen_t){sizeof(i)}));
    R(close_range(24, 24, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC));
    R(fcntl(24, F_GETFD));
    R(close_range(300, 400, 0));
    R(close_range(26, ~0u, 0));
    R(fcntl(25, F_GETFD));
    R(fcntl(26, F_GETFD));
    closefrom(25);
    R(fcntl(25, F_GETFD));
    R(fcntl(24, F_GETFD));
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &i, &(socklen_t){sizeof(i)}));
    R(close(25));
    R(close(-1));
    R(close(1 << 30));
}

/* --- calls for sockets, on what is none --- */

static const char *const others[] = {"file",     "directory", "pipe",   "eventfd", "epoll",  "timerfd",
                                     "signalfd", "inotify",   "closed", "-1",      "O_PATH", "unix"};
#define OTHERS 12

static int make_other(int kind)
{
    int p[2];
    sigset_t m;

    sigemptyset(&m);
    switch (kind) {
    case 0:
        return open("/proc/self/exe", O_RDONLY);
    case 1:
        return open("/", O_RDONLY | O_DIRECTORY);
    case 2:
        NEED(pipe(p) == 0);
        return p[0];
    case 3:
        return eventfd(0, EFD_NONBLOCK);
    case 4:
        return epoll_create1(0);
    case 5:
        return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    case 6:
        return signalfd(-1, &m, SFD_NONBLOCK);
    case 7:
        return inotify_init1(IN_NONBLOCK);
    case 8:
        return 200;
    case 10:
        return open("/", O_PATH);
    case 11:
        return socket(AF_UNIX, SOCK_STREAM, 0);
    default:
        return -1;
    }
}

#define OTHER(expr)                                                                                          \
    for (int kind = 0; kind < OTHERS; kind++) {                                                              \
        int s = make_other(kind);                                                                            \
        errno = 0;                                                                                           \
        show_call(others[kind], #expr, (long)(expr));                                                        \
        close(s);                                                                                            \
    }

CHECK(not_sockets)
{
    struct sockaddr_in a = lo4(1);
    struct msghdr m = {0};
    struct mmsghdr mm = {0};
    socklen_t len = sizeof(a);
    int v = 0, t = tcp4();
    char b[4];

    NEED(dup2(t, 210) == 210);
    close(t);
    OTHER(bind(s, SA(a)));
    OTHER(bind(s, (void *)1, sizeof(a)));
    OTHER(bind(s, SA(a) * 100));
    OTHER(listen(s, 1));
    OTHER(accept(s, NULL, NULL));
    OTHER(accept4(s, NULL, NULL, 0x123));
    OTHER(connect(s, SA(a)));
    OTHER(connect(s, (void *)1, sizeof(a)));
    OTHER(shutdown(s, 9));
    OTHER(getsockname(s, (struct sockaddr *)&a, &len));
    OTHER(getpeername(s, (struct sockaddr *)&a, (void *)1));
    OTHER(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len));
    OTHER(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, -1));
    OTHER(send(s, "x", 1, MSG_NOSIGNAL));
    OTHER(send(s, (void *)1, 1, MSG_NOSIGNAL));
    OTHER(sendto(s, "x", 1, MSG_NOSIGNAL, (void *)1, sizeof(a)));
    OTHER(sendmsg(s, &m, MSG_NOSIGNAL));
    OTHER(sendmsg(s, (void *)1, MSG_NOSIGNAL));
    OTHER(sendmmsg(s, &mm, 1, MSG_NOSIGNAL));
    OTHER(sendmmsg(s, NULL, 0, 0));
    OTHER(recv(s, b, 1, MSG_DONTWAIT));
    OTHER(recvfrom(s, b, 1, MSG_DONTWAIT, (void *)1, (void *)2));
    OTHER(recvmsg(s, &m, MSG_DONTWAIT));
    OTHER(recvmmsg(s, &mm, 1, MSG_DONTWAIT, NULL));
    OTHER(recvmmsg(s, NULL, 0, 0, NULL));
    OTHER(sockatmark(s));
    OTHER(isfdtype(s, S_IFSOCK));
    OTHER(sendfile(210, s, NULL, 10));
    OTHER(sendfile(s, 210, NULL, 10));
    OTHER(splice(210, NULL, s, NULL, 10, SPLICE_F_NONBLOCK));
    OTHER(splice(s, NULL, 210, NULL, 10, SPLICE_F_NONBLOCK));
    OTHER(splice(s, NULL, 210, NULL, 0, 0));
    OTHER(splice(s, NULL, 210, NULL, 10, 0x100));
}

CHECK(epoll_is_no_socket)
{
    int e = epoll_create1(0), v = 0;
    char b[8];
    struct iovec iov = {b, sizeof(b)};
    struct stat st;

    R(read(e, b, 8));
    R(read(e, b, 0));
    R(write(e, b, 8));
    R(write(e, b, 0));
    R(readv(e, &iov, 1));
    R(pread(e, b, 1, 0));
    R(lseek(e, 0, SEEK_SET));
    R(ioctl(e, FIONREAD, &v));
    R(ioctl(e, FIONBIO, &v));
    R(fstat(e, &st));
    V(st.st_mode);
    R(fcntl(e, F_GETFL));
    R(fcntl(e, F_SETFL, O_NONBLOCK));
    R(fcntl(e, F_GETFL));
    R(fcntl(e, F_SETOWN, getpid()));
    V(fcntl(e, F_GETOWN) == getpid());
    R(epoll_create(0));
    R(epoll_create(-1));
    R(epoll_create1(1));
    R(epoll_create1(O_NONBLOCK));
    R(fcntl(epoll_create1(EPOLL_CLOEXEC), F_GETFD));
}

/* What a directory lists, the numbers of descriptors in order. */
static void show_list(const char *how, DIR *d)
{
    bool has[4096] = {0};
    struct dirent *e;

    NEED(d != NULL);
    while ((e = readdir(d)))
        if (e->d_name[0] != '.')
            has[atoi(e->d_name) & 4095] = true;
    for (int fd = 0; fd < 4096; fd++)
        if (has[fd])
            show(how, "%d", fd);
    closedir(d);
}

/* The program's own descriptors, and no others. */
CHECK(listed)
{
    int sv[2], n;
    struct dirent **list;
    char path[64];
    DIR *d;

    tcp_pair(sv);
    FD(dup2(sv[0], 200));
    show_list("/proc/self/fd", opendir("/proc/self/fd"));
    show_list("/proc/self/fdinfo", opendir("/proc/self/fdinfo"));
    show_list("/dev/fd", opendir("/dev/fd/."));
    snprintf(path, sizeof path, "/proc/%d/task/%d/fd", (int)getpid(), (int)getpid());
    show_list("of the task", opendir(path));
    show_list("fdopendir", fdopendir(open("/proc/self/fd", O_RDONLY | O_DIRECTORY)));
    NEED(chdir("/proc/self") == 0);
    show_list("relative", opendir("fd"));
    n = scandir("fd", &list, NULL, alphasort);
    V(n);
    for (int i = 0; i < n; i++) {
        show("scandir", "%s", list[i]->d_name);
        free(list[i]);
    }
    free(list);
    d = opendir("fd");
    NEED(d != NULL && readdir(d) && readdir(d) && readdir(d));
    rewinddir(d);
    show_list("again", d);
    R(chdir("/"));
}
