/* test_wire_tcp.c: TCP header and option parsing and emission, hostile input included. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../stack/wire_tcp.h"

static struct tcp_opts parse(const uint8_t *p, size_t n, bool syn)
{
    struct tcp_opts o;

    memset(&o, 0xa5, sizeof o);
    wire_tcp_parse_opts(p, n, syn, &o);
    return o;
}

/* A copy of n bytes that ends at an unmapped page: a read beyond is a crash. */
static uint8_t *fenced(const void *p, size_t n)
{
    static uint8_t *page;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);

    if (!page) {
        page = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(page, MAP_FAILED);
        mprotect(page + size, size, PROT_NONE);
    }
    return memcpy(page + size - n, p, n);
}

Test(wire_tcp, header_round_trip)
{
    struct tcp_hdr_in in = {.sport_be = 0x1234,
                            .dport_be = 0x5678,
                            .seq = 0xdeadbeef,
                            .ack = 0x01020304,
                            .window = 65535,
                            .urgent = 7,
                            .flags = TCP_ACK | TCP_PSH | TCP_CWR,
                            .hlen = 32},
                      out;
    uint8_t p[32] = {0};

    memset(&out, 0, sizeof out);
    cr_assert_eq(wire_tcp_emit(p, &in), 20);
    cr_assert_eq(wire_tcp_parse(p, 32, &out), 32);
    cr_assert_eq(out.sport_be, in.sport_be);
    cr_assert_eq(out.dport_be, in.dport_be);
    cr_assert_eq(out.seq, in.seq);
    cr_assert_eq(out.ack, in.ack);
    cr_assert_eq(out.window, in.window);
    cr_assert_eq(out.urgent, in.urgent);
    cr_assert_eq(out.flags, in.flags);
    cr_assert_eq(out.hlen, 32);
    cr_assert_eq(p[16] | p[17], 0);
    cr_assert_eq(p[4], 0xde); /* network order */
}

Test(wire_tcp, header_too_short)
{
    struct tcp_hdr_in h;
    uint8_t p[60] = {0};

    p[12] = 5 << 4;
    for (size_t n = 0; n < 20; n++)
        cr_assert_eq(wire_tcp_parse(fenced(p, n), n, &h), -1);
    cr_assert_eq(wire_tcp_parse(p, 20, &h), 20);
    p[12] = 4 << 4;
    cr_assert_eq(wire_tcp_parse(p, 60, &h), -1);
    p[12] = 15 << 4;
    cr_assert_eq(wire_tcp_parse(p, 59, &h), -1);
    cr_assert_eq(wire_tcp_parse(p, 60, &h), 60);
}

Test(wire_tcp, opts_of_a_linux_syn)
{
    static const uint8_t p[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    struct tcp_opts o = parse(p, sizeof p, true);

    cr_assert_eq(o.mss, 1460);
    cr_assert(o.sack_permitted);
    cr_assert(o.has_ts);
    cr_assert_eq(o.tsval, 1);
    cr_assert_eq(o.tsecr, 0);
    cr_assert(o.has_wscale);
    cr_assert_eq(o.wscale, 7);
    cr_assert_eq(o.fastopen_len, -1);
    cr_assert_null(o.md5);
    /* What belongs to a SYN does not count elsewhere. */
    o = parse(p, sizeof p, false);
    cr_assert_eq(o.mss, 0);
    cr_assert_not(o.sack_permitted);
    cr_assert_not(o.has_wscale);
    cr_assert(o.has_ts);
}

Test(wire_tcp, opts_only_timestamps)
{
    static const uint8_t p[] = {1, 1, 8, 10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    struct tcp_opts o = parse(p, sizeof p, false);
    uint32_t val, ecr;

    cr_assert(o.has_ts);
    cr_assert_eq(o.tsval, 0x11223344);
    cr_assert_eq(o.tsecr, 0x55667788);
    cr_assert(wire_tcp_only_ts(p, 12, &val, &ecr));
    cr_assert_not(wire_tcp_only_ts(p, 11, &val, &ecr));
}

Test(wire_tcp, opts_sack_blocks)
{
    uint8_t p[40] = {1, 1, 5, 34};
    struct tcp_opts o;

    for (unsigned i = 0; i < 32; i++)
        p[4 + i] = (uint8_t)i;
    o = parse(p, 36, false);
    cr_assert_eq(o.nsack, 4);
    cr_assert_eq(o.sack[0].left, 0x00010203);
    cr_assert_eq(o.sack[3].right, 0x1c1d1e1f);
    cr_assert_eq(parse(p, 36, true).nsack, 0); /* no SACK in a SYN */
    p[3] = 33;                                 /* not a multiple of 8 plus 2 */
    cr_assert_eq(parse(p, 36, false).nsack, 0);
    p[3] = 2;
    cr_assert_eq(parse(p, 4, false).nsack, 0);
}

Test(wire_tcp, opts_wrong_lengths_are_ignored_and_passed_over)
{
    static const uint8_t p[] = {2, 3, 9, 3, 4, 1, 1, 4, 3, 0, 8, 4, 0, 0, 2, 4, 2, 0};
    struct tcp_opts o = parse(p, sizeof p, true);

    cr_assert_not(o.has_wscale);
    cr_assert_not(o.sack_permitted);
    cr_assert_not(o.has_ts);
    cr_assert_eq(o.mss, 512, "what follows still counts");
}

Test(wire_tcp, opts_that_lead_nowhere_end_the_parsing)
{
    static const uint8_t zero[] = {3, 3, 5, 99, 0, 2, 4, 2, 0};
    static const uint8_t one[] = {3, 3, 5, 99, 1, 2, 4, 2, 0};
    static const uint8_t beyond[] = {3, 3, 5, 2, 9, 2, 0};
    static const uint8_t alone[] = {3, 3, 5, 2};
    static const uint8_t eol[] = {3, 3, 5, 0, 2, 4, 2, 0};

    cr_assert_eq(parse(zero, sizeof zero, true).mss, 0);
    cr_assert_eq(parse(one, sizeof one, true).mss, 0);
    cr_assert_eq(parse(beyond, sizeof beyond, true).mss, 0);
    cr_assert_eq(parse(alone, sizeof alone, true).mss, 0);
    cr_assert_eq(parse(eol, sizeof eol, true).mss, 0);
    cr_assert_eq(parse(eol, sizeof eol, true).wscale, 5, "what came before counts");
}

Test(wire_tcp, opts_window_scale_is_bounded)
{
    static const uint8_t p[] = {3, 3, 200};

    cr_assert_eq(parse(p, 3, true).wscale, 14); /* RFC 7323 section 2.3 */
}

Test(wire_tcp, opts_fastopen_and_md5)
{
    uint8_t p[40] = {34, 2, 19, 18};
    struct tcp_opts o = parse(p, 20, true);

    cr_assert_eq(o.fastopen_len, 0);
    cr_assert_eq(o.md5, p + 4);
    p[1] = 10;
    o = parse(p, 10, true);
    cr_assert_eq(o.fastopen_len, 8);
    cr_assert_eq(o.fastopen, p + 2);
    cr_assert_eq(parse(p, 10, false).fastopen_len, -1);
    p[1] = 5; /* an odd cookie */
    cr_assert_eq(parse(p, 5, true).fastopen_len, -1);
    p[1] = 4; /* two bytes */
    cr_assert_eq(parse(p, 4, true).fastopen_len, -1);
}

Test(wire_tcp, opts_random_bytes_stay_inside)
{
    uint8_t p[40];

    srand(5);
    for (unsigned i = 0; i < 300000; i++) {
        size_t n = (size_t)rand() % 41;

        for (size_t k = 0; k < n; k++) /* mostly bytes that look like options */
            p[k] = (uint8_t)(rand() % 4 ? rand() % 12 : rand());
        struct tcp_opts o = parse(fenced(p, n), n, rand() & 1);
        cr_assert_leq(o.nsack, TCP_SACK_MAX);
        cr_assert_leq(o.wscale, 14);
    }
}

Test(wire_tcp, emit_layouts)
{
    static const uint8_t syn[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8, 1, 3, 3, 7};
    static const uint8_t sack[] = {1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    struct tcp_opts o = {.mss = 1460,
                         .has_wscale = 1,
                         .wscale = 7,
                         .has_ts = 1,
                         .tsval = 9,
                         .tsecr = 8,
                         .sack_permitted = 1,
                         .fastopen_len = -1};
    uint8_t p[40];

    cr_assert_eq(wire_tcp_emit_opts(p, &o), sizeof syn);
    cr_assert_arr_eq(p, syn, sizeof syn);
    o = (struct tcp_opts){
        .has_ts = 1, .tsval = 9, .tsecr = 8, .nsack = 1, .sack = {{1, 2}}, .fastopen_len = -1};
    cr_assert_eq(wire_tcp_emit_opts(p, &o), sizeof sack);
    cr_assert_arr_eq(p, sack, sizeof sack);
    o = (struct tcp_opts){.fastopen_len = -1};
    cr_assert_eq(wire_tcp_emit_opts(p, &o), 0);
}

/* Whatever is asked for, what comes out fits, is padded, and reads back as asked or without what had no room.
 */
Test(wire_tcp, emit_and_parse_agree)
{
    uint8_t cookie[16] = {1, 2, 3}, md5[16] = {9}, p[TCP_OPTS_MAX_LEN];

    for (unsigned bits = 0; bits < 64; bits++) {
        for (unsigned n = 0; n <= TCP_SACK_MAX; n++) {
            bool syn = n == 0;
            struct tcp_opts in = {.fastopen_len = -1}, out;
            size_t len;

            if (bits & 1 && syn)
                in.mss = 1460;
            if (bits & 2 && syn) {
                in.has_wscale = 1;
                in.wscale = 9;
            }
            if (bits & 4) {
                in.has_ts = 1;
                in.tsval = 0x12345678;
            }
            if (bits & 8 && syn)
                in.sack_permitted = 1;
            if (bits & 16)
                in.md5 = md5;
            if (bits & 32 && syn) {
                in.fastopen = cookie;
                in.fastopen_len = 8;
            }
            in.nsack = (uint8_t)n;
            len = wire_tcp_emit_opts(p, &in);
            cr_assert_leq(len, TCP_OPTS_MAX_LEN);
            cr_assert_eq(len % 4, 0);
            out = parse(fenced(p, len), len, syn);
            cr_assert_eq(out.mss, in.mss);
            cr_assert_eq(out.has_wscale, in.has_wscale);
            cr_assert_eq(out.has_ts, in.has_ts);
            cr_assert_eq(out.tsval, in.tsval);
            cr_assert_eq(out.sack_permitted, in.sack_permitted);
            cr_assert_eq(out.md5 != NULL, in.md5 != NULL);
            cr_assert_leq(out.nsack, in.nsack);
            if (n && !(bits & 16))
                cr_assert_eq(out.nsack, (bits & 4) && n == 4 ? 3 : n); /* RFC 2018 section 3 */
            if (!(bits & 16))
                cr_assert_eq(out.fastopen_len, in.fastopen_len);
        }
    }
}
