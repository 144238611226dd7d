/* timeo.c: SO_RCVTIMEO and SO_SNDTIMEO: values, and the calls that obey them. */
#include "check.h"

CHECK(values)
{
    static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};
    static const struct timeval in[] = {{0, 0},    {1, 500000}, {0, 4000},  {-1, 0}, {0, 1000000},
                                        {0, -1},   {100000, 0}, {0, 50000}, {0, 1},  {0, 999999},
                                        {2, 4001}, {0, 3999},   {1, 500001}};
    int s = tcp4();

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
            struct timeval tv = {7, 7};
            socklen_t len = sizeof(tv);

            show("set", "%s",
                 setsockopt(s, SOL_SOCKET, names[k], &in[i], sizeof(in[i])) ? errname(errno) : "0");
            NEED(getsockopt(s, SOL_SOCKET, names[k], &tv, &len) == 0);
            show("get", "%ld.%06ld length %u", (long)tv.tv_sec, (long)tv.tv_usec, len);
        }
        R(setsockopt(s, SOL_SOCKET, names[k], &in[1], sizeof(in[1]) - 1));
        R(setsockopt(s, SOL_SOCKET, names[k], &in[1], 0));
    }
}

CHECK(reads)
{
    int sv[2];
    char b;
    long start;
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    tcp_pair(sv);
    set_timeo(sv[0], SO_RCVTIMEO, 30);
    start = now_ms();
    R(read(sv[0], &b, 1));
    took("read", start, 30);
    start = now_ms();
    R(recv(sv[0], &b, 1, 0));
    took("recv", start, 30);
    start = now_ms();
    R(recvmsg(sv[0], &m, 0));
    took("recvmsg", start, 30);
    start = now_ms();
    R(readv(sv[0], &v, 1));
    took("readv", start, 30);
    start = now_ms();
    R(recv(sv[0], &b, 1, MSG_PEEK));
    took("peek", start, 30);
    R(recv(sv[0], &b, 1, MSG_DONTWAIT));
    NEED(send(sv[1], "x", 1, 0) == 1);
    R(recv(sv[0], &b, 1, 0));
}

CHECK(waitall_gives_what_came)
{
    int sv[2];
    char b[8];
    long start;

    tcp_pair(sv);
    set_timeo(sv[0], SO_RCVTIMEO, 40);
    NEED(send(sv[1], "part", 4, 0) == 4);
    start = now_ms();
    R(recv(sv[0], b, 8, MSG_WAITALL));
    took("waited", start, 40);
    TEXT(b, 4);
}

CHECK(datagrams)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_DGRAM, &a);
    long start = now_ms();
    char b;

    set_timeo(s, SO_RCVTIMEO, 30);
    R(recv(s, &b, 1, 0));
    took("waited", start, 30);
    NEED(sendto(s, "x", 1, 0, SA(a)) == 1);
    R(recv(s, &b, 1, 0));
}

CHECK(writes)
{
    int sv[2];
    long start;

    tcp_pair(sv);
    fill(sv[0]);
    set_timeo(sv[0], SO_SNDTIMEO, 30);
    start = now_ms();
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    took("send", start, 30);
    fill(sv[0]); /* what became free meanwhile */
    start = now_ms();
    R(write(sv[0], "x", 1));
    took("write", start, 30);
}

/* What was taken before the time ran out is the result. */
CHECK(partial_send)
{
    int sv[2];
    static char b[32 << 20];
    long start, n;

    tcp_pair(sv);
    set_timeo(sv[0], SO_SNDTIMEO, 30);
    start = now_ms();
    n = send(sv[0], b, sizeof(b), 0);
    V(n > 0 && n < (long)sizeof(b));
    took("send", start, 30);
}

CHECK(connects)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a), c;
    long start;

    NEED(listen(l, 0) == 0);
    for (int i = 0; i < 10; i++) { /* the accept queue fills; then nobody answers */
        c = tcp4();
        set_timeo(c, SO_SNDTIMEO, 50);
        start = now_ms();
        if (connect(c, SA(a)) == 0)
            continue;
        V(errno == EINPROGRESS);
        took("connect", start, 50);
        R(connect(c, SA(a)));
        SOERR(c);
        return;
    }
    show("a connect that timed out", "never");
}

CHECK(poll_ignores_them)
{
    int sv[2];
    long start;

    tcp_pair(sv);
    set_timeo(sv[0], SO_RCVTIMEO, 10);
    start = now_ms();
    EV(poll_for(sv[0], POLLIN, 40));
    took("poll", start, 40);
}
