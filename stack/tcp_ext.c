/* tcp_ext.c: see tcp_ext.h. */
#include "tcp_ext.h"

#include <errno.h>

#include "tcp_io.h"
#include "tcp_md5.h"
#include "tcp_pace.h"
#include "tcp_stamp.h"
#include "tcp_zerocopy.h"
#include "wire_ip6.h"

struct tcp_ext *tcp_ext_get(struct shard *sh, struct tcb *t)
{
    if (t->ext)
        return t->ext;
    t->ext = slab_alloc(&sh->tcp->ext);
    if (!t->ext) {
        tcp_count(sh, COUNT_NOMEM_PCB);
        return NULL;
    }
    list_init(&t->ext->txstamps);
    list_init(&t->ext->zcopies);
    return t->ext;
}

void tcp_ext_free(struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = t->ext;
    struct tcp_saved_syn *v;
    struct tcp_md5_key *md5;

    if (!x)
        return;
    tcp_pace_free(sh, t);
    v = x->saved_syn;
    x->saved_syn = NULL;
    list_step(); /* here and below: a process killed from here on loses it; nothing is freed twice */
    if (v)
        slab_free(&sh->tcp->saved_syn, v);
    tcp_stamp_close(sh, t);
    tcp_zerocopy_drop(sh, t);
    md5 = x->md5;
    x->md5 = NULL;
    list_step();
    tcp_md5_free(sh, md5);
    t->ext = NULL;
    list_step();
    slab_free(&sh->tcp->ext, x);
}

void tcp_note_retrans(struct shard *sh, struct tcb *t, uint32_t n, uint32_t bytes)
{
    struct tcp_ext *x = tcp_ext_get(sh, t);

    if (!x)
        return;
    x->total_retrans += n;
    x->bytes_retrans += bytes;
}

void tcp_note_reordering(struct shard *sh, struct tcb *t)
{
    t->reord_seen = true;
    if (tcp_ext_get(sh, t))
        t->ext->reord_seen++;
}

void tcp_ext_inherit(struct shard *sh, struct tcb *c, const struct tcb *l)
{
    const struct tcp_ext *from = l->ext;
    struct tcp_ext *to;

    tcp_stamp_inherit(sh, c, l);
    if (!from)
        return;
    if (from->pace)
        tcp_pace_set_max(sh, c, from->pace->max_rate);
    to = from->user_timeout_ms || from->label_be || from->mark || (l->flags & (TF_LOWAT | TF_MINTTL))
             ? tcp_ext_get(sh, c)
             : NULL;
    if (!to)
        return;
    to->user_timeout_ms = from->user_timeout_ms;
    to->rcvlowat = from->rcvlowat;
    to->min_ttl = from->min_ttl;
    to->min_hops = from->min_hops;
    to->mark = from->mark;
    to->label_be = from->label_be & ~(FLOW_LABEL_SET | htonl(IP6_FLOW_MASK)); /* a label is one flow's */
    c->flags |= l->flags & (TF_LOWAT | TF_MINTTL);
}

int tcp_set_min_ttl(struct shard *sh, struct tcb *t, bool v4, uint8_t ttl)
{
    if (!ttl && !(t->flags & TF_MINTTL))
        return 0;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    *(v4 ? &t->ext->min_ttl : &t->ext->min_hops) = ttl;
    t->flags &= ~(uint32_t)TF_MINTTL;
    if (t->ext->min_ttl || t->ext->min_hops)
        t->flags |= TF_MINTTL;
    return 0;
}

int tcp_set_label(struct shard *sh, struct tcb *t, uint32_t label_be)
{
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    t->ext->label_be = label_be;
    if (t->io)
        t->io->flow.label_be = label_be;
    return 0;
}

int tcp_set_mark(struct shard *sh, struct tcb *t, uint8_t class)
{
    if (!class && !t->ext)
        return 0;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    t->ext->mark = class;
    if (t->io) {
        t->io->flow.mark = class;
        t->io->flow.gen = 0;
    }
    return 0;
}

void tcp_marks_changed(struct tcb *t)
{
    struct tcp_io *x = t->io;

    if (!x) /* tcp_io_new looks */
        return;
    x->flow.ttl = pcb_ttl(&t->pcb, &x->flow.dst);
    x->flow.tos = pcb_tos(&t->pcb, &x->flow.dst);
}

uint8_t tcp_min_ttl(const struct tcb *t, bool v4)
{
    return !(t->flags & TF_MINTTL) ? 0 : v4 ? t->ext->min_ttl : t->ext->min_hops;
}
