/* call_close.c: close, close_range, closefrom. The engine's own descriptors are not there for the program: a
 * loop over all numbers passes them by. */
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "tree.h"
#include "wait.h"

/* SO_LINGER: until the peer has everything, for a while at most, or a handler runs. The number is free
 * already. */
static void linger(struct ref *r, uint64_t ns)
{
    uint64_t deadline = wait_now_ns() + ns;
    int saved = errno;
    while (API(poll_devices()), API(lingers(*r)) > 0 && wait_now_ns() < deadline)
        if (libc.poll(NULL, 0, 2) < 0)
            break;
    API_VOID(unpin(r));
    errno = saved;
}

/* The stack first: while its number is still taken nobody else can get it. */
static int stack_close(int fd)
{
    struct ref r;
    int s = fdtab_close(fd, &r), ret = libc.close(fd);
    if (s > 0)
        linger(&r, (uint64_t)s * 1000000000u);
    return ret;
}

EXPORT int close(int fd)
{
    if (fd_is_stack(fd))
        return stack_close(fd);
    if (fd_is_private(fd))
        return (int)to_errno(-EBADF);
    return libc.close(fd);
}

int __close(int fd) ALIAS(close);

static void forget_range(unsigned lo, unsigned hi)
{
    int end = fdtab_end();
    for (unsigned fd = lo; fd <= hi && (int)fd < end; fd++)
        fdtab_forget((int)fd);
}

/* [lo, hi] without the engine's numbers; tree_close_range leaves out the tree's. */
static int close_around(unsigned lo, unsigned hi, int flags)
{
    unsigned a = (unsigned)api->private_lo, b = (unsigned)api->private_hi;
    for (unsigned fd = lo > a ? lo : a; fd < b && fd <= hi; fd++) {
        if (!__atomic_load_n(&api->private_map[(fd - a) / 64], __ATOMIC_ACQUIRE)) {
            fd = a + ((fd - a) | 63); /* none of these 64 */
            continue;
        }
        if (!fd_is_private((int)fd))
            continue;
        if (lo < fd && tree_close_range(lo, fd - 1, flags) < 0)
            return -1;
        lo = fd + 1;
    }
    return lo <= hi ? tree_close_range(lo, hi, flags) : 0;
}

EXPORT int close_range(unsigned lo, unsigned hi, int flags)
{
    if (lo > hi)
        return libc.close_range(lo, hi, flags);
    if (!api)
        return tree_close_range(lo, hi, flags);
    if (!(flags & CLOSE_RANGE_CLOEXEC) && !guard.vforked) {
        /* The stack first, as in close; but not when the kernel will refuse: asked with a range of nothing.
         */
        if (libc.close_range(UINT_MAX, UINT_MAX, flags) < 0)
            return -1;
        forget_range(lo, hi);
    }
    return close_around(lo, hi, flags);
}

EXPORT void closefrom(int lo)
{
    if (lo < 0)
        lo = 0;
    if (close_range((unsigned)lo, UINT_MAX, 0) < 0) /* a kernel before 5.9 */
        for (int fd = lo, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
            close(fd);
}
