/* test_port.c: Linux's bind rules and the choice of ephemeral ports. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/port.h"
#include "../../stack/tcp.h"
#include "../../stack/tcp_tw.h"
#include "../../stack/udp.h"
#include "env.h"

static struct env *e;

static struct pcb *sock(uint16_t flags)
{
    return (struct pcb *)tcp_open(e->sh, flags);
}

static int bind_to(struct pcb *p, struct ipaddr a, uint16_t port)
{
    struct endpoint l = {a, htons(port)};

    return port_bind(e->st, e->sh, p, &l);
}

static const struct ipaddr any = {.d = {0, 0}};

static struct ipaddr v4(uint8_t last)
{
    return ipaddr_v4(IP4(198, 18, 0, last));
}

static void setup(void)
{
    e = env_stack(NULL);
}

TestSuite(port, .init = setup);

/* Who may share a port with whom: the table of inet_csk_bind_conflict. */
struct pair {
    uint16_t f1;
    int a1; /* 0: any, else the address's last byte */
    uint16_t f2;
    int a2;
    bool listens; /* the first one */
    int want;
};

Test(port, who_may_share)
{
    static const struct pair pairs[] = {
        {0, 0, 0, 0, false, -EADDRINUSE},
        {0, 2, 0, 2, false, -EADDRINUSE},
        {0, 2, 0, 3, false, 0},
        {0, 0, 0, 2, false, -EADDRINUSE},
        {0, 2, 0, 0, false, -EADDRINUSE},
        {PCB_REUSEADDR, 0, PCB_REUSEADDR, 0, false, 0},
        {PCB_REUSEADDR, 0, PCB_REUSEADDR, 0, true, -EADDRINUSE},
        {PCB_REUSEADDR, 0, 0, 0, false, -EADDRINUSE},
        {0, 0, PCB_REUSEADDR, 0, false, -EADDRINUSE},
        {PCB_REUSEADDR, 0, PCB_REUSEADDR, 2, true, -EADDRINUSE},
        {PCB_REUSEADDR, 2, PCB_REUSEADDR, 3, true, 0},
        {PCB_REUSEPORT, 0, PCB_REUSEPORT, 0, true, 0},
        {PCB_REUSEPORT, 0, PCB_REUSEADDR, 0, false, -EADDRINUSE},
        /* both families */
        {PCB_V6, 0, 0, 0, false, -EADDRINUSE},
        {PCB_V6 | PCB_V6ONLY, 0, 0, 0, false, 0},
        {0, 0, PCB_V6 | PCB_V6ONLY, 0, false, 0},
        {0, 2, PCB_V6, 0, false, -EADDRINUSE},
        {0, 2, PCB_V6 | PCB_V6ONLY, 0, false, 0},
        {PCB_V6, 0, PCB_V6 | PCB_V6ONLY, 0, false, -EADDRINUSE},
    };

    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct pair *w = &pairs[i];
        struct pcb *a = sock(w->f1), *b = sock(w->f2);
        uint16_t port = (uint16_t)(2000 + i);

        cr_assert_eq(bind_to(a, w->a1 ? v4((uint8_t)w->a1) : any, port), 0);
        if (w->listens)
            cr_assert_eq(tcp_listen(e->sh, (struct tcb *)a, 1), 0);
        cr_assert_eq(bind_to(b, w->a2 ? v4((uint8_t)w->a2) : any, port), w->want, "pair %u", i);
    }
}

Test(port, bound_devices_keep_apart)
{
    struct pcb *a = sock(0), *b = sock(0), *c = sock(0);

    a->ifindex = 1;
    b->ifindex = 2;
    cr_assert_eq(bind_to(a, any, 80), 0);
    cr_assert_eq(bind_to(b, any, 80), 0);
    cr_assert_eq(bind_to(c, any, 80), -EADDRINUSE);
}

Test(port, released_port_is_free)
{
    struct pcb *a = sock(0), *b = sock(0);

    cr_assert_eq(bind_to(a, any, 80), 0);
    port_release(e->st, a);
    port_release(e->st, a);
    cr_assert_eq(bind_to(b, any, 80), 0);
}

Test(port, tcp_and_udp_are_apart)
{
    struct pcb *a = sock(0), *b = (struct pcb *)udp_open(e->sh, 0);

    cr_assert_eq(bind_to(a, any, 53), 0);
    cr_assert_eq(bind_to(b, any, 53), 0);
}

Test(port, two_may_bind_but_not_listen)
{
    struct pcb *a = sock(PCB_REUSEADDR), *b = sock(PCB_REUSEADDR);

    cr_assert_eq(bind_to(a, any, 80), 0);
    cr_assert_eq(bind_to(b, any, 80), 0);
    cr_assert_eq(port_listen_check(e->st, b), 0);
    cr_assert_eq(tcp_listen(e->sh, (struct tcb *)a, 1), 0);
    cr_assert_eq(port_listen_check(e->st, b), -EADDRINUSE);
}

static void few(struct tunables *set)
{
    set->ip_local_port_min = 50000;
    set->ip_local_port_max = 50009;
}

Test(port, bind_to_zero_gives_each_port_once)
{
    uint16_t seen = 0;

    e = env_stack(&(struct env_config){.npkts = 255, .tune = few});
    for (int i = 0; i < 10; i++) {
        struct pcb *p = sock(0);

        cr_assert_eq(bind_to(p, any, 0), 0);
        cr_assert_geq(ntohs(p->local.port_be), 50000);
        cr_assert_leq(ntohs(p->local.port_be), 50009);
        if (i < 5)
            cr_assert_eq(ntohs(p->local.port_be) % 2, 1, "odd ones first, as Linux");
        seen |= (uint16_t)(1u << (ntohs(p->local.port_be) - 50000));
    }
    cr_assert_eq(seen, 0x3ff);
    cr_assert_eq(bind_to(sock(0), any, 0), -EADDRINUSE);
}

static bool never(struct shard *sh, const struct endpoint *l, const struct endpoint *r)
{
    (void)sh;
    (void)l;
    (void)r;
    return false;
}

static bool always(struct shard *sh, const struct endpoint *l, const struct endpoint *r)
{
    return !never(sh, l, r);
}

static struct pcb *toward(uint8_t peer)
{
    struct pcb *p = sock(0);

    p->local.addr = v4(2);
    p->remote = (struct endpoint){v4(peer), htons(80)};
    return p;
}

/* RFC 6056 algorithm 3: ports to one peer step; another peer's start elsewhere. */
/* Sockets with flags bound to port 0 of a range of four, to addresses a and b (last bytes, 0: any) in turn,
 * until there is no port more: how many. */
static int fill_range(bool udp, uint16_t flags, int a, int b)
{
    struct pcb *p[16];
    int n = 0;

    e->st->set.ip_local_port_min = 40000;
    e->st->set.ip_local_port_max = 40003;
    for (; n < 16; n++) {
        int last = n % 2 ? b : a;

        p[n] = udp ? (struct pcb *)udp_open(e->sh, flags) : sock(flags);
        if (bind_to(p[n], last ? v4((uint8_t)last) : any, 0))
            break;
    }
    for (int i = 0; i < n; i++)
        port_release(e->st, p[i]);
    return n;
}

/* As counted on Linux: what may be shared when asked for is not given away unasked; other addresses are
 * apart. */
Test(port, picked_ports_of_streams_are_not_shared)
{
    cr_expect_eq(fill_range(false, 0, 2, 2), 4);
    cr_expect_eq(fill_range(false, PCB_REUSEADDR, 2, 2), 4);
    cr_expect_eq(fill_range(false, PCB_REUSEADDR, 0, 0), 4);
    cr_expect_eq(fill_range(false, PCB_REUSEPORT, 2, 2), 4);
    cr_expect_eq(fill_range(false, PCB_REUSEADDR, 2, 0), 4);
    cr_expect_eq(fill_range(false, 0, 2, 3), 8);
    cr_expect_eq(fill_range(false, PCB_REUSEADDR, 2, 3), 8);
    cr_expect_eq(fill_range(true, 0, 2, 2), 4);
    cr_expect_eq(fill_range(true, PCB_REUSEADDR, 2, 2), 16, "datagram sockets share");
}

Test(port, connect_steps_through_the_range)
{
    struct pcb *a = toward(10), *b = toward(10), *c = toward(11);

    cr_assert_eq(port_connect(e->st, e->sh, a, never), 0);
    cr_assert_eq(port_connect(e->st, e->sh, b, never), 0);
    cr_assert_eq(port_connect(e->st, e->sh, c, never), 0);
    cr_assert_neq(a->local.port_be, b->local.port_be);
    cr_assert_eq(ntohs(b->local.port_be) % 2, 0);
    cr_assert(a->flags & PCB_PORT_SHARED);
}

Test(port, connect_shares_ports_of_other_connections)
{
    e = env_stack(&(struct env_config){.npkts = 255, .tune = few});
    for (int i = 0; i < 40; i++)
        cr_assert_eq(port_connect(e->st, e->sh, toward((uint8_t)(10 + i)), never), 0, "connection %d", i);
    cr_assert_eq(port_connect(e->st, e->sh, toward(9), always), -EADDRNOTAVAIL);
}

Test(port, connect_avoids_bound_ports)
{
    e = env_stack(&(struct env_config){.npkts = 255, .tune = few});
    for (uint16_t i = 0; i < 9; i++)
        cr_assert_eq(bind_to(sock(0), any, 50000 + i), 0);
    for (int i = 0; i < 5; i++) {
        struct pcb *p = toward(10);

        cr_assert_eq(port_connect(e->st, e->sh, p, never), 0);
        cr_assert_eq(ntohs(p->local.port_be), 50009);
    }
}

static void privileged(struct tunables *set)
{
    set->ip_unprivileged_port_start = 1024;
}

Test(port, privileged_ports)
{
    e = env_stack(&(struct env_config){.npkts = 255, .tune = privileged});
    cr_assert_eq(bind_to(sock(0), any, 80), -EACCES);
    cr_assert_eq(bind_to(sock(0), any, 1024), 0);
}

Test(port, time_wait_holds_the_port)
{
    struct pcb *plain = sock(0), *reuse = sock(PCB_REUSEADDR), *port = sock(PCB_REUSEPORT);
    struct endpoint tw = {any, htons(80)};

    tw.addr = ipaddr_v4(htonl(0x0a000001));
    port_tw_hold(e->st, &tw, TW_REUSEADDR | TW_TS);
    cr_assert_eq(bind_to(plain, any, 80), -EADDRINUSE);
    cr_assert_eq(bind_to(port, any, 80), -EADDRINUSE);
    cr_assert_eq(bind_to(reuse, any, 80), 0);
    port_release(e->st, reuse);
    port_tw_release(e->st, htons(80), TW_REUSEADDR);
    port_tw_hold(e->st, &tw, 0);
    cr_assert_eq(bind_to(reuse, any, 80), -EADDRINUSE);
    port_tw_release(e->st, htons(80), 0);
    port_tw_hold(e->st, &tw, TW_REUSEADDR | TW_REUSEPORT);
    cr_assert_eq(bind_to(port, any, 80), 0);
    port_release(e->st, port);
    port_tw_release(e->st, htons(80), TW_REUSEADDR | TW_REUSEPORT);
    cr_assert_eq(bind_to(plain, any, 80), 0);
}

/* Only its own address, until there is another one on the port. */
Test(port, time_wait_holds_its_address)
{
    struct ipaddr one = ipaddr_v4(htonl(0x0a000001)), two = ipaddr_v4(htonl(0x0a000002)),
                  three = ipaddr_v4(htonl(0x0a000003));
    struct endpoint tw1 = {one, htons(80)}, tw2 = {two, htons(80)};
    struct pcb *s = sock(0);

    port_tw_hold(e->st, &tw1, 0);
    cr_assert_eq(bind_to(s, one, 80), -EADDRINUSE);
    cr_assert_eq(bind_to(s, three, 80), 0);
    port_release(e->st, s);
    port_tw_hold(e->st, &tw2, 0);
    cr_assert_eq(bind_to(s, three, 80), -EADDRINUSE);
    port_tw_release(e->st, htons(80), 0);
    port_tw_release(e->st, htons(80), 0);
    cr_assert_eq(bind_to(s, one, 80), 0);
}
