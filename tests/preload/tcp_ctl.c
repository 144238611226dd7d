/* tcp_ctl.c: what recvmsg says besides the data of a stream: time stamps, TCP_INQ, the error queue. */
#include "check.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#define OPT_TCP_INQ          36
#define OPT_TIMESTAMP_NEW    63
#define OPT_TIMESTAMPNS_NEW  64
#define OPT_TIMESTAMPING_NEW 65
#define OPT_ID_TCP           (1 << 16)

/* The kernel begins to stamp what comes a little later, by a work item. */
static void set_int(int fd, int level, int name, int v)
{
    NEED(setsockopt(fd, level, name, &v, sizeof(v)) == 0);
    nap(QUIET_MS);
}

static bool is_now(time_t s)
{
    time_t now = time(NULL);

    return s >= now - 5 && s <= now + 1;
}

/* A control message by name, times as whether they are of now. */
static void show_ctl(const struct cmsghdr *c)
{
    union {
        unsigned char b[256];
        struct timespec ts[3];
        struct timeval tv;
        struct sock_extended_err ee;
        int v;
    } u;
    size_t n = c->cmsg_len - CMSG_LEN(0);

    memset(&u, 0, sizeof(u));
    memcpy(&u, CMSG_DATA(c), n < sizeof(u) ? n : sizeof(u));
    if (c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SO_TIMESTAMP || c->cmsg_type == OPT_TIMESTAMP_NEW))
        show("control", "timestamp %d, %zu bytes, now %d", c->cmsg_type, n, is_now(u.tv.tv_sec));
    else if (c->cmsg_level == SOL_SOCKET &&
             (c->cmsg_type == SO_TIMESTAMPNS || c->cmsg_type == OPT_TIMESTAMPNS_NEW))
        show("control", "timestampns %d, %zu bytes, now %d", c->cmsg_type, n, is_now(u.ts[0].tv_sec));
    else if (c->cmsg_level == SOL_SOCKET &&
             (c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == OPT_TIMESTAMPING_NEW))
        show("control", "timestamping %d, %zu bytes, now %d, others %d", c->cmsg_type, n,
             is_now(u.ts[0].tv_sec), u.ts[1].tv_sec || u.ts[2].tv_sec);
    else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR)
        show("control", "error %s, origin %u, type %u, code %u, info %u, data %u",
             errname((int)u.ee.ee_errno), u.ee.ee_origin, u.ee.ee_type, u.ee.ee_code, u.ee.ee_info,
             u.ee.ee_data);
    else
        show("control", "level %d, type %d, %zu bytes, %d", c->cmsg_level, c->cmsg_type, n, u.v);
}

static ssize_t take(int fd, size_t len, int flags)
{
    char b[64], ctl[512];
    struct iovec v = {b, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
    ssize_t n = recvmsg(fd, &m, flags);

    show("recvmsg", "%zd %s, flags %#x", n, n < 0 ? errname(errno) : "", n < 0 ? 0 : m.msg_flags);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        show_ctl(c);
    return n;
}

static void sent(int from, int to, const char *text)
{
    int n = (int)strlen(text);

    NEED(send(from, text, (size_t)n, 0) == n);
    NEED(settle_bytes(to, n));
}

CHECK(received)
{
    static const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, OPT_TIMESTAMP_NEW, OPT_TIMESTAMPNS_NEW};
    int sv[2];

    tcp_pair(sv);
    for (int i = 0; i < 4; i++) {
        set_int(sv[1], SOL_SOCKET, names[i], 1);
        sent(sv[0], sv[1], "abc");
        take(sv[1], 2, MSG_PEEK);
        take(sv[1], 2, 0);
        take(sv[1], 2, 0);
        take(sv[1], 2, MSG_DONTWAIT);
        set_int(sv[1], SOL_SOCKET, names[i], 0);
    }
    sent(sv[0], sv[1], "abc");
    take(sv[1], 8, 0);
    set_int(sv[1], SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    sent(sv[0], sv[1], "abc");
    take(sv[1], 8, 0);
    set_int(sv[1], SOL_SOCKET, SO_TIMESTAMP, 1);
    sent(sv[0], sv[1], "abc");
    take(sv[1], 8, 0);
}

/* A connection has its listener's wishes. */
CHECK(inherited)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4(), s, v = 0;
    socklen_t len = sizeof(v);

    set_int(l, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    set_int(l, IPPROTO_TCP, OPT_TCP_INQ, 1);
    NEED(connect(c, SA(a)) == 0);
    NEED(send(c, "early", 5, 0) == 5);
    s = accept(l, NULL, NULL);
    NEED(settle_bytes(s, 5));
    R(getsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &v, &len));
    V(v);
    R(getsockopt(s, IPPROTO_TCP, OPT_TCP_INQ, &v, &len));
    V(v);
    take(s, 3, 0);
}

CHECK(inq)
{
    int sv[2];

    tcp_pair(sv);
    set_int(sv[1], IPPROTO_TCP, OPT_TCP_INQ, 1);
    sent(sv[0], sv[1], "abcdef");
    take(sv[1], 2, 0);
    take(sv[1], 2, MSG_PEEK);
    take(sv[1], 8, 0);
    sent(sv[0], sv[1], "xy");
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    NEED(settle(sv[1], POLLRDHUP));
    take(sv[1], 1, 0);
    take(sv[1], 1, 0);
    take(sv[1], 1, 0);
}

#define TX_ALL                                                                                               \
    (SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |                    \
     SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY)

CHECK(sent_and_acknowledged)
{
    int sv[2];

    tcp_pair(sv);
    set_int(sv[0], SOL_SOCKET, SO_TIMESTAMPING, TX_ALL | SOF_TIMESTAMPING_OPT_ID);
    take(sv[0], 8, MSG_ERRQUEUE);
    EV(poll_for(sv[0], 0, 0));
    sent(sv[0], sv[1], "abc");
    NEED(settle_sent(sv[0]));
    EV(poll_for(sv[0], POLLIN, SETTLE_MS));
    SOERR(sv[0]);
    for (int i = 0; i < 4; i++)
        take(sv[0], 8, MSG_ERRQUEUE);
    EV(poll_for(sv[0], POLLIN, 0));
    sent(sv[0], sv[1], "defgh");
    NEED(settle_sent(sv[0]));
    for (int i = 0; i < 4; i++)
        take(sv[0], 8, MSG_ERRQUEUE);
    take(sv[0], 8, MSG_DONTWAIT);
}

CHECK(without_numbers)
{
    int sv[2];

    tcp_pair(sv);
    set_int(sv[0], SOL_SOCKET, OPT_TIMESTAMPING_NEW, TX_ALL);
    sent(sv[0], sv[1], "abc");
    NEED(settle_sent(sv[0]));
    for (int i = 0; i < 4; i++)
        take(sv[0], 8, MSG_ERRQUEUE);
    set_int(sv[0], SOL_SOCKET, OPT_TIMESTAMPING_NEW, 0);
    sent(sv[0], sv[1], "abc");
    NEED(settle_sent(sv[0]));
    take(sv[0], 8, MSG_ERRQUEUE);
}

/* SO_TIMESTAMPING as a control message of one send call. */
CHECK(for_one_call)
{
    int sv[2];
    uint32_t want = SOF_TIMESTAMPING_TX_ACK;
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(4)];
    } c = {.h = {.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_TIMESTAMPING}};
    struct iovec v = {"abcd", 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    tcp_pair(sv);
    set_int(sv[0], SOL_SOCKET, SO_TIMESTAMPING,
            SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID);
    sent(sv[0], sv[1], "x");
    memcpy(CMSG_DATA(&c.h), &want, 4);
    R(sendmsg(sv[0], &m, 0));
    NEED(settle_sent(sv[0]));
    sent(sv[0], sv[1], "y");
    NEED(settle_sent(sv[0]));
    take(sv[0], 8, MSG_ERRQUEUE);
    take(sv[0], 8, MSG_ERRQUEUE);
    want = SOF_TIMESTAMPING_RX_SOFTWARE;
    memcpy(CMSG_DATA(&c.h), &want, 4);
    R(sendmsg(sv[0], &m, 0));
}

/* The data comes back, cut by a buffer that has no room for it. */
CHECK(with_data)
{
    int sv[2];

    tcp_pair(sv);
    set_int(sv[0], SOL_SOCKET, SO_TIMESTAMPING,
            SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID);
    sent(sv[0], sv[1], "abcdef");
    NEED(settle_sent(sv[0]));
    take(sv[0], 0, MSG_ERRQUEUE);
    sent(sv[0], sv[1], "abc");
    NEED(settle_sent(sv[0]));
    take(sv[0], 2, MSG_ERRQUEUE);
    sent(sv[0], sv[1], "abc");
    NEED(settle_sent(sv[0]));
    take(sv[0], 8, MSG_ERRQUEUE);
}

CHECK(numbers_need_a_connection)
{
    int s = tcp4(), v = SOF_TIMESTAMPING_OPT_ID, sv[2];

    R(setsockopt(s, SOL_SOCKET, SO_TIMESTAMPING, &v, sizeof(v)));
    v = OPT_ID_TCP;
    R(setsockopt(s, SOL_SOCKET, SO_TIMESTAMPING, &v, sizeof(v)));
    tcp_pair(sv);
    v = TX_ALL | OPT_ID_TCP | SOF_TIMESTAMPING_OPT_ID;
    R(setsockopt(sv[0], SOL_SOCKET, SO_TIMESTAMPING, &v, sizeof(v)));
    sent(sv[0], sv[1], "a");
    NEED(settle_sent(sv[0]));
    for (int i = 0; i < 3; i++)
        take(sv[0], 8, MSG_ERRQUEUE);
    v = SOF_TIMESTAMPING_OPT_STATS;
    R(setsockopt(sv[0], SOL_SOCKET, SO_TIMESTAMPING, &v, sizeof(v)));
}
