/* cmsgs.h: prints what recvmsg gave: bytes, flags, the sender's address, and every control message that the
 * datagram tests are about, decoded. Ports and times are not printed, only whether they are what they should
 * be. Include after check.h. */
#ifndef SHUNT_CMSGS_H
#define SHUNT_CMSGS_H

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW 63
#endif

static inline void on(int fd, int level, int name, int v)
{
    NEED(setsockopt(fd, level, name, &v, sizeof(v)) == 0);
}

static inline void cmsgs_addr(char *buf, size_t n, const void *sa, unsigned len)
{
    char a[64] = "?";
    const struct sockaddr *s = sa;

    if (len >= sizeof(struct sockaddr_in) && s->sa_family == AF_INET) {
        const struct sockaddr_in *in = sa;
        inet_ntop(AF_INET, &in->sin_addr, a, sizeof(a));
        snprintf(buf, n, "%s port %s", a, in->sin_port ? "set" : "0");
    } else if (len >= sizeof(struct sockaddr_in6) && s->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, a, sizeof(a));
        snprintf(buf, n, "%s port %s scope %u", a, in6->sin6_port ? "set" : "0", in6->sin6_scope_id);
    } else {
        snprintf(buf, n, "family %d", len >= sizeof(s->sa_family) ? s->sa_family : -1);
    }
}

static inline const char *about_now(const struct timespec *ts)
{
    struct timespec now;

    if (!ts->tv_sec && !ts->tv_nsec)
        return "0";
    clock_gettime(CLOCK_REALTIME, &now);
    return ts->tv_sec >= now.tv_sec - 3 && ts->tv_sec <= now.tv_sec + 1 && ts->tv_nsec < 1000000000 ? "now"
                                                                                                    : "wrong";
}

static inline void cmsgs_err(const struct cmsghdr *c, const char *what)
{
    struct sock_extended_err ee;
    char off[100];

    memcpy(&ee, CMSG_DATA(c), sizeof(ee));
    cmsgs_addr(off, sizeof(off), CMSG_DATA(c) + sizeof(ee), (unsigned)(c->cmsg_len - CMSG_LEN(sizeof(ee))));
    printf(" [%s errno %s origin %u type %u code %u info %u data %u offender %s, %zu bytes]", what,
           errname((int)ee.ee_errno), ee.ee_origin, ee.ee_type, ee.ee_code, ee.ee_info, ee.ee_data, off,
           (size_t)(c->cmsg_len - CMSG_LEN(0)));
}

static inline void cmsgs_one(const struct cmsghdr *c)
{
    size_t len = c->cmsg_len - CMSG_LEN(0);
    const void *d = CMSG_DATA(c);
    struct timespec ts[3] = {{0, 0}};
    char a[64], b[64];
    int v = 0;

    memcpy(&v, d, len < sizeof(v) ? len : sizeof(v));
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo pi;
        memcpy(&pi, d, sizeof(pi));
        inet_ntop(AF_INET, &pi.ipi_spec_dst, a, sizeof(a));
        inet_ntop(AF_INET, &pi.ipi_addr, b, sizeof(b));
        printf(" [IP_PKTINFO if %d spec %s addr %s]", pi.ipi_ifindex, a, b);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo pi;
        memcpy(&pi, d, sizeof(pi));
        inet_ntop(AF_INET6, &pi.ipi6_addr, a, sizeof(a));
        printf(" [IPV6_PKTINFO if %u addr %s]", pi.ipi6_ifindex, a);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
        cmsgs_err(c, "IP_RECVERR");
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR) {
        cmsgs_err(c, "IPV6_RECVERR");
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
        cmsgs_addr(a, sizeof(a), d, (unsigned)len);
        printf(" [IP_ORIGDSTADDR %s]", a);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP) {
        struct timeval tv;
        memcpy(&tv, d, sizeof(tv));
        ts[0] = (struct timespec){tv.tv_sec, tv.tv_usec * 1000};
        printf(" [SO_TIMESTAMP %s, %zu bytes]", about_now(ts), len);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
        memcpy(ts, d, sizeof(ts[0]));
        printf(" [SO_TIMESTAMPNS %s, %zu bytes]", about_now(ts), len);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
        memcpy(ts, d, sizeof(ts));
        printf(" [SO_TIMESTAMPING %s %s %s, %zu bytes]", about_now(&ts[0]), about_now(&ts[1]),
               about_now(&ts[2]), len);
    } else {
        printf(" [level %d type %d len %zu value %d]", c->cmsg_level, c->cmsg_type, len, v);
    }
}

/* recvmsg into a buffer of size bytes with control room of room bytes; prints all of it. */
static inline ssize_t show_recv(const char *what, int fd, size_t size, size_t room, int flags)
{
    static char buf[70000];
    char ctl[1024] __attribute__((aligned(8))), name[100] = "none";
    struct sockaddr_storage ss = {0};
    struct iovec v = {buf, size};
    struct msghdr m = {.msg_name = &ss,
                       .msg_namelen = sizeof(ss),
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = ctl,
                       .msg_controllen = room};
    ssize_t n;

    errno = 0;
    n = recvmsg(fd, &m, flags);
    printf("%s: %s = %zd %s", check_now, what, n, n < 0 ? errname(errno) : "");
    if (n >= 0) {
        if (m.msg_namelen)
            cmsgs_addr(name, sizeof(name), &ss, m.msg_namelen);
        printf("flags %x from %s", (unsigned)m.msg_flags, name);
        if (n > 0 && n <= 16)
            printf(" text \"%.*s\"", (int)n, buf);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            cmsgs_one(c);
        printf(" control %zu", (size_t)m.msg_controllen);
    }
    putchar('\n');
    return n;
}
#define RECV(fd, flags) show_recv("recvmsg(" #fd ", " #flags ")", fd, sizeof(char[70000]), 1024, flags)
#define ERRQ(fd)        RECV(fd, MSG_ERRQUEUE | MSG_DONTWAIT)

#endif
