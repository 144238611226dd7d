/* tcp_synq.h: half-open connections of listeners (SYN_RECEIVED after LISTEN), each a struct synreq of at most
 * 144 bytes, not a tcb, until the handshake's last ACK.
 *
 * A request names its listener by pointer and listen_id; when the listener ends, its requests find out at
 * their next segment or timer. So closing a listener is not a walk.
 *
 * A listener holds at most backlog + 1 of them. Beyond that the request travels in the SYN,ACK (tcp_cookie.h)
 * and comes back in the last ACK, without having been kept here.
 */
#ifndef SHUNT_TCP_SYNQ_H
#define SHUNT_TCP_SYNQ_H

#include "tcp_input.h"

struct tcp_saved_syn;

struct synreq {
    struct list *hash_next; /* in the table; stands for a struct list */
    struct timer timer;
    struct tcb *listener;
    struct tcp_saved_syn *saved; /* TCP_SAVE_SYN, or NULL */
    struct ipaddr laddr, raddr;
    uint16_t lport_be, rport_be;
    uint32_t listen_id;
    uint32_t iss, irs;
    uint32_t ts_recent, ts_off;
    uint32_t sent_ms, resent_ms; /* the SYN,ACK: first and last time */
    uint32_t oow_ms;             /* last answer to a segment out of place (tcp_invalid_ratelimit) */
    uint16_t peer_mss;
    uint16_t rcv_wnd; /* offered in the SYN,ACK */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t flags; /* enum synreq_flag */
    uint8_t retries;
};
_Static_assert(sizeof(struct synreq) <= 144, "a half-open connection is small");

enum synreq_flag {
    SYNREQ_SACK = 1,
    SYNREQ_TS = 2,
    SYNREQ_WSCALE = 4,
    SYNREQ_ACKED = 8, /* the last ACK came, but could not be used (full queue, TCP_DEFER_ACCEPT) */
    SYNREQ_COOKIE = 16,
    SYNREQ_ECN = 64,
};

/* The headers of a SYN, for TCP_SAVED_SYN. */
struct tcp_saved_syn {
    uint8_t len;
    uint8_t bytes[191];
};

struct synreq *tcp_synq_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* A SYN for a listener (RFC 9293 section 3.10.7.2, third): the bounds, then a request or a cookie, and the
 * answer. TCP_DONE or a reason to drop. */
enum count tcp_synq_syn(struct shard *sh, struct tcb *listener, struct tcp_seg *s);
/* A segment for a request. */
enum count tcp_synq_input(struct shard *sh, struct synreq *r, struct tcp_seg *s);
/* An ACK for a listener that no request is known for: may it bring a cookie back? COUNT_OK: no. */
enum count tcp_synq_cookie(struct shard *sh, struct tcb *listener, struct tcp_seg *s);
/* TIMER_SYNREQ. */
void tcp_synq_timer(struct shard *sh, struct timer *timer);
void tcp_synq_free(struct shard *sh, struct synreq *r);
/* tcp_mend's: the table is made whole, and the listeners' synq_len, which the caller has set to 0, counted.
 */
void tcp_synq_mend(struct shard *sh);

#endif
