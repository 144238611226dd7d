/* tcp_rate.c: see tcp_rate.h. Section numbers are draft-cheng-iccrg-delivery-rate-estimation-02's. */
#include "tcp_rate.h"

#include "tcp_output.h"

/* Section 3.3: of units sent at the same time the one with the higher number is the later one. */
static bool sent_after(uint32_t us_a, uint32_t us_b, uint32_t seq_a, uint32_t seq_b)
{
    return seq_gt(us_a, us_b) || (us_a == us_b && seq_gt(seq_a, seq_b));
}

void tcp_rate_delivered(struct tcb *t, struct pkt_meta *pm, struct tcp_rate_sample *rs)
{
    uint32_t sent_us = (uint32_t)pm->time_us, end = pm->seq + pm->len;

    if (!(pm->rate_flags & PKT_RATE_SENT))
        return;
    if (!rs->valid || sent_after(sent_us, t->tx->first_sent_us, end, rs->last_end_seq)) {
        rs->valid = true;
        rs->prior_delivered = pm->delivered;
        rs->prior_us = pm->delivered_us;
        rs->is_app_limited = pm->rate_flags & PKT_RATE_APP_LIMITED;
        rs->is_retrans = pm->retrans != 0;
        rs->last_end_seq = end;
        t->tx->first_sent_us = sent_us; /* the send phase of the next sample starts here */
        rs->snd_interval_us = sent_us - pm->first_us;
    }
    pm->rate_flags = 0; /* SACKed now, acknowledged later: counts once */
}

void tcp_rate_gen(struct shard *sh, struct tcb *t, uint32_t delivered, uint32_t lost,
                  struct tcp_rate_sample *rs)
{
    struct tcp_tx *x = t->tx;
    uint32_t now_us = tcp_now_us(sh);

    if (x->app_limited && seq_gt(x->delivered, x->app_limited)) /* the bubble is gone */
        x->app_limited = 0;
    if (delivered)
        x->delivered_us = now_us;
    rs->acked_sacked = delivered;
    rs->losses = lost;
    rs->delivered = rs->interval_us = -1;
    if (!rs->valid)
        return;
    rs->delivered = (int32_t)(x->delivered - rs->prior_delivered);
    rs->rcv_interval_us = now_us - rs->prior_us;
    rs->interval_us =
        (int32_t)(rs->snd_interval_us > rs->rcv_interval_us ? rs->snd_interval_us : rs->rcv_interval_us);
    /* Section 3.3: delivered faster than a round trip allows: what was acknowledged was another copy. */
    if (rs->interval_us < 0 || (uint32_t)rs->interval_us < t->min_rtt_us) {
        rs->interval_us = -1;
        return;
    }
    /* For TCP_INFO: the last sample that the path limited, or a higher one. */
    if (!rs->is_app_limited || (uint64_t)(uint32_t)rs->delivered * t->rate_interval_us >=
                                   (uint64_t)t->rate_delivered * (uint32_t)rs->interval_us) {
        t->rate_delivered = (uint32_t)rs->delivered;
        t->rate_interval_us = (uint32_t)rs->interval_us;
        t->rate_app_limited = rs->is_app_limited;
    }
}

void tcp_rate_check_app_limited(struct tcb *t)
{
    struct tcp_tx *x = t->tx;
    uint32_t end;

    /* Section 3.4: less than a segment waits, cwnd has room, and what was lost has been sent again. */
    if (t->write_seq - t->snd_nxt >= t->mss || tcp_pipe(t) >= t->cwnd || x->lost > x->retrans)
        return;
    end = x->delivered + tcp_pipe(t);
    x->app_limited = end ? end : 1;
}
