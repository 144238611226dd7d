/* tcp_tfo.h: TCP Fast Open (RFC 7413), both sides, with the bits of Linux's tunable tcp_fastopen.
 *
 * Theory of operation. Server: a SYN with a good cookie makes the tcb at once, in SYN_RECEIVED with TF_TFO:
 * it waits in the accept queue, its text can be read, and data may be sent, while the SYN,ACK is repeated
 * until the handshake's last ACK. At most TCP_FASTOPEN's number of such children wait a listener; one that
 * ended by RST counts for a minute more (section 5.1), so that forged addresses gain nothing. The cookie is
 * SipHash of the two addresses under the key, as Linux's, so that a farm of both kinds can share keys.
 *
 * Client: the first SYN asks for a cookie or carries one, and data up to the peer's MSS as it is remembered.
 * Data in the SYN stands in the send queue as sent. A SYN that is sent again is a plain one; what the SYN,ACK
 * leaves unacknowledged is sent again at once. Cookies are remembered by destination, a bounded number of
 * them. TCP_FASTOPEN_CONNECT lets connect succeed before anything is sent; the first write makes the SYN.
 */
#ifndef SHUNT_TCP_TFO_H
#define SHUNT_TCP_TFO_H

#include "tcp_ext.h"
#include "tcp_input.h"

/* tunable tcp_fastopen */
enum {
    TFO_CLIENT = 1,
    TFO_SERVER = 2,
    TFO_CLIENT_NO_COOKIE = 4,
    TFO_SERVER_NO_COOKIE = 0x200,
    TFO_SERVER_ALL = 0x400
};

#define TFO_PEERS       256 /* destinations remembered */
#define TFO_COOKIE_MAX  16
#define TFO_RST_HOLD_MS 60000

/* What is known of a destination. */
struct tfo_peer {
    struct ipaddr addr;
    uint32_t used_ms;
    uint16_t mss;
    uint8_t cookie_len;
    uint8_t try_exp; /* 1: it did not answer the option of RFC 7413: the experimental one is tried */
    uint8_t exp;     /* the cookie came in the experimental option */
    uint8_t cookie[TFO_COOKIE_MAX];
};

/* Linux's tcpi_fastopen_client_fail. */
enum { TFO_FAIL_NONE, TFO_FAIL_NO_COOKIE, TFO_FAIL_DATA_NOT_ACKED, TFO_FAIL_SYN_RETRANS };

int tcp_tfo_init(struct shard *sh); /* sh->tcp->tfo. 0 or -ENOMEM */

/* --- server --- */

/* A SYN with s->o's cookie for listener l. True: child is made (tcp_tfo_child). Else the cookie to put into
 * the SYN,ACK, if any, is in out (its length -1: none). Counts. */
bool tcp_tfo_try(struct shard *sh, struct tcb *l, const struct tcp_seg *s, uint8_t cookie[TFO_COOKIE_MAX],
                 int8_t *cookie_len);
/* c, just made, waits for the handshake's end in SYN_RECEIVED; takes the SYN's text, sends the SYN,ACK. */
enum count tcp_tfo_child(struct shard *sh, struct tcb *l, struct tcb *c, struct tcp_seg *s);
/* The ACK of our SYN came for c. */
void tcp_tfo_child_open(struct shard *sh, struct tcb *c, const struct tcp_seg *s);
/* c leaves SYN_RECEIVED. reset: by the peer's RST. */
void tcp_tfo_child_ends(struct shard *sh, struct tcb *c, bool reset);
/* listen(): TFO_SERVER_ALL makes every listener one for Fast Open. */
void tcp_tfo_listen(struct shard *sh, struct tcb *l);

/* --- client --- */

/* TCP_FASTOPEN_CONNECT: the SYN that connect held back, with data. As tcp_tfo_connect. */
ssize_t tcp_tfo_deferred(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt);
/* Before the SYN of a connect leaves (t->pcb.remote is set): looks up the cookie. True: connect is done for
 * now, nothing is to be sent (TCP_FASTOPEN_CONNECT). */
bool tcp_tfo_prepare(struct shard *sh, struct tcb *t, bool with_data);
/* The option of the SYN about to leave. */
void tcp_tfo_syn_opt(struct tcb *t, struct tcp_opts *o);
/* The SYN,ACK came, t->snd_una is its ACK. True: data of the SYN has to be sent again. */
bool tcp_tfo_syn_acked(struct shard *sh, struct tcb *t, const struct tcp_seg *s);
/* A SYN or what followed it was not answered, for the nth time: is the path a black hole? */
void tcp_tfo_timeout(struct shard *sh, struct tcb *t);

/* connect was called, the SYN waits for data. */
static inline bool tcp_tfo_is_deferred(const struct tcb *t)
{
    return t->state == TCPS_SYN_SENT && t->ext && t->ext->tfo.deferred;
}

/* A connection that the handshake has not ended for, on which data may flow all the same. */
static inline bool tcp_tfo_passive(const struct tcb *t)
{
    return t->state == TCPS_SYN_RECEIVED && (t->flags & TF_TFO);
}

/* --- options --- */

int tcp_tfo_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len);
int tcp_tfo_getopt(struct shard *sh, const struct tcb *t, int name, void *val, uint32_t *len);

#endif
