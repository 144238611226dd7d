/* tcp_rtt.c: RFC 6298. Differs: as Linux does it. The minimum is of the variance's share, 200 ms, not of the
 * whole, so that the RTO is never below SRTT + 200 ms; RTTVAR follows the mean deviation up at once and down
 * once a round trip; a falling RTT moves the deviation by an eighth of its weight only. */
#include "tcp_ext.h"
#include "tcp_rtt.h"
#include "tcp_tx.h"

#define MIN_RTT_WINDOW_S 300

void tcp_rtt_init(struct shard *sh, struct tcb *t)
{
    (void)sh;
    t->srtt_us8 = t->mdev_us4 = t->rttvar_us4 = 0;
    t->min_rtt_us = UINT32_MAX;
    t->rto_ms = TCP_RTO_INIT_MS;
    t->backoff = 0;
    if (t->tx)
        t->tx->mdev_max_us4 = 0;
}

void tcp_rtt_min_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us)
{
    uint16_t now_s = (uint16_t)(tcp_now_ms(sh) >> 10); /* nearly */

    if (rtt_us <= t->min_rtt_us || (uint16_t)(now_s - t->min_rtt_s) > MIN_RTT_WINDOW_S) {
        t->min_rtt_us = rtt_us;
        t->min_rtt_s = now_s;
    }
}

/* Section 2.3. */
static void update(struct tcb *t, uint32_t rtt_us, uint32_t min_us)
{
    struct tcp_tx *x = t->tx;
    int32_t err = (int32_t)(rtt_us - (t->srtt_us8 >> 3)), dev;

    t->srtt_us8 += (uint32_t)err;
    dev = (err < 0 ? -err : err) - (int32_t)(t->mdev_us4 >> 2);
    if (err < 0 && dev > 0)
        dev >>= 3;
    t->mdev_us4 += (uint32_t)dev;
    if (t->mdev_us4 > x->mdev_max_us4) {
        x->mdev_max_us4 = t->mdev_us4;
        if (x->mdev_max_us4 > t->rttvar_us4)
            t->rttvar_us4 = x->mdev_max_us4;
    }
    if (seq_gt(t->snd_una, x->rtt_seq)) { /* a round trip is over */
        if (x->mdev_max_us4 < t->rttvar_us4)
            t->rttvar_us4 -= (t->rttvar_us4 - x->mdev_max_us4) >> 2;
        x->rtt_seq = t->snd_nxt;
        x->mdev_max_us4 = min_us;
    }
}

void tcp_rtt_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us)
{
    uint32_t min_us = tcp_rto_min_us(sh, t);
    uint64_t rto_us;

    if (rtt_us == 0)
        rtt_us = 1;
    if (rtt_us > UINT32_MAX / 16)
        rtt_us = UINT32_MAX / 16;
    tcp_rtt_min_sample(sh, t, rtt_us);
    if (t->srtt_us8) {
        update(t, rtt_us, min_us);
    } else { /* section 2.2 */
        t->srtt_us8 = rtt_us << 3;
        t->mdev_us4 = rtt_us << 1;
        t->rttvar_us4 = t->mdev_us4 > min_us ? t->mdev_us4 : min_us;
        if (t->tx) { /* tcp_tx_new does the same later */
            t->tx->mdev_max_us4 = t->rttvar_us4;
            t->tx->rtt_seq = t->snd_nxt;
        }
    }
    if (t->srtt_us8 == 0)
        t->srtt_us8 = 1;
    rto_us = (t->srtt_us8 >> 3) + (uint64_t)t->rttvar_us4;
    rto_us = (rto_us + 999) / 1000;
    t->rto_ms = rto_us > tcp_rto_max_ms(t) ? tcp_rto_max_ms(t) : (uint32_t)rto_us;
    t->backoff = 0;
}

uint32_t tcp_rto_backed_off(const struct tcb *t)
{
    uint64_t ms = (uint64_t)t->rto_ms << (t->backoff < 16 ? t->backoff : 16); /* section 5.5 */

    return ms > tcp_rto_max_ms(t) ? tcp_rto_max_ms(t) : (uint32_t)ms;
}

uint64_t tcp_rto_model_ms(unsigned n, uint32_t base_ms)
{
    unsigned doublings = 0;

    while (base_ms << (doublings + 1) <= TCP_RTO_MAX_MS && doublings < 16)
        doublings++;
    if (n <= doublings)
        return ((2ULL << n) - 1) * base_ms;
    return ((2ULL << doublings) - 1) * base_ms + (uint64_t)(n - doublings) * TCP_RTO_MAX_MS;
}
