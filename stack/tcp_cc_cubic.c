/* tcp_cc_cubic.c: CUBIC (RFC 9438), in integers, starting with HyStart++.
 *
 * W_cubic(t) = C (t - K)^3 + W_max, C = 0.4 segments/s^3, beta = 0.7. Windows are bytes here, times
 * milliseconds. cwnd grows by whole segments, one for so many bytes acknowledged as bring it to the target in
 * a round trip. Until the first congestion event, and when that is undone, the epoch's place is HyStart++'s;
 * for both all zero is the beginning.
 */
#include "tcp_cc.h"
#include "tcp_hystart.h"

struct epoch {         /* a congestion avoidance stage */
    uint32_t start_ms; /* 0: none */
    uint32_t k_ms;
    uint32_t origin;    /* W_max of this epoch, or cwnd where that was larger */
    uint32_t w_est;     /* what Reno would have (section 4.3) */
    uint32_t acked;     /* not yet turned into cwnd */
    uint32_t est_acked; /* nor into w_est */
};

struct cubic {
    uint32_t w_max;       /* 0: none known */
    uint32_t w_max_prior; /* before the last reduction, for undo (section 4.9) */
    union {
        struct epoch e;
        struct tcp_hystart h; /* as long as ssthresh is not known */
    };
};
_Static_assert(sizeof(struct cubic) <= sizeof(((struct tcp_tx *)0)->cc_priv), "cubic's state fits");

static struct cubic *priv(struct tcb *t)
{
    return (struct cubic *)t->tx->cc_priv;
}

static bool first_start(const struct tcb *t)
{
    return t->ssthresh == UINT32_MAX;
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
    struct epoch *e = &c->e;

    *e = (struct epoch){.start_ms = now_ms, .w_est = t->cwnd, .origin = t->cwnd};
    if (t->cwnd < c->w_max) { /* K = cbrt((W_max - cwnd_epoch) / C) */
        e->k_ms = cube_root((uint64_t)(c->w_max - t->cwnd) * 2500000000ULL / t->mss);
        e->origin = c->w_max;
    }
}

/* W_cubic at t_ms into the epoch. */
static uint64_t w_cubic(const struct tcb *t, const struct epoch *e, uint32_t t_ms)
{
    int64_t d = (int64_t)t_ms - e->k_ms;
    __int128 cube = (__int128)d * d * d;
    int64_t off = (int64_t)(cube * 4 * t->mss / 10000000000LL), w = (int64_t)e->origin + off;

    return w > 0 ? (uint64_t)w : 0;
}

/* Reno's window for the same acknowledgements (section 4.3): alpha is 3 (1 - beta) / (1 + beta) = 9 / 17
 * until the window before the reduction is reached, then 1. */
static void w_est_advance(const struct tcb *t, struct epoch *e, uint32_t acked)
{
    uint64_t per_segment = e->w_est < t->tx->prior_cwnd ? (uint64_t)t->cwnd * 17 / 9 : t->cwnd;

    e->est_acked += acked;
    while (e->est_acked >= per_segment) {
        e->est_acked -= (uint32_t)per_segment;
        e->w_est += t->mss;
    }
}

/* Bytes to be acknowledged for a segment more. */
static uint64_t bytes_per_segment(const struct tcb *t, const struct cubic *c, uint32_t now_ms)
{
    uint32_t rtt_us = t->min_rtt_us != UINT32_MAX ? t->min_rtt_us : t->srtt_us8 >> 3;
    uint64_t target = w_cubic(t, &c->e, now_ms - c->e.start_ms + rtt_us / 1000); /* section 4.2 */
    uint64_t n;

    if (target > t->cwnd)
        n = (uint64_t)t->cwnd * t->mss / (target - t->cwnd);
    else /* next to nothing on the plateau, as Linux */
        n = 100ULL * t->cwnd;
    if (c->w_max == 0 && n > 20ULL * t->mss) /* no plateau known: some growth is needed to find one (Linux) */
        n = 20ULL * t->mss;
    if (c->e.w_est > t->cwnd) { /* Reno-friendly region (section 4.3) */
        uint64_t reno = (uint64_t)t->cwnd * t->mss / (c->e.w_est - t->cwnd);

        n = reno < n ? reno : n;
    }
    if (n > 1u << 30)
        n = 1u << 30;
    return n < 2u * t->mss ? 2u * t->mss : n; /* target at most 1.5 cwnd (section 4.2) */
}

static void cubic_avoid(struct shard *sh, struct tcb *t, uint32_t acked)
{
    struct cubic *c = priv(t);
    uint32_t now_ms = tcp_now_ms(sh);
    uint64_t n;

    if (c->e.start_ms == 0)
        epoch_start(t, c, now_ms);
    w_est_advance(t, &c->e, acked);
    n = bytes_per_segment(t, c, now_ms);
    c->e.acked += acked;
    if (c->e.acked < n)
        return;
    t->cwnd += (uint32_t)(c->e.acked / n) * t->mss;
    c->e.acked = (uint32_t)(c->e.acked % n);
}

static uint32_t cubic_slow_start(struct tcb *t, uint32_t acked)
{
    return first_start(t) ? tcp_hystart_growth(&priv(t)->h, acked) : acked;
}

static void cubic_on_ack(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs)
{
    struct cubic *c = priv(t);

    if (!first_start(t) || !tcp_hystart_ack(&c->h, t, rs->rtt_us, (int)sh->st->set.tcp_hystart))
        return;
    t->ssthresh = t->cwnd;
    c->e = (struct epoch){0};
    tcp_count(sh, COUNT_TCP_HYSTART);
}

static uint32_t cubic_ssthresh(struct shard *sh, struct tcb *t)
{
    struct cubic *c = priv(t);
    uint32_t s = (uint32_t)((uint64_t)t->cwnd * 7 / 10);

    (void)sh;
    c->e = (struct epoch){0};
    c->w_max_prior = c->w_max;
    /* Fast convergence (section 4.7): make room for newcomers. */
    c->w_max = t->cwnd < c->w_max ? (uint32_t)((uint64_t)t->cwnd * 17 / 20) : t->cwnd;
    return s > 2u * t->mss ? s : 2u * t->mss;
}

/* Section 4.9: as if nothing had been. */
static uint32_t cubic_undo(struct shard *sh, struct tcb *t)
{
    struct cubic *c = priv(t);

    (void)sh;
    c->w_max = c->w_max_prior;
    c->e = (struct epoch){0};
    return t->cwnd > t->tx->prior_cwnd ? t->cwnd : t->tx->prior_cwnd;
}

/* Section 4.8: after a timeout there is no plateau to go back to. */
static void cubic_set_state(struct shard *sh, struct tcb *t, uint8_t state)
{
    (void)sh;
    if (state != CA_LOSS)
        return;
    priv(t)->w_max = 0;
    priv(t)->e = (struct epoch){0};
}

/* Section 5.8: time in which nothing was sent is not time to grow in. */
static void cubic_restart(struct shard *sh, struct tcb *t, uint32_t idle_ms)
{
    struct cubic *c = priv(t);
    uint32_t now_ms = tcp_now_ms(sh);

    if (first_start(t) || c->e.start_ms == 0)
        return;
    c->e.start_ms += idle_ms;
    if ((int32_t)(c->e.start_ms - now_ms) > 0 || c->e.start_ms == 0)
        c->e.start_ms = now_ms;
}

const struct tcp_cc tcp_cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .slow_start = cubic_slow_start,
    .avoid = cubic_avoid,
    .ssthresh = cubic_ssthresh,
    .undo_cwnd = cubic_undo,
    .on_ack = cubic_on_ack,
    .set_state = cubic_set_state,
    .restart = cubic_restart,
};
