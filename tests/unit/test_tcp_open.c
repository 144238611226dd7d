/* test_tcp_open.c: active, passive and simultaneous opens (RFC 9293 sections 3.5, 3.10.7.3), what a SYN
 * offers and agrees to. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "../../stack/port.h"
#include "tcp_peer.h"

static const struct env_config small = {.npkts = 511};

static struct peer *syn_sent(void)
{
    struct peer *p = peer_new(&small);
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EINPROGRESS);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    p->own_port = ntohs(p->seen.tcp.sport_be);
    return p;
}

Test(tcp_open, syn_offers_everything)
{
    struct peer *p = syn_sent();

    cr_assert_eq(p->seen.tcp.flags, TCP_SYN);
    cr_assert_eq(p->seen.opts.mss, 1460);
    cr_assert(p->seen.opts.has_ts);
    cr_assert(p->seen.opts.sack_permitted);
    cr_assert(p->seen.opts.has_wscale);
    cr_assert_eq(p->seen.opts.wscale, 7);
    cr_assert_eq(p->seen.tcp.window, 64240);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT);
    cr_assert_eq(tcp_poll(p->t), 0);
    cr_assert_geq(p->own_port, 32768);
    cr_assert_leq(p->own_port, 60999);
    cr_assert_eq(p->own_port % 2, 0, "connect's ports are even, as Linux's");
}

Test(tcp_open, syn_sent_syn_ack)
{
    struct peer *p = peer_new(&small);

    peer_open_active(
        p, &(struct peer_opts){.ts = true, .sack = true, .wscale = true, .shift = 3, .window = 1000});
    cr_assert_eq(seen_seq(p), 1);
    cr_assert_eq(seen_ack(p), 1);
    cr_assert(p->t->flags & TF_SACK);
    cr_assert(p->t->flags & TF_TS);
    cr_assert_eq(p->t->snd_wscale, 3);
    cr_assert_eq(p->t->snd_wnd, 1000, "a SYN's window is not scaled");
    cr_assert_eq(p->t->mss, 500, "half of the window");
    cr_assert(tcp_poll(p->t) & POLLOUT);
}

Test(tcp_open, syn_sent_syn_ack_without_options)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1, .opts = &peer_no_opts});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_eq(p->t->mss, 536, "RFC 9293 section 3.7.1");
    cr_assert_eq(p->t->rcv_wscale, 0);
    cr_assert_not(p->t->flags & (TF_TS | TF_SACK | TF_WSCALE));
}

Test(tcp_open, syn_sent_wrong_ack_is_reset)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 2});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(seen_seq(p), 2);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 0});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT);
}

Test(tcp_open, syn_sent_rst)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 0}); /* without ACK: not believed */
    peer_send(p, (struct peer_seg){.flags = TCP_RST | TCP_ACK, .ack = 5});
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT);
    peer_send(p, (struct peer_seg){.flags = TCP_RST | TCP_ACK, .ack = 1});
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ECONNREFUSED);
    cr_assert_eq(tcp_poll(p->t) & (POLLIN | POLLOUT | POLLERR | POLLHUP),
                 POLLIN | POLLOUT | POLLERR | POLLHUP);
}

Test(tcp_open, syn_sent_ack_alone_is_dropped)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    peer_expect_none(p);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT);
}

Test(tcp_open, syn_sent_retransmits_and_gives_up)
{
    struct peer *p = syn_sent();

    /* 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s, and at 131 s the end: as Linux, the first ones do not back off */
    for (int i = 0; i < 10; i++) {
        peer_wait_ms(p, (i < 5 ? 1000u : 1000u << (i - 4)) + 2);
        cr_assert_eq(peer_count(p), 1, "retransmission %d", i);
        peer_expect(p, TCP_SYN, 0, -p->iss, 0);
    }
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT);
    peer_wait_ms(p, 64020);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ETIMEDOUT);
    peer_expect_none(p);
}

Test(tcp_open, syn_sent_lost_syn_means_one_segment)
{
    struct peer *p = syn_sent();
    struct tcp_opts o = {.mss = 1460, .fastopen_len = -1};

    peer_wait_ms(p, 2002);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1, .opts = &o});
    cr_assert_eq(p->t->cwnd, 1460, "RFC 5681 section 3.1");
    cr_assert_eq(p->t->srtt_us8, 0, "Karn");
}

/* Figure 7 of RFC 9293. */
Test(tcp_open, simultaneous)
{
    struct peer *p = syn_sent();
    struct tcp_opts o = {.mss = 1460, .has_wscale = 1, .wscale = 2, .fastopen_len = -1};

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
    peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    cr_assert_not(p->seen.opts.has_ts);
    cr_assert(p->seen.opts.has_wscale);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_RECEIVED);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1, .opts = &o});
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
    cr_assert_leq(p->t->snd_wnd, 65535);
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_eq(peer_app_send(p, 5, false), 5);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 5);
}

Test(tcp_open, syn_received_ack_alone)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &peer_no_opts});
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
}

Test(tcp_open, syn_received_wrong_ack_is_reset)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 9, .opts = &peer_no_opts});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(seen_seq(p), 9);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_RECEIVED);
}

Test(tcp_open, syn_received_rst)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1, .opts = &peer_no_opts});
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ECONNREFUSED);
}

Test(tcp_open, syn_received_close_sends_fin_later)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    peer_clear(p);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &peer_no_opts});
    peer_expect(p, TCP_ACK | TCP_FIN, 1, 1, 0);
    cr_assert_eq(tcp_state(p->t), TCPS_FIN_WAIT_1);
}

/* A socket that connects to itself. */
Test(tcp_open, to_itself)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .isolate = true});
    struct endpoint self = {ipaddr_v4(IP4(127, 0, 0, 1)), htons(5555)};
    struct iovec iov = {"hello", 5};
    char buf[8];

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)p->t, &self), 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &self), -EINPROGRESS);
    shard_flush(p->sh);
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
    cr_assert_eq(tcp_send(p->sh, p->t, &iov, 1, 0, false), 5);
    shard_flush(p->sh);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 5);
    cr_assert(memcmp(buf, "hello", 5) == 0);
}

Test(tcp_open, states_that_cannot_connect)
{
    struct peer *p = syn_sent();
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EALREADY);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1});
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EISCONN);
}

Test(tcp_open, no_route)
{
    struct peer *p = peer_new(&small);
    struct endpoint remote = {ipaddr_v4(ENV_OTHER_IP), htons(1)},
                    group = {ipaddr_v4(IP4(224, 0, 0, 1)), htons(1)};

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -ENETUNREACH);
    cr_assert_eq(tcp_connect(p->sh, p->t, &group), -ENETUNREACH);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert(ipaddr_is_any(&p->t->pcb.local.addr));
}

Test(tcp_open, again_after_a_refusal)
{
    struct peer *p = syn_sent();

    peer_send(p, (struct peer_seg){.flags = TCP_RST | TCP_ACK, .ack = 1});
    cr_assert_eq(p->t->pcb.so_error, ECONNREFUSED);
    p->t->pcb.so_error = 0;
    peer_open_active(p, NULL);
    cr_assert_eq(tcp_poll(p->t) & (POLLHUP | POLLOUT), POLLOUT);
}

Test(tcp_open, close_in_syn_sent_is_silent)
{
    struct peer *p = syn_sent();
    uint32_t armed = p->sh->wheel.armed;

    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect_none(p);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 0);
    cr_assert_eq(p->sh->wheel.armed, armed - 1, "the SYN's timer is gone");
}
