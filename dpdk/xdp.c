/* xdp.c: see xdp.h.
 *
 * The kernel takes a closed AF_XDP socket off its queue some time after the close: a work item does it,
 * behind a grace period of RCU and the lock of all network configuration. A stack that starts right after one
 * that ended finds the queue in use (EBUSY) although nobody has it. The place to wait is the bind: the driver
 * that makes it gives up at once, and cannot be asked again (its buffers are gone then).
 */
#include "xdp.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

#define WAIT_MS  3000
#define RETRY_MS 5

int xdp_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct timespec pause = {0, RETRY_MS * 1000000L};
    for (int ms = 0;; ms += RETRY_MS) {
        int rc = (int)sys3(SYS_bind, fd, SYS_ARG(sa), len);
        if (rc != -EBUSY || ms >= WAIT_MS)
            return rc;
        sys2(SYS_nanosleep, &pause, NULL);
    }
}

int xdp_ethtool(int fd, void *ifreq)
{
    struct ethtool_channels *c = (void *)((struct ifreq *)ifreq)->ifr_data;
    bool asks = c->cmd == ETHTOOL_GCHANNELS;
    int rc = (int)sys3(SYS_ioctl, fd, SIOCETHTOOL, ifreq);
    if (rc < 0 || !asks || c->max_combined)
        return rc;
    c->max_combined = c->max_rx < c->max_tx ? c->max_rx : c->max_tx;
    c->combined_count = c->rx_count < c->tx_count ? c->rx_count : c->tx_count;
    return rc;
}

unsigned xdp_queues(const char *name, unsigned wanted)
{
    struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq r;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return 1;
    memset(&r, 0, sizeof(r));
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%.15s", name);
    r.ifr_data = (void *)&c;
    int rc = xdp_ethtool(fd, &r);
    close(fd);
    return rc < 0 || !c.combined_count ? 1 : c.combined_count < wanted ? c.combined_count : wanted;
}

/* A map of AF_XDP sockets, the least that needs the privilege which loading an XDP program needs. 0 or
 * -errno.
 */
static int try_map(void)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    long fd = sys3(SYS_bpf, BPF_MAP_CREATE, SYS_ARG(&attr), sizeof(attr));
    if (fd >= 0)
        sys1(SYS_close, fd);
    return fd < 0 ? (int)fd : 0;
}

const char *xdp_denied(void)
{
    int fd = socket(AF_XDP, SOCK_RAW, 0), rc = fd < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc == -EAFNOSUPPORT)
        return "this kernel has no AF_XDP: use a packet: link";
    if (rc == -EPERM)
        return "needs CAP_NET_RAW and CAP_BPF: run as root";
    if (rc == 0 && try_map() == -EPERM)
        return "needs CAP_BPF, which no user namespace gives: run as root, or use a packet: link";
    return NULL;
}
