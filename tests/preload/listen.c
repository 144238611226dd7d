/* listen.c: listening: on what, twice, the backlog and what fills it, what a listener does not do. */
#include "check.h"

CHECK(wrong_kinds)
{
    int u = udp4(), sv[2], c = tcp4();

    R(listen(u, 1));
    tcp_pair(sv);
    R(listen(sv[0], 1));
    R(listen(sv[1], 1));
    R(shutdown(c, SHUT_RDWR));
    R(listen(c, 1));
}

CHECK(again)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), one = -1;
    socklen_t len = sizeof(one);

    R(listen(l, 3));
    R(listen(l, 0));
    R(listen(l, -1));
    R(listen(l, 1 << 30));
    R(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &one, &len));
    V(one);
    R(connect(c, SA(a)));
    FD(accept(l, NULL, NULL));
}

CHECK(same_port_twice)
{
    int on = 1, s = tcp4(), t = tcp4();
    struct sockaddr_in a = lo4(0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    R(bind(s, SA(a)));
    a.sin_port = htons(port_of(s));
    R(bind(t, SA(a)));
    R(listen(s, 1));
    R(listen(t, 1));
}

/* backlog + 1 connections become ready; what comes after is not completed and not refused. */
static void backlog_of(int backlog)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a), done = 0, accepted = 0;

    NEED(listen(l, backlog) == 0);
    for (int i = 0; i < 8; i++) {
        int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        NEED(connect(c, SA(a)) < 0 && errno == EINPROGRESS);
        if (poll_for(c, POLLOUT, done > backlog ? QUIET_MS : 200) == POLLOUT)
            done++;
        else
            V(so_error(c));
    }
    nap(QUIET_MS);
    while (accept4(l, NULL, NULL, SOCK_NONBLOCK) >= 0 && ++accepted < 20) {
        if (poll_for(l, POLLIN, QUIET_MS) == 0)
            break;
    }
    V(accepted >= backlog + 1);
}

CHECK(backlog)
{
    backlog_of(0);
    backlog_of(3);
}

CHECK(not_for_data)
{
    struct sockaddr_in a, p;
    socklen_t len = sizeof(p);
    int l = listen4(&a);
    char b;

    R(read(l, &b, 1));
    R(recv(l, &b, 1, MSG_DONTWAIT));
    R(send(l, "x", 1, MSG_NOSIGNAL));
    R(getpeername(l, (struct sockaddr *)&p, &len));
    R(connect(l, SA(a)));
    R(ioctl(l, FIONREAD, &len));
    EV(poll_for(l, POLLIN | POLLOUT, 0));
}

CHECK(readiness)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), d = tcp4();

    EV(poll_for(l, POLLIN | POLLOUT, QUIET_MS));
    NEED(connect(c, SA(a)) == 0 && connect(d, SA(a)) == 0);
    EV(poll_for(l, POLLIN | POLLOUT | POLLRDNORM, SETTLE_MS));
    FD(accept(l, NULL, NULL));
    EV(poll_for(l, POLLIN, SETTLE_MS));
    FD(accept(l, NULL, NULL));
    EV(poll_for(l, POLLIN, QUIET_MS));
}

CHECK(shut_down)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    R(shutdown(l, SHUT_WR));
    R(connect(c, SA(a)));
    R(shutdown(l, SHUT_RD));
    EV(poll_for(l, POLLIN | POLLOUT, 0));
    R(accept(l, NULL, NULL));
    R(connect(tcp4(), SA(a)));
    R(listen(l, 4));
    a.sin_port = htons(port_of(l)); /* port 0 was asked for, so the kernel let go of the number */
    R(connect(tcp4(), SA(a)));
    FD(accept(l, NULL, NULL));
}

/* Connections that were not accepted are reset when the listener goes. */
CHECK(close_with_queue)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();
    char b;

    NEED(connect(c, SA(a)) == 0);
    NEED(settle(l, POLLIN));
    R(close(l));
    EV(poll_for(c, POLLIN, SETTLE_MS));
    R(recv(c, &b, 1, 0));
    R(recv(c, &b, 1, 0));
    R(connect(tcp4(), SA(a)));
}

CHECK(peer_gone_before_accept)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s;
    struct linger lg = {1, 0};
    char b;

    NEED(connect(c, SA(a)) == 0);
    NEED(send(c, "bye", 3, 0) == 3);
    close(c);
    s = FD(accept(l, NULL, NULL));
    NEED(settle_bytes(s, 3));
    R(recv(s, (char[8]){0}, 8, 0));
    R(recv(s, &b, 1, 0));
    c = tcp4();
    NEED(connect(c, SA(a)) == 0);
    NEED(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    NEED(settle(l, POLLIN));
    close(c);
    nap(QUIET_MS);
    s = FD(accept(l, NULL, NULL));
    R(recv(s, &b, 1, 0));
    R(recv(s, &b, 1, 0));
}
