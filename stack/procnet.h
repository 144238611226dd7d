/* procnet.h: the files below /proc/net, as proc(5) and Linux 6.18 have them, of a stack.
 *
 * Theory of operation. A file's text is made in pieces; struct procnet_at says where to go on. A piece of a
 * table of sockets is views taken under the shard's lock and written after it is free; of interfaces, routes,
 * neighbours and groups a few dozen lines are written under it. Lines have the kernel's columns to the byte,
 * its padding included, because there are programs that read by column.
 *
 * What is not a number of the stack's: `ref` is what it would typically be, `pointer` tells objects apart.
 * Files of the kernel's that tell about its own tables in a form that the stack has no use for (fib_trie,
 * rt_acct ...) are not there.
 */
#ifndef SHUNT_PROCNET_H
#define SHUNT_PROCNET_H

#include "inspect.h"

#define PROCNET_ROOM 32768 /* bytes that a piece needs to have */

struct procnet_at {
    uint32_t step; /* 0: at the start */
    uint32_t line; /* lines written so far, without the header */
    struct inspect_at at;
};

/* The number of file `name` (the path behind /proc/net/). -ENOENT: the stack has none and neither is the
 * kernel's to be shown. -ENOSYS: what the kernel has there is not about the network of a stack. */
int procnet_find(const char *name);
/* The next piece of the file: bytes written to buf, which has PROCNET_ROOM. *more false: that was all. Takes
 * and gives back the shard's lock by itself, at time now_ns (enter brings the shard's clock up to date). */
struct shard;
size_t procnet_read(struct stack *st, int file, struct procnet_at *at, char *buf, bool *more,
                    struct shard *(*enter)(void), void (*leave)(struct shard *sh));

/* --- among procnet*.c --- */

/* Text in a buffer of fixed size; what does not fit is left out. */
struct lines {
    char *p;
    size_t len, room;
};
void lines_add(struct lines *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Spaces up to column width of the line that began at byte `start`, and its end. */
void lines_pad(struct lines *o, size_t start, size_t width);

/* A table of the stack's own, in pieces of at most PROCNET_LINES lines. Context: the shard's lock. True:
 * there is more. */
#define PROCNET_LINES 64
typedef bool procnet_table(struct shard *sh, struct procnet_at *at, struct lines *o);
procnet_table procnet_dev, procnet_dev_mcast, procnet_if_inet6, procnet_arp, procnet_route,
    procnet_ipv6_route, procnet_igmp, procnet_igmp6, procnet_mcfilter, procnet_mcfilter6, procnet_rt_cache;
/* procnet_snmp.c. Context: none of the locks. */
typedef void procnet_counts(const struct stack *st, struct lines *o);
procnet_counts procnet_snmp, procnet_netstat, procnet_snmp6, procnet_sockstat, procnet_sockstat6;

/* One line of a table of sockets; pure. line: its number. */
enum procnet_form { FORM_TCP, FORM_TCP6, FORM_UDP, FORM_DGRAM, FORM_ICMP, FORM_DGRAM6, FORM_PACKET };
void procnet_sock_header(struct lines *o, enum procnet_form form);
void procnet_sock_line(struct lines *o, enum procnet_form form, const struct inspect_view *v, uint32_t line);

#endif
