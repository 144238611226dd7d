/* golden.c: goodput over a matrix of bottlenecks, compared with the table kept in golden.txt.
 *
 *   golden FILE CC ...          runs CC's cells, says which differ by more than 10 % from FILE's; status 1
 * then golden --update FILE CC ... writes them into FILE in place of the old ones golden --show CC FLOWS
 * RATE_KBIT RTT_MS BUFFER_PERCENT LOSS_PPM [SECONDS]   one cell in detail
 *
 * SIM_STRIDE=N in the environment: only every N-th cell (slow builds: sanitizers). SIM_SEED=N: another luck,
 * to see how much of a change is that.
 *
 * The matrix. Rates, round trips, buffers (in percent of the bandwidth-delay product, at least four packets)
 * and random loss each way; one flow and eight. A cell's number is the goodput of all its flows in kbit/s,
 * from the first byte on, so that slow start is in it; behind it, to be read by people: Jain's index, the
 * mean smoothed round trip in ms, segments sent again, timeouts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/env.h"
#include "sim.h"

#define TOLERANCE  0.10
#define LINE_MAX_  160
#define BUFFER_MIN (4 * 1514u) /* bytes */

static const unsigned flow_counts[] = {1, 8};
static const unsigned rates_kbit[] = {2000, 20000, 100000};
static const unsigned rtts_ms[] = {10, 80};
static const unsigned buffers_percent[] = {25, 100};
static const unsigned losses_ppm[] = {0, 10000};

struct cell {
    const char *cc;
    unsigned flows, rate_kbit, rtt_ms, buffer_percent, loss_ppm;
};

static uint32_t buffer_bytes(const struct cell *c)
{
    uint32_t n = (uint32_t)((uint64_t)c->rate_kbit * c->rtt_ms / 8 * c->buffer_percent / 100);

    return n < BUFFER_MIN ? BUFFER_MIN : n;
}

static struct sim_result run_cell(const struct cell *c, unsigned seconds)
{
    struct sim_config sc = {.cc = {c->cc},
                            .flows = c->flows,
                            .rate_kbit = c->rate_kbit,
                            .rtt_us = c->rtt_ms * 1000,
                            .buffer_bytes = buffer_bytes(c),
                            .loss_ppm = c->loss_ppm,
                            .seed = 1};

    /* DCTCP's switch marks (RFC 8257 section 3.1): at a quarter of the buffer, of what there is of it. */
    if (strcmp(c->cc, "dctcp") == 0)
        sc.mark_bytes = sc.buffer_bytes / 4;
    /* As many packets a cell, more or less; with random loss enough of them for its luck to even out. */
    sc.run_s = c->rate_kbit <= 2000 ? 60 : c->rate_kbit <= 20000 ? 20 : 8;
    if (c->loss_ppm)
        sc.run_s = c->rate_kbit <= 2000 ? 120 : 60;
    if (seconds)
        sc.run_s = seconds;
    if (getenv("SIM_SEED"))
        sc.seed = strtoull(getenv("SIM_SEED"), NULL, 0);
    return sim_run(&sc);
}

/* The key of a cell, as its line begins. */
static int key(char *buf, size_t size, const struct cell *c)
{
    return snprintf(buf, size, "%-6s %5u %9u %6u %7u %8u ", c->cc, c->flows, c->rate_kbit, c->rtt_ms,
                    c->buffer_percent, c->loss_ppm);
}

static void print_line(FILE *f, const struct cell *c, const struct sim_result *r)
{
    char k[LINE_MAX_];

    key(k, sizeof k, c);
    fprintf(f, "%s %8.0f   %.3f %7.1f %7lu %5lu\n", k, r->total_kbit, r->jain, r->rtt_ms, r->retrans,
            r->timeouts);
}

/* --- the table --- */

struct table {
    char line[2048][LINE_MAX_];
    unsigned n;
};

static void load(struct table *t, const char *file)
{
    FILE *f = fopen(file, "r");

    t->n = 0;
    while (f && t->n < 2048 && fgets(t->line[t->n], LINE_MAX_, f))
        t->n++;
    if (f)
        fclose(f);
}

/* The goodput that the table has for a cell, or -1. */
static double lookup(const struct table *t, const struct cell *c)
{
    char k[LINE_MAX_];
    int n = key(k, sizeof k, c);

    for (unsigned i = 0; i < t->n; i++)
        if (strncmp(t->line[i], k, (size_t)n) == 0)
            return atof(t->line[i] + n);
    return -1;
}

/* --- all cells of one algorithm --- */

struct walk {
    const struct table *t;
    FILE *out; /* --update; else NULL */
    unsigned stride, count, bad;
};

static void one(struct walk *w, const struct cell *c)
{
    struct sim_result r;
    double want;

    if (c->buffer_percent != buffers_percent[0] &&
        buffer_bytes(c) == BUFFER_MIN) /* the same as the one before */
        return;
    if (w->count++ % w->stride)
        return;
    r = run_cell(c, 0);
    if (w->out) {
        print_line(w->out, c, &r);
        return;
    }
    want = lookup(w->t, c);
    if (want >= 0 && fabs(r.total_kbit - want) <= TOLERANCE * want)
        return;
    w->bad++;
    if (want < 0)
        printf("not in the table:\n");
    else
        printf("moved by %+.1f %% from %.0f:\n", (r.total_kbit - want) / want * 100, want);
    print_line(stdout, c, &r);
}

static void walk(struct walk *w, const char *cc)
{
    for (unsigned f = 0; f < RTE_DIM(flow_counts); f++)
        for (unsigned r = 0; r < RTE_DIM(rates_kbit); r++)
            for (unsigned d = 0; d < RTE_DIM(rtts_ms); d++)
                for (unsigned b = 0; b < RTE_DIM(buffers_percent); b++)
                    for (unsigned l = 0; l < RTE_DIM(losses_ppm); l++) {
                        struct cell c = {cc,         flow_counts[f],     rates_kbit[r],
                                         rtts_ms[d], buffers_percent[b], losses_ppm[l]};

                        one(w, &c);
                    }
}

static const char head[] =
    "# Goodput over a simulated bottleneck: see golden.c. Written by `golden --update`; compared by the "
    "tests with a\n"
    "# tolerance of 10 % a cell. Who changes a cell says why in the commit.\n"
    "# cc   flows rate_kbit rtt_ms buffer% loss_ppm      kbit   Jain    rtt_ms retrans  RTOs\n";

static int update(const char *file, char **cc, int ncc)
{
    static struct table old;
    FILE *f;

    load(&old, file);
    f = fopen(file, "w");
    if (!f) {
        perror(file);
        return 2;
    }
    fputs(head, f);
    for (unsigned i = 0; i < old.n; i++) {
        bool keep = old.line[i][0] != '#';

        for (int j = 0; j < ncc; j++) {
            size_t n = strlen(cc[j]);

            keep = keep && !(strncmp(old.line[i], cc[j], n) == 0 && old.line[i][n] == ' ');
        }
        if (keep)
            fputs(old.line[i], f);
    }
    for (int j = 0; j < ncc; j++) {
        struct walk w = {.out = f, .stride = 1};

        walk(&w, cc[j]);
    }
    return fclose(f) ? 2 : 0;
}

static int show(char **a, int n)
{
    struct cell c = {a[0],
                     (unsigned)atoi(a[1]),
                     (unsigned)atoi(a[2]),
                     (unsigned)atoi(a[3]),
                     (unsigned)atoi(a[4]),
                     (unsigned)atoi(a[5])};
    struct sim_result r = run_cell(&c, n > 6 ? (unsigned)atoi(a[6]) : 0);

    print_line(stdout, &c, &r);
    for (unsigned i = 0; i < c.flows; i++)
        printf("flow %u: %.0f kbit/s\n", i, r.kbit[i]);
    printf("frames lost %lu, marked %lu\n", r.lost, r.marked);
    return 0;
}

int main(int argc, char **argv)
{
    static struct table t;
    const char *stride = getenv("SIM_STRIDE");
    struct walk w = {.t = &t, .stride = stride && atoi(stride) > 0 ? (unsigned)atoi(stride) : 1};

    if (argc >= 8 && strcmp(argv[1], "--show") == 0)
        return show(argv + 2, argc - 2);
    if (argc >= 4 && strcmp(argv[1], "--update") == 0)
        return update(argv[2], argv + 3, argc - 3);
    if (argc < 3) {
        fprintf(stderr, "golden FILE CC ... (see golden.c)\n");
        return 2;
    }
    load(&t, argv[1]);
    for (int i = 2; i < argc; i++)
        walk(&w, argv[i]);
    printf("%u of %u cells differ by more than %.0f %%\n", w.bad, (w.count + w.stride - 1) / w.stride,
           TOLERANCE * 100);
    if (w.bad)
        printf("if that is meant: %s --update %s %s, and say why\n", argv[0], argv[1], argv[2]);
    return w.bad != 0;
}
