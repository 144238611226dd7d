/* tcp_sndq.c: send units: append, split, acknowledge. See tcp_sndq.h. */
#include "tcp_sndq.h"

#include <errno.h>
#include <rte_prefetch.h>

#include "ip.h"
#include "mark.h"
#include "tcp_rack.h"
#include "tcp_recover.h"
#include "tcp_table.h"
#include "tcp_undo.h"
#include "user.h"

/* The unit that more bytes may be appended to: the last one, unsent, short, not the end of a record, and with
 * a buffer of its own. */
static struct rte_mbuf *tail_with_room(const struct tcb *t)
{
    struct rte_mbuf *u;

    if (!tcp_has_unsent(t))
        return NULL;
    u = t->tx->snd_tail;
    if (!RTE_MBUF_DIRECT(u) || pkt_meta(u)->len >= t->unit || rte_pktmbuf_tailroom(u) == 0 ||
        (pkt_meta(u)->flags & UNIT_EOR))
        return NULL;
    return u;
}

static uint32_t unit_room(const struct tcb *t, const struct rte_mbuf *u)
{
    uint32_t room = t->unit - u->data_len, tail = rte_pktmbuf_tailroom(u);

    return room < tail ? room : tail;
}

/* Links a filled unit at the end of the queue; charge follows. */
static void queue_unit(struct tcb *t, struct rte_mbuf *u)
{
    struct pkt_meta *pm = pkt_meta(u);
    struct tcp_tx *x = t->tx;

    pm->link = NULL;
    pm->seq = t->write_seq;
    pm->len = u->data_len;
    pm->off = 0;
    pm->flags = 0;
    pm->retrans = 0;
    pm->rate_flags = 0;
    pm->time_us = 0;
    pm->truesize = 0;
    list_step();
    if (x->snd_tail)
        pkt_meta(x->snd_tail)->link = u;
    else
        x->snd_head = u;
    x->snd_tail = u;
    if (!x->snd_next)
        x->snd_next = u;
    t->write_seq += pm->len;
}

/* Buffers for a large append. They are taken together, because they come out of the cache: one miss then
 * overlaps the next, where one by one each would stand between two copies. */
struct stock {
    struct rte_mbuf *m[16];
    uint32_t n;
};

/* A buffer for the first of left bytes. */
static struct rte_mbuf *stock_take(struct shard *sh, const struct tcb *t, struct stock *st, size_t left)
{
    uint32_t want;

    if (st->n == 0) {
        want = left / t->unit < RTE_DIM(st->m) ? (uint32_t)(left / t->unit) : RTE_DIM(st->m);
        if (want < 2 || rte_pktmbuf_alloc_bulk(sh->pool, st->m, want))
            return pkt_alloc(sh);
        for (uint32_t i = 0; i < want; i++)
            rte_prefetch0(pkt_meta(st->m[i]));
        st->n = want;
    }
    return st->m[--st->n];
}

/* Bytes that the newest chunk holds and that were not sent; 0: the next byte begins another. */
static uint32_t open_chunk(const struct tcb *t)
{
    uint32_t unsent = t->write_seq - t->snd_nxt;

    if (!tcp_has_unsent(t) || (pkt_meta(t->tx->snd_tail)->flags & UNIT_EOR))
        return 0;
    return t->tx->chunk < unsent ? t->tx->chunk : unsent;
}

/* n bytes were put into the unit: charges them, and the chunk that they begin. chunk: bytes in it before. */
static void charge(struct tcb *t, struct pkt_meta *pm, uint32_t chunk, uint32_t n)
{
    uint32_t cost = n + (chunk ? 0 : TCP_CHUNK_COST);

    pm->truesize += cost;
    t->tx->snd_mem += cost;
    t->tx->chunk = chunk + n;
}

/* Where the user's bytes come from. */
struct source {
    const struct iovec *iov;
    int left;
    size_t off;
};

static void pass(struct source *s, size_t n)
{
    for (s->off += n; s->left && s->off >= s->iov->iov_len; s->left--)
        s->off -= (s->iov++)->iov_len;
}

/* Puts up to room bytes into u, of as many iovecs as it takes. False: one can't be read. */
static bool fill(struct rte_mbuf *u, struct source *s, uint32_t room, uint32_t *done)
{
    for (*done = 0; *done < room && s->left;) {
        size_t left = s->iov->iov_len - s->off;
        uint32_t n = left < room - *done ? (uint32_t)left : room - *done;

        if (!user_copy(rte_pktmbuf_append(u, (uint16_t)n), (const char *)s->iov->iov_base + s->off, n)) {
            rte_pktmbuf_trim(u, (uint16_t)n);
            return false;
        }
        *done += n;
        pass(s, n);
    }
    return true;
}

static bool may_begin_chunk(const struct shard *sh, const struct tcb *t)
{
    uint32_t held = t->tx->snd_mem;

    return held < t->sndbuf && !tcp_lowat_full(t) && (held <= TCP_MEM_FREE_HAND || !tcp_memory_tight(sh));
}

/* Is the buffer as full as one chunk over SO_SNDBUF makes it? What remains of a chunk that left in part may
 * be filled up again, but not without end (in Linux the bytes in the device's queue bound that). */
static bool is_brimful(const struct tcb *t, uint32_t goal)
{
    return t->tx->snd_mem >= (uint64_t)t->sndbuf + goal + TCP_CHUNK_COST;
}

/* The newest chunk is full, with bytes not sent. Is it to go before more is taken: because nothing goes
 * before it, or because the peer's reader waits? */
static bool chunk_is_due(struct tcb *t, uint32_t chunk)
{
    bool push = tcp_push_is_due(t);

    if (push)
        tcp_mark_push(t);
    return push || chunk == t->write_seq - t->snd_nxt;
}

/* goes_on: not the call's first. */
static ssize_t append(struct shard *sh, struct tcb *t, struct source *s, struct stock *st, bool goes_on,
                      bool *again)
{
    struct tcp_tx *x = t->tx;
    uint32_t goal = tcp_chunk_goal(t), chunk = open_chunk(t), n;
    size_t done = 0;
    bool ok = true, push = false;

    if (chunk && chunk < goal && s->left) { /* it goes on, and within one call with its PSH */
        push = goes_on && (pkt_meta(x->snd_tail)->flags & UNIT_PSH);
        pkt_meta(x->snd_tail)->flags &= (uint8_t)~UNIT_PSH;
    }
    while (ok && s->left) {
        struct rte_mbuf *u = tail_with_room(t);
        bool fresh = !u;

        *again = chunk >= goal && done && goal > t->mss && chunk_is_due(t, chunk);
        if (*again)
            break;
        if (chunk >= goal)
            chunk = 0;
        if (chunk ? is_brimful(t, goal) : !may_begin_chunk(sh, t))
            break;
        if (fresh)
            u = stock_take(sh, t, st, s->iov->iov_len - s->off);
        if (!u)
            return done ? (ssize_t)done : -ENOBUFS;
        n = unit_room(t, u);
        ok = fill(u, s, n < goal - chunk ? n : goal - chunk, &n);
        if (fresh && n)
            queue_unit(t, u);
        else if (fresh)
            rte_pktmbuf_free(u);
        if (!fresh) {
            pkt_meta(u)->len += n;
            t->write_seq += n;
        }
        if (n)
            charge(t, pkt_meta(u), chunk, n);
        chunk += n;
        done += n;
        if (push && chunk >= goal) {
            pkt_meta(x->snd_tail)->flags |= UNIT_PSH;
            push = false;
        }
    }
    if (push)
        pkt_meta(x->snd_tail)->flags |= UNIT_PSH;
    return ok || done ? (ssize_t)done : -EFAULT;
}

ssize_t tcp_sndq_append(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                        bool *again)
{
    struct source s = {iov, iovcnt, 0};
    struct stock st;
    ssize_t n;

    MARK(COPY_IN);
    *again = false;
    if (!tcp_tx_get(sh, t))
        return -ENOBUFS;
    st.n = 0;
    pass(&s, off);
    n = append(sh, t, &s, &st, off != 0, again);
    if (st.n)
        rte_pktmbuf_free_bulk(st.m, st.n);
    return n;
}

ssize_t tcp_sndq_append_mbuf(struct shard *sh, struct tcb *t, struct rte_mbuf *m)
{
    ssize_t done = 0;
    struct rte_mbuf *next;

    if (!tcp_tx_get(sh, t))
        return -ENOBUFS;
    for (; m; m = next) {
        uint32_t chunk = open_chunk(t);

        next = m->next;
        m->next = NULL;
        m->nb_segs = 1;
        m->pkt_len = m->data_len;
        if (m->data_len == 0) {
            rte_pktmbuf_free(m);
            continue;
        }
        done += m->data_len;
        queue_unit(t, m);
        charge(t, pkt_meta(m), chunk < tcp_chunk_goal(t) ? chunk : 0, m->data_len);
    }
    return done;
}

uint32_t tcp_sndq_grain(const struct tcb *t, uint32_t *first)
{
    uint32_t grain = t->mss ? t->mss : TCP_MSS_DEFAULT, tso_max = t->io ? t->io->flow.tso_max : 0;

    if (tso_max > grain) {
        grain = tcp_chunk_goal(t);
        if (grain > tso_max)
            grain = tso_max - tso_max % t->mss;
    }
    *first = grain - open_chunk(t) % grain;
    return grain;
}

size_t tcp_sndq_space(const struct tcb *t)
{
    uint32_t goal = t->mss ? tcp_chunk_goal(t) : TCP_CHUNK_MAX, chunk = open_chunk(t);
    size_t room = chunk && chunk < goal ? goal - chunk : 0, held = t->tx ? t->tx->snd_mem : 0;

    if (room && is_brimful(t, goal))
        return 0;
    if (!tcp_lowat_full(t) && held + room < t->sndbuf)
        room += (t->sndbuf - held - room + goal + TCP_CHUNK_COST - 1) / (goal + TCP_CHUNK_COST) * goal;
    return room;
}

/* n bytes of u are acknowledged: takes them out of the loss accounting. */
static void uncount(struct tcb *t, const struct pkt_meta *pm, uint32_t n)
{
    struct tcp_tx *x = t->tx;

    if (pm->flags & UNIT_SACKED) {
        x->sacked -= n;
        x->sacked_pkts -= n == pm->len && (pm->flags & UNIT_START);
    }
    if (pm->flags & UNIT_LOST)
        x->lost -= n;
    if (pm->flags & UNIT_RETRANS)
        x->retrans -= n;
}

/* Unit pm, of which n bytes are acknowledged, tells when it was sent and whether it was overtaken. */
static void note_acked(struct shard *sh, struct tcb *t, struct pkt_meta *pm, uint32_t n,
                       struct tcp_ack_info *a)
{
    if (pm->retrans) {
        a->flags |= A_RETRANS_ACKED;
    } else if (!(pm->flags & UNIT_SACKED)) {
        a->last_ack_us = pm->time_us;
        if (!a->first_ack_us)
            a->first_ack_us = pm->time_us;
        if (seq_lt(pm->seq, a->reord))
            a->reord = pm->seq;
        if (seq_leq(pm->seq + pm->len, t->tx->recover))
            a->flags |= A_ORIG_ACKED;
    }
    if (!(pm->flags & UNIT_SACKED)) {
        a->delivered += n;
        if ((t->flags & TF_SACK) && !tcp_unit_spurious(t, pm, a))
            tcp_rack_advance(sh, t, pm);
    }
    tcp_rate_delivered(t, pm, &a->rs);
}

void tcp_sndq_ack(struct shard *sh, struct tcb *t, uint32_t ack, struct tcp_ack_info *a)
{
    while (t->tx->snd_head && t->tx->snd_head != t->tx->snd_next) {
        struct rte_mbuf *u = t->tx->snd_head;
        struct pkt_meta *pm = pkt_meta(u);
        uint32_t n = pm->len;

        if (seq_leq(ack, pm->seq))
            break;
        if (pm->link) { /* likely the next to go, and long out of the cache */
            rte_prefetch0(pm->link);
            rte_prefetch0(pkt_meta(pm->link));
        }
        if (seq_lt(ack, pm->seq + n))
            n = ack - pm->seq;
        note_acked(sh, t, pm, n, a);
        uncount(t, pm, n);
        if (n < pm->len) {
            pm->off += n;
            pm->seq += n;
            pm->len -= n;
            pm->truesize -= n;
            t->tx->snd_mem -= n;
            break;
        }
        if (pm->flags & UNIT_LISTED)
            tcp_rack_unlist(t, u);
        if (u == t->tx->rtx_hint)
            t->tx->rtx_hint = NULL;
        if (u == t->tx->rack_next)
            t->tx->rack_next = NULL;
        t->tx->snd_head = pm->link;
        t->tx->snd_mem -= pm->truesize;
        list_step(); /* a process killed from here on loses a buffer; none is freed twice (tcp_mend.c) */
        rte_pktmbuf_free_seg(u);
    }
    if (!t->tx->snd_head)
        t->tx->snd_tail = NULL;
}

int tcp_sndq_split(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len)
{
    struct tcp_tx *x = t->tx;
    struct pkt_meta *pm = pkt_meta(u), *qm;
    struct rte_mbuf *q = rte_pktmbuf_alloc(sh->pool);

    if (!q) {
        tcp_count(sh, COUNT_NOMEM_PKT);
        return -ENOBUFS;
    }
    rte_pktmbuf_attach(q, u);
    qm = pkt_meta(q);
    *qm = *pm;
    qm->off = pm->off + len;
    qm->seq = pm->seq + len;
    qm->len = pm->len - len;
    qm->flags &= (uint8_t) ~(UNIT_START | UNIT_LISTED);
    if (pm->flags & UNIT_LISTED)
        tcp_rack_list_after(t, u, q);
    pm->flags &= (uint8_t) ~(UNIT_PSH | UNIT_EOR);
    pm->truesize -= qm->len;
    qm->truesize = qm->len + TCP_CHUNK_COST; /* a chunk of its own */
    x->snd_mem += TCP_CHUNK_COST;
    if (!tcp_writeable(t)) /* it was when the writer looked: the next poll says no, and waits to be told */
        t->flags |= TF_NOSPACE;
    pm->len = len;
    pm->link = q;
    if (x->snd_tail == u)
        x->snd_tail = q;
    return 0;
}

void tcp_sndq_free(struct shard *sh, struct tcb *t)
{
    struct rte_mbuf *u, *next;

    if (!t->tx)
        return;
    for (u = t->tx->snd_head; u; u = next) {
        t->tx->snd_head = next = pkt_meta(u)->link;
        list_step();
        rte_pktmbuf_free_seg(u);
    }
    t->tx->snd_head = t->tx->snd_next = t->tx->snd_tail = NULL;
    t->tx->snd_mem = 0;
    tcp_recover_reset(sh, t);
}
