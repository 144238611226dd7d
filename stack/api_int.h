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

static inline bool api_has_lanes(void)
{
    return __builtin_expect(api_self.st->nshard > 1, 0);
}

/* Takes the lock and brings its clock up to date. */
struct shard *api_enter(void);
/* With several shards: takes the lock of one alone (lane.h) and brings its clock up to date. try: NULL when
 * somebody has it. */
struct shard *api_enter_lane(struct shard *sh, bool try);
/* May calls go by lanes? Without a lock: a moment ago. */
bool api_lanes_open(void);
/* The shard that this thread polls first. */
struct shard *api_home(void);
/* Looks at the devices as a call does that finds nothing: by the lock, or with several shards by the lane of
 * the thread's home, and those of the others that nobody has looked at for a while. Frames. */
unsigned api_poll_devices(void);
#define API_STALE_NS 50000u /* a shard that nobody polled for so long is anybody's to poll */
/* The second half of that. */
unsigned api_poll_others(const struct shard *home);
/* Hands up, transmits, unlocks, wakes. */
void api_leave(struct shard *sh);
/* Enters with r's file. NULL and *err (-EBADF, or -ENOTSOCK for api_enter_sock), not entered, when there is
 * none. */
struct file *api_enter_file(struct ref r, int *err);
struct sock *api_enter_sock(struct ref r, int *err);
/* All locks, as api_enter_sock, for what could do with a lane but for what it shares beside: a plain
 * connection stays where it is. */
struct sock *api_enter_sock_here(struct ref r, int *err);
/* As api_enter_sock, where the call may do with the lane of the socket's shard: what it does with a plain
 * connection (tcp_lane.h) is a plain send or recv. Without lane, or with another connection: all locks. */
struct sock *api_enter_plain(struct ref r, bool lane, int *err);
/* Before api_leave of what api_enter_plain entered: was something left for all locks that may be what the
 * call missed? */
static inline bool api_left_some(const struct sock *s)
{
    return __builtin_expect(s->sh->many, 0) && !api_self.st->all && s->sh->slow;
}
/* As api_enter_file, for what needs no time: the clock, which costs as much as the rest, is left as it is. */
struct file *api_enter_look(struct ref r, int *err);

/* The same for file_poll, by the lane of the file's shard. NULL: not so, by api_enter_look then. */
struct file *api_enter_lane_look(struct ref r);

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
