/* sock_opt.c: getsockopt and setsockopt: what belongs to the socket, to IP, or to nobody yet; TCP's and UDP's
 * own go to them.
 *
 * Theory of operation. A call is tried in turn: the socket's own options (a switch), the transport
 * (tcp_setopt, udp_setopt), then the table of stored options: those that are kept and given back but have no
 * effect in this stack, because what they tune doesn't exist here (busy polling) or isn't built yet. An
 * option in none of the three has Linux's errno for an unknown one.
 *
 * Recording. As long as a socket may still become a kernel one its successful calls are kept in order, to be
 * replayed there.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/time.h>

#include "dgram.h"
#include "file.h"
#include "filter.h"
#include "log.h"
#include "port_reuse.h"
#include "rule.h"
#include "shard.h"
#include "sock.h"
#include "sock_opt_ip.h"
#include "sock_opt_kept.h"
#include "sock_dgram.h"
#include "tcp.h"
#include "udp.h"

/* The same structures on this machine, whose time is of 64 bits. */
#define OPT_DETACH_REUSEPORT_BPF 68
#define OPT_INCOMING_NAPI_ID     56
#define OPT_RCVTIMEO_NEW         66
#define OPT_SNDTIMEO_NEW         67

/* X(level, name, default, least, greatest); a boolean is 0 to 1, and any other number counts as 1. */
#define STORED(X)                                                                                            \
    X(SOL_SOCKET, SO_PRIORITY, 0, INT_MIN, INT_MAX)                                                          \
    X(SOL_SOCKET, SO_MARK, 0, INT_MIN, INT_MAX)                                                              \
    X(SOL_SOCKET, SO_TIMESTAMP, 0, 0, 1)                                                                     \
    X(SOL_SOCKET, SO_TIMESTAMPNS, 0, 0, 1)                                                                   \
    X(SOL_SOCKET, SO_BUSY_POLL, 0, 0, INT_MAX)                                                               \
    X(SOL_SOCKET, SO_MAX_PACING_RATE, -1, INT_MIN, INT_MAX)                                                  \
    X(SOL_SOCKET, SO_KEEPALIVE, 0, 0, 1)                                                                     \
    X(SOL_SOCKET, SO_RCVLOWAT, 1, INT_MIN, INT_MAX)                                                          \
    X(SOL_SOCKET, SO_LINGER, -1, INT_MIN, INT_MAX) /* datagrams: seconds; off: their complement */           \
    X(IPPROTO_IP, IP_RETOPTS, 0, 0, 1)             /* no packet gets an answer of options here */            \
    X(IPPROTO_IP, IP_FREEBIND, 0, 0, 1)                                                                      \
    X(IPPROTO_IP, IP_TRANSPARENT, 0, 0, 1)                                                                   \
    X(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 0, 1)                                                          \
    X(IPPROTO_IP, IP_RECVERR, 0, 0, 1)                                                                       \
    X(IPPROTO_IP, IP_PKTINFO, 0, 0, 1)                                                                       \
    X(IPPROTO_IP, IP_RECVTOS, 0, 0, 1)                                                                       \
    X(IPPROTO_IP, IP_RECVTTL, 0, 0, 1)                                                                       \
    X(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT)                     \
    X(IPPROTO_IP, IP_MULTICAST_LOOP, 1, 0, 1)                                                                \
    X(IPPROTO_IP, IP_MULTICAST_ALL, 1, 0, 1)                                                                 \
    X(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, 0, 1)                                                            \
    X(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 1, 0, 1)                                                             \
    X(IPPROTO_IPV6, IPV6_RECVPKTINFO, 0, 0, 1)                                                               \
    X(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, 0, 1)                                                              \
    X(IPPROTO_IPV6, IPV6_RECVTCLASS, 0, 0, 1)                                                                \
    X(IPPROTO_IPV6, IPV6_RECVERR, 0, 0, 1)                                                                   \
    X(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT)                 \
    X(IPPROTO_IPV6, IPV6_DONTFRAG, 0, 0, 1)                                                                  \
    X(IPPROTO_IPV6, OPT_IPV6_FREEBIND, 0, 0, 1)                                                              \
    X(IPPROTO_IPV6, OPT_IPV6_TRANSPARENT, 0, 0, 1)

static const struct stored_opt {
    int level, name, def, least, greatest;
} stored_opts[] = {
#define X(level, name, def, least, greatest) {level, name, def, least, greatest},
    STORED(X)
#undef X
};

#define NSTORED (sizeof stored_opts / sizeof stored_opts[0])
_Static_assert(NSTORED <= SOCK_STORED, "sock_more.stored is too short");

static int find_stored(int level, int name)
{
    for (unsigned i = 0; i < NSTORED; i++)
        if (stored_opts[i].level == level && stored_opts[i].name == name)
            return (int)i;
    return -1;
}

static int32_t stored_default(const struct sock *s, int i)
{
    const struct stored_opt *o = &stored_opts[i];

    if (o->level == IPPROTO_IP && o->name == IP_MULTICAST_ALL && s->domain == AF_INET6)
        return 0; /* inet6_create, unlike inet_create, sets no such bit */
    return o->def;
}

static int32_t stored_at(const struct sock *s, int i)
{
    return (int32_t)((uint32_t)sock_more(s)->stored[i] + (uint32_t)stored_default(s, i));
}

static int store_at(struct sock *s, int i, int32_t v)
{
    return SOCK_MORE_SET(s, stored[i], (int32_t)((uint32_t)v - (uint32_t)stored_default(s, i)));
}

int sock_stored(const struct sock *s, int level, int name)
{
    int i = find_stored(level, name);

    return i < 0 ? 0 : stored_at(s, i);
}

static void set_pcb_flag(struct sock *s, uint16_t flag, bool on)
{
    s->pcb->flags = (uint16_t)(on ? s->pcb->flags | flag : s->pcb->flags & ~flag);
}

/* A level beside the socket's and IP's at which s has options. */
static bool level_known(const struct sock *s, int level)
{
    if (s->kind == KIND_RAW)
        return level == SOL_RAW || (level == IPPROTO_ICMPV6 && s->domain == AF_INET6);
    if (s->kind == KIND_PACKET)
        return level == SOL_PACKET;
    if (s->kind == KIND_NETLINK)
        return level == SOL_NETLINK;
    if (s->kind == KIND_UDP) /* both levels are one, whichever of the two it is (udp_setsockopt) */
        return level == IPPROTO_UDP || level == IPPROTO_UDPLITE;
    return s->kind != KIND_PING && level == s->protocol;
}

/* Raw sockets of AF_INET6 have IPv6's options alone (rawv6_setsockopt). */
static bool has_ip_level(const struct sock *s)
{
    return s->kind != KIND_RAW || s->domain == AF_INET;
}

static int proto_setopt(struct sock *s, int level, int name, const void *val, uint32_t len)
{
    return sock_is_tcp(s) ? tcp_setopt(s->sh, sock_tcb(s), level, name, val, len)
                          : sock_dgram_setopt(s, level, name, val, len);
}

static int proto_getopt(struct sock *s, int level, int name, void *val, uint32_t *len)
{
    return sock_is_tcp(s) ? tcp_getopt(s->sh, sock_tcb(s), level, name, val, len)
                          : sock_dgram_getopt(s, level, name, val, len);
}

/* A negative timeout means no waiting at all in Linux, and reads as 0; here 0 stands for "for ever". */
#define TIMEO_NONE 1

/* tv in microseconds, rounded up to what Linux keeps such a time in: ticks (jiffies), of which it gives back
 * whole microseconds. */
static int64_t in_ticks(uint32_t hz, const struct timeval *tv)
{
    int64_t tick_us = hz ? 1000000 / hz : 1, ticks = (tv->tv_usec + tick_us - 1) / tick_us;

    return (int64_t)tv->tv_sec * 1000000 + (hz ? ticks * 1000000 / hz : ticks);
}

/* SO_RCVTIMEO, SO_SNDTIMEO (sock_set_timeout). */
static int set_timeo(struct sock *s, bool rcv, const void *val, socklen_t len)
{
    struct sock_more *m;
    struct timeval tv;
    int64_t us;

    if (len < sizeof tv)
        return -EINVAL;
    memcpy(&tv, val, sizeof tv);
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return -EDOM;
    if (tv.tv_sec < 0)
        us = TIMEO_NONE;
    else if (tv.tv_sec > INT64_MAX / 2000000)
        us = 0;
    else
        us = in_ticks(s->sh->st->tick_hz, &tv);
    m = us || s->more ? sock_more_get(s) : NULL;
    if (m) /* read without the lock (api_sock.c) */
        __atomic_store_n(rcv ? &m->rcvtimeo_us : &m->sndtimeo_us, us, __ATOMIC_RELAXED);
    return m || !us ? 0 : -ENOBUFS;
}

/* Binds s to interface i of the stack; -1: to one that is not the stack's, -2: to none. Everything that comes
 * over loopback alone: nothing else is there to be kept out, but for links that profile isolate may have.
 * Differs: those are not kept out. */
static int bind_to_if(struct stack *st, struct sock *s, int i)
{
    /* An interface of the host's: the socket is meant for the kernel, if it can still go there. */
    if (i == -1 && (st->isolate || s->file.placement != PLACE_UNDECIDED))
        return -ENODEV;
    if (SOCK_MORE_SET(s, foreign_dev, i == -1) || SOCK_MORE_SET(s, bound_lo, i == 0))
        return -ENOBUFS;
    s->pcb->ifindex = i > 0 ? (uint8_t)i : 0;
    return 0;
}

static int set_device(struct stack *st, struct sock *s, const void *val, socklen_t len)
{
    char name[16] = "";

    memcpy(name, val, len < sizeof name - 1 ? len : sizeof name - 1);
    if (!name[0])
        return bind_to_if(st, s, -2);
    for (unsigned i = st->isolate ? 0 : 1; i < st->nif; i++)
        if (!strcmp(st->ifn[i].name, name))
            return bind_to_if(st, s, (int)i);
    return bind_to_if(st, s, -1);
}

/* SO_BINDTOIFINDEX. Differs: Linux takes numbers of interfaces that are not there. */
static int set_ifindex(struct stack *st, struct sock *s, int v)
{
    if (v < 0)
        return -EINVAL;
    return bind_to_if(st, s, v ? stack_if_of(st, v) : -2);
}

/* eBPF programs are the kernel's: refused as it refuses who may not use them. */
static int refuse_ebpf(void)
{
    log_once(LOG_LEVEL_WARN, "eBPF programs (SO_ATTACH_BPF) can't run on a socket of the stack");
    return -EPERM;
}

static int lock_filter(struct sock *s, int v)
{
    if (s->filter_locked && !v)
        return -EPERM;
    s->filter_locked = !!v;
    return 0;
}

static int set_socket_int(struct sock *s, int name, int v)
{
    switch (name) {
    case SO_DETACH_FILTER: /* SO_DETACH_BPF is the same number */
        return filter_detach(s->sh, &s->pcb->filter, s->filter_locked);
    case OPT_DETACH_REUSEPORT_BPF:
        return reuse_detach(s->sh, s->pcb);
    case SO_LOCK_FILTER:
        return lock_filter(s, v);
    case SO_ATTACH_BPF:
    case SO_ATTACH_REUSEPORT_EBPF:
        return refuse_ebpf();
    case SO_REUSEADDR:
        set_pcb_flag(s, PCB_REUSEADDR, v);
        return 0;
    case SO_REUSEPORT:
        set_pcb_flag(s, PCB_REUSEPORT, v);
        return 0;
    case SO_BROADCAST:
        set_pcb_flag(s, PCB_BROADCAST, v);
        return 0;
    case SO_OOBINLINE:
        set_pcb_flag(s, PCB_OOBINLINE, v);
        return 0;
    case SO_DONTROUTE:
        set_pcb_flag(s, PCB_DONTROUTE, v);
        return 0;
    case SO_BSDCOMPAT: /* nothing since Linux 2.2 */
        return 0;
    case SO_INCOMING_CPU:
        return SOCK_MORE_SET(s, incoming_cpu1, (int32_t)((uint32_t)v + 1));
    case SO_TYPE:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_ERROR:
    case SO_ACCEPTCONN:
        return -ENOPROTOOPT; /* read-only */
    default:
        return 1; /* not ours */
    }
}

/* Kept and shown only: nothing is queued below a datagram socket. Its time outlives its being off. */
static int set_dgram_linger(struct sock *s, const struct linger *val)
{
    int i = find_stored(SOL_SOCKET, SO_LINGER);
    int32_t kept = stored_at(s, i);
    struct linger l;

    memcpy(&l, val, sizeof l);
    if (l.l_onoff)
        kept = l.l_linger < 0 ? INT_MAX : l.l_linger;
    else if (kept >= 0)
        kept = ~kept;
    return store_at(s, i, kept);
}

static int get_dgram_linger(const struct sock *s, void *val, socklen_t *len)
{
    int kept = sock_stored(s, SOL_SOCKET, SO_LINGER);
    struct linger l = {kept >= 0, kept >= 0 ? kept : ~kept};

    *len = RTE_MIN(*len, (socklen_t)sizeof l);
    memcpy(val, &l, *len);
    return 0;
}

static int set_socket(struct stack *st, struct sock *s, int name, const void *val, socklen_t len)
{
    int v;

    if (name == SO_BINDTODEVICE)
        return set_device(st, s, val, len);
    if (name == SO_ATTACH_REUSEPORT_CBPF && (int)len >= (int)sizeof v)
        return reuse_attach(s->sh, s->pcb, s->filter_locked, val, len);
    if (name == SO_ATTACH_FILTER && (int)len >= (int)sizeof v)
        return filter_attach(s->sh, &s->pcb->filter, s->filter_locked, val, len);
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (name == SO_RCVTIMEO || name == OPT_RCVTIMEO_NEW)
        return set_timeo(s, true, val, len);
    if (name == SO_SNDTIMEO || name == OPT_SNDTIMEO_NEW)
        return set_timeo(s, false, val, len);
    if (name == SO_LINGER && len < sizeof(struct linger))
        return -EINVAL;
    if (name == SO_LINGER && !sock_is_tcp(s))
        return set_dgram_linger(s, val);
    return name == SO_BINDTOIFINDEX ? set_ifindex(st, s, v) : set_socket_int(s, name, v);
}

/* Whoever sets one of these would wait for what never comes: it is said, once an option and process. */
static void tell_without_effect(int level, int name)
{
    if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
        log_once(LOG_LEVEL_WARN, "SO_MAX_PACING_RATE is accepted, but datagrams are not paced");
}

/* Linux takes no other number than these for true (do_ip_setsockopt, do_ipv6_setsockopt). */
static bool only_0_or_1(int level, int name)
{
    return level == IPPROTO_IP ? name == IP_MULTICAST_ALL
                               : level == IPPROTO_IPV6 && name == IPV6_MULTICAST_LOOP;
}

/* Rules may look at it (rule.h): the way is looked for again. */
static int set_mark(struct sock *s, uint32_t mark)
{
    uint8_t class = rule_mark_class(s->sh->st, mark);
    struct dgram *d = (struct dgram *)s->pcb;

    if (s->kind == KIND_PACKET || s->kind == KIND_NETLINK)
        return 0;
    if (sock_is_tcp(s))
        return tcp_set_mark(s->sh, sock_tcb(s), class);
    d->flow.mark = class;
    d->flow.gen = 0;
    return 0;
}

static int set_stored(struct sock *s, int level, int name, const void *val, socklen_t len)
{
    int i = find_stored(level, name), v = 0;
    const struct stored_opt *o;

    if (i < 0)
        return -ENOPROTOOPT;
    o = &stored_opts[i];
    if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    else if (len && level == IPPROTO_IP)
        v = *(const uint8_t *)val;
    else
        return -EINVAL;
    if (o->least == 0 && o->greatest == 1 && !only_0_or_1(level, name))
        v = !!v;
    if (v < o->least || v > o->greatest)
        return -EINVAL;
    if (store_at(s, i, v))
        return -ENOBUFS;
    if (sock_is_tcp(s) && level == IPPROTO_IP && name == IP_RECVERR)
        tcp_set_recverr(s->sh, sock_tcb(s), PCB_RECVERR, v);
    else if (sock_is_tcp(s) && level == IPPROTO_IPV6 && name == IPV6_RECVERR)
        tcp_set_recverr(s->sh, sock_tcb(s), PCB_RECVERR6, v);
    else if (level == SOL_SOCKET && name == SO_MARK)
        return set_mark(s, (uint32_t)v);
    if (v != o->def)
        tell_without_effect(level, name);
    return 0;
}

/* The header of an open connection's packets follows its socket's options. */
static void marks_changed(struct sock *s)
{
    if (sock_is_tcp(s))
        tcp_marks_changed(sock_tcb(s));
}

/* The priority that a type of service brings (Linux: ip_tos2prio): best effort, bulk, interactive,
 * interactive bulk. */
static const int tos_priority[4] = {0, 2, 6, 4};

/* IPPROTO_IP takes an int or a single byte (do_ip_setsockopt). */
static int set_ip(struct stack *st, struct sock *s, int name, const void *val, socklen_t len)
{
    int v = 0;

    if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    else if (len)
        v = *(const uint8_t *)val;
    switch (name) {
    case IP_TOS:
        /* TCP owns the two ECN bits (RFC 3168). */
        s->pcb->tos = (uint8_t)(sock_is_tcp(s) ? (v & ~3) | (s->pcb->tos & 3) : v);
        set_stored(s, SOL_SOCKET, SO_PRIORITY, &tos_priority[(v & 0x1e) >> 3], sizeof(int));
        marks_changed(s);
        return 0;
    case IP_TTL:
        if (!len || (v != -1 && (v < 1 || v > 255)))
            return -EINVAL;
        s->pcb->ttl = (uint8_t)(v == -1 ? 0 : v);
        marks_changed(s);
        return 0;
    case IP_MULTICAST_TTL:
    case IP_MULTICAST_IF:
        return sock_is_tcp(s) ? -EINVAL : 1;
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
        return sock_is_tcp(s) ? -EPROTO : 1;
    default:
        return 1;
    }
}

/* What the IPv6 header has of a connection (datagrams: dgram_opt.c); 1: another option. */
static int set_ip6_header(struct sock *s, int name, int v)
{
    if (!sock_is_tcp(s))
        return 1;
    switch (name) {
    case IPV6_UNICAST_HOPS:
        if (v < -1 || v > 255)
            return -EINVAL;
        s->pcb->hops = (uint8_t)(v == -1 ? 0 : v);
        marks_changed(s);
        return 0;
    case IPV6_TCLASS:
        if (v < -1 || v > 255)
            return -EINVAL;
        if (v == -1)
            v = 0;
        /* TCP owns the two ECN bits (RFC 3168). */
        s->pcb->tclass = (uint8_t)((v & ~3) | (s->pcb->tclass & 3));
        marks_changed(s);
        return 0;
    default:
        return 1;
    }
}

static int set_ip6(struct sock *s, int name, const void *val, socklen_t len)
{
    int v;

    if (s->domain != AF_INET6 ||
        (sock_is_tcp(s) && (name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_IF)))
        return -ENOPROTOOPT;
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (name == IPV6_V6ONLY) {
        if ((s->pcb->flags & PCB_BOUND) || s->kind == KIND_RAW) /* whose number is its protocol */
            return -EINVAL;
        set_pcb_flag(s, PCB_V6ONLY, v);
        return 0;
    }
    return set_ip6_header(s, name, v);
}

/* A group on an interface that is not the stack's, asked for by a socket that may still become the kernel's,
 * which will be asked then (the call is recorded). */
static bool group_of_the_kernel(const struct sock *s, int level, int name, int r)
{
    bool v4 = level == IPPROTO_IP, v6 = level == IPPROTO_IPV6, may_fail;

    if (s->file.placement != PLACE_UNDECIDED || name > MCAST_MSFILTER ||
        !((v4 && name >= IP_MULTICAST_IF) || (v6 && name >= IPV6_MULTICAST_IF)))
        return false;
    may_fail = name == MCAST_LEAVE_GROUP || (v4 && (name == IP_MULTICAST_IF || name == IP_DROP_MEMBERSHIP)) ||
               (v6 && name == IPV6_LEAVE_GROUP);
    return r == -ENODEV || (r == -EADDRNOTAVAIL && may_fail);
}

static bool sock_ip_level(int level)
{
    return level == IPPROTO_IP || level == IPPROTO_IPV6;
}

static int set_any(struct stack *st, struct sock *s, int level, int name, const void *val, socklen_t len)
{
    static const int zero;
    int r = 1;

    if (level == IPPROTO_TCP && level == s->protocol && sock_is_tcp(s)) /* what servers do at each answer */
        return proto_setopt(s, level, name, val, len);
    if (!sock_has_ip(s) && level != SOL_SOCKET && !level_known(s, level))
        return -ENOPROTOOPT;
    if (level == IPPROTO_IP && !has_ip_level(s))
        return -ENOPROTOOPT;
    if (len < (level == IPPROTO_IP ? 1 : sizeof zero) && sock_ip_level(level) &&
        sock_ip_empty_is_zero(level, name)) {
        val = &zero;
        len = sizeof zero;
    }
    if (sock_ip_level(level) && sock_has_ip(s))
        r = sock_ip_setopt(s, level, name, val, len);
    if (r <= 0)
        return group_of_the_kernel(s, level, name, r) ? 0 : r;
    if (level == SOL_SOCKET)
        r = set_socket(st, s, name, val, len);
    else if (level == IPPROTO_IP)
        r = set_ip(st, s, name, val, len);
    else if (level == IPPROTO_IPV6)
        r = set_ip6(s, name, val, len);
    else if (!level_known(s, level))
        return -ENOPROTOOPT;
    if (r <= 0)
        return r;
    /* TCP has no options of its own at IP's levels. */
    r = level == SOL_SOCKET || level == s->protocol || !sock_is_tcp(s)
            ? proto_setopt(s, level, name, val, len)
            : -ENOPROTOOPT;
    if (r == -ENOPROTOOPT && level == SOL_SOCKET)
        r = sock_kept_setopt(s, name, val, len);
    if (group_of_the_kernel(s, level, name, r))
        return 0;
    return r == -ENOPROTOOPT &&
                   (level == SOL_SOCKET || level != s->protocol) /* ICMP's number is SOL_SOCKET's */
               ? set_stored(s, level, name, val, len)
               : r;
}

/* Keeps the call; a repeated one takes its predecessor's place, group memberships add up. */
static int record(struct stack *st, struct sock *s, int level, int name, const void *val, socklen_t len)
{
    bool adds = (level == IPPROTO_IP && name >= IP_ADD_MEMBERSHIP && name <= MCAST_MSFILTER) ||
                (level == IPPROTO_IPV6 && ((name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER) ||
                                           name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP));
    struct sock_opt *o = NULL;
    struct sock_more *m;

    if (len > SOCK_OPT_BYTES && !adds)
        len = SOCK_OPT_BYTES; /* longer than any: what is beyond is not looked at */
    if (len > SOCK_OPT_BYTES)
        return (level == IPPROTO_IP || level == IPPROTO_IPV6) && s->file.placement != PLACE_UNDECIDED
                   ? 0 /* a long multicast filter: what the kernel's side would make of it is not known */
                   : -ENOBUFS;
    if (level == SOL_SOCKET && name == SO_DETACH_FILTER)
        name = SO_ATTACH_FILTER; /* what sock_opt_recorded reads from the socket: nothing, then */
    m = sock_more_get(s);
    if (!m)
        return -ENOBUFS;
    list_for_each(n, &m->opts)
    {
        struct sock_opt *x = container_of(n, struct sock_opt, node);

        if (!adds && x->level == level && x->name == name)
            o = x;
    }
    if (!o) {
        o = m->nopts < SOCK_OPT_MAX ? slab_alloc(&st->ready->opts) : NULL;
        if (!o)
            return -ENOBUFS;
        m->nopts++;
        list_add_tail(&m->opts, &o->node);
    } else { /* the order of the last calls counts */
        list_del(&o->node);
        list_add_tail(&m->opts, &o->node);
    }
    o->level = level;
    o->name = name;
    o->len = len;
    memcpy(o->val, val, len);
    return 0;
}

int sock_setsockopt(struct stack *st, struct sock *s, int level, int name, const void *val, socklen_t len)
{
    bool may_move = !st->isolate && (s->file.placement != PLACE_STACK || !sock_is_tcp(s));
    int r;

    if ((int)len < 0)
        return -EINVAL;
    r = set_any(st, s, level, name, val, len);
    /* A program in the program's memory, which may be gone when it would be given to the kernel. */
    if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF)
        return r;
    return r == 0 && may_move ? record(st, s, level, name, val, len) : r;
}

/* Copies an int as far as *len goes, as Linux does for SOL_SOCKET. */
static int put_int(int v, void *val, socklen_t *len)
{
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}

static int put_timeo(int64_t us, void *val, socklen_t *len)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us == TIMEO_NONE ? 0 : us % 1000000};

    if (*len > sizeof tv)
        *len = sizeof tv;
    memcpy(val, &tv, *len);
    return 0;
}

static int get_device(const struct stack *st, const struct sock *s, void *val, socklen_t *len)
{
    const char *name = st->ifn[s->pcb->ifindex].name;

    if (!s->pcb->ifindex && !sock_more(s)->bound_lo) {
        *len = 0;
        return 0;
    }
    if (*len < sizeof st->ifn[0].name)
        return -EINVAL;
    *len = (socklen_t)strlen(name) + 1;
    memcpy(val, name, *len);
    return 0;
}

static int get_cookie(const struct sock *s, void *val, socklen_t *len)
{
    if (*len < sizeof s->file.id)
        return -EINVAL;
    *len = sizeof s->file.id;
    memcpy(val, &s->file.id, *len);
    return 0;
}

/* What a socket is. */
static int get_socket_id(const struct sock *s, int name, void *val, socklen_t *len)
{
    switch (name) {
    case SO_TYPE:
        return put_int(s->type, val, len);
    case SO_DOMAIN:
        return put_int(s->domain, val, len);
    case SO_PROTOCOL:
        return put_int(s->protocol, val, len);
    case SO_ACCEPTCONN:
        return put_int(s->listening, val, len);
    default:
        return 1;
    }
}

static int get_socket(struct stack *st, struct sock *s, int name, void *val, socklen_t *len)
{
    const uint16_t flags = s->pcb->flags;

    switch (name) {
    case SO_REUSEADDR:
        return put_int(!!(flags & PCB_REUSEADDR), val, len);
    case SO_REUSEPORT:
        return put_int(!!(flags & PCB_REUSEPORT), val, len);
    case SO_BROADCAST:
        return put_int(!!(flags & PCB_BROADCAST), val, len);
    case SO_OOBINLINE:
        return put_int(!!(flags & PCB_OOBINLINE), val, len);
    case SO_DONTROUTE:
        return put_int(!!(flags & PCB_DONTROUTE), val, len);
    case SO_ERROR:
        return put_int(-sock_take_error(s), val, len);
    case SO_SNDLOWAT:
        return put_int(1, val, len);
    case SO_INCOMING_CPU: /* a connection's packets are the shard's */
        return put_int(s->pcb->remote.port_be && sock_incoming_cpu(s) < 0 ? s->pcb->shard
                                                                          : sock_incoming_cpu(s),
                       val, len);
    case OPT_INCOMING_NAPI_ID: /* as where there is no NAPI */
    case SO_BSDCOMPAT:
        return put_int(0, val, len);
    case SO_RCVTIMEO:
    case OPT_RCVTIMEO_NEW:
        return put_timeo(sock_more(s)->rcvtimeo_us, val, len);
    case SO_SNDTIMEO:
    case OPT_SNDTIMEO_NEW:
        return put_timeo(sock_more(s)->sndtimeo_us, val, len);
    case SO_BINDTODEVICE:
        return get_device(st, s, val, len);
    case SO_BINDTOIFINDEX:
        return put_int(s->pcb->ifindex || sock_more(s)->bound_lo ? stack_if_shown(st, s->pcb->ifindex) : 0,
                       val, len);
    case SO_GET_FILTER:
        return filter_get(s->sh, s->pcb->filter, val, len);
    case SO_LOCK_FILTER:
        return put_int(s->filter_locked, val, len);
    case SO_COOKIE:
        return get_cookie(s, val, len);
    case SO_LINGER:
        return sock_is_tcp(s) ? 1 : get_dgram_linger(s, val, len);
    default:
        return get_socket_id(s, name, val, len);
    }
}

/* IPPROTO_IP: a short buffer gets a single byte, when the value fits one (do_ip_getsockopt). */
static int put_ip_int(int v, void *val, socklen_t *len)
{
    if (*len > 0 && *len < sizeof v && v >= 0 && v <= 255) {
        *(uint8_t *)val = (uint8_t)v;
        *len = 1;
        return 0;
    }
    return put_int(v, val, len);
}

/* IP_MTU: of the path of a connection. */
static int get_mtu(struct sock *s, void *val, socklen_t *len)
{
    struct tcp_info info;

    if (!s->pcb->remote.port_be)
        return -ENOTCONN;
    tcp_get_info(s->sh, sock_tcb(s), &info);
    return put_int((int)info.tcpi_pmtu, val, len);
}

static int get_ip(struct stack *st, struct sock *s, int name, void *val, socklen_t *len)
{
    switch (name) {
    case IP_TOS:
        return put_ip_int(s->pcb->tos, val, len);
    case IP_TTL:
        return put_ip_int(s->pcb->ttl ? s->pcb->ttl : (int)st->set.ip_default_ttl, val, len);
    case IP_MTU:
        return sock_is_tcp(s) ? get_mtu(s, val, len) : 1;
    case IP_MULTICAST_TTL: /* a stream's cannot be changed, and are shown all the same */
        return sock_is_tcp(s) ? put_ip_int(1, val, len) : 1;
    case IP_MULTICAST_IF:
        return sock_is_tcp(s) ? put_int(0, val, len) : 1;
    default:
        return 1;
    }
}

static int get_ip6(struct stack *st, struct sock *s, int name, void *val, socklen_t *len)
{
    if (s->domain != AF_INET6)
        return sock_no_level(s);
    if (name == IPV6_V6ONLY)
        return put_int(!!(s->pcb->flags & PCB_V6ONLY), val, len);
    if (name == IPV6_UNICAST_HOPS && sock_is_tcp(s))
        return put_int(s->pcb->hops ? s->pcb->hops : (int)st->set.hop_limit, val, len);
    if (name == IPV6_MTU && sock_is_tcp(s))
        return get_mtu(s, val, len);
    if (name == IPV6_TCLASS && sock_is_tcp(s))
        return put_int(s->pcb->tclass, val, len);
    /* A stream's cannot be changed, and are shown all the same. */
    if ((name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_IF) && sock_is_tcp(s))
        return put_int(name == IPV6_MULTICAST_HOPS, val, len);
    return 1;
}

bool sock_knows_level(const struct sock *s, int level)
{
    return level == SOL_SOCKET || level == IPPROTO_IP || level == s->protocol ||
           (level == IPPROTO_IPV6 && s->domain == AF_INET6);
}

int sock_no_level(const struct sock *s)
{
    return s->domain == AF_INET ? -EOPNOTSUPP : -ENOPROTOOPT;
}

int sock_getsockopt(struct stack *st, struct sock *s, int level, int name, void *val, socklen_t *len)
{
    int r = 1, i;

    if ((int)*len < 0 && sock_knows_level(s, level))
        return -EINVAL;
    if (!sock_has_ip(s) && level != SOL_SOCKET && !level_known(s, level))
        return -ENOPROTOOPT;
    if (level == IPPROTO_IP && !has_ip_level(s))
        return -ENOPROTOOPT;
    if (sock_ip_level(level) && sock_has_ip(s))
        r = sock_ip_getopt(s, level, name, val, len);
    if (r <= 0)
        return r;
    if (level == SOL_SOCKET)
        r = get_socket(st, s, name, val, len);
    else if (level == IPPROTO_IP)
        r = get_ip(st, s, name, val, len);
    else if (level == IPPROTO_IPV6)
        r = get_ip6(st, s, name, val, len);
    else if (!level_known(s, level))
        return sock_no_level(s);
    if (r <= 0)
        return r;
    r = proto_getopt(s, level, name, val, len);
    if (r == -ENOPROTOOPT && level == SOL_SOCKET)
        r = sock_kept_getopt(s, name, val, len);
    if (r != -ENOPROTOOPT)
        return r;
    i = find_stored(level, name);
    if (i < 0)
        return -ENOPROTOOPT;
    return level == IPPROTO_IP ? put_ip_int(stored_at(s, i), val, len) : put_int(stored_at(s, i), val, len);
}
