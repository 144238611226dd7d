/* test_ifnet.c: interfaces, addresses, and what the stack covers. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/ifnet.h"
#include "../../stack/route.h"
#include "env.h"

static bool local(struct env *e, uint32_t a)
{
    struct ipaddr x = ipaddr_v4(a);

    return ip_is_local(e->st, &x);
}

static bool covers(struct env *e, uint32_t a)
{
    struct ipaddr x = ipaddr_v4(a);

    return ip_covers(e->st, &x);
}

static bool bcast(struct env *e, uint32_t a)
{
    struct ipaddr x = ipaddr_v4(a);

    return ip_is_broadcast(e->st, &x);
}

Test(ifnet, local_and_covered_in_profile_default)
{
    struct env *e = env_net(NULL);
    struct ipaddr any = IPADDR_ANY, v6lo = {.b = {[15] = 1}};

    cr_assert(local(e, ENV_IP));
    cr_assert_not(local(e, ENV_PEER_IP));
    cr_assert_not(local(e, IP4(127, 0, 0, 1)));
    cr_assert(covers(e, ENV_IP));
    cr_assert(covers(e, ENV_PEER_IP));
    cr_assert_not(covers(e, ENV_OTHER_IP));
    cr_assert_not(covers(e, IP4(127, 0, 0, 1)));
    cr_assert_not(covers(e, 0));
    cr_assert_not(ip_covers(e->st, &any));
    cr_assert_not(ip_covers(e->st, &v6lo));
}

Test(ifnet, isolate_takes_everything)
{
    struct env_config cfg = {.isolate = true, .no_if = true};
    struct env *e = env_net(&cfg);
    struct ipaddr any = IPADDR_ANY, v6lo = {.b = {[15] = 1}};

    cr_assert(local(e, IP4(127, 0, 0, 1)));
    cr_assert(local(e, IP4(127, 1, 2, 3)));
    cr_assert(ip_is_local(e->st, &v6lo));
    cr_assert(covers(e, ENV_OTHER_IP));
    cr_assert(ip_covers(e->st, &any));
}

Test(ifnet, default_route_covers_the_world)
{
    struct env *e = env_net(NULL);
    struct ipaddr net = ipaddr_v4(0), via = ipaddr_v4(ENV_PEER_IP);

    cr_assert_eq(route_add(e->st, &net, 0, &via, ENV_IF), 0);
    cr_assert(covers(e, ENV_OTHER_IP));
    cr_assert_not(covers(e, IP4(127, 0, 0, 1)));
}

Test(ifnet, broadcast_addresses)
{
    struct env *e = env_net(NULL);
    struct ipaddr p2p = ipaddr_v4(IP4(192, 0, 2, 1));

    cr_assert(bcast(e, IP4(255, 255, 255, 255)));
    cr_assert(bcast(e, IP4(198, 18, 0, 255)));
    cr_assert_not(bcast(e, IP4(198, 18, 1, 255)));
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &p2p, 31), 0);
    cr_assert_not(bcast(e, IP4(192, 0, 2, 1))); /* RFC 3021: a /31 has none */
}

Test(ifnet, add_refusals_and_second_address)
{
    struct env *e = env_net(NULL);
    struct ipaddr own = ipaddr_v4(ENV_IP), second = ipaddr_v4(IP4(198, 18, 0, 3)),
                  group = ipaddr_v4(IP4(224, 0, 0, 1));
    struct ipaddr any = ipaddr_v4(0);

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &own, 24), -EEXIST);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &any, 24), -EINVAL);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &group, 24), -EINVAL);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 33), -EINVAL);
    cr_assert_eq(stack_add_addr(e->st, 7, &second, 24), -ENODEV);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 24), 0);
    cr_assert(local(e, IP4(198, 18, 0, 3)));
    /* The subnet's route goes with its last address. */
    cr_assert_eq(stack_del_addr(e->st, ENV_IF, &own), 0);
    cr_assert_not(local(e, ENV_IP));
    cr_assert(covers(e, ENV_PEER_IP));
    cr_assert_eq(stack_del_addr(e->st, ENV_IF, &second), 0);
    cr_assert_not(covers(e, ENV_PEER_IP));
    cr_assert_eq(stack_del_addr(e->st, ENV_IF, &second), -EADDRNOTAVAIL);
}

Test(ifnet, source_address_is_of_the_next_hops_subnet)
{
    struct env *e = env_net(NULL);
    struct ipaddr second = ipaddr_v4(IP4(192, 0, 2, 2));
    struct flow a = {.dst = ipaddr_v4(IP4(192, 0, 2, 77))}, b = {.dst = ipaddr_v4(ENV_PEER_IP)};

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 24), 0);
    cr_assert_eq(flow_resolve(e->sh, &a), 0);
    cr_assert_eq(ipaddr_get_v4(&a.src), IP4(192, 0, 2, 2));
    cr_assert_eq(flow_resolve(e->sh, &b), 0);
    cr_assert_eq(ipaddr_get_v4(&b.src), ENV_IP);
}

Test(ifnet, no_more_interfaces_than_there_is_room_for)
{
    struct env *e = env_net(NULL);
    struct netdev dev = {.name = "more", .mtu = 1500};
    int r = 0;

    for (unsigned i = 0; i < NETDEV_MAX && r >= 0; i++)
        r = stack_add_if(e->st, &dev);
    cr_assert_eq(r, -ENOSPC);
    cr_assert_eq(e->st->nif, NETDEV_MAX);
}
