/* pcap.c: opens a pcap: link: the frames of a capture file come in, each once, as fast as they are asked for;
 * what the stack sends is written to a second file, FILE.tx.
 *
 * A file that doesn't exist is an empty one. Both files' positions belong to the open files, which forks
 * share, so the family reads and writes them as one. Capture files are those of libpcap
 * (draft-ietf-opsawg-pcap): either byte order, micro- or nanoseconds, Ethernet.
 */
#include <errno.h>
#include <fcntl.h>
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../stack/pkt.h"
#include "offload.h"
#include "port.h"

#define MAGIC_US  0xa1b2c3d4u
#define MAGIC_NS  0xa1b23c4du
#define ETHERNET  1
#define FRAME_MAX 65549 /* Ethernet header and an IP packet */
#define PCAP_IOV  64

struct file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t reserved[2];
    uint32_t snap_len, link_type;
};

struct record {
    uint32_t sec, frac, cap_len, len;
};

enum { FD_RX, FD_TX }; /* of port->file */

static bool read_all(int fd, void *buf, size_t n)
{
    char *p = buf;
    while (n) {
        ssize_t r = read(fd, p, n);
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* Reads len bytes of a frame into a chain. NULL: out of memory or at the end; the rest of the file is then
 * lost. */
static struct rte_mbuf *frame_read(struct port *p, uint32_t len)
{
    struct rte_mbuf *head = NULL;
    while (len) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
        uint16_t n = (uint16_t)RTE_MIN(len, (uint32_t)PKT_DATA_ROOM);
        if (!m || !read_all(p->file[FD_RX], rte_pktmbuf_append(m, n), n)) {
            rte_pktmbuf_free(m);
            rte_pktmbuf_free(head);
            return NULL;
        }
        if (!head)
            head = m;
        else
            rte_pktmbuf_chain(head, m);
        len -= n;
    }
    return head;
}

static uint16_t pcap_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    uint16_t got = 0;
    struct record r;
    while (got < n && p->file[FD_RX] >= 0 && read_all(p->file[FD_RX], &r, sizeof(r))) {
        uint32_t len = p->file_swapped ? rte_bswap32(r.cap_len) : r.cap_len;
        struct rte_mbuf *frame = len && len <= FRAME_MAX ? frame_read(p, len) : NULL;
        if (!frame)
            break;
        m[got++] = frame;
    }
    return got;
}

static void frame_write(struct port *p, const struct rte_mbuf *m)
{
    struct timespec now;
    struct iovec iov[PCAP_IOV];
    int cnt = 1;
    clock_gettime(CLOCK_REALTIME, &now);
    struct record r = {(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, m->pkt_len, m->pkt_len};
    iov[0] = (struct iovec){&r, sizeof(r)};
    for (; m && cnt < PCAP_IOV; m = m->next)
        iov[cnt++] = (struct iovec){rte_pktmbuf_mtod(m, void *), m->data_len};
    /* One call a frame, so that forks' frames don't mix. A full disk loses frames, as a wire does. */
    if (writev(p->file[FD_TX], iov, cnt) < 0)
        p->dev.tx_lost[0]++;
}

static uint16_t pcap_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *out[OFFLOAD_SEGS];
        unsigned k = offload_apply(m[i], p->tx_offloads, p->pool, out, OFFLOAD_SEGS);
        p->dev.tx_lost[0] += k == 0;
        for (unsigned s = 0; s < k; s++)
            frame_write(p, out[s]);
        rte_pktmbuf_free_bulk(out, k);
    }
    return n;
}

static const struct netdev_ops pcap_ops = {.rx = pcap_rx, .tx = pcap_tx};

/* Checks the header of the file to read. 0 or -errno. */
static int rx_open(struct port *p)
{
    struct file_header h;
    int fd = open(p->spec.target, O_RDONLY);
    p->file[FD_RX] = -1;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    bool ok = read_all(fd, &h, sizeof(h));
    p->file_swapped = ok && (h.magic == rte_bswap32(MAGIC_US) || h.magic == rte_bswap32(MAGIC_NS));
    uint32_t type = p->file_swapped ? rte_bswap32(h.link_type) : h.link_type;
    if (!ok || (!p->file_swapped && h.magic != MAGIC_US && h.magic != MAGIC_NS) ||
        (type & 0xffff) != ETHERNET) {
        close(fd);
        return -EPROTO;
    }
    p->file[FD_RX] = fd;
    return 0;
}

static int tx_open(struct port *p)
{
    static const struct file_header h = {MAGIC_NS, 2, 4, {0, 0}, FRAME_MAX, ETHERNET};
    char path[sizeof(p->spec.target) + 4];
    snprintf(path, sizeof(path), "%s.tx", p->spec.target);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (fd < 0)
        return -errno;
    p->file[FD_TX] = fd;
    return write(fd, &h, sizeof(h)) == sizeof(h) ? 0 : -EIO;
}

static void pcap_close(struct port *p)
{
    if (p->file[FD_RX] >= 0)
        close(p->file[FD_RX]);
    close(p->file[FD_TX]);
}

int link_pcap_open(struct port *p, char *err, size_t err_len)
{
    int rc = rx_open(p);
    if (rc == 0)
        rc = tx_open(p);
    if (rc < 0) {
        snprintf(err, err_len, "link '%s': %s", p->text,
                 rc == -EPROTO ? "not a capture file of Ethernet frames" : strerror(-rc));
        return rc;
    }
    if (!p->dev.mtu)
        p->dev.mtu = 1500;
    p->id = RTE_MAX_ETHPORTS;
    p->idle = true;
    p->live = p->rings = 1;
    p->tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    p->dev.ops = &pcap_ops;
    p->dev.priv = p;
    p->dev.caps = NETDEV_SCATTER;
    p->close = pcap_close;
    return 0;
}
