/* kernel.c: what is the kernel's stays the kernel's: pipes, files, Unix sockets, descriptors passed, netlink,
 * eventfds. */
#include "check.h"

#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* An IP socket first, so that the stack is up while the rest runs. */
static void wake_the_stack(void)
{
    int sv[2];

    tcp_pair(sv);
    close(sv[0]);
    close(sv[1]);
}

CHECK(pipes)
{
    int p[2];
    char b[8];

    wake_the_stack();
    R(pipe(p));
    R(write(p[1], "pipe", 4));
    R(read(p[0], b, 8));
    R(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    R(read(p[0], b, 8));
    R(readv(p[0], &(struct iovec){b, 8}, 1));
    R(writev(p[1], &(struct iovec){"vec", 3}, 1));
    R(ioctl(p[0], FIONREAD, b));
    R(read(p[0], b, 8));
    R(send(p[1], "x", 1, 0));
    R(close(p[0]));
    R(write(p[1], "x", 1));
}

CHECK(files)
{
    int f = memfd_create("check", 0), d;
    char b[8];

    wake_the_stack();
    R(write(f, "0123456789", 10));
    R(lseek(f, 2, SEEK_SET));
    R(read(f, b, 3));
    TEXT(b, 3);
    d = dup(f);
    R(read(d, b, 2));
    TEXT(b, 2);
    V(lseek(f, 0, SEEK_CUR));
    V(dup2(f, 90));
    R(pread(90, b, 4, 1));
    TEXT(b, 4);
    R(fcntl(90, F_GETFD));
    R(close(90));
    R(read(90, b, 1));
}

CHECK(unix_streams)
{
    int sv[2];
    char b[8];

    wake_the_stack();
    R(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    R(send(sv[0], "unix", 4, 0));
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 4);
    R(shutdown(sv[0], SHUT_WR));
    EV(poll_for(sv[1], POLLIN | POLLRDHUP, 0));
    R(recv(sv[1], b, 8, 0));
    R(send(sv[1], "x", 1, MSG_DONTWAIT));
}

CHECK(unix_names)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX, .sun_path = ""}, got;
    socklen_t len = sizeof(got);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;

    wake_the_stack();
    snprintf(u.sun_path + 1, sizeof(u.sun_path) - 1, "shunt-check-%d", getpid());
    R(bind(l, SA(u)));
    R(listen(l, 1));
    R(connect(c, SA(u)));
    s = FD(accept(l, (struct sockaddr *)&got, &len));
    V(got.sun_family == AF_UNIX);
    len = sizeof(got);
    R(getpeername(c, (struct sockaddr *)&got, &len));
    V(memcmp(&got, &u, sizeof(u)));
    R(send(s, "x", 1, 0));
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &len, &(socklen_t){sizeof(len)}));
    V(len);
}

CHECK(kernel_descriptors_passed)
{
    int un[2], p[2], got;
    char b[8];

    wake_the_stack();
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0 && pipe(p) == 0);
    R(pass_fd(un[0], p[0]));
    got = FD(take_fd(un[1]));
    R(write(p[1], "through", 7));
    R(read(got, b, 8));
    R(close(got));
    R(pass_fd(un[0], un[0]));
    FD(take_fd(un[1]));
}

/* A descriptor that arrives on a number that once was a socket's is not taken for one. */
CHECK(received_on_a_used_number)
{
    int un[2], p[2], s, got;
    char b[8];

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0 && pipe(p) == 0);
    s = tcp4();
    R(pass_fd(un[0], p[0]));
    close(s);
    got = take_fd(un[1]);
    V(got == s);
    NEED(write(p[1], "pipe", 4) == 4);
    R(read(got, b, 8));
    R(recv(got, b, 8, 0));
}

CHECK(number_changes_hands)
{
    int p[2];
    char b[4];

    for (int i = 0; i < 3; i++) {
        int s = tcp4(), f;

        NEED(close(s) == 0);
        f = open("/dev/zero", O_RDWR);
        NEED(f == s);
        NEED(read(f, b, 4) == 4 && write(f, b, 4) == 4);
        NEED(close(f) == 0 && pipe(p) == 0 && p[0] == s);
        NEED(write(p[1], "ab", 2) == 2 && read(p[0], b, 4) == 2);
        NEED(close(p[0]) == 0 && close(p[1]) == 0);
    }
    show("numbers used in turn by sockets, files and pipes", "yes");
}

CHECK(eventfd_and_timerfd)
{
    int e = eventfd(3, EFD_NONBLOCK), t = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec it = {{0, 0}, {0, 10000000}};
    uint64_t v = 0;

    wake_the_stack();
    R(read(e, &v, 8));
    V(v);
    R(read(e, &v, 8));
    R(timerfd_settime(t, 0, &it, NULL));
    EV(poll_for(t, POLLIN, SETTLE_MS));
    R(read(t, &v, 8));
    V(v);
}

CHECK(netlink)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof(a);
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    wake_the_stack();
    R(bind(s, SA(a)));
    R(getsockname(s, (struct sockaddr *)&a, &len));
    V(a.nl_family == AF_NETLINK && len == sizeof(a));
    R(recv(s, &a, sizeof(a), MSG_DONTWAIT));
}

CHECK(select_on_kernel_alone)
{
    int p[2];
    struct pollfd q;

    wake_the_stack();
    NEED(pipe(p) == 0);
    q = (struct pollfd){p[1], POLLOUT, 0};
    R(poll(&q, 1, -1));
    show_events("pipe", (unsigned)q.revents);
}

CHECK(descriptors_in_use)
{
    int n = 0;

    wake_the_stack();
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    show("descriptors below 256", "%d", n);
}
