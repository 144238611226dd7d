/* ctldir.h: where control sockets lie; for the keeper that makes them and for shunt-ctl that looks for them.
 */
#ifndef SHUNT_ENGINE_CTLDIR_H
#define SHUNT_ENGINE_CTLDIR_H

#include <stddef.h>

#define CTLDIR_PATH   80 /* with a name and ".sock" behind it fits sun_path */
#define CTLDIR_SUFFIX ".sock"

/* The i-th directory in order of preference: $XDG_RUNTIME_DIR/shunt; /run/shunt for root; /tmp/shunt-UID. UID
 * is the user's own in the outermost user namespace that can be seen, so that a stack started below `unshare
 * -r` is found from outside. 0, or -ENOENT after the last, -ENAMETOOLONG for one that can't be used. */
int ctldir_get(unsigned i, char path[CTLDIR_PATH]);

/* True if path is a directory of this user's that nobody else can write to. */
int ctldir_is_ours(const char *path);

#endif
