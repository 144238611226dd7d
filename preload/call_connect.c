/* call_connect.c: connect. */
#include <errno.h>
#include <sys/socket.h>

#include "fdtab.h"
#include "libc.h"
#include "place.h"
#include "wait.h"

/* Linux: SO_SNDTIMEO over while the handshake goes on is EINPROGRESS, or EALREADY where an earlier call began
 * it. */
static int stack_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct block b __attribute__((cleanup(block_end))) = block_begin(fd, EPOLLOUT, false);
    int began = API(connect(b.ref, sa, len));
    if (began != -EINPROGRESS && began != -EALREADY)
        return began;
    for (;;) {
        int r = block_wait(&b);
        if (r == -EAGAIN)
            return began;
        if (r < 0)
            return r;
        r = API(connect_result(b.ref));
        if (r != -EALREADY)
            return r;
        /* Shut down before it connected, it shows the end already: waits in naps. */
        if (b.deadline_ns != NEVER && wait_now_ns() >= b.deadline_ns)
            return began;
        if (libc.poll(NULL, 0, 1) < 0)
            return -EINTR;
    }
}

static int place_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    if (!sockaddr_len_ok(len))
        return -EINVAL;
    int before = API(placement(by_fd(fd)));
    int place = decide_ask(fd, DECIDE_CONNECT, sa, len);
    if (place < 0)
        return place;
    if (place == PLACE_KERNEL) {
        int r = decide_to_kernel(fd);
        return r < 0 ? r : libc.connect(fd, sa, len) < 0 ? -errno : 0;
    }
    if (place == PLACE_STACK && before != PLACE_STACK) /* AF_UNSPEC decides nothing */
        decide_to_stack(fd);
    int r = stack_connect(fd, sa, len);
    if (r == 0 && place == PLACE_BOTH) { /* AF_UNSPEC: the kernel's half has no peer, but may have a port */
        libc.connect(fd, sa, len);
        twin_release(fd);
    }
    return r;
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG sa, socklen_t len)
{
    if (!fd_is_stack(fd))
        return libc.connect(fd, sa.__sockaddr__, len);
    return (int)to_errno(place_connect(fd, sa.__sockaddr__, len));
}

int __connect(int fd, __CONST_SOCKADDR_ARG sa, socklen_t len) ALIAS(connect);
