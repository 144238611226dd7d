/* call_spawn.c: posix_spawn, posix_spawnp.
 *
 * Theory of operation. libc makes the child, and executes in it, without passing any interposer. What its
 * file actions will do to descriptors of the stack is gone through before (struct view), and a place for the
 * child made with what is left; the child finds it by its environment, and the parent tells its pid. The
 * actions' form is libc's own; it is looked at only when a test of it shows that it is the known one.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "diag.h"
#include "fdtab.h"
#include "libc.h"
#include "passing.h"
#include "tree.h"

/* glibc's, of posix/spawn_int.h. */
enum { DO_CLOSE, DO_DUP2, DO_OPEN, DO_CHDIR, DO_FCHDIR, DO_CLOSEFROM };
struct action {
    int what;
    union {
        int fd; /* close, open, closefrom */
        struct {
            int fd, to;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
    };
};

static const struct action *actions_of(const posix_spawn_file_actions_t *fa)
{
    return (const struct action *)(const void *)fa->__actions;
}

static bool probe(void)
{
    posix_spawn_file_actions_t fa;
    bool ok = false;
    if (posix_spawn_file_actions_init(&fa) != 0)
        return false;
    if (posix_spawn_file_actions_adddup2(&fa, 3, 7) == 0 && posix_spawn_file_actions_addclose(&fa, 9) == 0 &&
        posix_spawn_file_actions_addopen(&fa, 5, "/", O_RDONLY, 0) == 0 &&
        posix_spawn_file_actions_addclosefrom_np(&fa, 11) == 0 && fa.__used == 4) {
        const struct action *a = actions_of(&fa);
        ok = a[0].what == DO_DUP2 && a[0].dup2.fd == 3 && a[0].dup2.to == 7 && a[1].what == DO_CLOSE &&
             a[1].fd == 9 && a[2].what == DO_OPEN && a[2].open.fd == 5 && a[3].what == DO_CLOSEFROM &&
             a[3].fd == 11;
    }
    posix_spawn_file_actions_destroy(&fa);
    return ok;
}

/* The form of file actions is known. */
static bool form_is_known(void)
{
    static int known; /* 1: yes, 2: no */
    if (!__atomic_load_n(&known, __ATOMIC_RELAXED))
        __atomic_store_n(&known, probe() ? 1 : 2, __ATOMIC_RELAXED);
    return known == 1;
}

static void go_through(struct view *v, const posix_spawn_file_actions_t *fa)
{
    const struct action *a = actions_of(fa);
    for (int i = 0; i < fa->__used; i++) {
        switch (a[i].what) {
        case DO_CLOSE:
        case DO_OPEN:
            view_set(v, a[i].fd, -1);
            break;
        case DO_DUP2:
            /* FD_CLOEXEC goes, also with twice the same number: a note says that it goes on */
            if (view_of(v, a[i].dup2.fd) >= 0)
                view_keep(v, a[i].dup2.to, view_of(v, a[i].dup2.fd));
            else
                view_set(v, a[i].dup2.to, -1);
            break;
        case DO_CLOSEFROM:
            for (int fd = a[i].fd; fd < fdtab_end(); fd++)
                view_set(v, fd, -1);
            for (unsigned k = 0; k < v->n; k++)
                if (v->note[k].fd >= a[i].fd)
                    v->note[k].from = -1;
            break;
        }
    }
}

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                     char *const[], char *const[]);

static int spawn(spawn_fn *fn, const char *found, pid_t *pid, const char *path,
                 const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr, char *const argv[],
                 char *const envp[])
{
    struct view v = {0};
    struct passing p;
    pid_t child;
    if (fa && fa->__used && found && fdtab && guard.depth == 0) {
        if (form_is_known())
            go_through(&v, fa);
        else
            found = NULL;
    }
    passing_begin_child(&p, found, &v);
    int r = fn(&child, path, fa, attr, argv, TREE_ENV(envp, p.place));
    if (r != 0) {
        passing_failed(&p);
        return r;
    }
    passing_done(&p, child);
    if (pid)
        *pid = child;
    return 0;
}

EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
                       const posix_spawn_file_actions_t *restrict fa, const posix_spawnattr_t *restrict attr,
                       char *const argv[restrict], char *const envp[restrict])
{
    return spawn(libc.posix_spawn, access(path, X_OK) == 0 ? path : NULL, pid, path, fa, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                        const posix_spawn_file_actions_t *restrict fa, const posix_spawnattr_t *restrict attr,
                        char *const argv[restrict], char *const envp[restrict])
{
    char found[PATH_MAX];
    return spawn(libc.posix_spawnp, passing_find(file, found), pid, file, fa, attr, argv, envp);
}
