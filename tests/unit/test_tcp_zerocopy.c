/* MSG_ZEROCOPY of TCP: which calls are told of, together with which others, and when. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tcp_peer.h"

#include "../../stack/tcp_zerocopy.h"

static char text[70000];

/* A call that takes all of len bytes, in pieces of memory of `piece` bytes. Its completion's number is id. */
static ssize_t zsend(struct peer *p, uint32_t id, size_t len, size_t piece, int flags)
{
    struct iovec iov[64];
    struct errq_entry *e;
    int cnt = 0, r = tcp_zerocopy_begin(p->sh, p->t, id, len, &e);
    ssize_t n;

    if (r)
        return r;
    for (size_t off = 0; off < len; off += piece)
        iov[cnt++] = (struct iovec){text + off, len - off < piece ? len - off : piece};
    n = tcp_send_zerocopy(p->sh, p->t, iov, cnt, 0, flags);
    if (n > 0)
        tcp_zerocopy_queued(p->sh, p->t, e, (uint32_t)n);
    else
        tcp_zerocopy_cancel(p->sh, e);
    shard_flush(p->sh);
    return n;
}

static void ack(struct peer *p, uint32_t upto)
{
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = upto});
}

/* The next completion is about the calls first to last; first > last: there is none. */
static void told(struct peer *p, uint32_t first, uint32_t last)
{
    char ctl[256];
    struct sock_extended_err ee;
    struct msghdr m = {.msg_control = ctl, .msg_controllen = sizeof ctl};
    ssize_t n = tcp_recv_err(p->sh, p->t, &m);

    if (first > last) {
        cr_assert_eq(n, -EAGAIN);
        return;
    }
    cr_assert_eq(n, 0);
    memcpy(&ee, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof ee);
    cr_assert_eq(ee.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    cr_assert_eq(ee.ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
    cr_assert_eq(ee.ee_errno, 0);
    cr_assert_eq(ee.ee_info, first, "from %u", ee.ee_info);
    cr_assert_eq(ee.ee_data, last, "to %u", ee.ee_data);
}

static struct peer *opened(void)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, &(struct peer_opts){0});
    return p;
}

Test(tcp_zerocopy, told_when_the_last_byte_is_acknowledged)
{
    struct peer *p = opened();

    cr_assert_eq(zsend(p, 0, 4000, 4000, 0), 4000);
    told(p, 1, 0);
    ack(p, 4000);
    told(p, 1, 0);
    ack(p, 4001);
    told(p, 0, 0);
    told(p, 1, 0);
    cr_assert_not(errq_any(&p->t->pcb));
}

Test(tcp_zerocopy, completions_not_read_are_one_range)
{
    struct peer *p = opened();

    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(zsend(p, i, 100, 100, 0), 100);
        ack(p, 1 + 100 * (i + 1));
    }
    told(p, 0, 4);
    told(p, 1, 0);
}

Test(tcp_zerocopy, calls_that_wait_to_be_sent_share_a_completion)
{
    struct peer *p = opened();

    cr_assert_eq(zsend(p, 0, 100, 100, 0), 100);
    cr_assert_eq(zsend(p, 1, 100, 100, 0), 100); /* Nagle holds it */
    cr_assert_eq(zsend(p, 2, 100, 100, 0), 100);
    cr_assert_eq(p->t->ext->nzcopy, 2);
    ack(p, 101);
    told(p, 0, 0);
    ack(p, 201); /* half of what 1 and 2 share */
    told(p, 1, 0);
    ack(p, 301);
    told(p, 1, 2);
}

Test(tcp_zerocopy, as_many_pieces_a_packet_as_in_linux)
{
    struct peer *p = opened();

    cr_assert_eq(zsend(p, 0, 18, 1, 0), 18);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 17);
    ack(p, 18);
    peer_expect(p, TCP_ACK | TCP_PSH, 18, 1, 1);
    told(p, 1, 0);
    ack(p, 19);
    told(p, 0, 0);
}

Test(tcp_zerocopy, the_end_of_the_connection_ends_all)
{
    struct peer *p = opened();

    cr_assert_eq(zsend(p, 0, 100, 100, 0), 100);
    cr_assert_eq(zsend(p, 1, 100, 100, 0), 100);
    p->t->pcb.user = p; /* somebody is there to be told */
    tcp_zerocopy_end(p->sh, p->t);
    p->t->pcb.user = NULL;
    told(p, 0, 1);
    cr_assert_eq(p->t->ext->nzcopy, 0);
}

Test(tcp_zerocopy, closed_socket_gives_its_memory_back)
{
    struct peer *p = opened();

    cr_assert_eq(zsend(p, 0, 100, 100, 0), 100);
    cr_assert_eq(p->t->ext->nzcopy, 1);
    tcp_close(p->sh, p->t);
    cr_assert(list_empty(&p->t->ext->zcopies));
    ack(p, 101);
    cr_assert_not(errq_any(&p->t->pcb));
}

Test(tcp_zerocopy, not_without_end)
{
    struct peer *p = opened();
    uint32_t n = 0;

    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    while (zsend(p, n, 10, 10, 0) == 10)
        n++;
    /* each sent at once, so that none shares another's: optmem_max / 832, one of them asked for with less */
    cr_assert_eq(zsend(p, n, 10, 10, 0), -ENOBUFS);
    cr_assert_eq(n, (131072 - 576) / 832 + 1, "%u", n);
    ack(p, 1 + 10 * n);
    told(p, 0, n - 1);
    cr_assert_eq(zsend(p, n, 10, 10, 0), 10);
}
