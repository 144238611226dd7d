/* rule.c: see rule.h. Linux: net/core/fib_rules.c, net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c. */
#include "rule.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "log.h"

#define DSCP_MASK 0xfc

static const struct rule first_rules[] = {
    {.family = AF_INET, .priority = 0, .table = RT_TABLE_LOCAL},
    {.family = AF_INET, .priority = 32766, .table = RT_TABLE_MAIN},
    {.family = AF_INET, .priority = 32767, .table = RT_TABLE_DEFAULT},
    {.family = AF_INET6, .priority = 0, .table = RT_TABLE_LOCAL},
    {.family = AF_INET6, .priority = 32766, .table = RT_TABLE_MAIN},
};
#define NFIRST (sizeof first_rules / sizeof first_rules[0])

int rule_table_init(struct stack *st)
{
    struct rule_table *t = seg_alloc(st->seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    for (t->n = 0; t->n < NFIRST; t->n++) {
        t->rule[t->n] = first_rules[t->n];
        t->rule[t->n].action = FR_ACT_TO_TBL;
        t->rule[t->n].suppress = -1;
        t->rule[t->n].proto = RTPROT_KERNEL;
    }
    t->nmark = 1;
    st->routes->rules = t;
    for (int v4 = 0; v4 <= 1; v4++) {
        rule_table_make(st, v4, RT_TABLE_LOCAL);
        rule_table_make(st, v4, RT_TABLE_MAIN);
    }
    return 0;
}

/* ---- changing ---- */

/* For all packets. */
static bool is_plain(const struct rule *r)
{
    return r->action == FR_ACT_TO_TBL && r->suppress == -1 && !r->slen && !r->dlen && !r->mark && !r->mask &&
           !r->tos && !r->ip_proto && !r->invert && !r->iif[0] && !r->oif[0];
}

/* Are these the rules of the start, in what flows are to them? */
static bool is_first(const struct rule_table *t)
{
    if (t->n != NFIRST)
        return false;
    for (uint32_t i = 0; i < t->n; i++)
        if (!is_plain(&t->rule[i]) || t->rule[i].family != first_rules[i].family ||
            t->rule[i].priority != first_rules[i].priority || t->rule[i].table != first_rules[i].table)
            return false;
    return true;
}

static void changed(struct stack *st, int family)
{
    struct rule_table *t = st->routes->rules;

    t->custom = !is_first(t);
    if (family == AF_INET)
        t->unmerged = true;
    route_flush_flows(st);
}

int rule_add(struct stack *st, const struct rule *r)
{
    struct rule_table *t = st->routes->rules;
    uint32_t at = 0;

    if (t->n == RULE_MAX)
        return -ENOBUFS;
    while (at < t->n && (t->rule[at].family < r->family ||
                         (t->rule[at].family == r->family && t->rule[at].priority <= r->priority)))
        at++;
    t->rule[t->n] = *r; /* killed while others make room for it: none of them is missing (rule_mend) */
    list_step();
    t->n++;
    list_step();
    memmove(&t->rule[at + 1], &t->rule[at], (t->n - 1 - at) * sizeof t->rule[0]);
    t->rule[at] = *r;
    changed(st, r->family);
    return 0;
}

void rule_del(struct stack *st, uint32_t i)
{
    struct rule_table *t = st->routes->rules;
    int family = t->rule[i].family;

    memmove(&t->rule[i], &t->rule[i + 1], (t->n - 1 - i) * sizeof t->rule[0]);
    list_step();
    t->n--;
    changed(st, family);
}

uint32_t rule_default_priority(const struct stack *st, int family)
{
    const struct rule_table *t = st->routes->rules;
    unsigned seen = 0;

    for (uint32_t i = 0; i < t->n; i++)
        if (t->rule[i].family == family && ++seen == 2)
            return t->rule[i].priority ? t->rule[i].priority - 1 : 0;
    return 0;
}

/* Whoever was killed may have been moving rules: one may be there twice, which changes nothing. */
void rule_mend(struct stack *st)
{
    struct rule_table *t = st->routes->rules;

    if (t->n > RULE_MAX)
        t->n = RULE_MAX;
    t->custom = !is_first(t);
}

/* ---- asking ---- */

static bool holds(const struct stack *st, const struct rule *r, const struct flow *fl)
{
    if (r->slen && (ipaddr_is_any(&fl->src) || !ipaddr_prefix_eq(&r->src, &fl->src, r->slen)))
        return false;
    if (r->dlen && !ipaddr_prefix_eq(&r->dst, &fl->dst, r->dlen))
        return false;
    if ((r->tos && r->tos != (fl->tos & DSCP_MASK)) || (r->ip_proto && r->ip_proto != fl->proto))
        return false;
    if ((st->routes->rules->mark[fl->mark] ^ r->mark) & r->mask)
        return false;
    /* What a program sends comes "from lo" (ip_route_output_key_hash); nothing is forwarded. */
    if (r->iif[0] && strcmp(r->iif, "lo") != 0)
        return false;
    return !r->oif[0] || (fl->bound_if && strcmp(r->oif, st->ifn[fl->bound_if].name) == 0);
}

/* The rule that a goto at i leads to; t->n: there is none, and the goto does nothing (FIB_RULE_UNRESOLVED).
 */
static uint32_t target_of(const struct rule_table *t, uint32_t i)
{
    for (uint32_t k = i + 1; k < t->n; k++)
        if (t->rule[k].family == t->rule[i].family && t->rule[k].priority == t->rule[i].target)
            return k;
    return t->n;
}

/* An action that says no. */
static int refusal(uint8_t action)
{
    return action == FR_ACT_UNREACHABLE ? -ENETUNREACH
           : action == FR_ACT_PROHIBIT  ? -EACCES
           : action == FR_ACT_BLACKHOLE ? -EINVAL
                                        : 0;
}

/* fib_rules_lookup. */
static const struct route *by_rules(const struct stack *st, const struct flow *fl, int *err)
{
    const struct rule_table *t = st->routes->rules;
    int family = ipaddr_is_v4(&fl->dst) ? AF_INET : AF_INET6;

    for (uint32_t i = 0; i < t->n; i++) {
        const struct rule *r = &t->rule[i];
        const struct route *found;
        uint32_t to;

        if (r->family != family || holds(st, r, fl) == r->invert)
            continue;
        if (r->action == FR_ACT_GOTO) {
            to = target_of(t, i);
            i = to < t->n ? to - 1 : i;
            continue;
        }
        *err = refusal(r->action);
        if (*err)
            return NULL;
        if (r->action != FR_ACT_TO_TBL || r->table == RT_TABLE_LOCAL)
            continue;
        found = route_lookup_in(st, r->table, &fl->dst, fl->bound_if);
        if (found && found->plen - (family == AF_INET ? 96 : 0) > r->suppress)
            return found;
    }
    *err = -ENETUNREACH;
    return NULL;
}

const struct route *rule_route(const struct stack *st, const struct flow *fl, int *err)
{
    const struct route *r;

    if (__builtin_expect(st->routes->rules->custom, 0))
        return by_rules(st, fl, err);
    /* Table default, which is asked after main, is as a rule not there. */
    r = route_lookup_in(st, RT_TABLE_MAIN, &fl->dst, fl->bound_if);
    if (!r && rule_table_known(st, true, RT_TABLE_DEFAULT))
        r = ipaddr_is_v4(&fl->dst) ? route_lookup_in(st, RT_TABLE_DEFAULT, &fl->dst, fl->bound_if) : NULL;
    *err = -ENETUNREACH;
    return r;
}

const struct route *rule_any(const struct stack *st, const struct ipaddr *dst)
{
    const struct rule_table *t = st->routes->rules;
    const struct route *r = route_lookup(st, dst, 0);
    int family = ipaddr_is_v4(dst) ? 0 : 1;

    for (uint32_t i = 0; !r && i < t->ntable[family]; i++)
        r = route_lookup_in(st, t->table[family][i], dst, 0);
    return r;
}

/* ---- marks ---- */

uint8_t rule_mark_class(struct stack *st, uint32_t mark)
{
    struct rule_table *t = st->routes->rules;

    for (uint32_t i = 0; i < t->nmark; i++)
        if (t->mark[i] == mark)
            return (uint8_t)i;
    if (t->nmark == RULE_MARKS) {
        log_once(LOG_LEVEL_WARN, "more than 255 different marks (SO_MARK): no rule knows the later ones");
        return 0;
    }
    t->mark[t->nmark] = mark;
    return (uint8_t)t->nmark++;
}

/* ---- tables ---- */

bool rule_table_known(const struct stack *st, bool v4, uint32_t table)
{
    const struct rule_table *t = st->routes->rules;
    int family = v4 ? 0 : 1;

    for (uint32_t i = 0; i < t->ntable[family]; i++)
        if (t->table[family][i] == table)
            return true;
    return false;
}

int rule_table_make(struct stack *st, bool v4, uint32_t table)
{
    struct rule_table *t = st->routes->rules;
    int family = v4 ? 0 : 1;

    if (rule_table_known(st, v4, table))
        return 0;
    if (t->ntable[family] == TABLE_MAX)
        return -ENOBUFS;
    t->table[family][t->ntable[family]++] = table;
    return 0;
}
