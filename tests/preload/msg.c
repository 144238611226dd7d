/* msg.c: sendmsg, recvmsg, sendmmsg and recvmmsg: vectors, names, flags given back, control data. */
#include "check.h"

#include <limits.h>

static struct msghdr msg_of(struct iovec *v, size_t n)
{
    struct msghdr m = {.msg_iov = v, .msg_iovlen = n};

    return m;
}

CHECK(stream)
{
    int sv[2];
    char b[4], c[8];
    struct iovec o[2] = {{"head", 4}, {"body", 4}}, i[2] = {{b, 4}, {c, 8}};
    struct msghdr mo = msg_of(o, 2), mi = msg_of(i, 2);
    char ctl[64];

    tcp_pair(sv);
    R(sendmsg(sv[0], &mo, 0));
    NEED(settle_bytes(sv[1], 8));
    mi.msg_control = ctl;
    mi.msg_controllen = sizeof(ctl);
    mi.msg_flags = -1;
    R(recvmsg(sv[1], &mi, 0));
    TEXT(b, 4);
    TEXT(c, 4);
    show("given back", "flags %d, control %zu, name %u", mi.msg_flags, mi.msg_controllen, mi.msg_namelen);
    mi = msg_of(i, 2);
    R(recvmsg(sv[1], &mi, MSG_DONTWAIT));
    mo = msg_of(o, 0);
    R(sendmsg(sv[0], &mo, 0));
    mo = msg_of(o, IOV_MAX + 1);
    R(sendmsg(sv[0], &mo, 0));
    mi = msg_of(i, IOV_MAX + 1);
    R(recvmsg(sv[1], &mi, MSG_DONTWAIT));
    mi = msg_of(NULL, 0);
    R(recvmsg(sv[1], &mi, MSG_DONTWAIT));
}

CHECK(stream_name_is_left_alone)
{
    int sv[2];
    struct sockaddr_in name = {.sin_family = 77};
    char b[4];
    struct iovec i = {b, 4};
    struct msghdr m = msg_of(&i, 1);

    tcp_pair(sv);
    NEED(send(sv[0], "data", 4, 0) == 4);
    m.msg_name = &name;
    m.msg_namelen = sizeof(name);
    R(recvmsg(sv[1], &m, MSG_WAITALL));
    show("name", "family %d length %u", name.sin_family, m.msg_namelen);
}

CHECK(stream_peek_and_waitall)
{
    int sv[2];
    char b[4], c[4];
    struct iovec i[2] = {{b, 2}, {c, 4}};
    struct msghdr m = msg_of(i, 2);

    tcp_pair(sv);
    NEED(send(sv[0], "abcdef", 6, 0) == 6);
    NEED(settle_bytes(sv[1], 6));
    R(recvmsg(sv[1], &m, MSG_PEEK));
    TEXT(b, 2);
    TEXT(c, 4);
    R(recvmsg(sv[1], &m, MSG_WAITALL));
    R(recvmsg(sv[1], &m, MSG_DONTWAIT));
}

CHECK(datagram_name_and_trunc)
{
    struct sockaddr_in a, from = {0};
    int r = bound4(SOCK_DGRAM, &a), s = udp4();
    char b[4], c[4];
    struct iovec o[3] = {{"0123", 4}, {"4567", 4}, {"89", 2}}, i[2] = {{b, 4}, {c, 4}};
    struct msghdr mo = msg_of(o, 3), mi = msg_of(i, 2);

    mo.msg_name = &a;
    mo.msg_namelen = sizeof(a);
    R(sendmsg(s, &mo, 0));
    NEED(settle(r, POLLIN));
    mi.msg_name = &from;
    mi.msg_namelen = sizeof(from);
    R(recvmsg(r, &mi, MSG_PEEK));
    V(mi.msg_flags == MSG_TRUNC);
    mi.msg_namelen = sizeof(from);
    R(recvmsg(r, &mi, MSG_TRUNC));
    TEXT(c, 4);
    V(mi.msg_flags == MSG_TRUNC);
    V(mi.msg_namelen);
    V(ntohs(from.sin_port) == port_of(s));
    R(recvmsg(r, &mi, MSG_DONTWAIT));
    mo.msg_namelen = 3;
    R(sendmsg(s, &mo, 0));
    mo.msg_name = NULL;
    R(sendmsg(s, &mo, 0));
}

CHECK(sendmmsg_stream)
{
    int sv[2];
    char b[16];
    struct iovec v[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    struct mmsghdr m[3] = {0};

    for (int i = 0; i < 3; i++)
        m[i].msg_hdr = msg_of(&v[i], 1);
    tcp_pair(sv);
    R(sendmmsg(sv[0], m, 3, 0));
    show("lengths", "%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    NEED(settle_bytes(sv[1], 11));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, 11);
    R(sendmmsg(sv[0], m, 0, 0));
}

CHECK(recvmmsg_datagrams)
{
    int sv[2];
    char b[4][8];
    struct iovec v[4];
    struct mmsghdr m[4] = {0};
    struct timespec ts = {0, 20 * 1000000};

    udp_pair(sv);
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){b[i], sizeof(b[i])};
        m[i].msg_hdr = msg_of(&v[i], 1);
    }
    NEED(send(sv[0], "a", 1, 0) == 1 && send(sv[0], "bb", 2, 0) == 2 && send(sv[0], "ccc", 3, 0) == 3);
    nap(QUIET_MS);
    R(recvmmsg(sv[1], m, 2, 0, NULL));
    show("lengths", "%u %u", m[0].msg_len, m[1].msg_len);
    R(recvmmsg(sv[1], m, 4, MSG_DONTWAIT, NULL));
    show("length", "%u", m[0].msg_len);
    R(recvmmsg(sv[1], m, 4, MSG_DONTWAIT, NULL));
    NEED(send(sv[0], "dddd", 4, 0) == 4 && settle(sv[1], POLLIN));
    R(recvmmsg(sv[1], m, 4, MSG_WAITFORONE, NULL));
    NEED(send(sv[0], "e", 1, 0) == 1 && settle(sv[1], POLLIN));
    R(recvmmsg(sv[1], m, 1, 0, &ts));
    ts.tv_nsec = 2000000000;
    R(recvmmsg(sv[1], m, 1, MSG_DONTWAIT, &ts));
}

CHECK(sendmmsg_datagrams)
{
    struct sockaddr_in a, b;
    int r1 = bound4(SOCK_DGRAM, &a), r2 = bound4(SOCK_DGRAM, &b), s = udp4();
    struct iovec v[2] = {{"to a", 4}, {"to b!", 5}};
    struct mmsghdr m[2] = {0};
    char buf[8];

    m[0].msg_hdr = msg_of(&v[0], 1);
    m[1].msg_hdr = msg_of(&v[1], 1);
    m[0].msg_hdr.msg_name = &a;
    m[1].msg_hdr.msg_name = &b;
    m[0].msg_hdr.msg_namelen = m[1].msg_hdr.msg_namelen = sizeof(a);
    R(sendmmsg(s, m, 2, 0));
    NEED(settle(r1, POLLIN) && settle(r2, POLLIN));
    R(recv(r1, buf, sizeof(buf), 0));
    R(recv(r2, buf, sizeof(buf), 0));
    m[1].msg_hdr.msg_namelen = 1;
    R(sendmmsg(s, m, 2, 0));
    m[0].msg_hdr.msg_namelen = 1;
    R(sendmmsg(s, m, 2, 0));
}

CHECK(control_arguments)
{
    int sv[2];
    struct iovec v = {"x", 1};
    struct msghdr m = msg_of(&v, 1);
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(sizeof(int))];
    } c = {0};

    tcp_pair(sv);
    m.msg_control = &c;
    m.msg_controllen = sizeof(c);
    c.h.cmsg_len = CMSG_LEN(sizeof(int));
    c.h.cmsg_level = SOL_SOCKET;
    c.h.cmsg_type = SCM_RIGHTS;
    R(sendmsg(sv[0], &m, 0));
    c.h.cmsg_type = 9999;
    R(sendmsg(sv[0], &m, 0));
    c.h.cmsg_level = SOL_IP;
    R(sendmsg(sv[0], &m, 0));
    c.h.cmsg_level = SOL_SOCKET;
    c.h.cmsg_len = 3;
    R(sendmsg(sv[0], &m, 0));
}
