/* passing.c: see passing.h.
 *
 * Theory of operation. An exec'ed program has none of this memory, but the process keeps its place in the
 * family's table (stack/family.h), and the new image takes it over: it joins the stack when it is loaded
 * (tree.c). What has FD_CLOEXEC is released when the exec has succeeded, by whoever looks first: the new
 * image or the keeper. So a failed exec has changed nothing, and a program that can't be preloaded holds what
 * it inherited until it closes or dies, as on the kernel.
 *
 * A child that shares its parent's memory gets a place of its own here, with what goes on alone.
 */
#include "passing.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"
#include "fdtab.h"
#include "libc.h"
#include "tree.h"

/* --- programs that can't be preloaded --- */

static long read_at(int fd, void *buf, size_t n, long off)
{
    return raw_syscall(SYS_pread64, fd, (long)buf, (long)n, off, 0, 0);
}

static bool has_interpreter(int fd, const Elf64_Ehdr *eh)
{
    Elf64_Phdr ph[32];
    size_t n = eh->e_phnum < 32 ? eh->e_phnum : 32;
    if (eh->e_phentsize != sizeof(ph[0]) ||
        read_at(fd, ph, n * sizeof(ph[0]), (long)eh->e_phoff) != (long)(n * sizeof(ph[0])))
        return true; /* not ours to judge */
    for (size_t i = 0; i < n; i++)
        if (ph[i].p_type == PT_INTERP)
            return true;
    return false;
}

/* Why libshunt.so can't be in the program that fd is, or NULL. */
static const char *why_not(int fd)
{
    Elf64_Ehdr eh;
    struct stat sb;
    if (libc.fstat(fd, &sb) == 0 && ((sb.st_mode & S_ISUID && sb.st_uid != geteuid()) ||
                                     (sb.st_mode & S_ISGID && sb.st_gid != getegid())))
        return "is set-user-ID";
    if (read_at(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
        return NULL; /* a script: its interpreter is looked at when it counts, at its own exec */
    if (eh.e_ident[EI_CLASS] != ELFCLASS64)
        return "is a 32-bit program";
    return has_interpreter(fd, &eh) ? NULL : "is linked statically";
}

static void tell_if_foreign(const char *path, bool inherits)
{
    if (!diag_wants(inherits ? "warn" : "info"))
        return;
    long fd = raw_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return;
    const char *why = why_not((int)fd);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    if (why && inherits)
        diag_line("warn", "%s %s: it holds the sockets that it inherits, but cannot use them", path, why);
    else if (why)
        diag_line("info", "%s %s: it is not on the stack", path, why);
}

/* --- what goes on --- */

static bool is_noted(const struct view *v, int fd)
{
    for (unsigned i = 0; v && i < v->n; i++)
        if (v->note[i].fd == fd)
            return true;
    return false;
}

/* In the process that executes: fd, which is the stack's here by its table or the notes, stays open. */
static bool goes_on(int fd, int from)
{
    return libc.fcntl(fd, F_GETFD, NULL) == 0 && (!guard.vforked || fdtab_stands(fd, fd_bits(from)));
}

struct pass {
    struct passing *p;
    const char *path;
    bool any;
};

static void pass_on(struct pass *s, int fd, int from)
{
    struct passing *p = s->p;
    if (!p->begun) {
        int pid = guard.vforked ? (int)raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0) : 0;
        if (API(exec_begin(false, pid, &p->x)) < 0)
            return;
        p->begun = true;
    }
    if (API(exec_keep(&p->x, fd, from, fd_bits(from))) < 0)
        return;
    if (!s->any)
        tell_if_foreign(s->path, true);
    s->any = true;
    snprintf(p->place, sizeof(p->place), "%u:%llu", p->x.slot, (unsigned long long)p->x.token);
}

static bool is_table(int fd)
{
    struct file **t = fdtab;
    return t && __atomic_load_n(&t[fd], __ATOMIC_RELAXED);
}

/* All that goes on; v: notes of a child that shares the memory, simulated: its file actions are still to
 * come. */
static void pass_all(struct passing *p, const char *path, const struct view *v, bool simulated)
{
    struct pass s = {.p = p, .path = path};
    for (int fd = 0, end = fdtab_end(); fd < end; fd++)
        if (is_table(fd) && !is_noted(v, fd) && goes_on(fd, fd))
            pass_on(&s, fd, fd);
    for (unsigned i = 0; v && i < v->n; i++)
        if (v->note[i].from >= 0 && (simulated || goes_on(v->note[i].fd, v->note[i].from)))
            pass_on(&s, v->note[i].fd, v->note[i].from);
}

void passing_begin(struct passing *p, const char *path)
{
    int saved = errno;
    p->begun = false;
    p->place[0] = 0;
    if (!path || guard.depth > 0)
        return;
    if (!fdtab) {
        tell_if_foreign(path, false);
    } else if (!guard.vforked) {
        p->begun = API(exec_begin(true, 0, &p->x)) == 0;
        if (p->begun)
            pass_all(p, path, NULL, false);
    } else {
        pass_all(p, path, &vfork_view, false);
    }
    if (fdtab && !p->place[0])
        tell_if_foreign(path, false);
    errno = saved;
}

void passing_begin_child(struct passing *p, const char *path, const struct view *v)
{
    int saved = errno;
    p->begun = false;
    p->place[0] = 0;
    if (path && fdtab && guard.depth == 0)
        pass_all(p, path, v, true);
    if (path && guard.depth == 0 && !p->place[0])
        tell_if_foreign(path, false);
    errno = saved;
}

void passing_failed(struct passing *p)
{
    int saved = errno;
    if (p->begun)
        API_VOID(exec_failed(&p->x));
    p->begun = false;
    errno = saved;
}

void passing_done(struct passing *p, int pid)
{
    int saved = errno;
    if (p->begun)
        API_VOID(exec_child(&p->x, pid));
    p->begun = false;
    errno = saved;
}

bool passing_wanted(void)
{
    if (guard.depth > 0 || guard.vforked)
        return false;
    for (int fd = 0, end = fdtab_end(); fd < end; fd++)
        if (is_table(fd) && goes_on(fd, fd))
            return true;
    return tree_env_lacks(environ);
}

const char *passing_find(const char *file, char *buf)
{
    const char *path = getenv("PATH");
    int saved = errno;
    const char *found = NULL;
    if (strchr(file, '/'))
        found = access(file, X_OK) == 0 ? file : NULL;
    else
        for (const char *p = path ? path : "/bin:/usr/bin", *end; p && !found; p = *end ? end + 1 : NULL) {
            end = strchrnul(p, ':');
            int n = snprintf(buf, PATH_MAX, "%.*s%s%s", (int)(end - p), p, end > p ? "/" : "", file);
            if (n < PATH_MAX && access(buf, X_OK) == 0)
                found = buf;
        }
    errno = saved;
    return found;
}
