/* thread.c: threads on one socket: one is blocked while another closes, shuts down, sends, reads; many on one
 * listener and one set. */
#include "check.h"

#include <pthread.h>

struct job {
    pthread_t t;
    int fd;
    ssize_t rc;
    int err;
    char buf[8];
};

static void *do_recv(void *arg)
{
    struct job *j = arg;

    errno = 0;
    j->rc = recv(j->fd, j->buf, sizeof(j->buf), 0);
    j->err = errno;
    return NULL;
}

static void *do_accept(void *arg)
{
    struct job *j = arg;

    errno = 0;
    j->rc = accept(j->fd, NULL, NULL) >= 0 ? 1 : -1;
    j->err = errno;
    return NULL;
}

static void *do_poll(void *arg)
{
    struct job *j = arg;

    j->rc = (ssize_t)poll_for(j->fd, POLLIN, SETTLE_MS);
    return NULL;
}

static void *do_epoll(void *arg)
{
    struct job *j = arg;
    struct epoll_event ev;

    errno = 0;
    j->rc = epoll_wait(j->fd, &ev, 1, SETTLE_MS);
    j->err = errno;
    return NULL;
}

static void start(struct job *j, void *(*fn)(void *), int fd)
{
    j->fd = fd;
    NEED(pthread_create(&j->t, NULL, fn, j) == 0);
    nap(15); /* let it block */
}

static void finish(struct job *j, const char *what)
{
    NEED(pthread_join(j->t, NULL) == 0);
    show(what, "%zd %s", j->rc, j->rc < 0 ? errname(j->err) : "");
}

CHECK(reader_and_sender)
{
    int sv[2];
    struct job j = {0};

    tcp_pair(sv);
    start(&j, do_recv, sv[0]);
    R(send(sv[1], "wake", 4, 0));
    finish(&j, "recv");
    start(&j, do_recv, sv[0]);
    R(send(sv[0], "other way", 9, 0)); /* the socket that the other thread reads may be written */
    R(recv(sv[1], j.buf, 4, 0));
    R(shutdown(sv[1], SHUT_WR));
    finish(&j, "recv");
}

CHECK(shutdown_wakes_recv)
{
    int sv[2];
    struct job j = {0};

    tcp_pair(sv);
    start(&j, do_recv, sv[0]);
    R(shutdown(sv[0], SHUT_RD));
    finish(&j, "recv");
}

CHECK(shutdown_wakes_accept)
{
    struct sockaddr_in a;
    int l = listen4(&a);
    struct job j = {0};

    start(&j, do_accept, l);
    R(shutdown(l, SHUT_RD));
    finish(&j, "accept");
}

CHECK(shutdown_wakes_poll)
{
    int sv[2];
    struct job j = {0};

    tcp_pair(sv);
    start(&j, do_poll, sv[0]);
    R(shutdown(sv[0], SHUT_RDWR));
    NEED(pthread_join(j.t, NULL) == 0);
    show_events("poll", (unsigned)j.rc);
}

/* close does not wake a thread that waits on the socket: it holds the file, and goes on to get the data. */
CHECK(close_under_recv)
{
    int sv[2];
    struct job j = {0};

    tcp_pair(sv);
    start(&j, do_recv, sv[0]);
    R(close(sv[0]));
    R(send(sv[1], "still", 5, MSG_NOSIGNAL));
    finish(&j, "recv");
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], j.buf, 1, 0));
}

CHECK(close_under_accept)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();
    struct job j = {0};

    start(&j, do_accept, l);
    R(close(l));
    R(connect(c, SA(a)));
    finish(&j, "accept");
    R(connect(tcp4(), SA(a)));
}

CHECK(close_under_epoll)
{
    int sv[2], ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    struct job j = {0};

    tcp_pair(sv);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    start(&j, do_epoll, ep);
    R(close(sv[0]));
    tcp_pair(sv);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0); /* added while a thread waits */
    NEED(send(sv[1], "x", 1, 0) == 1);
    finish(&j, "epoll_wait");
}

CHECK(epoll_mod_wakes)
{
    int sv[2], ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    struct job j = {0};

    tcp_pair(sv);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    start(&j, do_epoll, ep);
    ev.events = EPOLLOUT;
    R(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], &ev));
    finish(&j, "epoll_wait");
}

CHECK(dup2_under_recv)
{
    int a[2], b[2];
    struct job j = {0};

    tcp_pair(a);
    tcp_pair(b);
    start(&j, do_recv, a[0]);
    V(dup2(b[0], a[0]) == a[0]);
    R(send(b[1], "new", 3, 0)); /* not for the thread that waits */
    R(send(a[1], "old!", 4, MSG_NOSIGNAL));
    finish(&j, "recv");
    R(recv(a[0], j.buf, 3, 0));
}

CHECK(two_readers)
{
    int sv[2];
    struct job j[2] = {0};

    tcp_pair(sv);
    start(&j[0], do_recv, sv[0]);
    start(&j[1], do_recv, sv[0]);
    R(send(sv[1], "a", 1, 0));
    for (int n = 1; n && ioctl(sv[0], FIONREAD, &n) == 0;) /* one of them has it */
        nap(1);
    R(send(sv[1], "b", 1, 0));
    finish(&j[0], "first");
    finish(&j[1], "second");
    show("bytes", "%d", j[0].buf[0] + j[1].buf[0] == 'a' + 'b');
}

CHECK(accepting_threads)
{
    enum { N = 4 };
    struct sockaddr_in a;
    int l = listen4(&a);
    struct job j[N] = {0};
    int served = 0;

    for (int i = 0; i < N; i++)
        start(&j[i], do_accept, l);
    for (int i = 0; i < N; i++)
        NEED(connect(tcp4(), SA(a)) == 0);
    for (int i = 0; i < N; i++) {
        NEED(pthread_join(j[i].t, NULL) == 0);
        served += j[i].rc == 1;
    }
    V(served);
}

struct pump {
    pthread_t t;
    int fd;
    long total;
    int bad;
};

static void *pump_out(void *arg)
{
    struct pump *p = arg;
    unsigned char b[5000];

    for (long done = 0; done < p->total;) {
        long n = 1 + done % (long)sizeof(b);
        ssize_t k;

        if (n > p->total - done)
            n = p->total - done;
        for (long i = 0; i < n; i++)
            b[i] = (unsigned char)((done + i) % 253);
        k = send(p->fd, b, (size_t)n, 0);
        if (k <= 0) {
            p->bad = 1;
            break;
        }
        done += k;
    }
    return NULL;
}

static void *pump_in(void *arg)
{
    struct pump *p = arg;
    unsigned char b[4096];

    for (long done = 0; done < p->total;) {
        ssize_t k = recv(p->fd, b, sizeof(b), 0);

        if (k <= 0) {
            p->bad = 1;
            break;
        }
        for (ssize_t i = 0; i < k; i++)
            p->bad |= b[i] != (unsigned char)((done + i) % 253);
        done += k;
    }
    return NULL;
}

/* Four connections, both ends in one process, eight threads. */
CHECK(parallel_streams)
{
    enum { N = 4, TOTAL = 500000 };
    struct pump out[N], in[N];
    int bad = 0;

    for (int i = 0; i < N; i++) {
        int sv[2];

        tcp_pair(sv);
        out[i] = (struct pump){.fd = sv[0], .total = TOTAL};
        in[i] = (struct pump){.fd = sv[1], .total = TOTAL};
        NEED(pthread_create(&out[i].t, NULL, pump_out, &out[i]) == 0);
        NEED(pthread_create(&in[i].t, NULL, pump_in, &in[i]) == 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(out[i].t, NULL);
        pthread_join(in[i].t, NULL);
        bad += out[i].bad + in[i].bad;
    }
    V(bad);
}

static void *churn(void *arg)
{
    struct pump *p = arg;

    for (int i = 0; i < 50; i++) {
        int sv[2];
        char b = 0;

        tcp_pair(sv);
        if (send(sv[0], "x", 1, 0) != 1 || recv(sv[1], &b, 1, 0) != 1 || b != 'x')
            p->bad++;
        close(sv[0]);
        close(sv[1]);
    }
    return NULL;
}

CHECK(parallel_churn)
{
    struct pump p[4] = {0};
    int bad = 0;

    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&p[i].t, NULL, churn, &p[i]) == 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(p[i].t, NULL);
        bad += p[i].bad;
    }
    V(bad);
}

/* A signal sent to one thread interrupts that one alone. */
CHECK(signal_to_one_thread)
{
    int a[2], b[2];
    struct job ja = {0}, jb = {0};

    tcp_pair(a);
    tcp_pair(b);
    on_signal(SIGUSR1, 0);
    start(&ja, do_recv, a[0]);
    start(&jb, do_recv, b[0]);
    R(pthread_kill(ja.t, SIGUSR1));
    finish(&ja, "signalled");
    R(send(b[1], "go", 2, 0));
    finish(&jb, "the other");
    V(check_signals);
}

/* Fork while other threads poll and send; the child uses what it inherited. */
CHECK(fork_among_threads)
{
    enum { TOTAL = 400000 };
    struct pump out, in;
    int sv[2], other[2], ok = 0;

    tcp_pair(sv);
    tcp_pair(other);
    out = (struct pump){.fd = sv[0], .total = TOTAL};
    in = (struct pump){.fd = sv[1], .total = TOTAL};
    NEED(pthread_create(&out.t, NULL, pump_out, &out) == 0);
    NEED(pthread_create(&in.t, NULL, pump_in, &in) == 0);
    for (int i = 0; i < 5; i++) {
        pid_t p = fork();
        char b;

        if (p == 0)
            _exit(send(other[0], "c", 1, 0) == 1 ? 0 : 1);
        ok += child_status(p) == 0 && recv(other[1], &b, 1, 0) == 1;
    }
    V(ok);
    pthread_join(out.t, NULL);
    pthread_join(in.t, NULL);
    show("streams", "%d %d", out.bad, in.bad);
}
