/* order.c: calls in every order. A sequence of calls that name, connect and end a socket, each of so many;
 * after each the result, the names and what poll says. Then the same for data between two sockets. The check
 * says what was different first: a line is a sequence. */
#include "check.h"

#include <linux/sockios.h>

#define LONGEST 3

/* --- naming --- */

enum kind { TCP, UDP, TCP6, UDP6, KINDS };

static struct sockaddr_in server; /* a listener and a datagram socket stand there */
static struct sockaddr_in6 server6;
static struct sockaddr_in dead, full; /* nobody is there; a listener that takes no more */

static void make_servers(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(server6);
    int l = listen4(&server), u = udp4(), l6 = socket(AF_INET6, SOCK_STREAM, 0),
        u6 = socket(AF_INET6, SOCK_DGRAM, 0);

    NEED(bind(u, SA(server)) == 0);
    NEED(listen(l, 4000) == 0);
    NEED(l6 >= 0 && bind(l6, SA(a)) == 0 && listen(l6, 4000) == 0);
    NEED(getsockname(l6, (struct sockaddr *)&server6, &len) == 0 && bind(u6, SA(server6)) == 0);
    NEED(dup2(l, 100) == 100 && dup2(u, 101) == 101 && dup2(l6, 102) == 102 && dup2(u6, 103) == 103);
    /* Bound, so that nobody gets the port by chance, and not listening. */
    l = bound4(SOCK_STREAM, &dead);
    NEED(dup2(l, 108) == 108);
    a.sin6_port = dead.sin_port;
    l6 = socket(AF_INET6, SOCK_STREAM, 0);
    NEED(bind(l6, SA(a)) == 0 && dup2(l6, 109) == 109);
    l = bound4(SOCK_STREAM, &full);
    a.sin6_port = full.sin_port;
    l6 = socket(AF_INET6, SOCK_STREAM, 0);
    NEED(bind(l6, SA(a)) == 0 && listen(l6, 0) == 0 && dup2(l6, 106) == 106);
    NEED(listen(l, 0) == 0 && dup2(l, 104) == 104);
    l = tcp4();
    NEED(connect(l, SA(full)) == 0 && dup2(l, 105) == 105);
    l6 = socket(AF_INET6, SOCK_STREAM, 0);
    NEED(connect(l6, SA(a)) == 0 && dup2(l6, 107) == 107);
    for (int fd = 100; fd < 104; fd++)
        NEED(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

static bool is6(enum kind k)
{
    return k >= TCP6;
}

static int bind_to(int s, enum kind k, bool any, uint16_t port)
{
    struct sockaddr_in a = at4(any ? INADDR_ANY : INADDR_LOOPBACK, port);
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (!any)
        a6.sin6_addr = in6addr_loopback;
    return is6(k) ? bind(s, SA(a6)) : bind(s, SA(a));
}

static int connect_to(int s, enum kind k)
{
    return is6(k) ? connect(s, SA(server6)) : connect(s, SA(server));
}

/* connect without waiting, to what refuses or does not answer; what comes back has a moment. */
static int nonblocking(int s, enum kind k, const struct sockaddr_in *to)
{
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = to->sin_port};
    int r, e;

    /* A stream of AF_INET6 that was IPv4's once does not get to an IPv6 peer any more on Linux. */
    NEED(inet_pton(AF_INET6, k == UDP6 ? "::ffff:127.0.0.1" : "::1", &to6.sin6_addr) == 1);
    NEED(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
    errno = 0;
    r = is6(k) ? connect(s, SA(to6)) : connect(s, SA(*to));
    e = errno;
    NEED(fcntl(s, F_SETFL, 0) == 0);
    if (r < 0 && e == EINPROGRESS && to == &dead)
        settle(s, POLLOUT);
    errno = e;
    return r;
}

static int name_op(int op, int s, enum kind k)
{
    struct sockaddr u = {.sa_family = AF_UNSPEC};

    switch (op) {
    case 0:
        return bind_to(s, k, true, 0);
    case 1:
        return bind_to(s, k, false, 0);
    case 2:
        return connect_to(s, k);
    case 3:
        return connect(s, SA(u));
    case 4:
        return listen(s, 1);
    case 5:
        return shutdown(s, SHUT_RDWR);
    case 6:
        return shutdown(s, SHUT_WR);
    case 7:
        return (int)(is6(k) ? sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(server6))
                            : sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(server)));
    case 8:
        return (int)recv(s, (char[1]){0}, 1, MSG_DONTWAIT);
    case 9:
        return so_error(s);
    default:
        return nonblocking(s, k, op == 10 ? &dead : &full);
    }
}
#define NAME_OPS  12
#define NAME_CHAR "bBculsWtredf"

/* The name in a word: * any, l loopback, m mapped loopback; then 0, = the same port as before, n a new one.
 */
static void put_name(char **out, const struct sockaddr_storage *ss, uint16_t *port)
{
    const struct sockaddr_in *in = (const void *)ss;
    const struct sockaddr_in6 *in6 = (const void *)ss;
    bool v6 = ss->ss_family == AF_INET6;
    uint16_t p = v6 ? in6->sin6_port : in->sin_port;
    bool any = v6 ? IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) : in->sin_addr.s_addr == 0;

    *out += sprintf(*out, "%c%c",
                    any                                           ? '*'
                    : v6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 'm'
                                                                  : 'l',
                    p == 0       ? '0'
                    : p == *port ? '='
                                 : 'n');
    if (p)
        *port = p;
}

static char *put_names(char *out, int s, uint16_t *port)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);

    if (getsockname(s, (struct sockaddr *)&ss, &len) == 0)
        put_name(&out, &ss, port);
    len = sizeof(ss);
    if (getpeername(s, (struct sockaddr *)&ss, &len) == 0)
        *out++ = 'p';
    return out;
}

/* One run of a sequence; true: a new port may have been the old one by chance. */
static bool name_run(enum kind k, const int *ops, int n, char *p)
{
    bool chance = false;
    uint16_t port = 0;
    int s = socket(is6(k) ? AF_INET6 : AF_INET, k == TCP || k == TCP6 ? SOCK_STREAM : SOCK_DGRAM, 0);

    NEED(s >= 0);
    set_timeo(s, SO_SNDTIMEO, 10);
    for (int i = 0; i < n; i++) {
        int r, e;

        errno = 0;
        r = name_op(ops[i], s, k);
        e = errno;
        p += sprintf(p, " %c ", NAME_CHAR[ops[i]]);
        p += r == -1 ? sprintf(p, "%s ", errname(e)) : sprintf(p, "%d ", r);
        p = put_names(p, s, &port);
        chance |= i > 0 && strchr("bBlcdft", NAME_CHAR[ops[i]]) && memchr(p - 3, '=', 3);
        p += sprintf(p, "/%x", poll_for(s, 0x23ff, 0));
    }
    close(s);
    return chance;
}

static void name_sequence(enum kind k, const int *ops, int n)
{
    char line[256], again[256];

    if (name_run(k, ops, n, line)) {
        name_run(k, ops, n, again);
        for (char *a = line, *b = again; *a && *b; a++, b++)
            if (*a == '=' && *b == 'n')
                *a = 'n';
    }
    printf("%s: %d:%s\n", check_now, (int)k, line);
}

static void drain(void)
{
    int c;

    for (int l = 100; l <= 102; l += 2)
        while ((c = accept(l, NULL, NULL)) >= 0)
            close(c);
}

/* All sequences of n calls. */
static void all_names(enum kind k, int n)
{
    int ops[LONGEST], total = 1;

    make_servers();
    for (int i = 0; i < n; i++)
        total *= NAME_OPS;
    for (int i = 0; i < total; i++) {
        for (int v = i, j = 0; j < n; j++, v /= NAME_OPS)
            ops[j] = v % NAME_OPS;
        name_sequence(k, ops, n);
        drain();
    }
}

CHECK(names_tcp)
{
    all_names(TCP, LONGEST);
}

CHECK(names_udp)
{
    all_names(UDP, LONGEST);
}

CHECK(names_tcp6)
{
    all_names(TCP6, LONGEST);
}

CHECK(names_udp6)
{
    all_names(UDP6, LONGEST);
}

/* --- data: one end's calls and the other's, in every order --- */

#define DATA_OPS  15
#define DATA_CHAR "aprk12qzRoueTwA"

/* 0 and up: the result; -1: errno; -2: the peer is gone, nothing was done. */
static long data_op(int op, int s, int *peer)
{
    char b[4];
    struct linger lg = {1, 0};
    int v = -1;

    if (strchr("pqzRoT", DATA_CHAR[op]) && *peer < 0)
        return -2;
    switch (DATA_CHAR[op]) {
    case 'a':
        return send(s, "ab", 2, MSG_NOSIGNAL | MSG_DONTWAIT);
    case 'p':
        return send(*peer, "xy", 2, MSG_NOSIGNAL | MSG_DONTWAIT);
    case 'r':
        return recv(s, b, sizeof(b), MSG_DONTWAIT);
    case 'k':
        return recv(s, b, 1, MSG_DONTWAIT | MSG_PEEK);
    case '1':
        return shutdown(s, SHUT_RD);
    case '2':
        return shutdown(s, SHUT_WR);
    case 'q':
        return shutdown(*peer, SHUT_WR);
    case 'R':
        NEED(setsockopt(*peer, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0); /* fall through */
    case 'z':
        v = close(*peer);
        *peer = -1;
        return v;
    case 'o':
        return send(*peer, "!", 1, MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT);
    case 'u':
        return recv(s, b, 1, MSG_OOB | MSG_DONTWAIT);
    case 'e':
        return so_error(s);
    case 'T':
        return recv(*peer, b, sizeof(b), MSG_DONTWAIT);
    case 'w':
        return ioctl(s, FIONREAD, &v) < 0 ? -1 : v;
    default:
        return ioctl(s, SIOCATMARK, &v) < 0 ? -1 : v;
    }
}

static void data_sequence(const int *ops, int n)
{
    char line[256], *p = line;
    int sv[2];

    tcp_pair(sv);
    for (int i = 0; i < n; i++) {
        long r;
        int e;

        errno = 0;
        r = data_op(ops[i], sv[0], &sv[1]);
        e = errno;
        nap(1);
        p += sprintf(p, " %c ", DATA_CHAR[ops[i]]);
        p += r == -1 ? sprintf(p, "%s ", errname(e)) : sprintf(p, "%ld ", r);
        p += sprintf(p, "/%x", poll_for(sv[0], 0x23ff, 0));
    }
    printf("%s:%s\n", check_now, line);
    close(sv[0]);
    if (sv[1] >= 0)
        close(sv[1]);
}

static void all_data(int n)
{
    int ops[LONGEST + 2], total = 1;

    for (int i = 0; i < n; i++)
        total *= DATA_OPS;
    for (int i = 0; i < total; i++) {
        for (int v = i, j = 0; j < n; j++, v /= DATA_OPS)
            ops[j] = v % DATA_OPS;
        data_sequence(ops, n);
    }
}

CHECK(data)
{
    all_data(2);
}
