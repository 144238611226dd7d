/* port.h: one open link. Internal to dpdk/.
 *
 * Theory of operation. A link is a struct port: a netdev, and behind it either an ethdev (port.c) or a kernel
 * descriptor that frames are read from and written to (vnet.c). struct port is process-private and inherited
 * by fork; what the family must agree on lies in port->shared, in DPDK's shared memory, guarded by the
 * shard's lock as every call of a netdev is.
 */
#ifndef SHUNT_PORT_H
#define SHUNT_PORT_H

#include <rte_mbuf.h>

#include "dpdk.h"

#define PORT_FDS    4
#define PORT_XDP_MB 24 /* MiB of buffers of an xdp: link */

struct vnet;

struct port {
    struct netdev dev;
    struct link_spec spec;
    char text[208]; /* the link as the user wrote it, for messages */
    struct rte_mempool *pool;
    uint16_t id;          /* ethdev's, or RTE_MAX_ETHPORTS */
    uint64_t tx_offloads; /* RTE_ETH_TX_OFFLOAD_* the port does by itself */
    bool prepare;         /* the driver wants rte_eth_tx_prepare */
    bool has_link_state;  /* frames sent while the peer is away are dropped */
    bool rx_intr;         /* Rx interrupts by ethdev: armed and disarmed */
    int fd[PORT_FDS];     /* become readable when frames come */
    unsigned nfd;
    bool drain_fd;     /* fd[] are event counters, to be read out */
    bool shares;       /* uses what peers hand over (share.h) */
    int vid;           /* vhost: the connected device's number, -1: none */
    bool partial;      /* memif: the peer takes partial checksums (memif_intr.h), as seen in this burst */
    bool packed;       /* vhost: the device's rings are packed ones */
    uint16_t rx_ask;   /* vhost: frames to ask for next */
    uint64_t seen;     /* vhost: share_seen when vid was looked up */
    struct vnet *vnet; /* vnet.c's, in shared memory */
    int file[2];       /* pcap.c's */
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

/* vnet.c: frames through a descriptor, each with a struct virtio_net_hdr before it. Sets p->dev's ops, caps
 * and offloads. 0 or -errno. */
int vnet_attach(struct port *p, int fd);
/* The same in a process that joins, for the one that another process attached. */
void vnet_join(struct port *p, struct vnet *v, int fd);

/* vhost_mend.c: after a process was killed under the shard's lock: the rings' locks are nobody's. */
void port_vhost_mend(const struct port *p);

#endif
