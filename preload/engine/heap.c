/* heap.c: see heap.h. jemalloc comes from Debian's libjemalloc_pic.a with its symbols renamed
 * (dpdk/meson.build). */
#include "heap.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

/* jemalloc's, renamed. */
void *shunt_je_malloc(size_t bytes);
void *shunt_je_calloc(size_t n, size_t bytes);
void *shunt_je_realloc(void *p, size_t bytes);
void shunt_je_free(void *p);

/* jemalloc reads options from MALLOC_CONF and from the link /etc/malloc.conf. Those are meant for the
 * program's allocator: ours sees neither. */
char *shunt_je_secure_getenv(const char *name);
ssize_t shunt_je_readlink(const char *path, char *buf, size_t len);

/* Its heap profiler, which is never on, would make us depend on libgcc_s. */
int shunt_je__Unwind_Backtrace(void *fn, void *arg);
unsigned long shunt_je__Unwind_GetIP(void *context);

int shunt_je__Unwind_Backtrace(void *fn, void *arg)
{
    return 0;
}

unsigned long shunt_je__Unwind_GetIP(void *context)
{
    return 0;
}

char *shunt_je_secure_getenv(const char *name)
{
    return NULL;
}

ssize_t shunt_je_readlink(const char *path, char *buf, size_t len)
{
    errno = ENOENT;
    return -1;
}

void *heap_alloc(size_t bytes)
{
    return shunt_je_malloc(bytes);
}

void *heap_calloc(size_t n, size_t bytes)
{
    return shunt_je_calloc(n, bytes);
}

void *heap_realloc(void *p, size_t bytes)
{
    return shunt_je_realloc(p, bytes);
}

void heap_free(void *p)
{
    shunt_je_free(p);
}

char *heap_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = heap_alloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}
