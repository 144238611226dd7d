/* kill.c: a family whose processes are killed at random moments, while those that live find out whether that
 * hurt them.
 *
 *     kill SECONDS [PERIOD_US] [SEED]
 *     kill SECONDS PERIOD_US SEED serve
 *     kill SECONDS PERIOD_US SEED visit ADDRESS
 *
 * One process listens and has a number of workers, which share the listener and each an epoll set of their
 * own: they accept, echo, send, receive, duplicate, close, connect to one another, send datagrams, fork. The
 * master kills one of them every PERIOD_US (1000) on average, with SIGKILL, so that many die inside the stack
 * and under its lock, and puts a new one in its place. A few clients are never killed. They connect, write
 * and read back a pattern, and complain of:
 * - a byte that is not the one that was sent,
 * - a connection that neither moves nor ends within STALL_MS: the peer's death has to be seen as FIN or RST,
 * - a connect that neither succeeds nor fails within it.
 * At the end nobody is killed any more, the workers are told to end by SIGTERM, and a last worker must serve
 * as if nothing had been.
 *
 * serve leaves the clients out, and goes on for five seconds when nobody is killed any more; visit is the
 * clients alone, on the kernel or another stack, for SECONDS, whose last one must be in those five.
 *
 * Ends with 0 and one line, kills=N served=N cut=N worst_ms=N, or with 1 after saying what went wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS  5
#define CLIENTS  3
#define CONNS    64
#define PORT     7100 /* of serve */
#define AFTER_MS 5000 /* a visitor may start late: who serves goes last */
#define LAST_MS  1000
#define STALL_MS 5000 /* generous: the machine may have other things to do */
#define CHUNK    8192

static struct shared {
    volatile int quiet; /* nobody is killed any more */
    volatile int stop;
    volatile int failed;
    volatile unsigned served[CLIENTS], cut[CLIENTS], worst_ms[CLIENTS];
} * shared;

static struct sockaddr_in addr = {.sin_family = AF_INET};
static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return below ? (uint32_t)(seed >> 32) % below : 0;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(2, line, (size_t)n) != n)
        abort();
    shared->failed = 1;
}

/* --- a worker --- */

static void echo(int fd)
{
    char buf[CHUNK];
    ssize_t n = rnd(4) ? recv(fd, buf, sizeof buf, 0) : read(fd, buf, 1 + rnd(sizeof buf));
    for (ssize_t done = 0, w; n > 0 && done < n; done += w) {
        w = send(fd, buf + done, (size_t)(n - done), MSG_NOSIGNAL);
        if (w < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, 100);
            w = 0;
        } else if (w < 0) {
            break;
        }
    }
    if (n == 0 || (n < 0 && errno != EAGAIN))
        close(fd);
}

/* Things that change the family's tables. */
static void odd_jobs(int ep)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int fd;
    switch (rnd(6)) {
    case 0:
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fd, (struct sockaddr *)&addr, sizeof addr);
        if (rnd(2))
            send(fd, "x", 1, MSG_NOSIGNAL);
        close(fd);
        break;
    case 1:
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        sendto(fd, "hello", 5, MSG_DONTWAIT, (struct sockaddr *)&addr, sizeof addr);
        close(dup(fd));
        close(fd);
        break;
    case 2:
        fd = socket(AF_INET, SOCK_STREAM, 0);
        for (int i = 0; i < 3; i++) {
            ev.data.fd = fd;
            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
            epoll_ctl(ep, EPOLL_CTL_DEL, fd, &ev);
        }
        close(fd);
        break;
    case 3:
        fd = epoll_create1(0);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        close(fd);
        break;
    case 4:
        if (rnd(8) == 0 && fork() == 0)
            _exit(0);
        waitpid(-1, NULL, WNOHANG);
        break;
    case 5:
        fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
        bind(fd, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, sizeof addr);
        listen(fd, 5);
        close(fd);
        break;
    }
}

static void *second_thread(void *arg)
{
    int ep = *(int *)arg;
    for (;;) {
        odd_jobs(ep);
        usleep(200 + rnd(2000));
    }
    return NULL;
}

static void worker(int lfd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = lfd};
    static int ep;
    pthread_t t;

    ep = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
    if (!shared->quiet)
        pthread_create(&t, NULL, second_thread, &ep);
    for (;;) {
        struct epoll_event got[8];
        int n = epoll_wait(ep, got, 8, 100);
        if (getppid() == 1)
            _exit(0);
        for (int i = 0; i < n; i++) {
            if (got[i].data.fd != lfd) {
                echo(got[i].data.fd);
                continue;
            }
            int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
            ev.data.fd = fd;
            if (fd >= 0)
                epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        }
        if (rnd(16) == 0 && !shared->quiet)
            odd_jobs(ep);
    }
}

/* --- a client, which is never killed --- */

static unsigned char pattern(uint64_t at, unsigned salt)
{
    return (unsigned char)(at * 31 + salt + (at >> 8));
}

/* Waits for events on fd. False: the patience is over. */
static bool patience(int fd, short events, uint64_t since, unsigned me)
{
    struct pollfd p = {.fd = fd, .events = events};
    int r = poll(&p, 1, STALL_MS);
    unsigned took = (unsigned)(now_ms() - since);
    if (took > shared->worst_ms[me])
        shared->worst_ms[me] = took;
    return r > 0;
}

/* Sends total bytes and reads them back. False: the connection was cut. */
static bool talk(int fd, uint32_t total, unsigned salt, unsigned me)
{
    unsigned char buf[CHUNK];
    uint32_t sent = 0, got = 0;
    uint64_t moved = now_ms();
    while (got < total) {
        uint32_t n = total - sent < sizeof buf ? total - sent : sizeof buf;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = pattern(sent + i, salt);
        ssize_t w = n && sent - got < 4 * CHUNK ? send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (w < 0 && errno != EAGAIN)
            return false;
        sent += w > 0 ? (uint32_t)w : 0;
        if (!patience(fd, POLLIN, moved, me)) {
            complain("client %u: a connection neither moves nor ends (%u sent, %u back)", me, sent, got);
            return false;
        }
        ssize_t r = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (r == 0 || (r < 0 && errno != EAGAIN))
            return false;
        for (ssize_t i = 0; i < r; i++) {
            if (buf[i] == pattern(got + (uint32_t)i, salt))
                continue;
            complain("client %u: byte %u is %u and not %u", me, got + (uint32_t)i, buf[i],
                     pattern(got + (uint32_t)i, salt));
            return false;
        }
        if (r > 0)
            moved = now_ms();
        got += r > 0 ? (uint32_t)r : 0;
    }
    return true;
}

/* One connection. True: all came back. */
static bool session(unsigned me)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
    socklen_t len = sizeof err;
    bool whole = false;
    if (fd < 0) {
        complain("client %u: socket: %s", me, strerror(errno));
        return false;
    }
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno == EINPROGRESS &&
        !patience(fd, POLLOUT, now_ms(), me))
        complain("client %u: a connect neither succeeds nor fails", me);
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && !err)
        whole = talk(fd, 1 + rnd(rnd(4) ? 2000 : 400000), rnd(256), me);
    close(fd);
    return whole;
}

static void client(unsigned me)
{
    while (!shared->stop) {
        if (session(me))
            shared->served[me]++;
        else
            shared->cut[me]++;
    }
    _exit(0);
}

/* --- the master --- */

static pid_t start_worker(int lfd)
{
    uint64_t s = seed ^ rnd(UINT32_MAX);
    pid_t pid = fork();
    if (pid == 0) {
        seed = s * 2654435761u + 1;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        worker(lfd);
    }
    if (pid < 0)
        complain("fork: %s", strerror(errno));
    return pid;
}

static void end(pid_t pid, int sig)
{
    if (pid <= 0)
        return;
    kill(pid, sig);
    waitpid(pid, NULL, 0);
}

/* Kills until the time is over; how often. */
static unsigned massacre(int lfd, pid_t w[WORKERS], unsigned seconds, unsigned period_us)
{
    uint64_t until = now_ms() + seconds * 1000;
    unsigned kills = 0;
    while (now_ms() < until && !shared->failed) {
        unsigned i = rnd(WORKERS);
        usleep(rnd(2 * period_us));
        end(w[i], SIGKILL);
        kills++;
        w[i] = start_worker(lfd);
    }
    return kills;
}

static void start_clients(pid_t c[CLIENTS])
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if ((c[i] = fork()) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            seed += i * 977;
            client(i);
        }
}

/* Ends the clients and says how they fared. */
static int end_clients(const pid_t c[CLIENTS], unsigned kills)
{
    unsigned served = 0, cut = 0, worst = 0;
    shared->stop = 1;
    for (unsigned i = 0; i < CLIENTS; i++) {
        waitpid(c[i], NULL, 0);
        served += shared->served[i];
        cut += shared->cut[i];
        worst = shared->worst_ms[i] > worst ? shared->worst_ms[i] : worst;
    }
    printf("kills=%u served=%u cut=%u worst_ms=%u\n", kills, served, cut, worst);
    return shared->failed || !served;
}

static int visit(unsigned seconds)
{
    unsigned before = 0;
    pid_t c[CLIENTS];
    start_clients(c);
    for (unsigned ms = 0; ms < seconds * 1000 && !shared->failed; ms += 100) {
        if (ms == seconds * 1000 - LAST_MS) /* from here on nobody is killed */
            before = shared->served[0] + shared->served[1] + shared->served[2];
        usleep(100000);
    }
    if (shared->served[0] + shared->served[1] + shared->served[2] <= before)
        complain("nobody is served though nobody is killed any more");
    return end_clients(c, 0);
}

static int listen_at(bool everywhere)
{
    int lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof addr;
    setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (everywhere)
        addr.sin_port = htons(PORT);
    else
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(lfd, (struct sockaddr *)&addr, sizeof addr) || listen(lfd, 256) ||
        getsockname(lfd, (struct sockaddr *)&addr, &len)) {
        perror("listen");
        return -1;
    }
    return lfd;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5, kills;
    unsigned period_us = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
    bool serves = argc > 4 && strcmp(argv[4], "serve") == 0;
    pid_t w[WORKERS], c[CLIENTS];
    int lfd;

    seed = argc > 3 && atoll(argv[3]) ? (uint64_t)atoll(argv[3]) : now_ms() * 0x9e3779b97f4a7c15u + 1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc > 5) {
        addr.sin_port = htons(PORT);
        inet_pton(AF_INET, argv[5], &addr.sin_addr);
        return visit(seconds);
    }
    lfd = listen_at(serves);
    if (lfd < 0)
        return 1;
    if (!serves)
        start_clients(c);
    for (unsigned i = 0; i < WORKERS; i++)
        w[i] = start_worker(lfd);
    kills = massacre(lfd, w, seconds, period_us);
    shared->quiet = 1;
    for (unsigned i = 0; i < WORKERS; i++)
        end(w[i], SIGTERM);
    w[0] = start_worker(lfd);
    if (serves) {
        usleep(AFTER_MS * 1000);
        end(w[0], SIGTERM);
        printf("kills=%u\n", kills);
        return shared->failed;
    }
    for (unsigned i = 0, before = shared->served[0]; i < 100 && shared->served[0] < before + 3; i++)
        usleep(100000);
    kills = (unsigned)end_clients(c, kills);
    end(w[0], SIGTERM);
    return (int)kills;
}
