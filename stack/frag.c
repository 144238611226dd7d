/* frag.c: fragments (frag.h).
 *
 * The fragments of a queue are whole packets, from their IP headers on, in order of their offset, linked by
 * pkt_meta.link; pkt_meta.seq is the offset, pkt_meta.len the number of payload bytes, pkt_meta.aux that of
 * the headers before them and pkt_meta.flags a bit for its ECN field. A fragment that comes in order is put
 * at the end without a walk.
 */
#include "frag.h"

#include <errno.h>

#include "cksum.h"
#include "hash.h"
#include "icmp6.h"
#include "pkt.h"
#include "rnd.h"
#include "wire_icmp.h"
#include "wire_icmp6.h"
#include "wire_ip4.h"
#include "wire_ip6.h"
#include "wire_tcp.h"

#define IP_MAX_BYTES 65535

/* What the fragments of a datagram have in common. */
struct frag_key {
    struct ipaddr src, dst;
    uint32_t id_be;
    uint32_t proto; /* 0 for IPv6 */
};

struct fragq {
    struct list age, hash;
    struct timer timer;
    struct rte_mbuf *head, *tail;
    struct frag_key key;
    uint8_t ifindex;
    uint8_t next, dead; /* IPv6: what the first fragment's fragment header says follows; overlap seen */
    uint16_t next_at;   /* where in the first fragment's headers that goes */
    uint8_t ecn;        /* bit i: a fragment's ECN field was i */
    uint16_t frag_max;  /* bytes of the longest fragment */
    uint32_t n;         /* fragments */
    uint32_t mem;       /* bytes it is charged in its family */
    uint32_t have;      /* payload bytes */
    uint32_t total;     /* payload bytes of the datagram; 0: the last fragment is not here yet */
};

int frag_table_init(struct shard *sh)
{
    struct frag_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);
    int err;

    if (!t)
        return -ENOMEM;
    err = slab_init(&t->slab, sh->st->seg, sizeof(struct fragq), 2 * FRAG_QUEUES);
    if (err)
        return err;
    list_init(&t->v[0].age);
    list_init(&t->v[1].age);
    for (unsigned i = 0; i < FRAG_BUCKETS; i++)
        list_init(&t->bucket[i]);
    for (unsigned i = 0; i < FRAG_IDENTS; i++)
        t->ident[i] = (uint16_t)rnd_u32(sh);
    sh->frag = t;
    return 0;
}

static struct list *bucket_of(struct shard *sh, const struct frag_key *key)
{
    return &sh->frag->bucket[siphash(sh->st->secret, key, sizeof *key) % FRAG_BUCKETS];
}

static struct fragq *find(struct shard *sh, const struct frag_key *key)
{
    list_for_each(n, bucket_of(sh, key))
    {
        struct fragq *q = container_of(n, struct fragq, hash);

        if (ipaddr_eq(&q->key.src, &key->src) && ipaddr_eq(&q->key.dst, &key->dst) &&
            q->key.id_be == key->id_be && q->key.proto == key->proto)
            return q;
    }
    return NULL;
}

static bool is_v4(const struct fragq *q)
{
    return ipaddr_is_v4(&q->key.src);
}

static struct frag_family *family_of(struct shard *sh, const struct fragq *q)
{
    return &sh->frag->v[!is_v4(q)];
}

/* Bytes of all the buffers of m, whatever little of them is used: a flood of tiny fragments costs what it
 * costs. */
static uint32_t cost_of(const struct rte_mbuf *m)
{
    uint32_t bytes = 0;

    for (; m; m = m->next)
        bytes += (uint32_t)(sizeof *m + m->priv_size + m->buf_len);
    return bytes;
}

static void charge(struct shard *sh, struct fragq *q, uint32_t bytes)
{
    q->mem += bytes;
    family_of(sh, q)->mem += bytes;
}

/* The fragments are no longer the queue's. */
static void queue_forget(struct shard *sh, struct fragq *q)
{
    q->head = q->tail = NULL;
    sh->frag->held -= q->n;
    q->n = 0;
    family_of(sh, q)->mem -= q->mem;
    q->mem = 0;
}

/* Frees what is in the queue. */
static void queue_empty(struct shard *sh, struct fragq *q)
{
    for (struct rte_mbuf *m = q->head, *next; m; m = next) {
        next = pkt_meta(m)->link;
        rte_pktmbuf_free(m);
    }
    queue_forget(sh, q);
}

/* Frees the queue and what is still in it. */
static void queue_free(struct shard *sh, struct fragq *q)
{
    queue_empty(sh, q);
    timer_cancel(&sh->wheel, &q->timer);
    list_del(&q->age);
    list_del(&q->hash);
    family_of(sh, q)->n--;
    slab_free(&sh->frag->slab, q);
}

static void queue_fail(struct shard *sh, struct fragq *q)
{
    if (!q->dead)
        sh->count[is_v4(q) ? COUNT_IP_REASM_FAIL : COUNT_IP6_REASM_FAIL]++;
    queue_free(sh, q);
}

static struct fragq *oldest(const struct frag_family *v)
{
    return container_of(v->age.next, struct fragq, age);
}

/* The oldest datagrams of q's family go until the others keep within the limit; q may be among them. */
static void keep_bound(struct shard *sh, const struct fragq *q)
{
    const struct tunables *set = &sh->st->set;
    int64_t limit = is_v4(q) ? set->ipfrag_high_thresh : set->ip6frag_high_thresh;
    struct frag_family *v = family_of(sh, q);

    while (v->mem > (uint64_t)limit)
        queue_fail(sh, oldest(v));
}

/* The datagram is given up, and for IPv6 so is what of it is still to come (RFC 5722 section 4). */
static void queue_refuse(struct shard *sh, struct fragq *q)
{
    if (is_v4(q)) {
        queue_fail(sh, q);
        return;
    }
    sh->count[COUNT_IP6_REASM_FAIL]++;
    queue_empty(sh, q);
    charge(sh, q, sizeof *q);
    q->dead = 1;
    keep_bound(sh, q);
}

static struct fragq *queue_new(struct shard *sh, unsigned ifindex, const struct frag_key *key)
{
    const struct tunables *set = &sh->st->set;
    struct frag_family *v = &sh->frag->v[!ipaddr_is_v4(&key->src)];
    struct fragq *q;
    int64_t wait_s;

    if (v->n == FRAG_QUEUES)
        queue_fail(sh, oldest(v));
    q = slab_alloc(&sh->frag->slab);
    q->key = *key;
    q->ifindex = (uint8_t)ifindex;
    list_add_tail(&v->age, &q->age);
    v->n++;
    charge(sh, q, sizeof *q);
    list_add_head(bucket_of(sh, key), &q->hash);
    timer_init(&q->timer, TIMER_FRAG);
    wait_s = is_v4(q) ? set->ipfrag_time : set->ip6frag_time;
    timer_arm(&sh->wheel, &q->timer, shard_ms(sh) + (uint64_t)wait_s * 1000);
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
    q->ecn |= pkt_meta(m)->flags;
    q->frag_max = RTE_MAX(q->frag_max, (uint16_t)m->pkt_len);
    charge(sh, q, cost_of(m));
}

/* What the datagram's ECN field is (RFC 3168 section 5.3), for its header's: CE if any fragment's is CE.
 * False: fragments of a transport that does ECN and of one that does not are no one datagram. */
static bool join_ecn(const struct fragq *q, uint8_t *ecn)
{
    *ecn = q->ecn & 1u << 3 ? 3 : 0;
    return !(q->ecn & 1) || q->ecn == 1;
}

/* All bytes are here: one chain, each fragment but the first without its headers. The first is returned, the
 * length of the longest in its meta's aux; the queue is gone. */
static struct rte_mbuf *join(struct shard *sh, struct fragq *q)
{
    struct rte_mbuf *head = q->head, *last = rte_pktmbuf_lastseg(head), *next;

    for (struct rte_mbuf *m = pkt_meta(head)->link; m; m = next) {
        next = pkt_meta(m)->link;
        pkt_trim_front(m, pkt_meta(m)->aux);
        last->next = m;
        last = rte_pktmbuf_lastseg(m);
        head->nb_segs += m->nb_segs;
        head->pkt_len += m->pkt_len;
        m->nb_segs = 1;
    }
    pkt_meta(head)->link = NULL;
    pkt_meta(head)->aux = q->frag_max;
    queue_forget(sh, q);
    queue_free(sh, q);
    return head;
}

/* The first fragment's header made that of the datagram. */
static struct rte_mbuf *assemble(struct shard *sh, struct fragq *q)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod(q->head, struct ip4_hdr *);
    unsigned hlen = ip4_hlen(ip);
    uint8_t ecn;

    if (hlen + q->total > IP_MAX_BYTES || !join_ecn(q, &ecn)) {
        queue_fail(sh, q);
        return NULL;
    }
    ip->len_be = htons((uint16_t)(hlen + q->total));
    ip->off_be = 0;
    ip->tos |= ecn;
    ip->cksum = 0;
    ip->cksum = cksum(ip, hlen);
    sh->count[COUNT_IP_REASM_OK]++;
    return join(sh, q);
}

/* Takes the fragment header out of m: what stands before it moves up. at: its offset; next_at: the field that
 * named it, which names what followed now. */
static void drop_fragment_header(struct rte_mbuf *m, uint32_t at, uint32_t next_at, uint8_t next)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    struct ip6_head *ip;

    p[next_at] = next;
    memmove(p + IP6_FRAG_LEN, p, at);
    rte_pktmbuf_adj(m, IP6_FRAG_LEN);
    ip = rte_pktmbuf_mtod(m, struct ip6_head *);
    ip->plen_be = htons((uint16_t)(m->pkt_len - IP6_HDR_LEN));
}

static struct rte_mbuf *assemble6(struct shard *sh, struct fragq *q)
{
    uint32_t at = pkt_meta(q->head)->aux - IP6_FRAG_LEN, next_at = q->next_at;
    uint8_t next = q->next, ecn;
    struct rte_mbuf *m;

    if (at - IP6_HDR_LEN + q->total > IP6_MAX_PLEN || !join_ecn(q, &ecn)) {
        queue_refuse(sh, q);
        return NULL;
    }
    sh->count[COUNT_IP6_REASM_OK]++;
    rte_pktmbuf_mtod(q->head, struct ip6_head *)->vcf_be |= htonl((uint32_t)ecn << 20);
    m = join(sh, q);
    drop_fragment_header(m, at, next_at, next);
    return m;
}

/* Puts m, len bytes from off on of the datagram, behind hlen bytes of headers, into its queue. True: the
 * datagram is whole. Takes ownership of m. */
static bool queue_add(struct shard *sh, struct fragq *q, struct rte_mbuf *m, uint32_t hlen, uint32_t off,
                      uint32_t len, bool more)
{
    struct rte_mbuf *prev;

    if (q->dead) {
        rte_pktmbuf_free(m);
        return false;
    }
    switch (find_place(q, off, len, &prev)) {
    case FIT_OK:
        break;
    case FIT_DUPLICATE:
        rte_pktmbuf_free(m);
        return false;
    case FIT_BAD:
        sh->count[COUNT_IP_REASM_OVERLAP] += is_v4(q);
        queue_refuse(sh, q);
        rte_pktmbuf_free(m);
        return false;
    }
    if (q->n == FRAG_PER_Q || !end_agrees(q, off + len, more)) {
        queue_refuse(sh, q);
        rte_pktmbuf_free(m);
        return false;
    }
    pkt_meta(m)->seq = off;
    pkt_meta(m)->len = len;
    pkt_meta(m)->aux = (uint16_t)hlen;
    insert(sh, q, prev, m);
    if (q->total && q->have == q->total)
        return true;
    keep_bound(sh, q);
    return false;
}

struct rte_mbuf *frag_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    const struct ip4_hdr *ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
    uint32_t field = ntohs(ip->off_be), off = (field & IP4_OFFSET_MASK) * 8, len = m->pkt_len - ip4_hlen(ip);
    struct frag_key key = {
        .src = ipaddr_v4(ip->src_be), .dst = ipaddr_v4(ip->dst_be), .id_be = ip->id_be, .proto = ip->proto};
    bool more = field & IP4_MF;
    struct fragq *q;

    sh->count[COUNT_IP_REASM_REQ]++;
    if (len == 0 || (more && len % 8 != 0) || off + len + ip4_hlen(ip) > IP_MAX_BYTES) {
        pkt_drop(sh, m, COUNT_IP_REASM_FAIL);
        return NULL;
    }
    q = find(sh, &key);
    if (!q)
        q = queue_new(sh, ifindex, &key);
    pkt_meta(m)->flags = (uint8_t)(1u << (ip->tos & 3));
    return queue_add(sh, q, m, ip4_hlen(ip), off, len, more) ? assemble(sh, q) : NULL;
}

/* Tells the sender of m, whose headers are hlen bytes, what is wrong, and drops it. */
static struct rte_mbuf *refuse6(struct shard *sh, struct rte_mbuf *m, struct rxinfo *ri, uint32_t hlen,
                                uint8_t code, uint32_t pointer)
{
    ri->proto = IP6_NEXT_FRAGMENT;
    ri->l3_len = (uint16_t)hlen;
    ri->len = m->pkt_len - hlen;
    rte_pktmbuf_adj(m, (uint16_t)hlen);
    icmp6_send(sh, ri, m, ICMP6_T_PARAM, code, pointer, false);
    pkt_drop(sh, m, COUNT_IP6_HDR);
    return NULL;
}

/* RFC 7112: the first fragment holds all headers, the transport's included (of which that of TCP alone is
 * more than the 8 bytes that a fragment has at least). */
static bool has_all_headers(const struct rte_mbuf *m)
{
    struct ip6_walk w;
    uint32_t need;

    if (wire_ip6_walk(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, true, &w) == IP6_WALK_TRUNC)
        return false;
    need = w.proto == IP6_NEXT_NONE ? 0 : w.proto == IPPROTO_TCP ? TCP_HDR_LEN : 8;
    return w.off + need <= m->pkt_len;
}

struct rte_mbuf *frag6_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, struct rxinfo *ri,
                             const struct ip6_walk *w)
{
    const struct ip6_frag_head *f = rte_pktmbuf_mtod_offset(m, const struct ip6_frag_head *, w->off);
    uint32_t field = ntohs(f->off_be), off = field & IP6_FRAG_OFFMASK, hlen = w->off + IP6_FRAG_LEN;
    uint32_t len = m->pkt_len - hlen;
    struct frag_key key = {.src = ri->src, .dst = ri->dst, .id_be = f->id_be};
    uint32_t ecn = ntohl(rte_pktmbuf_mtod(m, const struct ip6_head *)->vcf_be) >> 20 & 3;
    bool more = field & IP6_FRAG_MORE;
    struct fragq *q;

    sh->count[COUNT_IP6_REASM_REQ]++;
    ri->fragments = 1;
    if (off == 0 && !more) {
        drop_fragment_header(m, w->off, w->next_at, f->next);
        sh->count[COUNT_IP6_REASM_OK]++;
        return m;
    }
    if (len == 0) {
        pkt_drop(sh, m, COUNT_IP6_REASM_FAIL);
        return NULL;
    }
    /* RFC 8200 section 4.5, the error conditions. */
    if (more && len % 8 != 0)
        return refuse6(sh, m, ri, hlen, ICMP6_C_HEADER, offsetof(struct ip6_head, plen_be));
    if (w->off - IP6_HDR_LEN + off + len > IP6_MAX_PLEN)
        return refuse6(sh, m, ri, hlen, ICMP6_C_HEADER,
                       w->off + (uint32_t)offsetof(struct ip6_frag_head, off_be));
    if (off == 0 && !has_all_headers(m))
        return refuse6(sh, m, ri, hlen, ICMP6_C_INCOMPLETE, 0);
    q = find(sh, &key);
    if (!q)
        q = queue_new(sh, ifindex, &key);
    if (off == 0) {
        q->next = f->next;
        q->next_at = w->next_at;
    }
    pkt_meta(m)->flags = (uint8_t)(1u << ecn);
    m = queue_add(sh, q, m, hlen, off, len, more) ? assemble6(sh, q) : NULL;
    if (m)
        ri->frag_max = pkt_meta(m)->aux;
    return m;
}

void frag_timer(struct shard *sh, struct timer *t)
{
    struct fragq *q = container_of(t, struct fragq, timer);
    struct rte_mbuf *m = q->head;
    struct rxinfo ri;

    sh->count[is_v4(q) ? COUNT_IP_REASM_TIMEOUT : COUNT_IP6_REASM_TIMEOUT] += !q->dead;
    /* RFC 792, RFC 8200: a time exceeded message only when fragment zero is here. */
    if (m && pkt_meta(m)->seq == 0) {
        memset(&ri, 0, sizeof ri);
        ri.src = q->key.src;
        ri.dst = q->key.dst;
        ri.ifindex = q->ifindex;
        ri.proto = (uint8_t)q->key.proto;
        ri.bcast = !ip_is_local(sh->st, &ri.dst);
        ri.l3_len = pkt_meta(m)->aux;
        ri.len = m->pkt_len - ri.l3_len;
        rte_pktmbuf_adj(m, ri.l3_len);
        icmp_send_error(sh, &ri, m, ICMP_T_TIME_EXCEEDED, ICMP_C_FRAG_TIME);
    }
    queue_fail(sh, q);
}

uint16_t frag_ident_be(struct shard *sh, uint32_t src_be, uint32_t dst_be, uint8_t proto)
{
    uint32_t key[3] = {src_be, dst_be, proto};
    uint16_t *id = &sh->frag->ident[siphash(sh->st->secret, key, sizeof key) % FRAG_IDENTS];

    /* Not by one: what an outsider sees of one flow must not count the packets of another that shares the
     * counter. */
    *id = (uint16_t)(*id + 1 + rnd_below(sh, 4));
    return htons(*id);
}

/* Options that are the first fragment's alone become no operation (RFC 791 section 3.1, copied flag;
 * ip_options_fragment). The options were checked. */
static void blank_options(uint8_t *o, uint32_t len)
{
    for (uint32_t i = 0, n; i < len && o[i] != IP4_OPT_EOL; i += n) {
        n = o[i] == IP4_OPT_NOP ? 1 : o[i + 1];
        if (!(o[i] & IP4_OPT_COPIED))
            memset(o + i, IP4_OPT_NOP, n);
    }
}

int frag_output(struct shard *sh, struct rte_mbuf *m, uint32_t mtu,
                void (*send)(struct shard *sh, void *arg, struct rte_mbuf *frag), void *arg)
{
    uint32_t hlen = ip4_hlen(rte_pktmbuf_mtod(m, const struct ip4_hdr *)), off = 0;
    uint32_t total = m->pkt_len - hlen, piece = (RTE_MIN(mtu, (uint32_t)PKT_DATA_ROOM) - hlen) & ~7u;

    while (off < total) {
        uint32_t n = RTE_MIN(piece, total - off);
        struct rte_mbuf *f = pkt_alloc(sh);
        struct ip4_hdr *ip;

        if (!f) {
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        ip = (struct ip4_hdr *)rte_pktmbuf_append(f, (uint16_t)(hlen + n));
        if (!ip || !pkt_read(m, 0, hlen, ip) || !pkt_read(m, hlen + off, n, (uint8_t *)ip + hlen)) {
            rte_pktmbuf_free(f);
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        ip->len_be = htons((uint16_t)(hlen + n));
        ip->off_be = htons((uint16_t)(off / 8 | (off + n < total ? IP4_MF : 0)));
        if (off && hlen > IP4_HDR_LEN)
            blank_options((uint8_t *)(ip + 1), hlen - IP4_HDR_LEN);
        sh->count[COUNT_IP_FRAG_CREATE]++;
        send(sh, arg, f);
        off += n;
    }
    rte_pktmbuf_free(m);
    return 0;
}

int frag6_output(struct shard *sh, struct rte_mbuf *m, uint32_t mtu,
                 void (*send)(struct shard *sh, void *arg, struct rte_mbuf *frag), void *arg)
{
    const uint32_t hlen = IP6_HDR_LEN + IP6_FRAG_LEN;
    uint32_t total = m->pkt_len - IP6_HDR_LEN, off = 0, id = rnd_u32(sh); /* RFC 7739 section 5.3 */
    uint32_t piece = (RTE_MIN(mtu, (uint32_t)PKT_DATA_ROOM) - hlen) & ~7u;

    while (off < total) {
        uint32_t n = RTE_MIN(piece, total - off);
        struct rte_mbuf *f = pkt_alloc(sh);
        struct ip6_frag_head *fh;
        struct ip6_head *ip;

        if (!f) {
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        ip = (struct ip6_head *)rte_pktmbuf_append(f, (uint16_t)(hlen + n));
        fh = (struct ip6_frag_head *)(ip + 1);
        if (!ip || !pkt_read(m, 0, IP6_HDR_LEN, ip) || !pkt_read(m, IP6_HDR_LEN + off, n, fh + 1)) {
            rte_pktmbuf_free(f);
            rte_pktmbuf_free(m);
            return -ENOBUFS;
        }
        *fh = (struct ip6_frag_head){.next = ip->next, .id_be = id};
        fh->off_be = htons((uint16_t)(off | (off + n < total ? IP6_FRAG_MORE : 0)));
        ip->next = IP6_NEXT_FRAGMENT;
        ip->plen_be = htons((uint16_t)(IP6_FRAG_LEN + n));
        sh->count[COUNT_IP6_FRAG_CREATE]++;
        send(sh, arg, f);
        off += n;
    }
    rte_pktmbuf_free(m);
    return 0;
}

static bool is_never_live(const void *obj)
{
    return false;
}

/* Datagrams may be lost: all that are not whole yet are. Their fragments are left to the sweep (sweep.h),
 * because the queue that was being joined may name some of them twice. */
void frag_mend(struct shard *sh)
{
    struct frag_table *t = sh->frag;

    for (uint32_t i = 0; i < t->slab.fresh; i++) {
        struct fragq *q = slab_at(&t->slab, i);

        timer_cancel(&sh->wheel, &q->timer);
        q->head = q->tail = NULL;
    }
    slab_mend(&t->slab, is_never_live);
    for (unsigned i = 0; i < 2; i++) {
        list_init(&t->v[i].age);
        t->v[i].n = 0;
        t->v[i].mem = 0;
    }
    for (unsigned i = 0; i < FRAG_BUCKETS; i++)
        list_init(&t->bucket[i]);
    t->held = 0;
}
