/* tcp_rst.c: see tcp_rst.h. */
#include "tcp_rst.h"

#include <errno.h>

#include "ip.h"

int tcp_bare_send(struct shard *sh, struct flow *fl, struct tcp_hdr_in *h, const struct tcp_opts *o)
{
    uint8_t opts[TCP_OPTS_MAX_LEN];
    size_t olen = wire_tcp_emit_opts(opts, o);
    int err = flow_resolve(sh, fl);
    struct rte_mbuf *m;
    char *p;

    if (err)
        return err;
    m = pkt_alloc(sh);
    if (!m)
        return -ENOBUFS;
    h->hlen = (uint8_t)(TCP_HDR_LEN + olen);
    p = rte_pktmbuf_append(m, h->hlen);
    wire_tcp_emit((uint8_t *)p, h);
    memcpy(p + TCP_HDR_LEN, opts, olen);
    m->l4_len = h->hlen;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    tcp_count(sh, COUNT_TCP_OUT);
    return ip_output(sh, fl, m);
}

struct flow tcp_reply_flow(const struct tcp_seg *s)
{
    return (struct flow){.src = s->local.addr, .dst = s->remote.addr, .proto = IPPROTO_TCP, .df = 1};
}

void tcp_reset_segment(struct shard *sh, const struct tcp_seg *s)
{
    struct flow fl = tcp_reply_flow(s);
    struct tcp_hdr_in h = {.sport_be = s->local.port_be, .dport_be = s->remote.port_be, .flags = TCP_RST};
    struct tcp_opts o = {.fastopen_len = -1};

    if (s->h.flags & TCP_RST)
        return;
    if (s->h.flags & TCP_ACK) {
        h.seq = s->h.ack;
    } else {
        h.ack = s->end;
        h.flags |= TCP_ACK;
    }
    tcp_count(sh, COUNT_TCP_OUT_RST);
    tcp_bare_send(sh, &fl, &h, &o);
}

enum count tcp_closed_input(struct shard *sh, struct tcp_seg *s)
{
    tcp_reset_segment(sh, s);
    return TCP_DONE;
}
