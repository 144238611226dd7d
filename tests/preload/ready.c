/* ready.c: poll, select and epoll against hostile use: every state through all three, arguments at their
 * limits, duplicated and closed descriptors in sets, edges one by one, descriptors of the kernel beside. */
#include "check.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define ALL                                                                                                  \
    (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLWRNORM | EPOLLRDBAND | EPOLLWRBAND)

static void ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = 0x1234567800000000ull | (unsigned)fd};
    char what[64];

    errno = 0;
    snprintf(what, sizeof(what), "%s %#x",
             op == EPOLL_CTL_ADD   ? "add"
             : op == EPOLL_CTL_MOD ? "mod"
             : op == EPOLL_CTL_DEL ? "del"
                                   : "op",
             events);
    check_rc(what, epoll_ctl(ep, op, fd, &ev));
}

/* What the set has now, by descriptor; waits until it has something or ms are over. */
static void got(const char *what, int ep, int max, int ms)
{
    struct epoll_event ev[16];
    int n = epoll_wait(ep, ev, max, ms);

    show(what, "%d", n < 0 ? -errno : n);
    for (int i = 0; i < n; i++)
        show_events("  event", ev[i].events);
}

/* --- epoll: arguments --- */

CHECK(control_arguments)
{
    int ep = epoll_create1(0), s = tcp4(), u = udp4(), p[2], f = open("/proc/self/exe", O_RDONLY);
    struct epoll_event ev = {.events = EPOLLIN};

    NEED(pipe(p) == 0);
    R(epoll_ctl(-1, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(200, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(p[0], EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(s, EPOLL_CTL_ADD, ep, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, 200, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, f, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, dup(ep), &ev));
    R(epoll_ctl(ep, 0, s, &ev));
    R(epoll_ctl(ep, 4, s, &ev));
    R(epoll_ctl(ep, -1, s, &ev));
    R(epoll_ctl(ep, 77, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, (void *)1));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, (void *)1));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, u, &ev));
    close(u);
    R(epoll_ctl(ep, EPOLL_CTL_DEL, u, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, u, &ev));
    ctl(ep, EPOLL_CTL_ADD, s, 0);
    ctl(ep, EPOLL_CTL_MOD, s, ~0u & ~(uint32_t)EPOLLEXCLUSIVE);
    ctl(ep, EPOLL_CTL_MOD, s, ~0u);
}

CHECK(wait_arguments)
{
    int ep = epoll_create1(0), s = tcp4(), p[2];
    static struct epoll_event ev[4]; /* not on the stack, 2 GiB behind which addresses may end */
    struct timespec zero = {0, 0}, bad = {0, 1000000000}, neg = {-1, 0}, one = {0, 1000000};
    struct rlimit lim;
    sigset_t m;

    sigemptyset(&m);
    NEED(pipe(p) == 0 && getrlimit(RLIMIT_NOFILE, &lim) == 0);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLOUT);
    R(epoll_wait(ep, ev, 0, 0));
    R(epoll_wait(ep, ev, -1, 0));
    R(epoll_wait(ep, ev, INT32_MAX, 0));
    R(epoll_wait(ep, ev, INT32_MAX / 12, 0));
    R(epoll_wait(ep, ev, INT32_MAX / 12 + 1, 0));
    R(epoll_wait(ep, NULL, 1, 0));
    R(epoll_wait(ep, (void *)1, 1, 0));
    R(epoll_wait(ep, (void *)-4096, 1, 0));
    R(epoll_wait(ep, (void *)-4096, 0, 0));
    R(epoll_wait(p[0], ev, 1, 0));
    R(epoll_wait(s, ev, 1, 0));
    R(epoll_wait(s, ev, 0, 0));
    R(epoll_wait(200, ev, 1, 0));
    R(epoll_wait(200, ev, 0, 0));
    R(epoll_wait(200, NULL, 1, 0));
    R(epoll_wait(ep, ev, 4, -1));
    R(epoll_wait(ep, ev, 4, -100));
    R(epoll_pwait(ep, ev, 4, 0, &m));
    R(epoll_pwait(ep, ev, 4, 0, (void *)1));
    R(epoll_pwait2(ep, ev, 4, &zero, NULL));
    R(epoll_pwait2(ep, ev, 4, NULL, NULL));
    R(epoll_pwait2(ep, ev, 4, &bad, NULL));
    R(epoll_pwait2(ep, ev, 4, &neg, NULL));
    R(epoll_pwait2(ep, ev, 4, (void *)1, NULL));
    R(epoll_pwait2(ep, ev, 0, &zero, NULL));
    R(epoll_pwait2(s, ev, 4, &zero, NULL));
    R(epoll_pwait2(ep, ev, 4, &zero, (void *)1));
    ctl(ep, EPOLL_CTL_MOD, s, 0);
    R(epoll_wait(ep, ev, 4, 1));
    ctl(ep, EPOLL_CTL_DEL, s, 0);
    R(epoll_wait(ep, NULL, 4, 1));
    R(epoll_wait(ep, (void *)1, 4, 1));
    R(epoll_pwait2(ep, ev, 4, &one, NULL));
    R(epoll_wait(ep, ev, 4, 1));
    R(syscall(SYS_epoll_pwait, ep, ev, 4, 1, &m, 7));
    R(syscall(SYS_epoll_pwait, ep, ev, 4, 1, &m, 8));
    R(syscall(SYS_epoll_pwait, ep, ev, 4, 1, NULL, 0));
}

CHECK(exclusive_rules)
{
    int ep = epoll_create1(0), s = tcp4(), in = epoll_create1(0);

    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI);
    ctl(ep, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLEXCLUSIVE);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET | EPOLLEXCLUSIVE);
    ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN);
    ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLEXCLUSIVE);
    ctl(ep, EPOLL_CTL_DEL, s, 0);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN);
    ctl(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLEXCLUSIVE);
    ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE);
}

/* --- epoll: edges --- */

CHECK(edges_of_input)
{
    int sv[2], ep = epoll_create1(0);
    char b[16];

    tcp_pair_nb(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLIN | EPOLLET);
    got("quiet", ep, 4, 0);
    NEED(send(sv[0], "abc", 3, 0) == 3);
    got("data", ep, 4, 500);
    got("again", ep, 4, 3);
    NEED(recv(sv[1], b, 1, 0) == 1);
    got("partly read", ep, 4, 3);
    NEED(send(sv[0], "d", 1, 0) == 1);
    got("more data", ep, 4, 500);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN | EPOLLET);
    got("modified with data there", ep, 4, 3);
    NEED(recv(sv[1], b, sizeof(b), 0) == 3);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN | EPOLLET);
    got("modified, empty", ep, 4, 3);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN | EPOLLOUT | EPOLLET);
    got("output asked for", ep, 4, 3);
    got("output again", ep, 4, 3);
    NEED(send(sv[0], "e", 1, 0) == 1);
    got("data, and output with it", ep, 4, 500);
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    got("end of stream", ep, 4, 500);
    got("end of stream again", ep, 4, 3);
}

CHECK(edges_of_output)
{
    int sv[2], ep = epoll_create1(0);
    static char b[1 << 20];

    tcp_pair_nb(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[0], EPOLLOUT | EPOLLET);
    got("room", ep, 4, 0);
    got("room again", ep, 4, 3);
    NEED(send(sv[0], "x", 1, 0) == 1 && settle_bytes(sv[1], 1));
    nap(2);
    got("after a byte and its ACK", ep, 4, 3);
    fill(sv[0]);
    got("full", ep, 4, 3);
    while (poll_for(sv[1], POLLIN, 30))
        NEED(recv(sv[1], b, sizeof(b), 0) > 0);
    got("room came", ep, 4, 500);
    got("room came again", ep, 4, 3);
}

CHECK(edges_of_a_datagram)
{
    int sv[2], ep = epoll_create1(0);
    char b[16];

    udp_pair(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLIN | EPOLLET);
    NEED(send(sv[0], "1", 1, 0) == 1);
    got("one", ep, 4, 500);
    NEED(send(sv[0], "2", 1, 0) == 1);
    got("two", ep, 4, 500);
    NEED(recv(sv[1], b, sizeof(b), 0) == 1);
    got("one read", ep, 4, 3);
    NEED(recv(sv[1], b, sizeof(b), 0) == 1);
    got("both read", ep, 4, 3);
    close(sv[0]);
    NEED(send(sv[1], "3", 1, 0) == 1);
    got("refused", ep, 4, 500);
    got("refused again", ep, 4, 3);
    SOERR(sv[1]);
    got("error taken", ep, 4, 3);
}

CHECK(edges_of_a_listener)
{
    struct sockaddr_in a;
    int l = listen4(&a), ep = epoll_create1(0), c[3];

    ctl(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLET);
    for (int i = 0; i < 3; i++) {
        c[i] = tcp4();
        NEED(connect(c[i], SA(a)) == 0);
        got("connection", ep, 4, 500);
        got("again", ep, 4, 3);
    }
    FD(accept(l, NULL, NULL));
    got("one taken", ep, 4, 3);
    NEED(shutdown(l, SHUT_RD) == 0);
    got("shut down", ep, 4, 500);
}

CHECK(oneshot_arms)
{
    int sv[2], ep = epoll_create1(0);

    tcp_pair_nb(sv);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLIN | EPOLLOUT | EPOLLONESHOT);
    got("first", ep, 4, 0);
    got("second", ep, 4, 3);
    NEED(send(sv[0], "abc", 3, 0) == 3 && settle_bytes(sv[1], 3));
    got("data", ep, 4, 3);
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    nap(2);
    got("end", ep, 4, 3);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN | EPOLLONESHOT | EPOLLRDHUP);
    got("armed", ep, 4, 100);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLIN);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLONESHOT);
    got("armed for nothing", ep, 4, 3);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN | EPOLLONESHOT | EPOLLET);
    got("armed, edge", ep, 4, 100);
    got("again", ep, 4, 3);
}

/* The order of events with an array too small: those who were reported go to the end. */
CHECK(rotation)
{
    int sv[5][2], ep = epoll_create1(0);
    struct epoll_event ev[2];

    for (int i = 0; i < 5; i++) {
        tcp_pair_nb(sv[i]);
        NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[i][1],
                       &(struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)i}) == 0);
    }
    for (int i = 0; i < 5; i++) {
        NEED(send(sv[i][0], "x", 1, 0) == 1 && settle_bytes(sv[i][1], 1));
        nap(1);
    }
    for (int i = 0; i < 8; i++) {
        int n = epoll_wait(ep, ev, 2, 100);

        show("events", "%d: %u %u", n, n > 0 ? ev[0].data.u32 : 99, n > 1 ? ev[1].data.u32 : 99);
        if (i == 3)
            NEED(recv(sv[2][1], (char[1]){0}, 1, 0) == 1);
    }
}

/* --- epoll: registrations and descriptors --- */

CHECK(duplicates)
{
    int sv[2], ep = epoll_create1(0), d, d2, ep2;

    tcp_pair_nb(sv);
    d = dup(sv[1]);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLOUT);
    ctl(ep, EPOLL_CTL_ADD, d, EPOLLOUT | EPOLLET);
    got("both", ep, 4, 0);
    got("level alone", ep, 4, 0);
    close(sv[1]);
    got("a closed number, alive by its duplicate", ep, 4, 0);
    ctl(ep, EPOLL_CTL_DEL, sv[1], 0);
    ctl(ep, EPOLL_CTL_MOD, sv[1], EPOLLIN);
    d2 = dup(d);
    show("the number is used again", "%d", d2 == sv[1]);
    ctl(ep, EPOLL_CTL_MOD, d2, EPOLLIN);
    ctl(ep, EPOLL_CTL_ADD, d2, EPOLLIN);
    ctl(ep, EPOLL_CTL_DEL, d2, 0);
    got("edge alone, told already", ep, 4, 0);
    ep2 = dup(ep);
    ctl(ep2, EPOLL_CTL_ADD, d2, EPOLLOUT);
    close(ep);
    got("by the set's duplicate", ep2, 4, 0);
    close(d);
    close(d2);
    got("all closed", ep2, 4, 0);
}

CHECK(another_socket_on_the_number)
{
    int sv[2], ep = epoll_create1(0), u = udp4(), d, n;

    tcp_pair_nb(sv);
    n = sv[1];
    d = dup(n);
    ctl(ep, EPOLL_CTL_ADD, n, EPOLLOUT);
    NEED(dup2(u, n) == n);
    got("the first socket still", ep, 4, 0);
    ctl(ep, EPOLL_CTL_MOD, n, EPOLLIN);
    ctl(ep, EPOLL_CTL_DEL, n, 0);
    ctl(ep, EPOLL_CTL_ADD, n, EPOLLOUT | EPOLLET);
    got("two of one number", ep, 4, 0);
    NEED(dup2(d, n) == n);
    ctl(ep, EPOLL_CTL_DEL, n, 0);
    got("one of them", ep, 4, 0);
    close(d);
    close(n);
    got("after close", ep, 4, 0);
    close(u);
    got("after the last close", ep, 4, 0);
}

CHECK(many_sets)
{
    int sv[2], ep[12];

    tcp_pair_nb(sv);
    for (int i = 0; i < 12; i++) {
        ep[i] = epoll_create1(0);
        NEED(epoll_ctl(ep[i], EPOLL_CTL_ADD, sv[1],
                       &(struct epoll_event){.events = EPOLLIN | (i & 1 ? EPOLLET : 0)}) == 0);
    }
    NEED(send(sv[0], "x", 1, 0) == 1 && settle_bytes(sv[1], 1));
    for (int i = 0; i < 12; i++)
        got("set", ep[i], 4, 100);
    NEED(recv(sv[1], (char[1]){0}, 1, 0) == 1);
    for (int i = 0; i < 12; i++)
        got("set, read", ep[i], 4, 0);
}

CHECK(nested_sets)
{
    int sv[2], in = epoll_create1(0), out = epoll_create1(0), top = epoll_create1(0);
    fd_set r;
    struct timeval tv = {0, 0};

    tcp_pair_nb(sv);
    ctl(in, EPOLL_CTL_ADD, sv[1], EPOLLIN);
    ctl(out, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLOUT | EPOLLET);
    ctl(top, EPOLL_CTL_ADD, out, EPOLLIN);
    ctl(in, EPOLL_CTL_ADD, top, EPOLLIN);
    ctl(in, EPOLL_CTL_ADD, out, EPOLLIN);
    got("empty", top, 4, 0);
    EV(poll_for(top, ALL, 0));
    NEED(send(sv[0], "x", 1, 0) == 1 && settle_bytes(sv[1], 1));
    EV(poll_for(top, ALL, 100));
    EV(poll_for(out, ALL, 0));
    EV(poll_for(in, ALL, 0));
    FD_ZERO(&r);
    FD_SET(top, &r);
    R(select(top + 1, &r, NULL, NULL, &tv));
    got("top", top, 4, 0);
    got("middle, edge", out, 4, 0);
    got("middle, again", out, 4, 0);
    got("top, middle told already", top, 4, 0);
    got("bottom", in, 4, 0);
    NEED(recv(sv[1], (char[1]){0}, 1, 0) == 1);
    got("bottom, read", in, 4, 0);
    EV(poll_for(top, ALL, 0));
}

CHECK(loops)
{
    int e[8];

    for (int i = 0; i < 8; i++)
        e[i] = epoll_create1(0);
    for (int i = 0; i < 7; i++)
        ctl(e[i], EPOLL_CTL_ADD, e[i + 1], EPOLLIN);
    ctl(e[1], EPOLL_CTL_ADD, e[0], EPOLLIN);
    ctl(e[3], EPOLL_CTL_ADD, e[0], EPOLLIN);
}

CHECK(set_across_fork)
{
    int sv[2], ep = epoll_create1(0), p[2];
    pid_t pid;
    char b = 0;

    tcp_pair_nb(sv);
    NEED(pipe(p) == 0);
    ctl(ep, EPOLL_CTL_ADD, sv[1], EPOLLIN);
    pid = fork_tied();
    if (pid == 0) {
        struct epoll_event ev;

        close(sv[1]); /* the parent's number keeps the registration */
        if (epoll_wait(ep, &ev, 1, 1000) != 1)
            _exit(1);
        if (epoll_ctl(ep, EPOLL_CTL_DEL, sv[1], NULL) == 0 || errno != EBADF)
            _exit(2);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLIN}) < 0)
            _exit(3);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &(struct epoll_event){.events = EPOLLOUT | EPOLLET}) < 0)
            _exit(4);
        _exit(0);
    }
    NEED(send(sv[0], "x", 1, 0) == 1);
    V(child_status(pid));
    got("what the child added, too", ep, 4, 100);
    NEED(recv(sv[1], &b, 1, 0) == 1);
    got("read", ep, 4, 3);
    NEED(write(p[1], "y", 1) == 1);
    got("the pipe that the child added", ep, 4, 100);
    ctl(ep, EPOLL_CTL_DEL, p[0], 0);
    ctl(ep, EPOLL_CTL_DEL, sv[0], 0);
    ctl(ep, EPOLL_CTL_DEL, sv[1], 0);
}

/* --- descriptors of the kernel beside --- */

static int ready_kernel_fd(int kind)
{
    int p[2], fd = -1;
    sigset_t m;
    struct itimerspec it = {{0, 0}, {0, 1}};

    switch (kind) {
    case 0:
        NEED(pipe(p) == 0 && write(p[1], "x", 1) == 1);
        return p[0];
    case 1:
        NEED(pipe(p) == 0);
        return p[1];
    case 2:
        return eventfd(1, 0);
    case 3:
        fd = timerfd_create(CLOCK_MONOTONIC, 0);
        NEED(timerfd_settime(fd, 0, &it, NULL) == 0);
        nap(1);
        return fd;
    case 4:
        sigemptyset(&m);
        sigaddset(&m, SIGUSR1);
        sigprocmask(SIG_BLOCK, &m, NULL);
        raise(SIGUSR1);
        return signalfd(-1, &m, 0);
    case 5:
        fd = inotify_init1(0);
        NEED(inotify_add_watch(fd, "/tmp", IN_ATTRIB) >= 0);
        NEED(pipe(p) == 0);
        return fd;
    case 6:
        fd = posix_openpt(O_RDWR | O_NOCTTY);
        NEED(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0);
        return fd;
    case 7:
        NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && write(p[1], "x", 1) == 1);
        return p[0];
    case 8:
        NEED(pipe(p) == 0);
        close(p[1]);
        return p[0];
    case 9:
        NEED(pipe(p) == 0);
        close(p[0]);
        return p[1];
    case 10:
        return open("/dev/null", O_RDWR);
    default:
        return open("/proc/self/mounts", O_RDONLY);
    }
}

CHECK(kinds_beside_a_socket)
{
    for (int kind = 0; kind < 12; kind++) {
        int sv[2], k = ready_kernel_fd(kind), ep = epoll_create1(0);
        struct pollfd p[3];
        struct timeval tv = {0, 0};
        fd_set r, w, x;
        char what[32];

        NEED(k >= 0);
        tcp_pair_nb(sv);
        snprintf(what, sizeof(what), "kind %d", kind);
        NEED(send(sv[0], "x", 1, 0) == 1 && settle(sv[1], POLLIN));
        p[0] = (struct pollfd){k, ALL, 0};
        p[1] = (struct pollfd){sv[1], ALL, 0};
        p[2] = (struct pollfd){k, POLLPRI, 0};
        show(what, "poll %d", poll(p, 3, 100));
        EV(p[0].revents);
        EV(p[1].revents);
        EV(p[2].revents);
        FD_ZERO(&r);
        FD_SET(k, &r);
        FD_SET(sv[1], &r);
        w = x = r;
        show(what, "select %d", select((k > sv[1] ? k : sv[1]) + 1, &r, &w, &x, &tv));
        show(what, "%d %d %d, %d %d %d", FD_ISSET(k, &r), FD_ISSET(k, &w), FD_ISSET(k, &x),
             FD_ISSET(sv[1], &r), FD_ISSET(sv[1], &w), FD_ISSET(sv[1], &x));
        ctl(ep, EPOLL_CTL_ADD, sv[1], ALL);
        ctl(ep, EPOLL_CTL_ADD, k, ALL);
        if (epoll_ctl(ep, EPOLL_CTL_DEL, sv[1], NULL) == 0)
            got("the kernel's alone", ep, 4, 0);
        close(sv[0]);
        close(sv[1]);
        close(k);
    }
}

/* --- poll --- */

CHECK(poll_arguments)
{
    int s = tcp4(), u = udp4();
    struct rlimit lim, low = {64, 64};
    static struct pollfd p[2000];
    struct timespec bad = {0, -1}, neg = {-1, 0}, one = {0, 1000000};
    sigset_t m;

    sigemptyset(&m);
    for (int i = 0; i < 2000; i++)
        p[i] = (struct pollfd){i % 2 ? s : u, POLLOUT, 0};
    NEED(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    low.rlim_max = lim.rlim_max;
    R(poll(p, 2000, 0));
    NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
    R(poll(p, 64, 0));
    R(poll(p, 65, 0));
    R(poll(p, 2000, 0));
    R(poll(p, (nfds_t)-1, 0));
    R(poll(NULL, 65, 0));
    NEED(setrlimit(RLIMIT_NOFILE, &lim) == 0);
    R(poll(NULL, 1, 0));
    R(poll((void *)1, 1, 0));
    R(poll(p, 1, -7));
    R(ppoll(p, 1, &bad, NULL));
    R(ppoll(p, 1, &neg, NULL));
    R(ppoll(p, 1, NULL, (void *)1));
    R(ppoll(p, 1, NULL, NULL));
    p[0].events = 0;
    R(ppoll(p, 1, &one, &m));
    V(one.tv_nsec);
    R(syscall(SYS_ppoll, p, 1, &one, &m, 7));
    R(syscall(SYS_ppoll, p, 1, &one, &m, 8));
    V(one.tv_nsec);
    R(syscall(SYS_ppoll, p, 1, (void *)1, NULL, 0));
    p[0].events = POLLOUT;
    one = (struct timespec){5, 0};
    R(syscall(SYS_ppoll, p, 2, &one, NULL, 0));
    V(one.tv_sec == 4 && one.tv_nsec > 900000000);
}

static void bits_of(const char *what, int fd)
{
    static const short asked[] = {0,          POLLIN,     POLLOUT,    POLLPRI,       POLLRDHUP,
                                  POLLRDNORM, POLLWRNORM, POLLRDBAND, POLLWRBAND,    POLLMSG,
                                  POLLERR,    POLLHUP,    POLLNVAL,   (short)0x8000, -1};

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct pollfd p = {fd, asked[i], 0x1111};
        int n = poll(&p, 1, 0);

        show(what, "%#x: %d %#x", (unsigned short)asked[i], n, (unsigned short)p.revents);
    }
}

CHECK(poll_bits)
{
    int sv[2], s = tcp4(), u = udp4(), r = socket(AF_INET, SOCK_RAW, 253), l;
    struct sockaddr_in a;

    bits_of("fresh", s);
    bits_of("udp", u);
    bits_of("raw", r);
    l = listen4(&a);
    bits_of("listener", l);
    NEED(connect(s, SA(a)) == 0 && settle(l, POLLIN));
    bits_of("listener with one", l);
    bits_of("connected", s);
    tcp_pair(sv);
    NEED(send(sv[0], "x", 1, 0) == 1 && settle(sv[1], POLLIN));
    NEED(send(sv[0], "y", 1, MSG_OOB) == 1 && settle(sv[1], POLLPRI));
    bits_of("urgent", sv[1]);
    bits_of("epoll", epoll_create1(0));
    udp_pair(sv);
    close(sv[1]);
    NEED(send(sv[0], "x", 1, 0) == 1 && settle(sv[0], POLLERR));
    bits_of("udp refused", sv[0]);
    SOERR(sv[0]);
    NEED(shutdown(sv[0], SHUT_RD) == 0);
    bits_of("udp shut rd", sv[0]);
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    bits_of("udp shut", sv[0]);
}

/* --- select --- */

static unsigned long words[64];

static long sel(int n, unsigned long *r, unsigned long *w, unsigned long *x, struct timeval *tv)
{
    return select(n, (fd_set *)r, (fd_set *)w, (fd_set *)x, tv);
}

CHECK(select_arguments)
{
    int s = tcp4(), hi;
    struct timeval zero = {0, 0}, neg = {0, -1}, neg2 = {-1, 0}, carry = {0, 3000000}, one = {0, 1000};
    struct timespec ts = {0, 1000000000}, ts1 = {0, 1000000};

    NEED(dup2(s, 70) == 70);
    hi = 70;
    words[hi / 64] |= 1ul << hi % 64;
    R(sel(-1, words, NULL, NULL, &zero));
    R(sel(0, words, NULL, NULL, &zero));
    R(sel(70, words, NULL, NULL, &zero));
    show("left as it was", "%#lx %#lx", words[0], words[1]);
    R(sel(71, words, NULL, NULL, &neg));
    R(sel(71, words, NULL, NULL, &neg2));
    R(sel(71, words, NULL, NULL, (void *)1));
    show("left as it was", "%#lx %#lx", words[0], words[1]);
    R(sel(71, (void *)8, NULL, NULL, &zero));
    R(sel(71, NULL, words, NULL, &carry));
    show("carried", "%d", carry.tv_sec == 2 && carry.tv_usec > 500000);
    show("set", "%#lx %#lx", words[0], words[1]);
    words[1] |= 1ul << 40;
    R(sel(200, NULL, words, NULL, &zero));
    show("a closed one is EBADF, sets stay", "%#lx %#lx", words[0], words[1]);
    R(sel(100, NULL, words, NULL, &zero));
    show("beyond n is not looked at; the word is", "%#lx %#lx", words[0], words[1]);
    words[1] = 1ul << 6;
    R(sel(1 << 30, NULL, words, NULL, &zero));
    R(pselect(71, (fd_set *)words, NULL, NULL, &ts, NULL));
    R(pselect(71, (fd_set *)words, NULL, NULL, &ts1, (void *)1));
    words[1] = 1ul << 6;
    R(pselect(71, NULL, NULL, (fd_set *)words, &ts1, NULL));
    V(ts1.tv_nsec);
    show("set", "%#lx %#lx", words[0], words[1]);
    words[1] = 1ul << 6;
    R(sel(71, NULL, NULL, words, &one));
    show("time", "%ld %ld", (long)one.tv_sec, (long)one.tv_usec);
    words[1] = 1ul << 6;
    R(sel(71, words, words, words, &zero));
    show("one set for all three", "%#lx %#lx", words[0], words[1]);
}

CHECK(select_interrupted)
{
    int sv[2];
    struct timeval tv = {1, 0};

    tcp_pair(sv);
    NEED(dup2(sv[0], 70) == 70);
    words[0] = 0;
    words[1] = 1ul << 6;
    on_signal(SIGALRM, SA_RESTART);
    alarm_ms(10, 0);
    R(sel(71, words, NULL, NULL, &tv));
    show("sets stay", "%#lx %#lx", words[0], words[1]);
    show("time left", "%d", tv.tv_sec == 0 && tv.tv_usec > 500000);
}
