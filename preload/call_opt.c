/* call_opt.c: getsockopt, setsockopt. The file of the stack answers; a twin is told the same (options that it
 * refuses were refused nobody: twin.c). */
#include <sys/socket.h>

#include "fdtab.h"
#include "libc.h"

EXPORT int getsockopt(int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
    if (!fd_is_stack(fd))
        return libc.getsockopt(fd, level, name, val, len);
    int r = API(getsockopt(by_fd(fd), level, name, val, len));
    if (r == 0 && level == SOL_SOCKET && name == SO_ERROR && fd_has(fd, FD_TWIN) && *len == sizeof(int) &&
        *(int *)val == 0)
        return libc.getsockopt(fd, level, name, val, len);
    return (int)to_errno(r);
}

EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    if (!fd_is_stack(fd))
        return libc.setsockopt(fd, level, name, val, len);
    int r = API(setsockopt(by_fd(fd), level, name, val, len));
    if (r == 0 && fd_has(fd, FD_TWIN))
        libc.setsockopt(fd, level, name, val, len);
    return (int)to_errno(r);
}
