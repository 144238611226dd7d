/* cores: how near the two cores are on which server and client run: the time of a cache line there and back,
 * and the rate at which one copies into buffers that the other reads.
 *
 *   bench-cores [CORE CORE]       default 0 1
 *
 * In a virtual machine a core is where its host puts it, now beside the other one, on the same last-level
 * cache, now on another, and a run finds what it finds: whatever passes data from core to core is several
 * times as fast in the one case. `shunt bench` asks before and after each run, so that its figures can be
 * told apart by it. Both are the best of short rounds, some 50 ms in all.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report.h"

#define ROUNDS  50
#define TRIPS   200 /* of a round */
#define BUFFERS 512
#define BYTES   2048 /* of a buffer: a packet's */
#define STRIDE  2432 /* from one to the next */
#define TURN    32   /* buffers handed over at once */
#define COPY_NS 30000000u

static _Alignas(128) atomic_int line;
static _Alignas(128) atomic_ulong written;
static _Alignas(128) atomic_ulong taken;
static _Alignas(128) atomic_bool ended;
static char *ring;
static uint16_t order[BUFFERS]; /* as a pool hands them out: in none */
static int cpu[2] = {0, 1};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(int n)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(n, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0) {
        perror("bench-cores");
        exit(1);
    }
}

static char *buffer(unsigned long i)
{
    return ring + (size_t)order[i % BUFFERS] * STRIDE;
}

/* The other core: answers the line, then reads what is written. */
static void *other(void *arg)
{
    static char to[TURN * BYTES];
    unsigned long n = 0;

    pin(cpu[1]);
    while (!atomic_load_explicit(&ended, memory_order_relaxed)) {
        if (atomic_load_explicit(&line, memory_order_acquire) == 1)
            atomic_store_explicit(&line, 0, memory_order_release);
        if (atomic_load_explicit(&written, memory_order_acquire) == n)
            continue;
        for (int i = 0; i < TURN; i++)
            memcpy(to + i * BYTES, buffer(n + (unsigned)i), BYTES);
        n += TURN;
        atomic_store_explicit(&taken, n, memory_order_release);
    }
    return arg;
}

static double round_trip_ns(void)
{
    double best = 1e9;

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t t0 = now_ns();
        double ns;

        for (int i = 0; i < TRIPS; i++) {
            atomic_store_explicit(&line, 1, memory_order_release);
            while (atomic_load_explicit(&line, memory_order_acquire))
                ;
        }
        ns = (double)(now_ns() - t0) / TRIPS;
        best = ns < best ? ns : best;
    }
    return best;
}

/* Gigabytes a second, with a quarter of the buffers under way. */
static double copy_rate(void)
{
    static char from[BYTES];
    uint64_t end = now_ns() + COPY_NS, t0 = now_ns();
    unsigned long n = 0, round = 0;
    double best = 0;

    while (now_ns() < end) {
        while (n - atomic_load_explicit(&taken, memory_order_acquire) > BUFFERS / 4)
            ;
        for (int i = 0; i < TURN; i++)
            memcpy(buffer(n + (unsigned)i), from, BYTES);
        n += TURN;
        atomic_store_explicit(&written, n, memory_order_release);
        if (n - round >= 32 * TURN) {
            uint64_t t = now_ns();
            double rate = (double)(n - round) * BYTES / (double)(t - t0);

            best = rate > best ? rate : best;
            round = n;
            t0 = t;
        }
    }
    return best;
}

int main(int argc, char **argv)
{
    pthread_t t;

    if (argc == 3) {
        cpu[0] = atoi(argv[1]);
        cpu[1] = atoi(argv[2]);
    }
    ring = aligned_alloc(4096, (size_t)BUFFERS * STRIDE + 4096 - (size_t)BUFFERS * STRIDE % 4096);
    if (!ring)
        return 1;
    memset(ring, 1, (size_t)BUFFERS * STRIDE);
    srand(1);
    for (unsigned i = 0; i < BUFFERS; i++) {
        unsigned j = (unsigned)rand() % (i + 1);

        order[i] = order[j];
        order[j] = (uint16_t)i;
    }
    pin(cpu[0]);
    if (pthread_create(&t, NULL, other, NULL))
        return 1;
    report_begin("cores");
    report_number("line_ns", round_trip_ns());
    report_number("copy_gb_s", copy_rate());
    report_end();
    atomic_store(&ended, true);
    return pthread_join(t, NULL);
}
