/* udp_user.c: UDP as sockets call it: names, receive, end. What it shares with other datagram protocols
 * is dgram.h's. */
#include <errno.h>

#include "filter.h"
#include "port.h"
#include "udp_cb.h"

struct udpcb *udp_open(struct shard *sh, uint16_t pcb_flags)
{
    struct udpcb *u = slab_alloc(&sh->udp->pcbs);

    if (!u) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &u->d);
    u->d.pcb.proto = IPPROTO_UDP;
    u->d.pcb.flags = pcb_flags;
    u->d.pcb.shard = (uint8_t)sh->id;
    return u;
}

int udp_bind(struct shard *sh, struct udpcb *u, const struct endpoint *local)
{
    int r = port_bind(sh->st, sh, &u->d.pcb, local);

    if (!r)
        udp_hash(sh, u);
    return r;
}

int udp_autobind(struct shard *sh, struct udpcb *u)
{
    struct endpoint any = {.addr = u->d.pcb.local.addr, .port_be = 0};

    return (u->d.pcb.flags & PCB_BOUND) ? 0 : udp_bind(sh, u, &any);
}

int udp_connect(struct shard *sh, struct udpcb *u, const struct endpoint *remote)
{
    int r = udp_autobind(sh, u);
    struct dgram_tx tx;

    dgram_tx_init(sh, &u->d, &tx);
    if (!r) /* from the address that an earlier peer made it choose, as Linux */
        r = dgram_flow(sh, &u->d, &remote->addr, &tx);
    if (r)
        return r;
    udp_unhash(sh, u);
    u->d.pcb.local.addr = dgram_name(&u->d, &tx);
    u->d.pcb.remote = *remote;
    udp_hash(sh, u);
    return 0;
}

int udp_disconnect(struct shard *sh, struct udpcb *u)
{
    if (!(u->d.pcb.flags & PCB_BOUND))
        return 0;
    udp_unhash(sh, u);
    memset(&u->d.pcb.remote, 0, sizeof u->d.pcb.remote);
    if (!(u->d.pcb.flags & PCB_ADDR_LOCKED))
        u->d.pcb.local.addr = IPADDR_ANY;
    u->d.flow.gen = 0;
    u->d.flow.dst = IPADDR_ANY;
    if (u->d.pcb.flags & PCB_PORT_LOCKED) {
        udp_hash(sh, u);
    } else {
        port_release(sh->st, &u->d.pcb);
        u->d.pcb.local.port_be = 0;
    }
    return 0;
}

/* Did what is read next come by IPv4? */
static bool next_is_v4(const struct udpcb *u)
{
    struct dgram_info info;

    if (!u->d.rcv_head)
        return false;
    dgram_info(u->d.rcv_head, &info);
    return info.v4;
}

ssize_t udp_recv(struct shard *sh, struct udpcb *u, struct msghdr *msg, int flags)
{
    bool v4 = !(u->d.pcb.flags & PCB_V6) || next_is_v4(u);
    bool some = u->d.rcv_head != NULL; /* else 0 is the end that shutdown made */
    ssize_t n = dgram_recv(sh, &u->d, msg, flags);

    if (n >= 0 && some && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
        sh->count[udp_count(COUNT_UDP_IN, v4, u->d.pcb.proto == IPPROTO_UDPLITE)]++;
    return n;
}

size_t udp_next_len(const struct udpcb *u)
{
    return dgram_next_len(&u->d);
}

unsigned udp_poll(const struct udpcb *u)
{
    return dgram_poll(&u->d);
}

int udp_shutdown(struct shard *sh, struct udpcb *u, int how)
{
    return dgram_shutdown(sh, &u->d, how);
}

void udp_close(struct shard *sh, struct udpcb *u)
{
    struct rte_mbuf *cork = u->cork;

    dgram_close(sh, &u->d);
    u->cork = NULL;
    list_step();
    rte_pktmbuf_free(cork);
    udp_unhash(sh, u);
    if (u->d.pcb.flags & PCB_BOUND)
        port_release(sh->st, &u->d.pcb);
    filter_put(sh, u->d.pcb.filter);
    list_del(&u->d.pcb.dirty);
    u->d.pcb.proto = 0; /* udp_walk looks at freed ones, too */
    list_step();
    slab_free(&sh->udp->pcbs, u);
}
