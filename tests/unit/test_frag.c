/* test_frag.c: reassembly: orders, overlaps, bounds, time-out (RFC 791, RFC 815). */
#include <criterion/criterion.h>

#include "../../stack/frag.h"
#include "env.h"

static struct env_seen s;
static uint8_t bytes[65536 + 1024]; /* a fragment may end behind what a datagram can be */

static void fill(void)
{
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 13 + (i >> 8));
}

/* Fragment [from, to) of a datagram with identification id. */
static enum ip_verdict frag(struct env *e, uint16_t id, size_t from, size_t to, bool more)
{
    struct env_ip ip = {.proto = IPPROTO_UDP, .id = id, .off = (uint16_t)(from / 8 | (more ? IP4_MF : 0))};

    return env_input(e, env_ip4(e, &ip, bytes + from, to - from));
}

static void whole(struct env *e, enum ip_verdict v, size_t len)
{
    cr_assert_eq(v, IP_TRANSPORT);
    cr_assert_eq(e->ri.len, len);
    cr_assert_eq(e->m->pkt_len, len);
    cr_assert_eq(rte_mbuf_check(e->m, 1, &(const char *){NULL}), 0);
    cr_assert(pkt_read(e->m, 0, (uint32_t)len, s.raw));
    cr_assert_arr_eq(s.raw, bytes, len);
    env_done(e);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(e->sh->frag->v[0].mem, 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, every_order_of_four)
{
    static const unsigned cut[] = {0, 800, 1608, 2000, 2301};
    struct env *e = env_net(NULL);
    uint16_t id = 1;

    fill();
    for (unsigned p = 0; p < 256; p++) {
        unsigned order[4] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6 & 3}, seen = 0;

        for (unsigned i = 0; i < 4; i++)
            seen |= 1u << order[i];
        if (seen != 15)
            continue;
        for (unsigned i = 0; i < 4; i++) {
            unsigned k = order[i];
            enum ip_verdict v = frag(e, id, cut[k], cut[k + 1], k < 3);

            if (i < 3)
                cr_assert_eq(v, IP_DONE);
            else
                whole(e, v, 2301);
        }
        id++;
    }
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_OK], 24);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_REQ], 96);
}

Test(frag, largest_datagram)
{
    struct env *e = env_net(NULL);

    fill();
    for (size_t at = 0; at < 65515; at += 1480) {
        bool last = at + 1480 >= 65515;
        enum ip_verdict v = frag(e, 9, at, last ? 65515 : at + 1480, !last);

        if (last)
            whole(e, v, 65515);
    }
}

Test(frag, beyond_64k_is_refused)
{
    struct env *e = env_net(NULL);

    cr_assert_eq(frag(e, 9, 65512, 65512 + 8, false), IP_DONE); /* ends at 65520 + 20 */
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 1);
    cr_assert_eq(e->sh->frag->held, 0);
}

Test(frag, duplicates_are_harmless)
{
    struct env *e = env_net(NULL);

    fill();
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(frag(e, 9, 0, 800, true), IP_DONE);
    cr_assert_eq(frag(e, 9, 1600, 2000, false), IP_DONE);
    cr_assert_eq(frag(e, 9, 1600, 2000, false), IP_DONE);
    whole(e, frag(e, 9, 800, 1600, true), 2000);
}

Test(frag, any_overlap_discards_the_datagram)
{
    static const struct {
        size_t from, to;
    } second[] = {{792, 1600}, {0, 808}, {8, 16}, {0, 792}, {792, 800}};
    struct env *e = env_net(NULL);

    for (unsigned i = 0; i < sizeof second / sizeof second[0]; i++) {
        frag(e, 9, 0, 800, true);
        cr_assert_eq(e->sh->frag->held, 1);
        cr_assert_eq(frag(e, 9, second[i].from, second[i].to, true), IP_DONE);
        cr_assert_eq(e->sh->frag->held, 0, "overlap %u", i);
    }
    /* Before what is there: [400, 900) meets [800, 1600). */
    frag(e, 9, 800, 1600, true);
    frag(e, 9, 400, 904, true);
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 6);
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, ends_that_disagree_discard_the_datagram)
{
    struct env *e = env_net(NULL);

    frag(e, 9, 800, 1000, false);
    frag(e, 9, 1600, 1700, false); /* a second end */
    cr_assert_eq(e->sh->frag->held, 0);
    frag(e, 9, 1600, 2400, true);
    frag(e, 9, 800, 1000, false); /* an end before what is there */
    cr_assert_eq(e->sh->frag->held, 0);
    frag(e, 9, 800, 1000, false);
    frag(e, 9, 1000, 1800, true); /* more behind the end */
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, odd_lengths_and_empty_ones)
{
    struct env *e = env_net(NULL);

    frag(e, 9, 0, 801, true); /* not a multiple of 8, and more to come */
    frag(e, 9, 800, 800, true);
    frag(e, 9, 800, 800, false);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 3);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, datagrams_are_told_apart)
{
    struct env *e = env_net(NULL);
    struct env_ip other = {.src = ENV_OTHER_IP, .proto = IPPROTO_UDP, .id = 9, .off = 100};
    struct env_ip proto = {.proto = 99, .id = 9, .off = 100};

    fill();
    frag(e, 9, 0, 800, true);
    cr_assert_eq(env_input(e, env_ip4(e, &other, bytes, 100)), IP_DONE);
    cr_assert_eq(env_input(e, env_ip4(e, &proto, bytes, 100)), IP_DONE);
    cr_assert_eq(frag(e, 10, 800, 900, false), IP_DONE);
    cr_assert_eq(frag(e, 9, 800, 900, false), IP_TRANSPORT);
    env_done(e);
}

Test(frag, time_out_frees_and_reports_when_the_first_is_here)
{
    struct env *e = env_net(NULL);

    fill();
    frag(e, 1, 0, 800, true);
    frag(e, 2, 800, 1600, true);
    env_advance_ms(e, 29000);
    cr_assert_eq(e->sh->frag->held, 2);
    env_advance_ms(e, 2000);
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 2);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_TIMEOUT], 2);
    cr_assert_eq(env_tx_count(e), 1);
    cr_assert(env_seen(e, &s));
    cr_assert_eq(s.l4[0], ICMP_T_TIME_EXCEEDED);
    cr_assert_eq(s.l4[1], ICMP_C_FRAG_TIME);
    cr_assert_eq(((const struct ip4_hdr *)s.data)->id_be, htons(1));
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, too_many_datagrams_evict_the_oldest)
{
    struct env *e = env_net(NULL);

    fill();
    for (unsigned i = 0; i < FRAG_QUEUES + 10; i++)
        frag(e, (uint16_t)(i + 1), 0, 800, true);
    cr_assert_eq(e->sh->frag->v[0].n, FRAG_QUEUES);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 10);
    cr_assert_eq(frag(e, 5, 800, 900, false), IP_DONE); /* evicted: starts anew */
    cr_assert_eq(frag(e, 200, 800, 900, false), IP_TRANSPORT);
    env_done(e);
}

Test(frag, too_many_fragments_of_one)
{
    struct env *e = env_net(NULL);

    for (unsigned i = 0; i < FRAG_PER_Q + 1; i++)
        frag(e, 7, i * 16, i * 16 + 8, true);
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(env_leaks(e), 0);
}

static void small(struct tunables *set)
{
    set->ipfrag_high_thresh = 256 * 1024;
}

static void off(struct tunables *set)
{
    set->ipfrag_high_thresh = 0;
}

/* A flood of tiny fragments from many sources: whole buffers count, and what is held stays flat. */
Test(frag, flood_from_many_sources)
{
    struct env *e = env_net(&(struct env_config){.tune = small});
    const struct frag_family *v;
    uint64_t top = 0;
    uint32_t held_top = 0;

    v = &e->sh->frag->v[0];
    for (uint32_t i = 0; i < 20000; i++) {
        struct env_ip ip = {.src = htonl(0xcb007100u + i % 7000), .proto = IPPROTO_UDP, .id = (uint16_t)i};

        ip.off = (uint16_t)(i % 61 * 2 | IP4_MF);
        cr_assert_eq(env_input(e, env_ip4(e, &ip, bytes, 8)), IP_DONE);
        top = RTE_MAX(top, v->mem);
        held_top = RTE_MAX(held_top, e->sh->frag->held);
    }
    cr_assert_leq(top, 256 * 1024);
    cr_assert_gt(top, 250 * 1024, "the limit was reached: %lu", top);
    cr_assert_lt(held_top, 256 * 1024 / PKT_DATA_ROOM);
    cr_assert_leq((uint32_t)env_leaks(e), e->sh->frag->held);
    cr_assert_gt(e->sh->count[COUNT_IP_REASM_FAIL], 19000);
    /* A datagram whose fragments follow each other comes through all the same. */
    fill();
    frag(e, 9, 0, 800, true);
    cr_assert_eq(frag(e, 9, 800, 900, false), IP_TRANSPORT);
    env_done(e);
    env_advance_ms(e, 31000);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(v->n, 0);
    cr_assert_eq(v->mem, 0);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(frag, the_oldest_goes_first)
{
    struct env *e = env_net(&(struct env_config){.tune = small});
    uint16_t id = 1;

    fill();
    while (e->sh->count[COUNT_IP_REASM_FAIL] == 0)
        frag(e, id++, 0, 800, true);
    cr_assert_eq(frag(e, 2, 800, 900, false), IP_TRANSPORT, "the second oldest is here");
    env_done(e);
    cr_assert_eq(frag(e, 1, 800, 900, false), IP_DONE, "the oldest is not");
}

/* One datagram of more than the limit cannot be: it goes itself. */
Test(frag, one_datagram_beyond_the_limit)
{
    struct env *e = env_net(&(struct env_config){.tune = small});

    for (unsigned i = 0; i < FRAG_PER_Q; i++)
        frag(e, 7, i * 16, i * 16 + 8, true);
    cr_assert_leq(e->sh->frag->v[0].mem, 256 * 1024);
    cr_assert_eq(e->sh->frag->v[0].n, 1, "what came after it started anew");
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 1);
    cr_assert_eq((uint32_t)env_leaks(e), e->sh->frag->held);
}

Test(frag, no_reassembly)
{
    struct env *e = env_net(&(struct env_config){.tune = off});

    cr_assert_eq(frag(e, 9, 0, 800, true), IP_DONE);
    cr_assert_eq(frag(e, 9, 800, 900, false), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 2);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* The ping of death: offsets up to 65528, the last fragment reaching beyond what a datagram can be. */
Test(frag, ping_of_death)
{
    struct env *e = env_net(NULL);
    unsigned fails;

    for (size_t at = 0; at < 65120; at += 1480)
        cr_assert_eq(frag(e, 9, at, at + 1480, true), IP_DONE);
    fails = (unsigned)e->sh->count[COUNT_IP_REASM_FAIL];
    cr_assert_eq(fails, 0);
    cr_assert_eq(frag(e, 9, 65120, 65120 + 1008, false), IP_DONE);
    cr_assert_eq(frag(e, 9, 65528, 65528 + 8, false), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 2);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_OK], 0);
    env_advance_ms(e, 31000);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

/* The datagram fits in 64 KiB behind 20 bytes of header, but not behind those of the first fragment. */
Test(frag, too_long_with_the_first_headers)
{
    static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct env_ip first = {.proto = IPPROTO_UDP, .id = 9, .off = IP4_MF, .opts = nops, .opts_len = 40};
    struct env *e = env_net(NULL);

    for (size_t at = 1480; at < 65515; at += 1480)
        frag(e, 9, at, RTE_MIN(at + 1480, (size_t)65515), at + 1480 < 65515);
    cr_assert_eq(env_input(e, env_ip4(e, &first, bytes, 1480)), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 1);
    cr_assert_eq(e->sh->frag->held, 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* RFC 1858: a first fragment too short for its transport's header is joined before anybody looks at it, and a
 * second one that would write over that header (an offset of 8) is an overlap. */
Test(frag, tiny_first_fragment)
{
    struct env *e = env_net(NULL);

    fill();
    frag(e, 9, 0, 8, true);
    whole(e, frag(e, 9, 8, 40, false), 40);
    frag(e, 10, 0, 24, true);
    cr_assert_eq(frag(e, 10, 8, 40, false), IP_DONE);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_OVERLAP], 1);
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 1);
    cr_assert_eq(env_leaks(e), 0);
}

/* The reference: what is known of a datagram of at most 32 units of 8 bytes, and whose fragment each is of.
 */
struct model {
    uint32_t have;     /* bit a unit */
    unsigned end;      /* in units, 0: not known */
    uint8_t owner[32]; /* the fragment that brought the unit */
    uint8_t len[32];   /* of the fragment that starts here, 0: none */
};

enum model_says { KEPT, WHOLE, GONE };

static enum model_says model_add(struct model *d, unsigned from, unsigned n, bool more, uint8_t mark)
{
    uint32_t bits = (uint32_t)((1ULL << n) - 1) << from, all;
    unsigned end = from + n;

    if (d->len[from] == n)
        return KEPT; /* a duplicate, whatever it says of the end */
    if (d->have & bits)
        return GONE;
    if (more ? d->end && end >= d->end : (d->end && d->end != end) || (uint64_t)d->have >> end)
        return GONE;
    if (!more)
        d->end = end;
    d->have |= bits;
    d->len[from] = (uint8_t)n;
    memset(d->owner + from, mark, n);
    all = (uint32_t)((1ULL << d->end) - 1);
    return d->end && d->have == all ? WHOLE : KEPT;
}

/* Random fragments, most of them of use, some duplicates, overlaps, ends that disagree: what the reference
 * says, byte by byte. */
Test(frag, random_fragments)
{
    static const struct model none;
    struct env *e = env_net(NULL);
    struct model d[4] = {none};
    unsigned wholes = 0, gone = 0;

    srand(7);
    for (unsigned i = 0; i < 60000; i++) {
        unsigned k = (unsigned)rand() % 4, from = (unsigned)rand() % 8 * 2, n = 2 + (rand() % 16 == 0);
        bool more = from + n < 16 && rand() % 64;
        struct env_ip ip = {.proto = IPPROTO_UDP, .id = (uint16_t)(k + 1)};
        uint8_t data[8 * 3], mark = (uint8_t)rand();
        enum ip_verdict v;

        memset(data, mark, sizeof data);
        ip.off = (uint16_t)(from | (more ? IP4_MF : 0));
        if (from == 0 && !more)
            continue; /* no fragment */
        v = env_input(e, env_ip4(e, &ip, data, n * 8));
        switch (model_add(&d[k], from, n, more, mark)) {
        case KEPT:
            cr_assert_eq(v, IP_DONE);
            continue;
        case WHOLE:
            cr_assert_eq(v, IP_TRANSPORT, "fragment %u", i);
            cr_assert_eq(e->m->pkt_len, d[k].end * 8);
            cr_assert(pkt_read(e->m, 0, e->m->pkt_len, s.raw));
            for (unsigned b = 0; b < e->m->pkt_len; b++)
                cr_assert_eq(s.raw[b], d[k].owner[b / 8]);
            env_done(e);
            wholes++;
            break;
        case GONE:
            cr_assert_eq(v, IP_DONE);
            gone++;
            break;
        }
        d[k] = none;
        cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], gone, "fragment %u", i);
    }
    cr_assert_gt(wholes, 200);
    cr_assert_gt(gone, 200);
}

/* RFC 3168 section 5.3. */
Test(frag, ecn_of_the_fragments)
{
    static const struct {
        uint8_t a, b;
        int want; /* -1: dropped */
    } c[] = {{0, 0, 0}, {2, 2, 2}, {2, 3, 3}, {3, 1, 3}, {1, 1, 1}, {0, 3, -1}, {2, 0, -1}};
    struct env *e = env_net(NULL);

    fill();
    for (unsigned i = 0; i < sizeof c / sizeof c[0]; i++) {
        struct env_ip a = {.proto = IPPROTO_UDP, .id = 9, .off = IP4_MF, .tos = c[i].a | 0x28};
        struct env_ip b = {.proto = IPPROTO_UDP, .id = 9, .off = 2, .tos = c[i].b | 0x28};

        env_input(e, env_ip4(e, &b, bytes + 16, 16));
        if (c[i].want < 0) {
            cr_assert_eq(env_input(e, env_ip4(e, &a, bytes, 16)), IP_DONE, "case %u", i);
            continue;
        }
        whole(e, env_input(e, env_ip4(e, &a, bytes, 16)), 32);
        cr_assert_eq(e->ri.tos, c[i].want | 0x28, "case %u", i);
    }
    cr_assert_eq(e->sh->count[COUNT_IP_REASM_FAIL], 2);
    cr_assert_eq(env_leaks(e), 0);
}

/* Fragments that arrive as chains, with headers of different lengths. */
Test(frag, chains_and_options)
{
    static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
    struct env *e = env_net(NULL);
    struct env_ip a = {.proto = IPPROTO_UDP, .id = 3, .off = IP4_MF, .opts = nops, .opts_len = 12};
    struct env_ip b = {.proto = IPPROTO_UDP, .id = 3, .off = 100};
    static uint8_t frame[2048];
    size_t n;

    fill();
    n = env_ip4_bytes(frame, &b, bytes + 800, 700);
    cr_assert_eq(env_input(e, env_frame_chain(e, frame, n, 34)), IP_DONE);
    n = env_ip4_bytes(frame, &a, bytes, 800);
    whole(e, env_input(e, env_frame_chain(e, frame, n, 20)), 1500);
}

Test(frag, mended_queues_are_empty)
{
    struct env *e = env_net(NULL);
    struct frag_table *t = e->sh->frag;

    fill();
    for (uint16_t id = 1; id < 5; id++)
        frag(e, id, 0, 800, true);
    t->v[0].age.next->next->prev = NULL; /* killed while it linked one */
    frag_mend(e->sh);
    cr_assert_eq(e->sh->wheel.armed, 0);
    cr_assert_eq(t->slab.in_use, 0);
    cr_assert_eq(t->held, 0);
    cr_assert_eq(frag(e, 1, 800, 1600, false), IP_DONE); /* what came before is lost */
    cr_assert_eq(frag(e, 9, 0, 800, true), IP_DONE);
    cr_assert_eq(frag(e, 9, 800, 1600, false), IP_TRANSPORT);
    env_done(e);
    env_advance_ms(e, 60000);
    cr_assert_eq(t->slab.in_use, 0);
}
