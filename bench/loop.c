/* loop.c: see loop.h. */
#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH          256
#define OPENING        64            /* connections that a client of many opens at a time */
#define SPARE_FDS      256           /* descriptors of a process that are not for connections */
#define START_LIMIT_NS 5000000000ull /* how long the client waits for the server to come up */

static volatile sig_atomic_t stop_signal;

static void on_stop(int sig)
{
    stop_signal = sig;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* --- steps --------------------------------------------------------------------------------------------- */

static long step_result(ssize_t n)
{
    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

long step_recv(struct conn *c, size_t n)
{
    return step_result(recv(c->fd, c->loop->buf, n < c->loop->buf_len ? n : c->loop->buf_len, 0));
}

long step_send(struct conn *c, size_t n)
{
    return step_result(send(c->fd, c->loop->buf, n < c->loop->buf_len ? n : c->loop->buf_len, MSG_NOSIGNAL));
}

void loop_count(struct conn *c, uint64_t t0_ns, size_t bytes)
{
    struct loop *l = c->loop;

    l->now_ns = clock_ns();
    if (l->now_ns < l->start_ns)
        return;
    l->ops++;
    l->bytes += bytes;
    if (t0_ns)
        hist_add(&l->hist, l->now_ns - t0_ns);
    if (l->now_ns >= l->end_ns)
        l->stop = true;
}

void loop_want(struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (c->loop->o.how != HOW_EPOLL || c->wanted == events)
        return;
    if (epoll_ctl(c->loop->ep, c->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl");
    c->wanted = events;
}

/* --- connections --------------------------------------------------------------------------------------- */

static struct conn *conn_new(struct loop *l, int fd)
{
    struct conn *c = calloc(1, sizeof(*c));
    int on = 1;

    if (l->nconns == l->room) {
        l->room = l->room ? l->room * 2 : 64;
        l->conns = realloc(l->conns, l->room * sizeof(*l->conns));
    }
    if (!c || !l->conns)
        die("memory");
    c->loop = l;
    c->fd = fd;
    c->slot = l->nconns;
    l->conns[l->nconns++] = c;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return c;
}

static void conn_free(struct conn *c)
{
    struct loop *l = c->loop;

    close(c->fd);
    l->conns[c->slot] = l->conns[--l->nconns];
    l->conns[c->slot]->slot = c->slot;
    free(c);
}

/* The client's connections: the i-th comes from the local address i / per_address; after the last one, from
 * the first again. */
static int conn_socket(const struct options *o, uint32_t i)
{
    int fd = socket(AF_INET, SOCK_STREAM | (o->how == HOW_BLOCK ? 0 : SOCK_NONBLOCK), 0);

    if (fd < 0)
        die("socket");
    if (o->from.sin_addr.s_addr) {
        struct sockaddr_in a = o->from;
        int on = 1;

        a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + i / o->per_address % o->addresses);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            die("bind");
    }
    return fd;
}

/* Connected: on to the workload's own. */
static int conn_opened(struct conn *c)
{
    const struct workload *w = c->loop->w;

    c->opening = false;
    loop_want(c, w->client_writes ? EPOLLOUT : EPOLLIN);
    return w->client_open ? w->client_open(c) : 1;
}

/* One step of connect, and what follows it. */
static int conn_connect(struct conn *c)
{
    const struct sockaddr_in *a = &c->loop->o.addr;

    if (connect(c->fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EISCONN)
        return conn_opened(c);
    return errno == EINPROGRESS || errno == EALREADY || errno == EINTR ? 0 : -1;
}

static void conn_begin(struct loop *l, uint32_t i)
{
    struct conn *c = conn_new(l, conn_socket(&l->o, l->first + i));

    c->opening = true;
    if (conn_connect(c) < 0)
        die("connect");
    if (c->opening)
        loop_want(c, EPOLLOUT);
}

/* One step of a client's connection. */
static int client_step(struct conn *c)
{
    return c->opening ? conn_connect(c) : c->loop->w->client_ready(c);
}

static void client_over(struct conn *c)
{
    struct loop *l = c->loop;
    uint32_t slot = c->slot;

    conn_free(c);
    if (!l->w->reopen) {
        fprintf(stderr, "%s: a connection ended\n", l->w->name);
        exit(1);
    }
    conn_begin(l, slot);
}

static void conn_step(struct conn *c)
{
    if (c->loop->o.server) {
        if (c->loop->w->server_ready(c) < 0)
            conn_free(c);
    } else if (client_step(c) < 0) {
        client_over(c);
    }
}

/* --- the three ways ------------------------------------------------------------------------------------ */

static void take_new(struct loop *l)
{
    for (;;) {
        int fd = accept4(l->listener, NULL, NULL, l->o.how == HOW_BLOCK ? 0 : SOCK_NONBLOCK);
        struct conn *c;

        if (fd < 0)
            return;
        c = conn_new(l, fd);
        loop_want(c, EPOLLIN);
        l->stop = l->nconns == l->enough;
        if (l->o.how == HOW_BLOCK)
            return;
    }
}

static void run_block(struct loop *l)
{
    while (!l->stop && !stop_signal) {
        if (l->nconns == 0)
            take_new(l);
        else
            conn_step(l->conns[0]);
    }
}

static void run_epoll(struct loop *l)
{
    struct epoll_event ev[BATCH];

    while (!l->stop && !stop_signal) {
        int n = epoll_wait(l->ep, ev, BATCH, -1);

        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr)
                conn_step(ev[i].data.ptr);
            else
                take_new(l);
        }
    }
}

static void run_spin(struct loop *l)
{
    while (!l->stop && !stop_signal) {
        if (l->o.server)
            take_new(l);
        for (uint32_t i = 0; i < l->nconns; i++)
            conn_step(l->conns[i]);
    }
}

static void run(struct loop *l)
{
    if (l->o.how == HOW_BLOCK)
        run_block(l);
    else if (l->o.how == HOW_EPOLL)
        run_epoll(l);
    else
        run_spin(l);
}

/* --- several processes ---------------------------------------------------------------------------------- */

/* How many processes it takes, and this one's part: the first's. */
static void spread_plan(struct loop *l)
{
    struct rlimit rl;
    uint32_t most = l->o.conns;

    l->total = l->o.conns;
    if (l->w->spread && getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < most + SPARE_FDS)
        most = rl.rlim_cur > 2 * SPARE_FDS ? (uint32_t)rl.rlim_cur - SPARE_FDS : SPARE_FDS;
    l->parts = (l->total + most - 1) / most;
    l->o.conns = l->total < most ? l->total : most;
}

/* In a process that was forked: its part. */
static void spread_take(struct loop *l, uint32_t part)
{
    uint32_t most = l->o.conns;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    l->part = part;
    l->first = part * most;
    l->o.conns = l->total - l->first < most ? l->total - l->first : most;
    l->o.addr.sin_port = htons((uint16_t)(ntohs(l->o.addr.sin_port) + part));
    l->nconns = 0;
    l->ep = epoll_create1(EPOLL_CLOEXEC); /* a set that is inherited is shared */
    if (l->ep < 0)
        die("epoll_create1");
}

/* --- server and client --------------------------------------------------------------------------------- */

static void server_listen(struct loop *l)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    int on = 1;

    l->listener = socket(AF_INET, SOCK_STREAM | (l->o.how == HOW_BLOCK ? 0 : SOCK_NONBLOCK), 0);
    setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(l->listener, (struct sockaddr *)&l->o.addr, sizeof(l->o.addr)) < 0 ||
        listen(l->listener, 4096) < 0)
        die("listen");
    if (l->o.how == HOW_EPOLL && epoll_ctl(l->ep, EPOLL_CTL_ADD, l->listener, &ev) < 0)
        die("epoll_ctl");
}

void loop_weigh(struct loop *l)
{
    l->anon_kb = anon_kb(getpid());
    for (uint32_t i = 1; i < l->parts; i++)
        l->anon_kb += anon_kb(l->pids[i]);
}

/* Waits until the server answers: the first connection is tried again and again, and then closed. */
static void wait_for_server(struct loop *l)
{
    uint64_t limit = clock_ns() + START_LIMIT_NS;

    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int rc = connect(fd, (struct sockaddr *)&l->o.addr, sizeof(l->o.addr));

        close(fd);
        if (rc == 0)
            return;
        if (clock_ns() > limit)
            die("connect");
        usleep(20000);
    }
}

static void wait_until_open(struct conn *c)
{
    while (c->opening && !stop_signal) {
        struct pollfd p = {c->fd, POLLOUT, 0};

        if (poll(&p, 1, -1) > 0)
            conn_step(c);
    }
}

/* Opens this process's connections. Of many, OPENING at a time, not to overrun the backlog. */
static void client_open_part(struct loop *l)
{
    for (uint32_t i = 0; i < l->o.conns; i++) {
        conn_begin(l, i);
        if (l->o.conns > OPENING && i >= OPENING)
            wait_until_open(l->conns[i - OPENING]);
    }
    if (l->o.conns <= OPENING)
        return;
    for (uint32_t i = l->o.conns - OPENING; i < l->o.conns; i++)
        wait_until_open(l->conns[i]);
}

/* A client's further process: opens its part, says so, and holds it until the first one has gone. */
static void client_hold(struct loop *l, uint32_t part, int done, const int gate[2])
{
    char c = 0;

    close(gate[1]);
    spread_take(l, part);
    wait_for_server(l);
    client_open_part(l);
    if (write(done, &c, 1) != 1 || read(gate[0], &c, 1) < 0)
        _exit(1);
    _exit(0);
}

/* One of the server's other processes: takes its part, says so, and holds it until it is told to stop. */
static void server_hold(struct loop *l, uint32_t part, int done, const int gate[2], uint32_t *held)
{
    char c = 0;

    close(gate[1]);
    close(l->listener);
    spread_take(l, part);
    server_listen(l);
    l->enough = l->o.conns;
    run(l);
    if (write(done, &c, 1) == 1 && !stop_signal && read(gate[0], &c, 1) < 0 && errno != EINTR)
        perror("read");
    *held = l->nconns;
    _exit(0);
}

/* Forks a process, runs a part of the connections in it, and goes on when that one has its connections. */
static pid_t fork_part(struct loop *l, uint32_t part, const int gate[2], uint32_t *held)
{
    int done[2];
    char c;
    pid_t pid = pipe(done) < 0 ? -1 : fork();

    if (pid < 0)
        die("fork");
    if (pid == 0 && l->o.server)
        server_hold(l, part, done[1], gate, held);
    if (pid == 0)
        client_hold(l, part, done[1], gate);
    close(done[1]);
    while (read(done[0], &c, 1) != 1)
        if (errno != EINTR || stop_signal)
            die("a part of the connections");
    close(done[0]);
    return pid;
}

/* All parts but the first's own. */
static void fork_parts(struct loop *l, uint32_t *held)
{
    int gate[2]; /* open as long as this process lives */

    if (pipe(gate) < 0)
        die("pipe");
    for (uint32_t i = 1; i < l->parts && !stop_signal; i++)
        l->pids[i] = fork_part(l, i, gate, held ? &held[i] : NULL);
}

static void server(struct loop *l)
{
    double user, system;
    long rss, shared;
    uint32_t held = 0, *others;

    others =
        mmap(NULL, l->parts * sizeof(*others), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (others == MAP_FAILED)
        die("memory");
    if (l->w->prepare)
        l->w->prepare(l);
    server_listen(l);
    fork_parts(l, others);
    run(l);
    rss = rss_kb(&shared);
    for (uint32_t i = 1; i < l->parts; i++)
        kill(l->pids[i], SIGTERM);
    for (uint32_t i = 1; i < l->parts; i++) {
        waitpid(l->pids[i], NULL, 0);
        held += others[i];
    }
    held += l->nconns;
    cpu_us(&user, &system);
    report_begin(l->w->name);
    report_text("role", "server");
    report_number("processes", l->parts);
    report_number("anon_kb", (double)l->anon_kb);
    report_number("connections", held);
    report_number("user_us", user);
    report_number("system_us", system);
    report_number("rss_kb", (double)rss);
    report_number("shared_kb", (double)shared);
    report_end();
}

/* Opens all connections: each process its part, one after the other, the first its own last. */
static void client_open_all(struct loop *l)
{
    uint64_t t0 = clock_ns();

    fork_parts(l, NULL);
    client_open_part(l);
    l->opened_ns = clock_ns() - t0;
}

static void client_report(struct loop *l, double seconds, double user, double system)
{
    static const char *const hows[] = {"block", "epoll", "spin"};
    long shared, rss = rss_kb(&shared);

    report_begin(l->w->name);
    report_text("role", "client");
    report_text("how", hows[l->o.how]);
    report_number("size", (double)l->o.size);
    report_number("connections", l->total);
    report_number("processes", l->parts);
    report_number("at_seconds", (double)clock_ns() / 1e9);
    report_number("seconds", seconds);
    report_number("operations", (double)l->ops);
    report_number("per_second", (double)l->ops / seconds);
    report_number("gbit_s", (double)l->bytes * 8 / seconds / 1e9);
    report_hist(&l->hist);
    report_number("user_us", user);
    report_number("system_us", system);
    report_number("rss_kb", (double)rss);
    report_number("shared_kb", (double)shared);
    if (l->w->report)
        l->w->report(l);
    report_end();
}

static void client(struct loop *l)
{
    double u0, s0, u1, s1;

    wait_for_server(l);
    l->start_ns = UINT64_MAX;
    l->end_ns = UINT64_MAX;
    client_open_all(l);
    l->start_ns = clock_ns() + (uint64_t)(l->o.warmup * 1e9);
    l->end_ns = l->start_ns + (uint64_t)(l->o.seconds * 1e9);
    cpu_us(&u0, &s0);
    run(l);
    if (!l->stop)
        exit(1); /* interrupted */
    if (l->w->client_end)
        l->w->client_end(l);
    if (l->w->client_writes) { /* what was sent counts when it has arrived: the server closes after it has
                                  read all */
        for (uint32_t i = 0; i < l->nconns; i++)
            shutdown(l->conns[i]->fd, SHUT_WR);
        for (uint32_t i = 0; i < l->nconns; i++) {
            fcntl(l->conns[i]->fd, F_SETFL, 0);
            while (recv(l->conns[i]->fd, l->buf, 1, 0) > 0)
                ;
        }
    }
    cpu_us(&u1, &s1);
    client_report(l, (double)(clock_ns() - l->start_ns) / 1e9, u1 - u0, s1 - s0);
}

/* --- options ------------------------------------------------------------------------------------------- */

static void usage(const struct workload *w)
{
    fprintf(stderr,
            "usage: %s -l [OPTIONS]     the server\n"
            "       %s [OPTIONS]        the client\n"
            "  -a ADDRESS  of the server (127.0.0.1)    -p PORT (7000)\n"
            "  -m MODE     block, epoll or spin (block)\n"
            "  -s BYTES    of a message, a send or a file (64)\n"
            "  -H BYTES    sendfile: of a header before the file (0)\n"
            "  -c N        connections (1; hold: at both ends)  -b ADDRESS  first local address\n"
            "  -n N        connections from each local address (12500)  -N N  local addresses (40)\n"
            "  -t SECONDS  measured (2)                 -w SECONDS  before that (0.2)\n",
            w->name, w->name);
    exit(2);
}

static enum how parse_how(const struct workload *w, const char *s)
{
    if (strcmp(s, "block") == 0)
        return HOW_BLOCK;
    if (strcmp(s, "epoll") == 0)
        return HOW_EPOLL;
    if (strcmp(s, "spin") != 0)
        usage(w);
    return HOW_SPIN;
}

static void parse(int argc, char **argv, const struct workload *w, struct options *o)
{
    int c;

    *o = (struct options){
        .size = 64, .conns = 1, .seconds = 2, .warmup = 0.2, .per_address = 12500, .addresses = 40};
    o->addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7000)};
    o->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    o->from.sin_family = AF_INET;
    while ((c = getopt(argc, argv, "la:p:m:s:H:c:b:n:N:t:w:")) != -1) {
        switch (c) {
        case 'l':
            o->server = true;
            break;
        case 'a':
            if (inet_pton(AF_INET, optarg, &o->addr.sin_addr) != 1)
                usage(w);
            break;
        case 'p':
            o->addr.sin_port = htons((uint16_t)atoi(optarg));
            break;
        case 'm':
            o->how = parse_how(w, optarg);
            break;
        case 's':
            o->size = strtoull(optarg, NULL, 0);
            break;
        case 'H':
            o->header = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            o->conns = (uint32_t)atoi(optarg);
            break;
        case 'b':
            if (inet_pton(AF_INET, optarg, &o->from.sin_addr) != 1)
                usage(w);
            break;
        case 'n':
            o->per_address = (uint32_t)atoi(optarg);
            break;
        case 'N':
            o->addresses = (uint32_t)atoi(optarg);
            break;
        case 't':
            o->seconds = atof(optarg);
            break;
        case 'w':
            o->warmup = atof(optarg);
            break;
        default:
            usage(w);
        }
    }
    if (optind != argc || o->size == 0 || o->conns == 0 || o->per_address == 0 || o->addresses == 0)
        usage(w);
    if (!o->server && o->how == HOW_BLOCK && o->conns > 1) {
        fprintf(stderr, "%s: mode block takes one connection\n", w->name);
        exit(2);
    }
}

int loop_main(int argc, char **argv, const struct workload *w)
{
    static struct loop l;
    struct sigaction sa = {.sa_handler = on_stop}; /* no SA_RESTART: a blocked call ends */
    struct rlimit rl;

    l.w = w;
    parse(argc, argv, w, &l.o);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    rl.rlim_cur = rl.rlim_max = 1 << 20; /* root may; others take what they have */
    if (setrlimit(RLIMIT_NOFILE, &rl) < 0 && getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    spread_plan(&l);
    l.pids = calloc(l.parts, sizeof(*l.pids));
    l.buf_len = l.o.size > 1 << 20 ? l.o.size : 1 << 20;
    l.buf = aligned_alloc(4096, (l.buf_len + 4095) & ~(size_t)4095);
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    l.listener = -1;
    if (!l.buf || !l.pids || l.ep < 0)
        die("start");
    memset(l.buf, 'x', l.buf_len);
    hist_reset(&l.hist);
    if (l.o.server)
        server(&l);
    else
        client(&l);
    return 0;
}
