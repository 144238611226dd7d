/* rcv.c: how much a receiving call on a stream waits for and takes: SO_RCVLOWAT, MSG_WAITALL, MSG_PEEK,
 * SO_PEEK_OFF, MSG_TRUNC. */
#include "check.h"

#define OPT_PEEK_OFF 42

static void lowat(int fd, int n)
{
    NEED(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)) == 0);
}

/* Sends text after ms, from a child. */
static void send_later(int fd, const char *text, long ms)
{
    if (fork_tied() == 0) {
        nap(ms);
        _exit(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text) ? 0 : 1);
    }
}

CHECK(lowat_and_poll)
{
    int sv[2];

    tcp_pair(sv);
    lowat(sv[1], 10);
    R(send(sv[0], "12345", 5, 0));
    NEED(settle_sent(sv[0]));
    EV(poll_for(sv[1], POLLIN, 0));
    R(send(sv[0], "67890", 5, 0));
    EV(poll_for(sv[1], POLLIN, SETTLE_MS));
    lowat(sv[1], 11);
    EV(poll_for(sv[1], POLLIN, 0));
    lowat(sv[1], 1);
    EV(poll_for(sv[1], POLLIN, 0));
    lowat(sv[1], 100);
    R(shutdown(sv[0], SHUT_WR));
    EV(poll_for(sv[1], POLLIN, SETTLE_MS));
}

CHECK(lowat_and_recv)
{
    int sv[2];
    char b[32];

    tcp_pair(sv);
    lowat(sv[1], 8);
    R(send(sv[0], "1234", 4, 0));
    NEED(settle_sent(sv[0]));
    R(recv(sv[1], b, 32, MSG_DONTWAIT));
    TEXT(b, 4);
    R(send(sv[0], "1234", 4, 0));
    NEED(settle_sent(sv[0]));
    send_later(sv[0], "5678", 50);
    R(recv(sv[1], b, 4, 0)); /* as much as was asked for */
    send_later(sv[0], "90", 100);
    NEED(settle_bytes(sv[1], 4));
    R(recv(sv[1], b, 32, MSG_DONTWAIT) >= 4);
    set_timeo(sv[1], SO_RCVTIMEO, 60);
    NEED(settle_bytes(sv[1], 2));
    R(recv(sv[1], b, 32, 0));
    R(recv(sv[1], b, 32, 0));
}

CHECK(peek_and_wait_for_all)
{
    int sv[2];
    char b[32];

    tcp_pair(sv);
    R(send(sv[0], "abc", 3, 0));
    NEED(settle_bytes(sv[1], 3));
    R(recv(sv[1], b, 3, MSG_PEEK | MSG_WAITALL));
    send_later(sv[0], "def", 50);
    R(recv(sv[1], b, 6, MSG_PEEK | MSG_WAITALL));
    TEXT(b, 6);
    R(recv(sv[1], b, 7, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT));
    set_timeo(sv[1], SO_RCVTIMEO, 60);
    R(recv(sv[1], b, 7, MSG_PEEK | MSG_WAITALL));
    set_timeo(sv[1], SO_RCVTIMEO, 0);
    R(shutdown(sv[0], SHUT_WR));
    R(recv(sv[1], b, 7, MSG_PEEK | MSG_WAITALL));
    R(recv(sv[1], b, 32, MSG_WAITALL));
    R(recv(sv[1], b, 32, MSG_WAITALL));
}

CHECK(wait_for_all)
{
    int sv[2];
    char b[32];
    struct iovec v[2] = {{b, 4}, {b + 4, 4}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

    tcp_pair(sv);
    R(send(sv[0], "ab", 2, 0));
    send_later(sv[0], "cdefgh", 40);
    R(recvmsg(sv[1], &m, MSG_WAITALL));
    TEXT(b, 8);
    R(send(sv[0], "ij", 2, 0));
    set_timeo(sv[1], SO_RCVTIMEO, 60);
    R(recvmsg(sv[1], &m, MSG_WAITALL));
    R(recvmsg(sv[1], &m, MSG_WAITALL));
}

CHECK(peek_offset)
{
    int sv[2], off = 0;
    socklen_t len = sizeof(off);
    char b[32];

    tcp_pair(sv);
    R(getsockopt(sv[1], SOL_SOCKET, OPT_PEEK_OFF, &off, &len));
    V(off);
    off = 2;
    R(setsockopt(sv[1], SOL_SOCKET, OPT_PEEK_OFF, &off, sizeof(off)));
    R(send(sv[0], "abcdefgh", 8, 0));
    NEED(settle_bytes(sv[1], 8));
    R(recv(sv[1], b, 3, MSG_PEEK));
    TEXT(b, 3);
    R(recv(sv[1], b, 2, MSG_PEEK));
    TEXT(b, 2);
    R(recv(sv[1], b, 4, 0));
    TEXT(b, 4);
    R(getsockopt(sv[1], SOL_SOCKET, OPT_PEEK_OFF, &off, &len));
    V(off);
    R(recv(sv[1], b, 8, MSG_PEEK));
    TEXT(b, 1);
    R(recv(sv[1], b, 8, MSG_PEEK | MSG_DONTWAIT));
    R(recv(sv[1], b, 8, 0));
    R(getsockopt(sv[1], SOL_SOCKET, OPT_PEEK_OFF, &off, &len));
    V(off);
    off = -1;
    R(setsockopt(sv[1], SOL_SOCKET, OPT_PEEK_OFF, &off, sizeof(off)));
    R(send(sv[0], "xy", 2, 0));
    NEED(settle_bytes(sv[1], 2));
    R(recv(sv[1], b, 1, MSG_PEEK));
    R(recv(sv[1], b, 2, MSG_PEEK));
    TEXT(b, 2);
}

/* Reads without a buffer. */
CHECK(throw_away)
{
    int sv[2], n = -1;
    char b[8] = "........";

    tcp_pair(sv);
    R(send(sv[0], "abcdef", 6, 0));
    NEED(settle_bytes(sv[1], 6));
    R(recv(sv[1], NULL, 2, MSG_TRUNC | MSG_PEEK));
    R(recv(sv[1], NULL, 2, MSG_TRUNC));
    R(ioctl(sv[1], FIONREAD, &n));
    V(n);
    R(recv(sv[1], b, 8, MSG_TRUNC));
    TEXT(b, 8);
}
