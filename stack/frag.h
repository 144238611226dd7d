/* frag.h: fragmentation and reassembly, of IPv4 (RFC 791, RFC 815, RFC 6864) and IPv6 (RFC 8200 section 4.5).
 *
 * Reassembly. One queue a datagram (source, destination, identification; the protocol for IPv4), its
 * fragments in order by offset. Bounds, for each family on its own, so that neither can be used against the
 * other: bytes of whole buffers in all queues (ipfrag_high_thresh, ip6frag_high_thresh), queues, fragments a
 * queue. The oldest datagram makes place. Differs: on Linux the limit makes it refuse the newcomer, so that
 * whoever fills it with what never becomes whole has stopped reassembly for ipfrag_time; and the number of
 * fragments is not bounded there.
 *
 * An overlap discards the whole datagram (RFC 5722; Linux does so for IPv4 too), an exact duplicate only
 * itself. Differs: Linux ignores whatever lies within the bytes that are here. Of IPv6 a discarded datagram's
 * queue stays until its time is over, so that the fragments to come are discarded as well.
 */
#ifndef SHUNT_FRAG_H
#define SHUNT_FRAG_H

#include "ip.h"

struct ip6_walk;

#define FRAG_QUEUES  1024 /* a family */
#define FRAG_BUCKETS 256
#define FRAG_PER_Q   128 /* 64 KiB in pieces of 576 bytes */
#define FRAG_IDENTS  256

/* The queues of IPv4 or of IPv6. */
struct frag_family {
    struct list age; /* oldest first */
    uint32_t n;
    uint64_t mem; /* bytes of the queues and of the buffers in them */
};

struct frag_table {
    struct slab slab;        /* struct fragq, frag.c's own */
    struct frag_family v[2]; /* IPv4, IPv6 */
    struct list bucket[FRAG_BUCKETS];
    uint32_t held;               /* fragments in all queues */
    uint16_t ident[FRAG_IDENTS]; /* identification counters, by hash of source, destination, protocol */
};

/* Allocates sh->frag. 0 or -ENOMEM. */
int frag_table_init(struct shard *sh);
/* Takes one fragment; m starts at its IP header (contiguous, lengths and checksum verified, trimmed to its
 * length). Returns the whole datagram, from its IP header (fixed up) on, or NULL. */
struct rte_mbuf *frag_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);
/* The same for IPv6; w: where the fragment header is. An atomic fragment (RFC 6946) comes back at once. ri:
 * for what must be told to the sender. What comes back has no fragment header any more. */
struct rte_mbuf *frag6_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, struct rxinfo *ri,
                             const struct ip6_walk *w);
/* After a process was killed in here. */
void frag_mend(struct shard *sh);
/* TIMER_FRAG fired. */
void frag_timer(struct shard *sh, struct timer *t);
/* The next identification for a datagram that may be fragmented (RFC 6864 section 4: not repeated soon for
 * the same source, destination and protocol). Network order. */
uint16_t frag_ident_be(struct shard *sh, uint32_t src_be, uint32_t dst_be, uint8_t proto);
/* Calls send for each fragment of m, which starts at its IP header (20 bytes, all fields but length and
 * offset final; no offload left open for the payload). mtu: bytes a fragment may have. Takes ownership of m;
 * send takes that of each fragment. 0, -ENOBUFS (what was sent is sent). */
int frag_output(struct shard *sh, struct rte_mbuf *m, uint32_t mtu,
                void (*send)(struct shard *sh, void *arg, struct rte_mbuf *frag), void *arg);
/* The same for IPv6: m starts at its IPv6 header, without extension headers. */
int frag6_output(struct shard *sh, struct rte_mbuf *m, uint32_t mtu,
                 void (*send)(struct shard *sh, void *arg, struct rte_mbuf *frag), void *arg);

#endif
