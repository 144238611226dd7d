/* link: the link alone: frames passed by a bare loop on the same DPDK port that a stack would use, opened and
 * configured as the engine does it. What a stack adds to this is its distance from the wire.
 *
 *   bench-link -l [-t SECONDS] SPEC      returns every frame as it came, for so long
 *   bench-link [-s BYTES] [-t SECONDS] SPEC
 *
 * The second sends one frame at a time and waits for its return (half of the time), then as many as the port
 * takes with 256 under way, and prints one line of JSON: p50 and p99 of the first, frames a second of the
 * second.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "../dpdk/dpdk.h"
#include "report.h"

#define BURST     32
#define UNDER_WAY 256
#define UP_NS     8000000000u

static struct netdev *dev;
static struct rte_mempool *pool;
static pthread_mutex_t *lock;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *why)
{
    fprintf(stderr, "link: %s\n", why);
    exit(1);
}

/* The drivers' control, in a process of its own as the keeper's is. */
static void control(void)
{
    if (fork())
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd p[16];
        uint64_t deadline = UINT64_MAX, now;
        int n;

        pthread_mutex_lock(lock);
        dpdk_control_poll(now_ns());
        n = dpdk_control_fds(p, 16, &deadline);
        pthread_mutex_unlock(lock);
        now = now_ns();
        poll(p, (nfds_t)n,
             deadline <= now                ? 0
             : deadline - now > 1000000000u ? 1000
                                            : (int)((deadline - now) / 1000000) + 1);
    }
}

static void begin(const char *spec)
{
    struct link_spec link;
    struct dpdk_config cfg = {.name = "benchlink", .mem_mb = 128, .links = &link, .nlinks = 1};
    pthread_mutexattr_t attr;
    char err[512];

    if (link_parse(spec, &link, err, sizeof err) || dpdk_start(&cfg, &dev, &pool, err, sizeof err) < 0)
        die(err);
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lock == MAP_FAILED)
        die("no memory");
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(lock, &attr);
    control();
    for (uint64_t end = now_ns() + UP_NS; !dpdk_link_up(dev); usleep(1000))
        if (now_ns() > end)
            die("nobody is at the other end");
}

static uint16_t receive(struct rte_mbuf **m)
{
    uint16_t n;

    pthread_mutex_lock(lock);
    n = dev->ops->rx(dev, 0, m, BURST);
    pthread_mutex_unlock(lock);
    return n;
}

/* All of them; false: the time is over, or nobody is there any more. */
static bool send_all(struct rte_mbuf **m, uint16_t n, uint64_t end_ns)
{
    for (uint16_t done = 0; done < n;) {
        pthread_mutex_lock(lock);
        done = (uint16_t)(done + dev->ops->tx(dev, 0, m + done, (uint16_t)(n - done)));
        pthread_mutex_unlock(lock);
        if (done < n && now_ns() > end_ns) {
            rte_pktmbuf_free_bulk(m + done, n - done);
            return false;
        }
    }
    return true;
}

static void give_back(uint64_t end_ns)
{
    struct rte_mbuf *m[BURST];

    while (now_ns() < end_ns) {
        uint16_t n = receive(m);

        if (n)
            send_all(m, n, end_ns);
    }
}

/* A frame of nobody's protocol. */
static struct rte_mbuf *frame(uint16_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    char *p = m ? rte_pktmbuf_append(m, len) : NULL;

    if (!p)
        die("no packet buffers");
    memset(p, 0xff, 12);
    p[12] = (char)0x88;
    p[13] = (char)0xb5; /* local experiments (RFC 9542) */
    memset(p + 14, 'x', len - 14u);
    return m;
}

static void one_at_a_time(uint16_t len, uint64_t end_ns, struct hist *h)
{
    struct rte_mbuf *m[BURST];
    uint64_t t0;

    while ((t0 = now_ns()) < end_ns) {
        uint16_t n = 0;

        m[0] = frame(len);
        if (!send_all(m, 1, end_ns))
            return;
        while (!n && now_ns() < end_ns + UP_NS)
            n = receive(m);
        if (!n)
            die("nothing came back");
        hist_add(h, now_ns() - t0);
        rte_pktmbuf_free_bulk(m, n);
    }
}

static uint64_t many(uint16_t len, uint64_t end_ns)
{
    struct rte_mbuf *m[BURST];
    uint64_t got = 0;
    uint32_t out = 0;

    while (now_ns() < end_ns) {
        uint16_t n = 0;

        while (n < BURST && out + n < UNDER_WAY)
            m[n++] = frame(len);
        if (n && !send_all(m, n, end_ns))
            break;
        out += n;
        n = receive(m);
        rte_pktmbuf_free_bulk(m, n);
        got += n;
        out -= n < out ? n : out;
    }
    return got;
}

int main(int argc, char **argv)
{
    static struct hist h;
    double seconds = 2;
    bool server = false;
    uint16_t len = 130; /* 64 bytes by TCP with timestamps over IPv4 */
    uint64_t end, frames;
    int c;

    while ((c = getopt(argc, argv, "ls:t:")) != -1) {
        server |= c == 'l';
        if (c == 's')
            len = (uint16_t)atoi(optarg);
        if (c == 't')
            seconds = atof(optarg);
    }
    if (optind != argc - 1 || len < 60 || len > 1514)
        die("usage: bench-link [-l] [-s BYTES] [-t SECONDS] LINK");
    begin(argv[optind]);
    if (server) {
        give_back(now_ns() + (uint64_t)(seconds * 1e9));
        return 0;
    }
    hist_reset(&h);
    one_at_a_time(len, now_ns() + 50000000, &h); /* warm */
    hist_reset(&h);
    one_at_a_time(len, now_ns() + (uint64_t)(seconds * 5e8), &h);
    end = now_ns() + (uint64_t)(seconds * 5e8);
    frames = many(len, end);
    report_begin("link");
    report_number("size", len);
    report_hist(&h);
    report_number("frames_per_second", (double)frames / (seconds / 2));
    report_end();
    return 0;
}
