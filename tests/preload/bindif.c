/* bindif.c: SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_UNICAST_IF on loopback. */
#include "check.h"

#include <net/if.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

static void ask(int s)
{
    char name[IFNAMSIZ] = "";
    socklen_t len = sizeof(name);
    int v = -1;

    R(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    show("name", "\"%s\" %u", name, len);
    len = sizeof(v);
    R(getsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &v, &len));
    show("index", "%s", v == 0 ? "none" : v == (int)if_nametoindex("lo") ? "lo" : "other");
}

static void both(int type)
{
    int s = socket(AF_INET, type, type == SOCK_RAW ? 253 : 0), v;
    char few[3];
    socklen_t len = sizeof(few);

    ask(s);
    R(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "no-such", 7));
    R(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    ask(s);
    R(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, few, &len));
    R(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    ask(s);
    v = (int)if_nametoindex("lo");
    R(setsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
    ask(s);
    v = -1;
    R(setsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &v, 3));
    v = 0;
    R(setsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
    ask(s);
}

CHECK(udp)
{
    both(SOCK_DGRAM);
}

CHECK(tcp)
{
    both(SOCK_STREAM);
}

CHECK(raw)
{
    both(SOCK_RAW);
}

CHECK(traffic)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4(), l, c;
    char b[8];

    R(setsockopt(r, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    R(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    R(sendto(s, "abc", 3, 0, SA(a)));
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    l = listen4(&a);
    R(setsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    c = tcp4();
    R(setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    R(connect(c, SA(a)));
    FD(accept(l, NULL, NULL));
}

CHECK(unicast_if)
{
    int s = udp4(), v = (int)htonl(if_nametoindex("lo")), got = 0;
    socklen_t len = sizeof(got);
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a);
    char b[8];

    R(getsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &got, &len));
    V(got);
    R(setsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &v, sizeof(v)));
    R(getsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &got, &len));
    V(got == v);
    R(sendto(s, "abc", 3, 0, SA(a)));
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    v = (int)htonl(999);
    R(setsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &v, sizeof(v)));
    R(setsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &v, 2));
    v = 0;
    R(setsockopt(s, IPPROTO_IP, IP_UNICAST_IF, &v, sizeof(v)));
}
