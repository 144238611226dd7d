/* tcp_input.c: segment arrives: who it is for, and the checks of RFC 9293 section 3.10.7.4 in their order.
 * See tcp_input.h. */
#include "port_reuse.h"
#include "tcp_input.h"

#include "filter.h"
#include "ip.h"
#include "mark.h"
#include "rnd.h"
#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_tx.h"
#include "tcp_md5.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_rst.h"
#include "tcp_synq.h"
#include "tcp_table.h"
#include "tcp_tw.h"
#include "tcp_urg.h"

#define PAWS_IDLE_S (24u * 24 * 3600) /* RFC 7323 section 5.5: TS.Recent is out of date after 24 days */

void tcp_seg_opts(struct tcp_seg *s)
{
    wire_tcp_parse_opts(s->opts, s->h.hlen - TCP_HDR_LEN, s->h.flags & TCP_SYN, &s->o);
}

static bool too_early(struct shard *sh, uint32_t *last_ms, enum count skip)
{
    uint32_t now_ms = tcp_now_ms(sh);

    if (*last_ms && now_ms - *last_ms < (uint64_t)sh->st->set.tcp_invalid_ratelimit) {
        tcp_count(sh, skip);
        return true;
    }
    *last_ms = now_ms;
    return false;
}

bool tcp_oow_limited(struct shard *sh, const struct tcp_seg *s, uint32_t *last_ms, enum count skip)
{
    if (s->end != s->h.seq && !(s->h.flags & TCP_SYN)) /* text: no part of a loop of ACKs */
        return false;
    return too_early(sh, last_ms, skip);
}

/* The same for a connection; without memory to count in there is no answer. */
static bool oow_limited(struct shard *sh, struct tcb *t, const struct tcp_seg *s, enum count skip)
{
    return !tcp_ext_get(sh, t) || tcp_oow_limited(sh, s, &t->ext->oow_ms, skip);
}

void tcp_challenge_ack(struct shard *sh, struct tcb *t)
{
    struct tcp_table *tt = sh->tcp;
    uint32_t now_s = tcp_now_ms(sh) / 1000;
    int64_t limit = sh->st->set.tcp_challenge_ack_limit;

    if (!tcp_ext_get(sh, t) || too_early(sh, &t->ext->oow_ms, COUNT_TCP_SKIP_CHALLENGE))
        return;
    /* The stack's own limit is off by default: shared, it told an attacker of other connections (Cao et al.
     * 2016). Linux's remedy is kept for who sets one: half of it at random. */
    if (limit != INT32_MAX && tt->challenge_s != now_s) {
        tt->challenge_s = now_s;
        tt->challenge_left = (uint32_t)((limit + 1) / 2) + (limit ? rnd_below(sh, (uint32_t)limit) : 0);
    }
    if (limit != INT32_MAX && tt->challenge_left == 0)
        return;
    tt->challenge_left--;
    tcp_count(sh, COUNT_TCP_CHALLENGE);
    tcp_send_ack(sh, t);
}

/* --- the steps of section 3.10.7.4 --- */

/* PAWS (RFC 7323 section 5.3 R1). */
static enum count step_paws(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    if (!(t->flags & TF_TS) || (s->h.flags & TCP_RST))
        return COUNT_OK;
    if (!s->o.has_ts) /* section 3.2: a segment without should be dropped; Differs: taken, as Linux does */
        return COUNT_OK;
    if ((int32_t)(s->o.tsval - t->ts_recent) >= -1) /* Linux: TCP_PAWS_WINDOW of one */
        return COUNT_OK;
    if (tcp_now_ms(sh) / 1000 - t->ts_recent_s >= PAWS_IDLE_S)
        return COUNT_OK;
    /* Linux's exception: a pure ACK in sequence that was merely reordered on the way, so not much longer ago
     * than an RTO, does no harm. */
    if (s->len == 0 && t->ts_recent - s->o.tsval <= t->rto_ms * 6 / 5 && s->end == s->h.seq &&
        s->h.seq == t->rcv_nxt && s->h.ack == t->snd_una &&
        (uint32_t)s->h.window << t->snd_wscale == t->snd_wnd)
        return COUNT_OK;
    if (!oow_limited(sh, t, s, COUNT_TCP_SKIP_PAWS))
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    if (s->len && seq_lt(s->h.seq, t->rcv_nxt))
        tcp_reass_dsack(sh, t, s->h.seq, s->h.seq + s->len);
    return COUNT_TCP_PAWS;
}

/* First, check the sequence number. Differs: the left edge is rcv_wup, not rcv_nxt, and the right edge itself
 * is acceptable (as Linux): ACKs that crossed our data or stand at a closed window are then looked at. Text
 * that goes beyond it is not cut: all of it is taken when nothing waits to be read, else none (Linux:
 * tcp_sequence); a FIN is not counted. */
static enum count step_seq(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    uint32_t right = t->rcv_nxt + tcp_rcv_offered(t);
    bool beyond = seq_gt(s->end - !!(s->h.flags & TCP_FIN), right);

    if (seq_geq(s->end, t->rcv_wup) && seq_leq(s->h.seq, right) && !(beyond && t->io->rcv_head))
        return COUNT_OK;
    if (s->h.flags & TCP_RST)
        return COUNT_TCP_SEQ;
    if (s->h.flags & TCP_SYN) {
        tcp_challenge_ack(sh, t);
        return COUNT_TCP_SYN_CHALLENGE;
    }
    if (s->end != s->h.seq && seq_leq(s->end, t->rcv_nxt))
        tcp_reass_dsack(sh, t, s->h.seq, s->end);
    if (!oow_limited(sh, t, s, COUNT_TCP_SKIP_SEQ))
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    return COUNT_TCP_SEQ;
}

/* A peer that lost text may put its RST behind all that we have told it of by SACK (Linux: tcp_reset_check's
 * rule). */
static bool is_behind_sack(const struct tcb *t, uint32_t seq)
{
    uint32_t right = t->rcv_nxt;

    if (!t->io->ofo || !t->io->ofo->nsack)
        return false;
    for (uint32_t i = 0; i < t->io->ofo->nsack; i++)
        right = seq_max(right, t->io->ofo->sack[i].right);
    return seq == right;
}

/* Second, check the RST bit (RFC 5961 section 3.2). */
static enum count step_rst(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    if (!(s->h.flags & TCP_RST))
        return COUNT_OK;
    if (s->h.seq != t->rcv_nxt && !is_behind_sack(t, s->h.seq)) {
        tcp_challenge_ack(sh, t);
        return COUNT_TCP_RST_SEQ;
    }
    tcp_peer_reset(sh, t);
    return TCP_DONE;
}

/* Fourth, check the SYN bit (RFC 5961 section 4.2). (Third, security, is not there.) */
static enum count step_syn(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    struct tcp_tx *x = t->tx;

    if (!(s->h.flags & TCP_SYN))
        return COUNT_OK;
    /* Simultaneous open: the peer's SYN,ACK has its SYN at irs, which was taken already. Only its ACK is
     * news. */
    if (t->state == TCPS_SYN_RECEIVED && s->h.seq == x->irs && (s->h.flags & TCP_ACK)) {
        s->h.flags &= (uint8_t)~TCP_SYN;
        s->h.seq++;
        s->h.window =
            (uint16_t)(s->h.window >> t->snd_wscale); /* a SYN's is not scaled (RFC 7323 section 2.2) */
        tcp_reass_dsack(sh, t, x->irs, x->irs + 1);
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
        return COUNT_OK;
    }
    tcp_challenge_ack(sh, t);
    return COUNT_TCP_SYN_CHALLENGE;
}

/* Segments as they were on the wire, before the link put them together. */
static void count_in(struct tcb *t, const struct tcp_seg *s)
{
    uint32_t n = 1;

    if ((s->m->ol_flags & RTE_MBUF_F_RX_LRO) && s->m->tso_segsz && s->len > s->m->tso_segsz)
        n = (s->len + s->m->tso_segsz - 1) / s->m->tso_segsz;
    t->segs_in += n;
    if (s->len)
        t->data_segs_in += n;
}

enum count tcp_segment_arrives(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    static enum count (*const steps[])(struct shard *, struct tcb *, struct tcp_seg *) = {
        step_paws, step_seq, step_rst, step_syn, tcp_step_ack, tcp_step_urg, tcp_step_text, tcp_step_fin,
    };
    enum count v;

    count_in(t, s);
    if (!tcp_io_get(sh, t))
        return COUNT_NOMEM_PCB;
    if (t->state == TCPS_CLOSE) {
        tcp_seg_opts(s);
        return tcp_closed_input(sh, s);
    }
    v = tcp_fast_path(sh, t, s);
    if (v != COUNT_OK)
        return v;
    tcp_seg_opts(s);
    if (tcp_from_too_far(t, s->ri))
        return COUNT_TCP_MINTTL;
    if ((t->flags & TF_MD5) || s->o.md5)
        v = tcp_md5_check(tcp_md5_find(t, &s->remote.addr), s);
    if (v != COUNT_OK)
        return v;
    if (t->state == TCPS_SYN_SENT)
        return tcp_syn_sent_input(sh, t, s);
    for (unsigned i = 0; i < sizeof steps / sizeof *steps && v == COUNT_OK; i++)
        v = steps[i](sh, t, s);
    return v;
}

/* --- from the network layer --- */

/* Length, checksum, header. buf: for a header that is not in one piece. */
static enum count parse(struct rte_mbuf *m, const struct rxinfo *ri, struct tcp_seg *s, uint8_t buf[60])
{
    uint32_t len = ri->len;
    const uint8_t *p;
    int hlen;

    if (ri->bcast)
        return COUNT_TCP_ERR; /* RFC 1122 section 4.2.3.10 */
    if (len < TCP_HDR_LEN || len > m->pkt_len)
        return COUNT_TCP_ERR;
    p = rte_pktmbuf_read(m, 0, len < 60 ? len : 60, buf);
    hlen = wire_tcp_parse(p, len, &s->h);
    if (hlen < 0)
        return COUNT_TCP_ERR;
    if (!ri->l4_good && ip_l4_cksum(m, &ri->src, &ri->dst, IPPROTO_TCP, len) != 0)
        return COUNT_TCP_CSUM;
    s->m = m;
    s->ri = ri;
    s->opts = p + TCP_HDR_LEN;
    s->len = len - (uint32_t)hlen;
    s->skip = s->isn = 0;
    s->end = s->h.seq + s->len + !!(s->h.flags & TCP_SYN) + !!(s->h.flags & TCP_FIN);
    s->local = (struct endpoint){ri->dst, s->h.dport_be};
    s->remote = (struct endpoint){ri->src, s->h.sport_be};
    return COUNT_OK;
}

bool tcp_filter_run(struct shard *sh, const struct tcb *t, struct tcp_seg *s)
{
    struct filter_pkt p;
    uint32_t keep;

    filter_pkt_l4(sh, &p, s->m, s->ri->l3_len, !ipaddr_is_v4(&s->ri->src), s->ri->ifindex);
    keep = filter_run(sh, t->pcb.filter, &p);
    if (keep == 0)
        return false;
    keep = RTE_MAX(keep, (uint32_t)s->h.hlen); /* the header stays (Linux: tcp_filter) */
    if (keep < s->h.hlen + s->len) {
        pkt_trim_to(s->m, keep);
        s->end -= s->len - (keep - s->h.hlen);
        s->len = keep - s->h.hlen;
    }
    return true;
}

/* The one of t's group of listeners that its program chooses (port_reuse.h), or t. */
static struct tcb *chosen(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    struct filter_pkt f;

    if (!(t->pcb.flags & PCB_REUSEPORT))
        return t;
    filter_pkt_l4(sh, &f, s->m, s->ri->l3_len, !ipaddr_is_v4(&s->ri->src), s->ri->ifindex);
    f.data += s->h.hlen;
    f.net -= s->h.hlen;
    f.mac -= s->h.hlen;
    return tcp_listen_nth(sh, t, reuse_run(sh, &t->pcb, &f));
}

/* Finds whom the segment is for. */
static enum count deliver(struct shard *sh, struct tcp_seg *s)
{
    struct tcb *t = tcp_lookup(sh, &s->local, &s->remote);
    struct synreq *r;
    struct tw *w;

    sh->work = (struct pcb *)t;
    list_step();
    if (t)
        return tcp_filter_ok(sh, t, s) ? tcp_segment_arrives(sh, t, s) : COUNT_SOCK_FILTER;
    tcp_seg_opts(s);
    r = tcp_synq_lookup(sh, &s->local, &s->remote);
    if (r)
        return tcp_synq_input(sh, r, s);
    w = tcp_tw_lookup(sh, &s->local, &s->remote);
    if (w) {
        enum count v = tcp_tw_input(sh, w, s);

        if (v != COUNT_OK)
            return v;
    }
    t = tcp_lookup_listen(sh, &s->local, &s->remote, s->ri->ifindex);
    if (!t)
        return tcp_closed_input(sh, s);
    if (__builtin_expect(sh->nreuse != 0, 0))
        t = chosen(sh, t, s);
    return tcp_filter_ok(sh, t, s) ? tcp_listen_input(sh, t, s) : COUNT_SOCK_FILTER;
}

void tcp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct tcp_seg s;
    uint8_t buf[60];
    enum count v;

    MARK(TCP_IN);
    tcp_count(sh, COUNT_TCP_IN);
    s.m = m;
    v = parse(m, ri, &s, buf);
    if (v == COUNT_OK)
        v = deliver(sh, &s);
    if (v == COUNT_TCP_CSUM)
        tcp_count(sh, COUNT_TCP_ERR);
    if (v != COUNT_OK && v != TCP_DONE && s.m)
        pkt_drop(sh, s.m, v);
    else if (v != COUNT_OK && v != TCP_DONE)
        tcp_count(sh, v);
    else
        rte_pktmbuf_free(s.m); /* NULL: a queue has it */
    list_step();
    sh->work = NULL;
}
