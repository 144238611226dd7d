/* test_netlink.c: netlink messages, dumps in pieces while what is dumped changes, rtnetlink's handlers,
 * notifications, hostile requests. (tests/preload/netlink.c compares with the kernel, tests/system/ip.test
 * runs ip itself.)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <poll.h>

#include "../../stack/ifnet.h"
#include "../../stack/netlink.h"
#include "../../stack/nlmsg.h"
#include "../../stack/route.h"
#include "../../stack/shard.h"
#include "../../stack/netdev.h"
#include "../../stack/sock.h"
#include "../../stack/sock_if.h"
#include "env.h"

static uint8_t in[65536] __attribute__((aligned(8)));

static struct sock *make(struct env *e)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &s), 0);
    return s;
}

static ssize_t send_raw(struct env *e, struct sock *s, const void *p, size_t len)
{
    struct iovec iov = {(void *)p, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return sock_sendmsg(e->st, s, &m, 0, 0);
}

static ssize_t recv_some(struct env *e, struct sock *s, size_t room)
{
    struct iovec iov = {in, room};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return sock_recvmsg(e->st, s, &m, 0, 0);
}

/* A request with a family header and attributes, made by the builder that the stack uses. */
struct request {
    uint8_t b[1024] __attribute__((aligned(8)));
    struct nl_out o;
    void *hdr;
};

static void *begin(struct request *r, uint16_t type, uint16_t flags, uint32_t hdr)
{
    r->o = nl_out_of(r->b, sizeof r->b);
    r->hdr = nlmsg_begin(&r->o, type, NLM_F_REQUEST | flags, 9, 0, hdr);
    return r->hdr;
}

static void post(struct env *e, struct sock *s, struct request *r)
{
    cr_assert(nlmsg_end(&r->o, r->hdr));
    cr_assert_eq(send_raw(e, s, r->b, r->o.len), (ssize_t)r->o.len);
}

/* The error of the next acknowledgement. */
static int acked(struct env *e, struct sock *s)
{
    const struct nlmsghdr *h = (struct nlmsghdr *)in;

    cr_assert_gt(recv_some(e, s, sizeof in), 0);
    cr_assert_eq(h->nlmsg_type, NLMSG_ERROR);
    return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static int dump(struct env *e, struct sock *s, uint16_t type, uint8_t family)
{
    struct request r;
    struct rtgenmsg *g = begin(&r, type, NLM_F_DUMP, sizeof *g);

    g->rtgen_family = family;
    post(e, s, &r);
    return 0;
}

/* Who has no name hears nothing (do_one_broadcast). */
static void listen_to(struct env *e, struct sock *s, int group)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};

    if (!((struct netlinkcb *)s->pcb)->bound)
        cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
}

static void add_routes(struct env *e, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        struct ipaddr net = ipaddr_v4(IP4(20, i >> 8, i & 255, 0));

        cr_assert_eq(route_add(e->st, &net, 24, NULL, ENV_IF), 0);
    }
}

static void del_route(struct env *e, unsigned i)
{
    struct ipaddr net = ipaddr_v4(IP4(20, i >> 8, i & 255, 0));

    cr_assert_eq(route_del(e->st, &net, 24, NULL, ENV_IF), 0);
}

/* Counts what each datagram tells of 20.0.0.0/8; *done: NLMSG_DONE was among it. */
static unsigned count_routes(ssize_t n, uint8_t *seen, bool *done)
{
    unsigned found = 0;
    int left = (int)n;

    for (struct nlmsghdr *h = (struct nlmsghdr *)in; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
        const struct rtmsg *m = NLMSG_DATA(h);
        const struct nlattr *tb[RTA_MAX + 1];
        struct nl_complaint why = {0};

        *done |= h->nlmsg_type == NLMSG_DONE;
        if (h->nlmsg_type != RTM_NEWROUTE)
            continue;
        cr_assert_eq(nla_parse(tb, RTA_MAX, m + 1, h->nlmsg_len - NLMSG_LENGTH(sizeof *m), NULL, true, &why),
                     0);
        if (!tb[RTA_DST] || *(const uint8_t *)nla_data(tb[RTA_DST]) != 20)
            continue;
        seen[((const uint8_t *)nla_data(tb[RTA_DST]))[1] << 8 |
             ((const uint8_t *)nla_data(tb[RTA_DST]))[2]]++;
        found++;
    }
    return found;
}

/* ---- messages ---- */

Test(netlink, a_message_that_does_not_fit_leaves_nothing)
{
    uint8_t b[64] __attribute__((aligned(8)));
    struct nl_out o = nl_out_of(b, sizeof b);
    void *hdr = nlmsg_begin(&o, 16, 0, 1, 2, 4);

    nla_put_u32(&o, 1, 7);
    cr_assert(nlmsg_end(&o, hdr));
    cr_assert_eq(o.len, 28);
    hdr = nlmsg_begin(&o, 17, 0, 1, 2, 4);
    cr_assert(hdr);
    nla_put(&o, 1, b, 32);
    nla_put_u32(&o, 2, 7);
    cr_assert_not(nlmsg_end(&o, hdr));
    cr_assert_eq(o.len, 28, "the first one stands");
    cr_assert_null(nlmsg_begin(&o, 17, 0, 1, 2, 40));
    cr_assert_eq(o.len, 28);
}

Test(netlink, attributes_are_bounded)
{
    static const struct nla_policy policy[4] = {[1] = NLA_U32, [2] = NLA_STR(3), [3] = NLA_ATTRS};
    const struct nlattr *tb[4];
    struct nl_complaint why = {0};
    struct {
        struct nlattr a;
        uint8_t v[8];
    } x = {.a = {.nla_len = 8, .nla_type = 1}};

    cr_assert_eq(nla_parse(tb, 3, &x, 8, policy, true, &why), 0);
    cr_assert_eq(tb[1], &x.a);
    for (uint32_t len = 0; len < 8; len++) { /* cut anywhere: not there */
        cr_assert_eq(nla_parse(tb, 3, &x, len, policy, false, &why), 0);
        cr_assert_null(tb[1]);
        cr_assert_eq(nla_parse(tb, 3, &x, len, policy, true, &why), len ? -EINVAL : 0);
    }
    for (uint16_t len = 0; len < 4; len++) { /* lengths that no attribute has */
        x.a.nla_len = len;
        cr_assert_eq(nla_parse(tb, 3, &x, 8, policy, true, &why), -EINVAL);
        cr_assert_null(tb[1]);
    }
    x.a.nla_len = 6;
    cr_assert_eq(nla_parse(tb, 3, &x, 8, policy, false, &why), -ERANGE, "too short for its kind");
    cr_assert_eq(why.at, &x.a);
    x.a.nla_len = 12;
    cr_assert_eq(nla_parse(tb, 3, &x, 12, policy, false, &why), 0, "longer: as far as it is known");
    cr_assert_eq(nla_parse(tb, 3, &x, 12, policy, true, &why), 0);
    x.a.nla_type = 9;
    cr_assert_eq(nla_parse(tb, 3, &x, 12, policy, false, &why), 0);
    cr_assert_eq(nla_parse(tb, 3, &x, 12, policy, true, &why), -EINVAL);
    x.a = (struct nlattr){.nla_len = 8, .nla_type = 2};
    memcpy(x.v, "abcd", 4);
    cr_assert_eq(nla_parse(tb, 3, &x, 8, policy, false, &why), -ERANGE, "a string of more than 3");
    x.v[3] = 0;
    cr_assert_eq(nla_parse(tb, 3, &x, 8, policy, false, &why), 0);
}

/* ---- dumps ---- */

Test(netlink, a_dump_of_many_comes_in_pieces)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    static uint8_t seen[65536];
    unsigned n = 0, datagrams = 0, most = 0;
    bool done = false;
    ssize_t got;

    add_routes(e, 0, 3000);
    dump(e, s, RTM_GETROUTE, AF_INET);
    while (!done) {
        got = recv_some(e, s, 32768);
        cr_assert_gt(got, 0);
        most = got > most ? (unsigned)got : most;
        n += count_routes(got, seen, &done);
        datagrams++;
    }
    cr_assert_eq(n, 3000);
    cr_assert_gt(datagrams, 3);
    cr_assert_leq(most, NL_PIECE_MAX);
    cr_assert_eq(recv_some(e, s, 32768), -EAGAIN);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

/* Every route that is there all the time is told once, whatever comes and goes meanwhile; sorted (few) and
 * unsorted (many). */
static void check_changes(unsigned n)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    static uint8_t seen[65536];
    unsigned added = n, gone = 1;
    bool done = false;
    ssize_t got;

    memset(seen, 0, sizeof seen);
    add_routes(e, 0, n);
    dump(e, s, RTM_GETROUTE, AF_INET);
    while (!done) {
        got = recv_some(e, s, 1);
        if (got < 0)
            break;
        done = ((struct nlmsghdr *)in)->nlmsg_type == NLMSG_DONE;
        if (gone < n) { /* odd ones go, others come */
            del_route(e, gone);
            gone += 2;
            add_routes(e, added++, 1);
        }
    }
    file_put(e->st, &s->file);
    /* The same with all of it read. */
    s = make(e);
    done = false;
    dump(e, s, RTM_GETROUTE, AF_INET);
    while (!done) {
        got = recv_some(e, s, 4096);
        cr_assert_gt(got, 0);
        count_routes(got, seen, &done);
        if (gone < n) {
            del_route(e, gone);
            gone += 2;
            add_routes(e, added++, 1);
        }
    }
    for (unsigned i = 0; i < n; i += 2)
        cr_assert_eq(seen[i], 1, "route %u was told %u times", i, seen[i]);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(netlink, a_sorted_dump_survives_changes)
{
    check_changes(400);
}

Test(netlink, an_unsorted_dump_survives_changes)
{
    check_changes(2000);
}

Test(netlink, a_list_of_addresses_that_changed_says_so)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    const struct nlmsghdr *h = (struct nlmsghdr *)in;
    struct ipaddr a = ipaddr_v4(IP4(198, 19, 0, 1));

    dump(e, s, RTM_GETADDR, AF_UNSPEC);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &a, 24), 0);
    cr_assert_gt(recv_some(e, s, sizeof in), 0);
    cr_assert_eq(h->nlmsg_type, RTM_NEWADDR);
    cr_assert_gt(recv_some(e, s, sizeof in), 0);
    cr_assert_eq(h->nlmsg_type, NLMSG_DONE);
    cr_assert(h->nlmsg_flags & NLM_F_DUMP_INTR);
}

Test(netlink, closing_amid_a_dump_leaks_nothing)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});

    add_routes(e, 0, 500);
    for (int i = 0; i < 2000; i++) { /* more than there is room for at once */
        struct sock *s = make(e);

        dump(e, s, RTM_GETROUTE, AF_INET);
        if (i % 2)
            recv_some(e, s, 100);
        file_put(e->st, &s->file);
    }
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- changes ---- */

static struct rtmsg *new_route(struct request *r, uint16_t flags, uint32_t dst, uint8_t len, uint32_t via)
{
    struct rtmsg *m = begin(r, RTM_NEWROUTE, (uint16_t)(NLM_F_ACK | flags), sizeof *m);

    m->rtm_family = AF_INET;
    m->rtm_dst_len = len;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_type = RTN_UNICAST;
    nla_put_u32(&r->o, RTA_DST, dst);
    if (via)
        nla_put_u32(&r->o, RTA_GATEWAY, via);
    return m;
}

static struct flow way_to(struct env *e, uint32_t dst)
{
    struct flow fl = {.dst = ipaddr_v4(dst)};

    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    return fl;
}

Test(netlink, the_mtu_and_the_source_of_a_route_count)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    struct ipaddr second = ipaddr_v4(IP4(198, 18, 0, 9));
    struct request r;
    struct flow fl;
    uint32_t nest;

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 24), 0);
    new_route(&r, NLM_F_CREATE, IP4(20, 0, 0, 0), 24, ENV_PEER_IP);
    nla_put_u32(&r.o, RTA_PREFSRC, ipaddr_get_v4(&second));
    nest = nla_nest(&r.o, RTA_METRICS);
    nla_put_u32(&r.o, RTAX_MTU, 1300);
    nla_nest_end(&r.o, nest);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), 0);
    fl = way_to(e, IP4(20, 0, 0, 1));
    cr_assert_eq(fl.mtu, 1300);
    cr_assert(ipaddr_eq(&fl.src, &second));
}

Test(netlink, a_prefix_with_bits_behind_it_changes_nothing)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    struct ipaddr net = ipaddr_v4(IP4(20, 0, 0, 0));
    struct request r;

    cr_assert_eq(route_add(e->st, &net, 24, NULL, ENV_IF), 0);
    new_route(&r, NLM_F_CREATE | NLM_F_REPLACE, IP4(20, 0, 0, 7), 24, ENV_PEER_IP);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), -EINVAL);
    cr_assert(route_exact(e->st, RT_TABLE_MAIN, &net, 120, NULL), "what was to be replaced is there");
    new_route(&r, NLM_F_CREATE, IP4(20, 0, 1, 0), 24, ENV_PEER_IP);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), 0);
}

/* Linux takes them away (ip6_route_info_create). */
Test(netlink, of_ipv6_bits_behind_the_prefix_do_not_count)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    struct ipaddr to = {.b = {0x20, 0x01, 0x0d, 0xb8, 0, 5, [15] = 7}}, other = to;

    other.b[15] = 9;
    for (int add = 1; add >= 0; add--) {
        struct request r;
        struct rtmsg *m = begin(&r, add ? RTM_NEWROUTE : RTM_DELROUTE, NLM_F_ACK | NLM_F_CREATE, sizeof *m);

        m->rtm_family = AF_INET6;
        m->rtm_dst_len = 64;
        m->rtm_table = RT_TABLE_MAIN;
        m->rtm_type = RTN_UNICAST;
        nla_put(&r.o, RTA_DST, add ? to.b : other.b, 16);
        nla_put_u32(&r.o, RTA_OIF, (uint32_t)stack_if_shown(e->st, ENV_IF));
        post(e, s, &r);
        cr_assert_eq(acked(e, s), 0);
        cr_assert_eq(route_lookup(e->st, &other, 0) != NULL, add);
    }
}

Test(netlink, of_equal_prefixes_the_lowest_metric)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    const struct route *by;
    struct ipaddr dst = ipaddr_v4(IP4(20, 0, 0, 1));
    struct request r;

    for (uint32_t metric = 30; metric >= 10; metric -= 10) {
        new_route(&r, NLM_F_CREATE | NLM_F_EXCL, IP4(20, 0, 0, 0), 24, IP4(198, 18, 0, 100 + metric));
        nla_put_u32(&r.o, RTA_PRIORITY, metric);
        post(e, s, &r);
        cr_assert_eq(acked(e, s), 0);
        by = route_lookup(e->st, &dst, 0);
        cr_assert_eq(by->metric, metric);
    }
    new_route(&r, NLM_F_CREATE | NLM_F_EXCL, IP4(20, 0, 0, 0), 24, IP4(198, 18, 0, 7));
    nla_put_u32(&r.o, RTA_PRIORITY, 20);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), -EEXIST);
}

Test(netlink, several_next_hops_share_the_destinations)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    unsigned by[2] = {0};
    struct request r;
    uint32_t nest;

    new_route(&r, NLM_F_CREATE, IP4(20, 0, 0, 0), 8, 0);
    nest = nla_nest(&r.o, RTA_MULTIPATH);
    for (uint32_t i = 0; i < 2; i++) {
        struct rtnexthop *h = nlmsg_reserve(&r.o, sizeof *h);

        h->rtnh_len = sizeof *h + 8;
        h->rtnh_hops = i ? 2 : 0; /* shares of 1 and 3 */
        nla_put_u32(&r.o, RTA_GATEWAY, IP4(198, 18, 0, 10 + i));
    }
    nla_nest_end(&r.o, nest);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), 0);
    for (uint32_t i = 0; i < 400; i++) {
        struct flow fl = way_to(e, IP4(20, 0, i >> 8, i & 255));
        const struct neigh *n = fl.neigh;

        by[ipaddr_get_v4(&n->addr) == IP4(198, 18, 0, 11)]++;
    }
    cr_assert(by[0] > 50 && by[1] > 200, "%u and %u", by[0], by[1]);
    /* It goes as one. */
    struct rtmsg *m = begin(&r, RTM_DELROUTE, NLM_F_ACK, sizeof *m);
    m->rtm_family = AF_INET;
    m->rtm_dst_len = 8;
    nla_put_u32(&r.o, RTA_DST, IP4(20, 0, 0, 0));
    post(e, s, &r);
    cr_assert_eq(acked(e, s), 0);
    cr_assert_null(route_lookup(e->st, &(struct ipaddr){.w = {0, 0, htonl(0xffff), IP4(20, 0, 0, 1)}}, 0));
}

Test(netlink, a_permanent_neighbour_is_not_changed_by_what_is_heard)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x77};
    struct ipaddr peer = ipaddr_v4(ENV_PEER_IP);
    struct request r;
    struct ndmsg *m = begin(&r, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof *m);
    const struct neigh *n;

    m->ndm_family = AF_INET;
    m->ndm_ifindex = stack_if_shown(e->st, ENV_IF);
    m->ndm_state = NUD_PERMANENT;
    nla_put_u32(&r.o, NDA_DST, ENV_PEER_IP);
    nla_put(&r.o, NDA_LLADDR, mac, sizeof mac);
    post(e, s, &r);
    cr_assert_eq(acked(e, s), 0);
    n = neigh_find(e->st, ENV_IF, &peer);
    cr_assert_eq(n->state, NEIGH_PERMANENT);
    env_inject(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, ENV_PEER_IP, ENV_MAC, ENV_IP));
    env_poll(e);
    cr_assert_arr_eq(n->hdr, mac, 6);
    env_advance_ms(e, 120000);
    cr_assert_eq(n->state, NEIGH_PERMANENT);
}

/* A request about the env's link: its flags, and a name where there is one. */
static int set_link(struct env *e, struct sock *s, unsigned flags, unsigned change, const char *name)
{
    struct request r;
    struct ifinfomsg *m = begin(&r, RTM_NEWLINK, NLM_F_ACK, sizeof *m);

    m->ifi_index = stack_if_shown(e->st, ENV_IF);
    m->ifi_flags = flags;
    m->ifi_change = change;
    if (name)
        nla_put_str(&r.o, IFLA_IFNAME, name);
    post(e, s, &r);
    return acked(e, s);
}

Test(netlink, a_link_that_is_down_has_no_routes_until_it_is_up)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);
    struct ipaddr peer = ipaddr_v4(ENV_PEER_IP);

    for (int up = 0; up <= 1; up++) {
        cr_assert_eq(set_link(e, s, up ? IFF_UP : 0, IFF_UP, NULL), 0);
        cr_assert_eq(route_lookup(e->st, &peer, 0) != NULL, up);
    }
}

Test(netlink, flags_and_names_of_a_link)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct ifnet *ifn = &e->st->ifn[ENV_IF];
    struct sock *s = make(e);

    cr_assert_eq(set_link(e, s, IFF_MULTICAST, IFF_MULTICAST, NULL), 0, "it is");
    cr_assert_eq(sock_if_flags(ifn), IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_MULTICAST);
    cr_assert_eq(set_link(e, s, IFF_PROMISC, IFF_PROMISC | IFF_MULTICAST, NULL), 0);
    cr_assert_eq(sock_if_flags(ifn), IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_PROMISC);
    cr_assert_eq(set_link(e, s, IFF_POINTOPOINT, IFF_POINTOPOINT, NULL), 0, "passed over, as in Linux");
    cr_assert_not(sock_if_flags(ifn) & IFF_POINTOPOINT);
    cr_assert_eq(set_link(e, s, 0, 0, ifn->name), 0);
    cr_assert_eq(set_link(e, s, 0, 0, "another"), 0);
    cr_assert_str_eq(ifn->name, "another");
    cr_assert_eq(set_link(e, s, 0, 0, "lo"), -EEXIST);
    cr_assert_eq(set_link(e, s, 0, 0, "a/b"), -EINVAL);
}

/* Packets to new neighbours go to the link's own address then (arp_constructor). */
Test(netlink, without_arp_nobody_is_asked)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct flow fl = {.dst = ipaddr_v4(IP4(198, 18, 0, 77))};
    struct sock *s = make(e);

    cr_assert_eq(set_link(e, s, IFF_NOARP, IFF_NOARP, NULL), 0);
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_arr_eq(((const struct neigh *)fl.neigh)->hdr, ENV_MAC, 6);
    cr_assert_eq(set_link(e, s, 0, IFF_NOARP, NULL), 0);
    cr_assert_not(e->st->ifn[ENV_IF].caps & NETDEV_NOARP);
}

/* ---- notifications ---- */

Test(netlink, members_hear_of_routes_addresses_links_and_neighbours)
{
    static const uint16_t expected[] = {RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWADDR,
                                        RTM_DELADDR,  RTM_NEWLINK,  RTM_NEWNEIGH};
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e), *deaf = make(e);
    struct ipaddr a = ipaddr_v4(IP4(198, 19, 0, 1)), other = ipaddr_v4(IP4(198, 18, 0, 40));
    uint8_t heard[256] = {0};
    struct neigh *n;

    listen_to(e, s, RTNLGRP_LINK);
    listen_to(e, s, RTNLGRP_IPV4_ROUTE);
    listen_to(e, s, RTNLGRP_IPV4_IFADDR);
    listen_to(e, s, RTNLGRP_NEIGH);
    add_routes(e, 0, 1);
    del_route(e, 0);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &a, 32), 0);
    shard_flush(e->sh);
    cr_assert_eq(stack_del_addr(e->st, ENV_IF, &a), 0);
    e->st->ifn[ENV_IF].mtu = 1400;
    ifnet_changed(e->st, ENV_IF);
    n = neigh_get(e->sh, ENV_IF, &other);
    neigh_set(e->sh, n, ENV_PEER_MAC, NEIGH_STALE);
    shard_flush(e->sh);
    while (recv_some(e, s, sizeof in) > 0)
        heard[((struct nlmsghdr *)in)->nlmsg_type]++;
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_assert(heard[expected[i]], "type %u", expected[i]);
    cr_assert_eq(recv_some(e, deaf, sizeof in), -EAGAIN);
    file_put(e->st, &s->file);
    cr_assert_eq(e->st->listened, 0, "nobody listens: nothing is noted");
    add_routes(e, 0, 10);
    shard_flush(e->sh);
    file_put(e->st, &deaf->file);
}

Test(netlink, who_listens_and_does_not_read_hears_of_the_loss_once)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sock *s = make(e);

    listen_to(e, s, RTNLGRP_IPV4_ROUTE);
    add_routes(e, 0, 2000); /* more than notes have room for, and more than the buffer */
    shard_flush(e->sh);
    cr_assert(sock_poll(s) & POLLERR);
    cr_assert_eq(recv_some(e, s, sizeof in), -ENOBUFS);
    while (recv_some(e, s, sizeof in) > 0)
        ;
    cr_assert_eq(recv_some(e, s, sizeof in), -EAGAIN);
    add_routes(e, 3000, 1);
    shard_flush(e->sh);
    cr_assert_gt(recv_some(e, s, sizeof in), 0, "afterwards it hears again");
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- hostile requests ---- */

/* Every request of every type, cut and bent everywhere: an answer or none, never more, and nothing is lost.
 */
Test(netlink, requests_cut_and_bent_everywhere)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    uint32_t rnd = 1;

    for (unsigned round = 0; round < 40000; round++) {
        struct sock *s = make(e);
        uint8_t b[256];
        struct nlmsghdr *h = (struct nlmsghdr *)(void *)b;

        for (unsigned i = 0; i < sizeof b; i++) {
            rnd = rnd * 1103515245 + 12345;
            b[i] = rnd >> 28 < 9 ? 0 : (uint8_t)(rnd >> 16); /* mostly zeros, as real ones */
        }
        h->nlmsg_len = round % 3 ? 16 + round % 100 : (uint32_t)rnd % 300;
        h->nlmsg_type = (uint16_t)(16 + round % 110);
        h->nlmsg_flags |= NLM_F_REQUEST;
        b[16] = round & 1 ? AF_INET : AF_INET6;
        b[20] = (uint8_t)(1 + round % 2);
        /* A first attribute of a likely length. */
        b[16 + 12] = (uint8_t)(4 + round % 24);
        b[16 + 13] = 0;
        b[16 + 14] = (uint8_t)(round / 7 % 30);
        b[16 + 15] = 0;
        send_raw(e, s, b, sizeof b - round % 60);
        for (int i = 0; i < 5 && recv_some(e, s, 4000) > 0; i++)
            ;
        file_put(e->st, &s->file);
    }
    env_advance_ms(e, 100);
    while (env_seen(e, &(struct env_seen){0}))
        ;
}
