/* rule.h: which table of routes a flow asks (policy routing; man 8 ip-rule), and the tables that there are.
 *
 * Theory of operation. Rules are tried in the order of their priorities. What matches says by which table to
 * go on; a table without a route for the flow leaves it to the next rule. The rules that Linux starts with
 * ask local, main and default: while there are no others, flows ask table main straight away
 * (rule_table.custom), since what is local is known by the addresses, which always come first. Differs: the
 * rule for local can't be moved behind others.
 *
 * Marks (SO_MARK) are kept by class: struct flow has a byte for one. Each mark that was ever set on a
 * socket has a number, up to RULE_MARKS of them; sockets with further ones are routed as if they had none.
 *
 * In the segment, under shard 0's lock. Every change makes flows resolve again.
 */
#ifndef SHUNT_RULE_H
#define SHUNT_RULE_H

#include "ip.h"
#include "route.h"

#define RULE_MAX   256 /* of both families together */
#define RULE_MARKS 256
#define TABLE_MAX  256 /* tables a family */

struct rule {
    struct ipaddr src, dst;
    uint32_t priority;
    uint32_t table;  /* with FR_ACT_TO_TBL */
    uint32_t target; /* with FR_ACT_GOTO: a priority */
    uint32_t mark, mask;
    int32_t suppress;      /* no routes of so short a prefix or shorter; -1: all */
    uint8_t family;        /* AF_INET, AF_INET6 */
    uint8_t action;        /* FR_ACT_* (linux/fib_rules.h) */
    uint8_t slen, dlen;    /* of src and dst, of the 128-bit form; 0: any */
    uint8_t tos;           /* 0: any */
    uint8_t ip_proto;      /* IPPROTO_*, 0: any */
    uint8_t proto;         /* RTPROT_*: who made it */
    bool invert;           /* `not` */
    char iif[16], oif[16]; /* names of interfaces; "": any */
};

struct rule_table {
    uint32_t n;
    bool custom;                /* there are others than those of the start */
    bool unmerged;              /* of IPv4 there once were: table local is told apart from main since then */
    struct rule rule[RULE_MAX]; /* by family, IPv4 first, then priority */
    uint32_t nmark, mark[RULE_MARKS];        /* [0]: 0 */
    uint32_t ntable[2], table[2][TABLE_MAX]; /* IPv4 first */
};

/* 0, -ENOMEM. */
int rule_table_init(struct stack *st);
/* Adds a copy, behind those of its priority. -ENOBUFS. */
int rule_add(struct stack *st, const struct rule *r);
void rule_del(struct stack *st, uint32_t i);
/* The priority of a new rule that names none: before the second one, as Linux has it. */
uint32_t rule_default_priority(const struct stack *st, int family);
/* After a process was killed in here. */
void rule_mend(struct stack *st);

/* The route that fl's packets take, by rules; of several next hops the first. NULL: none, and *err says why
 * (-ENETUNREACH, or a rule's own). Not for local destinations. */
const struct route *rule_route(const struct stack *st, const struct flow *fl, int *err);
/* A route to dst in any table, main first. NULL: there is none. */
const struct route *rule_any(const struct stack *st, const struct ipaddr *dst);

/* A mark's number, for flow.mark. */
uint8_t rule_mark_class(struct stack *st, uint32_t mark);

/* Is there such a table, or: make one known. -ENOBUFS. */
bool rule_table_known(const struct stack *st, bool v4, uint32_t table);
int rule_table_make(struct stack *st, bool v4, uint32_t table);

#endif
