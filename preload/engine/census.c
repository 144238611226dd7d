/* census.c: see census.h. */
#include "census.h"

#include <string.h>

#include "../../stack/inspect.h"
#include "engine.h"

#define TRIES    100
#define PAUSE_NS 100000

static const char *const names[CENSUS_TCP_STATES] = {
    "",           "ESTAB",     "SYN-SENT", "SYN-RECV",   "FIN-WAIT-1",
    "FIN-WAIT-2", "TIME-WAIT", "CLOSE",    "CLOSE-WAIT", "LAST-ACK",
    "LISTEN",     "CLOSING",   ""};

const char *census_state(unsigned state)
{
    return state < CENSUS_TCP_STATES ? names[state] : "";
}

struct shard *census_lock(void)
{
    struct shard *sh = &engine.st->shard[0];

    for (int i = 0; i < TRIES; i++) {
        struct timespec pause = {0, PAUSE_NS};

        if (shard_trylock(sh))
            return sh;
        sys2(SYS_nanosleep, &pause, NULL);
    }
    return NULL;
}

static void add(void *arg, unsigned table, const struct inspect_view *v)
{
    struct census *c = arg;

    if (1u << table & INSPECT_TCP) {
        if (v->state < CENSUS_TCP_STATES)
            c->tcp[v->state]++;
        if (table == INSPECT_CONN) {
            c->tcp_rcv += v->rqueue;
            c->tcp_snd += v->wqueue;
        }
    } else if (table == INSPECT_UDP || table == INSPECT_UDPLITE) {
        c->udp++;
        c->udp_rcv += v->rqueue;
    } else {
        c->raw += table == INSPECT_RAW;
        c->ping += table == INSPECT_PING;
        c->packet += table == INSPECT_PACKET;
    }
}

bool census_walk(unsigned tables, census_fn *fn, void *arg)
{
    static struct inspect_view v[INSPECT_PIECE]; /* the keeper has one thread */

    for (unsigned table = 0; table < INSPECT_TABLES; table++) {
        struct inspect_query q = {.tables = 1u << table, .states = ~0u};
        struct inspect_at at = {0};
        bool more = tables & q.tables;

        while (more) {
            struct shard *sh = census_lock();
            unsigned n;

            if (!sh)
                return false;
            n = inspect_next(sh, &at, &q, v, INSPECT_PIECE, &more);
            shard_unlock(sh);
            for (unsigned i = 0; i < n; i++)
                fn(arg, table, &v[i]);
        }
    }
    return true;
}

bool census_take(struct census *c)
{
    memset(c, 0, sizeof *c);
    return census_walk(~0u, add, c);
}
