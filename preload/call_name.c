/* call_name.c: getsockname, getpeername. */
#include <sys/socket.h>

#include "fdtab.h"
#include "libc.h"

EXPORT int getsockname(int fd, __SOCKADDR_ARG sa, socklen_t *restrict len)
{
    if (!fd_is_stack(fd))
        return libc.getsockname(fd, sa.__sockaddr__, len);
    return (int)to_errno(API(getsockname(by_fd(fd), sa.__sockaddr__, len)));
}

EXPORT int getpeername(int fd, __SOCKADDR_ARG sa, socklen_t *restrict len)
{
    if (!fd_is_stack(fd))
        return libc.getpeername(fd, sa.__sockaddr__, len);
    return (int)to_errno(API(getpeername(by_fd(fd), sa.__sockaddr__, len)));
}
