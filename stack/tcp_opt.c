/* tcp_opt.c: setsockopt and getsockopt of level IPPROTO_TCP, and of SOL_SOCKET what TCP itself must know,
 * with Linux's checks and rounding (tcp(7), socket(7)). Linux takes any length of at least an int. */
#include <errno.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "tcp_cc.h"
#include "tcp_info.h"
#include "tcp_opt.h"
#include "tcp_ext.h"
#include "tcp_md5.h"
#include "tcp_output.h"
#include "tcp_pace.h"
#include "tcp_rcvq.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_synq.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"

#define SNDBUF_MIN 4608

#define OPT_BUF_LOCK     72 /* SO_BUF_LOCK; glibc 2.36 lacks it */
#define SOCK_SNDBUF_LOCK 1
#define SOCK_RCVBUF_LOCK 2

static void flag_set(struct tcb *t, uint32_t flag, int on)
{
    t->flags = on ? t->flags | flag : t->flags & ~flag;
}

static void opt_set(struct tcb *t, uint8_t opt, int on)
{
    t->opts = (uint8_t)(on ? t->opts | opt : t->opts & ~opt);
}

static int set_congestion(struct shard *sh, struct tcb *t, const char *val, uint32_t len)
{
    uint32_t n = (uint32_t)strnlen(val, len < 15 ? len : 15);
    int i;

    if (len < 1)
        return -EINVAL;
    i = tcp_cc_find(val, n);
    if (i < 0)
        return -ENOENT;
    if (!(sh->st->set.tcp_allowed_congestion_control >> i & 1))
        return -EPERM;
    return tcp_cc_set(sh, t, (uint8_t)i);
}

/* SO_MAX_PACING_RATE, of 32 bits (all ones: none) or 64. */
static int set_pacing_rate(struct shard *sh, struct tcb *t, const void *val, uint32_t len)
{
    uint64_t rate;
    uint32_t v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    rate = v == UINT32_MAX ? PACE_UNLIMITED : v;
    if (len >= sizeof rate)
        memcpy(&rate, val, sizeof rate);
    return tcp_pace_set_max(sh, t, rate);
}

static int set_range(int v, int min, int max, uint32_t scale, uint16_t *out)
{
    if (v < min || v > max)
        return -EINVAL;
    *out = (uint16_t)((uint32_t)v * scale);
    return 0;
}

static int set_byte(int v, int min, int max, uint8_t *out)
{
    if (v < min || v > max)
        return -EINVAL;
    *out = (uint8_t)v;
    return 0;
}

/* TCP_QUICKACK (Linux: __tcp_sock_set_quickack): 0 turns interactive mode on, anything else off, and what is
 * owed is sent. */
static void set_quickack(struct shard *sh, struct tcb *t, int v)
{
    if (!v) {
        t->flags |= TF_PINGPONG;
        t->quick = 0;
        return;
    }
    t->flags &= ~(uint32_t)TF_PINGPONG;
    t->quick = TCP_QUICK_ACKS;
    if (t->flags & TF_ACK_DELAYED)
        tcp_send_ack(sh, t);
}

static int set_keepidle(struct shard *sh, struct tcb *t, int v)
{
    int err = set_range(v, 1, 32767, 1, &t->keep_idle_s);

    if (!err && (t->opts & TO_KEEPALIVE) && state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)))
        tcp_keep_arm(sh, t);
    return err;
}

static int set_linger2(struct tcb *t, int v)
{
    t->linger2_s = (int16_t)(v < 0 ? -1 : v > 120 ? 120 : v);
    return 0;
}

static int set_window_clamp(struct tcb *t, int v)
{
    if (v == 0) {
        if (t->state != TCPS_CLOSE)
            return -EINVAL;
        t->window_clamp = 0;
        return 0;
    }
    tcp_set_window_clamp(t, v < 0 ? 0 : (uint32_t)v);
    return 0;
}

static int set_user_timeout(struct shard *sh, struct tcb *t, int v)
{
    if (v < 0)
        return -EINVAL;
    if (v == 0 && !t->ext)
        return 0;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    t->ext->user_timeout_ms = (uint32_t)v;
    return 0;
}

/* TCP_DEFER_ACCEPT is given in seconds and kept as the number of SYN,ACK retransmissions that take as long
 * (Linux). */
static uint8_t secs_to_retrans(int secs)
{
    int period = 1, timeout = 1;
    uint8_t n = 1;

    if (secs <= 0)
        return 0;
    while (secs > period && n < UINT8_MAX) {
        n++;
        timeout = timeout * 2 > TCP_RTO_MAX_MS / 1000 ? TCP_RTO_MAX_MS / 1000 : timeout * 2;
        period += timeout;
    }
    return n;
}

static int retrans_to_secs(uint8_t n)
{
    int period = 0, timeout = 1;

    for (; n > 0; n--) {
        period += timeout;
        timeout = timeout * 2 > TCP_RTO_MAX_MS / 1000 ? TCP_RTO_MAX_MS / 1000 : timeout * 2;
    }
    return period;
}

static int set_save_syn(struct shard *sh, struct tcb *t, int v)
{
    if (v < 0 || v > 2)
        return -EINVAL;
    if (v == 0 && !t->ext)
        return 0;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    t->ext->save_syn = (uint8_t)v;
    return 0;
}

/* The room for a writer is another (Linux: sk_write_space). Who is told no from here on, by poll, hears of it
 * when that changes, as a writer that met a full buffer. */
static void space_changed(struct shard *sh, struct tcb *t)
{
    if (t->state == TCPS_LISTEN)
        return;
    if (!tcp_writeable(t)) {
        t->flags |= TF_NOSPACE;
    } else if (t->flags & TF_NOSPACE) {
        t->flags &= ~(uint32_t)TF_NOSPACE;
        pcb_event(sh, &t->pcb, EV_OUT);
    }
}

static int set_tcp(struct shard *sh, struct tcb *t, int name, int v)
{
    switch (name) {
    case TCP_NODELAY:
        flag_set(t, TF_NODELAY, v);
        if (v) { /* what a cork holds back leaves too (Linux: TCP_NAGLE_PUSH) */
            if (tcp_has_unsent(t))
                t->flags |= TF_CORK_DUE;
            tcp_output(sh, t);
        }
        return 0;
    case TCP_CORK:
        flag_set(t, TF_CORK, v);
        if (!v) {
            t->flags &= ~(uint32_t)TF_MORE;
            tcp_deadline_clear(t, DL_CORK);
            tcp_output(sh, t);
        }
        return 0;
    case TCP_MAXSEG:
        if (v && (v < 88 || v > 32767))
            return -EINVAL;
        t->user_mss = (uint16_t)v;
        return 0;
    case TCP_KEEPIDLE:
        return set_keepidle(sh, t, v);
    case TCP_KEEPINTVL:
        return set_range(v, 1, 32767, 1, &t->keep_intvl_s);
    case TCP_KEEPCNT:
        return set_byte(v, 1, 127, &t->keep_cnt);
    case TCP_SYNCNT:
        return set_byte(v, 1, 127, &t->syn_cnt);
    case TCP_LINGER2:
        return set_linger2(t, v);
    case TCP_DEFER_ACCEPT:
        t->defer_accept = secs_to_retrans(v);
        return 0;
    case TCP_SAVE_SYN:
        return set_save_syn(sh, t, v);
    case TCP_WINDOW_CLAMP:
        return set_window_clamp(t, v);
    case TCP_QUICKACK:
        set_quickack(sh, t, v);
        return 0;
    case TCP_USER_TIMEOUT:
        return set_user_timeout(sh, t, v);
    case TCP_NOTSENT_LOWAT:
        opt_set(t, TO_LOWAT, v);
        t->notsent_lowat = v ? (uint32_t)v : tcp_default_lowat(&sh->st->set);
        space_changed(sh, t);
        return 0;
    default:
        return tcp_rare_setopt(sh, t, name, v);
    }
}

static int set_linger(struct tcb *t, const void *val, uint32_t len)
{
    struct linger l;

    if (len < sizeof l)
        return -EINVAL;
    memcpy(&l, val, sizeof l);
    opt_set(t, TO_LINGER, l.l_onoff);
    if (l.l_onoff)
        t->linger_s = (uint16_t)(l.l_linger < 0 || l.l_linger > UINT16_MAX ? UINT16_MAX : l.l_linger);
    return 0;
}

/* Linux doubles what is asked for, for its bookkeeping; so do we (ours counts whole buffers, too). */
static uint32_t buf_bytes(int v, int64_t max, uint32_t min)
{
    uint32_t n = v < 0 || v > max ? (uint32_t)max : (uint32_t)v;

    return 2 * n < min ? min : 2 * n;
}

static void set_rcvbuf(struct shard *sh, struct tcb *t, int v)
{
    t->opts |= TO_RCVBUF_LOCK;
    t->rcvbuf = buf_bytes(v, sh->st->set.rmem_max, TCP_RCVBUF_MIN);
}

/* Linux: tcp_set_rcvlowat. The buffer grows so that so much can be there at all. */
static int set_rcvlowat(struct shard *sh, struct tcb *t, int v)
{
    uint64_t cap = t->opts & TO_RCVBUF_LOCK ? t->rcvbuf : (uint64_t)sh->st->set.tcp_rmem_max, space;
    uint32_t want = v < 0 ? INT32_MAX : (uint32_t)v;

    if (want > cap / 2)
        want = (uint32_t)(cap / 2);
    if (want > 1 && !tcp_ext_get(sh, t))
        return -ENOBUFS;
    flag_set(t, TF_LOWAT, want > 1);
    if (want > 1)
        t->ext->rcvlowat = want;
    if (t->state != TCPS_LISTEN && tcp_readable(t))
        pcb_event(sh, &t->pcb, EV_IN);
    space = (uint64_t)want * 256 / (t->rcv_ratio ? t->rcv_ratio : 128);
    if (t->opts & TO_RCVBUF_LOCK || space <= t->rcvbuf)
        return 0;
    t->rcvbuf = (uint32_t)space;
    if (t->window_clamp && t->window_clamp < want)
        t->window_clamp = want;
    return 0;
}

static int set_socket(struct shard *sh, struct tcb *t, int name, int v)
{
    switch (name) {
    case SO_SNDBUF:
        t->opts |= TO_SNDBUF_LOCK;
        t->sndbuf = buf_bytes(v, sh->st->set.wmem_max, SNDBUF_MIN);
        space_changed(sh, t);
        return 0;
    case SO_SNDBUFFORCE:
        t->opts |= TO_SNDBUF_LOCK;
        t->sndbuf = buf_bytes(v, INT32_MAX / 2, SNDBUF_MIN);
        space_changed(sh, t);
        return 0;
    case SO_RCVBUF:
        set_rcvbuf(sh, t, v);
        return 0;
    case SO_RCVBUFFORCE:
        t->opts |= TO_RCVBUF_LOCK;
        t->rcvbuf = buf_bytes(v, INT32_MAX / 2, TCP_RCVBUF_MIN);
        return 0;
    case SO_KEEPALIVE:
        opt_set(t, TO_KEEPALIVE, v);
        if (!state_in(t, TCPF(CLOSE) | TCPF(LISTEN) | TCPF(SYN_SENT)))
            tcp_keep_arm(sh, t);
        return 0;
    case SO_RCVLOWAT:
        return set_rcvlowat(sh, t, v);
        return 0;
    case OPT_BUF_LOCK:
        if (v & ~(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK))
            return -EINVAL;
        opt_set(t, TO_SNDBUF_LOCK, v & SOCK_SNDBUF_LOCK);
        opt_set(t, TO_RCVBUF_LOCK, v & SOCK_RCVBUF_LOCK);
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static bool is_fastopen(int name)
{
    return name == TCP_FASTOPEN || name == TCP_FASTOPEN_KEY || name == TCP_FASTOPEN_CONNECT ||
           name == TCP_FASTOPEN_NO_COOKIE;
}

int tcp_setopt(struct shard *sh, struct tcb *t, int level, int name, const void *val, uint32_t len)
{
    int v;

    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(sh, t, val, len);
    if (level == IPPROTO_TCP && name == TCP_ULP) /* no upper layer (tls) can be put on a connection */
        return len < 1 ? -EINVAL : -ENOENT;
    if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
        return set_pacing_rate(sh, t, val, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(t, val, len);
    if (level == SOL_SOCKET && stamp_is_option(name))
        return tcp_stamp_setopt(sh, t, name, val, len);
    if (level == IPPROTO_TCP && (name == TCP_MD5SIG || name == TCP_MD5SIG_EXT))
        return tcp_md5_setopt(sh, t, name, val, len);
    if (level == IPPROTO_TCP && is_fastopen(name))
        return tcp_tfo_setopt(sh, t, name, val, len);
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (level == IPPROTO_TCP)
        return set_tcp(sh, t, name, v);
    return level == SOL_SOCKET ? set_socket(sh, t, name, v) : -ENOPROTOOPT;
}

/* TCP_MAXSEG: before a connection what was asked for, or the default. */
static int get_maxseg(const struct tcb *t)
{
    if (state_in(t, TCPF(CLOSE) | TCPF(LISTEN)))
        return t->user_mss ? t->user_mss : TCP_MSS_DEFAULT;
    return t->mss;
}

static int get_tcp(struct shard *sh, const struct tcb *t, int name, int *v)
{
    const struct tunables *set = &sh->st->set;

    switch (name) {
    case TCP_NODELAY:
        *v = !!(t->flags & TF_NODELAY);
        return 0;
    case TCP_CORK:
        *v = !!(t->flags & TF_CORK);
        return 0;
    case TCP_MAXSEG:
        *v = get_maxseg(t);
        return 0;
    case TCP_KEEPIDLE:
        *v = t->keep_idle_s ? t->keep_idle_s : (int)set->tcp_keepalive_time;
        return 0;
    case TCP_KEEPINTVL:
        *v = t->keep_intvl_s ? t->keep_intvl_s : (int)set->tcp_keepalive_intvl;
        return 0;
    case TCP_KEEPCNT:
        *v = t->keep_cnt ? t->keep_cnt : (int)set->tcp_keepalive_probes;
        return 0;
    case TCP_SYNCNT:
        *v = t->syn_cnt ? t->syn_cnt : (int)set->tcp_syn_retries;
        return 0;
    case TCP_LINGER2:
        *v = t->linger2_s ? t->linger2_s : (int)set->tcp_fin_timeout;
        return 0;
    case TCP_DEFER_ACCEPT:
        *v = retrans_to_secs(t->defer_accept);
        return 0;
    case TCP_SAVE_SYN:
        *v = t->ext ? t->ext->save_syn : 0;
        return 0;
    case TCP_WINDOW_CLAMP:
        *v = (int)t->window_clamp;
        return 0;
    case TCP_QUICKACK:
        *v = !(t->flags & TF_PINGPONG);
        return 0;
    case TCP_USER_TIMEOUT:
        *v = (int)tcp_user_timeout_ms(t);
        return 0;
    case TCP_NOTSENT_LOWAT:
        *v = t->opts & TO_LOWAT ? (int)t->notsent_lowat : 0; /* as Linux: the setting does not show */
        return 0;
    default:
        return tcp_rare_getopt(sh, t, name, v);
    }
}

static int get_socket(const struct tcb *t, int name, int *v)
{
    switch (name) {
    case SO_SNDBUF:
        *v = (int)t->sndbuf;
        return 0;
    case SO_RCVBUF:
        *v = (int)t->rcvbuf;
        return 0;
    case SO_KEEPALIVE:
        *v = !!(t->opts & TO_KEEPALIVE);
        return 0;
    case SO_RCVLOWAT:
        *v = (int)tcp_rcvlowat(t);
        return 0;
    case OPT_BUF_LOCK:
        *v = (t->opts & TO_SNDBUF_LOCK ? SOCK_SNDBUF_LOCK : 0) |
             (t->opts & TO_RCVBUF_LOCK ? SOCK_RCVBUF_LOCK : 0);
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

/* Gives len bytes of from, cut to the caller's room. */
static int give(void *val, uint32_t *room, const void *from, uint32_t len)
{
    if (*room > len)
        *room = len;
    memcpy(val, from, *room);
    return 0;
}

static int get_pacing_rate(const struct tcb *t, void *val, uint32_t *len)
{
    uint64_t rate = tcp_pace_max(t);
    uint32_t v = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;

    return *len >= sizeof rate ? give(val, len, &rate, sizeof rate) : give(val, len, &v, sizeof v);
}

static int get_cc_info(const struct tcb *t, void *val, uint32_t *len)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];
    union tcp_cc_info info = {0};

    return give(val, len, &info,
                !state_in(t, TCPF(CLOSE) | TCPF(LISTEN) | TCPF(SYN_SENT)) && cc->get_info
                    ? cc->get_info(t, &info)
                    : 0);
}

static int get_congestion(const struct tcb *t, void *val, uint32_t *len)
{
    char name[16] = {0}; /* TCP_CA_NAME_MAX */

    strncpy(name, tcp_cc_table[t->cc]->name, sizeof name - 1);
    return give(val, len, name, sizeof name);
}

/* SO_MEMINFO: Linux's nine numbers (linux/sock_diag.h); what is not kept here is 0. */
static int get_meminfo(const struct tcb *t, void *val, uint32_t *len)
{
    uint32_t mem[9] = {[1] = t->rcvbuf, [3] = t->sndbuf};

    if (t->state != TCPS_LISTEN) {
        mem[0] = tcp_rcv_mem(t);
        mem[2] = mem[5] = t->tx ? t->tx->snd_mem : 0;
    }
    return give(val, len, mem, sizeof mem);
}

/* TCP_SAVED_SYN: can be taken once. */
static int take_saved_syn(struct shard *sh, struct tcb *t, void *val, uint32_t *len)
{
    struct tcp_saved_syn *v = t->ext ? t->ext->saved_syn : NULL;

    if (!v) {
        *len = 0;
        return 0;
    }
    if (*len < v->len) {
        *len = v->len;
        return -EINVAL;
    }
    *len = v->len;
    memcpy(val, v->bytes, v->len);
    slab_free(&sh->tcp->saved_syn, v);
    t->ext->saved_syn = NULL;
    return 0;
}

int tcp_getopt(struct shard *sh, struct tcb *t, int level, int name, void *val, uint32_t *len)
{
    struct tcp_info_full info;
    struct linger l = {!!(t->opts & TO_LINGER), t->linger_s};
    int v = 0, err;

    if (level == IPPROTO_TCP && name == TCP_INFO) {
        tcp_get_info_full(sh, t, &info);
        return give(val, len, &info, sizeof info);
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return get_congestion(t, val, len);
    if (level == IPPROTO_TCP && name == TCP_CC_INFO)
        return get_cc_info(t, val, len);
    if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
        return get_pacing_rate(t, val, len);
    if (level == IPPROTO_TCP && is_fastopen(name))
        return tcp_tfo_getopt(sh, t, name, val, len);
    if (level == IPPROTO_TCP && name == TCP_SAVED_SYN)
        return take_saved_syn(sh, t, val, len);
    if (level == IPPROTO_TCP && name == TCP_ULP)
        return give(val, len, &v, 0);
    if (level == IPPROTO_TCP && name == TCP_REPAIR_WINDOW)
        return *len == sizeof(struct tcp_repair_window) ? -EPERM : -EINVAL;
    if (level == SOL_SOCKET && stamp_is_option(name))
        return tcp_stamp_getopt(t, name, val, len);
    if (level == SOL_SOCKET && name == SO_MEMINFO)
        return get_meminfo(t, val, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        return give(val, len, &l, sizeof l);
    err = level == IPPROTO_TCP  ? get_tcp(sh, t, name, &v)
          : level == SOL_SOCKET ? get_socket(t, name, &v)
                                : -ENOPROTOOPT;
    return err ? err : give(val, len, &v, sizeof v);
}
