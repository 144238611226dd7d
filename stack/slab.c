/* slab.c: fixed-size objects in the segment (slab.h). */
#include "slab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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

void *slab_alloc(struct slab *s)
{
    void *obj = s->free;

    if (obj) {
        memcpy(&s->free, obj, sizeof s->free);
        memset(obj, 0, s->size);
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
    assert((char *)obj >= s->base && slab_index(s, obj) < s->fresh && s->in_use > 0);
    memcpy(obj, &s->free, sizeof s->free);
    s->free = obj;
    s->in_use--;
}
