/* mcast.c: membership of interfaces: users, filters, what a packet may pass (mcast.h). The protocol's side is
 * mcast_host.c. */
#include "mcast.h"

#include <errno.h>

#include "hash.h"
#include "mcast_int.h"

#define MC_GROUPS  16384
#define MC_SOURCES 65536
#define ROBUSTNESS 2   /* RFC 3376 section 8.1 */
#define INTERVAL_S 125 /* section 8.2 */

int mc_init(struct shard *sh)
{
    struct mc_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);
    int r;

    if (!t)
        return -ENOMEM;
    for (unsigned i = 0; i < MC_BUCKETS; i++)
        list_init(&t->bucket[i]);
    for (unsigned i = 0; i < NETDEV_MAX; i++) {
        for (unsigned v4 = 0; v4 < 2; v4++) {
            struct mc_if *mi = &t->ifs[i][v4];

            list_init(&mi->groups);
            timer_init(&mi->change, TIMER_MC_CHANGE);
            timer_init(&mi->query, TIMER_MC_QUERY);
            mi->robustness = ROBUSTNESS;
            mi->interval_s = INTERVAL_S;
            mi->ifindex = (uint8_t)i;
            mi->v4 = (uint8_t)v4;
        }
    }
    sh->st->mcast = t;
    r = slab_init(&t->groups, sh->st->seg, sizeof(struct mc_group), MC_GROUPS);
    return r ? r : slab_init(&t->sources, sh->st->seg, sizeof(struct mc_source), MC_SOURCES);
}

static struct list *bucket_of(const struct shard *sh, unsigned ifindex, const struct ipaddr *group)
{
    return &sh->st->mcast->bucket[hash_addr(sh->st->secret, group, ifindex) % MC_BUCKETS];
}

struct mc_group *mc_find(const struct shard *sh, unsigned ifindex, const struct ipaddr *group)
{
    list_for_each(n, bucket_of(sh, ifindex, group))
    {
        struct mc_group *g = container_of(n, struct mc_group, hash);

        if (g->ifindex == ifindex && ipaddr_eq(&g->addr, group))
            return g;
    }
    return NULL;
}

static struct mc_group *find_or_make(struct shard *sh, unsigned ifindex, const struct ipaddr *group)
{
    struct mc_group *g = mc_find(sh, ifindex, group);

    if (g)
        return g;
    g = slab_alloc(&sh->st->mcast->groups);
    if (!g)
        return NULL;
    list_init(&g->sources);
    timer_init(&g->timer, TIMER_MC_GROUP);
    g->addr = *group;
    g->ifindex = (uint8_t)ifindex;
    g->mode = MC_INCLUDE; /* of nothing: not a member */
    list_add_head(bucket_of(sh, ifindex, group), &g->hash);
    list_add_tail(&mc_if_of(sh, g)->groups, &g->of_if);
    return g;
}

struct mc_source *mc_source_find(const struct mc_group *g, const struct ipaddr *addr)
{
    list_for_each(n, &g->sources)
    {
        struct mc_source *s = container_of(n, struct mc_source, node);

        if (ipaddr_eq(&s->addr, addr))
            return s;
    }
    return NULL;
}

struct mc_source *mc_source_make(struct shard *sh, struct mc_group *g, const struct ipaddr *addr)
{
    struct mc_source *s = mc_source_find(g, addr);

    if (s)
        return s;
    s = slab_alloc(&sh->st->mcast->sources);
    if (!s)
        return NULL;
    s->addr = *addr;
    list_add_tail(&g->sources, &s->node);
    return s;
}

void mc_tidy(struct shard *sh, struct mc_group *g)
{
    list_for_each_safe(n, &g->sources)
    {
        struct mc_source *s = container_of(n, struct mc_source, node);

        if (s->n[0] || s->n[1] || s->left || s->asked)
            continue;
        list_del(&s->node);
        slab_free(&sh->st->mcast->sources, s);
    }
    if (g->users || g->change_left || !list_empty(&g->sources))
        return;
    timer_cancel(&sh->wheel, &g->timer);
    list_del(&g->hash);
    list_del(&g->of_if);
    slab_free(&sh->st->mcast->groups, g);
}

/* Adds d (1, -1) users with this filter. Without memory for a source it stays uncounted: false. */
static bool count_filter(struct shard *sh, struct mc_group *g, enum mc_mode mode, const struct ipaddr *src,
                         unsigned nsrc, int d)
{
    bool all = true;

    g->n[mode] += (uint32_t)d;
    for (unsigned i = 0; i < nsrc; i++) {
        struct mc_source *s = d > 0 ? mc_source_make(sh, g, &src[i]) : mc_source_find(g, &src[i]);

        if (s && (d > 0 || s->n[mode]))
            s->n[mode] += (uint32_t)d;
        else
            all = false;
    }
    return all;
}

/* Computes the interface's filter anew and marks what has to be reported. */
static void settle(struct shard *sh, struct mc_group *g)
{
    struct mc_if *mi = mc_if_of(sh, g);
    uint8_t mode = g->n[MC_EXCLUDE] ? MC_EXCLUDE : MC_INCLUDE;
    bool new_mode = mode != g->mode, changed = new_mode;

    list_for_each(n, &g->sources)
    {
        struct mc_source *s = container_of(n, struct mc_source, node);
        bool active = mode == MC_EXCLUDE ? s->n[MC_EXCLUDE] == g->n[MC_EXCLUDE] && !s->n[MC_INCLUDE]
                                         : s->n[MC_INCLUDE] != 0;

        if (new_mode) {
            s->left = 0; /* the report of the mode says it all */
        } else if (active != s->active) {
            s->left = mi->robustness;
            changed = true;
        }
        s->active = active;
    }
    g->mode = mode;
    if (new_mode)
        g->change_left = mi->robustness;
    if (changed)
        mc_report_change(sh, g);
    mc_tidy(sh, g);
}

int mc_join(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode mode,
            const struct ipaddr *src, unsigned nsrc)
{
    struct mc_group *g = find_or_make(sh, ifindex, group);

    if (!g)
        return -ENOBUFS;
    g->users++;
    count_filter(sh, g, mode, src, nsrc, 1);
    settle(sh, g);
    return 0;
}

void mc_leave(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode mode,
              const struct ipaddr *src, unsigned nsrc)
{
    struct mc_group *g = mc_find(sh, ifindex, group);

    if (!g || !g->users)
        return;
    g->users--;
    count_filter(sh, g, mode, src, nsrc, -1);
    settle(sh, g);
}

int mc_change(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode old_mode,
              const struct ipaddr *old, unsigned nold, enum mc_mode mode, const struct ipaddr *src,
              unsigned nsrc)
{
    struct mc_group *g = mc_find(sh, ifindex, group);

    if (!g)
        return -ENOBUFS;
    /* New before old, so that a source in both keeps its entry. */
    if (!count_filter(sh, g, mode, src, nsrc, 1)) {
        count_filter(sh, g, mode, src, nsrc, -1);
        mc_tidy(sh, g);
        return -ENOBUFS;
    }
    count_filter(sh, g, old_mode, old, nold, -1);
    settle(sh, g);
    return 0;
}

bool mc_takes(const struct shard *sh, unsigned ifindex, const struct ipaddr *group, const struct ipaddr *src)
{
    const struct mc_group *g;
    const struct mc_source *s;

    if (mc_all_hosts(group))
        return true;
    g = mc_find(sh, ifindex, group);
    if (!g || !g->users)
        return false;
    s = mc_source_find(g, src);
    if (s && (s->n[0] || s->n[1]))
        return s->n[MC_INCLUDE] || s->n[MC_EXCLUDE] != g->n[MC_EXCLUDE];
    return g->n[MC_EXCLUDE] != 0;
}

bool mc_member(const struct shard *sh, unsigned ifindex, const struct ipaddr *group)
{
    const struct mc_group *g = mc_find(sh, ifindex, group);

    return mc_all_hosts(group) || (g && g->users);
}

static bool is_never_live(const void *obj)
{
    return false;
}

void mc_mend(struct shard *sh)
{
    struct mc_table *t = sh->st->mcast;

    for (uint32_t i = 0; i < t->groups.fresh; i++)
        timer_cancel(&sh->wheel, &((struct mc_group *)slab_at(&t->groups, i))->timer);
    slab_mend(&t->groups, is_never_live);
    slab_mend(&t->sources, is_never_live);
    for (unsigned i = 0; i < MC_BUCKETS; i++)
        list_init(&t->bucket[i]);
    for (unsigned i = 0; i < NETDEV_MAX; i++)
        for (unsigned v4 = 0; v4 < 2; v4++)
            list_init(&t->ifs[i][v4].groups);
}
