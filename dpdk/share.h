/* share.h: what one process of the family opens and maps while links connect, made to appear in all others.
 * Internal to dpdk/.
 *
 * Theory of operation. A memif or vhost peer that connects hands over descriptors: memory regions, which the
 * driver maps, and eventfds. The keeper runs the drivers' control (control.c), so both happen there; but
 * every process of the family sends and receives through them, by pointers and descriptor numbers that the
 * driver keeps in DPDK's shared memory. So what is opened or mapped under control is recorded here: mappings
 * are placed in a window of addresses that every process reserved before the first fork, descriptors are
 * given numbers from a part of the private range that nobody else uses. The descriptors themselves are passed
 * by one message in a socket pair that all members inherited: it is only ever looked at (MSG_PEEK makes new
 * references each time), so any number of members, also later ones, can take them, even after the keeper has
 * died. A generation number tells a member that it must catch up, which it does before its next burst.
 *
 * Context: what the process that runs control calls under the locks of all shards; share_catch_up, and so
 * share_sync, under one of them, in several threads at once.
 */
#ifndef SHUNT_SHARE_H
#define SHUNT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../stack/netdev.h"

struct share {
    uint64_t gen; /* of what is published */
    bool lost;    /* a table was full: the links that need it are down for members */
    /* A shard is in a burst of a link, or a process was killed in it (virtio_mend.c). */
    struct {
        uint8_t port[NETDEV_MAX];
    } __attribute__((aligned(64))) busy[NETDEV_QUEUE_MAX];
};

extern struct share *share_state; /* NULL: not in use */
extern uint64_t share_seen;       /* generation that this process has caught up with */

/* Before links are opened, and so before any fork. 0 or -errno. */
int share_init(void);

/* In the process that runs the drivers' control, while it does: */
int share_fd_add(
    int fd); /* gives fd a number of the shared part; the number, or fd itself when there is none left */
void share_fd_del(int fd);
void *share_map(size_t len, int prot, int fd, off_t off); /* as mmap, MAP_SHARED: MAP_FAILED with errno */
int share_unmap(void *addr);                              /* 0; -ENOENT: not one of ours */
void share_publish(void);                                 /* afterwards */

/* Something of a link changed that lies in shared memory alone: the others are to look at it anew. In the
 * process that runs control, while it does. */
void share_touch(void);

int share_catch_up(void);

/* In any process before it uses what a peer handed over. False: can't, take the link as down. */
static inline bool share_sync(void)
{
    return !share_state || share_state->gen == __atomic_load_n(&share_seen, __ATOMIC_ACQUIRE) ||
           share_catch_up() == 0;
}

/* In the child of a fork: a thread of the parent may have been at it. */
void share_after_fork(void);

#endif
