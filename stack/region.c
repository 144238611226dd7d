/* region.c: runs of pages in the segment (region.h). */
#include "region.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int region_init(struct region *r, struct seg *seg, size_t bytes)
{
    r->units = (uint32_t)(bytes / REGION_UNIT);
    r->next = 0;
    r->base = seg_alloc(seg, bytes, 4096);
    r->taken = seg_alloc(seg, r->units, 64);
    return r->base && r->taken ? 0 : -ENOMEM;
}

static uint32_t units_of(size_t bytes)
{
    return (uint32_t)((bytes + REGION_UNIT - 1) / REGION_UNIT);
}

/* A run of n free units that begins in [from, to), or to. */
static uint32_t find(const struct region *r, uint32_t from, uint32_t to, uint32_t n)
{
    uint32_t run = 0;

    for (uint32_t i = from; i < r->units && i - run < to; i++) {
        run = r->taken[i] ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return to;
}

void *region_alloc(struct region *r, size_t bytes)
{
    uint32_t n, at;

    if (bytes == 0 || bytes > (size_t)r->units * REGION_UNIT)
        return NULL;
    n = units_of(bytes);
    at = find(r, r->next, r->units, n);
    if (at == r->units) {
        at = find(r, 0, r->next, n);
        if (at == r->next)
            return NULL;
    }
    memset(r->taken + at, 1, n);
    r->next = at + n;
    return r->base + (size_t)at * REGION_UNIT;
}

void region_mend(struct region *r)
{
    memset(r->taken, 0, r->units);
}

void region_hold(struct region *r, const void *p, size_t bytes)
{
    memset(r->taken + ((const char *)p - r->base) / REGION_UNIT, 1, units_of(bytes));
}

void region_free(struct region *r, void *p, size_t bytes)
{
    uint32_t at = (uint32_t)(((char *)p - r->base) / REGION_UNIT), n = units_of(bytes);

    seg_forget(p, (size_t)n * REGION_UNIT);
    memset(r->taken + at, 0, n);
}
