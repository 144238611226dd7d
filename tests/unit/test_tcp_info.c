/* TCP_INFO: what changes with time and with losses, on the fake clock. */
#include <criterion/criterion.h>

#include "tcp_peer.h"

#include "../../stack/tcp_info.h"

static struct tcp_info_full of(const struct peer *p)
{
    struct tcp_info_full i;

    tcp_get_info_full(p->sh, p->t, &i);
    return i;
}

static struct peer *opened(void)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, &(struct peer_opts){.sack = true});
    return p;
}

Test(tcp_info, times_since)
{
    struct peer *p = opened();
    struct tcp_info_full i;

    peer_wait_ms(p, 50); /* from the handshake on, when nothing was sent yet */
    i = of(p);
    cr_assert_eq(i.base.tcpi_last_data_sent, 50);
    cr_assert_eq(i.base.tcpi_last_data_recv, 50);
    cr_assert_eq(i.base.tcpi_last_ack_recv, 50);
    peer_app_send(p, 10, false);
    peer_wait_ms(p, 20);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 11, .len = 5});
    peer_wait_ms(p, 7);
    i = of(p);
    cr_assert_eq(i.base.tcpi_last_data_sent, 27);
    cr_assert_eq(i.base.tcpi_last_data_recv, 7);
    cr_assert_eq(i.base.tcpi_last_ack_recv, 7);
    cr_assert_eq(i.base.tcpi_busy_time, 20000);
}

Test(tcp_info, chronographs)
{
    struct peer *p = opened();
    struct tcp_info_full i;

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = ~0u});
    peer_app_send(p, 1000, false);
    peer_wait_ms(p, 100);
    i = of(p);
    cr_assert_eq(i.base.tcpi_rwnd_limited, 100000);
    cr_assert_eq(i.base.tcpi_busy_time, 100000);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    peer_wait_ms(p, 30);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1001});
    peer_wait_ms(p, 500); /* idle */
    i = of(p);
    cr_assert_eq(i.base.tcpi_rwnd_limited, 100000);
    cr_assert_eq(i.base.tcpi_busy_time, 130000);
    cr_assert_eq(i.base.tcpi_sndbuf_limited, 0);
}

/* Small segments are packets, too. */
Test(tcp_info, packets_in_flight)
{
    struct peer *p = opened();
    struct tcp_sack_block b;
    struct tcp_opts o = peer_no_opts;
    struct tcp_info_full i;

    peer_set(p, IPPROTO_TCP, TCP_NODELAY, 1);
    for (int k = 0; k < 5; k++)
        peer_app_send(p, 10, false);
    i = of(p);
    cr_assert_eq(i.base.tcpi_unacked, 5);
    cr_assert_eq(i.base.tcpi_delivered, 1); /* the SYN */
    b = (struct tcp_sack_block){p->irs + 21, p->irs + 41};
    o.nsack = 1;
    o.sack[0] = b;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 11, .opts = &o});
    i = of(p);
    cr_assert_eq(i.base.tcpi_unacked, 4);
    cr_assert_eq(i.base.tcpi_sacked, 2);
    cr_assert_eq(i.base.tcpi_delivered, 4);
    cr_assert_eq(i.base.tcpi_data_segs_out, 5 + i.base.tcpi_total_retrans);
    cr_assert_eq(i.base.tcpi_bytes_sent, 50 + i.base.tcpi_bytes_retrans);
    cr_assert_eq(i.base.tcpi_bytes_acked, 10);
}

Test(tcp_info, timeouts)
{
    struct peer *p = opened();
    struct tcp_info_full i;
    uint32_t total;

    peer_app_send(p, 10, false);
    peer_wait_ms(p, 4000); /* a loss probe, then time-outs that double */
    i = of(p);
    total = i.total_rto;
    cr_assert_geq(total, 2);
    cr_assert_eq(i.total_rto_recoveries, 1);
    cr_assert_eq(i.total_rto_time_ms, 0); /* still going on */
    cr_assert_eq(i.base.tcpi_backoff, total);
    cr_assert_geq(i.base.tcpi_rto, 800000);
    cr_assert_eq(i.base.tcpi_bytes_retrans, 10 * i.base.tcpi_total_retrans);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 11});
    i = of(p);
    cr_assert_eq(i.total_rto, total);
    cr_assert_gt(i.total_rto_time_ms, 2000);
    cr_assert_eq(i.base.tcpi_retransmits, 0);
}
