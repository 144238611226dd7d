/* test_seg.c: the segment and the slabs in it, across fork and a second mapping. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/seg.h"
#include "../../stack/slab.h"

static struct seg *seg;

static void setup(void)
{
    cr_assert_eq(seg_create("test", &seg), 0);
}

Test(seg, alloc_is_zeroed_aligned_and_bounded, .init = setup)
{
    char *a = seg_alloc(seg, 10, 1), *b = seg_alloc(seg, 1, 4096), *c;

    cr_assert_not_null(a);
    cr_assert_eq((uintptr_t)b % 4096, 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(a[i], 0);
    cr_assert_null(seg_alloc(seg, 8, 3));
    cr_assert_null(seg_alloc(seg, 8, 8192));
    cr_assert_null(seg_alloc(seg, SEG_BYTES, 1));
    cr_assert_null(seg_alloc(seg, SIZE_MAX, 64));
    c = seg_alloc(seg, SEG_BYTES - seg->used, 1);
    cr_assert_not_null(c);
    cr_assert_null(seg_alloc(seg, 1, 1));
    seg_destroy(seg);
}

Test(seg, shared_by_fork_and_by_attach, .init = setup)
{
    int *p = seg_alloc(seg, sizeof *p, 8), status;
    int fd = dup(seg->fd);
    struct seg *again;

    *p = 1;
    if (fork() == 0) {
        void *where = seg;

        *p = 2;
        if (seg_attach(fd, &again) != -EBUSY) /* it is mapped already */
            _exit(1);
        munmap(seg, seg->bytes);
        if (seg_attach(fd, &again) != 0 || again != where || *p != 2)
            _exit(2);
        *p = 3;
        _exit(0);
    }
    wait(&status);
    cr_assert_eq(status, 0);
    cr_assert_eq(*p, 3);
}

Test(seg, attach_to_something_else)
{
    int fd = memfd_create("other", 0);
    struct seg *s;

    cr_assert_eq(seg_attach(fd, &s), -EPROTO);
    cr_assert_eq(ftruncate(fd, 1 << 20), 0);
    cr_assert_eq(seg_attach(fd, &s), -EPROTO);
    cr_assert_eq(seg_attach(-1, &s), -EBADF);
}

Test(seg, two_at_once)
{
    struct seg *a, *b;

    cr_assert_eq(seg_create("a", &a), 0);
    cr_assert_eq(seg_create("b", &b), 0);
    cr_assert_neq(a, b);
    seg_destroy(b);
    seg_destroy(a);
}
