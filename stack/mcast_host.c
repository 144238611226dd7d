/* mcast_host.c: what an interface tells multicast routers, and when (mcast.h): RFC 3376 sections 5 and 7 for
 * IGMP, RFC 3810 sections 6 and 8 for MLD, which say the same of other addresses. */
#include <string.h>

#include "igmp.h"
#include "ifnet.h"
#include "mcast_int.h"
#include "mld.h"
#include "rnd.h"

#define UNSOLICITED_MS    1000  /* RFC 3376 section 8.11 */
#define UNSOLICITED_V2_MS 10000 /* RFC 2236 section 8.10 */
#define ASKED_MAX         64    /* sources of one query that are answered for */
#define ROOM              1400  /* bytes of records in one report */

/* A report under construction. */
struct report {
    const struct mc_if *mi;
    uint32_t len;
    uint16_t n;
    uint8_t buf[ROOM];
};

static void report_flush(struct shard *sh, struct report *r)
{
    if (r->n && r->mi->v4)
        igmp_send_report(sh, r->mi->ifindex, r->buf, r->len, r->n);
    else if (r->n)
        mld_send_report(sh, r->mi->ifindex, r->buf, r->len, r->n);
    r->len = 0;
    r->n = 0;
}

/* Should s stand in a record of this type about g? */
static bool selected(const struct mc_group *g, const struct mc_source *s, enum mc_record type, bool asked)
{
    bool wanted = g->mode == MC_INCLUDE ? s->active : !s->active; /* its packets are */

    switch (type) {
    case MC_ALLOW:
        return s->left && wanted;
    case MC_BLOCK:
        return s->left && !wanted;
    default:
        return asked ? s->asked && wanted : s->active;
    }
}

static size_t put_addr(uint8_t *p, bool v4, const struct ipaddr *a)
{
    struct ipaddr plain = v4 ? *a : ipaddr_unzoned(a);

    memcpy(p, v4 ? a->b + 12 : plain.b, v4 ? 4 : 16);
    return v4 ? 4 : 16;
}

/* Appends a record; one that does not fit goes on in the next report, unless it excludes: such a list is cut
 * (RFC 3376 section 4.2.16). A record of sources alone that would be empty is left out. */
static void report_add(struct shard *sh, struct report *r, const struct mc_group *g, enum mc_record type,
                       bool asked)
{
    bool v4 = r->mi->v4, sources_alone = type == MC_ALLOW || type == MC_BLOCK || asked;
    uint32_t width = v4 ? 4 : 16, head = 4 + width, n = 0, at;

    if (r->len + head + width > ROOM)
        report_flush(sh, r);
    at = r->len;
    r->buf[at] = type;
    r->buf[at + 1] = 0;
    put_addr(r->buf + at + 4, v4, &g->addr);
    r->len += head;
    list_for_each(node, &g->sources)
    {
        const struct mc_source *s = container_of(node, struct mc_source, node);

        if (!selected(g, s, type, asked))
            continue;
        if (r->len + width > ROOM) {
            if (type == MC_IS_EX || type == MC_TO_EX)
                break;
            r->buf[at + 2] = (uint8_t)(n >> 8);
            r->buf[at + 3] = (uint8_t)n;
            r->n++;
            report_flush(sh, r);
            r->buf[0] = type;
            r->buf[1] = 0;
            put_addr(r->buf + 4, v4, &g->addr);
            r->len = head;
            at = n = 0;
        }
        r->len += (uint32_t)put_addr(r->buf + r->len, v4, &s->addr);
        n++;
    }
    if (!n && sources_alone) {
        r->len = at;
        return;
    }
    r->buf[at + 2] = (uint8_t)(n >> 8);
    r->buf[at + 3] = (uint8_t)n;
    r->n++;
}

/* The version spoken on this interface now: the oldest querier's (RFC 3376 section 7.2.1). */
static int version(const struct shard *sh, const struct mc_if *mi)
{
    if (mi->v1_until_ms > shard_ms(sh))
        return 1;
    return mi->v2_until_ms > shard_ms(sh) ? 2 : 3;
}

static bool reports_nothing(const struct shard *sh, const struct mc_group *g)
{
    return (sh->st->ifn[g->ifindex].caps & NETDEV_LOOPBACK) || mc_all_hosts(&g->addr);
}

/* A random moment within max_ms, but no later than what is armed already. */
static void arm_within(struct shard *sh, struct timer *t, uint32_t max_ms)
{
    uint64_t at = shard_ms(sh) + rnd_below(sh, max_ms ? max_ms : 1) + 1;

    if (!t->armed || t->expires_ms > at)
        timer_arm(&sh->wheel, t, at);
}

void mc_report_change(struct shard *sh, struct mc_group *g)
{
    if (reports_nothing(sh, g)) {
        g->change_left = 0;
        list_for_each(n, &g->sources)
        {
            container_of(n, struct mc_source, node)->left = 0;
        }
        return;
    }
    timer_arm(&sh->wheel, &mc_if_of(sh, g)->change, shard_ms(sh));
}

static void send_old(struct shard *sh, const struct mc_if *mi, struct mc_group *g, bool leave)
{
    if (mi->v4)
        igmp_send_old(sh, mi->ifindex, version(sh, mi), &g->addr, leave);
    else
        mld_send_old(sh, mi->ifindex, &g->addr, leave);
    g->reporter = !leave;
}

/* A change as an older querier hears of it: a membership's report, or its end. True: once more. */
static bool change_old(struct shard *sh, const struct mc_if *mi, struct mc_group *g)
{
    bool due = g->change_left;

    list_for_each(n, &g->sources)
    {
        struct mc_source *s = container_of(n, struct mc_source, node);

        due |= s->left && g->users;
        s->left = 0;
    }
    if (!due)
        return false;
    if (!g->users) { /* RFC 2236 section 3: SHOULD, when it sent the last report */
        if (g->reporter && version(sh, mi) == 2)
            send_old(sh, mi, g, true);
        g->change_left = 0;
        return false;
    }
    send_old(sh, mi, g, false);
    if (g->change_left)
        g->change_left--;
    return g->change_left;
}

/* The same as IGMPv3 and MLDv2 have it (RFC 3376 section 5.1). */
static bool change_new(struct shard *sh, struct report *r, struct mc_group *g)
{
    bool more = false;

    if (g->change_left) {
        report_add(sh, r, g, g->mode == MC_EXCLUDE ? MC_TO_EX : MC_TO_IN, false);
        g->reporter = 1;
        return --g->change_left;
    }
    report_add(sh, r, g, MC_ALLOW, false);
    report_add(sh, r, g, MC_BLOCK, false);
    list_for_each(n, &g->sources)
    {
        struct mc_source *s = container_of(n, struct mc_source, node);

        if (s->left)
            more |= --s->left > 0;
    }
    return more;
}

static void change_due(struct shard *sh, struct mc_if *mi)
{
    bool old = version(sh, mi) < 3, more = false;
    struct report r = {.mi = mi};

    list_for_each_safe(n, &mi->groups)
    {
        struct mc_group *g = container_of(n, struct mc_group, of_if);

        more |= old ? change_old(sh, mi, g) : change_new(sh, &r, g);
        mc_tidy(sh, g);
    }
    report_flush(sh, &r);
    if (more)
        arm_within(sh, &mi->change, old ? UNSOLICITED_V2_MS : UNSOLICITED_MS);
}

/* Current-state record (RFC 3376 section 5.2). */
static void answer(struct shard *sh, struct report *r, struct mc_group *g, bool asked)
{
    if (asked)
        report_add(sh, r, g, MC_IS_IN, true);
    else if (g->users)
        report_add(sh, r, g, g->mode == MC_EXCLUDE ? MC_IS_EX : MC_IS_IN, false);
    g->reporter = 1;
}

static void group_due(struct shard *sh, struct mc_group *g)
{
    struct mc_if *mi = mc_if_of(sh, g);
    struct report r = {.mi = mi};

    if (version(sh, mi) < 3) {
        if (g->users)
            send_old(sh, mi, g, false);
    } else {
        answer(sh, &r, g, g->by_source);
        report_flush(sh, &r);
    }
    g->by_source = 0;
    list_for_each(n, &g->sources)
    {
        container_of(n, struct mc_source, node)->asked = 0;
    }
    mc_tidy(sh, g);
}

static void query_due(struct shard *sh, struct mc_if *mi)
{
    struct report r = {.mi = mi};

    list_for_each(n, &mi->groups)
    {
        struct mc_group *g = container_of(n, struct mc_group, of_if);

        if (!reports_nothing(sh, g))
            answer(sh, &r, g, false);
    }
    report_flush(sh, &r);
}

void mc_timer(struct shard *sh, struct timer *t)
{
    if (t->kind == TIMER_MC_CHANGE)
        change_due(sh, container_of(t, struct mc_if, change));
    else if (t->kind == TIMER_MC_QUERY)
        query_due(sh, container_of(t, struct mc_if, query));
    else
        group_due(sh, container_of(t, struct mc_group, timer));
}

/* Notes an older querier for as long as section 8.12 says; takes over the variables of a new one. */
static void note_querier(struct shard *sh, struct mc_if *mi, const struct mc_query *q)
{
    uint64_t until = shard_ms(sh) + (uint64_t)mi->robustness * mi->interval_s * 1000 + q->max_delay_ms;

    if (q->version == 1)
        mi->v1_until_ms = until;
    else if (q->version == 2)
        mi->v2_until_ms = until;
    if (q->version < 3)
        return;
    if (q->robustness)
        mi->robustness = q->robustness;
    if (q->interval_s)
        mi->interval_s = q->interval_s;
}

/* A query about g: its answer is due within max_ms. */
static void ask(struct shard *sh, struct mc_group *g, const struct mc_query *q, uint32_t max_ms)
{
    bool by_source = q->nsrc && version(sh, mc_if_of(sh, g)) == 3;

    if (reports_nothing(sh, g) || !g->users)
        return;
    /* One that asks for the whole group stays one (section 5.2, 4 and 5). */
    if (by_source && g->timer.armed && !g->by_source)
        return;
    g->by_source = by_source;
    for (unsigned i = 0; by_source && i < q->nsrc && i < ASKED_MAX; i++) {
        struct ipaddr a;
        struct mc_source *s;
        uint32_t v4_be;

        if (q->v4) {
            memcpy(&v4_be, q->src + i * 4, 4);
            a = ipaddr_v4(v4_be);
        } else {
            memcpy(a.b, q->src + i * 16, 16);
            ipaddr_set_zone(&a, g->ifindex + 1u);
        }
        s = mc_source_make(sh, g, &a);
        if (s)
            s->asked = 1;
    }
    arm_within(sh, &g->timer, max_ms);
}

void mc_heard_query(struct shard *sh, unsigned ifindex, const struct mc_query *q)
{
    struct mc_if *mi = &sh->st->mcast->ifs[ifindex][q->v4];
    bool general = ipaddr_is_any(&q->group);
    struct mc_group *g;

    note_querier(sh, mi, q);
    if (general && version(sh, mi) == 3) {
        arm_within(sh, &mi->query, q->max_delay_ms);
        return;
    }
    if (general) {
        list_for_each(n, &mi->groups)
        {
            ask(sh, container_of(n, struct mc_group, of_if), q, q->max_delay_ms);
        }
        return;
    }
    g = mc_find(sh, ifindex, &q->group);
    if (g)
        ask(sh, g, q, q->max_delay_ms);
}

void mc_heard_report(struct shard *sh, unsigned ifindex, const struct ipaddr *group)
{
    struct mc_group *g = mc_find(sh, ifindex, group);

    if (!g || version(sh, mc_if_of(sh, g)) == 3)
        return;
    timer_cancel(&sh->wheel, &g->timer);
    g->reporter = 0;
}
