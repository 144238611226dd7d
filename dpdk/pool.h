/* pool.h: the packet pool. Internal to dpdk/. */
#ifndef SHUNT_POOL_H
#define SHUNT_POOL_H

#include <stdint.h>

struct rte_mempool;

/* A pool of packet buffers (stack/pkt.h's sizes) that may use up to bytes of EAL's memory and grows by itself
 * as it runs low. NULL: out of memory. */
struct rte_mempool *pool_create(const char *name, uint64_t bytes);

#endif
