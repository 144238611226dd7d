/* ping.h: ping sockets (SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6; icmp(7)): echo requests out, their
 * replies in, without being a raw socket.
 *
 * Theory of operation. The identifier of the echo header takes a port's place: bind chooses it, the socket's
 * sends carry it, and a reply finds its socket by it. What is sent must be an echo request; identifier and
 * checksum are filled in. What is read begins at the ICMP header. Errors about a request find the socket by
 * the identifier in the packet they quote.
 *
 * Who may have one: Linux asks whether the group is in net.ipv4.ping_group_range. A stack is its user's own
 * (raw.h): everybody.
 *
 * Context and results as in udp.h.
 */
#ifndef SHUNT_PING_H
#define SHUNT_PING_H

#include "dgram.h"

struct pingcb {
    struct dgram d; /* d.pcb.hash: in the chain of its identifier, d.pcb.local.port_be */
    uint8_t in_use;
};

int ping_init(struct shard *sh, uint32_t max_pcb);
struct pingcb *ping_open(struct shard *sh, uint16_t pcb_flags);
void ping_close(struct shard *sh, struct pingcb *p);
/* The address has been found bindable. Port 0: an identifier that is free (-EADDRINUSE: none). -EINVAL:
 * bound. */
int ping_bind(struct shard *sh, struct pingcb *p, const struct endpoint *local);
int ping_connect(struct shard *sh, struct pingcb *p, const struct endpoint *remote);
int ping_disconnect(struct shard *sh, struct pingcb *p);
/* What is wrong with a message whatever its address is: 0 or -errno. */
int ping_send_check(const struct msghdr *msg, int flags);
ssize_t ping_send(struct shard *sh, struct pingcb *p, const struct msghdr *msg, const struct endpoint *to,
                  int flags);
int ping_setopt(struct shard *sh, struct pingcb *p, int level, int name, const void *val, uint32_t len);
int ping_getopt(struct shard *sh, struct pingcb *p, int level, int name, void *val, uint32_t *len);

/* An ICMP or ICMPv6 message for this host, m at its header: an echo reply finds its socket. m stays the
 * caller's. */
void ping_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri);
void ping_icmp(struct shard *sh, const struct icmp_error *e);
/* As tcp_mend. */
void ping_mend(struct shard *sh);
/* Where the control blocks lie, for who goes through them; one that is not in use says so. */
const struct slab *ping_pcbs(const struct shard *sh);
void ping_walk(const struct shard *sh,
               void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg);

#endif
