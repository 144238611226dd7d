/* zerocopy.c: MSG_ZEROCOPY: SO_ZEROCOPY, what calls are numbered, how their ends are told and waited for. */
#include "check.h"

#include "cmsgs.h"

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

static char text[300000];

static int enabled(int s)
{
    int one = 1;

    NEED(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) == 0);
    return s;
}

/* What is on the error queue, as ranges joined: how they come in pieces is a matter of when the peer's ACKs
 * come. Waits until call `last` is told of, or for what settle gives when it is negative. */
static void told(int s, long last)
{
    long from = -1, to = -1, start = now_ms();
    unsigned code = 0, origin = 0;

    while ((last < 0 || to < last) && now_ms() - start < (last < 0 ? QUIET_MS : SETTLE_MS)) {
        char ctl[512];
        struct msghdr m = {.msg_control = ctl, .msg_controllen = sizeof ctl};
        struct sock_extended_err *e;

        if (recvmsg(s, &m, MSG_ERRQUEUE) < 0) {
            struct pollfd p = {.fd = s};

            NEED(errno == EAGAIN);
            poll(&p, 1, 5);
            continue;
        }
        NEED(m.msg_flags & MSG_ERRQUEUE);
        NEED(CMSG_FIRSTHDR(&m));
        e = (struct sock_extended_err *)CMSG_DATA(CMSG_FIRSTHDR(&m));
        if (from < 0) {
            from = e->ee_info;
            V(CMSG_FIRSTHDR(&m)->cmsg_level);
            V(CMSG_FIRSTHDR(&m)->cmsg_type);
            V(CMSG_FIRSTHDR(&m)->cmsg_len);
            V(m.msg_namelen);
        } else {
            NEED(to + 1 == e->ee_info);
        }
        to = e->ee_data;
        code = e->ee_code;
        origin = e->ee_origin;
        NEED(e->ee_errno == 0);
    }
    V(from);
    V(to);
    V(code);
    V(origin);
}

CHECK(option)
{
    static const int types[][3] = {{AF_INET, SOCK_STREAM, 0},
                                   {AF_INET6, SOCK_STREAM, 0},
                                   {AF_INET, SOCK_DGRAM, 0},
                                   {AF_INET6, SOCK_DGRAM, 0},
                                   {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
                                   {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
                                   {AF_INET, SOCK_RAW, 253}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        int s = socket(types[i][0], types[i][1], types[i][2]), got = 7;
        socklen_t len = sizeof got;

        NEED(s >= 0);
        for (int v = -1; v <= 2; v++)
            R(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &v, sizeof v));
        R(getsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &got, &len));
        V(got);
        R(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &got, 3));
        close(s);
    }
}

CHECK(accepted_inherits)
{
    struct sockaddr_in a;
    int l = enabled(listen4(&a)), c = tcp4(), s, got = 7;
    socklen_t len = sizeof got;

    NEED(connect(c, SA(a)) == 0);
    s = accept(l, NULL, NULL);
    NEED(s >= 0);
    R(getsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &got, &len));
    V(got);
    R(send(s, text, 10, MSG_ZEROCOPY));
    told(s, 0);
}

CHECK(without_the_option)
{
    int sv[2];

    tcp_pair(sv);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    told(sv[0], -1);
    EV(poll_for(sv[0], POLLOUT, QUIET_MS));
}

CHECK(stream)
{
    int sv[2];

    tcp_pair(sv);
    enabled(sv[0]);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    EV(poll_for(sv[0], 0, SETTLE_MS));
    told(sv[0], 0);
    EV(poll_for(sv[0], 0, 0));
    R(send(sv[0], text, 0, MSG_ZEROCOPY)); /* nothing: no number */
    R(send(sv[0], text, 10, 0));           /* not asked for */
    for (int i = 0; i < 5; i++)
        R(send(sv[0], text, 100, MSG_ZEROCOPY));
    told(sv[0], 5);
    R(recv(sv[1], text, sizeof text, MSG_DONTWAIT));
}

CHECK(large)
{
    int sv[2];
    pid_t child;
    size_t got = 0;

    tcp_pair(sv);
    enabled(sv[0]);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        close(sv[1]);
        for (int i = 0; i < 3; i++)
            R(send(sv[0], text, sizeof text, MSG_ZEROCOPY));
        told(sv[0], 2);
        fflush(stdout);
        _exit(0);
    }
    while (got < 3 * sizeof text) {
        ssize_t n = recv(sv[1], text, sizeof text, 0);

        NEED(n > 0);
        got += (size_t)n;
    }
    NEED(waitpid(child, NULL, 0) == child);
}

CHECK(refused_has_no_number)
{
    struct sockaddr_in a;
    int l = listen4(&a), s = enabled(tcp4());

    R(send(s, text, 100, MSG_ZEROCOPY | MSG_NOSIGNAL));
    NEED(connect(s, SA(a)) == 0);
    R(send(s, NULL, 100, MSG_ZEROCOPY));
    R(send(s, text, 100, MSG_ZEROCOPY));
    told(s, 0);
    close(l);
}

CHECK(reset)
{
    struct linger now = {1, 0};
    int sv[2];

    tcp_pair(sv);
    enabled(sv[0]);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    told(sv[0], 0);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    close(sv[1]);
    EV(poll_for(sv[0], POLLIN, SETTLE_MS));
    R(send(sv[0], text, 100, MSG_ZEROCOPY | MSG_NOSIGNAL));
    R(send(sv[0], text, 100, MSG_ZEROCOPY | MSG_NOSIGNAL));
    told(sv[0], -1);
}

CHECK(epoll_edge)
{
    int sv[2], ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};

    tcp_pair(sv);
    enabled(sv[0]);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    R(epoll_wait(ep, &ev, 1, SETTLE_MS));
    for (int i = 0; i < 2; i++) {
        R(send(sv[0], text, 100, MSG_ZEROCOPY));
        R(epoll_wait(ep, &ev, 1, SETTLE_MS));
        EV(ev.events);
        R(epoll_wait(ep, &ev, 1, QUIET_MS));
    }
    told(sv[0], 1);
}

CHECK(datagrams)
{
    int sv[2];

    udp_pair(sv);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    told(sv[0], -1);
    enabled(sv[0]);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    EV(poll_for(sv[0], 0, SETTLE_MS));
    told(sv[0], 0);
    R(send(sv[0], text, 0, MSG_ZEROCOPY)); /* a datagram all the same */
    R(send(sv[0], text, 20000, MSG_ZEROCOPY));
    told(sv[0], 2);
    R(send(sv[0], text, 70000, MSG_ZEROCOPY));
    told(sv[0], -1);
    R(send(sv[0], text, 100, MSG_ZEROCOPY | MSG_MORE));
    R(send(sv[0], text, 100, MSG_ZEROCOPY | MSG_MORE));
    told(sv[0], -1);
    R(send(sv[0], text, 100, 0));
    told(sv[0], 4);
    R(send(sv[0], text, 100, MSG_ZEROCOPY));
    told(sv[0], 5);
}

CHECK(ipv6)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int l = socket(AF_INET6, SOCK_STREAM, 0), s = enabled(socket(AF_INET6, SOCK_STREAM, 0));

    NEED(bind(l, SA(a)) == 0 && listen(l, 1) == 0);
    a.sin6_port = htons(port_of(l));
    NEED(connect(s, SA(a)) == 0);
    R(send(s, text, 100, MSG_ZEROCOPY));
    told(s, 0);
}
