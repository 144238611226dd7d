/* link.c: see link.h. */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_TYPE 0x88b5
#define FRAME_MIN  18

static pthread_mutex_t *lock; /* one a shard */
uint16_t side_shards = 1;

void check(bool ok, const char *file, int line, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    _exit(1);
}

uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

void own_namespace(void)
{
    char map[64];
    if (geteuid() == 0) {
        if (unshare(CLONE_NEWNET) == 0)
            return;
    } else {
        unsigned uid = getuid(), gid = getgid();
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
            write_file("/proc/self/setgroups", "deny");
            snprintf(map, sizeof(map), "0 %u 1", uid);
            write_file("/proc/self/uid_map", map);
            snprintf(map, sizeof(map), "0 %u 1", gid);
            write_file("/proc/self/gid_map", map);
            return;
        }
    }
    printf("skipped: no network namespace: %s\n", strerror(errno));
    exit(SKIP);
}

int run(const char *cmd, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, cmd);
    vsnprintf(line, sizeof(line), cmd, ap);
    va_end(ap);
    return system(line);
}

void side_lock_shard(unsigned q)
{
    pthread_mutex_lock(&lock[q]);
    RTE_PER_LCORE(_lcore_id) = q;
}

void side_unlock_shard(unsigned q)
{
    RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
    pthread_mutex_unlock(&lock[q]);
}

void side_lock(void)
{
    for (unsigned q = NETDEV_QUEUE_MAX; q-- > 1;)
        pthread_mutex_lock(&lock[q]);
    side_lock_shard(0);
}

void side_unlock(void)
{
    side_unlock_shard(0);
    for (unsigned q = 1; q < NETDEV_QUEUE_MAX; q++)
        pthread_mutex_unlock(&lock[q]);
}

static void lock_init(void)
{
    pthread_mutexattr_t attr;
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    for (unsigned q = 0; q < NETDEV_QUEUE_MAX; q++)
        pthread_mutex_init(&lock[q], &attr);
}

static pid_t keeper_fork(void)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd p[64];
        uint64_t deadline = UINT64_MAX;
        side_lock();
        dpdk_control_poll(now_ns());
        int n = dpdk_control_fds(p, 64, &deadline);
        side_unlock();
        uint64_t now = now_ns(), wait = deadline <= now ? 0 : (deadline - now) / 1000000 + 1;
        poll(p, (nfds_t)n, wait > 1000 ? 1000 : (int)wait);
    }
}

struct side side_start(uint32_t mem_mb, bool keeper, const char *spec, ...)
{
    struct side s = {0};
    struct link_spec links[4];
    char err[512];
    unsigned n = 0;
    va_list ap;
    va_start(ap, spec);
    for (; spec && n < 4; spec = va_arg(ap, const char *))
        if (link_parse(spec, &links[n++], err, sizeof(err)) != 0) {
            fprintf(stderr, "%s\n", err);
            exit(1);
        }
    va_end(ap);
    struct dpdk_config cfg = {.name = "linktest",
                              .mem_mb = mem_mb,
                              .links = links,
                              .nlinks = n,
                              .nshard = side_shards,
                              .debug = getenv("SHUNT_TEST_DEBUG") != NULL};
    setlinebuf(stdout);
    uint64_t t = now_ns();
    int rc = dpdk_start(&cfg, s.dev, &s.pool, err, sizeof(err));
    s.start_ms = (double)(now_ns() - t) / 1e6;
    if (rc < 0) {
        fprintf(stderr, "%s\n", err);
        exit(rc == -EPERM || rc == -ENOENT || rc == -EOPNOTSUPP ? SKIP : 1);
    }
    lock_init();
    if (keeper)
        s.keeper = keeper_fork();
    return s;
}

struct rte_mbuf *frame_make(struct rte_mempool *pool, uint32_t seq, uint32_t len)
{
    static const unsigned char header[14] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, FRAME_TYPE >> 8, FRAME_TYPE & 0xff};
    struct rte_mbuf *head = NULL;
    for (uint32_t at = 0; at < len;) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        CHECK(m != NULL);
        uint16_t n = (uint16_t)(len - at < rte_pktmbuf_tailroom(m) ? len - at : rte_pktmbuf_tailroom(m));
        unsigned char *p = (unsigned char *)rte_pktmbuf_append(m, n);
        for (uint32_t i = 0; i < n; i++, at++)
            p[i] = at < 14          ? header[at]
                   : at < FRAME_MIN ? (unsigned char)(seq >> (8 * (at - 14)))
                                    : (unsigned char)(seq + at);
        if (!head)
            head = m;
        else
            rte_pktmbuf_chain(head, m);
    }
    return head;
}

int64_t frame_check(const struct rte_mbuf *m)
{
    uint32_t seq = 0, at = 0;
    if (m->data_len < FRAME_MIN)
        return -1;
    const unsigned char *h = rte_pktmbuf_mtod(m, const unsigned char *);
    if (h[12] != FRAME_TYPE >> 8 || h[13] != (FRAME_TYPE & 0xff))
        return -1;
    for (unsigned i = 0; i < 4; i++)
        seq |= (uint32_t)h[14 + i] << (8 * i);
    for (; m; m = m->next) {
        const unsigned char *p = rte_pktmbuf_mtod(m, const unsigned char *);
        for (uint32_t i = 0; i < m->data_len; i++, at++)
            if (at >= FRAME_MIN && p[i] != (unsigned char)(seq + at))
                return -1;
    }
    return seq;
}

static struct rte_mbuf *receive_one(struct netdev *dev)
{
    struct rte_mbuf *m = NULL;
    side_lock();
    uint16_t n = dev->ops->rx(dev, 0, &m, 1);
    side_unlock();
    return n ? m : NULL;
}

void sleep_on(struct netdev *dev, unsigned q, unsigned ms)
{
    struct pollfd p[8];
    side_lock_shard(q);
    int n = dpdk_rx_fds(dev, q, p, 8);
    dpdk_rx_arm(dev, q);
    uint64_t slice = dpdk_rx_slice_ns(dev, 10000000);
    side_unlock_shard(q);
    struct timespec ts = {0, (long)(n > 0 ? ms * 1000000ULL : slice)};
    ppoll(p, (nfds_t)n, &ts, NULL);
    side_lock_shard(q);
    dpdk_rx_disarm(dev, q, p, n);
    side_unlock_shard(q);
}

struct rte_mbuf *receive(struct netdev *dev, unsigned ms)
{
    uint64_t end = now_ns() + ms * 1000000ULL;
    do {
        struct rte_mbuf *m = receive_one(dev);
        if (m)
            return m;
        sleep_on(dev, 0, 1);
    } while (now_ns() < end);
    return NULL;
}

bool transmit(struct netdev *dev, struct rte_mbuf *m)
{
    uint64_t end = now_ns() + 1000000000;
    for (;;) {
        side_lock();
        uint16_t n = dev->ops->tx(dev, 0, &m, 1);
        side_unlock();
        if (n)
            return true;
        if (now_ns() > end)
            break;
        sched_yield();
    }
    rte_pktmbuf_free(m);
    return false;
}

bool wait_up(struct netdev *dev, unsigned ms)
{
    for (uint64_t end = now_ns() + ms * 1000000ULL; !dpdk_link_up(dev); usleep(1000))
        if (now_ns() > end)
            return false;
    return true;
}

bool ping(struct side *s, uint32_t n, uint32_t len, unsigned window)
{
    struct netdev *dev = s->dev[0];
    uint32_t sent = 0, got = 0;
    uint64_t t = now_ns();
    while (got < n) {
        while (sent < n && sent - got < window) {
            if (!transmit(dev, frame_make(s->pool, sent, len)))
                return false;
            sent++;
        }
        struct rte_mbuf *m = receive(dev, 3000);
        if (!m) {
            fprintf(stderr, "%s: sent %u, got %u back\n", dev->name, sent, got);
            return false;
        }
        int64_t seq = frame_check(m);
        uint32_t m_len = m->pkt_len;
        rte_pktmbuf_free(m);
        if (seq < 0)
            continue; /* somebody else's (the kernel's own multicast) */
        if (seq != got || m_len != len) {
            fprintf(stderr, "%s: frame %ld of %u bytes in place of %u of %u\n", dev->name, (long)seq, m_len,
                    got, len);
            return false;
        }
        got++;
    }
    double us = (double)(now_ns() - t) / 1e3;
    printf("  %s: %u frames of %u bytes and back, window %u: %.2f us a frame, %.2f Gbit/s\n", dev->name, n,
           len, window, us / n, (double)n * len * 8 / us / 1e3);
    return true;
}

void echo(struct side *s)
{
    for (;;) {
        struct rte_mbuf *m = receive(s->dev[0], 1000);
        if (m)
            transmit(s->dev[0], m);
    }
}
