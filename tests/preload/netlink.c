/* netlink.c: netlink sockets: names, requests and their acknowledgements, dumps, errors, options, readiness.
 */
#include "check.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

static uint8_t buf[65536] __attribute__((aligned(8)));

static int nl_socket(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    NEED(fd >= 0);
    return fd;
}

static void name_of(int fd)
{
    struct sockaddr_nl a;
    socklen_t len = sizeof(a);

    NEED(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    show("name", "family %d, pid %s, groups %x, len %u", a.nl_family,
         a.nl_pid == 0                    ? "0"
         : a.nl_pid == (uint32_t)getpid() ? "the process's"
         : (int)a.nl_pid < 0              ? "negative"
                                          : "other",
         a.nl_groups, len);
}

/* A request of type with body, len bytes. */
static size_t ask(uint8_t *to, int type, int flags, uint32_t seq, const void *body, size_t len)
{
    struct nlmsghdr h = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
                         .nlmsg_type = (uint16_t)type,
                         .nlmsg_flags = (uint16_t)flags,
                         .nlmsg_seq = seq};

    memcpy(to, &h, sizeof(h));
    memcpy(to + NLMSG_HDRLEN, body, len);
    return NLMSG_ALIGN(NLMSG_HDRLEN + len);
}

static void send_ask(int fd, int type, int flags, const void *body, size_t len)
{
    uint8_t b[512] = {0};

    NEED(send(fd, b, ask(b, type, flags, 7, body, len), 0) > 0);
}

static void show_error(const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = NLMSG_DATA(h);
    size_t at = sizeof(*e);

    show("error", "%s, flags %x, seq %u, of type %d, %u bytes", errname(-e->error), h->nlmsg_flags,
         h->nlmsg_seq, e->msg.nlmsg_type,
         h->nlmsg_flags & NLM_F_ACK_TLVS ? 0 : h->nlmsg_len); /* with the policy, from Linux */
    if (!(h->nlmsg_flags & NLM_F_CAPPED))
        at += e->msg.nlmsg_len - sizeof(e->msg);
    for (at = NLMSG_ALIGN(at); (h->nlmsg_flags & NLM_F_ACK_TLVS) && NLMSG_HDRLEN + at + 4 <= h->nlmsg_len;) {
        const struct nlattr *a = (const struct nlattr *)((const char *)NLMSG_DATA(h) + at);

        if (a->nla_len < 4)
            break;
        if (a->nla_type == NLMSGERR_ATTR_MSG)
            show("in words", "%.*s", a->nla_len - 4, (const char *)(a + 1));
        else if (a->nla_type == NLMSGERR_ATTR_OFFS)
            show("at", "%u", *(const uint32_t *)(a + 1));
        at += NLMSG_ALIGN(a->nla_len);
    }
}

/* Everything that comes: a line a datagram, with the kinds of its messages. */
static void answers(int fd)
{
    struct nlmsghdr *h;
    ssize_t n;

    while (poll_for(fd, POLLIN, QUIET_MS) & POLLIN) {
        char kinds[256] = "";
        int left;

        n = recv(fd, buf, sizeof(buf), 0);
        if (n < 0) {
            show("receiving", "%s", errname(errno));
            continue;
        }
        left = (int)n;
        for (h = (struct nlmsghdr *)buf; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
            char one[32];

            snprintf(one, sizeof(one), " %d/%x", h->nlmsg_type, h->nlmsg_flags);
            if (!strstr(kinds, one) && strlen(kinds) + strlen(one) < sizeof(kinds))
                strcat(kinds, one);
        }
        show("datagram", "kinds%s", kinds);
        h = (struct nlmsghdr *)buf;
        if (h->nlmsg_type == NLMSG_ERROR)
            show_error(h);
    }
}

CHECK(creation)
{
    FD(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    FD(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));
    FD(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
    FD(socket(AF_NETLINK, SOCK_RAW, 77));
    FD(socket(AF_NETLINK, SOCK_RAW, -1));
}

CHECK(identity)
{
    int fd = nl_socket(), v;
    socklen_t len = sizeof(v);

    R(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len));
    V(v == AF_NETLINK);
    R(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
    V(v == SOCK_RAW);
    R(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len));
    V(v);
    R(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &len));
    V(v);
    R(listen(fd, 1));
    R(accept(fd, NULL, NULL));
    R(shutdown(fd, SHUT_RDWR));
    R(ioctl(fd, FIONREAD, &v));
}

CHECK(binding)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    int fd = nl_socket(), other = nl_socket(), third = nl_socket();

    name_of(fd);
    R(bind(fd, SA(a)));
    name_of(fd);
    R(bind(fd, SA(a)));
    R(bind(other, SA(a)));
    name_of(other);
    a.nl_pid = (uint32_t)getpid();
    R(bind(third, SA(a)));
    a.nl_pid = 77777;
    a.nl_groups = 5;
    R(bind(third, SA(a)));
    name_of(third);
    a.nl_groups = 0;
    R(bind(third, SA(a)));
    name_of(third);
    a.nl_pid = 77778;
    R(bind(third, SA(a)));
    R(bind(third, (struct sockaddr *)&a, 8));
    a.nl_family = AF_INET;
    R(bind(third, SA(a)));
}

CHECK(connecting)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    struct rtgenmsg g = {.rtgen_family = AF_INET};
    int fd = nl_socket();
    socklen_t len = sizeof(a);

    R(connect(fd, SA(a)));
    name_of(fd);
    R(getpeername(fd, (struct sockaddr *)&a, &len));
    V(a.nl_pid);
    V(a.nl_groups);
    send_ask(fd, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &g, sizeof(g));
    answers(fd);
    a.nl_pid = 99999;
    R(connect(fd, SA(a)));
    R(send(fd, "0123456789abcdef", 16, 0));
    a.nl_family = AF_UNSPEC;
    R(connect(fd, SA(a)));
    R(connect(fd, (struct sockaddr *)&a, 1));
    a.nl_family = AF_INET;
    R(connect(fd, SA(a)));
}

CHECK(autobind_by_sending)
{
    struct rtgenmsg g = {.rtgen_family = AF_INET};
    int fd = nl_socket();

    send_ask(fd, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &g, sizeof(g));
    name_of(fd);
}

CHECK(dumps)
{
    static const int types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE};
    struct rtgenmsg g = {.rtgen_family = AF_UNSPEC};
    int fd = nl_socket();

    for (unsigned i = 0; i < 4; i++) {
        send_ask(fd, types[i], NLM_F_REQUEST | NLM_F_DUMP, &g, sizeof(g));
        answers(fd);
    }
    /* None of the flags asks for a list; what comes is an answer to the one. */
    send_ask(fd, RTM_GETRULE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP, &g, sizeof(g));
    answers(fd);
}

/* A second one while the first is not read to its end. */
CHECK(dump_while_dumping)
{
    struct rtgenmsg g = {.rtgen_family = AF_INET};
    int fd = nl_socket();

    send_ask(fd, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &g, sizeof(g));
    send_ask(fd, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &g, sizeof(g));
    answers(fd);
}

CHECK(acknowledgements)
{
    struct ifinfomsg none = {.ifi_index = 7777};
    struct {
        struct ifinfomsg m;
        struct nlattr a;
        uint32_t v;
    } x = {.a = {.nla_len = 6, .nla_type = IFLA_EXT_MASK}};
    int fd = nl_socket(), on = 1;

    for (int round = 0; round < 4; round++) {
        if (round == 1)
            R(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)));
        if (round == 2)
            R(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
        if (round == 3)
            R(setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)));
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
        answers(fd);
        none.ifi_index = 0;
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
        answers(fd);
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, &x, sizeof(x));
        answers(fd);
        send_ask(fd, RTM_GETADDR, NLM_F_REQUEST, &none, sizeof(struct rtgenmsg));
        answers(fd);
        send_ask(fd, 999, NLM_F_REQUEST, &none, sizeof(none));
        answers(fd);
        send_ask(fd, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, "", 0);
        answers(fd);
        send_ask(fd, RTM_GETLINK, NLM_F_ACK, &none, sizeof(none));
        answers(fd);
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, "", 0);
        answers(fd);
        none.ifi_change = 1;
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, &none, sizeof(none));
        answers(fd);
        none.ifi_change = 0;
        none.ifi_index = 7777;
    }
}

/* Two messages in one send; then what is no message. */
CHECK(framing)
{
    struct ifinfomsg none = {.ifi_index = 7777};
    uint8_t b[256] = {0};
    size_t n = ask(b, RTM_GETLINK, NLM_F_REQUEST, 1, &none, sizeof(none));
    struct nlmsghdr *h = (struct nlmsghdr *)b;
    int fd = nl_socket();

    n += ask(b + n, RTM_GETLINK, NLM_F_REQUEST, 2, &none, sizeof(none));
    R(send(fd, b, n, 0));
    answers(fd);
    R(send(fd, b, 15, 0));
    R(send(fd, b, 0, 0));
    h->nlmsg_len = 1000;
    R(send(fd, b, n, 0));
    h->nlmsg_len = 3;
    R(send(fd, b, n, 0));
    R(send(fd, b, n, MSG_OOB));
    answers(fd);
    R(send(fd, NULL, 16, 0));
    R(send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
}

CHECK(receiving)
{
    struct ifinfomsg none = {.ifi_index = 7777};
    struct sockaddr_nl a = {0};
    struct iovec iov = {buf, 0};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &iov, .msg_iovlen = 1};
    int fd = nl_socket();

    R(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
    R(recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_OOB));
    V(poll_for(fd, POLLIN | POLLOUT, 0));
    send_ask(fd, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
    V(poll_for(fd, POLLIN | POLLOUT, 0));
    R(recvmsg(fd, &m, MSG_PEEK | MSG_TRUNC));
    V(m.msg_flags);
    V(a.nl_family);
    V(a.nl_pid);
    V(m.msg_namelen);
    iov.iov_len = 20;
    R(recvmsg(fd, &m, MSG_PEEK));
    V(m.msg_flags);
    R(recvmsg(fd, &m, 0));
    V(m.msg_flags);
    R(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
}

CHECK(options)
{
    static const int names[] = {NETLINK_PKTINFO,
                                NETLINK_BROADCAST_ERROR,
                                NETLINK_NO_ENOBUFS,
                                NETLINK_CAP_ACK,
                                NETLINK_EXT_ACK,
                                NETLINK_GET_STRICT_CHK,
                                77};
    int fd = nl_socket(), v = 5;
    socklen_t len;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        len = sizeof(v);
        show("option", "%d", names[i]);
        R(setsockopt(fd, SOL_NETLINK, names[i], &v, sizeof(v)));
        R(getsockopt(fd, SOL_NETLINK, names[i], &v, &len));
        V(v);
        V(len);
        len = 2;
        R(getsockopt(fd, SOL_NETLINK, names[i], &v, &len));
        v = 5;
    }
    len = sizeof(v);
    R(setsockopt(fd, SOL_IP, IP_TTL, &v, sizeof(v)));
    R(getsockopt(fd, SOL_IP, IP_TTL, &v, &len));
    R(setsockopt(fd, SOL_TCP, TCP_NODELAY, &v, sizeof(v)));
}

CHECK(groups)
{
    uint32_t list[4] = {0};
    socklen_t len = sizeof(list);
    int fd = nl_socket(), v = 0;

    R(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof(v)));
    v = RTNLGRP_LINK;
    R(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof(v)));
    v = RTNLGRP_NEXTHOP;
    R(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof(v)));
    v = 100000;
    R(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof(v)));
    name_of(fd);
    R(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, list, &len));
    V(len);
    V(list[0]);
    V(list[1]);
    len = 4;
    R(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, list, &len));
    V(len);
    v = RTNLGRP_LINK;
    R(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &v, sizeof(v)));
    name_of(fd);
}

/* Between two sockets of one process. */
CHECK(to_another)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = 54321}, from;
    socklen_t len = sizeof(from);
    int fd = nl_socket(), other = nl_socket();

    R(bind(other, SA(a)));
    R(sendto(fd, "hello", 5, 0, SA(a)));
    R(recvfrom(other, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
    V(from.nl_pid == (uint32_t)getpid());
    a.nl_pid = 54322;
    R(sendto(fd, "hello", 5, 0, SA(a)));
    R(sendto(fd, "hello", 5, 0, (struct sockaddr *)&a, 4));
    a.nl_family = AF_INET;
    R(sendto(fd, "hello", 5, 0, SA(a)));
}

/* A full buffer is told once. */
CHECK(overrun)
{
    struct ifinfomsg none = {.ifi_index = 7777};
    int fd = nl_socket(), v = 0, got = 0;
    socklen_t len = sizeof(v);

    R(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
    R(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &len));
    V(v);
    for (int i = 0; i < 20; i++)
        send_ask(fd, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
    V(poll_for(fd, POLLIN, 0));
    R(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
    while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
        got++;
    V(got > 0 && got < 20);
    R(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
    send_ask(fd, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
    answers(fd);
}

CHECK(shared_by_a_child)
{
    struct ifinfomsg none = {.ifi_index = 7777};
    int fd = nl_socket(), d = dup(fd);
    pid_t pid = fork();

    if (pid == 0) {
        send_ask(d, RTM_GETLINK, NLM_F_REQUEST, &none, sizeof(none));
        _exit(0);
    }
    NEED(waitpid(pid, NULL, 0) == pid);
    answers(fd);
}
