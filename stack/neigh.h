/* neigh.h: neighbours: which link address an on-link IP address has, and the packets that wait to learn it.
 * Both families use the same table and states; arp.c solicits for IPv4, nd.c for IPv6.
 *
 * Theory of operation. An entry goes through the states of neighbour unreachability detection (RFC 4861
 * section 7.3.2, which Linux uses for ARP too):
 *
 *   NONE -> INCOMPLETE  a packet wants out: solicit by broadcast, every neigh_retrans ms, neigh_probes times
 *   INCOMPLETE -> REACHABLE  an answer came: the queue leaves
 *   INCOMPLETE -> FAILED     none came: the queue is dropped, each packet with an ICMP host unreachable to
 * its sender REACHABLE -> STALE  not confirmed for neigh_base_reachable s (found out at the next packet: an
 * idle table needs no timer) STALE -> DELAY      a packet goes out: NEIGH_DELAY_MS for an upper layer to
 * confirm DELAY -> PROBE      solicit by unicast, neigh_probes times, then FAILED NOARP               known
 * without asking: loopback, broadcast, multicast, links without link addresses PERMANENT   set by the user,
 * who alone changes it
 *
 * The failure report. As on Linux the packet's sender learns by an ICMP error that this stack sends to
 * itself, over loopback: it comes back through eth_input as IP_ICMP_ERROR with EHOSTUNREACH, and TCP and UDP
 * need no second path for it.
 *
 * Pointers. A flow holds its entry without counting; freeing an entry moves route_table.gen, which makes
 * every flow look again. The fast path reads fresh_until_ns and hdr and nothing else.
 */
#ifndef SHUNT_NEIGH_H
#define SHUNT_NEIGH_H

#include "ip.h"
#include "list.h"
#include "wire_eth.h"

#define NEIGH_BUCKETS     256
#define NEIGH_DELAY_MS    5000  /* RFC 4861 section 10, DELAY_FIRST_PROBE_TIME */
#define NEIGH_GC_STALE_MS 60000 /* an entry unused for so long goes first */

enum neigh_state {
    NEIGH_NONE,
    NEIGH_INCOMPLETE,
    NEIGH_REACHABLE,
    NEIGH_STALE,
    NEIGH_DELAY,
    NEIGH_PROBE,
    NEIGH_FAILED,
    NEIGH_NOARP,
    NEIGH_PERMANENT,
};

struct neigh {
    uint64_t fresh_until_ns;  /* may be used without a second look before this; 0: look at state */
    uint8_t hdr[ETH_HDR_LEN]; /* Ethernet header template; valid in every state with a link address */
    uint8_t state;            /* enum neigh_state */
    uint8_t ifindex;
    uint8_t probes; /* sent in this state */
    struct ipaddr addr;
    uint64_t used_ms, confirmed_ms, updated_ms;
    struct list hash, lru;            /* lru: most recently looked up first */
    struct timer timer;               /* TIMER_NEIGH */
    struct rte_mbuf *q_head, *q_tail; /* packets from their IP header on, linked by pkt_meta.link */
    uint32_t q_len;
};

/* Conflict detection and announcements of our own IPv4 addresses (arp.c). */
struct arp_state {
    struct timer timer; /* TIMER_STACK */
    uint8_t probes_left, announces_left;
    uint8_t conflict_mac[ETH_ADDR_LEN]; /* who else has an address of ours */
    uint64_t defended_ms;
};

#define RA_ROUTES 32

/* A route that a router told of. */
struct ra_route {
    struct ipaddr net, via; /* via: any for a prefix on the link */
    uint64_t expires_ms;    /* 0: never */
    uint8_t plen, ifindex, used;
};

/* Duplicate address detection of our IPv6 addresses (nd.c), and what routers said (ra.c). */
struct nd_state {
    struct timer timer; /* TIMER_ND */
    bool probing;       /* some address is being probed: its turn is the timer's */
    uint8_t rs_sent[NETDEV_MAX];
    uint64_t rs_at_ms[NETDEV_MAX]; /* when the next solicitation is due */
    struct ra_route route[RA_ROUTES];
};

struct neigh_table {
    struct arp_state arp;
    struct nd_state nd;
    struct slab slab;
    struct list lru;
    struct list bucket[NEIGH_BUCKETS];
};

/* Allocates st->neigh, set.neigh_gc_thresh entries. 0 or -ENOMEM. */
int neigh_table_init(struct stack *st);
/* The entry for an on-link address of interface ifindex, made when there is none. NULL: the table is full of
 * entries in use. Context: shard 0's lock. */
struct neigh *neigh_get(struct shard *sh, unsigned ifindex, const struct ipaddr *addr);
/* The same without making one. */
struct neigh *neigh_find(const struct stack *st, unsigned ifindex, const struct ipaddr *addr);
/* Sends a packet that starts at its IP header when n is not fresh: queues, solicits, moves the state. Takes
 * ownership. */
void neigh_output_slow(struct shard *sh, struct neigh *n, struct rte_mbuf *m);
/* What was heard: mac is n's link address; solicited: an answer to our question (REACHABLE), else hearsay
 * (STALE when it is news). Sends the queue. */
void neigh_update(struct shard *sh, struct neigh *n, const uint8_t mac[6], bool solicited);
/* A neighbour advertisement about n (RFC 4861 section 7.2.5). mac NULL: it names none. */
void neigh_advert(struct shard *sh, struct neigh *n, const uint8_t *mac, bool solicited, bool override);
/* An upper layer saw forward progress through n (RFC 4861 section 7.3.1): reachable from now. NULL is
 * allowed. */
void neigh_confirm(struct shard *sh, struct neigh *n);
/* TIMER_NEIGH fired. */
void neigh_timer(struct shard *sh, struct timer *t);
/* After a process was killed in here. */
void neigh_mend(struct shard *sh);
/* Forgets all entries of an interface (its queue is dropped). */
void neigh_flush(struct shard *sh, unsigned ifindex);

/* What rtnetlink asks for: n's link address (NULL: the one it has) and state, whatever they were. */
void neigh_set(struct shard *sh, struct neigh *n, const uint8_t *mac, enum neigh_state state);
/* Forgets n; its queue is dropped. */
void neigh_forget(struct shard *sh, struct neigh *n);

/* True while nothing that is heard changes n. */
static inline bool neigh_is_fixed(const struct neigh *n)
{
    return n->state >= NEIGH_NOARP;
}

/* True while n has a link address to send to. */
static inline bool neigh_has_mac(const struct neigh *n)
{
    return n->state != NEIGH_NONE && n->state != NEIGH_INCOMPLETE && n->state != NEIGH_FAILED;
}

#endif
