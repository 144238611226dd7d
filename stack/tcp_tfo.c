/* tcp_tfo.c: see tcp_tfo.h. */
#include "tcp_tfo.h"

#include <errno.h>
#include <linux/tcp.h>

#include "hash.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_listen.h"
#include "tcp_metrics.h"
#include "tcp_mss.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_recover.h"
#include "tcp_rtt.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_timer.h"

#define COOKIE_LEN 8
#define KEY_LEN    16
#define IOV_SYN    16 /* pieces of the user's data that a SYN is filled from */

int tcp_tfo_init(struct shard *sh)
{
    sh->tcp->tfo = seg_alloc(sh->st->seg, TFO_PEERS * sizeof(struct tfo_peer), 64);
    return sh->tcp->tfo ? 0 : -ENOMEM;
}

static bool tfo_set(const struct shard *sh, int64_t bit)
{
    return sh->st->set.tcp_fastopen & bit;
}

/* --- the server's cookies --- */

/* Key i of listener l (its own, else the stack's, else one made from the secret). False: there is none. */
static bool key_get(const struct shard *sh, const struct tcb *l, unsigned i, uint8_t key[KEY_LEN])
{
    const struct tunables *set = &sh->st->set;
    const struct tcp_ext *x = l->ext;

    if (x && x->tfo.nkeys) {
        memcpy(key, x->tfo.key + i % 2 * KEY_LEN, KEY_LEN);
        return i < x->tfo.nkeys;
    }
    if (set->tcp_fastopen_nkeys) {
        memcpy(key, set->tcp_fastopen_key + i % 2 * KEY_LEN, KEY_LEN);
        return i < set->tcp_fastopen_nkeys;
    }
    for (uint64_t half = 0; half < 2; half++) {
        uint64_t in[2] = {5, half}, k = siphash(sh->st->secret, in, sizeof in);

        memcpy(key + half * 8, &k, 8);
    }
    return i == 0;
}

/* SipHash of client's and server's address, as they stand in the IP header (Linux:
 * __tcp_fastopen_cookie_gen_cipher). */
static void cookie_make(const uint8_t key[KEY_LEN], const struct endpoint *local,
                        const struct endpoint *remote, uint8_t cookie[COOKIE_LEN])
{
    uint8_t in[32];
    bool v4 = ipaddr_is_v4(&remote->addr);
    size_t n = v4 ? 4 : 16;
    uint64_t h;

    memcpy(in, remote->addr.b + 16 - n, n);
    memcpy(in + n, local->addr.b + 16 - n, n);
    h = siphash(key, in, 2 * n);
    memcpy(cookie, &h, COOKIE_LEN);
}

/* The number of the key that the cookie was made with, -1: of none. first: the newest key's cookie. */
static int cookie_check(const struct shard *sh, const struct tcb *l, const struct tcp_seg *s,
                        uint8_t first[COOKIE_LEN])
{
    uint8_t key[KEY_LEN], c[COOKIE_LEN];
    int found = -1;

    for (unsigned i = 0; key_get(sh, l, i, key); i++) {
        cookie_make(key, &s->local, &s->remote, c);
        if (i == 0)
            memcpy(first, c, COOKIE_LEN);
        if (found < 0 && s->o.fastopen_len == COOKIE_LEN && memcmp(s->o.fastopen, c, COOKIE_LEN) == 0)
            found = (int)i;
    }
    return found;
}

/* Room for another child that has not finished its handshake? */
static bool queue_has_room(struct shard *sh, struct tcb *l)
{
    struct tcp_tfo *q = &l->ext->tfo;

    if (q->rst && tcp_now_ms(sh) - q->rst_ms >= TFO_RST_HOLD_MS) {
        q->len -= q->rst;
        q->rst = 0;
    }
    if (q->len < q->max)
        return true;
    tcp_count(sh, COUNT_TFO_OVERFLOW);
    return false;
}

bool tcp_tfo_try(struct shard *sh, struct tcb *l, const struct tcp_seg *s, uint8_t cookie[TFO_COOKIE_MAX],
                 int8_t *cookie_len)
{
    bool data = s->len != 0;
    int which;

    *cookie_len = -1;
    if (s->o.fastopen_len == 0)
        tcp_count(sh, COUNT_TFO_COOKIE_REQ);
    if (!tfo_set(sh, TFO_SERVER) || !l->ext || !l->ext->tfo.max || (!data && s->o.fastopen_len < 0) ||
        !queue_has_room(sh, l))
        return false;
    if (tfo_set(sh, TFO_SERVER_NO_COOKIE) || l->ext->tfo.no_cookie)
        return true;
    if (s->o.fastopen_len < 0)
        return false;
    which = cookie_check(sh, l, s, cookie);
    if (which != 0)
        *cookie_len = COOKIE_LEN;
    if (s->o.fastopen_len == 0)
        return false;
    if (which < 0)
        tcp_count(sh, COUNT_TFO_PASSIVE_FAIL);
    else if (which > 0)
        tcp_count(sh, COUNT_TFO_ALT_KEY);
    return which >= 0;
}

enum count tcp_tfo_child(struct shard *sh, struct tcb *l, struct tcb *c, struct tcp_seg *s)
{
    struct tcp_tfo *x = &c->ext->tfo;
    enum count v = COUNT_OK;

    x->listener = l;
    x->listen_id = l->listen_id;
    l->ext->tfo.len++;
    tcp_established(sh, c, s); /* all but the state */
    c->state = TCPS_SYN_RECEIVED;
    c->flags |= TF_TFO;
    c->snd_una = c->tx->snd_sml = c->tx->iss;
    c->rcv_nxt = c->rcv_wup = c->copied_seq = c->tx->irs + 1;
    tcp_count(sh, COUNT_TFO_PASSIVE);
    if (s->len) {
        s->h.flags &= (uint8_t)~TCP_SYN; /* the text, as that of any segment */
        s->h.seq++;
        x->syn_data_acked = 1;
        v = tcp_take_text(sh, c, s);
        c->flags &= ~(uint32_t)(TF_ACK_NOW | TF_ACK_DELAYED);
        tcp_deadline_clear(c, DL_DELACK);
    }
    tcp_send_syn(sh, c);
    tcp_accept_add(sh, l, c);
    return v == COUNT_OK ? TCP_DONE : v;
}

void tcp_tfo_child_open(struct shard *sh, struct tcb *c, const struct tcp_seg *s)
{
    tcp_tfo_child_ends(sh, c, false);
    c->state = c->flags & TF_FIN_QUEUED ? TCPS_FIN_WAIT_1 : TCPS_ESTABLISHED;
    c->tx->retries = c->backoff = 0;
    c->tx->rtx_first_ms = 0;
    c->snd_wnd = (uint32_t)s->h.window << c->snd_wscale;
    if (c->snd_wnd > c->max_wnd)
        c->max_wnd = c->snd_wnd;
    c->snd_wl1 = s->h.seq;
    c->snd_wl2 = s->h.ack;
    if (!(c->flags & TF_SYN_RETRANS))
        tcp_rtt_sample(sh, c, tcp_now_us(sh) - c->io->drs_us);
    tcp_deadline_set(sh, c, DL_IDLE, TX_IDLE_MS);
    if (tcp_flight(c))
        tcp_rtx_arm(sh, c);
    else
        tcp_deadline_clear(c, DL_RTX);
    tcp_at_burst_end(sh, c, TF_OUTPUT);
}

void tcp_tfo_child_ends(struct shard *sh, struct tcb *c, bool reset)
{
    struct tcp_tfo *x = &c->ext->tfo;
    struct tcb *l = x->listener;

    c->flags &= ~(uint32_t)TF_TFO;
    if (!l || l->state != TCPS_LISTEN || l->listen_id != x->listen_id || !l->ext)
        return;
    x->listener = NULL;
    if (reset) {
        l->ext->tfo.rst++;
        l->ext->tfo.rst_ms = tcp_now_ms(sh);
    } else if (l->ext->tfo.len) {
        l->ext->tfo.len--;
    }
}

void tcp_tfo_listen(struct shard *sh, struct tcb *l)
{
    if (tfo_set(sh, TFO_SERVER) && tfo_set(sh, TFO_SERVER_ALL) && !(l->ext && l->ext->tfo.max) &&
        tcp_ext_get(sh, l))
        l->ext->tfo.max = l->backlog < UINT16_MAX ? l->backlog : UINT16_MAX;
    if (l->ext)
        l->ext->tfo.len = l->ext->tfo.rst = 0;
}

/* --- what the client remembers --- */

#define WAYS 4u

static struct tfo_peer *peer_set(const struct shard *sh, const struct ipaddr *a)
{
    return sh->tcp->tfo + hash_addr(sh->st->secret, a, 6) % (TFO_PEERS / WAYS) * WAYS;
}

static struct tfo_peer *peer_find(const struct shard *sh, const struct ipaddr *a)
{
    struct tfo_peer *p = peer_set(sh, a);

    for (unsigned i = 0; i < WAYS; i++)
        if (p[i].used_ms && ipaddr_eq(&p[i].addr, a))
            return &p[i];
    return NULL;
}

/* The entry of a, made anew in place of the oldest of its set. */
static struct tfo_peer *peer_get(struct shard *sh, const struct ipaddr *a)
{
    struct tfo_peer *p = peer_find(sh, a), *set = peer_set(sh, a);
    uint32_t now = tcp_now_ms(sh), oldest = 0;

    for (unsigned i = 0; !p && i < WAYS; i++)
        if (!set[i].used_ms || now - set[i].used_ms > now - set[oldest].used_ms)
            oldest = set[i].used_ms ? i : (i | WAYS);
    if (!p) {
        p = &set[oldest % WAYS];
        *p = (struct tfo_peer){.addr = *a};
    }
    p->used_ms = now;
    return p;
}

/* Fast Open is off for a while after it met a black hole: tcp_fastopen_blackhole_timeout seconds, doubled
 * each time (section 4.1.3.1 leaves the how open; as Linux). */
static bool blackholed(struct shard *sh)
{
    struct tcp_table *tt = sh->tcp;
    uint64_t hold_ms = (uint64_t)sh->st->set.tcp_fastopen_blackhole_timeout * 1000;

    if (!tt->tfo_holes || !hold_ms)
        return false;
    hold_ms <<= tt->tfo_holes > 6 ? 6 : tt->tfo_holes - 1;
    return tcp_now_ms(sh) - tt->tfo_hole_ms < hold_ms;
}

/* May the SYN to t's peer carry data? Fills in what the option says. (Linux: tcp_fastopen_cookie_check.) */
static bool cookie_usable(struct shard *sh, struct tcb *t)
{
    const struct tfo_peer *p = peer_find(sh, &t->pcb.remote.addr);
    struct tcp_tfo *x = &t->ext->tfo;

    x->cookie_len = 0;
    x->exp = 0;
    if (p) {
        if (p->mss)
            t->peer_mss = p->mss;
        x->cookie_len = (int8_t)p->cookie_len;
        memcpy(x->cookie, p->cookie, sizeof x->cookie);
        x->exp = p->cookie_len ? p->exp : p->try_exp == 1;
    }
    if (blackholed(sh)) {
        x->cookie_len = -1;
        return false;
    }
    if (x->no_cookie || tfo_set(sh, TFO_CLIENT_NO_COOKIE) ||
        tcp_metric(sh, &t->io->flow, RTAX_FASTOPEN_NO_COOKIE)) {
        x->cookie_len = -1;
        return true;
    }
    if (x->cookie_len > 0)
        return true;
    x->fail = TFO_FAIL_NO_COOKIE;
    return false;
}

bool tcp_tfo_prepare(struct shard *sh, struct tcb *t, bool with_data)
{
    struct tcp_tfo *x;
    bool usable;

    if (!with_data && !(t->ext && t->ext->tfo.connect))
        return false;
    x = &t->ext->tfo;
    x->asked = 1;
    x->syn_data = 0;
    x->fail = TFO_FAIL_NONE;
    x->syn_retrans = x->more = 0;
    x->syn_data_acked = 0;
    t->peer_mss = tcp_own_mss(t);
    usable = cookie_usable(sh, t);
    tcp_mss_update(sh, t);
    x->usable = usable;
    if (usable && !with_data) {
        x->deferred = 1;
        return true;
    }
    if (x->cookie_len >= 0) {
        t->flags |= TF_TFO;
        if (!usable)
            x->cookie_len = 0;
    }
    return false;
}

void tcp_tfo_syn_opt(struct tcb *t, struct tcp_opts *o)
{
    struct tcp_tfo *x = &t->ext->tfo;

    if (t->state == TCPS_SYN_RECEIVED) {
        if (x->cookie_len <= 0)
            return;
    }
    o->fastopen_len = x->cookie_len;
    o->fastopen = x->cookie;
    o->fastopen_exp = x->exp;
    x->cookie_len = -1; /* once: a SYN that is sent again is a plain one */
}

/* Queues what fits into a SYN, and sends it. */
static ssize_t send_syn_data(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt)
{
    struct tcp_tfo *x = &t->ext->tfo;
    struct iovec part[IOV_SYN];
    uint32_t room = t->mss > TCP_OPTS_MAX_LEN ? t->mss - TCP_OPTS_MAX_LEN : 0; /* whatever options come */
    bool again;
    ssize_t n = 0;
    int k = 0;

    for (int i = 0; i < iovcnt && k < IOV_SYN && room && x->usable; i++) {
        if (!iov[i].iov_len)
            continue;
        part[k] = iov[i];
        if (part[k].iov_len > room)
            part[k].iov_len = room;
        room -= (uint32_t)part[k++].iov_len;
    }
    if (k) {
        n = tcp_sndq_append(sh, t, part, k, 0, &again);
        if (n == -EFAULT)
            return n;
        if (n < 0)
            n = 0;
    }
    if (n)
        pkt_meta(t->tx->snd_tail)->flags |= UNIT_PSH;
    x->syn_data = (uint32_t)n;
    if (x->cookie_len >= 0)
        t->flags |= TF_TFO;
    tcp_send_syn(sh, t);
    if (!n)
        return -EINPROGRESS;
    t->flags &= ~(uint32_t)TF_MORE;
    return n;
}

ssize_t tcp_tfo_connect(struct shard *sh, struct tcb *t, const struct endpoint *remote,
                        const struct iovec *iov, int iovcnt)
{
    ssize_t n;

    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    n = tcp_connect_quiet(sh, t, remote);
    if (n != -EINPROGRESS)
        return n;
    n = send_syn_data(sh, t, iov, iovcnt);
    if (n == -EFAULT)
        tcp_disconnect(sh, t);
    return n;
}

ssize_t tcp_tfo_deferred(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt)
{
    t->ext->tfo.deferred = 0;
    t->io->drs_us = tcp_now_us(sh);
    return send_syn_data(sh, t, iov, iovcnt);
}

bool tcp_syn_waits(const struct tcb *t)
{
    return tcp_tfo_is_deferred(t);
}

/* What the SYN,ACK taught about the peer (Linux: tcp_fastopen_cache_set). solicited: our SYN bore the option.
 */
static void learn(struct shard *sh, const struct tcb *t, const struct tcp_seg *s, bool solicited)
{
    const struct tcp_tfo *x = &t->ext->tfo;
    struct tfo_peer *p = peer_get(sh, &t->pcb.remote.addr);

    p->mss = t->peer_mss;
    if (!solicited)
        return;
    if (s->o.fastopen_len > 0) {
        p->cookie_len = (uint8_t)s->o.fastopen_len;
        p->exp = s->o.fastopen_exp;
        memcpy(p->cookie, s->o.fastopen, p->cookie_len);
    } else if (!(t->flags & TF_SYN_RETRANS) && s->o.fastopen_len < 0 && !x->syn_data && !p->cookie_len) {
        uint8_t next = x->exp ? 2 : 1; /* the other form of the option next time, once */

        if (next > p->try_exp)
            p->try_exp = next;
    }
}

bool tcp_tfo_syn_acked(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    struct tcp_tfo *x = &t->ext->tfo;
    bool optioned = t->flags & TF_TFO;

    t->flags &= ~(uint32_t)TF_TFO;
    if (!x->asked)
        return false;
    x->asked = 0;
    x->syn_retrans = tcp_total_retrans(t) < UINT8_MAX ? (uint8_t)tcp_total_retrans(t) : UINT8_MAX;
    learn(sh, t, s, optioned);
    if (x->syn_data && t->snd_una != t->snd_nxt) {
        x->fail = t->flags & TF_SYN_RETRANS ? TFO_FAIL_SYN_RETRANS : TFO_FAIL_DATA_NOT_ACKED;
        tcp_count(sh, COUNT_TFO_ACTIVE_FAIL);
        return true;
    }
    if (x->syn_data) {
        x->syn_data_acked = 1;
        sh->tcp->tfo_holes = 0;
        tcp_count(sh, COUNT_TFO_ACTIVE);
    }
    return false;
}

void tcp_tfo_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_tfo *x = &t->ext->tfo;

    if ((!x->asked && !x->syn_data) || t->tx->retries != 2 || !sh->st->set.tcp_fastopen_blackhole_timeout)
        return;
    sh->tcp->tfo_holes++;
    sh->tcp->tfo_hole_ms = tcp_now_ms(sh);
    tcp_count(sh, COUNT_TFO_BLACKHOLE);
    tcp_count(sh, COUNT_TFO_ACTIVE_FAIL);
}

/* --- options --- */

static int set_key(struct shard *sh, struct tcb *t, const void *val, uint32_t len)
{
    if (len != KEY_LEN && len != 2 * KEY_LEN)
        return -EINVAL;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    memcpy(t->ext->tfo.key, val, len);
    t->ext->tfo.nkeys = (uint8_t)(len / KEY_LEN);
    return 0;
}

int tcp_tfo_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len)
{
    int64_t max = sh->st->set.somaxconn < UINT16_MAX ? sh->st->set.somaxconn : UINT16_MAX;
    bool fresh = state_in(t, TCPF(CLOSE) | TCPF(LISTEN));
    int v;

    if (name == TCP_FASTOPEN_KEY)
        return set_key(sh, t, val, len);
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (name == TCP_FASTOPEN ? v < 0 || !fresh : v < 0 || v > 1)
        return -EINVAL;
    if (name == TCP_FASTOPEN_CONNECT && !tfo_set(sh, TFO_CLIENT))
        return -EOPNOTSUPP;
    if ((name == TCP_FASTOPEN_CONNECT && t->state != TCPS_CLOSE) ||
        (name == TCP_FASTOPEN_NO_COOKIE && !fresh))
        return -EINVAL;
    if (!v && !t->ext)
        return 0;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    if (name == TCP_FASTOPEN)
        t->ext->tfo.max = (uint16_t)(v < max ? v : max);
    else if (name == TCP_FASTOPEN_CONNECT)
        t->ext->tfo.connect = (uint8_t)v;
    else
        t->ext->tfo.no_cookie = (uint8_t)v;
    return 0;
}

int tcp_tfo_getopt(struct shard *sh, const struct tcb *t, int name, void *val, uint32_t *len)
{
    static const struct tcp_tfo none;
    const struct tcp_tfo *x = t->ext ? &t->ext->tfo : &none;
    uint8_t key[2 * KEY_LEN];
    uint32_t n = sizeof(int);
    int v = name == TCP_FASTOPEN ? x->max : name == TCP_FASTOPEN_CONNECT ? x->connect : x->no_cookie;

    if (name == TCP_FASTOPEN_KEY) {
        unsigned i = 0;

        while (i < 2 && key_get(sh, t, i, key + i * KEY_LEN))
            i++;
        n = i * KEY_LEN;
        if (*len < n)
            return -EINVAL;
    } else {
        memcpy(key, &v, sizeof v);
    }
    if (*len > n)
        *len = n;
    memcpy(val, key, *len);
    return 0;
}
