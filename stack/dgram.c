/* dgram.c: the receive queue of the datagram protocols: taking a packet in, reading one, readiness
 * (dgram.h). */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "dgram_mc.h"
#include "errq.h"
#include "ifnet.h"
#include "msg.h"
#include "user.h"
#include "wire_ip4.h"

/* Linux (x86-64): struct sk_buff; its buffer, of the least size; headers, headroom and shared info in it. A
 * datagram of up to 168 bytes is charged 832, one of 1472 bytes 2304, as measured there (SO_MEMINFO). */
#define TRUESIZE_PACKET   256
#define TRUESIZE_LEAST    576
#define TRUESIZE_OVERHEAD 364
#define LOOPBACK_LINEAR   16064 /* SKB_MAX_ALLOC, x86-64 */
#define LOOPBACK_ROOM4    31    /* the link's header and its alignment (__ip_append_data) */
#define LOOPBACK_ROOM6    24    /* and a fragment header (__ip6_append_data) */
#define LOOPBACK_OVERHEAD 320   /* struct skb_shared_info */

#define IP6_HDR_LEN 40

/* How a packet lies in the queue, in its pkt_meta: off: back to the IP header; seq: both ports; len: drops at
 * its arrival; flags: interface; retrans: enum queued; aux: bytes of each datagram but the last when several
 * are in one (UDP_GRO), else 0; time_us: its poll; delivered: bytes of
 * the longest fragment. */
enum queued { QUEUED_BCAST = 1u << 0 };

#define COALESCED_MAX 65507 /* bytes of one read */

void dgram_init(struct shard *sh, struct dgram *d)
{
    list_init(&d->pcb.hash);
    list_init(&d->pcb.port_node);
    list_init(&d->pcb.dirty);
    d->rcvbuf = (uint32_t)sh->st->set.rmem_default;
    d->sndbuf = (uint32_t)sh->st->set.wmem_default;
    d->pmtudisc = d->pmtudisc6 = IP_PMTUDISC_WANT;
    d->mc_ttl = 1;
    d->mc_hops6 = 1;
    d->hops6 = -1;
    d->tclass6 = 0;
    d->peek_off = -1;
    d->flags = DG_MC_LOOP | DG_MC_LOOP6 | DG_MC_ALL | DG_MC_ALL6;
}

/* n bytes as kmalloc gives them. */
static uint32_t kmalloc_size(uint32_t n)
{
    uint32_t size = TRUESIZE_LEAST;

    if (n <= size)
        return size;
    for (size = 1024; size < n;)
        size *= 2;
    return size;
}

/* A packet longer than one of our buffers, whose IP header stands back bytes before it, that came over
 * loopback, whose MTU takes any: Linux has it in one piece, up to SKB_MAX_ALLOC, or beyond that in pages. */
static uint32_t loopback_truesize(const struct rte_mbuf *m, uint32_t back)
{
    bool v4 = *(rte_pktmbuf_mtod(m, const uint8_t *) - back) >> 4 == 4;
    uint32_t len = back + m->pkt_len + (v4 ? LOOPBACK_ROOM4 : LOOPBACK_ROOM6);

    if (len >= LOOPBACK_LINEAR)
        return TRUESIZE_PACKET + TRUESIZE_LEAST + m->pkt_len;
    return TRUESIZE_PACKET + kmalloc_size(len + LOOPBACK_OVERHEAD);
}

uint32_t dgram_truesize(const struct rte_mbuf *m)
{
    uint32_t n = TRUESIZE_PACKET + kmalloc_size(m->data_len + TRUESIZE_OVERHEAD);

    while ((m = m->next))
        n += kmalloc_size(m->data_len);
    return n;
}

bool dgram_queue(struct shard *sh, struct dgram *d, struct rte_mbuf *m, const struct rxinfo *ri,
                 uint32_t back, uint16_t sport_be, uint16_t dport_be)
{
    bool whole = __builtin_expect(m->next != NULL, 0) && ri->ifindex == IFNET_LOOPBACK;
    uint32_t cost = whole ? loopback_truesize(m, back) : dgram_truesize(m);
    struct pkt_meta *meta = pkt_meta(m);

    /* As Linux: one datagram is always taken, however large (__udp_enqueue_schedule_skb). */
    if (__builtin_expect(d->rcv_mem + cost > d->rcvbuf, 0) && d->rcv_head &&
        (!(d->flags & DG_PLAIN_QUEUE) || d->rcv_mem >= d->rcvbuf)) {
        d->drops++;
        return false;
    }
    meta->link = NULL;
    meta->off = back;
    meta->seq = (uint32_t)sport_be << 16 | dport_be;
    meta->len = d->drops;
    meta->flags = ri->ifindex;
    meta->retrans = ri->bcast ? QUEUED_BCAST : 0;
    meta->aux = 0;
    meta->delivered = ri->frag_max;
    meta->time_us = sh->now_ns;
    meta->truesize = cost;
    meta->stamp_ns = stamp_now_ns(sh);
    list_step();
    if (d->rcv_tail)
        pkt_meta(d->rcv_tail)->link = m;
    else
        d->rcv_head = m;
    d->rcv_tail = m;
    d->rcv_mem += cost;
    pcb_event(sh, &d->pcb, EV_IN);
    return true;
}

bool dgram_coalesce(struct shard *sh, struct dgram *d, struct rte_mbuf *m, const struct rxinfo *ri,
                    uint32_t back, uint16_t sport_be, uint16_t dport_be)
{
    struct rte_mbuf *tail = d->rcv_tail;
    struct pkt_meta *meta = tail ? pkt_meta(tail) : NULL;
    uint32_t cost, size;
    struct dgram_info was;

    if (!tail || meta->time_us != sh->now_ns || meta->off != back || meta->flags != ri->ifindex ||
        meta->seq != ((uint32_t)sport_be << 16 | dport_be) || !m->pkt_len || !tail->pkt_len)
        return false;
    size = meta->aux ? meta->aux : tail->pkt_len;
    /* A shorter one was the last of its row. */
    if (tail->pkt_len % size || m->pkt_len > size || tail->pkt_len + m->pkt_len > COALESCED_MAX)
        return false;
    dgram_info(tail, &was);
    if (!ipaddr_eq(&was.from.addr, &ri->src) || !ipaddr_eq(&was.to.addr, &ri->dst) || was.ttl != ri->ttl ||
        was.tos != ri->tos)
        return false;
    cost = dgram_truesize(m);
    if (d->rcv_mem + cost > d->rcvbuf || rte_pktmbuf_chain(tail, m))
        return false;
    meta->aux = (uint16_t)size;
    meta->truesize += cost;
    d->rcv_mem += cost;
    pcb_event(sh, &d->pcb, EV_IN);
    return true;
}

void dgram_info(const struct rte_mbuf *m, struct dgram_info *info)
{
    const struct pkt_meta *meta = pkt_meta((struct rte_mbuf *)m);
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *) - meta->off;

    info->is_error = 0;
    info->ip = p;
    info->e = rte_pktmbuf_mtod_offset(m, const uint8_t *, m->data_len);
    info->ifindex = meta->flags;
    info->bcast = meta->retrans & QUEUED_BCAST;
    info->gso = meta->aux;
    info->frag_max = (uint16_t)meta->delivered;
    info->from.port_be = (uint16_t)(meta->seq >> 16);
    info->to.port_be = (uint16_t)meta->seq;
    info->v4 = p[0] >> 4 == 4;
    if (info->v4) {
        const struct ip4_hdr *ip = (const struct ip4_hdr *)p;

        info->from.addr = ipaddr_v4(ip->src_be);
        info->to.addr = ipaddr_v4(ip->dst_be);
        info->ttl = ip->ttl;
        info->tos = ip->tos;
        info->flowinfo_be = 0;
        info->l4 = p + ip4_hlen(ip);
    } else { /* RFC 8200 section 3 */
        memcpy(info->from.addr.b, p + 8, 16);
        memcpy(info->to.addr.b, p + 24, 16);
        ipaddr_set_zone(&info->from.addr, info->ifindex + 1u);
        ipaddr_set_zone(&info->to.addr, info->ifindex + 1u);
        memcpy(&info->flowinfo_be, p, 4);
        info->flowinfo_be &= htonl(0x0fffffff);
        info->ttl = p[7];
        info->tos = (uint8_t)((p[0] << 4) | (p[1] >> 4));
        info->l4 = p + IP6_HDR_LEN;
    }
}

/* Frees m, the first. */
static void dequeue(struct dgram *d, struct rte_mbuf *m)
{
    d->rcv_head = pkt_meta(m)->link;
    if (!d->rcv_head)
        d->rcv_tail = NULL;
    d->rcv_mem -= pkt_meta(m)->truesize;
    list_step(); /* a process killed from here on loses a buffer; none is freed twice */
    rte_pktmbuf_free(m);
}

void dgram_mend(struct shard *sh, struct dgram *d)
{
    list_init(&d->pcb.dirty);
    d->pcb.events = 0;
    d->rcv_tail = NULL;
    d->rcv_mem = 0;
    for (struct rte_mbuf *m = d->rcv_head; m; m = pkt_meta(m)->link) {
        d->rcv_tail = m;
        d->rcv_mem += pkt_meta(m)->truesize;
    }
    dgram_mc_mend(sh, d);
    if (d->pcb.user)
        pcb_event(sh, &d->pcb, EV_IN | EV_OUT);
}

void dgram_close(struct shard *sh, struct dgram *d)
{
    while (d->rcv_head)
        dequeue(d, d->rcv_head);
    errq_purge(sh, &d->pcb);
    dgram_mc_close(sh, d);
    stamp_close(sh, &d->stamp);
    ip_ext_free(sh, d->ext);
    d->ext = NULL;
}

void dgram_ext_changed(struct dgram *d)
{
    d->flags = d->ext && d->ext->recv ? d->flags | DG_EXT : d->flags & ~(uint32_t)DG_EXT;
    d->flow.gen = 0; /* IPV6_MTU */
}

bool dgram_put_name(const struct shard *sh, const struct dgram *d, struct msghdr *msg,
                    const struct endpoint *e, unsigned ifindex)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } sa;
    socklen_t len;

    if (!msg->msg_name)
        return true;
    memset(&sa, 0, sizeof sa);
    if (d->pcb.flags & PCB_V6) {
        sa.in6.sin6_family = AF_INET6;
        sa.in6.sin6_port = e->port_be;
        struct ipaddr a = ipaddr_unzoned(&e->addr);

        memcpy(&sa.in6.sin6_addr, a.b, 16);
        if (ipaddr_needs_zone(&e->addr))
            sa.in6.sin6_scope_id = (uint32_t)stack_if_shown(sh->st, ifindex);
        len = sizeof sa.in6;
    } else {
        sa.in.sin_family = AF_INET;
        sa.in.sin_port = e->port_be;
        sa.in.sin_addr.s_addr = ipaddr_get_v4(&e->addr);
        len = sizeof sa.in;
    }
    if (!user_copy(msg->msg_name, &sa, msg->msg_namelen < len ? msg->msg_namelen : len))
        return false;
    msg->msg_namelen = len;
    return true;
}

/* The packet that a read at SO_PEEK_OFF begins in: whole ones before it are passed over. NULL: none is so far
 * behind. *off: where in it. */
static struct rte_mbuf *peek_at(const struct dgram *d, uint32_t *off)
{
    struct rte_mbuf *m = d->rcv_head;

    while (m && *off && *off >= m->pkt_len) {
        *off -= m->pkt_len;
        m = pkt_meta(m)->link;
    }
    return m;
}

/* How a read of n bytes moves SO_PEEK_OFF: peeking goes on behind, taking goes back (sk_peek_offset_bwd). */
static void peek_moves(struct dgram *d, bool peek, ssize_t n)
{
    int64_t at = (int64_t)d->peek_off + (peek ? n : -n);

    d->peek_off = at < 0 ? 0 : at > INT32_MAX ? INT32_MAX : (int32_t)at;
}

/* Nothing to read: the pending error, the end, or -EAGAIN. */
static ssize_t recv_nothing(struct dgram *d, struct msghdr *msg, int flags, int err)
{
    if (err)
        return err;
    /* Linux tells a reader of the end only when it would wait. */
    if (!(d->shut & 1) || (flags & MSG_DONTWAIT))
        return -EAGAIN;
    msg->msg_flags = 0;
    msg->msg_controllen = 0;
    msg->msg_namelen = 0;
    return 0;
}

/* What the socket wants to know about the packet that reported an error. */
static void put_errq_ctl(struct shard *sh, struct pcb *pcb, const struct errq_entry *e, struct msghdr *msg,
                         size_t *used)
{
    struct dgram_info info = {.from = {e->offender, 0},
                              .to = {e->to, 0},
                              .v4 = e->v4,
                              .is_error = 1,
                              .ttl = e->ttl,
                              .tos = e->tos,
                              .ifindex = e->ifindex};

    if (e->from_wire)
        dgram_put_ip_ctl(sh, (const struct dgram *)pcb, msg, used, &info);
}

ssize_t dgram_recv(struct shard *sh, struct dgram *d, struct msghdr *msg, int flags)
{
    bool peek = flags & MSG_PEEK, moves = d->flags & DG_PEEK_MOVES;
    struct rte_mbuf *m = d->rcv_head;
    struct dgram_info info;
    uint32_t off = 0;
    ssize_t got, len;
    int err;

    if (__builtin_expect(flags & MSG_ERRQUEUE, 0))
        return errq_recv(sh, &d->pcb, msg, &d->stamp, put_errq_ctl);
    if ((flags & DGRAM_KEEP_ERROR) && d->pcb.so_error)
        return -ECANCELED;
    err = dgram_take_error(d);
    if (__builtin_expect(peek && moves, 0)) {
        off = (uint32_t)d->peek_off;
        m = peek_at(d, &off);
    }
    if (err || !m)
        return recv_nothing(d, msg, flags, err);
    msg->msg_flags = 0;
    len = m->pkt_len;
    got = msg_scatter(m, off, msg);
    dgram_info(m, &info);
    if (got >= 0 && !dgram_put_name(sh, d, msg, &info.from, info.ifindex))
        got = -EFAULT;
    if (got >= 0)
        dgram_put_all_ctl(sh, d, msg, m, &info);
    if (got >= 0 && got < len - (ssize_t)off)
        msg->msg_flags |= MSG_TRUNC;
    if (!(d->flags & DG_STAMP) ||
        !d->stamp.rx) /* else SIOCGSTAMP knows nothing of it (sock_recv_timestamp) */
        d->last_ns = pkt_meta(m)->time_us;
    if (!peek) /* a datagram that could not be copied is lost, too (Linux: udp_recvmsg) */
        dequeue(d, m);
    if (got >= 0 && (flags & MSG_TRUNC))
        got = len;
    if (__builtin_expect(moves, 0) && got >= 0)
        peek_moves(d, peek, got);
    return got;
}

size_t dgram_next_len(const struct dgram *d)
{
    return d->rcv_head ? d->rcv_head->pkt_len : 0;
}

unsigned dgram_poll(const struct dgram *d)
{
    unsigned r = POLLOUT | POLLWRNORM | POLLWRBAND;

    if (d->rcv_head)
        r |= POLLIN | POLLRDNORM;
    if (d->pcb.so_error || errq_any(&d->pcb))
        r |= POLLERR | (d->flags & DG_ERRQ_PRI ? POLLPRI : 0);
    if (d->shut & 1)
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (d->shut == 3)
        r |= POLLHUP;
    return r;
}

int dgram_shutdown(struct shard *sh, struct dgram *d, int how)
{
    d->shut |= (uint8_t)(how + 1); /* SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 as Linux's bits 1, 2, 3 */
    pcb_event(sh, &d->pcb, (d->shut & 1 ? EV_IN | EV_RDHUP : 0) | (d->shut == 3 ? EV_HUP : 0) | EV_OUT);
    /* It takes effect all the same (Linux: inet_shutdown). */
    return ipaddr_is_any(&d->pcb.remote.addr) ? -ENOTCONN : 0;
}

void dgram_icmp(struct shard *sh, struct dgram *d, const struct icmp_error *e, uint16_t port_be, uint32_t off)
{
    bool v4 = ipaddr_is_v4(&e->src), fatal = e->fatal;

    if (e->too_big) {
        if (v4 && d->pmtudisc == IP_PMTUDISC_DONT)
            return;
        fatal |= v4 || d->pmtudisc6 != IP_PMTUDISC_DONT;
    }
    if (d->pcb.flags & (v4 ? PCB_RECVERR : PCB_RECVERR6))
        errq_icmp(sh, &d->pcb, e, port_be, off, d->rcvbuf);
    else if (!fatal || ipaddr_is_any(&d->pcb.remote.addr))
        return;
    d->pcb.so_error = (int16_t)e->err;
    pcb_event(sh, &d->pcb, EV_ERR);
}
