/* tcp_reass.c: what came beyond rcv_nxt: a sorted queue without overlap, and the SACK blocks that report it
 * (RFC 2018, 2883).
 *
 * Overlaps: the bytes that came first are kept (as Linux does for what lies wholly inside); a new packet
 * loses what is there already at both ends, and packets that it covers are dropped. Insertion looks at the
 * queue's end first, where nearly every packet after a loss belongs.
 */
#include "tcp_ext.h"
#include "tcp_rcvq.h"

static struct tcp_ofo *ofo_get(struct shard *sh, struct tcb *t)
{
    if (!t->io->ofo)
        t->io->ofo = slab_alloc(&sh->tcp->ofo);
    return t->io->ofo;
}

static uint32_t end_of(struct rte_mbuf *m)
{
    return pkt_meta(m)->seq + pkt_meta(m)->len;
}

static void ofo_drop(struct tcb *t, struct rte_mbuf *m)
{
    t->io->rcv_mem -= pkt_meta(m)->truesize;
    rte_pktmbuf_free(m);
}

/* Makes [left, right) part of the first SACK block: merges with what it touches, moves it to the front, the
 * oldest falls out. */
static void sack_note(struct tcp_ofo *o, uint32_t left, uint32_t right)
{
    struct tcp_sack_block b = {left, right}, keep[TCP_SACK_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->nsack; i++) {
        const struct tcp_sack_block *s = &o->sack[i];

        if (seq_leq(s->left, b.right) && seq_leq(b.left, s->right)) {
            b.left = seq_min(b.left, s->left);
            b.right = seq_max(b.right, s->right);
        } else {
            keep[n++] = *s;
        }
    }
    o->sack[0] = b;
    o->nsack = n + 1 < TCP_SACK_MAX ? n + 1 : TCP_SACK_MAX;
    memcpy(&o->sack[1], keep, (o->nsack - 1) * sizeof *keep);
}

/* Cuts from m what the queued packet prev in front of it and the bytes up to rcv_nxt hold already. False:
 * nothing is left of it. */
static bool trim_front(struct shard *sh, struct tcb *t, struct rte_mbuf *m, struct rte_mbuf *prev)
{
    struct pkt_meta *pm = pkt_meta(m);
    uint32_t have, n;

    if (!prev || seq_leq(end_of(prev), pm->seq))
        return true;
    have = end_of(prev);
    n = have - pm->seq;
    if (n >= pm->len) {
        tcp_reass_dsack(sh, t, pm->seq, pm->seq + pm->len);
        return false;
    }
    tcp_reass_dsack(sh, t, pm->seq, have);
    pm->seq += n;
    pm->off += n;
    pm->len -= n;
    return true;
}

/* Drops or shortens m's successors' overlap with it; returns the successor to link to. */
static struct rte_mbuf *trim_next(struct shard *sh, struct tcb *t, struct rte_mbuf *m, struct rte_mbuf *next)
{
    struct pkt_meta *pm = pkt_meta(m);

    while (next && seq_lt(pkt_meta(next)->seq, pm->seq + pm->len)) {
        struct pkt_meta *nm = pkt_meta(next);

        if (seq_gt(end_of(next), pm->seq + pm->len)) {
            tcp_reass_dsack(sh, t, nm->seq, pm->seq + pm->len);
            pm->len = nm->seq - pm->seq;
            pm->flags &= (uint8_t)~RCV_FIN; /* data follows: no FIN here */
            break;
        }
        tcp_reass_dsack(sh, t, nm->seq, end_of(next));
        pm->flags |= nm->flags & RCV_FIN;
        struct rte_mbuf *gone = next;
        next = nm->link;
        ofo_drop(t, gone);
    }
    return next;
}

enum count tcp_reass_insert(struct shard *sh, struct tcb *t, struct rte_mbuf *m)
{
    struct tcp_ofo *o = ofo_get(sh, t);
    struct pkt_meta *pm = pkt_meta(m);
    struct rte_mbuf *prev = NULL, *next;

    if (!o)
        return COUNT_TCP_OFO_DROP;
    if (!tcp_rcvq_admit(sh, t, m, false))
        return COUNT_TCP_OFO_DROP;
    if (o->tail && seq_geq(pm->seq, pkt_meta(o->tail)->seq)) {
        prev = o->tail;
        next = NULL;
    } else {
        for (next = o->head; next && seq_leq(pkt_meta(next)->seq, pm->seq); next = pkt_meta(next)->link)
            prev = next;
    }
    if (!trim_front(sh, t, m, prev)) {
        if ((pm->flags & RCV_FIN) && pm->seq + pm->len == end_of(prev))
            pkt_meta(prev)->flags |= RCV_FIN;
        sack_note(o, pm->seq,
                  pm->seq + pm->len); /* RFC 2883 section 4: behind the D-SACK block, the one it is in */
        return COUNT_TCP_DUP_DATA;
    }
    next = trim_next(sh, t, m, next);
    pm->link = next;
    if (prev)
        pkt_meta(prev)->link = m;
    else
        o->head = m;
    if (!next)
        o->tail = m;
    if (t->flags & TF_SACK) /* else its ACKs would not be duplicates */
        tcp_grow_window(sh, t, pm->truesize, pm->len);
    t->io->rcv_mem += pm->truesize;
    if (tcp_ext_get(sh, t))
        t->ext->ofo_segs++;
    tcp_count(sh, COUNT_TCP_OFO);
    if (t->pcb.user) /* not before somebody may read it */
        tcp_rcvbuf_grow(sh, t, t->drs_space);
    if (pm->len || (pm->flags & RCV_FIN)) /* the FIN has a sequence number too */
        sack_note(o, pm->seq, pm->seq + pm->len + !!(pm->flags & RCV_FIN));
    return COUNT_OK;
}

/* Forgets what the cumulative ACK now says. */
static void sacks_advance(struct tcp_ofo *o, uint32_t rcv_nxt)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->nsack; i++)
        if (seq_gt(o->sack[i].left, rcv_nxt))
            o->sack[n++] = o->sack[i];
    o->nsack = n;
}

static void release_if_empty(struct shard *sh, struct tcb *t)
{
    struct tcp_ofo *o = t->io->ofo;

    if (o && !o->head && o->dsack.left == o->dsack.right) {
        slab_free(&sh->tcp->ofo, o);
        t->io->ofo = NULL;
    }
}

/* Of several duplicates that one segment shows the first is reported, with what adjoins it. */
static void dsack_extend(struct shard *sh, struct tcb *t, uint32_t left, uint32_t right)
{
    struct tcp_sack_block *d = &t->io->ofo->dsack;

    if (d->left == d->right) {
        tcp_reass_dsack(sh, t, left, right);
    } else if (seq_leq(left, d->right) && seq_leq(d->left, right)) {
        d->left = seq_lt(left, d->left) ? left : d->left;
        d->right = seq_max(right, d->right);
    }
}

bool tcp_reass_take(struct shard *sh, struct tcb *t)
{
    struct tcp_ofo *o = t->io->ofo;
    bool fin = false;

    if (!o)
        return false;
    while (!fin && o->head && seq_leq(pkt_meta(o->head)->seq, t->rcv_nxt)) {
        struct rte_mbuf *m = o->head;
        struct pkt_meta *pm = pkt_meta(m);

        o->head = pm->link;
        if (!o->head)
            o->tail = NULL;
        fin = (pm->flags & RCV_FIN) && seq_geq(pm->seq + pm->len, t->rcv_nxt);
        if (seq_lt(pm->seq + pm->len, t->rcv_nxt) || (pm->len && pm->seq + pm->len == t->rcv_nxt)) {
            dsack_extend(sh, t, pm->seq, pm->seq + pm->len);
            ofo_drop(t, m);
            continue;
        }
        if (pm->seq != t->rcv_nxt) {
            uint32_t n = t->rcv_nxt - pm->seq;

            dsack_extend(sh, t, pm->seq, t->rcv_nxt);
            pm->seq += n;
            pm->off += n;
            pm->len -= n;
        }
        t->io->rcv_mem -= pm->truesize; /* counted again when appended */
        tcp_rcvq_append(sh, t, m);
    }
    sacks_advance(o, t->rcv_nxt);
    release_if_empty(sh, t);
    return fin;
}

void tcp_reass_dsack(struct shard *sh, struct tcb *t, uint32_t left, uint32_t right)
{
    struct tcp_ofo *o;

    if (!(t->flags & TF_SACK) || left == right)
        return;
    o = ofo_get(sh, t);
    if (o)
        o->dsack = (struct tcp_sack_block){left, right};
}

void tcp_reass_blocks(struct shard *sh, struct tcb *t, struct tcp_opts *op, unsigned max)
{
    struct tcp_ofo *o = t->io->ofo;
    unsigned n = 0;

    if (!o || !(t->flags & TF_SACK))
        return;
    if (o->dsack.left != o->dsack.right && n < max) {
        op->sack[n++] = o->dsack;
        o->dsack = (struct tcp_sack_block){0, 0};
    }
    for (uint32_t i = 0; i < o->nsack && n < max; i++)
        op->sack[n++] = o->sack[i];
    op->nsack = (uint8_t)n;
    release_if_empty(sh, t);
}

void tcp_reass_free(struct shard *sh, struct tcb *t)
{
    struct tcp_ofo *o = t->io->ofo;
    struct rte_mbuf *m, *next;

    if (!o)
        return;
    t->io->ofo = NULL;
    list_step();
    for (m = o->head; m; m = next) {
        next = pkt_meta(m)->link;
        ofo_drop(t, m);
    }
    slab_free(&sh->tcp->ofo, o);
}
