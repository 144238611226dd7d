/* mmsg.c: recvmmsg and sendmmsg: partial results, MSG_WAITFORONE, errors between two datagrams; SO_PEEK_OFF,
 * SO_RXQ_OVFL, time stamps. */
#include "check.h"

#include "cmsgs.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

static struct mmsghdr v[8];
static struct iovec io[8];
static char bytes[8][16];

static void prepare(void)
{
    memset(v, 0, sizeof(v));
    for (int i = 0; i < 8; i++) {
        io[i] = (struct iovec){bytes[i], 4};
        v[i].msg_hdr.msg_iov = &io[i];
        v[i].msg_hdr.msg_iovlen = 1;
    }
}

CHECK(receive)
{
    struct timespec zero = {0, 0}, tenth = {0, 100000000};
    int sv[2];

    udp_pair(sv);
    prepare();
    R(recvmmsg(sv[1], v, 8, MSG_DONTWAIT, NULL));
    NEED(send(sv[0], "one", 3, 0) == 3 && send(sv[0], "two, longer", 11, 0) == 11);
    nap(QUIET_MS);
    R(recvmmsg(sv[1], v, 8, MSG_DONTWAIT, NULL));
    V(v[0].msg_len);
    V(v[1].msg_len);
    V(v[1].msg_hdr.msg_flags == MSG_TRUNC);
    prepare();
    NEED(send(sv[0], "a", 1, 0) == 1 && send(sv[0], "b", 1, 0) == 1);
    nap(QUIET_MS);
    R(recvmmsg(sv[1], v, 8, MSG_WAITFORONE, NULL));
    NEED(send(sv[0], "a", 1, 0) == 1 && send(sv[0], "b", 1, 0) == 1);
    nap(QUIET_MS);
    R(recvmmsg(sv[1], v, 2, 0, NULL));
    NEED(send(sv[0], "a", 1, 0) == 1 && send(sv[0], "b", 1, 0) == 1);
    nap(QUIET_MS);
    R(recvmmsg(sv[1], v, 2, 0, &zero));
    R(recvmmsg(sv[1], v, 1, 0, &tenth));
    R(recvmmsg(sv[1], v, 0, MSG_DONTWAIT, NULL));
    R(recvmmsg(sv[1], v, 1, MSG_DONTWAIT, &(struct timespec){0, 1000000000}));
}

CHECK(error_between)
{
    struct sockaddr_in a, b;
    int s = bound4(SOCK_DGRAM, &a), p = bound4(SOCK_DGRAM, &b);

    NEED(connect(s, SA(b)) == 0 && connect(p, SA(a)) == 0);
    NEED(send(p, "x", 1, 0) == 1);
    close(p);
    NEED(send(s, "y", 1, 0) == 1);
    nap(QUIET_MS);
    prepare();
    R(recvmmsg(s, v, 4, MSG_DONTWAIT, NULL));
    R(recvmmsg(s, v, 4, MSG_DONTWAIT, NULL));
    R(recvmmsg(s, v, 4, MSG_DONTWAIT, NULL));
}

CHECK(transmit)
{
    struct sockaddr_in a, bad = lo4(0);
    int r = bound4(SOCK_DGRAM, &a), s = udp4();

    prepare();
    for (int i = 0; i < 4; i++) {
        v[i].msg_hdr.msg_name = i == 2 ? &bad : &a;
        v[i].msg_hdr.msg_namelen = sizeof(a);
    }
    R(sendmmsg(s, v, 4, 0));
    R(sendmmsg(s, v + 2, 2, 0));
    R(sendmmsg(s, v + 3, 1, 0));
    V(v[3].msg_len);
    R(sendmmsg(s, v, 0, 0));
    nap(QUIET_MS);
    R(recvmmsg(r, v, 8, MSG_DONTWAIT, NULL));
}

CHECK(peek_off)
{
    int sv[2], at = -1;
    socklen_t len = sizeof(at);
    char b[16];

    udp_pair(sv);
    R(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    V(at);
    at = -2;
    R(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at)));
    on(sv[1], SOL_SOCKET, SO_PEEK_OFF, 0);
    NEED(send(sv[0], "abcdef", 6, 0) == 6 && send(sv[0], "ghi", 3, 0) == 3);
    nap(QUIET_MS);
    for (int i = 0; i < 4; i++) {
        ssize_t n = R(recv(sv[1], b, 4, MSG_PEEK | MSG_DONTWAIT));
        TEXT(b, n > 0 ? n : 0);
        R(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
        V(at);
    }
    R(recv(sv[1], b, 16, MSG_DONTWAIT));
    R(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    V(at);
    on(sv[1], SOL_SOCKET, SO_PEEK_OFF, 1);
    R(recv(sv[1], b, 1, MSG_PEEK | MSG_TRUNC));
    TEXT(b, 1);
    R(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    V(at);
    R(recv(sv[1], b, 16, MSG_DONTWAIT));
    R(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    V(at);
}

CHECK(overflow_is_counted)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4(), small = 1000, n = 0;
    char b[8];

    NEED(setsockopt(r, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    on(r, SOL_SOCKET, SO_RXQ_OVFL, 1);
    for (int i = 0; i < 50; i++)
        NEED(sendto(s, "x", 1, 0, SA(a)) == 1);
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
    while (recv(r, b, 8, MSG_DONTWAIT) == 1)
        n++;
    V(n);
    NEED(sendto(s, "x", 1, 0, SA(a)) == 1);
    nap(QUIET_MS);
    RECV(r, MSG_DONTWAIT);
}

CHECK(stamps)
{
    int sv[2], kinds[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING};
    int val[] = {1, 1, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE}, got;
    socklen_t len;

    udp_pair(sv);
    for (int i = 0; i < 3; i++) {
        R(setsockopt(sv[1], SOL_SOCKET, kinds[i], &val[i], sizeof(int)));
        for (int k = 0; k < 3; k++) {
            len = sizeof(got);
            R(getsockopt(sv[1], SOL_SOCKET, kinds[k], &got, &len));
            V(got);
        }
        NEED(send(sv[0], "x", 1, 0) == 1);
        nap(QUIET_MS);
        RECV(sv[1], MSG_DONTWAIT);
    }
    on(sv[1], SOL_SOCKET, SO_TIMESTAMP, 0);
    on(sv[1], SOL_SOCKET, SO_TIMESTAMPING, 0);
    NEED(send(sv[0], "x", 1, 0) == 1);
    nap(QUIET_MS);
    RECV(sv[1], MSG_DONTWAIT);
    got = 1 << 30;
    R(setsockopt(sv[1], SOL_SOCKET, SO_TIMESTAMPING, &got, sizeof(got)));
    got = SOF_TIMESTAMPING_OPT_STATS;
    R(setsockopt(sv[1], SOL_SOCKET, SO_TIMESTAMPING, &got, sizeof(got)));
}

CHECK(stamps_of_sent)
{
    int sv[2];

    udp_pair(sv);
    on(sv[0], SOL_SOCKET, SO_TIMESTAMPING,
       SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
           SOF_TIMESTAMPING_OPT_TSONLY);
    R(send(sv[0], "x", 1, 0));
    R(send(sv[0], "y", 1, 0));
    nap(QUIET_MS);
    EV(poll_for(sv[0], POLLIN, 0));
    ERRQ(sv[0]);
    ERRQ(sv[0]);
    ERRQ(sv[0]);
    SOERR(sv[0]);
    on(sv[0], SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    R(send(sv[0], "with its packet", 15, 0));
    nap(QUIET_MS);
    ERRQ(sv[0]);
}
