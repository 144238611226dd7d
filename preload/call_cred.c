/* call_cred.c: setuid, seteuid, setreuid, setresuid, capset, chroot.
 *
 * A daemon may give up root before it opens its first socket, and a link that needs privilege could not be
 * opened any more then. So the stack starts when root is about to be given up, if the environment asks for
 * such a link. In another root directory the engine could not be found: it is loaded before. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"
#include "tree.h"

static void start_if_privileged(void)
{
    static const char *const privileged[] = {"tap:", "packet:", "xdp:", "pci:"};
    const char *links = tree_setting("SHUNT_LINK");
    if (!links || geteuid() != 0)
        return;
    for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++) {
        if (strstr(links, privileged[i])) {
            boot();
            break;
        }
    }
}

static void before_drop(uid_t to)
{
    if (to != 0 && to != (uid_t)-1)
        start_if_privileged();
}

/* Whom sockets are shown to be of from now on. */
static int after(int r)
{
    if (r == 0 && fdtab)
        api->set_uid(geteuid());
    return r;
}

/* ping and its like keep what raw sockets need and give up the rest, through libcap. */
int capset(void *header, const void *data);
EXPORT int capset(void *header, const void *data)
{
    start_if_privileged();
    return libc.capset(header, data);
}

EXPORT int setuid(uid_t uid)
{
    before_drop(uid);
    return after(libc.setuid(uid));
}

EXPORT int seteuid(uid_t euid)
{
    before_drop(euid);
    return after(libc.seteuid(euid));
}

EXPORT int setreuid(uid_t ruid, uid_t euid)
{
    before_drop(euid);
    return after(libc.setreuid(ruid, euid));
}

EXPORT int setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
    before_drop(euid);
    return after(libc.setresuid(ruid, euid, suid));
}

EXPORT int chroot(const char *path)
{
    boot_load();
    int r = libc.chroot(path);
    if (r == 0)
        tree_root_changed();
    return r;
}
