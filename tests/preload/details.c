/* details.c: small things that other people's socket test suites look at: options that change nothing, how
 * many long datagrams a receive buffer holds, what a failed recvmsg leaves alone. */
#include "check.h"

static void one_option(int s, const char *name, int level, int opt)
{
    static const int values[] = {3, 0, 1, -1};
    unsigned char byte = 1;
    int v = -77;
    socklen_t len = sizeof v;
    char what[64];

    for (int i = -1; i < 4; i++) {
        snprintf(what, sizeof what, "%s %s", name, i < 0 ? "at first" : "then");
        if (i >= 0)
            show(what, "set %d: %s", values[i],
                 errname(setsockopt(s, level, opt, &values[i], sizeof v) ? errno : 0));
        v = -77;
        len = sizeof v;
        show(what, "%s", errname(getsockopt(s, level, opt, &v, &len) ? errno : 0));
        show(what, "%d length %u", v, len);
    }
    show(what, "a byte: %s", errname(setsockopt(s, level, opt, &byte, 1) ? errno : 0));
}

#define ONE(s, level, opt) one_option(s, #opt, level, opt)

static void multicast_options(int domain, int type)
{
    int s = socket(domain, type, 0);

    if (type == SOCK_STREAM) {
        ONE(s, IPPROTO_IP, IP_MULTICAST_IF);
        ONE(s, IPPROTO_IPV6, IPV6_MULTICAST_IF);
    }
    ONE(s, IPPROTO_IP, IP_MULTICAST_TTL);
    ONE(s, IPPROTO_IP, IP_MULTICAST_LOOP);
    ONE(s, IPPROTO_IP, IP_MULTICAST_ALL);
    ONE(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS);
    ONE(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP);
    ONE(s, IPPROTO_IPV6, IPV6_MULTICAST_ALL);
    close(s);
}

CHECK(multicast_options_of_streams)
{
    multicast_options(AF_INET, SOCK_STREAM);
    multicast_options(AF_INET6, SOCK_STREAM);
}

CHECK(multicast_options_of_datagrams)
{
    multicast_options(AF_INET, SOCK_DGRAM);
    multicast_options(AF_INET6, SOCK_DGRAM);
}

CHECK(linger_of_datagrams)
{
    static const struct linger set[] = {{0, 7}, {1, 5}, {0, 9}, {2, 3}, {0, 0}};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) {
        struct linger got = {-7, -7};
        socklen_t len = sizeof got;

        R(setsockopt(s, SOL_SOCKET, SO_LINGER, &set[i], sizeof set[i]));
        R(getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &len));
        show("linger", "%d %d length %u", got.l_onoff, got.l_linger, len);
    }
}

/* Sends datagrams of n bytes until ten are on the way; how many of them the smallest buffers hold. */
static void hold(int domain, size_t n, int rcvbuf)
{
    int r = socket(domain, SOCK_DGRAM, 0), s = socket(domain, SOCK_DGRAM, 0), got = 0;
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in *in = (struct sockaddr_in *)&sa;
    socklen_t len = domain == AF_INET ? sizeof *in : sizeof sa;
    static char buf[65536];

    if (domain == AF_INET)
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(r, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    bind(r, (struct sockaddr *)&sa, len);
    getsockname(r, (struct sockaddr *)&sa, &len);
    for (int i = 0; i < 10; i++)
        sendto(s, buf, n, 0, (struct sockaddr *)&sa, len);
    settle(r, POLLIN);
    while (recv(r, buf, sizeof buf, MSG_DONTWAIT) == (ssize_t)n)
        got++;
    show("held", "%zu bytes in %d: %d", n, rcvbuf, got);
    close(r);
    close(s);
}

CHECK(long_datagrams_in_the_receive_buffer)
{
    static const size_t len[] = {2304, 3600, 3690, 3732, 7800, 8000, 15000, 16100, 20000, 40000};

    for (size_t i = 0; i < sizeof len / sizeof len[0]; i++) {
        hold(AF_INET, len[i], 4608);
        hold(AF_INET, len[i], 30000);
        hold(AF_INET, len[i], 60000);
        hold(AF_INET6, len[i], 30000);
    }
}

static void nothing_there(int s, int flags)
{
    struct sockaddr_in from;
    char buf[8], ctl[64];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr msg = {&from, 77, &iov, 1, ctl, 44, -1};

    R(recvmsg(s, &msg, flags | MSG_DONTWAIT));
    show("left", "flags %d name %u control %zu", msg.msg_flags, msg.msg_namelen, msg.msg_controllen);
}

CHECK(recvmsg_that_fails_leaves_the_header_alone)
{
    int u = socket(AF_INET, SOCK_DGRAM, 0), t[2], raw = socket(AF_INET, SOCK_RAW, 253);

    nothing_there(u, 0);
    nothing_there(u, MSG_ERRQUEUE);
    nothing_there(raw, 0);
    tcp_pair(t);
    nothing_there(t[0], 0);
}
