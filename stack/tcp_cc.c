/* tcp_cc.c: what congestion control algorithms share: the initial window (RFC 6928), slow start (RFC 5681
 * section 3.1). */
#include "tcp_cc.h"

#define CWND_MAX (1u << 30)

const struct tcp_cc *const tcp_cc_table[TCP_CC_COUNT] = {&tcp_cc_cubic, &tcp_cc_reno};

int tcp_cc_find(const char *name, size_t len)
{
    for (int i = 0; i < TCP_CC_COUNT; i++)
        if (strlen(tcp_cc_table[i]->name) == len && memcmp(tcp_cc_table[i]->name, name, len) == 0)
            return i;
    return -1;
}

void tcp_cc_start(struct shard *sh, struct tcb *t)
{
    uint32_t iw = (uint32_t)sh->st->set.tcp_init_cwnd;

    if (t->flags & TF_SYN_RETRANS) /* RFC 6928 section 2, RFC 5681 section 3.1: the SYN was lost */
        iw = 1;
    t->cwnd = iw * t->mss;
    t->ssthresh = UINT32_MAX;
    t->ca_state = CA_OPEN;
    tcp_cc_table[t->cc]->init(sh, t);
}

void tcp_cc_acked(struct shard *sh, struct tcb *t, uint32_t acked, uint32_t prior_flight)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];
    bool slow_start = t->cwnd < t->ssthresh;

    if (tcp_cc_table[t->cc]->cong_control)
        return;
    /* cwnd that the sender did not use says nothing about the path (RFC 7661; Linux: tcp_is_cwnd_limited). */
    if (!tcp_cwnd_used(t) && !(slow_start && 2ULL * prior_flight > t->cwnd))
        return;
    if (slow_start) {
        uint32_t room = t->ssthresh - t->cwnd, n = acked < room ? acked : room;

        t->cwnd += cc->slow_start ? cc->slow_start(t, n) : n;
        acked -= n;
    }
    if (acked)
        cc->avoid(sh, t, acked);
    if (t->cwnd > CWND_MAX)
        t->cwnd = CWND_MAX;
}
