/* test_rnd.c: the shard's random numbers. */
#include <criterion/criterion.h>

#include "../../stack/rnd.h"

static struct shard a, b;

Test(rnd, reproducible_and_different_by_shard_and_seed)
{
    static const uint8_t seed[16] = {1}, other[16] = {2};

    b.id = 1;
    rnd_seed(&a, seed);
    rnd_seed(&b, seed);
    uint32_t x = rnd_u32(&a), y = rnd_u32(&a);
    cr_assert_neq(x, y);
    cr_assert_neq(x, rnd_u32(&b));
    rnd_seed(&a, seed);
    cr_assert_eq(x, rnd_u32(&a));
    rnd_seed(&a, other);
    cr_assert_neq(x, rnd_u32(&a));
}

Test(rnd, uniform)
{
    static const uint8_t seed[16] = {9};
    unsigned ones[32] = {0}, below[10] = {0};

    rnd_seed(&a, seed);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t v = rnd_u32(&a);

        for (unsigned k = 0; k < 32; k++)
            ones[k] += v >> k & 1;
        below[rnd_below(&a, 10)]++;
    }
    for (unsigned k = 0; k < 32; k++)
        cr_assert(ones[k] > 49000 && ones[k] < 51000, "bit %u: %u", k, ones[k]);
    for (unsigned k = 0; k < 10; k++)
        cr_assert(below[k] > 9500 && below[k] < 10500);
}
