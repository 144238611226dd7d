/* procsys.h: the stack's settings as /proc/sys/net shows and takes them. Those that Linux has under another
 * name or in another unit, and those of the stack alone, are not there. */
#ifndef SHUNT_PROCSYS_H
#define SHUNT_PROCSYS_H

#include <stddef.h>

#include "tunable.h"

#define PROCSYS_ROOM 1024 /* bytes that a text needs at most */

/* The text of file `path`, behind /proc/sys/net/ ("ipv4/tcp_rmem"). Its length; -ENOENT: the stack has no
 * such setting, or in another unit. */
int procsys_read(const struct tunables *t, const char *path, char *buf, size_t room);
/* The number by which the file can be written. -ENOENT: as above; -EROFS: it holds what only the start of a
 * stack sets. */
int procsys_writable(const char *path);
/* Sets what was written to file i, a string; as Linux reads it: 0, -EINVAL, -ENOENT (a name that nothing
 * has).
 */
int procsys_write(struct tunables *t, unsigned i, const char *text);

#endif
