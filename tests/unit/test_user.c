/* test_user.c: copies from and to memory that is not there fail instead of crashing. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../../stack/user.h"

static __thread void *landing;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    if (!user_fault(context))
        abort();
}

/* Two pages, the second of which can't be touched. */
static char *page_and_hole(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *tp;

    cr_assert_neq(p, MAP_FAILED);
    cr_assert_eq(mprotect(p + 4096, 4096, PROT_NONE), 0);
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    __asm__("mov %%fs:0, %0" : "=r"(tp));
    user_init((char *)&landing - tp);
    return p;
}

Test(user, copy)
{
    char *p = page_and_hole(), b[4096] = {1};

    for (int i = 0; i < 100; i++) {
        cr_assert(user_copy(p, b, 4096));
        cr_assert_not(user_copy(p + 1, b, 4096), "into the hole");
        cr_assert_not(user_copy(b, p + 4000, 97), "out of it");
        cr_assert_not(user_copy(b, NULL, 1));
        cr_assert_not(user_copy(b, (void *)0x8000000000000000, 1), "no address at all");
        cr_assert(user_copy(NULL, NULL, 0));
    }
    cr_assert_eq(p[0], 1);
    cr_assert_null(landing);
}

Test(user, touch)
{
    char *p = page_and_hole();

    p[4095] = 7;
    cr_assert(user_readable(p, 4096) && user_writable(p, 4096));
    cr_assert(user_readable(NULL, 0) && user_writable(NULL, 0));
    cr_assert_not(user_readable(p, 4097));
    cr_assert_not(user_writable(p + 4095, 2));
    cr_assert_not(user_readable(p, (size_t)-1), "past the end of memory");
    mprotect(p, 4096, PROT_READ);
    cr_assert(user_readable(p, 4096));
    cr_assert_not(user_writable(p, 1));
    cr_assert_eq(p[4095], 7);
}

Test(user, other_faults_stay, .signal = SIGABRT)
{
    char *p = page_and_hole();

    p[4096] = 1;
}
