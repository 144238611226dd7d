/* leak.c: see leak.h. */
#include "leak.h"

#include <fcntl.h>
#include <stdio.h>

#include <rte_mempool.h>

#include "../../dpdk/dpdk.h"
#include "../../stack/file.h"
#include "../../stack/log.h"
#include "../../stack/tcp.h"
#include "engine.h"

#ifdef SHUNT_LEAKCHECK

static int kept_stderr = -1;

static unsigned buffers_in_use(struct shard *sh)
{
    for (unsigned i = 0; i < engine.ndev; i++)
        for (unsigned q = 0; q < engine.dev[i]->nqueue; q++)
            dpdk_tx_reclaim(engine.dev[i], q);
    /* Not rte_mempool_in_use_count: the pool has only part of its buffers until it needs more (dpdk/pool.c).
     */
    return sh->pool->populated_size - rte_mempool_avail_count(sh->pool);
}

static void count_connection(void *arg, const struct tcp_view *v)
{
    if (v->state != SS_TIME_WAIT)
        ++*(unsigned *)arg;
}

void leak_baseline(struct shard *sh)
{
    shard_lock(sh);
    engine.shared->buffers_at_start = buffers_in_use(sh);
    shard_unlock(sh);
}

void leak_report(struct shard *sh)
{
    const struct ready_state *r = engine.st->ready;
    unsigned pkts = buffers_in_use(sh), connections = 0;
    char line[256];
    int n;

    tcp_walk(sh, count_connection, &connections);
    n = snprintf(
        line, sizeof line,
        "shunt: leak check: %d packet buffers, %u sockets, %u options, %u epoll sets, %u epoll items, %u "
        "watches, %d waiters, %u connections\n",
        (int)(pkts - engine.shared->buffers_at_start), r->socks.in_use, r->opts.in_use, r->esets.in_use,
        r->items.in_use, r->watches.in_use, (int)r->waiters.in_use - 1,
        connections); /* one waiter is the keeper's */
    if (kept_stderr >= 0)
        sys3(SYS_write, kept_stderr, line, n);
}

bool leak_wants_stderr(void)
{
    return true;
}

void leak_keep_stderr(void)
{
    kept_stderr = dup(2);
}

#else

void leak_baseline(struct shard *sh) {}
void leak_report(struct shard *sh) {}

bool leak_wants_stderr(void)
{
    return false;
}

void leak_keep_stderr(void) {}

#endif
