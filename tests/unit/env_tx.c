/* env_tx.c: layers 0 to 4 without sockets: env_net, and what stands in for shard.c below it. */
#include "env.h"

#include <stdlib.h>

#include "../../stack/arp.h"
#include "../../stack/frag.h"
#include "../../stack/ifnet.h"
#include "../../stack/mcast.h"
#include "../../stack/nd.h"
#include "../../stack/rnd.h"
#include "../../stack/route.h"
#include "../../stack/shard.h"

static void lo_enqueue(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    /* What was sent is received: verified, and with nothing left to do (as shard.c has it). */
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    pkt_meta(m)->link = NULL;
    if (sh->lo_tail)
        pkt_meta(sh->lo_tail)->link = m;
    else
        sh->lo_head = m;
    sh->lo_tail = m;
    sh->lo_len++;
    m->port = (uint16_t)ifindex;
}

void shard_tx(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (ifindex != IFNET_LOOPBACK)
        env_capture(env_now, m);
    else
        lo_enqueue(sh, ifindex, m);
}

void shard_loop(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    lo_enqueue(sh, ifindex, m);
    m->packet_type = PKT_LOOPED;
}

static void fire(void *arg, struct timer *t)
{
    if (t->kind == TIMER_NEIGH)
        neigh_timer(arg, t);
    else if (t->kind == TIMER_FRAG)
        frag_timer(arg, t);
    else if (t->kind == TIMER_MC_CHANGE || t->kind == TIMER_MC_QUERY || t->kind == TIMER_MC_GROUP)
        mc_timer(arg, t);
    else if (t->kind == TIMER_STACK)
        arp_timer(arg, t);
    else if (t->kind == TIMER_ND)
        nd_timer(arg, t);
}

static void step(struct env *e)
{
    e->sh->now_ns = e->now_ns;
    wheel_run(&e->sh->wheel, shard_ms(e->sh), fire, e->sh);
}

static void ok(int err)
{
    if (err)
        abort();
}

struct env *env_net(const struct env_config *cfg)
{
    static const struct env_config defaults;
    static const uint8_t secret[16] = "fixed for tests";
    struct tunables set;
    struct env *e;
    struct stack *st;

    if (!cfg)
        cfg = &defaults;
    e = env_begin(cfg, &set);
    st = seg_alloc(e->seg, sizeof *st, 64);
    e->st = st;
    e->sh = &st->shard[0];
    e->step = step;
    st->seg = e->seg;
    st->set = set;
    st->isolate = cfg->isolate;
    st->nshard = 1;
    memcpy(st->secret, secret, sizeof secret);
    e->sh->st = st;
    e->sh->pool = e->pool;
    e->sh->now_ns = e->now_ns;
    list_init(&e->sh->dirty);
    list_init(&e->sh->acks);
    wheel_init(&e->sh->wheel, shard_ms(e->sh));
    rnd_seed(e->sh, secret);
    ok(mc_init(e->sh));
    ok(route_table_init(st));
    ok(neigh_table_init(st));
    ok(frag_table_init(e->sh));
    ok(ifnet_add_loopback(st));
    env_add_if(e, cfg);
    return e;
}
