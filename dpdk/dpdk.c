/* dpdk.c: see dpdk.h. The life of the links, and sleeping on them. */
#include "dpdk.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_ethdev.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <rte_vhost.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf_glue.h"
#include "eal.h"
#include "fds.h"
#include "memif_intr.h"
#include "pool.h"
#include "port.h"
#include "share.h"
#include "sys.h"

/* MiB of EAL's memory that aren't packets: rings, drivers' queues, tables. */
#define OTHER_MB(mem_mb) ((mem_mb) / 16 > 8 ? (mem_mb) / 16 : 8)

#define SLICE_MIN_NS  50000
#define SLICE_MAX_NS  2000000
#define SLICE_DOWN_NS 20000000 /* nobody is at the other end, or nothing to come */

#define VHOST_RX_VRING(r)                                                                                    \
    (uint16_t)(2 * (r) + 1) /* ring r to receive from is the other end's to transmit                         \
                             */

static const char *const kind_name[] = {"tap", "packet", "xdp",  "memif", "vhost", "virtio",
                                        "pci", "pcap",   "null", "vdev",  "rig"};

static const struct rte_memzone *file_zone;

static uint32_t file_mb(const struct dpdk_config *cfg)
{
    return cfg->file_mb < cfg->mem_mb / 4 ? cfg->file_mb : cfg->mem_mb / 4;
}

static uint16_t shards(const struct dpdk_config *cfg)
{
    return cfg->nshard ? cfg->nshard : 1;
}

/* How much of EAL's memory the packet pool gets. */
static uint64_t packet_bytes(const struct dpdk_config *cfg)
{
    uint32_t other_mb = OTHER_MB(cfg->mem_mb);
    for (unsigned i = 0; i < cfg->nlinks; i++)
        if (cfg->links[i].kind == LINK_XDP)
            other_mb += PORT_XDP_MB * shards(cfg);
    other_mb += file_mb(cfg);
    return cfg->mem_mb > other_mb ? (uint64_t)(cfg->mem_mb - other_mb) << 20 : 0;
}

static int open_one(struct port *p, char *err, size_t err_len)
{
    switch (p->spec.kind) {
    case LINK_TAP:
        return link_tap_open(p, err, err_len);
    case LINK_PACKET:
        return link_packet_open(p, err, err_len);
    case LINK_PCAP:
        return link_pcap_open(p, err, err_len);
    case LINK_RIG:
        snprintf(err, err_len, "link '%s': rigs are not built yet", p->text);
        return -EOPNOTSUPP;
    default:
        return link_ethdev_open(p, err, err_len);
    }
}

/* A link whose peer comes and goes after the start. */
static bool has_peer(const struct link_spec *l)
{
    return l->kind == LINK_MEMIF || l->kind == LINK_VHOST || l->kind == LINK_VIRTIO || l->kind == LINK_VDEV;
}

/* The port of the first n whose interface has this name; NULL: none. */
static const struct port *named(const char *name, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(ports[i].dev.name, name) == 0)
            return &ports[i];
    return NULL;
}

static int open_links(const struct dpdk_config *cfg, struct netdev **dev, struct rte_mempool *pool, char *err,
                      size_t err_len)
{
    for (unsigned i = 0; i < cfg->nlinks; i++) {
        struct port *p = &ports[i];
        p->spec = cfg->links[i];
        p->pool = pool;
        p->dev.mtu = p->spec.mtu;
        p->dev.nqueue = 1;
        p->wanted = shards(cfg);
        for (unsigned q = 0; q < PORT_RINGS; q++)
            p->queue[q].fd = -1;
        snprintf(p->text, sizeof(p->text), "%s:%s", kind_name[p->spec.kind], p->spec.target);
        snprintf(p->dev.name, sizeof(p->dev.name), "%s%u", kind_name[p->spec.kind], i);
        if (p->spec.has_mac)
            memcpy(p->dev.mac, p->spec.mac, sizeof(p->dev.mac));
        nports = i + 1;
        p->card = p->spec.share[0] ? named(p->spec.share, i) : NULL;
        if (p->spec.share[0] && !p->card) {
            snprintf(err, err_len, "link '%s': for=%s: no link before it has such an interface", p->text,
                     p->spec.share);
            return -ENODEV;
        }
        int rc = open_one(p, err, err_len);
        if (rc < 0)
            return rc;
        dev[i] = &p->dev;
    }
    return 0;
}

int dpdk_start(const struct dpdk_config *cfg, struct netdev **dev, struct rte_mempool **pool, char *err,
               size_t err_len)
{
    const char *pci[NETDEV_MAX];
    struct eal_config eal = {.name = cfg->name, .mem_mb = cfg->mem_mb, .pci = pci, .debug = cfg->debug};
    if (cfg->nlinks > NETDEV_MAX || cfg->nshard > PORT_RINGS) {
        snprintf(err, err_len, "too many links or shards: at most %d and %d", NETDEV_MAX, PORT_RINGS);
        return -E2BIG;
    }
    for (unsigned i = 0; i < cfg->nlinks; i++)
        if (cfg->links[i].kind == LINK_PCI)
            pci[eal.npci++] = cfg->links[i].target;
    int rc = eal_start(&eal, err, err_len);
    if (rc < 0)
        return rc;
    *pool = pool_create("shunt_pkt", packet_bytes(cfg), shards(cfg), false);
    if (!*pool) {
        snprintf(err, err_len, "no memory for %u MiB of packets: lower mem_mb", cfg->mem_mb);
        return -ENOMEM;
    }
    if (file_mb(cfg) && rte_eal_iova_mode() == RTE_IOVA_VA)
        file_zone = rte_memzone_reserve_aligned("shunt_files", (size_t)file_mb(cfg) << 20, SOCKET_ID_ANY,
                                                RTE_MEMZONE_2MB | RTE_MEMZONE_SIZE_HINT_ONLY, 65536);
    for (unsigned i = 0; i < cfg->nlinks; i++)
        if (has_peer(&cfg->links[i]) && !share_state && (rc = share_init()) < 0) {
            snprintf(err, err_len, "no address space for shared-memory links: %s", strerror(-rc));
            return rc;
        }
    if (!cfg->debug)
        bpf_set_quiet();
    rc = open_links(cfg, dev, *pool, err, err_len);
    if (rc < 0)
        dpdk_stop();
    return rc;
}

void *dpdk_file_memory(uint64_t *bytes)
{
    *bytes = file_zone ? file_zone->len : 0;
    return file_zone ? file_zone->addr : NULL;
}

int dpdk_memory(struct rte_mempool *pool, void **addr, uint64_t *bytes)
{
    const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(pool);
    int fd = eal_memory_fd();
    *addr = NULL;
    if (fd < 0 || !msl || rte_eal_iova_mode() != RTE_IOVA_VA)
        return -1;
    *addr = msl->base_va;
    *bytes = msl->len;
    return fd;
}

/* The i-th range in which there are no addresses of buffers. */
static bool other_range(const struct rte_mempool *pool, unsigned i, const void **from, const void **to)
{
    if (i > 0 || !file_zone)
        return pool_range(pool, file_zone ? i - 1 : i, from, to);
    *from = file_zone->addr;
    *to = (const char *)file_zone->addr + file_zone->len;
    return true;
}

/* Cuts [*at, *end) down to its first part that the pool, or files, don't have for themselves. False: there is
 * none. */
static bool without_pool(const struct rte_mempool *pool, const char **at, const char **end)
{
    const void *from, *to;
    for (unsigned i = 0; *at < *end && other_range(pool, i, &from, &to); i++) {
        if (*at >= (const char *)from && *at < (const char *)to) {
            *at = to;
            i = UINT32_MAX; /* look at all of them again from here */
        } else if (*at<(const char *)from && * end>(const char *) from) {
            *end = from;
        }
    }
    return *at < *end;
}

bool dpdk_next_used(struct rte_mempool *pool, const void **at, const void **end)
{
    void *base;
    uint64_t bytes;
    int fd = dpdk_memory(pool, &base, &bytes);
    off_t from = *at ? (const char *)*at - (const char *)base : 0, to;
    while (fd >= 0 && from < (off_t)bytes) {
        off_t data = lseek(fd, from, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return false;
        from = data < 0 ? from : data; /* huge pages don't say */
        to = lseek(fd, from, SEEK_HOLE);
        to = to <= from || to > (off_t)bytes ? (off_t)bytes : to;
        const char *a = (const char *)base + from, *e = (const char *)base + to;
        if (without_pool(pool, &a, &e)) {
            *at = a;
            *end = e;
            return true;
        }
        from = to;
    }
    return false;
}

void dpdk_each(struct rte_mempool *pool, void (*fn)(void *arg, void *m), void *arg)
{
    pool_each(pool, fn, arg);
}

void dpdk_each_free(struct rte_mempool *pool, void (*fn)(void *arg, void *m), void *arg)
{
    pool_each_free(pool, fn, arg);
}

int dpdk_join(int fd, void *addr, uint64_t bytes)
{
    long r = sys6(SYS_mmap, SYS_ARG(addr), (long)bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
    if (r < 0 && r > -4096)
        return r == -EEXIST ? -EBUSY : (int)r;
    if (r != SYS_ARG(addr)) { /* a kernel that takes the address as a hint */
        sys2(SYS_munmap, r, (long)bytes);
        return -EBUSY;
    }
    pool_joined();
    return 0;
}

int dpdk_pass(struct netdev *dev, struct dpdk_passed *out, int fd[NETDEV_QUEUE_MAX])
{
    const struct port *p = dev->priv;
    if (!p->vnet)
        return -1;
    *out = (struct dpdk_passed){
        .kind = p->spec.kind, .mtu = dev->mtu, .index = dev->index, .nqueue = dev->nqueue, .shared = p->vnet};
    memcpy(out->mac, dev->mac, sizeof(out->mac));
    memcpy(out->name, dev->name, sizeof(out->name));
    for (unsigned q = 0; q < dev->nqueue; q++)
        fd[q] = p->queue[q].fd;
    return dev->nqueue;
}

struct netdev *dpdk_take(unsigned i, const struct dpdk_passed *in, struct rte_mempool *pool, const int *fd)
{
    struct port *p = &ports[i];
    p->spec.kind = in->kind;
    p->pool = pool;
    p->dev.mtu = in->mtu;
    p->dev.index = in->index;
    memcpy(p->dev.mac, in->mac, sizeof(in->mac));
    memcpy(p->dev.name, in->name, sizeof(in->name));
    vnet_join(p, in->shared, fd, in->nqueue);
    nports = i + 1;
    return &p->dev;
}

void dpdk_stop(void)
{
    for (unsigned i = 0; i < nports; i++)
        if (ports[i].close)
            ports[i].close(&ports[i]);
    dpdk_remove_traces();
    nports = 0;
}

void dpdk_remove_traces(void)
{
    for (unsigned i = 0; i < nports; i++) {
        const struct link_spec *l = &ports[i].spec;
        if (ports[i].close && (l->kind == LINK_VHOST || (l->kind == LINK_MEMIF && l->server)))
            unlink(l->target);
        if (ports[i].close && l->kind == LINK_XDP)
            bpf_detach(l->target); /* an attached program outlives its process */
    }
}

/* --- sleeping --- */

/* Shared memory: the descriptor by which the other end says that it sent something on ring r; -1: none. */
static int peer_fd(const struct port *p, unsigned r)
{
    struct rte_vhost_vring vring;
    if (p->spec.kind == LINK_MEMIF)
        return memif_intr_fd(p, r);
    if (p->vid < 0 || rte_vhost_get_vhost_vring(p->vid, VHOST_RX_VRING(r), &vring) != 0)
        return -1;
    return vring.kickfd;
}

int dpdk_rx_fds(struct netdev *dev, unsigned q, struct pollfd *p, int room)
{
    const struct port *port = dev->priv;
    int n = 0;
    if (port->shares && !port_sync((struct port *)dev->priv))
        return 0;
    for (unsigned r = q; r < port->live && n < room; r += port_step(port)) {
        int fd = port->shares ? peer_fd(port, r) : port->queue[r].fd;
        if (fd >= 0)
            p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return n;
}

static void ring_interrupts(struct port *p, uint16_t r, bool on)
{
    if (p->rx_intr && on)
        rte_eth_dev_rx_intr_enable(p->id, r);
    else if (p->rx_intr)
        rte_eth_dev_rx_intr_disable(p->id, r);
    else if (p->spec.kind == LINK_MEMIF)
        memif_intr_set(p, r, on);
    else if (p->spec.kind == LINK_VHOST && p->vid >= 0)
        rte_vhost_enable_guest_notification(p->vid, VHOST_RX_VRING(r), on);
}

static void rx_interrupts(struct port *p, unsigned q, bool on)
{
    if (p->shares && !port_sync(p))
        return;
    for (unsigned r = q; r < p->live; r += port_step(p))
        ring_interrupts(p, (uint16_t)r, on);
}

void dpdk_rx_arm(struct netdev *dev, unsigned q)
{
    rx_interrupts(dev->priv, q, true);
}

void dpdk_rx_disarm(struct netdev *dev, unsigned q, const struct pollfd *p, int n)
{
    struct port *port = dev->priv;
    uint64_t count;
    rx_interrupts(port, q, false);
    for (int i = 0; port->drain_fd && i < n; i++)
        if (p[i].revents & POLLIN)
            sys3(SYS_read, p[i].fd, &count, sizeof(count));
    for (int i = 0; port->vnet && i < n; i++)
        if (p[i].revents & POLLERR)
            vnet_clear_error(p[i].fd);
}

uint64_t dpdk_rx_slice_ns(struct netdev *dev, uint64_t idle_ns)
{
    uint64_t ns = idle_ns / 8;
    if (((const struct port *)dev->priv)->idle || !dpdk_link_up(dev))
        return SLICE_DOWN_NS;
    return ns < SLICE_MIN_NS ? SLICE_MIN_NS : ns > SLICE_MAX_NS ? SLICE_MAX_NS : ns;
}

bool dpdk_link_up(struct netdev *dev)
{
    const struct port *p = dev->priv;
    struct rte_eth_link link;
    if (p->id == RTE_MAX_ETHPORTS || !p->has_link_state)
        return true;
    return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void dpdk_tx_reclaim(struct netdev *dev, unsigned q)
{
    const struct port *p = dev->priv;
    bool guarded = p->spec.kind == LINK_VHOST || p->spec.kind == LINK_VIRTIO;
    if (p->id == RTE_MAX_ETHPORTS || q >= p->live || (guarded && !port_burst_begin(p, q)))
        return;
    rte_eth_tx_done_cleanup(p->id, (uint16_t)q, 0);
    if (guarded)
        port_burst_end(p, q);
}

void dpdk_mend(struct rte_mempool *pool, unsigned lcore)
{
    pool_mend(pool, lcore);
    for (unsigned i = 0; i < nports; i++) {
        if (ports[i].spec.kind == LINK_VHOST && port_sync(&ports[i]))
            port_vhost_mend(&ports[i], lcore);
        if (ports[i].vnet && lcore < ports[i].live)
            vnet_mend(&ports[i], lcore);
    }
}
