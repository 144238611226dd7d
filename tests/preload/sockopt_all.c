/* sockopt_all.c: every option: each name from 0 to 255 of SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP
 * and IPPROTO_UDP on TCP and UDP sockets, set with several values in several lengths and read back.
 *
 * A line an option, so that the kernel's and the stack's differ by option and not by value:
 *
 *     tcp4: SOCKET 9 keepalive = get 4:0 | int -1=0>1 0=0>0 ... | len 0=EINVAL 1=EINVAL ... | null EFAULT
 *
 * get: the length and value of a fresh socket; int: what setsockopt said to each value and what getsockopt
 * gave then; len: setsockopt and getsockopt with other lengths; null: without a pointer. Each option has a
 * fresh socket, so that none spoils another. What is left out is named below with its reason.
 */
#include "check.h"

/* Not compared. Values that name something of the host's, or that differ from run to run. */
static const struct {
    int level, first, last;
    const char *why;
} left_out[] = {
    {SOL_SOCKET, 7, 8, "SO_SNDBUF, SO_RCVBUF: defaults and bounds are the host's sysctls; see sockopt.c"},
    {SOL_SOCKET, 18, 18, "SO_RCVLOWAT: bounded by half of tcp_rmem, the host's"},
    {SOL_SOCKET, 32, 33, "SO_SNDBUFFORCE, SO_RCVBUFFORCE: the kernel asks for rights on the whole machine"},
    {SOL_SOCKET, 47, 47, "SO_MAX_PACING_RATE: only the 32-bit form is taken"},
    {SOL_SOCKET, 49, 49, "SO_INCOMING_CPU: where the packet happened to be processed"},
    {SOL_SOCKET, 50, 52, "SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_*: programs of the kernel's"},
    {SOL_SOCKET, 55, 55, "SO_MEMINFO: memory of two implementations"},
    {SOL_SOCKET, 57, 57, "SO_COOKIE: a number of its own"},
    {SOL_SOCKET, 62, 62, "SO_BINDTOIFINDEX: interfaces of the stack have numbers of their own"},
    {SOL_SOCKET, 68, 68, "SO_DETACH_REUSEPORT_BPF"},
    {SOL_SOCKET, 71, 71, "SO_NETNS_COOKIE: of a namespace of the kernel"},
    {SOL_SOCKET, 78, 81, "SO_DEVMEM_*: memory of network cards"},
    {IPPROTO_IP, 64, 255, "iptables, arptables, multicast routing: the host's"},
    {IPPROTO_IPV6, 32, 32, "IPV6_FLOWLABEL_MGR: labels are the stack's own to choose"},
    {IPPROTO_UDP, 100, 102, "UDP_ENCAP and its like: IPsec"},
    {IPPROTO_IPV6, 64, 65, "ip6tables: the host's"},
    {IPPROTO_IPV6, 68, 69, "ip6tables: the host's"},
    {IPPROTO_IPV6, 80, 255, "ip6tables, multicast routing: the host's"},
    {IPPROTO_TCP, 11, 11, "TCP_INFO: tcpinfo.c"},
    {IPPROTO_TCP, 13, 13, "TCP_CONGESTION: the default is the host's"},
    {IPPROTO_TCP, 26, 26, "TCP_CC_INFO: of the host's default"},
    {IPPROTO_TCP, 14, 14, "TCP_MD5SIG"},
    {IPPROTO_TCP, 32, 32, "TCP_MD5SIG_EXT"},
    {IPPROTO_TCP, 19, 19, "TCP_REPAIR: refused"},
    {IPPROTO_TCP, 23, 23, "TCP_FASTOPEN"},
    {IPPROTO_TCP, 30, 30, "TCP_FASTOPEN_CONNECT"},
    {IPPROTO_TCP, 33, 34, "TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE"},
    {IPPROTO_TCP, 24, 24, "TCP_TIMESTAMP: a clock"},
    {IPPROTO_TCP, 35, 35, "TCP_ZEROCOPY_RECEIVE: maps the kernel's pages; refused"},
    {IPPROTO_TCP, 44, 46, "TCP_RTO_MAX_MS, TCP_RTO_MIN_US, TCP_DELACK_MAX_US: rounded to the kernel's tick"},
};

static bool is_left_out(const char *sock, int level, int name)
{
    if (level == IPPROTO_IPV6 && name == 16 && strcmp(sock, "tcp6") == 0)
        return true; /* IPV6_UNICAST_HOPS: a stream takes 0 for the default */
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (left_out[i].level == level && name >= left_out[i].first && name <= left_out[i].last)
            return true;
    return false;
}

static char line[4096];
static size_t used;

__attribute__((format(printf, 1, 2))) static void put(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    used += (size_t)vsnprintf(line + used, sizeof(line) - used, fmt, ap);
    va_end(ap);
    if (used >= sizeof(line))
        used = sizeof(line) - 1;
}

static void put_rc(int r)
{
    if (r < 0)
        put("%s", errname(errno));
    else
        put("%d", r);
}

/* What getsockopt gives with len bytes: its length and up to 16 bytes of value, or the error. */
static void put_get(int s, int level, int name, socklen_t len)
{
    unsigned char b[512];
    socklen_t n = len;
    int v;

    memset(b, 0xa5, sizeof(b));
    if (getsockopt(s, level, name, b, &n) < 0) {
        put("%s", errname(errno));
        return;
    }
    memcpy(&v, b, sizeof(v));
    if (n == sizeof(v)) {
        put("%u:%d", n, v);
        return;
    }
    put("%u:", n);
    for (unsigned i = 0; i < n && i < 16; i++)
        put("%02x", b[i]);
}

static void values(int (*fresh)(void), int level, int name)
{
    static const int v[] = {-1,  0,   1,   2,    3,     4,     5,     16,    63,      64,        127,
                            128, 255, 256, 1000, 32767, 32768, 65535, 65536, 1 << 20, INT32_MAX, INT32_MIN};
    char last[64] = "";

    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        char now[64];
        size_t at = used;
        int s = fresh();

        put(" %d=", v[i]);
        size_t from = used;
        put_rc(setsockopt(s, level, name, &v[i], sizeof(v[i])));
        put(">");
        put_get(s, level, name, 4);
        snprintf(now, sizeof(now), "%s", line + from);
        if (strcmp(now, last) == 0) { /* as the value before: shown once */
            used = at;
            line[used] = 0;
        }
        strcpy(last, now);
        close(s);
    }
}

static void lengths(int (*fresh)(void), int level, int name)
{
    static const socklen_t len[] = {0, 1, 2, 3, 8, 12, 16, 64, 300};
    static const unsigned char one[512] = {1};

    for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        int s = fresh();

        put(" %u=", len[i]);
        put_rc(setsockopt(s, level, name, one, len[i]));
        put(">");
        put_get(s, level, name, len[i]);
        close(s);
    }
}

static void wrong(int (*fresh)(void), int level, int name)
{
    int s = fresh(), v = 1;
    socklen_t len = 4;

    put(" set NULL=");
    put_rc(setsockopt(s, level, name, NULL, 4));
    put(" get NULL=");
    put_rc(getsockopt(s, level, name, NULL, &len));
    put(" len NULL=");
    put_rc(getsockopt(s, level, name, &v, NULL));
    put(" len -1=");
    len = (socklen_t)-1;
    put_rc(getsockopt(s, level, name, &v, &len));
    put(" set -1=");
    put_rc(setsockopt(s, level, name, &v, (socklen_t)-1));
    close(s);
}

static void walk(const char *sock, int (*fresh)(void), const char *lname, int level)
{
    char unknown[4096] = "";

    for (int name = 0; name < 256; name++) {
        int s = fresh();

        if (is_left_out(sock, level, name)) {
            close(s);
            continue;
        }
        used = 0;
        put("get ");
        put_get(s, level, name, 512);
        close(s);
        put(" | int");
        values(fresh, level, name);
        put(" | len");
        lengths(fresh, level, name);
        put(" |");
        /* At these levels bad pointers and unknown names are told apart in another order. */
        if (level != SOL_RAW && level != IPPROTO_ICMPV6)
            wrong(fresh, level, name);
        if (strcmp(line, unknown) == 0)
            continue; /* as the name before, which is no option either */
        snprintf(unknown, sizeof(unknown), "%s", line);
        printf("%s: %s %s %d = %s\n", check_now, sock, lname, name, line);
    }
}

static int fresh_tcp4(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int fresh_udp4(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

CHECK(tcp4_socket)
{
    walk("tcp4", fresh_tcp4, "SOCKET", SOL_SOCKET);
}

CHECK(tcp4_tcp)
{
    walk("tcp4", fresh_tcp4, "TCP", IPPROTO_TCP);
}

CHECK(tcp4_ipv6)
{
    walk("tcp4", fresh_tcp4, "IPV6", IPPROTO_IPV6);
}

CHECK(tcp4_udp)
{
    walk("tcp4", fresh_tcp4, "UDP", IPPROTO_UDP);
}

CHECK(udp4_tcp)
{
    walk("udp4", fresh_udp4, "TCP", IPPROTO_TCP);
}

static int fresh_tcp6(void)
{
    return socket(AF_INET6, SOCK_STREAM, 0);
}

static int fresh_udp6(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0);
}

static int fresh_raw4(void)
{
    return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int fresh_raw6(void)
{
    return socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
}

static int fresh_ping4(void)
{
    return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

CHECK(tcp4_ip)
{
    walk("tcp4", fresh_tcp4, "IP", IPPROTO_IP);
}

CHECK(udp4_socket)
{
    walk("udp4", fresh_udp4, "SOCKET", SOL_SOCKET);
}

CHECK(udp4_ip)
{
    walk("udp4", fresh_udp4, "IP", IPPROTO_IP);
}

CHECK(udp4_udp)
{
    walk("udp4", fresh_udp4, "UDP", IPPROTO_UDP);
}

CHECK(udp4_ipv6)
{
    walk("udp4", fresh_udp4, "IPV6", IPPROTO_IPV6);
}

CHECK(tcp6_ipv6)
{
    walk("tcp6", fresh_tcp6, "IPV6", IPPROTO_IPV6);
}

CHECK(tcp6_ip)
{
    walk("tcp6", fresh_tcp6, "IP", IPPROTO_IP);
}

CHECK(udp6_ipv6)
{
    walk("udp6", fresh_udp6, "IPV6", IPPROTO_IPV6);
}

CHECK(udp6_ip)
{
    walk("udp6", fresh_udp6, "IP", IPPROTO_IP);
}

CHECK(raw4_socket)
{
    walk("raw4", fresh_raw4, "SOCKET", SOL_SOCKET);
}

CHECK(raw4_ip)
{
    walk("raw4", fresh_raw4, "IP", IPPROTO_IP);
}

CHECK(raw4_raw)
{
    walk("raw4", fresh_raw4, "RAW", SOL_RAW);
}

CHECK(raw6_ipv6)
{
    walk("raw6", fresh_raw6, "IPV6", IPPROTO_IPV6);
}

CHECK(raw6_icmpv6)
{
    walk("raw6", fresh_raw6, "ICMPV6", IPPROTO_ICMPV6);
}

CHECK(raw6_raw)
{
    walk("raw6", fresh_raw6, "RAW", SOL_RAW);
}

CHECK(ping4_ip)
{
    walk("ping4", fresh_ping4, "IP", IPPROTO_IP);
}
