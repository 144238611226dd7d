/* check.h: the frame of the behaviour tests in tests/preload.
 *
 * Theory of operation. A test program holds no expected values. It calls the sockets API and prints what came
 * back, one line a result, in a form that does not depend on port numbers, process ids or buffer sizes. The
 * runner (tests/preload/run) runs the same binary on the kernel, which is the oracle, and then under shunt in
 * profile `isolate`, and compares the two outputs: any difference is a failure.
 *
 * A program is a number of checks, CHECK(name) { ... }, which run in the order of the source in one process.
 * Before and after each: descriptors 3 and up are closed, children reaped, signal dispositions and the mask
 * are the default (SIGPIPE ignored). A check that takes longer than CHECK_LIMIT_S is killed by a timer,
 * together with its children; the runner notes that and goes on with the next check. Hence:
 *
 *     program            runs all checks
 *     program --list     their names
 *     program NAME...    runs these
 *
 * Nothing here may depend on how fast a peer's packet arrives: where the kernel's loopback happens to be
 * synchronous and another stack need not be, the check first waits with settle().
 */
#ifndef SHUNT_CHECK_H
#define SHUNT_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_LIMIT_S 4
#define CHECK_MAX_FD  256 /* descriptors that a check may use */
#define SETTLE_MS     1000
#define QUIET_MS      25 /* how long "nothing comes" is waited for */

/* --- the table of checks ------------------------------------------------------------------------------- */

struct check {
    const char *name;
    void (*fn)(void);
    int line;
};

extern const struct check __start_checks[], __stop_checks[];
static const char *check_now = "";

#define CHECK(id)                                                                                            \
    static void check_fn_##id(void);                                                                         \
    static const struct check check_entry_##id                                                               \
        __attribute__((used, section("checks"), aligned(8))) = {#id, check_fn_##id, __LINE__};               \
    static void check_fn_##id(void)

/* --- printing ------------------------------------------------------------------------------------------ */

/* "check: WHAT = VALUE" */
__attribute__((format(printf, 2, 3), unused)) static void show(const char *what, const char *fmt, ...)
{
    va_list ap;

    printf("%s: %s = ", check_now, what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

__attribute__((unused)) static const char *errname(int e)
{
    const char *n = strerrorname_np(e);

    return e == 0 ? "0" : n ? n : "E?";
}

static inline long check_rc(const char *what, long rc)
{
    int e = errno;

    if (rc == -1)
        show(what, "-1 %s", errname(e));
    else
        show(what, "%ld", rc);
    errno = e;
    return rc;
}

/* "check: WHO: WHAT = RC": one call on one of many sockets. */
__attribute__((unused)) static void show_call(const char *who, const char *what, long rc)
{
    int e = errno;

    if (rc == -1)
        printf("%s: %s: %s = %s\n", check_now, who, what, errname(e));
    else
        printf("%s: %s: %s = %ld\n", check_now, who, what, rc);
}

static inline int check_fd(const char *what, int fd)
{
    int e = errno;

    show(what, "%s", fd >= 0 ? "a descriptor" : errname(e));
    errno = e;
    return fd;
}

/* Calls, prints the call's text with its result and errno, and yields the result. */
#define R(expr)                                                                                              \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        check_rc(#expr, (long)(expr));                                                                       \
    })
/* The same for a call whose result is a descriptor that is not compared by number. */
#define FD(expr)                                                                                             \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        check_fd(#expr, (expr));                                                                             \
    })
/* Prints a value or a condition. */
#define V(expr) show(#expr, "%ld", (long)(expr))
/* Prints n bytes of text, as they are when printable. */
#define TEXT(buf, n) check_text(#buf, buf, (long)(n))

__attribute__((unused)) static void check_text(const char *what, const void *buf, long n)
{
    const unsigned char *p = buf;

    printf("%s: %s = \"", check_now, what);
    for (long i = 0; i < n; i++)
        printf(p[i] >= ' ' && p[i] < 127 ? "%c" : "\\%02x", p[i]);
    printf("\"\n");
}

/* Prints poll(2) or epoll(7) bits by name; those that both have in common have equal values on Linux. */
__attribute__((unused)) static void show_events(const char *what, unsigned ev)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},         {POLLPRI, "PRI"},       {POLLOUT, "OUT"},
                 {POLLERR, "ERR"},       {POLLHUP, "HUP"},       {POLLNVAL, "NVAL"},
                 {POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"}, {POLLWRNORM, "WRNORM"},
                 {POLLWRBAND, "WRBAND"}, {POLLRDHUP, "RDHUP"}};
    bool any = false;

    printf("%s: %s =", check_now, what);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ev & names[i].bit) {
            printf(" %s", names[i].name);
            any = true;
        }
    }
    printf("%s\n", any ? "" : " none");
}
#define EV(expr) show_events(#expr, (unsigned)(expr))

/* A step that the check stands on and that is not its subject; ends the check's process with a message when
 * it fails. */
#define NEED(cond)                                                                                           \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            int need_e = errno;                                                                              \
            show("NEED " #cond, "failed, errno %s", errname(need_e));                                        \
            fflush(stdout);                                                                                  \
            _exit(99);                                                                                       \
        }                                                                                                    \
    } while (0)

/* --- time ---------------------------------------------------------------------------------------------- */

static inline long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void nap(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* Prints whether what began at start took at least want_ms (the kernel's ticks allow 2 less) and not many
 * times as long. */
__attribute__((unused)) static void took(const char *what, long start, long want_ms)
{
    long d = now_ms() - start;

    show(what, "%s", d < want_ms - 2 ? "too short" : d > want_ms + 800 ? "too long" : "as long as asked");
}

/* --- sockets ------------------------------------------------------------------------------------------- */

#define SA(x) ((struct sockaddr *)&(x)), sizeof(x)

static inline struct sockaddr_in at4(uint32_t addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(addr)}};

    return a;
}

static inline struct sockaddr_in lo4(uint16_t port)
{
    return at4(INADDR_LOOPBACK, port);
}

static inline uint16_t port_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                          : ((struct sockaddr_in *)&ss)->sin_port);
}

static inline int tcp4(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);

    NEED(s >= 0);
    return s;
}

static inline int udp4(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    NEED(s >= 0);
    return s;
}

/* A socket of type bound to 127.0.0.1, port 0; its address goes to *a. */
static inline int bound4(int type, struct sockaddr_in *a)
{
    int s = socket(AF_INET, type, 0);

    *a = lo4(0);
    NEED(s >= 0);
    NEED(bind(s, SA(*a)) == 0);
    a->sin_port = htons(port_of(s));
    NEED(a->sin_port != 0);
    return s;
}

static inline int listen4(struct sockaddr_in *a)
{
    int s = bound4(SOCK_STREAM, a);

    NEED(listen(s, 16) == 0);
    return s;
}

/* A connected TCP pair: sv[0] the side that connected, sv[1] the side that accepted. */
static inline void tcp_pair(int sv[2])
{
    struct sockaddr_in a;
    int l = listen4(&a);

    sv[0] = tcp4();
    NEED(connect(sv[0], SA(a)) == 0);
    sv[1] = accept(l, NULL, NULL);
    NEED(sv[1] >= 0);
    NEED(close(l) == 0);
}

/* The same with both ends non-blocking. */
static inline void tcp_pair_nb(int sv[2])
{
    tcp_pair(sv);
    NEED(fcntl(sv[0], F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    NEED(fcntl(sv[1], F_SETFL, O_RDWR | O_NONBLOCK) == 0);
}

/* Two UDP sockets connected to each other. */
static inline void udp_pair(int sv[2])
{
    struct sockaddr_in a, b;

    sv[0] = bound4(SOCK_DGRAM, &a);
    sv[1] = bound4(SOCK_DGRAM, &b);
    NEED(connect(sv[0], SA(b)) == 0);
    NEED(connect(sv[1], SA(a)) == 0);
}

/* A descriptor over a Unix socket by SCM_RIGHTS: sends it; receives one, or -1. */
static inline int pass_fd(int through, int fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec v = {"f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    c.h.cmsg_level = SOL_SOCKET;
    c.h.cmsg_type = SCM_RIGHTS;
    c.h.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
    return (int)sendmsg(through, &m, 0);
}

static inline int take_fd(int through)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    char b;
    int fd = -1;
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    if (recvmsg(through, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

static inline unsigned poll_for(int fd, short events, int ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, ms);

    return n > 0 ? (unsigned)p.revents : 0;
}

/* Waits until fd shows one of events (or ERR or HUP); false when that did not come. */
static inline bool settle(int fd, short events)
{
    return poll_for(fd, events, SETTLE_MS) != 0;
}

/* Waits until at least n bytes can be read from a TCP socket. */
static inline bool settle_bytes(int fd, int n)
{
    long end = now_ms() + SETTLE_MS;
    int have = 0;

    while (ioctl(fd, FIONREAD, &have) == 0 && have < n && now_ms() < end) {
        poll_for(fd, POLLPRI, 1);
    }
    return have >= n;
}

/* Waits until everything that fd sent has been acknowledged. */
static inline bool settle_sent(int fd)
{
    long end = now_ms() + SETTLE_MS;
    int left = 1;

    while (ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0 && now_ms() < end)
        nap(1);
    return left == 0;
}

/* SO_ERROR, which it clears. */
static inline int so_error(int fd)
{
    int e = -1;
    socklen_t len = sizeof(e);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -1 : e;
}
#define SOERR(fd) show("SO_ERROR of " #fd, "%s", errname(so_error(fd)))

static inline void set_timeo(int fd, int name, long ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    NEED(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)) == 0);
}

/* Fills a stream until it takes nothing more; bytes written. */
static inline long fill(int fd)
{
    static char block[65536];
    long total = 0;

    for (int quiet = 0; quiet < 8;) { /* data may still be moving over to the peer's buffer */
        ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            total += n;
            quiet = 0;
        } else {
            quiet++;
            nap(8);
        }
    }
    return total;
}

/* Reads exactly n bytes or until end of stream or error; bytes read. */
static inline long read_all(int fd, void *buf, long n)
{
    long got = 0;

    while (got < n) {
        ssize_t r = recv(fd, (char *)buf + got, (size_t)(n - got), 0);

        if (r <= 0)
            break;
        got += r;
    }
    return got;
}

/* --- processes and signals ----------------------------------------------------------------------------- */

/* fork whose child dies with the parent (a killed check leaves nothing behind). */
static inline pid_t fork_tied(void)
{
    pid_t parent = getpid(), p;

    fflush(stdout);
    p = fork();
    NEED(p >= 0);
    if (p == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(98);
    }
    return p;
}

/* Exit status of a child; 1000 + signal when it was killed. */
static inline int child_status(pid_t p)
{
    int st = 0;

    while (waitpid(p, &st, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

static volatile sig_atomic_t check_signals;

static inline void check_on_signal(int sig)
{
    (void)sig;
    check_signals++;
}

/* Counts sig in check_signals; flags as SA_RESTART. */
static inline void on_signal(int sig, int flags)
{
    struct sigaction sa = {.sa_handler = check_on_signal, .sa_flags = flags};

    sigemptyset(&sa.sa_mask);
    check_signals = 0;
    NEED(sigaction(sig, &sa, NULL) == 0);
}

/* SIGALRM after first_ms and then every period_ms (0: once). */
static inline void alarm_ms(long first_ms, long period_ms)
{
    struct itimerval it = {{period_ms / 1000, period_ms % 1000 * 1000},
                           {first_ms / 1000, first_ms % 1000 * 1000}};

    NEED(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

/* --- main ---------------------------------------------------------------------------------------------- */

static void check_reset(void)
{
    sigset_t none;

    alarm_ms(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < 32; sig++)
        signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
    for (int fd = 3; fd < CHECK_MAX_FD; fd++)
        close(fd);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static int check_by_line(const void *a, const void *b)
{
    return ((const struct check *)a)->line - ((const struct check *)b)->line;
}

static void check_run(const struct check *c, timer_t limit)
{
    struct itimerspec its = {{0, 0}, {CHECK_LIMIT_S, 0}};

    check_now = c->name;
    check_reset();
    timer_settime(limit, 0, &its, NULL);
    printf("#begin %s\n", c->name);
    c->fn();
    printf("#end %s\n", c->name);
}

int main(int argc, char **argv)
{
    size_t n = (size_t)(__stop_checks - __start_checks);
    struct check *all = malloc(n * sizeof(*all));
    struct sigevent se = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    timer_t limit;

    setvbuf(stdout, NULL, _IOLBF, 0);
    NEED(all && timer_create(CLOCK_MONOTONIC, &se, &limit) == 0);
    memcpy(all, __start_checks, n * sizeof(*all));
    qsort(all, n, sizeof(*all), check_by_line);
    for (size_t i = 0; i < n; i++) {
        bool wanted = argc < 2;

        for (int k = 1; k < argc; k++)
            wanted |= strcmp(argv[k], all[i].name) == 0;
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
            puts(all[i].name);
        else if (wanted)
            check_run(&all[i], limit);
    }
    check_reset();
    free(all);
    return 0;
}

#endif
