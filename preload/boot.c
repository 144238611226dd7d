/* boot.c: loads libshunt-engine.so and starts the stack, once a process.
 *
 * Theory of operation. The start runs under the guard: the engine's own calls pass through the interposers to
 * libc (guard.depth), a thread or a process that it makes counts as the engine's for good (fork.c), and the
 * program's signal handlers wait. Memory order: `api` and `fdtab` are published by fdtab_follow, then
 * `state`.
 */
#include "boot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "fdtab.h"
#include "fork.h"
#include "libc.h"
#include "limit.h"
#include "reserve.h"
#include "signals.h"
#include "tree.h"

enum { NOT_YET, RUNNING, KERNEL };

static int state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one starter */

static __typeof__(shunt_engine_start) *engine_start;

void boot_load(void)
{
    const char *why;
    pthread_mutex_lock(&lock);
    guard_enter();
    if (!engine_start)
        engine_start = libc_load("libshunt-engine.so", "shunt_engine_start", &why);
    guard_leave();
    pthread_mutex_unlock(&lock);
}

static const struct shunt_api *start(void)
{
    const char *why = NULL;
    const struct shunt_api *a = NULL;
    if (!engine_start)
        engine_start = libc_load("libshunt-engine.so", "shunt_engine_start", &why);
    if (!engine_start) {
        diag_line("error", "cannot load the engine: %s", why);
        return NULL;
    }
    return engine_start(SHUNT_API_VERSION, &tree, &a) == 0 ? a : NULL;
}

static void start_once(void)
{
    guard_enter();
    reserve_release();
    limit_before_start();
    char **before = tree_env_whole();
    const struct shunt_api *a = start();
    tree_env_back(before);
    limit_after_start();
    if (a) {
        fdtab_follow(a);
        fdtab_passed();
        fork_hooks();
        diag_share();
        signals_faults();
        __atomic_store_n(&state, RUNNING, __ATOMIC_RELEASE);
    } else {
        const char *fallback = tree_setting("SHUNT_FALLBACK");
        if (!fallback || strcmp(fallback, "kernel") != 0)
            raw_syscall(SYS_exit_group, 1, 0, 0, 0, 0, 0);
        __atomic_store_n(&state, KERNEL, __ATOMIC_RELEASE);
    }
    guard_leave();
}

bool boot(void)
{
    if (guard.depth > 0 || guard.vforked)
        return false;
    if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == NOT_YET) {
        pthread_mutex_lock(&lock);
        if (state == NOT_YET)
            start_once();
        pthread_mutex_unlock(&lock);
    }
    return state == RUNNING && fdtab;
}
