/* fork.c: sockets across fork: listeners, connections, who closes what, children that outlive their parent.
 */
#include "check.h"

#include <stdatomic.h>
#include <threads.h>

CHECK(child_serves_inherited_connection)
{
    int sv[2];
    char b[8];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        ssize_t n;

        close(sv[0]);
        n = recv(sv[1], b, sizeof(b), 0);
        _exit(n == 4 && send(sv[1], b, 4, 0) == 4 ? 0 : 1);
    }
    close(sv[1]);
    R(send(sv[0], "ping", 4, 0));
    R(recv(sv[0], b, 4, MSG_WAITALL));
    TEXT(b, 4);
    V(child_status(p));
    NEED(settle(sv[0], POLLIN));
    R(recv(sv[0], b, 1, 0));
}

/* The connection ends only when the last process has closed it. */
CHECK(both_hold_it)
{
    int sv[2];
    pid_t p;
    char b;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        nap(60);
        _exit(0);
    }
    R(close(sv[0]));
    EV(poll_for(sv[1], POLLIN, 20));
    V(child_status(p));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], &b, 1, 0));
}

CHECK(child_exit_leaves_parents_sockets)
{
    int sv[2];
    char b;

    tcp_pair(sv);
    for (int i = 0; i < 5; i++) {
        pid_t p = fork_tied();

        if (p == 0)
            exit(0);
        NEED(child_status(p) == 0);
    }
    R(send(sv[0], "x", 1, 0));
    R(recv(sv[1], &b, 1, 0));
    EV(poll_for(sv[0], POLLIN, 0));
}

CHECK(child_close_leaves_the_parent)
{
    int sv[2];
    pid_t p;
    char b;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        close(sv[0]);
        close(sv[1]);
        _exit(0);
    }
    V(child_status(p));
    R(send(sv[0], "x", 1, 0));
    R(recv(sv[1], &b, 1, 0));
}

CHECK(child_shutdown_is_for_all)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0)
        _exit(shutdown(sv[0], SHUT_WR) ? 1 : 0);
    V(child_status(p));
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], (char[1]){0}, 1, 0));
}

CHECK(flags_are_shared)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0)
        _exit(fcntl(sv[0], F_SETFL, O_NONBLOCK) ? 1 : 0);
    V(child_status(p));
    V(fcntl(sv[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
    R(recv(sv[0], (char[1]){0}, 1, 0));
}

CHECK(fork_per_connection)
{
    struct sockaddr_in a;
    int l = listen4(&a), served = 0;
    pid_t server = fork_tied();

    if (server == 0) {
        for (int i = 0; i < 8; i++) {
            int s = accept(l, NULL, NULL);

            if (fork() == 0) {
                char b[4];

                close(l);
                if (recv(s, b, 4, MSG_WAITALL) == 4)
                    send(s, b, 4, 0);
                _exit(0);
            }
            close(s);
        }
        while (wait(NULL) > 0)
            ;
        _exit(0);
    }
    close(l);
    for (int i = 0; i < 8; i++) {
        int c = tcp4();
        char b[8];

        NEED(connect(c, SA(a)) == 0 && send(c, "ping", 4, 0) == 4);
        served += recv(c, b, 4, MSG_WAITALL) == 4 && recv(c, b, 1, 0) == 0;
        close(c);
    }
    V(served);
    V(child_status(server));
}

/* Workers that share a listener: each connection goes to exactly one. */
CHECK(prefork)
{
    struct sockaddr_in a;
    int l = listen4(&a), replies = 0;
    pid_t w[3];

    for (int i = 0; i < 3; i++) {
        w[i] = fork_tied();
        if (w[i] == 0) {
            for (;;) {
                int s = accept(l, NULL, NULL);
                char b;

                if (s < 0 || recv(s, &b, 1, 0) != 1)
                    _exit(1);
                if (b == 'q')
                    _exit(0);
                send(s, &b, 1, 0);
                close(s);
            }
        }
    }
    for (int i = 0; i < 30; i++) {
        int c = tcp4();
        char b = 'r';

        NEED(connect(c, SA(a)) == 0 && send(c, &b, 1, 0) == 1);
        replies += recv(c, &b, 1, 0) == 1;
        close(c);
    }
    V(replies);
    for (int i = 0; i < 3; i++) {
        int c = tcp4();

        NEED(connect(c, SA(a)) == 0 && send(c, "q", 1, 0) == 1);
    }
    for (int i = 0; i < 3; i++)
        V(child_status(w[i]));
}

CHECK(parent_exits_first)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();
    char b[8];
    pid_t mid = fork_tied();

    if (mid == 0) {
        if (fork() == 0) { /* the grandchild goes on alone, as a daemon does */
            int s = accept(l, NULL, NULL);

            while (getppid() == mid)
                nap(1);
            if (recv(s, b, 5, MSG_WAITALL) == 5)
                send(s, "alive", 5, 0);
            _exit(0);
        }
        _exit(0);
    }
    V(child_status(mid));
    close(l);
    R(connect(c, SA(a)));
    R(send(c, "query", 5, 0));
    R(recv(c, b, 5, MSG_WAITALL));
    TEXT(b, 5);
    R(recv(c, b, 1, 0));
}

CHECK(child_makes_new_sockets)
{
    struct sockaddr_in a;
    int l = listen4(&a), s;
    char b[4];
    pid_t p = fork_tied();

    if (p == 0) {
        int c = tcp4();

        if (connect(c, SA(a)) < 0 || send(c, "new", 3, 0) != 3)
            _exit(1);
        _exit(0);
    }
    s = FD(accept(l, NULL, NULL));
    R(recv(s, b, 3, MSG_WAITALL));
    R(recv(s, b, 1, 0));
    V(child_status(p));
}

CHECK(parent_connects_to_child)
{
    int pfd[2], c = tcp4();
    struct sockaddr_in a;
    char b[4];
    pid_t p;

    NEED(pipe(pfd) == 0);
    p = fork_tied();
    if (p == 0) {
        int l = listen4(&a), s;

        if (write(pfd[1], &a, sizeof(a)) != sizeof(a))
            _exit(1);
        s = accept(l, NULL, NULL);
        _exit(send(s, "hi", 2, 0) == 2 ? 0 : 1);
    }
    NEED(read(pfd[0], &a, sizeof(a)) == sizeof(a));
    R(connect(c, SA(a)));
    R(recv(c, b, 2, MSG_WAITALL));
    V(child_status(p));
    R(recv(c, b, 1, 0));
    R(connect(tcp4(), SA(a)));
}

CHECK(deep_tree)
{
    int sv[2];
    char b[8] = "";
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        for (int depth = 0; depth < 6; depth++) {
            pid_t q = fork_tied();

            if (q != 0)
                _exit(child_status(q));
        }
        _exit(send(sv[0], "deep", 4, 0) == 4 ? 0 : 1);
    }
    R(recv(sv[1], b, 4, MSG_WAITALL));
    TEXT(b, 4);
    V(child_status(p));
}

CHECK(interleaved_writers)
{
    int sv[2], counts[3] = {0};
    char b[3000];
    pid_t p[3];

    tcp_pair(sv);
    for (int i = 0; i < 3; i++) {
        p[i] = fork_tied();
        if (p[i] == 0) {
            char c = (char)('a' + i);

            for (int k = 0; k < 1000; k++)
                if (send(sv[0], &c, 1, 0) != 1)
                    _exit(1);
            _exit(0);
        }
    }
    V(read_all(sv[1], b, sizeof(b)));
    for (size_t i = 0; i < sizeof(b); i++)
        counts[b[i] - 'a']++;
    show("each writer's bytes", "%d %d %d", counts[0], counts[1], counts[2]);
    for (int i = 0; i < 3; i++)
        V(child_status(p[i]));
}

CHECK(epoll_after_fork)
{
    int sv[2], ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5}, got = {0};
    pid_t p;

    tcp_pair(sv);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], &ev) == 0);
    p = fork_tied();
    if (p == 0) { /* the child's set is the parent's set */
        struct epoll_event e;

        _exit(epoll_wait(ep, &e, 1, SETTLE_MS) == 1 && e.data.u32 == 5 ? 0 : 1);
    }
    NEED(send(sv[0], "x", 1, 0) == 1);
    V(child_status(p));
    R(epoll_wait(ep, &got, 1, SETTLE_MS));
    V(got.data.u32);
}

CHECK(no_extra_children)
{
    int sv[2];

    tcp_pair(sv);
    R(waitpid(-1, NULL, WNOHANG));
    R(wait(NULL));
}

/* _Fork runs no hooks. */
CHECK(a_bare_fork)
{
    int sv[2], mine[2];
    char b[8];
    pid_t p;

    tcp_pair(sv);
    fflush(stdout);
    p = _Fork();
    NEED(p >= 0);
    if (p == 0) {
        tcp_pair(mine); /* sockets of its own */
        if (send(mine[0], "own", 3, 0) != 3 || read_all(mine[1], b, 3) != 3)
            _exit(1);
        _exit(send(sv[1], "child", 5, 0) == 5 && read_all(sv[1], b, 4) == 4 ? 7 : 2);
    }
    R(send(sv[0], "from", 4, 0));
    R(read_all(sv[0], b, 5));
    TEXT(b, 5);
    V(child_status(p));
    close(sv[1]);
    R(recv(sv[0], b, 1, 0));
}

/* What was written just before each way to end arrives, then the end. */
CHECK(ways_to_end)
{
    static void (*const ways[])(int) = {exit, _exit, _Exit, quick_exit};

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char b[8];
        int sv[2];
        pid_t p;

        tcp_pair(sv);
        p = fork_tied();
        if (p == 0) {
            close(sv[0]);
            if (send(sv[1], "last", 4, 0) == 4)
                ways[i](20 + (int)i);
            _exit(1);
        }
        close(sv[1]);
        R(read_all(sv[0], b, 4));
        R(recv(sv[0], b, 1, 0));
        V(child_status(p));
        close(sv[0]);
    }
}

/* Another root directory, and fewer rights: open connections go on, new ones are made. */
CHECK(in_another_root)
{
    int sv[2];
    char b[8];
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        int mine[2], r = chroot("/proc/self/fdinfo");

        if (r < 0 && errno != EPERM)
            _exit(1);
        r = setgid(65534); /* where there is one to become */
        r = setuid(65534);
        tcp_pair(mine);
        if (send(mine[0], "own", 3, 0) != 3 || read_all(mine[1], b, 3) != 3)
            _exit(2);
        _exit(send(sv[1], "child", 5, 0) == 5 ? 0 : 3);
    }
    V(child_status(p));
    R(read_all(sv[0], b, 5));
    TEXT(b, 5);
}

static atomic_bool streaming;

/* Makes streams over a socket and closes them, all the time. */
static int make_streams(void *arg)
{
    while (atomic_load(&streaming))
        fclose(fdopen(dup(*(int *)arg), "w"));
    return 0;
}

/* A fork while a thread that C11's functions made is in the middle of something. */
CHECK(beside_a_c11_thread)
{
    int sv[2], bad = 0;
    thrd_t t;

    tcp_pair(sv);
    for (int i = 0; i < 250; i++) /* the longer is the way to a stream */
        NEED(fdopen(dup(sv[0]), "w") != NULL);
    atomic_store(&streaming, true);
    NEED(thrd_create(&t, make_streams, &sv[0]) == thrd_success);
    for (int i = 0; i < 500 && !bad; i++) {
        pid_t p = fork_tied();

        if (p == 0) {
            alarm(5);
            fclose(fdopen(dup(sv[0]), "w"));
            _exit(0);
        }
        bad = child_status(p);
    }
    atomic_store(&streaming, false);
    NEED(thrd_join(t, NULL) == thrd_success);
    V(bad);
}
