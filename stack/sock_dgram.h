/* sock_dgram.h: the sockets that are not TCP's (UDP, raw, ping, packet, netlink): which protocol's function a
 * call is. Results are the functions' own (udp.h, raw.h, ping.h, packet.h). Known to sock*.c alone. */
#ifndef SHUNT_SOCK_DGRAM_H
#define SHUNT_SOCK_DGRAM_H

#include "sock.h"

/* The kind of socket(domain, type, protocol), and the protocol that getsockopt shows; -errno as inet_create
 * and packet_create give it. */
int sock_kind_of(int domain, int type, int *protocol);
/* A control block of that kind; NULL: none is left. */
struct pcb *sock_kind_open(struct shard *sh, enum sock_kind kind, int domain, int type, int protocol);

struct packetcb *sock_packet(const struct sock *s);   /* of a packet socket */
struct netlinkcb *sock_netlink(const struct sock *s); /* of a netlink socket */
void sock_dgram_close(struct sock *s);
int sock_dgram_bind(struct sock *s, const struct endpoint *local);
int sock_dgram_connect(struct sock *s, const struct endpoint *peer);
int sock_dgram_disconnect(struct sock *s);
int sock_dgram_shutdown(struct sock *s, int how);
uint32_t sock_dgram_poll(const struct sock *s);
size_t sock_dgram_next_len(const struct sock *s);
int sock_dgram_shut(const struct sock *s); /* 1: no more reading, 2: no more writing */
/* When the datagram read last came, shard clock; 0: none was read. */
uint64_t sock_dgram_last_ns(const struct sock *s);
ssize_t sock_dgram_send(struct sock *s, const struct msghdr *msg, const struct endpoint *to, int flags);
ssize_t sock_dgram_recv(struct sock *s, struct msghdr *msg, int flags);
int sock_dgram_setopt(struct sock *s, int level, int name, const void *val, uint32_t len);
int sock_dgram_getopt(struct sock *s, int level, int name, void *val, uint32_t *len);

#endif
