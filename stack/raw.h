/* raw.h: raw sockets (raw(7), RFC 3542 section 3): whole IP packets of one protocol.
 *
 * Theory of operation. A raw socket gets a copy of every packet of its protocol that this host takes, before
 * the protocol itself: of TCP's, UDP's and ICMP's too, after reassembly, whether their checksums are right or
 * not. The copy is a clone that shares the packet's buffers. An IPv4 socket reads from the IP header on, an
 * IPv6 socket what follows the headers. IP_HDRINCL (always on with IPPROTO_RAW) makes the program write the
 * header; length, checksum, and source and identification where it left zeros, are filled in as Linux does.
 *
 * Who may have one. Linux asks for CAP_NET_RAW, which stands for power over a network namespace. A stack is
 * its user's own namespace (ports under 1024 are free, too), so that everybody may; what a link lets out is
 * the link's affair.
 *
 * Differs: MSG_MORE does not collect, each send is a packet.
 *
 * Context and results as in udp.h.
 */
#ifndef SHUNT_RAW_H
#define SHUNT_RAW_H

#include "dgram.h"

/* Options of level SOL_RAW that <netinet/in.h> lacks. */
#define RAW_ICMP_FILTER 1 /* <linux/icmp.h>: ICMP_FILTER */

enum raw_flag { RAW_HDRINCL = 1u << 0, RAW_CKSUM = 1u << 1 /* IPV6_CHECKSUM: cksum_at says where */ };

struct rawcb {
    struct dgram d; /* d.pcb.hash: in the chain of its protocol */
    uint16_t proto; /* IPPROTO_*; above 255: one that no packet has */
    uint8_t flags;  /* enum raw_flag */
    int32_t cksum_at;
    uint32_t icmp_block[8]; /* ICMP_FILTER (word 0) or ICMP6_FILTER: a bit a type, 1: not wanted */
};

int raw_init(struct shard *sh, uint32_t max_pcb);
struct rawcb *raw_open(struct shard *sh, uint16_t pcb_flags, int protocol);
void raw_close(struct shard *sh, struct rawcb *r);
/* The address has been found bindable; may be repeated. -EINVAL: connected. */
int raw_bind(struct shard *sh, struct rawcb *r, const struct endpoint *local);
int raw_connect(struct shard *sh, struct rawcb *r, const struct endpoint *remote);
int raw_disconnect(struct shard *sh, struct rawcb *r);
ssize_t raw_send(struct shard *sh, struct rawcb *r, const struct msghdr *msg, const struct endpoint *to,
                 int flags);
int raw_setopt(struct shard *sh, struct rawcb *r, int level, int name, const void *val, uint32_t len);
int raw_getopt(struct shard *sh, struct rawcb *r, int level, int name, void *val, uint32_t *len);

/* A packet for this host, m at the transport header: to all who want it. True: somebody did. m stays the
 * caller's. */
bool raw_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri);
static inline bool raw_wanted(const struct shard *sh)
{
    return sh->nraw != 0;
}
void raw_icmp(struct shard *sh, const struct icmp_error *e);
/* As tcp_mend. */
void raw_mend(struct shard *sh);
/* Where the control blocks lie, for who goes through them; one that is not in use says so. */
const struct slab *raw_pcbs(const struct shard *sh);
void raw_walk(const struct shard *sh,
              void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg);

#endif
