/* tcp_sack.c: see tcp_sack.h. */
#include "tcp_sack.h"

#include "tcp_ext.h"
#include "tcp_output.h"
#include "tcp_rack.h"
#include "tcp_table.h"

/* --- runs --- */

struct rte_mbuf *tcp_sack_run_end(struct tcb *t, struct rte_mbuf *u)
{
    struct rte_mbuf *last = u, *n;

    for (;;) {
        if (pkt_meta(last)->run_last)
            last = pkt_meta(last)->run_last;
        n = pkt_meta(last)->link;
        if (!n || n == t->tx->snd_next || !(pkt_meta(n)->flags & UNIT_SACKED))
            break;
        last = n;
    }
    if (last != u)
        pkt_meta(u)->run_last = last;
    return last;
}

/* --- reordering --- */

void tcp_sack_reordered(struct shard *sh, struct tcb *t, uint32_t low, bool by_ts)
{
    uint32_t high = !t->tx->sacked ? t->snd_una : (t->flags & TF_SACK) ? t->tx->fack : t->snd_nxt;
    uint32_t packets, most = (uint32_t)sh->st->set.tcp_max_reordering;

    if (!seq_lt(low, high))
        return;
    packets = (high - low + t->mss - 1) / t->mss;
    if (packets > t->reordering)
        t->reordering = (uint16_t)(packets < most ? packets : most);
    tcp_note_reordering(sh, t);
    tcp_count(sh, by_ts ? COUNT_TCP_TS_REORDER : COUNT_TCP_SACK_REORDER);
}

/* --- marks --- */

void tcp_mark_lost(struct shard *sh, struct tcb *t, struct rte_mbuf *u)
{
    struct tcp_tx *x = t->tx;
    struct pkt_meta *pm = pkt_meta(u);

    if (pm->flags & UNIT_SACKED)
        return;
    if ((pm->flags & (UNIT_LOST | UNIT_RETRANS)) == UNIT_LOST)
        return;
    if (pm->flags & UNIT_LOST)
        tcp_count(sh, COUNT_TCP_LOST_RETRANSMIT);
    else
        x->lost += pm->len;
    if (pm->flags & UNIT_RETRANS)
        x->retrans -= pm->len;
    pm->flags = (uint8_t)((pm->flags & ~UNIT_RETRANS) | UNIT_LOST);
    x->lost_total += pm->len;
    tcp_rack_unlist(t, u);
    if (x->rtx_hint && seq_lt(pm->seq, pkt_meta(x->rtx_hint)->seq))
        x->rtx_hint = u;
}

/* A D-SACK covers unit pm: one of its retransmissions was needless. */
static void take_dsack(struct tcb *t, const struct pkt_meta *pm, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;

    if (!pm->retrans)
        return;
    if (x->undo_on && x->undo_retrans > 0 && (pm->flags & UNIT_START) &&
        seq_gt(pm->seq + pm->len, x->undo_marker))
        x->undo_retrans--;
    if ((pm->flags & UNIT_SACKED) && seq_lt(pm->seq, a->reord))
        a->reord = pm->seq;
}

/* Unit u has arrived. */
static void mark_sacked(struct shard *sh, struct tcb *t, struct rte_mbuf *u, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;
    struct pkt_meta *pm = pkt_meta(u);
    uint32_t end = pm->seq + pm->len;

    tcp_rack_advance(sh, t, pm);
    if (!pm->retrans) {
        /* Sent once, and higher ones came before: reordering. */
        if (x->sacked && seq_lt(pm->seq, x->fack) && seq_lt(pm->seq, a->reord))
            a->reord = pm->seq;
        if (seq_leq(end, x->recover))
            a->flags |= A_ORIG_ACKED;
        if (!a->first_sack_us)
            a->first_sack_us = pm->time_us;
        a->last_sack_us = pm->time_us;
    }
    if (pm->flags & UNIT_LOST) {
        x->lost -= pm->len;
        x->retrans -= pm->flags & UNIT_RETRANS ? pm->len : 0;
        pm->flags &= (uint8_t) ~(UNIT_LOST | UNIT_RETRANS);
    }
    tcp_rack_unlist(t, u);
    pm->flags |= UNIT_SACKED;
    pm->run_last = NULL;
    x->fack = x->sacked ? seq_max(x->fack, end) : end;
    x->sacked += pm->len;
    x->sacked_pkts += (pm->flags & UNIT_START) != 0;
    a->sacked += pm->len;
    a->flags |= A_SACKED;
    tcp_rate_delivered(t, pm, &a->rs);
}

/* --- blocks --- */

/* RFC 2883 section 4: the first block is a D-SACK when it is below SEG.ACK, or inside the second one. Counts
 * what it says. */
static bool take_dsack_block(struct shard *sh, struct tcb *t, const struct tcp_opts *o,
                             struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;
    const struct tcp_sack_block *b = o->sack;
    uint32_t len = b->right - b->left, packets;

    if (seq_lt(b->left, a->ack))
        tcp_count(sh, COUNT_TCP_DSACK_RECV);
    else if (o->nsack > 1 && seq_geq(b->left, b[1].left) && seq_leq(b->right, b[1].right))
        tcp_count(sh, COUNT_TCP_DSACK_OFO_RECV);
    else
        return false;
    packets = (len + t->mss - 1) / t->mss;
    if (seq_lt(b->left, b->right) && len <= t->max_wnd && tcp_ext_get(sh, t))
        t->ext->dsack_dups += packets;
    /* More than was ever offered, or than was sent again: a lie, or the network's own duplicate. */
    if (!seq_lt(b->left, b->right) || len > t->max_wnd || !t->ext ||
        t->ext->dsack_dups > t->ext->total_retrans) {
        tcp_count(sh, COUNT_TCP_DSACK_IGNORED_DUBIOUS);
        return true;
    }
    if (len <= t->mss && x->tlp_out && b->right == x->tlp_high_seq)
        a->flags |= A_DSACK_TLP;
    t->dsack_ever = true;
    /* RACK's window was too small if it sent again what was merely late; a probe says nothing about it. */
    if (t->reord_seen && !(a->flags & A_DSACK_TLP))
        x->dsack_seen = true;
    a->flags |= A_DSACK;
    a->sacked += len;
    if (x->undo_on && x->undo_retrans > 0 && seq_leq(b->right, a->prior_una) &&
        seq_gt(b->right, x->undo_marker)) /* what it is about is gone from the queue */
        x->undo_retrans = x->undo_retrans > (int32_t)packets ? x->undo_retrans - (int32_t)packets : 0;
    return true;
}

/* May a block say this (Linux: tcp_is_sackblock_valid)? */
static bool is_valid(const struct tcb *t, const struct tcp_sack_block *b, bool dsack, uint32_t una)
{
    if (seq_gt(b->right, t->snd_nxt) || !seq_lt(b->left, b->right) || !seq_lt(b->left, t->snd_nxt))
        return false;
    if (seq_gt(b->left, una))
        return true;
    if (!dsack || !t->tx->undo_on || seq_gt(b->right, una))
        return false;
    return seq_geq(b->left, t->tx->undo_marker) ||
           (seq_gt(b->right, t->tx->undo_marker) && seq_geq(b->left, b->right - t->max_wnd));
}

struct block {
    uint32_t left, right;
    bool dsack;
};

/* The usable blocks above SEG.ACK, lowest first; how many. */
static unsigned usable_blocks(struct shard *sh, struct tcb *t, const struct tcp_opts *o, bool dsack,
                              const struct tcp_ack_info *a, struct block *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < o->nsack; i++) {
        struct block x = {o->sack[i].left, o->sack[i].right, dsack && i == 0};
        unsigned k = n;

        if (!is_valid(t, &o->sack[i], x.dsack, a->una)) {
            if (x.dsack)
                tcp_count(sh, t->tx->undo_on ? COUNT_TCP_DSACK_IGNORED_OLD : COUNT_TCP_DSACK_IGNORED_NO_UNDO);
            else if (seq_gt(x.right, a->una) || a->ack == a->una) /* an old ACK's are merely old */
                tcp_count(sh, COUNT_TCP_SACK_BAD);
            continue;
        }
        if (seq_leq(x.right, a->prior_una))
            continue;
        for (; k && seq_gt(b[k - 1].left, x.left); k--)
            b[k] = b[k - 1];
        b[k] = x;
        n++;
    }
    return n;
}

/* --- the cache --- */

void tcp_sack_cache_free(struct shard *sh, struct tcb *t)
{
    struct tcp_sack_cache *c = t->tx->sack_cache;

    t->tx->sack_cache = NULL;
    list_step();
    slab_free(&sh->tcp->sack_cache, c);
}

static bool is_known(const struct tcb *t, const struct block *b)
{
    const struct tcp_sack_cache *c = t->tx->sack_cache;

    for (uint32_t i = 0; c && i < c->n && !b->dsack; i++)
        if (seq_leq(c->e[i].left, b->left) && seq_geq(c->e[i].right, b->right))
            return true;
    return false;
}

/* Where to look for b from: u, or a cached place between it and b. */
static struct rte_mbuf *nearest(const struct tcb *t, struct rte_mbuf *u, const struct block *b)
{
    const struct tcp_sack_cache *c = t->tx->sack_cache;

    for (uint32_t i = 0; c && i < c->n; i++) {
        uint32_t left = c->e[i].left;

        if (c->e[i].u && seq_geq(left, t->snd_una) && seq_leq(left, b->left) &&
            seq_gt(pkt_meta(c->e[i].u)->seq, pkt_meta(u)->seq))
            u = c->e[i].u;
    }
    return u;
}

/* --- the walk --- */

/* What block b says about unit u, that lies in it at least in part. */
static void take_unit(struct shard *sh, struct tcb *t, struct rte_mbuf *u, const struct block *b,
                      struct tcp_ack_info *a)
{
    struct pkt_meta *pm = pkt_meta(u);

    if (b->dsack)
        take_dsack(t, pm, a);
    if (seq_leq(pm->seq + pm->len, a->una)) /* about to go */
        return;
    if (b->dsack && (pm->flags & (UNIT_SACKED | UNIT_RETRANS)) == (UNIT_SACKED | UNIT_RETRANS)) {
        pm->flags &= (uint8_t)~UNIT_RETRANS;
        t->tx->retrans -= pm->len;
    }
    if (pm->flags & UNIT_SACKED)
        return;
    if (seq_lt(pm->seq, b->left) || seq_gt(pm->seq + pm->len, b->right))
        return;
    mark_sacked(sh, t, u, a);
}

/* Walks from u through block b. Where it ended; *first is the unit that holds b's left edge. */
static struct rte_mbuf *walk(struct shard *sh, struct tcb *t, struct rte_mbuf *u, const struct block *b,
                             struct tcp_ack_info *a, uint32_t *steps, struct rte_mbuf **first)
{
    struct rte_mbuf *at = u;

    for (; u && u != t->tx->snd_next && *steps < SACK_WALK_MAX; u = pkt_meta(u)->link) {
        struct pkt_meta *pm = pkt_meta(u);

        if (seq_geq(pm->seq, b->right))
            break;
        ++*steps;
        at = u;
        if ((pm->flags & UNIT_SACKED) && !b->dsack) {
            u = tcp_sack_run_end(t, u);
            if (seq_gt(pkt_meta(u)->seq + pkt_meta(u)->len, b->left) && !*first)
                *first = at;
            at = u;
            continue;
        }
        if (seq_leq(pm->seq + pm->len, b->left))
            continue;
        take_unit(sh, t, u, b, a);
        if (!*first && (pm->flags & UNIT_SACKED))
            *first = u;
    }
    return at;
}

uint32_t tcp_sack_take(struct shard *sh, struct tcb *t, const struct tcp_opts *o, struct tcp_ack_info *a)
{
    struct tcp_tx *x = t->tx;
    bool dsack = take_dsack_block(sh, t, o, a);
    struct tcp_sack_cache now = {0};
    struct rte_mbuf *u = x->snd_head;
    struct block b[TCP_SACK_MAX];
    uint32_t n, steps = 0;

    if (!tcp_flight(t))
        return 0;
    n = usable_blocks(sh, t, o, dsack, a, b);
    for (uint32_t i = 0; i < n && u && u != x->snd_next; i++) {
        struct rte_mbuf *first = NULL;

        if (is_known(t, &b[i])) {
            for (uint32_t k = 0; k < x->sack_cache->n; k++) /* it stays known */
                if (seq_leq(x->sack_cache->e[k].left, b[i].left) &&
                    seq_geq(x->sack_cache->e[k].right, b[i].right))
                    now.e[now.n] = x->sack_cache->e[k];
            now.n++;
            continue;
        }
        u = nearest(t, u, &b[i]);
        u = walk(sh, t, u, &b[i], a, &steps, &first);
        if (!b[i].dsack && first && steps < SACK_WALK_MAX) {
            now.e[now.n].left = pkt_meta(first)->seq;
            now.e[now.n].right = b[i].right;
            now.e[now.n++].u = first;
        }
    }
    if (n && x->sacked && (x->sack_cache || (x->sack_cache = slab_alloc(&sh->tcp->sack_cache))))
        *x->sack_cache = now;
    if (t->ca_state != CA_LOSS || x->undo_on)
        tcp_sack_reordered(sh, t, a->reord, false);
    return steps;
}
