/* dispatch.c: system calls that never pass libc.
 *
 * Theory of operation. A Go program (and some other runtimes) has its own system call instructions, which no
 * interposer sees. Linux can hand them over: with syscall user dispatch (prctl(2),
 * PR_SET_SYSCALL_USER_DISPATCH) a call from outside of one range of addresses is not made but raises SIGSYS.
 * The range goes from the lowest to the highest of libshunt.so, libc, the dynamic linker and the engine, so
 * that their own calls are made as ever; those of a library that happens to lie between stay unseen.
 *
 * The handler. What is the kernel's alone is made in the handler, by an instruction in the range, and the
 * result put where the program expects it. Signal mask and alternate stack are changed in the frame that the
 * handler returns by, as the return would undo everything else. What may be the stack's cannot be done there:
 * it blocks, needs more stack than a signal's, and handlers of the program must be able to run over it. So
 * the handler copies its frame to a stack of the library's own (a lane) and returns into dispatch_entry
 * there, which calls the interposer as ordinary code and then returns by the copied frame to where the call
 * was made: every register but the result is as it was. A handler of the program may make calls too while one
 * is at work: each depth has a lane of its own.
 *
 * SIGSYS must never be blocked while the program's own code runs (the kernel would end it): masks that the
 * program sets lose it (signals.c, call_signal.c), and its own action for SIGSYS is kept aside.
 *
 * Threads: the kernel's setting is a thread's and is not inherited: pthread_create's start sets it. A child
 * of fork or vfork too. Differs: a thread made by a raw clone is refused (ENOSYS).
 *
 * The same for libc. Where a function of libc makes sockets (the resolver), its thread has a second, narrower
 * setting while it runs: libshunt.so alone makes calls directly, and a byte of the thread (the selector)
 * turns the handing over off while a call of libc's is served, as the interposers use libc themselves. The
 * handler's own return is libc's instruction and so comes in again, as a call to rt_sigreturn.
 *
 * SHUNT_SYSCALL_DISPATCH=1 turns it on, 0 off; without it is on for programs with a Go build id.
 */
#include "dispatch.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include "diag.h"
#include "guard.h"
#include "libc.h"
#include "route.h"
#include "signals.h"
#include "tree.h"
#include "vfork.h"

bool dispatch_on, dispatch_sigsys;

#if defined(__x86_64__)

#define DISPATCH_PRCTL  59 /* PR_SET_SYSCALL_USER_DISPATCH, of Linux 5.11 */
#define DISPATCH_TURNED 1  /* PR_SYS_DISPATCH_ON */
#define DISPATCH_CODE   2  /* SYS_USER_DISPATCH, a si_code */
#define SELECT_DIRECT   0  /* SYSCALL_DISPATCH_FILTER_ALLOW */
#define SELECT_HANDED   1  /* SYSCALL_DISPATCH_FILTER_BLOCK */
#define LANES           4
#define LANE_BYTES      (512u * 1024)
#define KERNEL_UC_BYTES (offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t)) /* the kernel's is shorter */
#define FX_BYTES        512
#define FX_SOFTWARE     464 /* in there: what the kernel says of what follows */
#define FX_MAGIC        0x46505853u

static uintptr_t range_lo, range_hi;

static __thread struct {
    unsigned depth;
    char *lane[LANES];
    unsigned borrowed;      /* dispatch_begin without its end */
    uintptr_t frame;        /* of the outermost of them */
    volatile char selector; /* of the narrow setting: SELECT_* */
} mine __attribute__((tls_model("initial-exec")));

/* A call at work on a lane. */
struct call {
    char uc[KERNEL_UC_BYTES] __attribute__((aligned(16))); /* what it returns by */
    long nr, a[6];
    char selector; /* as it was when the call came */
};

static bool arm(void)
{
    uint64_t sys = 1ull << (SIGSYS - 1);
    raw_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&sys, 0, sizeof(sys), 0, 0);
    return raw_syscall(SYS_prctl, DISPATCH_PRCTL, DISPATCH_TURNED, (long)range_lo,
                       (long)(range_hi - range_lo), 0, 0) == 0;
}

void dispatch_child(void)
{
    if (dispatch_on)
        arm();
}

/* --- a call of the stack's --- */

static _Noreturn void dispatch_return(struct call *c, long r)
{
    uint64_t all = UINT64_MAX;
    char selector = c->selector;
    /* From here on no handler may take this lane: the frame has the mask to go on with. */
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all), 0, 0);
    mine.depth--;
    ((ucontext_t *)c->uc)->uc_mcontext.gregs[REG_RAX] = r;
    mine.selector = selector;
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" /* rt_sigreturn */
                     :
                     : "r"(c->uc)
                     : "memory");
    __builtin_unreachable();
}

static long lane_sigaltstack(struct call *c)
{
    long r = raw_syscall(SYS_sigaltstack, c->a[0], c->a[1], 0, 0, 0, 0);
    raw_syscall(SYS_sigaltstack, 0, (long)&((ucontext_t *)c->uc)->uc_stack, 0, 0, 0, 0);
    return r;
}

/* A vfork by number: the child has this stack too, and goes on first. So the instruction must stand in the
 * frame that both leave by dispatch_return, and the child leaves its parent's lane taken. */
static inline __attribute__((always_inline)) long lane_vfork(const struct call *c)
{
    register long r10 __asm__("r10") = c->a[3];
    register long r8 __asm__("r8") = c->a[4];
    unsigned depth = mine.depth;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(c->nr), "D"(c->a[0]), "S"(c->a[1]), "d"(c->a[2]), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    guard.vforked = r == 0;
    mine.depth =
        r == 0 ? depth + 1 : depth; /* dispatch_return takes one off; the child's exec took one more */
    if (r == 0) {
        vfork_view.n = 0;
        arm();
    }
    return r;
}

static bool is_vfork(long nr, const long a[6])
{
    unsigned long flags = 0;
    if (nr == SYS_vfork)
        return true;
    if (nr == SYS_clone && !a[1])
        flags = (unsigned long)a[0];
    else if (nr == SYS_clone3 && a[0] && ((const uint64_t *)a[0])[5] == 0)
        flags = ((const uint64_t *)a[0])[0];
    return (flags & CLONE_VM) && (flags & CLONE_VFORK) && !(flags & CLONE_SETTLS);
}

__attribute__((used)) static _Noreturn void dispatch_entry(struct call *c)
{
    int saved = errno;
    long r;
    if (is_vfork(c->nr, c->a))
        r = lane_vfork(c);
    else if (c->nr == SYS_sigaltstack)
        r = lane_sigaltstack(c);
    else if (!route_call(c->nr, c->a, &r))
        r = raw_syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
    else if (r == -1)
        r = -errno;
    errno = saved;
    dispatch_return(c, r);
}

/* Bytes of the floating-point state that a signal's frame points at. */
static size_t fp_bytes(const char *fp)
{
    uint32_t magic, size;
    memcpy(&magic, fp + FX_SOFTWARE, sizeof(magic));
    memcpy(&size, fp + FX_SOFTWARE + sizeof(magic), sizeof(size));
    return magic == FX_MAGIC && size > FX_BYTES && size < LANE_BYTES / 4 ? size : FX_BYTES;
}

/* The handler's return goes to dispatch_entry. False: no memory, or too deep. */
static bool enter(ucontext_t *uc, long nr, const long a[6])
{
    if (mine.depth >= LANES)
        return false;
    unsigned d = mine.depth++;
    if (!mine.lane[d]) {
        long m = raw_syscall(SYS_mmap, 0, LANE_BYTES, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (m < 0 && m > -4096) {
            mine.depth--;
            return false;
        }
        mine.lane[d] = (char *)m;
    }
    greg_t *g = uc->uc_mcontext.gregs;
    char *top = mine.lane[d] + LANE_BYTES, *fp = (char *)uc->uc_mcontext.fpregs;
    if (fp) {
        size_t n = fp_bytes(fp);
        top = (char *)((uintptr_t)(top - n) & ~63ul);
        memcpy(top, fp, n);
    }
    struct call *c = (struct call *)((uintptr_t)(top - sizeof(*c)) & ~63ul);
    memcpy(c->uc, uc, KERNEL_UC_BYTES);
    ((ucontext_t *)c->uc)->uc_mcontext.fpregs = fp ? (void *)top : NULL;
    c->nr = nr;
    c->selector = mine.selector;
    mine.selector = SELECT_DIRECT;
    memcpy(c->a, a, sizeof(c->a));
    g[REG_RIP] = (greg_t)dispatch_entry;
    g[REG_RDI] = (greg_t)c;
    g[REG_RSP] = (greg_t)((char *)c - sizeof(long)); /* as after a call */
    g[REG_EFL] &= ~0x400;                            /* the direction flag */
    return true;
}

/* --- calls about the signal frame itself --- */

static uint64_t *frame_mask(ucontext_t *uc)
{
    return (uint64_t *)&uc->uc_sigmask;
}

static long frame_sigprocmask(ucontext_t *uc, const long a[6])
{
    uint64_t *mask = frame_mask(uc), old = *mask, set = 0;
    if (a[3] != sizeof(set))
        return -EINVAL;
    if (a[1]) {
        memcpy(&set, (void *)a[1], sizeof(set));
        set &= ~(1ull << (SIGSYS - 1) | 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
        if (a[0] == SIG_BLOCK)
            *mask = old | set;
        else if (a[0] == SIG_UNBLOCK)
            *mask = old & ~set;
        else if (a[0] == SIG_SETMASK)
            *mask = set;
        else
            return -EINVAL;
    }
    if (a[2])
        memcpy((void *)a[2], &old, sizeof(old));
    return 0;
}

/* A change waits until the handler has left the stack that it may be about. */
static long frame_sigaltstack(ucontext_t *uc, const long a[6], bool *later)
{
    stack_t old = uc->uc_stack;
    uintptr_t sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP], lo = (uintptr_t)old.ss_sp;
    bool none = (old.ss_flags & SS_DISABLE) || old.ss_size == 0;
    bool on = !none && sp > lo && sp - lo <= old.ss_size;
    *later = a[0] && !on;
    if (*later)
        return 0;
    old.ss_flags = none ? SS_DISABLE : on ? SS_ONSTACK : 0;
    if (a[1])
        memcpy((void *)a[1], &old, sizeof(old));
    return a[0] ? -EPERM : 0;
}

static _Noreturn void frame_sigreturn(ucontext_t *uc)
{
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall"
                     :
                     : "r"(uc->uc_mcontext.gregs[REG_RSP])
                     : "memory");
    __builtin_unreachable();
}

/* A clone whose child goes on on another stack cannot be made from here. */
static bool is_raw_thread(long nr, const long a[6])
{
    return (nr == SYS_clone && a[1]) || (nr == SYS_clone3 && a[0] && ((const uint64_t *)a[0])[5]);
}

/* --- functions of libc that a handler left by siglongjmp --- */

static bool within(uintptr_t sp, const void *lo, size_t n)
{
    return lo && sp - (uintptr_t)lo <= n;
}

/* The stack is shorter than when the function began: it will not come back. */
static bool is_gone(uintptr_t sp, const stack_t *alt)
{
    if (mine.borrowed == 0 || sp < mine.frame)
        return false;
    if (alt && !(alt->ss_flags & SS_DISABLE) && within(sp, alt->ss_sp, alt->ss_size))
        return false;
    for (unsigned i = 0; i < LANES; i++)
        if (within(sp, mine.lane[i], LANE_BYTES))
            return false;
    return true;
}

static void give_up(void)
{
    mine.selector = SELECT_DIRECT;
    mine.borrowed = mine.depth = 0;
    if (dispatch_on)
        arm();
    else
        raw_syscall(SYS_prctl, DISPATCH_PRCTL, 0, 0, 0, 0, 0);
}

/* --- the handler --- */

static long serve(ucontext_t *uc, long nr, const long a[6], bool *entered)
{
    bool later = false;
    long r;
    switch (nr) {
    case SYS_rt_sigprocmask:
        return frame_sigprocmask(uc, a);
    case SYS_sigaltstack:
        r = frame_sigaltstack(uc, a, &later);
        if (!later)
            return r;
        break;
    case SYS_rt_sigreturn:
        frame_sigreturn(uc);
    }
    /* A child of vfork resets its actions, of which it has its own, and shares what is noted of its parent's.
     */
    if (nr == SYS_rt_sigaction && a[0] == SIGSYS && guard.vforked)
        return 0;
    if (is_raw_thread(nr, a)) {
        diag_unsupported(UNSUP_RAW_CLONE);
        return -ENOSYS;
    }
    if (!later && !is_vfork(nr, a) && (guard.depth > 0 || !route_wants(nr, a))) {
        r = raw_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (guard.depth > 0 || guard.vforked || !route_again(nr, a, r))
            return r;
    }
    *entered = enter(uc, nr, a);
    return -ENOMEM;
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    int saved = errno;
    if (info->si_code != DISPATCH_CODE) {
        signals_sigsys(info, context);
        return;
    }
    const long a[6] = {g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9]};
    bool entered = false;
    /* What the function calls has its frame two words below that of dispatch_begin at the highest. */
    if (__builtin_expect(is_gone((uintptr_t)g[REG_RSP] - 2 * sizeof(long), &uc->uc_stack), 0))
        give_up();
    long r = serve(uc, info->si_syscall, a, &entered);
    if (!entered)
        g[REG_RAX] = r;
    errno = saved;
}

/* --- threads --- */

struct thread {
    void *(*fn)(void *);
    void *arg;
};

static void lanes_free(void *arg)
{
    for (unsigned i = 0; i < LANES; i++) {
        if (mine.lane[i])
            raw_syscall(SYS_munmap, (long)mine.lane[i], LANE_BYTES, 0, 0, 0, 0);
        mine.lane[i] = NULL;
    }
}

static void *thread_start(void *arg)
{
    struct thread t = *(struct thread *)arg;
    void *r;
    free(arg);
    arm();
    pthread_cleanup_push(lanes_free, NULL);
    r = t.fn(t.arg);
    pthread_cleanup_pop(1);
    return r;
}

int dispatch_thread(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    struct thread *th = malloc(sizeof(*th));
    if (!th)
        return EAGAIN;
    *th = (struct thread){.fn = fn, .arg = arg};
    int r = libc.pthread_create(t, attr, thread_start, th);
    if (r != 0)
        free(th);
    return r;
}

/* --- the start --- */

static bool note_is_go(const char *at, size_t n)
{
    while (n >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *h = (const void *)at;
        size_t name = (h->n_namesz + 3u) & ~3u, len = sizeof(*h) + name + ((h->n_descsz + 3u) & ~3u);
        if (len > n)
            return false;
        if (h->n_namesz == 4 && memcmp(at + sizeof(*h), "Go\0", 4) == 0)
            return true;
        at += len;
        n -= len;
    }
    return false;
}

struct objects {
    unsigned n;
    bool go;   /* the program, which comes first */
    bool libc; /* it needs libraries, and so has libc's threads */
};

static bool needs_libraries(const struct dl_phdr_info *o, const ElfW(Phdr) * ph)
{
    for (const ElfW(Dyn) *d = (const void *)(o->dlpi_addr + ph->p_vaddr); d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_NEEDED)
            return true;
    return false;
}

static bool holds(const struct dl_phdr_info *o, const void *p)
{
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        uintptr_t lo = o->dlpi_addr + o->dlpi_phdr[i].p_vaddr;
        if (o->dlpi_phdr[i].p_type == PT_LOAD && (uintptr_t)p - lo < o->dlpi_phdr[i].p_memsz)
            return true;
    }
    return false;
}

static int look_at_object(struct dl_phdr_info *o, size_t size, void *arg)
{
    struct objects *all = arg;
    bool first = all->n++ == 0;
    for (unsigned i = 0; first && i < o->dlpi_phnum; i++)
        if (o->dlpi_phdr[i].p_type == PT_NOTE &&
            note_is_go((const char *)o->dlpi_addr + o->dlpi_phdr[i].p_vaddr, o->dlpi_phdr[i].p_memsz))
            all->go = true;
    for (unsigned i = 0; first && i < o->dlpi_phnum; i++)
        if (o->dlpi_phdr[i].p_type == PT_DYNAMIC)
            all->libc = needs_libraries(o, &o->dlpi_phdr[i]);
    return first;
}

/* Widens the range over the object that has p. */
static int widen(struct dl_phdr_info *o, size_t size, void *p)
{
    if (!holds(o, p))
        return 0;
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        uintptr_t lo = o->dlpi_addr + o->dlpi_phdr[i].p_vaddr, hi = lo + o->dlpi_phdr[i].p_memsz;
        if (o->dlpi_phdr[i].p_type != PT_LOAD || !(o->dlpi_phdr[i].p_flags & PF_X))
            continue;
        if (range_lo == 0 || lo < range_lo)
            range_lo = lo;
        if (hi > range_hi)
            range_hi = hi;
    }
    return 1;
}

static bool turn_on(const char **why)
{
    struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    void *engine = libc_load("libshunt-engine.so", "shunt_engine_start", why);
    if (!engine)
        return false;
    dl_iterate_phdr(widen, (void *)&range_lo);
    dl_iterate_phdr(widen, (void *)(uintptr_t)getppid); /* of libc's; nobody interposes it */
    dl_iterate_phdr(widen, engine);
    dl_iterate_phdr(widen, (void *)getauxval(AT_BASE)); /* the dynamic linker */
    *why = "this kernel has no syscall user dispatch (Linux 5.11)";
    if (libc.sigaction(SIGSYS, &sa, NULL) < 0 || !arm())
        return false;
    pthread_atfork(NULL, NULL, dispatch_child);
    dispatch_on = true;
    return true;
}

/* --- for a function of libc --- */

static struct {
    uintptr_t lo, hi; /* libshunt.so's code */
} narrow;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void get_ready(void)
{
    struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    uintptr_t lo = range_lo, hi = range_hi;
    range_lo = range_hi = 0;
    dl_iterate_phdr(widen, (void *)&once);
    narrow.lo = range_lo;
    narrow.hi = range_hi;
    range_lo = lo;
    range_hi = hi;
    dispatch_sigsys = true;
    if (!dispatch_on && libc.sigaction(SIGSYS, &sa, NULL) < 0)
        narrow.hi = 0;
}

bool dispatch_resolving(void)
{
    return mine.borrowed > 0;
}

struct dispatch_scope dispatch_begin(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (is_gone(here, NULL))
        give_up();
    struct dispatch_scope s = {.before = mine.selector};
    uint64_t sys = 1ull << (SIGSYS - 1), was = 0;
    pthread_once(&once, get_ready);
    mine.selector = SELECT_DIRECT;
    if (narrow.hi == 0 ||
        (mine.borrowed == 0 && raw_syscall(SYS_prctl, DISPATCH_PRCTL, DISPATCH_TURNED, (long)narrow.lo,
                                           (long)(narrow.hi - narrow.lo), (long)&mine.selector, 0) != 0)) {
        mine.selector = s.before;
        return s;
    }
    raw_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&sys, (long)&was, sizeof(sys), 0, 0);
    s.unmasked = was & sys;
    s.on = true;
    if (mine.borrowed++ == 0)
        mine.frame = here;
    mine.selector = SELECT_HANDED;
    return s;
}

void dispatch_end(struct dispatch_scope *s)
{
    uint64_t sys = 1ull << (SIGSYS - 1);
    if (!s->on)
        return;
    mine.selector = s->before;
    if (--mine.borrowed == 0) {
        if (dispatch_on) {
            arm();
        } else {
            raw_syscall(SYS_prctl, DISPATCH_PRCTL, 0, 0, 0, 0, 0);
            lanes_free(NULL);
        }
    }
    if (s->unmasked)
        raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&sys, 0, sizeof(sys), 0, 0);
}

static void refuse(const char *why)
{
    const char *fallback = tree_setting("SHUNT_FALLBACK");
    bool go_on = fallback && strcmp(fallback, "kernel") == 0;
    diag_line(go_on ? "warn" : "error",
              "this program makes its own system calls, and they cannot be seen: %s%s", why,
              go_on ? "" : ": SHUNT_FALLBACK=kernel runs it on the kernel's sockets");
    if (!go_on)
        raw_syscall(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}

__attribute__((constructor)) static void dispatch_start(void)
{
    struct objects all = {0};
    const char *why = NULL;
    int want = route_setting("SHUNT_SYSCALL_DISPATCH", 2);
    dl_iterate_phdr(look_at_object, &all);
    if (want == 0 && all.go)
        diag_line("warn", "this program makes its own system calls: its sockets are the kernel's "
                          "(SHUNT_SYSCALL_DISPATCH=0)");
    if (want != 1 && (want == 0 || !all.go))
        return;
    if (!all.libc) /* its threads' variables stand where libc's should */
        refuse("it is built without cgo: build it with CGO_ENABLED=1");
    else if (!turn_on(&why))
        refuse(why);
    else
        diag_line("info", "this program makes its own system calls: they are served by syscall dispatch");
}

#else

struct dispatch_scope dispatch_begin(void)
{
    return (struct dispatch_scope){0};
}

void dispatch_end(struct dispatch_scope *s) {}

void dispatch_child(void) {}

int dispatch_thread(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return libc.pthread_create(t, attr, fn, arg);
}

#endif
