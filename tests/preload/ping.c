/* ping.c: ping sockets: SOCK_DGRAM with IPPROTO_ICMP. */
#include "check.h"

#include <netinet/ip_icmp.h>

static int ping4(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

    NEED(fd >= 0);
    return fd;
}

static size_t echo(uint8_t *b, int type, int code, uint16_t id, uint16_t seq, size_t data)
{
    struct icmphdr h = {
        .type = (uint8_t)type, .code = (uint8_t)code, .checksum = 99, .un.echo = {htons(id), htons(seq)}};

    memset(b, 'x', sizeof(h) + data);
    memcpy(b, &h, sizeof(h));
    return sizeof(h) + data;
}

static void got(int fd)
{
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    uint8_t b[2048];
    struct icmphdr h;
    ssize_t n;

    if (!(poll_for(fd, POLLIN, QUIET_MS) & POLLIN)) {
        show("message", "none");
        return;
    }
    n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len);
    NEED(n >= (ssize_t)sizeof(h));
    memcpy(&h, b, sizeof(h));
    show("message", "%zd bytes, type %d, code %d, id %s, seq %d, from %x port %d", n, h.type, h.code,
         ntohs(h.un.echo.id) == port_of(fd) ? "ours" : "strange", ntohs(h.un.echo.sequence),
         ntohl(from.sin_addr.s_addr), ntohs(from.sin_port));
}

CHECK(echo)
{
    int a = ping4(), b = ping4(), v;
    struct sockaddr_in to = lo4(0);
    socklen_t len = sizeof(v);
    uint8_t m[64];

    V(port_of(a));
    R(getsockopt(a, SOL_SOCKET, SO_PROTOCOL, &v, &len));
    V(v);
    R(getsockopt(a, SOL_SOCKET, SO_TYPE, &v, &len));
    V(v);
    R(sendto(a, m, echo(m, ICMP_ECHO, 0, 7, 3, 16), 0, SA(to)));
    V(port_of(a) != 0);
    got(a);
    got(a);
    got(b);
    R(sendto(b, m, echo(m, ICMP_ECHO, 0, 7, 4, 0), 0, SA(to)));
    got(a);
    got(b);
    V(port_of(a) != port_of(b));
}

CHECK(refused)
{
    int s = ping4();
    struct sockaddr_in to = lo4(0);
    static uint8_t m[70000];

    R(sendto(s, m, echo(m, ICMP_ECHOREPLY, 0, 7, 3, 16), 0, SA(to)));
    R(sendto(s, m, echo(m, ICMP_ECHO, 1, 7, 3, 16), 0, SA(to)));
    R(sendto(s, m, echo(m, ICMP_TIMESTAMP, 0, 7, 3, 16), 0, SA(to)));
    R(sendto(s, m, 7, 0, SA(to)));
    R(sendto(s, m, 65536, 0, SA(to)));
    R(send(s, m, echo(m, ICMP_ECHO, 0, 7, 3, 16), 0));
    R(sendto(s, m, 24, MSG_OOB, SA(to)));
    R(sendto(s, m, 24, 0, (struct sockaddr *)&to, 8));
    to.sin_family = AF_UNSPEC;
    R(sendto(s, m, 24, 0, SA(to)));
    R(listen(s, 1));
    R(recv(s, m, 24, MSG_OOB | MSG_DONTWAIT));
    R(recv(s, m, 24, MSG_DONTWAIT));
    R(setsockopt(s, SOL_RAW, 1, m, 4));
    FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6));
    FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_RAW));
}

CHECK(names)
{
    int a = ping4(), b = ping4(), c = ping4(), v = 1;
    struct sockaddr_in n = lo4(4242), got;
    socklen_t len = sizeof(got);

    R(bind(a, SA(n)));
    V(port_of(a));
    R(bind(a, SA(n)));
    R(bind(b, SA(n)));
    n.sin_addr.s_addr = htonl(0xc6120001);
    R(bind(b, SA(n)));
    n = lo4(0);
    R(bind(b, SA(n)));
    V(port_of(b) != 0);
    n = lo4(9);
    R(connect(a, SA(n)));
    R(getpeername(a, (struct sockaddr *)&got, &len));
    V(ntohs(got.sin_port));
    R(connect(c, SA(n)));
    V(port_of(c) != 0);
    R(getsockname(c, (struct sockaddr *)&got, &len));
    V(got.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    n.sin_family = AF_UNSPEC;
    R(connect(a, SA(n)));
    V(port_of(a));
    R(getpeername(a, (struct sockaddr *)&got, &len));
    NEED(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)) == 0);
    c = ping4();
    NEED(setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)) == 0);
    n = lo4(4242);
    R(bind(c, SA(n)));
}

CHECK(connected)
{
    int s = ping4();
    struct sockaddr_in to = lo4(0);
    uint8_t m[64];

    R(connect(s, SA(to)));
    R(send(s, m, echo(m, ICMP_ECHO, 0, 7, 3, 16), 0));
    got(s);
    R(shutdown(s, SHUT_RDWR));
    EV(poll_for(s, POLLIN, 0));
    R(send(s, m, echo(m, ICMP_ECHO, 0, 7, 3, 16), 0));
}

CHECK(large)
{
    static uint8_t m[65536];
    int s = ping4(), v = 1 << 20;
    struct sockaddr_in to = lo4(0);

    NEED(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)) == 0);
    R(sendto(s, m, echo(m, ICMP_ECHO, 0, 7, 3, 65507), 0, SA(to)));
    R(recv(s, m, sizeof(m), MSG_DONTWAIT));
    R(sendto(s, m, echo(m, ICMP_ECHO, 0, 7, 3, 65508), 0, SA(to)));
}
