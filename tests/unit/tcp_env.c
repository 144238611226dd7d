/* tcp_env.c: two stacks and a bad wire (tcp_env.h). */
#include "tcp_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../stack/port.h"
#include "../../stack/seg.h"

static const uint8_t side_mac[2][6] = {{2, 0, 0, 0, 1, 0}, {2, 0, 0, 0, 1, 1}};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "tcp test environment: %s failed\n", what);
    abort();
}

/* splitmix64 */
static uint64_t rnd64(struct tcp_pair *p)
{
    uint64_t z = (p->rnd += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint32_t tcp_pair_rnd(struct tcp_pair *p, uint32_t below)
{
    return (uint32_t)(((rnd64(p) >> 32) * below) >> 32);
}

/* --- the wire --- */

/* The wire is a binary heap: its first frame is the next to arrive. */
static bool earlier(const struct wire_frame *a, const struct wire_frame *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void wire_put(struct tcp_pair *p, int to, struct rte_mbuf *m, uint64_t at_ns)
{
    struct wire_frame f = {at_ns, p->order++, m, (uint8_t)to};
    uint32_t i = p->nwire++;

    must(i < PAIR_WIRE_MAX, "room on the wire");
    m->ol_flags = (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) | RTE_MBUF_F_RX_IP_CKSUM_GOOD |
                  RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    for (; i && earlier(&f, &p->wire[(i - 1) / 2]); i = (i - 1) / 2)
        p->wire[i] = p->wire[(i - 1) / 2];
    p->wire[i] = f;
}

static struct wire_frame wire_take(struct tcp_pair *p)
{
    struct wire_frame first = p->wire[0], f = p->wire[--p->nwire];
    uint32_t i = 0, c;

    for (; (c = 2 * i + 1) < p->nwire; i = c) {
        if (c + 1 < p->nwire && earlier(&p->wire[c + 1], &p->wire[c]))
            c++;
        if (!earlier(&p->wire[c], &f))
            break;
        p->wire[i] = p->wire[c];
    }
    p->wire[i] = f;
    return first;
}

/* Marks an IPv4 packet of an ECN-capable transport (the checksum is taken as verified by who receives it). */
static void mark_ce(struct pair_side *s, struct rte_mbuf *m)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct ip4_hdr *, ETH_HDR_LEN);

    if (ip->ver_ihl >> 4 != 4 || (ip->tos & 3) == 0)
        return;
    ip->tos |= 3;
    s->marked++;
}

/* When frame m is through the bottleneck, 0: its buffer is full. */
static uint64_t bottleneck(struct tcp_pair *p, struct pair_side *s, struct rte_mbuf *m)
{
    const struct wire_faults *f = &p->faults;
    uint64_t start = s->link_free_ns > p->now_ns ? s->link_free_ns : p->now_ns, queued, len = m->pkt_len;

    if (!f->bytes_per_s)
        return p->now_ns;
    queued = (start - p->now_ns) * f->bytes_per_s / 1000000000;
    if (f->queue_bytes && queued > f->queue_bytes)
        return 0;
    if (f->mark_bytes && queued > f->mark_bytes)
        mark_ce(s, m);
    s->link_free_ns = start + len * 1000000000 / f->bytes_per_s;
    return s->link_free_ns;
}

/* One frame leaves side s. */
static void wire_send(struct tcp_pair *p, struct pair_side *s, struct rte_mbuf *m)
{
    const struct wire_faults *f = &p->faults;
    int from = (int)(s - p->side), to = !from;
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, p->pool, 0, UINT32_MAX);
    uint64_t at;

    s->frames++;
    if (p->filter && p->filter(p, from, m)) {
        rte_pktmbuf_free(copy);
        copy = NULL;
    }
    rte_pktmbuf_free(m);
    if (!copy)
        return;
    at = bottleneck(p, s, copy);
    if (at == 0 || tcp_pair_rnd(p, 1000) < f->loss ||
        (f->loss_ppm && tcp_pair_rnd(p, 1000000) < f->loss_ppm)) {
        s->lost++;
        rte_pktmbuf_free(copy);
        return;
    }
    at += f->delay_us * 1000ULL + (f->jitter_us ? tcp_pair_rnd(p, f->jitter_us) * 1000ULL : 0);
    if (tcp_pair_rnd(p, 1000) < f->reorder)
        at += 1000ULL * tcp_pair_rnd(p, 4 * f->delay_us + 1000);
    if (tcp_pair_rnd(p, 1000) < f->dup) {
        struct rte_mbuf *again = rte_pktmbuf_copy(copy, p->pool, 0, UINT32_MAX);

        if (again)
            wire_put(p, to, again, at + 1000ULL * tcp_pair_rnd(p, f->delay_us + 1000));
    }
    wire_put(p, to, copy, at);
}

static uint16_t side_tx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct pair_side *s = dev->priv;

    (void)q;
    for (uint16_t i = 0; i < n; i++)
        wire_send(s->pair, s, m[i]);
    return n;
}

static uint16_t side_rx(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    struct pair_side *s = dev->priv;
    uint16_t i = 0;

    (void)q;
    for (; i < n && s->rx_n; i++, s->rx_n--)
        m[i] = s->rx[s->rx_head++ % PAIR_WIRE_MAX];
    return i;
}

static const struct netdev_ops side_ops = {.rx = side_rx, .tx = side_tx};

/* Takes the frames that have arrived by now off the wire, in the order of their arrival. */
static void wire_deliver(struct tcp_pair *p)
{
    while (p->nwire && p->wire[0].at_ns <= p->now_ns) {
        struct wire_frame f = wire_take(p);
        struct pair_side *s = &p->side[f.to];

        must(s->rx_n < PAIR_WIRE_MAX, "room in the receive queue");
        s->rx[(s->rx_head + s->rx_n++) % PAIR_WIRE_MAX] = f.m;
    }
}

/* --- the two stacks --- */

static void side_up(struct tcp_pair *p, int i, const struct pair_config *cfg)
{
    struct stack_config sc = {
        .name = "pair", .max_tcp = 4096, .max_udp = 64, .max_files = 4096, .now_ns = p->now_ns};
    struct pair_side *s = &p->side[i];
    struct ipaddr own, peer;

    memcpy(sc.secret, i ? "secret of side 1" : "secret of side 0", 16);
    tunables_default(&sc.set);
    sc.set.arp_probe = 0;
    if (cfg->tune)
        cfg->tune(&sc.set);
    must(seg_create("pair", &s->seg) == 0, "seg_create");
    must(stack_create(s->seg, &sc, p->pool, &s->st) == 0, "stack_create");
    s->sh = &s->st->shard[0];
    s->pair = p;
    s->ip_be = IP4(198, 18, 0, 1 + i);
    s->dev.ops = &side_ops;
    s->dev.priv = s;
    s->dev.caps = cfg->caps | NETDEV_SCATTER | (cfg->tso_max ? NETDEV_TSO : 0);
    s->dev.mtu = cfg->mtu ? cfg->mtu : 1500;
    s->dev.tso_max = cfg->tso_max;
    s->dev.index = 1;
    memcpy(s->dev.mac, side_mac[i], 6);
    snprintf(s->dev.name, sizeof s->dev.name, "wire%d", i);
    shard_lock(s->sh);
    must(stack_add_if(s->st, &s->dev) == 1, "stack_add_if");
    netdev_register(1, &s->dev);
    own = ipaddr_v4(s->ip_be);
    peer = ipaddr_v4(IP4(198, 18, 0, 2 - i));
    must(stack_add_addr(s->st, 1, &own, 24) == 0, "stack_add_addr");
    neigh_update(s->sh, neigh_get(s->sh, 1, &peer), side_mac[!i], true);
    s->sh->pool = p->pool;
}

struct tcp_pair *tcp_pair_new(const struct pair_config *cfg)
{
    static const struct pair_config defaults;
    struct tcp_pair *p = calloc(1, sizeof *p);

    must(p != NULL, "calloc");
    if (!cfg)
        cfg = &defaults;
    p->pool = env_pool(cfg->npkts ? cfg->npkts : 16383);
    p->pool_free = rte_mempool_avail_count(p->pool);
    p->now_ns = ENV_START_NS;
    p->rnd = cfg->seed;
    p->faults = cfg->faults;
    side_up(p, 0, cfg);
    side_up(p, 1, cfg);
    return p;
}

struct shard *tcp_pair_enter(struct tcp_pair *p, int side)
{
    struct pair_side *s = &p->side[side];

    netdev_register(1, &s->dev);
    s->sh->now_ns = p->now_ns;
    return s->sh;
}

void tcp_pair_flush(struct tcp_pair *p, int side)
{
    shard_flush(tcp_pair_enter(p, side));
}

static void poll_both(struct tcp_pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct shard *sh = p->side[i].sh;

        while (p->side[i].rx_n || shard_next_timer_ns(sh) <= p->now_ns)
            shard_poll(tcp_pair_enter(p, i), p->now_ns);
    }
}

bool tcp_pair_step(struct tcp_pair *p, uint64_t until_ns)
{
    uint64_t next = p->nwire ? p->wire[0].at_ns : UINT64_MAX;

    for (int i = 0; i < 2; i++) {
        uint64_t t = shard_next_timer_ns(p->side[i].sh);

        next = t < next ? t : next;
    }
    if (next == UINT64_MAX && until_ns == UINT64_MAX)
        return false;
    if (next > until_ns)
        next = until_ns;
    if (next > p->now_ns)
        p->now_ns = next;
    wire_deliver(p);
    poll_both(p);
    return true;
}

void tcp_pair_run_ms(struct tcp_pair *p, uint64_t ms)
{
    uint64_t end = p->now_ns + ms * 1000000;

    while (p->now_ns < end)
        tcp_pair_step(p, end);
    tcp_pair_step(p, end);
}

int tcp_pair_leaks(const struct tcp_pair *p)
{
    return (int)p->pool_free - (int)rte_mempool_avail_count(p->pool) - (int)p->nwire;
}

void tcp_pair_connect(struct tcp_pair *p, uint16_t port, struct tcb **server, struct tcb **client)
{
    struct endpoint local = {IPADDR_ANY, htons(port)}, remote = {ipaddr_v4(p->side[0].ip_be), htons(port)};
    struct shard *sh = tcp_pair_enter(p, 0);
    struct tcb *l = tcp_open(sh, 0);

    must(port_bind(sh->st, sh, (struct pcb *)l, &local) == 0, "port_bind");
    must(tcp_listen(sh, l, 16) == 0, "tcp_listen");
    sh = tcp_pair_enter(p, 1);
    *client = tcp_open(sh, 0);
    must(tcp_connect(sh, *client, &remote) == -EINPROGRESS, "tcp_connect");
    tcp_pair_flush(p, 1);
    *server = NULL;
    for (int i = 0; i < 100000 && !*server; i++) {
        tcp_pair_step(p, p->now_ns + 1000000000);
        *server = tcp_accept(tcp_pair_enter(p, 0), l);
    }
    must(*server != NULL, "a connection");
    tcp_close(tcp_pair_enter(p, 0), l);
}

/* --- a transfer --- */

uint8_t tcp_pattern(uint64_t i)
{
    return (uint8_t)(i ^ (i >> 8) * 31 ^ (i >> 16) * 131);
}

void transfer_send(struct tcp_pair *p, int side, struct tcb *t, struct transfer *x, bool then_fin)
{
    static uint8_t buf[65536];
    struct shard *sh = tcp_pair_enter(p, side);

    while (x->sent < x->bytes) {
        uint32_t max = x->write_max ? x->write_max : sizeof buf, n = 1 + tcp_pair_rnd(p, max);
        struct iovec iov = {buf, n};
        ssize_t r;

        if (n > x->bytes - x->sent)
            iov.iov_len = n = (uint32_t)(x->bytes - x->sent);
        for (uint32_t i = 0; i < n; i++)
            buf[i] = tcp_pattern(x->sent + i);
        r = tcp_send(sh, t, &iov, 1, 0, false);
        if (r == -EAGAIN)
            break;
        if (r < 0) {
            x->error = (int)-r;
            break;
        }
        x->sent += (uint64_t)r;
    }
    if (x->sent == x->bytes && then_fin && !x->fin_sent) {
        tcp_shutdown(sh, t, SHUT_WR);
        x->fin_sent = true;
    }
    shard_flush(sh);
}

void transfer_recv(struct tcp_pair *p, int side, struct tcb *t, struct transfer *x)
{
    static uint8_t buf[65536];
    struct shard *sh = tcp_pair_enter(p, side);

    if (x->read_pause && tcp_pair_rnd(p, 1000) < x->read_pause)
        return;
    while (!x->eof) {
        uint32_t max = x->read_max ? x->read_max : sizeof buf;
        struct iovec iov = {buf, 1 + tcp_pair_rnd(p, max)};
        ssize_t r = tcp_recv(sh, t, &iov, 1, 0, 0);

        if (r == -EAGAIN)
            break;
        if (r < 0) {
            x->error = (int)-r;
            break;
        }
        if (r == 0) {
            x->eof = true;
            break;
        }
        for (ssize_t i = 0; i < r; i++)
            x->bad += buf[i] != tcp_pattern(x->rcvd + (uint64_t)i);
        x->rcvd += (uint64_t)r;
    }
    shard_flush(sh);
}
