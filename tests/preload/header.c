/* header.c: options of the IPv4 header and extension headers of IPv6, sent by option and by control message,
 * and as the receiver is told of them (ip(7), RFC 3542). */
#include "check.h"

#include "cmsgs.h"

#ifndef IPV6_HOPOPTS
#error "no RFC 3542 here"
#endif

/* A UDP socket on ::1, its address in *a. */
static int udp6(struct sockaddr_in6 *a)
{
    int s = socket(AF_INET6, SOCK_DGRAM, 0);

    *a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    NEED(s >= 0 && bind(s, SA(*a)) == 0);
    a->sin6_port = htons(port_of(s));
    return s;
}

static int turn_on(int s, int level, int name)
{
    int v = 1;

    return setsockopt(s, level, name, &v, sizeof(v));
}

static void show_bytes(const char *what, const void *p, size_t n)
{
    char text[256] = "";

    for (size_t i = 0; i < n && i < 60; i++)
        sprintf(text + 2 * i, "%02x", ((const uint8_t *)p)[i]);
    show(what, "%zu: %s", n, text);
}

/* Receives, prints the datagram's length and all control messages of the IP layers. */
static void take(int s)
{
    char b[3000], c[2000];
    struct iovec iov = {b, sizeof(b)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof(c)};

    if (!(poll_for(s, POLLIN, 100) & POLLIN)) {
        show("datagram", "none");
        return;
    }
    show("datagram", "%zd", recvmsg(s, &m, 0));
    for (struct cmsghdr *k = CMSG_FIRSTHDR(&m); k; k = CMSG_NXTHDR(&m, k)) {
        show("control", "level %d, type %d", k->cmsg_level, k->cmsg_type);
        show_bytes("value", CMSG_DATA(k), k->cmsg_len - CMSG_LEN(0));
    }
}

static int send_with(int s, const void *to, socklen_t to_len, int level, int type, const void *val,
                     size_t len)
{
    union {
        char room[512];
        struct cmsghdr h;
    } c = {.h = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)}};
    struct iovec iov = {"hello", 5};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_name = (void *)to,
                       .msg_namelen = to_len,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE(len)};

    memcpy(CMSG_DATA(&c.h), val, len);
    return (int)sendmsg(s, &m, 0);
}

static const uint8_t hop[8] = {0, 0, 1, 4, 0, 0, 0, 0};                 /* PadN */
static const uint8_t dst[16] = {0, 1, 0x1e, 6, 1, 2, 3, 4, 5, 6, 1, 4}; /* an option to be skipped */

CHECK(sticky6)
{
    struct sockaddr_in6 a, b;
    int r = udp6(&a), s = udp6(&b);
    uint8_t got[64];
    socklen_t len = sizeof(got);

    R(turn_on(r, IPPROTO_IPV6, IPV6_RECVHOPOPTS));
    R(turn_on(r, IPPROTO_IPV6, IPV6_RECVDSTOPTS));
    R(turn_on(r, IPPROTO_IPV6, IPV6_RECVRTHDR));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, dst, sizeof(dst)));
    R(sendto(s, "x", 1, 0, SA(a)));
    take(r);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, hop, sizeof(hop)));
    R(sendto(s, "xy", 2, 0, SA(a)));
    take(r);
    R(getsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, got, &len));
    show_bytes("dstopts", got, len);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, NULL, 0));
    R(sendto(s, "xyz", 3, 0, SA(a)));
    take(r);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, NULL, 0));
    R(sendto(s, "xyz", 3, 0, SA(a)));
    take(r);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, dst, sizeof(dst)));
    R(sendto(s, "xyz", 3, 0, SA(a)));
    take(r);
}

CHECK(by_message6)
{
    struct sockaddr_in6 a, b;
    int r = udp6(&a), s = udp6(&b);

    R(turn_on(r, IPPROTO_IPV6, IPV6_RECVHOPOPTS));
    R(turn_on(r, IPPROTO_IPV6, IPV6_2292DSTOPTS));
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_HOPOPTS, hop, sizeof(hop)));
    take(r);
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_DSTOPTS, dst, sizeof(dst)));
    take(r);
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_DSTOPTS, dst, 8));
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_DSTOPTS, dst, 1));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, dst, sizeof(dst)));
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_HOPOPTS, hop, sizeof(hop)));
    take(r);
    R(sendto(s, "after", 5, 0, SA(a)));
    take(r);
}

/* Headers count in what is too long, and go into the first fragment. */
CHECK(length6)
{
    static char big[70000];
    struct sockaddr_in6 a, b;
    int r = udp6(&a), s = udp6(&b);

    R(turn_on(r, IPPROTO_IPV6, IPV6_RECVDSTOPTS));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, dst, sizeof(dst)));
    R(sendto(s, big, 2000, 0, SA(a)));
    take(r);
    R(sendto(s, big, 65527, 0, SA(a)));
}

CHECK(bad6)
{
    struct sockaddr_in6 a;
    int s = udp6(&a);
    uint8_t h[24] = {0, 2}, rt[24] = {0, 2, 0, 1};

    R(setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, h, 16));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, h, 24));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, h, 23));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_RTHDR, rt, 24));
    R(send_with(s, SA(a), IPPROTO_IPV6, IPV6_RTHDR, rt, 24));
}

CHECK(sticky_pktinfo6)
{
    struct sockaddr_in6 a, from;
    socklen_t len = sizeof(from);
    struct in6_pktinfo pi = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT};
    int r = udp6(&a), s = socket(AF_INET6, SOCK_DGRAM, 0);
    char b[8];

    R(setsockopt(s, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi)));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi) - 1));
    R(sendto(s, "x", 1, 0, SA(a)));
    R(recvfrom(r, b, sizeof(b), 0, (struct sockaddr *)&from, &len));
    V(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
}

static const uint8_t rr[12] = {7, 11, 4}; /* record route, two entries, padded */
static const uint8_t alert[4] = {148, 4, 0, 0};

CHECK(options4)
{
    struct sockaddr_in a, b;
    int r = bound4(SOCK_DGRAM, &a), s = bound4(SOCK_DGRAM, &b);
    uint8_t got[64];
    socklen_t len = sizeof(got);

    R(turn_on(r, IPPROTO_IP, IP_RECVOPTS));
    R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, alert, sizeof(alert)));
    R(sendto(s, "x", 1, 0, SA(a)));
    take(r);
    R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, "\1\1\1", 3));
    R(sendto(s, "x", 1, 0, SA(a)));
    take(r);
    R(getsockopt(s, IPPROTO_IP, IP_OPTIONS, got, &len));
    show_bytes("options", got, len);
    R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, rr, sizeof(rr)));
    len = sizeof(got);
    R(getsockopt(s, IPPROTO_IP, IP_OPTIONS, got, &len));
    show_bytes("options", got, len);
    R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, NULL, 0));
    R(sendto(s, "x", 1, 0, SA(a)));
    take(r);
}

CHECK(by_message4)
{
    struct sockaddr_in a, b;
    int r = bound4(SOCK_DGRAM, &a), s = bound4(SOCK_DGRAM, &b);

    R(turn_on(r, IPPROTO_IP, IP_RECVOPTS));
    R(send_with(s, SA(a), IPPROTO_IP, IP_RETOPTS, alert, sizeof(alert)));
    take(r);
    R(sendto(s, "x", 1, 0, SA(a)));
    take(r);
    R(send_with(s, SA(a), IPPROTO_IP, IP_RETOPTS, "\7\50\4", 3));
}

CHECK(bad4)
{
    static const struct {
        uint8_t b[44];
        socklen_t len;
    } o[] = {{{1, 1, 1, 1}, 41},
             {{7, 3, 4}, 3},
             {{7, 2, 4}, 4},
             {{7, 7, 3}, 7},
             {{7, 7, 6}, 7},
             {{7, 7, 8}, 7},
             {{7, 40, 4}, 8},
             {{68, 4, 5, 0}, 4},
             {{68, 8, 5, 0}, 8},
             {{68, 8, 5, 1}, 8},
             {{68, 12, 5, 1}, 12},
             {{68, 8, 4, 0}, 8},
             {{148, 3, 0}, 3},
             {{148, 4, 0, 1}, 4},
             {{0, 5, 5, 5, 5}, 5},
             {{130, 3, 0}, 3},
             {{68, 12, 5, 3, 127, 0, 0, 1}, 12}};
    int s = udp4();

    for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
        uint8_t got[64];
        socklen_t len = sizeof(got);

        V(i);
        R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, o[i].b, o[i].len));
        NEED(getsockopt(s, IPPROTO_IP, IP_OPTIONS, got, &len) == 0);
        show_bytes("options", got, len);
    }
}

CHECK(fragments4)
{
    static char big[60000];
    struct sockaddr_in a, b;
    int r = bound4(SOCK_DGRAM, &a), s = bound4(SOCK_DGRAM, &b);

    R(turn_on(r, IPPROTO_IP, IP_RECVOPTS));
    R(setsockopt(s, IPPROTO_IP, IP_OPTIONS, alert, sizeof(alert)));
    R(sendto(s, big, 2500, 0, SA(a)));
    take(r);
    R(sendto(s, big, 65507, 0, SA(a)));
    R(sendto(s, big, 65504, 0, SA(a)));
}

CHECK(filter_get)
{
    struct sockaddr_in g = at4(0xe1000001, 0), src = at4(0x7f000002, 0);
    struct group_source_req q = {0};
    struct {
        struct group_filter f;
        struct sockaddr_storage more[4];
    } f = {0};
    socklen_t len = sizeof(f);
    int s = udp4();

    q.gsr_interface = 1;
    memcpy(&q.gsr_group, &g, sizeof(g));
    memcpy(&q.gsr_source, &src, sizeof(src));
    R(setsockopt(s, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &q, sizeof(q)));
    f.f.gf_interface = 1;
    memcpy(&f.f.gf_group, &g, sizeof(g));
    f.f.gf_numsrc = 4;
    R(getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &len));
    V(len);
    V(f.f.gf_fmode);
    V(f.f.gf_numsrc);
    V(ntohl(((struct sockaddr_in *)&f.f.gf_slist[0])->sin_addr.s_addr) == 0x7f000002);
    f.f.gf_numsrc = 0;
    len = sizeof(f);
    R(getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &len));
    V(len);
    V(f.f.gf_numsrc);
    f.f.gf_interface = 7;
    len = sizeof(f);
    R(getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &len));
    len = 10;
    R(getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &len));
}

/* IPV6_ADDRFORM, IP_PROTOCOL, IP_LOCAL_PORT_RANGE, IP_BIND_ADDRESS_NO_PORT. */
CHECK(others)
{
    struct sockaddr_in a, n;
    struct sockaddr_in6 m = {.sin6_family = AF_INET6};
    int r = bound4(SOCK_DGRAM, &a), s = socket(AF_INET6, SOCK_DGRAM, 0), v = AF_INET;
    uint32_t range = 40000u | 40009u << 16;
    socklen_t len = sizeof(v);

    (void)r;
    m.sin6_port = a.sin_port;
    m.sin6_addr.s6_addr[10] = m.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&m.sin6_addr.s6_addr[12], &a.sin_addr, 4);
    R(connect(s, SA(m)));
    R(getsockopt(s, IPPROTO_IPV6, IPV6_ADDRFORM, &v, &len));
    V(v == AF_INET6);
    v = AF_INET;
    R(setsockopt(s, IPPROTO_IPV6, IPV6_ADDRFORM, &v, sizeof(v)));
    len = sizeof(n);
    R(getsockname(s, (struct sockaddr *)&n, &len));
    V(len);
    V(n.sin_family);
    s = tcp4();
    R(setsockopt(s, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof(range)));
    n = lo4(0);
    R(bind(s, SA(n)));
    V(port_of(s) >= 40000 && port_of(s) <= 40009);
    range = 40010u << 16 | 40020u;
    R(setsockopt(s, IPPROTO_IP, 51, &range, sizeof(range)));
    len = sizeof(v);
    R(getsockopt(s, IPPROTO_IP, 52 /* IP_PROTOCOL */, &v, &len));
    V(v == port_of(s));
}
