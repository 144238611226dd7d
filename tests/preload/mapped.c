/* mapped.c: IPv4 through AF_INET6 sockets (RFC 3493 3.7): mapped addresses, dual-stack listeners,
 * IPV6_V6ONLY. */
#include "check.h"

static struct sockaddr_in6 map6(uint32_t addr, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
    addr = htonl(addr);
    memcpy(&a.sin6_addr.s6_addr[12], &addr, 4);
    return a;
}

static struct sockaddr_in6 any6(uint16_t port)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};

    return a;
}

static int sock6(int type)
{
    int s = socket(AF_INET6, type, 0);

    NEED(s >= 0);
    return s;
}

static void show6(const char *what, int (*call)(int, struct sockaddr *, socklen_t *), int s)
{
    struct sockaddr_in6 a = {0};
    socklen_t len = sizeof(a);
    char text[INET6_ADDRSTRLEN];

    if (call(s, (struct sockaddr *)&a, &len) < 0)
        show(what, "%s", errname(errno));
    else
        show(what, "family %d length %u %s %s", a.sin6_family, len,
             inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text)), a.sin6_port ? "port" : "0");
}

CHECK(connect_mapped)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = sock6(SOCK_STREAM), s;
    struct sockaddr_in6 m = map6(INADDR_LOOPBACK, ntohs(a.sin_port));

    R(connect(c, SA(m)));
    s = FD(accept(l, NULL, NULL));
    show6("peer", getpeername, c);
    show6("local", getsockname, c);
    R(send(c, "x", 1, 0));
    R(recv(s, (char[1]){0}, 1, 0));
}

CHECK(dual_listener)
{
    struct sockaddr_in6 w = any6(0), p = {0};
    struct sockaddr_in a;
    socklen_t len = sizeof(p);
    int l = sock6(SOCK_STREAM), c = tcp4(), s;
    char text[INET6_ADDRSTRLEN];

    show6("fresh", getsockname, l);
    R(bind(l, SA(w)));
    R(listen(l, 4));
    show6("listening", getsockname, l);
    a = lo4(port_of(l));
    R(connect(c, SA(a)));
    s = FD(accept(l, (struct sockaddr *)&p, &len));
    show("from", "family %d length %u %s", p.sin6_family, len,
         inet_ntop(AF_INET6, &p.sin6_addr, text, sizeof(text)));
    show6("local", getsockname, s);
    show6("peer", getpeername, s);
    R(send(s, "dual", 4, 0));
    R(recv(c, (char[4]){0}, 4, MSG_WAITALL));
}

CHECK(bind_mapped)
{
    struct sockaddr_in6 m = map6(INADDR_LOOPBACK, 0);
    struct sockaddr_in a;
    int l = sock6(SOCK_STREAM);

    R(bind(l, SA(m)));
    R(listen(l, 1));
    show6("listening", getsockname, l);
    a = lo4(port_of(l));
    R(connect(tcp4(), SA(a)));
    FD(accept(l, NULL, NULL));
}

CHECK(conflicts)
{
    struct sockaddr_in6 w = any6(0), m;
    struct sockaddr_in a;
    int l = sock6(SOCK_STREAM), s = tcp4();

    NEED(bind(l, SA(w)) == 0);
    a = at4(INADDR_ANY, port_of(l));
    R(bind(s, SA(a)));
    a = lo4(port_of(l));
    R(bind(s, SA(a)));
    m = map6(INADDR_LOOPBACK, port_of(l));
    R(bind(sock6(SOCK_STREAM), SA(m)));
}

CHECK(v6only)
{
    struct sockaddr_in6 w = any6(0), m;
    struct sockaddr_in a;
    int l = sock6(SOCK_STREAM), s = tcp4(), on = 1, v = -1;
    socklen_t len = sizeof(v);

    R(getsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len));
    V(v);
    R(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    R(getsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len));
    V(v);
    R(bind(l, SA(w)));
    R(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    R(listen(l, 1));
    a = lo4(port_of(l));
    R(connect(s, SA(a)));
    s = tcp4();
    a = at4(INADDR_ANY, port_of(l));
    R(bind(s, SA(a)));
    s = sock6(SOCK_STREAM);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    m = map6(INADDR_LOOPBACK, 0);
    R(bind(s, SA(m)));
    R(connect(s, SA(m)));
}

CHECK(datagrams)
{
    struct sockaddr_in6 w = any6(0), m, from = {0};
    struct sockaddr_in a;
    socklen_t len = sizeof(from);
    int r = sock6(SOCK_DGRAM), s = udp4(), t = sock6(SOCK_DGRAM);
    char b[8], text[INET6_ADDRSTRLEN];

    R(bind(r, SA(w)));
    a = lo4(port_of(r));
    R(sendto(s, "from4", 5, 0, SA(a)));
    R(recvfrom(r, b, sizeof(b), 0, (struct sockaddr *)&from, &len));
    show("from", "family %d length %u %s", from.sin6_family, len,
         inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
    R(sendto(r, "back", 4, 0, SA(from)));
    R(recv(s, b, sizeof(b), 0));
    m = map6(INADDR_LOOPBACK, port_of(r));
    R(sendto(t, "mapped", 6, 0, SA(m)));
    R(recv(r, b, sizeof(b), 0));
    R(connect(t, SA(m)));
    show6("peer", getpeername, t);
    show6("local", getsockname, t);
}

CHECK(arguments)
{
    struct sockaddr_in a;
    struct sockaddr_in6 m = map6(INADDR_LOOPBACK, 0);
    int s = sock6(SOCK_STREAM), l = listen4(&a);

    R(bind(s, (struct sockaddr *)&m, sizeof(struct sockaddr_in)));
    R(bind(s, (struct sockaddr *)&m, 24)); /* RFC 2133's sockaddr_in6, without the scope */
    s = sock6(SOCK_STREAM);
    R(bind(s, SA(a)));
    R(connect(s, SA(a)));
    R(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &l, &(socklen_t){4}));
    R(setsockopt(s, IPPROTO_IP, IP_TOS, &(int){0x10}, 4));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &(int){0x10}, 4));
    R(setsockopt(s, IPPROTO_IPV6, 9999, &l, 4));
    R(getsockopt(s, IPPROTO_IPV6, 9999, &l, &(socklen_t){4}));
}
