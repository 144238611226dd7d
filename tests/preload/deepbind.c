/* deepbind.c: sockets of a library that was opened with RTLD_DEEPBIND are of the same stack as the program's.
 */
#include "check.h"

#include <dlfcn.h>
#include <limits.h>

static void open_and_connect(int mode)
{
    char path[PATH_MAX] = {0}, *slash;
    int l = tcp4();
    struct sockaddr_in a = lo4(0);
    int (*connects)(int port);
    void *lib;

    NEED(readlink("/proc/self/exe", path, sizeof path - 32) > 0);
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "libdeepbind.so");
    lib = dlopen(path, mode);
    show("opened", "%s", lib ? "yes" : dlerror());
    NEED(lib);
    connects = (int (*)(int))dlsym(lib, "deepbind_connect");
    NEED(connects);
    R(bind(l, SA(a)));
    R(listen(l, 5));
    R(connects(port_of(l)));
    R(settle(l, POLLIN));
    dlclose(lib);
}

CHECK(plain)
{
    open_and_connect(RTLD_NOW | RTLD_LOCAL);
}

CHECK(deeply_bound)
{
    open_and_connect(RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
}

CHECK(none)
{
    dlerror();
    show("opened", "%s", dlopen("libnobody-has-this.so", RTLD_NOW | RTLD_DEEPBIND) ? "yes" : "no");
    show("said", "%d", dlerror() != NULL);
    show("itself", "%d", dlopen(NULL, RTLD_NOW) != NULL);
}
