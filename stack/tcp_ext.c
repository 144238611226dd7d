/* tcp_ext.c: see tcp_ext.h. */
#include "tcp_ext.h"

struct tcp_ext *tcp_ext_get(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        t->ext = slab_alloc(&sh->tcp->ext);
    if (!t->ext)
        tcp_count(sh, COUNT_NOMEM_PCB);
    return t->ext;
}

void tcp_ext_free(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        return;
    slab_free(&sh->tcp->ext, t->ext);
    t->ext = NULL;
}
