/* raw_send.c: sending by raw sockets (raw.h; raw(7)). */
#include <errno.h>
#include <netinet/in.h>

#include "errq.h"
#include "raw.h"
#include "wire_ip4.h"

#define RAW_MAX 0xffff /* bytes of a send: what an IP packet can be */

/* Sends m, which the program wrote without a header; the checksum is put in where it asked for one. */
static int send_payload(struct shard *sh, struct rawcb *r, struct rte_mbuf *m)
{
    struct flow *fl = &r->d.flow;

    if (r->flags & RAW_CKSUM) {
        uint16_t sum = 0;

        if (m->data_len < (uint32_t)r->cksum_at + 2) {
            rte_pktmbuf_free(m);
            return -EINVAL; /* rawv6_push_pending_frames: beyond the packet */
        }
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, r->cksum_at), &sum, 2);
        sum = ip_l4_cksum(m, &fl->src, &fl->dst, fl->proto, m->pkt_len);
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, r->cksum_at), &sum, 2);
    }
    if (!(r->flags & RAW_CKSUM))
        m->packet_type = PKT_UNSUMMED;
    return ip_output(sh, fl, m);
}

/* Where to: the address given, or the peer. */
static int destination(const struct rawcb *r, const struct endpoint *to, struct ipaddr *dst)
{
    uint16_t proto;

    if (!to) {
        if (ipaddr_is_any(&r->d.pcb.remote.addr))
            return -EDESTADDRREQ;
        *dst = r->d.pcb.remote.addr;
        return 0;
    }
    *dst = to->addr;
    if (!(r->d.pcb.flags & PCB_V6))
        return 0;
    proto = ntohs(to->port_be); /* rawv6_sendmsg: the port, when there is one, names the protocol */
    if (proto && (proto > 255 || (proto != r->proto && r->proto != IPPROTO_RAW)))
        return -EINVAL;
    return ipaddr_is_v4(dst) ? -ENETUNREACH : 0;
}

/* -EMSGSIZE, or what dgram_fits says. With IP_HDRINCL the link's MTU is the limit: nothing is fragmented. */
static int too_long(struct shard *sh, struct rawcb *r, const struct dgram_tx *tx, uint32_t len,
                    const struct ipaddr *dst)
{
    uint32_t hdr = ipaddr_is_v4(dst) ? IP4_HDR_LEN : 40;

    if (!(r->flags & RAW_HDRINCL))
        return dgram_fits(sh, &r->d, tx, len + hdr, dst);
    if (len <= r->d.flow.mtu)
        return 0;
    if (r->d.pcb.flags & (ipaddr_is_v4(dst) ? PCB_RECVERR : PCB_RECVERR6))
        errq_local(sh, &r->d.pcb, EMSGSIZE, r->d.flow.mtu, &(struct endpoint){*dst, 0}, r->d.rcvbuf);
    return -EMSGSIZE;
}

ssize_t raw_send(struct shard *sh, struct rawcb *r, const struct msghdr *msg, const struct endpoint *to,
                 int flags)
{
    ssize_t len = dgram_iov_total(msg, RAW_MAX);
    struct rte_mbuf *m = NULL;
    struct ipaddr dst;
    struct dgram_cursor at = {0};
    struct dgram_tx tx;
    int err;

    if (len < 0)
        return len;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    err = destination(r, to, &dst);
    dgram_tx_init(sh, &r->d, &tx);
    if (!err)
        err = dgram_ctl_parse(sh, &r->d, msg, !(r->d.pcb.flags & PCB_V6), &tx);
    if (!err)
        err = dgram_flow(sh, &r->d, &dst, &tx);
    if (!err)
        err = too_long(sh, r, &tx, (uint32_t)len, &dst);
    if (!err &&
        (r->flags & RAW_HDRINCL)) /* sock_alloc_send_skb; without a header nobody looks at these two */
        err = dgram_take_error(&r->d);
    if (!err && (r->flags & RAW_HDRINCL) && (r->d.shut & 2))
        err = -EPIPE;
    if (!err)
        err = dgram_gather(sh, msg, &at, (size_t)len, 0, &m);
    if (err)
        return err;
    if (r->flags & RAW_HDRINCL)
        err = ip_output_hdrincl(sh, &r->d.flow, m);
    else
        err = send_payload(sh, r, m);
    dgram_flow_done(&r->d, &tx);
    /* A full device loses packets silently unless IP_RECVERR is on, as in Linux. */
    return err == -ENOBUFS && !(r->d.pcb.flags & (PCB_RECVERR | PCB_RECVERR6)) ? len : err ? err : len;
}
