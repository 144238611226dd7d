/* slab.c: fixed-size objects in the segment (slab.h). */
#include "slab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "list.h"

#define SLAB_ALIGN 64 /* a cache line: neighbours don't share one */
#define PAGE       4096

static int init(struct slab *s, struct seg *seg, uint32_t size, uint32_t max)
{
    bool large = (uint64_t)size * max > SLAB_TRIM_BYTES;

    memset(s, 0, sizeof *s);
    s->base = seg_alloc(seg, (size_t)size * max, large ? PAGE : SLAB_ALIGN);
    if (!s->base)
        return -ENOMEM;
    s->size = size;
    s->max = max;
    if (!large)
        return 0;
    s->chunk = seg_alloc(seg, (max / SLAB_CHUNK + 1) * sizeof *s->chunk, SLAB_ALIGN);
    return s->chunk ? 0 : -ENOMEM;
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

/* Counts of a walk that did not come to its end go. */
static void mend_chunks(struct slab *s)
{
    s->holes = 0;
    for (uint32_t c = 0; s->chunk && c <= s->fresh / SLAB_CHUNK; c++) {
        if (s->chunk[c] == SLAB_HOLE)
            s->holes++;
        else
            s->chunk[c] = 0;
    }
}

/* The next object is one of a chunk whose pages were given back. */
static void open_hole(struct slab *s)
{
    uint32_t c = 0;

    while (s->chunk[c] != SLAB_HOLE)
        c++;
    s->holes--;
    list_step(); /* killed here: there are never fewer than holes says */
    s->chunk[c] = 0;
    list_step(); /* killed here: the chunk is lost; it is never handed out twice */
    s->bump = c * SLAB_CHUNK;
    s->bump_end = s->bump + SLAB_CHUNK;
}

/* One whose memory is zero: never touched, or given back since. */
static void *untouched(struct slab *s)
{
    uint32_t live = s->fresh - s->holes * SLAB_CHUNK;

    if (s->bump == s->bump_end && s->holes)
        open_hole(s);
    if (s->trim_below < live / 4)
        s->trim_below = live / 4;
    if (s->bump < s->bump_end)
        return slab_at(s, s->bump++);
    return s->fresh == s->max ? NULL : slab_at(s, s->fresh++);
}

static void *next_free(const void *obj)
{
    void *next;

    memcpy(&next, obj, sizeof next);
    return next;
}

/* Takes the objects of chunks that are wholly free off the list, one at a time: a process killed in here
 * leaves a list that is whole. */
static void unlist_chunks(struct slab *s)
{
    char *last = NULL;

    for (char *obj = s->free, *next; obj; obj = next) {
        next = next_free(obj);
        if (s->chunk[slab_index(s, obj) / SLAB_CHUNK] != SLAB_CHUNK) {
            last = obj;
            continue;
        }
        if (last)
            memcpy(last, &next, sizeof next);
        else
            s->free = next;
        list_step();
    }
}

/* Gives back what slab.h says. */
static void trim(struct slab *s)
{
    uint32_t chunks = s->fresh / SLAB_CHUNK; /* the last one, not all handed out yet, stays */

    s->trim_below = s->in_use / 2;
    if ((uint64_t)(s->fresh - s->holes * SLAB_CHUNK) * s->size < SLAB_TRIM_BYTES)
        return;
    mend_chunks(s); /* not all slabs have a slab_mend */
    for (void *obj = s->free; obj; obj = next_free(obj))
        s->chunk[slab_index(s, obj) / SLAB_CHUNK]++;
    unlist_chunks(s);
    for (uint32_t c = 0; c <= chunks; c++) {
        if (s->chunk[c] == SLAB_HOLE)
            continue;
        if (s->chunk[c] != SLAB_CHUNK || c == chunks) {
            s->chunk[c] = 0;
            continue;
        }
        seg_forget(slab_at(s, c * SLAB_CHUNK), (size_t)SLAB_CHUNK * s->size);
        s->chunk[c] = SLAB_HOLE;
        list_step();
        s->holes++;
    }
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
        obj = untouched(s);
        if (!obj)
            return NULL;
    }
    s->in_use++;
    return obj;
}

void slab_free(struct slab *s, void *obj)
{
    assert((char *)obj >= s->base && (s->of || (slab_index(s, obj) < s->fresh && s->in_use > 0)));
    /* Those freed before, not this one: whoever frees it may still look whether it is free. */
    if (__builtin_expect(s->in_use < s->trim_below, 0) && s->chunk && !s->of)
        trim(s);
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
    s->bump = s->bump_end = 0;
    list_step();
    mend_chunks(s);
    for (uint32_t i = s->fresh; i-- > 0;) {
        void *obj = slab_at(s, i);

        if (slab_is_hole(s, i))
            continue;
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
