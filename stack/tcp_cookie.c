/* tcp_cookie.c: see tcp_cookie.h. */
#include "tcp_cookie.h"

#include "hash.h"

#define DATA_BITS    24
#define DATA_MASK    ((1u << DATA_BITS) - 1)
#define MAX_AGE      2 /* minutes begun */
#define WSCALE_MASK  0xfu
#define WSCALE_NONE  0xfu
#define TS_SACK      (1u << 4)
#define TS_ECN       (1u << 5)
#define TS_OPTS_BITS 6

/* Linux's tables: the values that peers send most, so that little is lost by the next lower one. */
static const uint16_t mss_v4[4] = {536, 1300, 1440, 1460};
static const uint16_t mss_v6[4] = {1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60};

static const uint16_t *mss_table(const struct ipaddr *remote)
{
    return ipaddr_is_v4(remote) ? mss_v4 : mss_v6;
}

static uint32_t minute(const struct shard *sh)
{
    return (uint32_t)(shard_ms(sh) / 60000);
}

static uint32_t cookie_hash(const struct shard *sh, const struct endpoint *local,
                            const struct endpoint *remote, uint32_t count, uint64_t what)
{
    struct {
        struct ipaddr local, remote;
        uint16_t lport_be, rport_be;
        uint32_t count;
        uint64_t what;
    } in = {local->addr, remote->addr, local->port_be, remote->port_be, count, what};

    return (uint32_t)siphash(sh->st->secret, &in, sizeof in);
}

uint32_t tcp_cookie_make(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                         uint32_t irs, uint16_t *mss)
{
    const uint16_t *table = mss_table(&remote->addr);
    uint32_t count = minute(sh), i = 3;

    while (i && table[i] > *mss)
        i--;
    *mss = table[i];
    return cookie_hash(sh, local, remote, 0, 3) + irs + (count << DATA_BITS) +
           ((cookie_hash(sh, local, remote, count, 4) + i) & DATA_MASK);
}

uint16_t tcp_cookie_check(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                          uint32_t irs, uint32_t cookie)
{
    uint32_t count = minute(sh), age, i;

    cookie -= cookie_hash(sh, local, remote, 0, 3) + irs;
    age = (count - (cookie >> DATA_BITS)) & (UINT32_MAX >> DATA_BITS);
    if (age >= MAX_AGE)
        return 0;
    i = (cookie - cookie_hash(sh, local, remote, count - age, 4)) & DATA_MASK;
    return i < 4 ? mss_table(&remote->addr)[i] : 0;
}

uint32_t tcp_cookie_ts(uint32_t now_ms, const struct tcp_cookie_opts *o)
{
    uint32_t ts = now_ms >> TS_OPTS_BITS << TS_OPTS_BITS;

    ts |= (o->wscale_ok ? o->wscale & WSCALE_MASK : WSCALE_NONE) | (o->sack ? TS_SACK : 0) |
          (o->ecn ? TS_ECN : 0);
    if ((int32_t)(ts - now_ms) > 0)
        ts -= 1u << TS_OPTS_BITS;
    return ts;
}

bool tcp_cookie_ts_read(const struct tunables *set, uint32_t ts, struct tcp_cookie_opts *o)
{
    o->wscale_ok = (ts & WSCALE_MASK) != WSCALE_NONE;
    o->wscale = o->wscale_ok ? ts & WSCALE_MASK : 0;
    o->sack = ts & TS_SACK;
    o->ecn = ts & TS_ECN;
    return set->tcp_timestamps && (!o->sack || set->tcp_sack) && (!o->wscale_ok || set->tcp_window_scaling);
}
