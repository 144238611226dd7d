/* test_slab.c: slabs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../../stack/slab.h"

Test(slab, alloc_free_and_reuse)
{
    struct seg *seg;
    struct slab s;
    char *obj[10], *last;

    cr_assert_eq(seg_create("test", &seg), 0);
    cr_assert_eq(slab_init(&s, seg, 100, 10), 0);
    cr_assert_eq(s.size, 128);
    for (unsigned i = 0; i < 10; i++) {
        obj[i] = slab_alloc(&s);
        cr_assert_not_null(obj[i]);
        cr_assert_eq(slab_index(&s, obj[i]), i);
        cr_assert_eq(slab_at(&s, i), obj[i]);
        memset(obj[i], 0xee, 128);
    }
    cr_assert_null(slab_alloc(&s));
    cr_assert_eq(s.in_use, 10);
    slab_free(&s, obj[3]);
    slab_free(&s, obj[7]);
    last = slab_alloc(&s);
    cr_assert_eq(last, obj[7], "last in, first out");
    for (unsigned i = 0; i < 128; i++)
        cr_assert_eq(last[i], 0, "an object is zeroed each time");
    cr_assert_eq(slab_alloc(&s), obj[3]);
    cr_assert_null(slab_alloc(&s));
}

Test(slab, packed)
{
    struct seg *seg;
    struct slab s;
    char *a, *b;

    cr_assert_eq(seg_create("test", &seg), 0);
    cr_assert_eq(slab_init_packed(&s, seg, 89, 10), 0);
    cr_assert_eq(s.size, 96);
    a = slab_alloc(&s);
    b = slab_alloc(&s);
    cr_assert_eq(b - a, 96);
    cr_assert_eq(slab_index(&s, b), 1);
}

Test(slab, no_room_in_the_segment)
{
    struct seg *seg;
    struct slab s;

    cr_assert_eq(seg_create("test", &seg), 0);
    cr_assert_eq(slab_init(&s, seg, 1 << 20, 1 << 20), -ENOMEM);
}

/* Kilobytes that the segment has. */
static long segment_kb(const struct seg *seg)
{
    struct stat sb;

    cr_assert_eq(fstat(seg->fd, &sb), 0);
    return sb.st_blocks / 2;
}

#define MANY 40000u

static struct slab many_slab(struct seg **seg, char **obj)
{
    struct slab s;

    cr_assert_eq(seg_create("test", seg), 0);
    cr_assert_eq(slab_init(&s, *seg, 128, 2 * MANY), 0);
    for (unsigned i = 0; i < MANY; i++) {
        obj[i] = slab_alloc(&s);
        memset(obj[i], 0xee, 128);
    }
    return s;
}

Test(slab, memory_is_given_back_and_comes_again)
{
    static char *obj[MANY];
    struct seg *seg;
    struct slab s = many_slab(&seg, obj);
    long full_kb = segment_kb(seg);

    for (unsigned i = 10; i < MANY; i++)
        slab_free(&s, obj[i]);
    cr_assert_lt(segment_kb(seg), full_kb / 3);
    cr_assert_gt(s.holes, 0);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(obj[i][100], (char)0xee, "those in use keep their memory");
    /* As many again, each once, zeroed, in the memory of before. */
    for (unsigned i = 10; i < MANY; i++) {
        obj[i] = slab_alloc(&s);
        cr_assert_not_null(obj[i]);
        for (unsigned k = 0; k < 128; k++)
            cr_assert_eq(obj[i][k], 0);
        memset(obj[i], 0xdd, 128);
    }
    cr_assert_eq(s.fresh, MANY);
    cr_assert_eq(s.holes, 0);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(obj[i][100], (char)0xee, "none is handed out twice");
    cr_assert_leq(segment_kb(seg), full_kb + 8); /* its notes on chunks */
}

/* A process was killed while it counted, in a slab that nobody mends: nothing in use is given back for it. */
Test(slab, counts_left_over_mean_nothing)
{
    static char *obj[MANY];
    struct seg *seg;
    struct slab s = many_slab(&seg, obj);

    s.chunk[0] = 10; /* with these all of it seems to be free */
    for (unsigned i = 10; i < MANY; i++)
        slab_free(&s, obj[i]);
    cr_assert_gt(s.holes, 0);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(obj[i][100], (char)0xee);
}

/* Chunks that have one object in use each keep their pages, however many are free. */
Test(slab, chunks_in_use_stay)
{
    static char *obj[MANY];
    struct seg *seg;
    struct slab s = many_slab(&seg, obj);

    for (unsigned i = 0; i < MANY; i++)
        if (i % SLAB_CHUNK)
            slab_free(&s, obj[i]);
    cr_assert_eq(s.holes, 0);
    for (unsigned i = 0; i < MANY; i += SLAB_CHUNK)
        cr_assert_eq(obj[i][100], (char)0xee);
}

static bool is_ee(const void *obj)
{
    return ((const char *)obj)[100] == (char)0xee;
}

Test(slab, mended_with_holes)
{
    static char *obj[MANY];
    struct seg *seg;
    struct slab s = many_slab(&seg, obj);
    uint32_t holes;

    for (unsigned i = 10; i < MANY; i++) {
        memset(obj[i], 0, 128);
        slab_free(&s, obj[i]);
    }
    holes = s.holes;
    s.free = NULL; /* as a process killed in the middle may leave it */
    s.in_use = 77;
    s.chunk[0] = 3;
    slab_mend(&s, is_ee);
    cr_assert_eq(s.in_use, 10);
    cr_assert_eq(s.holes, holes);
    for (unsigned i = 10; i < MANY; i++)
        cr_assert_not_null(slab_alloc(&s));
    cr_assert_eq(s.fresh, MANY);
    cr_assert_eq(s.holes, 0);
}
