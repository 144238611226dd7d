/* stack.h: the stack as a whole (what a network namespace is to the kernel) and its shards. Layer 0-2 data
 * that every layer above reads; how the tables behind the pointers look is known to their owners only.
 *
 * Everything here lives in the segment. Locks: "the lock", and "shard 0's lock" in what others say of
 * themselves, is all shards' locks together (shard_lock). Under it everything may be changed. Who holds one
 * shard's own lock alone (lane.h) may read everything, and change what that shard has for itself: its device
 * queue, its plain connections, its timers, its lists and counters. With one shard the two are the same.
 */
#ifndef SHUNT_STACK_H
#define SHUNT_STACK_H

#include <pthread.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdint.h>

#include "addr.h"
#include "count.h"
#include "list.h"
#include "netdev.h"
#include "seg.h"
#include "slab.h"
#include "timer.h"
#include "tunable.h"

#define SHARD_MAX  8
#define IFADDR_MAX 64
#define TX_BATCH   64
#define RX_BATCH   32
#define WAKE_MAX   128

#define STACK_IF_BASE 1000000 /* see stack_if_shown */

struct ifaddr {
    struct ipaddr addr;
    uint8_t prefix_len; /* of the family's own width: 0-32 for IPv4 */
    /* IFADDR_TENTATIVE while a conflict is probed (RFC 5227, RFC 4862), IFADDR_VALID, IFADDR_CONFLICT */
    uint8_t state;
    uint8_t flags;                   /* enum ifaddr_flag */
    uint8_t probes;                  /* sent for it (nd.c) */
    uint8_t nonce[6];                /* of its probes (RFC 7527) */
    uint64_t preferred_ms, valid_ms; /* until when, by the shard's clock; 0: for ever */
};
enum { IFADDR_FREE, IFADDR_TENTATIVE, IFADDR_VALID, IFADDR_CONFLICT };
enum ifaddr_flag {
    IFADDR_AUTO = 1, /* not the user's choice: link-local, by a router's advertisement or by DHCP */
};

/* What the family shares about a link. Index 0 is loopback. */
struct ifnet {
    char name[16];
    uint8_t mac[6];
    uint8_t index;
    uint8_t up;
    uint8_t tx_odd;               /* frames don't just go to a device: a VLAN, a shared card, or down */
    uint8_t vlan_parent;          /* with vlan_id: the interface that carries its frames (vlan.h) */
    uint16_t vlan_id;             /* 802.1Q; 0: an interface with a device */
    uint32_t caps, mtu, tso_max;  /* copies of the netdev's */
    uint32_t flipped;             /* IFF_* that were set or cleared: other than they are at first */
    uint32_t txqlen;              /* shown alone: there is no queue */
    uint32_t mtu_max;             /* what mtu was at first: larger frames the device may not take */
    uint8_t rx_odd;               /* it is down, or has a part in the exception path */
    uint8_t except_if, except_of; /* except.h: a card's way to the kernel; that one's card. 0: none */
    struct ifaddr addr[IFADDR_MAX];
    uint32_t naddr;
    /* What input wants to know at a glance (ifnet_changed keeps them): the number of IPv4 addresses, the
     * first valid one and its directed broadcast, 0 when there is none. */
    uint32_t n4, addr4_be, bcast4_be;
    uint8_t hop_limit; /* IPv6: what a router advertised, 0: none */
    uint32_t mtu6;     /* the same, bytes */
    char alias[256];
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};

_Static_assert(SHARD_MAX <= NETDEV_QUEUE_MAX, "a shard has its queue");

/* What a shard above 0 counts of an interface until it is added there (lane.c). */
struct ifcount {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};

struct route_table;
struct neigh_table;
struct notes;
struct port_table;
struct tcp_table;
struct udp_table;
struct raw_table;
struct ping_table;
struct packet_table;
struct netlink_table;
struct capture;
struct packetcb;
struct icmp_copy;
struct ext_table;
struct reuse_table;
struct ip_exts;
struct frag_table;
struct filter_table;
struct errq_table;
struct mc_table;
struct dgram_mc;
struct dhcp_table;
struct ready_state;
struct waiter;
struct pcb;

/* Frames that wait to be handed to a netdev: first those on the list, which members of the family without the
 * device left, then m. */
struct txq {
    uint32_t n;
    uint32_t nrelay;
    struct rte_mbuf *relay_head, *relay_tail; /* linked by pkt_meta.link */
    struct rte_mbuf *m[TX_BATCH];
};

/* A signal to be sent to a process, thread or process group once the lock is dropped. */
enum owner_type { OWNER_TID, OWNER_PID, OWNER_PGRP }; /* with fcntl's numbers: F_OWNER_* */
struct sig_due {
    int32_t who;
    int32_t fd;   /* siginfo's si_fd */
    uint8_t type; /* enum owner_type */
    uint8_t sig;
    uint8_t code; /* POLL_IN ...: its si_code; 0: says nothing but that it came (F_SETSIG 0, SIGURG) */
};
#define SIG_DUE_MAX 16 /* more at once are not sent */

/* The processor's time stamp counter as a clock (api.c): what CLOCK_MONOTONIC was at a tick; mult:
 * nanoseconds a tick, times 2^32; 0: the clock is asked always. */
struct ticks {
    uint64_t at, ns, mult;
};

struct shard {
    pthread_mutex_t lock; /* robust, process-shared. Order: shard 0 first, then by number */
    struct stack *st;
    uint16_t id;
    bool many;       /* it is not the only one. With several (lane.h): */
    bool torn;       /* its owner was killed, and it was not mended yet */
    bool slow;       /* there is something to be done under all locks */
    uint64_t now_ns; /* CLOCK_MONOTONIC, set by the caller of shard_poll and of every api call */
    struct ticks ticks;
    uint64_t last_poll_ns;
    uint64_t rnd[2]; /* state of rnd_u32 */
    struct rte_mempool *pool;
    struct wheel wheel;
    struct txq tx[NETDEV_MAX];
    struct rte_mbuf *lo_head, *lo_tail; /* loopback frames, linked by pkt_meta.link */
    uint32_t lo_len;
    uint32_t nraw;     /* raw sockets that are open */
    uint32_t npacket;  /* packet sockets that are open, and one while frames are captured */
    uint32_t nreuse;   /* programs of SO_REUSEPORT groups (port_reuse.h) */
    struct list dirty; /* pcbs with events to hand up */
    struct list acks;  /* tcbs that owe an ACK at the end of the burst (tcp_output's) */
    struct tcp_table *tcp;
    struct udp_table *udp, *udplite;
    struct raw_table *raw;
    struct ping_table *ping;
    struct packet_table *packet;
    struct netlink_table *netlink;
    struct capture *cap;          /* NULL: nobody captures (capture.h) */
    struct packetcb *packet_from; /* the packet socket that is sending (packet_tap) */
    struct icmp_copy *icmp_copy;  /* ip.h */
    struct ext_table *ext_table;  /* ip_ext.h */
    struct reuse_table *reuse;    /* port_reuse.h */
    const struct ip_exts *exts;   /* of the flow that is sending, with FLOW_WITH_EXT */
    struct frag_table *frag;
    struct errq_table *errq;
    struct dgram_mc *mc_sock;
    struct dhcp_table *dhcp; /* NULL: no link has its address by DHCP */
    struct filter_table *filters;
    uint64_t icmp_stamp_ns; /* token bucket of ICMP and ICMPv6 errors (icmp.c) */
    uint32_t icmp_tokens;
    uint64_t count[COUNT_MAX];
    /* What the lock's owner is changing, noted before it does and NULL when the lock is free: should it be
     * killed, this alone may be torn (tcp_mend.c). */
    struct pcb *work;
    uint64_t sweep_ns; /* when packet buffers that a killed process left are looked for (sweep.h); 0: not */
    /* wake-ups collected under the lock, sent after it is dropped (ready.h) */
    uint32_t nwake;
    uint32_t nsig; /* and signals */
    struct sig_due sig[SIG_DUE_MAX];
    uint16_t wake[WAKE_MAX];
    /* Who sleeps on the devices for all (preload/engine/sleep.c). shard_unlock collects the leader's wake
     * index too when the next timer is due before leader_until_ns, and then sets that to 0: once a sleep. */
    struct waiter *leader;    /* NULL: nobody sleeps there */
    uint64_t leader_until_ns; /* when it wakes by itself at the latest; 0: it needs no telling */
    uint64_t drop[COUNT_MAX]; /* frames dropped, each once, by reason (pkt_drop) */
    struct rte_mbuf *slow_head, *slow_tail; /* received frames for all locks, linked by pkt_meta.link */
    uint32_t slow_len;
    struct ifcount ifc[NETDEV_MAX]; /* of shards above 0 */
} __attribute__((aligned(128)));    /* two owners, no line in common */

struct stack {
    struct seg *seg;
    char name[32];
    uint64_t boot_ns;
    uint8_t secret[16]; /* siphash key: ISN (RFC 6528), ports (RFC 6056), hash tables */
    struct tunables set;
    uint32_t stamps;     /* sockets that want time stamps (stamp.h) */
    int64_t wall_off_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC; kept right while stamps is not 0 */
    uint8_t isolate;     /* profile isolate: the stack takes every destination */
    uint32_t tick_hz;    /* SO_RCVTIMEO and SO_SNDTIMEO are whole ticks of this; 0: of 1 us */
    uint32_t owner_uid;  /* who started the stack */
    uint32_t if_base;    /* what interface numbers are shown to the program with (stack_if_shown) */
    uint32_t nif;
    uint32_t listened; /* LISTEN_* (notes.h): what somebody wants to hear of */
    struct notes *notes;
    uint32_t if_gen; /* moves with every change of ifn, never 0 */
    struct ifnet ifn[NETDEV_MAX];
    struct route_table *routes;
    struct neigh_table *neigh;
    struct port_table *ports;
    uint32_t port_range; /* IP_LOCAL_PORT_RANGE of the socket that binds or connects now; 0: none */
    struct mc_table *mcast;
    struct ready_state *ready;    /* files, epoll sets, waiters */
    struct extent_cache *extents; /* extent.h; NULL: none */
    void *family;                 /* processes, keeper: preload/engine's */
    uint32_t nested;              /* epoll sets that are in sets */
    uint32_t nshard;
    bool all;  /* all locks are held. Whoever holds one of them may read it */
    bool cold; /* something is on that wants to see every frame and event in one place: no plain
                  connections (lane.h) */
    /* With several shards: as shard.now_ns of the latest call; atomic. All write it, and read what is above.
     */
    uint64_t clock_ns __attribute__((aligned(128)));
    struct shard shard[SHARD_MAX];
};

/* A counter over all shards. Each is one aligned word: it is read without the lock. */
static inline uint64_t stack_count(const struct stack *st, enum count c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < st->nshard; i++)
        n += __atomic_load_n(&st->shard[i].count[c], __ATOMIC_RELAXED);
    return n;
}

/* The shard whose lists take what comes up now: under all locks shard 0, else the one whose lock is held. */
static inline struct shard *stack_here(struct stack *st)
{
    return st->nshard > 1 && !st->all ? &st->shard[RTE_PER_LCORE(_lcore_id) % SHARD_MAX] : &st->shard[0];
}

/* The number by which the program knows interface ifindex, as if_nametoindex gives it. From 1, as in Linux;
 * in profile default far above the host's own, which stay what they are beside them. */
static inline int stack_if_shown(const struct stack *st, unsigned ifindex)
{
    return (int)(st->if_base + ifindex + 1);
}

/* The other way; -1: no interface of the stack. */
static inline int stack_if_of(const struct stack *st, int shown)
{
    uint32_t i = (uint32_t)shown - st->if_base - 1;

    return i < st->nif ? (int)i : -1;
}

static inline uint64_t shard_ms(const struct shard *sh)
{
    return sh->now_ns / 1000000;
}

static inline uint64_t shard_us(const struct shard *sh)
{
    return sh->now_ns / 1000;
}

/* Puts the pcb's events on the dirty list (pcb.h). Context: the shard's lock. */
struct pcb;
void pcb_event(struct shard *sh, struct pcb *pcb, unsigned events);

#endif
