/* reserve.c: see reserve.h.
 *
 * Theory of operation. A new image joins a running stack at its first socket, and can do so only where the
 * members before it have their memory (stack/where.h). By then a program that maps at random addresses of its
 * own may have taken some of it. So the library's constructor maps nothing there: no access, no memory, three
 * system calls. The start of the stack, or the joining, releases it.
 *
 * RLIMIT_AS counts such addresses. A process that has a limit keeps none free, and one that sets itself a
 * limit before it has a stack gives them up (call_limit.c).
 */
#include "reserve.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "libc.h"
#include "stack/where.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct range {
    long at;
    size_t bytes;
    int taken;
};

static struct range range[] = {
    {(long)WHERE_PACKETS, WHERE_PACKETS_BYTES, 0},
    {(long)WHERE_SEG, WHERE_SEG_BYTES, 0},
};
#define RANGES (sizeof(range) / sizeof(range[0]))

static bool is_limited(void)
{
    struct rlimit l;
    return raw_syscall(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&l, 0, 0) != 0 || l.rlim_cur != RLIM_INFINITY;
}

void reserve_take(void)
{
    if (is_limited())
        return;
    for (unsigned i = 0; i < RANGES; i++) {
        struct range *r = &range[i];
        long p = raw_syscall(SYS_mmap, r->at, (long)r->bytes, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        r->taken = p == r->at;
        if (p > 0 && p != r->at) /* a kernel or an emulator that takes the address as a hint */
            raw_syscall(SYS_munmap, p, (long)r->bytes, 0, 0, 0, 0);
    }
}

void reserve_release(void)
{
    for (unsigned i = 0; i < RANGES; i++)
        if (__atomic_exchange_n(&range[i].taken, 0, __ATOMIC_ACQ_REL))
            raw_syscall(SYS_munmap, range[i].at, (long)range[i].bytes, 0, 0, 0, 0);
}
