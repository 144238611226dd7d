/* census.h: how many sockets there are, by kind and state, and what they hold. Looks a piece at a time
 * (stack/inspect.h), so that it keeps nobody from the lock for longer than some microseconds.
 */
#ifndef SHUNT_ENGINE_CENSUS_H
#define SHUNT_ENGINE_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#define CENSUS_TCP_STATES 13 /* by Linux's number, from 1 */

struct census {
    uint64_t tcp[CENSUS_TCP_STATES], udp, raw, ping, packet;
    uint64_t tcp_rcv, tcp_snd, udp_rcv; /* bytes in their queues */
};

struct inspect_view;
struct shard;
typedef void census_fn(void *arg, unsigned table, const struct inspect_view *v);

/* The lock, waited for no longer than a running owner may have it: who asks must be answered, also of a stack
 * that was stopped inside. NULL: it stays taken. */
struct shard *census_lock(void);
/* Calls fn for each socket of the tables (bits by enum inspect_table). Returns and context as census_take's.
 */
bool census_walk(unsigned tables, census_fn *fn, void *arg);
/* The name of a state, as ss shows it; "" for none. */
const char *census_state(unsigned state);
/* False: somebody has the lock and does not give it back (a stopped process): what *c has so far is all.
 * Context: none of the locks. */
bool census_take(struct census *c);

#endif
