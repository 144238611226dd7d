/* sim.h: flows over a simulated bottleneck: two whole stacks on one fake clock (../unit/tcp_env.h), the first
 * sending bulk data to the second. What comes out is a function of the configuration alone.
 */
#ifndef SHUNT_TEST_SIM_H
#define SHUNT_TEST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_FLOWS_MAX 8

struct sim_config {
    const char *cc[2];      /* of even and of odd flows; the second NULL: as the first */
    unsigned flows;         /* all start within two round trips */
    uint64_t rate_kbit;     /* the bottleneck's */
    uint32_t rtt_us;        /* without its queue */
    uint32_t buffer_bytes;  /* its buffer */
    uint32_t loss_ppm;      /* random loss, both ways */
    uint32_t mark_bytes;    /* a queue beyond it is marked CE; 0: no ECN */
    uint32_t drop_every;    /* of about so many new data segments of all one is lost, once; 0: none */
    uint32_t warm_s, run_s; /* seconds not measured, seconds measured */
    uint64_t max_rate;      /* SO_MAX_PACING_RATE in bytes/s, 0: none */
    uint64_t seed;
    void (*tune)(struct tunables *set); /* of both stacks, or NULL */
};

struct sim_result {
    double kbit[SIM_FLOWS_MAX]; /* goodput of each flow: bytes that the receiving program read */
    double total_kbit;
    double jain;                              /* Jain's index of the flows' goodput, 1: equal */
    double rtt_ms;                            /* smoothed round-trip time, mean of samples in time */
    uint64_t retrans, lost, timeouts, marked; /* segments sent again; frames lost; RTOs; frames marked */
};

struct sim_result sim_run(const struct sim_config *c);

#endif
