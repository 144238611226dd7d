/* icmp.c: ICMP for IPv4 (icmp.h). */
#include "icmp.h"

#include "cksum.h"
#include "icmp6.h"
#include "ifnet.h"
#include "pkt.h"
#include "route.h"
#include "wire_icmp.h"
#include "wire_ip4.h"

#define ICMP_TOS_ERROR 0xc0 /* RFC 1812 section 4.3.2.5: precedence 6, internetwork control */
#define QUOTE_L4_BYTES 8    /* of the transport header that an error must quote (RFC 792) */
#define QUOTE_PULL     (IP4_HDR_MAX_LEN + 64)

/* ---- output ---- */

/* One token an error, icmp_ratelimit tokens a second, ICMP_BURST at most in stock (as Linux's
 * icmp_global_allow). */
bool icmp_take_token(struct shard *sh)
{
    int64_t rate = sh->st->set.icmp_ratelimit;
    uint64_t ns_per_token, fresh;

    if (rate == 0)
        return true;
    ns_per_token = 1000000000ULL / (uint64_t)rate;
    fresh = (sh->now_ns - sh->icmp_stamp_ns) / ns_per_token;
    if (fresh >= ICMP_BURST) {
        sh->icmp_tokens = ICMP_BURST;
        sh->icmp_stamp_ns = sh->now_ns;
    } else {
        sh->icmp_tokens = RTE_MIN(sh->icmp_tokens + (uint32_t)fresh, (uint32_t)ICMP_BURST);
        sh->icmp_stamp_ns += fresh * ns_per_token;
    }
    if (sh->icmp_tokens == 0)
        return false;
    sh->icmp_tokens--;
    return true;
}

/* RFC 1122 section 3.2.2: what no error message may be about. m at the transport header. */
static bool may_report(const struct shard *sh, const struct rxinfo *ri, const struct rte_mbuf *m)
{
    uint8_t type;

    if (ri->bcast || !ipaddr_is_v4(&ri->src) || ipaddr_is_any(&ri->src) || ipaddr_is_multicast(&ri->src) ||
        ip_is_broadcast(sh->st, &ri->src))
        return false;
    if (ri->proto == IPPROTO_ICMP)
        return pkt_read(m, 0, 1, &type) && !icmp_type_is_error(type);
    return true;
}

/* By type, in the order of the counters; first: COUNT_ICMP_IN_DESTUNREACHS or ..._OUT_... */
static void count_type(struct shard *sh, enum count first, uint8_t type)
{
    static const uint8_t types[] = {ICMP_T_UNREACH,  ICMP_T_TIME_EXCEEDED, ICMP_T_PARAM,
                                    ICMP_T_REDIRECT, ICMP_T_ECHO,          ICMP_T_ECHO_REPLY};

    for (unsigned i = 0; i < sizeof types; i++)
        if (types[i] == type)
            sh->count[first + i]++;
}

/* Checksums the message (m at the ICMP header) and sends it from src to dst. Takes ownership. */
static void transmit(struct shard *sh, const struct ipaddr *src, const struct ipaddr *dst, uint8_t tos,
                     struct rte_mbuf *m)
{
    struct flow fl = {.src = *src, .dst = *dst, .proto = IPPROTO_ICMP, .tos = tos};
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t sum;

    /* No port computes ICMP's checksum. */
    memset(p + 2, 0, 2);
    sum = (uint16_t)~cksum_fold(cksum_add_mbuf(0, m, 0, m->pkt_len));
    memcpy(p + 2, &sum, 2);
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    m->l4_len = 0;
    sh->count[COUNT_ICMP_OUT]++;
    count_type(sh, COUNT_ICMP_OUT_DESTUNREACHS, p[0]);
    ip_output(sh, &fl, m);
}

struct rte_mbuf *icmp_about(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                            uint8_t code, uint32_t rest, uint32_t head, uint32_t quote)
{
    struct rte_mbuf *e = pkt_alloc(sh);
    uint8_t *p;

    if (!e)
        return NULL;
    p = (uint8_t *)rte_pktmbuf_append(e, (uint16_t)(ICMP_HDR_LEN + head + quote));
    if (p) {
        p += wire_icmp_emit(p, type, code, rest);
        memcpy(p, rte_pktmbuf_mtod(m, const uint8_t *) - ri->l3_len, head);
    }
    if (p && pkt_read(m, 0, quote, p + head))
        return e;
    rte_pktmbuf_free(e);
    return NULL;
}

void icmp_send(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type, uint8_t code,
               uint32_t rest)
{
    uint32_t quote = RTE_MIN(ri->len, (uint32_t)(ICMP_ERROR_MAX - IP4_HDR_LEN - ICMP_HDR_LEN - ri->l3_len));
    struct rte_mbuf *e;

    if (!may_report(sh, ri, m))
        return;
    /* Linux does not limit what stays on the host: those errors are how its own sockets learn (neigh.h). */
    if (!ip_is_local(sh->st, &ri->src) && !icmp_take_token(sh)) {
        sh->count[COUNT_ICMP_RATELIMIT]++;
        return;
    }
    e = icmp_about(sh, ri, m, type, code, rest, ri->l3_len, quote);
    if (e)
        transmit(sh, &ri->dst, &ri->src, (ri->tos & 0x1e) | ICMP_TOS_ERROR, e);
}

void icmp_send_error(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                     uint8_t code)
{
    if (ipaddr_is_v4(&ri->src))
        icmp_send(sh, ri, m, type, code, 0);
    else
        icmp6_send_like(sh, ri, m, type, code);
}

/* ---- input ---- */

/* RFC 1122 section 3.2.2.6. Differs: IP options of the request are not returned in the reply. */
static void echo_reply(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    /* What others may still read (loopback frames share the sender's buffers) is not overwritten. */
    if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(m, sh->pool, 0, UINT32_MAX);

        rte_pktmbuf_free(m);
        if (!copy) {
            sh->count[COUNT_NOMEM_PKT]++;
            return;
        }
        m = copy;
    }
    *rte_pktmbuf_mtod(m, uint8_t *) = ICMP_T_ECHO_REPLY;
    transmit(sh, &ri->dst, &ri->src, ri->tos, m);
}

/* Reads the quoted packet, which must be one of ours, into *err. m at the ICMP header. */
static bool read_quote(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri,
                       const struct icmp_in *in, struct icmp_error *err)
{
    const struct ip4_hdr *ip;
    const uint8_t *p, *l4;
    uint32_t avail;

    if (!pkt_pull(m, RTE_MIN(m->pkt_len, (uint32_t)(ICMP_HDR_LEN + QUOTE_PULL))))
        return false;
    p = rte_pktmbuf_mtod_offset(m, const uint8_t *, ICMP_HDR_LEN);
    avail = m->data_len - ICMP_HDR_LEN;
    if (avail < IP4_HDR_LEN)
        return false;
    ip = (const struct ip4_hdr *)p;
    if (ip->ver_ihl >> 4 != 4 || ip4_hlen(ip) < IP4_HDR_LEN || avail < ip4_hlen(ip) + QUOTE_L4_BYTES)
        return false;
    /* A later fragment's first bytes are no transport header. */
    if (ip->off_be & htons(IP4_OFFSET_MASK))
        return false;
    memset(err, 0, sizeof *err);
    err->src = ipaddr_v4(ip->src_be);
    err->dst = ipaddr_v4(ip->dst_be);
    if (!ip_is_local(sh->st, &err->src))
        return false;
    l4 = p + ip4_hlen(ip);
    err->from = ri->src;
    err->to = ri->dst;
    err->ttl = ri->ttl;
    err->tos = ri->tos;
    err->ifindex = ri->ifindex;
    err->info = (uint32_t)ntohs(in->id_be) << 16 | ntohs(in->seq_be);
    err->proto = ip->proto;
    err->type = in->type;
    err->code = in->code;
    memcpy(&err->sport_be, l4, 2);
    memcpy(&err->dport_be, l4 + 2, 2);
    memcpy(&err->seq, l4 + 4, 4);
    err->seq = ntohl(err->seq);
    err->data = p;
    err->data_len = avail;
    return true;
}

static enum ip_verdict error_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri,
                                   const struct icmp_in *in, struct icmp_error *err)
{
    struct icmp_errno what = wire_icmp_errno(in->type, in->code);

    if (!read_quote(sh, m, ri, in, err)) {
        pkt_drop(sh, m, COUNT_ICMP_ERR);
        return IP_DONE;
    }
    if (what.err == 0) { /* nothing that a socket should hear of */
        rte_pktmbuf_free(m);
        return IP_DONE;
    }
    err->err = what.err;
    err->fatal = what.fatal;
    if (in->type == ICMP_T_UNREACH && in->code == ICMP_C_FRAG_NEEDED) {
        err->too_big = 1;
        err->mtu = in->mtu;
    }
    return IP_ICMP_ERROR;
}

/* RFC 1122 section 3.2.2.2: a better gateway for the destination of a packet of ours; host redirects and net
 * redirects alike are about that host. */
static void redirect(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                     const struct icmp_in *in)
{
    struct icmp_error e;
    struct ipaddr via;

    if (ri->bcast || in->code > 3 || !read_quote(sh, m, ri, in, &e)) {
        sh->count[COUNT_ICMP_ERR]++;
        return;
    }
    via = ipaddr_v4(htonl(e.info));
    if (sh->st->set.accept_redirects)
        route_redirect_learn(sh, &e.dst, &via, &ri->src, ifindex);
}

enum ip_verdict icmp_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                           struct icmp_error *err)
{
    struct icmp_in in;

    sh->count[COUNT_ICMP_IN]++;
    if (!pkt_pull(m, RTE_MIN(m->pkt_len, (uint32_t)ICMP_HDR_LEN)) ||
        wire_icmp_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &in) != 0) {
        pkt_drop(sh, m, COUNT_ICMP_ERR);
        return IP_DONE;
    }
    /* What a port verified is a TCP or UDP checksum. */
    if (cksum_fold(cksum_add_mbuf(0, m, 0, m->pkt_len)) != 0xffff) {
        pkt_drop(sh, m, COUNT_ICMP_CSUM);
        return IP_DONE;
    }
    count_type(sh, COUNT_ICMP_IN_DESTUNREACHS, in.type);
    switch (in.type) {
    case ICMP_T_ECHO:
        /* RFC 1122 section 3.2.2.6 lets broadcasts go unanswered; Linux's icmp_echo_ignore_broadcasts does.
         */
        if (!ri->bcast) {
            echo_reply(sh, m, ri);
            return IP_DONE;
        }
        break;
    case ICMP_T_UNREACH:
    case ICMP_T_TIME_EXCEEDED:
    case ICMP_T_PARAM:
    case ICMP_T_SOURCE_QUENCH:
        return error_input(sh, m, ri, &in, err);
    case ICMP_T_REDIRECT:
        redirect(sh, ifindex, m, ri, &in);
        break;
    default: /* echo replies (raw sockets will want them), redirects, router discovery */
        break;
    }
    rte_pktmbuf_free(m);
    return IP_DONE;
}
