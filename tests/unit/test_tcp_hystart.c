/* test_tcp_hystart.c: HyStart++ (RFC 9406) on made-up round trips. */
#include <criterion/criterion.h>

#include "../../stack/tcp_hystart.h"

static struct tcb t;
static struct tcp_hystart h;
static int kind = HYSTART_PP;

/* A round of n ACKs with the given RTT. True: slow start ended in it. */
static bool one_round(unsigned n, int32_t rtt_us)
{
    bool over = false;

    t.snd_nxt = t.snd_una + n * 1000;
    for (unsigned i = 0; i < n; i++) {
        over |= tcp_hystart_ack(&h, &t, rtt_us, kind);
        t.snd_una += 1000;
    }
    return over;
}

Test(tcp_hystart, steady_round_trips_go_on)
{
    for (int i = 0; i < 20; i++)
        cr_assert_not(one_round(10, 50000));
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
}

Test(tcp_hystart, longer_round_trips_end_it)
{
    one_round(10, 50000);
    one_round(10, 50000);
    cr_assert_not(one_round(10, 56000), "less than an eighth longer");
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
    cr_assert_not(one_round(10, 63100));
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 250, "CSS");
    for (int i = 0; i < 4; i++)
        cr_assert_not(one_round(10, 64000), "round %d of CSS", i + 1);
    cr_assert(one_round(10, 64000), "after five rounds");
}

Test(tcp_hystart, jitter_is_forgiven)
{
    one_round(10, 50000);
    one_round(10, 60000);
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 250);
    one_round(10, 50000);
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
    for (int i = 0; i < 10; i++)
        cr_assert_not(one_round(10, 50000));
}

Test(tcp_hystart, few_samples_say_nothing)
{
    for (int i = 0; i < 10; i++)
        cr_assert_not(one_round(7, 10000 << i));
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
}

/* Section 4.3: at least 4 ms, at most 16 ms. */
Test(tcp_hystart, threshold_is_bounded)
{
    one_round(8, 1000);
    one_round(8, 4900);
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
    one_round(8, 8900);
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 250);
    h = (struct tcp_hystart){0};
    one_round(8, 400000);
    one_round(8, 416000);
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 250);
}

/* tcp_hystart=2: the ninth sample of a round that is an eighth above the least ever ends it, in a window of
 * 16 segments or more. */
Test(tcp_hystart, linux_stops_at_once)
{
    kind = HYSTART_LINUX;
    t.mss = 1000;
    t.cwnd = 20000;
    t.min_rtt_us = 100000;
    cr_assert_not(one_round(20, 100000));
    cr_assert_not(one_round(8, 112600), "eight samples say nothing");
    t.cwnd = 15000;
    cr_assert_not(one_round(9, 112600), "a small window is not asked");
    t.cwnd = 16000;
    cr_assert_not(one_round(9, 112400));
    cr_assert(one_round(9, 112600));
}

Test(tcp_hystart, off)
{
    kind = HYSTART_OFF;
    for (int i = 0; i < 10; i++)
        cr_assert_not(one_round(20, 10000 << i));
    cr_assert_eq(tcp_hystart_growth(&h, 1000), 1000);
}
