/* sock_opt_ip.c: options of IPPROTO_IP and IPPROTO_IPV6 that few programs set: header options and extension
 * headers (ip_ext.h), what is kept and given back without effect, and what Linux refuses in ways of its own.
 *
 * Theory of operation. sock_opt.c asks here first. A table says of the plain ones (an int between two bounds)
 * which kinds of sockets have them, which show them only, and what a fresh socket shows; the rest is a
 * function each. Order of checks and errors are Linux's (do_ip_setsockopt, do_ipv6_setsockopt), for someone
 * with CAP_NET_RAW and CAP_NET_ADMIN in the network namespace.
 */
#include "sock_opt_ip.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#include "dgram.h"
#include "ip_ext.h"
#include "log.h"
#include "tcp.h"
#include "wire_ip6.h"

/* Linux's numbers that glibc 2.36 lacks, or hides. */
enum {
    OPT_IP_PKTOPTIONS = 9,
    OPT_IP_IPSEC_POLICY = 16,
    OPT_IP_XFRM_POLICY = 17,
    OPT_IP_MINTTL = 21,
    OPT_IP_NODEFRAG = 22,
    OPT_IP_CHECKSUM = 23,
    OPT_IP_RECVFRAGSIZE = 25,
    OPT_IP_RFC4884 = 26,
    OPT_IP_PORT_RANGE = 51,
    OPT_IP_PROTOCOL = 52,
    OPT_IPV6_2292HOPOPTS = 3,
    OPT_IPV6_2292DSTOPTS = 4,
    OPT_IPV6_2292RTHDR = 5,
    OPT_IPV6_2292PKTOPTIONS = 6,
    OPT_IPV6_FLOWINFO = 11,
    OPT_IPV6_ISOLATE = 30,
    OPT_IPV6_RFC4884 = 31,
    OPT_IPV6_FLOWLABEL_MGR = 32,
    OPT_IPV6_IPSEC_POLICY = 34,
    OPT_IPV6_XFRM_POLICY = 35,
    OPT_IPV6_MINHOPCOUNT = 73,
    OPT_IPV6_ORIGDSTADDR = 74,
    OPT_IPV6_UNICAST_IF = 76,
    OPT_IPV6_RECVFRAGSIZE = 77,
};

enum { ST_ESTABLISHED = 1 }; /* <netinet/tcp.h> */

/* RFC 5014; <linux/in6.h> and <netinet/in.h> exclude each other. */
enum {
    IPV6_PREFER_SRC_TMP = 0x1,
    IPV6_PREFER_SRC_PUBLIC = 0x2,
    IPV6_PREFER_SRC_COA = 0x4,
    IPV6_PREFER_SRC_CGA = 0x8,
    IPV6_PREFER_SRC_PUBTMP_DEFAULT = 0x100,
    IPV6_PREFER_SRC_HOME = 0x400,
    IPV6_PREFER_SRC_NONCGA = 0x800,
};

#define FLOWLABEL_REQ_LEN 32 /* struct in6_flowlabel_req */

#define TCP   (1u << KIND_TCP)
#define UDP   (1u << KIND_UDP)
#define RAW   (1u << KIND_RAW)
#define PING  (1u << KIND_PING)
#define DGRAM (UDP | RAW | PING)
#define ALL   (TCP | DGRAM)

/* Without an error: a value of less than four bytes is 0 (IPPROTO_IP: of none), or it is EINVAL. */
#define SHORT_IS_ZERO 1
/* Accepted, and whoever set it waits for what does not come. */
#define SAY 2

/* Where a kind is not in `has`, others below may know the option; where it is in `shows`, setting it has the
 * error given. */
static const struct plain {
    int level, name;
    int def, least, greatest;
    uint8_t has, shows;
    int16_t show_err;
    uint8_t flags;
    uint8_t recv; /* enum ip_ext_recv */
} plain[IP_EXT_KEPT] = {
    {IPPROTO_IP, IP_HDRINCL, 0, 0, 1, 0, TCP | UDP | PING, -ENOPROTOOPT, 0, 0},
    {IPPROTO_IP, IP_RECVOPTS, 0, 0, 1, TCP, 0, 0, SHORT_IS_ZERO, 0},
    {IPPROTO_IP, IP_PASSSEC, 0, 0, 1, ALL, 0, 0, SHORT_IS_ZERO, 0},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, 0, 0, 1, TCP, 0, 0, SHORT_IS_ZERO, 0},
    {IPPROTO_IP, OPT_IP_MINTTL, 0, 0, 255, ALL, 0, 0, 0, 0},
    {IPPROTO_IP, OPT_IP_NODEFRAG, 0, 0, 1, RAW, TCP | UDP | PING, -ENOPROTOOPT, SHORT_IS_ZERO, 0},
    {IPPROTO_IP, OPT_IP_CHECKSUM, 0, 0, 1, ALL, 0, 0, SHORT_IS_ZERO, 0},
    {IPPROTO_IP, OPT_IP_RECVFRAGSIZE, 0, 0, 1, DGRAM, TCP, -EINVAL, SHORT_IS_ZERO, EXT_RECV_FRAGSIZE4},
    {IPPROTO_IP, OPT_IP_RFC4884, 0, 0, 1, ALL, 0, 0, SHORT_IS_ZERO | SAY, 0},
    {IPPROTO_IP, IP_ROUTER_ALERT, 0, 0, 1, RAW, TCP | UDP | PING, -EINVAL, SHORT_IS_ZERO | SAY, 0},
    {IPPROTO_IPV6, OPT_IPV6_2292HOPOPTS, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_OHOP},
    {IPPROTO_IPV6, OPT_IPV6_2292DSTOPTS, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_ODST},
    {IPPROTO_IPV6, OPT_IPV6_2292RTHDR, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_ORT},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, 0, 0, 1, TCP, 0, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_2292HOPLIMIT, 0, 0, 1, TCP, 0, 0, 0, 0},
    {IPPROTO_IPV6, OPT_IPV6_FLOWINFO, 0, 0, 1, TCP, 0, 0, 0, 0},
    {IPPROTO_IPV6, IPV6_ROUTER_ALERT, 0, 0, 1, 0, ALL, -ENOPROTOOPT, 0, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 1, 0, 1, TCP, 0, 0, 0, 0},
    {IPPROTO_IPV6, OPT_IPV6_ISOLATE, 0, 0, 1, ALL, 0, 0, 0, 0},
    {IPPROTO_IPV6, OPT_IPV6_RFC4884, 0, 0, 1, ALL, 0, 0, SAY, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPOPTS, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_HOP},
    {IPPROTO_IPV6, IPV6_RECVRTHDR, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_RT},
    {IPPROTO_IPV6, IPV6_RECVDSTOPTS, 0, 0, 1, ALL, 0, 0, 0, EXT_RECV_DST},
    {IPPROTO_IPV6, IPV6_RECVPATHMTU, 0, 0, 1, ALL, 0, 0, SAY, 0},
    {IPPROTO_IPV6, OPT_IPV6_MINHOPCOUNT, 0, 0, 255, ALL, 0, 0, 0, 0},
    {IPPROTO_IPV6, OPT_IPV6_ORIGDSTADDR, 0, 0, 1, TCP, 0, 0, 0, 0},
    {IPPROTO_IPV6, OPT_IPV6_RECVFRAGSIZE, 0, 0, 1, ALL, 0, 0, SHORT_IS_ZERO, EXT_RECV_FRAGSIZE6},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1, 0, 1, ALL, 0, 0, SHORT_IS_ZERO, 0},
    {IPPROTO_IPV6, OPT_IPV6_FLOWINFO_SEND, 0, 0, 1, ALL, 0, 0, 0, 0},
};

/* An int between 0 and 1 that is refused beyond; the other booleans take any number. */
static bool is_strict(const struct plain *o)
{
    return o->name == (o->level == IPPROTO_IP ? OPT_IP_RFC4884 : OPT_IPV6_RFC4884);
}

static const struct plain *find(int level, int name)
{
    for (const struct plain *o = plain; o < plain + IP_EXT_KEPT && o->level + o->name; o++)
        if (o->level == level && o->name == name)
            return o;
    return NULL;
}

static struct ip_ext **slot(const struct sock *s)
{
    return sock_is_tcp(s) ? (struct ip_ext **)&s->ip_ext : &((struct dgram *)s->pcb)->ext;
}

struct ip_ext *sock_ip_ext(const struct sock *s)
{
    return *slot(s);
}

uint32_t sock_ip_port_range(const struct sock *s)
{
    const struct ip_ext *x = sock_has_ip(s) ? sock_ip_ext(s) : NULL;

    return x ? x->port_range : 0;
}

/* Made when it is needed first. NULL: no memory. */
static struct ip_ext *need_ext(struct sock *s)
{
    struct ip_ext **x = slot(s);

    if (*x)
        return *x;
    *x = ip_ext_new(s->sh);
    for (unsigned i = 0; *x && i < IP_EXT_KEPT; i++)
        (*x)->kept[i] = plain[i].def;
    return *x;
}

/* What was set changes packets from now on. */
static void changed(struct sock *s)
{
    if (!sock_is_tcp(s))
        dgram_ext_changed((struct dgram *)s->pcb);
    else
        log_once(LOG_LEVEL_WARN, "options and extension headers of IP are kept, but not sent on connections");
}

bool sock_ip_null_is_fault(const struct sock *s, int level, int name)
{
    if (level == IPPROTO_IPV6)
        return name == OPT_IPV6_IPSEC_POLICY || name == OPT_IPV6_XFRM_POLICY ||
               name == OPT_IPV6_2292PKTOPTIONS ||
               ((name == IPV6_CHECKSUM || name == IPV6_HDRINCL) && s->kind == KIND_RAW);
    if (level != IPPROTO_IP)
        return true;
    switch (name) {
    case OPT_IP_PKTOPTIONS:
    case IP_MTU:
        return false;
    case IP_MULTICAST_IF:
        return !sock_is_tcp(s);
    case IP_MULTICAST_TTL:
    case IP_MULTICAST_LOOP:
    case IP_MULTICAST_ALL:
    case IP_UNICAST_IF:
    case OPT_IP_PORT_RANGE:
        return true;
    default:
        return name > 0 && name <= OPT_IP_RFC4884;
    }
}

bool sock_ip_empty_is_zero(int level, int name)
{
    const struct plain *o = find(level, name);

    if (o)
        return o->flags & SHORT_IS_ZERO;
    if (level == IPPROTO_IPV6)
        return name == IPV6_DONTFRAG;
    switch (name) {
    case IP_TOS:
    case IP_HDRINCL:
    case IP_ROUTER_ALERT:
    case IP_RECVOPTS:
    case IP_RETOPTS:
    case IP_PKTINFO:
    case IP_MTU_DISCOVER:
    case IP_RECVERR:
    case IP_RECVTTL:
    case IP_RECVTOS:
    case IP_RECVORIGDSTADDR:
    case IP_BIND_ADDRESS_NO_PORT:
        return true;
    default:
        return false;
    }
}

/* The value as an int. -EINVAL: too short. */
static int take_int(int level, const struct plain *o, const void *val, socklen_t len, int *v)
{
    *v = 0;
    if (len >= sizeof *v)
        memcpy(v, val, sizeof *v);
    else if (len && level == IPPROTO_IP)
        *v = *(const uint8_t *)val;
    else if (!o || !(o->flags & SHORT_IS_ZERO))
        return -EINVAL;
    return 0;
}

/* What an option's new value does besides being kept. */
static int take_effect(struct sock *s, const struct plain *o, struct ip_ext *x, int v)
{
    if (o->level == IPPROTO_IPV6 && o->name == OPT_IPV6_FLOWINFO_SEND)
        x->flowinfo_send = (uint8_t)v;
    if (o->level == IPPROTO_IPV6 && o->name == IPV6_AUTOFLOWLABEL) {
        x->label_be &= ~(FLOW_LABEL_AUTO | FLOW_LABEL_NONE);
        x->label_be |= v ? FLOW_LABEL_AUTO : FLOW_LABEL_NONE;
        return sock_is_tcp(s) ? tcp_set_label(s->sh, sock_tcb(s), x->label_be) : 0;
    }
    /* Linux looks at them for TCP alone, too. */
    if (sock_is_tcp(s) && o->level == IPPROTO_IP && o->name == OPT_IP_MINTTL)
        return tcp_set_min_ttl(s->sh, sock_tcb(s), true, (uint8_t)v);
    if (sock_is_tcp(s) && o->level == IPPROTO_IPV6 && o->name == OPT_IPV6_MINHOPCOUNT)
        return tcp_set_min_ttl(s->sh, sock_tcb(s), false, (uint8_t)v);
    return 0;
}

int sock_ip_take_label(struct sock *s, const struct sockaddr *sa, socklen_t len, bool once)
{
    struct ip_ext *x = sock_ip_ext(s);
    uint32_t label_be;

    if (!x || !x->flowinfo_send || sa->sa_family != AF_INET6 || len < sizeof(struct sockaddr_in6))
        return 0;
    memcpy(&label_be, (const char *)sa + offsetof(struct sockaddr_in6, sin6_flowinfo), sizeof label_be);
    label_be &= htonl(IP6_FLOW_MASK);
    label_be = label_be ? label_be | FLOW_LABEL_SET : x->label_be & (FLOW_LABEL_AUTO | FLOW_LABEL_NONE);
    if (once) {
        x->once_label_be = label_be;
        return 0;
    }
    x->label_be = label_be | (x->label_be & (FLOW_LABEL_AUTO | FLOW_LABEL_NONE));
    return sock_is_tcp(s) ? tcp_set_label(s->sh, sock_tcb(s), x->label_be) : 0;
}

void sock_ip_send_done(const struct sock *s)
{
    struct ip_ext *x = sock_ip_ext(s);

    if (x)
        x->once_label_be = 0;
}

static const char *const without_effect = "an option of IP was accepted that has no effect here";

static int set_plain(struct sock *s, const struct plain *o, const void *val, socklen_t len)
{
    struct ip_ext *x;
    int v, err;

    if (o->shows & (1u << s->kind)) {
        /* IPPROTO_IPV6 looks at the length first. */
        return o->level == IPPROTO_IPV6 && len < sizeof v ? -EINVAL : o->show_err;
    }
    err = take_int(o->level, o, val, len, &v);
    if (err)
        return err;
    if (o->greatest == 1 && !is_strict(o))
        v = !!v;
    if (v < o->least || v > o->greatest)
        return -EINVAL;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    if (o->level == IPPROTO_IP && o->name == IP_ROUTER_ALERT && !v && !x->kept[o - plain])
        return -ENOBUFS; /* ip_ra_control: it was not on */
    x->kept[o - plain] = v;
    x->recv = v ? x->recv | o->recv : x->recv & ~(uint32_t)o->recv;
    err = take_effect(s, o, x, v);
    if (err)
        return err;
    if (v != o->def && (o->flags & SAY))
        log_once(LOG_LEVEL_WARN, "%s (level %d, number %d)", without_effect, o->level, o->name);
    if (!sock_is_tcp(s))
        dgram_ext_changed((struct dgram *)s->pcb);
    return 0;
}

int sock_ip_kept(const struct sock *s, int level, int name)
{
    const struct plain *o = find(level, name);
    const struct ip_ext *x = sock_ip_ext(s);

    if (o && sock_is_tcp(s) && name == (level == IPPROTO_IP ? OPT_IP_MINTTL : OPT_IPV6_MINHOPCOUNT))
        return tcp_min_ttl(sock_tcb(s), level == IPPROTO_IP); /* what was handed down, too */
    return !o ? 0 : x ? x->kept[o - plain] : o->def;
}

/* ---- IPPROTO_IP ---- */

static int set_options(struct sock *s, const void *val, socklen_t len)
{
    uint8_t opts[IP4_OPTS_MAX];
    uint32_t n = len;
    struct ip_ext *x;

    if (len > sizeof opts)
        return -EINVAL;
    memcpy(opts, val, len);
    if (ip4_opts_check(opts, &n))
        return -EINVAL;
    if (!n && !sock_ip_ext(s))
        return 0;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    memcpy(x->tx.v4, opts, n);
    x->tx.v4_len = (uint8_t)n;
    changed(s);
    return 0;
}

/* IP_LOCAL_PORT_RANGE: low port in the low half, high in the other; 0: the stack's own bound. */
static int set_port_range(struct sock *s, const void *val, socklen_t len)
{
    struct ip_ext *x;
    uint32_t v;

    if (len != sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if ((v & 0xffff) && v >> 16 && (v & 0xffff) > v >> 16)
        return -EINVAL;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    x->port_range = v;
    return 0;
}

/* IP_UNICAST_IF, IPV6_UNICAST_IF of a stream: an interface number in network order. Kept: the route says. */
static int set_unicast_if(struct sock *s, const void *val, socklen_t len, int which)
{
    struct ip_ext *x;
    uint32_t v;
    int i;

    if (len != sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    i = stack_if_of(s->sh->st, (int)ntohl(v));
    if (v && i < 0)
        return -EADDRNOTAVAIL;
    if (v && s->pcb->ifindex && s->pcb->ifindex != i)
        return -EINVAL;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    x->unicast_if[which] = v;
    return 0;
}

/* Groups on a stream: what speaks against the call, were there groups (ip_mc_join_group: EPROTO). least: the
 * bytes it needs. */
static int stream_group(socklen_t len, socklen_t least, bool exact, int err)
{
    return len < least || (exact && len != least) ? -EINVAL : err;
}

static int set_stream_group4(int name, const void *val, socklen_t len)
{
    uint16_t family;

    switch (name) {
    case IP_UNBLOCK_SOURCE:
    case IP_BLOCK_SOURCE:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_MSFILTER:
        return -EINVAL;
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
        if (len < sizeof(struct group_req))
            return -EINVAL;
        memcpy(&family, (const char *)val + offsetof(struct group_req, gr_group), sizeof family);
        return family != AF_INET ? -EINVAL : -EPROTO;
    case MCAST_BLOCK_SOURCE:
    case MCAST_UNBLOCK_SOURCE:
    case MCAST_JOIN_SOURCE_GROUP:
    case MCAST_LEAVE_SOURCE_GROUP:
        return stream_group(len, sizeof(struct group_source_req), true, -EADDRNOTAVAIL);
    case MCAST_MSFILTER:
        return stream_group(len, GROUP_FILTER_SIZE(0), false, -EADDRNOTAVAIL);
    default:
        return 1;
    }
}

static int set_ip4(struct sock *s, int name, const void *val, socklen_t len)
{
    int r = sock_is_tcp(s) ? set_stream_group4(name, val, len) : 1;

    if (r != 1)
        return r;
    switch (name) {
    case IP_OPTIONS:
        return set_options(s, val, len);
    case OPT_IP_IPSEC_POLICY:
        return len ? -EOPNOTSUPP : -EMSGSIZE;
    case OPT_IP_XFRM_POLICY:
        return !len ? -EMSGSIZE : s->domain == AF_INET6 ? -EOPNOTSUPP : -EINVAL;
    case OPT_IP_PORT_RANGE:
        return set_port_range(s, val, len);
    case IP_UNICAST_IF:
        return sock_is_tcp(s) ? set_unicast_if(s, val, len, 0) : 1;
    default:
        /* Nothing that anybody knows: whatever the length. */
        return name <= 0 || name == OPT_IP_PKTOPTIONS || (name > OPT_IP_RFC4884 && name < IP_MULTICAST_IF) ||
                       name == IP_MTU || name > OPT_IP_PORT_RANGE
                   ? -ENOPROTOOPT
                   : 1;
    }
}

/* ---- IPPROTO_IPV6 ---- */

/* A sticky extension header: none takes it away (ipv6_set_opt_hdr). */
static int set_header(struct sock *s, int name, const void *val, socklen_t len)
{
    const uint8_t *h = val;
    uint32_t n = len ? (h[1] + 1u) * 8 : 0;
    struct ip_ext *x;

    if (len && (len < 2 || (len & 7) || len > 8 * 255 || n > len))
        return -EINVAL;
    if (len && name == IPV6_RTHDR)
        return -EINVAL; /* no type of routing header is sent (RFC 5095) */
    if (n > IP6_STICKY_MAX)
        return -ENOBUFS;
    if (!n && !sock_ip_ext(s))
        return 0;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    if (name == IPV6_RTHDRDSTOPTS) {
        x->dst0_len = (uint16_t)n;
        memcpy(x->dst0, h, n);
    } else if (name != IPV6_RTHDR) {
        int i = name == IPV6_HOPOPTS ? IP6_EXT_HOP : IP6_EXT_DST;

        x->tx.len[i] = (uint16_t)n;
        memcpy(x->tx.v6[i], h, n);
    }
    changed(s);
    return 0;
}

/* RFC 5014 (__ip6_sock_set_addr_preferences): pairs that exclude each other. */
static int set_preferences(struct sock *s, const void *val, socklen_t len)
{
    const uint32_t pubtmp = IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP | IPV6_PREFER_SRC_PUBTMP_DEFAULT;
    const uint32_t homecoa = IPV6_PREFER_SRC_HOME | IPV6_PREFER_SRC_COA;
    const uint32_t cga = IPV6_PREFER_SRC_CGA | IPV6_PREFER_SRC_NONCGA;
    struct ip_ext *x;
    uint32_t v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (__builtin_popcount(v & pubtmp) > 1 || (v & homecoa) == homecoa || (v & cga) == cga)
        return -EINVAL;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    if (v & pubtmp)
        x->srcprefs = (uint16_t)((x->srcprefs & ~pubtmp) | (v & pubtmp & ~IPV6_PREFER_SRC_PUBTMP_DEFAULT));
    if (v & homecoa)
        x->srcprefs = (uint16_t)((x->srcprefs & ~homecoa) | (v & IPV6_PREFER_SRC_COA));
    if (!sock_is_tcp(s))
        dgram_ext_changed((struct dgram *)s->pcb);
    return 0;
}

/* IPV6_ADDRFORM: a connection to a mapped address becomes an IPv4 socket. */
static int set_addrform(struct sock *s, const void *val, socklen_t len)
{
    int v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (v != AF_INET)
        return -EINVAL;
    if (s->kind != KIND_TCP && s->kind != KIND_UDP)
        return -ENOPROTOOPT;
    if (!s->pcb->remote.port_be || (sock_is_tcp(s) && tcp_state(sock_tcb(s)) != ST_ESTABLISHED))
        return -ENOTCONN;
    if ((s->pcb->flags & PCB_V6ONLY) || !ipaddr_is_v4(&s->pcb->remote.addr))
        return -EADDRNOTAVAIL;
    s->domain = AF_INET;
    s->pcb->flags &= (uint16_t)~PCB_V6;
    return 0;
}

/* IPV6_PKTINFO: the source of what is sent. */
static int set_pktinfo(struct sock *s, const void *val, socklen_t len)
{
    struct in6_pktinfo pi;
    struct ip_ext *x;
    int i;

    if (len < sizeof pi)
        return -EINVAL;
    memcpy(&pi, val, sizeof pi);
    i = stack_if_of(s->sh->st, (int)pi.ipi6_ifindex);
    if (s->pcb->ifindex && pi.ipi6_ifindex && s->pcb->ifindex != i)
        return -EINVAL;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    x->pktinfo_if = pi.ipi6_ifindex;
    memcpy(x->pktinfo.b, &pi.ipi6_addr, 16);
    changed(s);
    return 0;
}

static int set_stream_group6(int name, const void *val, socklen_t len)
{
    uint16_t family;

    switch (name) {
    case IPV6_JOIN_GROUP:
    case IPV6_LEAVE_GROUP:
        return stream_group(len, sizeof(struct ipv6_mreq), false, -EPROTO);
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
        if (len < sizeof(struct group_req))
            return -EINVAL;
        memcpy(&family, (const char *)val + offsetof(struct group_req, gr_group), sizeof family);
        return family != AF_INET6 ? -EADDRNOTAVAIL : -EPROTO;
    case MCAST_BLOCK_SOURCE:
    case MCAST_UNBLOCK_SOURCE:
    case MCAST_JOIN_SOURCE_GROUP:
    case MCAST_LEAVE_SOURCE_GROUP:
        return stream_group(len, sizeof(struct group_source_req), false, -EADDRNOTAVAIL);
    case MCAST_MSFILTER:
        return stream_group(len, GROUP_FILTER_SIZE(0), false, -EINVAL);
    default:
        return 1;
    }
}

/* IPV6_MTU: no longer packets than this one. Connections do not look at it, in Linux neither. */
static int set_mtu6(struct sock *s, const void *val, socklen_t len)
{
    struct ip_ext *x;
    int v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (v && v < 1280)
        return -EINVAL;
    if (sock_is_tcp(s) || (!v && !sock_ip_ext(s)))
        return 0;
    x = need_ext(s);
    if (!x)
        return -ENOBUFS;
    x->frag_size = (uint32_t)v;
    dgram_ext_changed((struct dgram *)s->pcb);
    return 0;
}

/* IPV6_FLOWLABEL_MGR: labels are the stack's to choose. */
static int flow_label(socklen_t len)
{
    if (len < FLOWLABEL_REQ_LEN)
        return -EINVAL;
    log_once(LOG_LEVEL_WARN, "IPV6_FLOWLABEL_MGR: flow labels are the stack's own to choose");
    return -EINVAL;
}

/* Numbers that are no options to be set, whatever the length. */
static bool is_unknown6(const struct sock *s, int name)
{
    switch (name) {
    case IPV6_CHECKSUM:
    case IPV6_HDRINCL:
        return s->kind != KIND_RAW;
    case 9:
    case 10:
    case 37 ... 41:
    case 52:
    case IPV6_PATHMTU:
    case 63 ... 65:
    case 68:
    case 69:
    case 71:
        return true;
    default:
        return name <= 0 || (name >= 12 && name <= 15) || name > OPT_IPV6_FREEBIND;
    }
}

static int set_ip6(struct sock *s, int name, const void *val, socklen_t len)
{
    int r = sock_is_tcp(s) ? set_stream_group6(name, val, len) : 1;

    if (r != 1)
        return r;
    switch (name) {
    case IPV6_ADDRFORM:
        return set_addrform(s, val, len);
    case OPT_IPV6_2292PKTOPTIONS: /* control messages, and none is taken */
        return len < sizeof(struct cmsghdr) ? 0 : -EINVAL;
    case IPV6_MTU:
        return set_mtu6(s, val, len);
    case IPV6_JOIN_ANYCAST:
        return stream_group(len, sizeof(struct ipv6_mreq), false, -EADDRNOTAVAIL);
    case IPV6_LEAVE_ANYCAST:
        return stream_group(len, sizeof(struct ipv6_mreq), false, -ENOENT);
    case OPT_IPV6_IPSEC_POLICY:
        return len ? -EOPNOTSUPP : -EMSGSIZE;
    case OPT_IPV6_XFRM_POLICY:
        return len ? -EINVAL : -EMSGSIZE;
    case IPV6_PKTINFO:
        return set_pktinfo(s, val, len);
    case IPV6_HOPOPTS:
    case IPV6_RTHDRDSTOPTS:
    case IPV6_RTHDR:
    case IPV6_DSTOPTS:
        return set_header(s, name, val, len);
    case IPV6_ADDR_PREFERENCES:
        return set_preferences(s, val, len);
    case OPT_IPV6_UNICAST_IF:
        return sock_is_tcp(s) ? set_unicast_if(s, val, len, 1) : 1;
    case OPT_IPV6_FLOWLABEL_MGR:
        return flow_label(len);
    default:
        return is_unknown6(s, name) ? -ENOPROTOOPT : 1;
    }
}

int sock_ip_setopt(struct sock *s, int level, int name, const void *val, socklen_t len)
{
    const struct plain *o = find(level, name);

    if (level == IPPROTO_IPV6 && s->domain != AF_INET6)
        return -ENOPROTOOPT;
    if (o && ((o->has | o->shows) & (1u << s->kind)))
        return set_plain(s, o, val, len);
    return level == IPPROTO_IP ? set_ip4(s, name, val, len) : set_ip6(s, name, val, len);
}

/* ---- getsockopt ---- */

static int give(const void *from, uint32_t size, void *val, socklen_t *len)
{
    if (*len > size)
        *len = size;
    memcpy(val, from, *len);
    return 0;
}

/* IPPROTO_IP: a short buffer gets a single byte, when the value fits one (do_ip_getsockopt). */
static int give_int(int level, int v, void *val, socklen_t *len)
{
    if (level == IPPROTO_IP && *len > 0 && *len < sizeof v && v >= 0 && v <= 255) {
        *(uint8_t *)val = (uint8_t)v;
        *len = 1;
        return 0;
    }
    return give(&v, sizeof v, val, len);
}

static int get_ip4(const struct sock *s, int name, void *val, socklen_t *len)
{
    const struct ip_ext *x = sock_ip_ext(s);

    switch (name) {
    case IP_OPTIONS:
        return give(x ? (const void *)x->tx.v4 : "", x ? x->tx.v4_len : 0, val, len);
    case OPT_IP_PORT_RANGE:
        return give_int(IPPROTO_IP, x ? (int)x->port_range : 0, val, len);
    case OPT_IP_PROTOCOL: /* inet_num */
        return give_int(IPPROTO_IP, s->kind == KIND_RAW ? s->protocol : ntohs(s->pcb->local.port_be), val,
                        len);
    case IP_UNICAST_IF:
        return sock_is_tcp(s) ? give_int(IPPROTO_IP, x ? (int)x->unicast_if[0] : 0, val, len) : 1;
    case OPT_IP_PKTOPTIONS:
        if (!sock_is_tcp(s))
            return -ENOPROTOOPT;
        *len = 0;
        return 0;
    case IP_MSFILTER:
        return sock_is_tcp(s) || *len < IP_MSFILTER_SIZE(0) ? -EINVAL : 1;
    case MCAST_MSFILTER:
        return sock_is_tcp(s) || *len < GROUP_FILTER_SIZE(0) ? -EINVAL : 1;
    default:
        return 1;
    }
}

static int get_preferences(const struct ip_ext *x, void *val, socklen_t *len)
{
    uint32_t p = x ? x->srcprefs : 0, v;

    v = p & (IPV6_PREFER_SRC_TMP | IPV6_PREFER_SRC_PUBLIC);
    if (!v)
        v = IPV6_PREFER_SRC_PUBTMP_DEFAULT;
    v |= p & IPV6_PREFER_SRC_COA ? IPV6_PREFER_SRC_COA : IPV6_PREFER_SRC_HOME;
    return give(&v, sizeof v, val, len);
}

static int get_header(const struct ip_ext *x, int name, void *val, socklen_t *len)
{
    if (!x || name == IPV6_RTHDR)
        return give("", 0, val, len);
    if (name == IPV6_RTHDRDSTOPTS)
        return give(x->dst0, x->dst0_len, val, len);
    return name == IPV6_HOPOPTS ? give(x->tx.v6[IP6_EXT_HOP], x->tx.len[IP6_EXT_HOP], val, len)
                                : give(x->tx.v6[IP6_EXT_DST], x->tx.len[IP6_EXT_DST], val, len);
}

/* IPV6_PATHMTU: the peer and its path's MTU. */
static int get_pathmtu(struct sock *s, void *val, socklen_t *len)
{
    struct ip6_mtuinfo mi = {0};
    socklen_t n = sizeof(struct sockaddr_in6);
    uint32_t mtu;
    int r;

    if (*len < sizeof mi)
        return -EINVAL;
    n = sizeof mtu;
    r = sock_getsockopt(s->sh->st, s, IPPROTO_IPV6, IPV6_MTU, &mtu, &n);
    if (r)
        return -ENOTCONN;
    mi.ip6m_addr.sin6_family = AF_INET6;
    memcpy(&mi.ip6m_addr.sin6_addr, s->pcb->remote.addr.b, 16);
    mi.ip6m_mtu = mtu;
    return give(&mi, sizeof mi, val, len);
}

static int get_ip6(struct sock *s, int name, void *val, socklen_t *len)
{
    const struct ip_ext *x = sock_ip_ext(s);
    int domain = s->domain;

    switch (name) {
    case IPV6_ADDRFORM:
        if (s->kind != KIND_TCP && s->kind != KIND_UDP)
            return -ENOPROTOOPT;
        if (!s->pcb->remote.port_be || (sock_is_tcp(s) && tcp_state(sock_tcb(s)) != ST_ESTABLISHED))
            return -ENOTCONN;
        return give(&domain, sizeof domain, val, len);
    case OPT_IPV6_2292PKTOPTIONS:
        if (!sock_is_tcp(s))
            return -ENOPROTOOPT;
        *len = 0;
        return 0;
    case IPV6_HOPOPTS:
    case IPV6_RTHDRDSTOPTS:
    case IPV6_RTHDR:
    case IPV6_DSTOPTS:
        return get_header(x, name, val, len);
    case IPV6_PATHMTU:
        return get_pathmtu(s, val, len);
    case IPV6_ADDR_PREFERENCES:
        return get_preferences(x, val, len);
    case OPT_IPV6_UNICAST_IF:
        return sock_is_tcp(s) ? give_int(IPPROTO_IPV6, x ? (int)x->unicast_if[1] : 0, val, len) : 1;
    case OPT_IPV6_FLOWLABEL_MGR:
        return -EINVAL;
    case MCAST_MSFILTER:
        if (*len < GROUP_FILTER_SIZE(0))
            return -EINVAL;
        return sock_is_tcp(s) ? -EADDRNOTAVAIL : 1;
    default:
        return 1;
    }
}

int sock_ip_getopt(struct sock *s, int level, int name, void *val, socklen_t *len)
{
    const struct plain *o = find(level, name);

    if (level == IPPROTO_IPV6 && s->domain != AF_INET6)
        return 1;
    if (o && ((o->has | o->shows) & (1u << s->kind)))
        return give_int(level, sock_ip_kept(s, level, name), val, len);
    return level == IPPROTO_IP ? get_ip4(s, name, val, len) : get_ip6(s, name, val, len);
}
