/* start.c: from the environment to a running stack, and the engine's one exported symbol.
 *
 * Order. The name is claimed before anything else that others could see, and a lingering keeper that holds
 * one of our links is asked to leave before the link is opened. The wake descriptors and everything in the
 * segment are made before the keeper, which inherits them; the keeper runs before the first frame, because
 * memory links come up in it; and the program has no socket before all is done. What fails on the way is
 * undone and told in one line: by the starter up to the keeper's birth, later by the keeper, which finds that
 * its family is empty and leaves.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <rte_cycles.h>
#include <rte_mempool.h>

#include "../../dpdk/fds.h"
#include "../../stack/extent.h"
#include "../../stack/api_int.h"
#include "../../stack/dhcp.h"
#include "../../stack/except.h"
#include "../../stack/ip.h"
#include "../../stack/log.h"
#include "../../stack/vlan.h"
#include "../../stack/nd.h"
#include "../../stack/parcel.h"
#include "../../stack/route.h"
#include "control.h"
#include "engine.h"
#include "leak.h"
#include "record.h"

#define LINK_UP_NS (60ull * NS_IN_MS)  /* how long the other end of a memory link is waited for */
#define PROBE_NS   (150ull * NS_IN_MS) /* how long address conflicts are looked for at most */

struct engine engine = {.control_fd = -1, .memory_fd = -1, .tree_fd = -1, .tree_end = -1};

/* One line, and the error. */
#define failed(err, ...) (log_print(LOG_LEVEL_ERROR, __VA_ARGS__), (err))

static int random_bytes(void *buf, size_t len)
{
    return sys3(SYS_getrandom, buf, len, 0) == (long)len ? 0 : -EIO;
}

/* Of the kernel's ticks, which its coarse clocks show. */
static uint32_t tick_hz(void)
{
    struct timespec ts;

    if (clock_getres(CLOCK_MONOTONIC_COARSE, &ts) != 0 || ts.tv_sec || ts.tv_nsec < 1000)
        return 0;
    return (uint32_t)((NS_IN_S + (uint64_t)ts.tv_nsec / 2) / (uint64_t)ts.tv_nsec);
}

static int make_stack(struct rte_mempool *pool)
{
    struct stack_config sc = {.set = engine.cfg.set,
                              .isolate = engine.cfg.profile == PROFILE_ISOLATE,
                              .nshard = (uint32_t)engine.cfg.set.shards,
                              .tick_hz = tick_hz(),
                              .owner_uid = geteuid(),
                              .now_ns = now_ns()};
    struct seg *seg;
    int rc = seg_create(engine.cfg.name, &seg);

    if (rc)
        return failed(
            rc, "no memory for the stack's tables (%s): %llu GiB of address space are needed (ulimit -v)",
            strerror(-rc), (unsigned long long)(SEG_BYTES >> 30));
    memcpy(sc.name, engine.cfg.name, sizeof sc.name);
    rc = random_bytes(sc.secret, sizeof sc.secret);
    if (!rc)
        rc = stack_create(seg, &sc, pool, &engine.st);
    if (!rc) {
        uint64_t bytes;
        void *mem = dpdk_file_memory(&bytes);

        rc = extent_init(engine.st, mem, bytes);
    }
    if (!rc) {
        engine.shared = seg_alloc(seg, sizeof *engine.shared, 64);
        rc = engine.shared ? tell_init(seg) : -ENOMEM;
    }
    if (rc) {
        seg_destroy(seg);
        return failed(rc, "cannot make the stack's tables: %s", strerror(-rc));
    }
    /* A program that dumps core would write all of it, empty or not, and hold its locks meanwhile. */
    madvise(seg, SEG_BYTES, MADV_DONTDUMP);
    return 0;
}

static int add_addrs(unsigned ifindex, const struct config_link *l)
{
    char shown[46];

    for (unsigned i = 0; i < l->naddr; i++) {
        int rc = stack_add_addr(engine.st, ifindex, &l->addr[i].addr, l->addr[i].prefix_len);

        if (rc)
            return failed(rc, "SHUNT_ADDR: cannot use %s/%u: %s", config_show_addr(&l->addr[i].addr, shown),
                          l->addr[i].prefix_len, strerror(-rc));
    }
    return 0;
}

static int add_routes(void)
{
    char shown[46];

    for (unsigned i = 0; i < engine.cfg.nroutes; i++) {
        const struct config_route *r = &engine.cfg.route[i];
        int link = config_link_of(&engine.cfg, &r->via);
        int rc = r->kind ? route_add_kind(engine.st, &r->net, r->prefix_len, (enum route_kind)r->kind)
                         : route_add(engine.st, &r->net, r->prefix_len, &r->via, (unsigned)link + 1);

        if (rc == -EEXIST && r->kind)
            rc = 0;
        if (rc)
            return failed(rc, "the route to %s/%u by that gateway is refused: %s",
                          config_show_addr(&r->net, shown), r->prefix_len, strerror(-rc));
    }
    return 0;
}

/* "vlan:tap0.10", link i. */
static int add_vlan(unsigned i)
{
    const char *target = engine.cfg.spec[i].target, *dot = strrchr(target, '.');
    char *end = NULL;
    unsigned long id = dot ? strtoul(dot + 1, &end, 10) : 0;
    int ifindex = -ENODEV;

    for (unsigned k = 1; dot && !*end && k < engine.st->nif; k++) {
        const char *name = engine.st->ifn[k].name;

        if (strlen(name) == (size_t)(dot - target) && memcmp(name, target, strlen(name)) == 0)
            ifindex = vlan_add(engine.st, k, id > VLAN_ID_MAX ? 0 : (unsigned)id);
    }
    if (ifindex < 0)
        return failed(
            ifindex, "link '%s': %s", engine.cfg.link[i].text,
            ifindex == -ENODEV
                ? "no link before it has such an interface: give PARENT.ID, for example vlan:tap0.10"
                : "its number must be 1 to 4094, on a link that is no VLAN itself");
    return add_addrs((unsigned)ifindex, &engine.cfg.link[i]);
}

/* "tap:k0,for=pci0", link i: dpdk/ found the card. */
static int share_card(unsigned i)
{
    int rc = -ENODEV;

    for (unsigned k = 0; k < i; k++)
        if (strcmp(engine.dev[k]->name, engine.cfg.spec[i].share) == 0)
            rc = except_add(engine.st, engine.dev[k]->index, engine.dev[i]->index);
    if (!rc)
        return 0;
    return failed(rc, "link '%s': %s", engine.cfg.link[i].text,
                  rc == -EOPNOTSUPP
                      ? "for= works with one shard alone"
                      : "for= takes a card that no other link is for, and the stack has no address on it");
}

static int add_links(void)
{
    int rc;

    for (unsigned i = 0; i < engine.ndev; i++) {
        struct netdev *dev = engine.dev[i];
        int ifindex = stack_add_if(engine.st, dev);

        if (ifindex < 0)
            return failed(ifindex, "%s: %s", engine.cfg.link[i].text, strerror(-ifindex));
        dev->index = (uint8_t)ifindex;
        netdev_register((unsigned)ifindex, dev);
        rc = add_addrs((unsigned)ifindex, &engine.cfg.link[i]);
        if (rc)
            return rc;
    }
    for (unsigned i = 0; i < engine.ndev; i++)
        if (engine.cfg.spec[i].share[0] && (rc = share_card(i)))
            return rc;
    for (unsigned i = engine.ndev; i < engine.cfg.nlinks; i++)
        if ((rc = add_vlan(i)))
            return rc;
    if (!engine.cfg.nlinks && (rc = add_addrs(0, &engine.cfg.link[0])))
        return rc;
    rc = nd_add_linklocals(engine.st);
    if (rc)
        return failed(rc, "no link-local address: %s", strerror(-rc));
    return add_routes();
}

/* Sleeps until a frame may have come, or a millisecond. */
static void wait_a_little(void)
{
    struct pollfd p[SLEEP_FDS];
    struct timespec ts = {0, NS_IN_MS};
    int n = 0;

    for (unsigned i = 0; i < engine.ndev; i++)
        n += sleep_port_fds(i, p + n, SLEEP_FDS - n);
    sys5(SYS_ppoll, p, n, &ts, NULL, 8);
}

/* A link between two stacks comes up when the keepers of both have shaken hands. The other end may not be
 * there at all, so that this is bounded; but what the program sends at once should not be lost for want of a
 * few milliseconds. */
static void wait_for_links(void)
{
    struct timespec ts = {0, NS_IN_MS / 2};
    uint64_t end = now_ns() + LINK_UP_NS;
    unsigned up = 0;

    while (up < engine.ndev && now_ns() < end) {
        up = 0;
        for (unsigned i = 0; i < engine.ndev; i++)
            up += dpdk_link_up(engine.dev[i]);
        if (up < engine.ndev)
            sys2(SYS_nanosleep, &ts, NULL);
    }
}

/* The processor's counter may stand in for the clock where the kernel makes its own clock of it: then it runs
 * evenly, and alike on all processors. */
static void take_ticks(struct stack *st)
{
    char name[8] = "";
    int fd =
        (int)sys4(SYS_openat, AT_FDCWD,
                  SYS_ARG("/sys/devices/system/clocksource/clocksource0/current_clocksource"), O_RDONLY, 0);
    uint64_t hz = rte_get_tsc_hz();

    if (fd < 0)
        return;
    if (sys3(SYS_read, fd, name, sizeof name) == 4 && memcmp(name, "tsc\n", 4) == 0 && hz > NS_IN_S)
        for (uint32_t i = 0; i < st->nshard; i++)
            st->shard[i].ticks.mult = ((uint64_t)NS_IN_S << 32) / hz;
    fds_close(fd);
}

/* RFC 5227: asks whether somebody else has one of our addresses. */
static int probe_addresses(void)
{
    struct shard *sh = &engine.st->shard[0];
    uint64_t end = now_ns() + PROBE_NS;
    uint8_t mac[6];
    int state = 1;

    if (!engine.ndev)
        return 0;
    shard_lock(sh);
    arp_announce_start(sh);
    shard_flush(sh);
    shard_unlock(sh);
    while (state == 1 && now_ns() < end) {
        wait_a_little();
        shard_lock(sh);
        shard_poll(sh, now_ns());
        state = arp_announce_state(engine.st, mac);
        shard_unlock(sh);
    }
    if (state >= 0)
        return 0;
    for (unsigned i = 0; i < engine.st->nif; i++)
        for (unsigned k = 0; k < engine.st->ifn[i].naddr; k++)
            if (engine.st->ifn[i].addr[k].state == IFADDR_CONFLICT) {
                char shown[46];

                return failed(
                    state,
                    "%s is taken: %02x:%02x:%02x:%02x:%02x:%02x answers for it: choose another address",
                    config_show_addr(&engine.st->ifn[i].addr[k].addr, shown), mac[0], mac[1], mac[2], mac[3],
                    mac[4], mac[5]);
            }
    return failed(state, "an address is taken: choose another one");
}

/* The first link that waits for its lease still, -1: none. Context: the lock. */
static int unleased(const struct shard *sh)
{
    for (unsigned i = 0; i < engine.cfg.nlinks; i++)
        if (engine.cfg.link[i].dhcp && !dhcp_is_bound(dhcp_client(sh, i + 1)))
            return (int)i;
    return -1;
}

static int start_dhcp(struct shard *sh)
{
    for (unsigned i = 0; i < engine.cfg.nlinks; i++) {
        int rc = engine.cfg.link[i].dhcp ? dhcp_start(sh, i + 1) : 0;

        if (rc)
            return failed(rc, "SHUNT_ADDR: no dhcp on %s: %s", engine.cfg.link[i].text,
                          rc == -ENODEV ? "the link has no Ethernet addresses: give an address"
                                        : strerror(-rc));
    }
    shard_flush(sh);
    return 0;
}

/* RFC 2131: asks for the addresses that servers have to give. */
static int wait_for_leases(void)
{
    struct shard *sh = &engine.st->shard[0];
    uint64_t end = now_ns() + (uint64_t)engine.cfg.set.dhcp_timeout * NS_IN_S;
    int link, rc;
    bool heard = false;

    shard_lock(sh);
    rc = start_dhcp(sh);
    link = rc ? -1 : unleased(sh);
    shard_unlock(sh);
    while (link >= 0 && now_ns() < end) {
        wait_a_little();
        shard_lock(sh);
        shard_poll(sh, now_ns());
        link = unleased(sh);
        heard = link >= 0 && dhcp_client(sh, (unsigned)link + 1)->heard;
        shard_unlock(sh);
    }
    for (unsigned i = 0; link < 0 && !rc && i < engine.cfg.nlinks; i++)
        if (engine.cfg.link[i].dhcp)
            dhcp_log(sh, dhcp_client(sh, i + 1));
    if (link < 0)
        return rc;
    return failed(
        -EADDRNOTAVAIL, "%s: %s within %lld s: give an address (--addr 198.18.0.2/24)%s",
        engine.cfg.link[link].text,
        heard ? "the DHCP server answers, but gives no address that can be used" : "no DHCP server answers",
        (long long)engine.cfg.set.dhcp_timeout, heard ? "" : ", or more time (--set dhcp_timeout=60)");
}

static void mend_below(struct shard *sh)
{
    dpdk_mend(sh->pool, sh->id);
}

/* A socket to make the program's descriptors from: fstat and the like see a socket. */
static int make_placeholder(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) /* a kernel or a sandbox without IP */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int engine_open(int placeholder)
{
    struct shunt_api *a = &engine.api;
    int rc = sleep_init();

    if (rc)
        return rc;
    shard_set_wake(wake_write);
    shard_set_mend(mend_below);
    shard_set_signal(wake_signal);
    api_bind(engine.st, process_self());
    api_fill(a);
    a->placeholder = placeholder;
    fds_range(&a->private_lo, &a->private_hi);
    a->private_map = fds_mine();
    a->hide = fds_move;
    a->hidden_close = fds_close;
    a->waiter_get = sleep_waiter_get;
    a->waiter_put = sleep_waiter_put;
    a->sleep_prepare = sleep_prepare;
    a->sleep_finish = sleep_finish;
    a->spin_us = engine.cfg.profile == PROFILE_LATENCY ? UINT32_MAX : (uint32_t)engine.cfg.set.spin_us;
    a->fork_prepare = process_fork_prepare;
    a->confine = process_confine;
    a->fork_room = process_fork_room;
    a->fork_parent = process_fork_parent;
    a->fork_child = process_fork_child;
    a->exec_begin = process_exec_begin;
    a->exec_keep = process_exec_keep;
    a->exec_failed = process_exec_failed;
    a->exec_child = process_exec_child;
    a->exit_process = process_exit;
    a->bury = process_bury;
    a->parcels = parcel_count(engine.st);
    a->parcel_make = ticket_make;
    a->parcel_sent = ticket_sent;
    a->parcel_open = ticket_open;
    a->fd_of = ticket_fd_of;
    a->report = engine.shared->report;
    return 0;
}

static int make_api(void)
{
    int fd = make_placeholder(), rc = fd < 0 ? fd : engine_open(fd);

    return rc ? failed(rc, "cannot make a socket: %s", strerror(-rc)) : 0;
}

/* What a process that joins must know. */
static void fill_common(struct rte_mempool *pool)
{
    struct engine_common *c = &engine.shared->common;
    int fd[NETDEV_QUEUE_MAX];

    c->cfg = engine.cfg;
    c->has_ports = engine.ndev > 0;
    c->ports_pass = true;
    c->nports = engine.ndev;
    for (unsigned i = 0; i < engine.ndev; i++)
        c->ports_pass &= dpdk_pass(engine.dev[i], &c->port[i], fd) >= 0;
    c->log_level = log_level;
    c->pid_ns = process_namespace();
    if (engine.control_fd >= 0)
        memcpy(c->control, engine.control_addr.sun_path, sizeof c->control);
    engine.memory_fd = dpdk_memory(pool, &c->memory, &c->memory_bytes);
}

static int open_links(struct rte_mempool **pool)
{
    struct dpdk_config dc = {.name = engine.cfg.name,
                             .mem_mb = (uint32_t)engine.cfg.set.mem_mb,
                             .file_mb = (uint32_t)engine.cfg.set.sendfile_cache,
                             .links = engine.cfg.spec,
                             .nlinks = engine.cfg.nlinks,
                             .nshard = (uint16_t)engine.cfg.set.shards,
                             .debug = log_level >= LOG_LEVEL_DEBUG};
    char why[256] = "the links cannot be opened";
    int rc;

    while (dc.nlinks && engine.cfg.spec[dc.nlinks - 1].kind == LINK_VLAN) /* they come last (config.c) */
        dc.nlinks--;
    config_derive_macs(&engine.cfg);
    for (unsigned i = 0; i < dc.nlinks; i++)
        control_evict(i);
    rc = dpdk_start(&dc, engine.dev, pool, why, sizeof why);
    if (rc)
        return failed(rc, "%s", why);
    engine.ndev = dc.nlinks;
    for (unsigned i = 0; i < engine.ndev; i++) {
        enum link_kind kind = engine.cfg.spec[i].kind;

        /* A memory link's are as many as its peer has, which comes later. */
        if (engine.dev[i]->nqueue < dc.nshard && kind != LINK_MEMIF && kind != LINK_VHOST)
            log_warn("%s has %u of %u queues: the other shards have no part in it", engine.cfg.link[i].text,
                     engine.dev[i]->nqueue, dc.nshard);
    }
    return 0;
}

/* What the keeper must find when it is forked. */
static int start_parts(void)
{
    struct rte_mempool *pool;
    int rc = open_links(&pool);

    if (!rc)
        rc = make_stack(pool);
    if (!rc)
        take_ticks(engine.st);
    if (!rc)
        rc = add_links();
    if (!rc)
        rc = record_prepare();
    if (!rc)
        rc = control_metrics();
    if (!rc)
        fill_common(pool);
    if (!rc && ((rc = wake_init()) || (rc = ticket_init())))
        rc = failed(rc, "no descriptors left: raise the hard limit (ulimit -Hn)");
    if (rc)
        return rc;
    rc = process_first();
    if (!rc)
        rc = make_api();
    if (rc)
        return rc;
    rc = keeper_start();
    if (!rc)
        stopped_allow();
    return rc ? failed(rc, "the keeper process does not start: %s", strerror(-rc)) : 0;
}

/* The claim, the links and all else. */
static int start(void)
{
    int rc = config_read(&engine.cfg);

    if (rc)
        return rc;
    rc = control_claim();
    if (rc)
        return rc;
    rc = start_parts();
    if (rc) {
        dpdk_stop();
        control_unclaim();
        return rc;
    }
    /* The claim and the links are the keeper's now: it leaves, and cleans up, when no process is there. */
    if (engine.control_fd >= 0)
        fds_close(engine.control_fd);
    engine.control_fd = -1;
    record_forget();
    control_metrics_forget();
    wait_for_links();
    rc = probe_addresses();
    if (!rc)
        rc = wait_for_leases();
    if (rc)
        process_leave();
    return rc;
}

__attribute__((visibility("default"))) int shunt_engine_start(uint32_t version, const struct shunt_tree *tree,
                                                              const struct shunt_api **out)
{
    uint64_t begin = now_ns();
    int rc;

    if (version != SHUNT_API_VERSION)
        return failed(-EPROTO,
                      "libshunt.so and libshunt-engine.so are of different builds: install both again");
    rc = join_lock(tree);
    if (!rc)
        rc = join_tree(tree);
    if (rc == 0 && (rc = start()) == 0) {
        leak_baseline(&engine.st->shard[0]);
        join_publish(tree);
    }
    join_unlock(tree);
    if (rc < 0)
        return rc;
    *out = &engine.api;
    log_info("stack %s is %s after %llu us", engine.st->name, rc ? "joined" : "up",
             (unsigned long long)((now_ns() - begin) / 1000));
    return 0;
}
