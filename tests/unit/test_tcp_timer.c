/* test_tcp_timer.c: retransmission and its end, zero-window probes, delayed ACKs, keepalive, user timeout. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "tcp_peer.h"

static const struct env_config small = {.npkts = 1023};
static const struct peer_opts no_opts;

static struct peer *established(void)
{
    struct peer *p = peer_new(&small);

    peer_open_passive(p, &no_opts);
    return p;
}

/* Waits until the stack sends something; milliseconds, at most limit. */
static uint32_t until_sent(struct peer *p, uint32_t limit)
{
    uint32_t ms = 0;

    while (!peer_count(p) && ms < limit) {
        peer_wait_ms(p, 1);
        ms++;
    }
    return ms;
}

#define expect_about(ms, want)                                                                               \
    do {                                                                                                     \
        uint32_t got = (ms);                                                                                 \
        cr_assert(got + 2 >= (want) && got <= (want) + 2, "line %d: %u ms, not %u", __LINE__, got, (want));  \
    } while (0)

Test(tcp_timer, retransmission_backs_off)
{
    struct peer *p = established();
    uint32_t rto = p->t->rto_ms;

    cr_assert_geq(rto, 200, "Linux's minimum");
    peer_app_send(p, 100, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
    for (int i = 0; i < 6; i++) {
        expect_about(until_sent(p, 100000), rto << i);
        peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
        cr_assert_eq(p->t->cwnd, 1460);
    }
    cr_assert_eq(p->sh->count[COUNT_TCP_TIMEOUT], 6);
    /* Karn: the ACK is no sample, and the back-off stays until there is one (RFC 6298 section 5) */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 101});
    peer_app_send(p, 100, false);
    peer_clear(p);
    peer_wait_ms(p, 5);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 201});
    peer_app_send(p, 100, false);
    peer_clear(p);
    expect_about(until_sent(p, 100000), p->t->rto_ms);
    cr_assert_lt(p->t->rto_ms, rto + 20);
}

Test(tcp_timer, retransmission_gives_up)
{
    struct peer *p = established();

    p->sh->st->set.tcp_retries2 = 4;
    p->e->st->set.tcp_retries2 = 4;
    peer_app_send(p, 100, false);
    peer_wait_ms(p, 60000);
    /* Time counts, not how often: until (2^5 - 1) * 200 ms after the first retransmission (Linux) */
    cr_assert_eq(peer_count(p), 6, "the first and five more, not %u", peer_count(p));
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ETIMEDOUT);
    cr_assert_eq(p->sh->count[COUNT_TCP_ABORT_TIMEOUT], 1);
    cr_assert_eq(peer_app_recv(p, NULL, 1), -ETIMEDOUT);
    cr_assert_eq(peer_app_recv(p, NULL, 1), 0);
}

Test(tcp_timer, user_timeout_gives_up_earlier)
{
    struct peer *p = established();

    peer_set(p, IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
    peer_app_send(p, 100, false);
    peer_wait_ms(p, 2900);
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
    peer_wait_ms(p, 5000);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ETIMEDOUT);
}

Test(tcp_timer, orphan_gives_up)
{
    struct peer *p = established();

    p->e->st->set.tcp_orphan_retries = 3;
    peer_app_send(p, 100, false);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_wait_ms(p, 20000);
    cr_assert_eq(tcp_orphans(p->sh), 0);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
    peer_clear(p);
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_timer, fin_is_retransmitted)
{
    struct peer *p = established();

    tcp_shutdown(p->sh, p->t, SHUT_WR);
    shard_flush(p->sh);
    peer_expect(p, TCP_FIN | TCP_ACK, 1, 1, 0);
    expect_about(until_sent(p, 100000), p->t->rto_ms);
    peer_expect(p, TCP_FIN | TCP_ACK, 1, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    cr_assert_eq(tcp_state(p->t), TCPS_FIN_WAIT_2);
    peer_wait_ms(p, 10000);
    peer_expect_none(p);
}

Test(tcp_timer, fin_goes_with_the_last_data_again)
{
    struct peer *p = established();

    peer_app_send(p, 100, false);
    tcp_shutdown(p->sh, p->t, SHUT_WR);
    shard_flush(p->sh);
    peer_clear(p);
    until_sent(p, 1000);
    peer_expect(p, TCP_FIN | TCP_PSH | TCP_ACK, 1, 1, 100);
}

/* RFC 9293 section 3.8.6.1. */
Test(tcp_timer, closed_window_is_probed_for_ever)
{
    struct peer *p = established();
    uint32_t rto = p->t->rto_ms;

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    peer_app_send(p, 5000, false);
    peer_expect_none(p);
    for (int i = 0; i < 20; i++) {
        uint32_t ms = until_sent(p, 130000);

        if (i < 5)
            expect_about(ms, rto << i);
        cr_assert_leq(ms, 120002, "back-off is bounded");
        peer_expect(p, TCP_ACK, 0, 1, 0);
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    }
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    peer_expect(p, TCP_ACK, 1, 1, 1460);
}

Test(tcp_timer, unanswered_probes_give_up)
{
    struct peer *p = established();

    p->e->st->set.tcp_retries2 = 5;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    peer_app_send(p, 5000, false);
    peer_wait_ms(p, 100000);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ETIMEDOUT);
    cr_assert_eq(peer_count(p), 5);
}

/* A window smaller than a segment: after the persist time it is filled. */
Test(tcp_timer, small_window_is_filled_after_a_while)
{
    struct peer *p = established();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = 300});
    peer_app_send(p, 5000, false);
    peer_expect_none(p);
    until_sent(p, 1000);
    peer_expect(p, TCP_ACK, 1, 1, 300);
}

Test(tcp_timer, delayed_ack)
{
    struct peer *p = established();

    p->t->quick = 0; /* the first 16 go at once */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 10});
    peer_expect_none(p);
    expect_about(until_sent(p, 1000), 40);
    peer_expect(p, TCP_ACK, 1, 11, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_DELACK], 1);
}

Test(tcp_timer, every_second_full_segment_is_acknowledged)
{
    struct peer *p = established();

    p->t->quick = 0;
    p->t->rcv_ssthresh = 1u << 30; /* the window has grown: a larger one would be told at once */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 1460});
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1461, .ack = 1, .len = 1460});
    peer_expect(p, TCP_ACK, 1, 2921, 0);
}

Test(tcp_timer, ack_rides_on_data)
{
    struct peer *p = established();

    p->t->quick = 0;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 10});
    peer_app_recv(p, NULL, 100);
    peer_app_send(p, 20, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 11, 20);
    peer_wait_ms(p, 100);
    peer_expect_none(p);
    cr_assert(p->t->flags & TF_PINGPONG);
}

Test(tcp_timer, quickack_option)
{
    struct peer *p = established();

    peer_set(p, IPPROTO_TCP, TCP_QUICKACK, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 10});
    peer_expect_none(p);
    peer_set(p, IPPROTO_TCP, TCP_QUICKACK, 1);
    peer_expect(p, TCP_ACK, 1, 11, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 11, .ack = 1, .len = 10});
    peer_expect(p, TCP_ACK, 1, 21, 0);
}

/* RFC 1122 section 4.2.3.6. */
Test(tcp_timer, keepalive_ends_a_dead_connection)
{
    struct peer *p = established();

    peer_set(p, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    peer_set(p, IPPROTO_TCP, TCP_KEEPINTVL, 2);
    peer_set(p, IPPROTO_TCP, TCP_KEEPCNT, 3);
    peer_set(p, SOL_SOCKET, SO_KEEPALIVE, 1);
    expect_about(until_sent(p, 20000), 10000);
    peer_expect(p, TCP_ACK, 0, 1, 0);
    /* answered: ten more seconds */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    peer_wait_ms(p, 9900);
    peer_expect_none(p);
    peer_wait_ms(p, 200);
    peer_expect(p, TCP_ACK, 0, 1, 0);
    peer_wait_ms(p, 4100);
    cr_assert_eq(peer_count(p), 2);
    peer_clear(p);
    peer_wait_ms(p, 2100);
    peer_expect(p, TCP_RST | TCP_ACK, 1, 1, 0);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ETIMEDOUT);
}

/* An ACK that has something to do at the end of its burst, in which the time is over. */
Test(tcp_timer, keepalive_goes_on_in_the_burst_of_an_ack)
{
    struct peer *p = established();

    peer_set(p, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    peer_set(p, SOL_SOCKET, SO_KEEPALIVE, 1);
    peer_into(p, TCPS_FIN_WAIT_2);
    peer_wait_ms(p, 9990);
    peer_clear(p);
    for (int i = 0; i < 20; i++) {
        peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
        peer_wait_ms(p, 1);
    }
    peer_expect_none(p);
    peer_wait_ms(p, 10100);
    peer_expect(p, TCP_ACK, 1, 1, 0);
}

Test(tcp_timer, keepalive_off_sends_nothing)
{
    struct peer *p = established();

    peer_set(p, SOL_SOCKET, SO_KEEPALIVE, 1);
    peer_set(p, SOL_SOCKET, SO_KEEPALIVE, 0);
    peer_wait_ms(p, 8000000);
    peer_expect_none(p);
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
}

/* Buffers run out: nothing is lost. */
Test(tcp_timer, sends_again_when_there_are_buffers)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 63});
    static struct rte_mbuf *taken[64];
    unsigned n = 0;

    peer_open_passive(p, NULL);
    p->t->flags |= TF_CORK;
    peer_app_send(p, 2000, false);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1461});
    peer_clear(p);
    while ((taken[n] = rte_pktmbuf_alloc(p->e->pool)))
        n++;
    p->t->flags &= ~(uint32_t)TF_CORK;
    p->sh->now_ns = p->e->now_ns;
    int off = 0;
    tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    shard_flush(p->sh);
    while (n)
        rte_pktmbuf_free(taken[--n]);
    peer_expect_none(p);
    until_sent(p, 1000);
    peer_expect(p, TCP_ACK | TCP_PSH, 1461, 1, 540);
}
