/* shard.h: the poll loop and the life of a stack. */
#ifndef SHUNT_SHARD_H
#define SHUNT_SHARD_H

#include <stdbool.h>

#include "stack.h"

struct stack_config {
    char name[32];
    struct tunables set;
    bool isolate;
    uint32_t tick_hz; /* of the kernel's clock, which SO_RCVTIMEO and SO_SNDTIMEO are kept in; 0: not known */
    uint32_t owner_uid; /* who starts it, and may change interfaces, routes and neighbours as root may */
    uint32_t max_tcp, max_udp, max_files; /* 0: defaults (2 Mi, 256 Ki, 2 Mi) */
    uint32_t nshard;                      /* 0 or 1: one; at most SHARD_MAX */
    uint8_t secret[16];                   /* random bytes */
    uint64_t now_ns;
};

/* Builds the stack in seg (all tables, loopback as interface 0) with pool for its packets. 0 or -errno; *out.
 */
int stack_create(struct seg *seg, const struct stack_config *cfg, struct rte_mempool *pool,
                 struct stack **out);

/* Takes the lock: shard 0's (sh), and all others' (stack.h); recovers it from a dead owner (EOWNERDEAD,
 * counted). Claims DPDK's lcore id of the shard for this thread, so that mempool caches are used under the
 * lock alone. */
void shard_lock(struct shard *sh);
/* Lets go of what is held, all locks or sh's alone (lane.h). Wakes collected waiters afterwards (and the
 * leader when a timer is due before it would wake: stack.h) */
void shard_unlock(struct shard *sh);
/* The same as shard_lock when nobody holds a lock of them, else false at once: for the keeper, which must not
 * hang on a stopped process. */
bool shard_trylock(struct shard *sh);
/* For lane.c: one shard's own lock, and no more. try: false when somebody has it. After one_lock the caller
 * looks at sh->torn. */
bool shard_one_lock(struct shard *sh, bool try);
void shard_one_unlock(struct shard *sh);

/* One round: receive a burst from every netdev and loopback, process it, run due timers, ACK, hand events up,
 * transmit. Returns the number of frames received. Context: the shard's lock. now_ns must not go back. */
unsigned shard_poll(struct shard *sh, uint64_t now_ns);
/* Hands up events and transmits what waits, without receiving: the end of every api call. */
void shard_flush(struct shard *sh);
/* When the next timer is due, ns; UINT64_MAX: none. */
uint64_t shard_next_timer_ns(const struct shard *sh);

/* Process-private: called after unlock for each waiter that must be woken, with its wake index (ready.h). */
void shard_set_wake(void (*fn)(unsigned wake_index));
/* The same for what lies below the stack and is not its own: called first when the lock's owner was killed.
 */
void shard_set_mend(void (*fn)(struct shard *sh));
/* The same for signals: SIGURG, SIGIO. */
void shard_set_signal(void (*fn)(const struct sig_due *s));
/* Process-private: this process has no devices, and fn is called (under the lock) when it leaves frames to
 * those that have. Its polls do not count as polls of the devices (last_poll_ns). NULL: it has them. */
void shard_set_relay(void (*fn)(struct shard *sh));
bool shard_relays(void); /* is fn set? */
/* Notes a signal, to be sent by shard_unlock. Each at most once. */
void shard_signal(struct shard *sh, const struct sig_due *due);

/* Brings a connection that lives on another shard to shard 0, where everything can be done with it. Context:
 * all locks. */
void shard_recall_slow(struct stack *st, struct pcb *pcb);
static inline void shard_recall(struct stack *st, struct pcb *pcb)
{
    if (__builtin_expect(st->nshard > 1, 0))
        shard_recall_slow(st, pcb);
}

/* Transmits what waits. Context: the shard's lock. */
void shard_tx_flush(struct shard *sh);

/* tx helper for lower layers: queues a complete frame for interface ifindex. Takes ownership. Flushes when
 * the batch is full; what the port doesn't take is retried at later flushes, dropped (TX_FULL) only when the
 * batch is full and the port stays full. */
void shard_tx(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);
/* The same for a frame that goes to interface ifindex's device and nowhere else (except.h). */
void shard_tx_bare(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);
/* Has the queue of interface ifindex room for n frames of data more, after what the port takes now? Data that
 * can wait for its ACKs does, so that the queue has places left for frames that can't, and drops none of its
 * own (Linux: TCP small queues). long_frames: they are of many segments each, of which a few are enough. */
bool shard_tx_room(struct shard *sh, unsigned ifindex, uint32_t n, bool long_frames);
/* A copy of a frame sent to a group on interface ifindex comes back as received there (man 7 ip,
 * IP_MULTICAST_LOOP). Takes ownership. */
void shard_loop(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);

#endif
