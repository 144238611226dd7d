/* states.c: every call in every state of a socket. A row is a socket brought into a state afresh; a column is
 * one call on it. */
#include "check.h"

#include <linux/sockios.h>
#include <sys/sendfile.h>

#define PEERS 8

static int other[PEERS], nother; /* what a state needs beside its socket: stays open until the next one */

static int keep(int fd)
{
    NEED(fd >= 0 && nother < PEERS);
    other[nother++] = fd;
    return fd;
}

static void drop_all(void)
{
    while (nother > 0)
        close(other[--nother]);
}

/* --- states --- */

static int fresh_tcp(void)
{
    return tcp4();
}

static int bound_tcp(void)
{
    struct sockaddr_in a;

    return bound4(SOCK_STREAM, &a);
}

static int listening(void)
{
    struct sockaddr_in a;

    return listen4(&a);
}

static int was_listening(void)
{
    int s = listening();

    NEED(shutdown(s, SHUT_RDWR) == 0);
    return s;
}

static int dissolved_listener(void)
{
    int s = listening();
    struct sockaddr u = {.sa_family = AF_UNSPEC};

    NEED(connect(s, SA(u)) == 0);
    return s;
}

/* A listener whose queue is full drops SYNs. */
static int connecting(void)
{
    struct sockaddr_in a;
    int l = keep(bound4(SOCK_STREAM, &a)), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    NEED(listen(l, 0) == 0);
    NEED(connect(keep(tcp4()), SA(a)) == 0);
    NEED(s >= 0 && connect(s, SA(a)) < 0 && errno == EINPROGRESS);
    return s;
}

static int refused(void)
{
    struct sockaddr_in a;
    int s = tcp4(), l = bound4(SOCK_STREAM, &a);

    close(l);
    NEED(connect(s, SA(a)) < 0 && errno == ECONNREFUSED);
    return s;
}

static int refused_pending(void)
{
    struct sockaddr_in a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), l = bound4(SOCK_STREAM, &a);

    close(l);
    NEED(connect(s, SA(a)) < 0 && errno == EINPROGRESS);
    NEED(settle(s, POLLOUT));
    return s;
}

static int connected(void)
{
    int sv[2];

    tcp_pair(sv);
    keep(sv[1]);
    return sv[0];
}

static int accepted(void)
{
    int sv[2];

    tcp_pair(sv);
    keep(sv[0]);
    return sv[1];
}

static int with_data(void)
{
    int s = connected();

    NEED(send(other[0], "abcdef", 6, 0) == 6 && settle_bytes(s, 6));
    return s;
}

static int shut_wr(void)
{
    int s = connected();

    NEED(shutdown(s, SHUT_WR) == 0 && settle(other[0], POLLIN));
    nap(2);
    return s;
}

static int shut_rd(void)
{
    int s = connected();

    NEED(shutdown(s, SHUT_RD) == 0);
    return s;
}

static int shut_both(void)
{
    int s = connected();

    NEED(shutdown(s, SHUT_RDWR) == 0 && settle(other[0], POLLIN));
    nap(2);
    return s;
}

static int peer_shut_wr(void)
{
    int s = connected();

    NEED(shutdown(other[0], SHUT_WR) == 0 && settle(s, POLLIN));
    return s;
}

static int peer_shut_wr_data(void)
{
    int s = with_data();

    NEED(shutdown(other[0], SHUT_WR) == 0 && settle(s, POLLRDHUP));
    return s;
}

static int last_ack_done(void)
{
    int s = peer_shut_wr();

    NEED(shutdown(s, SHUT_WR) == 0);
    nap(3);
    return s;
}

static int time_wait(void)
{
    int s = shut_wr();

    close(other[--nother]);
    NEED(settle(s, POLLIN));
    nap(3);
    return s;
}

static void reset_by(int peer)
{
    struct linger lg = {1, 0};

    NEED(setsockopt(peer, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
    close(peer);
}

static int was_reset(void)
{
    int s = connected();

    reset_by(other[--nother]);
    NEED(settle(s, POLLHUP));
    return s;
}

static int reset_with_data(void)
{
    int s = with_data();

    reset_by(other[--nother]);
    NEED(settle(s, POLLHUP));
    return s;
}

static int reset_known(void)
{
    int s = was_reset();

    so_error(s);
    return s;
}

static int broken(void)
{
    int s = was_reset();

    NEED(send(s, "x", 1, MSG_NOSIGNAL) < 0);
    return s;
}

static int self_connected(void)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_STREAM, &a);

    NEED(connect(s, SA(a)) == 0);
    return s;
}

static int dissolved(void)
{
    int s = connected();
    struct sockaddr u = {.sa_family = AF_UNSPEC};

    NEED(connect(s, SA(u)) == 0);
    return s;
}

static int fresh_udp(void)
{
    return udp4();
}

static int bound_udp(void)
{
    struct sockaddr_in a;

    return bound4(SOCK_DGRAM, &a);
}

static int connected_udp(void)
{
    int sv[2];

    udp_pair(sv);
    keep(sv[1]);
    return sv[0];
}

static int udp_with_data(void)
{
    int s = connected_udp();

    NEED(send(other[0], "abcdef", 6, 0) == 6 && settle(s, POLLIN));
    return s;
}

static int udp_refused(void)
{
    int s = connected_udp();

    close(other[--nother]);
    NEED(send(s, "x", 1, 0) == 1 && settle(s, POLLERR));
    return s;
}

static int udp_shut(int how)
{
    int s = connected_udp();

    NEED(shutdown(s, how) == 0);
    return s;
}

static int udp_shut_rd(void)
{
    return udp_shut(SHUT_RD);
}

static int udp_shut_wr(void)
{
    return udp_shut(SHUT_WR);
}

static int udp_shut_both(void)
{
    return udp_shut(SHUT_RDWR);
}

static int udp_dissolved(void)
{
    int s = connected_udp();
    struct sockaddr u = {.sa_family = AF_UNSPEC};

    NEED(connect(s, SA(u)) == 0);
    return s;
}

static int raw(void)
{
    int s = socket(AF_INET, SOCK_RAW, 253);

    NEED(s >= 0);
    return s;
}

static int fresh_tcp6(void)
{
    int s = socket(AF_INET6, SOCK_STREAM, 0);

    NEED(s >= 0);
    return s;
}

static int fresh_udp6(void)
{
    int s = socket(AF_INET6, SOCK_DGRAM, 0);

    NEED(s >= 0);
    return s;
}

static int connected_udp6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(a);
    int s = fresh_udp6(), t = keep(fresh_udp6());

    NEED(bind(t, SA(a)) == 0 && getsockname(t, (struct sockaddr *)&a, &len) == 0);
    NEED(connect(s, SA(a)) == 0);
    return s;
}

static int udp6_to_v4(void)
{
    struct sockaddr_in a;
    int s = fresh_udp6();

    keep(bound4(SOCK_DGRAM, &a));
    NEED(connect(s, SA(a)) == 0);
    return s;
}

static int connected_tcp6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(a);
    int s = fresh_tcp6(), l = keep(fresh_tcp6());

    NEED(bind(l, SA(a)) == 0 && listen(l, 1) == 0 && getsockname(l, (struct sockaddr *)&a, &len) == 0);
    NEED(connect(s, SA(a)) == 0);
    return s;
}

static int tcp6_by_v4(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    struct sockaddr_in to;
    int l = keep(fresh_tcp6()), s = tcp4(), c;

    NEED(bind(l, SA(a)) == 0 && listen(l, 1) == 0);
    to = lo4(port_of(l));
    NEED(connect(keep(s), SA(to)) == 0);
    c = accept(l, NULL, NULL);
    NEED(c >= 0);
    return c;
}

static int listening6(void)
{
    int s = fresh_tcp6();

    NEED(listen(s, 1) == 0);
    return s;
}

static int raw6(void)
{
    int s = socket(AF_INET6, SOCK_RAW, 253);

    NEED(s >= 0);
    return s;
}

static int connected_raw(void)
{
    struct sockaddr_in a = lo4(0);
    int s = raw();

    NEED(connect(s, SA(a)) == 0);
    return s;
}

static int ping_socket(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

    NEED(s >= 0);
    return s;
}

static const struct state {
    const char *name;
    int (*make)(void);
} states[] = {
#define S(f)                                                                                                 \
    {                                                                                                        \
#f, f                                                                                                \
    }
    S(fresh_tcp),
    S(bound_tcp),
    S(listening),
    S(was_listening),
    S(dissolved_listener),
    S(connecting),
    S(refused),
    S(refused_pending),
    S(connected),
    S(accepted),
    S(with_data),
    S(shut_wr),
    S(shut_rd),
    S(shut_both),
    S(peer_shut_wr),
    S(peer_shut_wr_data),
    S(last_ack_done),
    S(time_wait),
    S(was_reset),
    S(reset_with_data),
    S(reset_known),
    S(broken),
    S(self_connected),
    S(dissolved),
    S(fresh_udp),
    S(bound_udp),
    S(connected_udp),
    S(udp_with_data),
    S(udp_refused),
    S(udp_shut_rd),
    S(udp_shut_wr),
    S(udp_shut_both),
    S(udp_dissolved),
    S(raw),
    S(fresh_tcp6),
    S(fresh_udp6),
    S(connected_udp6),
    S(udp6_to_v4),
    S(connected_tcp6),
    S(tcp6_by_v4),
    S(listening6),
    S(raw6),
    S(connected_raw),
    S(ping_socket),
#undef S
};

/* --- calls --- */

static char buf[64];
static struct iovec one = {buf, sizeof(buf)};
static struct sockaddr_in dead; /* nobody is there */

static int int_option(int s, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof(v);

    return getsockopt(s, level, name, &v, &len) < 0 ? -1 : v;
}

static int s_domain(int s)
{
    return int_option(s, SOL_SOCKET, SO_DOMAIN);
}

static int ioctl_value(int s, unsigned long req)
{
    int v = -1;

    return ioctl(s, req, &v) < 0 ? -1 : v;
}

static int name_call(int (*f)(int, struct sockaddr *, socklen_t *), int s)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    return f(s, (struct sockaddr *)&ss, &len) < 0 ? -1 : (int)len;
}

static int getsockname_(int s, struct sockaddr *a, socklen_t *l)
{
    return getsockname(s, a, l);
}

static int getpeername_(int s, struct sockaddr *a, socklen_t *l)
{
    return getpeername(s, a, l);
}

/* One column: expr on the socket s of each state. */
#define COLUMN(expr)                                                                                         \
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {                                        \
        int s = states[i].make();                                                                            \
        errno = 0;                                                                                           \
        show_call(states[i].name, #expr, (long)(expr));                                                      \
        close(s);                                                                                            \
        drop_all();                                                                                          \
    }

/* After expr, what poll says. */
#define COLUMN_POLL(expr)                                                                                    \
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {                                        \
        int s = states[i].make();                                                                            \
        char what[96];                                                                                       \
        errno = 0;                                                                                           \
        (void)!(expr);                                                                                       \
        nap(1);                                                                                              \
        snprintf(what, sizeof(what), "%s: poll after %s", states[i].name, #expr);                            \
        show_events(what, poll_for(s, 0x37ff, 0));                                                           \
        close(s);                                                                                            \
        drop_all();                                                                                          \
    }

/* Bound and not listening, so that nobody gets the port by chance. */
static void prepare(void)
{
    bound4(SOCK_STREAM, &dead);
}

CHECK(naming)
{
    struct sockaddr_in any = lo4(0);

    COLUMN(bind(s, SA(any)));
    COLUMN(bind(s, (struct sockaddr *)&any, 3));
    COLUMN(name_call(getsockname_, s));
    COLUMN(name_call(getpeername_, s));
}

CHECK(listening_on_it)
{
    COLUMN(listen(s, 1));
    COLUMN(listen(s, -1));
    COLUMN(int_option(s, SOL_SOCKET, SO_ACCEPTCONN));
}

CHECK(accepting)
{
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), accept(s, NULL, NULL)));
    COLUMN(accept4(s, NULL, NULL, 1));
}

CHECK(connecting_to)
{
    struct sockaddr u = {.sa_family = AF_UNSPEC}, odd = {.sa_family = 77};

    prepare();
    COLUMN(connect(s, SA(u)));
    COLUMN(connect(s, &u, 1));
    COLUMN(connect(s, SA(odd)));
    COLUMN(connect(s, (struct sockaddr *)&dead, 8));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), connect(s, SA(dead))));
}

CHECK(connecting_twice)
{
    struct sockaddr u = {.sa_family = AF_UNSPEC};

    prepare();
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), connect(s, SA(dead)), poll_for(s, POLLOUT, 10),
            connect(s, SA(dead))));
    COLUMN((connect(s, SA(u)), connect(s, SA(u))));
    COLUMN((connect(s, SA(u)), listen(s, 1)));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), shutdown(s, SHUT_RDWR), connect(s, SA(dead))));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), shutdown(s, SHUT_RDWR), connect(s, SA(u)), connect(s, SA(dead))));
    COLUMN((shutdown(s, SHUT_RDWR), listen(s, 1)));
}

CHECK(shutting_down)
{
    COLUMN(shutdown(s, SHUT_RD));
    COLUMN(shutdown(s, SHUT_WR));
    COLUMN(shutdown(s, SHUT_RDWR));
    COLUMN(shutdown(s, 3));
    COLUMN(shutdown(s, -1));
    COLUMN((shutdown(s, SHUT_RD), shutdown(s, SHUT_RD)));
    COLUMN((shutdown(s, SHUT_WR), shutdown(s, SHUT_WR)));
    COLUMN((shutdown(s, SHUT_RDWR), nap(1), shutdown(s, SHUT_RDWR)));
}

CHECK(sending)
{
    COLUMN(send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    COLUMN(send(s, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), write(s, "x", 1)));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), write(s, "", 0)));
    COLUMN(send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_OOB));
    COLUMN(send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_ERRQUEUE));
    COLUMN(send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR));
    COLUMN((send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT)));
    COLUMN(send(s, (void *)1, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

CHECK(sending_to)
{
    struct sockaddr_in odd = {.sin_family = 77}, u = {.sin_family = AF_UNSPEC}, zero;

    prepare();
    zero = dead;
    zero.sin_port = 0;
    odd.sin_port = dead.sin_port;
    COLUMN(s_domain(s) == AF_INET6 ? 0 : sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(dead)));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(zero)));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(odd)));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, SA(u)));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&dead, 8));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&dead, 0));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 16));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)1, 16));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&dead, 200));
    COLUMN(sendto(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&dead, (socklen_t)-1));
}

CHECK(sending_a_file)
{
    int f = open("/proc/self/exe", O_RDONLY);

    NEED(f >= 0 && dup2(f, 200) == 200);
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), lseek(200, 0, SEEK_SET), sendfile(s, 200, NULL, 4)));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), sendfile(s, 200, NULL, 0)));
}

CHECK(receiving)
{
    COLUMN(recv(s, buf, sizeof(buf), MSG_DONTWAIT));
    COLUMN(recv(s, buf, 0, MSG_DONTWAIT));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), read(s, buf, sizeof(buf))));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), read(s, buf, 0)));
    COLUMN((fcntl(s, F_SETFL, O_NONBLOCK), readv(s, &one, 1)));
    COLUMN(recv(s, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK));
    COLUMN(recv(s, buf, sizeof(buf), MSG_DONTWAIT | MSG_OOB));
    COLUMN(recv(s, buf, sizeof(buf), MSG_DONTWAIT | MSG_WAITALL));
    COLUMN(recv(s, buf, sizeof(buf), MSG_DONTWAIT | MSG_ERRQUEUE));
    COLUMN(recv(s, NULL, 3, MSG_DONTWAIT | MSG_TRUNC));
    COLUMN(recv(s, (void *)1, 3, MSG_DONTWAIT));
    COLUMN((recv(s, buf, sizeof(buf), MSG_DONTWAIT), recv(s, buf, sizeof(buf), MSG_DONTWAIT)));
}

CHECK(errors)
{
    COLUMN(int_option(s, SOL_SOCKET, SO_ERROR));
    COLUMN((int_option(s, SOL_SOCKET, SO_ERROR), int_option(s, SOL_SOCKET, SO_ERROR)));
    COLUMN((send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), int_option(s, SOL_SOCKET, SO_ERROR)));
    COLUMN((recv(s, buf, 1, MSG_DONTWAIT), int_option(s, SOL_SOCKET, SO_ERROR)));
    COLUMN((int_option(s, SOL_SOCKET, SO_ERROR), recv(s, buf, 64, MSG_DONTWAIT)));
    COLUMN((int_option(s, SOL_SOCKET, SO_ERROR), send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT)));
}

CHECK(queues)
{
    COLUMN(ioctl_value(s, FIONREAD));
    COLUMN(ioctl_value(s, SIOCOUTQ) >= 0); /* of what is not connected the kernel tells odd numbers */
    COLUMN(ioctl_value(s, SIOCOUTQNSD) >= 0);
    COLUMN(ioctl_value(s, SIOCATMARK));
    COLUMN(ioctl_value(s, SIOCGPGRP));
    COLUMN(ioctl(s, FIONREAD, (void *)1));
    COLUMN(ioctl(s, SIOCOUTQ, NULL));
    COLUMN(ioctl(s, SIOCGSTAMP_OLD, buf));
    COLUMN(ioctl(s, 0x89ff, buf));
    COLUMN(ioctl(s, 0, buf));
}

CHECK(polling)
{
    COLUMN_POLL(0);
    COLUMN_POLL(shutdown(s, SHUT_RD));
    COLUMN_POLL(shutdown(s, SHUT_WR));
    COLUMN_POLL(shutdown(s, SHUT_RDWR));
    COLUMN_POLL(int_option(s, SOL_SOCKET, SO_ERROR));
    COLUMN_POLL(recv(s, buf, sizeof(buf), MSG_DONTWAIT));
    COLUMN_POLL(send(s, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    COLUMN_POLL(listen(s, 1));
}

static void tcp_info_column(void)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        int s = states[i].make();
        struct tcp_info ti = {0};
        socklen_t len = sizeof(ti);

        errno = 0;
        if (getsockopt(s, IPPROTO_TCP, TCP_INFO, &ti, &len) < 0)
            show(states[i].name, "%s", errname(errno));
        else /* whether a FIN is acknowledged yet is a matter of milliseconds */
            show(states[i].name, "state %d", ti.tcpi_state == 4 ? 5 : ti.tcpi_state);
        close(s);
        drop_all();
    }
}

CHECK(tcp_state)
{
    tcp_info_column();
}

CHECK(options_in_it)
{
    COLUMN(int_option(s, SOL_SOCKET, SO_TYPE));
    COLUMN(int_option(s, SOL_SOCKET, SO_PROTOCOL));
    COLUMN(int_option(s, SOL_SOCKET, SO_DOMAIN));
    COLUMN(int_option(s, IPPROTO_TCP, TCP_NODELAY));
    COLUMN(int_option(s, IPPROTO_TCP, TCP_MAXSEG) > 0);
    COLUMN(int_option(s, IPPROTO_IP, IP_MTU));
    COLUMN(int_option(s, IPPROTO_IP, IP_TTL));
    COLUMN(int_option(s, IPPROTO_IPV6, IPV6_V6ONLY));
    COLUMN(int_option(s, IPPROTO_UDP, 1));
    COLUMN(int_option(s, SOL_SOCKET, SO_PEERCRED));
    COLUMN(int_option(s, 9999, 1));
    COLUMN(int_option(s, SOL_SOCKET, 9999));
}

CHECK(setting_options_in_it)
{
    int v1 = 1, v0 = 0, big = 1 << 30;

    COLUMN(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_BROADCAST, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &v0, sizeof(v0)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big)));
    COLUMN(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v1, 1));
    COLUMN(setsockopt(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, IPPROTO_TCP, TCP_MAXSEG, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, IPPROTO_TCP, TCP_CORK, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, IPPROTO_IP, IP_TTL, &big, sizeof(big)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_ERROR, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, SO_TYPE, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, SOL_SOCKET, 9999, &v1, sizeof(v1)));
    COLUMN(setsockopt(s, 9999, 1, &v1, sizeof(v1)));
}
