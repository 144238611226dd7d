/* tcp_timer.c: what happens at a connection's deadlines: retransmission (RFC 6298 section 5), zero-window
 * probes (RFC 9293 section 3.8.6.1), delayed ACKs, keepalive (RFC 1122 section 4.2.3.6), the orphan's
 * FIN_WAIT_2, the cork. See tcp_timer.h. */
#include "tcp_timer.h"

#include <errno.h>

#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_mtup.h"
#include "tcp_info.h"
#include "tcp_output.h"
#include "tcp_rack.h"
#include "tcp_recover.h"
#include "tcp_rtt.h"
#include "tcp_sndq.h"
#include "tcp_tfo.h"
#include "tcp_synq.h"
#include "tcp_tlp.h"
#include "tcp_tw.h"

void tcp_deadline_at(struct shard *sh, struct tcb *t, uint32_t *slot, uint32_t in_ms)
{
    uint64_t at = shard_ms(sh) + (in_ms ? in_ms : 1);

    *slot = (uint32_t)at ? (uint32_t)at : 1;
    if (!t->timer.armed || t->timer.expires_ms > at)
        timer_arm(&sh->wheel, &t->timer, at);
}

void tcp_timer_stop(struct shard *sh, struct tcb *t)
{
    for (int d = 0; d < DL_MAX; d++)
        tcp_deadline_clear(t, (enum tcp_deadline)d);
    timer_cancel(&sh->wheel, &t->timer);
}

void tcp_deadline_at_us(struct shard *sh, struct tcb *t, uint32_t *slot, uint64_t in_us)
{
    /* The clock stands inside a millisecond, which counts as gone: its rest is added. */
    uint64_t us = in_us + shard_us(sh) % 1000;

    tcp_deadline_at(sh, t, slot, (uint32_t)((us + 999) / 1000));
}

/* TCP_USER_TIMEOUT cuts the last wait short (Linux: tcp_clamp_rto_to_user_timeout). */
static uint32_t clamp_to_user(const struct shard *sh, const struct tcb *t, uint32_t ms)
{
    uint32_t most = tcp_user_timeout_ms(t), gone;

    if (!most || !t->tx->rtx_first_ms)
        return ms;
    gone = tcp_now_ms(sh) - t->tx->rtx_first_ms;
    if (gone >= most)
        return 1;
    return ms < most - gone ? ms : most - gone;
}

void tcp_rtx_arm(struct shard *sh, struct tcb *t)
{
    t->tx->rtx_kind = RTX_RTO;
    tcp_deadline_set(sh, t, DL_RTX, clamp_to_user(sh, t, tcp_rto_backed_off(t)));
}

int64_t tcp_rto_left_us(const struct shard *sh, const struct tcb *t)
{
    uint64_t sent_us = (uint64_t)shard_us(sh);

    if (tcp_oldest_sent(t))
        sent_us = pkt_meta(t->tx->snd_head)->time_us;
    return (int64_t)(sent_us + 1000ULL * tcp_rto_backed_off(t)) - (int64_t)shard_us(sh);
}

void tcp_rtx_rearm(struct shard *sh, struct tcb *t)
{
    int64_t left;

    if (!tcp_flight(t)) {
        tcp_deadline_clear(t, DL_RTX);
        return;
    }
    if (t->tx->rtx_kind == RTX_RTO) {
        tcp_rtx_arm(sh, t);
        return;
    }
    left = tcp_rto_left_us(sh, t);
    t->tx->rtx_kind = RTX_RTO;
    tcp_deadline_set_us(sh, t, DL_RTX, left > 0 ? (uint64_t)left : 1);
}

void tcp_rtx_revert(struct shard *sh, struct tcb *t)
{
    int64_t left;

    if (!t->tx || !t->tx->retries || !t->backoff || t->tx->rtx_kind != RTX_RTO || (t->flags & TF_PROBING) ||
        !tcp_flight(t))
        return;
    t->backoff--;
    left = tcp_rto_left_us(sh, t);
    tcp_deadline_set_us(sh, t, DL_RTX, left > 0 ? (uint64_t)left : 1);
}

static uint32_t keep_idle_ms(const struct shard *sh, const struct tcb *t)
{
    return (t->keep_idle_s ? t->keep_idle_s : (uint32_t)sh->st->set.tcp_keepalive_time) * 1000;
}

static uint32_t keep_intvl_ms(const struct shard *sh, const struct tcb *t)
{
    return (t->keep_intvl_s ? t->keep_intvl_s : (uint32_t)sh->st->set.tcp_keepalive_intvl) * 1000;
}

void tcp_keep_arm(struct shard *sh, struct tcb *t)
{
    if ((t->flags & TF_CLOSED) || tcp_fin_waits(t))
        return;
    if (t->opts & TO_KEEPALIVE)
        tcp_deadline_set(sh, t, DL_KEEP, keep_idle_ms(sh, t));
    else
        tcp_deadline_clear(t, DL_KEEP);
}

static void give_up(struct shard *sh, struct tcb *t)
{
    tcp_count(sh, COUNT_TCP_ABORT_TIMEOUT);
    tcp_end(sh, t, t->pcb.soft_error ? t->pcb.soft_error : ETIMEDOUT);
}

/* Is TCP_USER_TIMEOUT over? */
static bool is_late(struct shard *sh, const struct tcb *t)
{
    uint32_t limit_ms = tcp_user_timeout_ms(t);

    return limit_ms && t->tx->rtx_first_ms && tcp_now_ms(sh) - t->tx->rtx_first_ms >= limit_ms;
}

/* Have timeouts of the same data gone on for as long as n of them take from the minimum RTO on, or, given
 * one, for timeout_ms (Linux: retransmits_timed_out)? */
static bool timed_out(const struct shard *sh, const struct tcb *t, unsigned n, uint32_t timeout_ms)
{
    struct tcp_tx *x = t->tx;
    uint64_t most = timeout_ms ? timeout_ms : tcp_rto_model_ms(n, (uint32_t)sh->st->set.tcp_rto_min);

    return x->retries && x->rtx_first_ms && tcp_now_ms(sh) - x->rtx_first_ms >= most;
}

/* The same for the window probes and retransmissions of an orphan: fewer, and none once ICMP said that the
 * way is broken. */
static unsigned orphan_retries(const struct shard *sh, const struct tcb *t, bool alive)
{
    unsigned n = (unsigned)sh->st->set.tcp_orphan_retries;

    if (t->pcb.soft_error && !alive)
        n = 0;
    return n || !alive ? n : 8;
}

/* Has the user's or the stack's patience ended? */
static bool is_hopeless(struct shard *sh, const struct tcb *t)
{
    const struct tunables *set = &sh->st->set;
    unsigned n = (unsigned)set->tcp_retries2;
    uint32_t user_ms = tcp_user_timeout_ms(t);

    if (state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED))) {
        unsigned max = (unsigned)(t->syn_cnt ? t->syn_cnt : set->tcp_syn_retries);
        unsigned linear = t->state == TCPS_SYN_SENT ? (unsigned)set->tcp_syn_linear_timeouts : 0;
        uint64_t whole_ms = tcp_rto_model_ms(max, TCP_RTO_INIT_MS);

        /* With timeouts that do not back off there are more of them in the same time. */
        if (t->tx->retries >= max + linear || (user_ms && timed_out(sh, t, 0, user_ms)))
            return true;
        /* Timers have whole milliseconds, so that the last one may come a part of one early. */
        return !user_ms && (tcp_now_us(sh) - t->io->drs_us + 999) / 1000 >= whole_ms;
    }
    if (t->flags & TF_CLOSED)
        n = orphan_retries(sh, t, tcp_rto_backed_off(t) < TCP_RTO_MAX_MS);
    return timed_out(sh, t, n, user_ms);
}

/* TCP_THIN_LINEAR_TIMEOUTS: few packets under way, which no duplicate ACKs will bring back, are sent again
 * without backing off, six times (Linux: tcp_retransmit_timer). */
static bool is_linear(const struct tcb *t)
{
    return t->ext && t->ext->thin_lto && t->state == TCPS_ESTABLISHED && tcp_flight(t) < 4u * t->mss &&
           t->tx->retries <= 6;
}

static void back_off(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    if (x->retries < UINT8_MAX)
        x->retries++;
    if (t->backoff < UINT8_MAX && !is_linear(t))
        t->backoff++;
    tcp_rtx_arm(sh, t);
}

/* The window is closed, or too small to send into: ask (RFC 9293 section 3.8.6.1). As long as the peer
 * answers it is asked for ever. */
static void on_persist(struct shard *sh, struct tcb *t)
{
    uint32_t room = t->snd_una + t->snd_wnd - t->snd_nxt;
    unsigned max = (unsigned)sh->st->set.tcp_retries2;
    bool orphan_stuck = false;

    if (t->flags & TF_CLOSED) { /* tcp_probe_timer: its patience ends when the probes are far apart */
        bool alive = tcp_rto_backed_off(t) < TCP_RTO_MAX_MS;

        max = orphan_retries(sh, t, alive);
        orphan_stuck = !alive && t->backoff >= max;
    }
    if (t->keep_probes >= max || orphan_stuck || is_late(sh, t)) {
        give_up(sh, t);
        return;
    }
    if (!t->tx->rtx_first_ms)
        t->tx->rtx_first_ms = tcp_now_ms(sh);
    if ((int32_t)room > 0 && tcp_output_forced(sh, t, room, true) == 0)
        return; /* now it is data in flight, with a timer of its own */
    tcp_send_probe(sh, t);
    if (t->keep_probes < UINT8_MAX)
        t->keep_probes++;
    back_off(sh, t);
}

static void on_syn_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    tcp_count(sh, COUNT_TCP_TIMEOUT);
    tcp_count(sh, COUNT_TCP_RETRANS);
    tcp_note_retrans(sh, t, 1, 0);
    t->flags |= TF_SYN_RETRANS;
    tcp_info_timeout(sh, t);
    if (x->retries < UINT8_MAX)
        x->retries++;
    /* The first few at equal distances (Linux: tcp_syn_linear_timeouts), then doubling. */
    if ((t->state != TCPS_SYN_SENT || x->retries > sh->st->set.tcp_syn_linear_timeouts) &&
        t->backoff < UINT8_MAX)
        t->backoff++;
    if (t->ext)
        tcp_tfo_timeout(sh, t);
    tcp_send_syn(sh, t);
}

/* The retransmission timeout of data or a FIN (RFC 6298 section 5.4). */
static void on_data_timeout(struct shard *sh, struct tcb *t)
{
    tcp_count(sh, COUNT_TCP_TIMEOUT);
    tcp_info_timeout(sh, t);
    tcp_recover_timeout(sh, t);
    if (timed_out(sh, t, (unsigned)sh->st->set.tcp_retries1, 0)) {
        tcp_mtup_black_hole(sh, t);
        t->io->flow.gen = 0; /* the route is doubted: look it up again */
    }
    if (tcp_oldest_sent(t))
        tcp_retransmit(sh, t, t->tx->snd_head);
    else
        tcp_retransmit_fin(sh, t);
    if (!t->tx->rtx_first_ms)
        t->tx->rtx_first_ms = tcp_now_ms(sh);
    back_off(sh, t);
}

static void on_rtx(struct shard *sh, struct tcb *t)
{
    bool syn = state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED));
    uint8_t kind = t->tx->rtx_kind;

    if (t->flags & TF_PROBING) {
        on_persist(sh, t);
        return;
    }
    if (!tcp_flight(t)) { /* buffers had run out */
        t->tx->rtx_kind = RTX_RTO;
        tcp_output(sh, t);
        return;
    }
    if (kind == RTX_REO) {
        tcp_rack_timeout(sh, t);
        return;
    }
    if (kind == RTX_TLP) {
        tcp_tlp_timeout(sh, t);
        return;
    }
    if (is_hopeless(sh, t)) {
        give_up(sh, t);
        return;
    }
    if (!syn) {
        on_data_timeout(sh, t);
        return;
    }
    if (!t->tx->rtx_first_ms)
        t->tx->rtx_first_ms = tcp_now_ms(sh);
    on_syn_timeout(sh, t);
}

static void on_delack(struct shard *sh, struct tcb *t)
{
    if (!(t->flags & (TF_ACK_DELAYED | TF_ACK_NOW)))
        return;
    tcp_count(sh, COUNT_TCP_DELACK);
    t->flags &= ~(uint32_t)TF_PINGPONG; /* the user had nothing to send in time */
    tcp_send_ack(sh, t);
}

static void on_keep(struct shard *sh, struct tcb *t)
{
    uint32_t idle = tcp_now_ms(sh) - t->last_ack_ms, limit = keep_idle_ms(sh, t);
    uint32_t user_ms = tcp_user_timeout_ms(t);
    unsigned max = t->keep_cnt ? t->keep_cnt : (unsigned)sh->st->set.tcp_keepalive_probes;

    if (tcp_fin_waits(t)) {
        tcp_output(sh, t);
        tcp_keep_arm(sh, t);
        return;
    }
    if (t->flags & TF_CLOSED) { /* the peer of an orphan in FIN_WAIT_2 never closed */
        tcp_done(sh, t);
        return;
    }
    if (!(t->opts & TO_KEEPALIVE))
        return;
    if (tcp_flight(t) || tcp_has_unsent(t)) { /* retransmission watches over it */
        tcp_deadline_set(sh, t, DL_KEEP, limit);
        return;
    }
    if (idle < limit) {
        tcp_deadline_set(sh, t, DL_KEEP, limit - idle);
        return;
    }
    if (user_ms ? idle >= user_ms && t->keep_probes : t->keep_probes >= max) {
        tcp_send_reset(sh, t);
        give_up(sh, t);
        return;
    }
    tcp_count(sh, COUNT_TCP_KEEPALIVE);
    tcp_send_probe(sh, t);
    if (t->keep_probes < UINT8_MAX)
        t->keep_probes++;
    tcp_deadline_set(sh, t, DL_KEEP, keep_intvl_ms(sh, t));
}

static void on_cork(struct shard *sh, struct tcb *t)
{
    t->flags |= TF_CORK_DUE;
    if (t->tx->snd_next) /* the peer should not wait for more (Linux: tcp_write_wakeup) */
        pkt_meta(t->tx->snd_tail)->flags |= UNIT_PSH;
    tcp_output(sh, t);
}

/* The next packet of a paced connection is due. */
static void on_pace(struct shard *sh, struct tcb *t)
{
    tcp_output(sh, t);
}

/* Re-arms the node for the earliest deadline left. */
static void rearm(struct shard *sh, struct tcb *t)
{
    uint32_t now_ms = (uint32_t)shard_ms(sh);
    int32_t best = INT32_MAX;

    for (int d = 0; d < DL_MAX; d++) {
        uint32_t at_ms = tcp_deadline_ms(t, (enum tcp_deadline)d);

        if (at_ms && (int32_t)(at_ms - now_ms) < best)
            best = (int32_t)(at_ms - now_ms);
    }
    if (best == INT32_MAX)
        return;
    timer_arm(&sh->wheel, &t->timer, shard_ms(sh) + (best > 0 ? (uint32_t)best : 1));
}

static void tcb_timer(struct shard *sh, struct tcb *t)
{
    static const struct {
        enum tcp_deadline d;
        void (*fn)(struct shard *, struct tcb *);
    } handler[DL_MAX] = {{DL_RTX, on_rtx},   {DL_DELACK, on_delack}, {DL_KEEP, on_keep},
                         {DL_CORK, on_cork}, {DL_PACE, on_pace},     {DL_IDLE, tcp_io_idle}};
    uint32_t now_ms = (uint32_t)shard_ms(sh);
    bool gone = false;

    sh->work = &t->pcb;
    list_step();
    for (int i = 0; i < DL_MAX && !gone; i++) {
        enum tcp_deadline d = handler[i].d;
        uint32_t at_ms = tcp_deadline_ms(t, d);

        if (!at_ms || (int32_t)(at_ms - now_ms) > 0)
            continue;
        tcp_deadline_clear(t, d);
        handler[i].fn(sh, t);
        gone =
            t->state == TCPS_CLOSE; /* slabs are type-stable: an orphan freed just now still reads as CLOSE */
    }
    if (!gone)
        rearm(sh, t);
}

void tcp_timer(struct shard *sh, struct timer *timer)
{
    switch (timer->kind) {
    case TIMER_TCB:
        tcb_timer(sh, container_of(timer, struct tcb, timer));
        break;
    case TIMER_SYNREQ:
        tcp_synq_timer(sh, timer);
        break;
    case TIMER_TW:
        tcp_tw_expire(sh);
        break;
    default:
        break;
    }
}
