/* close.c: the end of a connection: FIN or RST, unread data, linger, EPIPE and SIGPIPE, what the peer sees.
 */
#include "check.h"

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

CHECK(orderly)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[0], "bye", 3, 0) == 3);
    R(close(sv[0]));
    NEED(settle(sv[1], POLLRDHUP));
    EV(poll_for(sv[1], ALL, 0));
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), 0));
    SOERR(sv[1]);
    R(close(sv[1]));
    R(close(sv[1]));
}

/* The first send after the peer's close goes out and is answered by a reset; the second fails. */
CHECK(send_after_peer_closed)
{
    int sv[2];

    tcp_pair(sv);
    close(sv[0]);
    NEED(settle(sv[1], POLLIN));
    R(send(sv[1], "one", 3, MSG_NOSIGNAL));
    NEED(settle(sv[1], POLLHUP));
    EV(poll_for(sv[1], ALL, 0));
    R(send(sv[1], "two", 3, MSG_NOSIGNAL));
    R(send(sv[1], "three", 5, MSG_NOSIGNAL));
    R(recv(sv[1], (char[1]){0}, 1, 0));
    SOERR(sv[1]);
}

CHECK(unread_data_resets)
{
    int sv[2];
    char b;

    tcp_pair(sv);
    NEED(send(sv[0], "never read", 10, 0) == 10);
    NEED(settle(sv[1], POLLIN));
    R(close(sv[1]));
    NEED(settle(sv[0], POLLHUP));
    EV(poll_for(sv[0], ALL, 0));
    R(recv(sv[0], &b, 1, 0));
    R(recv(sv[0], &b, 1, 0));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    EV(poll_for(sv[0], ALL, 0));
}

CHECK(linger_zero)
{
    int sv[2];
    struct linger lg = {1, 0};
    char b;

    tcp_pair(sv);
    R(setsockopt(sv[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
    R(close(sv[0]));
    NEED(settle(sv[1], POLLIN));
    EV(poll_for(sv[1], ALL, 0));
    SOERR(sv[1]);
    EV(poll_for(sv[1], ALL, 0));
    R(recv(sv[1], &b, 1, 0));
    R(send(sv[1], "x", 1, MSG_NOSIGNAL));
}

/* What arrived before the reset can still be read; the error comes after it, once. */
CHECK(data_then_reset)
{
    int sv[2];
    struct linger lg = {1, 0};
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[0], "data", 4, 0) == 4);
    NEED(settle_bytes(sv[1], 4));
    NEED(setsockopt(sv[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    close(sv[0]);
    NEED(settle(sv[1], POLLHUP));
    R(recv(sv[1], b, 2, 0));
    R(recv(sv[1], b, 8, 0));
    R(recv(sv[1], b, 8, 0));
    R(recv(sv[1], b, 8, 0));
}

CHECK(linger_waits_for_the_data)
{
    int sv[2];
    struct linger lg = {1, 2};
    long start = now_ms();
    static char b[60000];
    pid_t p;

    tcp_pair(sv);
    R(setsockopt(sv[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
    p = fork_tied();
    if (p == 0) {
        long got;

        close(sv[0]);
        got = read_all(sv[1], b, sizeof(b) + 1);
        _exit(got == sizeof(b) ? 0 : 1);
    }
    close(sv[1]);
    R(send(sv[0], b, sizeof(b), 0));
    R(close(sv[0]));
    V(now_ms() - start < 1000);
    V(child_status(p));
}

static void set_linger(int fd, int s)
{
    struct linger lg = {1, s};

    NEED(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
}

/* Nobody reads: close waits as long as it was told, also with O_NONBLOCK; what is left goes on by itself. */
CHECK(linger_in_vain)
{
    int sv[2];
    long start, n;
    static char b[1 << 22];

    tcp_pair(sv);
    n = fill(sv[0]);
    set_linger(sv[0], 1);
    start = now_ms();
    R(close(sv[0]));
    took("close", start, 1000);
    V(read_all(sv[1], b, sizeof(b) < (size_t)n ? (long)sizeof(b) : n) > 0);
    tcp_pair_nb(sv);
    NEED(fill(sv[0]) > 0);
    set_linger(sv[0], 1);
    start = now_ms();
    R(close(sv[0]));
    took("close", start, 1000);
}

/* A descriptor that is not the last, a signal, nothing to wait for. */
CHECK(linger_not)
{
    int sv[2], d;
    long start = now_ms();

    tcp_pair(sv);
    NEED(fill(sv[0]) > 0);
    set_linger(sv[0], 3);
    d = dup(sv[0]);
    start = now_ms();
    R(close(sv[0]));
    V(now_ms() - start < 500);
    on_signal(SIGALRM, SA_RESTART);
    alarm_ms(100, 0);
    start = now_ms();
    R(close(d));
    took("close with a signal", start, 100);
    tcp_pair(sv);
    set_linger(sv[0], 3);
    start = now_ms();
    R(close(sv[0]));
    V(now_ms() - start < 500);
}

CHECK(sigpipe)
{
    int sv[2];
    struct msghdr m = {0};
    struct iovec v = {"x", 1};

    tcp_pair(sv);
    shutdown(sv[0], SHUT_WR);
    on_signal(SIGPIPE, 0);
    R(write(sv[0], "x", 1));
    V(check_signals);
    R(send(sv[0], "x", 1, 0));
    V(check_signals);
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    V(check_signals);
    R(writev(sv[0], &v, 1));
    V(check_signals);
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    R(sendmsg(sv[0], &m, MSG_NOSIGNAL));
    V(check_signals);
    R(sendmsg(sv[0], &m, 0));
    V(check_signals);
    R(write(sv[0], "x", 0));
    R(send(sv[0], "x", 0, 0));
    V(check_signals);
}

CHECK(sigpipe_kills)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        signal(SIGPIPE, SIG_DFL);
        shutdown(sv[0], SHUT_WR);
        send(sv[0], "x", 1, 0);
        _exit(7);
    }
    V(child_status(p) == 1000 + SIGPIPE);
}

CHECK(unconnected_send)
{
    int s = tcp4();

    on_signal(SIGPIPE, 0);
    R(send(s, "x", 1, 0));
    V(check_signals);
    R(send(s, "x", 1, MSG_NOSIGNAL));
    V(check_signals);
    R(send(s, "x", 0, 0));
    R(recv(s, (char[1]){0}, 1, 0));
    R(recv(s, (char[1]){0}, 0, 0));
}

CHECK(both_close_at_once)
{
    for (int i = 0; i < 20; i++) {
        int sv[2];

        tcp_pair(sv);
        NEED(close(sv[i & 1]) == 0 && close(sv[!(i & 1)]) == 0);
    }
    show("20 connections closed from both ends", "yes");
}

CHECK(close_then_more_arrives)
{
    int sv[2];

    tcp_pair(sv);
    close(sv[1]);
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    NEED(settle(sv[0], POLLHUP));
    R(recv(sv[0], (char[1]){0}, 1, 0));
    SOERR(sv[0]);
}

CHECK(half_closed_then_closed)
{
    int sv[2];
    char b[4];

    tcp_pair(sv);
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLIN));
    R(send(sv[1], "tail", 4, 0));
    R(close(sv[1]));
    NEED(settle(sv[0], POLLIN));
    NEED(settle_bytes(sv[0], 4));
    R(recv(sv[0], b, 4, 0));
    R(recv(sv[0], b, 4, 0));
    NEED(settle(sv[0], POLLHUP));
    EV(poll_for(sv[0], ALL, 0));
}

/* Data written just before the end of a process still arrives. */
CHECK(exit_with_data_queued)
{
    struct sockaddr_in a;
    int l = listen4(&a), s;
    static char b[200000];
    pid_t p = fork_tied();

    if (p == 0) {
        int c = tcp4();

        close(l);
        if (connect(c, SA(a)) < 0)
            _exit(1);
        fill(c);
        _exit(0);
    }
    s = accept(l, NULL, NULL);
    NEED(s >= 0);
    V(child_status(p));
    nap(5);
    V(read_all(s, b, sizeof(b)) == sizeof(b));
}

CHECK(killed_process)
{
    struct sockaddr_in a;
    int l = listen4(&a), s;
    char b[4];
    pid_t p = fork_tied();

    if (p == 0) {
        int c = tcp4();

        if (connect(c, SA(a)) < 0 || send(c, "dead", 4, 0) != 4)
            _exit(1);
        raise(SIGKILL);
    }
    s = accept(l, NULL, NULL);
    V(child_status(p) == 1000 + SIGKILL);
    R(read_all(s, b, 4));
    set_timeo(s, SO_RCVTIMEO, 1500);
    R(recv(s, b, 1, 0));
}
