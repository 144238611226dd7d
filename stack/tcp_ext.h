/* tcp_ext.h: what few connections need to remember: tcb.ext, allocated on demand.
 *
 * Theory of operation. A tcb lies in the caches of every segment's way; what most connections never use
 * (urgent data, MD5 keys, saved SYNs ...) has its place here instead. tcb.ext is NULL until someone calls
 * tcp_ext_get, is zero at first, and goes with the tcb. Who reads it tests a flag of tcb.flags, or ext
 * itself, first. It survives tcp_reset_state (a socket that connects again): each owner resets its own.
 */
#ifndef SHUNT_TCP_EXT_H
#define SHUNT_TCP_EXT_H

#include "ip.h"
#include "stamp.h"
#include "tcp_cb.h"

/* Fast Open (tcp_tfo.h). */
struct tcp_tfo {
    /* a listener: children that may wait for their handshake, that do, and that count although they ended */
    uint16_t max, len, rst;
    uint32_t rst_ms;
    uint8_t nkeys, key[32]; /* TCP_FASTOPEN_KEY */
    /* a child, until its handshake is through */
    struct tcb *listener;
    uint32_t listen_id;
    /* a client: TCP_FASTOPEN_CONNECT, _NO_COOKIE; how its SYN fares */
    uint8_t connect, no_cookie, deferred, usable, asked, fail, exp;
    uint8_t syn_data_acked;
    int8_t cookie_len; /* of the option to send next; -1: none */
    uint8_t cookie[16];
    uint32_t syn_data;   /* bytes the SYN carried */
    uint8_t syn_retrans; /* how often it was sent again */
    uint8_t more;        /* who wrote waits to write the rest */
};

/* Path MTU search (tcp_mtup.h), when TF_MTUP. */
struct tcp_mtup {
    uint32_t search_high, search_low; /* MTUs: not known to fail, known to pass */
    uint32_t probe_mtu;               /* of the probe under way, 0: none */
    uint32_t probe_start, probe_end;  /* its sequence numbers */
    uint32_t since_ms;                /* when the search began */
};

struct tcp_ext {
    struct tcp_mtup mtup;
    struct tcp_tfo tfo;
    /* Urgent data (tcp_urg.h). */
    uint32_t urg_seq; /* of the urgent byte announced last */
    uint32_t snd_up;  /* SND.UP: behind the last urgent byte sent */
    uint16_t urg_data;
    struct tcp_pace *pace; /* tcp_pace.h; NULL: never paced */
    uint32_t delivered_ce; /* bytes delivered by ACKs with ECE (tcp_ecn.h) */
    /* tcp_stamp.h */
    struct stamp stamp;
    struct list txstamps; /* struct txstamp */
    struct list zcopies;  /* struct errq_entry: tcp_zerocopy.h */
    uint32_t nzcopy;
    uint32_t tx_once;     /* SOF_TIMESTAMPING_TX_*: of the send call to come */
    uint64_t rx_stamp_ns; /* of the last byte that recv took, 0: none */
    /* What went wrong so far, for TCP_INFO: segments and bytes sent again, received out of order, duplicates
     * that D-SACKs told of. */
    uint32_t total_retrans, ofo_segs, dsack_dups, reord_seen;
    uint64_t bytes_retrans;
    uint32_t oow_ms;   /* last answer to a segment out of place (tcp_invalid_ratelimit), 0: never */
    uint32_t rcvlowat; /* SO_RCVLOWAT, with TF_LOWAT */
    uint32_t pmtu_ms;  /* when tcb.pmtu was learnt */
    /* Retransmission timeouts (tcp_info.h): how many, in how many series, how long these took; the beginning
     * of the one that goes on, 0: none. */
    uint16_t rto_total, rto_series;
    uint32_t rto_time_ms, rto_since_ms;
    /* tcp_opt_rare.c. 0: not set. */
    uint32_t thin_lto, inq, tx_delay_us, rto_max_ms, rto_min_us, delack_max_us;
    uint32_t limited_ms[2];    /* the chronographs CHRONO_RWND, CHRONO_SNDBUF (tcp_info.h) */
    uint32_t label_be;         /* tcp_set_label */
    uint8_t mark;              /* SO_MARK, by its class (rule.h) */
    uint8_t min_ttl, min_hops; /* with TF_MINTTL */
    uint32_t user_timeout_ms;  /* TCP_USER_TIMEOUT (RFC 5482), 0: none */
    /* TCP_SAVE_SYN: what a listener keeps of SYNs (0, 1, 2), and what was kept for this connection. */
    uint8_t save_syn;
    struct tcp_saved_syn *saved_syn;
    struct tcp_md5_key *md5; /* TCP_MD5SIG */
};

/* t's, made when there is none. NULL: out of memory (counted). Context: the shard's lock. */
struct tcp_ext *tcp_ext_get(struct shard *sh, struct tcb *t);
/* tcb_free's. */
void tcp_ext_free(struct shard *sh, struct tcb *t);
/* The path was seen to reorder. */
void tcp_note_reordering(struct shard *sh, struct tcb *t);
/* n segments, of bytes of text, were sent again. */
void tcp_note_retrans(struct shard *sh, struct tcb *t, uint32_t n, uint32_t bytes);
/* What a child takes over from its listener. Without memory the child goes without. */
void tcp_ext_inherit(struct shard *sh, struct tcb *child, const struct tcb *listener);

/* TCP_RTO_MIN_US, TCP_RTO_MAX_MS, TCP_DELACK_MAX_US: the socket's own, or the stack's. */
static inline uint32_t tcp_rto_min_us(const struct shard *sh, const struct tcb *t)
{
    return t->ext && t->ext->rto_min_us ? t->ext->rto_min_us : (uint32_t)sh->st->set.tcp_rto_min * 1000;
}

static inline uint32_t tcp_rto_max_ms(const struct tcb *t)
{
    return t->ext && t->ext->rto_max_ms ? t->ext->rto_max_ms : TCP_RTO_MAX_MS;
}

static inline uint32_t tcp_delack_ms(const struct shard *sh, const struct tcb *t)
{
    uint32_t ms = (uint32_t)sh->st->set.tcp_delack_min;

    return t->ext && t->ext->delack_max_us && t->ext->delack_max_us / 1000 < ms ? t->ext->delack_max_us / 1000
                                                                                : ms;
}

/* Did a segment come from too far (TF_MINTTL)? */
static inline bool tcp_from_too_far(const struct tcb *t, const struct rxinfo *ri)
{
    return (t->flags & TF_MINTTL) && ri->ttl < (ipaddr_is_v4(&ri->src) ? t->ext->min_ttl : t->ext->min_hops);
}

/* SO_RCVLOWAT; at least 1. */
static inline uint32_t tcp_rcvlowat(const struct tcb *t)
{
    return t->flags & TF_LOWAT ? t->ext->rcvlowat : 1;
}

static inline uint32_t tcp_total_retrans(const struct tcb *t)
{
    return t->ext ? t->ext->total_retrans : 0;
}

static inline uint32_t tcp_user_timeout_ms(const struct tcb *t)
{
    return t->ext ? t->ext->user_timeout_ms : 0;
}

#endif
