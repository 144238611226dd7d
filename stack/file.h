/* file.h: what the files of layer 6 share among themselves (file.c, ready.c, eset.c, sock*.c): where their
 * objects come from, and how an epoll set looks inside. Others use ready.h and sock.h. All of it lies in the
 * segment, under shard 0's lock.
 */
#ifndef SHUNT_FILE_H
#define SHUNT_FILE_H

#include "ready.h"
#include "slab.h"

#define WAITERS_MAX 65536

struct ready_state {
    struct slab socks;         /* struct sock */
    struct slab mores;         /* struct sock_more */
    struct slab opts;          /* struct sock_opt */
    struct slab esets;         /* struct eset */
    struct slab items;         /* struct eset_item */
    struct slab watches;       /* struct waiter_watch */
    struct slab waiters;       /* struct waiter */
    uint64_t next_id;          /* of files */
    struct eset_item **bucket; /* all items of all sets by (set, descriptor number) */
    uint32_t bucket_mask;
    struct family *family; /* family.c's own */
    struct parcel_table *parcels;
};

struct eset {
    struct file file;  /* first */
    struct list items; /* struct eset_item.all */
    uint32_t nitems;
    uint32_t nested; /* items that are sets themselves */
    /* struct eset_item.rdy: perhaps ready, looked at by eset_collect. A list for the files of each shard
     * (file.shard), changed under that one's lock; nready is read without. */
    uint32_t nready[SHARD_MAX];
    struct list ready[SHARD_MAX];
    uint32_t turn; /* whose list is first when all are looked at: who filled the room is last the next time */
};

/* One registration, named by (set, fd, file) as in Linux: the same number may come to mean another file while
 * the old one lives on by a dup. */
struct eset_item {
    struct watch w; /* first; kind WATCH_ITEM. w.mask: events of interest, 0 but for the mode bits when a
                       one-shot has fired */
    struct eset *set;
    struct list all, rdy;
    struct eset_item *hnext;
    int32_t fd;
    uint64_t data;
};
_Static_assert(sizeof(struct eset_item) <= 96, "a connection in a set pays for it");

/* Prepares a fresh file with one reference. */
void file_init(struct stack *st, struct file *f, enum file_type type);

/* For file_put: everybody who watches f is told and let go. */
void ready_forget(struct stack *st, struct file *f);
/* Wakes one more exclusive waiter of f, because what one of them was woken for is still there. */
void ready_pass_on(struct stack *st, struct file *f, uint32_t mask);
/* An event came for an item: on its set's ready list. True when a waiter was woken. */
bool eset_item_event(struct stack *st, struct eset_item *it);
void eset_item_free(struct stack *st, struct eset_item *it);
/* Its file goes to another shard. */
void eset_item_move(struct eset_item *it, uint8_t from, uint8_t to);
/* file_put's: drops all items and the set. */
void eset_close(struct stack *st, struct eset *e);
/* ready_mend's: all sets and items, when no file has watches yet. */
void eset_mend(struct stack *st);
/* family_mend's: sets the references of all files to 0; then, once they are counted again, ends those that
 * nobody holds. */
void file_mend_begin(struct stack *st);
void file_mend_end(struct stack *st);

#endif
