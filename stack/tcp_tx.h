/* tcp_tx.h: what a connection needs only while it sends: tcb.tx.
 *
 * Theory of operation. An idle connection, or one that only receives, has nothing to send and nothing in
 * flight; then all that is below says nothing, and tcb.tx may be NULL: no scoreboard, no recovery, no
 * retransmission, no sample of the delivery rate, no round of slow start. It is made by tcp_tx_get where
 * something is about to be sent that takes up sequence numbers: a SYN, the first data, a FIN. So whoever
 * comes from a unit of the send queue, from an ACK with something in flight, from an RTX, CORK or PACE
 * deadline, or from SYN_SENT or SYN_RECEIVED, finds it there; who asks of a connection in any state looks
 * first, or asks the functions below, which know what its absence means.
 *
 * It is given back by tcp_tx_idle (tcp_io.h's deadline looks now and then), when nothing was sent for
 * TX_IDLE_MS, and at the tcb's end. What the path taught, RTT, cwnd, ssthresh, reordering, stays in the tcb;
 * lost is congestion control's memory of the last reduction, which is kept for TX_STALE_MS, and the right to
 * undo one by D-SACKs that come very late. Algorithms that keep more (tcp_cc.keeps) keep the object. There is
 * no thrashing: a connection that sends again and again gets it once, and the deadline is set once a second.
 *
 * Out of memory: connect and send fail with ENOBUFS, as without packet buffers; a FIN is tried again later.
 */
#ifndef SHUNT_TCP_TX_H
#define SHUNT_TCP_TX_H

#include "tcp_io.h"

#define TX_STALE_MS 60000 /* once cwnd was reduced */

struct tcp_sack_cache; /* tcp_sack.h */

struct tcp_tx {
    /* What each data segment and ACK touches. */
    struct rte_mbuf *snd_head, *snd_next, *snd_tail; /* tcp_sndq.h; snd_next: first unsent */
    uint32_t snd_mem, chunk;  /* tcp_sndq.h: bytes charged; bytes in the newest chunk */
    uint32_t pushed_seq;      /* the end of what was last marked with PSH */
    uint32_t snd_sml;         /* Minshall: the end of the last small segment sent */
    uint32_t chrono_start_ms; /* tcp_info.h: since when the chronograph runs, what is before is counted */
    uint32_t deadline_ms[DL_MAX - DL_TX];
    uint8_t retries;  /* consecutive timeouts; probes when TF_PROBING */
    uint8_t rtx_kind; /* enum tcp_rtx: what DL_RTX stands for */
    uint8_t dupacks;
    bool undo_on : 1;
    bool rack_advanced : 1;
    bool dsack_seen : 1;            /* a D-SACK this round that says the window was too small */
    bool tlp_out : 1;               /* a probe was sent and is not judged yet */
    bool tlp_retrans : 1;           /* it was a retransmission */
    bool frto : 1;                  /* RFC 5682 is under way */
    bool frto_new : 1;              /* its step 2.b: new data goes before retransmissions */
    bool sack_reneg : 1;            /* this episode began by reneging */
    uint32_t sacked, lost, retrans; /* bytes of units so marked; sacked also counts dup ACKs without
                                       SACK: pipe = snd_nxt - snd_una - sacked - lost + retrans */
    uint32_t max_out, cwnd_use_seq; /* most bytes in flight since snd_una passed cwnd_use_seq */
    uint32_t rtt_seq, mdev_max_us4; /* tcp_rtt.c */
    uint64_t rack_us;               /* RFC 8985 RACK.xmit_ts, and below RACK.end_seq, RACK.rtt */
    uint32_t rack_end_seq, rack_rtt_us;
    /* Delivery rate (tcp_rate.h). Bytes, and the low 32 bits of the microsecond clock. */
    uint32_t delivered;     /* acknowledged or SACKed, ever */
    uint32_t delivered_us;  /* when delivered last changed, or a flight began */
    uint32_t first_sent_us; /* when the unit was sent that was delivered last, or a flight began */
    uint32_t app_limited;   /* until delivered passes this the application is the limit; 0: it is not */
    uint32_t lost_total;    /* marked as lost, ever */
    uint32_t rtx_first_ms;  /* when the oldest unacknowledged retransmission episode began */
    uint32_t cc_priv[8];    /* the congestion control's own (tcp_cc.h) */
    uint32_t recover;       /* RFC 6582: snd_nxt when recovery began */
    uint32_t iss, irs;      /* RFC 9293's, in SYN_SENT and SYN_RECEIVED */
    /* Loss recovery (tcp_sack.h, tcp_rack.h, tcp_recover.h, tcp_prr.h, tcp_undo.h). */
    uint32_t sacked_pkts;            /* packets SACKed: units with UNIT_START */
    uint32_t fack;                   /* the end of the highest unit SACKed, while sacked with SACK */
    uint32_t prior_cwnd;             /* when the last reduction of cwnd began */
    uint32_t prior_ssthresh;         /* what undo goes back to; 0: it must not */
    uint32_t prr_delivered, prr_out; /* RFC 6937: bytes since the reduction began */
    uint32_t undo_marker;            /* snd_una then, when undo_on */
    int32_t undo_retrans;            /* packets sent again and not found needless; -1: none sent yet */
    uint32_t retrans_stamp_ms;       /* of the episode's first retransmission; 0: none */
    uint32_t tlp_high_seq;           /* RFC 8985 TLP.end_seq, when tlp_out */
    uint32_t rack_last_delivered;    /* delivered when the window was last widened */
    struct rte_mbuf *rtx_hint;       /* no unit before it is lost and unsent; NULL: start at the head */
    struct rte_mbuf *rack_next;      /* no unit before it is judged by its first sending; NULL: the head */
    struct rte_mbuf *rtx_first, *rtx_last; /* units sent again and in flight, by time (tcp_rack.h) */
    struct tcp_sack_cache *sack_cache;     /* the last ACK's blocks (tcp_sack.h); NULL: none */
};

/* t's, made when there is none. NULL: out of memory (counted). Context: the shard's lock. */
struct tcp_tx *tcp_tx_new(struct shard *sh, struct tcb *t);
static inline struct tcp_tx *tcp_tx_get(struct shard *sh, struct tcb *t)
{
    return __builtin_expect(t->tx != NULL, 1) ? t->tx : tcp_tx_new(sh, t);
}
/* Is a FIN queued that there was no memory to send? DL_KEEP is then for it alone: it brings it up again. */
static inline bool tcp_fin_waits(const struct tcb *t)
{
    return !t->tx && (t->flags & TF_FIN_QUEUED) && t->snd_nxt == t->write_seq;
}
/* tcp_io_idle's: gives tx back when it is not needed. In how many milliseconds to look again; 0: it stays to
 * the end. */
uint32_t tcp_tx_idle(struct shard *sh, struct tcb *t);
/* The tcb begins anew, or ends. The send queue is empty. */
void tcp_tx_free(struct shard *sh, struct tcb *t);

/* Of a connection in any state. */
static inline uint8_t tcp_retries(const struct tcb *t)
{
    return t->tx ? t->tx->retries : 0;
}

/* Is there data that was not sent yet? */
static inline bool tcp_has_unsent(const struct tcb *t)
{
    return t->tx && t->tx->snd_next;
}

/* May cwnd grow, being used (Linux: tcp_is_cwnd_limited)? In slow start half of it is enough. */
static inline bool tcp_cwnd_used(const struct tcb *t)
{
    if (t->flags & TF_CWND_LIMITED)
        return true;
    return t->cwnd < t->ssthresh && t->cwnd < 2 * t->tx->max_out;
}

/* The oldest unit that is in flight, or NULL. */
static inline struct rte_mbuf *tcp_oldest_sent(const struct tcb *t)
{
    return t->tx && t->tx->snd_head != t->tx->snd_next ? t->tx->snd_head : NULL;
}

#endif
