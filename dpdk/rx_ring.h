/* rx_ring.h: the receive ring of a packet socket. Internal to dpdk/. */
#ifndef SHUNT_DPDK_RX_RING_H
#define SHUNT_DPDK_RX_RING_H

#include <stdbool.h>
#include <stdint.h>

/* What the family shares of a ring. All zeros: there is none. */
struct rx_ring {
    uint32_t slots;
    uint32_t head; /* the slot that the next frame is in */
    uint32_t held; /* 1 + the slot that is being given back to the kernel; 0: none */
};

/* A frame in its slot, as the kernel describes it. */
struct rx_slot {
    const char *vnet; /* its struct virtio_net_hdr */
    const char *data; /* the frame, len bytes of it */
    uint32_t len;
    bool is_long; /* is to be read from the socket: the slot has its beginning alone */
    bool cut;     /* the slot has its beginning alone, and there is no more */
    bool has_tag; /* had an 802.1Q (or 802.1ad) tag, of which these are the parts, host byte order */
    uint16_t tag_proto, tag_tci;
    bool losing; /* frames before it found no room: rx_ring_lost */
};

/* Gives the packet socket fd, which has PACKET_VNET_HDR on and is not bound yet, a ring for frames of at most
 * mtu bytes of IP, one of so many that share a link. 0, or -errno: the socket goes on without. */
int rx_ring_make(struct rx_ring *r, int fd, uint32_t mtu, unsigned of);
/* The ring in this process's memory, or NULL. */
char *rx_ring_map(const struct rx_ring *r, int fd);
void rx_ring_unmap(const struct rx_ring *r, char *base);

/* Looks at the next frame of the ring that is mapped at base. False: there is none. Context of this and the
 * next: the shard's lock. */
bool rx_ring_peek(const struct rx_ring *r, char *base, struct rx_slot *out);
/* How many frames found no room since the last call: no slot, or not in the socket's queue. */
uint32_t rx_ring_lost(int fd);
/* Gives the slot of the next frame back to the kernel. */
void rx_ring_drop(struct rx_ring *r, char *base);
/* After a process was killed under the shard's lock. */
void rx_ring_mend(struct rx_ring *r, char *base);

#endif
