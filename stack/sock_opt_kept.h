/* sock_opt_kept.h: options of SOL_SOCKET that are answered without effect (sock_opt_kept.c). 0 or -errno;
 * -ENOPROTOOPT: not one of them. Context: shard 0's lock.
 */
#ifndef SHUNT_SOCK_OPT_KEPT_H
#define SHUNT_SOCK_OPT_KEPT_H

#include <sys/socket.h>

struct sock;

int sock_kept_setopt(struct sock *s, int name, const void *val, socklen_t len);
int sock_kept_getopt(struct sock *s, int name, void *val, socklen_t *len);

#endif
