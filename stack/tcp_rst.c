/* tcp_rst.c: see tcp_rst.h. */
#include "tcp_rst.h"

#include <errno.h>

#include "ip.h"
#include "tcp_md5.h"
#include "tcp_table.h"

int tcp_bare_send(struct shard *sh, struct flow *fl, struct tcp_hdr_in *h, const struct tcp_opts *o,
                  const struct tcp_md5_key *k)
{
    uint8_t opts[TCP_OPTS_MAX_LEN];
    struct tcp_opts with = *o;
    size_t olen;
    int err = flow_resolve(sh, fl);
    struct rte_mbuf *m;
    char *p;

    if (err)
        return err;
    m = pkt_alloc(sh);
    if (!m)
        return -ENOBUFS;
    with.md5 = k ? tcp_md5_blank : NULL;
    olen = wire_tcp_emit_opts(opts, &with);
    h->hlen = (uint8_t)(TCP_HDR_LEN + olen);
    p = rte_pktmbuf_append(m, h->hlen);
    wire_tcp_emit((uint8_t *)p, h);
    memcpy(p + TCP_HDR_LEN, opts, olen);
    if (k)
        tcp_md5_sign(k, m, &fl->src, &fl->dst);
    m->l4_len = h->hlen;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    tcp_count(sh, COUNT_TCP_OUT);
    return ip_output(sh, fl, m);
}

struct flow tcp_reply_flow(const struct tcp_seg *s)
{
    return (struct flow){.src = s->local.addr, .dst = s->remote.addr, .proto = IPPROTO_TCP, .df = 1};
}

/* Who resets a signed segment signs, with the key that it was signed with (a listener's, where the connection
 * is not known any more). False: there is none, or the signature is wrong: no answer. */
static bool reset_key(struct shard *sh, const struct tcp_seg *s, const struct tcp_md5_key **k)
{
    struct tcb *t;

    *k = NULL;
    if (!s->o.md5)
        return true;
    t = tcp_lookup(sh, &s->local, &s->remote);
    if (!t)
        t = tcp_lookup_listen(sh, &s->local, &s->remote, s->ri->ifindex);
    *k = t ? tcp_md5_find(t, &s->remote.addr) : NULL;
    return *k && tcp_md5_check(*k, s) == COUNT_OK;
}

void tcp_reset_segment(struct shard *sh, const struct tcp_seg *s)
{
    const struct tcp_md5_key *k;
    struct flow fl = tcp_reply_flow(s);
    struct tcp_hdr_in h = {.sport_be = s->local.port_be, .dport_be = s->remote.port_be, .flags = TCP_RST};
    struct tcp_opts o = {.fastopen_len = -1};

    if ((s->h.flags & TCP_RST) || !reset_key(sh, s, &k))
        return;
    if (s->h.flags & TCP_ACK) {
        h.seq = s->h.ack;
    } else {
        h.ack = s->end;
        h.flags |= TCP_ACK;
    }
    tcp_count(sh, COUNT_TCP_OUT_RST);
    tcp_bare_send(sh, &fl, &h, &o, k);
}

enum count tcp_closed_input(struct shard *sh, struct tcp_seg *s)
{
    tcp_reset_segment(sh, s);
    return TCP_DONE;
}
