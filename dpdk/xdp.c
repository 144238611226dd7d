/* xdp.c: see xdp.h. */
#include "xdp.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

/* A map of AF_XDP sockets, the least that needs the privilege which loading an XDP program needs. 0 or
 * -errno.
 */
static int try_map(void)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    long fd = sys3(SYS_bpf, BPF_MAP_CREATE, SYS_ARG(&attr), sizeof(attr));
    if (fd >= 0)
        sys1(SYS_close, fd);
    return fd < 0 ? (int)fd : 0;
}

const char *xdp_reason(void)
{
    int fd = socket(AF_XDP, SOCK_RAW, 0), rc = fd < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc == -EAFNOSUPPORT)
        return "this kernel has no AF_XDP: use a packet: link";
    if (rc == -EPERM)
        return "needs CAP_NET_RAW and CAP_BPF: run as root";
    if (rc == 0 && try_map() == -EPERM)
        return "needs CAP_BPF, which no user namespace gives: run as root, or use a packet: link";
    return "its first queue is in use by another AF_XDP socket, or its driver refuses one: use another "
           "interface, or a packet: link";
}
