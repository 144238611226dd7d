/* sock_if.c: the interface ioctls of man 7 netdevice that ask (SIOCGIF*): the stack's interfaces and
 * addresses in place of the host's.
 *
 * Indexes are shown as stack_if_shown says: loopback, interface 0 inside, is 1 in profile isolate.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h> /* not <net/if.h>: that has a struct ifaddr of its own */
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "ifnet.h"
#include "neigh.h"
#include "sock.h"
#include "sock_if.h"
#include "user.h"

#define IF_PRIVATE_LAST (SIOCDEVPRIVATE + 15)

static const struct ifnet *by_name(const struct stack *st, const char *name)
{
    /* In profile default "lo" is the host's (design section 2). */
    for (uint32_t i = st->isolate ? 0 : 1; i < st->nif; i++)
        if (!strncmp(st->ifn[i].name, name, IFNAMSIZ))
            return &st->ifn[i];
    return NULL;
}

static void put_addr(struct sockaddr *sa, uint32_t v4_be)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = v4_be};

    memcpy(sa, &sin, sizeof sin);
}

static bool is_ip4(const struct ifaddr *a)
{
    return a->state != IFADDR_FREE && ipaddr_is_v4(&a->addr);
}

/* The interface's first IPv4 address; NULL: it has none. */
static const struct ifaddr *first_addr(const struct ifnet *ifn)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (is_ip4(&ifn->addr[i]))
            return &ifn->addr[i];
    return NULL;
}

unsigned sock_if_flags(const struct ifnet *ifn)
{
    unsigned f = ifn->up ? IFF_UP | IFF_RUNNING | IFF_LOWER_UP : 0;

    f |= ifn->caps & NETDEV_LOOPBACK ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST;
    return f ^ ifn->flipped;
}

static short if_flags(const struct ifnet *ifn)
{
    return (short)sock_if_flags(ifn); /* those that an ioctl can tell */
}

/* SIOCGIFADDR and its like: what hangs on an IPv4 address. */
static int get_addr(const struct ifnet *ifn, unsigned long req, struct ifreq *ifr)
{
    const struct ifaddr *a = first_addr(ifn);

    if (!a)
        return -EADDRNOTAVAIL;
    if (req == SIOCGIFADDR || req == SIOCGIFDSTADDR) /* no links to one peer alone */
        put_addr(&ifr->ifr_addr, ipaddr_get_v4(&a->addr));
    else if (req == SIOCGIFBRDADDR)
        put_addr(&ifr->ifr_broadaddr, ifn->caps & NETDEV_LOOPBACK ? 0 : ifaddr_broadcast(a));
    else
        put_addr(&ifr->ifr_netmask, a->prefix_len ? htonl(~0u << (32 - a->prefix_len)) : 0);
    return 0;
}

static int get_one(const struct stack *st, const struct ifnet *ifn, unsigned long req, struct ifreq *ifr)
{
    switch (req) {
    case SIOCGIFINDEX:
        ifr->ifr_ifindex = stack_if_shown(st, ifn->index);
        return 0;
    case SIOCGIFFLAGS:
        ifr->ifr_flags = if_flags(ifn);
        return 0;
    case SIOCGIFMTU:
        ifr->ifr_mtu = (int)ifn->mtu;
        return 0;
    case SIOCGIFMETRIC:
        ifr->ifr_metric = 0;
        return 0;
    case SIOCGIFTXQLEN:
        ifr->ifr_qlen = (int)ifn->txqlen;
        return 0;
    case SIOCGIFMAP:
        memset(&ifr->ifr_map, 0, sizeof ifr->ifr_map);
        return 0;
    case SIOCGIFHWADDR:
        memset(&ifr->ifr_hwaddr, 0, sizeof ifr->ifr_hwaddr);
        ifr->ifr_hwaddr.sa_family = ifn->caps & NETDEV_LOOPBACK ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
        memcpy(ifr->ifr_hwaddr.sa_data, ifn->mac, sizeof ifn->mac);
        return 0;
    default:
        return -EINVAL;
    }
}

/* SIOCGIFCONF: an entry for each IPv4 address; without a buffer the room they need. */
static int get_conf(const struct stack *st, struct ifconf *ifc)
{
    int room = ifc->ifc_buf ? ifc->ifc_len : 0, used = 0;

    for (uint32_t i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        for (uint32_t k = 0; k < ifn->naddr; k++) {
            struct ifreq ifr = {0};

            if (!is_ip4(&ifn->addr[k]))
                continue;
            if (ifc->ifc_buf && room - used < (int)sizeof ifr)
                break;
            memcpy(ifr.ifr_name, ifn->name, IFNAMSIZ);
            put_addr(&ifr.ifr_addr, ipaddr_get_v4(&ifn->addr[k].addr));
            if (ifc->ifc_buf && !user_copy(ifc->ifc_buf + used, &ifr, sizeof ifr))
                return -EFAULT;
            used += (int)sizeof ifr;
        }
    }
    ifc->ifc_len = used;
    return 0;
}

static int get_name(const struct stack *st, struct ifreq *ifr)
{
    int i = stack_if_of(st, ifr->ifr_ifindex);

    if (i < 0)
        return -ENODEV;
    memcpy(ifr->ifr_name, st->ifn[i].name, IFNAMSIZ);
    return 0;
}

/* SIOCETHTOOL: what of a port a program may want to know: does it segment, sum, gather, is it up. -EOPNOTSUPP
 * as from a driver that lacks the rest. */
static int ethtool(const struct ifnet *ifn, const struct ifreq *ifr)
{
    struct ethtool_value v;

    if (!user_copy(&v.cmd, ifr->ifr_data, sizeof v.cmd))
        return -EFAULT;
    switch (v.cmd) {
    case ETHTOOL_GTSO:
    case ETHTOOL_GGSO:
        v.data = !!(ifn->caps & NETDEV_TSO);
        break;
    case ETHTOOL_GSG:
        v.data = !!(ifn->caps & NETDEV_SCATTER);
        break;
    case ETHTOOL_GRXCSUM:
    case ETHTOOL_GTXCSUM:
        v.data = 1; /* in software where the port can't */
        break;
    case ETHTOOL_GLINK:
        v.data = ifn->up;
        break;
    case ETHTOOL_GUFO:
    case ETHTOOL_GGRO:
    case ETHTOOL_GFLAGS:
        v.data = 0;
        break;
    default:
        return -EOPNOTSUPP;
    }
    return user_copy(ifr->ifr_data, &v, sizeof v) ? 0 : -EFAULT;
}

/* Who asks what about an interface (dev_ioctl, inet_ioctl, inet6_ioctl). */
enum asks { ASKS_NOTHING, ASKS_ADDR, ASKS_GET, ASKS_DEVICE, ASKS_SET, ASKS_SLAVE };

/* A family whose sockets do not take IPv4's requests (packet sockets do: packet_ioctl). */
static bool not_inet(int domain)
{
    return domain != AF_INET && domain != AF_PACKET;
}

static enum asks asks(int domain, unsigned long req)
{
    switch (req) {
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFDSTADDR:
        return not_inet(domain) ? ASKS_NOTHING : ASKS_ADDR;
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFMTU:
    case SIOCGIFMETRIC:
    case SIOCGIFTXQLEN:
    case SIOCGIFHWADDR:
    case SIOCGIFMAP:
        return ASKS_GET;
    case SIOCGIFSLAVE:
        return ASKS_SLAVE;
    case SIOCETHTOOL:
    case SIOCGMIIPHY:
    case SIOCGMIIREG:
    case SIOCBONDINFOQUERY:
    case SIOCBONDSLAVEINFOQUERY:
    case SIOCGHWTSTAMP:
    case SIOCWANDEV:
        return ASKS_DEVICE;
    case SIOCSIFLINK:
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFMETRIC:
    case SIOCSIFMTU:
    case SIOCSIFHWADDR:
    case SIOCADDMULTI:
    case SIOCDELMULTI:
    case SIOCSIFHWBROADCAST:
    case SIOCSIFTXQLEN:
    case SIOCSIFNAME:
    case SIOCSIFMAP:
    case SIOCSMIIREG:
    case SIOCBONDENSLAVE:
    case SIOCBONDRELEASE:
    case SIOCBRADDIF:
    case SIOCBRDELIF:
    case SIOCSHWTSTAMP:
        return ASKS_SET;
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
        return not_inet(domain) ? ASKS_NOTHING : ASKS_SET;
    default:
        return req >= SIOCDEVPRIVATE && req <= IF_PRIVATE_LAST ? ASKS_DEVICE : ASKS_NOTHING;
    }
}

static int by_request(const struct stack *st, enum asks what, unsigned long req, struct ifreq *ifr)
{
    const struct ifnet *ifn;
    uint32_t cmd;
    char *colon;

    ifr->ifr_name[IFNAMSIZ - 1] = 0;
    colon = strchr(ifr->ifr_name, ':'); /* an alias: an address by its label. There are none */
    if (colon)
        *colon = 0;
    ifn = by_name(st, ifr->ifr_name);
    if (colon)
        *colon = ':';
    /* dev_ethtool reads the command first. */
    if (req == SIOCETHTOOL && !user_copy(&cmd, ifr->ifr_data, sizeof cmd))
        return -EFAULT;
    if (!ifn)
        return -ENODEV;
    switch (what) {
    case ASKS_ADDR:
        return colon ? -EADDRNOTAVAIL : get_addr(ifn, req, ifr);
    case ASKS_GET:
        return get_one(st, ifn, req, ifr);
    case ASKS_SLAVE:
        return -EINVAL;
    case ASKS_SET:
        return -EPERM;
    default:
        return req == SIOCETHTOOL ? ethtool(ifn, ifr) : -EOPNOTSUPP;
    }
}

/* SIOCGARP (arp_ioctl): the link address of a neighbour. */
static int get_arp(const struct stack *st, void *arg)
{
    const struct ifnet *ifn;
    const struct neigh *n;
    struct sockaddr_in in;
    struct arpreq r;
    struct ipaddr a;

    if (!user_copy(&r, arg, sizeof r))
        return -EFAULT;
    memcpy(&in, &r.arp_pa, sizeof in);
    if (in.sin_family != AF_INET)
        return -EPFNOSUPPORT;
    r.arp_dev[sizeof r.arp_dev - 1] = 0;
    ifn = by_name(st, r.arp_dev);
    if (!ifn)
        return -ENODEV;
    a = ipaddr_v4(in.sin_addr.s_addr);
    n = neigh_find(st, ifn->index, &a);
    if (!n || !neigh_has_mac(n) || n->state == NEIGH_NOARP)
        return -ENXIO;
    r.arp_flags = ATF_COM;
    memset(&r.arp_ha, 0, sizeof r.arp_ha);
    r.arp_ha.sa_family = ARPHRD_ETHER;
    memcpy(r.arp_ha.sa_data, n->hdr, ETH_ADDR_LEN);
    return user_copy(arg, &r, sizeof r) ? 0 : -EFAULT;
}

int sock_if_ioctl(const struct stack *st, int domain, unsigned long req, void *arg)
{
    enum asks what = asks(domain, req);
    struct ifreq ifr;
    int r;

    switch (req) {
    case SIOCGIFCONF:
        return user_writable(arg, sizeof(struct ifconf)) ? get_conf(st, arg) : -EFAULT;
    case SIOCGARP:
        return not_inet(domain) ? -ENOTTY : get_arp(st, arg);
    case SIOCADDRT:
    case SIOCDELRT:
    case SIOCSARP:
    case SIOCDARP:
    case SIOCBRADDBR:
    case SIOCBRDELBR:
        return -EPERM;
    }
    if (what == ASKS_NOTHING && req != SIOCGIFNAME)
        return -ENOTTY;
    if (!user_copy(&ifr, arg, sizeof ifr))
        return -EFAULT;
    r = req == SIOCGIFNAME ? get_name(st, &ifr) : by_request(st, what, req, &ifr);
    return r ? r : user_copy(arg, &ifr, sizeof ifr) ? 0 : -EFAULT;
}

int sock_if_get(const struct stack *st, unsigned i, struct if_info *out)
{
    const struct ifnet *ifn;

    i += st->isolate ? 0 : 1;
    if (i >= st->nif)
        return -ENODEV;
    ifn = &st->ifn[i];
    memset(out, 0, sizeof *out);
    memcpy(out->name, ifn->name, sizeof out->name);
    out->index = stack_if_shown(st, i);
    out->flags = (unsigned short)if_flags(ifn);
    out->mtu = ifn->mtu;
    out->hatype = ifn->caps & NETDEV_LOOPBACK ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
    memcpy(out->mac, ifn->mac, sizeof out->mac);
    for (uint32_t k = 0; k < ifn->naddr && out->naddr < KINDS_IF_ADDRS; k++) {
        const struct ifaddr *a = &ifn->addr[k];

        if (a->state != IFADDR_VALID)
            continue;
        memcpy(out->addr[out->naddr].addr, a->addr.b, 16);
        out->addr[out->naddr].v4 = ipaddr_is_v4(&a->addr);
        out->addr[out->naddr++].prefix_len = a->prefix_len;
    }
    return 0;
}
