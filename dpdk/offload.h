/* offload.h: what a port doesn't do for a frame, done in software. Internal to dpdk/. */
#ifndef SHUNT_OFFLOAD_H
#define SHUNT_OFFLOAD_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#define OFFLOAD_SEGS 64 /* frames that one TCP_SEG frame may become: 64 KiB at an MSS of 1024 and more */

/* Makes m ready for a port that offers tx_offloads (RTE_ETH_TX_OFFLOAD_*): fills in the checksums the port
 * won't, cuts a TCP_SEG frame into segments, makes a chain one buffer. Takes ownership of m; the frames to
 * send are in out (room for max), and are the caller's. Their number; 0 when memory ran out or the frame is
 * malformed (m is freed then). */
unsigned offload_apply(struct rte_mbuf *m, uint64_t tx_offloads, struct rte_mempool *pool,
                       struct rte_mbuf **out, unsigned max);

/* The frame with its bytes in as few buffers as they need, when it has more than max of them. Takes ownership
 * of m; NULL: out of memory (m is freed). */
struct rte_mbuf *offload_compact(struct rte_mbuf *m, unsigned max, struct rte_mempool *pool);

/* Fills in the IPv4 header's checksum, which m asks for, and takes the request back. The header is contiguous
 * in m. */
void offload_ip_sum(struct rte_mbuf *m);

/* May m, which asks for an L4 checksum, leave with the pseudo-header's sum in its place where that is agreed?
 * A frame in which whoever receives it will know the headers at a glance. */
static inline bool offload_may_be_partial(const struct rte_mbuf *m)
{
    return m->l2_len == 14 && m->l3_len == (m->ol_flags & RTE_MBUF_F_TX_IPV6 ? 40 : 20) &&
           !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
}
/* Was m received so? */
bool offload_is_partial(struct rte_mbuf *m);

/* L4 checksum field of m to the pseudo-header's sum, as devices of the virtio kind want it (length included).
 */
void offload_pseudo(struct rte_mbuf *m);

#endif
