/* test_tcp_listen.c: LISTEN (RFC 9293 section 3.10.7.2), half-open connections, the accept queue and its
 * bounds as Linux's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "../../stack/port.h"
#include "../../stack/tcp_ext.h"
#include "../../stack/tcp_synq.h"
#include "tcp_peer.h"

static const struct env_config small = {.npkts = 1023};

static struct peer *listening(int backlog)
{
    struct peer *p = peer_new(&small);

    peer_listen(p, backlog);
    return p;
}

/* A whole handshake from another port. True: it was answered. */
static bool knock(struct peer *p, uint16_t port, bool finish)
{
    p->port = port;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    if (!peer_recv(p))
        return false;
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
    p->irs = p->seen.tcp.seq;
    if (finish)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    return true;
}

Test(tcp_listen, rst_is_ignored)
{
    struct peer *p = listening(1);

    peer_send(p, (struct peer_seg){.flags = TCP_RST});
    peer_expect_none(p);
}

Test(tcp_listen, ack_is_reset)
{
    struct peer *p = listening(1);

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 5, .ack = 9});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(seen_seq(p), 9);
}

Test(tcp_listen, neither_syn_nor_ack_is_dropped)
{
    struct peer *p = listening(1);

    peer_send(p, (struct peer_seg){.flags = TCP_FIN});
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_FIN});
    peer_expect_none(p);
}

Test(tcp_listen, syn_is_answered_with_what_both_offer)
{
    struct peer *p = listening(1);
    struct tcp_opts o = {
        .mss = 1000, .has_ts = 1, .tsval = 123, .has_wscale = 1, .wscale = 5, .fastopen_len = -1};

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
    cr_assert_eq(seen_ack(p), 1);
    cr_assert_eq(p->seen.opts.mss, 1460);
    cr_assert_eq(p->seen.opts.tsecr, 123);
    cr_assert(p->seen.opts.has_wscale);
    cr_assert_not(p->seen.opts.sack_permitted);
    cr_assert_eq(p->listener->synq_len, 1);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1, "no tcb yet");
}

Test(tcp_listen, child_takes_the_options)
{
    struct peer *p = peer_new(&small);
    int on = 1;

    peer_listen(p, 1);
    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_NODELAY, on);
    peer_set(p, SOL_SOCKET, SO_RCVBUF, 10000);
    peer_open_passive(p, &(struct peer_opts){.ts = true, .wscale = true, .shift = 5, .mss = 1000});
    cr_assert(p->t->flags & TF_NODELAY);
    cr_assert_eq(p->t->rcvbuf, 20000);
    cr_assert_eq(p->t->snd_wnd, 65535u << 5);
    cr_assert_eq(p->t->mss, 988);
    cr_assert_eq(p->listener->synq_len, 0);
    cr_assert_eq(p->t->pcb.local.port_be, htons(OWN_PORT));
    cr_assert_eq(p->t->pcb.remote.port_be, htons(PEER_PORT));
}

Test(tcp_listen, syn_received_syn_again_is_answered_again)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    cr_assert_eq(p->listener->synq_len, 1);
}

Test(tcp_listen, syn_received_rst)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1});
    cr_assert_eq(p->listener->synq_len, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
}

Test(tcp_listen, syn_received_wrong_ack_is_reset)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(p->listener->synq_len, 1);
    cr_assert_null(tcp_accept(p->sh, p->listener));
}

Test(tcp_listen, syn_received_out_of_window)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 100000, .ack = 1});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_null(tcp_accept(p->sh, p->listener));
}

/* As often as half a second allows (Linux: tcp_invalid_ratelimit). */
Test(tcp_listen, syn_received_answers_out_of_window_not_too_often)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    for (int i = 0; i < 50; i++) {
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 100000, .ack = 1});
        peer_wait_ms(p, 10);
    }
    peer_expect(p, TCP_ACK, 1, 1, 0);
    peer_expect_none(p);
    cr_assert_eq(p->sh->count[COUNT_TCP_SKIP_SYN_RECV], 49);
    peer_wait_ms(p, 1);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 100000, .ack = 1});
    peer_expect(p, TCP_ACK, 1, 1, 0);
}

/* An ACK with a timestamp that we never sent is none of this handshake. */
Test(tcp_listen, syn_received_wrong_tsecr)
{
    struct peer *p = listening(1);
    struct tcp_opts o = {.has_ts = 1, .tsval = 7, .fastopen_len = -1};

    p->port = 1000;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    o.tsecr = p->seen.opts.tsval + 100000;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_TSECR], 1);
    o.tsecr -= 100000;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
    cr_assert_not_null(tcp_accept(p->sh, p->listener));
}

/* Linux: an unexpected SYN in the window ends the half-open connection. */
Test(tcp_listen, syn_received_syn_in_window)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = 5});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST | TCP_ACK);
    cr_assert_eq(p->listener->synq_len, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_EMBRYONIC_RST], 1);
}

/* A listener for whose child there is no room says so, or not (Linux: tcp_abort_on_overflow). */
Test(tcp_listen, abort_on_overflow)
{
    struct peer *p = listening(0);
    uint32_t irs;

    p->sh->st->set.tcp_abort_on_overflow = 1;
    p->sh->st->set.tcp_syncookies = 0;
    tcp_listen(p->sh, p->listener, 1);
    knock(p, 1000, false);
    irs = p->irs;
    knock(p, 1001, true);
    tcp_listen(p->sh, p->listener, 0);
    p->port = 1000;
    p->irs = irs;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(p->listener->synq_len, 0);
}

/* TCP_DEFER_ACCEPT: the bare ACK is dropped, the SYN,ACK is not sent again while data is waited for, but once
 * at the end of the time; data wakes accept. */
Test(tcp_listen, defer_accept_waits_for_data)
{
    struct peer *p = listening(1);

    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7);
    cr_assert_eq(p->t->defer_accept, 3);
    knock(p, 1000, true);
    cr_assert_eq(p->listener->acc_len, 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_DEFER_ACCEPT], 1);
    peer_wait_ms(p, 2900);
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 10});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t);
    cr_assert_eq(tcp_recv_avail(p->t), 10);
}

Test(tcp_listen, defer_accept_ends)
{
    struct peer *p = listening(1);

    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7);
    knock(p, 1000, true);
    peer_wait_ms(p, 3100);
    peer_expect_none(p);
    peer_wait_ms(p, 4000);
    peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert_not_null(tcp_accept(p->sh, p->listener), "now without data, too");
}

Test(tcp_listen, defer_accept_seconds)
{
    static const int in[] = {0, 1, 2, 3, 4, 7, 8, 100, -5}, out[] = {0, 1, 3, 3, 7, 7, 15, 127, 0};
    struct peer *p = listening(1);

    p->t = p->listener;
    for (unsigned i = 0; i < sizeof in / sizeof *in; i++) {
        int v;
        uint32_t len = sizeof v;

        peer_set(p, IPPROTO_TCP, TCP_DEFER_ACCEPT, in[i]);
        cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v, &len), 0);
        cr_assert_eq(v, out[i], "%d gives %d", in[i], v);
    }
}

/* A tiny MSS is an attack on our memory and time, not a wish. */
Test(tcp_listen, tiny_mss)
{
    for (uint16_t mss = 1; mss < 60; mss++) {
        struct peer *p = listening(1);

        peer_open_passive(p, &(struct peer_opts){.ts = true, .mss = mss});
        cr_assert_geq(p->t->mss, TCP_MSS_MIN - TCP_TS_OPT_LEN);
        cr_assert_leq(p->t->mss, 60);
    }
}

Test(tcp_listen, saved_syn)
{
    struct peer *p = listening(1);
    uint8_t b[200];
    uint32_t len = 10;

    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_SAVE_SYN, 1);
    peer_open_passive(p, &(struct peer_opts){.ts = true, .mss = 1234});
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_SAVED_SYN, b, &len), -EINVAL);
    cr_assert_eq(len, 20 + 20 + 16, "the length that is needed");
    len = sizeof b;
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_SAVED_SYN, b, &len), 0);
    cr_assert_eq(len, 20 + 20 + 16);
    cr_assert_eq(b[0], 0x45);
    cr_assert_eq(b[20 + 13], TCP_SYN);
    cr_assert_eq(b[40], TCP_OPT_MSS);
    cr_assert_eq(b[42] << 8 | b[43], 1234);
    len = sizeof b;
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_SAVED_SYN, b, &len), 0);
    cr_assert_eq(len, 0, "once");
    cr_assert_eq(p->sh->tcp->saved_syn.in_use, 0);
}

Test(tcp_listen, saved_syn_goes_with_the_connection)
{
    struct peer *p = listening(5);

    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_SAVE_SYN, 2);
    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1});
    cr_assert_eq(p->sh->tcp->saved_syn.in_use, 0);
    peer_open_passive(p, NULL);
    cr_assert_eq(p->t->ext->saved_syn->len, 14 + 20 + 20 + 4);
    cr_assert_eq(memcmp(p->t->ext->saved_syn->bytes, ENV_MAC, 6), 0);
    tcp_abort(p->sh, p->t);
    tcp_close(p->sh, p->t);
    cr_assert_eq(p->sh->tcp->saved_syn.in_use, 0);
}

Test(tcp_listen, syn_received_text_with_the_ack)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 10});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t);
    cr_assert_eq(tcp_recv_avail(p->t), 10);
    peer_expect(p, TCP_ACK, 1, 11, 0);
}

Test(tcp_listen, syn_received_fin_with_the_ack)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 1, .len = 3});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE_WAIT);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 3);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 0);
}

Test(tcp_listen, syn_ack_is_retransmitted_and_given_up)
{
    struct peer *p = listening(1);

    knock(p, 1000, false);
    for (int i = 0; i < 5; i++) {
        peer_wait_ms(p, (1000u << i) + 2);
        cr_assert_eq(peer_count(p), 1);
        peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    }
    peer_wait_ms(p, 40000);
    peer_expect_none(p);
    cr_assert_eq(p->listener->synq_len, 0);
    cr_assert_eq(p->sh->tcp->synreq.in_use, 0);
}

/* Linux: backlog + 1 connections wait; then the last ACK is dropped, and SYNs too. */
Test(tcp_listen, accept_queue_is_bounded)
{
    struct peer *p = listening(1);

    cr_assert(knock(p, 1000, true));
    cr_assert(knock(p, 1001, false));
    uint32_t irs1 = p->irs;
    cr_assert(knock(p, 1002, true));
    cr_assert_eq(p->listener->acc_len, 2);
    cr_assert_not(knock(p, 1003, true), "full: the SYN is dropped");
    cr_assert_eq(p->sh->count[COUNT_TCP_LISTEN_OVERFLOW], 1);
    p->port = 1001;
    p->irs = irs1;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert_eq(p->listener->acc_len, 2, "full: the last ACK is dropped");
    peer_wait_ms(p, 1010);
    peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    cr_assert_not_null(tcp_accept(p->sh, p->listener));
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert_eq(p->listener->acc_len, 2, "now there was room");
}

Test(tcp_listen, half_open_connections_are_bounded)
{
    struct peer *p = listening(3);

    p->sh->st->set.tcp_syncookies = 0; /* with them: test_tcp_cookie.c */
    for (uint16_t i = 0; i < 4; i++)
        cr_assert(knock(p, 1000 + i, false));
    cr_assert_not(knock(p, 1010, false));
    cr_assert_eq(p->sh->count[COUNT_TCP_REQQ_DROP], 1);
}

Test(tcp_listen, poll_and_event)
{
    struct peer *p = listening(3);

    cr_assert_eq(tcp_poll(p->listener), 0);
    knock(p, 1000, true);
    cr_assert(tcp_poll(p->listener) & POLLIN);
    tcp_accept(p->sh, p->listener);
    cr_assert_eq(tcp_poll(p->listener), 0);
}

Test(tcp_listen, reset_before_accept_is_seen_after_it)
{
    struct peer *p = listening(3);

    knock(p, 1000, true);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t);
    cr_assert_eq(peer_app_recv(p, NULL, 10), -ECONNRESET);
    cr_assert_eq(peer_app_recv(p, NULL, 10), 0);
    tcp_close(p->sh, p->t);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
}

Test(tcp_listen, close_resets_who_waits)
{
    struct peer *p = listening(3);

    knock(p, 1000, true);
    knock(p, 1001, false);
    tcp_close(p->sh, p->listener);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST | TCP_ACK);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 0);
    /* the half-open one finds out */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_RST);
    cr_assert_eq(p->sh->tcp->synreq.in_use, 0);
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_listen, again_changes_the_backlog)
{
    struct peer *p = listening(0);

    cr_assert(knock(p, 1000, true));
    cr_assert_not(knock(p, 1001, true));
    cr_assert_eq(tcp_listen(p->sh, p->listener, 5), 0);
    cr_assert(knock(p, 1001, true));
    cr_assert_eq(tcp_listen(p->sh, p->listener, -1), 0);
    cr_assert_eq(p->listener->backlog, 4096);
}

Test(tcp_listen, without_bind_chooses_a_port)
{
    struct peer *p = peer_new(&small);

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_listen(p->sh, p->t, 1), 0);
    cr_assert_neq(p->t->pcb.local.port_be, 0);
}

/* Specific address before wildcard. */
Test(tcp_listen, the_better_match_gets_the_syn)
{
    struct peer *p = peer_new(&small);
    struct endpoint own = {ipaddr_v4(ENV_IP), htons(OWN_PORT)};
    struct tcb *special = tcp_open(p->sh, PCB_REUSEADDR), *wild = tcp_open(p->sh, PCB_REUSEADDR);
    struct endpoint any = {IPADDR_ANY, htons(OWN_PORT)};

    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)wild, &any), 0);
    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)special, &own), 0);
    cr_assert_eq(tcp_listen(p->sh, wild, 5), 0);
    cr_assert_eq(tcp_listen(p->sh, special, 5), -EADDRINUSE, "as Linux: two may bind, not two listen");
}

Test(tcp_listen, reuseport_spreads)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});
    struct endpoint any = {IPADDR_ANY, htons(OWN_PORT)};
    struct tcb *l[4];

    for (int i = 0; i < 4; i++) {
        l[i] = tcp_open(p->sh, PCB_REUSEPORT);
        cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)l[i], &any), 0);
        cr_assert_eq(tcp_listen(p->sh, l[i], 1000), 0);
    }
    for (uint16_t i = 0; i < 400; i++)
        cr_assert(knock(p, 2000 + i, true));
    for (int i = 0; i < 4; i++) {
        cr_assert_gt(l[i]->acc_len, 60, "member %d has %u of 400", i, l[i]->acc_len);
        cr_assert_lt(l[i]->acc_len, 140);
    }
}

/* Old duplicate SYN,ACK handshake numbers of a dead listener's request. */
Test(tcp_listen, shutdown_for_reading_ends_it)
{
    struct peer *p = listening(3);

    cr_assert_eq(tcp_shutdown(p->sh, p->listener, SHUT_WR), 0);
    cr_assert_eq(tcp_state(p->listener), TCPS_LISTEN);
    cr_assert_eq(tcp_shutdown(p->sh, p->listener, SHUT_RD), 0);
    cr_assert_eq(tcp_state(p->listener), TCPS_CLOSE);
    p->port = 1000;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    cr_assert(peer_recv(p));
    cr_assert(p->seen.tcp.flags & TCP_RST);
}
