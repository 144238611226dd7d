/* tcp_text.c: "seventh, process the segment text" and "eighth, check the FIN bit" (RFC 9293
 * section 3.10.7.4), and when to acknowledge (RFC 5681 section 4.2, RFC 9293 section 3.8.6.3). */
#include <errno.h>

#include "tcp_ext.h"
#include "ip.h"
#include "mark.h"
#include "stamp.h"
#include "tcp_close.h"
#include "tcp_ecn.h"
#include "tcp_input.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_rst.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

void tcp_take_ts(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    if (!(t->flags & TF_TS) || !s->o.has_ts)
        return;
    /* Only what is not beyond Last.ACK.sent, and not older than what we have. */
    if (seq_leq(s->h.seq, t->rcv_wup) && (int32_t)(s->o.tsval - t->ts_recent) >= 0) {
        t->ts_recent = s->o.tsval;
        t->ts_recent_s = tcp_now_ms(sh) / 1000;
    }
}

void tcp_owe_ack(struct shard *sh, struct tcb *t)
{
    if (!(t->flags & TF_ACK_DELAYED)) {
        t->flags |= TF_ACK_DELAYED;
        tcp_deadline_set(sh, t, DL_DELACK, tcp_delack_ms(sh, t));
    }
}

/* In-order text or FIN came: at once, or delayed? */
static void schedule_ack(struct shard *sh, struct tcb *t, bool fin)
{
    uint32_t waiting = t->rcv_nxt - t->rcv_wup;
    bool open = waiting <= t->rcv_mss || tcp_select_window(t) >= t->rcv_wnd;

    /* Every second full segment, unless the window would not move: then its reader will say so (Linux:
     * __tcp_ack_snd_check). More often only where the connection is young and the peer in slow start (Linux's
     * quick ACKs), but not at a FIN: the program will soon have its own to send. */
    if ((waiting > t->rcv_unit && open) || (t->quick && !fin && !(t->flags & TF_PINGPONG)) ||
        (t->opts & TO_QUICKACK))
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    else
        tcp_owe_ack(sh, t);
}

static void measure_rtt(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    uint32_t ms = tcp_tsval(sh, t) - s->o.tsecr;

    if (!(t->flags & TF_TS))
        tcp_rcv_rtt_measure(sh, t, -1);
    else if (s->o.has_ts && s->o.tsecr && s->len >= t->rcv_mss && ms < TCP_RTO_MAX_MS)
        tcp_rcv_rtt_measure(sh, t, (int32_t)ms);
}

enum count tcp_take_text(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    struct pkt_meta *pm = pkt_meta(s->m);
    uint32_t truesize;

    MARK_COUNT(1);
    tcp_rcvq_measure(t, s->m, s->len);
    if (!tcp_rcvq_admit(sh, t, s->m, true)) {
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
        return COUNT_TCP_RCV_FULL;
    }
    pm->seq = s->h.seq;
    pm->off = s->h.hlen + s->skip;
    pm->len = s->len;
    pm->stamp_ns = t->flags & TF_CTL ? stamp_now_ns(sh) : 0;
    pm->flags = 0;
    if (t->flags & TF_ECN)
        tcp_ecn_data(sh, t, s->ri->tos);
    truesize = pm->truesize;
    tcp_rcvq_append(sh, t, s->m);
    s->m = NULL;
    if (s->len >= TCP_GROW_MIN)
        tcp_grow_window(sh, t, truesize, s->len);
    if (t->data_segs_in > 1 && tcp_now_ms(sh) - t->last_rcv_ms > t->rto_ms) /* the peer starts slowly again */
        t->quick = TCP_QUICK_ACKS;
    t->last_rcv_ms = tcp_now_ms(sh);
    measure_rtt(sh, t, s);
    schedule_ack(sh, t, s->h.flags & TCP_FIN);
    if (!(t->flags & TF_LOWAT) || tcp_readable(t))
        pcb_event(sh, &t->pcb, EV_IN);
    return COUNT_OK;
}

/* Text that came again before rcv_nxt is cut off. False: nothing is left, or it stands beyond the window. */
static bool trim(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    uint32_t n;

    if (seq_lt(s->h.seq, t->rcv_nxt)) {
        n = t->rcv_nxt - s->h.seq;
        if (n >= s->len) {
            tcp_reass_dsack(sh, t, s->h.seq, s->h.seq + s->len);
            return false;
        }
        tcp_reass_dsack(sh, t, s->h.seq, t->rcv_nxt);
        s->h.seq += n;
        s->skip += n;
        s->len -= n;
    }
    return seq_lt(s->h.seq, t->rcv_nxt + tcp_rcv_offered(t));
}

/* Beyond rcv_nxt: kept for later, and reported at once (RFC 5681 section 4.2). */
static enum count out_of_order(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    struct pkt_meta *pm = pkt_meta(s->m);
    bool first = !t->io->ofo || !t->io->ofo->head;
    enum count v;

    if ((t->flags & TF_ECN) && s->len)
        tcp_ecn_data(sh, t, s->ri->tos);
    tcp_rcvq_measure(t, s->m, s->len);
    pm->seq = s->h.seq;
    pm->off = s->h.hlen + s->skip;
    pm->len = s->len;
    pm->stamp_ns = t->flags & TF_CTL ? stamp_now_ns(sh) : 0;
    pm->flags = s->h.flags & TCP_FIN ? RCV_FIN : 0;
    v = tcp_reass_insert(sh, t, s->m);
    if (v == COUNT_OK)
        s->m = NULL;
    t->flags &= ~(uint32_t)TF_PINGPONG;
    /* One for each segment (RFC 5681 section 4.2), so that a lost ACK does not take all that is known about
     * the hole with it; a peer without SACK counts them. With SACK the first few are enough, then one a burst
     * (Linux: tcp_comp_sack_nr). */
    if (first)
        t->dup_acks_sent = 0;
    if (!(t->flags & TF_SACK) || t->dup_acks_sent < TCP_DUPTHRESH) {
        t->dup_acks_sent++;
        tcp_send_ack(sh, t);
    } else {
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    }
    return v == COUNT_OK ? TCP_DONE : v;
}

/* The gap is filled: what waited behind it follows. */
static void take_queued(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    if (!t->io->ofo || !t->io->ofo->head)
        return;
    t->dup_acks_sent = 0;
    if (tcp_reass_take(sh, t)) {
        s->h.flags |= TCP_FIN;
        s->end = t->rcv_nxt + 1;
    }
    tcp_at_burst_end(sh, t,
                     TF_ACK_NOW); /* RFC 5681 section 4.2: at once when a gap closes, wholly or in part */
    pcb_event(sh, &t->pcb, EV_IN);
}

enum count tcp_step_text(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    uint32_t seq = s->h.seq;
    enum count v;

    if (s->len == 0)
        return COUNT_OK;
    if (!state_in(t, TCPF(ESTABLISHED) | TCPF(FIN_WAIT_1) | TCPF(FIN_WAIT_2)))
        return COUNT_OK; /* after the peer's FIN there is no text */
    if ((s->h.flags & TCP_CWR) && (t->flags & TF_ECN))
        tcp_ecn_take_cwr(sh, t);
    /* Nobody will read it any more (RFC 2525 section 2.17, Linux: the socket was closed or shut both ways).
     */
    if (t->state != TCPS_ESTABLISHED && (t->shut & 1) && seq_gt(seq + s->len, t->rcv_nxt)) {
        tcp_reset_segment(sh, s);
        tcp_end(sh, t, ECONNRESET);
        return COUNT_TCP_CLOSED_DATA;
    }
    if (!trim(sh, t, s)) {
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
        /* An old FIN may hang on old text; a new one on text that is all here. */
        return (s->h.flags & TCP_FIN) && s->end == t->rcv_nxt + 1 ? COUNT_OK : COUNT_TCP_DUP_DATA;
    }
    if (s->h.seq != t->rcv_nxt)
        return out_of_order(sh, t, s);
    if (seq != s->h.seq) /* partly old */
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    v = tcp_take_text(sh, t, s);
    if (v == COUNT_OK)
        take_queued(sh, t, s);
    return v;
}

enum count tcp_step_fin(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    if (!(s->h.flags & TCP_FIN))
        return TCP_DONE;
    if (s->end != t->rcv_nxt + 1) { /* not next: text before it is missing, or it was taken before */
        if (s->m && s->len == 0 && seq_gt(s->end, t->rcv_nxt + 1) &&
            state_in(t, TCPF(ESTABLISHED) | TCPF(FIN_WAIT_1) | TCPF(FIN_WAIT_2)))
            return out_of_order(sh, t, s);
        if (s->len == 0 && seq_leq(s->end, t->rcv_nxt))
            tcp_reass_dsack(sh, t, s->h.seq, s->end);
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
        return TCP_DONE;
    }
    if (t->flags & TF_FIN_RCVD)
        return TCP_DONE;
    t->rcv_nxt++;
    t->flags |= TF_FIN_RCVD;
    t->shut |= 1;
    tcp_reass_free(sh,
                   t); /* behind a FIN there is nothing, not even a duplicate to report (Linux: tcp_fin) */
    if (t->state == TCPS_ESTABLISHED && t->data_segs_in && t->io->rcv_mem <= t->rcvbuf)
        schedule_ack(sh, t, true);
    else
        tcp_at_burst_end(sh, t, TF_ACK_NOW);
    pcb_event(sh, &t->pcb, EV_IN | EV_RDHUP | (t->shut == 3 ? EV_HUP : 0));
    switch (t->state) {
    case TCPS_ESTABLISHED:
        t->state = TCPS_CLOSE_WAIT;
        t->flags |= TF_PINGPONG;
        break;
    case TCPS_FIN_WAIT_1: /* ours is not acknowledged, or step_ack would have moved on */
        t->state = TCPS_CLOSING;
        break;
    case TCPS_FIN_WAIT_2:
        tcp_send_ack(sh, t);
        tcp_time_wait(sh, t);
        break;
    default:
        break;
    }
    return TCP_DONE;
}
