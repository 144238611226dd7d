/* tcp_peer.h: a scripted TCP peer for tests: it sends exactly the segments a test names to the stack of
 * env_stack, and looks at what comes back.
 *
 * Numbers are relative, as in a packet script: the peer's SYN is 0 and so is the stack's.
 */
#ifndef SHUNT_TEST_TCP_PEER_H
#define SHUNT_TEST_TCP_PEER_H

#include "env.h"

#include "../../stack/shard.h"
#include "../../stack/tcp.h"
#include "../../stack/tcp_cb.h"
#include "../../stack/tcp_ext.h"
#include "../../stack/tcp_tx.h"

#define PEER_PORT 40000
#define OWN_PORT  80
#define PEER_WND  65535

struct peer {
    struct env *e;
    struct shard *sh;
    struct tcb *t;        /* the stack's connection */
    struct tcb *listener; /* when it was opened passively */
    uint16_t port, own_port;
    uint32_t iss;          /* the peer's initial sequence number */
    uint32_t irs;          /* the stack's, once seen */
    bool ts;               /* the connection has timestamps: peer_send adds them */
    uint32_t tsval, tsecr; /* next ones to send: tsval goes with the clock */
    struct env_seen seen;  /* the last segment taken by peer_recv */
};

struct peer_opts {
    bool ts, sack, wscale;
    uint16_t mss;    /* 0: 1460 */
    uint8_t shift;   /* with wscale */
    uint16_t window; /* 0: PEER_WND */
};

/* A segment for the stack. seq and ack are relative; data of len pattern bytes (its offset is seq - 1). */
struct peer_seg {
    uint8_t flags;
    uint32_t seq, ack;
    uint32_t window; /* 0: PEER_WND; ~0u: a closed one */
    uint32_t len;
    uint16_t urgent;             /* the pointer, with TCP_URG in flags */
    const struct tcp_opts *opts; /* NULL: timestamps when negotiated */
    uint8_t tos;                 /* of the IP header */
    bool ae;                     /* AccECN's bit beside the flags */
};

extern const struct tcp_opts peer_no_opts;

struct peer *peer_new(const struct env_config *cfg);
/* Listens on OWN_PORT. */
struct tcb *peer_listen(struct peer *p, int backlog);
/* Sends, lets the stack work. */
void peer_send(struct peer *p, struct peer_seg s);
/* The same without letting it work: a burst. */
void peer_queue(struct peer *p, struct peer_seg s);
void peer_poll(struct peer *p);
/* Takes the next segment the stack sent; false: there is none. Read with the accessors below. */
bool peer_recv(struct peer *p);
/* Drops everything the stack sent so far. */
void peer_clear(struct peer *p);
uint32_t peer_count(const struct peer *p);
void peer_wait_ms(struct peer *p, uint64_t ms);

/* Handshakes. Passive: the peer connects; active: the stack does. The connection is p->t, ESTABLISHED,
 * nothing is left unread. */
void peer_open_passive(struct peer *p, const struct peer_opts *o);
void peer_open_active(struct peer *p, const struct peer_opts *o);
/* Brings an established connection into another state (enum tcp_state). FIN_WAIT_1, FIN_WAIT_2, CLOSING,
 * CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE. */
void peer_into(struct peer *p, int state);

/* Of the last segment taken. */
static inline uint32_t seen_seq(const struct peer *p)
{
    return p->seen.tcp.seq - p->irs;
}
static inline uint32_t seen_ack(const struct peer *p)
{
    return p->seen.tcp.ack - p->iss;
}

/* The program. Results as the stack gives them. */
ssize_t peer_app_send(struct peer *p, uint32_t len, bool more);
ssize_t peer_app_recv(struct peer *p, void *buf, size_t len);
void peer_set(struct peer *p, int level, int name, int value);

/* The PSH by which a burst of several segments ends matters to few tests: it may be left out of fl. */
static inline uint8_t psh_of_burst(const struct peer *p, unsigned fl)
{
    return p->seen.data_len && !(fl & TCP_PSH) ? TCP_PSH : 0;
}

/* Takes a segment and asserts flags, relative numbers and payload length. */
#define peer_expect(p, fl, sq, ak, ln)                                                                       \
    do {                                                                                                     \
        cr_assert(peer_recv(p), "line %d: no segment", __LINE__);                                            \
        cr_assert_eq((p)->seen.tcp.flags & ~psh_of_burst(p, fl), (fl), "line %d: flags %#x", __LINE__,       \
                     (p)->seen.tcp.flags);                                                                   \
        cr_assert_eq(seen_seq(p), (uint32_t)(sq), "line %d: seq %u", __LINE__, seen_seq(p));                 \
        cr_assert_eq(seen_ack(p), (uint32_t)(ak), "line %d: ack %u", __LINE__, seen_ack(p));                 \
        cr_assert_eq((p)->seen.data_len, (uint32_t)(ln), "line %d: len %u", __LINE__, (p)->seen.data_len);   \
    } while (0)
#define peer_expect_none(p)                                                                                  \
    cr_assert_not(peer_recv(p), "line %d: a segment, flags %#x", __LINE__, (p)->seen.tcp.flags)

#endif
