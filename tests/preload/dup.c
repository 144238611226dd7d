/* dup.c: descriptors of one socket: dup in its forms, fcntl, shared flags, closing one of two. */
#include "check.h"

static bool alive(int fd, int peer)
{
    char b = 0;

    return send(fd, "!", 1, MSG_NOSIGNAL) == 1 && recv(peer, &b, 1, 0) == 1 && b == '!';
}

CHECK(dup_numbers)
{
    int sv[2], d;

    tcp_pair(sv);
    close(0);
    d = dup(sv[0]);
    V(d);
    V(alive(d, sv[1]));
    close(0);
    open("/dev/null", O_RDONLY);
    V(fcntl(sv[0], F_DUPFD, 100));
    V(fcntl(sv[0], F_DUPFD_CLOEXEC, 100));
    V(fcntl(100, F_GETFD));
    V(fcntl(101, F_GETFD));
    V(alive(101, sv[1]));
    R(fcntl(sv[0], F_DUPFD, -1));
    R(fcntl(sv[0], F_DUPFD, 1 << 30));
    R(dup(200));
    R(dup(-1));
}

CHECK(dup2_forms)
{
    int sv[2], f = open("/dev/null", O_RDWR);

    tcp_pair(sv);
    V(dup2(sv[0], 60));
    V(alive(60, sv[1]));
    V(dup2(sv[0], sv[0]) == sv[0]);
    R(dup2(200, 61));
    R(dup2(200, 200));
    R(dup2(sv[0], -1));
    R(dup2(sv[0], 1 << 30));
    V(dup2(f, 60)); /* a file takes the socket's number */
    R(send(60, "x", 1, 0));
    V(write(60, "x", 1));
    V(dup2(sv[0], f) == f); /* and a socket the file's */
    V(alive(f, sv[1]));
}

CHECK(dup3_forms)
{
    int sv[2];

    tcp_pair(sv);
    V(dup3(sv[0], 60, O_CLOEXEC));
    V(fcntl(60, F_GETFD));
    V(dup3(sv[0], 60, 0));
    V(fcntl(60, F_GETFD));
    R(dup3(sv[0], sv[0], 0));
    R(dup3(sv[0], 61, O_NONBLOCK));
    R(dup3(200, 61, 0));
    V(alive(60, sv[1]));
}

/* dup2 over the last descriptor of a connection ends it. */
CHECK(dup2_closes)
{
    int a[2], b[2];

    tcp_pair(a);
    tcp_pair(b);
    V(dup2(b[0], a[0]) == a[0]);
    NEED(settle(a[1], POLLIN));
    R(recv(a[1], (char[1]){0}, 1, 0));
    V(alive(a[0], b[1]));
    close(b[0]);
    V(alive(a[0], b[1]));
}

CHECK(close_one_of_two)
{
    int sv[2], d;
    char b;

    tcp_pair(sv);
    d = dup(sv[0]);
    R(close(sv[0]));
    R(send(sv[0], "x", 1, 0));
    V(alive(d, sv[1]));
    R(recv(sv[1], &b, 1, MSG_DONTWAIT));
    R(close(d));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], &b, 1, 0));
}

CHECK(listener_dup)
{
    struct sockaddr_in a;
    int l = listen4(&a), d = dup(l);

    close(l);
    R(connect(tcp4(), SA(a)));
    FD(accept(d, NULL, NULL));
    close(d);
    R(connect(tcp4(), SA(a)));
}

CHECK(nonblock_is_shared)
{
    int sv[2], d, on = 1;

    tcp_pair(sv);
    d = dup(sv[0]);
    R(fcntl(d, F_SETFL, O_NONBLOCK));
    V(fcntl(sv[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
    R(recv(sv[0], (char[1]){0}, 1, 0));
    R(fcntl(sv[0], F_SETFL, 0));
    V(fcntl(d, F_GETFL) == O_RDWR);
    R(ioctl(d, FIONBIO, &on));
    V(fcntl(sv[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
    R(recv(sv[0], (char[1]){0}, 1, 0));
    on = 0;
    R(ioctl(sv[0], FIONBIO, &on));
    V(fcntl(d, F_GETFL) == O_RDWR);
}

CHECK(cloexec_is_not_shared)
{
    int s = tcp4(), d = dup(s);

    R(fcntl(s, F_SETFD, FD_CLOEXEC));
    show("flags", "%d %d", fcntl(s, F_GETFD), fcntl(d, F_GETFD));
    R(ioctl(d, FIOCLEX));
    R(ioctl(s, FIONCLEX));
    show("flags", "%d %d", fcntl(s, F_GETFD), fcntl(d, F_GETFD));
    R(fcntl(s, F_SETFD, 0x7e));
    show("flags", "%d", fcntl(s, F_GETFD));
}

CHECK(setfl)
{
    int s = tcp4();

    R(fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK | O_APPEND));
    V(fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK | O_APPEND));
    R(fcntl(s, F_SETFL, O_CREAT | O_WRONLY));
    V(fcntl(s, F_GETFL) == O_RDWR);
    R(fcntl(s, F_GETFL, 12345));
    R(fcntl(200, F_GETFL));
    R(fcntl(200, F_SETFL, 0));
    R(fcntl(s, 9999, 0));
}

CHECK(undecided)
{
    struct sockaddr_in a;
    int l = listen4(&a), s = tcp4(), d = dup(s), on = 1, v = 0;
    socklen_t len = sizeof(v);

    R(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    R(fcntl(s, F_SETFL, O_NONBLOCK));
    R(getsockopt(d, IPPROTO_TCP, TCP_NODELAY, &v, &len));
    V(v);
    V(fcntl(d, F_GETFL) == (O_RDWR | O_NONBLOCK));
    fcntl(d, F_SETFL, 0);
    R(connect(d, SA(a)));
    R(send(s, "x", 1, 0));
    FD(accept(l, NULL, NULL));
    close(d);
    R(send(s, "x", 1, 0));
}

CHECK(many)
{
    int sv[2], d[100];

    tcp_pair(sv);
    for (int i = 0; i < 100; i++)
        d[i] = dup(sv[0]);
    V(alive(d[99], sv[1]));
    for (int i = 0; i < 100; i++)
        close(d[i]);
    V(alive(sv[0], sv[1]));
    R(recv(sv[1], (char[1]){0}, 1, MSG_DONTWAIT));
}

CHECK(owner)
{
    int s = tcp4(), d = dup(s);

    R(fcntl(s, F_GETOWN));
    V(fcntl(s, F_SETOWN, getpid()));
    V(fcntl(d, F_GETOWN) == getpid());
}
