/* test_peer.c: links over shared memory, two stacks a pair: memif:, and vhost: with virtio:.
 *
 * For each: frames there and back, of one and of many buffers; both stacks used by children that were forked
 * before the link came up; memif with the client first; the end of a peer, which the survivor must outlive
 * (frames sent to nobody are dropped), and its return.
 */
#include <arpa/inet.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../dpdk/memif_intr.h"
#include "link.h"

#define TCP_FRAME 300 /* bytes */

static const char *echo_spec, *ping_spec;
static bool echo_is_silent; /* as other implementations of memif */
static char path[64];

/* A stack that returns frames. Forked before this process starts its own, because EAL starts once in a
 * process; go: a descriptor to wait for, -1: none. */
static pid_t echo_start(int go, unsigned delay_ms)
{
    char c;
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (go >= 0 && read(go, &c, 1) != 1)
        _exit(1);
    usleep(delay_ms * 1000);
    memif_partial_off = echo_is_silent;
    struct side s = side_start(128, true, echo_spec, NULL);
    pid = fork();
    if (pid) {
        pause();
        _exit(0);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    echo(&s);
}

/* Ends the stack as a crash would: all of its processes at once. */
static void echo_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    usleep(100000); /* its children follow */
}

/* In a child made before the link is up. */
static void ping_in_child(struct side *s, uint32_t n, uint32_t len, unsigned window)
{
    int st;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = wait_up(s->dev[0], 5000) && ping(s, n, len, window);
        fflush(stdout);
        _exit(!ok);
    }
    CHECK(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 0);
}

/* The peer dies and comes back while we go on sending. */
static void check_return(struct side *s, pid_t peer, int go)
{
    struct netdev *dev = s->dev[0];
    echo_kill(peer);
    uint64_t t = now_ns();
    while (dpdk_link_up(dev) && now_ns() - t < 2000000000ULL)
        transmit(dev, frame_make(s->pool, 0, 200));
    CHECK(!dpdk_link_up(dev));
    for (unsigned i = 0; i < 100; i++)
        CHECK(transmit(dev, frame_make(s->pool, i, 200)));
    t = now_ns();
    CHECK(write(go, "x", 1) == 1);
    CHECK(wait_up(dev, 5000));
    printf("  the peer is back after %.0f ms\n", (double)(now_ns() - t) / 1e6);
    for (struct rte_mbuf *m; (m = receive(dev, 50));)
        rte_pktmbuf_free(m);
    CHECK(ping(s, 1000, 1000, 4));
}

/* An IPv4 and TCP frame with a payload, asked to be summed up by whoever has to (or not: with a wrong sum).
 */
static struct rte_mbuf *tcp_frame(struct rte_mempool *pool, bool summed)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    char *p = rte_pktmbuf_append(m, TCP_FRAME);
    memset(p, 0x5a, TCP_FRAME);
    memset(p, 0xff, 12);
    p[12] = 8;
    p[13] = 0;
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(p + 14);
    memset(ip, 0, sizeof(*ip));
    ip->version_ihl = 0x45;
    ip->total_length = htons(TCP_FRAME - 14);
    ip->time_to_live = 64;
    ip->next_proto_id = IPPROTO_TCP;
    struct rte_tcp_hdr *t = (struct rte_tcp_hdr *)(ip + 1);
    t->cksum = 0;
    m->l2_len = 14;
    m->l3_len = 20;
    m->l4_len = 20;
    if (summed)
        m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
    return m;
}

static bool is_whole(const struct rte_ipv4_hdr *ip, struct rte_tcp_hdr *t)
{
    uint16_t was = t->cksum;
    t->cksum = 0;
    return rte_ipv4_udptcp_cksum(ip, t) == was;
}

/* Checksums on memory: left out where both ends said so, whole otherwise; a wrong one stays wrong. */
static void check_sums(struct side *s, bool agreed)
{
    for (int summed = 0; summed < 2; summed++) {
        CHECK(transmit(s->dev[0], tcp_frame(s->pool, summed)));
        struct rte_mbuf *m = receive(s->dev[0], 2000);
        CHECK(m != NULL && m->pkt_len >= TCP_FRAME);
        struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);
        struct rte_tcp_hdr *t = (struct rte_tcp_hdr *)(ip + 1);
        bool unneeded = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_NONE;
        CHECK(unneeded == (summed && agreed));
        CHECK(unneeded || is_whole(ip, t) == summed);
        rte_pktmbuf_free(m);
    }
    printf("  checksums %s\n", agreed ? "left out by agreement" : "whole for a peer that says nothing");
}

/* In a process of its own, for EAL starts once a process. */
static int pair(const char *kind, bool ping_first, bool returns)
{
    int st;
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        CHECK(waitpid(pid, &st, 0) == pid);
        return WIFEXITED(st) ? WEXITSTATUS(st) : 1;
    }
    printf(" %s%s\n", kind, ping_first ? ", the other order" : "");
    int go[2];
    CHECK(pipe(go) == 0);
    pid_t peer = echo_start(-1, ping_first ? 300 : 0), second = echo_start(go[0], 0);
    if (!ping_first)
        usleep(300000);
    struct side s = side_start(128, true, ping_spec, NULL);
    printf("  started in %.1f ms\n", s.start_ms);
    ping_in_child(&s, 5000, 64, 16);
    ping_in_child(&s, 2000, 1514, 16);
    ping_in_child(&s, 500, 9000, 4);
    if (strncmp(kind, "memif", 5) == 0)
        check_sums(&s, !echo_is_silent);
    unsigned used = s.pool->populated_size - rte_mempool_avail_count(s.pool);
    if (returns)
        check_return(&s, peer, go[1]);
    else
        echo_kill(peer);
    echo_kill(second);
    printf("  %u buffers held at the end\n", used);
    fflush(stdout);
    kill(s.keeper, SIGKILL);
    _exit(0);
}

int main(int argc, char **argv)
{
    char server[96], client[96];
    bool memif = argc < 2 || strcmp(argv[1], "memif") == 0;
    setlinebuf(stdout);
    snprintf(path, sizeof(path), "/tmp/shunt-test-%d.sock", (int)getpid());
    if (memif) {
        snprintf(server, sizeof(server), "memif:%s,role=server", path);
        snprintf(client, sizeof(client), "memif:%s", path);
        echo_spec = server;
        ping_spec = client;
        CHECK(pair("memif, echo by the server", false, true) == 0);
        CHECK(pair("memif, echo by the server", true, false) == 0);
        echo_spec = client;
        ping_spec = server;
        CHECK(pair("memif, echo by the client", false, true) == 0);
        echo_is_silent = true;
        CHECK(pair("memif, echo by a client that does not speak of checksums", true, false) == 0);
    } else {
        snprintf(server, sizeof(server), "vhost:%s", path);
        snprintf(client, sizeof(client), "virtio:%s", path);
        echo_spec = server;
        ping_spec = client;
        CHECK(pair("vhost echoes to virtio", false, false) == 0);
        CHECK(pair("vhost echoes to virtio", true, false) == 0);
        echo_spec = client;
        ping_spec = server;
        CHECK(pair("virtio echoes to vhost", true, true) == 0);
    }
    unlink(path);
    return 0;
}
