/* test_tcp_output.c: what is sent and when: Nagle and Minshall, cork and MSG_MORE, silly window avoidance on
 * both sides, cwnd, TSO, the options' room. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "../../stack/tcp_rcvq.h"
#include "tcp_peer.h"

static const struct env_config small = {.npkts = 2047};

static struct peer *established(const struct peer_opts *o)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, o);
    return p;
}

static void ack(struct peer *p, uint32_t n)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = n});
}

/* --- small segments --- */

Test(tcp_output, nagle_holds_a_second_small_segment)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 10, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 10);
    peer_app_send(p, 20, false);
    peer_app_send(p, 30, false);
    peer_expect_none(p);
    ack(p, 11);
    peer_expect(p, TCP_ACK | TCP_PSH, 11, 1, 50);
}

Test(tcp_output, nagle_lets_a_full_segment_go)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 10, false);
    peer_clear(p);
    peer_app_send(p, 2000, false);
    peer_expect(p, TCP_ACK, 11, 1, 1460);
    peer_expect_none(p);
    ack(p, 11);
    peer_expect(p, TCP_ACK | TCP_PSH, 1471, 1, 540);
}

/* Minshall: full segments in flight don't hold the last, small one. */
Test(tcp_output, minshall_lets_the_tail_of_a_write_go)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 2000, false);
    peer_expect(p, TCP_ACK, 1, 1, 1460);
    peer_expect(p, TCP_ACK | TCP_PSH, 1461, 1, 540);
}

Test(tcp_output, nodelay)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 10, false);
    peer_app_send(p, 20, false);
    peer_clear(p);
    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    peer_expect(p, TCP_ACK | TCP_PSH, 11, 1, 20);
    peer_app_send(p, 5, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 31, 1, 5);
}

Test(tcp_output, cork_ends_with_nodelay)
{
    struct peer *p = established(NULL);

    peer_set(p, IPPROTO_TCP, TCP_CORK, 1);
    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    peer_app_send(p, 100, false);
    peer_expect_none(p); /* the cork is still in */
    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
}

Test(tcp_output, cork_ends_with_a_full_segment)
{
    struct peer *p = established(NULL);

    peer_set(p, IPPROTO_TCP, TCP_CORK, 1);
    peer_app_send(p, 1000, false);
    peer_expect_none(p);
    peer_app_send(p, 1000, false);
    peer_expect(p, TCP_ACK, 1, 1, 1460);
    peer_expect_none(p);
}

Test(tcp_output, cork_ends_with_uncork)
{
    struct peer *p = established(NULL);

    peer_set(p, IPPROTO_TCP, TCP_CORK, 1);
    peer_app_send(p, 100, false);
    peer_set(p, IPPROTO_TCP, TCP_CORK, 0);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
}

Test(tcp_output, cork_ends_with_close)
{
    struct peer *p = established(NULL);

    peer_set(p, IPPROTO_TCP, TCP_CORK, 1);
    peer_app_send(p, 100, false);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect(p, TCP_ACK | TCP_PSH | TCP_FIN, 1, 1, 100);
}

Test(tcp_output, cork_ends_after_200_ms)
{
    struct peer *p = established(NULL);

    peer_set(p, IPPROTO_TCP, TCP_CORK, 1);
    peer_app_send(p, 100, false);
    peer_wait_ms(p, 198);
    peer_expect_none(p);
    peer_wait_ms(p, 4);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
}

Test(tcp_output, more_waits_for_the_rest)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 100, true);
    peer_expect_none(p);
    peer_app_send(p, 50, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 150);
}

/* --- windows --- */

/* As Linux's TSO frames on the wire: the last segment of a burst of several has PSH, a lone one has it only
 * where a write ends. */
Test(tcp_output, burst_ends_with_psh)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 20 * 1460, false);
    for (uint32_t i = 0; i < 10; i++) {
        bool psh;

        cr_assert(peer_recv(p));
        psh = p->seen.tcp.flags & TCP_PSH;
        cr_assert_eq(psh, i == 4 || i == 9, "segment %u", i); /* a burst is half the window at most */
    }
    ack(p, 1 + 20 * 1460);
}

Test(tcp_output, psh_moves_to_the_end_of_what_is_queued)
{
    struct peer *p = established(&(struct peer_opts){.window = 1000});

    peer_app_send(p, 400, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 400);
    peer_app_send(p, 100, false);
    peer_app_send(p, 100, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 401, .window = 150});
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 401, .window = 1000});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.data_len, 200);
    cr_assert(p->seen.tcp.flags & TCP_PSH);
}

/* Half of the window used is enough to let it grow in slow start, less is not. */
Test(tcp_output, unused_window_does_not_grow)
{
    struct peer *p = established(NULL);
    uint32_t cwnd = p->t->cwnd;

    peer_app_send(p, 4 * 1460, false);
    ack(p, 1 + 4 * 1460);
    cr_assert_eq(p->t->cwnd, cwnd);
    peer_app_send(p, 7 * 1460, false);
    ack(p, 1 + 7 * 1460);
    ack(p, 1 + 11 * 1460); /* the rest of the same flight counts too */
    cr_assert_eq(p->t->cwnd, cwnd + 7 * 1460);
}

Test(tcp_output, reset_has_timestamps)
{
    struct peer *p = established(&(struct peer_opts){.ts = true});

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10});
    peer_clear(p);
    tcp_close(p->sh, p->t); /* unread data: a reset */
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert(p->seen.tcp.flags & TCP_RST);
    cr_assert(p->seen.opts.has_ts);
}

Test(tcp_output, cwnd_starts_with_ten_segments)
{
    struct peer *p = established(NULL);

    peer_app_send(p, 100000, false);
    for (uint32_t i = 0; i < 10; i++)
        peer_expect(p, TCP_ACK, 1 + i * 1460, 1, 1460);
    peer_expect_none(p);
    /* slow start: two for each acknowledged one */
    ack(p, 1 + 1460);
    cr_assert_eq(peer_count(p), 2);
}

Test(tcp_output, restarts_after_idle)
{
    struct peer *p = established(NULL);

    for (int i = 0; i < 5; i++) {
        peer_app_send(p, 100000, false);
        peer_clear(p);
        ack(p, p->t->snd_nxt - p->irs);
    }
    while (p->t->snd_una != p->t->write_seq)
        ack(p, p->t->snd_nxt - p->irs);
    cr_assert_gt(p->t->cwnd, 20 * 1460);
    peer_clear(p);
    peer_wait_ms(p, 10000);
    peer_app_send(p, 100000, false);
    cr_assert_eq(peer_count(p), 10, "RFC 5681 section 4.1: %u", peer_count(p));
}

Test(tcp_output, peer_window_is_kept)
{
    struct peer *p = established(&(struct peer_opts){.window = 4000});

    peer_app_send(p, 10000, false);
    peer_expect(p, TCP_ACK, 1, 1, 1460);
    peer_expect(p, TCP_ACK, 1461, 1, 1460);
    peer_expect_none(p); /* 1080 bytes of window are left: no silly segment */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2921, .window = 4000});
    peer_expect(p, TCP_ACK, 2921, 1, 1460);
}

Test(tcp_output, half_the_largest_window_is_a_segment)
{
    struct peer *p = established(&(struct peer_opts){.window = 1000});

    peer_app_send(p, 5000, false);
    peer_expect(p, TCP_ACK, 1, 1, 500);
    peer_expect(p, TCP_ACK, 501, 1, 500);
    peer_expect_none(p);
}

Test(tcp_output, window_opens_with_the_reader)
{
    struct peer *p = established(NULL);
    uint32_t at = 1;

    while (tcp_rcv_offered(p->t) >= 1460) {
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = at, .ack = 1, .len = 1460});
        at += 1460;
    }
    peer_wait_ms(p, 100);
    peer_clear(p);
    peer_app_recv(p, NULL, 100);
    peer_expect_none(p); /* a small opening is not worth a segment */
    peer_app_recv(p, NULL, 1 << 20);
    cr_assert(peer_recv(p), "the window opened");
    cr_assert_geq(p->seen.tcp.window, 30000);
}

/* --- segments --- */

Test(tcp_output, mss_is_the_least_of_all)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, &(struct peer_opts){.mss = 700, .ts = true});
    peer_app_send(p, 2000, false);
    peer_expect(p, TCP_ACK, 1, 1, 688);
    cr_assert(p->seen.opts.has_ts);
}

Test(tcp_output, bytes_are_the_users)
{
    struct peer *p = established(NULL);
    char text[3000], *at = text;
    struct iovec iov[3] = {{"abc", 3}, {NULL, 0}, {text, sizeof text}};

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    cr_assert_eq(tcp_send(p->sh, p->t, iov, 3, 1, false), 3002);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.data_len, 1460);
    cr_assert(memcmp(p->seen.data, "bc", 2) == 0);
    cr_assert(memcmp(p->seen.data + 2, at, 1458) == 0);
    cr_assert(peer_recv(p));
    cr_assert(memcmp(p->seen.data, at + 1458, p->seen.data_len) == 0);
}

Test(tcp_output, tso_sends_many_segments_in_one)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tso_max = 64000});

    peer_open_passive(p, &(struct peer_opts){.ts = true});
    peer_app_send(p, 100000, false);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.data_len, 14480, "ten segments, which is cwnd");
    cr_assert_eq(p->seen.tso_segsz, 1448);
    cr_assert(p->seen.ol_flags & RTE_MBUF_F_TX_TCP_SEG);
    cr_assert_eq(p->seen.l4_len, 32);
    peer_expect_none(p);
}

Test(tcp_output, segment_larger_than_a_buffer)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .mtu = 9000});

    peer_open_passive(p, &(struct peer_opts){.mss = 8960});
    peer_app_send(p, 20000, false);
    peer_expect(p, TCP_ACK, 1, 1, 8960);
    cr_assert_eq(p->t->unit, 1792);
    peer_expect(p, TCP_ACK, 8961, 1, 8960);
}

/* A full segment has no room for SACK blocks: they go on ACKs. */
Test(tcp_output, sack_blocks_only_where_there_is_room)
{
    struct peer *p = established(&(struct peer_opts){.ts = true, .sack = true});

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 10});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_eq(p->seen.opts.nsack, 1);
    peer_app_send(p, 1448, false);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.opts.nsack, 0);
    cr_assert_eq(p->seen.data_len, 1448);
    ack(p, 1449);
    peer_app_send(p, 100, false);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.opts.nsack, 1);
}

Test(tcp_output, send_buffer_bounds_memory_not_bytes)
{
    struct peer *p = peer_new(&small);
    int n = 0;

    peer_open_passive(p, NULL);
    peer_set(p, SOL_SOCKET, SO_SNDBUF, 20000);
    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    while (peer_app_send(p, 1, false) == 1 && n < 100000)
        n++;
    cr_assert_lt(n, 100000);
    cr_assert_leq(p->t->tx->snd_mem, 40000 + 4096);
    cr_assert_eq(tcp_send_space(p->t), 0);
}

/* --- a link that is busy --- */

/* Nothing is lost in the link's own queue: what it has no room for waits in the send queue, and goes when it
 * has. */
Test(tcp_output, waits_for_a_full_link)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tso_max = 64000});
    uint32_t end, sent = 0;

    peer_open_passive(p, &(struct peer_opts){.ts = true, .sack = true, .wscale = true, .shift = 7});
    ack(p, 1); /* the window, scaled */
    p->t->cwnd = p->t->sndbuf = 2000000;
    p->e->tx_block = 1;
    for (int i = 0; i < 20; i++)
        cr_assert_eq(peer_app_send(p, 60000, false), 60000);
    end = p->t->write_seq;
    cr_assert_eq(p->sh->tx[ENV_IF].n, 8);
    cr_assert_eq(p->sh->count[COUNT_TX_FULL], 0);
    cr_assert_lt(p->t->snd_nxt - p->t->snd_una, 9 * 64000);
    p->e->tx_block = 0;
    peer_wait_ms(p, 3);
    cr_assert_eq(p->t->snd_nxt, end);
    while (peer_recv(p)) {
        cr_assert_eq(seen_seq(p), 1 + sent);
        sent += p->seen.data_len;
    }
    cr_assert_eq(sent, 20 * 60000);
    cr_assert_eq(p->sh->count[COUNT_TX_FULL], 0);
}
