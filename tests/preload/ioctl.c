/* ioctl.c: FIONREAD and its names, FIONBIO, SIOCOUTQ, what a socket does not know. */
#include "check.h"

#include <linux/sockios.h>
#include <termios.h>

CHECK(fionread)
{
    int sv[2], n = -1, s = tcp4();
    struct sockaddr_in a;

    tcp_pair(sv);
    R(ioctl(sv[0], FIONREAD, &n));
    V(n);
    NEED(send(sv[1], "12345", 5, 0) == 5 && settle_bytes(sv[0], 5));
    R(ioctl(sv[0], FIONREAD, &n));
    V(n);
    R(ioctl(sv[0], SIOCINQ, &n));
    V(n);
    NEED(recv(sv[0], (char[2]){0}, 2, 0) == 2);
    R(ioctl(sv[0], FIONREAD, &n));
    V(n);
    close(sv[1]);
    NEED(settle(sv[0], POLLRDHUP));
    R(ioctl(sv[0], FIONREAD, &n));
    V(n);
    NEED(recv(sv[0], (char[8]){0}, 8, 0) == 3);
    R(ioctl(sv[0], FIONREAD, &n));
    V(n);
    R(ioctl(s, FIONREAD, &n));
    V(n);
    R(ioctl(listen4(&a), FIONREAD, &n));
}

CHECK(outq)
{
    int sv[2], n = -1, s = tcp4(), u = udp4();
    struct sockaddr_in a;
    static char b[1 << 20];
    long total;

    tcp_pair_nb(sv);
    R(ioctl(sv[0], SIOCOUTQ, &n));
    V(n);
    NEED(send(sv[0], "12345", 5, 0) == 5);
    NEED(settle_sent(sv[0]));
    R(ioctl(sv[0], TIOCOUTQ, &n));
    V(n);
    total = fill(sv[0]);
    R(ioctl(sv[0], SIOCOUTQ, &n));
    V(n > 0 && n <= total);
    R(ioctl(sv[0], SIOCOUTQNSD, &n));
    V(n > 0);
    while (poll_for(sv[1], POLLIN, 50))
        NEED(recv(sv[1], b, sizeof(b), 0) > 0);
    V(settle_sent(sv[0]));
    R(ioctl(sv[0], SIOCOUTQNSD, &n));
    V(n);
    R(ioctl(s, SIOCOUTQ, &n));
    V(n);
    R(ioctl(listen4(&a), SIOCOUTQ, &n));
    R(ioctl(u, SIOCOUTQ, &n));
    V(n);
}

CHECK(fionbio)
{
    int s = tcp4(), on = 1, off = 0, two = 2;

    R(ioctl(s, FIONBIO, &on));
    V((fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
    R(ioctl(s, FIONBIO, &off));
    V((fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
    R(ioctl(s, FIONBIO, &two));
    V((fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
}

CHECK(atmark)
{
    int sv[2], n = -1, u = udp4();

    tcp_pair(sv);
    R(ioctl(sv[0], SIOCATMARK, &n));
    V(n);
    R(ioctl(u, SIOCATMARK, &n));
}

CHECK(not_for_sockets)
{
    int s = tcp4(), n;
    struct termios t;
    struct winsize w;

    R(ioctl(s, TIOCGWINSZ, &w));
    R(ioctl(s, TCGETS, &t));
    R(ioctl(s, 0xdeadbeefUL, &n));
    R(ioctl(200, FIONREAD, &n));
    R(tcgetattr(s, &t));
}
