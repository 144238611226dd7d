/* udp_lite.c: UDP-Lite (RFC 3828): UDP whose checksum may cover the beginning of a datagram only, so that a
 * damaged rest is delivered. Sockets, ports and options are UDP's, in tables of their own.
 *
 * Sockets of UDP-Lite are marked as sending without UDP's checksum (DG_NO_CHECK, UF_NO_CHECK6), which takes
 * them off UDP's fast path to udplite_transmit; they don't show that.
 */
#include "cksum.h"
#include "udp_cb.h"
#include "wire_udp.h"

#define COV_LEAST UDP_HDR_LEN /* RFC 3828 section 3.1: the header is always covered */

struct udpcb *udplite_open(struct shard *sh, uint16_t pcb_flags)
{
    struct udpcb *u = udp_open(sh, pcb_flags);

    if (!u)
        return NULL;
    u->d.pcb.proto = IPPROTO_UDPLITE;
    u->d.flags |= DG_NO_CHECK;
    u->flags |= UF_NO_CHECK6;
    return u;
}

/* The complement of the sum over the first cov bytes of m, with a pseudo-header of all of it. */
static uint16_t sum(const struct rte_mbuf *m, const struct ipaddr *src, const struct ipaddr *dst,
                    uint32_t cov)
{
    uint64_t s = cksum_add_pseudo(0, src, dst, IPPROTO_UDPLITE, m->pkt_len);

    return (uint16_t)~cksum_fold(cksum_add_mbuf(s, m, 0, cov));
}

int udplite_transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be)
{
    struct flow *fl = &u->d.flow;
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t cov = u->send_cov && u->send_cov < m->pkt_len ? u->send_cov : 0, cov_be = htons(cov), c;

    wire_udp_emit(h, u->d.pcb.local.port_be, dport_be, m->pkt_len - UDP_HDR_LEN);
    if (cov)
        memcpy(h + 4, &cov_be, sizeof cov_be);
    m->l4_len = UDP_HDR_LEN;
    c = sum(m, &fl->src, &fl->dst, cov ? cov : m->pkt_len);
    c = c ? c : 0xffff;
    memcpy(h + 6, &c, sizeof c);
    sh->count[udp_count(COUNT_UDP_OUT, ipaddr_is_v4(&fl->dst), true)]++;
    return ip_output(sh, fl, m);
}

void udplite_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct udp_hdr_in h;
    uint32_t cov;
    uint16_t raw[4];

    if (m->data_len < UDP_HDR_LEN) {
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), true));
        return;
    }
    memcpy(raw, rte_pktmbuf_mtod(m, uint8_t *), sizeof raw);
    h = (struct udp_hdr_in){raw[0], raw[1], (uint16_t)m->pkt_len, raw[3]};
    cov = raw[2] ? ntohs(raw[2]) : m->pkt_len;
    /* Less than the header, more than there is, no checksum: discarded (section 3.1). */
    if (cov < COV_LEAST || cov > m->pkt_len || !h.cksum_be || sum(m, &ri->src, &ri->dst, cov)) {
        sh->count[udp_count(COUNT_UDP_CSUM, ipaddr_is_v4(&ri->dst), true)]++;
        pkt_drop(sh, m, udp_count(COUNT_UDP_ERR, ipaddr_is_v4(&ri->dst), true));
        return;
    }
    udp_pass_up(sh, sh->udplite, m, ri, &h, cov == m->pkt_len ? UDPLITE_ALL : cov);
}
