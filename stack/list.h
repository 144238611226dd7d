/* list.h: an intrusive circular doubly linked list. Nodes may live in the segment: the pointers are valid in
 * every process of the family, because the segment is mapped at one address. */
#ifndef SHUNT_LIST_H
#define SHUNT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#ifndef container_of /* DPDK has one too */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif
#define list_for_each(n, head) for (struct list *n = (head)->next; n != (head); n = n->next)
/* Safe against removal of n itself in the body. */
#define list_for_each_safe(n, head)                                                                          \
    for (struct list *n = (head)->next, *n##_next = n->next; n != (head); n = n##_next, n##_next = n->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Keeps the stores of an operation in order: a process killed between two of them leaves a list that is whole
 * when read forward, which list_repair starts from. */
#define list_step() __asm__ volatile("" ::: "memory")

static inline void list_add_tail(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    list_step();
    head->prev->next = n;
    list_step();
    head->prev = n;
}

static inline void list_add_head(struct list *head, struct list *n)
{
    n->next = head->next;
    n->prev = head;
    list_step();
    head->next->prev = n;
    list_step();
    head->next = n;
}

/* Unlinks n and leaves it initialised, so that a second list_del is harmless. */
static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    list_step();
    n->next->prev = n->prev;
    list_step();
    list_init(n);
}

/* Makes the backward links agree with the forward ones. */
static inline void list_repair(struct list *head)
{
    for (struct list *n = head;; n = n->next) {
        n->next->prev = n;
        if (n->next == head)
            return;
    }
}

/* Is n linked on head, read forward? */
static inline bool list_has(const struct list *head, const struct list *n)
{
    list_for_each(x, head) if (x == n) return true;
    return false;
}

/* After list_repair, for the one node that was being linked or unlinked: it is on the list, or on none. */
static inline void list_settle(const struct list *head, struct list *n)
{
    if (!list_has(head, n))
        list_init(n);
}

#endif
