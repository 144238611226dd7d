/* dgram_opt.c: the options that every datagram socket has: buffers, control messages with received packets,
 * path MTU discovery, multicast sending (socket(7), ip(7), ipv6(7)). What only UDP or only raw sockets have
 * is theirs; the rest is sock_opt.c's. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>

#include "dgram_mc.h"
#include "errq.h"

/* Options that are one bit of dgram.flags. */
static const struct {
    int level, name;
    uint32_t flag;
} bits[] = {
    {IPPROTO_IP, IP_PKTINFO, DG_PKTINFO},
    {IPPROTO_IP, IP_RECVTTL, DG_RECVTTL},
    {IPPROTO_IP, IP_RECVTOS, DG_RECVTOS},
    {IPPROTO_IP, IP_RECVOPTS, DG_RECVOPTS},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, DG_ORIGDST},
    {IPPROTO_IP, IP_MULTICAST_LOOP, DG_MC_LOOP},
    {IPPROTO_IP, IP_MULTICAST_ALL, DG_MC_ALL},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, DG_PKTINFO6},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, DG_HOPLIMIT6},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, DG_TCLASS6},
    {IPPROTO_IPV6, DGRAM_IPV6_ORIGDSTADDR, DG_ORIGDST6},
    {IPPROTO_IPV6, DGRAM_IPV6_FLOWINFO, DG_FLOWINFO6},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, DG_2292PKTINFO6},
    {IPPROTO_IPV6, IPV6_2292HOPLIMIT, DG_2292HOPLIMIT6},
    {IPPROTO_IPV6, IPV6_DONTFRAG, DG_DONTFRAG6},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, DG_MC_LOOP6},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, DG_MC_ALL6},
    {SOL_SOCKET, SO_NO_CHECK, DG_NO_CHECK},
    {SOL_SOCKET, SO_RXQ_OVFL, DG_RXQ_OVFL},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, DG_ERRQ_PRI},
};

static uint32_t find_bit(int level, int name)
{
    for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (bits[i].level == level && bits[i].name == name)
            return bits[i].flag;
    return 0;
}

#define SNDBUF_MIN 4608 /* Linux: SOCK_MIN_SNDBUF */
#define RCVBUF_MIN 2304

/* Linux doubles what is asked for, to make up for its overhead, and shows the doubled value. A negative
 * number is a large one. */
static uint32_t buf_bytes(int v, int64_t max, uint32_t least)
{
    uint32_t n = (uint32_t)v > max ? (uint32_t)max : (uint32_t)v;

    n *= 2;
    return n < least ? least : n;
}

static void set_bit(struct dgram *d, uint32_t bit, bool on)
{
    d->flags = on ? d->flags | bit : d->flags & ~bit;
}

static int set_socket(struct shard *sh, struct dgram *d, int name, int v, const void *val, uint32_t len)
{
    const struct tunables *set = &sh->st->set;

    switch (name) {
    case SO_SNDBUF:
        d->sndbuf = buf_bytes(v, set->wmem_max, SNDBUF_MIN);
        return 0;
    case SO_SNDBUFFORCE:
        d->sndbuf = buf_bytes(v < 0 ? 0 : v, INT_MAX / 2, SNDBUF_MIN);
        return 0;
    case SO_RCVBUF:
        d->rcvbuf = buf_bytes(v, set->rmem_max, RCVBUF_MIN);
        return 0;
    case SO_RCVBUFFORCE:
        d->rcvbuf = buf_bytes(v < 0 ? 0 : v, INT_MAX / 2, RCVBUF_MIN);
        return 0;
    case SO_PEEK_OFF:
        d->peek_off = v; /* any negative number turns it off */
        set_bit(d, DG_PEEK_MOVES, v >= 0);
        return 0;
    default: {
        int r = stamp_setopt(sh, &d->stamp, name, val, len);

        set_bit(d, DG_STAMP, stamp_wants_rx(&d->stamp));
        return r;
    }
    }
}

/* Who wants no more errors loses those that wait. */
static void set_recverr(struct shard *sh, struct dgram *d, uint16_t flag, bool on)
{
    d->pcb.flags = (uint16_t)(on ? d->pcb.flags | flag : d->pcb.flags & ~flag);
    if (!on)
        errq_purge(sh, &d->pcb);
}

static int set_ip(struct shard *sh, struct dgram *d, int name, int v)
{
    switch (name) {
    case IP_RECVERR:
        set_recverr(sh, d, PCB_RECVERR, v);
        return 0;
    case IP_MTU_DISCOVER:
        if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT)
            return -EINVAL;
        d->pmtudisc = (uint8_t)v;
        d->flow.gen = 0; /* its MTU may be the link's */
        return 0;
    case IP_MULTICAST_TTL:
        if (v < -1 || v > 255)
            return -EINVAL;
        d->mc_ttl = v < 0 ? 1 : (uint8_t)v;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int set_ip6(struct shard *sh, struct dgram *d, int name, int v)
{
    switch (name) {
    case IPV6_RECVERR:
        set_recverr(sh, d, PCB_RECVERR6, v);
        return 0;
    case IPV6_MTU_DISCOVER:
        if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT)
            return -EINVAL;
        d->pmtudisc6 = (uint8_t)v;
        d->flow.gen = 0;
        return 0;
    case IPV6_MULTICAST_HOPS:
        if (v < -1 || v > 255)
            return -EINVAL;
        d->mc_hops6 = v < 0 ? 1 : (int16_t)v;
        return 0;
    case IPV6_UNICAST_HOPS:
        if (v < -1 || v > 255)
            return -EINVAL;
        d->hops6 = (int16_t)v;
        return 0;
    case IPV6_TCLASS:
        if (v < -1 || v > 255)
            return -EINVAL;
        d->tclass6 = v < 0 ? 0 : (int16_t)v;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

/* IP_UNICAST_IF, IPV6_UNICAST_IF: an interface number in network order. */
static int set_unicast_if(const struct shard *sh, const struct dgram *d, uint32_t index_be, uint8_t *slot)
{
    int i = stack_if_of(sh->st, (int)ntohl(index_be));

    if (index_be && i < 0)
        return -EADDRNOTAVAIL;
    if (index_be && d->pcb.ifindex && d->pcb.ifindex != i)
        return -EINVAL;
    *slot = index_be ? (uint8_t)(i + 1) : 0;
    return 0;
}

int dgram_setopt(struct shard *sh, struct dgram *d, int level, int name, const void *val, uint32_t len)
{
    uint32_t bit = find_bit(level, name);
    int v = 0, r;

    if (level != SOL_SOCKET && level != IPPROTO_IP && level != IPPROTO_IPV6)
        return -ENOPROTOOPT;
    r = level == SOL_SOCKET ? -ENOPROTOOPT : dgram_mc_setopt(sh, d, level, name, val, len);
    if (r != -ENOPROTOOPT)
        return r;
    if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    else if (len && level == IPPROTO_IP) /* Linux takes a byte for these (do_ip_setsockopt) */
        v = *(const uint8_t *)val;
    else
        return -EINVAL;
    if (bit) {
        if ((bit & (DG_MC_ALL | DG_MC_LOOP6)) && v != 0 && v != 1)
            return -EINVAL;
        set_bit(d, bit, v);
        return 0;
    }
    if (level == IPPROTO_IP && name == IP_UNICAST_IF)
        return len == sizeof v ? set_unicast_if(sh, d, (uint32_t)v, &d->uc_if) : -EINVAL;
    if (level == IPPROTO_IPV6 && name == DGRAM_IPV6_UNICAST_IF)
        return len == sizeof v ? set_unicast_if(sh, d, (uint32_t)v, &d->uc_if6) : -EINVAL;
    if (level == SOL_SOCKET)
        return set_socket(sh, d, name, v, val, len);
    return level == IPPROTO_IP ? set_ip(sh, d, name, v) : set_ip6(sh, d, name, v);
}

/* IP_MTU, IPV6_MTU: of the path to the peer. */
static int get_mtu(struct shard *sh, struct dgram *d, int *v)
{
    struct dgram_tx tx;

    if (ipaddr_is_any(&d->pcb.remote.addr))
        return -ENOTCONN;
    dgram_tx_init(sh, d, &tx);
    if (dgram_flow(sh, d, &d->pcb.remote.addr, &tx))
        return -ENOTCONN;
    /* What dgram_flow makes of it for IP_PMTUDISC_PROBE and its like is not the path's. */
    d->flow.gen = 0;
    if (flow_resolve(sh, &d->flow))
        return -ENOTCONN;
    *v = (int)d->flow.mtu;
    d->flow.dst = IPADDR_ANY;
    return 0;
}

static int get_int(struct shard *sh, struct dgram *d, int level, int name, int *v)
{
    uint8_t uc_if = level == IPPROTO_IP ? d->uc_if : d->uc_if6;

    if ((level == IPPROTO_IP && name == IP_UNICAST_IF) ||
        (level == IPPROTO_IPV6 && name == DGRAM_IPV6_UNICAST_IF)) {
        *v = uc_if ? (int)htonl((uint32_t)stack_if_shown(sh->st, uc_if - 1u)) : 0;
        return 0;
    }
    if (level == SOL_SOCKET) {
        if (name != SO_RCVBUF && name != SO_SNDBUF && name != SO_PEEK_OFF)
            return -ENOPROTOOPT;
        *v = name == SO_PEEK_OFF ? d->peek_off : (int)(name == SO_RCVBUF ? d->rcvbuf : d->sndbuf);
        return 0;
    }
    if (level == IPPROTO_IP) {
        switch (name) {
        case IP_RECVERR:
            *v = !!(d->pcb.flags & PCB_RECVERR);
            return 0;
        case IP_MTU_DISCOVER:
            *v = d->pmtudisc;
            return 0;
        case IP_MULTICAST_TTL:
            *v = d->mc_ttl;
            return 0;
        case IP_MTU:
            return get_mtu(sh, d, v);
        default:
            return -ENOPROTOOPT;
        }
    }
    switch (name) {
    case IPV6_RECVERR:
        *v = !!(d->pcb.flags & PCB_RECVERR6);
        return 0;
    case IPV6_MTU_DISCOVER:
        *v = d->pmtudisc6;
        return 0;
    case IPV6_MULTICAST_HOPS:
        *v = d->mc_hops6;
        return 0;
    case IPV6_UNICAST_HOPS:
        *v = d->hops6 < 0 ? (int)sh->st->set.hop_limit : d->hops6;
        return 0;
    case IPV6_TCLASS:
        *v = d->tclass6;
        return 0;
    case IPV6_MTU:
        return get_mtu(sh, d, v);
    default:
        return -ENOPROTOOPT;
    }
}

int dgram_getopt(struct shard *sh, struct dgram *d, int level, int name, void *val, uint32_t *len)
{
    uint32_t bit = find_bit(level, name);
    int v = !!(d->flags & bit), r = 0;

    if (level != SOL_SOCKET && level != IPPROTO_IP && level != IPPROTO_IPV6)
        return -ENOPROTOOPT;
    r = level == SOL_SOCKET ? stamp_getopt(&d->stamp, name, val, len)
                            : dgram_mc_getopt(sh, d, level, name, val, len);
    if (r != -ENOPROTOOPT)
        return r;
    r = 0;
    if (!bit)
        r = get_int(sh, d, level, name, &v);
    if (r)
        return r;
    if (level == IPPROTO_IP && *len > 0 && *len < sizeof v && v >= 0 && v <= 255) {
        *(uint8_t *)val = (uint8_t)v; /* do_ip_getsockopt */
        *len = 1;
        return 0;
    }
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}
