/* tcp_md5.c: see tcp_md5.h. */
#include "tcp_md5.h"

#include <errno.h>
#include <linux/tcp.h>
#include <md5.h>
#include <sys/socket.h>

#include "tcp_ext.h"
#include "tcp_mss.h"

const uint8_t tcp_md5_blank[16];

/* --- keys --- */

static bool covers(const struct tcp_md5_key *k, const struct ipaddr *a)
{
    unsigned whole = k->prefix_len / 8, rest = k->prefix_len % 8;

    if (memcmp(k->addr.b, a->b, whole) != 0)
        return false;
    return !rest || ((k->addr.b[whole] ^ a->b[whole]) & (0xff00 >> rest & 0xff)) == 0;
}

const struct tcp_md5_key *tcp_md5_find(const struct tcb *t, const struct ipaddr *peer)
{
    const struct tcp_md5_key *best = NULL;

    if (!t->ext)
        return NULL;
    for (const struct tcp_md5_key *k = t->ext->md5; k; k = k->next)
        if (covers(k, peer) && (!best || k->prefix_len > best->prefix_len))
            best = k;
    return best;
}

void tcp_md5_attach(struct tcb *t)
{
    if (tcp_md5_find(t, &t->pcb.remote.addr))
        t->flags |= TF_MD5;
    else
        t->flags &= ~(uint32_t)TF_MD5;
}

struct tcp_md5_key *tcp_md5_dup(struct shard *sh, const struct tcp_md5_key *k)
{
    struct tcp_md5_key *n = k ? slab_alloc(&sh->tcp->md5) : NULL;

    if (n) {
        *n = *k;
        n->next = NULL;
    }
    return n;
}

void tcp_md5_free(struct shard *sh, struct tcp_md5_key *k)
{
    while (k) {
        struct tcp_md5_key *next = k->next;

        memset(k->key, 0, sizeof k->key);
        slab_free(&sh->tcp->md5, k);
        k = next;
    }
}

void tcp_md5_inherit(struct shard *sh, struct tcb *c, const struct tcb *l)
{
    const struct tcp_md5_key *k = tcp_md5_find(l, &c->pcb.remote.addr);

    if (!k || !tcp_ext_get(sh, c))
        return;
    c->ext->md5 = tcp_md5_dup(sh, k);
    c->ext->md5->prefix_len = 128;
    c->ext->md5->addr = c->pcb.remote.addr;
    tcp_md5_attach(c);
}

/* --- the digest (RFC 2385 section 2.0) --- */

static void digest_begin(MD5_CTX *c, const struct ipaddr *src, const struct ipaddr *dst, uint32_t len)
{
    uint32_t len_be = htonl(len), proto_be = htonl(IPPROTO_TCP);

    MD5Init(c);
    if (ipaddr_is_v4(src)) {
        uint8_t rest[4] = {0, IPPROTO_TCP, (uint8_t)(len >> 8), (uint8_t)len};

        MD5Update(c, src->b + 12, 4);
        MD5Update(c, dst->b + 12, 4);
        MD5Update(c, rest, sizeof rest);
        return;
    }
    MD5Update(c, src->b, 16); /* RFC 8200 section 8.1 */
    MD5Update(c, dst->b, 16);
    MD5Update(c, (const uint8_t *)&len_be, 4);
    MD5Update(c, (const uint8_t *)&proto_be, 4);
}

/* The header without options, its checksum zero; what follows them in m; the key. */
static void digest(const struct tcp_md5_key *k, const uint8_t *hdr, unsigned hlen, const struct rte_mbuf *m,
                   uint32_t len, const struct ipaddr *src, const struct ipaddr *dst, uint8_t out[16])
{
    uint8_t fixed[TCP_HDR_LEN];
    uint32_t skip = hlen;
    MD5_CTX c;

    memcpy(fixed, hdr, sizeof fixed);
    fixed[16] = fixed[17] = 0;
    digest_begin(&c, src, dst, len);
    MD5Update(&c, fixed, sizeof fixed);
    for (; m && len; m = m->next) {
        uint32_t n = m->data_len < len ? m->data_len : len;

        if (n > skip)
            MD5Update(&c, rte_pktmbuf_mtod(m, const uint8_t *) + skip, n - skip);
        skip -= n < skip ? n : skip;
        len -= n;
    }
    MD5Update(&c, k->key, k->len);
    MD5Final(out, &c);
}

void tcp_md5_sign(const struct tcp_md5_key *k, struct rte_mbuf *m, const struct ipaddr *src,
                  const struct ipaddr *dst)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), out[16];

    digest(k, p, (unsigned)(p[12] >> 4) * 4, m, m->pkt_len, src, dst, out);
    memcpy(p + TCP_HDR_LEN + 4, out, sizeof out);
}

enum count tcp_md5_check(const struct tcp_md5_key *k, const struct tcp_seg *s)
{
    uint8_t out[16], diff = 0;

    if (!k)
        return s->o.md5 ? COUNT_TCP_MD5_UNEXPECTED : COUNT_OK;
    if (!s->o.md5)
        return COUNT_TCP_MD5_NOT_FOUND;
    digest(k, s->opts - TCP_HDR_LEN, s->h.hlen, s->m, s->ri->len, &s->remote.addr, &s->local.addr, out);
    for (unsigned i = 0; i < sizeof out; i++)
        diff |= (uint8_t)(out[i] ^ s->o.md5[i]);
    return diff ? COUNT_TCP_MD5_FAILURE : COUNT_OK;
}

/* --- the option --- */

/* The address of the request, and the longest prefix of its family. -EINVAL. */
static int request_addr(const struct tcb *t, const struct tcp_md5sig *m, struct ipaddr *a, unsigned *max)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    bool v6 = t->pcb.flags & PCB_V6;

    if (m->tcpm_addr.ss_family == AF_INET && !v6) {
        memcpy(&in, &m->tcpm_addr, sizeof in);
        *a = ipaddr_v4(in.sin_addr.s_addr);
        *max = 32;
        return 0;
    }
    if (m->tcpm_addr.ss_family != AF_INET6 || !v6)
        return -EINVAL;
    memcpy(&in6, &m->tcpm_addr, sizeof in6);
    memcpy(a->b, &in6.sin6_addr, 16);
    *max = ipaddr_is_v4(a) ? 32 : 128;
    return 0;
}

static int set_key(struct shard *sh, struct tcb *t, const struct ipaddr *a, uint8_t prefix_len,
                   const struct tcp_md5sig *m)
{
    struct tcp_md5_key **at, *k;

    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    for (at = &t->ext->md5; *at; at = &(*at)->next)
        if ((*at)->prefix_len == prefix_len && ipaddr_eq(&(*at)->addr, a))
            break;
    k = *at;
    if (!m->tcpm_keylen) {
        if (!k)
            return -ENOENT;
        *at = k->next;
        k->next = NULL;
        tcp_md5_free(sh, k);
        return 0;
    }
    if (!k) {
        k = slab_alloc(&sh->tcp->md5);
        if (!k)
            return -ENOMEM;
        *at = k;
    }
    k->addr = *a;
    k->prefix_len = prefix_len;
    k->len = (uint8_t)m->tcpm_keylen;
    memcpy(k->key, m->tcpm_key, k->len);
    return 0;
}

int tcp_md5_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len)
{
    struct tcp_md5sig m;
    struct ipaddr a;
    unsigned max, prefix;
    int err;

    if (len < sizeof m)
        return -EINVAL;
    memcpy(&m, val, sizeof m);
    err = request_addr(t, &m, &a, &max);
    if (err)
        return err;
    prefix = name == TCP_MD5SIG_EXT && (m.tcpm_flags & TCP_MD5SIG_FLAG_PREFIX) ? m.tcpm_prefixlen : max;
    /* An interface may only be a VRF's, of which there are none. */
    if (prefix > max || m.tcpm_keylen > TCP_MD5_KEY_MAX ||
        (name == TCP_MD5SIG_EXT && (m.tcpm_flags & TCP_MD5SIG_FLAG_IFINDEX) && m.tcpm_ifindex))
        return -EINVAL;
    err = set_key(sh, t, &a, (uint8_t)(prefix + 128 - max), &m);
    if (err)
        return err;
    if (state_in(t, TCPF(LISTEN) | TCPF(CLOSE))) {
        t->flags = t->ext->md5 ? t->flags | TF_MD5 : t->flags & ~(uint32_t)TF_MD5;
        return 0;
    }
    tcp_md5_attach(t);
    tcp_mss_update(sh, t);
    return 0;
}
