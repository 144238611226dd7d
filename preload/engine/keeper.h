/* keeper.h: what the keeper's files share. The theory is in keeper.c; everything here runs in the keeper
 * alone.
 *
 * - birth: how it comes to be a process of its own
 * - keeper: its modes and its loop
 * - watched: the processes and trees that it watches
 * - remains: what a stack without processes still has to do, and the end
 */
#ifndef SHUNT_ENGINE_KEEPER_H
#define SHUNT_ENGINE_KEEPER_H

#include <poll.h>

#include "engine.h"

#define CHECK_NS    (250ull * NS_IN_MS) /* how often a dozing keeper looks at the leader */
#define CONTROL_FDS 80                  /* of the drivers: about 4 a link */
#define TREES       256

/* What comes out of keeper.epfd, in data.u64; smaller and other numbers are control.h's and engine.h's. */
#define PROCESS_EVENT (2ull << 40) /* + slot */
#define SIGNAL_EVENT  (3ull << 40)
#define TREE_EVENT    (5ull << 40) /* + its place in keeper.tree */

struct keeper {
    struct waiter *w;
    int epfd; /* control socket, processes, signals */
    int sigfd;
    uint64_t seen_poll_ns; /* sh->last_poll_ns at the keeper's last look */
    uint64_t others_ns;    /* when somebody else had polled */
    unsigned dozes;        /* tokens for DOZE */
    uint64_t dozes_ns;     /* when the last one came in */
    unsigned streak;       /* ticks in a row at which others had polled */
    bool suspect;          /* a port was readable at the last check */
    bool look_at_processes;
    bool unwatched;                     /* a process has no pidfd: it is looked after from time to time */
    uint64_t look_ns;                   /* when next */
    bool control_due;                   /* one of control's descriptors is ready */
    struct pollfd control[CONTROL_FDS]; /* what the drivers' control sleeps on (dpdk.h), and until when */
    int ncontrol;
    uint64_t control_ns;
    uint64_t gone_ns;       /* when the last process went; 0: there are some */
    uint64_t hurry_ns;      /* when the keeper was asked to leave; 0: not */
    uint64_t sent, sent_ns; /* frames sent by all links, and when that last changed */
    int pidfd[FAMILY_MAX];  /* by slot of the family's table; 0: none */
    int pid[FAMILY_MAX];
    bool portless;    /* a process of the family has no ports */
    uint64_t exec_ns; /* until the next look at who executes; 0: nobody does */
    struct {
        int fd; /* end 1 of a pair (preload/tree.c); 0: free place */
        uint64_t ino;
    } tree[TREES];
    unsigned ntrees;
};

extern struct keeper keeper;

/* --- birth.c --- */

/* What ps shows: the process's name and, over the program's arguments, that and the stack's. */
void keeper_rename(const char *comm);
/* Closes the descriptors lo to hi, both included. */
void keeper_close_between(unsigned lo, unsigned hi);
/* For a process of the keeper's own: of all descriptors it keeps these n (sorted by this, -1: none) and
 * 0 to 2 alone. Some of the others say, by being open, that the keeper lives or that a tree of processes
 * does. */
void keeper_keep_only(int *keep, unsigned n);

/* --- telemetry.c --- */

/* Makes the process for DPDK's telemetry, if it is wanted. */
void keeper_telemetry(void);

/* --- keeper.c --- */

/* Takes the lock unless it stays taken for a while: its owner may have been stopped. NULL: it did. */
struct shard *keeper_try_enter(void);
/* The loop. */
_Noreturn void keeper_run(void);

/* --- watched.c --- */

/* Compares the family's table with who is watched. Context: the lock. */
void watched_look(void);
/* The process in slot died. Context: the lock. */
void watched_died(unsigned slot);
/* The last process that had end 0 of pair i is gone. */
void watched_tree_gone(unsigned i);

/* --- remains.c --- */

/* True when a stack without processes has nothing left to do. Context: the lock. */
bool remains_done(struct shard *sh, uint64_t now);
/* Ends the stack and this process. Context: the lock, which it gives back. */
_Noreturn void remains_leave(struct shard *sh);

#endif
