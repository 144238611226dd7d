/* test_tcp_tx.c: what a connection needs while it sends, and what it does without memory for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "../../stack/tcp_output.h"
#include "tcp_peer.h"

static uint32_t in_use(const struct peer *p)
{
    return p->sh->tcp->tx.in_use;
}

/* No more objects until they are given back. */
static struct slab starve(struct peer *p)
{
    struct slab was = p->sh->tcp->tx;

    p->sh->tcp->tx.free = NULL;
    p->sh->tcp->tx.max = p->sh->tcp->tx.fresh;
    return was;
}

static void feed(struct peer *p, const struct slab *was)
{
    p->sh->tcp->tx.free = was->free;
    p->sh->tcp->tx.max = was->max;
}

static void request(struct peer *p, uint32_t seq)
{
    char buf[100];

    peer_send(p, (struct peer_seg){
                     .flags = TCP_ACK | TCP_PSH, .seq = seq, .ack = p->t->snd_una - p->irs, .len = 100});
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 100);
}

Test(tcp_tx, who_only_receives_has_none)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, &(struct peer_opts){.ts = true, .sack = true});
    request(p, 1);
    peer_wait_ms(p, 100);
    cr_assert_null(p->t->tx);
    cr_assert_eq(in_use(p), 0);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 101, .ack = 1});
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK, 1, 102, 0);
    cr_assert_null(p->t->tx);
}

Test(tcp_tx, goes_after_a_second_without_sending)
{
    struct peer *p = peer_new(NULL);
    uint32_t cwnd, srtt;

    peer_open_passive(p, &(struct peer_opts){.ts = true, .sack = true});
    cr_assert_eq(peer_app_send(p, 1000, false), 1000);
    cr_assert_eq(in_use(p), 1);
    peer_wait_ms(p, 10);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1001});
    cwnd = p->t->cwnd;
    srtt = p->t->srtt_us8;
    peer_wait_ms(p, 900);
    cr_assert_not_null(p->t->tx);
    peer_wait_ms(p, 300);
    cr_assert_null(p->t->tx);
    cr_assert_eq(in_use(p), 0);
    cr_assert_eq(p->t->cwnd, cwnd);
    cr_assert_eq(p->t->srtt_us8, srtt);
    peer_clear(p);
    /* And as if nothing had been: retransmission, too. */
    cr_assert_eq(peer_app_send(p, 500, false), 500);
    peer_expect(p, TCP_ACK | TCP_PSH, 1001, 1, 500);
    peer_wait_ms(p, 400);
    peer_expect(p, TCP_ACK | TCP_PSH, 1001, 1, 500);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1501});
    cr_assert_eq(tcp_flight(p->t), 0);
}

Test(tcp_tx, stays_while_something_is_in_flight)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    cr_assert_eq(peer_app_send(p, 1000, false), 1000);
    peer_wait_ms(p, 70000);
    cr_assert_not_null(p->t->tx);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1001});
    cr_assert_eq(tcp_flight(p->t), 0);
    /* There was a timeout: what it taught is kept for a minute. */
    peer_wait_ms(p, 30000);
    cr_assert_not_null(p->t->tx);
    peer_wait_ms(p, 100000);
    cr_assert_null(p->t->tx);
    cr_assert_gt(tcp_total_retrans(p->t), 0, "TCP_INFO goes on telling");
}

Test(tcp_tx, an_algorithm_that_keeps_its_state)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3), 0);
    cr_assert_eq(peer_app_send(p, 1000, false), 1000);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1001});
    peer_wait_ms(p, 200000);
    cr_assert_not_null(p->t->tx);
}

Test(tcp_tx, out_of_memory_send_fails)
{
    struct peer *p = peer_new(NULL);
    struct slab was;

    peer_open_passive(p, NULL);
    was = starve(p);
    cr_assert_eq(peer_app_send(p, 1000, false), -ENOBUFS);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3), -ENOBUFS);
    cr_assert_gt(p->sh->count[COUNT_NOMEM_PCB], 0);
    request(p, 1); /* receiving needs none */
    peer_clear(p);
    feed(p, &was);
    cr_assert_eq(peer_app_send(p, 1000, false), 1000);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 101, 1000);
}

Test(tcp_tx, out_of_memory_connect_fails)
{
    struct peer *p = peer_new(NULL);
    struct slab was = starve(p);
    struct tcb *t = tcp_open(p->sh, 0);
    struct endpoint to = {ipaddr_v4(ENV_PEER_IP), htons(PEER_PORT)};

    cr_assert_eq(tcp_connect(p->sh, t, &to), -ENOBUFS);
    cr_assert_eq(t->state, TCPS_CLOSE);
    feed(p, &was);
    cr_assert_eq(tcp_connect(p->sh, t, &to), -EINPROGRESS);
    tcp_close(p->sh, t);
    cr_assert_eq(in_use(p), 0);
}

Test(tcp_tx, out_of_memory_the_fin_waits)
{
    struct peer *p = peer_new(NULL);
    struct slab was;

    peer_open_passive(p, NULL);
    was = starve(p);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0);
    peer_expect_none(p);
    peer_wait_ms(p, 1000);
    peer_expect_none(p);
    feed(p, &was);
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    cr_assert_eq(p->t->state, TCPS_FIN_WAIT_2);
}

Test(tcp_tx, out_of_memory_the_fin_waits_over_a_close)
{
    struct peer *p = peer_new(NULL);
    struct slab was;
    int on = 1;

    peer_open_passive(p, NULL);
    was = starve(p);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0);
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    tcp_close(p->sh, p->t);
    peer_expect_none(p);
    feed(p, &was);
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
}

Test(tcp_tx, keepalive_after_a_fin_that_waited)
{
    struct peer *p = peer_new(NULL);
    int on = 1, idle_s = 5;
    struct slab was;

    peer_open_passive(p, NULL);
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s), 0);
    was = starve(p);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0);
    feed(p, &was);
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    peer_expect_none(p);
    peer_wait_ms(p, 5200);
    peer_expect(p, TCP_ACK, 1, 1, 0);
}

Test(tcp_tx, out_of_memory_an_orphans_fin_waits)
{
    struct peer *p = peer_new(NULL);
    struct slab was;

    peer_open_passive(p, NULL);
    was = starve(p);
    tcp_close(p->sh, p->t);
    peer_wait_ms(p, 500);
    peer_expect_none(p);
    feed(p, &was);
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 2});
    cr_assert_eq(in_use(p), 0);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1, "the listener");
}
