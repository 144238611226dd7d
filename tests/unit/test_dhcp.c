/* test_dhcp.c: the DHCP client against a scripted server on the fake clock, and its messages (wire_dhcp.c).
 */
#include <criterion/criterion.h>

#include "../../stack/dhcp.h"
#include "../../stack/ifnet.h"
#include "../../stack/route.h"
#include "env.h"

#define LEASED IP4(198, 18, 0, 100)

static struct env_seen s;
static struct dhcp_msg sent;
static const struct env_config bare = {.no_addr = true, .arp_probe = true};

/* Takes captured frames up to the next DHCP message. */
static bool next_msg(struct env *e)
{
    while (env_seen(e, &s))
        if (s.ip && s.ip->proto == IPPROTO_UDP && s.udp.dport_be == htons(DHCP_SERVER_PORT))
            return wire_dhcp_parse(s.data, s.data_len, &sent) == 0;
    return false;
}

static size_t reply(uint8_t *p, uint8_t type, uint32_t lease_s)
{
    uint32_t xid_be = htonl(sent.xid), yi = LEASED, server = ENV_PEER_IP, lease_be = htonl(lease_s);
    static const uint8_t cookie[4] = {99, 130, 83, 99};
    static const uint8_t rest[] = {1, 4,   255, 255, 255, 0,   3,  4, 198, 18, 0, 1, 26, 2,
                                   5, 120, 121, 8,   24,  198, 19, 7, 198, 18, 0, 9, 255};

    memset(p, 0, 400);
    p[0] = DHCP_BOOTREPLY;
    p[1] = 1;
    p[2] = 6;
    memcpy(p + 4, &xid_be, 4);
    memcpy(p + 16, &yi, 4);
    memcpy(p + 28, ENV_MAC, 6);
    memcpy(p + 236, cookie, 4);
    memcpy(p + 240, (uint8_t[]){53, 1, type, 54, 4}, 5);
    memcpy(p + 245, &server, 4);
    memcpy(p + 249, (uint8_t[]){51, 4}, 2);
    memcpy(p + 251, &lease_be, 4);
    memcpy(p + 255, rest, sizeof rest);
    return 255 + sizeof rest;
}

static void answer(struct env *e, uint8_t type, uint32_t lease_s)
{
    uint8_t p[400];
    size_t len = reply(p, type, lease_s);

    env_inject(e, env_udp(e, ENV_PEER_IP, 67, INADDR_BROADCAST, 68, p, len));
    env_poll(e);
}

static struct env *begin(void)
{
    struct env *e = env_stack(&bare);

    cr_assert_eq(dhcp_start(e->sh, ENV_IF), 0);
    env_poll(e);
    cr_assert(next_msg(e));
    cr_assert_eq(sent.type, DHCP_DISCOVER);
    cr_assert_eq(sent.flags, DHCP_BROADCAST);
    cr_assert_eq(s.ip->src_be, 0);
    cr_assert_eq(s.ip->dst_be, INADDR_BROADCAST);
    return e;
}

static uint8_t state(struct env *e)
{
    return dhcp_client(e->sh, ENV_IF)->state;
}

static bool has_addr(struct env *e)
{
    struct ipaddr a = ipaddr_v4(LEASED);

    return ip_is_local(e->st, &a);
}

static struct env *bound(uint32_t lease_s)
{
    struct env *e = begin();

    answer(e, DHCP_OFFER, lease_s);
    cr_assert(next_msg(e));
    cr_assert_eq(sent.type, DHCP_REQUEST);
    cr_assert_eq(sent.requested_be, LEASED);
    cr_assert_eq(sent.server_be, ENV_PEER_IP);
    answer(e, DHCP_ACK, lease_s);
    cr_assert_eq(state(e), DHCP_PROBING);
    env_advance_ms(e, 500);
    cr_assert_eq(state(e), DHCP_BOUND);
    cr_assert(has_addr(e));
    env_tx_clear(e);
    return e;
}

Test(dhcp, lease_brings_address_routes_mtu)
{
    struct env *e = bound(3600);
    struct ipaddr far = ipaddr_v4(IP4(198, 19, 7, 1)), other = ipaddr_v4(ENV_OTHER_IP);
    const struct route *r = route_lookup(e->st, &far, 0);

    cr_assert_not_null(r);
    cr_assert_eq(r->via.w[3], IP4(198, 18, 0, 9));
    cr_assert_null(route_lookup(e->st, &other, 0), "with option 121 the router does not count");
    cr_assert_eq(e->st->ifn[ENV_IF].mtu, 1400);
    dhcp_release(e->sh);
    env_poll(e);
    cr_assert(next_msg(e));
    cr_assert_eq(sent.type, DHCP_RELEASE);
    cr_assert_eq(sent.ciaddr_be, LEASED);
    cr_assert_not(has_addr(e));
    cr_assert_eq(e->st->ifn[ENV_IF].mtu, 1500);
    cr_assert_eq(env_leaks(e), 0);
}

Test(dhcp, silence_backs_off)
{
    struct env *e = begin();
    unsigned n = 0;

    env_advance_ms(e, 1300);
    cr_assert(next_msg(e));
    for (env_advance_ms(e, 1000000); next_msg(e);)
        n++;
    cr_assert_geq(n, 12);
    cr_assert_leq(n, 25);
    cr_assert_eq(state(e), DHCP_SELECTING);
}

Test(dhcp, request_unanswered_begins_anew)
{
    struct env *e = begin();

    answer(e, DHCP_OFFER, 3600);
    env_advance_ms(e, 20000);
    cr_assert_eq(state(e), DHCP_SELECTING);
}

Test(dhcp, nak_begins_anew)
{
    struct env *e = begin();

    answer(e, DHCP_OFFER, 3600);
    cr_assert(next_msg(e));
    answer(e, DHCP_NAK, 0);
    cr_assert_eq(state(e), DHCP_INIT);
    env_advance_ms(e, DHCP_NAK_MS + 5);
    cr_assert_eq(state(e), DHCP_SELECTING);
}

Test(dhcp, conflict_is_declined)
{
    struct env *e = begin();

    answer(e, DHCP_OFFER, 3600);
    cr_assert(next_msg(e));
    answer(e, DHCP_ACK, 3600);
    env_inject(e, env_arp(e, ARP_REPLY, ENV_PEER_MAC, LEASED, ENV_MAC, LEASED));
    env_poll(e);
    env_advance_ms(e, 100);
    cr_assert(next_msg(e));
    cr_assert_eq(sent.type, DHCP_DECLINE);
    cr_assert_eq(sent.requested_be, LEASED);
    cr_assert_not(has_addr(e));
    cr_assert_eq(state(e), DHCP_INIT);
}

Test(dhcp, renewed_at_t1_and_over_at_the_end)
{
    struct env *e = bound(3600);

    env_advance_ms(e, 1795000);
    cr_assert_eq(state(e), DHCP_BOUND);
    env_advance_ms(e, 10000);
    cr_assert_eq(state(e), DHCP_RENEWING);
    while (env_seen(e, &s)) /* to the server, whom ARP looks for */
        cr_assert(!s.ip || s.ip->dst_be != INADDR_BROADCAST);
    sent.xid = dhcp_client(e->sh, ENV_IF)->xid;
    answer(e, DHCP_ACK, 3600);
    cr_assert_eq(state(e), DHCP_BOUND);
    env_advance_ms(e, 3200000);
    cr_assert_eq(state(e), DHCP_REBINDING);
    cr_assert(has_addr(e));
    cr_assert(next_msg(e));
    env_advance_ms(e, 500000);
    cr_assert_not(has_addr(e));
    cr_assert_eq(state(e), DHCP_SELECTING);
    cr_assert_eq(e->st->ifn[ENV_IF].mtu, 1500);
}

Test(dhcp, answers_for_others_are_passed_over)
{
    struct env *e = begin();

    sent.xid++;
    answer(e, DHCP_OFFER, 3600);
    cr_assert_eq(state(e), DHCP_SELECTING);
    sent.xid--;
    answer(e, DHCP_ACK, 3600);
    cr_assert_eq(state(e), DHCP_SELECTING, "none was requested");
    answer(e, DHCP_OFFER, 1);
    cr_assert_eq(state(e), DHCP_SELECTING, "no lease to speak of");
}

Test(dhcp, hostile_messages)
{
    uint8_t p[400];
    struct dhcp_msg m;
    size_t len = reply(p, DHCP_OFFER, 3600);
    uint32_t r = 1;

    cr_assert_eq(wire_dhcp_parse(p, len, &m), 0);
    cr_assert_eq(m.nroutes, 1);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut + 1); /* so that a sanitizer sees a byte too much */

        memcpy(copy, p, cut);
        if (cut < DHCP_FIXED_LEN + 3)
            cr_assert_neq(wire_dhcp_parse(copy, cut, &m), 0);
        else
            wire_dhcp_parse(copy, cut, &m);
        free(copy);
    }
    for (int i = 0; i < 200000; i++) {
        uint8_t x[400];

        memcpy(x, p, sizeof x);
        for (int k = 0; k < 4; k++) {
            r = r * 1664525 + 1013904223;
            x[240 + (r >> 8) % (len - 240)] = (uint8_t)(r >> 24);
        }
        if (wire_dhcp_parse(x, len, &m) == 0)
            cr_assert(m.nroutes <= DHCP_ROUTES && m.ndns <= DHCP_DNS);
    }
}

Test(dhcp, options_in_the_file_field)
{
    uint8_t p[400];
    struct dhcp_msg m;
    size_t len = reply(p, DHCP_OFFER, 3600);

    memcpy(p + len - 1, (uint8_t[]){52, 1, 1, 255}, 4);
    memcpy(p + 108, (uint8_t[]){6, 4, 198, 18, 0, 53, 255}, 7);
    cr_assert_eq(wire_dhcp_parse(p, len + 3, &m), 0);
    cr_assert_eq(m.ndns, 1);
    cr_assert_eq(m.dns_be[0], IP4(198, 18, 0, 53));
    p[109] = 200; /* beyond the field */
    cr_assert_neq(wire_dhcp_parse(p, len + 3, &m), 0);
}

Test(dhcp, netmasks)
{
    cr_assert_eq(wire_dhcp_mask_len(IP4(255, 255, 255, 0)), 24);
    cr_assert_eq(wire_dhcp_mask_len(0), 0);
    cr_assert_eq(wire_dhcp_mask_len(0xffffffff), 32);
    cr_assert_eq(wire_dhcp_mask_len(IP4(255, 0, 255, 0)), -1);
}
