/* udp_user.c: UDP as sockets call it: names, send, receive, readiness, end. */
#include <errno.h>
#include <netinet/ip.h>
#include <poll.h>

#include "cksum.h"
#include "filter.h"
#include "port.h"
#include "shard.h"
#include "udp_cb.h"
#include "user.h"
#include "wire_udp.h"

struct udpcb *udp_open(struct shard *sh, uint16_t pcb_flags)
{
    struct udpcb *u = slab_alloc(&sh->udp->pcbs);

    if (!u) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    list_init(&u->pcb.hash);
    list_init(&u->pcb.port_node);
    list_init(&u->pcb.dirty);
    u->pcb.proto = IPPROTO_UDP;
    u->pcb.flags = pcb_flags;
    u->pcb.shard = (uint8_t)sh->id;
    u->rcvbuf = (uint32_t)sh->st->set.rmem_default;
    u->sndbuf = (uint32_t)sh->st->set.wmem_default;
    u->pmtudisc = IP_PMTUDISC_WANT;
    u->mc_ttl = 1;
    return u;
}

int udp_bind(struct shard *sh, struct udpcb *u, const struct endpoint *local)
{
    int r = port_bind(sh->st, sh, &u->pcb, local);

    if (!r)
        udp_hash(sh, u);
    return r;
}

static int autobind(struct shard *sh, struct udpcb *u)
{
    struct endpoint any = {.addr = u->pcb.local.addr, .port_be = 0};

    return (u->pcb.flags & PCB_BOUND) ? 0 : udp_bind(sh, u, &any);
}

/* Makes u->flow the way to dst. from: the source address to use, any: the flow's choice. */
static int flow_to(struct shard *sh, struct udpcb *u, const struct ipaddr *dst, const struct ipaddr *from,
                   unsigned ifindex)
{
    struct flow *fl = &u->flow;
    bool own = !ipaddr_is_any(from);

    if (!ipaddr_eq(&fl->dst, dst) || fl->bound_if != ifindex || (own && !ipaddr_eq(&fl->src, from))) {
        memset(fl, 0, sizeof *fl);
        fl->dst = *dst;
        fl->src = *from;
        fl->proto = IPPROTO_UDP;
        fl->bound_if = (uint8_t)ifindex;
    }
    fl->allow_bcast = !!(u->pcb.flags & PCB_BROADCAST);
    return flow_resolve(sh, fl);
}

int udp_connect(struct shard *sh, struct udpcb *u, const struct endpoint *remote)
{
    int r = autobind(sh, u);

    if (!r && udp_connected(u))
        udp_disconnect(sh, u);
    if (!r)
        r = flow_to(sh, u, &remote->addr, &u->pcb.local.addr, u->pcb.ifindex);
    if (!r)
        r = autobind(sh, u); /* disconnecting may have given an automatic port back */
    if (r)
        return r;
    udp_unhash(sh, u);
    u->pcb.local.addr = u->flow.src;
    u->pcb.remote = *remote;
    udp_hash(sh, u);
    return 0;
}

int udp_disconnect(struct shard *sh, struct udpcb *u)
{
    if (!(u->pcb.flags & PCB_BOUND))
        return 0;
    udp_unhash(sh, u);
    memset(&u->pcb.remote, 0, sizeof u->pcb.remote);
    if (!(u->pcb.flags & PCB_ADDR_LOCKED))
        u->pcb.local.addr = IPADDR_ANY;
    u->flow.gen = 0;
    u->flow.dst = IPADDR_ANY;
    if (u->pcb.flags & PCB_PORT_LOCKED) {
        udp_hash(sh, u);
    } else {
        port_release(sh->st, &u->pcb);
        u->pcb.local.port_be = 0;
    }
    return 0;
}

/* What the control messages of one send ask for. */
struct send_opts {
    struct ipaddr from;
    unsigned ifindex;
    int ttl, tos; /* -1: the socket's */
};

static int ctl_ip4(const struct cmsghdr *c, struct send_opts *o)
{
    size_t len = c->cmsg_len - CMSG_LEN(0);
    int v = 0;

    switch (c->cmsg_type) {
    case IP_PKTINFO: {
        struct in_pktinfo pi;

        if (len != sizeof pi)
            return -EINVAL;
        memcpy(&pi, CMSG_DATA(c), sizeof pi);
        if (pi.ipi_spec_dst.s_addr)
            o->from = ipaddr_v4(pi.ipi_spec_dst.s_addr);
        if (pi.ipi_ifindex)
            o->ifindex = (unsigned)pi.ipi_ifindex - 1; /* as SIOCGIFINDEX counts: from 1 */
        return 0;
    }
    case IP_TTL:
    case IP_TOS:
        if (len == sizeof v)
            memcpy(&v, CMSG_DATA(c), sizeof v);
        else if (len == 1 && c->cmsg_type == IP_TOS)
            v = *CMSG_DATA(c);
        else
            return -EINVAL;
        if (v < (c->cmsg_type == IP_TTL) || v > 255)
            return -EINVAL;
        *(c->cmsg_type == IP_TTL ? &o->ttl : &o->tos) = v;
        return 0;
    default:
        return -EINVAL;
    }
}

static int ctl_parse(const struct msghdr *msg, struct send_opts *o)
{
    int r = 0;

    if (!msg->msg_control)
        return 0;
    if (!user_readable(msg->msg_control, msg->msg_controllen))
        return -EFAULT;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c && !r; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
        size_t room = (size_t)((char *)msg->msg_control + msg->msg_controllen - (char *)c);

        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > room)
            return -EINVAL;
        if (c->cmsg_level == IPPROTO_IP)
            r = ctl_ip4(c, o);
        else if (c->cmsg_level == IPPROTO_UDP) /* UDP_SEGMENT: not supported */
            r = -EINVAL;
        /* Other levels are passed over, as in Linux. */
    }
    return r;
}

static ssize_t iov_total(const struct msghdr *msg)
{
    size_t len = 0;

    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (msg->msg_iov[i].iov_len > UDP_MAX_DATA - len)
            return -EMSGSIZE;
        len += msg->msg_iov[i].iov_len;
    }
    return (ssize_t)len;
}

/* Appends len bytes to the chain m. 0, -ENOBUFS or -EFAULT (m is still the caller's, with part of the bytes).
 */
static int append(struct shard *sh, struct rte_mbuf *m, const uint8_t *p, size_t len)
{
    struct rte_mbuf *last = rte_pktmbuf_lastseg(m);

    while (len) {
        uint16_t room = rte_pktmbuf_tailroom(last);

        if (!room) {
            struct rte_mbuf *next = pkt_alloc(sh);

            if (!next)
                return -ENOBUFS;
            last->next = next;
            m->nb_segs++;
            last = next;
            room = rte_pktmbuf_tailroom(last);
        }
        uint16_t n = len < room ? (uint16_t)len : room;
        if (!user_copy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), p, n))
            return -EFAULT;
        last->data_len += n;
        m->pkt_len += n;
        p += n;
        len -= n;
    }
    return 0;
}

/* Payload of msg behind u's datagram under construction, or as the start of a new one (room for the header in
 * front). 0, -ENOBUFS or -EFAULT, and the datagram under construction is lost then, as in Linux. */
static int gather(struct shard *sh, struct udpcb *u, const struct msghdr *msg, struct rte_mbuf **out)
{
    struct rte_mbuf *m = u->cork ? u->cork : pkt_alloc(sh);
    int r = 0;

    if (!m)
        return -ENOBUFS;
    if (!u->cork) {
        m->data_len = UDP_HDR_LEN;
        m->pkt_len = UDP_HDR_LEN;
    }
    u->cork = NULL;
    for (size_t i = 0; i < msg->msg_iovlen && !r; i++)
        r = append(sh, m, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
    if (r)
        rte_pktmbuf_free(m);
    *out = m;
    return r;
}

/* Header, checksum, don't-fragment; takes ownership of m. */
static int transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be)
{
    struct flow *fl = &u->flow;
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
    bool fits = m->pkt_len + sizeof(struct iphdr) <= fl->mtu;

    wire_udp_emit(h, u->pcb.local.port_be, dport_be, m->pkt_len - UDP_HDR_LEN);
    m->l4_len = UDP_HDR_LEN;
    fl->df = u->pmtudisc == IP_PMTUDISC_WANT ? fits : u->pmtudisc != IP_PMTUDISC_DONT;
    if (u->flags & UF_NO_CHECK) {
        /* RFC 768: zero says that there is none */
    } else if (fits) {
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
    } else { /* no port can sum over fragments */
        uint16_t sum = ip_l4_cksum(m, &fl->src, &fl->dst, IPPROTO_UDP, m->pkt_len);

        sum = sum ? sum : 0xffff;
        memcpy(h + 6, &sum, sizeof sum);
    }
    sh->count[COUNT_UDP_OUT]++;
    return ip_output(sh, fl, m);
}

/* What speaks against sending at all, in Linux's order (udp_sendmsg). */
static int send_check(struct udpcb *u, const struct endpoint *dst, int flags)
{
    int r;

    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (!dst->port_be)
        return udp_connected(u) || u->cork ? -EINVAL : -EDESTADDRREQ;
    if (u->shut & 2)
        return -EPIPE;
    r = udp_take_error(u);
    return r;
}

ssize_t udp_send(struct shard *sh, struct udpcb *u, const struct msghdr *msg, const struct endpoint *to,
                 int flags)
{
    struct endpoint dst = u->cork ? u->cork_to : to ? *to : u->pcb.remote;
    struct send_opts o = {.from = u->pcb.local.addr, .ifindex = u->pcb.ifindex, .ttl = -1, .tos = -1};
    ssize_t len = iov_total(msg);
    struct rte_mbuf *m;
    int r;

    if (len < 0)
        return len;
    if (to && !to->port_be)
        return -EINVAL;
    r = send_check(u, &dst, flags);
    if (!r)
        r = ctl_parse(msg, &o);
    if (!r)
        r = autobind(sh, u);
    if (!r)
        r = flow_to(sh, u, &dst.addr, &o.from, o.ifindex);
    if (r)
        return r;
    if (u->cork && u->cork->pkt_len - UDP_HDR_LEN + (size_t)len > UDP_MAX_DATA)
        return -EMSGSIZE;
    r = gather(sh, u, msg, &m);
    if (r)
        return r;
    if ((flags & MSG_MORE) || (u->flags & UF_CORK)) {
        u->cork = m;
        u->cork_to = dst;
        return len;
    }
    u->flow.ttl = o.ttl >= 0 ? (uint8_t)o.ttl : ipaddr_is_multicast(&dst.addr) ? u->mc_ttl : u->pcb.ttl;
    u->flow.tos = o.tos >= 0 ? (uint8_t)o.tos : u->pcb.tos;
    r = transmit(sh, u, m, dst.port_be);
    if (!ipaddr_eq(&o.from, &u->pcb.local.addr))
        u->flow.dst = IPADDR_ANY; /* a source asked for by one message is not the next one's */
    /* A full device loses datagrams silently unless IP_RECVERR is on, as in Linux. */
    return r == -ENOBUFS && !(u->flags & UF_RECVERR) ? len : r ? r : len;
}

/* Appends a control message while there is room; says so in msg_flags when there isn't (put_cmsg of Linux).
 */
static void put_ctl(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len)
{
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    size_t left = msg->msg_control ? msg->msg_controllen - *used : 0;
    uint8_t *p = (uint8_t *)msg->msg_control + *used;

    if (left < sizeof c) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (left < c.cmsg_len) {
        msg->msg_flags |= MSG_CTRUNC;
        c.cmsg_len = left;
    }
    if (!user_copy(p, &c, sizeof c) || !user_copy(p + CMSG_LEN(0), data, c.cmsg_len - CMSG_LEN(0)))
        return;
    *used += CMSG_SPACE(len) < left ? CMSG_SPACE(len) : left;
}

static void put_all_ctl(const struct udpcb *u, struct msghdr *msg, const struct udp_dgram *d)
{
    size_t used = 0;

    if (u->flags & UF_PKTINFO) {
        /* spec_dst is the local address to answer from: the destination itself unless that was a group's */
        struct in_pktinfo pi = {.ipi_ifindex = d->ifindex + 1,
                                .ipi_spec_dst.s_addr = ipaddr_get_v4(&d->to.addr),
                                .ipi_addr.s_addr = ipaddr_get_v4(&d->to.addr)};

        put_ctl(msg, &used, IPPROTO_IP, IP_PKTINFO, &pi, sizeof pi);
    }
    if (u->flags & UF_PKTINFO6) {
        struct in6_pktinfo pi = {.ipi6_ifindex = d->ifindex + 1u};

        memcpy(&pi.ipi6_addr, d->to.addr.b, 16);
        put_ctl(msg, &used, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof pi);
    }
    if (u->flags & UF_RECVTTL) {
        int ttl = d->ttl;

        put_ctl(msg, &used, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    }
    if (u->flags & UF_RECVTOS)
        put_ctl(msg, &used, IPPROTO_IP, IP_TOS, &d->tos, sizeof d->tos);
    if (u->flags & UF_ORIGDST) {
        struct sockaddr_in sin = {
            .sin_family = AF_INET, .sin_port = d->to.port_be, .sin_addr.s_addr = ipaddr_get_v4(&d->to.addr)};

        put_ctl(msg, &used, IPPROTO_IP, IP_ORIGDSTADDR, &sin, sizeof sin);
    }
    msg->msg_controllen = used;
}

/* The sender as an address of the socket's family; msg_namelen becomes its full length, as much as fits is
 * written. False: it can't be. */
static bool put_name(const struct udpcb *u, struct msghdr *msg, const struct endpoint *from)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } sa;
    socklen_t len;

    if (!msg->msg_name)
        return true;
    memset(&sa, 0, sizeof sa);
    if (u->pcb.flags & PCB_V6) {
        sa.in6.sin6_family = AF_INET6;
        sa.in6.sin6_port = from->port_be;
        memcpy(&sa.in6.sin6_addr, from->addr.b, 16);
        len = sizeof sa.in6;
    } else {
        sa.in.sin_family = AF_INET;
        sa.in.sin_port = from->port_be;
        sa.in.sin_addr.s_addr = ipaddr_get_v4(&from->addr);
        len = sizeof sa.in;
    }
    if (!user_copy(msg->msg_name, &sa, msg->msg_namelen < len ? msg->msg_namelen : len))
        return false;
    msg->msg_namelen = len;
    return true;
}

/* Copies from the chain into the iovecs; the bytes copied, or -EFAULT. */
static ssize_t scatter(const struct rte_mbuf *m, const struct msghdr *msg)
{
    uint32_t at = 0, left = m->pkt_len;
    size_t done = 0;

    for (size_t i = 0; i < msg->msg_iovlen && left; i++) {
        uint8_t *to = msg->msg_iov[i].iov_base;
        size_t room = msg->msg_iov[i].iov_len;

        while (room && left) {
            while (at == m->data_len) {
                m = m->next;
                at = 0;
            }
            size_t n = m->data_len - at < room ? m->data_len - at : room;
            if (!user_copy(to, rte_pktmbuf_mtod_offset(m, uint8_t *, at), n))
                return -EFAULT;
            at += (uint32_t)n;
            left -= (uint32_t)n;
            to += n;
            room -= n;
            done += n;
        }
    }
    return (ssize_t)done;
}

static void dequeue(struct udpcb *u)
{
    struct rte_mbuf *m = u->rcv_head;

    u->rcv_head = pkt_meta(m)->link;
    if (!u->rcv_head)
        u->rcv_tail = NULL;
    u->rcv_mem -= m->pkt_len + UDP_OVERHEAD;
    rte_pktmbuf_free(m);
}

ssize_t udp_recv(struct shard *sh, struct udpcb *u, struct msghdr *msg, int flags)
{
    int err = udp_take_error(u);
    struct rte_mbuf *m = u->rcv_head;
    struct udp_dgram d;
    ssize_t got, len;

    msg->msg_flags = 0;
    if (err || !m) {
        msg->msg_controllen = 0;
        if (err)
            return err;
        msg->msg_namelen = 0;
        /* Linux tells a reader of the end only when it would wait. */
        return (u->shut & 1) && !(flags & MSG_DONTWAIT) ? 0 : -EAGAIN;
    }
    len = m->pkt_len;
    got = scatter(m, msg);
    udp_dgram_read(m, &d);
    if (got >= 0 && !put_name(u, msg, &d.from))
        got = -EFAULT;
    if (got >= 0)
        put_all_ctl(u, msg, &d);
    if (got >= 0 && got < len)
        msg->msg_flags |= MSG_TRUNC;
    if (!(flags & MSG_PEEK)) /* a datagram that could not be copied is lost, too (Linux: udp_recvmsg) */
        dequeue(u);
    return got >= 0 && (flags & MSG_TRUNC) ? len : got;
}

size_t udp_next_len(const struct udpcb *u)
{
    return u->rcv_head ? u->rcv_head->pkt_len : 0;
}

unsigned udp_poll(const struct udpcb *u)
{
    unsigned r = POLLOUT | POLLWRNORM | POLLWRBAND;

    if (u->rcv_head)
        r |= POLLIN | POLLRDNORM;
    if (u->pcb.so_error)
        r |= POLLERR;
    if (u->shut & 1)
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (u->shut == 3)
        r |= POLLHUP;
    return r;
}

int udp_shutdown(struct shard *sh, struct udpcb *u, int how)
{
    u->shut |= (uint8_t)(how + 1); /* SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 as Linux's bits 1, 2, 3 */
    pcb_event(sh, &u->pcb, (u->shut & 1 ? EV_IN | EV_RDHUP : 0) | (u->shut == 3 ? EV_HUP : 0) | EV_OUT);
    /* It takes effect all the same (Linux: inet_shutdown). */
    return udp_connected(u) ? 0 : -ENOTCONN;
}

void udp_close(struct shard *sh, struct udpcb *u)
{
    while (u->rcv_head)
        dequeue(u);
    rte_pktmbuf_free(u->cork);
    udp_unhash(sh, u);
    if (u->pcb.flags & PCB_BOUND)
        port_release(sh->st, &u->pcb);
    filter_put(sh, u->pcb.filter);
    list_del(&u->pcb.dirty);
    u->pcb.proto = 0; /* udp_walk looks at freed ones, too */
    slab_free(&sh->udp->pcbs, u);
}
