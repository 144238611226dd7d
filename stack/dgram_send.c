/* dgram_send.c: from what the program sends to a packet and its way: the part of sending that the datagram
 * protocols have in common (dgram.h). */
#include <errno.h>
#include <netinet/in.h>

#include "dgram.h"
#include "errq.h"
#include "user.h"

#define IP_MAX 65535 /* bytes of an IPv4 packet */

/* The sticky headers and IPV6_PKTINFO. */
static void init_ext(const struct shard *sh, const struct dgram *d, struct dgram_tx *tx)
{
    int i = stack_if_of(sh->st, (int)d->ext->pktinfo_if);

    tx->exts = &d->ext->tx;
    tx->label_be = d->ext->once_label_be ? d->ext->once_label_be : d->ext->label_be;
    if (!ipaddr_is_any(&d->ext->pktinfo) && ip_is_local(sh->st, &d->ext->pktinfo))
        tx->from = d->ext->pktinfo;
    if (d->ext->pktinfo_if && i >= 0 && !tx->ifindex)
        tx->ifindex = (unsigned)i;
}

void dgram_tx_init(const struct shard *sh, const struct dgram *d, struct dgram_tx *tx)
{
    memset(tx, 0, sizeof *tx);
    tx->from = d->pcb.local.addr;
    tx->ifindex = d->pcb.ifindex;
    tx->ttl = tx->tos = tx->dontfrag = -1;
    tx->stamps = d->stamp.flags & STAMP_TX_RECORD;
    if (__builtin_expect(d->ext != NULL, 0))
        init_ext(sh, d, tx);
}

/* PROBE, INTERFACE and OMIT look at the link's MTU, not at the path's (ip_sk_use_pmtu). */
static bool by_link_mtu(uint8_t how)
{
    return how >= IP_PMTUDISC_PROBE;
}

int dgram_fits(struct shard *sh, struct dgram *d, const struct dgram_tx *tx, uint32_t len,
               const struct ipaddr *dst)
{
    struct flow *fl = &d->flow;
    bool v4 = ipaddr_is_v4(&fl->dst), fits = len <= fl->mtu, may_cut;
    uint8_t how = v4 ? d->pmtudisc : d->pmtudisc6;

    if (__builtin_expect(tx->exts != NULL, 0)) {
        len += ip_exts_len(tx->exts, v4);
        fits = len <= fl->mtu;
    }
    /* IPV6_MTU says how long fragments are, and what is not to be cut at all; what the path takes whole goes
     * whole (ip6_setup_cork, ip6_fragment). */
    if (__builtin_expect(d->ext != NULL, 0) && d->ext->frag_size && !v4 &&
        (!fits || tx->dontfrag > 0 || (tx->dontfrag < 0 && (d->flags & DG_DONTFRAG6)))) {
        fl->mtu = RTE_MIN(fl->mtu, d->ext->frag_size);
        fits = len <= fl->mtu;
    }
    /* ip_sk_ignore_df; OMIT fragments by the link, INTERFACE never (and both without don't-fragment). */
    may_cut = how < IP_PMTUDISC_DO || how == IP_PMTUDISC_OMIT;
    if (!v4 && (tx->dontfrag >= 0 ? tx->dontfrag : !!(d->flags & DG_DONTFRAG6)))
        may_cut = false;
    fl->df = fits && how != IP_PMTUDISC_DONT && how <= IP_PMTUDISC_PROBE;
    if (__builtin_expect(fits || (may_cut && len <= (v4 ? IP_MAX : IP_MAX + 40)), 1))
        return 0;
    if (d->pcb.flags & (v4 ? PCB_RECVERR : PCB_RECVERR6))
        errq_local(sh, &d->pcb, EMSGSIZE, fl->mtu, &(struct endpoint){*dst, d->pcb.remote.port_be},
                   d->rcvbuf);
    return -EMSGSIZE;
}

static void flow_marks(struct dgram *d, const struct dgram_tx *tx)
{
    struct flow *fl = &d->flow;
    bool mc = ipaddr_is_multicast(&fl->dst);
    int ttl = tx->ttl, tos = tx->tos;

    if (ipaddr_is_v4(&fl->dst)) {
        if (ttl < 0)
            ttl = mc ? d->mc_ttl : d->pcb.ttl;
        if (tos < 0)
            tos = d->pcb.tos;
    } else {
        if (ttl < 0)
            ttl = mc ? d->mc_hops6 : d->hops6;
        if (tos < 0)
            tos = d->tclass6;
    }
    fl->ttl = ttl < 0 ? 0 : (uint8_t)ttl;
    fl->tos = tos < 0 ? 0 : (uint8_t)tos;
    fl->label_be = tx->label_be;
}

/* from, or any. Who is bound to a group or broadcast receives there and sends from the interface's address
 * (inet_bind: "Use device"); the IPv6 address that connect chose is no source for an IPv4 peer
 * (udpv6_sendmsg). */
static struct ipaddr usable_source(const struct shard *sh, const struct dgram *d, const struct ipaddr *from,
                                   const struct ipaddr *dst)
{
    if (ipaddr_is_multicast(from) || ip_is_broadcast(sh->st, from))
        return IPADDR_ANY;
    if (ipaddr_is_v4(from) != ipaddr_is_v4(dst) && !(d->pcb.flags & PCB_ADDR_LOCKED) &&
        ipaddr_eq(from, &d->pcb.local.addr))
        return IPADDR_ANY;
    return *from;
}

int dgram_flow(struct shard *sh, struct dgram *d, const struct ipaddr *dst, const struct dgram_tx *tx)
{
    const struct ipaddr *from = &tx->from;
    static const struct ipaddr localhost = {.b = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
    struct flow *fl = &d->flow;
    unsigned ifindex = tx->ifindex;
    bool own;
    int r;

    if (__builtin_expect(ipaddr_is_multicast(dst), 0)) {
        bool v4 = ipaddr_is_v4(dst);
        uint8_t mc_if = v4 ? d->mc_if : d->mc_if6;

        if (!ifindex && mc_if)
            ifindex = mc_if - 1u;
        if (v4 && ipaddr_is_any(from))
            from = &d->mc_addr;
        /* Loopback is number 0, which means any: it is chosen by its address. */
        if (v4 && mc_if == 1 && ipaddr_is_any(from))
            from = &localhost;
    }
    if (__builtin_expect(!ifindex && (d->uc_if | d->uc_if6), 0) && !ipaddr_is_multicast(dst)) {
        uint8_t uc_if = ipaddr_is_v4(dst) ? d->uc_if : d->uc_if6;

        ifindex = uc_if ? uc_if - 1u : 0;
    }
    own = !ipaddr_is_any(from);
    if (!ipaddr_eq(&fl->dst, dst) || fl->bound_if != ifindex || (own && !ipaddr_eq(&fl->src, from)) ||
        (fl->caps & FLOW_WITH_EXT)) {
        if (own && ipaddr_is_v4(from) && !ipaddr_is_v4(dst)) /* ip6_dst_lookup_tail */
            return -EAFNOSUPPORT;
        *fl = (struct flow){.mark = fl->mark};
        fl->dst = *dst;
        fl->src = usable_source(sh, d, from, dst);
        fl->proto = d->pcb.proto;
        fl->bound_if = (uint8_t)ifindex;
    }
    fl->allow_bcast = !!(d->pcb.flags & PCB_BROADCAST);
    if (__builtin_expect(ipaddr_is_multicast(dst), 0)) {
        bool v4 = ipaddr_is_v4(dst);

        fl->allow_bcast |= d->flags & (v4 ? DG_MC_LOOP : DG_MC_LOOP6) ? 0 : FLOW_NO_LOOP;
        fl->allow_bcast |= (tx->ttl < 0 && (v4 ? !d->mc_ttl : !d->mc_hops6)) ? FLOW_TTL_0 : 0;
    }
    if (__builtin_expect(d->ext != NULL, 0) && d->ext->frag_size)
        fl->gen = 0; /* dgram_fits changed the MTU */
    r = flow_resolve(sh, fl);
    if (r)
        return r;
    flow_marks(d, tx);
    if (__builtin_expect(tx->exts != NULL, 0) && ip_exts_len(tx->exts, ipaddr_is_v4(dst))) {
        sh->exts = tx->exts;
        fl->caps |= FLOW_WITH_EXT;
    }
    if (__builtin_expect(by_link_mtu(ipaddr_is_v4(dst) ? d->pmtudisc : d->pmtudisc6), 0))
        fl->mtu = RTE_MIN(sh->st->ifn[fl->ifindex].mtu, (uint32_t)IP_MAX);
    return 0;
}

void dgram_flow_done(struct dgram *d, const struct dgram_tx *tx)
{
    if (!ipaddr_eq(&tx->from, &d->pcb.local.addr))
        d->flow.dst = IPADDR_ANY;
}

ssize_t dgram_iov_total(const struct msghdr *msg, size_t max)
{
    size_t len = 0;

    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (msg->msg_iov[i].iov_len > max - len)
            return -EMSGSIZE;
        len += msg->msg_iov[i].iov_len;
    }
    return (ssize_t)len;
}

/* Appends len bytes to the chain m, whose last segment is *last. 0, -ENOBUFS or -EFAULT (part of the bytes
 * may be there). */
static int append(struct shard *sh, struct rte_mbuf *m, struct rte_mbuf **last, const uint8_t *p, size_t len)
{
    while (len) {
        uint16_t room = rte_pktmbuf_tailroom(*last), n;

        if (!room) {
            struct rte_mbuf *next = pkt_alloc(sh);

            if (!next)
                return -ENOBUFS;
            (*last)->next = next;
            m->nb_segs++;
            *last = next;
            room = rte_pktmbuf_tailroom(next);
        }
        n = len < room ? (uint16_t)len : room;
        if (!user_copy(rte_pktmbuf_mtod_offset(*last, uint8_t *, (*last)->data_len), p, n))
            return -EFAULT;
        (*last)->data_len = (uint16_t)((*last)->data_len + n);
        m->pkt_len += n;
        p += n;
        len -= n;
    }
    return 0;
}

int dgram_gather(struct shard *sh, const struct msghdr *msg, struct dgram_cursor *at, size_t len,
                 uint16_t hdr, struct rte_mbuf **m)
{
    struct rte_mbuf *last;
    int r = 0;

    if (!*m) {
        *m = pkt_alloc(sh);
        if (!*m)
            return -ENOBUFS;
        (*m)->data_len = hdr;
        (*m)->pkt_len = hdr;
    }
    last = rte_pktmbuf_lastseg(*m);
    while (len && !r) {
        const struct iovec *iov = &msg->msg_iov[at->i];
        size_t n = RTE_MIN(len, iov->iov_len - at->off);

        r = append(sh, *m, &last, (const uint8_t *)iov->iov_base + at->off, n);
        at->off += n;
        len -= n;
        if (at->off == iov->iov_len) {
            at->i++;
            at->off = 0;
        }
    }
    if (r) {
        rte_pktmbuf_free(*m);
        *m = NULL;
    }
    return r;
}
