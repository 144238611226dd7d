/* call_cred.c: setuid, seteuid, setreuid, setresuid.
 *
 * A daemon may give up root before it opens its first socket, and a link that needs privilege could not be
 * opened any more then. So the stack starts when root is about to be given up, if the environment asks for
 * such a link. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "libc.h"

static void before_drop(uid_t to)
{
    static const char *const privileged[] = {"tap:", "packet:", "xdp:", "pci:"};
    const char *links = getenv("SHUNT_LINK");
    if (!links || to == 0 || to == (uid_t)-1 || geteuid() != 0)
        return;
    for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++) {
        if (strstr(links, privileged[i])) {
            boot();
            break;
        }
    }
}

EXPORT int setuid(uid_t uid)
{
    before_drop(uid);
    return libc.setuid(uid);
}

EXPORT int seteuid(uid_t euid)
{
    before_drop(euid);
    return libc.seteuid(euid);
}

EXPORT int setreuid(uid_t ruid, uid_t euid)
{
    before_drop(euid);
    return libc.setreuid(ruid, euid);
}

EXPORT int setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
    before_drop(euid);
    return libc.setresuid(ruid, euid, suid);
}
