/* test_tcp_opt.c: setsockopt and getsockopt as Linux has them: ranges, rounding, doubling, lengths, and
 * TCP_INFO's truth. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <sys/socket.h>

#include "tcp_peer.h"

static struct peer *p;

static void setup(void)
{
    p = peer_new(&(struct env_config){.npkts = 1023});
    p->t = tcp_open(p->sh, 0);
}

TestSuite(tcp_opt, .init = setup);

static int set(int level, int name, int v)
{
    return tcp_setopt(p->sh, p->t, level, name, &v, sizeof v);
}

static int get(int level, int name)
{
    uint32_t len = sizeof(int);
    int v = -77, r = tcp_getopt(p->sh, p->t, level, name, &v, &len);

    return r ? r : v;
}

struct range {
    int name, min, max, other; /* other: what it is at first */
};

Test(tcp_opt, ranges)
{
    static const struct range r[] = {
        {TCP_KEEPIDLE, 1, 32767, 7200}, {TCP_KEEPINTVL, 1, 32767, 75}, {TCP_KEEPCNT, 1, 127, 9},
        {TCP_SYNCNT, 1, 127, 6},        {TCP_MAXSEG, 88, 32767, 536},
    };

    for (unsigned i = 0; i < sizeof r / sizeof *r; i++) {
        cr_assert_eq(get(IPPROTO_TCP, r[i].name), r[i].other, "option %d", r[i].name);
        cr_assert_eq(set(IPPROTO_TCP, r[i].name, r[i].min - 1), -EINVAL, "option %d", r[i].name);
        cr_assert_eq(set(IPPROTO_TCP, r[i].name, r[i].max + 1), -EINVAL, "option %d", r[i].name);
        cr_assert_eq(set(IPPROTO_TCP, r[i].name, r[i].max), 0);
        cr_assert_eq(get(IPPROTO_TCP, r[i].name), r[i].max);
        cr_assert_eq(set(IPPROTO_TCP, r[i].name, r[i].min), 0);
        cr_assert_eq(get(IPPROTO_TCP, r[i].name), r[i].min);
    }
}

Test(tcp_opt, flags)
{
    static const int names[] = {TCP_NODELAY, TCP_CORK};

    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(get(IPPROTO_TCP, names[i]), 0);
        cr_assert_eq(set(IPPROTO_TCP, names[i], 7), 0);
        cr_assert_eq(get(IPPROTO_TCP, names[i]), 1);
        cr_assert_eq(set(IPPROTO_TCP, names[i], 0), 0);
        cr_assert_eq(get(IPPROTO_TCP, names[i]), 0);
    }
}

Test(tcp_opt, buffers_are_doubled_and_bounded)
{
    cr_assert_eq(get(SOL_SOCKET, SO_RCVBUF), 131072);
    cr_assert_eq(set(SOL_SOCKET, SO_RCVBUF, 10000), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_RCVBUF), 20000);
    cr_assert_eq(set(SOL_SOCKET, SO_RCVBUF, 1), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_RCVBUF), 2304);
    cr_assert_eq(set(SOL_SOCKET, SO_RCVBUF, 1 << 30), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_RCVBUF), 2 * 212992);
    cr_assert_eq(set(SOL_SOCKET, SO_SNDBUF, 10000), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_SNDBUF), 20000);
    cr_assert_eq(set(SOL_SOCKET, SO_SNDBUF, 0), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_SNDBUF), 4608);
    cr_assert_eq(set(SOL_SOCKET, SO_SNDBUF, -1), 0);
    cr_assert_eq(get(SOL_SOCKET, SO_SNDBUF), 2 * 212992);
}

Test(tcp_opt, linger)
{
    struct linger l = {1, 30};
    uint32_t len = sizeof l;

    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_LINGER, &l, 4), -EINVAL);
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    l = (struct linger){0, 0};
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_LINGER, &l, &len), 0);
    cr_assert_eq(len, sizeof l);
    cr_assert_eq(l.l_onoff, 1);
    cr_assert_eq(l.l_linger, 30);
}

Test(tcp_opt, congestion)
{
    char name[16] = "x";
    uint32_t len = sizeof name;

    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "cubic");
    cr_assert_eq(len, 16);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    len = 3;
    memset(name, 0, sizeof name);
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_eq(len, 3);
    cr_assert(memcmp(name, "ren", 3) == 0);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, "vegas", 5), -ENOENT);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, "", 0), -EINVAL);
}

Test(tcp_opt, lengths)
{
    int v = 0x01020304;
    uint32_t len = 2;

    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_NODELAY, &v, 3), -EINVAL);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 0x1234);
    v = -1;
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len), 0);
    cr_assert_eq(len, 2);
    cr_assert_eq(v, (int)0xffff1234, "only two bytes are written");
}

Test(tcp_opt, unknown)
{
    cr_assert_eq(set(IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(get(IPPROTO_TCP, TCP_REPAIR), -ENOPROTOOPT);
    cr_assert_eq(set(SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(set(IPPROTO_UDP, 1, 1), -ENOPROTOOPT);
}

Test(tcp_opt, info)
{
    struct tcp_info i;
    uint32_t len = sizeof i;

    peer_open_active(p, &(struct peer_opts){.ts = true, .sack = true, .wscale = true, .shift = 3});
    peer_app_send(p, 20000, false);
    peer_wait_ms(p, 30);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1449, .len = 100, .window = 5000});
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
    cr_assert_eq(len, sizeof i);
    cr_assert_eq(i.tcpi_state, TCPS_ESTABLISHED);
    cr_assert_eq(i.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    cr_assert_eq(i.tcpi_snd_wscale, 3);
    cr_assert_eq(i.tcpi_rcv_wscale, 7);
    cr_assert_eq(i.tcpi_snd_mss, 1448);
    cr_assert_eq(i.tcpi_advmss, 1460 - (i.tcpi_options & TCPI_OPT_TIMESTAMPS ? 12 : 0)); /* as Linux */
    cr_assert_eq(i.tcpi_pmtu, 1500);
    cr_assert_eq(i.tcpi_snd_wnd, 40000);
    cr_assert_eq(i.tcpi_bytes_acked, 1449); /* the SYN counts */
    cr_assert_eq(i.tcpi_bytes_received, 100);
    cr_assert_eq(i.tcpi_unacked * 1448, p->t->snd_nxt - p->t->snd_una);
    cr_assert_eq(i.tcpi_notsent_bytes, p->t->write_seq - p->t->snd_nxt);
    cr_assert_eq(i.tcpi_last_data_sent, 0);
    cr_assert_eq(i.tcpi_data_segs_in, 1);
    cr_assert_geq(i.tcpi_data_segs_out, 11);
    cr_assert_eq(i.tcpi_rto, p->t->rto_ms * 1000);
    cr_assert_gt(i.tcpi_rtt, 1000);
    cr_assert_eq(i.tcpi_snd_cwnd, 11);
}

Test(tcp_opt, info_of_a_listener_and_of_nothing)
{
    struct tcp_info i;

    tcp_get_info(p->sh, p->t, &i);
    cr_assert_eq(i.tcpi_state, TCPS_CLOSE);
    tcp_listen(p->sh, p->t, 17);
    tcp_get_info(p->sh, p->t, &i);
    cr_assert_eq(i.tcpi_state, TCPS_LISTEN);
    cr_assert_eq(i.tcpi_sacked, 17);
}

static const char *congestion_name(struct peer *p)
{
    static char name[16];
    uint32_t len = sizeof name;

    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    return name;
}

static int set_name(struct peer *p, const char *name)
{
    return tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_CONGESTION, name, (uint32_t)strlen(name));
}

/* Each algorithm takes over from each other one in the middle of a transfer. */
Test(tcp_opt, congestion_changes_in_midst)
{
    static const char *const names[] = {"cubic", "bbr", "reno", "dctcp", "bbr",
                                        "cubic", "bbr", "bbr",  "reno"};
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});
    uint32_t acked = 1;

    peer_open_passive(p, &(struct peer_opts){.mss = 1000});
    for (unsigned i = 0; i < RTE_DIM(names); i++) {
        cr_assert_eq(set_name(p, names[i]), 0);
        cr_assert_str_eq(congestion_name(p), strcmp(names[i], "dctcp") ? names[i] : "dctcp-reno",
                         "without ECN dctcp is Reno");
        peer_app_send(p, 5000, false);
        while (acked < p->t->write_seq - p->irs) {
            peer_wait_ms(p, 20);
            peer_clear(p);
            acked = p->t->snd_nxt - p->irs;
            peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = acked});
        }
        cr_assert_geq(p->t->cwnd, 4000);
    }
}

static void cubic_and_reno(struct tunables *set)
{
    int64_t min, max;

    cr_assert_eq(tunables_set(set, "tcp_allowed_congestion_control", "reno cubic", &min, &max), 0);
}

Test(tcp_opt, congestion_allowed)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 255, .tune = cubic_and_reno});

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(set_name(p, "reno"), 0);
    cr_assert_eq(set_name(p, "bbr"), -EPERM);
    cr_assert_eq(set_name(p, "dctcp-reno"), -ENOENT);
    cr_assert_str_eq(congestion_name(p), "reno");
}

Test(tcp_opt, cc_info)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});
    union tcp_cc_info info;
    uint32_t len = sizeof info;

    peer_open_passive(p, NULL);
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CC_INFO, &info, &len), 0);
    cr_assert_eq(len, 0, "cubic has nothing to tell");
    cr_assert_eq(set_name(p, "bbr"), 0);
    len = sizeof info;
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CC_INFO, &info, &len), 0);
    cr_assert_eq(len, sizeof info.bbr);
    cr_assert_eq(info.bbr.bbr_pacing_gain, 739, "2/ln 2 of 256, as Linux");
    p->t = tcp_open(p->sh, 0); /* nothing is there yet */
    cr_assert_eq(set_name(p, "bbr"), 0);
    len = sizeof info;
    cr_assert_eq(tcp_getopt(p->sh, p->t, IPPROTO_TCP, TCP_CC_INFO, &info, &len), 0);
    cr_assert_eq(len, 0);
    tcp_close(p->sh, p->t);
}

Test(tcp_opt, max_pacing_rate)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 255});
    uint64_t v64 = 0;
    uint32_t v32 = 0, len = 8;

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v64, &len), 0);
    cr_assert_eq(len, 8);
    cr_assert_eq(v64, UINT64_MAX);
    v64 = 10000000000ULL;
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v64, 8), 0);
    v64 = 0;
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v64, &len), 0);
    cr_assert_eq(v64, 10000000000ULL);
    len = 4;
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v32, &len), 0);
    cr_assert_eq(v32, UINT32_MAX, "what does not fit is the most that does");
    v32 = 5000;
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v32, 4), 0);
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v32, &len), 0);
    cr_assert_eq(v32, 5000);
    v32 = UINT32_MAX;
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v32, 4), 0);
    len = 8;
    cr_assert_eq(tcp_getopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v64, &len), 0);
    cr_assert_eq(v64, UINT64_MAX);
    cr_assert_eq(tcp_setopt(p->sh, p->t, SOL_SOCKET, SO_MAX_PACING_RATE, &v32, 2), -EINVAL);
}

/* Bounds of the retransmission timeout and of delayed ACKs, of the socket's own. */
Test(tcp_opt, own_timeouts)
{
    enum { RTO_MAX_MS = 44, RTO_MIN_US = 45, DELACK_MAX_US = 46 };
    uint64_t last = 0, longest = 0;

    peer_open_active(p, &(struct peer_opts){0});
    cr_assert_eq(set(IPPROTO_TCP, RTO_MAX_MS, 999), -EINVAL);
    cr_assert_eq(set(IPPROTO_TCP, RTO_MAX_MS, 1000), 0);
    cr_assert_eq(set(IPPROTO_TCP, RTO_MIN_US, 7999), -EINVAL);
    cr_assert_eq(set(IPPROTO_TCP, RTO_MIN_US, 50000), 0);
    cr_assert_eq(get(IPPROTO_TCP, RTO_MIN_US), 50000);
    cr_assert_eq(set(IPPROTO_TCP, DELACK_MAX_US, 10000), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10});
    peer_clear(p);
    peer_set(p, IPPROTO_TCP, TCP_QUICKACK, 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10});
    peer_expect_none(p);
    peer_wait_ms(p, 11);
    peer_expect(p, TCP_ACK, 1, 21, 0);
    peer_app_send(p, 10, false);
    peer_clear(p);
    for (int ms = 0; ms < 9000; ms++) {
        peer_wait_ms(p, 1);
        if (!peer_recv(p))
            continue;
        if (last && (uint64_t)ms - last > longest)
            longest = (uint64_t)ms - last;
        last = (uint64_t)ms;
        peer_clear(p);
    }
    cr_assert_leq(longest, 1001);
    cr_assert_geq(longest, 990);
}

Test(tcp_opt, thin_streams_do_not_back_off)
{
    unsigned n = 0;

    peer_open_active(p, &(struct peer_opts){0});
    cr_assert_eq(set(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 2), -EINVAL);
    cr_assert_eq(set(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1), 0);
    peer_app_send(p, 10, false);
    peer_clear(p);
    for (uint32_t left = 6 * p->t->rto_ms; left; left--) {
        peer_wait_ms(p, 1);
        n += peer_recv(p);
    }
    cr_assert_geq(n, 5); /* doubling would make it 3 */
}
