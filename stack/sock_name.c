/* sock_name.c: bind, getsockname, getpeername. */
#include <errno.h>
#include <netinet/in.h>

#include "netlink.h"
#include "packet.h"
#include "port.h"
#include "shard.h"
#include "sock.h"
#include "sock_dgram.h"
#include "sock_opt_ip.h"
#include "tcp.h"
#include "udp.h"

enum { ST_SYN_SENT = 2, ST_CLOSE = 7, ST_LISTEN = 10 };

/* True if a socket may be bound to a (inet_addr_valid_or_nonlocal, ipv6_chk_addr). */
static bool bindable(const struct stack *st, const struct sock *s, const struct ipaddr *a)
{
    return ipaddr_is_any(a) || ip_is_local(st, a) || ipaddr_is_multicast(a) || ip_is_broadcast(st, a) ||
           sock_stored(s, IPPROTO_IP, IP_FREEBIND) || sock_stored(s, IPPROTO_IP, IP_TRANSPARENT) ||
           sock_stored(s, IPPROTO_IPV6, OPT_IPV6_FREEBIND) ||
           sock_stored(s, IPPROTO_IPV6, OPT_IPV6_TRANSPARENT);
}

/* inet6_bind: an address that means nothing without its link must say which, and binds the socket to it. */
static int check_zone(struct stack *st, struct sock *s, const struct ipaddr *a)
{
    unsigned zone = ipaddr_zone(a);

    if (!ipaddr_needs_zone(a))
        return 0;
    if (!zone)
        return -EINVAL;
    if (zone > st->nif)
        return -ENODEV;
    return 0;
}

static int do_bind(struct stack *st, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    struct pcb *pcb = s->pcb;
    struct endpoint local;
    struct sockaddr_in sin;
    int r;

    if (s->kind == KIND_RAW && s->domain == AF_INET && len >= sizeof sin) { /* raw_bind looks at no family */
        memcpy(&sin, sa, sizeof sin);
        sin.sin_family = AF_INET;
        sa = (struct sockaddr *)&sin;
    }
    if (s->kind == KIND_PACKET)
        return packet_bind(s->sh, sock_packet(s), (const struct sockaddr_ll *)(const void *)sa, len);
    if (s->kind == KIND_NETLINK)
        return netlink_bind(s->sh, sock_netlink(s), sa, len);
    if (s->domain == AF_INET6 && len < SIN6_LEN_RFC2133)
        return -EINVAL;
    r = sock_addr_get(s, sa, len, &local);
    if (r == -ENETUNREACH || (r == 0 && s->domain == AF_INET6 && sa->sa_family == AF_INET))
        return r ? -EINVAL
                 : -EAFNOSUPPORT; /* inet6_bind: an IPv4 address on a V6ONLY socket; a sockaddr_in */
    if (r)
        return r;
    /* inet6_bind: no stream from a group. */
    if (s->domain == AF_INET6 && s->type == SOCK_STREAM && ipaddr_is_multicast(&local.addr) &&
        !ipaddr_is_v4(&local.addr))
        return -EINVAL;
    r = check_zone(st, s, &local.addr);
    if (r)
        return r;
    if (!bindable(st, s, &local.addr))
        return -EADDRNOTAVAIL;
    if (s->kind == KIND_RAW) /* no port: as often as it likes */
        return sock_dgram_bind(s, &local);
    if ((pcb->flags & PCB_BOUND) || (sock_is_tcp(s) && tcp_state(sock_tcb(s)) != ST_CLOSE))
        return -EINVAL;
    if (!local.port_be && s->kind != KIND_PING && sock_stored(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)) {
        pcb->local.addr = local.addr; /* connect chooses the port, when it knows the peer */
        pcb->flags |= PCB_ADDR_LOCKED;
        return 0;
    }
    r = sock_is_tcp(s) ? port_bind(st, s->sh, pcb, &local) : sock_dgram_bind(s, &local);
    if (r)
        return r;
    if (!ipaddr_is_any(&local.addr))
        pcb->flags |= PCB_ADDR_LOCKED;
    if (ipaddr_zone(&local.addr))
        pcb->ifindex = (uint8_t)(ipaddr_zone(&local.addr) - 1);
    if (local.port_be)
        pcb->flags |= PCB_PORT_LOCKED;
    return 0;
}

int sock_bind(struct stack *st, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    int r;

    st->port_range = sock_ip_port_range(s);
    r = do_bind(st, s, sa, len);
    st->port_range = 0;
    return r;
}

int sock_getsockname(struct sock *s, struct sockaddr *sa, socklen_t *len)
{
    if (s->kind == KIND_PACKET)
        return packet_getname(s->sh, sock_packet(s), sa, len);
    if (s->kind == KIND_NETLINK)
        return netlink_getname(sock_netlink(s), false, sa, len);
    return sock_addr_put(s, &s->pcb->local, sa, len);
}

int sock_getpeername(struct sock *s, struct sockaddr *sa, socklen_t *len)
{
    if (s->kind == KIND_PACKET)
        return -EOPNOTSUPP;
    if (s->kind == KIND_NETLINK)
        return netlink_getname(sock_netlink(s), true, sa, len);
    if (sock_is_tcp(s)) {
        int state = tcp_state(sock_tcb(s));

        if (state == ST_CLOSE || state == ST_SYN_SENT || state == ST_LISTEN)
            return -ENOTCONN;
    }
    if (!s->pcb->remote.port_be)
        return -ENOTCONN;
    return sock_addr_put(s, &s->pcb->remote, sa, len);
}
