/* restart.c: signal(7)'s two lists: which blocking calls go on after a handler with SA_RESTART and which
 * never do, with and without a timeout on the socket; masks that a wait puts in place for itself; the ways to
 * take a signal without a handler; cancellation in each blocking call.
 */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/uio.h>

/* --- the calls --- */

static int sv[2];    /* a stream: sv[0] has nothing to read */
static int full[2];  /* full[0] can't be written to */
static int listener; /* nobody connects */
static int dgram;
static int set;

static long call_read(void)
{
    char b[4];
    return read(sv[0], b, sizeof(b));
}

static long call_readv(void)
{
    char b[4];
    struct iovec v = {b, sizeof(b)};
    return readv(sv[0], &v, 1);
}

static long call_recv(void)
{
    char b[4];
    return recv(sv[0], b, sizeof(b), 0);
}

static long call_recvfrom(void)
{
    char b[4];
    return recvfrom(dgram, b, sizeof(b), 0, NULL, NULL);
}

static long call_recvmsg(void)
{
    char b[4];
    struct iovec v = {b, sizeof(b)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return recvmsg(sv[0], &m, 0);
}

static long call_recvmmsg(void)
{
    char b[4];
    struct iovec v = {b, sizeof(b)};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    return recvmmsg(dgram, &m, 1, 0, NULL);
}

static long call_write(void)
{
    return write(full[0], "x", 1);
}

static long call_send(void)
{
    return send(full[0], "x", 1, 0);
}

static long call_accept(void)
{
    return accept(listener, NULL, NULL);
}

static long call_poll(void)
{
    struct pollfd p = {sv[0], POLLIN, 0};
    return poll(&p, 1, 2000);
}

static long call_select(void)
{
    struct timeval t = {2, 0};
    fd_set r;
    FD_ZERO(&r);
    FD_SET(sv[0], &r);
    return select(sv[0] + 1, &r, NULL, NULL, &t);
}

static long call_epoll_wait(void)
{
    struct epoll_event ev;
    return epoll_wait(set, &ev, 1, 2000);
}

static const struct {
    const char *name;
    long (*fn)(void);
    int peer; /* who lets it go on: 1: sv[1], 2: full[1], 3: a connection, 4: a datagram */
} calls[] = {
    {"read", call_read, 1},         {"readv", call_readv, 1},     {"recv", call_recv, 1},
    {"recvfrom", call_recvfrom, 4}, {"recvmsg", call_recvmsg, 1}, {"recvmmsg", call_recvmmsg, 4},
    {"write", call_write, 2},       {"send", call_send, 2},       {"accept", call_accept, 3},
    {"poll", call_poll, 1},         {"select", call_select, 1},   {"epoll_wait", call_epoll_wait, 1},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static struct sockaddr_in listen_at, dgram_at;

/* filled: full[0] is to be full. */
static void open_all(bool filled)
{
    struct epoll_event ev = {.events = EPOLLIN};
    static char fill[65536];
    int small = 65536;

    tcp_pair(sv);
    tcp_pair(full);
    setsockopt(full[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    fcntl(full[0], F_SETFL, O_NONBLOCK);
    for (int idle = 0; filled && idle < 14; nap(5)) /* longer than an ACK is delayed */
        for (idle++; send(full[0], fill, sizeof(fill), 0) > 0 || send(full[0], fill, 1, 0) > 0;)
            idle = 0;
    fcntl(full[0], F_SETFL, 0);
    listener = listen4(&listen_at);
    dgram = bound4(SOCK_DGRAM, &dgram_at);
    set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, sv[0], &ev);
}

static void set_timeouts(int s)
{
    struct timeval t = {s, 0};
    int fds[] = {sv[0], full[0], listener, dgram};

    for (unsigned i = 0; i < 4; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    }
}

/* Lets the call end. */
static void release(int peer)
{
    static char b[65536];
    int fd;

    switch (peer) {
    case 1:
        send(sv[1], "go", 2, 0);
        break;
    case 2:
        for (int idle = 0; idle < 40; nap(1))
            idle = recv(full[1], b, sizeof(b), MSG_DONTWAIT) > 0 ? 0 : idle + 1;
        break;
    case 3:
        fd = tcp4();
        connect(fd, (struct sockaddr *)&listen_at, sizeof(listen_at));
        break;
    case 4:
        fd = udp4();
        sendto(fd, "go", 2, 0, (struct sockaddr *)&dgram_at, sizeof(dgram_at));
        break;
    }
}

struct job {
    pthread_t t;
    unsigned call;
    volatile long rc;
    volatile int err;
    volatile pid_t tid;
    volatile bool done;
};

/* Waits until the thread sleeps, or has come back. */
static void until_blocked(const struct job *j)
{
    char path[64], buf[256], *p;

    for (int asleep = 0, turn = 0; asleep < 4 && turn < 300 && !j->done; turn++) {
        nap(3);
        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)j->tid);
        int fd = j->tid ? open(path, O_RDONLY) : -1;
        ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
        buf[n > 0 ? n : 0] = '\0';
        p = strrchr(buf, ')');
        asleep = p && p[2] == 'S' ? asleep + 1 : 0;
        close(fd);
    }
}

static void *run(void *arg)
{
    struct job *j = arg;

    j->tid = gettid();
    errno = 0;
    j->rc = calls[j->call].fn();
    j->err = errno;
    j->done = true;
    return NULL;
}

/* Starts fn and lets it block. A byte may still have found room: then again. */
static void start(struct job *j, unsigned call, void *(*fn)(void *), int type)
{
    for (;;) {
        *j = (struct job){.call = call, .err = type};
        NEED(pthread_create(&j->t, NULL, fn, j) == 0);
        until_blocked(j);
        if (!j->done)
            return;
        pthread_join(j->t, NULL);
    }
}

static volatile int handled;

static void handler(int sig)
{
    (void)sig;
    handled++;
}

static void install(int flags)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

    sigaction(SIGUSR1, &sa, NULL);
}

/* Each call is interrupted once and then let go on. */
static void matrix(int flags, int timeout_s)
{
    install(flags);
    for (unsigned i = 0; i < CALLS; i++) {
        struct job j;

        open_all(calls[i].peer == 2);
        set_timeouts(timeout_s);
        handled = 0;
        start(&j, i, run, 0);
        pthread_kill(j.t, SIGUSR1);
        for (int turn = 0; turn < 300 && !handled; turn++)
            nap(1);
        until_blocked(&j);
        release(calls[i].peer);
        pthread_join(j.t, NULL);
        show(calls[i].name, "%s %s, handled %d", j.rc >= 0 ? "done" : "failed",
             j.rc < 0 ? errname(j.err) : "-", handled);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
    }
}

CHECK(without_restart)
{
    matrix(0, 0);
}

CHECK(with_restart)
{
    matrix(SA_RESTART, 0);
}

CHECK(with_restart_and_timeout)
{
    matrix(SA_RESTART, 2);
}

/* --- masks --- */

static void show_mask(const char *what)
{
    sigset_t now;

    sigprocmask(SIG_BLOCK, NULL, &now);
    show(what, "USR1 %d USR2 %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

/* A signal that is pending and that the wait's own mask lets in: the wait ends, once, and the mask is back.
 */
CHECK(masks_of_waits)
{
    struct timespec t = {2, 0}, zero = {0, 0};
    struct pollfd p;
    struct epoll_event ev;
    sigset_t block, open;
    fd_set r;

    open_all(false);
    install(0);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigemptyset(&open);
    sigaddset(&open, SIGUSR2);
    for (int ready = 0; ready < 2; ready++) {
        show("ready", "%d", ready);
        sigprocmask(SIG_BLOCK, &block, NULL);
        handled = 0;
        raise(SIGUSR1);
        p = (struct pollfd){sv[0], POLLIN, 0};
        R(ppoll(&p, 1, &t, &open));
        V(handled);
        show_mask("after ppoll");
        raise(SIGUSR1);
        FD_ZERO(&r);
        FD_SET(sv[0], &r);
        R(pselect(sv[0] + 1, &r, NULL, NULL, &t, &open));
        V(handled);
        raise(SIGUSR1);
        R(epoll_pwait(set, &ev, 1, 2000, &open));
        V(handled);
        show_mask("after epoll_pwait");
        p.events = POLLOUT;
        R(ppoll(&p, 1, &zero, &block));
        sigprocmask(SIG_UNBLOCK, &block, NULL);
        V(handled);
        send(sv[1], "x", 1, 0);
        settle(sv[0], POLLIN);
    }
}

/* --- without a handler --- */

CHECK(taken_without_a_handler)
{
    struct signalfd_siginfo si;
    struct timespec t = {1, 0};
    siginfo_t info;
    sigset_t s;
    int fd;

    open_all(false);
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigaddset(&s, SIGRTMIN);
    sigaddset(&s, SIGRTMAX);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR1);
    V(sigwaitinfo(&s, &info) == SIGUSR1);
    V(info.si_pid == getpid());
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
    V(sigtimedwait(&s, &info, &t) == SIGRTMIN);
    V(info.si_value.sival_int);
    fd = signalfd(-1, &s, SFD_NONBLOCK);
    raise(SIGRTMAX);
    struct epoll_event ev = {.events = EPOLLIN};
    R(epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
    R(epoll_wait(set, &ev, 1, 1000));
    V(read(fd, &si, sizeof(si)) == sizeof(si) && (int)si.ssi_signo == SIGRTMAX);
    R(read(fd, &si, sizeof(si)));
}

/* --- cancellation --- */

static volatile int cleaned;

static void clean(void *arg)
{
    cleaned = 1;
}

static void *run_cancelled(void *arg)
{
    struct job *j = arg;
    int old;

    j->tid = gettid();
    if (j->err)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    pthread_cleanup_push(clean, NULL);
    j->rc = calls[j->call].fn();
    pthread_cleanup_pop(0);
    j->done = true;
    return NULL;
}

static void cancel_each(int type)
{
    for (unsigned i = 0; i < CALLS; i++) {
        struct job j;
        void *end = NULL;
        char b[4];

        open_all(calls[i].peer == 2);
        start(&j, i, run_cancelled, type);
        cleaned = 0;
        pthread_cancel(j.t);
        pthread_join(j.t, &end);
        show(calls[i].name, "cancelled %d, cleaned up %d", end == PTHREAD_CANCELED, cleaned);
        /* The socket is as before, for others. */
        release(1);
        if (calls[i].peer == 1)
            show("then", "%ld", (long)recv(sv[0], b, sizeof(b), 0));
        for (int fd = 3; fd < 64; fd++)
            close(fd);
    }
}

CHECK(cancelled)
{
    cancel_each(0);
}

CHECK(cancelled_asynchronously)
{
    cancel_each(1);
}

/* --- a signal at any instruction --- */

static sigjmp_buf back;
static int own[2];
static volatile unsigned turns, jumps, wrong;

/* Uses sockets itself, and leaves by siglongjmp every now and then. */
static void busy_handler(int sig)
{
    static const struct itimerval off;
    static unsigned n;
    char b = 's', c = 0;

    (void)sig;
    if (send(own[1], &b, 1, MSG_DONTWAIT) != 1 || recv(own[0], &c, 1, 0) != 1 || c != b)
        wrong++;
    if (++n % 8 == 0) {
        /* The mask comes back before the stack does: the next one would be nested in this, and so on. */
        setitimer(ITIMER_REAL, &off, NULL);
        jumps++;
        siglongjmp(back, 1);
    }
}

/* A timer interrupts whatever goes on, a thousand times a second. */
CHECK(handlers_that_jump)
{
    struct itimerval it = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    struct sigaction sa = {.sa_handler = busy_handler};
    static char stack[32768];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
    volatile long until;
    char b[64];

    open_all(false);
    tcp_pair(own);
    sigaltstack(&ss, NULL);
    sa.sa_flags = SA_ONSTACK;
    sigaction(SIGALRM, &sa, NULL);
    until = now_ms() + 700;
    sigsetjmp(back, 1);
    setitimer(ITIMER_REAL, &it, NULL);
    while (now_ms() < until) {
        struct epoll_event ev;

        send(sv[1], "0123456789", 10, MSG_DONTWAIT);
        epoll_wait(set, &ev, 1, 1);
        recv(sv[0], b, sizeof(b), MSG_DONTWAIT);
        close(socket(AF_INET, SOCK_STREAM, 0));
        turns++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    V(turns > 10);
    V(jumps > 3);
    V(wrong);
    while (recv(sv[0], b, sizeof(b), MSG_DONTWAIT) > 0)
        ;
    R(send(sv[1], "end", 3, 0));
    settle(sv[0], POLLIN);
    R(recv(sv[0], b, sizeof(b), 0));
    ss.ss_flags = SS_DISABLE;
    R(sigaltstack(&ss, NULL));
}
