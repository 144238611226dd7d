/* tcp_table.h: where connections, half-open connections, TIME_WAIT entries and listeners are found. Context:
 * shard lock. */
#ifndef SHUNT_TCP_TABLE_H
#define SHUNT_TCP_TABLE_H

#include "tcp_cb.h"

/* --- growing hash table; obj is the struct list an entry starts with, of which only next is used --- */

/* The hash of an entry; given at every call because no function pointer may live in the segment. */
typedef uint32_t tcp_hash_fn(const struct stack *st, const struct list *obj);

/* Reserves room for max entries. 0 or -ENOMEM. */
int tcp_hash_init(struct tcp_hash *h, struct seg *seg, uint32_t max);
void tcp_hash_insert(struct tcp_hash *h, const struct stack *st, struct list *obj, uint32_t hash,
                     tcp_hash_fn *fn);
/* Takes obj out; harmless when it is not in. */
void tcp_hash_remove(struct tcp_hash *h, struct list *obj, uint32_t hash);
/* First of the chain that an entry of this hash would be in. */
struct list *tcp_hash_chain(const struct tcp_hash *h, uint32_t hash);
/* After a process was killed in here: finishes what it began, counts again. */
void tcp_hash_mend(struct tcp_hash *h, const struct stack *st, tcp_hash_fn *fn);

/* --- memory --- */

#define TCP_MEM_FREE_HAND (64u << 10) /* bytes a queue may hold however tight memory is */

/* Seven eighths of the packet buffers are out (Linux: tcp_mem's pressure). Then no queue grows beyond
 * TCP_MEM_FREE_HAND, so that slow readers and dead peers can't take the buffers that the others need to go
 * on. Cheap: reads the pool's own count. */
bool tcp_memory_tight(const struct shard *sh);

/* --- tcbs --- */

/* A zeroed tcb in TCPS_CLOSE with its lists initialised, or NULL (counted NOMEM_PCB). */
struct tcb *tcb_alloc(struct shard *sh);
/* Gives back everything: queues, timers, port, table entry. Nothing may point at t afterwards. */
void tcb_free(struct shard *sh, struct tcb *t);

void tcp_conn_insert(struct shard *sh, struct tcb *t);
void tcp_conn_remove(struct shard *sh, struct tcb *t);
void tcp_conn_mend(struct shard *sh);
/* The connection between these end points that lives on this shard, or NULL. */
struct tcb *tcp_find(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* The connection between these end points, or NULL. With all locks held and sh shard 0: wherever it lived, it
 * does so there now. */
struct tcb *tcp_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);
/* port_connect's question: connection or TIME_WAIT entry that can't be reused. */
bool tcp_tuple_in_use(struct shard *sh, const struct endpoint *local, const struct endpoint *remote);

void tcp_listen_insert(struct shard *sh, struct tcb *t);
void tcp_listen_remove(struct shard *sh, struct tcb *t);
/* The best listener for local: specific address before wildcard, bound interface before none, SO_REUSEPORT
 * groups spread by the flow's hash. Or NULL. */
/* The i-th of t's SO_REUSEPORT group, in the order of listen; t when there are not so many. */
struct tcb *tcp_listen_nth(struct shard *sh, struct tcb *t, uint32_t i);
struct tcb *tcp_lookup_listen(struct shard *sh, const struct endpoint *local, const struct endpoint *remote,
                              unsigned ifindex);

#endif
