/* call_resolve.c: names: getaddrinfo, gethostby*, getnameinfo, res_*.
 *
 * Theory of operation. These functions of libc ask name servers, and find the order of addresses by
 * connecting sockets, by calls that no preload sees: on the kernel's network. While one of them runs its
 * thread's system calls are handed to the interposers instead (dispatch.c), so that a name server is asked by
 * the side that its address is on, and in profile isolate by nobody else. SHUNT_RESOLVE=0 leaves them to the
 * kernel; so does a machine without syscall user dispatch.
 */
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

#include "boot.h"
#include "dispatch.h"
#include "fdtab.h"
#include "libc.h"
#include "route.h"

static struct dispatch_scope resolving(void)
{
    struct dispatch_scope none = {0};
    return boot() && route_setting("SHUNT_RESOLVE", 1) ? dispatch_begin() : none;
}

#define RESOLVE(call)                                                                                        \
    ({                                                                                                       \
        struct dispatch_scope scope_ = resolving();                                                          \
        __auto_type r_ = libc.call;                                                                          \
        dispatch_end(&scope_);                                                                               \
        r_;                                                                                                  \
    })

EXPORT int getaddrinfo(const char *restrict node, const char *restrict service,
                       const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    return RESOLVE(getaddrinfo(node, service, hints, out));
}

EXPORT int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host, socklen_t hlen,
                       char *restrict service, socklen_t slen, int flags)
{
    return RESOLVE(getnameinfo(sa, len, host, hlen, service, slen, flags));
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    return RESOLVE(gethostbyname(name));
}

EXPORT struct hostent *gethostbyname2(const char *name, int af)
{
    return RESOLVE(gethostbyname2(name, af));
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len, int af)
{
    return RESOLVE(gethostbyaddr(addr, len, af));
}

EXPORT int gethostbyname_r(const char *restrict name, struct hostent *restrict h, char *restrict buf,
                           size_t n, struct hostent **restrict out, int *restrict err)
{
    return RESOLVE(gethostbyname_r(name, h, buf, n, out, err));
}

EXPORT int gethostbyname2_r(const char *restrict name, int af, struct hostent *restrict h, char *restrict buf,
                            size_t n, struct hostent **restrict out, int *restrict err)
{
    return RESOLVE(gethostbyname2_r(name, af, h, buf, n, out, err));
}

EXPORT int gethostbyaddr_r(const void *restrict addr, socklen_t len, int af, struct hostent *restrict h,
                           char *restrict buf, size_t n, struct hostent **restrict out, int *restrict err)
{
    return RESOLVE(gethostbyaddr_r(addr, len, af, h, buf, n, out, err));
}

EXPORT int res_query(const char *name, int class, int type, unsigned char *answer, int n)
{
    return RESOLVE(res_query(name, class, type, answer, n));
}

EXPORT int res_search(const char *name, int class, int type, unsigned char *answer, int n)
{
    return RESOLVE(res_search(name, class, type, answer, n));
}

EXPORT int res_send(const unsigned char *msg, int len, unsigned char *answer, int n)
{
    return RESOLVE(res_send(msg, len, answer, n));
}

EXPORT int res_nquery(res_state s, const char *name, int class, int type, unsigned char *answer, int n)
{
    return RESOLVE(res_nquery(s, name, class, type, answer, n));
}

EXPORT int res_nsearch(res_state s, const char *name, int class, int type, unsigned char *answer, int n)
{
    return RESOLVE(res_nsearch(s, name, class, type, answer, n));
}

EXPORT int res_nsend(res_state s, const unsigned char *msg, int len, unsigned char *answer, int n)
{
    return RESOLVE(res_nsend(s, msg, len, answer, n));
}

/* The names by which programs linked before glibc 2.34 know them. */
int __res_query(const char *name, int class, int type, unsigned char *answer, int n) ALIAS_NOTHROW(res_query);
int __res_search(const char *name, int class, int type, unsigned char *answer, int n)
    ALIAS_NOTHROW(res_search);
int __res_send(const unsigned char *msg, int len, unsigned char *answer, int n) ALIAS_NOTHROW(res_send);
