/* test_tcp_cc.c: slow start, NewReno's and CUBIC's growth and reduction. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../stack/tcp_cc.h"
#include "env.h"

#define MSS 1000u

static struct env *e;
static struct tcp_tx tx;
static struct tcp_io io;
static struct tcb t;

static void setup(void)
{
    e = env_stack(NULL);
    tx = (struct tcp_tx){0};
    io = (struct tcp_io){0};
    t = (struct tcb){
        .tx = &tx, .io = &io, .mss = MSS, .unit = MSS, .flags = TF_CWND_LIMITED, .srtt_us8 = 100000 * 8};
}

TestSuite(tcp_cc, .init = setup);

static void start(const char *name)
{
    t.cc = (uint8_t)tcp_cc_find(name, strlen(name));
    tcp_cc_start(e->sh, &t);
}

/* One round trip in which all of cwnd is acknowledged, two segments an ACK. */
static void round_trip(uint32_t ms)
{
    uint32_t left = t.cwnd;

    while (left) {
        uint32_t n = left < 2 * MSS ? left : 2 * MSS;

        tcp_cc_acked(e->sh, &t, n, t.cwnd);
        left -= n;
    }
    e->sh->now_ns += ms * 1000000ULL;
}

Test(tcp_cc, names)
{
    cr_assert_eq(tcp_cc_find("cubic", 5), 0);
    cr_assert_eq(tcp_cc_find("reno", 4), 1);
    cr_assert_eq(tcp_cc_find("ren", 3), -1);
}

Test(tcp_cc, slow_start_doubles)
{
    start("reno");
    cr_assert_eq(t.cwnd, 10 * MSS);
    round_trip(100);
    cr_assert_eq(t.cwnd, 20 * MSS);
    round_trip(100);
    cr_assert_eq(t.cwnd, 40 * MSS);
}

Test(tcp_cc, slow_start_ends_at_ssthresh)
{
    start("reno");
    t.ssthresh = 15 * MSS;
    round_trip(100);
    cr_assert_eq(t.cwnd, 15 * MSS);
}

Test(tcp_cc, unused_cwnd_does_not_grow)
{
    start("reno");
    t.flags = 0;
    tcp_cc_acked(e->sh, &t, MSS, 2 * MSS);
    cr_assert_eq(t.cwnd, 10 * MSS);
}

Test(tcp_cc, reno_adds_a_segment_a_round_trip)
{
    start("reno");
    t.ssthresh = t.cwnd;
    for (uint32_t i = 1; i <= 20; i++) {
        round_trip(100);
        cr_assert_leq(t.cwnd, (10 + i) * MSS);
        cr_assert_geq(t.cwnd, (10 + i - 1) * MSS);
    }
}

Test(tcp_cc, reno_halves)
{
    start("reno");
    t.cwnd = 100 * MSS;
    cr_assert_eq(tcp_cc_table[t.cc]->ssthresh(e->sh, &t), 50 * MSS);
    t.cwnd = 2 * MSS;
    cr_assert_eq(tcp_cc_table[t.cc]->ssthresh(e->sh, &t), 2 * MSS, "not below two");
}

/* W(t) = 0.4 (t - K)^3 + W_max, within 5 % of the closed form (RFC 9438 section 4.1). */
Test(tcp_cc, cubic_follows_its_curve)
{
    double w_max = 1000, k = cbrt(w_max * 0.3 / 0.4);
    uint64_t t0;

    start("cubic");
    t.cwnd = 1000 * MSS;
    t.ssthresh = tcp_cc_table[t.cc]->ssthresh(e->sh, &t);
    cr_assert_eq(t.ssthresh, 700 * MSS);
    t.cwnd = t.ssthresh;
    t0 = e->sh->now_ns;
    for (int i = 0; i < 150; i++) {
        double s, want;

        round_trip(100);
        s = (double)(e->sh->now_ns - t0) / 1e9;
        want = 0.4 * pow(s - k, 3) + w_max;
        cr_assert_lt(fabs((double)t.cwnd / MSS - want), want * 0.05, "at %f s: %u, not %f", s, t.cwnd / MSS,
                     want);
    }
}

Test(tcp_cc, cubic_fast_convergence)
{
    start("cubic");
    t.cwnd = 1000 * MSS;
    t.cwnd = tcp_cc_table[t.cc]->ssthresh(e->sh, &t);
    cr_assert_eq(tx.cc_priv[0], 1000 * MSS);
    tcp_cc_table[t.cc]->ssthresh(e->sh, &t);
    cr_assert_eq(tx.cc_priv[0], 700 * MSS * 17 / 20, "W_max is lowered further when it was not reached");
}

/* Short round trips: not slower than Reno (section 4.3). */
Test(tcp_cc, cubic_is_friendly_to_reno)
{
    uint32_t cubic;

    start("cubic");
    t.srtt_us8 = 1000 * 8;
    t.cwnd = 20 * MSS;
    t.ssthresh = t.cwnd = tcp_cc_table[t.cc]->ssthresh(e->sh, &t);
    for (int i = 0; i < 100; i++)
        round_trip(1);
    cubic = t.cwnd;
    cr_assert_geq(cubic, 60 * MSS, "%u", cubic);
}

Test(tcp_cc, lost_syn_starts_with_one_segment)
{
    t.flags |= TF_SYN_RETRANS;
    start("cubic");
    cr_assert_eq(t.cwnd, MSS);
}
