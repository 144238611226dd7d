/* tcp_ext.c: see tcp_ext.h. */
#include "tcp_ext.h"

#include "tcp_stamp.h"

struct tcp_ext *tcp_ext_get(struct shard *sh, struct tcb *t)
{
    if (t->ext)
        return t->ext;
    t->ext = slab_alloc(&sh->tcp->ext);
    if (t->ext)
        list_init(&t->ext->txstamps);
    else
        tcp_count(sh, COUNT_NOMEM_PCB);
    return t->ext;
}

void tcp_ext_free(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        return;
    if (t->ext->saved_syn)
        slab_free(&sh->tcp->saved_syn, t->ext->saved_syn);
    tcp_stamp_close(sh, t);
    slab_free(&sh->tcp->ext, t->ext);
    t->ext = NULL;
}

void tcp_ext_inherit(struct shard *sh, struct tcb *c, const struct tcb *l)
{
    const struct tcp_ext *from = l->ext;
    struct tcp_ext *to;

    tcp_stamp_inherit(sh, c, l);
    if (!from || !from->user_timeout_ms)
        return;
    to = tcp_ext_get(sh, c);
    if (to)
        to->user_timeout_ms = from->user_timeout_ms;
}
