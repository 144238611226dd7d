/* tcp_peer.c: a scripted TCP peer (tcp_peer.h). */
#include "tcp_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../stack/cksum.h"
#include "../../stack/port.h"

const struct tcp_opts peer_no_opts = {.fastopen_len = -1};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "tcp test peer: %s failed\n", what);
    abort();
}

static void (*test_tune)(struct tunables *set);

/* The peer's link address stays known: tests wait for minutes, and ARP is not what they are about. */
static void tune(struct tunables *set)
{
    set->neigh_base_reachable = 3600;
    if (test_tune)
        test_tune(set);
}

struct peer *peer_new(const struct env_config *cfg)
{
    struct env_config c = cfg ? *cfg : (struct env_config){0};
    struct peer *p = calloc(1, sizeof *p);

    must(p != NULL, "calloc");
    test_tune = c.tune;
    c.tune = tune;
    p->e = env_stack(&c);
    p->sh = p->e->sh;
    p->port = PEER_PORT;
    p->own_port = OWN_PORT;
    p->iss = 0xfffff000; /* the numbers wrap soon */
    p->tsval = 0x7ffffff0;
    return p;
}

struct tcb *peer_listen(struct peer *p, int backlog)
{
    struct endpoint local = {IPADDR_ANY, htons(p->own_port)};

    p->listener = tcp_open(p->sh, 0);
    must(port_bind(p->sh->st, p->sh, (struct pcb *)p->listener, &local) == 0, "port_bind");
    must(tcp_listen(p->sh, p->listener, backlog) == 0, "tcp_listen");
    return p->listener;
}

/* Sets the bit and keeps the checksum right (RFC 1624). */
static void set_ae(uint8_t *tcp)
{
    uint32_t sum = (uint16_t) ~(tcp[16] << 8 | tcp[17]) + 0x0100u;

    tcp[12] |= 1;
    sum = ~((sum & 0xffff) + (sum >> 16));
    tcp[16] = (uint8_t)(sum >> 8);
    tcp[17] = (uint8_t)sum;
}

void peer_queue(struct peer *p, struct peer_seg s)
{
    static uint8_t data[65536];
    struct tcp_hdr_in h = {.flags = s.flags,
                           .seq = p->iss + s.seq,
                           .urgent = s.urgent,
                           .window = (uint16_t)(s.window ? s.window : PEER_WND)};
    struct tcp_opts o = peer_no_opts;
    struct ip4_hdr *ip;
    struct rte_mbuf *m;

    if (s.flags & TCP_ACK)
        h.ack = p->irs + s.ack;
    if (s.window == ~0u)
        h.window = 0;
    if (p->ts) {
        o.has_ts = 1;
        o.tsval = p->tsval;
        o.tsecr = p->tsecr;
    }
    for (uint32_t i = 0; i < s.len; i++)
        data[i] = (uint8_t)(s.seq - 1 + i);
    m = env_tcp(p->e, ENV_PEER_IP, p->port, ENV_IP, p->own_port, &h, s.opts ? s.opts : &o, data, s.len);
    ip = rte_pktmbuf_mtod_offset(m, struct ip4_hdr *, ETH_HDR_LEN);
    if (s.tos) {
        ip->tos = s.tos;
        ip->cksum = 0;
        ip->cksum = cksum(ip, IP4_HDR_LEN);
    }
    if (s.ae)
        set_ae((uint8_t *)(ip + 1));
    env_inject(p->e, m);
}

void peer_poll(struct peer *p)
{
    env_poll(p->e);
}

void peer_send(struct peer *p, struct peer_seg s)
{
    peer_queue(p, s);
    peer_poll(p);
}

bool peer_recv(struct peer *p)
{
    if (!env_seen(p->e, &p->seen))
        return false;
    if (p->seen.opts.has_ts)
        p->tsecr = p->seen.opts.tsval;
    return true;
}

void peer_clear(struct peer *p)
{
    while (peer_recv(p))
        ;
}

uint32_t peer_count(const struct peer *p)
{
    return env_tx_count(p->e);
}

void peer_wait_ms(struct peer *p, uint64_t ms)
{
    p->tsval += (uint32_t)ms;
    env_advance_ms(p->e, ms);
}

static struct tcp_opts syn_opts(const struct peer *p, const struct peer_opts *o)
{
    struct tcp_opts t = peer_no_opts;

    t.mss = o->mss ? o->mss : 1460;
    t.has_ts = o->ts;
    t.tsval = p->tsval;
    t.tsecr = p->tsecr;
    t.sack_permitted = o->sack;
    t.has_wscale = o->wscale;
    t.wscale = o->shift;
    return t;
}

static const struct peer_opts plain;

void peer_open_passive(struct peer *p, const struct peer_opts *o)
{
    struct tcp_opts t = syn_opts(p, o ? o : (o = &plain));

    if (!p->listener)
        peer_listen(p, 8);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &t, .window = o->window});
    must(peer_recv(p) && p->seen.tcp.flags == (TCP_SYN | TCP_ACK), "SYN,ACK");
    p->irs = p->seen.tcp.seq;
    p->ts = p->seen.opts.has_ts;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = o->window});
    p->t = tcp_accept(p->sh, p->listener);
    must(p->t != NULL && tcp_state(p->t) == TCPS_ESTABLISHED, "accept");
    must(!peer_recv(p), "silence");
}

void peer_open_active(struct peer *p, const struct peer_opts *o)
{
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};
    struct tcp_opts t;

    if (!o)
        o = &plain;
    if (!p->t)
        p->t = tcp_open(p->sh, 0);
    must(tcp_connect(p->sh, p->t, &remote) == -EINPROGRESS, "tcp_connect");
    shard_flush(p->sh);
    must(peer_recv(p) && p->seen.tcp.flags == TCP_SYN, "SYN");
    p->irs = p->seen.tcp.seq;
    p->own_port = ntohs(p->seen.tcp.sport_be);
    t = syn_opts(p, o);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1, .opts = &t, .window = o->window});
    must(tcp_state(p->t) == TCPS_ESTABLISHED, "SYN,ACK");
    must(peer_recv(p) && p->seen.tcp.flags == TCP_ACK, "ACK");
    p->ts = o->ts && p->seen.opts.has_ts;
}

void peer_into(struct peer *p, int state)
{
    const uint8_t fa = TCP_FIN | TCP_ACK;
    bool we_first = state != TCPS_CLOSE_WAIT && state != TCPS_LAST_ACK && state != TCPS_CLOSE;

    if (state == TCPS_ESTABLISHED)
        return;
    if (!we_first)
        peer_send(p, (struct peer_seg){.flags = fa, .seq = 1, .ack = 1});
    if (state != TCPS_CLOSE_WAIT) {
        tcp_shutdown(p->sh, p->t, SHUT_WR);
        shard_flush(p->sh);
    }
    if (state == TCPS_FIN_WAIT_2 || state == TCPS_TIME_WAIT)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 2});
    if (state == TCPS_CLOSING || state == TCPS_TIME_WAIT)
        peer_send(p, (struct peer_seg){.flags = fa, .seq = 1, .ack = state == TCPS_CLOSING ? 1 : 2});
    if (state == TCPS_CLOSE)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 2, .ack = 2});
    must(tcp_state(p->t) == (state == TCPS_TIME_WAIT ? TCPS_CLOSE : state), "the way into a state");
    peer_clear(p);
}

ssize_t peer_app_send(struct peer *p, uint32_t len, bool more)
{
    static uint8_t data[1 << 20];
    struct iovec iov = {data, len};
    ssize_t n;

    must(len <= sizeof data, "room");
    p->sh->now_ns = p->e->now_ns;
    n = tcp_send(p->sh, p->t, &iov, 1, 0, more);
    shard_flush(p->sh);
    return n;
}

ssize_t peer_app_recv(struct peer *p, void *buf, size_t len)
{
    static uint8_t sink[1 << 20];
    struct iovec iov = {buf ? buf : sink, len};
    ssize_t n;

    p->sh->now_ns = p->e->now_ns;
    n = tcp_recv(p->sh, p->t, &iov, 1, 0, 0);
    shard_flush(p->sh);
    return n;
}

void peer_set(struct peer *p, int level, int name, int value)
{
    p->sh->now_ns = p->e->now_ns;
    must(tcp_setopt(p->sh, p->t, level, name, &value, sizeof value) == 0, "tcp_setopt");
    shard_flush(p->sh);
}
