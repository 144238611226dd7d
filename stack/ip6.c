/* ip6.c: IPv6: input in the order of RFC 8200, output (ip6.h).
 *
 * Fast path. A packet without extension headers, which is nearly every one, is looked at once: version,
 * length, whose it is, whose it may be. Everything else a sender may put before the transport goes through
 * wire_ip6_walk.
 */
#include "ip6.h"
#include "ip_ext.h"
#include "mcast.h"

#include <errno.h>

#include "eth.h"
#include "frag.h"
#include "hash.h"
#include "icmp6.h"
#include "ifnet.h"
#include "ip6_addr.h"
#include "wire_icmp6.h"
#include "wire_ip6.h"

static enum ip_verdict drop(struct shard *sh, struct rte_mbuf *m, enum count why)
{
    pkt_drop(sh, m, why);
    return IP_DONE;
}

/* ---- input ---- */

/* Version and length. COUNT_OK, or why not. Trims the link's padding. */
static enum count check_header(struct rte_mbuf *m)
{
    const struct ip6_head *ip;
    uint32_t total;

    if (m->data_len < IP6_HDR_LEN && !pkt_pull(m, IP6_HDR_LEN))
        return COUNT_IP6_TRUNC;
    ip = rte_pktmbuf_mtod(m, const struct ip6_head *);
    switch (wire_ip6_check((const uint8_t *)ip, m->pkt_len)) {
    case IP6_OK:
        break;
    case IP6_BAD_HEADER:
        return COUNT_IP6_HDR;
    case IP6_BAD_TRUNC:
        return COUNT_IP6_TRUNC;
    }
    total = ntohs(ip->plen_be) + (uint32_t)IP6_HDR_LEN;
    if (m->pkt_len != total)
        pkt_trim_to(m, total);
    return COUNT_OK;
}

/* On loopback a packet between two of our own addresses may be of any link: that which has the address. */
static unsigned zone_of_own(const struct stack *st, const uint8_t wire[16])
{
    for (unsigned i = 1; i < st->nif; i++) {
        struct ipaddr a;

        memcpy(a.b, wire, 16);
        ipaddr_set_zone(&a, i + 1);
        if (ifnet_find_addr(&st->ifn[i], &a))
            return i + 1;
    }
    return IFNET_LOOPBACK + 1;
}

/* Reads an address off the wire and gives it its zone. False: it must not be on the wire: bytes where the
 * zone goes, or an IPv4 address in disguise (RFC 4942 section 2.2). */
static bool read_addr(const struct stack *st, struct ipaddr *a, const uint8_t wire[16], unsigned ifindex)
{
    memcpy(a->b, wire, 16);
    if (ipaddr_needs_zone(a)) {
        if (a->b[2] | a->b[3])
            return false;
        ipaddr_set_zone(a, ifindex == IFNET_LOOPBACK ? zone_of_own(st, wire) : ifindex + 1);
    }
    return !ipaddr_is_v4(a);
}

/* What no packet may have as its source. */
static bool source_is_fine(const struct stack *st, unsigned ifindex, const struct ipaddr *src)
{
    if (ipaddr_is_multicast(src))
        return false;
    if (ifindex == IFNET_LOOPBACK)
        return true;
    return !ipaddr_is_loopback(src) && !ip_is_local(st, src);
}

bool ip6_joined(const struct stack *st, unsigned ifindex, const struct ipaddr *group)
{
    const struct ifnet *ifn = &st->ifn[ifindex];
    struct ipaddr all = ip6_group(1, ifindex);

    if (ipaddr_eq(group, &all))
        return true;
    for (uint32_t i = 0; i < ifn->naddr; i++) {
        struct ipaddr sol;

        if (ipaddr_is_v4(&ifn->addr[i].addr) || ifn->addr[i].state == IFADDR_CONFLICT)
            continue;
        sol = ip6_solicited_node(&ifn->addr[i].addr, ifindex);
        if (ipaddr_eq(group, &sol))
            return true;
    }
    return false;
}

/* Fills in ri->src, dst, bcast. False: not for this host, or not from one. */
static bool addresses_ok(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m,
                         const struct ip6_head *ip, struct rxinfo *ri)
{
    const struct stack *st = sh->st;
    bool looped = m->packet_type == PKT_LOOPED;

    if (!read_addr(st, &ri->src, ip->src, ifindex) || !read_addr(st, &ri->dst, ip->dst, ifindex) ||
        !source_is_fine(st, looped ? IFNET_LOOPBACK : ifindex, &ri->src))
        return false;
    ri->bcast = ipaddr_is_multicast(&ri->dst);
    if (ri->bcast)
        return ip6_joined(st, ifindex, &ri->dst) || mc_takes(sh, ifindex, &ri->dst, &ri->src);
    if (!ip_is_local(st, &ri->dst))
        return ifindex == IFNET_LOOPBACK && (m->packet_type & PKT_ROUTED);
    return ifindex == IFNET_LOOPBACK || !ipaddr_is_loopback(&ri->dst); /* ::1 never crosses a wire */
}

static void fill_rxinfo(struct rxinfo *ri, unsigned ifindex, const struct rte_mbuf *m,
                        const struct ip6_head *ip, const struct ip6_walk *w)
{
    /* As Linux: what comes round by loopback came by the link whose address it is for. */
    ri->ifindex =
        (uint8_t)(ifindex == IFNET_LOOPBACK && ipaddr_zone(&ri->dst) ? ipaddr_zone(&ri->dst) - 1 : ifindex);
    ri->proto = w->proto;
    ri->ttl = ip->hops;
    ri->tos = ip6_tclass(ip);
    ri->l3_len = w->off;
    ri->len = m->pkt_len - w->off;
}

static bool is_extension(uint8_t next)
{
    return next == IP6_NEXT_HOPOPTS || next == IP6_NEXT_ROUTING || next == IP6_NEXT_FRAGMENT ||
           next == IP6_NEXT_DSTOPTS;
}

/* Goes along the extension headers of *mp; a fragment is reassembled, and what comes of it gone along again.
 * True: *w says where the transport is. False: *mp is gone. */
static bool walk(struct shard *sh, unsigned ifindex, struct rte_mbuf **mp, struct rxinfo *ri,
                 struct ip6_walk *w)
{
    for (;;) {
        struct rte_mbuf *m = *mp;
        const struct ip6_head *ip;

        pkt_pull(m, RTE_MIN(m->pkt_len, (uint32_t)(IP6_HDR_LEN + IP6_EXT_BYTES)));
        ip = rte_pktmbuf_mtod(m, const struct ip6_head *);
        switch (wire_ip6_walk((const uint8_t *)ip, m->data_len, false, w)) {
        case IP6_WALK_OK:
            return true;
        case IP6_WALK_FRAGMENT:
            ri->ttl = ip->hops;
            *mp = frag6_input(sh, ifindex, m, ri, w);
            if (!*mp)
                return false;
            /* What a port says about a fragment's checksum is not about the datagram. */
            ri->l4_good = (sh->st->ifn[ifindex].caps & NETDEV_LOOPBACK) != 0;
            continue;
        case IP6_WALK_TRUNC:
            pkt_drop(sh, m, COUNT_IP6_TRUNC);
            return false;
        case IP6_WALK_PARAM:
            fill_rxinfo(ri, ifindex, m, ip, w);
            rte_pktmbuf_adj(m, ri->l3_len);
            icmp6_send(sh, ri, m, ICMP6_T_PARAM, w->code, w->pointer, w->even_multicast);
            break;
        case IP6_WALK_DISCARD:
            break;
        }
        pkt_drop(sh, m, COUNT_IP6_HDR);
        return false;
    }
}

enum ip_verdict ip6_input(struct shard *sh, unsigned ifindex, bool l2_multicast, struct rte_mbuf **mp,
                          struct rxinfo *ri, struct icmp_error *err)
{
    const struct ip6_head *ip;
    struct rte_mbuf *m = *mp;
    struct ip6_walk w;
    enum count bad;

    sh->count[COUNT_IP6_IN]++;
    sh->count[COUNT_IP6_IN_OCTETS] += m->pkt_len;
    bad = check_header(m);
    if (bad != COUNT_OK)
        return drop(sh, m, bad);
    ip = rte_pktmbuf_mtod(m, const struct ip6_head *);
    if (!addresses_ok(sh, ifindex, m, ip, ri) || (l2_multicast && !ri->bcast))
        return drop(sh, m, COUNT_IP6_ADDR);
    ri->l4_good = ip_l4_is_good(sh, ifindex, m);
    ri->fragments = 0;
    ri->frag_max = 0;
    if (__builtin_expect(!is_extension(ip->next), 1)) {
        w = (struct ip6_walk){.proto = ip->next, .off = IP6_HDR_LEN, .next_at = 6};
    } else {
        if (!walk(sh, ifindex, mp, ri, &w))
            return IP_DONE;
        m = *mp;
        ip = rte_pktmbuf_mtod(m, const struct ip6_head *);
    }
    fill_rxinfo(ri, ifindex, m, ip, &w);
    rte_pktmbuf_adj(m, ri->l3_len);
    if (!ip_pull_l4(m, ri->proto))
        return drop(sh, m, COUNT_IP6_TRUNC);
    sh->count[COUNT_IP6_DELIVERED]++;
    if (ri->proto == IP6_NEXT_ICMP)
        return icmp6_input(sh, ifindex, m, ri, err);
    if (ri->proto == IP6_NEXT_NONE) { /* RFC 8200 section 4.7 */
        rte_pktmbuf_free(m);
        return IP_DONE;
    }
    return IP_TRANSPORT;
}

/* ---- output ---- */

uint32_t ip6_label_be(const struct shard *sh, const struct flow *fl, const struct rte_mbuf *m)
{
    int64_t mode = sh->st->set.auto_flowlabels;
    struct endpoint l, r;
    uint16_t ports[2] = {0, 0};

    if ((fl->label_be & FLOW_LABEL_SET) && mode != 3)
        return fl->label_be & htonl(IP6_FLOW_MASK);
    if (mode == 0 || (mode == 1 && (fl->label_be & FLOW_LABEL_NONE)) ||
        (mode == 2 && !(fl->label_be & FLOW_LABEL_AUTO)))
        return 0;
    if ((fl->proto == IPPROTO_TCP || fl->proto == IPPROTO_UDP) && m->data_len >= sizeof ports)
        memcpy(ports, rte_pktmbuf_mtod(m, const void *), sizeof ports);
    l = (struct endpoint){fl->src, ports[0]};
    r = (struct endpoint){fl->dst, ports[1]};
    return htonl(hash_flow(sh->st->secret, &l, &r) & IP6_FLOW_MASK);
}

/* Puts the IPv6 header before m, whose payload is of protocol next. False: no headroom. */
static bool push_header(struct shard *sh, const struct flow *fl, struct rte_mbuf *m)
{
    const struct ifnet *ifn = &sh->st->ifn[fl->ifindex];
    struct ipaddr src = ipaddr_unzoned(&fl->src), dst = ipaddr_unzoned(&fl->dst);
    uint32_t plen = m->pkt_len, label_be;
    struct ip6_head *ip;

    /* Room for both headers: eth_output takes its own for granted. */
    if (__builtin_expect(rte_pktmbuf_headroom(m) < IP6_HDR_LEN + ETH_HDR_LEN, 0))
        return false;
    label_be = ip6_label_be(sh, fl, m);
    ip = (struct ip6_head *)rte_pktmbuf_prepend(m, IP6_HDR_LEN);
    ip->vcf_be = htonl(6u << 28 | (uint32_t)fl->tos << 20) | label_be;
    ip->plen_be = htons((uint16_t)plen);
    ip->next = fl->proto;
    ip->hops = fl->ttl          ? fl->ttl
               : fl->hops       ? fl->hops
               : ifn->hop_limit ? ifn->hop_limit
                                : (uint8_t)sh->st->set.hop_limit;
    memcpy(ip->src, src.b, 16);
    memcpy(ip->dst, dst.b, 16);
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP6_HDR_LEN;
    m->ol_flags |= RTE_MBUF_F_TX_IPV6;
    return true;
}

static void send_frag(struct shard *sh, void *arg, struct rte_mbuf *frag)
{
    frag->l2_len = ETH_HDR_LEN;
    frag->l3_len = IP6_HDR_LEN + IP6_FRAG_LEN;
    frag->ol_flags |= RTE_MBUF_F_TX_IPV6;
    eth_output(sh, arg, frag);
}

/* RFC 8200 section 4.5: the source alone fragments. */
static int output_fragmented(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    int err;

    if (!ip_finish_l4_cksum(fl, m) || !push_header(sh, fl, m)) {
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
        return -ENOBUFS;
    }
    m->ol_flags &= ~RTE_MBUF_F_TX_IPV6;
    err = frag6_output(sh, m, fl->mtu, send_frag, fl->neigh);
    sh->count[err ? COUNT_IP6_FRAG_FAIL : COUNT_IP6_FRAG_OK]++;
    return err;
}

/* A group's members on this host hear what it sends, too (ip6_finish_output2). */
static void loop_back(struct shard *sh, struct flow *fl, const struct rte_mbuf *m)
{
    struct rte_mbuf *copy = ip_group_copy(sh, fl, m);

    if (!copy)
        return;
    if (push_header(sh, fl, copy))
        ip_group_deliver(sh, fl, copy);
    else
        rte_pktmbuf_free(copy);
}

int ip6_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    uint32_t total = m->pkt_len + IP6_HDR_LEN;

    if (__builtin_expect(m->pkt_len > IP6_MAX_PLEN, 0)) {
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
        return -EMSGSIZE;
    }
    sh->count[COUNT_IP6_OUT]++;
    sh->count[COUNT_IP6_OUT_OCTETS] += total;
    if (__builtin_expect((fl->caps & (FLOW_GROUP | FLOW_WITH_EXT)) != 0, 0)) {
        if (fl->caps & FLOW_WITH_EXT) {
            sh->count[COUNT_IP6_OUT]--; /* it comes by here again */
            sh->count[COUNT_IP6_OUT_OCTETS] -= total;
            return ip_ext_output(sh, fl, m);
        }
        if (total <= fl->mtu || !fl->df)
            loop_back(sh, fl, m);
        if (fl->allow_bcast & FLOW_TTL_0) { /* not beyond this host */
            rte_pktmbuf_free(m);
            return 0;
        }
    }
    if (__builtin_expect(total > fl->mtu, 0) && !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
        if (fl->df) {
            pkt_drop(sh, m, COUNT_IP6_FRAG_FAIL);
            return -EMSGSIZE;
        }
        return output_fragmented(sh, fl, m);
    }
    if (__builtin_expect(!push_header(sh, fl, m), 0)) {
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
        return -ENOBUFS;
    }
    eth_output(sh, fl->neigh, m);
    return 0;
}
