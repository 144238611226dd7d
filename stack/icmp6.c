/* icmp6.c: ICMPv6 (icmp6.h). */
#include "icmp6.h"

#include "cksum.h"
#include "icmp.h"
#include "ifnet.h"
#include "mld.h"
#include "ip6_addr.h"
#include "nd.h"
#include "pkt.h"
#include "wire_icmp6.h"
#include "wire_ip6.h"

#define QUOTE_L4_BYTES 8
#define QUOTE_PULL     (ICMP6_HDR_LEN + IP6_HDR_LEN + IP6_EXT_BYTES)

/* ---- output ---- */

void icmp6_checksum(struct rte_mbuf *m, const struct ipaddr *src, const struct ipaddr *dst)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t sum;

    memset(p + 2, 0, 2);
    sum = ip_l4_cksum(m, src, dst, IP6_NEXT_ICMP, m->pkt_len);
    memcpy(p + 2, &sum, 2);
}

/* Sends the message (m at its ICMPv6 header) from src, which may be any, to dst. Takes ownership. */
static void transmit(struct shard *sh, const struct ipaddr *src, const struct ipaddr *dst, uint8_t tclass,
                     struct rte_mbuf *m)
{
    struct flow fl = {.src = *src, .dst = *dst, .proto = IP6_NEXT_ICMP, .tos = tclass};

    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    m->l4_len = 0;
    if (flow_resolve(sh, &fl)) {
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
        return;
    }
    icmp6_checksum(m, &fl.src, &fl.dst); /* no port computes ICMPv6's */
    sh->count[COUNT_ICMP6_OUT]++;
    icmp6_count_type(sh, COUNT_ICMP6_OUT_DESTUNREACHS, rte_pktmbuf_mtod(m, const uint8_t *)[0]);
    ip_output(sh, &fl, m);
}

/* RFC 4443 section 2.4 (e): what no error message may be about. m at the transport header. */
static bool may_report(const struct rxinfo *ri, const struct rte_mbuf *m, bool even_multicast)
{
    uint8_t type;

    if ((ri->bcast && !even_multicast) || ipaddr_is_any(&ri->src) || ipaddr_is_multicast(&ri->src))
        return false;
    if (ri->proto == IP6_NEXT_ICMP)
        return pkt_read(m, 0, 1, &type) && !icmp6_type_is_error(type) && type != ICMP6_T_REDIRECT;
    return true;
}

void icmp6_send(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type, uint8_t code,
                uint32_t rest, bool even_multicast)
{
    uint32_t room = IP6_MIN_MTU - IP6_HDR_LEN - ICMP6_HDR_LEN, head = RTE_MIN((uint32_t)ri->l3_len, room);
    uint32_t quote = RTE_MIN(ri->len, room - head);
    struct rte_mbuf *e;

    if (!may_report(ri, m, even_multicast))
        return;
    if (!ip_is_local(sh->st, &ri->src) && !icmp_take_token(sh)) {
        sh->count[COUNT_ICMP6_RATELIMIT]++;
        return;
    }
    e = icmp_about(sh, ri, m, type, code, rest, head, quote);
    if (!e)
        return;
    /* RFC 4443 section 2.2: from the address that the packet was for, if that is one of a host's. */
    transmit(sh, ri->bcast ? &IPADDR_ANY : &ri->dst, &ri->src, 0, e);
}

/* The offset of the field that names the protocol in m's headers, which stand before it. */
static uint32_t next_header_at(const struct rxinfo *ri, struct rte_mbuf *m)
{
    struct ip6_walk w;

    if (wire_ip6_walk(rte_pktmbuf_mtod(m, const uint8_t *) - ri->l3_len, ri->l3_len + m->data_len, true,
                      &w) != IP6_WALK_OK)
        return 6;
    return w.next_at;
}

void icmp6_send_like(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                     uint8_t code)
{
    if (type == ICMP_T_UNREACH && code == ICMP_C_PORT)
        icmp6_send(sh, ri, m, ICMP6_T_UNREACH, ICMP6_C_PORT, 0, false);
    else if (type == ICMP_T_UNREACH && code == ICMP_C_PROTO) /* RFC 8200 section 4 */
        icmp6_send(sh, ri, m, ICMP6_T_PARAM, ICMP6_C_NEXT, next_header_at(ri, m), false);
    else if (type == ICMP_T_UNREACH)
        icmp6_send(sh, ri, m, ICMP6_T_UNREACH, code == ICMP_C_NET ? ICMP6_C_NO_ROUTE : ICMP6_C_ADDR, 0,
                   false);
    else if (type == ICMP_T_TIME_EXCEEDED)
        icmp6_send(sh, ri, m, ICMP6_T_TIME_EXCEEDED, code, 0, false);
}

/* ---- input ---- */

/* RFC 4443 section 4.2. A request to a multicast group is answered from an address of the interface. */
static void echo_reply(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    /* What others may still read (loopback frames share the sender's buffers) is not overwritten. */
    if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(m, sh->pool, 0, UINT32_MAX);

        rte_pktmbuf_free(m);
        if (!copy) {
            sh->count[COUNT_NOMEM_PKT]++;
            return;
        }
        m = copy;
    }
    *rte_pktmbuf_mtod(m, uint8_t *) = ICMP6_T_ECHO_REPLY;
    transmit(sh, ri->bcast ? &IPADDR_ANY : &ri->dst, &ri->src, ri->tos, m);
}

/* An address in a quoted packet. */
static bool quoted_addr(struct ipaddr *a, const uint8_t wire[16], unsigned ifindex)
{
    memcpy(a->b, wire, 16);
    if (ipaddr_needs_zone(a) && (a->b[2] | a->b[3]))
        return false;
    ipaddr_set_zone(a, ifindex + 1);
    return !ipaddr_is_v4(a);
}

/* Reads the quoted packet, which must be one of ours, into *err. m at the ICMPv6 header. */
static bool read_quote(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri, struct icmp_error *err)
{
    const uint8_t *msg, *p, *l4;
    unsigned zone_if = ri->ifindex;
    struct ip6_walk w;
    uint32_t avail;

    pkt_pull(m, RTE_MIN(m->pkt_len, (uint32_t)QUOTE_PULL));
    msg = rte_pktmbuf_mtod(m, const uint8_t *);
    p = msg + ICMP6_HDR_LEN;
    if (m->data_len < ICMP6_HDR_LEN + IP6_HDR_LEN || p[0] >> 4 != 6)
        return false;
    avail = m->data_len - ICMP6_HDR_LEN;
    if (wire_ip6_walk(p, avail, true, &w) != IP6_WALK_OK || (uint32_t)w.off + QUOTE_L4_BYTES > avail)
        return false;
    /* A later fragment's first bytes are no transport header. */
    if (p[6] == IP6_NEXT_FRAGMENT) {
        uint16_t off_be;

        memcpy(&off_be, p + IP6_HDR_LEN + 2, 2);
        if (off_be & htons(IP6_FRAG_OFFMASK))
            return false;
    }
    memset(err, 0, sizeof *err);
    /* Our own report (neigh.h) comes by loopback and is about another link. */
    if (ri->ifindex == IFNET_LOOPBACK && ipaddr_zone(&ri->src))
        zone_if = ipaddr_zone(&ri->src) - 1;
    if (!quoted_addr(&err->src, ((const struct ip6_head *)p)->src, zone_if) ||
        !quoted_addr(&err->dst, ((const struct ip6_head *)p)->dst, zone_if) ||
        !ip_is_local(sh->st, &err->src))
        return false;
    l4 = p + w.off;
    err->from = ri->src;
    err->to = ri->dst;
    err->ttl = ri->ttl;
    err->tos = ri->tos;
    err->ifindex = ri->ifindex;
    err->proto = w.proto;
    err->type = msg[0];
    err->code = msg[1];
    memcpy(&err->info, msg + 4, 4);
    err->info = ntohl(err->info);
    memcpy(&err->sport_be, l4, 2);
    memcpy(&err->dport_be, l4 + 2, 2);
    memcpy(&err->seq, l4 + 4, 4);
    err->seq = ntohl(err->seq);
    err->data = p;
    err->data_len = avail;
    return true;
}

static enum ip_verdict error_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri,
                                   struct icmp_error *err)
{
    struct icmp_errno what;

    if (!read_quote(sh, m, ri, err)) {
        pkt_drop(sh, m, COUNT_ICMP6_ERR);
        return IP_DONE;
    }
    what = wire_icmp6_errno(err->type, err->code);
    err->err = what.err;
    err->fatal = what.fatal;
    if (err->type == ICMP6_T_TOO_BIG) {
        err->too_big = 1;
        err->mtu = err->info;
    }
    return IP_ICMP_ERROR;
}

enum ip_verdict icmp6_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                            struct icmp_error *err)
{
    uint8_t type;

    sh->count[COUNT_ICMP6_IN]++;
    if (m->pkt_len < ICMP6_HDR_LEN || !pkt_pull(m, ICMP6_HDR_LEN)) {
        pkt_drop(sh, m, COUNT_ICMP6_ERR);
        return IP_DONE;
    }
    /* What a port verified is a TCP or UDP checksum. */
    if (ip_l4_cksum(m, &ri->src, &ri->dst, IP6_NEXT_ICMP, m->pkt_len) != 0) {
        pkt_drop(sh, m, COUNT_ICMP6_CSUM);
        return IP_DONE;
    }
    ip_copy_icmp(sh, m, ri);
    type = *rte_pktmbuf_mtod(m, const uint8_t *);
    icmp6_count_type(sh, COUNT_ICMP6_IN_DESTUNREACHS, type);
    switch (type) {
    case ICMP6_T_ECHO:
        echo_reply(sh, m, ri);
        return IP_DONE;
    case ICMP6_T_UNREACH:
    case ICMP6_T_TOO_BIG:
    case ICMP6_T_TIME_EXCEEDED:
    case ICMP6_T_PARAM:
        return error_input(sh, m, ri, err);
    case ICMP6_T_MLD_QUERY:
    case ICMP6_T_MLD_REPORT:
        mld_input(sh, m, ri);
        break;
    case ICMP6_T_RS:
    case ICMP6_T_RA:
    case ICMP6_T_NS:
    case ICMP6_T_NA:
    case ICMP6_T_REDIRECT:
        nd_input(sh, ifindex, m, ri);
        return IP_DONE;
    default: /* echo replies, unknown ones (RFC 4443 section 2.4 (b)) */
        break;
    }
    rte_pktmbuf_free(m);
    return IP_DONE;
}
