/* twin.c: the kernel half of a socket that both sides serve: a wildcard listener, a UDP socket with peers on
 * both.
 *
 * Theory of operation. The number is the kernel socket (so that it is in kernel epoll sets, is closed with
 * the number, is inherited by fork), the file in the segment serves the wire. The kernel half is
 * non-blocking, privately: its O_NONBLOCK is never the program's, which asks the file. Both are bound to one
 * address: first the kernel half, as an unused one can be dropped without a trace, then the stack's; a port
 * that is taken on either side is taken. For port 0 the kernel proposes and the stack may refuse: then again.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "libc.h"
#include "place.h"

#define PORT_TRIES 64

static int sockopt_int(int fd, int name)
{
    int v = 0;
    socklen_t len = sizeof(v);
    int r = API(getsockopt(by_fd(fd), SOL_SOCKET, name, &v, &len));
    return r < 0 ? r : v;
}

/* Options that the kernel does not take (it may lack them, or the privilege) are no reason to fail: the
 * program was told that they are set. */
static void replay_options(int fd, int k)
{
    unsigned char val[1024];
    int level, name;
    for (int i = 0;; i++) {
        socklen_t len = sizeof(val);
        if (API(opt_recorded(by_fd(fd), i, &level, &name, val, &len)) < 0)
            return;
        libc.setsockopt(k, level, name, val, len);
    }
}

int twin_new(int fd)
{
    int domain = sockopt_int(fd, SO_DOMAIN);
    int type = sockopt_int(fd, SO_TYPE);
    int protocol = sockopt_int(fd, SO_PROTOCOL);
    if (domain < 0 || type < 0)
        return domain < 0 ? domain : type;
    int k = libc.socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol < 0 ? 0 : protocol);
    if (k < 0)
        return -errno;
    replay_options(fd, k);
    int bits = API(half(by_fd(fd), HALF_ASK)) & (HALF_SHUT_RD | HALF_SHUT_WR);
    if (bits > 0) /* of a socket without a peer: ENOTCONN, and done */
        libc.shutdown(k, bits - 1);
    return k;
}

void twin_release(int fd)
{
    if (API(half(by_fd(fd), HALF_ASK)) & HALF_BOUND)
        return;
    decide_to_stack(fd);
    API(set_placement(by_fd(fd), PLACE_UNDECIDED));
}

int twin_attach(int fd, int twin)
{
    int r = 0;
    for (int n = 0; (n = API(same_file(fd, n))) >= 0; n++) {
        int flags = libc.fcntl(n, F_GETFD, NULL);
        if (libc.dup3(twin, n, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0) {
            r = -errno;
            continue;
        }
        fd_mark(n, FD_TWIN);
        epoll_moved(n);
    }
    libc.close(twin);
    return r < 0 ? r : API(set_placement(by_fd(fd), PLACE_BOTH));
}

static in_port_t *port_of(struct sockaddr_storage *ss)
{
    return ss->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)ss)->sin6_port
                                     : &((struct sockaddr_in *)ss)->sin_port;
}

/* Binds both once. With any_port the address's port becomes the kernel's choice. */
static int bind_both(int fd, int k, struct sockaddr_storage *ss, socklen_t len)
{
    bool any_port = *port_of(ss) == 0;
    if (libc.bind(k, (struct sockaddr *)ss, len) < 0)
        return -errno;
    if (any_port) {
        struct sockaddr_storage got;
        socklen_t got_len = sizeof(got);
        if (libc.getsockname(k, (struct sockaddr *)&got, &got_len) < 0)
            return -errno;
        *port_of(ss) = *port_of(&got);
    }
    int r = API(bind(by_fd(fd), (struct sockaddr *)ss, len));
    if (r == 0 && any_port)
        API(half(by_fd(fd), HALF_ANY_PORT));
    return r;
}

int twin_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_storage ss;
    int r = -EINVAL;
    if (len > sizeof(ss) || len < (socklen_t)offsetof(struct sockaddr_in, sin_zero))
        return -EINVAL;
    for (int i = 0; i < PORT_TRIES; i++) {
        memset(&ss, 0, sizeof(ss));
        memcpy(&ss, sa, len);
        bool any_port = *port_of(&ss) == 0;
        int k = twin_new(fd);
        if (k < 0)
            return k;
        r = bind_both(fd, k, &ss, len);
        if (r == 0)
            return twin_attach(fd, k);
        libc.close(k);
        if (r != -EADDRINUSE || !any_port)
            break;
    }
    return r;
}

/* listen without bind: a port that is free on both sides. */
static int bind_any(int fd)
{
    struct sockaddr_storage ss = {.ss_family = (sa_family_t)sockopt_int(fd, SO_DOMAIN)};
    return twin_bind(fd, (struct sockaddr *)&ss,
                     ss.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

int twin_listen(int fd, int backlog)
{
    if (!fd_has(fd, FD_TWIN)) {
        int r = bind_any(fd);
        if (r < 0)
            return r;
    }
    int r = API(listen(by_fd(fd), backlog));
    if (r < 0)
        return r;
    /* The kernel's answer comes second: its failure leaves the stack's half listening on a port that the
     * program was refused. It closes the socket then, as a program does. */
    return libc.listen(fd, backlog) < 0 ? -errno : 0;
}

int twin_for_send(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    if (fd_has(fd, FD_TWIN))
        return 0;
    int k = twin_new(fd);
    if (k < 0)
        return k;
    /* One port for both where it can be had: the peer's answers then find the socket by the port that
     * getsockname shows. */
    bool bound = API(getsockname(by_fd(fd), (struct sockaddr *)&ss, &len)) == 0 && *port_of(&ss) != 0;
    if (ss.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&ss)->sin6_addr = in6addr_any;
    else
        ((struct sockaddr_in *)&ss)->sin_addr.s_addr = INADDR_ANY;
    if (len > sizeof(ss) || ss.ss_family == 0)
        bound = true; /* nothing to bind */
    else if (libc.bind(k, (struct sockaddr *)&ss, len) == 0 && !bound) {
        len = sizeof(ss);
        if (libc.getsockname(k, (struct sockaddr *)&ss, &len) == 0 &&
            API(bind(by_fd(fd), (struct sockaddr *)&ss, len)) == 0)
            API(half(by_fd(fd), HALF_ANY_PORT));
    }
    return twin_attach(fd, k);
}
