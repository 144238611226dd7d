/* netdev.h: what the stack asks of a link. dpdk/ implements it on ethdev, tests implement it in memory, and
 * loopback is one inside the stack.
 *
 * Frames. A frame is an rte_mbuf chain that starts at the Ethernet header. On Tx the stack sets l2_len,
 * l3_len, l4_len and the ol_flags of what the frame still needs (RTE_MBUF_F_TX_IPV4 | _IP_CKSUM,
 * RTE_MBUF_F_TX_TCP_CKSUM or _UDP_CKSUM, RTE_MBUF_F_TX_TCP_SEG with tso_segsz when caps has NETDEV_TSO), with
 * the checksum fields zero: the netdev has the port do it or does it in software. On Rx ol_flags say what the
 * port verified (RTE_MBUF_F_RX_L4_CKSUM_GOOD, _NONE: need not be verified; _BAD: drop; _UNKNOWN: the stack
 * verifies; the same for IP).
 *
 * A struct netdev is process-private (it has function pointers) and inherited by fork; what the family shares
 * about a link is struct ifnet.
 */
#ifndef SHUNT_NETDEV_H
#define SHUNT_NETDEV_H

#include <stdint.h>

struct rte_mbuf;
struct netdev;

#define NETDEV_MAX       16
#define NETDEV_QUEUE_MAX 8 /* SHARD_MAX is no more */

enum netdev_cap {
    NETDEV_TSO = 1u << 0,      /* takes TCP_SEG frames of up to tso_max payload bytes */
    NETDEV_SCATTER = 1u << 1,  /* takes chains */
    NETDEV_LOOPBACK = 1u << 2, /* frames come back to this stack */
    NETDEV_NOARP = 1u << 3,    /* no link addresses */
    NETDEV_MEMLINK = 1u << 4,  /* shared memory: a checksum can't be wrong on the way */
    NETDEV_FOLLOWS = 1u << 5,  /* a flow's frames come by the queue that its frames were sent on last */
};

struct netdev_ops {
    /* Up to n frames received on queue q, ownership to the caller. Never blocks. Queue q is used under the
     * lock of shard q, different queues at once; of q >= nqueue nothing comes, and what is sent there is
     * lost. */
    uint16_t (*rx)(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n);
    /* Takes the first r of n frames (r is returned); the caller keeps the rest. Never blocks. */
    uint16_t (*tx)(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n);
};

struct netdev {
    const struct netdev_ops *ops;
    void *priv;       /* the implementation's own */
    uint32_t caps;    /* enum netdev_cap */
    uint32_t mtu;     /* largest IP packet in bytes */
    uint32_t tso_max; /* largest TCP payload of one TCP_SEG frame, bytes; 0 without NETDEV_TSO */
    /* Frames that tx took on queue q and that did not leave (nobody at the other end, no memory to finish
     * them) since the stack looked last, which takes them off. */
    uint32_t tx_lost[NETDEV_QUEUE_MAX];
    uint32_t rx_lost[NETDEV_QUEUE_MAX]; /* the same of frames received that could not be handed over */
    uint8_t mac[6];
    uint8_t index;   /* of the ifnet */
    uint16_t nqueue; /* pairs of queues in use, 0 or 1: one; may change with the peer (a memory link that
                        connects to one with fewer), under all shards' locks or before rx or tx returns */
    char name[16];
};

/* Names the process-private device of interface index (NULL takes it away). Context: any, before it is used.
 */
void netdev_register(unsigned index, struct netdev *dev);
struct netdev *netdev_get(unsigned index);

#endif
