/* remains.c: what the processes of a stack left, and the end of the keeper and its stack.
 *
 * Data on its way is sent, however long the peer takes; TIME_WAIT and FIN_WAIT_2 are kept for keeper_linger
 * seconds; what is left then is reset, and the traces in the file system go.
 */
#include "../../dpdk/dpdk.h"
#include "../../stack/dhcp.h"
#include "../../stack/tcp.h"
#include "control.h"
#include "keeper.h"
#include "leak.h"
#include "record.h"

#define HURRY_NS         (500ull * NS_IN_MS) /* what data of orphans gets when another stack wants the place */
#define DRAIN_NS         (50ull * NS_IN_MS) /* for the other end to take the last frames while there is a link */
#define REMAINS_MAX      (1u << 20)         /* connections that a leaving keeper resets at most */
#define CONTROL_GRACE_NS (60ull * NS_IN_S)

static uint64_t frames_sent(void)
{
    uint64_t n = 0;

    for (unsigned i = 1; i < engine.st->nif; i++)
        n += engine.st->ifn[i].tx_packets;
    return n;
}

static bool anything_queued(const struct shard *sh)
{
    for (unsigned i = 0; i < engine.st->nif; i++)
        if (sh->tx[i].n | sh->tx[i].nrelay)
            return true;
    return sh->lo_head != NULL;
}

/* What the dead program's connections still are. */
struct remains {
    unsigned talking; /* have data or a FIN to get across */
    unsigned waiting; /* FIN_WAIT_2: all is across; only the peer's end is missing */
    struct tcb *some[64];
    unsigned nsome;
};

static void count_remains(void *arg, const struct tcp_view *v)
{
    struct remains *r = arg;

    if (!v->pcb || v->pcb->user || v->state == SS_LISTEN || v->state == SS_TIME_WAIT ||
        v->state == SS_SYN_RECV)
        return;
    if (v->state == SS_FIN_WAIT_2)
        r->waiting++;
    else
        r->talking++;
    if (r->nsome < sizeof r->some / sizeof r->some[0])
        r->some[r->nsome++] = (struct tcb *)(uintptr_t)v->pcb; /* a tcb starts with its pcb */
}

static struct remains remains(struct shard *sh)
{
    struct remains r = {0};

    if (tcp_orphans(sh))
        tcp_walk(sh, count_remains, &r);
    return r;
}

bool remains_done(struct shard *sh, uint64_t now)
{
    uint64_t sent = frames_sent(), linger_ns = (uint64_t)engine.st->set.keeper_linger * NS_IN_S;
    struct remains r;

    if (sent != keeper.sent) {
        keeper.sent = sent;
        keeper.sent_ns = now;
    }
    if (keeper.hurry_ns && now >= keeper.hurry_ns + HURRY_NS)
        return true;
    if (control_busy() && now < keeper.gone_ns + CONTROL_GRACE_NS)
        return false;
    r = remains(sh);
    if (r.talking || anything_queued(sh) || now < keeper.sent_ns + DRAIN_NS)
        return false;
    return keeper.hurry_ns || !(r.waiting || tcp_timewaits(sh)) || now >= keeper.gone_ns + linger_ns;
}

/* A peer that is still connected would wait for a host that is no more: RST. True: there was one. */
static bool reset_remains(struct shard *sh)
{
    struct remains r = remains(sh);
    bool any = r.nsome;

    for (unsigned round = 0; r.nsome && round < REMAINS_MAX / 64; round++) {
        for (unsigned i = 0; i < r.nsome; i++)
            tcp_abort(sh, r.some[i]);
        shard_flush(sh);
        r = remains(sh);
    }
    return any;
}

_Noreturn void remains_leave(struct shard *sh)
{
    struct timespec drain = {0, DRAIN_NS};
    bool said;

    engine.shared->keeper = NULL;
    said = reset_remains(sh);
    said |= dhcp_release(sh);
    shard_flush(sh);
    if (said) /* whoever hears it may look at the link it came by, which goes with us */
        sys2(SYS_nanosleep, &drain, NULL);
    record_leave(sh);
    leak_report(sh);
    shard_unlock(sh);
    dpdk_remove_traces();
    control_unclaim();
    sys1(SYS_exit_group, 0);
    __builtin_unreachable();
}
