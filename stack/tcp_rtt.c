/* tcp_rtt.c: RFC 6298. Differs: the minimum RTO is Linux's 200 ms, not 1 s, and bounds the variance's share
 * as Linux does, so that the RTO is never below SRTT + 200 ms. */
#include "tcp_rtt.h"

void tcp_rtt_init(struct shard *sh, struct tcb *t)
{
    (void)sh;
    t->srtt_us8 = 0;
    t->rttvar_us4 = 0;
    t->min_rtt_us = UINT32_MAX;
    t->rto_ms = TCP_RTO_INIT_MS;
}

void tcp_rtt_sample(struct shard *sh, struct tcb *t, uint32_t rtt_us)
{
    uint32_t min_us = (uint32_t)sh->st->set.tcp_rto_min * 1000;
    uint64_t rto_us;

    if (rtt_us == 0)
        rtt_us = 1;
    if (rtt_us < t->min_rtt_us)
        t->min_rtt_us = rtt_us;
    if (t->srtt_us8 == 0) { /* section 2.2 */
        t->srtt_us8 = rtt_us << 3;
        t->rttvar_us4 = rtt_us << 1;
    } else { /* section 2.3 */
        int32_t err = (int32_t)(rtt_us - (t->srtt_us8 >> 3));
        uint32_t dev = (uint32_t)(err < 0 ? -err : err);

        t->srtt_us8 += (uint32_t)err;
        t->rttvar_us4 += dev - (t->rttvar_us4 >> 2);
    }
    rto_us = (t->srtt_us8 >> 3) + (uint64_t)(t->rttvar_us4 > min_us ? t->rttvar_us4 : min_us);
    t->rto_ms = (uint32_t)((rto_us + 999) / 1000);
    if (t->rto_ms > TCP_RTO_MAX_MS)
        t->rto_ms = TCP_RTO_MAX_MS;
}

uint32_t tcp_rto_backed_off(const struct tcb *t)
{
    uint64_t ms = (uint64_t)t->rto_ms << (t->retries < 16 ? t->retries : 16); /* section 5.5 */

    return ms > TCP_RTO_MAX_MS ? TCP_RTO_MAX_MS : (uint32_t)ms;
}
