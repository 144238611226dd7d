/* test_tcp_isn.c: initial sequence numbers tick, and differ by connection and secret (RFC 6528). */
#include <criterion/criterion.h>

#include "../../stack/tcp_isn.h"
#include "env.h"

Test(tcp_isn, ticks_every_4_us)
{
    struct env *e = env_stack(NULL);
    struct endpoint l = {env_addr(ENV_IP), 1}, r = {env_addr(ENV_PEER_IP), 2};
    uint32_t a = tcp_isn(e->sh, &l, &r);

    cr_assert_eq(tcp_isn(e->sh, &l, &r), a);
    e->sh->now_ns += 4000000;
    cr_assert_eq(tcp_isn(e->sh, &l, &r) - a, 1000);
}

Test(tcp_isn, differs_by_every_part_of_the_name)
{
    struct env *e = env_stack(NULL);
    struct endpoint l = {env_addr(ENV_IP), 1}, r = {env_addr(ENV_PEER_IP), 2}, l2 = {env_addr(ENV_IP), 3},
                    r2 = {env_addr(ENV_PEER_IP), 3}, r3 = {env_addr(ENV_OTHER_IP), 2};
    uint32_t a = tcp_isn(e->sh, &l, &r);

    cr_assert_neq(tcp_isn(e->sh, &l2, &r), a);
    cr_assert_neq(tcp_isn(e->sh, &l, &r2), a);
    cr_assert_neq(tcp_isn(e->sh, &l, &r3), a);
    cr_assert_neq(tcp_isn(e->sh, &r, &l), a);
    e->st->secret[0] ^= 1;
    cr_assert_neq(tcp_isn(e->sh, &l, &r), a);
}

Test(tcp_isn, timestamp_offset_is_a_peers)
{
    struct env *e = env_stack(NULL);
    struct ipaddr l = env_addr(ENV_IP), r = env_addr(ENV_PEER_IP), o = env_addr(ENV_OTHER_IP);

    cr_assert_eq(tcp_ts_offset(e->sh, &l, &r), tcp_ts_offset(e->sh, &l, &r));
    cr_assert_neq(tcp_ts_offset(e->sh, &l, &r), tcp_ts_offset(e->sh, &l, &o));
}
