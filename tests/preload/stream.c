/* stream.c: the byte stream: read, write, their vectors, the MSG_ flags, full and empty buffers. */
#include "check.h"

#include <limits.h>

CHECK(plain)
{
    int sv[2];
    char b[16];

    tcp_pair(sv);
    R(write(sv[0], "hello", 5));
    R(read(sv[1], b, 3));
    TEXT(b, 3);
    R(read(sv[1], b, sizeof(b)));
    TEXT(b, 2);
    R(send(sv[1], "to and", 6, 0));
    NEED(settle_bytes(sv[0], 6));
    R(send(sv[1], " fro", 4, 0));
    NEED(settle_bytes(sv[0], 10));
    R(recv(sv[0], b, sizeof(b), 0));
    TEXT(b, 10);
}

CHECK(nothing_there)
{
    int sv[2];
    char b;

    tcp_pair(sv);
    R(recv(sv[0], &b, 1, MSG_DONTWAIT));
    NEED(fcntl(sv[0], F_SETFL, O_NONBLOCK) == 0);
    R(read(sv[0], &b, 1));
    R(recv(sv[0], &b, 1, 0));
    R(recv(sv[0], &b, 1, MSG_WAITALL));
    R(recv(sv[0], &b, 1, MSG_PEEK));
    R(recv(sv[0], &b, 0, 0));
    R(read(sv[0], &b, 0));
    R(readv(sv[0], &(struct iovec){&b, 1}, 1));
    R(write(sv[0], "", 0));
    R(send(sv[0], "", 0, 0));
    R(recv(sv[1], &b, 1, MSG_DONTWAIT));
}

CHECK(peek)
{
    int sv[2];
    char b[16];

    tcp_pair(sv);
    NEED(send(sv[0], "abcdef", 6, 0) == 6);
    NEED(settle_bytes(sv[1], 6));
    R(recv(sv[1], b, 4, MSG_PEEK));
    TEXT(b, 4);
    R(recv(sv[1], b, sizeof(b), MSG_PEEK));
    TEXT(b, 6);
    R(recv(sv[1], b, 2, 0));
    R(recv(sv[1], b, sizeof(b), MSG_PEEK | MSG_DONTWAIT));
    TEXT(b, 4);
    R(recv(sv[1], b, sizeof(b), 0));
    R(recv(sv[1], b, sizeof(b), MSG_PEEK | MSG_DONTWAIT));
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, sizeof(b), MSG_PEEK));
    R(recv(sv[1], b, sizeof(b), 0));
}

/* MSG_PEEK looks across segments. */
CHECK(peek_across)
{
    int sv[2], on = 1;
    char b[16];

    tcp_pair(sv);
    setsockopt(sv[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (int i = 0; i < 4; i++)
        NEED(send(sv[0], &"wxyz"[i], 1, 0) == 1);
    NEED(settle_bytes(sv[1], 4));
    R(recv(sv[1], b, sizeof(b), MSG_PEEK));
    TEXT(b, 4);
    R(recv(sv[1], b, 3, MSG_PEEK | MSG_WAITALL));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, 4);
}

/* On TCP MSG_TRUNC throws the bytes away instead of copying them. */
CHECK(trunc)
{
    int sv[2];
    char b[8] = "--------";

    tcp_pair(sv);
    NEED(send(sv[0], "0123456789", 10, 0) == 10);
    NEED(settle_bytes(sv[1], 10));
    R(recv(sv[1], b, 4, MSG_TRUNC));
    TEXT(b, 8);
    R(recv(sv[1], NULL, 3, MSG_TRUNC));
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 3);
}

CHECK(waitall)
{
    int sv[2];
    char b[8];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        send(sv[0], "one", 3, 0);
        nap(20);
        send(sv[0], "two", 3, 0);
        nap(20);
        send(sv[0], "xy", 2, 0);
        shutdown(sv[0], SHUT_WR);
        _exit(0);
    }
    R(recv(sv[1], b, 6, MSG_WAITALL));
    TEXT(b, 6);
    R(recv(sv[1], b, 8, MSG_WAITALL));
    TEXT(b, 2);
    R(recv(sv[1], b, 8, MSG_WAITALL));
    V(child_status(p));
}

CHECK(waitall_dontwait)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[0], "abc", 3, 0) == 3);
    NEED(settle_bytes(sv[1], 3));
    R(recv(sv[1], b, 8, MSG_WAITALL | MSG_DONTWAIT));
    R(recv(sv[1], b, 8, MSG_WAITALL | MSG_DONTWAIT));
}

CHECK(vectors)
{
    int sv[2];
    char b1[3], b2[4], b3[8];
    struct iovec out[4] = {{"ab", 2}, {NULL, 0}, {"cde", 3}, {"fghij", 5}};
    struct iovec in[3] = {{b1, sizeof(b1)}, {b2, sizeof(b2)}, {b3, sizeof(b3)}};

    tcp_pair(sv);
    R(writev(sv[0], out, 4));
    NEED(settle_bytes(sv[1], 10));
    R(readv(sv[1], in, 3));
    TEXT(b1, 3);
    TEXT(b2, 4);
    TEXT(b3, 3);
    R(writev(sv[0], out, 0));
    R(readv(sv[1], in, 0));
    R(writev(sv[0], out, -1));
    R(readv(sv[1], in, -1));
    R(writev(sv[0], out, IOV_MAX + 1));
    out[0].iov_len = (size_t)-1;
    R(writev(sv[0], out, 2));
    in[0].iov_len = (size_t)SSIZE_MAX + 1;
    R(readv(sv[1], in, 1));
}

CHECK(many_vectors)
{
    int sv[2];
    static struct iovec v[IOV_MAX];
    static char out[IOV_MAX * 3], in[IOV_MAX * 3];

    for (int i = 0; i < IOV_MAX * 3; i++)
        out[i] = (char)(i * 7);
    for (int i = 0; i < IOV_MAX; i++)
        v[i] = (struct iovec){out + i * 3, 3};
    tcp_pair(sv);
    R(writev(sv[0], v, IOV_MAX));
    for (int i = 0; i < IOV_MAX; i++)
        v[i] = (struct iovec){in + i * 3, 3};
    NEED(settle_bytes(sv[1], IOV_MAX * 3));
    R(readv(sv[1], v, IOV_MAX));
    V(memcmp(in, out, sizeof(in)));
}

CHECK(send_buffer_full)
{
    int sv[2];
    static char b[4096];
    long total;

    tcp_pair_nb(sv);
    total = fill(sv[0]);
    V(total > 0);
    R(send(sv[0], b, 1, 0));
    R(write(sv[0], b, sizeof(b)));
    R(writev(sv[0], &(struct iovec){b, 1}, 1));
    R(send(sv[0], b, 1, MSG_DONTWAIT));
    EV(poll_for(sv[0], POLLOUT, 0));
    for (long got = 0; got < total;) {
        ssize_t n;

        if (!settle(sv[1], POLLIN))
            break;
        n = recv(sv[1], b, sizeof(b), 0);
        NEED(n > 0);
        got += n;
    }
    EV(poll_for(sv[0], POLLOUT, SETTLE_MS));
    R(send(sv[0], b, 1, 0));
}

/* A non-blocking write of more than fits takes a part; a blocking one waits for the rest. */
CHECK(partial_write)
{
    int sv[2];
    static char big[16 << 20];
    long n, rest;
    pid_t p;

    tcp_pair(sv);
    n = send(sv[0], big, sizeof(big), MSG_DONTWAIT);
    V(n > 0 && n < (long)sizeof(big));
    p = fork_tied();
    if (p == 0) {
        close(sv[0]);
        _exit(read_all(sv[1], big, n + (4 << 20)) == n + (4 << 20) ? 0 : 1);
    }
    rest = send(sv[0], big, 4 << 20, 0);
    V(rest == 4 << 20);
    V(child_status(p));
}

/* 4 MiB in odd pieces through both directions at once: order and content. */
static unsigned char pattern(long i)
{
    return (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static int verify_in(int fd, long total)
{
    unsigned char b[7777];
    long got = 0;

    while (got < total) {
        ssize_t n = recv(fd, b, sizeof(b) - (size_t)(got % 99), 0);

        if (n <= 0)
            return 1;
        for (ssize_t i = 0; i < n; i++)
            if (b[i] != pattern(got + i))
                return 2;
        got += n;
    }
    return 0;
}

static int pattern_out(int fd, long total)
{
    unsigned char b[10000];
    long done = 0;

    while (done < total) {
        long want = 1 + (done * 13) % (long)sizeof(b);
        ssize_t n;

        if (want > total - done)
            want = total - done;
        for (long i = 0; i < want; i++)
            b[i] = pattern(done + i);
        n = send(fd, b, (size_t)want, 0);
        if (n <= 0)
            return 1;
        done += n;
    }
    return 0;
}

CHECK(content_both_ways)
{
    enum { TOTAL = 4 << 20 };
    int sv[2];
    pid_t p[3];

    tcp_pair(sv);
    for (int i = 0; i < 3; i++) {
        p[i] = fork_tied();
        if (p[i] == 0)
            _exit(i == 0   ? pattern_out(sv[0], TOTAL)
                  : i == 1 ? verify_in(sv[1], TOTAL)
                           : pattern_out(sv[1], TOTAL));
    }
    V(verify_in(sv[0], TOTAL));
    for (int i = 0; i < 3; i++)
        V(child_status(p[i]));
}

CHECK(recvfrom_on_a_stream)
{
    int sv[2];
    struct sockaddr_in from = {.sin_family = 77}, to = lo4(9);
    socklen_t len = sizeof(from);
    char b[4];

    tcp_pair(sv);
    R(sendto(sv[0], "x", 1, 0, SA(to)));
    NEED(settle_bytes(sv[1], 1));
    R(recvfrom(sv[1], b, 1, 0, (struct sockaddr *)&from, &len));
    show("name", "family %d length %u", from.sin_family, len);
    R(sendto(tcp4(), "x", 1, MSG_NOSIGNAL, SA(to)));
}

CHECK(unknown_flags)
{
    int sv[2];
    char b[4];

    tcp_pair(sv);
    R(send(sv[0], "abcd", 4, MSG_CONFIRM | MSG_DONTROUTE | MSG_EOR | MSG_NOSIGNAL));
    NEED(settle_bytes(sv[1], 4));
    R(recv(sv[1], b, 1, MSG_NOSIGNAL));
    R(recv(sv[1], b, 1, 0x10000000));
    R(recv(sv[1], b, 1, MSG_ERRQUEUE));
    R(recv(sv[1], b, 1, MSG_OOB));
    R(recv(sv[1], b, 4, MSG_DONTWAIT));
}

/* Blocking calls really wait for what comes later. */
CHECK(blocking_read)
{
    int sv[2];
    char b[4];
    long start = now_ms();
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        nap(30);
        _exit(send(sv[0], "late", 4, 0) == 4 ? 0 : 1);
    }
    R(recv(sv[1], b, 4, 0));
    took("waited", start, 30);
    V(child_status(p));
}

CHECK(rcvlowat)
{
    int sv[2], low = 5, v = -1;
    socklen_t len = sizeof(v);
    char b[16];

    tcp_pair(sv);
    R(setsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
    R(getsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &v, &len));
    V(v);
    NEED(send(sv[0], "abc", 3, 0) == 3);
    NEED(settle_bytes(sv[1], 3));
    EV(poll_for(sv[1], POLLIN, QUIET_MS));
    R(recv(sv[1], b, sizeof(b), MSG_DONTWAIT));
    NEED(send(sv[0], "defgh", 5, 0) == 5);
    EV(poll_for(sv[1], POLLIN, SETTLE_MS));
    R(recv(sv[1], b, sizeof(b), 0));
    low = 0;
    R(setsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
    R(getsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &v, &len));
    V(v);
}
