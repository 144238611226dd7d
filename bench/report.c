/* report.c: see report.h. */
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

void hist_reset(struct hist *h)
{
    memset(h, 0, sizeof(*h));
    h->min_ns = UINT64_MAX;
}

/* Below HIST_STEPS a slot is a nanosecond; above, the top 7 bits of the value choose it. */
static unsigned hist_slot(uint64_t ns)
{
    unsigned shift, slot;

    if (ns < HIST_STEPS)
        return (unsigned)ns;
    shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
    slot = (shift + 1) * HIST_STEPS + (unsigned)((ns >> shift) & (HIST_STEPS - 1));
    return slot < HIST_SIZE ? slot : HIST_SIZE - 1;
}

static double hist_middle_ns(unsigned slot)
{
    unsigned shift = slot / HIST_STEPS;

    if (shift == 0)
        return slot;
    return ((double)(HIST_STEPS + slot % HIST_STEPS) + 0.5) * (double)(1ull << (shift - 1));
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->count[hist_slot(ns)]++;
    h->n++;
    h->sum_ns += ns;
    if (ns < h->min_ns)
        h->min_ns = ns;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

double hist_quantile_ns(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;

    for (unsigned i = 0; i < HIST_SIZE; i++) {
        seen += h->count[i];
        if (seen > want)
            return hist_middle_ns(i);
    }
    return h->n ? (double)h->max_ns : 0;
}

void report_begin(const char *workload)
{
    printf("{\"workload\":\"%s\"", workload);
}

void report_text(const char *name, const char *value)
{
    printf(",\"%s\":\"%s\"", name, value);
}

void report_number(const char *name, double value)
{
    printf(",\"%s\":%.10g", name, value);
}

void report_hist(const struct hist *h)
{
    if (!h->n)
        return;
    report_number("min_us", (double)h->min_ns / 1e3);
    report_number("p50_us", hist_quantile_ns(h, 0.5) / 1e3);
    report_number("p99_us", hist_quantile_ns(h, 0.99) / 1e3);
    report_number("p999_us", hist_quantile_ns(h, 0.999) / 1e3);
    report_number("max_us", (double)h->max_ns / 1e3);
    report_number("mean_us", (double)h->sum_ns / (double)h->n / 1e3);
}

void report_end(void)
{
    puts("}");
    fflush(stdout);
}

long rss_kb(long *shared_kb)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    long rss = 0, kb;

    *shared_kb = 0;
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            rss = kb;
        if (sscanf(line, "RssShmem: %ld", &kb) == 1)
            *shared_kb = kb;
    }
    if (f)
        fclose(f);
    return rss;
}

long anon_kb(int pid)
{
    char line[128];
    long kb = 0;
    FILE *f;

    snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", pid);
    f = fopen(line, "r");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "Pss_Anon: %ld", &kb) != 1)
        ;
    if (f)
        fclose(f);
    return kb;
}

void cpu_us(double *user, double *system)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);
    *user = (double)ru.ru_utime.tv_sec * 1e6 + (double)ru.ru_utime.tv_usec;
    *system = (double)ru.ru_stime.tv_sec * 1e6 + (double)ru.ru_stime.tv_usec;
}
