/* tcp_env.h: two whole stacks joined by a wire that can lose, delay, reorder and duplicate, on one fake
 * clock; and a program at each end that sends, receives and checks a pattern. What it does is a function of
 * the seed alone.
 *
 * Both stacks have one link of index 1 (netdev_register is process-wide), so each call into a stack stands
 * between tcp_pair_enter(side) and the next.
 */
#ifndef SHUNT_TEST_TCP_ENV_H
#define SHUNT_TEST_TCP_ENV_H

#include "env.h"

#include "../../stack/shard.h"
#include "../../stack/tcp.h"
#include "../../stack/tcp_cb.h"
#include "../../stack/tcp_ext.h"
#include "../../stack/tcp_tx.h"

#define PAIR_WIRE_MAX 8192

/* What the wire does to each frame; probabilities in 1/1000. */
struct wire_faults {
    uint32_t loss, dup, reorder;
    uint32_t delay_us, jitter_us; /* one way; reordered frames wait up to 4 times delay + 1 ms more */
    uint64_t bytes_per_s;         /* 0: no limit */
    uint32_t queue_bytes;         /* bottleneck's buffer, 0: no limit; what doesn't fit is lost */
    uint32_t loss_ppm;            /* more loss, in parts per million */
    uint32_t mark_bytes;          /* a queue beyond it marks ECT frames CE (RFC 3168); 0: never */
};

struct pair_side {
    struct seg *seg;
    struct stack *st;
    struct shard *sh;
    struct netdev dev;
    struct rte_mbuf *rx[PAIR_WIRE_MAX];
    uint32_t rx_head, rx_n;
    uint64_t link_free_ns; /* when the bottleneck has sent what it holds */
    uint64_t frames, lost, marked;
    uint32_t ip_be;
    struct tcp_pair *pair;
};

struct wire_frame {
    uint64_t at_ns, order;
    struct rte_mbuf *m;
    uint8_t to;
};

struct tcp_pair {
    struct rte_mempool *pool;
    unsigned pool_free;
    struct pair_side side[2];
    uint64_t now_ns, order;
    uint64_t rnd;
    struct wire_faults faults;
    struct wire_frame wire[PAIR_WIRE_MAX];
    uint32_t nwire;
    /* NULL, or looks at each frame before the wire does; true: drop it. from: side. */
    bool (*filter)(struct tcp_pair *p, int from, struct rte_mbuf *m);
    void *arg;
};

struct pair_config {
    uint64_t seed;
    struct wire_faults faults;
    uint32_t mtu, tso_max, caps; /* 0: 1500, none, none */
    uint32_t npkts;              /* 0: 16383 */
    void (*tune)(struct tunables *set);
};

struct tcp_pair *tcp_pair_new(const struct pair_config *cfg);
/* Makes side's link the one that shard calls reach; returns its shard with the clock set. */
struct shard *tcp_pair_enter(struct tcp_pair *p, int side);
/* Sends what calls on side left waiting. */
void tcp_pair_flush(struct tcp_pair *p, int side);
/* Goes on to the next event (a frame's arrival, a timer), at most to until_ns. False: nothing is left to
 * happen. */
bool tcp_pair_step(struct tcp_pair *p, uint64_t until_ns);
/* Steps for ms. */
void tcp_pair_run_ms(struct tcp_pair *p, uint64_t ms);
uint32_t tcp_pair_rnd(struct tcp_pair *p, uint32_t below);
/* Packet buffers not given back; the wire's own aside. */
int tcp_pair_leaks(const struct tcp_pair *p);

/* side 0 listens on port, side 1 connects; both ends are established and the first is accepted. */
void tcp_pair_connect(struct tcp_pair *p, uint16_t port, struct tcb **server, struct tcb **client);

/* --- a transfer --- */

struct transfer {
    uint64_t bytes;               /* to send */
    uint64_t sent, rcvd;          /* so far */
    uint32_t write_max, read_max; /* bytes a call, random up to it; 0: 64 KiB */
    bool nodelay, cork;
    uint32_t read_pause; /* in 1/1000: the reader skips this turn */
    bool fin_sent, eof;
    uint64_t bad; /* bytes that were not the expected ones */
    int error;
};

/* Byte i of the pattern. */
uint8_t tcp_pattern(uint64_t i);
/* One turn of the sending and of the receiving program. */
void transfer_send(struct tcp_pair *p, int side, struct tcb *t, struct transfer *x, bool then_fin);
void transfer_recv(struct tcp_pair *p, int side, struct tcb *t, struct transfer *x);

#endif
