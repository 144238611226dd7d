/* report.h: what a workload measured: a histogram of times, and one line of JSON on standard output. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdint.h>

/* Times in nanoseconds, to about 1.6 % (64 steps to each power of two), from 0 to 18 s; memory does not grow.
 */
#define HIST_STEPS 64
#define HIST_SIZE  (30 * HIST_STEPS)

struct hist {
    uint64_t n, sum_ns, min_ns, max_ns;
    uint64_t count[HIST_SIZE];
};

void hist_reset(struct hist *h);
void hist_add(struct hist *h, uint64_t ns);
/* The time that a share q (0 to 1) of the values does not exceed; 0 when there are none. */
double hist_quantile_ns(const struct hist *h, double q);

/* One JSON object on one line: begin, any number of fields, end (which flushes). Names and text need no
 * escaping. */
void report_begin(const char *workload);
void report_text(const char *name, const char *value);
void report_number(const char *name, double value);
/* min_us, p50_us, p99_us, p999_us, max_us and mean_us. */
void report_hist(const struct hist *h);
void report_end(void);

/* Kilobytes of this process that are resident (of which shared memory in *shared_kb). */
long rss_kb(long *shared_kb);
/* Kilobytes of process pid's own memory that are resident; 0: not known. */
long anon_kb(int pid);
/* Microseconds of CPU time of this process so far. */
void cpu_us(double *user, double *system);

#endif
