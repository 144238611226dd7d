/* pool.h: the packet pool. Internal to dpdk/. */
#ifndef SHUNT_POOL_H
#define SHUNT_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

/* A pool of packet buffers (stack/pkt.h's sizes) that may use up to bytes of EAL's memory and grows by itself
 * as it runs low; whole: it has all its buffers from the start, in one piece. Lcores 0 to nshard - 1 use it
 * at the same time, each under its shard's lock. NULL: out of memory. */
struct rte_mempool *pool_create(const char *name, uint64_t bytes, unsigned nshard, bool whole);

/* This process uses a pool that another one made, without EAL: where addresses are IOVAs. */
void pool_joined(void);
/* Calls fn for each packet buffer that was ever made, upwards. Context: nobody grows the pool. */
void pool_each(struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg);
/* Calls fn for each free buffer. Context: all shards' locks. */
void pool_each_free(struct rte_mempool *mp, void (*fn)(void *arg, void *obj), void *arg);
/* What of the pool's memory holds buffers' addresses that say nothing of who has them, and the buffers
 * themselves: range i from 0 on, in [*from, *to). False: no such. */
bool pool_range(const struct rte_mempool *mp, unsigned i, const void **from, const void **to);
/* After a process was killed while it used the pool as lcore, under that shard's lock: no buffer is in it
 * twice, none that is in use. A few may be lost. */
void pool_mend(struct rte_mempool *mp, unsigned lcore);

#endif
