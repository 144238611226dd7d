/* test_tcp_input.c: RFC 9293 section 3.10.7: what an event does in each synchronized state beyond its answer
 * and the next state (those are in the table of test_tcp_states.c): text read, poll, timestamps, order,
 * limits. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "tcp_peer.h"
#include "../../stack/tcp_rcvq.h"

/* A state and where both sides' numbers stand in it (relative; our FIN and the peer's count one). */
struct place {
    int state;
    uint32_t rcv_nxt; /* next of the peer's */
    uint32_t snd_nxt; /* next of ours */
    uint32_t snd_una;
};

#define STATES(X)                                                                                            \
    X(established, TCPS_ESTABLISHED, 1, 1, 1)                                                                \
    X(fin_wait_1, TCPS_FIN_WAIT_1, 1, 2, 1)                                                                  \
    X(fin_wait_2, TCPS_FIN_WAIT_2, 1, 2, 2)                                                                  \
    X(closing, TCPS_CLOSING, 2, 2, 1)                                                                        \
    X(close_wait, TCPS_CLOSE_WAIT, 2, 1, 1)                                                                  \
    X(last_ack, TCPS_LAST_ACK, 2, 2, 1)

static const struct env_config small = {.npkts = 511};
static const struct peer_opts with_ts = {.ts = true, .sack = true, .wscale = true, .shift = 7};

static struct peer *into(const struct place *w, const struct peer_opts *o)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, o);
    peer_into(p, w->state);
    return p;
}

static void same_state(struct peer *p, const struct place *w)
{
    cr_assert_eq(tcp_state(p->t), w->state, "state %d, was %d", tcp_state(p->t), w->state);
}

/* PAWS: an old timestamp is answered and dropped, before anything else is looked at. */
static void old_timestamp(const struct place *w)
{
    struct peer *p = into(w, &with_ts);
    uint32_t now = p->tsval;

    p->tsval = now - 1000;
    peer_send(p,
              (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = w->rcv_nxt, .ack = w->snd_nxt, .len = 5});
    peer_expect(p, TCP_ACK, w->snd_nxt, w->rcv_nxt, 0);
    same_state(p, w);
    cr_assert_eq(p->sh->count[COUNT_TCP_PAWS], 1);
    cr_assert_eq(p->seen.opts.tsecr, now, "TS.Recent is not the old one");
}

/* Second check: RST. */
static void rst_exact(const struct place *w)
{
    static const int err[] = {
        [TCPS_ESTABLISHED] = ECONNRESET, [TCPS_FIN_WAIT_1] = ECONNRESET, [TCPS_FIN_WAIT_2] = ECONNRESET,
        [TCPS_CLOSING] = ECONNRESET,     [TCPS_CLOSE_WAIT] = EPIPE,      [TCPS_LAST_ACK] = ECONNRESET};
    struct peer *p = into(w, NULL);

    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = w->rcv_nxt});
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, err[w->state]);
    cr_assert(tcp_poll(p->t) & POLLHUP);
    cr_assert(tcp_poll(p->t) & POLLERR);
    peer_expect_none(p);
}

/* Seventh: text; after the peer's FIN there is none. */
static void text(const struct place *w)
{
    bool takes = w->state == TCPS_ESTABLISHED || w->state == TCPS_FIN_WAIT_1 || w->state == TCPS_FIN_WAIT_2;
    struct peer *p = into(w, NULL);
    uint8_t buf[64];

    peer_send(p,
              (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = w->rcv_nxt, .ack = w->snd_una, .len = 10});
    same_state(p, w);
    cr_assert_eq(tcp_recv_avail(p->t), takes ? 10 : 0);
    if (!takes)
        return;
    peer_expect(p, TCP_ACK, w->snd_nxt, w->rcv_nxt + 10, 0);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 10);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(buf[i], (uint8_t)(w->rcv_nxt - 1 + (uint32_t)i));
}

/* Eighth: FIN. */
static void fin(const struct place *w)
{
    static const int next[] = {[TCPS_ESTABLISHED] = TCPS_CLOSE_WAIT, [TCPS_FIN_WAIT_1] = TCPS_CLOSING,
                               [TCPS_FIN_WAIT_2] = TCPS_CLOSE,       [TCPS_CLOSING] = TCPS_CLOSING,
                               [TCPS_CLOSE_WAIT] = TCPS_CLOSE_WAIT,  [TCPS_LAST_ACK] = TCPS_LAST_ACK};
    bool again = w->rcv_nxt == 2;
    struct peer *p = into(w, NULL);

    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = w->snd_una});
    peer_expect(p, TCP_ACK, w->snd_nxt, 2, 0);
    cr_assert_eq(tcp_state(p->t), next[w->state]);
    cr_assert_eq(tcp_timewaits(p->sh), w->state == TCPS_FIN_WAIT_2);
    if (!again)
        cr_assert(tcp_poll(p->t) & POLLRDHUP);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 0, "end of stream");
}

/* Text and FIN in one segment, acknowledging all of ours. */
static void text_with_fin_acking_all(const struct place *w)
{
    static const int next[] = {
        [TCPS_ESTABLISHED] = TCPS_CLOSE_WAIT, [TCPS_FIN_WAIT_1] = TCPS_CLOSE, [TCPS_FIN_WAIT_2] = TCPS_CLOSE};
    struct peer *p;

    if (w->rcv_nxt == 2)
        return;
    p = into(w, NULL);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = w->snd_nxt, .len = 7});
    if (w->state == TCPS_ESTABLISHED) /* the program will have a FIN to send with it */
        peer_wait_ms(p, 41);
    peer_expect(p, TCP_ACK, w->snd_nxt, 9, 0);
    cr_assert_eq(tcp_state(p->t), next[w->state]);
    cr_assert_eq(tcp_recv_avail(p->t), 7);
    cr_assert_eq(peer_app_recv(p, NULL, 100), 7);
    cr_assert_eq(peer_app_recv(p, NULL, 100), 0);
}

/* FIN before the text in front of it. */
static void fin_out_of_order(const struct place *w)
{
    struct peer *p;

    if (w->rcv_nxt == 2)
        return;
    p = into(w, NULL);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 11, .ack = w->snd_una});
    peer_expect(p, TCP_ACK, w->snd_nxt, 1, 0);
    same_state(p, w);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = w->snd_una, .len = 10});
    peer_expect(p, TCP_ACK, w->snd_nxt, 12, 0);
    cr_assert_neq(tcp_state(p->t), w->state);
}

static void call_close(const struct place *w)
{
    static const int next[] = {[TCPS_ESTABLISHED] = TCPS_FIN_WAIT_1, [TCPS_FIN_WAIT_1] = TCPS_FIN_WAIT_1,
                               [TCPS_FIN_WAIT_2] = TCPS_FIN_WAIT_2,  [TCPS_CLOSING] = TCPS_CLOSING,
                               [TCPS_CLOSE_WAIT] = TCPS_LAST_ACK,    [TCPS_LAST_ACK] = TCPS_LAST_ACK};
    struct peer *p = into(w, NULL);

    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    if (next[w->state] != w->state)
        peer_expect(p, TCP_FIN | TCP_ACK, w->snd_nxt, w->rcv_nxt, 0);
    peer_expect_none(p);
    if (w->state == TCPS_FIN_WAIT_2) /* tcp_tw.h has it from here on */
        cr_assert_eq(tcp_timewaits(p->sh), 1);
    else
        cr_assert_eq(tcp_state(p->t), next[w->state]);
    cr_assert_eq(tcp_orphans(p->sh), 1);
}

static void call_abort(const struct place *w)
{
    bool resets = w->state != TCPS_CLOSING && w->state != TCPS_LAST_ACK;
    struct peer *p = into(w, NULL);

    tcp_abort(p->sh, p->t);
    shard_flush(p->sh);
    if (resets)
        peer_expect(p, TCP_RST | TCP_ACK, w->snd_nxt, w->rcv_nxt, 0);
    peer_expect_none(p);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    tcp_close(p->sh, p->t);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1, "the listener alone");
}

#define EVENT(st, s, rn, sn, su, event)                                                                      \
    Test(tcp_input, st##_##event)                                                                            \
    {                                                                                                        \
        event(&(struct place){s, rn, sn, su});                                                               \
    }
#define EVENTS(st, s, rn, sn, su)                                                                            \
    EVENT(st, s, rn, sn, su, old_timestamp)                                                                  \
    EVENT(st, s, rn, sn, su, rst_exact)                                                                      \
    EVENT(st, s, rn, sn, su, text)                                                                           \
    EVENT(st, s, rn, sn, su, fin)                                                                            \
    EVENT(st, s, rn, sn, su, text_with_fin_acking_all)                                                       \
    EVENT(st, s, rn, sn, su, fin_out_of_order)                                                               \
    EVENT(st, s, rn, sn, su, call_close)                                                                     \
    EVENT(st, s, rn, sn, su, call_abort)
STATES(EVENTS)

/* --- malformed --- */

Test(tcp_input, header_cut_short_is_an_error)
{
    struct peer *p = peer_new(&small);
    uint8_t bytes[20] = {0};
    struct env_ip ip = {.proto = 6};

    env_inject(p->e, env_ip4(p->e, &ip, bytes, 12));
    bytes[12] = 0xf0; /* an offset beyond the end */
    env_inject(p->e, env_ip4(p->e, &ip, bytes, 20));
    bytes[12] = 0x40; /* and one below 5 */
    env_inject(p->e, env_ip4(p->e, &ip, bytes, 20));
    peer_poll(p);
    peer_expect_none(p);
    cr_assert_eq(p->sh->count[COUNT_TCP_ERR], 3);
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_input, wrong_checksum_is_counted_and_dropped)
{
    struct peer *p = peer_new(&small);
    struct tcp_hdr_in h = {.flags = TCP_SYN};
    struct rte_mbuf *m;

    peer_listen(p, 1);
    m = env_tcp(p->e, ENV_PEER_IP, 1, ENV_IP, OWN_PORT, &h, &peer_no_opts, NULL, 0);
    *rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len - 4) ^= 1;
    env_inject(p->e, m);
    peer_poll(p);
    peer_expect_none(p);
    cr_assert_eq(p->sh->count[COUNT_TCP_CSUM], 1);
}

/* RFC 5961 section 7: challenges are limited. */
Test(tcp_input, challenges_are_limited)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 4095});

    peer_open_passive(p, NULL);
    for (int i = 0; i < 1500; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 100});
    cr_assert_eq(peer_count(p), 1, "one each half second and connection");
    cr_assert_eq(p->sh->count[COUNT_TCP_SKIP_CHALLENGE], 1499);
    peer_clear(p);
    peer_wait_ms(p, 500);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 100});
    cr_assert_eq(peer_count(p), 1);
}

/* The limit of all together: about the number set (half of it, and as much again at random). */
Test(tcp_input, challenges_are_limited_for_all)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 4095});

    p->sh->st->set.tcp_challenge_ack_limit = 100;
    peer_open_passive(p, NULL);
    for (int i = 0; i < 500; i++) {
        if (p->t->ext)
            p->t->ext->oow_ms = 0;
        peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 100});
    }
    cr_assert_geq(peer_count(p), 50);
    cr_assert_leq(peer_count(p), 150);
    peer_clear(p);
    p->sh->st->set.tcp_challenge_ack_limit = 0;
    peer_wait_ms(p, 1001);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 100});
    peer_expect_none(p);
}

/* RFC 7323 section 5.5: after 24 days without a segment the old timestamp is no measure. */
Test(tcp_input, paws_forgets_after_24_days)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, &with_ts);
    p->e->now_ns += 25ULL * 24 * 3600 * 1000000000;
    p->tsval -= 1000;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 5});
    cr_assert_eq(tcp_recv_avail(p->t), 5);
}

/* Overlapping text: what came first stays, what is new is taken. */
Test(tcp_input, established_text_partly_old)
{
    struct peer *p = peer_new(&small);
    uint8_t buf[32];

    peer_open_passive(p, NULL);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10});
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 6, .ack = 1, .len = 10});
    peer_expect(p, TCP_ACK, 1, 16, 0);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 15);
    for (uint8_t i = 0; i < 15; i++)
        cr_assert_eq(buf[i], i);
}

Test(tcp_input, established_text_beyond_window_is_cut)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, NULL);
    uint32_t at = 0;

    for (; tcp_rcv_offered(p->t) >= 1000; at += 1000) {
        cr_assert_lt(at, 1u << 24, "the window closes when nobody reads");
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1 + at, .ack = 1, .len = 1000});
    }
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 1 + at, .ack = 1, .len = 1000});
    cr_assert_eq(tcp_recv_avail(p->t), at);
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED, "the FIN stood beyond the window");
}

/* A peer that writes less than a segment at a time: the reader's ACK opens enough for it to go on, were its
 * next unit half the largest window (RFC 9293 section 3.8.6.2). */
Test(tcp_input, established_small_segments_leave_the_window_open)
{
    struct peer *p = peer_new(&small);
    static uint8_t buf[65000];

    peer_open_passive(p, NULL);
    for (uint32_t at = 0; at < sizeof buf; at += 1000)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1 + at, .ack = 1, .len = 1000});
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), sizeof buf);
    cr_assert_geq(tcp_rcv_offered(p->t), 32768);
}

/* One ACK for a burst. */
Test(tcp_input, established_burst_has_one_ack)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, NULL);
    for (uint32_t i = 0; i < 10; i++)
        peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1 + i * 1000, .ack = 1, .len = 1000});
    peer_poll(p);
    peer_expect(p, TCP_ACK, 1, 10001, 0);
    peer_expect_none(p);
}

/* Linux: text that nobody can read any more resets. */
Test(tcp_input, orphan_text_is_reset)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, NULL);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2, .len = 10});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(seen_seq(p), 2);
    cr_assert_eq(tcp_orphans(p->sh), 0);
    cr_assert_eq(env_leaks(p->e), 0);
}
