/* tcp_sndq.h: the send queue, which is the retransmission queue too.
 *
 * Theory of operation. What the user gives is copied once, into send units: mbufs of at most tcb.unit payload
 * bytes, linked by pkt_meta.link, described by pkt_meta's seq, len, flags, retrans and time_us. A unit is the
 * grain of loss recovery: it is sent whole, SACKed whole and lost whole; one that is too long for that (path
 * MTU fell, window too small, SACK edge inside) is split first, without copying. Packets are built from one
 * or more units by reference (tcp_output.c), so a unit's bytes and its mbuf's fields never change once sent:
 * what is left of a unit that was split or acknowledged in part is len bytes from pkt_meta's off on, and a
 * unit is freed by rte_pktmbuf_free_seg, because mbuf->next may be a packet's. tcp_tx.snd_head is the
 * oldest unacknowledged unit, snd_next the first one not sent yet (NULL: all sent), snd_tail the newest.
 *
 * Memory. What SO_SNDBUF bounds is counted as Linux counts it, so that a program that sets it may write as
 * much as there: bytes, and TCP_CHUNK_COST for each chunk. A chunk is what Linux would put into one buffer:
 * up to 64 KiB or half the peer's window, in whole segments (tcp_chunk_goal); one is begun when the newest
 * one is full, was sent wholly, or ends a record, and only then is SO_SNDBUF asked: what was begun may be
 * filled. A chunk of which a part is sent is two from then on. The cost is charged to the first unit of the
 * chunk. What the buffers themselves take is more, by a constant factor; the pool is guarded by
 * tcp_memory_tight.
 */
#ifndef SHUNT_TCP_SNDQ_H
#define SHUNT_TCP_SNDQ_H

#include "tcp_tx.h"

struct tcp_ack_info;

enum tcp_unit_flag {
    UNIT_SACKED = 1u << 0,  /* in a SACK block */
    UNIT_LOST = 1u << 1,    /* taken as lost */
    UNIT_RETRANS = 1u << 2, /* sent again, and that copy is taken as in flight */
    UNIT_START = 1u << 3,   /* was the first of its packet */
    UNIT_PSH = 1u << 4,     /* the packet it ends has PSH */
    UNIT_EOR = 1u << 5,     /* MSG_EOR: nothing is appended, and no packet goes on behind it */
    UNIT_LISTED = 1u << 6,  /* on tcp_tx.rtx_first's list */
};

/* Copies bytes from the iovecs, starting at off, as far as the buffer goes, or until a chunk is full that is
 * next to be sent: then *again is true, the caller lets it go, and comes again. Bytes taken, 0 when the
 * buffer is full, -ENOBUFS when the pool is empty. */
ssize_t tcp_sndq_append(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                        bool *again);
/* Takes a filled packet; each segment of a chain becomes a unit. Bytes; ownership of m passes. -ENOBUFS: out
 * of memory, m stays the caller's. */
ssize_t tcp_sndq_append_mbuf(struct shard *sh, struct tcb *t, struct rte_mbuf *m);
/* tcp_send_grain. */
uint32_t tcp_sndq_grain(const struct tcb *t, uint32_t *first);
/* Payload bytes that tcp_sndq_append would take. */
size_t tcp_sndq_space(const struct tcb *t);
/* Frees what ack covers and trims a unit that it covers in part; adjusts sacked, lost, retrans, and notes in
 * a what the units tell about time and order. */
void tcp_sndq_ack(struct shard *sh, struct tcb *t, uint32_t ack, struct tcp_ack_info *a);
/* Cuts u after len bytes (0 < len < its length); the rest follows it as a unit with the same flags and times.
 * 0 or -ENOBUFS. */
int tcp_sndq_split(struct shard *sh, struct tcb *t, struct rte_mbuf *u, uint32_t len);
void tcp_sndq_free(struct shard *sh, struct tcb *t);

/* Bytes of memory an mbuf stands for: its own buffer, counted whole (an indirect one pins as much, or what it
 * has of an extent). */
static inline uint32_t tcp_mbuf_cost(const struct rte_mbuf *m)
{
    uint32_t room = RTE_MBUF_DIRECT(m) ? m->buf_len : PKT_HEADROOM + PKT_DATA_ROOM;

    if (m->data_len > room)
        room = m->data_len;

    return (uint32_t)(sizeof *m + PKT_PRIV_SIZE) + room;
}

/* tcb.notsent_lowat where the option was not set: the setting's; 0: none. */
static inline uint32_t tcp_default_lowat(const struct tunables *set)
{
    return set->tcp_notsent_lowat == UINT32_MAX ? 0 : (uint32_t)set->tcp_notsent_lowat;
}

#define TCP_CHUNK_COST 832u   /* Linux on x86-64: sk_buff, its head and skb_shared_info */
#define TCP_CHUNK_MAX  65215u /* Linux: sk_gso_max_size - 1 - MAX_TCP_HEADER */

/* How much a chunk may hold (Linux: tcp_xmit_size_goal). */
static inline uint32_t tcp_chunk_goal(const struct tcb *t)
{
    uint32_t goal = t->max_wnd > TCP_MSS_DEFAULT ? t->max_wnd / 2 : t->max_wnd;

    if (goal > TCP_CHUNK_MAX || goal == 0)
        goal = TCP_CHUNK_MAX;
    return goal < t->mss ? t->mss : goal - goal % t->mss;
}

/* TCP_NOTSENT_LOWAT: may send begin no new chunk? */
static inline bool tcp_lowat_full(const struct tcb *t)
{
    uint32_t unsent = t->write_seq - t->snd_nxt, goal;

    if (!t->notsent_lowat || !tcp_has_unsent(t) || unsent < t->notsent_lowat || unsent < t->mss)
        return false;
    goal = tcp_chunk_goal(t);
    return unsent >= (t->notsent_lowat + (uint64_t)goal - 1) / goal * goal;
}

/* Was more than half the peer's window written since the last PSH (Linux: forced_push)? Its reader is to be
 * woken then, though the program goes on writing. */
static inline bool tcp_push_is_due(const struct tcb *t)
{
    return seq_gt(t->write_seq, t->tx->pushed_seq + t->max_wnd / 2);
}

/* What was queued last is to be handed to the peer's reader: the packet it ends has PSH. */
static inline void tcp_mark_push(struct tcb *t)
{
    pkt_meta(t->tx->snd_tail)->flags |= UNIT_PSH;
    t->tx->pushed_seq = t->write_seq;
}

/* Would Linux call the socket writeable (sk_stream_is_writeable): a third of the buffer is free, and
 * TCP_NOTSENT_LOWAT allows. */
static inline bool tcp_writeable(const struct tcb *t)
{
    if (!t->tx)
        return true;
    /* Half of it, so that who is woken has something to do (Linux: tcp_stream_memory_free). */
    if (t->notsent_lowat && t->tx->snd_next && 2ULL * (t->write_seq - t->snd_nxt) >= t->notsent_lowat)
        return false;
    return t->tx->snd_mem + t->tx->snd_mem / 2 <= t->sndbuf;
}

/* A burst begins with unit pm: where that is inside a chunk, its rest becomes another one. */
static inline void tcp_chunk_cut(struct tcb *t, struct pkt_meta *pm)
{
    if (pm->truesize == pm->len) {
        pm->truesize += TCP_CHUNK_COST;
        t->tx->snd_mem += TCP_CHUNK_COST;
        if (!tcp_writeable(
                t)) /* it was when the writer looked: the next poll says no, and waits to be told */
            t->flags |= TF_NOSPACE;
    }
}

#endif
