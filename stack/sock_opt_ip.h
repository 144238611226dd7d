/* sock_opt_ip.h: options of IPPROTO_IP and IPPROTO_IPV6 that few programs set (sock_opt_ip.c). Known to
 * sock*.c alone. */
#ifndef SHUNT_SOCK_OPT_IP_H
#define SHUNT_SOCK_OPT_IP_H

#include "sock.h"

/* 1: another option, or one that the callers know. 0 or -errno. */
int sock_ip_setopt(struct sock *s, int level, int name, const void *val, socklen_t len);
int sock_ip_getopt(struct sock *s, int level, int name, void *val, socklen_t *len);
/* An option that takes a value of no bytes as 0 (do_ip_setsockopt). */
bool sock_ip_empty_is_zero(int level, int name);
/* The value of one that is kept as an int. */
int sock_ip_kept(const struct sock *s, int level, int name);
/* IP_LOCAL_PORT_RANGE; 0: none. */
uint32_t sock_ip_port_range(const struct sock *s);
/* IPV6_FLOWINFO_SEND: the flow label that the name sa says, of a connect, or of the next send (once) up to
 * sock_ip_send_done. 0 or -ENOBUFS. */
int sock_ip_take_label(struct sock *s, const struct sockaddr *sa, socklen_t len, bool once);
void sock_ip_send_done(const struct sock *s);
/* What s has of them; NULL: none was set. */
struct ip_ext *sock_ip_ext(const struct sock *s);

#endif
