/* recverr.c: errors of datagram sockets: who hears of an ICMP error and when, IP_RECVERR and the error queue,
 * errors found before sending, path MTU discovery's settings. */
#include "check.h"

#include "cmsgs.h"

/* A port where nobody is. */
static struct sockaddr_in nobody(void)
{
    struct sockaddr_in a;

    close(bound4(SOCK_DGRAM, &a));
    return a;
}

CHECK(connected_hears_once)
{
    struct sockaddr_in a = nobody();
    int s = udp4();
    char b[8];

    R(connect(s, SA(a)));
    R(send(s, "x", 1, 0));
    EV(poll_for(s, POLLIN, SETTLE_MS));
    R(send(s, "x", 1, 0));
    nap(QUIET_MS);
    R(recv(s, b, 8, MSG_DONTWAIT));
    R(send(s, "x", 1, 0));
    NEED(settle(s, 0));
    SOERR(s);
    SOERR(s);
    R(send(s, "x", 1, 0));
    NEED(settle(s, 0));
    R(recv(s, b, 8, 0));
    R(recv(s, b, 8, MSG_DONTWAIT));
}

CHECK(unconnected_does_not_hear)
{
    struct sockaddr_in a = nobody();
    int s = udp4();
    char b[8];

    R(sendto(s, "x", 1, 0, SA(a)));
    EV(poll_for(s, POLLIN, QUIET_MS));
    R(recv(s, b, 8, MSG_DONTWAIT));
    SOERR(s);
    ERRQ(s);
}

CHECK(recverr_unconnected)
{
    struct sockaddr_in a = nobody();
    int s = udp4(), v = -1;
    socklen_t len = sizeof(v);
    char b[8];

    R(getsockopt(s, IPPROTO_IP, IP_RECVERR, &v, &len));
    V(v);
    on(s, IPPROTO_IP, IP_RECVERR, 1);
    R(getsockopt(s, IPPROTO_IP, IP_RECVERR, &v, &len));
    V(v);
    R(sendto(s, "hello", 5, 0, SA(a)));
    EV(poll_for(s, POLLIN, SETTLE_MS));
    ERRQ(s);
    ERRQ(s);
    EV(poll_for(s, POLLIN, 0));
    SOERR(s);
    R(sendto(s, "hello", 5, 0, SA(a)));
    NEED(settle(s, 0));
    R(recv(s, b, 8, MSG_DONTWAIT));
    R(recv(s, b, 8, MSG_DONTWAIT));
    EV(poll_for(s, POLLIN, 0));
    ERRQ(s);
    EV(poll_for(s, POLLIN, 0));
}

CHECK(recverr_connected)
{
    struct sockaddr_in a = nobody();
    int s = udp4();

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    R(connect(s, SA(a)));
    R(send(s, "one", 3, 0));
    NEED(settle(s, 0));
    R(send(s, "two", 3, 0));
    R(send(s, "three", 5, 0));
    nap(QUIET_MS);
    ERRQ(s);
    SOERR(s);
    ERRQ(s);
    SOERR(s);
    ERRQ(s);
}

CHECK(recverr_several_and_control)
{
    struct sockaddr_in a = nobody(), b = nobody();
    int s = udp4();

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    on(s, IPPROTO_IP, IP_PKTINFO, 1);
    on(s, IPPROTO_IP, IP_RECVTTL, 1);
    on(s, IPPROTO_IP, IP_RECVTOS, 1);
    R(sendto(s, "to a", 4, 0, SA(a)));
    nap(QUIET_MS);
    SOERR(s);
    R(sendto(s, "to b, longer", 12, 0, SA(b)));
    nap(QUIET_MS);
    show_recv("short", s, 3, 1024, MSG_ERRQUEUE);
    show_recv("no room for control", s, 30, 0, MSG_ERRQUEUE);
    ERRQ(s);
}

CHECK(recverr_keeps_data_apart)
{
    struct sockaddr_in a = nobody(), me;
    int s = bound4(SOCK_DGRAM, &me), t = udp4();

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    R(sendto(t, "data", 4, 0, SA(me)));
    R(sendto(s, "gone", 4, 0, SA(a)));
    nap(QUIET_MS);
    EV(poll_for(s, POLLIN, 0));
    RECV(s, MSG_DONTWAIT);
    RECV(s, MSG_DONTWAIT);
    RECV(s, MSG_DONTWAIT);
    ERRQ(s);
    on(s, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1);
    R(sendto(s, "gone", 4, 0, SA(a)));
    nap(QUIET_MS);
    EV(poll_for(s, POLLIN | POLLPRI, 0));
}

CHECK(recverr_off_keeps_queue)
{
    struct sockaddr_in a = nobody();
    int s = udp4();

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    R(sendto(s, "gone", 4, 0, SA(a)));
    nap(QUIET_MS);
    on(s, IPPROTO_IP, IP_RECVERR, 0);
    EV(poll_for(s, POLLIN, 0));
    ERRQ(s);
}

CHECK(errqueue_is_bounded)
{
    struct sockaddr_in a = nobody();
    int s = udp4(), small = 2304, n = 0, sent = 0;
    char b[8];

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    NEED(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    for (int i = 0; i < 40; i++) {
        sent += sendto(s, "x", 1, 0, SA(a)) == 1;
        nap(1);
        so_error(s);
    }
    V(sent);
    while (recv(s, b, 8, MSG_ERRQUEUE) >= 0)
        n++;
    V(n > 0 && n < 40);
}

CHECK(too_long)
{
    static char big[70000];
    struct sockaddr_in a, to;
    int r = bound4(SOCK_DGRAM, &a), s = udp4();

    (void)r;
    to = a;
    R(sendto(s, big, 65507, 0, SA(to)));
    R(sendto(s, big, 65508, 0, SA(to)));
    R(sendto(s, big, 65535, 0, SA(to)));
    R(sendto(s, big, 65536, 0, SA(to)));
    on(s, IPPROTO_IP, IP_RECVERR, 1);
    R(sendto(s, big, 65508, 0, SA(to)));
    EV(poll_for(s, POLLIN, 0));
    SOERR(s);
    ERRQ(s);
    R(sendto(s, big, 65536, 0, SA(to)));
    ERRQ(s);
    R(connect(s, SA(to)));
    R(send(s, big, 65508, 0));
    ERRQ(s);
}

CHECK(mtu_discover_values)
{
    struct sockaddr_in a;
    int r = bound4(SOCK_DGRAM, &a), s = udp4(), v = -1;
    socklen_t len = sizeof(v);

    (void)r;
    R(getsockopt(s, IPPROTO_IP, IP_MTU_DISCOVER, &v, &len));
    V(v);
    for (int how = -1; how <= 6; how++) {
        R(setsockopt(s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof(how)));
        R(sendto(s, "x", 1, 0, SA(a)));
    }
    R(getsockopt(s, IPPROTO_IP, IP_MTU, &v, &len));
    R(connect(s, SA(a)));
    R(getsockopt(s, IPPROTO_IP, IP_MTU, &v, &len));
    V(v);
    v = 1;
    R(setsockopt(s, IPPROTO_IP, IP_MTU, &v, sizeof(v)));
}

CHECK(epoll_shows_it)
{
    struct sockaddr_in a = nobody();
    int s = udp4(), ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};

    on(s, IPPROTO_IP, IP_RECVERR, 1);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e) == 0);
    R(sendto(s, "x", 1, 0, SA(a)));
    R(epoll_wait(ep, &e, 1, SETTLE_MS));
    EV(e.events);
    R(epoll_wait(ep, &e, 1, 0));
    ERRQ(s);
    R(epoll_wait(ep, &e, 1, 0));
}
