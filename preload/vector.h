/* vector.h: a copy of the program's array of buffers, for the length of a call.
 *
 * Linux reads the array once (import_iovec). So do we, because what the engine goes over under its lock must
 * be what was checked before: another thread may change or unmap the array meanwhile.
 */
#ifndef SHUNT_PRELOAD_VECTOR_H
#define SHUNT_PRELOAD_VECTOR_H

#include <sys/mman.h>
#include <sys/uio.h>

#include "fdtab.h"
#include "libc.h"

#define VECTOR_FEW 8 /* as Linux's UIO_FASTIOV: no memory is taken for so many */

struct vector {
    struct iovec *v;
    size_t mapped; /* bytes; a thread that is cancelled in the call leaves them behind */
    struct iovec few[VECTOR_FEW];
};

/* n is at most IOV_MAX. 0, -EFAULT, -ENOMEM. vector_end in either case. */
static inline int vector_take(struct vector *k, const struct iovec *from, size_t n)
{
    size_t bytes = n * sizeof(*from);
    k->v = k->few;
    k->mapped = 0;
    if (__builtin_expect(n > VECTOR_FEW, 0)) {
        void *p = libc.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -ENOMEM;
        k->v = p;
        k->mapped = bytes;
    }
    return !n || USER_COPY(k->v, from, bytes) ? 0 : -EFAULT;
}

static inline void vector_end(struct vector *k)
{
    if (__builtin_expect(k->mapped != 0, 0))
        munmap(k->v, k->mapped);
}

#endif
