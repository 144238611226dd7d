/* test_sock_place.c: which sockets go where (design section 2), in both profiles. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct sock *new_sock(struct env *e, int domain, int type)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, domain, type, 0, &s), 0);
    return s;
}

static int decide(struct env *e, struct sock *s, enum sock_op op, uint32_t addr)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = addr};

    return sock_decide(e->st, s, op, (struct sockaddr *)&a, sizeof a);
}

Test(sock_place, bind_by_address)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_STREAM);

    cr_assert_eq(s->file.placement, PLACE_UNDECIDED);
    cr_assert_eq(decide(e, s, SOCK_OP_BIND, 0), PLACE_BOTH);
    cr_assert_eq(decide(e, s, SOCK_OP_BIND, ENV_IP), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_BIND, htonl(INADDR_LOOPBACK)), PLACE_KERNEL);
    cr_assert_eq(decide(e, s, SOCK_OP_BIND, ENV_OTHER_IP), PLACE_KERNEL);
    cr_assert_eq(decide(e, s, SOCK_OP_LISTEN, 0), PLACE_BOTH);
    cr_assert_eq(s->file.placement, PLACE_UNDECIDED, "deciding changes nothing");
}

Test(sock_place, connect_by_route)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_STREAM);
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};

    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_PEER_IP), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_IP), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, htonl(INADDR_LOOPBACK)), PLACE_KERNEL);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, 0), PLACE_KERNEL);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_OTHER_IP), PLACE_KERNEL);
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_CONNECT, &unspec, sizeof unspec), PLACE_UNDECIDED);
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_CONNECT, &unspec, 1), PLACE_UNDECIDED,
                 "too short an address decides nothing");
}

Test(sock_place, decided_stays_both_looks_at_the_peer)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_STREAM);

    sock_set_placement(e->st, s, PLACE_BOTH);
    cr_assert_eq(decide(e, s, SOCK_OP_LISTEN, 0), PLACE_BOTH);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_PEER_IP), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_OTHER_IP), PLACE_KERNEL);
    sock_set_placement(e->st, s, PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_OTHER_IP), PLACE_STACK);
}

Test(sock_place, datagrams_go_by_destination_unless_bound)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_DGRAM);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = ENV_IP};

    cr_assert_eq(decide(e, s, SOCK_OP_SEND, ENV_PEER_IP), PLACE_STACK);
    sock_set_placement(e->st, s, PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_SEND, htonl(INADDR_LOOPBACK)), PLACE_KERNEL);
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_SEND, NULL, 0), PLACE_STACK);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&own, sizeof own), 0);
    cr_assert_eq(decide(e, s, SOCK_OP_SEND, htonl(INADDR_LOOPBACK)), PLACE_STACK);
}

Test(sock_place, isolate_takes_everything)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = new_sock(e, AF_INET, SOCK_STREAM);

    cr_assert_eq(decide(e, s, SOCK_OP_BIND, 0), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, htonl(INADDR_LOOPBACK)), PLACE_STACK);
    cr_assert_eq(decide(e, s, SOCK_OP_CONNECT, ENV_OTHER_IP), PLACE_STACK);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = ENV_OTHER_IP};
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&a, sizeof a), -ENETUNREACH);
}

Test(sock_place, mapped_addresses_count_as_their_ipv4)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET6, SOCK_STREAM);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct ipaddr peer = ipaddr_v4(ENV_PEER_IP);

    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_BIND, (struct sockaddr *)&a, sizeof a), PLACE_BOTH);
    memcpy(&a.sin6_addr, peer.b, 16);
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_CONNECT, (struct sockaddr *)&a, sizeof a), PLACE_STACK);
    a.sin6_addr = in6addr_loopback;
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_CONNECT, (struct sockaddr *)&a, sizeof a), PLACE_KERNEL);
}

Test(sock_place, options_are_recorded_in_order_and_replaced)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_STREAM);
    int v = 1, level, name, got;
    socklen_t len = sizeof got;

    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v), 0);
    v = 0;
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, 9999, &v, sizeof v), -ENOPROTOOPT);
    cr_assert_eq(sock_opt_recorded(s, 0, &level, &name, &got, &len), 0);
    cr_assert_eq(name, SO_KEEPALIVE);
    len = sizeof got;
    cr_assert_eq(sock_opt_recorded(s, 1, &level, &name, &got, &len), 0);
    cr_assert_eq(name, SO_REUSEADDR);
    cr_assert_eq(got, 0);
    cr_assert_eq(len, sizeof v);
    cr_assert_eq(sock_opt_recorded(s, 2, &level, &name, &got, &len), -ENOENT);
    sock_set_placement(e->st, s, PLACE_STACK);
    cr_assert_eq(sock_opt_recorded(s, 0, &level, &name, &got, &len), -ENOENT);
}

Test(sock_place, device_of_the_host_means_kernel)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e, AF_INET, SOCK_DGRAM);

    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_BINDTODEVICE, "wlan7", 6), 0);
    cr_assert_eq(decide(e, s, SOCK_OP_SEND, ENV_PEER_IP), PLACE_KERNEL);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
    cr_assert_eq(decide(e, s, SOCK_OP_SEND, ENV_PEER_IP), PLACE_STACK);
}
