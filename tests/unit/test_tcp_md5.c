/* test_tcp_md5.c: the MD5 signature option (RFC 2385). The digests are made here once more, from a whole
 * packet's bytes in one buffer. */
#include <criterion/criterion.h>
#include <errno.h>
#include <md5.h>
#include <sys/socket.h>

#include "../../stack/tcp_ext.h"
#include "../../stack/tcp_md5.h"
#include "../../stack/tcp_tw.h"
#include "tcp_env.h"
#include "tcp_peer.h"

static void set_key(struct shard *sh, struct tcb *t, uint32_t addr, int prefix, const char *key, int want)
{
    struct tcp_md5sig m = {.tcpm_keylen = (uint16_t)strlen(key)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = addr};

    memcpy(&m.tcpm_addr, &in, sizeof in);
    memcpy(m.tcpm_key, key, strlen(key));
    if (prefix >= 0) {
        m.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
        m.tcpm_prefixlen = (uint8_t)prefix;
    }
    cr_assert_eq(tcp_setopt(sh, t, IPPROTO_TCP, prefix >= 0 ? TCP_MD5SIG_EXT : TCP_MD5SIG, &m, sizeof m),
                 want);
}

/* RFC 2385 section 2.0, in the plainest way. */
static void reference(uint32_t src, uint32_t dst, const uint8_t *seg, uint32_t len, const char *key,
                      uint8_t out[16])
{
    uint8_t b[4096];
    uint32_t n = 0, hlen = (uint32_t)(seg[12] >> 4) * 4;
    MD5_CTX c;

    memcpy(b, &src, 4);
    memcpy(b + 4, &dst, 4);
    b[8] = 0;
    b[9] = 6;
    b[10] = (uint8_t)(len >> 8);
    b[11] = (uint8_t)len;
    memcpy(b + 12, seg, 20);
    b[12 + 16] = b[12 + 17] = 0;
    n = 32;
    memcpy(b + n, seg + hlen, len - hlen);
    n += len - hlen;
    memcpy(b + n, key, strlen(key));
    n += (uint32_t)strlen(key);
    MD5Init(&c);
    MD5Update(&c, b, n);
    MD5Final(out, &c);
}

/* A signed segment from the peer. */
static void send_signed(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len,
                        const char *key, bool spoil)
{
    static const uint8_t blank[16];
    struct tcp_opts o = {.md5 = blank, .mss = flags & TCP_SYN ? 1460 : 0, .fastopen_len = -1};
    struct tcp_hdr_in h = {.flags = flags, .seq = p->iss + seq, .ack = p->irs + ack, .window = 60000};
    uint8_t data[1000], *tcp;
    struct rte_mbuf *m;

    memset(data, 'x', sizeof data);
    m = env_tcp(p->e, ENV_PEER_IP, p->port, ENV_IP, p->own_port, &h, &o, data, len);
    tcp = rte_pktmbuf_mtod_offset(m, uint8_t *, 34);
    reference(ENV_PEER_IP, ENV_IP, tcp, m->pkt_len - 34, key, tcp + 24);
    tcp[24] ^= spoil;
    m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    env_inject(p->e, m);
    env_poll(p->e);
}

static void expect_signed(struct peer *p, uint8_t flags, const char *key)
{
    uint8_t want[16];

    cr_assert(peer_recv(p), "no answer");
    cr_assert_eq(p->seen.tcp.flags & ~TCP_PSH, flags, "flags %#x", p->seen.tcp.flags);
    cr_assert_not_null(p->seen.opts.md5);
    reference(ENV_IP, ENV_PEER_IP, p->seen.l4, p->seen.tcp.hlen + p->seen.data_len, key, want);
    cr_assert_eq(memcmp(want, p->seen.opts.md5, 16), 0, "another digest");
}

static struct peer *listening(const char *key)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});

    peer_listen(p, 5);
    set_key(p->sh, p->listener, ENV_PEER_IP, -1, key, 0);
    return p;
}

static struct peer *opened(void)
{
    struct peer *p = listening("secret");

    send_signed(p, TCP_SYN, 0, 0, 0, "secret", false);
    expect_signed(p, TCP_SYN | TCP_ACK, "secret");
    p->irs = p->seen.tcp.seq;
    send_signed(p, TCP_ACK, 1, 1, 0, "secret", false);
    p->t = tcp_accept(p->sh, p->listener);
    cr_assert_not_null(p->t);
    cr_assert(p->t->flags & TF_MD5);
    return p;
}

Test(tcp_md5, data_both_ways)
{
    struct peer *p = opened();

    send_signed(p, TCP_ACK, 1, 1, 100, "secret", false);
    cr_assert_eq(tcp_recv_avail(p->t), 100);
    expect_signed(p, TCP_ACK, "secret");
    peer_app_send(p, 3000, false);
    shard_flush(p->sh);
    for (int i = 0; i < 3; i++) {
        expect_signed(p, TCP_ACK, "secret");
        cr_assert_leq(p->seen.tcp.hlen + p->seen.data_len, 1480, "there was room for the signature");
    }
    tcp_abort(p->sh, p->t);
    shard_flush(p->sh);
    expect_signed(p, TCP_RST | TCP_ACK, "secret");
}

Test(tcp_md5, unsigned_wrong_and_unexpected_are_dropped)
{
    struct peer *p = opened();

    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10, .opts = &peer_no_opts});
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 1, .opts = &peer_no_opts});
    cr_assert_eq(p->sh->count[COUNT_TCP_MD5_NOT_FOUND], 2);
    send_signed(p, TCP_ACK, 1, 1, 10, "secret", true);
    send_signed(p, TCP_RST, 1, 1, 0, "another", false);
    cr_assert_eq(p->sh->count[COUNT_TCP_MD5_FAILURE], 2);
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    cr_assert_eq(tcp_recv_avail(p->t), 0);
    peer_expect_none(p);
    set_key(p->sh, p->t, ENV_PEER_IP, -1, "", 0);
    send_signed(p, TCP_ACK, 1, 1, 10, "secret", false);
    cr_assert_eq(p->sh->count[COUNT_TCP_MD5_UNEXPECTED], 1);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10, .opts = &peer_no_opts});
    cr_assert_eq(tcp_recv_avail(p->t), 10);
}

Test(tcp_md5, listener_wants_signed_syns)
{
    struct peer *p = listening("secret");

    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    send_signed(p, TCP_SYN, 0, 0, 0, "guess", false);
    peer_expect_none(p);
    cr_assert_eq(p->listener->synq_len, 0);
    tcp_shutdown(p->sh, p->listener, SHUT_RD);
    cr_assert_eq(tcp_listen(p->sh, p->listener, 5), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    peer_expect_none(p);
}

/* A segment for a connection that is not there: reset with a signature, if its own is good. */
Test(tcp_md5, reset_of_the_unknown)
{
    struct peer *p = listening("secret");

    send_signed(p, TCP_ACK, 5, 7, 0, "wrong", false);
    peer_expect_none(p);
    send_signed(p, TCP_ACK, 5, 7, 0, "secret", false);
    expect_signed(p, TCP_RST, "secret");
}

Test(tcp_md5, time_wait_signs)
{
    struct peer *p = opened();

    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    peer_clear(p);
    send_signed(p, TCP_FIN | TCP_ACK, 1, 2, 0, "secret", false);
    expect_signed(p, TCP_ACK, "secret");
    cr_assert_eq(tcp_timewaits(p->sh), 1);
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 2, .opts = &peer_no_opts});
    cr_assert_eq(tcp_timewaits(p->sh), 1, "an unsigned RST");
    send_signed(p, TCP_FIN | TCP_ACK, 1, 2, 0, "secret", false);
    expect_signed(p, TCP_ACK, "secret");
    tcp_close(p->sh, p->listener);
    tcp_drop_timewaits(p->sh);
    cr_assert_eq(p->sh->tcp->md5.in_use, 0);
}

Test(tcp_md5, longest_prefix)
{
    struct peer *p = listening("host");
    struct ipaddr a;

    set_key(p->sh, p->listener, IP4(198, 18, 0, 0), 16, "net", 0);
    set_key(p->sh, p->listener, 0, 0, "world", 0);
    set_key(p->sh, p->listener, IP4(198, 18, 0, 0), 33, "bad", -EINVAL);
    set_key(p->sh, p->listener, IP4(1, 2, 3, 4), -1, "", -ENOENT);
    a = ipaddr_v4(ENV_PEER_IP);
    cr_assert_eq(memcmp(tcp_md5_find(p->listener, &a)->key, "host", 5), 0);
    a = ipaddr_v4(IP4(198, 18, 9, 9));
    cr_assert_eq(memcmp(tcp_md5_find(p->listener, &a)->key, "net", 4), 0);
    a = ipaddr_v4(IP4(9, 9, 9, 9));
    cr_assert_eq(memcmp(tcp_md5_find(p->listener, &a)->key, "world", 6), 0);
    a = (struct ipaddr){.b = {0x20, 1}};
    cr_assert_null(tcp_md5_find(p->listener, &a), "IPv4's default is not IPv6's");
}

/* Two of our stacks, over a lossy wire. */
Test(tcp_md5, transfer)
{
    struct tcp_pair *p =
        tcp_pair_new(&(struct pair_config){.seed = 7, .faults = {.loss = 30, .delay_us = 500}});
    struct tcb *l = tcp_open(tcp_pair_enter(p, 0), 0), *c, *s;
    struct transfer x = {.bytes = 200000};
    struct endpoint any = {IPADDR_ANY, htons(80)}, to = {ipaddr_v4(p->side[0].ip_be), htons(80)};

    l->pcb.local = any;
    l->pcb.flags |= PCB_BOUND;
    set_key(p->side[0].sh, l, p->side[1].ip_be, -1, "k", 0);
    cr_assert_eq(tcp_listen(p->side[0].sh, l, 5), 0);
    c = tcp_open(tcp_pair_enter(p, 1), 0);
    set_key(p->side[1].sh, c, p->side[0].ip_be, -1, "k", 0);
    cr_assert_eq(tcp_connect(p->side[1].sh, c, &to), -EINPROGRESS);
    tcp_pair_flush(p, 1);
    tcp_pair_run_ms(p, 5000);
    s = tcp_accept(tcp_pair_enter(p, 0), l);
    cr_assert_not_null(s);
    for (int i = 0; i < 2000 && x.rcvd < x.bytes; i++) {
        transfer_send(p, 1, c, &x, false);
        tcp_pair_run_ms(p, 20);
        transfer_recv(p, 0, s, &x);
    }
    cr_assert_eq(x.rcvd, x.bytes);
    cr_assert_eq(x.bad, 0);
    cr_assert_eq(p->side[0].sh->count[COUNT_TCP_MD5_FAILURE], 0);
}
