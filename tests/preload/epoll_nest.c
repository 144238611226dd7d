/* epoll_nest.c: a set inside a set, a set in poll and select, loops and depth. */
#include "check.h"

#include <sys/select.h>

static int ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)fd};

    return epoll_ctl(ep, op, fd, &ev);
}

static void wait_show(const char *what, int ep, int ms)
{
    struct epoll_event ev = {0};
    int n = epoll_wait(ep, &ev, 1, ms);

    show(what, "%d", n);
    if (n > 0)
        show_events("  event", ev.events);
}

CHECK(in_poll_and_select)
{
    int ep = epoll_create1(0), sv[2];
    fd_set r;
    struct timeval tv = {0, 0};

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    EV(poll_for(ep, POLLIN | POLLOUT, 0));
    NEED(send(sv[1], "x", 1, 0) == 1);
    EV(poll_for(ep, POLLIN | POLLOUT | POLLRDNORM, SETTLE_MS));
    FD_ZERO(&r);
    FD_SET(ep, &r);
    R(select(ep + 1, &r, NULL, NULL, &tv));
    NEED(recv(sv[0], (char[1]){0}, 1, 0) == 1);
    EV(poll_for(ep, POLLIN, 0));
}

CHECK(nested)
{
    int in = epoll_create1(0), out = epoll_create1(0), sv[2];

    tcp_pair(sv);
    R(ctl(in, EPOLL_CTL_ADD, sv[0], EPOLLIN));
    R(ctl(out, EPOLL_CTL_ADD, in, EPOLLIN));
    wait_show("quiet", out, 0);
    NEED(send(sv[1], "x", 1, 0) == 1);
    wait_show("outer", out, SETTLE_MS);
    wait_show("outer again", out, 0);
    wait_show("inner", in, 0);
    NEED(recv(sv[0], (char[1]){0}, 1, 0) == 1);
    wait_show("outer, read", out, 0);
    R(ctl(out, EPOLL_CTL_DEL, in, 0));
}

CHECK(nested_edge)
{
    int in = epoll_create1(0), out = epoll_create1(0), sv[2];

    tcp_pair(sv);
    ctl(in, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    ctl(out, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET);
    NEED(send(sv[1], "x", 1, 0) == 1);
    wait_show("outer", out, SETTLE_MS);
    wait_show("no new edge", out, QUIET_MS);
    NEED(send(sv[1], "y", 1, 0) == 1);
    wait_show("new edge", out, SETTLE_MS);
}

CHECK(with_pipe_inside)
{
    int in = epoll_create1(0), out = epoll_create1(0), pf[2], sv[2];

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    ctl(in, EPOLL_CTL_ADD, pf[0], EPOLLIN);
    ctl(in, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    ctl(out, EPOLL_CTL_ADD, in, EPOLLIN);
    NEED(write(pf[1], "x", 1) == 1);
    wait_show("by the pipe", out, SETTLE_MS);
    NEED(read(pf[0], (char[1]){0}, 1) == 1);
    wait_show("read", out, 0);
    NEED(send(sv[1], "x", 1, 0) == 1);
    wait_show("by the socket", out, SETTLE_MS);
}

CHECK(loops)
{
    int a = epoll_create1(0), b = epoll_create1(0), c = epoll_create1(0);

    R(ctl(a, EPOLL_CTL_ADD, a, EPOLLIN));
    R(ctl(a, EPOLL_CTL_ADD, b, EPOLLIN));
    R(ctl(b, EPOLL_CTL_ADD, a, EPOLLIN));
    R(ctl(b, EPOLL_CTL_ADD, c, EPOLLIN));
    R(ctl(c, EPOLL_CTL_ADD, a, EPOLLIN));
}

CHECK(depth)
{
    int e[8];

    for (int i = 0; i < 8; i++)
        e[i] = epoll_create1(0);
    for (int i = 0; i + 1 < 8; i++)
        R(ctl(e[i + 1], EPOLL_CTL_ADD, e[i], EPOLLIN));
}

CHECK(wakes_through_two_levels)
{
    int in = epoll_create1(0), out = epoll_create1(0), sv[2];
    long start = now_ms();
    pid_t p;

    tcp_pair(sv);
    ctl(in, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    ctl(out, EPOLL_CTL_ADD, in, EPOLLIN);
    p = fork_tied();
    if (p == 0) {
        nap(30);
        _exit(send(sv[1], "x", 1, 0) == 1 ? 0 : 1);
    }
    wait_show("outer", out, -1);
    took("waited", start, 30);
    V(child_status(p));
}

CHECK(poll_sleeps_on_a_set)
{
    int ep = epoll_create1(0), sv[2];
    long start = now_ms();
    pid_t p;

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    p = fork_tied();
    if (p == 0) {
        nap(30);
        _exit(send(sv[1], "x", 1, 0) == 1 ? 0 : 1);
    }
    EV(poll_for(ep, POLLIN, -1));
    took("waited", start, 30);
    V(child_status(p));
}

CHECK(inner_closed)
{
    int in = epoll_create1(0), out = epoll_create1(0), sv[2];

    tcp_pair(sv);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    ctl(in, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    ctl(out, EPOLL_CTL_ADD, in, EPOLLIN);
    wait_show("ready", out, 0);
    R(close(in));
    wait_show("closed", out, 0);
}
