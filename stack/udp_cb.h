/* udp_cb.h: the UDP control block and table. Known to udp*.c alone.
 *
 * Theory of operation. A bound, unconnected pcb stands in the bound table under (local address, local port),
 * the address being any for a wildcard; a connected one stands in the connected table under its four names,
 * and nowhere else: it only takes what its peer sends. A datagram looks for its connected pcb, then for one
 * bound to its destination, then for a wildcard: Linux's order (udp4_lib_lookup). In a chain the best score
 * wins, the youngest of equals; pcbs with SO_REUSEPORT share by the flow's hash.
 *
 * The receive queue is the received mbufs, data starting at the UDP payload. The headers still stand before
 * it, and recvmsg reads sender, destination, TTL and TOS from there.
 */
#ifndef SHUNT_UDP_CB_H
#define SHUNT_UDP_CB_H

#include "pkt.h"
#include "udp.h"

#define UDP_BUCKETS  65536
#define UDP_OVERHEAD 512   /* what a queued datagram costs of SO_RCVBUF beside its bytes */
#define UDP_MAX_DATA 65507 /* what an IPv4 packet can carry behind a 20-byte header */

enum udp_flag {
    UF_PKTINFO = 1u << 0,  /* IP_PKTINFO */
    UF_RECVTTL = 1u << 1,  /* IP_RECVTTL */
    UF_RECVTOS = 1u << 2,  /* IP_RECVTOS */
    UF_ORIGDST = 1u << 3,  /* IP_RECVORIGDSTADDR */
    UF_PKTINFO6 = 1u << 4, /* IPV6_RECVPKTINFO */
    UF_RECVERR = 1u << 5,  /* IP_RECVERR: ICMP errors count without a peer, too */
    UF_CORK = 1u << 6,     /* UDP_CORK */
    UF_NO_CHECK = 1u << 7, /* SO_NO_CHECK */
};

struct udpcb {
    struct pcb pcb;
    struct rte_mbuf *rcv_head, *rcv_tail; /* linked by pkt_meta.link */
    uint32_t rcv_mem, rcvbuf, sndbuf;
    uint16_t flags;   /* enum udp_flag */
    uint8_t shut;     /* 1: no more reading, 2: no more writing */
    uint8_t pmtudisc; /* IP_PMTUDISC_* */
    uint8_t mc_ttl;
    struct flow flow;      /* the way to the last destination */
    struct rte_mbuf *cork; /* the datagram under construction */
    struct endpoint cork_to;
    uint64_t drops;
};

struct udp_table {
    struct slab pcbs;
    uint32_t nconn;
    /* Chains of pcb.hash. A head is initialised with its first entry, so that unused ones cost no memory. */
    struct list bound[UDP_BUCKETS];
    struct list conn[UDP_BUCKETS];
};

/* What a queued datagram's headers say. */
struct udp_dgram {
    struct endpoint from, to;
    uint8_t ttl, tos, ifindex;
};
void udp_dgram_read(struct rte_mbuf *m, struct udp_dgram *d);

/* Puts the pcb into the table that its names ask for; takes it out. */
void udp_hash(struct shard *sh, struct udpcb *u);
void udp_unhash(struct shard *sh, struct udpcb *u);
/* The receiver of a datagram from `from` to `to`, NULL when there is none. ifindex 0: whatever interface. */
struct udpcb *udp_lookup(struct shard *sh, const struct endpoint *to, const struct endpoint *from,
                         unsigned ifindex);

static inline bool udp_connected(const struct udpcb *u)
{
    return u->pcb.remote.port_be != 0;
}

/* Takes the pending error: 0 or -errno. */
static inline int udp_take_error(struct udpcb *u)
{
    int err = u->pcb.so_error;

    u->pcb.so_error = 0;
    return -err;
}

#endif
