/* test_rule.c: which table a flow asks: rules by source, destination, mark, TOS, interface and protocol,
 * goto, actions, tables that don't see one another's routes. (tests/system/ip.test runs ip rule itself.) */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "../../stack/dgram.h"
#include "../../stack/rule.h"
#include "../../stack/sock.h"
#include "env.h"

#define VIA(n) IP4(198, 18, 0, n)

/* A default route by way of 198.18.0.n in table `table`. */
static void route_in(struct env *e, uint32_t table, unsigned n)
{
    struct route r = {.net = ipaddr_v4(0),
                      .plen = 96,
                      .via = ipaddr_v4(VIA(n)),
                      .ifindex = ENV_IF,
                      .proto = ROUTE_BY_USER,
                      .table = table};

    cr_assert_eq(route_insert(e->st, &r, NULL, true), 0);
}

static struct rule rule_to(uint32_t priority, uint32_t table)
{
    return (struct rule){
        .family = AF_INET, .priority = priority, .action = FR_ACT_TO_TBL, .table = table, .suppress = -1};
}

static void add(struct env *e, struct rule r)
{
    cr_assert_eq(rule_add(e->st, &r), 0);
}

/* The last number of the next hop of a flow to 20.0.0.1 ; negative: the error. */
static int hop(struct env *e, struct flow fl)
{
    int err;

    fl.dst = ipaddr_v4(IP4(20, 0, 0, 1));
    err = flow_resolve(e->sh, &fl);
    if (err)
        return err;
    return (int)(ntohl(((const struct neigh *)fl.neigh)->addr.w[3]) & 255);
}

static struct env *with_tables(void)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});

    route_in(e, RT_TABLE_MAIN, 50);
    route_in(e, 100, 60);
    route_in(e, 70000, 70);
    return e;
}

Test(rule, other_tables_are_not_asked_without_a_rule)
{
    struct env *e = with_tables();

    cr_assert_eq(hop(e, (struct flow){0}), 50);
    add(e, rule_to(1000, 100));
    cr_assert_eq(hop(e, (struct flow){0}), 60);
    rule_del(e->st, 1);
    cr_assert_eq(hop(e, (struct flow){0}), 50);
    cr_assert_not(e->st->routes->rules->custom);
    cr_assert(e->st->routes->rules->unmerged, "once there was another, table local is told apart");
}

Test(rule, a_flow_that_is_under_way_follows)
{
    struct env *e = with_tables();
    struct flow fl = {.dst = ipaddr_v4(IP4(20, 0, 0, 1))};

    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    add(e, rule_to(1000, 70000));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(((const struct neigh *)fl.neigh)->addr.w[3], VIA(70));
}

Test(rule, by_what_the_flow_has)
{
    struct env *e = with_tables();
    struct rule from = rule_to(10, 100), tos = rule_to(11, 100), mark = rule_to(12, 100);
    struct rule proto = rule_to(13, 100), oif = rule_to(14, 100), iif = rule_to(15, 100);
    uint8_t class = rule_mark_class(e->st, 0x17);

    from.src = ipaddr_v4(ENV_IP);
    from.slen = 128;
    tos.tos = 0x10;
    mark.mark = 0x10;
    mark.mask = 0xf0;
    proto.ip_proto = IPPROTO_UDP;
    strcpy(oif.oif, e->st->ifn[ENV_IF].name);
    strcpy(iif.iif, "eth7"); /* nothing is forwarded */
    add(e, from);
    add(e, tos);
    add(e, mark);
    add(e, proto);
    add(e, oif);
    add(e, iif);
    cr_assert_eq(hop(e, (struct flow){0}), 50);
    cr_assert_eq(hop(e, (struct flow){.src = ipaddr_v4(ENV_IP)}), 60);
    cr_assert_eq(hop(e, (struct flow){.tos = 0x13}), 60, "ECN's bits do not count");
    cr_assert_eq(hop(e, (struct flow){.tos = 0x20}), 50);
    cr_assert_eq(hop(e, (struct flow){.mark = class}), 60);
    cr_assert_eq(hop(e, (struct flow){.mark = rule_mark_class(e->st, 0x27)}), 50);
    cr_assert_eq(hop(e, (struct flow){.proto = IPPROTO_UDP}), 60);
    cr_assert_eq(hop(e, (struct flow){.proto = IPPROTO_TCP}), 60, "asked again once its source is known");
    cr_assert_eq(hop(e, (struct flow){.bound_if = ENV_IF}), 60);
    strcpy(iif.iif, "lo");
    add(e, iif);
    cr_assert_eq(hop(e, (struct flow){0}), 60, "what programs send comes from lo");
}

Test(rule, not_and_to)
{
    struct env *e = with_tables();
    struct rule r = rule_to(10, 100);

    r.dst = ipaddr_v4(IP4(20, 0, 0, 0));
    r.dlen = 96 + 8;
    r.invert = true;
    add(e, r);
    cr_assert_eq(hop(e, (struct flow){0}), 50);
    rule_del(e->st, 1);
    r.invert = false;
    add(e, r);
    cr_assert_eq(hop(e, (struct flow){0}), 60);
}

Test(rule, goto_goes_on_from_there)
{
    struct env *e = with_tables();
    struct rule r = rule_to(10, 0);

    add(e, rule_to(20, 100));
    add(e, rule_to(30, 70000));
    r.action = FR_ACT_GOTO;
    r.target = 30;
    add(e, r);
    cr_assert_eq(hop(e, (struct flow){0}), 70);
    rule_del(e->st, 3); /* its target */
    cr_assert_eq(hop(e, (struct flow){0}), 60, "a goto to nowhere does nothing");
}

Test(rule, actions_that_refuse)
{
    static const struct {
        uint8_t action;
        int err;
    } of[] = {{FR_ACT_UNREACHABLE, -ENETUNREACH}, {FR_ACT_BLACKHOLE, -EINVAL}, {FR_ACT_PROHIBIT, -EACCES}};

    for (unsigned i = 0; i < 3; i++) {
        struct env *e = with_tables();
        struct rule r = rule_to(10, 0);

        r.action = of[i].action;
        add(e, r);
        cr_assert_eq(hop(e, (struct flow){0}), of[i].err);
    }
}

Test(rule, suppressed_prefixes_are_passed_over)
{
    struct env *e = with_tables();
    struct rule r = rule_to(10, 100);

    r.suppress = 0;
    add(e, r);
    cr_assert_eq(hop(e, (struct flow){0}), 50);
}

Test(rule, tables_do_not_see_each_other)
{
    struct env *e = with_tables();
    struct ipaddr net = ipaddr_v4(0);
    const struct route *r = route_exact(e->st, 100, &net, 96, NULL);

    cr_assert_eq(r->via.w[3], VIA(60));
    cr_assert_null(route_exact(e->st, 100, &net, 96, r));
    route_remove(e->st, r);
    cr_assert_null(route_exact(e->st, 100, &net, 96, NULL));
    cr_assert_eq(hop(e, (struct flow){0}), 50);
    add(e, rule_to(10, 100));
    cr_assert_eq(hop(e, (struct flow){0}), 50, "an empty table leaves it to the next rule");
}

Test(rule, a_socket_s_mark)
{
    struct env *e = with_tables();
    struct rule r = rule_to(10, 100);
    struct sock *s;
    int mark = 7;

    r.mark = 7;
    r.mask = UINT32_MAX;
    add(e, r);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    cr_assert_eq(hop(e, ((struct dgram *)s->pcb)->flow), 60);
}

Test(rule, a_new_one_comes_before_main)
{
    struct env *e = with_tables();

    cr_assert_eq(rule_default_priority(e->st, AF_INET), 32765);
    add(e, rule_to(32765, 100));
    cr_assert_eq(rule_default_priority(e->st, AF_INET), 32764);
    cr_assert_eq(rule_default_priority(e->st, AF_INET6), 32765);
}

Test(rule, too_many)
{
    struct env *e = with_tables();
    struct rule r = rule_to(10, 100);

    for (unsigned n = e->st->routes->rules->n; n < RULE_MAX; n++)
        add(e, r);
    cr_assert_eq(rule_add(e->st, &r), -ENOBUFS);
    for (uint32_t i = 1; i < 1000; i++)
        rule_mark_class(e->st, i);
    cr_assert_eq(e->st->routes->rules->nmark, RULE_MARKS);
    cr_assert_eq(rule_mark_class(e->st, 5), 5);
}
