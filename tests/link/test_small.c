/* test_small.c: the links that need little: null:, pcap:, vdev:, xdp: (on a veth), and what the refused ones
 * say. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link.h"
#include "raw_echo.h"

static void check_null(void)
{
    struct side s = side_start(64, false, "null", NULL);
    for (unsigned i = 0; i < 1000; i++)
        CHECK(transmit(s.dev[0], frame_make(s.pool, i, 100)));
    CHECK(receive(s.dev[0], 5) == NULL);
    CHECK(rte_mempool_avail_count(s.pool) == s.pool->populated_size);
}

/* What one run sends, a second one receives. */
static void check_pcap(const char *dir)
{
    char spec[160], path[128];
    int st;
    snprintf(spec, sizeof(spec), "pcap:%s/a", dir);
    pid_t pid = fork();
    if (pid == 0) {
        struct side s = side_start(64, false, spec, NULL);
        for (unsigned i = 0; i < 50; i++)
            CHECK(transmit(s.dev[0], frame_make(s.pool, i, 60 + i * 100)));
        CHECK(receive(s.dev[0], 5) == NULL);
        CHECK(rte_mempool_avail_count(s.pool) == s.pool->populated_size);
        _exit(0);
    }
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
    snprintf(path, sizeof(path), "%s/a.tx", dir);
    snprintf(spec, sizeof(spec), "pcap:%s", path);
    struct side s = side_start(64, false, spec, NULL);
    for (unsigned i = 0; i < 50; i++) {
        struct rte_mbuf *m = receive(s.dev[0], 10);
        CHECK(m && frame_check(m) == i && m->pkt_len == 60 + i * 100);
        rte_pktmbuf_free(m);
    }
    CHECK(receive(s.dev[0], 5) == NULL);
}

static void check_vdev(void)
{
    struct side s = side_start(64, false, "vdev:net_ring0", NULL);
    CHECK(ping(&s, 1000, 100, 8)); /* a ring of its own: what goes out comes in */
}

static void check_xdp(void)
{
    own_namespace();
    if (run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up") != 0)
        exit(SKIP);
    struct side s = side_start(128, false, "xdp:v0", NULL);
    printf("  started in %.1f ms\n", s.start_ms);
    pid_t peer = raw_echo("v1");
    usleep(100000);
    bool ok = ping(&s, 1000, 64, 8) && ping(&s, 1000, 1514, 8);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    dpdk_stop();
    CHECK(ok);
}

/* The start fails, with one line that holds word. */
static void check_refused(const char *spec, const char *word)
{
    int st;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct link_spec l;
        struct netdev *dev;
        struct rte_mempool *pool;
        char err[512] = "";
        struct dpdk_config cfg = {.name = "refused", .mem_mb = 64, .links = &l, .nlinks = 1};
        CHECK(link_parse(spec, &l, err, sizeof(err)) == 0);
        CHECK(dpdk_start(&cfg, &dev, &pool, err, sizeof(err)) < 0);
        printf("  %s\n", err);
        CHECK(strstr(err, word) && !strchr(err, '\n'));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
}

static void check_errors(const char *dir)
{
    char spec[160], path[128];
    snprintf(path, sizeof(path), "%s/file", dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, "no capture file, and no socket", 30) == 30);
    close(fd);
    snprintf(spec, sizeof(spec), "pcap:%s", path);
    check_refused(spec, "capture file");
    snprintf(spec, sizeof(spec), "vhost:%s", path);
    check_refused(spec, "no socket");
    snprintf(spec, sizeof(spec), "memif:%s,role=server", path);
    check_refused(spec, "no socket");
    own_namespace();
    check_refused("packet:nosuch0", "no such interface");
    check_refused("xdp:nosuch0", "nosuch0");
    check_refused("rig:lab", "rig");
    check_refused("tap:lo", "no tap");
    check_refused("pci:0000:7f:1f.7", "0000:7f:1f.7");
    check_refused("vdev:net_nosuch0", "net_nosuch0");
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/shunt-test-XXXXXX";
    const char *what = argc > 1 ? argv[1] : "null";
    CHECK(mkdtemp(dir) != NULL);
    if (strcmp(what, "null") == 0)
        check_null();
    else if (strcmp(what, "pcap") == 0)
        check_pcap(dir);
    else if (strcmp(what, "vdev") == 0)
        check_vdev();
    else if (strcmp(what, "xdp") == 0)
        check_xdp();
    else
        check_errors(dir);
    return run("rm -r %s", dir);
}
