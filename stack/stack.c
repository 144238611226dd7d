/* stack.c: the birth of a stack: its root object in the segment and, through their init functions, every
 * table. Nothing here is ever torn down: the segment goes with the last process of the family.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dgram_mc.h"
#include "errq.h"
#include "filter.h"
#include "frag.h"
#include "ifnet.h"
#include "ip.h"
#include "ip_ext.h"
#include "lane.h"
#include "mcast.h"
#include "neigh.h"
#include "netlink.h"
#include "notes.h"
#include "packet.h"
#include "ping.h"
#include "port.h"
#include "port_reuse.h"
#include "raw.h"
#include "ready.h"
#include "rnd.h"
#include "route.h"
#include "shard.h"
#include "tcp.h"
#include "udp.h"

#define TCP_DEFAULT_MAX   (2u << 20)
#define RAW_MAX_PCB       (64u << 10) /* raw and ping sockets, each */
#define UDP_DEFAULT_MAX   (256u << 10)
#define FILES_DEFAULT_MAX (2u << 20)

static int lock_init(pthread_mutex_t *m)
{
    pthread_mutexattr_t a;
    int r = pthread_mutexattr_init(&a);

    if (r)
        return -r;
    /* Not an error-checking one: that one knows its owner by a thread's number alone, and two threads of a
     * family have the same one where one of them lives in a PID namespace of its own, or was made by a clone
     * past the C library. */
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    if (!r)
        r = pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
    return -r;
}

static int shard_init(struct stack *st, uint32_t id, const struct stack_config *cfg, struct rte_mempool *pool)
{
    struct shard *sh = &st->shard[id];
    int r;

    sh->st = st;
    sh->id = (uint16_t)id;
    sh->many = st->nshard > 1;
    sh->pool = pool;
    sh->now_ns = sh->last_poll_ns = cfg->now_ns;
    list_init(&sh->dirty);
    list_init(&sh->acks);
    wheel_init(&sh->wheel, shard_ms(sh));
    rnd_seed(sh, cfg->secret);
    r = lock_init(&sh->lock);
    if (id)
        return r ? r : lane_init(sh, cfg->max_tcp ? cfg->max_tcp : TCP_DEFAULT_MAX);
    if (!r)
        r = frag_table_init(sh);
    if (!r)
        r = mc_init(sh);
    if (!r)
        r = filter_init(sh);
    if (!r)
        r = errq_init(sh);
    if (!r)
        r = dgram_mc_init(sh);
    if (!r)
        r = tcp_init(sh, cfg->max_tcp ? cfg->max_tcp : TCP_DEFAULT_MAX);
    if (!r)
        r = udp_init(sh, cfg->max_udp ? cfg->max_udp : UDP_DEFAULT_MAX);
    if (!r)
        r = raw_init(sh, RAW_MAX_PCB);
    if (!r)
        r = ping_init(sh, RAW_MAX_PCB);
    if (!r)
        r = packet_init(sh, RAW_MAX_PCB);
    if (!r)
        r = netlink_init(sh, RAW_MAX_PCB);
    if (!r)
        r = ip_ext_init(sh);
    if (!r)
        r = reuse_init(sh);
    if (!r && !(sh->icmp_copy = seg_alloc(sh->st->seg, sizeof *sh->icmp_copy, 64)))
        r = -ENOMEM;
    return r;
}

int stack_create(struct seg *seg, const struct stack_config *cfg, struct rte_mempool *pool,
                 struct stack **out)
{
    struct stack *st = seg_alloc(seg, sizeof *st, 4096);
    int r;

    if (!st)
        return -ENOMEM;
    st->seg = seg;
    snprintf(st->name, sizeof st->name, "%s", cfg->name);
    st->boot_ns = cfg->now_ns;
    memcpy(st->secret, cfg->secret, sizeof st->secret);
    st->set = cfg->set;
    st->isolate = cfg->isolate;
    st->tick_hz = cfg->tick_hz;
    st->owner_uid = cfg->owner_uid;
    st->if_base = cfg->isolate ? 0 : STACK_IF_BASE;
    st->nshard = cfg->nshard ? cfg->nshard : 1;
    if (st->nshard > SHARD_MAX)
        return -EINVAL;
    st->notes = seg_alloc(seg, sizeof *st->notes, 64);
    r = st->notes ? route_table_init(st) : -ENOMEM;
    if (!r)
        r = neigh_table_init(st);
    if (!r)
        r = port_table_init(st);
    if (!r)
        r = ready_init(st, cfg->max_files ? cfg->max_files : FILES_DEFAULT_MAX);
    for (uint32_t i = 0; !r && i < st->nshard; i++)
        r = shard_init(st, i, cfg, pool);
    if (!r)
        r = ifnet_add_loopback(st);
    if (r)
        return r;
    seg->root = st;
    *out = st;
    return 0;
}
