/* test_tcp_ecn.c: ECN (RFC 3168, stack/tcp_ecn.h): who offers and who agrees, what is marked, ECE and CWR;
 * what AccECN peers see. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tcp_peer.h"

#define E TCP_ECE
#define C TCP_CWR

static uint8_t ip_ecn(const struct peer *p)
{
    return p->seen.ip->tos & 3;
}

static void ecn_on(struct tunables *set)
{
    set->tcp_ecn = 1;
}

static void ecn_off(struct tunables *set)
{
    set->tcp_ecn = 0;
}

/* --- passive --- */

static uint8_t answer(void (*tune)(struct tunables *), uint8_t flags, uint8_t tos, bool ae)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = tune});

    peer_listen(p, 8);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | flags, .tos = tos, .ae = ae, .opts = &peer_no_opts});
    cr_assert(peer_recv(p));
    cr_assert_eq(ip_ecn(p), 0, "a SYN,ACK is not ECT (RFC 3168 section 6.1.1)");
    cr_assert_eq(p->seen.tcp.ae, 0);
    return p->seen.tcp.flags & (E | C);
}

Test(tcp_ecn, listen_syn)
{
    cr_assert_eq(answer(NULL, E | C, 0, false), E, "agreed by default");
    cr_assert_eq(answer(ecn_on, E | C, 0, false), E);
    cr_assert_eq(answer(ecn_off, E | C, 0, false), 0);
    cr_assert_eq(answer(ecn_on, 0, 0, false), 0, "nobody asked");
    cr_assert_eq(answer(ecn_on, E, 0, false), 0, "ECE alone is no offer");
    cr_assert_eq(answer(ecn_on, C, 0, false), 0);
    cr_assert_eq(answer(ecn_on, E | C, 2, false), 0, "a SYN that is ECT was tampered with");
}

/* draft-ietf-tcpm-accurate-ecn section 3.1.1 table 2: ECE alone tells the client of RFC 3168. */
Test(tcp_ecn, listen_accecn_syn)
{
    cr_assert_eq(answer(NULL, E | C, 0, true), E);
    cr_assert_eq(answer(NULL, E | C, 2, true), E, "its SYN may be ECT");
    cr_assert_eq(answer(ecn_off, E | C, 0, true), 0);
    cr_assert_eq(answer(NULL, 0, 0, true), 0);
}

static struct peer *server(void)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});

    peer_listen(p, 8);
    peer_send(p, (struct peer_seg){
                     .flags = TCP_SYN | E | C,
                     .opts = &(struct tcp_opts){.mss = 1000, .sack_permitted = 1, .fastopen_len = -1}});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK | E);
    p->irs = p->seen.tcp.seq;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert(p->t->flags & TF_ECN);
    return p;
}

/* --- active --- */

static struct peer *client(void (*tune)(struct tunables *))
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = tune});
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EINPROGRESS);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(ip_ecn(p), 0);
    p->irs = p->seen.tcp.seq;
    p->own_port = ntohs(p->seen.tcp.sport_be);
    return p;
}

Test(tcp_ecn, connect_offers_when_told)
{
    cr_assert_eq(client(NULL)->seen.tcp.flags, TCP_SYN, "2: only accepted");
    cr_assert_eq(client(ecn_off)->seen.tcp.flags, TCP_SYN);
    cr_assert_eq(client(ecn_on)->seen.tcp.flags, TCP_SYN | E | C);
}

static bool agreed(uint8_t flags, bool ae)
{
    struct peer *p = client(ecn_on);

    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK | flags, .ae = ae, .ack = 1});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_eq(p->seen.tcp.ae, 0);
    return p->t->flags & TF_ECN;
}

Test(tcp_ecn, connect_syn_ack)
{
    cr_assert(agreed(E, false));
    cr_assert_not(agreed(0, false));
    cr_assert_not(agreed(E | C, false), "a server that reflects our flags (RFC 3168 section 6.1.1)");
    cr_assert_not(agreed(C, false));
    cr_assert(agreed(E, true), "the bit beside them means nothing to RFC 3168");
    cr_assert_not(agreed(E | C, true), "nor does AccECN's answer");
}

Test(tcp_ecn, syn_again_without)
{
    struct peer *p = client(ecn_on);

    peer_wait_ms(p, 1100);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN, "RFC 3168 section 6.1.1.1");
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1});
    peer_expect(p, TCP_ACK, 1, 1, 0);
    cr_assert_not(p->t->flags & TF_ECN);
}

static void no_fallback(struct tunables *set)
{
    set->tcp_ecn = 1;
    set->tcp_ecn_fallback = 0;
}

Test(tcp_ecn, syn_again_with)
{
    struct peer *p = client(no_fallback);

    peer_wait_ms(p, 1100);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | E | C);
}

Test(tcp_ecn, simultaneous_open)
{
    struct peer *p = client(ecn_on);

    peer_send(p, (struct peer_seg){.flags = TCP_SYN | E | C, .opts = &peer_no_opts});
    peer_expect(p, TCP_SYN | TCP_ACK | E, 0, 1, 0);
    cr_assert(p->t->flags & TF_ECN);
    p = client(ecn_on);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    peer_expect(p, TCP_SYN | TCP_ACK, 0, 1, 0);
    cr_assert_not(p->t->flags & TF_ECN);
}

/* --- what leaves --- */

Test(tcp_ecn, new_data_is_ect0)
{
    struct peer *p = server();

    cr_assert_eq(peer_app_send(p, 1000, false), 1000);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 1000);
    cr_assert_eq(ip_ecn(p), 2, "ECT(0)");
    peer_wait_ms(p, 2000);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 1000);
    cr_assert_eq(ip_ecn(p), 0, "a retransmission is not (section 6.1.5)");
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1001, .len = 10, .tos = 2});
    cr_assert_eq(tcp_shutdown(p->sh, p->t, SHUT_WR), 0);
    shard_flush(p->sh);
    while (peer_recv(p))
        cr_assert_eq(ip_ecn(p), 0, "nor what has no data (section 6.1.4)");
}

Test(tcp_ecn, without_agreement_nothing_is_marked)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    peer_app_send(p, 100, false);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 100);
    cr_assert_eq(ip_ecn(p), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 101, .len = 100, .tos = 3});
    peer_wait_ms(p, 100);
    peer_expect(p, TCP_ACK, 101, 101, 0);
}

Test(tcp_ecn, tos_is_kept)
{
    struct peer *p = server();

    p->t->pcb.tos = 0x20;
    tcp_marks_changed(p->t);
    peer_app_send(p, 100, false);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.ip->tos, 0x22);
}

/* --- CE comes --- */

Test(tcp_ecn, ce_is_echoed_until_cwr)
{
    struct peer *p = server();
    struct tcp_info info;

    tcp_get_info(p->sh, p->t, &info);
    cr_assert_eq(info.tcpi_options & (TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN), TCPI_OPT_ECN);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 100, .tos = 3});
    peer_expect(p, TCP_ACK | E, 1, 101, 0);
    tcp_get_info(p->sh, p->t, &info);
    cr_assert(info.tcpi_options & TCPI_OPT_ECN_SEEN);
    /* Not marked, and still: each ACK until CWR (section 6.1.3). */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 100, .tos = 2});
    peer_expect(p, TCP_ACK | E, 1, 201, 0);
    cr_assert_eq(peer_app_send(p, 10, false), 10);
    peer_expect(p, TCP_ACK | TCP_PSH | E, 1, 201, 10);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | C, .seq = 201, .ack = 11, .len = 100, .tos = 2});
    peer_expect(p, TCP_ACK, 11, 301, 0);
    /* CWR and a new mark in one segment: reduced for the old one, told of the new. */
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | C, .seq = 301, .ack = 11, .len = 100, .tos = 3});
    peer_expect(p, TCP_ACK | E, 11, 401, 0);
    cr_assert_eq(p->sh->count[COUNT_IP_IN_CE], 2);
    cr_assert_eq(p->sh->count[COUNT_IP_IN_ECT0], 2);
}

Test(tcp_ecn, ce_beyond_a_gap)
{
    struct peer *p = server();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 100, .tos = 3});
    peer_expect(p, TCP_ACK | E, 1, 1, 0);
}

Test(tcp_ecn, ce_without_data_is_nothing)
{
    struct peer *p = server();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .tos = 3});
    cr_assert_eq(p->t->ecn, 0);
    peer_expect_none(p);
}

/* --- ECE comes --- */

Test(tcp_ecn, ece_reduces_once_a_round_trip)
{
    struct peer *p = server();
    struct tcp_info info;
    uint32_t seen_cwr = 0;

    cr_assert_eq(peer_app_send(p, 20000, false), 20000); /* 10 leave */
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | E, .seq = 1, .ack = 1001});
    cr_assert_eq(p->t->ca_state, CA_CWR);
    cr_assert_eq(p->t->ssthresh, 7000);
    tcp_get_info(p->sh, p->t, &info);
    cr_assert_eq(info.tcpi_delivered_ce, 1);
    for (uint32_t i = 2; i <= 9; i++) {
        peer_send(p, (struct peer_seg){.flags = TCP_ACK | E, .seq = 1, .ack = i * 1000 + 1});
        while (peer_recv(p)) {
            cr_assert(p->seen.data_len > 0);
            cr_assert_eq(ip_ecn(p), 2);
            seen_cwr += (p->seen.tcp.flags & C) != 0;
        }
    }
    cr_assert_eq(seen_cwr, 1, "CWR in the first new data, and there alone");
    cr_assert_eq(p->t->ssthresh, 7000, "once a round trip");
    cr_assert_eq(p->t->ca_state, CA_CWR);
    cr_assert_eq(p->sh->count[COUNT_TCP_RETRANS], 0);
}

Test(tcp_ecn, ece_without_agreement_is_nothing)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});

    peer_open_passive(p, NULL);
    peer_app_send(p, 5000, false);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | E, .seq = 1, .ack = 537});
    cr_assert_eq(p->t->ca_state, CA_OPEN);
}

Test(tcp_ecn, loss_is_told_by_cwr_too)
{
    struct peer *p = server();
    struct tcp_opts sack = {.fastopen_len = -1, .nsack = 1};
    bool cwr = false;

    peer_app_send(p, 30000, false);
    peer_clear(p);
    for (uint32_t i = 2; i <= 8; i++) {
        sack.sack[0] = (struct tcp_sack_block){p->irs + 1001, p->irs + i * 1000 + 1};
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &sack});
        while (peer_recv(p)) {
            cr_assert(seen_seq(p) != 1 || !(p->seen.tcp.flags & C), "not in the retransmission");
            cr_assert_eq(ip_ecn(p), seen_seq(p) == 1 ? 0 : 2);
            cwr |= p->seen.tcp.flags & C;
        }
    }
    cr_assert(cwr);
}

/* --- DCTCP (RFC 8257) --- */

static void dctcp(struct tunables *set)
{
    set->tcp_congestion_control = 3;
}

Test(tcp_ecn, dctcp_offers_and_marks_all)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = dctcp});
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &remote), -EINPROGRESS);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | E | C);
    cr_assert_eq(ip_ecn(p), 2, "as Linux: the path is known to be capable");
}

/* Section 3.2: ECE in ACKs says what the data acknowledged had; a change sends what is owed at once. */
Test(tcp_ecn, dctcp_receiver)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511, .tune = dctcp});

    peer_listen(p, 8);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | E | C, .tos = 2, .opts = &peer_no_opts});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK | E, "its SYN may be ECT");
    p->irs = p->seen.tcp.seq;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
    p->t = tcp_accept(p->sh, p->listener);
    p->t->quick = 0;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 100, .tos = 2});
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 100, .tos = 3});
    peer_expect(p, TCP_ACK, 1, 101, 0);
    peer_expect(p, TCP_ACK | E, 1, 201, 0);
    p->t->quick = 0;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 201, .ack = 1, .len = 100, .tos = 3});
    peer_expect_none(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 301, .ack = 1, .len = 100, .tos = 2});
    peer_expect(p, TCP_ACK | E, 1, 301, 0);
    peer_expect(p, TCP_ACK, 1, 401, 0);
    cr_assert_eq(ip_ecn(p), 2);
    /* Two changes in a burst. */
    peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = 401, .ack = 1, .len = 100, .tos = 3});
    peer_queue(p, (struct peer_seg){.flags = TCP_ACK, .seq = 501, .ack = 1, .len = 100, .tos = 2});
    peer_poll(p);
    peer_expect(p, TCP_ACK | E, 1, 501, 0);
    peer_expect(p, TCP_ACK, 1, 601, 0);
}
