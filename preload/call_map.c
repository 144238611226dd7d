/* call_map.c: mmap of a socket of the stack: the ring of a packet socket, or ENODEV. */
#include <errno.h>
#include <sys/mman.h>

#include "fdtab.h"
#include "libc.h"

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    void *out;
    if (__builtin_expect(!fd_is_stack(fd), 1) || (flags & MAP_ANONYMOUS) || fd_has(fd, FD_EPSET))
        return libc.mmap(addr, len, prot, flags, fd, off);
    int r = len == 0 ? -EINVAL : API(map(by_fd(fd), addr, len, prot, flags, off, &out));
    if (r < 0) {
        errno = -r;
        return MAP_FAILED;
    }
    return out;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off) ALIAS_NOTHROW(mmap);
