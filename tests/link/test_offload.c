/* test_offload.c: what a port without offloads gets done in software: checksums over chains, segments cut
 * from a large frame, chains made one buffer. */
#include <arpa/inet.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdio.h>
#include <string.h>

#include "../../dpdk/offload.h"
#include "../../stack/pkt.h"
#include "link.h"

static struct rte_mempool *pool;

/* A TCP or UDP frame of payload bytes, in buffers of part bytes each. */
static struct rte_mbuf *l4_frame(bool tcp, uint32_t payload, uint32_t part)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    uint16_t l4_len = tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr);
    char *p = rte_pktmbuf_append(m, (uint16_t)(14 + 20 + l4_len));
    memset(p, 0, 14 + 20 + l4_len);
    p[12] = 8;
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(p + 14);
    ip->version_ihl = 0x45;
    ip->total_length = htons((uint16_t)(20 + l4_len + payload));
    ip->time_to_live = 64;
    ip->next_proto_id = tcp ? IPPROTO_TCP : IPPROTO_UDP;
    ip->src_addr = htonl(0xc6120001);
    ip->dst_addr = htonl(0xc6120002);
    if (tcp) {
        struct rte_tcp_hdr *t = (struct rte_tcp_hdr *)(ip + 1);
        t->sent_seq = htonl(1000000);
        t->data_off = 5 << 4;
        t->tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG;
    } else {
        ((struct rte_udp_hdr *)(ip + 1))->dgram_len = htons((uint16_t)(l4_len + payload));
    }
    for (uint32_t at = 0; at < payload;) {
        struct rte_mbuf *s = rte_pktmbuf_alloc(pool);
        uint32_t n = payload - at < part ? payload - at : part;
        char *d = rte_pktmbuf_append(s, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++)
            d[i] = (char)((at + i) * 7);
        rte_pktmbuf_chain(m, s);
        at += n;
    }
    m->l2_len = 14;
    m->l3_len = 20;
    m->l4_len = l4_len;
    m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
                  (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
    return m;
}

/* Both checksums are right, by one's-complement addition written out here. */
static void check_sums(const struct rte_mbuf *m)
{
    static unsigned char flat[65600];
    CHECK(rte_pktmbuf_read(m, 0, m->pkt_len, flat) != NULL);
    for (uint32_t at = 0, left = m->pkt_len; m && left; m = m->next) {
        memcpy(flat + at, rte_pktmbuf_mtod(m, char *), m->data_len);
        at += m->data_len;
        left -= m->data_len;
    }
    uint32_t sum = 0, len = (uint32_t)(flat[16] << 8 | flat[17]);
    for (unsigned i = 14; i < 34; i += 2)
        sum += (uint32_t)(flat[i] << 8 | flat[i + 1]);
    CHECK((sum & 0xffff) + (sum >> 16) == 0xffff);
    sum = flat[23] + len - 20;
    for (unsigned i = 26; i < 34; i += 2)
        sum += (uint32_t)(flat[i] << 8 | flat[i + 1]);
    flat[14 + len] = 0;
    for (unsigned i = 34; i < 14 + len; i += 2)
        sum += (uint32_t)(flat[i] << 8 | flat[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    CHECK(sum == 0xffff);
}

static void check_plain(bool tcp, uint32_t payload, uint32_t part, uint64_t can)
{
    struct rte_mbuf *out[OFFLOAD_SEGS];
    unsigned n = offload_apply(l4_frame(tcp, payload, part), can, pool, out, OFFLOAD_SEGS);
    CHECK(n == 1);
    CHECK(can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS || out[0]->nb_segs == 1);
    check_sums(out[0]);
    rte_pktmbuf_free(out[0]);
}

/* Segments cover the payload in order; FIN and PSH are on the last alone (RFC 9293 3.8.4). */
static void check_segments(uint32_t payload, uint32_t part, uint16_t mss)
{
    struct rte_mbuf *out[OFFLOAD_SEGS], *m = l4_frame(true, payload, part);
    uint32_t at = 0;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    m->tso_segsz = mss;
    unsigned n = offload_apply(m, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, pool, out, OFFLOAD_SEGS);
    CHECK(n == (payload + mss - 1) / mss);
    for (unsigned i = 0; i < n; i++) {
        char buf[2048];
        const struct rte_tcp_hdr *t = rte_pktmbuf_mtod_offset(out[i], struct rte_tcp_hdr *, 34);
        CHECK(ntohl(t->sent_seq) == 1000000 + at);
        CHECK(!(t->tcp_flags & (RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG)) == (i < n - 1));
        uint32_t len = out[i]->pkt_len - 54;
        CHECK(len == mss || i == n - 1);
        const char *d = rte_pktmbuf_read(out[i], 54, len, buf);
        for (uint32_t k = 0; k < len; k++)
            CHECK(d[k] == (char)((at + k) * 7));
        check_sums(out[i]);
        at += len;
        rte_pktmbuf_free(out[i]);
    }
    CHECK(at == payload);
}

/* A checksum left at the pseudo-header's sum is known as such, and nothing else is. */
static void check_partial(bool tcp)
{
    struct rte_mbuf *m = l4_frame(tcp, 100, 200);
    struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);
    CHECK(offload_may_be_partial(m) && !offload_is_partial(m));
    offload_pseudo(m);
    CHECK(offload_is_partial(m));
    ip->fragment_offset = htons(1);
    CHECK(!offload_is_partial(m));
    ip->fragment_offset = 0;
    ip->version_ihl = 0x46;
    CHECK(!offload_is_partial(m));
    ip->version_ihl = 0x45;
    rte_pktmbuf_mtod(m, char *)[12] = (char)0x81; /* a VLAN's */
    CHECK(!offload_is_partial(m));
    rte_pktmbuf_mtod(m, char *)[12] = 8;
    m->data_len = 14 + 20 + 6; /* cut off before the sum */
    CHECK(!offload_is_partial(m));
    m->data_len = 14 + 20 + (tcp ? 20 : 8);
    ip->next_proto_id = IPPROTO_ICMP;
    CHECK(!offload_is_partial(m));
    m->l2_len = 18;
    CHECK(!offload_may_be_partial(m));
    rte_pktmbuf_free(m);
}

int main(void)
{
    struct side s = side_start(64, false, "null", NULL);
    pool = s.pool;
    unsigned all = pool->populated_size - rte_mempool_avail_count(pool);
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        check_partial(tcp);
        check_plain(tcp, 0, 100, 0);
        check_plain(tcp, 1, 100, 0);
        check_plain(tcp, 1000, 2000, 0);
        check_plain(tcp, 999, 100, 0);
        check_plain(tcp, 1001, 33,
                    RTE_ETH_TX_OFFLOAD_MULTI_SEGS); /* odd pieces: sums must carry over byte borders */
        check_plain(tcp, 9001, 2047, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
    }
    check_segments(1460, 2000, 1460);
    check_segments(1461, 2000, 1460);
    check_segments(50000, 2048, 1460);
    check_segments(50000, 1460, 1000);
    check_segments(3001, 7, 100);
    /* A frame of too many small pieces. */
    struct rte_mbuf *m = offload_compact(l4_frame(true, 3000, 10), 64, pool);
    CHECK(m && m->nb_segs <= 2 && m->pkt_len == 3054);
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    struct rte_mbuf *out[OFFLOAD_SEGS];
    CHECK(offload_apply(m, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, pool, out, OFFLOAD_SEGS) == 1);
    check_sums(out[0]);
    rte_pktmbuf_free(out[0]);
    /* What can't be sent as one buffer is dropped, not cut. */
    CHECK(offload_apply(l4_frame(false, 5000, 2000), 0, pool, out, OFFLOAD_SEGS) == 0);
    CHECK(pool->populated_size - rte_mempool_avail_count(pool) == all);
    return 0;
}
