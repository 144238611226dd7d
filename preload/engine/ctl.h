/* ctl.h: what the files of shunt-ctl share. */
#ifndef SHUNT_ENGINE_CTL_H
#define SHUNT_ENGINE_CTL_H

#include <stddef.h>

/* The whole answer of the stack at path, NUL-terminated, to be freed; NULL: none. Its length goes to *size,
 * which may be NULL. */
char *ctl_ask(const char *path, const char *command, size_t *size);
/* Calls fn with the control socket's path of each stack of this user. */
void ctl_each(void (*fn)(void *arg, const char *path), void *arg);

/* top.c: shunt top. argv[0] is the verb. The status to exit with. */
int top_main(int argc, char **argv);

#endif
