/* splice.c: splice between a socket and a pipe. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

CHECK(both_ways)
{
    int sv[2], p[2];
    char b[8];

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(write(p[1], "pipe", 4) == 4);
    R(splice(p[0], NULL, sv[0], NULL, 4, 0));
    NEED(settle_bytes(sv[1], 4));
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    R(read(p[0], b, 8));
    TEXT(b, 4);
    NEED(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLIN));
    R(splice(sv[1], NULL, p[1], NULL, 100, 0));
}

CHECK(urgent_data_ends_it)
{
    int sv[2], p[2];

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(send(sv[0], "abc!", 4, MSG_OOB) == 4);
    NEED(settle(sv[1], POLLPRI));
    R(splice(sv[1], NULL, p[1], NULL, 3, 0));
    R(splice(sv[1], NULL, p[1], NULL, 100, 0));
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    NEED(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
    R(splice(sv[1], NULL, p[1], NULL, 100, 0));
}

/* --- on a small stack --- */

static int small_sv[2], small_p[2];

static void *splice_both_ways(void *arg)
{
    char b[64];

    (void)arg;
    NEED(write(small_p[1], "through", 7) == 7);
    R(splice(small_p[0], NULL, small_sv[0], NULL, 60000, 0));
    R(recv(small_sv[1], b, sizeof(b), 0));
    NEED(send(small_sv[1], "back", 4, 0) == 4);
    R(splice(small_sv[0], NULL, small_p[1], NULL, 60000, 0));
    R(read(small_p[0], b, sizeof(b)));
    return NULL;
}

/* A thread's stack of 48 KiB, and below it memory that is somebody else's. */
CHECK(small_stack)
{
    enum { BELOW = 128 << 10, STACK = 48 << 10 };
    unsigned char *p = mmap(NULL, BELOW + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;
    pthread_t t;
    bool whole = true;

    NEED(p != MAP_FAILED && pipe(small_p) == 0);
    tcp_pair(small_sv);
    memset(p, 0xaa, BELOW);
    NEED(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, p + BELOW, STACK) == 0);
    NEED(pthread_create(&t, &attr, splice_both_ways, NULL) == 0);
    pthread_join(t, NULL);
    for (int i = 0; i < BELOW; i++)
        whole &= p[i] == 0xaa;
    V(whole);
}
