/* call_dlopen.c: dlopen. A library opened with RTLD_DEEPBIND looks for its symbols among those that it needs,
 * libc with them, before it looks at what was preloaded: its sockets would be the kernel's, silently, while
 * those of the rest of the program are the stack's (PHP opens its extensions so). Hence the flag is taken
 * out.
 *
 * Differs: such a library, when it has a symbol of a name that the program has too, gets the program's.
 */
#include <dlfcn.h>

#include "libc.h"

EXPORT void *dlopen(const char *file, int mode)
{
    /* A jump, not a call: dlopen tells by its return address who asks, whose RUNPATH and namespace count. */
    return libc.dlopen(file, mode & ~RTLD_DEEPBIND);
}
