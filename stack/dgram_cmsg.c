/* dgram_cmsg.c: control messages of datagram sockets: what comes with a received packet and what a send may
 * ask for (dgram.h; ip(7), ipv6(7), RFC 3542). Order and refusals are Linux's (sock_recv_cmsgs, ip_cmsg_recv,
 * ip6_datagram_recv_ctl; ip_cmsg_send, ip6_datagram_send_ctl). */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#include "dgram.h"
#include "ifnet.h"
#include "msg.h"
#include "user.h"
#include "wire_ip4.h"
#include "wire_ip6.h"

/* ---- with what is received ---- */

/* The local address to answer a packet from: its destination, unless that was everybody's or a group's
 * (fib_compute_spec_dst). */
static uint32_t spec_dst_be(const struct shard *sh, const struct dgram *d, const struct dgram_info *info)
{
    const struct ifaddr *a;

    if (info->is_error || (d->flags & DG_NO_SPEC_DST))
        return 0;
    if (!info->bcast && !ipaddr_is_multicast(&info->to.addr))
        return ipaddr_get_v4(&info->to.addr);
    a = ifnet_source(&sh->st->ifn[info->ifindex], &info->from.addr);
    return a && ipaddr_is_v4(&a->addr) ? ipaddr_get_v4(&a->addr) : 0;
}

static void put_opts(struct msghdr *msg, size_t *used, const struct dgram_info *info)
{
    const uint8_t *opts = info->ip + IP4_HDR_LEN;

    if (info->ip && info->l4 > opts)
        msg_put_ctl(msg, used, IPPROTO_IP, IP_RECVOPTS, opts, (size_t)(info->l4 - opts));
}

/* The longest fragment, of what came in fragments. */
static void put_frag_size(const struct dgram *d, uint32_t wants, int level, int type, struct msghdr *msg,
                          size_t *used, const struct dgram_info *info)
{
    int size = info->frag_max;

    if ((d->ext->recv & wants) && size && !info->is_error)
        msg_put_ctl(msg, used, level, type, &size, sizeof size);
}

static void put_ip4(struct shard *sh, const struct dgram *d, struct msghdr *msg, size_t *used,
                    const struct dgram_info *info)
{
    if (d->flags & DG_PKTINFO) {
        struct in_pktinfo pi = {.ipi_ifindex = stack_if_shown(sh->st, info->ifindex),
                                .ipi_spec_dst.s_addr = spec_dst_be(sh, d, info),
                                .ipi_addr.s_addr = ipaddr_get_v4(&info->to.addr)};

        msg_put_ctl(msg, used, IPPROTO_IP, IP_PKTINFO, &pi, sizeof pi);
    }
    if (d->flags & DG_RECVTTL) {
        int ttl = info->ttl;

        msg_put_ctl(msg, used, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    }
    if (d->flags & DG_RECVTOS)
        msg_put_ctl(msg, used, IPPROTO_IP, IP_TOS, &info->tos, sizeof info->tos);
    if (d->flags & DG_RECVOPTS)
        put_opts(msg, used, info);
    if (d->flags & DG_ORIGDST) {
        struct sockaddr_in sin = {.sin_family = AF_INET,
                                  .sin_port = info->to.port_be,
                                  .sin_addr.s_addr = ipaddr_get_v4(&info->to.addr)};

        msg_put_ctl(msg, used, IPPROTO_IP, IP_ORIGDSTADDR, &sin, sizeof sin);
    }
    if (d->flags & DG_EXT)
        put_frag_size(d, EXT_RECV_FRAGSIZE4, IPPROTO_IP, DGRAM_IP_RECVFRAGSIZE, msg, used, info);
}

/* What an AF_INET6 socket gets with packets of either version. */
static void put_ip6_common(const struct shard *sh, const struct dgram *d, struct msghdr *msg, size_t *used,
                           const struct dgram_info *info)
{
    struct in6_pktinfo pi = {.ipi6_ifindex = (unsigned)stack_if_shown(sh->st, info->ifindex)};
    struct ipaddr to = ipaddr_unzoned(&info->to.addr);

    memcpy(&pi.ipi6_addr, to.b, 16);
    if (d->flags & DG_PKTINFO6)
        msg_put_ctl(msg, used, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof pi);
}

/* One extension header as the options of `wants` ask for it: RFC 3542's message, RFC 2292's. */
static void put_header6(uint32_t wants, uint32_t now, uint32_t old, int now_type, int old_type,
                        struct msghdr *msg, size_t *used, const uint8_t *h, size_t len)
{
    if (wants & now)
        msg_put_ctl(msg, used, IPPROTO_IPV6, now_type, h, len);
    if (wants & old)
        msg_put_ctl(msg, used, IPPROTO_IPV6, old_type, h, len);
}

/* The extension headers that stand before the transport's (ip6_datagram_recv_common_ctl). */
static void put_headers6(uint32_t wants, struct msghdr *msg, size_t *used, const struct dgram_info *info)
{
    const uint8_t *h = info->ip + IP6_HDR_LEN;
    uint8_t next = info->ip[offsetof(struct ip6_head, next)];

    while (info->e - h >= 8) {
        size_t len = next == IPPROTO_AH ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;

        if (len > (size_t)(info->e - h))
            return;
        if (next == IPPROTO_HOPOPTS)
            put_header6(wants, EXT_RECV_HOP, EXT_RECV_OHOP, IPV6_HOPOPTS, IPV6_2292HOPOPTS, msg, used, h,
                        len);
        else if (next == IPPROTO_DSTOPTS)
            put_header6(wants, EXT_RECV_DST, EXT_RECV_ODST, IPV6_DSTOPTS, IPV6_2292DSTOPTS, msg, used, h,
                        len);
        else if (next == IPPROTO_ROUTING)
            put_header6(wants, EXT_RECV_RT, EXT_RECV_ORT, IPV6_RTHDR, IPV6_2292RTHDR, msg, used, h, len);
        else if (next != IPPROTO_AH)
            return; /* the transport's; a fragment's header is gone by now */
        next = h[0];
        h += len;
    }
}

static void put_ip6(const struct shard *sh, const struct dgram *d, struct msghdr *msg, size_t *used,
                    const struct dgram_info *info)
{
    struct ipaddr to = ipaddr_unzoned(&info->to.addr);
    int hops = info->ttl, tclass = info->tos;

    if (d->flags & DG_HOPLIMIT6)
        msg_put_ctl(msg, used, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    if (d->flags & DG_TCLASS6)
        msg_put_ctl(msg, used, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof tclass);
    if ((d->flags & DG_FLOWINFO6) && info->flowinfo_be)
        msg_put_ctl(msg, used, IPPROTO_IPV6, DGRAM_IPV6_FLOWINFO, &info->flowinfo_be, 4);
    if (d->flags & DG_2292PKTINFO6) {
        struct in6_pktinfo pi = {.ipi6_ifindex = (unsigned)stack_if_shown(sh->st, info->ifindex)};

        memcpy(&pi.ipi6_addr, to.b, 16);
        msg_put_ctl(msg, used, IPPROTO_IPV6, IPV6_2292PKTINFO, &pi, sizeof pi);
    }
    if (d->flags & DG_2292HOPLIMIT6)
        msg_put_ctl(msg, used, IPPROTO_IPV6, IPV6_2292HOPLIMIT, &hops, sizeof hops);
    if (d->flags & DG_EXT)
        put_headers6(d->ext->recv, msg, used, info);
    if (d->flags & DG_ORIGDST6) {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = info->to.port_be};

        memcpy(&sin6.sin6_addr, to.b, 16);
        if (ipaddr_zone(&info->to.addr))
            sin6.sin6_scope_id = (uint32_t)stack_if_shown(sh->st, ipaddr_zone(&info->to.addr) - 1);
        msg_put_ctl(msg, used, IPPROTO_IPV6, DGRAM_IPV6_ORIGDSTADDR, &sin6, sizeof sin6);
    }
    if (d->flags & DG_EXT)
        put_frag_size(d, EXT_RECV_FRAGSIZE6, IPPROTO_IPV6, DGRAM_IPV6_RECVFRAGSIZE, msg, used, info);
}

void dgram_put_ip_ctl(struct shard *sh, const struct dgram *d, struct msghdr *msg, size_t *used,
                      const struct dgram_info *info)
{
    if (d->pcb.flags & PCB_V6)
        put_ip6_common(sh, d, msg, used, info);
    if (info->v4)
        put_ip4(sh, d, msg, used, info);
    else
        put_ip6(sh, d, msg, used, info);
}

void dgram_put_all_ctl(struct shard *sh, struct dgram *d, struct msghdr *msg, const struct rte_mbuf *m,
                       const struct dgram_info *info)
{
    uint32_t drops = pkt_meta((struct rte_mbuf *)m)->len;
    size_t used = 0;

    if (d->flags & DG_CTL) {
        if (d->flags & DG_STAMP)
            stamp_put_rx(sh, &d->stamp, msg, &used, pkt_meta((struct rte_mbuf *)m)->stamp_ns);
        if ((d->flags & DG_RXQ_OVFL) && drops)
            msg_put_ctl(msg, &used, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof drops);
        if ((d->flags & DG_GRO) && info->gso) {
            int size = info->gso;

            msg_put_ctl(msg, &used, IPPROTO_UDP, DGRAM_UDP_GRO, &size, sizeof size);
        }
        dgram_put_ip_ctl(sh, d, msg, &used, info);
    }
    msg->msg_controllen = used;
}

/* ---- with what is sent ---- */

/* An int of the control message between least and most, into *out. */
static int ctl_int(const struct cmsghdr *c, int least, int most, int *out)
{
    int v;

    if (c->cmsg_len != CMSG_LEN(sizeof v))
        return -EINVAL;
    memcpy(&v, CMSG_DATA(c), sizeof v);
    if (v < least || v > most)
        return -EINVAL;
    *out = v;
    return 0;
}

/* A source that a message asks for must be this host's (ip_route_output_key, ip6_datagram_send_ctl). */
static int ctl_source(const struct shard *sh, const struct ipaddr *a, int ifindex, struct dgram_tx *tx)
{
    int own = stack_if_of(sh->st, ifindex);

    if (ifindex && own < 0)
        return -ENODEV;
    if (!ipaddr_is_any(a)) {
        if (!ip_is_local(sh->st, a))
            return -EINVAL;
        tx->from = *a;
    }
    if (ifindex)
        tx->ifindex = (unsigned)own;
    return 0;
}

static int ctl_pktinfo6(const struct shard *sh, const struct cmsghdr *c, struct dgram_tx *tx)
{
    struct in6_pktinfo pi;
    struct ipaddr a;

    if (c->cmsg_len < CMSG_LEN(sizeof pi))
        return -EINVAL;
    memcpy(&pi, CMSG_DATA(c), sizeof pi);
    memcpy(a.b, &pi.ipi6_addr, 16);
    ipaddr_set_zone(&a, (unsigned)(stack_if_of(sh->st, (int)pi.ipi6_ifindex) + 1));
    return ctl_source(sh, &a, (int)pi.ipi6_ifindex, tx);
}

/* IP_RETOPTS: options of this packet instead of the socket's (ip_cmsg_send). */
static int ctl_options(const struct shard *sh, const struct cmsghdr *c, struct dgram_tx *tx)
{
    uint32_t len = (uint32_t)RTE_MIN(c->cmsg_len - CMSG_LEN(0), (size_t)IP4_OPTS_MAX);
    struct ip_exts *x = ip_exts_scratch(sh);

    memset(x->len, 0, sizeof x->len);
    memcpy(x->v4, CMSG_DATA(c), len);
    if (ip4_opts_check(x->v4, &len))
        return -EINVAL;
    x->v4_len = (uint8_t)len;
    tx->exts = x;
    return 0;
}

/* IPV6_HOPOPTS, IPV6_DSTOPTS: what comes by message stands for all of the socket's own (RFC 3542 section 6,
 * udpv6_sendmsg). */
static int ctl_header(const struct shard *sh, const struct cmsghdr *c, struct dgram_tx *tx, enum ip6_ext i)
{
    struct ip_exts *x = ip_exts_scratch(sh);
    const uint8_t *h = CMSG_DATA(c);
    uint32_t len;

    if (c->cmsg_len < CMSG_LEN(2))
        return -EINVAL;
    len = (h[1] + 1u) * 8;
    if (c->cmsg_len < CMSG_LEN(len))
        return -EINVAL;
    if (len > IP6_STICKY_MAX)
        return -ENOBUFS;
    if (tx->exts != x) {
        x->v4_len = 0;
        memset(x->len, 0, sizeof x->len);
        tx->exts = x;
    }
    if (x->len[i])
        return -EINVAL;
    memcpy(x->v6[i], h, len);
    x->len[i] = (uint16_t)len;
    return 0;
}

static int ctl_ip4(const struct shard *sh, const struct cmsghdr *c, struct dgram_tx *tx)
{
    struct in_pktinfo pi;

    switch (c->cmsg_type) {
    case IP_PKTINFO:
        if (c->cmsg_len != CMSG_LEN(sizeof pi))
            return -EINVAL;
        memcpy(&pi, CMSG_DATA(c), sizeof pi);
        return ctl_source(sh, &(struct ipaddr){.w = {0, 0, htonl(0xffff), pi.ipi_spec_dst.s_addr}},
                          pi.ipi_ifindex, tx);
    case IP_TTL:
        return ctl_int(c, 1, 255, &tx->ttl);
    case IP_TOS:
        if (c->cmsg_len == CMSG_LEN(1)) {
            tx->tos = *CMSG_DATA(c);
            return 0;
        }
        return ctl_int(c, 0, 255, &tx->tos);
    case IP_RETOPTS:
        return ctl_options(sh, c, tx);
    default:
        return -EINVAL;
    }
}

static int ctl_ip6(const struct shard *sh, const struct cmsghdr *c, struct dgram_tx *tx)
{
    switch (c->cmsg_type) {
    case IPV6_PKTINFO:
    case IPV6_2292PKTINFO:
        return ctl_pktinfo6(sh, c, tx);
    case IPV6_HOPLIMIT:
    case IPV6_2292HOPLIMIT:
        return ctl_int(c, -1, 255, &tx->ttl);
    case IPV6_TCLASS:
        return ctl_int(c, -1, 255, &tx->tos);
    case IPV6_DONTFRAG:
        return ctl_int(c, 0, 1, &tx->dontfrag);
    case IPV6_HOPOPTS:
    case IPV6_2292HOPOPTS:
        return ctl_header(sh, c, tx, IP6_EXT_HOP);
    case IPV6_DSTOPTS:
    case IPV6_2292DSTOPTS:
        return ctl_header(sh, c, tx, IP6_EXT_DST);
    case IPV6_RTHDRDSTOPTS: /* before a routing header, of which none is sent */
        return c->cmsg_len < CMSG_LEN(2) || c->cmsg_len < CMSG_LEN((CMSG_DATA(c)[1] + 1u) * 8) ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

/* __sock_cmsg_send: those of AF_UNIX are passed over. */
static int ctl_socket(const struct dgram *d, const struct cmsghdr *c, struct dgram_tx *tx)
{
    switch (c->cmsg_type) {
    case SO_TXTIME: /* SCM_TXTIME: a queueing discipline would wait for it; here is none */
        return (d->flags & DG_TXTIME) && c->cmsg_len == CMSG_LEN(8) ? 0 : -EINVAL;
    case SCM_RIGHTS:
    case SCM_CREDENTIALS:
        return 0;
    case SO_MARK:
        if (c->cmsg_len != CMSG_LEN(sizeof tx->mark))
            return -EINVAL;
        memcpy(&tx->mark, CMSG_DATA(c), sizeof tx->mark);
        return 0;
    case SO_TIMESTAMPING:
        if (c->cmsg_len != CMSG_LEN(sizeof tx->stamps))
            return -EINVAL;
        memcpy(&tx->stamps, CMSG_DATA(c), sizeof tx->stamps);
        return tx->stamps & ~(uint32_t)STAMP_TX_RECORD ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

/* UDP_SEGMENT, the only one of its level. Other protocols pass the level over. */
static int ctl_udp(const struct dgram *d, const struct cmsghdr *c, struct dgram_tx *tx)
{
    if (d->pcb.proto != IPPROTO_UDP)
        return 0;
    if (c->cmsg_type != DGRAM_UDP_SEGMENT || c->cmsg_len != CMSG_LEN(sizeof tx->gso))
        return -EINVAL;
    memcpy(&tx->gso, CMSG_DATA(c), sizeof tx->gso);
    tx->gso_set = 1;
    return 0;
}

static int ctl_one(const struct shard *sh, const struct dgram *d, const struct cmsghdr *c, bool v4,
                   struct dgram_tx *tx)
{
    switch (c->cmsg_level) {
    case SOL_SOCKET:
        return ctl_socket(d, c, tx);
    case IPPROTO_UDP:
        return ctl_udp(d, c, tx);
    case IPPROTO_IP:
        return v4 ? ctl_ip4(sh, c, tx) : 0;
    case IPPROTO_IPV6:
        if (v4) /* to an IPv4 address from an AF_INET6 socket (ip_cmsg_send's allow_ipv6) */
            return (d->pcb.flags & PCB_V6) && c->cmsg_type == IPV6_PKTINFO ? ctl_pktinfo6(sh, c, tx) : 0;
        return ctl_ip6(sh, c, tx);
    default:
        return 0;
    }
}

int dgram_ctl_parse(const struct shard *sh, const struct dgram *d, const struct msghdr *msg, bool v4,
                    struct dgram_tx *tx)
{
    struct cmsghdr *c = NULL;
    int r, err;

    while ((r = msg_next_ctl(msg, &c)) > 0) {
        err = ctl_one(sh, d, c, v4, tx);
        if (err)
            return err;
    }
    return r;
}
