/* port.c: a link on an ethdev: makes the virtual device, configures its queues with what it offers, and is
 * its netdev. */
#include "port.h"

#include <errno.h>
#include <limits.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_vhost.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../stack/pkt.h"
#include "eal.h"
#include "fds.h"
#include "kernel_if.h"
#include "memif_intr.h"
#include "offload.h"
#include "pool.h"
#include "share.h"
#include "xdp.h"

#define RX_DESC     512
#define TX_DESC     512
#define VIRTIO_DESC 256 /* FACTS: larger rings of virtio leave the cache */
#define MEMIF_BSIZE 65535
#define MEMIF_LOG2  5 /* 32 slots of 64 KiB a ring */
#define MEMIF_MTU   65000
#define ETHER_HDR   14
#define PORT_SEGS_MAX                                                                                        \
    64 /* buffers of a frame: a ring can't take a frame that has more of them than it has entries */
#define PORT_TSO_MAX                                                                                         \
    65000 /* payload of one TCP_SEG frame, so that IP's 16-bit length holds it with any header */
#define VIRTIO_WAIT_MS 5000 /* for the vhost end to be there */
#define VHOST_VIDS     16
#define RSS_KEY_MAX    64
#define VHOST_ASK_MIN  4             /* frames asked for in a poll that may find none */
#define VHOST_TXQ(r)   (2 * (r) + 1) /* the driver's sending ring of pair r */
#define VRING_AVAIL    (1u << 7)
#define VRING_USED     (1u << 15)

/* From drivers' headers that aren't installed. */
#define VIRTIO_NET_F_GUEST_CSUM 1
#define VIRTIO_RING_PACKED      34
#define VIRTIO_NET_F_GUEST_TSO4 7
extern void *vhost_devices[];
struct rte_eth_dev;
struct rte_eth_dev *rte_eth_dev_allocated(const char *name);
void eth_dev_fp_ops_setup(struct rte_eth_fp_ops *fpo, const struct rte_eth_dev *dev);

struct port ports[NETDEV_MAX];
unsigned nports;

/* What the stack's frames may ask for (RFC-level work that a port can take over). */
#define TX_WANTED                                                                                            \
    (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |           \
     RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#define RX_WANTED                                                                                            \
    (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |           \
     RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER)

/* librte_net_vhost, rte_eth_vhost.c: the start of what its queues are. */
struct vhost_queue {
    int vid;
    int allow_queuing; /* rte_atomic32_t */
};

static bool vhost_is_live(const struct port *p, const struct rte_ethdev_qdata *all, unsigned r)
{
    const struct vhost_queue *q = all->data[r];
    return q && q->vid == p->vid && __atomic_load_n(&q->allow_queuing, __ATOMIC_RELAXED);
}

/* How many pairs of rings the driver has enabled, from the first on. */
static uint16_t vhost_live(const struct port *p)
{
    const struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[p->id];
    uint16_t r = 0;
    while (p->vid >= 0 && r < p->rings && vhost_is_live(p, &ops->rxq, r) && vhost_is_live(p, &ops->txq, r))
        r++;
    return r;
}

/* Looks up the device that is connected to a vhost: link, and what its driver takes. */
static void vhost_refresh(struct port *p)
{
    char path[PATH_MAX];
    uint64_t features;
    p->vid = -1;
    p->packed = false;
    for (int vid = 0; vid < VHOST_VIDS && p->vid < 0; vid++)
        if (vhost_devices[vid] && rte_vhost_get_ifname(vid, path, sizeof(path)) == 0 &&
            strcmp(path, p->spec.target) == 0)
            p->vid = vid;
    if (p->vid < 0 || rte_vhost_get_negotiated_features(p->vid, &features) != 0)
        return;
    p->packed = features & 1ULL << VIRTIO_RING_PACKED;
    p->tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (features & 1ULL << VIRTIO_NET_F_GUEST_CSUM)
        p->tx_offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    if (features & 1ULL << VIRTIO_NET_F_GUEST_TSO4)
        p->tx_offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
}

void ports_changed(void)
{
    for (unsigned i = 0; i < nports; i++) {
        struct port *p = &ports[i];
        if (!p->shares)
            continue;
        if (p->spec.kind == LINK_VHOST)
            vhost_refresh(p);
        p->live = p->spec.kind == LINK_VHOST ? vhost_live(p) : (uint16_t)memif_live(p);
        p->dev.nqueue = p->live < p->wanted ? RTE_MAX(p->live, (uint16_t)1) : p->wanted;
    }
}

/* The driver of a vhost: link says so when the other end enabled a ring, or came or went: all of that is in
 * shared memory alone. Context: control. */
static int vhost_event(uint16_t id, enum rte_eth_event_type event, void *arg, void *ret)
{
    (void)id, (void)event, (void)arg, (void)ret;
    share_touch();
    return 0;
}

bool port_sync(struct port *p)
{
    return share_sync() && dpdk_link_up(&p->dev);
}

/* How many descriptors the driver has put on packed ring r, at most max; a frame has one or more (virtio
 * 1.1 section 2.7.1). Where that can't be told: max. */
static uint16_t vhost_waiting(const struct port *p, uint16_t r, uint16_t max)
{
    struct rte_vhost_vring ring;
    uint16_t at, used, n = 0;
    if (!p->packed || rte_vhost_get_vhost_vring(p->vid, VHOST_TXQ(r), &ring) < 0 || !ring.desc_packed ||
        rte_vhost_get_vring_base(p->vid, VHOST_TXQ(r), &at, &used) < 0)
        return max;
    bool wrap = at >> 15;
    at &= 0x7fff;
    while (n < max) {
        uint16_t flags = __atomic_load_n(&ring.desc_packed[at].flags, __ATOMIC_RELAXED);
        if (!!(flags & VRING_AVAIL) != wrap || !!(flags & VRING_USED) == wrap)
            break;
        n++;
        if (++at == ring.size) {
            at = 0;
            wrap = !wrap;
        }
    }
    return n;
}

/* The vhost library takes as many buffers from the pool as it is asked for frames, before it looks at the
 * ring, and puts back what it didn't need: so it is asked for as many as there can be, and for few until
 * there are many. */
static uint16_t vhost_rx(struct port *p, uint16_t r, struct rte_mbuf **m, uint16_t n)
{
    struct port_queue *pq = &p->queue[r % port_step(p)];
    uint16_t done = 0;
    while (done < n) {
        uint16_t want = (uint16_t)(n - done < pq->rx_ask ? n - done : pq->rx_ask);
        want = vhost_waiting(p, r, want);
        if (want == 0) {
            pq->rx_ask = done > VHOST_ASK_MIN ? done : VHOST_ASK_MIN;
            break;
        }
        uint16_t got = rte_eth_rx_burst(p->id, r, m + done, want);
        done += got;
        if (got < want) {
            pq->rx_ask = got > VHOST_ASK_MIN ? got : VHOST_ASK_MIN;
            break;
        }
        if (pq->rx_ask < n)
            pq->rx_ask *= 2;
    }
    return done;
}

static uint16_t memif_rx(struct port *p, uint16_t r, struct rte_mbuf **m, uint16_t n)
{
    bool partial = memif_takes_partial(p, r);
    n = rte_eth_rx_burst(p->id, r, m, n);
    for (uint16_t i = 0; partial && i < n; i++)
        if (offload_is_partial(m[i]))
            m[i]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    return n;
}

static uint16_t ring_rx(struct port *p, uint16_t r, struct rte_mbuf **m, uint16_t n)
{
    if (p->spec.kind == LINK_VHOST)
        return vhost_rx(p, r, m, n);
    if (p->spec.kind == LINK_MEMIF)
        return memif_rx(p, r, m, n);
    if (p->spec.kind == LINK_XDP) {
        /* The driver waits for up to a second where it means to wake the kernel. */
        fds_never_wait(true);
        n = rte_eth_rx_burst(p->id, r, m, n);
        fds_never_wait(false);
        return n;
    }
    return rte_eth_rx_burst(p->id, r, m, n);
}

/* The other end has more rings than the stack has queues: each poll starts with the next one. */
static uint16_t rings_rx(struct port *p, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    unsigned step = port_step(p), mine = (p->live - q + step - 1) / step;
    unsigned first = p->queue[q].turn++;
    uint16_t got = 0;
    for (unsigned i = 0; i < mine && got < n; i++)
        got += ring_rx(p, (uint16_t)(q + (first + i) % mine * step), m + got, (uint16_t)(n - got));
    return got;
}

static uint16_t port_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    if (p->shares && !port_sync(p))
        return 0;
    if (__builtin_expect(q + port_step(p) >= p->live, 1))
        return q < p->live ? ring_rx(p, q, m, n) : 0;
    return rings_rx(p, q, m, n);
}

/* Sends frames that need nothing more in software. Returns how many were taken. */
static uint16_t port_send(struct port *p, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    uint16_t ready = p->prepare ? rte_eth_tx_prepare(p->id, q, m, n) : n;
    return ready ? rte_eth_tx_burst(p->id, q, m, ready) : 0;
}

/* True when the port does all that m asks for; the sum of an IP header, which many ports don't, is no reason
 * to leave the burst: it is filled in here. */
static bool port_can(const struct port *p, uint16_t q, struct rte_mbuf *m)
{
    uint64_t can = p->tx_offloads, l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG && !(can & RTE_ETH_TX_OFFLOAD_TCP_TSO))
        return false; /* each of its segments has a sum of its own */
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM))
        offload_ip_sum(m);
    if (l4 && p->queue[q].partial && offload_may_be_partial(m)) {
        offload_pseudo(m);
        m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
        l4 = 0;
    }
    return !(l4 == RTE_MBUF_F_TX_TCP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) &&
           !(l4 == RTE_MBUF_F_TX_UDP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_UDP_CKSUM)) &&
           m->nb_segs <= (can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS ? PORT_SEGS_MAX : 1);
}

/* A frame that software must finish: true when it's gone (sent, or dropped for want of memory), false when
 * the port is full. A frame cut into segments is never handed back: segments that find no room are lost as on
 * a wire. */
static bool port_send_finished(struct port *p, uint16_t q, struct rte_mbuf **m)
{
    struct rte_mbuf *out[OFFLOAD_SEGS];
    unsigned n = 0;
    *m = offload_compact(*m, PORT_SEGS_MAX, p->pool);
    if (*m)
        n = offload_apply(*m, p->tx_offloads, p->pool, out, OFFLOAD_SEGS);
    if (n == 1) {
        *m = out[0]; /* asks for nothing in software now, when it is handed back */
        return port_send(p, q, out, 1) == 1;
    }
    uint16_t sent = n ? port_send(p, q, out, (uint16_t)n) : 0;
    rte_pktmbuf_free_bulk(out + sent, n - sent);
    p->dev.tx_lost[q] += n ? n - sent : 1;
    return true;
}

static uint16_t port_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    bool down = p->has_link_state && !port_sync(p);
    if (!down && q >= p->live && q == 0)
        return 0; /* about to come up */
    if (down || q >= p->live) {
        rte_pktmbuf_free_bulk(m, n); /* nobody is there: lost, as on an unplugged cable */
        p->dev.tx_lost[q] += n;
        return n;
    }
    p->queue[q].partial = p->spec.kind == LINK_MEMIF && memif_peer_takes_partial(p, q);
    for (uint16_t i = 0; i < n;) {
        uint16_t run = i;
        while (run < n && port_can(p, q, m[run]))
            run++;
        if (run > i) {
            uint16_t sent = port_send(p, q, m + i, (uint16_t)(run - i));
            if (sent < run - i)
                return (uint16_t)(i + sent);
            i = run;
        }
        if (i < n && !port_send_finished(p, q, &m[i]))
            return i;
        i += i < n;
    }
    return n;
}

static const struct netdev_ops port_ops = {.rx = port_rx, .tx = port_tx};

static uint16_t guarded_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    const struct port *p = dev->priv;
    if (!port_burst_begin(p, q))
        return 0;
    n = port_rx(dev, q, m, n);
    port_burst_end(p, q);
    return n;
}

static uint16_t guarded_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct port *p = dev->priv;
    if (!port_burst_begin(p, q)) {
        rte_pktmbuf_free_bulk(m, n);
        p->dev.tx_lost[q] += n;
        return n;
    }
    n = port_tx(dev, q, m, n);
    port_burst_end(p, q);
    return n;
}

/* For rings that a process killed in a burst leaves torn. */
static const struct netdev_ops guarded_ops = {.rx = guarded_rx, .tx = guarded_tx};

/* --- opening --- */

/* Whether a process listens on the socket at path, without disturbing it: a datagram socket is refused for
 * its type (EPROTOTYPE) where somebody is, and for lack of anybody (ECONNREFUSED) where not. */
static bool socket_is_alive(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return false;
    bool alive = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 && errno == EPROTOTYPE;
    close(fd);
    return alive;
}

/* Makes room for a server's socket: a file that a killed owner left goes, one that is in use stays. 0 or
 * -EADDRINUSE. */
static int socket_clear(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode) || socket_is_alive(path))
        return -EADDRINUSE;
    unlink(path);
    return 0;
}

/* Waits for a server to listen. */
static bool socket_await(const char *path, unsigned ms)
{
    for (; !socket_is_alive(path); ms -= 10) {
        if (ms < 10)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return true;
}

static void mac_text(const struct link_spec *l, char *buf, size_t len)
{
    buf[0] = 0;
    if (l->has_mac)
        snprintf(buf, len, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3],
                 l->mac[4], l->mac[5]);
}

/* The device's name and arguments as EAL takes them. */
static void devargs(const struct port *p, unsigned index, char *name, size_t name_len, char *args, size_t len)
{
    const struct link_spec *l = &p->spec;
    char mac[32];
    mac_text(l, mac, sizeof(mac));
    args[0] = 0;
    switch (l->kind) {
    case LINK_MEMIF:
        snprintf(name, name_len, "net_memif%u", index);
        snprintf(args, len, "role=%s,id=0,socket=%s,socket-abstract=no,bsize=%d,rsize=%d%s",
                 l->server ? "server" : "client", l->target, MEMIF_BSIZE, MEMIF_LOG2, mac);
        break;
    case LINK_VHOST:
        snprintf(name, name_len, "net_vhost%u", index);
        snprintf(args, len, "iface=%s,queues=%d,tso=1", l->target, PORT_RINGS);
        break;
    case LINK_VIRTIO:
        snprintf(name, name_len, "net_virtio_user%u", index);
        /* More than one pair needs the control queue, by which the driver says how many it uses. */
        snprintf(args, len, "path=%s,queues=%u,cq=%d,queue_size=%d,mrg_rxbuf=1,in_order=1,packed_vq=1%s",
                 l->target, p->wanted, p->wanted > 1, VIRTIO_DESC, mac);
        break;
    case LINK_XDP:
        snprintf(name, name_len, "net_af_xdp%u", index);
        /* Without busy polling: it would keep the interface's interrupts off, and a sleeper asleep. */
        snprintf(args, len, "iface=%s,busy_budget=0,queue_count=%u", l->target,
                 xdp_queues(l->target, p->wanted));
        break;
    case LINK_NULL:
        snprintf(name, name_len, "net_null%u", index);
        snprintf(args, len, "no-rx=1");
        break;
    default: { /* LINK_VDEV: the user's own, name first */
        size_t n = strcspn(l->target, ",");
        snprintf(name, name_len, "%.*s", (int)n, l->target);
        snprintf(args, len, "%s", l->target[n] ? l->target + n + 1 : "");
    }
    }
}

/* One line: what could not be done, the system's reason if there is one, and the driver's last words. */
static int fail(const struct port *p, int rc, char *err, size_t err_len, const char *what)
{
    const char *why = eal_error(), *reason = rc == -1 ? "" : strerror(-rc); /* -1: drivers' "failed" */
    snprintf(err, err_len, "link '%s': %s%s%s%s%s", p->text, what, *reason ? ": " : "", reason,
             *why ? ": " : "", why);
    return rc == -1 ? -EIO : rc;
}

/* One line for what needs no further explanation. */
static int refuse(const struct port *p, int rc, char *err, size_t err_len, const char *what)
{
    snprintf(err, err_len, "link '%s': %s", p->text, what);
    return rc;
}

static int xdp_refuse(const struct port *p, int rc, char *err, size_t err_len)
{
    const char *why = xdp_denied();
    return refuse(p, rc, err, err_len,
                  why ? why
                      : "its first queue is in use by another AF_XDP socket, or its driver refuses one: use "
                        "another interface, or a packet: link");
}

static bool has_directory(const char *path)
{
    char dir[sizeof(((struct link_spec *)NULL)->target)];
    const char *slash = strrchr(path, '/');
    struct stat st;
    if (!slash || slash == path)
        return true;
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes the device; p->id is its port. */
static int device_create(struct port *p, unsigned index, char *err, size_t err_len)
{
    char name[64], args[384];
    if (p->spec.kind == LINK_PCI) {
        if (rte_eth_dev_get_port_by_name(p->spec.target, &p->id) != 0)
            return fail(p, -ENODEV, err, err_len,
                        "no network device that DPDK can drive there (bound to vfio-pci?)");
        return 0;
    }
    if (p->spec.kind == LINK_XDP && kernel_if_index(p->spec.target) < 0)
        return refuse(p, -ENODEV, err, err_len, "no such interface here ('ip link' shows them)");
    bool serves = p->spec.kind == LINK_VHOST || (p->spec.kind == LINK_MEMIF && p->spec.server);
    if (serves && !has_directory(p->spec.target))
        return refuse(p, -ENOENT, err, err_len, "there is no such directory");
    if (serves && socket_clear(p->spec.target) < 0)
        return fail(p, -EADDRINUSE, err, err_len,
                    "another process serves it, or it is a file that is no socket");
    if (p->spec.kind == LINK_VIRTIO && !socket_await(p->spec.target, VIRTIO_WAIT_MS))
        return fail(p, -ECONNREFUSED, err, err_len, "no vhost: end there; start that one first");
    devargs(p, index, name, sizeof(name), args, sizeof(args));
    int rc = rte_vdev_init(name, args);
    if (rc < 0)
        return p->spec.kind == LINK_XDP ? xdp_refuse(p, rc, err, err_len)
                                        : fail(p, rc, err, err_len, "cannot make the device");
    if (rte_eth_dev_get_port_by_name(name, &p->id) != 0)
        return fail(p, -ENODEV, err, err_len, "it is no network device");
    if (p->spec.kind == LINK_MEMIF)
        memif_intr_init(p, name);
    if (p->spec.kind == LINK_VIRTIO)
        port_virtio_made(p);
    return 0;
}

static uint16_t descriptors(const struct port *p, uint16_t wanted, const struct rte_eth_desc_lim *lim)
{
    if (p->spec.kind == LINK_VIRTIO)
        wanted = VIRTIO_DESC;
    if (lim->nb_max && wanted > lim->nb_max)
        wanted = lim->nb_max;
    return wanted < lim->nb_min ? lim->nb_min : wanted;
}

/* How many pairs of rings to set up. The end that serves takes as many as the other has, which makes them. */
static uint16_t ring_count(const struct port *p, const struct rte_eth_dev_info *info)
{
    uint16_t n = p->wanted;
    switch (p->spec.kind) {
    case LINK_MEMIF:
        n = p->spec.server ? PORT_RINGS : p->wanted;
        break;
    case LINK_VHOST:
        n = PORT_RINGS;
        break;
    case LINK_VDEV: /* one that spreads frames over its queues */
        n = info->flow_type_rss_offloads ? p->wanted : 1;
        break;
    default:
        break;
    }
    n = RTE_MIN(n, RTE_MIN(info->max_rx_queues, info->max_tx_queues));
    return n ? n : 1;
}

/* Toeplitz with a key of a period of 16 bits: both directions of a flow give the same hash (S. Woo, K. Park,
 * "Scalable TCP Session Monitoring with Symmetric Receive-side Scaling", 2012). */
static void rss_configure(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info)
{
    static uint8_t key[RSS_KEY_MAX];
    for (unsigned i = 0; i < sizeof(key); i += 2) {
        key[i] = 0x6d;
        key[i + 1] = 0x5a;
    }
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_key = info->hash_key_size <= sizeof(key) ? key : NULL;
    conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
    conf->rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;
}

/* Pair r of rings. 0 or -errno, with err. */
static int ring_setup(struct port *p, uint16_t r, struct rte_eth_dev_info *info,
                      const struct rte_eth_conf *conf, char *err, size_t err_len)
{
    struct rte_eth_rxconf rx = info->default_rxconf;
    struct rte_eth_txconf tx = info->default_txconf;
    rx.offloads = conf->rxmode.offloads;
    tx.offloads = conf->txmode.offloads;
    struct rte_mempool *pool = p->pool;
    if (p->spec.kind == LINK_XDP) {
        /* The kernel takes the pool as a whole for its own (UMEM), which a growing one isn't; a queue has its
         * own. */
        char name[RTE_MEMPOOL_NAMESIZE];
        snprintf(name, sizeof(name), "shunt_xdp%u.%u", (unsigned)(p - ports), r);
        pool = pool_create(name, (uint64_t)(PORT_XDP_MB - 4) << 20, p->wanted, true);
        if (!pool)
            return fail(p, -ENOMEM, err, err_len, "no memory for its buffers: raise mem_mb");
    }
    int rc = rte_eth_rx_queue_setup(p->id, r, descriptors(p, RX_DESC, &info->rx_desc_lim), SOCKET_ID_ANY, &rx,
                                    pool);
    if (p->spec.kind == LINK_XDP) {
        p->queue[r].fd = fds_last_xdp();
        if (rc < 0)
            return xdp_refuse(p, rc, err, err_len);
    }
    if (rc == 0)
        rc =
            rte_eth_tx_queue_setup(p->id, r, descriptors(p, TX_DESC, &info->tx_desc_lim), SOCKET_ID_ANY, &tx);
    return rc < 0 ? fail(p, rc, err, err_len, "queues cannot be set up") : 0;
}

static int device_configure(struct port *p, char *err, size_t err_len)
{
    struct rte_eth_dev_info info;
    int rc = rte_eth_dev_info_get(p->id, &info);
    if (rc < 0)
        return fail(p, rc, err, err_len, "cannot be asked what it offers");
    struct rte_eth_conf conf = {
        .rxmode = {.offloads = info.rx_offload_capa & RX_WANTED, .mtu = p->dev.mtu},
        .txmode = {.offloads = info.tx_offload_capa & TX_WANTED},
        .intr_conf = {.rxq = p->spec.kind == LINK_VIRTIO || p->spec.kind == LINK_PCI,
                      /* Else a look at the link's state would ask the device each time. */
                      .lsc = *info.dev_flags & RTE_ETH_DEV_INTR_LSC ? 1 : 0},
    };
    p->rings = ring_count(p, &info);
    if (p->rings > 1 && info.flow_type_rss_offloads &&
        (p->spec.kind == LINK_PCI || p->spec.kind == LINK_VDEV))
        rss_configure(&conf, &info);
    conf.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
    if (p->dev.mtu + ETHER_HDR + 4 > info.max_rx_pktlen || p->spec.kind == LINK_MEMIF)
        conf.rxmode.mtu =
            1500; /* what the driver can be told; frames up to the link's own size pass all the same */
    rc = rte_eth_dev_configure(p->id, p->rings, p->rings, &conf);
    if (rc < 0 && conf.intr_conf.rxq) {
        conf.intr_conf.rxq = 0;
        rc = rte_eth_dev_configure(p->id, p->rings, p->rings, &conf);
    }
    if (rc < 0)
        return fail(p, rc, err, err_len, "cannot be configured");
    p->rx_intr = conf.intr_conf.rxq;
    p->tx_offloads = conf.txmode.offloads;
    for (uint16_t r = 0; rc == 0 && r < p->rings; r++)
        rc = ring_setup(p, r, &info, &conf, err, err_len);
    return rc;
}

/* Fills in the netdev from what the port turned out to be. */
static void device_describe(struct port *p)
{
    struct rte_ether_addr mac;
    if (p->spec.has_mac) {
        memcpy(mac.addr_bytes, p->spec.mac, sizeof(mac.addr_bytes));
        /* A port that can't change its address still sends and receives frames of any. */
        rte_eth_dev_default_mac_addr_set(p->id, &mac);
        memcpy(p->dev.mac, p->spec.mac, sizeof(p->dev.mac));
    } else if (rte_eth_macaddr_get(p->id, &mac) == 0) {
        memcpy(p->dev.mac, mac.addr_bytes, sizeof(p->dev.mac));
    }
    if (p->spec.kind == LINK_VHOST)
        p->tx_offloads |=
            RTE_ETH_TX_OFFLOAD_TCP_TSO; /* the driver has it, and doesn't say so; see vhost_refresh */
    if (p->spec.kind == LINK_VHOST || p->spec.kind == LINK_VIRTIO || p->spec.kind == LINK_MEMIF)
        p->dev.caps |= NETDEV_MEMLINK | NETDEV_FOLLOWS; /* a stack of ours at the other end does */
    if (p->tx_offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
        p->dev.caps |= NETDEV_SCATTER;
    if (p->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) {
        p->dev.caps |= NETDEV_TSO;
        p->dev.tso_max = PORT_TSO_MAX;
    }
    p->shares = p->spec.kind == LINK_MEMIF || p->spec.kind == LINK_VHOST;
    p->drain_fd = p->shares;
    p->idle = p->spec.kind == LINK_NULL;
    p->vid = -1;
    for (unsigned q = 0; q < PORT_RINGS; q++)
        p->queue[q].rx_ask = VHOST_ASK_MIN;
    p->live = p->shares ? 0 : p->rings;
    p->dev.nqueue = p->shares ? 1 : RTE_MIN(p->wanted, p->rings);
    if (p->spec.kind == LINK_VHOST) {
        rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_QUEUE_STATE, vhost_event, NULL);
        rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_LSC, vhost_event, NULL);
    }
    p->has_link_state =
        p->spec.kind == LINK_MEMIF || p->spec.kind == LINK_VHOST || p->spec.kind == LINK_VIRTIO;
    p->prepare = p->spec.kind == LINK_VIRTIO || p->spec.kind == LINK_PCI || p->spec.kind == LINK_VDEV;
    p->dev.ops = p->spec.kind == LINK_VHOST || p->spec.kind == LINK_VIRTIO ? &guarded_ops : &port_ops;
    p->dev.priv = p;
}

static void device_close(struct port *p)
{
    rte_eth_dev_stop(p->id);
    rte_eth_dev_close(p->id);
}

/* A memif client starts by connecting. Without a server it stays unstarted, ready for control to try again,
 * except that the burst functions, which a start sets in the calling process alone, must be known to all that
 * are forked from here. */
static int device_start(struct port *p)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    if (p->spec.kind != LINK_MEMIF || p->spec.server || socket_is_alive(p->spec.target))
        return rte_eth_dev_start(p->id);
    int rc = rte_eth_dev_get_name_by_port(p->id, name);
    if (rc == 0)
        eth_dev_fp_ops_setup(&rte_eth_fp_ops[p->id], rte_eth_dev_allocated(name));
    return rc;
}

void port_memif_retry(struct port *p)
{
    if (!socket_is_alive(p->spec.target))
        return;
    rte_eth_dev_stop(p->id);
    rte_eth_dev_start(p->id);
}

int link_ethdev_open(struct port *p, char *err, size_t err_len)
{
    eal_error_clear();
    if (!p->dev.mtu)
        p->dev.mtu = p->spec.kind == LINK_MEMIF ? MEMIF_MTU : 1500;
    int rc = device_create(p, (unsigned)(p - ports), err, err_len);
    if (rc < 0)
        return rc;
    p->close = device_close;
    rc = device_configure(p, err, err_len);
    if (rc < 0)
        return rc;
    rc = device_start(p);
    if (rc < 0)
        return fail(p, rc, err, err_len, "cannot be started");
    if (p->spec.kind == LINK_XDP || p->spec.kind == LINK_PCI || p->spec.kind == LINK_VDEV)
        rte_eth_promiscuous_enable(p->id); /* for a MAC address of ours; what isn't for us, layer 3 drops */
    device_describe(p);
    for (uint16_t r = 0; p->rx_intr && r < p->rings; r++)
        if ((p->queue[r].fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, r)) < 0)
            p->rx_intr = false;
    p->drain_fd |= p->rx_intr;
    return 0;
}
