/* tcp_opt.h: options of TCP, split over two files: tcp_opt.c has those that most programs use and the door,
 * tcp_opt_rare.c the others. Both return 0, -EINVAL, -EPERM, -ENOBUFS, or -ENOPROTOOPT for a name that is not
 * theirs. Context: the shard's lock.
 */
#ifndef SHUNT_TCP_OPT_H
#define SHUNT_TCP_OPT_H

#include "tcp_cb.h"

int tcp_rare_setopt(struct shard *sh, struct tcb *t, int name, int v);
int tcp_rare_getopt(struct shard *sh, const struct tcb *t, int name, int *v);

#endif
