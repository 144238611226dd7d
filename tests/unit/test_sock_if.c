/* test_sock_if.c: interface ioctls show the stack's interfaces. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if.h> /* not <net/if.h>: that has a struct ifaddr of its own */
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "../../stack/ifnet.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static uint32_t v4(const struct sockaddr *sa)
{
    return ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
}

Test(sock_if, one_interface)
{
    struct env *e = env_stack(NULL);
    struct ifreq ifr = {.ifr_name = "eth0"};
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFADDR, &ifr), 0);
    cr_assert_eq(v4(&ifr.ifr_addr), ENV_IP);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFNETMASK, &ifr), 0);
    cr_assert_eq(v4(&ifr.ifr_netmask), IP4(255, 255, 255, 0));
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFBRDADDR, &ifr), 0);
    cr_assert_eq(v4(&ifr.ifr_broadaddr), IP4(198, 18, 0, 255));
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFMTU, &ifr), 0);
    cr_assert_eq(ifr.ifr_mtu, 1500);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFFLAGS, &ifr), 0);
    cr_assert_eq(ifr.ifr_flags, IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFHWADDR, &ifr), 0);
    cr_assert_eq(ifr.ifr_hwaddr.sa_family, ARPHRD_ETHER);
    cr_assert_arr_eq(ifr.ifr_hwaddr.sa_data, ENV_MAC, 6);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFINDEX, &ifr), 0);
    cr_assert_eq(ifr.ifr_ifindex, stack_if_shown(e->st, ENV_IF));
    memset(ifr.ifr_name, 0, sizeof ifr.ifr_name);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFNAME, &ifr), 0);
    cr_assert_str_eq(ifr.ifr_name, "eth0");
    strcpy(ifr.ifr_name, "eth9");
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFADDR, &ifr), -ENODEV);
    cr_assert_eq(sock_ioctl(e->st, s, 0x12345, &ifr), -ENOTTY);
}

/* Another one stays, behind which the new one comes. */
Test(sock_if, a_changed_address_needs_no_probe)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true, .arp_probe = true});
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = IP4(10, 0, 0, 1)};
    struct ipaddr other = ipaddr_v4(IP4(198, 19, 0, 1)), changed = ipaddr_v4(IP4(10, 0, 0, 1));
    struct ifreq ifr = {.ifr_name = "eth0"};
    struct sock *s;

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &other, 24), 0);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    memcpy(&ifr.ifr_addr, &in, sizeof in);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCSIFADDR, &ifr), 0);
    cr_assert(ifnet_find_addr(&e->st->ifn[ENV_IF], &changed));
    cr_assert_not(ifnet_find_addr(&e->st->ifn[ENV_IF], &other), "it is being probed");
}

Test(sock_if, list)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct ifreq r[4];
    struct ifconf ifc = {.ifc_len = 0, .ifc_buf = NULL};
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFCONF, &ifc), 0);
    cr_assert_eq(ifc.ifc_len, 2 * (int)sizeof r[0]);
    ifc.ifc_len = sizeof r;
    ifc.ifc_req = r;
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFCONF, &ifc), 0);
    cr_assert_eq(ifc.ifc_len, 2 * (int)sizeof r[0]);
    cr_assert_str_eq(r[0].ifr_name, "lo");
    cr_assert_eq(v4(&r[0].ifr_addr), htonl(INADDR_LOOPBACK));
    cr_assert_str_eq(r[1].ifr_name, "eth0");
    ifc.ifc_len = sizeof r[0] + 5;
    cr_assert_eq(sock_ioctl(e->st, s, SIOCGIFCONF, &ifc), 0);
    cr_assert_eq(ifc.ifc_len, (int)sizeof r[0]);
}
