/* procsys.c: see procsys.h. Linux: Documentation/networking/ip-sysctl.rst. */
#include "procsys.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp_cc.h"

#define BLANKS " \t\n\r\v\f"
#define LEAST_MEM                                                                                            \
    4096 /* of tcp_rmem and tcp_wmem: what memory pressure leaves, which is not looked at here */

enum how { NUMBER, NAMES, ALLOWED, PAIR, TRIPLE };

/* Where Linux has the settings, and in which form; by the names of tunable.h. */
#define AS(path, name)                                                                                       \
    {                                                                                                        \
        path, #name, offsetof(struct tunables, name), 0, NUMBER                                              \
    }
#define V4(name)   AS("ipv4/" #name, name)
#define V6(name)   AS("ipv6/" #name, name)
#define CORE(name) AS("core/" #name, name)
/* Looked at when the stack starts, and never again. */
#define AT_START(path, name)                                                                                 \
    {                                                                                                        \
        path, NULL, offsetof(struct tunables, name), 0, NUMBER                                               \
    }

static const struct entry {
    const char *path;
    const char *key; /* for tunables_set; NULL: it can't be written */
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
    {"ipv4/tcp_congestion_control", "tcp_congestion_control",
     offsetof(struct tunables, tcp_congestion_control), 0, NAMES},
    {"ipv4/tcp_allowed_congestion_control", "tcp_allowed_congestion_control",
     offsetof(struct tunables, tcp_allowed_congestion_control), 0, ALLOWED},
    {"ipv4/tcp_available_congestion_control", NULL, SIZE_MAX, 0, ALLOWED},
    {"ipv4/tcp_rmem", "tcp_rmem", offsetof(struct tunables, tcp_rmem_default),
     offsetof(struct tunables, tcp_rmem_max), TRIPLE},
    {"ipv4/tcp_wmem", "tcp_wmem", offsetof(struct tunables, tcp_wmem_default),
     offsetof(struct tunables, tcp_wmem_max), TRIPLE},
    {"ipv4/ip_local_port_range", "ip_local_port_min", offsetof(struct tunables, ip_local_port_min),
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
    AT_START("ipv6/conf/all/disable_ipv6", disable_ipv6),
    AS("ipv6/conf/all/hop_limit", hop_limit),
    AS("ipv6/conf/all/dad_transmits", dad_transmits),
    AS("ipv6/conf/all/accept_ra", accept_ra),
    AS("ipv6/conf/all/autoconf", autoconf),
    AS("ipv6/conf/all/accept_redirects", accept_redirects),
    AT_START("ipv6/conf/default/disable_ipv6", disable_ipv6),
    AS("ipv4/conf/all/accept_redirects", accept_redirects),
};

#define NENTRIES (sizeof entries / sizeof entries[0])

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
    case TRIPLE:
        return snprintf(buf, room, "%d\t%lld\t%lld\n", LEAST_MEM, v, v2);
    default:
        return snprintf(buf, room, "%lld\n", v);
    }
}

static int find(const char *path)
{
    for (unsigned i = 0; i < NENTRIES; i++)
        if (strcmp(entries[i].path, path) == 0)
            return (int)i;
    return -ENOENT;
}

int procsys_read(const struct tunables *t, const char *path, char *buf, size_t room)
{
    int i = find(path);

    return i < 0 ? i : show(t, &entries[i], buf, room);
}

int procsys_writable(const char *path)
{
    int i = find(path);

    return i < 0 || entries[i].key ? i : -EROFS;
}

/* ---- writing ---- */

/* Up to max numbers as Linux reads them (proc_dointvec), in any of C's bases: how many. -EINVAL: none, or
 * something else among them. */
static int numbers(const char *text, long long *v, unsigned max)
{
    unsigned n = 0;
    char *end;

    for (text += strspn(text, BLANKS); *text && n < max; text += strspn(text, BLANKS)) {
        errno = 0;
        v[n++] = strtoll(text, &end, 0);
        if (end == text || errno || (*end && !strchr(BLANKS, *end)))
            return -EINVAL;
        text = end;
    }
    return n ? (int)n : -EINVAL;
}

static int set(struct tunables *t, const char *key, const char *value)
{
    int64_t min, max;

    return tunables_set(t, key, value, &min, &max) ? -EINVAL : 0;
}

static int set_pair(struct tunables *t, const struct entry *e, const char *text)
{
    long long v[2] = {number(t, e->at), number(t, e->at2)};
    long long was = v[0];
    char value[24];
    int n = numbers(text, v, 2);

    if (n < 0 || v[1] < v[0])
        return -EINVAL;
    snprintf(value, sizeof value, "%lld", v[0]);
    n = set(t, "ip_local_port_min", value);
    snprintf(value, sizeof value, "%lld", v[1]);
    if (n || !set(t, "ip_local_port_max", value))
        return n;
    snprintf(value, sizeof value, "%lld", was);
    set(t, "ip_local_port_min", value);
    return -EINVAL;
}

/* Whoever names fewer than three leaves the others as they are. */
static int set_triple(struct tunables *t, const struct entry *e, const char *text)
{
    long long v[3] = {LEAST_MEM, number(t, e->at), number(t, e->at2)};
    char value[80];

    if (numbers(text, v, 3) < 0)
        return -EINVAL;
    snprintf(value, sizeof value, "%lld %lld %lld", v[0], v[1], v[2]);
    return set(t, e->key, value);
}

int procsys_write(struct tunables *t, unsigned i, const char *text)
{
    const struct entry *e = &entries[i < NENTRIES ? i : 0];
    char value[PROCSYS_ROOM];
    long long v;

    if (i >= NENTRIES || !e->key || strlen(text) >= sizeof value)
        return -EINVAL;
    if (e->how == PAIR)
        return set_pair(t, e, text);
    if (e->how == TRIPLE)
        return set_triple(t, e, text);
    if (e->how == NUMBER) {
        if (numbers(text, &v, 1) < 0)
            return -EINVAL;
        snprintf(value, sizeof value, "%lld", v);
        return set(t, e->key, value);
    }
    snprintf(value, sizeof value, "%s", text + strspn(text, BLANKS));
    for (size_t n = strlen(value); n && strchr(BLANKS, value[n - 1]); n--)
        value[n - 1] = 0;
    /* Names of algorithms: one that is not there is ENOENT (tcp_set_default_congestion_control). */
    if (e->how == NAMES && tcp_cc_find(value, strlen(value)) < 0)
        return -ENOENT;
    return set(t, e->key, value) ? -ENOENT : 0;
}
