/* port.h: one open link. Internal to dpdk/.
 *
 * Theory of operation. A link is a struct port: a netdev, and behind it either an ethdev (port.c) or a kernel
 * descriptor that frames are read from and written to (vnet.c). struct port is process-private and inherited
 * by fork; what the family must agree on lies in DPDK's shared memory.
 *
 * Queues. A shard of the stack has a pair of queues of each link, with the shard's number, and uses it under
 * the shard's lock: what belongs to one is in struct port_queue. A device may have more rings than the stack
 * has shards (the other end of a memory link decides how many there are): those beyond are received from in
 * turn, ring r by shard r modulo their number, and never sent to. Where there are fewer, the shards beyond
 * have no queue of the link (netdev's nqueue). So whatever two ends have, every ring that one sends to is
 * read by the other.
 */
#ifndef SHUNT_PORT_H
#define SHUNT_PORT_H

#include <rte_mbuf.h>

#include "dpdk.h"
#include "share.h"

#define PORT_RINGS  NETDEV_QUEUE_MAX
#define PORT_XDP_MB 24 /* MiB of buffers of an xdp: link */

struct vnet;
struct rx_ring;

/* What shard q alone uses, under its lock. */
struct port_queue {
    int fd;          /* becomes readable when frames come, -1: none; vnet.c: the link's own */
    uint16_t rx_ask; /* vhost: frames to ask for next */
    uint16_t turn;   /* of several rings, the one received from first */
    char *ring;      /* packet: where its ring is mapped (rx_ring.h), NULL: nowhere yet */
    bool partial;    /* memif: the peer takes partial checksums (memif_intr.h), as seen in this burst */
} __rte_cache_aligned;

struct port {
    struct netdev dev;
    struct port_queue queue[PORT_RINGS];
    struct link_spec spec;
    const struct port *card; /* a tap's, with for=: whose link address the kernel has there; NULL: its own */
    char text[208];          /* the link as the user wrote it, for messages */
    struct rte_mempool *pool;
    uint16_t id;          /* ethdev's, or RTE_MAX_ETHPORTS */
    uint64_t tx_offloads; /* RTE_ETH_TX_OFFLOAD_* the port does by itself */
    bool prepare;         /* the driver wants rte_eth_tx_prepare */
    bool has_link_state;  /* frames sent while the peer is away are dropped */
    bool rx_intr;         /* Rx interrupts by ethdev: armed and disarmed */
    uint16_t wanted;      /* queues: the stack's shards */
    uint16_t rings;       /* pairs of rings that are set up */
    uint16_t live;        /* of these, the first ones that are connected (port_sync) */
    bool drain_fd;        /* the queues' descriptors are event counters, to be read out */
    bool shares;          /* uses what peers hand over (share.h) */
    int vid;              /* vhost: the connected device's number, -1: none */
    bool packed;          /* vhost: the device's rings are packed ones */
    struct vnet *vnet;    /* vnet.c's, in shared memory: one a queue */
    int file[2];          /* pcap.c's */
    bool file_swapped;
    bool idle; /* seldom receives anything: may be looked at seldom */
    void (*close)(struct port *p);
};

/* All open links in order. */
extern struct port ports[NETDEV_MAX];
extern unsigned nports;

/* Opens p->spec as an ethdev and starts it. 0 or -errno with the reason in err. */
int link_ethdev_open(struct port *p, char *err, size_t err_len);
/* The same for tap:, packet: and pcap: links. */
int link_tap_open(struct port *p, char *err, size_t err_len);
int link_packet_open(struct port *p, char *err, size_t err_len);
int link_pcap_open(struct port *p, char *err, size_t err_len);

/* A memif client that is not connected: connects if the server is there. Context: control (control.c). */
void port_memif_retry(struct port *p);
/* Brings p up to date with what peers handed over. False: nobody is there. */
bool port_sync(struct port *p);
/* What peers handed over changed: all ports are looked at. Context: share_publish, share_catch_up. */
void ports_changed(void);
/* The rings that shard q receives from: each of for (r = q; r < p->live; r += port_step(p)). */
static inline unsigned port_step(const struct port *p)
{
    return p->dev.nqueue;
}

/* vnet.c: frames through descriptors, one a queue, each frame with a struct virtio_net_hdr before it; ring:
 * those of packet sockets, or NULL. Sets p->dev's ops, caps, offloads and queues. 0 or -errno. */
int vnet_attach(struct port *p, const int *fd, unsigned n, const struct rx_ring *ring);
/* The same in a process that joins, for the one that another process attached. */
void vnet_join(struct port *p, struct vnet *v, const int *fd, unsigned n);

/* Closes the descriptors. */
void vnet_close(struct port *p);
/* fd woke a sleeper by an error, as a packet socket's does when its interface goes down: it would do so until
 * somebody asks for it, which reading from a ring does not. */
void vnet_clear_error(int fd);
/* After a process was killed under shard q's lock. */
void vnet_mend(struct port *p, unsigned q);

/* virtio_mend.c. Around each use of the rings that shard q has of a vhost: or virtio: link, under its lock.
 * begin: false: a process was killed in the middle of one, and the ring is not to be touched. */
static inline bool port_burst_begin(const struct port *p, unsigned q)
{
    uint8_t *busy = &share_state->busy[q].port[p - ports];
    if (__builtin_expect(*busy, 0))
        return false;
    *busy = 1;
    __asm__ volatile("" ::: "memory");
    return true;
}
static inline void port_burst_end(const struct port *p, unsigned q)
{
    __asm__ volatile("" ::: "memory");
    share_state->busy[q].port[p - ports] = 0;
}
/* p's virtio: device was just made. */
void port_virtio_made(struct port *p);
/* Makes links anew that need it; when that is to be done next. Context: control, before its tasks. */
void ports_renew(uint64_t now_ns);
uint64_t ports_renewal_ns(void);

/* vhost_mend.c: after a process was killed under shard q's lock: the locks of its rings are nobody's. */
void port_vhost_mend(const struct port *p, unsigned q);

#endif
