/* fuzz_stack: the whole stack, from frames to sockets, against a hostile peer and a busy program.
 *
 * Theory of operation. An input is a program for a small machine: each step is an operation byte and its
 * operands. Some steps send frames (raw bytes; IPv4 and IPv6 packets with a right header around arbitrary
 * payload, also in fragments; ICMPv6 messages with a right checksum; TCP segments near what a connection
 * expects, so that the fuzzer gets past the handshake), some are calls of sockets (listen, accept, receive,
 * send, shut down, close, connect), some let time pass. After the last step all sockets are closed, the peer
 * goes silent and enough time passes for every timer to give up: then every packet buffer must be back in the
 * pool, or there is a leak.
 *
 * The stack is made once and lives through all inputs; the end of each leaves it empty but for its clock.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../stack/cksum.h"
#include "../../stack/ifnet.h"
#include "../../stack/ip6_addr.h"
#include "../../stack/ready.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "fuzz.h"

#define PORT_TCP   80
#define PORT_UDP   53
#define SLOTS      4 /* the peer's ports, each a connection */
#define SOCKS      8
#define STEPS      200
#define QUIET_MS   100
#define QUIET_STEP 400 /* 40 s of silence: all of fuzz_impatient are far smaller */

/* What the peer knows of a connection. */
struct slot {
    uint32_t snd_nxt, rcv_nxt;
    uint32_t tsval, tsecr;
};

static struct env *e;
static struct slot slot[SLOTS];
static struct sock *socks[SOCKS]; /* 0: the TCP listener, 1: UDP, 2 and up: accepted or connected */

static size_t bytes(size_t want, const uint8_t **p)
{
    size_t n = (size_t)(in_end - in) < want ? (size_t)(in_end - in) : want;

    *p = in;
    in += n;
    return n;
}

static void must(int ok)
{
    if (!ok)
        abort();
}

/* Runs the loop and learns from what the stack sent. */
static void settle(void)
{
    static struct env_seen seen;

    env_poll(e);
    while (env_seen(e, &seen)) {
        struct slot *s;
        unsigned i;

        if (!seen.ip || seen.ip->proto != IPPROTO_TCP || seen.data_len > 65535)
            continue;
        i = (unsigned)(ntohs(seen.tcp.dport_be) - 1000) % SLOTS;
        s = &slot[i];
        s->rcv_nxt =
            seen.tcp.seq + seen.data_len + !!(seen.tcp.flags & TCP_SYN) + !!(seen.tcp.flags & TCP_FIN);
        s->tsecr = seen.opts.tsval;
        if (seen.tcp.flags & TCP_ACK)
            s->snd_nxt = seen.tcp.ack;
    }
}

static void inject(struct rte_mbuf *m)
{
    if (m)
        env_inject(e, m);
    settle();
}

/* --- frames --- */

static void step_raw(void)
{
    const uint8_t *p;
    uint8_t piece = u8();
    size_t n = bytes(u8() * 8u, &p);

    if (n == 0)
        return;
    inject(piece & 1 ? env_frame_chain(e, p, n, 1u + piece / 2) : env_frame(e, p, n));
}

/* An IPv6 packet to us, to all nodes or to our solicited-node group, with arbitrary headers and payload; an
 * ICMPv6 message gets its checksum. */
static void step_ip6(void)
{
    static const uint8_t next[] = {58, 58, 44, 0, 60, 43, 17, 6};
    static const struct ipaddr to[] = {{.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}},
                                       {.b = {0xff, 0x02, [15] = 1}},
                                       {.b = {0xff, 0x02, [11] = 1, [12] = 0xff, [15] = 2}},
                                       {.b = {0xfe, 0x80, [15] = 2}}};
    static const struct ipaddr from[] = {{.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
                                         {.b = {0xfe, 0x80, [15] = 1}},
                                         {.b = {0}},
                                         {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}}};
    uint8_t kind = u8(), piece = u8(), b[14 + 40 + 2048] = {0};
    const struct ipaddr *dst = &to[kind >> 3 & 3], *src = &from[kind >> 5 & 3];
    const uint8_t *p;
    size_t n = bytes(u8() * 8u, &p);
    uint16_t plen_be = htons((uint16_t)n), sum;

    wire_eth_emit(b, dst->b[0] == 0xff ? ENV_BCAST_MAC : ENV_MAC, ENV_PEER_MAC, ETH_TYPE_IP6);
    b[14] = 0x60;
    memcpy(b + 18, &plen_be, 2);
    b[20] = next[kind & 7];
    b[21] = kind & 0x80 ? u8() : 255;
    memcpy(b + 22, src->b, 16);
    memcpy(b + 38, dst->b, 16);
    memcpy(b + 54, p, n);
    if (b[20] == 58 && n >= 4) {
        memset(b + 56, 0, 2);
        sum = (uint16_t)~cksum_fold(cksum_add(cksum_add_pseudo(0, src, dst, 58, (uint32_t)n), b + 54, n));
        memcpy(b + 56, &sum, 2);
    }
    inject(piece & 1 ? env_frame_chain(e, b, 54 + n, 1u + piece / 2) : env_frame(e, b, 54 + n));
}

static void step_ip(void)
{
    static const uint8_t proto[] = {IPPROTO_ICMP, IPPROTO_UDP, IPPROTO_TCP, 89};
    uint8_t kind = u8();
    struct env_ip ip = {.proto = proto[kind & 3], .ttl = u8(), .tos = u8(), .id = u8() & 3, .off = u16()};
    const uint8_t *opts, *p;
    size_t n;

    ip.opts_len = (uint8_t)(bytes((kind >> 2 & 15) * 4u, &opts) & ~3u);
    ip.opts = opts;
    if (ip.opts_len > 40)
        ip.opts_len = 40;
    n = bytes(u8() * 8u, &p);
    inject(env_ip4(e, &ip, p, n));
}

static void step_arp(void)
{
    uint8_t kind = u8();
    uint32_t spa = kind & 1 ? ENV_IP : IP4(198, 18, 0, kind), tpa = kind & 2 ? ENV_IP : IP4(198, 18, 0, u8());

    inject(
        env_arp(e, kind & 4 ? ARP_REPLY : u8(), ENV_PEER_MAC, spa, kind & 8 ? ENV_MAC : ENV_BCAST_MAC, tpa));
}

static void step_udp(void)
{
    const uint8_t *p;
    uint16_t dport = u8() & 1 ? PORT_UDP : u16();
    size_t n = bytes(u8(), &p);

    inject(env_udp(e, ENV_PEER_IP, 1000, ENV_IP, dport, p, n));
}

/* A segment near what the connection expects: small signed distances from the right numbers. */
static void step_tcp(void)
{
    uint8_t which = u8(), flags = u8(), with = u8();
    struct slot *s = &slot[which % SLOTS];
    struct tcp_hdr_in h = {.seq = s->snd_nxt, .ack = s->rcv_nxt, .flags = flags, .window = 65535};
    struct tcp_opts o = {.fastopen_len = -1};
    const uint8_t *p;
    size_t n;

    if (with & 1)
        h.seq += (uint32_t)(int8_t)u8() * 16;
    if (with & 2)
        h.ack += (uint32_t)(int8_t)u8() * 16;
    if (with & 4)
        h.window = u16();
    if (with & 8)
        h.urgent = u16();
    if (flags & TCP_SYN) {
        o.mss = with & 16 ? u16() : 1460;
        o.has_wscale = !(with & 32);
        o.wscale = u8() % 15;
        o.sack_permitted = 1;
    }
    if (!(with & 64)) {
        o.has_ts = 1;
        o.tsval = ++s->tsval - (with & 128 ? u8() : 0);
        o.tsecr = s->tsecr;
    }
    if ((with & 32) && !(flags & TCP_SYN)) {
        o.nsack = (uint8_t)(1 + u8() % 3);
        for (unsigned i = 0; i < o.nsack; i++) {
            o.sack[i].left = s->rcv_nxt - u8() * 64u;
            o.sack[i].right = o.sack[i].left + u8() * 64u;
        }
    }
    n = bytes(u8() * 8u, &p);
    inject(env_tcp(e, ENV_PEER_IP, (uint16_t)(1000 + which % SLOTS), ENV_IP, which & 0x80 ? 81 : PORT_TCP, &h,
                   &o, p, n));
}

/* The three segments of a handshake, so that the fuzzer need not find them. */
static void step_handshake(void)
{
    unsigned i = u8() % SLOTS;
    struct slot *s = &slot[i];
    struct tcp_hdr_in h = {.seq = s->snd_nxt += 100000, .flags = TCP_SYN, .window = 65535};
    struct tcp_opts o = {.mss = 1460,
                         .has_wscale = 1,
                         .wscale = 7,
                         .sack_permitted = 1,
                         .fastopen_len = -1,
                         .has_ts = 1,
                         .tsval = ++s->tsval};

    inject(env_tcp(e, ENV_PEER_IP, (uint16_t)(1000 + i), ENV_IP, PORT_TCP, &h, &o, NULL, 0));
    h = (struct tcp_hdr_in){.seq = s->snd_nxt, .ack = s->rcv_nxt, .flags = TCP_ACK, .window = 65535};
    o = (struct tcp_opts){.has_ts = 1, .tsval = ++s->tsval, .tsecr = s->tsecr, .fastopen_len = -1};
    inject(env_tcp(e, ENV_PEER_IP, (uint16_t)(1000 + i), ENV_IP, PORT_TCP, &h, &o, NULL, 0));
}

/* --- calls --- */

static void drop(unsigned i)
{
    if (socks[i])
        file_put(e->st, &socks[i]->file);
    socks[i] = NULL;
}

static struct sock *stack_socket(int type)
{
    struct sock *s;

    must(sock_new(e->st, AF_INET, type, 0, &s) == 0);
    sock_set_placement(e->st, s, PLACE_STACK);
    return s;
}

static struct sockaddr_in name_of(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};
}

static void open_servers(void)
{
    struct sockaddr_in any = name_of(0, PORT_TCP);

    socks[0] = stack_socket(SOCK_STREAM);
    must(sock_bind(e->st, socks[0], (struct sockaddr *)&any, sizeof(any)) == 0);
    must(sock_listen(e->st, socks[0], 4) == 0);
    socks[1] = stack_socket(SOCK_DGRAM);
    any.sin_port = htons(PORT_UDP);
    must(sock_bind(e->st, socks[1], (struct sockaddr *)&any, sizeof(any)) == 0);
}

static void step_accept(void)
{
    unsigned i = 2 + u8() % (SOCKS - 2);

    drop(i);
    if (socks[0] && sock_accept(e->st, socks[0], &socks[i]) < 0)
        socks[i] = NULL;
}

static void step_connect(void)
{
    unsigned i = 2 + u8() % (SOCKS - 2);
    struct sockaddr_in to = name_of(ENV_PEER_IP, (uint16_t)(1000 + u8() % SLOTS));

    drop(i);
    socks[i] = stack_socket(u8() & 1 ? SOCK_DGRAM : SOCK_STREAM);
    sock_connect(e->st, socks[i], (struct sockaddr *)&to, sizeof(to));
}

static void step_io(void)
{
    static uint8_t buf[20000];
    struct sock *s = socks[u8() % SOCKS];
    uint8_t kind = u8();
    struct sockaddr_in name = name_of(ENV_PEER_IP, 1000);
    struct iovec iov = {.iov_base = buf, .iov_len = u8() * 64u};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int val = u8();

    if (!s)
        return;
    switch (kind % 6) {
    case 0:
        sock_recvmsg(e->st, s, &msg, kind & 8 ? MSG_PEEK : kind & 16 ? MSG_TRUNC : 0, 0);
        break;
    case 1:
        if (kind & 8) {
            msg.msg_name = &name;
            msg.msg_namelen = sizeof(name);
        }
        sock_sendmsg(e->st, s, &msg, kind & 16 ? MSG_MORE : 0, 0);
        break;
    case 2:
        sock_shutdown(s, val % 3);
        break;
    case 3:
        sock_setsockopt(e->st, s,
                        kind & 8    ? SOL_SOCKET
                        : kind & 16 ? IPPROTO_TCP
                                    : IPPROTO_IP,
                        u8(), &val, sizeof(val));
        break;
    case 4:
        sock_poll(s);
        sock_take_error(s);
        break;
    case 5:
        sock_listen(e->st, s, val);
        break;
    }
}

static void step(void)
{
    uint8_t op = u8();

    switch (op % 13) {
    case 0:
        step_raw();
        break;
    case 1:
        step_ip();
        break;
    case 2:
        step_arp();
        break;
    case 12:
        step_ip6();
        break;
    case 3:
        step_udp();
        break;
    case 4:
    case 5:
        step_tcp();
        break;
    case 6:
        step_handshake();
        break;
    case 7:
        step_accept();
        break;
    case 8:
        step_connect();
        break;
    case 9:
    case 10:
        step_io();
        break;
    case 11:
        if (op & 0x80)
            drop(u8() % SOCKS);
        else
            e->now_ns += (uint64_t)u8() * 20 * 1000000;
        break;
    }
    settle();
}

/* All sockets closed, the peer silent, time for every timer to give up. */
static void finish(void)
{
    for (unsigned i = 0; i < SOCKS; i++)
        drop(i);
    must(fuzz_silence(e, QUIET_STEP, QUIET_MS, settle));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct env_config cfg = {.tune = fuzz_impatient, .npkts = 8191};

    e = env_stack(&cfg);
    /* An address of each kind, and a router whose advertisements are believed. */
    struct ipaddr own6 = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}}, ll = {.b = {0xfe, 0x80, [15] = 2}};

    ipaddr_set_zone(&ll, ENV_IF + 1);
    e->st->set.accept_ra = 2;
    if (stack_add_addr(e->st, ENV_IF, &own6, 64) || stack_add_addr(e->st, ENV_IF, &ll, 64))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = data;
    in_end = data + size;
    memset(slot, 0, sizeof(slot));
    open_servers();
    for (unsigned i = 0; i < STEPS && in < in_end; i++)
        step();
    finish();
    return 0;
}
