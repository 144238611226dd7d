/* notes.h: what changed, for those who listen (`ip monitor`, netlink.h): routes and neighbours. Layers below
 * netlink note a change by value, since what it was may be gone when it is told; netlink tells at the end of
 * the call under the lock. Interfaces and addresses need no notes: what is there is compared with what was
 * told.
 *
 * Nobody listens: nothing is noted (stack.listened). More changes in one call than there is room for: who
 * listens hears of the loss, as from the kernel (ENOBUFS).
 */
#ifndef SHUNT_NOTES_H
#define SHUNT_NOTES_H

#include "neigh.h"
#include "route.h"

#define NOTES_MAX 256

/* stack.listened */
enum { LISTEN_IF = 1, LISTEN_ROUTE = 2, LISTEN_NEIGH = 4 };

enum note_kind { NOTE_ROUTE, NOTE_NEIGH };

struct note {
    uint8_t kind; /* enum note_kind */
    bool gone;
    union {
        struct {
            struct route r;
            struct route_extra extra; /* used 0: none */
        };
        struct neigh neigh; /* lists and timers in it mean nothing */
    };
};

struct notes {
    uint32_t n;
    bool lost; /* there were more */
    struct note note[NOTES_MAX];
};

/* The next note; NULL: none is wanted, or there is no room. */
static inline struct note *note_next(struct stack *st, unsigned listen, enum note_kind kind, bool gone)
{
    struct notes *all = st->notes;
    struct note *x;

    if (__builtin_expect(!(st->listened & listen), 1))
        return NULL;
    if (all->n == NOTES_MAX) {
        all->lost = true;
        return NULL;
    }
    x = &all->note[all->n++];
    x->kind = (uint8_t)kind;
    x->gone = gone;
    return x;
}

/* e: NULL: the route has none. */
static inline void note_route(struct stack *st, const struct route *r, const struct route_extra *e, bool gone)
{
    struct note *x = note_next(st, LISTEN_ROUTE, NOTE_ROUTE, gone);

    if (!x)
        return;
    x->r = *r;
    x->extra = e ? *e : (struct route_extra){.used = 0};
}

static inline void note_neigh(struct stack *st, const struct neigh *n, bool gone)
{
    struct note *x = note_next(st, LISTEN_NEIGH, NOTE_NEIGH, gone);

    if (x)
        x->neigh = *n;
}

#endif
