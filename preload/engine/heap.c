/* heap.c: the engine's private heap: a jemalloc of its own, hidden in libshunt-engine.so, so that the
 * program's malloc is neither used nor replaced. The linker's --wrap sends what the engine, EAL and the
 * drivers allocate here. It comes from Debian's libjemalloc_pic.a with its symbols renamed
 * (dpdk/meson.build).
 *
 * For what one process owns. What a family shares lies in the segment (stack/seg.h) or in packet buffers: one
 * allocator used from both sides of a fork would be unsound. Thread-safe; not to be called from signal
 * handlers.
 *
 * Fork. jemalloc takes and gives back each of its hundreds of locks around a fork, of which parent and child
 * then copy the pages: 100 us. Nothing here is in a hurry, so one lock stands before all of it, and a fork
 * takes that one; jemalloc's own hooks are not registered. What its threads would keep aside, and give back
 * under its own locks when they end, is turned off (tcache).
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "../../dpdk/sys.h"

/* jemalloc's, renamed. */
void *shunt_je_malloc(size_t bytes);
void *shunt_je_calloc(size_t n, size_t bytes);
void *shunt_je_realloc(void *p, size_t bytes);
void shunt_je_free(void *p);

/* jemalloc reads options from MALLOC_CONF and from the link /etc/malloc.conf. Those are meant for the
 * program's allocator: ours sees neither. */
char *shunt_je_secure_getenv(const char *name);
ssize_t shunt_je_readlink(const char *path, char *buf, size_t len);

const char *shunt_je_malloc_conf = "narenas:1,tcache:false"; /* it looks for options here as well */

static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

static void heap_enter(void)
{
    pthread_mutex_lock(&heap_lock);
}

static void heap_leave(void)
{
    pthread_mutex_unlock(&heap_lock);
}

__attribute__((constructor)) static void heap_init(void)
{
    pthread_atfork(heap_enter, heap_leave, heap_leave);
}

int shunt_je_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int shunt_je_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return 0;
}

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

/* --- jemalloc's memory --- */

#define WINDOW_BYTES (64ULL << 30) /* of addresses; less where they are short (valgrind, ulimit -v) */
#define WINDOW_LEAST (64ULL << 20)
#define WINDOW_ALIGN (2ULL << 20) /* what jemalloc asks for at most, so that it never has to trim */

void *shunt_je_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int shunt_je_munmap(void *addr, size_t len);

static uintptr_t window, window_end, window_next;

static void *map(uintptr_t addr, size_t len, int prot, int flags)
{
    long r = sys6(SYS_mmap, SYS_ARG(addr), SYS_ARG(len), prot, flags, -1, 0);
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return MAP_FAILED;
    }
    return (void *)r;
}

/* Reserves the window. Two threads may come here first; one keeps its own. */
static bool window_open(void)
{
    uintptr_t none = 0;
    size_t bytes = WINDOW_BYTES;
    void *p;
    while ((p = map(0, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)) == MAP_FAILED &&
           bytes > WINDOW_LEAST)
        bytes /= 2;
    if (p == MAP_FAILED)
        return false;
    uintptr_t start = ((uintptr_t)p + WINDOW_ALIGN - 1) & ~(WINDOW_ALIGN - 1);
    if (__atomic_compare_exchange_n(&window, &none, start, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        window_end = (uintptr_t)p + bytes;
        __atomic_store_n(&window_next, start, __ATOMIC_RELEASE);
    } else {
        sys2(SYS_munmap, p, (long)bytes);
    }
    return true;
}

void *shunt_je_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    if (flags & MAP_FIXED)
        return map((uintptr_t)addr, len, prot, flags);
    if (!__atomic_load_n(&window, __ATOMIC_ACQUIRE) && !window_open())
        return MAP_FAILED;
    while (!__atomic_load_n(&window_next, __ATOMIC_ACQUIRE))
        ; /* another thread is between window_open's stores */
    size_t take = (len + WINDOW_ALIGN - 1) & ~(WINDOW_ALIGN - 1);
    uintptr_t at = __atomic_fetch_add(&window_next, take, __ATOMIC_RELAXED);
    if (at + take > window_end) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return map(at, len, prot, flags | MAP_FIXED);
}

int shunt_je_munmap(void *addr, size_t len)
{
    /* The addresses stay the window's. */
    return map((uintptr_t)addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED) ==
                   MAP_FAILED
               ? -1
               : 0;
}

static bool is_ours(const void *p)
{
    return (uintptr_t)p >= window && (uintptr_t)p < window_end;
}

/* --- malloc as the rest of the engine knows it --- */

void __real_free(void *p);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_reallocarray(void *p, size_t n, size_t bytes);
void __wrap_free(void *p);
int __wrap_posix_memalign(void **p, size_t align, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t max);
int shunt_je_posix_memalign(void **p, size_t align, size_t bytes);
void *shunt_je_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    heap_enter();
    void *p = shunt_je_malloc(bytes);
    heap_leave();
    return p;
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    heap_enter();
    void *p = shunt_je_calloc(n, bytes);
    heap_leave();
    return p;
}

void *__wrap_realloc(void *p, size_t bytes)
{
    if (p && !is_ours(p))
        return __real_realloc(p, bytes);
    heap_enter();
    p = shunt_je_realloc(p, bytes);
    heap_leave();
    return p;
}

void *__wrap_reallocarray(void *p, size_t n, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(n, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return __wrap_realloc(p, total);
}

void __wrap_free(void *p)
{
    if (!is_ours(p)) {
        __real_free(p);
        return;
    }
    heap_enter();
    shunt_je_free(p);
    heap_leave();
}

int __wrap_posix_memalign(void **p, size_t align, size_t bytes)
{
    heap_enter();
    int r = shunt_je_posix_memalign(p, align, bytes);
    heap_leave();
    return r;
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    heap_enter();
    void *p = shunt_je_aligned_alloc(align, bytes);
    heap_leave();
    return p;
}

static char *copy_string(const char *s, size_t n)
{
    char *copy = __wrap_malloc(n + 1);
    if (copy) {
        memcpy(copy, s, n);
        copy[n] = 0;
    }
    return copy;
}

char *__wrap_strndup(const char *s, size_t max)
{
    return copy_string(s, strnlen(s, max));
}

char *__wrap_strdup(const char *s)
{
    return copy_string(s, strlen(s));
}
