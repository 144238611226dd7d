/* sweep.c: see sweep.h. */
#include "sweep.h"

#include <rte_mempool.h>

#include "log.h"
#include "pkt.h"

enum { NOBODYS, FREE, FOUND };

struct run {
    const struct sweep_from *from;
    struct rte_mbuf **m; /* all of the pool, by address */
    uint32_t *todo;      /* found, not yet looked into */
    uint8_t *state;
    uint32_t n, max, ntodo;
    bool sorted;
};

size_t sweep_room(const struct shard *sh)
{
    return sh->pool->populated_size * (sizeof(struct rte_mbuf *) + sizeof(uint32_t) + sizeof(uint8_t));
}

/* Pools are populated upwards. */
static void note(void *arg, void *obj)
{
    struct run *r = arg;

    if (r->n == r->max)
        return;
    if (r->n && (uintptr_t)obj <= (uintptr_t)r->m[r->n - 1])
        r->sorted = false;
    r->m[r->n++] = obj;
}

static void note_listed(struct rte_mempool *mp, void *arg, void *obj, unsigned idx)
{
    note(arg, obj);
}

/* The number of the buffer at this address, -1: there is none. */
static int64_t number_of(const struct run *r, uintptr_t at)
{
    uint32_t lo = 0, hi = r->n;

    if (at < (uintptr_t)r->m[0] || at > (uintptr_t)r->m[r->n - 1])
        return -1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if ((uintptr_t)r->m[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n && (uintptr_t)r->m[lo] == at ? (int64_t)lo : -1;
}

static void note_free(void *arg, void *m)
{
    struct run *r = arg;
    int64_t i = number_of(r, (uintptr_t)m);

    if (i >= 0)
        r->state[i] = FREE;
}

static void look_at(struct run *r, uintptr_t word)
{
    int64_t i = number_of(r, word);

    if (i < 0 || r->state[i] != NOBODYS)
        return;
    r->state[i] = FOUND;
    r->todo[r->ntodo++] = (uint32_t)i;
}

static void look_through(struct run *r, const void *at, const void *end)
{
    for (const uintptr_t *p = at; (const void *)(p + 1) <= end; p++)
        look_at(r, *p);
}

/* What the buffers found name in their turn: the next of a chain and of a queue, and the one whose bytes an
 * attached one shows. */
static void look_into(struct run *r)
{
    while (r->ntodo) {
        struct rte_mbuf *m = r->m[r->todo[--r->ntodo]];

        look_through(r, m, (const char *)(m + 1) + PKT_PRIV_SIZE);
        if (RTE_MBUF_CLONED(m))
            look_at(r, (uintptr_t)rte_mbuf_from_indirect(m));
    }
}

/* Of those that nobody names: the ones that a living process keeps to itself. */
static void look_at_held(struct run *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const void *owner = pkt_holder(r->m[i]);

        if (r->state[i] == NOBODYS && owner && r->from->lives(r->from->arg, owner))
            look_at(r, (uintptr_t)r->m[i]);
    }
}

unsigned sweep(struct shard *sh, const struct sweep_from *from, void *room)
{
    struct run r = {.from = from, .m = room, .max = sh->pool->populated_size, .sorted = true};
    const void *at = NULL, *end;
    unsigned lost = 0;

    r.todo = (uint32_t *)(r.m + r.max);
    r.state = (uint8_t *)(r.todo + r.max);
    if (from->each)
        from->each(sh->pool, note, &r);
    else
        rte_mempool_obj_iter(sh->pool, note_listed, &r);
    if (!r.n || !r.sorted)
        return 0;
    from->each_free(sh->pool, note_free, &r);
    for (; from->next(from->arg, &at, &end); at = end) {
        look_through(&r, at, end);
        look_into(&r);
    }
    look_at_held(&r);
    look_into(&r);
    if (from->in_use)
        from->in_use(from->arg, NULL);
    for (uint32_t i = 0; i < r.n; i++) {
        if (r.state[i] == FOUND && from->in_use)
            from->in_use(from->arg, r.m[i]);
        if (r.state[i] != NOBODYS)
            continue;
        /* As new: what it was part of and whose bytes it showed is not certain any more. */
        rte_pktmbuf_init(sh->pool, NULL, r.m[i], 0);
        rte_mbuf_raw_free(r.m[i]);
        lost++;
    }
    sh->count[COUNT_PKT_FOUND] += lost;
    return lost;
}
