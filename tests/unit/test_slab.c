/* test_slab.c: slabs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

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
