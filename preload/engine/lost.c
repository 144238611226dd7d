/* lost.c: stack/sweep.h with what the engine knows: where the segment and DPDK's memory have been written to,
 * and which processes live. The keeper does it, because it has all of that mapped, and time. */
#include <string.h>
#include <sys/mman.h>

#include "../../dpdk/dpdk.h"
#include "../../stack/extent.h"
#include "../../stack/log.h"
#include "../../stack/sweep.h"
#include "engine.h"

/* The segment first, then DPDK's memory. */
static bool next_used(void *arg, const void **at, const void **end)
{
    bool *in_dpdk = arg;

    if (!*in_dpdk) {
        if (seg_next_used(engine.st->seg, at, end))
            return true;
        *in_dpdk = true;
        *at = NULL;
    }
    return dpdk_next_used(engine.st->shard[0].pool, at, end);
}

static bool lives(void *arg, const void *owner)
{
    return family_lives(engine.st, owner);
}

static void in_use(void *arg, const struct rte_mbuf *m)
{
    (void)arg;
    if (m)
        extent_recounted(engine.st, m);
    else
        extent_recount(engine.st);
}

void lost_sweep(struct shard *sh)
{
    bool in_dpdk = false;
    struct sweep_from from = {.next = next_used,
                              .each = dpdk_each,
                              .each_free = dpdk_each_free,
                              .lives = lives,
                              .in_use = in_use,
                              .arg = &in_dpdk};
    size_t bytes = sweep_room(sh);
    uint64_t begin = now_ns();
    unsigned n;
    long room;

    sh->sweep_ns = 0;
    if (engine.memory_fd < 0) /* drivers' memory is not known: what looks lost may be theirs */
        return;
    room = sys6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room < 0 && room > -4096)
        return;
    n = sweep(sh, &from, (void *)room);
    sys2(SYS_munmap, room, (long)bytes);
    log_info("a killed process left %u packet buffers, found in %llu us", n,
             (unsigned long long)(now_ns() - begin) / 1000);
}
