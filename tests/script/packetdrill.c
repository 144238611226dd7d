/* packetdrill.c: a shared object by which the public packetdrill tool, unmodified, drives this stack:
 *
 *     packetdrill --so_filename=.../packetdrill-shunt.so --local_ip=192.168.0.1 [--so_flags=KEY=VALUE,...]
 * S.pkt
 *
 * so_flags are tunables (tunable.h) and "tso" (bytes of the largest frame the link segments; 0: none) and
 * "mtu". Beside them the stack takes the net.ipv4.* settings of the network namespace that packetdrill runs
 * in, as scripts set them by sysctl(8), after each command of the script; "ip tcp_metrics flush" among those
 * makes the stack forget its Fast Open cookies, too.
 *
 * Theory of operation. The object holds the unit tests' environment: a stack with a fake clock, and one link
 * whose frames are handed over by netdev_send and netdev_receive without their Ethernet header.
 *
 * Time is virtual. It moves in usleep, by what is asked; in netdev_receive, up to the next timer, until a
 * packet leaves; and by a microsecond in gettimeofday, on which the tool spins. It stops at each timer on the
 * way. A script takes milliseconds of real time, whatever its own.
 *
 * Threads. A call that the script marks as blocking comes in on a second thread, while the first goes on with
 * the script. Who waits says what for (struct wait); the thread that moves the clock looks after each step
 * whether that has come, and then stands still until the waiting thread has either asked the time, which the
 * tool does first when a call is over, or waits again. So the call ends at a defined virtual time. A call
 * that has to wait on the tool's own thread moves the clock itself.
 *
 * The tool makes some calls past the table: getsockopt(TCP_INFO) of its code blocks, sendfile, and system for
 * the commands in a script. The object puts its own in their place (plt.h).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../stack/route.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../../stack/tcp_tfo.h"
#include "../../stack/user.h"
#include "../unit/env.h"
#include "plt.h"

#define EXPORT    __attribute__((visibility("default")))
#define FILES_MAX 1024
#define LOCAL_IP  IP4(192, 168, 0, 1)
#define GATEWAY   IP4(192, 168, 0, 254) /* everything else is behind it; the link needs no ARP */
#define LOCAL_IP6 "fd3d:a0b:17d6::1"
#define GATEWAY6  "fd3d:a0b:17d6::2"
#define PACKET_NS (300ULL * 1000000000)  /* how long netdev_receive waits for a packet, virtual */
#define IDLE_NS   (3600ULL * 1000000000) /* how long a call on the tool's own thread waits */
#define TICK_NS   1000                   /* what looking at the clock costs */
#define NEVER     UINT64_MAX

/* The tool's table. */
struct packetdrill_interface {
    void *userdata;
    void (*free)(void *u);
    int (*socket)(void *u, int domain, int type, int protocol);
    int (*bind)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
    int (*listen)(void *u, int fd, int backlog);
    int (*accept)(void *u, int fd, struct sockaddr *sa, socklen_t *len);
    int (*connect)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
    ssize_t (*read)(void *u, int fd, void *buf, size_t n);
    ssize_t (*readv)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*recv)(void *u, int fd, void *buf, size_t n, int flags);
    ssize_t (*recvfrom)(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
    ssize_t (*recvmsg)(void *u, int fd, struct msghdr *msg, int flags);
    ssize_t (*write)(void *u, int fd, const void *buf, size_t n);
    ssize_t (*writev)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*send)(void *u, int fd, const void *buf, size_t n, int flags);
    ssize_t (*sendto)(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                      socklen_t len);
    ssize_t (*sendmsg)(void *u, int fd, const struct msghdr *msg, int flags);
    int (*fcntl)(void *u, int fd, int cmd, ...);
    int (*ioctl)(void *u, int fd, unsigned long req, ...);
    int (*close)(void *u, int fd);
    int (*shutdown)(void *u, int fd, int how);
    int (*getsockopt)(void *u, int fd, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(void *u, int fd, int level, int name, const void *val, socklen_t len);
    int (*poll)(void *u, struct pollfd *fds, nfds_t n, int timeout_ms);
    int (*netdev_send)(void *u, const void *buf, size_t n);
    int (*netdev_receive)(void *u, void *buf, size_t *n, long long *time_us);
    int (*usleep)(void *u, useconds_t us);
    int (*gettimeofday)(void *u, struct timeval *tv, struct timezone *tz);
    int (*epoll_create)(void *u, int size);
    int (*epoll_ctl)(void *u, int epfd, int op, int fd, struct epoll_event *ev);
    int (*epoll_wait)(void *u, int epfd, struct epoll_event *ev, int max, int timeout_ms);
    int (*pipe)(void *u, int fd[2]);
    int (*splice)(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t n, unsigned flags);
};

EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc);

/* What a waiting call needs: one of the files has one of its bits, or the time is up. */
struct wait {
    struct pollfd *fds; /* events and revents as EPOLL* bits fit in poll's */
    nfds_t n;
    uint64_t until_ns;
};

static struct {
    pthread_mutex_t lock; /* of all here, and of the stack, which needs its own for the lcore's id */
    pthread_cond_t wake, idle;
    pthread_t tool; /* the thread that runs the script */
    struct env *env;
    struct file *file[FILES_MAX];
    struct wait *waiting; /* the second thread's, while it sleeps */
    bool settle;          /* a blocking call has just ended: see pd_usleep */
    bool returning;       /* the second thread has been woken and has not asked the time since */
} pd = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};

static void enter(void)
{
    pthread_mutex_lock(&pd.lock);
    shard_lock(pd.env->sh);
    pd.env->sh->now_ns = pd.env->now_ns;
}

static void leave(void)
{
    shard_flush(pd.env->sh);
    shard_unlock(pd.env->sh);
    pthread_mutex_unlock(&pd.lock);
}

/* enter ... return done(r): a result as libc gives it. */
static ssize_t done(ssize_t r)
{
    leave();
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

/* --- time --- */

static bool wait_over(const struct wait *w)
{
    bool ready = pd.env->now_ns >= w->until_ns;

    for (nfds_t i = 0; i < w->n; i++) {
        struct pollfd *p = &w->fds[i];
        struct file *f = p->fd >= 0 && p->fd < FILES_MAX ? pd.file[p->fd] : NULL;

        p->revents = 0;
        if (p->fd >= 0)
            p->revents =
                f ? (short)(file_poll(pd.env->st, f) & (uint16_t)(p->events | POLLERR | POLLHUP)) : POLLNVAL;
        ready |= p->revents != 0;
    }
    return ready;
}

/* With both locks held: drops them until the second thread has got along. */
static void stand_still(void)
{
    if (pd.waiting && wait_over(pd.waiting)) {
        pd.waiting = NULL;
        pd.returning = true;
        pthread_cond_signal(&pd.wake);
    }
    while (pd.returning && pthread_equal(pthread_self(), pd.tool)) {
        shard_unlock(pd.env->sh);
        pthread_cond_wait(&pd.idle, &pd.lock);
        shard_lock(pd.env->sh);
    }
}

/* One step of the clock, to the next timer but at most to until_ns. */
static void step(uint64_t until_ns)
{
    struct env *e = pd.env;
    uint64_t next = shard_next_timer_ns(e->sh);

    if (next <= e->now_ns) /* the wheel is never late, but may be early */
        next = e->now_ns + 1000000;
    if (pd.waiting && pd.waiting->until_ns < next)
        next = pd.waiting->until_ns;
    if (next > until_ns)
        next = until_ns;
    if (next > e->now_ns)
        e->now_ns = next;
    env_poll(e);
    stand_still();
}

static void advance(uint64_t ns)
{
    uint64_t until = pd.env->now_ns + ns;

    while (pd.env->now_ns < until)
        step(until);
}

static uint64_t deadline(int64_t us)
{
    return us <= 0 ? NEVER : pd.env->now_ns + (uint64_t)us * 1000;
}

/* Waits within a call, both locks held. False: the time was up. */
static bool wait_for(struct wait *w)
{
    shard_flush(pd.env->sh);
    if (pthread_equal(pthread_self(), pd.tool)) {
        uint64_t end = pd.env->now_ns + IDLE_NS;

        while (!wait_over(w) && pd.env->now_ns < end)
            step(w->until_ns < end ? w->until_ns : end);
    } else if (!wait_over(w)) {
        pd.waiting = w;
        pd.returning = false;
        pthread_cond_signal(&pd.idle);
        shard_unlock(pd.env->sh);
        while (pd.waiting == w)
            pthread_cond_wait(&pd.wake, &pd.lock);
        shard_lock(pd.env->sh);
    }
    pd.env->sh->now_ns = pd.env->now_ns;
    wait_over(w);
    for (nfds_t i = 0; i < w->n; i++)
        if (w->fds[i].revents)
            return true;
    return false;
}

static bool wait_fd(int fd, short events, uint64_t until_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    struct wait w = {.fds = &p, .n = 1, .until_ns = until_ns};

    return wait_for(&w);
}

#define SETTLE_US 3000

/* The second thread notes what its call gave when it gets the tool's own lock, which the first one drops only
 * here: the first time after a call that blocked it is given some real time for that. */
static int pd_usleep(void *u, useconds_t us)
{
    if (__atomic_exchange_n(&pd.settle, false, __ATOMIC_RELAXED))
        usleep(SETTLE_US);
    enter();
    advance((uint64_t)us * 1000);
    return (int)done(0);
}

static int pd_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
    enter();
    if (!pthread_equal(pthread_self(), pd.tool) && pd.returning) {
        pd.returning = false;
        pd.settle = true;
        pthread_cond_signal(&pd.idle);
    } else {
        advance(TICK_NS);
    }
    tv->tv_sec = (time_t)(pd.env->now_ns / 1000000000);
    tv->tv_usec = (suseconds_t)(pd.env->now_ns / 1000 % 1000000);
    return (int)done(0);
}

/* --- the link --- */

static int pd_netdev_send(void *u, const void *buf, size_t n)
{
    uint8_t frame[ETH_HDR_LEN + 65536];

    if (n > 65536)
        return -1;
    enter();
    wire_eth_emit(frame, ENV_MAC, ENV_PEER_MAC,
                  *(const uint8_t *)buf >> 4 == 6 ? ETHERTYPE_IPV6 : ETH_TYPE_IP4);
    memcpy(frame + ETH_HDR_LEN, buf, n);
    env_inject(pd.env, env_frame(pd.env, frame, ETH_HDR_LEN + n));
    env_poll(pd.env);
    stand_still();
    return (int)done(0);
}

/* Does what the port would: the checksums that the frame still needs. */
static void finish_cksums(const struct env_seen *s, void *ip)
{
    bool v6 = s->type == ETHERTYPE_IPV6;
    uint8_t *l4 = (uint8_t *)ip + s->l3_len;
    uint64_t kind = s->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    size_t at = kind == RTE_MBUF_F_TX_TCP_CKSUM ? offsetof(struct rte_tcp_hdr, cksum)
                                                : offsetof(struct rte_udp_hdr, dgram_cksum);
    uint16_t sum;

    if (s->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !v6) {
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = 0;
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = rte_ipv4_cksum(ip);
    }
    if (kind != RTE_MBUF_F_TX_TCP_CKSUM && kind != RTE_MBUF_F_TX_UDP_CKSUM)
        return;
    memset(l4 + at, 0, sizeof sum);
    sum = v6 ? rte_ipv6_udptcp_cksum(ip, l4) : rte_ipv4_udptcp_cksum(ip, l4);
    memcpy(l4 + at, &sum, sizeof sum);
}

/* The tool has no eyes for neighbour discovery and its like. */
static bool is_link_talk(const struct env_seen *s)
{
    const uint8_t *ip = s->raw + ETH_HDR_LEN;

    return s->type == ETHERTYPE_IPV6 &&
           (ip[6] == IPPROTO_HOPOPTS || (ip[6] == IPPROTO_ICMPV6 && ip[40] >= 130 && ip[40] <= 143));
}

/* A TSO frame leaves as the tool sees the kernel's: whole, with the length of the whole in its header. */
static size_t take_packet(void *buf, size_t room)
{
    static struct env_seen s;
    size_t n;

    do
        if (!env_seen(pd.env, &s))
            return 0;
    while ((s.type != ETH_TYPE_IP4 && s.type != ETHERTYPE_IPV6) || is_link_talk(&s));
    n = s.len - ETH_HDR_LEN;
    finish_cksums(&s, s.raw + ETH_HDR_LEN);
    if (n > room)
        n = room;
    memcpy(buf, s.raw + ETH_HDR_LEN, n);
    return n;
}

static int pd_netdev_receive(void *u, void *buf, size_t *n, long long *time_us)
{
    uint64_t end;
    size_t room = *n;

    enter();
    end = pd.env->now_ns + PACKET_NS;
    shard_flush(pd.env->sh);
    while ((*n = take_packet(buf, room)) == 0 && pd.env->now_ns < end)
        step(end);
    *time_us = (long long)(pd.env->now_ns / 1000);
    return (int)done(0);
}

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

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? pd.file[fd] : NULL;
}

static struct sock *sock_of(int fd, int *err)
{
    struct file *f = file_of(fd);

    *err = !f ? -EBADF : f->type != FILE_SOCK ? -ENOTSOCK : 0;
    return *err ? NULL : file_sock(f);
}

static bool may_wait(const struct sock *s, int flags)
{
    return !(s->file.oflags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
}

/* The namespace's settings, as far as the stack has them under the same name. */
static void take_sysctls(void)
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

static int pd_socket(void *u, int domain, int type, int protocol)
{
    struct sock *s;
    int r;

    enter();
    take_sysctls();
    r = sock_new(pd.env->st, domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol, &s);
    if (r)
        return (int)done(r);
    s->file.oflags |= type & SOCK_NONBLOCK;
    return (int)done(install(&s->file));
}

static int pd_close(void *u, int fd)
{
    struct file *f;

    enter();
    f = file_of(fd);
    if (!f)
        return (int)done(close(fd) ? -errno : 0);
    pd.file[fd] = NULL;
    close(fd);
    file_put(pd.env->st, f);
    return (int)done(0);
}

static int pd_fcntl(void *u, int fd, int cmd, ...)
{
    struct file *f;
    va_list ap;
    long arg;

    va_start(ap, cmd);
    arg = va_arg(ap, long);
    va_end(ap);
    enter();
    f = file_of(fd);
    if (!f)
        return (int)done(-EBADF);
    if (cmd == F_GETFL)
        return (int)done(O_RDWR | (int)(f->oflags & O_NONBLOCK));
    if (cmd == F_SETFL)
        f->oflags = (f->oflags & ~(uint32_t)O_NONBLOCK) | ((uint32_t)arg & O_NONBLOCK);
    return (int)done(cmd == F_SETFL || cmd == F_SETFD || cmd == F_GETFD ? 0 : -EINVAL);
}

/* --- connections --- */

static int pd_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s;
    int err;

    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_bind(pd.env->st, s, sa, len) : err);
}

static int pd_listen(void *u, int fd, int backlog)
{
    struct sock *s;
    int err;

    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_listen(pd.env->st, s, backlog) : err);
}

static int pd_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *s, *child = NULL;
    int r;

    enter();
    s = sock_of(fd, &r);
    if (!s)
        return (int)done(r);
    do
        r = sock_accept(pd.env->st, s, &child);
    while (r == -EAGAIN && may_wait(s, 0) && wait_fd(fd, POLLIN, deadline(s->rcvtimeo_us)));
    if (r)
        return (int)done(r);
    if (sa)
        sock_addr_put(child, &child->pcb->remote, sa, len);
    return (int)done(install(&child->file));
}

static int pd_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s;
    uint64_t until;
    int r;

    enter();
    s = sock_of(fd, &r);
    if (!s)
        return (int)done(r);
    until = deadline(s->sndtimeo_us);
    r = sock_connect(pd.env->st, s, sa, len);
    while ((r == -EINPROGRESS || r == -EALREADY) && may_wait(s, 0)) {
        if (!wait_fd(fd, POLLOUT, until)) {
            r = -EINPROGRESS;
            break;
        }
        r = sock_connect_result(s);
    }
    return (int)done(r);
}

static int pd_shutdown(void *u, int fd, int how)
{
    struct sock *s;
    int err;

    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_shutdown(s, how) : err);
}

/* --- data --- */

static size_t iov_sum(const struct msghdr *msg)
{
    size_t n = 0;

    for (size_t i = 0; i < msg->msg_iovlen; i++)
        n += msg->msg_iov[i].iov_len;
    return n;
}

static ssize_t do_send(int fd, const struct msghdr *msg, int flags)
{
    size_t sent = 0, total = iov_sum(msg);
    struct sock *s;
    uint64_t until;
    ssize_t n;
    int err;

    enter();
    s = sock_of(fd, &err);
    if (!s)
        return done(err);
    until = deadline(s->sndtimeo_us);
    for (;;) {
        n = sock_sendmsg(pd.env->st, s, msg, flags, sent);
        if (n > 0)
            sent += (size_t)n;
        if ((n < 0 && n != -EAGAIN) || sent >= total || !may_wait(s, flags) || !wait_fd(fd, POLLOUT, until))
            return done(sent ? (ssize_t)sent : n);
    }
}

static ssize_t do_recv(int fd, struct msghdr *msg, int flags)
{
    size_t got = 0, total = iov_sum(msg);
    struct sock *s;
    uint64_t until;
    ssize_t n;
    int err;

    enter();
    s = sock_of(fd, &err);
    if (!s)
        return done(err);
    until = deadline(s->rcvtimeo_us);
    for (;;) {
        n = sock_recvmsg(pd.env->st, s, msg, flags, got);
        if (n > 0)
            got += (size_t)n;
        if (n != -EAGAIN && (n <= 0 || !(flags & MSG_WAITALL) || got >= total))
            return done(got ? (ssize_t)got : n);
        if (!may_wait(s, flags) || !wait_fd(fd, POLLIN, until))
            return done(got ? (ssize_t)got : -EAGAIN);
    }
}

static ssize_t pd_recvmsg(void *u, int fd, struct msghdr *msg, int flags)
{
    return do_recv(fd, msg, flags);
}

static ssize_t pd_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                           socklen_t *len)
{
    struct iovec iov = {buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = sa, .msg_namelen = len ? *len : 0};
    ssize_t r = do_recv(fd, &msg, flags);

    if (r >= 0 && len)
        *len = msg.msg_namelen;
    return r;
}

static ssize_t pd_recv(void *u, int fd, void *buf, size_t n, int flags)
{
    return pd_recvfrom(u, fd, buf, n, flags, NULL, NULL);
}

static ssize_t pd_readv(void *u, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    if (n < 0 || n > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return iov_sum(&msg) == 0 ? 0 : do_recv(fd, &msg, 0);
}

static ssize_t pd_read(void *u, int fd, void *buf, size_t n)
{
    struct iovec iov = {buf, n};

    return file_of(fd) ? pd_readv(u, fd, &iov, 1) : read(fd, buf, n);
}

static ssize_t pd_sendmsg(void *u, int fd, const struct msghdr *msg, int flags)
{
    return do_send(fd, msg, flags);
}

static ssize_t pd_sendto(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                         socklen_t len)
{
    struct iovec iov = {(void *)buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)sa, .msg_namelen = len};

    return do_send(fd, &msg, flags);
}

static ssize_t pd_send(void *u, int fd, const void *buf, size_t n, int flags)
{
    return pd_sendto(u, fd, buf, n, flags, NULL, 0);
}

static ssize_t pd_writev(void *u, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    if (n < 0 || n > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return do_send(fd, &msg, 0);
}

static ssize_t pd_write(void *u, int fd, const void *buf, size_t n)
{
    return file_of(fd) ? pd_send(u, fd, buf, n, 0) : write(fd, buf, n);
}

static int pd_ioctl(void *u, int fd, unsigned long req, ...);

static int pd_pipe(void *u, int fd[2])
{
    return pipe(fd);
}

/* Through a buffer: what leaves the stack is what is tested here. */
static int pd_splice(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t n, unsigned flags)
{
    static char buf[1 << 20];
    ssize_t r;

    if (n > sizeof buf)
        n = sizeof buf;
    if (file_of(in)) { /* a splice ends at urgent data that is not in the stream (Linux: tcp_splice_read) */
        int mark = 0;

        if (pd_ioctl(u, in, SIOCATMARK, &mark) == 0 && mark)
            return 0;
    }
    r = pd_read(u, in, buf, n);
    return (int)(r > 0 ? pd_write(u, out, buf, (size_t)r) : r);
}

/* --- options --- */

static int pd_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len)
{
    struct sock *s;
    int err;

    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_getsockopt(pd.env->st, s, level, name, val, len) : err);
}

static int pd_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len)
{
    struct sock *s;
    int err;

    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_setsockopt(pd.env->st, s, level, name, val, len) : err);
}

static int pd_ioctl(void *u, int fd, unsigned long req, ...)
{
    struct sock *s;
    va_list ap;
    void *arg;
    int err;

    va_start(ap, req);
    arg = va_arg(ap, void *);
    va_end(ap);
    enter();
    s = sock_of(fd, &err);
    return (int)done(s ? sock_ioctl(pd.env->st, s, req, arg) : err);
}

/* --- readiness --- */

static uint64_t timeout_ns(int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : pd.env->now_ns + (uint64_t)timeout_ms * 1000000;
}

static int pd_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct wait w = {.fds = fds, .n = n};
    int ready = 0;

    enter();
    w.until_ns = timeout_ns(timeout_ms);
    wait_for(&w);
    for (nfds_t i = 0; i < n; i++)
        ready += fds[i].revents != 0;
    return (int)done(ready);
}

static int pd_epoll_create(void *u, int size)
{
    struct file *f;

    enter();
    f = eset_new(pd.env->st);
    return (int)done(f ? install(f) : -ENOMEM);
}

static int pd_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct file *set, *target;

    enter();
    set = file_of(epfd);
    target = file_of(fd);
    return (int)done(set && target ? eset_ctl(pd.env->st, set, op, fd, target, ev) : -EBADF);
}

static int pd_epoll_wait(void *u, int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    struct file *set;
    uint64_t until;
    int n;

    enter();
    set = file_of(epfd);
    if (!set)
        return (int)done(-EBADF);
    if (set->type != FILE_EPOLL || max <= 0)
        return (int)done(-EINVAL);
    until = timeout_ns(timeout_ms);
    shard_flush(pd.env->sh);
    while ((n = eset_collect(pd.env->st, set, ev, max)) == 0 && wait_fd(epfd, POLLIN, until))
        ;
    return (int)done(n);
}

/* --- the beginning --- */

static struct env_config config = {.isolate = true, .no_addr = true, .caps = NETDEV_NOARP};
static char *tunable_flags;

static void tune(struct tunables *set)
{
    int64_t min, max;

    for (char *save = NULL, *kv = strtok_r(tunable_flags, ",", &save); kv; kv = strtok_r(NULL, ",", &save)) {
        char *value = strchr(kv, '=');

        if (!value)
            continue;
        *value++ = '\0';
        if (strcmp(kv, "tso") == 0 || strcmp(kv, "mtu") == 0)
            continue;
        if (tunables_set(set, kv, value, &min, &max) != 0) {
            fprintf(stderr, "packetdrill-shunt.so: --so_flags: cannot set %s\n", kv);
            exit(1);
        }
    }
}

static uint32_t number_flag(const char *flags, const char *key, uint32_t absent)
{
    const char *at = flags ? strstr(flags, key) : NULL;

    return at ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : absent;
}

/* Where a thread keeps its pad (user.h): the word of glibc's thread header that is unused since 2.x
 * (tcbhead_t's unused_vgetcpu_cache). A variable of our own would have to be in the static block, and an
 * object that asks for that can't be loaded by dlopen alone: DPDK's per-thread state is more than glibc keeps
 * in reserve. */
#define LANDING 0x38

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
    if (!user_fault(ucontext))
        signal(sig, SIG_DFL);
}

/* EAL parses its arguments with getopt_long. The tool's use of optarg makes it the program's variable, which
 * libc writes; this object, bound by RTLD_DEEPBIND, sees libc's own. Each call brings the two together. */
int __real_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index);
int __wrap_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index);

int __wrap_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index)
{
    void *program = dlopen(NULL, RTLD_LAZY);
    char **arg = dlsym(program, "optarg");
    int *ind = dlsym(program, "optind"), *opt = dlsym(program, "optopt"), before = *ind, r;

    *ind = optind;
    r = __real_getopt_long(argc, argv, shorts, longs, index);
    optarg = *arg;
    optopt = *opt;
    if (ind != &optind) {
        optind = *ind;
        *ind = before;
    }
    return r;
}

static void pd_free(void *u) {}

static const struct packetdrill_interface table = {
    .free = pd_free,
    .socket = pd_socket,
    .bind = pd_bind,
    .listen = pd_listen,
    .accept = pd_accept,
    .connect = pd_connect,
    .read = pd_read,
    .readv = pd_readv,
    .recv = pd_recv,
    .recvfrom = pd_recvfrom,
    .recvmsg = pd_recvmsg,
    .write = pd_write,
    .writev = pd_writev,
    .send = pd_send,
    .sendto = pd_sendto,
    .sendmsg = pd_sendmsg,
    .fcntl = pd_fcntl,
    .ioctl = pd_ioctl,
    .close = pd_close,
    .shutdown = pd_shutdown,
    .getsockopt = pd_getsockopt,
    .setsockopt = pd_setsockopt,
    .poll = pd_poll,
    .netdev_send = pd_netdev_send,
    .netdev_receive = pd_netdev_receive,
    .usleep = pd_usleep,
    .gettimeofday = pd_gettimeofday,
    .epoll_create = pd_epoll_create,
    .epoll_ctl = pd_epoll_ctl,
    .epoll_wait = pd_epoll_wait,
    .pipe = pd_pipe,
    .splice = pd_splice,
};

/* --- calls that the tool makes past the table --- */

/* Through a buffer, as pd_splice. */
static ssize_t past_sendfile(int out, int in, off_t *off, size_t n)
{
    static char buf[1 << 20];
    ssize_t r;

    if (!file_of(out))
        return sendfile(out, in, off, n);
    if (n > sizeof buf)
        n = sizeof buf;
    r = off ? pread(in, buf, n, *off) : read(in, buf, n);
    if (r > 0)
        r = pd_send(NULL, out, buf, (size_t)r, 0);
    if (r > 0 && off)
        *off += r;
    return r;
}

/* A command of the script: what it set by sysctl(8) holds from now on. */
static int past_system(const char *command)
{
    int r = system(command);

    enter();
    take_sysctls();
    if (command && strstr(command, "tcp_metrics flush"))
        memset(pd.env->sh->tcp->tfo, 0, TFO_PEERS * sizeof *pd.env->sh->tcp->tfo);
    leave();
    return r;
}

static int past_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    if (file_of(fd)) {
        socklen_t room = *len;
        int r = pd_getsockopt(NULL, fd, level, name, val, len);

        /* The tool insists on the size it knows, however old the kernel's. */
        if (r == 0 && level == IPPROTO_TCP && name == TCP_INFO && *len < room) {
            memset((char *)val + *len, 0, room - *len);
            *len = room;
        }
        return r;
    }
    return getsockopt(fd, level, name, val, len);
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct ipaddr own = ipaddr_v4(LOCAL_IP), gateway = ipaddr_v4(GATEWAY), any = ipaddr_v4(0);
    struct ipaddr own6, gateway6, any6 = IPADDR_ANY;

    *ifc = table;
    if (munlockall()) /* the tool locks all memory, of which the segment is a lot, mostly never touched */
        perror("munlockall");
    user_init(LANDING);
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGBUS, &fault, NULL);
    tunable_flags = strdup(flags ? flags : "");
    config.tune = tune;
    config.mtu = number_flag(flags, "mtu=", 1500);
    config.tso_max = number_flag(flags, "tso=", 0);
    pd.tool = pthread_self();
    pd.env = env_stack(&config);
    if (stack_add_addr(pd.env->st, ENV_IF, &own, 16) != 0 ||
        route_add(pd.env->st, &any, 0, &gateway, ENV_IF) != 0 || inet_pton(AF_INET6, LOCAL_IP6, &own6) != 1 ||
        inet_pton(AF_INET6, GATEWAY6, &gateway6) != 1 || stack_add_addr(pd.env->st, ENV_IF, &own6, 64) != 0 ||
        route_add(pd.env->st, &any6, 0, &gateway6, ENV_IF) != 0) {
        fprintf(stderr, "packetdrill-shunt.so: no address or route\n");
        exit(1);
    }
    shard_unlock(pd.env->sh);
    plt_replace("getsockopt", past_getsockopt);
    plt_replace("sendfile", past_sendfile);
    plt_replace("sendfile64", past_sendfile);
    plt_replace("system", past_system);
}
