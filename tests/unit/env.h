/* env.h: what the unit tests share: DPDK's core without huge pages, a packet pool, a segment, a stack with a
 * fake clock and a fake link, and builders and readers of frames.
 *
 * Two ways to get a stack:
 *   env_net()    layers 0 to 4 alone (routes, neighbours, fragments; no sockets). Link env_tx.c beside env.c:
 * it stands in for shard.c. Frames go in by env_input, which returns eth_input's verdict. env_stack()  all of
 * it, by stack_create. Link env_stack.c beside env.c. Frames go in by env_inject and env_poll.
 *
 * Either way: interface 1 is "eth0" with ENV_MAC and ENV_IP/24 and is up; the peer is ENV_PEER_IP with
 * ENV_PEER_MAC; the clock stands at ENV_START_NS until env_advance_ms moves it; what the stack sends is
 * captured in order (env_seen). Criterion runs each test in a process of its own: nothing needs to be torn
 * down, but env_leaks says whether a packet buffer was lost.
 */
#ifndef SHUNT_TEST_ENV_H
#define SHUNT_TEST_ENV_H

#include <rte_mbuf.h>

#include "../../stack/icmp.h"
#include "../../stack/ip.h"
#include "../../stack/neigh.h"
#include "../../stack/pkt.h"
#include "../../stack/stack.h"
#include "../../stack/wire_arp.h"
#include "../../stack/wire_eth.h"
#include "../../stack/wire_icmp.h"
#include "../../stack/wire_ip4.h"
#include "../../stack/wire_tcp.h"
#include "../../stack/wire_udp.h"

#define ENV_START_NS 1000000000000ULL
#define ENV_IF       1
#define ENV_CAPTURE  8192
#define ENV_QUEUES   4

/* An IPv4 address in network order; a constant expression, on this little-endian machine. */
#define IP4(a, b, c, d) ((uint32_t)(d) << 24 | (uint32_t)(c) << 16 | (uint32_t)(b) << 8 | (uint32_t)(a))
#define ENV_IP          IP4(198, 18, 0, 2)
#define ENV_PEER_IP     IP4(198, 18, 0, 1)
#define ENV_OTHER_IP    IP4(203, 0, 113, 9) /* beyond the gateway, once there is one */

extern const uint8_t ENV_MAC[6], ENV_PEER_MAC[6], ENV_BCAST_MAC[6];

struct env_config {
    bool isolate;
    bool arp_probe; /* addresses start tentative */
    bool no_addr;   /* eth0 has no address */
    bool no_peer;   /* the peer's link address is not known: ARP has to find it */
    bool no_if;     /* loopback alone */
    uint32_t caps;  /* enum netdev_cap of eth0 */
    uint32_t mtu;   /* 0: 1500 */
    uint32_t tso_max;
    uint32_t queues;                    /* of eth0, and shards; 0: one. env_stack alone */
    uint32_t npkts;                     /* packet buffers; 0: 4095 */
    void (*tune)(struct tunables *set); /* changes settings before the stack is made */
};

struct env {
    struct rte_mempool *pool;
    struct seg *seg;
    struct stack *st;
    struct shard *sh;
    struct netdev dev;
    uint64_t now_ns;
    /* frames to be received (env_inject), frames sent and not yet looked at */
    struct rte_mbuf *rx[ENV_CAPTURE], *tx[ENV_CAPTURE];
    uint32_t rx_head, rx_n, tx_head, tx_n;
    /* The same of the queues above 0; frames that each queue ever sent. */
    struct {
        struct rte_mbuf *rx[64];
        uint32_t head, n;
    } more[ENV_QUEUES - 1];
    uint32_t sent[ENV_QUEUES];
    uint32_t tx_block;  /* the fake port takes no more frames while it is 1 */
    unsigned pool_free; /* when the environment was made */
    void (*step)(struct env *e);
    /* what env_input found */
    struct rxinfo ri;
    struct icmp_error err;
    struct rte_mbuf *m;
};

extern struct env *env_now; /* the latest; env_tx.c's */

/* EAL and a pool alone; both are made at most once a process. */
void env_eal(void);
struct rte_mempool *env_pool(uint32_t npkts);

struct env *env_net(const struct env_config *cfg); /* NULL: defaults */
struct env *env_stack(const struct env_config *cfg);
/* Common parts, for the two above. */
struct env *env_begin(const struct env_config *cfg, struct tunables *set);
void env_add_if(struct env *e, const struct env_config *cfg);

/* Moves the clock by ms, a step of a millisecond at a time when small, and runs what is due. */
void env_advance_ms(struct env *e, uint64_t ms);
/* Packet buffers out now beyond those captured or waiting to be received. */
int env_leaks(struct env *e);

/* --- frames in --- */
struct rte_mbuf *env_frame(struct env *e, const void *bytes, size_t len);
/* The same in a chain of pieces of at most piece bytes. */
struct rte_mbuf *env_frame_chain(struct env *e, const void *bytes, size_t len, size_t piece);
/* Hands m to eth_input as received on interface ifindex; results in e->ri, e->err, e->m. Frees m unless it is
 * a transport's. */
enum ip_verdict env_input_if(struct env *e, unsigned ifindex, struct rte_mbuf *m);
enum ip_verdict env_input(struct env *e, struct rte_mbuf *m);
void env_done(struct env *e); /* frees e->m */
/* Queues m on the fake link; env_poll runs shard_poll until nothing is left to receive (env_stack only). */
void env_inject(struct env *e, struct rte_mbuf *m);
void env_inject_at(struct env *e, unsigned queue, struct rte_mbuf *m);
void env_poll(struct env *e);

struct rte_mbuf *env_arp(struct env *e, uint16_t op, const uint8_t sha[6], uint32_t spa, const uint8_t tha[6],
                         uint32_t tpa);

/* An IPv4 packet from the peer; zero fields mean defaults (src ENV_PEER_IP, dst ENV_IP, ttl 64, length and
 * checksum right). */
struct env_ip {
    uint32_t src, dst;
    uint8_t proto, ttl, tos;
    uint16_t id, off; /* host order; off: flags and offset in units of 8 */
    const uint8_t *opts;
    uint8_t opts_len;   /* a multiple of 4 */
    uint16_t total_len; /* 0: the right one */
    bool bad_cksum;
    const uint8_t *dmac; /* NULL: ENV_MAC */
};
struct rte_mbuf *env_ip4(struct env *e, const struct env_ip *ip, const void *payload, size_t len);
/* Bytes of such a frame, for tests that cut or flip them. Returns the length; buf has room for 14 + 60 + len.
 */
size_t env_ip4_bytes(uint8_t *buf, const struct env_ip *ip, const void *payload, size_t len);
struct rte_mbuf *env_udp(struct env *e, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                         const void *data, size_t len);
/* ports in host order; h: flags, seq, ack, window, urgent (ports and hlen are set here) */
struct rte_mbuf *env_tcp(struct env *e, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                         const struct tcp_hdr_in *h, const struct tcp_opts *opts, const void *data,
                         size_t len);
struct rte_mbuf *env_icmp(struct env *e, uint32_t src, uint32_t dst, uint8_t type, uint8_t code,
                          uint32_t rest, const void *data, size_t len);

/* --- frames out --- */
struct env_seen {
    uint8_t raw[65536 + 64];
    uint32_t len;
    uint64_t ol_flags;
    uint16_t tso_segsz, l2_len, l3_len, l4_len;
    const struct eth_hdr *eth;
    uint16_t type;            /* Ethernet, host order */
    const struct ip4_hdr *ip; /* NULL: not IPv4 */
    struct arp_pkt arp;
    struct tcp_hdr_in tcp;
    struct tcp_opts opts;
    struct udp_hdr_in udp;
    const uint8_t *l4;   /* behind the IP header */
    const uint8_t *data; /* behind the transport's */
    uint32_t data_len;
};
/* Takes the oldest captured frame and reads it. False: none was sent. *s is large: make it static. */
bool env_seen(struct env *e, struct env_seen *s);
/* Frames captured and not yet looked at. */
uint32_t env_tx_count(const struct env *e);
void env_tx_clear(struct env *e);
/* For implementers of the link. Takes ownership. */
void env_capture(struct env *e, struct rte_mbuf *m);

static inline struct ipaddr env_addr(uint32_t v4_be)
{
    return ipaddr_v4(v4_be);
}

#endif
