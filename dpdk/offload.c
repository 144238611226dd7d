/* offload.c: see offload.h. */
#include "offload.h"

#include <errno.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <string.h>

#include "../stack/pkt.h"

/* Where the L4 checksum lies, from the start of the frame. */
static unsigned l4_sum_offset(const struct rte_mbuf *m)
{
    unsigned l4 = m->l2_len + m->l3_len;
    if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM)
        return l4 + (unsigned)offsetof(struct rte_udp_hdr, dgram_cksum);
    return l4 + (unsigned)offsetof(struct rte_tcp_hdr, cksum);
}

static void l4_sum_set(struct rte_mbuf *m, uint16_t sum)
{
    memcpy(rte_pktmbuf_mtod_offset(m, char *, l4_sum_offset(m)), &sum, sizeof(sum));
}

static uint16_t pseudo_sum(struct rte_mbuf *m)
{
    void *ip = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);
    /* Without TCP_SEG in the flags the sum covers the length. */
    if (m->ol_flags & RTE_MBUF_F_TX_IPV6)
        return rte_ipv6_phdr_cksum(ip, 0);
    return rte_ipv4_phdr_cksum(ip, 0);
}

void offload_pseudo(struct rte_mbuf *m)
{
    l4_sum_set(m, pseudo_sum(m));
}

bool offload_is_partial(struct rte_mbuf *m)
{
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    const void *ip = eth + 1;
    const struct rte_ipv4_hdr *ip4 = ip;
    const struct rte_ipv6_hdr *ip6 = ip;
    uint16_t pseudo, sum;
    size_t l4;
    uint8_t proto;
    if (m->data_len < sizeof(*eth) + sizeof(*ip4))
        return false;
    if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) && ip4->version_ihl == 0x45 &&
        !(ip4->fragment_offset & RTE_BE16(0x3fff))) {
        l4 = sizeof(*eth) + sizeof(*ip4);
        proto = ip4->next_proto_id;
        pseudo = rte_ipv4_phdr_cksum(ip4, 0);
    } else if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) &&
               m->data_len >= sizeof(*eth) + sizeof(*ip6)) {
        l4 = sizeof(*eth) + sizeof(*ip6);
        proto = ip6->proto;
        pseudo = rte_ipv6_phdr_cksum(ip6, 0);
    } else {
        return false;
    }
    if (proto == IPPROTO_TCP)
        l4 += offsetof(struct rte_tcp_hdr, cksum);
    else if (proto == IPPROTO_UDP)
        l4 += offsetof(struct rte_udp_hdr, dgram_cksum);
    else
        return false;
    if (m->data_len < l4 + sizeof(sum))
        return false;
    memcpy(&sum, rte_pktmbuf_mtod_offset(m, const char *, l4), sizeof(sum));
    return sum == pseudo;
}

/* The sum of a chain from off on. rte_raw_cksum_mbuf of DPDK 22.11 is wrong when a piece follows an odd
 * number of bytes: it swaps the halves of a sum that is not folded to 16 bits yet. */
static uint32_t chain_sum(const struct rte_mbuf *m, uint32_t off)
{
    uint32_t sum = 0, done = 0;
    for (; m; m = m->next) {
        if (off >= m->data_len) {
            off -= m->data_len;
            continue;
        }
        uint32_t len = m->data_len - off;
        uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const char *, off), len);
        sum += done & 1 ? rte_bswap16(part) : part;
        done += len;
        off = 0;
    }
    return sum;
}

/* The L4 checksum over the whole chain (RFC 9293 section 3.1, RFC 768). */
static void l4_fill(struct rte_mbuf *m)
{
    l4_sum_set(m, 0);
    uint32_t sum = chain_sum(m, m->l2_len + m->l3_len) + pseudo_sum(m);
    sum = (sum & 0xffff) + (sum >> 16);
    uint16_t folded = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
    /* UDP: zero means "no checksum" and is sent as its other form. */
    if (folded == 0 && (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM)
        folded = 0xffff;
    l4_sum_set(m, folded);
}

void offload_ip_sum(struct rte_mbuf *m)
{
    struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    m->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM;
}

/* Does in software what of m's checksums the port doesn't. */
static void checksums(struct rte_mbuf *m, uint64_t can)
{
    uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    if ((l4 == RTE_MBUF_F_TX_TCP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) ||
        (l4 == RTE_MBUF_F_TX_UDP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_UDP_CKSUM))) {
        l4_fill(m);
        m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    }
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !(can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM))
        offload_ip_sum(m);
}

/* A part of m's payload, len bytes from off of the frame on, behind a copy of its headers (hlen bytes): the
 * bytes are shared. NULL: out of memory. */
static struct rte_mbuf *piece6(struct rte_mbuf *m, struct rte_mempool *pool, uint32_t hlen, uint32_t off,
                               uint32_t len)
{
    struct rte_mbuf *h = rte_pktmbuf_alloc(pool), *last = h, *s = m;
    if (!h)
        return NULL;
    memcpy(rte_pktmbuf_append(h, (uint16_t)hlen), rte_pktmbuf_mtod(m, const void *), hlen);
    while (off >= s->data_len) {
        off -= s->data_len;
        s = s->next;
    }
    while (len) {
        uint16_t n = (uint16_t)RTE_MIN(len, (uint32_t)s->data_len - off);
        struct rte_mbuf *ref = rte_pktmbuf_alloc(pool);
        if (!ref) {
            rte_pktmbuf_free(h);
            return NULL;
        }
        rte_pktmbuf_attach(ref, s);
        ref->data_off = (uint16_t)(ref->data_off + off);
        ref->data_len = n;
        last->next = ref;
        last = ref;
        h->nb_segs++;
        h->pkt_len += n;
        len -= n;
        off = 0;
        s = s->next;
    }
    return h;
}

/* Lengths, sequence number and flags of the piece that is off bytes into the payload. */
static void header6(struct rte_mbuf *f, const struct rte_mbuf *m, uint32_t off, bool last)
{
    struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(f, struct rte_ipv6_hdr *, m->l2_len);
    struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(f, struct rte_tcp_hdr *, m->l2_len + m->l3_len);
    ip->payload_len = rte_cpu_to_be_16((uint16_t)(f->pkt_len - m->l2_len - m->l3_len));
    tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + off);
    if (!last)
        tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
    if (off)
        tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG; /* RFC 3168: once a reduction */
}

/* rte_gso of DPDK 22.11 cuts TCP over IPv4 alone: this is the same for IPv6. The number of segments, <= 0 as
 * rte_gso_segment. m stays the caller's. */
static int segment6(struct rte_mbuf *m, struct rte_mempool *pool, struct rte_mbuf **out, unsigned max)
{
    uint32_t hlen = m->l2_len + m->l3_len + m->l4_len, total, n = 0;
    if (hlen > m->data_len || hlen > PKT_DATA_ROOM || !m->tso_segsz)
        return -EINVAL;
    total = m->pkt_len - hlen;
    if (total <= m->tso_segsz)
        return 0;
    for (uint32_t off = 0; off < total; off += m->tso_segsz) {
        uint32_t len = RTE_MIN((uint32_t)m->tso_segsz, total - off);
        if (n < max)
            out[n] = piece6(m, pool, hlen, hlen + off, len);
        if (n == max || !out[n]) {
            rte_pktmbuf_free_bulk(out, n);
            return -ENOMEM;
        }
        header6(out[n++], m, off, off + len == total);
    }
    return (int)n;
}

/* Cuts a TCP_SEG frame into frames of tso_segsz payload bytes. Takes ownership of m. */
static unsigned segment(struct rte_mbuf *m, struct rte_mempool *pool, struct rte_mbuf **out, unsigned max)
{
    uint64_t flags =
        (m->ol_flags & ~(RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_L4_MASK)) | RTE_MBUF_F_TX_TCP_CKSUM;
    uint64_t lens = m->tx_offload;
    struct rte_gso_ctx ctx = {.direct_pool = pool,
                              .indirect_pool = pool,
                              .gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
                              .gso_size = (uint16_t)(m->l2_len + m->l3_len + m->l4_len + m->tso_segsz)};
    int n = m->ol_flags & RTE_MBUF_F_TX_IPV6 ? segment6(m, pool, out, max)
                                             : rte_gso_segment(m, &ctx, out, (uint16_t)max);
    if (n <= 0) {
        if (n == 0) { /* no larger than one segment: rte_gso left it alone */
            m->ol_flags = flags;
            out[0] = m;
            return 1;
        }
        rte_pktmbuf_free(m);
        return 0;
    }
    rte_pktmbuf_free(m); /* the segments hold references to its payload */
    for (int i = 0; i < n; i++) {
        out[i]->ol_flags = flags | (out[i]->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL));
        out[i]->tx_offload = lens;
        out[i]->tso_segsz = 0;
    }
    return (unsigned)n;
}

/* Copies all of m's bytes to new buffers, filled up one after the other. Takes ownership of m; NULL: out of
 * memory. */
static struct rte_mbuf *repack(struct rte_mbuf *m, struct rte_mempool *pool)
{
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
    if (copy) {
        copy->ol_flags = m->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
        copy->tx_offload = m->tx_offload;
    }
    rte_pktmbuf_free(m);
    return copy;
}

struct rte_mbuf *offload_compact(struct rte_mbuf *m, unsigned max, struct rte_mempool *pool)
{
    return m->nb_segs > max ? repack(m, pool) : m;
}

/* One buffer of all of m's bytes. Takes ownership of m; NULL when it doesn't fit or memory ran out. */
static struct rte_mbuf *linearise(struct rte_mbuf *m, struct rte_mempool *pool)
{
    if (m->pkt_len <= PKT_DATA_ROOM)
        return repack(m, pool);
    rte_pktmbuf_free(m);
    return NULL;
}

unsigned offload_apply(struct rte_mbuf *m, uint64_t tx_offloads, struct rte_mempool *pool,
                       struct rte_mbuf **out, unsigned max)
{
    unsigned n = 1, kept = 0;
    out[0] = m;
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG && !(tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO))
        n = segment(m, pool, out, max);
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *f = out[i];
        if (f->nb_segs > 1 && !(tx_offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
            f = linearise(f, pool);
        if (!f)
            continue;
        if (f->ol_flags & RTE_MBUF_F_TX_TCP_SEG) /* the port does all of it */
            f->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
        checksums(f, tx_offloads);
        out[kept++] = f;
    }
    return kept;
}
