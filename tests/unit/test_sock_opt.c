/* test_sock_opt.c: options: what is refused, what comes back, lengths. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>

#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct env *e;

static struct sock *new_sock(int domain, int type)
{
    struct sock *s;

    e = e ? e : env_stack(NULL);
    cr_assert_eq(sock_new(e->st, domain, type, 0, &s), 0);
    return s;
}

static int set(struct sock *s, int level, int name, int v)
{
    return sock_setsockopt(e->st, s, level, name, &v, sizeof v);
}

static int get(struct sock *s, int level, int name)
{
    int v = -12345;
    socklen_t len = sizeof v;
    int r = sock_getsockopt(e->st, s, level, name, &v, &len);

    return r ? r : v;
}

Test(sock_opt, bsdcompat_is_nothing)
{
    struct sock *s = new_sock(AF_INET, SOCK_DGRAM);

    cr_assert_eq(set(s, SOL_SOCKET, SO_BSDCOMPAT, 1), 0);
    cr_assert_eq(get(s, SOL_SOCKET, SO_BSDCOMPAT), 0);
    cr_assert_eq(get(s, SOL_SOCKET, SO_INCOMING_CPU), -1);
}

Test(sock_opt, booleans_come_back_as_one)
{
    static const struct {
        int level, name;
    } o[] = {{SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE},
             {SOL_SOCKET, SO_BROADCAST}, {SOL_SOCKET, SO_DONTROUTE}, {SOL_SOCKET, SO_OOBINLINE},
             {SOL_SOCKET, SO_TIMESTAMP}, {IPPROTO_IP, IP_FREEBIND},  {IPPROTO_IP, IP_RECVERR},
             {IPPROTO_IP, IP_PKTINFO},   {IPPROTO_IP, IP_RECVTTL}};
    int types[] = {SOCK_STREAM, SOCK_DGRAM};

    for (unsigned t = 0; t < 2; t++) {
        struct sock *s = new_sock(AF_INET, types[t]);

        for (unsigned i = 0; i < sizeof o / sizeof o[0]; i++) {
            cr_assert_eq(get(s, o[i].level, o[i].name), 0, "option %u", i);
            cr_assert_eq(set(s, o[i].level, o[i].name, 55), 0, "option %u", i);
            cr_assert_eq(get(s, o[i].level, o[i].name), 1, "option %u", i);
            cr_assert_eq(set(s, o[i].level, o[i].name, 0), 0, "option %u", i);
            cr_assert_eq(get(s, o[i].level, o[i].name), 0, "option %u", i);
        }
    }
}

Test(sock_opt, identity)
{
    struct sock *s = new_sock(AF_INET6, SOCK_DGRAM);

    cr_assert_eq(get(s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    cr_assert_eq(get(s, SOL_SOCKET, SO_DOMAIN), AF_INET6);
    cr_assert_eq(get(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    cr_assert_eq(set(s, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
}

Test(sock_opt, buffers_are_doubled_and_bounded)
{
    int types[] = {SOCK_STREAM, SOCK_DGRAM};

    for (int t = 0; t < 2; t++) {
        struct sock *s = new_sock(AF_INET, types[t]);

        cr_assert_eq(set(s, SOL_SOCKET, SO_SNDBUF, 10000), 0);
        cr_assert_eq(get(s, SOL_SOCKET, SO_SNDBUF), 20000);
        cr_assert_eq(set(s, SOL_SOCKET, SO_SNDBUF, 1), 0);
        cr_assert_eq(get(s, SOL_SOCKET, SO_SNDBUF), 4608);
        cr_assert_eq(set(s, SOL_SOCKET, SO_RCVBUF, 1), 0);
        cr_assert_eq(get(s, SOL_SOCKET, SO_RCVBUF), 2304);
        cr_assert_eq(set(s, SOL_SOCKET, SO_RCVBUF, 1 << 30), 0);
        cr_assert_eq(get(s, SOL_SOCKET, SO_RCVBUF), 2 * (int)e->st->set.rmem_max);
        cr_assert_eq(set(s, SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24), 0);
        cr_assert_eq(get(s, SOL_SOCKET, SO_RCVBUF), 1 << 25);
    }
}

Test(sock_opt, timeouts)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);
    struct timeval tv = {.tv_sec = 2, .tv_usec = 500}, got;
    socklen_t len = sizeof got;

    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    cr_assert_eq(s->more->rcvtimeo_us, 2000500);
    cr_assert_eq(sock_getsockopt(e->st, s, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
    cr_assert_eq(got.tv_sec, 2);
    cr_assert_eq(got.tv_usec, 500);
    tv.tv_usec = 1000000;
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), -EDOM);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_RCVTIMEO, &tv, 8), -EINVAL);
}

Test(sock_opt, lengths)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);
    uint8_t byte = 0x10;
    char buf[8] = {0};
    socklen_t len = 1;
    int v = 1;

    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_REUSEADDR, &v, 3), -EINVAL);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1), -EINVAL);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_TOS, &byte, 1), 0);
    cr_assert_eq(sock_getsockopt(e->st, s, IPPROTO_IP, IP_TOS, buf, &len), 0);
    cr_assert_eq(len, 1);
    cr_assert_eq(buf[0], 0x10);
    len = 2;
    cr_assert_eq(sock_getsockopt(e->st, s, SOL_SOCKET, SO_TYPE, buf, &len), 0);
    cr_assert_eq(len, 2);
    len = 100;
    cr_assert_eq(sock_getsockopt(e->st, s, SOL_SOCKET, SO_TYPE, buf, &len), 0);
    cr_assert_eq(len, 4);
}

Test(sock_opt, ttl_and_tos_bounds)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);

    cr_assert_eq(get(s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(set(s, IPPROTO_IP, IP_TTL, 0), -EINVAL);
    cr_assert_eq(set(s, IPPROTO_IP, IP_TTL, 256), -EINVAL);
    cr_assert_eq(set(s, IPPROTO_IP, IP_TTL, 3), 0);
    cr_assert_eq(get(s, IPPROTO_IP, IP_TTL), 3);
    cr_assert_eq(set(s, IPPROTO_IP, IP_TTL, -1), 0);
    cr_assert_eq(get(s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(set(s, IPPROTO_IP, IP_TOS, 0xff), 0);
    cr_assert_eq(get(s, IPPROTO_IP, IP_TOS), 0xfc, "the ECN bits are TCP's");
}

Test(sock_opt, unknown_ones)
{
    struct sock *t = new_sock(AF_INET, SOCK_STREAM), *u = new_sock(AF_INET, SOCK_DGRAM);

    cr_assert_eq(set(t, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(get(t, SOL_SOCKET, 9999), -ENOPROTOOPT);
    cr_assert_eq(set(t, IPPROTO_IP, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(set(t, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(set(t, 12345, 1, 1), -ENOPROTOOPT);
    cr_assert_eq(set(u, IPPROTO_TCP, 1, 1), -ENOPROTOOPT);
    cr_assert_eq(set(t, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT, "not of AF_INET");
}

Test(sock_opt, v6only_before_bind_alone)
{
    struct sock *s = new_sock(AF_INET6, SOCK_STREAM);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};

    cr_assert_eq(get(s, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    cr_assert_eq(set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
    cr_assert_eq(get(s, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(set(s, IPPROTO_IPV6, IPV6_V6ONLY, 0), -EINVAL);
    cr_assert_eq(get(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
}
