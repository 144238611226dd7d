/* sockopt.c: getsockopt and setsockopt: values, lengths, clamping, doubling, errnos. Defaults that a sysctl
 * decides are not compared. */
#include "check.h"

#include <linux/filter.h>

static void get_int(int s, const char *name, int level, int opt)
{
    int v = -77;
    socklen_t len = sizeof(v);
    char what[64];

    snprintf(what, sizeof(what), "get %s", name);
    if (getsockopt(s, level, opt, &v, &len) < 0)
        show(what, "%s", errname(errno));
    else
        show(what, "%d length %u", v, len);
}

static void set_int(int s, const char *name, int level, int opt, int v)
{
    char what[64];

    snprintf(what, sizeof(what), "set %s to %d", name, v);
    show(what, "%s", setsockopt(s, level, opt, &v, sizeof(v)) < 0 ? errname(errno) : "0");
}

#define GET(s, level, opt)    get_int(s, #opt, level, opt)
#define SET(s, level, opt, v) set_int(s, #opt, level, opt, v)
#define TRY(s, level, opt, v)                                                                                \
    do {                                                                                                     \
        set_int(s, #opt, level, opt, v);                                                                     \
        get_int(s, #opt, level, opt);                                                                        \
    } while (0)

CHECK(defaults)
{
    int s = tcp4(), u = udp4();

    GET(s, SOL_SOCKET, SO_REUSEADDR);
    GET(s, SOL_SOCKET, SO_REUSEPORT);
    GET(s, SOL_SOCKET, SO_KEEPALIVE);
    GET(s, SOL_SOCKET, SO_BROADCAST);
    GET(s, SOL_SOCKET, SO_DONTROUTE);
    GET(s, SOL_SOCKET, SO_OOBINLINE);
    GET(s, SOL_SOCKET, SO_PRIORITY);
    GET(s, SOL_SOCKET, SO_RCVLOWAT);
    GET(s, SOL_SOCKET, SO_SNDLOWAT);
    GET(s, SOL_SOCKET, SO_TIMESTAMP);
    GET(s, SOL_SOCKET, SO_ERROR);
    GET(s, SOL_SOCKET, SO_TYPE);
    GET(u, SOL_SOCKET, SO_TYPE);
    GET(u, SOL_SOCKET, SO_BROADCAST);
    GET(u, SOL_SOCKET, SO_RCVLOWAT);
    GET(s, IPPROTO_IP, IP_TOS);
    GET(s, IPPROTO_IP, IP_TTL);
    GET(u, IPPROTO_IP, IP_TTL);
    GET(u, IPPROTO_IP, IP_PKTINFO);
    GET(u, IPPROTO_IP, IP_RECVTTL);
    GET(u, IPPROTO_IP, IP_MULTICAST_TTL);
    GET(u, IPPROTO_IP, IP_MULTICAST_LOOP);
    GET(s, IPPROTO_TCP, TCP_NODELAY);
    GET(s, IPPROTO_TCP, TCP_CORK);
    GET(s, IPPROTO_TCP, TCP_QUICKACK);
    GET(s, IPPROTO_TCP, TCP_DEFER_ACCEPT);
    GET(s, IPPROTO_TCP, TCP_USER_TIMEOUT);
    GET(s, IPPROTO_TCP, TCP_KEEPIDLE);
    GET(s, IPPROTO_TCP, TCP_KEEPINTVL);
    GET(s, IPPROTO_TCP, TCP_KEEPCNT);
    GET(s, IPPROTO_TCP, TCP_SYNCNT);
    GET(s, IPPROTO_TCP, TCP_LINGER2);
    GET(s, IPPROTO_TCP, TCP_MAXSEG);
    GET(s, IPPROTO_TCP, TCP_WINDOW_CLAMP);
    GET(s, IPPROTO_TCP, TCP_FASTOPEN);
    GET(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT);
}

CHECK(flags)
{
    static const struct {
        const char *name;
        int level, opt;
    } f[] = {{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR}, {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT},
             {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE}, {"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST},
             {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE}, {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE},
             {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},  {"TCP_CORK", IPPROTO_TCP, TCP_CORK}};
    int s = tcp4();

    for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
        set_int(s, f[i].name, f[i].level, f[i].opt, 1);
        get_int(s, f[i].name, f[i].level, f[i].opt);
        set_int(s, f[i].name, f[i].level, f[i].opt, 42);
        get_int(s, f[i].name, f[i].level, f[i].opt);
        set_int(s, f[i].name, f[i].level, f[i].opt, 0);
        get_int(s, f[i].name, f[i].level, f[i].opt);
    }
}

CHECK(buffers)
{
    int types[] = {SOCK_STREAM, SOCK_DGRAM};

    for (int i = 0; i < 2; i++) {
        int s = socket(AF_INET, types[i], 0);

        TRY(s, SOL_SOCKET, SO_SNDBUF, 20000);
        TRY(s, SOL_SOCKET, SO_RCVBUF, 20000);
        TRY(s, SOL_SOCKET, SO_SNDBUF, 1);
        TRY(s, SOL_SOCKET, SO_RCVBUF, 1);
        TRY(s, SOL_SOCKET, SO_SNDBUF, 0);
        TRY(s, SOL_SOCKET, SO_RCVBUF, 0);
        TRY(s, SOL_SOCKET, SO_RCVBUF, 65536);
        SET(s, SOL_SOCKET, SO_SNDBUF, -1); /* clamped to a sysctl */
    }
}

CHECK(keepalive_values)
{
    int s = tcp4();

    TRY(s, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    TRY(s, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    TRY(s, IPPROTO_TCP, TCP_KEEPCNT, 3);
    TRY(s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    TRY(s, IPPROTO_TCP, TCP_KEEPIDLE, 32767);
    TRY(s, IPPROTO_TCP, TCP_KEEPIDLE, 32768);
    TRY(s, IPPROTO_TCP, TCP_KEEPINTVL, 0);
    TRY(s, IPPROTO_TCP, TCP_KEEPINTVL, 32768);
    TRY(s, IPPROTO_TCP, TCP_KEEPCNT, 0);
    TRY(s, IPPROTO_TCP, TCP_KEEPCNT, 127);
    TRY(s, IPPROTO_TCP, TCP_KEEPCNT, 128);
}

CHECK(tcp_values)
{
    int s = tcp4();

    TRY(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    TRY(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
    TRY(s, IPPROTO_TCP, TCP_SYNCNT, 3);
    TRY(s, IPPROTO_TCP, TCP_SYNCNT, 0);
    TRY(s, IPPROTO_TCP, TCP_SYNCNT, 128);
    TRY(s, IPPROTO_TCP, TCP_LINGER2, 5);
    TRY(s, IPPROTO_TCP, TCP_LINGER2, -3);
    TRY(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    TRY(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
    SET(s, IPPROTO_TCP, TCP_MAXSEG, 1000);
    SET(s, IPPROTO_TCP, TCP_MAXSEG, 10);
    SET(s, IPPROTO_TCP, TCP_MAXSEG, 40000);
    TRY(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
    TRY(s, IPPROTO_TCP, TCP_QUICKACK, 0);
    TRY(s, IPPROTO_TCP, TCP_QUICKACK, 1);
}

CHECK(congestion_control)
{
    int s = tcp4();
    char name[32] = "";
    socklen_t len = sizeof(name);

    R(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    R(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    TEXT(name, strlen(name));
    V(len);
    len = 3;
    memset(name, '-', sizeof(name));
    R(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    TEXT(name, 5);
    V(len);
    R(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
    R(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "", 0));
    R(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
}

CHECK(ip_values)
{
    int s = tcp4(), u = udp4();
    unsigned char c = 0x20;

    TRY(s, IPPROTO_IP, IP_TOS, 0x10);
    TRY(s, IPPROTO_IP, IP_TOS, 0xff);
    TRY(u, IPPROTO_IP, IP_TOS, 0xff);
    TRY(s, IPPROTO_IP, IP_TTL, 7);
    TRY(s, IPPROTO_IP, IP_TTL, 0);
    TRY(s, IPPROTO_IP, IP_TTL, 256);
    TRY(s, IPPROTO_IP, IP_TTL, -1);
    R(setsockopt(u, IPPROTO_IP, IP_TOS, &c, 1));
    GET(u, IPPROTO_IP, IP_TOS);
    TRY(u, IPPROTO_IP, IP_PKTINFO, 1);
    TRY(u, IPPROTO_IP, IP_RECVTOS, 1);
    TRY(u, IPPROTO_IP, IP_RECVTTL, 1);
    TRY(u, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    TRY(u, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    TRY(u, IPPROTO_IP, IP_MTU_DISCOVER, 77);
    TRY(u, IPPROTO_IP, IP_RECVERR, 1);
    TRY(s, IPPROTO_IP, IP_FREEBIND, 1);
    SET(s, IPPROTO_IP, 9999, 1);
    GET(s, IPPROTO_IP, 9999);
}

CHECK(priority_and_mark)
{
    int s = tcp4();

    TRY(s, SOL_SOCKET, SO_PRIORITY, 6);
    TRY(s, SOL_SOCKET, SO_PRIORITY, 0);
    TRY(s, IPPROTO_IP, IP_TOS, 0x10);
    GET(s, SOL_SOCKET, SO_PRIORITY);
}

CHECK(short_values)
{
    int s = tcp4(), v = 1;
    unsigned char c[4] = {0xee, 0xee, 0xee, 0xee};
    socklen_t len = 1;

    R(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, 3));
    R(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, 0));
    R(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, 400));
    R(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, 1));
    R(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, (socklen_t)-1));
    R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, c, &len));
    show("one byte", "%x %x length %u", c[0], c[1], len);
    len = 0;
    R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, c, &len));
    V(len);
    len = 100;
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, c, &len));
    V(len);
    len = (socklen_t)-1;
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, c, &len));
    len = 2;
    R(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, c, &len));
    V(len);
}

CHECK(unknown)
{
    int s = tcp4(), u = udp4(), v = 1;
    socklen_t len = sizeof(v);

    R(setsockopt(s, SOL_SOCKET, 9999, &v, sizeof(v)));
    R(getsockopt(s, SOL_SOCKET, 9999, &v, &len));
    R(setsockopt(s, 9999, 1, &v, sizeof(v)));
    R(getsockopt(s, 9999, 1, &v, &len));
    R(setsockopt(s, IPPROTO_TCP, 9999, &v, sizeof(v)));
    R(getsockopt(s, IPPROTO_TCP, 9999, &v, &len));
    R(setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
    R(getsockopt(u, IPPROTO_TCP, TCP_NODELAY, &v, &len));
    R(setsockopt(s, IPPROTO_UDP, 1, &v, sizeof(v)));
    R(getsockopt(s, IPPROTO_UDP, 1, &v, &len));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_TYPE, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_ERROR, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_SNDLOWAT, &v, sizeof(v)));
    R(setsockopt(s, IPPROTO_TCP, TCP_INFO, &v, sizeof(v)));
}

CHECK(linger)
{
    static const struct linger in[] = {{1, 5}, {0, 5}, {1, 0}, {1, 100}, {7, 3}};
    int s = tcp4();
    struct linger lg = {9, 9};
    socklen_t len = sizeof(lg);

    R(getsockopt(s, SOL_SOCKET, SO_LINGER, &lg, &len));
    show("default", "%d %d", lg.l_onoff, lg.l_linger);
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        R(setsockopt(s, SOL_SOCKET, SO_LINGER, &in[i], sizeof(in[i])));
        NEED(getsockopt(s, SOL_SOCKET, SO_LINGER, &lg, &len) == 0);
        show("linger", "%d %d", lg.l_onoff, lg.l_linger);
    }
    R(setsockopt(s, SOL_SOCKET, SO_LINGER, &in[0], sizeof(int)));
}

CHECK(so_error_clears)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_STREAM, &a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    close(s);
    NEED(connect(c, SA(a)) < 0);
    NEED(settle(c, POLLERR));
    SOERR(c);
    SOERR(c);
}

CHECK(tcp_info)
{
    int sv[2], l;
    struct tcp_info ti = {0};
    struct sockaddr_in a;
    socklen_t len = sizeof(ti);

    tcp_pair(sv);
    R(getsockopt(sv[0], IPPROTO_TCP, TCP_INFO, &ti, &len));
    V(len > 90);
    V(ti.tcpi_state);
    V(ti.tcpi_snd_mss > 0);
    V((ti.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0);
    V((ti.tcpi_options & TCPI_OPT_SACK) != 0);
    V((ti.tcpi_options & TCPI_OPT_WSCALE) != 0);
    len = 1;
    R(getsockopt(sv[0], IPPROTO_TCP, TCP_INFO, &ti, &len));
    V(len);
    l = listen4(&a);
    len = sizeof(ti);
    R(getsockopt(l, IPPROTO_TCP, TCP_INFO, &ti, &len));
    V(ti.tcpi_state);
    V(ti.tcpi_unacked); /* a listener: connections waiting */
    V(ti.tcpi_sacked);  /* a listener: its backlog */
    l = tcp4();
    R(getsockopt(l, IPPROTO_TCP, TCP_INFO, &ti, &len));
    V(ti.tcpi_state);
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLIN) && settle_sent(sv[0]));
    len = sizeof(ti);
    R(getsockopt(sv[1], IPPROTO_TCP, TCP_INFO, &ti, &len));
    V(ti.tcpi_state);
}

CHECK(maxseg_limits_the_segment)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), v = 1000;
    socklen_t len = sizeof(v);

    NEED(setsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &v, sizeof(v)) == 0);
    NEED(connect(c, SA(a)) == 0);
    FD(accept(l, NULL, NULL));
    R(getsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &v, &len));
    V(v <= 1000);
}

CHECK(on_a_connection)
{
    int sv[2];

    tcp_pair(sv);
    TRY(sv[0], SOL_SOCKET, SO_KEEPALIVE, 1);
    TRY(sv[0], IPPROTO_TCP, TCP_KEEPIDLE, 100);
    TRY(sv[0], IPPROTO_TCP, TCP_NODELAY, 1);
    TRY(sv[0], IPPROTO_TCP, TCP_CORK, 1);
    TRY(sv[0], IPPROTO_IP, IP_TTL, 9);
    GET(sv[0], IPPROTO_IP, IP_MTU);
    TRY(sv[0], SOL_SOCKET, SO_REUSEPORT, 1);
}
