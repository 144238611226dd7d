/* call_resv.c: sockets on reserved ports: rresvport, rresvport_af, bindresvport. libc's make and bind their
 * socket with calls of its own, which no preload sees. (rcmd and rexec do the same to their end, and stay the
 * kernel's.) */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"

#define RESV_LOW  (IPPORT_RESERVED / 2)
#define RESV_HIGH (IPPORT_RESERVED - 1)
#define RESV_FROM 600 /* bindresvport's first choices: below are the ports of well-known services */

/* Binds fd to a port from *port downwards, in a circle through [low, RESV_HIGH]. 0; -1: errno, *in_use says
 * that it was of ports alone. */
static int bind_reserved(int fd, struct sockaddr_storage *ss, socklen_t len, int *port, int low, bool *in_use)
{
    in_port_t *at = ss->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)ss)->sin6_port
                                              : &((struct sockaddr_in *)ss)->sin_port;
    int start = *port;
    do {
        *at = htons((uint16_t)*port);
        if (bind(fd, (struct sockaddr *)ss, len) == 0)
            return 0;
        *in_use = errno == EADDRINUSE;
        if (!*in_use)
            return -1;
        *port = *port == low ? RESV_HIGH : *port - 1;
    } while (*port != start);
    return -1;
}

EXPORT int rresvport_af(int *alport, sa_family_t family)
{
    struct sockaddr_storage ss = {.ss_family = family};
    socklen_t len = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    bool in_use = false;
    if (!boot())
        return libc.rresvport_af(alport, family);
    if (family != AF_INET && family != AF_INET6)
        return (int)to_errno(-EAFNOSUPPORT);
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (*alport < RESV_LOW)
        *alport = RESV_LOW;
    else if (*alport > RESV_HIGH)
        *alport = RESV_HIGH;
    if (bind_reserved(fd, &ss, len, alport, RESV_LOW, &in_use) == 0)
        return fd;
    int err = in_use ? EAGAIN : errno;
    close(fd);
    return (int)to_errno(-err);
}

EXPORT int rresvport(int *alport)
{
    return rresvport_af(alport, AF_INET);
}

int bindresvport(int fd, struct sockaddr_in *sin); /* no header of libc's has it any more */
EXPORT int bindresvport(int fd, struct sockaddr_in *sin)
{
    struct sockaddr_storage ss = {.ss_family = AF_INET};
    int port = RESV_FROM + getpid() % (RESV_HIGH - RESV_FROM + 1);
    bool in_use;
    if (!fd_is_stack(fd))
        return libc.bindresvport(fd, sin);
    if (sin && sin->sin_family != AF_INET)
        return (int)to_errno(-EAFNOSUPPORT);
    if (sin)
        memcpy(&ss, sin, sizeof(*sin));
    if (bind_reserved(fd, &ss, sizeof(struct sockaddr_in), &port, RESV_LOW, &in_use) < 0)
        return -1;
    if (sin)
        sin->sin_port = htons((uint16_t)port);
    return 0;
}
