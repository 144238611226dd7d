/* select.c: select and pselect: the three sets, what is left of the time, bad descriptors, mixtures. */
#include "check.h"

#include <sys/select.h>

static void sets(const char *what, int n, int fd)
{
    fd_set r, w, x;
    struct timeval tv = {0, 0};
    int rc;

    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&x);
    FD_SET(fd, &r);
    FD_SET(fd, &w);
    FD_SET(fd, &x);
    rc = select(n, &r, &w, &x, &tv);
    show(what, "%d, read %d write %d except %d", rc, FD_ISSET(fd, &r), FD_ISSET(fd, &w), FD_ISSET(fd, &x));
}

CHECK(states)
{
    int sv[2], s = tcp4(), u = udp4(), l;
    struct sockaddr_in a;
    struct linger lg = {1, 0};

    sets("fresh", s + 1, s);
    sets("datagram", u + 1, u);
    l = listen4(&a);
    sets("listening", l + 1, l);
    NEED(connect(s, SA(a)) == 0 && settle(l, POLLIN));
    sets("to accept", l + 1, l);
    tcp_pair(sv);
    sets("connected", sv[0] + 1, sv[0]);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    sets("data", sv[0] + 1, sv[0]);
    sets("data, n too small", sv[0], sv[0]);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    close(sv[1]);
    NEED(settle(sv[0], POLLHUP));
    sets("reset", sv[0] + 1, sv[0]);
}

CHECK(timeouts)
{
    int sv[2];
    fd_set r;
    struct timeval tv = {0, 30000}, neg = {-1, 0}, big = {0, 1000001};
    struct timespec ts = {0, 30000000};
    long start;

    tcp_pair(sv);
    FD_ZERO(&r);
    FD_SET(sv[0], &r);
    start = now_ms();
    R(select(sv[0] + 1, &r, NULL, NULL, &tv));
    took("select", start, 30);
    V(FD_ISSET(sv[0], &r));
    show("time left", "%ld %ld", (long)tv.tv_sec, (long)tv.tv_usec);
    FD_SET(sv[0], &r);
    start = now_ms();
    R(pselect(sv[0] + 1, &r, NULL, NULL, &ts, NULL));
    took("pselect", start, 30);
    V(ts.tv_nsec);
    R(select(sv[0] + 1, &r, NULL, NULL, &neg));
    FD_SET(sv[0], &r);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    R(select(sv[0] + 1, &r, NULL, NULL, &big));
    V(big.tv_sec * 1000000 + big.tv_usec > 900000);
    tv = (struct timeval){0, 20000};
    start = now_ms();
    R(select(0, NULL, NULL, NULL, &tv));
    took("nothing but time", start, 20);
}

CHECK(bad_arguments)
{
    int s = tcp4(), closed = dup(s);
    fd_set r;
    struct timeval tv = {0, 0};

    close(closed); /* a low number: the kernel looks no further than its table of this process is long */
    FD_ZERO(&r);
    FD_SET(s, &r);
    FD_SET(closed, &r);
    R(select(closed + 1, &r, NULL, NULL, &tv));
    V(FD_ISSET(s, &r));
    R(select(-1, &r, NULL, NULL, &tv));
    close(s);
    FD_ZERO(&r);
    FD_SET(s, &r);
    R(select(s + 1, &r, NULL, NULL, &tv));
}

CHECK(mixture)
{
    int sv[2], pf[2], top;
    fd_set r, w;
    struct timeval tv = {1, 0};

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    top = (pf[1] > sv[1] ? pf[1] : sv[1]) + 1;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(sv[0], &r);
    FD_SET(pf[0], &r);
    FD_SET(pf[1], &w);
    FD_SET(sv[1], &w);
    R(select(top, &r, &w, NULL, &tv));
    show("ready", "%d %d %d %d", FD_ISSET(sv[0], &r), FD_ISSET(pf[0], &r), FD_ISSET(pf[1], &w),
         FD_ISSET(sv[1], &w));
    NEED(write(pf[1], "x", 1) == 1 && send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    FD_ZERO(&w);
    FD_SET(sv[0], &r);
    FD_SET(pf[0], &r);
    R(select(top, &r, NULL, NULL, NULL));
    show("ready", "%d %d", FD_ISSET(sv[0], &r), FD_ISSET(pf[0], &r));
}

CHECK(woken)
{
    int sv[2], pf[2], top;
    fd_set r;
    long start = now_ms();
    pid_t p;

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    top = (pf[0] > sv[0] ? pf[0] : sv[0]) + 1;
    p = fork_tied();
    if (p == 0) {
        nap(30);
        _exit(send(sv[1], "x", 1, 0) == 1 ? 0 : 1);
    }
    FD_ZERO(&r);
    FD_SET(sv[0], &r);
    FD_SET(pf[0], &r);
    R(select(top, &r, NULL, NULL, NULL));
    took("waited", start, 30);
    show("ready", "%d %d", FD_ISSET(sv[0], &r), FD_ISSET(pf[0], &r));
    V(child_status(p));
}

CHECK(connecting)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fd_set w;
    struct timeval tv = {1, 0};

    NEED(connect(c, SA(a)) < 0 && errno == EINPROGRESS);
    FD_ZERO(&w);
    FD_SET(c, &w);
    R(select(c + 1, NULL, &w, NULL, &tv));
    V(FD_ISSET(c, &w));
    SOERR(c);
    close(l);
}

CHECK(pselect_mask)
{
    int sv[2];
    fd_set r;
    sigset_t block, none;
    struct timespec ts = {0, 200000000};

    tcp_pair(sv);
    on_signal(SIGUSR1, 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    kill(getpid(), SIGUSR1);
    FD_ZERO(&r);
    FD_SET(sv[0], &r);
    R(pselect(sv[0] + 1, &r, NULL, NULL, &ts, &none));
    V(check_signals);
    V(FD_ISSET(sv[0], &r));
    sigprocmask(SIG_BLOCK, NULL, &block);
    V(sigismember(&block, SIGUSR1));
}
