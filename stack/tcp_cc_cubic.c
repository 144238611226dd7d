/* tcp_cc_cubic.c: CUBIC (RFC 9438), in integers.
 *
 * W_cubic(t) = C (t - K)^3 + W_max, C = 0.4 segments/s^3, beta = 0.7. Windows are bytes here, times
 * milliseconds.
 */
#include "tcp_cc.h"

struct cubic {
    uint32_t w_max;      /* bytes */
    uint32_t cwnd_prior; /* cwnd before the last reduction */
    uint32_t epoch_ms;   /* start of the congestion avoidance stage, 0: none */
    uint32_t k_ms;
    uint32_t origin; /* W_max of this epoch, or cwnd where that was larger */
    uint32_t w_est;  /* what Reno would have (section 4.3) */
    uint32_t acked;  /* not yet turned into cwnd */
    uint32_t est_acked;
};
_Static_assert(sizeof(struct cubic) <= sizeof(((struct tcb *)0)->cc_priv), "cubic's state fits into the tcb");

static struct cubic *priv(struct tcb *t)
{
    return (struct cubic *)t->cc_priv;
}

/* Cube root, rounded down, a bit at a time. */
static uint32_t cube_root(uint64_t x)
{
    uint64_t y = 0;

    for (int s = 63; s >= 0; s -= 3) {
        uint64_t b;

        y <<= 1;
        b = 3 * y * (y + 1) + 1;
        if ((x >> s) >= b) {
            x -= b << s;
            y++;
        }
    }
    return (uint32_t)y;
}

static void cubic_init(struct shard *sh, struct tcb *t)
{
    (void)sh;
    *priv(t) = (struct cubic){0};
}

static void epoch_start(struct tcb *t, struct cubic *c, uint32_t now_ms)
{
    c->epoch_ms = now_ms;
    c->acked = c->est_acked = 0;
    c->w_est = t->cwnd;
    if (t->cwnd < c->w_max) { /* K = cbrt((W_max - cwnd_epoch) / C) */
        c->k_ms = cube_root((uint64_t)(c->w_max - t->cwnd) / t->mss * 2500000000ULL);
        c->origin = c->w_max;
    } else {
        c->k_ms = 0;
        c->origin = t->cwnd;
    }
}

/* W_cubic at t_ms into the epoch. */
static uint64_t w_cubic(const struct tcb *t, const struct cubic *c, uint32_t t_ms)
{
    int64_t d = (int64_t)t_ms - c->k_ms;
    __int128 cube = (__int128)d * d * d;
    int64_t off = (int64_t)(cube * 4 * t->mss / 10000000000LL), w = (int64_t)c->origin + off;

    return w > 0 ? (uint64_t)w : 0;
}

/* Reno's window for the same acknowledgements (section 4.3): alpha is 3 (1 - beta) / (1 + beta) = 9 / 17
 * until cwnd_prior is reached. */
static void w_est_advance(struct tcb *t, struct cubic *c, uint32_t acked)
{
    uint64_t step;

    c->est_acked += acked;
    step = (uint64_t)c->est_acked * t->mss / t->cwnd;
    if (c->w_est < c->cwnd_prior)
        step = step * 9 / 17;
    if (step == 0)
        return;
    c->w_est += (uint32_t)step;
    c->est_acked = 0;
}

static void cubic_avoid(struct shard *sh, struct tcb *t, uint32_t acked)
{
    struct cubic *c = priv(t);
    uint32_t now_ms = tcp_now_ms(sh), elapsed;
    uint64_t target, step;

    if (c->epoch_ms == 0)
        epoch_start(t, c, now_ms);
    elapsed = now_ms - c->epoch_ms;
    w_est_advance(t, c, acked);
    if (w_cubic(t, c, elapsed) < c->w_est) {
        if (t->cwnd < c->w_est)
            t->cwnd = c->w_est;
        return;
    }
    target = w_cubic(t, c, elapsed + (t->srtt_us8 >> 3) / 1000); /* section 4.2 */
    if (target > t->cwnd + t->cwnd / 2)
        target = t->cwnd + t->cwnd / 2;
    c->acked += acked;
    if (target <= t->cwnd) { /* section 4.5, as Linux: next to nothing on the plateau */
        if (c->acked / 100 >= t->cwnd) {
            t->cwnd += t->mss;
            c->acked = 0;
        }
        return;
    }
    step = (target - t->cwnd) * c->acked / t->cwnd;
    if (step) {
        t->cwnd += (uint32_t)step;
        c->acked = 0;
    }
}

static uint32_t cubic_ssthresh(struct shard *sh, struct tcb *t)
{
    struct cubic *c = priv(t);
    uint32_t s = (uint32_t)((uint64_t)t->cwnd * 7 / 10);

    (void)sh;
    c->epoch_ms = 0;
    c->cwnd_prior = t->cwnd;
    /* Fast convergence (section 4.7): make room for newcomers. */
    c->w_max = t->cwnd < c->w_max ? (uint32_t)((uint64_t)t->cwnd * 17 / 20) : t->cwnd;
    return s > 2u * t->mss ? s : 2u * t->mss;
}

const struct tcp_cc tcp_cc_cubic = {
    .name = "cubic", .init = cubic_init, .avoid = cubic_avoid, .ssthresh = cubic_ssthresh};
