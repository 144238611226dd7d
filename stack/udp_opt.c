/* udp_opt.c: UDP's own options (udp(7)); those of all datagram sockets are dgram_opt.c's, the rest
 * sock_opt.c's. */
#include <errno.h>
#include <netinet/udp.h>

#include "udp_cb.h"

/* The end of a cork sends what was collected, by a send of nothing. */
static int uncork(struct shard *sh, struct udpcb *u)
{
    struct msghdr none = {0};
    ssize_t r = u->cork ? udp_send(sh, u, &none, NULL, 0) : 0;

    return r < 0 ? (int)r : 0;
}

int udp_setopt(struct shard *sh, struct udpcb *u, int level, int name, const void *val, uint32_t len)
{
    int v;

    if (level != IPPROTO_UDP)
        return dgram_setopt(sh, &u->d, level, name, val, len);
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    switch (name) {
    case UDP_CORK:
        u->flags = (uint16_t)(v ? u->flags | UF_CORK : u->flags & ~UF_CORK);
        return v ? 0 : uncork(sh, u);
    default:
        return -ENOPROTOOPT;
    }
}

int udp_getopt(struct shard *sh, struct udpcb *u, int level, int name, void *val, uint32_t *len)
{
    int v;

    if (level != IPPROTO_UDP)
        return dgram_getopt(sh, &u->d, level, name, val, len);
    switch (name) {
    case UDP_CORK:
        v = !!(u->flags & UF_CORK);
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}
