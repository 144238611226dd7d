/* poll.c: poll and ppoll: events of each state, mixtures with pipes and eventfds, time-outs, many
 * descriptors. */
#include "check.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND)

CHECK(states)
{
    int sv[2], s = tcp4(), u = udp4();
    struct sockaddr_in a;
    int l = listen4(&a);

    EV(poll_for(s, ALL, 0));
    EV(poll_for(u, ALL, 0));
    EV(poll_for(l, ALL, 0));
    tcp_pair(sv);
    EV(poll_for(sv[0], ALL, 0));
    EV(poll_for(sv[0], 0, 0));
    EV(poll_for(sv[0], POLLIN, QUIET_MS));
    NEED(send(sv[1], "x", 1, 0) == 1);
    NEED(settle(sv[0], POLLIN));
    EV(poll_for(sv[0], ALL, 0));
    EV(poll_for(sv[0], POLLOUT, 0));
    NEED(recv(sv[0], (char[1]){0}, 1, 0) == 1);
    EV(poll_for(sv[0], POLLIN, 0));
}

CHECK(datagram)
{
    int sv[2];

    udp_pair(sv);
    EV(poll_for(sv[0], ALL, 0));
    NEED(send(sv[1], "", 0, 0) == 0);
    NEED(settle(sv[0], POLLIN));
    EV(poll_for(sv[0], ALL, 0));
    NEED(recv(sv[0], (char[1]){0}, 1, 0) == 0);
    EV(poll_for(sv[0], ALL, 0));
}

CHECK(odd_descriptors)
{
    int s = tcp4();
    struct pollfd p[4] = {{-1, POLLIN, 77}, {200, POLLIN, 77}, {s, POLLOUT, 77}, {-5, 0, 77}};

    R(poll(p, 4, 1000));
    show_events("negative", (unsigned)p[0].revents);
    show_events("closed", (unsigned)p[1].revents);
    show_events("socket", (unsigned)p[2].revents);
    R(poll(p, 0, 0));
    R(poll(NULL, 0, 1));
    close(s);
    R(poll(p, 4, 0));
    show_events("socket, closed", (unsigned)p[2].revents);
}

CHECK(timeouts)
{
    int sv[2];
    struct pollfd p;
    struct timespec ts = {0, 30000000}, bad = {0, 2000000000}, neg = {-1, 0};
    long start;

    tcp_pair(sv);
    p = (struct pollfd){sv[0], POLLIN, 0};
    start = now_ms();
    R(poll(&p, 1, 30));
    took("poll", start, 30);
    start = now_ms();
    R(ppoll(&p, 1, &ts, NULL));
    took("ppoll", start, 30);
    V(ts.tv_nsec == 30000000);
    R(ppoll(&p, 1, &bad, NULL));
    R(ppoll(&p, 1, &neg, NULL));
    R(poll(&p, 1, 0));
    start = now_ms();
    R(poll(NULL, 0, 20));
    took("nothing but time", start, 20);
}

CHECK(mixture)
{
    int sv[2], pf[2], ev = eventfd(0, 0), f = open("/dev/null", O_RDWR);
    uint64_t one = 1;
    struct pollfd p[5];

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    p[0] = (struct pollfd){sv[0], POLLIN, 0};
    p[1] = (struct pollfd){pf[0], POLLIN, 0};
    p[2] = (struct pollfd){ev, POLLIN, 0};
    R(poll(p, 3, QUIET_MS));
    NEED(write(pf[1], "x", 1) == 1);
    R(poll(p, 3, SETTLE_MS));
    show("ready", "%d %d %d", p[0].revents, p[1].revents, p[2].revents);
    NEED(write(ev, &one, sizeof(one)) == sizeof(one));
    R(poll(p, 3, SETTLE_MS));
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    R(poll(p, 3, SETTLE_MS));
    show("ready", "%d %d %d", p[0].revents, p[1].revents, p[2].revents);
    p[3] = (struct pollfd){f, POLLIN | POLLOUT, 0};
    p[4] = (struct pollfd){200, POLLIN, 0};
    R(poll(p, 5, SETTLE_MS));
    show_events("file", (unsigned)p[3].revents);
    show_events("closed", (unsigned)p[4].revents);
}

/* A wait on both kinds ends by either. */
CHECK(woken_by_either)
{
    for (int kind = 0; kind < 2; kind++) {
        int sv[2], pf[2];
        struct pollfd p[2];
        long start = now_ms();
        pid_t c;

        tcp_pair(sv);
        NEED(pipe(pf) == 0);
        p[0] = (struct pollfd){sv[0], POLLIN, 0};
        p[1] = (struct pollfd){pf[0], POLLIN, 0};
        c = fork_tied();
        if (c == 0) {
            nap(30);
            _exit((kind ? write(pf[1], "x", 1) : send(sv[1], "x", 1, 0)) == 1 ? 0 : 1);
        }
        R(poll(p, 2, SETTLE_MS));
        took("waited", start, 30);
        show("ready", "%d %d", p[0].revents, p[1].revents);
        V(child_status(c));
    }
}

CHECK(one_socket_twice)
{
    int sv[2];
    struct pollfd p[3];

    tcp_pair(sv);
    p[0] = (struct pollfd){sv[0], POLLIN, 0};
    p[1] = (struct pollfd){sv[0], POLLOUT, 0};
    p[2] = (struct pollfd){dup(sv[0]), POLLIN | POLLOUT, 0};
    R(poll(p, 3, 100));
    show("ready", "%d %d %d", p[0].revents, p[1].revents, p[2].revents);
}

CHECK(many)
{
    enum { N = 60 };
    int sv[N][2];
    struct pollfd p[N];

    for (int i = 0; i < N; i++) {
        tcp_pair(sv[i]);
        p[i] = (struct pollfd){sv[i][0], POLLIN, 0};
    }
    R(poll(p, N, 0));
    for (int i = 0; i < N; i += 7)
        NEED(send(sv[i][1], "x", 1, 0) == 1 && settle(sv[i][0], POLLIN));
    R(poll(p, N, SETTLE_MS));
    for (int i = 0; i < N; i++)
        NEED((p[i].revents == POLLIN) == (i % 7 == 0));
    R(poll(p, (nfds_t)-1, 0));
}

CHECK(high_numbers)
{
    int sv[2];
    struct rlimit rl;
    struct pollfd p;

    getrlimit(RLIMIT_NOFILE, &rl);
    if (rl.rlim_max < 4096) {
        show("descriptors above 1024", "1");
        return;
    }
    rl.rlim_cur = 4096;
    NEED(setrlimit(RLIMIT_NOFILE, &rl) == 0);
    tcp_pair(sv);
    V(fcntl(sv[0], F_DUPFD, 2000));
    NEED(send(sv[1], "x", 1, 0) == 1);
    p = (struct pollfd){2000, POLLIN, 0};
    R(poll(&p, 1, SETTLE_MS));
    show_events("2000", (unsigned)p.revents);
    close(2000);
}

/* Writable again when the reader made room. */
CHECK(out_after_full)
{
    int sv[2];
    static char b[1 << 16];
    struct pollfd p;

    tcp_pair_nb(sv);
    fill(sv[0]);
    p = (struct pollfd){sv[0], POLLOUT, 0};
    R(poll(&p, 1, QUIET_MS));
    while (poll_for(sv[1], POLLIN, 50))
        NEED(recv(sv[1], b, sizeof(b), 0) > 0);
    R(poll(&p, 1, SETTLE_MS));
    show_events("socket", (unsigned)p.revents);
}

CHECK(ppoll_mask)
{
    int sv[2];
    struct pollfd p;
    sigset_t block, none;
    struct timespec ts = {0, 200000000};

    tcp_pair(sv);
    p = (struct pollfd){sv[0], POLLIN, 0};
    on_signal(SIGUSR1, 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    kill(getpid(), SIGUSR1);
    R(poll(&p, 1, 10));
    V(check_signals);
    R(ppoll(&p, 1, &ts, &none));
    V(check_signals);
    sigprocmask(SIG_BLOCK, NULL, &block);
    V(sigismember(&block, SIGUSR1));
}
