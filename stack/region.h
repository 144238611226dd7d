/* region.h: memory of the segment in runs of pages that come and go: what a program maps (packet_ring.h).
 *
 * Theory of operation. A range of the segment is reserved at init and cut into units; a byte a unit says
 * whether it is taken. A run is looked for from where the last one ended, so that a range given back is not
 * soon another's: a program that kept it mapped against the rules would see that one's. What is given back
 * has no pages any more and reads as zero. Context: the stack's shard 0 lock.
 */
#ifndef SHUNT_REGION_H
#define SHUNT_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "seg.h"

#define REGION_UNIT 65536 /* bytes */

struct region {
    char *base;
    uint8_t *taken;
    uint32_t units, next;
};

/* bytes: a multiple of REGION_UNIT. 0 or -ENOMEM. */
int region_init(struct region *r, struct seg *seg, size_t bytes);
/* A zeroed run of at least bytes, aligned to a page; NULL: there is none so long. */
void *region_alloc(struct region *r, size_t bytes);
/* After a process was killed in here: nothing is taken, until region_hold says of each run that it is. */
void region_mend(struct region *r);
void region_hold(struct region *r, const void *p, size_t bytes);
/* p and bytes as of region_alloc. */
void region_free(struct region *r, void *p, size_t bytes);

#endif
