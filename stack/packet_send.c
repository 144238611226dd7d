/* packet_send.c: frames that packet sockets send (packet.h; packet_snd of Linux). */
#include <errno.h>
#include <net/ethernet.h>
#include <stddef.h>

#include "packet.h"
#include "shard.h"
#include "user.h"
#include "wire_eth.h"

#define FRAME_MAX 0x1ffff /* more than any interface takes: its MTU decides */

/* Where a frame goes. */
struct target {
    const struct ifnet *ifn;
    uint16_t proto_be;
    bool has_addr;
    uint8_t addr[ETH_ADDR_LEN];
};

/* From msg's name, or from what the socket is bound to. */
static int find_target(const struct shard *sh, const struct packetcb *p, const struct msghdr *msg,
                       struct target *t)
{
    struct sockaddr_ll ll;
    int i = -1;

    t->has_addr = false;
    t->proto_be = p->proto_be;
    if (!msg->msg_name) {
        if (p->bound)
            i = p->d.pcb.ifindex;
    } else {
        if (msg->msg_namelen < sizeof ll)
            return -EINVAL;
        if (!user_copy(&ll, msg->msg_name, sizeof ll))
            return -EFAULT;
        if (msg->msg_namelen < ll.sll_halen + offsetof(struct sockaddr_ll, sll_addr))
            return -EINVAL;
        t->proto_be = ll.sll_protocol;
        i = stack_if_of(sh->st, ll.sll_ifindex);
        memcpy(t->addr, ll.sll_addr, sizeof t->addr);
        t->has_addr = true;
    }
    if (i < 0)
        return -ENXIO;
    t->ifn = &sh->st->ifn[i];
    return t->ifn->up ? 0 : -ENETDOWN;
}

ssize_t packet_send(struct shard *sh, struct packetcb *p, const struct msghdr *msg, int flags)
{
    ssize_t len = dgram_iov_total(msg, FRAME_MAX);
    struct rte_mbuf *m = NULL;
    struct dgram_cursor at = {0};
    struct dgram_tx tx;
    struct target t;
    uint32_t head = p->cooked ? 0 : ETH_HDR_LEN, vlan = 0;
    int err;

    (void)flags;
    if (len < 0)
        return len;
    err = find_target(sh, p, msg, &t);
    dgram_tx_init(&p->d, &tx);
    if (!err)
        err = dgram_ctl_parse(sh, &p->d, msg, true, &tx);
    if (!err && !p->cooked && len < ETH_HDR_LEN)
        err = -EINVAL;
    if (!err && p->cooked && !t.has_addr && !(t.ifn->caps & NETDEV_LOOPBACK))
        err = -EINVAL; /* eth_header: no address to send to */
    if (!err)
        err = dgram_gather(sh, msg, &at, (size_t)len, p->cooked ? ETH_HDR_LEN : 0, &m);
    if (err)
        return err;
    if (p->cooked)
        wire_eth_emit(rte_pktmbuf_mtod(m, uint8_t *), t.addr, t.ifn->mac, ntohs(t.proto_be));
    else if (rte_pktmbuf_mtod(m, struct eth_hdr *)->type_be == htons(ETH_TYPE_VLAN))
        vlan = 4; /* a tag of its own may come on top (packet_extra_vlan_len_allowed) */
    if ((size_t)len > t.ifn->mtu + head + vlan) {
        rte_pktmbuf_free(m);
        return -EMSGSIZE;
    }
    m->l2_len = ETH_HDR_LEN;
    p->tx_proto_be = t.proto_be;
    sh->packet_from = p;
    shard_tx(sh, t.ifn->index, m);
    sh->packet_from = NULL;
    return len;
}
