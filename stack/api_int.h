/* api_int.h: what the files of the api share: the way in and out, and this process's place in the family. */
#ifndef SHUNT_API_INT_H
#define SHUNT_API_INT_H

#include "api.h"
#include "family.h"
#include "ready.h"
#include "shard.h"
#include "sock.h"

/* Which stack this process uses, and its place there: set before the first call, and again in the child of a
 * fork. */
void api_bind(struct stack *st, struct proc *p);
/* Fills in all functions of api*.c, fdt and isolate. What belongs to the engine (waking and sleeping,
 * processes, descriptors) is left alone. */
void api_fill(struct shunt_api *t);

/* --- for api*.c --- */
struct api_self {
    struct stack *st;
    struct proc *proc;
    uint32_t uid; /* of who makes sockets */
};
extern struct api_self api_self;

/* Takes shard 0's lock and brings its clock up to date. */
struct shard *api_enter(void);
/* Hands up, transmits, unlocks, wakes. */
void api_leave(struct shard *sh);
/* Enters with r's file. NULL and *err (-EBADF, or -ENOTSOCK for api_enter_sock), not entered, when there is
 * none. */
struct file *api_enter_file(struct ref r, int *err);
struct sock *api_enter_sock(struct ref r, int *err);
/* As api_enter_file, for what needs no time: the clock, which costs as much as the rest, is left as it is. */
struct file *api_enter_look(struct ref r, int *err);

static inline struct file *api_file(struct ref r)
{
    return r.pin ? r.pin : proc_file(api_self.proc, r.fd);
}

/* Each file's share of the table. */
void api_fill_fd(struct shunt_api *t);
void api_fill_sock(struct shunt_api *t);
void api_fill_io(struct shunt_api *t);
void api_fill_ready(struct shunt_api *t);
void api_fill_proc(struct shunt_api *t);

#endif
