/* control.h: the Unix socket by which a running stack is found and asked.
 *
 * Each stack has one, NAME.sock in the directory that ctldir.h names, mode 0600; its name is the stack's
 * claim to NAME. Protocol: the client sends one line, gets text back, and the end of the connection is the
 * end of the answer.
 *
 * - ls: the stack as a whole, one line "key value..." each
 * - sockets: one line each
 * - counters: "name value" lines, those that are not zero
 * - metrics: counters and gauges in Prometheus's text format. The same, with HTTP around it, answers
 *   "GET /metrics HTTP/1.1", here and on the kernel's 127.0.0.1 (--set metrics_port)
 * - record: the flight recorder's frames, a pcapng file; "no flight recorder" where there is none
 * - join, or join TREE: "join" with a descriptor, by which a process becomes a member (join.c). TREE: only if
 * the stack is that tree's (the number of end 0 of its pair: preload/tree.c)
 * - who: what the keeper calls the asking process: its PID, in the keeper's namespace
 * - state: "running PID..." or "leaving KEEPER-PID"
 * - quit: a stack without processes ends at once: "leaving KEEPER-PID"; another one stays: "running PID..."
 * - yield NETNS LINK: the same, if the stack has that link in that network namespace (inode number); else
 * "no"
 */
#ifndef SHUNT_ENGINE_CONTROL_H
#define SHUNT_ENGINE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that grows, for an answer. */
struct text {
    char *buf;
    size_t len, room;
};
/* n bytes at its end, to be written before anything else is added, of which the caller adds those that it
 * uses to len. NULL: no memory. */
uint8_t *text_room(struct text *t, size_t n);
void text_free(struct text *t); /* its memory; it is empty then */
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- in the process that starts the stack --- */

/* Claims engine.cfg.name: makes and binds the socket (engine.control_fd). A name that is taken by a stack
 * whose processes are gone becomes free (its keeper is told to leave); one of a running stack is an error
 * when the user gave it, else "-2", "-3"... is appended. Nowhere to put the socket: a warning, and the stack
 * runs without. 0, or -errno after one line. */
int control_claim(void);
/* Listens where the metrics are asked for by TCP, if cfg says so (the keeper answers). 0, or -errno after one
 * line. control_metrics_forget: that is no business of this process any more. */
int control_metrics(void);
void control_metrics_forget(void);
/* Tells the keepers that have only their dead programs' remains to do to give link i's device up. Bounded
 * time. */
void control_evict(unsigned i);
/* Takes the claim back (failed starts; the keeper at its end). */
void control_unclaim(void);

/* --- in the keeper --- */

/* Starts to listen; its events come from epfd with data.u64 in [CONTROL_EVENT, CONTROL_EVENT + 64). */
#define CONTROL_EVENT (1ull << 40)
void control_open(int epfd);
void control_event(uint64_t data, uint64_t now_ns);
/* Drops clients that take too long. When it wants to be called again, or UINT64_MAX. */
uint64_t control_expire(uint64_t now_ns);
/* Until then an asked-for end must wait: an answer is on its way. */
bool control_busy(void);

/* --- ls.c --- */

/* Writes the answer to one line of the protocol, without the lock held; takes it. */
void ls_answer(struct text *t, const char *command);

#endif
