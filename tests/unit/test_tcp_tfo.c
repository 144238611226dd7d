/* test_tcp_tfo.c: Fast Open, both sides (RFC 7413). */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "../../stack/tcp_tfo.h"
#include "../../stack/tcp_table.h"
#include "tcp_peer.h"

static void all_on(struct tunables *set)
{
    int64_t min, max;

    set->tcp_fastopen = TFO_CLIENT | TFO_SERVER;
    cr_assert_eq(tunables_set(set, "tcp_fastopen_key", "00112233-44556677-8899aabb-ccddeeff", &min, &max), 0);
}

static struct peer *server(int qlen)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tune = all_on});

    peer_listen(p, 10);
    p->t = p->listener;
    peer_set(p, IPPROTO_TCP, TCP_FASTOPEN, qlen);
    return p;
}

static uint8_t cookie[16];
static int cookie_len;

/* A SYN with option and data; the answer is in p->seen. */
static void fast_syn(struct peer *p, int clen, uint32_t len)
{
    struct tcp_opts o = {.mss = 1460, .fastopen_len = (int8_t)clen, .fastopen = cookie};

    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .len = len, .opts = &o});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
    p->irs = p->seen.tcp.seq;
}

static void get_cookie(struct peer *p)
{
    p->port = 999;
    fast_syn(p, 0, 0);
    cr_assert_eq(p->seen.opts.fastopen_len, 8);
    cookie_len = 8;
    memcpy(cookie, p->seen.opts.fastopen, 8);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1});
    p->port = 1000;
}

Test(tcp_tfo, server_gives_a_cookie)
{
    struct peer *p = server(5);

    get_cookie(p);
    cr_assert_eq(p->sh->count[COUNT_TFO_COOKIE_REQ], 1);
    cr_assert_eq(p->listener->acc_len, 0);
}

Test(tcp_tfo, server_takes_data_with_the_syn)
{
    struct peer *p = server(5);
    char buf[100];

    get_cookie(p);
    fast_syn(p, 8, 50);
    cr_assert_eq(seen_ack(p), 51, "SYN and text");
    cr_assert_eq(p->seen.opts.fastopen_len, -1);
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t, "before the handshake ended");
    cr_assert_eq(p->t->state, TCPS_SYN_RECEIVED);
    cr_assert(tcp_poll(p->t) & POLLIN);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 50);
    cr_assert_eq(peer_app_send(p, 200, false), 200);
    shard_flush(p->sh);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 51, 200);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 51, .ack = 201});
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    cr_assert_eq(p->t->snd_una, p->t->snd_nxt);
    cr_assert_eq(p->listener->ext->tfo.len, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 51, .ack = 201, .len = 10});
    cr_assert_eq(peer_app_recv(p, buf, sizeof buf), 10);
    peer_clear(p);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_expect(p, TCP_FIN | TCP_ACK, 201, 61, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_FIN | TCP_ACK, .seq = 61, .ack = 202});
    cr_assert_eq(env_leaks(p->e), 0);
}

Test(tcp_tfo, server_syn_ack_is_repeated_and_given_up)
{
    struct peer *p = server(5);

    get_cookie(p);
    fast_syn(p, 8, 50);
    for (int i = 0; i < 5; i++) {
        peer_wait_ms(p, (1000u << i) + 2);
        peer_expect(p, TCP_SYN | TCP_ACK, 0, 51, 0);
    }
    peer_wait_ms(p, 200000);
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_eq(p->t->state, TCPS_CLOSE);
    cr_assert_eq(p->listener->ext->tfo.len, 0);
    tcp_close(p->sh, p->t);
}

Test(tcp_tfo, server_refuses_a_forged_cookie)
{
    struct peer *p = server(5);

    get_cookie(p);
    cookie[3] ^= 1;
    fast_syn(p, 8, 50);
    cr_assert_eq(seen_ack(p), 1, "the SYN alone");
    cr_assert_eq(p->seen.opts.fastopen_len, 8, "and the right one is given");
    cr_assert_eq(p->listener->acc_len, 0);
    cr_assert_eq(p->sh->count[COUNT_TFO_PASSIVE_FAIL], 1);
}

/* At most so many whose handshake is not through; those reset count for a minute (section 5.1). */
Test(tcp_tfo, server_queue_is_bounded)
{
    struct peer *p = server(2);

    get_cookie(p);
    fast_syn(p, 8, 1);
    p->port++;
    fast_syn(p, 8, 1);
    cr_assert_eq(seen_ack(p), 2);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 2});
    p->port++;
    fast_syn(p, 8, 1);
    cr_assert_eq(seen_ack(p), 1, "full");
    cr_assert_eq(p->sh->count[COUNT_TFO_OVERFLOW], 1);
    peer_wait_ms(p, TFO_RST_HOLD_MS);
    peer_clear(p);
    p->port++;
    fast_syn(p, 8, 1);
    cr_assert_eq(seen_ack(p), 2, "room again");
}

Test(tcp_tfo, server_old_key_is_good_and_replaced)
{
    struct peer *p = server(5);
    uint8_t keys[32];
    uint32_t len = sizeof keys;

    get_cookie(p);
    cr_assert_eq(tcp_getopt(p->sh, p->listener, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, &len), 0);
    cr_assert_eq(len, 16);
    memcpy(keys + 16, keys, 16);
    memset(keys, 7, 16);
    cr_assert_eq(tcp_setopt(p->sh, p->listener, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, 32), 0);
    fast_syn(p, 8, 5);
    cr_assert_eq(seen_ack(p), 6);
    cr_assert_eq(p->seen.opts.fastopen_len, 8, "the new key's");
    cr_assert_neq(memcmp(cookie, p->seen.opts.fastopen, 8), 0);
    cr_assert_eq(p->sh->count[COUNT_TFO_ALT_KEY], 1);
    cr_assert_eq(tcp_setopt(p->sh, p->listener, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, 15), -EINVAL);
}

/* --- client --- */

static const struct endpoint to = {{.w = {0, 0, 0xffff0000, ENV_PEER_IP}}, 0x5000};
static char text[3000];

static void client_open(struct peer *p, const struct tcp_opts *o, uint32_t data, uint32_t acked)
{
    struct iovec iov = {text, data};
    ssize_t n;

    p->t = tcp_open(p->sh, 0);
    n = tcp_tfo_connect(p->sh, p->t, &to, &iov, 1);
    shard_flush(p->sh);
    cr_assert(n > 0 || n == -EINPROGRESS);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags & TCP_SYN, TCP_SYN);
    p->irs = p->seen.tcp.seq;
    p->own_port = ntohs(p->seen.tcp.sport_be);
    p->port = ntohs(to.port_be);
    if (o)
        peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = acked + 1, .opts = o});
}

static const uint8_t good[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const struct tcp_opts gives = {.mss = 1000, .fastopen_len = 8, .fastopen = good};

static struct peer *client(void)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047, .tune = all_on});

    client_open(p, &gives, 100, 0);
    cr_assert_eq(p->seen.opts.fastopen_len, 0, "asks for a cookie");
    cr_assert_eq(p->seen.data_len, 0);
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    tcp_abort(p->sh, p->t);
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_clear(p);
    return p;
}

Test(tcp_tfo, client_sends_data_with_its_cookie)
{
    struct peer *p = client();
    struct tcp_info i;

    client_open(p, NULL, 3000, 0);
    cr_assert_eq(p->seen.opts.fastopen_len, 8);
    cr_assert_eq(memcmp(p->seen.opts.fastopen, good, 8), 0);
    cr_assert_eq(p->seen.data_len, 960, "the MSS remembered, less room for options");
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 961, .opts = &gives});
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    peer_expect(p, TCP_ACK, 961, 1, 0);
    tcp_get_info(p->sh, p->t, &i);
    cr_assert(i.tcpi_options & TCPI_OPT_SYN_DATA);
    cr_assert_eq(p->t->snd_una, p->t->snd_nxt);
    cr_assert_null(p->t->tx->snd_head);
    cr_assert_eq(p->sh->count[COUNT_TFO_ACTIVE], 1);
}

Test(tcp_tfo, client_sends_again_what_was_not_taken)
{
    struct peer *p = client();

    client_open(p, &gives, 500, 0);
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 500);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 501});
    cr_assert_null(p->t->tx->snd_head);
    cr_assert_eq(p->t->tx->lost, 0);
    cr_assert_eq(p->t->ext->tfo.fail, TFO_FAIL_DATA_NOT_ACKED);
    cr_assert_eq(p->sh->count[COUNT_TFO_ACTIVE_FAIL], 1);
}

Test(tcp_tfo, client_part_of_the_data_was_taken)
{
    struct peer *p = client();

    client_open(p, &gives, 500, 200);
    peer_expect(p, TCP_ACK | TCP_PSH, 201, 1, 300);
}

/* Section 4.2.1: again without data and option. */
Test(tcp_tfo, client_syn_again_is_a_plain_one)
{
    struct peer *p = client();

    client_open(p, NULL, 500, 0);
    peer_wait_ms(p, 1002);
    peer_expect(p, TCP_SYN, 0, -p->iss, 0);
    cr_assert_eq(p->seen.opts.fastopen_len, -1);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1});
    peer_expect(p, TCP_ACK | TCP_PSH, 1, 1, 500);
    cr_assert_eq(p->t->ext->tfo.fail, TFO_FAIL_SYN_RETRANS);
}

Test(tcp_tfo, client_connect_waits_for_data)
{
    struct peer *p = client();
    struct iovec iov = {text, 100};

    p->t = tcp_open(p->sh, 0);
    peer_set(p, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    cr_assert_eq(tcp_connect(p->sh, p->t, &to), 0);
    shard_flush(p->sh);
    peer_expect_none(p);
    cr_assert(tcp_poll(p->t) & POLLOUT);
    cr_assert_eq(tcp_send(p->sh, p->t, &iov, 1, 0, false), 100);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.data_len, 100);
    cr_assert_eq(p->seen.tcp.flags & TCP_SYN, TCP_SYN);
}

Test(tcp_tfo, client_black_hole)
{
    struct peer *p = client();

    p->sh->st->set.tcp_fastopen_blackhole_timeout = 100;
    client_open(p, NULL, 500, 0);
    peer_wait_ms(p, 10000);
    cr_assert_eq(p->sh->count[COUNT_TFO_BLACKHOLE], 1);
    tcp_close(p->sh, p->t);
    peer_clear(p);
    client_open(p, NULL, 500, 0);
    cr_assert_eq(p->seen.data_len, 0);
    cr_assert_eq(p->seen.opts.fastopen_len, -1);
    tcp_close(p->sh, p->t);
    peer_wait_ms(p, 100000);
    peer_clear(p);
    client_open(p, NULL, 500, 0);
    cr_assert_eq(p->seen.data_len, 500);
}

/* Which destinations are remembered is bounded; the latest are. */
Test(tcp_tfo, cache_is_bounded)
{
    struct peer *p = client();

    for (int i = 0; i < 2000; i++) {
        struct tcb *t = tcp_open(p->sh, 0);
        struct tcp_seg s = {.o = gives};

        tcp_ext_get(p->sh, t);
        t->pcb.remote.addr = ipaddr_v4(htonl(0xcb007100u + (unsigned)i));
        t->ext->tfo.asked = 1;
        tcp_tfo_syn_acked(p->sh, t, &s);
        t->pcb.remote.port_be = 0;
        tcb_free(p->sh, t);
    }
    client_open(p, NULL, 500, 0);
    cr_assert_leq(p->seen.data_len, 500);
}
