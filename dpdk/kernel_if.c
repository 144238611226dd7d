/* kernel_if.c: see kernel_if.h. */
#include "kernel_if.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's struct in6_ifreq; <linux/ipv6.h> clashes with <netinet/in.h>. */
struct in6_request {
    struct in6_addr addr;
    uint32_t prefix_len;
    int ifindex;
};

/* One ioctl on a socket made for it. */
static int request(int family, unsigned long req, void *arg)
{
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd < 0)
        return -errno;
    int rc = ioctl(fd, req, arg) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static struct ifreq named(const char *name)
{
    struct ifreq r;
    memset(&r, 0, sizeof(r));
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%.15s", name);
    return r;
}

int kernel_if_up(const char *name)
{
    struct ifreq r = named(name);
    int rc = request(AF_INET, SIOCGIFFLAGS, &r);
    if (rc < 0 || r.ifr_flags & IFF_UP)
        return rc;
    r.ifr_flags |= IFF_UP;
    return request(AF_INET, SIOCSIFFLAGS, &r);
}

int kernel_if_set_mac(const char *name, const uint8_t mac[6])
{
    struct ifreq r = named(name);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, mac, 6);
    return request(AF_INET, SIOCSIFHWADDR, &r);
}

int kernel_if_mtu(const char *name)
{
    struct ifreq r = named(name);
    int rc = request(AF_INET, SIOCGIFMTU, &r);
    return rc < 0 ? rc : r.ifr_mtu;
}

int kernel_if_set_mtu(const char *name, uint32_t mtu)
{
    struct ifreq r = named(name);
    r.ifr_mtu = (int)mtu;
    return request(AF_INET, SIOCSIFMTU, &r);
}

int kernel_if_index(const char *name)
{
    struct ifreq r = named(name);
    int rc = request(AF_INET, SIOCGIFINDEX, &r);
    return rc < 0 ? rc : r.ifr_ifindex;
}

static int add_v4(const char *name, struct in_addr addr, unsigned prefix_len)
{
    struct ifreq r = named(name);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = addr};
    memcpy(&r.ifr_addr, &sin, sizeof(sin));
    int rc = request(AF_INET, SIOCSIFADDR, &r);
    if (rc < 0)
        return rc;
    sin.sin_addr.s_addr = prefix_len ? htonl(~0u << (32 - prefix_len)) : 0;
    memcpy(&r.ifr_netmask, &sin, sizeof(sin));
    return request(AF_INET, SIOCSIFNETMASK, &r);
}

int kernel_if_add_addr(const char *name, const char *cidr)
{
    char text[64];
    struct in_addr v4;
    struct in6_request v6;
    const char *slash = strchr(cidr, '/');
    if (!slash || (size_t)(slash - cidr) >= sizeof(text))
        return -EINVAL;
    memcpy(text, cidr, (size_t)(slash - cidr));
    text[slash - cidr] = 0;
    unsigned prefix_len = (unsigned)strtoul(slash + 1, NULL, 10);
    if (inet_pton(AF_INET, text, &v4) == 1)
        return add_v4(name, v4, prefix_len);
    if (inet_pton(AF_INET6, text, &v6.addr) != 1)
        return -EINVAL;
    v6.prefix_len = prefix_len;
    v6.ifindex = kernel_if_index(name);
    if (v6.ifindex < 0)
        return v6.ifindex;
    int rc = request(AF_INET6, SIOCSIFADDR, &v6);
    return rc == -EEXIST ? 0 : rc;
}
