/* fuzz_tcp: connections, datagrams, ICMP and neighbour discovery by well-formed packets of which some fields
 * are wrong, with what must hold looked at after every step.
 *
 * Theory of operation. An input is a list of steps, as in fuzz_stack. But nothing here is noise: each packet
 * is built as a peer would build it from what the connections expect at that moment (the stack's own control
 * blocks are read for it), and a mask from the input says which fields are then changed: sequence and
 * acknowledgement numbers by a little or by much, window, flags, urgent pointer, options, SACK blocks around
 * what is in flight, time stamps, ECN. So the fuzzer spends its time behind the first checks.
 *
 * Every byte of every stream is a function of its sequence number. What the program reads must be that of
 * where it reads, what the stack sends that of where it stands: no loss, repetition or overlap can hide.
 * After each step the queues of every connection are walked: order, sums, and that what is in flight has a
 * timer. At the end all sockets are closed, and after a silence every packet buffer must be back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../stack/cksum.h"
#include "../../stack/ifnet.h"
#include "../../stack/shard.h"
#include "../../stack/slab.h"
#include "../../stack/sock.h"
#include "../../stack/tcp_rcvq.h"
#include "../../stack/tcp_sndq.h"
#include "../../stack/tcp_table.h"
#include "../../stack/tcp_timer.h"
#include "fuzz.h"

#define PORT_TCP   80
#define PORT_UDP   53
#define PEER_FIRST 1000 /* the peer's ports, one a connection */
#define PEERS      3
#define SOCKS      6 /* 0: the listener, 1: UDP, 2 and up: connections */
#define STEPS      300
#define QUIET_MS   500
#define QUIET_STEP 400 /* 200 s of silence: more than any timeout that is set below or by an option */
#define DATA_MAX   4000

static struct env *e;
static struct sock *socks[SOCKS];
static uint32_t tsval;
static uint32_t accepted; /* sequence number of the next connection's SYN */

#define must(what) must_be(what, #what, __LINE__)

static void must_be(bool ok, const char *what, int line)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_tcp.c:%d: %s\n", line, what);
    abort();
}

/* The byte of any stream at sequence number seq. */
static uint8_t byte_at(uint32_t seq)
{
    return (uint8_t)(seq * 2654435761u >> 24);
}

static void fill(uint8_t *b, uint32_t seq, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b[i] = byte_at(seq + (uint32_t)i);
}

static bool is_pattern(const uint8_t *b, uint32_t seq, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b[i] != byte_at(seq + (uint32_t)i))
            return false;
    return true;
}

/* --- what must hold --- */

/* In order, without a gap, from what was read to what is next; the sum of its memory. */
static uint32_t check_received(const struct tcb *t)
{
    uint32_t at = t->copied_seq, mem = 0;

    for (struct rte_mbuf *m = t->io ? t->io->rcv_head : NULL; m; m = pkt_meta(m)->link) {
        const struct pkt_meta *pm = pkt_meta(m);

        must(pm->seq == at && pm->len > 0);
        must((uint64_t)pm->off + pm->len <= m->pkt_len);
        must(pm->link || m == t->io->rcv_tail);
        at += pm->len;
        mem += pm->truesize;
    }
    must(at + !!(t->flags & TF_FIN_RCVD) == t->rcv_nxt);
    return mem;
}

/* Sorted, without overlap, all beyond rcv_nxt. */
static uint32_t check_out_of_order(const struct tcb *t)
{
    const struct tcp_ofo *o = t->io ? t->io->ofo : NULL;
    uint32_t at = t->rcv_nxt, mem = 0;

    if (!o)
        return 0;
    must(o->nsack <= TCP_SACK_MAX);
    for (struct rte_mbuf *m = o->head; m; m = pkt_meta(m)->link) {
        const struct pkt_meta *pm = pkt_meta(m);

        must(seq_geq(pm->seq, at) && (pm->seq != t->rcv_nxt || !pm->len));
        must((uint64_t)pm->off + pm->len <= m->pkt_len);
        must(pm->link || m == o->tail);
        at = pm->seq + pm->len;
        mem += pm->truesize;
    }
    return mem;
}

/* From what is not acknowledged to what was written, the first unsent at snd_nxt; sums of what is SACKed,
 * lost and sent again. */
static void check_sent(const struct tcb *t)
{
    const struct tcp_tx *x = t->tx;
    uint32_t at, sacked = 0, lost = 0, retrans = 0, mem = 0;
    bool unsent = false;

    if (!x || !x->snd_head)
        return;
    at = pkt_meta(x->snd_head)->seq;
    must(at - t->snd_una <= 1); /* 1: our SYN is out */
    for (struct rte_mbuf *u = x->snd_head; u; u = pkt_meta(u)->link) {
        const struct pkt_meta *pm = pkt_meta(u);

        must(pm->seq == at && pm->len > 0);
        must(pm->link || u == x->snd_tail);
        unsent |= u == x->snd_next;
        must(unsent == seq_geq(pm->seq, t->snd_nxt));
        must(!unsent || !(pm->flags & (UNIT_SACKED | UNIT_LOST | UNIT_RETRANS)));
        sacked += pm->flags & UNIT_SACKED ? pm->len : 0;
        lost += pm->flags & UNIT_LOST ? pm->len : 0;
        retrans += pm->flags & UNIT_RETRANS ? pm->len : 0;
        mem += pm->truesize;
        at += pm->len;
    }
    must(at == t->write_seq);
    must(mem == x->snd_mem);
    must(!(t->flags & TF_SACK) || sacked == x->sacked);
    must(lost == x->lost && retrans == x->retrans);
    must(unsent || !x->snd_next);
}

static void check_connection(const struct tcb *t)
{
    must(check_received(t) + check_out_of_order(t) == tcp_rcv_mem(t));
    check_sent(t);
    must(seq_leq(t->snd_una, t->snd_nxt) && seq_leq(t->snd_nxt, t->write_seq + 1));
    must(t->mss > 0 && t->unit > 0 && t->unit <= t->mss && t->cwnd > 0);
    must(t->rcv_wup + t->rcv_wnd - t->rcv_nxt < 1u << 30 || seq_leq(t->rcv_wup + t->rcv_wnd, t->rcv_nxt));
    if (t->snd_una != t->snd_nxt)
        must(tcp_deadline_isset(t, DL_RTX));
}

static void check(void)
{
    const struct slab *s = &e->sh->tcp->tcb;

    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct tcb *t = slab_at(s, i);

        if (t->pcb.proto == IPPROTO_TCP && !state_in(t, TCPF(LISTEN) | TCPF(CLOSE) | TCPF(SYN_SENT)))
            check_connection(t);
    }
    must(env_leaks(e) >= 0);
}

/* The next frame that left, requests of ARP answered. False: there is none. */
static bool took(struct env_seen *seen)
{
    while (env_seen(e, seen)) {
        if (seen->type != ETH_TYPE_ARP)
            return true;
        env_inject(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, ENV_PEER_IP, ENV_MAC, ENV_IP));
        env_poll(e);
    }
    return false;
}

/* What left: the bytes of each segment are those of its place. */
static void settle(void)
{
    static struct env_seen seen;

    env_poll(e);
    while (took(&seen))
        if (seen.ip && seen.ip->proto == IPPROTO_TCP && seen.tcp.sport_be == htons(PORT_TCP))
            must(is_pattern(seen.data, seen.tcp.seq, seen.data_len));
}

/* --- packets --- */

static struct tcb *connection(unsigned peer)
{
    struct endpoint own = {env_addr(ENV_IP), htons(PORT_TCP)};
    struct endpoint remote = {env_addr(ENV_PEER_IP), htons((uint16_t)(PEER_FIRST + peer))};

    return tcp_lookup(e->sh, &own, &remote);
}

static void put(unsigned peer, const struct tcp_hdr_in *h, const struct tcp_opts *o, size_t n, uint8_t tos)
{
    static uint8_t data[DATA_MAX];
    struct rte_mbuf *m;

    fill(data, h->seq + !!(h->flags & TCP_SYN), n);
    m = env_tcp(e, ENV_PEER_IP, (uint16_t)(PEER_FIRST + peer), ENV_IP, PORT_TCP, h, o, data, n);
    if (tos) {
        struct ip4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct ip4_hdr *, ETH_HDR_LEN);

        ip->tos = tos;
        ip->cksum = 0;
        ip->cksum = cksum(ip, IP4_HDR_LEN);
    }
    env_inject(e, m);
}

/* By a few bytes, by segments, or by half the space. */
static uint32_t shift(void)
{
    uint8_t kind = u8();
    int32_t by = (int8_t)u8();

    return (uint32_t)(kind & 0x80 ? by * (1 << 24) : kind & 0x40 ? by * 1000 : by);
}

static void sack_blocks(const struct tcb *t, struct tcp_opts *o)
{
    uint32_t span = t->snd_nxt - t->snd_una + 2000;

    o->nsack = (uint8_t)(1 + u8() % 3);
    for (unsigned i = 0; i < o->nsack; i++) {
        o->sack[i].left = t->snd_una - 1000 + u16() * 16u % (span + 1000);
        o->sack[i].right = o->sack[i].left + u8() * 16u;
    }
}

static void step_segment(void)
{
    unsigned peer = u8() % PEERS;
    uint16_t change = u16() & u16() & u16(); /* most segments have nothing wrong, or one thing */
    size_t n = u8() & 3 ? u16() % DATA_MAX : 0;
    const struct tcb *t = connection(peer);
    struct tcp_hdr_in h = {.flags = TCP_ACK, .window = 2000};
    struct tcp_opts o = {.fastopen_len = -1};
    uint8_t tos = 0;

    if (!t)
        return;
    h.seq = t->rcv_nxt;
    h.ack = t->snd_nxt;
    if (t->flags & TF_TS) {
        o.has_ts = 1;
        o.tsval = ++tsval;
        o.tsecr = tcp_tsval(e->sh, t);
    }
    if (change & 1)
        h.seq += shift();
    if (change & 2)
        h.ack = t->snd_una + (t->snd_nxt - t->snd_una ? u16() % (t->snd_nxt - t->snd_una + 1) : 0);
    if (change & 4)
        h.ack += shift();
    if (change & 8)
        h.window = u16();
    if (change & 16)
        h.flags = u8();
    if (change & 32)
        h.flags |= TCP_FIN;
    if (change & 64)
        h.urgent = u16(), h.flags |= TCP_URG;
    if (change & 128)
        sack_blocks(t, &o);
    if (change & 256)
        o.tsval -= shift();
    if (change & 512)
        o.tsecr += shift();
    if (change & 1024)
        o.has_ts = !o.has_ts;
    if (change & 2048)
        tos = u8() & 3;
    if (change & 4096)
        o.mss = u16(), o.has_wscale = 1, o.wscale = u8() % 16;
    put(peer, &h, &o, n, tos);
}

static void step_handshake(void)
{
    unsigned peer = u8() % PEERS;
    uint8_t kind = u8();
    struct tcp_hdr_in h = {.seq = accepted += 1u << 24, .flags = TCP_SYN, .window = 65535};
    struct tcp_opts o = {.mss = (uint16_t)(kind & 1 ? 1460 : 200),
                         .has_wscale = kind & 2,
                         .wscale = 7,
                         .sack_permitted = kind & 4,
                         .fastopen_len = -1,
                         .has_ts = kind & 8,
                         .tsval = ++tsval};
    struct endpoint own = {env_addr(ENV_IP), htons(PORT_TCP)};
    struct endpoint remote = {env_addr(ENV_PEER_IP), htons((uint16_t)(PEER_FIRST + peer))};
    static struct env_seen seen;

    if (kind & 16)
        h.flags |= TCP_ECE | TCP_CWR;
    if (tcp_lookup(e->sh, &own, &remote))
        return;
    settle();
    put(peer, &h, &o, 0, 0);
    env_poll(e);
    while (took(&seen)) {
        if (!seen.ip || seen.ip->proto != IPPROTO_TCP ||
            (seen.tcp.flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
            continue;
        h = (struct tcp_hdr_in){.seq = h.seq + 1, .ack = seen.tcp.seq + 1, .flags = TCP_ACK, .window = 2000};
        o = (struct tcp_opts){
            .has_ts = seen.opts.has_ts, .tsval = ++tsval, .tsecr = seen.opts.tsval, .fastopen_len = -1};
        put(peer, &h, &o, 0, 0);
        return;
    }
}

/* An error about a segment of ours, as a router would quote it. */
static void step_icmp(void)
{
    static const uint8_t type[] = {3, 3, 3, 11, 12, 4, 5};
    const struct tcb *t = connection(u8() % PEERS);
    uint8_t quoted[28] = {0x45, [8] = 60, [9] = IPPROTO_TCP};
    uint32_t own = ENV_IP, peer = ENV_PEER_IP, seq_be;
    uint8_t kind = u8(), code = u8() & 15;

    if (!t)
        return;
    seq_be = htonl(t->snd_una + (kind & 0x80 ? shift() : 0));
    memcpy(quoted + 12, &own, 4);
    memcpy(quoted + 16, &peer, 4);
    memcpy(quoted + 20, &t->pcb.local.port_be, 2);
    memcpy(quoted + 22, &t->pcb.remote.port_be, 2);
    memcpy(quoted + 24, &seq_be, 4);
    env_inject(
        e, env_icmp(e, ENV_PEER_IP, ENV_IP, type[kind % sizeof type], code, u16(), quoted, sizeof quoted));
}

/* Neighbour discovery: solicitations, advertisements, routers' and redirects, with options. */
static void step_nd(void)
{
    static const struct ipaddr own = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};
    struct ipaddr from = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    uint8_t b[14 + 40 + 24 + 64] = {0}, kind = u8(), change = u8();
    uint8_t *icmp = b + 54;
    uint16_t n = 24, len_be, sum;

    wire_eth_emit(b, ENV_MAC, ENV_PEER_MAC, ETH_TYPE_IP6);
    b[14] = 0x60;
    b[20] = IPPROTO_ICMPV6;
    b[21] = change & 1 ? u8() : 255;
    if (change & 2)
        from.b[0] = 0xfe, from.b[1] = 0x80;
    if (change & 4)
        from = (struct ipaddr){.b = {0}};
    memcpy(b + 22, from.b, 16);
    memcpy(b + 38, own.b, 16);
    icmp[0] = (uint8_t)(133 + kind % 5);
    icmp[4] = u8();
    memcpy(icmp + 8, change & 8 ? from.b : own.b, 16);
    for (unsigned i = 0; i < (kind >> 4 & 3); i++, n += 16) { /* options of a link address, prefix, MTU */
        icmp[n] = (uint8_t)(1 + u8() % 5);
        icmp[n + 1] = change & 16 ? u8() & 3 : 2;
        for (unsigned j = 2; j < 16; j++)
            icmp[n + j] = u8();
    }
    len_be = htons(n);
    memcpy(b + 18, &len_be, 2);
    sum = (uint16_t)~cksum_fold(cksum_add(cksum_add_pseudo(0, &from, &own, 58, n), icmp, n));
    memcpy(icmp + 2, &sum, 2);
    env_inject(e, env_frame(e, b, 54u + n));
}

/* A datagram, perhaps in fragments that come in any order, twice, or not at all. */
static void step_udp(void)
{
    static uint8_t p[3000];
    uint8_t order = u8();
    uint16_t len = (uint16_t)(8 + u16() % 2900), len_be = htons(len),
             port[2] = {htons(PEER_FIRST), htons(PORT_UDP)};
    uint16_t id = u8() & 3;

    memset(p, 0, sizeof p);
    memcpy(p, port, 4);
    memcpy(p + 4, &len_be, 2); /* no checksum */
    for (unsigned i = 0; i < 4; i++) {
        unsigned k = order >> 2 * i & 3;
        uint32_t off = k * 800, n = off >= len ? 0 : RTE_MIN(800u, len - off);
        struct env_ip ip = {
            .proto = IPPROTO_UDP, .id = id, .off = (uint16_t)(off / 8 | (off + n < len ? 0x2000 : 0))};

        if (n)
            env_inject(e, env_ip4(e, &ip, p + off, n));
    }
}

/* --- calls --- */

static void drop(unsigned i)
{
    if (socks[i])
        file_put(e->st, &socks[i]->file);
    socks[i] = NULL;
}

static struct sock *server(int type, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sock *s;

    must(sock_new(e->st, AF_INET, type, 0, &s) == 0);
    sock_set_placement(e->st, s, PLACE_STACK);
    must(sock_bind(e->st, s, (struct sockaddr *)&any, sizeof any) == 0);
    must(type != SOCK_STREAM || sock_listen(e->st, s, 4) == 0);
    return s;
}

static void step_accept(void)
{
    unsigned i = 2 + u8() % (SOCKS - 2);

    if (!socks[i] && sock_accept(e->st, socks[0], &socks[i]) < 0)
        socks[i] = NULL;
}

/* Of a connection, what is read is checked; the urgent byte makes holes in the stream that is read. */
static void take(struct sock *s, unsigned i, int flags)
{
    static uint8_t buf[20000];
    struct iovec iov = {.iov_base = buf, .iov_len = 1 + u16() % sizeof buf};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    bool urgent = i >= 2 && (sock_tcb(s)->flags & TF_URG);
    uint32_t at = i >= 2 ? sock_tcb(s)->copied_seq : 0;
    ssize_t n = sock_recvmsg(e->st, s, &msg, flags, 0);

    if (n > 0 && i >= 2 && !urgent && !(flags & MSG_TRUNC))
        must(is_pattern(buf, at, (size_t)n));
}

static void give(struct sock *s, unsigned i, int flags)
{
    static uint8_t buf[20000];
    static struct sockaddr_in to = {.sin_family = AF_INET};
    struct iovec iov = {.iov_base = buf, .iov_len = u16() % sizeof buf};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (i >= 2) {
        fill(buf, sock_tcb(s)->write_seq, iov.iov_len);
    } else {
        to.sin_port = htons(PEER_FIRST);
        to.sin_addr.s_addr = ENV_PEER_IP;
        msg.msg_name = &to;
        msg.msg_namelen = sizeof to;
    }
    sock_sendmsg(e->st, s, &msg, flags, 0);
}

static void set_option(struct sock *s)
{
    static const struct {
        int level, name;
    } of[] = {{IPPROTO_TCP, TCP_NODELAY},       {IPPROTO_TCP, TCP_CORK},
              {IPPROTO_TCP, TCP_MAXSEG},        {IPPROTO_TCP, TCP_QUICKACK},
              {IPPROTO_TCP, TCP_WINDOW_CLAMP},  {IPPROTO_TCP, TCP_USER_TIMEOUT},
              {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, {SOL_SOCKET, SO_SNDBUF},
              {SOL_SOCKET, SO_RCVBUF},          {SOL_SOCKET, SO_RCVLOWAT},
              {SOL_SOCKET, SO_KEEPALIVE},       {SOL_SOCKET, SO_OOBINLINE},
              {SOL_SOCKET, SO_MAX_PACING_RATE}, {IPPROTO_IP, IP_TOS},
              {IPPROTO_IP, 21 /* IP_MINTTL */}};
    static const char *const cc[] = {"cubic", "reno", "bbr", "dctcp"};
    uint8_t which = u8();
    int v = u16();

    if (which % (RTE_DIM(of) + 1) == RTE_DIM(of))
        sock_setsockopt(e->st, s, IPPROTO_TCP, TCP_CONGESTION, cc[v & 3], (socklen_t)strlen(cc[v & 3]));
    else
        sock_setsockopt(e->st, s, of[which % RTE_DIM(of)].level, of[which % RTE_DIM(of)].name, &v, sizeof v);
}

static void step_call(void)
{
    static const int rcv[] = {0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_OOB};
    static const int snd[] = {0, 0, 0, MSG_MORE, MSG_EOR, MSG_OOB};
    unsigned i = 1 + u8() % (SOCKS - 1);
    struct sock *s = socks[i];
    uint8_t kind = u8();

    if (!s)
        return;
    switch (kind % 8) {
    case 0:
    case 1:
    case 2:
        take(s, i, i < 2 ? 0 : rcv[kind / 8u % RTE_DIM(rcv)] & ~(kind & 0x80 ? MSG_OOB : 0));
        break;
    case 3:
    case 4:
    case 5:
        give(s, i, i < 2 ? 0 : snd[kind / 8u % RTE_DIM(snd)]);
        break;
    case 6:
        set_option(s);
        break;
    default:
        if (kind & 0x80)
            sock_shutdown(s, kind >> 4 & 1 ? SHUT_WR : SHUT_RDWR);
        else
            sock_poll(s);
    }
}

static void step_time(void)
{
    uint8_t kind = u8();
    uint64_t ms = kind & 0x80 ? u8() * 20u : kind & 0x40 ? u8() : 1;

    if (kind == 0xff) { /* one side closes */
        drop(2 + u8() % (SOCKS - 2));
        return;
    }
    e->now_ns += ms * 1000000;
}

static void (*const steps[])(void) = {
    step_segment, step_segment, step_segment, step_segment, step_handshake, step_accept, step_call,
    step_call,    step_call,    step_time,    step_time,    step_icmp,      step_nd,     step_udp,
};

/* All sockets closed, the peer silent, time for every timer to give up. */
static void finish(void)
{
    for (unsigned i = 0; i < SOCKS; i++)
        drop(i);
    must(fuzz_silence(e, QUIET_STEP, QUIET_MS, settle));
}

static void impatient(struct tunables *set)
{
    fuzz_impatient(set);
    set->tcp_ecn = 1;
    set->neigh_base_reachable = 3600;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct env_config cfg = {.tune = impatient, .npkts = 8191};
    struct ipaddr own6 = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};

    e = env_stack(&cfg);
    e->st->set.accept_ra = 2;
    must(stack_add_addr(e->st, ENV_IF, &own6, 64) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = data;
    in_end = data + size;
    tsval = accepted = 0;
    socks[0] = server(SOCK_STREAM, PORT_TCP);
    socks[1] = server(SOCK_DGRAM, PORT_UDP);
    for (unsigned i = 0; i < STEPS && in < in_end; i++) {
        steps[u8() % RTE_DIM(steps)]();
        settle();
        check();
    }
    finish();
    return 0;
}
