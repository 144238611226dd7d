/* tcp_tw.h: TIME_WAIT, held in an entry of 96 bytes instead of a tcb.
 *
 * All entries wait equally long, so they expire in the order of a FIFO with one timer for its head. Above
 * tcp_max_tw_buckets a connection goes straight to CLOSED, counted.
 */
#ifndef SHUNT_TCP_TW_H
#define SHUNT_TCP_TW_H

#include "tcp_input.h"

enum { TW_TS = 1, TW_REUSEADDR = 2, TW_REUSEPORT = 4 };

struct tw {
    struct list *hash_next; /* in the table; stands for a struct list */
    struct list fifo;
    struct ipaddr laddr, raddr;
    uint16_t lport_be, rport_be;
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent, ts_recent_s, ts_off;
    uint32_t expires_ms;
    uint16_t window; /* as in the header */
    uint8_t flags;
    uint8_t tos;
};
_Static_assert(sizeof(struct tw) <= 96, "a TIME_WAIT entry is small");

/* t's connection enters TIME_WAIT: an entry takes its place in the tables, t is CLOSED (and freed, as an
 * orphan). */
void tcp_time_wait(struct shard *sh, struct tcb *t);
struct tw *tcp_tw_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* A segment for the entry. COUNT_OK: a new SYN may go on to the listener, the entry is gone. */
enum count tcp_tw_input(struct shard *sh, struct tw *w, struct tcp_seg *s);
/* May an active open take over the four-tuple (tcp_tw_reuse, RFC 6191)? */
bool tcp_tw_reusable(const struct shard *sh, const struct tw *w);
void tcp_tw_free(struct shard *sh, struct tw *w);
/* The FIFO's timer. */
void tcp_tw_expire(struct shard *sh);

#endif
