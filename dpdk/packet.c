/* packet.c: opens a packet: link: a packet socket on a network interface (a veth's end, a real one), which
 * goes on being the kernel's too.
 *
 * PACKET_VNET_HDR gives what the af_packet driver of DPDK can't: frames from a veth whose checksums are
 * partial are known as such, and TCP segments of 64 KiB pass both ways. Frames come by a ring (rx_ring.c)
 * where they fit into its slots.
 *
 * For several queues there are as many sockets in a fanout group (packet(7), PACKET_FANOUT), among which the
 * kernel spreads frames by a symmetric hash of their flow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_if.h"
#include "port.h"
#include "rx_ring.h"

#define PACKET_BUF (8 << 20) /* bytes of socket buffer each way */

#ifndef PACKET_FANOUT_FLAG_UNIQUEID
#define PACKET_FANOUT_FLAG_UNIQUEID 0x2000
#endif
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static int fail(const struct port *p, int rc, char *err, size_t err_len, const char *what)
{
    snprintf(err, err_len, "link '%s': %s: %s", p->text, what, strerror(-rc));
    return rc;
}

static int set(int fd, int level, int name, int val)
{
    return setsockopt(fd, level, name, &val, sizeof(val)) < 0 ? -errno : 0;
}

/* Options that make the socket a port; the ones that only help may fail, and so may the ring. */
static int prepare(const struct port *p, int fd, int ifindex, struct rx_ring *ring)
{
    int rc = set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    if (rc < 0)
        return rc;
    /* Not PACKET_QDISC_BYPASS: it drops what the device can't segment itself, and tcpdump would not see it.
     */
    set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, PACKET_BUF) < 0)
        set(fd, SOL_SOCKET, SO_RCVBUF, PACKET_BUF);
    if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, PACKET_BUF) < 0)
        set(fd, SOL_SOCKET, SO_SNDBUF, PACKET_BUF);
    rx_ring_make(ring, fd, p->dev.mtu, p->wanted);
    struct sockaddr_ll sll = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
    if (bind(fd, (struct sockaddr *)&sll, sizeof(sll)) < 0)
        return -errno;
    /* Frames for the stack's own link address. */
    struct packet_mreq promisc = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) < 0 ? -errno : 0;
}

/* Socket q of several: the first makes a group, whose number the others ask for. 0 or -errno: the kernel
 * can't, or can't without giving us our own frames. */
static int fanout(int fd, unsigned q, uint16_t *group)
{
    socklen_t len = sizeof(int);
    int val = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_IGNORE_OUTGOING) << 16;
    val |= q ? *group : PACKET_FANOUT_FLAG_UNIQUEID << 16;
    if (set(fd, SOL_PACKET, PACKET_FANOUT, val) < 0)
        return -errno;
    if (q == 0 && getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &val, &len) < 0)
        return -errno;
    *group = (uint16_t)val;
    return 0;
}

static int socket_open(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* The sockets of queues beyond the first, which is prepared and bound. The number of all: 1 where the kernel
 * can't have more. */
static unsigned open_more(const struct port *p, int ifindex, int *fd, struct rx_ring *ring)
{
    uint16_t group = 0;
    unsigned n = 1;
    if (p->wanted == 1 || fanout(fd[0], 0, &group) < 0)
        return 1;
    while (n < p->wanted && (fd[n] = socket_open()) >= 0) {
        if (prepare(p, fd[n], ifindex, &ring[n]) < 0 || fanout(fd[n], n, &group) < 0) {
            close(fd[n]);
            break;
        }
        n++;
    }
    return n;
}

int link_packet_open(struct port *p, char *err, size_t err_len)
{
    const char *name = p->spec.target;
    int ifindex = kernel_if_index(name), fd[PORT_RINGS];
    struct rx_ring ring[PORT_RINGS] = {{0}};
    unsigned n = 0;
    if (ifindex < 0) {
        snprintf(err, err_len, "link '%s': no such interface here ('ip link' shows them)", p->text);
        return ifindex;
    }
    fd[0] = socket_open();
    if (fd[0] < 0)
        return fail(p, fd[0], err, err_len,
                    fd[0] == -EPERM ? "needs CAP_NET_RAW: run as root, or in 'unshare -rn'"
                                    : "no packet socket");
    int rc = p->spec.mtu ? kernel_if_set_mtu(name, p->spec.mtu) : 0;
    if (rc == 0)
        rc = kernel_if_up(name);
    if (rc == -EPERM) /* somebody else's to set up; usable when they did */
        rc = 0;
    int mtu = kernel_if_mtu(name);
    p->dev.mtu = mtu > 0 ? (uint32_t)mtu : 1500;
    if (rc == 0)
        rc = prepare(p, fd[0], ifindex, &ring[0]);
    if (rc == 0)
        n = open_more(p, ifindex, fd, ring);
    if (rc == 0)
        rc = vnet_attach(p, fd, n, ring);
    if (rc < 0) {
        close(fd[0]);
        while (n > 1)
            close(fd[--n]);
        return fail(p, rc, err, err_len, "cannot use the interface");
    }
    p->close = vnet_close;
    return 0;
}
