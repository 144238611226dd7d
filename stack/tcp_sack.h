/* tcp_sack.h: the sender's scoreboard: what SACK blocks say about the send queue (RFC 2018, 2883, 6675).
 *
 * Theory of operation. The marks are on the send units (UNIT_SACKED, UNIT_LOST, UNIT_RETRANS); tcp_tx.sacked,
 * lost and retrans are the sums of their bytes. An ACK must not cost a walk of the whole queue:
 *  - A run of SACKed units is passed in one step: each of them may point further up in its run
 *    (pkt_meta.run_last), and who follows that leaves behind a pointer to where he came (tcp_sack_run_end).
 *    So a walk costs the holes on its way, not the data: a window with one hole costs two steps, whatever
 *    its size.
 *  - Most blocks repeat or extend those of the ACK before. The cache keeps these with the unit each began at:
 *    what is known is not looked for, and a walk begins at the nearest of them, not at the head.
 *  - All walks of one ACK together take at most SACK_WALK_MAX steps. Blocks that would need more are left
 *    alone: SACK is advice, the receiver repeats it, and without it some data is sent twice.
 *
 * A unit that a block covers in part stays as it is, and is sent again if the rest of it is missing: nobody
 * can cut the queue into small pieces by SACKing parts of segments (Linux rounds to whole segments, too).
 */
#ifndef SHUNT_TCP_SACK_H
#define SHUNT_TCP_SACK_H

#include "tcp_recover.h"
#include "tcp_sndq.h"

#define SACK_WALK_MAX 1024

/* The blocks of the last ACK; allocated while something is SACKed. Without memory walks begin at the head. */
struct tcp_sack_cache {
    uint32_t n;
    struct {
        uint32_t left, right;
        struct rte_mbuf *u; /* the unit that holds left; valid while left is not below snd_una */
    } e[TCP_SACK_MAX];
};

/* Marks what the ACK's blocks cover, and notes in a what they tell. Bad blocks are counted and ignored.
 * Returns the steps it took. */
uint32_t tcp_sack_take(struct shard *sh, struct tcb *t, const struct tcp_opts *o, struct tcp_ack_info *a);
/* Takes a unit as lost; one that was sent again is to be sent once more. */
void tcp_mark_lost(struct shard *sh, struct tcb *t, struct rte_mbuf *u);
/* The path has reordered: data from low on arrived after higher data. by_ts: timestamps say so. */
void tcp_sack_reordered(struct shard *sh, struct tcb *t, uint32_t low, bool by_ts);
/* The last unit of the run of SACKed units that u is in. */
struct rte_mbuf *tcp_sack_run_end(struct tcb *t, struct rte_mbuf *u);
/* Gives the cache back; when nothing is SACKed any more. */
void tcp_sack_cache_free(struct shard *sh, struct tcb *t);

/* Packets SACKed, or duplicate ACKs counted. */
static inline uint32_t tcp_sacked_packets(const struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t n = x->sacked / t->mss;

    return n > x->sacked_pkts ? n : x->sacked_pkts;
}

#endif
