/* udp_cb.h: the UDP control block and table. Known to udp*.c alone.
 *
 * Theory of operation. A bound, unconnected pcb stands in the bound table under (local address, local port),
 * the address being any for a wildcard; a connected one stands in the connected table under its four names,
 * and nowhere else: it only takes what its peer sends. A datagram looks for its connected pcb, then for one
 * bound to its destination, then for a wildcard: Linux's order (udp4_lib_lookup). In a chain the best score
 * wins, the youngest of equals; pcbs with SO_REUSEPORT share by the flow's hash. UDP-Lite (RFC 3828) is the
 * same with a table, ports and a checksum of its own (udp_lite.c).
 */
#ifndef SHUNT_UDP_CB_H
#define SHUNT_UDP_CB_H

#include "dgram.h"
#include "udp.h"

#define UDP_BUCKETS      65536
#define UDP_MAX_SEGMENTS 128 /* of one UDP_SEGMENT send, as Linux */

#define UDPLITE_ALL 65536u /* what a checksum over all of a datagram counts as covering */

enum udp_flag {
    UF_CORK = 1u << 0,         /* UDP_CORK */
    UF_NO_CHECK6 = 1u << 1,    /* UDP_NO_CHECK6_TX */
    UF_NO_CHECK6_RX = 1u << 2, /* UDP_NO_CHECK6_RX */
};

struct udpcb {
    struct dgram d;
    uint16_t flags;        /* enum udp_flag */
    uint16_t gso;          /* UDP_SEGMENT; 0: none */
    uint16_t send_cov;     /* UDPLITE_SEND_CSCOV: bytes that checksums cover, 0: all */
    uint32_t recv_cov;     /* UDPLITE_RECV_CSCOV: the least that is taken; UDPLITE_ALL: all that there is */
    struct rte_mbuf *cork; /* the datagram under construction */
    struct endpoint cork_to;
    struct dgram_tx cork_tx;
};

struct udp_table {
    struct slab pcbs;
    uint32_t nconn;
    /* Chains of pcb.hash. A head is initialised with its first entry, so that unused ones cost no memory. */
    struct list bound[UDP_BUCKETS];
    struct list conn[UDP_BUCKETS];
};

/* Puts the pcb into the table that its names ask for; takes it out. */
void udp_hash(struct shard *sh, struct udpcb *u);
void udp_unhash(struct shard *sh, struct udpcb *u);
int udp_autobind(struct shard *sh, struct udpcb *u);
/* The receiver of a datagram from `from` to `to`, NULL when there is none. ifindex 0: whatever interface. */
struct udpcb *udp_lookup(struct shard *sh, struct udp_table *t, const struct endpoint *to,
                         const struct endpoint *from, unsigned ifindex);
/* A datagram that was found sound, m at its header, to those of t that it is for; least: bytes that its
 * checksum covers. Takes ownership. */
struct udp_hdr_in;
void udp_pass_up(struct shard *sh, struct udp_table *t, struct rte_mbuf *m, const struct rxinfo *ri,
                 const struct udp_hdr_in *h, uint32_t least);
/* udp_lite.c: header and checksum of a UDP-Lite datagram, which is sent by u->d.flow. Takes ownership. */
int udplite_transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be);

/* Counter c of UDP over IPv4, of the version and protocol in question. */
#define UDP_COUNTERS (COUNT_UDP6_IN - COUNT_UDP_IN)
static inline enum count udp_count(enum count c, bool v4, bool lite)
{
    return (enum count)(c + UDP_COUNTERS * ((lite ? 2 : 0) + (v4 ? 0 : 1)));
}

static inline bool udp_connected(const struct udpcb *u)
{
    return u->d.pcb.remote.port_be != 0;
}

static inline struct udpcb *udp_of_hash(struct list *n)
{
    return (struct udpcb *)container_of(n, struct pcb, hash);
}

#endif
