/* conflict.c: which sockets may share a port: two sockets, each of a family, an address and the options
 * SO_REUSEADDR and SO_REUSEPORT, the first in a state; may the second be bound, and may it listen? */
#include "check.h"

/* An address of a family: any, loopback, another loopback; v6only or dual. */
static const struct where {
    const char *name;
    int family;
    const char *addr;
    int v6only;
} wheres[] = {
    {"0.0.0.0", AF_INET, "0.0.0.0", 0},
    {"127.0.0.1", AF_INET, "127.0.0.1", 0},
    {"127.0.0.2", AF_INET, "127.0.0.2", 0},
    {"::", AF_INET6, "::", 0},
    {":: only", AF_INET6, "::", 1},
    {"::1", AF_INET6, "::1", 0},
    {"::ffff:127.0.0.1", AF_INET6, "::ffff:127.0.0.1", 0},
};
#define WHERES ((int)(sizeof(wheres) / sizeof(wheres[0])))

enum state { BOUND, LISTENING, CONNECTED, DISSOLVED, SHUT, STATES };
static const char *const states[] = {"bound", "listening", "connected", "dissolved", "shut"};

/* reuse: bit 0 SO_REUSEADDR, bit 1 SO_REUSEPORT. -1 and errno: bind said no. */
static int bound_at(int type, const struct where *w, int reuse, uint16_t port_be)
{
    int s = socket(w->family, type, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port_be};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = port_be};
    int r;

    NEED(s >= 0);
    if (reuse & 1)
        NEED(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    if (reuse & 2)
        NEED(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
    if (w->v6only)
        NEED(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0);
    NEED(inet_pton(w->family, w->addr, w->family == AF_INET ? (void *)&a.sin_addr : (void *)&a6.sin6_addr) ==
         1);
    r = w->family == AF_INET ? bind(s, SA(a)) : bind(s, SA(a6));
    if (r < 0) {
        int e = errno;

        close(s);
        errno = e;
        return -1;
    }
    return s;
}

/* A peer for w: a listener or a bound datagram socket, and its address. */
static int peer_of(int type, const struct where *w, struct sockaddr_storage *ss, socklen_t *len)
{
    struct where at = *w;
    int l;

    if (strcmp(w->addr, "0.0.0.0") == 0)
        at.addr = "127.0.0.1";
    if (strcmp(w->addr, "::") == 0)
        at.addr = "::1";
    l = bound_at(type, &at, 0, 0);
    NEED(l >= 0);
    if (type == SOCK_STREAM)
        NEED(listen(l, 4) == 0);
    *len = sizeof(*ss);
    NEED(getsockname(l, (struct sockaddr *)ss, len) == 0);
    return l;
}

static void into_state(int type, const struct where *w, int s, enum state st, int *peer)
{
    struct sockaddr_storage ss;
    struct sockaddr u = {.sa_family = AF_UNSPEC};
    socklen_t len;

    *peer = -1;
    if (st == LISTENING && type == SOCK_STREAM)
        NEED(listen(s, 4) == 0);
    if (st < CONNECTED)
        return;
    *peer = peer_of(type, w, &ss, &len);
    NEED(connect(s, (struct sockaddr *)&ss, len) == 0);
    if (st == DISSOLVED)
        NEED(connect(s, SA(u)) == 0);
    if (st == SHUT)
        NEED(shutdown(s, SHUT_RDWR) == 0);
}

/* One letter a case: bound and listens, B bound alone, X EADDRINUSE, ? another error. */
static char second(int type, const struct where *w, int reuse, uint16_t port_be)
{
    int s = bound_at(type, w, reuse, port_be), r;

    if (s < 0)
        return errno == EADDRINUSE ? 'X' : '?';
    r = type == SOCK_STREAM ? listen(s, 1) : 0;
    r = r == 0 ? 'o' : errno == EADDRINUSE ? 'B' : '!';
    close(s);
    return (char)r;
}

static void table(int type, enum state st)
{
    for (int i = 0; i < WHERES; i++) {
        for (int reuse = 0; reuse < 4; reuse++) {
            char line[160], *p = line;
            int peer, s = bound_at(type, &wheres[i], reuse, 0);
            uint16_t port = htons(port_of(s));

            NEED(s >= 0);
            into_state(type, &wheres[i], s, st, &peer);
            for (int k = 0; k < WHERES; k++) {
                for (int re2 = 0; re2 < 4; re2++)
                    *p++ = second(type, &wheres[k], re2, port);
                *p++ = ' ';
            }
            *p = 0;
            printf("%s: %s %s, reuse %d: %s\n", check_now, states[st], wheres[i].name, reuse, line);
            close(peer);
            close(s);
        }
    }
}

CHECK(tcp_bound)
{
    table(SOCK_STREAM, BOUND);
}

CHECK(tcp_listening)
{
    table(SOCK_STREAM, LISTENING);
}

CHECK(tcp_connected)
{
    table(SOCK_STREAM, CONNECTED);
}

CHECK(tcp_dissolved)
{
    table(SOCK_STREAM, DISSOLVED);
}

CHECK(tcp_shut)
{
    table(SOCK_STREAM, SHUT);
}

CHECK(udp_bound)
{
    table(SOCK_DGRAM, BOUND);
}

CHECK(udp_connected)
{
    table(SOCK_DGRAM, CONNECTED);
}

CHECK(udp_dissolved)
{
    table(SOCK_DGRAM, DISSOLVED);
}

/* Ends of a connection that is over: the port of the side that closed first is in TIME_WAIT. */
static void after_end(int server_first)
{
    for (int reuse = 0; reuse < 4; reuse++) {
        for (int i = 0; i < 2; i++) {
            char line[64], *p = line;
            const struct where *w = &wheres[i];
            int l = bound_at(SOCK_STREAM, w, reuse, 0), c = tcp4(), s;
            uint16_t port = htons(port_of(l));
            struct sockaddr_in to = lo4(ntohs(port));

            NEED(listen(l, 4) == 0 && connect(c, SA(to)) == 0);
            s = accept(l, NULL, NULL);
            NEED(s >= 0);
            close(l);
            close(server_first ? s : c);
            NEED(settle(server_first ? c : s, POLLIN));
            close(server_first ? c : s);
            nap(3);
            for (int k = 0; k < WHERES; k++) {
                for (int re2 = 0; re2 < 4; re2++)
                    *p++ = second(SOCK_STREAM, &wheres[k], re2, port);
                *p++ = ' ';
            }
            *p = 0;
            printf("%s: listener %s, reuse %d: %s\n", check_now, w->name, reuse, line);
        }
    }
}

CHECK(time_wait_of_the_server)
{
    after_end(1);
}

CHECK(time_wait_of_the_client)
{
    after_end(0);
}

/* Connections keep the listener's port when it is closed. */
CHECK(accepted_keeps_the_port)
{
    for (int reuse = 0; reuse < 4; reuse++) {
        char line[64], *p = line;
        int l = bound_at(SOCK_STREAM, &wheres[0], reuse, 0), c = tcp4(), s;
        uint16_t port = htons(port_of(l));
        struct sockaddr_in to = lo4(ntohs(port));

        NEED(listen(l, 4) == 0 && connect(c, SA(to)) == 0);
        s = accept(l, NULL, NULL);
        close(l);
        for (int k = 0; k < WHERES; k++) {
            for (int re2 = 0; re2 < 4; re2++)
                *p++ = second(SOCK_STREAM, &wheres[k], re2, port);
            *p++ = ' ';
        }
        *p = 0;
        printf("%s: reuse %d: %s\n", check_now, reuse, line);
        close(s);
        close(c);
    }
}

/* A listener that stops and goes on, while connections of it live, or are in TIME_WAIT. */
CHECK(listening_again)
{
    for (int reuse = 0; reuse < 4; reuse++) {
        for (int end = 0; end < 2; end++) {
            int l = bound_at(SOCK_STREAM, &wheres[0], reuse, 0), c = tcp4(), s;
            struct sockaddr_in to = lo4(port_of(l));
            struct sockaddr u = {.sa_family = AF_UNSPEC};

            NEED(listen(l, 4) == 0 && connect(c, SA(to)) == 0);
            s = accept(l, NULL, NULL);
            if (end) {
                close(s);
                NEED(settle(c, POLLIN));
                close(c);
                nap(3);
            }
            R(shutdown(l, SHUT_RDWR));
            R(listen(l, 4));
            R(connect(l, SA(u)));
            R(listen(l, 4));
            close(l);
            close(s);
            close(c);
        }
    }
}

/* SO_REUSEADDR and SO_REUSEPORT changed after bind, and on who comes late. */
CHECK(options_after_bind)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_STREAM, &a), t = tcp4(), on = 1, off = 0;

    R(setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    R(bind(t, SA(a)));
    R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    R(bind(t, SA(a)));
    R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)));
    R(bind(tcp4(), SA(a)));
    R(listen(s, 1));
    R(listen(t, 1));
    s = bound4(SOCK_STREAM, &a);
    t = tcp4();
    R(setsockopt(t, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
    R(bind(t, SA(a)));
    R(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
    R(bind(t, SA(a)));
    s = bound4(SOCK_DGRAM, &a);
    t = udp4();
    R(setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    R(bind(t, SA(a)));
    R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    R(bind(t, SA(a)));
}

/* A failed bind leaves the socket as it was. */
CHECK(after_a_failed_bind)
{
    struct sockaddr_in a, b = lo4(0), c = at4(0xc0000201, 0);
    int l = listen4(&a), s = tcp4();

    V(l >= 0);
    R(bind(s, SA(a)));
    V(port_of(s));
    R(bind(s, SA(c)));
    R(bind(s, SA(b)));
    V(port_of(s) != 0);
    R(bind(s, SA(b)));
    R(listen(s, 1));
    R(bind(s, SA(b)));
}
