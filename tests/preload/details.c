/* details.c: small things that other people's socket test suites look at: options that change nothing, how
 * many long datagrams a receive buffer holds, what a failed recvmsg leaves alone. */
#include "check.h"

#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <sys/sendfile.h>

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
static void hold(int domain, int type, size_t n, int rcvbuf)
{
    int protocol = type == SOCK_RAW ? 253 : 0, got = 0;
    int r = socket(domain, type, protocol), s = socket(domain, type, protocol);
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
    while (recv(r, buf, sizeof buf, MSG_DONTWAIT) >= (ssize_t)n)
        got++;
    show("held", "%zu bytes in %d: %d", n, rcvbuf, got);
    close(r);
    close(s);
}

CHECK(long_datagrams_in_the_receive_buffer)
{
    static const size_t len[] = {2304, 3600, 3690, 3732, 7800, 8000, 15000, 16100, 20000, 40000};

    for (size_t i = 0; i < sizeof len / sizeof len[0]; i++) {
        hold(AF_INET, SOCK_DGRAM, len[i], 4608);
        hold(AF_INET, SOCK_DGRAM, len[i], 30000);
        hold(AF_INET, SOCK_DGRAM, len[i], 60000);
        hold(AF_INET6, SOCK_DGRAM, len[i], 30000);
        hold(AF_INET, SOCK_RAW, len[i], 4608);
        hold(AF_INET6, SOCK_RAW, len[i], 30000);
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

CHECK(sender_bound_to_a_group_or_broadcast)
{
    static const char *const from[] = {"224.0.1.89", "255.255.255.255", "127.255.255.255"};

    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        int r = udp4(), s = udp4();
        struct sockaddr_in a, to = lo4(0), got = {0};
        socklen_t len = sizeof to;
        char buf[8];

        R(bind(r, SA(to)));
        getsockname(r, (struct sockaddr *)&to, &len);
        a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(from[i])};
        R(bind(s, SA(a)));
        for (int round = 0; round < 2; round++) {
            R(sendto(s, "hello", 5, 0, SA(to)));
            settle(r, POLLIN);
            len = sizeof got;
            R(recvfrom(r, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&got, &len));
            show("from", "%s", inet_ntoa(got.sin_addr));
        }
        R(connect(s, SA(to)));
        R(send(s, "hello", 5, 0));
        settle(r, POLLIN);
        R(recvfrom(r, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&got, &len));
        show("from", "%s", inet_ntoa(got.sin_addr));
        len = sizeof got;
        R(getsockname(s, (struct sockaddr *)&got, &len));
        show("name", "%s", inet_ntoa(got.sin_addr));
    }
}

CHECK(packet_socket_bound_to_protocol_0)
{
    int p = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll ll = {.sll_family = AF_PACKET};
    static const uint16_t protocols[] = {ETH_P_IP, 0, 255, 0};

    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        socklen_t len = sizeof ll;

        ll.sll_protocol = htons(protocols[i]);
        R(bind(p, (struct sockaddr *)&ll, sizeof ll));
        R(getsockname(p, (struct sockaddr *)&ll, &len));
        show("protocol", "%d", ntohs(ll.sll_protocol));
    }
}

CHECK(ip_hdrincl_goes_by_the_destination_of_sendto)
{
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), r = socket(AF_INET, SOCK_RAW, 253);
    struct sockaddr_in to = lo4(0), from = {0};
    socklen_t len = sizeof from;
    struct {
        uint8_t vhl, tos;
        uint16_t len, id, off;
        uint8_t ttl, proto;
        uint16_t sum;
        uint32_t src, dst;
        char data[8];
    } p = {.vhl = 0x45, .ttl = 3, .proto = 253, .dst = inet_addr("42.0.0.1"), .data = "payload"}, got = {0};

    R(sendto(s, &p, sizeof p, 0, SA(to)));
    settle(r, POLLIN);
    R(recvfrom(r, &got, sizeof got, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
    show("from", "%s", inet_ntoa(from.sin_addr));
    show("to", "%s", inet_ntoa((struct in_addr){got.dst}));
    show("data", "%s", got.data);
}

/* A UDP datagram of a raw socket's to port, with checksum sum. */
static void send_raw_udp(int domain, uint16_t port, uint16_t sum, int shut)
{
    int s = socket(domain, SOCK_RAW, IPPROTO_UDP);
    struct sockaddr_in to4 = lo4(0);
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    uint16_t udp[6] = {htons(7), htons(port), htons(12), sum, 0x6161, 0x6161};

    if (shut) {
        R(domain == AF_INET ? connect(s, SA(to4)) : connect(s, SA(to6)));
        R(shutdown(s, SHUT_WR));
        R(send(s, udp, sizeof udp, MSG_NOSIGNAL));
    } else {
        R(domain == AF_INET ? sendto(s, udp, sizeof udp, 0, SA(to4))
                            : sendto(s, udp, sizeof udp, 0, SA(to6)));
    }
    close(s);
}

CHECK(checksums_of_raw_sockets_are_looked_at_on_loopback)
{
    int u4 = udp4(), u6 = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in a4 = lo4(0);
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char buf[16];

    bind(u4, SA(a4));
    bind(u6, SA(a6));
    send_raw_udp(AF_INET, port_of(u4), htons(0x1234), 0);
    send_raw_udp(AF_INET6, port_of(u6), htons(0x1234), 0);
    usleep(QUIET_MS * 1000);
    R(recv(u4, buf, sizeof buf, MSG_DONTWAIT));
    R(recv(u6, buf, sizeof buf, MSG_DONTWAIT));
    send_raw_udp(AF_INET, port_of(u4), 0, 0);
    settle(u4, POLLIN);
    R(recv(u4, buf, sizeof buf, MSG_DONTWAIT));
    send_raw_udp(AF_INET, port_of(u4), 0, 1);
    settle(u4, POLLIN);
    R(recv(u4, buf, sizeof buf, MSG_DONTWAIT));
    send_raw_udp(AF_INET6, port_of(u6), 0, 1);
}

CHECK(levels_of_raw_sockets)
{
    int s4 = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), s6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    uint32_t filter[8] = {0};
    socklen_t len = sizeof filter;

    R(getsockopt(s4, IPPROTO_ICMPV6, 1, filter, &len));
    R(setsockopt(s4, IPPROTO_ICMPV6, 1, filter, sizeof filter));
    R(getsockopt(s6, IPPROTO_ICMPV6, 1, filter, &len));
    R(setsockopt(s6, IPPROTO_ICMPV6, 1, filter, sizeof filter));
}

CHECK(connected_over_ipv6_and_sending_to_ipv4)
{
    int r = udp4(), s = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in to = lo4(0);
    struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = 7};
    char buf[8];

    bind(r, SA(to));
    to = lo4(port_of(r));
    R(connect(s, SA(peer)));
    R(sendto(s, "hello", 5, 0, SA(to)));
    settle(r, POLLIN);
    R(recv(r, buf, sizeof buf, MSG_DONTWAIT));
    peer.sin6_addr.s6_addr[10] = peer.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&peer.sin6_addr.s6_addr[12], &to.sin_addr, 4);
    peer.sin6_port = to.sin_port;
    R(sendto(s, "hello", 5, 0, SA(peer)));
    settle(r, POLLIN);
    R(recv(r, buf, sizeof buf, MSG_DONTWAIT));
}

/* Fills a connection, closes its end or leaves it, pauses, and reads: all that was sent must come, soon. */
static void read_late(bool closes, int pause_ms)
{
    int sv[2];
    static char buf[4096];
    size_t sent = 0, got = 0;
    long start;
    ssize_t n;

    tcp_pair_nb(sv);
    while (sent < 600000 && (n = send(sv[0], buf, sizeof buf, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    if (closes)
        close(sv[0]);
    usleep((unsigned)pause_ms * 1000);
    start = now_ms();
    while (got < sent && settle(sv[1], POLLIN) && (n = recv(sv[1], buf, sizeof buf, 0)) > 0)
        got += (size_t)n;
    show("came", "%s, %s", got == sent ? "all" : "part", now_ms() - start < 700 ? "at once" : "late");
    if (!closes)
        close(sv[0]);
    close(sv[1]);
}

CHECK(what_was_queued_comes_when_the_reader_takes_its_time)
{
    read_late(false, 0);
    read_late(true, 0);
    read_late(true, 300);
    read_late(false, 1100);
}

CHECK(a_dead_process_holds_no_name)
{
    int tcp_failed = 0, udp_failed = 0;
    struct sockaddr_in a = lo4(9099);

    for (int i = 0; i < 25; i++) {
        int p[2], on = 1, t, u;
        char byte;
        pid_t pid;

        NEED(pipe(p) == 0);
        pid = fork();
        if (pid == 0) {
            t = tcp4();
            setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            u = udp4();
            byte = bind(t, SA(a)) == 0 && listen(t, 5) == 0 && bind(u, SA(a)) == 0;
            _exit(write(p[1], &byte, 1) != 1 || pause());
        }
        NEED(read(p[0], &byte, 1) == 1 && byte);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        t = tcp4();
        setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        tcp_failed += bind(t, SA(a)) || listen(t, 5);
        u = udp4();
        udp_failed += bind(u, SA(a)) != 0;
        close(t);
        close(u);
        close(p[0]);
        close(p[1]);
    }
    show("failed", "%d streams, %d datagrams", tcp_failed, udp_failed);
}

CHECK(an_epoll_set_is_nothing_to_splice)
{
    int ep = epoll_create1(0), s = tcp4(), p[2];
    struct epoll_event ev = {.events = EPOLLIN};

    NEED(pipe(p) == 0);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    R(splice(p[0], NULL, ep, NULL, 1, 0));
    R(splice(ep, NULL, p[1], NULL, 1, 0));
    R(sendfile(p[1], ep, NULL, 1));
}

CHECK(siocgstamp_and_so_timestamp)
{
    int r = udp4(), s = udp4(), on = 1;
    struct sockaddr_in a = lo4(0);
    struct timeval first = {0}, then = {0};
    char buf[8];

    bind(r, SA(a));
    a = lo4(port_of(r));
    R(setsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    R(sendto(s, "one", 3, 0, SA(a)));
    settle(r, POLLIN);
    R(recv(r, buf, sizeof buf, 0));
    R(ioctl(r, 0x8906 /* SIOCGSTAMP */, &first));
    on = 0;
    R(setsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    R(sendto(s, "two", 3, 0, SA(a)));
    settle(r, POLLIN);
    R(recv(r, buf, sizeof buf, 0));
    R(ioctl(r, 0x8906, &first));
    on = 1;
    R(setsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    usleep(20000);
    R(sendto(s, "three", 5, 0, SA(a)));
    settle(r, POLLIN);
    R(recv(r, buf, sizeof buf, 0));
    R(ioctl(r, 0x8906, &then));
    show("the third one counts", "%s",
         (then.tv_sec - first.tv_sec) * 1000000 + then.tv_usec - first.tv_usec > 10000 ? "yes" : "no");
}
