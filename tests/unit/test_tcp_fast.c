/* test_tcp_fast.c: the fast path does what the slow one does: the same random segments go to two stacks, one
 * with the fast path taken out, and after each segment what they sent and what they hold is compared. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../stack/tcp_input.h"
#include "tcp_peer.h"

static uint64_t rnd_state;

static uint32_t rnd(uint32_t below)
{
    rnd_state = rnd_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(((rnd_state >> 33) * below) >> 31);
}

/* What a step does, the same for both stacks. */
struct action {
    int kind;
    struct peer_seg s;
    uint32_t n;
};

/* What the peer's segments are like in a seed: how often each trouble comes, in 1/1000. */
struct trouble {
    uint32_t gap, old, unsent, urg, ece, ce, sack, closed;
};

static struct trouble trouble_of_seed(void)
{
    uint32_t most = rnd(3) ? rnd(120) : 0; /* a third of the connections is undisturbed */

    return (struct trouble){.gap = rnd(most + 1),
                            .old = rnd(most + 1),
                            .unsent = rnd(most / 4 + 1),
                            .urg = rnd(most / 4 + 1),
                            .ece = rnd(2) ? rnd(most + 1) : 0,
                            .ce = rnd(2) ? rnd(most + 1) : 0,
                            .sack = rnd(most + 1),
                            .closed = rnd(most / 4 + 1)};
}

static bool strikes(uint32_t per_mille)
{
    return rnd(1000) < per_mille;
}

static struct tcp_opts sack_opts;

static struct action choose(const struct peer *p, const struct trouble *w)
{
    uint32_t next = p->t->rcv_nxt - p->iss, una = p->t->snd_una - p->irs, nxt = p->t->snd_nxt - p->irs;
    struct action a = {.kind = (int)rnd(10)};

    a.n = rnd(4000);
    a.s = (struct peer_seg){.flags = TCP_ACK | (rnd(2) ? TCP_PSH : 0),
                            .seq = next,
                            .ack = una,
                            .len = rnd(3) ? rnd(1448) : 0,
                            .window = 20000 + rnd(3) * 1000};
    if (rnd(2))
        a.s.ack = una + rnd(nxt - una + 1);
    if (strikes(w->gap))
        a.s.seq += rnd(3000);
    if (strikes(w->old))
        a.s.seq -= rnd(1000);
    if (strikes(w->unsent))
        a.s.ack = nxt + 1 + rnd(10);
    if (strikes(w->urg))
        a.s.flags |= TCP_URG;
    if (strikes(w->ece))
        a.s.flags |= rnd(3) ? TCP_ECE : TCP_CWR;
    if (strikes(w->ce))
        a.s.tos = (uint8_t)(1 + rnd(3));
    if (strikes(w->closed))
        a.s.window = ~0u;
    if (strikes(w->sack) && nxt - a.s.ack > 1 && !p->ts) {
        uint32_t left = a.s.ack + 1 + rnd(nxt - a.s.ack - 1);

        sack_opts = (struct tcp_opts){.fastopen_len = -1, .nsack = 1};
        sack_opts.sack[0] = (struct tcp_sack_block){p->irs + left, p->irs + left + rnd(nxt - left) + 1};
        a.s.opts = &sack_opts;
    }
    return a;
}

static void perform(struct peer *p, const struct action *a, bool fast)
{
    tcp_fast_off = !fast;
    switch (a->kind) {
    case 0:
        peer_app_send(p, a->n, false);
        break;
    case 1:
    case 2:
        peer_app_recv(p, NULL, a->n);
        break;
    case 3:
        peer_wait_ms(p, a->n % 50);
        break;
    default:
        peer_send(p, a->s);
    }
}

#define same(field) cr_assert_eq(f->t->field, s->t->field, "seed %lu step %d: " #field, seed, step)

static void compare(struct peer *f, struct peer *s, uint64_t seed, int step)
{
    bool more;

    same(state);
    same(rcv_nxt);
    same(rcv_wup);
    same(rcv_wnd);
    same(copied_seq);
    same(snd_una);
    same(snd_nxt);
    same(snd_wnd);
    same(snd_wl1);
    same(snd_wl2);
    same(write_seq);
    same(ts_recent);
    same(cwnd);
    same(ssthresh);
    same(flags);
    same(rto_ms);
    same(quick);
    same(ecn);
    same(ca_state);
    same(srtt_us8);
    same(bytes_received);
    same(bytes_acked);
    same(rcvbuf);
    same(sndbuf);
    cr_assert_eq(!f->t->io, !s->t->io, "seed %lu step %d", seed, step);
    if (f->t->io) {
        same(io->rcv_mem);
        same(io->deadline_ms[DL_DELACK - DL_IO]);
        same(io->drs_us);
        same(io->drs_seq);
    }
    cr_assert_eq(!f->t->tx, !s->t->tx, "seed %lu step %d", seed, step);
    if (f->t->tx) {
        same(tx->sacked);
        same(tx->lost);
        same(tx->snd_mem);
        same(tx->delivered);
        same(tx->deadline_ms[DL_RTX - DL_TX]);
    }
    do {
        more = peer_recv(f);
        cr_assert_eq(more, peer_recv(s), "seed %lu step %d: segments", seed, step);
        if (!more)
            break;
        cr_assert_eq(f->seen.len, s->seen.len, "seed %lu step %d", seed, step);
        cr_assert(memcmp(f->seen.raw, s->seen.raw, f->seen.len) == 0, "seed %lu step %d: the segment", seed,
                  step);
    } while (more);
}

/* One connection. Segments that came, and those of the fast path. */
static void one_seed(uint64_t seed, int steps, uint64_t *hits, uint64_t *total)
{
    struct peer_opts o = {.ts = seed % 2, .sack = seed % 3 != 0, .wscale = seed % 5 != 0, .shift = 2};
    const struct env_config cfg = {.npkts = 511};
    struct peer *f = peer_new(&cfg), *s = peer_new(&cfg);
    struct trouble w;

    rnd_state = seed;
    w = trouble_of_seed();
    netdev_register(ENV_IF, &f->e->dev);
    peer_open_passive(f, &o);
    netdev_register(ENV_IF, &s->e->dev);
    peer_open_passive(s, &o);
    if (rnd(2)) { /* as if ECN were agreed on */
        f->t->flags |= TF_ECN;
        s->t->flags |= TF_ECN;
    }
    for (int step = 0; step < steps && f->t->state == TCPS_ESTABLISHED; step++) {
        struct action a = choose(f, &w);

        netdev_register(ENV_IF, &f->e->dev);
        perform(f, &a, true);
        netdev_register(ENV_IF, &s->e->dev);
        perform(s, &a, false);
        compare(f, s, seed, step);
    }
    *hits += f->sh->count[COUNT_TCP_FAST_PATH];
    *total += f->sh->count[COUNT_TCP_IN];
    cr_assert_eq(s->sh->count[COUNT_TCP_FAST_PATH], 0);
    for (int i = 0; i < 2; i++) {
        struct peer *p = i ? s : f;

        shard_unlock(p->sh);
        seg_destroy(p->e->seg);
        rte_mempool_free(p->e->pool);
        free(p->e);
        free(p);
    }
}

/* SHUNT_TEST_SEEDS sets how many connections are tried, SHUNT_TEST_SEED the first. */
static uint64_t number(const char *name, uint64_t other)
{
    const char *s = getenv(name);

    return s ? strtoull(s, NULL, 0) : other;
}

Test(tcp_fast, same_as_slow, .timeout = 600)
{
    uint64_t hits = 0, total = 0, first = number("SHUNT_TEST_SEED", 1), n = number("SHUNT_TEST_SEEDS", 2000);

    for (uint64_t seed = first; seed < first + n; seed++)
        one_seed(seed, seed % 50 == 0 ? 1000 : 60, &hits, &total);
    cr_log_info("%lu of %lu segments took the fast path", hits, total);
    cr_assert_gt(hits, total / 4);
}
