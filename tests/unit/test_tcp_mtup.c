/* test_tcp_mtup.c: the path's MTU found by trying (RFC 4821): probes up, a black hole, ageing. */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "../../stack/tcp_ext.h"
#include "../../stack/tcp_output.h"
#include "tcp_env.h"

static uint32_t path_mtu; /* what the wire passes, without a word about the rest */

static bool drop_large(struct tcp_pair *p, int from, struct rte_mbuf *m)
{
    (void)p;
    (void)from;
    return m->pkt_len > path_mtu + 14;
}

static void probing_always(struct tunables *set)
{
    set->tcp_mtu_probing = 2;
}

static void probing_after_black_hole(struct tunables *set)
{
    set->tcp_mtu_probing = 1;
}

/* bytes from side 0 to side 1; the MSS at the end. */
static uint32_t transfer(struct tcp_pair *p, uint64_t bytes, struct tcb **sender)
{
    struct transfer x = {.bytes = bytes};
    uint64_t end = p->now_ns + 200000000000ULL;
    struct tcb *t[2];

    tcp_pair_connect(p, 80, &t[0], &t[1]);
    while (x.rcvd < bytes && p->now_ns < end) {
        transfer_recv(p, 1, t[1], &x);
        transfer_send(p, 0, t[0], &x, false);
        tcp_pair_step(p, p->now_ns + 1000000);
    }
    cr_assert_eq(x.rcvd, bytes, "%lu of %lu", x.rcvd, bytes);
    cr_assert_eq(x.bad, 0);
    *sender = t[0];
    return t[0]->mss;
}

Test(tcp_mtup, search_ends_at_the_paths_mtu)
{
    struct pair_config cfg = {.seed = 1, .mtu = 9000, .tune = probing_always, .faults = {.delay_us = 1000}};
    struct tcp_pair *p = tcp_pair_new(&cfg);
    struct tcb *t;
    uint32_t mss;

    path_mtu = 4000;
    p->filter = drop_large;
    mss = transfer(p, 8 << 20, &t);
    cr_assert_leq(mss, 4000 - 52);
    cr_assert_geq(mss, 4000 - 52 - 8, "%u: found to within the threshold", mss);
    cr_assert_gt(p->side[0].sh->count[COUNT_TCP_MTUP_SUCCESS], 3);
    cr_assert_gt(p->side[0].sh->count[COUNT_TCP_MTUP_FAIL], 1);
    cr_assert_eq(t->ssthresh, UINT32_MAX, "lost probes are no congestion");
}

Test(tcp_mtup, black_hole_is_left)
{
    struct pair_config cfg = {
        .seed = 1, .mtu = 9000, .tune = probing_after_black_hole, .faults = {.delay_us = 1000}};
    struct tcp_pair *p = tcp_pair_new(&cfg);
    struct tcb *t;
    uint32_t mss;

    path_mtu = 1500;
    p->filter = drop_large;
    mss = transfer(p, 1 << 20, &t);
    cr_assert_leq(mss, 1500 - 52);
    cr_assert_geq(mss, 1024);
}

Test(tcp_mtup, off_by_default)
{
    struct pair_config cfg = {.seed = 1, .mtu = 9000, .faults = {.delay_us = 1000}};
    struct tcp_pair *p = tcp_pair_new(&cfg);
    struct tcb *t;

    cr_assert_eq(transfer(p, 1 << 20, &t), t->mss);
    cr_assert_gt(t->mss, 8000);
    cr_assert_not(t->flags & TF_MTUP);
}
