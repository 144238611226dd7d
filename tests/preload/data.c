/* data.c: the forms of sending and receiving: every flag on every call and kind of socket, lengths and
 * vectors at their limits, memory that is partly there. */
#include "check.h"

#include <linux/errqueue.h>
#include <limits.h>
#include <sys/mman.h>

#ifndef MSG_SPLICE_PAGES
#define MSG_SPLICE_PAGES 0x8000000
#endif
#ifndef MSG_SENDPAGE_NOPOLICY
#define MSG_SENDPAGE_NOPOLICY 0x10000
#endif

enum kind { TCP, UDP, UDP6, RAW, KINDS };

static const char *const kinds[] = {"tcp", "udp", "udp6", "raw"};

/* Two sockets of a kind that know each other. */
static void pair(enum kind k, int sv[2])
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, b6;
    struct sockaddr_in a = lo4(0);

    switch (k) {
    case TCP:
        tcp_pair(sv);
        break;
    case UDP:
        udp_pair(sv);
        break;
    case UDP6:
        for (int i = 0; i < 2; i++) {
            sv[i] = socket(AF_INET6, SOCK_DGRAM, 0);
            NEED(sv[i] >= 0 && bind(sv[i], SA(a6)) == 0);
        }
        for (int i = 0; i < 2; i++) {
            b6 = a6;
            b6.sin6_port = htons(port_of(sv[!i]));
            NEED(connect(sv[i], SA(b6)) == 0);
        }
        break;
    default:
        sv[0] = socket(AF_INET, SOCK_RAW, 253);
        sv[1] = socket(AF_INET, SOCK_RAW, 253);
        NEED(sv[0] >= 0 && sv[1] >= 0 && connect(sv[0], SA(a)) == 0);
        break;
    }
    for (int i = 0; i < 2; i++)
        set_timeo(sv[i], SO_RCVTIMEO, 300);
}

static const int bits[] = {
    MSG_OOB,      MSG_PEEK,     MSG_DONTROUTE, MSG_CTRUNC,   MSG_PROXY,        MSG_TRUNC,
    MSG_DONTWAIT, MSG_EOR,      MSG_WAITALL,   MSG_FIN,      MSG_SYN,          MSG_CONFIRM,
    MSG_RST,      MSG_ERRQUEUE, MSG_NOSIGNAL,  MSG_MORE,     MSG_WAITFORONE,   0x20000,
    0x40000,      0x80000,      0x100000,      0x200000,     0x400000,         0x800000,
    0x1000000,    0x2000000,    0x10000000,    MSG_FASTOPEN, MSG_CMSG_CLOEXEC, INT_MIN,
};
#define BITS (sizeof(bits) / sizeof(bits[0]))

static void result(const char *what, const char *kind, unsigned flag, long rc)
{
    int e = errno;

    if (rc < 0)
        printf("%s: %s %s %#x = %s\n", check_now, kind, what, flag, errname(e));
    else
        printf("%s: %s %s %#x = %ld\n", check_now, kind, what, flag, rc);
}

/* Each flag alone, on each call that sends. MSG_FASTOPEN and 0x4000000 (zero copy) are others' tests. */
static void send_flags(enum kind k, int how)
{
    for (size_t i = 0; i < BITS; i++) {
        struct iovec v = {"abc", 3};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        struct mmsghdr mm = {.msg_hdr = m};
        int sv[2], f = bits[i];
        char b[64];
        static const char *const names[] = {"send", "sendto", "sendmsg", "sendmmsg"};
        long n;

        if (f == MSG_FASTOPEN)
            continue;
        pair(k, sv);
        f |= MSG_NOSIGNAL;
        n = how == 0   ? send(sv[0], "abc", 3, f)
            : how == 1 ? sendto(sv[0], "abc", 3, f, NULL, 0)
            : how == 2 ? sendmsg(sv[0], &m, f)
                       : sendmmsg(sv[0], &mm, 1, f);
        result(names[how], kinds[k], (unsigned)bits[i], n);
        if (n > 0 && bits[i] != MSG_MORE && bits[i] != MSG_PROXY) {
            settle(sv[1], POLLIN | POLLPRI);
            result("there", kinds[k], (unsigned)bits[i], recv(sv[1], b, sizeof(b), MSG_DONTWAIT));
        }
        if (how == 3 && n > 0)
            show("msg_len", "%u", mm.msg_len);
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(send_flags_tcp)
{
    for (int how = 0; how < 4; how++)
        send_flags(TCP, how);
}

CHECK(send_flags_datagram)
{
    send_flags(UDP, 0);
    send_flags(UDP, 2);
    send_flags(UDP, 3);
    send_flags(UDP6, 0);
    send_flags(UDP6, 2);
}

CHECK(send_flags_raw)
{
    send_flags(RAW, 0);
    send_flags(RAW, 2);
}

static void recv_flags(enum kind k, int how)
{
    for (size_t i = 0; i < BITS; i++) {
        char b[64] = "", c[256];
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof(ss);
        struct iovec v = {b, 2};
        struct msghdr m = {.msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_name = &ss,
                           .msg_namelen = sizeof(ss),
                           .msg_control = c,
                           .msg_controllen = sizeof(c),
                           .msg_flags = 0x7777};
        struct mmsghdr mm = {.msg_hdr = m};
        static const char *const names[] = {"recv", "recvfrom", "recvmsg", "recvmmsg"};
        int sv[2], f = bits[i];
        long n;

        pair(k, sv);
        NEED(send(sv[0], "abc", 3, 0) == 3 && settle(sv[1], POLLIN));
        if (k == TCP)
            NEED(settle_bytes(sv[1], 3));
        n = how == 0   ? recv(sv[1], b, 2, f)
            : how == 1 ? recvfrom(sv[1], b, 2, f, (struct sockaddr *)&ss, &len)
            : how == 2 ? recvmsg(sv[1], &m, f)
                       : recvmmsg(sv[1], &mm, 1, f, NULL);
        result(names[how], kinds[k], (unsigned)f, n);
        if (how == 1)
            show("name", "%u, family %d", len, ss.ss_family);
        if (how == 3)
            m = mm.msg_hdr;
        if (how >= 2)
            show("msghdr", "flags %#x name %u control %zu", (unsigned)m.msg_flags, m.msg_namelen,
                 m.msg_controllen);
        if (how == 3 && n > 0)
            show("msg_len", "%u", mm.msg_len);
        result("left", kinds[k], (unsigned)f, recv(sv[1], b, sizeof(b), MSG_DONTWAIT));
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(recv_flags_tcp)
{
    recv_flags(TCP, 0);
    recv_flags(TCP, 2);
}

CHECK(recv_flags_tcp_more)
{
    recv_flags(TCP, 1);
    recv_flags(TCP, 3);
}

CHECK(recv_flags_udp)
{
    for (int how = 0; how < 4; how++)
        recv_flags(UDP, how);
}

CHECK(recv_flags_udp6)
{
    recv_flags(UDP6, 1);
    recv_flags(UDP6, 2);
}

CHECK(recv_flags_raw)
{
    recv_flags(RAW, 1);
    recv_flags(RAW, 2);
}

/* --- lengths --- */

CHECK(lengths)
{
    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        static char b[8]; /* the stack may lie less than 2 GiB below the end of addresses: EFAULT by chance */

        pair(k, sv);
        fcntl(sv[0], F_SETFL, O_NONBLOCK);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
        result("send 0", kinds[k], 0, send(sv[0], b, 0, 0));
        result("send NULL 0", kinds[k], 0, send(sv[0], NULL, 0, 0));
        result("write 0", kinds[k], 0, write(sv[0], b, 0));
        result("read 0", kinds[k], 0, read(sv[1], b, 0));
        nap(1);
        result("recv", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        result("recv", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        result("recv", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        result("recv", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        result("read too much", kinds[k], 0, read(sv[1], b, SIZE_MAX));
        result("read too much", kinds[k], 0, read(sv[1], b, SSIZE_MAX));
        result("recv too much", kinds[k], 0, recv(sv[1], b, SIZE_MAX, 0));
        result("write too much", kinds[k], 0, write(sv[0], b, SIZE_MAX));
        result("write at the end of memory", kinds[k], 0, write(sv[0], (void *)-4096, 8));
        result("read at the end of memory", kinds[k], 0, read(sv[1], (void *)-4096, 8));
        result("send at the end of memory", kinds[k], 0, send(sv[0], (void *)-8, 8, 0));
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(datagram_sizes)
{
    static char big[70000];
    static const int sizes[] = {65507, 65508, 65527, 65528, 65535, 65536, 70000};

    for (enum kind k = UDP; k < KINDS; k++) {
        int sv[2];

        pair(k, sv);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            result("send", kinds[k], (unsigned)sizes[i], send(sv[0], big, (size_t)sizes[i], 0));
        close(sv[0]);
        close(sv[1]);
    }
}

/* --- vectors --- */

static struct iovec many[1100];

CHECK(vector_counts)
{
    static const int counts[] = {-1, 0, 1, 1023, 1024, 1025, INT_MAX};
    static char b[4];

    for (size_t i = 0; i < 1100; i++)
        many[i] = (struct iovec){b, 1};
    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];

        pair(k, sv);
        fcntl(sv[0], F_SETFL, O_NONBLOCK);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            struct msghdr m = {.msg_iov = many, .msg_iovlen = (size_t)counts[i]};
            unsigned c = (unsigned)counts[i];

            result("writev", kinds[k], c, writev(sv[0], many, counts[i]));
            result("sendmsg", kinds[k], c, sendmsg(sv[0], &m, MSG_NOSIGNAL));
            result("readv", kinds[k], c, readv(sv[0], many, counts[i]));
            result("recvmsg", kinds[k], c, recvmsg(sv[0], &m, 0));
            result("pwritev2", kinds[k], c, pwritev2(sv[0], many, counts[i], -1, 0));
            result("preadv2", kinds[k], c, preadv2(sv[0], many, counts[i], -1, 0));
        }
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(vector_lengths)
{
    static char b[16] = "0123456789";

    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        struct iovec neg[2] = {{b, 4}, {b, (size_t)-1}}, sum[3] = {{b, 4}, {b, SSIZE_MAX}, {b, SSIZE_MAX}},
                     hole[3] = {{b, 2}, {NULL, 0}, {b + 2, 2}}, bad[3] = {{b, 2}, {(void *)1, 2}, {b, 2}},
                     none[2] = {{NULL, 0}, {(void *)1, 0}};
        struct msghdr m = {.msg_iov = neg, .msg_iovlen = 2};

        pair(k, sv);
        fcntl(sv[0], F_SETFL, O_NONBLOCK);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
        result("writev negative", kinds[k], 0, writev(sv[0], neg, 2));
        result("sendmsg negative", kinds[k], 0, sendmsg(sv[0], &m, 0));
        result("readv negative", kinds[k], 0, readv(sv[0], neg, 2));
        result("recvmsg negative", kinds[k], 0, recvmsg(sv[0], &m, 0));
        m.msg_iov = sum;
        m.msg_iovlen = 3;
        if (k != TCP) { /* a stream takes what there is memory for */
            result("writev overflow", kinds[k], 0, writev(sv[0], sum, 3));
            result("sendmsg overflow", kinds[k], 0, sendmsg(sv[0], &m, 0));
        }
        result("readv overflow", kinds[k], 0, readv(sv[0], sum, 3));
        result("recvmsg overflow", kinds[k], 0, recvmsg(sv[0], &m, 0));
        result("writev hole", kinds[k], 0, writev(sv[0], hole, 3));
        result("writev none", kinds[k], 0, writev(sv[0], none, 2));
        nap(1);
        result("readv hole", kinds[k], 0, readv(sv[1], hole, 3));
        result("readv none", kinds[k], 0, readv(sv[1], none, 2));
        if (k != TCP) /* how much of a stream is moved before the bad part is each stack's own */
            result("writev bad", kinds[k], 0, writev(sv[0], bad, 3));
        nap(1);
        result("read", kinds[k], 0, read(sv[1], b, sizeof(b)));
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        if (k != TCP)
            result("readv bad", kinds[k], 0, readv(sv[1], bad, 3));
        result("read", kinds[k], 0, read(sv[1], b, sizeof(b)));
        result("writev no array", kinds[k], 0, writev(sv[0], (void *)1, 2));
        result("writev NULL array", kinds[k], 0, writev(sv[0], NULL, 2));
        result("writev NULL array of none", kinds[k], 0, writev(sv[0], NULL, 0));
        result("readv NULL array of none", kinds[k], 0, readv(sv[0], NULL, 0));
        close(sv[0]);
        close(sv[1]);
    }
}

/* --- memory that ends within the buffer --- */

static char *edge(size_t there)
{
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(p != MAP_FAILED && mprotect(p + 4096, 8192, PROT_NONE) == 0);
    memset(p, 'e', 4096);
    return p + 4096 - there;
}

CHECK(partly_there)
{
    char b[64], *p = edge(10);

    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);

        pair(k, sv);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
        result("send", kinds[k], 20, send(sv[0], p, 20, 0));
        nap(1);
        result("recv", kinds[k], 20, recv(sv[1], b, sizeof(b), 0));
        NEED(send(sv[0], "0123456789abcdefghij", 20, 0) == 20 && settle(sv[1], POLLIN));
        if (k != TCP) /* how much of a stream was read is said by the next check */
            result("recv into it", kinds[k], 20, recv(sv[1], p, 20, 0));
        result("left", kinds[k], 20, recv(sv[1], b, sizeof(b), 0));
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        result("recvfrom, bad name", kinds[k], 0,
               recvfrom(sv[1], b, sizeof(b), 0, (struct sockaddr *)(void *)1, &len));
        result("left", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        len = 200000;
        result("recvfrom, long name", kinds[k], 0,
               recvfrom(sv[1], b, sizeof(b), 0, (struct sockaddr *)&ss, &len));
        show("length", "%u", len);
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        len = (socklen_t)-5;
        result("recvfrom, negative name", kinds[k], 0,
               recvfrom(sv[1], b, sizeof(b), 0, (struct sockaddr *)&ss, &len));
        result("left", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        result("recvfrom, name without length", kinds[k], 0,
               recvfrom(sv[1], b, sizeof(b), 0, (struct sockaddr *)&ss, NULL));
        result("left", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN));
        len = 7;
        result("recvfrom, length without name", kinds[k], 0, recvfrom(sv[1], b, sizeof(b), 0, NULL, &len));
        show("length", "%u", len);
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(stream_partly_there)
{
    char b[64], *p = edge(10);
    int sv[2];

    tcp_pair_nb(sv);
    NEED(send(sv[0], "0123456789abcdefghij", 20, 0) == 20 && settle_bytes(sv[1], 20));
    R(recv(sv[1], p + 10, 5, 0));
    R(recv(sv[1], p, 10, 0));
    TEXT(p, 10);
    R(recv(sv[1], b, sizeof(b), MSG_PEEK));
    R(recv(sv[1], p + 10, 5, MSG_PEEK));
    R(recv(sv[1], p + 10, 5, MSG_TRUNC));
    R(recv(sv[1], NULL, 2, MSG_TRUNC));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, 3);
}

/* --- msghdr --- */

static long with_msg(int s, struct msghdr m, int flags)
{
    return recvmsg(s, &m, flags);
}

CHECK(msghdr_fields)
{
    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        char b[16], c[64];
        struct iovec v = {b, sizeof(b)};
        struct sockaddr_storage ss;

        pair(k, sv);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
#define FEED() NEED(send(sv[0], "0123456789", 10, 0) == 10 && settle(sv[1], POLLIN))
#define LEFT() result("left", kinds[k], 0, recv(sv[1], b, sizeof(b), 0))
        FEED();
        result("negative namelen", kinds[k], 0,
               with_msg(sv[1],
                        (struct msghdr){
                            .msg_name = &ss, .msg_namelen = (socklen_t)-1, .msg_iov = &v, .msg_iovlen = 1},
                        0));
        LEFT();
        FEED();
        result("long namelen", kinds[k], 0,
               with_msg(sv[1],
                        (struct msghdr){.msg_name = &ss, .msg_namelen = 4000, .msg_iov = &v, .msg_iovlen = 1},
                        0));
        LEFT();
        FEED();
        result("namelen without name", kinds[k], 0,
               with_msg(sv[1], (struct msghdr){.msg_namelen = 16, .msg_iov = &v, .msg_iovlen = 1}, 0));
        LEFT();
        FEED();
        result("name of no length", kinds[k], 0,
               with_msg(sv[1], (struct msghdr){.msg_name = &ss, .msg_iov = &v, .msg_iovlen = 1}, 0));
        LEFT();
        FEED();
        result("bad name", kinds[k], 0,
               with_msg(
                   sv[1],
                   (struct msghdr){.msg_name = (void *)1, .msg_namelen = 16, .msg_iov = &v, .msg_iovlen = 1},
                   0));
        LEFT();
        FEED();
        result("bad control", kinds[k], 0,
               with_msg(sv[1],
                        (struct msghdr){
                            .msg_control = (void *)1, .msg_controllen = 64, .msg_iov = &v, .msg_iovlen = 1},
                        0));
        LEFT();
        FEED();
        result("huge control", kinds[k], 0,
               with_msg(sv[1],
                        (struct msghdr){
                            .msg_control = c, .msg_controllen = SIZE_MAX, .msg_iov = &v, .msg_iovlen = 1},
                        0));
        LEFT();
        FEED();
        result("no vector", kinds[k], 0, with_msg(sv[1], (struct msghdr){0}, 0));
        LEFT();
        FEED();
        result("vector of none", kinds[k], 0, with_msg(sv[1], (struct msghdr){.msg_iov = (void *)1}, 0));
        LEFT();
        FEED();
        result("bad vector", kinds[k], 0,
               with_msg(sv[1], (struct msghdr){.msg_iov = (void *)1, .msg_iovlen = 1}, 0));
        LEFT();
        FEED();
        result("NULL vector", kinds[k], 0, with_msg(sv[1], (struct msghdr){.msg_iovlen = 1}, 0));
        LEFT();
        result("NULL", kinds[k], 0, recvmsg(sv[1], NULL, 0));
        result("nothing there, bad name", kinds[k], 0,
               with_msg(
                   sv[1],
                   (struct msghdr){.msg_name = (void *)1, .msg_namelen = 16, .msg_iov = &v, .msg_iovlen = 1},
                   0));
        close(sv[0]);
        close(sv[1]);
    }
}

static long send_with(int s, struct msghdr m)
{
    return sendmsg(s, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

CHECK(sent_msghdr_fields)
{
    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        char c[256] = "";
        struct iovec v = {"abc", 3};
        struct sockaddr_storage ss = {0};
        struct cmsghdr *h = (struct cmsghdr *)c;

        pair(k, sv);
#define SEND(...) result(#__VA_ARGS__, kinds[k], 0, send_with(sv[0], (struct msghdr){__VA_ARGS__}))
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_flags = -1);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_namelen = 16);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_name = (void *)1);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_name = (void *)1, .msg_namelen = 16);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_name = &ss, .msg_namelen = (socklen_t)-1);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_name = &ss, .msg_namelen = 2);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_name = &ss, .msg_namelen = 1);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = (void *)1, .msg_controllen = 64);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = NULL, .msg_controllen = 64);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = (void *)1, .msg_controllen = 0);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = SIZE_MAX);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 1);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 15);
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 16);
        h->cmsg_len = 15;
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 64);
        h->cmsg_len = 65;
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 64);
        h->cmsg_len = SIZE_MAX;
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = 64);
        *h = (struct cmsghdr){CMSG_LEN(4), 4711, 1};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, 4711};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SO_MARK};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), IPPROTO_IP, IP_TTL};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *(int *)CMSG_DATA(h) = 256;
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), IPPROTO_IP, 4711};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(2), IPPROTO_IP, IP_TOS};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(0), IPPROTO_IP, IP_TOS};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), IPPROTO_IPV6, IPV6_HOPLIMIT};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        *h = (struct cmsghdr){CMSG_LEN(4), IPPROTO_IPV6, 4711};
        SEND(.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(4));
        SEND(.msg_iov = NULL, .msg_iovlen = 0);
        SEND(.msg_iov = (void *)1, .msg_iovlen = 0);
        SEND(.msg_iov = (void *)1, .msg_iovlen = 1);
        close(sv[0]);
        close(sv[1]);
    }
}

CHECK(many_messages)
{
    for (enum kind k = TCP; k < KINDS; k++) {
        int sv[2];
        char b[8];
        struct iovec v = {"abc", 3}, in = {b, sizeof(b)};
        struct mmsghdr mm[4] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = (void *)1, .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};
        struct mmsghdr ri[4] = {{.msg_hdr = {.msg_iov = &in, .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = (void *)1, .msg_iovlen = 1}}};
        struct timespec bad = {0, 1000000000}, neg = {-1, 0}, zero = {0, 0};

        pair(k, sv);
        fcntl(sv[1], F_SETFL, O_NONBLOCK);
        result("sendmmsg", kinds[k], 4, sendmmsg(sv[0], mm, 4, 0));
        result("sendmmsg", kinds[k], 2, sendmmsg(sv[0], mm + 2, 2, 0));
        result("sendmmsg", kinds[k], 0, sendmmsg(sv[0], mm, 0, 0));
        result("sendmmsg", kinds[k], 0, sendmmsg(sv[0], NULL, 0, 0));
        result("sendmmsg", kinds[k], 1, sendmmsg(sv[0], NULL, 1, 0));
        nap(1);
        result("recvmmsg", kinds[k], 4, recvmmsg(sv[1], ri, 4, 0, NULL));
        result("recvmmsg", kinds[k], 4, recvmmsg(sv[1], ri + 1, 1, 0, NULL));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], ri, 0, 0, NULL));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], ri, 1, 0, &bad));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], ri, 1, 0, &neg));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], ri, 1, 0, (void *)1));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], NULL, 1, 0, &zero));
        result("recvmmsg", kinds[k], 0, recvmmsg(sv[1], ri, 1, MSG_ERRQUEUE, &zero));
        result("recv", kinds[k], 0, recv(sv[1], b, sizeof(b), 0));
        close(sv[0]);
        close(sv[1]);
    }
}

/* --- flags of preadv2 and pwritev2 --- */

CHECK(rwf)
{
    static const int flags[] = {RWF_HIPRI,
                                RWF_DSYNC,
                                RWF_SYNC,
                                RWF_NOWAIT,
                                RWF_APPEND,
                                0x20,
                                0x40,
                                0x80,
                                0x100,
                                1 << 30,
                                RWF_NOWAIT | RWF_HIPRI};

    for (enum kind k = TCP; k < KINDS; k++) {
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
            int sv[2];
            char b[8];
            struct iovec v = {"abc", 3}, in = {b, sizeof(b)};

            pair(k, sv);
            result("pwritev2", kinds[k], (unsigned)flags[i], pwritev2(sv[0], &v, 1, -1, flags[i]));
            NEED(send(sv[0], "def", 3, 0) == 3 && settle(sv[1], POLLIN));
            nap(1);
            result("preadv2", kinds[k], (unsigned)flags[i], preadv2(sv[1], &in, 1, -1, flags[i]));
            result("preadv2 of none", kinds[k], (unsigned)flags[i], preadv2(sv[1], &in, 0, -1, flags[i]));
            while (recv(sv[1], b, sizeof(b), MSG_DONTWAIT) > 0)
                ;
            if (flags[i] & RWF_NOWAIT)
                result("preadv2 empty", kinds[k], (unsigned)flags[i], preadv2(sv[1], &in, 1, -1, flags[i]));
            close(sv[0]);
            close(sv[1]);
        }
    }
}
