/* test_vlan.c: 802.1Q interfaces: tags in and out, ids nobody has, stacked tags, priority tags. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/ifnet.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../../stack/vlan.h"
#include "env.h"

#define VLAN_IP      IP4(198, 19, 0, 2)
#define VLAN_PEER_IP IP4(198, 19, 0, 1)

static struct env_seen seen;

static int with_vlan(struct env *e, unsigned id)
{
    struct ipaddr own = env_addr(VLAN_IP);
    int i = vlan_add(e->st, ENV_IF, id);

    cr_assert_gt(i, ENV_IF);
    cr_assert_eq(stack_add_addr(e->st, (unsigned)i, &own, 24), 0);
    return i;
}

/* The frame m with a tag put in. */
static struct rte_mbuf *tagged(struct env *e, struct rte_mbuf *m, uint16_t type, uint16_t tci)
{
    static uint8_t b[2048];
    uint32_t len = m->pkt_len;
    uint16_t tag[2] = {htons(type), htons(tci)};

    cr_assert(pkt_read(m, 0, 12, b));
    memcpy(b + 12, tag, 4);
    cr_assert(pkt_read(m, 12, len - 12, b + 16));
    rte_pktmbuf_free(m);
    return env_frame(e, b, len + 4);
}

static struct rte_mbuf *arp_for(struct env *e, uint32_t ip)
{
    return env_arp(e, ARP_REQUEST, ENV_PEER_MAC, VLAN_PEER_IP, NULL, ip);
}

Test(vlan, interface)
{
    struct env *e = env_stack(NULL);
    int i = with_vlan(e, 10);

    cr_assert_str_eq(e->st->ifn[i].name, "eth0.10");
    cr_assert_eq(e->st->ifn[i].mtu, 1500);
    cr_assert_arr_eq(e->st->ifn[i].mac, ENV_MAC, 6);
    cr_assert_eq(vlan_add(e->st, ENV_IF, 10), -EEXIST);
    cr_assert_eq(vlan_add(e->st, ENV_IF, 0), -EINVAL);
    cr_assert_eq(vlan_add(e->st, ENV_IF, 4095), -EINVAL);
    cr_assert_eq(vlan_add(e->st, IFNET_LOOPBACK, 1), -EINVAL);
    cr_assert_eq(vlan_add(e->st, (unsigned)i, 1), -EINVAL, "no tags in tags");
    cr_assert_eq(vlan_add(e->st, ENV_IF, 11), i + 1);
}

Test(vlan, answers_with_its_tag)
{
    struct env *e = env_stack(NULL);
    uint16_t tag[2];

    with_vlan(e, 10);
    env_inject(e, tagged(e, arp_for(e, VLAN_IP), ETH_TYPE_VLAN, 0x2000 | 10));
    env_poll(e);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.type, ETH_TYPE_VLAN);
    memcpy(tag, seen.raw + 12, 4);
    cr_assert_eq(ntohs(tag[1]), 10);
    cr_assert_eq(seen.raw[16] << 8 | seen.raw[17], ETH_TYPE_ARP);
    cr_assert_arr_eq(seen.raw, ENV_PEER_MAC, 6);
    cr_assert_arr_eq(seen.raw + 6, ENV_MAC, 6);
    cr_assert_eq(env_leaks(e), 0);
}

Test(vlan, frames_of_no_interface_are_dropped_and_counted)
{
    struct env *e = env_stack(NULL);

    with_vlan(e, 10);
    env_inject(e, tagged(e, arp_for(e, VLAN_IP), ETH_TYPE_VLAN, 11));
    env_inject(e, tagged(e, tagged(e, arp_for(e, VLAN_IP), ETH_TYPE_VLAN, 10), ETH_TYPE_VLAN, 10));
    env_inject(e, tagged(e, tagged(e, arp_for(e, VLAN_IP), ETH_TYPE_VLAN, 10), 0x88a8, 10));
    env_poll(e);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(e->sh->count[COUNT_ETH_VLAN], 1);
    cr_assert_eq(e->sh->count[COUNT_ETH_QINQ], 1);
    cr_assert_eq(e->sh->count[COUNT_ETH_TYPE], 1, "802.1ad outside: not our tag");
    cr_assert_eq(env_leaks(e), 0);
}

/* With VLANs or without: a tag of id 0 is a priority, the frame is the port's own. */
Test(vlan, priority_tags)
{
    struct env *e = env_stack(NULL);

    for (int i = 0; i < 2; i++) {
        env_inject(e, tagged(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP),
                             ETH_TYPE_VLAN, 0xe000));
        env_poll(e);
        cr_assert(env_seen(e, &seen));
        cr_assert_eq(seen.type, ETH_TYPE_ARP, "answers have none");
        if (!i)
            with_vlan(e, 10);
    }
    cr_assert_eq(env_leaks(e), 0);
}

Test(vlan, tags_of_truncated_frames)
{
    struct env *e = env_stack(NULL);
    uint8_t b[18] = {0};

    with_vlan(e, 10);
    b[12] = 0x81;
    b[15] = 10;
    for (size_t len = 13; len <= sizeof b; len++)
        env_inject(e, env_frame(e, b, len));
    env_poll(e);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* UDP both ways, in a chain too. */
Test(vlan, datagrams)
{
    struct env *e = env_stack(NULL);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct ipaddr peer = env_addr(VLAN_PEER_IP);
    int i = with_vlan(e, 10);
    struct sock *s;
    char b[64];
    struct iovec iov = {b, sizeof b};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    neigh_update(e->sh, neigh_get(e->sh, (unsigned)i, &peer), ENV_PEER_MAC, true);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    env_inject(e, tagged(e, env_udp(e, VLAN_PEER_IP, 9, VLAN_IP, 7, "hello", 5), ETH_TYPE_VLAN, 10));
    env_poll(e);
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 5);
    a.sin_addr.s_addr = VLAN_PEER_IP;
    m.msg_name = &a;
    m.msg_namelen = sizeof a;
    iov.iov_len = 5;
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 5);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.type, ETH_TYPE_VLAN);
    cr_assert_eq(seen.l2_len, 18);
    cr_assert_eq(seen.raw[16] << 8 | seen.raw[17], ETH_TYPE_IP4);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}
