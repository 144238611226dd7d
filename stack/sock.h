/* sock.h: sockets: a struct file over a protocol control block. What is below socket(2) and above TCP and
 * UDP: address families' sockaddrs, placement, generic options, pending errors.
 *
 * Placement (design section 2). A fresh IP socket is UNDECIDED: it has options recorded and no pcb's name
 * yet. bind, connect, listen or the first send decides: STACK; KERNEL (the interposer makes a kernel socket,
 * replays the recorded options and puts it on the number; the file goes away); BOTH (a wildcard in profile
 * default: the number is a kernel socket and the file serves the wire).
 *
 * Lifetimes. The pcb is made with the socket, so that options have where to go. accept makes a socket for a
 * pcb that exists already. sock_close detaches the pcb (pcb.user becomes NULL) and hands it to its protocol's
 * close, after which this layer never looks at it again.
 *
 * Context of all functions: shard 0's lock, sh->now_ns set. They return 0 or a count, or -errno as Linux
 * gives it; none waits.
 */
#ifndef SHUNT_SOCK_H
#define SHUNT_SOCK_H

#include <sys/socket.h>
#include <sys/types.h>

#include "kinds.h"
#include "pcb.h"
#include "ready.h"

struct tcb;
struct udpcb;
struct ip_ext;

enum sock_op {
    SOCK_OP_BIND,
    SOCK_OP_CONNECT,
    SOCK_OP_LISTEN,
    SOCK_OP_SEND
}; /* in the order of api.h's decide_op */

/* Which protocol serves a socket: what its pcb is. */
enum sock_kind { KIND_TCP, KIND_UDP, KIND_RAW, KIND_PING, KIND_PACKET, KIND_NETLINK };

/* What connect and listen go by (Linux: socket_state). A connection that ended is CONNECTED still: only
 * connect(AF_UNSPEC) makes it usable again. */
enum sock_state {
    SOCK_UNCONNECTED,
    SOCK_CONNECTING, /* a connect went out whose end nobody was told yet */
    SOCK_CONNECTED,
    SOCK_DISCONNECTING, /* shut down before the end of a connect was told */
};

/* Options that are kept and given back but change nothing below (sock_opt.c names them). */
#define SOCK_STORED 32

/* A socket is what a connection that was accepted and is idle needs; what few sockets need is in `more`. */
struct sock {
    struct file file; /* first */
    struct pcb *pcb;  /* what kind says */
    struct shard *sh;
    struct sock_more *more; /* NULL: all of it is zero */
    struct ip_ext *ip_ext;  /* of a stream (sock_opt_ip.c); datagrams: dgram.ext. NULL: none */
    uint32_t uid;           /* of who made it */
    uint32_t syn_sent;      /* bytes a blocking write gave to a SYN whose answer it waits for (Fast Open) */
    uint16_t protocol;      /* these three as getsockopt SO_DOMAIN, SO_TYPE, SO_PROTOCOL */
    uint8_t domain, type;
    uint8_t kind;      /* enum sock_kind */
    uint8_t state : 6; /* enum sock_state */
    uint8_t listening : 1;
    uint8_t filter_locked : 1; /* SO_LOCK_FILTER */
    uint16_t kept;             /* booleans (sock_opt_kept.c) */
};
_Static_assert(sizeof(struct sock) <= 80, "a connection pays for it");

/* What is zero for most sockets: made when it is first set to something else (sock_more_get), gone with the
 * socket or when it is all zero again at the socket's decision (sock_more_trim). The first word is the slab's
 * while it is free. */
struct sock_more {
    struct sock *of;
    struct list opts; /* struct sock_opt: recorded setsockopt calls, until decided (UDP and BOTH: kept) */
    uint32_t nopts;
    bool in_use;
    uint8_t begin_values[0];
    uint8_t owner_type;    /* enum owner_type */
    uint8_t sig;           /* F_SETSIG, 0: SIGIO without further ado */
    uint8_t txrehash_off;  /* SO_TXREHASH 0 */
    int32_t owner;         /* F_SETOWN: whom SIGURG and SIGIO go to, 0: nobody */
    int32_t sig_fd;        /* the number by which O_ASYNC was set */
    int32_t incoming_cpu1; /* SO_INCOMING_CPU plus 1; 0: not known */
    int32_t peek_off1;     /* SO_PEEK_OFF of a stream plus 1; 0: not used */
    uint32_t txtime_clock, txtime_flags;
    uint32_t zc_next;    /* number of the next zero-copy send; always there with SOCK_ZEROCOPY */
    uint16_t zc_more;    /* datagrams: such sends in what is under construction (MSG_MORE) */
    uint8_t buf_lock;    /* SO_BUF_LOCK of datagrams */
    uint8_t bound_lo;    /* SO_BINDTODEVICE names loopback, which pcb.ifindex can't */
    uint8_t foreign_dev; /* SO_BINDTODEVICE names no interface of the stack: a socket for the kernel */
    int64_t rcvtimeo_us, sndtimeo_us; /* 0: for ever */
    int32_t stored[SOCK_STORED];      /* less their defaults (sock_opt.c) */
};

extern const struct sock_more sock_more_none;

/* To read from. */
static inline const struct sock_more *sock_more(const struct sock *s)
{
    return s->more ? s->more : &sock_more_none;
}
/* To write to. NULL: no memory. */
struct sock_more *sock_more_get(struct sock *s);
void sock_more_free(struct stack *st, struct sock *s);
void sock_more_trim(struct stack *st, struct sock *s);
/* What a connection takes over from its listener, kept among it. Without memory it goes without. */
void sock_more_inherit(struct sock *child, const struct sock *listener);
void sock_more_mend(struct stack *st); /* ready_mend's, after the sockets */

static inline int32_t sock_peek_off(const struct sock *s)
{
    return (int32_t)((uint32_t)sock_more(s)->peek_off1 - 1);
}

static inline int32_t sock_incoming_cpu(const struct sock *s)
{
    return (int32_t)((uint32_t)sock_more(s)->incoming_cpu1 - 1);
}

/* Sets one value, without making the object for a zero. 0 or -ENOBUFS. */
#define SOCK_MORE_SET(s, field, v)                                                                           \
    ({                                                                                                       \
        struct sock_more *m_ = (v) || (s)->more ? sock_more_get(s) : NULL;                                   \
        if (m_)                                                                                              \
            m_->field = (v);                                                                                 \
        m_ || !(v) ? 0 : -ENOBUFS;                                                                           \
    })

/* A recorded setsockopt call, for the kernel socket that may take this one's place. */
#define SOCK_OPT_MAX   64  /* calls recorded a socket */
#define SOCK_OPT_BYTES 216 /* longest value (struct tcp_md5sig) */
struct sock_opt {
    struct list node; /* in sock.opts, oldest first */
    int32_t level, name;
    uint32_t len;
    uint8_t val[SOCK_OPT_BYTES];
};

/* sock.kept: SO_ZEROCOPY. The others have no effect. */
#define SOCK_ZEROCOPY (1u << 7)

static inline struct sock *file_sock(struct file *f)
{
    return (struct sock *)f;
}

/* Packet and netlink sockets have no IP below them: neither its options nor its names. */
static inline bool sock_has_ip(const struct sock *s)
{
    return s->kind < KIND_PACKET;
}

static inline bool sock_is_tcp(const struct sock *s)
{
    return s->kind == KIND_TCP;
}

static inline struct tcb *sock_tcb(const struct sock *s)
{
    return (struct tcb *)s->pcb;
}

static inline struct udpcb *sock_udp(const struct sock *s)
{
    return (struct udpcb *)s->pcb;
}

/* --- sock.c: life, connections, readiness --- */
/* -EAFNOSUPPORT, -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -EINVAL, -ENFILE. type without SOCK_NONBLOCK and
 * SOCK_CLOEXEC. One reference. */
int sock_new(struct stack *st, int domain, int type, int protocol, struct sock **out);
void sock_close(struct stack *st, struct sock *s); /* file_put's */
/* Frees a socket that has no pcb (file_mend_end's; a part of the above). */
void sock_forget(struct stack *st, struct sock *s);
int sock_listen(struct stack *st, struct sock *s, int backlog);
/* TCP: -EINPROGRESS once the SYN is out; then -EALREADY until the end, then the end's result once, then
 * -EISCONN. */
int sock_connect(struct stack *st, struct sock *s, const struct sockaddr *sa, socklen_t len);
int sock_connect_result(struct sock *s); /* 0, -EALREADY, or the error, taken */
/* Is this a listener? 0, -EINVAL, -EOPNOTSUPP. */
int sock_may_accept(const struct sock *s);
int sock_accept(struct stack *st, struct sock *s, struct sock **out); /* -EAGAIN; *out with one reference */
int sock_shutdown(struct sock *s, int how);
int sock_shut(const struct sock *s); /* 1: no more reading, 2: no more writing */
uint32_t sock_poll(struct sock *s);  /* EPOLL* bits */
/* With several shards: a connection that its shard's lock is enough for (tcp_lane.h). Context: that lock. */
bool sock_is_plain(const struct sock *s);
int sock_take_error(struct sock *s); /* the pending error as -errno, or 0 */
/* Drains the shard's dirty list: pcb events to ready_notify. Layer 7 calls it once a burst. */
void sock_hand_up(struct shard *sh);

/* --- sock_addr.c: sockaddrs --- */
/* sizeof(struct sockaddr_in6) before RFC 2553 added the scope id: what Linux asks for at least. */
#define SIN6_LEN_RFC2133 24
/* For bind, and for connect and send. 0, -EINVAL (length), -EAFNOSUPPORT, -ENETUNREACH (IPv4 on an
 * IPV6_V6ONLY socket). An unspecified address becomes IPADDR_ANY. */
int sock_addr_get(const struct sock *s, const struct sockaddr *sa, socklen_t len, struct endpoint *out);
/* What an unspecified destination stands for, as in BSD and Linux: this host, by the family of sa, an address
 * that sock_addr_get took (tcp_v6_connect). */
struct ipaddr sock_this_host(const struct sock *s, const struct sockaddr *sa);
/* Writes as much as *len says; *len becomes the full length. -EINVAL when *len is negative. */
int sock_addr_put(const struct sock *s, const struct endpoint *e, struct sockaddr *sa, socklen_t *len);

/* --- sock_name.c --- */
int sock_bind(struct stack *st, struct sock *s, const struct sockaddr *sa, socklen_t len);
int sock_getsockname(struct sock *s, struct sockaddr *sa, socklen_t *len);
int sock_getpeername(struct sock *s, struct sockaddr *sa, socklen_t *len);

/* --- sock_place.c --- */
/* The placement that op on this address asks for (enum placement), changing nothing. An already decided
 * socket's own, except that BOTH, and every datagram socket that bind did not tie to a side, answers for a
 * peer to connect or send to by its address: STACK or KERNEL. Connecting to AF_UNSPEC and a malformed
 * address decide nothing: whoever has the socket answers. */
int sock_decide(struct stack *st, struct sock *s, enum sock_op op, const struct sockaddr *sa, socklen_t len);
void sock_set_placement(struct stack *st, struct sock *s, enum placement p);
int sock_opt_recorded(struct sock *s, int i, int *level, int *name, void *val,
                      socklen_t *len); /* -ENOENT: no i-th */
void sock_opts_forget(struct stack *st, struct sock *s);

/* Linux's numbers that glibc 2.36 or the headers in use lack. */
#define OPT_IPV6_FLOWINFO_SEND 33
#define OPT_IPV6_TRANSPARENT   75
#define OPT_IPV6_FREEBIND      78

/* --- sock_opt.c --- */
int sock_setsockopt(struct stack *st, struct sock *s, int level, int name, const void *val, socklen_t len);
int sock_getsockopt(struct stack *st, struct sock *s, int level, int name, void *val, socklen_t *len);
/* A setsockopt whose value can't be read is EFAULT; false: it counts as zeros, which are refused for another
 * reason, or (IPPROTO_IPV6, an int) as 0. */
bool sock_ip_null_is_fault(const struct sock *s, int level, int name);
/* Has the socket options of this level? Other levels are refused before anything else is looked at. */
bool sock_knows_level(const struct sock *s, int level);
/* What getsockopt says of another (ip_getsockopt, ipv6_getsockopt), as -errno. */
int sock_no_level(const struct sock *s);
/* A stored option's value (IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT ...); 0 for one that is not stored. */
int sock_stored(const struct sock *s, int level, int name);

/* --- sock_io.c --- */
/* skip: bytes of msg's iovecs done by earlier rounds of the same call. Results: tcp.h, udp.h. */
ssize_t sock_sendmsg(struct stack *st, struct sock *s, const struct msghdr *msg, int flags, size_t skip);
ssize_t sock_recvmsg(struct stack *st, struct sock *s, struct msghdr *msg, int flags, size_t skip);
int sock_ioctl(struct stack *st, struct sock *s, unsigned long req, void *arg); /* -ENOTTY: not a socket's */

#endif
