/* packet.c: packet sockets: taps, receiving, names, options (packet.h; Linux: net/packet/af_packet.c).
 * Sending: packet_send.c. */
#include "packet.h"

#include <errno.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stddef.h>

#include "capture.h"
#include "cksum.h"
#include "filter.h"
#include "msg.h"
#include "packet_table.h"
#include "stamp.h"
#include "user.h"
#include "wire_eth.h"
#include "wire_ip4.h"

#define ETH_P_802_2_MIN 0x600 /* smaller: a length, not a type (IEEE 802.3) */

int packet_init(struct shard *sh, uint32_t max_pcb)
{
    struct seg *seg = sh->st->seg;
    struct packet_table *t = seg_alloc(seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    list_init(&t->all);
    list_init(&t->groups);
    sh->packet = t;
    if (slab_init(&t->pcbs, seg, sizeof(struct packetcb), max_pcb) ||
        slab_init(&t->rings, seg, sizeof(struct packet_rings), max_pcb) ||
        slab_init(&t->fanouts, seg, sizeof(struct packet_fanout), FANOUT_GROUPS))
        return -ENOMEM;
    return region_init(&t->region, seg, PACKET_RINGS_BYTES);
}

struct packetcb *packet_open(struct shard *sh, bool cooked, uint16_t proto_be, bool undecided)
{
    struct packetcb *p = slab_alloc(&sh->packet->pcbs);

    if (!p) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &p->d);
    p->d.pcb.shard = (uint8_t)sh->id;
    p->in_use = 1;
    p->cooked = cooked;
    p->proto_be = proto_be;
    p->closed = undecided;
    list_add_tail(&sh->packet->all, &p->d.pcb.hash);
    sh->npacket++;
    return p;
}

void packet_decided(struct packetcb *p)
{
    p->closed = 0;
}

void packet_close(struct shard *sh, struct packetcb *p)
{
    packet_fanout_leave(sh, p);
    packet_ring_close(sh, p);
    list_del(&p->d.pcb.hash);
    sh->npacket--;
    dgram_close(sh, &p->d);
    filter_put(sh, p->d.pcb.filter);
    list_del(&p->d.pcb.dirty);
    p->in_use = 0;
    list_step();
    slab_free(&sh->packet->pcbs, p);
}

/* ---- what is seen ---- */

/* A frame as sockets are told of it. */
struct seen {
    unsigned ifindex;
    uint16_t proto_be;
    uint8_t type; /* PACKET_HOST ... */
    bool out;
};

/* eth_type_trans: the protocol, and for whom the frame is. */
static bool look(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m, bool out, struct seen *s)
{
    const struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct eth_hdr eth;
    uint16_t type;

    if (!pkt_read(m, 0, sizeof eth, &eth))
        return false;
    type = ntohs(eth.type_be);
    s->ifindex = ifindex;
    s->out = out;
    s->proto_be = type >= ETH_P_802_2_MIN ? eth.type_be : htons(ETH_P_802_2);
    if (out && sh->packet_from && sh->packet_from->tx_proto_be &&
        sh->packet_from->tx_proto_be != htons(ETH_P_ALL))
        s->proto_be = sh->packet_from->tx_proto_be; /* packet_snd believes the address */
    if (out)
        s->type = PACKET_OUTGOING;
    else if (eth_addr_is_multicast(eth.dst))
        s->type = eth_addr_eq(eth.dst, (const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
                      ? PACKET_BROADCAST
                      : PACKET_MULTICAST;
    else if (eth_addr_eq(eth.dst, ifn->mac) || (ifn->caps & NETDEV_LOOPBACK))
        s->type = PACKET_HOST;
    else
        s->type = PACKET_OTHERHOST;
    return true;
}

static bool wants(const struct packetcb *p, const struct seen *s)
{
    if (p->closed || !p->proto_be || (p->bound && p->d.pcb.ifindex != s->ifindex))
        return false;
    if (p->proto_be == htons(ETH_P_ALL))
        return !s->out || !p->ignore_outgoing;
    return !s->out && p->proto_be == s->proto_be;
}

static uint16_t hatype(const struct shard *sh, unsigned ifindex)
{
    return sh->st->ifn[ifindex].caps & NETDEV_LOOPBACK ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
}

static uint32_t skip_of(const struct packetcb *p)
{
    return p->cooked ? ETH_HDR_LEN : 0;
}

/* The frame as programs of p's see it. */
static struct filter_pkt as_filtered(const struct shard *sh, const struct packetcb *p,
                                     const struct rte_mbuf *m, const struct seen *s)
{
    int32_t skip = (int32_t)skip_of(p);

    return (struct filter_pkt){.m = m,
                               .data = skip,
                               .net = ETH_HDR_LEN - skip,
                               .mac = -skip,
                               .proto = ntohs(s->proto_be),
                               .hatype = hatype(sh, s->ifindex),
                               .type = s->type,
                               .ifindex = (uint32_t)stack_if_shown(sh->st, s->ifindex)};
}

/* Bytes of the frame that p is to get, counted from what it reads on; 0: its filter refuses. */
static uint32_t snap_len(struct shard *sh, const struct packetcb *p, const struct rte_mbuf *m,
                         const struct seen *s)
{
    uint32_t len = m->pkt_len - skip_of(p), keep = len;

    if (p->d.pcb.filter) {
        struct filter_pkt f = as_filtered(sh, p, m, s);

        keep = filter_run(sh, p->d.pcb.filter, &f);
    }
    return keep < len ? keep : len;
}

/* How a frame lies in the queue, in its pkt_meta: seq: protocol; aux: enum below; flags: interface; retrans:
 * type; len: length before it was cut; user: the source address itself; stamp_ns. */
enum { QUEUED_SUM_OPEN = 1, QUEUED_SUM_GOOD = 2 };

static uint16_t sum_state(const struct rte_mbuf *m, const struct seen *s)
{
    if (s->out)
        return m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG) ? QUEUED_SUM_OPEN : 0;
    return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? QUEUED_SUM_GOOD : 0;
}

/* The IP header's sum is left to the port; who reads what is sent sees it done, as from Linux. */
static void finish_ip_cksum(struct rte_mbuf *c, const struct rte_mbuf *m, uint32_t skip)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod_offset(c, struct ip4_hdr *, ETH_HDR_LEN - skip);

    if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) && c->data_len >= ETH_HDR_LEN - skip + IP4_HDR_LEN &&
        c->data_len >= ETH_HDR_LEN - skip + ip4_hlen(ip))
        ip->cksum = cksum(ip, ip4_hlen(ip));
}

static void queue(struct shard *sh, struct packetcb *p, const struct rte_mbuf *m, const struct seen *s,
                  uint32_t keep)
{
    uint32_t skip = skip_of(p);
    struct pkt_meta *meta;
    struct rte_mbuf *c;

    if (p->d.rcv_mem >= p->d.rcvbuf || !(c = rte_pktmbuf_copy(m, sh->pool, skip, keep))) {
        p->drops++;
        return;
    }
    if (s->out)
        finish_ip_cksum(c, m, skip);
    meta = pkt_meta(c);
    memset(meta, 0, sizeof *meta);
    meta->seq = s->proto_be;
    meta->aux = sum_state(m, s);
    meta->flags = (uint8_t)s->ifindex;
    meta->retrans = s->type;
    meta->len = m->pkt_len - skip;
    meta->stamp_ns = stamp_now_ns(sh);
    meta->truesize = dgram_truesize(c);
    pkt_read(m, ETH_ADDR_LEN, ETH_ADDR_LEN, &meta->user); /* the sender's address */
    if (p->d.rcv_tail)
        pkt_meta(p->d.rcv_tail)->link = c;
    else
        p->d.rcv_head = c;
    p->d.rcv_tail = c;
    p->d.rcv_mem += meta->truesize;
    pcb_event(sh, &p->d.pcb, EV_IN);
}

static struct sockaddr_ll name_of(const struct shard *sh, unsigned ifindex, uint16_t proto_be, uint8_t type)
{
    return (struct sockaddr_ll){.sll_family = AF_PACKET,
                                .sll_protocol = proto_be,
                                .sll_ifindex = stack_if_shown(sh->st, ifindex),
                                .sll_hatype = hatype(sh, ifindex),
                                .sll_pkttype = type,
                                .sll_halen = ETH_ADDR_LEN};
}

/* Into p's ring. True: what is cut there is to be queued whole, too. */
static bool to_ring(struct shard *sh, struct packetcb *p, const struct rte_mbuf *m, const struct seen *s,
                    uint32_t keep)
{
    struct ring_frame f = {.m = m,
                           .skip = skip_of(p),
                           .len = m->pkt_len - skip_of(p),
                           .keep = keep,
                           .net = ETH_HDR_LEN - skip_of(p),
                           .stamp_ns = stamp_now_ns(sh),
                           .from = name_of(sh, s->ifindex, s->proto_be, s->type)};
    uint16_t sum = sum_state(m, s);
    enum ring_verdict v;

    if (!f.stamp_ns)
        f.stamp_ns = sh->now_ns;
    if (sum & QUEUED_SUM_OPEN)
        f.status = TP_STATUS_CSUMNOTREADY;
    else if (sum & QUEUED_SUM_GOOD)
        f.status = TP_STATUS_CSUM_VALID;
    pkt_read(m, ETH_ADDR_LEN, ETH_ADDR_LEN, f.from.sll_addr);
    v = packet_ring_put(sh, p, &f, p->d.rcv_mem < p->d.rcvbuf);
    if (v == RING_FULL)
        p->drops++;
    return v == RING_COPY;
}

/* The frame to p, whose filter lets it in. */
static void give(struct shard *sh, struct packetcb *p, const struct rte_mbuf *m, const struct seen *s)
{
    uint32_t keep = snap_len(sh, p, m, s);

    if (!keep)
        return;
    p->packets++;
    if (!p->rings || !p->rings->rx.mem || to_ring(sh, p, m, s, keep))
        queue(sh, p, m, s, keep);
}

void packet_tap(struct shard *sh, unsigned ifindex, const struct rte_mbuf *m, bool out)
{
    struct seen s;

    if (sh->cap)
        capture_frame(sh, ifindex, m, out);
    if (!look(sh, ifindex, m, out, &s))
        return;
    list_for_each(n, &sh->packet->all)
    {
        struct packetcb *p = (struct packetcb *)container_of(n, struct pcb, hash);
        if (!wants(p, &s) || (out && p == sh->packet_from))
            continue;
        if (p->fanout) {
            struct filter_pkt f = as_filtered(sh, p, m, &s);

            if (p != p->fanout->member[0] || (out && sh->packet_from && sh->packet_from->fanout == p->fanout))
                continue;
            p = packet_fanout_pick(sh, p, &f);
        }
        give(sh, p, m, &s);
    }
}

/* ---- receiving ---- */

static bool put_name(const struct shard *sh, struct msghdr *msg, const struct pkt_meta *meta)
{
    struct sockaddr_ll ll = name_of(sh, meta->flags, (uint16_t)meta->seq, meta->retrans);

    if (!msg->msg_name)
        return true;
    memcpy(ll.sll_addr, &meta->user, ETH_ADDR_LEN);
    if (!user_copy(msg->msg_name, &ll, RTE_MIN(msg->msg_namelen, (socklen_t)sizeof ll)))
        return false;
    msg->msg_namelen = sizeof ll;
    return true;
}

static void put_ctl(struct shard *sh, const struct packetcb *p, struct msghdr *msg, const struct rte_mbuf *m,
                    const struct pkt_meta *meta)
{
    struct tpacket_auxdata aux = {.tp_status = TP_STATUS_USER,
                                  .tp_len = meta->len,
                                  .tp_snaplen = m->pkt_len,
                                  .tp_net = p->cooked ? 0 : ETH_HDR_LEN};
    size_t used = 0;

    if (meta->aux & QUEUED_SUM_OPEN)
        aux.tp_status |= TP_STATUS_CSUMNOTREADY;
    if (meta->aux & QUEUED_SUM_GOOD)
        aux.tp_status |= TP_STATUS_CSUM_VALID;
    if (p->d.flags & DG_STAMP)
        stamp_put_rx(sh, &p->d.stamp, msg, &used, meta->stamp_ns);
    if (p->auxdata)
        msg_put_ctl(msg, &used, SOL_PACKET, PACKET_AUXDATA, &aux, sizeof aux);
    msg->msg_controllen = used;
}

static void dequeue(struct packetcb *p)
{
    struct rte_mbuf *m = p->d.rcv_head;

    p->d.rcv_head = pkt_meta(m)->link;
    if (!p->d.rcv_head)
        p->d.rcv_tail = NULL;
    p->d.rcv_mem -= pkt_meta(m)->truesize;
    rte_pktmbuf_free(m);
}

ssize_t packet_recv(struct shard *sh, struct packetcb *p, struct msghdr *msg, int flags)
{
    struct rte_mbuf *m = p->d.rcv_head;
    int err = dgram_take_error(&p->d);
    ssize_t got, len;

    if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_ERRQUEUE | MSG_CMSG_CLOEXEC | MSG_NOSIGNAL))
        return -EINVAL;
    if (err || !m)
        return err ? err : -EAGAIN;
    msg->msg_flags = 0;
    len = m->pkt_len;
    got = msg_scatter(m, 0, msg);
    if (got >= 0 && !put_name(sh, msg, pkt_meta(m)))
        got = -EFAULT;
    if (got >= 0)
        put_ctl(sh, p, msg, m, pkt_meta(m));
    if (got >= 0 && got < len)
        msg->msg_flags |= MSG_TRUNC;
    if (!(flags & MSG_PEEK))
        dequeue(p);
    return got >= 0 && (flags & MSG_TRUNC) ? len : got;
}

unsigned packet_poll(const struct packetcb *p)
{
    unsigned r = POLLOUT | POLLWRNORM | POLLWRBAND;

    if (p->d.rcv_head || packet_ring_readable(p))
        r |= POLLIN | POLLRDNORM;
    if (p->d.pcb.so_error)
        r |= POLLERR;
    return r;
}

/* ---- names ---- */

int packet_bind(struct shard *sh, struct packetcb *p, const struct sockaddr_ll *sa, socklen_t len)
{
    int i;

    if (len < sizeof *sa || sa->sll_family != AF_PACKET)
        return -EINVAL;
    i = stack_if_of(sh->st, sa->sll_ifindex);
    if (sa->sll_ifindex && i < 0)
        return -ENODEV;
    if (p->fanout)
        return -EINVAL; /* packet_do_bind */
    p->bound = sa->sll_ifindex != 0;
    p->d.pcb.ifindex = p->bound ? (uint8_t)i : 0;
    if (sa->sll_protocol) /* 0: it stays (packet_do_bind) */
        p->proto_be = sa->sll_protocol;
    return 0;
}

int packet_getname(const struct shard *sh, const struct packetcb *p, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = p->proto_be};
    socklen_t room, full = offsetof(struct sockaddr_ll, sll_addr);

    if (!user_copy(&room, len, sizeof room))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    if (p->bound) {
        ll.sll_ifindex = stack_if_shown(sh->st, p->d.pcb.ifindex);
        ll.sll_hatype = hatype(sh, p->d.pcb.ifindex);
        ll.sll_halen = ETH_ADDR_LEN;
        memcpy(ll.sll_addr, sh->st->ifn[p->d.pcb.ifindex].mac, ETH_ADDR_LEN);
        full += ETH_ADDR_LEN;
    }
    return user_copy(sa, &ll, room < full ? room : full) && user_copy(len, &full, sizeof full) ? 0 : -EFAULT;
}

/* ---- options ---- */

/* PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP. Every port delivers what it receives, whoever it is for:
 * what is asked for is so already, and is kept to be given back. */
static int set_membership(struct shard *sh, struct packetcb *p, bool add, const void *val, uint32_t len)
{
    struct packet_mreq mr;
    int i;

    if (len < sizeof mr)
        return -EINVAL;
    memcpy(&mr, val, sizeof mr);
    i = stack_if_of(sh->st, mr.mr_ifindex);
    if (add && i < 0)
        return -ENODEV;
    if (mr.mr_alen > (add ? ETH_ADDR_LEN : sizeof mr.mr_address))
        return -EINVAL;
    for (uint32_t k = 0; k < p->nmreq; k++) {
        if (p->mreq[k].ifindex != i || p->mreq[k].type != mr.mr_type || p->mreq[k].alen != mr.mr_alen ||
            memcmp(p->mreq[k].addr, mr.mr_address, mr.mr_alen) != 0)
            continue;
        if (!add) {
            p->nmreq--;
            memmove(&p->mreq[k], &p->mreq[k + 1], (p->nmreq - k) * sizeof p->mreq[0]);
        }
        return 0;
    }
    if (!add)
        return 0; /* packet_mc_drop says nothing either */
    if (p->nmreq == PACKET_MREQ_MAX)
        return -ENOBUFS;
    p->mreq[p->nmreq].ifindex = (uint8_t)i;
    p->mreq[p->nmreq].type = mr.mr_type;
    p->mreq[p->nmreq].alen = (uint8_t)mr.mr_alen;
    memcpy(p->mreq[p->nmreq++].addr, mr.mr_address, mr.mr_alen);
    return 0;
}

static uint8_t *bool_of(struct packetcb *p, int name)
{
    switch (name) {
    case PACKET_AUXDATA:
        return &p->auxdata;
    case PACKET_ORIGDEV:
        return &p->origdev;
    case PACKET_IGNORE_OUTGOING:
        return &p->ignore_outgoing;
    default:
        return NULL;
    }
}

int packet_setopt(struct shard *sh, struct packetcb *p, int level, int name, const void *val, uint32_t len)
{
    uint8_t *b;
    int v;

    if (level != SOL_PACKET)
        return level == SOL_SOCKET ? dgram_setopt(sh, &p->d, level, name, val, len) : -ENOPROTOOPT;
    if (name == PACKET_ADD_MEMBERSHIP || name == PACKET_DROP_MEMBERSHIP)
        return set_membership(sh, p, name == PACKET_ADD_MEMBERSHIP, val, len);
    v = packet_ring_setopt(sh, p, name, val, len);
    if (v == 1)
        v = packet_fanout_setopt(sh, p, name, val, len, false);
    if (v != 1)
        return v;
    b = bool_of(p, name);
    if (!b && name != PACKET_QDISC_BYPASS) /* nothing is queued above the port */
        return -ENOPROTOOPT;
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (name == PACKET_IGNORE_OUTGOING && (v < 0 || v > 1))
        return -EINVAL;
    if (b)
        *b = !!v;
    return 0;
}

static int put(const void *from, uint32_t size, void *val, uint32_t *len)
{
    if (*len > size)
        *len = size;
    memcpy(val, from, *len);
    return 0;
}

/* Since last asked (packet_getsockopt); packets counts those that were dropped, too. */
static int get_stats(struct packetcb *p, void *val, uint32_t *len)
{
    struct tpacket_stats_v3 st = {.tp_packets = p->packets, .tp_drops = p->drops};
    bool v3 = p->rings && p->rings->version == TPACKET_V3;

    p->packets = p->drops = 0;
    if (v3) {
        st.tp_freeze_q_cnt = p->rings->b.freezes;
        p->rings->b.freezes = 0;
    }
    return put(&st, v3 ? sizeof st : sizeof(struct tpacket_stats), val, len);
}

int packet_getopt(struct shard *sh, struct packetcb *p, int level, int name, void *val, uint32_t *len)
{
    const uint8_t *b;
    int v;

    if (level != SOL_PACKET)
        return level == SOL_SOCKET ? dgram_getopt(sh, &p->d, level, name, val, len) : -ENOPROTOOPT;
    if (name == PACKET_STATISTICS)
        return get_stats(p, val, len);
    v = packet_ring_getopt(p, name, val, len);
    if (v == 1)
        v = packet_fanout_getopt(p, name, val, len);
    if (v != 1)
        return v;
    b = bool_of(p, name);
    if (!b)
        return -ENOPROTOOPT;
    v = *b;
    return put(&v, sizeof v, val, len);
}

static bool is_live(const void *obj)
{
    return ((const struct packetcb *)obj)->in_use;
}

void packet_mend(struct shard *sh)
{
    struct slab *s = &sh->packet->pcbs;

    sh->packet_from = NULL;
    list_repair(&sh->packet->all);
    slab_mend(s, is_live);
    sh->npacket = s->in_use + (sh->cap != NULL);
    packet_ring_mend(sh);
    packet_fanout_mend(sh);
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct packetcb *p = slab_at(s, i);

        if (!is_live(p))
            continue;
        if (&p->d.pcb == sh->work)
            list_settle(&sh->packet->all, &p->d.pcb.hash);
        dgram_mend(sh, &p->d);
        if (!p->d.pcb.user)
            packet_close(sh, p);
    }
}
