/* tap.c: opens a tap: link: the stack at one end of a kernel's tap interface, the kernel's own stack at the
 * other.
 *
 * The interface is made by opening it and goes away when the last member of the family has gone, unless it is
 * a persistent one (ip tuntap add), which is taken over as it is. For several queues it is opened several
 * times (multi_queue): the kernel sends a flow's frames to the queue that its frames come from. Not the tap
 * driver of DPDK: that one arms a
 * signal a packet, limits frames to 1518 bytes, and loses its receive path when the process that opened it
 * ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel_if.h"
#include "port.h"

static int fail(const struct port *p, int rc, char *err, size_t err_len, const char *what, const char *todo)
{
    snprintf(err, err_len, "link '%s': %s: %s%s", p->text, what, strerror(-rc), todo);
    return rc;
}

#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* Attaches fd to the interface, with the flags of the one that's there: first with those that suit us. *multi
 * becomes whether it has several queues. 0 or -errno. */
static int attach(int fd, const char *name, bool *multi)
{
    struct ifreq r;
    bool try = *multi;
    for (unsigned i = 0; i < 2; i++, try = !try) {
        memset(&r, 0, sizeof(r));
        snprintf(r.ifr_name, sizeof(r.ifr_name), "%.15s", name);
        r.ifr_flags = try ? FLAGS | IFF_MULTI_QUEUE : FLAGS;
        if (ioctl(fd, TUNSETIFF, &r) == 0) {
            *multi = try;
            return 0;
        }
        if (errno != EINVAL)
            break;
    }
    return -errno;
}

static int open_tun(void)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Queues beyond the first, of an interface that may have several. The number of all. */
static unsigned open_more(const struct port *p, int *fd)
{
    unsigned n = 1;
    while (n < p->wanted && (fd[n] = open_tun()) >= 0) {
        bool multi = true;
        if (attach(fd[n], p->spec.target, &multi) < 0) {
            close(fd[n]);
            break;
        }
        n++;
    }
    return n;
}

static int setup(struct port *p, int fd, bool *multi, char *err, size_t err_len)
{
    const char *name = p->spec.target;
    int rc = attach(fd, name, multi);
    if (rc == -EPERM)
        return fail(p, rc, err, err_len, "needs CAP_NET_ADMIN", ": run as root, or in 'unshare -rn'");
    if (rc == -EBUSY)
        return fail(p, rc, err, err_len, "the interface is in use by another process", "");
    if (rc == -EINVAL)
        return fail(p, rc, err, err_len, "there is an interface of that name that is no tap", "");
    if (rc < 0)
        return fail(p, rc, err, err_len, "cannot attach to the interface", "");
    /* What goes on to a card as it is must be finished. */
    if (ioctl(fd, TUNSETOFFLOAD, p->card ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0)
        return fail(p, -errno, err, err_len, "the kernel offers no offloads", "");
    if (p->card && (rc = kernel_if_set_mac(name, p->card->dev.mac)) < 0)
        return fail(p, rc, err, err_len, "cannot set its link address", "");
    if (p->spec.mtu && (rc = kernel_if_set_mtu(name, p->spec.mtu)) < 0)
        return fail(p, rc, err, err_len, "cannot set the MTU", "");
    if (p->spec.host_cidr[0] && (rc = kernel_if_add_addr(name, p->spec.host_cidr)) < 0)
        return fail(p, rc, err, err_len, "cannot set the host's address", "");
    /* A persistent interface may belong to a user who can open it but not bring it up. */
    rc = kernel_if_up(name);
    if (rc < 0 && rc != -EPERM)
        return fail(p, rc, err, err_len, "cannot bring the interface up", "");
    rc = kernel_if_mtu(name);
    p->dev.mtu = rc > 0 ? (uint32_t)rc : 1500;
    return 0;
}

int link_tap_open(struct port *p, char *err, size_t err_len)
{
    int fd[PORT_RINGS] = {open_tun()};
    bool multi = p->wanted > 1;
    unsigned n = 1;
    if (fd[0] < 0)
        return fail(p, fd[0], err, err_len, "/dev/net/tun", fd[0] == -EACCES ? ": run as root" : "");
    int rc = setup(p, fd[0], &multi, err, err_len);
    if (rc == 0 && multi)
        n = open_more(p, fd);
    if (rc == 0 && (rc = vnet_attach(p, fd, n, NULL)) < 0)
        fail(p, rc, err, err_len, "no memory", "");
    if (rc == 0)
        p->close = vnet_close;
    for (unsigned i = 0; rc < 0 && i < n; i++)
        close(fd[i]);
    return rc;
}
