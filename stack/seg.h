/* seg.h: the segment, memory that every process of a family maps MAP_SHARED at one address (design section
 * 3).
 *
 * Theory of operation. One memfd of SEG_BYTES (sparse: pages exist once touched) is mapped at a preferred
 * address, or at another one when that is taken; all later mappings must use the address the header names. A
 * bump allocator hands out ranges of it at start (tables, slab ranges); nothing is ever given back to it. A
 * range costs no memory until touched.
 *
 * Rule for everything in the segment: no pointer to a function and no pointer into process-private memory, so
 * that a process with other load addresses (after exec) can join. Pointers into the segment and into DPDK's
 * shared memory are fine.
 */
#ifndef SHUNT_SEG_H
#define SHUNT_SEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "where.h"

#define SEG_BYTES WHERE_SEG_BYTES

struct seg {
    uint64_t magic;
    uint32_t version;
    int32_t fd; /* the memfd's number in the creating process and its forks */
    void *base; /* this header's own address */
    uint64_t bytes;
    uint64_t used; /* bump allocator */
    void *root;    /* struct stack */
};

/* Creates the memfd (named "shunt:NAME", close-on-exec) and maps it. Sets *out. 0 or -errno (ENOMEM,
 * EMFILE...). */
int seg_create(const char *name, struct seg **out);
/* Maps an existing segment, received as a descriptor, at the address its header names. 0, -EBUSY when that
 * address is taken here, -EPROTO when it is no segment of this version. */
int seg_attach(int fd, struct seg **out);
/* Unmaps and closes (tests, failed starts). */
void seg_destroy(struct seg *seg);
/* A zeroed range, aligned to align (a power of two, at most 4096). NULL when the segment is full.
 * Context: before the stack runs, or under the stack's shard 0 lock. */
void *seg_alloc(struct seg *seg, size_t bytes, size_t align);
/* Takes the pages of whole pages [p, p + bytes) of the segment away, in every mapping: they read as zero. */
void seg_forget(void *p, size_t bytes);
/* The next range of the segment's memory that somebody has written to, at *at (NULL: from the start) or after
 * it: sets *at and *end. False: there is none. Context: the lock. */
bool seg_next_used(const struct seg *seg, const void **at, const void **end);
/* Maps [p, p + bytes) of the segment once more, for the program: addr, prot and flags as in mmap(2), which
 * are the program's to say; always shared. The address, or NULL and *err = -errno. */
void *seg_map(const struct seg *seg, const void *p, size_t bytes, void *addr, int prot, int flags, int *err);

#endif
