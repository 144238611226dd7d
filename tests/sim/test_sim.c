/* test_sim.c: what theory says of a flow: CUBIC's and Reno's average window under periodic loss (RFC 9438
 * section 5, Mathis et al. 1997), and fairness among equals. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../unit/env.h"
#include "sim.h"

#define MSS 1448.0

/* The average window, in segments, of a flow that nothing limits but every n-th segment's loss. */
static double average_window(const char *cc, uint32_t n, uint32_t rtt_ms, uint32_t warm_s, uint32_t run_s)
{
    struct sim_config c = {.cc = {cc},
                           .flows = 1,
                           .rate_kbit = 10000000,
                           .rtt_us = rtt_ms * 1000,
                           .buffer_bytes = 10000000,
                           .drop_every = n,
                           .warm_s = warm_s,
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

/* From below CUBIC comes near its equilibrium by a little each period: hence the long warm-up. */
static void cubic_follows(uint32_t n, uint32_t rtt_ms)
{
    double w = average_window("cubic", n, rtt_ms, 400, 200), want = cubic_model(1.0 / n, rtt_ms / 1000.0);

    cr_assert_lt(fabs(w - want), want * 0.1, "1 in %u, %u ms: window %.1f, model %.1f", n, rtt_ms, w, want);
}

Test(sim_theory, cubic_rfc9438_section_5)
{
    cubic_follows(10000, 100);
    cubic_follows(1000, 400);
    cubic_follows(5000, 200);
}

Test(sim_theory, reno_mathis)
{
    for (uint32_t n = 1000; n <= 10000; n *= 10) { /* with more loss recovery itself counts */
        double w = average_window("reno", n, 50, 20, 100), want = sqrt(1.5 * n);

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
                           .mark_bytes = strcmp(cc, "dctcp") == 0 ? 25000 : 0,
                           .warm_s = 20,
                           .run_s = 60,
                           .seed = 1};
    struct sim_result r = sim_run(&c);

    cr_log_info("%s: %.0f kbit/s of 20000, Jain %.3f", cc, r.total_kbit, r.jain);
    return r.jain;
}

Test(sim_theory, equal_flows_share_equally)
{
    static const char *const cc[] = {"cubic", "reno", "bbr", "dctcp"};

    for (unsigned i = 0; i < RTE_DIM(cc); i++)
        for (unsigned flows = 2; flows <= 8; flows *= 4) {
            double jain = fairness(cc[i], flows);

            cr_assert_geq(jain, 0.95, "%u flows of %s: %.3f", flows, cc[i], jain);
        }
}

/* SO_MAX_PACING_RATE is the rate, whatever the algorithm, to within the header bytes; nothing is lost. */
Test(sim_theory, pacing_rate_is_kept)
{
    static const char *const cc[] = {"cubic", "bbr"};
    static const uint64_t rates[] = {62500, 1250000}; /* bytes/s */

    for (unsigned i = 0; i < 4; i++) {
        struct sim_config c = {.cc = {cc[i / 2]},
                               .flows = 1,
                               .rate_kbit = 100000,
                               .rtt_us = 20000,
                               .buffer_bytes = 30000,
                               .warm_s = 2,
                               .run_s = 10,
                               .max_rate = rates[i % 2],
                               .seed = 1};
        struct sim_result r = sim_run(&c);
        double want = (double)c.max_rate * 8 / 1000;

        cr_assert_lt(fabs(r.total_kbit - want), want * 0.02, "%s: %.0f kbit/s, not %.0f", cc[i / 2],
                     r.total_kbit, want);
        cr_assert_eq(r.lost, 0, "%s at %.0f kbit/s: %lu lost", cc[i / 2], want, r.lost);
        cr_assert_lt(r.rtt_ms, 25, "%s: %.1f ms", cc[i / 2], r.rtt_ms);
    }
}

/* BBR's point: random loss that is no congestion does not slow it down (CUBIC falls to a tenth), and it fills
 * no deep buffer. */
Test(sim_theory, bbr_ignores_random_loss)
{
    struct sim_config c = {.cc = {"bbr"},
                           .flows = 1,
                           .rate_kbit = 20000,
                           .rtt_us = 80000,
                           .buffer_bytes = 1000000,
                           .loss_ppm = 10000,
                           .warm_s = 5,
                           .run_s = 30,
                           .seed = 1};
    struct sim_result r = sim_run(&c);

    cr_assert_gt(r.total_kbit, 16000, "%.0f kbit/s", r.total_kbit);
    cr_assert_lt(r.rtt_ms, 110, "%.1f ms", r.rtt_ms);
    c.loss_ppm = 0;
    r = sim_run(&c);
    cr_assert_gt(r.total_kbit, 17500, "%.0f kbit/s", r.total_kbit);
    cr_assert_lt(r.rtt_ms, 110, "%.1f ms without loss", r.rtt_ms);
}

/* RFC 8257 section 1: full use of the link with a queue of little more than the threshold. */
Test(sim_theory, dctcp_keeps_the_queue_short)
{
    struct sim_config c = {.cc = {"dctcp"},
                           .flows = 4,
                           .rate_kbit = 100000,
                           .rtt_us = 2000,
                           .buffer_bytes = 500000,
                           .mark_bytes = 20000,
                           .warm_s = 1,
                           .run_s = 4,
                           .seed = 1};
    struct sim_result r = sim_run(&c);

    cr_assert_gt(r.total_kbit, 92000, "%.0f kbit/s", r.total_kbit);
    cr_assert_lt(r.rtt_ms, 6, "%.1f ms: 40 without marks", r.rtt_ms);
    cr_assert_eq(r.lost, 0);
}

static void fixed_receive_buffers(struct tunables *set)
{
    set->tcp_moderate_rcvbuf = 0;
}

static void small_send_buffers(struct tunables *set)
{
    set->tcp_wmem_default = set->tcp_wmem_max = 131072;
}

static double long_fat(void (*tune)(struct tunables *set))
{
    struct sim_config c = {.cc = {"cubic"},
                           .flows = 1,
                           .rate_kbit = 100000,
                           .rtt_us = 80000,
                           .buffer_bytes = 1000000,
                           .warm_s = 3,
                           .run_s = 5,
                           .seed = 1,
                           .tune = tune};

    return sim_run(&c).total_kbit;
}

/* Buffers of the first size hold a fraction of this path: both ends' grow to fill it (tcp_rmem, tcp_wmem),
 * and each of them alone would be the limit, a window a round trip. */
Test(sim_theory, buffers_grow_to_the_path)
{
    double kbit = long_fat(NULL);

    cr_assert_gt(kbit, 75000, "%.0f kbit/s", kbit);
    kbit = long_fat(fixed_receive_buffers);
    cr_assert_lt(kbit, 131072 * 8 / 80.0, "%.0f kbit/s through the receive buffer", kbit);
    kbit = long_fat(small_send_buffers);
    /* and the chunk that was begun when it was nearly full (stack/tcp_sndq.h) */
    cr_assert_lt(kbit, (131072 + 65536) * 8 / 80.0, "%.0f kbit/s through the send buffer", kbit);
}
