/* ip4.c: IPv4: input checks in the order of RFC 1122 section 3.2.1, output (of IPv6 too, as far as the fork
 * in the road).
 *
 * Fast paths. Input of a plain packet for the interface's first address is a chain of compares on the first
 * cache line of the frame. Output of a flow whose gen still holds fills in 20 bytes of header and 14 of
 * Ethernet and queues the frame; no table is looked up.
 */
#include "ip.h"

#include <errno.h>

#include "cksum.h"
#include "eth.h"
#include "frag.h"
#include "icmp.h"
#include "ifnet.h"
#include "ip6.h"
#include "ip_ext.h"
#include "mark.h"
#include "mcast.h"
#include "wire_icmp.h"
#include "wire_ip4.h"
#include "wire_ip6.h"
#include "wire_tcp.h"
#include "wire_udp.h"

#define IP_MAX_BYTES 65535 /* of a whole packet */

/* ---- input ---- */

/* RFC 1122 section 3.2.1.3: what no packet from outside may have as its source. 0.0.0.0 is for hosts that
 * don't know theirs yet and talk to all (DHCP). */
static bool source_is_martian(const struct stack *st, unsigned ifindex, const struct ip4_hdr *ip, bool looped)
{
    uint32_t src = ntohl(ip->src_be);
    struct ipaddr a;

    if (src >> 28 >= 0xe)
        return true;
    if (ifindex == IFNET_LOOPBACK || looped)
        return false;
    a = ipaddr_v4(ip->src_be);
    if (src >> 24 == 127 || ip_is_local(st, &a))
        return true;
    if (src == 0)
        return ip->dst_be != INADDR_BROADCAST;
    return ip_is_broadcast(st, &a);
}

/* The same for the usual stack, one link with one address, without a loop. */
static inline bool source_is_fine(const struct stack *st, unsigned ifindex, const struct rte_mbuf *m,
                                  const struct ip4_hdr *ip)
{
    const struct ifnet *ifn = &st->ifn[ifindex];
    uint32_t top = ntohl(ip->src_be) >> 24;

    if (st->nif == 2 && ifindex == 1 && ifn->n4 == 1 && top != 0 && top != 127 && top < 0xe0 &&
        ip->src_be != ifn->addr4_be && ip->src_be != ifn->bcast4_be)
        return true;
    return !source_is_martian(st, ifindex, ip, m->packet_type == PKT_LOOPED);
}

/* Fills in ri->dst and ri->bcast. False: not for this host (which does not forward, RFC 1122 section 3.3.1).
 */
static bool dst_is_us(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m,
                      const struct ip4_hdr *ip, struct rxinfo *ri)
{
    const struct stack *st = sh->st;
    const struct ifnet *ifn = &st->ifn[ifindex];

    ri->dst = ipaddr_v4(ip->dst_be);
    ri->bcast = 0;
    if (__builtin_expect(ifn->addr4_be == ip->dst_be && ip->dst_be != 0, 1))
        return true;
    if (ip_is_local(st, &ri->dst)) {
        ri->bcast = ip_is_broadcast(st, &ri->dst); /* lo's own */
        /* 127/8 never crosses a wire. */
        return ifindex == IFNET_LOOPBACK || !ipaddr_is_loopback(&ri->dst);
    }
    ri->bcast = 1;
    if (ipaddr_is_multicast(&ri->dst)) {
        struct ipaddr src = ipaddr_v4(ip->src_be);

        return ip->proto == IPPROTO_IGMP || mc_takes(sh, ifindex, &ri->dst, &src);
    }
    if (ip_is_broadcast(st, &ri->dst))
        return true;
    ri->bcast = 0;
    return ifindex == IFNET_LOOPBACK && (m->packet_type & PKT_ROUTED);
}

static bool header_cksum_ok(const struct rte_mbuf *m, const struct ip4_hdr *ip)
{
    uint64_t state = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

    if (__builtin_expect(state == RTE_MBUF_F_RX_IP_CKSUM_GOOD || state == RTE_MBUF_F_RX_IP_CKSUM_NONE, 1))
        return true;
    return state == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN && cksum(ip, ip4_hlen(ip)) == 0;
}

/* Version, lengths and checksum. COUNT_OK, or why not. Trims the link's padding. */
static enum count check_header(struct rte_mbuf *m)
{
    const struct ip4_hdr *ip;
    uint32_t total;

    if (__builtin_expect(m->data_len < IP4_HDR_LEN, 0) && !pkt_pull(m, IP4_HDR_LEN))
        return COUNT_IP_TRUNC;
    ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
    switch (wire_ip4_check((const uint8_t *)ip, m->pkt_len)) {
    case IP4_OK:
        break;
    case IP4_BAD_HEADER:
        return COUNT_IP_HDR;
    case IP4_BAD_TRUNC:
        return COUNT_IP_TRUNC;
    }
    if (__builtin_expect(ip4_hlen(ip) > m->data_len, 0) && !pkt_pull(m, ip4_hlen(ip)))
        return COUNT_IP_TRUNC;
    if (!header_cksum_ok(m, ip))
        return COUNT_IP_CSUM;
    total = ntohs(ip->len_be);
    if (m->pkt_len != total)
        pkt_trim_to(m, total);
    return COUNT_OK;
}

/* The transport header must be contiguous for who reads it. Frames that come as chains have it so as a rule:
 * this is for those that don't. */
bool ip_pull_l4(struct rte_mbuf *m, uint8_t proto)
{
    uint32_t need = proto == IPPROTO_TCP ? TCP_HDR_LEN : UDP_HDR_LEN;
    const uint8_t *p;

    if (m->nb_segs == 1)
        return true; /* shorter than a header or not: the transport's to find out */
    if (!pkt_pull(m, RTE_MIN(need, m->pkt_len)))
        return false;
    p = rte_pktmbuf_mtod(m, const uint8_t *);
    if (proto != IPPROTO_TCP || m->pkt_len < TCP_HDR_LEN)
        return true;
    return pkt_pull(m, RTE_MIN((uint32_t)(p[12] >> 4) * 4, m->pkt_len));
}

bool ip_l4_is_good(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m)
{
    uint64_t state = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

    return state == RTE_MBUF_F_RX_L4_CKSUM_GOOD || state == RTE_MBUF_F_RX_L4_CKSUM_NONE ||
           ((sh->st->ifn[ifindex].caps & NETDEV_LOOPBACK) && !(m->packet_type & PKT_UNSUMMED));
}

static enum ip_verdict drop(struct shard *sh, struct rte_mbuf *m, enum count why)
{
    pkt_drop(sh, m, why);
    return IP_DONE;
}

/* Options are parsed so that malformed ones are found out (RFC 1122 section 3.2.2.5: their sender is told);
 * those that ask routers for something mean nothing at the end of the way. A source route is refused: it is
 * an attacker's tool, and Linux refuses it too (accept_source_route 0). m at its transport header. */
static bool options_ok(struct shard *sh, struct rte_mbuf *m, const struct ip4_hdr *ip,
                       const struct rxinfo *ri)
{
    uint8_t at = 0;

    switch (wire_ip4_opts((const uint8_t *)ip, ri->l3_len, &at)) {
    case IP4_OPTS_OK:
        return true;
    case IP4_OPTS_BAD:
        icmp_send(sh, ri, m, ICMP_T_PARAM, 0, (uint32_t)at << 24);
        return false;
    case IP4_OPTS_SOURCE_ROUTE:
        break;
    }
    return false;
}

static inline void fill_rxinfo(struct rxinfo *ri, unsigned ifindex, const struct rte_mbuf *m,
                               const struct ip4_hdr *ip)
{
    ri->src = ipaddr_v4(ip->src_be);
    ri->ifindex = (uint8_t)ifindex;
    ri->proto = ip->proto;
    ri->ttl = ip->ttl;
    ri->tos = ip->tos;
    ri->l3_len = (uint16_t)ip4_hlen(ip);
    ri->len = m->pkt_len - ri->l3_len;
}

enum ip_verdict ip4_input(struct shard *sh, unsigned ifindex, bool l2_multicast, struct rte_mbuf **mp,
                          struct rxinfo *ri, struct icmp_error *err)
{
    struct rte_mbuf *m = *mp;
    const struct ip4_hdr *ip;
    uint16_t frag_max = 0;
    enum count bad;

    sh->count[COUNT_IP_IN]++;
    sh->count[COUNT_IP_IN_OCTETS] += m->pkt_len;
    bad = check_header(m);
    if (__builtin_expect(bad != COUNT_OK, 0))
        return drop(sh, m, bad);
    ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
    sh->count[COUNT_IP_IN_NOECT + (ip->tos & 3)]++;
    if (!dst_is_us(sh, ifindex, m, ip, ri))
        return drop(sh, m, ipaddr_is_multicast(&ri->dst) ? COUNT_IP_NOT_MEMBER : COUNT_IP_ADDR);
    if (!source_is_fine(sh->st, ifindex, m, ip))
        return drop(sh, m, COUNT_IP_ADDR);
    /* RFC 1122 section 3.3.6: a link-layer broadcast with a unicast IP destination is discarded. */
    if (__builtin_expect(l2_multicast, 0) && !ri->bcast)
        return drop(sh, m, COUNT_IP_ADDR);
    ri->l4_good = ip_l4_is_good(sh, ifindex, m);
    if (__builtin_expect((ip->off_be & htons(IP4_MF | IP4_OFFSET_MASK)) != 0, 0)) {
        m = *mp = frag_input(sh, ifindex, m);
        if (!m)
            return IP_DONE;
        frag_max = pkt_meta(m)->aux;
        ip = rte_pktmbuf_mtod(m, const struct ip4_hdr *);
        /* What a port says about a fragment's checksum is not about the datagram. */
        ri->l4_good = (sh->st->ifn[ifindex].caps & NETDEV_LOOPBACK) != 0;
    }
    fill_rxinfo(ri, ifindex, m, ip);
    ri->frag_max = frag_max;
    rte_pktmbuf_adj(m, ri->l3_len);
    if (__builtin_expect(ri->l3_len > IP4_HDR_LEN, 0) && !options_ok(sh, m, ip, ri))
        return drop(sh, m, COUNT_IP_HDR);
    if (!ip_pull_l4(m, ri->proto))
        return drop(sh, m, COUNT_IP_TRUNC);
    sh->count[COUNT_IP_DELIVERED]++;
    if (__builtin_expect(ri->proto == IPPROTO_ICMP, 0)) {
        ip_copy_icmp(sh, m, ri);
        return icmp_input(sh, ifindex, m, ri, err);
    }
    return IP_TRANSPORT;
}

/* ---- output ---- */

static void send_frag(struct shard *sh, void *arg, struct rte_mbuf *frag)
{
    frag->l2_len = ETH_HDR_LEN;
    frag->l3_len = ip4_hlen(rte_pktmbuf_mtod(frag, const struct ip4_hdr *));
    frag->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    eth_output(sh, arg, frag);
}

bool ip_finish_l4_cksum(const struct flow *fl, struct rte_mbuf *m)
{
    uint64_t kind = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    unsigned at = kind == RTE_MBUF_F_TX_UDP_CKSUM ? 6 : 16;
    uint16_t sum;

    if (kind == RTE_MBUF_F_TX_L4_NO_CKSUM)
        return true;
    if (m->data_len < at + 2)
        return false;
    sum = ip_l4_cksum(m, &fl->src, &fl->dst, fl->proto, m->pkt_len);
    if (sum == 0 && kind == RTE_MBUF_F_TX_UDP_CKSUM)
        sum = 0xffff; /* RFC 768: zero means "none" */
    memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, at), &sum, sizeof sum);
    m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    return true;
}

/* Puts the IP header before m. False: no headroom. */
static bool push_header(struct shard *sh, const struct flow *fl, struct rte_mbuf *m, bool may_fragment)
{
    uint32_t src_be = ipaddr_get_v4(&fl->src), dst_be = ipaddr_get_v4(&fl->dst);
    struct ip4_hdr *ip;

    /* Room for both headers: eth_output takes its own for granted. */
    if (__builtin_expect(rte_pktmbuf_headroom(m) < IP4_HDR_LEN + ETH_HDR_LEN, 0))
        return false;
    ip = (struct ip4_hdr *)rte_pktmbuf_prepend(m, IP4_HDR_LEN);
    ip->ver_ihl = 0x45;
    ip->tos = fl->tos;
    ip->len_be = htons((uint16_t)m->pkt_len);
    /* RFC 6864 section 4.1: an atomic datagram's identification means nothing. A large TCP segment is cut
     * later, into atomic datagrams too. */
    ip->id_be = may_fragment ? frag_ident_be(sh, src_be, dst_be, fl->proto) : 0;
    ip->off_be = may_fragment ? 0 : htons(IP4_DF);
    ip->ttl = fl->ttl ? fl->ttl : fl->hops ? fl->hops : (uint8_t)sh->st->set.ip_default_ttl;
    ip->proto = fl->proto;
    ip->cksum = 0;
    ip->src_be = src_be;
    ip->dst_be = dst_be;
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP4_HDR_LEN;
    m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    return true;
}

struct rte_mbuf *ip_group_copy(struct shard *sh, const struct flow *fl, const struct rte_mbuf *m)
{
    bool mc = ipaddr_is_multicast(&fl->dst);

    if (fl->ifindex == IFNET_LOOPBACK ||
        (mc && ((fl->allow_bcast & FLOW_NO_LOOP) || !mc_member(sh, fl->ifindex, &fl->dst))))
        return NULL;
    return rte_pktmbuf_copy(m, sh->pool, 0, UINT32_MAX);
}

void ip_group_deliver(struct shard *sh, const struct flow *fl, struct rte_mbuf *copy)
{
    struct eth_hdr *eth = (struct eth_hdr *)rte_pktmbuf_prepend(copy, ETH_HDR_LEN);

    memset(eth, 0xff, sizeof *eth);
    eth->type_be = htons(ipaddr_is_v4(&fl->dst) ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
    shard_loop(sh, fl->ifindex, copy);
}

/* The copy with its header, NULL: nobody here hears it. */
static struct rte_mbuf *loop_copy(struct shard *sh, const struct flow *fl, const struct rte_mbuf *m)
{
    struct rte_mbuf *copy = ip_group_copy(sh, fl, m);

    if (copy && !push_header(sh, fl, copy, false)) {
        rte_pktmbuf_free(copy);
        return NULL;
    }
    return copy;
}

static void loop_back(struct shard *sh, const struct flow *fl, const struct rte_mbuf *m)
{
    struct rte_mbuf *copy = loop_copy(sh, fl, m);

    if (copy)
        ip_group_deliver(sh, fl, copy);
}

/* The header is one of opts_len bytes of options more, which stand behind it already. */
static void lengthen_header(struct rte_mbuf *m, uint32_t opts_len)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod(m, struct ip4_hdr *);

    ip->ver_ihl = (uint8_t)(ip->ver_ihl + opts_len / 4);
    m->l3_len = ip4_hlen(ip);
}

static int output_fragmented(struct shard *sh, struct flow *fl, struct rte_mbuf *m, uint32_t opts_len)
{
    int err;

    if (!ip_finish_l4_cksum(fl, m) || !push_header(sh, fl, m, true)) {
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return -ENOBUFS;
    }
    if (opts_len)
        lengthen_header(m, opts_len);
    m->ol_flags &= ~(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
    err = frag_output(sh, m, fl->mtu, send_frag, fl->neigh);
    sh->count[err ? COUNT_IP_FRAG_FAIL : COUNT_IP_FRAG_OK]++;
    return err;
}

int ip4_output_opts(struct shard *sh, struct flow *fl, struct rte_mbuf *m, uint32_t opts_len)
{
    uint32_t total = m->pkt_len + IP4_HDR_LEN;
    struct rte_mbuf *copy;
    bool fits = total <= fl->mtu;

    if (total > IP_MAX_BYTES || (!fits && fl->df)) {
        pkt_drop(sh, m, fits ? COUNT_IP_OUT_DISCARD : COUNT_IP_FRAG_FAIL);
        return -EMSGSIZE;
    }
    if (fl->caps & FLOW_GROUP) {
        copy = loop_copy(sh, fl, m);
        if (copy) {
            lengthen_header(copy, opts_len);
            ip_group_deliver(sh, fl, copy);
        }
        if (fl->allow_bcast & FLOW_TTL_0) {
            rte_pktmbuf_free(m);
            return 0;
        }
    }
    if (!fits)
        return output_fragmented(sh, fl, m, opts_len);
    if (!push_header(sh, fl, m, !fl->df)) {
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return -ENOBUFS;
    }
    lengthen_header(m, opts_len);
    eth_output(sh, fl->neigh, m);
    return 0;
}

int ip_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    uint32_t total = m->pkt_len + IP4_HDR_LEN;
    int err;

    MARK(IP_OUT);
    err = flow_resolve(sh, fl);
    if (__builtin_expect(err != 0, 0)) {
        pkt_drop(sh, m, ipaddr_is_v4(&fl->dst) ? COUNT_IP_OUT_DISCARD : COUNT_IP6_OUT_DISCARD);
        return err;
    }
    if (__builtin_expect(!ipaddr_is_v4(&fl->dst), 0))
        return ip6_output(sh, fl, m);
    if (__builtin_expect(total > IP_MAX_BYTES, 0)) {
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return -EMSGSIZE;
    }
    sh->count[COUNT_IP_OUT]++;
    sh->count[COUNT_IP_OUT_OCTETS] += total;
    if (__builtin_expect((fl->caps & (FLOW_GROUP | FLOW_WITH_EXT)) != 0, 0)) {
        if (fl->caps & FLOW_WITH_EXT)
            return ip_ext_output(sh, fl, m);
        if (total <= fl->mtu || !fl->df)
            loop_back(sh, fl, m);
        if (fl->allow_bcast & FLOW_TTL_0) { /* not beyond this host */
            rte_pktmbuf_free(m);
            return 0;
        }
    }
    if (__builtin_expect(total > fl->mtu, 0) && !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
        if (fl->df) {
            pkt_drop(sh, m, COUNT_IP_FRAG_FAIL);
            return -EMSGSIZE;
        }
        return output_fragmented(sh, fl, m, 0);
    }
    if (__builtin_expect(!push_header(sh, fl, m, !fl->df), 0)) {
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return -ENOBUFS;
    }
    eth_output(sh, fl->neigh, m);
    return 0;
}

/* rawv6_send_hdrinc: nothing is filled in. */
static int output_hdrincl6(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    int err = m->pkt_len > fl->mtu ? -EMSGSIZE : m->data_len < IP6_HDR_LEN ? -EINVAL : 0;

    if (!err && rte_pktmbuf_headroom(m) < ETH_HDR_LEN)
        err = -ENOBUFS;
    if (err) {
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
        return err;
    }
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP6_HDR_LEN;
    m->packet_type = PKT_ROUTED | PKT_UNSUMMED;
    sh->count[COUNT_IP6_OUT]++;
    sh->count[COUNT_IP6_OUT_OCTETS] += m->pkt_len;
    eth_output(sh, fl->neigh, m);
    return 0;
}

int ip_output_hdrincl(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod(m, struct ip4_hdr *);
    int err = flow_resolve(sh, fl);

    if (!err && !ipaddr_is_v4(&fl->dst))
        return output_hdrincl6(sh, fl, m);
    if (!err && m->pkt_len > fl->mtu)
        err = -EMSGSIZE;
    /* raw_send_hdrinc: no header, or one that says that it is longer than the packet */
    if (!err && (m->data_len < IP4_HDR_LEN || ip4_hlen(ip) < IP4_HDR_LEN || ip4_hlen(ip) > m->data_len))
        err = -EINVAL;
    if (!err && rte_pktmbuf_headroom(m) < ETH_HDR_LEN)
        err = -ENOBUFS;
    if (err) {
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return err;
    }
    if (!ip->src_be)
        ip->src_be = ipaddr_get_v4(&fl->src);
    if (!ip->id_be)
        ip->id_be = frag_ident_be(sh, ip->src_be, ip->dst_be, ip->proto);
    ip->len_be = htons((uint16_t)m->pkt_len);
    ip->cksum = 0;
    ip->cksum = cksum(ip, ip4_hlen(ip));
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = ip4_hlen(ip);
    m->packet_type = PKT_ROUTED | PKT_UNSUMMED;
    sh->count[COUNT_IP_OUT]++;
    sh->count[COUNT_IP_OUT_OCTETS] += m->pkt_len;
    eth_output(sh, fl->neigh, m);
    return 0;
}
