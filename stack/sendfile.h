/* sendfile.h: bytes of a file into a TCP socket's send queue: without a copy, by extents of it (extent.h),
 * and where there are none by chunks.
 *
 * Extents. Under the lock as many packet buffers as the send queue has room for are made to refer to the
 * extents that are there (extents_send). Where the next one is missing, the same call takes an empty one; the
 * file is read into it without the lock, and the next round sends it. A file that is sent often is never
 * read.
 *
 * Chunks. A chunk is made ready in three steps, so that nobody waits for a disk under the
 * shard's lock: buffers are taken (lock), the file is read into them (no lock), they go to the send queue as
 * its units (lock). What the queue doesn't take, because another thread wrote meanwhile, is dropped: the
 * caller reads it again from its offset. One copy, from the page cache. Between the steps the buffers are the
 * process's alone (pkt_hold).
 */
#ifndef SHUNT_SENDFILE_H
#define SHUNT_SENDFILE_H

#include "extent.h"
#include "sock.h"

#define CHUNK_BUFS   32
#define EXTENT_UNITS 64 /* packet buffers of one round */

/* A call that sends a file by extents. */
struct extent_send {
    struct extent_id id;
    struct extent *e; /* LOADING, to be read, or read: for the next round; NULL: none */
    uint64_t e_off;   /* where in the file it begins */
    uint32_t e_want;  /* bytes to read */
    bool keep;        /* it is an extent of the file, to be found by others */
    int32_t owner;    /* this process */
};

/* Sends from off on up to count bytes, as far as the queue has room and extents are there, and lets go of
 * x->e. Bytes; 0: x->e is to be read (extent_load) before the next round; -EOPNOTSUPP: there is no extent to
 * be had; -EAGAIN (no room), -ENOBUFS, or what tcp_send says about the connection. Context: the lock. */
ssize_t extents_send(struct sock *s, struct extent_send *x, uint64_t off, size_t count);
/* Lets go of x->e. Context: the lock. */
void extents_drop(struct stack *st, struct extent_send *x);

struct file_chunk {
    struct rte_mbuf *m[CHUNK_BUFS];
    unsigned n;
    uint16_t fill;  /* bytes a buffer */
    uint32_t bytes; /* room, then what was read */
};

/* Takes buffers for up to `count` bytes, as far as the send buffer has room. 0, -EAGAIN (no room), -ENOBUFS,
 * or what tcp_send says about the connection. Context: the lock. */
int chunk_take(struct sock *s, struct file_chunk *c, size_t count);
/* Reads from fd at off; *at_end: the file ends with these bytes. Bytes read (0: end of file) or -errno as
 * sendfile(2) gives it; the buffers are still held. Context: none. */
ssize_t chunk_read(struct file_chunk *c, int fd, off_t off, bool *at_end);
/* Appends what was read and frees the rest. Bytes taken or -errno. Context: the lock. */
ssize_t chunk_send(struct sock *s, struct file_chunk *c, bool more);
void chunk_drop(struct file_chunk *c);

#endif
