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
    if (sock_more(s)->bound_lo)
        v->ifindex = (uint32_t)stack_if_shown(s->sh->st, 0);
}

static void add_known(const struct pcb *pcb, struct inspect_view *v)
{
    v->cookie = 1ull << 63 | v->place; /* sockets' own are counted from 1 */
    if (pcb && pcb->user)
        add_sock(pcb->user, v);
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
    for (unsigned i = 0; i < n; i++)
        add_known(pcb[i], &v[i]);
    *more = at->table < INSPECT_TABLES;
    return n;
}

static struct endpoint end_of(const struct stack *st, const struct ipaddr *a, uint16_t port_be,
                              uint32_t ifindex)
{
    struct endpoint e = {*a, port_be};

    if (ifindex && stack_if_of(st, (int)ifindex) >= 0)
        ipaddr_set_zone(&e.addr, (unsigned)stack_if_of(st, (int)ifindex) + 1);
    return e;
}

bool inspect_find(const struct shard *sh, const struct inspect_query *want, const struct ipaddr *laddr,
                  const struct ipaddr *raddr, uint32_t ifindex, uint64_t cookie, struct inspect_view *v)
{
    struct inspect_query q = *want;
    struct inspect_at at = {0};
    bool more = true;

    q.states = UINT32_MAX;
    q.code = NULL;
    if ((q.tables & INSPECT_TCP) && q.rport_be) {
        struct endpoint l = end_of(sh->st, laddr, q.lport_be, ifindex);
        struct endpoint r = end_of(sh->st, raddr, q.rport_be, ifindex);
        const struct pcb *pcb;

        q.family = 0; /* an IPv6 socket is found by its IPv4-mapped names, too */
        if (!tcp_inspect_find(sh, &q, &l, &r, v, &pcb))
            return false;
        add_known(pcb, v);
        return cookie == INSPECT_NO_COOKIE || cookie == v->cookie;
    }
    q.tables &= ~(1u << INSPECT_HALF | 1u << INSPECT_CONN | 1u << INSPECT_TIMEWAIT);
    while (more)
        if (inspect_next(sh, &at, &q, v, 1, &more) && (cookie == INSPECT_NO_COOKIE || cookie == v->cookie) &&
            ipaddr_eq(&v->laddr, laddr) && ipaddr_eq(&v->raddr, raddr))
            return true;
    return false;
}

int inspect_destroy(struct shard *sh, const struct inspect_view *v)
{
    if (v->raw || v->proto != IPPROTO_TCP)
        return dgram_inspect_destroy(sh, v);
    tcp_inspect_destroy(sh, v);
    return 0;
}

void inspect_count(const struct stack *st, struct inspect_tally *t)
{
    *t = (struct inspect_tally){.sockets = st->ready->socks.in_use};
    tcp_inspect_count(&st->shard[0], t); /* who has all of them */
    dgram_inspect_count(&st->shard[0], t);
}
