/* libc.c: finds the C library's functions behind the interposed ones. Theory of operation: libc.h. */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* dlsym may allocate, and the program's allocator may call what is being looked up. */
static __thread int looking __attribute__((tls_model("initial-exec")));

static void *find(const char *name)
{
    void *f = NULL;
    if (looking < 4) {
        int saved = errno;
        looking++;
        f = dlsym(RTLD_NEXT, name);
        looking--;
        errno = saved;
    }
    return f;
}

/* The function could not be had: the system call of the same meaning, or ENOSYS. */
static long direct(long nr, ...)
{
    long a[6];
    va_list ap;
    va_start(ap, nr);
    for (int i = 0; i < 6; i++) /* what was not passed is garbage that the kernel does not look at */
        a[i] = va_arg(ap, long);
    va_end(ap);
    long r = nr < 0 ? -ENOSYS : raw_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r >= -4095 && r < 0) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

#define REST(...) , ##__VA_ARGS__

#define X(ret, name, nr, params, args)                                                                       \
    static ret first_##name params                                                                           \
    {                                                                                                        \
        ret(*next) params = (ret(*) params)find(#name);                                                      \
        if (!next)                                                                                           \
            return (ret)direct(nr REST args);                                                                \
        __atomic_store_n(&libc.name, next, __ATOMIC_RELAXED);                                                \
        return next args;                                                                                    \
    }
LIBC_CALLS(X)
#undef X

struct libc libc = {
#define X(ret, name, nr, params, args) .name = first_##name,
    LIBC_CALLS(X)
#undef X
};

void libc_count(struct libc *real, const struct libc *with)
{
#define X(ret, name, nr, params, args)                                                                       \
    {                                                                                                        \
        ret(*next) params = with->name ? (ret(*) params)find(#name) : libc.name;                             \
        real->name = next ? next : libc.name;                                                                \
        if (with->name && next)                                                                              \
            __atomic_store_n(&libc.name, with->name, __ATOMIC_RELEASE);                                      \
    }
    LIBC_CALLS(X)
#undef X
}

void *libc_load(const char *library, const char *symbol, const char **why)
{
    static char error[512];
    char path[4096];
    Dl_info me;
    if (!dladdr(&libc, &me) || !me.dli_fname || strlen(me.dli_fname) + strlen(library) >= sizeof(path)) {
        *why = "libshunt.so cannot tell where it lies";
        return NULL;
    }
    strcpy(path, me.dli_fname);
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, library);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *f = lib ? dlsym(lib, symbol) : NULL;
    if (!f) {
        const char *e = dlerror();
        strncpy(error, e ? e : "dlopen failed", sizeof(error) - 1);
        *why = error;
    }
    return f;
}
