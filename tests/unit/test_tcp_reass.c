/* test_tcp_reass.c: out-of-order text: any order and overlap gives the stream back; SACK blocks tell the
 * truth (RFC 2018), duplicates are reported (RFC 2883). */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tcp_peer.h"

static const struct peer_opts with_sack = {.sack = true};

static struct peer *established(void)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_open_passive(p, &with_sack);
    return p;
}

static void text(struct peer *p, uint32_t seq, uint32_t len)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = seq, .ack = 1, .len = len});
}

/* The i-th SACK block of the last segment is [left, right). */
#define block(p, i, l, r)                                                                                    \
    do {                                                                                                     \
        cr_assert_gt((p)->seen.opts.nsack, i);                                                               \
        cr_assert_eq((p)->seen.opts.sack[i].left - (p)->iss, (uint32_t)(l));                                 \
        cr_assert_eq((p)->seen.opts.sack[i].right - (p)->iss, (uint32_t)(r));                                \
    } while (0)

Test(tcp_reass, blocks_most_recent_first)
{
    struct peer *p = established();

    text(p, 101, 10);
    peer_expect(p, TCP_ACK, 1, 1, 0);
    block(p, 0, 101, 111);
    text(p, 201, 10);
    peer_expect(p, TCP_ACK, 1, 1, 0);
    block(p, 0, 201, 211);
    block(p, 1, 101, 111);
    text(p, 111, 10); /* touches the older one */
    peer_expect(p, TCP_ACK, 1, 1, 0);
    block(p, 0, 101, 121);
    block(p, 1, 201, 211);
    text(p, 1, 100); /* closes the first gap */
    peer_expect(p, TCP_ACK, 1, 121, 0);
    cr_assert_eq(p->seen.opts.nsack, 1);
    block(p, 0, 201, 211);
    text(p, 121, 80);
    peer_expect(p, TCP_ACK, 1, 211, 0);
    cr_assert_eq(p->seen.opts.nsack, 0);
    cr_assert_null(p->t->io->ofo);
    cr_assert_eq(tcp_recv_avail(p->t), 210);
}

Test(tcp_reass, four_blocks_at_most)
{
    struct peer *p = established();

    for (uint32_t i = 0; i < 7; i++)
        text(p, 101 + 100 * i, 10);
    while (peer_recv(p))
        ;
    cr_assert_eq(p->seen.opts.nsack, 4);
    block(p, 0, 701, 711);
    block(p, 3, 401, 411);
}

Test(tcp_reass, dsack_of_old_text)
{
    struct peer *p = established();

    text(p, 1, 100);
    peer_clear(p);
    text(p, 51, 50);
    peer_expect(p, TCP_ACK, 1, 101, 0);
    cr_assert_eq(p->seen.opts.nsack, 1);
    block(p, 0, 51, 101);
    text(p, 101, 10);
    peer_expect(p, TCP_ACK, 1, 111, 0);
    cr_assert_eq(p->seen.opts.nsack, 0, "said once");
    cr_assert_null(p->t->io->ofo);
}

Test(tcp_reass, dsack_of_queued_text)
{
    struct peer *p = established();

    text(p, 101, 100);
    peer_clear(p);
    text(p, 121, 10);
    peer_expect(p, TCP_ACK, 1, 1, 0);
    block(p, 0, 121, 131);
    block(p, 1, 101, 201);
}

Test(tcp_reass, segment_that_covers_queued_ones)
{
    struct peer *p = established();
    uint8_t buf[512];

    text(p, 101, 10);
    text(p, 121, 10);
    text(p, 91, 100);
    text(p, 1, 90);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 190);
    for (uint32_t i = 0; i < 190; i++)
        cr_assert_eq(buf[i], (uint8_t)i);
}

Test(tcp_reass, without_sack_every_segment_is_acknowledged)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    for (uint32_t i = 0; i < 4; i++)
        peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101 + 10 * i, .ack = 1, .len = 10});
    peer_poll(p);
    cr_assert_eq(peer_count(p), 4, "the peer counts duplicate ACKs");
}

Test(tcp_reass, close_frees_what_waits)
{
    struct peer *p = established();

    text(p, 101, 10);
    text(p, 301, 10);
    tcp_abort(p->sh, p->t);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_clear(p);
    cr_assert_eq(env_leaks(p->e), 0);
    cr_assert_eq(p->sh->tcp->ofo.in_use, 0);
}

/* Random pieces of a stream of 20000 bytes, overlapping at will, until all has come. */
Test(tcp_reass, random_pieces)
{
    static uint8_t buf[32768];
    uint64_t r = 7;

    for (int seed = 0; seed < 40; seed++) {
        struct peer *p = peer_new(&(struct env_config){.npkts = 1023});
        uint32_t n = 20000;

        peer_open_passive(p, seed % 2 ? &with_sack : NULL);
        while (tcp_recv_avail(p->t) < n) {
            uint32_t from, len;

            r = r * 6364136223846793005ULL + 1442695040888963407ULL;
            len = 1 + (uint32_t)(r >> 40) % 1400;
            r = r * 6364136223846793005ULL + 1442695040888963407ULL;
            from = (uint32_t)(r >> 40) % n;
            if ((r >> 20) % 4 == 0) /* now and then the next in sequence, so that it ends */
                from = (uint32_t)tcp_recv_avail(p->t);
            if (len > n - from)
                len = n - from;
            text(p, 1 + from, len);
            peer_clear(p);
        }
        cr_assert_null(p->t->io->ofo);
        cr_assert_eq(peer_app_recv(p, buf, sizeof buf), (ssize_t)n);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(buf[i], (uint8_t)i, "seed %d byte %u", seed, i);
        cr_assert_eq(tcp_rcv_mem(p->t), 0);
        tcp_abort(p->sh, p->t);
        tcp_close(p->sh, p->t);
        shard_flush(p->sh);
        peer_clear(p);
        cr_assert_eq(env_leaks(p->e), 0);
        rte_mempool_free(p->e->pool);
    }
}
