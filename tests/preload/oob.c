/* oob.c: urgent data (RFC 6093): MSG_OOB, SO_OOBINLINE, the mark, POLLPRI. */
#include "check.h"

CHECK(out_of_band)
{
    int sv[2], mark = -1;
    char b[8];

    tcp_pair(sv);
    R(send(sv[0], "ab", 2, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    R(send(sv[0], "cd", 2, 0));
    EV(poll_for(sv[1], POLLPRI, SETTLE_MS));
    NEED(settle_bytes(sv[1], 2));
    R(recv(sv[1], b, 1, MSG_OOB));
    TEXT(b, 1);
    R(recv(sv[1], b, 1, MSG_OOB));
    R(recv(sv[1], b, 8, 0));
    R(ioctl(sv[1], SIOCATMARK, &mark));
    V(mark);
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 2);
}

CHECK(in_line)
{
    int sv[2], on = 1;
    char b[8];

    tcp_pair(sv);
    R(setsockopt(sv[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    R(send(sv[0], "ab", 2, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    NEED(settle_bytes(sv[1], 2));
    EV(poll_for(sv[1], POLLPRI | POLLIN, SETTLE_MS));
    R(recv(sv[1], b, 8, 0));
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 1);
    R(recv(sv[1], b, 8, MSG_OOB));
}

/* Of several bytes sent as urgent the last one is. */
CHECK(last_byte_is_urgent)
{
    int sv[2], n = -1;
    char b[8];

    tcp_pair(sv);
    R(send(sv[0], "abc", 3, MSG_OOB));
    EV(poll_for(sv[1], POLLPRI, SETTLE_MS));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    R(recv(sv[1], b, 8, MSG_OOB));
    TEXT(b, 1);
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 2);
    R(recv(sv[1], b, 8, MSG_DONTWAIT));
}

CHECK(errors)
{
    struct sockaddr_in a;
    int sv[2], l = listen4(&a), s = tcp4(), u = udp4(), mark = 7;
    char b[4];

    R(recv(l, b, 1, MSG_OOB));
    R(recv(s, b, 1, MSG_OOB));
    R(ioctl(l, SIOCATMARK, &mark));
    V(mark);
    R(ioctl(u, SIOCATMARK, &mark));
    R(send(s, "x", 1, MSG_OOB | MSG_NOSIGNAL));
    tcp_pair(sv);
    R(recv(sv[1], b, 1, MSG_OOB));
    R(recv(sv[1], b, 1, MSG_OOB | MSG_WAITALL));
    R(send(sv[0], "", 0, MSG_OOB));
    R(recv(sv[1], b, 1, MSG_OOB));
    R(shutdown(sv[0], SHUT_WR));
    R(send(sv[0], "x", 1, MSG_OOB | MSG_NOSIGNAL));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, 1, MSG_OOB));
    R(recv(sv[1], b, 1, 0));
    R(recv(sv[1], b, 1, MSG_OOB));
}

CHECK(peek_and_flags)
{
    int sv[2];
    char b[4] = "";
    struct iovec v = {b, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    tcp_pair(sv);
    R(send(sv[0], "!", 1, MSG_OOB));
    EV(poll_for(sv[1], POLLPRI | POLLIN, SETTLE_MS));
    R(recv(sv[1], b, 1, MSG_OOB | MSG_PEEK));
    TEXT(b, 1);
    EV(poll_for(sv[1], POLLPRI | POLLIN | POLLRDBAND, 0));
    R(recvmsg(sv[1], &m, MSG_OOB));
    V(m.msg_flags == MSG_OOB);
    EV(poll_for(sv[1], POLLPRI | POLLIN | POLLRDBAND, 0));
    R(recv(sv[1], b, 1, MSG_OOB));
    R(send(sv[0], "?", 1, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    m.msg_iovlen = 0;
    R(recvmsg(sv[1], &m, MSG_OOB));
    V(m.msg_flags == (MSG_OOB | MSG_TRUNC));
    R(send(sv[0], "+", 1, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    R(recv(sv[1], NULL, 1, MSG_OOB));
    R(recv(sv[1], b, 1, MSG_OOB));
}

/* recv stops at the mark, also one that asks for all; peeking looks past a mark that it stands at. */
CHECK(reads_at_the_mark)
{
    int sv[2], mark = -1, n = -1;
    char b[16];

    tcp_pair(sv);
    R(send(sv[0], "abc", 3, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    R(send(sv[0], "def", 3, 0));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    NEED(settle_sent(sv[0]));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    R(recv(sv[1], b, 16, MSG_PEEK));
    TEXT(b, 3);
    R(recv(sv[1], b, 6, MSG_WAITALL));
    R(sockatmark(sv[1]));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    R(recv(sv[1], b, 16, MSG_PEEK));
    TEXT(b, 3);
    R(sockatmark(sv[1]));
    R(recv(sv[1], b, 2, MSG_TRUNC));
    R(ioctl(sv[1], SIOCATMARK, &mark));
    V(mark);
    R(recv(sv[1], b, 2, MSG_DONTWAIT));
    TEXT(b, 1);
    R(recv(sv[1], b, 1, MSG_OOB));
}

CHECK(in_line_at_the_mark)
{
    int sv[2], on = 1, n = -1;
    char b[16];
    struct iovec v[2] = {{b, 2}, {b + 2, 8}};

    tcp_pair(sv);
    R(setsockopt(sv[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    R(send(sv[0], "abc", 3, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    R(send(sv[0], "def", 3, 0));
    NEED(settle_bytes(sv[1], 7));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    R(sockatmark(sv[1]));
    R(readv(sv[1], v, 2));
    R(sockatmark(sv[1]));
    EV(poll_for(sv[1], POLLPRI | POLLIN, 0));
    R(recv(sv[1], b, 16, 0));
    TEXT(b, 4);
    R(sockatmark(sv[1]));
    EV(poll_for(sv[1], POLLPRI | POLLIN, 0));
}

/* A second urgent byte before the first was read, and one that comes when the first was left at the mark. */
CHECK(urgent_after_urgent)
{
    int sv[2];
    char b[16];

    tcp_pair(sv);
    R(send(sv[0], "a1", 2, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    R(send(sv[0], "b2", 2, MSG_OOB));
    NEED(settle_sent(sv[0]));
    R(recv(sv[1], b, 1, MSG_OOB));
    TEXT(b, 1);
    R(recv(sv[1], b, 16, 0));
    TEXT(b, 3);
    R(sockatmark(sv[1]));
    R(send(sv[0], "c3", 2, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    R(recv(sv[1], b, 1, MSG_OOB));
    TEXT(b, 1);
    R(recv(sv[1], b, 16, 0));
    TEXT(b, 1);
    R(sockatmark(sv[1]));
    R(send(sv[0], "end", 3, 0));
    NEED(settle_sent(sv[0]));
    R(recv(sv[1], b, 16, 0));
    TEXT(b, 3);
}

/* An urgent byte alone is nothing to read. */
CHECK(readiness)
{
    int sv[2], ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLPRI | EPOLLIN | EPOLLET}, out = {0};
    struct timeval none = {0, 0};
    fd_set in, ex;
    char b[4];

    tcp_pair(sv);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], &e));
    R(epoll_wait(ep, &out, 1, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    R(epoll_wait(ep, &out, 1, SETTLE_MS));
    EV(out.events);
    R(epoll_wait(ep, &out, 1, 0));
    FD_ZERO(&in);
    FD_ZERO(&ex);
    FD_SET(sv[1], &in);
    FD_SET(sv[1], &ex);
    R(select(sv[1] + 1, &in, NULL, &ex, &none));
    V(FD_ISSET(sv[1], &in));
    V(FD_ISSET(sv[1], &ex));
    R(recv(sv[1], b, 1, MSG_DONTWAIT));
    EV(poll_for(sv[1], POLLPRI | POLLIN, 0));
    R(recv(sv[1], b, 1, MSG_OOB));
    R(send(sv[0], "x", 1, 0));
    R(epoll_wait(ep, &out, 1, SETTLE_MS));
    EV(out.events);
    FD_ZERO(&ex);
    FD_SET(sv[1], &ex);
    none = (struct timeval){0, 0};
    R(select(sv[1] + 1, NULL, NULL, &ex, &none));
}

CHECK(sigurg)
{
    int sv[2], who = 0;
    char b[4];

    tcp_pair(sv);
    on_signal(SIGURG, SA_RESTART);
    R(send(sv[0], "a", 1, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    V(check_signals);
    R(recv(sv[1], b, 1, MSG_OOB));
    R(fcntl(sv[1], F_SETOWN, getpid()));
    V(fcntl(sv[1], F_GETOWN) == getpid());
    R(send(sv[0], "b", 1, MSG_OOB));
    NEED(poll_for(sv[1], POLLPRI, SETTLE_MS));
    for (int i = 0; i < 100 && !check_signals; i++)
        nap(2);
    V(check_signals);
    R(send(sv[0], "plain", 5, 0));
    NEED(settle_sent(sv[0]));
    V(check_signals);
    who = -getpgrp();
    R(ioctl(sv[1], SIOCSPGRP, &who));
    R(ioctl(sv[1], FIOGETOWN, &who));
    V(who == -getpgrp());
    who = 0;
    R(ioctl(sv[1], FIOSETOWN, &who));
    R(fcntl(sv[1], F_GETOWN));
    R(send(sv[0], "c", 1, MSG_OOB));
    NEED(settle_sent(sv[0]));
    nap(QUIET_MS);
    V(check_signals);
    who = 0x3ffffff;
    R(fcntl(sv[1], F_SETOWN, who));
    R(fcntl(sv[1], F_SETOWN, INT32_MIN));
}

CHECK(owner_ex)
{
    int sv[2];
    struct f_owner_ex ex = {F_OWNER_TID, gettid()};
    struct {
        int type;
        pid_t pid;
    } bad = {9, 1};

    tcp_pair(sv);
    R(fcntl(sv[1], F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){F_OWNER_PGRP, 1};
    R(fcntl(sv[1], F_GETOWN_EX, &ex));
    V(ex.type == F_OWNER_TID && ex.pid == gettid());
    on_signal(SIGURG, SA_RESTART);
    R(send(sv[0], "a", 1, MSG_OOB));
    for (int i = 0; i < 100 && !check_signals; i++)
        nap(2);
    V(check_signals);
    R(fcntl(sv[1], F_SETOWN_EX, &bad));
    ex = (struct f_owner_ex){F_OWNER_PGRP, getpgrp()};
    R(fcntl(sv[1], F_SETOWN_EX, &ex));
    V(fcntl(sv[1], F_GETOWN) == -getpgrp());
}

/* The owner stays whoever holds the socket. */
CHECK(owner_after_fork)
{
    int sv[2];
    pid_t child;

    tcp_pair(sv);
    on_signal(SIGURG, SA_RESTART);
    R(fcntl(sv[1], F_SETOWN, getpid()));
    child = fork_tied();
    if (child == 0) {
        check_signals = 0;
        if (send(sv[0], "!", 1, MSG_OOB) != 1 || !poll_for(sv[1], POLLPRI, SETTLE_MS))
            _exit(1);
        nap(QUIET_MS);
        _exit(check_signals ? 2 : 0);
    }
    V(child_status(child));
    for (int i = 0; i < 100 && !check_signals; i++)
        nap(2);
    V(check_signals);
}

CHECK(sigio)
{
    int sv[2];

    tcp_pair(sv);
    NEED(settle_sent(sv[0]));
    on_signal(SIGIO, SA_RESTART);
    R(fcntl(sv[1], F_SETOWN, getpid()));
    R(send(sv[0], "a", 1, 0));
    NEED(poll_for(sv[1], POLLIN, SETTLE_MS));
    nap(QUIET_MS);
    V(check_signals);
    R(fcntl(sv[1], F_SETFL, O_RDWR | O_ASYNC));
    R(send(sv[0], "a", 1, 0));
    for (int i = 0; i < 100 && !check_signals; i++)
        nap(2);
    V(check_signals > 0);
    R(fcntl(sv[1], F_SETFL, O_RDWR));
}
