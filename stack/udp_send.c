/* udp_send.c: sending datagrams (RFC 768): one, one under construction (UDP_CORK, MSG_MORE), or a row of them
 * in one call (UDP_SEGMENT).
 *
 * A row is cut here, each datagram gathered into buffers of its own straight from the program's memory: what
 * UDP_SEGMENT saves is the calls. Differs: no port is asked to do it.
 */
#include <errno.h>
#include <limits.h>

#include "cksum.h"
#include "errq.h"
#include "udp_cb.h"
#include "wire_eth.h"
#include "wire_ip4.h"
#include "wire_udp.h"

#define IP6_HDR_LEN 40
#define LEN_MAX     0xffff /* bytes of one call */
#define SEND_PROBE  0x10   /* MSG_PROBE of Linux */

static uint32_t ip_len(const struct flow *fl)
{
    return ipaddr_is_v4(&fl->dst) ? IP4_HDR_LEN : IP6_HDR_LEN;
}

/* Header and checksum; takes ownership of m. */
static int transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be)
{
    struct flow *fl = &u->d.flow;
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
    bool none = ipaddr_is_v4(&fl->dst) ? u->d.flags & DG_NO_CHECK : u->flags & UF_NO_CHECK6;

    wire_udp_emit(h, u->d.pcb.local.port_be, dport_be, m->pkt_len - UDP_HDR_LEN);
    m->l4_len = UDP_HDR_LEN;
    if (__builtin_expect(none, 0)) {
        /* RFC 768: zero says that there is none */
        if (u->d.pcb.proto == IPPROTO_UDPLITE)
            return udplite_transmit(sh, u, m, dport_be);
    } else if (m->pkt_len + ip_len(fl) <= fl->mtu) {
        m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
    } else { /* no port can sum over fragments */
        uint16_t sum = ip_l4_cksum(m, &fl->src, &fl->dst, IPPROTO_UDP, m->pkt_len);

        sum = sum ? sum : 0xffff;
        memcpy(h + 6, &sum, sizeof sum);
    }
    sh->count[udp_count(COUNT_UDP_OUT, ipaddr_is_v4(&fl->dst), false)]++;
    return ip_output(sh, fl, m);
}

/* ---- time stamps of what is sent ---- */

/* The packet as it leaves, for SOF_TIMESTAMPING without OPT_TSONLY: shares m's buffers, in whose headroom the
 * lower headers will stand. NULL: none wanted, or no memory. */
static struct rte_mbuf *stamp_hold(struct shard *sh, struct udpcb *u, struct rte_mbuf *m)
{
    if (u->d.stamp.flags & SOF_TIMESTAMPING_OPT_TSONLY)
        return NULL;
    return rte_pktmbuf_clone(m, sh->pool);
}

static void stamp_queue(struct shard *sh, struct udpcb *u, uint32_t kind, uint32_t key, struct rte_mbuf *held)
{
    struct errq_entry e = {
        .ee = {.ee_errno = ENOMSG, .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = kind, .ee_data = key},
        .v4 = ipaddr_is_v4(&u->d.flow.dst),
        .stamp_ns = stamp_now_ns(sh),
        .m = held,
    };

    errq_add(sh, &u->d.pcb, &e, u->d.rcvbuf);
}

/* Both software stamps: to the queue, and from it to the port, which here is one moment. held: see
 * stamp_hold. */
static void stamp_sent(struct shard *sh, struct udpcb *u, uint32_t wanted, struct rte_mbuf *held)
{
    bool id = u->d.stamp.flags & SOF_TIMESTAMPING_OPT_ID;
    uint32_t key = id ? u->d.stamp.key++ : 0, lower = ETH_HDR_LEN + ip_len(&u->d.flow);
    bool sched = wanted & SOF_TIMESTAMPING_TX_SCHED, sent = wanted & SOF_TIMESTAMPING_TX_SOFTWARE;
    struct rte_mbuf *second = NULL;

    if (held) {
        held->data_off = (uint16_t)(held->data_off - lower);
        held->data_len = (uint16_t)(held->data_len + lower);
        held->pkt_len += lower;
        if (sched && sent)
            second = rte_pktmbuf_clone(held, sh->pool);
    }
    if (sched)
        stamp_queue(sh, u, SCM_TSTAMP_SCHED, key, held);
    if (sent)
        stamp_queue(sh, u, SCM_TSTAMP_SND, key, sched ? second : held);
    if (!sched && !sent)
        rte_pktmbuf_free(held);
}

static int transmit_one(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be,
                        const struct dgram_tx *tx)
{
    struct rte_mbuf *held;
    int r;

    if (__builtin_expect(!tx->stamps, 1))
        return transmit(sh, u, m, dport_be);
    held = stamp_hold(sh, u, m);
    r = transmit(sh, u, m, dport_be);
    if (r)
        rte_pktmbuf_free(held);
    else
        stamp_sent(sh, u, tx->stamps, held);
    return r;
}

/* ---- rows ---- */

/* What Linux refuses (udp_send_skb). */
static int row_check(const struct udpcb *u, uint32_t len, uint32_t gso)
{
    const struct flow *fl = &u->d.flow;

    if (ip_len(fl) + UDP_HDR_LEN + RTE_MIN(len, gso) > fl->mtu)
        return -EMSGSIZE;
    if (len > gso * UDP_MAX_SEGMENTS)
        return -EINVAL;
    return (u->d.flags & DG_NO_CHECK) || (u->flags & UF_NO_CHECK6) ? -EINVAL : 0;
}

/* Sends the queue of datagrams that starts at m, linked by pkt_meta.link. */
static int row_transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be,
                        const struct dgram_tx *tx)
{
    struct dgram_tx rest = *tx;
    int r = 0;

    rest.stamps = 0;
    for (struct rte_mbuf *next; m; m = next) {
        next = pkt_meta(m)->link;
        r = r ? (rte_pktmbuf_free(m), r) : transmit_one(sh, u, m, dport_be, next ? &rest : tx);
    }
    return r;
}

static void row_free(struct rte_mbuf *m)
{
    for (struct rte_mbuf *next; m; m = next) {
        next = pkt_meta(m)->link;
        rte_pktmbuf_free(m);
    }
}

/* len bytes of msg in datagrams of gso bytes. All are gathered before the first is sent. */
static int row_send(struct shard *sh, struct udpcb *u, const struct msghdr *msg, uint32_t len,
                    uint16_t dport_be, const struct dgram_tx *tx)
{
    struct rte_mbuf *head = NULL, **end = &head;
    struct dgram_cursor at = {0, 0};
    int r;

    for (uint32_t n; len; len -= n) {
        struct rte_mbuf *m = NULL;

        n = RTE_MIN(len, (uint32_t)tx->gso);
        r = dgram_gather(sh, msg, &at, n, UDP_HDR_LEN, &m);
        if (r) {
            row_free(head);
            return r;
        }
        pkt_meta(m)->link = NULL;
        *end = m;
        end = &pkt_meta(m)->link;
    }
    return row_transmit(sh, u, head, dport_be, tx);
}

/* The same of a datagram that was built piece by piece. Takes ownership of m. */
static int row_cut(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be,
                   const struct dgram_tx *tx)
{
    struct rte_mbuf *head = NULL, **end = &head;

    for (uint32_t off = UDP_HDR_LEN, n; off < m->pkt_len; off += n) {
        struct rte_mbuf *piece = pkt_alloc(sh);
        char *to;

        n = RTE_MIN(m->pkt_len - off, (uint32_t)tx->gso);
        to = piece ? rte_pktmbuf_append(piece, (uint16_t)(UDP_HDR_LEN + n)) : NULL;
        if (!to || !pkt_read(m, off, n, to + UDP_HDR_LEN)) {
            rte_pktmbuf_free(piece);
            rte_pktmbuf_free(m);
            row_free(head);
            return -ENOBUFS;
        }
        pkt_meta(piece)->link = NULL;
        *end = piece;
        end = &pkt_meta(piece)->link;
    }
    rte_pktmbuf_free(m);
    return row_transmit(sh, u, head, dport_be, tx);
}

/* ---- one call ---- */

/* Where this call sends to and what it asks for; what is under construction decided that already. */
static int send_begin(struct shard *sh, struct udpcb *u, const struct msghdr *msg, const struct endpoint *to,
                      int flags, struct endpoint *dst, struct dgram_tx *tx)
{
    bool v6 = u->d.pcb.flags & PCB_V6;

    if ((flags & MSG_OOB) && !v6)
        return -EOPNOTSUPP;
    if (u->cork) {
        *dst = u->cork_to;
        *tx = u->cork_tx;
        return 0;
    }
    *dst = to ? *to : u->d.pcb.remote;
    if (!dst->port_be)
        return to ? -EINVAL : -EDESTADDRREQ;
    if ((flags & MSG_OOB) && ipaddr_is_v4(&dst->addr)) /* udpv6_sendmsg passes it over */
        return -EOPNOTSUPP;
    dgram_tx_init(sh, &u->d, tx);
    tx->gso = u->gso;
    return dgram_ctl_parse(sh, &u->d, msg, ipaddr_is_v4(&dst->addr), tx);
}

/* What speaks against len bytes more, in Linux's order (ip_append_data, sock_alloc_send_skb). */
static int send_check(struct shard *sh, struct udpcb *u, const struct dgram_tx *tx, uint32_t len)
{
    uint32_t total = ip_len(&u->d.flow) + (u->cork ? u->cork->pkt_len : UDP_HDR_LEN) + len;
    struct flow *fl = &u->d.flow;
    int r = 0;

    if (tx->gso && total <= LEN_MAX) {
        fl->df = u->d.pmtudisc != IP_PMTUDISC_DONT && u->d.pmtudisc <= IP_PMTUDISC_PROBE;
        r = u->cork ? 0 : row_check(u, len, tx->gso);
    } else {
        r = dgram_fits(sh, &u->d, tx, total, &fl->dst);
    }
    if (r)
        return r;
    r = dgram_take_error(&u->d);
    return r ? r : u->d.shut & 2 ? -EPIPE : 0;
}

/* Appends to what is under construction and, when nothing more is to come, sends it. */
static int send_corked(struct shard *sh, struct udpcb *u, const struct msghdr *msg, uint32_t len, int flags,
                       const struct endpoint *dst, const struct dgram_tx *tx)
{
    struct dgram_cursor at = {0, 0};
    struct rte_mbuf *m = u->cork;
    int r;

    u->cork = NULL; /* lost when this fails, as in Linux */
    r = dgram_gather(sh, msg, &at, len, UDP_HDR_LEN, &m);
    if (r)
        return r;
    if ((flags & MSG_MORE) || (u->flags & UF_CORK)) {
        u->cork = m;
        u->cork_to = *dst;
        u->cork_tx = *tx;
        if (u->cork_tx.exts) /* a control message's last for one call */
            u->cork_tx.exts = u->d.ext ? &u->d.ext->tx : NULL;
        return 0;
    }
    len = m->pkt_len - UDP_HDR_LEN;
    if (tx->gso && len > tx->gso) {
        r = row_check(u, len, tx->gso);
        if (!r)
            return row_cut(sh, u, m, dst->port_be, tx);
        rte_pktmbuf_free(m);
        return r;
    }
    return transmit_one(sh, u, m, dst->port_be, tx);
}

ssize_t udp_send(struct shard *sh, struct udpcb *u, const struct msghdr *msg, const struct endpoint *to,
                 int flags)
{
    ssize_t len = dgram_iov_total(msg, u->d.pcb.flags & PCB_V6 ? INT_MAX / 2 : LEN_MAX);
    struct endpoint dst;
    struct dgram_tx tx;
    int r;

    if (len < 0)
        return len;
    r = send_begin(sh, u, msg, to, flags, &dst, &tx);
    if (!r && len > LEN_MAX &&
        ipaddr_is_v4(&dst.addr)) /* IPv6's path says what is too long (udpv6_sendmsg) */
        r = -EMSGSIZE;
    if (!r)
        r = (u->d.pcb.flags & PCB_BOUND) ? 0 : udp_autobind(sh, u);
    if (!r)
        r = dgram_flow(sh, &u->d, &dst.addr, &tx);
    if (r)
        return r;
    if (__builtin_expect(flags & MSG_CONFIRM, 0))
        ip_confirm(sh, &u->d.flow);
    if (flags & SEND_PROBE) /* the way was found; nothing is sent (ip_make_skb) */
        return len;
    r = send_check(sh, u, &tx, (uint32_t)len);
    if (r)
        return r;
    if (tx.gso && len > tx.gso && !u->cork && !(flags & MSG_MORE) && !(u->flags & UF_CORK))
        r = row_send(sh, u, msg, (uint32_t)len, dst.port_be, &tx);
    else
        r = send_corked(sh, u, msg, (uint32_t)len, flags, &dst, &tx);
    dgram_flow_done(&u->d, &tx);
    /* A full device loses datagrams silently unless IP_RECVERR is on, as in Linux. */
    return r == -ENOBUFS && !(u->d.pcb.flags & PCB_RECVERR) ? len : r ? r : len;
}
