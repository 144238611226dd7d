/* test_tcp_rack.c: RACK and its reordering window, tail loss probes (RFC 8985), undoing by timestamps, D-SACK
 * and F-RTO (RFC 3522, 3708, 5682), proportional rate reduction (RFC 6937), and what the scoreboard costs. */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "../../stack/tcp_output.h"
#include "../../stack/tcp_prr.h"
#include "../../stack/tcp_sack.h"
#include "tcp_peer.h"

#define MSS    1000u
#define RTT_MS 40u

static uint32_t at(uint32_t i)
{
    return 1 + i * MSS;
}

/* An ACK of all before segment i, with SACK blocks given as ranges [from, to) of segments. */
static void sack(struct peer *p, uint32_t i, const uint32_t (*r)[2], uint8_t n)
{
    struct tcp_opts o = {.nsack = n, .fastopen_len = -1};

    for (uint8_t k = 0; k < n; k++)
        o.sack[k] = (struct tcp_sack_block){p->irs + at(r[k][0]), p->irs + at(r[k][1])};
    if (p->ts) {
        o.has_ts = 1;
        o.tsval = p->tsval;
        o.tsecr = p->tsecr;
    }
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = at(i), .opts = &o});
}

#define SACK(p, i, ...)                                                                                      \
    sack(p, i, (const uint32_t[][2]){__VA_ARGS__}, sizeof((const uint32_t[][2]){__VA_ARGS__}) / 8)

static void ack(struct peer *p, uint32_t i)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = at(i)});
}

static void reno(struct tunables *set)
{
    set->tcp_congestion_control = 1;
}

/* A connection with a measured RTT and n segments in flight, extra more waiting; a round trip has passed. */
static struct peer *in_flight(uint32_t n, uint32_t extra, bool ts)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 8191, .tune = reno});

    peer_open_passive(
        p, &(struct peer_opts){.sack = true, .ts = ts, .mss = ts ? 1012 : 1000, .wscale = true, .shift = 7});
    peer_set(p, SOL_SOCKET, SO_SNDBUF, 16 << 20);
    p->t->sndbuf = 16 << 20;
    p->t->srtt_us8 = 0;
    p->t->min_rtt_us = UINT32_MAX;
    p->t->cwnd = n * MSS;
    cr_assert_eq(p->t->mss, MSS);
    for (uint32_t left = (n + extra) * MSS, k; left; left -= k) {
        k = left < 1000 * MSS ? left : 1000 * MSS;
        cr_assert_eq(peer_app_send(p, k, false), k);
    }
    peer_clear(p);
    cr_assert_eq(tcp_flight(p->t), n * MSS);
    peer_wait_ms(p, RTT_MS);
    return p;
}

/* --- RACK --- */

Test(tcp_rack, waits_a_quarter_of_the_rtt_for_what_may_be_late)
{
    struct peer *p = in_flight(4, 0, false);

    SACK(p, 0, {1, 2});
    peer_expect_none(p);
    cr_assert_eq(p->t->ca_state, CA_DISORDER);
    cr_assert_eq(p->t->tx->rtx_kind, RTX_REO);
    peer_wait_ms(p, RTT_MS / 4 - 2);
    peer_expect_none(p);
    peer_wait_ms(p, 6);
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
}

Test(tcp_rack, three_packets_above_are_enough_without_reordering)
{
    struct peer *p = in_flight(5, 0, false);

    SACK(p, 0, {1, 2});
    SACK(p, 0, {1, 3});
    peer_expect_none(p);
    SACK(p, 0, {1, 4});
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
}

Test(tcp_rack, late_packets_make_it_patient)
{
    struct peer *p = in_flight(10, 0, false);

    SACK(p, 0, {1, 3});
    SACK(p, 0, {1, 3}); /* 0 was late, not lost */
    ack(p, 3);
    cr_assert(p->t->reord_seen);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(tcp_total_retrans(p->t), 0);
    SACK(p, 3, {4, 8}); /* four above: DupThresh counts no more */
    peer_expect_none(p);
    cr_assert_eq(p->t->ca_state, CA_DISORDER);
}

Test(tcp_rack, finds_a_lost_retransmission)
{
    struct peer *p = in_flight(8, 8, false);

    SACK(p, 0, {1, 4});
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    SACK(p, 0, {1, 8}); /* lets new data out */
    peer_expect(p, TCP_ACK, at(8), 1, MSS);
    peer_clear(p);
    peer_wait_ms(p, RTT_MS);
    SACK(p, 0, {8, 9}, {1, 8}); /* sent after the retransmission */
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    cr_assert_eq(p->sh->count[COUNT_TCP_LOST_RETRANSMIT], 1);
    cr_assert_eq(p->sh->count[COUNT_TCP_TIMEOUT], 0);
}

Test(tcp_rack, dsack_widens_the_window)
{
    struct peer *p = in_flight(10, 0, false);

    SACK(p, 0, {1, 3});
    ack(p, 3); /* the path reorders */
    SACK(p, 3, {4, 6});
    peer_wait_ms(p, RTT_MS / 4 + 3); /* the window is over: 3 is sent again */
    peer_expect(p, TCP_ACK, at(3), 1, MSS);
    ack(p, 6);
    SACK(p, 6, {3, 4}); /* both copies arrived: it had been late */
    ack(p, 7);
    cr_assert_gt(p->t->rack_steps, 1);
}

/* --- tail loss probes --- */

Test(tcp_rack, probe_repeats_the_last_segment)
{
    struct peer *p = in_flight(4, 0, false);

    ack(p, 2);
    peer_wait_ms(p, 2 * RTT_MS - 5);
    peer_expect_none(p);
    peer_wait_ms(p, 12);
    peer_expect(p, TCP_ACK | TCP_PSH, at(3), 1, MSS);
    cr_assert_eq(p->sh->count[COUNT_TCP_LOSS_PROBES], 1);
    cr_assert_eq(p->sh->count[COUNT_TCP_TIMEOUT], 0);
    /* 2 was lost: the probe's SACK tells, and RACK acts */
    peer_wait_ms(p, RTT_MS);
    SACK(p, 2, {3, 4});
    peer_wait_ms(p, RTT_MS / 4 + 3);
    peer_expect(p, TCP_ACK, at(2), 1, MSS);
    cr_assert_eq(p->sh->count[COUNT_TCP_TIMEOUT], 0);
}

Test(tcp_rack, probe_sends_new_data_whatever_cwnd_says)
{
    struct peer *p = in_flight(4, 4, false);

    peer_wait_ms(p, 3 * 1000); /* no RTT yet: an initial RTO */
    peer_expect(p, TCP_ACK, at(4), 1, MSS);
    cr_assert_not(p->t->tx->tlp_retrans);
}

Test(tcp_rack, probe_that_repaired_a_loss_reduces)
{
    struct peer *p = in_flight(4, 0, false);
    uint32_t cwnd;

    ack(p, 3);
    peer_wait_ms(p, 400); /* one segment: an ACK of it may be delayed */
    cr_assert_eq(p->sh->count[COUNT_TCP_LOSS_PROBES], 1);
    peer_clear(p);
    cwnd = p->t->cwnd;
    peer_app_send(p, 10, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = at(4) + 10});
    cr_assert_eq(p->sh->count[COUNT_TCP_LOSS_PROBE_RECOVERY], 1, "no D-SACK: one copy was lost");
    cr_assert_lt(p->t->cwnd, cwnd);
}

Test(tcp_rack, probe_that_was_needless_does_not)
{
    struct peer *p = in_flight(4, 0, false);
    uint32_t cwnd;

    ack(p, 3);
    peer_wait_ms(p, 400);
    cwnd = p->t->cwnd;
    SACK(p, 4, {3, 4}); /* D-SACK */
    cr_assert_not(p->t->tx->tlp_out);
    cr_assert_eq(p->sh->count[COUNT_TCP_LOSS_PROBE_RECOVERY], 0);
    cr_assert_geq(p->t->cwnd, cwnd);
}

/* --- undoing --- */

Test(tcp_rack, timestamps_undo_a_recovery)
{
    struct peer *p = in_flight(10, 0, true);
    uint32_t cwnd = p->t->cwnd;

    SACK(p, 0, {1, 4});
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    cr_assert_eq(peer_count(p), 1); /* not read: the peer goes on echoing what it saw before */
    ack(p, 10);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(p->sh->count[COUNT_TCP_FULL_UNDO], 1);
    cr_assert_geq(p->t->cwnd, cwnd);
    cr_assert_eq(p->t->ssthresh, UINT32_MAX);
}

Test(tcp_rack, dsack_undoes_a_recovery)
{
    struct peer *p = in_flight(10, 0, false);
    uint32_t cwnd = p->t->cwnd;

    SACK(p, 0, {1, 4});
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    ack(p, 5);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    SACK(p, 6, {0, 1}); /* the only retransmission was needless */
    cr_assert_eq(p->sh->count[COUNT_TCP_DSACK_UNDO], 1);
    cr_assert_geq(p->t->cwnd, cwnd);
}

Test(tcp_rack, frto_undoes_a_spurious_timeout)
{
    struct peer *p = in_flight(10, 10, false);
    uint32_t cwnd;

    ack(p, 1); /* an RTT */
    peer_wait_ms(p, 600);
    cr_assert_eq(p->t->ca_state, CA_LOSS);
    cr_assert_gt(p->sh->count[COUNT_TCP_TIMEOUT], 0);
    peer_clear(p);
    cwnd = p->t->tx->prior_cwnd;
    ack(p, 2); /* step 2.b: new data */
    cr_assert(peer_recv(p));
    cr_assert_geq(seen_seq(p), at(11), "not a retransmission: %u", seen_seq(p));
    ack(p, 4); /* 2 and 3 were never sent again: they are the originals */
    cr_assert_eq(p->sh->count[COUNT_TCP_SPURIOUS_RTOS], 1);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(p->t->tx->lost, 0);
    cr_assert_geq(p->t->cwnd, cwnd);
}

Test(tcp_rack, enter_cwr_reduces_over_a_round_trip)
{
    struct peer *p = in_flight(10, 20, false);

    tcp_recover_keep_open(p->sh, p->t);
    ack(p, 1);
    peer_clear(p);
    tcp_set_ca_state(p->sh, p->t, CA_OPEN);
    p->t->cwnd = 10 * MSS;
    tcp_enter_cwr(p->sh, p->t);
    cr_assert_eq(p->t->ca_state, CA_CWR);
    cr_assert_eq(p->t->ssthresh, 5 * MSS);
    for (uint32_t i = 2; i <= 8; i++)
        ack(p, i);
    cr_assert_leq(p->t->cwnd, 8 * MSS);
    cr_assert_geq(peer_count(p), 2, "one for two that were delivered");
    cr_assert_leq(peer_count(p), 5);
    tcp_enter_cwr(p->sh, p->t);
    cr_assert_eq(p->t->ssthresh, 5 * MSS, "once a round trip");
}

/* --- what an ACK costs --- */

/* A hole at the head of a large window, and SACK by SACK the rest: each takes a few steps, however long the
 * queue is. */
Test(tcp_rack, a_hole_at_the_head_costs_nothing)
{
    struct peer *p = in_flight(3000, 0, false);
    struct tcp_opts o = {.nsack = 1, .fastopen_len = -1};

    p->t->reord_seen = true; /* nothing is sent again meanwhile */
    p->t->min_rtt_us = 1000000;
    p->t->srtt_us8 = 8000000;
    for (uint32_t i = 2; i < 3000; i++) {
        struct tcp_ack_info a = {
            .ack = p->t->snd_una, .una = p->t->snd_una, .prior_una = p->t->snd_una, .reord = p->t->snd_nxt};
        uint32_t steps;

        o.sack[0] = (struct tcp_sack_block){p->irs + at(1), p->irs + at(i)};
        steps = tcp_sack_take(p->sh, p->t, &o, &a);
        cr_assert_leq(steps, 4, "%u steps for segment %u", steps, i);
        cr_assert_eq(a.sacked, MSS);
    }
    cr_assert_eq(p->t->tx->sacked, 2998 * MSS);
    cr_assert_eq(tcp_sacked_packets(p->t), 2998);
}

/* Every other segment, from the top down and then at random: the worst a peer can do is bounded. */
Test(tcp_rack, hostile_blocks_are_bounded)
{
    struct peer *p = in_flight(3000, 0, false);
    struct tcp_opts o = {.nsack = 4, .fastopen_len = -1};

    for (uint32_t i = 0; i < 3000; i++) {
        struct tcp_ack_info a = {
            .ack = p->t->snd_una, .una = p->t->snd_una, .prior_una = p->t->snd_una, .reord = p->t->snd_nxt};

        for (uint32_t k = 0; k < 4; k++) {
            uint32_t s = 1 + (i * 7919 + k * 1009) % 1499 * 2;

            o.sack[k] = (struct tcp_sack_block){p->irs + at(s), p->irs + at(s + 1)};
        }
        cr_assert_leq(tcp_sack_take(p->sh, p->t, &o, &a), SACK_WALK_MAX);
    }
    cr_assert_leq(p->t->tx->snd_mem, 3000 * (MSS + TCP_CHUNK_COST), "nothing was split");
    ack(p, 3000);
    cr_assert_eq(p->t->tx->sacked, 0);
    cr_assert_eq(p->t->tx->sacked_pkts, 0);
    cr_assert_null(p->t->tx->sack_cache);
}
