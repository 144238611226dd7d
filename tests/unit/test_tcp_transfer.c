/* test_tcp_transfer.c: the property that matters: over a wire that loses, delays, reorders and duplicates,
 * every byte arrives once, in order, and both ends close. SHUNT_TEST_SEEDS sets how many random wires are
 * tried, SHUNT_TEST_SEED the first. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tcp_env.h"

static uint64_t env_number(const char *name, uint64_t other)
{
    const char *s = getenv(name);

    return s ? strtoull(s, NULL, 0) : other;
}

/* Runs x[0] from side 0 to side 1 and x[1] the other way until both have ended, then closes both and lets the
 * wire and the timers run out. */
static uint64_t run(struct tcp_pair *p, struct transfer x[2], uint64_t limit_ms, uint64_t seed)
{
    uint64_t start = p->now_ns, end, ms;
    struct tcb *t[2];

    tcp_pair_connect(p, 80, &t[0], &t[1]);
    for (int i = 0; i < 2; i++) {
        struct shard *sh = tcp_pair_enter(p, i);
        int on = 1;

        if (x[i].nodelay)
            tcp_setopt(sh, t[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (x[i].cork)
            tcp_setopt(sh, t[i], IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    }
    end = p->now_ns + limit_ms * 1000000;
    while (!(x[0].eof && x[1].eof) && p->now_ns < end) {
        for (int i = 0; i < 2; i++) {
            transfer_recv(p, i, t[i], &x[!i]);
            transfer_send(p, i, t[i], &x[i], true);
        }
        tcp_pair_step(p, p->now_ns + 1000000);
    }
    ms = (p->now_ns - start) / 1000000;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(x[i].error, 0, "seed %lu: error %d on way %d", seed, x[i].error, i);
        cr_assert_eq(x[i].bad, 0, "seed %lu: %lu wrong bytes on way %d", seed, x[i].bad, i);
        cr_assert_eq(x[i].rcvd, x[i].bytes, "seed %lu: way %d: %lu of %lu bytes", seed, i, x[i].rcvd,
                     x[i].bytes);
        cr_assert(x[i].eof, "seed %lu: way %d has no end", seed, i);
    }
    for (int i = 0; i < 2; i++) {
        tcp_close(tcp_pair_enter(p, i), t[i]);
        tcp_pair_flush(p, i);
    }
    tcp_pair_run_ms(p, 400000);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tcp_orphans(p->side[i].sh), 0, "seed %lu: side %d keeps an orphan", seed, i);
        cr_assert_eq(p->side[i].sh->tcp->tcb.in_use, 0, "seed %lu: side %d keeps a tcb", seed, i);
        cr_assert_eq(tcp_timewaits(p->side[i].sh), 0, "seed %lu: side %d keeps a TIME_WAIT", seed, i);
    }
    cr_assert_eq(tcp_pair_leaks(p), 0, "seed %lu: %d packets leaked", seed, tcp_pair_leaks(p));
    return ms;
}

static void free_pair(struct tcp_pair *p)
{
    for (int i = 0; i < 2; i++) {
        shard_unlock(p->side[i].sh);
        seg_destroy(p->side[i].seg);
    }
    rte_mempool_free(p->pool);
    free(p);
}

Test(tcp_transfer, clean_wire)
{
    struct pair_config cfg = {.seed = 1, .faults = {.delay_us = 100}};
    struct transfer x[2] = {{.bytes = 12 << 20}, {.bytes = 12 << 20}}; /* more than buffers hold */
    struct tcp_pair *p = tcp_pair_new(&cfg);

    run(p, x, 60000, cfg.seed);
    cr_assert_eq(p->side[0].sh->count[COUNT_TCP_RETRANS], 0, "nothing was lost, nothing is sent twice");
    cr_assert_gt(p->side[1].sh->count[COUNT_TCP_FAST_PATH], 1000, "the fast path was taken: %lu of %lu",
                 p->side[1].sh->count[COUNT_TCP_FAST_PATH], p->side[1].sh->count[COUNT_TCP_IN]);
}

static uint32_t knobs; /* what the settings of this seed's stacks are */

static void tune_by_knobs(struct tunables *set)
{
    set->tcp_sack = !(knobs & 1);
    set->tcp_timestamps = !(knobs & 2);
    set->tcp_window_scaling = !(knobs & 4);
    set->tcp_congestion_control = (knobs >> 3) & 1;
    if (knobs & 16)
        set->tcp_rmem_default = 5000 + knobs % 20000;
    if (knobs & 32)
        set->tcp_wmem_default = 5000 + knobs % 50000;
}

Test(tcp_transfer, random_wires, .timeout = 3000)
{
    uint64_t first = env_number("SHUNT_TEST_SEED", 1), n = env_number("SHUNT_TEST_SEEDS", 300);

    for (uint64_t seed = first; seed < first + n; seed++) {
        struct pair_config cfg = {.seed = seed, .npkts = 8191, .tune = tune_by_knobs};
        struct transfer x[2] = {0};
        struct tcp_pair *p;

        knobs = (uint32_t)(seed * 2654435761u >> 8);
        if (knobs & 64)
            cfg.mtu = 600 + knobs % 8000;
        if (knobs & 128)
            cfg.tso_max = 5000 + knobs % 60000;
        p = tcp_pair_new(&cfg);
        p->faults = (struct wire_faults){.loss = tcp_pair_rnd(p, 4) ? tcp_pair_rnd(p, 80) : 0,
                                         .dup = tcp_pair_rnd(p, 50),
                                         .reorder = tcp_pair_rnd(p, 2) ? tcp_pair_rnd(p, 200) : 0,
                                         .delay_us = 10 + tcp_pair_rnd(p, 20000),
                                         .jitter_us = tcp_pair_rnd(p, 2) ? tcp_pair_rnd(p, 5000) : 0};
        for (int i = 0; i < 2; i++) {
            x[i].bytes = tcp_pair_rnd(p, tcp_pair_rnd(p, 2) ? 200000 : 3000);
            x[i].write_max = 1 + tcp_pair_rnd(p, tcp_pair_rnd(p, 2) ? 60000 : 500);
            x[i].read_max = 1 + tcp_pair_rnd(p, 60000);
            x[i].read_pause = tcp_pair_rnd(p, 3) ? 0 : tcp_pair_rnd(p, 900);
            x[i].nodelay = tcp_pair_rnd(p, 2);
            x[i].cork = tcp_pair_rnd(p, 8) == 0;
        }
        run(p, x, 3000000, seed);
        free_pair(p);
    }
}

/* A large transfer each way over a wire of 50 Mbit/s and 10 ms, in simulated time. Milliseconds it took. */
static uint64_t large(uint64_t bytes, uint32_t loss, uint32_t reorder, uint32_t dup,
                      const struct pair_config *more)
{
    struct pair_config cfg = *more;
    struct transfer x[2] = {{.bytes = bytes}, {.bytes = bytes / 16}};
    struct tcp_pair *p;
    uint64_t ms;

    cfg.faults = (struct wire_faults){.loss = loss,
                                      .reorder = reorder,
                                      .dup = dup,
                                      .delay_us = 5000,
                                      .bytes_per_s = 50000000 / 8,
                                      .queue_bytes = 100000};
    p = tcp_pair_new(&cfg);
    ms = run(p, x, 10000000, cfg.seed);
    free_pair(p);
    return ms;
}

Test(tcp_transfer, large_without_loss, .timeout = 1000)
{
    uint64_t bytes = env_number("SHUNT_TEST_BYTES", 16 << 20);
    uint64_t ms = large(bytes, 0, 0, 0, &(struct pair_config){.seed = 11});

    cr_log_info("%lu bytes in %lu ms", bytes, ms);
    cr_assert_lt(ms, bytes * 8 / 50000 * 3 / 2 + 1000, "%lu ms: half of the link at least", ms);
}

Test(tcp_transfer, large_with_1_percent_loss, .timeout = 1000)
{
    uint64_t ms =
        large(env_number("SHUNT_TEST_BYTES", 8 << 20), 10, 10, 10, &(struct pair_config){.seed = 12});

    cr_log_info("%lu ms", ms);
}

Test(tcp_transfer, large_with_5_percent_loss, .timeout = 1000)
{
    uint64_t ms =
        large(env_number("SHUNT_TEST_BYTES", 4 << 20), 50, 20, 20, &(struct pair_config){.seed = 13});

    cr_log_info("%lu ms", ms);
}

static void no_sack(struct tunables *set)
{
    set->tcp_sack = 0;
    set->tcp_timestamps = 0;
    set->tcp_congestion_control = 1;
}

Test(tcp_transfer, large_with_loss_without_sack, .timeout = 1000)
{
    uint64_t ms = large(4 << 20, 10, 5, 5, &(struct pair_config){.seed = 14, .tune = no_sack});

    cr_log_info("%lu ms", ms);
}

Test(tcp_transfer, large_segments_with_tso, .timeout = 1000)
{
    struct pair_config cfg = {
        .seed = 15, .tso_max = 65000, .faults = {.delay_us = 50, .loss = 5, .reorder = 5, .dup = 5}};
    struct transfer x[2] = {{.bytes = 16 << 20}, {.bytes = 4 << 20}};
    struct tcp_pair *p = tcp_pair_new(&cfg);

    run(p, x, 1000000, cfg.seed);
}

Test(tcp_transfer, mtu_beyond_a_buffer, .timeout = 1000)
{
    struct pair_config cfg = {
        .seed = 16, .mtu = 9000, .faults = {.delay_us = 50, .loss = 5, .reorder = 5, .dup = 5}};
    struct transfer x[2] = {{.bytes = 16 << 20}, {.bytes = 4 << 20}};
    struct tcp_pair *p = tcp_pair_new(&cfg);

    run(p, x, 1000000, cfg.seed);
}
