/* env.c: the unit tests' environment (env.h). */
#include "env.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../stack/cksum.h"
#include "../../stack/frag.h"
#include "../../stack/ifnet.h"
#include "../../stack/route.h"

const uint8_t ENV_MAC[6] = {0x02, 0, 0, 0, 0, 0x02};
const uint8_t ENV_PEER_MAC[6] = {0x02, 0, 0, 0, 0, 0x01};
const uint8_t ENV_BCAST_MAC[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct env *env_now;

/* EAL measures the TSC for 100 ms at each start, and each test is a process that starts it: tests read no
 * TSC. The linker puts this in the place of EAL's own (meson.build). */
uint64_t __wrap_get_tsc_freq_arch(void);
uint64_t __wrap_get_tsc_freq_arch(void)
{
    return 2000000000;
}

/* Nor does a test leave a directory in /var/run. */
int __wrap_eal_create_runtime_dir(void);
int __wrap_eal_create_runtime_dir(void)
{
    return 0;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "test environment: %s failed\n", what);
    abort();
}

void env_eal(void)
{
    static bool up;
    static char *argv[] = {"test", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m",
                           "256",  "-l",        "0",        "--log-level",    "error",       NULL};
    cpu_set_t cpus;

    if (up)
        return;
    sched_getaffinity(0, sizeof cpus, &cpus);
    must(rte_eal_init((int)(sizeof argv / sizeof argv[0]) - 1, argv) >= 0, "rte_eal_init");
    sched_setaffinity(0, sizeof cpus, &cpus); /* EAL pins its thread */
    up = true;
}

struct rte_mempool *env_pool(uint32_t npkts)
{
    static unsigned serial;
    struct rte_mempool *pool;
    char name[32];

    env_eal();
    snprintf(name, sizeof name, "env%u", serial++);
    pool = pkt_pool_create(name, npkts ? npkts : 4095, 0, SOCKET_ID_ANY);
    must(pool != NULL, "pkt_pool_create");
    return pool;
}

static uint16_t dev_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct env *e = dev->priv;
    uint16_t i = 0;

    for (; q && i < n && e->more[q - 1].n > 0; i++, e->more[q - 1].n--)
        m[i] = e->more[q - 1].rx[e->more[q - 1].head++ % RTE_DIM(e->more[0].rx)];
    for (; !q && i < n && e->rx_n > 0; i++, e->rx_n--)
        m[i] = e->rx[e->rx_head++ % ENV_CAPTURE];
    return i;
}

static uint16_t dev_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct env *e = dev->priv;
    uint16_t i = 0;

    for (; i < n && !e->tx_block; i++)
        env_capture(e, m[i]);
    e->sent[q] += i;
    return i;
}

static const struct netdev_ops dev_ops = {.rx = dev_rx, .tx = dev_tx};

struct env *env_begin(const struct env_config *cfg, struct tunables *set)
{
    struct env *e = calloc(1, sizeof *e);

    must(e != NULL, "calloc");
    e->pool = env_pool(cfg->npkts);
    e->pool_free = rte_mempool_avail_count(e->pool);
    e->now_ns = ENV_START_NS;
    must(seg_create("test", &e->seg) == 0, "seg_create");
    tunables_default(set);
    set->arp_probe = cfg->arp_probe;
    set->dad_transmits = cfg->arp_probe;
    if (cfg->tune)
        cfg->tune(set);
    env_now = e;
    return e;
}

void env_add_if(struct env *e, const struct env_config *cfg)
{
    struct ipaddr own = ipaddr_v4(ENV_IP), peer = ipaddr_v4(ENV_PEER_IP);

    if (cfg->no_if)
        return;
    e->dev.ops = &dev_ops;
    e->dev.priv = e;
    e->dev.caps = cfg->caps | NETDEV_SCATTER | (cfg->tso_max ? NETDEV_TSO : 0);
    e->dev.mtu = cfg->mtu ? cfg->mtu : 1500;
    e->dev.tso_max = cfg->tso_max;
    memcpy(e->dev.mac, ENV_MAC, 6);
    snprintf(e->dev.name, sizeof e->dev.name, "eth0");
    must(stack_add_if(e->st, &e->dev) == ENV_IF, "stack_add_if");
    e->dev.index = ENV_IF;
    e->dev.nqueue = (uint16_t)cfg->queues;
    netdev_register(ENV_IF, &e->dev);
    if (cfg->no_addr)
        return;
    must(stack_add_addr(e->st, ENV_IF, &own, 24) == 0, "stack_add_addr");
    if (!cfg->no_peer)
        neigh_update(e->sh, neigh_get(e->sh, ENV_IF, &peer), ENV_PEER_MAC, true);
}

void env_advance_ms(struct env *e, uint64_t ms)
{
    /* In steps, because what fires arms timers relative to the clock; long waits in larger ones. */
    uint64_t step = ms <= 5000 ? 1 : ms / 5000;

    while (ms > 0) {
        uint64_t n = RTE_MIN(step, ms);

        e->now_ns += n * 1000000;
        ms -= n;
        e->step(e);
    }
}

int env_leaks(struct env *e)
{
    int out = (int)e->pool_free - (int)rte_mempool_avail_count(e->pool);

    for (uint32_t i = 0; i < e->tx_n; i++)
        out -= e->tx[(e->tx_head + i) % ENV_CAPTURE]->nb_segs;
    for (uint32_t i = 0; i < e->rx_n; i++)
        out -= e->rx[(e->rx_head + i) % ENV_CAPTURE]->nb_segs;
    return out;
}

/* ---- frames in ---- */

struct rte_mbuf *env_frame_chain(struct env *e, const void *bytes, size_t len, size_t piece)
{
    struct rte_mbuf *head = NULL, *m, *last = NULL;
    size_t off = 0;

    do {
        size_t n = RTE_MIN(len - off, RTE_MIN(piece, (size_t)PKT_DATA_ROOM));

        m = rte_pktmbuf_alloc(e->pool);
        must(m != NULL, "rte_pktmbuf_alloc");
        memset(pkt_meta(m), 0x5a, sizeof(struct pkt_meta)); /* a driver leaves rubbish there */
        memcpy(rte_pktmbuf_mtod(m, char *), (const char *)bytes + off, n);
        m->data_len = (uint16_t)n;
        m->pkt_len = (uint32_t)n;
        if (head) {
            last->next = m;
            head->nb_segs++;
            head->pkt_len += (uint32_t)n;
        } else {
            head = m;
        }
        last = m;
        off += n;
    } while (off < len);
    return head;
}

struct rte_mbuf *env_frame(struct env *e, const void *bytes, size_t len)
{
    return env_frame_chain(e, bytes, len, PKT_DATA_ROOM);
}

enum ip_verdict env_input_if(struct env *e, unsigned ifindex, struct rte_mbuf *m)
{
    enum ip_verdict v;

    memset(&e->ri, 0xa5, sizeof e->ri);
    memset(&e->err, 0xa5, sizeof e->err);
    v = eth_input(e->sh, ifindex, &m, &e->ri, &e->err);
    e->m = v == IP_DONE ? NULL : m;
    return v;
}

enum ip_verdict env_input(struct env *e, struct rte_mbuf *m)
{
    return env_input_if(e, ENV_IF, m);
}

void env_done(struct env *e)
{
    rte_pktmbuf_free(e->m);
    e->m = NULL;
}

void env_inject(struct env *e, struct rte_mbuf *m)
{
    must(e->rx_n < ENV_CAPTURE, "env_inject (queue full)");
    e->rx[(e->rx_head + e->rx_n++) % ENV_CAPTURE] = m;
}

void env_inject_at(struct env *e, unsigned queue, struct rte_mbuf *m)
{
    if (!queue) {
        env_inject(e, m);
        return;
    }
    must(e->more[queue - 1].n < RTE_DIM(e->more[0].rx), "env_inject_at (queue full)");
    e->more[queue - 1].rx[(e->more[queue - 1].head + e->more[queue - 1].n++) % RTE_DIM(e->more[0].rx)] = m;
}

struct rte_mbuf *env_arp(struct env *e, uint16_t op, const uint8_t sha[6], uint32_t spa, const uint8_t tha[6],
                         uint32_t tpa)
{
    struct arp_pkt a = {.op = op, .spa_be = spa, .tpa_be = tpa};
    uint8_t buf[ETH_HDR_LEN + ARP_LEN];

    memcpy(a.sha, sha, 6);
    if (tha)
        memcpy(a.tha, tha, 6);
    wire_eth_emit(buf, op == ARP_REPLY ? ENV_MAC : ENV_BCAST_MAC, sha, ETH_TYPE_ARP);
    wire_arp_emit(buf + ETH_HDR_LEN, &a);
    return env_frame(e, buf, sizeof buf);
}

size_t env_ip4_bytes(uint8_t *buf, const struct env_ip *ip, const void *payload, size_t len)
{
    struct ip4_hdr *h = (struct ip4_hdr *)(buf + ETH_HDR_LEN);
    size_t hlen = IP4_HDR_LEN + ip->opts_len;

    wire_eth_emit(buf, ip->dmac ? ip->dmac : ENV_MAC, ENV_PEER_MAC, ETH_TYPE_IP4);
    memset(h, 0, IP4_HDR_LEN);
    h->ver_ihl = (uint8_t)(0x40 | hlen / 4);
    h->tos = ip->tos;
    h->len_be = htons(ip->total_len ? ip->total_len : (uint16_t)(hlen + len));
    h->id_be = htons(ip->id);
    h->off_be = htons(ip->off);
    h->ttl = ip->ttl ? ip->ttl : 64;
    h->proto = ip->proto;
    h->src_be = ip->src ? ip->src : ENV_PEER_IP;
    h->dst_be = ip->dst ? ip->dst : ENV_IP;
    if (ip->opts_len)
        memcpy(h + 1, ip->opts, ip->opts_len);
    h->cksum = cksum(h, hlen);
    if (ip->bad_cksum)
        h->cksum ^= 0x1111;
    if (len)
        memcpy((uint8_t *)h + hlen, payload, len);
    return ETH_HDR_LEN + hlen + len;
}

struct rte_mbuf *env_ip4(struct env *e, const struct env_ip *ip, const void *payload, size_t len)
{
    static uint8_t buf[65536 + 128];

    return env_frame(e, buf, env_ip4_bytes(buf, ip, payload, len));
}

/* Completes the checksum at offset at of the transport packet p. */
static void l4_cksum(uint8_t *p, size_t at, size_t len, uint32_t src, uint32_t dst, uint8_t proto)
{
    struct ipaddr s = ipaddr_v4(src), d = ipaddr_v4(dst);
    uint16_t sum;

    memset(p + at, 0, 2);
    sum = (uint16_t)~cksum_fold(cksum_add(cksum_add_pseudo(0, &s, &d, proto, (uint32_t)len), p, len));
    if (sum == 0 && proto == IPPROTO_UDP)
        sum = 0xffff;
    memcpy(p + at, &sum, 2);
}

struct rte_mbuf *env_udp(struct env *e, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                         const void *data, size_t len)
{
    static uint8_t p[65536];
    struct env_ip ip = {.src = src, .dst = dst, .proto = IPPROTO_UDP};

    wire_udp_emit(p, htons(sport), htons(dport), len);
    if (len)
        memcpy(p + UDP_HDR_LEN, data, len);
    l4_cksum(p, 6, UDP_HDR_LEN + len, src, dst, IPPROTO_UDP);
    return env_ip4(e, &ip, p, UDP_HDR_LEN + len);
}

struct rte_mbuf *env_tcp(struct env *e, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                         const struct tcp_hdr_in *h, const struct tcp_opts *opts, const void *data,
                         size_t len)
{
    static uint8_t p[65536];
    struct env_ip ip = {.src = src, .dst = dst, .proto = IPPROTO_TCP};
    struct tcp_hdr_in hdr = *h;
    size_t olen = opts ? wire_tcp_emit_opts(p + TCP_HDR_LEN, opts) : 0;

    hdr.sport_be = htons(sport);
    hdr.dport_be = htons(dport);
    hdr.hlen = (uint8_t)(TCP_HDR_LEN + olen);
    wire_tcp_emit(p, &hdr);
    if (len)
        memcpy(p + hdr.hlen, data, len);
    l4_cksum(p, 16, hdr.hlen + len, src, dst, IPPROTO_TCP);
    return env_ip4(e, &ip, p, hdr.hlen + len);
}

struct rte_mbuf *env_icmp(struct env *e, uint32_t src, uint32_t dst, uint8_t type, uint8_t code,
                          uint32_t rest, const void *data, size_t len)
{
    static uint8_t p[65536];
    struct env_ip ip = {.src = src, .dst = dst, .proto = IPPROTO_ICMP};
    uint16_t sum;

    wire_icmp_emit(p, type, code, rest);
    if (len)
        memcpy(p + ICMP_HDR_LEN, data, len);
    sum = cksum(p, ICMP_HDR_LEN + len);
    memcpy(p + 2, &sum, 2);
    return env_ip4(e, &ip, p, ICMP_HDR_LEN + len);
}

/* ---- frames out ---- */

void env_capture(struct env *e, struct rte_mbuf *m)
{
    must(e->tx_n < ENV_CAPTURE, "env_capture (queue full)");
    e->tx[(e->tx_head + e->tx_n++) % ENV_CAPTURE] = m;
}

uint32_t env_tx_count(const struct env *e)
{
    return e->tx_n;
}

void env_tx_clear(struct env *e)
{
    for (; e->tx_n > 0; e->tx_n--)
        rte_pktmbuf_free(e->tx[e->tx_head++ % ENV_CAPTURE]);
}

static void read_ip4(struct env_seen *s)
{
    uint32_t total, hlen;

    if (s->len < ETH_HDR_LEN + IP4_HDR_LEN)
        return;
    s->ip = (const struct ip4_hdr *)(s->raw + ETH_HDR_LEN);
    hlen = ip4_hlen(s->ip);
    total = ntohs(s->ip->len_be);
    must(hlen >= IP4_HDR_LEN && total + ETH_HDR_LEN == s->len, "a frame's IP length");
    s->l4 = s->data = (const uint8_t *)s->ip + hlen;
    s->data_len = total - hlen;
    if (s->ip->off_be & htons(IP4_OFFSET_MASK))
        return;
    if (s->ip->proto == IPPROTO_TCP && wire_tcp_parse(s->l4, s->data_len, &s->tcp) > 0) {
        wire_tcp_parse_opts(s->l4 + TCP_HDR_LEN, s->tcp.hlen - TCP_HDR_LEN, s->tcp.flags & TCP_SYN, &s->opts);
        s->data += s->tcp.hlen;
        s->data_len -= s->tcp.hlen;
    } else if (s->ip->proto == IPPROTO_UDP && s->data_len >= UDP_HDR_LEN) {
        wire_udp_parse(s->l4, s->data_len, &s->udp);
        s->data += UDP_HDR_LEN;
        s->data_len -= UDP_HDR_LEN;
    } else if (s->ip->proto == IPPROTO_ICMP && s->data_len >= ICMP_HDR_LEN) {
        s->data += ICMP_HDR_LEN;
        s->data_len -= ICMP_HDR_LEN;
    }
}

bool env_seen(struct env *e, struct env_seen *s)
{
    struct rte_mbuf *m;

    if (e->tx_n == 0)
        return false;
    m = e->tx[e->tx_head++ % ENV_CAPTURE];
    e->tx_n--;
    memset(s, 0, sizeof *s);
    s->len = m->pkt_len;
    s->ol_flags = m->ol_flags;
    s->tso_segsz = m->tso_segsz;
    s->l2_len = m->l2_len;
    s->l3_len = m->l3_len;
    s->l4_len = m->l4_len;
    must(s->len <= sizeof s->raw && pkt_read(m, 0, s->len, s->raw), "reading a frame");
    rte_mbuf_check(m, 1, &(const char *){NULL});
    rte_pktmbuf_free(m);
    s->eth = (const struct eth_hdr *)s->raw;
    s->type = ntohs(s->eth->type_be);
    if (s->type == ETH_TYPE_ARP)
        must(wire_arp_parse(s->raw + ETH_HDR_LEN, s->len - ETH_HDR_LEN, &s->arp) == 0, "an ARP frame");
    else if (s->type == ETH_TYPE_IP4)
        read_ip4(s);
    return true;
}
