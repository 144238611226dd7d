/* udp.c: UDP's tables and its input side (RFC 768). Theory of operation: udp_cb.h. */
#include <errno.h>
#include <netinet/ip_icmp.h>

#include "cksum.h"
#include "dgram_mc.h"
#include "dhcp.h"
#include "filter.h"
#include "hash.h"
#include "port_reuse.h"
#include "udp_cb.h"
#include "wire_ip4.h"
#include "wire_udp.h"

int udp_init(struct shard *sh, uint32_t max_pcb)
{
    struct udp_table *t = seg_alloc(sh->st->seg, sizeof *t, 4096);

    if (!t)
        return -ENOMEM;
    sh->udp = t;
    sh->udplite = seg_alloc(sh->st->seg, sizeof *sh->udplite, 4096);
    if (!sh->udplite)
        return -ENOMEM;
    return slab_init(&t->pcbs, sh->st->seg, sizeof(struct udpcb), max_pcb);
}

static struct udp_table *table_of(const struct shard *sh, const struct udpcb *u)
{
    return u->d.pcb.proto == IPPROTO_UDP ? sh->udp : sh->udplite;
}

static struct list *bound_chain(const struct shard *sh, struct udp_table *t, const struct endpoint *local)
{
    uint32_t h = ntohs(local->port_be);

    /* Wildcards lie at their port's own index: few pages for many sockets. */
    if (!ipaddr_is_any(&local->addr))
        h += hash_addr(sh->st->secret, &local->addr, 0);
    return &t->bound[h % UDP_BUCKETS];
}

static struct list *conn_chain(const struct shard *sh, struct udp_table *t, const struct endpoint *local,
                               const struct endpoint *remote)
{
    return &t->conn[hash_flow(sh->st->secret, local, remote) % UDP_BUCKETS];
}

void udp_hash(struct shard *sh, struct udpcb *u)
{
    struct udp_table *t = table_of(sh, u);
    struct list *head = udp_connected(u) ? conn_chain(sh, t, &u->d.pcb.local, &u->d.pcb.remote)
                                         : bound_chain(sh, t, &u->d.pcb.local);

    if (!head->next)
        list_init(head);
    list_add_head(head, &u->d.pcb.hash);
    t->nconn += udp_connected(u);
}

void udp_unhash(struct shard *sh, struct udpcb *u)
{
    if (list_empty(&u->d.pcb.hash))
        return;
    list_del(&u->d.pcb.hash);
    table_of(sh, u)->nconn -= udp_connected(u);
}

static bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return a->port_be == b->port_be && ipaddr_eq(&a->addr, &b->addr);
}

static struct udpcb *lookup_conn(struct shard *sh, struct udp_table *t, const struct endpoint *to,
                                 const struct endpoint *from, unsigned ifindex)
{
    struct list *head = conn_chain(sh, t, to, from);

    if (!t->nconn || !head->next)
        return NULL;
    list_for_each(n, head)
    {
        struct udpcb *u = udp_of_hash(n);

        if (endpoint_eq(&u->d.pcb.local, to) && endpoint_eq(&u->d.pcb.remote, from) &&
            (!u->d.pcb.ifindex || !ifindex || u->d.pcb.ifindex == ifindex))
            return u;
    }
    return NULL;
}

/* How well u, of the chain for `local`, fits a datagram to address `dst`; 0: not at all (Linux:
 * compute_score). */
static int score(const struct udpcb *u, const struct endpoint *local, const struct ipaddr *dst,
                 unsigned ifindex)
{
    bool v4 = ipaddr_is_v4(dst);
    int s = (u->d.pcb.flags & PCB_V6) ? 1 : 2;

    if (!endpoint_eq(&u->d.pcb.local, local))
        return 0;
    if (v4 ? (u->d.pcb.flags & PCB_V6) && (u->d.pcb.flags & PCB_V6ONLY) : !(u->d.pcb.flags & PCB_V6))
        return 0;
    if (u->d.pcb.ifindex) {
        if (ifindex && u->d.pcb.ifindex != ifindex)
            return 0;
        s += 4;
    }
    return s;
}

static struct udpcb *lookup_bound(struct shard *sh, struct udp_table *t, const struct endpoint *local,
                                  const struct endpoint *to, const struct endpoint *from, unsigned ifindex)
{
    struct list *head = bound_chain(sh, t, local);
    struct udpcb *best = NULL;
    int top = 0;
    uint32_t equals = 0, pick;

    if (!head->next)
        return NULL;
    list_for_each(n, head)
    {
        struct udpcb *u = udp_of_hash(n);
        int s = score(u, local, &to->addr, ifindex);

        if (s > top) {
            top = s;
            best = u;
            equals = 0;
        }
        if (s && s == top && (u->d.pcb.flags & PCB_REUSEPORT))
            equals++;
    }
    if (!best || !(best->d.pcb.flags & PCB_REUSEPORT) || equals < 2)
        return best;
    /* Mixed again: neighbouring ports are far apart in the hash, but not evenly so. */
    pick = (uint32_t)hash_mix(hash_flow(sh->st->secret, to, from), 0x9e3779b97f4a7c15ULL) % equals;
    list_for_each(n, head)
    {
        struct udpcb *u = udp_of_hash(n);

        if ((u->d.pcb.flags & PCB_REUSEPORT) && score(u, local, &to->addr, ifindex) == top && !pick--)
            return u;
    }
    return best;
}

struct udpcb *udp_lookup(struct shard *sh, struct udp_table *t, const struct endpoint *to,
                         const struct endpoint *from, unsigned ifindex)
{
    struct endpoint any = {.addr = IPADDR_ANY, .port_be = to->port_be};
    struct udpcb *u = lookup_conn(sh, t, to, from, ifindex);

    if (!u)
        u = lookup_bound(sh, t, to, to, from, ifindex);
    if (!u)
        u = lookup_bound(sh, t, &any, to, from, ifindex);
    return u;
}

/* The one of u's group that its program chooses for m (at the UDP header), or u. */
static struct udpcb *chosen(struct shard *sh, struct udpcb *u, const struct rte_mbuf *m,
                            const struct rxinfo *ri)
{
    struct list *head = bound_chain(sh, table_of(sh, u), &u->d.pcb.local);
    struct filter_pkt f;
    uint32_t i, n = 0;

    if (u->d.pcb.remote.port_be || !(u->d.pcb.flags & PCB_REUSEPORT))
        return u;
    filter_pkt_l4(sh, &f, m, ri->l3_len, !ipaddr_is_v4(&ri->src), ri->ifindex);
    f.data += UDP_HDR_LEN;
    f.net -= UDP_HDR_LEN;
    f.mac -= UDP_HDR_LEN;
    i = reuse_run(sh, &u->d.pcb, &f);
    list_for_each(x, head) n += reuse_same_group(&udp_of_hash(x)->d.pcb, &u->d.pcb);
    if (i >= n)
        return u;
    i = n - 1 - i; /* the youngest stands first */
    list_for_each(x, head) if (reuse_same_group(&udp_of_hash(x)->d.pcb, &u->d.pcb) &&
                               !i--) return udp_of_hash(x);
    return u;
}

/* Runs u's filter, which sees the datagram from its UDP header on and may shorten it; m, data at the payload,
 * is u's alone. False: not for u. */
static bool filter_passes(struct shard *sh, const struct udpcb *u, struct rte_mbuf *m,
                          const struct rxinfo *ri)
{
    struct filter_pkt p;
    uint32_t keep;

    filter_pkt_l4(sh, &p, m, ri->l3_len, !ipaddr_is_v4(&ri->src), ri->ifindex);
    p.data = -UDP_HDR_LEN;
    keep = filter_run(sh, u->d.pcb.filter, &p);
    if (keep == 0)
        return false;
    keep = RTE_MAX(keep, (uint32_t)UDP_HDR_LEN) - UDP_HDR_LEN; /* the header stays (sk_filter_trim_cap) */
    if (keep < m->pkt_len)
        pkt_trim_to(m, keep);
    return true;
}

static enum count count_of(const struct udpcb *u, const struct rxinfo *ri, enum count c)
{
    return udp_count(c, ipaddr_is_v4(&ri->dst), u->d.pcb.proto == IPPROTO_UDPLITE);
}

/* Queues m, data at the UDP header. Takes ownership. */
static void deliver(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, const struct rxinfo *ri,
                    const struct udp_hdr_in *h)
{
    rte_pktmbuf_adj(m, UDP_HDR_LEN);
    if (__builtin_expect(u->d.pcb.filter != 0, 0) && !filter_passes(sh, u, m, ri)) {
        u->d.drops++;
        sh->count[count_of(u, ri, COUNT_UDP_ERR)]++; /* as Linux counts it */
        pkt_drop(sh, m, COUNT_SOCK_FILTER);
        return;
    }
    /* What is read counts as received (udp_recv), as in Linux. */
    if (__builtin_expect((u->d.flags & DG_GRO) != 0, 0) &&
        dgram_coalesce(sh, &u->d, m, ri, UDP_HDR_LEN + ri->l3_len, h->sport_be, h->dport_be))
        return;
    if (__builtin_expect(dgram_queue(sh, &u->d, m, ri, UDP_HDR_LEN + ri->l3_len, h->sport_be, h->dport_be),
                         1))
        return;
    sh->count[count_of(u, ri, COUNT_UDP_ERR)]++;
    pkt_drop(sh, m, count_of(u, ri, COUNT_UDP_RCVBUF));
}

/* A broadcast or multicast goes to every socket that it fits, a copy each. Takes ownership of m. */
static void deliver_all(struct shard *sh, struct udp_table *t, struct rte_mbuf *m, const struct rxinfo *ri,
                        const struct udp_hdr_in *h, const struct endpoint *to, const struct endpoint *from)
{
    struct endpoint any = {.addr = IPADDR_ANY, .port_be = to->port_be};
    const struct endpoint *locals[2] = {to, &any};
    struct udpcb *last = lookup_conn(sh, t, to, from, ri->ifindex);

    for (int i = 0; i < 2; i++) {
        struct list *head = bound_chain(sh, t, locals[i]);

        if (!head->next)
            continue;
        list_for_each(n, head)
        {
            struct udpcb *u = udp_of_hash(n);
            struct rte_mbuf *copy;

            if (!score(u, locals[i], &to->addr, ri->ifindex) ||
                !dgram_mc_allows(&u->d, &to->addr, &from->addr, ri->ifindex))
                continue;
            if (last && (copy = rte_pktmbuf_clone(m, sh->pool)))
                deliver(sh, last, copy, ri, h);
            last = u;
        }
    }
    if (last)
        deliver(sh, last, m, ri, h);
    else
        pkt_drop(sh, m,
                 udp_count(ipaddr_is_multicast(&to->addr) ? COUNT_UDP_IGNORED_MC : COUNT_UDP_NOPORT,
                           ipaddr_is_v4(&to->addr), t == sh->udplite));
}

void udp_pass_up(struct shard *sh, struct udp_table *t, struct rte_mbuf *m, const struct rxinfo *ri,
                 const struct udp_hdr_in *h, uint32_t least)
{
    struct endpoint from = {ri->src, h->sport_be}, to = {ri->dst, h->dport_be};
    struct udpcb *u;

    if (ri->bcast && (ipaddr_is_multicast(&to.addr) || ip_is_broadcast(sh->st, &to.addr))) {
        deliver_all(sh, t, m, ri, h, &to, &from);
        return;
    }
    u = udp_lookup(sh, t, &to, &from, ri->ifindex);
    if (!u) {
        icmp_send_error(sh, ri, m, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH);
        pkt_drop(sh, m, udp_count(COUNT_UDP_NOPORT, ipaddr_is_v4(&ri->dst), t == sh->udplite));
    } else if (least < u->recv_cov) {
        u->d.drops++;
        pkt_drop(sh, m, count_of(u, ri, COUNT_UDP_ERR));
    } else {
        deliver(sh, u, m, ri, h);
    }
}

/* What the stack's own DHCP client may be waiting for. */
static bool is_dhcp(const struct shard *sh, const struct udp_hdr_in *h)
{
    return __builtin_expect(sh->dhcp != NULL, 0) && h->dport_be == htons(DHCP_CLIENT_PORT);
}

void udp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct endpoint from = {.addr = ri->src}, to = {.addr = ri->dst};
    struct udp_hdr_in h;
    struct udpcb *u;
    bool unsummed;

    if (m->data_len < UDP_HDR_LEN || wire_udp_parse(rte_pktmbuf_mtod(m, uint8_t *), m->pkt_len, &h)) {
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), false));
        return;
    }
    /* What lies behind the datagram is padding; more than the last buffer holds of it is not honest. */
    if (h.len < m->pkt_len && rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - h.len))) {
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), false));
        return;
    }
    if (!ri->l4_good && h.cksum_be && ip_l4_cksum(m, &ri->src, &ri->dst, IPPROTO_UDP, h.len)) {
        sh->count[udp_count(COUNT_UDP_CSUM, ipaddr_is_v4(&ri->dst), false)]++;
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), false));
        return;
    }
    unsummed = __builtin_expect(!h.cksum_be && !ri->l4_good, 0) && !ipaddr_is_v4(&ri->src);
    from.port_be = h.sport_be;
    to.port_be = h.dport_be;
    if (ri->bcast && (ipaddr_is_multicast(&to.addr) || ip_is_broadcast(sh->st, &to.addr))) {
        if (is_dhcp(sh, &h) && dhcp_input(sh, m, ri, &h))
            return;
        if (unsummed)
            pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), false));
        else
            deliver_all(sh, sh->udp, m, ri, &h, &to, &from);
        return;
    }
    u = udp_lookup(sh, sh->udp, &to, &from, ri->ifindex);
    if (!u) {
        if (is_dhcp(sh, &h) && dhcp_input(sh, m, ri, &h))
            return;
        icmp_send_error(sh, ri, m, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH);
        pkt_drop(sh, m, udp_count(COUNT_UDP_NOPORT, ipaddr_is_v4(&ri->dst), false));
        return;
    }
    if (__builtin_expect(sh->nreuse != 0, 0))
        u = chosen(sh, u, m, ri);
    /* RFC 8200 section 8.1: over IPv6 none goes without, but to who asked for it (RFC 6935). */
    if (unsummed && !(u->flags & UF_NO_CHECK6_RX)) {
        sh->count[udp_count(COUNT_UDP_CSUM, ipaddr_is_v4(&ri->dst), false)]++;
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), false));
        return;
    }
    deliver(sh, u, m, ri, &h);
}

void udp_icmp(struct shard *sh, const struct icmp_error *e)
{
    struct endpoint local = {e->src, e->sport_be}, remote = {e->dst, e->dport_be};
    struct udpcb *u = udp_lookup(sh, e->proto == IPPROTO_UDP ? sh->udp : sh->udplite, &local, &remote, 0);
    const uint8_t *ip = e->data;
    uint32_t l3_len;

    if (!u)
        return;
    if (e->too_big)
        ip_learn_mtu(sh, &e->dst, e->mtu); /* flows to there are resolved anew */
    l3_len = ip[0] >> 4 == 4 ? (ip[0] & 0xfu) * 4 : 40;
    dgram_icmp(sh, &u->d, e, e->dport_be, l3_len + UDP_HDR_LEN);
}

void udp_walk(const struct shard *sh,
              void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg)
{
    const struct slab *s = &sh->udp->pcbs;

    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct udpcb *u = slab_at(s, i);

        if (u->d.pcb.proto == IPPROTO_UDP && (u->d.pcb.flags & PCB_BOUND))
            fn(arg, &u->d.pcb, u->d.rcv_mem, 0);
    }
}

static bool is_live(const void *obj)
{
    uint8_t proto = ((const struct udpcb *)obj)->d.pcb.proto;

    return proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE;
}

/* The one that was being changed is in the table again, if it is bound. */
static void mend_work(struct shard *sh, struct udpcb *u)
{
    struct udp_table *t = table_of(sh, u);
    struct list *bound = bound_chain(sh, t, &u->d.pcb.local);
    struct list *conn = conn_chain(sh, t, &u->d.pcb.local, &u->d.pcb.remote);

    if ((bound->next && list_has(bound, &u->d.pcb.hash)) || (conn->next && list_has(conn, &u->d.pcb.hash)))
        list_del(&u->d.pcb.hash);
    list_init(&u->d.pcb.hash);
    if (u->d.pcb.flags & PCB_BOUND)
        udp_hash(sh, u);
}

static void mend_table(struct udp_table *t)
{
    for (uint32_t i = 0; i < UDP_BUCKETS; i++) {
        if (t->bound[i].next)
            list_repair(&t->bound[i]);
        if (t->conn[i].next)
            list_repair(&t->conn[i]);
    }
}

void udp_mend(struct shard *sh)
{
    struct slab *s = &sh->udp->pcbs;

    mend_table(sh->udp);
    mend_table(sh->udplite);
    slab_mend(s, is_live);
    if (sh->work && (sh->work->proto == IPPROTO_UDP || sh->work->proto == IPPROTO_UDPLITE))
        mend_work(sh, (struct udpcb *)sh->work);
    sh->udp->nconn = sh->udplite->nconn = 0;
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct udpcb *u = slab_at(s, i);

        if (!is_live(u))
            continue;
        table_of(sh, u)->nconn += udp_connected(u) && !list_empty(&u->d.pcb.hash);
        dgram_mend(sh, &u->d);
        if (!u->d.pcb.user) /* it was being opened or closed */
            udp_close(sh, u);
    }
}
