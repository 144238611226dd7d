/* ipopts.c: options of IPPROTO_IP and IPPROTO_IPV6 that change what is sent or taken: IP_MINTTL and
 * IPV6_MINHOPCOUNT, flow labels, IPV6_MTU. */
#include "check.h"

#define OPT_MINTTL           21
#define OPT_FLOWINFO         11
#define OPT_FLOWINFO_SEND    33
#define OPT_AUTOFLOWLABEL    70
#define OPT_RECVFRAGSIZE     77
#define OPT_MINHOPCOUNT      73
#define FLOW_LABEL(flowinfo) (ntohl(flowinfo) & 0xfffff)

static int set(int s, int level, int name, int v)
{
    return setsockopt(s, level, name, &v, sizeof v);
}

/* --- TTL --- */

/* A connection over the family's loopback address: [0] accepted, [1] connected. */
static void connected(int family, int fd[2])
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
    socklen_t len = family == AF_INET ? sizeof a4 : sizeof a6;
    int l = socket(family, SOCK_STREAM, 0);

    NEED(bind(l, sa, len) == 0 && listen(l, 1) == 0 && getsockname(l, sa, &len) == 0);
    fd[1] = socket(family, SOCK_STREAM, 0);
    NEED(connect(fd[1], sa, len) == 0);
    fd[0] = accept(l, NULL, NULL);
    NEED(fd[0] >= 0);
    close(l);
}

/* What comes with a lower TTL is not taken; the sender's retransmission with a higher one is. */
static void least_ttl(int family, int level, int least, int ttl)
{
    char b[8];
    int fd[2], v = -1;
    socklen_t len = sizeof v;

    connected(family, fd);
    show("set", "%d", set(fd[0], level, least, 255));
    show("get", "%d", getsockopt(fd[0], level, least, &v, &len));
    show("value", "%d", v);
    show("send", "%zd", send(fd[1], "x", 1, 0));
    show("from afar", "%d", poll_for(fd[0], POLLIN, 100));
    show("nearer", "%d", set(fd[1], level, ttl, 255));
    show("comes", "%d", poll_for(fd[0], POLLIN, 2000));
    show("read", "%zd", recv(fd[0], b, sizeof b, MSG_DONTWAIT));
    show("back", "%zd", send(fd[0], "y", 1, 0));
    show("comes back", "%d", poll_for(fd[1], POLLIN, 1000));
}

CHECK(least_ttl_of_a_connection)
{
    least_ttl(AF_INET, IPPROTO_IP, OPT_MINTTL, IP_TTL);
}

CHECK(least_hops_of_a_connection)
{
    least_ttl(AF_INET6, IPPROTO_IPV6, OPT_MINHOPCOUNT, IPV6_UNICAST_HOPS);
}

CHECK(least_ttl_of_a_listener)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), s, v = 0;

    show("set", "%d", set(l, IPPROTO_IP, OPT_MINTTL, 65));
    NEED(bind(l, (struct sockaddr *)&a, sizeof a) == 0 && listen(l, 1) == 0 &&
         getsockname(l, (struct sockaddr *)&a, &len) == 0);
    show("connect", "%d %s", connect(c, (struct sockaddr *)&a, sizeof a), strerrorname_np(errno));
    show("from afar", "%d", poll_for(c, POLLOUT, 100));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    show("nearer", "%d", set(c, IPPROTO_IP, IP_TTL, 65));
    show("the client's", "%d", set(c, IPPROTO_IP, OPT_MINTTL, 60));
    show("connect", "%d", connect(c, (struct sockaddr *)&a, sizeof a));
    s = accept(l, NULL, NULL);
    len = sizeof v;
    show("handed down", "%d", getsockopt(s, IPPROTO_IP, OPT_MINTTL, &v, &len));
    show("value", "%d", v);
    show("the client's", "%d", getsockopt(c, IPPROTO_IP, OPT_MINTTL, &v, &len));
    show("value", "%d", v);
}

/* --- flow labels --- */

static int receiver(struct sockaddr_in6 *a)
{
    socklen_t len = sizeof *a;
    int s = socket(AF_INET6, SOCK_DGRAM, 0);

    *a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    NEED(bind(s, (struct sockaddr *)a, sizeof *a) == 0 && getsockname(s, (struct sockaddr *)a, &len) == 0);
    NEED(set(s, IPPROTO_IPV6, OPT_FLOWINFO, 1) == 0);
    return s;
}

/* The label that the next datagram came with; what the stack chose itself is only said to be one. */
static void show_label(int s)
{
    char b[16], c[128];
    struct iovec iov = {b, sizeof b};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    struct cmsghdr *k;
    uint32_t info = 0;

    NEED(poll_for(s, POLLIN, 1000) & POLLIN);
    NEED(recvmsg(s, &m, 0) >= 0);
    k = CMSG_FIRSTHDR(&m);
    if (k && k->cmsg_type == OPT_FLOWINFO)
        memcpy(&info, CMSG_DATA(k), sizeof info);
    if (FLOW_LABEL(info) == 0x12345 || !FLOW_LABEL(info))
        show("label", "%x", FLOW_LABEL(info));
    else
        show("label", "some");
}

CHECK(labels_of_datagrams)
{
    struct sockaddr_in6 a, plain;
    int r = receiver(&a), s = socket(AF_INET6, SOCK_DGRAM, 0), v = -1;
    socklen_t len = sizeof v;

    plain = a;
    a.sin6_flowinfo = htonl(0x12345);
    show("asked for in vain", "%zd", sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    show_label(r);
    show("set", "%d", set(s, IPPROTO_IPV6, OPT_FLOWINFO_SEND, 1));
    show("get", "%d", getsockopt(s, IPPROTO_IPV6, OPT_FLOWINFO_SEND, &v, &len));
    show("value", "%d", v);
    show("asked for", "%zd", sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    show_label(r);
    show("not asked for", "%zd", sendto(s, "x", 1, 0, (struct sockaddr *)&plain, sizeof plain));
    show_label(r);
    show("connect", "%d", connect(s, (struct sockaddr *)&a, sizeof a));
    show("connected", "%zd", send(s, "x", 1, 0));
    show_label(r);
    show("connect", "%d", connect(s, (struct sockaddr *)&plain, sizeof plain));
    show("connected", "%zd", send(s, "x", 1, 0));
    show_label(r);
}

CHECK(no_labels)
{
    struct sockaddr_in6 a;
    int r = receiver(&a), s = socket(AF_INET6, SOCK_DGRAM, 0), v = -1;
    socklen_t len = sizeof v;

    show("default", "%d", getsockopt(s, IPPROTO_IPV6, OPT_AUTOFLOWLABEL, &v, &len));
    show("value", "%d", v);
    show("set", "%d", set(s, IPPROTO_IPV6, OPT_AUTOFLOWLABEL, 0));
    show("send", "%zd", sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    show_label(r);
    show("set", "%d", set(s, IPPROTO_IPV6, OPT_AUTOFLOWLABEL, 1));
    show("send", "%zd", sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    show_label(r);
}

/* --- fragments --- */

CHECK(size_of_fragments)
{
    static char b[4000];
    char c[128];
    struct iovec iov = {b, sizeof b};
    struct sockaddr_in6 a;
    int r = receiver(&a), s = socket(AF_INET6, SOCK_DGRAM, 0);

    NEED(set(r, IPPROTO_IPV6, OPT_FLOWINFO, 0) == 0 && set(s, IPPROTO_IPV6, IPV6_MTU, 1280) == 0);
    show("set", "%d", set(r, IPPROTO_IPV6, OPT_RECVFRAGSIZE, 1));
    for (size_t n = 1000; n <= 3000; n += 1000) {
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
        struct cmsghdr *k;
        int size;

        show("send", "%zd", sendto(s, b, n, 0, (struct sockaddr *)&a, sizeof a));
        show("comes", "%zd", recvmsg(r, &m, 0));
        k = CMSG_FIRSTHDR(&m);
        if (!k) {
            show("fragments", "none");
            continue;
        }
        memcpy(&size, CMSG_DATA(k), sizeof size);
        show("fragments", "level %d, type %d: %d", k->cmsg_level, k->cmsg_type, size);
    }
}

/* --- IPV6_MTU --- */

CHECK(mtu_of_datagrams)
{
    static char b[4000];
    struct sockaddr_in6 a;
    int r = receiver(&a), s = socket(AF_INET6, SOCK_DGRAM, 0);

    show("too small", "%d %s", set(s, IPPROTO_IPV6, IPV6_MTU, 1279), strerrorname_np(errno));
    show("set", "%d", set(s, IPPROTO_IPV6, IPV6_MTU, 1280));
    show("in fragments", "%zd", sendto(s, b, 3000, 0, (struct sockaddr *)&a, sizeof a));
    show("comes", "%zd", recv(r, b, sizeof b, 0));
    show("not to be cut", "%d", set(s, IPPROTO_IPV6, IPV6_DONTFRAG, 1));
    show("fits", "%zd", sendto(s, b, 1232, 0, (struct sockaddr *)&a, sizeof a));
    show("does not", "%zd %s", sendto(s, b, 1233, 0, (struct sockaddr *)&a, sizeof a),
         strerrorname_np(errno));
    show("take back", "%d", set(s, IPPROTO_IPV6, IPV6_MTU, 0));
    show("fits again", "%zd", sendto(s, b, 1233, 0, (struct sockaddr *)&a, sizeof a));
}
