/* timer.c: the timer wheel (timer.h).
 *
 * Theory of operation. Level L has 64 slots of 64^L ms. A timer is placed by the highest group of 6 bits in
 * which its expiry differs from now: at that level its slot lies ahead of the slot that now is in, within the
 * same turn. From that follows all else: every event of level L comes before every event of level L+1, so the
 * next event is the lowest occupied slot of the lowest occupied level, found by two count-trailing-zeros; and
 * as long as now does not pass an occupied slot's start, no timer needs to move. When now reaches the start
 * of a slot of level > 0, its timers are placed again, each at a lower level (a cascade). The top level alone
 * may wrap around; an expiry beyond its turn is put on its last slot and placed again from there.
 */
#include "timer.h"

#include <stddef.h>

#define TOP        (WHEEL_LEVELS - 1)
#define SHIFT(lvl) ((lvl)*WHEEL_BITS)
#define SLOT_MASK  (WHEEL_SLOTS - 1)

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    w->now_ms = now_ms;
    w->armed = 0;
    w->moved = NULL;
    w->opened = NULL;
    list_init(&w->moving);
    list_init(&w->due);
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        w->occupied[l] = 0;
        for (unsigned s = 0; s < WHEEL_SLOTS; s++)
            list_init(&w->slot[l][s]);
    }
}

void timer_init(struct timer *t, enum timer_kind kind)
{
    list_init(&t->node);
    t->expires_ms = 0;
    t->kind = (unsigned)kind & 0x3f;
    t->armed = false;
    t->level = t->slot = 0;
}

/* Links t, whose expiry is after now, into the slot that the theory of operation names. */
static void place(struct wheel *w, struct timer *t)
{
    uint64_t when = t->expires_ms;
    unsigned level = (63 - (unsigned)__builtin_clzll(when ^ w->now_ms)) / WHEEL_BITS;

    if (level >= TOP) {
        uint64_t ahead = (when >> SHIFT(TOP)) - (w->now_ms >> SHIFT(TOP));

        level = TOP;
        if (ahead > SLOT_MASK)
            when = ((w->now_ms >> SHIFT(TOP)) + SLOT_MASK) << SHIFT(TOP);
    }
    t->level = (unsigned)level & 7;
    t->slot = (when >> SHIFT(level)) & SLOT_MASK;
    list_add_tail(&w->slot[level][t->slot], &t->node);
    w->occupied[level] |= 1ULL << t->slot;
}

static void unplace(struct wheel *w, struct timer *t)
{
    list_del(&t->node);
    if (list_empty(&w->slot[t->level][t->slot]))
        w->occupied[t->level] &= ~(1ULL << t->slot);
}

void timer_arm(struct wheel *w, struct timer *t, uint64_t expires_ms)
{
    if (expires_ms <= w->now_ms)
        expires_ms = w->now_ms + 1;
    if (t->armed && t->expires_ms == expires_ms)
        return;
    w->moved = t;
    list_step();
    if (t->armed) {
        unplace(w, t);
    } else {
        t->armed = true;
        w->armed++;
    }
    t->expires_ms = expires_ms;
    place(w, t);
    list_step();
    w->moved = NULL;
}

void timer_cancel(struct wheel *w, struct timer *t)
{
    if (!t->armed)
        return;
    w->moved = t;
    list_step();
    unplace(w, t);
    t->armed = false;
    w->armed--;
    list_step();
    w->moved = NULL;
}

/* The next occupied slot: its level and number, and the time at which it starts. False when there is none. */
static bool next_event(const struct wheel *w, unsigned *level, unsigned *slot, uint64_t *at_ms)
{
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        uint64_t turn = w->now_ms >> SHIFT(l);
        unsigned cur = turn & SLOT_MASK, ahead;
        uint64_t bits = w->occupied[l];

        if (!bits)
            continue;
        /* Distance from the slot after the current one; below the top level no slot lies behind it. */
        bits = (cur == SLOT_MASK) ? bits : (bits >> (cur + 1)) | (bits << (SLOT_MASK - cur));
        ahead = 1 + (unsigned)__builtin_ctzll(bits);
        *level = l;
        *slot = (cur + ahead) & SLOT_MASK;
        *at_ms = (turn + ahead) << SHIFT(l);
        return true;
    }
    return false;
}

uint64_t wheel_next(const struct wheel *w)
{
    unsigned level, slot;
    uint64_t at;

    if (!list_empty(&w->due) || !list_empty(&w->moving))
        return w->now_ms;
    return next_event(w, &level, &slot, &at) ? at : WHEEL_NEVER;
}

/* Puts what is on its way where it belongs by now: on due, or at a lower level. */
static void settle(struct wheel *w)
{
    while (!list_empty(&w->moving)) {
        struct timer *t = container_of(w->moving.next, struct timer, node);

        w->moved = t;
        list_step();
        list_del(&t->node);
        if (t->expires_ms <= w->now_ms)
            list_add_tail(&w->due, &t->node);
        else
            place(w, t);
        list_step();
        w->moved = NULL;
    }
}

/* A timer on due still counts as armed: fire may cancel or re-arm any of them. */
static void fire_due(struct wheel *w, void (*fire)(void *arg, struct timer *t), void *arg)
{
    while (!list_empty(&w->due)) {
        struct timer *t = container_of(w->due.next, struct timer, node);

        w->moved = t;
        list_step();
        list_del(&t->node);
        t->armed = false;
        w->armed--;
        list_step();
        w->moved = NULL;
        fire(arg, t);
    }
}

static void open_slot(struct wheel *w, unsigned level, unsigned slot)
{
    struct list *head = &w->slot[level][slot], *moving = &w->moving;

    w->opened = head;
    list_step();
    moving->next = head->next;
    moving->prev = head->prev;
    moving->next->prev = moving->prev->next = moving;
    list_init(head);
    list_step();
    w->opened = NULL;
    w->occupied[level] &= ~(1ULL << slot);
    settle(w);
}

/* Killed between two stores of open_slot: the ring of timers is entered by one head and left by the other.
 * Both are put in it: each timer then is on one list again. */
static void mend_opened(struct wheel *w)
{
    struct list *head = w->opened, *moving = &w->moving, *first, *n;

    if (!head)
        return;
    first = head->next != head ? head->next : moving->next;
    list_init(head);
    list_init(moving);
    while (first != head && first != moving) {
        n = first->next;
        list_add_tail(moving, first);
        first = n;
    }
    w->opened = NULL;
}

static uint32_t count(struct list *l)
{
    uint32_t n = 0;

    list_repair(l);
    list_for_each(x, l) n++;
    return n;
}

/* Where the timer that was being moved is: linked on a list as far as reading forward shows. */
static bool is_linked(const struct wheel *w, const struct timer *t)
{
    bool yes = list_has(&w->moving, &t->node) || list_has(&w->due, &t->node);

    for (unsigned l = 0; l < WHEEL_LEVELS && !yes; l++)
        for (unsigned s = 0; s < WHEEL_SLOTS && !yes; s++)
            yes = list_has(&w->slot[l][s], &t->node);
    return yes;
}

void wheel_mend(struct wheel *w)
{
    struct timer *t = w->moved;

    mend_opened(w);
    w->armed = count(&w->moving) + count(&w->due);
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        w->occupied[l] = 0;
        for (unsigned s = 0; s < WHEEL_SLOTS; s++) {
            uint32_t n = count(&w->slot[l][s]);

            w->armed += n;
            w->occupied[l] |= (uint64_t)(n != 0) << s;
        }
    }
    if (!t)
        return;
    /* Into the list of what is settled next: there it fires, or finds its slot. It may fire once for nothing,
     * which timers allow. */
    if (is_linked(w, t))
        list_del(&t->node);
    else
        w->armed++;
    list_init(&t->node);
    t->armed = true;
    list_add_tail(&w->moving, &t->node);
    w->moved = NULL;
}

void wheel_run(struct wheel *w, uint64_t now_ms, void (*fire)(void *arg, struct timer *t), void *arg)
{
    unsigned level, slot;
    uint64_t at;

    /* What a process left that died in here. */
    settle(w);
    fire_due(w, fire, arg);
    while (w->now_ms < now_ms) {
        if (!next_event(w, &level, &slot, &at) || at > now_ms) {
            w->now_ms = now_ms;
            return;
        }
        w->now_ms = at;
        open_slot(w, level, slot);
        fire_due(w, fire, arg);
    }
}
