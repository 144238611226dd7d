/* test_tcp_cookie.c: SYN cookies: their arithmetic, and that a flood of SYNs neither takes memory nor keeps
 * anybody out. */
#include <criterion/criterion.h>

#include "../../stack/tcp_cookie.h"
#include "../../stack/tcp_synq.h"
#include "tcp_peer.h"

static const struct endpoint own = {{.w = {0, 0, 0xffff0000, ENV_IP}}, 0x5000};
static const struct endpoint peer = {{.w = {0, 0, 0xffff0000, ENV_PEER_IP}}, 0x1234};

Test(tcp_cookie, round_trip_of_each_mss)
{
    static const uint16_t in[] = {0, 536, 537, 1299, 1300, 1439, 1440, 1459, 1460, 9000, 65535};
    static const uint16_t out[] = {536, 536, 536, 536, 1300, 1300, 1440, 1440, 1460, 1460, 1460};
    struct env *e = env_stack(NULL);

    for (unsigned i = 0; i < sizeof in / sizeof *in; i++) {
        for (uint32_t irs = 0xfffffff0; irs != 16; irs++) {
            uint16_t mss = in[i];
            uint32_t c = tcp_cookie_make(e->sh, &own, &peer, irs, &mss);

            cr_assert_eq(mss, out[i]);
            cr_assert_eq(tcp_cookie_check(e->sh, &own, &peer, irs, c), out[i]);
        }
    }
}

Test(tcp_cookie, is_good_for_this_minute_and_the_last)
{
    struct env *e = env_stack(NULL);
    uint16_t mss = 1460;
    uint32_t c = tcp_cookie_make(e->sh, &own, &peer, 1, &mss);

    e->sh->now_ns += 60000000000ULL;
    cr_assert_eq(tcp_cookie_check(e->sh, &own, &peer, 1, c), 1460);
    e->sh->now_ns += 60000000000ULL;
    cr_assert_eq(tcp_cookie_check(e->sh, &own, &peer, 1, c), 0);
}

/* A guess is right once in 2^22 (the minute and the index are 2 of the 24 + 8 bits each). */
Test(tcp_cookie, guesses_are_wrong)
{
    struct env *e = env_stack(NULL);
    unsigned good = 0;

    for (uint32_t i = 0; i < 400000; i++)
        good += tcp_cookie_check(e->sh, &own, &peer, 77, i * 2654435761u) != 0;
    cr_assert_leq(good, 2);
}

Test(tcp_cookie, belongs_to_the_end_points)
{
    struct env *e = env_stack(NULL);
    struct endpoint other = peer;
    uint16_t mss = 1460;
    uint32_t c = tcp_cookie_make(e->sh, &own, &peer, 1, &mss);

    other.port_be++;
    cr_assert_eq(tcp_cookie_check(e->sh, &own, &other, 1, c), 0);
    cr_assert_eq(tcp_cookie_check(e->sh, &own, &peer, 1 << 20, c), 0);
}

Test(tcp_cookie, timestamp_carries_the_options)
{
    struct env *e = env_stack(NULL);
    struct tunables *set = &e->st->set;

    for (unsigned i = 0; i < 64; i++) {
        struct tcp_cookie_opts o = {(i & 15) != 15, i & 16, i & 32, (i & 15) == 15 ? 0 : i & 15}, r;

        for (uint32_t now = 0xffffff00; now != 300; now++) {
            uint32_t ts = tcp_cookie_ts(now, &o);

            cr_assert_leq((int32_t)(ts - now), 0);
            cr_assert_gt((int32_t)(ts - now), -64);
            cr_assert(tcp_cookie_ts_read(set, ts, &r));
            cr_assert(r.wscale_ok == o.wscale_ok && r.wscale == o.wscale && r.sack == o.sack &&
                      r.ecn == o.ecn);
        }
        set->tcp_sack = 0;
        cr_assert_eq(tcp_cookie_ts_read(set, tcp_cookie_ts(5000, &o), &r), !(i & 16));
        set->tcp_sack = 1;
    }
}

/* --- against a flood --- */

/* SYNs from addresses and ports that never answer, until the listener's queue is full. */
static void flood(struct peer *p, uint32_t from, uint32_t n)
{
    struct tcp_opts o = {.mss = 1460, .fastopen_len = -1};

    for (uint32_t i = from; i < from + n; i++) {
        struct tcp_hdr_in h = {.flags = TCP_SYN, .seq = i * 7919, .window = 1000};

        env_inject(p->e, env_tcp(p->e, IP4(198, 18, 1 + i / 60000 % 200, 1 + i % 200),
                                 (uint16_t)(1024 + i % 60000), ENV_IP, OWN_PORT, &h, &o, NULL, 0));
        if (i % 32 == 31) {
            env_poll(p->e);
            env_tx_clear(p->e);
        }
    }
    env_poll(p->e);
    env_tx_clear(p->e);
}

static uint64_t counted(struct peer *p, enum count c)
{
    return p->sh->count[c];
}

Test(tcp_cookie, none_before_the_queue_is_full)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_listen(p, 9);
    flood(p, 0, 10);
    cr_assert_eq(p->listener->synq_len, 10);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_SENT), 0);
    flood(p, 10, 1);
    cr_assert_eq(p->listener->synq_len, 10);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_SENT), 1);
    cr_assert_eq(counted(p, COUNT_TCP_REQQ_COOKIES), 1);
}

static void everybody_comes_through(bool ts)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});
    uint64_t seg_used;
    uint32_t fresh;

    peer_listen(p, 128);
    flood(p, 0, 1000);
    seg_used = p->e->seg->used;
    fresh = p->sh->tcp->synreq.fresh;
    for (uint32_t i = 0; i < 300; i++) {
        flood(p, 1000 + i * 200, 200);
        p->port = (uint16_t)(20000 + i);
        p->ts = false;
        peer_open_passive(p, &(struct peer_opts){.ts = ts, .sack = true, .wscale = true, .shift = 7});
        cr_assert_eq(p->t->state, TCPS_ESTABLISHED, "attempt %u", i);
        cr_assert_eq(!!(p->t->flags & TF_SACK), ts);
        cr_assert_eq(!!(p->t->flags & TF_WSCALE), ts);
        cr_assert_eq(p->t->snd_wscale, ts ? 7 : 0);
        peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 100});
        cr_assert_eq(tcp_recv_avail(p->t), 100);
        tcp_abort(p->sh, p->t);
        tcp_close(p->sh, p->t);
        shard_flush(p->sh);
        peer_clear(p);
        peer_wait_ms(p, 1);
        peer_clear(p);
    }
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_RECV), 300);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_FAILED), 0);
    cr_assert_eq(counted(p, COUNT_TCP_LISTEN_DROP), 0);
    cr_assert_eq(p->sh->tcp->synreq.fresh, fresh, "no more requests than fit");
    cr_assert_leq(p->sh->tcp->synreq.in_use, 129);
    cr_assert_leq(p->sh->tcp->tcb.fresh, 3);
    cr_assert_eq(p->e->seg->used, seg_used);
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_cookie, flood_keeps_nobody_out)
{
    everybody_comes_through(true);
}

Test(tcp_cookie, flood_keeps_nobody_out_without_timestamps)
{
    everybody_comes_through(false);
}

/* The last ACK was lost: data brings the cookie as well. */
Test(tcp_cookie, comes_back_with_data)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_listen(p, 1);
    flood(p, 0, 10);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 100});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t);
    cr_assert_eq(tcp_recv_avail(p->t), 100);
    peer_expect(p, TCP_ACK, 1, 101, 0);
}

Test(tcp_cookie, forged_ack_is_reset)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_listen(p, 1);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 5, .ack = 9});
    cr_assert(peer_recv(p));
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_FAILED), 0, "not looked at: none was sent");
    flood(p, 0, 10);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 5, .ack = 9});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_FAILED), 1);
    cr_assert_null(tcp_accept(p->sh, p->listener));
    peer_wait_ms(p, TCP_COOKIE_VALID_MS + 1);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 5, .ack = 9});
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_FAILED), 1, "not looked at any more");
}

Test(tcp_cookie, full_accept_queue_takes_none)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_listen(p, 0);
    flood(p, 0, 1);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert_eq(p->listener->acc_len, 1);
    flood(p, 5, 3);
    cr_assert_eq(counted(p, COUNT_TCP_LISTEN_OVERFLOW), 3, "SYNs at a full accept queue");
    cr_assert_eq(counted(p, COUNT_TCP_LISTEN_DROP), 3);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_SENT), 1);
}

static void no_cookies(struct tunables *set)
{
    set->tcp_syncookies = 0;
}

Test(tcp_cookie, may_be_off)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tune = no_cookies});

    peer_listen(p, 1);
    flood(p, 0, 10);
    cr_assert_eq(counted(p, COUNT_TCP_REQQ_DROP), 8);
    cr_assert_eq(counted(p, COUNT_TCP_LISTEN_DROP), 8);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_SENT), 0);
}

static void always(struct tunables *set)
{
    set->tcp_syncookies = 2;
}

Test(tcp_cookie, may_be_all_there_is)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tune = always});

    peer_listen(p, 100);
    flood(p, 0, 10);
    cr_assert_eq(p->sh->tcp->synreq.in_use, 0);
    peer_open_passive(p, &(struct peer_opts){.ts = true, .sack = true});
    cr_assert(p->t->flags & TF_SACK);
    cr_assert_not(p->t->flags & TF_WSCALE);
}

/* Requests beyond the memory for them: cookies, too. */
Test(tcp_cookie, no_memory)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_listen(p, 100);
    while (slab_alloc(&p->sh->tcp->synreq)) {
    }
    peer_open_passive(p, NULL);
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    cr_assert_eq(counted(p, COUNT_TCP_COOKIE_RECV), 1);
}
