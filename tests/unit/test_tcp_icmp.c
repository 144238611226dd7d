/* test_tcp_icmp.c: ICMP errors: hard while opening, soft after; only about what is in flight; the path MTU
 * (RFC 1191). */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include "tcp_peer.h"

/* An error about the stack's segment with relative number seq. */
static void error(struct peer *p, uint8_t code, uint32_t rest, uint32_t seq)
{
    uint8_t quoted[28 + 40], frame[14 + 60 + 40], tcp[20];
    struct tcp_hdr_in h = {.seq = p->irs + seq, .flags = TCP_ACK, .hlen = 20};
    struct env_ip ip = {.src = ENV_IP, .dst = ENV_PEER_IP, .proto = 6};
    size_t len;

    h.sport_be = htons(p->own_port);
    h.dport_be = htons(p->port);
    wire_tcp_emit(tcp, &h);
    len = env_ip4_bytes(frame, &ip, tcp, sizeof tcp) - 14;
    memcpy(quoted, frame + 14, len);
    env_inject(p->e, env_icmp(p->e, ENV_PEER_IP, ENV_IP, ICMP_DEST_UNREACH, code, rest, quoted, len));
    peer_poll(p);
}

Test(tcp_icmp, unreachable_ends_an_open)
{
    struct peer *p = peer_new(NULL);
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    p->t = tcp_open(p->sh, 0);
    tcp_connect(p->sh, p->t, &remote);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    p->own_port = ntohs(p->seen.tcp.sport_be);
    error(p, ICMP_PORT_UNREACH, 0, 5000);
    cr_assert_eq(tcp_state(p->t), TCPS_SYN_SENT, "not about our SYN");
    error(p, ICMP_PORT_UNREACH, 0, 0);
    cr_assert_eq(tcp_state(p->t), TCPS_CLOSE);
    cr_assert_eq(p->t->pcb.so_error, ECONNREFUSED);
}

Test(tcp_icmp, unreachable_is_soft_once_established)
{
    struct peer *p = peer_new(NULL);

    p->e->st->set.tcp_retries2 = 2;
    peer_open_passive(p, NULL);
    peer_app_send(p, 100, false);
    error(p, ICMP_HOST_UNREACH, 0, 1);
    cr_assert_eq(tcp_state(p->t), TCPS_ESTABLISHED);
    cr_assert_eq(p->t->pcb.soft_error, EHOSTUNREACH);
    peer_wait_ms(p, 5000);
    cr_assert_eq(p->t->pcb.so_error, EHOSTUNREACH, "told in place of ETIMEDOUT");
}

Test(tcp_icmp, smaller_path_mtu_resends_in_smaller_segments)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});
    struct flow other;
    uint32_t cwnd;

    peer_open_passive(p, NULL);
    peer_app_send(p, 2920, false);
    peer_clear(p);
    cwnd = p->t->cwnd;
    error(p, ICMP_FRAG_NEEDED, 1000, 1);
    cr_assert_eq(p->t->mss, 960);
    peer_expect(p, TCP_ACK, 1, 1, 960);
    peer_expect(p, TCP_ACK, 961, 1, 500);
    peer_expect(p, TCP_ACK, 1461, 1, 960);
    peer_expect(p, TCP_ACK | TCP_PSH, 2421, 1, 500);
    peer_expect_none(p);
    cr_assert_eq(p->t->cwnd, cwnd, "no sign of congestion");
    other = (struct flow){.dst = p->t->pcb.remote.addr, .proto = IPPROTO_UDP};
    cr_assert_eq(flow_resolve(p->sh, &other), 0);
    cr_assert_eq(other.mtu, 1000, "other flows to there know it too");
}

Test(tcp_icmp, path_mtu_has_a_floor)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});

    peer_open_passive(p, NULL);
    peer_app_send(p, 1000, false);
    error(p, ICMP_FRAG_NEEDED, 68, 1);
    cr_assert_geq(p->t->mss, 512);
    error(p, ICMP_FRAG_NEEDED, 1400, 1); /* larger than known: nothing */
    cr_assert_leq(p->t->mss, 536);
}

/* RFC 6069: while the way is broken, silence is not congestion. */
Test(tcp_icmp, unreachable_takes_a_back_off_back)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    peer_app_send(p, 100, false);
    peer_wait_ms(p, 2000);
    cr_assert_eq(p->t->backoff, 3);
    error(p, ICMP_HOST_UNREACH, 0, 50);
    cr_assert_eq(p->t->backoff, 3, "not about the head");
    error(p, ICMP_HOST_UNREACH, 0, 1);
    cr_assert_eq(p->t->backoff, 2);
    peer_clear(p);
    peer_wait_ms(p, 300);
    cr_assert_eq(peer_count(p), 1, "due by the shorter timeout");
}
