/* igmp.c: IGMP messages in and out (igmp.h). */
#include "igmp.h"

#include "cksum.h"
#include "eth.h"
#include "ifnet.h"
#include "mcast.h"
#include "neigh.h"
#include "pkt.h"
#include "wire_igmp.h"
#include "wire_ip4.h"

#define PROTO_IGMP 2
#define TOS_IGMP   0xc0 /* RFC 3376 section 4: precedence of internetwork control */
#define IP_LEN     24   /* header with router alert */

#define ALL_ROUTERS    0xe0000002u /* 224.0.0.2 */
#define ALL_V3_ROUTERS 0xe0000016u /* 224.0.0.22 */

void igmp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct igmp_in in;
    struct mc_query q;
    struct ipaddr group;

    if (!pkt_pull(m, RTE_MIN(m->pkt_len, 1400u)) ||
        cksum_fold(cksum_add_mbuf(0, m, 0, m->pkt_len)) != 0xffff ||
        wire_igmp_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &in))
        return;
    group = in.group_be ? ipaddr_v4(in.group_be) : IPADDR_ANY;
    if (in.type == IGMP_T_REPORT_V1 || in.type == IGMP_T_REPORT_V2) {
        mc_heard_report(sh, ri->ifindex, &group);
        return;
    }
    if (in.type != IGMP_T_QUERY)
        return;
    q = (struct mc_query){
        .group = group,
        .max_delay_ms = in.max_delay_ms,
        .interval_s = in.interval_s,
        .v4 = 1,
        .version = in.version,
        .robustness = in.robustness,
        .nsrc = in.nsrc,
        .src = in.src,
    };
    mc_heard_query(sh, ri->ifindex, &q);
}

/* Puts the IP header in front of m and sends it to dst on that link: TTL 1, router alert (RFC 2113). */
static void transmit(struct shard *sh, unsigned ifindex, uint32_t dst_be, struct rte_mbuf *m)
{
    struct ipaddr dst = ipaddr_v4(dst_be);
    const struct ifaddr *src = ifnet_source(&sh->st->ifn[ifindex], &dst);
    struct neigh *n = neigh_get(sh, ifindex, &dst);
    static const uint8_t router_alert[4] = {IP4_OPT_RA, 4, 0, 0};
    struct ip4_hdr *ip;

    if (!n) {
        rte_pktmbuf_free(m);
        return;
    }
    ip = (struct ip4_hdr *)rte_pktmbuf_prepend(m, IP_LEN);
    if (!ip) {
        rte_pktmbuf_free(m);
        return;
    }
    memset(ip, 0, sizeof *ip);
    ip->ver_ihl = 0x40 | IP_LEN / 4;
    ip->tos = TOS_IGMP;
    ip->len_be = htons((uint16_t)m->pkt_len);
    ip->off_be = htons(IP4_DF);
    ip->ttl = 1;
    ip->proto = PROTO_IGMP;
    ip->src_be = src && ipaddr_is_v4(&src->addr) ? ipaddr_get_v4(&src->addr) : 0;
    ip->dst_be = dst_be;
    memcpy(ip + 1, router_alert, sizeof router_alert);
    ip->cksum = cksum(ip, IP_LEN);
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP_LEN;
    m->l4_len = 0;
    sh->count[COUNT_IP_OUT]++;
    eth_output(sh, n, m);
}

void igmp_send_report(struct shard *sh, unsigned ifindex, const uint8_t *records, uint32_t len, uint16_t n)
{
    struct rte_mbuf *m = pkt_alloc(sh);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(IGMP_HDR_LEN + len)) : NULL;
    uint16_t sum;

    if (!p) {
        rte_pktmbuf_free(m);
        return;
    }
    wire_igmp_emit_v3(p, n);
    memcpy(p + IGMP_HDR_LEN, records, len);
    sum = cksum(p, IGMP_HDR_LEN + len);
    memcpy(p + 2, &sum, sizeof sum);
    transmit(sh, ifindex, htonl(ALL_V3_ROUTERS), m);
}

void igmp_send_old(struct shard *sh, unsigned ifindex, int version, const struct ipaddr *group, bool leave)
{
    struct rte_mbuf *m = pkt_alloc(sh);
    uint8_t type = leave ? IGMP_T_LEAVE : version == 1 ? IGMP_T_REPORT_V1 : IGMP_T_REPORT_V2;

    if (!m)
        return;
    wire_igmp_emit((uint8_t *)rte_pktmbuf_append(m, IGMP_HDR_LEN), type, ipaddr_get_v4(group));
    transmit(sh, ifindex, leave ? htonl(ALL_ROUTERS) : ipaddr_get_v4(group), m);
}
