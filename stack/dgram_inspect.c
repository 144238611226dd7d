/* dgram_inspect.c: datagrams' share of inspect.h: UDP, UDP-Lite, raw, ping and packet sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "inspect.h"
#include "inspect_filter.h"
#include "packet.h"
#include "packet_table.h"
#include "ping.h"
#include "raw.h"
#include "tcp_cb.h"
#include "udp_cb.h"

bool inspect_asked(const struct stack *st, const struct inspect_query *q, struct inspect_view *v)
{
    unsigned zone = ipaddr_zone(&v->raddr) ? ipaddr_zone(&v->raddr) : ipaddr_zone(&v->laddr);

    if ((q->family && q->family != v->family) || (q->lport_be && q->lport_be != v->lport_be) ||
        (q->rport_be && q->rport_be != v->rport_be) || !(q->states & (1u << v->state)))
        return false;
    if (!v->ifindex && zone)
        v->ifindex = (uint32_t)stack_if_shown(st, zone - 1);
    v->laddr = ipaddr_unzoned(&v->laddr);
    v->raddr = ipaddr_unzoned(&v->raddr);
    return !q->code || inspect_filter_run(q->code, q->code_len, v);
}

bool inspect_names(const struct stack *st, const struct inspect_query *q, const struct pcb *p,
                   struct inspect_view *v)
{
    uint8_t state = v->state;

    *v = (struct inspect_view){0};
    v->state = state;
    v->proto = p->proto;
    v->family = p->flags & PCB_V6 ? AF_INET6 : AF_INET;
    v->laddr = p->local.addr;
    v->raddr = p->remote.addr;
    v->lport_be = p->local.port_be;
    v->rport_be = p->remote.port_be;
    v->flags = p->flags;
    v->port_locked = p->flags & PCB_PORT_LOCKED;
    v->addr_locked = p->flags & PCB_ADDR_LOCKED;
    /* A specific IPv6 address makes it so (inet6_bind). */
    v->v6only = (p->flags & PCB_V6ONLY) ||
                (v->addr_locked && !ipaddr_is_any(&p->local.addr) && !ipaddr_is_v4(&p->local.addr));
    if (p->ifindex)
        v->ifindex = (uint32_t)stack_if_shown(st, p->ifindex);
    return inspect_asked(st, q, v);
}

void inspect_addr(const struct inspect_view *v, const struct ipaddr *a, uint32_t words[4])
{
    memset(words, 0, 16);
    if (v->family == AF_INET)
        words[0] = ipaddr_is_v4(a) ? ipaddr_get_v4(a) : 0;
    else
        memcpy(words, a->b, 16);
}

static bool view_dgram(const struct shard *sh, const struct inspect_query *q, const struct dgram *d,
                       bool connected, struct inspect_view *v)
{
    v->state = connected ? TCPS_ESTABLISHED : TCPS_CLOSE;
    if (!inspect_names(sh->st, q, &d->pcb, v))
        return false;
    v->place = (uint64_t)(uintptr_t)d;
    v->refs = 2;
    v->rqueue = d->rcv_mem;
    v->drops = d->drops;
    v->shutdown = d->shut;
    v->tos = d->pcb.tos;
    v->tclass = d->pcb.tclass;
    v->mem[0] = d->rcv_mem;
    v->mem[1] = d->rcvbuf;
    v->mem[3] = d->sndbuf;
    v->mem[8] = d->drops;
    return true;
}

static bool view_udp(const struct shard *sh, const struct inspect_at *at, const struct inspect_query *q,
                     const struct udpcb *u, struct inspect_view *v)
{
    uint8_t proto = at->table == INSPECT_UDP ? IPPROTO_UDP : IPPROTO_UDPLITE;

    return u->d.pcb.proto == proto && (u->d.pcb.flags & PCB_BOUND) &&
           view_dgram(sh, q, &u->d, udp_connected(u), v);
}

/* A raw socket's protocol stands for its port (Linux: inet_num). */
static bool view_raw(const struct shard *sh, const struct inspect_query *q, const struct rawcb *r,
                     struct inspect_view *v)
{
    if (!r->proto || (q->proto && q->proto != r->proto) ||
        !view_dgram(sh, q, &r->d, !ipaddr_is_any(&r->d.pcb.remote.addr), v))
        return false;
    v->raw = true;
    v->proto = (uint8_t)r->proto;
    v->rport_be = 0;
    v->refs = 1;
    return true;
}

static bool view_ping(const struct shard *sh, const struct inspect_query *q, const struct pingcb *p,
                      struct inspect_view *v)
{
    return p->in_use && (p->d.pcb.flags & PCB_BOUND) &&
           view_dgram(sh, q, &p->d, !ipaddr_is_any(&p->d.pcb.remote.addr), v);
}

static bool view_packet(const struct shard *sh, const struct packetcb *p, struct inspect_view *v)
{
    if (!p->in_use || p->closed)
        return false;
    *v = (struct inspect_view){.family = AF_PACKET,
                               .type = p->cooked ? SOCK_DGRAM : SOCK_RAW,
                               .proto_be = p->proto_be,
                               .running = p->proto_be != 0,
                               .rqueue = p->d.rcv_mem,
                               .refs = 3,
                               .place = (uint64_t)(uintptr_t)p};
    if (p->bound)
        v->ifindex = (uint32_t)stack_if_shown(sh->st, p->d.pcb.ifindex);
    v->mem[0] = p->d.rcv_mem;
    v->mem[1] = p->d.rcvbuf;
    v->mem[3] = p->d.sndbuf;
    return true;
}

static const struct slab *slab_of(const struct shard *sh, uint32_t table)
{
    switch (table) {
    case INSPECT_UDP:
    case INSPECT_UDPLITE:
        return &sh->udp->pcbs; /* of both */
    case INSPECT_RAW:
        return raw_pcbs(sh);
    case INSPECT_PING:
        return ping_pcbs(sh);
    default:
        return &sh->packet->pcbs;
    }
}

static bool view_any(const struct shard *sh, const struct inspect_at *at, const struct inspect_query *q,
                     const void *obj, struct inspect_view *v)
{
    switch (at->table) {
    case INSPECT_UDP:
    case INSPECT_UDPLITE:
        return view_udp(sh, at, q, obj, v);
    case INSPECT_RAW:
        return view_raw(sh, q, obj, v);
    case INSPECT_PING:
        return view_ping(sh, q, obj, v);
    default:
        return view_packet(sh, obj, v);
    }
}

unsigned dgram_inspect(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                       struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    const struct slab *s = slab_of(sh, at->table);
    uint32_t looks = inspect_looks(q);
    uint32_t end = s->fresh - at->bucket > looks ? at->bucket + looks : s->fresh;
    unsigned n = 0;

    for (; at->bucket < end && n < max; at->bucket++) {
        const struct pcb *p = slab_at(s, at->bucket); /* each begins with it */

        if (view_any(sh, at, q, p, &v[n]))
            pcb[n++] = p;
    }
    *more = at->bucket < s->fresh;
    return n;
}

int dgram_inspect_destroy(struct shard *sh, const struct inspect_view *v)
{
    struct dgram *d = (void *)(uintptr_t)v->place;

    if (!v->raw && v->proto != IPPROTO_UDP && v->proto != IPPROTO_UDPLITE)
        return -EOPNOTSUPP; /* ping and packet sockets */
    sh->work = &d->pcb;
    list_step();
    d->pcb.so_error = ECONNABORTED;
    pcb_event(sh, &d->pcb, EV_ERR);
    return v->raw ? raw_disconnect(sh, (struct rawcb *)d) : udp_disconnect(sh, (struct udpcb *)d);
}

void dgram_inspect_count(const struct shard *sh, struct inspect_tally *t)
{
    const struct slab *u = &sh->udp->pcbs, *r = raw_pcbs(sh), *p = ping_pcbs(sh);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < u->fresh; i++) {
        const struct dgram *d = slab_at(u, i);

        if (!d->pcb.proto || !(d->pcb.flags & PCB_BOUND))
            continue;
        (d->pcb.proto == IPPROTO_UDP ? t->udp : t->udplite)[!!(d->pcb.flags & PCB_V6)]++;
        bytes += d->rcv_mem;
    }
    for (uint32_t i = 0; i < r->fresh; i++) {
        const struct rawcb *x = slab_at(r, i);

        t->raw[!!(x->d.pcb.flags & PCB_V6)] += x->proto != 0;
    }
    for (uint32_t i = 0; i < p->fresh; i++) {
        const struct pingcb *x = slab_at(p, i);

        t->ping[!!(x->d.pcb.flags & PCB_V6)] += x->in_use;
    }
    t->udp_pages = (uint32_t)(bytes / 4096);
}
