/* tcp_tw.h: TIME_WAIT, held in an entry of 96 bytes instead of a tcb; and so is FIN_WAIT_2 of a connection
 * whose socket is gone.
 *
 * All entries of a kind wait equally long, so they expire in the order of a FIFO; one timer serves the two
 * heads. Above tcp_max_tw_buckets a connection goes straight to CLOSED, counted. The rules for segments are
 * Linux's tcp_timewait_state_process.
 */
#ifndef SHUNT_TCP_TW_H
#define SHUNT_TCP_TW_H

#include "tcp_input.h"

/* The upper half of tw.flags is the window scale we used. */
enum { TW_TS = 1, TW_REUSEADDR = 2, TW_REUSEPORT = 4, TW_FIN_WAIT_2 = 8, TW_SCALE_SHIFT = 4 };

struct tw {
    struct list *hash_next; /* in the table; stands for a struct list */
    struct list fifo;
    struct ipaddr laddr, raddr;
    uint16_t lport_be, rport_be;
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent, ts_recent_s, ts_off;
    uint32_t expires_ms;
    uint32_t md5 : 31; /* key, its index in the slab + 1; 0: none */
    uint32_t v6 : 1;   /* was a socket of AF_INET6 */
    uint32_t oow_ms;   /* last answer to what is out of window, 0: none */
    uint16_t window;   /* as in the header */
    uint8_t flags;
    uint8_t tos;
};
_Static_assert(sizeof(struct tw) <= 96, "a TIME_WAIT entry is small");

/* t's connection enters TIME_WAIT: an entry takes its place in the tables, t is CLOSED (and freed, as an
 * orphan). */
void tcp_time_wait(struct shard *sh, struct tcb *t);
/* The same for FIN_WAIT_2 of an orphan. False: out of memory, nothing was done. */
bool tcp_tw_fin_wait_2(struct shard *sh, struct tcb *t);
struct tw *tcp_tw_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* A segment for the entry. COUNT_OK: a new SYN may go on to the listener, the entry is gone, and s->isn is
 * the number to begin with. */
enum count tcp_tw_input(struct shard *sh, struct tw *w, struct tcp_seg *s);
/* May an active open take over the four-tuple (tcp_tw_reuse, RFC 6191)? */
bool tcp_tw_reusable(const struct shard *sh, const struct tw *w);
void tcp_tw_free(struct shard *sh, struct tw *w);
/* The FIFO's timer. */
void tcp_tw_expire(struct shard *sh);

/* tcp_mend's: the table and the lists of what expires are made whole. */
void tcp_tw_mend(struct shard *sh);

#endif
