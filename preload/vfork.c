/* vfork.c: see vfork.h. */
#include "vfork.h"

#include "diag.h"
#include "fdtab.h"

__thread struct view vfork_view __attribute__((tls_model("initial-exec")));

int view_of(const struct view *v, int fd)
{
    for (unsigned i = v->n; i > 0; i--)
        if (v->note[i - 1].fd == fd)
            return v->note[i - 1].from;
    struct file **t = fdtab; /* the parent's: fd_is_stack says no in a child of vfork */
    return t && (unsigned)fd < SHUNT_FD_MAX && __atomic_load_n(&t[fd], __ATOMIC_RELAXED) ? fd : -1;
}

void view_set(struct view *v, int fd, int from)
{
    if (view_of(v, fd) != from)
        view_keep(v, fd, from);
}

void view_keep(struct view *v, int fd, int from)
{
    unsigned i = 0;
    while (i < v->n && v->note[i].fd != fd)
        i++;
    if (i == VIEW_MAX) {
        diag_line("warn", "a child process duplicates too many sockets before its exec: some are lost");
        return;
    }
    if (i == v->n)
        v->n++;
    v->note[i].fd = fd;
    v->note[i].from = from;
}

void vfork_dup(int fd, int to)
{
    if (to >= 0 && to != fd)
        view_set(&vfork_view, to, view_of(&vfork_view, fd));
}
