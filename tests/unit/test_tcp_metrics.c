/* test_tcp_metrics.c: what a route says of its connections, seen in what they send. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/route.h"
#include "../../stack/tcp_cc.h"
#include "../../stack/tcp_ecn.h"
#include "../../stack/tcp_metrics.h"
#include "tcp_peer.h"

/* A host route to the peer that says `metric` of RTAX_*. */
static struct peer *with(unsigned which, uint32_t value)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 1023});
    struct route r = {.net = ipaddr_v4(ENV_PEER_IP), .plen = 128, .ifindex = ENV_IF, .proto = ROUTE_BY_USER};
    struct route_extra e = {0};

    e.metric[which] = value;
    if (which == RTAX_RTO_MIN)
        e.metric[RTAX_LOCK] = 1u << RTAX_RTO_MIN;
    cr_assert_eq(route_insert(p->e->st, &r, &e, true), 0);
    return p;
}

static void send_syn(struct peer *p)
{
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};

    p->t = tcp_open(p->sh, 0);
    tcp_connect(p->sh, p->t, &remote);
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
}

/* The SYN,ACK to a SYN without options. */
static void take_syn_ack(struct peer *p)
{
    peer_listen(p, 8);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &peer_no_opts});
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ACK);
}

Test(tcp_metrics, advmss_is_what_the_syn_says)
{
    struct peer *p = with(RTAX_ADVMSS, 1000);

    send_syn(p);
    cr_assert_eq(p->seen.opts.mss, 1000);
    p = with(RTAX_ADVMSS, 1000);
    take_syn_ack(p);
    cr_assert_eq(p->seen.opts.mss, 1000);
}

/* Numbers that leave no room for anything: 12, with time stamps, and 40 would be segments of nothing. */
Test(tcp_metrics, tiny_sizes)
{
    static const uint32_t n[] = {1, 12, 40, 48, 60};

    for (unsigned i = 0; i < sizeof n / sizeof n[0]; i++) {
        struct peer *p = with(RTAX_ADVMSS, n[i]);
        struct tcp_opts o = peer_no_opts;

        o.has_ts = 1;
        o.tsval = 1;
        peer_listen(p, 8);
        peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
        cr_assert(peer_recv(p));
        cr_assert_eq(p->seen.opts.mss, n[i] < 48 ? 48 : n[i]);
        p = with(RTAX_MTU, n[i]);
        p->t = tcp_open(p->sh, 0);
        cr_assert_eq(tcp_connect(p->sh, p->t, &(struct endpoint){ipaddr_v4(ENV_PEER_IP), htons(p->port)}),
                     -EINPROGRESS);
        cr_assert_eq(p->t->io->flow.mtu, 68);
        cr_assert_eq(p->t->rcv_wnd % 48, 0);
    }
}

Test(tcp_metrics, window_and_initrwnd_bound_the_first_window)
{
    struct peer *p = with(RTAX_WINDOW, 20000);

    send_syn(p);
    cr_assert_eq(p->seen.tcp.window, 20000 - 20000 % 1460);
    p = with(RTAX_INITRWND, 5);
    send_syn(p);
    cr_assert_eq(p->seen.tcp.window, 5 * 1460);
    p = with(RTAX_INITRWND, 5);
    take_syn_ack(p);
    cr_assert_eq(p->seen.tcp.window, 5 * 1460);
}

Test(tcp_metrics, hop_limit_where_the_socket_has_none)
{
    struct peer *p = with(RTAX_HOPLIMIT, 33);

    send_syn(p);
    cr_assert_eq(p->seen.ip->ttl, 33);
    p = with(RTAX_HOPLIMIT, 33);
    p->t = tcp_open(p->sh, 0);
    p->t->pcb.ttl = 9;
    tcp_connect(p->sh, p->t, &(struct endpoint){ipaddr_v4(ENV_PEER_IP), htons(p->port)});
    shard_flush(p->sh);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.ip->ttl, 9);
}

Test(tcp_metrics, ecn_is_asked_for)
{
    struct peer *p = with(RTAX_FEATURES, RTAX_FEATURE_ECN);

    send_syn(p);
    cr_assert_eq(p->seen.tcp.flags, TCP_SYN | TCP_ECE | TCP_CWR);
}

Test(tcp_metrics, initcwnd_is_what_leaves_at_first)
{
    struct peer *p = with(RTAX_INITCWND, 20);
    unsigned n = 0;

    peer_open_active(p, NULL);
    peer_app_send(p, 40 * 1460, false);
    while (peer_recv(p))
        n += p->seen.data_len / 1460;
    cr_assert_eq(n, 20);
}

Test(tcp_metrics, the_algorithm_for_both_ends)
{
    struct peer *p = with(RTAX_CC_ALGO, TCP_CC_RENO + 1);

    peer_open_active(p, NULL);
    cr_assert_eq(p->t->cc, TCP_CC_RENO);
    p = with(RTAX_CC_ALGO, TCP_CC_RENO + 1);
    peer_open_passive(p, NULL);
    cr_assert_eq(p->t->cc, TCP_CC_RENO);
    p = with(RTAX_CC_ALGO, TCP_CC_RENO + 1);
    p->sh->st->set.tcp_congestion_control = TCP_CC_DCTCP;
    peer_open_passive(p, NULL);
    cr_assert_eq(p->t->cc, TCP_CC_RENO);
    cr_assert_not(p->t->ecn & ECN_NEEDED, "the listener's algorithm needs it, the connection's doesn't");
}

Test(tcp_metrics, no_ack_waits_with_quickack)
{
    for (int on = 0; on <= 1; on++) {
        struct peer *p = with(RTAX_QUICKACK, (uint32_t)on);
        char c;

        peer_open_passive(p, NULL);
        p->t->quick = 0;
        peer_send(p, (struct peer_seg){.flags = TCP_ACK | TCP_PSH, .seq = 1, .ack = 1, .len = 1});
        cr_assert_eq(peer_recv(p), on);
        cr_assert_eq(peer_app_recv(p, &c, 1), 1);
    }
}

Test(tcp_metrics, least_rto)
{
    struct peer *p = with(RTAX_RTO_MIN, 5);

    peer_open_active(p, NULL);
    cr_assert_eq(p->t->ext->rto_min_us, 5000);
}

Test(tcp_metrics, other_routes_say_nothing)
{
    struct peer *p = with(RTAX_ADVMSS, 1000);
    struct flow fl = {.dst = ipaddr_v4(ENV_PEER_IP + htonl(1))};

    cr_assert_eq(flow_resolve(p->sh, &fl), 0);
    cr_assert_eq(tcp_metric(p->sh, &fl, RTAX_ADVMSS), 0);
    cr_assert_eq(p->e->st->routes->nextra, 1);
}
