/* test_inspect.c: the walk through the sockets, filters, and the text that is made of them (inspect.h,
 * inspect_filter.h, procnet.h, procsys.h). */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../stack/frag.h"
#include "../../stack/inspect_filter.h"
#include "../../stack/procnet.h"
#include "../../stack/procsys.h"
#include "../../stack/raw.h"
#include "tcp_env.h"

#define ALL UINT32_MAX

static struct tcp_pair *pair(void)
{
    return tcp_pair_new(&(struct pair_config){.seed = 1});
}

/* Every view of the query, in pieces of max. */
static unsigned walk(const struct shard *sh, const struct inspect_query *q, unsigned max,
                     struct inspect_view *v, unsigned room)
{
    struct inspect_at at = {0};
    unsigned n = 0;
    bool more = true;

    while (more) {
        unsigned got = inspect_next(sh, &at, q, v + n, max, &more);

        n += got;
        cr_assert_leq(n, room);
    }
    return n;
}

#define NCONN 70

Test(inspect, each_connection_is_seen_once)
{
    struct tcp_pair *p = pair();
    static struct inspect_view v[NCONN * 2 + 64];
    struct inspect_query q = {.tables = INSPECT_TCP, .states = ALL};
    struct shard *sh;

    for (int i = 0; i < NCONN; i++) {
        struct tcb *a, *b;

        tcp_pair_connect(p, (uint16_t)(1000 + i), &a, &b);
    }
    sh = tcp_pair_enter(p, 0);
    for (unsigned max = 1; max <= 64; max += 9) {
        unsigned n = walk(sh, &q, max, v, NCONN * 2 + 64), listeners = 0;

        for (unsigned i = 0; i < n; i++) {
            listeners += v[i].state == TCPS_LISTEN;
            for (unsigned k = 0; k < i; k++)
                cr_assert_neq(v[i].place, v[k].place);
        }
        cr_assert_eq(n, NCONN + listeners);
    }
    q.lport_be = htons(1003);
    q.states = 1u << TCPS_ESTABLISHED;
    cr_assert_eq(walk(sh, &q, 5, v, NCONN), 1);
    cr_assert_eq(ntohs(v[0].lport_be), 1003);
}

/* What comes while a walk is under way does not make it miss or repeat the others. */
Test(inspect, connections_may_come_and_go_meanwhile)
{
    struct tcp_pair *p = pair();
    struct tcb *a[40], *b[40];
    struct inspect_query q = {.tables = 1u << INSPECT_CONN, .states = ALL};
    struct inspect_at at = {0};
    struct inspect_view v[4];
    unsigned seen[40] = {0};
    bool more = true;

    for (int i = 0; i < 40; i++)
        tcp_pair_connect(p, (uint16_t)(1000 + i), &a[i], &b[i]);
    for (int round = 0; more; round++) {
        struct shard *sh = tcp_pair_enter(p, 0);
        unsigned n = inspect_next(sh, &at, &q, v, 4, &more);

        for (unsigned i = 0; i < n; i++)
            if (ntohs(v[i].lport_be) < 1040)
                seen[ntohs(v[i].lport_be) - 1000]++;
        if (round == 1) {
            struct tcb *x, *y;

            tcp_abort(sh, a[30]);
            tcp_pair_connect(p, 2000, &x, &y);
        }
    }
    for (int i = 0; i < 40; i++)
        cr_assert_eq(seen[i], i != 30, "%d: %u", i, seen[i]);
}

Test(inspect, a_connection_is_found_by_its_names_and_ended)
{
    struct tcp_pair *p = pair();
    struct tcb *a, *b;
    struct inspect_query q = {.tables = INSPECT_TCP};
    struct inspect_view v;
    struct shard *sh;

    tcp_pair_connect(p, 1000, &a, &b);
    sh = tcp_pair_enter(p, 0);
    q.lport_be = a->pcb.local.port_be;
    q.rport_be = a->pcb.remote.port_be;
    cr_assert(inspect_find(sh, &q, &a->pcb.local.addr, &a->pcb.remote.addr, 0, INSPECT_NO_COOKIE, &v));
    cr_assert_eq(v.place, (uintptr_t)a);
    cr_assert_not(inspect_find(sh, &q, &a->pcb.local.addr, &a->pcb.remote.addr, 0, v.cookie + 1, &v));
    cr_assert(inspect_find(sh, &q, &a->pcb.local.addr, &a->pcb.remote.addr, 0, INSPECT_NO_COOKIE, &v));
    cr_assert_eq(inspect_destroy(sh, &v), 0);
    cr_assert_eq(a->state, TCPS_CLOSE);
    tcp_pair_flush(p, 0);
    tcp_pair_run_ms(p, 100);
    cr_assert_eq(b->state, TCPS_CLOSE, "its peer is told");
}

/* A raw socket's protocol may be one that has sockets of its own, which it is none of. */
Test(inspect, a_raw_socket_is_ended_as_one_whatever_its_protocol)
{
    static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, 253};
    struct env *e = env_stack(&(struct env_config){0});

    for (unsigned i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        struct inspect_query q = {
            .tables = 1u << INSPECT_RAW, .family = AF_INET, .proto = (uint8_t)protocols[i]};
        struct rawcb *r = raw_open(e->sh, 0, protocols[i]);
        struct ipaddr peer = ipaddr_v4(ENV_PEER_IP);
        struct inspect_view v;

        r->d.pcb.remote.addr = peer;
        cr_assert(inspect_find(e->sh, &q, &IPADDR_ANY, &peer, 0, INSPECT_NO_COOKIE, &v));
        cr_assert_eq(v.place, (uintptr_t)r);
        cr_assert_eq(inspect_destroy(e->sh, &v), 0);
        cr_assert_eq(r->d.pcb.so_error, ECONNABORTED);
        cr_assert(ipaddr_is_any(&r->d.pcb.remote.addr), "it is a raw socket without a peer");
        cr_assert_eq(r->proto, protocols[i]);
    }
}

/* ---- filters ---- */

static uint32_t rnd_state = 1;

static uint32_t rnd(void)
{
    rnd_state = rnd_state * 1664525 + 1013904223;
    return rnd_state >> 8;
}

/* Whatever passes the audit is run, within its bytes, and ends: the buffer stands at the end of a heap block,
 * for the address sanitizer, and each operation goes forward. */
Test(inspect_filter, what_passes_the_audit_can_be_run)
{
    struct inspect_view v = {.family = AF_INET6, .lport_be = htons(80), .rport_be = htons(1234)};
    unsigned passed = 0;

    for (int i = 0; i < 400000; i++) {
        uint32_t len = 4 * (1 + rnd() % 8);
        uint8_t *code = malloc(len);

        for (uint32_t k = 0; k < len; k += 4) {
            code[k] = (uint8_t)(rnd() % 16);
            code[k + 1] = (uint8_t)(4 * (rnd() % 9));
            code[k + 2] = (uint8_t)(4 * (rnd() % 10));
            code[k + 3] = rnd() % 50 == 0;
        }
        if (inspect_filter_audit(code, len, true) == 0) {
            inspect_filter_run(code, len, &v);
            passed++;
        }
        free(code);
    }
    cr_assert_gt(passed, 1000);
}

/* The longest one there is, each operation's "no" right behind it; then one into the middle of an operation.
 */
Test(inspect_filter, jumps_go_to_operations)
{
    static struct inet_diag_bc_op code[INSPECT_FILTER_MAX / sizeof(struct inet_diag_bc_op)];
    const unsigned n = sizeof code / sizeof code[0];

    for (unsigned i = 0; i < n; i += 2)
        code[i] = (struct inet_diag_bc_op){INET_DIAG_BC_S_GE, 8, 8};
    cr_assert_eq(inspect_filter_audit((const uint8_t *)code, sizeof code, true), 0);
    code[n - 4].no = 12;
    cr_assert_eq(inspect_filter_audit((const uint8_t *)code, sizeof code, true), -EINVAL);
    code[n - 4].no = 16;
    cr_assert_eq(inspect_filter_audit((const uint8_t *)code, sizeof code, true), 0);
}

Test(inspect_filter, marks_need_privilege)
{
    const struct {
        struct inet_diag_bc_op op;
        struct inet_diag_markcond mark;
    } code = {{INET_DIAG_BC_MARK_COND, sizeof code, sizeof code + 4}, {7, 0xff}};
    struct inspect_view v = {.mark = 0x107};

    cr_assert_eq(inspect_filter_audit((const uint8_t *)&code, sizeof code, false), -EPERM);
    cr_assert_eq(inspect_filter_audit((const uint8_t *)&code, sizeof code, true), 0);
    cr_assert(inspect_filter_run((const uint8_t *)&code, sizeof code, &v));
    v.mark = 8;
    cr_assert_not(inspect_filter_run((const uint8_t *)&code, sizeof code, &v));
}

/* ---- text ---- */

/* The longest values there are, and every length of buffer: nothing is written beyond it. */
Test(procnet, lines_end_where_the_buffer_does)
{
    struct inspect_view v;

    memset(&v, 0xff, sizeof v);
    for (int form = FORM_TCP; form <= FORM_PACKET; form++) {
        v.family = form == FORM_TCP6 || form == FORM_DGRAM6 ? AF_INET6 : AF_INET;
        v.kind = INSPECT_FULL;
        for (size_t room = 1; room < 400; room++) {
            char *buf = malloc(room + 8);
            struct lines o = {.p = buf, .room = room};

            memset(buf, 0x5a, room + 8);
            procnet_sock_header(&o, (enum procnet_form)form);
            procnet_sock_line(&o, (enum procnet_form)form, &v, UINT32_MAX);
            cr_assert_leq(o.len, room);
            for (int i = 0; i < 8; i++)
                cr_assert_eq(buf[room + (size_t)i], 0x5a);
            free(buf);
        }
    }
}

Test(procnet, names)
{
    cr_assert_geq(procnet_find("tcp"), 0);
    cr_assert_geq(procnet_find("rt_cache"), 0);
    cr_assert_eq(procnet_find("fib_trie"), -ENOENT);
    cr_assert_eq(procnet_find("dev_snmp6/eth0"), -ENOENT);
    cr_assert_eq(procnet_find("unix"), -ENOSYS);
    cr_assert_eq(procnet_find(""), -ENOSYS);
    cr_assert_eq(procnet_find("tcp/"), -ENOSYS);
}

static struct shard *the_shard;

static struct shard *enter(void)
{
    return the_shard;
}

static void leave(struct shard *sh) {}

/* All of a file, in pieces. */
static char *read_all(const char *name)
{
    static char text[1 << 20];
    static char piece[PROCNET_ROOM];
    struct procnet_at at = {0};
    size_t len = 0;
    bool more = true;

    while (more) {
        size_t n = procnet_read(the_shard->st, procnet_find(name), &at, piece, &more, enter, leave);

        cr_assert_lt(len + n, sizeof text);
        memcpy(text + len, piece, n);
        len += n;
    }
    text[len] = 0;
    return text;
}

static unsigned count_lines(const char *t)
{
    unsigned n = 0;

    for (; *t; t++)
        n += *t == '\n';
    return n;
}

Test(procnet, a_line_for_each_in_many_pieces)
{
    struct tcp_pair *p = pair();

    for (int i = 0; i < NCONN; i++) {
        struct tcb *a, *b;

        tcp_pair_connect(p, (uint16_t)(1000 + i), &a, &b);
    }
    the_shard = tcp_pair_enter(p, 1);
    cr_assert_eq(count_lines(read_all("tcp")), 1 + NCONN);
    cr_assert_eq(strlen(read_all("tcp")), 150 * (1 + NCONN), "Linux pads them");
    cr_assert_eq(count_lines(read_all("tcp6")), 1);
}

Test(procnet, many_routes_and_neighbours)
{
    struct env *e = env_stack(&(struct env_config){0});
    unsigned routes, neighbours;

    the_shard = e->sh;
    routes = count_lines(read_all("route"));
    neighbours = count_lines(read_all("arp"));
    for (uint32_t i = 0; i < 3000; i++) {
        struct ipaddr net = ipaddr_v4(htonl(0x0b000000u + (i << 8))), via = ipaddr_v4(ENV_PEER_IP);

        cr_assert_eq(route_add(e->st, &net, 24, &via, ENV_IF), 0);
    }
    for (uint32_t i = 10; i < 200; i++) {
        struct ipaddr a = ipaddr_v4(htonl(0xc6120000u + i));
        const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)i};

        neigh_update(e->sh, neigh_get(e->sh, ENV_IF, &a), mac, true);
    }
    cr_assert_eq(count_lines(read_all("route")), routes + 3000);
    cr_assert_eq(count_lines(read_all("arp")), neighbours + 190);
    cr_assert(strstr(read_all("arp"),
                     "198.18.0.10      0x1         0x2         02:00:00:00:00:0a     *        eth0\n"));
}

/* Every file, of a stack with nothing in it: ends, and fits. */
Test(procnet, every_file_of_an_empty_stack)
{
    static const char *const names[] = {
        "tcp",        "tcp6",  "udp",     "udp6",     "udplite",   "raw",       "icmp",     "packet",
        "snmp",       "snmp6", "netstat", "sockstat", "dev",       "if_inet6",  "arp",      "route",
        "ipv6_route", "igmp",  "igmp6",   "mcfilter", "mcfilter6", "dev_mcast", "sockstat6"};
    struct env *e = env_stack(&(struct env_config){.isolate = true, .no_if = true});

    the_shard = e->sh;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_lt(strlen(read_all(names[i])), PROCNET_ROOM);
    cr_assert(strstr(read_all("snmp"), "Tcp: 1 200 120000 -1 0 0"));
}

Test(procnet, counters_by_their_names)
{
    struct env *e = env_stack(&(struct env_config){0});

    the_shard = e->sh;
    e->sh->count[COUNT_TCP_TIMEOUT] = 4711;
    e->sh->count[COUNT_IP6_REASM_FAIL] = 815;
    e->sh->count[COUNT_IP_TRUNC] = 1147;
    e->sh->frag->v[0].n = 2;
    e->sh->frag->v[0].mem = 3000;
    cr_assert(strstr(read_all("netstat"), " 4711 "));
    cr_assert(strstr(read_all("netstat"), "\nIpExt: 0 1147 0 "));
    cr_assert(strstr(read_all("sockstat"), "\nFRAG: inuse 2 memory 3000\n"));
    cr_assert(strstr(read_all("sockstat6"), "\nFRAG6: inuse 0 memory 0\n"));
    cr_assert(strstr(read_all("snmp6"), "Ip6ReasmFails                   \t815\n"));
}

Test(procsys, settings_in_linux_form)
{
    struct tunables t;
    char buf[PROCSYS_ROOM];

    tunables_default(&t);
    cr_assert_gt(procsys_read(&t, "ipv4/tcp_rmem", buf, sizeof buf), 0);
    cr_assert_str_eq(buf, "4096\t131072\t6291456\n");
    cr_assert_gt(procsys_read(&t, "ipv4/ip_local_port_range", buf, sizeof buf), 0);
    cr_assert_str_eq(buf, "32768\t60999\n");
    cr_assert_gt(procsys_read(&t, "ipv4/tcp_congestion_control", buf, sizeof buf), 0);
    cr_assert_str_eq(buf, "cubic\n");
    cr_assert_gt(procsys_read(&t, "ipv4/tcp_available_congestion_control", buf, sizeof buf), 0);
    cr_assert_str_eq(buf, "cubic reno bbr dctcp\n");
    cr_assert_eq(procsys_read(&t, "ipv4/icmp_ratelimit", buf, sizeof buf), -ENOENT, "in another unit");
    cr_assert_eq(procsys_read(&t, "", buf, sizeof buf), -ENOENT);
}
