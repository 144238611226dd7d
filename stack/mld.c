/* mld.c: MLD messages in and out (mld.h). */
#include "mld.h"

#include "cksum.h"
#include "eth.h"
#include "ifnet.h"
#include "mcast.h"
#include "neigh.h"
#include "pkt.h"
#include "wire_igmp.h"

#define IP6_LEN     40
#define HBH_LEN     8  /* hop-by-hop options: router alert (RFC 2711) and padding */
#define MLD1_LEN    24 /* message of MLDv1 */
#define MLD2_QUERY  28 /* least length of an MLDv2 query */
#define MLD2_REPORT 8

static bool link_local(const struct ipaddr *a)
{
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* The maximum response code of RFC 3810 section 5.1.3, ms. */
static uint32_t max_delay(uint16_t code)
{
    return code < 0x8000 ? code : (uint32_t)((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
}

void mld_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct mc_query q = {.max_delay_ms = 0};
    const uint8_t *p;
    struct ipaddr group;

    if (ri->ttl != 1 || !link_local(&ri->src) || m->pkt_len < MLD1_LEN ||
        !pkt_pull(m, RTE_MIN(m->pkt_len, 1400u)))
        return;
    p = rte_pktmbuf_mtod(m, const uint8_t *);
    memcpy(group.b, p + 8, 16);
    if (ipaddr_is_multicast(&group))
        ipaddr_set_zone(&group, ri->ifindex + 1u);
    if (p[0] == MLD_T_REPORT_V1) {
        mc_heard_report(sh, ri->ifindex, &group);
        return;
    }
    if (p[0] != MLD_T_QUERY)
        return;
    q.group = group;
    q.max_delay_ms = (uint32_t)(p[4] << 8 | p[5]);
    q.version = 2;
    if (m->data_len >= MLD2_QUERY) {
        q.version = 3;
        q.max_delay_ms = max_delay((uint16_t)(p[4] << 8 | p[5]));
        q.robustness = p[24] & 7;
        q.interval_s = wire_igmp_code(p[25]);
        q.nsrc = (uint16_t)(p[26] << 8 | p[27]);
        q.src = p + MLD2_QUERY;
        if ((m->data_len - MLD2_QUERY) / 16u < q.nsrc)
            return;
    }
    mc_heard_query(sh, ri->ifindex, &q);
}

/* The link-local address of the interface, or any: what a report may come from (RFC 3810 section 5.2.13). */
static struct ipaddr source_of(const struct ifnet *ifn)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ifn->addr[i].state == IFADDR_VALID && link_local(&ifn->addr[i].addr))
            return ipaddr_unzoned(&ifn->addr[i].addr);
    return IPADDR_ANY;
}

/* Checksum, hop-by-hop and IPv6 headers; to dst on that link. m at the ICMPv6 header. */
static void transmit(struct shard *sh, unsigned ifindex, const struct ipaddr *dst, struct rte_mbuf *m)
{
    static const uint8_t hbh[HBH_LEN] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
    struct ipaddr src = source_of(&sh->st->ifn[ifindex]), to = *dst;
    struct neigh *n;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t sum, len = (uint16_t)(m->pkt_len + HBH_LEN);

    ipaddr_set_zone(&to, ifindex + 1);
    n = neigh_get(sh, ifindex, &to);
    to = ipaddr_unzoned(&to);
    if (!n) {
        rte_pktmbuf_free(m);
        return;
    }
    sum = ip_l4_cksum(m, &src, &to, IPPROTO_ICMPV6, m->pkt_len);
    memcpy(p + 2, &sum, sizeof sum);
    p = (uint8_t *)rte_pktmbuf_prepend(m, IP6_LEN + HBH_LEN);
    if (!p) {
        rte_pktmbuf_free(m);
        return;
    }
    memset(p, 0, IP6_LEN);
    p[0] = 0x60;
    p[4] = (uint8_t)(len >> 8);
    p[5] = (uint8_t)len;
    p[7] = 1; /* hop limit */
    memcpy(p + 8, src.b, 16);
    memcpy(p + 24, to.b, 16);
    memcpy(p + IP6_LEN, hbh, HBH_LEN);
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP6_LEN + HBH_LEN;
    m->l4_len = 0;
    eth_output(sh, n, m);
}

/* A message of len bytes with its type, zero else. NULL: no memory. */
static struct rte_mbuf *message(struct shard *sh, uint8_t type, uint32_t len, uint8_t **p)
{
    struct rte_mbuf *m = pkt_alloc(sh);

    *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len) : NULL;
    if (!*p) {
        rte_pktmbuf_free(m);
        return NULL;
    }
    memset(*p, 0, len);
    **p = type;
    return m;
}

void mld_send_report(struct shard *sh, unsigned ifindex, const uint8_t *records, uint32_t len, uint16_t n)
{
    static const struct ipaddr routers = {.b = {0xff, 2, [15] = 0x16}};
    uint8_t *p;
    struct rte_mbuf *m = message(sh, MLD_T_REPORT_V2, MLD2_REPORT + len, &p);

    if (!m)
        return;
    p[6] = (uint8_t)(n >> 8);
    p[7] = (uint8_t)n;
    memcpy(p + MLD2_REPORT, records, len);
    transmit(sh, ifindex, &routers, m);
}

void mld_send_old(struct shard *sh, unsigned ifindex, const struct ipaddr *group, bool leave)
{
    static const struct ipaddr routers = {.b = {0xff, 2, [15] = 2}};
    uint8_t *p;
    struct ipaddr plain;
    struct rte_mbuf *m = message(sh, leave ? MLD_T_DONE_V1 : MLD_T_REPORT_V1, MLD1_LEN, &p);

    if (!m)
        return;
    plain = ipaddr_unzoned(group);
    memcpy(p + 8, plain.b, 16);
    transmit(sh, ifindex, leave ? &routers : group, m);
}
