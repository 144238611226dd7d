/* udp_opt.c: UDP's own options (udp(7)); those of all datagram sockets are dgram_opt.c's, the rest
 * sock_opt.c's. */
#include <errno.h>
#include <netinet/udp.h>

#include "udp_cb.h"

/* <linux/udp.h>, which excludes <netinet/udp.h> */
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11

/* The end of a cork sends what was collected, by a send of nothing. */
static int uncork(struct shard *sh, struct udpcb *u)
{
    struct msghdr none = {0};
    ssize_t r = u->cork ? udp_send(sh, u, &none, NULL, 0) : 0;

    return r < 0 ? (int)r : 0;
}

static void set_flag(struct udpcb *u, uint16_t flag, bool on)
{
    u->flags = (uint16_t)(on ? u->flags | flag : u->flags & ~flag);
}

static bool is_lite(const struct udpcb *u)
{
    return u->d.pcb.proto == IPPROTO_UDPLITE;
}

/* UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV (udp_lib_setsockopt): 0 is all. */
static int set_coverage(struct udpcb *u, int name, int v)
{
    if (!is_lite(u))
        return -ENOPROTOOPT;
    if (v != 0 && v < 8)
        v = 8;
    else if (v > UINT16_MAX)
        v = UINT16_MAX;
    if (name == UDPLITE_SEND_CSCOV)
        u->send_cov = (uint16_t)v;
    else
        u->recv_cov = v ? (uint32_t)v : UDPLITE_ALL;
    return 0;
}

int udp_setopt(struct shard *sh, struct udpcb *u, int level, int name, const void *val, uint32_t len)
{
    int v;

    if (is_lite(u) &&
        ((level == SOL_SOCKET && name == SO_NO_CHECK) || (level != SOL_SOCKET && name == UDP_NO_CHECK6_TX)))
        return 0; /* RFC 3828 section 3.1: there is no datagram without one */
    if (level != IPPROTO_UDP && level != IPPROTO_UDPLITE)
        return dgram_setopt(sh, &u->d, level, name, val, len);
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    switch (name) {
    case UDP_CORK:
        set_flag(u, UF_CORK, v);
        return v ? 0 : uncork(sh, u);
    case UDP_NO_CHECK6_TX:
        set_flag(u, UF_NO_CHECK6, v);
        return 0;
    case UDP_NO_CHECK6_RX:
        set_flag(u, UF_NO_CHECK6_RX, v);
        return 0;
    case UDP_SEGMENT:
        if (v < 0 || v > UINT16_MAX)
            return -EINVAL;
        u->gso = (uint16_t)v;
        return 0;
    case UDPLITE_SEND_CSCOV:
    case UDPLITE_RECV_CSCOV:
        return set_coverage(u, name, v);
    case UDP_GRO:
        u->d.flags = v ? u->d.flags | DG_GRO : u->d.flags & ~(uint32_t)DG_GRO;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int udp_getopt(struct shard *sh, struct udpcb *u, int level, int name, void *val, uint32_t *len)
{
    int v;

    if (is_lite(u) && level == SOL_SOCKET && name == SO_NO_CHECK) {
        v = 0;
        *len = RTE_MIN(*len, (uint32_t)sizeof v);
        memcpy(val, &v, *len);
        return 0;
    }
    if (level != IPPROTO_UDP && level != IPPROTO_UDPLITE)
        return dgram_getopt(sh, &u->d, level, name, val, len);
    switch (name) {
    case UDP_CORK:
        v = !!(u->flags & UF_CORK);
        break;
    case UDP_NO_CHECK6_TX:
        v = !is_lite(u) && (u->flags & UF_NO_CHECK6);
        break;
    case UDP_NO_CHECK6_RX:
        v = !!(u->flags & UF_NO_CHECK6_RX);
        break;
    case UDP_SEGMENT:
        v = u->gso;
        break;
    case UDP_GRO:
        v = !!(u->d.flags & DG_GRO);
        break;
    case UDPLITE_SEND_CSCOV:
        v = u->send_cov;
        break;
    case UDPLITE_RECV_CSCOV:
        v = u->recv_cov == UDPLITE_ALL ? 0 : (int)u->recv_cov;
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}
