/* Urgent data, segment by segment (RFC 9293 section 3.8.5, RFC 6093; results as Linux). */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "tcp_peer.h"

static struct peer *opened(void)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, &(struct peer_opts){0});
    return p;
}

/* A segment with URG from the peer. */
static void urgent(struct peer *p, uint32_t seq, uint32_t len, uint16_t pointer)
{
    peer_send(p, (struct peer_seg){
                     .flags = TCP_ACK | TCP_URG, .seq = seq, .ack = 1, .len = len, .urgent = pointer});
}

static ssize_t oob(struct peer *p)
{
    char b;

    return tcp_recv_oob(p->t, &b, 0);
}

static ssize_t send_flags(struct peer *p, uint32_t len, int flags)
{
    static char buf[8192];
    struct iovec iov = {buf, len};
    ssize_t n = tcp_send_msg(p->sh, p->t, &iov, 1, 0, flags);

    shard_flush(p->sh);
    return n;
}

Test(tcp_urg, pointer_stands_behind_the_byte)
{
    struct peer *p = opened();

    cr_assert_eq(send_flags(p, 3, MSG_OOB), 3);
    peer_expect(p, TCP_ACK | TCP_PSH | TCP_URG, 1, 1, 3);
    cr_assert_eq(p->seen.tcp.urgent, 3);
    /* Behind the mark: no URG; nor does it wait for the first's ACK as long as that is urgent. */
    cr_assert_eq(send_flags(p, 2, 0), 2);
    peer_expect(p, TCP_ACK | TCP_PSH, 4, 1, 2);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 6});
    cr_assert_eq(send_flags(p, 2, 0), 2);
    cr_assert_eq(send_flags(p, 2, 0), 2);
    peer_expect(p, TCP_ACK | TCP_PSH, 6, 1, 2);
    peer_expect_none(p); /* not urgent any more */
}

Test(tcp_urg, not_held_back_by_nagle_or_cork)
{
    struct peer *p = opened();

    cr_assert_eq(send_flags(p, 5, 0), 5);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 5);
    cr_assert_eq(send_flags(p, 1, MSG_OOB | MSG_MORE), 1);
    peer_expect(p, TCP_ACK | TCP_URG, 6, 1, 1);
}

/* Each segment before the mark points at it, and none is longer than a segment although there is TSO. */
Test(tcp_urg, pointer_in_every_segment)
{
    struct peer *p = peer_new(&(struct env_config){.tso_max = 65535, .caps = NETDEV_SCATTER});

    peer_open_passive(p, &(struct peer_opts){.mss = 1000});
    cr_assert_eq(send_flags(p, 2500, MSG_OOB), 2500);
    for (uint32_t at = 0; at < 2500; at += 1000) {
        cr_assert(peer_recv(p));
        cr_assert(p->seen.tcp.flags & TCP_URG);
        cr_assert_eq(p->seen.tcp.urgent, 2500 - at);
        cr_assert_leq(p->seen.data_len, 1000);
    }
    peer_expect_none(p);
}

/* The pointer gets through a closed window: with a probe at SND.UNA and one below it. */
Test(tcp_urg, pointer_passes_a_closed_window)
{
    struct peer *p = opened();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    cr_assert_eq(send_flags(p, 1, MSG_OOB), 1);
    peer_expect_none(p);
    peer_wait_ms(p, 1100);
    peer_expect(p, TCP_ACK | TCP_URG, 1, 1, 0);
    cr_assert_eq(p->seen.tcp.urgent, 1);
    peer_expect(p, TCP_ACK | TCP_URG, 0, 1, 0);
    cr_assert_eq(p->seen.tcp.urgent, 2);
}

Test(tcp_urg, byte_before_the_pointer)
{
    struct peer *p = opened();
    char b[16];

    urgent(p, 1, 4, 4); /* the last of four */
    cr_assert(tcp_poll(p->t) & POLLPRI);
    cr_assert_eq(tcp_recv_avail(p->t), 3);
    cr_assert_eq(oob(p), 1);
    cr_assert_eq(oob(p), -EINVAL);
    cr_assert_not(tcp_poll(p->t) & POLLPRI);
    cr_assert_eq(peer_app_recv(p, b, 16), 3);
    cr_assert(tcp_at_mark(p->t, 0));
    cr_assert_not(tcp_poll(p->t) & POLLIN);
    cr_assert_eq(peer_app_recv(p, b, 16), -EAGAIN); /* steps over it */
    cr_assert_not(tcp_at_mark(p->t, 0));
}

static void std_pointer(struct tunables *set)
{
    set->tcp_stdurg = 1;
}

Test(tcp_urg, byte_on_the_pointer_with_tcp_stdurg)
{
    struct peer *p = peer_new(&(struct env_config){.tune = std_pointer});

    peer_open_passive(p, &(struct peer_opts){0});
    urgent(p, 1, 4, 2);
    cr_assert_eq(tcp_recv_avail(p->t), 2);
    cr_assert_eq(oob(p), 1);
}

/* The pointer comes before the byte: announced, not there; and the byte may come on the fast path's turn. */
Test(tcp_urg, pointer_first_byte_later)
{
    struct peer *p = opened();

    urgent(p, 1, 4, 6);
    cr_assert_eq(oob(p), -EAGAIN);
    cr_assert_not(tcp_poll(p->t) & POLLPRI);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 5, .ack = 1, .len = 4});
    cr_assert(tcp_poll(p->t) & POLLPRI);
    cr_assert_eq(oob(p), 1);
    cr_assert_eq(tcp_recv_avail(p->t), 5);
}

/* The byte is seen in a segment that is out of order, too. */
Test(tcp_urg, byte_out_of_order)
{
    struct peer *p = opened();
    char b[16];

    urgent(p, 5, 2, 1);
    cr_assert_eq(oob(p), 1);
    cr_assert_eq(tcp_recv_avail(p->t), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 4});
    cr_assert_eq(peer_app_recv(p, b, 16), 4);
    cr_assert(tcp_at_mark(p->t, 0));
    cr_assert_eq(peer_app_recv(p, b, 16), 1);
}

/* Pointers about text that was taken already, or to the same byte again, are no news. */
Test(tcp_urg, old_pointers)
{
    struct peer *p = opened();
    char b[16];

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 4});
    urgent(p, 1, 4, 2);
    cr_assert_eq(oob(p), -EINVAL);
    urgent(p, 5, 2, 2);
    cr_assert_eq(oob(p), 1);
    urgent(p, 5, 2, 2);
    cr_assert_eq(oob(p), -EINVAL);
    cr_assert_eq(peer_app_recv(p, b, 16), 5);
}

/* Far ahead: the mark moves on, and the old urgent byte where reading stood is no data. */
Test(tcp_urg, next_pointer_while_reading_stands_at_the_last)
{
    struct peer *p = opened();
    char b[16];

    urgent(p, 1, 2, 2);
    cr_assert_eq(peer_app_recv(p, b, 16), 1);
    cr_assert(tcp_at_mark(p->t, 0));
    urgent(p, 3, 3, 3);
    cr_assert_not(tcp_at_mark(p->t, 0));
    cr_assert_eq(peer_app_recv(p, b, 16), 2);
    cr_assert(tcp_at_mark(p->t, 0));
}

/* A pointer that no byte ever follows: end of stream. */
Test(tcp_urg, announced_and_never_sent)
{
    struct peer *p = opened();

    urgent(p, 1, 1, 100);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 2, .ack = 1});
    cr_assert_eq(oob(p), 0);
}

/* MSG_EOR: what is sent later does not share its packet. */
Test(tcp_urg, end_of_record)
{
    struct peer *p = opened();

    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    cr_assert_eq(send_flags(p, 10, MSG_MORE), 10);
    cr_assert_eq(send_flags(p, 20, MSG_MORE | MSG_EOR), 20);
    cr_assert_eq(send_flags(p, 30, 0), 30);
    peer_expect(p, TCP_ACK, 1, 1, 30);
    peer_expect(p, TCP_ACK | TCP_PSH, 31, 1, 30);
    peer_wait_ms(p, 1000); /* nor when it is sent again */
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.data_len, 30);
}
