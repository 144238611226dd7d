/* test_tcp_user.c: what send, recv, shutdown, close and poll give, in the cases where Linux's sockets have
 * rules of their own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "tcp_peer.h"

static struct peer *established(void)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});

    peer_open_passive(p, NULL);
    return p;
}

static ssize_t recv_flags(struct peer *p, void *buf, size_t len, int flags, size_t off)
{
    struct iovec iov = {buf, len};

    return tcp_recv(p->sh, p->t, &iov, 1, flags, off);
}

static void text(struct peer *p, uint32_t seq, uint32_t len)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = seq, .ack = 1, .len = len});
}

Test(tcp_user, never_connected)
{
    struct peer *p = peer_new(NULL);

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(peer_app_send(p, 1, false), -EPIPE);
    cr_assert_eq(peer_app_recv(p, NULL, 1), -ENOTCONN);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_RDWR), -ENOTCONN);
    cr_assert_eq(tcp_poll(p->t), POLLHUP | POLLRDHUP | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    cr_assert_eq(tcp_recv_avail(p->t), 0);
    cr_assert_eq(tcp_send_unacked(p->t), 0);
    tcp_close(p->sh, p->t);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 0);
}

Test(tcp_user, listener_has_no_data)
{
    struct peer *p = peer_new(NULL);

    p->t = peer_listen(p, 1);
    cr_assert_eq(peer_app_recv(p, NULL, 1), -ENOTCONN);
    cr_assert_eq(peer_app_send(p, 1, false), -EPIPE);
    cr_assert_eq(tcp_send_space(p->t), 0);
}

Test(tcp_user, recv_in_pieces)
{
    struct peer *p = established();
    uint8_t a[7], b[64];
    struct iovec iov[2] = {{a, sizeof a}, {b, sizeof b}};

    text(p, 1, 20);
    text(p, 21, 30);
    cr_assert_eq(tcp_recv_avail(p->t), 50);
    cr_assert_eq(tcp_recv(p->sh, p->t, iov, 2, 0, 0), 50);
    for (uint8_t i = 0; i < 7; i++)
        cr_assert_eq(a[i], i);
    for (uint8_t i = 0; i < 43; i++)
        cr_assert_eq(b[i], i + 7);
    cr_assert_eq(peer_app_recv(p, NULL, 1), -EAGAIN);
    cr_assert_eq(tcp_rcv_mem(p->t), 0);
}

Test(tcp_user, peek_leaves_it)
{
    struct peer *p = established();
    uint8_t buf[64];

    text(p, 1, 20);
    text(p, 21, 1000);
    cr_assert_eq(recv_flags(p, buf, 5, MSG_PEEK, 0), 5);
    cr_assert_eq(buf[4], 4);
    cr_assert_eq(recv_flags(p, buf, 10, MSG_PEEK, 15), 10);
    cr_assert_eq(buf[0], 15);
    cr_assert_eq(buf[9], 24);
    cr_assert_eq(recv_flags(p, buf, 10, MSG_PEEK, 1020), -EAGAIN);
    cr_assert_eq(tcp_recv_avail(p->t), 1020);
}

Test(tcp_user, trunc_discards)
{
    struct peer *p = established();
    uint8_t buf[64];

    text(p, 1, 50);
    cr_assert_eq(recv_flags(p, NULL, 20, MSG_TRUNC, 0), 20);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 30);
    cr_assert_eq(buf[0], 20);
}

/* Linux: data first, then the error once, then end of stream. */
Test(tcp_user, data_is_read_before_a_reset_is_told)
{
    struct peer *p = established();

    text(p, 1, 20);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 21});
    cr_assert_eq(tcp_poll(p->t) & (POLLIN | POLLERR | POLLHUP), POLLIN | POLLERR | POLLHUP);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 10);
    cr_assert_eq(peer_app_recv(p, NULL, 100), 10);
    cr_assert_eq(peer_app_recv(p, NULL, 100), -ECONNRESET);
    cr_assert_eq(peer_app_recv(p, NULL, 100), 0);
    cr_assert_eq(peer_app_send(p, 1, false), -EPIPE);
}

Test(tcp_user, reset_is_told_to_send_once)
{
    struct peer *p = established();

    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1});
    cr_assert_eq(peer_app_send(p, 1, false), -ECONNRESET);
    cr_assert_eq(peer_app_send(p, 1, false), -EPIPE);
}

Test(tcp_user, shut_reading_gives_end_of_stream)
{
    struct peer *p = established();

    text(p, 1, 5);
    peer_clear(p);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_RD), 0);
    shard_flush(p->sh);
    peer_expect_none(p);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 5, "what is there can be read");
    cr_assert_eq(peer_app_recv(p, NULL, 10), 0);
    cr_assert_eq(tcp_poll(p->t) & (POLLIN | POLLRDHUP | POLLHUP), POLLIN | POLLRDHUP);
    text(p, 6, 5); /* as Linux: it still comes in */
    cr_assert_eq(peer_app_recv(p, NULL, 10), 5);
}

Test(tcp_user, shut_writing)
{
    struct peer *p = established();

    peer_app_send(p, 3000, false);
    peer_clear(p);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0);
    shard_flush(p->sh);
    peer_expect(p, TCP_FIN | TCP_ACK, 3001, 1, 0);
    cr_assert_eq(peer_app_send(p, 1, false), -EPIPE);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0, "twice is no error");
    shard_flush(p->sh);
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 3002});
    cr_assert(tcp_poll(p->t) & POLLHUP);
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_RD), -ENOTCONN);
}

Test(tcp_user, close_sends_what_is_queued)
{
    struct peer *p = established();

    peer_app_send(p, 30000, false);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    p->t = NULL;
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 14601});
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 29201});
    while (peer_recv(p))
        ;
    cr_assert_eq(p->seen.tcp.flags, TCP_ACK | TCP_PSH | TCP_FIN);
    cr_assert_eq(seen_seq(p) + p->seen.data_len, 30001);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 30002});
    cr_assert_eq(tcp_orphans(p->sh), 0);
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    peer_clear(p);
    cr_assert_eq(env_leaks(p->e), 0);
}

/* RFC 2525 section 2.17. */
Test(tcp_user, close_with_unread_data_resets)
{
    struct peer *p = established();

    text(p, 1, 5);
    peer_clear(p);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect(p, TCP_RST | TCP_ACK, 1, 6, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_ABORT_CLOSE], 1);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_user, linger_zero_resets)
{
    struct peer *p = established();
    struct linger l = {1, 0};

    tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    peer_app_send(p, 100, false);
    peer_clear(p);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect(p, TCP_RST | TCP_ACK, 101, 1, 0);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
}

Test(tcp_user, disconnect_makes_it_new)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_active(p, NULL);
    cr_assert_eq(tcp_disconnect(p->sh, p->t), 0);
    shard_flush(p->sh);
    peer_expect(p, TCP_RST | TCP_ACK, 1, 1, 0);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert(ipaddr_is_any(&p->t->pcb.local.addr));
    cr_assert_eq(p->t->pcb.flags & PCB_BOUND, 0);
    cr_assert_neq(p->t->pcb.local.port_be, 0, "getsockname goes on showing it");
    cr_assert_eq(peer_app_recv(p, NULL, 1), -ECONNRESET);
    cr_assert_eq(peer_app_recv(p, NULL, 1), -ENOTCONN);
    cr_assert_eq(p->t->window_clamp, 0, "or the next scale would be chosen for this connection's buffer");
    peer_open_active(p, NULL);
    cr_assert_eq(peer_app_send(p, 5, false), 5);
}

/* Linux: sk_stream_is_writeable, and the event once it is again. */
Test(tcp_user, writer_is_woken_when_a_third_is_free)
{
    struct peer *p = established();
    uint32_t acked = 0;
    ssize_t n;

    peer_set(p, SOL_SOCKET, SO_SNDBUF, 30000);
    while ((n = peer_app_send(p, 5000, false)) > 0)
        ;
    cr_assert_eq(n, -EAGAIN);
    cr_assert_not(tcp_poll(p->t) & POLLOUT);
    peer_clear(p);
    while (!(tcp_poll(p->t) & POLLOUT)) {
        cr_assert(p->t->flags & TF_NOSPACE);
        acked += 1460;
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1 + acked});
    }
    cr_assert_not(p->t->flags & TF_NOSPACE, "the event went up");
    cr_assert_gt(acked, 2 * 1460);
}

/* A smaller buffer: full for poll, though no writer met its end. */
Test(tcp_user, less_room_is_noted)
{
    struct peer *p = established();

    peer_app_send(p, 14600, false);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_not(p->t->flags & TF_NOSPACE);
    peer_set(p, SOL_SOCKET, SO_SNDBUF, 4000);
    cr_assert_not(tcp_poll(p->t) & POLLOUT);
    cr_assert(p->t->flags & TF_NOSPACE);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1 + 14600});
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_not(p->t->flags & TF_NOSPACE, "the event went up");

    peer_app_send(p, 4000, false);
    peer_set(p, SOL_SOCKET, SO_SNDBUF, 0);
    cr_assert(p->t->flags & TF_NOSPACE);
    peer_set(p, SOL_SOCKET, SO_SNDBUF, 100000);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_not(p->t->flags & TF_NOSPACE, "at once, with more room");
}

/* What leaves of a chunk makes the rest another one, which costs: full for poll, though no writer met its
 * end. */
Test(tcp_user, less_room_by_sending_is_noted)
{
    struct peer *p = established();

    peer_set(p, SOL_SOCKET, SO_SNDBUF, 15000);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = 5000});
    cr_assert_eq(peer_app_send(p, 18000, false), 18000);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_not(p->t->flags & TF_NOSPACE);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = 60000});
    cr_assert_not(tcp_poll(p->t) & POLLOUT);
    cr_assert(p->t->flags & TF_NOSPACE);
}

Test(tcp_user, notsent_lowat)
{
    struct peer *p = established();

    peer_set(p, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1000);
    peer_app_send(p, 14600, false);
    cr_assert(tcp_poll(p->t) & POLLOUT, "all of it is sent");
    peer_app_send(p, 2000, false);
    cr_assert_not(tcp_poll(p->t) & POLLOUT);
    cr_assert_eq(tcp_send_unsent(p->t), 2000);
    cr_assert_eq(tcp_send_unacked(p->t), 16600);
}

Test(tcp_user, rcvlowat)
{
    struct peer *p = established();

    peer_set(p, SOL_SOCKET, SO_RCVLOWAT, 100);
    text(p, 1, 99);
    cr_assert_not(tcp_poll(p->t) & POLLIN);
    text(p, 100, 1);
    cr_assert(tcp_poll(p->t) & POLLIN);
}

/* Memory: single bytes don't each keep a buffer. */
Test(tcp_user, single_bytes_share_buffers)
{
    struct peer *p = established();
    uint8_t buf[600];

    for (uint32_t i = 0; i < 600; i++)
        text(p, 1 + i, 1);
    cr_assert_lt(tcp_rcv_mem(p->t), 3 * 2500);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 600);
    for (uint32_t i = 0; i < 600; i++)
        cr_assert_eq(buf[i], (uint8_t)i);
    peer_clear(p);
    cr_assert_eq(env_leaks(p->e), 0);
}

/* Memory out of order is bounded too. */
Test(tcp_user, out_of_order_memory_is_bounded)
{
    struct peer *p = established();

    peer_set(p, SOL_SOCKET, SO_RCVBUF, 40000);
    for (uint32_t i = 0; i < 1000; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 3 + 2 * i, .ack = 1, .len = 1});
    cr_assert_leq(tcp_rcv_mem(p->t), 160000);
    cr_assert_gt(p->sh->count[COUNT_TCP_OFO_DROP], 0);
    text(p, 1, 1); /* in order: what is out of order gives way */
    cr_assert_geq(tcp_recv_avail(p->t), 1);
}

Test(tcp_user, receive_buffer_grows_with_a_fast_reader)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 4095});
    uint32_t seq = 1, before;

    peer_open_passive(p, &(struct peer_opts){.wscale = true, .shift = 7});
    before = p->t->rcvbuf;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 30; i++) {
            peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = seq, .ack = 1, .len = 1460});
            seq += 1460;
        }
        peer_poll(p);
        peer_app_recv(p, NULL, 1 << 20);
        peer_wait_ms(p, 1);
        peer_clear(p);
    }
    cr_assert_gt(p->t->rcvbuf, before);
    cr_assert_leq(p->t->rcvbuf, p->sh->st->set.tcp_rmem_max);
}

/* A reader that never reads can't take all buffers. */
Test(tcp_user, memory_pressure_stops_a_full_queue)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 255});

    peer_open_passive(p, &(struct peer_opts){.wscale = true, .shift = 7});
    p->t->rcvbuf = 4 << 20;
    peer_app_recv(p, NULL, 1);
    for (uint32_t i = 0; i < 300; i++) {
        struct rte_mbuf *probe = rte_pktmbuf_alloc(p->e->pool);

        cr_assert_not_null(probe, "buffers are left for the others");
        rte_pktmbuf_free(probe);
        peer_send(p,
                  (struct peer_seg){.flags = TCP_ACK, .seq = p->t->rcv_nxt - p->iss, .ack = 1, .len = 1400});
        peer_clear(p);
    }
    cr_assert_gt(p->sh->count[COUNT_TCP_RCV_FULL], 0);
}
