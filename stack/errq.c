/* errq.c: error queues (errq.h). */
#include "errq.h"

#include <errno.h>
#include <netinet/in.h>

#include "msg.h"
#include "hash.h"
#include "pkt.h"
#include "stamp.h"
#include "user.h"
#include "wire_icmp.h"

#define ERRQ_BUCKETS   1024
#define ERRQ_QUEUES    ERRQ_ENTRIES /* as many: who has an entry finds a queue for it */
#define ENTRY_CHARGE   832          /* what Linux charges for a small packet */
#define ZEROCOPY_ASKED 576          /* what it wants to be free for one (SKB_TRUESIZE(0)) */
#define OPTMEM_MAX     131072       /* net.core.optmem_max */

struct errq {
    struct list node;    /* in its bucket */
    struct list entries; /* oldest first */
    struct pcb *pcb;
    uint32_t mem;
    uint32_t zerocopy; /* entries about zero-copy sends */
    uint8_t seen;      /* errq_mend's */
};

struct errq_table {
    struct slab queues, entries;
    struct list bucket[ERRQ_BUCKETS];
};

int errq_init(struct shard *sh)
{
    struct errq_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);
    int r;

    if (!t)
        return -ENOMEM;
    for (unsigned i = 0; i < ERRQ_BUCKETS; i++)
        list_init(&t->bucket[i]);
    sh->errq = t;
    r = slab_init(&t->queues, sh->st->seg, sizeof(struct errq), ERRQ_QUEUES);
    return r ? r : slab_init(&t->entries, sh->st->seg, sizeof(struct errq_entry), ERRQ_ENTRIES);
}

static struct list *bucket_of(struct shard *sh, const struct pcb *pcb)
{
    return &sh->errq->bucket[(uint32_t)hash_mix((uintptr_t)pcb, 0x9e3779b97f4a7c15ULL) % ERRQ_BUCKETS];
}

static struct errq *find(struct shard *sh, const struct pcb *pcb)
{
    if (!errq_any(pcb))
        return NULL;
    list_for_each(n, bucket_of(sh, pcb))
    {
        struct errq *q = container_of(n, struct errq, node);

        if (q->pcb == pcb)
            return q;
    }
    return NULL;
}

static struct errq *find_or_make(struct shard *sh, struct pcb *pcb)
{
    struct errq *q = find(sh, pcb);

    if (q)
        return q;
    q = slab_alloc(&sh->errq->queues);
    if (!q)
        return NULL;
    q->pcb = pcb;
    list_init(&q->entries);
    list_add_head(bucket_of(sh, pcb), &q->node);
    pcb->flags |= PCB_ERRQ;
    return q;
}

static void drop_if_empty(struct shard *sh, struct errq *q)
{
    if (!list_empty(&q->entries))
        return;
    q->pcb->flags &= (uint16_t)~PCB_ERRQ;
    list_del(&q->node);
    slab_free(&sh->errq->queues, q);
}

int errq_add(struct shard *sh, struct pcb *pcb, const struct errq_entry *e, uint32_t limit)
{
    uint32_t charge = ENTRY_CHARGE + (e->m ? e->m->pkt_len : 0);
    struct errq *q = find_or_make(sh, pcb);
    struct errq_entry *x = NULL;

    if (q && q->mem + charge < limit)
        x = slab_alloc(&sh->errq->entries);
    if (!x) {
        if (q)
            drop_if_empty(sh, q);
        rte_pktmbuf_free(e->m);
        return -ENOMEM;
    }
    *x = *e;
    x->charge = charge;
    q->mem += charge;
    list_add_tail(&q->entries, &x->node);
    pcb_event(sh, pcb, EV_ERR);
    return 0;
}

struct errq_entry *errq_zerocopy_new(struct shard *sh, uint32_t id)
{
    struct errq_entry *e = slab_alloc(&sh->errq->entries);

    if (e)
        e->ee = (struct sock_extended_err){.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
                                           .ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
                                           .ee_info = id,
                                           .ee_data = id};
    return e;
}

void errq_zerocopy_free(struct shard *sh, struct errq_entry *e)
{
    slab_free(&sh->errq->entries, e);
}

/* Does e go on where the newest entry of q ends (skb_zerocopy_notify_extend)? Then it becomes part of that.
 */
static bool zerocopy_joins(struct errq *q, const struct errq_entry *e)
{
    struct errq_entry *last;

    if (list_empty(&q->entries))
        return false;
    last = container_of(q->entries.prev, struct errq_entry, node);
    if (last->ee.ee_origin != SO_EE_ORIGIN_ZEROCOPY || e->ee.ee_info != last->ee.ee_data + 1)
        return false;
    last->ee.ee_data = e->ee.ee_data;
    return true;
}

void errq_zerocopy_done(struct shard *sh, struct pcb *pcb, struct errq_entry *e)
{
    struct errq *q = find_or_make(sh, pcb);

    if (!q || zerocopy_joins(q, e)) {
        errq_zerocopy_free(sh, e);
    } else {
        q->zerocopy++;
        list_add_tail(&q->entries, &e->node);
    }
    pcb_event(sh, pcb, EV_ERR);
}

bool errq_zerocopy_room(struct shard *sh, const struct pcb *pcb, uint32_t pending)
{
    const struct errq *q = find(sh, pcb);

    return (pending + (q ? q->zerocopy : 0)) * ENTRY_CHARGE + ZEROCOPY_ASKED <= OPTMEM_MAX;
}

/* ee_info of an ICMP error (icmp_unreach, icmpv6_notify). */
static uint32_t icmp_info(const struct icmp_error *err, bool v4)
{
    if (!v4)
        return err->info;
    if (err->too_big)
        return err->mtu;
    return err->type == ICMP_T_PARAM ? err->info >> 24 : 0;
}

int errq_icmp(struct shard *sh, struct pcb *pcb, const struct icmp_error *err, uint16_t port_be, uint32_t off,
              uint32_t limit)
{
    bool v4 = ipaddr_is_v4(&err->src);
    struct errq_entry e = {
        .ee = {.ee_errno = (uint32_t)err->err,
               .ee_origin = v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6,
               .ee_type = err->type,
               .ee_code = err->code,
               .ee_info = icmp_info(err, v4)},
        .v4 = v4,
        .has_name = 1,
        .name = {err->dst, port_be},
        .offender = err->from,
        .to = err->to,
        .ttl = err->ttl,
        .tos = err->tos,
        .ifindex = err->ifindex,
        .from_wire = 1,
        .stamp_ns = stamp_now_ns(sh),
    };
    uint32_t n = off < err->data_len ? err->data_len - off : 0;

    if (n) {
        e.m = pkt_alloc(sh);
        if (!e.m)
            return -ENOMEM;
        n = RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(e.m));
        memcpy(rte_pktmbuf_append(e.m, (uint16_t)n), err->data + off, n);
    }
    return errq_add(sh, pcb, &e, limit);
}

int errq_local(struct shard *sh, struct pcb *pcb, int err, uint32_t info, const struct endpoint *dst,
               uint32_t limit)
{
    struct errq_entry e = {
        .ee = {.ee_errno = (uint32_t)err, .ee_origin = SO_EE_ORIGIN_LOCAL, .ee_info = info},
        .v4 = ipaddr_is_v4(&dst->addr),
        .has_name = 1,
        .name = *dst,
    };

    return errq_add(sh, pcb, &e, limit);
}

union name {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* As a sockaddr of the socket's family; its length. */
static socklen_t make_name(const struct shard *sh, const struct pcb *pcb, const struct ipaddr *a,
                           uint16_t port_be, unsigned ifindex, union name *out)
{
    struct ipaddr wire;

    memset(out, 0, sizeof *out);
    if (!(pcb->flags & PCB_V6)) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = port_be;
        out->in.sin_addr.s_addr = ipaddr_get_v4(a);
        return sizeof out->in;
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = port_be;
    wire = ipaddr_unzoned(a);
    memcpy(&out->in6.sin6_addr, wire.b, 16);
    if (ipaddr_is_linklocal(a))
        out->in6.sin6_scope_id = (uint32_t)stack_if_shown(sh->st, ifindex);
    return sizeof out->in6;
}

static bool put_name(const struct shard *sh, const struct pcb *pcb, const struct errq_entry *e,
                     struct msghdr *msg)
{
    union name n;
    socklen_t len;

    if (!msg->msg_name || !e->has_name) {
        msg->msg_namelen = 0;
        return true;
    }
    len = make_name(sh, pcb, &e->name.addr, e->name.port_be, e->ifindex, &n);
    if (!user_copy(msg->msg_name, &n, RTE_MIN(msg->msg_namelen, len)))
        return false;
    msg->msg_namelen = len;
    return true;
}

/* IP_RECVERR, IPV6_RECVERR: the error and who reported it. */
static void put_error(const struct shard *sh, const struct pcb *pcb, const struct errq_entry *e,
                      struct msghdr *msg, size_t *used)
{
    bool v6 = pcb->flags & PCB_V6;
    struct {
        struct sock_extended_err ee;
        union name offender;
    } x;
    size_t len = sizeof x.ee + (v6 ? sizeof x.offender.in6 : sizeof x.offender.in);

    memset(&x, 0, sizeof x);
    x.ee = e->ee;
    if (!ipaddr_is_any(&e->offender))
        make_name(sh, pcb, &e->offender, 0, e->ifindex, &x.offender);
    msg_put_ctl(msg, used, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &x, len);
}

static bool is_icmp(const struct errq_entry *e)
{
    return e->ee.ee_origin == SO_EE_ORIGIN_ICMP || e->ee.ee_origin == SO_EE_ORIGIN_ICMP6;
}

/* Takes e off; its memory stays the caller's. */
static void take(struct shard *sh, struct errq *q, struct errq_entry *e)
{
    struct pcb *pcb = q->pcb;

    list_del(&e->node);
    q->mem -= e->charge;
    q->zerocopy -= e->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY;
    if (!list_empty(&q->entries)) {
        const struct errq_entry *next = container_of(q->entries.next, struct errq_entry, node);

        if (is_icmp(next))
            pcb->so_error = (int)next->ee.ee_errno;
        else if (is_icmp(e))
            pcb->so_error = 0;
        pcb_event(sh, pcb, EV_ERR);
    } else if (is_icmp(e)) {
        pcb->so_error = 0;
    }
    drop_if_empty(sh, q);
}

static void entry_free(struct shard *sh, struct errq_entry *e)
{
    rte_pktmbuf_free(e->m);
    slab_free(&sh->errq->entries, e);
}

ssize_t errq_recv(struct shard *sh, struct pcb *pcb, struct msghdr *msg, const struct stamp *s,
                  void (*put_ctl)(struct shard *sh, struct pcb *pcb, const struct errq_entry *e,
                                  struct msghdr *msg, size_t *used))
{
    struct errq *q = find(sh, pcb);
    struct errq_entry *e;
    size_t used = 0;
    ssize_t r;

    if (!q)
        return -EAGAIN;
    msg->msg_flags = 0;
    e = container_of(q->entries.next, struct errq_entry, node);
    take(sh, q, e);
    r = e->m ? msg_scatter(e->m, e->off, msg) : 0;
    if (r >= 0 && e->m && (size_t)r < e->m->pkt_len - e->off)
        msg->msg_flags |= MSG_TRUNC;
    if (r >= 0 && !put_name(sh, pcb, e, msg))
        r = -EFAULT;
    if (r >= 0) {
        if (s && e->ee.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
            stamp_put_ing(s, msg, &used, e->stamp_ns);
        else if (s && e->stamp_ns)
            stamp_put_rx(sh, s, msg, &used, e->stamp_ns);
        if (put_ctl)
            put_ctl(sh, pcb, e, msg, &used);
        put_error(sh, pcb, e, msg, &used);
        msg->msg_controllen = used;
        msg->msg_flags |= MSG_ERRQUEUE;
    }
    entry_free(sh, e);
    return r;
}

void errq_purge(struct shard *sh, struct pcb *pcb)
{
    struct errq *q = find(sh, pcb);

    if (!q)
        return;
    list_for_each_safe(n, &q->entries)
    {
        struct errq_entry *e = container_of(n, struct errq_entry, node);

        list_del(&e->node);
        entry_free(sh, e);
    }
    drop_if_empty(sh, q);
}

static bool queue_seen(const void *obj)
{
    return ((const struct errq *)obj)->seen;
}

/* An entry that was on its way in or out is on the queue or lost; a queue without any goes. */
static void mend_queue(struct errq *q)
{
    q->mem = q->zerocopy = 0;
    list_repair(&q->entries);
    list_for_each(n, &q->entries)
    {
        const struct errq_entry *e = container_of(n, struct errq_entry, node);

        q->mem += e->charge;
        q->zerocopy += e->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY;
    }
    q->seen = !list_empty(&q->entries);
    if (q->seen) {
        q->pcb->flags |= PCB_ERRQ;
    } else {
        q->pcb->flags &= (uint16_t)~PCB_ERRQ;
        list_del(&q->node);
    }
}

void errq_mend(struct shard *sh)
{
    struct errq_table *t = sh->errq;

    for (uint32_t i = 0; i < t->queues.fresh; i++)
        ((struct errq *)slab_at(&t->queues, i))->seen = 0;
    if (sh->work)
        sh->work->flags &= (uint16_t)~PCB_ERRQ;
    for (unsigned i = 0; i < ERRQ_BUCKETS; i++) {
        list_repair(&t->bucket[i]);
        list_for_each_safe(n, &t->bucket[i]) mend_queue(container_of(n, struct errq, node));
    }
    slab_mend(&t->queues, queue_seen);
}
