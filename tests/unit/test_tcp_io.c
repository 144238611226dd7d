/* test_tcp_io.c: what a connection needs while segments come or go, that a silent one gives it back, and what
 * happens without memory for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "../../stack/sock.h"
#include "../../stack/tcp_output.h"
#include "tcp_peer.h"

static uint32_t in_use(const struct peer *p)
{
    return p->sh->tcp->io.in_use;
}

static struct slab starve(struct peer *p)
{
    struct slab was = p->sh->tcp->io;

    p->sh->tcp->io.free = NULL;
    p->sh->tcp->io.max = p->sh->tcp->io.fresh;
    return was;
}

static void feed(struct peer *p, const struct slab *was)
{
    p->sh->tcp->io.free = was->free;
    p->sh->tcp->io.max = was->max;
}

static void request(struct peer *p, uint32_t seq)
{
    char buf[100];

    peer_send(p, (struct peer_seg){
                     .flags = TCP_ACK | TCP_PSH, .seq = seq, .ack = p->t->snd_una - p->irs, .len = 100});
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 100);
}

/* With its place in the connection table and in its process's table of descriptors. */
Test(tcp_io, an_idle_connection_costs_at_most_512_bytes)
{
    cr_assert_leq(sizeof(struct tcb) + sizeof(struct sock) + 2 * sizeof(void *), 512);
}

Test(tcp_io, goes_after_a_second_of_silence_and_comes_back)
{
    struct peer *p = peer_new(NULL);
    struct tcp_info before, after;

    peer_open_passive(p, &(struct peer_opts){.ts = true, .sack = true});
    cr_assert_not_null(p->t->io);
    request(p, 1);
    cr_assert_eq(peer_app_send(p, 200, false), 200);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 201});
    tcp_get_info(p->sh, p->t, &before);
    peer_wait_ms(p, 2500);
    cr_assert_null(p->t->io);
    cr_assert_eq(in_use(p), 0);
    cr_assert_eq(p->sh->tcp->tx.in_use + p->sh->tcp->ext.in_use, 0, "the tcb is all it has");
    /* What can be asked has the same answers. */
    tcp_get_info(p->sh, p->t, &after);
    after.tcpi_last_data_sent = before.tcpi_last_data_sent;
    after.tcpi_last_data_recv = before.tcpi_last_data_recv;
    after.tcpi_last_ack_recv = before.tcpi_last_ack_recv;
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
    cr_assert_eq(tcp_recv_avail(p->t), 0);
    cr_assert_eq(tcp_poll(p->t) & POLLIN, 0);
    /* And it goes on as if nothing had been, in either direction. */
    peer_clear(p);
    request(p, 101);
    cr_assert_not_null(p->t->io);
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK, 201, 201, 0);
    peer_wait_ms(p, 2500);
    cr_assert_null(p->t->io);
    peer_clear(p);
    cr_assert_eq(peer_app_send(p, 500, false), 500);
    peer_expect(p, TCP_ACK | TCP_PSH, 201, 201, 500);
}

Test(tcp_io, stays_while_data_is_unread)
{
    struct peer *p = peer_new(NULL);
    char buf[100];

    peer_open_passive(p, NULL);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 100});
    peer_wait_ms(p, 10000);
    cr_assert_not_null(p->t->io);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 100);
    peer_wait_ms(p, 2500);
    cr_assert_null(p->t->io);
}

Test(tcp_io, stays_while_something_is_out_of_order)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, &(struct peer_opts){.sack = true});
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 100});
    peer_wait_ms(p, 10000);
    cr_assert_not_null(p->t->io);
    request(p, 1);
    cr_assert_null(p->t->io->ofo);
}

Test(tcp_io, keepalive_of_a_silent_connection)
{
    struct peer *p = peer_new(NULL);
    int on = 1, idle_s = 5;

    peer_open_passive(p, NULL);
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s), 0);
    peer_wait_ms(p, 3000);
    cr_assert_null(p->t->io);
    peer_clear(p);
    peer_wait_ms(p, 2500);
    peer_expect(p, TCP_ACK, 0, 1, 0); /* the probe: one below snd_una */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    peer_wait_ms(p, 2500);
    cr_assert_null(p->t->io);
}

Test(tcp_io, close_of_a_silent_connection)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    peer_wait_ms(p, 3000);
    cr_assert_null(p->t->io);
    peer_clear(p);
    tcp_shutdown(p->sh, p->t, SHUT_WR);
    peer_wait_ms(p, 1);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
}

Test(tcp_io, reset_of_a_silent_connection)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    peer_wait_ms(p, 3000);
    peer_clear(p);
    tcp_abort(p->sh, p->t);
    peer_wait_ms(p, 1);
    peer_expect(p, TCP_ACK | TCP_RST, 1, 1, 0);
}

Test(tcp_io, marks_set_while_silent_hold_afterwards)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    peer_wait_ms(p, 3000);
    cr_assert_null(p->t->io);
    p->t->pcb.ttl = 7;
    tcp_marks_changed(p->t);
    cr_assert_eq(peer_app_send(p, 100, false), 100);
    cr_assert_eq(p->t->io->flow.ttl, 7);
}

Test(tcp_io, out_of_memory_a_segment_is_lost)
{
    struct peer *p = peer_new(NULL);
    struct slab was;
    char buf[100];

    peer_open_passive(p, NULL);
    peer_wait_ms(p, 3000);
    was = starve(p);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 100});
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), -EAGAIN);
    cr_assert_eq(peer_app_send(p, 100, false), -ENOBUFS);
    cr_assert_eq(p->sh->drop[COUNT_NOMEM_PCB], 1);
    peer_wait_ms(p, 10000);
    peer_expect_none(p);
    feed(p, &was);
    request(p, 1); /* sent again */
    cr_assert_eq(peer_app_send(p, 100, false), 100);
}

/* A FIN asked for without memory is sent once there is some. */
Test(tcp_io, out_of_memory_a_fin_waits)
{
    struct peer *p = peer_new(NULL);
    struct slab was;

    peer_open_passive(p, NULL);
    peer_wait_ms(p, 3000);
    was = starve(p);
    peer_clear(p);
    tcp_shutdown(p->sh, p->t, SHUT_WR);
    peer_wait_ms(p, 500);
    peer_expect_none(p);
    feed(p, &was);
    peer_wait_ms(p, 500);
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
}
