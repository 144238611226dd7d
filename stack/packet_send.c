/* packet_send.c: frames that packet sockets send (packet.h; packet_snd of Linux), one a call or those that
 * wait in a ring (tpacket_snd). */
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

/* What is asked for by msg, for one frame or for a ring's. */
static int prepare(struct shard *sh, struct packetcb *p, const struct msghdr *msg, struct target *t)
{
    struct dgram_tx tx;
    int err = find_target(sh, p, msg, t);

    dgram_tx_init(sh, &p->d, &tx);
    return err ? err : dgram_ctl_parse(sh, &p->d, msg, true, &tx);
}

/* One frame of len bytes from msg's buffers. 0 or -errno. */
static int send_one(struct shard *sh, struct packetcb *p, const struct msghdr *msg, size_t len,
                    const struct target *t)
{
    uint32_t head = p->cooked ? 0 : ETH_HDR_LEN, vlan = 0;
    struct dgram_cursor at = {0};
    struct rte_mbuf *m = NULL;
    int err;

    if (!p->cooked && len < ETH_HDR_LEN)
        return -EINVAL;
    if (p->cooked && !t->has_addr && !(t->ifn->caps & NETDEV_LOOPBACK))
        return -EINVAL; /* eth_header: no address to send to */
    err = dgram_gather(sh, msg, &at, len, p->cooked ? ETH_HDR_LEN : 0, &m);
    if (err)
        return err;
    if (p->cooked)
        wire_eth_emit(rte_pktmbuf_mtod(m, uint8_t *), t->addr, t->ifn->mac, ntohs(t->proto_be));
    else if (rte_pktmbuf_mtod(m, struct eth_hdr *)->type_be == htons(ETH_TYPE_VLAN))
        vlan = 4; /* a tag of its own may come on top (packet_extra_vlan_len_allowed) */
    if (len > t->ifn->mtu + head + vlan) {
        rte_pktmbuf_free(m);
        return -EMSGSIZE;
    }
    m->l2_len = ETH_HDR_LEN;
    p->tx_proto_be = t->proto_be;
    sh->packet_from = p;
    m->packet_type = PKT_UNSUMMED;
    shard_tx(sh, t->ifn->index, m);
    sh->packet_from = NULL;
    return 0;
}

/* What waits in the ring; bytes. A frame that can't be sent ends it and says so in its status, unless
 * PACKET_LOSS has such frames passed over. */
static ssize_t send_ring(struct shard *sh, struct packetcb *p, const struct msghdr *msg)
{
    uint32_t len = 0, max;
    ssize_t sum = 0;
    struct target t;
    int err = prepare(sh, p, msg, &t);

    if (err)
        return err;
    max = t.ifn->mtu + (p->cooked ? 0 : ETH_HDR_LEN) + 4; /* the tag of a VLAN */
    for (uint32_t i = 0; i < p->rings->tx.frames; i++) {
        uint8_t *data = NULL, *frame = packet_ring_to_send(p, max, &data, &len, &err);
        struct iovec iov = {data, len};
        struct msghdr one = {.msg_iov = &iov, .msg_iovlen = 1};

        if (!frame)
            break;
        if (!err)
            err = send_one(sh, p, &one, len, &t);
        if (err && !p->rings->loss) {
            packet_ring_sent(p, frame, TP_STATUS_WRONG_FORMAT, false);
            return err;
        }
        packet_ring_sent(p, frame, TP_STATUS_AVAILABLE, true);
        sum += err ? 0 : len;
    }
    return sum;
}

ssize_t packet_send(struct shard *sh, struct packetcb *p, const struct msghdr *msg, int flags)
{
    ssize_t len;
    struct target t;
    int err;

    (void)flags;
    if (p->rings && p->rings->tx.mem)
        return send_ring(sh, p, msg);
    len = dgram_iov_total(msg, FRAME_MAX);
    if (len < 0)
        return len;
    err = prepare(sh, p, msg, &t);
    if (!err)
        err = send_one(sh, p, msg, (size_t)len, &t);
    return err ? err : len;
}
