/* frag.c: IPv4 fragments (frag.h).
 *
 * The fragments of a queue are whole packets, from their IP headers on, in order of their offset, linked by
 * pkt_meta.link; pkt_meta.seq is the offset and pkt_meta.len the number of payload bytes. A fragment that
 * comes in order is put at the end without a walk.
 */
#include "frag.h"

#include <errno.h>

#include "cksum.h"
#include "hash.h"
#include "pkt.h"
#include "rnd.h"
#include "wire_icmp.h"
#include "wire_ip4.h"

#define IP_MAX_BYTES 65535

struct fragq {
    struct list age, hash;
    struct timer timer;
    struct rte_mbuf *head, *tail;
    uint32_t src_be, dst_be;
    uint16_t id_be;
    uint8_t proto, ifindex;
    uint32_t n;     /* fragments */
    uint32_t have;  /* payload bytes */
    uint32_t total; /* payload bytes of the datagram; 0: the last fragment is not here yet */
};

int frag_table_init(struct shard *sh)
{
    struct frag_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);
    int err;

    if (!t)
        return -ENOMEM;
    err = slab_init(&t->slab, sh->st->seg, sizeof(struct fragq), FRAG_QUEUES);
    if (err)
        return err;
    list_init(&t->age);
    for (unsigned i = 0; i < FRAG_BUCKETS; i++)
        list_init(&t->bucket[i]);
    for (unsigned i = 0; i < FRAG_IDENTS; i++)
        t->ident[i] = (uint16_t)rnd_u32(sh);
    sh->frag = t;
    return 0;
}

static uint64_t hash_pair(const struct shard *sh, uint32_t src_be, uint32_t dst_be, uint32_t rest)
{
    uint32_t key[3] = {src_be, dst_be, rest};

    return siphash(sh->st->secret, key, sizeof key);
}

static struct list *bucket_of(struct shard *sh, const struct ip4_hdr *ip)
{
    uint64_t h = hash_pair(sh, ip->src_be, ip->dst_be, (uint32_t)ip->id_be << 8 | ip->proto);

    return &sh->frag->bucket[h % FRAG_BUCKETS];
}

static struct fragq *find(struct shard *sh, const struct ip4_hdr *ip)
{
    list_for_each(n, bucket_of(sh, ip))
    {
        struct fragq *q = container_of(n, struct fragq, hash);

        if (q->src_be == ip->src_be && q->dst_be == ip->dst_be && q->id_be == ip->id_be &&
            q->proto == ip->proto)
            return q;
    }
    return NULL;
}

/* Frees the queue and what is still in it. */
static void queue_free(struct shard *sh, struct fragq *q)
{
    for (struct rte_mbuf *m = q->head, *next; m; m = next) {
        next = pkt_meta(m)->link;
        rte_pktmbuf_free(m);
    }
    sh->frag->held -= q->n;
    timer_cancel(&sh->wheel, &q->timer);
    list_del(&q->age);
    list_del(&q->hash);
    slab_free(&sh->frag->slab, q);
}

static void queue_fail(struct shard *sh, struct fragq *q)
{
    sh->count[COUNT_IP_REASM_FAIL]++;
    queue_free(sh, q);
}

static struct fragq *queue_new(struct shard *sh, unsigned ifindex, const struct ip4_hdr *ip)
{
    struct frag_table *t = sh->frag;
    struct fragq *q;

    while (t->slab.in_use == FRAG_QUEUES || t->held >= FRAG_HELD_MAX)
        queue_fail(sh, container_of(t->age.next, struct fragq, age));
    q = slab_alloc(&t->slab);
    q->src_be = ip->src_be;
    q->dst_be = ip->dst_be;
    q->id_be = ip->id_be;
    q->proto = ip->proto;
    q->ifindex = (uint8_t)ifindex;
    list_add_tail(&t->age, &q->age);
    list_add_head(bucket_of(sh, ip), &q->hash);
    timer_init(&q->timer, TIMER_FRAG);
    timer_arm(&sh->wheel, &q->timer, shard_ms(sh) + (uint64_t)sh->st->set.ipfrag_time * 1000);
    return q;
}

enum fit { FIT_OK, FIT_DUPLICATE, FIT_BAD };

/* Where [off, off + len) goes: behind *prev (NULL: first). */
static enum fit find_place(const struct fragq *q, uint32_t off, uint32_t len, struct rte_mbuf **prev)
{
    struct rte_mbuf *m = q->head, *before = NULL;

    if (q->tail && pkt_meta(q->tail)->seq < off) { /* in order, as nearly always */
        before = q->tail;
        m = NULL;
    }
    while (m && pkt_meta(m)->seq < off) {
        before = m;
        m = pkt_meta(m)->link;
    }
    *prev = before;
    if (m && pkt_meta(m)->seq == off && pkt_meta(m)->len == len)
        return FIT_DUPLICATE;
    if (before && pkt_meta(before)->seq + pkt_meta(before)->len > off)
        return FIT_BAD;
    if (m && off + len > pkt_meta(m)->seq)
        return FIT_BAD;
    return FIT_OK;
}

/* Checks the fragment against what the queue knows of the datagram's end; remembers the end. */
static bool end_agrees(struct fragq *q, uint32_t end, bool more)
{
    if (more)
        return q->total == 0 || end < q->total;
    if (q->total != 0)
        return q->total == end;
    if (q->tail && pkt_meta(q->tail)->seq + pkt_meta(q->tail)->len > end)
        return false;
    q->total = end;
    return true;
}

static void insert(struct shard *sh, struct fragq *q, struct rte_mbuf *prev, struct rte_mbuf *m)
{
    struct rte_mbuf **at = prev ? &pkt_meta(prev)->link : &q->head;

    pkt_meta(m)->link = *at;
    *at = m;
    if (!pkt_meta(m)->link)
        q->tail = m;
    q->n++;
    q->have += pkt_meta(m)->len;
    sh->frag->held++;
}

/* All bytes are here: one chain, the first fragment's header made that of the datagram. */
static struct rte_mbuf *assemble(struct shard *sh, struct fragq *q)
{
    struct rte_mbuf *head = q->head, *last, *next;
    struct ip4_hdr *ip = rte_pktmbuf_mtod(head, struct ip4_hdr *);
    unsigned hlen = ip4_hlen(ip);

    if (hlen + q->total > IP_MAX_BYTES) {
        queue_fail(sh, q);
        return NULL;
    }
    last = rte_pktmbuf_lastseg(head);
    for (struct rte_mbuf *m = pkt_meta(head)->link; m; m = next) {
        next = pkt_meta(m)->link;
        pkt_trim_front(m, ip4_hlen(rte_pktmbuf_mtod(m, const struct ip4_hdr *)));
        last->next = m;
        last = rte_pktmbuf_lastseg(m);
        head->nb_segs += m->nb_segs;
        head->pkt_len += m->pkt_len;
        m->nb_segs = 1;
    }
    pkt_meta(head)->link = NULL;
    ip->len_be = htons((uint16_t)(hlen + q->total));
    ip->off_be = 0;
    ip->cksum = 0;
    ip->cksum = cksum(ip, hlen);
    q->head = q->tail = NULL;
    queue_free(sh, q);
    sh->count[COUNT_IP_REASM_OK]++;
    return head;
}

struct rte_mbuf *frag_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    const struct ip4_hdr *ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
    uint32_t field = ntohs(ip->off_be), off = (field & IP4_OFFSET_MASK) * 8, len = m->pkt_len - ip4_hlen(ip);
    bool more = field & IP4_MF;
    struct rte_mbuf *prev;
    struct fragq *q;

    sh->count[COUNT_IP_REASM_REQ]++;
    if (len == 0 || (more && len % 8 != 0) || off + len + ip4_hlen(ip) > IP_MAX_BYTES) {
        pkt_drop(sh, m, COUNT_IP_REASM_FAIL);
        return NULL;
    }
    q = find(sh, ip);
    if (!q)
        q = queue_new(sh, ifindex, ip);
    switch (find_place(q, off, len, &prev)) {
    case FIT_OK:
        break;
    case FIT_DUPLICATE:
        rte_pktmbuf_free(m);
        return NULL;
    case FIT_BAD:
        queue_fail(sh, q);
        rte_pktmbuf_free(m);
        return NULL;
    }
    if (q->n == FRAG_PER_Q || !end_agrees(q, off + len, more)) {
        queue_fail(sh, q);
        rte_pktmbuf_free(m);
        return NULL;
    }
    pkt_meta(m)->seq = off;
    pkt_meta(m)->len = len;
    insert(sh, q, prev, m);
    return q->total && q->have == q->total ? assemble(sh, q) : NULL;
}

void frag_timer(struct shard *sh, struct timer *t)
{
    struct fragq *q = container_of(t, struct fragq, timer);
    struct rte_mbuf *m = q->head;
    struct rxinfo ri;

    /* RFC 792: a time exceeded message only when fragment zero is here. */
    if (m && pkt_meta(m)->seq == 0) {
        const struct ip4_hdr *ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
        unsigned hlen = ip4_hlen(ip);

        memset(&ri, 0, sizeof ri);
        ri.src = ipaddr_v4(q->src_be);
        ri.dst = ipaddr_v4(q->dst_be);
        ri.ifindex = q->ifindex;
        ri.proto = q->proto;
        ri.bcast = !ip_is_local(sh->st, &ri.dst);
        ri.l3_len = (uint16_t)hlen;
        ri.len = m->pkt_len - hlen;
        rte_pktmbuf_adj(m, (uint16_t)hlen);
        icmp_send_error(sh, &ri, m, ICMP_T_TIME_EXCEEDED, ICMP_C_FRAG_TIME);
    }
    queue_fail(sh, q);
}

uint16_t frag_ident_be(struct shard *sh, uint32_t src_be, uint32_t dst_be, uint8_t proto)
{
    uint16_t *id = &sh->frag->ident[hash_pair(sh, src_be, dst_be, proto) % FRAG_IDENTS];

    /* Not by one: what an outsider sees of one flow must not count the packets of another that shares the
     * counter. */
    *id = (uint16_t)(*id + 1 + rnd_below(sh, 4));
    return htons(*id);
}

int frag_output(struct shard *sh, struct rte_mbuf *m, uint32_t mtu,
                void (*send)(struct shard *sh, void *arg, struct rte_mbuf *frag), void *arg)
{
    uint32_t total = m->pkt_len - IP4_HDR_LEN, off = 0;
    uint32_t piece = (RTE_MIN(mtu, (uint32_t)PKT_DATA_ROOM) - IP4_HDR_LEN) & ~7u;

    while (off < total) {
        uint32_t n = RTE_MIN(piece, total - off);
        struct rte_mbuf *f = pkt_alloc(sh);
        struct ip4_hdr *ip;

        if (!f) {
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        ip = (struct ip4_hdr *)rte_pktmbuf_append(f, (uint16_t)(IP4_HDR_LEN + n));
        if (!ip || !pkt_read(m, 0, IP4_HDR_LEN, ip) || !pkt_read(m, IP4_HDR_LEN + off, n, ip + 1)) {
            rte_pktmbuf_free(f);
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        ip->len_be = htons((uint16_t)(IP4_HDR_LEN + n));
        ip->off_be = htons((uint16_t)(off / 8 | (off + n < total ? IP4_MF : 0)));
        sh->count[COUNT_IP_FRAG_CREATE]++;
        send(sh, arg, f);
        off += n;
    }
    rte_pktmbuf_free(m);
    return 0;
}
