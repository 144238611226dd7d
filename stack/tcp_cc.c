/* tcp_cc.c: what congestion control algorithms share: the initial window (RFC 6928), slow start (RFC 5681
 * section 3.1). */
#include "tcp_cc.h"

#include <errno.h>

#include "tcp_ecn.h"
#include "tcp_ext.h"
#include "tcp_metrics.h"
#include "tcp_pace.h"

#define CWND_MAX (1u << 30)

const struct tcp_cc *const tcp_cc_table[TCP_CC_COUNT] = {[TCP_CC_CUBIC] = &tcp_cc_cubic,
                                                         [TCP_CC_RENO] = &tcp_cc_reno,
                                                         [TCP_CC_BBR] = &tcp_cc_bbr,
                                                         [TCP_CC_DCTCP] = &tcp_cc_dctcp,
                                                         [TCP_CC_DCTCP_RENO] = &tcp_cc_dctcp_reno};

int tcp_cc_find(const char *name, size_t len)
{
    for (int i = 0; i < TCP_CC_DCTCP_RENO; i++)
        if (strlen(tcp_cc_table[i]->name) == len && memcmp(tcp_cc_table[i]->name, name, len) == 0)
            return i;
    return -1;
}

void tcp_cc_start(struct shard *sh, struct tcb *t)
{
    uint32_t iw = tcp_metric(sh, &t->io->flow, RTAX_INITCWND);

    if (!iw)
        iw = (uint32_t)sh->st->set.tcp_init_cwnd;
    if (t->flags & TF_SYN_RETRANS) /* RFC 6928 section 2, RFC 5681 section 3.1: the SYN was lost */
        iw = 1;
    t->cwnd = iw * t->mss;
    t->ssthresh = UINT32_MAX;
    t->ca_state = CA_OPEN;
    if (tcp_cc_table[t->cc]->keeps && !tcp_tx_get(sh, t))
        t->cc = TCP_CC_RENO; /* which needs nothing */
    if (t->tx)               /* else tcp_tx_new does */
        tcp_cc_table[t->cc]->init(sh, t);
}

void tcp_cc_release(struct tcb *t)
{
    if (t->tx)
        memset(t->tx->cc_priv, 0, sizeof t->tx->cc_priv);
    if (t->ext && t->ext->pace) {
        t->ext->pace->rate = t->ext->pace->next_ns = 0;
        memset(t->ext->pace->cc, 0, sizeof t->ext->pace->cc);
    }
}

int tcp_cc_set(struct shard *sh, struct tcb *t, uint8_t cc)
{
    bool open = !state_in(t, TCPF(CLOSE) | TCPF(LISTEN) | TCPF(SYN_SENT) | TCPF(SYN_RECEIVED));

    if (t->cc == cc)
        return 0;
    if (open && tcp_cc_table[cc]->keeps && !tcp_tx_get(sh, t))
        return -ENOBUFS;
    tcp_cc_release(t);
    t->cc = cc;
    t->ecn = (uint8_t)(tcp_cc_table[cc]->needs_ecn ? t->ecn | ECN_NEEDED : t->ecn & ~ECN_NEEDED);
    if (open && t->tx) /* else when the handshake is through, or by tcp_tx_new */
        tcp_cc_table[cc]->init(sh, t);
    return 0;
}

void tcp_cc_acked(struct shard *sh, struct tcb *t, uint32_t acked, uint32_t prior_flight)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];
    bool slow_start = t->cwnd < t->ssthresh;

    if (cc->cong_control)
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
