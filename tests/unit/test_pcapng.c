/* test_pcapng.c: the bytes of each block. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../stack/pcapng.h"

static uint8_t buf[512];

static uint32_t at32(size_t i)
{
    uint32_t v;

    memcpy(&v, buf + i, 4);
    return v;
}

/* What all blocks have: a type, and the length before and behind. */
static void is_block(size_t n, uint32_t type)
{
    cr_assert_gt(n, 12);
    cr_assert_eq(n % 4, 0);
    cr_assert_eq(at32(0), type);
    cr_assert_eq(at32(4), n);
    cr_assert_eq(at32(n - 4), n);
}

Test(pcapng, section)
{
    size_t n = pcapng_section(buf, sizeof buf, "shunt");

    is_block(n, 0x0a0d0d0a);
    cr_assert_eq(at32(8), 0x1a2b3c4d);
    cr_assert_eq(at32(12), 1);                          /* version 1.0 */
    cr_assert_eq(at32(24), 4 | 5 << 16);                /* shb_userappl, 5 bytes */
    cr_assert(memcmp(buf + 28, "shunt\0\0\0", 8) == 0); /* padded */
    cr_assert_eq(at32(36), 0);                          /* end of options */
}

Test(pcapng, interface)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    size_t n = pcapng_interface(buf, sizeof buf, "tap0", "tap:s0", mac, 96);

    is_block(n, 1);
    cr_assert_eq(at32(8), 1); /* Ethernet */
    cr_assert_eq(at32(12), 96);
    cr_assert_eq(at32(16), 2 | 4 << 16);
    cr_assert(memcmp(buf + 20, "tap0", 4) == 0);
    cr_assert_eq(at32(24), 3 | 6 << 16);
    cr_assert(memcmp(buf + 28, "tap:s0\0\0", 8) == 0);
    cr_assert_eq(at32(36), 6 | 6 << 16);
    cr_assert(memcmp(buf + 40, mac, 6) == 0);
    cr_assert_eq(at32(48), 9 | 1 << 16);
    cr_assert_eq(buf[52], 9);
}

Test(pcapng, packet_with_all)
{
    struct pcapng_frame f = {.interface = 1,
                             .ns = 0x123456789abcdef0,
                             .len = 1514,
                             .caplen = 5,
                             .direction = PCAPNG_IN,
                             .cast = PCAPNG_UNICAST,
                             .lost = 3,
                             .comment = "dropped: X"};
    uint8_t *data;
    size_t n = pcapng_packet(buf, sizeof buf, &f, &data);

    is_block(n, 6);
    cr_assert_eq(at32(8), 1);
    cr_assert_eq(at32(12), 0x12345678);
    cr_assert_eq(at32(16), 0x9abcdef0);
    cr_assert_eq(at32(20), 5);
    cr_assert_eq(at32(24), 1514);
    cr_assert_eq(data, buf + 28);
    cr_assert_eq(at32(36), 1 | 10 << 16); /* comment */
    cr_assert(memcmp(buf + 40, "dropped: X\0\0", 12) == 0);
    cr_assert_eq(at32(52), 2 | 4 << 16); /* epb_flags: inbound, unicast */
    cr_assert_eq(at32(56), 1 | 1 << 2);
    cr_assert_eq(at32(60), 4 | 8 << 16); /* epb_dropcount */
    cr_assert_eq(at32(64), 3);
}

Test(pcapng, plain_packet_and_statistics)
{
    struct pcapng_counts c = {.captured = 7, .dropped = 2, .lost = 1};
    struct pcapng_frame f = {.len = 4, .caplen = 4};
    uint8_t *data;
    size_t n = pcapng_packet(buf, sizeof buf, &f, &data);

    is_block(n, 6);
    cr_assert_eq(n, 28 + 4 + 4 + 4);
    n = pcapng_statistics(buf, sizeof buf, 1, 5, &c);
    is_block(n, 5);
    cr_assert_eq(at32(20), 4 | 8 << 16);
    cr_assert_eq(at32(24), 7);
    cr_assert_eq(at32(36), 2);
    cr_assert_eq(at32(48), 1);
}

Test(pcapng, what_does_not_fit_writes_nothing_beyond)
{
    struct pcapng_frame f = {.len = 100, .caplen = 100, .comment = "why"};
    uint8_t *data;
    size_t whole = pcapng_packet(buf, sizeof buf, &f, &data);

    for (size_t room = 0; room < whole; room++) {
        memset(buf, 0xee, sizeof buf);
        cr_assert_eq(pcapng_packet(buf, room, &f, &data), 0);
        for (size_t i = room; i < sizeof buf; i++)
            cr_assert_eq(buf[i], 0xee);
    }
}
