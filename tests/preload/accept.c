/* accept.c: accept and accept4: names, flags, order, blocking and not, what the new socket inherits. */
#include "check.h"

CHECK(flags)
{
    struct sockaddr_in a;
    int l = listen4(&a), s;

    for (int i = 0; i < 4; i++)
        NEED(connect(tcp4(), SA(a)) == 0);
    s = accept(l, NULL, NULL);
    show("plain", "%d %d", fcntl(s, F_GETFL) == O_RDWR, fcntl(s, F_GETFD));
    s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    show("SOCK_NONBLOCK", "%d %d", fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK), fcntl(s, F_GETFD));
    s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    show("SOCK_CLOEXEC", "%d %d", fcntl(s, F_GETFL) == O_RDWR, fcntl(s, F_GETFD));
    R(accept4(l, NULL, NULL, SOCK_NONBLOCK << 1));
    R(accept4(l, NULL, NULL, -1));
    R(accept4(l, NULL, NULL, 1));
    NEED(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
    s = FD(accept(l, NULL, NULL));
    show("of a non-blocking listener", "%d", fcntl(s, F_GETFL) == O_RDWR);
    R(accept(l, NULL, NULL));
}

CHECK(names)
{
    struct sockaddr_in a, p, q;
    socklen_t len = sizeof(p), qlen = sizeof(q);
    int l = listen4(&a), c = tcp4(), s;

    NEED(connect(c, SA(a)) == 0);
    s = FD(accept(l, (struct sockaddr *)&p, &len));
    V(len);
    V(p.sin_family == AF_INET);
    V(p.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    V(ntohs(p.sin_port) == port_of(c));
    R(getpeername(s, (struct sockaddr *)&q, &qlen));
    V(memcmp(&p, &q, sizeof(p)));
    V(port_of(s) == ntohs(a.sin_port));
}

CHECK(truncated_name)
{
    struct sockaddr_in a;
    struct sockaddr_storage p;
    int l = listen4(&a);
    static const socklen_t lens[] = {0, 1, 2, 4, 8, 15, 16, 17, 128, 1000};

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        socklen_t len = lens[i];
        int s, same = 0;

        memset(&p, 0xee, sizeof(p));
        NEED(connect(tcp4(), SA(a)) == 0);
        s = accept(l, (struct sockaddr *)&p, &len);
        for (size_t k = 0; k < sizeof(p); k++)
            same += ((unsigned char *)&p)[k] == 0xee;
        show("accept", "%d, length %u becomes %u, touched %s", s >= 0, lens[i], len,
             same >= (int)sizeof(p) - (int)lens[i] ? "no more" : "too much");
    }
}

CHECK(bad_length)
{
    struct sockaddr_in a, p;
    socklen_t len = (socklen_t)-1;
    int l = listen4(&a);

    NEED(connect(tcp4(), SA(a)) == 0);
    NEED(settle(l, POLLIN));
    R(accept(l, (struct sockaddr *)&p, &len));
    len = sizeof(p);
    R(fcntl(l, F_SETFL, O_NONBLOCK));
    show("a connection is left", "%s", accept(l, (struct sockaddr *)&p, &len) >= 0 ? "yes" : errname(errno));
}

CHECK(order)
{
    struct sockaddr_in a;
    int l = listen4(&a);

    for (int i = 0; i < 5; i++) {
        int c = tcp4();
        char b = (char)('a' + i);

        NEED(connect(c, SA(a)) == 0 && send(c, &b, 1, 0) == 1);
    }
    for (int i = 0; i < 5; i++) {
        int s = accept(l, NULL, NULL);
        char b = 0;

        NEED(recv(s, &b, 1, 0) == 1);
        TEXT(&b, 1);
    }
}

CHECK(wrong_states)
{
    int sv[2], u = udp4(), s = tcp4();

    R(accept(s, NULL, NULL));
    R(accept(u, NULL, NULL));
    tcp_pair(sv);
    R(accept(sv[0], NULL, NULL));
    R(accept(sv[1], NULL, NULL));
    NEED(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
    R(accept(s, NULL, NULL));
}

CHECK(inherited_options)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a), s, on = 1, v = -1, tos = 0x10;
    socklen_t len = sizeof(v);
    struct linger lg = {1, 3}, lg2 = {0, 0};
    struct timeval tv = {1, 0}, tv2 = {0, 0};

    setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(l, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
    setsockopt(l, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    NEED(listen(l, 1) == 0);
    NEED(connect(tcp4(), SA(a)) == 0);
    s = accept(l, NULL, NULL);
    R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, &len));
    V(v);
    R(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &len));
    V(v);
    R(getsockopt(s, IPPROTO_IP, IP_TOS, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, &len));
    V(v);
    R(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
    V(v);
    len = sizeof(lg2);
    R(getsockopt(s, SOL_SOCKET, SO_LINGER, &lg2, &len));
    show("linger", "%d %d", lg2.l_onoff, lg2.l_linger);
    len = sizeof(tv2);
    R(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv2, &len));
    show("timeout", "%ld %ld", (long)tv2.tv_sec, (long)tv2.tv_usec);
}

CHECK(data_before_accept)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s;
    char b[16];

    NEED(connect(c, SA(a)) == 0);
    R(send(c, "early", 5, 0));
    R(shutdown(c, SHUT_WR));
    s = FD(accept(l, NULL, NULL));
    NEED(settle_bytes(s, 5));
    R(recv(s, b, sizeof(b), 0));
    TEXT(b, 5);
    R(recv(s, b, sizeof(b), 0));
    R(send(s, "late", 4, MSG_NOSIGNAL));
    R(recv(c, b, sizeof(b), 0));
}

CHECK(blocks)
{
    struct sockaddr_in a;
    int l = listen4(&a);
    long start = now_ms();
    pid_t p = fork_tied();

    if (p == 0) {
        nap(40);
        _exit(connect(tcp4(), SA(a)) == 0 ? 0 : 1);
    }
    FD(accept(l, NULL, NULL));
    took("waited", start, 40);
    V(child_status(p));
}

CHECK(timeout)
{
    struct sockaddr_in a;
    int l = listen4(&a);
    long start = now_ms();

    set_timeo(l, SO_RCVTIMEO, 40);
    R(accept(l, NULL, NULL));
    took("waited", start, 40);
}
