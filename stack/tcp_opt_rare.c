/* tcp_opt_rare.c: options of IPPROTO_TCP that few programs use. What they set lies in tcp_ext.
 *
 * TCP_REPAIR is checkpointing's (CRIU): it lets a program set a connection's numbers. A stack that lives in
 * the program has no use for it; it is refused as by a kernel that was built without, and what depends on it
 * as for a socket that is not under repair.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "log.h"
#include "tcp_ext.h"
#include "tcp_opt.h"
#include "tcp_stamp.h"

/* Linux's numbers that the headers in use lack. */
enum {
    OPT_TCP_IS_MPTCP = 43,
    OPT_TCP_RTO_MAX_MS = 44,
    OPT_TCP_RTO_MIN_US = 45,
    OPT_TCP_DELACK_MAX_US = 46,
};

static int refuse_repair(void)
{
    log_once(LOG_LEVEL_WARN, "TCP_REPAIR is not served by the stack: ENOPROTOOPT");
    return -ENOPROTOOPT;
}

/* One of these is set: checks the value and says where it goes. NULL: -EINVAL or another name (*err). */
static uint32_t *place_of(struct tcp_ext *x, int name, int v, int *err)
{
    *err = 0;
    switch (name) {
    case TCP_THIN_LINEAR_TIMEOUTS:
    case TCP_INQ:
        *err = v < 0 || v > 1 ? -EINVAL : 0;
        return name == TCP_INQ ? &x->inq : &x->thin_lto;
    case TCP_TX_DELAY: /* takes effect where a queueing discipline knows departure times: not here */
        *err = v < 0 || v >= 1 << 28 ? -EINVAL : 0;
        return &x->tx_delay_us;
    case OPT_TCP_RTO_MAX_MS:
        *err = v < 1000 || v > TCP_RTO_MAX_MS ? -EINVAL : 0;
        return &x->rto_max_ms;
    case OPT_TCP_RTO_MIN_US:
        *err = v < 8000 || v > 200000 ? -EINVAL : 0;
        return &x->rto_min_us;
    case OPT_TCP_DELACK_MAX_US:
        *err = v < 8000 || v > 200000 ? -EINVAL : 0;
        return &x->delack_max_us;
    default:
        *err = -ENOPROTOOPT;
        return NULL;
    }
}

static int set_kept(struct shard *sh, struct tcb *t, int name, int v)
{
    struct tcp_ext probe = {0}, *x;
    int err;

    place_of(&probe, name, v, &err);
    if (err)
        return err;
    x = tcp_ext_get(sh, t);
    if (!x)
        return -ENOBUFS;
    *place_of(x, name, v, &err) = (uint32_t)v;
    if (name == TCP_TX_DELAY && v)
        log_once(LOG_LEVEL_WARN, "TCP_TX_DELAY is accepted, but nothing is delayed");
    tcp_stamp_flags(t);
    return 0;
}

int tcp_rare_setopt(struct shard *sh, struct tcb *t, int name, int v)
{
    switch (name) {
    case TCP_THIN_DUPACK: /* without effect in Linux since RACK */
        return v < 0 || v > 1 ? -EINVAL : 0;
    case TCP_REPAIR:
        return refuse_repair();
    case TCP_REPAIR_QUEUE:
    case TCP_REPAIR_WINDOW:
    case TCP_TIMESTAMP:
        return -EPERM; /* not under repair */
    case TCP_QUEUE_SEQ:
        return t->state == TCPS_CLOSE ? -EINVAL : -EPERM;
    case TCP_REPAIR_OPTIONS:
        return -EINVAL;
    default:
        return set_kept(sh, t, name, v);
    }
}

int tcp_rare_getopt(struct shard *sh, const struct tcb *t, int name, int *v)
{
    static const struct tcp_ext none;
    const struct tcp_ext *x = t->ext ? t->ext : &none;

    *v = 0;
    switch (name) {
    case TCP_THIN_LINEAR_TIMEOUTS:
        *v = (int)x->thin_lto;
        return 0;
    case TCP_THIN_DUPACK:
    case OPT_TCP_IS_MPTCP:
        return 0;
    case TCP_INQ:
        *v = (int)x->inq;
        return 0;
    case TCP_TX_DELAY:
        *v = (int)x->tx_delay_us;
        return 0;
    case OPT_TCP_RTO_MAX_MS:
        *v = (int)(x->rto_max_ms ? x->rto_max_ms : TCP_RTO_MAX_MS);
        return 0;
    case OPT_TCP_RTO_MIN_US:
        *v = (int)(x->rto_min_us ? x->rto_min_us : (uint32_t)sh->st->set.tcp_rto_min * 1000);
        return 0;
    case OPT_TCP_DELACK_MAX_US:
        *v = (int)(x->delack_max_us ? x->delack_max_us : 200000);
        return 0;
    case TCP_TIMESTAMP:
        *v = (int)tcp_tsval(sh, t);
        return 0;
    case TCP_REPAIR_QUEUE: /* what a socket under repair would tell */
    case TCP_QUEUE_SEQ:
        return -EINVAL;
    case TCP_REPAIR:
        return refuse_repair();
    default:
        return -ENOPROTOOPT;
    }
}
