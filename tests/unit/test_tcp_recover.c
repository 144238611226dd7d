/* test_tcp_recover.c: fast retransmit and recovery with and without SACK (RFC 5681, 6582, 6675), limited
 * transmit, recovery after a timeout, the scoreboard and its bad blocks, congestion windows on the way. */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "../../stack/tcp_output.h"
#include "tcp_peer.h"

#define MSS 1460u

static bool no_probes; /* nor F-RTO: timeouts pure */

static void reno(struct tunables *set)
{
    if (no_probes)
        set->tcp_early_retrans = set->tcp_frto = 0;
    set->tcp_congestion_control = 1;
}

/* An established connection with n full segments in flight. */
static struct peer *in_flight(bool sack, uint32_t n)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 4095, .tune = reno});

    peer_open_passive(p, &(struct peer_opts){.sack = sack});
    p->t->cwnd = n * MSS;
    peer_app_send(p, 200 * MSS, false);
    for (uint32_t i = 0; i < n; i++)
        peer_expect(p, TCP_ACK, 1 + i * MSS, 1, MSS);
    peer_expect_none(p);
    peer_wait_ms(p, 1); /* the round trip */
    return p;
}

/* The number of segment i's first byte. */
static uint32_t at(uint32_t i)
{
    return 1 + i * MSS;
}

/* An ACK of all before segment i, with SACK blocks given as segment ranges [from, to), most recent first. */
static void sack(struct peer *p, uint32_t i, const uint32_t (*r)[2], uint8_t n)
{
    struct tcp_opts o = {.nsack = n, .fastopen_len = -1};

    for (uint8_t k = 0; k < n; k++)
        o.sack[k] = (struct tcp_sack_block){p->irs + at(r[k][0]), p->irs + at(r[k][1])};
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = at(i), .opts = &o});
}

static void ack(struct peer *p, uint32_t i)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = at(i)});
}

/* --- without SACK --- */

Test(tcp_recover, newreno_limited_transmit)
{
    struct peer *p = in_flight(false, 10);

    ack(p, 0);
    peer_expect(p, TCP_ACK, at(10), 1, MSS); /* RFC 3042: one new segment for each of the first two */
    ack(p, 0);
    peer_expect(p, TCP_ACK, at(11), 1, MSS);
    peer_expect_none(p);
    cr_assert_eq(p->t->ca_state, CA_DISORDER);
}

Test(tcp_recover, newreno_fast_retransmit)
{
    struct peer *p = in_flight(false, 10);

    ack(p, 0);
    ack(p, 0);
    peer_clear(p);
    ack(p, 0);
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    cr_assert_eq(p->t->ssthresh, 5 * MSS);
    cr_assert_eq(p->sh->count[COUNT_TCP_FAST_RETRANS], 1);
    cr_assert_eq(p->sh->count[COUNT_TCP_RENO_RECOVERY], 1);
}

Test(tcp_recover, newreno_partial_ack_retransmits_the_next)
{
    struct peer *p = in_flight(false, 10);

    for (int i = 0; i < 3; i++)
        ack(p, 0);
    peer_clear(p);
    ack(p, 4);
    peer_expect(p, TCP_ACK, at(4), 1, MSS);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    peer_clear(p);
    ack(p, 12); /* all that was in flight, limited transmit's two too */
    cr_assert_eq(p->t->ca_state, CA_RECOVERY, "RFC 6582: a duplicate ACK now might be of the episode");
    ack(p, 13);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_lt(p->t->cwnd, 7 * MSS, "%u, ssthresh %u", p->t->cwnd, p->t->ssthresh);
}

Test(tcp_recover, reordering_below_three_is_no_loss)
{
    struct peer *p = in_flight(false, 10);

    ack(p, 0);
    ack(p, 0);
    ack(p, 3);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(tcp_total_retrans(p->t), 0);
    cr_assert_geq(p->t->cwnd, 10 * MSS);
}

Test(tcp_recover, window_updates_are_no_duplicate_acks)
{
    struct peer *p = in_flight(false, 10);

    for (uint32_t i = 0; i < 5; i++)
        peer_send(
            p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = i ? 60000 + i * 10 : ~0u});
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(tcp_total_retrans(p->t), 0);
}

Test(tcp_recover, text_with_the_same_ack_is_no_duplicate)
{
    struct peer *p = in_flight(false, 10);

    for (uint32_t i = 0; i < 5; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1 + i * 10, .ack = 1, .len = 10});
    cr_assert_eq(p->t->tx->dupacks, 0);
}

/* --- with SACK --- */

Test(tcp_recover, sack_marks_and_retransmits_the_holes)
{
    struct peer *p = in_flight(true, 10);

    sack(p, 0, (const uint32_t[][2]){{1, 2}}, 1);
    cr_assert_eq(p->t->tx->sacked, MSS);
    cr_assert_eq(p->t->ca_state, CA_DISORDER);
    peer_clear(p);
    /* 0 and 2 are missing; three segments above both */
    sack(p, 0, (const uint32_t[][2]){{3, 6}, {1, 2}}, 2);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    cr_assert_eq(p->t->tx->lost, 2 * MSS);
    cr_assert_eq(p->t->tx->sacked, 4 * MSS);
    /* pipe drains: 2 goes, and nothing that was SACKed */
    sack(p, 0, (const uint32_t[][2]){{3, 10}, {1, 2}}, 2);
    peer_expect(p, TCP_ACK, at(2), 1, MSS);
    ack(p, 10 + 1);
    cr_assert_eq(p->t->tx->sacked + p->t->tx->lost + p->t->tx->retrans, 0);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
}

Test(tcp_recover, one_sack_of_three_segments_is_enough)
{
    struct peer *p = in_flight(true, 10);

    sack(p, 0, (const uint32_t[][2]){{1, 4}}, 1); /* an ACK a burst */
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
}

Test(tcp_recover, late_ack_with_news_starts_recovery)
{
    struct peer *p = in_flight(true, 10);

    ack(p, 2);
    peer_clear(p);
    sack(p, 1, (const uint32_t[][2]){{3, 6}}, 1); /* overtaken by the ACK of 2 */
    cr_assert_eq(p->t->tx->sacked, 3 * MSS);
    peer_expect(p, TCP_ACK, at(2), 1, MSS);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
}

/* Linux's rule, too: or a peer could cut the queue into single bytes. */
Test(tcp_recover, sack_of_parts_of_segments_is_no_sack)
{
    struct peer *p = in_flight(true, 10);
    struct tcp_opts o = {.nsack = 1, .fastopen_len = -1};

    o.sack[0] = (struct tcp_sack_block){p->irs + at(2) + 100, p->irs + at(3) + 50};
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
    cr_assert_eq(p->t->tx->sacked, 0);
    o.sack[0] = (struct tcp_sack_block){p->irs + at(2) + 100, p->irs + at(4) + 50};
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
    cr_assert_eq(p->t->tx->sacked, MSS, "the one in the middle");
    ack(p, 10);
    cr_assert_eq(p->t->tx->sacked, 0);
    cr_assert_eq(p->t->snd_una, p->irs + at(10));
}

Test(tcp_recover, bad_sack_blocks_are_ignored)
{
    struct peer *p = in_flight(true, 10);
    struct tcp_opts o = {.nsack = 3, .fastopen_len = -1};

    o.sack[0] = (struct tcp_sack_block){p->irs + at(50), p->irs + at(60)}; /* never sent */
    o.sack[1] = (struct tcp_sack_block){p->irs + at(5), p->irs + at(4)};   /* the wrong way round */
    o.sack[2] = (struct tcp_sack_block){p->irs + at(9), p->irs + at(200)}; /* half of it */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
    cr_assert_eq(p->t->tx->sacked, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_SACK_BAD], 3);
}

Test(tcp_recover, dsack_is_counted_and_marks_nothing)
{
    struct peer *p = in_flight(true, 10);

    ack(p, 4);
    sack(p, 4, (const uint32_t[][2]){{1, 2}}, 1);
    cr_assert_eq(p->t->ext->dsack_dups, 1);
    cr_assert_eq(p->t->tx->sacked, 0);
    sack(p, 4, (const uint32_t[][2]){{6, 7}, {5, 8}}, 2); /* inside the second block */
    cr_assert_eq(p->t->ext->dsack_dups, 2);
    cr_assert_eq(p->t->tx->sacked, 3 * MSS);
}

Test(tcp_recover, recovery_reduces_once)
{
    struct peer *p = in_flight(true, 20);

    sack(p, 0, (const uint32_t[][2]){{1, 4}}, 1);
    cr_assert_eq(p->t->ssthresh, 10 * MSS);
    sack(p, 0, (const uint32_t[][2]){{6, 10}, {1, 4}}, 2);
    ack(p, 5);
    cr_assert_eq(p->t->ca_state, CA_RECOVERY);
    ack(p, 20);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
    cr_assert_eq(p->t->ssthresh, 10 * MSS);
    cr_assert_leq(p->t->cwnd, 11 * MSS, "PRR ends at ssthresh");
    cr_assert_eq(p->sh->count[COUNT_TCP_SACK_RECOVERY], 1);
}

/* --- timeout --- */

Test(tcp_recover, timeout_slow_starts_over_what_is_lost)
{
    struct peer *p;

    no_probes = true;
    p = in_flight(true, 10);
    peer_wait_ms(p, p->t->rto_ms + 2);
    peer_expect(p, TCP_ACK, at(0), 1, MSS);
    peer_expect_none(p);
    cr_assert_eq(p->t->ca_state, CA_LOSS);
    cr_assert_eq(p->t->cwnd, MSS);
    cr_assert_eq(p->t->ssthresh, 5 * MSS);
    sack(p, 1, (const uint32_t[][2]){{4, 6}}, 1);
    peer_expect(p, TCP_ACK, at(1), 1, MSS);
    peer_expect(p, TCP_ACK, at(2), 1, MSS); /* three were delivered, so cwnd is four now */
    peer_expect(p, TCP_ACK, at(3), 1, MSS);
    peer_expect(p, TCP_ACK, at(6), 1, MSS); /* 4 and 5 were SACKed */
    peer_expect_none(p);
    ack(p, 10);
    cr_assert_eq(p->t->ca_state, CA_OPEN);
}

Test(tcp_recover, timeout_when_the_head_was_sacked_forgets_the_blocks)
{
    struct peer *p = in_flight(true, 10);

    sack(p, 0, (const uint32_t[][2]){{1, 3}}, 1);
    ack(p, 1); /* and takes them back: RFC 2018 section 8 */
    peer_clear(p);
    peer_wait_ms(p, p->t->rto_ms + 2);
    peer_expect(p, TCP_ACK, at(1), 1, MSS);
    cr_assert_eq(p->t->tx->sacked, 0);
}

Test(tcp_recover, second_timeout_does_not_halve_again)
{
    struct peer *p = in_flight(false, 20);

    peer_wait_ms(p, p->t->rto_ms + 2);
    cr_assert_eq(p->t->ssthresh, 10 * MSS);
    peer_wait_ms(p, 2 * p->t->rto_ms + 2);
    cr_assert_eq(p->t->ssthresh, 10 * MSS);
    cr_assert_eq(p->t->tx->retries, 2);
}

/* The accounting holds whatever comes: sums of flags equal the counters. */
static void audit(const struct tcb *t, uint64_t seed)
{
    uint32_t sacked = 0, lost = 0, retrans = 0, seq = t->snd_una;

    for (struct rte_mbuf *u = t->tx->snd_head; u; u = pkt_meta(u)->link) {
        const struct pkt_meta *pm = pkt_meta(u);

        cr_assert_eq(pm->seq, seq, "seed %lu: the queue has no gaps", seed);
        cr_assert_leq(pm->off + pm->len, u->data_len);
        seq += pm->len;
        sacked += pm->flags & 1 ? pm->len : 0;
        lost += pm->flags & 2 ? pm->len : 0;
        retrans += pm->flags & 4 ? pm->len : 0;
        if (seq_geq(pm->seq, t->snd_nxt))
            cr_assert_eq(pm->flags & 7, 0);
    }
    cr_assert_eq(seq, t->write_seq);
    cr_assert_eq(sacked, t->tx->sacked, "seed %lu: %u %u", seed, sacked, t->tx->sacked);
    cr_assert_eq(lost, t->tx->lost, "seed %lu", seed);
    cr_assert_eq(retrans, t->tx->retrans, "seed %lu", seed);
}

Test(tcp_recover, random_sacks_keep_the_books)
{
    uint64_t r = 99;

    for (uint64_t seed = 0; seed < 30; seed++) {
        struct peer *p = peer_new(&(struct env_config){.npkts = 1023});

        peer_open_passive(p, &(struct peer_opts){.sack = true});
        p->port++;
        peer_app_send(p, 100 * MSS, false);
        for (int step = 0; step < 200; step++) {
            struct tcp_opts o = {.fastopen_len = -1};
            uint32_t flight = tcp_flight(p->t), una = p->t->snd_una;

            r = r * 6364136223846793005ULL + 1442695040888963407ULL;
            o.nsack = (uint8_t)((r >> 60) % 5);
            for (uint8_t i = 0; i < o.nsack; i++) {
                r = r * 6364136223846793005ULL + 1442695040888963407ULL;
                o.sack[i].left = una + (uint32_t)((r >> 33) % (flight + 1));
                o.sack[i].right = o.sack[i].left + (uint32_t)((r >> 20) % 5000);
            }
            r = r * 6364136223846793005ULL + 1442695040888963407ULL;
            p->port--;
            peer_send(p, (struct peer_seg){.flags = TCP_ACK,
                                           .seq = 1,
                                           .ack = una - p->irs +
                                                  ((r >> 61) ? 0 : (uint32_t)((r >> 33) % (flight + 1))),
                                           .opts = &o});
            p->port++;
            audit(p->t, seed);
            if ((r >> 50) % 16 == 0)
                peer_wait_ms(p, 300);
            audit(p->t, seed);
            peer_clear(p);
        }
        tcp_abort(p->sh, p->t);
        tcp_close(p->sh, p->t);
        shard_flush(p->sh);
        peer_clear(p);
        cr_assert_eq(env_leaks(p->e), 0);
        rte_mempool_free(p->e->pool);
    }
}
