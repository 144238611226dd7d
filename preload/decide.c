/* decide.c: a socket's way from undecided to the stack or to the kernel.
 *
 * Theory of operation. A fresh IP socket is a file of the stack over a duplicate of the placeholder. The
 * first call that names an address asks the engine (api->decide), which knows addresses and routes. STACK:
 * nothing moves. KERNEL: a kernel socket gets the recorded options and the status flags, takes over every
 * number that this process has for the file (dup3, each number's FD_CLOEXEC kept), and the file is closed;
 * from then on the calls on it never come here again. BOTH: twin.c. Limit: numbers that other processes of
 * the family inherited before the decision stay where they are.
 */
#include <fcntl.h>

#include "libc.h"
#include "place.h"

int decide_ask(int fd, enum decide_op op, const struct sockaddr *sa, socklen_t len)
{
    return API(decide(by_fd(fd), op, sa, len));
}

/* Puts the kernel descriptor k on number fd, which keeps its FD_CLOEXEC. */
static int take_number(int k, int fd)
{
    int flags = libc.fcntl(fd, F_GETFD, NULL);
    return libc.dup3(k, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

/* The socket's status flags go to k, but O_ASYNC: whether that is to be set once k has its number. */
static bool copy_status(int fd, int k)
{
    int flags = API(get_flags(by_fd(fd))), have = libc.fcntl(k, F_GETFL, NULL), sig = API(get_sig(by_fd(fd)));
    struct f_owner_ex owner = {0};
    int type = 0;
    if (API(get_owner(by_fd(fd), &type, &owner.pid)) == 0 && owner.pid) {
        owner.type = (__typeof__(owner.type))type;
        libc.fcntl(k, F_SETOWN_EX, &owner);
    }
    if (sig > 0)
        libc.fcntl(k, F_SETSIG, (void *)(long)sig);
    if (flags < 0 || have < 0)
        return false;
    libc.fcntl(k, F_SETFL, (void *)(long)((have & ~(O_NONBLOCK | O_ASYNC)) | (flags & O_NONBLOCK)));
    return flags & O_ASYNC;
}

/* The number by which O_ASYNC is set is the one that F_SETSIG's signal tells (si_fd). */
static void set_async(int fd)
{
    int have = libc.fcntl(fd, F_GETFL, NULL);
    if (have >= 0)
        libc.fcntl(fd, F_SETFL, (void *)(long)(have | O_ASYNC));
}

static void move_numbers(int fd, int k)
{
    for (int n = 0; (n = API(same_file(fd, n))) >= 0; n++) {
        if (n == fd)
            continue; /* last: its entry names the file */
        if (take_number(k, n) == 0) {
            epoll_moved(n);
            fdtab_forget(n);
        }
    }
}

int decide_to_kernel(int fd)
{
    bool twin = fd_has(fd, FD_TWIN);
    int k = twin ? fd : twin_new(fd);
    if (k < 0)
        return k;
    bool async = copy_status(fd, k);
    if (!twin)
        move_numbers(fd, k);
    int r = twin ? 0 : take_number(k, fd);
    if (async && r == 0)
        set_async(fd);
    if (!twin)
        libc.close(k);
    if (r < 0)
        return r;
    for (int n = 0; twin && (n = API(same_file(fd, n))) >= 0; n++)
        if (n != fd)
            fdtab_forget(n);
    if (!twin)
        epoll_moved(fd);
    fdtab_forget(fd);
    return 0;
}

void decide_to_stack(int fd)
{
    if (fd_has(fd, FD_TWIN)) {
        for (int n = 0; (n = API(same_file(fd, n))) >= 0; n++) {
            take_number(api->placeholder, n);
            fd_unmark(n, FD_TWIN);
        }
    }
    API(set_placement(by_fd(fd), PLACE_STACK));
}
