/* epoll.c: sets of sockets: errnos, level, edge and one-shot, changes while registered, close and dup. */
#include "check.h"

#include <sys/eventfd.h>

static int ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)fd};

    return epoll_ctl(ep, op, fd, &ev);
}

/* Prints the events that one epoll_wait gives, in the order of the descriptors, as "fd-base:bits". */
static int wait_show(const char *what, int ep, int ms)
{
    struct epoll_event ev[16];
    int n = epoll_wait(ep, ev, 16, ms);

    show(what, "%d", n);
    for (int fd = 0; fd < CHECK_MAX_FD; fd++)
        for (int i = 0; i < n; i++)
            if (ev[i].data.u64 == (uint64_t)fd)
                show_events("  event", ev[i].events);
    return n;
}

CHECK(create)
{
    int e = FD(epoll_create(1));

    R(fcntl(e, F_GETFD));
    R(epoll_create(0));
    R(epoll_create(-1));
    e = FD(epoll_create1(EPOLL_CLOEXEC));
    R(fcntl(e, F_GETFD));
    R(epoll_create1(EPOLL_CLOEXEC + 1));
    V(fcntl(e, F_GETFL) == O_RDWR);
}

CHECK(errnos)
{
    int ep = epoll_create1(0), s = tcp4(), f = open("/proc/self/exe", O_RDONLY);
    struct epoll_event ev = {.events = EPOLLIN};

    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, 200, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, 200, &ev));
    R(epoll_ctl(200, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(s, EPOLL_CTL_ADD, ep, &ev));
    R(epoll_ctl(s, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(f, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(ep, 77, s, &ev));
    R(epoll_wait(ep, &ev, 0, 0));
    R(epoll_wait(ep, &ev, -1, 0));
    R(epoll_wait(s, &ev, 1, 0));
    R(epoll_wait(f, &ev, 1, 0));
    R(epoll_wait(200, &ev, 1, 0));
}

CHECK(states)
{
    int ep = epoll_create1(0), s = tcp4(), u = udp4(), l, sv[2];
    const uint32_t all = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
    struct sockaddr_in a;

    ctl(ep, EPOLL_CTL_ADD, s, all);
    wait_show("fresh stream", ep, 0);
    ctl(ep, EPOLL_CTL_DEL, s, 0);
    ctl(ep, EPOLL_CTL_ADD, u, all);
    wait_show("fresh datagram", ep, 0);
    ctl(ep, EPOLL_CTL_DEL, u, 0);
    l = listen4(&a);
    ctl(ep, EPOLL_CTL_ADD, l, all);
    wait_show("listening", ep, 0);
    NEED(connect(s, SA(a)) == 0);
    wait_show("to accept", ep, SETTLE_MS);
    ctl(ep, EPOLL_CTL_DEL, l, 0);
    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], all);
    wait_show("connected", ep, 0);
    ctl(ep, EPOLL_CTL_MOD, sv[0], 0);
    wait_show("no interest", ep, 0);
    close(sv[1]);
    ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLRDHUP);
    wait_show("peer closed", ep, SETTLE_MS);
    ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLIN);
    wait_show("peer closed, in", ep, SETTLE_MS);
}

CHECK(level)
{
    int ep = epoll_create1(0), sv[2];
    char b[4];

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    wait_show("nothing", ep, 0);
    NEED(send(sv[1], "abcd", 4, 0) == 4);
    wait_show("data", ep, SETTLE_MS);
    wait_show("still", ep, 0);
    NEED(settle_bytes(sv[0], 4) && recv(sv[0], b, 2, 0) == 2);
    wait_show("half read", ep, 0);
    NEED(recv(sv[0], b, 2, 0) == 2);
    wait_show("all read", ep, 0);
    wait_show("all read", ep, QUIET_MS);
}

CHECK(edge)
{
    int ep = epoll_create1(0), sv[2];
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[1], "ab", 2, 0) == 2 && settle_bytes(sv[0], 2));
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN | EPOLLET);
    wait_show("data at registration", ep, 0);
    wait_show("no new edge", ep, QUIET_MS);
    NEED(recv(sv[0], b, 1, 0) == 1);
    wait_show("partly read", ep, QUIET_MS);
    NEED(send(sv[1], "cd", 2, 0) == 2);
    wait_show("more data", ep, SETTLE_MS);
    wait_show("no new edge", ep, QUIET_MS);
    NEED(settle_bytes(sv[0], 3) && recv(sv[0], b, 8, 0) == 3);
    wait_show("read empty", ep, QUIET_MS);
    ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLIN | EPOLLOUT | EPOLLET);
    wait_show("modified", ep, 0);
    wait_show("no new edge", ep, 0);
    NEED(send(sv[1], "e", 1, 0) == 1);
    wait_show("data, and what else is", ep, SETTLE_MS);
    ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLIN | EPOLLET);
    wait_show("modified with data", ep, 0);
    close(sv[1]);
    wait_show("end", ep, SETTLE_MS);
}

CHECK(edge_out)
{
    int ep = epoll_create1(0), sv[2];
    static char b[1 << 16];

    tcp_pair_nb(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLOUT | EPOLLET);
    wait_show("writable", ep, 0);
    wait_show("no new edge", ep, QUIET_MS);
    fill(sv[0]);
    while (epoll_wait(ep, &(struct epoll_event){0}, 1, 0) > 0)
        ; /* edges of while it was filled */
    while (poll_for(sv[1], POLLIN, 50))
        NEED(recv(sv[1], b, sizeof(b), 0) > 0);
    wait_show("room again", ep, SETTLE_MS);
}

CHECK(oneshot)
{
    int ep = epoll_create1(0), sv[2];
    char b[8];

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN | EPOLLONESHOT);
    NEED(send(sv[1], "ab", 2, 0) == 2);
    wait_show("once", ep, SETTLE_MS);
    wait_show("disabled", ep, 0);
    NEED(send(sv[1], "cd", 2, 0) == 2 && settle_bytes(sv[0], 4));
    wait_show("disabled", ep, QUIET_MS);
    R(ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN));
    R(ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLIN | EPOLLONESHOT));
    wait_show("armed again", ep, SETTLE_MS);
    NEED(recv(sv[0], b, 8, 0) == 4);
    close(sv[1]);
    NEED(settle(sv[0], POLLIN));
    wait_show("disabled, even for the end", ep, QUIET_MS);
}

CHECK(rdhup)
{
    int ep = epoll_create1(0), sv[2];

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN | EPOLLRDHUP | EPOLLET);
    shutdown(sv[1], SHUT_WR);
    wait_show("peer's FIN", ep, SETTLE_MS);
    shutdown(sv[0], SHUT_WR);
    wait_show("both", ep, SETTLE_MS);
}

CHECK(reset)
{
    int ep = epoll_create1(0), sv[2];
    struct linger lg = {1, 0};

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], 0);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    close(sv[1]);
    wait_show("no interest, reset", ep, SETTLE_MS);
}

CHECK(close_removes)
{
    int ep = epoll_create1(0), sv[2];

    tcp_pair(sv);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    close(sv[0]);
    wait_show("closed", ep, QUIET_MS);
    R(ctl(ep, EPOLL_CTL_DEL, sv[0], 0));
}

/* A registration belongs to the open file: it stays while a dup lives, and then can't be reached by the old
 * number. */
CHECK(close_with_dup)
{
    int ep = epoll_create1(0), sv[2], d;

    tcp_pair(sv);
    d = dup(sv[0]);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    close(sv[0]);
    NEED(send(sv[1], "x", 1, 0) == 1);
    wait_show("one of two closed", ep, SETTLE_MS);
    R(ctl(ep, EPOLL_CTL_MOD, sv[0], EPOLLIN));
    R(ctl(ep, EPOLL_CTL_DEL, d, 0));
    close(d);
    wait_show("both closed", ep, QUIET_MS);
}

CHECK(dup_registers_apart)
{
    int ep = epoll_create1(0), sv[2], d;

    tcp_pair(sv);
    d = dup(sv[0]);
    R(ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN));
    R(ctl(ep, EPOLL_CTL_ADD, d, EPOLLIN));
    R(ctl(ep, EPOLL_CTL_ADD, d, EPOLLIN));
    NEED(send(sv[1], "x", 1, 0) == 1);
    NEED(settle(d, POLLIN));
    wait_show("both", ep, SETTLE_MS);
    R(ctl(ep, EPOLL_CTL_DEL, sv[0], 0));
    wait_show("one", ep, 0);
}

CHECK(number_reused)
{
    int ep = epoll_create1(0), sv[2], s;

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    close(sv[0]);
    s = dup2(udp4(), sv[0]);
    R(ctl(ep, EPOLL_CTL_MOD, s, EPOLLOUT));
    R(ctl(ep, EPOLL_CTL_ADD, s, EPOLLOUT));
    wait_show("the new one", ep, 100);
}

CHECK(two_sets)
{
    int e1 = epoll_create1(0), e2 = epoll_create1(0), sv[2];

    tcp_pair(sv);
    R(ctl(e1, EPOLL_CTL_ADD, sv[0], EPOLLIN));
    R(ctl(e2, EPOLL_CTL_ADD, sv[0], EPOLLIN | EPOLLET));
    NEED(send(sv[1], "x", 1, 0) == 1);
    wait_show("first", e1, SETTLE_MS);
    wait_show("second", e2, SETTLE_MS);
    wait_show("first", e1, 0);
    wait_show("second", e2, 0);
    R(ctl(e1, EPOLL_CTL_DEL, sv[0], 0));
    NEED(send(sv[1], "y", 1, 0) == 1);
    wait_show("second", e2, SETTLE_MS);
}

CHECK(mixture)
{
    int ep = epoll_create1(0), sv[2], pf[2], ev = eventfd(0, 0);
    uint64_t one = 1;

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    R(ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN));
    R(ctl(ep, EPOLL_CTL_ADD, pf[0], EPOLLIN));
    R(ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLET));
    wait_show("none", ep, QUIET_MS);
    NEED(write(pf[1], "x", 1) == 1);
    wait_show("pipe", ep, SETTLE_MS);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    wait_show("pipe and socket", ep, SETTLE_MS);
    NEED(write(ev, &one, 8) == 8);
    wait_show("all", ep, SETTLE_MS);
    wait_show("without the edge", ep, SETTLE_MS);
    R(ctl(ep, EPOLL_CTL_DEL, pf[0], 0));
    wait_show("socket", ep, SETTLE_MS);
}

CHECK(woken)
{
    for (int kind = 0; kind < 2; kind++) {
        int ep = epoll_create1(0), sv[2], pf[2];
        long start = now_ms();
        pid_t p;

        tcp_pair(sv);
        NEED(pipe(pf) == 0);
        ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
        ctl(ep, EPOLL_CTL_ADD, pf[0], EPOLLIN);
        p = fork_tied();
        if (p == 0) {
            nap(30);
            _exit((kind ? write(pf[1], "x", 1) : send(sv[1], "x", 1, 0)) == 1 ? 0 : 1);
        }
        wait_show(kind ? "by the pipe" : "by the socket", ep, -1);
        took("waited", start, 30);
        V(child_status(p));
    }
}

CHECK(times)
{
    int ep = epoll_create1(0), sv[2];
    struct epoll_event ev;
    struct timespec ts = {0, 20000000};
    long start;

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    start = now_ms();
    R(epoll_wait(ep, &ev, 1, 20));
    took("epoll_wait", start, 20);
    start = now_ms();
    R(epoll_pwait(ep, &ev, 1, 20, NULL));
    took("epoll_pwait", start, 20);
    start = now_ms();
    R(epoll_pwait2(ep, &ev, 1, &ts, NULL));
    took("epoll_pwait2", start, 20);
    ts.tv_nsec = -1;
    R(epoll_pwait2(ep, &ev, 1, &ts, NULL));
}

CHECK(max_events_and_fairness)
{
    int ep = epoll_create1(0), sv[8][2], seen[8] = {0};
    struct epoll_event ev[3];

    for (int i = 0; i < 8; i++) {
        tcp_pair(sv[i]);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

        NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[i][0], &e) == 0);
        NEED(send(sv[i][1], "x", 1, 0) == 1 && settle(sv[i][0], POLLIN));
    }
    for (int k = 0; k < 3; k++) { /* level-triggered items rotate: three calls of three see all eight */
        int n = epoll_wait(ep, ev, 3, SETTLE_MS);

        V(n);
        for (int i = 0; i < n; i++)
            seen[ev[i].data.u32]++;
    }
    for (int i = 0; i < 8; i++)
        NEED(seen[i] >= 1);
    show("all seen", "yes");
}

CHECK(order_of_arrival)
{
    int ep = epoll_create1(0), sv[3][2];
    struct epoll_event ev[3];

    for (int i = 0; i < 3; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

        tcp_pair(sv[i]);
        NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[i][0], &e) == 0);
    }
    for (int i = 2; i >= 0; i--)
        NEED(send(sv[i][1], "x", 1, 0) == 1 && settle(sv[i][0], POLLIN));
    V(epoll_wait(ep, ev, 3, SETTLE_MS));
    show("order", "%u %u %u", ev[0].data.u32, ev[1].data.u32, ev[2].data.u32);
}

CHECK(data_is_kept)
{
    int ep = epoll_create1(0), s = udp4();
    struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = 0x1234567890abcdefULL}, got = {0};

    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(epoll_wait(ep, &got, 1, 100));
    V(got.data.u64 == 0x1234567890abcdefULL);
    ev.data.u64 = 42;
    R(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
    R(epoll_wait(ep, &got, 1, 100));
    V(got.data.u64);
}

CHECK(exclusive)
{
    int ep = epoll_create1(0);
    struct sockaddr_in a;
    int l = listen4(&a);

    R(ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE));
    R(ctl(ep, EPOLL_CTL_MOD, l, EPOLLIN));
    R(ctl(ep, EPOLL_CTL_DEL, l, 0));
    R(ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
    R(ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN));
    R(ctl(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLEXCLUSIVE));
}

CHECK(undecided_socket)
{
    struct sockaddr_in a;
    int ep = epoll_create1(0), l = listen4(&a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    R(ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT | EPOLLET));
    wait_show("before connect", ep, 0);
    R(connect(c, SA(a)));
    wait_show("connected", ep, SETTLE_MS);
    FD(accept(l, NULL, NULL));
}

CHECK(set_closed)
{
    int ep = epoll_create1(0), sv[2];

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    R(close(ep));
    R(epoll_wait(ep, &(struct epoll_event){0}, 1, 0));
    R(send(sv[1], "x", 1, 0));
    R(recv(sv[0], (char[1]){0}, 1, 0));
}

CHECK(masked_signal)
{
    int ep = epoll_create1(0), sv[2];
    struct epoll_event ev;
    sigset_t block, none;

    tcp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN);
    on_signal(SIGUSR1, SA_RESTART);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    kill(getpid(), SIGUSR1);
    R(epoll_wait(ep, &ev, 1, 10));
    R(epoll_pwait(ep, &ev, 1, 200, &none));
    V(check_signals);
    sigprocmask(SIG_BLOCK, NULL, &block);
    V(sigismember(&block, SIGUSR1));
}

/* One thread is both ends, with buffers so small that units are cut to fit the window: whoever is not ready
 * when epoll looks must be told when that changes. */
CHECK(small_buffers)
{
    static char block[16384];
    struct sockaddr_in a;
    int ep = epoll_create1(0), size = 4096, l = bound4(SOCK_STREAM, &a), c = tcp4(), s;
    long left = 262145, got = 0, end = now_ms() + 3000;
    struct epoll_event ev[2];

    R(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
    R(setsockopt(c, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    NEED(listen(l, 1) == 0 && connect(c, SA(a)) == 0 && (s = accept(l, NULL, NULL)) >= 0);
    ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN);
    while (got < 262145 && now_ms() < end) {
        int n = epoll_wait(ep, ev, 2, SETTLE_MS);

        for (int i = 0; i < n; i++) {
            bool out = ev[i].events & EPOLLOUT;
            size_t most = left < (long)sizeof(block) ? (size_t)left : sizeof(block);
            ssize_t r =
                out ? send(c, block, most, MSG_DONTWAIT) : recv(s, block, sizeof(block), MSG_DONTWAIT);

            if (r > 0 && out)
                left -= r;
            else if (r > 0)
                got += r;
            if (left == 0)
                ctl(ep, EPOLL_CTL_DEL, c, 0);
        }
    }
    V(got);
}

/* Two sets waited in by turns, a socket ready in each all the time: what comes by a pipe to the second one is
 * seen soon all the same. */
CHECK(two_sets_by_turns)
{
    struct epoll_event ev = {.events = EPOLLIN}, out[8];
    int sv[2][2], p[2][2], ep[2];
    bool seen = false;

    for (int i = 0; i < 2; i++) {
        tcp_pair(sv[i]);
        NEED(pipe(p[i]) == 0 && (ep[i] = epoll_create1(0)) >= 0);
        ev.data.u32 = 1;
        NEED(epoll_ctl(ep[i], EPOLL_CTL_ADD, sv[i][0], &ev) == 0);
        ev.data.u32 = 2;
        NEED(epoll_ctl(ep[i], EPOLL_CTL_ADD, p[i][0], &ev) == 0);
        NEED(send(sv[i][1], "x", 1, 0) == 1 && settle(sv[i][0], POLLIN));
    }
    for (int turn = 0; turn < 600 && !seen; turn++) {
        struct timespec until, now;

        if (turn == 100)
            NEED(write(p[1][1], "x", 1) == 1);
        for (int i = 0; i < 2; i++)
            for (int n = epoll_wait(ep[i], out, 8, -1); n > 0; n--)
                seen |= out[n - 1].data.u32 == 2;
        clock_gettime(CLOCK_MONOTONIC,
                      &until); /* busy with something else for longer than either wait takes */
        do
            clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - until.tv_sec) * 1000000000 + now.tv_nsec - until.tv_nsec < 100000);
    }
    V(seen);
}
