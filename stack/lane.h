/* lane.h: what a shard does under its own lock alone: its lane. With one shard there is none of it.
 *
 * Theory of operation. A stack of several shards has one thing to be changed at a time, as one of a single
 * shard has, but for the plain work of its connections. All locks together (shard_lock) are the lock of old:
 * who holds them works on shard 0, where everything lives that is not plain. A plain connection (tcp_lane.h)
 * may live on another shard, the one whose device queue its frames come in by; and what is done with it for
 * most of its life, segments that carry data and ACKs, send, recv, readiness, needs that shard's lock alone:
 * all it touches is its own, the shard's (queue, timers, dirty and ACK lists, tables for what a connection
 * has now and then, counters), or is only read: routes, neighbours, interfaces, descriptors, epoll items
 * change under all locks only.
 *
 * Frames. A lane takes from its queue what is for a plain connection of its own. From the first frame on that
 * is not, all are kept in their order (slow_head), and when the poller lets go of the lane it takes all locks
 * and works them off on shard 0 as ever (lanes_catch_up). A frame of a connection that lives elsewhere finds
 * it there (tcp_lookup), which brings it to shard 0 first (shard_recall). After the frame, a connection that
 * is plain and no longer young goes to the shard of the queue that it came by: so connections follow their
 * queue, whatever the device chooses it by. The same for timers: a lane whose wheel has something due leaves
 * it to who holds all locks, who brings the connection to shard 0 and back.
 *
 * Calls. api*.c takes the lane where the call is one for it and the connection plain, else all locks; then
 * the connection comes to shard 0, and goes back with its next frames.
 *
 * Readiness. An epoll set has a ready list for each shard (eset.c). Sets in sets have none: as long as there
 * are any nothing is plain. The same goes while somebody wants to see all frames (raw and packet sockets,
 * capture) or all events in one place: stack.cold.
 *
 * A killed owner. Its lane is torn. Who gets the lock next lets go of it and takes all locks; there
 * everything is brought to shard 0 and mended as ever.
 */
#ifndef SHUNT_LANE_H
#define SHUNT_LANE_H

#include "shard.h"

/* A shard above 0: its own tables, and shard 0's for the rest. 0 or -errno. Context: stack_create's. */
int lane_init(struct shard *sh, uint32_t max_tcb);

/* Takes sh's lock alone. try: false when somebody has it. shard_unlock lets go of it, and does what was left
 * for all locks. */
bool lane_lock(struct shard *sh, bool try);

/* A connection goes to another shard. Context: all locks. */
void lane_move(struct stack *st, struct pcb *pcb, struct shard *to);

/* --- shard.c's --- */

/* All locks were taken. */
void lanes_taken(struct stack *st);
/* What is held is about to be let go. All locks: does what was left for them. A lane: true when something is;
 * then call lanes_catch_up, without a lock. */
bool lanes_end(struct shard *sh);
/* Lets go of all locks but sh's own. */
void lanes_release(struct shard *sh);
void lanes_catch_up(struct stack *st);
/* What lanes kept and what is due on all wheels. Context: all locks. */
void lanes_work_off(struct stack *st);
/* A poll under what is held. Frames received. */
unsigned lanes_poll(struct shard *sh);
/* The lanes' part of shard_flush under all locks, then true: go on with shard 0's. Under a lane: all of it,
 * and false. */
bool lanes_flush(struct shard *sh);
/* Before the tables are mended: all that lanes have goes to shard 0. */
void lanes_mend(struct stack *st);

#endif
