/* link.h: what the programs of tests/link share.
 *
 * Each program starts links as the engine does and passes frames through them. Exit status: 0 passed, 1
 * failed, 77 skipped (meson's number). Figures are printed, not asserted.
 */
#ifndef TEST_LINK_H
#define TEST_LINK_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../dpdk/dpdk.h"

#define SKIP 77

/* Fails the program with file, line and the condition's text. */
#define CHECK(cond) check((cond), __FILE__, __LINE__, #cond)
void check(bool ok, const char *file, int line, const char *what);

uint64_t now_ns(void);

/* A network namespace of this process's own, as root or as root of a user namespace. Exits with SKIP when
 * there is none to be had. */
void own_namespace(void);
/* Runs a shell command (ip ...). Its exit status. */
int run(const char *cmd, ...) __attribute__((format(printf, 1, 2)));

/* --- a side: one process's links --- */

struct side {
    struct netdev *dev[4];
    struct rte_mempool *pool;
    double start_ms;
    pid_t keeper;
};

/* Starts the links (up to 4, NULL-terminated) with mem_mb of memory. Exits with 1, or SKIP when privilege or
 * device is missing, after printing the reason. keeper: forks a process that runs the drivers' control, as
 * the keeper does; it ends with its parent. */
struct side side_start(uint32_t mem_mb, bool keeper, const char *spec, ...);
/* Of the sides that are started from now on (1). */
extern uint16_t side_shards;
/* Takes the locks that stand for the shards', all or that of one. Every use of a netdev is in them, of queue
 * q in that of shard q. */
void side_lock(void);
void side_unlock(void);
void side_lock_shard(unsigned q);
void side_unlock_shard(unsigned q);

/* One frame of len bytes: broadcast, EtherType 0x88b5 (local experiments), a sequence number and a pattern
 * made of it. */
struct rte_mbuf *frame_make(struct rte_mempool *pool, uint32_t seq, uint32_t len);
/* The sequence number of a frame that frame_make made and nobody changed; -1: not one, or broken. */
int64_t frame_check(const struct rte_mbuf *m);

/* Waits up to ms for a frame. NULL: none came. With the lock not held. */
struct rte_mbuf *receive(struct netdev *dev, unsigned ms);
/* Sends, trying again while the port is full; frees and returns false after a second. */
bool transmit(struct netdev *dev, struct rte_mbuf *m);
/* Sleeps on queue q as the stack's sleeper does, for up to ms. */
void sleep_on(struct netdev *dev, unsigned q, unsigned ms);
/* Waits up to ms for the link to come up. */
bool wait_up(struct netdev *dev, unsigned ms);

/* Sends n frames of len bytes and receives what the other end returns. True when all came back whole and in
 * order. Prints the rate. */
bool ping(struct side *s, uint32_t n, uint32_t len, unsigned window);
/* Returns frames to their sender until killed (sleeps on the port's descriptors when idle). */
void echo(struct side *s) __attribute__((noreturn));

#endif
