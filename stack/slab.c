/* slab.c: fixed-size objects in the segment (slab.h). */
#include "slab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "list.h"

#define SLAB_ALIGN 64 /* a cache line: neighbours don't share one */

static int init(struct slab *s, struct seg *seg, uint32_t size, uint32_t max)
{
    memset(s, 0, sizeof *s);
    s->base = seg_alloc(seg, (size_t)size * max, SLAB_ALIGN);
    if (!s->base)
        return -ENOMEM;
    s->size = size;
    s->max = max;
    return 0;
}

int slab_init(struct slab *s, struct seg *seg, uint32_t size, uint32_t max)
{
    return init(s, seg, (size + SLAB_ALIGN - 1) & ~(uint32_t)(SLAB_ALIGN - 1), max);
}

int slab_init_packed(struct slab *s, struct seg *seg, uint32_t size, uint32_t max)
{
    return init(s, seg, (size + 7) & ~7u, max);
}

void slab_init_branch(struct slab *s, struct slab *of)
{
    *s = (struct slab){.base = of->base, .size = of->size, .max = of->max, .of = of};
    of->of = of;
}

/* One that no list ever had; others take some at the same time. */
static void *shared_fresh(struct slab *s)
{
    uint32_t i = __atomic_load_n(&s->fresh, __ATOMIC_RELAXED);

    do {
        if (i == s->max)
            return NULL;
    } while (!__atomic_compare_exchange_n(&s->fresh, &i, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return slab_at(s, i);
}

void *slab_alloc(struct slab *s)
{
    void *obj = s->free;

    if (obj) {
        memcpy(&s->free, obj, sizeof s->free);
        list_step(); /* killed here: the object is lost, the list is whole */
        memset(obj, 0, s->size);
    } else if (__builtin_expect(s->of != NULL, 0)) {
        obj = shared_fresh(s->of);
        if (!obj)
            return NULL;
    } else {
        if (s->fresh == s->max)
            return NULL;
        obj = slab_at(s, s->fresh++); /* never touched: the segment's pages are zero */
    }
    s->in_use++;
    return obj;
}

void slab_free(struct slab *s, void *obj)
{
    assert((char *)obj >= s->base && (s->of || (slab_index(s, obj) < s->fresh && s->in_use > 0)));
    memcpy(obj, &s->free, sizeof s->free);
    list_step();
    s->free = obj;
    list_step();
    s->in_use--;
}

void slab_mend(struct slab *s, bool (*live)(const void *obj))
{
    void *free = NULL;
    uint32_t in_use = 0;

    s->free = NULL; /* killed half-way: nothing is handed out twice */
    list_step();
    for (uint32_t i = s->fresh; i-- > 0;) {
        void *obj = slab_at(s, i);

        if (live(obj)) {
            in_use++;
        } else {
            memcpy(obj, &free, sizeof free);
            free = obj;
        }
    }
    s->in_use = in_use;
    s->free = free;
}
