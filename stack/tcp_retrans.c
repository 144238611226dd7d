/* tcp_retrans.c: what was sent once, sent again. Which units, is decided in tcp_recover.c and tcp_tlp.c. */
#include <errno.h>

#include "tcp_ext.h"
#include "tcp_mss.h"
#include "tcp_rack.h"
#include "tcp_segment.h"
#include "tcp_sndq.h"

/* Sends u and what follows it with the same marks again; *end is the unit behind it. */
static int send_again(struct shard *sh, struct tcb *t, struct rte_mbuf *u, struct rte_mbuf **end)
{
    struct tcp_segment s = {.seq = pkt_meta(u)->seq, .first = u};
    uint8_t lost = pkt_meta(u)->flags & UNIT_LOST;
    struct rte_mbuf *n;
    int err;

    if (pkt_meta(u)->len > t->mss && tcp_sndq_split(sh, t, u, t->mss))
        return -ENOBUFS;
    for (n = u; n && n != t->tx->snd_next && s.len + pkt_meta(n)->len <= t->mss; n = pkt_meta(n)->link) {
        if (n != u && (pkt_meta(n)->flags & (UNIT_LOST | UNIT_SACKED | UNIT_RETRANS)) != lost)
            break;
        s.len += pkt_meta(n)->len;
        if (pkt_meta(n)->flags & UNIT_EOR) {
            n = pkt_meta(n)->link;
            break;
        }
    }
    if (pkt_meta(tcp_last_unit(u, s.len))->flags & UNIT_PSH)
        s.flags |= TCP_PSH;
    if (s.seq + s.len == t->write_seq && tcp_fin_sent(t))
        s.flags |= TCP_FIN;
    err = tcp_send_segment(sh, t, &s);
    if (err)
        return err;
    tcp_stamp_units(sh, t, u, s.len);
    for (; u != n; u = pkt_meta(u)->link) {
        if (pkt_meta(u)->retrans < UINT8_MAX)
            pkt_meta(u)->retrans++;
        tcp_rack_list(t, u);
    }
    *end = n;
    tcp_note_retrans(sh, t, 1, s.len);
    t->last_snd_ms = tcp_now_ms(sh);
    tcp_count(sh, COUNT_TCP_RETRANS);
    return 0;
}

int tcp_retransmit(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    struct rte_mbuf *end;
    int err = send_again(sh, t, u, &end);

    if (err)
        return err;
    for (; u != end; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (!(pm->flags & UNIT_RETRANS)) {
            pm->flags |= UNIT_RETRANS;
            t->tx->retrans += pm->len;
        }
    }
    if (!t->tx->retrans_stamp_ms)
        t->tx->retrans_stamp_ms = tcp_now_ms(sh);
    t->tx->undo_retrans = t->tx->undo_retrans < 0 ? 1 : t->tx->undo_retrans + 1;
    return 0;
}

int tcp_retransmit_probe(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    struct rte_mbuf *end;

    return send_again(sh, t, u, &end);
}

struct rte_mbuf *tcp_last_sent(const struct tcb *t)
{
    struct rte_mbuf *last = NULL;

    for (struct rte_mbuf *u = tcp_oldest_sent(t); u && u != t->tx->snd_next; u = pkt_meta(u)->link) {
        const struct pkt_meta *pm = pkt_meta(u);

        if (!last || (pm->flags & UNIT_START) || pm->seq + pm->len - pkt_meta(last)->seq > t->mss)
            last = u;
    }
    return last;
}

void tcp_retransmit_fin(struct shard *sh, struct tcb *t)
{
    struct tcp_segment s = {.seq = t->write_seq, .flags = TCP_FIN};

    tcp_send_segment(sh, t, &s);
    tcp_note_retrans(sh, t, 1, 0);
    tcp_count(sh, COUNT_TCP_RETRANS);
}
