/* test_sim.c: what theory says of a flow: CUBIC's and Reno's average window under periodic loss (RFC 9438
 * section 5, Mathis et al. 1997), and fairness among equals. */
#include <criterion/criterion.h>
#include <math.h>

#include "../unit/env.h"
#include "sim.h"

#define MSS 1448.0

/* The average window, in segments, of a flow that nothing limits but every n-th segment's loss. */
static double average_window(const char *cc, uint32_t n, uint32_t rtt_ms, uint32_t run_s)
{
    struct sim_config c = {.cc = {cc},
                           .flows = 1,
                           .rate_kbit = 10000000,
                           .rtt_us = rtt_ms * 1000,
                           .buffer_bytes = 10000000,
                           .drop_every = n,
                           .warm_s = run_s / 5,
                           .run_s = run_s,
                           .seed = 1};
    struct sim_result r = sim_run(&c);

    cr_log_info("%s, 1 loss in %u, %u ms: %.0f kbit/s, rtt %.1f ms, %lu again, %lu timeouts", cc, n, rtt_ms,
                r.total_kbit, r.rtt_ms, r.retrans, r.timeouts);
    return r.total_kbit * 1000 / 8 * rtt_ms / 1000 / MSS;
}

/* RFC 9438 section 5.1, figure 5, with beta 0.7 and C 0.4. */
static double cubic_model(double p, double rtt_s)
{
    return pow(0.4 * 3.7 / (4 * 0.3), 0.25) * pow(rtt_s, 0.75) / pow(p, 0.75);
}

static void cubic_follows(uint32_t n, uint32_t rtt_ms, uint32_t run_s)
{
    double w = average_window("cubic", n, rtt_ms, run_s), want = cubic_model(1.0 / n, rtt_ms / 1000.0);

    cr_assert_lt(fabs(w - want), want * 0.1, "1 in %u, %u ms: window %.1f, model %.1f", n, rtt_ms, w, want);
}

Test(sim_theory, cubic_rfc9438_section_5)
{
    cubic_follows(10000, 100, 200);
    cubic_follows(1000, 400, 200);
    cubic_follows(5000, 200, 200);
}

Test(sim_theory, reno_mathis)
{
    for (uint32_t n = 100; n <= 10000; n *= 10) {
        double w = average_window("reno", n, 50, 100), want = sqrt(1.5 * n);

        cr_assert_lt(fabs(w - want), want * 0.1, "1 in %u: window %.1f, model %.1f", n, w, want);
    }
}

static double fairness(const char *cc, unsigned flows)
{
    struct sim_config c = {.cc = {cc},
                           .flows = flows,
                           .rate_kbit = 20000,
                           .rtt_us = 40000,
                           .buffer_bytes = 100000,
                           .warm_s = 20,
                           .run_s = 60,
                           .seed = 1};
    struct sim_result r = sim_run(&c);

    cr_log_info("%s: %.0f kbit/s of 20000, Jain %.3f", cc, r.total_kbit, r.jain);
    return r.jain;
}

Test(sim_theory, equal_flows_share_equally)
{
    static const char *const cc[] = {"cubic", "reno"};

    for (unsigned i = 0; i < RTE_DIM(cc); i++)
        for (unsigned flows = 2; flows <= 8; flows *= 4) {
            double jain = fairness(cc[i], flows);

            cr_assert_geq(jain, 0.95, "%u flows of %s: %.3f", flows, cc[i], jain);
        }
}
