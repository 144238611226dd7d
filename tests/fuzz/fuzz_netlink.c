/* fuzz_netlink: the netlink socket against a hostile program.
 *
 * Theory of operation. An input is a program for a small machine. Steps send messages on one of a few sockets
 * of NETLINK_ROUTE and NETLINK_SOCK_DIAG: either raw bytes, or messages with a likely type, family header and
 * a list of attributes whose types, lengths, nesting and contents the input says; others read with buffers of
 * all sizes, join and leave groups, set options, close, or let time pass. At the end all sockets are closed,
 * what was added is taken away, and every packet buffer must be back in the pool.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../stack/ifnet.h"
#include "../../stack/netlink.h"
#include "../../stack/nlmsg.h"
#include "../../stack/ready.h"
#include "../../stack/route.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "fuzz.h"

#define SOCKS   4
#define STEPS   64
#define DEPTH   3
#define ADDRESS 4 /* of the kinds of contents */

static struct env *e;
static struct sock *socks[SOCKS];

static void must(int ok)
{
    if (!ok)
        abort();
}

static struct sock *sock_of(uint8_t i)
{
    i %= SOCKS;
    if (!socks[i])
        must(sock_new(e->st, AF_NETLINK, SOCK_RAW, i & 1 ? NETLINK_SOCK_DIAG : NETLINK_ROUTE, &socks[i]) ==
             0);
    return socks[i];
}

static void drop(unsigned i)
{
    if (socks[i])
        file_put(e->st, &socks[i]->file);
    socks[i] = NULL;
}

/* --- messages --- */

/* Contents that get past the first looks: an interface, an address, a small number, or the input's bytes. */
static void put_attr(struct nl_out *o, unsigned depth)
{
    static const uint32_t v4[] = {ENV_PEER_IP, ENV_IP, IP4(198, 18, 0, 77), IP4(20, 0, 0, 0)};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 9};
    uint8_t how = u8(), type = u8();
    uint8_t b[256];
    uint32_t nest, n;

    switch (how & 7) {
    case 0:
        nla_put_u32(o, type, (uint32_t)stack_if_shown(e->st, how >> 3 & 1));
        break;
    case 1:
        nla_put_u32(o, type, u8());
        break;
    case 2:
        nla_put_str(o, type, how & 8 ? "eth0" : "vlan");
        break;
    case 3:
        nest = nla_nest(o, type);
        for (n = how >> 3 & 7; n && depth < DEPTH; n--)
            put_attr(o, depth + 1);
        nla_nest_end(o, nest);
        break;
    case ADDRESS:
        nla_put_u32(o, type, v4[how >> 3 & 3]);
        break;
    case ADDRESS + 1:
        nla_put(o, type, v6, sizeof v6);
        break;
    case ADDRESS + 2:
        nla_put(o, type, ENV_PEER_MAC, 6);
        break;
    default:
        n = u8();
        for (uint32_t i = 0; i < n; i++)
            b[i] = u8();
        nla_put(o, type, b, n);
    }
}

static void put_message(struct nl_out *o, bool diag)
{
    static const uint16_t diag_types[] = {20, 21, 18,
                                          19}; /* SOCK_DIAG_BY_FAMILY, SOCK_DESTROY, the old ones */
    uint8_t pick = u8(), hdr_len = u8() % 80, attrs = u8() % 8, bend = u8();
    uint16_t type = diag ? diag_types[pick & 3] : (uint16_t)(16 + pick % 108);
    uint32_t start = o->len;
    struct nlmsghdr *h;
    uint8_t *hdr = nlmsg_begin(o, type, (uint16_t)(u16() | NLM_F_REQUEST), u8(), 0, hdr_len);

    if (!hdr)
        return;
    for (unsigned i = 0; i < hdr_len; i++)
        hdr[i] = bend & 1 ? u8() : 0;
    if (hdr_len)
        hdr[0] = bend & 2 ? AF_INET : bend & 4 ? AF_INET6 : u8();
    if (hdr_len > 4 && !(bend & 8)) /* index of an interface, or the table of a route */
        hdr[4] = bend & 16 ? RT_TABLE_MAIN : (uint8_t)stack_if_shown(e->st, ENV_IF);
    if (hdr_len > 7)
        hdr[7] = u8() % 12;
    while (attrs--)
        put_attr(o, 0);
    if (!nlmsg_end(o, hdr) || !(bend & 32))
        return;
    h = (struct nlmsghdr *)(void *)(o->buf + start);
    h->nlmsg_len = u16(); /* what is not true */
}

static void step_send(bool raw)
{
    static uint8_t b[16384] __attribute__((aligned(8)));
    uint8_t which = u8(), n = (uint8_t)(1 + u8() % 4);
    struct nl_out o = nl_out_of(b, sizeof b);
    struct iovec iov = {b, 0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    while (n-- && !raw)
        put_message(&o, which & 1);
    for (n = u8(); raw && n--;)
        b[o.len++] = u8();
    iov.iov_len = o.len;
    sock_sendmsg(e->st, sock_of(which), &m, 0, 0);
}

static void step_recv(void)
{
    static uint8_t b[40000];
    struct sockaddr_nl from;
    uint8_t control[128];
    uint8_t which = u8(), flags = u8();
    struct iovec iov = {b, (size_t)u8() * 150};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_control = control,
                       .msg_controllen = sizeof control};

    sock_recvmsg(e->st, sock_of(which), &m, (flags & 1 ? MSG_PEEK : 0) | (flags & 2 ? MSG_TRUNC : 0), 0);
}

static void step_option(void)
{
    struct sock *s = sock_of(u8());
    int name = u8() % 14, v = u8() % 48;
    uint32_t len = sizeof v;

    sock_setsockopt(e->st, s, u8() & 1 ? SOL_SOCKET : SOL_NETLINK, name, &v, sizeof v);
    sock_getsockopt(e->st, s, SOL_NETLINK, name, &v, &len);
}

static void settle(void)
{
    static struct env_seen seen;

    env_poll(e);
    while (env_seen(e, &seen))
        ;
}

static void step(void)
{
    uint8_t op = u8();

    switch (op & 7) {
    case 0:
        step_send(true);
        break;
    case 1:
    case 2:
    case 3:
        step_send(false);
        break;
    case 4:
    case 5:
        step_recv();
        break;
    case 6:
        step_option();
        break;
    default:
        if (op & 8)
            drop(op >> 4 & 3);
        else
            env_advance_ms(e, 1 + op / 4);
    }
    settle();
}

/* As it was at first. */
static void tidy(void)
{
    struct ifnet *ifn = &e->st->ifn[ENV_IF];
    struct ipaddr own = ipaddr_v4(ENV_IP);

    for (uint32_t i = 0; i < route_slots(e->st); i++)
        if (route_slot(e->st, i))
            route_remove(e->st, route_slot(e->st, i));
    for (unsigned k = 0; k < e->st->nif; k++) {
        neigh_flush(e->sh, k);
        e->st->ifn[k].up = 1;
        e->st->ifn[k].mtu = e->st->ifn[k].mtu_max;
    }
    while (ifn->naddr) {
        struct ipaddr a = ifn->addr[0].addr;

        stack_del_addr(e->st, ENV_IF, &a);
    }
    must(stack_add_addr(e->st, ENV_IF, &own, 24) == 0);
    ifn->addr[0].state = IFADDR_VALID;
    ifnet_changed(e->st, ENV_IF);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    e = env_stack(&(struct env_config){.isolate = true, .npkts = 1023});
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = data;
    in_end = data + size;
    for (unsigned i = 0; i < STEPS && in < in_end; i++)
        step();
    for (unsigned i = 0; i < SOCKS; i++)
        drop(i);
    tidy();
    for (unsigned i = 0; i < 40; i++) {
        env_advance_ms(e, 200);
        settle();
    }
    must(env_leaks(e) == 0);
    return 0;
}
