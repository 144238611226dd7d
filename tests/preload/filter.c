/* filter.c: SO_ATTACH_FILTER and its like: what is accepted, what a program sees, what it cuts off. */
#include "check.h"

#include <linux/filter.h>
#include <linux/if_ether.h>

static int attach(int fd, const struct sock_filter *f, unsigned n)
{
    struct sock_fprog fp = {.len = (unsigned short)n, .filter = (struct sock_filter *)f};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp));
}
#define ATTACH(fd, ...)                                                                                      \
    attach(fd, (struct sock_filter[]){__VA_ARGS__},                                                          \
           sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter))

/* A datagram through the program that ends with RET A: the length that arrives is A less 8. */
static void returns(const char *what, int sv[2], const struct sock_filter *f, unsigned n)
{
    char b[256] = {0};

    if (attach(sv[1], f, n) < 0) {
        show(what, "refused %s", errname(errno));
        return;
    }
    for (unsigned i = 0; i < sizeof(b); i++)
        b[i] = (char)i;
    NEED(send(sv[0], b, 200, 0) == 200);
    if (poll_for(sv[1], POLLIN, QUIET_MS) & POLLIN)
        show(what, "%zd", recv(sv[1], b, sizeof(b), 0));
    else
        show(what, "nothing");
}
#define RETURNS(sv, ...)                                                                                     \
    returns(#__VA_ARGS__, sv, (struct sock_filter[]){__VA_ARGS__},                                           \
            sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter))
#define RETA BPF_STMT(BPF_RET | BPF_A, 0)

CHECK(refused)
{
    struct sock_filter ok[] = {BPF_STMT(BPF_RET | BPF_K, 100)};
    struct sock_fprog fp = {.len = 1, .filter = ok};
    static struct sock_filter many[5000];
    int s = udp4();

    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp) - 1));
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, 4));
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, 3));
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, NULL, sizeof(fp)));
    fp.filter = NULL;
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)));
    fp.filter = (void *)8;
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)));
    R(attach(s, ok, 0));
    for (unsigned i = 0; i < 5000; i++)
        many[i] = ok[0];
    R(attach(s, many, 4096));
    R(attach(s, many, 4097));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_IMM, 1)));
    R(ATTACH(s, BPF_STMT(0xffff, 1), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 31), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ST, 16), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ST, 15), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_MEM, 3), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), ok[0]));
    R(ATTACH(s, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_ST, 3),
             BPF_STMT(BPF_LD | BPF_MEM, 3), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_JMP | BPF_JA, 1), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_JMP | BPF_JA, 0), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), ok[0]));
    R(ATTACH(s, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), ok[0]));
    R(ATTACH(s, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 255), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + 1), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + 64), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_CPU), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffff0), ok[0]));
    R(ATTACH(s, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0x7fffffff), ok[0]));
    R(setsockopt(s, SOL_SOCKET, SO_ATTACH_BPF, &(int){-1}, 3));
}

CHECK(detach_lock_get)
{
    struct sock_filter f[3] = {BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_RET | BPF_A, 0)}, got[4];
    int s = udp4(), v = 0;
    socklen_t len = 0;

    R(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    R(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
    V(len);
    NEED(attach(s, f, 2) == 0);
    R(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
    V(len);
    len = 1;
    R(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
    len = 4;
    R(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
    V(len);
    V(memcmp(got, f, 2 * sizeof(f[0])));
    R(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    R(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    NEED(attach(s, f, 2) == 0);
    len = sizeof(v);
    R(getsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, &len));
    V(v);
    v = 5;
    R(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    R(getsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, &len));
    V(v);
    R(attach(s, f, 2));
    R(attach(s, f, 0));
    R(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    v = 0;
    R(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
}

CHECK(what_udp_sees)
{
    int sv[2];

    udp_pair(sv);
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 0));
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 1));
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 8));
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 9));
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 207));
    RETURNS(sv, BPF_STMT(BPF_RET | BPF_K, 0xffffffff));
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 10), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8 + 100), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8 + 199), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8 + 200), BPF_STMT(BPF_RET | BPF_K, 50));
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8 + 197), BPF_STMT(BPF_RET | BPF_K, 50));
    RETURNS(sv, BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 8 + 24), BPF_STMT(BPF_MISC | BPF_TXA, 0), RETA);
    RETURNS(sv, BPF_STMT(BPF_LDX | BPF_IMM, 50), BPF_STMT(BPF_LD | BPF_B | BPF_IND, 10), RETA);
    RETURNS(sv, BPF_STMT(BPF_LDX | BPF_IMM, 50), BPF_STMT(BPF_LD | BPF_B | BPF_IND, (unsigned)-10), RETA);
    RETURNS(sv, BPF_STMT(BPF_LDX | BPF_IMM, 5), BPF_STMT(BPF_LD | BPF_B | BPF_IND, (unsigned)-10),
            BPF_STMT(BPF_RET | BPF_K, 99));
}

CHECK(headers_below)
{
    int sv[2];

    udp_pair(sv);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned)SKF_NET_OFF + 2),
            BPF_STMT(BPF_ALU | BPF_SUB, 100), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + 9), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned)SKF_LL_OFF + 12), BPF_STMT(BPF_ALU | BPF_RSH, 4),
            RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned)SKF_LL_OFF - 1), BPF_STMT(BPF_RET | BPF_K, 99));
}

CHECK(ancillary)
{
    int sv[2];

    udp_pair(sv);
#define AD(x) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_##x)
    RETURNS(sv, AD(PROTOCOL), BPF_STMT(BPF_ALU | BPF_RSH, 4), RETA);
    RETURNS(sv, AD(PKTTYPE), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(IFINDEX), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(HATYPE), BPF_STMT(BPF_ALU | BPF_RSH, 3), RETA);
    RETURNS(sv, AD(MARK), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(VLAN_TAG_PRESENT), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(VLAN_TAG), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(NLATTR), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, AD(PAY_OFFSET), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, BPF_STMT(BPF_LD | BPF_IMM, 60), BPF_STMT(BPF_LDX | BPF_IMM, 9), AD(ALU_XOR_X), RETA);
}

CHECK(arithmetic)
{
    int sv[2];

    udp_pair(sv);
#define A(k) BPF_STMT(BPF_LD | BPF_IMM, k)
#define X(k) BPF_STMT(BPF_LDX | BPF_IMM, k)
    RETURNS(sv, A(100), X(0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 50));
    RETURNS(sv, A(100), X(0), BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 50));
    RETURNS(sv, A(100), X(7), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RETA);
    RETURNS(sv, A(100), X(7), BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_ADD, 20), RETA);
    RETURNS(sv, A(1), X(37), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), RETA);
    RETURNS(sv, A(0xffffff00), BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_SUB, 150), RETA);
    RETURNS(sv, A(0xf0), BPF_STMT(BPF_ALU | BPF_AND, 0x3f), RETA);
    RETURNS(sv, A(0xf0), BPF_STMT(BPF_ALU | BPF_XOR, 0xaa), RETA);
    RETURNS(sv, A(20), BPF_STMT(BPF_ST, 9), A(1), BPF_STMT(BPF_LDX | BPF_MEM, 9),
            BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), RETA);
    RETURNS(sv, A(0x80000000), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1), BPF_STMT(BPF_RET | BPF_K, 30),
            BPF_STMT(BPF_RET | BPF_K, 40));
    RETURNS(sv, A(6), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 1, 0), BPF_STMT(BPF_RET | BPF_K, 30),
            BPF_STMT(BPF_RET | BPF_K, 40));
    RETURNS(sv, A(6), X(6), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 1, 0), BPF_STMT(BPF_RET | BPF_K, 30),
            BPF_STMT(BPF_RET | BPF_K, 40));
}

CHECK(listener_refuses_all)
{
    struct sockaddr_in a;
    int l = listen4(&a), s = tcp4();

    R(ATTACH(l, BPF_STMT(BPF_RET | BPF_K, 0)));
    NEED(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
    R(connect(s, SA(a)));
    EV(poll_for(s, POLLOUT, QUIET_MS));
    R(setsockopt(l, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
}

CHECK(stream)
{
    struct sockaddr_in a;
    int l = listen4(&a), s = tcp4(), c;
    char b[16];
    socklen_t len = 0;

    R(ATTACH(l, BPF_STMT(BPF_RET | BPF_K, 0xffff)));
    R(setsockopt(l, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)));
    R(connect(s, SA(a)));
    c = accept(l, NULL, NULL);
    NEED(c >= 0);
    R(getsockopt(c, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
    V(len);
    R(ATTACH(c, BPF_STMT(BPF_RET | BPF_K, 0)));
    R(send(s, "hello", 5, 0));
    EV(poll_for(c, POLLIN, SETTLE_MS));
    R(recv(c, b, sizeof(b), 0));
    R(ATTACH(s, BPF_STMT(BPF_RET | BPF_K, 0)));
    R(send(c, "lost", 4, 0));
    EV(poll_for(s, POLLIN, QUIET_MS));
    R(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
    EV(poll_for(s, POLLIN, SETTLE_MS * 2)); /* retransmitted */
    R(recv(s, b, sizeof(b), 0));
}
