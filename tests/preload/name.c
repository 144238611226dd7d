/* name.c: getsockname and getpeername in every state, and short buffers. */
#include "check.h"

static void names(int s, const char *what)
{
    struct sockaddr_in a = {0}, p = {0};
    socklen_t alen = sizeof(a), plen = sizeof(p);
    int ra = getsockname(s, (struct sockaddr *)&a, &alen), ea = errno;
    int rp = getpeername(s, (struct sockaddr *)&p, &plen), ep = errno;
    char buf[2][INET_ADDRSTRLEN];

    show(what, "local %s %d %s:%s, peer %s %d %s:%s", ra ? errname(ea) : "0", a.sin_family,
         inet_ntop(AF_INET, &a.sin_addr, buf[0], sizeof(buf[0])), a.sin_port ? "port" : "0",
         rp ? errname(ep) : "0", p.sin_family, inet_ntop(AF_INET, &p.sin_addr, buf[1], sizeof(buf[1])),
         p.sin_port ? "port" : "0");
    show("lengths", "%u %u", alen, plen);
}

CHECK(tcp_states)
{
    struct sockaddr_in a;
    int l, c = tcp4(), s;
    char b;

    names(c, "fresh");
    l = bound4(SOCK_STREAM, &a);
    names(l, "bound");
    NEED(listen(l, 1) == 0);
    names(l, "listening");
    NEED(connect(c, SA(a)) == 0);
    s = accept(l, NULL, NULL);
    names(c, "connected");
    names(s, "accepted");
    shutdown(c, SHUT_WR);
    names(c, "half closed");
    NEED(settle(s, POLLIN));
    NEED(recv(s, &b, 1, 0) == 0);
    names(s, "after the peer's FIN");
    close(s);
    NEED(settle(c, POLLIN));
    nap(QUIET_MS);
    names(c, "both closed");
}

CHECK(after_reset)
{
    int sv[2];
    struct linger lg = {1, 0};

    tcp_pair(sv);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    close(sv[1]);
    NEED(settle(sv[0], POLLIN));
    names(sv[0], "reset");
    SOERR(sv[0]);
    names(sv[0], "error taken");
}

CHECK(udp_states)
{
    struct sockaddr_in a = lo4(0), u = {.sin_family = AF_UNSPEC};
    int s = udp4(), t = bound4(SOCK_DGRAM, &a);

    names(s, "fresh");
    names(t, "bound");
    NEED(sendto(s, "x", 1, 0, SA(a)) == 1);
    names(s, "after sendto");
    NEED(connect(s, SA(a)) == 0);
    names(s, "connected");
    NEED(connect(s, SA(u)) == 0);
    names(s, "dissolved");
    s = udp4();
    NEED(connect(s, SA(a)) == 0);
    names(s, "connected at once");
    NEED(connect(s, SA(u)) == 0);
    names(s, "dissolved");
}

CHECK(short_buffers)
{
    static const int lens[] = {0, 2, 8, 15, 16, 40, -1};
    int sv[2];

    tcp_pair(sv);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        socklen_t la = (socklen_t)lens[i], lb = (socklen_t)lens[i];
        char big[64];

        memset(big, 0xee, sizeof(big));
        show("getsockname", "%d", getsockname(sv[0], (struct sockaddr *)big, &la) ? errno : 0);
        if (lens[i] >= 0 && lens[i] < 64)
            V((unsigned char)big[lens[i]] == 0xee);
        show("getpeername", "%d", getpeername(sv[0], (struct sockaddr *)big, &lb) ? errno : 0);
        show("lengths", "%d %d", (int)la, (int)lb);
    }
}

CHECK(wildcard_peer_decides)
{
    struct sockaddr_in a = at4(INADDR_ANY, 0), to;
    int l = tcp4(), c = tcp4(), s;

    NEED(bind(l, SA(a)) == 0 && listen(l, 1) == 0);
    names(l, "wildcard listener");
    to = at4(0x7f000105, port_of(l));
    NEED(connect(c, SA(to)) == 0);
    s = accept(l, NULL, NULL);
    names(s, "accepted");
    names(c, "connected");
}
