/* call_socket.c: socket, bind, listen, shutdown. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "boot.h"
#include "dispatch.h"
#include "fdtab.h"
#include "libc.h"
#include "place.h"
#include "route.h"

/* -errno that says: the stack has no such kind of socket. */
static bool no_such_kind(int r)
{
    return r == -EAFNOSUPPORT || r == -ESOCKTNOSUPPORT || r == -EPROTONOSUPPORT || r == -EPROTOTYPE;
}

static int stack_socket(int domain, int type, int protocol)
{
    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    int fd = fdtab_number(type & SOCK_CLOEXEC);
    if (fd < 0) { /* Linux makes the socket first: what is wrong with that is told first */
        int why = API(socket(-1, domain, type & 0xf, protocol));
        return why == -EBADF ? fd : why;
    }
    int r = API(socket(fd, domain, type & 0xf, protocol));
    if (r < 0) {
        libc.close(fd);
        return r;
    }
    fdtab_set(fd, 0);
    if (type & SOCK_NONBLOCK)
        API(set_flags(by_fd(fd), O_NONBLOCK));
    return fd;
}

/* Design section 2 leaves AF_NETLINK to the kernel. Differs: of it, what tells of interfaces, routes,
 * neighbours and sockets is the stack's, so that ip and ss show the stack; SHUNT_NETLINK=0 leaves that to the
 * kernel, too. */
static bool is_netlink_of_ours(int protocol)
{
    if (protocol != NETLINK_ROUTE && protocol != NETLINK_SOCK_DIAG)
        return false;
    /* The resolver asks which kinds of addresses there are: of either side, where it may use both. */
    return (!dispatch_resolving() || api->isolate) && route_setting("SHUNT_NETLINK", 1);
}

static bool may_be_ours(int domain, int type, int protocol)
{
    if (domain == AF_NETLINK)
        return is_netlink_of_ours(protocol);
    /* SOCK_PACKET is AF_PACKET by its old name. */
    return (domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET) && (type & 0xf) != SOCK_PACKET;
}

EXPORT int socket(int domain, int type, int protocol)
{
    if (!may_be_ours(domain, type, protocol) || !boot())
        return libc.socket(domain, type, protocol);
    int r = stack_socket(domain, type, protocol);
    if (no_such_kind(r) && (!api->isolate || domain == AF_NETLINK))
        return libc.socket(domain, type, protocol); /* the kernel decides */
    return (int)to_errno(r);
}

static int stack_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    if (fd_has(fd, FD_EPSET))
        return -ENOTSOCK;
    if (!sockaddr_len_ok(len))
        return -EINVAL;
    int before = API(placement(by_fd(fd)));
    int place = decide_ask(fd, DECIDE_BIND, sa, len);
    if (place < 0)
        return place;
    if (place == PLACE_BOTH && before == PLACE_UNDECIDED)
        return twin_bind(fd, sa, len);
    if (place == PLACE_KERNEL) {
        int r = decide_to_kernel(fd);
        return r < 0 ? r : libc.bind(fd, sa, len) < 0 ? -errno : 0;
    }
    int r = API(bind(by_fd(fd), sa, len));
    if (r == -EADDRINUSE) {
        API_VOID(bury());
        r = API(bind(by_fd(fd), sa, len));
    }
    /* An address of the kernel's, on a socket that it has as well: what it says of a bound one. */
    if (r == -EADDRNOTAVAIL && fd_has(fd, FD_TWIN))
        return libc.bind(fd, sa, len) < 0 ? -errno : 0;
    if (r == 0 && before == PLACE_UNDECIDED && place == PLACE_STACK)
        API(set_placement(by_fd(fd), PLACE_STACK));
    return r;
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG sa, socklen_t len)
{
    if (!fd_is_stack(fd))
        return libc.bind(fd, sa.__sockaddr__, len);
    return (int)to_errno(stack_bind(fd, sa.__sockaddr__, len));
}

static int stack_listen(int fd, int backlog)
{
    int place = decide_ask(fd, DECIDE_LISTEN, NULL, 0);
    if (place < 0)
        return place;
    if (place == PLACE_BOTH)
        return twin_listen(fd, backlog);
    if (place == PLACE_KERNEL) {
        int r = decide_to_kernel(fd);
        return r < 0 ? r : libc.listen(fd, backlog) < 0 ? -errno : 0;
    }
    if (place == PLACE_STACK)
        API(set_placement(by_fd(fd), PLACE_STACK));
    int r = API(listen(by_fd(fd), backlog));
    if (r == -EADDRINUSE) {
        API_VOID(bury());
        r = API(listen(by_fd(fd), backlog));
    }
    return r;
}

EXPORT int listen(int fd, int backlog)
{
    if (!fd_is_stack(fd))
        return libc.listen(fd, backlog);
    return (int)to_errno(stack_listen(fd, backlog));
}

EXPORT int shutdown(int fd, int how)
{
    if (!fd_is_stack(fd))
        return libc.shutdown(fd, how);
    int r = API(shutdown(by_fd(fd), how));
    if (fd_has(fd, FD_TWIN)) {
        libc.shutdown(fd, how);
        twin_release(fd);
    }
    return (int)to_errno(r);
}
