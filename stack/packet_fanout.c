/* packet_fanout.c: groups of packet sockets (packet_fanout.h; Linux: fanout_add, fanout_demux_* of
 * af_packet.c). */
#include "packet_fanout.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "hash.h"
#include "log.h"
#include "packet.h"
#include "packet_table.h"
#include "pkt.h"
#include "rnd.h"
#include "wire_ip4.h"

#define FLAG(name) (PACKET_FANOUT_FLAG_##name >> 8)
#define KERNEL_MAX 65536 /* members that Linux lets one ask for */

/* ---- whom a frame goes to ---- */

static bool has_ports(uint8_t proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE || proto == IPPROTO_SCTP;
}

/* The same for both directions of a flow (__skb_get_hash_symmetric). net: offset of the network header. */
static uint32_t flow_hash(const struct shard *sh, const struct rte_mbuf *m, uint32_t net, uint16_t type)
{
    struct endpoint a = {0}, b = {0};
    uint16_t port[2] = {0, 0};
    uint8_t ip6[40];
    struct ip4_hdr ip;
    uint32_t l4 = 0;
    uint8_t proto = 0;

    if (type == ETH_P_IP && pkt_read(m, net, sizeof ip, &ip)) {
        a.addr = ipaddr_v4(ip.src_be);
        b.addr = ipaddr_v4(ip.dst_be);
        proto = ip.proto;
        l4 = ip.off_be & htons(IP4_MF | IP4_OFFSET_MASK) ? 0 : net + ip4_hlen(&ip);
    } else if (type == ETH_P_IPV6 && pkt_read(m, net, sizeof ip6, ip6)) {
        memcpy(a.addr.b, ip6 + 8, 16); /* RFC 8200 section 3 */
        memcpy(b.addr.b, ip6 + 24, 16);
        proto = ip6[6];
        l4 = net + sizeof ip6;
    }
    if (l4 && has_ports(proto) && pkt_read(m, l4, sizeof port, port)) {
        a.port_be = port[0];
        b.port_be = port[1];
    }
    return hash_flow(sh->st->secret, &a, &b) ^ hash_flow(sh->st->secret, &b, &a);
}

static bool has_room(const struct packetcb *p)
{
    return p->rings && p->rings->rx.mem ? packet_ring_room(p) : p->d.rcv_mem < p->d.rcvbuf;
}

/* The first with room from i on; i itself when nobody has any. */
static uint32_t roll(struct packet_fanout *g, uint32_t i)
{
    if (has_room(g->member[i]))
        return i;
    for (uint32_t k = 1; k < g->n; k++) {
        uint32_t j = (i + k) % g->n;

        if (has_room(g->member[j])) {
            g->rolled++;
            return j;
        }
    }
    g->rolled_failed++;
    return i;
}

struct packetcb *packet_fanout_pick(struct shard *sh, struct packetcb *p, const struct filter_pkt *f)
{
    struct packet_fanout *g = p->fanout;
    uint32_t i = 0;

    switch (g->type) {
    case PACKET_FANOUT_HASH:
        i = (uint32_t)(((uint64_t)flow_hash(sh, f->m, (uint32_t)(f->data + f->net), f->proto) * g->n) >> 32);
        break;
    case PACKET_FANOUT_LB:
        i = ++g->turn % g->n;
        break;
    case PACKET_FANOUT_RND:
        i = rnd_below(sh, g->n);
        break;
    case PACKET_FANOUT_CBPF:
        i = g->filter ? filter_run(sh, g->filter, f) % g->n : 0;
        break;
    default: /* _CPU, _QM, _ROLLOVER */
        break;
    }
    if (g->type == PACKET_FANOUT_ROLLOVER || (g->flags & FLAG(ROLLOVER)))
        i = roll(g, i);
    return g->member[i];
}

/* ---- joining and leaving ---- */

static struct packet_fanout *find_group(struct shard *sh, uint16_t id)
{
    list_for_each(n, &sh->packet->groups)
    {
        struct packet_fanout *g = container_of(n, struct packet_fanout, node);

        if (g->id == id)
            return g;
    }
    return NULL;
}

static bool same_hook(const struct packet_fanout *g, const struct packetcb *p)
{
    return g->proto_be == p->proto_be && g->bound == p->bound &&
           (!p->bound || g->ifindex == p->d.pcb.ifindex);
}

static int new_group(struct shard *sh, const struct packetcb *p, const struct fanout_args *a, uint8_t flags,
                     struct packet_fanout **out)
{
    struct packet_fanout *g;

    if (a->max_num_members > KERNEL_MAX)
        return -EINVAL;
    g = slab_alloc(&sh->packet->fanouts);
    if (!g)
        return -ENOMEM;
    g->id = a->id;
    g->type = (uint8_t)a->type_flags;
    g->flags = flags;
    g->max = a->max_num_members ? a->max_num_members : FANOUT_MEMBERS;
    g->proto_be = p->proto_be;
    g->bound = p->bound;
    g->ifindex = p->d.pcb.ifindex;
    list_add_tail(&sh->packet->groups, &g->node);
    *out = g;
    return 0;
}

static int join(struct shard *sh, struct packetcb *p, const struct fanout_args *a, uint8_t flags)
{
    struct packet_fanout *g = find_group(sh, a->id);
    int err = 0;

    if (g && (g->flags != flags || (a->max_num_members && a->max_num_members != g->max)))
        return -EINVAL;
    if (!g)
        err = new_group(sh, p, a, flags, &g);
    if (err)
        return err;
    if (g->type != (uint8_t)a->type_flags || !same_hook(g, p))
        return -EINVAL;
    if (g->n == g->max || g->n == FANOUT_MEMBERS)
        return -ENOSPC;
    g->member[g->n++] = p;
    p->fanout = g;
    return 0;
}

/* PACKET_FANOUT_FLAG_UNIQUEID: a number that no group has. */
static int free_id(struct shard *sh, uint16_t *id)
{
    for (uint32_t i = 1; i <= FANOUT_GROUPS + 1; i++) {
        if (!find_group(sh, (uint16_t)i)) {
            *id = (uint16_t)i;
            return 0;
        }
    }
    return -ENOMEM;
}

static int add(struct shard *sh, struct packetcb *p, const void *val, uint32_t len)
{
    struct fanout_args a = {0};
    uint8_t type, flags;
    int err;

    if (len != sizeof(int) && len != sizeof a)
        return -EINVAL;
    memcpy(&a, val, len);
    type = (uint8_t)a.type_flags;
    flags = (uint8_t)(a.type_flags >> 8);
    if (type > PACKET_FANOUT_EBPF)
        return -EINVAL;
    if (type == PACKET_FANOUT_ROLLOVER && (flags & FLAG(ROLLOVER)))
        return -EINVAL;
    if (p->fanout)
        return -EALREADY;
    if (flags & FLAG(UNIQUEID)) {
        if (a.id)
            return -EINVAL;
        err = free_id(sh, &a.id);
        if (err)
            return err;
        flags &= (uint8_t)~FLAG(UNIQUEID);
    }
    return join(sh, p, &a, flags);
}

void packet_fanout_leave(struct shard *sh, struct packetcb *p)
{
    struct packet_fanout *g = p->fanout;

    if (!g)
        return;
    p->fanout = NULL;
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->member[i] == p) {
            g->member[i] = g->member[--g->n];
            break;
        }
    }
    if (g->n)
        return;
    filter_put(sh, g->filter);
    list_del(&g->node);
    list_step();
    slab_free(&sh->packet->fanouts, g);
}

static bool is_live(const void *obj)
{
    return ((const struct packet_fanout *)obj)->n != 0;
}

void packet_fanout_mend(struct shard *sh)
{
    struct slab *s = &sh->packet->fanouts;
    const struct slab *pcbs = &sh->packet->pcbs;

    for (uint32_t i = 0; i < s->fresh; i++) {
        struct packet_fanout *g = slab_at(s, i);

        g->n = 0;
        for (uint32_t k = 0; k < pcbs->fresh && g->n < FANOUT_MEMBERS; k++) {
            struct packetcb *p = slab_at(pcbs, k);

            if (p->in_use && p->fanout == g)
                g->member[g->n++] = p;
        }
    }
    slab_mend(s, is_live);
    list_init(&sh->packet->groups);
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct packet_fanout *g = slab_at(s, i);

        if (is_live(g))
            list_add_tail(&sh->packet->groups, &g->node);
    }
}

/* ---- options ---- */

/* PACKET_FANOUT_DATA: the program that chooses. */
static int set_data(struct shard *sh, struct packetcb *p, const void *val, uint32_t len, bool locked)
{
    if (!p->fanout)
        return -EINVAL;
    if (p->fanout->type == PACKET_FANOUT_EBPF) {
        log_once(LOG_LEVEL_WARN, "eBPF programs (PACKET_FANOUT_EBPF) can't run on a socket of the stack");
        return -EPERM;
    }
    if (p->fanout->type != PACKET_FANOUT_CBPF)
        return -EINVAL;
    return filter_attach(sh, &p->fanout->filter, locked, val, len);
}

int packet_fanout_setopt(struct shard *sh, struct packetcb *p, int name, const void *val, uint32_t len,
                         bool locked)
{
    if (name == PACKET_FANOUT)
        return add(sh, p, val, len);
    return name == PACKET_FANOUT_DATA ? set_data(sh, p, val, len, locked) : 1;
}

static int put(const void *from, uint32_t size, void *val, uint32_t *len)
{
    if (*len > size)
        *len = size;
    memcpy(val, from, *len);
    return 0;
}

int packet_fanout_getopt(const struct packetcb *p, int name, void *val, uint32_t *len)
{
    const struct packet_fanout *g = p->fanout;
    struct tpacket_rollover_stats st = {0};
    uint32_t v;

    if (name == PACKET_FANOUT) {
        v = g ? g->id | (uint32_t)g->type << 16 | (uint32_t)g->flags << 24 : 0;
        return put(&v, sizeof v, val, len);
    }
    if (name != PACKET_ROLLOVER_STATS)
        return 1;
    if (!g || (g->type != PACKET_FANOUT_ROLLOVER && !(g->flags & FLAG(ROLLOVER))))
        return -EINVAL;
    st.tp_all = g->rolled;
    st.tp_failed = g->rolled_failed;
    return put(&st, sizeof st, val, len);
}
