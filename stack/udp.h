/* udp.h: UDP (RFC 768). Context and results as in tcp.h. */
#ifndef SHUNT_UDP_H
#define SHUNT_UDP_H

#include <sys/socket.h>
#include <sys/types.h>

#include "ip.h"
#include "pcb.h"

struct udpcb; /* starts with struct pcb */

int udp_init(struct shard *sh, uint32_t max_pcb);
struct udpcb *udp_open(struct shard *sh, uint16_t pcb_flags);
/* Takes the local name (port 0: chooses one). 0 or port_bind's errors. */
int udp_bind(struct shard *sh, struct udpcb *u, const struct endpoint *local);
/* Fixes the peer; binds when not bound. 0, or flow_resolve's and port_bind's errors. */
int udp_connect(struct shard *sh, struct udpcb *u, const struct endpoint *remote);
int udp_disconnect(struct shard *sh, struct udpcb *u);
/* One datagram; to NULL: the connected peer; msg_name is not looked at. Bytes or -errno (-EDESTADDRREQ,
 * -EMSGSIZE, -EACCES, -ENETUNREACH, ...). control: IP_PKTINFO, IP_TTL, IP_TOS. */
ssize_t udp_send(struct shard *sh, struct udpcb *u, const struct msghdr *msg, const struct endpoint *to,
                 int flags);
/* One datagram into msg (iov, name as sockaddr of the socket's family, control, msg_flags with MSG_TRUNC);
 * flags MSG_PEEK, MSG_TRUNC. Bytes or -EAGAIN, error. */
ssize_t udp_recv(struct shard *sh, struct udpcb *u, struct msghdr *msg, int flags);
size_t udp_next_len(const struct udpcb *u); /* FIONREAD */
unsigned udp_poll(const struct udpcb *u);
int udp_shutdown(struct shard *sh, struct udpcb *u, int how);
void udp_close(struct shard *sh, struct udpcb *u);
int udp_setopt(struct shard *sh, struct udpcb *u, int level, int name, const void *val, uint32_t len);
int udp_getopt(struct shard *sh, struct udpcb *u, int level, int name, void *val, uint32_t *len);

void udp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri); /* takes ownership */
void udp_icmp(struct shard *sh, const struct icmp_error *e);
/* UDP-Lite (RFC 3828): the same, but for these. */
struct udpcb *udplite_open(struct shard *sh, uint16_t pcb_flags);
void udplite_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri); /* takes ownership */
/* As tcp_mend. */
void udp_mend(struct shard *sh);
void udp_walk(const struct shard *sh,
              void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg);

#endif
