/* ifioctl.c: the ioctls of man 7 netdevice that ask, on sockets of every kind: of loopback, of an interface
 * that is not there, with names and lengths at their limits. Those that change an interface are EPERM under
 * shunt, as for an unprivileged program, and not compared. */
#include "check.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>

static const struct {
    const char *name;
    int domain, type, protocol;
} kinds[] = {{"tcp", AF_INET, SOCK_STREAM, 0},  {"udp", AF_INET, SOCK_DGRAM, 0},
             {"raw", AF_INET, SOCK_RAW, 253},   {"tcp6", AF_INET6, SOCK_STREAM, 0},
             {"udp6", AF_INET6, SOCK_DGRAM, 0}, {"packet", AF_PACKET, SOCK_DGRAM, 0},
             {"unix", AF_UNIX, SOCK_DGRAM, 0},  {"unixs", AF_UNIX, SOCK_STREAM, 0}};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct {
    const char *name;
    unsigned req;
} gets[] = {
#define G(r)                                                                                                 \
    {                                                                                                        \
#r, r                                                                                                \
    }
    G(SIOCGIFFLAGS),  G(SIOCGIFADDR),  G(SIOCGIFDSTADDR), G(SIOCGIFBRDADDR), G(SIOCGIFNETMASK),
    G(SIOCGIFMETRIC), G(SIOCGIFMTU),   G(SIOCGIFHWADDR),  G(SIOCGIFINDEX),   G(SIOCGIFTXQLEN),
    G(SIOCGIFMAP),    G(SIOCGIFSLAVE), G(SIOCGMIIPHY),    G(SIOCGMIIREG),    G(SIOCGIFMEM),
    G(SIOCGIFENCAP),  G(SIOCGIFCOUNT), G(SIOCWANDEV),     G(SIOCDEVPRIVATE), G(SIOCGHWTSTAMP),
#undef G
};
#define GETS (sizeof(gets) / sizeof(gets[0]))

static int open_kind(size_t k)
{
    int s = socket(kinds[k].domain, kinds[k].type, kinds[k].protocol);

    NEED(s >= 0);
    return s;
}

static void show_ifreq(const char *kind, const char *req, int rc, const struct ifreq *r)
{
    const unsigned char *p = (const unsigned char *)&r->ifr_addr;
    char hex[40] = "";

    if (rc < 0) {
        show(kind, "%s %s", req, errname(errno));
        return;
    }
    for (int i = 0; i < 16; i++)
        sprintf(hex + 2 * i, "%02x", p[i]);
    show(kind, "%s %s %s", req, r->ifr_name, hex);
}

static void ask(const char *name)
{
    for (size_t k = 0; k < KINDS; k++) {
        int s = open_kind(k);

        for (size_t i = 0; i < GETS; i++) {
            struct ifreq r = {0};
            int rc;

            strncpy(r.ifr_name, name, IFNAMSIZ - 1);
            errno = 0;
            rc = ioctl(s, gets[i].req, &r);
            show_ifreq(kinds[k].name, gets[i].name, rc, &r);
        }
        close(s);
    }
}

CHECK(loopback)
{
    ask("lo");
}

CHECK(not_there)
{
    ask("none0");
}

CHECK(empty_name)
{
    ask("");
}

/* lo:0 is an alias that was never made. */
CHECK(alias)
{
    ask("lo:0");
}

CHECK(without_a_zero)
{
    struct ifreq r;
    int s = udp4();

    memset(&r, 'x', sizeof(r));
    R(ioctl(s, SIOCGIFMTU, &r));
    V(r.ifr_name[IFNAMSIZ - 1]);
    memset(&r, 0, sizeof(r));
    memcpy(r.ifr_name, "lo", 2);
    R(ioctl(s, SIOCGIFMTU, (void *)1));
    R(ioctl(s, SIOCGIFMTU, NULL));
}

CHECK(names)
{
    for (size_t k = 0; k < KINDS; k++) {
        static const int indexes[] = {1, 0, -1, 4711};
        int s = open_kind(k);

        for (size_t i = 0; i < 4; i++) {
            struct ifreq r = {0};

            r.ifr_ifindex = indexes[i];
            errno = 0;
            show(kinds[k].name, "%d: %s %.16s", indexes[i],
                 ioctl(s, SIOCGIFNAME, &r) < 0 ? errname(errno) : "0", r.ifr_name);
        }
        close(s);
    }
}

CHECK(configuration)
{
    struct ifreq r[4];

    for (size_t k = 0; k < KINDS; k++) {
        static const int lens[] = {sizeof(r), sizeof(r[0]), sizeof(r[0]) - 1, 0, -1, 4711};
        int s = open_kind(k);

        for (size_t i = 0; i < 5; i++) {
            struct ifconf c = {.ifc_len = lens[i], .ifc_req = r};
            int rc;

            memset(r, 0xee, sizeof(r));
            errno = 0;
            rc = ioctl(s, SIOCGIFCONF, &c);
            show(kinds[k].name, "%d: %s, %d %.16s", lens[i], rc < 0 ? errname(errno) : "0", c.ifc_len,
                 rc == 0 && c.ifc_len > 0 ? r[0].ifr_name : "-");
        }
        close(s);
    }
    struct ifconf none = {.ifc_len = 100, .ifc_req = NULL},
                  bad = {.ifc_len = sizeof(r), .ifc_req = (void *)1};
    int s = udp4();

    R(ioctl(s, SIOCGIFCONF, &none));
    V(none.ifc_len);
    R(ioctl(s, SIOCGIFCONF, &bad));
    R(ioctl(s, SIOCGIFCONF, (void *)1));
}

CHECK(ethtool)
{
    struct ethtool_value v = {.cmd = ETHTOOL_GLINK};
    struct ethtool_drvinfo d = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq r = {.ifr_name = "none0"};
    int s = udp4();

    r.ifr_data = (void *)&v;
    R(ioctl(s, SIOCETHTOOL, &r));
    strcpy(r.ifr_name, "lo");
    R(ioctl(s, SIOCETHTOOL, &r));
    V(v.data);
    v.cmd = 0xffff;
    R(ioctl(s, SIOCETHTOOL, &r));
    v.cmd = ETHTOOL_GTSO;
    R(ioctl(s, SIOCETHTOOL, &r) < 0 ? -1 : 0);
    r.ifr_data = (void *)&d;
    R(ioctl(s, SIOCETHTOOL, &r));
    r.ifr_data = (void *)1;
    R(ioctl(s, SIOCETHTOOL, &r));
}

CHECK(neighbours)
{
    struct arpreq a = {0};
    struct sockaddr_in in = lo4(0);
    int s = udp4();

    R(ioctl(s, SIOCGARP, &a));
    memcpy(&a.arp_pa, &in, sizeof(in));
    R(ioctl(s, SIOCGARP, &a));
    strcpy(a.arp_dev, "none0");
    R(ioctl(s, SIOCGARP, &a));
    strcpy(a.arp_dev, "lo");
    R(ioctl(s, SIOCGARP, &a));
    R(ioctl(s, SIOCGARP, (void *)1));
    R(ioctl(socket(AF_INET6, SOCK_DGRAM, 0), SIOCGARP, &a));
}

/* SIOCGSTAMP: of the datagram that was read last. */
CHECK(stamps)
{
    static const unsigned long reqs[] = {SIOCGSTAMP_OLD, SIOCGSTAMPNS_OLD, SIOCGSTAMP_NEW, SIOCGSTAMPNS_NEW};
    int sv[2], tv[2];
    char b[8];

    udp_pair(sv);
    tcp_pair(tv);
    for (int i = 0; i < 4; i++)
        R(ioctl(sv[1], reqs[i], (long long[2]){0}));
    NEED(send(sv[0], "x", 1, 0) == 1 && settle(sv[1], POLLIN));
    R(ioctl(sv[1], SIOCGSTAMP_OLD, (long long[2]){0}));
    R(recv(sv[1], b, sizeof(b), 0));
    for (int i = 0; i < 4; i++) {
        long long t[2] = {0, 0};
        struct timespec now;

        R(ioctl(sv[1], reqs[i], t));
        clock_gettime(CLOCK_REALTIME, &now);
        V(now.tv_sec - t[0] < 3 && now.tv_sec >= t[0]);
        V(t[1] >= 0 && t[1] < (i & 1 ? 1000000000 : 1000000));
    }
    R(ioctl(sv[1], SIOCGSTAMP_OLD, (void *)1));
    NEED(send(tv[0], "x", 1, 0) == 1 && settle(tv[1], POLLIN) && recv(tv[1], b, 1, 0) == 1);
    R(ioctl(tv[1], SIOCGSTAMP_OLD, (long long[2]){0}));
}
