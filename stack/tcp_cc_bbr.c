/* tcp_cc_bbr.c: BBR, version 1 as Linux has it (Cardwell et al., "BBR: Congestion-Based Congestion Control",
 * 2016; draft-cardwell-iccrg-bbr-congestion-control-00, whose names are used): sends at the rate at which the
 * path delivers, keeping about a bandwidth-delay product in flight, whatever is lost.
 *
 * Theory of operation. The model is two numbers: bw, the greatest delivery rate of the last ten round trips,
 * and min_rtt, the least RTT of the last ten seconds. STARTUP doubles the rate each round until bw stops
 * growing; DRAIN empties the queue that this made; PROBE_BW goes through a cycle of pacing gains, a little
 * more than bw, a little less, then bw for six min_rtt; PROBE_RTT, each ten seconds, goes down to four
 * segments for 200 ms to see min_rtt without our own queue. A policer shows as loss at a steady rate: that
 * rate is then taken for bw for a while (long-term sampling). Rates are bytes/s, gains in 1/256, windows
 * bytes; a round trip is counted by tcp_tx.delivered.
 */
#include "tcp_cc.h"
#include "tcp_ext.h"
#include "tcp_output.h"
#include "tcp_pace.h"
#include "rnd.h"

#define UNIT               256u                     /* gain 1 */
#define HIGH_GAIN          (UNIT * 2885 / 1000 + 1) /* 2/ln 2: the least that doubles the rate each round */
#define DRAIN_GAIN         (UNIT * 1000 / 2885)
#define CWND_GAIN          (2 * UNIT)
#define MARGIN_PERCENT     1 /* the rate stays this much below bw, so that queues drain */
#define BW_ROUNDS          10
#define CYCLE_LEN          8
#define FULL_BW_ROUNDS     3
#define MIN_RTT_WIN_MS     10000u
#define PROBE_RTT_MS       200u
#define MIN_SEGMENTS       4u
#define LT_INTERVAL_ROUNDS 4u
#define LT_LOSS_THRESH     50u  /* of 256: loss that makes a policer likely */
#define LT_DIFF            500u /* bytes/s: intervals that differ by less agree */
#define LT_BW_MAX_ROUNDS   48u
#define AGGR_ROUNDS        5u
#define AGGR_MAX_US        100000u
#define AGGR_RESET_BYTES   (1u << 30)

enum mode { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

struct bw_sample {
    uint64_t bw;
    uint32_t round;
};

struct bbr {
    struct bw_sample bw[3]; /* the greatest of the window, and of its later parts (Nichols' filter) */
    uint64_t full_bw;
    uint64_t lt_bw;
    uint32_t rounds, next_round_delivered;
    uint32_t min_rtt_us, min_rtt_stamp_ms, probe_rtt_done_ms; /* the last 0: not there yet */
    uint32_t cycle_us;                                        /* when this phase of the cycle began */
    uint32_t prior_cwnd;
    uint32_t lt_delivered, lt_lost, lt_stamp_ms, lt_rounds;
    uint32_t aggr_us, aggr_acked, aggr_extra[2], aggr_rounds;
    uint16_t pacing_gain, cwnd_gain;
    uint8_t mode, prev_ca_state, cycle, full_bw_count, aggr_index;
    bool round_start, packet_conservation, idle_restart, probe_rtt_round_done, full, has_rtt;
    bool lt_sampling, lt_use_bw;
};
_Static_assert(sizeof(struct bbr) <= sizeof(((struct tcp_pace *)0)->cc), "bbr's state fits beside pacing's");

static const uint16_t cycle_gain[CYCLE_LEN] = {
    UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT,
};

static struct bbr *priv(const struct tcb *t)
{
    return (struct bbr *)t->ext->pace->cc;
}

/* --- the greatest bandwidth of the last rounds, in three samples (Linux: lib/win_minmax.c) --- */

static void bw_filter(struct bbr *b, uint64_t bw)
{
    struct bw_sample s = {bw, b->rounds};
    uint32_t age = b->rounds - b->bw[0].round;

    if (bw >= b->bw[0].bw || b->rounds - b->bw[2].round > BW_ROUNDS) {
        b->bw[0] = b->bw[1] = b->bw[2] = s;
        return;
    }
    if (bw >= b->bw[1].bw)
        b->bw[1] = b->bw[2] = s;
    else if (bw >= b->bw[2].bw)
        b->bw[2] = s;
    if (age > BW_ROUNDS) { /* the greatest is too old: the later ones move up */
        b->bw[0] = b->bw[1];
        b->bw[1] = b->bw[2];
        b->bw[2] = s;
        if (b->rounds - b->bw[0].round > BW_ROUNDS) {
            b->bw[0] = b->bw[1];
            b->bw[1] = b->bw[2];
        }
    } else if (b->bw[1].round == b->bw[0].round && age > BW_ROUNDS / 4) {
        b->bw[1] = b->bw[2] = s;
    } else if (b->bw[2].round == b->bw[1].round && age > BW_ROUNDS / 2) {
        b->bw[2] = s;
    }
}

static uint64_t max_bw(const struct bbr *b)
{
    return b->bw[0].bw;
}

static uint64_t bw_now(const struct bbr *b)
{
    return b->lt_use_bw ? b->lt_bw : max_bw(b);
}

/* --- rate and window --- */

static uint64_t rate_for(uint64_t bw, uint32_t gain)
{
    return bw * gain / UNIT * (100 - MARGIN_PERCENT) / 100;
}

/* Before there is a sample: cwnd in an RTT, of a millisecond where none is known. */
static void init_rate(struct tcb *t)
{
    struct bbr *b = priv(t);
    uint32_t rtt_us = t->srtt_us8 ? t->srtt_us8 >> 3 : 1000;

    b->has_rtt = t->srtt_us8 != 0;
    t->ext->pace->rate = rate_for((uint64_t)t->cwnd * 1000000 / (rtt_us ? rtt_us : 1), HIGH_GAIN);
}

static void set_rate(struct tcb *t, uint64_t bw, uint32_t gain)
{
    struct bbr *b = priv(t);
    uint64_t rate = rate_for(bw, gain);

    if (!b->has_rtt && t->srtt_us8)
        init_rate(t);
    if (rate && (b->full || rate > t->ext->pace->rate))
        t->ext->pace->rate = rate;
}

/* Linux: bbr_tso_segs_goal: a millisecond at the rate. */
static uint32_t burst(const struct tcb *t)
{
    uint64_t rate = tcp_pace_rate(t), n = rate >> 10;
    uint32_t least = rate < 1200000 / 8 ? t->mss : 2u * t->mss;

    if (n > 65536)
        n = 65536;
    return n < least ? least : (uint32_t)n;
}

static uint32_t bdp(const struct tcb *t, const struct bbr *b, uint64_t bw, uint32_t gain)
{
    unsigned __int128 n = (unsigned __int128)bw * b->min_rtt_us / 1000000 * gain / UNIT;

    if (b->min_rtt_us == UINT32_MAX) /* no RTT yet: the initial window */
        return 10u * t->mss;
    return n < 1u << 30 ? (uint32_t)n : 1u << 30;
}

/* Room for what is held together by bursts and delayed ACKs: an even number of segments. */
static uint32_t with_quanta(const struct tcb *t, const struct bbr *b, uint32_t cwnd)
{
    uint32_t two = 2u * t->mss;

    cwnd += 3 * burst(t);
    cwnd = (cwnd + two - 1) / two * two;
    return b->mode == PROBE_BW && b->cycle == 0 ? cwnd + two : cwnd;
}

static uint32_t inflight_for(const struct tcb *t, const struct bbr *b, uint64_t bw, uint32_t gain)
{
    return with_quanta(t, b, bdp(t, b, bw, gain));
}

/* What will be in flight when the next packet may leave: less than now by what is delivered until then. */
static uint32_t in_net_then(const struct shard *sh, const struct tcb *t, uint32_t in_flight)
{
    const struct bbr *b = priv(t);
    uint64_t next = t->ext->pace->next_ns, gone = 0, n = in_flight;

    if (next > sh->now_ns)
        gone = bw_now(b) * (next - sh->now_ns) / 1000000000;
    if (b->pacing_gain > UNIT)
        n += burst(t);
    return n > gone ? (uint32_t)(n - gone) : 0;
}

/* ACKs that come in clumps let cwnd fall dry: the most that came beyond bw lately is added. */
static uint32_t aggregation(const struct bbr *b)
{
    uint64_t max = bw_now(b) * AGGR_MAX_US / 1000000;
    uint32_t extra = b->aggr_extra[0] > b->aggr_extra[1] ? b->aggr_extra[0] : b->aggr_extra[1];

    if (!b->full)
        return 0;
    return extra < max ? extra : (uint32_t)max;
}

static void save_cwnd(struct tcb *t)
{
    struct bbr *b = priv(t);

    if (b->prev_ca_state < CA_RECOVERY && b->mode != PROBE_RTT)
        b->prior_cwnd = t->cwnd;
    else if (t->cwnd > b->prior_cwnd)
        b->prior_cwnd = t->cwnd;
}

/* In the first round of recovery what leaves is what was delivered; after it the window comes back. True:
 * that is all for now. */
static bool recover_or_restore(struct tcb *t, const struct tcp_rate_sample *rs, uint32_t acked,
                               uint32_t *cwnd)
{
    struct bbr *b = priv(t);
    uint8_t prev = b->prev_ca_state;

    *cwnd = t->cwnd;
    if (rs->losses)
        *cwnd = *cwnd > rs->losses + t->mss ? *cwnd - rs->losses : t->mss;
    if (t->ca_state == CA_RECOVERY && prev != CA_RECOVERY) {
        b->packet_conservation = true;
        b->next_round_delivered = t->tx->delivered;
        *cwnd = tcp_pipe(t) + acked;
    } else if (prev >= CA_RECOVERY && t->ca_state < CA_RECOVERY) {
        if (*cwnd < b->prior_cwnd)
            *cwnd = b->prior_cwnd;
        b->packet_conservation = false;
    }
    b->prev_ca_state = t->ca_state;
    if (b->packet_conservation && *cwnd < tcp_pipe(t) + acked)
        *cwnd = tcp_pipe(t) + acked;
    return b->packet_conservation;
}

static void set_cwnd(struct tcb *t, const struct tcp_rate_sample *rs, uint64_t bw)
{
    struct bbr *b = priv(t);
    uint32_t acked = rs->acked_sacked, cwnd = t->cwnd, target;

    if (acked && !recover_or_restore(t, rs, acked, &cwnd)) {
        target = with_quanta(t, b, bdp(t, b, bw, b->cwnd_gain) + aggregation(b));
        if (b->full)
            cwnd = cwnd + acked < target ? cwnd + acked : target;
        else if (cwnd < target || t->tx->delivered < 10u * t->mss)
            cwnd += acked;
        if (cwnd < MIN_SEGMENTS * t->mss)
            cwnd = MIN_SEGMENTS * t->mss;
    }
    if (b->mode == PROBE_RTT && cwnd > MIN_SEGMENTS * t->mss)
        cwnd = MIN_SEGMENTS * t->mss;
    t->cwnd = cwnd < 1u << 30 ? cwnd : 1u << 30;
}

/* --- modes --- */

static void advance_cycle(struct tcb *t, struct bbr *b)
{
    b->cycle = (b->cycle + 1) % CYCLE_LEN;
    b->cycle_us = t->tx->delivered_us;
}

/* Starts in any phase but the draining one, so that flows don't probe together. */
static void enter_probe_bw(struct shard *sh, struct tcb *t, struct bbr *b)
{
    b->mode = PROBE_BW;
    b->cycle = (uint8_t)(CYCLE_LEN - 1 - rnd_below(sh, CYCLE_LEN - 1));
    advance_cycle(t, b);
}

static void reset_mode(struct shard *sh, struct tcb *t, struct bbr *b)
{
    if (b->full)
        enter_probe_bw(sh, t, b);
    else
        b->mode = STARTUP;
}

/* Is this phase of the cycle over? */
static bool phase_over(struct shard *sh, const struct tcb *t, const struct bbr *b,
                       const struct tcp_rate_sample *rs)
{
    bool long_enough = (int32_t)(t->tx->delivered_us - b->cycle_us) > (int32_t)b->min_rtt_us;
    uint32_t flight;

    if (b->pacing_gain == UNIT)
        return long_enough;
    flight = in_net_then(sh, t, rs->prior_in_flight);
    if (b->pacing_gain > UNIT) /* until the pipe is filled that far, or loss says that it cannot be */
        return long_enough && (rs->losses || flight >= inflight_for(t, b, max_bw(b), b->pacing_gain));
    return long_enough || flight <= inflight_for(t, b, max_bw(b), UNIT);
}

/* --- long-term sampling: policers --- */

static void lt_interval(const struct tcb *t, struct bbr *b)
{
    struct tcp_tx *x = t->tx;

    b->lt_stamp_ms = x->delivered_us / 1000;
    b->lt_delivered = x->delivered;
    b->lt_lost = x->lost_total;
    b->lt_rounds = 0;
}

static void lt_reset(const struct tcb *t, struct bbr *b)
{
    b->lt_bw = 0;
    b->lt_use_bw = b->lt_sampling = false;
    lt_interval(t, b);
}

static void lt_interval_done(const struct tcb *t, struct bbr *b, uint64_t bw)
{
    uint64_t diff = bw > b->lt_bw ? bw - b->lt_bw : b->lt_bw - bw;

    if (b->lt_bw && (diff * 8 <= b->lt_bw || rate_for(diff, UNIT) <= LT_DIFF)) { /* two that agree */
        b->lt_bw = (bw + b->lt_bw) / 2;
        b->lt_use_bw = true;
        b->pacing_gain = UNIT;
        b->lt_rounds = 0;
        return;
    }
    b->lt_bw = bw;
    lt_interval(t, b);
}

static void lt_sample(struct shard *sh, struct tcb *t, struct bbr *b, uint32_t losses, bool app_limited)
{
    struct tcp_tx *x = t->tx;
    uint32_t lost, delivered, ms;

    if (b->lt_use_bw) {
        if (b->mode == PROBE_BW && b->round_start && ++b->lt_rounds >= LT_BW_MAX_ROUNDS) {
            lt_reset(t, b);
            enter_probe_bw(sh, t, b);
        }
        return;
    }
    if (!b->lt_sampling) { /* an interval begins with loss: the policer's tokens are used up */
        if (!losses)
            return;
        lt_interval(t, b);
        b->lt_sampling = true;
    }
    if (app_limited || b->lt_rounds + b->round_start > 4 * LT_INTERVAL_ROUNDS) {
        lt_reset(t, b);
        return;
    }
    b->lt_rounds += b->round_start;
    if (b->lt_rounds < LT_INTERVAL_ROUNDS || !losses)
        return;
    lost = x->lost_total - b->lt_lost;
    delivered = x->delivered - b->lt_delivered;
    if (!delivered || (uint64_t)lost * 256 < (uint64_t)LT_LOSS_THRESH * delivered)
        return;
    ms = x->delivered_us / 1000 - b->lt_stamp_ms;
    if ((int32_t)ms < 1) {
        if (ms) /* the clock's low bits went round */
            lt_reset(t, b);
        return;
    }
    lt_interval_done(t, b, (uint64_t)delivered * 1000 / ms);
}

/* --- the model --- */

static void update_bw(struct shard *sh, struct tcb *t, struct bbr *b, const struct tcp_rate_sample *rs)
{
    uint64_t bw;

    b->round_start = false;
    if (rs->delivered < 0 || rs->interval_us <= 0)
        return;
    if (seq_geq(rs->prior_delivered, b->next_round_delivered)) {
        b->next_round_delivered = t->tx->delivered;
        b->rounds++;
        b->round_start = true;
        b->packet_conservation = false;
    }
    lt_sample(sh, t, b, rs->losses, rs->is_app_limited);
    bw = (uint64_t)rs->delivered * 1000000 / (uint32_t)rs->interval_us;
    if (!rs->is_app_limited || bw >= max_bw(b))
        bw_filter(b, bw);
}

static void update_aggregation(struct tcb *t, struct bbr *b, const struct tcp_rate_sample *rs)
{
    uint64_t expected;
    uint32_t extra;

    if (!rs->acked_sacked || rs->delivered < 0 || rs->interval_us <= 0)
        return;
    if (b->round_start && ++b->aggr_rounds >= AGGR_ROUNDS) {
        b->aggr_rounds = 0;
        b->aggr_index ^= 1;
        b->aggr_extra[b->aggr_index] = 0;
    }
    expected = bw_now(b) * (t->tx->delivered_us - b->aggr_us) / 1000000;
    if (b->aggr_acked <= expected || b->aggr_acked + rs->acked_sacked >= AGGR_RESET_BYTES) {
        b->aggr_acked = 0;
        b->aggr_us = t->tx->delivered_us;
        expected = 0;
    }
    b->aggr_acked += rs->acked_sacked;
    extra = (uint32_t)(b->aggr_acked - (expected < b->aggr_acked ? expected : b->aggr_acked));
    if (extra > t->cwnd)
        extra = t->cwnd;
    if (extra > b->aggr_extra[b->aggr_index])
        b->aggr_extra[b->aggr_index] = extra;
}

/* STARTUP ends when three rounds have not brought a quarter more. */
static void check_full(struct bbr *b, const struct tcp_rate_sample *rs)
{
    if (b->full || !b->round_start || rs->is_app_limited)
        return;
    if (max_bw(b) * 4 >= b->full_bw * 5) {
        b->full_bw = max_bw(b);
        b->full_bw_count = 0;
        return;
    }
    b->full = ++b->full_bw_count >= FULL_BW_ROUNDS;
}

static void check_drain(struct shard *sh, struct tcb *t, struct bbr *b)
{
    if (b->mode == STARTUP && b->full) {
        b->mode = DRAIN;
        t->ssthresh = inflight_for(t, b, max_bw(b), UNIT);
    }
    if (b->mode == DRAIN && in_net_then(sh, t, tcp_pipe(t)) <= inflight_for(t, b, max_bw(b), UNIT))
        enter_probe_bw(sh, t, b);
}

static void check_probe_rtt_done(struct shard *sh, struct tcb *t, struct bbr *b)
{
    uint32_t now_ms = tcp_now_ms(sh);

    if (!b->probe_rtt_done_ms || (int32_t)(now_ms - b->probe_rtt_done_ms) <= 0)
        return;
    b->min_rtt_stamp_ms = now_ms;
    if (t->cwnd < b->prior_cwnd)
        t->cwnd = b->prior_cwnd;
    reset_mode(sh, t, b);
}

static void in_probe_rtt(struct shard *sh, struct tcb *t, struct bbr *b)
{
    struct tcp_tx *x = t->tx;
    uint32_t limit = x->delivered + tcp_pipe(t);

    x->app_limited = limit ? limit : 1; /* such samples say nothing about bw */
    if (!b->probe_rtt_done_ms) {
        if (tcp_pipe(t) > MIN_SEGMENTS * t->mss)
            return;
        b->probe_rtt_done_ms = tcp_now_ms(sh) + PROBE_RTT_MS;
        if (!b->probe_rtt_done_ms)
            b->probe_rtt_done_ms = 1;
        b->probe_rtt_round_done = false;
        b->next_round_delivered = x->delivered;
        return;
    }
    if (b->round_start)
        b->probe_rtt_round_done = true;
    if (b->probe_rtt_round_done)
        check_probe_rtt_done(sh, t, b);
}

static void update_min_rtt(struct shard *sh, struct tcb *t, struct bbr *b, const struct tcp_rate_sample *rs)
{
    uint32_t now_ms = tcp_now_ms(sh);
    bool expired = (int32_t)(now_ms - b->min_rtt_stamp_ms - MIN_RTT_WIN_MS) > 0;

    if (rs->rtt_us >= 0 && ((uint32_t)rs->rtt_us < b->min_rtt_us || (expired && !rs->is_ack_delayed))) {
        b->min_rtt_us = (uint32_t)rs->rtt_us;
        b->min_rtt_stamp_ms = now_ms;
    }
    if (expired && !b->idle_restart && b->mode != PROBE_RTT) {
        save_cwnd(t);
        b->mode = PROBE_RTT;
        b->probe_rtt_done_ms = 0;
    }
    if (b->mode == PROBE_RTT)
        in_probe_rtt(sh, t, b);
    if (rs->delivered > 0)
        b->idle_restart = false;
}

static void update_gains(struct bbr *b)
{
    b->cwnd_gain = HIGH_GAIN;
    switch (b->mode) {
    case STARTUP:
        b->pacing_gain = HIGH_GAIN;
        break;
    case DRAIN:
        b->pacing_gain = DRAIN_GAIN;
        break;
    case PROBE_BW:
        b->pacing_gain = b->lt_use_bw ? UNIT : cycle_gain[b->cycle];
        b->cwnd_gain = CWND_GAIN;
        break;
    default:
        b->pacing_gain = b->cwnd_gain = UNIT;
    }
}

static void bbr_control(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs)
{
    struct bbr *b = priv(t);

    update_bw(sh, t, b, rs);
    update_aggregation(t, b, rs);
    if (b->mode == PROBE_BW && phase_over(sh, t, b, rs))
        advance_cycle(t, b);
    check_full(b, rs);
    check_drain(sh, t, b);
    update_min_rtt(sh, t, b, rs);
    update_gains(b);
    set_rate(t, bw_now(b), b->pacing_gain);
    set_cwnd(t, rs, bw_now(b));
}

/* --- hooks --- */

static void bbr_init(struct shard *sh, struct tcb *t)
{
    struct tcp_pace *p = tcp_pace_get(sh, t);
    struct bbr *b;

    if (!p) { /* no memory for its state */
        tcp_cc_set(sh, t, TCP_CC_RENO);
        return;
    }
    t->flags |= TF_PACED;
    b = priv(t);
    *b = (struct bbr){.min_rtt_us = t->min_rtt_us ? t->min_rtt_us : UINT32_MAX,
                      .min_rtt_stamp_ms = tcp_now_ms(sh),
                      .next_round_delivered = t->tx->delivered,
                      .aggr_us = tcp_now_us(sh),
                      .pacing_gain = HIGH_GAIN,
                      .cwnd_gain = HIGH_GAIN,
                      .prev_ca_state = CA_OPEN};
    t->ssthresh = UINT32_MAX;
    init_rate(t);
    lt_reset(t, b);
}

/* There is no other answer to loss than the model's; what cwnd was is kept for when it is over. */
static uint32_t bbr_ssthresh(struct shard *sh, struct tcb *t)
{
    (void)sh;
    save_cwnd(t);
    return t->ssthresh;
}

static void bbr_avoid(struct shard *sh, struct tcb *t, uint32_t acked)
{
    (void)sh;
    (void)t;
    (void)acked;
}

static uint32_t bbr_undo(struct shard *sh, struct tcb *t)
{
    struct bbr *b = priv(t);

    (void)sh;
    b->full_bw = 0; /* spurious slow down: look at STARTUP's growth anew */
    b->full_bw_count = 0;
    lt_reset(t, b);
    return t->cwnd;
}

static void bbr_set_state(struct shard *sh, struct tcb *t, uint8_t state)
{
    struct bbr *b = priv(t);

    if (state != CA_LOSS)
        return;
    b->prev_ca_state = CA_LOSS;
    b->full_bw = 0;
    b->round_start = true; /* a timeout is the end of a round */
    lt_sample(sh, t, b, 1, false);
}

/* After idleness there is no queue: goes on at bw, not faster. */
static void bbr_restart(struct shard *sh, struct tcb *t, uint32_t idle_ms)
{
    struct bbr *b = priv(t);

    (void)idle_ms;
    if (!t->tx->app_limited)
        return;
    b->idle_restart = true;
    b->aggr_us = tcp_now_us(sh);
    b->aggr_acked = 0;
    if (b->mode == PROBE_BW)
        set_rate(t, bw_now(b), UNIT);
    else if (b->mode == PROBE_RTT)
        check_probe_rtt_done(sh, t, b);
}

static uint32_t bbr_info(const struct tcb *t, union tcp_cc_info *info)
{
    const struct bbr *b = priv(t);
    uint64_t bw = bw_now(b);

    info->bbr = (struct tcp_bbr_info){.bbr_bw_lo = (uint32_t)bw,
                                      .bbr_bw_hi = (uint32_t)(bw >> 32),
                                      .bbr_min_rtt = b->min_rtt_us,
                                      .bbr_pacing_gain = b->pacing_gain,
                                      .bbr_cwnd_gain = b->cwnd_gain};
    return sizeof info->bbr;
}

const struct tcp_cc tcp_cc_bbr = {
    .name = "bbr",
    .keeps = true,
    .init = bbr_init,
    .avoid = bbr_avoid,
    .ssthresh = bbr_ssthresh,
    .cong_control = bbr_control,
    .undo_cwnd = bbr_undo,
    .set_state = bbr_set_state,
    .restart = bbr_restart,
    .get_info = bbr_info,
};
