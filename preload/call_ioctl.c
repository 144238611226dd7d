/* call_ioctl.c: ioctl. FIONBIO and FIOASYNC are status flags; FIOCLEX is the number's and the kernel's; the
 * rest is the stack's own interface (SIOCGIF*) and queues. What a socket of the kernel's is asked about
 * interfaces is the stack's to answer as well, and in profile default the host's behind it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "boot.h"
#include "fdtab.h"
#include "ifreq.h"
#include "libc.h"
#include "owner.h"
#include "wait.h"

static int set_flag(int fd, int flag, const void *arg)
{
    int on;
    if (!USER_COPY(&on, arg, sizeof(on)))
        return -EFAULT;
    int flags = API(get_flags(by_fd(fd)));
    if (flags < 0)
        return flags;
    return API(set_flags(by_fd(fd), on ? flags | flag : flags & ~flag));
}

/* SIOCGSTAMP and SIOCGSTAMPNS, old and new: when the datagram read last came. On 64-bit machines the old and
 * the new structures are alike. */
static int get_stamp(int fd, void *arg, bool ns)
{
    uint64_t at, now = wait_now_ns();
    struct timespec t;
    int r = API(ioctl(by_fd(fd), SIOCGSTAMP_OLD, &at));
    if (r < 0)
        return r;
    clock_gettime(CLOCK_REALTIME, &t);
    at = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec - (now > at ? now - at : 0);
    int64_t out[2] = {(int64_t)(at / 1000000000u), (int64_t)(at % 1000000000u) / (ns ? 1 : 1000)};
    return USER_COPY(arg, out, sizeof(out)) ? 0 : -EFAULT;
}

/* SIOCGIFCONF: the host's addresses behind the stack's, which *arg tells already, in profile default. */
static int host_conf(int fd, void *arg, int room)
{
    struct ifconf all, rest;
    if (api->isolate || !USER_COPY(&all, arg, sizeof(all)))
        return 0;
    rest = all;
    if (all.ifc_buf) {
        rest.ifc_buf += all.ifc_len;
        rest.ifc_len = room - all.ifc_len;
    }
    if (libc.ioctl(fd, SIOCGIFCONF, &rest) < 0)
        return -errno;
    all.ifc_len += rest.ifc_len;
    return USER_COPY(arg, &all, sizeof(all)) ? 0 : -EFAULT;
}

static int stack_ioctl(int fd, unsigned long req, void *arg)
{
    struct ifconf conf;
    int r, who;
    switch ((unsigned)req) { /* the kernel looks at 32 bits */
    case FIOSETOWN:
    case SIOCSPGRP:
        return USER_COPY(&who, arg, sizeof(who)) ? owner_set(fd, who) : -EFAULT;
    case FIOGETOWN:
    case SIOCGPGRP:
        r = owner_get(fd, &who);
        return r < 0 ? r : USER_COPY(arg, &who, sizeof(who)) ? 0 : -EFAULT;
    case FIONBIO:
        return set_flag(fd, O_NONBLOCK, arg);
    case FIOASYNC:
        return set_flag(fd, O_ASYNC, arg);
    case SIOCGSTAMP_OLD:
    case SIOCGSTAMP_NEW &UINT32_MAX:
    case SIOCGSTAMPNS_OLD:
    case SIOCGSTAMPNS_NEW &UINT32_MAX:
        return get_stamp(fd, arg, (req & 0xff) == (SIOCGSTAMPNS_OLD & 0xff));
    case FIOCLEX:
    case FIONCLEX:
    case TCGETS: /* isatty: the placeholder says ENOTTY */
        r = libc.ioctl(fd, req, arg);
        return r < 0 ? -errno : r;
    case SIOCGIFCONF:
        if (!USER_COPY(&conf, arg, sizeof(conf)))
            return -EFAULT;
        r = API(ioctl(by_fd(fd), (unsigned)req, arg));
        return r ? r : host_conf(fd, arg, conf.ifc_len);
    default:
        r = API(ioctl(by_fd(fd), (unsigned)req, arg));
        /* An interface of the host's: the placeholder can ask for it. */
        if (r == -ENODEV && !api->isolate)
            r = libc.ioctl(fd, req, arg) < 0 ? -errno : 0;
        return r;
    }
}

/* What of them is asked of a descriptor that is not the stack's; 1: it is the kernel's to answer. */
static int kernel_socket_ioctl(int fd, unsigned req, void *arg)
{
    int domain;
    socklen_t len = sizeof(domain);
    if (guard.vforked || libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || !boot())
        return 1;
    struct ifconf conf;
    if (req == SIOCGIFCONF && !USER_COPY(&conf, arg, sizeof(conf)))
        return -EFAULT;
    int r = API(if_ioctl(domain, req, arg));
    if (r == 0 && req == SIOCGIFCONF)
        r = host_conf(fd, arg, conf.ifc_len);
    return r == -ENODEV && !api->isolate ? 1 : r;
}

/* Not variadic, as the caller sees it: the argument is where a third one would be, and nothing is saved. */
EXPORT int call_ioctl(int fd, unsigned long req, void *arg) __asm__("ioctl");
int call_ioctl(int fd, unsigned long req, void *arg)
{
    if (!fd_is_stack(fd) || fd_has(fd, FD_EPSET)) {
        int r = ifreq_is((unsigned)req) ? kernel_socket_ioctl(fd, (unsigned)req, arg) : 1;
        return r <= 0 ? (int)to_errno(r) : libc.ioctl(fd, req, arg);
    }
    return (int)to_errno(stack_ioctl(fd, req, arg));
}

/* libc's calls its own ioctl. */
EXPORT int sockatmark(int fd)
{
    int mark = 0;
    return ioctl(fd, 0x8905 /* SIOCATMARK */, &mark) < 0 ? -1 : mark;
}
