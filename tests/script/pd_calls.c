/* pd_calls.c: the calls of packetdrill's table, from libc's form to the stack's sockets and back. */
#include "pd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NEVER UINT64_MAX

/* --- descriptors: each is a number of the process too, so that libc's close of one is harmless --- */

static int install(struct file *f)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd >= 0 && fd < FILES_MAX) {
        pd.file[fd] = f;
        return fd;
    }
    file_put(pd.env->st, f);
    return fd < 0 ? -errno : -EMFILE;
}

struct file *pd_file(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? pd.file[fd] : NULL;
}

static struct sock *sock_of(int fd, int *err)
{
    struct file *f = pd_file(fd);

    *err = !f ? -EBADF : f->type != FILE_SOCK ? -ENOTSOCK : 0;
    return *err ? NULL : file_sock(f);
}

static bool may_wait(const struct sock *s, int flags)
{
    return !(file_oflags(&s->file) & O_NONBLOCK) && !(flags & (MSG_DONTWAIT | MSG_ERRQUEUE));
}

/* The namespace's settings, as far as the stack has them under the same name. */
void pd_take_sysctls(void)
{
    static const char *const names[] = {
#define X(name, def, min, max, text) #name,
        TUNABLES(X)
#undef X
            "tcp_rmem",
        "tcp_wmem", "tcp_fastopen_key"};
    struct tunables *set = &pd.env->st->set;
    int64_t min, max;

    pd.env->st->wall_off_ns =
        1; /* gettimeofday is the virtual clock, too; 0 would mean that it is not known */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128], value[128] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", names[i]);
        f = fopen(path, "re");
        if (!f)
            continue;
        if (fgets(value, sizeof value, f)) {
            value[strcspn(value, "\n")] = '\0';
            if (strcmp(names[i], "tcp_orphan_retries") != 0 || strcmp(value, "0") != 0) /* 0 means 8 */
                tunables_set(set, names[i], value, &min, &max);
        }
        fclose(f);
    }
}

int pd_socket(void *u, int domain, int type, int protocol)
{
    struct sock *s;
    int r;

    pd_enter();
    pd_take_sysctls();
    r = sock_new(pd.env->st, domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol, &s);
    if (r)
        return (int)pd_done(r);
    file_set_oflags(&s->file, file_oflags(&s->file) | (type & SOCK_NONBLOCK));
    return (int)pd_done(install(&s->file));
}

int pd_close(void *u, int fd)
{
    struct file *f;

    pd_enter();
    f = pd_file(fd);
    if (!f)
        return (int)pd_done(close(fd) ? -errno : 0);
    pd.file[fd] = NULL;
    close(fd);
    file_put(pd.env->st, f);
    return (int)pd_done(0);
}

int pd_fcntl(void *u, int fd, int cmd, ...)
{
    struct file *f;
    va_list ap;
    long arg;

    va_start(ap, cmd);
    arg = va_arg(ap, long);
    va_end(ap);
    pd_enter();
    f = pd_file(fd);
    if (!f)
        return (int)pd_done(-EBADF);
    if (cmd == F_GETFL)
        return (int)pd_done(O_RDWR | (file_oflags(f) & O_NONBLOCK));
    if (cmd == F_SETFL)
        file_set_oflags(f, (file_oflags(f) & ~O_NONBLOCK) | ((int)arg & O_NONBLOCK));
    return (int)pd_done(cmd == F_SETFL || cmd == F_SETFD || cmd == F_GETFD ? 0 : -EINVAL);
}

/* --- connections --- */

int pd_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s;
    int err;

    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_bind(pd.env->st, s, sa, len) : err);
}

int pd_listen(void *u, int fd, int backlog)
{
    struct sock *s;
    int err;

    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_listen(pd.env->st, s, backlog) : err);
}

int pd_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *s, *child = NULL;
    int r;

    pd_enter();
    s = sock_of(fd, &r);
    if (!s)
        return (int)pd_done(r);
    do
        r = sock_accept(pd.env->st, s, &child);
    while (r == -EAGAIN && may_wait(s, 0) && pd_wait_fd(fd, POLLIN, pd_deadline(sock_more(s)->rcvtimeo_us)));
    if (r)
        return (int)pd_done(r);
    if (sa)
        sock_addr_put(child, &child->pcb->remote, sa, len);
    return (int)pd_done(install(&child->file));
}

int pd_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s;
    uint64_t until;
    int r;

    pd_enter();
    s = sock_of(fd, &r);
    if (!s)
        return (int)pd_done(r);
    until = pd_deadline(sock_more(s)->sndtimeo_us);
    r = sock_connect(pd.env->st, s, sa, len);
    while ((r == -EINPROGRESS || r == -EALREADY) && may_wait(s, 0)) {
        if (!pd_wait_fd(fd, POLLOUT, until)) {
            r = -EINPROGRESS;
            break;
        }
        r = sock_connect_result(s);
    }
    return (int)pd_done(r);
}

int pd_shutdown(void *u, int fd, int how)
{
    struct sock *s;
    int err;

    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_shutdown(s, how) : err);
}

/* --- data --- */

static size_t iov_sum(const struct msghdr *msg)
{
    size_t n = 0;

    for (size_t i = 0; i < msg->msg_iovlen; i++)
        n += msg->msg_iov[i].iov_len;
    return n;
}

/* Begins a call on descriptor fd. NULL: *err is its result. */
static struct sock *enter(int fd, ssize_t *err)
{
    struct sock *s;
    int r;

    pd_enter();
    s = sock_of(fd, &r);
    if (!s)
        *err = pd_done(r);
    return s;
}

static ssize_t do_send(int fd, const struct msghdr *msg, int flags)
{
    size_t sent = 0, total = iov_sum(msg);
    ssize_t n;
    struct sock *s = enter(fd, &n);
    uint64_t until;

    if (!s)
        return n;
    until = pd_deadline(sock_more(s)->sndtimeo_us);
    for (;;) {
        n = sock_sendmsg(pd.env->st, s, msg, flags, sent);
        if (n > 0)
            sent += (size_t)n;
        if ((n < 0 && n != -EAGAIN) || sent >= total || !may_wait(s, flags) ||
            !pd_wait_fd(fd, POLLOUT, until))
            return pd_done(sent ? (ssize_t)sent : n);
    }
}

static ssize_t do_recv(int fd, struct msghdr *msg, int flags)
{
    size_t got = 0, total = iov_sum(msg);
    ssize_t n;
    struct sock *s = enter(fd, &n);
    uint64_t until;

    if (!s)
        return n;
    until = pd_deadline(sock_more(s)->rcvtimeo_us);
    for (;;) {
        n = sock_recvmsg(pd.env->st, s, msg, flags, got);
        if (n > 0)
            got += (size_t)n;
        if (n != -EAGAIN && (n <= 0 || !(flags & MSG_WAITALL) || got >= total))
            return pd_done(got ? (ssize_t)got : n);
        if (!may_wait(s, flags) || !pd_wait_fd(fd, POLLIN, until))
            return pd_done(got ? (ssize_t)got : -EAGAIN);
    }
}

ssize_t pd_recvmsg(void *u, int fd, struct msghdr *msg, int flags)
{
    return do_recv(fd, msg, flags);
}

ssize_t pd_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    struct iovec iov = {buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = sa, .msg_namelen = len ? *len : 0};
    ssize_t r = do_recv(fd, &msg, flags);

    if (r >= 0 && len)
        *len = msg.msg_namelen;
    return r;
}

ssize_t pd_recv(void *u, int fd, void *buf, size_t n, int flags)
{
    return pd_recvfrom(u, fd, buf, n, flags, NULL, NULL);
}

ssize_t pd_readv(void *u, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    if (n < 0 || n > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return iov_sum(&msg) == 0 ? 0 : do_recv(fd, &msg, 0);
}

ssize_t pd_read(void *u, int fd, void *buf, size_t n)
{
    struct iovec iov = {buf, n};

    return pd_file(fd) ? pd_readv(u, fd, &iov, 1) : read(fd, buf, n);
}

ssize_t pd_sendmsg(void *u, int fd, const struct msghdr *msg, int flags)
{
    return do_send(fd, msg, flags);
}

ssize_t pd_sendto(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                  socklen_t len)
{
    struct iovec iov = {(void *)buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)sa, .msg_namelen = len};

    return do_send(fd, &msg, flags);
}

ssize_t pd_send(void *u, int fd, const void *buf, size_t n, int flags)
{
    return pd_sendto(u, fd, buf, n, flags, NULL, 0);
}

ssize_t pd_writev(void *u, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    if (n < 0 || n > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return do_send(fd, &msg, 0);
}

ssize_t pd_write(void *u, int fd, const void *buf, size_t n)
{
    return pd_file(fd) ? pd_send(u, fd, buf, n, 0) : write(fd, buf, n);
}

int pd_pipe(void *u, int fd[2])
{
    return pipe(fd);
}

/* Through a buffer: what leaves the stack is what is tested here. */
int pd_splice(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t n, unsigned flags)
{
    static char buf[1 << 20];
    ssize_t r;

    if (n > sizeof buf)
        n = sizeof buf;
    if (pd_file(in)) { /* a splice ends at urgent data that is not in the stream (Linux: tcp_splice_read) */
        int mark = 0;

        if (pd_ioctl(u, in, SIOCATMARK, &mark) == 0 && mark)
            return 0;
    }
    r = pd_read(u, in, buf, n);
    return (int)(r > 0 ? pd_write(u, out, buf, (size_t)r) : r);
}

/* --- options --- */

int pd_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len)
{
    struct sock *s;
    int err;

    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_getsockopt(pd.env->st, s, level, name, val, len) : err);
}

int pd_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len)
{
    struct sock *s;
    int err;

    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_setsockopt(pd.env->st, s, level, name, val, len) : err);
}

int pd_ioctl(void *u, int fd, unsigned long req, ...)
{
    struct sock *s;
    va_list ap;
    void *arg;
    int err;

    va_start(ap, req);
    arg = va_arg(ap, void *);
    va_end(ap);
    pd_enter();
    s = sock_of(fd, &err);
    return (int)pd_done(s ? sock_ioctl(pd.env->st, s, req, arg) : err);
}

/* --- readiness --- */

static uint64_t timeout_ns(int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : pd.env->now_ns + (uint64_t)timeout_ms * 1000000;
}

int pd_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct wait w = {.fds = fds, .n = n};
    int ready = 0;

    pd_enter();
    w.until_ns = timeout_ns(timeout_ms);
    pd_wait_for(&w);
    for (nfds_t i = 0; i < n; i++)
        ready += fds[i].revents != 0;
    return (int)pd_done(ready);
}

int pd_epoll_create(void *u, int size)
{
    struct file *f;

    pd_enter();
    f = eset_new(pd.env->st);
    return (int)pd_done(f ? install(f) : -ENOMEM);
}

int pd_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct file *set, *target;

    pd_enter();
    set = pd_file(epfd);
    target = pd_file(fd);
    return (int)pd_done(set && target ? eset_ctl(pd.env->st, set, op, fd, target, ev) : -EBADF);
}

int pd_epoll_wait(void *u, int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    struct file *set;
    uint64_t until;
    int n;

    pd_enter();
    set = pd_file(epfd);
    if (!set)
        return (int)pd_done(-EBADF);
    if (set->type != FILE_EPOLL || max <= 0)
        return (int)pd_done(-EINVAL);
    until = timeout_ns(timeout_ms);
    shard_flush(pd.env->sh);
    while ((n = eset_collect(pd.env->st, set, ev, max)) == 0 && pd_wait_fd(epfd, POLLIN, until))
        ;
    return (int)pd_done(n);
}
