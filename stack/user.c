/* user.c: see user.h. */
#include "user.h"

#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define PAGE 4096 /* the smallest there is */

#ifndef __x86_64__
#error "how does a signal handler move a thread on this machine?"
#endif

/* Where a fault lands: registers of the function that is to go on. */
struct pad {
    uint64_t rip, rsp, rbp;
};

/* Where this thread keeps the address of its pad, NULL: a fault is one like any other. A word in the thread's
 * static block, so that the handler can look at it at any time. It is libshunt.so's: a library that is loaded
 * later has no static block of its own. Zero: nobody catches faults. */
static ptrdiff_t landing_offset;

void user_init(ptrdiff_t offset)
{
    landing_offset = offset;
}

static inline char *thread_pointer(void)
{
    char *tp;

    __asm__("mov %%fs:0, %0" : "=r"(tp));
    return tp;
}

static inline void land_at(struct pad *pad)
{
    if (__builtin_expect(landing_offset != 0, 1))
        *(struct pad *volatile *)(void *)(thread_pointer() + landing_offset) = pad;
}

#define barrier() __asm__ volatile("" ::: "memory")

/* Puts out a pad: a fault from here on goes on at the label, as if this had jumped there. To the compiler it
 * may do just that, with every register lost, so that what the label needs is on the stack. (Not
 * __builtin_setjmp: gcc drops its second return where no call stands in between.) The functions that do this
 * are apart from their callers. */
#define PUT_PAD(p, label)                                                                                    \
    do {                                                                                                     \
        __asm__ goto("lea %l[" #label "](%%rip), %%rax\n\t"                                                  \
                     "mov %%rax, %0\n\t"                                                                     \
                     "mov %%rsp, %1\n\t"                                                                     \
                     "mov %%rbp, %2"                                                                         \
                     :                                                                                       \
                     : "m"((p).rip), "m"((p).rsp), "m"((p).rbp)                                              \
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",     \
                       "r14", "r15", "memory", "cc"                                                          \
                     : label);                                                                               \
        land_at(&(p));                                                                                       \
        barrier();                                                                                           \
    } while (0)

/* Not inlined, and left alone by sanitizers, which put locals where a register is needed to reach them: there
 * is none left at a pad. */
#ifdef __clang__
#define PAD_FUNCTION __attribute__((noinline, no_sanitize("address", "undefined", "coverage")))
#else
#define PAD_FUNCTION __attribute__((noinline, no_sanitize("address", "undefined"), no_sanitize_coverage))
#endif

#define TAKE_PAD()                                                                                           \
    do {                                                                                                     \
        barrier();                                                                                           \
        land_at(NULL);                                                                                       \
    } while (0)

PAD_FUNCTION bool user_copy(void *to, const void *from, size_t n)
{
    struct pad pad;

    PUT_PAD(pad, fault);
    memcpy(to, from, n);
    TAKE_PAD();
    return true;
fault: /* user_fault took the pad */
    return false;
}

/* Touches a byte of each page of [p, p + n). */
PAD_FUNCTION static bool touch(uintptr_t p, size_t n, bool write)
{
    struct pad pad;

    if (n == 0)
        return true;
    if (p + n < p)
        return false;
    PUT_PAD(pad, fault);
    for (uintptr_t at = p; at < p + n; at = (at & ~(uintptr_t)(PAGE - 1)) + PAGE) {
        uint8_t was = *(const volatile uint8_t *)at;

        /* Not an addition of nothing, which a compiler makes a load. */
        if (write)
            __atomic_compare_exchange_n((uint8_t *)at, &was, was, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    TAKE_PAD();
    return true;
fault:
    return false;
}

bool user_readable(const void *p, size_t n)
{
    return touch((uintptr_t)p, n, false);
}

bool user_writable(void *p, size_t n)
{
    return touch((uintptr_t)p, n, true);
}

bool user_fault(void *ucontext)
{
    mcontext_t *c = &((ucontext_t *)ucontext)->uc_mcontext;
    const struct pad *pad =
        landing_offset ? *(struct pad *volatile *)(void *)(thread_pointer() + landing_offset) : NULL;

    if (!pad)
        return false;
    land_at(NULL);
    c->gregs[REG_RIP] = (greg_t)pad->rip;
    c->gregs[REG_RSP] = (greg_t)pad->rsp;
    c->gregs[REG_RBP] = (greg_t)pad->rbp;
    c->gregs[REG_EFL] &= ~0x400L; /* the direction flag: up */
    return true;
}
