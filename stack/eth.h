/* eth.h: Ethernet; eth_input is in ip.h.
 */
#ifndef SHUNT_ETH_H
#define SHUNT_ETH_H

#include "neigh.h"
#include "pkt.h"
#include "shard.h"

/* Sends a packet that starts at its IP header to neighbour n. Takes ownership. */
static inline void eth_output(struct shard *sh, struct neigh *n, struct rte_mbuf *m)
{
    if (__builtin_expect(sh->now_ns >= n->fresh_until_ns, 0)) {
        neigh_output_slow(sh, n, m);
        return;
    }
    memcpy(rte_pktmbuf_prepend(m, ETH_HDR_LEN), n->hdr, ETH_HDR_LEN);
    shard_tx(sh, n->ifindex, m);
}

#endif
