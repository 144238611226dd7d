/* parcel.c: see parcel.h.
 *
 * A process may be killed anywhere in here (it holds the lock then): entries are filled in before they are
 * linked by one store and unlinked by one store before they are freed, so that the chains stay whole. */
#include <errno.h>

#include "file.h"
#include "parcel.h"
#include "slab.h"
#include "stack.h"

#define BUCKETS 1024

struct parcel {
    struct parcel *next;
    struct parcel_key key;
    struct file *file;
    uint8_t note;
};

struct parcel_table {
    uint32_t n;
    struct slab slab;
    struct parcel *bucket[BUCKETS];
};

int parcel_init(struct stack *st)
{
    struct parcel_table *t = seg_alloc(st->seg, sizeof *t, 64);

    if (!t || slab_init(&t->slab, st->seg, sizeof(struct parcel), PARCELS_MAX))
        return -ENOMEM;
    st->ready->parcels = t;
    return 0;
}

const uint32_t *parcel_count(const struct stack *st)
{
    return &st->ready->parcels->n;
}

/* The link that leads to the parcel, or the end of its chain. Cookies are consecutive numbers. */
static struct parcel **link_of(struct stack *st, struct parcel_key key)
{
    struct parcel **at = &st->ready->parcels->bucket[key.cookie % BUCKETS];

    while (*at && ((*at)->key.cookie != key.cookie || (*at)->key.ino != key.ino))
        at = &(*at)->next;
    return at;
}

int parcel_add(struct stack *st, struct parcel_key key, struct file *f, uint8_t note)
{
    struct parcel_table *t = st->ready->parcels;
    struct parcel **at = link_of(st, key);
    struct parcel *p = *at ? NULL : slab_alloc(&t->slab);

    if (*at)
        return -EEXIST;
    if (!p)
        return -ETOOMANYREFS;
    p->key = key;
    p->file = f;
    p->note = note;
    file_hold(f);
    __atomic_store_n(at, p, __ATOMIC_RELEASE);
    t->n++;
    return 0;
}

struct file *parcel_find(struct stack *st, struct parcel_key key, uint8_t *note)
{
    struct parcel *p = *link_of(st, key);

    if (!p)
        return NULL;
    *note = p->note;
    return p->file;
}

static void drop(struct stack *st, struct parcel **at)
{
    struct parcel *p = *at;
    struct file *f = p->file;

    __atomic_store_n(at, p->next, __ATOMIC_RELEASE);
    st->ready->parcels->n--;
    slab_free(&st->ready->parcels->slab, p);
    file_put(st, f);
}

void parcel_drop(struct stack *st, struct parcel_key key)
{
    struct parcel **at = link_of(st, key);

    if (*at)
        drop(st, at);
}

void parcel_drop_all(struct stack *st)
{
    struct parcel_table *t = st->ready->parcels;

    for (unsigned i = 0; t->n && i < BUCKETS; i++)
        while (t->bucket[i])
            drop(st, &t->bucket[i]);
}

void parcel_mend(struct stack *st)
{
    struct parcel_table *t = st->ready->parcels;

    t->n = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct parcel *p = t->bucket[i]; p; p = p->next) {
            file_hold(p->file);
            t->n++;
        }
    }
}
