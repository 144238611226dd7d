/* traffic: one server and its clients for what the system tests can't ask of ready-made programs: many
 * connections held at once, connections opened and closed in sequence, and long transfers of which every byte
 * is checked at both ends.
 *
 *   traffic serve ADDR PORT             serves until SIGTERM
 *   traffic get ADDR PORT BYTES         takes BYTES from the server and checks them
 *   traffic put ADDR PORT BYTES         sends BYTES to the server, which checks them
 *   traffic hold ADDR PORT N [SECONDS]  opens N connections, sends a byte over each and gets it back, twice,
 * closes all traffic churn ADDR PORT N           N times: connect, a byte there and back, close
 *
 * Theory of operation. A client begins with a request of 16 bytes: the verb (8 bytes, host order) and the
 * number of bytes. The byte at offset i of a transfer is pattern(i), so neither end has to hold the data, and
 * a byte lost, doubled or moved shows where it happened. After a put the server answers with one byte, 1 when
 * all was right. The server is one thread on one epoll set with non-blocking sockets; clients block, with a
 * time-out of 30 s on every call.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

enum verb { VERB_ECHO = 1, VERB_GET, VERB_PUT };

struct request {
    uint64_t verb, bytes;
};

/* One connection of the server. */
struct conn {
    int fd;
    bool wants_out;
    struct request req;
    size_t req_len;   /* bytes of req that have come */
    uint64_t done;    /* bytes of the transfer so far */
    uint8_t answer;   /* put: what to say at the end */
    uint8_t *pending; /* echo: a byte that could not be sent back yet */
    uint8_t held;
};

static uint8_t buf[CHUNK];

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("traffic: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* Words of a mixed counter, so that no shift or repetition of the stream looks like the stream. */
static uint64_t pattern_word(uint64_t i)
{
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i ^= i >> 29;
    return i * 0xbf58476d1ce4e5b9u;
}

static void pattern_fill(uint8_t *p, uint64_t off, size_t n)
{
    size_t i = 0;

    for (; i < n && (off + i) % 8; i++)
        p[i] = (uint8_t)(pattern_word((off + i) / 8) >> (off + i) % 8 * 8);
    for (; i + 8 <= n; i += 8) {
        uint64_t w = pattern_word((off + i) / 8);

        memcpy(p + i, &w, 8);
    }
    for (; i < n; i++)
        p[i] = (uint8_t)(pattern_word((off + i) / 8) >> (off + i) % 8 * 8);
}

/* Offset of the first byte that differs from the pattern, or n. */
static size_t pattern_check(const uint8_t *p, uint64_t off, size_t n)
{
    static uint8_t want[CHUNK];
    size_t i = 0;

    pattern_fill(want, off, n);
    if (memcmp(p, want, n) == 0)
        return n;
    while (p[i] == want[i])
        i++;
    return i;
}

static struct sockaddr_in address(char **argv)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};

    if (inet_pton(AF_INET, argv[0], &sa.sin_addr) != 1)
        die("%s is no address", argv[0]);
    return sa;
}

/* --- server --- */

static void serve_close(int ep, struct conn *c)
{
    epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
}

static void serve_want(int ep, struct conn *c, bool out)
{
    struct epoll_event ev = {.events = out ? EPOLLOUT : EPOLLIN, .data.ptr = c};

    if (c->wants_out != out && epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        die("epoll_ctl: %m");
    c->wants_out = out;
}

/* Steps return true when there may be more to do, false when the connection has to wait or was closed
 * (*closed). */
static bool serve_request(struct conn *c, bool *closed)
{
    ssize_t n = read(c->fd, (uint8_t *)&c->req + c->req_len, sizeof(c->req) - c->req_len);

    if (n <= 0) {
        *closed = n == 0 || errno != EAGAIN;
        return false;
    }
    c->req_len += (size_t)n;
    c->answer = 1;
    return true;
}

static bool serve_echo(int ep, struct conn *c, bool *closed)
{
    ssize_t n = c->pending ? 1 : read(c->fd, &c->held, 1);

    if (n == 1) {
        n = write(c->fd, &c->held, 1);
        c->pending = n == 1 ? NULL : &c->held;
        if (n == 1) {
            serve_want(ep, c, false);
            return true;
        }
        if (errno == EAGAIN)
            serve_want(ep, c, true);
    }
    *closed = n == 0 || errno != EAGAIN;
    return false;
}

static bool serve_get(int ep, struct conn *c, bool *closed)
{
    uint64_t left = c->req.bytes - c->done;
    size_t n = left < CHUNK ? (size_t)left : CHUNK;
    ssize_t r;

    if (left == 0) {
        *closed = true;
        return false;
    }
    pattern_fill(buf, c->done, n);
    r = write(c->fd, buf, n);
    if (r < 0) {
        *closed = errno != EAGAIN;
        if (!*closed)
            serve_want(ep, c, true);
        return false;
    }
    c->done += (uint64_t)r;
    return true;
}

static bool serve_put(struct conn *c, bool *closed)
{
    uint64_t left = c->req.bytes - c->done;
    size_t n = left < CHUNK ? (size_t)left : CHUNK, good;
    ssize_t r;

    if (left == 0) {
        /* One byte into an empty send buffer always fits; a client that is gone misses nothing. */
        if (write(c->fd, &c->answer, 1) != 1)
            fprintf(stderr, "traffic: answer: %m\n");
        *closed = true;
        return false;
    }
    r = read(c->fd, buf, n);
    if (r <= 0) {
        *closed = r == 0 || errno != EAGAIN;
        return false;
    }
    good = pattern_check(buf, c->done, (size_t)r);
    if (good < (size_t)r && c->answer) {
        fprintf(stderr, "traffic: byte %llu is wrong\n", (unsigned long long)(c->done + good));
        c->answer = 0;
    }
    c->done += (uint64_t)r;
    /* The answer belongs to the last byte: no event would come for it if the steps ended here. */
    return c->done < c->req.bytes || serve_put(c, closed);
}

static void serve_conn(int ep, struct conn *c)
{
    bool closed = false, more = true;
    int steps = 64; /* others are waiting */

    while (more && steps-- > 0) {
        if (c->req_len < sizeof(c->req))
            more = serve_request(c, &closed);
        else if (c->req.verb == VERB_ECHO)
            more = serve_echo(ep, c, &closed);
        else if (c->req.verb == VERB_GET)
            more = serve_get(ep, c, &closed);
        else if (c->req.verb == VERB_PUT)
            more = serve_put(c, &closed);
        else
            closed = true, more = false;
    }
    if (closed)
        serve_close(ep, c);
    else if (more && c->req.verb == VERB_GET)
        serve_want(ep, c, true); /* input will not come: go on when there is room */
}

static void serve_accept(int ep, int lfd)
{
    int fd;

    while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

        if (!c)
            die("no memory");
        c->fd = fd;
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl: %m");
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept: %m");
}

static int serve(char **argv)
{
    struct sockaddr_in sa = address(argv);
    struct epoll_event ev[64] = {{.events = EPOLLIN}};
    int lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), one = 1;

    if (lfd < 0 || ep < 0 || setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(lfd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(lfd, 4096) < 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, lfd, ev) < 0)
        die("can't listen on %s port %s: %m", argv[0], argv[1]);
    for (;;) {
        int n = epoll_wait(ep, ev, 64, -1);

        if (n < 0 && errno != EINTR)
            die("epoll_wait: %m");
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr)
                serve_conn(ep, ev[i].data.ptr);
            else
                serve_accept(ep, lfd);
        }
    }
}

/* --- clients --- */

static int open_conn(const struct sockaddr_in *sa, uint64_t verb, uint64_t bytes)
{
    struct timeval patience = {.tv_sec = 30};
    struct request req = {verb, bytes};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        die("socket: %m");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
        die("connect: %m");
    if (write(fd, &req, sizeof(req)) != sizeof(req))
        die("request: %m");
    return fd;
}

static void report(const char *what, uint64_t n, const struct timespec *t0)
{
    struct timespec t1;
    double s;

    clock_gettime(CLOCK_MONOTONIC, &t1);
    s = (double)(t1.tv_sec - t0->tv_sec) + (double)(t1.tv_nsec - t0->tv_nsec) / 1e9;
    printf("%llu %s in %.2f s, %.0f a second\n", (unsigned long long)n, what, s, (double)n / s);
}

static int get(char **argv)
{
    struct sockaddr_in sa = address(argv);
    uint64_t bytes = strtoull(argv[2], NULL, 0), off = 0;
    int fd = open_conn(&sa, VERB_GET, bytes);
    struct timespec t0;
    ssize_t n;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    while ((n = read(fd, buf, CHUNK)) > 0) {
        size_t good = pattern_check(buf, off, (size_t)n);

        if (good < (size_t)n)
            die("byte %llu is wrong", (unsigned long long)(off + good));
        off += (uint64_t)n;
    }
    if (n < 0)
        die("read after %llu bytes: %m", (unsigned long long)off);
    if (off != bytes)
        die("%llu bytes instead of %llu", (unsigned long long)off, (unsigned long long)bytes);
    report("bytes", bytes, &t0);
    return 0;
}

static int put(char **argv)
{
    struct sockaddr_in sa = address(argv);
    uint64_t bytes = strtoull(argv[2], NULL, 0), off = 0;
    int fd = open_conn(&sa, VERB_PUT, bytes);
    uint8_t answer = 0;
    struct timespec t0;
    ssize_t n;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    while (off < bytes) {
        size_t len = bytes - off < CHUNK ? (size_t)(bytes - off) : CHUNK;

        pattern_fill(buf, off, len);
        n = write(fd, buf, len);
        if (n < 0)
            die("write after %llu bytes: %m", (unsigned long long)off);
        off += (uint64_t)n;
    }
    if ((n = read(fd, &answer, 1)) != 1)
        die("no answer after %llu bytes: %s", (unsigned long long)off, n < 0 ? strerror(errno) : "closed");
    if (!answer)
        die("the server got other bytes");
    report("bytes", bytes, &t0);
    return 0;
}

static void echo(int fd, uint8_t b)
{
    uint8_t back;
    ssize_t n;

    if (write(fd, &b, 1) != 1)
        die("write: %m");
    n = read(fd, &back, 1);
    if (n != 1)
        die("read: %s", n < 0 ? strerror(errno) : "closed");
    if (back != b)
        die("%u came back as %u", b, back);
}

static int hold(char **argv)
{
    struct sockaddr_in sa = address(argv);
    unsigned n = (unsigned)atoi(argv[2]);
    int *fd = calloc(n, sizeof(*fd));
    struct timespec t0;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (unsigned i = 0; i < n; i++) {
        fd[i] = open_conn(&sa, VERB_ECHO, 0);
        echo(fd[i], (uint8_t)i);
    }
    report("connections opened", n, &t0);
    fflush(stdout);
    if (argv[3])
        sleep((unsigned)atoi(argv[3]));
    for (unsigned i = 0; i < n; i++)
        echo(fd[n - 1 - i], (uint8_t)(i + 1));
    for (unsigned i = 0; i < n; i++)
        close(fd[i]);
    return 0;
}

static int churn(char **argv)
{
    struct sockaddr_in sa = address(argv);
    unsigned n = (unsigned)atoi(argv[2]);
    struct timespec t0;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (unsigned i = 0; i < n; i++) {
        /* Most are closed with a reset, so that the client's ports don't run out in TIME_WAIT. */
        struct linger hard = {.l_onoff = 1};
        int fd = open_conn(&sa, VERB_ECHO, 0);

        echo(fd, (uint8_t)i);
        if (i % 16)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
    }
    report("connections opened and closed", n, &t0);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **argv);
    } verbs[] = {
        {"serve", 2, serve}, {"get", 3, get}, {"put", 3, put}, {"hold", 3, hold}, {"churn", 3, churn}};
    struct rlimit files;

    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (argc >= 2 && strcmp(argv[1], verbs[i].name) == 0 && argc >= 2 + verbs[i].args)
            return verbs[i].run(argv + 2);
    fputs("usage: traffic serve ADDR PORT | get|put ADDR PORT BYTES | hold ADDR PORT N [SECONDS] | churn "
          "ADDR PORT N\n",
          stderr);
    return 2;
}
