/* env_stack.c: the whole stack on the fake link and the fake clock: env_stack. */
#include "env.h"

#include <stdlib.h>

#include "../../stack/shard.h"

/* As a thread in a socket call has it: the lock is held while the stack works, and taken again at once, so
 * that tests may call any layer without minding it. */
static void step(struct env *e)
{
    shard_poll(e->sh, e->now_ns);
}

void env_poll(struct env *e)
{
    do
        shard_poll(e->sh, e->now_ns);
    while (e->rx_n > 0 || e->sh->lo_head);
}

struct env *env_stack(const struct env_config *cfg)
{
    static const struct env_config defaults;
    struct stack_config sc = {
        .name = "test", .secret = "fixed for tests", .max_tcp = 65536, .max_udp = 4096, .max_files = 65536};
    struct env *e;

    if (!cfg)
        cfg = &defaults;
    e = env_begin(cfg, &sc.set);
    sc.isolate = cfg->isolate;
    sc.now_ns = e->now_ns;
    sc.nshard = cfg->queues;
    if (stack_create(e->seg, &sc, e->pool, &e->st) != 0)
        abort();
    e->sh = &e->st->shard[0];
    e->step = step;
    shard_lock(e->sh);
    env_add_if(e, cfg);
    return e;
}
