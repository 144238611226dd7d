/* parcel.h: files on their way over a Unix socket (SCM_RIGHTS).
 *
 * Theory of operation. The kernel carries a descriptor of the stack only as what stands on the number, a
 * duplicate of the placeholder, which says nothing. So what is sent in its place is a kernel object with an
 * identity of its own, the ticket (preload/engine/parcel.c), and here stands which file it means. A parcel
 * holds a reference on its file from the sending until the message is received (not when it is looked at,
 * MSG_PEEK), or the keeper sees that no copy of the ticket is left anywhere.
 *
 * Context of all functions: shard 0's lock.
 */
#ifndef SHUNT_PARCEL_H
#define SHUNT_PARCEL_H

#include <stdint.h>

struct file;
struct proc;
struct stack;

#define PARCELS_MAX 16384 /* on their way at a time */

/* What tells a ticket from all other sockets: SO_COOKIE, and the inode number as older kernels count cookies
 * by network namespace. */
struct parcel_key {
    uint64_t cookie, ino;
};

int parcel_init(struct stack *st); /* 0 or -ENOMEM */
/* How many there are; may be read without the lock: nothing to look for while it is 0. */
const uint32_t *parcel_count(const struct stack *st);
/* Notes that the ticket stands for f, with one more reference on it; note: the sender's own, given to who
 * takes it. 0, -ETOOMANYREFS, or -EEXIST: the key is in use. */
int parcel_add(struct stack *st, struct parcel_key key, struct file *f, uint8_t note);
/* The file that the ticket stands for, without a reference; NULL: none. */
struct file *parcel_find(struct stack *st, struct parcel_key key, uint8_t *note);
/* The last copy of the ticket is gone. Nothing when there is no such parcel. */
void parcel_drop(struct stack *st, struct parcel_key key);
/* All of them: there is nobody left to receive them. */
void parcel_drop_all(struct stack *st);
/* family_mend's: counts the parcels, and the references that they hold. */
void parcel_mend(struct stack *st);

#endif
