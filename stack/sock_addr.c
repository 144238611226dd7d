/* sock_addr.c: sockaddrs of AF_INET and AF_INET6 to end points and back. */
#include <errno.h>
#include <netinet/in.h>

#include "sock.h"
#include "user.h"

static int get_in(const struct sockaddr *sa, socklen_t len, struct endpoint *out)
{
    struct sockaddr_in sin;

    if (len < sizeof sin)
        return -EINVAL;
    memcpy(&sin, sa, sizeof sin);
    out->port_be = sin.sin_port;
    out->addr = sin.sin_addr.s_addr ? ipaddr_v4(sin.sin_addr.s_addr) : IPADDR_ANY;
    return 0;
}

int sock_addr_get(const struct sock *s, const struct sockaddr *sa, socklen_t len, struct endpoint *out)
{
    bool v6only = s->pcb->flags & PCB_V6ONLY;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    int r;

    if (len < sizeof sa->sa_family)
        return -EINVAL;
    if (s->domain == AF_INET) {
        if (len < sizeof(struct sockaddr_in))
            return -EINVAL;
        /* BIND compatibility: AF_UNSPEC with INADDR_ANY is taken for AF_INET (inet_bind); connect and send
         * never get here with it. */
        r = get_in(sa, len, out);
        if (sa->sa_family == AF_UNSPEC && ipaddr_is_any(&out->addr))
            return r;
        return sa->sa_family == AF_INET ? r : -EAFNOSUPPORT;
    }
    /* Datagram sockets of AF_INET6 take IPv4 addresses as they are (udpv6_sendmsg, ip6_datagram_connect). */
    if (sa->sa_family == AF_INET && s->type == SOCK_DGRAM)
        return v6only ? -ENETUNREACH : get_in(sa, len, out);
    if (len < SIN6_LEN_RFC2133)
        return -EINVAL;
    if (sa->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    memcpy(out->addr.b, &in6->sin6_addr, sizeof out->addr.b);
    out->port_be = in6->sin6_port;
    if (ipaddr_needs_zone(&out->addr)) {
        uint32_t zone = s->pcb->ifindex ? s->pcb->ifindex + 1u : 0;

        if (out->addr.b[2] | out->addr.b[3]) /* no such address: the zone's place must be empty */
            return -EINVAL;
        if (len >= sizeof *in6 && in6->sin6_scope_id) {
            int ifindex = stack_if_of(s->sh->st, (int)in6->sin6_scope_id);

            if (zone && ifindex + 1 != (int)zone) /* bound to another link */
                return -EINVAL;
            if (ifindex < 0)
                return -ENODEV;
            zone = (uint32_t)ifindex + 1;
        }
        ipaddr_set_zone(&out->addr, zone);
    }
    if (v6only && ipaddr_is_v4(&out->addr))
        return -ENETUNREACH;
    if (ipaddr_is_any(&out->addr))
        out->addr = IPADDR_ANY;
    return 0;
}

struct ipaddr sock_this_host(const struct sock *s, const struct sockaddr *sa)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;

    if (s->domain == AF_INET || sa->sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
        (ipaddr_is_v4(&s->pcb->local.addr)))
        return ipaddr_v4(htonl(INADDR_LOOPBACK));
    return (struct ipaddr){.b = {[15] = 1}};
}

int sock_addr_put(const struct sock *s, const struct endpoint *e, struct sockaddr *sa, socklen_t *len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } u;
    socklen_t full, room;

    if (!user_copy(&room, len, sizeof room))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    memset(&u, 0, sizeof u);
    if (s->domain == AF_INET6) {
        u.in6.sin6_family = AF_INET6;
        u.in6.sin6_port = e->port_be;
        struct ipaddr a = ipaddr_unzoned(&e->addr);

        memcpy(&u.in6.sin6_addr, a.b, sizeof a.b);
        if (ipaddr_zone(&e->addr))
            u.in6.sin6_scope_id = (uint32_t)stack_if_shown(s->sh->st, ipaddr_zone(&e->addr) - 1);
        full = sizeof u.in6;
    } else {
        u.in.sin_family = AF_INET;
        u.in.sin_port = e->port_be;
        u.in.sin_addr.s_addr = ipaddr_is_v4(&e->addr) ? ipaddr_get_v4(&e->addr) : 0;
        full = sizeof u.in;
    }
    return user_copy(sa, &u, room < full ? room : full) && user_copy(len, &full, sizeof full) ? 0 : -EFAULT;
}
