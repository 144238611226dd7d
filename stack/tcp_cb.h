/* tcp_cb.h: the TCP control block and the shard's TCP tables. Known to tcp_*.c alone.
 *
 * Theory of operation. A connection is a struct tcb from SYN_SENT or the last ACK of a passive handshake
 * until TIME_WAIT; before that it is a struct synreq (tcp_synq.h), after it a struct tw (tcp_tw.h), both much
 * smaller. A listener is a tcb too: what it needs and what a connection needs share a union.
 *
 * Sequence numbers. snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, iss, rcv_nxt, rcv_wnd, irs are RFC 9293's
 * variables, host order. snd_nxt never goes back: what must be sent again is marked in its send unit
 * (tcp_sndq.h). write_seq is the sequence number after the last byte the user gave; a FIN, once asked for,
 * has that number. rcv_wnd is the window as last offered, counted from rcv_wup (RFC 7323's Last.ACK.sent), so
 * that the right edge is rcv_wup + rcv_wnd.
 *
 * Lifetimes. tcp_open makes a tcb; it is freed (tcb_free) by the user's close when nothing is left to do, or
 * later, as an orphan, by whoever ends it (tcp_done). A child waits in its listener's accept queue with
 * TF_ACCEPTQ: it is then freed by the listener's end at the earliest. While a socket is attached (pcb.user)
 * or TF_ACCEPTQ is set, a finished tcb stays as TCPS_CLOSE, so that the user can still read data and error.
 *
 * Size. A tcb is what an idle connection needs, so that this, its socket and its places in tables stay below
 * 512 bytes. What it needs besides while segments come or go is a struct tcp_io (tcp_io.h), and while it
 * sends a struct tcp_tx (tcp_tx.h), both made at need and given back when nothing happened for a while; what
 * few connections need at all is in a struct tcp_ext (tcp_ext.h). Hot fields come first.
 */
#ifndef SHUNT_TCP_CB_H
#define SHUNT_TCP_CB_H

#include "pcb.h"
#include "pkt.h"
#include "seq.h"
#include "stack.h"
#include "tcp.h"
#include "wire_tcp.h"

/* Linux's numbers (tcp_states.h), which ss and TCP_INFO show. */
enum tcp_state {
    TCPS_ESTABLISHED = 1,
    TCPS_SYN_SENT,
    TCPS_SYN_RECEIVED,
    TCPS_FIN_WAIT_1,
    TCPS_FIN_WAIT_2,
    TCPS_TIME_WAIT,
    TCPS_CLOSE,
    TCPS_CLOSE_WAIT,
    TCPS_LAST_ACK,
    TCPS_LISTEN,
    TCPS_CLOSING,
};

/* state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)) */
#define TCPF(s) (1u << TCPS_##s)

enum tcb_flag {
    TF_SACK = 1u << 0,          /* negotiated: SACK */
    TF_TS = 1u << 1,            /* negotiated: timestamps */
    TF_WSCALE = 1u << 2,        /* negotiated: window scale */
    TF_NODELAY = 1u << 3,       /* TCP_NODELAY */
    TF_CORK = 1u << 4,          /* TCP_CORK */
    TF_MORE = 1u << 5,          /* the last send had MSG_MORE */
    TF_FIN_QUEUED = 1u << 6,    /* the user closed its side: FIN follows the send queue */
    TF_ACK_NOW = 1u << 7,       /* an ACK is due at the end of this burst */
    TF_ACK_DELAYED = 1u << 8,   /* an ACK is due at delack_ms at the latest */
    TF_PINGPONG = 1u << 9,      /* request and response: ACKs ride on data */
    TF_CLOSED = 1u << 10,       /* the user's close was called */
    TF_MINTTL = 1u << 12,       /* IP_MINTTL, IPV6_MINHOPCOUNT (tcp_ext.h) */
    TF_NOSPACE = 1u << 14,      /* a writer met a full send buffer */
    TF_ACCEPTQ = 1u << 15,      /* waits in the listener's accept queue */
    TF_PROBING = 1u << 17,      /* the retransmission deadline is a persist one (window probe) */
    TF_CWND_LIMITED = 1u << 18, /* the last output stopped at cwnd, so cwnd may grow */
    TF_CORK_DUE = 1u << 19,     /* the 200 ms of a cork are over: partial segments may go */
    TF_FIN_RCVD = 1u << 20,     /* the peer's FIN has been consumed */
    TF_SYN_RETRANS = 1u << 21,  /* the SYN was sent more than once (RFC 6298 section 5.7) */
    TF_PASSIVE = 1u << 22,      /* came by a listener */
    TF_OUTPUT = 1u << 23,       /* tcp_output is to run at the end of this burst */
    TF_URG = 1u << 24,          /* urgent data is under way in either direction (tcp_urg.h) */
    TF_CTL = 1u << 25,          /* recvmsg gives control messages (tcp_stamp.h) */
    TF_TXSTAMP = 1u << 26,      /* what is sent gets time stamps (tcp_stamp.h) */
    TF_MD5 = 1u << 27,          /* segments are signed (tcp_md5.h) */
    TF_LOWAT = 1u << 11,        /* SO_RCVLOWAT above 1 */
    TF_MTUP = 1u << 28,         /* searches the path's MTU (tcp_mtup.h) */
    TF_TFO = 1u << 29,          /* Fast Open under way (tcp_tfo.h): SYN_SENT, SYN_RECEIVED */
    TF_PACED = 1u << 31,        /* data leaves at a rate; tcb.ext->pace is there (tcp_pace.h) */
    TF_ECN = 1u << 30,          /* negotiated: ECN (tcp_ecn.h); in SYN_SENT: asked for */
};

/* tcb.opts: what options say that no segment's way asks for. */
enum tcb_opt {
    TO_LINGER = 1u << 0,      /* SO_LINGER on */
    TO_SNDBUF_LOCK = 1u << 1, /* SO_SNDBUF set: no auto-tuning */
    TO_RCVBUF_LOCK = 1u << 2, /* SO_RCVBUF set */
    TO_KEEPALIVE = 1u << 3,   /* SO_KEEPALIVE */
    TO_LOWAT = 1u << 4,       /* TCP_NOTSENT_LOWAT was set, it is not the setting's */
    TO_QUICKACK = 1u << 5,    /* the route says that no ACK is to wait (tcp_metrics.h) */
};

/* Congestion states, with TCP_INFO's numbers. */
enum tcp_ca { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS };

/* What the one wheel node stands for (tcp_timer.h). */
enum tcp_deadline {
    DL_KEEP,           /* in the tcb: keepalive; the end of an orphan's FIN_WAIT_2; a FIN without memory */
    DL_IO,             /* those from here on are in its io */
    DL_DELACK = DL_IO, /* delayed ACK */
    DL_IDLE,           /* tx and io may be given back, if nothing came or went since */
    DL_TX,             /* and those from here on in its tx */
    DL_RTX = DL_TX,    /* retransmission (enum tcp_rtx), or persist when TF_PROBING */
    DL_CORK,           /* the 200 ms of a cork */
    DL_PACE,           /* the next packet of a paced connection */
    DL_MAX
};

/* What the retransmission deadline is about (with TF_PROBING: a window probe). */
enum tcp_rtx {
    RTX_RTO, /* RFC 6298 */
    RTX_REO, /* RFC 8985 section 6.3: the reordering window of what RACK did not judge yet */
    RTX_TLP, /* RFC 8985 section 7: a tail loss probe */
};

#define TCP_UNIT_MAX       PKT_DATA_ROOM /* bytes a send unit made by tcp_send */
#define TCP_COPY_MAX       512  /* payloads up to here are copied into the header's mbuf instead of chained */
#define TCP_MSS_MIN        48   /* smallest MSS taken from a peer (Linux: tcp_min_snd_mss) */
#define TCP_RTO_INIT_MS    1000 /* RFC 6298 section 2.1 */
#define TCP_TIMEOUT_MIN_MS 8    /* Linux: TCP_TIMEOUT_MIN, two jiffies of 250 Hz */
#define TCP_RTO_MAX_MS     120000 /* Linux: TCP_RTO_MAX */
#define TCP_CORK_MS        200
#define TCP_QUICK_ACKS     16 /* ACKs sent at once at the start (Linux: TCP_MAX_QUICKACKS) */
#define TCP_DUPTHRESH      3

struct tcp_ofo; /* tcp_rcvq.h: out-of-order queue and what SACK says about it */
struct tcp_ext; /* tcp_ext.h: what few connections need */
struct tcp_io;  /* tcp_io.h: what a connection needs while segments come or go */
struct tcp_tx;  /* tcp_tx.h: what a connection needs while it sends */

struct tcb {
    struct pcb pcb;

    /* What every segment touches. */
    uint8_t state; /* enum tcp_state */
    uint8_t shut;  /* 1: no more reading, 2: no more writing */
    uint8_t snd_wscale, rcv_wscale;
    uint32_t flags; /* enum tcb_flag */
    uint32_t rcv_nxt, rcv_wup, rcv_wnd, copied_seq;
    uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, write_seq;
    uint32_t cwnd, ssthresh; /* bytes */
    union {
        struct {                             /* with TF_TS */
            uint32_t ts_recent, ts_recent_s; /* RFC 7323; when set, in seconds */
            uint32_t ts_off;                 /* our timestamp is the millisecond clock plus this */
        };
        struct { /* without, once ESTABLISHED (tcp_rcvq.c) */
            uint32_t rcv_rtt_seq, rcv_rtt_start_us;
        };
    };
    uint16_t mss;                      /* payload of a full segment, options taken off */
    uint16_t unit;                     /* payload of a full send unit: mss, or an even part of it */
    uint16_t rcv_mss;                  /* the peer's full segment, as far as seen */
    uint16_t peer_mss;                 /* the MSS option received, or its default */
    uint32_t last_rcv_ms, last_snd_ms; /* data */
    uint32_t last_ack_ms;              /* any acceptable segment */
    struct tcp_io *io;                 /* NULL: nothing comes or goes (tcp_io.h) */
    struct tcp_tx *tx;                 /* NULL: nothing to send, nothing in flight (tcp_tx.h) */
    uint32_t sndbuf, rcvbuf;           /* bytes of memory allowed */
    uint32_t max_wnd;                  /* largest send window seen */
    uint32_t keep_ms;                  /* DL_KEEP: low 32 bits of the millisecond clock, 0: not set */
    union {
        struct {
            uint32_t srtt_us8, min_rtt_us; /* RFC 6298, scaled by 8; the least in five minutes */
            uint32_t mdev_us4, rttvar_us4; /* tcp_rtt.c; scaled by 4 */
            uint32_t rto_ms, rcv_rtt_us;   /* rcv_rtt_us: the receiver's own estimate (tcp_rcvq.c) */
            uint32_t rate_delivered, rate_interval_us; /* the last sample worth showing (tcp_rate.h) */
            union {
                uint32_t drs_space; /* bytes of the last measurement (tcp_rcvq.c) */
                uint32_t syn_ms;    /* until ESTABLISHED: when our SYN was sent */
            };
            uint32_t rcv_ssthresh; /* window to offer at present (tcp_rcvq.h) */
        };
        struct {                             /* TCPS_LISTEN */
            struct tcb *acc_head, *acc_tail; /* accept queue */
            uint32_t acc_len, backlog;
            uint32_t synq_len;
            uint32_t listen_id; /* names this listen in its half-open connections */
            uint32_t cookie_ms; /* when it sent a SYN cookie last, 0: never */
        };
    };
    struct timer timer;
    bool rate_app_limited : 1; /* that sample's */
    bool reord_seen : 1;       /* of the path (tcp_rack.h) */
    bool dsack_ever : 1;
    uint8_t dup_acks_sent;                   /* for segments behind the same hole (tcp_text.c) */
    uint8_t ca_state;                        /* enum tcp_ca */
    uint8_t chrono;                          /* enum tcp_chrono (tcp_info.h) */
    uint8_t cc;                              /* index of tcp_cc_table */
    uint8_t quick;                           /* ACKs to send at once before delaying begins */
    uint8_t rcv_ratio;                       /* payload bytes per 256 bytes of receive memory */
    uint8_t ecn;                             /* enum tcp_ecn_bit */
    uint8_t opts;                            /* enum tcb_opt */
    uint8_t keep_probes;                     /* sent and unanswered */
    uint8_t keep_cnt, syn_cnt, defer_accept; /* TCP_KEEPCNT, TCP_SYNCNT, TCP_DEFER_ACCEPT; 0: default */
    uint8_t rack_steps;                      /* RACK.reo_wnd_mult */
    uint8_t rack_persist;                    /* RACK.reo_wnd_persist */
    uint8_t backoff;     /* times rto_ms is doubled; until the next RTT sample (RFC 6298 section 5.5) */
    uint16_t reordering; /* packets by which the path is known to reorder */
    uint16_t keep_idle_s, keep_intvl_s; /* 0: the tunable */
    uint16_t user_mss;                  /* TCP_MAXSEG, 0: none */
    uint16_t min_rtt_s;                 /* when min_rtt_us was taken, low bits */
    uint16_t linger_s;
    int16_t linger2_s; /* TCP_LINGER2; 0: tcp_fin_timeout, -1: none */
    uint16_t pmtu;     /* learnt by ICMP, 0: none */
    uint16_t mss_mtu;  /* low bits of flow.mtu that mss was computed from */
    uint16_t rcv_unit; /* largest payload that came at once: rcv_mss, or what the link put together */
    uint32_t window_clamp, notsent_lowat; /* window_clamp: largest window to offer; 0: not known yet */
    uint32_t busy_ms;                     /* tcp_info.h */
    struct tcp_ext *ext;                  /* NULL until something in it is used */

    /* TCP_INFO. */
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
    uint64_t bytes_acked, bytes_received;
};

_Static_assert(sizeof(struct tcb) <= 384, "an idle connection pays for it");

/* In a listener's accept queue; a connection's hash chain has no use for prev. */
#define ACC_NEXT(t) (*(struct tcb **)&(t)->pcb.hash.prev)

/* Chained hash table that grows a bucket at a time (linear hashing, Litwin 1980): memory is touched as
 * entries come, and no insertion pays for a whole rehash. Chains use the objects' first struct list's next
 * alone. */
struct tcp_hash {
    struct list **bucket;
    uint32_t mask;  /* buckets of the current round - 1 */
    uint32_t split; /* buckets below it have been split already */
    uint32_t count, max_buckets;
};

#define TCP_LISTEN_BUCKETS 512

struct tfo_peer;

struct tcp_table {
    struct slab tcb, synreq, tw, ofo, ext, io, tx, saved_syn, sack_cache, txstamp, pace, md5;
    struct tfo_peer *tfo; /* tcp_tfo.h: what is known of destinations */
    uint32_t tfo_holes, tfo_hole_ms;
    struct tcp_hash conn, half, timewait;   /* of struct tcb, synreq, tw */
    struct list listen[TCP_LISTEN_BUCKETS]; /* by local port, pcb.hash */
    struct list tw_fifo, fw2_fifo;          /* TIME_WAIT entries by expiry, and those of FIN_WAIT_2 */
    uint32_t nfw2;
    struct timer tw_timer; /* of the FIFO's head */
    uint32_t norphan;
    uint32_t next_listen_id;
    uint32_t challenge_s, challenge_left; /* RFC 5961 section 7: limit */
};

static inline struct tcb *pcb_tcb(struct pcb *p)
{
    return (struct tcb *)p;
}

static inline bool state_in(const struct tcb *t, unsigned states)
{
    return (1u << t->state) & states;
}

/* The millisecond clock that deadlines and timestamps use; never 0, so that 0 can mean "not set". */
static inline uint32_t tcp_now_ms(const struct shard *sh)
{
    uint32_t ms = (uint32_t)shard_ms(sh);

    return ms ? ms : 1;
}

static inline uint32_t tcp_now_us(const struct shard *sh)
{
    return (uint32_t)shard_us(sh);
}

static inline uint32_t tcp_tsval(const struct shard *sh, const struct tcb *t)
{
    return (uint32_t)shard_ms(sh) + t->ts_off;
}

static inline void tcp_count(struct shard *sh, enum count c)
{
    sh->count[c]++;
}

#endif
