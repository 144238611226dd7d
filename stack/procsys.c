/* procsys.c: see procsys.h. Linux: Documentation/networking/ip-sysctl.rst. */
#include "procsys.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tcp_cc.h"

enum how { NUMBER, NAMES, ALLOWED, PAIR, TRIPLE };

/* Where Linux has the settings, and in which form; by the names of tunable.h. */
#define V4(name)                                                                                             \
    {                                                                                                        \
        "ipv4/" #name, offsetof(struct tunables, name), 0, NUMBER                                            \
    }
#define V6(name)                                                                                             \
    {                                                                                                        \
        "ipv6/" #name, offsetof(struct tunables, name), 0, NUMBER                                            \
    }
#define CORE(name)                                                                                           \
    {                                                                                                        \
        "core/" #name, offsetof(struct tunables, name), 0, NUMBER                                            \
    }
#define AS(path, name)                                                                                       \
    {                                                                                                        \
        path, offsetof(struct tunables, name), 0, NUMBER                                                     \
    }

static const struct entry {
    const char *path;
    size_t at, at2;
    enum how how;
} entries[] = {
    CORE(somaxconn),
    CORE(rmem_default),
    CORE(rmem_max),
    CORE(wmem_default),
    CORE(wmem_max),
    V4(ip_default_ttl),
    V4(tcp_max_syn_backlog),
    V4(tcp_fin_timeout),
    V4(tcp_max_tw_buckets),
    V4(tcp_rfc1337),
    V4(tcp_tw_reuse),
    V4(tcp_syn_retries),
    V4(tcp_syn_linear_timeouts),
    V4(tcp_synack_retries),
    V4(tcp_retries1),
    V4(tcp_retries2),
    V4(tcp_orphan_retries),
    V4(tcp_keepalive_time),
    V4(tcp_keepalive_intvl),
    V4(tcp_keepalive_probes),
    V4(tcp_sack),
    V4(tcp_timestamps),
    V4(tcp_ecn),
    V4(tcp_ecn_fallback),
    V4(tcp_window_scaling),
    V4(tcp_stdurg),
    V4(tcp_fastopen),
    AS("ipv4/tcp_fastopen_blackhole_timeout_sec", tcp_fastopen_blackhole_timeout),
    V4(tcp_syncookies),
    V4(tcp_invalid_ratelimit),
    V4(tcp_challenge_ack_limit),
    V4(tcp_abort_on_overflow),
    V4(tcp_slow_start_after_idle),
    V4(tcp_min_tso_segs),
    V4(tcp_notsent_lowat),
    V4(tcp_mtu_probing),
    V4(tcp_base_mss),
    V4(tcp_early_retrans),
    V4(tcp_frto),
    V4(tcp_reordering),
    V4(tcp_max_reordering),
    V4(tcp_moderate_rcvbuf),
    {"ipv4/tcp_congestion_control", offsetof(struct tunables, tcp_congestion_control), 0, NAMES},
    {"ipv4/tcp_allowed_congestion_control", offsetof(struct tunables, tcp_allowed_congestion_control), 0,
     ALLOWED},
    {"ipv4/tcp_available_congestion_control", SIZE_MAX, 0, ALLOWED},
    {"ipv4/tcp_rmem", offsetof(struct tunables, tcp_rmem_default), offsetof(struct tunables, tcp_rmem_max),
     TRIPLE},
    {"ipv4/tcp_wmem", offsetof(struct tunables, tcp_wmem_default), offsetof(struct tunables, tcp_wmem_max),
     TRIPLE},
    {"ipv4/ip_local_port_range", offsetof(struct tunables, ip_local_port_min),
     offsetof(struct tunables, ip_local_port_max), PAIR},
    V4(ip_unprivileged_port_start),
    V4(ipfrag_time),
    V4(ipfrag_high_thresh),
    V4(igmp_max_memberships),
    V4(igmp_max_msf),
    V6(bindv6only),
    V6(auto_flowlabels),
    V6(ip6frag_time),
    V6(ip6frag_high_thresh),
    V6(mld_max_msf),
    AS("ipv6/conf/all/disable_ipv6", disable_ipv6),
    AS("ipv6/conf/all/hop_limit", hop_limit),
    AS("ipv6/conf/all/dad_transmits", dad_transmits),
    AS("ipv6/conf/all/accept_ra", accept_ra),
    AS("ipv6/conf/all/autoconf", autoconf),
    AS("ipv6/conf/all/accept_redirects", accept_redirects),
    AS("ipv6/conf/default/disable_ipv6", disable_ipv6),
    AS("ipv4/conf/all/accept_redirects", accept_redirects),
};

static int64_t number(const struct tunables *t, size_t at)
{
    int64_t v;

    memcpy(&v, (const char *)t + at, sizeof v);
    return v;
}

static int names(int64_t mask, char *buf, size_t room)
{
    int n = 0;

    for (int i = 0; i <= TCP_CC_DCTCP; i++)
        if (mask >> i & 1)
            n += snprintf(buf + n, room - (size_t)n, "%s%s", n ? " " : "", tcp_cc_table[i]->name);
    n += snprintf(buf + n, room - (size_t)n, "\n");
    return n;
}

static int show(const struct tunables *t, const struct entry *e, char *buf, size_t room)
{
    long long v = e->at == SIZE_MAX ? -1 : number(t, e->at), v2 = number(t, e->at2);

    switch (e->how) {
    case NAMES:
        return names(1ll << v, buf, room);
    case ALLOWED:
        return names(v, buf, room);
    case PAIR:
        return snprintf(buf, room, "%lld\t%lld\n", v, v2);
    case TRIPLE: /* the minimum is Linux's: what memory pressure leaves, which is not looked at here */
        return snprintf(buf, room, "%d\t%lld\t%lld\n", 4096, v, v2);
    default:
        return snprintf(buf, room, "%lld\n", v);
    }
}

int procsys_read(const struct tunables *t, const char *path, char *buf, size_t room)
{
    for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(entries[i].path, path) == 0)
            return show(t, &entries[i], buf, room);
    return -ENOENT;
}
