/* raw.c: raw sockets: who gets which packets, the header that is read and written, filters, names, errors. */
#include "check.h"

#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif

static int raw4(int proto)
{
    int fd = socket(AF_INET, SOCK_RAW, proto);

    NEED(fd >= 0);
    return fd;
}

static uint16_t sum16(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint32_t s = 0;

    for (size_t i = 0; i < n; i++)
        s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
    s = (s >> 16) + (s & 0xffff);
    return htons((uint16_t) ~(s + (s >> 16)));
}

static size_t echo(uint8_t *b, uint16_t id, uint16_t seq, size_t data)
{
    struct icmphdr h = {.type = ICMP_ECHO, .un.echo = {htons(id), htons(seq)}};

    memset(b, 'x', sizeof(h) + data);
    memcpy(b, &h, sizeof(h));
    h.checksum = sum16(b, sizeof(h) + data);
    memcpy(b, &h, sizeof(h));
    return sizeof(h) + data;
}

/* One packet, described. */
static void got(int fd)
{
    uint8_t b[2048];
    struct iphdr ip;
    ssize_t n;

    if (!(poll_for(fd, POLLIN, QUIET_MS) & POLLIN)) {
        show("packet", "none");
        return;
    }
    n = recv(fd, b, sizeof(b), 0);
    NEED(n >= (ssize_t)sizeof(ip));
    memcpy(&ip, b, sizeof(ip));
    show("packet", "%zd bytes, ihl %d, tos %d, len %d, off %x, ttl %d, proto %d, sum %d, id %s, first %d", n,
         ip.ihl, ip.tos, ntohs(ip.tot_len), ntohs(ip.frag_off), ip.ttl, ip.protocol,
         sum16(b, (size_t)ip.ihl * 4) == 0,
         ip.frag_off ? "any"
         : ip.id     ? "set"
                     : "0",
         ip.protocol == 1 ? b[ip.ihl * 4] : 0);
}

CHECK(creation)
{
    FD(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    FD(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    FD(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
    FD(socket(AF_INET, SOCK_RAW, 0));
    FD(socket(AF_INET, SOCK_RAW, 256));
    FD(socket(AF_INET, SOCK_RAW, 263));
    FD(socket(AF_INET, SOCK_RAW, -1));
    FD(socket(AF_INET6, SOCK_RAW, 0));
}

CHECK(names)
{
    int s = raw4(IPPROTO_ICMP), v;
    struct sockaddr_in a = lo4(77), got;
    socklen_t len = sizeof(got);

    R(getsockname(s, (struct sockaddr *)&got, &len));
    V(ntohs(got.sin_port));
    V(got.sin_addr.s_addr);
    R(getpeername(s, (struct sockaddr *)&got, &len));
    R(bind(s, SA(a)));
    R(bind(s, SA(a)));
    R(getsockname(s, (struct sockaddr *)&got, &len));
    V(ntohs(got.sin_port));
    V(got.sin_addr.s_addr == a.sin_addr.s_addr);
    a.sin_addr.s_addr = htonl(0xc6120001);
    R(bind(s, SA(a)));
    a = lo4(0);
    R(bind(s, (struct sockaddr *)&a, 8));
    a.sin_family = AF_UNIX;
    R(bind(s, SA(a)));
    a = lo4(0);
    R(connect(s, SA(a)));
    R(getpeername(s, (struct sockaddr *)&got, &len));
    R(bind(s, SA(a)));
    a = lo4(5);
    R(connect(s, SA(a)));
    R(getpeername(s, (struct sockaddr *)&got, &len));
    V(ntohs(got.sin_port));
    R(listen(s, 1));
    R(accept(s, NULL, NULL));
    len = sizeof(v);
    R(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len));
    V(v);
    R(shutdown(s, SHUT_RD));
}

CHECK(ping_oneself)
{
    int a = raw4(IPPROTO_ICMP), b = raw4(IPPROTO_ICMP), other = raw4(IPPROTO_UDP);
    struct sockaddr_in to = lo4(0), from = {0};
    uint8_t m[64];
    socklen_t len = sizeof(from);
    size_t n = echo(m, 7, 1, 16);

    R(sendto(a, m, n, 0, SA(to)));
    got(a); /* the request, then the reply: on both */
    got(a);
    got(a);
    got(b);
    R(recvfrom(b, m, 10, MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&from, &len));
    V(len);
    V(from.sin_addr.s_addr == to.sin_addr.s_addr && from.sin_port == 0 && from.sin_family == AF_INET);
    got(other);
}

CHECK(icmp_filter)
{
    int s = raw4(IPPROTO_ICMP), u = raw4(IPPROTO_UDP);
    struct sockaddr_in to = lo4(0);
    uint32_t f = ~(1u << ICMP_ECHOREPLY), g = 0;
    socklen_t len = sizeof(g);
    uint8_t m[64];
    size_t n = echo(m, 7, 1, 0);

    R(setsockopt(s, SOL_RAW, ICMP_FILTER, &f, sizeof(f)));
    R(getsockopt(s, SOL_RAW, ICMP_FILTER, &g, &len));
    V(g == f);
    V(len);
    R(sendto(s, m, n, 0, SA(to)));
    got(s);
    got(s);
    R(setsockopt(u, SOL_RAW, ICMP_FILTER, &f, sizeof(f)));
    R(setsockopt(s, SOL_RAW, 2, &f, sizeof(f)));
    R(setsockopt(s, SOL_RAW, ICMP_FILTER, &f, 1));
    R(setsockopt(s, IPPROTO_UDP, 1, &f, sizeof(f)));
    R(getsockopt(s, IPPROTO_TCP, 1, &f, &len));
}

CHECK(copies_of_what_the_host_takes_itself)
{
    int raw = raw4(IPPROTO_UDP), tcp = raw4(IPPROTO_TCP), sv[2];
    struct sockaddr_in a;
    char b[64];

    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    got(raw);
    R(recv(sv[1], b, sizeof(b), MSG_DONTWAIT));
    got(tcp);
    close(listen4(&a));
    R(connect(tcp4(), SA(a))); /* nobody there: a SYN and its reset */
    got(tcp);
    got(tcp);
    got(tcp);
}

CHECK(bound_and_connected)
{
    int s = raw4(IPPROTO_UDP), c = raw4(IPPROTO_UDP), sv[2];
    struct sockaddr_in a = at4(0x7f000002, 0);

    R(bind(s, SA(a)));
    R(connect(c, SA(a)));
    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    got(s);
    got(c);
}

CHECK(a_protocol_of_its_own)
{
    int s = raw4(253), r = raw4(253), t = raw4(254);
    struct sockaddr_in to = lo4(0);
    int v = 33;

    NEED(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof(v)) == 0);
    v = 0x10;
    NEED(setsockopt(s, IPPROTO_IP, IP_TOS, &v, sizeof(v)) == 0);
    R(send(s, "abc", 3, 0));
    R(sendto(s, "abc", 3, 0, SA(to)));
    got(r);
    got(s);
    got(t);
    R(sendto(s, "abc", 3, 0, (struct sockaddr *)&to, 8));
    to.sin_family = AF_UNIX;
    R(sendto(s, "abc", 3, 0, SA(to)));
    to.sin_family = AF_UNSPEC;
    R(sendto(s, "abc", 3, 0, SA(to)));
    R(sendto(s, "abc", 3, MSG_OOB, SA(to)));
    to = lo4(0);
    R(connect(s, SA(to)));
    R(send(s, "abcd", 4, 0));
    R(send(s, "", 0, 0));
    got(r);
    got(r);
    got(r);
    R(recv(s, NULL, 0, MSG_OOB | MSG_DONTWAIT));
}

CHECK(large)
{
    static char big[70000];
    static uint8_t in[70000];
    int s = raw4(253), r = raw4(253), n = 1 << 20;
    struct sockaddr_in to = lo4(0);

    NEED(setsockopt(r, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n)) == 0);
    R(sendto(s, big, 65516, 0, SA(to)));
    R(sendto(s, big, 65515, 0, SA(to)));
    V(poll_for(r, POLLIN, SETTLE_MS) & POLLIN);
    R(recv(r, in, sizeof(in), MSG_DONTWAIT));
    R(sendto(s, big, 65536, 0, SA(to)));
}

static void head(struct iphdr *ip, int len)
{
    memset(ip, 0, sizeof(*ip));
    ip->version = 4;
    ip->ihl = 5;
    ip->ttl = 9;
    ip->protocol = 253;
    ip->tot_len = htons((uint16_t)len);
    ip->daddr = htonl(INADDR_LOOPBACK);
}

CHECK(header_included)
{
    int s = raw4(IPPROTO_RAW), t = raw4(253), r = raw4(253), v = 0;
    struct sockaddr_in to = lo4(0);
    socklen_t len = sizeof(v);
    uint8_t b[128] = {0};
    struct iphdr ip;

    R(getsockopt(s, IPPROTO_IP, IP_HDRINCL, &v, &len));
    V(v);
    R(getsockopt(t, IPPROTO_IP, IP_HDRINCL, &v, &len));
    V(v);
    head(&ip, 40); /* length, sum, source and id are the stack's to fill in */
    memcpy(b, &ip, sizeof(ip));
    R(sendto(s, b, 24, 0, SA(to)));
    got(r);
    ip.saddr = htonl(0x7f000009);
    ip.id = htons(1234);
    ip.tos = 8;
    memcpy(b, &ip, sizeof(ip));
    R(sendto(s, b, 24, 0, SA(to)));
    got(r);
    R(sendto(s, b, 19, 0, SA(to)));
    ip.ihl = 15;
    memcpy(b, &ip, sizeof(ip));
    R(sendto(s, b, 24, 0, SA(to)));
    ip.ihl = 4;
    memcpy(b, &ip, sizeof(ip));
    R(sendto(s, b, 24, 0, SA(to)));
    got(r);
    ip.ihl = 6;
    memcpy(b, &ip, sizeof(ip));
    memset(b + 20, 1, 4);
    R(sendto(s, b, 28, 0, SA(to)));
    got(r);
    v = 1;
    R(setsockopt(t, IPPROTO_IP, IP_HDRINCL, &v, sizeof(v)));
    head(&ip, 24);
    memcpy(b, &ip, sizeof(ip));
    R(sendto(t, b, 24, 0, SA(to)));
    got(r);
    v = 0;
    R(setsockopt(s, IPPROTO_IP, IP_HDRINCL, &v, 0));
    R(setsockopt(udp4(), IPPROTO_IP, IP_HDRINCL, &v, sizeof(v)));
    R(recv(s, b, sizeof(b), MSG_DONTWAIT));
}

CHECK(errors)
{
    int s = raw4(253), u = raw4(IPPROTO_UDP), v = 1;
    struct sockaddr_in to = lo4(0), a;
    struct {
        struct udphdr h;
        char data[4];
    } d = {.h = {.uh_sport = htons(9), .uh_ulen = htons(12)}};

    R(connect(s, SA(to)));
    R(send(s, "abc", 3, 0)); /* the sender takes it: no error comes */
    R(so_error(s));
    close(bound4(SOCK_DGRAM, &a));
    d.h.uh_dport = a.sin_port;
    R(sendto(u, &d, sizeof(d), 0, SA(to)));
    V(so_error(u));
    R(setsockopt(u, IPPROTO_IP, IP_RECVERR, &v, sizeof(v)));
    R(sendto(u, &d, sizeof(d), 0, SA(to)));
    EV(poll_for(u, POLLERR, SETTLE_MS) & POLLERR);
    V(so_error(u));
    v = 0;
    R(setsockopt(u, IPPROTO_IP, IP_RECVERR, &v, sizeof(v)));
    R(connect(u, SA(to)));
    R(send(u, &d, sizeof(d), 0));
    EV(poll_for(u, POLLERR, SETTLE_MS) & POLLERR);
    V(so_error(u));
}

CHECK(broadcast)
{
    int s = raw4(253), v = 1;
    struct sockaddr_in to = at4(0x7fffffff, 0);

    R(sendto(s, "abc", 3, 0, SA(to)));
    NEED(setsockopt(s, SOL_SOCKET, SO_BROADCAST, &v, sizeof(v)) == 0);
    R(sendto(s, "abc", 3, 0, SA(to)));
}

CHECK(ioctls)
{
    int s = raw4(253), n = 0;
    struct sockaddr_in to = lo4(0);

    R(ioctl(s, FIONREAD, &n));
    V(n);
    NEED(sendto(s, "abc", 3, 0, SA(to)) == 3);
    R(ioctl(s, FIONREAD, &n));
    V(n);
    R(ioctl(s, TIOCOUTQ, &n));
    EV(poll_for(s, POLLIN | POLLOUT, 0));
}
