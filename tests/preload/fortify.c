/* fortify.c: the entry points that _FORTIFY_SOURCE makes of read, recv, recvfrom, poll, ppoll and FD_SET;
 * built with it. */
#include "check.h"

#include <sys/select.h>

#if !defined(_FORTIFY_SOURCE) || _FORTIFY_SOURCE < 1
#error "this program tests what _FORTIFY_SOURCE makes"
#endif

/* A length that the compiler can't know keeps the checked variant in the code. */
static volatile size_t eight = 8;
static volatile int one = 1;

CHECK(reads)
{
    int sv[2];
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[1], "12345678abcdefgh", 16, 0) == 16 && settle_bytes(sv[0], 16));
    R(read(sv[0], b, eight));
    TEXT(b, 8);
    R(recv(sv[0], b, eight - 4, 0));
    TEXT(b, 4);
    R(recvfrom(sv[0], b, eight, MSG_DONTWAIT, NULL, NULL));
    TEXT(b, 4);
    R(recv(sv[0], b, eight, MSG_DONTWAIT));
}

CHECK(polls)
{
    int sv[2];
    struct pollfd p[1];
    struct timespec ts = {1, 0};
    fd_set r;

    tcp_pair(sv);
    NEED(send(sv[1], "x", 1, 0) == 1);
    p[0] = (struct pollfd){sv[0], POLLIN, 0};
    R(poll(p, (nfds_t)one, SETTLE_MS));
    p[0].revents = 0;
    R(ppoll(p, (nfds_t)one, &ts, NULL));
    show_events("ppoll", (unsigned)p[0].revents);
    FD_ZERO(&r);
    FD_SET(sv[0] * one, &r);
    R(select(sv[0] + 1, &r, NULL, NULL, NULL));
    V(FD_ISSET(sv[0] * one, &r) != 0);
}

CHECK(kernel_descriptors)
{
    int p[2];
    char b[8];

    NEED(pipe(p) == 0 && write(p[1], "pipe", 4) == 4);
    R(read(p[0], b, eight));
    TEXT(b, 4);
}

/* Overruns are still caught. */
CHECK(overrun)
{
    static char small[4];
    int sv[2];
    pid_t c;

    tcp_pair(sv);
    NEED(send(sv[1], "12345678", 8, 0) == 8 && settle_bytes(sv[0], 8));
    c = fork_tied();
    if (c == 0) {
        close(2);
        recv(sv[0], small, eight, 0);
        _exit(0);
    }
    V(child_status(c) == 1000 + SIGABRT);
}
