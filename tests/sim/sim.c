/* sim.c: the simulation's loop (sim.h). The programs at both ends behave as programs with epoll do: the
 * sender writes when poll says so, until EAGAIN; the receiver reads whatever there is. */
#include <criterion/criterion.h> /* env.h's users have it */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../stack/tcp_rtt.h"
#include "../../stack/tcp_sndq.h"
#include "../unit/tcp_env.h"
#include "sim.h"

#define SAMPLE_NS 10000000ULL

struct flow_state {
    struct tcb *from, *to;
    uint64_t start_ns, rcvd;
};

struct sim {
    const struct sim_config *c;
    struct tcp_pair *p;
    struct flow_state f[SIM_FLOWS_MAX];
    uint64_t segments, next_drop; /* new data segments seen, and which of them is lost next (drop_every) */
    uint64_t random;
    uint32_t high[SIM_FLOWS_MAX]; /* per flow (by port): the end of the data seen */
    bool seen[SIM_FLOWS_MAX];
    double rtt_sum;
    uint64_t rtt_n, next_sample_ns;
};

static char payload[65536];
static const struct sim_config *tuned;

static void tune(struct tunables *set)
{
    int64_t min, max;

    set->tcp_ecn = tuned->mark_bytes ? 1 : 2;
    if (strcmp(tuned->cc[0], "dctcp") == 0) /* its receivers have rules of their own */
        tunables_set(set, "tcp_congestion_control", "dctcp", &min, &max);
    if (tuned->tune)
        tuned->tune(set);
}

/* About drop_every segments from one loss to the next, an eighth more or less. With a fixed distance a window
 * counted in whole segments stays wherever it first finds the flat part of CUBIC's curve at a loss: anywhere
 * between 0.9 and 1.2 of what the model says. */
static void next_drop(struct sim *s)
{
    uint32_t n = s->c->drop_every;

    s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
    s->next_drop = s->segments + n - n / 8 + (s->random >> 33) % (n / 4 + 1);
}

/* Loses a segment of new data now and then; what is sent again always passes. */
static bool drop_now_and_then(struct tcp_pair *p, int from, struct rte_mbuf *m)
{
    struct sim *s = p->arg;
    const struct ip4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct ip4_hdr *, ETH_HDR_LEN);
    const uint8_t *tcp = (const uint8_t *)ip + ip4_hlen(ip);
    struct tcp_hdr_in h;
    uint32_t len, end;
    unsigned i;

    if (from != 0 || ip->ver_ihl >> 4 != 4 || ip->proto != IPPROTO_TCP || wire_tcp_parse(tcp, 60, &h) < 0)
        return false;
    len = ntohs(ip->len_be) - ip4_hlen(ip) - h.hlen;
    end = h.seq + len;
    i = (ntohs(h.sport_be) - 80u) % SIM_FLOWS_MAX;
    if (len == 0 || (s->seen[i] && seq_leq(end, s->high[i])))
        return false;
    s->seen[i] = true;
    s->high[i] = end;
    if (++s->segments < s->next_drop)
        return false;
    next_drop(s);
    return true;
}

static void open_flows(struct sim *s)
{
    for (unsigned i = 0; i < s->c->flows; i++) {
        const char *cc = s->c->cc[i % 2] ? s->c->cc[i % 2] : s->c->cc[0];
        struct flow_state *f = &s->f[i];
        struct shard *sh;
        int err;

        tcp_pair_connect(s->p, (uint16_t)(80 + i), &f->from, &f->to);
        sh = tcp_pair_enter(s->p, 0);
        err = tcp_setopt(sh, f->from, IPPROTO_TCP, TCP_CONGESTION, cc, (uint32_t)strlen(cc));
        cr_assert_eq(err, 0, "TCP_CONGESTION %s: %d", cc, err);
        if (s->c->max_rate)
            tcp_setopt(sh, f->from, SOL_SOCKET, SO_MAX_PACING_RATE, &s->c->max_rate, sizeof s->c->max_rate);
    }
    for (unsigned i = 0; i < s->c->flows; i++)
        s->f[i].start_ns = s->p->now_ns + 1000ULL * tcp_pair_rnd(s->p, 2 * s->c->rtt_us + 1);
}

static void turn_sender(struct sim *s)
{
    bool any = false;

    for (unsigned i = 0; i < s->c->flows; i++) {
        struct flow_state *f = &s->f[i];
        struct iovec iov = {payload, sizeof payload};
        struct shard *sh;

        if (s->p->now_ns < f->start_ns || !tcp_writeable(f->from))
            continue;
        sh = tcp_pair_enter(s->p, 0);
        while (tcp_send(sh, f->from, &iov, 1, 0, false) > 0)
            ;
        any = true;
    }
    if (any)
        tcp_pair_flush(s->p, 0);
}

static void turn_receiver(struct sim *s)
{
    struct iovec iov = {payload, sizeof payload};
    bool any = false;

    for (unsigned i = 0; i < s->c->flows; i++) {
        struct flow_state *f = &s->f[i];
        struct shard *sh;
        ssize_t r;

        if (tcp_recv_avail(f->to) == 0)
            continue;
        sh = tcp_pair_enter(s->p, 1);
        while ((r = tcp_recv(sh, f->to, &iov, 1, MSG_TRUNC, 0)) > 0)
            f->rcvd += (uint64_t)r;
        any = true;
    }
    if (any)
        tcp_pair_flush(s->p, 1);
}

static void sample(struct sim *s)
{
    if (s->p->now_ns < s->next_sample_ns)
        return;
    s->next_sample_ns = s->p->now_ns + SAMPLE_NS;
    for (unsigned i = 0; i < s->c->flows; i++) {
        s->rtt_sum += s->f[i].from->srtt_us8 / 8 / 1000.0;
        s->rtt_n++;
    }
}

static void run_until(struct sim *s, uint64_t end_ns)
{
    while (s->p->now_ns < end_ns) {
        uint64_t next = end_ns;

        for (unsigned i = 0; i < s->c->flows; i++)
            if (s->f[i].start_ns > s->p->now_ns && s->f[i].start_ns < next)
                next = s->f[i].start_ns;
        tcp_pair_step(s->p, next);
        turn_receiver(s);
        turn_sender(s);
        sample(s);
    }
}

static void sim_free(struct sim *s)
{
    for (int i = 0; i < 2; i++) {
        shard_unlock(s->p->side[i].sh);
        seg_destroy(s->p->side[i].seg);
    }
    rte_mempool_free(s->p->pool);
    free(s->p);
}

struct sim_result sim_run(const struct sim_config *c)
{
    struct pair_config pc = {
        .seed = c->seed, .npkts = 32767, .tune = tune, .faults = {.delay_us = c->rtt_us / 2}};
    struct sim s = {.c = c};
    struct sim_result r = {0};
    uint64_t before[SIM_FLOWS_MAX], start_ns;
    double squares = 0;

    tuned = c;
    s.p = tcp_pair_new(&pc);
    s.p->arg = &s;
    open_flows(&s);
    s.random = c->seed;
    if (c->drop_every) {
        next_drop(&s);
        s.p->filter = drop_now_and_then;
    }
    s.p->faults.bytes_per_s = c->rate_kbit * 125;
    s.p->faults.queue_bytes = c->buffer_bytes;
    s.p->faults.loss_ppm = c->loss_ppm;
    s.p->faults.mark_bytes = c->mark_bytes;
    start_ns = s.p->now_ns + c->warm_s * 1000000000ULL;
    run_until(&s, start_ns);
    for (unsigned i = 0; i < c->flows; i++)
        before[i] = s.f[i].rcvd;
    s.rtt_sum = 0;
    s.rtt_n = 0;
    run_until(&s, start_ns + c->run_s * 1000000000ULL);
    for (unsigned i = 0; i < c->flows; i++) {
        r.kbit[i] = (double)(s.f[i].rcvd - before[i]) * 8 / 1000 / c->run_s;
        r.total_kbit += r.kbit[i];
        squares += r.kbit[i] * r.kbit[i];
    }
    r.jain = squares > 0 ? r.total_kbit * r.total_kbit / (c->flows * squares) : 0;
    r.rtt_ms = s.rtt_n ? s.rtt_sum / (double)s.rtt_n : 0;
    r.lost = s.p->side[0].lost + s.p->side[1].lost;
    r.marked = s.p->side[0].marked;
    r.retrans = s.p->side[0].sh->count[COUNT_TCP_RETRANS];
    r.timeouts = s.p->side[0].sh->count[COUNT_TCP_TIMEOUT];
    sim_free(&s);
    return r;
}
