/* connect.c: opening: blocking, non-blocking and its errnos, refusal, dissolving, to oneself. */
#include "check.h"

static struct sockaddr_in closed_port(void)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_STREAM, &a);

    close(s);
    return a;
}

CHECK(arguments)
{
    int s = tcp4();
    struct sockaddr_in a = lo4(9);

    R(connect(s, (struct sockaddr *)&a, 0));
    R(connect(s, (struct sockaddr *)&a, 1));
    R(connect(s, (struct sockaddr *)&a, sizeof(a) - 1));
    R(connect(s, (struct sockaddr *)&a, 129));
    a.sin_family = AF_INET6;
    R(connect(s, SA(a)));
    a.sin_family = 99;
    R(connect(s, SA(a)));
}

CHECK(blocking)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    R(connect(c, SA(a)));
    R(connect(c, SA(a)));
    SOERR(c);
    EV(poll_for(c, POLLIN | POLLOUT, 0));
    FD(accept(l, NULL, NULL));
    R(connect(c, SA(a)));
}

CHECK(refused)
{
    struct sockaddr_in a = closed_port();
    int c = tcp4();

    R(connect(c, SA(a)));
    SOERR(c);
    R(connect(c, SA(a)));
    R(send(c, "x", 1, MSG_NOSIGNAL));
    R(recv(c, (char[1]){0}, 1, MSG_DONTWAIT));
}

/* A refused socket may try again, somewhere else. */
CHECK(refused_then_again)
{
    struct sockaddr_in a = closed_port(), b;
    int c = tcp4(), l;

    R(connect(c, SA(a)));
    l = listen4(&b);
    R(connect(c, SA(b)));
    FD(accept(l, NULL, NULL));
    R(send(c, "x", 1, MSG_NOSIGNAL));
}

CHECK(nonblocking)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(connect(c, SA(a)));
    EV(poll_for(c, POLLIN | POLLOUT, SETTLE_MS));
    SOERR(c);
    R(connect(c, SA(a)));
    R(connect(c, SA(a)));
    FD(accept(l, NULL, NULL));
}

CHECK(nonblocking_refused)
{
    struct sockaddr_in a = closed_port();
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(connect(c, SA(a)));
    EV(poll_for(c, POLLIN | POLLOUT, SETTLE_MS));
    SOERR(c);
    SOERR(c);
    EV(poll_for(c, POLLIN | POLLOUT, 0));
    R(send(c, "x", 1, MSG_NOSIGNAL));
    R(recv(c, (char[1]){0}, 1, 0));
}

/* The error comes by the call that is made first, and once. */
CHECK(nonblocking_refused_by_connect)
{
    struct sockaddr_in a = closed_port();
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(connect(c, SA(a)));
    NEED(settle(c, POLLOUT));
    R(connect(c, SA(a)));
    SOERR(c);
}

CHECK(nonblocking_refused_by_read)
{
    struct sockaddr_in a = closed_port();
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(connect(c, SA(a)));
    NEED(settle(c, POLLOUT));
    R(read(c, (char[1]){0}, 1));
    R(read(c, (char[1]){0}, 1));
    SOERR(c);
}

CHECK(nonblocking_refused_by_write)
{
    struct sockaddr_in a = closed_port();
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(connect(c, SA(a)));
    NEED(settle(c, POLLOUT));
    R(write(c, "x", 1));
    R(write(c, "x", 1));
    SOERR(c);
}

/* A connect that can't complete because the accept queue is full stays in progress. */
static int stuck(int l, struct sockaddr_in *a)
{
    int c = -1;

    (void)l;
    for (int i = 0; i < 10; i++) {
        c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        NEED(connect(c, (struct sockaddr *)a, sizeof(*a)) < 0 && errno == EINPROGRESS);
        if (poll_for(c, POLLOUT, QUIET_MS) == 0)
            return c;
    }
    NEED(!"a full accept queue");
    return c;
}

CHECK(in_progress)
{
    struct sockaddr_in a, p;
    socklen_t len = sizeof(p);
    int l = bound4(SOCK_STREAM, &a), c;

    NEED(listen(l, 0) == 0);
    c = stuck(l, &a);
    R(connect(c, SA(a)));
    SOERR(c);
    EV(poll_for(c, POLLIN | POLLOUT, 0));
    R(getpeername(c, (struct sockaddr *)&p, &len));
    V(port_of(c) != 0);
    R(recv(c, (char[1]){0}, 1, 0));
    R(send(c, "x", 1, MSG_NOSIGNAL));
    R(bind(c, SA(a)));
    R(listen(c, 1));
    R(close(c));
}

CHECK(in_progress_shutdown)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a), c;

    NEED(listen(l, 0) == 0);
    c = stuck(l, &a);
    R(shutdown(c, SHUT_RDWR));
    EV(poll_for(c, POLLIN | POLLOUT, 0));
    R(recv(c, (char[1]){0}, 1, 0));
}

CHECK(in_progress_dissolved)
{
    struct sockaddr_in a, b, u = {.sin_family = AF_UNSPEC};
    int l = bound4(SOCK_STREAM, &a), c, l2 = listen4(&b);

    NEED(listen(l, 0) == 0);
    c = stuck(l, &a);
    R(connect(c, SA(u)));
    R(connect(c, SA(b)));
    EV(poll_for(c, POLLOUT, SETTLE_MS));
    SOERR(c);
    FD(accept(l2, NULL, NULL));
}

CHECK(unspec)
{
    struct sockaddr_in u = {.sin_family = AF_UNSPEC}, p, a;
    socklen_t len = sizeof(p);
    int sv[2], l = listen4(&a);
    char b;

    R(connect(tcp4(), SA(u)));
    R(connect(tcp4(), (struct sockaddr *)&u, sizeof(sa_family_t)));
    tcp_pair(sv);
    R(connect(sv[0], SA(u)));
    R(getpeername(sv[0], (struct sockaddr *)&p, &len));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], &b, 1, 0));
    V(port_of(sv[0]) != 0);
    R(connect(sv[0], SA(a)));
    FD(accept(l, NULL, NULL));
}

CHECK(unspec_keeps_bound_port)
{
    struct sockaddr_in u = {.sin_family = AF_UNSPEC}, a, b;
    int c = bound4(SOCK_STREAM, &b), l = listen4(&a);

    NEED(connect(c, SA(a)) == 0);
    FD(accept(l, NULL, NULL));
    R(connect(c, SA(u)));
    V(port_of(c) == ntohs(b.sin_port));
}

CHECK(unspec_on_listener)
{
    struct sockaddr_in u = {.sin_family = AF_UNSPEC}, a;
    int l = listen4(&a), one = -1;
    socklen_t len = sizeof(one);

    R(connect(l, SA(u)));
    R(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &one, &len));
    V(one);
    R(connect(tcp4(), SA(a)));
}

CHECK(to_any)
{
    struct sockaddr_in a, w, p;
    socklen_t len = sizeof(p);
    int l = listen4(&a), c = tcp4();

    w = at4(INADDR_ANY, ntohs(a.sin_port));
    R(connect(c, SA(w)));
    R(getpeername(c, (struct sockaddr *)&p, &len));
    V(p.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    R(getsockname(c, (struct sockaddr *)&p, &len));
    V(p.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    FD(accept(l, NULL, NULL));
}

CHECK(to_port_zero)
{
    struct sockaddr_in a = lo4(0);

    R(connect(tcp4(), SA(a)));
    R(connect(udp4(), SA(a)));
}

CHECK(to_broadcast_and_multicast)
{
    struct sockaddr_in b = at4(INADDR_BROADCAST, 9), m = at4(0xe0000001, 9);

    R(connect(tcp4(), SA(b)));
    R(connect(tcp4(), SA(m)));
    R(connect(udp4(), SA(b)));
}

/* RFC 9293 3.5, figure 8: simultaneous open, here with oneself. */
CHECK(to_itself)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_STREAM, &a);
    char b[4];

    R(connect(s, SA(a)));
    R(send(s, "echo", 4, MSG_NOSIGNAL));
    NEED(settle_bytes(s, 4));
    R(recv(s, b, 4, 0));
    TEXT(b, 4);
    R(shutdown(s, SHUT_WR));
    NEED(settle(s, POLLIN));
    R(recv(s, b, 4, 0));
}

CHECK(same_peer_from_same_port)
{
    struct sockaddr_in a, b;
    int on = 1, c = tcp4(), d = tcp4();

    listen4(&a);
    setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(d, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    b = lo4(0);
    NEED(bind(c, SA(b)) == 0);
    b.sin_port = htons(port_of(c));
    R(bind(d, SA(b)));
    R(connect(c, SA(a)));
    R(connect(d, SA(a)));
}

CHECK(after_close_of_peer)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    NEED(connect(c, SA(a)) == 0);
    close(accept(l, NULL, NULL));
    NEED(settle(c, POLLIN));
    R(connect(c, SA(a)));
    R(recv(c, (char[1]){0}, 1, 0));
    R(connect(c, SA(a)));
}

CHECK(no_route)
{
    struct sockaddr_in a = at4(0xc6120505, 9);

    /* Neither the kernel's namespace (lo alone) nor the stack has a way there. */
    R(connect(tcp4(), SA(a)));
    R(connect(udp4(), SA(a)));
    R(sendto(udp4(), "x", 1, 0, SA(a)));
}
