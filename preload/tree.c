/* tree.c: see tree.h.
 *
 * Theory of operation. All processes below the first one that has libshunt.so share one stack, whichever of
 * them opens the first socket. They find it by a pair of sockets (SOCK_SEQPACKET) that the first process
 * makes when it is loaded and that all below inherit, without FD_CLOEXEC: who starts the stack sends a
 * message with all descriptors that a member needs from end 1 to end 0, where others look at it without
 * taking it (preload/engine/join.c). While a process of the tree holds end 0 the stack stays; the keeper,
 * which holds end 1 alone, sees the hang-up. A record lock on end 0 is the right to start.
 *
 * SHUNT_JOIN=END0,END1,INODE,SETTINGS in the environment names the numbers. INODE tells whether they still
 * are what they were; SETTINGS is a sum over the SHUNT_ variables: a child that is given others is a stack of
 * its own, and the root of another tree. The numbers lie above those that programs use, and below what would
 * make the kernel's copy of the table at a fork slow.
 *
 * SHUNT_PLACE=SLOT:TOKEN says that the new image inherits sockets, and which place of the family's table is
 * its own: it joins at once. Without it a program joins or starts at its first socket, or never.
 *
 * A program may clear or rebuild its environment (env -i, sshd): the interposers of exec put back what the
 * first environment of this process had. The copies are made early, because programs write over the memory of
 * their environment (setproctitle).
 */
#include "tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "diag.h"
#include "fdtab.h"
#include "guard.h"
#include "libc.h"
#include "reserve.h"

#define JOIN     "SHUNT_JOIN"
#define PLACE    "SHUNT_PLACE"
#define PRELOAD  "LD_PRELOAD"
#define LIBRARY  "libshunt.so"
#define FD_FIRST 2040 /* 2048 numbers and the kernel's table doubles */
#define SAVED    64

struct shunt_tree tree = {.fd = {-1, -1}};

static const char *saved[SAVED]; /* "NAME=value" */
static unsigned nsaved;
static const char *saved_preload; /* one of them */
static char store[8192];
static size_t store_len;
static char join_var[96];

bool tree_has_fd(int fd)
{
    return fd >= 0 && (fd == tree.fd[0] || fd == tree.fd[1]) && guard.depth == 0;
}

bool tree_has_process(int pid)
{
    char path[48], link[48], ours[48];
    if (tree.fd[0] < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, tree.fd[0]);
    snprintf(ours, sizeof(ours), "socket:[%llu]", (unsigned long long)tree.ino);
    long n = raw_syscall(SYS_readlinkat, AT_FDCWD, (long)path, (long)link, sizeof(link), 0, 0);
    return n > 0 && (size_t)n == strlen(ours) && memcmp(link, ours, (size_t)n) == 0;
}

bool tree_has_stack(void)
{
    char b;
    return tree.fd[0] >= 0 &&
           raw_syscall(SYS_recvfrom, tree.fd[0], (long)&b, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0) > 0;
}

int tree_close_range(unsigned lo, unsigned hi, int flags)
{
    unsigned a = (unsigned)(tree.fd[0] < tree.fd[1] ? tree.fd[0] : tree.fd[1]);
    unsigned b = (unsigned)(tree.fd[0] < tree.fd[1] ? tree.fd[1] : tree.fd[0]);
    unsigned skip[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        if ((int)skip[i] < 0 || skip[i] < lo || skip[i] > hi)
            continue;
        if (lo < skip[i] && libc.close_range(lo, skip[i] - 1, flags) < 0)
            return -1;
        lo = skip[i] + 1;
    }
    return lo <= hi ? libc.close_range(lo, hi, flags) : 0;
}

/* --- variables --- */

static bool is_named(const char *var, const char *name)
{
    size_t n = strlen(name);
    return strncmp(var, name, n) == 0 && var[n] == '=';
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

/* A setting of the stack: not what says how it is found, shown or built. */
static bool is_setting(const char *var)
{
    return strncmp(var, "SHUNT_", 6) == 0 && !is_named(var, JOIN) && !is_named(var, PLACE) &&
           !is_named(var, "SHUNT_LOG") && !is_named(var, "SHUNT_BUILD") && !is_named(var, "SHUNT_FALLBACK");
}

/* A sum over the settings of env that doesn't depend on their order. */
static uint32_t settings_sum(char *const *env)
{
    uint32_t sum = 0;
    for (; env && *env; env++) {
        uint32_t h = 2166136261u;
        if (!is_setting(*env))
            continue;
        for (const char *p = *env; *p; p++)
            h = (h ^ (unsigned char)*p) * 16777619u;
        sum += h;
    }
    return sum;
}

/* Keeps a copy. */
static void save(const char *var)
{
    size_t n = strlen(var) + 1;
    if (nsaved == SAVED || n > sizeof(store) - store_len)
        return;
    saved[nsaved] = memcpy(store + store_len, var, n);
    store_len += n;
    if (is_named(var, PRELOAD))
        saved_preload = saved[nsaved];
    nsaved++;
}

static void save_all(void)
{
    for (char **e = environ; e && *e; e++)
        if (is_named(*e, PRELOAD) || (strncmp(*e, "SHUNT_", 6) == 0 && !is_named(*e, PLACE)))
            save(*e);
}

static const char *env_get(char *const *env, const char *name)
{
    for (; env && *env; env++)
        if (is_named(*env, name))
            return *env;
    return NULL;
}

static size_t env_count(char *const *env)
{
    size_t n = 0;
    while (env && env[n])
        n++;
    return n;
}

/* Not by setenv and unsetenv: a shell may have its own, for variables that it has not set up yet. */
static void env_remove(const char *name)
{
    char **to = environ;
    for (char **e = environ; e && *e; e++)
        if (!is_named(*e, name))
            *to++ = *e;
    if (to)
        *to = NULL;
}

static void env_add(char *var)
{
    size_t n = env_count(environ);
    char **env = malloc((n + 2) * sizeof(*env));
    if (!env)
        return;
    memcpy(env, environ, n * sizeof(*env));
    env[n] = var;
    env[n + 1] = NULL;
    environ = env;
}

struct tree_room tree_env_room(char *const *envp)
{
    const char *preload = env_get(envp, PRELOAD);
    return (struct tree_room){.pointers = env_count(envp) + nsaved + 2,
                              .bytes = (preload ? strlen(preload) : 0) +
                                       (saved_preload ? strlen(saved_preload) : 0) + 128};
}

static bool names_other_tree(char *const *envp)
{
    const char *join = env_get(envp, JOIN), *ours = env_get((char *const *)saved, JOIN);
    return join && (!ours || strcmp(join, ours) != 0);
}

bool tree_env_lacks(char *const *envp)
{
    return saved_preload && (!env_get(envp, JOIN) || !env_get(envp, PRELOAD));
}

/* "LD_PRELOAD=ours:theirs" */
static char *preload_both(const char *theirs, char *bytes)
{
    size_t n = strlen(saved_preload);
    memcpy(bytes, saved_preload, n);
    bytes[n] = ':';
    strcpy(bytes + n + 1, strchr(theirs, '=') + 1);
    return bytes;
}

static bool root_changed;

void tree_root_changed(void)
{
    root_changed = true;
}

/* In another root the loader may not find the library: it says so itself, but not what that means. */
static void warn_if_lost(void)
{
    char path[PATH_MAX];
    const char *list = saved_preload ? saved_preload + sizeof(PRELOAD) : "";
    size_t n = strcspn(list, " :");
    if (n < sizeof(path) && n) {
        memcpy(path, list, n);
        path[n] = 0;
        if (access(path, R_OK) != 0)
            diag_line("warn",
                      "%s is not there in this root directory: what is executed here is not on the stack",
                      path);
    }
}

static bool has_name(char *const *env, const char *var)
{
    for (; env && *env; env++)
        if (same_name(*env, var))
            return true;
    return false;
}

/* Puts what was saved and is not among the n variables of env behind them; how many there are now. */
static size_t add_saved(char **env, size_t n)
{
    for (unsigned i = 0; i < nsaved; i++) {
        size_t k = 0;
        while (k < n && !same_name(env[k], saved[i]))
            k++;
        if (k == n)
            env[n++] = (char *)saved[i];
    }
    return n;
}

const char *tree_setting(const char *name)
{
    const char *v = getenv(name);
    if (!v && (v = env_get((char *const *)saved, name)))
        v += strlen(name) + 1;
    return v;
}

char *const *tree_env(char *const *envp, const char *place, char **out, char *bytes)
{
    size_t n = 0;
    if (!nsaved || names_other_tree(envp))
        return envp;
    if (root_changed)
        warn_if_lost();
    for (char *const *e = envp; e && *e; e++) {
        if (is_named(*e, PLACE))
            continue;
        if (is_named(*e, PRELOAD) && saved_preload && !strstr(*e, LIBRARY)) {
            out[n] = preload_both(*e, bytes);
            bytes += strlen(bytes) + 1;
            n++;
            continue;
        }
        out[n++] = *e;
    }
    n = add_saved(out, n);
    if (*place) {
        memcpy(bytes, PLACE "=", sizeof(PLACE));
        strcpy(bytes + sizeof(PLACE), place);
        out[n++] = bytes;
    }
    out[n] = NULL;
    return out;
}

static char **whole; /* the environment that tree_env_whole made */

char **tree_env_whole(void)
{
    char **before = environ, **env;
    unsigned i = 0;
    while (i < nsaved && has_name(environ, saved[i]))
        i++;
    /* Not given back: another thread may be reading it when it is no longer the environment. */
    if (i < nsaved && (env = malloc(tree_env_room(environ).pointers * sizeof(*env)))) {
        size_t n = 0;
        for (char **e = environ; e && *e; e++)
            env[n++] = *e;
        env[add_saved(env, n)] = NULL;
        whole = environ = env;
    }
    return before;
}

void tree_env_back(char **before)
{
    /* Another one by now: a thread's setenv, which may have given back `before`. */
    if (whole && environ == whole)
        environ = before;
}

/* --- the pair --- */

static uint64_t inode_of(int fd)
{
    struct stat sb;
    return fd >= 0 && libc.fstat(fd, &sb) == 0 && S_ISSOCK(sb.st_mode) ? sb.st_ino : 0;
}

/* Takes over what the environment names. False: it is the root of a tree of its own. */
static bool inherit(const char *value)
{
    int fd[2];
    unsigned long long ino;
    unsigned sum;
    if (!value || sscanf(value, "%d,%d,%llu,%x", &fd[0], &fd[1], &ino, &sum) != 4)
        return false;
    bool there = inode_of(fd[0]) == ino;
    if (sum != settings_sum(environ)) {
        if (there) {
            libc.close(fd[0]);
            libc.close(fd[1]);
        }
        return false;
    }
    tree.ino = ino;
    if (there) {
        tree.fd[0] = fd[0];
        tree.fd[1] = inode_of(fd[1]) ? fd[1] : -1;
        fdtab_private_from(tree.fd[0]);
        fdtab_private_from(tree.fd[1]);
    }
    return true;
}

/* A duplicate out of the program's way, or -1. */
static int move_up(int fd)
{
    struct rlimit lim, up;
    long first = FD_FIRST, r;
    raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim, 0, 0);
    if (lim.rlim_max < FD_FIRST + 8)
        first = (long)lim.rlim_max - 8;
    if (first < 16)
        return -1;
    up = (struct rlimit){lim.rlim_max, lim.rlim_max};
    if (lim.rlim_cur < (rlim_t)first + 8)
        raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&up, 0, 0, 0);
    r = raw_syscall(SYS_fcntl, fd, F_DUPFD, first, 0, 0, 0);
    if (lim.rlim_cur < (rlim_t)first + 8)
        raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&lim, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    return r < 0 ? -1 : (int)r;
}

static void make(void)
{
    int fd[2];
    if (raw_syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET, 0, (long)fd, 0, 0) < 0)
        return;
    tree.fd[0] = move_up(fd[0]);
    tree.fd[1] = move_up(fd[1]);
    fdtab_private_from(tree.fd[0]);
    fdtab_private_from(tree.fd[1]);
    tree.ino = inode_of(tree.fd[0]);
    snprintf(join_var, sizeof(join_var), JOIN "=%d,%d,%llu,%x", tree.fd[0], tree.fd[1],
             (unsigned long long)tree.ino, settings_sum(environ));
    env_add(join_var);
}

__attribute__((constructor)) static void tree_init(void)
{
    static char place[48];
    reserve_take();
    const char *given = env_get(environ, PLACE), *join = env_get(environ, JOIN);
    if (given) {
        strncpy(place, given + sizeof(PLACE), sizeof(place) - 1);
        env_remove(PLACE);
    }
    if (!inherit(join ? join + sizeof(JOIN) : NULL)) {
        env_remove(JOIN);
        make();
    } else if (*place) {
        tree.place = place;
    }
    save_all();
    if (tree.place)
        boot();
}
