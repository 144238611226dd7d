/* sockdiag.h: NETLINK_SOCK_DIAG (man 7 sock_diag), by which ss looks into a stack: TCP, UDP, UDP-Lite and raw
 * sockets (inet_diag, in its version of today and the older one), packet sockets, and SOCK_DESTROY.
 *
 * Theory of operation. A dump takes its sockets from a walk (inspect.h), one at a time while they fit into
 * the piece. It looks at so many places a piece at most that nobody waits long for the lock; a piece in which
 * none was found then consists of a message NLMSG_NOOP, which readers pass over. A filter
 * (INET_DIAG_REQ_BYTECODE) is audited with the request, and run from the request's copy.
 *
 * Families that are not the stack's (AF_UNIX, AF_NETLINK, AF_VSOCK ...) are the kernel's: -EXDEV, on which
 * the preload makes the socket one of the kernel's and asks again there. Nobody else sees that number.
 */
#ifndef SHUNT_SOCKDIAG_H
#define SHUNT_SOCKDIAG_H

#include "netlink.h"

extern const struct nl_protocol sockdiag_protocol;

#endif
