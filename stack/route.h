/* route.h: the routes and what was learnt about paths. All tables of routes (rule.h says which is asked) and
 * both families lie in one hash: an IPv4 prefix is held in mapped form.
 *
 * Theory of operation. Routes are found by a hash of network and prefix length, tried for each length that
 * there is, longest first: a handful of probes however many routes there are, nothing but numbers in memory,
 * and no cost to add one. (rte_fib keeps its tables in pointers of one process and its memory for millions.)
 * A flow asks once in its life.
 *
 * Lives in the segment, guarded by shard 0's lock. gen moves with every change that may make a cached struct
 * flow wrong: routes, addresses, a path MTU, a neighbour entry that went away. A flow with another gen
 * resolves again (flow_resolve).
 */
#ifndef SHUNT_ROUTE_H
#define SHUNT_ROUTE_H

#include "ip.h"

#define ROUTE_MAX 65536
#define PMTU_MAX  256

/* What a route that leads nowhere says to who would take it (RTN_UNREACHABLE, RTN_BLACKHOLE, RTN_PROHIBIT).
 */
enum route_kind { ROUTE_UNICAST, ROUTE_UNREACHABLE, ROUTE_BLACKHOLE, ROUTE_PROHIBIT };

struct route {
    struct ipaddr net, via; /* net: the bits behind the prefix are 0; via: any when the destination is on the
                               link */
    uint8_t plen;           /* of the 128-bit form: an IPv4 /24 is 120 */
    uint8_t ifindex;
    uint8_t kind;    /* enum route_kind */
    uint8_t proto;   /* who made it: RTPROT_* (rtnetlink(7)); 0: the slot is free */
    uint8_t onlink;  /* RTNH_F_ONLINK: the gateway was believed to be a neighbour */
    uint8_t weight;  /* of a route of several next hops: its share, less 1 */
    uint32_t metric; /* of equal prefixes the lowest is taken (RTA_PRIORITY) */
    uint32_t table;  /* RT_TABLE_* or another number; 0 given to route_insert: RT_TABLE_MAIN */
    uint32_t group;  /* one route of several next hops: a number of its own; 0: a route by itself */
    uint32_t extra;  /* struct route_extra: index + 1; 0: none */
    uint32_t next;   /* in its bucket: index + 1 */
};

#define ROUTE_METRICS 18 /* RTAX_MAX + 1 of Linux */

/* What few routes have. */
struct route_extra {
    uint64_t used;                  /* 0: the slot is free */
    struct ipaddr src;              /* the source address that it suggests (RTA_PREFSRC); any: none */
    uint32_t metric[ROUTE_METRICS]; /* by RTAX_*, as rtnetlink has them; 0: not said */
};

/* RTPROT_*, for those who add routes here. */
enum route_proto { ROUTE_BY_KERNEL = 2, ROUTE_BY_USER = 3, ROUTE_BY_RA = 9, ROUTE_BY_DHCP = 16 };

/* Metrics that Linux gives IPv6's routes of itself. */
#define ROUTE_METRIC6_PREFIX 256
#define ROUTE_METRIC6_USER   1024

/* Path MTU to one destination, learnt by ICMP (RFC 1191). */
struct pmtu {
    struct ipaddr dst;
    uint32_t mtu; /* 0: free */
    uint64_t expires_ms;
};

/* A better first hop to one destination, told by the router in use (RFC 1122 section 3.2.2.2, RFC 4861
 * section 8.3). */
struct redirect {
    struct ipaddr dst, via; /* via = dst: it is on the link */
    uint64_t expires_ms;    /* 0: free */
    uint8_t ifindex;
};

struct rule_table;

struct route_table {
    struct rule_table *rules; /* rule.h */
    uint32_t gen;             /* never 0 */
    uint32_t n;
    uint32_t groups; /* the last number given out */
    uint32_t nextra; /* routes that have a struct route_extra */
    struct slab routes, extras;
    uint32_t *bucket;        /* [ROUTE_MAX] by network and length: index + 1 of the first, 0: none */
    uint32_t count[2][129];  /* routes by family (IPv4 first) and length of the 128-bit form */
    uint8_t lengths[2][130]; /* those lengths that there are, longest first; 0xff ends */
    struct redirect redirect[PMTU_MAX]; /* as pmtu */
    struct pmtu pmtu[PMTU_MAX]; /* by hash of dst; a later destination takes the place of an earlier one */
};

/* Allocates st->routes. 0 or -ENOMEM. */
int route_table_init(struct stack *st);
/* Makes all cached flows resolve again. */
void route_flush_flows(struct stack *st);
/* The route to dst in one table, through interface bound_if when that is not 0: that of the longest prefix,
 * of equal ones the first added. NULL: none. route_lookup: in table main. */
const struct route *route_lookup_in(const struct stack *st, uint32_t table, const struct ipaddr *dst,
                                    unsigned bound_if);
const struct route *route_lookup(const struct stack *st, const struct ipaddr *dst, unsigned bound_if);
/* route_add, by another than the user. */
int route_add_by(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
                 unsigned ifindex, enum route_proto proto);
/* The next hop of r's group that flows to dst take; r itself where it has none. */
const struct route *route_of_group(const struct stack *st, const struct route *r, const struct ipaddr *dst);
/* NULL: r has none. */
const struct route_extra *route_extra(const struct stack *st, const struct route *r);

/* A metric (RTAX_*; RTAX_CC_ALGO: tcp_cc_table's index and 1) of the route that fl goes by; 0: none, or it
 * goes to this host. flow.c's. */
uint32_t flow_metric(const struct shard *sh, const struct flow *fl, unsigned which);

/* ---- for rtnetlink ---- */

/* Is r's gateway, on its interface, a neighbour, by r's own table or by main? 0, -ENETUNREACH, -EINVAL
 * (another family than the network's). */
int route_check_gateway(const struct stack *st, const struct route *r);
/* Adds x, with *e (NULL: nothing special), before its equals when first is true. Bits behind the prefix: of
 * IPv4 -EINVAL, of IPv6 taken for 0 (ip6_route_info_create). No look at others of its prefix, but -EEXIST for
 * one that is the same in all. -ENETUNREACH: the gateway is no neighbour (unless x->onlink); -ENODEV,
 * -EINVAL, -ENOBUFS. */
int route_insert(struct stack *st, const struct route *x, const struct route_extra *e, bool first);
/* The routes of exactly this prefix in a table, lowest metric first: the first one, or the one after r; NULL:
 * no more. */
const struct route *route_exact(const struct stack *st, uint32_t table, const struct ipaddr *net,
                                unsigned plen, const struct route *r);
/* The same for key's table and prefix. */
static inline const struct route *route_like(const struct stack *st, const struct route *key,
                                             const struct route *r)
{
    return route_exact(st, key->table, &key->net, key->plen, r);
}
void route_remove(struct stack *st, const struct route *r);
/* Slot i of the table, of route_slots; NULL: it is free. */
const struct route *route_slot(const struct stack *st, uint32_t i);
uint32_t route_slots(const struct stack *st);

/* Exactly as added by route_add. 0, -ESRCH. */
int route_del(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, const struct ipaddr *via,
              unsigned ifindex);
/* A route that leads nowhere. Results as route_add. */
int route_add_kind(struct stack *st, const struct ipaddr *net, uint8_t prefix_len, enum route_kind kind);
/* 0, or what Linux says to who would take r (-EHOSTUNREACH, -EINVAL, -EACCES). */
int route_error(const struct route *r);
/* After a process was killed in here. */
void route_mend(struct stack *st);
/* Learnt path MTU to dst, or 0. */
uint32_t route_pmtu(const struct shard *sh, const struct ipaddr *dst);

/* Notes that packets to dst should go by via on interface ifindex. False: not believed: from is not the next
 * hop to dst, or via is no neighbour, or ourselves. */
bool route_redirect_learn(struct shard *sh, const struct ipaddr *dst, const struct ipaddr *via,
                          const struct ipaddr *from, unsigned ifindex);
/* What was noted for dst on interface ifindex; NULL: nothing. */
const struct ipaddr *route_redirect(const struct shard *sh, const struct ipaddr *dst, unsigned ifindex);

/* True if the first plen bits of a and b are equal. */
static inline bool ipaddr_prefix_eq(const struct ipaddr *a, const struct ipaddr *b, unsigned plen)
{
    uint64_t mask;

    if (plen == 0)
        return true;
    if (plen <= 64)
        return ((a->d[0] ^ b->d[0]) & __builtin_bswap64(~0ULL << (64 - plen))) == 0;
    mask = __builtin_bswap64(~0ULL << (128 - plen));
    return a->d[0] == b->d[0] && ((a->d[1] ^ b->d[1]) & mask) == 0;
}

/* Prefix length in the 128-bit form. */
static inline unsigned ipaddr_plen128(const struct ipaddr *a, unsigned prefix_len)
{
    return ipaddr_is_v4(a) ? 96 + prefix_len : prefix_len;
}

#endif
