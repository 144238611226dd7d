/* ping.c: ping sockets (ping.h; Linux: net/ipv4/ping.c). */
#include "ping.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "cksum.h"
#include "filter.h"
#include "rnd.h"
#include "wire_icmp.h"
#include "wire_ip4.h"

#define PING_BUCKETS 256
#define PING_MAX     0xffff /* bytes of a send */

struct ping_table {
    struct slab pcbs;
    struct list ident[PING_BUCKETS]; /* chains of pcb.hash by identifier */
};

int ping_init(struct shard *sh, uint32_t max_pcb)
{
    struct ping_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    for (unsigned i = 0; i < PING_BUCKETS; i++)
        list_init(&t->ident[i]);
    sh->ping = t;
    return slab_init(&t->pcbs, sh->st->seg, sizeof(struct pingcb), max_pcb);
}

static struct list *chain(const struct shard *sh, uint16_t ident_be)
{
    return &sh->ping->ident[ntohs(ident_be) % PING_BUCKETS];
}

struct pingcb *ping_open(struct shard *sh, uint16_t pcb_flags)
{
    struct pingcb *p = slab_alloc(&sh->ping->pcbs);

    if (!p) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &p->d);
    p->d.flags |= DG_PLAIN_QUEUE | DG_NO_SPEC_DST;
    p->d.pcb.proto = pcb_flags & PCB_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    p->d.pcb.flags = pcb_flags;
    p->d.pcb.shard = (uint8_t)sh->id;
    p->in_use = 1;
    return p;
}

static void unbind(struct shard *sh, struct pingcb *p)
{
    if (!(p->d.pcb.flags & PCB_BOUND))
        return;
    list_del(&p->d.pcb.hash);
    sh->icmp_copy->wanted--;
    p->d.pcb.flags &= (uint16_t)~PCB_BOUND;
    p->d.pcb.local.port_be = 0;
}

void ping_close(struct shard *sh, struct pingcb *p)
{
    unbind(sh, p);
    dgram_close(sh, &p->d);
    filter_put(sh, p->d.pcb.filter);
    list_del(&p->d.pcb.dirty);
    p->in_use = 0;
    list_step();
    slab_free(&sh->ping->pcbs, p);
}

/* ---- names ---- */

/* True if another socket of p's family has the identifier. */
static bool taken(const struct shard *sh, const struct pingcb *p, uint16_t ident_be)
{
    list_for_each(n, chain(sh, ident_be))
    {
        const struct pcb *o = container_of(n, struct pcb, hash);

        if (o->local.port_be == ident_be && o->proto == p->d.pcb.proto)
            return true;
    }
    return false;
}

static uint16_t free_ident(struct shard *sh, const struct pingcb *p)
{
    uint16_t first = (uint16_t)rnd_u32(sh);

    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t id = htons((uint16_t)(first + i));

        if (id && !taken(sh, p, id))
            return id;
    }
    return 0;
}

int ping_bind(struct shard *sh, struct pingcb *p, const struct endpoint *local)
{
    uint16_t ident_be = local->port_be;

    if (p->d.pcb.flags & PCB_BOUND)
        return -EINVAL;
    /* ping_check_bind_addr */
    if (ipaddr_is_multicast(&local->addr) || ip_is_broadcast(sh->st, &local->addr))
        return ipaddr_is_v4(&local->addr) ? -EADDRNOTAVAIL : -EINVAL;
    if (!ident_be)
        ident_be = free_ident(sh, p);
    if (!ident_be)
        return -EADDRINUSE;
    p->d.pcb.local = (struct endpoint){local->addr, ident_be};
    p->d.pcb.flags |= PCB_BOUND | (ipaddr_is_any(&local->addr) ? 0 : PCB_ADDR_LOCKED) |
                      (local->port_be ? PCB_PORT_LOCKED : 0);
    list_add_head(chain(sh, ident_be), &p->d.pcb.hash);
    sh->icmp_copy->wanted++;
    return 0;
}

static int autobind(struct shard *sh, struct pingcb *p)
{
    struct endpoint any = {.addr = p->d.pcb.local.addr};

    if (p->d.pcb.flags & PCB_BOUND)
        return 0;
    return ping_bind(sh, p, &any) ? -EAGAIN : 0; /* inet_autobind */
}

static bool connected(const struct pingcb *p)
{
    return !ipaddr_is_any(&p->d.pcb.remote.addr);
}

int ping_connect(struct shard *sh, struct pingcb *p, const struct endpoint *remote)
{
    struct dgram_tx tx;
    int err = autobind(sh, p);

    dgram_tx_init(sh, &p->d, &tx);
    if (connected(p) && !(p->d.pcb.flags & PCB_ADDR_LOCKED))
        tx.from = IPADDR_ANY;
    if (!err)
        err = dgram_flow(sh, &p->d, &remote->addr, &tx);
    if (err)
        return err;
    p->d.pcb.local.addr = dgram_name(&p->d, &tx);
    p->d.pcb.remote = *remote;
    return 0;
}

int ping_disconnect(struct shard *sh, struct pingcb *p)
{
    memset(&p->d.pcb.remote, 0, sizeof p->d.pcb.remote);
    if (!(p->d.pcb.flags & PCB_ADDR_LOCKED))
        p->d.pcb.local.addr = IPADDR_ANY;
    if (!(p->d.pcb.flags & PCB_PORT_LOCKED))
        unbind(sh, p);
    p->d.flow.gen = 0;
    p->d.flow.dst = IPADDR_ANY;
    return 0;
}

/* ---- sending ---- */

/* What the program wrote is an echo request; it becomes this socket's. -EINVAL: something else. */
static int finish(const struct pingcb *p, struct rte_mbuf *m)
{
    bool v6 = p->d.pcb.flags & PCB_V6;
    const struct flow *fl = &p->d.flow;
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t sum;

    if (h[0] != (v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) || h[1] != 0)
        return -EINVAL;
    memset(h + 2, 0, 2);
    memcpy(h + 4, &p->d.pcb.local.port_be, 2);
    sum = v6 ? ip_l4_cksum(m, &fl->src, &fl->dst, IPPROTO_ICMPV6, m->pkt_len)
             : (uint16_t)~cksum_fold(cksum_add_mbuf(0, m, 0, m->pkt_len));
    memcpy(h + 2, &sum, 2);
    return 0;
}

/* Where to: the address given, or the peer. */
static int destination(const struct pingcb *p, const struct endpoint *to, struct ipaddr *dst)
{
    if (!to && !connected(p))
        return -EDESTADDRREQ;
    *dst = to ? to->addr : p->d.pcb.remote.addr;
    return !(p->d.pcb.flags & PCB_V6) == ipaddr_is_v4(dst) ? 0 : -ENETUNREACH;
}

int ping_send_check(const struct msghdr *msg, int flags)
{
    ssize_t len = dgram_iov_total(msg, PING_MAX);

    if (len < 0)
        return (int)len;
    if (len < ICMP_HDR_LEN)
        return -EINVAL;
    return flags & MSG_OOB ? -EOPNOTSUPP : 0;
}

ssize_t ping_send(struct shard *sh, struct pingcb *p, const struct msghdr *msg, const struct endpoint *to,
                  int flags)
{
    bool v6 = p->d.pcb.flags & PCB_V6;
    ssize_t len = dgram_iov_total(msg, PING_MAX);
    struct rte_mbuf *m = NULL;
    struct ipaddr dst;
    struct dgram_cursor at = {0};
    struct dgram_tx tx;
    int err = autobind(sh, p);

    if (err || len < 0)
        return err ? err : len;
    err = ping_send_check(msg, flags);
    if (err)
        return err;
    err = destination(p, to, &dst);
    dgram_tx_init(sh, &p->d, &tx);
    if (!err)
        err = dgram_ctl_parse(sh, &p->d, msg, !v6, &tx);
    if (!err)
        err = dgram_flow(sh, &p->d, &dst, &tx);
    if (!err)
        err = dgram_take_error(&p->d); /* sock_alloc_send_skb, as the next */
    if (!err && (p->d.shut & 2))
        err = -EPIPE;
    if (!err)
        err = dgram_fits(sh, &p->d, &tx, (uint32_t)len + (v6 ? 40 : IP4_HDR_LEN), &dst);
    if (!err)
        err = dgram_gather(sh, msg, &at, (size_t)len, 0, &m);
    if (err)
        return err;
    err = finish(p, m);
    if (err) {
        rte_pktmbuf_free(m);
        return err;
    }
    sh->count[v6 ? COUNT_ICMP6_OUT : COUNT_ICMP_OUT]++;
    sh->count[v6 ? COUNT_ICMP6_OUT_ECHOS : COUNT_ICMP_OUT_ECHOS]++; /* nothing else may be sent */
    err = ip_output(sh, &p->d.flow, m);
    dgram_flow_done(&p->d, &tx);
    return err == -ENOBUFS && !(p->d.pcb.flags & (PCB_RECVERR | PCB_RECVERR6)) ? len : err ? err : len;
}

/* ---- input ---- */

/* The socket of an identifier (ping_lookup): the youngest that fits to, the address of this host. Linux lets
 * several sockets bind one identifier: ping_get_port looks for conflicts before it has a number to compare.
 */
static struct pingcb *lookup(const struct shard *sh, bool v6, uint16_t ident_be, const struct ipaddr *to,
                             unsigned ifindex)
{
    list_for_each(n, chain(sh, ident_be))
    {
        struct pcb *o = container_of(n, struct pcb, hash);

        if (o->local.port_be != ident_be || !(o->flags & PCB_V6) == v6)
            continue;
        if (!ipaddr_is_any(&o->local.addr) && !ipaddr_eq(&o->local.addr, to))
            continue;
        if (!o->ifindex || !ifindex || o->ifindex == ifindex)
            return (struct pingcb *)o;
    }
    return NULL;
}

void ping_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    bool v6 = !ipaddr_is_v4(&ri->dst);
    uint8_t h[ICMP_HDR_LEN];
    struct filter_pkt fp;
    struct pingcb *p;
    struct rte_mbuf *c;
    uint16_t ident_be;
    uint32_t keep;

    if (!pkt_read(m, 0, sizeof h, h) || h[0] != (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
        return;
    /* Raw sockets take what is broken, too; here it ends. */
    if (v6 ? ip_l4_cksum(m, &ri->src, &ri->dst, ri->proto, m->pkt_len) != 0
           : cksum_fold(cksum_add_mbuf(0, m, 0, m->pkt_len)) != 0xffff)
        return;
    memcpy(&ident_be, h + 4, 2);
    p = lookup(sh, v6, ident_be, &ri->dst, ri->ifindex);
    c = p ? rte_pktmbuf_clone(m, sh->pool) : NULL;
    if (!c)
        return;
    if (p->d.pcb.filter) {
        filter_pkt_l4(sh, &fp, c, ri->l3_len, v6, ri->ifindex);
        keep = filter_run(sh, p->d.pcb.filter, &fp);
        if (keep == 0) {
            pkt_drop(sh, c, COUNT_SOCK_FILTER);
            return;
        }
        if (keep < c->pkt_len)
            pkt_trim_to(c, keep);
    }
    if (!dgram_queue(sh, &p->d, c, ri, ri->l3_len, 0, 0))
        rte_pktmbuf_free(c);
}

/* ping_err: what is queued for IP_RECVERR begins at the ICMP header. */
void ping_icmp(struct shard *sh, const struct icmp_error *e)
{
    bool v6 = e->proto == IPPROTO_ICMPV6;
    uint16_t ident_be = htons((uint16_t)(e->seq >> 16));
    struct pingcb *p;

    if (ntohs(e->sport_be) >> 8 != (v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO))
        return;
    p = lookup(sh, v6, ident_be, &e->src, 0);
    if (!p)
        return;
    if (e->too_big)
        ip_learn_mtu(sh, &e->dst, e->mtu);
    dgram_icmp(sh, &p->d, e, 0, v6 ? 40 : (e->data[0] & 0xfu) * 4);
}

int ping_setopt(struct shard *sh, struct pingcb *p, int level, int name, const void *val, uint32_t len)
{
    return dgram_setopt(sh, &p->d, level, name, val, len);
}

int ping_getopt(struct shard *sh, struct pingcb *p, int level, int name, void *val, uint32_t *len)
{
    return dgram_getopt(sh, &p->d, level, name, val, len);
}

/* ---- all of them ---- */

const struct slab *ping_pcbs(const struct shard *sh)
{
    return &sh->ping->pcbs;
}

void ping_walk(const struct shard *sh,
               void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg)
{
    const struct slab *s = &sh->ping->pcbs;

    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct pingcb *p = slab_at(s, i);

        if (p->in_use && (p->d.pcb.flags & PCB_BOUND))
            fn(arg, &p->d.pcb, p->d.rcv_mem, 0);
    }
}

static bool is_live(const void *obj)
{
    return ((const struct pingcb *)obj)->in_use;
}

void ping_mend(struct shard *sh)
{
    struct slab *s = &sh->ping->pcbs;

    for (unsigned i = 0; i < PING_BUCKETS; i++)
        list_repair(&sh->ping->ident[i]);
    slab_mend(s, is_live);
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct pingcb *p = slab_at(s, i);

        if (!is_live(p))
            continue;
        if (&p->d.pcb == sh->work)
            list_settle(chain(sh, p->d.pcb.local.port_be), &p->d.pcb.hash);
        sh->icmp_copy->wanted += (p->d.pcb.flags & PCB_BOUND) != 0;
        dgram_mend(sh, &p->d);
        if (!p->d.pcb.user)
            ping_close(sh, p);
    }
}
