/* test_tcp_tw.c: TIME_WAIT (RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191), FIN_WAIT_2's end, and their
 * bounds. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "../../stack/port.h"
#include "tcp_peer.h"

static const struct peer_opts with_ts = {.ts = true};

static struct peer *time_wait(const struct peer_opts *o)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, o);
    peer_into(p, TCPS_TIME_WAIT);
    tcp_close(p->sh, p->t);
    p->t = NULL;
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1, "the listener alone");
    return p;
}

Test(tcp_tw, fin_again_is_acknowledged_and_restarts)
{
    struct peer *p = time_wait(NULL);

    peer_wait_ms(p, 50000);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = 2});
    peer_expect(p, TCP_ACK, 2, 2, 0);
    peer_wait_ms(p, 50000);
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    peer_wait_ms(p, 11000);
    cr_assert_eq(tcp_timewaits(p->sh), 0);
}

Test(tcp_tw, ends_after_60_s)
{
    struct peer *p = time_wait(NULL);

    peer_wait_ms(p, 59000);
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    peer_wait_ms(p, 1100);
    cr_assert_eq(tcp_timewaits(p->sh), 0);
}

/* RFC 1337's assassination: by default possible, as in Linux (whose peers count on it). */
Test(tcp_tw, rst_ends_it_unless_rfc1337)
{
    struct peer *p = time_wait(NULL);

    p->sh->st->set.tcp_rfc1337 = 1;
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 2});
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    p->sh->st->set.tcp_rfc1337 = 0;
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 3});
    cr_assert_eq(tcp_timewaits(p->sh), 1, "not with another number");
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 2});
    cr_assert_eq(tcp_timewaits(p->sh), 0);
    peer_expect_none(p);
}

/* Two ends that disagree don't answer each other for ever. */
Test(tcp_tw, answers_are_limited)
{
    struct peer *p = time_wait(NULL);

    for (int i = 0; i < 100; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 100000, .ack = 2});
    cr_assert_eq(peer_count(p), 1);
    cr_assert_eq(p->sh->count[COUNT_TCP_SKIP_TIME_WAIT], 99);
}

/* A SYN that only lacks a listener is no reason to forget. */
Test(tcp_tw, new_syn_without_a_listener)
{
    struct peer *p = time_wait(NULL);

    tcp_close(p->sh, p->listener);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = 1000});
    peer_expect(p, TCP_ACK, 2, 2, 0);
    cr_assert_eq(tcp_timewaits(p->sh), 1);
}

Test(tcp_tw, text_is_answered)
{
    struct peer *p = time_wait(NULL);

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 2, .ack = 2, .len = 5});
    peer_expect(p, TCP_ACK, 2, 2, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 2, .ack = 2});
    peer_expect_none(p);
}

Test(tcp_tw, old_syn_is_answered_with_an_ack)
{
    struct peer *p = time_wait(NULL);

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = 0});
    peer_expect(p, TCP_ACK, 2, 2, 0);
}

Test(tcp_tw, new_syn_by_sequence_number)
{
    struct peer *p = time_wait(NULL);

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = 1000});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
    cr_assert_eq(tcp_timewaits(p->sh), 0);
    cr_assert_eq(p->sh->count[COUNT_TCP_TW_RECYCLED], 1);
    cr_assert_eq(seen_seq(p), 2 + 65535 + 2, "beyond all that was used");
}

Test(tcp_tw, new_syn_by_timestamp)
{
    struct peer *p = time_wait(&with_ts);

    p->tsval += 10;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = (uint32_t)-100000});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
}

Test(tcp_tw, syn_with_an_old_timestamp_is_not_new)
{
    struct peer *p = time_wait(&with_ts);

    p->tsval -= 10;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .seq = 1000});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_ACK);
}

Test(tcp_tw, timestamps_go_on)
{
    struct peer *p = time_wait(&with_ts);
    uint32_t ours = p->tsecr;

    peer_wait_ms(p, 500);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = 2});
    peer_expect(p, TCP_ACK, 2, 2, 0);
    cr_assert(p->seen.opts.has_ts);
    cr_assert_geq(p->seen.opts.tsval - ours, 500);
}

Test(tcp_tw, keeps_the_port_from_bind)
{
    struct peer *p = time_wait(NULL);
    struct endpoint any = {IPADDR_ANY, htons(OWN_PORT)};
    struct tcb *plain = tcp_open(p->sh, 0);

    tcp_close(p->sh, p->listener);
    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)plain, &any), -EADDRINUSE);
    tcp_drop_timewaits(p->sh);
    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)plain, &any), 0);
}

static void two_buckets(struct tunables *set)
{
    set->tcp_max_tw_buckets = 2;
}

Test(tcp_tw, buckets_are_bounded)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = two_buckets});

    for (uint16_t i = 0; i < 4; i++) {
        p->port = 1000 + i;
        p->ts = false;
        peer_open_passive(p, NULL);
        peer_into(p, TCPS_TIME_WAIT);
        tcp_close(p->sh, p->t);
    }
    cr_assert_eq(tcp_timewaits(p->sh), 2);
    cr_assert_eq(p->sh->count[COUNT_TCP_TW_OVERFLOW], 2);
}

/* An active open takes over the four-tuple (tcp_tw_reuse 1): its ISN is beyond the old numbers. */
static void reuse(struct tunables *set)
{
    set->tcp_tw_reuse = 1;
}

Test(tcp_tw, active_open_reuses)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = reuse});
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(PEER_PORT)}, local;
    uint32_t old;

    peer_open_active(p, &with_ts);
    peer_into(p, TCPS_TIME_WAIT);
    local = p->t->pcb.local;
    old = p->t->snd_nxt;
    tcp_close(p->sh, p->t);
    p->t = tcp_open(p->sh, PCB_REUSEADDR);
    cr_assert(tcp_timewaits(p->sh) == 1);
    p->t->pcb.local.addr = local.addr;
    p->t->pcb.local.port_be = local.port_be;
    p->t->pcb.flags |= PCB_BOUND; /* as bind would, were it allowed */
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EADDRNOTAVAIL, "within the first second");
    p->t->pcb.local = local;
    peer_wait_ms(p, 2500);
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EINPROGRESS);
    cr_assert_eq(tcp_timewaits(p->sh), 0);
    cr_assert_eq(p->t->tx->iss, old + 65535 + 2);
    list_del(&p->t->pcb.port_node);
}

/* --- FIN_WAIT_2 --- */

Test(tcp_tw, orphan_leaves_fin_wait_2)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1, "the listener alone");
    peer_wait_ms(p, 59000);
    cr_assert_eq(tcp_orphans(p->sh), 1);
    peer_wait_ms(p, 2000);
    cr_assert_eq(tcp_orphans(p->sh), 0);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
}

static struct peer *orphan(void)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    peer_clear(p);
    cr_assert_eq(p->sh->tcp->tw.in_use, 1);
    return p;
}

Test(tcp_tw, orphan_gets_its_fin)
{
    struct peer *p = orphan();

    peer_wait_ms(p, 30000);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = 2});
    peer_expect(p, TCP_ACK, 2, 2, 0);
    cr_assert_eq(tcp_orphans(p->sh), 0);
    peer_wait_ms(p, 59000);
    cr_assert_eq(tcp_timewaits(p->sh), 1, "2 MSL from here");
    peer_wait_ms(p, 1100);
    cr_assert_eq(tcp_timewaits(p->sh), 0);
}

/* RFC 2525 section 2.17: data for nobody. */
Test(tcp_tw, orphan_gets_data)
{
    struct peer *p = orphan();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2, .len = 10});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags & TCP_RST, TCP_RST);
    cr_assert_eq(p->sh->tcp->tw.in_use, 0);
    cr_assert_eq(tcp_orphans(p->sh), 0);
}

Test(tcp_tw, orphan_other_segments)
{
    struct peer *p = orphan();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 200000, .ack = 2, .len = 5});
    peer_expect(p, TCP_ACK, 2, 1, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1000});
    cr_assert_eq(p->sh->tcp->tw.in_use, 0);
}

Test(tcp_tw, orphan_without_linger2)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    peer_set(p, IPPROTO_TCP, TCP_LINGER2, -1);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    cr_assert_eq(tcp_orphans(p->sh), 0);
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
}

Test(tcp_tw, half_close_stays_in_fin_wait_2)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    peer_into(p, TCPS_FIN_WAIT_2);
    peer_wait_ms(p, 300000);
    cr_assert_eq(tcp_state(p->t), TCPS_FIN_WAIT_2);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2, .len = 10});
    cr_assert_eq(peer_app_recv(p, NULL, 100), 10);
}

Test(tcp_tw, linger2_shortens_it)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    peer_set(p, IPPROTO_TCP, TCP_LINGER2, 5);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    peer_wait_ms(p, 5100);
    cr_assert_eq(tcp_orphans(p->sh), 0);
}
