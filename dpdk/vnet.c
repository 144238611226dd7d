/* vnet.c: frames through a kernel descriptor, one system call each, with a struct virtio_net_hdr before every
 * frame: a tap (tap.c) or a packet socket (packet.c).
 *
 * Theory of operation. The header carries what would otherwise cost per-byte or per-packet work: a checksum
 * that need not be computed or verified (partial checksums), and TCP segments of up to 64 KiB in both
 * directions. A frame is read straight into a chain of packet buffers that stand ready (vnet->spare); those
 * it filled go up, and are replaced. The spares lie in DPDK's shared memory, so that any member of the family
 * may read. All that a member needs besides is the descriptor: one that joined by exec has the link as well
 * as a fork has (vnet_join).
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../stack/pkt.h"
#include "offload.h"
#include "port.h"
#include "sys.h"

#define VNET_FRAME_MAX 65536 /* Ethernet header and an IP packet of 65,522 bytes */
#define VNET_SPARE     (VNET_FRAME_MAX / PKT_DATA_ROOM + 1)
#define VNET_IOV_MAX   256
#define VNET_TSO_MAX   65000

/* Of a queue. */
struct vnet {
    uint32_t nspare;
    struct rte_mbuf *spare[VNET_SPARE];
} __rte_cache_aligned;

/* Fills the row of spare buffers. False when memory is short. */
static bool refill(struct port *p, struct vnet *v)
{
    while (v->nspare < VNET_SPARE) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
        if (!m)
            return false;
        v->spare[v->nspare++] = m;
    }
    return true;
}

/* What the header says of a received frame, as ol_flags. */
static void rx_flags(struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE; /* never on a wire: nothing to verify */
    else if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
        m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        m->ol_flags |= RTE_MBUF_F_RX_LRO;
        m->tso_segsz = h->gso_size;
    }
}

/* Takes the buffers that len bytes filled off the row, as one chain. */
static struct rte_mbuf *take_chain(struct vnet *v, size_t len)
{
    struct rte_mbuf *head = v->spare[0], *last = NULL;
    unsigned used = 0;
    head->pkt_len = (uint32_t)len;
    do {
        struct rte_mbuf *s = v->spare[used++];
        s->data_len = (uint16_t)RTE_MIN(len, (size_t)PKT_DATA_ROOM);
        len -= s->data_len;
        if (last)
            last->next = s;
        last = s;
    } while (len && used < v->nspare);
    head->nb_segs = (uint16_t)used;
    v->nspare -= used;
    memmove(v->spare, v->spare + used, v->nspare * sizeof(v->spare[0]));
    return head;
}

static uint16_t vnet_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    struct vnet *v = &p->vnet[q];
    struct virtio_net_hdr h;
    struct iovec iov[1 + VNET_SPARE] = {{&h, sizeof(h)}};
    uint16_t got = 0;
    while (got < n && refill(p, v)) {
        for (unsigned i = 0; i < VNET_SPARE; i++)
            iov[1 + i] = (struct iovec){rte_pktmbuf_mtod(v->spare[i], void *), PKT_DATA_ROOM};
        long len = sys3(SYS_readv, p->queue[q].fd, iov, 1 + VNET_SPARE);
        if (len <= (long)sizeof(h))
            break;
        m[got] = take_chain(v, (size_t)len - sizeof(h));
        rx_flags(m[got++], &h);
    }
    return got;
}

/* The header that asks the kernel for what m's ol_flags ask. */
static void tx_header(struct rte_mbuf *m, struct virtio_net_hdr *h)
{
    uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    memset(h, 0, sizeof(*h));
    if (!l4)
        return;
    offload_pseudo(m);
    h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h->csum_start = (uint16_t)(m->l2_len + m->l3_len);
    h->csum_offset = l4 == RTE_MBUF_F_TX_UDP_CKSUM ? 6 : 16;
    h->hdr_len = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
        h->gso_type = m->ol_flags & RTE_MBUF_F_TX_IPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h->gso_size = m->tso_segsz;
    }
}

/* True when the frame is gone: sent, or refused for what it is. False: try again later. */
static bool send_one(struct port *p, uint16_t q, struct rte_mbuf **mp)
{
    struct virtio_net_hdr h;
    struct iovec iov[VNET_IOV_MAX] = {{&h, sizeof(h)}};
    struct rte_mbuf *m;
    int cnt = 1;
    /* The kernel does L4 and segments; the IP header's sum is ours. */
    m = offload_compact(*mp, VNET_IOV_MAX - 1, p->pool);
    if (!m || offload_apply(m, p->tx_offloads, p->pool, &m, 1) == 0) {
        p->dev.tx_lost[q]++;
        return true;
    }
    *mp = m;
    tx_header(m, &h);
    for (struct rte_mbuf *s = m; s; s = s->next)
        if (s->data_len)
            iov[cnt++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
    long r = sys3(SYS_writev, p->queue[q].fd, iov, cnt);
    if (r == -EAGAIN || r == -ENOBUFS)
        return false;
    p->dev.tx_lost[q] += r < 0; /* the interface is down, say */
    rte_pktmbuf_free(m);
    return true;
}

static uint16_t vnet_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    uint16_t i = 0;
    while (i < n && send_one(dev->priv, q, &m[i]))
        i++;
    return i;
}

static const struct netdev_ops vnet_ops = {.rx = vnet_rx, .tx = vnet_tx};

void vnet_join(struct port *p, struct vnet *v, const int *fd, unsigned n)
{
    p->vnet = v;
    p->id = RTE_MAX_ETHPORTS;
    p->tx_offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                     RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    p->dev.ops = &vnet_ops;
    p->dev.priv = p;
    p->dev.caps = NETDEV_TSO | NETDEV_SCATTER;
    p->dev.tso_max = VNET_TSO_MAX;
    p->live = p->rings = p->dev.nqueue = (uint16_t)n;
    for (unsigned q = 0; q < n; q++)
        p->queue[q].fd = fd[q];
}

int vnet_attach(struct port *p, const int *fd, unsigned n)
{
    struct vnet *v = rte_zmalloc("shunt_vnet", n * sizeof(*v), RTE_CACHE_LINE_SIZE);
    if (!v)
        return -ENOMEM;
    vnet_join(p, v, fd, n);
    return 0;
}

void vnet_close(struct port *p)
{
    for (unsigned q = 0; q < p->live; q++)
        close(p->queue[q].fd);
}
