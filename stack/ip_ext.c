/* ip_ext.c: IPv4 options and IPv6 extension headers of what is sent (ip_ext.h). */
#include "ip_ext.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "ip6.h"
#include "pkt.h"
#include "wire_ip4.h"
#include "wire_ip6.h"

#define TS_ONLY     0 /* RFC 791 section 3.1, internet timestamp */
#define TS_AND_ADDR 1
#define TS_PRESPEC  3
#define RR_LEAST    3
#define TS_LEAST    4
#define FIRST_ENTRY 4 /* least pointer of record route; a time stamp's is one more */
#define MS_IN_DAY   86400000
#define TIME_NOT_UT 0x80000000u /* RFC 791: "the time is not in milliseconds since midnight UT" */
#define EXTS_MAX    1024        /* objects; memory comes with use */

struct ext_table {
    struct slab exts;
    struct ip_exts scratch;
};

int ip_ext_init(struct shard *sh)
{
    sh->ext_table = seg_alloc(sh->st->seg, sizeof *sh->ext_table, 64);
    if (!sh->ext_table)
        return -ENOMEM;
    return slab_init(&sh->ext_table->exts, sh->st->seg, sizeof(struct ip_ext), EXTS_MAX);
}

struct ip_ext *ip_ext_new(struct shard *sh)
{
    struct ip_ext *x = slab_alloc(&sh->ext_table->exts);

    if (x)
        x->in_use = 1;
    return x;
}

void ip_ext_free(struct shard *sh, struct ip_ext *x)
{
    if (!x)
        return;
    x->in_use = 0;
    list_step();
    slab_free(&sh->ext_table->exts, x);
}

static bool is_live(const void *obj)
{
    return ((const struct ip_ext *)obj)->in_use;
}

void ip_ext_mend(struct shard *sh)
{
    slab_mend(&sh->ext_table->exts, is_live);
}

struct ip_exts *ip_exts_scratch(const struct shard *sh)
{
    return &sh->ext_table->scratch;
}

/* ---- IPv4 options ---- */

/* Bytes of the own entry that a record route or time stamp option o of len bytes has room for, whose pointer
 * says where; 0: none, or full. -EINVAL. */
static int own_entry(const uint8_t *o, uint32_t len)
{
    uint32_t ptr = o[2], need;

    if (o[0] == IP4_OPT_RR) {
        if (len < RR_LEAST || ptr < FIRST_ENTRY || (ptr <= len && ptr + 3 > len))
            return -EINVAL;
        return ptr <= len ? 4 : 0;
    }
    if (len < TS_LEAST || ptr < FIRST_ENTRY + 1)
        return -EINVAL;
    if (ptr > len)
        return 0;
    if (ptr + 3 > len)
        return -EINVAL;
    need = (o[3] & 0xf) == TS_ONLY ? 4 : (o[3] & 0xf) == TS_AND_ADDR || (o[3] & 0xf) == TS_PRESPEC ? 8 : 0;
    if (ptr + need > len + 1)
        return -EINVAL;
    return (o[3] & 0xf) == TS_PRESPEC ? 0 : (int)need;
}

static int check_option(const uint8_t *o, uint32_t len)
{
    switch (o[0]) {
    case IP4_OPT_LSRR:
    case IP4_OPT_SSRR:
        return -EINVAL;
    case IP4_OPT_RR:
    case IP4_OPT_TS:
        return own_entry(o, len) < 0 ? -EINVAL : 0;
    case IP4_OPT_RA:
        return len < 4 ? -EINVAL : 0;
    default: /* Linux asks for CAP_NET_RAW, which whoever runs a stack of his own has */
        return 0;
    }
}

int ip4_opts_check(uint8_t opts[IP4_OPTS_MAX], uint32_t *len)
{
    uint32_t n = *len;

    if (n > IP4_OPTS_MAX)
        return -EINVAL;
    while (n & 3)
        opts[n++] = IP4_OPT_EOL;
    for (uint32_t i = 0; i < n;) {
        if (opts[i] == IP4_OPT_EOL) {
            memset(opts + i, IP4_OPT_EOL, n - i);
            break;
        }
        if (opts[i] == IP4_OPT_NOP) {
            i++;
            continue;
        }
        if (n - i < 2 || opts[i + 1] < 2 || opts[i + 1] > n - i || check_option(opts + i, opts[i + 1]) != 0)
            return -EINVAL;
        i += opts[i + 1];
    }
    *len = n;
    return 0;
}

static uint32_t time_be(const struct shard *sh)
{
    uint64_t ms = (sh->now_ns + (uint64_t)sh->st->wall_off_ns) / 1000000 % MS_IN_DAY;

    return htonl((uint32_t)ms | (sh->st->wall_off_ns ? 0 : TIME_NOT_UT));
}

/* The first entry of a record route or time stamp is the sender's own (ip_options_build). */
static void fill_own_entry(const struct shard *sh, const struct flow *fl, uint8_t *o)
{
    uint32_t src_be = ipaddr_get_v4(&fl->src), now_be = time_be(sh);
    int n = own_entry(o, o[1]);
    uint8_t *at = o + o[2] - 1;

    if (n <= 0)
        return;
    if (o[0] == IP4_OPT_RR) {
        memcpy(at, &src_be, 4);
    } else if (n == 8) {
        memcpy(at, &src_be, 4);
        memcpy(at + 4, &now_be, 4);
    } else {
        memcpy(at, &now_be, 4);
    }
    o[2] = (uint8_t)(o[2] + n);
}

static bool push_opts(const struct shard *sh, const struct flow *fl, const struct ip_exts *x,
                      struct rte_mbuf *m)
{
    uint8_t *o;

    if (rte_pktmbuf_headroom(m) < x->v4_len)
        return false;
    o = (uint8_t *)rte_pktmbuf_prepend(m, x->v4_len);
    memcpy(o, x->v4, x->v4_len);
    for (uint32_t i = 0; i < x->v4_len && o[i] != IP4_OPT_EOL; i += o[i] == IP4_OPT_NOP ? 1 : o[i + 1])
        if (o[i] == IP4_OPT_RR || o[i] == IP4_OPT_TS)
            fill_own_entry(sh, fl, o + i);
    return true;
}

/* ---- IPv6 extension headers ---- */

/* An extension header before *m, whose payload is of protocol next; in a buffer of its own when the headroom
 * would not do for what comes before. */
static bool push_ext(struct shard *sh, struct rte_mbuf **m, const uint8_t *ext, uint16_t len, uint8_t next)
{
    struct rte_mbuf *h = *m;
    uint8_t *at;

    if (rte_pktmbuf_headroom(h) < len + 64u) {
        h = pkt_alloc(sh);
        if (!h)
            return false;
        at = (uint8_t *)rte_pktmbuf_append(h, len);
        if (!at || rte_pktmbuf_chain(h, *m) != 0) {
            rte_pktmbuf_free(h);
            return false;
        }
        *m = h;
    } else {
        at = (uint8_t *)rte_pktmbuf_prepend(h, len);
    }
    memcpy(at, ext, len);
    at[0] = next;
    return true;
}

static int output6(struct shard *sh, struct flow *fl, const struct ip_exts *x, struct rte_mbuf *m)
{
    uint8_t proto = fl->proto;
    int err;

    for (int i = IP6_EXTS - 1; i >= 0; i--) {
        if (!x->len[i])
            continue;
        if (!push_ext(sh, &m, x->v6[i], x->len[i], fl->proto)) {
            fl->proto = proto;
            pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
            return -ENOBUFS;
        }
        fl->proto = i == IP6_EXT_HOP ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS;
    }
    if (x->len[IP6_EXT_HOP] && m->pkt_len + IP6_HDR_LEN > fl->mtu) {
        pkt_drop(sh, m, COUNT_IP6_FRAG_FAIL);
        err = -EMSGSIZE;
    } else {
        err = ip6_output(sh, fl, m);
    }
    fl->proto = proto;
    return err;
}

int ip_ext_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m)
{
    const struct ip_exts *x = sh->exts;
    bool v4 = ipaddr_is_v4(&fl->dst);
    int err;

    fl->caps &= (uint8_t)~FLOW_WITH_EXT;
    if (!ip_finish_l4_cksum(fl, m) || (v4 && x->v4_len && !push_opts(sh, fl, x, m))) {
        pkt_drop(sh, m, v4 ? COUNT_IP_OUT_DISCARD : COUNT_IP6_OUT_DISCARD);
        err = -ENOBUFS;
    } else {
        err = v4 ? ip4_output_opts(sh, fl, m, x->v4_len) : output6(sh, fl, x, m);
    }
    fl->caps |=
        FLOW_WITH_EXT; /* more packets of this send may follow; the next send begins anew (dgram_flow) */
    return err;
}
