/* tcp_hystart.c: see tcp_hystart.h. Names and numbers are RFC 9406's. */
#include "tcp_hystart.h"

#define MIN_RTT_THRESH_US 4000u
#define MAX_RTT_THRESH_US 16000u
#define MIN_RTT_DIVISOR   8
#define N_RTT_SAMPLE      8
#define CSS_ROUNDS        5
#define LINUX_LOW_WINDOW  16u /* segments */

/* Section 4.2: are now_us so much longer than base_us that there must be a queue? */
static bool grown(uint32_t base_us, uint32_t now_us)
{
    uint32_t thresh = base_us / MIN_RTT_DIVISOR;

    if (!base_us || !now_us)
        return false;
    if (thresh < MIN_RTT_THRESH_US)
        thresh = MIN_RTT_THRESH_US;
    if (thresh > MAX_RTT_THRESH_US)
        thresh = MAX_RTT_THRESH_US;
    return now_us >= base_us + thresh;
}

/* A round begins with this ACK, if the last one is over. True: CSS has lasted long enough. */
static bool next_round(struct tcp_hystart *h, const struct tcb *t)
{
    if (h->in_round && seq_lt(t->snd_una, h->round_end))
        return false;
    h->round_end = t->snd_nxt;
    h->last_min_us = h->min_us;
    h->min_us = 0;
    h->samples = 0;
    h->in_round = true;
    return h->css_base_us && ++h->css_rounds >= CSS_ROUNDS;
}

/* A round's least round trip is known by so many samples, against the least ever. */
static bool linux_would_stop(const struct tcp_hystart *h, const struct tcb *t)
{
    return t->cwnd >= LINUX_LOW_WINDOW * t->mss && t->min_rtt_us != UINT32_MAX &&
           grown(t->min_rtt_us, h->min_us);
}

bool tcp_hystart_ack(struct tcp_hystart *h, const struct tcb *t, int32_t rtt_us, int kind)
{
    bool enough;

    if (next_round(h, t))
        return true;
    if (rtt_us <= 0 || kind == HYSTART_OFF)
        return false;
    if (!h->min_us || (uint32_t)rtt_us < h->min_us)
        h->min_us = (uint32_t)rtt_us;
    enough = h->samples == N_RTT_SAMPLE;
    if (!enough && ++h->samples < N_RTT_SAMPLE)
        return false;
    if (kind == HYSTART_LINUX)
        return enough && linux_would_stop(h, t);
    if (!h->css_base_us) {
        if (grown(h->last_min_us, h->min_us)) {
            h->css_base_us = h->min_us;
            h->css_rounds = 0;
        }
    } else if (h->min_us < h->css_base_us) { /* jitter it was */
        h->css_base_us = 0;
    }
    return false;
}
