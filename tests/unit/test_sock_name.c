/* test_sock_name.c: bind, names and sockaddrs: lengths, families, addresses that aren't ours. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

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

static int bind4(struct sock *s, int family, uint32_t addr, uint16_t port, socklen_t len)
{
    struct sockaddr_in a = {
        .sin_family = (sa_family_t)family, .sin_port = htons(port), .sin_addr.s_addr = addr};

    return sock_bind(e->st, s, (struct sockaddr *)&a, len);
}

static int bind6(struct sock *s, const struct in6_addr *addr, uint16_t port, socklen_t len)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *addr};

    return sock_bind(e->st, s, (struct sockaddr *)&a, len);
}

static int bind6_zone(struct sock *s, const struct in6_addr *addr, uint16_t port, uint32_t zone)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *addr, .sin6_scope_id = zone};

    return sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a);
}

Test(sock_name, bind_checks_its_arguments)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);

    cr_assert_eq(bind4(s, AF_INET, 0, 80, 15), -EINVAL);
    cr_assert_eq(bind4(s, AF_INET6, 0, 80, 16), -EAFNOSUPPORT);
    cr_assert_eq(bind4(s, AF_UNSPEC, ENV_IP, 80, 16), -EAFNOSUPPORT);
    cr_assert_eq(bind4(s, AF_INET, ENV_OTHER_IP, 80, 16), -EADDRNOTAVAIL);
    cr_assert_eq(bind4(s, AF_UNSPEC, 0, 80, 16), 0, "as BSD: AF_UNSPEC and INADDR_ANY");
    cr_assert_eq(bind4(s, AF_INET, 0, 81, 16), -EINVAL, "twice");
}

Test(sock_name, freebind_takes_any_address)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);
    int one = 1;

    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_FREEBIND, &one, sizeof one), 0);
    cr_assert_eq(bind4(s, AF_INET, ENV_OTHER_IP, 80, 16), 0);
}

Test(sock_name, v6_bind)
{
    struct sock *s = new_sock(AF_INET6, SOCK_STREAM), *o = new_sock(AF_INET6, SOCK_STREAM);
    struct ipaddr own = ipaddr_v4(ENV_IP);
    struct in6_addr mapped;
    struct sockaddr_in6 got;
    socklen_t len = sizeof got;
    int one = 1;

    memcpy(&mapped, own.b, 16);
    cr_assert_eq(bind6(s, &in6addr_any, 80, 23), -EINVAL);
    cr_assert_eq(bind4(s, AF_INET, 0, 80, 16), -EINVAL);
    cr_assert_eq(bind6(s, &mapped, 80, 28), 0);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&got, &len), 0);
    cr_assert_eq(got.sin6_family, AF_INET6);
    cr_assert(IN6_IS_ADDR_V4MAPPED(&got.sin6_addr));
    sock_setsockopt(e->st, o, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    cr_assert_eq(bind6(o, &mapped, 81, 28), -EINVAL);
}

/* inet6_bind. */
Test(sock_name, v6_addresses)
{
    struct sock *s = new_sock(AF_INET6, SOCK_STREAM), *u = new_sock(AF_INET6, SOCK_DGRAM);
    struct in6_addr own, ll, group, other;
    struct ipaddr a;

    inet_pton(AF_INET6, "2001:db8::2", &own);
    inet_pton(AF_INET6, "2001:db8::3", &other);
    inet_pton(AF_INET6, "fe80::2", &ll);
    inet_pton(AF_INET6, "ff02::9", &group);
    memcpy(a.b, &own, 16);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &a, 64), 0);
    memcpy(a.b, &ll, 16);
    ipaddr_set_zone(&a, ENV_IF + 1);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &a, 64), 0);
    cr_assert_eq(bind6(s, &other, 80, 28), -EADDRNOTAVAIL);
    cr_assert_eq(bind6(s, &group, 80, 28), -EINVAL, "no stream from a group");
    cr_assert_eq(bind6(s, &ll, 80, 28), -EINVAL, "of which link?");
    cr_assert_eq(bind6_zone(s, &ll, 80, 9), -ENODEV);
    cr_assert_eq(bind6_zone(s, &ll, 80, (uint32_t)stack_if_shown(e->st, 0)), -EADDRNOTAVAIL);
    cr_assert_eq(bind6_zone(s, &ll, 80, (uint32_t)stack_if_shown(e->st, ENV_IF)), 0);
    cr_assert_eq(s->pcb->ifindex, ENV_IF, "it is bound to the link");
    cr_assert_eq(bind6(u, &own, 80, 28), 0);
}

Test(sock_name, v6_link_local_names_have_their_scope)
{
    struct sock *s = new_sock(AF_INET6, SOCK_DGRAM);
    struct sockaddr_in6 got;
    socklen_t len = sizeof got;
    struct in6_addr ll;
    struct ipaddr a;

    inet_pton(AF_INET6, "fe80::2", &ll);
    memcpy(a.b, &ll, 16);
    ipaddr_set_zone(&a, ENV_IF + 1);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &a, 64), 0);
    cr_assert_eq(bind6_zone(s, &ll, 80, (uint32_t)stack_if_shown(e->st, ENV_IF)), 0);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&got, &len), 0);
    cr_assert_eq(memcmp(&got.sin6_addr, &ll, 16), 0, "no zone inside the address");
    cr_assert_eq(got.sin6_scope_id, (uint32_t)stack_if_shown(e->st, ENV_IF));
}

Test(sock_name, names_are_cut_and_lengths_told)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);
    struct sockaddr_in a;
    socklen_t len = 4;

    memset(&a, 0xaa, sizeof a);
    cr_assert_eq(bind4(s, AF_INET, ENV_IP, 80, 16), 0);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(len, sizeof a);
    cr_assert_eq(a.sin_port, htons(80));
    cr_assert_eq(a.sin_addr.s_addr, 0xaaaaaaaa);
    len = (socklen_t)-1;
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), -EINVAL);
    len = sizeof a;
    cr_assert_eq(sock_getpeername(s, (struct sockaddr *)&a, &len), -ENOTCONN);
}

Test(sock_name, no_port_until_connect)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int one = 1;

    sock_setsockopt(e->st, s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    cr_assert_eq(bind4(s, AF_INET, ENV_IP, 0, 16), 0);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(a.sin_port, 0);
    cr_assert_eq(a.sin_addr.s_addr, ENV_IP);
    a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = ENV_PEER_IP};
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, sizeof a), -EINPROGRESS);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_neq(a.sin_port, 0);
}

Test(sock_name, connect_checks_its_arguments)
{
    struct sock *s = new_sock(AF_INET, SOCK_STREAM), *s6 = new_sock(AF_INET6, SOCK_STREAM);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = ENV_PEER_IP};

    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, 1), -EINVAL);
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, 15), -EINVAL);
    cr_assert_eq(sock_connect(e->st, s6, (struct sockaddr *)&a, 16), -EINVAL);
    a.sin_family = AF_UNIX;
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, 16), -EAFNOSUPPORT);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = IP4(224, 0, 0, 1);
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, 16), -ENETUNREACH);
}
