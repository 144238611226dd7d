/* signal.c: signals during waits: EINTR and SA_RESTART call by call, as signal(7) lists them; handlers that
 * use sockets. */
#include "check.h"

#include <sys/select.h>

/* Each blocking call gets a signal after 15 ms and what it waits for after 30 ms: EINTR, or restarted and
 * served. */
static int sv[2], listener, epfd;
static char byte[1];

static ssize_t do_recv(void)
{
    return recv(sv[0], byte, 1, 0);
}

static ssize_t do_read(void)
{
    return read(sv[0], byte, 1);
}

static ssize_t do_recvmsg(void)
{
    struct iovec v = {byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    return recvmsg(sv[0], &m, 0);
}

static ssize_t do_recvfrom(void)
{
    return recvfrom(sv[0], byte, 1, 0, NULL, NULL);
}

static ssize_t do_poll(void)
{
    struct pollfd p = {sv[0], POLLIN, 0};

    return poll(&p, 1, 500);
}

static ssize_t do_select(void)
{
    fd_set r;
    struct timeval tv = {0, 500000};

    FD_ZERO(&r);
    FD_SET(sv[0], &r);
    return select(sv[0] + 1, &r, NULL, NULL, &tv);
}

static ssize_t do_epoll(void)
{
    struct epoll_event e;

    return epoll_wait(epfd, &e, 1, 500);
}

static ssize_t do_accept(void)
{
    return accept(listener, NULL, NULL) >= 0 ? 1 : -1;
}

static const struct {
    const char *name;
    ssize_t (*call)(void);
} calls[] = {{"recv", do_recv},     {"read", do_read}, {"recvmsg", do_recvmsg}, {"recvfrom", do_recvfrom},
             {"accept", do_accept}, {"poll", do_poll}, {"select", do_select},   {"epoll_wait", do_epoll}};

static int handled[2]; /* the handler's word to the child */

static void on_alarm(int sig)
{
    int e = errno;

    (void)sig;
    check_signals++;
    if (write(handled[1], "h", 1) != 1)
        check_signals = -1000;
    errno = e;
}

/* Waits until process p sleeps. */
static void until_asleep(pid_t p)
{
    char path[32], line[256];

    snprintf(path, sizeof(path), "/proc/%d/stat", p);
    for (int i = 0; i < 1000; i++) {
        int f = open(path, O_RDONLY);
        ssize_t n = read(f, line, sizeof(line) - 1);
        const char *state;

        close(f);
        line[n > 0 ? n : 0] = 0;
        state = strrchr(line, ')');
        if (state && state[2] == 'S')
            return;
        nap(1);
    }
}

/* The child: the signal when the parent sleeps in its call, and when the handler has run what the call waits
 * for. */
static void disturb(pid_t parent, bool accepting, const struct sockaddr_in *a)
{
    char b;

    nap(2);
    until_asleep(parent);
    kill(parent, SIGALRM);
    if (read(handled[0], &b, 1) != 1)
        _exit(1);
    nap(5);
    if (accepting)
        _exit(connect(tcp4(), (const struct sockaddr *)a, sizeof(*a)) ? 2 : 0);
    _exit(send(sv[1], "x", 1, 0) == 1 ? 0 : 3);
}

static void drain(void)
{
    while (recv(sv[0], byte, 1, MSG_DONTWAIT) == 1)
        ;
    while (poll_for(listener, POLLIN, 0))
        NEED(accept(listener, NULL, NULL) >= 0);
}

static void interrupt_all(int flags, bool timeo)
{
    struct sockaddr_in a;
    struct epoll_event ev = {.events = EPOLLIN};
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};

    tcp_pair(sv);
    listener = listen4(&a);
    epfd = epoll_create1(0);
    NEED(epoll_ctl(epfd, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    NEED(pipe(handled) == 0);
    if (timeo) { /* with a time-out set, the socket calls of signal(7)'s second list are never restarted */
        set_timeo(sv[0], SO_RCVTIMEO, 500);
        set_timeo(listener, SO_RCVTIMEO, 500);
    }
    NEED(sigaction(SIGALRM, &sa, NULL) == 0);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        bool accepting = calls[i].call == do_accept;
        pid_t parent = getpid(), p;
        ssize_t rc;
        int e;

        check_signals = 0;
        p = fork_tied();
        if (p == 0)
            disturb(parent, accepting, &a);
        rc = calls[i].call();
        e = errno;
        show(calls[i].name, "%s, handler ran %d", rc < 0 ? errname(e) : rc == 1 ? "1" : "?", check_signals);
        NEED(child_status(p) == 0);
        NEED(rc == 1 || settle(accepting ? listener : sv[0], POLLIN));
        drain();
    }
}

CHECK(plain)
{
    interrupt_all(0, false);
}

CHECK(restart)
{
    interrupt_all(SA_RESTART, false);
}

CHECK(restart_with_timeout)
{
    interrupt_all(SA_RESTART, true);
}

CHECK(send_blocked)
{
    static char b[32 << 20];
    ssize_t n;

    tcp_pair(sv);
    fill(sv[0]);
    on_signal(SIGALRM, 0);
    alarm_ms(15, 0);
    R(send(sv[0], b, 1, 0));
    V(check_signals);
    on_signal(SIGALRM, SA_RESTART);
    set_timeo(sv[0], SO_SNDTIMEO, 60);
    alarm_ms(15, 0);
    R(send(sv[0], b, 1, 0));
    V(check_signals);
    tcp_pair(sv);
    on_signal(SIGALRM, 0);
    alarm_ms(30, 0);
    n = send(sv[0], b, sizeof(b), 0); /* more than fits: what was taken is the result */
    V(n > 0 && n < (ssize_t)sizeof(b));
    V(check_signals);
}

CHECK(waitall_interrupted)
{
    char b[8];

    tcp_pair(sv);
    NEED(send(sv[1], "part", 4, 0) == 4 && settle_bytes(sv[0], 4));
    on_signal(SIGALRM, 0);
    alarm_ms(15, 0);
    R(recv(sv[0], b, 8, MSG_WAITALL));
    V(check_signals);
    TEXT(b, 4);
}

CHECK(connect_interrupted)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a);

    NEED(listen(l, 0) == 0);
    for (int i = 0; i < 10; i++) {
        int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        NEED(connect(c, SA(a)) < 0);
        if (poll_for(c, POLLOUT, QUIET_MS))
            continue;
        c = tcp4();
        on_signal(SIGALRM, 0);
        alarm_ms(15, 0);
        R(connect(c, SA(a)));
        V(check_signals);
        NEED(fcntl(c, F_SETFL, O_NONBLOCK) == 0);
        R(connect(c, SA(a)));
        return;
    }
    show("a full accept queue", "never");
}

/* A blocked signal does not interrupt; an ignored one neither. */
CHECK(blocked_and_ignored)
{
    struct pollfd p;
    sigset_t set;

    tcp_pair(sv);
    p = (struct pollfd){sv[0], POLLIN, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    on_signal(SIGALRM, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    alarm_ms(10, 0);
    R(poll(&p, 1, 40));
    V(check_signals);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    V(check_signals);
    signal(SIGALRM, SIG_IGN);
    alarm_ms(10, 0);
    R(poll(&p, 1, 40));
}

CHECK(no_wait_no_eintr)
{
    on_signal(SIGALRM, 0);
    tcp_pair(sv);
    NEED(send(sv[1], "x", 1, 0) == 1 && settle(sv[0], POLLIN));
    raise(SIGALRM);
    R(recv(sv[0], byte, 1, 0));
    V(check_signals);
}

static void handler_uses_sockets(int sig)
{
    char b;
    int e = errno;

    (void)sig;
    if (send(sv[1], "h", 1, MSG_NOSIGNAL) == 1 && recv(sv[0], &b, 1, MSG_DONTWAIT | MSG_PEEK) >= -1)
        check_signals++;
    errno = e;
}

CHECK(sockets_in_a_handler)
{
    struct sigaction sa = {.sa_handler = handler_uses_sockets, .sa_flags = SA_RESTART};
    char b;
    long got = 0;

    tcp_pair(sv);
    check_signals = 0;
    NEED(sigaction(SIGALRM, &sa, NULL) == 0);
    alarm_ms(10, 0);
    R(recv(sv[0], &b, 1, 0)); /* the handler itself sends what the call waits for */
    V(check_signals);
    alarm_ms(1, 1);
    while (check_signals < 50) {
        if (recv(sv[0], &b, 1, MSG_DONTWAIT) == 1)
            got++;
    }
    alarm_ms(0, 0);
    while (poll_for(sv[0], POLLIN, 100) && recv(sv[0], &b, 1, MSG_DONTWAIT) == 1)
        got++;
    V(got == check_signals - 1);
}

/* A storm of signals over a stream: nothing is lost or doubled. */
CHECK(storm)
{
    enum { TOTAL = 3000000 };
    static char b[30000];
    long got = 0, wrong = 0;
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        long done = 0;

        while (done < TOTAL) {
            for (size_t i = 0; i < sizeof(b); i++)
                b[i] = (char)((done + (long)i) % 251);
            for (long k = 0; k < (long)sizeof(b);) {
                ssize_t n = send(sv[0], b + k, sizeof(b) - (size_t)k, 0);

                if (n < 0)
                    _exit(1);
                k += n;
            }
            done += (long)sizeof(b);
        }
        _exit(0);
    }
    on_signal(SIGALRM, 0);
    alarm_ms(1, 1);
    while (got < TOTAL) {
        ssize_t n = recv(sv[1], b, sizeof(b), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            wrong += b[i] != (char)((got + i) % 251);
        got += n;
    }
    alarm_ms(0, 0);
    show("received", "%ld, wrong %ld", got, wrong);
    V(child_status(p));
}

CHECK(alternate_stack)
{
    static char stack[1 << 16];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, off = {.ss_flags = SS_DISABLE};
    struct sigaction sa = {.sa_handler = handler_uses_sockets, .sa_flags = SA_ONSTACK};
    char b;

    tcp_pair(sv);
    check_signals = 0;
    R(sigaltstack(&ss, NULL));
    NEED(sigaction(SIGALRM, &sa, NULL) == 0);
    alarm_ms(10, 0);
    R(recv(sv[0], &b, 1, 0));
    V(check_signals);
    R(sigaltstack(&off, NULL));
}

CHECK(dispositions_are_the_programs)
{
    struct sigaction sa, old;
    int changed = 0;

    tcp_pair(sv);
    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        if (sig == 32 || sig == 33 || sigaction(sig, NULL, &old) < 0)
            continue;
        changed += old.sa_handler != SIG_DFL && sig != SIGPIPE;
    }
    V(changed);
    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = check_on_signal;
    sa.sa_flags = SA_NODEFER;
    sigaddset(&sa.sa_mask, SIGUSR2);
    R(sigaction(SIGUSR1, &sa, NULL));
    R(sigaction(SIGUSR1, NULL, &old));
    V(old.sa_handler == check_on_signal);
    V((old.sa_flags & ~0x04000000) == SA_NODEFER); /* SA_RESTORER, libc's own */
    V(sigismember(&old.sa_mask, SIGUSR2));
    V(signal(SIGUSR1, SIG_IGN) == check_on_signal);
    R(sigaction(SIGKILL, &sa, NULL));
    R(sigaction(0, &sa, NULL));
    R(sigaction(65, NULL, &old));
}
