/* frag.h: IPv4 fragmentation and reassembly (RFC 791, RFC 815, RFC 6864).
 *
 * Reassembly. One queue a datagram (source, destination, protocol, identification), its fragments in order by
 * offset. Bounds: queues, fragments a queue, fragments in all; the oldest queue makes place. An overlap
 * discards the whole datagram (as Linux does; RFC 5722 has it for IPv6), an exact duplicate only itself.
 */
#ifndef SHUNT_FRAG_H
#define SHUNT_FRAG_H

#include "ip.h"

#define FRAG_QUEUES   256
#define FRAG_BUCKETS  64
#define FRAG_PER_Q    128  /* 64 KiB in pieces of 576 bytes */
#define FRAG_HELD_MAX 2048 /* packet buffers */
#define FRAG_IDENTS   256

struct frag_table {
    struct slab slab; /* struct fragq, frag.c's own */
    struct list age;  /* oldest first */
    struct list bucket[FRAG_BUCKETS];
    uint32_t held;               /* fragments in all queues */
    uint16_t ident[FRAG_IDENTS]; /* identification counters, by hash of source, destination, protocol */
};

/* Allocates sh->frag. 0 or -ENOMEM. */
int frag_table_init(struct shard *sh);
/* Takes one fragment; m starts at its IP header (contiguous, lengths and checksum verified, trimmed to its
 * length). Returns the whole datagram, from its IP header (fixed up) on, or NULL. */
struct rte_mbuf *frag_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);
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

#endif
