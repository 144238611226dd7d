/* cork.c: TCP_CORK, MSG_MORE and TCP_NODELAY, as far as the receiver can see them. */
#include "check.h"

static void opt(int s, int name, int v)
{
    NEED(setsockopt(s, IPPROTO_TCP, name, &v, sizeof(v)) == 0);
}

static int there(int s, int ms)
{
    int n = -1;

    poll_for(s, POLLIN, ms);
    NEED(ioctl(s, FIONREAD, &n) == 0);
    return n;
}

CHECK(cork_holds)
{
    int sv[2];

    tcp_pair(sv);
    opt(sv[0], TCP_CORK, 1);
    R(send(sv[0], "one", 3, 0));
    R(send(sv[0], "two", 3, 0));
    V(there(sv[1], QUIET_MS));
    opt(sv[0], TCP_CORK, 0);
    NEED(settle_bytes(sv[1], 6));
    V(there(sv[1], 0));
}

CHECK(cork_ends_by_itself)
{
    int sv[2];
    long start = now_ms();

    tcp_pair(sv);
    opt(sv[0], TCP_CORK, 1);
    R(send(sv[0], "one", 3, 0));
    EV(poll_for(sv[1], POLLIN, SETTLE_MS));
    V(there(sv[1], 0));
    V(now_ms() - start >= 150);
}

CHECK(cork_ends_by_close)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    opt(sv[0], TCP_CORK, 1);
    R(send(sv[0], "one", 3, 0));
    V(there(sv[1], QUIET_MS));
    close(sv[0]);
    NEED(settle(sv[1], POLLRDHUP));
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), 0));
}

CHECK(cork_ends_by_shutdown)
{
    int sv[2];

    tcp_pair(sv);
    opt(sv[0], TCP_CORK, 1);
    R(send(sv[0], "one", 3, 0));
    V(there(sv[1], 0));
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLRDHUP));
    V(there(sv[1], 0));
}

CHECK(full_segments_leave)
{
    int sv[2], mss = 0;
    socklen_t len = sizeof(mss);
    static char b[200000];
    int got;

    tcp_pair(sv);
    NEED(getsockopt(sv[0], IPPROTO_TCP, TCP_MAXSEG, &mss, &len) == 0 && mss > 0 && mss < 100000);
    opt(sv[0], TCP_CORK, 1);
    NEED(send(sv[0], b, (size_t)mss + 10, 0) == mss + 10);
    NEED(settle_bytes(sv[1], 1));
    nap(QUIET_MS);
    got = there(sv[1], 0);
    show("full segments", "%s", got > 0 && got % mss == 0 ? "only" : "no");
    opt(sv[0], TCP_CORK, 0);
    V(settle_bytes(sv[1], mss + 10));
}

CHECK(more)
{
    int sv[2];

    tcp_pair(sv);
    R(send(sv[0], "head", 4, MSG_MORE));
    V(there(sv[1], QUIET_MS));
    R(send(sv[0], "body", 4, 0));
    NEED(settle_bytes(sv[1], 8));
    V(there(sv[1], 0));
}

/* TCP_NODELAY does not break MSG_MORE, and setting it pushes what waits. */
CHECK(more_and_nodelay)
{
    int sv[2];

    tcp_pair(sv);
    opt(sv[0], TCP_NODELAY, 1);
    R(send(sv[0], "head", 4, MSG_MORE));
    V(there(sv[1], QUIET_MS));
    opt(sv[0], TCP_NODELAY, 1);
    NEED(settle_bytes(sv[1], 4));
    V(there(sv[1], 0));
}

CHECK(nodelay_sends_at_once)
{
    int sv[2];
    long start = now_ms();

    tcp_pair(sv);
    opt(sv[0], TCP_NODELAY, 1);
    for (int i = 0; i < 20; i++)
        NEED(send(sv[0], "x", 1, 0) == 1);
    V(settle_bytes(sv[1], 20));
    V(now_ms() - start < 150);
}

/* Write-write-read with Nagle: the first small segment leaves at once, nothing is lost. */
CHECK(nagle)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    R(send(sv[0], "a", 1, 0));
    R(send(sv[0], "b", 1, 0));
    R(send(sv[0], "c", 1, 0));
    V(settle_bytes(sv[1], 3));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, 3);
}

CHECK(datagram_more)
{
    int sv[2];
    char b[16];

    udp_pair(sv);
    R(send(sv[0], "one ", 4, MSG_MORE));
    EV(poll_for(sv[1], POLLIN, QUIET_MS));
    R(send(sv[0], "datagram", 8, 0));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, 12);
}
