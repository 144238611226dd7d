/* test_tcp_rtt.c: RFC 6298's estimator with Linux's minimum. */
#include <criterion/criterion.h>

#include "../../stack/tcp_rtt.h"
#include "../../stack/tcp_tx.h"
#include "env.h"

static struct env *e;
static struct tcp_tx tx;
static struct tcb t = {.tx = &tx};

static void setup(void)
{
    e = env_stack(NULL);
    tcp_rtt_init(e->sh, &t);
}

TestSuite(tcp_rtt, .init = setup);

Test(tcp_rtt, starts_with_one_second)
{
    cr_assert_eq(t.rto_ms, 1000);
}

Test(tcp_rtt, first_sample)
{
    tcp_rtt_sample(e->sh, &t, 100000);
    cr_assert_eq(t.srtt_us8 >> 3, 100000);
    cr_assert_eq(t.rttvar_us4 >> 2, 50000);
    cr_assert_eq(t.rto_ms, 300, "SRTT + 4 RTTVAR, and at least 200 ms of variance");
    cr_assert_eq(t.min_rtt_us, 100000);
}

Test(tcp_rtt, converges)
{
    for (int i = 0; i < 200; i++)
        tcp_rtt_sample(e->sh, &t, 20000);
    cr_assert_lt((t.srtt_us8 >> 3) - 19990, 20);
    cr_assert_eq(t.rto_ms, 220);
    tcp_rtt_sample(e->sh, &t, 1000000);
    cr_assert_gt(t.rto_ms, 300);
    cr_assert_eq(t.min_rtt_us, 20000);
}

Test(tcp_rtt, backs_off_to_a_bound)
{
    t.rto_ms = 200;
    for (t.backoff = 0; t.backoff < 9; t.backoff++)
        cr_assert_eq(tcp_rto_backed_off(&t), 200u << t.backoff);
    t.backoff = 255;
    cr_assert_eq(tcp_rto_backed_off(&t), 120000);
}

Test(tcp_rtt, zero_is_no_time)
{
    tcp_rtt_sample(e->sh, &t, 0);
    cr_assert_gt(t.srtt_us8, 0);
    cr_assert_eq(t.min_rtt_us, 1);
}
