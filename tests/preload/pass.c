/* pass.c: IP sockets, and epoll sets that hold them, handed over Unix sockets by SCM_RIGHTS. */
#include "check.h"

#include <sys/pidfd.h>
#include <sys/syscall.h>

#define ROOM 300

/* A message of one byte with n descriptors. */
struct rights {
    char byte;
    struct iovec v;
    struct msghdr m;
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int) * ROOM)];
    } c;
};

static struct msghdr *rights_put(struct rights *r, const int *fd, int n)
{
    memset(r, 0, sizeof(*r));
    r->v = (struct iovec){"f", 1};
    r->m = (struct msghdr){.msg_iov = &r->v,
                           .msg_iovlen = 1,
                           .msg_control = &r->c,
                           .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n)};
    r->c.h.cmsg_level = SOL_SOCKET;
    r->c.h.cmsg_type = SCM_RIGHTS;
    r->c.h.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
    memcpy(CMSG_DATA(&r->c.h), fd, sizeof(int) * (size_t)n);
    return &r->m;
}

/* Room for n descriptors. */
static struct msghdr *rights_room(struct rights *r, int n)
{
    memset(r, 0, sizeof(*r));
    r->v = (struct iovec){&r->byte, 1};
    r->m = (struct msghdr){.msg_iov = &r->v,
                           .msg_iovlen = 1,
                           .msg_control = &r->c,
                           .msg_controllen = n ? CMSG_LEN(sizeof(int) * (size_t)n) : 0};
    return &r->m;
}

/* What came: how many, the numbers in fd. */
static int rights_get(struct rights *r, int *fd)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(&r->m);
    size_t n = 0;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fd, CMSG_DATA(c), n * sizeof(int));
    }
    return (int)n;
}

static int type_of(int fd)
{
    int t = -1;
    socklen_t len = sizeof(t);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &t, &len) < 0 ? -1 : t;
}

static void un_pair(int un[2])
{
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
}

/* The peer of a connection whose other end is gone. */
#define ENDED(fd)                                                                                            \
    do {                                                                                                     \
        set_timeo(fd, SO_RCVTIMEO, 1500);                                                                    \
        R(recv(fd, (char[8]){0}, 8, 0));                                                                     \
    } while (0)

CHECK(to_oneself)
{
    int un[2], sv[2], got;

    tcp_pair(sv);
    un_pair(un);
    R(pass_fd(un[0], sv[0]));
    got = FD(take_fd(un[1]));
    close(sv[0]);
    R(send(got, "via", 3, MSG_NOSIGNAL));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    close(got);
    ENDED(sv[1]);
}

CHECK(to_a_child_after_close)
{
    int un[2], sv[2];
    pid_t p;

    un_pair(un);
    p = fork_tied();
    if (p == 0) {
        int got = take_fd(un[1]);

        _exit(send(got, "via", 3, MSG_NOSIGNAL) == 3 ? 0 : 1);
    }
    tcp_pair(sv);
    R(pass_fd(un[0], sv[0]));
    R(close(sv[0])); /* only the message holds it now */
    R(recv(sv[1], (char[8]){0}, 8, 0));
    V(child_status(p));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

CHECK(from_a_child)
{
    int un[2], sv[2], got;
    struct sockaddr_in a;
    pid_t p;

    un_pair(un);
    got = listen4(&a);
    p = fork_tied();
    if (p == 0) {
        tcp_pair(sv);
        if (send(sv[1], "early", 5, 0) != 5 || pass_fd(un[0], sv[0]) != 1 || pass_fd(un[0], sv[1]) != 1)
            _exit(1);
        _exit(0);
    }
    close(got);
    V(child_status(p)); /* who sent them is no more */
    sv[0] = FD(take_fd(un[1]));
    sv[1] = FD(take_fd(un[1]));
    R(recv(sv[0], (char[8]){0}, 8, 0));
    R(send(sv[0], "late", 4, 0));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    close(sv[0]);
    ENDED(sv[1]);
}

CHECK(from_one_killed)
{
    int un[2], sv[2], sync[2], got;
    pid_t p;

    un_pair(un);
    tcp_pair(sv);
    NEED(pipe(sync) == 0);
    p = fork_tied();
    if (p == 0) {
        if (pass_fd(un[0], sv[0]) != 1 || write(sync[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(sv[0]);
    NEED(read(sync[0], (char[1]){0}, 1) == 1);
    kill(p, SIGKILL);
    V(child_status(p));
    got = FD(take_fd(un[1]));
    R(send(got, "via", 3, MSG_NOSIGNAL));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    close(got);
    ENDED(sv[1]);
}

CHECK(between_siblings)
{
    int un[2], sv[2];
    pid_t a, b;

    un_pair(un);
    tcp_pair(sv);
    a = fork_tied();
    if (a == 0) {
        int other[2];

        close(sv[0]);
        tcp_pair(other);
        _exit(pass_fd(un[0], other[0]) == 1 && recv(other[1], (char[8]){0}, 8, 0) == 5 ? 0 : 1);
    }
    b = fork_tied();
    if (b == 0) {
        int got = take_fd(un[1]);

        _exit(send(got, "hello", 5, MSG_NOSIGNAL) == 5 ? 0 : 1);
    }
    V(child_status(a));
    V(child_status(b));
}

CHECK(listener_to_a_child)
{
    struct sockaddr_in a;
    int un[2], l = listen4(&a), c;
    pid_t p;

    un_pair(un);
    p = fork_tied();
    if (p == 0) {
        int got, s;

        close(l);
        got = take_fd(un[1]);
        s = accept(got, NULL, NULL);
        _exit(send(s, "child", 5, 0) == 5 ? 0 : 1);
    }
    R(pass_fd(un[0], l));
    close(l);
    c = tcp4();
    R(connect(c, SA(a)));
    R(recv(c, (char[8]){0}, 8, 0));
    V(child_status(p));
    c = tcp4();
    R(connect(c, SA(a))); /* nobody listens any more, but for the message's copy: received */
}

CHECK(several_in_one)
{
    int un[2], sv[2], p[2], fds[5], got[8] = {0}, n;
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    NEED(pipe(p) == 0);
    fds[0] = sv[0];
    fds[1] = p[1];
    fds[2] = udp4();
    fds[3] = sv[0];
    fds[4] = tcp4(); /* not bound, not connected */
    R(sendmsg(un[0], rights_put(&r, fds, 5), 0));
    for (int i = 0; i < 5; i++)
        V(((int *)CMSG_DATA(&r.c.h))[i] == fds[i]); /* the program's buffer is its own */
    R(recvmsg(un[1], rights_room(&r, 8), 0));
    n = rights_get(&r, got);
    V(n);
    V(r.m.msg_flags);
    V(r.m.msg_controllen);
    V(type_of(got[0]));
    R(write(got[1], "x", 1));
    R(read(p[0], (char[2]){0}, 2));
    V(type_of(got[2]));
    V(type_of(got[3]));
    V(type_of(got[4]));
    R(send(got[3], "ab", 2, 0));
    R(send(got[0], "c", 1, 0));
    NEED(settle_bytes(sv[1], 3));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

CHECK(several_control_messages)
{
    int un[2], sv[2], fd[2], got[8];
    char buf[CMSG_SPACE(sizeof(int)) * 2] = {0};
    struct iovec v = {"f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof(buf)};
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    fd[0] = sv[0], fd[1] = sv[1];
    for (int i = 0; i < 2; i++) {
        struct cmsghdr *c = (struct cmsghdr *)(buf + CMSG_SPACE(sizeof(int)) * (size_t)i);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd[i], sizeof(int));
    }
    R(sendmsg(un[0], &m, 0));
    R(recvmsg(un[1], rights_room(&r, 8), 0));
    V(rights_get(&r, got));
    R(send(got[0], "abc", 3, 0));
    R(recv(got[1], (char[8]){0}, 8, 0));
}

CHECK(close_on_exec)
{
    int un[2], sv[2], got;
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    NEED(fcntl(sv[0], F_SETFD, FD_CLOEXEC) == 0);
    NEED(pass_fd(un[0], sv[0]) == 1 && pass_fd(un[0], sv[0]) == 1);
    got = FD(take_fd(un[1]));
    R(fcntl(got, F_GETFD));
    R(recvmsg(un[1], rights_room(&r, 1), MSG_CMSG_CLOEXEC));
    V(r.m.msg_flags == MSG_CMSG_CLOEXEC);
    NEED(rights_get(&r, &got) == 1);
    R(fcntl(got, F_GETFD));
    R(send(got, "abc", 3, 0));
}

CHECK(peeked)
{
    int un[2], sv[2], a = -1, b = -1, c = -1;
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    NEED(pass_fd(un[0], sv[0]) == 1);
    close(sv[0]);
    R(recvmsg(un[1], rights_room(&r, 1), MSG_PEEK));
    V(rights_get(&r, &a));
    R(recvmsg(un[1], rights_room(&r, 1), MSG_PEEK));
    V(rights_get(&r, &b));
    R(recvmsg(un[1], rights_room(&r, 1), 0));
    V(rights_get(&r, &c));
    R(send(a, "a", 1, 0));
    R(send(b, "b", 1, 0));
    close(a);
    close(b);
    R(send(c, "c", 1, 0));
    NEED(settle_bytes(sv[1], 3));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    close(c);
    ENDED(sv[1]);
}

CHECK(one_open_file)
{
    int un[2], sv[2], got;

    un_pair(un);
    tcp_pair(sv);
    NEED(pass_fd(un[0], sv[0]) == 1);
    got = FD(take_fd(un[1]));
    NEED(fcntl(got, F_SETFL, O_NONBLOCK) == 0);
    R(fcntl(sv[0], F_GETFL) & O_NONBLOCK);
    R(recv(sv[0], (char[8]){0}, 8, 0));
    R(shutdown(got, SHUT_WR));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
}

CHECK(no_room_for_all)
{
    int un[2], a[2], b[2], c[2], fds[3], got[8];
    struct rights r;

    un_pair(un);
    tcp_pair(a);
    tcp_pair(b);
    tcp_pair(c);
    fds[0] = a[0], fds[1] = b[0], fds[2] = c[0];
    NEED(sendmsg(un[0], rights_put(&r, fds, 3), 0) == 1);
    close(a[0]);
    close(b[0]);
    close(c[0]);
    R(recvmsg(un[1], rights_room(&r, 1), 0));
    V(r.m.msg_flags == MSG_CTRUNC);
    V(rights_get(&r, got));
    R(send(got[0], "abc", 3, 0));
    R(recv(a[1], (char[8]){0}, 8, 0));
    ENDED(b[1]); /* the surplus is closed */
    ENDED(c[1]);
}

CHECK(no_room_at_all)
{
    int un[2], a[2], b[2], c[2];
    struct rights r;

    un_pair(un);
    tcp_pair(a);
    tcp_pair(b);
    tcp_pair(c);
    NEED(pass_fd(un[0], a[0]) == 1);
    close(a[0]);
    R(recvmsg(un[1], rights_room(&r, 0), 0));
    V(r.m.msg_flags == MSG_CTRUNC);
    ENDED(a[1]);
    NEED(pass_fd(un[0], b[0]) == 1);
    close(b[0]);
    R(read(un[1], (char[8]){0}, 8));
    ENDED(b[1]);
    NEED(pass_fd(un[0], c[0]) == 1);
    close(c[0]);
    R(recv(un[1], (char[8]){0}, 8, 0));
    ENDED(c[1]);
}

CHECK(never_received)
{
    int un[2], a[2], b[2];

    un_pair(un);
    tcp_pair(a);
    NEED(pass_fd(un[0], a[0]) == 1);
    close(a[0]);
    close(un[1]);
    ENDED(a[1]);
    un_pair(un);
    tcp_pair(b);
    NEED(pass_fd(un[0], b[0]) == 1);
    close(b[0]);
    close(un[0]);
    EV(poll_for(b[1], POLLIN, QUIET_MS)); /* it is in the queue still */
    close(un[1]);
    ENDED(b[1]);
}

CHECK(over_a_socket_that_is_passed_itself)
{
    int un[2], inner[2], sv[2], got, via;

    un_pair(un);
    un_pair(inner);
    tcp_pair(sv);
    R(pass_fd(inner[0], sv[0]));
    R(pass_fd(un[0], inner[1]));
    close(sv[0]);
    close(inner[0]);
    close(inner[1]);
    EV(poll_for(sv[1], POLLIN, QUIET_MS));
    via = FD(take_fd(un[1]));
    got = FD(take_fd(via));
    R(send(got, "deep", 4, 0));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

static void over_type(int type)
{
    int un[2], sv[2], got;

    NEED(socketpair(AF_UNIX, type, 0, un) == 0);
    tcp_pair(sv);
    R(pass_fd(un[0], sv[0]));
    close(sv[0]);
    got = FD(take_fd(un[1]));
    R(send(got, "via", 3, MSG_NOSIGNAL));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

CHECK(over_datagrams)
{
    over_type(SOCK_DGRAM);
    over_type(SOCK_SEQPACKET);
}

CHECK(many_messages)
{
    int un[2], sv[2], u = udp4(), got[2] = {-1, -1};
    struct rights r[3];
    struct mmsghdr v[3];

    un_pair(un);
    tcp_pair(sv);
    v[0].msg_hdr = *rights_put(&r[0], &sv[0], 1);
    v[1].msg_hdr = *rights_put(&r[1], &u, 1);
    v[2].msg_hdr = *rights_put(&r[2], &u, 1);
    v[2].msg_hdr.msg_controllen = 0;
    R(sendmmsg(un[0], v, 3, 0));
    V(v[0].msg_len);
    close(sv[0]);
    for (int i = 0; i < 3; i++)
        v[i].msg_hdr = *rights_room(&r[i], 1);
    R(recvmmsg(un[1], v, 3, MSG_DONTWAIT, NULL));
    for (int i = 0; i < 2; i++) {
        r[i].m = v[i].msg_hdr;
        V(rights_get(&r[i], &got[i]));
    }
    V(type_of(got[1]));
    R(send(got[0], "via", 3, MSG_NOSIGNAL));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    v[0].msg_hdr = *rights_put(&r[0], &got[0], 1);
    v[1].msg_hdr = *rights_put(&r[1], (int[]){200}, 1); /* not open */
    R(sendmmsg(un[0], v, 2, 0));
    R(sendmmsg(un[0], v + 1, 1, 0));
}

CHECK(lowest_number)
{
    int un[2], sv[2], gap, got;

    un_pair(un);
    tcp_pair(sv);
    gap = dup(0);
    dup(0);
    close(gap);
    NEED(pass_fd(un[0], sv[0]) == 1);
    got = FD(take_fd(un[1]));
    V(got == gap);
    R(close(got));
    got = dup(0);
    V(got == gap);
}

CHECK(too_many)
{
    int un[2], sv[2], fds[254], got[2];
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    for (int i = 0; i < 254; i++)
        fds[i] = sv[i & 1];
    R(sendmsg(un[0], rights_put(&r, fds, 254), 0));
    R(sendmsg(un[0], rights_put(&r, fds, 253), 0));
    R(recvmsg(un[1], rights_room(&r, 2), 0));
    V(rights_get(&r, got));
    R(send(got[0], "abc", 3, 0));
    R(recv(got[1], (char[8]){0}, 8, 0));
}

CHECK(refused)
{
    int un[2], sv[2], fds[2];
    struct rights r;

    un_pair(un);
    tcp_pair(sv);
    fds[0] = sv[0], fds[1] = 200;
    R(sendmsg(un[0], rights_put(&r, fds, 2), 0)); /* one is not open */
    fds[1] = -1;
    R(sendmsg(un[0], rights_put(&r, fds, 2), 0));
    R(sendmsg(200, rights_put(&r, fds, 1), 0));
    NEED(close(un[1]) == 0);
    R(sendmsg(un[0], rights_put(&r, fds, 1), MSG_NOSIGNAL));
    R(sendmsg(sv[1], rights_put(&r, fds, 1), 0)); /* on a TCP socket: nothing */
    R(recv(sv[0], (char[8]){0}, 8, 0));
    rights_put(&r, fds, 1);
    r.c.h.cmsg_len = 3;
    R(sendmsg(un[0], &r.m, MSG_NOSIGNAL));
    rights_put(&r, fds, 1);
    r.c.h.cmsg_len = 4000;
    R(sendmsg(un[0], &r.m, MSG_NOSIGNAL));
    r.m.msg_control = (void *)8;
    R(sendmsg(un[0], &r.m, MSG_NOSIGNAL));
    R(sendmsg(un[0], (struct msghdr *)8, MSG_NOSIGNAL));
    R(recvmsg(un[0], (struct msghdr *)8, MSG_DONTWAIT));
}

CHECK(epoll_set)
{
    int un[2], sv[2], p[2], ep = epoll_create1(0), got, n;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 1}, out[4];

    un_pair(un);
    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    ev.data.u32 = 2;
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
    R(pass_fd(un[0], ep));
    close(ep);
    got = FD(take_fd(un[1]));
    R(epoll_wait(got, out, 4, 0));
    R(send(sv[1], "x", 1, 0));
    n = R(epoll_wait(got, out, 4, 1000));
    V(n == 1 ? out[0].data.u32 : 0);
    R(write(p[1], "x", 1));
    R(recv(sv[0], (char[2]){0}, 2, 0));
    n = R(epoll_wait(got, out, 4, 1000));
    V(n == 1 ? out[0].data.u32 : 0);
    R(epoll_ctl(got, EPOLL_CTL_DEL, p[0], NULL));
    R(epoll_wait(got, out, 4, 0));
    R(epoll_ctl(got, EPOLL_CTL_ADD, sv[0], &ev));
}

CHECK(epoll_set_to_a_child)
{
    int un[2], sv[2], ep;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7}, out[4];
    pid_t p;

    un_pair(un);
    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        int got = take_fd(un[1]);

        _exit(epoll_wait(got, out, 4, 2000) == 1 && out[0].data.u32 == 7 ? 0 : 1);
    }
    ep = epoll_create1(0);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    R(pass_fd(un[0], ep));
    nap(20);
    R(send(sv[1], "x", 1, 0));
    V(child_status(p));
}

CHECK(received_into_a_set)
{
    int un[2], sv[2], got, ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 3}, out[4];

    un_pair(un);
    tcp_pair(sv);
    NEED(pass_fd(un[0], sv[0]) == 1);
    got = FD(take_fd(un[1]));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, got, &ev));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev));
    R(send(sv[1], "x", 1, 0));
    R(epoll_wait(ep, out, 4, 1000));
    close(got);
    R(epoll_wait(ep, out, 4, 1000)); /* as the file is open still, so is the registration */
    close(sv[0]);
    R(epoll_wait(ep, out, 4, 0));
}

CHECK(while_the_receiver_waits)
{
    int un[2], sv[2];
    pid_t p;

    un_pair(un);
    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        char b[4];
        int got = take_fd(un[1]);

        close(sv[0]);
        close(sv[1]);
        _exit(recv(got, b, 4, 0) == 2 ? 0 : 1); /* blocks */
    }
    nap(10);
    R(pass_fd(un[0], sv[0]));
    nap(30);
    R(send(sv[1], "go", 2, 0));
    V(child_status(p));
}

CHECK(by_pidfd)
{
    int sync[2], back[2], pidfd, got, number;
    struct sockaddr_in a;
    pid_t p;

    got = bound4(SOCK_DGRAM, &a); /* for the stack to be there before the child */
    close(got);
    NEED(pipe(sync) == 0 && pipe(back) == 0);
    p = fork_tied();
    if (p == 0) {
        int l = listen4(&a);
        int s = accept((write(sync[1], &l, sizeof(l)), write(sync[1], &a, sizeof(a)), l), NULL, NULL);

        write(sync[1], &s, sizeof(s));
        _exit(read(back[0], (char[1]){0}, 1) == 1 && close(s) == 0 ? 0 : 1);
    }
    NEED(read(sync[0], &number, sizeof(number)) == sizeof(number) &&
         read(sync[0], &a, sizeof(a)) == sizeof(a));
    pidfd = FD(pidfd_open(p, 0));
    got = FD(pidfd_getfd(pidfd, number, 0));
    R(fcntl(got, F_GETFD));
    V(type_of(got));
    V(port_of(got) == ntohs(a.sin_port));
    number = tcp4();
    R(connect(number, SA(a)));
    NEED(read(sync[0], &got, sizeof(got)) == sizeof(got));
    got = FD((int)syscall(SYS_pidfd_getfd, pidfd, got, 0));
    R(send(got, "mine", 4, 0));
    R(recv(number, (char[8]){0}, 8, 0));
    R(pidfd_getfd(pidfd, 200, 0));
    R(pidfd_getfd(pidfd, got, 1));
    NEED(write(back[1], "", 1) == 1);
    V(child_status(p));
    EV(poll_for(number, POLLIN, QUIET_MS)); /* ours holds it open */
    close(got);
    ENDED(number);
}

CHECK(opened_by_proc)
{
    int sv[2];
    char path[64];

    tcp_pair(sv);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sv[0]);
    R(open(path, O_RDWR));
    snprintf(path, sizeof(path), "/dev/fd/%d", sv[0]);
    R(open(path, O_RDONLY));
}
