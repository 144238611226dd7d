/* tcp_rcvq.c: the receive queue, receive window and receive buffer auto-tuning. See tcp_rcvq.h. */
#include "tcp_rcvq.h"

#include <sys/socket.h>

#include "ip.h"
#include "mark.h"
#include "tcp_ext.h"
#include "tcp_mss.h"
#include "tcp_sndq.h"
#include "tcp_table.h"
#include "user.h"

#define RATIO_INIT   128u
#define RATIO_MIN    16u
#define RATIO_MAX    255u
#define RCV_COPY_MAX 592 /* payloads up to a quarter of a buffer are worth a copy into the last one's end */
#define RCV_OVERHEAD 256u

/* The MSS that we offered, less the options of each segment (Linux: tcp_sock.advmss). */
static uint32_t own_mss(const struct tcb *t)
{
    return tcp_advertised_mss(t->io->flow.mtu, &t->pcb.remote.addr, t->user_mss) -
           (t->flags & TF_TS ? TCP_TS_OPT_LEN : 0u);
}

/* Linux: tcp_init_buffer_space. One segment's room stays free behind the largest window. */
static void first_ssthresh(struct tcb *t)
{
    uint32_t mss = own_mss(t), full = tcp_win_from_space(t, t->rcvbuf);

    if (!t->window_clamp || t->window_clamp > full)
        t->window_clamp = full;
    if (!(t->flags & TF_WSCALE) && t->window_clamp > UINT16_MAX)
        t->window_clamp = UINT16_MAX;
    if (t->window_clamp > 2 * mss && t->window_clamp + mss > full)
        t->window_clamp = full > 3 * mss ? full - mss : 2 * mss;
    t->rcv_ssthresh = RTE_MIN(t->rcv_wnd, t->window_clamp);
}

void tcp_rcvq_init(struct shard *sh, struct tcb *t)
{
    t->rcv_ratio = RATIO_INIT;
    t->rcv_mss = t->rcv_unit = TCP_MSS_DEFAULT;
    first_ssthresh(t);
    t->io->drs_seq = t->copied_seq;
    t->io->drs_us = tcp_now_us(sh);
    t->drs_space = RTE_MIN(10 * own_mss(t), RTE_MIN(t->rcv_wnd, t->rcv_ssthresh));
    t->rcv_rtt_us = 0;
    if (t->flags & TF_TS)
        return;
    t->rcv_rtt_seq = t->rcv_nxt + t->rcv_wnd;
    t->rcv_rtt_start_us = t->io->drs_us;
}

void tcp_set_window_clamp(struct tcb *t, uint32_t clamp)
{
    uint32_t was = t->window_clamp;

    t->window_clamp = RTE_MAX(clamp, TCP_RCVBUF_MIN / 2);
    if (t->window_clamp < was)
        t->rcv_ssthresh = RTE_MIN(t->rcv_ssthresh, t->window_clamp);
    else
        t->rcv_ssthresh = RTE_MAX(t->rcv_ssthresh, RTE_MIN(t->rcv_wnd, t->window_clamp));
}

/* What a packet counts for. In order, in buffers of the stack's own size: its bytes and a little, because
 * Linux merges such packets and gives their heads back (tcp_try_coalesce); a buffer that is half empty here
 * would else close the window to a peer that writes less than a segment at a time. Out of order, or in
 * buffers of another size: the whole. */
static uint32_t chain_cost(const struct rte_mbuf *m, bool in_order)
{
    uint32_t cost = 0;

    for (; m; m = m->next)
        cost += in_order && (!RTE_MBUF_DIRECT(m) || m->buf_len == PKT_HEADROOM + PKT_DATA_ROOM)
                    ? m->data_len + RCV_OVERHEAD
                    : tcp_mbuf_cost(m);
    return cost;
}

void tcp_rcvq_measure(struct tcb *t, const struct rte_mbuf *m, uint32_t len)
{
    uint32_t ratio, seg = len;

    if (len <= t->rcv_unit)
        return;
    if ((m->ol_flags & RTE_MBUF_F_RX_LRO) && m->tso_segsz && m->tso_segsz < len)
        seg = m->tso_segsz;
    if (seg == t->rcv_mss && len < 2u * t->rcv_unit)
        return;
    t->rcv_unit = (uint16_t)RTE_MIN(len, (uint32_t)UINT16_MAX);
    t->rcv_mss = (uint16_t)RTE_MIN(seg, own_mss(t));
    ratio = (uint32_t)((uint64_t)len * 256 / chain_cost(m, true));
    ratio = RTE_MIN(RTE_MAX(ratio, RATIO_MIN), RATIO_MAX);
    if (ratio == t->rcv_ratio)
        return;
    t->rcv_ratio = (uint8_t)ratio;
    tcp_set_window_clamp(t, tcp_win_from_space(t, t->rcvbuf));
    t->drs_space = RTE_MIN(t->drs_space, t->window_clamp);
}

/* Would packets like this one, of len bytes of text, fill the buffer before they fill the window? How much
 * the window may grow by it, 0: not at all (Linux: __tcp_grow_window). The more a packet wastes, the smaller
 * the share of the largest buffer up to which it lets the window grow. */
static uint32_t growth(const struct shard *sh, const struct tcb *t, uint32_t truesize, uint32_t len)
{
    uint32_t window = tcp_win_from_space(t, (uint32_t)sh->st->set.tcp_rmem_max) / 2;

    truesize = tcp_win_from_space(t, truesize);
    if (truesize <= len)
        return 2 * own_mss(t);
    for (truesize /= 2; t->rcv_ssthresh <= window; truesize /= 2, window /= 2)
        if (truesize <= len)
            return 2u * t->rcv_mss;
    return 0;
}

void tcp_grow_window(struct shard *sh, struct tcb *t, uint32_t truesize, uint32_t len)
{
    uint32_t room = tcp_rcv_space(t), by;

    room = RTE_MIN(room, t->window_clamp);
    if (room <= t->rcv_ssthresh)
        return;
    room -= t->rcv_ssthresh;
    if (tcp_memory_tight(sh)) {
        t->rcv_ssthresh = RTE_MIN(t->rcv_ssthresh, 4 * own_mss(t));
        return;
    }
    by = growth(sh, t, truesize, len);
    if (!by)
        return;
    by = RTE_MAX(by, 2 * len);
    t->rcv_ssthresh += RTE_MIN(by, room);
    t->quick |= 1;
}

/* Throws away what is out of order, newest first, until there is room: the peer has SACK's renege rule (RFC
 * 2018 section 8). */
static void prune_ofo(struct shard *sh, struct tcb *t)
{
    if (!t->io->ofo || !t->io->ofo->head)
        return;
    tcp_count(sh, COUNT_TCP_OFO_DROP);
    tcp_reass_free(sh, t);
}

/* The peer may fill the window that it was offered with packets that waste more memory than those it was
 * reckoned by: the buffer grows to take them, as far as it may (Linux: tcp_clamp_window). */
static void grow_for(const struct shard *sh, struct tcb *t, uint32_t mem)
{
    uint32_t max = (uint32_t)sh->st->set.tcp_rmem_max;

    if ((t->opts & TO_RCVBUF_LOCK) || t->rcvbuf >= max || tcp_memory_tight(sh))
        return;
    t->rcvbuf = RTE_MIN(RTE_MAX(t->rcvbuf, mem), max);
    if (mem > t->rcvbuf)
        t->rcv_ssthresh = RTE_MIN(t->window_clamp, 2 * own_mss(t));
}

bool tcp_rcvq_admit(struct shard *sh, struct tcb *t, struct rte_mbuf *m, bool in_order)
{
    struct pkt_meta *pm = pkt_meta(m);

    pm->truesize = chain_cost(m, in_order);
    if (t->io->rcv_mem > TCP_MEM_FREE_HAND && tcp_memory_tight(sh))
        return false;
    if (t->io->rcv_mem + pm->truesize <= 2 * t->rcvbuf || t->io->rcv_mem == 0)
        return true;
    grow_for(sh, t, t->io->rcv_mem + pm->truesize);
    if (t->io->rcv_mem + pm->truesize <= 2 * t->rcvbuf)
        return true;
    if (in_order)
        prune_ofo(sh, t);
    return in_order && t->io->rcv_mem + pm->truesize <= 2 * t->rcvbuf;
}

/* Copies a small packet's payload behind the last queued byte, when that buffer is ours alone and has room.
 */
static bool append_by_copy(struct tcb *t, struct rte_mbuf *m)
{
    struct rte_mbuf *tail = t->io->rcv_tail, *last;
    struct pkt_meta *pm = pkt_meta(m), *tm;
    char *to;

    if (!tail || pm->len > RCV_COPY_MAX)
        return false;
    tm = pkt_meta(tail);
    if (tm->off + tm->len != tail->pkt_len)
        return false;
    last = rte_pktmbuf_lastseg(tail);
    if (!RTE_MBUF_DIRECT(last) || rte_mbuf_refcnt_read(last) != 1 || rte_pktmbuf_tailroom(last) < pm->len)
        return false;
    to = rte_pktmbuf_append(tail, (uint16_t)pm->len);
    const void *from = rte_pktmbuf_read(m, pm->off, pm->len, to);
    if (from != to)
        memcpy(to, from, pm->len);
    tm->len += pm->len;
    if (pm->stamp_ns) /* of the newest byte (Linux: tcp_try_coalesce) */
        tm->stamp_ns = pm->stamp_ns;
    return true;
}

void tcp_rcvq_append(struct shard *sh, struct tcb *t, struct rte_mbuf *m)
{
    struct pkt_meta *pm = pkt_meta(m);
    struct tcp_io *x = t->io;

    t->rcv_nxt += pm->len;
    t->bytes_received += pm->len;
    if (pm->len == 0 || append_by_copy(t, m)) {
        rte_pktmbuf_free(m);
        return;
    }
    pm->link = NULL;
    x->rcv_mem += pm->truesize;
    list_step();
    if (x->rcv_tail)
        pkt_meta(x->rcv_tail)->link = m;
    else
        x->rcv_head = m;
    x->rcv_tail = m;
}

void tcp_rcvbuf_grow(struct shard *sh, struct tcb *t, uint32_t space)
{
    uint32_t was = t->drs_space;
    uint64_t win = 2ULL * space + 16u * t->mss, buf, max = (uint64_t)sh->st->set.tcp_rmem_max;

    t->drs_space = space;
    if ((t->opts & TO_RCVBUF_LOCK) || !was || !sh->st->set.tcp_moderate_rcvbuf)
        return;
    win += 2 * (win * (space - was) / was);
    if (t->io->ofo && t->io->ofo->tail)
        win += pkt_meta(t->io->ofo->tail)->seq + pkt_meta(t->io->ofo->tail)->len - t->rcv_nxt;
    buf = win * 256 / t->rcv_ratio;
    if (buf > max)
        buf = max;
    if (buf <= t->rcvbuf || tcp_memory_tight(sh))
        return;
    t->rcvbuf = (uint32_t)buf;
    t->window_clamp = tcp_win_from_space(t, t->rcvbuf);
}

/* Linux: dynamic right-sizing. */
static void right_size(struct shard *sh, struct tcb *t)
{
    uint32_t now_us = tcp_now_us(sh), copied;
    struct tcp_io *x = t->io;

    if (t->rcv_rtt_us == 0 || now_us - x->drs_us < t->rcv_rtt_us)
        return;
    copied = t->copied_seq - x->drs_seq;
    if (copied > t->drs_space)
        tcp_rcvbuf_grow(sh, t, copied);
    x->drs_seq = t->copied_seq;
    x->drs_us = now_us;
}

void tcp_rcv_rtt_measure(struct shard *sh, struct tcb *t, int32_t tsecr_ms)
{
    uint32_t now_us = tcp_now_us(sh), sample;

    if (tsecr_ms >= 0) {
        sample = tsecr_ms ? (uint32_t)tsecr_ms * 1000 : 1000;
    } else { /* the time in which one window's worth came */
        if (seq_lt(t->rcv_nxt, t->rcv_rtt_seq))
            return;
        sample = now_us - t->rcv_rtt_start_us;
        t->rcv_rtt_seq = t->rcv_nxt + t->rcv_wnd;
        t->rcv_rtt_start_us = now_us;
    }
    if (sample == 0)
        sample = 1;
    if (t->rcv_rtt_us == 0 || sample < t->rcv_rtt_us)
        t->rcv_rtt_us = sample;
    else
        t->rcv_rtt_us += (int32_t)(sample - t->rcv_rtt_us) / 8;
}

/* Copies n bytes that stand off bytes into the chain. False: to is not there (user.h). */
static bool copy_from_chain(const struct rte_mbuf *m, uint32_t off, uint32_t n, char *to)
{
    while (off >= m->data_len) {
        off -= m->data_len;
        m = m->next;
    }
    while (n) {
        uint32_t here = m->data_len - off;

        if (here > n)
            here = n;
        if (!user_copy(to, rte_pktmbuf_mtod_offset(m, const char *, off), here))
            return false;
        to += here;
        n -= here;
        off = 0;
        m = m->next;
    }
    return true;
}

/* A place in an iovec array. */
struct iov_pos {
    const struct iovec *iov;
    int left;
    size_t off;
};

/* Copies (or, with discard, counts) up to len bytes at off of m to the iovecs. Bytes. Where an iovec can't be
 * written p->left becomes 0. */
static uint32_t read_packet(struct rte_mbuf *m, uint32_t off, uint32_t len, struct iov_pos *p, bool discard)
{
    uint32_t done = 0;

    while (done < len && p->left) {
        size_t room = p->iov->iov_len - p->off;
        uint32_t n = room < len - done ? (uint32_t)room : len - done;

        if (n && !discard && !copy_from_chain(m, off + done, n, (char *)p->iov->iov_base + p->off)) {
            p->left = 0;
            break;
        }
        done += n;
        p->off += n;
        if (p->off == p->iov->iov_len) {
            p->iov++;
            p->left--;
            p->off = 0;
        }
    }
    return done;
}

static size_t peek(const struct tcb *t, struct iov_pos *p, size_t skip, bool discard, size_t max)
{
    size_t done = 0;

    for (struct rte_mbuf *m = t->io->rcv_head; m && p->left && done < max; m = pkt_meta(m)->link) {
        const struct pkt_meta *pm = pkt_meta(m);
        uint32_t n;

        if (skip >= pm->len) {
            skip -= pm->len;
            continue;
        }
        n = pm->len - (uint32_t)skip < max - done ? pm->len - (uint32_t)skip : (uint32_t)(max - done);
        done += read_packet(m, pm->off + (uint32_t)skip, n, p, discard);
        if (t->flags & TF_CTL)
            t->ext->rx_stamp_ns = pm->stamp_ns;
        skip = 0;
    }
    return done;
}

/* n bytes of the oldest packet are read. True when that was all of it, and it is gone. */
static bool consume(struct tcb *t, uint32_t n)
{
    struct tcp_io *x = t->io;
    struct rte_mbuf *m = x->rcv_head;
    struct pkt_meta *pm = pkt_meta(m);

    t->copied_seq += n;
    pm->off += n;
    pm->seq += n;
    pm->len -= n;
    if (pm->len)
        return false;
    x->rcv_head = pm->link;
    if (!x->rcv_head)
        x->rcv_tail = NULL;
    x->rcv_mem -= pm->truesize;
    list_step(); /* as tcp_sndq_ack */
    rte_pktmbuf_free(m);
    return true;
}

size_t tcp_rcvq_read(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, int flags,
                     size_t peek_off, size_t max)
{
    struct iov_pos p = {iov, iovcnt, 0};
    bool discard = flags & MSG_TRUNC;
    struct tcp_io *x = t->io;
    size_t done = 0;

    MARK(COPY_OUT);
    if (flags & MSG_PEEK)
        return peek(t, &p, peek_off, discard, max);
    while (x->rcv_head && p.left && done < max) {
        const struct pkt_meta *pm = pkt_meta(x->rcv_head);
        uint32_t n = pm->len < max - done ? pm->len : (uint32_t)(max - done);

        n = read_packet(x->rcv_head, pm->off, n, &p, discard);
        done += n;
        if (t->flags & TF_CTL)
            t->ext->rx_stamp_ns = pm->stamp_ns;
        if (!consume(t, n))
            break;
    }
    right_size(sh, t);
    return done;
}

void tcp_rcvq_skip(struct tcb *t)
{
    if (tcp_has_unread(t))
        consume(t, 1);
}

void tcp_rcvq_free(struct shard *sh, struct tcb *t)
{
    struct tcp_io *x = t->io;
    struct rte_mbuf *m, *next;

    if (!x)
        return;
    for (m = x->rcv_head; m; m = next) {
        x->rcv_head = next = pkt_meta(m)->link;
        x->rcv_mem -= pkt_meta(m)->truesize;
        list_step();
        rte_pktmbuf_free(m);
    }
    x->rcv_head = x->rcv_tail = NULL;
    tcp_reass_free(sh, t);
}

uint32_t tcp_select_window(struct tcb *t)
{
    uint32_t room = tcp_rcv_space(t), allowed = tcp_win_from_space(t, t->rcvbuf), scale = 1u << t->rcv_wscale;
    uint32_t full = RTE_MIN(t->window_clamp, allowed), mss = RTE_MIN((uint32_t)t->rcv_mss, full);
    uint32_t window = t->rcv_wnd;

    if (room < full / 2) {
        t->quick = 0;
        room &= ~(scale - 1);
        if (room < allowed / 16 || room < mss)
            return 0;
    }
    room = RTE_MIN(room, t->rcv_ssthresh);
    if (scale > 1)
        return (room + scale - 1) & ~(scale - 1);
    if (window + mss <= room || window > room)
        window = mss ? room - room % mss : 0;
    else if (mss == full && room > window + full / 2)
        window = room;
    return window;
}

uint32_t tcp_rcv_window(struct tcb *t)
{
    uint32_t cur = tcp_rcv_offered(t), window = tcp_select_window(t), scale = 1u << t->rcv_wscale;

    if (window < cur) /* never a shrinking window (RFC 9293 section 3.8.6) */
        window = (cur + scale - 1) & ~(scale - 1);
    return RTE_MIN(window, 65535u << t->rcv_wscale);
}
