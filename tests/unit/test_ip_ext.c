/* test_ip_ext.c: IPv4 options and IPv6 extension headers in what is sent: where they stand, who fills them
 * in, fragments, checksums; hostile options. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "../../stack/cksum.h"
#include "../../stack/ip_ext.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../../stack/wire_ip4.h"
#include "env.h"

static struct env_seen seen;

static struct sock *udp(struct env *e)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    sock_set_placement(e->st, s, PLACE_STACK);
    return s;
}

static ssize_t send_to_peer(struct env *e, struct sock *s, const void *data, size_t len)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = ENV_PEER_IP};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a};
    ssize_t n = sock_sendmsg(e->st, s, &m, 0, 0);

    shard_flush(e->sh);
    return n;
}

/* The next IPv4 frame that the stack sent. */
static const struct ip4_hdr *next_ip(struct env *e)
{
    while (env_seen(e, &seen))
        if (seen.ip)
            return seen.ip;
    return NULL;
}

static void know_peer(struct env *e)
{
    env_inject(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP));
    env_poll(e);
    env_tx_clear(e);
}

Test(ip_ext, record_route_has_the_own_address_first)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp(e);
    uint8_t rr[12] = {IP4_OPT_RR, 11, 4};
    const struct ip4_hdr *ip;
    const uint8_t *o;
    uint32_t own = ENV_IP;

    know_peer(e);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_OPTIONS, rr, sizeof rr), 0);
    cr_assert_eq(send_to_peer(e, s, "x", 1), 1);
    ip = next_ip(e);
    cr_assert_not_null(ip);
    cr_assert_eq(ip4_hlen(ip), 32);
    o = (const uint8_t *)(ip + 1);
    cr_assert_eq(o[2], 8);
    cr_assert_arr_eq(o + 3, (uint8_t *)&own, 4);
    cr_assert_eq(seen.raw[14 + 32 + 8], 'x');
    sock_close(e->st, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* RFC 791 section 3.1: what has no copied flag is the first fragment's alone. */
Test(ip_ext, options_of_fragments)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp(e);
    uint8_t o[8] = {IP4_OPT_RA, 4, 0, 0, 30, 4, 1, 2};
    static uint8_t big[3000];
    const struct ip4_hdr *ip;
    unsigned n = 0, total = 0;

    know_peer(e);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_OPTIONS, o, sizeof o), 0);
    cr_assert_eq(send_to_peer(e, s, big, sizeof big), sizeof big);
    while ((ip = next_ip(e))) {
        const uint8_t *got = (const uint8_t *)(ip + 1);

        cr_assert_eq(ip4_hlen(ip), 28);
        cr_assert_arr_eq(got, o, 4);
        cr_assert_eq(got[4], n ? IP4_OPT_NOP : 30);
        cr_assert_leq(ntohs(ip->len_be), 1500);
        total += ntohs(ip->len_be) - 28u;
        n++;
    }
    cr_assert_eq(n, 3);
    cr_assert_eq(total, sizeof big + 8);
    sock_close(e->st, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* Options count in what does not fit. */
Test(ip_ext, too_long_with_options)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp(e);
    uint8_t o[4] = {IP4_OPT_RA, 4, 0, 0};
    int how = IP_PMTUDISC_DO;
    static uint8_t big[1472];

    know_peer(e);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    cr_assert_eq(send_to_peer(e, s, big, 1472), 1472);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_OPTIONS, o, sizeof o), 0);
    cr_assert_eq(send_to_peer(e, s, big, 1472), -EMSGSIZE);
    cr_assert_eq(send_to_peer(e, s, big, 1468), 1468);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_OPTIONS, o, 0), 0);
    cr_assert_eq(send_to_peer(e, s, big, 1472), 1472);
    sock_close(e->st, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* Whatever is asked for: what is taken can be walked, and what leaves has a right header. */
Test(ip_ext, random_options)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp(e);
    unsigned taken = 0;

    know_peer(e);
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint8_t o[40];
        uint32_t len = (uint32_t)rand() % 41;

        for (uint32_t k = 0; k < len; k++)
            o[k] = (uint8_t)(rand() % 4 ? rand() % 12 : (int[]){7, 68, 148, 131}[rand() % 4]);
        if (sock_setsockopt(e->st, s, IPPROTO_IP, IP_OPTIONS, o, len) != 0)
            continue;
        taken++;
        cr_assert_eq(send_to_peer(e, s, "x", 1), 1);
        const struct ip4_hdr *ip = next_ip(e);

        cr_assert_not_null(ip);
        cr_assert_eq(ip4_hlen(ip), 20 + ((len + 3) & ~3u));
        cr_assert_eq(ntohs(ip->len_be), ip4_hlen(ip) + 9);
    }
    cr_assert_gt(taken, 500);
    sock_close(e->st, s);
    cr_assert_eq(env_leaks(e), 0);
}
