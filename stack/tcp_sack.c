/* tcp_sack.c: see tcp_sack.h. The flags are on the send units; tcb.sacked, lost and retrans are the sums of
 * their bytes. */
#include "tcp_sack.h"

#include "tcp_sndq.h"

static void mark_sacked(struct tcb *t, struct pkt_meta *pm)
{
    if (pm->flags & UNIT_LOST)
        t->lost -= pm->len;
    if (pm->flags & UNIT_RETRANS)
        t->retrans -= pm->len;
    pm->flags = (uint8_t)((pm->flags & ~(UNIT_LOST | UNIT_RETRANS)) | UNIT_SACKED);
    t->sacked += pm->len;
}

/* Is the first block a D-SACK (RFC 2883 section 4: below SEG.ACK, or inside the second block)? */
static bool is_dsack(const struct tcp_opts *o, uint32_t ack)
{
    const struct tcp_sack_block *b = o->sack;

    if (seq_lt(b[0].left, ack))
        return true;
    return o->nsack > 1 && seq_geq(b[0].left, b[1].left) && seq_leq(b[0].right, b[1].right);
}

/* The usable blocks, in b; how many. */
static unsigned valid_blocks(struct shard *sh, struct tcb *t, uint32_t ack, const struct tcp_opts *o,
                             struct tcp_sack_block *b)
{
    unsigned n = 0, i = 0;

    if (is_dsack(o, ack)) {
        t->dsack_dups++;
        i = 1;
    }
    for (; i < o->nsack; i++) {
        const struct tcp_sack_block *s = &o->sack[i];

        if (!seq_lt(s->left, s->right) || seq_gt(s->right, t->snd_nxt) || seq_lt(s->left, t->snd_una)) {
            tcp_count(sh, COUNT_TCP_SACK_BAD);
            continue;
        }
        if (seq_gt(s->right, ack))
            b[n++] = *s;
    }
    return n;
}

/* Marks what block b covers of unit u; a unit that is covered in part is split at the edge. Bytes newly
 * marked. */
static uint32_t take_block(struct shard *sh, struct tcb *t, struct rte_mbuf *u,
                           const struct tcp_sack_block *b, struct tcp_rate_sample *rs)
{
    struct pkt_meta *pm = pkt_meta(u);
    uint32_t end = pm->seq + pm->len;

    if (seq_leq(end, b->left) || seq_geq(pm->seq, b->right) || (pm->flags & UNIT_SACKED))
        return 0;
    if (seq_lt(pm->seq, b->left)) { /* the rest is the next unit of the walk */
        tcp_sndq_split(sh, t, u, b->left - pm->seq);
        return 0;
    }
    if (seq_gt(end, b->right) && tcp_sndq_split(sh, t, u, b->right - pm->seq))
        return 0;
    tcp_rate_delivered(t, pm, rs);
    mark_sacked(t, pm);
    return pm->len;
}

uint32_t tcp_sack_take(struct shard *sh, struct tcb *t, uint32_t ack, const struct tcp_opts *o,
                       struct tcp_rate_sample *rs)
{
    struct tcp_sack_block b[TCP_SACK_MAX];
    unsigned n = valid_blocks(sh, t, ack, o, b);
    uint32_t top = ack, fresh = 0;

    for (unsigned i = 0; i < n; i++)
        top = seq_max(top, b[i].right);
    for (struct rte_mbuf *u = n ? t->snd_head : NULL; u && u != t->snd_next; u = pkt_meta(u)->link) {
        if (seq_geq(pkt_meta(u)->seq, top))
            break;
        for (unsigned i = 0; i < n; i++)
            fresh += take_block(sh, t, u, &b[i], rs);
    }
    return fresh;
}

void tcp_mark_lost(struct tcb *t, struct rte_mbuf *u)
{
    struct pkt_meta *pm = pkt_meta(u);

    if (pm->flags & (UNIT_LOST | UNIT_SACKED))
        return;
    pm->flags |= UNIT_LOST;
    t->lost += pm->len;
    t->lost_total += pm->len;
    if (t->rtx_hint && seq_lt(pm->seq, pkt_meta(t->rtx_hint)->seq))
        t->rtx_hint = u;
}

void tcp_sack_mark_lost(struct tcb *t)
{
    uint32_t above = t->sacked, packets = 0;

    for (struct rte_mbuf *u = t->snd_head; u && u != t->snd_next; u = pkt_meta(u)->link)
        if ((pkt_meta(u)->flags & (UNIT_SACKED | UNIT_START)) == (UNIT_SACKED | UNIT_START))
            packets++;
    for (struct rte_mbuf *u = t->snd_head; u && u != t->snd_next; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (pm->flags & UNIT_SACKED) {
            above -= pm->len;
            packets -= (pm->flags & UNIT_START) != 0;
        } else if (above > (TCP_DUPTHRESH - 1) * (uint32_t)t->mss || packets >= TCP_DUPTHRESH) {
            tcp_mark_lost(t, u);
        } else {
            break; /* nothing further up has more above it */
        }
    }
}
