/* inspect.h: what is told about sockets to who looks from outside: /proc/net (procnet.h) and sock_diag(7).
 *
 * Theory of operation. A walk goes through the tables in pieces, so that whoever looks at a hundred thousand
 * connections holds the shard's lock for some microseconds at a time and never while it writes. Between two
 * pieces everything may change; struct inspect_at says where to go on. Connections and datagram sockets are
 * found by their place in the slab, which they never change: each that lives from the first piece to the last
 * is seen exactly once. Listeners, half-open connections and TIME_WAIT entries are found by hash chain, as in
 * Linux: one that comes or goes meanwhile may be missed, and when the table grows one may be seen twice. What
 * is seen is copied into a struct inspect_view, in which nothing points into the stack.
 *
 * Context of all functions: the shard's lock, sh->now_ns set.
 */
#ifndef SHUNT_INSPECT_H
#define SHUNT_INSPECT_H

#include "stack.h"
#include "tcp_info.h"

/* The tables, in the order in which a walk sees them. */
enum inspect_table {
    INSPECT_LISTEN,
    INSPECT_HALF,
    INSPECT_CONN,
    INSPECT_TIMEWAIT,
    INSPECT_UDP,
    INSPECT_UDPLITE,
    INSPECT_RAW,
    INSPECT_PING,
    INSPECT_PACKET,
    INSPECT_TABLES
};
#define INSPECT_TCP (1u << INSPECT_LISTEN | 1u << INSPECT_HALF | 1u << INSPECT_CONN | 1u << INSPECT_TIMEWAIT)

#define INSPECT_PIECE 32   /* views a piece, at most */
#define INSPECT_LOOKS 1024 /* places looked at a piece, fewer with a long filter: inspect_looks */

/* Where a walk goes on. All zero: at the start. */
struct inspect_at {
    uint32_t table;  /* enum inspect_table */
    uint32_t bucket; /* or index in the slab */
    uint32_t skip;   /* entries of the bucket seen already */
};

/* What of a view costs more than the rest. */
enum inspect_want { INSPECT_INFO = 1, INSPECT_MEM = 2, INSPECT_CONG = 4 };

struct inspect_view;

struct inspect_query {
    uint32_t tables;             /* bits by enum inspect_table */
    uint32_t states;             /* bits by enum tcp_state; those of datagrams are ESTABLISHED and CLOSE */
    uint16_t family;             /* AF_INET, AF_INET6; 0: both */
    uint16_t lport_be, rport_be; /* 0: any */
    uint8_t proto;               /* of raw sockets; 0: any */
    uint32_t want;               /* enum inspect_want */
    const uint8_t *code;         /* inspect_filter.h, audited; NULL: none */
    uint32_t code_len;
};

enum inspect_kind { INSPECT_FULL, INSPECT_IS_HALF, INSPECT_IS_TW };

/* Linux's idiag_timer. */
enum inspect_timer { ITIMER_NONE, ITIMER_RTX, ITIMER_KEEP, ITIMER_TW, ITIMER_PROBE };

struct inspect_view {
    struct ipaddr laddr, raddr;  /* without zone; in their own family's form: see inspect_addr */
    uint16_t lport_be, rport_be; /* raw: the protocol, 0 */
    uint16_t family;
    uint8_t proto, state, kind; /* enum inspect_kind */
    uint8_t timer, retransmits, probes;
    uint8_t shutdown, tos, tclass, v6only;
    bool port_locked, addr_locked; /* bind gave them */
    bool raw;                      /* a raw socket: proto may be anybody's */
    uint32_t expires_ms;           /* until the timer is due */
    uint32_t rqueue, wqueue;       /* bytes; a listener: connections in its queue, and the queue's bound */
    uint32_t uid, ino;
    uint32_t ifindex; /* as the program knows it; 0: bound to none */
    uint32_t mark, priority;
    uint32_t drops, refs;
    uint64_t cookie; /* SO_COOKIE; of what has no socket any more: one that none has */
    uint64_t place;  /* tells apart what is there at one time; 0 never */
    /* TCP, for /proc/net/tcp: milliseconds, segments */
    uint32_t rto_ms, ato_ms, cwnd;
    int32_t ssthresh;
    uint8_t quick, pingpong;
    /* packet sockets */
    uint8_t type, running;
    uint16_t proto_be;
    /* for the option bits of sock_diag(7) */
    uint32_t flags; /* enum pcb_flag */
    /* with INSPECT_MEM: SO_MEMINFO's nine numbers */
    uint32_t mem[9];
    /* with INSPECT_CONG: the algorithm, and what it tells of itself: an attribute INET_DIAG_*, its bytes */
    char cong[16];
    uint32_t cc_attr, cc_len;
    uint8_t cc_info[20];
    /* with INSPECT_INFO, of a full TCP socket */
    struct tcp_info_full info;
};

/* Next views of the query, at most max (INSPECT_PIECE is enough of a piece): how many; at is moved on.
 * *more false: that was all. 0 with *more true is no end. sock_inspect.c's. */
unsigned inspect_next(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                      struct inspect_view *v, unsigned max, bool *more);

/* The one with these names (lport_be, rport_be and family are q's, the rest of q but want is not looked at)
 * and this cookie, INSPECT_NO_COOKIE: whichever. False: there is none. v->place is good until the lock is
 * given back. Addresses are without zone, ifindex as the program knows it, 0: none. */
#define INSPECT_NO_COOKIE UINT64_MAX
bool inspect_find(const struct shard *sh, const struct inspect_query *q, const struct ipaddr *laddr,
                  const struct ipaddr *raddr, uint32_t ifindex, uint64_t cookie, struct inspect_view *v);
/* Ends what inspect_find found, as Linux's SOCK_DESTROY: ECONNABORTED for its user, a reset for its peer. 0,
 * -EOPNOTSUPP. */
int inspect_destroy(struct shard *sh, const struct inspect_view *v);

/* How many there are (sockstat), in arrays IPv4 first. Context: none of the locks; what changes meanwhile is
 * counted as it was or as it is. */
struct inspect_tally {
    uint32_t sockets;
    uint32_t tcp_inuse[2], tcp_established, tcp_orphan, tcp_tw, tcp_alloc, tcp_pages;
    uint32_t udp[2], udplite[2], raw[2], ping[2], udp_pages;
};
void inspect_count(const struct stack *st, struct inspect_tally *t);
void tcp_inspect_count(const struct shard *sh, struct inspect_tally *t);
void dgram_inspect_count(const struct shard *sh, struct inspect_tally *t);

/* --- by protocol, for sock_inspect.c: one table of the walk each. v->uid, ino, cookie are left 0; *pcb[i]:
 * whose v[i] is, NULL: nobody's. --- */
unsigned tcp_inspect(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                     struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more);
unsigned dgram_inspect(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                       struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more);
/* A connection, half-open connection or TIME_WAIT entry, by its names with zone. */
bool tcp_inspect_find(const struct shard *sh, const struct inspect_query *q, const struct endpoint *local,
                      const struct endpoint *remote, struct inspect_view *v, const struct pcb **pcb);
void tcp_inspect_destroy(struct shard *sh, const struct inspect_view *v);
int dgram_inspect_destroy(struct shard *sh, const struct inspect_view *v);
/* Places to look at a piece, so that one takes some tens of microseconds, whatever the filter. */
static inline uint32_t inspect_looks(const struct inspect_query *q)
{
    return INSPECT_LOOKS / (1 + (q->code ? q->code_len / 128 : 0));
}
/* The names of p into v, and whether q wants it by them. */
bool inspect_names(const struct stack *st, const struct inspect_query *q, const struct pcb *p,
                   struct inspect_view *v);
/* The same for what is no pcb. v has local, remote and family as the stack keeps them. */
bool inspect_asked(const struct stack *st, const struct inspect_query *q, struct inspect_view *v);

/* The address as family shows it: 4 bytes of IPv4, else 16; IPv4-mapped where an IPv6 socket has an IPv4
 * peer. words[0..3], network order; the unused are 0. */
void inspect_addr(const struct inspect_view *v, const struct ipaddr *a, uint32_t words[4]);

#endif
