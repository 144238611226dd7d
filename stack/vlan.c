/* vlan.c: 802.1Q tags and the interfaces they stand for (vlan.h). */
#include "vlan.h"

#include <errno.h>
#include <stdio.h>

#include "ifnet.h"
#include "pkt.h"
#include "wire_eth.h"

#define ETH_TYPE_QINQ 0x88a8 /* 802.1ad: a service provider's tag */

/* Behind the two addresses: type 0x8100, then priority and id. */
struct tag {
    uint16_t type_be, tci_be;
} __attribute__((packed));
#define TAG_AT      (2 * ETH_ADDR_LEN)
#define TAGGED_LEN  (ETH_HDR_LEN + VLAN_TAG_LEN)
#define TCI_ID_MASK 0xfff

static int find(const struct stack *st, unsigned parent, unsigned id)
{
    for (unsigned i = 1; i < st->nif; i++)
        if (st->ifn[i].vlan_id == id && st->ifn[i].vlan_parent == parent)
            return (int)i;
    return -1;
}

int vlan_add(struct stack *st, unsigned parent, unsigned id)
{
    struct netdev dev = {0};
    const struct ifnet *p;
    int i;

    if (id < 1 || id > VLAN_ID_MAX || parent >= st->nif)
        return -EINVAL;
    p = &st->ifn[parent];
    if (p->vlan_id || (p->caps & (NETDEV_LOOPBACK | NETDEV_NOARP)))
        return -EINVAL;
    if (find(st, parent, id) >= 0)
        return -EEXIST;
    dev.caps = p->caps & ~(uint32_t)NETDEV_TSO; /* not every port cuts behind a tag */
    dev.mtu = p->mtu;
    memcpy(dev.mac, p->mac, sizeof dev.mac);
    snprintf(dev.name, sizeof dev.name, "%.10s.%u", p->name, id);
    i = stack_add_if(st, &dev);
    if (i < 0)
        return i;
    st->ifn[i].vlan_id = (uint16_t)id;
    st->ifn[i].tx_odd = 1;
    st->ifn[i].vlan_parent = (uint8_t)parent;
    return i;
}

enum count vlan_untag(struct stack *st, unsigned *ifindex, struct rte_mbuf *m)
{
    uint16_t inner_be;
    struct tag tag;
    uint8_t *p;
    int i = (int)*ifindex;

    if (!pkt_pull(m, TAGGED_LEN))
        return COUNT_ETH_RUNT;
    p = rte_pktmbuf_mtod(m, uint8_t *);
    memcpy(&tag, p + TAG_AT, sizeof tag);
    memcpy(&inner_be, p + TAG_AT + VLAN_TAG_LEN, sizeof inner_be);
    if (inner_be == htons(ETH_TYPE_VLAN) || inner_be == htons(ETH_TYPE_QINQ))
        return COUNT_ETH_QINQ;
    if (ntohs(tag.tci_be) & TCI_ID_MASK)
        i = find(st, *ifindex, ntohs(tag.tci_be) & TCI_ID_MASK);
    if (i < 0)
        return COUNT_ETH_VLAN;
    memmove(p + VLAN_TAG_LEN, p, TAG_AT);
    rte_pktmbuf_adj(m, VLAN_TAG_LEN);
    *ifindex = (unsigned)i;
    return COUNT_OK;
}

bool vlan_tag(const struct ifnet *ifn, struct rte_mbuf *m)
{
    struct tag tag = {htons(ETH_TYPE_VLAN), htons(ifn->vlan_id)};
    uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, VLAN_TAG_LEN);

    if (!p)
        return false;
    memmove(p, p + VLAN_TAG_LEN, TAG_AT);
    memcpy(p + TAG_AT, &tag, sizeof tag);
    m->l2_len += VLAN_TAG_LEN;
    return true;
}
