/* eth.c: Ethernet input: whose frame is it, and which protocol's (eth.h, ip.h).
 */
#include "eth.h"

#include "arp.h"

/* True if the frame is addressed to the interface. Differs: multicast groups are not filtered here; the IP
 * layer drops what nobody joined. */
static inline bool for_us(const struct ifnet *ifn, const struct eth_hdr *eth)
{
    return eth_addr_eq(eth->dst, ifn->mac) || eth_addr_is_multicast(eth->dst) ||
           (ifn->caps & (NETDEV_LOOPBACK | NETDEV_NOARP));
}

enum ip_verdict eth_input(struct shard *sh, unsigned ifindex, struct rte_mbuf **mp, struct rxinfo *ri,
                          struct icmp_error *err)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct rte_mbuf *m = *mp;
    const struct eth_hdr *eth;
    bool l2_multicast;

    if (__builtin_expect(sh->id != 0, 0)) {
        sh->ifc[ifindex].rx_packets++;
        sh->ifc[ifindex].rx_bytes += m->pkt_len;
    } else {
        ifn->rx_packets++;
        ifn->rx_bytes += m->pkt_len;
    }
    if (__builtin_expect(m->data_len < ETH_HDR_LEN, 0) && !pkt_pull(m, ETH_HDR_LEN)) {
        pkt_drop(sh, m, COUNT_ETH_RUNT);
        return IP_DONE;
    }
    eth = rte_pktmbuf_mtod(m, const struct eth_hdr *);
    if (__builtin_expect(!for_us(ifn, eth), 0)) {
        pkt_drop(sh, m, COUNT_ETH_NOT_US);
        return IP_DONE;
    }
    if (__builtin_expect(eth->type_be == htons(ETH_TYPE_IP4), 1)) {
        l2_multicast = eth_addr_is_multicast(eth->dst);
        rte_pktmbuf_adj(m, ETH_HDR_LEN);
        return ip4_input(sh, ifindex, l2_multicast, mp, ri, err);
    }
    if (eth->type_be == htons(ETH_TYPE_IP6) && !sh->st->set.disable_ipv6) {
        l2_multicast = eth_addr_is_multicast(eth->dst);
        rte_pktmbuf_adj(m, ETH_HDR_LEN);
        return ip6_input(sh, ifindex, l2_multicast, mp, ri, err);
    }
    if (eth->type_be == htons(ETH_TYPE_ARP) && !(ifn->caps & (NETDEV_LOOPBACK | NETDEV_NOARP))) {
        pkt_pull(m, RTE_MIN(m->pkt_len, 64u)); /* arp_input finds out if that failed */
        arp_input(sh, ifindex, m);
        return IP_DONE;
    }
    if (eth->type_be == htons(ETH_TYPE_VLAN))
        return IP_VLAN;
    pkt_drop(sh, m, COUNT_ETH_TYPE);
    return IP_DONE;
}
