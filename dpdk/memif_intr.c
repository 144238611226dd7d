/* memif_intr.c: see memif_intr.h.
 *
 * Checksums. memif's descriptors carry no offload flags. So a receiver that takes frames whose TCP or UDP
 * checksum is left at the pseudo-header's sum (as virtio's VIRTIO_NET_HDR_F_NEEDS_CSUM has it) says so in its
 * ring's flags, by a bit that the protocol does not use: other implementations leave it zero and get whole
 * checksums, and whoever connects anew starts from zero. Such a frame is told from others by the sum itself,
 * so that a wrong one that a program wrote stays wrong.
 *
 * A memif ring has a flag by which its receiver says whether it wants to be told of new packets (by an
 * eventfd that came with the ring), and DPDK's driver honours the peer's. It only lacks the calls to set our
 * own, so this is done here, in the ring itself. Where the ring and the descriptor are is known to structures
 * of the driver whose headers aren't installed; the parts needed of them are repeated below, as they are in
 * DPDK 22.11. They are believed only if they agree with each other (port number, the ring's cookie); if not,
 * a memif link is polled in slices.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_intr_fd_get */
#include "memif_intr.h"

#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <string.h>

#include "port.h"

/* librte_net_memif, rte_eth_memif.h. */
struct memif_queue {
    struct rte_mempool *mempool;
    void *internals;
    int type;
    uint16_t region;
    uint16_t in_port;
    uint32_t ring_offset;
    uint16_t last_head, last_tail;
    struct rte_mbuf **buffers;
    uint64_t n_pkts, n_bytes;
    struct rte_intr_handle *intr_handle;
};

struct memif_region {
    char *addr;
    uint64_t size;
};

struct memif_process_private {
    struct memif_region *region[256];
    uint16_t nregions;
};

/* librte_ethdev, ethdev_driver.h: the start of struct rte_eth_dev. */
struct ethdev_start {
    void *functions[6];
    struct rte_eth_dev_data *data;
    struct memif_process_private *process_private;
};

/* The memif protocol's ring (version 2). */
#define MEMIF_COOKIE   0x3E31F20u
#define MEMIF_MASK_INT 1
#define MEMIF_PARTIAL  0x8000 /* ours: takes partial checksums */

struct memif_ring {
    uint32_t cookie;
    uint16_t flags;
    uint16_t head;
};

struct rte_eth_dev;
struct rte_eth_dev *rte_eth_dev_allocated(const char *name);

static const struct ethdev_start *device[NETDEV_MAX];

void memif_intr_init(struct port *p, const char *dev_name)
{
    const void *d = rte_eth_dev_allocated(dev_name);
    device[p - ports] = d;
}

/* Of ring r, to receive or to send. */
static const struct memif_queue *queue(const struct port *p, unsigned r, bool send)
{
    const struct rte_ethdev_qdata *all = send ? &rte_eth_fp_ops[p->id].txq : &rte_eth_fp_ops[p->id].rxq;
    const struct memif_queue *q = all->data && r < p->rings ? all->data[r] : NULL;
    return q && q->in_port == p->id ? q : NULL;
}

static struct memif_ring *ring_of(const struct port *p, const struct memif_queue *q)
{
    const struct ethdev_start *d = device[p - ports];
    if (!d || !q || q->region >= d->process_private->nregions || !d->process_private->region[q->region])
        return NULL;
    char *addr = d->process_private->region[q->region]->addr;
    struct memif_ring *r = addr ? (struct memif_ring *)(void *)(addr + q->ring_offset) : NULL;
    return r && r->cookie == MEMIF_COOKIE ? r : NULL;
}

static struct memif_ring *ring(const struct port *p, unsigned r)
{
    return ring_of(p, queue(p, r, false));
}

/* The driver takes the descriptor off a ring's queue when the peer goes, and the next may have fewer rings.
 */
static bool is_live(const struct port *p, unsigned r, bool send)
{
    const struct memif_queue *q = queue(p, r, send);
    return q && rte_intr_fd_get(q->intr_handle) >= 0 && ring_of(p, q);
}

unsigned memif_live(const struct port *p)
{
    unsigned r = 0;
    while (r < p->rings && is_live(p, r, false) && is_live(p, r, true))
        r++;
    return r;
}

bool memif_partial_off;

bool memif_takes_partial(const struct port *p, unsigned r)
{
    struct memif_ring *at = memif_partial_off ? NULL : ring(p, r);
    if (at && !(__atomic_load_n(&at->flags, __ATOMIC_RELAXED) & MEMIF_PARTIAL))
        __atomic_or_fetch(&at->flags, MEMIF_PARTIAL, __ATOMIC_RELAXED);
    return at != NULL;
}

bool memif_peer_takes_partial(const struct port *p, unsigned r)
{
    const struct memif_queue *q = queue(p, r, true);
    const struct memif_ring *at = q ? ring_of(p, q) : NULL;
    return at && (__atomic_load_n(&at->flags, __ATOMIC_RELAXED) & MEMIF_PARTIAL);
}

int memif_intr_fd(const struct port *p, unsigned r)
{
    return ring(p, r) ? rte_intr_fd_get(queue(p, r, false)->intr_handle) : -1;
}

void memif_intr_set(const struct port *p, unsigned n, bool on)
{
    struct memif_ring *r = ring(p, n);
    if (!r)
        return;
    if (on)
        __atomic_and_fetch(&r->flags, (uint16_t)~MEMIF_MASK_INT, __ATOMIC_SEQ_CST);
    else
        __atomic_or_fetch(&r->flags, MEMIF_MASK_INT, __ATOMIC_SEQ_CST);
}
