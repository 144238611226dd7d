/* dpdk.h: the only door to EAL and ethdev. Gives the stack a struct netdev a link.
 *
 * Process model: EAL is started once by the process that starts the stack; forks go on using ports and pools
 * (FACTS). Descriptors that EAL, drivers and the engine open are close-on-exec and lie in a private range
 * high up, out of the program's way (fds.h).
 */
#ifndef SHUNT_DPDK_H
#define SHUNT_DPDK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../stack/netdev.h"

struct rte_mempool;

enum link_kind {
    LINK_TAP,
    LINK_PACKET,
    LINK_XDP,
    LINK_MEMIF,
    LINK_VHOST,
    LINK_VIRTIO,
    LINK_PCI,
    LINK_PCAP,
    LINK_NULL,
    LINK_VDEV,
    LINK_RIG,
    LINK_VLAN /* no port: the stack's own (stack/vlan.h) */
};

/* A parsed link specification (design section 1). */
struct link_spec {
    enum link_kind kind;
    char target[192];   /* interface, socket path, PCI address, file, or raw devargs */
    char host_cidr[64]; /* tap: host= */
    char share[16]; /* tap: for=: the interface of a link before it, whose frames that are not the stack's it
                       gets (stack/except.h); "": none */
    bool server;    /* memif: role=server */
    bool has_mac;
    uint8_t mac[6];
    uint32_t mtu; /* 0: the kind's default */
};

/* Parses "tap:s0,host=198.18.0.1/24". 0, or -EINVAL with a one-line reason in err. */
int link_parse(const char *spec, struct link_spec *out, char *err, size_t err_len);

struct dpdk_config {
    const char *name; /* the stack's: file prefix, thread names */
    uint32_t mem_mb;  /* bound of packet memory */
    uint32_t file_mb; /* of which so much may be for pieces of files (dpdk_file_memory); a quarter at most */
    const struct link_spec *links;
    unsigned nlinks;
    uint16_t nshard; /* of the stack, 0 or 1: one: as many pairs of queues each link is to have, if it can */
    bool debug;      /* EAL's own log on */
};

/* Starts EAL (quietly; signal dispositions, affinity, thread name and the program's low descriptors are as
 * before on return), the packet pool, and opens the links in order: dev[i] is link i. 0 or -errno with a
 * one-line reason that says what to do in err (e.g. "tap:s0 needs CAP_NET_ADMIN: run as root, or in 'unshare
 * -rn'"). */
int dpdk_start(const struct dpdk_config *cfg, struct netdev **dev, struct rte_mempool **pool, char *err,
               size_t err_len);
/* Memory for pieces of files, which ports and all processes of the family address as the process that made it
 * does; aligned to 64 KiB. NULL: none was asked for, or the machine's devices know memory by other addresses.
 */
void *dpdk_file_memory(uint64_t *bytes);
/* Where pool and its packets are mapped, and the descriptor of that memory: what a process needs that joins
 * without EAL. -1: it can't be shared so (*addr NULL). */
int dpdk_memory(struct rte_mempool *pool, void **addr, uint64_t *bytes);
/* In a process that joins: maps it. 0; -EBUSY: the addresses are taken; -errno. */
int dpdk_join(int fd, void *addr, uint64_t bytes);
/* After a process of the family was killed under the lock of shard lcore: makes whole what that shard has of
 * the packet pool and of the links. Context: the lock of that shard, at once: nobody may wait for another
 * lock before, whose owner may wait for what is mended here. */
void dpdk_mend(struct rte_mempool *pool, unsigned lcore);
/* For stack/sweep.h. The next range of DPDK's memory beside the pool that may hold addresses of its buffers:
 * the links' queues. As seg_next_used (stack/seg.h). In a fork of the process that called dpdk_start, where
 * dpdk_memory gave fd, addr and bytes. Context: the shard's lock. */
bool dpdk_next_used(struct rte_mempool *pool, const void **at, const void **end);
/* Calls fn for each packet buffer of the pool, upwards. Context: as dpdk_each_free. */
void dpdk_each(struct rte_mempool *pool, void (*fn)(void *arg, void *m), void *arg);
/* Calls fn for each free buffer of the pool. Context: the same. */
void dpdk_each_free(struct rte_mempool *pool, void (*fn)(void *arg, void *m), void *arg);
/* A link as a process that joins takes it over: the kinds that are a descriptor and shared memory alone. */
struct dpdk_passed {
    enum link_kind kind;
    uint32_t mtu;
    uint8_t mac[6];
    uint8_t index;   /* of the ifnet */
    uint16_t nqueue; /* and as many descriptors */
    char name[16];
    void *shared;
};
/* What to pass of dev, and the descriptors; their number, or -1: this kind can't be taken over. */
int dpdk_pass(struct netdev *dev, struct dpdk_passed *out, int fd[NETDEV_QUEUE_MAX]);
/* In the process that joins, after dpdk_join: link i, with descriptors that are its from now on. */
struct netdev *dpdk_take(unsigned i, const struct dpdk_passed *in, struct rte_mempool *pool, const int *fd);
/* For tests and failed starts: stops ports, removes what was created (tap, sockets). Only the last member of
 * a family may call it. */
void dpdk_stop(void);
/* The keeper, last of its family: what must vanish from the file system and the kernel (socket files, taps,
 * runtime directories). */
void dpdk_remove_traces(void);

/* The drivers' control: connections of memif, vhost and virtio links, link changes. It runs in one process of
 * the family only, the keeper, which is forked after dpdk_start and before control was run anywhere. Without
 * it these links never come up. dpdk_control_fds: appends what to sleep on (about 4 a link) and lowers
 * *deadline_ns (CLOCK_MONOTONIC). Returns how many. dpdk_control_poll: does what is due, never sleeps for
 * long; call it when one of these descriptors is ready or the deadline is past. Context of both: the shard's
 * lock. */
int dpdk_control_fds(struct pollfd *p, int room, uint64_t *deadline_ns);
/* Did a process that was killed leave a link which dpdk_control_poll is to make anew (virtio_mend.c)? */
bool dpdk_control_due(void);
void dpdk_control_poll(uint64_t now_ns);

/* Sleeping on queue q of a port, under its shard's lock: appends the Rx descriptors of dev to p (at most
 * room), POLLIN. Returns how many (one, or more where the other end has more rings); 0 when the queue has
 * none and must be polled in slices, or doesn't exist. */
int dpdk_rx_fds(struct netdev *dev, unsigned q, struct pollfd *p, int room);
/* Arms / disarms the queue's Rx interrupt; after arming poll once more before sleeping. drain: reads the
 * event counters that fired. */
void dpdk_rx_arm(struct netdev *dev, unsigned q);
void dpdk_rx_disarm(struct netdev *dev, unsigned q, const struct pollfd *p, int n);
/* Nanoseconds a sleeper may sleep at most on a port without Rx descriptors, for how long it has been idle. */
uint64_t dpdk_rx_slice_ns(struct netdev *dev, uint64_t idle_ns);
bool dpdk_link_up(struct netdev *dev);
/* Frees mbufs the port still holds after transmission (rte_eth_tx_done_cleanup), so that an idle sender's
 * buffers come back. */
void dpdk_tx_reclaim(struct netdev *dev, unsigned q);

#endif
