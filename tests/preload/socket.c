/* socket.c: creation: which domain, type and protocol exist, the flags of the type, the lowest free
 * descriptor. */
#include "check.h"

#include <sys/resource.h>

/* One line a combination. Raw sockets, UDP-Lite, ping sockets and MPTCP are other.c's. */
static void matrix(int domain, const char *dname)
{
    static const int protos[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IGMP, 255, 256, 1000, -1};

    for (int type = 0; type <= 11; type++) {
        if (type == SOCK_RAW)
            continue;
        for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
            char what[64];
            int s = socket(domain, type, protos[i]);

            snprintf(what, sizeof(what), "socket(%s, %d, %d)", dname, type, protos[i]);
            show(what, "%s", s >= 0 ? "a descriptor" : errname(errno));
            if (s >= 0)
                close(s);
        }
    }
}

CHECK(inet)
{
    matrix(AF_INET, "AF_INET");
}

CHECK(inet6)
{
    matrix(AF_INET6, "AF_INET6");
}

CHECK(domains)
{
    FD(socket(AF_UNSPEC, SOCK_STREAM, 0));
    FD(socket(-1, SOCK_STREAM, 0));
    FD(socket(46, SOCK_STREAM, 0));
    FD(socket(1000, SOCK_STREAM, 0));
    FD(socket(AF_UNIX, SOCK_STREAM, 0));
    FD(socket(AF_UNIX, SOCK_DGRAM, 0));
    FD(socket(AF_UNIX, SOCK_STREAM, IPPROTO_TCP));
    FD(socket(AF_NETLINK, SOCK_RAW, 0));
}

CHECK(type_flags)
{
    int s = FD(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

    V(fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK));
    V(fcntl(s, F_GETFD));
    s = FD(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    V(fcntl(s, F_GETFL) == O_RDWR);
    V(fcntl(s, F_GETFD));
    s = FD(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    V(fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK));
    V(fcntl(s, F_GETFD));
    FD(socket(AF_INET, SOCK_STREAM | 0x100, 0));
    FD(socket(AF_INET, SOCK_STREAM | 0x40000000, 0));
    FD(socket(AF_INET, SOCK_STREAM | O_APPEND, 0));
}

CHECK(lowest_number)
{
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    int c = open("/dev/null", O_RDWR), d = socket(AF_INET6, SOCK_STREAM, 0);

    show("numbers", "%d %d %d %d", a, b, c, d);
    V(close(b));
    show("the gap, by socket", "%d", socket(AF_INET, SOCK_STREAM, 0));
    V(close(a));
    show("the gap, by open", "%d", open("/dev/null", O_RDWR));
    V(close(c));
    show("the gap, by dup", "%d", dup(d));
    show("after the last", "%d", socket(AF_INET, SOCK_STREAM, 0));
    V(close(0) == 0 || errno == EBADF);
    show("standard input closed", "%d", socket(AF_INET, SOCK_STREAM, 0));
    close(0);
    show("standard input again", "%d", open("/dev/null", O_RDONLY));
}

CHECK(out_of_numbers)
{
    struct rlimit old, few;
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    NEED(connect(c, SA(a)) == 0);
    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = (rlim_t)c + 1;
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    R(socket(AF_INET, SOCK_STREAM, 0));
    R(socket(AF_INET, SOCK_DGRAM, 0));
    R(accept(l, NULL, NULL));
    R(dup(c));
    R(epoll_create1(0));
    NEED(setrlimit(RLIMIT_NOFILE, &old) == 0);
    FD(accept(l, NULL, NULL));
}

CHECK(what_it_is)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct stat st;
    char link[64], path[64];
    ssize_t n;

    R(fstat(s, &st));
    V(S_ISSOCK(st.st_mode));
    V(isatty(s));
    R(lseek(s, 0, SEEK_CUR));
    R(fsync(s));
    R(ftruncate(s, 0));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", s);
    n = readlink(path, link, sizeof(link) - 1);
    link[n > 0 ? n : 0] = 0;
    V(strncmp(link, "socket:[", 8));
}

CHECK(own_options)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    static const int domains[] = {AF_INET, AF_INET6};

    for (int i = 0; i < 4; i++) {
        int s = socket(domains[i / 2], types[i % 2] | SOCK_NONBLOCK, 0), d = -1, t = -1, p = -1, l = -1;
        socklen_t len = sizeof(d);

        R(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &d, &len));
        R(getsockopt(s, SOL_SOCKET, SO_TYPE, &t, &len));
        R(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &p, &len));
        R(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &l, &len));
        show("domain, type, protocol, listening", "%d %d %d %d", d, t, p, l);
    }
}

CHECK(socketpairs)
{
    int sv[2] = {-1, -1};

    R(socketpair(AF_INET, SOCK_STREAM, 0, sv));
    R(socketpair(AF_INET, SOCK_DGRAM, 0, sv));
    R(socketpair(AF_INET6, SOCK_STREAM, 0, sv));
    R(socketpair(AF_INET, SOCK_STREAM, 999, sv));
    V(sv[0] == -1 && sv[1] == -1);
    R(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
    show("numbers", "%d %d", sv[0], sv[1]);
    R(write(sv[0], "x", 1));
    R(fcntl(sv[1], F_GETFD));
}

CHECK(bad_descriptors)
{
    struct sockaddr_in a = lo4(1);
    socklen_t len = sizeof(a);
    int f = open("/dev/null", O_RDWR), v = 1;

    R(bind(200, SA(a)));
    R(bind(-1, SA(a)));
    R(bind(f, SA(a)));
    R(listen(200, 1));
    R(listen(f, 1));
    R(connect(200, SA(a)));
    R(connect(f, SA(a)));
    R(accept(200, NULL, NULL));
    R(accept(f, NULL, NULL));
    R(getsockname(f, (struct sockaddr *)&a, &len));
    R(getpeername(200, (struct sockaddr *)&a, &len));
    R(setsockopt(f, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
    R(shutdown(f, SHUT_RD));
    R(shutdown(200, SHUT_RD));
    R(send(f, "x", 1, 0));
    R(recv(200, &v, 1, 0));
    R(close(200));
    R(close(-1));
}
