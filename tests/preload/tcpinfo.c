/* tcpinfo.c: TCP_INFO: what does not depend on time or sizes as it is, the rest by how the two ends' views of
 * one connection fit together. */
#include "check.h"

/* The newest form (Linux 6.18); struct tcp_info of the headers in use may be shorter. */
struct info {
    uint8_t state, ca_state, retransmits, probes, backoff, options, wscale, limits;
    uint32_t rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt, rcv_space, total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time, tail[8];
};

static struct info of(int fd)
{
    struct info i = {0};
    socklen_t len = sizeof(i);

    NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) == 0);
    return i;
}

static void counts(const char *what, int fd)
{
    struct info i = of(fd);

    show(what, "state %u ca %u retransmits %u probes %u backoff %u options %#x", i.state, i.ca_state,
         i.retransmits, i.probes, i.backoff, i.options);
    show(what, "unacked %u sacked %u lost %u retrans %u fackets %u total_retrans %u reordering %u", i.unacked,
         i.sacked, i.lost, i.retrans, i.fackets, i.total_retrans, i.reordering);
    show(what, "bytes_acked %lu bytes_received %lu bytes_sent %lu bytes_retrans %lu notsent %u",
         i.bytes_acked, i.bytes_received, i.bytes_sent, i.bytes_retrans, i.notsent_bytes);
    show(what, "data_segs_out %u data_segs_in %u delivered %u delivered_ce %u dsack_dups %u ooopack %u",
         i.data_segs_out, i.data_segs_in, i.delivered, i.delivered_ce, i.dsack_dups, i.rcv_ooopack);
    show(what, "rto %u in all, %u series, %u ms", i.total_rto, i.total_rto_recoveries, i.total_rto_time);
}

/* Sends n bytes and waits until all of it was read and acknowledged. */
static void move(int from, int to, int n)
{
    static char b[1 << 20];

    NEED(send(from, b, (size_t)n, 0) == n);
    NEED(read_all(to, b, n) == n);
    NEED(settle_sent(from));
}

CHECK(fresh)
{
    int s = tcp4();
    struct info i = of(s);

    counts("fresh", s);
    V(i.rto);
    V(i.snd_mss);
    V(i.rttvar);
    V(i.rtt);
    V(i.snd_ssthresh);
    V(i.snd_cwnd);
    V(i.min_rtt);
    V(i.pacing_rate == UINT64_MAX);
    V(i.max_pacing_rate == UINT64_MAX);
    V(i.limits);
}

CHECK(lengths)
{
    static const socklen_t len[] = {0, 1, 4, 8, 100, 104, 192, 232, 248, 280};
    int s = tcp4();

    for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        unsigned char b[512];
        socklen_t n = len[i];

        memset(b, 0xa5, sizeof(b));
        R(getsockopt(s, IPPROTO_TCP, TCP_INFO, b, &n));
        V(n);
        V(b[len[i]] == 0xa5);
    }
}

CHECK(listener)
{
    struct sockaddr_in a;
    int l = bound4(SOCK_STREAM, &a), c[3];
    struct info i;

    R(listen(l, 5));
    for (int k = 0; k < 3; k++) {
        c[k] = tcp4();
        NEED(connect(c[k], SA(a)) == 0);
        i = of(l);
        show("queue and bound", "%u %u", i.unacked, i.sacked);
    }
    close(accept(l, NULL, NULL));
    i = of(l);
    show("queue and bound", "%u %u", i.unacked, i.sacked);
    V(i.state);
    V(i.reordering);
    V(i.segs_in);
}

CHECK(small_exchange)
{
    int sv[2];
    struct info a, b;

    tcp_pair(sv);
    counts("client at first", sv[0]);
    counts("server at first", sv[1]);
    move(sv[0], sv[1], 10);
    move(sv[0], sv[1], 20);
    move(sv[1], sv[0], 100);
    counts("client", sv[0]);
    counts("server", sv[1]);
    a = of(sv[0]);
    b = of(sv[1]);
    V(a.ato);
    V(a.wscale >> 4 == (b.wscale & 15) && (a.wscale & 15) == b.wscale >> 4);
    V(a.advmss);
    V(a.advmss == b.advmss);
    V(a.segs_out - b.segs_in);
    V(b.segs_out - a.segs_in);
    V(a.rto >= 200000);
    V(a.snd_wnd > 0 && b.rcv_wnd >= a.snd_wnd);
    V(a.snd_cwnd >= 10);
    V(a.last_data_sent < 1000 && a.last_data_recv < 1000 && a.last_ack_recv < 1000);
    V(a.pacing_rate > 0 && a.pacing_rate != UINT64_MAX);
    V(a.pmtu > a.advmss);
}

CHECK(large_exchange)
{
    int sv[2];
    struct info a, b;

    tcp_pair(sv);
    for (int i = 0; i < 20; i++)
        move(sv[0], sv[1], 30000);
    a = of(sv[0]);
    b = of(sv[1]);
    V(a.bytes_acked);
    V(a.bytes_sent);
    V(b.bytes_received);
    V(a.data_segs_out == b.data_segs_in);
    V(a.delivered - a.data_segs_out);
    V(a.unacked);
    V(a.busy_time >= a.rwnd_limited + a.sndbuf_limited);
    V(b.rcv_space > 0);
}

/* The reader does not read: the window closes. */
CHECK(limited_by_the_window)
{
    int sv[2], n = 4096;
    struct info i;

    tcp_pair(sv);
    NEED(setsockopt(sv[1], SOL_SOCKET, SO_RCVBUF, &n, sizeof(n)) == 0);
    NEED(fill(sv[0]) > 0);
    i = of(sv[0]);
    V(i.notsent_bytes > 0);
    nap(60);
    i = of(sv[0]);
    V(i.rwnd_limited >= 50000);
    V(i.busy_time >= i.rwnd_limited);
}

CHECK(closing)
{
    int sv[2];

    tcp_pair(sv);
    move(sv[0], sv[1], 10);
    R(shutdown(sv[0], SHUT_WR));
    NEED(settle(sv[1], POLLRDHUP));
    NEED(settle_sent(sv[0]));
    counts("closed its side", sv[0]);
    counts("heard of it", sv[1]);
    R(shutdown(sv[1], SHUT_WR));
    NEED(settle(sv[0], POLLHUP));
    counts("all over", sv[1]);
}
