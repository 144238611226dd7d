/* procsys.h: the stack's settings as /proc/sys/net shows them. */
#ifndef SHUNT_PROCSYS_H
#define SHUNT_PROCSYS_H

#include <stddef.h>

#include "tunable.h"

#define PROCSYS_ROOM 1024 /* bytes that a text needs at most */

/* The text of file `path`, behind /proc/sys/net/ ("ipv4/tcp_rmem"). Its length; -ENOENT: the stack has no
 * such setting, or in another unit. */
int procsys_read(const struct tunables *t, const char *path, char *buf, size_t room);

#endif
