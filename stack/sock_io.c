/* sock_io.c: data in and out of a socket, and the ioctls that ask about it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "errq.h"
#include "msg.h"
#include "netlink.h"
#include "packet.h"
#include "ping.h"
#include "sock.h"
#include "sock_dgram.h"
#include "sock_opt_ip.h"
#include "sock_if.h"
#include "shard.h"
#include "tcp.h"
#include "udp.h"
#include "user.h"

#define UIO_MAX 1024 /* IOV_MAX of Linux */

enum { ST_CLOSE = 7, ST_LISTEN = 10 };

/* Where a call that did skip bytes already goes on: iov[i] from byte off. */
static void iov_seek(const struct msghdr *msg, size_t skip, size_t *i, size_t *off)
{
    for (*i = 0; *i < msg->msg_iovlen && skip >= msg->msg_iov[*i].iov_len; ++*i)
        skip -= msg->msg_iov[*i].iov_len;
    *off = skip;
}

/* A control message of SOL_SOCKET (__sock_cmsg_send). */
static int socket_control(struct sock *s, const struct cmsghdr *c)
{
    uint32_t v;

    switch (c->cmsg_type) {
    case SCM_RIGHTS:
    case SCM_CREDENTIALS:
        return 0;
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW:
        if (c->cmsg_len != CMSG_LEN(sizeof v))
            return -EINVAL;
        memcpy(&v, CMSG_DATA(c), sizeof v);
        return tcp_stamp_once(s->sh, sock_tcb(s), v);
    case SO_MARK:
    case SO_PRIORITY:
        return c->cmsg_len == CMSG_LEN(sizeof v) ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* Control messages of a TCP socket: those of AF_UNIX are passed over, others than those are wrong
 * (sock_cmsg_send). Other levels are the protocol's. */
static int check_control(struct sock *s, const struct msghdr *msg)
{
    struct cmsghdr *c = NULL;
    int r, err;

    while ((r = msg_next_ctl(msg, &c)) > 0) {
        err = c->cmsg_level == SOL_SOCKET ? socket_control(s, c) : 0;
        if (err)
            return err;
    }
    return r;
}

/* sendto(MSG_FASTOPEN): connect and send at once (tcp_sendmsg_fastopen). While the handshake goes on, who may
 * wait is told to; afterwards the flag means nothing, once. 0: go on as without it. */
static ssize_t send_fastopen(struct stack *st, struct sock *s, const struct msghdr *msg, int flags, bool wait)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    struct endpoint to;
    ssize_t n;
    int r;

    if (msg->msg_name && msg->msg_namelen > sizeof ss)
        return -EINVAL;
    if (msg->msg_name && !user_copy(&ss, msg->msg_name, msg->msg_namelen))
        return -EFAULT;
    if (!(st->set.tcp_fastopen & 1) ||
        (msg->msg_name && msg->msg_namelen >= sizeof ss.ss_family && ss.ss_family == AF_UNSPEC))
        return -EOPNOTSUPP;
    if (s->state == SOCK_CONNECTING && tcp_syn_waits(sock_tcb(s)))
        return 0;
    if (s->state == SOCK_CONNECTING) {
        r = sock_connect_result(s);
        return r == -EALREADY && wait ? -EAGAIN : r;
    }
    if (tcp_state(sock_tcb(s)) != ST_CLOSE)
        return -EISCONN;
    if (!msg->msg_name)
        return -EINVAL;
    r = sock_addr_get(s, (const struct sockaddr *)&ss, msg->msg_namelen, &to);
    if (r)
        return r;
    if (ipaddr_is_any(&to.addr))
        to.addr = ipaddr_v4(htonl(INADDR_LOOPBACK));
    n = tcp_tfo_connect(s->sh, sock_tcb(s), &to, msg->msg_iov, (int)msg->msg_iovlen);
    if (n > 0 || n == -EINPROGRESS)
        s->state = SOCK_CONNECTING;
    return n == -EINPROGRESS && wait ? -EAGAIN : n;
}

/* Is what msg holds n bytes at most? */
static bool fits_in(const struct msghdr *msg, size_t n)
{
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (msg->msg_iov[i].iov_len > n)
            return false;
        n -= msg->msg_iov[i].iov_len;
    }
    return true;
}

/* A blocking write that left with the SYN ends with the handshake (inet_wait_for_connect): what it took is
 * kept meanwhile. */
static ssize_t wait_for_open(struct sock *s, const struct msghdr *msg, ssize_t n, bool wait)
{
    if (n <= 0 || !wait || s->state != SOCK_CONNECTING)
        return n;
    s->syn_sent = (uint32_t)n;
    if (!fits_in(msg, (size_t)n))
        tcp_answers(sock_tcb(s));
    return -EAGAIN;
}

/* Its further tries. 0: there is no such write. */
static ssize_t sent_with_syn(struct sock *s)
{
    uint32_t n = s->syn_sent;
    int r = sock_connect_result(s);

    if (!n || r == -EALREADY)
        return n ? -EAGAIN : 0;
    s->syn_sent = 0;
    return r ? r : (ssize_t)n;
}

/* To a stream that may have more to do first: a handshake under way that took data, or is to take some. */
static ssize_t send_opening(struct stack *st, struct sock *s, const struct msghdr *msg, int flags,
                            size_t skip, bool zerocopy)
{
    bool wait = !(file_oflags(&s->file) & O_NONBLOCK) && !(flags & MSG_DONTWAIT), held;
    int tflags = flags & (MSG_MORE | MSG_OOB | MSG_EOR);
    ssize_t n = 0;

    if (s->syn_sent && skip == 0) {
        n = sent_with_syn(s);
        if (n > 0 && !fits_in(msg, (size_t)n))
            tcp_answers(sock_tcb(s)); /* the rest of the write comes at once */
    } else if ((flags & MSG_FASTOPEN) && skip == 0)
        n = wait_for_open(s, msg, send_fastopen(st, s, msg, flags, wait), wait);
    if (n)
        return n;
    held = s->state == SOCK_CONNECTING && tcp_syn_waits(sock_tcb(s));
    if (zerocopy)
        n = tcp_send_zerocopy(s->sh, sock_tcb(s), msg->msg_iov, (int)msg->msg_iovlen, skip, tflags);
    else
        n = tcp_send_msg(s->sh, sock_tcb(s), msg->msg_iov, (int)msg->msg_iovlen, skip, tflags);
    if (n == -EINPROGRESS && wait)
        n = -EAGAIN;
    return held ? wait_for_open(s, msg, n, wait) : n;
}

static size_t iov_total(const struct msghdr *msg)
{
    size_t n = 0;

    for (size_t i = 0; i < msg->msg_iovlen; i++)
        n += msg->msg_iov[i].iov_len;
    return n;
}

/* MSG_ZEROCOPY with SO_ZEROCOPY: a call that takes anything gets a number, in its first round. */
static ssize_t send_zerocopy(struct stack *st, struct sock *s, const struct msghdr *msg, int flags,
                             size_t skip)
{
    struct errq_entry *e;
    size_t want = skip ? 0 : iov_total(msg);
    ssize_t n;
    int r;

    if (!want)
        return send_opening(st, s, msg, flags, skip, true);
    r = tcp_zerocopy_begin(s->sh, sock_tcb(s), s->more->zc_next, want, &e);
    if (r)
        return r;
    n = send_opening(st, s, msg, flags, 0, true);
    if (n <= 0) {
        tcp_zerocopy_cancel(s->sh, e);
        return n;
    }
    tcp_zerocopy_queued(s->sh, sock_tcb(s), e, (uint32_t)n);
    s->more->zc_next++;
    return n;
}

static ssize_t send_tcp(struct stack *st, struct sock *s, const struct msghdr *msg, int flags, size_t skip)
{
    if (__builtin_expect(flags & MSG_ZEROCOPY, 0) && (s->kept & SOCK_ZEROCOPY))
        return send_zerocopy(st, s, msg, flags, skip);
    return send_opening(st, s, msg, flags, skip, false);
}

static ssize_t send_udp(struct stack *st, struct sock *s, const struct msghdr *msg, int flags)
{
    struct sockaddr_storage ss;
    const struct sockaddr *sa = (const struct sockaddr *)&ss;
    bool named = msg->msg_name && msg->msg_namelen;
    struct endpoint to;
    ssize_t n;
    int r;

    if (named && msg->msg_namelen > sizeof ss)
        return -EINVAL;
    if (named && !user_copy(&ss, msg->msg_name, msg->msg_namelen))
        return -EFAULT;

    if (s->kind == KIND_PING && (r = ping_send_check(msg, flags))) /* before the address */
        return r;
    /* AF_UNSPEC: no address at all for AF_INET6 sockets, INADDR_ANY and up for AF_INET ones (udp_sendmsg,
     * udpv6_sendmsg); an IPv6 one like any other for raw sockets (rawv6_sendmsg). */
    if (named && s->domain == AF_INET6 && msg->msg_namelen >= sizeof sa->sa_family &&
        sa->sa_family == AF_UNSPEC) {
        if (s->kind == KIND_UDP && ipaddr_is_v4(&s->pcb->remote.addr))
            return -ENETUNREACH;
        named = s->kind == KIND_RAW;
        if (named)
            ss.ss_family = AF_INET6;
    }
    if (!named)
        return sock_dgram_send(s, msg, NULL, flags);
    if (s->domain == AF_INET && s->kind != KIND_PING && msg->msg_namelen >= sizeof(struct sockaddr_in) &&
        sa->sa_family == AF_UNSPEC) {
        struct sockaddr_in sin;

        memcpy(&sin, sa, sizeof sin);
        sin.sin_family = AF_INET;
        r = sock_addr_get(s, (const struct sockaddr *)&sin, sizeof sin, &to);
    } else {
        r = sock_addr_get(s, sa, msg->msg_namelen, &to);
    }
    if (r)
        return r;
    if (ipaddr_is_any(&to.addr))
        to.addr = sock_this_host(s, sa);
    if (__builtin_expect(sock_ip_ext(s) == NULL, 1))
        return sock_dgram_send(s, msg, &to, flags);
    sock_ip_take_label(s, sa, msg->msg_namelen, true);
    n = sock_dgram_send(s, msg, &to, flags);
    sock_ip_send_done(s);
    return n;
}

/* Datagrams with SO_ZEROCOPY. What was copied (tcp_zerocopy.h says why) is done with when the datagram has
 * left: at once, or with the last of the calls that build it. */
static ssize_t send_udp_zerocopy(struct stack *st, struct sock *s, const struct msghdr *msg, int flags)
{
    bool counts = flags & MSG_ZEROCOPY;
    struct errq_entry *e = NULL;
    ssize_t n;

    if (counts && (!errq_zerocopy_room(s->sh, s->pcb, s->more->zc_more > 0) ||
                   !(e = errq_zerocopy_new(s->sh, s->more->zc_next - s->more->zc_more))))
        return -ENOBUFS;
    n = send_udp(st, s, msg, flags);
    if (n >= 0 && counts) {
        s->more->zc_next++;
        s->more->zc_more++;
    }
    if (n == -EAGAIN || (flags & MSG_MORE && n >= 0) || !s->more->zc_more) {
        if (e)
            errq_zerocopy_free(s->sh, e);
        return n;
    }
    if (!e && !(e = errq_zerocopy_new(s->sh, s->more->zc_next - s->more->zc_more)))
        return n;
    e->ee.ee_data = s->more->zc_next - 1;
    s->more->zc_more = 0;
    errq_zerocopy_done(s->sh, s->pcb, e);
    return n;
}

ssize_t sock_sendmsg(struct stack *st, struct sock *s, const struct msghdr *msg, int flags, size_t skip)
{
    int r;

    if (msg->msg_iovlen > UIO_MAX)
        return -EMSGSIZE;
    if (__builtin_expect(!sock_has_ip(s), 0))
        return s->kind == KIND_PACKET ? packet_send(s->sh, sock_packet(s), msg, flags)
                                      : netlink_send(s->sh, sock_netlink(s), msg, flags);
    if (!sock_is_tcp(s)) { /* whose control messages are its own to read (dgram_cmsg.c) */
        if (__builtin_expect(s->kept & SOCK_ZEROCOPY, 0))
            return send_udp_zerocopy(st, s, msg, flags);
        return send_udp(st, s, msg, flags);
    }
    r = check_control(s, msg);
    return r ? r : send_tcp(st, s, msg, flags, skip);
}

/* recv(MSG_OOB): one byte, or none where the buffers have no room for it (tcp_recv_urg). */
static ssize_t recv_oob(struct sock *s, struct msghdr *msg, int flags)
{
    char byte;
    ssize_t n = tcp_recv_oob(sock_tcb(s), &byte, flags & MSG_PEEK);
    size_t i = 0;

    if (n < 0)
        return n;
    msg->msg_flags = n ? MSG_OOB : 0;
    while (i < msg->msg_iovlen && msg->msg_iov[i].iov_len == 0)
        i++;
    if (n && i == msg->msg_iovlen) {
        msg->msg_flags |= MSG_TRUNC;
        return 0;
    }
    if (n && !(flags & MSG_TRUNC) && !user_copy(msg->msg_iov[i].iov_base, &byte, 1))
        return -EFAULT;
    return n;
}

/* Goes on where a call that had skip bytes already left off. At the mark of urgent data it ends: what was had
 * until then is the call's result. */
static ssize_t recv_on(struct sock *s, const struct msghdr *msg, int flags, size_t skip, size_t peek)
{
    struct tcb *t = sock_tcb(s);
    size_t i, off;
    ssize_t n, more;

    iov_seek(msg, skip, &i, &off);
    if (i == msg->msg_iovlen || tcp_at_mark(t, peek))
        return 0;
    /* The started iovec by itself, then the rest: no copy of the array. */
    struct iovec part = {(char *)msg->msg_iov[i].iov_base + off, msg->msg_iov[i].iov_len - off};
    n = tcp_recv(s->sh, t, &part, 1, flags, peek);
    if (n < (ssize_t)part.iov_len || ++i == msg->msg_iovlen)
        return n;
    if (flags & MSG_PEEK)
        peek += (size_t)n;
    if (tcp_at_mark(t, peek))
        return n;
    more = tcp_recv(s->sh, t, msg->msg_iov + i, (int)(msg->msg_iovlen - i), flags, peek);
    return more > 0 ? n + more : n;
}

/* Too little is there for a call that may wait: SO_RCVLOWAT, or MSG_PEEK and MSG_WAITALL together. */
static bool recv_waits(const struct sock *s, const struct msghdr *msg, int flags)
{
    bool all = (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL);
    size_t want = 0;

    if ((flags & MSG_DONTWAIT) || (file_oflags(&s->file) & O_NONBLOCK))
        return false;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        want += msg->msg_iov[i].iov_len;
    return tcp_recv_waits(sock_tcb(s), want, all);
}

static ssize_t recv_tcp(struct sock *s, struct msghdr *msg, int flags, size_t skip)
{
    struct tcb *t = sock_tcb(s);
    int tflags = flags & (MSG_PEEK | MSG_TRUNC);
    int32_t off = sock_peek_off(s); /* SO_PEEK_OFF */
    size_t peek = (flags & MSG_PEEK) && off > 0 ? (size_t)off : 0;
    ssize_t n;

    if (flags & MSG_OOB)
        n = tcp_state(t) == ST_LISTEN ? -ENOTCONN : recv_oob(s, msg, flags);
    else if ((tcp_has_lowat(t) || (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL)) && !skip &&
             recv_waits(s, msg, flags))
        n = -EAGAIN;
    else if (skip)
        n = recv_on(s, msg, tflags, skip, peek + (flags & MSG_PEEK ? skip : 0));
    else
        n = tcp_recv(s->sh, t, msg->msg_iov, (int)msg->msg_iovlen, tflags, peek);
    if (off >= 0 && n > 0 && !(flags & MSG_OOB))
        s->more->peek_off1 = 1 + (flags & MSG_PEEK ? off + (int32_t)n : off > n ? off - (int32_t)n : 0);
    if (n >= 0) {
        msg->msg_namelen = 0;
        msg->msg_flags &= flags & MSG_OOB ? MSG_OOB | MSG_TRUNC : 0;
        if (!skip) /* what a call in several rounds has told already stays */
            msg->msg_controllen = tcp_put_ctl(s->sh, t, msg);
    }
    return n;
}

ssize_t sock_recvmsg(struct stack *st, struct sock *s, struct msghdr *msg, int flags, size_t skip)
{
    if (msg->msg_iovlen > UIO_MAX)
        return -EMSGSIZE;
    if ((flags & MSG_ERRQUEUE) && sock_is_tcp(s))
        return tcp_recv_err(s->sh, sock_tcb(s), msg);
    if (sock_is_tcp(s))
        return recv_tcp(s, msg, flags, skip);
    if (file_oflags(&s->file) & O_NONBLOCK)
        flags |= MSG_DONTWAIT;
    return sock_dgram_recv(s, msg, flags);
}

static int ioctl_count(struct sock *s, unsigned long req, int *out)
{
    bool tcp = sock_is_tcp(s);

    if (tcp && tcp_state(sock_tcb(s)) == ST_LISTEN)
        return -EINVAL;
    if (s->kind == KIND_PING || s->kind == KIND_NETLINK)
        return -ENOTTY;
    switch (req) {
    case FIONREAD: /* SIOCINQ */
        *out = (int)(tcp ? tcp_recv_avail(sock_tcb(s)) : sock_dgram_next_len(s));
        return 0;
    case SIOCOUTQ: /* TIOCOUTQ */
        *out = tcp ? (int)tcp_send_unacked(sock_tcb(s)) : 0;
        return 0;
    default: /* SIOCOUTQNSD */
        if (!tcp)
            return -ENOTTY;
        *out = (int)tcp_send_unsent(sock_tcb(s));
        return 0;
    }
}

int sock_ioctl(struct stack *st, struct sock *s, unsigned long req, void *arg)
{
    int v = 0, r = 0;

    switch (req) {
    case FIONREAD:
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        r = ioctl_count(s, req, &v);
        break;
    case SIOCGSTAMP_OLD: /* preload/ makes the four forms of this one */
        if (sock_is_tcp(s) || !sock_dgram_last_ns(s))
            return -ENOENT;
        memcpy(arg, &(uint64_t){sock_dgram_last_ns(s)}, sizeof(uint64_t));
        return 0;
    case SIOCATMARK:
        if (!sock_is_tcp(s))
            return -ENOTTY;
        v = tcp_at_mark(sock_tcb(s), 0);
        break;
    default:
        r = sock_if_set(s->sh, s->domain, req, arg);
        return r <= 0 ? r : sock_if_ioctl(st, s->domain, req, arg);
    }
    return r ? r : user_copy(arg, &v, sizeof v) ? 0 : -EFAULT;
}
