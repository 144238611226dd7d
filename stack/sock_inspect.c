/* sock_inspect.c: the walk through all tables (inspect.h), and what the socket layer knows of each socket:
 * whose it is, and its number. */
#include "inspect.h"

#include "file.h"
#include "sock.h"

static unsigned one_table(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                          struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    return at->table <= INSPECT_TIMEWAIT ? tcp_inspect(sh, at, q, v, pcb, max, more)
                                         : dgram_inspect(sh, at, q, v, pcb, max, more);
}

static void add_sock(struct sock *s, struct inspect_view *v)
{
    v->uid = s->uid;
    v->ino = file_ino(&s->file);
    v->cookie = s->file.id;
    v->mark = (uint32_t)sock_stored(s, SOL_SOCKET, SO_MARK);
    v->priority = (uint32_t)sock_stored(s, SOL_SOCKET, SO_PRIORITY);
    if (s->bound_lo)
        v->ifindex = (uint32_t)stack_if_shown(s->sh->st, 0);
}

unsigned inspect_next(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                      struct inspect_view *v, unsigned max, bool *more)
{
    const struct pcb *pcb[INSPECT_PIECE];
    unsigned n = 0;
    bool here = false;

    if (max > INSPECT_PIECE)
        max = INSPECT_PIECE;
    if (at->table < INSPECT_TABLES && (q->tables & (1u << at->table)))
        n = one_table(sh, at, q, v, pcb, max, &here);
    if (!here)
        *at = (struct inspect_at){.table = at->table + 1};
    for (unsigned i = 0; i < n; i++) {
        v[i].cookie = 1ull << 63 | v[i].place; /* sockets' own are counted from 1 */
        if (pcb[i] && pcb[i]->user)
            add_sock(pcb[i]->user, &v[i]);
    }
    *more = at->table < INSPECT_TABLES;
    return n;
}

void inspect_count(const struct stack *st, struct inspect_tally *t)
{
    *t = (struct inspect_tally){.sockets = st->ready->socks.in_use};
    for (uint32_t i = 0; i < st->nshard; i++) {
        tcp_inspect_count(&st->shard[i], t);
        dgram_inspect_count(&st->shard[i], t);
    }
}
