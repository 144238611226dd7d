/* passing.h: what an exec passes on to the new image. Theory of operation: passing.c. */
#ifndef SHUNT_PRELOAD_PASSING_H
#define SHUNT_PRELOAD_PASSING_H

#include <stdbool.h>

#include "stack/api.h"
#include "vfork.h"

struct passing {
    struct exec_place x;
    bool begun;
    char place[48]; /* of SHUNT_PLACE; "": no socket goes on */
};

/* This process, or the child of a vfork that the caller is, is about to execute path. NULL: it will fail;
 * nothing is done. */
void passing_begin(struct passing *p, const char *path);
/* The same for a child that posix_spawn makes: v is what its file actions do. */
void passing_begin_child(struct passing *p, const char *path, const struct view *v);
/* The exec failed: all is as before. Keeps errno. */
void passing_failed(struct passing *p);
/* passing_begin_child's child was made. */
void passing_done(struct passing *p, int pid);

/* A child that libc makes by itself would miss something: sockets that it inherits, or its way to the stack.
 */
bool passing_wanted(void);

/* The file that execvp would execute: itself or on PATH, written to buf of PATH_MAX. NULL: there is none. */
const char *passing_find(const char *file, char *buf);

#endif
