/* test_tcp_fast.c: the fast path does what the slow one does: the same random segments go to two stacks, one
 * with the fast path taken out, and after each segment what they sent and what they hold is compared. */
#include <criterion/criterion.h>
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

static struct action choose(const struct peer *p)
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
    if (rnd(12) == 0)
        a.s.seq += rnd(3000);
    if (rnd(12) == 0)
        a.s.seq -= rnd(1000);
    if (rnd(60) == 0)
        a.s.ack = nxt + 1 + rnd(10);
    if (rnd(80) == 0)
        a.s.flags |= TCP_URG;
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
    same(sacked);
    same(lost);
    same(flags);
    same(rcv_mem);
    same(snd_mem);
    same(rto_ms);
    same(quick);
    same(deadline_ms[DL_RTX]);
    same(deadline_ms[DL_DELACK]);
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

Test(tcp_fast, same_as_slow, .timeout = 60)
{
    uint64_t hits = 0, total = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct peer_opts o = {.ts = seed % 2, .sack = seed % 3 != 0, .wscale = seed % 5 != 0, .shift = 2};
        struct peer *f = peer_new(&(struct env_config){.npkts = 1023}),
                    *s = peer_new(&(struct env_config){.npkts = 1023});

        rnd_state = seed;
        netdev_register(ENV_IF, &f->e->dev);
        peer_open_passive(f, &o);
        netdev_register(ENV_IF, &s->e->dev);
        peer_open_passive(s, &o);
        for (int step = 0; step < 400 && f->t->state == TCPS_ESTABLISHED; step++) {
            struct action a = choose(f);

            netdev_register(ENV_IF, &f->e->dev);
            perform(f, &a, true);
            netdev_register(ENV_IF, &s->e->dev);
            perform(s, &a, false);
            compare(f, s, seed, step);
        }
        hits += f->sh->count[COUNT_TCP_FAST_PATH];
        total += f->sh->count[COUNT_TCP_IN];
        cr_assert_eq(s->sh->count[COUNT_TCP_FAST_PATH], 0);
        rte_mempool_free(f->e->pool);
        rte_mempool_free(s->e->pool);
    }
    cr_log_info("%lu of %lu segments took the fast path", hits, total);
    cr_assert_gt(hits, total / 4);
}
