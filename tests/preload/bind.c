/* bind.c: naming: lengths and families, port 0, who may share an address with whom. */
#include "check.h"

CHECK(arguments)
{
    int s = tcp4();
    struct sockaddr_in a = lo4(0);
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    struct sockaddr_storage big = {0};

    R(bind(s, (struct sockaddr *)&a, 0));
    R(bind(s, (struct sockaddr *)&a, 1));
    R(bind(s, (struct sockaddr *)&a, sizeof(a) - 1));
    R(bind(s, (struct sockaddr *)&a, (socklen_t)-1));
    R(bind(s, (struct sockaddr *)&a, 129));
    R(bind(s, SA(a6)));
    a.sin_family = AF_UNIX;
    R(bind(s, SA(a)));
    a.sin_family = 77;
    R(bind(s, SA(a)));
    memcpy(&big, &(struct sockaddr_in[]){lo4(0)}, sizeof(a));
    R(bind(s, SA(big)));
    V(port_of(s) != 0);
}

CHECK(unspec_family)
{
    int s = tcp4();
    struct sockaddr_in a = at4(INADDR_LOOPBACK, 0);

    a.sin_family = AF_UNSPEC;
    R(bind(s, SA(a)));
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    R(bind(s, SA(a)));
    V(port_of(s) != 0);
}

CHECK(unspec_family_udp)
{
    int s = udp4();
    struct sockaddr_in a = at4(INADDR_ANY, 0);

    a.sin_family = AF_UNSPEC;
    R(bind(s, SA(a)));
    V(port_of(s) != 0);
}

CHECK(twice)
{
    struct sockaddr_in a, b = lo4(0);
    int s = bound4(SOCK_STREAM, &a), u = bound4(SOCK_DGRAM, &b);

    R(bind(s, SA(a)));
    b = lo4(0);
    R(bind(s, SA(b)));
    R(bind(u, SA(b)));
}

CHECK(not_our_address)
{
    int s = tcp4(), u = udp4();
    struct sockaddr_in a = at4(0xc6120505, 0), m = at4(0xe0000001, 0), bc = at4(INADDR_BROADCAST, 0);

    R(bind(s, SA(a)));
    R(bind(u, SA(a)));
    R(bind(s, SA(m)));
    R(bind(s, SA(bc)));
    R(bind(u, SA(m)));
    V(port_of(u) != 0);
}

CHECK(another_loopback_address)
{
    int s = tcp4(), c = tcp4();
    struct sockaddr_in a = at4(0x7f010203, 0);

    R(bind(s, SA(a)));
    R(listen(s, 1));
    a.sin_port = htons(port_of(s));
    R(connect(c, SA(a)));
}

CHECK(in_use)
{
    struct sockaddr_in a, w;
    int s = bound4(SOCK_STREAM, &a), t = tcp4(), u = udp4();

    w = at4(INADDR_ANY, ntohs(a.sin_port));
    R(bind(t, SA(a)));
    R(bind(t, SA(w)));
    R(bind(u, SA(a)));
    close(s);
    R(bind(t, SA(w)));
    s = tcp4();
    R(bind(s, SA(a)));
}

CHECK(in_use_udp)
{
    struct sockaddr_in a, w;
    int t = udp4();

    bound4(SOCK_DGRAM, &a);
    w = at4(INADDR_ANY, ntohs(a.sin_port));
    R(bind(t, SA(a)));
    R(bind(t, SA(w)));
    a.sin_addr.s_addr = htonl(0x7f000002);
    R(bind(t, SA(a)));
}

CHECK(different_addresses)
{
    struct sockaddr_in a;
    int t = tcp4(), v = tcp4();

    bound4(SOCK_STREAM, &a);
    a.sin_addr.s_addr = htonl(0x7f000002);
    R(bind(t, SA(a)));
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    R(bind(v, SA(a)));
}

static void set(int s, int name)
{
    int on = 1;

    NEED(setsockopt(s, SOL_SOCKET, name, &on, sizeof(on)) == 0);
}

/* Binds two sockets to the same name with options o1 and o2 (0: none), listening in between or not. */
static void share(const char *what, int type, int o1, int o2, bool listen1, uint32_t addr2)
{
    int s = socket(AF_INET, type, 0), t = socket(AF_INET, type, 0), rc;
    struct sockaddr_in a = lo4(0);

    if (o1)
        set(s, o1);
    if (o2)
        set(t, o2);
    NEED(bind(s, SA(a)) == 0);
    if (listen1)
        NEED(listen(s, 1) == 0);
    a = at4(addr2, port_of(s));
    rc = bind(t, SA(a));
    show(what, "%s", rc < 0 ? errname(errno) : "0");
    if (rc == 0 && listen1) {
        rc = listen(t, 1);
        show("and listen", "%s", rc < 0 ? errname(errno) : "0");
    }
}

CHECK(reuseaddr)
{
    const uint32_t lo = INADDR_LOOPBACK, any = INADDR_ANY;

    share("tcp, first only", SOCK_STREAM, SO_REUSEADDR, 0, false, lo);
    share("tcp, second only", SOCK_STREAM, 0, SO_REUSEADDR, false, lo);
    share("tcp, both", SOCK_STREAM, SO_REUSEADDR, SO_REUSEADDR, false, lo);
    share("tcp, both, first listens", SOCK_STREAM, SO_REUSEADDR, SO_REUSEADDR, true, lo);
    share("tcp, both, second any", SOCK_STREAM, SO_REUSEADDR, SO_REUSEADDR, false, any);
    share("tcp, both, first listens, second any", SOCK_STREAM, SO_REUSEADDR, SO_REUSEADDR, true, any);
    share("tcp, first listens, second any with it", SOCK_STREAM, 0, SO_REUSEADDR, true, any);
    share("udp, first only", SOCK_DGRAM, SO_REUSEADDR, 0, false, lo);
    share("udp, second only", SOCK_DGRAM, 0, SO_REUSEADDR, false, lo);
    share("udp, both", SOCK_DGRAM, SO_REUSEADDR, SO_REUSEADDR, false, lo);
    share("udp, both, second any", SOCK_DGRAM, SO_REUSEADDR, SO_REUSEADDR, false, any);
}

CHECK(reuseport)
{
    const uint32_t lo = INADDR_LOOPBACK, any = INADDR_ANY;

    share("tcp, first only", SOCK_STREAM, SO_REUSEPORT, 0, false, lo);
    share("tcp, second only", SOCK_STREAM, 0, SO_REUSEPORT, false, lo);
    share("tcp, both", SOCK_STREAM, SO_REUSEPORT, SO_REUSEPORT, false, lo);
    share("tcp, both, first listens", SOCK_STREAM, SO_REUSEPORT, SO_REUSEPORT, true, lo);
    share("tcp, both, first listens, second any", SOCK_STREAM, SO_REUSEPORT, SO_REUSEPORT, true, any);
    share("tcp, port and addr", SOCK_STREAM, SO_REUSEPORT, SO_REUSEADDR, false, lo);
    share("tcp, addr and port", SOCK_STREAM, SO_REUSEADDR, SO_REUSEPORT, false, lo);
    share("udp, both", SOCK_DGRAM, SO_REUSEPORT, SO_REUSEPORT, false, lo);
    share("udp, first only", SOCK_DGRAM, SO_REUSEPORT, 0, false, lo);
    share("udp, both, second any", SOCK_DGRAM, SO_REUSEPORT, SO_REUSEPORT, false, any);
}

/* The port of a connection whose listener is gone: TIME_WAIT keeps it, SO_REUSEADDR takes it all the same. */
CHECK(time_wait)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s, t = tcp4();
    char b;

    NEED(connect(c, SA(a)) == 0);
    s = accept(l, NULL, NULL);
    close(l);
    R(bind(t, SA(a)));
    close(s); /* the server's side closes first and stays in TIME_WAIT */
    NEED(settle(c, POLLIN));
    R(recv(c, &b, 1, 0));
    close(c);
    nap(20);
    R(bind(t, SA(a)));
    set(t, SO_REUSEADDR);
    R(bind(t, SA(a)));
    R(listen(t, 1));
}

CHECK(established_keeps_the_port)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s, t = tcp4(), on = 1;

    NEED(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    NEED(connect(c, SA(a)) == 0);
    s = accept(l, NULL, NULL);
    NEED(s >= 0);
    R(bind(t, SA(a)));
    set(t, SO_REUSEADDR);
    R(bind(t, SA(a)));
    close(l);
    R(bind(t, SA(a)));
}

CHECK(port_zero)
{
    int s[8];

    for (int i = 0; i < 8; i++) {
        struct sockaddr_in a = lo4(0);

        s[i] = tcp4();
        NEED(bind(s[i], SA(a)) == 0);
        for (int k = 0; k < i; k++)
            NEED(port_of(s[k]) != port_of(s[i]));
        NEED(port_of(s[i]) >= 1024);
    }
    show("8 different ports", "yes");
}

CHECK(listen_without_bind)
{
    int s = tcp4(), c = tcp4();
    struct sockaddr_in a;
    socklen_t len = sizeof(a);

    R(listen(s, 5));
    R(getsockname(s, (struct sockaddr *)&a, &len));
    V(a.sin_addr.s_addr == htonl(INADDR_ANY));
    V(a.sin_port != 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    R(connect(c, SA(a)));
}

CHECK(low_port)
{
    int s = tcp4();
    struct sockaddr_in a = lo4(80);

    R(bind(s, SA(a)));
    R(listen(s, 1));
    V(port_of(s));
}

CHECK(bind_after_connect)
{
    int sv[2];
    struct sockaddr_in a = lo4(0);

    tcp_pair(sv);
    R(bind(sv[0], SA(a)));
    R(bind(sv[1], SA(a)));
}

CHECK(bind_then_connect)
{
    struct sockaddr_in a, b, p;
    socklen_t len = sizeof(p);
    int l = listen4(&a), c = bound4(SOCK_STREAM, &b), s;

    R(connect(c, SA(a)));
    s = accept(l, (struct sockaddr *)&p, &len);
    NEED(s >= 0);
    V(p.sin_port == b.sin_port);
    V(p.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
}
