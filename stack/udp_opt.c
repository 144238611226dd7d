/* udp_opt.c: the options that change what UDP does: buffers, IP_PKTINFO and its like, path MTU discovery,
 * UDP_CORK. The rest is sock_opt.c's. */
#include <errno.h>
#include <limits.h>
#include <netinet/udp.h>

#include "udp_cb.h"

/* Options that are one bit of udpcb.flags. */
static const struct {
    int level, name;
    uint16_t flag;
} bits[] = {
    {IPPROTO_IP, IP_PKTINFO, UF_PKTINFO}, {IPPROTO_IP, IP_RECVTTL, UF_RECVTTL},
    {IPPROTO_IP, IP_RECVTOS, UF_RECVTOS}, {IPPROTO_IP, IP_RECVORIGDSTADDR, UF_ORIGDST},
    {IPPROTO_IP, IP_RECVERR, UF_RECVERR}, {IPPROTO_IPV6, IPV6_RECVPKTINFO, UF_PKTINFO6},
    {IPPROTO_UDP, UDP_CORK, UF_CORK},     {SOL_SOCKET, SO_NO_CHECK, UF_NO_CHECK},
};

static int find_bit(int level, int name)
{
    for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (bits[i].level == level && bits[i].name == name)
            return (int)i;
    return -1;
}

/* The end of a cork sends what was collected, by a send of nothing. */
static int uncork(struct shard *sh, struct udpcb *u)
{
    struct msghdr none = {0};
    ssize_t r = u->cork ? udp_send(sh, u, &none, NULL, 0) : 0;

    return r < 0 ? (int)r : 0;
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

/* SO_SNDBUF and the like; false: another option. */
static bool set_buf(struct shard *sh, struct udpcb *u, int name, int v)
{
    const struct tunables *set = &sh->st->set;

    switch (name) {
    case SO_SNDBUF:
        u->sndbuf = buf_bytes(v, set->wmem_max, SNDBUF_MIN);
        return true;
    case SO_SNDBUFFORCE:
        u->sndbuf = buf_bytes(v < 0 ? 0 : v, INT_MAX / 2, SNDBUF_MIN);
        return true;
    case SO_RCVBUF:
        u->rcvbuf = buf_bytes(v, set->rmem_max, RCVBUF_MIN);
        return true;
    case SO_RCVBUFFORCE:
        u->rcvbuf = buf_bytes(v < 0 ? 0 : v, INT_MAX / 2, RCVBUF_MIN);
        return true;
    default:
        return false;
    }
}

int udp_setopt(struct shard *sh, struct udpcb *u, int level, int name, const void *val, uint32_t len)
{
    int bit = find_bit(level, name), v = 0;

    if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    else if (len && level == IPPROTO_IP) /* Linux takes a byte for these (do_ip_setsockopt) */
        v = *(const uint8_t *)val;
    else
        return -EINVAL;
    if (bit >= 0) {
        u->flags = (uint16_t)(v ? u->flags | bits[bit].flag : u->flags & ~bits[bit].flag);
        return bits[bit].flag == UF_CORK && !v ? uncork(sh, u) : 0;
    }
    if (level == SOL_SOCKET && set_buf(sh, u, name, v))
        return 0;
    if (level == IPPROTO_IP && name == IP_MTU_DISCOVER) {
        if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT)
            return -EINVAL;
        u->pmtudisc = (uint8_t)v;
        return 0;
    }
    if (level == IPPROTO_IP && name == IP_MULTICAST_TTL) {
        if (v < -1 || v > 255)
            return -EINVAL;
        u->mc_ttl = v < 0 ? 1 : (uint8_t)v;
        return 0;
    }
    return -ENOPROTOOPT;
}

int udp_getopt(struct shard *sh, struct udpcb *u, int level, int name, void *val, uint32_t *len)
{
    int bit = find_bit(level, name), v;

    if (bit >= 0)
        v = !!(u->flags & bits[bit].flag);
    else if (level == SOL_SOCKET && name == SO_RCVBUF)
        v = (int)u->rcvbuf;
    else if (level == SOL_SOCKET && name == SO_SNDBUF)
        v = (int)u->sndbuf;
    else if (level == IPPROTO_IP && name == IP_MTU_DISCOVER)
        v = u->pmtudisc;
    else if (level == IPPROTO_IP && name == IP_MULTICAST_TTL)
        v = u->mc_ttl;
    else if (level == IPPROTO_IP && name == IP_MTU) {
        if (!udp_connected(u))
            return -ENOTCONN;
        v = (int)u->flow.mtu;
    } else {
        return -ENOPROTOOPT;
    }
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}
