/* vnet.c: frames through a kernel descriptor, with a struct virtio_net_hdr before every frame: a tap (tap.c)
 * or a packet socket (packet.c).
 *
 * Theory of operation. The header carries what would otherwise cost per-byte or per-packet work: a checksum
 * that need not be computed or verified (partial checksums), and TCP segments of up to 64 KiB in both
 * directions. It stands in the headroom, before the frame's first byte, so that a frame of one buffer is one
 * piece of memory to the kernel.
 *
 * A frame is read by a system call, straight into a chain of packet buffers that stand ready (vnet->spare);
 * those it filled go up, and are replaced. What the kernel is given are as many of them as frames filled
 * lately (vnet->row), because it looks at each before it reads a byte; the rest of a frame that is longer
 * lands in vnet->over and is copied. When the frames of a poll have been read is known by a call that finds
 * nothing only: that call is left to the next poll, until polls in a row find frames (vnet->ask).
 *
 * A packet socket with a ring (rx_ring.c) is polled and read without system calls, but for long frames.
 *
 * All of this lies in DPDK's shared memory, so that any member of the family may read. All that a member
 * needs besides is the descriptor: one that joined by exec has the link as well as a fork has (vnet_join).
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../stack/pkt.h"
#include "offload.h"
#include "port.h"
#include "rx_ring.h"
#include "sys.h"

#define VNET_FRAME_MAX 65536 /* Ethernet header and an IP packet of 65,522 bytes */
#define VNET_SPARE     (VNET_FRAME_MAX / PKT_DATA_ROOM + 1)
#define VNET_IOV_MAX   256
#define VNET_TSO_MAX   65000
#define VNET_SHORT     64 /* frames of one buffer in a row after which reads are prepared for such */
#define VNET_HDR       sizeof(struct virtio_net_hdr)

/* Of a queue. */
struct vnet {
    uint32_t nspare;
    struct rte_mbuf *spare[VNET_SPARE];
    struct rx_ring ring;
    uint16_t row;   /* spares that a read is given */
    uint16_t brief; /* frames of one buffer since the last longer one, at most VNET_SHORT */
    uint16_t ask;   /* frames to read in a poll without asking whether there are more */
    bool more;      /* the last poll read that many */
    char over[VNET_FRAME_MAX];
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

/* Learns from a frame of len bytes how many buffers the next one may need. */
static void learn(struct vnet *v, size_t len)
{
    if (len > PKT_DATA_ROOM) {
        v->brief = 0;
        v->row = VNET_SPARE;
    } else if (v->row > 1 && ++v->brief == VNET_SHORT) {
        v->brief = 0;
        v->row = 1;
    }
}

/* The bytes of a frame that the row had no room for, from v->over into the buffers behind it. */
static void spread(struct vnet *v, unsigned row, size_t len)
{
    const char *from = v->over;
    for (size_t done = (size_t)row * PKT_DATA_ROOM; done < len; row++) {
        size_t n = RTE_MIN(len - done, (size_t)PKT_DATA_ROOM);
        memcpy(rte_pktmbuf_mtod(v->spare[row], void *), from, n);
        from += n;
        done += n;
    }
}

/* Reads one frame. NULL: there is none, or no memory for it. */
static struct rte_mbuf *read_frame(struct port *p, uint16_t q)
{
    struct vnet *v = &p->vnet[q];
    struct iovec iov[VNET_SPARE + 1];
    unsigned row = v->row, cnt;
    if (!refill(p, v))
        return NULL;
    for (cnt = 0; cnt < row; cnt++)
        iov[cnt] = (struct iovec){rte_pktmbuf_mtod(v->spare[cnt], void *), PKT_DATA_ROOM};
    iov[0].iov_base = rte_pktmbuf_mtod(v->spare[0], char *) - VNET_HDR;
    iov[0].iov_len += VNET_HDR;
    if (row < VNET_SPARE)
        iov[cnt++] = (struct iovec){v->over, (size_t)(VNET_SPARE - row) * PKT_DATA_ROOM};
    long len = sys3(SYS_readv, p->queue[q].fd, iov, cnt);
    if (len == -ENETDOWN) /* it was, once; what is there comes after */
        len = sys3(SYS_readv, p->queue[q].fd, iov, cnt);
    if (len <= (long)VNET_HDR)
        return NULL;
    len -= (long)VNET_HDR;
    spread(v, row, (size_t)len);
    learn(v, (size_t)len);
    struct rte_mbuf *m = take_chain(v, (size_t)len);
    rx_flags(m, (const struct virtio_net_hdr *)(rte_pktmbuf_mtod(m, const char *) - VNET_HDR));
    return m;
}

static uint16_t vnet_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    struct vnet *v = &p->vnet[q];
    uint16_t got = 0, want = v->ask < n ? v->ask : n;
    while (got < want && (m[got] = read_frame(p, q)) != NULL)
        if (++got == want && v->more) {
            v->ask = v->ask < n ? (uint16_t)(v->ask * 2) : n;
            want = v->ask < n ? v->ask : n;
        }
    v->more = got == want;
    if (got && got < want)
        v->ask = got;
    return got;
}

/* Puts the tag back that the kernel took off the frame. False: no room, which there always is. */
static bool put_tag(struct rte_mbuf *m, const struct rx_slot *s)
{
    uint16_t tag[2] = {rte_cpu_to_be_16(s->tag_proto), rte_cpu_to_be_16(s->tag_tci)};
    char *at = rte_pktmbuf_prepend(m, sizeof(tag));
    if (!at)
        return false;
    memmove(at, at + sizeof(tag), 2 * RTE_ETHER_ADDR_LEN);
    memcpy(at + 2 * RTE_ETHER_ADDR_LEN, tag, sizeof(tag));
    return true;
}

/* The frame of a slot. NULL: it is lost, or (*later) there is no memory for it. */
static struct rte_mbuf *slot_frame(struct port *p, uint16_t q, const struct rx_slot *s, bool *later)
{
    struct virtio_net_hdr h;
    struct rte_mbuf *m;
    if (s->cut || s->len > PKT_DATA_ROOM)
        return NULL;
    if (s->is_long) {
        *later = !refill(p, &p->vnet[q]);
        m = *later ? NULL : read_frame(p, q);
    } else if ((m = rte_pktmbuf_alloc(p->pool)) != NULL) {
        memcpy(&h, s->vnet, sizeof(h));
        memcpy(rte_pktmbuf_append(m, (uint16_t)s->len), s->data, s->len);
        rx_flags(m, &h);
    } else {
        *later = true;
    }
    if (m && __builtin_expect(s->has_tag, 0) && !put_tag(m, s)) {
        rte_pktmbuf_free(m);
        m = NULL;
    }
    return m;
}

static uint16_t ring_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    struct rx_ring *r = &p->vnet[q].ring;
    struct rx_slot s;
    uint16_t got = 0;
    bool losing = false, later = false;
    if (__builtin_expect(!r->slots, 0))
        return vnet_rx(dev, q, m, n);
    if (__builtin_expect(!p->queue[q].ring, 0) && !(p->queue[q].ring = rx_ring_map(r, p->queue[q].fd)))
        return 0;
    while (got < n && rx_ring_peek(r, p->queue[q].ring, &s)) {
        m[got] = slot_frame(p, q, &s, &later);
        if (later)
            break;
        rx_ring_drop(r, p->queue[q].ring);
        losing |= s.losing;
        if (m[got])
            got++;
        else
            p->dev.rx_lost[q]++;
    }
    if (__builtin_expect(losing, 0))
        p->dev.rx_lost[q] += rx_ring_lost(p->queue[q].fd);
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

/* Hands m to the kernel, behind h. What the system call returned. */
static long write_frame(struct port *p, uint16_t q, struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
    struct iovec iov[VNET_IOV_MAX]; /* 4 KiB: not cleared for each frame */
    int cnt = 0;
    /* The bytes before a buffer's data are nobody's, but those of one that is a part of another. */
    if (m->nb_segs == 1 && RTE_MBUF_DIRECT(m) && rte_pktmbuf_headroom(m) >= VNET_HDR) {
        char *at = rte_pktmbuf_mtod(m, char *) - VNET_HDR;
        memcpy(at, h, sizeof(*h));
        if (p->spec.kind == LINK_TAP)
            return sys3(SYS_write, p->queue[q].fd, at, m->data_len + VNET_HDR);
        return sys6(SYS_sendto, p->queue[q].fd, SYS_ARG(at), (long)(m->data_len + VNET_HDR), 0, 0, 0);
    }
    iov[cnt++] = (struct iovec){(void *)(uintptr_t)h, sizeof(*h)};
    for (struct rte_mbuf *s = m; s; s = s->next)
        if (s->data_len)
            iov[cnt++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
    return sys3(SYS_writev, p->queue[q].fd, iov, cnt);
}

/* True when the frame is gone: sent, or refused for what it is. False: try again later. */
static bool send_one(struct port *p, uint16_t q, struct rte_mbuf **mp)
{
    struct virtio_net_hdr h;
    struct rte_mbuf *m;
    /* The kernel does L4 and segments; the IP header's sum is ours. */
    m = offload_compact(*mp, VNET_IOV_MAX - 1, p->pool);
    if (!m || offload_apply(m, p->tx_offloads, p->pool, &m, 1) == 0) {
        p->dev.tx_lost[q]++;
        return true;
    }
    *mp = m;
    tx_header(m, &h);
    long r = write_frame(p, q, m, &h);
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
static const struct netdev_ops ring_ops = {.rx = ring_rx, .tx = vnet_tx};

void vnet_join(struct port *p, struct vnet *v, const int *fd, unsigned n)
{
    p->vnet = v;
    p->id = RTE_MAX_ETHPORTS;
    p->tx_offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                     RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    p->dev.ops = v[0].ring.slots ? &ring_ops : &vnet_ops;
    p->dev.priv = p;
    p->dev.caps = NETDEV_TSO | NETDEV_SCATTER | (p->spec.kind == LINK_TAP ? NETDEV_FOLLOWS : 0);
    p->dev.tso_max = VNET_TSO_MAX;
    p->live = p->rings = p->dev.nqueue = (uint16_t)n;
    for (unsigned q = 0; q < n; q++) {
        p->queue[q].fd = fd[q];
        p->queue[q].ring = NULL; /* mapped when it is looked at first */
    }
}

int vnet_attach(struct port *p, const int *fd, unsigned n, const struct rx_ring *ring)
{
    struct vnet *v = rte_zmalloc("shunt_vnet", n * sizeof(*v), RTE_CACHE_LINE_SIZE);
    if (!v)
        return -ENOMEM;
    for (unsigned q = 0; q < n; q++) {
        v[q].row = VNET_SPARE;
        v[q].ask = 1;
        if (ring)
            v[q].ring = ring[q];
    }
    vnet_join(p, v, fd, n);
    for (unsigned q = 0; q < n; q++) /* here, for all that are forked from this process */
        if (v[q].ring.slots && !(p->queue[q].ring = rx_ring_map(&v[q].ring, fd[q])))
            return -ENOMEM;
    return 0;
}

void vnet_close(struct port *p)
{
    for (unsigned q = 0; q < p->live; q++) {
        if (p->queue[q].ring)
            rx_ring_unmap(&p->vnet[q].ring, p->queue[q].ring);
        p->queue[q].ring = NULL;
        close(p->queue[q].fd);
    }
}

void vnet_clear_error(int fd)
{
    int err;
    socklen_t len = sizeof(err);
    sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &err, &len); /* a tap is no socket, and has none */
}

void vnet_mend(struct port *p, unsigned q)
{
    struct port_queue *pq = &p->queue[q];
    struct rx_ring *r = &p->vnet[q].ring;
    if (r->slots && (pq->ring || (pq->ring = rx_ring_map(r, pq->fd))))
        rx_ring_mend(r, pq->ring);
}
