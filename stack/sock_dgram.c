/* sock_dgram.c: from a datagram socket's call to its protocol's function (sock_dgram.h). */
#include "sock_dgram.h"

#include <errno.h>
#include <netinet/in.h>

#include "dgram.h"
#include "netlink.h"
#include "packet.h"
#include "ping.h"
#include "raw.h"
#include "tcp.h"
#include "udp.h"

static struct rawcb *sock_raw(const struct sock *s)
{
    return (struct rawcb *)s->pcb;
}

static struct pingcb *sock_ping(const struct sock *s)
{
    return (struct pingcb *)s->pcb;
}

struct packetcb *sock_packet(const struct sock *s)
{
    return (struct packetcb *)s->pcb;
}

struct netlinkcb *sock_netlink(const struct sock *s)
{
    return (struct netlinkcb *)s->pcb;
}

static struct dgram *sock_dgram(const struct sock *s)
{
    return (struct dgram *)s->pcb;
}

int sock_kind_of(int domain, int type, int *protocol)
{
    int echo = domain == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

    if (domain == AF_PACKET)
        return type == SOCK_RAW || type == SOCK_DGRAM ? KIND_PACKET : -ESOCKTNOSUPPORT;
    if (domain == AF_NETLINK) {
        int r = netlink_knows(type, *protocol);

        return r ? r : KIND_NETLINK;
    }
    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (type < 0 || type > SOCK_PACKET || *protocol < 0 || *protocol >= IPPROTO_MAX)
        return -EINVAL;
    switch (type) {
    case SOCK_STREAM:
        if (*protocol != IPPROTO_IP && *protocol != IPPROTO_TCP)
            return -EPROTONOSUPPORT;
        *protocol = IPPROTO_TCP;
        return KIND_TCP;
    case SOCK_DGRAM:
        if (*protocol == echo)
            return KIND_PING;
        if (*protocol == IPPROTO_UDPLITE)
            return KIND_UDP;
        if (*protocol != IPPROTO_IP && *protocol != IPPROTO_UDP)
            return -EPROTONOSUPPORT;
        *protocol = IPPROTO_UDP;
        return KIND_UDP;
    case SOCK_RAW:
        return *protocol == IPPROTO_IP ? -EPROTONOSUPPORT : KIND_RAW;
    default:
        return -ESOCKTNOSUPPORT;
    }
}

/* inet6_create, unlike inet_create, leaves IP_MULTICAST_ALL off. */
static struct pcb *dgram_made(struct dgram *d)
{
    if (d && (d->pcb.flags & PCB_V6))
        d->flags &= ~(uint32_t)DG_MC_ALL;
    return (struct pcb *)d;
}

struct pcb *sock_kind_open(struct shard *sh, enum sock_kind kind, int domain, int type, int protocol)
{
    uint16_t flags = domain == AF_INET6 ? PCB_V6 | (sh->st->set.bindv6only ? PCB_V6ONLY : 0) : 0;

    switch (kind) {
    case KIND_PACKET:
        return (struct pcb *)packet_open(sh, type == SOCK_DGRAM, (uint16_t)protocol, !sh->st->isolate);
    case KIND_NETLINK:
        return (struct pcb *)netlink_open(sh, protocol);
    case KIND_TCP:
        return (struct pcb *)tcp_open(sh, flags);
    case KIND_RAW:
        return dgram_made((struct dgram *)raw_open(sh, flags, protocol));
    case KIND_PING:
        return dgram_made((struct dgram *)ping_open(sh, flags));
    default:
        return dgram_made(
            (struct dgram *)(protocol == IPPROTO_UDPLITE ? udplite_open(sh, flags) : udp_open(sh, flags)));
    }
}

void sock_dgram_close(struct sock *s)
{
    if (s->kind == KIND_RAW)
        raw_close(s->sh, sock_raw(s));
    else if (s->kind == KIND_PING)
        ping_close(s->sh, sock_ping(s));
    else if (s->kind == KIND_PACKET)
        packet_close(s->sh, sock_packet(s));
    else if (s->kind == KIND_NETLINK)
        netlink_close(s->sh, sock_netlink(s));
    else
        udp_close(s->sh, sock_udp(s));
}

int sock_dgram_bind(struct sock *s, const struct endpoint *local)
{
    if (s->kind == KIND_RAW)
        return raw_bind(s->sh, sock_raw(s), local);
    if (s->kind == KIND_PING)
        return ping_bind(s->sh, sock_ping(s), local);
    return udp_bind(s->sh, sock_udp(s), local);
}

int sock_dgram_connect(struct sock *s, const struct endpoint *peer)
{
    if (s->kind == KIND_PACKET)
        return -EOPNOTSUPP;
    if (s->kind == KIND_RAW)
        return raw_connect(s->sh, sock_raw(s), peer);
    if (s->kind == KIND_PING)
        return ping_connect(s->sh, sock_ping(s), peer);
    return udp_connect(s->sh, sock_udp(s), peer);
}

int sock_dgram_disconnect(struct sock *s)
{
    if (s->kind == KIND_PACKET)
        return -EOPNOTSUPP;
    if (s->kind == KIND_RAW)
        return raw_disconnect(s->sh, sock_raw(s));
    if (s->kind == KIND_PING)
        return ping_disconnect(s->sh, sock_ping(s));
    return udp_disconnect(s->sh, sock_udp(s));
}

int sock_dgram_shutdown(struct sock *s, int how)
{
    if (!sock_has_ip(s))
        return -EOPNOTSUPP;
    if (s->kind == KIND_UDP)
        return udp_shutdown(s->sh, sock_udp(s), how);
    return dgram_shutdown(s->sh, sock_dgram(s), how);
}

uint32_t sock_dgram_poll(const struct sock *s)
{
    if (s->kind == KIND_PACKET)
        return packet_poll(sock_packet(s));
    return s->kind == KIND_UDP ? udp_poll(sock_udp(s)) : dgram_poll(sock_dgram(s));
}

size_t sock_dgram_next_len(const struct sock *s)
{
    return s->kind == KIND_UDP ? udp_next_len(sock_udp(s)) : dgram_next_len(sock_dgram(s));
}

int sock_dgram_shut(const struct sock *s)
{
    return sock_has_ip(s) ? sock_dgram(s)->shut : 0;
}

uint64_t sock_dgram_last_ns(const struct sock *s)
{
    return sock_has_ip(s) ? sock_dgram(s)->last_ns : 0;
}

ssize_t sock_dgram_send(struct sock *s, const struct msghdr *msg, const struct endpoint *to, int flags)
{
    if (s->kind == KIND_RAW)
        return raw_send(s->sh, sock_raw(s), msg, to, flags);
    if (s->kind == KIND_PING)
        return ping_send(s->sh, sock_ping(s), msg, to, flags);
    return udp_send(s->sh, sock_udp(s), msg, to, flags);
}

ssize_t sock_dgram_recv(struct sock *s, struct msghdr *msg, int flags)
{
    if (s->kind == KIND_UDP)
        return udp_recv(s->sh, sock_udp(s), msg, flags);
    if (s->kind == KIND_PACKET)
        return packet_recv(s->sh, sock_packet(s), msg, flags);
    if (s->kind == KIND_NETLINK)
        return netlink_recv(s->sh, sock_netlink(s), msg, flags);
    if (flags & MSG_OOB) /* raw_recvmsg, ping_recvmsg; UDP passes it over */
        return -EOPNOTSUPP;
    return dgram_recv(s->sh, sock_dgram(s), msg, flags);
}

int sock_dgram_setopt(struct sock *s, int level, int name, const void *val, uint32_t len)
{
    if (s->kind == KIND_RAW)
        return raw_setopt(s->sh, sock_raw(s), level, name, val, len);
    if (s->kind == KIND_PING)
        return ping_setopt(s->sh, sock_ping(s), level, name, val, len);
    if (s->kind == KIND_PACKET)
        return packet_setopt(s->sh, sock_packet(s), level, name, val, len);
    if (s->kind == KIND_NETLINK)
        return netlink_setopt(s->sh, sock_netlink(s), level, name, val, len);
    return udp_setopt(s->sh, sock_udp(s), level, name, val, len);
}

int sock_dgram_getopt(struct sock *s, int level, int name, void *val, uint32_t *len)
{
    if (s->kind == KIND_RAW)
        return raw_getopt(s->sh, sock_raw(s), level, name, val, len);
    if (s->kind == KIND_PING)
        return ping_getopt(s->sh, sock_ping(s), level, name, val, len);
    if (s->kind == KIND_PACKET)
        return packet_getopt(s->sh, sock_packet(s), level, name, val, len);
    if (s->kind == KIND_NETLINK)
        return netlink_getopt(s->sh, sock_netlink(s), level, name, val, len);
    return udp_getopt(s->sh, sock_udp(s), level, name, val, len);
}
