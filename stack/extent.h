/* extent.h: pieces of files in packet memory, from which they are sent without a copy.
 *
 * Theory of operation. sendfile's data lies in extents: page-aligned buffers in memory that ports and every
 * process of the family can address (dpdk_extents). Packet buffers refer to them as DPDK's external buffers;
 * so the send queue, and through it the keeper that sends again what a dead program left, hold references and
 * no copy. A file that is sent often is read once: extents of EXTENT_BYTES of it are kept, found by device,
 * inode and place (extent_find), least recently used ones going first.
 *
 * Is what is kept still the file? Each call of sendfile asks the kernel for the file's identity, size and
 * times, one fstat, and an extent answers for exactly those it was read under: another size, mtime or ctime
 * is another file. Two things could hide a change. A write within the same tick of the clock that stamps
 * files: so an extent is kept only if the file was seen with these very times EXTENT_SETTLE_NS before it was
 * read (extent_settled). And a file system that keeps times loosely, or elsewhere: so only those of this
 * machine that are known not to are trusted (extent_load). What a program stores through a shared mapping
 * changes the times at its first store to a page, and not again until the page was written back; on tmpfs
 * never again. So what is kept is read anew after EXTENT_FRESH_NS. A file that becomes shorter, at any
 * moment, faults nowhere: extents are read, not mapped. What is not kept (young files, very large ones) is
 * read into an extent as well, whose last reference is its end.
 *
 * States. FREE: on its class's list. LOADING: one process reads into it, without the lock; on no list.
 * KEPT: in the index and on the LRU list. LOOSE: not in the index, its references run out; a list in order of
 * age. An extent's reference count is 1 for the cache itself and one for each packet buffer, so that it never
 * falls to 0 and DPDK calls nobody: who looks for room takes those with 1. Sizes are of three classes; a
 * block of EXTENT_BYTES belongs to one class for ever.
 *
 * All but extent_identify and extent_load: shard 0's lock.
 */
#ifndef SHUNT_EXTENT_H
#define SHUNT_EXTENT_H

#include <rte_mbuf.h>
#include <stdbool.h>

#include "stack.h"

#define EXTENT_BYTES     65536u
#define EXTENT_SETTLE_NS 150000000ull
#define EXTENT_FRESH_NS  1000000000ull /* how long what is kept is believed */
/* References from the send queue. Each may be split, down to a segment, and be sent again from another
 * buffer; DPDK counts to 65535. */
#define EXTENT_REFS_MAX 512

enum extent_state { EXTENT_FREE, EXTENT_LOADING, EXTENT_KEPT, EXTENT_LOOSE };

/* Which file, and as of when. */
struct extent_id {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};

struct extent {
    struct list node;    /* its class's list of its state; LOADING: alone */
    struct extent *next; /* KEPT: in its bucket */
    char *data;
    struct rte_mbuf_ext_shared_info info;
    uint32_t len;   /* bytes of the file that are there */
    uint32_t index; /* of the file: bytes from index * EXTENT_BYTES on; KEPT */
    int32_t owner;  /* LOADING: the process that reads */
    uint8_t class, state;
    struct extent_id id; /* KEPT */
    uint64_t until_ns;   /* KEPT: when it is to be read anew, by the shard's clock */
};

/* Makes the cache in mem, of EAL's shared memory, aligned to EXTENT_BYTES. 0 or -ENOMEM. Without it
 * st->extents is NULL and sendfile copies. */
int extent_init(struct stack *st, void *mem, uint64_t bytes);

/* What fd is now. 0; -EOPNOTSUPP: not a regular file with a size; -EBADF. errno is untouched. */
int extent_identify(int fd, struct extent_id *id);

/* The extent with these EXTENT_BYTES of the file, or NULL. */
struct extent *extent_find(struct stack *st, const struct extent_id *id, uint32_t index);
/* Is the file of a kind that is kept: not too large, and unchanged for a while? now_ns: the shard's clock. */
bool extent_settled(struct stack *st, const struct extent_id *id, uint64_t now_ns);
/* An extent of at least `bytes`, LOADING; NULL: all are referred to. owner: the process's id. */
struct extent *extent_take(struct stack *st, uint32_t bytes, int32_t owner);
/* Reads up to len bytes from off on into e; e->len becomes what came. 0; -EOPNOTSUPP: a file system that is
 * not trusted; -ESTALE: no longer the file that id names, or shorter; -errno of the read. Context: no lock.
 */
int extent_load(struct extent *e, int fd, const struct extent_id *id, uint64_t off, uint32_t len);
/* e was read: keeps it as that part of the file (unless another process was faster), or, id NULL, until its
 * references are gone. */
void extent_put(struct stack *st, struct extent *e, const struct extent_id *id, uint32_t index);
/* Nobody shall find e any more. */
void extent_forget(struct stack *st, struct extent *e);
/* Makes m, an empty buffer, refer to len bytes of e from off on. False: e has too many references. */
bool extent_attach(struct extent *e, struct rte_mbuf *m, uint32_t off, uint16_t len);

/* A process was killed under the lock: makes the lists anew. A process ended: what it was loading is free. */
void extent_mend(struct stack *st);
/* All buffers in use are about to be named, m by m: the references are counted anew, so that what a killed
 * process took with it is known to be free. In between, the lock is held. */
void extent_recount(struct stack *st);
void extent_recounted(struct stack *st, const struct rte_mbuf *m);
void extent_owner_gone(struct stack *st, int32_t owner);

#endif
