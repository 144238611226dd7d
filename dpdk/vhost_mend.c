/* vhost_mend.c: a vhost: link whose sender or receiver was killed in the middle of a burst: librte_vhost's
 * lock of the ring, in shared memory, is held for good then, and everybody would spin on it. Whoever had it
 * had the shard's lock, and is dead: it is nobody's.
 *
 * The lock is in structures whose headers aren't installed; the parts needed of them are repeated below, as
 * they are in DPDK 22.11. They are believed only if they agree with what the library says of the ring.
 */
#include <rte_version.h>
#include <rte_vhost.h>
#include <stdint.h>

#include "port.h"

/* librte_vhost, vhost.h. */
struct vhost_virtqueue {
    void *desc, *avail, *used;
    uint8_t indices[12];
    int access_lock; /* rte_spinlock_t */
};

struct virtio_net {
    void *mem;
    uint64_t features, protocol_features;
    int vid;
    uint32_t flags;
    uint16_t hlen;
    uint16_t rarp;
    uint32_t nrings;
    int modes[4];
    struct vhost_virtqueue *ring[2 * PORT_RINGS];
};
_Static_assert(offsetof(struct vhost_virtqueue, access_lock) == 0x24, "as in the library");
_Static_assert(offsetof(struct virtio_net, ring) == 0x38, "as in the library");

extern void *vhost_devices[];

void port_vhost_mend(const struct port *p, unsigned shard)
{
#if RTE_VERSION >= RTE_VERSION_NUM(22, 11, 0, 0) && RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
    const struct virtio_net *dev = p->vid >= 0 ? vhost_devices[p->vid] : NULL;
    if (!dev || dev->vid != p->vid)
        return;
    for (uint16_t i = 0; i < 2 * p->live && i < dev->nrings; i++) {
        struct vhost_virtqueue *q = dev->ring[i];
        if (i / 2 % port_step(p) != shard)
            continue;
        struct rte_vhost_vring ring;
        if (q && rte_vhost_get_vhost_vring(p->vid, i, &ring) == 0 && ring.desc == q->desc &&
            ring.avail == q->avail)
            __atomic_store_n(&q->access_lock, 0, __ATOMIC_RELEASE);
    }
#endif
}
