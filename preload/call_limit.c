/* call_limit.c: setrlimit, getrlimit, prlimit.
 *
 * Theory of operation. RLIMIT_AS bounds the addresses of a process, and the stack's segment alone takes
 * gigabytes of them, nearly all never touched. A program that limits itself to what it needs (a server before
 * it reads what a stranger sends) must not lose its next mmap to that. So the limit in force is the
 * program's plus what the engine took at its start, and the program is told its own. A limit from before the
 * start is lifted for the start, where that is allowed, and then as the others. */
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "reserve.h"

static rlim_t taken; /* bytes of addresses that the engine took */
static struct rlimit before;
static rlim_t before_size;

static rlim_t shown(rlim_t v)
{
    return v == RLIM_INFINITY || v < taken ? v : v - taken;
}

static rlim_t wanted(rlim_t v)
{
    return v >= RLIM_INFINITY - taken ? RLIM_INFINITY : v + taken;
}

/* The sanitizers ask for limits before the memory is there in which their instrumented code looks. */
#define EARLY __attribute__((no_sanitize("address", "undefined", "thread")))

EARLY static long raw_limit(pid_t pid, int what, const struct rlimit *new, struct rlimit *old)
{
    return raw_syscall(SYS_prlimit64, pid, what, (long)new, (long)old, 0, 0);
}

/* The addresses in use, in bytes; 0: not known. */
static rlim_t size_now(void)
{
    char text[32];
    long fd = raw_syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/statm", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return 0;
    long n = raw_syscall(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    if (n <= 0)
        return 0;
    text[n] = 0;
    return strtoull(text, NULL, 10) * (rlim_t)getpagesize();
}

void limit_before_start(void)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    raw_limit(0, RLIMIT_AS, NULL, &before);
    before_size = size_now();
    if (before.rlim_cur == RLIM_INFINITY || raw_limit(0, RLIMIT_AS, &none, NULL) == 0)
        return;
    const struct rlimit most = {before.rlim_max, before.rlim_max};
    raw_limit(0, RLIMIT_AS, &most, NULL);
}

void limit_after_start(void)
{
    rlim_t size = size_now();
    if (before_size && size > before_size)
        taken = size - before_size;
    if (before.rlim_cur == RLIM_INFINITY && before.rlim_max == RLIM_INFINITY)
        return;
    struct rlimit mine = {wanted(before.rlim_cur), wanted(before.rlim_max)};
    if (raw_limit(0, RLIMIT_AS, &mine, NULL) < 0) {
        mine.rlim_max = before.rlim_max; /* not to be raised: the soft one as far as it goes */
        mine.rlim_cur = mine.rlim_cur > mine.rlim_max ? mine.rlim_max : mine.rlim_cur;
        raw_limit(0, RLIMIT_AS, &mine, NULL);
    }
}

/* to_errno */
EARLY static int result(long r)
{
    if (r >= 0)
        return 0;
    errno = (int)-r;
    return -1;
}

/* prlimit of our own RLIMIT_AS, once the stack has taken some. Returns 0 or -errno. */
static __attribute__((noinline)) long limit_shown(const struct rlimit *new, struct rlimit *old)
{
    struct rlimit mine, was;
    if (new && !USER_COPY(&mine, new, sizeof(mine)))
        return -EFAULT;
    if (new &&mine.rlim_cur > mine.rlim_max)
        return -EINVAL;
    if (new)
        mine = (struct rlimit){wanted(mine.rlim_cur), wanted(mine.rlim_max)};
    long r = raw_limit(0, RLIMIT_AS, new ? &mine : NULL, &was);
    if (r < 0 || !old)
        return r;
    was = (struct rlimit){shown(was.rlim_cur), shown(was.rlim_max)};
    return USER_COPY(old, &was, sizeof(was)) ? 0 : -EFAULT;
}

/* prlimit. Returns 0 or -errno. */
EARLY static long limit(pid_t pid, int what, const struct rlimit *new, struct rlimit *old)
{
    if (what == RLIMIT_AS && new)
        reserve_release();
    if (what != RLIMIT_AS || !taken || (pid != 0 && pid != getpid()))
        return raw_limit(pid, what, new, old);
    return limit_shown(new, old);
}

EARLY EXPORT int prlimit(pid_t pid, __rlimit_resource_t what, const struct rlimit *new, struct rlimit *old)
{
    return result(limit(pid, (int)what, new, old));
}

EARLY EXPORT int setrlimit(__rlimit_resource_t what, const struct rlimit *new)
{
    return result(limit(0, (int)what, new, NULL));
}

EARLY EXPORT int getrlimit(__rlimit_resource_t what, struct rlimit *old)
{
    return result(limit(0, (int)what, NULL, old));
}

/* struct rlimit64 is struct rlimit where long has 64 bits. */
EXPORT int prlimit64(pid_t pid, __rlimit_resource_t what, const struct rlimit64 *new, struct rlimit64 *old)
{
    return prlimit(pid, what, (const struct rlimit *)new, (struct rlimit *)old);
}

EXPORT int setrlimit64(__rlimit_resource_t what, const struct rlimit64 *new)
{
    return setrlimit(what, (const struct rlimit *)new);
}

EXPORT int getrlimit64(__rlimit_resource_t what, struct rlimit64 *old)
{
    return getrlimit(what, (struct rlimit *)old);
}
