/* heap.h: the engine's private heap: a jemalloc of its own, hidden in libshunt-engine.so, so that the
 * program's malloc is neither used nor replaced.
 *
 * For what one process owns. What a family shares lies in the segment (stack/seg.h) or in packet buffers: one
 * allocator used from both sides of a fork would be unsound. Thread-safe; not to be called from signal
 * handlers. A block must be freed by heap_free, in the process that allocated it or a fork of it.
 */
#ifndef SHUNT_HEAP_H
#define SHUNT_HEAP_H

#include <stddef.h>

void *heap_alloc(size_t bytes);            /* uninitialised; NULL: out of memory */
void *heap_calloc(size_t n, size_t bytes); /* zeroed */
void *heap_realloc(void *p, size_t bytes);
void heap_free(void *p); /* NULL is fine */
char *heap_strdup(const char *s);

#endif
