/* raw.c: raw sockets: table, input, names, options (raw.h). Sending: raw_send.c. */
#include "raw.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "dgram_mc.h"
#include "filter.h"
#include "wire_eth.h"

#define RAW_PROTOS 256

struct raw_table {
    struct slab pcbs;
    struct list proto[RAW_PROTOS]; /* chains of pcb.hash, newest last, as they are given packets */
};

int raw_init(struct shard *sh, uint32_t max_pcb)
{
    struct raw_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    for (unsigned i = 0; i < RAW_PROTOS; i++)
        list_init(&t->proto[i]);
    sh->raw = t;
    return slab_init(&t->pcbs, sh->st->seg, sizeof(struct rawcb), max_pcb);
}

/* What a fresh socket for ICMPv6 does not want: nothing; RFC 3542 section 3.2 has all types pass. */
struct rawcb *raw_open(struct shard *sh, uint16_t pcb_flags, int protocol)
{
    struct rawcb *r = slab_alloc(&sh->raw->pcbs);

    if (!r) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &r->d);
    r->d.flags |= DG_PLAIN_QUEUE;
    r->d.pcb.proto = (uint8_t)protocol;
    r->d.pcb.flags = pcb_flags | PCB_REUSEADDR; /* INET_PROTOSW_REUSE: seen by getsockopt alone */
    r->d.pcb.shard = (uint8_t)sh->id;
    r->d.pcb.local.port_be = htons((uint16_t)protocol); /* what getsockname shows */
    r->proto = (uint16_t)protocol;
    r->flags = protocol == IPPROTO_RAW ? RAW_HDRINCL : 0;
    if ((pcb_flags & PCB_V6) && protocol == IPPROTO_ICMPV6) { /* RFC 3542 section 3.1: always computed */
        r->flags |= RAW_CKSUM;
        r->cksum_at = 2;
    }
    if (r->proto < RAW_PROTOS) { /* a larger one no packet has */
        list_add_tail(&sh->raw->proto[r->proto], &r->d.pcb.hash);
        sh->nraw++;
        if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
            sh->icmp_copy->wanted++;
    }
    return r;
}

void raw_close(struct shard *sh, struct rawcb *r)
{
    if (!list_empty(&r->d.pcb.hash)) {
        list_del(&r->d.pcb.hash);
        sh->nraw--;
        if (r->proto == IPPROTO_ICMP || r->proto == IPPROTO_ICMPV6)
            sh->icmp_copy->wanted--;
    }
    dgram_close(sh, &r->d);
    filter_put(sh, r->d.pcb.filter);
    list_del(&r->d.pcb.dirty);
    r->proto = 0; /* raw_walk looks at freed ones, too */
    list_step();
    slab_free(&sh->raw->pcbs, r);
}

/* ---- names ---- */

static bool connected(const struct rawcb *r)
{
    return !ipaddr_is_any(&r->d.pcb.remote.addr);
}

int raw_bind(struct shard *sh, struct rawcb *r, const struct endpoint *local)
{
    if (connected(r))
        return -EINVAL;
    r->d.pcb.local.addr = local->addr;
    if (ipaddr_is_any(&local->addr))
        r->d.pcb.flags &= (uint16_t)~PCB_ADDR_LOCKED;
    else
        r->d.pcb.flags |= PCB_ADDR_LOCKED;
    r->d.flow.gen = 0;
    return 0;
}

int raw_connect(struct shard *sh, struct rawcb *r, const struct endpoint *remote)
{
    struct dgram_tx tx;
    int err;

    dgram_tx_init(sh, &r->d, &tx);
    if (connected(r) && !(r->d.pcb.flags & PCB_ADDR_LOCKED))
        tx.from = IPADDR_ANY;
    err = dgram_flow(sh, &r->d, &remote->addr, &tx);
    if (err)
        return err;
    r->d.pcb.local.addr = dgram_name(&r->d, &tx);
    r->d.pcb.remote = *remote;
    return 0;
}

int raw_disconnect(struct shard *sh, struct rawcb *r)
{
    memset(&r->d.pcb.remote, 0, sizeof r->d.pcb.remote);
    if (!(r->d.pcb.flags & PCB_ADDR_LOCKED))
        r->d.pcb.local.addr = IPADDR_ANY;
    r->d.flow.gen = 0;
    r->d.flow.dst = IPADDR_ANY;
    return 0;
}

/* ---- input ---- */

/* Whether r is for packets from `from` to `to` (raw_v4_match, raw_v6_match). */
static bool matches(const struct rawcb *r, const struct ipaddr *to, const struct ipaddr *from,
                    unsigned ifindex)
{
    const struct pcb *p = &r->d.pcb;

    if (!(p->flags & PCB_V6) != ipaddr_is_v4(to))
        return false;
    if (!ipaddr_is_any(&p->remote.addr) && !ipaddr_eq(&p->remote.addr, from))
        return false;
    if (!ipaddr_is_any(&p->local.addr) && !ipaddr_eq(&p->local.addr, to))
        return false;
    return !p->ifindex || p->ifindex == ifindex;
}

/* ICMP_FILTER and ICMP6_FILTER: does r not want this type? ICMP_FILTER knows the types below 32. */
static bool type_blocked(const struct rawcb *r, const struct rte_mbuf *m)
{
    uint8_t type;

    if ((r->proto != IPPROTO_ICMP && r->proto != IPPROTO_ICMPV6) || !pkt_read(m, 0, 1, &type))
        return false;
    if (r->proto == IPPROTO_ICMP && type >= 32)
        return false;
    return r->icmp_block[type >> 5] & (1u << (type & 31));
}

/* A clone of m for r, from what r reads on, through r's filter; NULL: none. */
static struct rte_mbuf *copy_for(struct shard *sh, const struct rawcb *r, struct rte_mbuf *m,
                                 const struct rxinfo *ri)
{
    bool v6 = r->d.pcb.flags & PCB_V6;
    struct rte_mbuf *c = rte_pktmbuf_clone(m, sh->pool);
    struct filter_pkt p;
    uint32_t keep;

    if (!c) {
        sh->count[COUNT_NOMEM_PKT]++;
        return NULL;
    }
    if (!v6)
        rte_pktmbuf_prepend(c, ri->l3_len);
    if (!r->d.pcb.filter)
        return c;
    filter_pkt_l4(sh, &p, c, v6 ? ri->l3_len : 0, v6, ri->ifindex);
    keep = filter_run(sh, r->d.pcb.filter, &p);
    if (keep == 0) {
        pkt_drop(sh, c, COUNT_SOCK_FILTER);
        return NULL;
    }
    if (keep < c->pkt_len)
        pkt_trim_to(c, keep);
    return c;
}

static void deliver(struct shard *sh, struct rawcb *r, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct rte_mbuf *c;

    if (ri->bcast && !dgram_mc_allows(&r->d, &ri->dst, &ri->src, ri->ifindex))
        return;
    c = copy_for(sh, r, m, ri);
    if (!c)
        return;
    if (!dgram_queue(sh, &r->d, c, ri, r->d.pcb.flags & PCB_V6 ? ri->l3_len : 0, 0, 0))
        rte_pktmbuf_free(c);
}

/* A checksum that the program asked for (IPV6_CHECKSUM) must be right (RFC 3542 section 3.1). */
static bool cksum_ok(const struct rawcb *r, const struct rte_mbuf *m, const struct rxinfo *ri)
{
    if (!(r->flags & RAW_CKSUM) || ri->l4_good)
        return true;
    return ip_l4_cksum(m, &ri->src, &ri->dst, ri->proto, m->pkt_len) == 0;
}

bool raw_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    bool some = false;

    list_for_each(n, &sh->raw->proto[ri->proto])
    {
        struct rawcb *r = (struct rawcb *)container_of(n, struct pcb, hash);

        if (!matches(r, &ri->dst, &ri->src, ri->ifindex))
            continue;
        some = true;
        if (!type_blocked(r, m) && cksum_ok(r, m, ri))
            deliver(sh, r, m, ri);
    }
    return some;
}

/* raw_err: what is queued for IP_RECVERR begins at what the program wrote: the header too, with IP_HDRINCL.
 */
static void tell(struct shard *sh, struct rawcb *r, const struct icmp_error *e)
{
    uint32_t l3_len = e->data[0] >> 4 == 4 ? (e->data[0] & 0xfu) * 4 : 40;

    if (e->too_big)
        ip_learn_mtu(sh, &e->dst, e->mtu);
    dgram_icmp(sh, &r->d, e, 0, r->flags & RAW_HDRINCL ? 0 : l3_len);
}

void raw_icmp(struct shard *sh, const struct icmp_error *e)
{
    list_for_each(n, &sh->raw->proto[e->proto])
    {
        struct rawcb *r = (struct rawcb *)container_of(n, struct pcb, hash);

        if (matches(r, &e->src, &e->dst, 0))
            tell(sh, r, e);
    }
}

/* ---- options ---- */

static int get_int(const void *val, uint32_t len, int *v)
{
    if (len < sizeof *v)
        return -EINVAL;
    memcpy(v, val, sizeof *v);
    return 0;
}

/* RFC 3542 section 3.1. ICMPv6's is not the program's to change. */
static int set_cksum(struct rawcb *r, int level, const void *val, uint32_t len)
{
    int v, err = get_int(val, len, &v);

    if (err)
        return err;
    if (r->proto == IPPROTO_ICMPV6 && level == IPPROTO_IPV6)
        return -EINVAL;
    if (v > 0 && (v & 1)) /* an odd offset is no place for it */
        return -EINVAL;
    if (v < 0) {
        r->flags &= (uint8_t)~RAW_CKSUM;
    } else {
        r->flags |= RAW_CKSUM;
        r->cksum_at = v;
    }
    return 0;
}

static int set_filter(struct rawcb *r, uint16_t proto, size_t size, const void *val, uint32_t len)
{
    if (r->proto != proto)
        return -EOPNOTSUPP;
    memcpy(r->icmp_block, val, len < size ? len : size);
    return 0;
}

int raw_setopt(struct shard *sh, struct rawcb *r, int level, int name, const void *val, uint32_t len)
{
    bool v6 = r->d.pcb.flags & PCB_V6;
    int v = 0;

    if (level == SOL_SOCKET && name == SO_PEEK_OFF)
        return -EOPNOTSUPP;
    if (level == SOL_RAW && v6 && len < sizeof v)
        return -EINVAL; /* do_rawv6_setsockopt reads it first */
    if (level == SOL_RAW && !v6)
        return name == RAW_ICMP_FILTER ? set_filter(r, IPPROTO_ICMP, 4, val, len) : -ENOPROTOOPT;
    if (level == IPPROTO_ICMPV6 && v6)
        return name == ICMP6_FILTER ? set_filter(r, IPPROTO_ICMPV6, sizeof r->icmp_block, val, len)
                                    : -ENOPROTOOPT;
    if (level == IPPROTO_IP && name == IP_HDRINCL && !v6) {
        if (len >= sizeof v)
            memcpy(&v, val, sizeof v);
        else if (len)
            v = *(const uint8_t *)val;
        r->flags = (uint8_t)(v ? r->flags | RAW_HDRINCL : r->flags & ~RAW_HDRINCL);
        return 0;
    }
    if ((level == IPPROTO_IPV6 || level == SOL_RAW) && v6 && name == IPV6_CHECKSUM)
        return set_cksum(r, level, val, len);
    if ((level == IPPROTO_IPV6 || level == SOL_RAW) && v6 && name == IPV6_HDRINCL) {
        int err = get_int(val, len, &v);

        if (!err)
            r->flags = (uint8_t)(v ? r->flags | RAW_HDRINCL : r->flags & ~RAW_HDRINCL);
        return err;
    }
    return dgram_setopt(sh, &r->d, level, name, val, len);
}

static int put(const void *from, uint32_t size, void *val, uint32_t *len)
{
    if (*len > size)
        *len = size;
    memcpy(val, from, *len);
    return 0;
}

int raw_getopt(struct shard *sh, struct rawcb *r, int level, int name, void *val, uint32_t *len)
{
    bool v6 = r->d.pcb.flags & PCB_V6;
    int v = !!(r->flags & RAW_HDRINCL);

    if (level == SOL_SOCKET && name == SO_PEEK_OFF)
        return -EOPNOTSUPP;
    if (level == SOL_RAW && !v6) {
        if (name != RAW_ICMP_FILTER)
            return -ENOPROTOOPT;
        return r->proto == IPPROTO_ICMP ? put(r->icmp_block, 4, val, len) : -EOPNOTSUPP;
    }
    if (level == IPPROTO_ICMPV6 && v6) {
        if (name != ICMP6_FILTER)
            return -ENOPROTOOPT;
        return r->proto == IPPROTO_ICMPV6 ? put(r->icmp_block, sizeof r->icmp_block, val, len) : -EOPNOTSUPP;
    }
    if (level == IPPROTO_IP && name == IP_HDRINCL && !v6)
        return put(&v, *len < sizeof v ? 1 : sizeof v, val, len); /* do_ip_getsockopt */
    if ((level == IPPROTO_IPV6 || level == SOL_RAW) && v6 && name == IPV6_HDRINCL)
        return put(&v, sizeof v, val, len);
    if ((level == IPPROTO_IPV6 || level == SOL_RAW) && v6 && name == IPV6_CHECKSUM) {
        v = r->flags & RAW_CKSUM ? r->cksum_at : -1;
        return put(&v, sizeof v, val, len);
    }
    return dgram_getopt(sh, &r->d, level, name, val, len);
}

/* ---- all of them ---- */

const struct slab *raw_pcbs(const struct shard *sh)
{
    return &sh->raw->pcbs;
}

void raw_walk(const struct shard *sh,
              void (*fn)(void *arg, const struct pcb *p, uint32_t recvq, uint32_t sendq), void *arg)
{
    const struct slab *s = &sh->raw->pcbs;

    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct rawcb *r = slab_at(s, i);

        if (r->proto)
            fn(arg, &r->d.pcb, r->d.rcv_mem, 0);
    }
}

static bool is_live(const void *obj)
{
    return ((const struct rawcb *)obj)->proto != 0;
}

void raw_mend(struct shard *sh)
{
    struct slab *s = &sh->raw->pcbs;

    for (unsigned i = 0; i < RAW_PROTOS; i++)
        list_repair(&sh->raw->proto[i]);
    slab_mend(s, is_live);
    sh->nraw = sh->icmp_copy->wanted = 0;
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct rawcb *r = slab_at(s, i);

        if (!is_live(r))
            continue;
        if (&r->d.pcb == sh->work && r->proto < RAW_PROTOS)
            list_settle(&sh->raw->proto[r->proto], &r->d.pcb.hash);
        if (!list_empty(&r->d.pcb.hash)) {
            sh->nraw++;
            sh->icmp_copy->wanted += r->proto == IPPROTO_ICMP || r->proto == IPPROTO_ICMPV6;
        }
        dgram_mend(sh, &r->d);
        if (!r->d.pcb.user) /* it was being opened or closed */
            raw_close(sh, r);
    }
}
