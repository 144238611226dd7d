/* slab.h: fixed-size objects in a range of the segment, named by index or by pointer.
 *
 * The range for max objects is reserved at init; memory is used once an object is first handed out. A freed
 * object goes on a LIFO free list threaded through its first 8 bytes. Slabs are type-stable: the memory of an
 * object never becomes something else, so that a stale pointer can be looked at under the lock and found out.
 * Context: the lock of the shard that owns the slab.
 *
 * Giving back. When three quarters of what was in use have been freed, the pages of chunks of SLAB_CHUNK
 * objects that are all free go back to the system: they read as zero, and are handed out again when the free
 * list is empty. Walking the free list for that costs each free the same few nanoseconds in the end, because
 * the next time is at half of what is in use then. Slabs of less than SLAB_TRIM_BYTES, and slabs with
 * branches, keep what they have.
 *
 * Branches. Each shard above 0 has a branch of a slab that it takes from under its own lock: a free list of
 * its own over the same range. An object may go to another branch's list than it came from. What no list has
 * is taken from the range by an atomic count.
 */
#ifndef SHUNT_SLAB_H
#define SHUNT_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seg.h"

#define SLAB_CHUNK      512u /* objects; so many of 8 bytes are a page */
#define SLAB_TRIM_BYTES (1u << 20)
#define SLAB_HOLE       UINT16_MAX

struct slab {
    char *base;
    void *free;              /* LIFO of freed objects */
    uint32_t size;           /* bytes an object, a multiple of 8 */
    uint32_t max;            /* objects */
    uint32_t fresh;          /* objects [0, fresh) have been handed out at least once */
    uint32_t in_use;         /* handed out now; of a slab with branches: less those given back to a branch */
    uint32_t trim_below;     /* give back when in_use falls below */
    uint32_t bump, bump_end; /* objects of a chunk that was given back, to be handed out next */
    uint32_t holes;          /* chunks whose pages were given back */
    uint16_t *chunk; /* of each: SLAB_HOLE, else 0 but while the free list is walked. NULL: a small slab */
    struct slab *of; /* a branch: its slab. A slab that has branches: itself. NULL: it has none */
};

/* size is rounded up to a multiple of 64. 0 or -ENOMEM. */
int slab_init(struct slab *s, struct seg *seg, uint32_t size, uint32_t max);
/* The same, rounded up to a multiple of 8 only: for small objects that are many and seldom looked at. */
int slab_init_packed(struct slab *s, struct seg *seg, uint32_t size, uint32_t max);
/* Makes s a branch of of. */
void slab_init_branch(struct slab *s, struct slab *of);
/* A zeroed object, NULL when max are in use. */
void *slab_alloc(struct slab *s);
void slab_free(struct slab *s, void *obj);
/* Makes the free list anew, after a process was killed in here: of all objects that are not live by their own
 * bytes beyond the first 8. So none stays lost. For slabs without branches whose objects can tell. */
void slab_mend(struct slab *s, bool (*live)(const void *obj));

static inline uint32_t slab_index(const struct slab *s, const void *obj)
{
    return (uint32_t)(((const char *)obj - s->base) / s->size);
}

/* Was the memory of this object given back? To look at it would bring it back. */
static inline bool slab_is_hole(const struct slab *s, uint32_t index)
{
    return s->holes && s->chunk[index / SLAB_CHUNK] == SLAB_HOLE;
}

static inline void *slab_at(const struct slab *s, uint32_t index)
{
    return s->base + (size_t)index * s->size;
}

#endif
