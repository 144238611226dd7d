/* rx_ring.c: see rx_ring.h.
 *
 * Theory of operation (Linux, Documentation/networking/packet_mmap.rst; TPACKET_V2, whose frames come one by
 * one: those of V3 come by the block, late). The kernel writes each frame into the next slot of memory that
 * it shares with us, so that polling costs no system call and reading a frame none either. Who reads a slot
 * gives it back by its status word. A frame that is longer than its slot, a TCP segment of 64 KiB say, is
 * also put into the socket's queue (PACKET_COPY_THRESH), and is to be read from there.
 *
 * All processes of a family use one ring: memory of the socket's, which forks inherit, and which one that
 * joined by exec maps where it has room. Where the next frame is stands in DPDK's shared memory. A process
 * that is killed while it gives a slot back leaves its number there (held), because the kernel waits for
 * each slot in turn, and so do we.
 */
#include "rx_ring.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sys.h"

/* 2048 frames a link: half of the largest receive window, in full segments. 512 bytes of each slot's 2 KiB
 * would do for most frames, but then full segments would go the long way. */
#define SLOT_BYTES  2048u
#define SLOTS       2048u
#define BLOCK_BYTES (64u << 10)
#define PER_BLOCK   (BLOCK_BYTES / SLOT_BYTES)
/* The slot's header, the bytes that align the network header, and the frame's own. */
#define SLOT_HEAD                                                                                            \
    (TPACKET_ALIGN(TPACKET2_HDRLEN + ETH_HLEN) + TPACKET_ALIGNMENT + sizeof(struct virtio_net_hdr))

static int set(int fd, int name, const void *val, unsigned len)
{
    return setsockopt(fd, SOL_PACKET, name, val, len) < 0 ? -errno : 0;
}

int rx_ring_make(struct rx_ring *r, int fd, uint32_t mtu, unsigned of)
{
    int version = TPACKET_V2, copy = 1, none = TPACKET_V1;
    uint32_t blocks = SLOTS / (of ? of : 1) / PER_BLOCK;
    struct tpacket_req req = {.tp_block_size = BLOCK_BYTES,
                              .tp_block_nr = blocks,
                              .tp_frame_size = SLOT_BYTES,
                              .tp_frame_nr = blocks * PER_BLOCK};
    if (mtu + SLOT_HEAD > SLOT_BYTES)
        return -EMSGSIZE; /* most would be read twice */
    int rc = set(fd, PACKET_VERSION, &version, sizeof(version));
    if (rc == 0)
        rc = set(fd, PACKET_COPY_THRESH, &copy, sizeof(copy));
    if (rc == 0)
        rc = set(fd, PACKET_RX_RING, &req, sizeof(req));
    if (rc < 0) {
        set(fd, PACKET_VERSION, &none, sizeof(none));
        return rc;
    }
    *r = (struct rx_ring){.slots = blocks * PER_BLOCK};
    return 0;
}

char *rx_ring_map(const struct rx_ring *r, int fd)
{
    long at = sys6(SYS_mmap, 0, (long)r->slots * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at < 0 && at > -4096 ? NULL : (char *)at; // NOLINT: an address by system call
}

void rx_ring_unmap(const struct rx_ring *r, char *base)
{
    sys2(SYS_munmap, base, (long)r->slots * SLOT_BYTES);
}

static struct tpacket2_hdr *slot(char *base, uint32_t i)
{
    return (struct tpacket2_hdr *)(base + (size_t)i * SLOT_BYTES);
}

uint32_t rx_ring_lost(int fd)
{
    struct tpacket_stats st = {0};
    socklen_t len = sizeof(st);
    long rc = sys5(SYS_getsockopt, fd, SOL_PACKET, PACKET_STATISTICS, &st, &len);
    return rc < 0 ? 0 : st.tp_drops;
}

bool rx_ring_peek(const struct rx_ring *r, char *base, struct rx_slot *out)
{
    struct tpacket2_hdr *h = slot(base, r->head);
    uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
    if (!(status & TP_STATUS_USER))
        return false;
    out->data = (const char *)h + h->tp_mac;
    out->vnet = out->data - sizeof(struct virtio_net_hdr);
    out->len = h->tp_snaplen;
    out->is_long = status & TP_STATUS_COPY;
    out->cut = !out->is_long && h->tp_snaplen < h->tp_len;
    out->has_tag = status & TP_STATUS_VLAN_VALID;
    out->tag_tci = h->tp_vlan_tci;
    out->tag_proto = status & TP_STATUS_VLAN_TPID_VALID ? h->tp_vlan_tpid : ETH_P_8021Q;
    out->losing = status & TP_STATUS_LOSING;
    return true;
}

/* The order matters for rx_ring_mend: compilers are kept from changing it, processors don't matter. */
#define STEP() __asm__ volatile("" ::: "memory")

void rx_ring_drop(struct rx_ring *r, char *base)
{
    uint32_t i = r->head;
    r->held = i + 1;
    STEP();
    r->head = i + 1 == r->slots ? 0 : i + 1;
    STEP();
    __atomic_store_n(&slot(base, i)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    STEP();
    r->held = 0;
}

void rx_ring_mend(struct rx_ring *r, char *base)
{
    uint32_t i = r->held - 1;
    if (r->held == 0)
        return;
    r->head = i + 1 == r->slots ? 0 : i + 1;
    __atomic_store_n(&slot(base, i)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    r->held = 0;
}
