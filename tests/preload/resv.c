/* resv.c: what libc does with sockets on its own account: reserved ports, event counters, interfaces. */
#include "addrs.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/eventfd.h>

int bindresvport(int fd, struct sockaddr_in *sin);

CHECK(reserved_ports)
{
    int port = 1023, s = FD(rresvport(&port)), other = 1023, t;

    show("type", "%d", tcp4() > s);
    V(port == ntohs(htons(port_of(s))));
    V(port >= 512 && port < 1024);
    t = FD(rresvport_af(&other, AF_INET));
    V(other == port - 1);
    other = 5;
    t = FD(rresvport_af(&other, AF_INET6));
    V(other >= 512 && other < 1024);
    other = 100000;
    FD(rresvport_af(&other, AF_INET));
    V(other < 1024);
    R(rresvport_af(&other, AF_UNIX));
    R(listen(t, 1));
}

CHECK(bound_to_a_reserved_port)
{
    int s = tcp4(), u = udp4();
    struct sockaddr_in a = lo4(0), odd = {.sin_family = AF_INET6};

    R(bindresvport(s, &a));
    V(ntohs(a.sin_port) >= 512 && ntohs(a.sin_port) < 1024);
    V(port_of(s) == ntohs(a.sin_port));
    R(bindresvport(s, &a));
    R(bindresvport(u, NULL));
    V(port_of(u) >= 512 && port_of(u) < 1024);
    R(bindresvport(udp4(), &odd) < 0 ? -1 : 0);
    R(bindresvport(200, NULL));
    R(bindresvport(0, NULL) < 0 ? -1 : 0);
    R(listen(s, 1));
}

CHECK(interfaces)
{
    char name[IF_NAMESIZE] = "";
    struct if_nameindex *list = if_nameindex();
    struct ifaddrs *all = NULL;
    int n4 = 0, n6 = 0, links = 0;

    R(if_nametoindex("lo"));
    R(if_nametoindex("none0"));
    R(if_nametoindex(""));
    R(if_nametoindex("a-name-that-is-longer-than-any"));
    V(if_indextoname(1, name) == name);
    TEXT(name, strlen(name));
    R(if_indextoname(4711, name) ? 0 : -1);
    R(if_indextoname(0, name) ? 0 : -1);
    V(list && list[0].if_index == 1);
    V(list && strcmp(list[0].if_name, "lo") == 0);
    V(list && list[1].if_index == 0 && list[1].if_name == NULL);
    if_freenameindex(list);
    R(getifaddrs(&all));
    for (struct ifaddrs *p = all; p; p = p->ifa_next) {
        int family = p->ifa_addr ? p->ifa_addr->sa_family : -1;

        show("entry", "%s family %d flags %#x mask %d", p->ifa_name, family, p->ifa_flags,
             p->ifa_netmask ? p->ifa_netmask->sa_family : -1);
        n4 += family == AF_INET;
        n6 += family == AF_INET6;
        links += family == AF_PACKET;
    }
    show("entries", "%d %d %d", n4, n6, links);
    freeifaddrs(all);
    freeifaddrs(NULL);
}

/* Numeric names need no server. */
static void look_up(const char *host, const char *service, int family, int flags)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags}, *all = NULL;
    int r = getaddrinfo(host, service, &hints, &all);

    show("getaddrinfo", "%s %s %d %#x: %d", host ? host : "-", service ? service : "-", family,
         (unsigned)flags, r);
    show_addresses(all);
}

CHECK(names)
{
    int s = tcp4();

    V(s >= 0);
    look_up("127.0.0.1", "80", AF_UNSPEC, 0);
    look_up("::1", "80", AF_UNSPEC, AI_NUMERICHOST);
    look_up(NULL, "80", AF_INET, AI_PASSIVE);
    look_up(NULL, "80", AF_INET6, AI_PASSIVE);
    look_up(NULL, "80", AF_INET, 0);
    look_up("127.0.0.1", NULL, AF_INET6, AI_V4MAPPED);
    look_up("127.0.0.1", NULL, AF_INET6, 0);
    look_up("localhost", "80", AF_INET, 0);
    look_up("not a name", NULL, AF_INET, AI_NUMERICHOST);
}

CHECK(event_counter)
{
    int e = eventfd(0, EFD_NONBLOCK), sv[2];
    eventfd_t v = 7;

    R(eventfd_write(e, 3));
    R(eventfd_read(e, &v));
    V(v);
    R(eventfd_read(e, &v));
    tcp_pair_nb(sv);
    R(eventfd_write(sv[0], 5));
    NEED(settle_bytes(sv[1], 8));
    R(eventfd_read(sv[1], &v));
    V(v);
    R(eventfd_read(sv[1], &v));
    R(eventfd_read(200, &v));
}
