/* sweep.h: packet buffers that nobody has any more, after a process was killed inside the stack.
 *
 * Theory of operation. Whoever is killed between taking a buffer and queueing it, or between taking one off a
 * queue and freeing it, leaves it with nobody. A while later (the keeper sees to it) every buffer of the pool
 * is looked for: a buffer is somebody's when it is free, when its address stands anywhere in the segment or
 * in DPDK's memory beside the pool (the drivers' rings), or in the header of a buffer that is somebody's.
 * What is left goes back to the pool. Any word that looks like a buffer's address counts as one, so that no
 * queue needs to be known here, and a mistake keeps a buffer too long rather than freeing one in use.
 *
 * From that follows a rule for everybody: while the lock is free, a buffer in use is named by its plain
 * address in the segment or in DPDK's memory. Who keeps buffers in its process's own memory meanwhile
 * (sendfile, which reads a file into them) says so with pkt_hold.
 */
#ifndef SHUNT_SWEEP_H
#define SHUNT_SWEEP_H

#include "stack.h"

#define SWEEP_AFTER_NS                                                                                       \
    1000000000ull /* after a kill: until then what was cut off mid-way has been acknowledged */

/* What is read for addresses. */
struct sweep_from {
    /* The next range of memory to look through that begins at *at or after it: sets *at and *end. False: no
     * more. The first call has *at NULL. */
    bool (*next)(void *arg, const void **at, const void **end);
    /* Calls note(sweep, buffer) for each buffer of the pool, upwards. NULL: it has a list of them. */
    void (*each)(struct rte_mempool *pool, void (*note)(void *sweep, void *m), void *sweep);
    /* Calls free(sweep, buffer) for each free buffer of the pool. */
    void (*each_free)(struct rte_mempool *pool, void (*free)(void *sweep, void *m), void *sweep);
    /* Does the process that pkt_hold named live? */
    bool (*lives)(void *arg, const void *owner);
    /* Told of each buffer that is somebody's, after a NULL; NULL itself: nobody wants to know. */
    void (*in_use)(void *arg, const struct rte_mbuf *m);
    void *arg;
};

/* Bytes of room that a sweep of the shard's pool needs. */
size_t sweep_room(const struct shard *sh);
/* Frees what is nobody's; room: zeroed. The number of buffers. Context: the shard's lock, just taken. */
unsigned sweep(struct shard *sh, const struct sweep_from *from, void *room);

#endif
