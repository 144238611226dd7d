/* call_msg.c: recv, recvfrom, recvmsg, recvmmsg, send, sendto, sendmsg, sendmmsg; and io.h's receiving and
 * sending.
 *
 * Theory of operation. Each try is one call of the engine; -EAGAIN goes to block_wait (wait.c), which says
 * whether to try again. A stream's send goes on until all is in the send queue, or what is there already is
 * the result. A datagram goes where its destination says (place.h); a socket with a twin receives from both,
 * in turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <time.h>

#include "fdtab.h"
#include "io.h"
#include "libc.h"
#include "pass.h"
#include "place.h"
#include "signals.h"
#include "vector.h"
#include "wait.h"

static bool is_stream(struct ref r)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return API(getsockopt(r, SOL_SOCKET, SO_TYPE, &type, &len)) == 0 && type == SOCK_STREAM;
}

static bool is_packet(struct ref r)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    return API(getsockopt(r, SOL_SOCKET, SO_DOMAIN, &domain, &len)) == 0 && domain == AF_PACKET;
}

/* Linux: an address of no bytes is none to sendmsg, and too short a one to sendto; streams and IPv4's raw
 * sockets don't mind. */
static bool is_named_by_pointer(struct ref r)
{
    int type = 0, domain = 0;
    socklen_t len = sizeof(type);
    if (API(getsockopt(r, SOL_SOCKET, SO_TYPE, &type, &len)) < 0 ||
        API(getsockopt(r, SOL_SOCKET, SO_DOMAIN, &domain, &len)) < 0)
        return false;
    return type == SOCK_DGRAM || (type == SOCK_RAW && domain == AF_INET6);
}

/* A copy of the program's msghdr and of its array of buffers (vector.h): can they be read, and what is
 * received be written there? An array that is too long is io_recv's and io_send's to refuse. */
static int take_msg(struct msghdr *to, struct vector *k, struct msghdr *msg, bool in)
{
    k->mapped = 0;
    if ((in && !USER_WRITABLE(msg, sizeof(*msg))) || !USER_COPY(to, msg, sizeof(*to)))
        return -EFAULT;
    if (to->msg_name && (int)to->msg_namelen < 0)
        return -EINVAL;
    if (to->msg_iovlen > IOV_MAX)
        return 0;
    int r = vector_take(k, to->msg_iov, to->msg_iovlen);
    to->msg_iov = k->v;
    return r;
}

#define RW_COUNT_MAX 0x7ffff000u /* Linux moves at most this at once */

/* Bytes in msg's buffers, or -errno as Linux's import_iovec. */
static ssize_t total(const struct msghdr *msg)
{
    size_t sum = 0;
    if (msg->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *v = &msg->msg_iov[i];
        if (__builtin_expect(!io_in_reach(v->iov_base, v->iov_len), 0))
            return v->iov_len > SSIZE_MAX ? -EINVAL : -EFAULT;
        sum += v->iov_len < RW_COUNT_MAX - sum ? v->iov_len : RW_COUNT_MAX - sum;
    }
    return (ssize_t)sum;
}

/* --- receiving --- */

/* For a datagram socket of the stack (DGRAM_KEEP_ERROR): an error that comes between two datagrams of one
 * call is not taken, -ECANCELED: it is the next call's. */
#define RECV_KEEP_ERROR (1 << 27)

static ssize_t kernel_recv(int fd, struct msghdr *msg, int flags)
{
    ssize_t r = libc.recvmsg(fd, msg, (flags & ~RECV_KEEP_ERROR) | MSG_DONTWAIT);
    return r < 0 ? -errno : r;
}

static ssize_t try_recv(struct ref r, struct msghdr *msg, int flags, size_t skip)
{
    static __thread unsigned turn __attribute__((tls_model("initial-exec")));
    if (!fd_has(r.fd, FD_TWIN))
        return API(recvmsg(r, msg, flags, skip));
    bool kernel_first = ++turn & 1;
    ssize_t n = kernel_first ? kernel_recv(r.fd, msg, flags) : API(recvmsg(r, msg, flags, skip));
    if (n == -EAGAIN)
        n = kernel_first ? API(recvmsg(r, msg, flags, skip)) : kernel_recv(r.fd, msg, flags);
    return n;
}

/* MSG_WAITALL on a stream: until msg is full, the end, an error or a handler; what was had until then is the
 * result. */
static ssize_t recv_rest(struct block *b, struct msghdr *msg, int flags, size_t want, size_t had)
{
    while (had < want) {
        ssize_t n = try_recv(b->ref, msg, flags, had);
        if (n == -EAGAIN && (n = block_wait(b)) == 0)
            continue;
        if (n <= 0)
            break;
        had += (size_t)n;
    }
    return (ssize_t)had;
}

#define PEEK_ALL (MSG_PEEK | MSG_WAITALL)

/* Peeking for all of a length waits although there is something to read: in naps, for readiness tells nothing
 * there. */
static int recv_wait(struct block *b, int flags)
{
    int r = block_wait(b);
    if (r < 0 || (flags & PEEK_ALL) != PEEK_ALL)
        return r;
    if (b->deadline_ns != NEVER && wait_now_ns() >= b->deadline_ns)
        return -EAGAIN;
    return libc.poll(NULL, 0, 1) < 0 ? -EINTR : 0;
}

/* May a call have waited although there was something to read? */
static bool wants_more(struct ref r, int flags)
{
    int lowat = 1;
    socklen_t len = sizeof(lowat);
    if ((flags & PEEK_ALL) == PEEK_ALL)
        return true;
    return API(getsockopt(r, SOL_SOCKET, SO_RCVLOWAT, &lowat, &len)) == 0 && lowat > 1;
}

/* A receiving call, for its waits. */
struct receiving {
    struct block b; /* first */
    struct msghdr *msg;
    int flags;
    ssize_t n; /* what the last try said */
};

static bool receive(struct block *b)
{
    struct receiving *k = (struct receiving *)b;
    k->n = try_recv(b->ref, k->msg, k->flags, 0);
    return k->n != -EAGAIN;
}

static void receiving_end(struct receiving *k)
{
    block_end(&k->b);
}

/* Until there is something, or k->n says why not. */
static void receive_some(struct receiving *k)
{
    struct block *b = &k->b;
    while (!b->done && !receive(b)) {
        if ((k->flags & MSG_OOB) && is_stream(b->ref))
            return;
        int r = recv_wait(b, k->flags);
        if (r < 0) {
            k->n = r;
            return;
        }
    }
}

ssize_t io_recv(int fd, struct msghdr *msg, int flags)
{
    struct receiving k __attribute__((cleanup(receiving_end)));
    struct block *b = &k.b;
    ssize_t want = total(msg);
    k.b = block_begin(fd, EPOLLIN, flags & (MSG_DONTWAIT | MSG_ERRQUEUE));
    k.msg = msg;
    k.flags = flags;
    if (want < 0)
        return want;
    if ((flags & PEEK_ALL) != PEEK_ALL) /* which waits although there is something */
        b->try = receive;
    receive_some(&k);
    /* The wait was for more than there is (SO_RCVLOWAT), and ended: what is there is the result. */
    if ((k.n == -EAGAIN || k.n == -EINTR) && b->begun && !b->dontwait && wants_more(b->ref, flags)) {
        ssize_t had = try_recv(b->ref, msg, flags | MSG_DONTWAIT, 0);
        k.n = had > 0 ? had : k.n;
    }
    if (__builtin_expect((flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL, 0) && k.n > 0 && k.n < want &&
        is_stream(b->ref)) {
        b->try = NULL;
        return recv_rest(b, msg, flags, (size_t)want, (size_t)k.n);
    }
    return k.n;
}

/* --- sending --- */

/* Where a datagram (or a stream's first send) with an address goes. 0: on with the stack; 1: to the kernel;
 * or -errno. */
static int place_send(int fd, const struct msghdr *msg)
{
    if (!sockaddr_len_ok(msg->msg_namelen))
        return unless_set(fd, -EINVAL);
    int place = decide_ask(fd, DECIDE_SEND, msg->msg_name, msg->msg_namelen);
    if (place < 0)
        return unless_set(fd, place);
    if (place == PLACE_KERNEL) {
        bool moves = is_stream(by_fd(fd)) || is_packet(by_fd(fd)); /* no datagram socket of both sides */
        int r = moves ? decide_to_kernel(fd) : twin_for_send(fd);
        return r < 0 ? r : 1;
    }
    if (place == PLACE_STACK && API(placement(by_fd(fd))) == PLACE_UNDECIDED)
        API(set_placement(by_fd(fd), PLACE_STACK));
    return 0;
}

/* The number is a kernel socket, or has one as its twin: non-blocking privately, so a full buffer is waited
 * out here. */
static ssize_t kernel_send(int fd, const struct msghdr *msg, int flags)
{
    ssize_t n = libc.sendmsg(fd, msg, flags);
    while (n < 0 && errno == EAGAIN && fd_has(fd, FD_TWIN) && !(flags & MSG_DONTWAIT) &&
           !(API(get_flags(by_fd(fd))) & O_NONBLOCK)) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (libc.poll(&p, 1, -1) < 0)
            break;
        n = libc.sendmsg(fd, msg, flags);
    }
    return n < 0 ? -errno : n;
}

static ssize_t send_rest(struct block *b, const struct msghdr *msg, int flags, size_t want)
{
    size_t sent = 0;
    for (;;) {
        ssize_t n = API(sendmsg(b->ref, msg, flags, sent));
        if (n > 0)
            sent += (size_t)n;
        if ((n >= 0 && sent >= want) || n == 0)
            return (ssize_t)sent;
        if (n < 0 && n != -EAGAIN)
            return sent ? (ssize_t)sent : n;
        int r = block_wait(b);
        if (r < 0)
            return sent ? (ssize_t)sent : r;
    }
}

/* A netlink request that is the kernel's to answer (sockdiag.h): the socket is one of the kernel's from now
 * on, with the name that it has, which answers are recognised by. */
static ssize_t send_elsewhere(int fd, const struct msghdr *msg, int flags)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof(name);
    bool named = API(getsockname(by_fd(fd), (struct sockaddr *)&name, &len)) == 0;
    int r = decide_to_kernel(fd);
    if (r < 0)
        return r;
    if (named)
        libc.bind(fd, (struct sockaddr *)&name, len); /* taken: the kernel gives it another */
    return kernel_send(fd, msg, flags);
}

ssize_t io_send(int fd, const struct msghdr *msg, int flags)
{
    ssize_t want = total(msg);
    if (want < 0)
        return want;
    if (msg->msg_name && msg->msg_namelen) {
        int r = place_send(fd, msg);
        if (r)
            return r < 0 ? r : kernel_send(fd, msg, flags);
    }
    struct block b __attribute__((cleanup(block_end))) = block_begin(fd, EPOLLOUT, flags & MSG_DONTWAIT);
    ssize_t n = send_rest(&b, msg, flags, (size_t)want);
    if (n == -EPIPE && !(flags & MSG_NOSIGNAL) && is_stream(b.ref))
        signals_sigpipe();
    return __builtin_expect(n == -EXDEV, 0) ? send_elsewhere(fd, msg, flags) : n;
}

/* --- one buffer --- */

ssize_t io_recv_buf(int fd, void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = buf, .iov_len = n > RW_COUNT_MAX ? RW_COUNT_MAX : n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    return io_recv(fd, &msg, flags);
}

ssize_t io_send_buf(int fd, const void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = n > RW_COUNT_MAX ? RW_COUNT_MAX : n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    return io_send(fd, &msg, flags);
}

/* --- the calls --- */

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    if (!fd_is_stack(fd))
        return libc.recv(fd, buf, n, flags);
    return to_errno(io_recv_buf(fd, buf, n, flags));
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags, __SOCKADDR_ARG sa,
                        socklen_t *restrict len)
{
    struct sockaddr *to = sa.__sockaddr__;
    if (!fd_is_stack(fd))
        return libc.recvfrom(fd, buf, n, flags, to, len);
    socklen_t room = 0;
    int bad = 0; /* told when the data is taken, and lost (move_addr_to_user) */
    if (to && !USER_COPY(&room, len, sizeof(room)))
        bad = -EFAULT;
    else if (to && (int)room < 0)
        bad = -EINVAL;
    struct iovec iov = {.iov_base = buf, .iov_len = n > RW_COUNT_MAX ? RW_COUNT_MAX : n};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_name = bad ? NULL : to, .msg_namelen = bad ? 0 : room};
    ssize_t r = io_recv(fd, &msg, flags);
    if (__builtin_expect(bad, 0) && r >= 0)
        r = bad;
    else if (r >= 0 && to && !USER_COPY(len, &msg.msg_namelen, sizeof(*len)))
        r = -EFAULT;
    return to_errno(r);
}

/* The flag of 32-bit programs' calls, which no program may set. */
#define CMSG_COMPAT INT_MIN

/* msg_flags of a call that fails stays. */
static ssize_t recv_msghdr(int fd, struct msghdr *msg, int flags)
{
    if (flags & CMSG_COMPAT)
        return -EINVAL;
    struct vector k __attribute__((cleanup(vector_end)));
    struct msghdr m;
    int r = take_msg(&m, &k, msg, true);
    if (r < 0)
        return unless_set(fd, r);
    ssize_t n = io_recv(fd, &m, flags);
    msg->msg_namelen = m.msg_namelen;
    msg->msg_controllen = m.msg_controllen;
    if (n >= 0)
        msg->msg_flags = m.msg_flags | (flags & MSG_CMSG_CLOEXEC);
    return n;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (!fd_is_stack(fd)) {
        ssize_t n = libc.recvmsg(fd, msg, flags);
        if (n >= 0 && msg->msg_controllen)
            pass_received(msg, flags);
        return n;
    }
    return to_errno(recv_msghdr(fd, msg, flags));
}

/* Linux looks at the timeout only after each datagram, so that it does not end the wait for the first. */
static int stack_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
    if (timeout && !USER_WRITABLE(timeout, sizeof(*timeout)))
        return -EFAULT;
    uint64_t deadline = timeout ? wait_deadline(timeout) : NEVER;
    unsigned got = 0;
    if (flags & CMSG_COMPAT)
        return -EINVAL;
    if (fd_has(fd, FD_EPSET))
        return -ENOTSOCK;
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return -EINVAL;
    while (got < n) {
        ssize_t r = USER_WRITABLE(&v[got], sizeof(v[got])) ? 0 : -EFAULT;
        if (r == 0)
            r = recv_msghdr(fd, &v[got].msg_hdr, (flags & ~MSG_WAITFORONE) | (got ? RECV_KEEP_ERROR : 0));
        if (r < 0)
            return got ? (int)got : (int)r;
        v[got++].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (v[got - 1].msg_hdr.msg_flags & MSG_OOB)
            break;
        if (timeout && wait_now_ns() >= deadline)
            break;
    }
    if (timeout) {
        uint64_t now = wait_now_ns(), left = deadline > now ? deadline - now : 0;
        *timeout =
            (struct timespec){.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
    }
    return (int)got;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
    if (!fd_is_stack(fd)) {
        int got = libc.recvmmsg(fd, v, n, flags, timeout);
        for (int i = 0; i < got; i++)
            if (v[i].msg_hdr.msg_controllen)
                pass_received(&v[i].msg_hdr, flags);
        return got;
    }
    return (int)to_errno(stack_recvmmsg(fd, v, n, flags, timeout));
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    if (!fd_is_stack(fd))
        return libc.send(fd, buf, n, flags);
    return to_errno(io_send_buf(fd, buf, n, flags));
}

ssize_t __send(int fd, const void *buf, size_t n, int flags) ALIAS(send);

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG sa, socklen_t len)
{
    const struct sockaddr *to = sa.__sockaddr__;
    if (!fd_is_stack(fd))
        return libc.sendto(fd, buf, n, flags, to, len);
    if (__builtin_expect(to && len == 0, 0) && is_named_by_pointer(by_fd(fd)))
        return to_errno(-EINVAL);
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = n > RW_COUNT_MAX ? RW_COUNT_MAX : n};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)to, .msg_namelen = to ? len : 0};
    return to_errno(io_send(fd, &msg, flags));
}

#define OPTMEM_MAX 131072 /* net.core.optmem_max */

/* Control messages that can't be taken (____sys_sendmsg). */
static int check_control(const struct msghdr *msg)
{
    if (msg->msg_controllen > OPTMEM_MAX)
        return -ENOBUFS;
    return msg->msg_control && USER_READABLE(msg->msg_control, msg->msg_controllen) ? 0 : -EFAULT;
}

/* Linux (__copy_msghdr): of an address that is longer than any, what is beyond is not looked at. */
static ssize_t send_msghdr(int fd, const struct msghdr *msg, int flags)
{
    struct vector k __attribute__((cleanup(vector_end)));
    struct msghdr m;
    int r = take_msg(&m, &k, (struct msghdr *)msg, false);
    if (r == 0 && (flags & CMSG_COMPAT))
        return -EINVAL;
    if (r == 0 && m.msg_controllen)
        r = check_control(&m);
    if (r < 0)
        return unless_set(fd, r);
    if (m.msg_name && __builtin_expect(!sockaddr_len_ok(m.msg_namelen), 0))
        m.msg_namelen = sizeof(struct sockaddr_storage);
    return io_send(fd, &m, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (!fd_is_stack(fd))
        return fdtab && !guard.vforked ? pass_sendmsg(fd, msg, flags) : libc.sendmsg(fd, msg, flags);
    return to_errno(send_msghdr(fd, msg, flags));
}

static int stack_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    unsigned sent = 0;
    if (flags & CMSG_COMPAT)
        return -EINVAL;
    if (fd_has(fd, FD_EPSET))
        return -ENOTSOCK;
    if (n > IOV_MAX)
        n = IOV_MAX;
    while (sent < n) {
        ssize_t r = send_msghdr(fd, &v[sent].msg_hdr, flags);
        if (r < 0)
            return sent ? (int)sent : (int)r;
        unsigned len = (unsigned)r;
        if (!USER_COPY(&v[sent].msg_len, &len, sizeof(len)))
            return sent ? (int)sent : -EFAULT;
        sent++;
    }
    return (int)sent;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    if (!fd_is_stack(fd))
        return fdtab && !guard.vforked ? pass_sendmmsg(fd, v, n, flags) : libc.sendmmsg(fd, v, n, flags);
    return (int)to_errno(stack_sendmmsg(fd, v, n, flags));
}
