/* test_ip6.c: IPv6 on the fake link: header chains, echo, errors, fragments, neighbour discovery, duplicate
 * address detection, routers (ip6.c, icmp6.c, nd.c, ra.c, frag.c). */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/cksum.h"
#include "../../stack/frag.h"
#include "../../stack/icmp6.h"
#include "../../stack/ifnet.h"
#include "../../stack/ip6.h"
#include "../../stack/ip6_addr.h"
#include "../../stack/nd.h"
#include "../../stack/ra.h"
#include "../../stack/route.h"
#include "../../stack/wire_icmp6.h"
#include "../../stack/wire_ip6.h"
#include "env.h"

static struct ipaddr own = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};
static struct ipaddr peer = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
static struct ipaddr peer_ll = {.b = {0xfe, 0x80, [15] = 1}}; /* as on the wire */
static struct ipaddr all_nodes = {.b = {0xff, 0x02, [15] = 1}};

static uint8_t seen[2048];
static uint32_t seen_len;

/* eth0 with 2001:db8::2/64 and a peer that is known. */
static struct env *net6(const struct env_config *cfg)
{
    struct env *e = env_net(cfg);

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &own, 64), 0);
    neigh_update(e->sh, neigh_get(e->sh, ENV_IF, &peer), ENV_PEER_MAC, true);
    return e;
}

/* A frame with an IPv6 packet: next and payload as given. */
static struct rte_mbuf *frame(struct env *e, const struct ipaddr *src, const struct ipaddr *dst, uint8_t next,
                              uint8_t hops, const void *payload, size_t len)
{
    static uint8_t b[4096];
    uint16_t plen_be = htons((uint16_t)len);

    wire_eth_emit(b, dst->b[0] == 0xff ? ENV_BCAST_MAC : ENV_MAC, ENV_PEER_MAC, ETH_TYPE_IP6);
    memset(b + 14, 0, 40);
    b[14] = 0x60;
    memcpy(b + 18, &plen_be, 2);
    b[20] = next;
    b[21] = hops;
    memcpy(b + 22, src->b, 16);
    memcpy(b + 38, dst->b, 16);
    memcpy(b + 54, payload, len);
    return env_frame(e, b, 54 + len);
}

/* An ICMPv6 message with its checksum put in. */
static struct rte_mbuf *icmp6(struct env *e, const struct ipaddr *src, const struct ipaddr *dst, uint8_t hops,
                              uint8_t *msg, size_t len)
{
    uint16_t sum;

    msg[2] = msg[3] = 0;
    sum = (uint16_t)~cksum_fold(cksum_add(cksum_add_pseudo(0, src, dst, 58, (uint32_t)len), msg, len));
    memcpy(msg + 2, &sum, 2);
    return frame(e, src, dst, 58, hops, msg, len);
}

/* The next frame that left, from its IPv6 header on. */
static bool sent(struct env *e)
{
    static struct env_seen s;

    if (!env_seen(e, &s))
        return false;
    cr_assert_eq(s.type, ETH_TYPE_IP6);
    seen_len = s.len - 14;
    memcpy(seen, s.raw + 14, seen_len);
    return true;
}

static void expect_param(struct env *e, uint8_t code, uint32_t pointer)
{
    uint32_t ptr_be;

    cr_assert(sent(e), "no error was sent");
    memcpy(&ptr_be, seen + 44, 4);
    cr_assert_eq(seen[40], ICMP6_T_PARAM);
    cr_assert_eq(seen[41], code);
    cr_assert_eq(ntohl(ptr_be), pointer, "pointer %u", ntohl(ptr_be));
}

Test(ip6, echo)
{
    uint8_t msg[16] = {128, 0, 0, 0, 0, 1, 0, 2, 'h', 'e', 'l', 'l', 'o'};
    struct env *e = net6(NULL);

    cr_assert_eq(env_input(e, icmp6(e, &peer, &own, 64, msg, sizeof msg)), IP_DONE);
    cr_assert(sent(e));
    cr_assert_eq(seen[40], ICMP6_T_ECHO_REPLY);
    cr_assert_eq(memcmp(seen + 8, own.b, 16), 0);
    cr_assert_eq(memcmp(seen + 44, msg + 4, sizeof msg - 4), 0);
    msg[8] ^= 1; /* and a checksum that is wrong */
    e->sh->count[COUNT_ICMP6_CSUM] = 0;
    struct rte_mbuf *m = icmp6(e, &peer, &own, 64, msg, sizeof msg);
    *rte_pktmbuf_mtod_offset(m, uint8_t *, 60) ^= 1;
    env_input(e, m);
    cr_assert_eq(e->sh->count[COUNT_ICMP6_CSUM], 1);
    cr_assert_not(sent(e));
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip6, what_is_not_for_us)
{
    static const struct ipaddr other = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 9}};
    static const struct ipaddr group = {.b = {0xff, 0x02, [15] = 0x77}};
    struct ipaddr mapped = ipaddr_v4(ENV_PEER_IP), lo = {.b = {[15] = 1}},
                  ll = {.b = {0xfe, 0x80, 1, [15] = 9}};
    const struct ipaddr *bad[][2] = {{&peer, &other}, {&peer, &group}, {&mapped, &own}, {&lo, &own},
                                     {&peer, &lo},    {&group, &own},  {&own, &own},    {&ll, &own}};
    struct env *e = net6(NULL);

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        env_input(e, frame(e, bad[i][0], bad[i][1], 17, 64, "12345678", 8));
        cr_assert_eq(e->sh->count[COUNT_IP6_ADDR], i + 1, "case %u", i);
    }
    cr_assert_not(sent(e));
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip6, chain_of_headers)
{
    /* hop-by-hop (router alert, PadN), destination options, routing with nothing left, UDP */
    uint8_t b[] = {60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 1, 4, 0, 0, 0, 0,
                   17, 0, 0, 0, 0, 0, 0, 0, 0,  1, 0, 2, 0, 8, 0, 0};
    struct env *e = net6(NULL);

    cr_assert_eq(env_input(e, frame(e, &peer, &own, 0, 64, b, sizeof b)), IP_TRANSPORT);
    cr_assert_eq(e->ri.proto, 17);
    cr_assert_eq(e->ri.l3_len, 64);
    cr_assert_eq(e->ri.len, 8);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip6, refused_headers)
{
    uint8_t rh0[16] = {17, 0, 0, 1};      /* routing type 0 with a segment left (RFC 5095) */
    uint8_t late[16] = {0, 0, 1, 4};      /* hop-by-hop behind destination options */
    uint8_t opt10[16] = {17, 0, 0x80, 4}; /* unknown option, action 10 */
    uint8_t opt01[16] = {17, 0, 0x40, 4}; /* action 01 */
    uint8_t opt00[16] = {17, 0, 0x1e, 4, [12] = 0, [13] = 8};
    uint8_t overrun[16] = {17, 0, 0x1e, 5};
    struct env *e = net6(NULL);

    env_input(e, frame(e, &peer, &own, 43, 64, rh0, sizeof rh0));
    expect_param(e, ICMP6_C_HEADER, 42);
    env_input(e, frame(e, &peer, &own, 60, 64, late, sizeof late));
    expect_param(e, ICMP6_C_NEXT, 40);
    env_input(e, frame(e, &peer, &own, 60, 64, opt10, sizeof opt10));
    expect_param(e, ICMP6_C_OPTION, 42);
    env_input(e, frame(e, &peer, &own, 60, 64, opt01, sizeof opt01));
    cr_assert_not(sent(e), "dropped without a word");
    cr_assert_eq(env_input(e, frame(e, &peer, &own, 60, 64, opt00, sizeof opt00)), IP_TRANSPORT);
    env_done(e);
    env_input(e, frame(e, &peer, &own, 60, 64, overrun, sizeof overrun));
    cr_assert_not(sent(e));
    cr_assert_eq(env_leaks(e), 0);
}

/* Every length of a chain of every header, cut anywhere: nothing is read beyond it, nothing is lost. */
Test(ip6, hostile_chains)
{
    static const uint8_t kinds[] = {0, 43, 44, 60, 17, 59, 51};
    struct env *e = net6(NULL);
    uint32_t r = 1;

    for (unsigned i = 0; i < 20000; i++) {
        uint8_t b[128];
        size_t len = i % sizeof b;

        for (size_t k = 0; k < sizeof b; k++) {
            r = r * 1664525 + 1013904223;
            b[k] = (uint8_t)(r >> 24);
            if (k % 8 == 0)
                b[k] = kinds[(r >> 8) % sizeof kinds];
            if (k % 8 == 1)
                b[k] &= 3;
        }
        if (env_input(e, frame(e, &peer, &own, kinds[i % sizeof kinds], 64, b, len)) == IP_TRANSPORT)
            env_done(e);
        env_tx_clear(e);
    }
    env_advance_ms(e, 61000);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

/* A fragment: off in bytes. */
static struct rte_mbuf *fragment(struct env *e, uint32_t id, uint32_t off, bool more, const void *data,
                                 size_t len)
{
    uint8_t b[2048] = {17, 0};
    uint16_t field = htons((uint16_t)(off | more));

    memcpy(b + 2, &field, 2);
    memcpy(b + 4, &id, 4);
    memcpy(b + 8, data, len);
    return frame(e, &peer, &own, 44, 64, b, len + 8);
}

Test(ip6, reassembly)
{
    uint8_t data[64], got[64];
    struct env *e = net6(NULL);

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    cr_assert_eq(env_input(e, fragment(e, 7, 48, false, data + 48, 16)), IP_DONE);
    cr_assert_eq(env_input(e, fragment(e, 7, 0, true, data, 24)), IP_DONE);
    cr_assert_eq(env_input(e, fragment(e, 7, 0, true, data, 24)), IP_DONE, "a duplicate does no harm");
    cr_assert_eq(env_input(e, fragment(e, 7, 24, true, data + 24, 24)), IP_TRANSPORT);
    cr_assert_eq(e->ri.proto, 17);
    cr_assert_eq(e->ri.l3_len, 40, "no fragment header is left");
    cr_assert_eq(e->m->pkt_len, 64);
    cr_assert(pkt_read(e->m, 0, 64, got));
    cr_assert_eq(memcmp(got, data, 64), 0);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip6, overlap_discards_the_datagram)
{
    uint8_t data[64] = {0};
    struct env *e = net6(NULL);

    env_input(e, fragment(e, 7, 0, true, data, 32));
    env_input(e, fragment(e, 7, 24, true, data, 24)); /* RFC 5722 */
    cr_assert_eq(env_input(e, fragment(e, 7, 32, false, data, 32)), IP_DONE, "what is to come, too");
    cr_assert_eq(env_input(e, fragment(e, 7, 0, true, data, 32)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_FAIL], 1);
    cr_assert_eq(env_leaks(e), 0, "the fragments are gone");
    cr_assert_eq(env_input(e, fragment(e, 8, 0, true, data, 32)), IP_DONE, "another datagram is none of it");
    cr_assert_eq(env_input(e, fragment(e, 8, 32, false, data, 32)), IP_TRANSPORT);
    env_done(e);
}

Test(ip6, atomic_fragment)
{
    struct env *e = net6(NULL);

    env_input(e, fragment(e, 7, 0, true, "12345678", 8));
    cr_assert_eq(env_input(e, fragment(e, 7, 0, false, "abcdefgh", 8)), IP_TRANSPORT, "RFC 6946");
    cr_assert_eq(e->ri.l3_len, 40);
    env_done(e);
}

Test(ip6, bad_fragments_are_told_of)
{
    uint8_t data[16] = {0};
    struct env *e = net6(NULL);

    env_input(e, fragment(e, 7, 0, true, data, 13));
    expect_param(e, ICMP6_C_HEADER, 4);
    env_input(e, fragment(e, 7, 65528, false, data, 16));
    expect_param(e, ICMP6_C_HEADER, 42);
    env_input(e, fragment(e, 9, 0, true, data, 8));
    env_advance_ms(e, 60001);
    cr_assert(sent(e), "time exceeded");
    cr_assert_eq(seen[40], ICMP6_T_TIME_EXCEEDED);
    cr_assert_eq(seen[41], ICMP6_C_FRAG_TIME);
    cr_assert_eq(env_leaks(e), 0);
}

static void small_thresh(struct tunables *set)
{
    set->ip6frag_high_thresh = 256 * 1024;
}

/* Fragments of many datagrams from many sources, overlapping ones among them: what is held stays flat. */
Test(ip6, fragment_flood)
{
    uint8_t b[32] = {17, 0, [3] = IP6_FRAG_MORE};
    struct env *e = net6(&(struct env_config){.tune = small_thresh});
    const struct frag_family *v = &e->sh->frag->v[1];

    for (uint32_t i = 0; i < 20000; i++) {
        struct ipaddr src = peer;

        memcpy(src.b + 8, &(uint32_t){i % 5000}, 4);
        memcpy(b + 4, &i, 4);
        b[3] = (i & 1 ? 0 : 8) | IP6_FRAG_MORE;
        env_input(e, frame(e, &src, &own, 44, 64, b, 24)); /* 16 bytes */
        b[3] = 8 | IP6_FRAG_MORE;
        if (i & 1)
            env_input(e, frame(e, &src, &own, 44, 64, b, 16)); /* the second half of that */
        cr_assert_leq(v->mem, 256 * 1024);
        cr_assert_leq(v->n, FRAG_QUEUES);
    }
    cr_assert_gt(v->mem, 200 * 1024, "the limit was reached");
    cr_assert_eq(e->sh->frag->v[0].mem, 0);
    env_advance_ms(e, 61000);
    env_tx_clear(e);
    cr_assert_eq(v->mem, 0);
    cr_assert_eq(v->n, 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* RFC 7112: a first fragment that does not hold all headers; the transport's may come late no more than an
 * extension header. */
Test(ip6, tiny_first_fragment)
{
    uint8_t cut[16] = {60, 0, [3] = IP6_FRAG_MORE, [8] = 17, [9] = 1, [10] = 1, [11] = 4};
    uint8_t late[24] = {60, 0, [3] = IP6_FRAG_MORE, [8] = 17, [9] = 0, [10] = 1, [11] = 4};
    struct env *e = net6(NULL);

    env_input(e, frame(e, &peer, &own, 44, 64, cut, 16));
    expect_param(e, ICMP6_C_INCOMPLETE, 0);
    env_input(e, frame(e, &peer, &own, 44, 64, late, 16));
    expect_param(e, ICMP6_C_INCOMPLETE, 0);
    uint8_t tcp[32] = {6, 0, [3] = IP6_FRAG_MORE};
    env_input(e, frame(e, &peer, &own, 44, 64, tcp, 24)); /* 16 of its 20 bytes */
    expect_param(e, ICMP6_C_INCOMPLETE, 0);
    cr_assert_eq(e->sh->count[COUNT_IP6_HDR], 3);
    cr_assert_eq(e->sh->frag->v[1].n, 0);
    cr_assert_eq(env_input(e, frame(e, &peer, &own, 44, 64, late, 24)), IP_DONE);
    cr_assert_not(sent(e));
    cr_assert_eq(e->sh->frag->v[1].n, 1);
}

/* Headers before the fragment header (RFC 8200's unfragmentable part) stay, the first fragment's; those
 * behind it are gone along once all is here. */
Test(ip6, fragments_between_extension_headers)
{
    /* hop-by-hop (PadN), destination options, fragment */
    uint8_t a[48] = {60, 0, 1, 4, [8] = 44, 0, 1, 4, [16] = 60, 0, 0, IP6_FRAG_MORE, 9,
                     /* destination options, 16 bytes of payload */
                     [24] = 17, 0, 1, 4, [32] = 'a'};
    uint8_t b[16] = {60, 0, 0, 24, 9, [8] = 'b'}; /* fragment alone, at 24 */
    uint8_t got[24];
    struct env *e = net6(NULL);

    cr_assert_eq(env_input(e, frame(e, &peer, &own, 44, 64, b, 16)), IP_DONE);
    cr_assert_eq(env_input(e, frame(e, &peer, &own, 0, 64, a, 48)), IP_TRANSPORT);
    cr_assert_eq(e->ri.proto, 17);
    cr_assert_eq(e->ri.l3_len, 40 + 16 + 8);
    cr_assert_eq(e->m->pkt_len, 24);
    cr_assert(pkt_read(e->m, 0, 24, got));
    cr_assert_eq(got[0], 'a');
    cr_assert_eq(got[16], 'b');
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

/* Time exceeded when the first fragment came, and only then; nothing for what was discarded before. */
Test(ip6, reassembly_times_out)
{
    uint8_t data[32] = {0};
    struct env *e = net6(NULL);

    env_input(e, fragment(e, 1, 16, true, data, 16));
    env_input(e, fragment(e, 2, 0, true, data, 32));
    env_input(e, fragment(e, 2, 16, true, data, 32)); /* an overlap */
    env_input(e, fragment(e, 3, 16, true, data, 16));
    env_input(e, fragment(e, 3, 0, true, data, 16));
    env_advance_ms(e, 59000);
    cr_assert_not(sent(e));
    env_advance_ms(e, 1001);
    cr_assert(sent(e));
    cr_assert_eq(seen[40], ICMP6_T_TIME_EXCEEDED);
    cr_assert_eq(seen[41], ICMP6_C_FRAG_TIME);
    cr_assert_eq(seen[40 + 8 + 40 + 4], 3, "the third datagram's identification"); /* as it was sent */
    cr_assert_not(sent(e));
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_TIMEOUT], 2);
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_FAIL], 3);
    cr_assert_eq(e->sh->frag->v[1].n, 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* An atomic fragment within a datagram, twice (RFC 6946): what is behind it is walked like any header. */
Test(ip6, atomic_fragments_in_a_row)
{
    uint8_t b[24] = {44, [4] = 1, [8] = 17, [12] = 2, [16] = 'x'};
    struct env *e = net6(NULL);

    cr_assert_eq(env_input(e, frame(e, &peer, &own, 44, 64, b, 24)), IP_TRANSPORT);
    cr_assert_eq(e->m->pkt_len, 8);
    cr_assert_eq(e->sh->frag->v[1].n, 0);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

/* Ends that disagree, and a payload of more than a header can say. */
Test(ip6, fragments_of_a_wrong_total)
{
    uint8_t data[1400] = {0};
    struct env *e = net6(NULL);

    env_input(e, fragment(e, 1, 64, false, data, 16));
    env_input(e, fragment(e, 1, 128, false, data, 16)); /* a second end */
    env_input(e, fragment(e, 2, 64, true, data, 16));
    env_input(e, fragment(e, 2, 32, false, data, 16)); /* an end before what is there */
    env_input(e, fragment(e, 3, 64, false, data, 16));
    env_input(e, fragment(e, 3, 80, true, data, 16)); /* more behind the end */
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_FAIL], 3);
    for (uint32_t at = 0; at < 64400; at += 1400)
        env_input(e, fragment(e, 4, at, true, data, 1400));
    env_input(e, fragment(e, 4, 64400, false, data, 1136)); /* ends at 65536 */
    expect_param(e, ICMP6_C_HEADER, 42);
    cr_assert_eq(e->sh->count[COUNT_IP6_HDR], 1);
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_FAIL], 3);
    env_input(e, fragment(e, 4, 64400, false, data, 0));
    cr_assert_not(sent(e));
    cr_assert_eq(e->sh->count[COUNT_IP6_REASM_FAIL], 4, "nothing at all");
    cr_assert_eq(env_input(e, fragment(e, 4, 64400, false, data, 1135)), IP_TRANSPORT, "65535 are right");
    cr_assert_eq(e->m->pkt_len, 65535);
    env_done(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ip6, output_has_a_header_and_a_stable_label)
{
    struct env *e = net6(NULL);
    struct flow fl = {.dst = peer, .proto = 17, .tos = 0xb8, .ttl = 9};
    uint32_t first = 0;

    for (int i = 0; i < 2; i++) {
        struct rte_mbuf *m = pkt_alloc(e->sh);

        memcpy(rte_pktmbuf_append(m, 12), "\1\2\3\4\0\14\0\0data", 12);
        cr_assert_eq(ip_output(e->sh, &fl, m), 0);
        cr_assert(sent(e));
        uint32_t vcf_be;
        memcpy(&vcf_be, seen, 4);
        cr_assert_eq(ntohl(vcf_be) >> 20, 0x6b8);
        cr_assert_neq(ntohl(vcf_be) & 0xfffff, 0);
        cr_assert(i == 0 || vcf_be == first, "one label a flow");
        first = vcf_be;
        cr_assert_eq(seen[7], 9);
        cr_assert_eq(memcmp(seen + 8, own.b, 16), 0, "the source was chosen");
    }
}

Test(ip6, output_fragments)
{
    struct env *e = net6(NULL);
    struct flow fl = {.dst = peer, .proto = 17};
    struct rte_mbuf *m = pkt_alloc(e->sh);
    uint32_t total = 0, n = 0;
    uint16_t field;

    memset(rte_pktmbuf_append(m, 1900), 'x', 1900);
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    while (sent(e)) {
        cr_assert_leq(seen_len, 1500);
        cr_assert_eq(seen[6], 44);
        cr_assert_eq(seen[40], 17);
        memcpy(&field, seen + 42, 2);
        cr_assert_eq(ntohs(field) & 0xfff8, total);
        total += seen_len - 48;
        cr_assert_eq(ntohs(field) & 1, total < 1900);
        n++;
    }
    cr_assert_eq(total, 1900);
    cr_assert_eq(n, 2);
    fl.df = 1;
    m = pkt_alloc(e->sh);
    memset(rte_pktmbuf_append(m, 1900), 'x', 1900);
    cr_assert_eq(ip_output(e->sh, &fl, m), -EMSGSIZE);
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- neighbour discovery ---- */

static size_t nd_msg(uint8_t *msg, uint8_t type, uint8_t flags, const struct ipaddr *target, enum nd_opt opt,
                     const uint8_t mac[6])
{
    memset(msg, 0, 32);
    msg[0] = type;
    msg[4] = flags;
    memcpy(msg + 8, target->b, 16);
    if (!mac)
        return 24;
    wire_nd_emit_lla(msg + 24, opt, mac);
    return 32;
}

Test(nd, solicitation_is_answered)
{
    struct env *e = net6(NULL);
    struct ipaddr group = ip6_solicited_node(&own, ENV_IF);
    uint8_t msg[32];

    neigh_flush(e->sh, ENV_IF);
    group = ipaddr_unzoned(&group);
    size_t n = nd_msg(msg, ICMP6_T_NS, 0, &own, ND_OPT_SLLA, ENV_PEER_MAC);
    env_input(e, icmp6(e, &peer, &group, 255, msg, n));
    cr_assert(sent(e));
    cr_assert_eq(seen[40], ICMP6_T_NA);
    cr_assert_eq(seen[44], ND_NA_SOLICITED | ND_NA_OVERRIDE);
    cr_assert_eq(seen[7], 255);
    cr_assert_eq(seen[64], ND_OPT_TLLA);
    cr_assert_eq(memcmp(seen + 66, ENV_MAC, 6), 0);
    cr_assert_eq(neigh_find(e->st, ENV_IF, &peer)->state, NEIGH_DELAY, "learnt, and used for the answer");
    env_input(e, icmp6(e, &peer, &group, 254, msg, n)); /* it came through a router */
    cr_assert_not(sent(e));
    cr_assert_eq(e->sh->count[COUNT_ND_BAD], 1);
    cr_assert_eq(env_leaks(e), 0);
}

Test(nd, packets_wait_for_the_answer)
{
    struct env *e = net6(NULL);
    struct ipaddr other = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 9}};
    struct flow fl = {.dst = other, .proto = 17};
    struct rte_mbuf *m = pkt_alloc(e->sh);
    uint8_t msg[32];

    rte_pktmbuf_append(m, 8);
    cr_assert_eq(ip_output(e->sh, &fl, m), 0);
    cr_assert(sent(e));
    cr_assert_eq(seen[40], ICMP6_T_NS);
    cr_assert_eq(seen[24], 0xff, "to the solicited-node group");
    cr_assert_eq(seen[39], 9);
    cr_assert_not(sent(e));
    size_t n = nd_msg(msg, ICMP6_T_NA, ND_NA_SOLICITED | ND_NA_OVERRIDE, &other, ND_OPT_TLLA, ENV_PEER_MAC);
    env_input(e, icmp6(e, &other, &own, 255, msg, n));
    cr_assert(sent(e));
    cr_assert_eq(seen[6], 17, "the packet left");
    cr_assert_eq(neigh_find(e->st, ENV_IF, &other)->state, NEIGH_REACHABLE);
    cr_assert_eq(env_leaks(e), 0);
}

Test(nd, nobody_answers)
{
    struct env *e = net6(NULL);
    struct ipaddr other = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 9}};
    struct flow fl = {.dst = other, .proto = 17};
    struct rte_mbuf *m = pkt_alloc(e->sh);

    memset(rte_pktmbuf_append(m, 16), 1, 16);
    ip_output(e->sh, &fl, m);
    env_advance_ms(e, 3100);
    cr_assert_eq(neigh_find(e->st, ENV_IF, &other)->state, NEIGH_FAILED);
    cr_assert_not_null(e->sh->lo_head, "the stack tells itself");
    m = e->sh->lo_head;
    e->sh->lo_head = e->sh->lo_tail = NULL;
    cr_assert_eq(env_input_if(e, 0, m), IP_ICMP_ERROR);
    cr_assert_eq(e->err.err, EHOSTUNREACH);
    cr_assert(ipaddr_eq(&e->err.dst, &other));
}

Test(nd, advertisement_without_override)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
    struct env *e = net6(NULL);
    struct neigh *n = neigh_find(e->st, ENV_IF, &peer);
    uint8_t msg[32];

    env_input(e, icmp6(e, &peer, &own, 255, msg, nd_msg(msg, ICMP6_T_NA, 0, &peer, ND_OPT_TLLA, mac)));
    cr_assert_eq(n->state, NEIGH_STALE, "doubt");
    cr_assert(eth_addr_eq(n->hdr, ENV_PEER_MAC), "but no change");
    env_input(
        e, icmp6(e, &peer, &own, 255, msg, nd_msg(msg, ICMP6_T_NA, ND_NA_OVERRIDE, &peer, ND_OPT_TLLA, mac)));
    cr_assert(eth_addr_eq(n->hdr, mac));
}

Test(nd, duplicate_address)
{
    struct env_config cfg = {.arp_probe = true, .no_addr = true};
    struct env *e = env_net(&cfg);
    struct ipaddr any = IPADDR_ANY, second = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 3}};
    uint8_t msg[32], mac[6];

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &own, 64), 0);
    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 64), 0);
    cr_assert_not(ip_is_local(e->st, &own), "tentative");
    arp_announce_start(e->sh);
    cr_assert(sent(e));
    cr_assert_eq(seen[40], ICMP6_T_NS);
    cr_assert_eq(memcmp(seen + 8, any.b, 16), 0, "from no address");
    cr_assert_eq(arp_announce_state(e->st, mac), 1);
    /* our own probe, looped back by the link, is no objection (RFC 7527) */
    uint8_t echo[64];
    struct ipaddr group = ip6_solicited_node(&own, ENV_IF);
    group = ipaddr_unzoned(&group);
    memcpy(echo, seen + 40, 32);
    env_input(e, icmp6(e, &any, &group, 255, echo, 32));
    cr_assert_eq(arp_announce_state(e->st, mac), 1);
    /* the owner answers for the second */
    env_input(e, icmp6(e, &second, &all_nodes, 255, msg,
                       nd_msg(msg, ICMP6_T_NA, ND_NA_OVERRIDE, &second, ND_OPT_TLLA, ENV_PEER_MAC)));
    cr_assert_eq(arp_announce_state(e->st, mac), -EADDRINUSE);
    cr_assert(eth_addr_eq(mac, ENV_PEER_MAC));
    env_advance_ms(e, ND_DAD_INTERVAL_MS + 1);
    cr_assert(ip_is_local(e->st, &own), "nobody objected");
    cr_assert_not(ip_is_local(e->st, &second));
}

/* ---- routers ---- */

static struct env *ra_net(void)
{
    static const struct env_config cfg = {.arp_probe = true, .no_addr = true};
    struct env *e = env_net(&cfg);

    cr_assert_eq(nd_add_linklocals(e->st), 0);
    arp_announce_start(e->sh);
    env_tx_clear(e);
    env_advance_ms(e, ND_DAD_INTERVAL_MS + 1);
    return e;
}

static size_t ra_msg(uint8_t *msg, uint16_t lifetime_s, uint32_t valid_s, uint32_t preferred_s)
{
    static const uint8_t prefix[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 5};
    uint16_t l_be = htons(lifetime_s);
    uint32_t v_be = htonl(valid_s), p_be = htonl(preferred_s), mtu_be = htonl(1400);

    memset(msg, 0, 64);
    msg[0] = ICMP6_T_RA;
    msg[4] = 33;
    memcpy(msg + 6, &l_be, 2);
    msg[16] = ND_OPT_PREFIX;
    msg[17] = 4;
    msg[18] = 64;
    msg[19] = ND_PREFIX_ONLINK | ND_PREFIX_AUTO;
    memcpy(msg + 20, &v_be, 4);
    memcpy(msg + 24, &p_be, 4);
    memcpy(msg + 32, prefix, 16);
    msg[48] = ND_OPT_MTU;
    msg[49] = 1;
    memcpy(msg + 52, &mtu_be, 4);
    wire_nd_emit_lla(msg + 56, ND_OPT_SLLA, ENV_PEER_MAC);
    return 64;
}

Test(ra, address_route_and_mtu)
{
    struct env *e = ra_net();
    struct ipaddr a = {.b = {0x20, 0x01, 0x0d, 0xb8, 0, 5}}, far = {.b = {0x20, 0x01, [15] = 1}};
    struct flow fl = {.dst = far, .proto = 17};
    uint8_t msg[64];

    cr_assert(sent(e), "a router is asked");
    cr_assert_eq(seen[40], ICMP6_T_RS);
    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, ra_msg(msg, 1800, 600, 300)));
    ip6_set_eui64(&a, ENV_MAC);
    cr_assert(sent(e), "the address is probed");
    cr_assert_eq(seen[40], ICMP6_T_NS);
    env_advance_ms(e, ND_DAD_INTERVAL_MS + 1);
    cr_assert(ip_is_local(e->st, &a));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert(ipaddr_eq(&fl.src, &a));
    cr_assert_eq(fl.mtu, 1400);
    cr_assert_eq(e->st->ifn[ENV_IF].hop_limit, 33);
    cr_assert_eq(((struct neigh *)fl.neigh)->state, NEIGH_STALE, "the router's link address is known");
    env_advance_ms(e, 601000);
    cr_assert_not(ip_is_local(e->st, &a), "its time is over");
    fl.gen = 0;
    fl.src = IPADDR_ANY;
    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, ra_msg(msg, 0, 0, 0)));
    cr_assert_eq(flow_resolve(e->sh, &fl), -ENETUNREACH, "no router any more");
}

Test(ra, nobody_shortens_a_lifetime_at_once)
{
    struct env *e = ra_net();
    struct ipaddr a = {.b = {0x20, 0x01, 0x0d, 0xb8, 0, 5}};
    uint8_t msg[64];

    ip6_set_eui64(&a, ENV_MAC);
    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, ra_msg(msg, 1800, 86400, 300)));
    env_advance_ms(e, 200);
    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, ra_msg(msg, 1800, 1, 1)));
    env_advance_ms(e, 5000);
    cr_assert(ip_is_local(e->st, &a), "RFC 4862 section 5.5.3 (e)");
}

Test(ra, not_believed)
{
    struct env *e = net6(NULL);
    struct ipaddr far = {.b = {0x20, 0x01, [15] = 1}};
    struct flow fl = {.dst = far, .proto = 17};
    uint8_t msg[64];

    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, ra_msg(msg, 1800, 600, 300)));
    cr_assert_eq(flow_resolve(e->sh, &fl), -ENETUNREACH, "the user gave an address: no router is heard");
    e->st->set.accept_ra = 2;
    env_input(e, icmp6(e, &peer, &all_nodes, 255, msg, ra_msg(msg, 1800, 600, 300)));
    cr_assert_eq(flow_resolve(e->sh, &fl), -ENETUNREACH, "a router speaks from its link-local address");
    msg[49] = 0; /* an option of no length */
    size_t n = ra_msg(msg, 1800, 600, 300);
    msg[49] = 0;
    env_input(e, icmp6(e, &peer_ll, &all_nodes, 255, msg, n));
    cr_assert_eq(flow_resolve(e->sh, &fl), -ENETUNREACH);
    cr_assert_geq(e->sh->count[COUNT_ND_BAD], 2);
}

Test(ra, redirect)
{
    struct env *e = net6(NULL);
    struct ipaddr via = peer_ll, far = {.b = {0x20, 0x01, [15] = 1}}, all = IPADDR_ANY, better = peer_ll;
    struct flow fl = {.dst = far, .proto = 17};
    uint8_t msg[40] = {ICMP6_T_REDIRECT};
    struct ipaddr ll = ip6_linklocal(ENV_MAC, ENV_IF);

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &ll, 64), 0);
    ipaddr_set_zone(&via, ENV_IF + 1);
    cr_assert_eq(route_add(e->st, &all, 0, &via, ENV_IF), 0);
    better.b[15] = 8;
    memcpy(msg + 8, better.b, 16);
    memcpy(msg + 24, far.b, 16);
    env_input(e, icmp6(e, &better, &own, 255, msg, sizeof msg));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert(ipaddr_eq(&((struct neigh *)fl.neigh)->addr, &via), "only the router in use may say so");
    env_input(e, icmp6(e, &peer_ll, &own, 255, msg, sizeof msg));
    cr_assert_eq(flow_resolve(e->sh, &fl), 0);
    cr_assert_eq(((struct neigh *)fl.neigh)->addr.b[15], 8);
}
