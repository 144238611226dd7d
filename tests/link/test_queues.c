/* test_queues.c: several queues of a link, each used by a thread or process of its own at the same time.
 *
 * Memory links: every frame comes back, whatever number of shards each end has; where it is the same, on the
 * queue that it was sent on. Links to the kernel: what its sockets send arrives once, on both queues, a flow
 * on one; what is sent on either arrives. The pool: buffers that one shard takes and another gives back, for
 * ever.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../dpdk/pool.h"
#include "link.h"

#define FRAMES  4000 /* a queue */
#define WINDOW  16
#define QUEUES  2
#define FLOWS   64
#define EACH    8 /* datagrams a flow */
#define PORT    4242
#define OURS    "198.18.0.2"
#define KERNEL  "198.18.0.1"
#define WAIT_NS 5000000000ULL

/* --- memory links --- */

static char path[64];

static struct rte_mbuf *receive_on(struct netdev *dev, uint16_t q)
{
    struct rte_mbuf *m = NULL;
    side_lock_shard(q);
    uint16_t n = dev->ops->rx(dev, q, &m, 1);
    side_unlock_shard(q);
    return n ? m : NULL;
}

static bool transmit_on(struct netdev *dev, uint16_t q, struct rte_mbuf *m)
{
    uint64_t end = now_ns() + WAIT_NS;
    uint16_t n = 0;
    for (; !n && now_ns() < end; n ? 0 : sched_yield()) {
        side_lock_shard(q);
        n = dev->ops->tx(dev, q, &m, 1);
        CHECK(dev->tx_lost[q] == 0);
        side_unlock_shard(q);
    }
    return n;
}

/* Returns frames on the queue that they came by, until killed. */
static void echo_queue(struct side *s, uint16_t q)
{
    for (;;) {
        struct rte_mbuf *m = receive_on(s->dev[0], q);
        if (m)
            CHECK(transmit_on(s->dev[0], q, m));
        else
            sleep_on(s->dev[0], q, 1);
    }
}

/* A stack that returns frames, with a process a shard. */
static pid_t echo_start(const char *spec, unsigned shards)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    side_shards = (uint16_t)shards;
    struct side s = side_start(128, true, spec, NULL);
    for (uint16_t q = 0; q < shards; q++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            echo_queue(&s, q);
        }
    pause();
    _exit(0);
}

struct pinger {
    struct side *s;
    uint16_t q;
    bool same; /* back on the queue that they were sent on */
    pthread_t thread;
};
static uint8_t seen[QUEUES][FRAMES];
static unsigned back, expected; /* frames of all queues */
static unsigned got[QUEUES];

/* A frame that came back on queue q. */
static void note(const struct pinger *p, struct rte_mbuf *m)
{
    int64_t seq = frame_check(m);
    CHECK(seq >= 0);
    unsigned from = (unsigned)(seq >> 16), i = (unsigned)(seq & 0xffff);
    CHECK(from < QUEUES && i < FRAMES);
    CHECK(__atomic_exchange_n(&seen[from][i], 1, __ATOMIC_RELAXED) == 0);
    CHECK(!p->same || from == p->q);
    got[p->q]++;
    __atomic_fetch_add(&back, 1, __ATOMIC_RELEASE);
    side_lock_shard(p->q);
    rte_pktmbuf_free(m);
    side_unlock_shard(p->q);
}

static void *ping_queue(void *arg)
{
    struct pinger *p = arg;
    struct netdev *dev = p->s->dev[0];
    unsigned sent = 0, nq = dev->nqueue;
    uint64_t end = now_ns() + WAIT_NS;
    while (__atomic_load_n(&back, __ATOMIC_ACQUIRE) < expected) {
        if (sent < FRAMES && sent * nq < __atomic_load_n(&back, __ATOMIC_ACQUIRE) + WINDOW * nq) {
            side_lock_shard(p->q);
            struct rte_mbuf *m = frame_make(p->s->pool, (uint32_t)p->q << 16 | sent, 60 + sent % 1400);
            side_unlock_shard(p->q);
            CHECK(transmit_on(dev, p->q, m));
            sent++;
        }
        struct rte_mbuf *m = receive_on(dev, p->q);
        if (m)
            note(p, m);
        else
            sleep_on(dev, p->q, 1);
        CHECK(now_ns() < end);
    }
    return NULL;
}

/* In a process of its own, for EAL starts once a process. */
static void pair(const char *echo_spec, unsigned echo_shards, const char *ping_spec, unsigned ping_shards)
{
    unsigned least = echo_shards < ping_shards ? echo_shards : ping_shards;
    int st;
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        CHECK(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 0);
        return;
    }
    pid_t peer = echo_start(echo_spec, echo_shards);
    usleep(300000);
    side_shards = (uint16_t)ping_shards;
    struct side s = side_start(128, true, ping_spec, NULL);
    struct netdev *dev = s.dev[0];
    CHECK(wait_up(dev, 5000));
    uint64_t end = now_ns() + WAIT_NS;
    do {
        CHECK(now_ns() < end);
        usleep(1000);
        CHECK(receive_on(dev, 0) == NULL); /* catches up with what was connected */
    } while (dev->nqueue < least);
    usleep(50000); /* the other end too */
    unsigned nq = dev->nqueue;
    struct pinger p[QUEUES];
    expected = nq * FRAMES;
    for (uint16_t q = 0; q < nq; q++) {
        p[q] = (struct pinger){.s = &s, .q = q, .same = echo_shards == ping_shards};
        pthread_create(&p[q].thread, NULL, ping_queue, &p[q]);
    }
    for (unsigned q = 0; q < nq; q++)
        pthread_join(p[q].thread, NULL);
    printf("  %u shards of %s, %u of %s: %u queues used, %u and %u frames came back\n", echo_shards,
           echo_spec, ping_shards, ping_spec, nq, got[0], got[1]);
    fflush(stdout);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    kill(s.keeper, SIGKILL);
    _exit(0);
}

static void memory_links(const char *server, const char *client)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        pair(turn ? client : server, 2, turn ? server : client, 2);
        pair(turn ? client : server, 1, turn ? server : client, 2);
        pair(turn ? client : server, 2, turn ? server : client, 1);
    }
}

/* --- links to the kernel --- */

static uint8_t came[FLOWS][EACH]; /* the queue + 1 */

/* "flow number" as a datagram of ours to its port; false: something else. */
static bool is_datagram(struct rte_mbuf *m, unsigned *flow, unsigned *i)
{
    const char *at = rte_pktmbuf_mtod(m, const char *);
    const struct rte_ipv4_hdr *ip = (const void *)(at + 14);
    const struct rte_udp_hdr *udp = (const void *)(ip + 1);
    if (m->data_len < 14 + sizeof(*ip) + sizeof(*udp) + 2 || at[12] != 8 || at[13] ||
        ip->next_proto_id != 17 || udp->dst_port != htons(PORT))
        return false;
    const uint8_t *data = (const uint8_t *)(udp + 1);
    *flow = data[0];
    *i = data[1];
    return *flow < FLOWS && *i < EACH;
}

static void send_flows(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, OURS, &to.sin_addr);
    for (uint8_t flow = 0; flow < FLOWS; flow++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        for (uint8_t i = 0; i < EACH; i++) {
            uint8_t data[2] = {flow, i};
            CHECK(sendto(fd, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)) == sizeof(data));
        }
        close(fd);
    }
}

static void from_kernel(struct side *s)
{
    unsigned total = 0, of[QUEUES] = {0}, flow, i;
    uint64_t end = now_ns() + WAIT_NS;
    while (total < FLOWS * EACH) {
        CHECK(now_ns() < end);
        for (uint16_t q = 0; q < QUEUES; q++) {
            struct rte_mbuf *m = receive_on(s->dev[0], q);
            if (m && is_datagram(m, &flow, &i)) {
                CHECK(came[flow][i] == 0);
                came[flow][i] = (uint8_t)(q + 1);
                of[q]++;
                total++;
            }
            side_lock_shard(q);
            rte_pktmbuf_free(m);
            side_unlock_shard(q);
        }
    }
    for (flow = 0; flow < FLOWS; flow++)
        for (i = 1; i < EACH; i++)
            CHECK(came[flow][i] == came[flow][0]);
    printf("  %u and %u datagrams of the kernel's on each queue\n", of[0], of[1]);
    CHECK(of[0] && of[1]);
}

/* Frames sent on either queue reach a raw socket on the kernel's end. */
static void to_kernel(struct side *s, const char *kernel_if)
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(0x88b5)), of[QUEUES] = {0};
    struct timeval tv = {.tv_sec = 2};
    char buf[2048];
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, kernel_if, strlen(kernel_if) + 1) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    for (uint16_t q = 0; q < QUEUES; q++)
        for (unsigned i = 0; i < 10; i++) {
            side_lock_shard(q);
            struct rte_mbuf *m = frame_make(s->pool, q, 100);
            side_unlock_shard(q);
            CHECK(transmit_on(s->dev[0], q, m));
        }
    while (of[0] + of[1] < 20) {
        CHECK(recv(fd, buf, sizeof(buf), 0) >= 100);
        CHECK(buf[14] == 0 || buf[14] == 1);
        of[(int)buf[14]]++;
    }
    CHECK(of[0] == 10 && of[1] == 10);
    close(fd);
}

static int kernel_link(const char *kind)
{
    bool tap = strcmp(kind, "tap") == 0;
    const char *spec = tap ? "tap:t0,host=" KERNEL "/24" : strcmp(kind, "xdp") == 0 ? "xdp:v0" : "packet:v0";
    own_namespace();
    if (!tap &&
        run("ip link add v0 numrxqueues 2 numtxqueues 2 type veth peer name v1 numrxqueues 2 numtxqueues "
            "2 && ip addr add " KERNEL "/24 dev v1 && ip link set v1 up && ip link set v0 up") != 0)
        return SKIP;
    side_shards = QUEUES;
    struct side s = side_start(192, false, spec, NULL);
    if (s.dev[0]->nqueue != QUEUES) {
        fprintf(stderr, "%s: %u queues\n", spec, s.dev[0]->nqueue);
        return 1;
    }
    CHECK(run("ip neigh replace " OURS " lladdr 02:00:00:00:00:02 dev %s", tap ? "t0" : "v1") == 0);
    send_flows();
    from_kernel(&s);
    to_kernel(&s, tap ? "t0" : "v1");
    dpdk_stop();
    return 0;
}

/* --- the pool --- */

static unsigned nfree;

static void count_free(void *arg, void *m)
{
    CHECK(((struct rte_mbuf *)m)->pool == arg);
    nfree++;
}

static int pool(void)
{
    struct rte_mbuf *m[512];
    side_shards = QUEUES;
    struct side s = side_start(64, false, "null", NULL);
    uint64_t moved = 0, max = s.pool->size;
    while (moved < 4 * max) {
        side_lock_shard(0);
        CHECK(rte_pktmbuf_alloc_bulk(s.pool, m, 512) == 0);
        side_unlock_shard(0);
        side_lock_shard(1);
        rte_pktmbuf_free_bulk(m, 512);
        side_unlock_shard(1);
        moved += 512;
    }
    printf("  %lu buffers went from one shard to the other, of %u that were made, %lu possible\n",
           (unsigned long)moved, s.pool->populated_size, (unsigned long)max);
    CHECK(rte_mempool_avail_count(s.pool) == s.pool->populated_size);
    pool_each_free(s.pool, count_free, s.pool);
    CHECK(nfree == s.pool->populated_size);
    CHECK(s.pool->populated_size < max / 2); /* they come back before it grows */
    return 0;
}

int main(int argc, char **argv)
{
    const char *kind = argc < 2 ? "memif" : argv[1];
    char server[96], client[96];
    setlinebuf(stdout);
    if (strcmp(kind, "pool") == 0)
        return pool();
    if (strcmp(kind, "memif") != 0 && strcmp(kind, "vhost") != 0)
        return kernel_link(kind);
    snprintf(path, sizeof(path), "/tmp/shunt-test-%d.sock", (int)getpid());
    if (strcmp(kind, "memif") == 0) {
        snprintf(server, sizeof(server), "memif:%s,role=server", path);
        snprintf(client, sizeof(client), "memif:%s", path);
    } else {
        snprintf(server, sizeof(server), "vhost:%s", path);
        snprintf(client, sizeof(client), "virtio:%s", path);
    }
    memory_links(server, client);
    unlink(path);
    return 0;
}
