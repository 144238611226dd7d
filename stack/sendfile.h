/* sendfile.h: bytes of a file into a TCP socket's send queue.
 *
 * Theory of operation. A chunk is made ready in three steps, so that nobody waits for a disk under the
 * shard's lock: buffers are taken (lock), the file is read into them (no lock), they go to the send queue as
 * its units (lock). What the queue doesn't take, because another thread wrote meanwhile, is dropped: the
 * caller reads it again from its offset. One copy, from the page cache. An extent cache that attaches pages
 * instead can take the place of the second step: a chunk is mbufs that somebody filled. Between
 * the steps the buffers are the process's alone (pkt_hold).
 */
#ifndef SHUNT_SENDFILE_H
#define SHUNT_SENDFILE_H

#include "sock.h"

#define CHUNK_BUFS 32

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
