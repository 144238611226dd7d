/* limits.c: no descriptor number is free (RLIMIT_NOFILE). */
#include "check.h"

#include <sys/resource.h>

static struct rlimit before;

/* The soft limit becomes the lowest free number plus spare. */
static void leave_free(int spare)
{
    int low = dup(0);
    struct rlimit now;

    NEED(low > 0 && close(low) == 0);
    NEED(getrlimit(RLIMIT_NOFILE, &before) == 0);
    now = before;
    now.rlim_cur = (rlim_t)(low + spare);
    NEED(setrlimit(RLIMIT_NOFILE, &now) == 0);
}

static void as_before(void)
{
    NEED(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

CHECK(making)
{
    int s = tcp4(), top;

    leave_free(0);
    R(socket(AF_INET, SOCK_STREAM, 0));
    R(socket(AF_INET6, SOCK_DGRAM, 0));
    R(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    R(socket(AF_INET, SOCK_STREAM, 250));
    R(socket(AF_INET, 9, 0));
    R(socket(AF_INET, SOCK_STREAM | 0x100000, 0));
    R(socket(77, SOCK_STREAM, 0));
    R(dup(s));
    R(fcntl(s, F_DUPFD, 0));
    R(fcntl(s, F_DUPFD_CLOEXEC, 0));
    R(epoll_create1(0));
    top = sysconf(_SC_OPEN_MAX);
    R(fcntl(s, F_DUPFD, top));
    R(fcntl(s, F_DUPFD, top - 1) == -1);
    R(fcntl(s, F_DUPFD, -1));
    R(dup2(s, top));
    R(dup3(s, top, 0));
    R(dup2(s, s) == s);
    R(dup3(s, s, 0));
    R(dup2(s, -1));
    as_before();
    FD(socket(AF_INET, SOCK_STREAM, 0));
}

CHECK(limit_of_nothing)
{
    struct rlimit now;
    int s = tcp4();

    NEED(getrlimit(RLIMIT_NOFILE, &before) == 0);
    now = before;
    now.rlim_cur = 0;
    NEED(setrlimit(RLIMIT_NOFILE, &now) == 0);
    R(socket(AF_INET, SOCK_STREAM, 0));
    R(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    R(dup(s));
    as_before();
}

CHECK(one_number_left)
{
    int s = tcp4(), gap = dup(0), low;

    NEED(gap > 0);
    leave_free(0);
    close(gap);
    low = FD(socket(AF_INET, SOCK_STREAM, 0));
    V(low == gap);
    R(socket(AF_INET, SOCK_STREAM, 0));
    R(close(s));
    low = FD(dup(low));
    V(low == s);
    as_before();
}

CHECK(accept_with_a_queue)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s;

    NEED(connect(c, SA(a)) == 0);
    NEED(settle(l, POLLIN));
    leave_free(0);
    R(accept(l, NULL, NULL));
    R(accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    R(accept4(l, NULL, NULL, 1));
    R(accept(200, NULL, NULL));
    EV(poll_for(l, POLLIN, 0)); /* it stays in the queue */
    as_before();
    s = FD(accept(l, NULL, NULL));
    R(send(c, "x", 1, 0));
    R(recv(s, (char[2]){0}, 2, 0));
}

CHECK(accept_of_nothing)
{
    struct sockaddr_in a;
    int l = listen4(&a), p[2];

    NEED(pipe(p) == 0);
    leave_free(0);
    R(accept(l, NULL, NULL)); /* does not wait */
    NEED(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
    R(accept(l, NULL, NULL));
    R(accept4(l, NULL, NULL, 1));
    R(accept(p[0], NULL, NULL));
    as_before();
    R(accept(l, NULL, NULL));
}

CHECK(accept_on_what_does_not_listen)
{
    int s = tcp4(), u = udp4();

    leave_free(0);
    R(accept(s, NULL, NULL));
    R(accept(u, NULL, NULL));
    as_before();
    R(accept(s, NULL, NULL));
    R(accept(u, NULL, NULL));
}

CHECK(received_in_a_message)
{
    int un[2], sv[2], got;

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
    tcp_pair(sv);
    NEED(pass_fd(un[0], sv[0]) == 1 && pass_fd(un[0], sv[0]) == 1);
    leave_free(0);
    R(take_fd(un[1]));
    as_before();
    got = FD(take_fd(un[1]));
    R(send(got, "x", 1, 0));
}

CHECK(sent_in_a_message)
{
    int un[2], sv[2];

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
    tcp_pair(sv);
    leave_free(0);
    /* What this user has in messages anywhere counts against the limit too (unix(7)). */
    V(pass_fd(un[0], sv[0]) == 1 || errno == ETOOMANYREFS);
    as_before();
}
