/* tcp_synq.h: half-open connections of listeners (SYN_RECEIVED after LISTEN), each a struct synreq of 128
 * bytes, not a tcb, until the handshake's last ACK.
 *
 * A request names its listener by pointer and listen_id; when the listener ends, its requests find out at
 * their next segment or timer. So closing a listener is not a walk.
 */
#ifndef SHUNT_TCP_SYNQ_H
#define SHUNT_TCP_SYNQ_H

#include "tcp_input.h"

struct synreq {
    struct list hash; /* next alone is used */
    struct timer timer;
    struct tcb *listener;
    struct ipaddr laddr, raddr;
    uint16_t lport_be, rport_be;
    uint32_t listen_id;
    uint32_t iss, irs;
    uint32_t ts_recent, ts_off;
    uint32_t sent_ms; /* the SYN,ACK */
    uint16_t window;  /* of the peer's SYN */
    uint16_t peer_mss;
    uint16_t rcv_wnd; /* offered in the SYN,ACK */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t flags; /* enum synreq_flag */
    uint8_t retries;
};
_Static_assert(sizeof(struct synreq) <= 128, "a half-open connection is small");

enum synreq_flag { SYNREQ_SACK = 1, SYNREQ_TS = 2, SYNREQ_WSCALE = 4, SYNREQ_ACKED = 8, SYNREQ_ECN = 64 };

struct synreq *tcp_synq_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* A SYN for a listener: makes a request and answers. COUNT_OK or a reason to drop. */
enum count tcp_synq_add(struct shard *sh, struct tcb *listener, const struct tcp_seg *s);
/* A segment for a request. */
enum count tcp_synq_input(struct shard *sh, struct synreq *r, struct tcp_seg *s);
/* TIMER_SYNREQ. */
void tcp_synq_timer(struct shard *sh, struct timer *timer);
void tcp_synq_free(struct shard *sh, struct synreq *r);

#endif
