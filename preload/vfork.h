/* vfork.h: what a child that shares its parent's memory does to its descriptors before it executes.
 *
 * Such a child (vfork, CLONE_VM | CLONE_VFORK, posix_spawn) has a descriptor table of its own in the kernel
 * but the parent's memory, and so no table in the segment: guard.vforked makes every number the kernel's. All
 * sockets of the stack look the same there (duplicates of one placeholder), so that a duplicate that the
 * child makes must be noted: what of the parent's it is. What the child closes or puts something else on
 * shows when it executes. posix_spawn's child is libc's: its file actions are gone through before instead.
 */
#ifndef SHUNT_PRELOAD_VFORK_H
#define SHUNT_PRELOAD_VFORK_H

#include <stdbool.h>
#include <stdint.h>

#define VIEW_MAX 62

/* Which of the parent's descriptors stand on numbers of the child: where none is noted, the same number. */
struct view {
    uint16_t n; /* first: vfork's assembly sets it to 0 */
    struct {
        int32_t fd, from; /* from -1: nothing of the stack's */
    } note[VIEW_MAX];
};

/* Of the calling thread, for its child. */
extern __thread struct view vfork_view __attribute__((tls_model("initial-exec")));

/* The parent's descriptor on fd, a number of the child, or -1. */
int view_of(const struct view *v, int fd);
/* fd of the child is now what `from` of the parent is, -1: nothing of the stack's. */
void view_set(struct view *v, int fd, int from);
/* The same, noted even where the number says as much: it goes on whatever its FD_CLOEXEC was. */
void view_keep(struct view *v, int fd, int from);
/* The child duplicated fd as to (< 0: it failed). */
void vfork_dup(int fd, int to);

#endif
