/* tcp_mtup.c: see tcp_mtup.h. */
#include "tcp_mtup.h"

#include "tcp_mss.h"
#include "tcp_output.h"
#include "tcp_recover.h"

#define PROBE_THRESHOLD  8   /* bytes (Linux: tcp_probe_threshold) */
#define PROBE_INTERVAL_S 600 /* Linux: tcp_probe_interval */
#define PROBE_CWND       11  /* segments: one lost probe must not stall the ACK clock */

/* Bytes of headers and options that an MTU has beyond the payload. */
static uint32_t overhead(const struct tcb *t)
{
    return (ipaddr_is_v4(&t->pcb.remote.addr) ? 20 : 40) + TCP_HDR_LEN +
           (t->flags & TF_TS ? TCP_TS_OPT_LEN : 0);
}

/* The most a segment may be, by the route and the peer. */
static uint32_t highest(const struct tcb *t)
{
    uint32_t mtu = tcp_mtu(t), peer = t->peer_mss + overhead(t) - (t->flags & TF_TS ? TCP_TS_OPT_LEN : 0);

    if (t->pmtu && t->pmtu < mtu)
        mtu = t->pmtu;
    return peer < mtu ? peer : mtu;
}

static void restart(struct shard *sh, struct tcb *t)
{
    struct tcp_mtup *m = &t->ext->mtup;

    m->probe_mtu = 0;
    m->search_high = highest(t);
    m->search_low = (uint32_t)sh->st->set.tcp_base_mss + overhead(t);
    if (m->search_low > m->search_high)
        m->search_low = m->search_high;
    m->since_ms = tcp_now_ms(sh);
}

static void enable(struct shard *sh, struct tcb *t)
{
    if (!tcp_ext_get(sh, t))
        return;
    t->flags |= TF_MTUP;
    restart(sh, t);
    tcp_mss_update(sh, t);
}

void tcp_mtup_init(struct shard *sh, struct tcb *t)
{
    if (sh->st->set.tcp_mtu_probing > 1)
        enable(sh, t);
}

uint32_t tcp_mtup_cap(const struct tcb *t, uint32_t mtu)
{
    return t->ext->mtup.search_low < mtu ? t->ext->mtup.search_low : mtu;
}

uint32_t tcp_mtup_wanted(struct shard *sh, struct tcb *t)
{
    struct tcp_mtup *m = &t->ext->mtup;
    uint32_t most = highest(t), size, needed;

    if (m->search_high > most)
        m->search_high = most;
    if (m->search_high < m->search_low + PROBE_THRESHOLD) {
        if (tcp_now_ms(sh) - m->since_ms >= PROBE_INTERVAL_S * 1000)
            restart(sh, t);
        return 0;
    }
    if (m->probe_mtu || t->ca_state != CA_OPEN || t->cwnd < PROBE_CWND * (uint32_t)t->mss || t->io->ofo ||
        (t->flags & TF_URG))
        return 0;
    size = (m->search_high + m->search_low) / 2 - overhead(t);
    /* Enough behind it that its loss would show by duplicate ACKs. */
    needed = size + (t->reordering + 1u) * t->mss;
    if (size <= t->mss || t->write_seq - t->snd_nxt < needed || t->snd_wnd < needed ||
        seq_gt(t->snd_nxt + needed, t->snd_una + t->snd_wnd) || tcp_pipe(t) + 2u * t->mss > t->cwnd)
        return 0;
    return size;
}

void tcp_mtup_sent(struct tcb *t, uint32_t seq, uint32_t len)
{
    struct tcp_mtup *m = &t->ext->mtup;

    m->probe_mtu = len + overhead(t);
    m->probe_start = seq;
    m->probe_end = seq + len;
}

void tcp_mtup_acked(struct shard *sh, struct tcb *t)
{
    struct tcp_mtup *m = &t->ext->mtup;

    if (!m->probe_mtu || seq_lt(t->snd_una, m->probe_end))
        return;
    m->search_low = m->probe_mtu;
    m->probe_mtu = 0;
    tcp_mss_update(sh, t);
    tcp_count(sh, COUNT_TCP_MTUP_SUCCESS);
}

bool tcp_mtup_lost(struct shard *sh, struct tcb *t)
{
    struct tcp_mtup *m;

    if (!tcp_mtup_probing(t))
        return false;
    m = &t->ext->mtup;
    if (t->snd_una != m->probe_start)
        return false;
    m->search_high = m->probe_mtu - 1;
    m->probe_mtu = 0;
    tcp_count(sh, COUNT_TCP_MTUP_FAIL);
    tcp_recover_no_congestion(sh, t);
    return true;
}

void tcp_mtup_black_hole(struct shard *sh, struct tcb *t)
{
    const struct tunables *set = &sh->st->set;
    uint32_t mss;

    if (!set->tcp_mtu_probing)
        return;
    if (!(t->flags & TF_MTUP)) {
        enable(sh, t);
        return;
    }
    mss = (t->ext->mtup.search_low - overhead(t)) / 2;
    if (mss > (uint32_t)set->tcp_base_mss)
        mss = (uint32_t)set->tcp_base_mss;
    if (mss < TCP_MSS_MIN)
        mss = TCP_MSS_MIN;
    t->ext->mtup.search_low = mss + overhead(t);
    t->ext->mtup.probe_mtu = 0;
    tcp_mss_update(sh, t);
}
