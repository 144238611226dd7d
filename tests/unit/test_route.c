/* test_route.c: longest prefix match, changes, path MTU. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/route.h"
#include "env.h"

static struct ipaddr v4(uint32_t a)
{
    return ipaddr_v4(a);
}

static const struct route *to(struct env *e, uint32_t a)
{
    struct ipaddr dst = ipaddr_v4(a);

    return route_lookup(e->st, &dst, 0);
}

static int add(struct env *e, uint32_t net, uint8_t plen, uint32_t via)
{
    struct ipaddr n = v4(net), v = v4(via);

    return route_add(e->st, &n, plen, via ? &v : NULL, ENV_IF);
}

Test(route, longest_prefix_wins_whatever_the_order)
{
    struct env *e = env_net(NULL);

    cr_assert_eq(add(e, 0, 0, ENV_PEER_IP), 0);
    cr_assert_eq(add(e, IP4(10, 1, 2, 0), 24, IP4(198, 18, 0, 3)), 0);
    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 8, IP4(198, 18, 0, 4)), 0);
    cr_assert_eq(add(e, IP4(10, 1, 2, 3), 32, IP4(198, 18, 0, 5)), 0);
    cr_assert_eq(to(e, IP4(10, 1, 2, 3))->via.w[3], IP4(198, 18, 0, 5));
    cr_assert_eq(to(e, IP4(10, 1, 2, 4))->via.w[3], IP4(198, 18, 0, 3));
    cr_assert_eq(to(e, IP4(10, 1, 3, 3))->via.w[3], IP4(198, 18, 0, 4));
    cr_assert_eq(to(e, IP4(11, 0, 0, 1))->via.w[3], ENV_PEER_IP);
    cr_assert(ipaddr_is_any(&to(e, ENV_PEER_IP)->via));
}

Test(route, default_route_is_of_its_family)
{
    struct env *e = env_net(NULL);
    struct ipaddr v6 = {.b = {0x20, 0x01, 0x0d, 0xb8}};

    cr_assert_eq(add(e, 0, 0, ENV_PEER_IP), 0);
    cr_assert_null(route_lookup(e->st, &v6, 0));
}

Test(route, refusals)
{
    struct env *e = env_net(NULL);
    struct ipaddr net = v4(IP4(10, 0, 0, 0));

    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 33, ENV_PEER_IP), -EINVAL);
    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 8, IP4(192, 0, 2, 1)),
                 -ENETUNREACH); /* the gateway is no neighbour */
    cr_assert_eq(route_add(e->st, &net, 8, NULL, 9), -ENODEV);
    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 8, ENV_PEER_IP), 0);
    cr_assert_eq(add(e, IP4(10, 9, 9, 9), 8, ENV_PEER_IP), -EEXIST); /* host bits don't count */
    for (unsigned i = 0; i < ROUTE_MAX + 2; i++)
        if (add(e, IP4(11 + (i >> 16), i >> 8 & 0xff, i & 0xff, 0), 24, ENV_PEER_IP) == -ENOBUFS)
            return;
    cr_assert_fail("a full table takes more");
}

Test(route, delete)
{
    struct env *e = env_net(NULL);
    struct ipaddr net = v4(IP4(10, 0, 0, 0)), via = v4(ENV_PEER_IP);
    uint32_t gen;

    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 8, ENV_PEER_IP), 0);
    gen = e->st->routes->gen;
    cr_assert_eq(route_del(e->st, &net, 8, NULL, ENV_IF), -ESRCH);
    cr_assert_eq(route_del(e->st, &net, 8, &via, ENV_IF), 0);
    cr_assert_neq(e->st->routes->gen, gen);
    cr_assert_null(to(e, IP4(10, 1, 1, 1)));
}

Test(route, agrees_with_a_naive_search)
{
    struct env *e = env_net(NULL);
    struct {
        uint32_t net; /* host order */
        uint8_t plen;
        uint8_t last; /* of the gateway */
    } model[100];
    uint32_t seed = 7;
    unsigned n = 0;

    for (unsigned i = 0; i < 100; i++) {
        seed = seed * 1664525 + 1013904223;
        uint8_t plen = (uint8_t)(1 + (seed >> 8) % 24);
        uint32_t net = (0x0a000000u | (seed >> 12 & 0xffff00)) & ~(0xffffffffu >> plen);
        uint8_t last = (uint8_t)(3 + i);

        if (add(e, htonl(net), plen, IP4(198, 18, 0, last)) == 0) {
            model[n].net = net;
            model[n].plen = plen;
            model[n++].last = last;
        }
    }
    for (unsigned i = 0; i < 5000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t a = 0x0a000000u | seed >> 8;
        int best = -1;

        for (unsigned k = 0; k < n; k++)
            if (((a ^ model[k].net) & ~(0xffffffffu >> model[k].plen)) == 0 &&
                (best < 0 || model[k].plen > model[best].plen))
                best = (int)k;
        const struct route *r = to(e, htonl(a));
        if (best < 0)
            cr_assert_null(r);
        else
            cr_assert_eq(r->via.b[15], model[best].last);
    }
}

Test(route, path_mtu_lowers_then_expires)
{
    struct env *e = env_net(NULL);
    struct ipaddr far = v4(ENV_OTHER_IP);
    struct flow fl = {.dst = far, .proto = IPPROTO_TCP};

    cr_assert_eq(add(e, 0, 0, ENV_PEER_IP), 0);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.mtu, 1500);
    ip_learn_mtu(e->sh, &far, 1400);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.mtu, 1400);
    ip_learn_mtu(e->sh, &far, 1450); /* never raised by an error */
    flow_resolve(e->sh, &fl);
    cr_assert_eq(fl.mtu, 1400);
    ip_learn_mtu(e->sh, &far, 68); /* nor below Linux's min_pmtu */
    flow_resolve(e->sh, &fl);
    cr_assert_eq(fl.mtu, 552);
    env_advance_ms(e, 600 * 1000);
    fl.gen = 0;
    flow_resolve(e->sh, &fl);
    cr_assert_eq(fl.mtu, 1500);
}

Test(route, router_that_names_no_mtu_gives_the_next_plateau)
{
    struct env *e = env_net(NULL);
    struct ipaddr far = v4(ENV_OTHER_IP);
    struct flow fl = {.dst = far, .proto = IPPROTO_TCP};

    cr_assert_eq(add(e, 0, 0, ENV_PEER_IP), 0);
    ip_learn_mtu(e->sh, &far, 0);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(fl.mtu, 1492); /* RFC 1191 table 7-1 */
    ip_learn_mtu(e->sh, &far, 0);
    flow_resolve(e->sh, &fl);
    cr_assert_eq(fl.mtu, 1006);
}

/* Tens of thousands of routes of all lengths: each address has the longest one's, and all can be taken away.
 */
Test(route, many)
{
    struct env *e = env_net(NULL);
    const unsigned n = 60000;
    struct ipaddr via[2] = {v4(ENV_PEER_IP), v4(IP4(198, 18, 0, 9))};

    for (unsigned i = 0; i < n; i++) /* a /16, in it /24s, in some of these /32s */
        add(e, i < 200 ? IP4(20, i, 0, 0) : IP4(20, i / 300, i % 250, i < 30000 ? 0 : i % 251 + 1),
            i < 200     ? 16
            : i < 30000 ? 24
                        : 32,
            via[i & 1].w[3]); /* some are there already */
    cr_assert_gt(e->st->routes->n, 1000);
    for (unsigned i = 0; i < 200; i++) {
        const struct route *r = to(e, IP4(20, i, 251, 1));

        cr_assert_not_null(r);
        cr_assert_eq(r->plen, 96 + 16);
        cr_assert(ipaddr_eq(&r->via, &via[i & 1]));
    }
    for (unsigned i = 300; i < 30000; i += 7) {
        const struct route *r = to(e, IP4(20, i / 300, i % 250, 255));

        cr_assert_eq(r->plen, 96 + 24);
    }
}

Test(route, that_lead_nowhere)
{
    struct env *e = env_net(NULL);
    struct ipaddr a = v4(IP4(10, 1, 0, 0)), b = v4(IP4(10, 1, 2, 0)), c = v4(IP4(10, 1, 2, 128));
    struct flow fl = {.dst = v4(IP4(10, 1, 9, 9)), .proto = IPPROTO_UDP};

    cr_assert_eq(add(e, IP4(10, 0, 0, 0), 8, ENV_PEER_IP), 0);
    cr_assert_eq(route_add_kind(e->st, &a, 16, ROUTE_UNREACHABLE), 0);
    cr_assert_eq(route_add_kind(e->st, &b, 24, ROUTE_BLACKHOLE), 0);
    cr_assert_eq(route_add_kind(e->st, &c, 25, ROUTE_PROHIBIT), 0);
    cr_assert_eq(route_add_kind(e->st, &c, 25, ROUTE_PROHIBIT), -EEXIST);
    cr_assert_eq(flow_resolve(e->sh, &fl), -EHOSTUNREACH);
    fl.dst = v4(IP4(10, 1, 2, 1));
    cr_assert_eq(flow_resolve(e->sh, &fl), -EINVAL);
    fl.dst = v4(IP4(10, 1, 2, 200));
    cr_assert_eq(flow_resolve(e->sh, &fl), -EACCES);
    fl.dst = v4(IP4(10, 2, 2, 200));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert(ip_covers(e->st, &a), "what a route refuses is not the kernel's either");
}
