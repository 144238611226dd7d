/* udp_user.c: UDP as sockets call it: names, send, receive, end. What it shares with other datagram protocols
 * is dgram.h's. */
#include <errno.h>
#include <netinet/ip.h>

#include "cksum.h"
#include "filter.h"
#include "port.h"
#include "shard.h"
#include "udp_cb.h"
#include "wire_ip4.h"
#include "wire_udp.h"

struct udpcb *udp_open(struct shard *sh, uint16_t pcb_flags)
{
    struct udpcb *u = slab_alloc(&sh->udp->pcbs);

    if (!u) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &u->d);
    u->d.pcb.proto = IPPROTO_UDP;
    u->d.pcb.flags = pcb_flags;
    u->d.pcb.shard = (uint8_t)sh->id;
    return u;
}

int udp_bind(struct shard *sh, struct udpcb *u, const struct endpoint *local)
{
    int r = port_bind(sh->st, sh, &u->d.pcb, local);

    if (!r)
        udp_hash(sh, u);
    return r;
}

static int autobind(struct shard *sh, struct udpcb *u)
{
    struct endpoint any = {.addr = u->d.pcb.local.addr, .port_be = 0};

    return (u->d.pcb.flags & PCB_BOUND) ? 0 : udp_bind(sh, u, &any);
}

int udp_connect(struct shard *sh, struct udpcb *u, const struct endpoint *remote)
{
    int r = autobind(sh, u);
    struct dgram_tx tx;

    if (!r && udp_connected(u))
        udp_disconnect(sh, u);
    dgram_tx_init(&u->d, &tx);
    if (!r)
        r = dgram_flow(sh, &u->d, &remote->addr, &tx);
    if (!r)
        r = autobind(sh, u); /* disconnecting may have given an automatic port back */
    if (r)
        return r;
    udp_unhash(sh, u);
    u->d.pcb.local.addr = u->d.flow.src;
    u->d.pcb.remote = *remote;
    udp_hash(sh, u);
    return 0;
}

int udp_disconnect(struct shard *sh, struct udpcb *u)
{
    if (!(u->d.pcb.flags & PCB_BOUND))
        return 0;
    udp_unhash(sh, u);
    memset(&u->d.pcb.remote, 0, sizeof u->d.pcb.remote);
    if (!(u->d.pcb.flags & PCB_ADDR_LOCKED))
        u->d.pcb.local.addr = IPADDR_ANY;
    u->d.flow.gen = 0;
    u->d.flow.dst = IPADDR_ANY;
    if (u->d.pcb.flags & PCB_PORT_LOCKED) {
        udp_hash(sh, u);
    } else {
        port_release(sh->st, &u->d.pcb);
        u->d.pcb.local.port_be = 0;
    }
    return 0;
}

/* Header, checksum, don't-fragment; takes ownership of m. */
static int transmit(struct shard *sh, struct udpcb *u, struct rte_mbuf *m, uint16_t dport_be)
{
    struct flow *fl = &u->d.flow;
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);

    wire_udp_emit(h, u->d.pcb.local.port_be, dport_be, m->pkt_len - UDP_HDR_LEN);
    m->l4_len = UDP_HDR_LEN;
    if (u->d.flags & DG_NO_CHECK) {
        /* RFC 768: zero says that there is none */
    } else if (m->pkt_len + IP4_HDR_LEN <= fl->mtu) {
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
    } else { /* no port can sum over fragments */
        uint16_t sum = ip_l4_cksum(m, &fl->src, &fl->dst, IPPROTO_UDP, m->pkt_len);

        sum = sum ? sum : 0xffff;
        memcpy(h + 6, &sum, sizeof sum);
    }
    sh->count[COUNT_UDP_OUT]++;
    return ip_output(sh, fl, m);
}

/* What speaks against sending at all, in Linux's order (udp_sendmsg). */
static int send_check(struct udpcb *u, const struct endpoint *dst, int flags)
{
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (!dst->port_be)
        return udp_connected(u) || u->cork ? -EINVAL : -EDESTADDRREQ;
    if (u->d.shut & 2)
        return -EPIPE;
    return dgram_take_error(&u->d);
}

ssize_t udp_send(struct shard *sh, struct udpcb *u, const struct msghdr *msg, const struct endpoint *to,
                 int flags)
{
    struct endpoint dst = u->cork ? u->cork_to : to ? *to : u->d.pcb.remote;
    ssize_t len = dgram_iov_total(msg, 0xffff);
    struct rte_mbuf *m = u->cork;
    struct dgram_tx tx;
    int r;

    if (len < 0)
        return len;
    if (to && !to->port_be)
        return -EINVAL;
    dgram_tx_init(&u->d, &tx);
    r = send_check(u, &dst, flags);
    if (!r)
        r = dgram_ctl_parse(sh, &u->d, msg, true, &tx);
    if (!r)
        r = autobind(sh, u);
    if (!r)
        r = dgram_flow(sh, &u->d, &dst.addr, &tx);
    if (r)
        return r;
    r = dgram_fits(sh, &u->d, &tx, IP4_HDR_LEN + (m ? m->pkt_len : UDP_HDR_LEN) + (uint32_t)len, &dst.addr);
    if (r)
        return r;
    u->cork = NULL; /* what was under construction is lost when this fails, as in Linux */
    r = dgram_gather(sh, msg, UDP_HDR_LEN, &m);
    if (r)
        return r;
    if ((flags & MSG_MORE) || (u->flags & UF_CORK)) {
        u->cork = m;
        u->cork_to = dst;
        return len;
    }
    r = transmit(sh, u, m, dst.port_be);
    dgram_flow_done(&u->d, &tx);
    /* A full device loses datagrams silently unless IP_RECVERR is on, as in Linux. */
    return r == -ENOBUFS && !(u->d.pcb.flags & PCB_RECVERR) ? len : r ? r : len;
}

ssize_t udp_recv(struct shard *sh, struct udpcb *u, struct msghdr *msg, int flags)
{
    return dgram_recv(sh, &u->d, msg, flags);
}

size_t udp_next_len(const struct udpcb *u)
{
    return dgram_next_len(&u->d);
}

unsigned udp_poll(const struct udpcb *u)
{
    return dgram_poll(&u->d);
}

int udp_shutdown(struct shard *sh, struct udpcb *u, int how)
{
    return dgram_shutdown(sh, &u->d, how);
}

void udp_close(struct shard *sh, struct udpcb *u)
{
    dgram_close(sh, &u->d);
    rte_pktmbuf_free(u->cork);
    udp_unhash(sh, u);
    if (u->d.pcb.flags & PCB_BOUND)
        port_release(sh->st, &u->d.pcb);
    filter_put(sh, u->d.pcb.filter);
    list_del(&u->d.pcb.dirty);
    u->d.pcb.proto = 0; /* udp_walk looks at freed ones, too */
    slab_free(&sh->udp->pcbs, u);
}
