/* shutdown.c: every form of shutdown, what each end may still do, and what poll says. */
#include "check.h"

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

CHECK(write_side)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    R(send(sv[0], "last", 4, 0));
    R(shutdown(sv[0], SHUT_WR));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    R(write(sv[0], "x", 1));
    NEED(settle(sv[1], POLLRDHUP));
    EV(poll_for(sv[1], ALL, SETTLE_MS));
    EV(poll_for(sv[0], ALL, 0));
    NEED(settle_bytes(sv[1], 4));
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), 0));
    EV(poll_for(sv[1], ALL, 0));
    R(shutdown(sv[0], SHUT_WR));
    R(send(sv[1], "back", 4, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(shutdown(sv[1], SHUT_WR));
    NEED(settle(sv[0], POLLHUP));
    EV(poll_for(sv[0], ALL, 0));
    NEED(settle(sv[1], POLLHUP));
    EV(poll_for(sv[1], ALL, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(shutdown(sv[0], SHUT_RD));
    R(shutdown(sv[0], SHUT_WR));
}

CHECK(read_side)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    R(shutdown(sv[0], SHUT_RD));
    EV(poll_for(sv[0], ALL, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(send(sv[1], "more", 4, MSG_NOSIGNAL));
    NEED(settle_sent(sv[1]));
    EV(poll_for(sv[0], ALL, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(send(sv[0], "out", 3, MSG_NOSIGNAL));
    R(recv(sv[1], b, sizeof(b), 0));
    EV(poll_for(sv[1], ALL, 0));
    R(shutdown(sv[0], SHUT_RD));
}

CHECK(read_side_with_data)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[1], "queued", 6, 0) == 6);
    NEED(settle_bytes(sv[0], 6));
    R(shutdown(sv[0], SHUT_RD));
    R(recv(sv[0], b, 3, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(recv(sv[0], b, sizeof(b), 0));
}

CHECK(both_sides)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    R(shutdown(sv[0], SHUT_RDWR));
    EV(poll_for(sv[0], ALL, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    NEED(settle(sv[1], POLLIN));
    EV(poll_for(sv[1], ALL, 0));
    R(recv(sv[1], b, sizeof(b), 0));
    R(send(sv[1], "x", 1, MSG_NOSIGNAL));
    nap(QUIET_MS);
    R(shutdown(sv[0], SHUT_RDWR));
}

CHECK(both_ends_read_write)
{
    int sv[2];

    tcp_pair(sv);
    R(shutdown(sv[0], SHUT_RDWR));
    R(shutdown(sv[1], SHUT_RDWR));
    NEED(settle(sv[1], POLLHUP));
    nap(QUIET_MS);
    R(shutdown(sv[1], SHUT_RDWR));
    R(recv(sv[1], (char[1]){0}, 1, 0));
    R(send(sv[1], "x", 1, MSG_NOSIGNAL));
    SOERR(sv[1]);
}

CHECK(arguments)
{
    int sv[2], s = tcp4(), u = udp4();

    tcp_pair(sv);
    R(shutdown(sv[0], 3));
    R(shutdown(sv[0], -1));
    R(shutdown(s, SHUT_RD));
    R(shutdown(s, SHUT_WR));
    R(shutdown(s, SHUT_RDWR));
    R(shutdown(s, 5));
    EV(poll_for(s, ALL, 0));
    R(shutdown(u, SHUT_RD));
    R(shutdown(u, SHUT_RDWR));
}

CHECK(unconnected_poll)
{
    int s = tcp4(), u = udp4();
    struct sockaddr_in a;

    EV(poll_for(s, ALL, 0));
    EV(poll_for(u, ALL, 0));
    EV(poll_for(bound4(SOCK_STREAM, &a), ALL, 0));
    EV(poll_for(bound4(SOCK_DGRAM, &a), ALL, 0));
}

CHECK(through_a_dup)
{
    int sv[2], d;
    char b;

    tcp_pair(sv);
    d = dup(sv[0]);
    R(shutdown(d, SHUT_WR));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    R(close(d));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], &b, 1, 0));
    R(send(sv[1], "y", 1, MSG_NOSIGNAL));
    R(recv(sv[0], &b, 1, 0));
}

CHECK(udp)
{
    int sv[2], s = udp4();
    char b[8];

    udp_pair(sv);
    R(shutdown(sv[0], SHUT_WR));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    R(shutdown(sv[0], SHUT_RD));
    EV(poll_for(sv[0], ALL, 0));
    R(recv(sv[0], b, sizeof(b), 0));
    R(send(sv[1], "x", 1, 0));
    nap(QUIET_MS);
    R(recv(sv[0], b, sizeof(b), MSG_DONTWAIT));
    R(recv(sv[0], b, sizeof(b), MSG_DONTWAIT));
    R(shutdown(s, SHUT_WR));
}

CHECK(pending_data_then_fin)
{
    int sv[2];
    static char big[100000];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        send(sv[0], big, sizeof(big), 0);
        _exit(shutdown(sv[0], SHUT_WR));
    }
    close(sv[0]);
    V(read_all(sv[1], big, sizeof(big)));
    R(recv(sv[1], big, 1, 0));
    V(child_status(p));
}

CHECK(wakes_a_reader)
{
    int sv[2];
    long start = now_ms();
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        nap(30);
        shutdown(sv[0], SHUT_RDWR); /* the very socket the parent waits on */
        _exit(0);
    }
    R(recv(sv[0], (char[1]){0}, 1, 0));
    took("waited", start, 30);
    V(child_status(p));
}
