/* lane.c: see lane.h. */
#include "lane.h"

#include "pkt.h"
#include "ready.h"
#include "rx.h"
#include "sock.h"
#include "tcp.h"
#include "tcp_lane.h"

int lane_init(struct shard *sh, uint32_t max_tcb)
{
    const struct shard *first = &sh->st->shard[0];

    /* Nothing of these is a lane's to change; they are there for who holds all locks. */
    sh->udp = first->udp;
    sh->udplite = first->udplite;
    sh->raw = first->raw;
    sh->ping = first->ping;
    sh->packet = first->packet;
    sh->netlink = first->netlink;
    sh->icmp_copy = first->icmp_copy;
    sh->ext_table = first->ext_table;
    sh->reuse = first->reuse;
    sh->frag = first->frag;
    sh->errq = first->errq;
    sh->mc_sock = first->mc_sock;
    sh->filters = first->filters;
    return tcp_lane_init(sh, max_tcb);
}

static void clock_at_least(struct shard *sh, uint64_t now_ns)
{
    if (now_ns > sh->now_ns)
        __atomic_store_n(&sh->now_ns, now_ns, __ATOMIC_RELAXED); /* read without the lock (api.h) */
}

/* --- locks --- */

bool lane_lock(struct shard *sh, bool try)
{
    struct shard *first = &sh->st->shard[0];

    for (;;) {
        if (!shard_one_lock(sh, try))
            return false;
        if (__builtin_expect(!sh->torn, 1))
            return true;
        shard_one_unlock(sh);
        shard_lock(first); /* who has all mends */
        shard_unlock(first);
    }
}

/* What the lane counted of interfaces, to where it is looked at. */
static void fold_counts(struct stack *st, struct shard *sh)
{
    for (uint32_t i = 1; i < st->nif; i++) {
        struct ifcount *c = &sh->ifc[i];
        struct ifnet *ifn = &st->ifn[i];

        ifn->rx_packets += c->rx_packets;
        ifn->rx_bytes += c->rx_bytes;
        ifn->tx_packets += c->tx_packets;
        ifn->tx_bytes += c->tx_bytes;
        ifn->rx_dropped += c->rx_dropped;
        ifn->tx_dropped += c->tx_dropped;
        *c = (struct ifcount){0};
    }
}

void lanes_taken(struct stack *st)
{
    struct shard *first = &st->shard[0];

    RTE_PER_LCORE(_lcore_id) = 0;
    st->all = true;
    for (uint32_t i = 1; i < st->nshard; i++)
        clock_at_least(first, st->shard[i].now_ns);
    for (uint32_t i = 1; i < st->nshard; i++) {
        clock_at_least(&st->shard[i], first->now_ns);
        fold_counts(st, &st->shard[i]);
    }
}

static bool is_cold(const struct stack *st)
{
    const struct shard *first = &st->shard[0];

    return first->nraw || first->npacket || st->stamps || st->listened || st->nested;
}

bool lanes_end(struct shard *sh)
{
    struct stack *st = sh->st;
    bool slow = false;

    if (!st->all)
        return sh->slow;
    /* Of somebody who is about to come for it, or was killed before. */
    for (uint32_t i = 0; i < st->nshard; i++)
        slow |= st->shard[i].slow;
    if (slow) {
        lanes_work_off(st);
        shard_flush(sh);
    }
    return false;
}

void lanes_release(struct shard *sh)
{
    struct stack *st = sh->st;

    if (!st->all)
        return;
    __atomic_store_n(&st->cold, is_cold(st), __ATOMIC_RELAXED);
    st->all = false;
    for (uint32_t i = st->nshard - 1; i > 0; i--) {
        st->shard[i].work = NULL;
        shard_one_unlock(&st->shard[i]);
    }
}

void lanes_catch_up(struct stack *st)
{
    struct shard *first = &st->shard[0];

    shard_lock(first);
    shard_unlock(first); /* lanes_end */
}

/* --- polls --- */

/* Where nothing is due the wheel only goes on; else it is for all locks. */
static void lane_timers(struct shard *sh)
{
    uint64_t now_ms = shard_ms(sh);

    if (now_ms <= sh->wheel.now_ms)
        return;
    if (wheel_next(&sh->wheel) <= now_ms)
        sh->slow = true;
    else
        wheel_run(&sh->wheel, now_ms, NULL, NULL);
}

void lanes_work_off(struct stack *st)
{
    struct shard *first = &st->shard[0];

    __atomic_store_n(&st->cold, is_cold(st), __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < st->nshard; i++) {
        clock_at_least(&st->shard[i], first->now_ns);
        rx_slow(&st->shard[i]);
    }
    rx_timers(first);
    for (uint32_t i = 0; i < st->nshard; i++) {
        if (i)
            rx_lane_timers(&st->shard[i]);
        st->shard[i].slow = false;
    }
}

unsigned lanes_poll(struct shard *sh)
{
    struct stack *st = sh->st;
    unsigned n = 0;

    if (!st->all) {
        n = rx_lane(sh);
        lane_timers(sh);
        lanes_flush(sh);
        return n;
    }
    sh = &st->shard[0];
    lanes_work_off(st); /* what came before */
    for (uint32_t i = 1; i < st->nshard; i++) {
        if (!shard_relays())
            __atomic_store_n(&st->shard[i].last_poll_ns, sh->last_poll_ns, __ATOMIC_RELAXED);
        n += rx_lane(&st->shard[i]);
        rx_slow(&st->shard[i]);
        st->shard[i].slow = false;
    }
    n += rx_devices(sh);
    shard_flush(sh);
    return n;
}

bool lanes_flush(struct shard *sh)
{
    struct stack *st = sh->st;
    struct tcb *t;

    if (!st->all) {
        sh->slow |= !tcp_lane_burst_end(sh);
        sh->work = NULL;
        sock_hand_up(sh);
        shard_tx_flush(sh);
        return false;
    }
    for (uint32_t i = 1; i < st->nshard; i++) {
        struct shard *lane = &st->shard[i];

        while ((t = tcp_lane_not_plain(lane)))
            shard_recall(st, (struct pcb *)t);
        tcp_burst_end(lane);
        lane->work = NULL;
        sock_hand_up(lane);
        shard_tx_flush(lane);
    }
    return true;
}

/* --- moves --- */

void lane_move(struct stack *st, struct pcb *pcb, struct shard *to)
{
    struct shard *from = &st->shard[pcb->shard];
    struct sock *s = pcb->user;

    shard_tx_flush(from); /* what it sent goes first */
    tcp_move(from, to, (struct tcb *)pcb);
    if (s) {
        __atomic_store_n(&s->sh, to, __ATOMIC_RELAXED); /* read without the lock (api.c) */
        ready_move(&s->file, (uint8_t)to->id);
    }
    to->count[COUNT_SHARD_MOVED]++;
}

void shard_recall_slow(struct stack *st, struct pcb *pcb)
{
    if (pcb && pcb->proto == IPPROTO_TCP && pcb->shard)
        lane_move(st, pcb, &st->shard[0]);
}

/* --- after a process was killed --- */

/* Frames that were kept, read forward. */
static void mend_slow(struct shard *sh)
{
    sh->slow_tail = NULL;
    sh->slow_len = 0;
    for (struct rte_mbuf *m = sh->slow_head; m; m = pkt_meta(m)->link) {
        sh->slow_tail = m;
        sh->slow_len++;
    }
    sh->slow |= sh->slow_head != NULL;
}

void lanes_mend(struct stack *st)
{
    tcp_lanes_mend(st);
    for (uint32_t i = 0; i < st->nshard; i++) {
        struct shard *sh = &st->shard[i];

        mend_slow(sh);
        sh->nwake = sh->nsig = 0;
    }
    ready_lanes_mend(st);
}
